#include "recipes/election.h"

#include "base/assert.h"
#include "base/mutant.h"
#include "recipes/entry.h"

static struct recipe_entry *leader_of(const struct recipe_queue *q)
{
    return list_empty(&q->held) ? NULL : ENTRY_IN_QUEUE(q->held.next);
}

static struct recipe_entry *first_waiting(const struct recipe_queue *q)
{
    return list_empty(&q->waiting) ? NULL : ENTRY_IN_QUEUE(q->waiting.next);
}

/* ---- leading ------------------------------------------------------------------------------ */

static void lead(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e)
{
    struct recipe_record record;
    entry_read(ops, e, &record);
    record.state = ENTRY_HELD;
    record.epoch = MUTANT_IS(MUTANT_ELECTION_EPOCH_STAYS) ? 1 : ops->revision;
    record.since_ms = ops->wall_ms;
    record.deadline_ms = 0;
    recipe_entry_hold(r, e, record.epoch);
    recipe_entry_due(r, e, 0);
    entry_write(ops, e, &record);
}

void election_settle(struct recipes *r, const struct recipe_ops *ops, struct recipe_queue *q)
{
    struct recipe_entry *e;
    while (leader_of(q) == NULL && (e = first_waiting(q)) != NULL && e->is_eligible &&
           !MUTANT_IS(MUTANT_ELECTION_VACANT)) {
        bool is_last = q->waiting_count == 1;
        ops->begin_grants(ops->context);
        if (recipe_entry_is_due(e, ops->cluster_ms)) {
            entry_go(r, ops, e);
            if (is_last) {
                return; /* the queue has gone with it */
            }
        } else {
            lead(r, ops, e);
        }
    }
}

/* ---- campaign ----------------------------------------------------------------------------- */

static void record_say(struct recipe_record *record, const struct election_campaign *asked)
{
    record->value = asked->value;
    record->label = asked->label;
    record->note = asked->note;
    record->priority = asked->priority;
    record->number = asked->number;
}

static enum recipe_verdict refuse_policy(const struct recipe_ops *ops, struct slice path,
                                         uint8_t has, uint8_t wants,
                                         struct recipe_answer *answer)
{
    struct buf b = {0};
    buf_printf(&b, "%.*s: policy: %s asked for, the election has %s", (int)path.size,
               (const char *)path.data, election_policy_name(wants), election_policy_name(has));
    entry_say(ops, answer, &b);
    return RECIPE_MISMATCH;
}

