/* Deadlocks, elections, barriers, latches, counters, ids, against servers that answer to order. */
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "client/barriers.h"
#include "client/counters.h"
#include "client/elections.h"
#include "client/locks.h"
#include "client/socket.h"
#include "coord/v1/lock.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"
#include "tests/support/scripted_reply.h"

static struct client_kit kit;

static void setup(void)
{
    client_kit_open(&kit);
    kit.cluster.ttl_ms = 60000;
}

static void teardown(void)
{
    client_kit_close(&kit);
}

/* With a session, whose opening takes a step that goes well. */
static void begin(const struct scripted_step *script, uint32_t timeout_ms)
{
    client_kit_begin(&kit, &script, 1, timeout_ms);
    ck_assert_int_eq(coord_session_open(kit.client, 0, "tests", &kit.error), COORD_OK);
}

static void drive_until(const bool *is_done)
{
    uint64_t until = socket_now_ms() + 30000;
    while (!*is_done && socket_now_ms() < until) {
        ck_assert_int_eq(coord_run(kit.client, 20), COORD_OK);
    }
    ck_assert(*is_done);
}

static size_t calls_arrived(void)
{
    pthread_mutex_lock(&kit.cluster.lock);
    size_t count = kit.cluster.call_count;
    pthread_mutex_unlock(&kit.cluster.lock);
    return count;
}

static void until_arrived(size_t count)
{
    uint64_t until = socket_now_ms() + 30000;
    while (calls_arrived() < count && socket_now_ms() < until) {
        ck_assert_int_eq(coord_run(kit.client, 20), COORD_OK);
    }
    ck_assert_uint_ge(calls_arrived(), count);
}

/* ---- deadlocks --------------------------------------------------------------------------- */

static const struct coord_lock_target target = {.path = "/l"};
static char trailer[512];

/* A cycle of two, of three. Without padding, as gRPC has it, or with it. */
static void fill_trailer(bool is_padded)
{
    static char first[] = "first";
    static char path[] = "/locks/a";
    Coord__V1__LockDeadlock deadlock = COORD__V1__LOCK_DEADLOCK__INIT;
    Coord__V1__LockWait waits[2];
    Coord__V1__LockWait *cycle[] = {&waits[0], &waits[1]};
    struct buf packed = {0};
    struct buf text = {0};
    coord__v1__lock_wait__init(&waits[0]);
    waits[0].lease = 7;
    waits[0].owner = first;
    waits[0].path = path;
    waits[0].blocker_lease = 8;
    waits[0].blocker_holds = true;
    waits[1] = waits[0];
    waits[1].lease = 8;
    waits[1].blocker_lease = 9;
    waits[1].blocker_mode = COORD__V1__LOCK_MODE__READ_LOCK;
    deadlock.cycle = cycle;
    deadlock.n_cycle = 2;
    deadlock.length = 3;
    coord__v1__lock_deadlock__pack(
        &deadlock, buf_extend(&packed, coord__v1__lock_deadlock__get_packed_size(&deadlock)));
    base64_encode(&text, buf_slice(&packed));
    while (!is_padded && text.data[text.size - 1] == '=') {
        text.size--;
    }
    ck_assert_uint_lt(text.size, sizeof trailer);
    memcpy(trailer, text.data, text.size);
    trailer[text.size] = '\0';
    buf_close(&packed);
    buf_close(&text);
}

#define DEADLOCK(detail)                                                                 \
    {                                                                                    \
        .action = SCRIPT_STATUS, .code = GRPC_ABORTED, .outcome = "DEADLOCK",            \
        .deadlock = (detail)                                                             \
    }

static void expect_cycle(const struct coord_deadlock *deadlock)
{
    ck_assert_uint_eq(deadlock->length, 3);
    ck_assert_uint_eq(deadlock->count, 2);
    ck_assert_uint_eq(deadlock->waits[0].lease, 7);
    ck_assert_str_eq(deadlock->waits[0].owner, "first");
    ck_assert_str_eq(deadlock->waits[0].path, "/locks/a");
    ck_assert_int_eq(deadlock->waits[0].mode, COORD_LOCK_WRITE);
    ck_assert(deadlock->waits[0].blocker_holds);
    ck_assert_uint_eq(deadlock->waits[1].blocker_lease, 9);
    ck_assert_int_eq(deadlock->waits[1].blocker_mode, COORD_LOCK_READ);
    ck_assert_str_eq(deadlock->waits[1].blocker_owner, "");
}

