#include "recipes/index.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/salt.h"

void recipes_init(struct recipes *r)
{
    *r = (struct recipes){.salt = salt_next()};
    list_init(&r->dirty);
}

/* ---- finding ------------------------------------------------------------------------------ */

struct recipe_queue *recipe_queue_find(const struct recipes *r, uint32_t node)
{
    return id_map_get(&r->queues, node);
}

struct recipe_entry *recipe_entry_find(const struct recipes *r, uint32_t node)
{
    return id_map_get(&r->entries, node);
}

static uint64_t owner_hash(const struct recipes *r, uint8_t recipe, uint64_t lease,
                           struct slice id)
{
    return hash_bytes(r->salt ^ lease ^ (uint64_t)recipe << 56, id.data, id.size);
}

struct recipe_owner *recipe_owner_find(const struct recipes *r, uint8_t recipe, uint64_t lease,
                                       struct slice id)
{
    struct recipe_owner *o = id_map_get(&r->owners, owner_hash(r, recipe, lease, id));
    while (o != NULL &&
           (o->lease != lease || o->recipe != recipe || !slice_equal(o->id, id))) {
        o = o->next;
    }
    return o;
}

struct recipe_entry *recipe_owner_holds(const struct recipe_owner *o,
                                        const struct recipe_queue *q)
{
    struct recipe_entry *last = NULL;
    if (q->held_count < o->hold_count) {
        for (struct list *at = q->held.next; at != &q->held; at = at->next) {
            last = ENTRY_IN_QUEUE(at)->owner == o ? ENTRY_IN_QUEUE(at) : last; /* by order */
        }
        return last;
    }
    for (struct list *at = o->holds.next; at != &o->holds; at = at->next) {
        struct recipe_entry *e = ENTRY_IN_OWNER(at);
        if (e->queue == q && (last == NULL || e->order > last->order)) {
            last = e;
        }
    }
    return last;
}

struct recipe_entry *recipe_owner_waits(const struct recipe_owner *o,
                                        const struct recipe_queue *q)
{
    bool by_queue = q->waiting_count < o->wait_count;
    for (struct list *at = q->waiting.next; by_queue && at != &q->waiting; at = at->next) {
        if (ENTRY_IN_QUEUE(at)->owner == o) {
            return ENTRY_IN_QUEUE(at);
        }
    }
    for (struct list *at = o->waits.next; !by_queue && at != &o->waits; at = at->next) {
        if (ENTRY_IN_OWNER(at)->queue == q) {
            return ENTRY_IN_OWNER(at);
        }
    }
    return NULL;
}

/* ---- owners and queues -------------------------------------------------------------------- */

/* A copy of one's own. */
static struct slice slice_keep(struct slice text)
{
    return slice_make(text.size == 0 ? NULL : mem_dup(text.data, text.size), text.size);
}

static void slice_free(struct slice text)
{
    union {
        const uint8_t *borrowed;
        void *owned;
    } bytes = {.borrowed = text.data};
    mem_free(bytes.owned);
}

static struct recipe_owner *owner_make(struct recipes *r, uint8_t recipe, uint64_t lease,
                                       struct slice id)
{
    struct recipe_owner *o = recipe_owner_find(r, recipe, lease, id);
    if (o != NULL) {
        return o;
    }
    o = mem_zalloc(sizeof *o);
    o->recipe = recipe;
    o->lease = lease;
    o->id = slice_keep(id);
    o->hash = owner_hash(r, recipe, lease, id);
    list_init(&o->holds);
    list_init(&o->waits);
    o->next = id_map_get(&r->owners, o->hash);
    id_map_set(&r->owners, o->hash, o);
    return o;
}

static void owner_free(struct recipe_owner *o)
{
    slice_free(o->id);
    mem_free(o);
}

static void owner_remove(struct recipes *r, struct recipe_owner *o)
{
    struct recipe_owner *first = id_map_remove(&r->owners, o->hash);
    if (first == o) {
        first = o->next;
    } else {
        struct recipe_owner *before = first;
        while (before->next != o) {
            before = before->next;
        }
        before->next = o->next;
    }
    if (first != NULL) {
        id_map_set(&r->owners, o->hash, first);
    }
    owner_free(o);
}

