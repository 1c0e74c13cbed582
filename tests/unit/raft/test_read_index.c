/* Rounds of linearizable reads: what is served, at which index, and never too early. The engine is
 * a handful of numbers here: this file answers the questions that read_index.c asks. */
#include "raft/read_index.h"

#include <string.h>

#include "lease/keeper.h"
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

static void on_send(void *context, uint64_t to, const struct message *m)
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

static bool on_renew(void *context, uint64_t lease)
{
    struct fixture *x = context;
    if (x->renewed_count < SENT_MAX) {
        x->renewed[x->renewed_count++] = lease;
    }
    return lease != DYING;
}

static uint64_t on_now(void *context)
{
    const struct fixture *x = context;
    return x->now_ms;
}

static void on_done(struct node_read *r, enum status rc, const struct query_result *result)
{
    struct fixture *x = r->owner;
    size_t i = (size_t)(r - x->reads);
    ck_assert_ptr_null(result);
    x->calls[i]++;
    x->rc[i] = rc;
}

static const struct read_index_ops ops = {.send = on_send, .now_ms = on_now, .renew = on_renew};

/* Members 1 to 5, of which 4 and 5 have no vote; member 1 is asked. */
static void init(struct fixture *x, uint64_t leader)
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

static void finish(struct fixture *x)
{
    read_index_close(&x->ri, RC_STOPPED);
    ck_assert(read_index_is_idle(&x->ri));
}

static void add_touching(struct fixture *x, size_t i, uint64_t lease)
{
    x->reads[i] =
        (struct node_read){.done = on_done, .owner = x, .deadline_ms = 9000, .touch = lease};
    ck_assert_int_eq(read_index_add(&x->ri, &x->reads[i]), RC_OK);
}

static void add(struct fixture *x, size_t i)
{
    add_touching(x, i, 0);
}

static void turn(struct fixture *x)
{
    read_index_turn(&x->ri, x->now_ms);
}

/* The first round, which nobody asks for, is over. */
static void catch_up(struct fixture *x)
{
    turn(x);
    read_index_on_answer(&x->ri, x->ri.round_leader,
                         &(struct message_read_index){
                             .round = x->ri.round, .term = x->engine.term, .index = 20});
    read_index_note_applied(&x->ri, 20);
    ck_assert(read_index_is_proved(&x->ri));
    x->sent_count = 0;
}

static void probe_result(struct fixture *x, uint64_t from, uint64_t round, uint64_t term)
{
    read_index_on_probe_result(&x->ri, from,
                               &(struct message_term_probe){.round = round, .term = term});
}

static void answer(struct fixture *x, uint64_t from, uint64_t round, uint64_t term,
                   uint64_t index)
{
    read_index_on_answer(
        &x->ri, from,
        &(struct message_read_index){.round = round, .term = term, .index = index});
}

static void question(struct fixture *x, uint64_t from, uint64_t round, uint64_t term)
{
    read_index_on_question(&x->ri, from,
                           &(struct message_read_index){.round = round, .term = term});
}

/* A question that brings touches. */
static void question_touching(struct fixture *x, uint64_t from, uint64_t round,
                              const uint64_t *ids, uint32_t count)
{
    read_index_on_question(
        &x->ri, from,
        &(struct message_read_index){
            .round = round, .term = x->engine.term, .touches = ids, .touch_count = count});
}

/* The leader's answer, with what it did not renew. */
static void answer_unrenewed(struct fixture *x, uint64_t lease)
{
    read_index_on_answer(&x->ri, x->ri.round_leader,
                         &(struct message_read_index){.round = x->ri.round,
                                                      .term = x->ri.round_term,
                                                      .index = 20,
                                                      .touches = &lease,
                                                      .touch_count = lease != 0 ? 1 : 0});
}

static size_t sent(const struct fixture *x, uint8_t type)
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

/* ---- the leader ---------------------------------------------------------------------------- */

START_TEST(a_majority_of_voters_confirms_a_round)
{
    struct fixture x;
    init(&x, SELF);
    add(&x, 0);
    turn(&x);
    ck_assert_uint_eq(sent(&x, MESSAGE_TERM_PROBE), 2); /* both other voters, nobody else */
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    probe_result(&x, 4, x.ri.round, 7); /* has no vote */
    probe_result(&x, 9, x.ri.round, 7); /* is unknown */
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_ptr_null(read_index_next(&x.ri, 19)); /* not applied that far */
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[0]);
    ck_assert_ptr_null(read_index_next(&x.ri, 20));
    finish(&x);
}
END_TEST

