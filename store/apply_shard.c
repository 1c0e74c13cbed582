/* COMMAND_SHARD: finds the map, asks whether the caller may, and has the assignment changed
 * (recipes/shard_move.h). What goes wrong takes the whole command back.
 *
 * Who may: to make a map takes create on its path; to configure it, to plan, to stop or resume
 * moves, to split, merge and set keys write on it; to drop it delete; to join create on the path of
 * the member, and the use of the lease; to leave, report and tell stats the use of the lease of the
 * member (to leave also admin). */
#include "store/apply_shard.h"

#include "base/assert.h"
#include "store/apply.h"
#include "store/validate.h"

static bool caller_may(const struct store *s, uint32_t right, struct slice path, uint32_t slot)
{
    return access_path(&s->access, right, SPACE_NODES, path) &&
           (slot == TREE_NONE || access_node(&s->access, slot, right));
}

/* ---- maps --------------------------------------------------------------------------------- */

static const struct slice no_text;

static enum outcome create_root(struct store *s, const struct command_shard *asked,
                                uint32_t *root)
{
    struct op_result result = {0};
    struct op op = {
        .type = OP_CREATE,
        .flags = OP_MAKE_PARENTS,
        .space = SPACE_NODES,
        .kind = NODE_MAP,
        .path = asked->path,
        .data = asked->text,
    };
    enum outcome outcome = apply_create(s, &op, &result);
    if (outcome == OUTCOME_OK) {
        *root = tree_find(&s->tree, SPACE_NODES, asked->path);
    }
    return outcome;
}

/* How many shards a create makes; 0: what it says does not fit the strategy. */
static uint64_t shards_asked(const struct command_shard *asked, const struct shard_spec *spec)
{
    uint64_t count = asked->step_count;
    if (spec->strategy != SHARD_RANGE && count == 1 && asked->steps[0].number > 0) {
        count = asked->steps[0].number;
    }
    bool fits = count <= SHARD_COUNT_MAX &&
                (spec->strategy != SHARD_HASH || count <= spec->slots);
    for (uint32_t i = 0; i < asked->step_count && fits && spec->strategy == SHARD_RANGE; i++) {
        /* The first begins at the begin, and bounds grow. */
        fits = i == 0 ? asked->steps[i].from.size == 0
                      : slice_compare(asked->steps[i - 1].from, asked->steps[i].from) < 0;
    }
    return fits ? count : 0;
}

static void create_shard(struct shard_map *map, const struct command_shard *asked, uint64_t i,
                         uint64_t count)
{
    struct buf text = {0};
    struct shard_record r = {0};
    uint64_t slots = map->spec.slots;
    if (map->spec.strategy == SHARD_HASH) {
        r.low = slots * i / count;
        r.high = slots * (i + 1) / count - 1;
    } else if (map->spec.strategy == SHARD_RANGE) {
        r.low_key = asked->steps[i].from;
        r.high_key = i + 1 < count ? asked->steps[i + 1].from : no_text;
    } else if (map->spec.strategy == SHARD_RING) {
        uint64_t weight = asked->step_count == count ? asked->steps[i].amount : 0;
        r.weight = weight > 0 ? weight : 100;
    }
    shard_record_encode(&text, &r);
    (void)shard_map_make(map->store, map->shards, slice_str("s-"), NODE_MAP, 0,
                         buf_slice(&text));
    buf_close(&text);
}

