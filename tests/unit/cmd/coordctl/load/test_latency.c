#include "cmd/coordctl/load/latency.h"

#include "base/mem.h"
#include "tests/support/check_main.h"

START_TEST(percentiles_are_within_a_bucket_of_what_was_added)
{
    struct latency *l = mem_zalloc(sizeof *l);
    for (uint64_t us = 1; us <= 100000; us++) {
        latency_add(l, us);
    }
    static const double percents[] = {1, 50, 90, 99, 99.9};
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        double wanted = percents[i] * 1000;
        double got = (double)latency_percentile(l, percents[i]);
        ck_assert(got > wanted * 0.98 - 1 && got <= wanted + 1);
    }
    ck_assert_uint_eq(l->max, 100000);
    ck_assert_uint_eq(l->total, 100000);
    mem_free(l);
}
END_TEST

START_TEST(one_value_is_every_percentile)
{
    struct latency *l = mem_zalloc(sizeof *l);
    latency_add(l, 77);
    ck_assert_uint_eq(latency_percentile(l, 50), 77);
    ck_assert_uint_eq(latency_percentile(l, 100), 77);
    mem_free(l);
}
END_TEST

START_TEST(nothing_has_percentile_zero)
{
    struct latency *l = mem_zalloc(sizeof *l);
    ck_assert_uint_eq(latency_percentile(l, 99), 0);
    mem_free(l);
}
END_TEST

START_TEST(hours_fit)
{
    struct latency *l = mem_zalloc(sizeof *l);
    latency_add(l, UINT64_MAX / 2);
    ck_assert(latency_percentile(l, 50) >= UINT64_MAX / 2 / 64 * 63);
    mem_free(l);
}
END_TEST

static Suite *latency_suite(void)
{
    Suite *suite = suite_create("latency");
    TCase *tests = tcase_create("latency");
    tcase_add_test(tests, percentiles_are_within_a_bucket_of_what_was_added);
    tcase_add_test(tests, one_value_is_every_percentile);
    tcase_add_test(tests, nothing_has_percentile_zero);
    tcase_add_test(tests, hours_fit);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){latency_suite, NULL});
}
