/* Watches over streams that break in every place: nothing twice, nothing missed. */
#include "client/client.h"

#include <stdio.h>
#include <string.h>

#include "client/socket.h"
#include "coord/v1/watch.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"

static struct client_kit kit;
static struct coord_watch *watch;
static struct coord_event event;

static void setup(void)
{
    client_kit_open(&kit);
}

static void teardown(void)
{
    coord_watch_close(watch);
    watch = NULL;
    client_kit_close(&kit);
}

static void begin(const struct scripted_step *script, const struct coord_watch_options *options)
{
    client_kit_begin(&kit, &script, 1, 5000);
    ck_assert_msg(coord_watch_open(kit.client, "/w", options, &watch, &kit.error) == COORD_OK,
                  "%s", kit.error.message);
}

static void begin_two(const struct scripted_step *first, const struct scripted_step *second,
                      const struct coord_watch_options *options)
{
    client_kit_begin(&kit, (const struct scripted_step *const[]){first, second}, 2, 5000);
    ck_assert_msg(coord_watch_open(kit.client, "/w", options, &watch, &kit.error) == COORD_OK,
                  "%s", kit.error.message);
}

static enum coord_code next(uint32_t timeout_ms)
{
    return coord_watch_next(watch, timeout_ms, &event, &kit.error);
}

static void expect_path(const char *path)
{
    enum coord_code code = next(5000);
    ck_assert_msg(code == COORD_OK, "%s: %s: %s", path, coord_code_text(code),
                  kit.error.message);
    ck_assert_str_eq(event.path, path);
}

static void expect_type(enum coord_event_type type)
{
    ck_assert_int_eq(next(5000), COORD_OK);
    ck_assert_int_eq(event.type, type);
}

#define CREATED(r)                 \
    {                              \
        .type = 0, .revision = (r) \
    }
#define LISTING(r, from, n, m)                                                     \
    {                                                                              \
        .type = 1, .revision = (r), .first_sub = (from), .count = (n), .more = (m) \
    }
#define EVENTS(r, from, n, m)                                                      \
    {                                                                              \
        .type = 2, .revision = (r), .first_sub = (from), .count = (n), .more = (m) \
    }
#define PROGRESS(r)                \
    {                              \
        .type = 3, .revision = (r) \
    }
#define COMPACTED(r)               \
    {                              \
        .type = 4, .revision = (r) \
    }
#define CANCELED(o)                                   \
    {                                                 \
        .type = 5, .outcome = COORD__V1__OUTCOME__##o \
    }

/* ---- the good course -------------------------------------------------------------------- */

START_TEST(events_come_in_order_and_then_it_is_quiet)
{
    begin(SCRIPT(SENDS(SERVE, CREATED(5), EVENTS(6, 0, 1, false), EVENTS(9, 0, 2, true),
                       EVENTS(9, 2, 1, false), PROGRESS(12))),
          NULL);
    ck_assert_uint_eq(coord_watch_revision(watch), 4);
    expect_path("/w/6-0");
    ck_assert_int_eq(event.type, COORD_EVENT_SET);
    ck_assert_uint_eq(event.revision, 6);
    ck_assert_uint_eq(coord_watch_revision(watch), 4);
    expect_path("/w/9-0");
    ck_assert_uint_eq(coord_watch_revision(watch), 6);
    expect_path("/w/9-1");
    ck_assert_uint_eq(coord_watch_revision(watch), 6);
    expect_path("/w/9-2");
    ck_assert_int_eq(next(50), COORD_TIMEOUT);
    ck_assert_uint_eq(coord_watch_revision(watch), 12);
    ck_assert_int_eq(next(0), COORD_TIMEOUT);
    ck_assert_int_ge(coord_watch_fd(watch), 0);
    ck_assert_uint_eq(coord_revision(kit.client), 7); /* what the headers said */
}
END_TEST

