/* Leases over one and over three nodes: who ends, when, and who never does. */
#include "lease/table.h"
#include "tests/support/node_lease_kit.h"

/* ---- expiry -------------------------------------------------------------------------------- */

START_TEST(a_lease_ends_when_its_ttl_has_passed_and_soon_after)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    grant(leader, ID);
    expect_in(until_gone(leader, ID), TTL, TTL + LATE);
    fake_cluster_run(&cluster, 5);
    ck_assert_uint_eq(how_many_have(ID), 0);
    finish();
}
END_TEST

START_TEST(a_single_node_s_lease_ends_likewise_and_it_sleeps_until_then)
{
    open_one();
    grant(0, ID);
    uint64_t now = fake_cluster_now(&cluster);
    ck_assert_uint_gt(node_next_deadline_ms(at(0)), now);
    ck_assert_uint_le(node_next_deadline_ms(at(0)), now + TTL + 1);
    expect_in(until_gone(0, ID), TTL, TTL + LATE);
    finish();
}
END_TEST

START_TEST(only_the_leader_keeps_deadlines)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    grant(leader, ID);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(keeper_count(at(i)->leases.keeper), i == leader);
    }
    finish();
}
END_TEST

START_TEST(a_revoked_lease_is_not_kept_any_more)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    grant(fake_cluster_follower(&cluster), ID);
    struct command c = {.type = COMMAND_REVOKE};
    c.lease = (struct command_lease){.id = ID, .secret = slice_make(secret, sizeof secret)};
    ck_assert_uint_eq(keeper_count(at(leader)->leases.keeper), 1);
    ck_assert_int_eq(run_command(leader, &c), OUTCOME_OK);
    ck_assert_uint_eq(keeper_count(at(leader)->leases.keeper), 0);
    finish();
}
END_TEST

/* What the keeper had proposed comes behind it in the log. */
START_TEST(a_lease_granted_anew_under_its_id_does_not_end_for_the_one_before)
{
    open_one();
    struct command again = grant_of(ID, TTL);
    again.lease.kind = LEASE_PLAIN;
    ck_assert_int_eq(run_command(0, &again), OUTCOME_OK);
    struct command end = {.type = COMMAND_EXPIRE};
    end.lease = (struct command_lease){
        .id = ID, .generation = store_lease(node_store(at(0)), ID)->generation};
    struct command c = {.type = COMMAND_REVOKE};
    c.lease = (struct command_lease){.id = ID, .secret = slice_make(secret, sizeof secret)};
    ck_assert_int_eq(run_command(0, &c), OUTCOME_OK);
    ck_assert_int_eq(run_command(0, &again), OUTCOME_OK);
    command_encode(&at(0)->forwarded, &end);
    fake_cluster_run(&cluster, 20);
    ck_assert(!node_has_forwarded(at(0)));
    ck_assert(has(0, ID));
    expect_in(until_gone(0, ID), TTL - 20, TTL + LATE);
    finish();
}
END_TEST

START_TEST(many_that_end_at_once_are_proposed_in_lots)
{
    open_one();
    for (uint64_t id = 1; id <= 2500; id++) {
        struct command c = grant_of(id, TTL);
        command_encode(&at(0)->forwarded, &c);
    }
    fake_cluster_run(&cluster, 20);
    ck_assert_uint_eq(keeper_count(at(0)->leases.keeper), 2500);
    fake_net_advance(cluster.net, TTL + 100);
    size_t most = 0;
    for (int turn = 0; turn < 200 && keeper_count(at(0)->leases.keeper) > 0; turn++) {
        node_turn(at(0));
        size_t proposed = keeper_proposed_count(at(0)->leases.keeper);
        most = proposed > most ? proposed : most;
        fake_env_run(&cluster.members[0].disk);
    }
    ck_assert_uint_eq(most, 1000);
    ck_assert_uint_eq(keeper_count(at(0)->leases.keeper), 0);
    ck_assert_uint_eq(store_lease_count(node_store(at(0))), 0);
    finish();
}
END_TEST

