/* Calls that do not wait, in an event loop that is not the library's own: a small one of poll(2)
 * that knows no more of the client than <coord/client.h> tells. */
#include "client/client.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/discovery.h"
#include "client/elections.h"
#include "client/socket.h"
#include "client/streams.h"
#include "coord/v1/types.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"
#include "tests/support/scripted_reply.h"

/* ---- a host ------------------------------------------------------------------------------ */

#define HOST_FDS_MAX 16

static struct {
    struct pollfd fds[HOST_FDS_MAX];
    size_t count;
    uint64_t due_ms;
    size_t wakes;
    bool refuses;
} host;

static struct client_kit kit;

static bool host_watch(void *context, int fd, unsigned events)
{
    size_t i = 0;
    ck_assert_ptr_eq(context, &host);
    ck_assert_int_ge(fcntl(fd, F_GETFD), 0); /* it is told before a descriptor is closed */
    while (i < host.count && host.fds[i].fd != fd) {
        i++;
    }
    if (events == 0) {
        ck_assert_uint_lt(i, host.count); /* and only of those that it has */
        host.fds[i] = host.fds[--host.count];
        return true;
    }
    if (i == host.count) {
        ck_assert_uint_lt(host.count, HOST_FDS_MAX);
        host.count++;
    }
    host.fds[i] =
        (struct pollfd){.fd = fd,
                        .events = (short)(((events & COORD_READABLE) != 0 ? POLLIN : 0) |
                                          ((events & COORD_WRITABLE) != 0 ? POLLOUT : 0))};
    return !host.refuses;
}

static void host_wake(void *context, uint64_t delay_ms)
{
    ck_assert_ptr_eq(context, &host);
    host.wakes++;
    host.due_ms = delay_ms == COORD_FOREVER ? COORD_FOREVER : socket_now_ms() + delay_ms;
}

static const struct coord_loop host_loop = {
    .watch = host_watch, .wake = host_wake, .context = &host};

/* One turn of the host's loop. */
static void host_turn(void)
{
    struct pollfd fds[HOST_FDS_MAX];
    size_t count = host.count;
    uint64_t now = socket_now_ms();
    memcpy(fds, host.fds, sizeof fds);
    int timeout_ms = host.due_ms <= now       ? 0
                     : host.due_ms - now < 50 ? (int)(host.due_ms - now)
                                              : 50;
    (void)poll(fds, count, timeout_ms);
    for (size_t i = 0; i < count && kit.client != NULL; i++) {
        if (fds[i].revents != 0) {
            coord_ready(kit.client, fds[i].fd);
        }
    }
    if (host.due_ms <= socket_now_ms() && kit.client != NULL) {
        host.due_ms = COORD_FOREVER;
        coord_due(kit.client);
    }
}

/* ---- what calls came to ------------------------------------------------------------------ */

#define TOLD_MAX 600

static struct {
    size_t count;
    enum coord_code codes[TOLD_MAX];
    char text[64];  /* of the last one: its value, path or name */
    bool was_begun; /* the call that named the callback has returned */
} told;

static void setup(void)
{
    memset(&host, 0, sizeof host);
    memset(&told, 0, sizeof told);
    host.due_ms = COORD_FOREVER;
    client_kit_open(&kit);
    kit.loop = &host_loop;
}

static void teardown(void)
{
    client_kit_close(&kit);
    ck_assert_uint_eq(host.count, 0);
}

static void begin(const struct scripted_step *script, uint32_t timeout_ms)
{
    client_kit_begin(&kit, &script, 1, timeout_ms);
}

static void on_done(void *context, const struct coord_result *result)
{
    (void)context;
    ck_assert(told.was_begun);
    ck_assert_uint_lt(told.count, TOLD_MAX);
    ck_assert_int_eq(result->error->code, result->code);
    told.codes[told.count++] = result->code;
    snprintf(told.text, sizeof told.text, "%s",
             result->path[0] != '\0' ? result->path : (const char *)result->data);
}

static void until_told(size_t count)
{
    uint64_t until = socket_now_ms() + 20000;
    while (told.count < count && socket_now_ms() < until) {
        host_turn();
    }
    ck_assert_uint_eq(told.count, count);
}

