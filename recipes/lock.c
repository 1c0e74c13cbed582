#include "recipes/lock.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "recipes/entry.h"
#include "recipes/waits.h"

/* ---- what is said ------------------------------------------------------------------------- */

static void say_mode(struct buf *b, uint8_t mode, uint32_t permits)
{
    if (mode == LOCK_PERMITS) {
        buf_printf(b, "%" PRIu32 " permits", permits);
    } else {
        buf_append_str(b, lock_mode_name(mode));
    }
}

/* What a list of entries consists of, before it is taken apart; in the arena. */
static uint32_t collect(const struct recipe_ops *ops, struct list *head, uint64_t group,
                        struct recipe_entry ***out)
{
    uint32_t count = 0;
    struct recipe_entry **list = arena_alloc(ops->arena, LOCK_TARGETS_MAX * sizeof *list);
    for (struct list *at = head->next; at != head && count < LOCK_TARGETS_MAX;
         at = at->next) {
        struct recipe_entry *e = ENTRY_IN_OWNER(at);
        if (e->group != group) {
            continue;
        }
        uint32_t i = count++;
        for (; i > 0 && list[i - 1]->part > e->part; i--) {
            list[i] = list[i - 1];
        }
        list[i] = e;
    }
    *out = list;
    return count;
}

static void group_go(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e)
{
    struct recipe_entry **parts;
    if (e->group == 0) {
        entry_go(r, ops, e);
        return;
    }
    struct recipe_owner *o = e->owner;
    struct list *list = e->state == ENTRY_HELD ? &o->holds : &o->waits;
    uint32_t count = collect(ops, list, e->group, &parts);
    for (uint32_t i = 0; i < count; i++) {
        entry_go(r, ops, parts[i]);
    }
}

/* ---- granting ----------------------------------------------------------------------------- */

static void entry_grant(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e)
{
    struct recipe_record record;
    entry_read(ops, e, &record);
    record.state = ENTRY_HELD;
    record.epoch = MUTANT_IS(MUTANT_LOCK_EPOCH_STAYS) ? 1 : ops->revision;
    record.since_ms = ops->wall_ms;
    record.deadline_ms = entry_deadline(ops, e->hold_ms);
    recipe_entry_hold(r, e, record.epoch);
    recipe_entry_due(r, e, record.deadline_ms);
    entry_write(ops, e, &record);
    if (e->mode == LOCK_PERMITS) { /* the next in line may be served with what is left */
        recipe_queue_touch(r, e->queue);
    }
}

static void request_grant(struct recipes *r, const struct recipe_ops *ops,
                          struct recipe_owner *o)
{
    struct list *tmp;
    struct list *at;
    ops->begin_grants(ops->context);
    LIST_EACH (at, tmp, &o->waits) {
        entry_grant(r, ops, ENTRY_IN_OWNER(at));
    }
}

void lock_settle(struct recipes *r, const struct recipe_ops *ops, struct recipe_queue *q)
{
    struct list *tmp;
    struct list *at;
    LIST_EACH (at, tmp, &q->waiting) {
        struct recipe_entry *e = ENTRY_IN_QUEUE(at);
        if (!waits_is_grantable(e)) {
            return; /* and neither is anything behind it */
        }
        if (!waits_request_is_grantable(e->owner)) {
            if (e->mode != LOCK_READ) {
                return;
            }
            continue; /* reads behind it do not conflict with it */
        }
        bool is_last = q->held_count == 0 && q->waiting_count == 1;
        if (recipe_entry_is_due(e, ops->cluster_ms) && !MUTANT_IS(MUTANT_LOCK_LATE_GRANT)) {
            /* For a reason of its own, not that of what was in its way: its lease lives. */
            ops->begin_grants(ops->context);
            group_go(r, ops, e);
            if (is_last) {
                return; /* the queue has gone with it */
            }
        } else {
            request_grant(r, ops, e->owner);
        }
    }
}

/* ---- acquire ------------------------------------------------------------------------------ */

static enum recipe_verdict refuse(const struct recipe_ops *ops, struct recipe_answer *answer,
                                  struct buf *b)
{
    entry_say(ops, answer, b);
    return RECIPE_MISMATCH;
}