START_TEST(many_are_kept_in_pieces_and_none_is_renewed_in_vain_meanwhile)
{
    enum { MANY = 12000 };
    open_one();
    for (uint64_t id = 1; id <= MANY; id++) {
        struct command c = grant_of(id, TTL);
        command_encode(&at(0)->forwarded, &c);
    }
    while (store_lease_count(node_store(at(0))) < MANY) {
        fake_cluster_run(&cluster, 1);
    }
    const struct node_leases *l = &at(0)->leases;
    node_lease_unlead(at(0));
    node_lease_lead(at(0));
    ck_assert(!l->is_running);
    ck_assert_uint_eq(keeper_count(l->keeper), 5000);
    ck_assert_uint_le(node_lease_deadline_ms(at(0)), fake_cluster_now(&cluster));
    fake_net_advance(cluster.net, TTL / 2);
    uint64_t left = 0;
    ck_assert(node_lease_renew(at(0), 1));     /* kept already: its TTL begins anew now */
    ck_assert(node_lease_renew(at(0), MANY)); /* not yet */
    ck_assert(keeper_remaining(l->keeper, 1, fake_cluster_now(&cluster), &left));
    ck_assert_uint_eq(left, TTL);
    node_turn(at(0));
    ck_assert_uint_eq(keeper_count(l->keeper), 10000);
    ck_assert(!l->is_running);
    node_turn(at(0));
    ck_assert_uint_eq(keeper_count(l->keeper), MANY);
    ck_assert(l->is_running);
    ck_assert(keeper_remaining(l->keeper, MANY, fake_cluster_now(&cluster), &left));
    ck_assert_uint_eq(left, TTL);
    finish();
}
END_TEST

/* Behind what is kept already nobody would find it. */
START_TEST(what_comes_or_goes_while_the_keeper_is_filled_is_kept_or_not)
{
    enum { MANY = 6000 };
    open_one();
    for (uint64_t id = 1; id <= MANY; id++) {
        struct command c = grant_of(2 * id, TTL);
        command_encode(&at(0)->forwarded, &c);
    }
    while (store_lease_count(node_store(at(0))) < MANY) {
        fake_cluster_run(&cluster, 1);
    }
    const struct node_leases *l = &at(0)->leases;
    node_lease_unlead(at(0));
    node_lease_lead(at(0));
    struct command come = grant_of(3, TTL);
    struct command go = {.type = COMMAND_REVOKE};
    go.lease = (struct command_lease){.id = 4, .secret = slice_make(secret, sizeof secret)};
    const struct apply_context context = {.index = store_applied_index(node_store(at(0))) + 1};
    struct reply reply;
    store_apply(at(0)->store, &context, &come, &reply);
    node_lease_applied(at(0), &come, &reply);
    store_apply(at(0)->store, &context, &go, &reply);
    node_lease_applied(at(0), &go, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
    uint64_t left;
    ck_assert(keeper_remaining(l->keeper, 3, 0, &left));
    ck_assert(!keeper_remaining(l->keeper, 4, 0, &left));
    while (!l->is_running) {
        node_turn(at(0));
    }
    ck_assert_uint_eq(keeper_count(l->keeper), MANY);
    finish();
}
END_TEST

START_TEST(jumps_of_the_wall_clock_change_nothing)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    grant(leader, ID);
    for (size_t i = 0; i < 3; i++) {
        cluster.members[i].wall_offset_ms = 3600 * 1000;
    }
    fake_cluster_run(&cluster, TTL / 2);
    ck_assert_uint_eq(how_many_have(ID), 3);
    for (size_t i = 0; i < 3; i++) {
        cluster.members[i].wall_offset_ms = -3600 * 1000;
    }
    expect_in(until_gone(leader, ID), TTL / 2, TTL / 2 + LATE);
    finish();
}
END_TEST

