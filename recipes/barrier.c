#include "recipes/barrier.h"

#include <inttypes.h>

#include "base/mutant.h"
#include "recipes/entry.h"

/* ---- rounds ------------------------------------------------------------------------------- */

static bool may_go_in(const struct recipe_queue *q)
{
    uint32_t parties = q->parties - (MUTANT_IS(MUTANT_BARRIER_EARLY) && q->parties > 1);
    bool is_empty = q->held_count == 0 || MUTANT_IS(MUTANT_BARRIER_JOINS_ROUND);
    return is_empty && q->waiting_count >= parties;
}

static bool may_go_out(const struct recipe_queue *q)
{
    return q->held_count > 0 && q->leaving_count == q->held_count;
}

bool barrier_is_unsettled(const struct recipe_queue *q)
{
    return may_go_in(q) || may_go_out(q);
}

static void go_in(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e)
{
    struct recipe_record record;
    entry_read(ops, e, &record);
    record.state = ENTRY_HELD;
    record.epoch = ops->revision;
    record.since_ms = ops->wall_ms;
    record.deadline_ms = 0;
    recipe_entry_hold(r, e, record.epoch);
    recipe_entry_due(r, e, 0);
    entry_write(ops, e, &record);
}

/* Those whose time has run out do not count. False: nobody is left, and the queue has gone. */
static bool drop_late(struct recipes *r, const struct recipe_ops *ops, struct recipe_queue *q)
{
    struct list *tmp;
    struct list *at;
    LIST_EACH (at, tmp, &q->waiting) {
        struct recipe_entry *e = ENTRY_IN_QUEUE(at);
        if (recipe_entry_is_due(e, ops->cluster_ms) && !MUTANT_IS(MUTANT_BARRIER_LATE_GRANT)) {
            bool is_last = q->waiting_count == 1 && q->held_count == 0;
            entry_go(r, ops, e);
            if (is_last) {
                return false;
            }
        }
    }
    return true;
}

static void all_go_in(struct recipes *r, const struct recipe_ops *ops, struct recipe_queue *q)
{
    struct list *tmp;
    struct list *at;
    uint32_t left = q->parties;
    LIST_EACH (at, tmp, &q->waiting) {
        if (left-- == 0) {
            return;
        }
        go_in(r, ops, ENTRY_IN_QUEUE(at));
    }
}

/* With the last one, unless others wait, the queue goes too. */
static void all_go_out(struct recipes *r, const struct recipe_ops *ops, struct recipe_queue *q)
{
    uint32_t left = q->held_count;
    while (left-- > 0) {
        entry_go(r, ops, ENTRY_IN_QUEUE(q->held.next));
    }
}

void barrier_settle(struct recipes *r, const struct recipe_ops *ops, struct recipe_queue *q)
{
    if (may_go_out(q)) {
        bool others_wait = q->waiting_count > 0;
        ops->begin_grants(ops->context);
        all_go_out(r, ops, q);
        if (!others_wait) {
            return;
        }
    }
    if (may_go_in(q)) {
        ops->begin_grants(ops->context);
        if (drop_late(r, ops, q) && may_go_in(q)) {
            all_go_in(r, ops, q);
        }
    }
}

/* ---- enter -------------------------------------------------------------------------------- */

static enum recipe_verdict refuse(const struct recipe_ops *ops, const struct barrier_enter *asked,
                                  uint32_t has, struct recipe_answer *answer)
{
    struct buf b = {0};
    buf_printf(&b, "%.*s: parties: ", (int)asked->path.size, (const char *)asked->path.data);
    if (has == 0) {
        buf_append_str(&b, "none, who comes first says how many go in together");
    } else {
        buf_printf(&b, "%" PRIu32 " asked for, the barrier has %" PRIu32, asked->parties, has);
    }
    entry_say(ops, answer, &b);
    return RECIPE_MISMATCH;
}

/* A try goes in at once or not at all. */
static enum recipe_verdict refuse_try(const struct recipe_ops *ops,
                                      const struct barrier_enter *asked,
                                      const struct recipe_queue *q, uint32_t parties,
                                      struct recipe_answer *answer)
{
    struct buf b = {0};
    buf_printf(&b, "%.*s: %" PRIu32 " are inside and %" PRIu32 " wait, of %" PRIu32,
               (int)asked->path.size, (const char *)asked->path.data,
               q == NULL ? 0 : q->held_count, q == NULL ? 0 : q->waiting_count, parties);
    entry_say(ops, answer, &b);
    return RECIPE_HELD;
}

static uint32_t in_time(const struct recipe_ops *ops, const struct recipe_queue *q)
{
    uint32_t count = 0;
    for (struct list *at = q->waiting.next; at != &q->waiting; at = at->next) {
        count += !recipe_entry_is_due(ENTRY_IN_QUEUE(at), ops->cluster_ms);
    }
    return count;
}

static bool completes(const struct recipe_ops *ops, const struct recipe_queue *q,
                      uint32_t parties)
{
    return q == NULL ? parties == 1 : q->held_count == 0 && in_time(ops, q) + 1 >= parties;
}

