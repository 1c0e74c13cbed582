/* JSON schemas: each rule with a value that it lets in and one that it does not, what is refused
 * when a schema is set, and that nothing a client brings can cost too much. */
#include "net/config/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "net/config/pattern.h"
#include "tests/support/check_main.h"

static const struct {
    const char *schema;
    const char *good;
    const char *bad;
    const char *why; /* of the bad one */
} rules[] = {
    {"{\"type\":\"integer\"}", "3", "3.5", "at /: type: must be integer"},
    {"{\"type\":\"integer\"}", "3.0", "\"3\"", "at /: type: must be integer"},
    {"{\"type\":[\"string\",\"null\"]}", "null", "1", "at /: type: must be string or null"},
    {"{\"type\":\"number\"}", "1e3", "true", "at /: type: must be number"},
    {"{\"type\":\"boolean\"}", "false", "0", "at /: type: must be boolean"},
    {"{\"enum\":[\"a\",1]}", "1.0", "\"b\"", "at /: enum: must be one of [\"a\",1]"},
    {"{\"const\":{\"a\":1}}", "{\"a\":1}", "{\"a\":2}", "at /: const: must be {\"a\":1}"},
    {"{\"minimum\":1}", "1", "0", "at /: minimum: 0, must be at least 1"},
    {"{\"maximum\":9007199254740993}", "9007199254740993", "9007199254740994",
     "at /: maximum: 9007199254740994, must be at most 9007199254740992"},
    {"{\"exclusiveMinimum\":1}", "1.5", "1", "at /: exclusiveMinimum: 1, must be above 1"},
    {"{\"exclusiveMaximum\":1}", "0.5", "1", "at /: exclusiveMaximum: 1, must be below 1"},
    {"{\"minLength\":2}", "\"\\u00e9\\u00e9\"", "\"\\u00e9\"",
     "at /: minLength: 1 characters, must be at least 2"},
    {"{\"maxLength\":1}", "\"\\u00e9\"", "\"ab\"",
     "at /: maxLength: 2 characters, must be at most 1"},
    {"{\"pattern\":\"^[a-z]+$\"}", "\"abc\"", "\"aBc\"",
     "at /: pattern: does not match ^[a-z]+$"},
    {"{\"pattern\":\"^([0-9]{1,3}\\\\.){3}[0-9]{1,3}$\"}", "\"10.0.0.255\"", "\"10.0.0\"",
     "at /: pattern: does not match ^([0-9]{1,3}\\.){3}[0-9]{1,3}$"},
    {"{\"pattern\":\"b$|^$|[]x]\"}", "\"a]\"", "\"ba\"",
     "at /: pattern: does not match b$|^$|[]x]"},
    {"{\"properties\":{\"a\":{\"properties\":{\"b\":{\"type\":\"null\"}}}}}",
     "{\"a\":{\"b\":null}}", "{\"a\":{\"b\":0}}", "at /a/b: type: must be null"},
    {"{\"required\":[\"a\"]}", "{\"a\":0}", "{}", "at /: required: \"a\" is missing"},
    {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"a\":0}", "{\"b\":0}",
     "at /: additionalProperties: \"b\" is not allowed"},
    {"{\"additionalProperties\":{\"type\":\"null\"}}", "{\"b\":null}", "{\"b\":0}",
     "at /b: type: must be null"},
    {"{\"maxProperties\":1}", "{\"a\":1}", "{\"a\":1,\"b\":2}",
     "at /: maxProperties: 2 properties, must be at most 1"},
    {"{\"items\":{\"minimum\":3}}", "[3,4]", "[3,2]", "at /1: minimum: 2, must be at least 3"},
    {"{\"minItems\":1}", "[0]", "[]", "at /: minItems: 0 items, must be at least 1"},
    {"{\"uniqueItems\":true}", "[1,2]", "[1,2,1.0]",
     "at /: uniqueItems: items 0 and 2 are the same"},
    {"{\"allOf\":[{\"minimum\":1},{\"maximum\":2}]}", "2", "3",
     "at /: maximum: 3, must be at most 2"},
    {"{\"anyOf\":[{\"const\":1},{\"const\":2}]}", "2", "3",
     "at /: anyOf: none of the 2 schemas holds"},
    {"{\"oneOf\":[{\"minimum\":1},{\"maximum\":3}]}", "5", "2",
     "at /: oneOf: 2 of the 2 schemas hold, must be one"},
    {"{\"not\":{\"const\":1}}", "2", "1", "at /: not: the schema holds, must not"},
    {"{\"$ref\":\"#/$defs/a~1b\",\"$defs\":{\"a/b\":{\"type\":\"null\"}}}", "null", "1",
     "at /: type: must be null"},
    {"{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"required\":[\"v\"]}",
     "{\"v\":1,\"next\":{\"v\":2}}", "{\"v\":1,\"next\":{}}",
     "at /next: required: \"v\" is missing"},
    {"false", NULL, "1", "at /: false: nothing is allowed here"},
};

