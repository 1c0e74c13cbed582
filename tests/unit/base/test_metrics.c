#include "base/metrics.h"

#include "tests/support/check_main.h"

static char *printed(const struct metrics *m)
{
    struct buf out = {0};
    metrics_print(m, &out);
    buf_append(&out, "", 1);
    return (char *)buf_take(&out, NULL);
}

START_TEST(families_are_sorted_and_their_series_stay_together)
{
    struct metrics *m = metrics_new();
    struct metric *gets = metrics_counter(m, "coord_requests_total", "method=\"Get\"", "Requests.");
    struct metric *term = metrics_gauge(m, "coord_a_term", NULL, "Term\nof \\ Raft.");
    struct metric *sets = metrics_counter(m, "coord_requests_total", "method=\"Set\"", "Requests.");
    metric_add(gets, 2);
    metric_add(gets, 3);
    metric_add(sets, 1);
    metric_set(term, -7);
    char *text = printed(m);
    ck_assert_str_eq(text, "# HELP coord_a_term Term\\nof \\\\ Raft.\n"
                           "# TYPE coord_a_term gauge\n"
                           "coord_a_term -7\n"
                           "# HELP coord_requests_total Requests.\n"
                           "# TYPE coord_requests_total counter\n"
                           "coord_requests_total{method=\"Get\"} 5\n"
                           "coord_requests_total{method=\"Set\"} 1\n");
    free(text);
    metrics_free(m);
}
END_TEST

START_TEST(numbers_are_shown_whole_at_both_ends)
{
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        {0, "\nx 0\n"},
        {-1, "\nx -1\n"},
        {INT64_MAX, "\nx 9223372036854775807\n"},
        {INT64_MIN, "\nx -9223372036854775808\n"},
    };
    struct metrics *m = metrics_new();
    struct metric *x = metrics_gauge(m, "x", NULL, "X.");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        metric_set(x, cases[i].value);
        char *text = printed(m);
        ck_assert_msg(strstr(text, cases[i].text) != NULL, "no %s in %s", cases[i].text, text);
        free(text);
    }
    metrics_free(m);
}
END_TEST

START_TEST(time_is_counted_in_microseconds_and_shown_in_seconds)
{
    struct metrics *m = metrics_new();
    struct metric *cpu = metrics_time(m, "cpu_seconds_total", NULL, "Time.");
    metric_set(cpu, 12034567);
    char *text = printed(m);
    ck_assert_str_eq(text, "# HELP cpu_seconds_total Time.\n"
                           "# TYPE cpu_seconds_total counter\n"
                           "cpu_seconds_total 12.034567\n");
    free(text);
    metrics_free(m);
}
END_TEST

START_TEST(same_name_and_labels_give_the_same_handle)
{
    struct metrics *m = metrics_new();
    struct metric *a = metrics_counter(m, "x", "l=\"1\"", "X.");
    ck_assert_ptr_eq(metrics_counter(m, "x", "l=\"1\"", "X."), a);
    ck_assert_ptr_ne(metrics_counter(m, "x", "l=\"2\"", "X."), a);
    ck_assert_ptr_ne(metrics_counter(m, "x", NULL, "X."), a);
    struct histogram *h = metrics_histogram(m, "y", NULL, "Y.");
    ck_assert_ptr_eq(metrics_histogram(m, "y", NULL, "Y."), h);
    metrics_free(m);
}
END_TEST

START_TEST(histogram_buckets_are_cumulative_and_inclusive)
{
    struct metrics *m = metrics_new();
    struct histogram *h = metrics_histogram(m, "lat_seconds", "op=\"w\"", "Latency.");
    histogram_observe_us(h, 0);
    histogram_observe_us(h, 50);
    histogram_observe_us(h, 51);
    histogram_observe_us(h, 1000);
    histogram_observe_us(h, 10000000);
    histogram_observe_us(h, 10000001);
    char *text = printed(m);
    static const char *const expected[] = {
        "# TYPE lat_seconds histogram\n",
        "lat_seconds_bucket{op=\"w\",le=\"5e-05\"} 2\n",
        "lat_seconds_bucket{op=\"w\",le=\"0.0001\"} 3\n",
        "lat_seconds_bucket{op=\"w\",le=\"0.0005\"} 3\n",
        "lat_seconds_bucket{op=\"w\",le=\"0.001\"} 4\n",
        "lat_seconds_bucket{op=\"w\",le=\"10\"} 5\n",
        "lat_seconds_bucket{op=\"w\",le=\"+Inf\"} 6\n",
        "lat_seconds_sum{op=\"w\"} 20.001102\n",
        "lat_seconds_count{op=\"w\"} 6\n",
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ck_assert_msg(strstr(text, expected[i]) != NULL, "no %s in %s", expected[i], text);
    }
    free(text);
    metrics_free(m);
}
END_TEST

START_TEST(histogram_without_labels_has_no_empty_braces)
{
    struct metrics *m = metrics_new();
    histogram_observe_us(metrics_histogram(m, "h", NULL, "H."), 1);
    char *text = printed(m);
    ck_assert_ptr_nonnull(strstr(text, "\nh_bucket{le=\"5e-05\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nh_sum 0.000001\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nh_count 1\n"));
    free(text);
    metrics_free(m);
}
END_TEST

START_TEST(missing_handles_are_ignored)
{
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    histogram_observe_us(NULL, 1);
    ck_assert_int_eq(metric_value(NULL), 0);
}
END_TEST

START_TEST(a_series_that_is_removed_is_not_shown_and_begins_anew)
{
    struct metrics *m = metrics_new();
    metric_add(metrics_counter(m, "a", "x=\"1\"", "A."), 1);
    metric_add(metrics_counter(m, "a", "x=\"2\"", "A."), 2);
    metric_add(metrics_counter(m, "b", "x=\"1\"", "B."), 3);
    metrics_remove(m, "a", "x=\"1\"");
    metrics_remove(m, "b", "x=\"1\""); /* and with it the family */
    metrics_remove(m, "b", "x=\"1\"");
    metrics_remove(m, "a", "x=\"3\"");
    char *text = printed(m);
    ck_assert_str_eq(text, "# HELP a A.\n# TYPE a counter\na{x=\"2\"} 2\n");
    free(text);
    ck_assert_int_eq(metric_value(metrics_counter(m, "a", "x=\"1\"", "A.")), 0);
    metrics_free(m);
}
END_TEST

static Suite *metrics_suite(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tc = tcase_create("metrics");
    tcase_add_test(tc, families_are_sorted_and_their_series_stay_together);
    tcase_add_test(tc, numbers_are_shown_whole_at_both_ends);
    tcase_add_test(tc, time_is_counted_in_microseconds_and_shown_in_seconds);
    tcase_add_test(tc, same_name_and_labels_give_the_same_handle);
    tcase_add_test(tc, histogram_buckets_are_cumulative_and_inclusive);
    tcase_add_test(tc, histogram_without_labels_has_no_empty_braces);
    tcase_add_test(tc, missing_handles_are_ignored);
    tcase_add_test(tc, a_series_that_is_removed_is_not_shown_and_begins_anew);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){metrics_suite, NULL});
}
