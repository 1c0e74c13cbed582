/* Leases and time: ends that race with what is proposed, the time that is left, nodes that are
 * reaped by their age. */
#include "tests/support/node_lease_kit.h"

/* ---- races with what is proposed ------------------------------------------------------------ */

/* Up to where the next turn proposes the EXPIRE. */
static void bring_to_the_end(void)
{
    fake_net_advance(cluster.net, TTL + 1);
    node_turn(at(0));
    fake_env_run(&cluster.members[0].disk);
    ck_assert_uint_eq(keeper_proposed_count(at(0)->leases.keeper), 0);
}

START_TEST(a_resume_that_is_logged_before_the_expire_saves_the_session)
{
    open_one();
    grant(0, ID);
    bring_to_the_end();
    struct command c = resume_of(ID);
    command_encode(&at(0)->forwarded, &c);
    node_turn(at(0)); /* the EXPIRE goes behind it */
    ck_assert_uint_eq(keeper_proposed_count(at(0)->leases.keeper), 1);
    fake_cluster_settle(&cluster);
    ck_assert_uint_eq(keeper_proposed_count(at(0)->leases.keeper), 0);
    ck_assert(has(0, ID));
    ck_assert_uint_ge(left_at(0, ID), TTL);
    expect_in(until_gone(0, ID), TTL, TTL + LATE); /* with its new generation */
    finish();
}
END_TEST

START_TEST(a_resume_that_is_logged_behind_the_expire_comes_too_late)
{
    open_one();
    grant(0, ID);
    bring_to_the_end();
    struct command c = resume_of(ID);
    ck_assert_int_eq(run_command(0, &c), OUTCOME_NO_SESSION);
    ck_assert(!has(0, ID));
    ck_assert_uint_eq(keeper_count(at(0)->leases.keeper), 0);
    finish();
}
END_TEST

START_TEST(a_keepalive_behind_the_expire_is_answered_when_the_lease_is_gone)
{
    open_one();
    grant(0, ID);
    bring_to_the_end();
    node_turn(at(0)); /* proposed, and on its way to the disk */
    ck_assert_uint_eq(keeper_proposed_count(at(0)->leases.keeper), 1);
    struct node_read r;
    struct result result;
    begin_keepalive(0, &r, &result, ID);
    for (int turn = 0; turn < 5; turn++) {
        node_turn(at(0));
    }
    fake_net_advance(cluster.net, 500);
    for (int turn = 0; turn < 5; turn++) {
        node_turn(at(0));
    }
    ck_assert(!result.is_done);
    ck_assert(has(0, ID));
    wait_for(&result);
    ck_assert_int_eq(result.rc, RC_OK);
    ck_assert(!has(0, ID));
    finish();
}
END_TEST

START_TEST(a_keepalive_behind_a_void_expire_is_answered_when_the_lease_is_renewed)
{
    open_one();
    grant(0, ID);
    bring_to_the_end();
    struct command c = resume_of(ID);
    command_encode(&at(0)->forwarded, &c);
    node_turn(at(0));
    struct node_read r;
    struct result result;
    begin_keepalive(0, &r, &result, ID);
    node_turn(at(0));
    ck_assert(!result.is_done);
    fake_cluster_run(&cluster, 30);
    wait_for(&result);
    ck_assert_int_eq(result.rc, RC_OK);
    ck_assert(has(0, ID));
    ck_assert_uint_ge(left_at(0, ID), TTL - 5);
    finish();
}
END_TEST

/* ---- the time that is left ------------------------------------------------------------------ */

static void ask(size_t i, struct node_ttl *t, struct result *result, uint64_t id,
                uint64_t wait_ms)
{
    *result = (struct result){0};
    *t = (struct node_ttl){.done = on_told, .owner = result, .lease = id};
    ck_assert_int_eq(node_ttl(at(i), t, fake_cluster_now(&cluster) + wait_ms), RC_OK);
    ck_assert(!result->is_done); /* never from inside the call */
}

START_TEST(the_time_left_is_told_on_any_member)
{
    open_three();
    grant(fake_cluster_leader(&cluster), ID);
    fake_cluster_run(&cluster, 300);
    for (size_t i = 0; i < 3; i++) {
        struct node_ttl t;
        struct result result;
        ask(i, &t, &result, ID, 1000);
        wait_for(&result);
        ck_assert_int_eq(result.rc, RC_OK);
        ck_assert(result.found);
        expect_in(result.remaining_ms, TTL - 320, TTL - 300);
        ask(i, &t, &result, ID + 1, 1000);
        wait_for(&result);
        ck_assert_int_eq(result.rc, RC_OK);
        ck_assert(!result.found);
        ck_assert_uint_eq(at(i)->ttls.count, 0);
    }
    finish();
}
END_TEST

