#include "store/reap.h"

#include "base/assert.h"
#include "base/mutant.h"
#include "recipes/record.h"
#include "store/apply.h"
#include "store/queues.h"
#include "store/state.h"

#define NEVER UINT64_MAX

static struct dir *reap_dir(const struct node *n)
{
    uint8_t kind = node_kind_of(n);
    return kind == NODE_CONTAINER || kind == NODE_TTL || kind == NODE_RECIPE ? n->dir : NULL;
}

/* The cluster_ms from which on the node may be removed: 0 for an emptied container or recipe,
 * unless that is to stay. */
static uint64_t node_due_ms(const struct node *n)
{
    uint8_t kind = node_kind_of(n);
    if (reap_dir(n) == NULL || n->dir->children.count > 0) {
        return NEVER;
    }
    if (kind == NODE_RECIPE && recipe_head_keeps(value_slice(n->value))) {
        return NEVER;
    }
    if (kind != NODE_TTL) { /* one that never had a child is still waiting for its first */
        return n->dir->sequence_next > 0 ? 0 : NEVER;
    }
    uint64_t most = NEVER - 1 - n->dir->ttl_ms;
    return (n->dir->touched_ms < most ? n->dir->touched_ms : most) + n->dir->ttl_ms;
}

void reap_note(struct store *s, uint32_t slot)
{
    const struct node *n = tree_node(&s->tree, slot);
    struct dir *dir = reap_dir(n);
    if (dir == NULL) {
        return;
    }
    uint64_t due_ms = node_due_ms(n);
    if (due_ms == NEVER) {
        heap_remove(&s->reap, &dir->due);
    } else {
        dir->slot = slot;
        heap_update(&s->reap, &dir->due, due_ms);
    }
}

void reap_forget(struct store *s, uint32_t slot)
{
    struct dir *dir = reap_dir(tree_node(&s->tree, slot));
    if (dir != NULL) {
        heap_remove(&s->reap, &dir->due);
    }
}

void reap_rebuild(struct store *s)
{
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        if ((tree_node(&s->tree, slot)->bits & (NODE_FREE | NODE_HIDDEN)) == 0) {
            reap_note(s, slot);
        }
    }
}

/* ---- what the leader asks ----------------------------------------------------------------- */

static uint32_t due_slot(struct heap_node *node)
{
    return HEAP_OF(node, struct dir, due)->slot;
}

static uint32_t entry_slot(struct heap_node *node)
{
    return HEAP_OF(node, struct recipe_entry, due)->node;
}

/* The nodes of a heap with a key of at most `key` hang together at its root: they are found without
 * looking at many others. At most `max` of them, as places in the heap, in due[].revision. */
static size_t heap_collect(const struct heap *h, uint64_t key, struct store_due *due, size_t max)
{
    size_t count = 0;
    size_t walked = 0;
    if (h->count > 0 && h->nodes[0]->key <= key && max > 0) {
        due[count++].revision = 0;
    }
    for (; walked < count; walked++) { /* breadth first: `due` holds places meanwhile */
        size_t child = 2 * (size_t)due[walked].revision + 1;
        for (size_t i = child; i < child + 2 && i < h->count && count < max; i++) {
            if (h->nodes[i]->key <= key) {
                due[count++].revision = i;
            }
        }
    }
    return count;
}

/* Of one heap; from places to slots. */
static size_t slots_collect(const struct heap *h, uint32_t (*slot_of)(struct heap_node *),
                            uint64_t key, struct store_due *due, size_t max)
{
    size_t count = heap_collect(h, key, due, max);
    for (size_t i = 0; i < count; i++) {
        due[i].revision = slot_of(h->nodes[due[i].revision]);
    }
    return count;
}

/* Waits and holds whose time has run out come first: somebody waits for them. */
size_t store_reap_due(struct store *s, uint64_t cluster_ms, struct store_due *due, size_t max)
{
    const struct tree *t = &s->tree;
    uint64_t key = cluster_ms < NEVER ? cluster_ms : NEVER - 1;
    size_t count = slots_collect(&s->recipes.due, entry_slot, key, due, max);
    count += slots_collect(&s->reap, due_slot, key, due + count, max - count);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += tree_path_bytes(t, (uint32_t)due[i].revision);
    }
    buf_clear(&s->scratch);
    uint8_t *at = buf_extend(&s->scratch, bytes);
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = (uint32_t)due[i].revision;
        due[i].path = slice_make(at, tree_path_bytes(t, slot));
        due[i].revision = tree_node(t, slot)->create_revision;
        tree_path_write(t, slot, at);
        at += due[i].path.size;
    }
    return count;
}

uint64_t store_reap_next_ms(const struct store *s)
{
    const struct heap_node *node = heap_peek(&s->reap);
    const struct heap_node *entry = heap_peek(&s->recipes.due);
    uint64_t node_ms = node == NULL ? NEVER : node->key;
    uint64_t entry_ms = entry == NULL ? NEVER : entry->key;
    return node_ms < entry_ms ? node_ms : entry_ms;
}

/* ---- the command -------------------------------------------------------------------------- */

/* Whatever was true when it was proposed: only a node that is still the same and due now goes. */
void apply_reap(struct store *s, const struct apply_context *context, const struct command *c,
                struct reply *reply)
{
    const struct command_reap *reap = &c->reap;
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, reap->path);
    const struct node *n = tree_node(&s->tree, slot);
    if (slot != TREE_NONE && n->create_revision == reap->revision && queues_is_due(s, slot)) {
        queues_reap(s, context, c, slot);
        return;
    }
    uint64_t due_ms = slot == TREE_NONE ? NEVER : node_due_ms(n);
    bool is_early = due_ms > s->cluster_ms && !MUTANT_IS(MUTANT_REAP_UNSEEN);
    if (due_ms == NEVER || is_early || n->create_revision != reap->revision) {
        reply->outcome = OUTCOME_NOT_DUE;
        return;
    }
    edit_begin(s, context, c);
    s->edit.reason = node_kind_of(n) == NODE_TTL ? REASON_AGED : REASON_EMPTIED;
    edit_delete(s, slot);
    edit_commit(s);
}

/* ---- invariants --------------------------------------------------------------------------- */

void reap_check(const struct store *s)
{
    size_t due = 0;
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        const struct node *n = tree_node(&s->tree, slot);
        const struct dir *dir = n->bits & (NODE_FREE | NODE_HIDDEN) ? NULL : reap_dir(n);
        POST(node_kind_of(n) != NODE_TTL || (n->bits & NODE_FREE) != 0 || dir != NULL);
        if (dir == NULL) {
            continue;
        }
        uint64_t due_ms = node_due_ms(n);
        POST(heap_contains(&dir->due) == (due_ms != NEVER));
        POST(due_ms == NEVER || (dir->due.key == due_ms && dir->slot == slot));
        due += due_ms != NEVER;
    }
    POST(due == s->reap.count);
}
