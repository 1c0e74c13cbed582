#include "raft/read_index.h"

#include <string.h>

#include "base/mutant.h"
#include "lease/keeper.h"

static struct node_read *of(struct list *link)
{
    return LIST_OF(link, struct node_read, link);
}

static void move_all(struct list *to, struct list *from)
{
    struct list *it;
    while ((it = list_pop_front(from)) != NULL) {
        list_push_back(to, it);
    }
}

void read_index_init(struct read_index *ri, const struct read_index_ops *ops, void *context,
                     uint64_t self, uint32_t retry_ms, uint64_t first_round)
{
    memset(ri, 0, sizeof *ri);
    ri->round = first_round;
    ri->ops = ops;
    ri->context = context;
    ri->self = self;
    ri->retry_ms = retry_ms;
    ri->deadline_ms = UINT64_MAX;
    list_init(&ri->waiting);
    list_init(&ri->in_round);
    list_init(&ri->held);
    list_init(&ri->ready);
    list_init(&ri->unapplied);
    list_init(&ri->serving);
    list_init(&ri->expired);
    ri->unapplied_index = UINT64_MAX;
}

static void forget_questions(struct read_index_question *questions, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        touches_close(&questions[i].unrenewed);
    }
    *count = 0;
}

void read_index_close(struct read_index *ri, enum status rc)
{
    forget_questions(ri->questions, &ri->question_count);
    forget_questions(ri->asked, &ri->asked_count);
    touches_close(&ri->touches);
    touches_close(&ri->touching);
    touches_close(&ri->unrenewed);
    move_all(&ri->waiting, &ri->in_round);
    move_all(&ri->waiting, &ri->held);
    move_all(&ri->waiting, &ri->ready);
    move_all(&ri->waiting, &ri->unapplied);
    move_all(&ri->waiting, &ri->serving);
    move_all(&ri->waiting, &ri->expired);
    struct list *it;
    while ((it = list_pop_front(&ri->waiting)) != NULL) {
        of(it)->done(of(it), rc, NULL);
    }
}

static void note_deadline(struct read_index *ri, const struct node_read *r)
{
    if (r->deadline_ms < ri->deadline_ms) {
        ri->deadline_ms = r->deadline_ms;
    }
}

static void note_touch(struct read_index *ri, uint64_t lease)
{
    if (ri->touches.count == 0) {
        ri->touched_ms = ri->ops->now_ms(ri->context);
    }
    touches_add(&ri->touches, lease);
}

bool read_index_touch(struct read_index *ri, uint64_t lease)
{
    if (ri->touches.count >= READ_INDEX_TOUCHES_MAX) {
        return touches_has(&ri->touches, lease);
    }
    note_touch(ri, lease);
    return true;
}

void read_index_renew_waiting(struct read_index *ri)
{
    for (size_t i = 0; i < ri->touches.count; i++) {
        (void)ri->ops->renew(ri->context, ri->touches.ids[i]);
    }
}

enum status read_index_add(struct read_index *ri, struct node_read *r)
{
    if (r->touch != 0 && !read_index_touch(ri, r->touch)) {
        return RC_OVERLOADED;
    }
    list_push_back(&ri->waiting, &r->link);
    note_deadline(ri, r);
    return RC_OK;
}

void read_index_add_ready(struct read_index *ri, struct node_read *r, uint64_t index)
{
    r->wait_index = index;
    list_push_back(&ri->ready, &r->link);
    note_deadline(ri, r);
}

void read_index_cancel(struct node_read *r)
{
    list_remove(&r->link);
}

/* ---- rounds ------------------------------------------------------------------------------ */

static void note_proof(struct read_index *ri, uint64_t index)
{
    ri->last = (struct read_index_proof){.index = index, .ms = ri->round_began_ms};
    if (ri->first.index == 0) {
        ri->first = ri->last;
    }
}

static void answer(const struct read_index *ri, uint64_t to,
                   const struct message_read_index *result)
{
    const struct message m = {.type = MESSAGE_READ_INDEX_RESULT, .read_index = *result};
    ri->ops->send(ri->context, to, &m);
}

static void answer_questions(struct read_index *ri, uint64_t index)
{
    for (size_t i = 0; i < ri->asked_count; i++) {
        const struct read_index_question *q = &ri->asked[i];
        answer(ri, q->from,
               &(struct message_read_index){.round = q->round,
                                            .term = ri->round_term,
                                            .index = index,
                                            .touches = q->unrenewed.ids,
                                            .touch_count = (uint32_t)q->unrenewed.count});
    }
    forget_questions(ri->asked, &ri->asked_count);
}

/* What a read touches is renewed, or about to end: that one finds out in another round. */
static void hold(struct read_index *ri, struct list *link)
{
    if (list_empty(&ri->held)) {
        ri->held_ms = ri->ops->now_ms(ri->context) + ri->retry_ms;
    }
    list_push_back(&ri->held, link);
}

