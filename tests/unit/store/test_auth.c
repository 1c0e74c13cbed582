/* Users and roles as keys of the metadata space: what may be changed by whom, and that nobody is
 * locked out. */
#include "store/auth.h"

#include "base/slab.h"
#include "store/digest.h"
#include "store/state.h"
#include "tests/support/check_main.h"

#include "tests/support/auth_kit.h"

static struct kit k;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

static void add_root(const char *name)
{
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, name, "hash"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, name, "root"), OUTCOME_OK);
}

static const struct auth_user *user_of(const char *name)
{
    return auth_find_user(store_auth(k.store), slice_str(name));
}

static struct slice value_of(const char *key)
{
    uint32_t slot = tree_find(&k.store->tree, SPACE_META, slice_str(key));
    ck_assert_uint_ne(slot, TREE_NONE);
    return value_slice(tree_node(&k.store->tree, slot)->value);
}

/* ---- commands ----------------------------------------------------------------------------- */

START_TEST(keys_hold_what_their_values_say)
{
    add_root("admin");
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_ADD, "app"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "app", "/b", 3, false), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "app", "/a", 1, false), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "app", "/a", 8, true), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "app", "/a", 2, false), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "u", NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "u", "root"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "u", "app"), OUTCOME_OK);
    ck_assert(slice_is(value_of("role/app"), "allow 3 /a\ndeny 8 /a\nallow 3 /b\n"));
    ck_assert(slice_is(value_of("user/u"), "9 enabled - app root"));
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    ck_assert(slice_is(value_of("auth"), "1 3600000 30313233343536373839616263646566"
                                         "30313233343536373839616263646566"));
    ck_assert(user_of("u")->is_root);
    ck_assert_uint_eq(user_of("u")->role_count, 1);
}
END_TEST

START_TEST(granting_twice_is_fine_and_revoking_what_is_not_granted_is_told)
{
    add_root("admin");
    uint64_t before = store_revision(k.store);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "admin", "root"), OUTCOME_OK);
    ck_assert_uint_eq(store_revision(k.store), before);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_REVOKE, "admin", "app"),
                     OUTCOME_NOT_GRANTED);
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_ADD, "app"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_REVOKE, "app", "/a", 1, false),
                     OUTCOME_NOT_GRANTED);
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "app", "/a", 3, false), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_REVOKE, "app", "/a", 1, true),
                     OUTCOME_NOT_GRANTED);
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_REVOKE, "app", "/a", 1, false), OUTCOME_OK);
    ck_assert(slice_is(value_of("role/app"), "allow 2 /a\n"));
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_REVOKE, "app", "/a", 31, false),
                     OUTCOME_OK);
    ck_assert_uint_eq(value_of("role/app").size, 0);
}
END_TEST

START_TEST(what_is_not_there_or_is_there_already_is_named)
{
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_DELETE, "u", NULL), OUTCOME_NO_USER);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_PASSWORD, "u", "h"), OUTCOME_NO_USER);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "u", "h"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "u", "h"), OUTCOME_USER_EXISTS);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "u", "app"), OUTCOME_NO_ROLE);
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_DELETE, "app"), OUTCOME_NO_ROLE);
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_ADD, "app"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_ADD, "app"), OUTCOME_ROLE_EXISTS);
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_ADD, "root"), OUTCOME_ROLE_EXISTS);
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_DELETE, "root"), OUTCOME_PROTECTED);
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "root", "/", 1, true),
                     OUTCOME_PROTECTED);
}
END_TEST

START_TEST(a_role_that_goes_is_taken_from_all_who_have_it)
{
    auth_kit_add(&k, "app", "/a", ACL_READ);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "u", NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "u", "app"), OUTCOME_OK);
    uint64_t before = store_revision(k.store);
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_DELETE, "app"), OUTCOME_OK);
    ck_assert_uint_eq(store_revision(k.store), before + 1);
    ck_assert_uint_eq(user_of("u")->role_name_count, 0);
    ck_assert_uint_eq(user_of("app")->role_name_count, 0);
}
END_TEST