static struct coord_call *get_later(void)
{
    struct coord_call *call = NULL;
    told.was_begun = false;
    ck_assert_int_eq(coord_get_async(kit.client, "/a", on_done, NULL, &call, &kit.error),
                     COORD_OK);
    told.was_begun = true;
    return call;
}

static struct coord_call *set_later(void)
{
    struct coord_call *call = NULL;
    told.was_begun = false;
    ck_assert_int_eq(coord_set_async(kit.client, "/a", "x", 1, COORD_ANY_VERSION, on_done, NULL,
                                     &call, &kit.error),
                     COORD_OK);
    told.was_begun = true;
    return call;
}

/* ---- calls ------------------------------------------------------------------------------- */

START_TEST(a_call_is_told_once_by_the_loop)
{
    begin(NULL, 5000);
    (void)get_later();
    ck_assert_uint_eq(told.count, 0);
    until_told(1);
    ck_assert_int_eq(told.codes[0], COORD_OK);
    ck_assert_str_eq(told.text, "v");
    for (int i = 0; i < 3; i++) {
        host_turn();
    }
    ck_assert_uint_eq(told.count, 1);
}
END_TEST

START_TEST(many_calls_share_a_connection)
{
    begin(NULL, 20000);
    for (int i = 0; i < 60; i++) {
        (void)get_later();
    }
    until_told(60);
    for (int i = 0; i < 60; i++) {
        ck_assert_int_eq(told.codes[i], COORD_OK);
    }
    ck_assert_uint_eq(kit.cluster.connection_count, 1);
    ck_assert_uint_eq(kit.cluster.call_count, 60);
}
END_TEST

static void until_members_were_asked(void)
{
    uint64_t until = socket_now_ms() + 10000;
    size_t count = 0;
    while (count == 0 && socket_now_ms() < until) {
        host_turn();
        pthread_mutex_lock(&kit.cluster.lock);
        count = kit.cluster.members_count;
        pthread_mutex_unlock(&kit.cluster.lock);
    }
    ck_assert_uint_eq(count, 1);
    for (int i = 0; i < 5; i++) {
        host_turn(); /* for the answer */
    }
}

START_TEST(an_idle_client_asks_for_the_members_once_a_minute)
{
    begin(NULL, 5000);
    (void)get_later();
    until_told(1);
    until_members_were_asked();
    size_t wakes = host.wakes;
    ck_assert_uint_ge(host.due_ms, socket_now_ms() + 20000);
    ck_assert_uint_ge(coord_wait_ms(kit.client), 20000);
    for (int i = 0; i < 3; i++) {
        host_turn();
    }
    ck_assert_uint_eq(host.wakes, wakes);
    ck_assert_uint_eq(host.count, 1); /* the connection, to learn of its end */
}
END_TEST

START_TEST(a_cluster_that_moved_is_followed)
{
    kit.servers[1] = scripted_server_new(&kit.cluster, NULL);
    kit.cluster.members[0] = "no address";
    kit.cluster.members[1] = "0.0.0.0:7400";
    kit.cluster.members[2] = scripted_server_endpoint(kit.servers[1]);
    begin(NULL, 5000);
    (void)get_later();
    until_told(1);
    until_members_were_asked();
    client_kit_kill(&kit, 0);
    (void)set_later();
    until_told(2);
    ck_assert_int_eq(told.codes[1], COORD_OK);
}
END_TEST

START_TEST(every_typed_call_tells_what_came_of_it)
{
    begin(NULL, 5000);
    told.was_begun = true;
    struct coord_client *c = kit.client;
    struct coord_error *e = &kit.error;
    for (size_t i = 0; i < 6; i++) {
        enum coord_code code =
            i == 0   ? coord_create_async(c, "/a", "x", 1, NULL, on_done, NULL, NULL, e)
            : i == 1 ? coord_exists_async(c, "/a", on_done, NULL, NULL, e)
            : i == 2 ? coord_delete_async(c, "/a", 3, true, on_done, NULL, NULL, e)
            : i == 3 ? coord_sync_async(c, on_done, NULL, NULL, e)
            : i == 4 ? coord_lease_grant_async(c, 5000, "me", on_done, NULL, NULL, e)
                     : coord_lease_keepalive_async(c, 88, on_done, NULL, e);
        ck_assert_int_eq(code, COORD_OK);
        until_told(i + 1);
        ck_assert_msg(told.codes[i] == COORD_OK, "%zu: %s", i, coord_code_text(told.codes[i]));
    }
    ck_assert_int_eq(coord_set_async(c, "/a", "", 0, -7, on_done, NULL, NULL, e),
                     COORD_INVALID);
}
END_TEST