START_TEST(a_read_is_never_served_by_a_round_that_began_before_it)
{
    struct fixture x;
    init(&x, SELF);
    add(&x, 0);
    turn(&x);
    uint64_t first = x.ri.round;
    add(&x, 1);
    x.engine.commit = 30;
    turn(&x);
    probe_result(&x, 2, first, 7);
    ck_assert_ptr_eq(read_index_next(&x.ri, 100), &x.reads[0]);
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    turn(&x);
    probe_result(&x, 3, first, 7); /* of the round before */
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_ptr_null(read_index_next(&x.ri, 29));
    ck_assert_ptr_eq(read_index_next(&x.ri, 30), &x.reads[1]);
    finish(&x);
}
END_TEST

START_TEST(a_voter_of_a_later_term_confirms_nothing)
{
    struct fixture x;
    init(&x, SELF);
    add(&x, 0);
    turn(&x);
    probe_result(&x, 2, x.ri.round, 8);
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    x.engine.term = 8; /* and a confirmed old term does not count in a new one */
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    finish(&x);
}
END_TEST

START_TEST(a_leader_without_an_entry_of_its_term_begins_no_round)
{
    struct fixture x;
    init(&x, SELF);
    x.engine.leads_safely = false;
    add(&x, 0);
    turn(&x);
    ck_assert_uint_eq(x.sent_count, 0);
    x.engine.leads_safely = true;
    turn(&x);
    ck_assert_uint_eq(sent(&x, MESSAGE_TERM_PROBE), 2);
    finish(&x);
}
END_TEST

START_TEST(answers_slower_than_the_retry_still_end_the_round)
{
    struct fixture x;
    init(&x, SELF);
    add(&x, 0);
    turn(&x);
    uint64_t round = x.ri.round;
    for (int i = 0; i < 5; i++) {
        x.now_ms = read_index_next_deadline_ms(&x.ri);
        turn(&x);
        ck_assert_uint_gt(read_index_next_deadline_ms(&x.ri), x.now_ms);
    }
    ck_assert_uint_eq(x.ri.round, round);
    ck_assert_uint_eq(sent(&x, MESSAGE_TERM_PROBE), 12);
    probe_result(&x, 2, round, 7);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[0]);
    finish(&x);
}
END_TEST

START_TEST(a_change_of_leader_takes_reads_back_to_the_beginning_in_order)
{
    struct fixture x;
    init(&x, SELF);
    add(&x, 0);
    add(&x, 1);
    turn(&x);
    uint64_t before = x.ri.round;
    add(&x, 2);
    x.engine.leader = 3;
    x.engine.term = 8;
    read_index_leader_changed(&x.ri);
    probe_result(&x, 2, before, 7);
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    turn(&x);
    ck_assert_int_eq(newest(&x)->type, MESSAGE_READ_INDEX);
    answer(&x, 3, x.ri.round, 8, 25);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_ptr_eq(read_index_next(&x.ri, 25), &x.reads[i]);
    }
    finish(&x);
}
END_TEST

/* ---- followers ----------------------------------------------------------------------------- */

START_TEST(a_follower_asks_the_leader_and_waits_for_its_index)
{
    struct fixture x;
    init(&x, 2);
    add(&x, 0);
    turn(&x);
    ck_assert_uint_eq(x.sent_count, 1);
    ck_assert_uint_eq(x.sent_to[0], 2);
    answer(&x, 3, x.ri.round, 7, 5);     /* not the leader */
    answer(&x, 2, x.ri.round - 1, 7, 5); /* another round */
    answer(&x, 2, x.ri.round, 6, 5);     /* another term */
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    answer(&x, 2, x.ri.round, 7, 21);
    ck_assert_ptr_null(read_index_next(&x.ri, 20));
    ck_assert_ptr_eq(read_index_next(&x.ri, 21), &x.reads[0]);
    finish(&x);
}
END_TEST

START_TEST(a_lost_or_refused_question_is_asked_again)
{
    struct fixture x;
    init(&x, 2);
    add(&x, 0);
    turn(&x);
    read_index_on_answer(&x.ri, 2,
                         &(struct message_read_index){
                             .round = x.ri.round, .term = 7, .index = 9, .refused = true});
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    x.now_ms += RETRY_MS;
    turn(&x);
    ck_assert_uint_eq(sent(&x, MESSAGE_READ_INDEX), 2);
    answer(&x, 2, x.ri.round, 7, 21);
    ck_assert_ptr_eq(read_index_next(&x.ri, 21), &x.reads[0]);
    finish(&x);
}
END_TEST