START_TEST(a_full_disk_puts_expiry_off_until_there_is_space)
{
    open_one();
    grant(0, ID);
    cluster.members[0].disk.space_left = 0;
    for (uint64_t id = 1000; !engine_disk_is_short(at(0)->engine); id++) {
        struct command c = grant_of(id, TTL);
        struct result result = {0};
        struct node_write w = {.done = on_written, .owner = &result};
        ck_assert_int_eq(node_write(at(0), &w, &c, FAR), RC_OK);
        for (int i = 0; i < 5 && !result.is_done; i++) {
            fake_cluster_settle(&cluster);
        }
        ck_assert(result.is_done);
    }
    fake_net_advance(cluster.net, 5 * TTL);
    for (int ms = 0; ms < 1000; ms++) {
        fake_cluster_run(&cluster, 1);
        ck_assert_uint_gt(node_next_deadline_ms(at(0)), fake_cluster_now(&cluster));
    }
    ck_assert(has(0, ID));
    ck_assert_uint_eq(keeper_proposed_count(at(0)->leases.keeper), 0);

    struct node_read r; /* who comes back meanwhile is in time */
    struct result result;
    begin_keepalive(0, &r, &result, ID);
    wait_for(&result);
    ck_assert_int_eq(result.rc, RC_OK);
    ck_assert_uint_ge(left_at(0, ID), TTL - 10);

    cluster.members[0].disk.space_left = UINT64_MAX / 2;
    (void)until_gone(0, ID);
    finish();
}
END_TEST

/* ---- renewal ------------------------------------------------------------------------------- */

START_TEST(a_client_that_only_touches_through_a_follower_is_kept_alive)
{
    open_three();
    size_t follower = fake_cluster_follower(&cluster);
    grant(follower, ID);
    for (int i = 0; i < 10; i++) {
        fake_cluster_run(&cluster, TTL / 3);
        ck_assert(has(follower, ID));
        node_touch(at(follower), ID);
    }
    fake_cluster_run(&cluster, KEEPER_TOUCH_MS + 2);
    ck_assert_uint_ge(left_at(fake_cluster_leader(&cluster), ID), TTL - 5);
    expect_in(until_gone(follower, ID), TTL - 5, TTL + LATE);
    finish();
}
END_TEST

START_TEST(a_client_that_only_reads_from_a_follower_is_kept_alive)
{
    static const uint8_t kinds[] = {READ_LINEARIZABLE, READ_SESSION, READ_BOUNDED, READ_LOCAL};
    open_three();
    size_t follower = fake_cluster_follower(&cluster);
    grant(follower, ID);
    for (size_t i = 0; i < 16; i++) {
        struct result result = {0};
        struct node_read r = {
            .done = on_read,
            .owner = &result,
            .consistency = kinds[i / 4],
            .bound_ms = 5000,
            .query = {.type = QUERY_EXISTS, .space = SPACE_NODES, .path = slice_str("/")},
            .touch = ID};
        ck_assert_int_eq(node_read(at(follower), &r, FAR), RC_OK);
        wait_for(&result);
        ck_assert_int_eq(result.rc, RC_OK);
        fake_cluster_run(&cluster, TTL / 3);
        ck_assert(has(follower, ID));
    }
    (void)until_gone(follower, ID);
    finish();
}
END_TEST

START_TEST(a_keepalive_that_is_confirmed_has_renewed_the_lease_at_the_leader)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    grant(leader, ID);
    for (size_t i = 0; i < 3; i++) {
        struct node_read r;
        struct result result;
        fake_cluster_run(&cluster, TTL / 2);
        uint64_t sent_ms = fake_cluster_now(&cluster);
        begin_keepalive(i, &r, &result, ID);
        wait_for(&result);
        ck_assert_int_eq(result.rc, RC_OK);
        uint64_t now = fake_cluster_now(&cluster);
        ck_assert_uint_ge(left_at(leader, ID) + now, sent_ms + TTL);
    }
    finish();
}
END_TEST

START_TEST(a_keepalive_without_a_majority_is_not_confirmed)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    grant(leader, ID);
    fake_cluster_cut(&cluster, leader, true);
    struct node_read r;
    struct result result;
    begin_keepalive(leader, &r, &result, ID);
    fake_cluster_run(&cluster, TTL);
    ck_assert(!result.is_done);
    fake_cluster_cut(&cluster, leader, false);
    wait_for(&result); /* by the leader that there is now */
    ck_assert_int_eq(result.rc, RC_OK);
    ck_assert_uint_ge(left_at(fake_cluster_leader(&cluster), ID), TTL - 10);
    finish();
}
END_TEST

