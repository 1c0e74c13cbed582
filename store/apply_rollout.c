/* COMMAND_ROLLOUT: finds the record and the key, asks whether the caller may, has recipes/rollout.c
 * decide, and writes what that says.
 *
 * To start one takes write on the key, and create of the record's node; to change one write on the
 * key. How well the service of a gate is, is what its instances' nodes say. Ticks are the leader's,
 * and nobody else's: they move only what is due by the facts that all members see. */
#include "recipes/instance.h"
#include "store/apply.h"
#include "store/config.h"
#include "store/queues.h"
#include "store/rollouts.h"
#include "store/state.h"
#include "store/validate.h"

/* ---- where it is --------------------------------------------------------------------------- */

struct slice rollout_path(const struct store *s, struct slice key,
                          uint8_t bytes[ROLLOUT_PATH_BYTES_MAX])
{
    const struct policy *root = policies_root(&s->policies, key);
    size_t size = 0;
    if (root == NULL || key.size > STORE_PATH_BYTES_MAX) {
        return slice_make(NULL, 0);
    }
    memcpy(bytes, root->path.data, root->path.size);
    size = root->path.size;
    memcpy(bytes + size, "/" CONFIG_ROLLOUTS_NAME "/", sizeof CONFIG_ROLLOUTS_NAME + 1);
    size += sizeof CONFIG_ROLLOUTS_NAME + 1;
    if (key.size == root->path.size) {
        memcpy(bytes + size, "%2F", 3);
        size += 3;
    }
    for (size_t i = root->path.size + 1; i < key.size; i++) {
        if (key.data[i] == '/' || key.data[i] == '%') {
            memcpy(bytes + size, key.data[i] == '/' ? "%2F" : "%25", 3);
            size += 3;
        } else {
            bytes[size++] = key.data[i];
        }
    }
    return slice_make(bytes, size > STORE_PATH_BYTES_MAX ? 0 : size);
}

bool rollout_key(struct slice path, uint8_t bytes[STORE_PATH_BYTES_MAX], struct slice *key)
{
    static const char dir[] = "/" CONFIG_ROLLOUTS_NAME "/";
    size_t at = path.size; /* of the name */
    while (at > 0 && path.data[at - 1] != '/') {
        at--;
    }
    size_t size = at - (sizeof dir - 1); /* of the root */
    if (path.size > STORE_PATH_BYTES_MAX || at < sizeof dir ||
        memcmp(path.data + size, dir, sizeof dir - 1) != 0) {
        return false;
    }
    memcpy(bytes, path.data, size);
    struct slice name = slice_make(path.data + at, path.size - at);
    for (size_t i = 0; i < name.size && !slice_is(name, "%2F"); i++) {
        bool is_escape = name.data[i] == '%' && name.size - i >= 3;
        bytes[size] = i == 0 ? '/' : bytes[size];
        size += i == 0;
        bytes[size++] = !is_escape                ? name.data[i]
                        : name.data[i + 2] == 'F' ? '/'
                                                  : '%';
        i += is_escape ? 2 : 0;
    }
    *key = slice_make(bytes, size);
    return true;
}

void rollout_give_list(struct store *s, struct slice key, uint32_t acl)
{
    uint8_t bytes[ROLLOUT_PATH_BYTES_MAX];
    struct slice path = rollout_path(s, key, bytes);
    uint32_t slot = path.size == 0 ? TREE_NONE : tree_find(&s->tree, SPACE_NODES, path);
    if (slot != TREE_NONE && !queues_protect_value(s, slot) &&
        tree_node(&s->tree, slot)->acl != acl) {
        edit_set_acl(s, slot, acl);
    }
}

bool store_rollout_find(const struct store *s, struct slice key, struct rollout *out,
                        uint64_t *revision, struct arena *arena)
{
    uint8_t bytes[ROLLOUT_PATH_BYTES_MAX];
    struct slice path = rollout_path(s, key, bytes);
    uint32_t slot = path.size == 0 ? TREE_NONE : tree_find(&s->tree, SPACE_NODES, path);
    if (slot == TREE_NONE) {
        return false;
    }
    const struct node *n = tree_node(&s->tree, slot);
    if (revision != NULL) {
        *revision = n->modify_revision;
    }
    return rollout_decode(value_slice(n->value), out, arena) && slice_equal(out->key, key);
}

/* Who looks at them through a gate, to see which values let it pass, must be allowed to. */
static bool may_read_gates(const struct store *s, const struct rollout *r)
{
    char path[INSTANCE_PATH_BYTES_MAX];
    return (r->gate.size == 0 || access_nearest(&s->access, ACL_READ, r->gate)) &&
           (r->gate_service.size == 0 ||
            access_nearest(&s->access, ACL_READ,
                           instance_path(r->gate_service, slice_make(NULL, 0), path)));
}

