#include "store/queues.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "recipes/lock.h"
#include "recipes/settle.h"
#include "store/apply.h"
#include "store/shards.h"
#include "store/state.h"

static bool is_recipe(const struct store *s, uint32_t slot)
{
    return slot != TREE_NONE && node_kind_of(tree_node(&s->tree, slot)) == NODE_RECIPE;
}

static bool is_entry(const struct store *s, uint32_t slot)
{
    return slot != TREE_NONE && is_recipe(s, tree_node(&s->tree, slot)->parent);
}

bool queues_protect(const struct store *s, uint32_t slot)
{
    if (slot == TREE_NONE) {
        return false;
    }
    const struct dir *dir = node_dir(tree_node(&s->tree, slot));
    if (shards_own(s, slot)) {
        return true;
    }
    return is_entry(s, slot) || (is_recipe(s, slot) && dir != NULL && dir->children.count > 0);
}

bool queues_protect_value(const struct store *s, uint32_t slot)
{
    return is_recipe(s, slot) || is_entry(s, slot) || shards_own(s, slot);
}

bool queues_protect_below(const struct store *s, uint32_t slot, uint8_t kind)
{
    bool is_own = s->edit.command->type == COMMAND_RECIPE && kind == NODE_EPHEMERAL;
    return (is_recipe(s, slot) && !is_own) || shards_own(s, slot);
}

/* ---- what recipes are lent ---------------------------------------------------------------- */

static struct slice lent_path(void *context, uint32_t node)
{
    struct store *s = ((struct queues_lent *)context)->store;
    size_t size = tree_path_bytes(&s->tree, node);
    uint8_t *path = arena_alloc(&s->arena, size);
    tree_path_write(&s->tree, node, path);
    return slice_make(path, size);
}

static struct slice lent_read(void *context, uint32_t node)
{
    struct store *s = ((struct queues_lent *)context)->store;
    /* A copy, since the node is changed with what was read at hand. */
    return arena_copy(&s->arena, value_slice(tree_node(&s->tree, node)->value));
}

static bool lent_may_read(void *context, uint32_t node)
{
    const struct access *access = &((struct queues_lent *)context)->store->access;
    return access_node(access, node, ACL_READ) &&
           access_rules_of_slot(access, ACL_READ, node);
}

static void lent_set(void *context, uint32_t node, struct slice value)
{
    struct store *s = ((struct queues_lent *)context)->store;
    edit_set(s, node, value_new(s->values, value));
}

static void lent_remove(void *context, uint32_t node)
{
    edit_delete(((struct queues_lent *)context)->store, node);
}

static uint32_t create(struct queues_lent *lent, const struct op *op)
{
    struct store *s = lent->store;
    struct op_result result = {0};
    lent->outcome = apply_create(s, op, &result);
    return lent->outcome == OUTCOME_OK ? tree_find(&s->tree, SPACE_NODES, result.path)
                                       : RECIPE_NO_NODE;
}

static uint32_t lent_make_queue(void *context, struct slice path, struct slice value)
{
    struct queues_lent *lent = context;
    uint32_t slot = tree_find(&lent->store->tree, SPACE_NODES, path);
    if (slot != TREE_NONE && !is_recipe(lent->store, slot)) {
        lent->outcome = OUTCOME_NO_RECIPE; /* made above or as another lock of the same command */
        return RECIPE_NO_NODE;
    }
    if (slot != TREE_NONE) {
        edit_set(lent->store, slot, value_new(lent->store->values, value));
        return slot;
    }
    struct op op = {
        .type = OP_CREATE,
        .flags = OP_MAKE_PARENTS,
        .space = SPACE_NODES,
        .kind = NODE_RECIPE,
        .path = path,
        .data = value,
    };
    return create(lent, &op);
}

static uint32_t lent_make_entry(void *context, struct slice path, uint64_t lease,
                                struct slice value)
{
    struct queues_lent *lent = context;
    struct slice prefix = slice_str("/" QUEUE_ENTRY_PREFIX);
    uint8_t *whole = arena_alloc(&lent->store->arena, path.size + prefix.size);
    memcpy(whole, path.data, path.size);
    memcpy(whole + path.size, prefix.data, prefix.size);
    struct op op = {
        .type = OP_CREATE,
        .flags = OP_SEQUENTIAL,
        .space = SPACE_NODES,
        .kind = NODE_EPHEMERAL,
        .path = slice_make(whole, path.size + prefix.size),
        .data = value,
        .lease = lease,
    };
    return create(lent, &op);
}