START_TEST(a_watch_for_one_revision_ends_behind_it)
{
    const struct coord_watch_options once = {.once = true};
    begin(_i == 0 ? SCRIPT(SENDS(SERVE, CREATED(5), EVENTS(6, 0, 2, true),
                                 EVENTS(6, 2, 1, false), CANCELED(OK)))
                  : SCRIPT(SENDS(SERVE_AND_DROP, CREATED(5), EVENTS(6, 0, 3, false))),
          &once);
    expect_path("/w/6-0");
    expect_path("/w/6-1");
    expect_path("/w/6-2");
    expect_type(COORD_EVENT_END);
    expect_type(COORD_EVENT_END);
    ck_assert_uint_eq(kit.cluster.watch_count, 1);
    ck_assert_int_eq(coord_watch_fd(watch), -1);
}
END_TEST

START_TEST(a_listing_stands_between_its_marks)
{
    const struct coord_watch_options list = {.list = true};
    begin(SCRIPT(SENDS(SERVE, CREATED(5), LISTING(8, 0, 2, true), LISTING(8, 2, 1, false),
                       EVENTS(9, 0, 1, false))),
          &list);
    expect_type(COORD_EVENT_LISTING);
    ck_assert_uint_eq(event.revision, 8);
    expect_path("/w/0");
    ck_assert_int_eq(event.type, COORD_EVENT_ENTRY);
    expect_path("/w/1");
    expect_path("/w/2");
    expect_type(COORD_EVENT_LISTED);
    expect_path("/w/9-0");
    ck_assert_uint_eq(coord_watch_revision(watch), 8);
    ck_assert(kit.cluster.watches[0].list);
}
END_TEST

/* ---- streams that break ----------------------------------------------------------------- */

/* How the first stream ends, after everything was sent that it was to send. */
static const struct {
    enum scripted_action how;
    bool is_ordered; /* all that was sent arrives */
} breaks[] = {{SCRIPT_SERVE_AND_DROP, false}, {SCRIPT_SERVE_AND_END, true}};

static struct scripted_step breaking(const struct scripted_message *messages, size_t count,
                                     int how)
{
    return (struct scripted_step){.action = breaks[how].how,
                                  .code = GRPC_UNAVAILABLE,
                                  .messages = messages,
                                  .message_count = count};
}

/* The first stream breaks behind its `_i`th message; whatever of it got through, each event is
 * handed out once. */
static const struct scripted_message whole[] = {CREATED(5),
                                                EVENTS(6, 0, 2, false),
                                                EVENTS(7, 0, 2, true),
                                                EVENTS(7, 2, 2, true),
                                                EVENTS(7, 4, 1, false),
                                                PROGRESS(8)};
#define WHOLE_COUNT (sizeof whole / sizeof whole[0])

START_TEST(a_break_anywhere_loses_and_repeats_nothing)
{
    static const char *const paths[] = {"/w/6-0", "/w/6-1", "/w/7-0", "/w/7-1",
                                        "/w/7-2", "/w/7-3", "/w/7-4"};
    size_t sent = (size_t)_i / 2 + 1;
    struct scripted_step first[] = {breaking(whole, sent, _i % 2), {.action = SCRIPT_END}};
    /* from revision 5 or 6 on; what is too early is sent all the same, and must be skipped */
    const struct scripted_step second[] = {
        {.action = SCRIPT_SERVE, .messages = whole, .message_count = WHOLE_COUNT},
        {.action = SCRIPT_END}};
    begin_two(first, second, NULL);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        expect_path(paths[i]);
    }
    if (kit.cluster.watch_count == 1) { /* all of it came on the first */
        ck_assert_int_eq(next(200), COORD_TIMEOUT);
    }
    ck_assert_uint_eq(kit.cluster.watch_count, 2);
    uint64_t from = kit.cluster.watches[1].from_revision;
    ck_assert_uint_ge(from, 5);
    ck_assert_uint_le(from, sent < 2 ? 5 : sent < 5 ? 7 : sent < 6 ? 8 : 9);
    if (breaks[_i % 2].is_ordered) {
        ck_assert_uint_eq(from, sent < 2 ? 5 : sent < 5 ? 7 : sent < 6 ? 8 : 9);
    }
}
END_TEST

static const struct scripted_step failing[] = {STEP(LOSE),
                                               STEP(REFUSE),
                                               STEP(GOAWAY),
                                               STEP(HTTP),
                                               STEP(NOISE),
                                               STEP(GARBAGE),
                                               STEP(BAD_FRAME),
                                               ANSWER(UNAVAILABLE),
                                               ANSWER(UNKNOWN),
                                               ANSWER(INTERNAL),
                                               ANSWER(RESOURCE_EXHAUSTED),
                                               ANSWER(DEADLINE_EXCEEDED)};

