/* What goes on being told, by servers that misbehave to order. */
#include "client/streams.h"

#include <string.h>

#include "client/socket.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"

#define PATIENT_MS 30000

static struct client_kit kit;
static struct coord_stream *stream;

/* What was told. */
static struct {
    size_t count;
    uint64_t numbers[16]; /* versions of changes, bytes of values, health */
    size_t overs;
    enum coord_code over;
    bool closes;       /* the stream, at the first thing that is told */
    bool closes_client; /* besides */
} told;

static void setup(void)
{
    client_kit_open(&kit);
}

static void teardown(void)
{
    coord_stream_close(stream);
    client_kit_close(&kit);
}

/* ---- following --------------------------------------------------------------------------- */

static void note(uint64_t number, const struct coord_error *over)
{
    ck_assert_uint_eq(told.overs, 0); /* nothing comes behind the end */
    if (over != NULL) {
        told.overs++;
        told.over = over->code;
    } else {
        ck_assert_uint_lt(told.count, 16);
        told.numbers[told.count++] = number;
    }
    if (told.closes) {
        struct coord_client *client = kit.client;
        coord_stream_close(stream);
        stream = NULL;
        kit.client = told.closes_client ? NULL : client;
        coord_close(told.closes_client ? client : NULL);
    }
}

static void on_change(void *context, struct coord_stream *s, const struct coord_config_event *e)
{
    (void)context;
    (void)s;
    note(e->over == NULL ? e->change->version : 0, e->over);
}

static void on_value(void *context, struct coord_stream *s, const struct coord_config_value *v)
{
    (void)context;
    (void)s;
    note(v->bytes, v->over);
}

static void on_health(void *context, struct coord_stream *s, const struct coord_health_event *e)
{
    (void)context;
    (void)s;
    note(e->serving, e->over);
}

static void follow_changes(void)
{
    ck_assert_int_eq(coord_config_watch(kit.client, "/c", false, 0, on_change, NULL, &stream,
                                        &kit.error),
                     COORD_OK);
}

static void follow_value(void)
{
    static const struct coord_config_instance instance = {.id = "i"};
    ck_assert_int_eq(coord_config_watch_effective(kit.client, "/c", &instance, on_value, NULL,
                                                  &stream, &kit.error),
                     COORD_OK);
}

static void follow_health(void)
{
    ck_assert_int_eq(coord_health_watch(kit.client, "", on_health, NULL, &stream, &kit.error),
                     COORD_OK);
}

static void (*const followers[])(void) = {follow_changes, follow_value, follow_health};

/* A message of which each is told one thing, number 2: a change, a value of so many bytes, or that
 * the member does not serve. */
static const struct scripted_message two = {
    .type = COORD_NOT_SERVING, .revision = 6, .first_sub = 2, .count = 1, .data_bytes = 2};
/* And number 3, which comes next. */
static const struct scripted_message three = {
    .type = COORD_NO_SERVICE, .revision = 7, .first_sub = 3, .count = 1, .data_bytes = 3};

#define SENDS_ONE(act, message)                                          \
    {                                                                    \
        .action = SCRIPT_##act, .messages = &(message), .message_count = 1 \
    }

static void begin(const struct scripted_step *script)
{
    client_kit_begin(&kit, &script, 1, 5000);
}

static void until_told(size_t count)
{
    uint64_t until = socket_now_ms() + PATIENT_MS;
    while (told.count + told.overs < count && socket_now_ms() < until) {
        (void)coord_run(kit.client, 100);
    }
    ck_assert_uint_eq(told.count + told.overs, count);
}

static void run_for(uint64_t ms)
{
    uint64_t until = socket_now_ms() + ms;
    while (socket_now_ms() < until) {
        (void)coord_run(kit.client, 10);
    }
}

static size_t streams_arrived(void)
{
    pthread_mutex_lock(&kit.cluster.lock);
    size_t count = kit.cluster.watch_count;
    pthread_mutex_unlock(&kit.cluster.lock);
    return count;
}

/* ---- what is lost is taken up again ------------------------------------------------------ */

#define KINDS 3

static const struct scripted_step failures[] = {
    {.action = SCRIPT_SERVE_AND_END, .code = GRPC_OK, .messages = &two, .message_count = 0},
    {.action = SCRIPT_SERVE_AND_END, .code = GRPC_UNAVAILABLE, .messages = &two},
    ANSWER(UNAVAILABLE),
    ANSWER(INTERNAL),
    ANSWER(UNKNOWN),
    STEP(GARBAGE),
    STEP(BAD_FRAME),
    STEP(ANOTHER),
    STEP(DROP),
    STEP(REFUSE),
    STEP(GOAWAY),
    STEP(HTTP),
    STEP(NOISE),
};

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