static void lent_begin_grants(void *context)
{
    ((struct queues_lent *)context)->store->edit.reason = REASON_GRANTED;
}

void queues_lend(struct store *s, struct queues_lent *lent, struct recipe_ops *ops)
{
    *lent = (struct queues_lent){.store = s, .outcome = OUTCOME_OK};
    *ops = (struct recipe_ops){
        .context = lent,
        .arena = &s->arena,
        .revision = s->edit.revision,
        .cluster_ms = s->cluster_ms,
        .wall_ms = s->edit.context->wall_ms,
        .path = lent_path,
        .read = lent_read,
        .may_read = lent_may_read,
        .set = lent_set,
        .remove = lent_remove,
        .make_queue = lent_make_queue,
        .make_entry = lent_make_entry,
        .begin_grants = lent_begin_grants,
    };
}

/* ---- entries that go ---------------------------------------------------------------------- */

void queues_forget(struct store *s, uint32_t slot)
{
    struct recipe_entry *e = recipe_entry_find(&s->recipes, slot);
    if (e != NULL) {
        recipe_queue_touch(&s->recipes, e->queue);
        recipe_entry_remove(&s->recipes, e);
    }
}

void queues_settle(struct store *s)
{
    struct queues_lent lent;
    struct recipe_ops ops;
    queues_lend(s, &lent, &ops);
    recipes_settle(&s->recipes, &ops);
}

bool queues_is_due(const struct store *s, uint32_t slot)
{
    const struct recipe_entry *e = recipe_entry_find(&s->recipes, slot);
    return e != NULL && recipe_entry_is_due(e, s->cluster_ms);
}

void queues_reap(struct store *s, const struct apply_context *context, const struct command *c,
                 uint32_t slot)
{
    struct queues_lent lent;
    struct recipe_ops ops;
    edit_begin(s, context, c);
    s->edit.reason = REASON_TIMED_OUT;
    queues_lend(s, &lent, &ops);
    struct recipe_entry *e = recipe_entry_find(&s->recipes, slot);
    if (lock_release(&s->recipes, &ops, e, &(struct lock_release){.all = true}) != RECIPE_OK) {
        lock_cancel(&s->recipes, &ops, e); /* a wait, with all its parts */
    }
    recipes_settle(&s->recipes, &ops);
    edit_commit(s);
}

/* ---- loading ------------------------------------------------------------------------------ */

/* The number of an entry from its name, as the parent's counter gave it. */
static bool entry_number(struct slice name, uint64_t *number)
{
    size_t skip = sizeof QUEUE_ENTRY_PREFIX - 1;
    if (name.size < skip + 10 || memcmp(name.data, QUEUE_ENTRY_PREFIX, skip) != 0) {
        return false;
    }
    size_t digits = name.size - skip;
    while (digits > 1 && name.data[name.size - digits] == '0') {
        digits--;
    }
    return (digits >= 10 || name.size == skip + 10) &&
           slice_number(slice_make(name.data + name.size - digits, digits), number);
}

/* Entries of one recipe have modes of their own; what has no queue has no entries. */
static bool mode_fits(const struct recipe_queue *q, uint8_t mode)
{
    switch (q->recipe) {
    case RECIPE_LOCK: return mode < MODE_CANDIDATE && (mode == LOCK_PERMITS) == (q->permits > 0);
    case RECIPE_ELECTION: return mode == MODE_CANDIDATE;
    case RECIPE_BARRIER: return mode == MODE_PARTY;
    default: return false;
    }
}