static void say_target(struct buf *b, const struct lock_target *t)
{
    buf_printf(b, "%.*s: ", (int)t->path.size, (const char *)t->path.data);
}

/* Permits are asked for of what is no semaphore, or the other way around. */
static enum recipe_verdict refuse_mode(const struct recipe_ops *ops,
                                       const struct lock_target *t, uint32_t permits,
                                       struct recipe_answer *answer)
{
    struct buf b = {0};
    say_target(&b, t);
    if (permits > 0) {
        buf_printf(&b, "mode: %s asked for, the lock has %" PRIu32 " permits",
                   lock_mode_name(t->mode), permits);
    } else {
        buf_printf(&b, "mode: %" PRIu32 " permits asked for, the lock is used in modes write "
                       "and read", t->permits);
    }
    return refuse(ops, answer, &b);
}

static enum recipe_verdict permits_check(const struct recipe_ops *ops,
                                         const struct lock_target *t, uint32_t limit,
                                         struct recipe_answer *answer)
{
    struct buf b = {0};
    if (limit != 0 && t->permits <= limit && (t->limit == 0 || t->limit == limit)) {
        return RECIPE_OK;
    }
    say_target(&b, t);
    if (limit == 0) {
        buf_append_str(&b, "limit: none, who uses a semaphore first says how many permits it has");
    } else if (t->permits > limit) {
        buf_printf(&b, "permits: %" PRIu32 " asked for, the lock has %" PRIu32, t->permits, limit);
    } else {
        buf_printf(&b, "limit: %" PRIu32 " asked for, the lock has %" PRIu32, t->limit, limit);
    }
    return refuse(ops, answer, &b);
}

static struct recipe_queue *target_queue(const struct recipes *r, const struct lock_target *t)
{
    return t->queue == RECIPE_NO_NODE ? NULL : recipe_queue_find(r, t->queue);
}

/* Whether the target is asked for in the way in which the lock is used. One without a queue is used
 * in no way yet. */
static enum recipe_verdict target_check(const struct recipes *r, const struct recipe_ops *ops,
                                        const struct lock_target *t,
                                        struct recipe_answer *answer)
{
    const struct recipe_queue *q = target_queue(r, t);
    bool asks_permits = t->mode == LOCK_PERMITS;
    if (q != NULL && asks_permits != (q->permits > 0)) {
        return refuse_mode(ops, t, q->permits, answer);
    }
    uint32_t limit = q != NULL ? q->permits : t->limit != 0 ? t->limit : t->head.permits;
    return asks_permits ? permits_check(ops, t, limit, answer) : RECIPE_OK;
}

static bool covers(const struct recipe_entry *e, uint8_t mode)
{
    return mode != LOCK_PERMITS && (e->mode == LOCK_WRITE || e->mode == mode);
}

/* Of what the owner holds in the queue, the first that covers the mode. */
static struct recipe_entry *find_cover(const struct recipe_owner *o,
                                       const struct recipe_queue *q, uint8_t mode)
{
    struct recipe_entry *first = NULL;
    if (q->held_count < o->hold_count) {
        for (struct list *at = q->held.next; at != &q->held; at = at->next) {
            struct recipe_entry *e = ENTRY_IN_QUEUE(at);
            if (e->owner == o && covers(e, mode)) {
                return e; /* they are in order */
            }
        }
        return NULL;
    }
    for (struct list *at = o->holds.next; at != &o->holds; at = at->next) {
        struct recipe_entry *e = ENTRY_IN_OWNER(at);
        if (e->queue == q && covers(e, mode) && (first == NULL || e->order < first->order)) {
            first = e;
        }
    }
    return first;
}

static void place_of(const struct recipe_entry *e, struct recipe_place *place)
{
    entry_place(e, place);
    if (e->state == ENTRY_WAITING) { /* just added: all others wait ahead */
        place->position = e->queue->waiting_count - 1;
    }
}

static enum recipe_verdict acquire_again(const struct recipe_ops *ops, struct recipe_entry *e,
                                         struct recipe_answer *answer)
{
    struct recipe_record record;
    if (e->count == UINT32_MAX) {
        return RECIPE_LIMIT;
    }
    entry_read(ops, e, &record);
    record.count = ++e->count;
    entry_write(ops, e, &record);
    place_of(e, &answer->places[0]);
    answer->place_count = 1;
    return RECIPE_OK;
}