START_TEST(nothing_can_be_enabled_without_a_root_nor_the_last_one_be_lost)
{
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_NO_ROOT);
    add_root("a");
    ck_assert_int_eq(auth_kit_disable_user(&k, NULL, "a", true), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_NO_ROOT);
    ck_assert_int_eq(auth_kit_disable_user(&k, NULL, "a", false), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, "a", AUTH_USER_DELETE, "a", NULL), OUTCOME_NO_ROOT);
    ck_assert_int_eq(auth_kit_user(&k, "a", AUTH_USER_REVOKE, "a", "root"), OUTCOME_NO_ROOT);
    ck_assert_int_eq(auth_kit_disable_user(&k, "a", "a", true), OUTCOME_NO_ROOT);
    ck_assert_int_eq(auth_kit_user(&k, "a", AUTH_USER_ADD, "b", "h"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, "a", AUTH_USER_GRANT, "b", "root"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, "a", AUTH_USER_DELETE, "a", NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_disable_user(&k, "b", "b", true), OUTCOME_NO_ROOT);
}
END_TEST

START_TEST(only_administrators_change_users_and_roles_but_each_his_own_password)
{
    add_root("admin");
    auth_kit_add(&k, "u", "/", ACL_ALL & ~ACL_ADMIN);
    auth_kit_add(&k, "v", "/", ACL_ADMIN);
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "x", "h"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(auth_kit_user(&k, "u", AUTH_USER_ADD, "x", "h"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(auth_kit_enable(&k, "u"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(auth_kit_run(&k, "u", (struct command_auth){.action = AUTH_DISABLE}),
                     OUTCOME_NO_AUTH);
    ck_assert_int_eq(auth_kit_user(&k, "u", AUTH_USER_PASSWORD, "v", "h"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(auth_kit_user(&k, "u", AUTH_USER_PASSWORD, "u", "h"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, "v", AUTH_USER_ADD, "x", "h"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_disable_user(&k, "v", "u", true), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, "u", AUTH_USER_PASSWORD, "u", "h"), OUTCOME_NO_AUTH);
}
END_TEST

START_TEST(a_generation_moves_with_what_proves_the_user_and_never_comes_again)
{
    add_root("admin");
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "u", "h"), OUTCOME_OK);
    uint64_t first = user_of("u")->generation;
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_ADD, "app"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "u", "app"), OUTCOME_OK);
    ck_assert_uint_eq(user_of("u")->generation, first);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_PASSWORD, "u", "h"), OUTCOME_OK);
    uint64_t second = user_of("u")->generation;
    ck_assert_uint_gt(second, first);
    ck_assert_int_eq(auth_kit_disable_user(&k, NULL, "u", true), OUTCOME_OK);
    uint64_t third = user_of("u")->generation;
    ck_assert_uint_gt(third, second);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_DELETE, "u", NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "u", "h"), OUTCOME_OK);
    ck_assert_uint_gt(user_of("u")->generation, third);
}
END_TEST

START_TEST(enabling_anew_keeps_the_key_and_after_a_pause_takes_another)
{
    struct command_auth other = {.action = AUTH_ENABLE,
                                 .secret = slice_str("another key of thirty-two bytes!"),
                                 .token_ttl_ms = 5000};
    add_root("admin");
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_run(&k, "admin", other), OUTCOME_OK);
    ck_assert_mem_eq(store_auth(k.store)->key, AUTH_KIT_KEY, AUTH_KEY_BYTES);
    ck_assert_uint_eq(store_auth(k.store)->token_ttl_ms, 5000);
    ck_assert_int_eq(auth_kit_run(&k, "admin", (struct command_auth){.action = AUTH_DISABLE}),
                     OUTCOME_OK);
    ck_assert_int_eq(auth_kit_run(&k, NULL, other), OUTCOME_OK);
    ck_assert_mem_eq(store_auth(k.store)->key, other.secret.data, AUTH_KEY_BYTES);
}
END_TEST

/* ---- bad input ---------------------------------------------------------------------------- */

