/* Rounds of linearizable reads: what is served, at which index, and never too early. */
#include <time.h>

#include "base/mem.h"
#include "tests/support/read_index_kit.h"

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

/* So many that a walk for each of them shows: it would take several seconds. */
#define MANY    40000
#define MANY_MS 1000
#define NEVER   (UINT64_C(1) << 62)

static uint64_t clock_ms(void)
{
    struct timespec t;
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_parked(struct node_read *r, enum status rc, const struct query_result *result)
{
    (void)r;
    ck_assert_ptr_null(result);
    ck_assert_int_eq(rc, RC_STOPPED);
}

static struct node_read *park(struct fixture *x, uint64_t deadline_ms)
{
    struct node_read *reads = mem_zalloc(MANY * sizeof *reads);
    for (size_t i = 0; i < MANY; i++) {
        reads[i].done = on_parked;
        reads[i].deadline_ms = deadline_ms;
        read_index_add_ready(&x->ri, &reads[i], NEVER);
    }
    return reads;
}

START_TEST(many_that_expire_behind_many_that_do_not_take_one_walk)
{
    struct fixture x;
    init(&x, 2);
    struct node_read *far = park(&x, 60000);
    struct node_read *due = park(&x, 2000);
    uint64_t began = clock_ms();
    size_t in_order = 0;
    ck_assert_ptr_null(read_index_next(&x.ri, 20));
    for (size_t i = 0; i < MANY; i++) {
        in_order += read_index_expired(&x.ri, 2000) == &due[i];
    }
    ck_assert_uint_lt(clock_ms() - began, MANY_MS);
    ck_assert_uint_eq(in_order, MANY);
    ck_assert_ptr_null(read_index_expired(&x.ri, 2000));
    ck_assert_uint_eq(read_index_next_deadline_ms(&x.ri), 60000);
    finish(&x);
    mem_free(due);
    mem_free(far);
}
END_TEST

START_TEST(reads_whose_index_is_far_cost_the_others_no_walk)
{
    struct fixture x;
    init(&x, 2);
    struct node_read *far = park(&x, 60000);
    uint64_t began = clock_ms();
    size_t served = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        served += read_index_next(&x.ri, i) != NULL;
        read_index_add_ready(&x.ri, &x.reads[0], i);
        served += read_index_next(&x.ri, i) == &x.reads[0];
    }
    ck_assert_uint_lt(clock_ms() - began, MANY_MS);
    ck_assert_uint_eq(served, MANY);
    ck_assert_ptr_eq(read_index_next(&x.ri, NEVER), &far[0]);
    finish(&x);
    mem_free(far);
}
END_TEST

START_TEST(reads_wait_for_their_own_index_and_come_in_order)
{
    struct fixture x;
    init(&x, 2);
    uint64_t indexes[] = {30, 25, 30, 25};
    for (size_t i = 0; i < 3; i++) {
        x.reads[i] = (struct node_read){.done = on_done, .owner = &x, .deadline_ms = 9000};
        read_index_add_ready(&x.ri, &x.reads[i], indexes[i]);
    }
    ck_assert_ptr_null(read_index_next(&x.ri, 24));
    x.reads[3] = (struct node_read){.done = on_done, .owner = &x, .deadline_ms = 9000};
    read_index_add_ready(&x.ri, &x.reads[3], indexes[3]);
    ck_assert_ptr_eq(read_index_next(&x.ri, 25), &x.reads[1]);
    ck_assert_ptr_eq(read_index_next(&x.ri, 25), &x.reads[3]);
    ck_assert_ptr_null(read_index_next(&x.ri, 29));
    ck_assert_ptr_eq(read_index_next(&x.ri, 30), &x.reads[0]);
    ck_assert_ptr_eq(read_index_next(&x.ri, 30), &x.reads[2]);
    ck_assert_ptr_null(read_index_next(&x.ri, 30));
    finish(&x);
}
END_TEST

START_TEST(the_completion_of_one_that_expired_may_cancel_the_next_and_the_end_finds_the_rest)
{
    struct fixture x;
    init(&x, 2);
    add(&x, 0);
    turn(&x);
    add(&x, 1);
    add(&x, 2);
    ck_assert_ptr_eq(read_index_expired(&x.ri, 9000), &x.reads[1]);
    read_index_cancel(&x.reads[2]);
    ck_assert(!read_index_is_idle(&x.ri));
    finish(&x);
    ck_assert_int_eq(x.calls[0], 1);
    ck_assert_int_eq(x.calls[1] + x.calls[2], 0);
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
    tcase_add_test(tcase,
                   a_question_of_one_who_makes_a_majority_with_the_leader_is_answered_at_once);
    tcase_add_test(tcase, a_leader_without_an_entry_of_its_term_answers_no_question);
    tcase_add_test(tcase, a_question_with_touches_waits_for_a_round);
    tcase_add_test(tcase, a_member_s_newest_question_replaces_its_older_one);
    tcase_add_test(tcase, questions_for_another_term_or_leader_are_refused);
    tcase_add_test(tcase, questions_do_not_outlive_the_leader_they_were_for);
    tcase_add_test(tcase, a_wanted_round_is_begun_until_one_is_confirmed);
    tcase_add_test(tcase, another_leader_s_answer_confirms_nothing_about_this_one);
    tcase_add_test(tcase, an_age_counts_from_the_beginning_of_the_newest_round_that_is_applied);
    tcase_add_test(tcase, deadlines_are_found_in_every_stage);
    tcase_add_test(tcase, many_that_expire_behind_many_that_do_not_take_one_walk);
    tcase_add_test(tcase, reads_whose_index_is_far_cost_the_others_no_walk);
    tcase_add_test(tcase, reads_wait_for_their_own_index_and_come_in_order);
    tcase_add_test(
        tcase,
        the_completion_of_one_that_expired_may_cancel_the_next_and_the_end_finds_the_rest);
    tcase_add_test(tcase, a_cancelled_read_is_gone_from_every_stage);
    tcase_add_test(tcase, the_end_answers_every_stage_once);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){read_index_suite, NULL});
}
