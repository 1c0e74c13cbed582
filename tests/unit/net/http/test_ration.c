#include "net/http/ration.h"

#include "tests/support/check_main.h"

#define PLACES 10

static struct ration ration;
static struct ration_place places[PLACES];
static struct front_sink sinks[PLACES];
static bool is_paused[PLACES];
static int woken[PLACES];

static void note_pause(void *conn, bool paused)
{
    is_paused[(struct front_sink *)conn - sinks] = paused;
}

static void note_wake(void *conn)
{
    woken[(struct front_sink *)conn - sinks]++;
}

static void setup(void)
{
    ration_init(&ration);
    for (size_t i = 0; i < PLACES; i++) {
        sinks[i] = (struct front_sink){
            .conn = &sinks[i], .pause = note_pause, .wake = note_wake};
        ration_place_init(&places[i], &sinks[i]);
        is_paused[i] = false;
        woken[i] = 0;
    }
}

/* The time of one window is used up by the first place. */
static void use_up(uint64_t now_us)
{
    ck_assert(ration_admits(&ration, &places[0], now_us));
    ration_spend(&ration, RATION_SPENT_US);
    ration_done(&ration, &places[0], now_us);
}

static const uint64_t window_us = (uint64_t)RATION_MS * 1000;

START_TEST(all_are_served_as_long_as_there_is_time)
{
    for (size_t i = 0; i < PLACES; i++) {
        ck_assert(ration_admits(&ration, &places[i], 5000));
        ration_spend(&ration, RATION_SPENT_US / PLACES - 1);
        ration_done(&ration, &places[i], 5000);
        ck_assert(!is_paused[i]);
        ck_assert_uint_eq(ration_deadline_ms(&ration, &places[i]), UINT64_MAX);
    }
}
END_TEST

START_TEST(who_comes_too_late_waits_for_the_next_window)
{
    use_up(5 * window_us);
    ck_assert(!ration_admits(&ration, &places[1], 5 * window_us + 1));
    ck_assert(is_paused[1]);
    ck_assert(ration_is_in_line(&places[1]));
    ck_assert_uint_le(ration_deadline_ms(&ration, &places[1]), 6 * RATION_MS + 1);
    ration_tick(&ration, 6 * window_us - 1);
    ck_assert(is_paused[1]);
    ration_tick(&ration, 6 * window_us);
    ck_assert(!is_paused[1]);
    ck_assert(ration_admits(&ration, &places[1], 6 * window_us));
}
END_TEST

START_TEST(they_are_called_in_order_and_a_few_at_a_time)
{
    use_up(window_us);
    for (size_t i = 1; i < PLACES; i++) {
        ck_assert(!ration_admits(&ration, &places[i], window_us));
    }
    ck_assert_uint_ne(ration_deadline_ms(&ration, &places[1]), UINT64_MAX);
    ck_assert_uint_eq(ration_deadline_ms(&ration, &places[2]), UINT64_MAX);
    ration_tick(&ration, 2 * window_us);
    for (size_t i = 1; i < PLACES; i++) {
        ck_assert_int_eq(is_paused[i], i > RATION_CALLED_MAX);
    }
    /* The next stands first now, and says so in its turn. */
    ck_assert_int_gt(woken[RATION_CALLED_MAX + 1], 0);
    /* Nobody who comes now is served before those in line. */
    ck_assert(!ration_admits(&ration, &places[0], 2 * window_us));
    ration_done(&ration, &places[2], 2 * window_us);
    ck_assert(!is_paused[RATION_CALLED_MAX + 1]);
    ck_assert(is_paused[RATION_CALLED_MAX + 2]);
    ck_assert(is_paused[0]);
}
END_TEST

START_TEST(who_leaves_the_line_holds_up_nobody)
{
    use_up(window_us);
    for (size_t i = 1; i < PLACES; i++) {
        ck_assert(!ration_admits(&ration, &places[i], window_us));
    }
    ration_done(&ration, &places[3], window_us); /* from the middle */
    ration_done(&ration, &places[1], window_us); /* the one that would be ticked */
    ck_assert_int_gt(woken[2], 0);
    ck_assert_uint_ne(ration_deadline_ms(&ration, &places[2]), UINT64_MAX);
    ration_tick(&ration, 2 * window_us);
    ration_done(&ration, &places[2], 2 * window_us); /* called, and gone */
    for (size_t i = 4; i < 8; i++) {
        ck_assert(!is_paused[i]);
    }
    ck_assert(is_paused[1] && is_paused[3]); /* never called */
}
END_TEST

static Suite *ration_suite(void)
{
    Suite *s = suite_create("ration");
    TCase *t = tcase_create("line");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, all_are_served_as_long_as_there_is_time);
    tcase_add_test(t, who_comes_too_late_waits_for_the_next_window);
    tcase_add_test(t, they_are_called_in_order_and_a_few_at_a_time);
    tcase_add_test(t, who_leaves_the_line_holds_up_nobody);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){ration_suite, NULL});
}
