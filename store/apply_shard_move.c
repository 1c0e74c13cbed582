/* Plans that begin, moves that go on, stop, and are taken back. */
#include "store/apply.h"
#include "store/apply_shard.h"

/* ---- plans -------------------------------------------------------------------------------- */

/* Nothing that the plan was made of has changed since: the policy, who is there, what moves. Each
 * shard is asked for itself. */
static bool is_current(const struct shard_map *map, uint64_t base)
{
    const struct tree *t = &map->store->tree;
    struct node_stat root;
    struct node_stat nodes;
    struct node_stat moves;
    tree_stat(t, map->root, &root);
    tree_stat(t, map->nodes, &nodes);
    tree_stat(t, map->moves, &moves);
    return base <= map->store->revision && root.modify_revision <= base &&
           nodes.children_revision <= base && moves.children_revision <= base;
}

static bool is_member(const struct shard_map *map, struct slice node)
{
    return shard_map_find(map, map->nodes, node) != TREE_NONE;
}

/* Those whom a step gives something are members, and say of themselves what they said then:
 * their weight, zone, tags and capacity are what the plan was made of. */
static enum outcome targets_fit(const struct shard_map *map, const struct shard_step *step,
                                uint64_t base)
{
    struct slice rest = step->kind == SHARD_DROP ? slice_make(NULL, 0) : step->to;
    struct slice node;
    while (names_next(&rest, &node)) {
        uint32_t slot = shard_map_find(map, map->nodes, node);
        if (slot == TREE_NONE) {
            return OUTCOME_MISMATCH;
        }
        if (tree_node(&map->store->tree, slot)->modify_revision > base) {
            return OUTCOME_BAD_VERSION;
        }
    }
    return OUTCOME_OK;
}

/* A shard that has nothing yet gets replicas at once: there is nothing to be copied. */
static enum outcome assign(struct shard_map *map, const struct shard_step *step, uint32_t slot,
                           struct shard_record *r)
{
    struct slice rest = step->to;
    struct slice leader;
    if (r->replicas.size > 0) {
        return OUTCOME_MISMATCH;
    }
    (void)names_next(&rest, &leader);
    struct shard_world w = shard_map_world(map, step->number);
    shard_assign(&w, r, leader, step->to);
    shard_write(map->store, slot, r);
    return OUTCOME_OK;
}

static bool step_fits(const struct shard_step *step, const struct shard_record *r)
{
    bool has_from = names_have(r->replicas, step->from);
    bool has_to = names_have(r->replicas, step->to);
    switch (step->kind) {
    case SHARD_MOVE: return has_from && !has_to;
    case SHARD_ADD: return !has_to;
    case SHARD_DROP: return has_from;
    default: return has_to;
    }
}

static void enqueue(struct shard_map *map, const struct shard_step *step)
{
    struct buf text = {0};
    bool has_from = step->kind == SHARD_MOVE || step->kind == SHARD_DROP;
    struct shard_move m = {
        .state = MOVE_QUEUED,
        .kind = step->kind,
        .shard = step->number,
        .from = has_from ? step->from : slice_make(NULL, 0),
        .to = step->kind == SHARD_DROP ? slice_make(NULL, 0) : step->to,
        .bytes = step->amount,
        .why = step->why,
        .since_ms = map->store->edit.context->wall_ms,
    };
    shard_move_encode(&text, &m);
    (void)shard_map_make(map->store, map->moves, slice_str("m-"), NODE_MAP, 0,
                         buf_slice(&text));
    buf_close(&text);
}

static enum outcome add_move(struct shard_map *map, const struct shard_step *step,
                             const struct shard_record *r)
{
    if (!step_fits(step, r)) {
        return OUTCOME_MISMATCH;
    }
    if (shard_map_count(map->store, map->moves) >= SHARD_MOVES_MAX) {
        return OUTCOME_LIMIT;
    }
    enqueue(map, step);
    return OUTCOME_OK;
}

/* What waits for a node that is away is planned anew. */
static void drop_stranded(struct shard_map *map)
{
    struct store *s = map->store;
    uint32_t count;
    const uint32_t *slots = shard_map_children(s, map->moves, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct shard_move m;
        bool is_queued = shard_move_read(s, slots[i], &m) && m.state == MOVE_QUEUED;
        if (is_queued && m.to.size > 0 && !is_member(map, m.to)) {
            edit_delete(s, slots[i]);
        }
    }
}

