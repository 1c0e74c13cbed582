#include "recipes/waits.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

#define NO_EDGE UINT32_MAX

/* Once an owner is free, this entry has one obstacle less. */
struct waits_edge {
    struct recipe_entry *entry;
    uint32_t next; /* of the same owner */
};

/* ---- one queue ---------------------------------------------------------------------------- */

static bool is_first(const struct recipe_entry *e)
{
    return e->queue->waiting.next == &e->in_queue;
}

static struct recipe_entry *first_held(const struct recipe_queue *q)
{
    return list_empty(&q->held) ? NULL : ENTRY_IN_QUEUE(q->held.next);
}

static bool others_hold(const struct recipe_entry *e)
{
    const struct recipe_queue *q = e->queue;
    for (struct list *at = q->held.next; at != &q->held; at = at->next) {
        if (ENTRY_IN_QUEUE(at)->owner != e->owner) {
            return true;
        }
    }
    return false;
}

/* Who holds a write holds alone: then all that is held is of one owner. */
static bool another_writes(const struct recipe_entry *e)
{
    return e->queue->held_writes > 0 && first_held(e->queue)->owner != e->owner;
}

static bool write_is_ahead(const struct recipe_entry *e)
{
    const struct recipe_queue *q = e->queue;
    return !list_empty(&q->waiting_writes) &&
           LIST_OF(q->waiting_writes.next, struct recipe_entry, in_writes)->order < e->order;
}

bool waits_is_grantable(const struct recipe_entry *e)
{
    const struct recipe_queue *q = e->queue;
    if (e->mode == LOCK_PERMITS) {
        bool is_turn = is_first(e) || MUTANT_IS(MUTANT_LOCK_PERMITS_OVERTAKE);
        return is_turn && q->held_permits + e->permits <= q->permits;
    }
    if (e->mode == LOCK_READ) {
        bool waits = write_is_ahead(e) && !MUTANT_IS(MUTANT_LOCK_READ_OVERTAKES);
        return !waits && !another_writes(e);
    }
    if (MUTANT_IS(MUTANT_LOCK_WRITE_SHARES)) {
        return is_first(e) && q->held_writes == 0;
    }
    return is_first(e) && !others_hold(e);
}

bool waits_request_is_grantable(const struct recipe_owner *o)
{
    for (struct list *at = o->waits.next; at != &o->waits; at = at->next) {
        if (!waits_is_grantable(ENTRY_IN_OWNER(at))) {
            return false;
        }
    }
    return true;
}

/* The nearest write that waits ahead of a read, or NULL. What was passed on the way remembers it:
 * no read is passed twice in one search. */
static struct recipe_entry *write_before(uint64_t mark, struct recipe_entry *e)
{
    const struct recipe_queue *q = e->queue;
    struct recipe_entry *found = NULL;
    struct list *at = &e->in_queue;
    for (; at != &q->waiting; at = at->prev) {
        struct recipe_entry *passed = ENTRY_IN_QUEUE(at);
        if (passed->mode == LOCK_WRITE || passed->mark == mark) {
            found = passed->mode == LOCK_WRITE ? passed : passed->write_before;
            break;
        }
    }
    for (struct list *back = &e->in_queue; back != at; back = back->prev) {
        ENTRY_IN_QUEUE(back)->mark = mark;
        ENTRY_IN_QUEUE(back)->write_before = found;
    }
    return found;
}

static void visit_held(struct recipe_entry *e, waits_visit_fn visit, void *context)
{
    struct recipe_queue *q = e->queue;
    for (struct list *at = q->held.next; at != &q->held; at = at->next) {
        struct recipe_entry *held = ENTRY_IN_QUEUE(at);
        bool counts = held->owner != e->owner || e->mode == LOCK_PERMITS;
        if (counts && !visit(context, e, held)) {
            return;
        }
    }
}

void waits_obstacles_behind(struct recipe_entry *e, struct recipe_entry *write,
                            waits_visit_fn visit, void *context)
{
    struct recipe_queue *q = e->queue;
    if (e->mode == LOCK_READ) {
        if (write != NULL) {
            (void)visit(context, e, write);
        } else if (another_writes(e)) {
            (void)visit(context, e, first_held(q));
        }
        return;
    }
    for (struct list *at = e->in_queue.prev; at != &q->waiting; at = at->prev) {
        struct recipe_entry *ahead = ENTRY_IN_QUEUE(at);
        if (!visit(context, e, ahead) || ahead->mode == LOCK_WRITE) {
            return;
        }
        if (e->mode == LOCK_PERMITS) {
            break;
        }
    }
    visit_held(e, visit, context);
}

static void waits_obstacles(uint64_t mark, struct recipe_entry *e, waits_visit_fn visit,
                            void *context)
{
    struct recipe_entry *write = e->mode == LOCK_READ ? write_before(mark, e) : NULL;
    waits_obstacles_behind(e, write, visit, context);
}