struct recipe_queue *recipe_queue_add(struct recipes *r, uint32_t node,
                                      const struct recipe_head *head)
{
    struct recipe_queue *q = mem_zalloc(sizeof *q);
    q->node = node;
    q->recipe = head->recipe;
    q->permits = head->permits;
    q->policy = head->policy;
    q->parties = head->parties;
    q->eligible = slice_keep(head->eligible);
    list_init(&q->held);
    list_init(&q->waiting);
    list_init(&q->waiting_writes);
    list_init(&q->dirty);
    if (node != RECIPE_NO_NODE) {
        id_map_set(&r->queues, node, q);
        r->queue_count++;
    }
    return q;
}

static void queue_remove(struct recipes *r, struct recipe_queue *q)
{
    if (q->node != RECIPE_NO_NODE) {
        (void)id_map_remove(&r->queues, q->node);
        r->queue_count--;
    }
    list_remove(&q->dirty);
    slice_free(q->eligible);
    mem_free(q);
}

void recipe_queue_touch(struct recipes *r, struct recipe_queue *q)
{
    if (list_empty(&q->dirty)) {
        list_push_back(&r->dirty, &q->dirty);
    }
}

/* ---- entries ------------------------------------------------------------------------------ */

bool recipe_entry_comes_before(const struct recipe_entry *a, const struct recipe_entry *b)
{
    return a->is_eligible != b->is_eligible ? a->is_eligible
           : a->rank != b->rank             ? a->rank > b->rank
                                            : a->order < b->order;
}

/* Behind all that come before it: mostly at the end. */
static void link_by_order(struct list *head, struct recipe_entry *e)
{
    struct list *before = head->prev;
    while (before != head && recipe_entry_comes_before(e, ENTRY_IN_QUEUE(before))) {
        before = before->prev;
    }
    list_push_back(before->next, &e->in_queue);
}

static void link_by_part(struct list *head, struct recipe_entry *e)
{
    struct list *before = head->prev;
    while (before != head && ENTRY_IN_OWNER(before)->part > e->part) {
        before = before->prev;
    }
    list_push_back(before->next, &e->in_owner);
}

static void entry_link(struct recipe_entry *e)
{
    struct recipe_queue *q = e->queue;
    if (e->state == ENTRY_HELD) {
        link_by_order(&q->held, e);
        list_push_back(&e->owner->holds, &e->in_owner);
        e->owner->hold_count++;
        q->held_count++;
        q->held_writes += e->mode == LOCK_WRITE;
        q->held_permits += e->permits;
        q->leaving_count += e->is_leaving;
    } else {
        link_by_order(&q->waiting, e);
        link_by_part(&e->owner->waits, e);
        e->owner->wait_count++;
        q->waiting_count++;
        if (e->mode == LOCK_WRITE) { /* who waits came last of all */
            list_push_back(&q->waiting_writes, &e->in_writes);
        }
    }
}

static void entry_unlink(struct recipe_entry *e)
{
    struct recipe_queue *q = e->queue;
    list_remove(&e->in_queue);
    list_remove(&e->in_writes);
    list_remove(&e->in_owner);
    if (e->state == ENTRY_HELD) {
        e->owner->hold_count--;
        q->held_count--;
        q->held_writes -= e->mode == LOCK_WRITE;
        q->held_permits -= e->permits;
        q->leaving_count -= e->is_leaving;
    } else {
        e->owner->wait_count--;
        q->waiting_count--;
    }
}

void recipe_entry_rank(struct recipe_entry *e, const struct recipe_record *record)
{
    const struct recipe_queue *q = e->queue;
    bool is_alike = MUTANT_IS(MUTANT_ELECTION_RANK_IGNORED);
    e->rank = is_alike                          ? 0
              : q->policy == ELECTION_PRIORITY ? record->priority
              : q->policy == ELECTION_NUMBER ? record->number
                                             : 0;
    e->is_eligible = q->eligible.size == 0 || slice_equal(q->eligible, record->label) ||
                     MUTANT_IS(MUTANT_ELECTION_LABEL_IGNORED);
}

bool recipe_entry_is_ranked(const struct recipe_entry *e, const struct recipe_record *record)
{
    struct recipe_entry told = *e;
    recipe_entry_rank(&told, record);
    return told.rank == e->rank && told.is_eligible == e->is_eligible;
}

void recipe_entry_move(struct recipe_entry *e)
{
    PRE(e->state == ENTRY_WAITING);
    list_remove(&e->in_queue);
    link_by_order(&e->queue->waiting, e);
}

void recipe_queue_set(struct recipe_queue *q, const struct recipe_head *head)
{
    struct slice eligible = slice_keep(head->eligible);
    slice_free(q->eligible);
    q->eligible = eligible;
    q->policy = head->policy;
}

