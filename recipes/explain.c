#include "recipes/explain.h"

/* Breadth first: `seen` are the entries whose edges are told, in this order. */
struct explain {
    const struct explain_asked *asked;
    struct id_map is_seen; /* by node */
    struct id_map writes;  /* of reads that were passed: the nearest write ahead, or itself: none */
    struct buf seen;
    struct buf links;
    uint32_t count;
    uint32_t steps;
    bool is_full;
};

static bool step(struct explain *x)
{
    x->is_full = x->is_full || ++x->steps > WAITS_STEPS_MAX;
    return !x->is_full;
}

/* The nearest write that waits ahead of a read, or NULL. */
static struct recipe_entry *write_before(struct explain *x, struct recipe_entry *e)
{
    const struct recipe_queue *q = e->queue;
    struct recipe_entry *found = NULL;
    struct list *at = &e->in_queue;
    for (; at != &q->waiting && step(x); at = at->prev) {
        struct recipe_entry *passed = ENTRY_IN_QUEUE(at);
        struct recipe_entry *known = id_map_get(&x->writes, passed->node);
        if (passed->mode == LOCK_WRITE || known != NULL) {
            found = passed->mode == LOCK_WRITE ? passed : known == passed ? NULL : known;
            break;
        }
    }
    for (struct list *back = &e->in_queue; back != at; back = back->prev) {
        struct recipe_entry *passed = ENTRY_IN_QUEUE(back);
        id_map_set(&x->writes, passed->node, found == NULL ? passed : found);
    }
    return found;
}

static void see(struct explain *x, struct recipe_entry *e)
{
    if (id_map_get(&x->is_seen, e->node) == NULL &&
        x->asked->may_see(x->asked->context, e)) {
        id_map_set(&x->is_seen, e->node, e);
        buf_append(&x->seen, &e, sizeof e);
    }
}

/* What the owner waits for, with all parts. */
static void see_waits(struct explain *x, const struct recipe_owner *o)
{
    for (struct list *at = o->waits.next; at != &o->waits; at = at->next) {
        see(x, ENTRY_IN_OWNER(at));
    }
}

static bool is_first(const struct recipe_entry *e)
{
    return e->queue->waiting.next == &e->in_queue;
}

/* Whether permits that are held are what the entry waits for. */
static bool wants_permits(const struct recipe_entry *e)
{
    return is_first(e) && e->queue->held_permits + e->permits > e->queue->permits;
}

static bool tell(void *context, struct recipe_entry *e, struct recipe_entry *blocker)
{
    struct explain *x = context;
    struct waits_link link = {.wants = e, .blocker = blocker};
    bool is_told = blocker->state != ENTRY_HELD || e->mode != LOCK_PERMITS || wants_permits(e);
    if (!step(x)) {
        return false;
    }
    if (is_told && x->asked->may_see(x->asked->context, blocker)) {
        x->is_full = x->count == x->asked->limit;
        if (!x->is_full) {
            buf_append(&x->links, &link, sizeof link);
            x->count++;
            see_waits(x, blocker->owner);
        }
    }
    return !x->is_full;
}

static void explore(struct explain *x)
{
    struct recipe_entry *e;
    for (size_t i = 0; i < x->seen.size && !x->is_full; i += sizeof e) {
        memcpy(&e, x->seen.data + i, sizeof e);
        waits_obstacles_behind(e, e->mode == LOCK_READ ? write_before(x, e) : NULL, tell, x);
        see_waits(x, e->owner);
    }
}

uint32_t lock_explain(const struct recipe_queue *q, const struct explain_asked *asked,
                      struct arena *arena, struct waits_link **links, bool *more)
{
    struct explain x = {.asked = asked};
    uint32_t first = 0;
    struct list *at = q->waiting.next;
    for (; at != &q->waiting && first < WAITS_STEPS_MAX; at = at->next) {
        see(&x, ENTRY_IN_QUEUE(at));
        first++;
    }
    explore(&x);
    *more = x.is_full || at != &q->waiting;
    *links = arena_alloc(arena, x.links.size);
    if (x.links.size > 0) {
        memcpy(*links, x.links.data, x.links.size);
    }
    id_map_close(&x.is_seen);
    id_map_close(&x.writes);
    buf_close(&x.seen);
    buf_close(&x.links);
    return x.count;
}