START_TEST(a_watch_is_opened_past_failing_endpoints)
{
    begin_two(SCRIPT(failing[_i], failing[_i]),
              SCRIPT(failing[_i], SENDS(SERVE, CREATED(5), EVENTS(6, 0, 1, false))), NULL);
    expect_path("/w/6-0");
    ck_assert_uint_eq(kit.cluster.watch_count, 4);
}
END_TEST

START_TEST(a_watch_goes_on_past_failing_endpoints)
{
    begin(SCRIPT(SENDS(SERVE_AND_END, CREATED(5), EVENTS(6, 0, 1, false)), failing[_i],
                 failing[_i], SENDS(SERVE, CREATED(7), EVENTS(7, 0, 1, false))),
          NULL);
    expect_path("/w/6-0");
    expect_path("/w/7-0");
    ck_assert_uint_eq(kit.cluster.watch_count, 4);
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 7);
    ck_assert_uint_eq(kit.cluster.watches[3].from_revision, 7);
}
END_TEST

#define ENDS_AT_ONCE SENDS(SERVE_AND_END, CREATED(5))

START_TEST(streams_that_end_at_once_are_not_opened_without_pauses)
{
    begin_two(SCRIPT(ENDS_AT_ONCE, ENDS_AT_ONCE, ENDS_AT_ONCE, ENDS_AT_ONCE, ENDS_AT_ONCE),
              SCRIPT(ENDS_AT_ONCE, ENDS_AT_ONCE, ENDS_AT_ONCE, ENDS_AT_ONCE,
                     SENDS(SERVE, CREATED(5), EVENTS(6, 0, 1, false))),
              NULL);
    uint64_t begun = socket_now_ms();
    expect_path("/w/6-0");
    /* four pauses of half of 20, 40, 60, 80 ms at least */
    ck_assert_uint_ge(socket_now_ms() - begun, 90);
    ck_assert_uint_eq(kit.cluster.watch_count, 10);
}
END_TEST

START_TEST(a_silent_server_is_given_up_and_another_asked)
{
    const struct coord_watch_options options = {.progress_ms = 100};
    begin_two(SCRIPT(SENDS(SERVE, CREATED(5), PROGRESS(5))),
              SCRIPT(SENDS(SERVE, CREATED(6), EVENTS(6, 0, 1, false))), &options);
    uint64_t begun = socket_now_ms();
    expect_path("/w/6-0"); /* after 1.3 s without a sign of life */
    ck_assert_uint_ge(socket_now_ms() - begun, 1000);
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 6);
}
END_TEST

START_TEST(a_server_that_never_confirms_is_given_up)
{
    begin_two(SCRIPT(STEP(SILENCE)), SCRIPT(SENDS(SERVE, CREATED(5), EVENTS(5, 0, 1, false))),
              NULL);
    expect_path("/w/5-0");
    ck_assert_uint_eq(kit.cluster.watch_count, 2);
}
END_TEST

START_TEST(a_killed_server_is_left_for_another)
{
    begin_two(SCRIPT(SENDS(SERVE, CREATED(5), EVENTS(5, 0, 1, false))),
              SCRIPT(SENDS(SERVE, CREATED(6), EVENTS(6, 0, 1, false))), NULL);
    expect_path("/w/5-0");
    ck_assert_int_eq(next(0), COORD_TIMEOUT);
    client_kit_kill(&kit, 0);
    expect_path("/w/6-0");
    ck_assert_uint_eq(kit.cluster.watches[1].from_revision, 6);
}
END_TEST

START_TEST(without_any_server_it_is_unavailable_and_goes_on_later)
{
    begin(SCRIPT(SENDS(SERVE, CREATED(5), EVENTS(5, 0, 1, false))), NULL);
    expect_path("/w/5-0");
    client_kit_kill(&kit, 0);
    uint64_t begun = socket_now_ms();
    ck_assert_int_eq(next(150), COORD_UNAVAILABLE);
    ck_assert_uint_ge(socket_now_ms() - begun, 150);
    ck_assert_uint_lt(socket_now_ms() - begun, 2000);
    ck_assert_ptr_nonnull(strstr(kit.error.message, "refused"));
    ck_assert_int_eq(coord_watch_fd(watch), -1);
    ck_assert_int_eq(next(0), COORD_UNAVAILABLE);
}
END_TEST