static void on_listed(void *context, const struct coord_result *result)
{
    size_t *count = context;
    ck_assert_int_eq(result->code, COORD_OK);
    ck_assert_str_eq(result->names->names[1], "child");
    *count = result->names->count;
    told.count++;
}

START_TEST(a_listing_comes_whole)
{
    size_t count = 0;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_list_async(kit.client, "/parent", on_listed, &count, NULL),
                     COORD_OK);
    until_told(1);
    ck_assert_uint_eq(count, 2);
}
END_TEST

static const struct scripted_step repeated[] = {STEP(LOSE),         STEP(DROP),   STEP(UNKNOWN),
                                                STEP(REFUSE),       STEP(GOAWAY), STEP(NOISE),
                                                ANSWER(UNAVAILABLE)};

START_TEST(calls_that_fail_together_are_repeated_and_executed_once)
{
    begin(SCRIPT(STEP(SERVE), repeated[_i], repeated[_i], repeated[_i]), 10000);
    (void)set_later();
    until_told(1);
    for (int i = 0; i < 5; i++) {
        (void)set_later();
    }
    until_told(6);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(told.codes[i], COORD_OK);
    }
    ck_assert_uint_eq(kit.cluster.executed_count, 6);
}
END_TEST

START_TEST(a_silent_server_ends_in_time)
{
    begin(SCRIPT(STEP(SILENCE), STEP(SILENCE), STEP(SILENCE), STEP(SILENCE)), 300);
    uint64_t begun = socket_now_ms();
    (void)get_later();
    until_told(1);
    ck_assert_int_eq(told.codes[0], COORD_TIMEOUT);
    ck_assert_uint_ge(socket_now_ms() - begun, 290);
}
END_TEST

START_TEST(no_listener_is_told_by_the_loop)
{
    begin(NULL, 200);
    client_kit_kill(&kit, 0);
    (void)get_later();
    until_told(1);
    ck_assert_int_eq(told.codes[0], COORD_UNAVAILABLE);
}
END_TEST

START_TEST(a_loop_that_cannot_watch_is_an_error_and_not_a_wait)
{
    begin(NULL, 200);
    host.refuses = true;
    (void)get_later();
    host.refuses = false;
    host.count = 0; /* it did not take them */
    until_told(1);
    ck_assert_int_eq(told.codes[0], COORD_OK); /* the next try had a loop that can */
}
END_TEST

/* ---- the end ----------------------------------------------------------------------------- */

/* Before anything was sent, and after it arrived. */
START_TEST(a_canceled_call_is_told_at_once_and_never_again)
{
    begin(_i == 0 ? NULL : SCRIPT(STEP(SILENCE)), 5000);
    struct coord_call *call = get_later();
    size_t arrived = 0;
    while (_i == 1 && arrived == 0) {
        host_turn();
        pthread_mutex_lock(&kit.cluster.lock);
        arrived = kit.cluster.call_count;
        pthread_mutex_unlock(&kit.cluster.lock);
    }
    coord_cancel(call);
    ck_assert_uint_eq(told.count, 1);
    ck_assert_int_eq(told.codes[0], COORD_CANCELED);
    (void)get_later(); /* on the same connection */
    until_told(2);
    ck_assert_int_eq(told.codes[1], COORD_OK);
    ck_assert_uint_eq(kit.cluster.connection_count, 1);
}
END_TEST

START_TEST(a_closed_client_tells_all_that_were_under_way)
{
    begin(SCRIPT(STEP(SILENCE), STEP(SILENCE), STEP(SILENCE)), 5000);
    size_t count = _i == 0 ? 150 : 60; /* so many that some are queued, or none */
    for (size_t i = 0; i < count; i++) {
        (void)get_later();
    }
    for (int i = 0; i < _i * 3; i++) {
        host_turn();
    }
    size_t before = told.count;
    coord_close(kit.client);
    kit.client = NULL;
    ck_assert_uint_eq(told.count, count);
    for (size_t i = before; i < count; i++) {
        ck_assert_int_eq(told.codes[i], COORD_CANCELED);
    }
    ck_assert_uint_eq(host.count, 0);
}
END_TEST

