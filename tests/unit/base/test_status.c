/* Status texts, error stories, the seeded generator, lists: the small ones. */
#include "base/status.h"

#include <string.h>

#include "base/list.h"
#include "base/rng.h"
#include "tests/support/check_main.h"

START_TEST(every_status_has_a_text)
{
    for (int rc = RC_OK; rc <= RC_DENIED; rc++) {
        ck_assert_str_ne(status_text((enum status)rc), "unknown status");
        ck_assert_uint_gt(strlen(status_text((enum status)rc)), 0);
    }
    ck_assert_str_eq(status_text(RC_NO_SPACE), "no space left on the data disk");
}
END_TEST

START_TEST(wrapped_error_tells_its_story_outermost_first)
{
    struct errmsg err;
    ck_assert_int_eq(errmsg_set(&err, RC_LOCKED, "lock %s", "LOCK"), RC_LOCKED);
    ck_assert_int_eq(errmsg_wrap(&err, "open data dir %s", "./data"), RC_LOCKED);
    ck_assert_str_eq(err.text, "open data dir ./data: lock LOCK");
    ck_assert_int_eq(err.rc, RC_LOCKED);
    ck_assert_int_eq(errmsg_set(&err, RC_IO, "again: %s", err.text), RC_IO);
    ck_assert_str_eq(err.text, "again: open data dir ./data: lock LOCK");
}
END_TEST

START_TEST(error_without_a_place_to_go_keeps_its_code)
{
    ck_assert_int_eq(errmsg_set(NULL, RC_CORRUPT, "x"), RC_CORRUPT);
    ck_assert_int_eq(errmsg_wrap(NULL, "x"), RC_IO);
    struct errmsg err = {.rc = RC_IO};
    errmsg_wrap(&err, "start");
    ck_assert_str_eq(err.text, "start");
}
END_TEST

START_TEST(overlong_error_keeps_the_outermost_part)
{
    struct errmsg err;
    errmsg_set(&err, RC_IO, "inner");
    for (int i = 0; i < 100; i++) {
        errmsg_wrap(&err, "context %d", i);
    }
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    ck_assert_mem_eq(err.text, "context 99: context 98: ", 24);
}
END_TEST

START_TEST(same_seed_gives_the_same_numbers)
{
    struct rng a;
    struct rng b;
    struct rng c;
    rng_init(&a, 0);
    rng_init(&b, 0);
    rng_init(&c, 1);
    /* SplitMix64 from 0, then xoshiro256**: the first output of that pair of algorithms. */
    ck_assert_uint_eq(rng_next(&a), UINT64_C(0x99ec5f36cb75f2b4));
    rng_next(&b);
    int differ = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = rng_next(&a);
        ck_assert_uint_eq(v, rng_next(&b));
        differ += v != rng_next(&c);
    }
    ck_assert_int_eq(differ, 1000);
}
END_TEST

START_TEST(bounded_numbers_stay_in_bounds_and_reach_them)
{
    struct rng r;
    rng_init(&r, 3);
    int counts[10] = {0};
    for (int i = 0; i < 10000; i++) {
        counts[rng_below(&r, 10)]++;
        uint64_t v = rng_range(&r, 5, 7);
        ck_assert(v >= 5 && v <= 7);
        ck_assert_uint_eq(rng_range(&r, 9, 9), 9);
    }
    for (int i = 0; i < 10; i++) {
        ck_assert_int_gt(counts[i], 800);
        ck_assert_int_lt(counts[i], 1200);
    }
    (void)rng_range(&r, 0, UINT64_MAX);
    int hits = 0;
    for (int i = 0; i < 10000; i++) {
        ck_assert(!rng_chance(&r, 0));
        ck_assert(rng_chance(&r, 1000));
        hits += rng_chance(&r, 250);
    }
    ck_assert_int_gt(hits, 2200);
    ck_assert_int_lt(hits, 2800);
}
END_TEST

struct item {
    int number;
    struct list link;
};

START_TEST(list_keeps_order_and_lets_go_while_walked)
{
    struct list head;
    struct item items[10];
    list_init(&head);
    ck_assert_ptr_null(list_pop_front(&head));
    for (int i = 0; i < 10; i++) {
        items[i].number = i;
        list_push_back(&head, &items[i].link);
    }
    struct list *it;
    struct list *tmp;
    LIST_EACH (it, tmp, &head) {
        if (LIST_OF(it, struct item, link)->number % 2 == 0) {
            list_remove(it);
            list_remove(it); /* harmless */
        }
    }
    for (int i = 1; i < 10; i += 2) {
        struct list *node = list_pop_front(&head);
        ck_assert_int_eq(LIST_OF(node, struct item, link)->number, i);
    }
    ck_assert(list_empty(&head));
}
END_TEST

static Suite *small_suite(void)
{
    Suite *suite = suite_create("small");
    TCase *tc = tcase_create("small");
    tcase_add_test(tc, every_status_has_a_text);
    tcase_add_test(tc, wrapped_error_tells_its_story_outermost_first);
    tcase_add_test(tc, error_without_a_place_to_go_keeps_its_code);
    tcase_add_test(tc, overlong_error_keeps_the_outermost_part);
    tcase_add_test(tc, same_seed_gives_the_same_numbers);
    tcase_add_test(tc, bounded_numbers_stay_in_bounds_and_reach_them);
    tcase_add_test(tc, list_keeps_order_and_lets_go_while_walked);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){small_suite, NULL});
}