static void finish_round(struct read_index *ri, uint64_t index)
{
    ri->running = false;
    if (ri->round_leader == ri->self) {
        ri->confirmed_round = ri->round;
    }
    note_proof(ri, index);
    struct list *it;
    while ((it = list_pop_front(&ri->in_round)) != NULL) {
        if (of(it)->touch != 0 && touches_has(&ri->unrenewed, of(it)->touch)) {
            hold(ri, it);
            continue;
        }
        of(it)->wait_index = index;
        list_push_back(&ri->ready, it);
    }
    touches_close(&ri->touching);
    touches_close(&ri->unrenewed);
    answer_questions(ri, index);
}

/* A set of members is a word, with a bit for each place in the configuration. */
static uint32_t member_bit(const struct read_index *ri, uint64_t member)
{
    const struct engine_configuration *c = engine_configuration(ri->engine);
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].id == member) {
            return UINT32_C(1) << i;
        }
    }
    return 0;
}

/* Only voters count. */
static bool is_majority(const struct read_index *ri, uint32_t members)
{
    const struct engine_configuration *c = engine_configuration(ri->engine);
    size_t voters = 0;
    size_t found = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].role == ENGINE_VOTER) {
            voters++;
            found += (members >> i) & 1;
        }
    }
    return 2 * found > voters;
}

static void check_majority(struct read_index *ri)
{
    if (is_majority(ri, ri->confirmed) || MUTANT_IS(MUTANT_STALE_READ)) {
        finish_round(ri, ri->round_commit);
    }
}

/* Asks whoever has not answered in this round. */
static void ask(struct read_index *ri, uint64_t now_ms)
{
    ri->asked_ms = now_ms;
    if (ri->round_leader != ri->self) {
        struct message m = {.type = MESSAGE_READ_INDEX};
        m.read_index.round = ri->round;
        m.read_index.term = ri->round_term;
        m.read_index.touches = ri->touching.ids;
        m.read_index.touch_count = (uint32_t)ri->touching.count;
        if (MUTANT_IS(MUTANT_TOUCHES_KEPT_BACK)) {
            m.read_index.touch_count = 0;
        }
        ri->ops->send(ri->context, ri->round_leader, &m);
        return;
    }
    const struct engine_configuration *c = engine_configuration(ri->engine);
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].role == ENGINE_VOTER && ((ri->confirmed >> i) & 1) == 0) {
            struct message m = {.type = MESSAGE_TERM_PROBE};
            m.term_probe.round = ri->round;
            m.term_probe.term = ri->round_term;
            ri->ops->send(ri->context, c->members[i].id, &m);
        }
    }
}

static void begin_as_leader(struct read_index *ri, uint64_t now_ms)
{
    ri->round_commit = engine_commit_index(ri->engine);
    ri->confirmed = member_bit(ri, ri->self);
    memcpy(ri->asked, ri->questions, ri->question_count * sizeof ri->questions[0]);
    ri->asked_count = ri->question_count;
    ri->question_count = 0;
    for (size_t i = 0; i < ri->touching.count; i++) {
        if (!ri->ops->renew(ri->context, ri->touching.ids[i])) {
            touches_add(&ri->unrenewed, ri->touching.ids[i]);
        }
    }
    ask(ri, now_ms);
    check_majority(ri);
}

static bool can_begin(const struct read_index *ri)
{
    uint64_t leader = engine_leader(ri->engine);
    return leader != 0 && (leader != ri->self || engine_leads_safely(ri->engine));
}

/* Reads go in with their touches: one message has room for so many. */
static void take_waiting(struct read_index *ri)
{
    struct list *it;
    struct list *tmp;
    touches_take(&ri->touching, &ri->touches, MESSAGE_TOUCHES_MAX);
    if (ri->touches.count == 0) {
        move_all(&ri->in_round, &ri->waiting);
        return;
    }
    LIST_EACH(it, tmp, &ri->waiting)
    {
        if (of(it)->touch == 0 || touches_has(&ri->touching, of(it)->touch)) {
            list_remove(it);
            list_push_back(&ri->in_round, it);
        }
    }
}

static void begin_round(struct read_index *ri, uint64_t now_ms)
{
    ri->round++;
    ri->running = true;
    ri->round_term = engine_term(ri->engine);
    ri->round_leader = engine_leader(ri->engine);
    ri->round_began_ms = now_ms;
    take_waiting(ri);
    if (ri->round_leader == ri->self) {
        begin_as_leader(ri, now_ms);
    } else {
        ask(ri, now_ms);
    }
}

