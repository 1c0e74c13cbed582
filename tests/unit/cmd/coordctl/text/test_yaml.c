#include "cmd/coordctl/text/yaml.h"

#include "tests/support/check_main.h"

static void expect_yaml(const char *json, const char *wanted)
{
    struct buf out = {0};
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(value);
    yaml_append(&out, value);
    buf_append(&out, "", 1);
    ck_assert_str_eq((const char *)out.data, wanted);
    buf_close(&out);
    json_decref(value);
}

START_TEST(objects_and_arrays_are_blocks)
{
    expect_yaml("{\"a\": 1, \"b\": {\"c\": true, \"d\": null}}",
                "a: 1\nb:\n  c: true\n  d: null\n");
    expect_yaml("[1, [2, 3], {\"a\": 1, \"b\": [4]}]",
                "- 1\n- - 2\n  - 3\n- a: 1\n  b:\n    - 4\n");
    expect_yaml("{\"a\": {}, \"b\": []}", "a: {}\nb: []\n");
    expect_yaml("[]", "[]\n");
    expect_yaml("{\"cpu\": 0.35}", "cpu: 0.35\n");
}
END_TEST

START_TEST(texts_that_mean_something_else_are_quoted)
{
    expect_yaml("[\"/app/x.y-z\", \"plain\", \"two words\", \"\", \"-5\", \"12\"]",
                "- /app/x.y-z\n- plain\n- \"two words\"\n- \"\"\n- \"-5\"\n- \"12\"\n");
    expect_yaml("[\"true\", \"no\", \"Null\", \"1e3\", \"~\", \"a: b\", \"#x\"]",
                "- \"true\"\n- \"no\"\n- \"Null\"\n- \"1e3\"\n- \"~\"\n- \"a: b\"\n- \"#x\"\n");
    expect_yaml("{\"y\": \"a\\nb\\t\\u0001\"}", "\"y\": \"a\\nb\\t\\u0001\"\n");
}
END_TEST

START_TEST(what_is_very_deep_is_json)
{
    struct buf json = {0};
    struct buf out = {0};
    for (int i = 0; i < 200; i++) {
        buf_append_str(&json, "[");
    }
    buf_append_str(&json, "1");
    for (int i = 0; i < 200; i++) {
        buf_append_str(&json, "]");
    }
    json_t *value = json_loadb((const char *)json.data, json.size, 0, NULL);
    ck_assert_ptr_nonnull(value);
    yaml_append(&out, value);
    ck_assert_uint_eq(out.data[0], '-');
    ck_assert_uint_eq(out.data[64], '[');
    ck_assert_uint_eq(out.data[out.size - 1], '\n');
    json_decref(value);
    buf_close(&json);
    buf_close(&out);
}
END_TEST

static Suite *yaml_suite(void)
{
    Suite *suite = suite_create("yaml");
    TCase *tests = tcase_create("yaml");
    tcase_add_test(tests, objects_and_arrays_are_blocks);
    tcase_add_test(tests, texts_that_mean_something_else_are_quoted);
    tcase_add_test(tests, what_is_very_deep_is_json);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){yaml_suite, NULL});
}
