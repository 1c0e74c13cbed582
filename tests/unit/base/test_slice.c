/* Slices: comparing, and numbers in text. */
#include "base/slice.h"

#include "tests/support/check_main.h"

START_TEST(a_slice_begins_with_its_prefixes_alone)
{
    ck_assert(slice_begins(slice_str("abc"), slice_str("ab")));
    ck_assert(slice_begins(slice_str("abc"), slice_str("abc")));
    ck_assert(slice_begins(slice_str("abc"), slice_make(NULL, 0)));
    ck_assert(slice_begins(slice_make(NULL, 0), slice_make(NULL, 0)));
    ck_assert(!slice_begins(slice_str("abc"), slice_str("abcd")));
    ck_assert(!slice_begins(slice_str("abc"), slice_str("b")));
    ck_assert(!slice_begins(slice_make(NULL, 0), slice_str("a")));
}
END_TEST

START_TEST(a_prefix_comes_before_what_it_begins)
{
    ck_assert_int_lt(slice_compare(slice_str("ab"), slice_str("abc")), 0);
    ck_assert_int_lt(slice_compare(slice_make(NULL, 0), slice_str("a")), 0);
    ck_assert_int_gt(slice_compare(slice_str("b"), slice_str("abc")), 0);
    ck_assert_int_eq(slice_compare(slice_str("ab"), slice_str("ab")), 0);
}
END_TEST

START_TEST(a_number_has_one_text)
{
    uint64_t number = 1;
    ck_assert(slice_number(slice_str("0"), &number) && number == 0);
    ck_assert(slice_number(slice_str("18446744073709551615"), &number) && number == UINT64_MAX);
    static const char *const unfit[] = {"", "00", "01", "-1", "+1", " 1", "1x",
                                        "18446744073709551616"};
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
        ck_assert_msg(!slice_number(slice_str(unfit[i]), &number), "\"%s\"", unfit[i]);
    }
}
END_TEST

static Suite *slice_suite(void)
{
    Suite *suite = suite_create("slice");
    TCase *tcase = tcase_create("slice");
    tcase_add_test(tcase, a_slice_begins_with_its_prefixes_alone);
    tcase_add_test(tcase, a_prefix_comes_before_what_it_begins);
    tcase_add_test(tcase, a_number_has_one_text);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){slice_suite, NULL});
}