START_TEST(touches_survive_the_connection_that_carried_them)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    grant(leader, ID);
    fake_cluster_run(&cluster, TTL / 2);
    struct node_read r;
    struct result result;
    begin_keepalive(follower, &r, &result, ID);
    node_turn(at(follower)); /* the question is on its way */
    fake_net_break(cluster.net, cluster.members[leader].host, cluster.members[follower].host);
    wait_for(&result);
    ck_assert_int_eq(result.rc, RC_OK);
    ck_assert_uint_ge(left_at(fake_cluster_leader(&cluster), ID), TTL - 10);
    finish();
}
END_TEST

/* ---- other leaders ------------------------------------------------------------------------- */

START_TEST(a_new_leader_gives_every_lease_its_full_ttl)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    grant(leader, ID);
    fake_cluster_run(&cluster, TTL - 50);
    fake_cluster_kill(&cluster, leader);
    leader = fake_cluster_leader(&cluster);
    ck_assert_uint_ge(left_at(leader, ID), TTL - 1);
    expect_in(until_gone(follower, ID), TTL - 1, TTL + LATE);
    finish();
}
END_TEST

START_TEST(a_touch_goes_to_the_new_leader_when_the_old_one_dies_with_it)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    grant(leader, ID);
    fake_cluster_pause(&cluster, leader);
    struct node_read r;
    struct result result;
    begin_keepalive(follower, &r, &result, ID);
    node_touch(at(follower), 12345);
    fake_cluster_run(&cluster, 5);
    ck_assert(!result.is_done);
    fake_cluster_kill(&cluster, leader);
    wait_for(&result);
    ck_assert_int_eq(result.rc, RC_OK);
    ck_assert_uint_eq(at(follower)->reads.touches.count + at(follower)->reads.touching.count,
                      0);
    ck_assert_uint_ge(left_at(fake_cluster_leader(&cluster), ID), TTL - 10);
    finish();
}
END_TEST

START_TEST(a_leader_without_a_majority_ends_nobody)
{
    open_three();
    size_t leader = fake_cluster_leader(&cluster);
    grant(leader, ID);
    fake_cluster_run(&cluster, 5);
    for (size_t i = 0; i < 3; i++) {
        fake_cluster_cut(&cluster, i, true);
    }
    fake_cluster_run(&cluster, 5 * TTL);
    ck_assert_uint_eq(how_many_have(ID), 3);
    for (size_t i = 0; i < 3; i++) {
        fake_cluster_cut(&cluster, i, false);
    }
    (void)until_gone(leader, ID);
    finish();
}
END_TEST

START_TEST(a_leader_that_was_stopped_and_deposed_ends_nobody)
{
    open_three();
    size_t old = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    grant(old, ID);
    fake_cluster_pause(&cluster, old);
    for (int i = 0; i < 12; i++) {
        fake_cluster_run(&cluster, TTL / 4);
        node_touch(at(follower), ID);
    }
    ck_assert_uint_ne(fake_cluster_leader(&cluster), old);
    for (int turn = 0; turn < 5; turn++) { /* before it reads anything */
        node_turn(at(old));
        fake_env_run(&cluster.members[old].disk);
    }
    fake_cluster_resume(&cluster, old);
    for (int i = 0; i < 12; i++) {
        fake_cluster_run(&cluster, TTL / 4);
        node_touch(at(follower), ID);
        ck_assert_uint_eq(how_many_have(ID), 3);
    }
    finish();
}
END_TEST

START_TEST(a_stopped_leader_reads_the_keepalives_that_wait_before_it_ends_anybody)
{
    fake_cluster_open(&cluster, 3, 5000, 7); /* nobody else comes to lead meanwhile */
    size_t leader = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    grant(leader, ID);
    grant(leader, ID + 1);
    fake_cluster_pause(&cluster, leader);
    fake_cluster_run(&cluster, TTL / 2);
    node_touch(at(follower), ID);
    fake_cluster_run(&cluster, 2 * TTL);
    for (int turn = 0; turn < 5; turn++) { /* time has passed, and nothing was read yet */
        node_turn(at(leader));
        fake_env_run(&cluster.members[leader].disk);
    }
    ck_assert_uint_eq(keeper_proposed_count(at(leader)->leases.keeper), 0);
    fake_cluster_resume(&cluster, leader);
    fake_cluster_run(&cluster, 50);
    ck_assert_uint_eq(fake_cluster_leader(&cluster), leader);
    ck_assert_uint_eq(how_many_have(ID), 3);
    ck_assert_uint_eq(how_many_have(ID + 1), 0); /* that one had said nothing */
    finish();
}
END_TEST

