/* Create, set and delete of one node: the checks, in the order in which ZooKeeper makes them (its
 * clients see which one fails first), then the change. */
#include "store/apply.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "store/config.h"
#include "store/queues.h"
#include "store/rollouts.h"
#include "store/state.h"
#include "store/validate.h"

/* Ancestors that one create may make: what a short request can cost stays bounded. */
#define PARENTS_MADE_MAX    128
#define SEQUENCE_DIGITS_MAX 20

static struct value *op_value(struct store *s, const struct op *op)
{
    return op->flags & OP_NULL_DATA ? NULL : value_new(s->values, op->data);
}

/* Roles, of a path; and the list of a node. To make, change and end a configuration root takes
 * admin at its path. */
static enum outcome roles_allow(const struct store *s, enum acl_permission right, uint8_t space,
                                struct slice path)
{
    if (space == SPACE_META && policy_is_root(path)) {
        bool may = access_nearest(&s->access, ACL_ADMIN, policy_path(path));
        return may ? OUTCOME_OK : OUTCOME_NO_AUTH;
    }
    return access_path(&s->access, right, space, path) ? OUTCOME_OK : OUTCOME_NO_AUTH;
}

static enum outcome caller_may(const struct store *s, uint32_t slot, enum acl_permission right)
{
    return access_node(&s->access, slot, right) ? OUTCOME_OK : OUTCOME_NO_AUTH;
}

static void result_fill(struct store *s, uint32_t slot, struct op_result *result)
{
    tree_stat(&s->tree, slot, &result->stat);
}

/* The id of the operation's list, which has been checked. */
static enum outcome list_intern(struct store *s, const struct op *op, uint32_t *acl)
{
    *acl = op->acl.size == 0 ? 0 : acl_table_intern(&s->acls, op->acl);
    return *acl == ACL_ID_NONE ? OUTCOME_LIMIT : OUTCOME_OK;
}

/* What was refused goes into the reply of the command (store/apply.c). */
static enum outcome quota_outcome(bool fits)
{
    return fits ? OUTCOME_OK : OUTCOME_QUOTA;
}

/* ---- create ------------------------------------------------------------------------------- */

/* What ZooKeeper looks at before it looks for the parent. */
static enum outcome path_check_first(struct slice path)
{
    bool ok = path.size > 0 && path.data[0] == '/' && memchr(path.data, 0, path.size) == NULL;
    return ok ? OUTCOME_OK : OUTCOME_BAD_PATH;
}

static uint32_t create_at(struct store *s, const struct tree_key *key, struct value *value,
                          struct op_result *result)
{
    uint32_t slot = edit_create(s, key, value);
    result->path = arena_copy(&s->arena, key->path);
    result_fill(s, slot, result);
    return slot;
}

static enum outcome flat_create(struct store *s, const struct op *op, struct op_result *result)
{
    if (roles_allow(s, ACL_CREATE, op->space, op->path) != OUTCOME_OK) {
        return OUTCOME_NO_AUTH;
    }
    struct tree_key key = {
        .space = op->space,
        .kind = NODE_PERSISTENT,
        .parent = tree_root(&s->tree, op->space),
        .path = op->path,
        .hash = tree_hash(op->space, op->path),
    };
    if (tree_find(&s->tree, op->space, op->path) != TREE_NONE) {
        return OUTCOME_NODE_EXISTS;
    }
    bool is_root = op->space == SPACE_META && policy_is_root(op->path);
    if (is_root && config_is_taken(s, policy_path(op->path))) {
        return OUTCOME_NODE_EXISTS;
    }
    bool is_policy = is_root || (op->space == SPACE_META && policy_is_history(op->path));
    if (is_policy && policies_are_full(&s->tree)) {
        return OUTCOME_LIMIT;
    }
    (void)create_at(s, &key, op_value(s, op), result);
    return OUTCOME_OK;
}

/* The ancestors of a path that are not there, from the parent upwards. */
struct missing {
    uint32_t ancestor; /* the deepest that is there */
    uint32_t count;
    struct slice paths[PARENTS_MADE_MAX];
};