static const struct bad {
    struct command_auth what;
    enum outcome outcome;
    const char *mention;
} bads[] = {
    {{.action = AUTH_USER_ADD}, OUTCOME_BAD_ARGUMENTS, "user"},
    {{.action = AUTH_USER_ADD, .user = {(const uint8_t *)"a b", 3}},
     OUTCOME_BAD_ARGUMENTS,
     "no blank"},
    {{.action = AUTH_USER_ADD, .user = {(const uint8_t *)"a/b", 3}},
     OUTCOME_BAD_ARGUMENTS,
     "'/'"},
    {{.action = AUTH_USER_ADD, .user = {(const uint8_t *)"-a", 2}},
     OUTCOME_BAD_ARGUMENTS,
     "in front"},
    {{.action = AUTH_USER_ADD, .user = {(const uint8_t *)"anonymous", 9}},
     OUTCOME_BAD_ARGUMENTS,
     "stands for"},
    {{.action = AUTH_USER_ADD,
      .user = {(const uint8_t *)"u", 1},
      .secret = {(const uint8_t *)"a b", 3}},
     OUTCOME_BAD_ARGUMENTS,
     "hash"},
    {{.action = AUTH_ROLE_GRANT,
      .role = {(const uint8_t *)"r", 1},
      .path = {(const uint8_t *)"/a/", 3},
      .rights = 1},
     OUTCOME_BAD_PATH,
     "trailing"},
    {{.action = AUTH_ROLE_GRANT,
      .role = {(const uint8_t *)"r", 1},
      .path = {(const uint8_t *)"/a", 2}},
     OUTCOME_BAD_ARGUMENTS,
     "rights: 0, from 1 to 31"},
    {{.action = AUTH_ENABLE, .token_ttl_ms = 5000}, OUTCOME_BAD_ARGUMENTS, "it has 32"},
    {{.action = AUTH_ENABLE,
      .secret = {(const uint8_t *)AUTH_KIT_KEY, AUTH_KEY_BYTES},
      .token_ttl_ms = 10},
     OUTCOME_BAD_TTL,
     "token_ttl_ms: 10, from 1000 to"},
};

START_TEST(what_is_malformed_is_refused_by_name_before_it_is_proposed_and_in_apply)
{
    struct errmsg err;
    struct command c = {.type = COMMAND_AUTH, .auth = bads[_i].what};
    ck_assert_int_eq(command_check(&c, &err), bads[_i].outcome);
    ck_assert_msg(strstr(err.text, bads[_i].mention) != NULL, "%s", err.text);
    ck_assert_int_eq(auth_kit_run(&k, NULL, bads[_i].what), bads[_i].outcome);
}
END_TEST

START_TEST(no_other_command_writes_these_keys)
{
    static const char *const keys[] = {"auth", "user/u", "role/r"};
    for (size_t i = 0; i < 3; i++) {
        struct op op = {.type = OP_SET,
                        .space = SPACE_META,
                        .path = slice_str(keys[i]),
                        .data = slice_str("1"),
                        .version = VERSION_ANY};
        ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
        op.type = OP_DELETE;
        op.data = slice_make(NULL, 0);
        ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
    }
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------- */

START_TEST(a_role_has_so_many_grants_and_a_user_so_many_roles)
{
    char text[32];
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "u", NULL), OUTCOME_OK);
    for (uint32_t i = 0; i < AUTH_USER_ROLES_MAX + 1; i++) {
        (void)snprintf(text, sizeof text, "r%u", i);
        ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_ADD, text), OUTCOME_OK);
        ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "u", text),
                         i < AUTH_USER_ROLES_MAX ? OUTCOME_OK : OUTCOME_LIMIT);
    }
    for (uint32_t i = 0; i < AUTH_ROLE_GRANTS_MAX + 1; i++) {
        (void)snprintf(text, sizeof text, "/p%u", i);
        ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "r1", text, 3, i % 2 == 0),
                         i < AUTH_ROLE_GRANTS_MAX ? OUTCOME_OK : OUTCOME_LIMIT);
    }
}
END_TEST

/* ---- snapshots ---------------------------------------------------------------------------- */

START_TEST(users_roles_and_whose_leases_are_come_back_from_a_snapshot)
{
    add_root("admin");
    auth_kit_add(&k, "u", "/a", ACL_READ | ACL_CREATE);
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    struct buf who = {0};
    struct command c = {.type = COMMAND_GRANT,
                        .lease = {.id = 7,
                                  .ttl_ms = 10000,
                                  .kind = LEASE_SESSION,
                                  .renewable = true,
                                  .secret = slice_str("0123456789abcdef")}};
    c.identities = auth_kit_who(&who, "u");
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    buf_close(&who);

    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    struct store *loaded = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    store_check(loaded);
    ck_assert_uint_eq(store_digest(loaded), store_digest(k.store));
    ck_assert(store_auth(loaded)->is_enabled);
    ck_assert_uint_eq(store_auth(loaded)->user_count, 2);
    ck_assert_uint_eq(auth_find_role(store_auth(loaded), slice_str("u"))->rules[0].allow, 5);
    ck_assert(slice_is(store_lease(loaded, 7)->user, "u"));
    store_free(loaded);
    buf_close(&rows);
}
END_TEST