/* What the instances of a gate said. Many rollouts may have the same one: whoever looks at all of
 * them asks once. */
struct gate_memo {
    struct arena arena;
    struct slice service; /* empty: none yet */
    struct slice tag;
    uint64_t passing;
    uint64_t total;
};

/* Of the instances of the gate's service that do not drain. There may be many: nothing is kept of
 * one when the next is looked at. */
static void instances_count(const struct store *s, struct gate_memo *of)
{
    struct arena arena = {0};
    char path[INSTANCE_PATH_BYTES_MAX];
    uint32_t service = tree_find(&s->tree, SPACE_NODES,
                                 instance_path(of->service, slice_make(NULL, 0), path));
    const struct dir *dir = service == TREE_NONE ? NULL : node_dir(tree_node(&s->tree, service));
    struct children_position at = {0, 0};
    uint32_t child = dir == NULL ? TREE_NONE : children_next(&dir->children, &at);
    for (; child != TREE_NONE; child = children_next(&dir->children, &at)) {
        struct service_instance in;
        arena_clear(&arena);
        if (instance_decode(value_slice(tree_node(&s->tree, child)->value), &in, &arena) &&
            !in.draining && (of->tag.size == 0 || instance_has_tag(&in, of->tag))) {
            of->total++;
            of->passing += in.health == HEALTH_PASSING;
        }
    }
    arena_close(&arena);
}

static enum rollout_gate health_of(const struct store *s, const struct rollout *r,
                                   struct gate_memo *memo)
{
    if (!slice_equal(memo->service, r->gate_service) || !slice_equal(memo->tag, r->gate_tag)) {
        arena_clear(&memo->arena);
        memo->service = arena_copy(&memo->arena, r->gate_service);
        memo->tag = arena_copy(&memo->arena, r->gate_tag);
        memo->passing = 0;
        memo->total = 0;
        instances_count(s, memo);
    }
    return rollout_health(r, memo->passing, memo->total);
}

static struct rollout_facts facts_of(const struct store *s, const struct rollout *r,
                                     enum rollout_event event, uint64_t cluster_ms,
                                     struct gate_memo *memo)
{
    struct rollout_facts facts = {.cluster_ms = cluster_ms, .gate = GATE_NONE};
    const struct policy *root = policies_root(&s->policies, r->key);
    facts.schema_revision = root == NULL ? 0 : root->root_revision;
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, r->key);
    facts.key_revision = slot == TREE_NONE ? 0 : tree_node(&s->tree, slot)->modify_revision;
    if (r->gate.size > 0) {
        uint32_t gate = tree_find(&s->tree, SPACE_NODES, r->gate);
        bool is_good = gate != TREE_NONE &&
                       slice_equal(value_slice(tree_node(&s->tree, gate)->value), r->gate_value);
        facts.gate = gate == TREE_NONE ? GATE_MISSING : is_good ? GATE_GOOD : GATE_BAD;
    }
    if (r->gate_service.size > 0 && rollout_heeds_gates(r, event)) {
        facts.health = (uint8_t)health_of(s, r, memo);
    }
    return facts;
}

/* ---- what is due --------------------------------------------------------------------------- */

/* Most have ended, and their values are large: those are not even decoded. */
static bool is_due(const struct store *s, uint32_t slot, uint64_t cluster_ms,
                   struct gate_memo *memo, struct rollout_due *due, struct arena *arena)
{
    struct rollout r;
    struct arena own = {0};
    const struct node *n = tree_node(&s->tree, slot);
    struct slice text = value_slice(n->value);
    bool moves = false;
    if (!rollout_text_has_ended(text) && rollout_decode(text, &r, &own)) {
        struct rollout_facts facts = facts_of(s, &r, ROLLOUT_TICK, cluster_ms, memo);
        moves = rollout_step(&r, ROLLOUT_TICK, &facts) > ROLLOUT_UNCHANGED;
    }
    if (moves) {
        *due = (struct rollout_due){.key = arena_copy(arena, r.key),
                                    .revision = n->modify_revision};
    }
    arena_close(&own);
    return moves;
}