/* ---- the part of the graph that the new wait reaches -------------------------------------- */

struct search {
    struct recipes *r;
    uint64_t mark;
    uint32_t steps;
    size_t next; /* of the owners in r->work: those before it were explored */
};

static bool step(struct search *s)
{
    return ++s->steps <= WAITS_STEPS_MAX;
}

static void reach(struct search *s, struct recipe_owner *o)
{
    if (o->mark != s->mark && recipe_owner_is_waiting(o)) {
        o->mark = s->mark;
        o->is_stuck = true;
        o->open = 0;
        o->edges = NO_EDGE;
        buf_append(&s->r->work, &o, sizeof o);
    }
}

static void add_edge(struct recipes *r, struct recipe_owner *o, struct recipe_entry *e)
{
    if (r->edge_count == r->edge_capacity) {
        r->edge_capacity = r->edge_capacity == 0 ? 64 : 2 * r->edge_capacity;
        r->edges = mem_resize(r->edges, r->edge_capacity * sizeof *r->edges);
    }
    r->edges[r->edge_count] = (struct waits_edge){.entry = e, .next = o->edges};
    o->edges = r->edge_count++;
    e->open++;
}

static bool explore_obstacle(void *context, struct recipe_entry *e,
                             struct recipe_entry *blocker)
{
    struct search *s = context;
    struct recipe_owner *o = blocker->owner;
    if (!step(s)) {
        return false;
    }
    bool is_counted = e->mode == LOCK_PERMITS && blocker->state == ENTRY_HELD;
    reach(s, o);
    if (recipe_owner_is_waiting(o) && !is_counted) {
        add_edge(s->r, o, e);
    }
    return s->steps <= WAITS_STEPS_MAX;
}

/* Of permits that are held it matters how many stuck owners hold, once for the whole queue. */
static void explore_permits(struct search *s, struct recipe_queue *q)
{
    if (q->mark == s->mark) {
        return;
    }
    q->mark = s->mark;
    q->stuck_permits = 0;
    q->cursor = NULL;
    for (struct list *at = q->held.next; at != &q->held && step(s); at = at->next) {
        struct recipe_entry *held = ENTRY_IN_QUEUE(at);
        reach(s, held->owner);
        q->stuck_permits += recipe_owner_is_waiting(held->owner) ? held->permits : 0;
    }
}

static void explore_entry(struct search *s, struct recipe_entry *e)
{
    struct recipe_queue *q = e->queue;
    e->open = 0;
    if (e->mode != LOCK_PERMITS) {
        waits_obstacles(s->mark, e, explore_obstacle, s);
        return;
    }
    explore_permits(s, q);
    if (!is_first(e)) {
        (void)explore_obstacle(s, e, ENTRY_IN_QUEUE(e->in_queue.prev));
    }
    e->open++; /* until the permits are there */
}

static bool explore(struct search *s)
{
    struct recipe_owner *o;
    for (; s->next * sizeof o < s->r->work.size && s->steps <= WAITS_STEPS_MAX; s->next++) {
        memcpy(&o, s->r->work.data + s->next * sizeof o, sizeof o);
        for (struct list *at = o->waits.next; at != &o->waits; at = at->next) {
            o->open++;
            explore_entry(s, ENTRY_IN_OWNER(at));
        }
    }
    return s->steps <= WAITS_STEPS_MAX;
}

/* ---- the reduction ------------------------------------------------------------------------ */

/* Nothing is in the way of this entry. Its owner, once nothing is in the way of any, is free; it
 * joins the others in r->work. */
static void satisfy(struct recipes *r, struct recipe_entry *e)
{
    struct recipe_owner *o = e->owner;
    if (--o->open == 0 && o->is_stuck) {
        o->is_stuck = false;
        buf_append(&r->work, &o, sizeof o);
    }
}

/* Whoever was ahead is free; are the permits there? */
static void try_permits(struct recipes *r, struct recipe_entry *e)
{
    struct recipe_queue *q = e->queue;
    if (q->stuck_permits + e->permits <= q->permits) {
        e->open = 0;
        q->cursor = NULL;
        satisfy(r, e);
    } else {
        q->cursor = e;
    }
}

static void obstacle_gone(struct recipes *r, struct recipe_entry *e)
{
    e->open--;
    if (e->mode == LOCK_PERMITS && e->open == 1) {
        try_permits(r, e);
    } else if (e->open == 0) {
        satisfy(r, e);
    }
}

static void free_owner(struct search *s, struct recipe_owner *o)
{
    struct recipes *r = s->r;
    for (uint32_t i = o->edges; i != NO_EDGE; i = r->edges[i].next) {
        obstacle_gone(r, r->edges[i].entry);
    }
    for (struct list *at = o->holds.next; at != &o->holds; at = at->next) {
        struct recipe_queue *q = ENTRY_IN_OWNER(at)->queue;
        if (q->mark == s->mark && q->permits > 0) {
            q->stuck_permits -= ENTRY_IN_OWNER(at)->permits;
            if (q->cursor != NULL) {
                try_permits(r, q->cursor);
            }
        }
    }
}