START_TEST(a_deadlock_says_who_waits_for_whom)
{
    struct coord_deadlock deadlock;
    const struct coord_lock_options options = {.deadlock = &deadlock};
    struct coord_lock *lock;
    fill_trailer(_i == 1);
    begin(SCRIPT(STEP(SERVE), DEADLOCK(trailer)), 5000);
    ck_assert_int_eq(coord_lock_acquire(kit.client, &target, 1, &options, &lock, &kit.error),
                     COORD_DEADLOCK);
    expect_cycle(&deadlock);
    coord_deadlock_clear(&deadlock);
    coord_deadlock_clear(&deadlock);
    ck_assert_uint_eq(deadlock.count, 0);
}
END_TEST

static const char *const bad_trailers[] = {NULL, "", "%", "A", "AAAA", "/////w=="};

START_TEST(a_deadlock_that_is_not_explained_is_one_all_the_same)
{
    struct coord_deadlock deadlock;
    const struct coord_lock_options options = {.deadlock = &deadlock};
    struct coord_lock *lock;
    begin(SCRIPT(STEP(SERVE), DEADLOCK(bad_trailers[_i])), 5000);
    ck_assert_int_eq(coord_lock_acquire(kit.client, &target, 1, &options, &lock, &kit.error),
                     COORD_DEADLOCK);
    ck_assert_uint_eq(deadlock.count, 0);
    ck_assert_uint_eq(deadlock.length, 0);
    coord_deadlock_clear(&deadlock);
}
END_TEST

static bool was_told;

static void on_deadlock(void *context, const struct coord_result *result)
{
    (void)context;
    ck_assert_int_eq(result->code, COORD_DEADLOCK);
    ck_assert_ptr_null(result->lock);
    ck_assert_ptr_nonnull(result->deadlock);
    expect_cycle(result->deadlock);
    was_told = true;
}

START_TEST(a_call_that_does_not_wait_is_told_of_the_deadlock)
{
    fill_trailer(true);
    begin(SCRIPT(STEP(SERVE), DEADLOCK(trailer)), 5000);
    was_told = false;
    ck_assert_int_eq(coord_lock_acquire_async(kit.client, &target, 1, NULL, on_deadlock, NULL,
                                              NULL, &kit.error),
                     COORD_OK);
    drive_until(&was_told);
}
END_TEST

START_TEST(locks_are_listed_and_explained)
{
    struct coord_locks list;
    struct coord_lock_graph graph;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_lock_list(kit.client, "/", &list, &kit.error), COORD_OK);
    ck_assert_uint_eq(list.count, 4); /* of two pages */
    ck_assert_str_eq(list.locks[3].path, "/parent/child");
    ck_assert_uint_eq(list.locks[3].waiting, 2);
    ck_assert(!list.locks[3].has_first);
    ck_assert(list.locks[2].has_first && list.locks[2].first.held);
    ck_assert_str_eq(list.locks[2].first.grant.path, SCRIPTED_ENTRY);
    coord_locks_clear(&list);
    ck_assert_int_eq(coord_lock_explain(kit.client, "/l", 0, &graph, &kit.error), COORD_OK);
    ck_assert_uint_eq(graph.count, 1);
    ck_assert(graph.more);
    ck_assert_str_eq(graph.waits[0].owner, "me");
    ck_assert_int_eq(graph.waits[0].mode, COORD_LOCK_READ);
    ck_assert_uint_eq(graph.waits[0].blocker_lease, SCRIPTED_LEASE);
    coord_lock_graph_clear(&graph);
}
END_TEST

/* What the scripts answer is at "/parent/child". */
START_TEST(a_client_of_a_subtree_sees_it_as_the_whole_tree)
{
    static const char *const bad[] = {"parent", "/", "/parent/", "/a//b"};
    struct coord_lock_graph graph;
    client_kit_begin(&kit, &(const struct scripted_step *){NULL}, 1, 5000);
    coord_close(kit.client);
    kit.client = NULL;
    struct coord_options options = {.endpoints = scripted_server_endpoint(kit.servers[0])};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        options.chroot = bad[i];
        ck_assert_int_eq(coord_open(&options, &kit.client, &kit.error), COORD_INVALID);
        ck_assert_ptr_nonnull(strstr(kit.error.message, bad[i]));
    }
    static const struct {
        const char *chroot;
        const char *seen;
    } views[] = {{"/parent", "/child"}, {"/parent/child", "/"}, {"/par", "/parent/child"}};
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        options.chroot = views[i].chroot;
        ck_assert_int_eq(coord_open(&options, &kit.client, &kit.error), COORD_OK);
        ck_assert_int_eq(coord_lock_explain(kit.client, "/l", 0, &graph, &kit.error), COORD_OK);
        ck_assert_str_eq(graph.waits[0].path, views[i].seen);
        coord_lock_graph_clear(&graph);
        coord_close(kit.client);
        kit.client = NULL;
    }
}
END_TEST