START_TEST(opening_without_any_server_ends_with_the_time)
{
    const struct scripted_step *none = NULL;
    client_kit_begin(&kit, &none, 1, 200);
    client_kit_kill(&kit, 0);
    uint64_t begun = socket_now_ms();
    ck_assert_int_eq(coord_watch_open(kit.client, "/w", NULL, &watch, &kit.error),
                     COORD_UNAVAILABLE);
    ck_assert_uint_ge(socket_now_ms() - begun, 200);
}
END_TEST

START_TEST(a_listing_that_breaks_begins_anew_and_says_so)
{
    const struct coord_watch_options list = {.list = true};
    begin(SCRIPT(SENDS(SERVE_AND_END, CREATED(5), LISTING(8, 0, 2, true)),
                 SENDS(SERVE_AND_END, CREATED(5), LISTING(9, 0, 1, false)),
                 SENDS(SERVE, CREATED(10), EVENTS(10, 0, 1, false))),
          &list);
    expect_type(COORD_EVENT_LISTING);
    expect_path("/w/0");
    expect_path("/w/1");
    expect_type(COORD_EVENT_LISTING);
    ck_assert_uint_eq(event.revision, 9);
    expect_path("/w/0");
    expect_type(COORD_EVENT_LISTED);
    expect_path("/w/10-0");
    ck_assert(kit.cluster.watches[1].list && !kit.cluster.watches[2].list);
    ck_assert_uint_eq(kit.cluster.watches[2].from_revision, 10);
}
END_TEST

/* As when the node that is being listed gets a snapshot from its leader meanwhile. */
START_TEST(a_listing_that_is_compacted_begins_anew_and_says_so)
{
    const struct coord_watch_options list = {.list = true, .relist = true};
    begin(SCRIPT(SENDS(SERVE, CREATED(9), LISTING(8, 0, 2, true), COMPACTED(50),
                       LISTING(60, 0, 1, true), LISTING(60, 1, 1, false),
                       EVENTS(61, 0, 1, false))),
          &list);
    expect_type(COORD_EVENT_LISTING);
    expect_path("/w/0");
    expect_path("/w/1");
    expect_type(COORD_EVENT_LISTING);
    ck_assert_uint_eq(event.revision, 60);
    expect_path("/w/0");
    expect_path("/w/1");
    expect_type(COORD_EVENT_LISTED);
    expect_path("/w/61-0");
}
END_TEST

/* ---- the end ---------------------------------------------------------------------------- */

START_TEST(compacted_history_is_told_and_ends_the_watch)
{
    const struct coord_watch_options from = {.from_revision = 3};
    begin(SCRIPT(SENDS(SERVE, CREATED(3), COMPACTED(50), CANCELED(COMPACTED))), &from);
    ck_assert_int_eq(next(5000), COORD_COMPACTED);
    ck_assert_str_eq(kit.error.outcome, "COMPACTED");
    ck_assert_ptr_nonnull(strstr(kit.error.message, "50"));
    ck_assert_int_eq(next(5000), COORD_COMPACTED);
    ck_assert_uint_eq(kit.cluster.watches[0].from_revision, 3);
}
END_TEST

START_TEST(compacted_history_is_listed_anew_if_asked_for)
{
    const struct coord_watch_options from = {.from_revision = 3, .relist = true};
    begin(_i == 0 ? SCRIPT(SENDS(SERVE, CREATED(3), COMPACTED(50), LISTING(60, 0, 1, false),
                                 EVENTS(61, 0, 1, false)))
                  : SCRIPT(SENDS(SERVE_AND_END, CREATED(3), COMPACTED(50)),
                           SENDS(SERVE, CREATED(60), LISTING(60, 0, 1, false),
                                 EVENTS(61, 0, 1, false))),
          &from);
    expect_type(COORD_EVENT_LISTING);
    expect_path("/w/0");
    expect_type(COORD_EVENT_LISTED);
    expect_path("/w/61-0");
    if (_i == 1) {
        ck_assert(kit.cluster.watches[1].list);
    }
}
END_TEST