START_TEST(the_leader_answers_a_question_with_the_round_that_begins_after_it)
{
    struct fixture x;
    init(&x, SELF);
    question(&x, 4, 77, 7);
    turn(&x);
    question(&x, 5, 88, 7); /* too late for this round */
    question(&x, 4, 77, 7); /* asked again: answered once */
    x.engine.commit = 22;
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_uint_eq(sent(&x, MESSAGE_READ_INDEX_RESULT), 1);
    ck_assert_uint_eq(newest(&x)->read_index.round, 77);
    ck_assert_uint_eq(newest(&x)->read_index.index, 20);
    turn(&x);
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_uint_eq(sent(&x, MESSAGE_READ_INDEX_RESULT), 2);
    ck_assert_uint_eq(newest(&x)->read_index.round, 88);
    ck_assert_uint_eq(newest(&x)->read_index.index, 22);
    finish(&x);
}
END_TEST

START_TEST(a_question_of_one_who_makes_a_majority_with_the_leader_is_answered_at_once)
{
    struct fixture x;
    init(&x, SELF);
    question(&x, 2, 77, 7);
    ck_assert_uint_eq(x.sent_count, 1);
    ck_assert_uint_eq(x.sent_to[0], 2);
    ck_assert_uint_eq(newest(&x)->read_index.round, 77);
    ck_assert_uint_eq(newest(&x)->read_index.term, 7);
    ck_assert_uint_eq(newest(&x)->read_index.index, 20);
    question(&x, 4, 78, 7); /* it has no vote: its word does not count */
    ck_assert_uint_eq(x.sent_count, 1);
    x.engine.configuration.members[3].role = ENGINE_VOTER;
    question(&x, 2, 79, 7); /* two of four are none */
    ck_assert_uint_eq(x.sent_count, 1);
    turn(&x);
    probe_result(&x, 2, x.ri.round, 7);
    ck_assert_uint_eq(sent(&x, MESSAGE_READ_INDEX_RESULT), 1);
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_uint_eq(sent(&x, MESSAGE_READ_INDEX_RESULT), 3);
    finish(&x);
}
END_TEST

START_TEST(a_leader_without_an_entry_of_its_term_answers_no_question)
{
    struct fixture x;
    init(&x, SELF);
    x.engine.leads_safely = false;
    question(&x, 2, 77, 7);
    turn(&x);
    ck_assert_uint_eq(x.sent_count, 0);
    x.engine.leads_safely = true;
    x.engine.commit = 21;
    turn(&x);
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_uint_eq(newest(&x)->read_index.round, 77);
    ck_assert_uint_eq(newest(&x)->read_index.index, 21);
    finish(&x);
}
END_TEST

START_TEST(a_question_with_touches_waits_for_a_round)
{
    struct fixture x;
    uint64_t lease = 41;
    init(&x, SELF);
    question_touching(&x, 2, 77, &lease, 1);
    ck_assert_uint_eq(x.sent_count, 0);
    turn(&x);
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_uint_eq(sent(&x, MESSAGE_READ_INDEX_RESULT), 1);
    finish(&x);
}
END_TEST

START_TEST(a_member_s_newest_question_replaces_its_older_one)
{
    struct fixture x;
    init(&x, SELF);
    for (uint64_t round = 1; round <= 200; round++) {
        question(&x, 4, round, 7);
    }
    ck_assert_uint_eq(x.sent_count, 0);
    turn(&x);
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_uint_eq(sent(&x, MESSAGE_READ_INDEX_RESULT), 1);
    ck_assert_uint_eq(newest(&x)->read_index.round, 200);
    finish(&x);
}
END_TEST

START_TEST(questions_for_another_term_or_leader_are_refused)
{
    struct fixture x;
    init(&x, SELF);
    question(&x, 2, 77, 6);
    ck_assert(newest(&x)->read_index.refused);
    x.engine.leader = 3;
    question(&x, 2, 78, 7);
    ck_assert(newest(&x)->read_index.refused);
    ck_assert_uint_eq(newest(&x)->read_index.round, 78);
    finish(&x);
}
END_TEST