static enum outcome create(struct store *s, const struct command_shard *asked)
{
    struct shard_map map;
    struct shard_spec spec;
    uint32_t root = TREE_NONE;
    if (!shard_spec_decode(asked->text, &spec)) {
        return OUTCOME_BAD_ARGUMENTS;
    }
    uint64_t count = shards_asked(asked, &spec);
    enum outcome outcome = count > 0 ? create_root(s, asked, &root) : OUTCOME_BAD_ARGUMENTS;
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    struct quota_amount more = {.nodes = count + 4, .bytes = count * (asked->path.size + 64)};
    if (s->quotas.count > 0 && !quotas_fit(&s->quotas, &s->tree, root, more, &s->refusal)) {
        return OUTCOME_QUOTA;
    }
    static const char *const dirs[] = {"nodes", "stats", "shards", "moves", "keys"};
    uint32_t dir_count = spec.strategy == SHARD_DIRECTORY ? 5 : 4;
    for (uint32_t i = 0; i < dir_count; i++) {
        (void)shard_map_make(s, root, slice_str(dirs[i]), NODE_MAP, 0, no_text);
    }
    bool is_open = shard_map_open(s, root, &map);
    POST(is_open);
    for (uint64_t i = 0; i < count; i++) {
        create_shard(&map, asked, i, count);
    }
    return OUTCOME_OK;
}

static enum outcome configure(struct shard_map *map, const struct command_shard *asked)
{
    struct shard_spec spec;
    if (!shard_spec_decode(asked->text, &spec) || spec.strategy != map->spec.strategy ||
        spec.slots != map->spec.slots) {
        return OUTCOME_MISMATCH;
    }
    edit_set(map->store, map->root, value_new(map->store->values, asked->text));
    map->spec = spec;
    shard_map_welcome(map);
    return OUTCOME_OK;
}

/* Only one without members: they would lose what they rely on. */
static enum outcome drop(struct shard_map *map)
{
    struct store *s = map->store;
    uint32_t dirs[] = {map->keys, map->moves, map->shards, map->stats, map->nodes};
    uint32_t count;
    (void)shard_map_children(s, map->nodes, &count);
    if (count > 0) {
        return OUTCOME_NOT_EMPTY;
    }
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        if (dirs[i] == TREE_NONE) {
            continue;
        }
        const uint32_t *slots = shard_map_children(s, dirs[i], &count);
        for (uint32_t j = 0; j < count; j++) {
            edit_delete(s, slots[j]);
        }
        edit_delete(s, dirs[i]);
    }
    edit_delete(s, map->root);
    return OUTCOME_OK;
}

/* ---- members ------------------------------------------------------------------------------ */

static enum outcome member_usable(const struct shard_map *map, struct slice node,
                                  uint32_t *slot)
{
    *slot = shard_map_find(map, map->nodes, node);
    return *slot == TREE_NONE
               ? OUTCOME_NOT_HELD
               : lease_usable(map->store, tree_node(&map->store->tree, *slot)->lease);
}

static enum outcome join(struct shard_map *map, const struct command_shard *asked)
{
    struct store *s = map->store;
    uint32_t count;
    enum outcome outcome = lease_usable(s, asked->lease);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    uint32_t slot = shard_map_find(map, map->nodes, asked->node);
    if (slot != TREE_NONE) {
        const struct node *n = tree_node(&s->tree, slot);
        if (n->lease != asked->lease) {
            return OUTCOME_HELD; /* until the session of who has it has ended */
        }
        if (slice_equal(value_slice(n->value), asked->text)) {
            return OUTCOME_OK; /* no plan that was made of it is old now */
        }
        return shard_map_put(s, map->nodes, asked->node, NODE_EPHEMERAL, asked->lease,
                             asked->text);
    }
    (void)shard_map_children(s, map->nodes, &count);
    if (count >= SHARD_MEMBERS_MAX) {
        return OUTCOME_LIMIT;
    }
    outcome = shard_map_put(s, map->nodes, asked->node, NODE_EPHEMERAL, asked->lease, asked->text);
    if (outcome == OUTCOME_OK) {
        shard_map_welcome(map);
    }
    return outcome;
}

