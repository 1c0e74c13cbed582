/* Linearizable reads with an engine that is a handful of numbers, and with what they send kept.
 *
 * The engine's functions are defined here, those that read_index.c asks, so exactly one file of a
 * program includes this; being defined there, they keep the real engine out of it. */
#ifndef TESTS_SUPPORT_READ_INDEX_KIT_H
#define TESTS_SUPPORT_READ_INDEX_KIT_H

#include "raft/read_index.h"
#include "tests/support/check_main.h"

#define SELF     1
#define READS    4
#define SENT_MAX 32
#define RETRY_MS 60
#define IDS_MAX  8
#define DYING    66 /* a lease whose end is proposed */

struct engine {
    uint64_t leader;
    uint64_t term;
    uint64_t commit;
    bool leads_safely;
    struct engine_configuration configuration;
};

uint64_t engine_leader(const struct engine *e)
{
    return e->leader;
}

uint64_t engine_term(const struct engine *e)
{
    return e->term;
}

uint64_t engine_commit_index(const struct engine *e)
{
    return e->commit;
}

bool engine_leads_safely(const struct engine *e)
{
    return e->leads_safely;
}

const struct engine_configuration *engine_configuration(const struct engine *e)
{
    return &e->configuration;
}

struct fixture {
    struct engine engine;
    struct read_index ri;
    struct node_read reads[READS];
    enum status rc[READS];
    int calls[READS];
    struct message sent[SENT_MAX];
    uint64_t sent_to[SENT_MAX];
    uint64_t ids[SENT_MAX][IDS_MAX]; /* of what was sent */
    size_t sent_count;
    uint64_t renewed[SENT_MAX]; /* in this order */
    size_t renewed_count;
    uint64_t now_ms;
};

static inline void on_send(void *context, uint64_t to, const struct message *m)
{
    struct fixture *x = context;
    ck_assert_uint_lt(x->sent_count, SENT_MAX);
    x->sent_to[x->sent_count] = to;
    x->sent[x->sent_count] = *m;
    bool has_ids = m->type == MESSAGE_READ_INDEX || m->type == MESSAGE_READ_INDEX_RESULT;
    for (uint32_t i = 0; has_ids && i < m->read_index.touch_count && i < IDS_MAX; i++) {
        x->ids[x->sent_count][i] = m->read_index.touches[i];
    }
    x->sent_count++;
}

static inline bool on_renew(void *context, uint64_t lease)
{
    struct fixture *x = context;
    if (x->renewed_count < SENT_MAX) {
        x->renewed[x->renewed_count++] = lease;
    }
    return lease != DYING;
}

static inline uint64_t on_now(void *context)
{
    const struct fixture *x = context;
    return x->now_ms;
}

static inline void on_done(struct node_read *r, enum status rc, const struct query_result *result)
{
    struct fixture *x = r->owner;
    size_t i = (size_t)(r - x->reads);
    ck_assert_ptr_null(result);
    x->calls[i]++;
    x->rc[i] = rc;
}

static const struct read_index_ops ops = {.send = on_send, .now_ms = on_now, .renew = on_renew};

/* Members 1 to 5, of which 4 and 5 have no vote; member 1 is asked. */
static inline void init(struct fixture *x, uint64_t leader)
{
    *x = (struct fixture){.now_ms = 1000};
    x->engine = (struct engine){
        .leader = leader, .term = 7, .commit = 20, .leads_safely = leader == SELF};
    x->engine.configuration.count = 5;
    for (size_t i = 0; i < 5; i++) {
        x->engine.configuration.members[i].id = i + 1;
        x->engine.configuration.members[i].role = i < 3 ? ENGINE_VOTER : ENGINE_STANDBY;
    }
    read_index_init(&x->ri, &ops, x, SELF, RETRY_MS, 500);
    x->ri.engine = &x->engine;
}

static inline void finish(struct fixture *x)
{
    read_index_close(&x->ri, RC_STOPPED);
    ck_assert(read_index_is_idle(&x->ri));
}

static inline void add_touching(struct fixture *x, size_t i, uint64_t lease)
{
    x->reads[i] =
        (struct node_read){.done = on_done, .owner = x, .deadline_ms = 9000, .touch = lease};
    ck_assert_int_eq(read_index_add(&x->ri, &x->reads[i]), RC_OK);
}

static inline void add(struct fixture *x, size_t i)
{
    add_touching(x, i, 0);
}

static inline void turn(struct fixture *x)
{
    read_index_turn(&x->ri, x->now_ms);
}

/* The first round, which nobody asks for, is over. */
static inline void catch_up(struct fixture *x)
{
    turn(x);
    read_index_on_answer(&x->ri, x->ri.round_leader,
                         &(struct message_read_index){
                             .round = x->ri.round, .term = x->engine.term, .index = 20});
    read_index_note_applied(&x->ri, 20);
    ck_assert(read_index_is_proved(&x->ri));
    x->sent_count = 0;
}

static inline void probe_result(struct fixture *x, uint64_t from, uint64_t round, uint64_t term)
{
    read_index_on_probe_result(&x->ri, from,
                               &(struct message_term_probe){.round = round, .term = term});
}

static inline void answer(struct fixture *x, uint64_t from, uint64_t round, uint64_t term,
                          uint64_t index)
{
    read_index_on_answer(
        &x->ri, from,
        &(struct message_read_index){.round = round, .term = term, .index = index});
}

static inline void question(struct fixture *x, uint64_t from, uint64_t round, uint64_t term)
{
    read_index_on_question(&x->ri, from,
                           &(struct message_read_index){.round = round, .term = term});
}

/* A question that brings touches. */
static inline void question_touching(struct fixture *x, uint64_t from, uint64_t round,
                                     const uint64_t *ids, uint32_t count)
{
    read_index_on_question(
        &x->ri, from,
        &(struct message_read_index){
            .round = round, .term = x->engine.term, .touches = ids, .touch_count = count});
}

/* The leader's answer, with what it did not renew. */
static inline void answer_unrenewed(struct fixture *x, uint64_t lease)
{
    read_index_on_answer(&x->ri, x->ri.round_leader,
                         &(struct message_read_index){.round = x->ri.round,
                                                      .term = x->ri.round_term,
                                                      .index = 20,
                                                      .touches = &lease,
                                                      .touch_count = lease != 0 ? 1 : 0});
}

static inline size_t sent(const struct fixture *x, uint8_t type)
{
    size_t count = 0;
    for (size_t i = 0; i < x->sent_count; i++) {
        count += x->sent[i].type == type;
    }
    return count;
}

static const struct message *newest(const struct fixture *x)
{
    ck_assert_uint_gt(x->sent_count, 0);
    return &x->sent[x->sent_count - 1];
}

#endif