START_TEST(questions_do_not_outlive_the_leader_they_were_for)
{
    struct fixture x;
    init(&x, SELF);
    question(&x, 4, 77, 7);
    turn(&x);
    question(&x, 5, 88, 7);
    x.engine.term = 9;
    read_index_leader_changed(&x.ri);
    add(&x, 0);
    turn(&x);
    probe_result(&x, 2, x.ri.round, 9);
    ck_assert_uint_eq(sent(&x, MESSAGE_READ_INDEX_RESULT), 0);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[0]);
    finish(&x);
}
END_TEST

/* ---- touches ------------------------------------------------------------------------------- */

static void expect_ids(const struct fixture *x, size_t message, const uint64_t *ids,
                       uint32_t count)
{
    ck_assert_uint_lt(message, x->sent_count);
    ck_assert_uint_eq(x->sent[message].read_index.touch_count, count);
    ck_assert(count == 0 || memcmp(x->ids[message], ids, count * sizeof *ids) == 0);
}

START_TEST(a_leader_renews_its_touches_when_the_round_begins_and_not_when_it_ends)
{
    struct fixture x;
    init(&x, SELF);
    add_touching(&x, 0, 50);
    ck_assert(read_index_touch(&x.ri, 51));
    ck_assert(read_index_touch(&x.ri, 50)); /* once is enough */
    ck_assert_uint_eq(x.renewed_count, 0);
    turn(&x);
    ck_assert_uint_eq(x.renewed_count, 2);
    ck_assert_uint_eq(x.renewed[0], 50);
    ck_assert_uint_eq(x.renewed[1], 51);
    add_touching(&x, 1, 52); /* too late for this round */
    probe_result(&x, 2, x.ri.round, 7);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[0]);
    ck_assert_ptr_null(read_index_next(&x.ri, 20));
    turn(&x);
    probe_result(&x, 2, x.ri.round, 7);
    ck_assert_uint_eq(x.renewed_count, 3); /* what was confirmed is forgotten */
    ck_assert_uint_eq(x.renewed[2], 52);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[1]);
    finish(&x);
}
END_TEST

START_TEST(a_follower_s_question_carries_its_touches_each_time_until_it_is_answered)
{
    struct fixture x;
    const uint64_t ids[] = {50, 51};
    init(&x, 2);
    add_touching(&x, 0, 50);
    ck_assert(read_index_touch(&x.ri, 51));
    turn(&x);
    expect_ids(&x, 0, ids, 2);
    x.now_ms += RETRY_MS; /* the question, or its answer, went with a connection */
    turn(&x);
    expect_ids(&x, 1, ids, 2);
    ck_assert_uint_eq(x.renewed_count, 0); /* that is the leader's */
    answer(&x, 2, x.ri.round, 7, 20);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[0]);
    add(&x, 1);
    turn(&x);
    expect_ids(&x, 2, ids, 0);
    finish(&x);
}
END_TEST

START_TEST(touches_go_to_the_next_leader_when_the_first_one_did_not_answer)
{
    struct fixture x;
    const uint64_t ids[] = {50, 51, 52};
    init(&x, 2);
    add_touching(&x, 0, 50);
    ck_assert(read_index_touch(&x.ri, 51));
    turn(&x);
    uint64_t lost = x.ri.round;
    add_touching(&x, 1, 52);
    x.engine.leader = 3;
    x.engine.term = 8;
    read_index_leader_changed(&x.ri);
    answer(&x, 2, lost, 7, 20); /* of the deposed leader */
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    turn(&x);
    ck_assert_uint_eq(x.sent_to[1], 3);
    expect_ids(&x, 1, ids, 3);
    answer(&x, 3, x.ri.round, 8, 20);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[0]);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[1]);
    finish(&x);
}
END_TEST

START_TEST(a_follower_that_comes_to_lead_renews_what_it_had_asked_for)
{
    struct fixture x;
    init(&x, 2);
    add_touching(&x, 0, 50);
    turn(&x);
    x.engine.leader = SELF;
    x.engine.term = 8;
    read_index_leader_changed(&x.ri);
    turn(&x); /* nothing of its own term is committed: not yet */
    ck_assert_uint_eq(x.renewed_count, 0);
    x.engine.leads_safely = true;
    turn(&x);
    ck_assert_uint_eq(x.renewed_count, 1);
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    probe_result(&x, 3, x.ri.round, 8);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[0]);
    finish(&x);
}
END_TEST