/* The loop waits for the next deadline: one that has passed would make it turn without a rest. */
START_TEST(the_deadline_of_a_question_that_was_answered_wakes_nobody)
{
    open_three();
    for (size_t i = 0; i < 3; i++) {
        struct node_ttl t;
        struct result result;
        ask(i, &t, &result, ID, 1000);
        wait_for(&result);
        ask(i, &t, &result, ID, 1000);
        node_ttl_cancel(at(i), &t);
        fake_cluster_run(&cluster, 1100);
        ck_assert_uint_gt(node_next_deadline_ms(at(i)), fake_cluster_now(&cluster));
    }
    finish();
}
END_TEST

START_TEST(a_question_that_a_dead_leader_took_along_is_answered_by_the_next)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    grant(leader, ID);
    struct node_ttl t;
    struct result result;
    fake_cluster_pause(&cluster, leader);
    ask(follower, &t, &result, ID, 20000);
    fake_cluster_run(&cluster, 30);
    fake_cluster_kill(&cluster, leader);
    wait_for(&result);
    ck_assert_int_eq(result.rc, RC_OK);
    ck_assert(result.found);
    finish();
}
END_TEST

START_TEST(without_a_leader_or_an_answer_a_question_ends_at_its_deadline)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    struct node_ttl t;
    struct node_ttl never;
    struct result result;
    struct result untouched;
    fake_cluster_pause(&cluster, leader);
    ask(follower, &t, &result, ID, 20);
    ask(follower, &never, &untouched, ID, 20);
    node_ttl_cancel(at(follower), &never);
    node_ttl_cancel(at(follower), &never);
    fake_cluster_run(&cluster, 21);
    ck_assert_int_eq(result.rc, RC_TIMEOUT);
    ck_assert(!untouched.is_done);
    ck_assert_uint_eq(at(follower)->ttls.count, 0);
    for (size_t i = 0; i < 3; i++) {
        fake_cluster_cut(&cluster, i, true);
    }
    fake_cluster_run(&cluster, 1000);
    ask(follower, &t, &result, ID, 50);
    fake_cluster_run(&cluster, 51);
    ck_assert(result.is_done);
    ck_assert_int_eq(result.rc, RC_NO_LEADER);
    ask(follower, &t, &result, ID, 50);
    fake_cluster_kill(&cluster, follower);
    ck_assert_int_eq(result.rc, RC_STOPPED);
    fake_cluster_resume(&cluster, leader);
    finish();
}
END_TEST

static void count_told(struct node_ttl *t, enum status rc, bool found, uint64_t remaining_ms)
{
    (void)found;
    (void)remaining_ms;
    *(size_t *)t->owner += rc == RC_OK;
}

START_TEST(questions_are_bounded)
{
    static struct node_ttl open[NODE_TTLS_MAX + 1];
    size_t told = 0;
    open_three();
    size_t follower = fake_cluster_follower(&cluster);
    size_t accepted = 0;
    for (size_t i = 0; i <= NODE_TTLS_MAX; i++) {
        open[i] = (struct node_ttl){.done = count_told, .owner = &told, .lease = i + 1};
        accepted += node_ttl(at(follower), &open[i], FAR) == RC_OK;
    }
    ck_assert_uint_eq(accepted, NODE_TTLS_MAX);
    ck_assert_int_eq(node_ttl(at(follower), &open[NODE_TTLS_MAX], FAR), RC_OVERLOADED);
    fake_cluster_run(&cluster, 3);
    ck_assert_uint_eq(told, NODE_TTLS_MAX);
    ck_assert_int_eq(node_ttl(at(follower), &open[NODE_TTLS_MAX], FAR), RC_OK);
    node_ttl_cancel(at(follower), &open[NODE_TTLS_MAX]);
    finish();
}
END_TEST

/* ---- ages, and what is reaped --------------------------------------------------------------- */

START_TEST(an_age_is_known_after_a_round_and_zero_on_a_single_node)
{
    open_three();
    size_t follower = fake_cluster_follower(&cluster);
    struct node_read r;
    struct result result;
    begin_keepalive(follower, &r, &result, ID);
    wait_for(&result);
    ck_assert_uint_le(node_age_ms(at(follower)), 5);
    fake_cluster_run(&cluster, 40);
    expect_in(node_age_ms(at(follower)), 40, 45);
    finish();

    open_one();
    ck_assert_uint_eq(node_age_ms(at(0)), 0);
    finish();
}
END_TEST