START_TEST(a_single_node_that_was_stopped_goes_through_its_loop_first)
{
    open_one();
    grant(0, ID);
    grant(0, ID + 1);
    fake_net_advance(cluster.net, 5 * TTL);
    for (int turn = 0; turn < 5; turn++) { /* no I/O in between */
        node_turn(at(0));
    }
    ck_assert_uint_eq(keeper_proposed_count(at(0)->leases.keeper), 0);
    ck_assert_uint_gt(node_next_deadline_ms(at(0)), fake_cluster_now(&cluster));
    fake_env_run(&cluster.members[0].disk); /* now there is: and bytes of a client come, too */
    node_touch(at(0), ID);
    fake_cluster_run(&cluster, 5);
    ck_assert(has(0, ID));
    ck_assert(!has(0, ID + 1));
    finish();
}
END_TEST

START_TEST(a_restarted_single_node_gives_every_lease_its_full_ttl)
{
    open_one();
    grant(0, ID);
    fake_cluster_run(&cluster, TTL - 50);
    fake_cluster_kill(&cluster, 0);
    fake_net_advance(cluster.net, 10 * TTL);
    fake_cluster_start(&cluster, 0);
    (void)fake_cluster_leader(&cluster);
    ck_assert_uint_ge(left_at(0, ID), TTL - 1);
    expect_in(until_gone(0, ID), TTL - 1, TTL + LATE);
    finish();
}
END_TEST

static Suite *node_lease_suite(void)
{
    Suite *suite = suite_create("node_lease");
    TCase *tcase = tcase_create("node_lease");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_lease_ends_when_its_ttl_has_passed_and_soon_after);
    tcase_add_test(tcase, a_single_node_s_lease_ends_likewise_and_it_sleeps_until_then);
    tcase_add_test(tcase, only_the_leader_keeps_deadlines);
    tcase_add_test(tcase, a_revoked_lease_is_not_kept_any_more);
    tcase_add_test(tcase, a_lease_granted_anew_under_its_id_does_not_end_for_the_one_before);
    tcase_add_test(tcase, many_that_end_at_once_are_proposed_in_lots);
    tcase_add_test(tcase, many_are_kept_in_pieces_and_none_is_renewed_in_vain_meanwhile);
    tcase_add_test(tcase, what_comes_or_goes_while_the_keeper_is_filled_is_kept_or_not);
    tcase_add_test(tcase, jumps_of_the_wall_clock_change_nothing);
    tcase_add_test(tcase, a_full_disk_puts_expiry_off_until_there_is_space);
    tcase_add_test(tcase, a_client_that_only_touches_through_a_follower_is_kept_alive);
    tcase_add_test(tcase, a_client_that_only_reads_from_a_follower_is_kept_alive);
    tcase_add_test(tcase, a_keepalive_that_is_confirmed_has_renewed_the_lease_at_the_leader);
    tcase_add_test(tcase, a_keepalive_without_a_majority_is_not_confirmed);
    tcase_add_test(tcase, touches_survive_the_connection_that_carried_them);
    tcase_add_test(tcase, a_new_leader_gives_every_lease_its_full_ttl);
    tcase_add_test(tcase, a_touch_goes_to_the_new_leader_when_the_old_one_dies_with_it);
    tcase_add_test(tcase, a_leader_without_a_majority_ends_nobody);
    tcase_add_test(tcase, a_leader_that_was_stopped_and_deposed_ends_nobody);
    tcase_add_test(tcase,
                   a_stopped_leader_reads_the_keepalives_that_wait_before_it_ends_anybody);
    tcase_add_test(tcase, a_single_node_that_was_stopped_goes_through_its_loop_first);
    tcase_add_test(tcase, a_restarted_single_node_gives_every_lease_its_full_ttl);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){node_lease_suite, NULL});
}