static void close_in_callback(void *context, const struct coord_result *result)
{
    struct coord_client *client = kit.client;
    struct coord_error error;
    void *data;
    on_done(context, result);
    if (client != NULL) { /* its calls that end with it come here too */
        ck_assert_int_eq(coord_get(client, "/a", &data, NULL, NULL, &error), COORD_INVALID);
        ck_assert_int_eq(coord_session_open(client, 0, NULL, &error), COORD_INVALID);
        kit.client = NULL;
        coord_close(client);
    }
}

START_TEST(a_callback_may_close_the_client_but_not_wait)
{
    begin(NULL, 5000);
    told.was_begun = true;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(
            coord_get_async(kit.client, "/a", close_in_callback, NULL, NULL, &kit.error),
            COORD_OK);
    }
    until_told(3);
    ck_assert_int_eq(told.codes[0], COORD_OK);
}
END_TEST

static void begin_another(void *context, const struct coord_result *result)
{
    on_done(context, result);
    if (told.count < 20) {
        ck_assert_int_eq(coord_get_async(kit.client, "/a", begin_another, NULL, NULL, NULL),
                         COORD_OK);
    }
}

static void get_again(void *context, const struct coord_result *result)
{
    struct coord_client *client = context;
    on_done(NULL, result);
    enum coord_code code =
        coord_get_async(client, "/a", get_again, client, NULL, &kit.error);
    ck_assert_int_eq(code, kit.client == NULL ? COORD_CANCELED : COORD_OK);
}

static void keep_again(void *context, const struct coord_result *result)
{
    struct coord_client *client = context;
    on_done(NULL, result);
    enum coord_code code = coord_lease_keepalive_async(client, 1, keep_again, client, NULL);
    ck_assert_int_eq(code, kit.client == NULL ? COORD_CANCELED : COORD_OK);
}

static bool snapshot_begin(void *context, const struct coord_snapshot_file *file)
{
    (void)context;
    (void)file;
    return true;
}

static bool snapshot_data(void *context, const void *data, size_t bytes)
{
    (void)context;
    (void)data;
    (void)bytes;
    return true;
}

static const struct coord_snapshot_sink sink = {.begin = snapshot_begin, .data = snapshot_data};

/* What is followed is begun likewise; it would outlive the client. */
static void save_again(void *context, const struct coord_result *result)
{
    static const struct coord_config_instance instance = {.id = "i"};
    struct coord_client *client = context;
    struct coord_watch *watch;
    struct coord_subscription *subscription;
    struct coord_observer *observer;
    struct coord_stream *stream;
    on_done(NULL, result);
    ck_assert_int_eq(coord_snapshot_save_async(client, &sink, save_again, client, NULL),
                     COORD_CANCELED);
    ck_assert_int_eq(coord_watch_start(client, "/a", NULL, &watch, NULL), COORD_CANCELED);
    ck_assert_int_eq(coord_subscribe_start(client, "web", NULL, &subscription, NULL),
                     COORD_CANCELED);
    ck_assert_int_eq(coord_election_observe(client, "/e", NULL, NULL, &observer, NULL),
                     COORD_CANCELED);
    ck_assert_int_eq(coord_config_watch(client, "/c", false, 0, NULL, NULL, &stream, NULL),
                     COORD_CANCELED);
    ck_assert_int_eq(coord_config_watch_effective(client, "/c", &instance, NULL, NULL, &stream,
                                                  NULL),
                     COORD_CANCELED);
    ck_assert_int_eq(coord_health_watch(client, "", NULL, NULL, &stream, NULL), COORD_CANCELED);
}

START_TEST(nothing_begins_while_the_client_closes)
{
    begin(SCRIPT(STEP(SILENCE)), 5000);
    struct coord_client *client = kit.client;
    told.was_begun = true;
    ck_assert_int_eq(coord_snapshot_save_async(client, &sink, save_again, client, &kit.error),
                     COORD_OK);
    kit.client = NULL;
    coord_close(client);
    ck_assert_uint_eq(told.count, 1);
    ck_assert_int_eq(told.codes[0], COORD_CANCELED);
}
END_TEST