/* ---- elections --------------------------------------------------------------------------- */

static const struct coord_candidate candidate = {.path = "/e", .name = "n", .value = "v"};

START_TEST(who_is_elected_has_a_guard_an_epoch_and_may_go)
{
    struct coord_lock *leads;
    struct coord_leader leader;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_election_campaign(kit.client, &candidate, &leads, &kit.error),
                     COORD_OK);
    ck_assert_uint_eq(coord_lock_epoch(leads), 6);
    ck_assert_str_eq(coord_lock_guard(leads, 0).path, SCRIPTED_ENTRY);
    ck_assert_int_eq(coord_lock_extend(leads, 1000, &kit.error), COORD_INVALID);
    ck_assert_int_eq(coord_election_proclaim(leads, "w", &kit.error), COORD_OK);
    ck_assert_int_eq(coord_election_leader(kit.client, "/e", &leader, &kit.error), COORD_OK);
    ck_assert_str_eq(leader.value, "v");
    ck_assert_uint_eq(leader.grant.epoch, 6);
    coord_leader_clear(&leader);
    ck_assert_int_eq(coord_election_hand_over(kit.client, "/e", "other", &kit.error), COORD_OK);
    ck_assert_int_eq(coord_lock_release(leads, &kit.error), COORD_OK);
    ck_assert_int_eq(coord_lock_state(leads), COORD_LOCK_LOST);
    coord_lock_free(leads);
}
END_TEST

static const struct {
    struct scripted_step step;
    enum coord_code code;
} campaign_refusals[] = {
    {REFUSAL(ALREADY_EXISTS, "HELD"), COORD_HELD},
    {REFUSAL(DEADLINE_EXCEEDED, "WAIT_TIMEOUT"), COORD_WAIT_TIMEOUT},
    {REFUSAL(ABORTED, "WAIT_ENDED"), COORD_WAIT_ENDED},
    {REFUSAL(FAILED_PRECONDITION, "MISMATCH"), COORD_REFUSED},
    {REFUSAL(FAILED_PRECONDITION, "GUARD_STALE"), COORD_GUARD_STALE},
    {REFUSAL(NOT_FOUND, "NO_LEASE"), COORD_SESSION_ENDED},
};

START_TEST(refusals_of_campaigns_are_told_apart)
{
    struct coord_lock *leads = NULL;
    begin(SCRIPT(STEP(SERVE), campaign_refusals[_i].step), 5000);
    ck_assert_int_eq(coord_election_campaign(kit.client, &candidate, &leads, &kit.error),
                     campaign_refusals[_i].code);
    ck_assert_ptr_null(leads);
}
END_TEST

START_TEST(a_lost_campaign_is_repeated_and_executed_once)
{
    struct coord_lock *leads;
    begin(SCRIPT(STEP(SERVE), STEP(LOSE)), 5000);
    ck_assert_int_eq(coord_election_campaign(kit.client, &candidate, &leads, &kit.error),
                     COORD_OK);
    ck_assert_uint_eq(kit.cluster.executed_count, 2);
    ck_assert_uint_eq(kit.cluster.call_count, 3);
    coord_lock_free(leads);
}
END_TEST

START_TEST(answers_of_elections_that_name_nobody_are_no_leaders)
{
    struct coord_lock *leads;
    struct coord_leader leader;
    kit.cluster.grants_are_hollow = true;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_election_campaign(kit.client, &candidate, &leads, &kit.error),
                     COORD_INTERNAL);
    ck_assert_int_eq(coord_election_leader(kit.client, "/e", &leader, &kit.error),
                     COORD_NOT_FOUND);
}
END_TEST