START_TEST(a_leader_that_is_deposed_passes_its_touches_on)
{
    struct fixture x;
    const uint64_t ids[] = {50};
    init(&x, SELF);
    add_touching(&x, 0, 50);
    turn(&x);
    ck_assert_uint_eq(x.renewed_count, 1);
    uint64_t lost = x.ri.round;
    x.engine.leader = 2;
    x.engine.term = 8;
    x.engine.leads_safely = false;
    read_index_leader_changed(&x.ri);
    probe_result(&x, 3, lost, 7);
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    turn(&x);
    expect_ids(&x, x.sent_count - 1, ids, 1);
    finish(&x);
}
END_TEST

START_TEST(a_question_s_touches_are_renewed_when_it_comes)
{
    struct fixture x;
    const uint64_t ids[] = {50, 51};
    init(&x, SELF);
    question_touching(&x, 2, 77, ids, 2);
    ck_assert_uint_eq(x.renewed_count, 2);
    turn(&x);
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_int_eq(newest(&x)->type, MESSAGE_READ_INDEX_RESULT);
    expect_ids(&x, x.sent_count - 1, ids, 0); /* all were renewed */
    finish(&x);
}
END_TEST

START_TEST(who_does_not_lead_in_the_term_of_the_question_renews_nothing)
{
    struct fixture x;
    const uint64_t ids[] = {50};
    init(&x, SELF);
    x.engine.term = 6;
    question_touching(&x, 2, 77, ids, 1);
    ck_assert_uint_eq(x.renewed_count, 1);
    x.engine.term = 7;
    read_index_on_question(
        &x.ri, 2,
        &(struct message_read_index){.round = 78, .term = 6, .touches = ids, .touch_count = 1});
    ck_assert(newest(&x)->read_index.refused);
    x.engine.leader = 3;
    question_touching(&x, 2, 79, ids, 1);
    ck_assert(newest(&x)->read_index.refused);
    ck_assert_uint_eq(x.renewed_count, 1);
    finish(&x);
}
END_TEST

/* It may be told that it was renewed only when its EXPIRE turned out to be void, and else it must
 * see that the lease is gone: so it goes round again. */
START_TEST(a_read_that_touches_a_lease_about_to_end_waits_for_the_log_to_decide)
{
    struct fixture x;
    init(&x, SELF);
    add_touching(&x, 0, DYING);
    add_touching(&x, 1, 50);
    turn(&x);
    probe_result(&x, 2, x.ri.round, 7);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[1]);
    ck_assert_ptr_null(read_index_next(&x.ri, 20));
    ck_assert(!read_index_is_idle(&x.ri));
    ck_assert_uint_eq(read_index_next_deadline_ms(&x.ri), x.now_ms + RETRY_MS);
    turn(&x);
    ck_assert_uint_eq(x.renewed_count, 2);
    x.now_ms += RETRY_MS;
    x.engine.commit = 30;
    turn(&x);
    ck_assert_uint_eq(x.renewed_count, 3);
    ck_assert_uint_eq(x.renewed[2], DYING);
    probe_result(&x, 2, x.ri.round, 7);
    ck_assert_ptr_null(read_index_next(&x.ri, 100)); /* still not decided */
    ck_assert_ptr_eq(read_index_expired(&x.ri, 9000), &x.reads[0]);
    finish(&x);
}
END_TEST

START_TEST(a_follower_is_told_which_of_its_touches_came_too_late)
{
    struct fixture x;
    const uint64_t ids[] = {50, DYING};
    init(&x, SELF);
    question_touching(&x, 2, 77, ids, 2);
    turn(&x);
    question_touching(&x, 2, 77, ids, 2); /* again, under way */
    probe_result(&x, 3, x.ri.round, 7);
    expect_ids(&x, x.sent_count - 1, ids + 1, 1);
    finish(&x);

    init(&x, 2);
    add_touching(&x, 0, DYING);
    add_touching(&x, 1, 50);
    turn(&x);
    answer_unrenewed(&x, DYING);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[1]);
    ck_assert_ptr_null(read_index_next(&x.ri, 20));
    x.now_ms += RETRY_MS;
    turn(&x);
    expect_ids(&x, x.sent_count - 1, ids + 1, 1);
    answer_unrenewed(&x, 0); /* the log has decided */
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[0]);
    finish(&x);
}
END_TEST

