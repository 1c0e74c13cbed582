/* Leases over one and over three nodes: who ends, when, and who never does. */
#include <string.h>

#include "tests/support/check_main.h"
#include "tests/support/fake_cluster.h"

#define ELECTION_MS 100
#define TTL         ((uint64_t)1000)
#define LATE        ((uint64_t)110) /* a tick of touches and keeper, and the commit */
#define FAR         ((uint64_t)1 << 40)
#define ID          ((uint64_t)77)

static const uint8_t secret[LEASE_SECRET_BYTES] = "0123456789abcde";

static struct fake_cluster cluster;

static struct node *at(size_t i)
{
    return cluster.members[i].node;
}

/* ---- requests ------------------------------------------------------------------------------ */

struct result {
    bool is_done;
    enum status rc;
    uint8_t outcome;
    bool found;
    uint64_t remaining_ms;
};

static void on_written(struct node_write *w, enum status rc, const struct reply *reply)
{
    *(struct result *)w->owner = (struct result){
        .is_done = true, .rc = rc, .outcome = reply != NULL ? reply->outcome : OUTCOME_OK};
}

static void on_read(struct node_read *r, enum status rc, const struct query_result *result)
{
    (void)result;
    *(struct result *)r->owner = (struct result){.is_done = true, .rc = rc};
}

static void on_told(struct node_ttl *t, enum status rc, bool found, uint64_t remaining_ms)
{
    *(struct result *)t->owner = (struct result){
        .is_done = true, .rc = rc, .found = found, .remaining_ms = remaining_ms};
}

static void wait_for(const struct result *result)
{
    for (int ms = 0; !result->is_done && ms < 30000; ms++) {
        fake_cluster_run(&cluster, 1);
    }
    ck_assert(result->is_done);
}

static enum outcome run_command(size_t i, const struct command *c)
{
    struct result result = {0};
    struct node_write w = {.done = on_written, .owner = &result};
    ck_assert_int_eq(node_write(at(i), &w, c, FAR), RC_OK);
    wait_for(&result);
    ck_assert_int_eq(result.rc, RC_OK);
    return result.outcome;
}

static struct command grant_of(uint64_t id, uint64_t ttl_ms)
{
    struct command c = {.type = COMMAND_GRANT};
    c.lease = (struct command_lease){.id = id,
                                     .ttl_ms = ttl_ms,
                                     .kind = LEASE_SESSION,
                                     .renewable = true,
                                     .secret = slice_make(secret, sizeof secret),
                                     .owner = slice_str("test")};
    return c;
}

static struct command resume_of(uint64_t id)
{
    struct command c = {.type = COMMAND_RESUME};
    c.lease = (struct command_lease){.id = id, .secret = slice_make(secret, sizeof secret)};
    return c;
}

static void grant(size_t i, uint64_t id)
{
    struct command c = grant_of(id, TTL);
    ck_assert_int_eq(run_command(i, &c), OUTCOME_OK);
}

/* A keepalive: what a client that is told RC_OK relies on. */
static void begin_keepalive(size_t i, struct node_read *r, struct result *result, uint64_t id)
{
    *result = (struct result){0};
    *r = (struct node_read){.done = on_read, .owner = result, .is_barrier = true, .touch = id};
    ck_assert_int_eq(node_read(at(i), r, FAR), RC_OK);
}

static bool has(size_t i, uint64_t id)
{
    return store_lease(node_store(at(i)), id) != NULL;
}

static size_t how_many_have(uint64_t id)
{
    size_t count = 0;
    for (size_t i = 0; i < cluster.count; i++) {
        count += at(i) != NULL && has(i, id);
    }
    return count;
}

/* Runs until the member has the lease no more; how long that took. */
static uint64_t until_gone(size_t i, uint64_t id)
{
    uint64_t began_ms = fake_cluster_now(&cluster);
    while (has(i, id) && fake_cluster_now(&cluster) < began_ms + 30000) {
        fake_cluster_run(&cluster, 1);
    }
    ck_assert(!has(i, id));
    return fake_cluster_now(&cluster) - began_ms;
}

static void expect_in(uint64_t value, uint64_t low, uint64_t high)
{
    ck_assert_uint_ge(value, low);
    ck_assert_uint_le(value, high);
}

static uint64_t left_at(size_t i, uint64_t id)
{
    uint64_t left = 0;
    ck_assert(keeper_remaining(at(i)->leases.keeper, id, fake_cluster_now(&cluster), &left));
    return left;
}

static void open_three(void)
{
    fake_cluster_open(&cluster, 3, ELECTION_MS, 7);
    (void)fake_cluster_leader(&cluster);
}

static void open_one(void)
{
    fake_cluster_open(&cluster, 1, ELECTION_MS, 7);
    (void)fake_cluster_leader(&cluster);
    fake_cluster_run(&cluster, 10);
}

static void finish(void)
{
    for (size_t i = 0; i < cluster.count; i++) {
        ck_assert_int_eq(cluster.members[i].fatals, 0);
        if (at(i) != NULL) {
            store_check(node_store(at(i)));
        }
    }
    fake_cluster_close(&cluster);
}

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

static Suite *lease_suite(void)
{
    Suite *suite = suite_create("node_lease");
    TCase *tcase = tcase_create("node_lease");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_lease_ends_when_its_ttl_has_passed_and_soon_after);
    tcase_add_test(tcase, a_single_node_s_lease_ends_likewise_and_it_sleeps_until_then);
    tcase_add_test(tcase, only_the_leader_keeps_deadlines);
    tcase_add_test(tcase, a_revoked_lease_is_not_kept_any_more);
    tcase_add_test(tcase, many_that_end_at_once_are_proposed_in_lots);
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
    tcase_add_test(tcase, a_resume_that_is_logged_before_the_expire_saves_the_session);
    tcase_add_test(tcase, a_resume_that_is_logged_behind_the_expire_comes_too_late);
    tcase_add_test(tcase, a_keepalive_behind_the_expire_is_answered_when_the_lease_is_gone);
    tcase_add_test(tcase,
                   a_keepalive_behind_a_void_expire_is_answered_when_the_lease_is_renewed);
    tcase_add_test(tcase, the_time_left_is_told_on_any_member);
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
    return check_main((check_suite_fn[]){lease_suite, NULL});
}
