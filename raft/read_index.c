#include "raft/read_index.h"

#include <string.h>

#include "base/mutant.h"

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
    list_init(&ri->ready);
    list_init(&ri->serving);
}

void read_index_close(struct read_index *ri, enum status rc)
{
    move_all(&ri->waiting, &ri->in_round);
    move_all(&ri->waiting, &ri->ready);
    move_all(&ri->waiting, &ri->serving);
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

void read_index_add(struct read_index *ri, struct node_read *r)
{
    list_push_back(&ri->waiting, &r->link);
    note_deadline(ri, r);
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

static void finish_round(struct read_index *ri, uint64_t index)
{
    ri->running = false;
    if (index >= ri->fresh_index) {
        ri->fresh_index = index;
        ri->fresh_ms = ri->round_began_ms;
    }
    struct list *it;
    while ((it = list_pop_front(&ri->in_round)) != NULL) {
        of(it)->wait_index = index;
        list_push_back(&ri->ready, it);
    }
    for (size_t i = 0; i < ri->asked_count; i++) {
        struct message m = {.type = MESSAGE_READ_INDEX_RESULT};
        m.read_index.round = ri->asked[i].round;
        m.read_index.term = ri->round_term;
        m.read_index.index = index;
        ri->ops->send(ri->context, ri->asked[i].from, &m);
    }
    ri->asked_count = 0;
}

static void check_majority(struct read_index *ri)
{
    const struct engine_configuration *c = engine_configuration(ri->engine);
    size_t voters = 0;
    size_t confirmed = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].role == ENGINE_VOTER) {
            voters++;
            confirmed += (ri->confirmed >> i) & 1;
        }
    }
    if (2 * confirmed > voters || MUTANT_IS(MUTANT_STALE_READ)) {
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

static void confirm(struct read_index *ri, uint64_t member)
{
    const struct engine_configuration *c = engine_configuration(ri->engine);
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].id == member) {
            ri->confirmed |= UINT32_C(1) << i;
        }
    }
}

static void begin_as_leader(struct read_index *ri, uint64_t now_ms)
{
    ri->round_commit = engine_commit_index(ri->engine);
    ri->confirmed = 0;
    memcpy(ri->asked, ri->questions, ri->question_count * sizeof ri->questions[0]);
    ri->asked_count = ri->question_count;
    ri->question_count = 0;
    confirm(ri, ri->self);
    ask(ri, now_ms);
    check_majority(ri);
}

static void begin_round(struct read_index *ri, uint64_t now_ms)
{
    uint64_t leader = engine_leader(ri->engine);
    if (leader == 0 || (leader == ri->self && !engine_leads_safely(ri->engine))) {
        return;
    }
    ri->round++;
    ri->running = true;
    ri->round_term = engine_term(ri->engine);
    ri->round_leader = leader;
    ri->round_began_ms = now_ms;
    move_all(&ri->in_round, &ri->waiting);
    if (leader == ri->self) {
        begin_as_leader(ri, now_ms);
    } else {
        ask(ri, now_ms);
    }
}

/* Back to the first stage; followers whose question is dropped ask again by themselves. */
static void abandon_round(struct read_index *ri)
{
    ri->running = false;
    ri->asked_count = 0;
    struct list *it;
    while (!list_empty(&ri->in_round)) { /* in front of those that came later */
        it = ri->in_round.prev;
        list_remove(it);
        list_push_back(ri->waiting.next, it);
    }
}

void read_index_leader_changed(struct read_index *ri)
{
    ri->question_count = 0;
    abandon_round(ri);
}

/* A round that gets no answer is asked again under its number, not begun anew: answers to the
 * first asking count as well, so it ends however long they take. */
void read_index_turn(struct read_index *ri, uint64_t now_ms)
{
    if (ri->running && now_ms >= ri->asked_ms + ri->retry_ms) {
        ask(ri, now_ms);
    }
    if (!ri->running && (!list_empty(&ri->waiting) || ri->question_count > 0)) {
        begin_round(ri, now_ms);
    }
}

bool read_index_is_idle(const struct read_index *ri)
{
    return list_empty(&ri->waiting) && list_empty(&ri->in_round) && list_empty(&ri->ready) &&
           list_empty(&ri->serving);
}

/* ---- messages ---------------------------------------------------------------------------- */

void read_index_on_probe_result(struct read_index *ri, uint64_t from,
                                const struct message_term_probe *m)
{
    if (!ri->running || m->round != ri->round || ri->round_leader != ri->self ||
        m->term > ri->round_term || engine_term(ri->engine) != ri->round_term) {
        return;
    }
    confirm(ri, from);
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
            return &ri->questions[i];
        }
    }
    return ri->question_count < READ_INDEX_QUESTIONS_MAX ? &ri->questions[ri->question_count++]
                                                         : NULL;
}

void read_index_on_question(struct read_index *ri, uint64_t from,
                            const struct message_read_index *m)
{
    struct read_index_question *question = NULL;
    if (m->term == engine_term(ri->engine) && engine_leader(ri->engine) == ri->self) {
        if (is_asked(ri, from, m->round)) {
            return; /* asked again: the round that answers it is under way */
        }
        question = question_of(ri, from);
    }
    if (question == NULL) {
        struct message answer = {.type = MESSAGE_READ_INDEX_RESULT};
        answer.read_index.round = m->round;
        answer.read_index.term = engine_term(ri->engine);
        answer.read_index.refused = true;
        ri->ops->send(ri->context, from, &answer);
        return;
    }
    *question = (struct read_index_question){.from = from, .round = m->round};
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
    finish_round(ri, m->index);
}

/* ---- results ----------------------------------------------------------------------------- */

/* Those that may be served are gathered first: one walk for all of them, and completions may
 * cancel or add what they like meanwhile. */
struct node_read *read_index_next(struct read_index *ri, uint64_t applied)
{
    struct list *it;
    struct list *tmp;
    if (list_empty(&ri->serving)) {
        LIST_EACH(it, tmp, &ri->ready)
        {
            if (of(it)->wait_index <= applied) {
                list_remove(it);
                list_push_back(&ri->serving, it);
            }
        }
    }
    it = list_pop_front(&ri->serving);
    return it != NULL ? of(it) : NULL;
}

static struct node_read *expired_in(struct read_index *ri, struct list *list, uint64_t now_ms)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, list)
    {
        if (of(it)->deadline_ms <= now_ms) {
            list_remove(it);
            return of(it);
        }
        note_deadline(ri, of(it));
    }
    return NULL;
}

struct node_read *read_index_expired(struct read_index *ri, uint64_t now_ms)
{
    if (now_ms < ri->deadline_ms) {
        return NULL;
    }
    ri->deadline_ms = UINT64_MAX;
    struct node_read *r = expired_in(ri, &ri->waiting, now_ms);
    r = r != NULL ? r : expired_in(ri, &ri->in_round, now_ms);
    r = r != NULL ? r : expired_in(ri, &ri->ready, now_ms);
    if (r != NULL) {
        ri->deadline_ms = now_ms; /* there may be more: look again at the next call */
    }
    return r;
}

uint64_t read_index_next_deadline_ms(const struct read_index *ri)
{
    uint64_t retry = ri->running ? ri->asked_ms + ri->retry_ms : UINT64_MAX;
    return retry < ri->deadline_ms ? retry : ri->deadline_ms;
}