START_TEST(the_first_round_begins_unasked_and_proves_what_is_applied_once_for_all)
{
    struct fixture x;
    init(&x, 0);
    turn(&x);
    ck_assert_uint_eq(x.sent_count, 0); /* there is nobody to ask */
    x.engine.leader = 2;
    turn(&x);
    ck_assert_uint_eq(x.sent_count, 1);
    ck_assert_uint_eq(newest(&x)->type, MESSAGE_READ_INDEX);
    answer(&x, 2, x.ri.round, 7, 20);
    read_index_note_applied(&x.ri, 19);
    ck_assert(!read_index_is_proved(&x.ri));
    read_index_note_applied(&x.ri, 20);
    ck_assert(read_index_is_proved(&x.ri));
    turn(&x);
    ck_assert_uint_eq(x.sent_count, 1); /* and no other */
    x.engine.leader = 0;
    read_index_leader_changed(&x.ri);
    ck_assert(read_index_is_proved(&x.ri));
    finish(&x);
}
END_TEST

START_TEST(touches_without_a_read_wait_so_long_and_no_longer)
{
    struct fixture x;
    init(&x, 2);
    catch_up(&x);
    uint64_t first_ms = x.now_ms;
    ck_assert(read_index_touch(&x.ri, 50));
    x.now_ms += KEEPER_TOUCH_MS - 1;
    ck_assert(read_index_touch(&x.ri, 51));
    turn(&x);
    ck_assert_uint_eq(x.sent_count, 0);
    ck_assert_uint_eq(read_index_next_deadline_ms(&x.ri), first_ms + KEEPER_TOUCH_MS);
    x.now_ms++;
    turn(&x);
    ck_assert_uint_eq(newest(&x)->read_index.touch_count, 2);
    answer(&x, 2, x.ri.round, 7, 20);
    ck_assert_uint_eq(read_index_next_deadline_ms(&x.ri), UINT64_MAX);
    finish(&x);
}
END_TEST

START_TEST(touches_that_nobody_leads_to_renew_wait_without_a_deadline)
{
    struct fixture x;
    init(&x, 0);
    ck_assert(read_index_touch(&x.ri, 50));
    x.now_ms += 10 * KEEPER_TOUCH_MS;
    turn(&x);
    ck_assert_uint_eq(x.sent_count, 0);
    ck_assert_uint_eq(read_index_next_deadline_ms(&x.ri), UINT64_MAX);
    x.engine.leader = 2;
    read_index_leader_changed(&x.ri);
    turn(&x);
    ck_assert_uint_eq(newest(&x)->read_index.touch_count, 1);
    finish(&x);
}
END_TEST

START_TEST(more_touches_than_a_message_holds_take_several_rounds_and_their_reads_with_them)
{
    struct fixture x;
    init(&x, 2);
    for (uint64_t id = 1; id <= MESSAGE_TOUCHES_MAX; id++) {
        (void)read_index_touch(&x.ri, id);
    }
    add_touching(&x, 0, MESSAGE_TOUCHES_MAX + 1);
    add_touching(&x, 1, 1);
    add(&x, 2);
    turn(&x);
    ck_assert_uint_eq(newest(&x)->read_index.touch_count, MESSAGE_TOUCHES_MAX);
    answer(&x, 2, x.ri.round, 7, 20);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[1]);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[2]);
    ck_assert_ptr_null(read_index_next(&x.ri, 20));
    turn(&x);
    ck_assert_uint_eq(newest(&x)->read_index.touch_count, 1);
    ck_assert_uint_eq(x.ids[x.sent_count - 1][0], MESSAGE_TOUCHES_MAX + 1);
    answer(&x, 2, x.ri.round, 7, 20);
    ck_assert_ptr_eq(read_index_next(&x.ri, 20), &x.reads[0]);
    finish(&x);
}
END_TEST

START_TEST(touches_beyond_the_bound_are_refused)
{
    struct fixture x;
    init(&x, 0);
    for (uint64_t id = 1; id <= READ_INDEX_TOUCHES_MAX; id++) {
        (void)read_index_touch(&x.ri, id);
    }
    ck_assert(!read_index_touch(&x.ri, READ_INDEX_TOUCHES_MAX + 1));
    ck_assert(read_index_touch(&x.ri, READ_INDEX_TOUCHES_MAX));
    struct node_read r = {.done = on_done, .owner = &x, .touch = READ_INDEX_TOUCHES_MAX + 1};
    ck_assert_int_eq(read_index_add(&x.ri, &r), RC_OVERLOADED);
    finish(&x);
}
END_TEST