static enum status validate(const char *schema, const char *value, struct errmsg *err)
{
    return schema_validate(slice_str(schema), slice_str(value), err);
}

START_TEST(each_rule_lets_in_what_it_should_and_names_place_and_rule_of_what_not)
{
    struct errmsg err;
    ck_assert_msg(schema_check(slice_str(rules[_i].schema), &err) == RC_OK, "%s: %s",
                  rules[_i].schema, err.text);
    if (rules[_i].good != NULL) {
        ck_assert_msg(validate(rules[_i].schema, rules[_i].good, &err) == RC_OK, "%s",
                      err.text);
    }
    ck_assert_int_eq(validate(rules[_i].schema, rules[_i].bad, &err), RC_INVALID);
    ck_assert_str_eq(err.text, rules[_i].why);
}
END_TEST

static const struct {
    const char *schema;
    const char *why;
} unfit[] = {
    {"{", "the schema is no JSON: line 1: string or '}' expected near end of file"},
    {"7", "at /: schema: an object, true or false"},
    {"{\"typ\":1}", "at /: typ: this word is not supported"},
    {"{\"format\":\"date\"}", "at /: format: this word is not supported"},
    {"{\"type\":\"text\"}",
     "at /: type: null, boolean, object, array, number, string or integer, "
     "or a list of them"},
    {"{\"minimum\":\"1\"}", "at /: minimum: takes a number"},
    {"{\"minLength\":-1}", "at /: minLength: takes a whole number from 0 on"},
    {"{\"uniqueItems\":1}", "at /: uniqueItems: takes true or false"},
    {"{\"required\":[1]}", "at /: required: takes a list of names"},
    {"{\"enum\":[]}", "at /: enum: takes a list that is not empty"},
    {"{\"properties\":{\"a\":{\"items\":3}}}",
     "at /properties/a/items: schema: an object, true or "
     "false"},
    {"{\"anyOf\":[true,1]}", "at /anyOf/1: schema: an object, true or false"},
    {"{\"$ref\":\"#/$defs/b\"}", "at /: $ref: leads to no schema in this document"},
    {"{\"$ref\":\"http://elsewhere/\"}", "at /: $ref: leads to no schema in this document"},
    {"{\"pattern\":\"(\"}", "at /: pattern: not a POSIX extended regular expression"},
    {"{\"pattern\":\"(a)\\\\1\"}", "at /: pattern: back-references are not possible"},
    {"{\"pattern\":\"((a{50}){50}){50}\"}",
     "at /: pattern: repetitions {m,n} multiply to more than 256"},
    {"{\"pattern\":\"a)\"}", "at /: pattern: not a POSIX extended regular expression"},
    {"{\"pattern\":\"[[:alpha:]\"}", "at /: pattern: not a POSIX extended regular expression"},
    {"{\"pattern\":\"(a?a?a?a?a?a?a?a?){33}\"}",
     "at /: pattern: more than 256 choices (?, *, +, |, {0,n}) with its repetitions written "
     "out"},
    {"{\"pattern\":\"((a|b|c){10}c){25}\"}", "at /: pattern: more than 256 choices (?, *, +, "
                                             "|, {0,n}) with its repetitions written out"},
    {"{\"pattern\":\"(a{3}[]{0,9}[:alpha:]]\\\\{aaaaaaaaaaaaaaaaaaaab){80}\"}",
     "at /: pattern: more than 2048 characters with its repetitions written out"},
    {"{\"pattern\":\"(((((((((a*)*)*)*)*)*)*)*)*)\"}",
     "at /: pattern: loops (*, +, {m,}) within loops are too many"},
    {"{\"a\":1,\"a\":2}", "the schema is no JSON: line 1: duplicate object key near '\"a\"'"},
};

