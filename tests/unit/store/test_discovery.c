/* What instances of services say, changed in one step; and that they go with their lease. */
#include <stdio.h>

#include "recipes/instance.h"
#include "store/state.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define TEXT "address=10.0.0.7\nport=80\nweight=100\n"

static struct kit k;

static void setup(void)
{
    kit_open(&k);
    ck_assert_int_eq(kit_create(&k, "/services", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/services/web", ""), OUTCOME_OK);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

static enum outcome drain_as(const char *as, const char *path, uint64_t revision, bool drains)
{
    struct buf who = {0};
    struct command c = {
        .type = COMMAND_DISCOVERY,
        .discovery = {.action = DISCOVERY_DRAIN,
                      .flag = drains,
                      .path = slice_str(path),
                      .revision = revision},
    };
    c.identities = auth_kit_who(&who, as);
    enum outcome outcome = kit_run(&k, &c);
    buf_close(&who);
    return outcome;
}

static void expect_value(const char *path, const char *text)
{
    struct arena arena = {0};
    struct query_result result;
    struct query query = {.type = QUERY_GET, .space = SPACE_NODES, .path = slice_str(path)};
    store_query(k.store, &query, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK);
    ck_assert_msg(slice_is(result.data, text), "%.*s", (int)result.data.size,
                  (const char *)result.data.data);
    arena_close(&arena);
}

START_TEST(an_instance_drains_and_takes_work_again)
{
    ck_assert_int_eq(kit_create(&k, "/services/web/1", TEXT), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(drain_as(NULL, "/services/web/1", 0, true), OUTCOME_OK);
    expect_value("/services/web/1", TEXT "draining=yes\n");
    ck_assert_uint_eq(store_revision(k.store), revision + 1);
    ck_assert_int_eq(drain_as(NULL, "/services/web/1", 0, true), OUTCOME_OK);
    ck_assert_uint_eq(store_revision(k.store), revision + 1); /* nothing has changed */
    ck_assert_int_eq(drain_as(NULL, "/services/web/1", revision, false), OUTCOME_OK);
    expect_value("/services/web/1", TEXT);
}
END_TEST

START_TEST(only_the_instance_that_was_meant_is_changed)
{
    ck_assert_int_eq(kit_create(&k, "/services/web/1", TEXT), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(drain_as(NULL, "/services/web/1", revision - 1, true), OUTCOME_NO_NODE);
    ck_assert_int_eq(drain_as(NULL, "/services/web/2", 0, true), OUTCOME_NO_NODE);
    ck_assert_int_eq(kit_create(&k, "/services/web/3", "something else"), OUTCOME_OK);
    ck_assert_int_eq(drain_as(NULL, "/services/web/3", 0, true), OUTCOME_NO_RECIPE);
    ck_assert_int_eq(drain_as(NULL, "/services/web", 0, true), OUTCOME_BAD_PATH);
    ck_assert_int_eq(drain_as(NULL, "/other/web/1", 0, true), OUTCOME_BAD_PATH);
    expect_value("/services/web/1", TEXT);
}
END_TEST

static enum outcome say_health(const char *path, uint64_t revision, uint8_t health)
{
    const struct command c = {
        .type = COMMAND_DISCOVERY,
        .discovery = {.action = DISCOVERY_HEALTH,
                      .health = health,
                      .path = slice_str(path),
                      .revision = revision},
    };
    return kit_run(&k, &c);
}

START_TEST(health_is_kept_with_since_when)
{
    char text[128];
    ck_assert_int_eq(kit_create(&k, "/services/web/1", TEXT), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(say_health("/services/web/1", revision + 1, HEALTH_DOWN), OUTCOME_NO_NODE);
    unsigned long long since_ms = k.wall_ms;
    ck_assert_int_eq(say_health("/services/web/1", revision, HEALTH_DOWN), OUTCOME_OK);
    (void)snprintf(text, sizeof text, TEXT "health=down\nhealth_since_ms=%llu\n",
                   since_ms);
    expect_value("/services/web/1", text);
    ck_assert_int_eq(say_health("/services/web/1", revision, HEALTH_DOWN), OUTCOME_OK);
    expect_value("/services/web/1", text); /* it was so before */
    ck_assert_int_eq(say_health("/services/web/1", revision, HEALTH_PASSING), OUTCOME_OK);
    expect_value("/services/web/1", TEXT);
}
END_TEST

START_TEST(a_quota_and_rights_hold_for_it_too)
{
    const struct command quota = {
        .type = COMMAND_QUOTA, .quota = {.path = slice_str("/services/web"), .bytes = 70}};
    ck_assert_int_eq(kit_create(&k, "/services/web/1", TEXT), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &quota), OUTCOME_OK);
    ck_assert_int_eq(drain_as(NULL, "/services/web/1", 0, true), OUTCOME_QUOTA);
    expect_value("/services/web/1", TEXT);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "root", NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "root", "root"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "web", NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_enable(&k, "root"), OUTCOME_OK);
    ck_assert_int_eq(drain_as("web", "/services/web/1", 0, true), OUTCOME_NO_AUTH);
    ck_assert_int_eq(drain_as("web", "/services/web/9", 0, true), OUTCOME_NO_AUTH);
}
END_TEST

static Suite *discovery_suite(void)
{
    Suite *suite = suite_create("store_discovery");
    TCase *tcase = tcase_create("store_discovery");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_instance_drains_and_takes_work_again);
    tcase_add_test(tcase, only_the_instance_that_was_meant_is_changed);
    tcase_add_test(tcase, health_is_kept_with_since_when);
    tcase_add_test(tcase, a_quota_and_rights_hold_for_it_too);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){discovery_suite, NULL});
}