size_t store_rollouts_due(const struct store *s, uint64_t cluster_ms, struct rollout_due *due,
                          size_t max, struct arena *arena)
{
    struct gate_memo memo = {.total = 0};
    size_t count = 0;
    for (uint32_t i = 0; s->policies.root_count > 0 && i < s->policies.count; i++) {
        uint8_t path[STORE_PATH_BYTES_MAX + sizeof CONFIG_ROLLOUTS_NAME + 1];
        struct slice root = s->policies.items[i].path;
        memcpy(path, root.data, root.size);
        memcpy(path + root.size, "/" CONFIG_ROLLOUTS_NAME, sizeof CONFIG_ROLLOUTS_NAME);
        uint32_t slot = s->policies.items[i].root_revision == 0
                            ? TREE_NONE
                            : tree_find(&s->tree, SPACE_NODES,
                                        slice_make(path, root.size + sizeof CONFIG_ROLLOUTS_NAME));
        const struct dir *dir = slot == TREE_NONE ? NULL : node_dir(tree_node(&s->tree, slot));
        struct children_position at = {0, 0};
        uint32_t child = dir == NULL ? TREE_NONE : children_next(&dir->children, &at);
        for (; child != TREE_NONE && count < max; child = children_next(&dir->children, &at)) {
            count += is_due(s, child, cluster_ms, &memo, &due[count], arena);
        }
    }
    arena_close(&memo.arena);
    return count;
}

/* ---- the command --------------------------------------------------------------------------- */

static bool may_write(const struct store *s, struct slice key, uint32_t slot)
{
    return access_path(&s->access, ACL_WRITE, SPACE_NODES, key) &&
           access_node(&s->access, slot, ACL_WRITE);
}

/* What is asked for must fit quotas; what is due, and what takes a value back, is not held up. */
static enum outcome value_write(struct store *s, uint32_t slot, struct slice value, bool is_asked)
{
    if (is_asked && !quotas_fit_value(&s->quotas, &s->tree, slot, value.size, &s->refusal)) {
        return OUTCOME_QUOTA;
    }
    edit_set(s, slot, value_new(s->values, value));
    return OUTCOME_OK;
}

static enum outcome record_write(struct store *s, uint32_t slot, const struct rollout *r,
                                 bool is_asked)
{
    struct buf text = {0};
    rollout_encode(&text, r);
    enum outcome outcome = value_write(s, slot, buf_slice(&text), is_asked);
    buf_close(&text);
    return outcome;
}

/* The key is there: it has a revision that the record names. */
static enum outcome key_write(struct store *s, const struct rollout *r, struct slice value,
                              bool is_asked)
{
    return value_write(s, tree_find(&s->tree, SPACE_NODES, r->key), value, is_asked);
}

static enum outcome step(struct store *s, struct rollout *r, uint32_t slot,
                         enum rollout_event event)
{
    struct gate_memo memo = {.total = 0};
    struct rollout_facts facts = facts_of(s, r, event, s->cluster_ms, &memo);
    arena_close(&memo.arena);
    bool is_asked = event == ROLLOUT_PROMOTE || event == ROLLOUT_FINISH;
    enum outcome outcome = OUTCOME_OK;
    switch (rollout_step(r, event, &facts)) {
    case ROLLOUT_REFUSED: return OUTCOME_NOT_DUE;
    case ROLLOUT_UNCHANGED: return OUTCOME_OK;
    case ROLLOUT_SET_VALUE:
        r->done_revision = s->edit.revision;
        outcome = key_write(s, r, r->value, is_asked);
        break;
    case ROLLOUT_SET_BASE: outcome = key_write(s, r, r->base, is_asked); break;
    case ROLLOUT_CHANGED: break;
    }
    return outcome == OUTCOME_OK ? record_write(s, slot, r, is_asked) : outcome;
}

/* What is kept of the rollout that ended first goes, so that as many keys as there are can have
 * theirs one after the other. False: none has ended. */
static bool forget_one(struct store *s, const struct dir *dir)
{
    struct children_position at = {0, 0};
    uint32_t first = TREE_NONE;
    uint32_t child = children_next(&dir->children, &at);
    for (; child != TREE_NONE; child = children_next(&dir->children, &at)) {
        const struct node *n = tree_node(&s->tree, child);
        bool has_children = node_dir(n) != NULL && node_dir(n)->children.count > 0;
        bool is_before = first == TREE_NONE ||
                         n->modify_revision < tree_node(&s->tree, first)->modify_revision;
        if (is_before && !has_children && !queues_protect_value(s, child) &&
            rollout_text_has_ended(value_slice(n->value))) {
            first = child;
        }
    }
    if (first != TREE_NONE) {
        edit_delete(s, first);
    }
    return first != TREE_NONE;
}

