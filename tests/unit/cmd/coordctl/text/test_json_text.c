#include "cmd/coordctl/text/json_text.h"

#include <stdlib.h>

#include "tests/support/check_main.h"

static void expect_text(const char *json, const char *wanted)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(value);
    char *text = json_text(value, JSON_COMPACT);
    ck_assert_str_eq(text, wanted);
    json_t *again = json_loads(text, JSON_DECODE_ANY, NULL);
    ck_assert(json_equal(again, value));
    free(text);
    json_decref(again);
    json_decref(value);
}

START_TEST(numbers_are_said_as_they_were)
{
    expect_text("0.1", "0.1");
    expect_text("{\"cpu\": 0.35, \"all\": [1, 2.5, -0.7]}", "{\"cpu\":0.35,\"all\":[1,2.5,-0.7]}");
    expect_text("9007199254740993", "9007199254740993");
    expect_text("1.5e300", "1.5e300");
}
END_TEST

START_TEST(digits_that_tell_doubles_apart_stay)
{
    expect_text("0.10000000000000002", "0.10000000000000002"); /* 17 */
    expect_text("0.3000000000000004", "0.3000000000000004");   /* 16 */
}
END_TEST

START_TEST(what_is_no_number_is_as_ever)
{
    expect_text("null", "null");
    expect_text("\"a \\\"b\\\"\\n\"", "\"a \\\"b\\\"\\n\"");
    expect_text("{\"b\": true, \"a\": {}}", "{\"b\":true,\"a\":{}}");
}
END_TEST

static Suite *json_text_suite(void)
{
    Suite *suite = suite_create("json_text");
    TCase *tests = tcase_create("json_text");
    tcase_add_test(tests, numbers_are_said_as_they_were);
    tcase_add_test(tests, digits_that_tell_doubles_apart_stay);
    tcase_add_test(tests, what_is_no_number_is_as_ever);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){json_text_suite, NULL});
}