START_TEST(a_lock_is_no_leadership)
{
    struct coord_lock *lock;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_lock_acquire(kit.client, &target, 1, NULL, &lock, &kit.error),
                     COORD_OK);
    ck_assert_int_eq(coord_election_proclaim(lock, "w", &kit.error), COORD_INVALID);
    ck_assert_int_eq(coord_barrier_leave(lock, &kit.error), COORD_INVALID);
    coord_lock_free(lock);
}
END_TEST

START_TEST(candidates_are_told_and_removed)
{
    struct coord_election_info info;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_election_get(kit.client, "/e", &info, &kit.error), COORD_OK);
    ck_assert_int_eq(info.policy, COORD_HIGHEST_PRIORITY);
    ck_assert_str_eq(info.eligible, "spare");
    ck_assert_uint_eq(info.count, 2);
    ck_assert(info.candidates[0].leads && !info.candidates[1].leads);
    ck_assert_uint_eq(info.candidates[0].grant.epoch, 6);
    ck_assert_int_eq(
        coord_election_remove(kit.client, &info.candidates[1].grant, &kit.error), COORD_OK);
    coord_election_info_clear(&info);
    ck_assert_int_eq(
        coord_election_configure(kit.client, "/e", COORD_MOST_UP_TO_DATE, "spare", &kit.error),
        COORD_OK);
    ck_assert_int_eq(coord_election_configure(kit.client, "/e", (enum coord_election_policy)9,
                                              NULL, &kit.error),
                     COORD_INVALID);
}
END_TEST

static struct {
    size_t count;
    uint64_t revisions[8];
    bool leads[8];
    bool missed;
    enum coord_code over;
    size_t wanted;
    bool is_enough;
    bool closes;
} seen;

static void on_election(void *context, struct coord_observer *observer,
                        const struct coord_election_event *event)
{
    ck_assert_ptr_eq(context, &seen);
    ck_assert_uint_lt(seen.count, 8);
    if (event->over != NULL) {
        seen.over = event->over->code;
    } else {
        seen.revisions[seen.count] = event->revision;
        seen.leads[seen.count++] = event->leader != NULL;
        seen.missed = seen.missed || event->missed;
    }
    if (event->leader != NULL) {
        ck_assert_str_eq(event->leader->value, "v");
        ck_assert_uint_eq(event->leader->grant.epoch, event->revision);
    }
    seen.is_enough = event->over != NULL || seen.count == seen.wanted;
    if (seen.is_enough && seen.closes) {
        coord_observer_close(observer);
    }
}

static struct coord_observer *observe(size_t wanted)
{
    struct coord_observer *observer;
    memset(&seen, 0, sizeof seen);
    seen.wanted = wanted;
    ck_assert_int_eq(
        coord_election_observe(kit.client, "/e", on_election, &seen, &observer, &kit.error),
        COORD_OK);
    return observer;
}

static const struct scripted_message first_two[] = {{.revision = 5, .count = 1},
                                                    {.revision = 8}};
static const struct scripted_message third = {.revision = 11, .count = 1};

START_TEST(an_observer_goes_on_behind_what_it_told_at_another_endpoint)
{
    const struct scripted_step *const scripts[] = {
        SCRIPT({.action = SCRIPT_SERVE_AND_DROP, .messages = first_two, .message_count = 2}),
        SCRIPT({.action = SCRIPT_SERVE, .messages = &third, .message_count = 1}),
    };
    client_kit_begin(&kit, scripts, 2, 5000);
    struct coord_observer *observer = observe(3);
    seen.closes = _i == 1;
    drive_until(&seen.is_enough);
    ck_assert(seen.leads[0] && !seen.leads[1] && seen.leads[2]);
    ck_assert_uint_eq(seen.revisions[1], 8);
    ck_assert_uint_eq(seen.revisions[2], 11);
    ck_assert(!seen.missed);
    ck_assert_uint_eq(kit.cluster.watches[0].from_revision, 0);
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 8);
    if (!seen.closes) {
        coord_observer_close(observer);
    }
}
END_TEST

START_TEST(an_observer_that_missed_changes_says_so)
{
    client_kit_begin(
        &kit,
        (const struct scripted_step *const[]){SCRIPT(
            {.action = SCRIPT_SERVE_AND_DROP, .messages = first_two, .message_count = 2},
            REFUSAL(OUT_OF_RANGE, "COMPACTED"),
            {.action = SCRIPT_SERVE, .messages = &third, .message_count = 1})},
        1, 5000);
    struct coord_observer *observer = observe(3);
    drive_until(&seen.is_enough);
    ck_assert(seen.missed);
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 8);
    ck_assert_uint_eq(kit.cluster.watches[2].from_revision, 0);
    coord_observer_close(observer);
}
END_TEST