static enum outcome leave(struct shard_map *map, const struct command_shard *asked)
{
    uint32_t slot;
    enum outcome outcome = member_usable(map, asked->node, &slot);
    if (outcome == OUTCOME_NO_AUTH &&
        caller_may(map->store, ACL_ADMIN, asked->path, map->root)) {
        outcome = OUTCOME_OK;
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    uint32_t stats = shard_map_find(map, map->stats, asked->node);
    if (stats != TREE_NONE) {
        edit_delete(map->store, stats);
    }
    edit_delete(map->store, slot);
    struct slice node = asked->node;
    shard_map_lose(map, &node, 1);
    return OUTCOME_OK;
}

static enum outcome tell_stats(struct shard_map *map, const struct command_shard *asked)
{
    struct store *s = map->store;
    uint32_t member;
    enum outcome outcome = member_usable(map, asked->node, &member);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    return shard_map_put(s, map->stats, asked->node, NODE_EPHEMERAL,
                         tree_node(&s->tree, member)->lease, asked->text);
}

/* ---- the command -------------------------------------------------------------------------- */

static enum outcome run(struct shard_map *map, const struct command_shard *asked,
                        struct reply *reply)
{
    switch (asked->action) {
    case SHARD_CONFIGURE: return configure(map, asked);
    case SHARD_DROP_MAP: return drop(map);
    case SHARD_JOIN: return join(map, asked);
    case SHARD_LEAVE: return leave(map, asked);
    case SHARD_STATS: return tell_stats(map, asked);
    case SHARD_PLAN: return shard_plan_apply(map, asked, reply);
    case SHARD_REPORT: return shard_report_apply(map, asked, reply);
    case SHARD_ABORT:
    case SHARD_HOLD:
    case SHARD_RESUME: return shard_moves_apply(map, asked, reply);
    case SHARD_SPLIT: return shard_split_apply(map, asked);
    case SHARD_MERGE: return shard_merge_apply(map, asked);
    case SHARD_SET_SHARD: return shard_set_apply(map, asked);
    default: return shard_key_apply(map, asked);
    }
}

static bool is_allowed(const struct store *s, const struct command_shard *asked, uint32_t root)
{
    switch (asked->action) {
    case SHARD_DROP_MAP: return caller_may(s, ACL_DELETE, asked->path, root);
    case SHARD_JOIN: return caller_may(s, ACL_CREATE, asked->path, root);
    case SHARD_CREATE: return access_path(&s->access, ACL_CREATE, SPACE_NODES, asked->path);
    case SHARD_LEAVE:
    case SHARD_STATS:
    case SHARD_REPORT: return true; /* asked on the way */
    default: return caller_may(s, ACL_WRITE, asked->path, root);
    }
}

static enum outcome shard_run(struct store *s, const struct command_shard *asked,
                              struct reply *reply)
{
    struct shard_map map;
    uint32_t root = tree_find(&s->tree, SPACE_NODES, asked->path);
    if (!is_allowed(s, asked, root)) {
        return OUTCOME_NO_AUTH;
    }
    if (asked->action == SHARD_CREATE) {
        return create(s, asked);
    }
    bool is_open = root != TREE_NONE && shard_map_open(s, root, &map);
    bool is_members = asked->action == SHARD_LEAVE || asked->action == SHARD_STATS ||
                      asked->action == SHARD_REPORT;
    if (!is_open && is_members) {
        return OUTCOME_NOT_HELD; /* who may nothing here learns nothing of what there is */
    }
    if (!is_open) {
        return root == TREE_NONE ? OUTCOME_NO_NODE : OUTCOME_NO_RECIPE;
    }
    return run(&map, asked, reply);
}

void apply_shard(struct store *s, const struct apply_context *context, const struct command *c,
                 struct reply *reply)
{
    const struct command_shard *asked = &c->shard;
    enum outcome outcome = command_check_bytes(c, NULL);
    if (outcome == OUTCOME_OK) {
        outcome = shard_check(asked, NULL);
    }
    if (outcome == OUTCOME_OK) {
        outcome = guards_demand(s, asked->guards, asked->guard_count, &reply->failed_op);
    }
    if (outcome == OUTCOME_OK) {
        edit_begin(s, context, c);
        outcome = shard_run(s, asked, reply);
        if (outcome == OUTCOME_OK) {
            edit_commit(s);
        } else {
            edit_rollback(s);
        }
    }
    reply->outcome = (uint8_t)outcome;
}
