#include "client/endpoint.h"

#include <string.h>

#include "tests/support/check_main.h"

static struct endpoint found[ENDPOINTS_MAX];
static char why[400];

static void expect_one(const char *text, const char *host, const char *port, const char *name)
{
    ck_assert_msg(endpoints_parse(text, found, why, sizeof why) == 1, "%s", text);
    ck_assert_str_eq(found[0].host, host);
    ck_assert_str_eq(found[0].port, port);
    ck_assert_str_eq(found[0].name, name);
}

static void expect_refused(const char *text)
{
    why[0] = '\0';
    ck_assert_msg(endpoints_parse(text, found, why, sizeof why) == 0, "%s", text);
    ck_assert_str_ne(why, "");
}

START_TEST(names_and_addresses_with_and_without_port)
{
    expect_one("node1:7401", "node1", "7401", "node1:7401");
    expect_one("node1", "node1", "7400", "node1:7400");
    expect_one("192.0.2.1:1", "192.0.2.1", "1", "192.0.2.1:1");
    expect_one("[::1]:65535", "::1", "65535", "[::1]:65535");
    expect_one("[fe80::1%eth0]", "fe80::1%eth0", "7400", "[fe80::1%eth0]:7400");
}
END_TEST

START_TEST(lists_keep_their_order)
{
    ck_assert_uint_eq(endpoints_parse("a:1,[::1]:2,c", found, why, sizeof why), 3);
    ck_assert_str_eq(found[0].name, "a:1");
    ck_assert_str_eq(found[1].name, "[::1]:2");
    ck_assert_str_eq(found[2].name, "c:7400");
}
END_TEST

START_TEST(what_is_no_endpoint_is_refused)
{
    static const char *const texts[] = {
        "",         ":7400",    "a:",   "a:0",  "a:65536", "a:-1",          "a:+5",  "a: 5",
        "a:5x",     "a:1:2",    "::1",  "[::1", "[::1]x",  "[::1]:",        "[]:1",  ",",
        "a,",       ",a",       "a,,b", "a b",  " a",      "http://a:7400", "u@h:1", "a]:1",
        "a:123456", "[[::1]]:1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        expect_refused(texts[i]);
    }
    expect_refused("good:1,bad port:2");
    ck_assert_str_eq(why, "endpoint \"bad port:2\" is not HOST:PORT");
    expect_refused("http://a:7400");
    ck_assert_str_eq(why, "endpoint \"http://a:7400\" is not HOST:PORT; the whole list may begin "
                          "with coord:// or, for TLS, coords://");
}
END_TEST

START_TEST(limits_hold)
{
    char text[70 * 4 + 1] = "";
    char host[302];
    for (size_t i = 0; i < ENDPOINTS_MAX; i++) {
        strcat(text, i == 0 ? "a:1" : ",a:1");
    }
    ck_assert_uint_eq(endpoints_parse(text, found, why, sizeof why), ENDPOINTS_MAX);
    strcat(text, ",a:1");
    expect_refused(text);

    for (size_t size = 250; size < sizeof host - 1; size++) {
        memset(host, 'h', size);
        host[size] = '\0';
        ck_assert_uint_eq(endpoints_parse(host, found, why, sizeof why), size < 256 ? 1 : 0);
    }
}
END_TEST

START_TEST(a_scheme_stands_in_front_of_all)
{
    static const struct {
        const char *text;
        enum endpoint_scheme scheme;
        const char *rest;
    } cases[] = {{"coords://a:1,b", ENDPOINT_TLS, "a:1,b"},
                 {"coord://a:1,b", ENDPOINT_PLAIN, "a:1,b"},
                 {"a:1,b", ENDPOINT_NONE, "a:1,b"},
                 {"https://a", ENDPOINT_NONE, "https://a"},
                 {"", ENDPOINT_NONE, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = cases[i].text;
        ck_assert_int_eq(endpoints_scheme(&text), cases[i].scheme);
        ck_assert_str_eq(text, cases[i].rest);
    }
}
END_TEST

static Suite *endpoint_suite(void)
{
    Suite *s = suite_create("endpoint");
    TCase *t = tcase_create("parse");
    tcase_add_test(t, a_scheme_stands_in_front_of_all);
    tcase_add_test(t, names_and_addresses_with_and_without_port);
    tcase_add_test(t, lists_keep_their_order);
    tcase_add_test(t, what_is_no_endpoint_is_refused);
    tcase_add_test(t, limits_hold);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){endpoint_suite, NULL});
}