START_TEST(an_observer_that_may_not_look_is_told_the_end)
{
    client_kit_begin(&kit,
                     (const struct scripted_step *const[]){
                         SCRIPT(REFUSAL(PERMISSION_DENIED, "NO_AUTH"))},
                     1, 5000);
    struct coord_observer *observer = observe(3);
    seen.closes = _i == 1;
    drive_until(&seen.is_enough);
    ck_assert_int_eq(seen.over, COORD_DENIED);
    if (!seen.closes) {
        coord_observer_close(observer);
    }
}
END_TEST

/* ---- barriers ---------------------------------------------------------------------------- */

static const struct coord_party party = {.path = "/b", .parties = 3, .name = "n"};

START_TEST(who_went_in_has_a_guard_and_leaves)
{
    struct coord_lock *inside;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_barrier_enter(kit.client, &party, &inside, &kit.error), COORD_OK);
    ck_assert_uint_eq(coord_lock_epoch(inside), 6);
    ck_assert_str_eq(coord_lock_guard(inside, 0).path, SCRIPTED_ENTRY);
    ck_assert_int_eq(coord_lock_state(inside), COORD_LOCK_SAFE);
    ck_assert_int_eq(coord_lock_extend(inside, 1000, &kit.error), COORD_INVALID);
    ck_assert_int_eq(_i == 0 ? coord_barrier_leave(inside, &kit.error)
                             : coord_lock_release(inside, &kit.error),
                     COORD_OK);
    ck_assert_int_eq(coord_lock_state(inside), COORD_LOCK_LOST);
    coord_lock_free(inside);
    ck_assert_uint_eq(kit.cluster.call_count, 3);
}
END_TEST

START_TEST(leaving_is_repeated_with_its_number)
{
    struct coord_lock *inside;
    begin(SCRIPT(STEP(SERVE), STEP(SERVE), STEP(LOSE), STEP(UNKNOWN)), 5000);
    ck_assert_int_eq(coord_barrier_enter(kit.client, &party, &inside, &kit.error), COORD_OK);
    ck_assert_int_eq(coord_barrier_leave(inside, &kit.error), COORD_OK);
    coord_lock_free(inside);
    ck_assert_uint_eq(kit.cluster.call_count, 5);
    ck_assert_mem_eq(&kit.cluster.ids[2], &kit.cluster.ids[4], sizeof kit.cluster.ids[2]);
    ck_assert_uint_eq(kit.cluster.executed_count, 3);
}
END_TEST

static size_t told_count;
static enum coord_code told_code;

static void on_told(void *context, const struct coord_result *result)
{
    (void)context;
    told_count++;
    told_code = result->code;
    was_told = true;
}

START_TEST(a_canceled_wait_at_a_barrier_gives_up_its_place)
{
    struct coord_call *call;
    begin(SCRIPT(STEP(SERVE), STEP(SILENCE)), 5000);
    told_count = 0;
    ck_assert_int_eq(coord_barrier_enter_async(kit.client, &party, on_told, NULL, &call,
                                               &kit.error),
                     COORD_OK);
    until_arrived(2);
    coord_cancel(call);
    ck_assert_uint_eq(told_count, 1);
    ck_assert_int_eq(told_code, COORD_CANCELED);
    until_arrived(4); /* once more, without waiting: it went in, and is withdrawn */
    ck_assert_mem_eq(&kit.cluster.ids[1], &kit.cluster.ids[2], sizeof kit.cluster.ids[1]);
}
END_TEST

START_TEST(a_canceled_leave_asks_no_more)
{
    struct coord_lock *inside;
    struct coord_call *call;
    begin(SCRIPT(STEP(SERVE), STEP(SERVE), STEP(SILENCE)), 5000);
    ck_assert_int_eq(coord_barrier_enter(kit.client, &party, &inside, &kit.error), COORD_OK);
    told_count = 0;
    ck_assert_int_eq(coord_barrier_leave_async(inside, on_told, NULL, &call, &kit.error),
                     COORD_OK);
    ck_assert_int_eq(coord_lock_state(inside), COORD_LOCK_LOST);
    until_arrived(3);
    coord_cancel(call);
    ck_assert_uint_eq(told_count, 1);
    ck_assert_int_eq(told_code, COORD_CANCELED);
    coord_lock_free(inside);
    ck_assert_int_eq(coord_sync(kit.client, &kit.error), COORD_OK);
    ck_assert_uint_eq(calls_arrived(), 4);
}
END_TEST