static void parts_drop(struct recipes *r, struct recipe_entry **parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        recipe_entry_remove(r, parts[i]);
    }
}

static void say_holder(const struct recipe_ops *ops, const struct recipe_owner *o,
                       struct recipe_answer *answer)
{
    struct buf b = {0};
    for (struct list *at = o->waits.next; at != &o->waits; at = at->next) {
        const struct recipe_entry *e = ENTRY_IN_OWNER(at);
        if (waits_is_grantable(e)) {
            continue;
        }
        const struct recipe_queue *q = e->queue;
        const struct recipe_entry *other = list_empty(&q->held)
                                               ? ENTRY_IN_QUEUE(q->waiting.next)
                                               : ENTRY_IN_QUEUE(q->held.next);
        struct slice path = ops->path(ops->context, q->node);
        buf_printf(&b, "%.*s: ", (int)path.size, (const char *)path.data);
        if (!entry_is_told(ops, other)) {
            buf_append_str(&b, "held, or waited for, by somebody whom you may not read");
            break;
        }
        buf_append_str(&b, other->state == ENTRY_HELD ? "held by " : "waited for by ");
        entry_say_owner(&b, other->owner->lease, other->owner->id);
        buf_append_str(&b, " (");
        say_mode(&b, other->mode, other->permits);
        buf_append_str(&b, ")");
        break;
    }
    entry_say(ops, answer, &b);
}

static void wait_fill(const struct recipe_ops *ops, const struct waits_link *link,
                      struct recipe_wait *w)
{
    *w = (struct recipe_wait){
        .lease = link->wants->owner->lease,
        .owner = arena_copy(ops->arena, link->wants->owner->id),
        .path = ops->path(ops->context, link->wants->queue->node),
        .mode = link->wants->mode,
        .blocker_lease = link->blocker->owner->lease,
        .blocker_owner = arena_copy(ops->arena, link->blocker->owner->id),
        .blocker_holds = link->blocker->state == ENTRY_HELD,
        .blocker_mode = link->blocker->mode,
    };
}

static void say_wait(struct buf *b, const struct waits_link *link, const struct recipe_wait *w)
{
    entry_say_owner(b, w->lease, w->owner);
    buf_printf(b, " waits for %.*s (", (int)w->path.size, (const char *)w->path.data);
    say_mode(b, w->mode, link->wants->permits);
    buf_append_str(b, w->blocker_holds ? "), held by " : "), waited for before by ");
    entry_say_owner(b, w->blocker_lease, w->blocker_owner);
    buf_append_str(b, " (");
    say_mode(b, w->blocker_mode, link->blocker->permits);
    buf_append_str(b, ")");
}

/* Of the first steps those that the caller may read: others are counted only. */
static void say_cycle(struct recipes *r, const struct recipe_ops *ops, struct recipe_owner *from,
                      struct recipe_answer *answer)
{
    struct waits_link *links;
    uint32_t count = waits_cycle(r, from, ops->arena, &links);
    uint32_t most = count < RECIPE_CYCLE_MAX ? count : RECIPE_CYCLE_MAX;
    uint32_t told = 0;
    struct recipe_wait *cycle = arena_alloc(ops->arena, most * sizeof *cycle);
    struct buf b = {0};
    for (uint32_t i = 0; i < most; i++) {
        if (entry_is_told(ops, links[i].wants) && entry_is_told(ops, links[i].blocker)) {
            struct recipe_wait *w = &cycle[told];
            wait_fill(ops, &links[i], w);
            buf_append_str(&b, told++ == 0 ? "" : "; ");
            say_wait(&b, &links[i], w);
        }
    }
    if (told == 0) {
        buf_printf(&b, "a cycle of %" PRIu32 " waits, for locks that you may not read", count);
    } else if (told < count) {
        buf_printf(&b, "; and %" PRIu32 " more", count - told);
    }
    entry_say(ops, answer, &b);
    answer->cycle = cycle;
    answer->cycle_count = told;
    answer->cycle_length = count;
}

