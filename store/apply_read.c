/* Reads and guards within a transaction: they see the operations before them. */
#include "store/apply.h"

#include "base/mutant.h"
#include "store/shards.h"
#include "store/state.h"
#include "store/validate.h"

#define ENTRY_COST_BYTES ((size_t)128)

static enum outcome room_take(size_t *room, size_t bytes)
{
    if (bytes > *room) {
        return OUTCOME_TOO_LARGE;
    }
    *room -= bytes;
    return OUTCOME_OK;
}

/* Data is copied: a later operation of the same transaction may replace it. */
enum outcome apply_get(struct store *s, const struct op *op, struct op_result *result,
                       size_t *room)
{
    if (!access_path(&s->access, ACL_READ, op->space, op->path)) {
        return OUTCOME_NO_AUTH;
    }
    uint32_t slot = tree_find(&s->tree, op->space, op->path);
    if (slot == TREE_NONE) {
        return OUTCOME_NO_NODE;
    }
    if (!access_node(&s->access, slot, ACL_READ)) {
        return OUTCOME_NO_AUTH;
    }
    tree_stat(&s->tree, slot, &result->stat);
    if (op->flags & OP_STAT_ONLY) {
        return OUTCOME_OK;
    }
    const struct value *v = tree_node(&s->tree, slot)->value;
    enum outcome outcome = room_take(room, value_slice(v).size);
    if (outcome == OUTCOME_OK) {
        result->null_data = v == NULL;
        result->data = arena_copy(&s->arena, value_slice(v));
    }
    return outcome;
}

/* The children of a node, or the keys with a prefix: the first `limit`, or all, if they fit. Of
 * children whom the caller may not read there is only the name. */
enum outcome apply_list(struct store *s, const struct op *op, struct op_result *result,
                        size_t *room)
{
    const struct tree *t = &s->tree;
    const struct access *access = &s->access;
    if (!access_path(access, ACL_READ, op->space, op->path)) {
        return OUTCOME_NO_AUTH;
    }
    bool flat = space_is_flat(op->space);
    struct slice prefix = flat ? op->path : slice_make(NULL, 0);
    uint32_t top = flat ? tree_root(t, op->space) : tree_find(t, op->space, op->path);
    if (top == TREE_NONE) {
        return OUTCOME_NO_NODE;
    }
    if (!access_node(access, top, ACL_READ)) {
        return OUTCOME_NO_AUTH;
    }
    if (!flat) {
        tree_stat(t, top, &result->stat);
    }
    const struct dir *dir = node_dir(tree_node(t, top));
    uint32_t most = dir == NULL ? 0 : dir->children.count;
    if (op->limit > 0 && op->limit < most) {
        most = op->limit;
    }
    if (!flat && (uint64_t)most * ENTRY_COST_BYTES > *room) {
        return OUTCOME_TOO_LARGE;
    }
    struct children_position p = {0, 0};
    uint32_t child = TREE_NONE;
    if (dir != NULL) {
        p = children_seek(&dir->children, t, prefix, false);
        child = children_next(&dir->children, &p);
    }
    struct buf entries = {0};
    enum outcome outcome = OUTCOME_OK;
    for (; child != TREE_NONE && result->entry_count < most;
         child = children_next(&dir->children, &p)) {
        struct slice name = node_name(tree_node(t, child));
        if (!slice_begins(name, prefix)) {
            break;
        }
        outcome = room_take(room, ENTRY_COST_BYTES + name.size);
        if (outcome != OUTCOME_OK) {
            break;
        }
        struct op_list_entry entry = {.name = arena_copy(&s->arena, name)};
        if ((op->flags & OP_STAT_ONLY) != 0 && access_node(access, child, ACL_READ) &&
            access_rules_of_slot(access, ACL_READ, child)) {
            tree_stat(t, child, &entry.stat);
        }
        buf_append(&entries, &entry, sizeof entry);
        result->entry_count++;
    }
    struct slice kept = arena_copy(&s->arena, buf_slice(&entries));
    result->entries = (const struct op_list_entry *)(const void *)kept.data;
    buf_close(&entries);
    return outcome;
}

/* ---- guards ------------------------------------------------------------------------------- */