/* What does not fit what was loaded before it. */
static bool entry_fits(const struct recipes *r, const struct recipe_queue *q, uint64_t lease,
                       const struct recipe_record *record)
{
    if (!mode_fits(q, record->mode) || record->permits > q->permits) {
        return false;
    }
    struct recipe_owner *o = recipe_owner_find(r, q->recipe, lease, record->owner);
    if (o != NULL && q->recipe != RECIPE_LOCK) { /* one candidate or party in each */
        return recipe_owner_holds(o, q) == NULL && recipe_owner_waits(o, q) == NULL;
    }
    if (o == NULL || record->state == ENTRY_HELD) {
        return true;
    }
    uint32_t count = 0;
    for (struct list *at = o->waits.next; at != &o->waits; at = at->next) {
        const struct recipe_entry *e = ENTRY_IN_OWNER(at);
        if (record->group == 0 || e->group != record->group || e->part == record->part ||
            e->queue == q || ++count >= LOCK_TARGETS_MAX) {
            return false;
        }
    }
    return true;
}

/* Who is inside went in together. */
static bool round_is_sound(const struct recipe_queue *q)
{
    for (struct list *at = q->held.next; at != &q->held; at = at->next) {
        if (ENTRY_IN_QUEUE(at)->epoch != ENTRY_IN_QUEUE(q->held.next)->epoch) {
            return false;
        }
    }
    return q->held_count <= q->parties;
}

static bool queue_is_sound(const struct recipe_queue *q)
{
    if (q->recipe == RECIPE_ELECTION) {
        return q->held_count <= 1;
    }
    if (q->recipe == RECIPE_BARRIER) {
        return round_is_sound(q);
    }
    if (q->permits > 0) {
        return q->held_permits <= q->permits;
    }
    for (struct list *at = q->held.next; q->held_writes > 0 && at != &q->held; at = at->next) {
        if (ENTRY_IN_QUEUE(at)->owner != ENTRY_IN_QUEUE(q->held.next)->owner) {
            return false;
        }
    }
    return true;
}

static bool entry_load(struct store *s, struct recipe_queue *q, uint32_t slot)
{
    struct recipe_record record;
    const struct node *n = tree_node(&s->tree, slot);
    bool is_sound = node_kind_of(n) == NODE_EPHEMERAL && n->value != NULL &&
                    recipe_record_decode(value_slice(n->value), &record, &s->arena) &&
                    record.epoch <= s->revision &&
                    entry_fits(&s->recipes, q, n->lease, &record);
    if (is_sound) {
        struct recipe_entry *e = recipe_entry_add(&s->recipes, q, n->lease, &record);
        recipe_entry_bind(&s->recipes, e, q->node, slot);
    }
    return is_sound;
}

static bool queue_load(struct store *s, uint32_t slot)
{
    struct recipe_head head;
    const struct node *n = tree_node(&s->tree, slot);
    if (n->value == NULL ||
        !recipe_head_decode(value_slice(n->value), &head, &s->arena)) {
        return false;
    }
    const struct dir *dir = node_dir(n);
    if (dir == NULL || dir->children.count == 0) {
        return true;
    }
    struct recipe_queue *q = recipe_queue_add(&s->recipes, slot, &head);
    struct children_position p = {0, 0};
    uint64_t last = 0;
    bool is_first = true;
    for (uint32_t child; (child = children_next(&dir->children, &p)) != TREE_NONE;) {
        uint64_t number;
        if (!entry_number(node_name(tree_node(&s->tree, child)), &number) ||
            (!is_first && number <= last) || !entry_load(s, q, child)) {
            return false;
        }
        last = number;
        is_first = false;
    }
    return queue_is_sound(q);
}

static bool node_is_live(const struct node *n)
{
    return (n->bits & (NODE_FREE | NODE_HIDDEN)) == 0;
}

/* Nobody waits for what could be granted. */
static bool waits_are_sound(const struct store *s)
{
    for (uint32_t slot = 1; s->recipes.entry_count > 0 && slot < s->tree.slot_end; slot++) {
        const struct recipe_entry *e = recipe_entry_find(&s->recipes, slot);
        if (e != NULL && recipe_entry_is_unsettled(e)) {
            return false;
        }
    }
    return true;
}

