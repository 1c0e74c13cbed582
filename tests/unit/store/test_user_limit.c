/* Limits of users as keys of the metadata, and the one that the state itself enforces: leases. */
#include "lease/table.h"
#include "store/state.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"

static struct kit k;

static enum outcome limit(const char *as, const char *user, struct auth_limits limits)
{
    return auth_kit_run(&k, as,
                        (struct command_auth){.action = AUTH_USER_LIMIT,
                                              .user = slice_str(user),
                                              .limits = limits});
}

static enum outcome grant(const char *as, uint64_t id)
{
    struct buf who = {0};
    struct command c = {.type = COMMAND_GRANT,
                        .lease = {.id = id,
                                  .ttl_ms = 10000,
                                  .kind = id % 2 == 0 ? LEASE_PLAIN : LEASE_SESSION,
                                  .secret = slice_str("0123456789abcdef")}};
    c.identities = auth_kit_who(&who, as);
    enum outcome outcome = kit_run(&k, &c);
    buf_close(&who);
    return outcome;
}

static const struct auth_limits *limits_of(const char *user)
{
    return auth_limits_of(store_auth(k.store), slice_str(user));
}

/* "admin" is root, "ann" and "bob" are not; enabled. */
static void setup(void)
{
    kit_open(&k);
    auth_kit_user(&k, NULL, AUTH_USER_ADD, "admin", "h");
    auth_kit_user(&k, NULL, AUTH_USER_GRANT, "admin", "root");
    auth_kit_user(&k, NULL, AUTH_USER_ADD, "ann", "h");
    auth_kit_user(&k, NULL, AUTH_USER_ADD, "bob", "h");
    ck_assert_int_eq(auth_kit_enable(&k, "admin"), OUTCOME_OK);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

START_TEST(a_lease_beyond_the_limit_is_refused_and_names_the_user)
{
    ck_assert_int_eq(limit("admin", "ann", (struct auth_limits){.leases = 2}), OUTCOME_OK);
    ck_assert_int_eq(grant("ann", 1), OUTCOME_OK);
    ck_assert_int_eq(grant("ann", 2), OUTCOME_OK);
    ck_assert_int_eq(grant("ann", 3), OUTCOME_USER_LIMIT);
    char text[REFUSAL_TEXT_BYTES_MAX];
    refusal_text(&k.reply.refusal, text);
    ck_assert_str_eq(text, "the limit of user ann leaves no room: 2 of 2 leases and sessions "
                           "are used, 1 more is wanted");
    ck_assert_int_eq(grant("bob", 3), OUTCOME_OK);
    ck_assert_int_eq(kit_expire(&k, 1), OUTCOME_OK);
    ck_assert_int_eq(grant("ann", 5), OUTCOME_OK);
    ck_assert_uint_eq(lease_table_count_of(&k.store->leases, slice_str("ann")), 2);
}
END_TEST

START_TEST(who_has_no_limits_of_his_own_has_everybodys_but_for_root)
{
    ck_assert_int_eq(limit("admin", "*", (struct auth_limits){.leases = 1}), OUTCOME_OK);
    ck_assert_int_eq(limit("admin", "bob", (struct auth_limits){.watches = 9}), OUTCOME_OK);
    ck_assert_int_eq(grant("ann", 1), OUTCOME_OK);
    ck_assert_int_eq(grant("ann", 2), OUTCOME_USER_LIMIT);
    for (uint64_t id = 3; id < 6; id++) {
        ck_assert_int_eq(grant("bob", id), OUTCOME_OK);
        ck_assert_int_eq(grant("admin", id + 10), OUTCOME_OK);
    }
    ck_assert_uint_eq(limits_of("anonymous")->leases, 1);
    ck_assert_ptr_null(limits_of("admin"));
    ck_assert_int_eq(limit("admin", "anonymous", (struct auth_limits){.leases = 7}), OUTCOME_OK);
    ck_assert_uint_eq(limits_of("anonymous")->leases, 7);
}
END_TEST

START_TEST(without_authentication_nobody_is_limited)
{
    ck_assert_int_eq(limit("admin", "*", (struct auth_limits){.leases = 1}), OUTCOME_OK);
    auth_kit_run(&k, "admin", (struct command_auth){.action = AUTH_DISABLE});
    ck_assert_int_eq(grant("ann", 1), OUTCOME_OK);
    ck_assert_int_eq(grant("ann", 2), OUTCOME_OK);
}
END_TEST

START_TEST(limits_are_set_by_administrators_for_those_who_can_have_them)
{
    const struct auth_limits some = {.requests_per_second = 1, .connections = 2, .watches = 3,
                                     .leases = 4};
    ck_assert_int_eq(limit("ann", "ann", some), OUTCOME_NO_AUTH);
    ck_assert_int_eq(limit("admin", "nobody", some), OUTCOME_NO_USER);
    ck_assert_int_eq(limit("admin", "super", some), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(limit("admin", "a b", some), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(limit("admin", "ann", some), OUTCOME_OK);
    ck_assert_uint_eq(limits_of("ann")->requests_per_second, 1);
    ck_assert_uint_eq(limits_of("ann")->connections, 2);
    ck_assert_uint_eq(limits_of("ann")->watches, 3);
    ck_assert_uint_eq(limits_of("ann")->leases, 4);
    ck_assert_int_eq(limit("admin", "ann", (struct auth_limits){0}), OUTCOME_OK);
    ck_assert_ptr_null(limits_of("ann"));
    ck_assert_int_eq(auth_kit_user(&k, "admin", AUTH_USER_ADD, "*", "h"), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

START_TEST(the_limits_of_a_user_go_with_him)
{
    ck_assert_int_eq(limit("admin", "ann", (struct auth_limits){.leases = 1}), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, "admin", AUTH_USER_DELETE, "ann", NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, "admin", AUTH_USER_ADD, "ann", "h"), OUTCOME_OK);
    ck_assert_ptr_null(limits_of("ann"));
}
END_TEST

START_TEST(a_snapshot_brings_limits_back_and_how_many_leases_are_whose)
{
    ck_assert_int_eq(limit("admin", "ann", (struct auth_limits){.leases = 1}), OUTCOME_OK);
    ck_assert_int_eq(grant("ann", 1), OUTCOME_OK);
    kit_reload(&k);
    ck_assert_int_eq(grant("ann", 3), OUTCOME_USER_LIMIT);
    ck_assert_int_eq(kit_expire(&k, 1), OUTCOME_OK);
    ck_assert_int_eq(grant("ann", 3), OUTCOME_OK);
}
END_TEST

static Suite *user_limit_suite(void)
{
    Suite *suite = suite_create("user_limit");
    TCase *tcase = tcase_create("user_limit");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_lease_beyond_the_limit_is_refused_and_names_the_user);
    tcase_add_test(tcase, who_has_no_limits_of_his_own_has_everybodys_but_for_root);
    tcase_add_test(tcase, without_authentication_nobody_is_limited);
    tcase_add_test(tcase, limits_are_set_by_administrators_for_those_who_can_have_them);
    tcase_add_test(tcase, the_limits_of_a_user_go_with_him);
    tcase_add_test(tcase, a_snapshot_brings_limits_back_and_how_many_leases_are_whose);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){user_limit_suite, NULL});
}
