#include "cmd/coordctl/text/foreign.h"

#include "tests/support/check_main.h"

START_TEST(words_of_other_stores_are_answered)
{
    ck_assert_str_eq(foreign_answer(NULL, "deleteall"), "rm PATH --recursive");
    ck_assert_str_eq(foreign_answer(NULL, "getAcl"), "acl get PATH");
    ck_assert_str_eq(foreign_answer("lease", "timetolive"), "lease ttl ID");
}
END_TEST

START_TEST(other_words_are_not)
{
    ck_assert_ptr_null(foreign_answer(NULL, "frob"));
    ck_assert_ptr_null(foreign_answer(NULL, ""));
    ck_assert_ptr_null(foreign_answer(NULL, "timetolive"));
    ck_assert_ptr_null(foreign_answer("session", "timetolive"));
    ck_assert_ptr_null(foreign_answer("lease", "put"));
}
END_TEST

START_TEST(an_option_means_what_it_does_at_its_command_first)
{
    ck_assert_str_eq(foreign_answer("get", "-w"), "watch PATH");
    ck_assert_str_eq(foreign_answer("ls", "-w"), "--output FORMAT");
    ck_assert_str_eq(foreign_answer(NULL, "-w"), "--output FORMAT");
    ck_assert_str_eq(foreign_answer("ls", "-s"), "-l");
    ck_assert_ptr_null(foreign_answer("watch", "-s"));
}
END_TEST

static Suite *foreign_suite(void)
{
    Suite *suite = suite_create("foreign");
    TCase *words = tcase_create("words");
    tcase_add_test(words, words_of_other_stores_are_answered);
    tcase_add_test(words, other_words_are_not);
    tcase_add_test(words, an_option_means_what_it_does_at_its_command_first);
    suite_add_tcase(suite, words);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){foreign_suite, NULL});
}