START_TEST(a_schema_that_could_be_misunderstood_is_refused_when_it_is_set)
{
    struct errmsg err;
    ck_assert_int_eq(schema_check(slice_str(unfit[_i].schema), &err), RC_INVALID);
    ck_assert_str_eq(err.text, unfit[_i].why);
}
END_TEST

static void repeat(struct buf *b, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        buf_append_str(b, text);
    }
}

START_TEST(references_in_circles_and_towers_of_choices_end)
{
    struct errmsg err;
    struct buf tower = {0};
    const char *circle = "{\"$ref\":\"#\"}";
    ck_assert_int_eq(schema_check(slice_str(circle), &err), RC_OK);
    ck_assert_int_eq(validate(circle, "1", &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "are not looked at"));

    /* Each name tries the next one twice: 2^40 ways. */
    buf_append_str(&tower, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 40; i++) {
        buf_printf(
            &tower,
            "\"d%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},", i,
            i + 1, i + 1);
    }
    buf_append_str(&tower, "\"d40\":false}}");
    ck_assert_int_eq(schema_check(buf_slice(&tower), &err), RC_OK);
    ck_assert_int_eq(schema_validate(buf_slice(&tower), slice_str("1"), &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "are not looked at"));
    buf_close(&tower);
}
END_TEST

START_TEST(deep_and_large_documents_and_schemas_are_refused_and_not_survived_by_luck)
{
    struct errmsg err;
    struct buf deep = {0};
    repeat(&deep, "[", 100000);
    ck_assert_int_eq(
        schema_validate(slice_str("{\"items\":{\"$ref\":\"#\"}}"), buf_slice(&deep), &err),
        RC_INVALID);
    buf_clear(&deep);
    repeat(&deep, "[", 200);
    repeat(&deep, "]", 200);
    ck_assert_int_eq(
        schema_validate(slice_str("{\"items\":{\"$ref\":\"#\"}}"), buf_slice(&deep), &err),
        RC_INVALID);
    buf_clear(&deep);
    repeat(&deep, "{\"not\":", 100);
    buf_append_str(&deep, "true");
    repeat(&deep, "}", 100);
    ck_assert_int_eq(schema_check(buf_slice(&deep), &err), RC_INVALID);
    buf_clear(&deep);
    buf_append_str(&deep, "\"");
    repeat(&deep, "a", SCHEMA_BYTES_MAX);
    buf_append_str(&deep, "\"");
    ck_assert_int_eq(schema_check(buf_slice(&deep), &err), RC_TOO_LARGE);
    ck_assert_int_eq(schema_validate(slice_str("{\"pattern\":\"a\"}"), buf_slice(&deep), &err),
                     RC_INVALID);
    ck_assert_str_eq(err.text, "at /: pattern: 65536 bytes, at most 4096 are matched");
    buf_close(&deep);
}
END_TEST