START_TEST(a_stream_that_fails_is_taken_up_again)
{
    begin(SCRIPT(failures[_i / KINDS], failures[_i / KINDS], SENDS_ONE(SERVE, two)));
    followers[_i % KINDS]();
    until_told(1);
    ck_assert_uint_eq(told.numbers[0], 2);
    ck_assert_uint_eq(told.overs, 0);
}
END_TEST

START_TEST(another_member_is_asked_for_what_one_does_not_say)
{
    client_kit_begin(&kit,
                     (const struct scripted_step *const[]){SCRIPT(STEP(SILENCE)),
                                                           SCRIPT(SENDS_ONE(SERVE, two))},
                     2, 5000);
    followers[_i]();
    until_told(1);
    ck_assert_uint_eq(told.numbers[0], 2);
}
END_TEST

/* But health, which is told again by whoever is asked. */
START_TEST(what_comes_after_a_failure_is_told_once)
{
    begin(SCRIPT(SENDS_ONE(SERVE_AND_DROP, two), SENDS_ONE(SERVE_AND_END, three),
                 SENDS_ONE(SERVE, three)));
    followers[_i]();
    until_told(2);
    run_for(100);
    ck_assert_uint_eq(told.numbers[0], 2);
    ck_assert_uint_eq(told.numbers[1], 3);
    ck_assert_uint_eq(told.count, 2);
}
END_TEST

/* However often: at most as often as the pauses say, which grow. */
START_TEST(streams_that_are_ended_at_once_are_not_opened_without_end)
{
    static const struct scripted_step end = {.action = SCRIPT_SERVE_AND_END,
                                             .code = GRPC_UNAVAILABLE};
    begin(SCRIPT(end, end, end, end, end, end, end, end, end, end, end, end, end, end, end, end,
                 end, end, end, end, end, end, end, end, end, end, end, end, end, end, end,
                 end));
    followers[_i]();
    run_for(1000);
    ck_assert_uint_ge(streams_arrived(), 2);
    ck_assert_uint_lt(streams_arrived(), 20);
}
END_TEST

/* ---- the end ----------------------------------------------------------------------------- */

static const struct {
    struct scripted_step step;
    enum coord_code code;
} refusals[] = {
    {REFUSAL(PERMISSION_DENIED, "NO_AUTH"), COORD_DENIED},
    {REFUSAL(NOT_FOUND, "NO_NODE"), COORD_NOT_FOUND},
    {REFUSAL(OUT_OF_RANGE, "COMPACTED"), COORD_COMPACTED},
    {ANSWER(UNIMPLEMENTED), COORD_UNSUPPORTED},
    {{.action = SCRIPT_SERVE_AND_END,
      .code = GRPC_INVALID_ARGUMENT,
      .outcome = "BAD_PATH",
      .messages = &two,
      .message_count = 0},
     COORD_INVALID},
};

START_TEST(a_refusal_is_told_and_is_the_end)
{
    begin(SCRIPT(refusals[_i / KINDS].step));
    followers[_i % KINDS]();
    until_told(1);
    ck_assert_int_eq(told.over, refusals[_i / KINDS].code);
    run_for(200);
    ck_assert_uint_eq(streams_arrived(), 1);
}
END_TEST

START_TEST(whoever_is_told_may_close_the_stream_and_the_client)
{
    static const struct scripted_step refusal[] = {REFUSAL(NOT_FOUND, "NO_NODE"),
                                                   STEP(END)};
    bool is_end = _i / KINDS % 2 == 1;
    told.closes = true;
    told.closes_client = _i / KINDS >= 2;
    begin(is_end ? refusal : SCRIPT(SENDS_ONE(SERVE_AND_END, two)));
    followers[_i % KINDS]();
    uint64_t until = socket_now_ms() + PATIENT_MS;
    while (stream != NULL && socket_now_ms() < until) {
        enum coord_code code = coord_run(kit.client, 100);
        ck_assert(code == COORD_OK || kit.client == NULL);
    }
    ck_assert_uint_eq(told.count + told.overs, 1);
    if (kit.client != NULL) {
        run_for(100);
    }
    ck_assert_uint_eq(told.count + told.overs, 1);
}
END_TEST

/* ---- what is told ------------------------------------------------------------------------ */

/* Of revision 6 three changes, of which the first stream brings one, and the next all. */
START_TEST(a_revision_that_was_told_in_part_goes_on_behind_that)
{
    static const struct scripted_message whole = {.revision = 6, .first_sub = 2, .count = 3};
    begin(SCRIPT(SENDS_ONE(SERVE_AND_DROP, two), SENDS_ONE(SERVE, whole)));
    follow_changes();
    until_told(3);
    run_for(50);
    ck_assert_uint_eq(told.count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(told.numbers[i], i + 2);
    }
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 6);
}
END_TEST

