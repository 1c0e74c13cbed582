/* Whom a peer is counted for, and how many calls it may break off. */
#include "net/resets.h"

#include "net/source.h"
#include "tests/support/check_main.h"

#define T0 ((uint64_t)50000)

static struct budgets *resets;

static void setup(void)
{
    resets = budgets_new(7);
}

static void teardown(void)
{
    budgets_free(resets);
}

START_TEST(an_address_is_its_own_source_and_of_ipv6_its_network_is)
{
    static const struct {
        const char *peer;
        const char *source;
    } rows[] = {
        {"192.0.2.7:51434", "192.0.2.7"},
        {"192.0.2.7:1", "192.0.2.7"},
        {"[::ffff:192.0.2.7]:51434", "192.0.2.7"},
        {"[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::/64"},
        {"[2001:db8:1:2:ffff::1]:81", "2001:db8:1:2::/64"},
        {"[2001:db8:1:3::1]:81", "2001:db8:1:3::/64"},
        {"[::1]:7411", "::1"},
        {"client", "client"},
        {"", ""},
        {"[", ""},
        {":", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char source[SOURCE_BYTES];
        source_of(source, rows[i].peer);
        ck_assert_str_eq(source, rows[i].source);
    }
}
END_TEST

START_TEST(a_name_that_is_too_long_is_cut)
{
    char peer[200];
    char source[SOURCE_BYTES];
    memset(peer, 'x', sizeof peer);
    peer[sizeof peer - 1] = '\0';
    source_of(source, peer);
    ck_assert_uint_eq(strlen(source), SOURCE_BYTES - 1);
}
END_TEST

START_TEST(some_calls_may_be_broken_off_on_each_connection)
{
    struct budget_bucket own = {0};
    for (int i = 0; i < 100; i++) {
        struct budget_bucket another = {0};
        ck_assert_uint_eq(
            resets_take(resets, &another, "192.0.2.7:1", RESETS_OWN_BURST, T0), 0);
    }
    /* None of these counted for the source: its whole allowance is there. */
    ck_assert_uint_eq(
        resets_take(resets, &own, "192.0.2.7:2", RESETS_OWN_BURST + RESETS_BURST, T0), 0);
    ck_assert_uint_ne(resets_take(resets, &own, "192.0.2.7:2", 1, T0), 0);
}
END_TEST

START_TEST(what_is_above_that_waits_as_long_as_it_takes_to_be_allowed)
{
    struct budget_bucket own = {0};
    size_t all = RESETS_OWN_BURST + RESETS_BURST;
    ck_assert_uint_eq(resets_take(resets, &own, "192.0.2.7:2", all + 500, T0), 500);
    ck_assert_uint_eq(resets_take(resets, &own, "192.0.2.7:2", 100, T0 + 500), 95);
    ck_assert_uint_eq(resets_take(resets, &own, "192.0.2.7:2", 1, T0 + 60000), 0);
}
END_TEST

START_TEST(connections_of_one_source_share_and_others_are_not_touched)
{
    struct budget_bucket first = {0};
    struct budget_bucket second = {0};
    struct budget_bucket other = {0};
    size_t all = RESETS_OWN_BURST + RESETS_BURST;
    ck_assert_uint_eq(resets_take(resets, &first, "192.0.2.7:1", all, T0), 0);
    ck_assert_uint_eq(resets_take(resets, &second, "192.0.2.7:2", RESETS_OWN_BURST + 30, T0),
                      30);
    ck_assert_uint_eq(resets_take(resets, &other, "192.0.2.8:1", all, T0), 0);
}
END_TEST

START_TEST(nobody_waits_for_ever)
{
    struct budget_bucket own = {0};
    ck_assert_uint_eq(resets_take(resets, &own, "192.0.2.7:1", SIZE_MAX / 4, T0),
                      RESETS_WAIT_MS_MAX);
    ck_assert_uint_eq(resets_take(resets, &own, "192.0.2.7:1", 1000000, T0 + 1),
                      RESETS_WAIT_MS_MAX);
}
END_TEST

START_TEST(many_sources_take_the_place_of_those_that_rest)
{
    for (int i = 0; i < 100000; i++) {
        struct budget_bucket own = {0};
        char peer[32];
        (void)snprintf(peer, sizeof peer, "10.%d.%d.%d:9", i >> 16, (i >> 8) & 255, i & 255);
        uint64_t now = T0 + (uint64_t)i;
        ck_assert_uint_eq(resets_take(resets, &own, peer, RESETS_OWN_BURST + 1, now), 0);
    }
}
END_TEST

static Suite *resets_suite(void)
{
    Suite *suite = suite_create("resets");
    TCase *tcase = tcase_create("resets");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_address_is_its_own_source_and_of_ipv6_its_network_is);
    tcase_add_test(tcase, a_name_that_is_too_long_is_cut);
    tcase_add_test(tcase, some_calls_may_be_broken_off_on_each_connection);
    tcase_add_test(tcase, what_is_above_that_waits_as_long_as_it_takes_to_be_allowed);
    tcase_add_test(tcase, connections_of_one_source_share_and_others_are_not_touched);
    tcase_add_test(tcase, nobody_waits_for_ever);
    tcase_add_test(tcase, many_sources_take_the_place_of_those_that_rest);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){resets_suite, NULL});
}