/* ---- rounds that are wanted, and ages ------------------------------------------------------ */

START_TEST(a_wanted_round_is_begun_until_one_is_confirmed)
{
    struct fixture x;
    init(&x, SELF);
    add(&x, 0);
    turn(&x);
    uint64_t running = x.ri.round;
    uint64_t wanted = read_index_want_round(&x.ri);
    ck_assert_uint_gt(wanted, running);
    probe_result(&x, 2, running, 7); /* began before */
    ck_assert_uint_lt(x.ri.confirmed_round, wanted);
    turn(&x);
    read_index_leader_changed(&x.ri); /* the members changed, say */
    ck_assert_uint_lt(x.ri.confirmed_round, wanted);
    turn(&x);
    probe_result(&x, 3, x.ri.round, 7);
    ck_assert_uint_ge(x.ri.confirmed_round, wanted);
    size_t before = x.sent_count;
    turn(&x);
    ck_assert_uint_eq(x.sent_count, before);
    (void)read_index_want_round(&x.ri);
    read_index_unwant_round(&x.ri);
    turn(&x);
    ck_assert_uint_eq(x.sent_count, before);
    finish(&x);
}
END_TEST

START_TEST(another_leader_s_answer_confirms_nothing_about_this_one)
{
    struct fixture x;
    init(&x, 2);
    add(&x, 0);
    turn(&x);
    answer(&x, 2, x.ri.round, 7, 20);
    ck_assert_uint_eq(x.ri.confirmed_round, 0);
    finish(&x);
}
END_TEST

START_TEST(an_age_counts_from_the_beginning_of_the_newest_round_that_is_applied)
{
    struct fixture x;
    init(&x, 2);
    ck_assert_uint_eq(read_index_age_ms(&x.ri, x.now_ms), UINT64_MAX);
    for (uint64_t i = 0; i < 3; i++) { /* begun at 1000, 1010, 1020; answered 5 ms later */
        add(&x, 0);
        turn(&x);
        x.now_ms += 5;
        answer(&x, 2, x.ri.round, 7, 20 + i);
        read_index_cancel(&x.reads[0]);
        x.now_ms += 5;
    }
    read_index_note_applied(&x.ri, 19);
    ck_assert_uint_eq(read_index_age_ms(&x.ri, 1030), UINT64_MAX);
    read_index_note_applied(&x.ri, 20);
    ck_assert_uint_eq(read_index_age_ms(&x.ri, 1030), 30);
    read_index_note_applied(&x.ri, 22);
    ck_assert_uint_eq(read_index_age_ms(&x.ri, 1030), 10);
    read_index_note_applied(&x.ri, 99);
    ck_assert_uint_eq(read_index_age_ms(&x.ri, 1035), 15); /* nothing newer was proved */
    finish(&x);
}
END_TEST

/* ---- ends ---------------------------------------------------------------------------------- */

START_TEST(deadlines_are_found_in_every_stage)
{
    struct fixture x;
    init(&x, 2);
    add(&x, 0);
    turn(&x); /* in a round */
    add(&x, 1);
    x.reads[2] = (struct node_read){.done = on_done, .owner = &x, .deadline_ms = 1010};
    read_index_add_ready(&x.ri, &x.reads[2], 99);
    ck_assert_uint_eq(read_index_next_deadline_ms(&x.ri), 1010);
    ck_assert_ptr_null(read_index_expired(&x.ri, 1009));
    ck_assert_ptr_eq(read_index_expired(&x.ri, 1010), &x.reads[2]);
    ck_assert_ptr_null(read_index_expired(&x.ri, 1010));
    ck_assert_ptr_nonnull(read_index_expired(&x.ri, 9000));
    ck_assert_ptr_nonnull(read_index_expired(&x.ri, 9000));
    ck_assert_ptr_null(read_index_expired(&x.ri, 9000));
    ck_assert(read_index_is_idle(&x.ri));
    finish(&x);
}
END_TEST

START_TEST(a_cancelled_read_is_gone_from_every_stage)
{
    struct fixture x;
    init(&x, SELF);
    add(&x, 0);
    turn(&x);
    add(&x, 1);
    read_index_cancel(&x.reads[0]);
    read_index_cancel(&x.reads[1]);
    read_index_cancel(&x.reads[1]);
    probe_result(&x, 2, x.ri.round, 7);
    ck_assert_ptr_null(read_index_next(&x.ri, 100));
    finish(&x);
    ck_assert_int_eq(x.calls[0] + x.calls[1], 0);
}
END_TEST