START_TEST(a_stream_that_was_told_nothing_goes_on_where_it_began)
{
    static const struct scripted_message begun = {.revision = 5};
    begin(SCRIPT(SENDS_ONE(SERVE_AND_DROP, begun), SENDS_ONE(SERVE, two)));
    follow_changes();
    until_told(1);
    ck_assert_uint_eq(kit.cluster.watches[0].from_revision, 0);
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 6);
}
END_TEST

/* Else the change log leaves a configuration behind that nobody changes. */
START_TEST(a_quiet_stream_goes_on_behind_what_it_was_told_last)
{
    static const struct scripted_message quiet[] = {
        {.revision = 5, .outcome = 1},
        {.revision = 6, .first_sub = 2, .count = 1, .outcome = 1},
        {.revision = 4000, .outcome = 1}};
    static const struct scripted_message later = {.revision = 4001, .first_sub = 3, .count = 1};
    begin(SCRIPT({.action = SCRIPT_SERVE_AND_DROP, .messages = quiet, .message_count = 3},
                 SENDS_ONE(SERVE, later)));
    follow_changes();
    until_told(2);
    ck_assert_uint_eq(told.numbers[0], 2);
    ck_assert_uint_eq(told.numbers[1], 3);
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 4001);
    ck_assert_uint_eq(coord_config_watch_revision(stream), 4000);
}
END_TEST

/* The first message of a stream that is resumed says where it begins. */
START_TEST(how_far_a_stream_is_counts_only_behind_a_whole_revision)
{
    static const struct scripted_message part = {
        .revision = 6, .first_sub = 2, .count = 1, .more = true, .outcome = 1};
    static const struct scripted_message resumed[] = {
        {.revision = 5, .outcome = 1},
        {.revision = 6, .first_sub = 2, .count = 2, .more = true, .outcome = 1},
        {.revision = 6, .first_sub = 4, .count = 1, .outcome = 1}};
    static const struct scripted_message later = {.revision = 7, .first_sub = 5, .count = 1};
    begin(SCRIPT(SENDS_ONE(SERVE_AND_DROP, part),
                 {.action = SCRIPT_SERVE_AND_DROP, .messages = resumed, .message_count = 3},
                 SENDS_ONE(SERVE, later)));
    follow_changes();
    until_told(4);
    run_for(50);
    ck_assert_uint_eq(told.count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(told.numbers[i], i + 2);
    }
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 6);
    ck_assert_uint_eq(kit.cluster.watches[2].from_revision, 7);
}
END_TEST

START_TEST(changes_that_are_older_than_what_was_told_are_not_told)
{
    static const struct scripted_message messages[] = {
        {.revision = 7, .first_sub = 3, .count = 1},
        {.revision = 6, .first_sub = 2, .count = 2},
        {.revision = 8, .first_sub = 4, .count = 1}};
    begin(SCRIPT({.action = SCRIPT_SERVE, .messages = messages, .message_count = 3}));
    follow_changes();
    until_told(2);
    run_for(50);
    ck_assert_uint_eq(told.count, 2);
    ck_assert_uint_eq(told.numbers[0], 3);
    ck_assert_uint_eq(told.numbers[1], 4);
}
END_TEST

START_TEST(health_that_nobody_knows_is_unknown)
{
    static const struct scripted_message odd = {.type = 77};
    begin(SCRIPT(SENDS_ONE(SERVE, odd)));
    follow_health();
    until_told(1);
    ck_assert_uint_eq(told.numbers[0], COORD_SERVING_UNKNOWN);
}
END_TEST

static Suite *streams_suite(void)
{
    Suite *s = suite_create("streams");
    TCase *t = tcase_create("of Config and Health");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_stream_that_fails_is_taken_up_again, 0, COUNT(failures) * KINDS);
    tcase_add_loop_test(t, another_member_is_asked_for_what_one_does_not_say, 0, KINDS);
    tcase_add_loop_test(t, what_comes_after_a_failure_is_told_once, 0, KINDS - 1);
    tcase_add_loop_test(t, streams_that_are_ended_at_once_are_not_opened_without_end, 0, KINDS);
    tcase_add_loop_test(t, a_refusal_is_told_and_is_the_end, 0, COUNT(refusals) * KINDS);
    tcase_add_loop_test(t, whoever_is_told_may_close_the_stream_and_the_client, 0, 4 * KINDS);
    tcase_add_test(t, a_revision_that_was_told_in_part_goes_on_behind_that);
    tcase_add_test(t, a_stream_that_was_told_nothing_goes_on_where_it_began);
    tcase_add_test(t, a_quiet_stream_goes_on_behind_what_it_was_told_last);
    tcase_add_test(t, how_far_a_stream_is_counts_only_behind_a_whole_revision);
    tcase_add_test(t, changes_that_are_older_than_what_was_told_are_not_told);
    tcase_add_test(t, health_that_nobody_knows_is_unknown);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){streams_suite, NULL});
}
