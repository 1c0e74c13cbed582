#include "cmd/coordctl/text/path.h"

#include "tests/support/check_main.h"

static void expect_path(const char *where, const char *word, const char *wanted)
{
    struct buf out = {0};
    path_resolve(&out, where, word);
    ck_assert_str_eq((const char *)out.data, wanted);
    ck_assert_uint_eq(out.size, strlen(wanted));
    buf_close(&out);
}

START_TEST(a_word_is_seen_from_where_one_is)
{
    expect_path("/", "a", "/a");
    expect_path("/app", "config", "/app/config");
    expect_path("/app", "/other", "/other");
    expect_path("/app", "", "/app");
    expect_path("/app", ".", "/app");
    expect_path("/app/x", "..", "/app");
    expect_path("/app/x", "../y/./z", "/app/y/z");
}
END_TEST

START_TEST(nothing_is_above_the_root)
{
    expect_path("/", "..", "/");
    expect_path("/a", "../../..", "/");
    expect_path("/a", "../../b", "/b");
}
END_TEST

START_TEST(slashes_too_many_do_not_count)
{
    expect_path("/", "/app//config/", "/app/config");
    expect_path("/app", "x//y/", "/app/x/y");
    expect_path("/app", "...", "/app/...");
}
END_TEST

static Suite *path_suite(void)
{
    Suite *suite = suite_create("path");
    TCase *tests = tcase_create("path");
    tcase_add_test(tests, a_word_is_seen_from_where_one_is);
    tcase_add_test(tests, nothing_is_above_the_root);
    tcase_add_test(tests, slashes_too_many_do_not_count);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){path_suite, NULL});
}