static enum outcome missing_find(const struct store *s, struct slice parent, struct missing *m)
{
    m->count = 0;
    for (struct slice path = parent;; path = path_parent(SPACE_NODES, path)) {
        m->ancestor = tree_find(&s->tree, SPACE_NODES, path);
        if (m->ancestor != TREE_NONE) {
            return OUTCOME_OK;
        }
        if (m->count == PARENTS_MADE_MAX) {
            return OUTCOME_LIMIT;
        }
        if (roles_allow(s, ACL_CREATE, SPACE_NODES, path) != OUTCOME_OK) {
            return OUTCOME_NO_AUTH;
        }
        m->paths[m->count++] = path;
    }
}

/* Whether all quotas leave room for a node and for those that are missing above it. */
static enum outcome quotas_allow_create(struct store *s, const struct missing *m,
                                        const struct tree_key *key, const struct op *op)
{
    const struct quotas *q = &s->quotas;
    struct quota_amount more = {.bytes = key->path.size + op->data.size, .nodes = 1};
    bool fit = quotas_fit_at(q, key->path, key->hash, more, &s->refusal);
    for (uint32_t i = 0; fit && i < m->count; i++) {
        more.bytes += m->paths[i].size;
        more.nodes++;
        uint64_t hash = tree_hash(SPACE_NODES, m->paths[i]);
        fit = quotas_fit_at(q, m->paths[i], hash, more, &s->refusal);
    }
    return quota_outcome(fit && quotas_fit(q, &s->tree, m->ancestor, more, &s->refusal));
}

static uint32_t missing_make(struct store *s, const struct missing *m)
{
    uint32_t parent = m->ancestor;
    for (uint32_t i = m->count; i-- > 0;) {
        struct tree_key key = {
            .space = SPACE_NODES,
            .kind = NODE_PERSISTENT,
            .parent = parent,
            .path = m->paths[i],
            .hash = tree_hash(SPACE_NODES, m->paths[i]),
        };
        parent = edit_create(s, &key, NULL);
    }
    return parent;
}

/* The path with the parent's counter at its end; the counter of a parent yet to be made is 0. */
static struct slice sequential_path(struct store *s, struct slice path, uint32_t parent)
{
    const struct dir *dir = parent == TREE_NONE ? NULL : node_dir(tree_node(&s->tree, parent));
    uint8_t *whole = arena_alloc(&s->arena, path.size + SEQUENCE_DIGITS_MAX + 1);
    memcpy(whole, path.data, path.size);
    int digits = snprintf((char *)whole + path.size, SEQUENCE_DIGITS_MAX + 1, "%010" PRIu64,
                          dir == NULL ? 0 : dir->sequence_next);
    return slice_make(whole, path.size + (size_t)digits);
}

/* Whose lease it is that an ephemeral is to go with. A command in a session's name has proved that
 * this one is the caller's. */
enum outcome lease_usable(const struct store *s, uint64_t id)
{
    const struct lease *l = lease_table_find(&s->leases, id);
    if (l == NULL) {
        return OUTCOME_NO_LEASE;
    }
    bool own = s->edit.command->session == l->id || access_lease(&s->access, l, false);
    return own ? OUTCOME_OK : OUTCOME_NO_AUTH;
}

static enum outcome roles_allow_create(const struct store *s, const struct op *op,
                                       struct slice parent)
{
    if (op->flags & OP_SEQUENTIAL) {
        return access_child(&s->access, ACL_CREATE, parent) ? OUTCOME_OK : OUTCOME_NO_AUTH;
    }
    return roles_allow(s, ACL_CREATE, op->space, op->path);
}