enum status queues_load(struct store *s, struct errmsg *err)
{
    arena_clear(&s->arena);
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        const struct node *n = tree_node(&s->tree, slot);
        if (!node_is_live(n) || node_kind_of(n) != NODE_RECIPE) {
            continue;
        }
        if (!queue_load(s, slot)) {
            struct slice name = node_name(n);
            return errmsg_set(err, RC_CORRUPT, "the queue of %.*s is not valid", (int)name.size,
                              (const char *)name.data);
        }
    }
    if (!waits_are_sound(s)) {
        return errmsg_set(err, RC_CORRUPT, "an entry of a queue waits for what is free");
    }
    return RC_OK;
}

/* ---- invariants --------------------------------------------------------------------------- */

static void entry_check(const struct store *s, const struct recipe_entry *e, uint32_t slot,
                        struct arena *arena)
{
    struct recipe_record record;
    const struct node *n = tree_node(&s->tree, slot);
    bool is_record = recipe_record_decode(value_slice(n->value), &record, arena);
    INVARIANT(27, is_record);
    INVARIANT(27, e->node == slot && e->queue->node == n->parent && e->owner->lease == n->lease);
    INVARIANT(27, slice_equal(e->owner->id, record.owner));
    INVARIANT(27, e->state == record.state && e->mode == record.mode);
    INVARIANT(27, e->permits == record.permits && e->count == record.count);
    INVARIANT(27, e->group == record.group && e->part == record.part);
    INVARIANT(27, e->epoch == record.epoch && e->hold_ms == record.hold_ms);
    INVARIANT(27, e->is_leaving == (record.leaving != 0));
    INVARIANT(27, (heap_contains(&e->due) ? e->due.key : 0) == record.deadline_ms);
    INVARIANT(27, recipe_entry_is_ranked(e, &record));
}

/* Candidates in the order in which they would lead. */
static void waiting_check(const struct recipe_queue *q)
{
    const struct recipe_entry *last = NULL;
    for (struct list *at = q->waiting.next; at != &q->waiting; at = at->next) {
        const struct recipe_entry *e = ENTRY_IN_QUEUE(at);
        INVARIANT(27, last == NULL || recipe_entry_comes_before(last, e));
        last = e;
    }
}

/* Returns how many entries it has. */
static uint32_t queue_check(const struct store *s, uint32_t slot, struct arena *arena)
{
    struct recipe_head head;
    const struct node *n = tree_node(&s->tree, slot);
    bool is_head = recipe_head_decode(value_slice(n->value), &head, arena);
    INVARIANT(27, is_head);
    const struct recipe_queue *q = recipe_queue_find(&s->recipes, slot);
    const struct dir *dir = node_dir(n);
    INVARIANT(27, (q != NULL) == (dir != NULL && dir->children.count > 0));
    if (q == NULL) {
        return 0;
    }
    INVARIANT(27, q->permits == head.permits && q->recipe == head.recipe);
    INVARIANT(27, q->parties == head.parties);
    INVARIANT(27, q->policy == head.policy && slice_equal(q->eligible, head.eligible));
    waiting_check(q);
    INVARIANT(27, list_empty(&q->dirty) && queue_is_sound(q));
    INVARIANT(27, q->held_count + q->waiting_count == dir->children.count);
    struct children_position p = {0, 0};
    uint64_t last = 0;
    for (uint32_t child; (child = children_next(&dir->children, &p)) != TREE_NONE;) {
        const struct recipe_entry *e = recipe_entry_find(&s->recipes, child);
        INVARIANT(27, e != NULL && e->order > last);
        last = e->order;
        entry_check(s, e, child, arena);
    }
    return dir->children.count;
}

void queues_check(const struct store *s)
{
    struct arena arena = {0};
    uint64_t entries = 0;
    uint64_t queues = 0;
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        if (node_is_live(tree_node(&s->tree, slot)) && is_recipe(s, slot)) {
            uint32_t count = queue_check(s, slot, &arena);
            entries += count;
            queues += count > 0;
        }
    }
    arena_close(&arena);
    INVARIANT(27, entries == s->recipes.entry_count && queues == s->recipes.queue_count);
    INVARIANT(27, entries == s->recipes.entries.count && queues == s->recipes.queues.count);
    INVARIANT(27, list_empty(&s->recipes.dirty) && waits_are_sound(s));
}