/* The parts are in the index, waiting, without nodes: may they, and how. */
static enum recipe_verdict decide(struct recipes *r, const struct recipe_ops *ops,
                                  const struct lock_acquire *asked, struct recipe_entry **parts,
                                  struct recipe_answer *answer)
{
    struct recipe_owner *o = parts[0]->owner;
    if (waits_request_is_grantable(o)) {
        for (uint32_t i = 0; i < asked->target_count; i++) {
            recipe_entry_hold(r, parts[i], ops->revision);
        }
        return RECIPE_OK;
    }
    if (asked->is_try) {
        say_holder(ops, o, answer);
        return RECIPE_HELD;
    }
    switch (waits_check(r, o)) {
    case WAITS_STUCK: say_cycle(r, ops, o, answer); return RECIPE_DEADLOCK;
    case WAITS_TOO_LARGE: return RECIPE_GRAPH_TOO_LARGE;
    default: return RECIPE_OK;
    }
}

static bool nodes_make(struct recipes *r, const struct recipe_ops *ops,
                       const struct lock_acquire *asked, struct recipe_entry **parts,
                       struct recipe_record *record)
{
    struct entry_site sites[LOCK_TARGETS_MAX];
    bool made = true;
    for (uint32_t i = 0; i < asked->target_count && made; i++) {
        const struct lock_target *t = &asked->targets[i];
        const struct recipe_entry *e = parts[i];
        struct recipe_head head = {.recipe = RECIPE_LOCK, .permits = e->queue->permits};
        bool says_anew = t->queue == RECIPE_NO_NODE || t->head.permits != head.permits;
        record->state = e->state;
        record->mode = e->mode;
        record->permits = e->permits;
        record->part = e->part;
        record->epoch = e->epoch;
        sites[i] = (struct entry_site){
            .path = t->path, .lease = asked->lease, .queue = t->queue};
        made = entry_make(ops, &sites[i], says_anew ? &head : NULL, record);
    }
    for (uint32_t i = 0; i < asked->target_count && made; i++) {
        recipe_entry_bind(r, parts[i], sites[i].queue, sites[i].node);
    }
    return made;
}

static struct recipe_entry *part_add(struct recipes *r, const struct lock_acquire *asked,
                                     const struct lock_target *t, struct recipe_record *record)
{
    struct recipe_queue *q = target_queue(r, t);
    if (q == NULL) {
        struct recipe_head head = {.recipe = RECIPE_LOCK};
        if (t->mode == LOCK_PERMITS) {
            head.permits = t->limit != 0 ? t->limit : t->head.permits;
        }
        q = recipe_queue_add(r, t->queue, &head);
    }
    record->mode = t->mode;
    record->permits = t->mode == LOCK_PERMITS ? t->permits : 0;
    return recipe_entry_add(r, q, asked->lease, record);
}

static enum recipe_verdict acquire_new(struct recipes *r, const struct recipe_ops *ops,
                                       const struct lock_acquire *asked,
                                       struct recipe_answer *answer)
{
    struct recipe_entry *parts[LOCK_TARGETS_MAX] = {NULL};
    bool is_group = asked->target_count > 1;
    struct recipe_record record = {
        .state = ENTRY_WAITING,
        .count = 1,
        .group = is_group ? ops->revision : 0,
        .since_ms = ops->wall_ms,
        .hold_ms = asked->hold_ms,
        .owner = asked->owner,
        .note = asked->note,
    };
    for (uint32_t i = 0; i < asked->target_count; i++) {
        record.part = is_group ? i + 1 : 0;
        parts[i] = part_add(r, asked, &asked->targets[i], &record);
    }
    enum recipe_verdict verdict = decide(r, ops, asked, parts, answer);
    if (verdict == RECIPE_OK) {
        bool waits = parts[0]->state == ENTRY_WAITING;
        record.deadline_ms = entry_deadline(ops, waits ? asked->wait_ms : asked->hold_ms);
        if (!nodes_make(r, ops, asked, parts, &record)) {
            verdict = RECIPE_FAILED;
        }
    }
    if (verdict != RECIPE_OK) {
        parts_drop(r, parts, asked->target_count);
        return verdict;
    }
    answer->place_count = asked->target_count;
    for (uint32_t i = 0; i < asked->target_count; i++) {
        recipe_entry_due(r, parts[i], record.deadline_ms);
        place_of(parts[i], &answer->places[i]);
    }
    return RECIPE_OK;
}