START_TEST(a_callback_that_repeats_its_call_ends_with_the_client)
{
    begin(SCRIPT(STEP(SILENCE), STEP(SILENCE), STEP(SILENCE)), 5000);
    struct coord_client *client = kit.client;
    told.was_begun = true;
    ck_assert_int_eq(coord_get_async(client, "/a", get_again, client, NULL, &kit.error),
                     COORD_OK);
    ck_assert_int_eq(coord_lease_keepalive_async(client, 1, keep_again, client, &kit.error),
                     COORD_OK);
    for (int i = 0; i < _i * 3; i++) {
        host_turn();
    }
    kit.client = NULL;
    coord_close(client);
    ck_assert_uint_eq(told.count, 2);
    ck_assert_int_eq(told.codes[0], COORD_CANCELED);
    ck_assert_int_eq(told.codes[1], COORD_CANCELED);
}
END_TEST

START_TEST(a_callback_may_begin_calls)
{
    begin(NULL, 5000);
    told.was_begun = true;
    ck_assert_int_eq(coord_get_async(kit.client, "/a", begin_another, NULL, NULL, NULL),
                     COORD_OK);
    until_told(20);
    ck_assert_uint_eq(kit.cluster.connection_count, 1);
}
END_TEST

START_TEST(waiting_calls_work_beside_those_that_do_not)
{
    void *data;
    begin(NULL, 5000);
    (void)get_later();
    ck_assert_int_eq(coord_get(kit.client, "/a", &data, NULL, NULL, &kit.error), COORD_OK);
    free(data);
    until_told(1);
}
END_TEST

/* ---- sessions ---------------------------------------------------------------------------- */

static struct {
    enum coord_session_state states[16];
    uint64_t at_ms[16];
    size_t count;
} followed;

static void on_session(void *context, enum coord_session_state state,
                       const struct coord_error *why)
{
    (void)context;
    ck_assert(state == COORD_SESSION_SAFE || why->message[0] != '\0');
    followed.states[followed.count] = state;
    followed.at_ms[followed.count++] = socket_now_ms();
}

static void follow(const struct scripted_step *script, uint64_t ttl_ms)
{
    memset(&followed, 0, sizeof followed);
    kit.cluster.ttl_ms = ttl_ms;
    begin(script, 5000);
    told.was_begun = true;
    ck_assert_int_eq(
        coord_session_open_async(kit.client, ttl_ms, "me", on_done, NULL, NULL, &kit.error),
        COORD_OK);
    until_told(1);
    ck_assert_int_eq(told.codes[0], COORD_OK);
    ck_assert_int_eq(coord_session_follow(kit.client, on_session, NULL, &kit.error), COORD_OK);
}

static void until_followed(size_t count)
{
    uint64_t until = socket_now_ms() + 20000;
    while (followed.count < count && socket_now_ms() < until) {
        host_turn();
    }
    ck_assert_uint_eq(followed.count, count);
}

START_TEST(a_followed_session_keeps_itself_alive)
{
    follow(NULL, 300);
    uint64_t until = socket_now_ms() + 1000;
    while (socket_now_ms() < until) {
        host_turn();
    }
    ck_assert_uint_eq(followed.count, 0);
    ck_assert_uint_gt(coord_session_trusted_ms(kit.client), 0);
    ck_assert_uint_ge(kit.cluster.keepalive_count, 5);
}
END_TEST

START_TEST(without_an_answer_it_becomes_unsafe_in_time_and_safe_again)
{
    /* the keepalives of 900 ms get no answer; those behind are confirmed */
    follow(SCRIPT(STEP(SERVE), STEP(SILENCE), STEP(SILENCE), STEP(SILENCE)), 1000);
    uint64_t begun = socket_now_ms();
    until_followed(1);
    ck_assert_int_eq(followed.states[0], COORD_SESSION_UNSAFE);
    ck_assert_uint_le(followed.at_ms[0], begun + 800 + 150); /* the machine may be busy */
    ck_assert_uint_eq(coord_session_trusted_ms(kit.client), 0);
    until_followed(2);
    ck_assert_int_eq(followed.states[1], COORD_SESSION_SAFE);
    ck_assert_uint_gt(coord_session_trusted_ms(kit.client), 0);
}
END_TEST

