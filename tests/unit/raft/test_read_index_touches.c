/* Leases that are renewed by rounds of linearizable reads: when, by whom, and what becomes of reads
 * whose lease is about to end. */
#include <string.h>

#include "lease/keeper.h"
#include "tests/support/read_index_kit.h"

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

static Suite *read_index_touches_suite(void)
{
    Suite *suite = suite_create("read_index_touches");
    TCase *tcase = tcase_create("read_index_touches");
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
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){read_index_touches_suite, NULL});
}