enum recipe_verdict lock_acquire(struct recipes *r, const struct recipe_ops *ops,
                                 const struct lock_acquire *asked, struct recipe_answer *answer)
{
    PRE(asked->target_count > 0 && asked->target_count <= LOCK_TARGETS_MAX);
    const struct recipe_owner *o = recipe_owner_find(r, RECIPE_LOCK, asked->lease, asked->owner);
    if (o != NULL && recipe_owner_is_waiting(o)) {
        struct buf b = {0};
        struct slice path =
            ops->path(ops->context, ENTRY_IN_OWNER(o->waits.next)->queue->node);
        entry_say_owner(&b, o->lease, o->id);
        buf_printf(&b, " waits for %.*s", (int)path.size, (const char *)path.data);
        entry_say(ops, answer, &b);
        return RECIPE_WAITS;
    }
    for (uint32_t i = 0; i < asked->target_count; i++) {
        const struct lock_target *t = &asked->targets[i];
        enum recipe_verdict verdict = target_check(r, ops, t, answer);
        if (verdict != RECIPE_OK) {
            return verdict;
        }
        const struct recipe_queue *q = target_queue(r, t);
        struct recipe_entry *cover = o == NULL || q == NULL ? NULL : find_cover(o, q, t->mode);
        if (cover != NULL && asked->target_count == 1) {
            return acquire_again(ops, cover, answer);
        }
        if (cover != NULL) {
            struct buf b = {0};
            say_target(&b, t);
            buf_append_str(&b, "held by this owner already, a multi-lock takes what is not");
            return refuse(ops, answer, &b);
        }
    }
    return acquire_new(r, ops, asked, answer);
}

/* ---- release and the rest ----------------------------------------------------------------- */

static void release_one(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e,
                        bool all)
{
    struct recipe_record record;
    if (e->count == 1 || all || MUTANT_IS(MUTANT_LOCK_COUNT_LOST)) {
        entry_go(r, ops, e);
        return;
    }
    entry_read(ops, e, &record);
    record.count = --e->count;
    entry_write(ops, e, &record);
}

enum recipe_verdict lock_release(struct recipes *r, const struct recipe_ops *ops,
                                 struct recipe_entry *e, const struct lock_release *how)
{
    struct recipe_entry **parts;
    if (e->state != ENTRY_HELD) {
        return RECIPE_NOT_HELD;
    }
    if (!how->group || e->group == 0) {
        release_one(r, ops, e, how->all);
        return RECIPE_OK;
    }
    uint32_t count = collect(ops, &e->owner->holds, e->group, &parts);
    for (uint32_t i = 0; i < count; i++) {
        release_one(r, ops, parts[i], how->all);
    }
    return RECIPE_OK;
}

void lock_cancel(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e)
{
    group_go(r, ops, e);
}

enum recipe_verdict lock_extend(struct recipes *r, const struct recipe_ops *ops,
                                struct recipe_entry *e, uint64_t hold_ms)
{
    struct recipe_record record;
    if (e->state != ENTRY_HELD) {
        return RECIPE_NOT_HELD;
    }
    entry_read(ops, e, &record);
    record.hold_ms = hold_ms;
    record.deadline_ms = entry_deadline(ops, hold_ms);
    e->hold_ms = hold_ms;
    recipe_entry_due(r, e, record.deadline_ms);
    entry_write(ops, e, &record);
    return RECIPE_OK;
}

enum recipe_verdict lock_ask_release(const struct recipe_ops *ops, struct recipe_queue *q,
                                     struct slice who, struct slice why)
{
    if (list_empty(&q->held)) {
        return RECIPE_NOT_HELD;
    }
    for (struct list *at = q->held.next; at != &q->held; at = at->next) {
        struct recipe_record record;
        entry_read(ops, ENTRY_IN_QUEUE(at), &record);
        record.asked_by = who;
        record.asked_why = why;
        entry_write(ops, ENTRY_IN_QUEUE(at), &record);
    }
    return RECIPE_OK;
}