/* A second of an outage has 50 rounds of the shortest pause. */
START_TEST(keepalives_that_fail_come_more_and_more_rarely)
{
    static struct scripted_step script[1000];
    const struct scripted_step lost = STEP(LOSE);
    const struct scripted_step refused = ANSWER(PERMISSION_DENIED);
    for (size_t i = 1; i < sizeof script / sizeof script[0] - 1; i++) {
        script[i] = _i == 0 ? lost : refused;
    }
    script[0] = (struct scripted_step)STEP(SERVE); /* the session */
    follow(script, 1000);
    until_followed(1);
    ck_assert_int_eq(followed.states[0], COORD_SESSION_UNSAFE);
    uint64_t until = socket_now_ms() + 3000;
    while (socket_now_ms() < until) {
        host_turn();
    }
    ck_assert_uint_ge(kit.cluster.keepalive_count, 2);
    ck_assert_uint_le(kit.cluster.keepalive_count, 60);
}
END_TEST

#define KEPT(name)                                   \
    {                                                \
        .action = SCRIPT_SERVE, .message_count = 1,  \
        .messages = &(const struct scripted_message) \
        {                                            \
            .outcome = COORD__V1__OUTCOME__##name    \
        }                                            \
    }

START_TEST(a_detached_session_wakes_its_loop)
{
    uint64_t until = socket_now_ms() + 20000;
    follow(NULL, 6000);
    while (coord_session_due_ms(kit.client) > 0 && socket_now_ms() < until) {
        host_turn();
    }
    while (coord_session_due_ms(kit.client) == 0 && socket_now_ms() < until) {
        host_turn(); /* until the keepalive is confirmed, on a stream that stays open */
    }
    ck_assert_uint_gt(host.due_ms, socket_now_ms());
    coord_session_detach(kit.client);
    ck_assert_uint_le(host.due_ms, socket_now_ms());
}
END_TEST

static const struct scripted_step ending[][3] = {
    {STEP(SERVE), KEPT(NO_SESSION)},
    {STEP(SERVE), KEPT(BAD_SECRET)},
    {STEP(SERVE), REFUSAL(NOT_FOUND, "NO_SESSION")},
};

START_TEST(an_ended_session_is_lost_and_nothing_follows)
{
    follow(ending[_i], _i < 2 ? 300 : 60000);
    if (_i == 2) {
        (void)set_later();
    }
    until_followed(1);
    ck_assert_int_eq(followed.states[0], COORD_SESSION_LOST);
    uint64_t until = socket_now_ms() + 500;
    while (socket_now_ms() < until) {
        host_turn();
    }
    ck_assert_uint_eq(followed.count, 1);
}
END_TEST

static struct coord_call *written; /* NULL: it has ended */

static void on_written(void *context, const struct coord_result *result)
{
    written = NULL;
    on_done(context, result);
}

static void cancel_when_lost(void *context, enum coord_session_state state,
                             const struct coord_error *why)
{
    on_session(context, state, why);
    if (written != NULL) {
        coord_cancel(written);
    }
}

START_TEST(whoever_is_told_of_the_end_may_cancel_what_told_it)
{
    follow(SCRIPT(STEP(SERVE), REFUSAL(NOT_FOUND, "NO_SESSION")), 60000);
    ck_assert_int_eq(coord_session_follow(kit.client, cancel_when_lost, NULL, NULL), COORD_OK);
    ck_assert_int_eq(coord_set_async(kit.client, "/a", "x", 1, COORD_ANY_VERSION, on_written,
                                     NULL, &written, &kit.error),
                     COORD_OK);
    until_followed(1);
    ck_assert_int_eq(followed.states[0], COORD_SESSION_LOST);
    until_told(2);
    ck_assert_int_eq(told.codes[1], COORD_SESSION_ENDED);
}
END_TEST

