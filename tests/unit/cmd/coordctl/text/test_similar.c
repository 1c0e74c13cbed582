#include "cmd/coordctl/text/similar.h"

#include "tests/support/check_main.h"

static const char *best(const char *typed, char text[SIMILAR_BYTES_MAX + 32])
{
    static const char *const words[] = {"create", "get", "set", "watch", "session", "status"};
    struct similar s;
    similar_begin(&s, typed);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        similar_offer(&s, words[i]);
    }
    return similar_text(&s, text);
}

START_TEST(distance_counts_what_a_typist_does_wrong)
{
    ck_assert_uint_eq(similar_distance("watch", "watch"), 0);
    ck_assert_uint_eq(similar_distance("wathc", "watch"), 1);
    ck_assert_uint_eq(similar_distance("wach", "watch"), 1);
    ck_assert_uint_eq(similar_distance("wattch", "watch"), 1);
    ck_assert_uint_eq(similar_distance("match", "watch"), 1);
    ck_assert_uint_eq(similar_distance("", "watch"), 5);
    ck_assert_uint_eq(similar_distance("abc", "xyz"), 3);
}
END_TEST

START_TEST(the_nearest_word_is_proposed)
{
    char text[SIMILAR_BYTES_MAX + 32];
    ck_assert_str_eq(best("craete", text), ", did you mean create?");
    ck_assert_str_eq(best("wacth", text), ", did you mean watch?");
    ck_assert_str_eq(best("statsu", text), ", did you mean status?");
    ck_assert_str_eq(best("sesion", text), ", did you mean session?");
}
END_TEST

START_TEST(what_is_far_from_all_is_left_alone)
{
    char text[SIMILAR_BYTES_MAX + 32];
    char longer[200];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    ck_assert_str_eq(best("frobnicate", text), "");
    ck_assert_str_eq(best("x", text), "");
    ck_assert_str_eq(best("", text), "");
    ck_assert_str_eq(best(longer, text), "");
}
END_TEST

static Suite *similar_suite(void)
{
    Suite *suite = suite_create("similar");
    TCase *tests = tcase_create("similar");
    tcase_add_test(tests, distance_counts_what_a_typist_does_wrong);
    tcase_add_test(tests, the_nearest_word_is_proposed);
    tcase_add_test(tests, what_is_far_from_all_is_left_alone);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){similar_suite, NULL});
}