/* Back to the first stage; followers whose question is dropped ask again by themselves. */
static void abandon_round(struct read_index *ri)
{
    ri->running = false;
    forget_questions(ri->asked, &ri->asked_count);
    touches_close(&ri->unrenewed);
    if (ri->touching.count > 0) {
        touches_put_back(&ri->touches, &ri->touching);
        ri->touched_ms = ri->round_began_ms;
    }
    struct list *it;
    while (!list_empty(&ri->in_round)) { /* in front of those that came later */
        it = ri->in_round.prev;
        list_remove(it);
        list_push_back(ri->waiting.next, it);
    }
}

void read_index_leader_changed(struct read_index *ri)
{
    forget_questions(ri->questions, &ri->question_count);
    abandon_round(ri);
}

static void release_held(struct read_index *ri)
{
    struct list *it;
    while ((it = list_pop_front(&ri->held)) != NULL) {
        note_touch(ri, of(it)->touch);
        list_push_back(&ri->waiting, it);
    }
}

static bool touches_are_due(const struct read_index *ri, uint64_t now_ms)
{
    return ri->touches.count > 0 && now_ms >= ri->touched_ms + KEEPER_TOUCH_MS;
}

/* A round that gets no answer is asked again under its number, not begun anew: answers to the
 * first asking count as well, so it ends however long they take. */
void read_index_turn(struct read_index *ri, uint64_t now_ms)
{
    if (!list_empty(&ri->held) && now_ms >= ri->held_ms) {
        release_held(ri);
    }
    if (ri->running && now_ms >= ri->asked_ms + ri->retry_ms) {
        ask(ri, now_ms);
    }
    bool is_needed = !list_empty(&ri->waiting) || ri->question_count > 0 ||
                     ri->wanted_round > ri->confirmed_round || ri->last.index == 0 ||
                     touches_are_due(ri, now_ms);
    if (!ri->running && is_needed && can_begin(ri)) {
        begin_round(ri, now_ms);
    }
}

uint64_t read_index_want_round(struct read_index *ri)
{
    ri->wanted_round = ri->round + 1;
    return ri->wanted_round;
}

void read_index_unwant_round(struct read_index *ri)
{
    ri->wanted_round = 0;
}

bool read_index_is_idle(const struct read_index *ri)
{
    return list_empty(&ri->waiting) && list_empty(&ri->in_round) && list_empty(&ri->held) &&
           list_empty(&ri->ready) && list_empty(&ri->unapplied) && list_empty(&ri->serving) &&
           list_empty(&ri->expired);
}

/* ---- messages ---------------------------------------------------------------------------- */

void read_index_on_probe_result(struct read_index *ri, uint64_t from,
                                const struct message_term_probe *m)
{
    if (!ri->running || m->round != ri->round || ri->round_leader != ri->self ||
        m->term > ri->round_term || engine_term(ri->engine) != ri->round_term) {
        return;
    }
    ri->confirmed |= member_bit(ri, from);
    check_majority(ri);
}

static bool is_asked(const struct read_index *ri, uint64_t from, uint64_t round)
{
    for (size_t i = 0; i < ri->asked_count; i++) {
        if (ri->asked[i].from == from && ri->asked[i].round == round) {
            return true;
        }
    }
    return false;
}

/* The place of this member's question: its newest one replaces what it asked before. */
static struct read_index_question *question_of(struct read_index *ri, uint64_t from)
{
    for (size_t i = 0; i < ri->question_count; i++) {
        if (ri->questions[i].from == from) {
            touches_close(&ri->questions[i].unrenewed);
            return &ri->questions[i];
        }
    }
    return ri->question_count < READ_INDEX_QUESTIONS_MAX ? &ri->questions[ri->question_count++]
                                                         : NULL;
}

/* The question itself is its sender's word that the term was ours after the reads had come: with
 * this node that may be a majority. */
static bool may_answer_at_once(const struct read_index *ri, uint64_t from,
                               const struct message_read_index *m)
{
    return m->touch_count == 0 && engine_leads_safely(ri->engine) &&
           is_majority(ri, member_bit(ri, ri->self) | member_bit(ri, from));
}

static void refuse(const struct read_index *ri, uint64_t to, uint64_t round)
{
    answer(ri, to,
           &(struct message_read_index){
               .round = round, .term = engine_term(ri->engine), .refused = true});
}

void read_index_on_question(struct read_index *ri, uint64_t from,
                            const struct message_read_index *m)
{
    if (m->term != engine_term(ri->engine) || engine_leader(ri->engine) != ri->self) {
        refuse(ri, from, m->round);
        return;
    }
    if (is_asked(ri, from, m->round)) {
        return; /* asked again: the round that answers it is under way */
    }
    if (may_answer_at_once(ri, from, m)) {
        answer(ri, from,
               &(struct message_read_index){.round = m->round,
                                            .term = engine_term(ri->engine),
                                            .index = engine_commit_index(ri->engine)});
        return;
    }
    struct read_index_question *question = question_of(ri, from);
    if (question == NULL) {
        refuse(ri, from, m->round);
        return;
    }
    *question = (struct read_index_question){.from = from, .round = m->round};
    for (uint32_t i = 0; i < m->touch_count; i++) {
        if (!ri->ops->renew(ri->context, m->touches[i])) {
            touches_add(&question->unrenewed, m->touches[i]);
        }
    }
}

