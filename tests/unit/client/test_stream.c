/* One stream with one endpoint: what comes of it when the other side misbehaves. */
#include "client/stream.h"

#include <string.h>

#include "client/client_internal.h"
#include "client/connection_internal.h"
#include "client/socket.h"
#include "coord/v1/watch.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"

static struct client_kit kit;
static struct stream stream;

static void setup(void)
{
    client_kit_open(&kit);
}

static void teardown(void)
{
    stream_close(&stream);
    client_kit_close(&kit);
}

static void on_changed(struct stream *s)
{
    (void)s; /* next() looks by itself */
}

/* Its first message asks for a watch. */
static void open_at(size_t server)
{
    Coord__V1__WatchRequest request = COORD__V1__WATCH_REQUEST__INIT;
    Coord__V1__WatchCreate create = COORD__V1__WATCH_CREATE__INIT;
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
    request.create = &create;
    stream_open(kit.client, &stream,
                &(struct stream_options){.endpoint = server,
                                         .method = CLIENT_WATCH,
                                         .request = &request.base,
                                         .deadline_ms = socket_now_ms() + 5000,
                                         .changed = on_changed});
}

static void begin(const struct scripted_step *script)
{
    client_kit_begin(&kit, &script, 1, 5000);
    open_at(0);
}

static void ask(void)
{
    Coord__V1__WatchRequest request = COORD__V1__WATCH_REQUEST__INIT;
    Coord__V1__WatchCreate create = COORD__V1__WATCH_CREATE__INIT;
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
    request.create = &create;
    ck_assert_int_eq(stream_send(&stream, &request.base, &kit.error), STREAM_MESSAGE);
}

/* The revision of the next message; quiet: none came in time. */
static enum stream_result next(uint32_t timeout_ms, uint64_t *revision)
{
    uint64_t deadline_ms = socket_now_ms() + timeout_ms;
    ProtobufCMessage *m;
    enum stream_result result = stream_next(&stream, &m, &kit.error);
    while (result == STREAM_QUIET && socket_now_ms() < deadline_ms) {
        loop_wait(&kit.client->loop, deadline_ms);
        result = stream_next(&stream, &m, &kit.error);
    }
    if (result == STREAM_MESSAGE) {
        *revision = ((const Coord__V1__WatchReply *)m)->revision;
        client_reply_free(m);
    }
    return result;
}

START_TEST(messages_go_both_ways_on_an_open_stream)
{
    uint64_t revision = 0;
    begin(NULL);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(next(5000, &revision), STREAM_MESSAGE);
        ck_assert_uint_eq(revision, 5);
        ask();
    }
    ck_assert_int_eq(next(5000, &revision), STREAM_MESSAGE);
    ck_assert_uint_eq(kit.cluster.watch_count, 21);
    ck_assert_uint_eq(kit.cluster.connection_count, 1);
}
END_TEST

START_TEST(nothing_within_the_time_is_quiet_and_the_stream_lives)
{
    uint64_t revision = 0;
    begin(NULL);
    ck_assert_int_eq(next(5000, &revision), STREAM_MESSAGE);
    ck_assert_int_eq(next(30, &revision), STREAM_QUIET);
    ck_assert_int_eq(next(0, &revision), STREAM_QUIET);
    ask();
    ck_assert_int_eq(next(5000, &revision), STREAM_MESSAGE);
    ck_assert_int_eq(next(0, &revision), STREAM_QUIET);
}
END_TEST

static const struct scripted_message many[] = {
    {.type = 2, .revision = 1, .count = 3},
    {.type = 2, .revision = 2, .count = 60, .data_bytes = 40000}, /* beyond the window */
    {.type = 2, .revision = 3},
    {.type = 2, .revision = 4, .count = 60, .data_bytes = 40000},
    {.type = 2, .revision = 5, .count = 60, .data_bytes = 1}};

START_TEST(many_and_large_messages_keep_their_borders)
{
    uint64_t revision = 0;
    begin(SCRIPT({.action = SCRIPT_SERVE, .messages = many, .message_count = 5}));
    for (uint64_t i = 1; i <= 5; i++) {
        ck_assert_int_eq(next(10000, &revision), STREAM_MESSAGE);
        ck_assert_uint_eq(revision, i);
    }
    ck_assert_int_eq(next(0, &revision), STREAM_QUIET);
}
END_TEST

START_TEST(what_came_before_the_end_is_handed_out_before_it)
{
    uint64_t revision = 0;
    begin(SCRIPT({.action = _i == 0 ? SCRIPT_SERVE_AND_DROP : SCRIPT_SERVE_AND_END,
                  .code = GRPC_UNAVAILABLE,
                  .messages = many,
                  .message_count = 5}));
    /* what was not read of a dropped connection may be lost, but never out of order */
    uint64_t got = 0;
    enum stream_result result;
    while ((result = next(10000, &revision)) == STREAM_MESSAGE) {
        ck_assert_uint_eq(revision, ++got);
    }
    ck_assert_int_eq(result, STREAM_LOST);
    if (_i == 1) {
        ck_assert_uint_eq(got, 5);
        ck_assert_ptr_nonnull(strstr(kit.error.message, "as scripted"));
    }
    ck_assert_int_eq(kit.error.code, COORD_UNAVAILABLE);
}
END_TEST