static int compare_entries(const void *a, const void *b)
{
    const struct recipe_entry *x = *(struct recipe_entry *const *)a;
    const struct recipe_entry *y = *(struct recipe_entry *const *)b;
    return x == y ? 0 : recipe_entry_comes_before(x, y) ? -1 : 1;
}

void recipe_queue_sort(struct recipe_queue *q)
{
    size_t count = 0;
    struct recipe_entry **entries = mem_alloc(q->waiting_count * sizeof(struct recipe_entry *));
    struct list *at;
    while ((at = list_pop_front(&q->waiting)) != NULL) {
        entries[count++] = ENTRY_IN_QUEUE(at);
    }
    qsort(entries, count, sizeof(struct recipe_entry *), compare_entries);
    for (size_t i = 0; i < count; i++) {
        list_push_back(&q->waiting, &entries[i]->in_queue);
    }
    mem_free(entries);
}

struct recipe_entry *recipe_entry_add(struct recipes *r, struct recipe_queue *q, uint64_t lease,
                                      const struct recipe_record *record)
{
    struct recipe_entry *e = mem_zalloc(sizeof *e);
    *e = (struct recipe_entry){
        .state = record->state,
        .mode = record->mode,
        .permits = record->permits,
        .count = record->count,
        .part = record->part,
        .group = record->group,
        .epoch = record->epoch,
        .hold_ms = record->hold_ms,
        .is_leaving = record->leaving != 0,
        .order = ++r->order,
        .queue = q,
        .owner = owner_make(r, q->recipe, lease, record->owner),
    };
    list_init(&e->in_writes);
    recipe_entry_rank(e, record);
    entry_link(e);
    recipe_entry_due(r, e, record->deadline_ms);
    r->entry_count++;
    return e;
}

void recipe_entry_bind(struct recipes *r, struct recipe_entry *e, uint32_t queue, uint32_t node)
{
    struct recipe_queue *q = e->queue;
    PRE(e->node == RECIPE_NO_NODE && (q->node == RECIPE_NO_NODE || q->node == queue));
    if (q->node == RECIPE_NO_NODE) {
        q->node = queue;
        id_map_set(&r->queues, queue, q);
        r->queue_count++;
    }
    e->node = node;
    id_map_set(&r->entries, node, e);
}

void recipe_entry_remove(struct recipes *r, struct recipe_entry *e)
{
    struct recipe_queue *q = e->queue;
    struct recipe_owner *o = e->owner;
    entry_unlink(e);
    heap_remove(&r->due, &e->due);
    if (e->node != RECIPE_NO_NODE) {
        (void)id_map_remove(&r->entries, e->node);
    }
    mem_free(e);
    r->entry_count--;
    if (list_empty(&o->holds) && list_empty(&o->waits)) {
        owner_remove(r, o);
    }
    if (q->held_count == 0 && q->waiting_count == 0) {
        queue_remove(r, q);
    }
}

void recipe_entry_hold(struct recipes *r, struct recipe_entry *e, uint64_t epoch)
{
    (void)r;
    PRE(e->state == ENTRY_WAITING);
    entry_unlink(e);
    e->state = ENTRY_HELD;
    e->epoch = epoch;
    entry_link(e);
}

void recipe_entry_leave(struct recipe_entry *e)
{
    PRE(e->state == ENTRY_HELD && !e->is_leaving);
    e->is_leaving = true;
    e->queue->leaving_count++;
}

void recipe_entry_due(struct recipes *r, struct recipe_entry *e, uint64_t deadline_ms)
{
    if (deadline_ms == 0) {
        heap_remove(&r->due, &e->due);
    } else {
        heap_update(&r->due, &e->due, deadline_ms);
    }
}

/* The maps are walked here only, where no order matters. */
void recipes_close(struct recipes *r)
{
    for (size_t i = 0; i < r->entries.capacity; i++) {
        mem_free(r->entries.slots[i].value);
    }
    for (size_t i = 0; i < r->queues.capacity; i++) {
        struct recipe_queue *q = r->queues.slots[i].value;
        if (q != NULL) {
            slice_free(q->eligible);
        }
        mem_free(q);
    }
    for (size_t i = 0; i < r->owners.capacity; i++) {
        struct recipe_owner *next;
        for (struct recipe_owner *o = r->owners.slots[i].value; o != NULL; o = next) {
            next = o->next;
            owner_free(o);
        }
    }
    id_map_close(&r->entries);
    id_map_close(&r->queues);
    id_map_close(&r->owners);
    heap_close(&r->due);
    mem_free(r->edges);
    buf_close(&r->work);
}
