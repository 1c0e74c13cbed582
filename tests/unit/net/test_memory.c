#include "net/memory.h"

#include "tests/support/check_main.h"

#define HOLDS 10
#define MIB   ((size_t)1 << 20)

static struct memory memory;
static struct memory_hold holds[HOLDS];
static size_t really[HOLDS]; /* what renew finds */
static int evicted[HOLDS];

static void renew(struct memory_hold *h)
{
    memory_note(h, MEMORY_WRITTEN, really[h - holds]);
}

/* A front lets go of its own, in the same call. */
static void evict(struct memory_hold *h)
{
    evicted[h - holds]++;
    memory_note(h, MEMORY_REQUESTS, 0);
    memory_note(h, MEMORY_REPLIES, 0);
}

static void setup(void)
{
    memory_init(&memory, NULL, renew, evict);
    for (size_t i = 0; i < HOLDS; i++) {
        memory_hold_open(&memory, &holds[i], "192.0.2.7:1");
        really[i] = 0;
        evicted[i] = 0;
    }
}

static void teardown(void)
{
    for (size_t i = 0; i < HOLDS; i++) {
        memory_hold_close(&holds[i]);
    }
    ck_assert_uint_eq(memory.bytes, 0);
    ck_assert_uint_eq(memory.left, 0);
    ck_assert(list_empty(&memory.holds));
}

static void turn_all(void)
{
    for (size_t i = 0; i < HOLDS; i++) {
        memory_turned(&holds[i]);
    }
}

START_TEST(parts_of_all_add_up)
{
    memory_note(&holds[0], MEMORY_READ, 10);
    memory_note(&holds[0], MEMORY_REQUESTS, 20);
    memory_note(&holds[1], MEMORY_REPLIES, 300);
    memory_note(&holds[1], MEMORY_WRITTEN, 4000);
    ck_assert_uint_eq(memory.bytes, 4330);
    memory_note(&holds[0], MEMORY_REQUESTS, 5);
    memory_note(&holds[1], MEMORY_WRITTEN, 0);
    ck_assert_uint_eq(memory.bytes, 315);
    ck_assert_uint_eq(holds[0].bytes, 15);
    memory_note(NULL, MEMORY_READ, 1);
    ck_assert(memory_admits(NULL));
}
END_TEST

START_TEST(who_holds_the_most_goes_and_others_go_on)
{
    memory_note(&holds[0], MEMORY_READ, 1000);
    memory_note(&holds[1], MEMORY_REPLIES, 20 * MIB);
    for (size_t i = 2; i < 6; i++) { /* 20 + 55 + 57 + 59 + 61 = 252 */
        memory_note(&holds[i], i % 2 == 0 ? MEMORY_REQUESTS : MEMORY_REPLIES, (51 + 2 * i) * MIB);
    }
    turn_all();
    ck_assert(memory_admits(&holds[0]));
    ck_assert_int_eq(evicted[5], 0);
    memory_note(&holds[0], MEMORY_REQUESTS, 5 * MIB);
    memory_turned(&holds[0]);
    ck_assert(memory_admits(&holds[0]));
    for (size_t i = 0; i < HOLDS; i++) {
        ck_assert_int_eq(evicted[i], i >= 2 && i < 6); /* half of the most, or more */
    }
    ck_assert_uint_eq(memory.bytes, 25 * MIB + 1000);
    /* What an evicted one notes until it is closed changes nothing, and it is refused. */
    memory_note(&holds[5], MEMORY_WRITTEN, 300 * MIB);
    ck_assert(!memory_admits(&holds[5]));
    ck_assert(memory_admits(&holds[1]));
    ck_assert_uint_eq(memory.bytes, 25 * MIB + 1000);
}
END_TEST

START_TEST(the_one_that_asks_may_be_the_one_that_goes)
{
    for (size_t i = 0; i < HOLDS; i++) {
        memory_note(&holds[i], MEMORY_REPLIES, 24 * MIB);
    }
    memory_note(&holds[3], MEMORY_REQUESTS, 40 * MIB);
    turn_all();
    ck_assert(!memory_admits(&holds[3]));
    ck_assert_int_eq(evicted[3], 1);
    ck_assert_int_eq(evicted[4], 0);
    ck_assert_uint_eq(memory.bytes, 9 * 24 * MIB);
}
END_TEST