/* Whether keys can be read among which there is this one, as damage would leave it. */
static bool reads_with(const char *key, const char *value)
{
    struct tree t;
    struct auth a;
    struct slab_heap *values = slab_heap_new();
    tree_init(&t);
    auth_init(&a);
    const char *const all[][2] = {{"role/app", "allow 1 /a\n"}, {key, value}};
    for (size_t i = 0; i < 2; i++) {
        struct tree_key what = {.space = SPACE_META,
                                .kind = NODE_PERSISTENT,
                                .parent = tree_root(&t, SPACE_META),
                                .path = slice_str(all[i][0]),
                                .hash = tree_hash(SPACE_META, slice_str(all[i][0]))};
        tree_set_value(&t, tree_add(&t, &what), value_new(values, slice_str(all[i][1])));
    }
    bool can = auth_read(&a, &t);
    auth_close(&a);
    tree_close(&t);
    slab_heap_free(values);
    return can;
}

static const char *const damaged[][2] = {
    {"auth", "2 3600000 00"},
    {"auth", "1 3600000 zz"},
    {"auth", ""},
    {"user/u", "1 enabled"},
    {"user/u", "1 maybe -"},
    {"user/u", "1 enabled - nobody"},
    {"user/u", "1 enabled - root root"},
    {"user/", "1 enabled -"},
    {"user/anonymous", "1 enabled -"},
    {"role/root", ""},
    {"role/r", "allow 1 /a"},
    {"role/r", "allow 0 /a\n"},
    {"role/r", "allow 32 /a\n"},
    {"role/r", "allow 1 /b\nallow 1 /a\n"},
    {"role/r", "deny 1 /a\nallow 1 /a\n"},
    {"role/r", "allow 1 a\n"},
    {"role/r", "perhaps 1 /a\n"},
};

START_TEST(a_damaged_user_role_or_setting_is_not_read)
{
    ck_assert(reads_with("user/u", "1 enabled - app root"));
    ck_assert(!reads_with(damaged[_i][0], damaged[_i][1]));
}
END_TEST

static Suite *auth_suite(void)
{
    Suite *suite = suite_create("auth");
    TCase *commands = tcase_create("commands");
    tcase_add_checked_fixture(commands, setup, teardown);
    tcase_add_test(commands, keys_hold_what_their_values_say);
    tcase_add_test(commands, granting_twice_is_fine_and_revoking_what_is_not_granted_is_told);
    tcase_add_test(commands, what_is_not_there_or_is_there_already_is_named);
    tcase_add_test(commands, a_role_that_goes_is_taken_from_all_who_have_it);
    tcase_add_test(commands, nothing_can_be_enabled_without_a_root_nor_the_last_one_be_lost);
    tcase_add_test(commands,
                   only_administrators_change_users_and_roles_but_each_his_own_password);
    tcase_add_test(commands,
                   a_generation_moves_with_what_proves_the_user_and_never_comes_again);
    tcase_add_test(commands, enabling_anew_keeps_the_key_and_after_a_pause_takes_another);
    suite_add_tcase(suite, commands);
    TCase *input = tcase_create("input");
    tcase_add_checked_fixture(input, setup, teardown);
    tcase_add_loop_test(input,
                        what_is_malformed_is_refused_by_name_before_it_is_proposed_and_in_apply,
                        0, sizeof bads / sizeof bads[0]);
    tcase_add_test(input, no_other_command_writes_these_keys);
    tcase_add_test(input, a_role_has_so_many_grants_and_a_user_so_many_roles);
    suite_add_tcase(suite, input);
    TCase *snapshots = tcase_create("snapshots");
    tcase_add_checked_fixture(snapshots, setup, teardown);
    tcase_add_test(snapshots, users_roles_and_whose_leases_are_come_back_from_a_snapshot);
    tcase_add_loop_test(snapshots, a_damaged_user_role_or_setting_is_not_read, 0,
                        sizeof damaged / sizeof damaged[0]);
    suite_add_tcase(suite, snapshots);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){auth_suite, NULL});
}