void read_index_on_answer(struct read_index *ri, uint64_t from,
                          const struct message_read_index *m)
{
    if (!ri->running || m->round != ri->round || from != ri->round_leader ||
        ri->round_leader == ri->self) {
        return;
    }
    if (m->refused || m->term != ri->round_term) {
        return; /* the retry, or the change of leader that is about to be noticed, sees to it */
    }
    for (uint32_t i = 0; i < m->touch_count; i++) {
        touches_add(&ri->unrenewed, m->touches[i]);
    }
    finish_round(ri, m->index);
}

/* ---- results ----------------------------------------------------------------------------- */

/* A read whose index is known, out of any list. */
static void sort_out(struct read_index *ri, struct list *link, uint64_t applied)
{
    if (of(link)->wait_index <= applied) {
        list_push_back(&ri->serving, link);
        return;
    }
    list_push_back(&ri->unapplied, link);
    if (of(link)->wait_index < ri->unapplied_index) {
        ri->unapplied_index = of(link)->wait_index;
    }
}

static void look_through_unapplied(struct read_index *ri, uint64_t applied)
{
    struct list all;
    struct list *it;
    list_init(&all);
    move_all(&all, &ri->unapplied);
    ri->unapplied_index = UINT64_MAX;
    while ((it = list_pop_front(&all)) != NULL) {
        sort_out(ri, it, applied);
    }
}

/* Those that may be served are gathered first: one walk for all of them, and completions may
 * cancel or add what they like meanwhile. What is not applied yet is not walked before the first
 * of it is: there may be many, and every turn comes here. */
struct node_read *read_index_next(struct read_index *ri, uint64_t applied)
{
    struct list *it;
    if (list_empty(&ri->serving)) {
        if (ri->unapplied_index <= applied) { /* these came first */
            look_through_unapplied(ri, applied);
        }
        while ((it = list_pop_front(&ri->ready)) != NULL) {
            sort_out(ri, it, applied);
        }
    }
    it = list_pop_front(&ri->serving);
    return it != NULL ? of(it) : NULL;
}

static void take_expired(struct read_index *ri, struct list *list, uint64_t now_ms)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, list)
    {
        if (of(it)->deadline_ms <= now_ms) {
            list_remove(it);
            list_push_back(&ri->expired, it);
        } else {
            note_deadline(ri, of(it));
        }
    }
}

/* Gathered first, for the same reasons. */
struct node_read *read_index_expired(struct read_index *ri, uint64_t now_ms)
{
    if (list_empty(&ri->expired) && now_ms >= ri->deadline_ms) {
        ri->deadline_ms = UINT64_MAX;
        take_expired(ri, &ri->waiting, now_ms);
        take_expired(ri, &ri->in_round, now_ms);
        take_expired(ri, &ri->held, now_ms);
        take_expired(ri, &ri->unapplied, now_ms);
        take_expired(ri, &ri->ready, now_ms);
        take_expired(ri, &ri->serving, now_ms);
    }
    struct list *it = list_pop_front(&ri->expired);
    return it != NULL ? of(it) : NULL;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Without a leader nothing can begin, and one that is found makes a turn by itself. */
uint64_t read_index_next_deadline_ms(const struct read_index *ri)
{
    uint64_t next = ri->deadline_ms;
    if (!list_empty(&ri->held)) {
        next = earlier(next, ri->held_ms);
    }
    if (ri->running) {
        next = earlier(next, ri->asked_ms + ri->retry_ms);
    } else if (ri->touches.count > 0 && can_begin(ri)) {
        next = earlier(next, ri->touched_ms + KEEPER_TOUCH_MS);
    }
    return next;
}

/* ---- freshness --------------------------------------------------------------------------- */

/* Between the two proofs that are kept there may have been others: they matter only until the
 * next one, so at most one round's time is given away. */
void read_index_note_applied(struct read_index *ri, uint64_t applied)
{
    if (ri->first.index != 0 && applied >= ri->first.index) {
        ri->applied = ri->first;
        ri->first = ri->last;
    }
    if (ri->first.index != 0 && applied >= ri->last.index) {
        ri->applied = ri->last;
        ri->first = (struct read_index_proof){0};
    }
}

bool read_index_is_proved(const struct read_index *ri)
{
    return ri->applied.index != 0;
}

uint64_t read_index_age_ms(const struct read_index *ri, uint64_t now_ms)
{
    return ri->applied.index != 0 ? now_ms - ri->applied.ms : UINT64_MAX;
}