START_TEST(what_a_barrier_takes_is_checked_before_anything_is_sent)
{
    struct coord_lock *inside;
    const struct coord_guard guard = coord_guard_exists("/a", true);
    const struct coord_party guarded = {.path = "/b", .guards = &guard, .guard_count = 1};
    client_kit_begin(&kit, &(const struct scripted_step *){NULL}, 1, 5000);
    ck_assert_int_eq(coord_barrier_enter(kit.client, &party, &inside, NULL), COORD_INVALID);
    ck_assert_int_eq(coord_session_open(kit.client, 0, NULL, &kit.error), COORD_OK);
    ck_assert_int_eq(coord_barrier_enter(kit.client, &guarded, &inside, NULL), COORD_INVALID);
    kit.cluster.grants_are_hollow = true;
    ck_assert_int_eq(coord_barrier_enter(kit.client, &party, &inside, NULL), COORD_INTERNAL);
}
END_TEST

START_TEST(the_parties_of_a_barrier_are_told)
{
    struct coord_barrier_info info;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_barrier_get(kit.client, "/b", &info, &kit.error), COORD_OK);
    ck_assert_uint_eq(info.parties, 3);
    ck_assert_uint_eq(info.count, 1);
    ck_assert(info.entries[0].inside && !info.entries[0].leaving);
    ck_assert_str_eq(info.entries[0].grant.path, SCRIPTED_ENTRY);
    ck_assert_int_eq(coord_barrier_remove(kit.client, &info.entries[0].grant, &kit.error),
                     COORD_OK);
    coord_barrier_info_clear(&info);
}
END_TEST

/* ---- latches ----------------------------------------------------------------------------- */

START_TEST(latches_are_set_counted_down_and_awaited)
{
    uint32_t count = 0;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_latch_set(kit.client, "/t", 5, &kit.error), COORD_OK);
    ck_assert_int_eq(coord_latch_count_down(kit.client, "/t", 1, &count, &kit.error), COORD_OK);
    ck_assert_uint_eq(count, 4);
    ck_assert_int_eq(coord_latch_count_down(kit.client, "/t", 0, NULL, &kit.error),
                     COORD_INVALID);
    count = 0;
    ck_assert_int_eq(coord_latch_get(kit.client, "/t", &count, &kit.error), COORD_OK);
    ck_assert_uint_eq(count, 4);
    ck_assert_int_eq(coord_latch_await(kit.client, "/t", 0, &kit.error), COORD_OK);
    ck_assert_int_eq(coord_latch_await(kit.client, "/t", UINT64_MAX, &kit.error), COORD_OK);
}
END_TEST

START_TEST(a_latch_that_does_not_open_is_awaited_so_long)
{
    begin(SCRIPT(STEP(SERVE), STEP(SILENCE)), 5000);
    ck_assert_int_eq(coord_latch_await(kit.client, "/t", 30, &kit.error), COORD_WAIT_TIMEOUT);
    ck_assert_int_eq(kit.error.code, COORD_WAIT_TIMEOUT);
    ck_assert_int_eq(coord_sync(kit.client, &kit.error), COORD_OK);
}
END_TEST

/* ---- counters, ids ----------------------------------------------------------------------- */

START_TEST(counters_are_added_to_within_bounds)
{
    struct coord_counter counter = {.value = 0};
    const struct coord_counter_options bounds = {.has_low = true, .low = -3};
    begin(SCRIPT(STEP(SERVE), STEP(LOSE), STEP(SERVE), STEP(SERVE),
                 REFUSAL(RESOURCE_EXHAUSTED, "LIMIT")),
          5000);
    ck_assert_int_eq(
        coord_counter_add(kit.client, "/c", -10, &bounds, &counter, &kit.error), COORD_OK);
    ck_assert_int_eq(counter.value, -3);
    ck_assert_int_eq(counter.before, 7);
    ck_assert_uint_eq(kit.cluster.executed_count, 2); /* once, though it was sent twice */
    ck_assert_int_eq(coord_counter_get(kit.client, "/c", &counter, &kit.error), COORD_OK);
    ck_assert_int_eq(counter.value, 7);
    ck_assert(counter.is_ids);
    ck_assert_uint_eq(counter.created, 5);
    ck_assert_int_eq(coord_counter_add(kit.client, "/c", -1, &bounds, NULL, &kit.error),
                     COORD_LIMITED);
}
END_TEST