START_TEST(writes_at_the_same_time_have_numbers_of_their_own)
{
    follow(NULL, 60000);
    for (int i = 0; i < 30; i++) {
        (void)set_later();
    }
    until_told(31);
    ck_assert_uint_eq(kit.cluster.executed_count, 31);
    uint64_t seen = 0;
    for (size_t i = 1; i < 31; i++) {
        uint64_t number = kit.cluster.ids[i].high;
        ck_assert_uint_ge(number, 1);
        ck_assert_uint_le(number, 30);
        ck_assert_uint_eq(seen & (uint64_t)1 << number, 0);
        seen |= (uint64_t)1 << number;
        ck_assert_uint_lt(kit.cluster.answered_to[i], number);
    }
}
END_TEST

START_TEST(a_closed_session_is_no_longer_followed)
{
    follow(NULL, 300);
    ck_assert_int_eq(coord_session_close_async(kit.client, on_done, NULL, NULL, NULL),
                     COORD_OK);
    struct coord_session info;
    ck_assert(!coord_session_info(kit.client, &info));
    until_told(2);
    ck_assert_int_eq(told.codes[1], COORD_OK);
    ck_assert_uint_eq(followed.count, 0);
    ck_assert_int_eq(coord_session_follow(kit.client, on_session, NULL, NULL), COORD_INVALID);
}
END_TEST

/* ---- watches ----------------------------------------------------------------------------- */

static struct {
    size_t readies;
    size_t events;
    enum coord_code last;
    bool closes;
} watched;

static void on_watch(void *context, struct coord_watch *watch)
{
    struct coord_event event;
    (void)context;
    watched.readies++;
    while ((watched.last = coord_watch_next(watch, 5000, &event, NULL)) == COORD_OK) {
        watched.events++;
        if (event.type == COORD_EVENT_END) {
            break;
        }
    }
    if (watched.closes) {
        coord_watch_close(watch);
    }
}

static struct coord_watch *watch_later(const struct scripted_step *script)
{
    static const struct coord_watch_options options = {.ready = on_watch};
    struct coord_watch *watch;
    memset(&watched, 0, sizeof watched);
    begin(script, 5000);
    ck_assert_int_eq(coord_watch_start(kit.client, "/w", &options, &watch, &kit.error),
                     COORD_OK);
    return watch;
}

static const struct scripted_message two[] = {{.type = 0, .revision = 5},
                                              {.type = 2, .revision = 6, .count = 2}};
static const struct scripted_message one_more[] = {{.type = 0, .revision = 7},
                                                   {.type = 2, .revision = 7, .count = 1}};

START_TEST(a_watch_says_when_there_is_something_and_goes_on_elsewhere)
{
    struct coord_watch *watch =
        watch_later(SCRIPT({.action = SCRIPT_SERVE_AND_END,
                            .code = GRPC_UNAVAILABLE,
                            .messages = two,
                            .message_count = 2},
                           {.action = SCRIPT_SERVE, .messages = one_more, .message_count = 2}));
    uint64_t until = socket_now_ms() + 10000;
    while (watched.events < 3 && socket_now_ms() < until) {
        host_turn();
    }
    ck_assert_uint_eq(watched.events, 3);
    ck_assert_int_eq(watched.last, COORD_TIMEOUT);
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 7);
    coord_watch_close(watch);
}
END_TEST

START_TEST(a_watch_may_be_closed_when_it_says_so)
{
    (void)watch_later(SCRIPT({.action = SCRIPT_SERVE, .messages = two, .message_count = 2}));
    watched.closes = true;
    uint64_t until = socket_now_ms() + 10000;
    while (watched.readies < 1 && socket_now_ms() < until) {
        host_turn();
    }
    ck_assert_uint_eq(watched.readies, 1);
    ck_assert_uint_eq(watched.events, 2);
    for (int i = 0; i < 5; i++) {
        host_turn();
    }
    ck_assert_uint_eq(host.count, 0);
}
END_TEST

START_TEST(the_end_of_a_watch_is_told)
{
    static const struct scripted_message end[] = {
        {.type = 0, .revision = 5}, {.type = 5, .outcome = COORD__V1__OUTCOME__BAD_PATTERN}};
    struct coord_watch *watch =
        watch_later(SCRIPT({.action = SCRIPT_SERVE, .messages = end, .message_count = 2}));
    uint64_t until = socket_now_ms() + 10000;
    while (watched.readies < 1 && socket_now_ms() < until) {
        host_turn();
    }
    ck_assert_int_eq(watched.last, COORD_INVALID);
    coord_watch_close(watch);
}
END_TEST

