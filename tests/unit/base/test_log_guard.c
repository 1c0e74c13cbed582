#include "base/log_guard.h"

#include <pthread.h>
#include <string.h>

#include "tests/support/check_main.h"

static char last[512];
static int passed;
static uint64_t clock_ms;
static struct metrics *metrics;
static struct log_guard guard;
static struct log guarded;

static void keep(void *context, enum log_level level, const char *text)
{
    (void)context;
    (void)level;
    (void)snprintf(last, sizeof last, "%s", text);
    passed++;
}

static uint64_t test_now_ms(void *context)
{
    return *(uint64_t *)context;
}

static void setup(void)
{
    metrics = metrics_new();
    clock_ms = 5000;
    passed = 0;
    guard = (struct log_guard){.behind = {.level = LOG_INFO, .sink = keep},
                               .now_ms = test_now_ms,
                               .context = &clock_ms,
                               .mutex = PTHREAD_MUTEX_INITIALIZER,
                               .left_out = metrics_counter(metrics, "left_out", NULL, "x")};
    guarded = (struct log){.level = LOG_INFO, .sink = log_guard_sink, .context = &guard};
}

static void teardown(void)
{
    metrics_free(metrics);
}

static void say(int times, const char *event)
{
    for (int i = 0; i < times; i++) {
        log_info(&guarded, event, "number=%d", i);
    }
}

START_TEST(lines_of_an_event_pass_up_to_a_number_and_the_others_are_counted)
{
    say(LOG_GUARD_LINES + 7, "client.refused");
    ck_assert_int_eq(passed, LOG_GUARD_LINES);
    log_guard_turn(&guard, 0); /* its time is not over */
    ck_assert_int_eq(metric_value(guard.left_out), 7);
    ck_assert_int_eq(passed, LOG_GUARD_LINES);
    clock_ms += LOG_GUARD_MS;
    log_guard_turn(&guard, 0);
    ck_assert_str_eq(last, "log.left_out event=client.refused lines=7 within_ms=10000");
    ck_assert_int_eq(passed, LOG_GUARD_LINES + 1);
    log_guard_turn(&guard, 0); /* told once */
    ck_assert_int_eq(passed, LOG_GUARD_LINES + 1);
    say(1, "client.refused");
    ck_assert_str_eq(last, "client.refused number=0");
}
END_TEST

START_TEST(the_next_line_after_its_time_tells_it_too)
{
    say(LOG_GUARD_LINES + 1, "tls.refused");
    clock_ms += LOG_GUARD_MS;
    say(1, "tls.refused");
    ck_assert_int_eq(passed, LOG_GUARD_LINES + 2);
    ck_assert_str_eq(last, "tls.refused number=0");
}
END_TEST

START_TEST(what_was_left_out_is_told_at_the_end)
{
    say(LOG_GUARD_LINES + 3, "peer.refused");
    log_guard_turn(&guard, 1);
    ck_assert_str_eq(last, "log.left_out event=peer.refused lines=3 within_ms=10000");
}
END_TEST

START_TEST(other_events_and_errors_are_not_touched)
{
    say(10 * LOG_GUARD_LINES, "client.refused");
    say(1, "client.refuse");
    ck_assert_str_eq(last, "client.refuse number=0");
    say(1, "raft.leader");
    ck_assert_str_eq(last, "raft.leader number=0");
    for (int i = 0; i < 2 * LOG_GUARD_LINES; i++) {
        log_error(&guarded, "wal.failed", "number=%d", i);
    }
    ck_assert_int_eq(passed, LOG_GUARD_LINES + 2 + 2 * LOG_GUARD_LINES);
}
END_TEST

START_TEST(events_without_end_share_one_count)
{
    char name[64];
    for (int i = 0; i < LOG_GUARD_EVENTS + 2 * LOG_GUARD_LINES; i++) {
        (void)snprintf(name, sizeof name, "event.%d", i);
        say(1, name);
    }
    ck_assert_int_eq(passed, LOG_GUARD_EVENTS + LOG_GUARD_LINES);
    log_guard_turn(&guard, 1);
    ck_assert_str_eq(last, "log.left_out event=others lines=100 within_ms=10000");
}
END_TEST

static void drop(void *context, enum log_level level, const char *text)
{
    (void)context;
    (void)level;
    (void)text;
}

enum { WORKERS = 4, WORKER_LINES = 20000 };

/* All threads meet each event for the first time at once. */
static void *talk(void *unused)
{
    for (int i = 0; i < WORKER_LINES; i++) {
        char name[16];
        snprintf(name, sizeof name, "event.%d", i % 100);
        log_info(&guarded, name, "number=%d", i);
    }
    return unused;
}

START_TEST(lines_of_several_threads_are_counted_each)
{
    pthread_t workers[WORKERS];
    guard.behind.sink = drop;
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_create(&workers[i], NULL, talk, NULL), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_join(workers[i], NULL), 0);
    }
    log_guard_turn(&guard, 1);
    ck_assert_uint_eq(guard.event_count, 100);
    ck_assert_int_eq(metric_value(guard.left_out),
                     WORKERS * WORKER_LINES - 100 * LOG_GUARD_LINES);
}
END_TEST

static Suite *log_guard_suite(void)
{
    Suite *suite = suite_create("log guard");
    TCase *tcase = tcase_create("guard");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, lines_of_an_event_pass_up_to_a_number_and_the_others_are_counted);
    tcase_add_test(tcase, the_next_line_after_its_time_tells_it_too);
    tcase_add_test(tcase, what_was_left_out_is_told_at_the_end);
    tcase_add_test(tcase, other_events_and_errors_are_not_touched);
    tcase_add_test(tcase, events_without_end_share_one_count);
    tcase_add_test(tcase, lines_of_several_threads_are_counted_each);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){log_guard_suite, NULL});
}
