#include "store/query_recipe.h"

#include "recipes/answer.h"
#include "recipes/explain.h"
#include "store/query_walk.h"
#include "store/state.h"

/* What a lock or a wait costs of a page besides its bytes. */
#define LOCK_COST_BYTES ((size_t)64)

/* ---- locks -------------------------------------------------------------------------------- */

struct lock_page {
    const struct query *query;
    const struct store *store;
    struct arena *arena;
    struct query_lock *locks;
    uint32_t count;
    uint32_t capacity;
    size_t bytes;
};

static void page_grow(struct lock_page *p)
{
    uint32_t capacity = p->capacity == 0 ? 16 : p->capacity * 2;
    struct query_lock *locks = arena_alloc(p->arena, capacity * sizeof *locks);
    if (p->count > 0) {
        memcpy(locks, p->locks, p->count * sizeof *locks);
    }
    p->locks = locks;
    p->capacity = capacity;
}

static const struct query_entry *first_holder(const struct lock_page *p,
                                              const struct query_walk *w,
                                              const struct recipe_queue *queue)
{
    if (list_empty(&queue->held)) {
        return NULL;
    }
    struct query_entry *e = arena_alloc(p->arena, sizeof *e);
    query_walk_entry(w, ENTRY_IN_QUEUE(queue->held.next)->node, true, p->arena, e);
    return e->unreadable ? NULL : e;
}

static struct slice path_of(const struct tree *t, uint32_t slot, struct arena *arena)
{
    size_t bytes = tree_path_bytes(t, slot);
    uint8_t *path = arena_alloc(arena, bytes);
    tree_path_write(t, slot, path);
    return slice_make(path, bytes);
}

static bool is_recipe(const struct store *s, uint32_t slot)
{
    return node_kind_of(tree_node(&s->tree, slot)) == NODE_RECIPE;
}

/* NULL: it is none, or nobody is there. */
static const struct recipe_queue *lock_of(const struct store *s, uint32_t slot)
{
    const struct recipe_queue *queue =
        is_recipe(s, slot) ? recipe_queue_find(&s->recipes, slot) : NULL;
    return queue != NULL && queue->recipe == RECIPE_LOCK ? queue : NULL;
}

/* False: the page is full. The first lock always fits. One that nobody holds any more is about to
 * go, and not told. */
static bool page_add(struct lock_page *p, const struct query_walk *w, uint32_t slot)
{
    const struct recipe_queue *queue = lock_of(p->store, slot);
    if (queue == NULL || !query_may_read(w, slot)) {
        return true;
    }
    struct query_lock lock = {
        .path = path_of(w->tree, slot, p->arena),
        .permits = queue->permits,
        .held = queue->held_count,
        .waiting = queue->waiting_count,
        .first = first_holder(p, w, queue),
    };
    size_t bytes = lock.path.size + LOCK_COST_BYTES;
    bytes += lock.first == NULL ? 0 : lock.first->path.size + lock.first->data.size;
    uint32_t limit = p->query->limit > 0 ? p->query->limit : QUERY_PAGE_ENTRIES_MAX;
    if (p->count > 0 && (p->count >= limit || p->bytes + bytes > QUERY_PAGE_BYTES_MAX)) {
        return false;
    }
    if (p->count == p->capacity) {
        page_grow(p);
    }
    p->locks[p->count++] = lock;
    p->bytes += bytes;
    return true;
}

/* Returns the last node that was looked at. */
static uint32_t page_fill(struct lock_page *p, struct query_walk *w, bool *more)
{
    uint32_t last = TREE_NONE;
    for (uint32_t looked = 0;; looked++) {
        uint32_t slot = query_walk_next(w);
        *more = slot != TREE_NONE;
        if (slot == TREE_NONE || looked == QUERY_PAGE_NODES_MAX || !page_add(p, w, slot)) {
            return last;
        }
        last = slot;
        if (is_recipe(p->store, slot)) {
            w->last = TREE_NONE; /* below it is its queue */
        }
    }
}

void query_locks(const struct access *access, uint32_t top, const struct query *q,
                 struct query_result *result, struct arena *arena)
{
    const struct store *s = access->store;
    struct lock_page page = {.query = q, .store = s, .arena = arena};
    struct query_walk w = {
        .tree = &s->tree,
        .access = access,
        .asks_roles = !access_is_uniform(access, q->path),
        .top = top,
        .parent = top,
        .recursive = true,
    };
    if (q->after.size > 0 && !query_walk_seek(&w, q->path, q->after)) {
        result->outcome = OUTCOME_BAD_CURSOR;
        return;
    }
    uint32_t last = TREE_NONE;
    if (is_recipe(s, top)) {
        (void)page_add(&page, &w, top); /* which fits */
    } else {
        last = page_fill(&page, &w, &result->more);
    }
    result->locks = page.locks;
    result->lock_count = page.count;
    if (result->more) {
        result->next = path_of(&s->tree, last, arena);
    }
}

/* ---- waits -------------------------------------------------------------------------------- */

static bool may_see(void *context, const struct recipe_entry *e)
{
    return query_may_read(context, e->node);
}

static void wait_fill(const struct store *s, const struct waits_link *link, struct arena *arena,
                      struct recipe_wait *w)
{
    *w = (struct recipe_wait){
        .lease = link->wants->owner->lease,
        .owner = link->wants->owner->id,
        .path = path_of(&s->tree, link->wants->queue->node, arena),
        .mode = link->wants->mode,
        .blocker_lease = link->blocker->owner->lease,
        .blocker_owner = link->blocker->owner->id,
        .blocker_holds = link->blocker->state == ENTRY_HELD,
        .blocker_mode = link->blocker->mode,
    };
}

void query_waits(const struct access *access, uint32_t slot, const struct query *q,
                 struct query_result *result, struct arena *arena)
{
    const struct store *s = access->store;
    struct query_walk w = {
        .tree = &s->tree,
        .access = access,
        .asks_roles = !access_is_uniform(access, slice_str("/")),
    };
    struct explain_asked asked = {
        .limit = q->limit > 0 && q->limit < QUERY_PAGE_ENTRIES_MAX ? q->limit
                                                                    : QUERY_PAGE_ENTRIES_MAX,
        .may_see = may_see,
        .context = &w,
    };
    const struct node *n = tree_node(&s->tree, slot);
    const struct recipe_queue *queue = lock_of(s, slot);
    struct recipe_head head;
    if (queue == NULL) { /* nobody is there, or it is something else */
        bool is_lock = is_recipe(s, slot) &&
                       recipe_head_decode(value_slice(n->value), &head, arena) &&
                       head.recipe == RECIPE_LOCK;
        result->outcome = is_lock ? OUTCOME_OK : OUTCOME_NO_RECIPE;
        return;
    }
    struct waits_link *links;
    uint32_t count = lock_explain(queue, &asked, arena, &links, &result->more);
    struct recipe_wait *waits = arena_alloc(arena, count * sizeof *waits);
    size_t bytes = 0;
    uint32_t told = 0;
    for (; told < count; told++) {
        struct recipe_wait *wait = &waits[told];
        wait_fill(s, &links[told], arena, wait);
        bytes += wait->path.size + wait->owner.size + wait->blocker_owner.size + LOCK_COST_BYTES;
        if (told > 0 && bytes > QUERY_PAGE_BYTES_MAX) {
            result->more = true;
            break;
        }
    }
    result->waits = waits;
    result->wait_count = told;
}