/* The node that lists is behind the one that told of events before. */
START_TEST(a_list_that_is_older_than_what_was_told_is_followed_by_all_after_it)
{
    const struct coord_watch_options relist = {.relist = true};
    begin(SCRIPT(SENDS(SERVE_AND_END, CREATED(5), EVENTS(70, 0, 1, false)),
                 SENDS(SERVE_AND_END, CREATED(71), COMPACTED(80)),
                 SENDS(SERVE, CREATED(61), LISTING(60, 0, 1, false), EVENTS(65, 0, 1, false),
                       EVENTS(70, 0, 1, false))),
          &relist);
    expect_path("/w/70-0");
    expect_type(COORD_EVENT_LISTING);
    expect_path("/w/0");
    expect_type(COORD_EVENT_LISTED);
    expect_path("/w/65-0");
    expect_path("/w/70-0");
}
END_TEST

START_TEST(a_refused_watch_says_why)
{
    static const struct scripted_message bad[] = {CREATED(5), CANCELED(BAD_PATTERN)};
    const struct scripted_step script[] = {
        {.action = SCRIPT_SERVE, .messages = bad + (_i == 0), .message_count = 2 - (_i == 0)},
        {.action = SCRIPT_END}};
    const struct scripted_step *first = script;
    client_kit_begin(&kit, &first, 1, 5000);
    enum coord_code code = coord_watch_open(kit.client, "/w", NULL, &watch, &kit.error);
    if (code == COORD_OK) {
        code = next(5000);
    }
    ck_assert_int_eq(code, COORD_INVALID);
    ck_assert_str_eq(kit.error.outcome, "BAD_PATTERN");
}
END_TEST

START_TEST(arguments_are_checked_before_anything_is_sent)
{
    const struct coord_watch_options scope = {.scope = (enum coord_scope)9};
    const struct coord_watch_options progress = {.progress_ms = 99};
    const struct scripted_step *none = NULL;
    client_kit_begin(&kit, &none, 1, 5000);
    ck_assert_int_eq(coord_watch_open(kit.client, "/w", &scope, &watch, &kit.error),
                     COORD_INVALID);
    ck_assert_int_eq(coord_watch_open(kit.client, "/w", &progress, &watch, &kit.error),
                     COORD_INVALID);
    ck_assert_uint_eq(kit.cluster.connection_count, 0);
}
END_TEST

/* ---- what it shows ----------------------------------------------------------------------- */

static struct scripted_step ended_as_void(const struct scripted_message *messages, size_t count)
{
    return (struct scripted_step){.action = SCRIPT_SERVE_AND_END,
                                  .code = GRPC_UNAUTHENTICATED,
                                  .messages = messages,
                                  .message_count = count};
}

START_TEST(a_watch_goes_on_with_another_token_when_its_own_is_void)
{
    static const struct scripted_message created[] = {CREATED(5)};
    /* at first it is said, or not, that nobody is asked who he is */
    const struct scripted_step script[] = {
        {.action = _i == 0 ? SCRIPT_STATUS : SCRIPT_SERVE, .code = GRPC_FAILED_PRECONDITION},
        ended_as_void(created, 1),
        STEP(SERVE), /* the second login */
        SENDS(SERVE, CREATED(5), EVENTS(6, 0, 1, false)),
        {.action = SCRIPT_END}};
    kit.user = "me";
    kit.cluster.token_ms = 3600000;
    begin(script, NULL);
    expect_path("/w/6-0");
    ck_assert_uint_eq(kit.cluster.login_count, 2);
    ck_assert_uint_eq(kit.cluster.watch_count, 2);
}
END_TEST

START_TEST(a_watch_waits_for_a_member_that_learns_late_that_it_is_to_ask)
{
    /* "Not enabled", where the watch was refused already, and so twice more. */
    const struct scripted_step script[] = {
        ANSWER(FAILED_PRECONDITION), ANSWER(UNAUTHENTICATED), ANSWER(FAILED_PRECONDITION),
        ANSWER(UNAUTHENTICATED),     ANSWER(FAILED_PRECONDITION), ANSWER(UNAUTHENTICATED),
        STEP(SERVE),                 SENDS(SERVE, CREATED(5), EVENTS(6, 0, 1, false)),
        {.action = SCRIPT_END}};
    kit.user = "me";
    kit.cluster.token_ms = 3600000;
    begin(script, NULL);
    expect_path("/w/6-0");
    ck_assert_uint_eq(kit.cluster.login_count, 4);
}
END_TEST