/* Entries that nothing is in the way of from the start. */
static void begin(struct recipes *r, struct recipe_owner *o)
{
    for (struct list *at = o->waits.next; at != &o->waits; at = at->next) {
        struct recipe_entry *e = ENTRY_IN_OWNER(at);
        if (e->open == 0) {
            satisfy(r, e);
        } else if (e->mode == LOCK_PERMITS && e->open == 1 && e->queue->cursor == NULL) {
            try_permits(r, e);
        }
    }
}

/* Whether anybody waits for what it holds. */
static bool could_close(const struct recipe_owner *o)
{
    for (struct list *at = o->holds.next; at != &o->holds; at = at->next) {
        const struct recipe_queue *q = ENTRY_IN_OWNER(at)->queue;
        bool another_waits = q->waiting_count > 1 ||
                             (q->waiting_count == 1 &&
                              ENTRY_IN_QUEUE(q->waiting.next)->owner != o);
        if (another_waits || (q->waiting_count > 0 && q->permits > 0)) {
            return true;
        }
    }
    return false;
}

enum waits_verdict waits_check(struct recipes *r, struct recipe_owner *from)
{
    PRE(recipe_owner_is_waiting(from));
    if (!could_close(from) || MUTANT_IS(MUTANT_LOCK_DEADLOCK_UNSEEN)) {
        return WAITS_FREE;
    }
    struct search s = {.r = r, .mark = ++r->mark};
    buf_clear(&r->work);
    r->edge_count = 0;
    reach(&s, from);
    if (!explore(&s)) {
        return WAITS_TOO_LARGE;
    }
    size_t reached = s.next;
    for (size_t i = 0; i < reached; i++) {
        struct recipe_owner *o;
        memcpy(&o, r->work.data + i * sizeof o, sizeof o);
        begin(r, o);
    }
    for (size_t i = reached; i * sizeof from < r->work.size && from->is_stuck; i++) {
        struct recipe_owner *o;
        memcpy(&o, r->work.data + i * sizeof o, sizeof o);
        free_owner(&s, o);
    }
    return from->is_stuck ? WAITS_STUCK : WAITS_FREE;
}

/* ---- the cycle ---------------------------------------------------------------------------- */

struct chase {
    struct recipes *r;
    struct recipe_owner *from;
    bool found;
    struct recipe_owner *last; /* whose obstacle is `from`, with these */
    struct recipe_entry *wants;
    struct recipe_entry *blocker;
};

/* Breadth first, along obstacles of stuck owners. */
static bool chase_obstacle(void *context, struct recipe_entry *e, struct recipe_entry *blocker)
{
    struct chase *c = context;
    struct recipe_owner *o = blocker->owner;
    const struct recipe_queue *q = e->queue;
    if (e->mode == LOCK_PERMITS && blocker->state == ENTRY_HELD &&
        q->stuck_permits + e->permits <= q->permits) {
        return true; /* it is not for want of permits */
    }
    if (o == c->from) {
        c->found = true;
        c->last = e->owner;
        c->wants = e;
        c->blocker = blocker;
    } else if (o->mark == c->from->mark && o->is_stuck && o->seen != c->from->seen) {
        o->seen = c->from->seen;
        o->from = e->owner;
        o->wants = e;
        o->blocker = blocker;
        buf_append(&c->r->work, &o, sizeof o);
    }
    return !c->found;
}

uint32_t waits_cycle(struct recipes *r, struct recipe_owner *from, struct arena *arena,
                     struct waits_link **out)
{
    PRE(from->is_stuck);
    struct chase c = {.r = r, .from = from};
    from->seen = from->mark;
    buf_clear(&r->work);
    buf_append(&r->work, &from, sizeof from);
    for (size_t i = 0; i * sizeof from < r->work.size && !c.found; i++) {
        struct recipe_owner *o;
        memcpy(&o, r->work.data + i * sizeof o, sizeof o);
        for (struct list *at = o->waits.next; at != &o->waits && !c.found; at = at->next) {
            if (ENTRY_IN_OWNER(at)->open > 0) {
                waits_obstacles(from->mark, ENTRY_IN_OWNER(at), chase_obstacle, &c);
            }
        }
    }
    POST(c.found); /* without the new wait nobody is stuck: each of them waits for it */
    uint32_t count = 1;
    for (struct recipe_owner *o = c.last; o != from; o = o->from) {
        count++;
    }
    struct waits_link *links = arena_alloc(arena, count * sizeof *links);
    *out = links;
    links[count - 1] = (struct waits_link){.wants = c.wants, .blocker = c.blocker};
    uint32_t i = count - 1;
    for (struct recipe_owner *o = c.last; o != from; o = o->from) {
        links[--i] = (struct waits_link){.wants = o->wants, .blocker = o->blocker};
    }
    return count;
}