static void answer_place(const struct recipe_entry *e, struct recipe_answer *answer)
{
    const struct recipe_queue *q = e->queue;
    entry_place(e, &answer->places[0]);
    if (e->state == ENTRY_WAITING) { /* mostly it is at the end */
        answer->places[0].position = q->waiting_count - 1;
        for (const struct list *at = e->in_queue.next; at != &q->waiting; at = at->next) {
            answer->places[0].position--;
        }
    }
    answer->place_count = 1;
}

/* It waits, or is inside, already. */
static enum recipe_verdict enter_again(struct recipes *r, const struct recipe_ops *ops,
                                       const struct barrier_enter *asked, struct recipe_entry *e,
                                       struct recipe_answer *answer)
{
    struct recipe_record record;
    if (e->is_leaving) {
        struct buf b = {0};
        entry_say_owner(&b, e->owner->lease, e->owner->id);
        buf_append_str(&b, " is leaving");
        entry_say(ops, answer, &b);
        return RECIPE_WAITS;
    }
    if (e->state == ENTRY_WAITING && asked->is_try) {
        return refuse_try(ops, asked, e->queue, e->queue->parties, answer);
    }
    entry_read(ops, e, &record);
    record.note = asked->note;
    if (e->state == ENTRY_WAITING) {
        record.deadline_ms = entry_deadline(ops, asked->wait_ms);
        recipe_entry_due(r, e, record.deadline_ms);
    }
    entry_write(ops, e, &record);
    answer_place(e, answer);
    return RECIPE_OK;
}

static bool nodes_make(struct recipes *r, const struct recipe_ops *ops,
                       const struct barrier_enter *asked, struct recipe_entry *e,
                       const struct recipe_record *record)
{
    const struct recipe_head head = {.recipe = RECIPE_BARRIER, .parties = e->queue->parties};
    struct entry_site site = {
        .path = asked->path, .lease = asked->lease, .queue = asked->queue};
    bool says_anew = asked->queue == RECIPE_NO_NODE || asked->head.parties != head.parties;
    bool made = entry_make(ops, &site, says_anew ? &head : NULL, record);
    if (made) {
        recipe_entry_bind(r, e, site.queue, site.node);
    }
    return made;
}

static enum recipe_verdict enter_new(struct recipes *r, const struct recipe_ops *ops,
                                     const struct barrier_enter *asked, struct recipe_queue *q,
                                     uint32_t parties, struct recipe_answer *answer)
{
    struct recipe_head head = {.recipe = RECIPE_BARRIER, .parties = parties};
    struct recipe_record record = {
        .state = ENTRY_WAITING,
        .mode = MODE_PARTY,
        .count = 1,
        .since_ms = ops->wall_ms,
        .deadline_ms = entry_deadline(ops, asked->wait_ms),
        .owner = asked->name,
        .note = asked->note,
    };
    if (asked->is_try && !completes(ops, q, parties)) {
        return refuse_try(ops, asked, q, parties, answer);
    }
    q = q == NULL ? recipe_queue_add(r, asked->queue, &head) : q;
    struct recipe_entry *e = recipe_entry_add(r, q, asked->lease, &record);
    if (!nodes_make(r, ops, asked, e, &record)) {
        recipe_entry_remove(r, e);
        return RECIPE_FAILED;
    }
    barrier_settle(r, ops, q); /* it is there, and has time: it stays */
    answer_place(e, answer);
    return RECIPE_OK;
}

enum recipe_verdict barrier_enter(struct recipes *r, const struct recipe_ops *ops,
                                  const struct barrier_enter *asked,
                                  struct recipe_answer *answer)
{
    struct recipe_queue *q =
        asked->queue == RECIPE_NO_NODE ? NULL : recipe_queue_find(r, asked->queue);
    uint32_t has = asked->queue == RECIPE_NO_NODE ? 0 : asked->head.parties;
    if (q != NULL && asked->parties != 0 && asked->parties != q->parties) {
        return refuse(ops, asked, q->parties, answer);
    }
    uint32_t parties = q == NULL && asked->parties != 0 ? asked->parties : has;
    if (parties == 0) {
        return refuse(ops, asked, 0, answer);
    }
    const struct recipe_owner *o =
        q == NULL ? NULL : recipe_owner_find(r, RECIPE_BARRIER, asked->lease, asked->name);
    struct recipe_entry *e = o == NULL ? NULL : recipe_owner_holds(o, q);
    e = o == NULL || e != NULL ? e : recipe_owner_waits(o, q);
    return e != NULL ? enter_again(r, ops, asked, e, answer)
                     : enter_new(r, ops, asked, q, parties, answer);
}

/* ---- leave -------------------------------------------------------------------------------- */

void barrier_leave(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e)
{
    struct recipe_record record;
    if (MUTANT_IS(MUTANT_BARRIER_LEAVES_ALONE)) {
        entry_go(r, ops, e);
        return;
    }
    if (!e->is_leaving) {
        entry_read(ops, e, &record);
        record.leaving = 1;
        recipe_entry_leave(e);
        entry_write(ops, e, &record);
        recipe_queue_touch(r, e->queue);
    }
}
