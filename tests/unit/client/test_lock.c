/* Locks against servers that misbehave to order. */
#include "client/lock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/call.h"
#include "client/client_internal.h"
#include "client/socket.h"
#include "coord/v1/types.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"
#include "tests/support/scripted_reply.h"

static struct client_kit kit;
static const struct coord_lock_target target = {.path = "/l"};

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

static void begin_two(const struct scripted_step *first, const struct scripted_step *second,
                      uint32_t timeout_ms)
{
    client_kit_begin(&kit, (const struct scripted_step *const[]){first, second}, 2, timeout_ms);
    ck_assert_int_eq(coord_session_open(kit.client, 0, "tests", &kit.error), COORD_OK);
}

static enum coord_code acquire(struct coord_lock **lock)
{
    return coord_lock_acquire(kit.client, &target, 1, NULL, lock, &kit.error);
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

/* ---- acquiring --------------------------------------------------------------------------- */

START_TEST(what_is_held_has_a_guard_and_an_epoch)
{
    struct coord_lock *lock;
    size_t count;
    begin(NULL, 5000);
    ck_assert_int_eq(acquire(&lock), COORD_OK);
    const struct coord_grant *grants = coord_lock_grants(lock, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(grants[0].path, SCRIPTED_ENTRY);
    ck_assert_uint_eq(grants[0].revision, 5);
    ck_assert_uint_eq(coord_lock_epoch(lock), 6);
    struct coord_guard guard = coord_lock_guard(lock, 0);
    ck_assert_str_eq(guard.path, SCRIPTED_ENTRY);
    ck_assert_uint_eq(guard.number, 5);
    ck_assert_int_eq(coord_lock_state(lock), COORD_LOCK_SAFE);
    ck_assert_uint_gt(coord_lock_trusted_ms(lock), 10000);
    ck_assert_int_eq(coord_lock_extend(lock, 1000, &kit.error), COORD_OK);
    ck_assert_int_eq(coord_lock_release(lock, &kit.error), COORD_OK);
    ck_assert_int_eq(coord_lock_state(lock), COORD_LOCK_LOST);
    ck_assert_uint_eq(coord_lock_trusted_ms(lock), 0);
    coord_lock_free(lock);
    ck_assert_uint_eq(kit.cluster.executed_count, 4);
}
END_TEST

static const struct scripted_step repeated[] = {STEP(LOSE),   STEP(DROP),         STEP(UNKNOWN),
                                                STEP(REFUSE), STEP(GOAWAY),       STEP(HTTP),
                                                STEP(NOISE),  ANSWER(UNAVAILABLE)};

START_TEST(a_lost_request_is_repeated_with_its_number_and_executed_once)
{
    struct coord_lock *lock;
    begin_two(SCRIPT(STEP(SERVE), repeated[_i]), NULL, 5000);
    ck_assert_int_eq(acquire(&lock), COORD_OK);
    coord_lock_free(lock);
    ck_assert_uint_eq(kit.cluster.executed_count, 2);
    ck_assert_uint_eq(kit.cluster.call_count, 3);
    ck_assert_uint_eq(kit.cluster.ids[1].high, 1);
    ck_assert_mem_eq(&kit.cluster.ids[1], &kit.cluster.ids[2], sizeof kit.cluster.ids[1]);
}
END_TEST

static const struct {
    struct scripted_step step;
    enum coord_code code;
} refusals[] = {
    {REFUSAL(ALREADY_EXISTS, "HELD"), COORD_HELD},
    {REFUSAL(ABORTED, "DEADLOCK"), COORD_DEADLOCK},
    {REFUSAL(ABORTED, "WAIT_ENDED"), COORD_WAIT_ENDED},
    {REFUSAL(DEADLINE_EXCEEDED, "WAIT_TIMEOUT"), COORD_WAIT_TIMEOUT},
    {REFUSAL(FAILED_PRECONDITION, "WAITS"), COORD_REFUSED},
    {REFUSAL(FAILED_PRECONDITION, "GUARD_STALE"), COORD_GUARD_STALE},
    {REFUSAL(RESOURCE_EXHAUSTED, "GRAPH_TOO_LARGE"), COORD_LIMITED},
    {REFUSAL(NOT_FOUND, "NO_LEASE"), COORD_SESSION_ENDED},
    {REFUSAL(NOT_FOUND, "NO_SESSION"), COORD_SESSION_ENDED},
    {REFUSAL(PERMISSION_DENIED, "NO_AUTH"), COORD_DENIED},
};

START_TEST(refusals_are_told_apart)
{
    struct coord_lock *lock = NULL;
    begin(SCRIPT(STEP(SERVE), refusals[_i].step), 5000);
    ck_assert_int_eq(acquire(&lock), refusals[_i].code);
    ck_assert_ptr_null(lock);
    ck_assert_uint_eq(kit.cluster.call_count, 2);
}
END_TEST

START_TEST(arguments_are_checked_before_anything_is_sent)
{
    struct coord_lock *lock;
    const struct coord_lock_target bad = {.path = "/l", .mode = (enum coord_lock_mode)9};
    const struct coord_guard guard = coord_guard_exists("/a", true);
    const struct coord_lock_options guarded = {.guards = &guard, .guard_count = 1};
    client_kit_begin(&kit, &(const struct scripted_step *){NULL}, 1, 5000);
    ck_assert_int_eq(acquire(&lock), COORD_INVALID); /* there is no session */
    ck_assert_int_eq(coord_session_open(kit.client, 0, NULL, &kit.error), COORD_OK);
    ck_assert_int_eq(coord_lock_acquire(kit.client, &target, 0, NULL, &lock, NULL),
                     COORD_INVALID);
    ck_assert_int_eq(coord_lock_acquire(kit.client, &target, 65, NULL, &lock, NULL),
                     COORD_INVALID);
    ck_assert_int_eq(coord_lock_acquire(kit.client, &bad, 1, NULL, &lock, NULL), COORD_INVALID);
    ck_assert_int_eq(coord_lock_acquire(kit.client, &target, 1, &guarded, &lock, NULL),
                     COORD_INVALID);
    ck_assert_uint_eq(kit.cluster.call_count, 1);
}
END_TEST

START_TEST(a_reply_without_a_grant_is_an_error)
{
    struct coord_lock *lock;
    kit.cluster.grants_are_hollow = true;
    begin(NULL, 5000);
    ck_assert_int_eq(acquire(&lock), COORD_INTERNAL);
}
END_TEST

/* ---- waiting ----------------------------------------------------------------------------- */

static struct {
    size_t count;
    enum coord_code code;
    struct coord_lock *lock;
} told;

static void on_done(void *context, const struct coord_result *result)
{
    (void)context;
    told.count++;
    told.code = result->code;
    told.lock = result->lock;
}

static struct coord_call *acquire_later(void)
{
    struct coord_call *call = NULL;
    memset(&told, 0, sizeof told);
    ck_assert_int_eq(coord_lock_acquire_async(kit.client, &target, 1, NULL, on_done, NULL,
                                              &call, &kit.error),
                     COORD_OK);
    return call;
}

static void run_for(uint64_t ms)
{
    uint64_t until = socket_now_ms() + ms;
    while (socket_now_ms() < until) {
        ck_assert_int_eq(coord_run(kit.client, 20), COORD_OK);
    }
}

static void until_told(void)
{
    uint64_t until = socket_now_ms() + 30000;
    while (told.count == 0 && socket_now_ms() < until) {
        ck_assert_int_eq(coord_run(kit.client, 20), COORD_OK);
    }
    ck_assert_uint_eq(told.count, 1);
}

START_TEST(a_wait_outlives_the_timeout_while_its_server_lives)
{
    begin(SCRIPT(STEP(SERVE), STEP(SILENCE)), 400);
    (void)acquire_later();
    run_for(1500);
    ck_assert_uint_eq(told.count, 0);
    ck_assert_uint_eq(calls_arrived(), 2); /* and it asked once */
    client_kit_kill(&kit, 0);
    until_told();
    ck_assert_int_eq(told.code, COORD_UNKNOWN); /* nobody can be reached any more */
}
END_TEST

START_TEST(a_wait_goes_on_at_another_endpoint)
{
    begin_two(SCRIPT(STEP(SERVE), STEP(SILENCE)), NULL, 2000);
    (void)acquire_later();
    until_arrived(2);
    run_for(600);
    client_kit_kill(&kit, 0);
    until_told();
    ck_assert_int_eq(told.code, COORD_OK);
    coord_lock_free(told.lock);
    ck_assert_uint_eq(kit.cluster.executed_count, 2);
    ck_assert_mem_eq(&kit.cluster.ids[1], &kit.cluster.ids[2], sizeof kit.cluster.ids[1]);
}
END_TEST

START_TEST(a_canceled_wait_is_told_at_once_and_given_up)
{
    begin(SCRIPT(STEP(SERVE), STEP(SILENCE)), 5000);
    struct coord_call *call = acquire_later();
    until_arrived(2);
    coord_cancel(call);
    ck_assert_uint_eq(told.count, 1);
    ck_assert_int_eq(told.code, COORD_CANCELED);
    until_arrived(4); /* the same again, which says that it was granted, so it is released */
    ck_assert_mem_eq(&kit.cluster.ids[1], &kit.cluster.ids[2], sizeof kit.cluster.ids[1]);
    ck_assert_uint_eq(kit.cluster.ids[3].high, 2);
    run_for(100);
    ck_assert(!client_is_busy(kit.client));
    ck_assert_uint_eq(told.count, 1);
}
END_TEST

START_TEST(a_canceled_wait_that_was_not_granted_needs_nothing_more)
{
    begin(SCRIPT(STEP(SERVE), STEP(SILENCE), REFUSAL(ALREADY_EXISTS, "HELD")), 5000);
    struct coord_call *call = acquire_later();
    until_arrived(2);
    coord_cancel(call);
    until_arrived(3);
    uint64_t until = socket_now_ms() + 30000;
    while (client_is_busy(kit.client) && socket_now_ms() < until) {
        ck_assert_int_eq(coord_run(kit.client, 20), COORD_OK);
    }
    ck_assert_uint_eq(calls_arrived(), 3);
}
END_TEST

START_TEST(a_client_may_be_closed_while_it_waits)
{
    begin(SCRIPT(STEP(SERVE), STEP(SILENCE), STEP(SILENCE)), 5000);
    struct coord_call *call = acquire_later();
    until_arrived(2);
    if (_i == 1) {
        coord_cancel(call); /* with what goes on by itself under way */
        until_arrived(3);
    }
    coord_close(kit.client);
    kit.client = NULL;
    ck_assert_uint_eq(told.count, 1);
    ck_assert_int_eq(told.code, COORD_CANCELED);
}
END_TEST

START_TEST(waits_hold_up_no_other_calls)
{
    enum { WAITS = 130 };
    static struct scripted_step script[WAITS + 2];
    script[0].action = SCRIPT_SERVE;
    for (size_t i = 1; i <= WAITS; i++) {
        script[i].action = SCRIPT_SILENCE;
    }
    kit.cluster.keeps_no_ids = true;
    begin(script, 5000);
    for (size_t i = 0; i < WAITS; i++) {
        (void)acquire_later();
    }
    until_arrived(WAITS + 1);
    ck_assert_int_eq(coord_set(kit.client, "/a", "x", 1, COORD_ANY_VERSION, NULL, &kit.error),
                     COORD_OK);
}
END_TEST

/* A server that takes connections and says nothing, as one does that is stopped, or cut off. */
static int half_open(char endpoint[32])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    snprintf(endpoint, 32, "127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

START_TEST(a_silent_server_is_left_for_another)
{
    char endpoints[80];
    int fd = half_open(endpoints);
    client_kit_begin(&kit, &(const struct scripted_step *){NULL}, 1, 5000);
    coord_close(kit.client);
    strcat(endpoints, ",");
    strcat(endpoints, scripted_server_endpoint(kit.servers[0]));
    const struct coord_options options = {
        .endpoints = endpoints, .timeout_ms = 3000, .fixed_endpoints = true};
    ck_assert_int_eq(coord_open(&options, &kit.client, &kit.error), COORD_OK);
    const struct coord_lock_options of_lease = {.lease = SCRIPTED_LEASE};
    struct coord_lock *lock;
    kit.cluster.cluster_ms = 1;
    ck_assert_int_eq(coord_lock_acquire(kit.client, &target, 1, &of_lease, &lock, &kit.error),
                     COORD_OK);
    ck_assert_uint_eq(coord_lock_trusted_ms(lock), 0); /* of a lease nothing is known */
    ck_assert_int_eq(coord_lock_state(lock), COORD_LOCK_SAFE);
    coord_lock_free(lock);
    (void)close(fd);
}
END_TEST

START_TEST(nobody_there_ends_in_time)
{
    struct coord_lock *lock;
    begin(NULL, 600);
    client_kit_kill(&kit, 0);
    ck_assert_int_eq(acquire(&lock), COORD_UNAVAILABLE);
}
END_TEST

/* ---- what becomes of it ------------------------------------------------------------------ */

static struct {
    size_t count;
    enum coord_lock_state states[8];
    enum coord_code code; /* of the last */
    bool frees;
} followed;

static void on_changed(void *context, struct coord_lock *lock,
                       const struct coord_lock_event *event)
{
    ck_assert_ptr_eq(context, &followed);
    ck_assert_uint_lt(followed.count, 8);
    followed.states[followed.count++] = event->state;
    followed.code = event->why->code;
    if (followed.frees) {
        coord_lock_free(lock);
    }
}

static struct coord_lock *follow(void)
{
    struct coord_lock *lock;
    memset(&followed, 0, sizeof followed);
    ck_assert_int_eq(acquire(&lock), COORD_OK);
    ck_assert_int_eq(coord_lock_follow(lock, on_changed, &followed, &kit.error), COORD_OK);
    return lock;
}

static void until_followed(size_t count)
{
    uint64_t until = socket_now_ms() + 30000;
    while (followed.count < count && socket_now_ms() < until) {
        ck_assert_int_eq(coord_run(kit.client, 20), COORD_OK);
    }
    ck_assert_uint_eq(followed.count, count);
}

static const struct scripted_message no_session = {.outcome = COORD__V1__OUTCOME__NO_SESSION};

START_TEST(a_lock_is_lost_with_its_session)
{
    kit.cluster.ttl_ms = 900;
    begin(SCRIPT(STEP(SERVE), STEP(SERVE), STEP(SERVE),
                 {.action = SCRIPT_SERVE, .messages = &no_session, .message_count = 1}),
          5000);
    struct coord_lock *lock = follow();
    followed.frees = _i == 1;
    until_followed(1);
    ck_assert_int_eq(followed.states[0], COORD_LOCK_LOST);
    ck_assert_int_eq(followed.code, COORD_SESSION_ENDED);
    if (_i == 0) {
        ck_assert_int_eq(coord_lock_state(lock), COORD_LOCK_LOST);
        coord_lock_free(lock);
    }
}
END_TEST

START_TEST(a_lock_is_unsafe_while_its_session_is_not_confirmed)
{
    kit.cluster.ttl_ms = 1000;
    begin(SCRIPT(STEP(SERVE), STEP(SERVE), STEP(SERVE), STEP(SILENCE), STEP(SILENCE),
                 STEP(SILENCE), STEP(SILENCE), STEP(SILENCE), STEP(SILENCE), STEP(SILENCE),
                 STEP(SILENCE), STEP(SILENCE), STEP(SILENCE)),
          400);
    struct coord_lock *lock = follow();
    until_followed(2);
    ck_assert_int_eq(followed.states[0], COORD_LOCK_UNSAFE);
    ck_assert_int_eq(followed.states[1], COORD_LOCK_SAFE);
    coord_lock_free(lock);
}
END_TEST

/* As if the last keepalive had been confirmed long ago, or the session had ended meanwhile. */
START_TEST(a_lock_of_a_session_in_trouble_is_told_so)
{
    struct coord_lock *lock;
    struct coord_error why;
    memset(&followed, 0, sizeof followed);
    begin(NULL, 5000);
    if (_i == 0) {
        kit.client->session.confirmed_ms -= 60000;
    } else {
        (void)client_fail(&why, COORD_SESSION_ENDED, "ended");
        ck_assert(session_mark_ended(kit.client, SCRIPTED_SESSION));
        session_tell_ended(kit.client, SCRIPTED_SESSION, &why);
    }
    kit.client->session.ttl_ms = 60000;
    struct coord_grant *grants = calloc(1, sizeof *grants);
    ck_assert_ptr_nonnull(grants);
    grants[0] = (struct coord_grant){.path = strdup(SCRIPTED_ENTRY), .revision = 5};
    lock = lock_new(kit.client, SCRIPTED_SESSION, grants, 1);
    ck_assert_ptr_nonnull(lock);
    ck_assert_int_eq(coord_lock_follow(lock, on_changed, &followed, &kit.error), COORD_OK);
    until_followed(1);
    ck_assert_int_eq(followed.states[0], _i == 0 ? COORD_LOCK_UNSAFE : COORD_LOCK_LOST);
    if (_i == 0) {
        until_followed(2);
        ck_assert_int_eq(followed.states[1], COORD_LOCK_SAFE);
    }
    coord_lock_free(lock);
}
END_TEST

START_TEST(a_lock_is_lost_when_its_entry_is_not_listed)
{
    static const struct scripted_message messages[] = {{.type = 0, .revision = 5},
                                                       {.type = 1, .revision = 9, .count = 2}};
    kit.cluster.watch_messages = messages;
    kit.cluster.watch_message_count = 2;
    begin(NULL, 5000);
    struct coord_lock *lock = follow();
    until_followed(1);
    ck_assert_int_eq(followed.states[0], COORD_LOCK_LOST);
    ck_assert_int_eq(followed.code, COORD_NOT_FOUND);
    coord_lock_free(lock);
}
END_TEST

START_TEST(the_end_of_the_session_by_its_owner_is_told_too)
{
    begin(NULL, 5000);
    struct coord_lock *lock = follow();
    ck_assert_int_eq(coord_session_close(kit.client, NULL, &kit.error), COORD_OK);
    until_followed(1);
    ck_assert_int_eq(followed.states[0], COORD_LOCK_LOST);
    coord_lock_free(lock);
}
END_TEST

/* ---- queues, guarded writes --------------------------------------------------------------- */

START_TEST(a_queue_is_told_whole)
{
    struct coord_lock_info info;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_lock_get(kit.client, "/l", &info, &kit.error), COORD_OK);
    ck_assert_uint_eq(info.count, 4); /* of two pages */
    ck_assert_uint_eq(info.permits, 3);
    ck_assert(info.entries[0].held && !info.entries[1].held);
    ck_assert_str_eq(info.entries[0].grant.path, SCRIPTED_ENTRY);
    ck_assert_str_eq(info.entries[3].note, "why");
    ck_assert_int_eq(coord_lock_cancel(kit.client, &info.entries[1].grant, 1, &kit.error),
                     COORD_OK);
    ck_assert_int_eq(coord_lock_remove(kit.client, &info.entries[0].grant, 1, &kit.error),
                     COORD_OK);
    ck_assert_int_eq(coord_lock_ask_release(kit.client, "/l", "me", "now", &kit.error),
                     COORD_OK);
    coord_lock_info_clear(&info);
}
END_TEST

START_TEST(a_stale_guard_is_told)
{
    const struct coord_guard guard = coord_guard_held(SCRIPTED_ENTRY, 5);
    begin(SCRIPT(STEP(SERVE), REFUSAL(FAILED_PRECONDITION, "GUARD_STALE"),
                 REFUSAL(FAILED_PRECONDITION, "GUARD_STALE"),
                 REFUSAL(FAILED_PRECONDITION, "GUARD_STALE")),
          5000);
    ck_assert_int_eq(coord_set_guarded(kit.client, "/a", "x", 1, COORD_ANY_VERSION, &guard, 1,
                                       NULL, &kit.error),
                     COORD_GUARD_STALE);
    ck_assert_int_eq(
        coord_create_guarded(kit.client, "/a", "x", 1, NULL, &guard, 1, NULL, NULL, &kit.error),
        COORD_GUARD_STALE);
    ck_assert_int_eq(coord_delete_guarded(kit.client, "/a", COORD_ANY_VERSION, false, &guard, 1,
                                          NULL, &kit.error),
                     COORD_GUARD_STALE);
}
END_TEST

static Suite *lock_suite(void)
{
    Suite *s = suite_create("lock");
    TCase *t = tcase_create("lock");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_is_held_has_a_guard_and_an_epoch);
    tcase_add_loop_test(t, a_lost_request_is_repeated_with_its_number_and_executed_once, 0,
                        (int)(sizeof repeated / sizeof repeated[0]));
    tcase_add_loop_test(t, refusals_are_told_apart, 0,
                        (int)(sizeof refusals / sizeof refusals[0]));
    tcase_add_test(t, arguments_are_checked_before_anything_is_sent);
    tcase_add_test(t, a_reply_without_a_grant_is_an_error);
    tcase_add_test(t, a_wait_outlives_the_timeout_while_its_server_lives);
    tcase_add_test(t, a_wait_goes_on_at_another_endpoint);
    tcase_add_test(t, a_canceled_wait_is_told_at_once_and_given_up);
    tcase_add_test(t, a_canceled_wait_that_was_not_granted_needs_nothing_more);
    tcase_add_loop_test(t, a_client_may_be_closed_while_it_waits, 0, 2);
    tcase_add_test(t, waits_hold_up_no_other_calls);
    tcase_add_test(t, a_silent_server_is_left_for_another);
    tcase_add_test(t, nobody_there_ends_in_time);
    tcase_add_loop_test(t, a_lock_is_lost_with_its_session, 0, 2);
    tcase_add_test(t, a_lock_is_unsafe_while_its_session_is_not_confirmed);
    tcase_add_loop_test(t, a_lock_of_a_session_in_trouble_is_told_so, 0, 2);
    tcase_add_test(t, a_lock_is_lost_when_its_entry_is_not_listed);
    tcase_add_test(t, the_end_of_the_session_by_its_owner_is_told_too);
    tcase_add_test(t, a_queue_is_told_whole);
    tcase_add_test(t, a_stale_guard_is_told);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){lock_suite, NULL});
}
