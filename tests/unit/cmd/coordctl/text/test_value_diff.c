#include "cmd/coordctl/text/value_diff.h"

#include "tests/support/check_main.h"

static void expect_diff(const char *before, const char *after, const char *wanted)
{
    struct buf out = {0};
    value_diff(&out, slice_str(before), slice_str(after), "  ", false);
    buf_append(&out, "", 1);
    ck_assert_str_eq((const char *)out.data, wanted);
    buf_close(&out);
}

START_TEST(short_texts_stay_in_the_line)
{
    expect_diff("debug", "info", " debug -> info");
    expect_diff("", "x", "  -> x");
    expect_diff("1", "2", " 1 -> 2");
    expect_diff("same", "same", "");
}
END_TEST

START_TEST(longer_texts_are_compared_by_lines)
{
    expect_diff("a\nb\n", "a\nc\n", "  @@ -1,2 +1,2 @@\n   a\n  -b\n  +c\n");
    expect_diff("x", "x\n", "  only the newline at the end differs\n");
    expect_diff("a\nb\n", "a\nb", "  only the newline at the end differs\n");
    expect_diff("a\nb\n", "a\nb\n", "");
}
END_TEST

START_TEST(json_is_compared_by_fields)
{
    expect_diff("{\"a\": 1, \"b\": {\"c\": true}}", "{\"b\": {\"c\": false}, \"a\": 1}",
                "  .b.c: true -> false\n");
    expect_diff("{\"a\": 1}", "{\"b\": \"x\"}", "  .a: 1 (gone)\n  .b: \"x\" (new)\n");
    expect_diff("[1, 2, 3]", "[1, 5]", "  [1]: 2 -> 5\n  [2]: 3 (gone)\n");
    expect_diff("{\"a\": [1]}", "{\"a\": {}}", "  .a: [1] -> {}\n");
    expect_diff("{\"a\": 0.1}", "{\"a\": 0.35}", "  .a: 0.1 -> 0.35\n");
    expect_diff("{\"a\":1}", "{ \"a\": 1 }", "  the same values, written differently\n");
    expect_diff("{\"a\":1}", "[1]", " {\"a\":1} -> [1]");
}
END_TEST

START_TEST(json_of_any_depth_is_shown)
{
    struct buf values[2] = {{0}, {0}};
    struct buf out = {0};
    for (int v = 0; v < 2; v++) {
        for (int i = 0; i < 100; i++) {
            buf_append_str(&values[v], "[");
        }
        buf_append_str(&values[v], v == 0 ? "1" : "2");
        for (int i = 0; i < 100; i++) {
            buf_append_str(&values[v], "]");
        }
    }
    value_diff(&out, buf_slice(&values[0]), buf_slice(&values[1]), "", false);
    ck_assert_uint_gt(out.size, 0);
    ck_assert_int_eq(out.data[out.size - 1], '\n');
    buf_close(&out);
    buf_close(&values[0]);
    buf_close(&values[1]);
}
END_TEST

START_TEST(what_is_no_text_is_shown_by_its_size)
{
    struct buf out = {0};
    value_diff(&out, slice_make("\xff\xfe", 2), slice_str("text"), "", false);
    buf_append(&out, "", 1);
    ck_assert_str_eq((const char *)out.data, " (2 bytes) -> text");
    buf_close(&out);
}
END_TEST

START_TEST(what_a_terminal_takes_for_a_command_is_escaped)
{
    expect_diff("a\tb\n", "\033[2J\x7f\xc2\x9b\xc2\xa0\n",
                "  @@ -1,1 +1,1 @@\n  -a\tb\n  +\\u001B[2J\\u007F\\u009B\xc2\xa0\n");
    struct buf out = {0};
    value_show(&out, slice_str("\033[2J\x7f\xc2\x9b\xc2\xa0"));
    buf_append(&out, "", 1);
    ck_assert_str_eq((const char *)out.data, "\"\\u001B[2J\\u007F\\u009B\xc2\xa0\"");
    buf_close(&out);
    expect_diff("{\"a\": 1}", "{\"a\": \"\xc2\x9b\"}", "  .a: 1 -> \"\\u009B\"\n");
}
END_TEST

START_TEST(colours_are_there_only_when_asked_for)
{
    struct buf out = {0};
    value_diff(&out, slice_str("a"), slice_str("b"), "", true);
    buf_append(&out, "", 1);
    ck_assert_str_eq((const char *)out.data, " \033[31ma\033[0m -> \033[32mb\033[0m");
    buf_close(&out);
}
END_TEST

static Suite *value_diff_suite(void)
{
    Suite *suite = suite_create("value_diff");
    TCase *tests = tcase_create("value_diff");
    tcase_add_test(tests, short_texts_stay_in_the_line);
    tcase_add_test(tests, longer_texts_are_compared_by_lines);
    tcase_add_test(tests, json_is_compared_by_fields);
    tcase_add_test(tests, json_of_any_depth_is_shown);
    tcase_add_test(tests, what_is_no_text_is_shown_by_its_size);
    tcase_add_test(tests, what_a_terminal_takes_for_a_command_is_escaped);
    tcase_add_test(tests, colours_are_there_only_when_asked_for);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){value_diff_suite, NULL});
}