/* Each of them, or all of them together, would take the event loop for seconds. */
START_TEST(patterns_cost_little_however_many_and_whatever_they_are_matched_with)
{
    struct errmsg err;
    struct buf b = {0};
    buf_append_str(&b, "{\"pattern\":\"(");
    repeat(&b, "a?", 124);
    buf_append_str(&b, "){256}\"}");
    ck_assert_int_eq(schema_check(buf_slice(&b), &err), RC_INVALID);
    ck_assert_int_eq(schema_validate(buf_slice(&b), slice_str("\"a\""), &err), RC_INVALID);
    buf_clear(&b);

    buf_append_str(&b, "{\"allOf\":[");
    repeat(&b, "{\"pattern\":\"(a?a?a?a?a?a?a?a?){31}\"},", 1000);
    buf_append_str(&b, "true]}");
    ck_assert_int_eq(schema_check(buf_slice(&b), &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "are not looked at"));
    buf_clear(&b);

    buf_append_str(&b, "\"");
    repeat(&b, "ab", 2000);
    buf_append_str(&b, "\"");
    const char *schema = "{\"pattern\":\"[ab]*a([ab]{8}){25}c\"}";
    ck_assert_int_eq(schema_check(slice_str(schema), &err), RC_OK);
    ck_assert_int_eq(schema_validate(slice_str(schema), buf_slice(&b), &err), RC_INVALID);
    buf_close(&b);
}
END_TEST

START_TEST(what_a_rule_compares_and_quotes_is_counted_and_a_call_has_an_end)
{
    struct errmsg err;
    struct buf b = {0};
    struct schema_checks checks = {0};
    buf_append_str(&b, "{\"items\":{\"enum\":[");
    repeat(&b, "1,", 10000);
    buf_append_str(&b, "2]}}");
    ck_assert_int_eq(schema_check(buf_slice(&b), &err), RC_OK);
    ck_assert_int_eq(schema_validate(buf_slice(&b), slice_str("[2,2]"), &err), RC_OK);
    ck_assert_int_eq(schema_validate(buf_slice(&b), slice_str("[2,2,2,2,2,2,2,2,2,2,2]"), &err),
                     RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "are not looked at"));
    enum status rc = RC_OK;
    for (int i = 0; rc == RC_OK && i < 1000; i++) {
        rc = schema_checks_validate(&checks, buf_slice(&b), slice_str("[2,2]"), &err);
    }
    ck_assert_int_eq(rc, RC_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(err.text, "ask for fewer"));
    schema_checks_close(&checks);
    buf_close(&b);
}
END_TEST

START_TEST(all_bytes_of_a_value_are_looked_at)
{
    struct errmsg err;
    ck_assert_int_eq(validate("true", "1", &err), RC_OK);
    ck_assert_int_eq(validate("true", "1 2", &err), RC_INVALID);
    ck_assert_int_eq(validate("true", "", &err), RC_INVALID);
    ck_assert_int_eq(validate("true", "\"\xff\"", &err), RC_INVALID);
    ck_assert_int_eq(schema_validate(slice_str("true"), slice_make("1\0", 2), &err),
                     RC_INVALID);
}
END_TEST

static Suite *schema_suite(void)
{
    Suite *suite = suite_create("config_schema");
    TCase *tcase = tcase_create("config_schema");
    tcase_add_loop_test(tcase,
                        each_rule_lets_in_what_it_should_and_names_place_and_rule_of_what_not,
                        0, sizeof rules / sizeof rules[0]);
    tcase_add_loop_test(tcase, a_schema_that_could_be_misunderstood_is_refused_when_it_is_set,
                        0, sizeof unfit / sizeof unfit[0]);
    tcase_add_test(tcase, references_in_circles_and_towers_of_choices_end);
    tcase_add_test(tcase,
                   deep_and_large_documents_and_schemas_are_refused_and_not_survived_by_luck);
    tcase_add_test(tcase, patterns_cost_little_however_many_and_whatever_they_are_matched_with);
    tcase_add_test(tcase, what_a_rule_compares_and_quotes_is_counted_and_a_call_has_an_end);
    tcase_add_test(tcase, all_bytes_of_a_value_are_looked_at);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){schema_suite, NULL});
}