/* The parent, or what is missing of it: the part of the checks that comes before the name. */
static enum outcome create_find_parent(const struct store *s, const struct op *op,
                                       struct missing *missing)
{
    enum outcome outcome = op->kind == NODE_EPHEMERAL ? lease_usable(s, op->lease) : OUTCOME_OK;
    if (outcome == OUTCOME_OK) {
        outcome = path_check_first(op->path);
    }
    if (outcome == OUTCOME_OK) {
        outcome = op_acl_check(op, NULL);
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    struct slice parent = op->path.size == 1 ? op->path : path_parent(op->space, op->path);
    outcome = roles_allow_create(s, op, parent);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    missing->count = 0;
    missing->ancestor = tree_find(&s->tree, op->space, parent);
    if (missing->ancestor == TREE_NONE) {
        if ((op->flags & OP_MAKE_PARENTS) == 0) {
            return OUTCOME_NO_PARENT;
        }
        outcome = path_check(op->path, (op->flags & OP_SEQUENTIAL) != 0, NULL);
        if (outcome == OUTCOME_OK) {
            outcome = missing_find(s, parent, missing);
        }
    }
    return outcome == OUTCOME_OK ? caller_may(s, missing->ancestor, ACL_CREATE) : outcome;
}

enum outcome apply_create(struct store *s, const struct op *op, struct op_result *result)
{
    struct tree *t = &s->tree;
    struct missing missing; /* not cleared: it is large, and rarely used */
    if (space_is_flat(op->space)) {
        return flat_create(s, op, result);
    }
    enum outcome outcome = create_find_parent(s, op, &missing);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    uint32_t parent = missing.count == 0 ? missing.ancestor : TREE_NONE;
    struct tree_key key = {
        .space = op->space,
        .kind = op->kind,
        .path = op->path,
        .lease = op->lease,
        .ttl_ms = op->ttl_ms,
    };
    if (op->flags & OP_SEQUENTIAL) {
        key.path = sequential_path(s, op->path, parent);
    }
    key.hash = tree_hash(key.space, key.path);
    outcome = path_check(key.path, false, NULL);
    if (outcome == OUTCOME_OK && (op->flags & OP_SEQUENTIAL) != 0) {
        outcome = roles_allow(s, ACL_CREATE, key.space, key.path);
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (parent != TREE_NONE && tree_find(t, key.space, key.path) != TREE_NONE) {
        return OUTCOME_NODE_EXISTS;
    }
    if (node_kind_of(tree_node(t, missing.ancestor)) == NODE_EPHEMERAL) {
        return OUTCOME_EPHEMERAL_PARENT;
    }
    if (queues_protect_below(s, missing.ancestor, op->kind) ||
        config_protects(s, op, key.path)) {
        return OUTCOME_PROTECTED;
    }
    if (s->quotas.count > 0) {
        outcome = quotas_allow_create(s, &missing, &key, op);
    }
    if (outcome == OUTCOME_OK) {
        outcome = list_intern(s, op, &key.acl);
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    key.parent = missing_make(s, &missing);
    (void)create_at(s, &key, op_value(s, op), result);
    return OUTCOME_OK;
}

/* ---- set, set_acl, check ------------------------------------------------------------------ */

/* Finds a node that a write is about, for those whose roles allow it: others do not learn whether
 * it is there. A path that is found is well-formed; of the others only the writes say how they are
 * wrong. */
static enum outcome op_find(const struct store *s, const struct op *op,
                            enum acl_permission right, uint32_t *slot)
{
    *slot = TREE_NONE;
    enum outcome outcome = roles_allow(s, right, op->space, op->path);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    *slot = tree_find(&s->tree, op->space, op->path);
    if (*slot != TREE_NONE) {
        return OUTCOME_OK;
    }
    if (!space_is_flat(op->space)) {
        outcome = path_check(op->path, false, NULL);
    }
    return outcome != OUTCOME_OK ? outcome : OUTCOME_NO_NODE;
}

static bool version_matches(const struct store *s, const struct op *op, uint32_t slot)
{
    return op->version == VERSION_ANY || op->version == tree_node(&s->tree, slot)->version;
}

/* Which it is, is for those who may read it. */
static enum outcome refuse_version(struct store *s, const struct op *op, uint32_t slot,
                                   uint32_t version)
{
    bool may_read = access_node(&s->access, slot, ACL_READ) &&
                    access_path(&s->access, ACL_READ, op->space, op->path);
    if (may_read && s->level >= 2) { /* older members answer without */
        s->refusal = (struct refusal){
            .bound = BOUND_VERSION, .used = version, .wanted = op->version};
    }
    return OUTCOME_BAD_VERSION;
}

/* The same, of the version of the value. */
static enum outcome refuse_value(struct store *s, const struct op *op, uint32_t slot)
{
    return refuse_version(s, op, slot, tree_node(&s->tree, slot)->version);
}

enum outcome apply_check_version(struct store *s, const struct op *op)
{
    uint32_t slot;
    enum outcome outcome = op_find(s, op, ACL_READ, &slot);
    if (outcome == OUTCOME_OK) {
        outcome = caller_may(s, slot, ACL_READ);
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    return version_matches(s, op, slot) ? OUTCOME_OK : refuse_value(s, op, slot);
}

/* In a flat space a set without a version is a put: it creates the key if there is none. */
enum outcome apply_set(struct store *s, const struct op *op, struct op_result *result)
{
    uint32_t slot;
    enum outcome outcome = op_find(s, op, ACL_WRITE, &slot);
    if (outcome == OUTCOME_NO_NODE && space_is_flat(op->space) && op->version == VERSION_ANY) {
        return flat_create(s, op, result);
    }
    if (outcome == OUTCOME_OK) {
        outcome = caller_may(s, slot, ACL_WRITE);
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (queues_protect_value(s, slot) || config_protects(s, op, op->path)) {
        return OUTCOME_PROTECTED;
    }
    if (!version_matches(s, op, slot)) {
        return refuse_value(s, op, slot);
    }
    if (!space_is_flat(op->space) &&
        !quotas_fit_value(&s->quotas, &s->tree, slot, op->data.size, &s->refusal)) {
        return OUTCOME_QUOTA;
    }
    edit_set(s, slot, op_value(s, op));
    result_fill(s, slot, result);
    return OUTCOME_OK;
}

enum outcome apply_set_acl(struct store *s, const struct op *op, struct op_result *result)
{
    uint32_t slot;
    uint32_t acl;
    enum outcome outcome = path_check_first(op->path);
    if (outcome == OUTCOME_OK) {
        outcome = op_acl_check(op, NULL);
    }
    if (outcome == OUTCOME_OK) {
        outcome = op_find(s, op, ACL_ADMIN, &slot);
    }
    if (outcome == OUTCOME_OK) {
        outcome = caller_may(s, slot, ACL_ADMIN);
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (queues_protect_value(s, slot)) {
        return OUTCOME_PROTECTED;
    }
    if (op->version != VERSION_ANY && op->version != tree_node(&s->tree, slot)->acl_version) {
        return refuse_version(s, op, slot, tree_node(&s->tree, slot)->acl_version);
    }
    outcome = list_intern(s, op, &acl);
    if (outcome == OUTCOME_OK) {
        edit_set_acl(s, slot, acl);
        if (op->space == SPACE_NODES && s->policies.root_count > 0) {
            rollout_give_list(s, op->path, acl);
        }
        result_fill(s, slot, result);
    }
    return outcome;
}

/* ---- delete ------------------------------------------------------------------------------- */

static bool is_protected(uint8_t space, struct slice path)
{
    return !space_is_flat(space) &&
           (slice_is(path, "/") || slice_is(path, "/zookeeper") ||
            slice_is(path, "/zookeeper/quota") || slice_is(path, "/zookeeper/config"));
}

/* The slots of a subtree in s->scratch, each before its descendants, siblings in reverse order of
 * name: read from the end it is the order of deletion. At most `limit`, else OUTCOME_LIMIT; and the
 * caller must be allowed to delete below every node that has something below it, and there must be
 * no queue of a recipe among them. */
static enum outcome subtree_collect(struct store *s, uint32_t top, uint64_t limit,
                                    uint64_t *count)
{
    struct buf *list = &s->scratch;
    struct buf stack = {0};
    bool may = true;
    bool queues = false;
    bool asks_roles = s->access.by_rules;
    buf_clear(list);
    buf_append(&stack, &top, sizeof top);
    *count = 0;
    while (stack.size > 0 && *count <= limit) {
        uint32_t slot;
        stack.size -= sizeof slot;
        memcpy(&slot, stack.data + stack.size, sizeof slot);
        buf_append(list, &slot, sizeof slot);
        ++*count;
        may = may && (!asks_roles || access_rules_of_slot(&s->access, ACL_DELETE, slot));
        const struct dir *dir = node_dir(tree_node(&s->tree, slot));
        if (dir != NULL && dir->children.count > limit) {
            *count = limit + 1;
            break;
        }
        queues = queues || queues_protect(s, slot);
        if (dir != NULL && dir->children.count > 0) {
            may = may && caller_may(s, slot, ACL_DELETE) == OUTCOME_OK;
        }
        struct children_position p = {0, 0};
        uint32_t child = dir == NULL ? TREE_NONE : children_next(&dir->children, &p);
        for (; child != TREE_NONE; child = children_next(&dir->children, &p)) {
            buf_append(&stack, &child, sizeof child);
        }
    }
    buf_close(&stack);
    return *count > limit ? OUTCOME_LIMIT
           : !may         ? OUTCOME_NO_AUTH
           : queues       ? OUTCOME_PROTECTED
                          : OUTCOME_OK;
}

static enum outcome delete_subtree(struct store *s, const struct op *op, uint32_t top,
                                   struct op_result *result)
{
    uint64_t limit = op->limit == 0 ? UINT32_MAX : op->limit;
    uint64_t count;
    enum outcome outcome = subtree_collect(s, top, limit, &count);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    result->count = count;
    if (op->flags & OP_DRY_RUN) {
        return OUTCOME_OK;
    }
    /* The changes use the scratch memory that the list is in. */
    struct buf taken = s->scratch;
    const uint32_t *collected = (const uint32_t *)(const void *)taken.data;
    s->scratch = (struct buf){0};
    for (uint64_t i = count; i-- > 0;) {
        edit_delete(s, collected[i]);
    }
    buf_close(&taken);
    return OUTCOME_OK;
}

/* Who may not delete below the parent is told so, whether or not the node is there. */
static enum outcome delete_find(const struct store *s, const struct op *op, uint32_t *slot)
{
    enum outcome outcome = op_find(s, op, ACL_DELETE, slot);
    if (outcome == OUTCOME_NO_AUTH) {
        return outcome;
    }
    uint32_t parent = *slot == TREE_NONE
                          ? tree_find(&s->tree, op->space, path_parent(op->space, op->path))
                          : tree_node(&s->tree, *slot)->parent;
    enum outcome may = caller_may(s, parent, ACL_DELETE);
    return may == OUTCOME_OK ? outcome : may;
}

enum outcome apply_delete(struct store *s, const struct op *op, struct op_result *result)
{
    uint32_t slot;
    if (is_protected(op->space, op->path)) {
        return OUTCOME_PROTECTED;
    }
    enum outcome outcome = delete_find(s, op, &slot);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (!version_matches(s, op, slot)) {
        return refuse_value(s, op, slot);
    }
    if (queues_protect(s, slot) || config_protects(s, op, op->path)) {
        return OUTCOME_PROTECTED;
    }
    const struct dir *dir = node_dir(tree_node(&s->tree, slot));
    bool has_children = dir != NULL && dir->children.count > 0;
    if (has_children && (op->flags & OP_RECURSIVE) == 0) {
        return OUTCOME_NOT_EMPTY;
    }
    if (has_children) {
        return delete_subtree(s, op, slot, result);
    }
    result->count = 1;
    if ((op->flags & OP_DRY_RUN) == 0) {
        edit_delete(s, slot);
    }
    return OUTCOME_OK;
}
