/* Configurations in the state machine: what is refused below a root, who may make one, what its key
 * means, and that snapshots bring all of it back. */
#include "store/config.h"

#include "store/policy.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

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

static enum outcome root_op(enum op_type type, const char *path, const char *value)
{
    uint8_t key[POLICY_KEY_BYTES_MAX];
    struct op op = kit_op(type, "", value);
    op.space = SPACE_META;
    op.path = policy_root_key(slice_str(path), key);
    op.flags = 0;
    return kit_ops(&k, &op, 1);
}

static enum outcome root(const char *path, const char *value)
{
    return root_op(OP_CREATE, path, value);
}

static enum outcome config_op(enum op_type type, const char *path, const char *value)
{
    struct op op = kit_op(type, path, value);
    op.flags |= OP_CONFIG;
    return kit_ops(&k, &op, 1);
}

static const struct policy *root_at(const char *path)
{
    return policies_root(store_policies(k.store), slice_str(path));
}

START_TEST(plain_writes_below_a_root_are_refused_and_those_of_the_service_are_not)
{
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b", "x"), OUTCOME_OK);
    ck_assert_int_eq(root("/a", "10"), OUTCOME_OK);
    ck_assert_int_eq(kit_set(&k, "/a", "y"), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_set(&k, "/a/b", "y"), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_create(&k, "/a/c", "y"), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_delete(&k, "/a/b"), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_remove_tree(&k, "/a"), OUTCOME_PROTECTED);
    ck_assert_int_eq(config_op(OP_SET, "/a/b", "y"), OUTCOME_OK);
    ck_assert_int_eq(config_op(OP_CREATE, "/a/c", "y"), OUTCOME_OK);
    ck_assert_int_eq(config_op(OP_DELETE, "/a/c", NULL), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/ab", "not below"), OUTCOME_OK);
    ck_assert_int_eq(kit_set(&k, "/ab", "y"), OUTCOME_OK);
}
END_TEST

START_TEST(a_recursive_delete_above_a_root_is_refused)
{
    ck_assert_int_eq(kit_create(&k, "/top", "x"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/top/a", "x"), OUTCOME_OK);
    ck_assert_int_eq(root("/top/a", "10"), OUTCOME_OK);
    ck_assert_int_eq(kit_remove_tree(&k, "/top"), OUTCOME_PROTECTED);
    ck_assert_int_eq(root_op(OP_DELETE, "/top/a", NULL), OUTCOME_OK);
    ck_assert_int_eq(kit_remove_tree(&k, "/top"), OUTCOME_OK);
}
END_TEST

START_TEST(an_open_root_lets_plain_writes_of_keys_in_and_no_others)
{
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    ck_assert_int_eq(root("/a", "10 open"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b", "x"), OUTCOME_OK);
    ck_assert_int_eq(kit_set(&k, "/a/b", "y"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/" CONFIG_SCHEMA_NAME, "{}"), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_remove_tree(&k, "/a/b"), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_delete(&k, "/a/b"), OUTCOME_OK);
}
END_TEST

START_TEST(roots_do_not_lie_within_each_other)
{
    ck_assert_int_eq(root("/a/b", "10"), OUTCOME_OK);
    ck_assert_int_eq(root("/a", "10"), OUTCOME_NODE_EXISTS);
    ck_assert_int_eq(root("/a/b/c", "10"), OUTCOME_NODE_EXISTS);
    ck_assert_int_eq(root("/a/bc", "10"), OUTCOME_OK);
    ck_assert_int_eq(root("/", "10"), OUTCOME_BAD_PATH);
    ck_assert_int_eq(root("/x", "0"), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(root("/x", "10 closed"), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(root("/x", " open"), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

START_TEST(a_root_keeps_versions_unless_a_history_policy_says_how_many)
{
    uint8_t key[POLICY_KEY_BYTES_MAX];
    ck_assert_int_eq(root("/a", "7"), OUTCOME_OK);
    const struct policies *p = store_policies(k.store);
    ck_assert_uint_eq(policies_versions(p, SPACE_NODES, slice_str("/a/b")), 7);
    struct op op = kit_op(OP_CREATE, "", "3");
    op.space = SPACE_META;
    op.path = policy_key(slice_str("/a"), key);
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    ck_assert_uint_eq(policies_versions(p, SPACE_NODES, slice_str("/a/b")), 3);
    ck_assert_uint_eq(root_at("/a/b")->root_versions, 7);
    ck_assert_uint_eq(p->count, 1);
}
END_TEST

START_TEST(the_nearest_schema_counts_and_the_roots_revision_stands_for_all)
{
    struct config_place place;
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    ck_assert_int_eq(root("/a", "10"), OUTCOME_OK);
    ck_assert_int_eq(config_op(OP_CREATE, "/a/b", "1"), OUTCOME_OK);
    store_config_find(k.store, slice_str("/a/b"), &place);
    ck_assert(place.exists);
    ck_assert_uint_eq(place.schema_revision, 0);
    ck_assert_int_eq(config_op(OP_CREATE, "/a/" CONFIG_SCHEMA_NAME, "top"), OUTCOME_OK);
    ck_assert_int_eq(config_op(OP_CREATE, "/a/b/" CONFIG_SCHEMA_NAME, "near"), OUTCOME_OK);
    store_config_find(k.store, slice_str("/a/b/c"), &place);
    ck_assert(!place.exists);
    ck_assert(slice_is(place.schema, "near"));
    ck_assert(slice_is(place.schema_at, "/a/b"));
    store_config_find(k.store, slice_str("/a/bc"), &place);
    ck_assert(slice_is(place.schema, "top"));
    uint64_t before = place.root->root_revision;
    ck_assert_int_eq(root_op(OP_SET, "/a", "10"), OUTCOME_OK);
    ck_assert_uint_gt(root_at("/a")->root_revision, before);
    store_config_find(k.store, slice_str("/other"), &place);
    ck_assert_ptr_null(place.root);
}
END_TEST

START_TEST(a_guard_on_the_roots_revision_refuses_what_was_validated_by_other_schemas)
{
    uint8_t key[POLICY_KEY_BYTES_MAX];
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    ck_assert_int_eq(root("/a", "10"), OUTCOME_OK);
    struct op op = kit_op(OP_SET, "/a", "y");
    op.flags |= OP_CONFIG;
    struct guard guard = {.target = GUARD_MODIFY_REVISION,
                          .relation = GUARD_EQUAL,
                          .space = SPACE_META,
                          .path = policy_root_key(slice_str("/a"), key),
                          .number = root_at("/a")->root_revision};
    struct command c = {.type = COMMAND_TXN,
                        .txn = {.guards = &guard,
                                .guard_count = 1,
                                .then_ops = &op,
                                .then_count = 1}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_int_eq(root_op(OP_SET, "/a", "10"), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_GUARD_REFUSED);
}
END_TEST

START_TEST(locks_and_leases_get_no_nodes_into_a_root)
{
    struct recipe_target target = {.path = slice_str("/a/lock"), .mode = 1};
    struct command grant = {.type = COMMAND_GRANT,
                            .lease = {.id = 5,
                                      .ttl_ms = 10000,
                                      .kind = 1,
                                      .renewable = true,
                                      .secret = slice_str("0123456789abcdef")}};
    struct command acquire = {
        .type = COMMAND_RECIPE,
        .recipe = {.recipe = 1, .action = RECIPE_ACQUIRE, .lease = 5, .targets = &target,
                   .target_count = 1}};
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    ck_assert_int_eq(root("/a", "10"), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &grant), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &acquire), OUTCOME_PROTECTED);
    struct op op = kit_op(OP_CREATE, "/a/e", "x");
    op.kind = NODE_EPHEMERAL;
    op.lease = 5;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_PROTECTED);
}
END_TEST

START_TEST(a_snapshot_brings_roots_back)
{
    struct snapshot_meta meta;
    struct buf rows = {0};
    enum status rc;
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    ck_assert_int_eq(root("/a", "10 open"), OUTCOME_OK);
    ck_assert_int_eq(root("/b", "11"), OUTCOME_OK);
    uint64_t revision = root_at("/a")->root_revision;
    kit_rows(k.store, &meta, &rows);
    struct store *loaded = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_ptr_nonnull(loaded);
    store_free(k.store);
    k.store = loaded;
    ck_assert(root_at("/a")->is_open);
    ck_assert_uint_eq(root_at("/a")->root_revision, revision);
    ck_assert_uint_eq(root_at("/b/c")->versions, 11);
    ck_assert_uint_eq(store_policies(loaded)->root_count, 2);
    buf_close(&rows);
}
END_TEST

static Suite *config_suite(void)
{
    Suite *suite = suite_create("store_config");
    TCase *tcase = tcase_create("store_config");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase,
                   plain_writes_below_a_root_are_refused_and_those_of_the_service_are_not);
    tcase_add_test(tcase, a_recursive_delete_above_a_root_is_refused);
    tcase_add_test(tcase, an_open_root_lets_plain_writes_of_keys_in_and_no_others);
    tcase_add_test(tcase, roots_do_not_lie_within_each_other);
    tcase_add_test(tcase, a_root_keeps_versions_unless_a_history_policy_says_how_many);
    tcase_add_test(tcase, the_nearest_schema_counts_and_the_roots_revision_stands_for_all);
    tcase_add_test(tcase,
                   a_guard_on_the_roots_revision_refuses_what_was_validated_by_other_schemas);
    tcase_add_test(tcase, locks_and_leases_get_no_nodes_into_a_root);
    tcase_add_test(tcase, a_snapshot_brings_roots_back);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){config_suite, NULL});
}
