/* Phi accrual: what it says of silence, against means and variances of all intervals. */
#include "net/checks/suspicion.h"

#include <math.h>

#include "base/rng.h"
#include "tests/support/check_main.h"

static struct suspicion after(const uint64_t *intervals, size_t count, uint64_t *now_ms)
{
    struct suspicion s = {.last_ms = 0};
    *now_ms = 1000;
    suspicion_note(&s, *now_ms);
    for (size_t i = 0; i < count; i++) {
        *now_ms += intervals[i];
        suspicion_note(&s, *now_ms);
    }
    return s;
}

START_TEST(mean_and_variance_are_those_of_the_intervals)
{
    struct rng rng;
    rng_init(&rng, 11);
    for (int round = 0; round < 500; round++) {
        uint64_t intervals[SUSPICION_WINDOW];
        size_t count = 1 + (size_t)rng_below(&rng, SUSPICION_WINDOW);
        uint64_t now_ms;
        double sum = 0;
        double squares = 0;
        for (size_t i = 0; i < count; i++) {
            intervals[i] = rng_below(&rng, 20000);
            sum += (double)intervals[i];
        }
        double mean = sum / (double)count;
        for (size_t i = 0; i < count; i++) {
            squares += ((double)intervals[i] - mean) * ((double)intervals[i] - mean);
        }
        struct suspicion s = after(intervals, count, &now_ms);
        ck_assert_double_eq_tol(s.mean_ms, mean, 1e-6 * (mean + 1));
        ck_assert_double_eq_tol(s.variance, squares / (double)count, 1e-6 * (squares + 1));
    }
}
END_TEST

START_TEST(suspicion_grows_with_silence_and_ends_with_a_sign)
{
    struct rng rng;
    rng_init(&rng, 12);
    for (int round = 0; round < 500; round++) {
        uint64_t intervals[40];
        uint64_t now_ms;
        for (size_t i = 0; i < 40; i++) {
            intervals[i] = 500 + rng_below(&rng, 1000);
        }
        struct suspicion s = after(intervals, 40, &now_ms);
        double before = 0;
        for (uint64_t silence = 0; silence < 60000; silence += 250) {
            double phi = suspicion_phi(&s, now_ms + silence);
            ck_assert(phi >= before && phi <= SUSPICION_MAX);
            before = phi;
        }
        ck_assert_double_eq(before, SUSPICION_MAX);
        suspicion_note(&s, now_ms + 60000);
        ck_assert_double_eq(suspicion_phi(&s, now_ms + 60000), 0);
    }
}
END_TEST

START_TEST(at_the_mean_it_is_right_every_other_time_and_eight_after_eight_nines)
{
    uint64_t intervals[20];
    uint64_t now_ms;
    for (size_t i = 0; i < 20; i++) {
        intervals[i] = 1000;
    }
    struct suspicion s = after(intervals, 20, &now_ms);
    ck_assert_double_eq_tol(suspicion_phi(&s, now_ms + 1000), log10(2), 1e-9);
    /* Who is regular has a deviation of a quarter: 2 s are four of them, 3.17e-5. */
    ck_assert_double_eq_tol(suspicion_phi(&s, now_ms + 2000), 4.4993, 0.001);
    ck_assert(suspicion_phi(&s, now_ms + 2500) > 8);
}
END_TEST

START_TEST(who_is_irregular_is_suspected_later)
{
    uint64_t even[20];
    uint64_t uneven[20];
    uint64_t even_ms;
    uint64_t uneven_ms;
    for (size_t i = 0; i < 20; i++) {
        even[i] = 1000;
        uneven[i] = i % 2 == 0 ? 200 : 1800;
    }
    struct suspicion a = after(even, 20, &even_ms);
    struct suspicion b = after(uneven, 20, &uneven_ms);
    ck_assert(suspicion_phi(&a, even_ms + 3000) > 2 * suspicion_phi(&b, uneven_ms + 3000));
}
END_TEST

START_TEST(nothing_is_suspected_before_there_are_two_intervals_and_of_time_that_goes_back)
{
    struct suspicion s = {.last_ms = 0};
    ck_assert_double_eq(suspicion_phi(&s, 100000), 0);
    suspicion_note(&s, 5000);
    suspicion_note(&s, 6000);
    ck_assert_double_eq(suspicion_phi(&s, 100000), 0);
    suspicion_note(&s, 5500);
    ck_assert_uint_eq(s.last_ms, 6000);
    ck_assert_double_eq(suspicion_phi(&s, 5900), 0);
    ck_assert(suspicion_phi(&s, 100000) > 1);
}
END_TEST

static Suite *suspicion_suite(void)
{
    Suite *suite = suite_create("suspicion");
    TCase *tcase = tcase_create("suspicion");
    tcase_add_test(tcase, mean_and_variance_are_those_of_the_intervals);
    tcase_add_test(tcase, suspicion_grows_with_silence_and_ends_with_a_sign);
    tcase_add_test(tcase, at_the_mean_it_is_right_every_other_time_and_eight_after_eight_nines);
    tcase_add_test(tcase, who_is_irregular_is_suspected_later);
    tcase_add_test(tcase,
                   nothing_is_suspected_before_there_are_two_intervals_and_of_time_that_goes_back);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){suspicion_suite, NULL});
}