/* The record's node, with what there is to write; the old one of the key, if that has ended. */
static enum outcome record_make(struct store *s, struct slice path, uint32_t *slot)
{
    struct op op = {
        .type = OP_CREATE,
        .flags = OP_CONFIG | OP_MAKE_PARENTS,
        .space = SPACE_NODES,
        .path = path,
        .version = VERSION_ANY,
    };
    struct op_result result;
    *slot = tree_find(&s->tree, SPACE_NODES, path);
    if (*slot != TREE_NONE) {
        return queues_protect_value(s, *slot) ? OUTCOME_PROTECTED : OUTCOME_OK;
    }
    uint32_t all = tree_find(&s->tree, SPACE_NODES, path_parent(SPACE_NODES, path));
    const struct dir *dir = all == TREE_NONE ? NULL : node_dir(tree_node(&s->tree, all));
    uint32_t count = dir == NULL ? 0 : dir->children.count;
    if (count > ROLLOUTS_MAX || (count == ROLLOUTS_MAX && !forget_one(s, dir))) {
        return OUTCOME_LIMIT;
    }
    enum outcome outcome = apply_create(s, &op, &result);
    *slot = tree_find(&s->tree, SPACE_NODES, path);
    return outcome;
}

static enum outcome start(struct store *s, const struct command_rollout *asked)
{
    uint8_t bytes[ROLLOUT_PATH_BYTES_MAX];
    struct rollout r;
    struct rollout before;
    uint32_t slot;
    const struct policy *root = policies_root(&s->policies, asked->key);
    struct slice path = rollout_path(s, asked->key, bytes);
    uint32_t key = tree_find(&s->tree, SPACE_NODES, asked->key);
    if (!may_write(s, asked->key, key)) {
        return OUTCOME_NO_AUTH;
    }
    if (root == NULL || key == TREE_NONE || tree_node(&s->tree, key)->value == NULL) {
        return OUTCOME_NO_NODE;
    }
    if (queues_protect_value(s, key)) {
        return OUTCOME_PROTECTED;
    }
    bool is_record = rollout_decode(asked->record, &r, &s->arena) &&
                     slice_equal(r.key, asked->key) && r.state == ROLLOUT_PLANNING;
    if (!is_record || path.size == 0) {
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (!may_read_gates(s, &r)) {
        return OUTCOME_NO_AUTH;
    }
    if (root->root_revision != r.schema_revision ||
        tree_node(&s->tree, key)->modify_revision != r.base_revision) {
        return OUTCOME_GUARD_REFUSED;
    }
    if (store_rollout_find(s, asked->key, &before, NULL, &s->arena) &&
        rollout_is_open(&before)) {
        return OUTCOME_NODE_EXISTS;
    }
    enum outcome outcome = record_make(s, path, &slot);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    rollout_give_list(s, asked->key, tree_node(&s->tree, key)->acl);
    if (asked->stays_planned) {
        return record_write(s, slot, &r, true);
    }
    return step(s, &r, slot, ROLLOUT_PROMOTE);
}

static enum outcome change(struct store *s, const struct command_rollout *asked)
{
    uint8_t bytes[ROLLOUT_PATH_BYTES_MAX];
    struct rollout r;
    uint64_t revision;
    bool is_tick = asked->event == ROLLOUT_TICK;
    uint32_t key = tree_find(&s->tree, SPACE_NODES, asked->key);
    if (!is_tick && !may_write(s, asked->key, key)) {
        return OUTCOME_NO_AUTH;
    }
    if (!store_rollout_find(s, asked->key, &r, &revision, &s->arena)) {
        return OUTCOME_NO_NODE;
    }
    if (is_tick && revision != asked->revision) {
        return OUTCOME_NOT_DUE;
    }
    struct slice path = rollout_path(s, asked->key, bytes);
    /* The record is written over: what is read of it must outlive that. */
    struct slice copy = arena_copy(
        &s->arena, value_slice(tree_node(&s->tree, tree_find(&s->tree, SPACE_NODES, path))->value));
    bool ok = rollout_decode(copy, &r, &s->arena);
    return ok ? step(s, &r, tree_find(&s->tree, SPACE_NODES, path),
                     (enum rollout_event)asked->event)
              : OUTCOME_BAD_ARGUMENTS;
}

void apply_rollout(struct store *s, const struct apply_context *context, const struct command *c,
                   struct reply *reply)
{
    enum outcome outcome = command_check_bytes(c, NULL);
    if (outcome == OUTCOME_OK) {
        outcome = rollout_command_check(&c->rollout, NULL);
    }
    if (outcome == OUTCOME_OK) {
        edit_begin(s, context, c);
        outcome = c->rollout.event == 0 ? start(s, &c->rollout) : change(s, &c->rollout);
        if (outcome == OUTCOME_OK) {
            edit_commit(s);
        } else {
            edit_rollback(s);
        }
    }
    reply->outcome = (uint8_t)outcome;
}