static bool relation_holds(uint8_t relation, int order)
{
    switch (relation) {
    case GUARD_EQUAL: return order == 0;
    case GUARD_NOT_EQUAL: return order != 0;
    case GUARD_LESS: return order < 0;
    default: return order > 0;
    }
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* A grant is a node of its holder; it is held as long as that node lives, and never by another one:
 * no two nodes were created under the same path at the same revision. An entry of a recipe's queue
 * may still be waiting. */
static bool grant_is_held(const struct store *s, uint32_t slot)
{
    const struct recipe_entry *e = recipe_entry_find(&s->recipes, slot);
    return e == NULL || e->state == ENTRY_HELD || MUTANT_IS(MUTANT_LOCK_GUARD_WAITING);
}

static bool guard_holds(const struct store *s, const struct guard *g, uint32_t slot)
{
    if (g->target == GUARD_EXISTS) {
        return relation_holds(g->relation, compare_numbers(slot != TREE_NONE, g->number));
    }
    if (g->target == GUARD_GRANT && MUTANT_IS(MUTANT_LOCK_GUARD_IGNORED)) {
        return true;
    }
    if (slot == TREE_NONE) {
        return g->relation == GUARD_NOT_EQUAL;
    }
    if (g->target == GUARD_VALUE) { /* no value compares as an empty one */
        struct slice value = value_slice(tree_node(&s->tree, slot)->value);
        return relation_holds(g->relation, slice_compare(value, g->value));
    }
    if (g->target == GUARD_GRANT && !grant_is_held(s, slot)) {
        return false;
    }
    if (g->target == GUARD_GRANT && MUTANT_IS(MUTANT_LOCK_GUARD_ANY_ENTRY)) {
        return true;
    }
    uint64_t epoch;
    if (g->target == GUARD_GRANT && shards_epoch(s, slot, &epoch)) {
        return epoch == g->number ||
               (epoch > g->number && MUTANT_IS(MUTANT_SHARD_GUARD_OLDER));
    }
    struct node_stat stat;
    tree_stat(&s->tree, slot, &stat);
    uint64_t number = g->target == GUARD_VERSION            ? stat.version
                      : g->target == GUARD_CHILDREN_VERSION ? stat_children_version(&stat)
                      : g->target == GUARD_MODIFY_REVISION  ? stat.modify_revision
                                                            : stat.create_revision;
    return relation_holds(g->relation, compare_numbers(number, g->number));
}

enum outcome guard_ask(const struct store *s, const struct guard *g, bool *holds)
{
    uint32_t slot = tree_find(&s->tree, g->space, g->path);
    if (g->space == SPACE_META && policy_is_root(g->path)) { /* no client can put one there */
        *holds = guard_holds(s, g, slot);
        return OUTCOME_OK;
    }
    if (!access_path(&s->access, ACL_READ, g->space, g->path) ||
        !access_node(&s->access, slot, ACL_READ)) {
        return OUTCOME_NO_AUTH;
    }
    *holds = guard_holds(s, g, slot);
    return OUTCOME_OK;
}

bool guards_hold(const struct store *s, const struct guard *guards, uint32_t count,
                 uint32_t *failed, enum outcome *outcome)
{
    for (uint32_t i = 0; i < count; i++) {
        bool holds = false;
        *outcome = guard_check(&guards[i], NULL);
        if (*outcome == OUTCOME_OK) {
            *outcome = guard_ask(s, &guards[i], &holds);
        }
        if (!holds) {
            *failed = i;
            return false;
        }
    }
    return true;
}

enum outcome guard_refusal(const struct store *s, const struct guard *g)
{
    bool is_stale = g->target == GUARD_GRANT && s->level >= 2;
    return is_stale ? OUTCOME_GUARD_STALE : OUTCOME_GUARD_REFUSED;
}

enum outcome guards_demand(const struct store *s, const struct guard *guards, uint32_t count,
                           uint32_t *failed)
{
    enum outcome outcome = OUTCOME_OK;
    if (guards_hold(s, guards, count, failed, &outcome)) {
        return OUTCOME_OK;
    }
    return outcome == OUTCOME_OK ? guard_refusal(s, &guards[*failed]) : outcome;
}