START_TEST(a_watch_waits_for_a_member_where_many_log_in)
{
    static const struct scripted_message created[] = {CREATED(5)};
    const struct scripted_step script[] = {
        ANSWER(FAILED_PRECONDITION), ended_as_void(created, 1),
        ANSWER(RESOURCE_EXHAUSTED),  ANSWER(RESOURCE_EXHAUSTED),
        STEP(SERVE),                 SENDS(SERVE, CREATED(5), EVENTS(6, 0, 1, false)),
        {.action = SCRIPT_END}};
    kit.user = "me";
    kit.cluster.token_ms = 3600000;
    begin(script, NULL);
    expect_path("/w/6-0");
    ck_assert_uint_eq(kit.cluster.login_count, 4);
    ck_assert_uint_eq(kit.cluster.watch_count, 2);
}
END_TEST

START_TEST(a_watch_ends_when_its_login_is_refused_or_does_not_help)
{
    struct scripted_step script[SCRIPTED_CALLS_MAX] = {ANSWER(FAILED_PRECONDITION),
                                                       SENDS(SERVE_AND_END, CREATED(5)),
                                                       ANSWER(UNAUTHENTICATED)};
    script[1].code = GRPC_UNAUTHENTICATED;
    for (size_t i = 3; _i == 1 && i < SCRIPTED_CALLS_MAX - 1; i++) {
        script[2] = (struct scripted_step)STEP(SERVE); /* the login */
        script[i] = (struct scripted_step)ANSWER(UNAUTHENTICATED);
    }
    kit.user = "me";
    kit.cluster.token_ms = 3600000;
    begin(script, NULL);
    ck_assert_int_eq(next(20000), COORD_DENIED);
    ck_assert_uint_eq(kit.cluster.login_count, 2);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

static Suite *watch_suite(void)
{
    Suite *s = suite_create("watch");
    TCase *t = tcase_create("watches");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, events_come_in_order_and_then_it_is_quiet);
    tcase_add_loop_test(t, a_watch_for_one_revision_ends_behind_it, 0, 2);
    tcase_add_test(t, a_listing_stands_between_its_marks);
    tcase_add_loop_test(t, a_break_anywhere_loses_and_repeats_nothing, 0, 2 * WHOLE_COUNT);
    tcase_add_loop_test(t, a_watch_is_opened_past_failing_endpoints, 0, COUNT(failing));
    tcase_add_loop_test(t, a_watch_goes_on_past_failing_endpoints, 0, COUNT(failing));
    tcase_add_test(t, streams_that_end_at_once_are_not_opened_without_pauses);
    tcase_add_test(t, a_silent_server_is_given_up_and_another_asked);
    tcase_add_test(t, a_server_that_never_confirms_is_given_up);
    tcase_add_test(t, a_killed_server_is_left_for_another);
    tcase_add_test(t, without_any_server_it_is_unavailable_and_goes_on_later);
    tcase_add_test(t, opening_without_any_server_ends_with_the_time);
    tcase_add_test(t, a_listing_that_breaks_begins_anew_and_says_so);
    tcase_add_test(t, a_listing_that_is_compacted_begins_anew_and_says_so);
    tcase_add_test(t, compacted_history_is_told_and_ends_the_watch);
    tcase_add_loop_test(t, compacted_history_is_listed_anew_if_asked_for, 0, 2);
    tcase_add_test(t, a_list_that_is_older_than_what_was_told_is_followed_by_all_after_it);
    tcase_add_loop_test(t, a_refused_watch_says_why, 0, 2);
    tcase_add_loop_test(t, a_watch_goes_on_with_another_token_when_its_own_is_void, 0, 2);
    tcase_add_test(t, a_watch_waits_for_a_member_that_learns_late_that_it_is_to_ask);
    tcase_add_test(t, a_watch_waits_for_a_member_where_many_log_in);
    tcase_add_loop_test(t, a_watch_ends_when_its_login_is_refused_or_does_not_help, 0, 2);
    tcase_add_test(t, arguments_are_checked_before_anything_is_sent);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){watch_suite, NULL});
}