START_TEST(a_member_that_is_cut_off_knows_how_old_it_is)
{
    open_three();
    size_t follower = fake_cluster_follower(&cluster);
    struct node_read r;
    struct result result;
    begin_keepalive(follower, &r, &result, ID);
    wait_for(&result);
    fake_cluster_cut(&cluster, follower, true);
    fake_cluster_run(&cluster, 500);
    struct node_read bounded = {
        .done = on_read,
        .owner = &result,
        .consistency = READ_BOUNDED,
        .bound_ms = 100,
        .query = {.type = QUERY_EXISTS, .space = SPACE_NODES, .path = slice_str("/")}};
    result = (struct result){0};
    uint64_t deadline_ms = fake_cluster_now(&cluster) + 50;
    ck_assert_int_eq(node_read(at(follower), &bounded, deadline_ms), RC_OK);
    wait_for(&result);
    ck_assert_int_eq(result.rc, RC_STALE);
    expect_in(node_age_ms(at(follower)), 500, 560);
    bounded.bound_ms = 1000;
    result = (struct result){0};
    ck_assert_int_eq(node_read(at(follower), &bounded, FAR), RC_OK);
    fake_cluster_run(&cluster, 1);
    ck_assert_int_eq(result.rc, RC_OK);
    finish();
}
END_TEST

static enum outcome run_op(size_t i, struct op op)
{
    op.space = SPACE_NODES;
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    return run_command(i, &c);
}

static bool exists(size_t i, const char *path)
{
    struct query q = {.type = QUERY_EXISTS, .space = SPACE_NODES, .path = slice_str(path)};
    struct query_result result;
    struct arena arena = {0};
    store_query(node_store(at(i)), &q, &result, &arena);
    arena_close(&arena);
    return result.outcome == OUTCOME_OK;
}

START_TEST(aged_nodes_and_emptied_containers_are_reaped)
{
    open_three();
    size_t follower = fake_cluster_follower(&cluster);
    struct op ttl = {
        .type = OP_CREATE, .path = slice_str("/t"), .kind = NODE_TTL, .ttl_ms = 3000};
    struct op box = {.type = OP_CREATE, .path = slice_str("/c"), .kind = NODE_CONTAINER};
    struct op child = {.type = OP_CREATE, .path = slice_str("/c/x")};
    struct op removed = {.type = OP_DELETE, .path = slice_str("/c/x"), .version = VERSION_ANY};
    ck_assert_int_eq(run_op(follower, ttl), OUTCOME_OK);
    ck_assert_int_eq(run_op(follower, box), OUTCOME_OK);
    ck_assert_int_eq(run_op(follower, child), OUTCOME_OK);
    fake_cluster_run(&cluster, 1500);
    ck_assert(exists(follower, "/t"));
    ck_assert(exists(follower, "/c"));
    ck_assert_int_eq(run_op(follower, removed), OUTCOME_OK);
    fake_cluster_run(&cluster, 1010);
    ck_assert(!exists(follower, "/c"));
    ck_assert(exists(follower, "/t"));
    fake_cluster_run(&cluster, 1500);
    ck_assert(!exists(follower, "/t"));
    finish();
}
END_TEST

static Suite *node_lease_time_suite(void)
{
    Suite *suite = suite_create("node_lease_time");
    TCase *tcase = tcase_create("node_lease");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_resume_that_is_logged_before_the_expire_saves_the_session);
    tcase_add_test(tcase, a_resume_that_is_logged_behind_the_expire_comes_too_late);
    tcase_add_test(tcase, a_keepalive_behind_the_expire_is_answered_when_the_lease_is_gone);
    tcase_add_test(tcase,
                   a_keepalive_behind_a_void_expire_is_answered_when_the_lease_is_renewed);
    tcase_add_test(tcase, the_time_left_is_told_on_any_member);
    tcase_add_test(tcase, the_deadline_of_a_question_that_was_answered_wakes_nobody);
    tcase_add_test(tcase, a_question_that_a_dead_leader_took_along_is_answered_by_the_next);
    tcase_add_test(tcase, without_a_leader_or_an_answer_a_question_ends_at_its_deadline);
    tcase_add_test(tcase, questions_are_bounded);
    tcase_add_test(tcase, an_age_is_known_after_a_round_and_zero_on_a_single_node);
    tcase_add_test(tcase, a_member_that_is_cut_off_knows_how_old_it_is);
    tcase_add_test(tcase, aged_nodes_and_emptied_containers_are_reaped);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){node_lease_time_suite, NULL});
}