/* ---- without a loop ---------------------------------------------------------------------- */

START_TEST(a_program_without_a_loop_runs_the_client)
{
    kit.loop = NULL;
    begin(NULL, 5000);
    (void)get_later();
    while (told.count == 0) {
        ck_assert_int_eq(coord_run(kit.client, 1000), COORD_OK);
    }
    ck_assert_int_eq(told.codes[0], COORD_OK);
}
END_TEST

START_TEST(what_is_wanted_can_be_asked_for)
{
    kit.loop = NULL;
    begin(NULL, 5000);
    (void)get_later();
    uint64_t until = socket_now_ms() + 10000;
    while (told.count == 0 && socket_now_ms() < until) {
        struct coord_want wants[4];
        struct pollfd fds[4];
        size_t count = coord_wants(kit.client, wants, 4);
        uint64_t wait_ms = coord_wait_ms(kit.client);
        ck_assert_uint_le(count, 1);
        for (size_t i = 0; i < count; i++) {
            fds[i] = (struct pollfd){
                .fd = wants[i].fd,
                .events = (short)((wants[i].events & COORD_READABLE ? POLLIN : 0) |
                                  (wants[i].events & COORD_WRITABLE ? POLLOUT : 0))};
        }
        int ready = poll(fds, count, wait_ms > 1000 ? 1000 : (int)wait_ms);
        if (ready > 0) {
            coord_ready(kit.client, fds[0].fd);
        }
        coord_due(kit.client);
    }
    ck_assert_uint_eq(told.count, 1);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

static Suite *async_suite(void)
{
    Suite *s = suite_create("async");
    TCase *t = tcase_create("in an event loop");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_call_is_told_once_by_the_loop);
    tcase_add_test(t, many_calls_share_a_connection);
    tcase_add_test(t, an_idle_client_asks_for_the_members_once_a_minute);
    tcase_add_test(t, a_cluster_that_moved_is_followed);
    tcase_add_test(t, every_typed_call_tells_what_came_of_it);
    tcase_add_test(t, a_listing_comes_whole);
    tcase_add_loop_test(t, calls_that_fail_together_are_repeated_and_executed_once, 0,
                        COUNT(repeated));
    tcase_add_test(t, a_silent_server_ends_in_time);
    tcase_add_test(t, no_listener_is_told_by_the_loop);
    tcase_add_test(t, a_loop_that_cannot_watch_is_an_error_and_not_a_wait);
    tcase_add_loop_test(t, a_canceled_call_is_told_at_once_and_never_again, 0, 2);
    tcase_add_loop_test(t, a_closed_client_tells_all_that_were_under_way, 0, 3);
    tcase_add_test(t, a_callback_may_close_the_client_but_not_wait);
    tcase_add_loop_test(t, a_callback_that_repeats_its_call_ends_with_the_client, 0, 2);
    tcase_add_test(t, nothing_begins_while_the_client_closes);
    tcase_add_test(t, a_callback_may_begin_calls);
    tcase_add_test(t, waiting_calls_work_beside_those_that_do_not);
    tcase_add_test(t, a_followed_session_keeps_itself_alive);
    tcase_add_test(t, without_an_answer_it_becomes_unsafe_in_time_and_safe_again);
    tcase_add_test(t, a_detached_session_wakes_its_loop);
    tcase_add_loop_test(t, keepalives_that_fail_come_more_and_more_rarely, 0, 2);
    tcase_add_loop_test(t, an_ended_session_is_lost_and_nothing_follows, 0, 3);
    tcase_add_test(t, whoever_is_told_of_the_end_may_cancel_what_told_it);
    tcase_add_test(t, writes_at_the_same_time_have_numbers_of_their_own);
    tcase_add_test(t, a_closed_session_is_no_longer_followed);
    tcase_add_test(t, a_watch_says_when_there_is_something_and_goes_on_elsewhere);
    tcase_add_test(t, a_watch_may_be_closed_when_it_says_so);
    tcase_add_test(t, the_end_of_a_watch_is_told);
    tcase_add_test(t, a_program_without_a_loop_runs_the_client);
    tcase_add_test(t, what_is_wanted_can_be_asked_for);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){async_suite, NULL});
}
