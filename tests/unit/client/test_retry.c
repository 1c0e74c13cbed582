/* Where a stream that goes on for ever is opened next, and after which pause. */
#include "client/retry.h"

#include <poll.h>

#include "client/client.h"
#include "tests/support/check_main.h"

#define PAUSE_MS 20 /* after the first round; half of it to one and a half times it, at random */
#define MAX_MS   200

static struct coord_client *client;
static struct retry r;

static void setup(void)
{
    r = (struct retry){.endpoint = 0};
}

static void teardown(void)
{
    coord_close(client);
}

/* Nobody is spoken to. */
static void begin(const char *endpoints)
{
    const struct coord_options options = {.endpoints = endpoints};
    ck_assert_int_eq(coord_open(&options, &client, NULL), COORD_OK);
}

static void begin_three(void)
{
    begin("127.0.0.1:1,127.0.0.1:2,127.0.0.1:3");
}

/* A stream is opened, and fails before it has brought anything. */
static uint64_t fails(void)
{
    retry_opened(&r);
    return retry_failed(&r, client, 0, MAX_MS);
}

/* One brings things from the first revision to the other, and fails then. */
static uint64_t fails_after(uint64_t from, uint64_t to)
{
    retry_opened(&r);
    retry_live(&r, from);
    retry_live(&r, to);
    return retry_failed(&r, client, to, MAX_MS);
}

static void is_about(uint64_t ms, uint64_t wanted)
{
    ck_assert_uint_ge(ms, wanted / 2);
    ck_assert_uint_le(ms, wanted / 2 + wanted);
}

START_TEST(all_endpoints_are_tried_at_once_and_then_comes_a_pause)
{
    begin_three();
    ck_assert_uint_eq(fails(), 0);
    ck_assert_uint_eq(r.endpoint, 1);
    ck_assert_uint_eq(fails(), 0);
    ck_assert_uint_eq(r.endpoint, 2);
    is_about(fails(), PAUSE_MS);
    ck_assert_uint_eq(r.endpoint, 0);
}
END_TEST

START_TEST(pauses_grow_with_each_round_up_to_a_bound)
{
    begin_three();
    for (uint64_t round = 1; round <= 40; round++) {
        uint64_t pause_ms = PAUSE_MS * round;
        ck_assert_uint_eq(fails(), 0);
        ck_assert_uint_eq(fails(), 0);
        is_about(fails(), pause_ms < MAX_MS ? pause_ms : MAX_MS);
    }
}
END_TEST

START_TEST(a_single_endpoint_is_left_alone_after_each_failure)
{
    begin("127.0.0.1:1");
    for (uint64_t round = 1; round <= 5; round++) {
        is_about(fails(), PAUSE_MS * round);
        ck_assert_uint_eq(r.endpoint, 0);
    }
}
END_TEST

START_TEST(a_stream_of_use_begins_a_new_count)
{
    begin_three();
    for (int i = 0; i < 8; i++) {
        (void)fails();
    }
    ck_assert_uint_eq(fails_after(5, 6), 0); /* it would have been the end of the third round */
    ck_assert_uint_eq(r.failures, 1);
    ck_assert_uint_eq(fails(), 0);
    is_about(fails(), PAUSE_MS);
}
END_TEST

START_TEST(one_that_has_lived_for_a_second_was_of_use)
{
    begin_three();
    (void)fails();
    (void)fails();
    retry_opened(&r);
    retry_live(&r, 0);
    (void)poll(NULL, 0, 1050);
    ck_assert_uint_eq(retry_failed(&r, client, 0, MAX_MS), 0);
    ck_assert_uint_eq(r.failures, 1);
}
END_TEST

START_TEST(one_that_is_accepted_and_ended_at_once_was_not)
{
    begin_three();
    ck_assert_uint_eq(fails_after(5, 5), 0);
    ck_assert_uint_eq(fails_after(5, 5), 0);
    is_about(fails_after(5, 5), PAUSE_MS);
}
END_TEST

START_TEST(what_an_earlier_stream_brought_does_not_count)
{
    begin_three();
    ck_assert_uint_eq(fails_after(5, 6), 0);
    retry_opened(&r);
    ck_assert_uint_eq(retry_failed(&r, client, 9, MAX_MS), 0);
    ck_assert_uint_eq(r.failures, 2);
    retry_opened(&r);
    retry_live(&r, 5);
    retry_opened(&r);
    is_about(retry_failed(&r, client, 9, MAX_MS), PAUSE_MS);
}
END_TEST

static Suite *retry_suite(void)
{
    Suite *s = suite_create("retry");
    TCase *t = tcase_create("streams that go on for ever");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, all_endpoints_are_tried_at_once_and_then_comes_a_pause);
    tcase_add_test(t, pauses_grow_with_each_round_up_to_a_bound);
    tcase_add_test(t, a_single_endpoint_is_left_alone_after_each_failure);
    tcase_add_test(t, a_stream_of_use_begins_a_new_count);
    tcase_add_test(t, one_that_has_lived_for_a_second_was_of_use);
    tcase_add_test(t, one_that_is_accepted_and_ended_at_once_was_not);
    tcase_add_test(t, what_an_earlier_stream_brought_does_not_count);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){retry_suite, NULL});
}