static enum recipe_verdict refuse_try(const struct recipe_ops *ops,
                                      const struct election_campaign *asked,
                                      const struct recipe_queue *q,
                                      struct recipe_answer *answer)
{
    struct buf b = {0};
    const struct recipe_entry *leader = q == NULL ? NULL : leader_of(q);
    buf_printf(&b, "%.*s: ", (int)asked->path.size, (const char *)asked->path.data);
    if (leader != NULL && !entry_is_told(ops, leader)) {
        buf_append_str(&b, "led by somebody whom you may not read");
    } else if (leader == NULL) {
        buf_printf(&b, "only candidates labelled \"%.*s\" may lead",
                   (int)asked->head.eligible.size, (const char *)asked->head.eligible.data);
    } else {
        buf_append_str(&b, "led by ");
        entry_say_owner(&b, leader->owner->lease, leader->owner->id);
    }
    entry_say(ops, answer, &b);
    return RECIPE_HELD;
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

/* It is a candidate already. */
static void campaign_again(struct recipes *r, const struct recipe_ops *ops,
                           const struct election_campaign *asked, struct recipe_entry *e)
{
    struct recipe_record record;
    entry_read(ops, e, &record);
    record_say(&record, asked);
    if (e->state == ENTRY_WAITING) {
        record.deadline_ms = entry_deadline(ops, asked->wait_ms);
        recipe_entry_due(r, e, record.deadline_ms);
    }
    entry_write(ops, e, &record);
    recipe_entry_rank(e, &record);
    if (e->state == ENTRY_WAITING) {
        recipe_entry_move(e);
    }
    election_settle(r, ops, e->queue); /* it may have been the label that was in its way */
}

static bool nodes_make(struct recipes *r, const struct recipe_ops *ops,
                       const struct election_campaign *asked, const struct recipe_head *head,
                       struct recipe_entry *e, const struct recipe_record *record)
{
    struct entry_site site = {
        .path = asked->path, .lease = asked->lease, .queue = asked->queue};
    bool says_anew = asked->queue == RECIPE_NO_NODE || asked->head.policy != head->policy;
    bool made = entry_make(ops, &site, says_anew ? head : NULL, record);
    if (made) {
        recipe_entry_bind(r, e, site.queue, site.node);
    }
    return made;
}

static enum recipe_verdict campaign_new(struct recipes *r, const struct recipe_ops *ops,
                                        const struct election_campaign *asked,
                                        struct recipe_queue *q, const struct recipe_head *head,
                                        struct recipe_answer *answer)
{
    struct recipe_record record = {
        .state = ENTRY_WAITING,
        .mode = MODE_CANDIDATE,
        .count = 1,
        .since_ms = ops->wall_ms,
        .owner = asked->name,
    };
    record_say(&record, asked);
    q = q == NULL ? recipe_queue_add(r, asked->queue, head) : q;
    struct recipe_entry *e = recipe_entry_add(r, q, asked->lease, &record);
    enum recipe_verdict verdict = RECIPE_OK;
    if (e->is_eligible &&
        (leader_of(q) == NULL || MUTANT_IS(MUTANT_ELECTION_TWO_LEADERS))) {
        recipe_entry_hold(r, e, ops->revision);
        record.state = ENTRY_HELD;
        record.epoch = e->epoch;
    } else if (asked->is_try) {
        verdict = refuse_try(ops, asked, q, answer);
    } else {
        record.deadline_ms = entry_deadline(ops, asked->wait_ms);
        recipe_entry_due(r, e, record.deadline_ms);
    }
    if (verdict == RECIPE_OK && !nodes_make(r, ops, asked, head, e, &record)) {
        verdict = RECIPE_FAILED;
    }
    if (verdict != RECIPE_OK) {
        recipe_entry_remove(r, e);
        return verdict;
    }
    answer_place(e, answer);
    return RECIPE_OK;
}

enum recipe_verdict election_campaign(struct recipes *r, const struct recipe_ops *ops,
                                      const struct election_campaign *asked,
                                      struct recipe_answer *answer)
{
    struct recipe_queue *q =
        asked->queue == RECIPE_NO_NODE ? NULL : recipe_queue_find(r, asked->queue);
    struct recipe_head head = {.recipe = RECIPE_ELECTION, .policy = ELECTION_FIRST};
    if (asked->queue != RECIPE_NO_NODE) {
        head = asked->head;
    }
    bool is_fixed = q != NULL || head.keep != 0;
    if (asked->policy != 0 && asked->policy != head.policy && is_fixed) {
        return refuse_policy(ops, asked->path, head.policy, asked->policy, answer);
    }
    head.policy = asked->policy != 0 ? asked->policy : head.policy;
    const struct recipe_owner *o =
        q == NULL ? NULL
                  : recipe_owner_find(r, RECIPE_ELECTION, asked->lease, asked->name);
    struct recipe_entry *e = o == NULL ? NULL : recipe_owner_holds(o, q);
    e = o == NULL || e != NULL ? e : recipe_owner_waits(o, q);
    if (e == NULL) {
        return campaign_new(r, ops, asked, q, &head, answer);
    }
    if (asked->is_try && e->state == ENTRY_WAITING) {
        return refuse_try(ops, asked, q, answer);
    }
    campaign_again(r, ops, asked, e);
    answer_place(e, answer);
    return RECIPE_OK;
}

/* ---- the rest ----------------------------------------------------------------------------- */

enum recipe_verdict election_proclaim(const struct recipe_ops *ops, struct recipe_entry *e,
                                      struct slice value)
{
    struct recipe_record record;
    if (e->state != ENTRY_HELD) {
        return RECIPE_NOT_HELD;
    }
    entry_read(ops, e, &record);
    record.value = value;
    entry_write(ops, e, &record);
    return RECIPE_OK;
}

struct recipe_entry *election_find(const struct recipe_queue *q, struct slice name)
{
    for (struct list *at = q->waiting.next; at != &q->waiting; at = at->next) {
        if (slice_equal(ENTRY_IN_QUEUE(at)->owner->id, name)) {
            return ENTRY_IN_QUEUE(at);
        }
    }
    struct recipe_entry *leader = leader_of(q);
    return leader != NULL && slice_equal(leader->owner->id, name) ? leader : NULL;
}

enum recipe_verdict election_hand_over(struct recipes *r, const struct recipe_ops *ops,
                                       struct recipe_entry *to, struct recipe_answer *answer)
{
    struct recipe_entry *leader = leader_of(to->queue);
    if (to != leader && !to->is_eligible) {
        struct buf b = {0};
        entry_say_owner(&b, to->owner->lease, to->owner->id);
        buf_printf(&b, " may not lead: only candidates labelled \"%.*s\" may",
                   (int)to->queue->eligible.size, (const char *)to->queue->eligible.data);
        entry_say(ops, answer, &b);
        return RECIPE_MISMATCH;
    }
    if (to != leader && recipe_entry_is_due(to, ops->cluster_ms)) {
        return RECIPE_NOT_HELD;
    }
    if (to != leader) {
        to = MUTANT_IS(MUTANT_ELECTION_HAND_OVER_LOST) ? first_waiting(to->queue) : to;
        if (leader != NULL) {
            entry_go(r, ops, leader);
        }
        ops->begin_grants(ops->context);
        lead(r, ops, to);
    }
    answer_place(to, answer);
    return RECIPE_OK;
}

/* All who wait are ranked as the election now decides. */
static void rank_again(const struct recipe_ops *ops, struct recipe_queue *q)
{
    struct recipe_record record;
    struct list *tmp;
    struct list *at;
    LIST_EACH (at, tmp, &q->held) {
        entry_read(ops, ENTRY_IN_QUEUE(at), &record);
        recipe_entry_rank(ENTRY_IN_QUEUE(at), &record);
    }
    LIST_EACH (at, tmp, &q->waiting) {
        entry_read(ops, ENTRY_IN_QUEUE(at), &record);
        recipe_entry_rank(ENTRY_IN_QUEUE(at), &record);
    }
    recipe_queue_sort(q);
}

enum recipe_verdict election_configure(struct recipes *r, const struct recipe_ops *ops,
                                       struct slice path, uint32_t queue,
                                       const struct recipe_head *head)
{
    struct buf text = {0};
    recipe_head_encode(&text, head);
    uint32_t node = ops->make_queue(ops->context, path, buf_slice(&text));
    buf_close(&text);
    if (node == RECIPE_NO_NODE) {
        return RECIPE_FAILED;
    }
    struct recipe_queue *q =
        queue == RECIPE_NO_NODE ? NULL : recipe_queue_find(r, queue);
    if (q != NULL) {
        recipe_queue_set(q, head);
        rank_again(ops, q);
        recipe_queue_touch(r, q);
    }
    return RECIPE_OK;
}