START_TEST(ids_come_in_blocks)
{
    struct coord_ids ids;
    const struct coord_counter_options low = {.has_low = true};
    const struct coord_counter_options none = {.has_high = true};
    const struct coord_counter_options high = {.has_high = true, .high = 1000};
    begin(NULL, 5000);
    ck_assert_int_eq(coord_ids_allocate(kit.client, "/i", 10, &high, &ids, &kit.error),
                     COORD_OK);
    ck_assert_uint_eq(ids.first, 101);
    ck_assert_uint_eq(ids.count, 10);
    ck_assert_uint_eq(ids.created, 5);
    ck_assert_int_eq(coord_ids_allocate(kit.client, "/i", 10, &low, &ids, &kit.error),
                     COORD_INVALID);
    ck_assert_int_eq(coord_ids_allocate(kit.client, "/i", 10, &none, &ids, &kit.error),
                     COORD_INVALID);
}
END_TEST

static void on_counted(void *context, const struct coord_result *result)
{
    (void)context;
    ck_assert_int_eq(result->code, COORD_OK);
    ck_assert_int_eq(result->counter->value, -3);
    ck_assert_ptr_null(result->ids);
    was_told = true;
}

START_TEST(a_count_that_does_not_wait_is_told)
{
    begin(NULL, 5000);
    was_told = false;
    ck_assert_int_eq(coord_counter_add_async(kit.client, "/c", 1, NULL, on_counted, NULL, NULL,
                                             &kit.error),
                     COORD_OK);
    drive_until(&was_told);
}
END_TEST

static Suite *recipes_suite(void)
{
    Suite *s = suite_create("recipes");
    TCase *t = tcase_create("recipes");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_deadlock_says_who_waits_for_whom, 0, 2);
    tcase_add_loop_test(t, a_deadlock_that_is_not_explained_is_one_all_the_same, 0,
                        (int)(sizeof bad_trailers / sizeof bad_trailers[0]));
    tcase_add_test(t, a_call_that_does_not_wait_is_told_of_the_deadlock);
    tcase_add_test(t, locks_are_listed_and_explained);
    tcase_add_test(t, a_client_of_a_subtree_sees_it_as_the_whole_tree);
    tcase_add_test(t, who_is_elected_has_a_guard_an_epoch_and_may_go);
    tcase_add_loop_test(t, refusals_of_campaigns_are_told_apart, 0,
                        (int)(sizeof campaign_refusals / sizeof campaign_refusals[0]));
    tcase_add_test(t, a_lost_campaign_is_repeated_and_executed_once);
    tcase_add_test(t, answers_of_elections_that_name_nobody_are_no_leaders);
    tcase_add_test(t, a_lock_is_no_leadership);
    tcase_add_test(t, candidates_are_told_and_removed);
    tcase_add_loop_test(t, an_observer_goes_on_behind_what_it_told_at_another_endpoint, 0, 2);
    tcase_add_test(t, an_observer_that_missed_changes_says_so);
    tcase_add_loop_test(t, an_observer_that_may_not_look_is_told_the_end, 0, 2);
    tcase_add_loop_test(t, who_went_in_has_a_guard_and_leaves, 0, 2);
    tcase_add_test(t, leaving_is_repeated_with_its_number);
    tcase_add_test(t, a_canceled_wait_at_a_barrier_gives_up_its_place);
    tcase_add_test(t, a_canceled_leave_asks_no_more);
    tcase_add_test(t, what_a_barrier_takes_is_checked_before_anything_is_sent);
    tcase_add_test(t, the_parties_of_a_barrier_are_told);
    tcase_add_test(t, latches_are_set_counted_down_and_awaited);
    tcase_add_test(t, a_latch_that_does_not_open_is_awaited_so_long);
    tcase_add_test(t, counters_are_added_to_within_bounds);
    tcase_add_test(t, ids_come_in_blocks);
    tcase_add_test(t, a_count_that_does_not_wait_is_told);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){recipes_suite, NULL});
}