START_TEST(nobody_goes_for_what_was_read_meanwhile)
{
    for (size_t i = 0; i < HOLDS; i++) {
        memory_note(&holds[i], MEMORY_WRITTEN, 30 * MIB);
        really[i] = i == 7 ? 30 * MIB : 1000;
    }
    ck_assert(memory_admits(&holds[7]));
    ck_assert_uint_eq(memory.bytes, 30 * MIB + 9 * 1000);
    for (size_t i = 0; i < HOLDS; i++) {
        ck_assert_int_eq(evicted[i], 0);
    }
}
END_TEST

START_TEST(nobody_goes_for_replies_that_had_no_turn_to_be_written)
{
    for (size_t i = 0; i < HOLDS; i++) {
        memory_note(&holds[i], MEMORY_REPLIES, 40 * MIB);
    }
    ck_assert(memory_admits(&holds[7]));
    ck_assert(memory_is_behind(&holds[7]));
    for (size_t i = 0; i < HOLDS; i++) { /* they read what they asked for */
        memory_note(&holds[i], MEMORY_REPLIES, 0);
        memory_note(&holds[i], MEMORY_WRITTEN, 1 * MIB);
        memory_turned(&holds[i]);
        ck_assert_int_eq(memory_is_behind(&holds[7]), i < 6);
    }
    ck_assert(memory_admits(&holds[7]));
    ck_assert_uint_eq(memory.left, 10 * MIB);
    ck_assert(!memory_is_behind(NULL));
    for (size_t i = 0; i < HOLDS; i++) {
        ck_assert_int_eq(evicted[i], 0);
    }
}
END_TEST

START_TEST(those_go_that_left_the_most_whatever_came_since)
{
    memory_note(&holds[0], MEMORY_REPLIES, 100 * MIB);
    memory_note(&holds[1], MEMORY_REQUESTS, 90 * MIB);
    memory_note(&holds[2], MEMORY_REPLIES, 30 * MIB);
    turn_all();
    memory_note(&holds[2], MEMORY_REPLIES, 120 * MIB);
    memory_note(&holds[3], MEMORY_REPLIES, 150 * MIB);
    ck_assert_uint_eq(memory.left, 220 * MIB);
    ck_assert(memory_admits(&holds[3]));
    memory_note(&holds[4], MEMORY_READ, 40 * MIB); /* needs no turn */
    ck_assert(memory_admits(&holds[3]));
    for (size_t i = 0; i < HOLDS; i++) {
        ck_assert_int_eq(evicted[i], i < 2);
    }
    ck_assert_uint_eq(memory.left, 70 * MIB);
}
END_TEST

START_TEST(what_came_since_is_bounded_too)
{
    for (size_t i = 0; i < HOLDS; i++) {
        memory_note(&holds[i], MEMORY_REPLIES, (i == 4 ? 62 : 50) * MIB);
    }
    ck_assert(memory_admits(&holds[0]));
    memory_note(&holds[5], MEMORY_REPLIES, 0);
    memory_note(&holds[4], MEMORY_REPLIES, 113 * MIB);
    ck_assert(memory_admits(&holds[0]));
    for (size_t i = 0; i < HOLDS; i++) {
        ck_assert_int_eq(evicted[i], i == 4);
    }
}
END_TEST

static Suite *memory_suite(void)
{
    Suite *s = suite_create("memory");
    TCase *t = tcase_create("sum");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, parts_of_all_add_up);
    tcase_add_test(t, who_holds_the_most_goes_and_others_go_on);
    tcase_add_test(t, the_one_that_asks_may_be_the_one_that_goes);
    tcase_add_test(t, nobody_goes_for_what_was_read_meanwhile);
    tcase_add_test(t, nobody_goes_for_replies_that_had_no_turn_to_be_written);
    tcase_add_test(t, those_go_that_left_the_most_whatever_came_since);
    tcase_add_test(t, what_came_since_is_bounded_too);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){memory_suite, NULL});
}