START_TEST(the_end_answers_every_stage_once)
{
    struct fixture x;
    init(&x, SELF);
    add(&x, 0);
    turn(&x);
    add(&x, 1);
    x.reads[2] = (struct node_read){.done = on_done, .owner = &x, .deadline_ms = 9000};
    read_index_add_ready(&x.ri, &x.reads[2], 99);
    finish(&x);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(x.calls[i], 1);
        ck_assert_int_eq(x.rc[i], RC_STOPPED);
    }
}
END_TEST

static Suite *read_index_suite(void)
{
    Suite *suite = suite_create("read_index");
    TCase *tcase = tcase_create("read_index");
    tcase_add_test(tcase, a_majority_of_voters_confirms_a_round);
    tcase_add_test(tcase, a_read_is_never_served_by_a_round_that_began_before_it);
    tcase_add_test(tcase, a_voter_of_a_later_term_confirms_nothing);
    tcase_add_test(tcase, a_leader_without_an_entry_of_its_term_begins_no_round);
    tcase_add_test(tcase, answers_slower_than_the_retry_still_end_the_round);
    tcase_add_test(tcase, a_change_of_leader_takes_reads_back_to_the_beginning_in_order);
    tcase_add_test(tcase, a_follower_asks_the_leader_and_waits_for_its_index);
    tcase_add_test(tcase, a_lost_or_refused_question_is_asked_again);
    tcase_add_test(tcase, the_leader_answers_a_question_with_the_round_that_begins_after_it);
    tcase_add_test(
        tcase, a_question_of_one_who_makes_a_majority_with_the_leader_is_answered_at_once);
    tcase_add_test(tcase, a_leader_without_an_entry_of_its_term_answers_no_question);
    tcase_add_test(tcase, a_question_with_touches_waits_for_a_round);
    tcase_add_test(tcase, a_member_s_newest_question_replaces_its_older_one);
    tcase_add_test(tcase, questions_for_another_term_or_leader_are_refused);
    tcase_add_test(tcase, questions_do_not_outlive_the_leader_they_were_for);
    tcase_add_test(tcase,
                   a_leader_renews_its_touches_when_the_round_begins_and_not_when_it_ends);
    tcase_add_test(tcase,
                   a_follower_s_question_carries_its_touches_each_time_until_it_is_answered);
    tcase_add_test(tcase, touches_go_to_the_next_leader_when_the_first_one_did_not_answer);
    tcase_add_test(tcase, a_follower_that_comes_to_lead_renews_what_it_had_asked_for);
    tcase_add_test(tcase, a_leader_that_is_deposed_passes_its_touches_on);
    tcase_add_test(tcase, a_question_s_touches_are_renewed_when_it_comes);
    tcase_add_test(tcase, who_does_not_lead_in_the_term_of_the_question_renews_nothing);
    tcase_add_test(tcase, a_read_that_touches_a_lease_about_to_end_waits_for_the_log_to_decide);
    tcase_add_test(tcase, a_follower_is_told_which_of_its_touches_came_too_late);
    tcase_add_test(tcase, the_first_round_begins_unasked_and_proves_what_is_applied_once_for_all);
    tcase_add_test(tcase, touches_without_a_read_wait_so_long_and_no_longer);
    tcase_add_test(tcase, touches_that_nobody_leads_to_renew_wait_without_a_deadline);
    tcase_add_test(
        tcase, more_touches_than_a_message_holds_take_several_rounds_and_their_reads_with_them);
    tcase_add_test(tcase, touches_beyond_the_bound_are_refused);
    tcase_add_test(tcase, a_wanted_round_is_begun_until_one_is_confirmed);
    tcase_add_test(tcase, another_leader_s_answer_confirms_nothing_about_this_one);
    tcase_add_test(tcase, an_age_counts_from_the_beginning_of_the_newest_round_that_is_applied);
    tcase_add_test(tcase, deadlines_are_found_in_every_stage);
    tcase_add_test(tcase, a_cancelled_read_is_gone_from_every_stage);
    tcase_add_test(tcase, the_end_answers_every_stage_once);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){read_index_suite, NULL});
}