static const struct scripted_step lost[] = {
    STEP(LOSE),
    STEP(REFUSE),
    STEP(GOAWAY),
    STEP(HTTP),
    STEP(NOISE),
    STEP(GARBAGE),
    STEP(BAD_FRAME),
    ANSWER(UNAVAILABLE),
    ANSWER(UNKNOWN),
    ANSWER(CANCELLED),
    ANSWER(INTERNAL),
    ANSWER(RESOURCE_EXHAUSTED),
    {.action = SCRIPT_SERVE_AND_END, .code = GRPC_OK, .messages = many, .message_count = 0}};

START_TEST(what_another_endpoint_may_do_better_is_lost)
{
    uint64_t revision;
    begin(SCRIPT(lost[_i]));
    ck_assert_int_eq(next(5000, &revision), STREAM_LOST);
    ck_assert_ptr_nonnull(strstr(kit.error.message, scripted_server_endpoint(kit.servers[0])));
}
END_TEST

static const struct {
    struct scripted_step step;
    enum coord_code code;
} refused[] = {
    {ANSWER(UNIMPLEMENTED), COORD_UNSUPPORTED},
    {ANSWER(INVALID_ARGUMENT), COORD_INVALID},
    {ANSWER(PERMISSION_DENIED), COORD_DENIED},
    {REFUSAL(OUT_OF_RANGE, "COMPACTED"), COORD_COMPACTED},
    {REFUSAL(NOT_FOUND, "NO_SESSION"), COORD_SESSION_ENDED},
    {REFUSAL(PERMISSION_DENIED, "BAD_SECRET"), COORD_BAD_SECRET},
};

START_TEST(what_is_the_same_everywhere_is_refused)
{
    uint64_t revision;
    begin(SCRIPT(refused[_i].step));
    ck_assert_int_eq(next(5000, &revision), STREAM_REFUSED);
    ck_assert_int_eq(kit.error.code, refused[_i].code);
    ck_assert_str_eq(kit.error.message, "as scripted");
}
END_TEST

START_TEST(a_killed_server_is_noticed_at_once)
{
    uint64_t revision;
    begin(NULL);
    ck_assert_int_eq(next(5000, &revision), STREAM_MESSAGE);
    client_kit_kill(&kit, 0);
    ck_assert_int_eq(next(60000, &revision), STREAM_LOST);
    ask(); /* harmless */
    ck_assert_int_eq(next(60000, &revision), STREAM_LOST);
}
END_TEST

START_TEST(an_endpoint_without_a_listener_is_lost_with_its_name)
{
    const struct scripted_step *none = NULL;
    char name[32];
    uint64_t revision;
    client_kit_begin(&kit, &none, 1, 5000);
    snprintf(name, sizeof name, "%s", scripted_server_endpoint(kit.servers[0]));
    client_kit_kill(&kit, 0);
    open_at(0);
    ck_assert_int_eq(next(5000, &revision), STREAM_LOST);
    ck_assert_ptr_nonnull(strstr(kit.error.message, name));
}
END_TEST

/* As that of an election whose leader stays. */
START_TEST(a_quiet_stream_that_lasts_was_accepted_with_what_it_shows)
{
    static const uint64_t long_ms = 60000;
    const struct scripted_step first[] = {
        STEP(SERVE), /* a login */
        ANSWER(UNAUTHENTICATED),
        STEP(SERVE),
        {.action = SCRIPT_SERVE, .messages = many, .message_count = 0},
        {.action = SCRIPT_END}};
    uint64_t revision;
    kit.user = "me";
    kit.cluster.token_ms = 3600000;
    client_kit_begin(&kit,
                     (const struct scripted_step *const[]){
                         first, SCRIPT(ANSWER(UNAUTHENTICATED), STEP(SERVE))},
                     2, 5000);
    kit.client->current = 0;
    open_at(0);
    ck_assert_int_eq(next(5000, &revision), STREAM_LOST);
    stream_close(&stream);
    open_at(0);
    struct connection *c = NULL;
    while (c == NULL || connection_heard_ms(c) < c->opened_ms || c->opened_ms == 0) {
        ck_assert_int_eq(next(20, &revision), STREAM_QUIET);
        c = stream.exchange.connection;
    }
    if (_i == 0) { /* so it is quiet for long */
        stream.exchange.begun_ms -= long_ms;
        c->opened_ms -= long_ms;
    } else { /* or for no time at all */
        stream.exchange.begun_ms += long_ms;
    }
    stream.void_ms -= long_ms;
    client_kit_kill(&kit, 0);
    ck_assert_int_eq(next(60000, &revision), STREAM_LOST);
    stream_close(&stream);
    open_at(1);
    ck_assert_int_eq(next(5000, &revision), _i == 0 ? STREAM_LOST : STREAM_REFUSED);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

static Suite *stream_suite(void)
{
    Suite *s = suite_create("stream");
    TCase *t = tcase_create("streams");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, messages_go_both_ways_on_an_open_stream);
    tcase_add_test(t, nothing_within_the_time_is_quiet_and_the_stream_lives);
    tcase_add_test(t, many_and_large_messages_keep_their_borders);
    tcase_add_loop_test(t, what_came_before_the_end_is_handed_out_before_it, 0, 2);
    tcase_add_loop_test(t, what_another_endpoint_may_do_better_is_lost, 0, COUNT(lost));
    tcase_add_loop_test(t, what_is_the_same_everywhere_is_refused, 0, COUNT(refused));
    tcase_add_test(t, a_killed_server_is_noticed_at_once);
    tcase_add_test(t, an_endpoint_without_a_listener_is_lost_with_its_name);
    tcase_add_loop_test(t, a_quiet_stream_that_lasts_was_accepted_with_what_it_shows, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){stream_suite, NULL});
}