enum outcome shard_plan_apply(struct shard_map *map, const struct command_shard *asked,
                              struct reply *reply)
{
    struct store *s = map->store;
    if (!is_current(map, asked->base)) {
        return OUTCOME_BAD_VERSION;
    }
    drop_stranded(map);
    for (uint32_t i = 0; i < asked->step_count; i++) {
        const struct shard_step *step = &asked->steps[i];
        struct shard_record r;
        reply->failed_op = i;
        uint32_t slot = shard_map_shard(map, step->number);
        if (slot == TREE_NONE || !shard_read(s, slot, &r)) {
            return OUTCOME_NO_NODE;
        }
        enum outcome outcome = targets_fit(map, step, asked->base);
        if (outcome == OUTCOME_OK) {
            outcome = tree_node(&s->tree, slot)->modify_revision > asked->base
                          ? OUTCOME_BAD_VERSION
                      : step->kind == SHARD_STEP_ASSIGN ? assign(map, step, slot, &r)
                                                        : add_move(map, step, &r);
        }
        if (outcome != OUTCOME_OK) {
            return outcome;
        }
    }
    shard_map_settle(map);
    reply->failed_op = 0;
    return OUTCOME_OK;
}

/* ---- moves -------------------------------------------------------------------------------- */

struct move_at {
    uint32_t slot;
    uint32_t shard;
    struct shard_move m;
    struct shard_record r;
};

static bool move_open(struct shard_map *map, uint64_t number, struct move_at *at)
{
    struct store *s = map->store;
    at->slot = shard_map_move(map, number);
    if (at->slot == TREE_NONE || !shard_move_read(s, at->slot, &at->m)) {
        return false;
    }
    at->shard = shard_map_shard(map, at->m.shard);
    return at->shard != TREE_NONE && shard_read(s, at->shard, &at->r);
}

static void move_close(struct shard_map *map, const struct move_at *at)
{
    shard_write(map->store, at->shard, &at->r);
    shard_move_write(map->store, at->slot, &at->m);
}

enum outcome shard_report_apply(struct shard_map *map, const struct command_shard *asked,
                                struct reply *reply)
{
    uint32_t member = shard_map_find(map, map->nodes, asked->node);
    bool is_over = false;
    if (member == TREE_NONE) {
        return OUTCOME_NOT_HELD;
    }
    enum outcome outcome = lease_usable(map->store, tree_node(&map->store->tree, member)->lease);
    for (uint32_t i = 0; i < asked->step_count && outcome == OUTCOME_OK; i++) {
        const struct shard_step *step = &asked->steps[i];
        struct move_at at;
        reply->failed_op = i;
        if (!move_open(map, step->number, &at)) {
            return OUTCOME_NO_NODE;
        }
        struct shard_world w = shard_map_world(map, at.m.shard);
        uint64_t progress = step->amount < 1000 ? step->amount : 1000;
        if (!shard_move_report(&w, &at.r, &at.m, asked->node, step->state, progress)) {
            return OUTCOME_MISMATCH;
        }
        is_over = is_over || at.m.state == MOVE_DONE;
        move_close(map, &at);
    }
    if (is_over) {
        shard_map_settle(map);
    }
    return outcome;
}

enum outcome shard_moves_apply(struct shard_map *map, const struct command_shard *asked,
                               struct reply *reply)
{
    for (uint32_t i = 0; i < asked->step_count; i++) {
        struct move_at at;
        reply->failed_op = i;
        if (!move_open(map, asked->steps[i].number, &at)) {
            return OUTCOME_NO_NODE;
        }
        struct shard_world w = shard_map_world(map, at.m.shard);
        if (asked->action == SHARD_ABORT && !shard_move_abort(&w, &at.r, &at.m)) {
            return OUTCOME_MISMATCH;
        }
        if (asked->action != SHARD_ABORT) {
            at.m.held = asked->action == SHARD_HOLD;
        } else {
            at.m.held = 0;
        }
        move_close(map, &at);
    }
    shard_map_settle(map);
    return OUTCOME_OK;
}
