/* Single operations: outcomes in ZooKeeper's order, and what each moves in the stats. */
#include "store/digest.h"
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

static struct node_stat stat_of(const char *path)
{
    struct node_stat stat;
    ck_assert_int_eq(kit_stat(&k, path, &stat), OUTCOME_OK);
    return stat;
}

static enum outcome run_op(struct op op)
{
    return kit_ops(&k, &op, 1);
}

static enum outcome create_with(const char *path, uint8_t flags)
{
    struct op op = kit_op(OP_CREATE, path, "");
    op.flags = flags;
    return run_op(op);
}

START_TEST(a_fresh_tree_is_zookeepers)
{
    ck_assert_uint_eq(store_revision(k.store), 1);
    ck_assert_uint_eq(store_node_count(k.store), 4);
    ck_assert(kit_exists(&k, "/zookeeper/config"));
    ck_assert(kit_exists(&k, "/zookeeper/quota"));
    struct node_stat root = stat_of("/");
    ck_assert_int_eq((int32_t)stat_children_version(&root), -1);
    ck_assert_uint_eq(root.create_revision, 1);
}
END_TEST

START_TEST(create_sets_the_node_and_moves_its_parent)
{
    uint64_t wall_ms = k.wall_ms;
    ck_assert_int_eq(kit_create(&k, "/a", "hello"), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.revision, 2);
    ck_assert(slice_is(k.reply.results[0].path, "/a"));
    struct node_stat a = stat_of("/a");
    ck_assert_uint_eq(a.create_revision, 2);
    ck_assert_uint_eq(a.modify_revision, 2);
    ck_assert_uint_eq(a.children_revision, 2);
    ck_assert_uint_eq(a.create_ms, wall_ms);
    ck_assert_uint_eq(a.version, 0);
    ck_assert_uint_eq(a.data_bytes, 5);
    struct node_stat root = stat_of("/");
    ck_assert_uint_eq(root.children_revision, 2);
    ck_assert_uint_eq(root.modify_revision, 1);
    ck_assert_uint_eq(root.child_count, 2);
    ck_assert_uint_eq(root.sequence_next, 1);
}
END_TEST

START_TEST(set_moves_only_the_node)
{
    kit_create(&k, "/a", "1");
    kit_create(&k, "/a/b", "1");
    ck_assert_int_eq(kit_set(&k, "/a/b", "longer"), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.results[0].stat.version, 1);
    struct node_stat b = stat_of("/a/b");
    struct node_stat a = stat_of("/a");
    ck_assert_uint_eq(b.modify_revision, 4);
    ck_assert_uint_eq(b.create_revision, 3);
    ck_assert_uint_eq(b.data_bytes, 6);
    ck_assert_uint_eq(a.children_revision, 3);
    ck_assert_uint_eq(a.modify_revision, 2);
}
END_TEST

START_TEST(delete_moves_the_parents_children_revision_but_not_its_counter)
{
    kit_create(&k, "/a", "");
    kit_create(&k, "/a/b", "");
    ck_assert_int_eq(kit_delete(&k, "/a/b"), OUTCOME_OK);
    struct node_stat a = stat_of("/a");
    ck_assert_uint_eq(a.children_revision, 4);
    ck_assert_uint_eq(a.child_count, 0);
    ck_assert_uint_eq(a.sequence_next, 1);
    ck_assert_uint_eq(stat_children_version(&a), 2);
    ck_assert(!kit_exists(&k, "/a/b"));
}
END_TEST

START_TEST(a_failed_write_uses_no_revision_and_changes_nothing)
{
    kit_create(&k, "/a", "x");
    uint64_t revision = store_revision(k.store);
    uint64_t nodes = k.store->node_sum;
    ck_assert_int_eq(kit_create(&k, "/a", "y"), OUTCOME_NODE_EXISTS);
    ck_assert_int_eq(kit_create(&k, "/b/c", "y"), OUTCOME_NO_PARENT);
    ck_assert_int_eq(kit_set(&k, "/b", "y"), OUTCOME_NO_NODE);
    ck_assert_int_eq(kit_delete(&k, "/b"), OUTCOME_NO_NODE);
    ck_assert_int_eq(kit_create(&k, "/a/\x01", "y"), OUTCOME_BAD_PATH);
    ck_assert_uint_eq(store_revision(k.store), revision);
    ck_assert_uint_eq(k.store->node_sum, nodes);
    ck_assert_uint_eq(k.reply.revision, revision);
}
END_TEST

START_TEST(sequence_numbers_count_all_creates_and_no_deletes)
{
    kit_create(&k, "/q", "");
    ck_assert_int_eq(create_with("/q/n-", OP_SEQUENTIAL), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].path, "/q/n-0000000000"));
    kit_create(&k, "/q/plain", "");
    kit_delete(&k, "/q/plain");
    ck_assert_int_eq(create_with("/q/", OP_SEQUENTIAL), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].path, "/q/0000000002"));
    ck_assert_int_eq(kit_create(&k, "/q/n-0000000000", ""), OUTCOME_NODE_EXISTS);
    ck_assert_int_eq(create_with("/q/n-", OP_SEQUENTIAL), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].path, "/q/n-0000000003"));
}
END_TEST

START_TEST(a_sequential_node_may_be_made_directly_below_the_root)
{
    ck_assert_int_eq(create_with("/", OP_SEQUENTIAL), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].path, "/0000000000"));
}
END_TEST

START_TEST(missing_parents_are_made_without_data_in_one_revision)
{
    ck_assert_int_eq(create_with("/a/b/c-", OP_MAKE_PARENTS | OP_SEQUENTIAL), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].path, "/a/b/c-0000000000"));
    ck_assert_uint_eq(store_revision(k.store), 2);
    struct node_stat b = stat_of("/a/b");
    ck_assert_uint_eq(b.create_revision, 2);
    ck_assert_uint_eq(b.sequence_next, 1);
    ck_assert_uint_eq(k.store->history.end, 3);
    ck_assert_ptr_null(history_at(&k.store->history, 0)->data);
    ck_assert_uint_eq(history_at(&k.store->history, 2)->sub, 2);
    ck_assert_int_eq(create_with("/a/b", OP_MAKE_PARENTS), OUTCOME_NODE_EXISTS);
}
END_TEST

START_TEST(making_parents_is_bounded)
{
    char path[2 * 200 + 1];
    for (size_t i = 0; i < 200; i++) {
        memcpy(path + 2 * i, "/d", 2);
    }
    path[2 * 200] = '\0';
    ck_assert_int_eq(create_with(path, OP_MAKE_PARENTS), OUTCOME_LIMIT);
    ck_assert_uint_eq(store_node_count(k.store), 4);
}
END_TEST

START_TEST(versions_are_compared_and_skip_any)
{
    kit_create(&k, "/a", "");
    struct op set = kit_op(OP_SET, "/a", "1");
    set.version = 1;
    ck_assert_int_eq(run_op(set), OUTCOME_BAD_VERSION);
    set.version = 0;
    ck_assert_int_eq(run_op(set), OUTCOME_OK);
    uint32_t slot = tree_find(&k.store->tree, 'Z', slice_str("/a"));
    k.store->node_sum -= digest_items(k.store);
    tree_node(&k.store->tree, slot)->version = VERSION_ANY - 1;
    k.store->node_sum += digest_items(k.store);
    set.version = VERSION_ANY - 1;
    ck_assert_int_eq(run_op(set), OUTCOME_OK);
    ck_assert_uint_eq(stat_of("/a").version, 0);
    struct op del = kit_op(OP_DELETE, "/a", NULL);
    del.version = 7;
    ck_assert_int_eq(run_op(del), OUTCOME_BAD_VERSION);
}
END_TEST

START_TEST(no_value_and_an_empty_value_are_told_apart)
{
    kit_create(&k, "/null", NULL);
    kit_create(&k, "/empty", "");
    uint64_t digest = k.store->node_sum;
    struct op get[] = {kit_op(OP_GET, "/null", NULL), kit_op(OP_GET, "/empty", NULL)};
    ck_assert_int_eq(kit_ops(&k, get, 2), OUTCOME_OK);
    ck_assert(k.reply.results[0].null_data);
    ck_assert(!k.reply.results[1].null_data);
    kit_set(&k, "/null", "");
    ck_assert_uint_ne(k.store->node_sum, digest);
}
END_TEST

START_TEST(reserved_nodes_cannot_be_deleted_but_be_set)
{
    static const char *const paths[] = {"/", "/zookeeper", "/zookeeper/quota",
                                        "/zookeeper/config"};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(kit_delete(&k, paths[i]), OUTCOME_PROTECTED);
        ck_assert_int_eq(kit_remove_tree(&k, paths[i]), OUTCOME_PROTECTED);
    }
    ck_assert_int_eq(kit_set(&k, "/", "root"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/zookeeper/mine", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_delete(&k, "/zookeeper/mine"), OUTCOME_OK);
}
END_TEST

START_TEST(a_node_with_children_is_deleted_only_recursively)
{
    kit_create(&k, "/a", "");
    kit_create(&k, "/a/b", "");
    kit_create(&k, "/a/b/c", "");
    kit_create(&k, "/a-b", "");
    ck_assert_int_eq(kit_delete(&k, "/a"), OUTCOME_NOT_EMPTY);
    struct op op = kit_op(OP_DELETE, "/a", NULL);
    op.flags = OP_RECURSIVE | OP_DRY_RUN;
    ck_assert_int_eq(run_op(op), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.results[0].count, 3);
    ck_assert(kit_exists(&k, "/a/b/c"));
    op.flags = OP_RECURSIVE;
    op.limit = 2;
    ck_assert_int_eq(run_op(op), OUTCOME_LIMIT);
    ck_assert(kit_exists(&k, "/a/b/c"));
    op.limit = 3;
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(run_op(op), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.results[0].count, 3);
    ck_assert_uint_eq(store_revision(k.store), revision + 1);
    ck_assert(!kit_exists(&k, "/a"));
    ck_assert(kit_exists(&k, "/a-b"));
    const struct history *h = &k.store->history;
    ck_assert(slice_is(history_at(h, h->end - 3)->path, "/a/b/c"));
    ck_assert(slice_is(history_at(h, h->end - 1)->path, "/a"));
}
END_TEST

START_TEST(checks_come_in_zookeepers_order)
{
    kit_create(&k, "/a", "");
    ck_assert_int_eq(kit_create(&k, "/x//y", ""), OUTCOME_NO_PARENT);
    ck_assert_int_eq(kit_create(&k, "//a", ""), OUTCOME_BAD_PATH);
    ck_assert_int_eq(kit_create(&k, "/a/", ""), OUTCOME_BAD_PATH);
    ck_assert_int_eq(kit_create(&k, "/a/.", ""), OUTCOME_BAD_PATH);
    ck_assert_int_eq(kit_create(&k, "/", ""), OUTCOME_NODE_EXISTS);
    ck_assert_int_eq(kit_create(&k, "a", ""), OUTCOME_BAD_PATH);
    ck_assert_int_eq(kit_create(&k, "", ""), OUTCOME_BAD_PATH);
    ck_assert_int_eq(kit_set(&k, "/a/", ""), OUTCOME_BAD_PATH);
    ck_assert_int_eq(kit_delete(&k, "/a/../b"), OUTCOME_BAD_PATH);
}
END_TEST

START_TEST(kinds_of_later_feature_levels_are_refused_by_name)
{
    struct op op = kit_op(OP_CREATE, "/e", "");
    op.kind = NODE_EPHEMERAL;
    ck_assert_int_eq(run_op(op), OUTCOME_BAD_ARGUMENTS);
    op.lease = 7;
    ck_assert_int_eq(run_op(op), OUTCOME_NO_LEASE);
    ck_assert(!kit_exists(&k, "/e"));
}
END_TEST

START_TEST(a_command_of_a_session_that_does_not_exist_is_refused)
{
    struct op op = kit_op(OP_CREATE, "/a", "");
    struct command c = {.type = COMMAND_TXN,
                        .session = 5,
                        .sequence = 1,
                        .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_NO_SESSION);
    ck_assert(!kit_exists(&k, "/a"));
}
END_TEST

START_TEST(flat_keys_are_put_got_and_deleted)
{
    struct op put = {.type = OP_SET,
                     .space = SPACE_META,
                     .path = slice_make("k\0/", 3),
                     .data = slice_str("v"),
                     .version = VERSION_ANY};
    ck_assert_int_eq(run_op(put), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.results[0].stat.version, 0);
    ck_assert_int_eq(run_op(put), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.results[0].stat.version, 1);
    put.version = 0;
    ck_assert_int_eq(run_op(put), OUTCOME_BAD_VERSION);
    put.type = OP_CREATE;
    ck_assert_int_eq(run_op(put), OUTCOME_NODE_EXISTS);
    struct op other = put;
    other.type = OP_SET;
    other.path = slice_str("missing");
    ck_assert_int_eq(run_op(other), OUTCOME_NO_NODE);
    struct op del = {
        .type = OP_DELETE, .space = SPACE_META, .path = put.path, .version = VERSION_ANY};
    ck_assert_int_eq(run_op(del), OUTCOME_OK);
    ck_assert_int_eq(run_op(del), OUTCOME_NO_NODE);
    ck_assert_uint_eq(store_node_count(k.store), 4);
    del.space = SPACE_ETCD;
    ck_assert_int_eq(run_op(del), OUTCOME_UNSUPPORTED);
    del.space = SPACE_META;
    del.flags = OP_RECURSIVE;
    ck_assert_int_eq(run_op(del), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

START_TEST(names_longer_than_a_node_holds_inline_work)
{
    char path[STORE_PATH_BYTES_MAX + 2];
    memset(path, 'n', sizeof path);
    path[0] = '/';
    path[STORE_PATH_BYTES_MAX] = '\0';
    ck_assert_int_eq(kit_create(&k, path, "x"), OUTCOME_OK);
    ck_assert(kit_exists(&k, path));
    ck_assert_int_eq(kit_delete(&k, path), OUTCOME_OK);
    path[STORE_PATH_BYTES_MAX] = 'n';
    path[STORE_PATH_BYTES_MAX + 1] = '\0';
    ck_assert_int_eq(kit_create(&k, path, "x"), OUTCOME_TOO_LARGE);
    path[STORE_PATH_BYTES_MAX - 5] = '\0'; /* short enough, but for the number */
    ck_assert_int_eq(create_with(path, OP_SEQUENTIAL), OUTCOME_TOO_LARGE);
}
END_TEST

START_TEST(limits_hold_in_apply_too)
{
    static uint8_t large[STORE_VALUE_BYTES_MAX + 1];
    struct op op = kit_op(OP_CREATE, "/a", NULL);
    op.flags = 0;
    op.data = slice_make(large, sizeof large);
    ck_assert_int_eq(run_op(op), OUTCOME_TOO_LARGE);
    op.data.size--;
    ck_assert_int_eq(run_op(op), OUTCOME_OK);
    struct op many[5];
    for (size_t i = 0; i < 5; i++) {
        many[i] = kit_op(OP_SET, "/a", "");
        many[i].data = op.data;
    }
    ck_assert_int_eq(kit_ops(&k, many, 5), OUTCOME_TOO_LARGE);
    ck_assert_uint_eq(k.reply.result_count, 0);
}
END_TEST

START_TEST(freed_memory_is_used_again)
{
    char path[40];
    uint32_t slots = 0;
    uint64_t bytes = store_bytes(k.store);
    for (int round = 0; round < 3; round++) {
        kit_create(&k, "/d", "");
        for (int i = 0; i < 1000; i++) {
            snprintf(path, sizeof path, "/d/n%d", i);
            ck_assert_int_eq(kit_create(&k, path, "value"), OUTCOME_OK);
        }
        ck_assert_int_eq(kit_remove_tree(&k, "/d"), OUTCOME_OK);
        ck_assert(round == 0 || slots == k.store->tree.slot_end);
        slots = k.store->tree.slot_end;
    }
    ck_assert_uint_eq(store_node_count(k.store), 4);
    ck_assert_uint_eq(store_bytes(k.store), bytes);
    ck_assert_uint_ge(bytes, 4 * NODE_COST_BYTES);
}
END_TEST

/* ---- digests and levels ---------------------------------------------------------------------- */

static enum outcome run_check(uint64_t index, uint32_t count, const uint64_t *digests)
{
    struct command c = {.type = COMMAND_CHECK, .check = {.index = index, .count = count}};
    for (uint32_t i = 0; i < count; i++) {
        c.check.members[i].member = 10 + i;
        c.check.members[i].digest = digests[i];
    }
    return kit_run(&k, &c);
}

START_TEST(the_minority_of_a_digest_check_is_marked_once)
{
    ck_assert_int_eq(run_check(5, 3, (uint64_t[]){1, 1, 1}), OUTCOME_OK);
    ck_assert_uint_eq(store_diverged(k.store, 10), 0);
    uint64_t digest = store_digest(k.store);
    run_check(9, 3, (uint64_t[]){1, 2, 1});
    ck_assert_uint_eq(store_diverged(k.store, 10), 0);
    ck_assert_uint_eq(store_diverged(k.store, 11), 9);
    ck_assert_uint_ne(store_digest(k.store), digest);
    run_check(12, 3, (uint64_t[]){1, 2, 1});
    ck_assert_uint_eq(store_diverged(k.store, 11), 9);
    ck_assert_uint_eq(store_revision(k.store), 1);
}
END_TEST

START_TEST(without_a_majority_every_listed_member_is_marked)
{
    run_check(7, 2, (uint64_t[]){1, 2});
    ck_assert_uint_eq(store_diverged(k.store, 10), 7);
    ck_assert_uint_eq(store_diverged(k.store, 11), 7);
    ck_assert_uint_eq(store_diverged(k.store, 12), 0);
}
END_TEST

START_TEST(the_feature_level_only_rises)
{
    struct command c = {.type = COMMAND_LEVEL, .level = 9};
    struct store *fresh = store_new();
    ck_assert_uint_eq(store_level(fresh), 1);
    store_free(fresh);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    c.level = 8;
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_uint_eq(store_level(k.store), 9);
    ck_assert_uint_eq(store_revision(k.store), 1);
}
END_TEST

/* What a later version calls a command is the same to all members of this one, and to later ones
 * that have not finished the upgrade. */
START_TEST(commands_of_later_levels_are_answered_alike_and_change_nothing)
{
    struct command later = {.type = 200, .unknown = slice_str("whatever it may be")};
    uint64_t digest = store_digest(k.store);
    k.cluster_ms = store_cluster_ms(k.store);
    ck_assert_uint_eq(command_level(200), UINT32_MAX);
    ck_assert_int_eq(kit_run(&k, &later), OUTCOME_UNSUPPORTED);
    ck_assert_uint_eq(store_digest(k.store), digest);
    k.store->level = 1;
    struct command users = {.type = COMMAND_AUTH, .auth = {.action = AUTH_DISABLE}};
    ck_assert_uint_eq(command_level(COMMAND_AUTH), 2);
    ck_assert_int_eq(kit_run(&k, &users), OUTCOME_UNSUPPORTED);
    struct command lock = {.type = COMMAND_RECIPE};
    ck_assert_int_eq(kit_run(&k, &lock), OUTCOME_UNSUPPORTED);
    k.store->level = 2;
    ck_assert_int_eq(kit_run(&k, &lock), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_ne(kit_run(&k, &users), OUTCOME_UNSUPPORTED);
}
END_TEST

START_TEST(the_applied_index_moves_with_the_last_command_of_an_entry)
{
    struct op op = kit_op(OP_CREATE, "/a", "");
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct reply reply;
    struct apply_context context = {.index = 9, .cluster_ms = 500, .wall_ms = 1};
    store_apply(k.store, &context, &c, &reply);
    ck_assert_uint_eq(store_applied_index(k.store), 0);
    context.last_of_entry = true;
    context.cluster_ms = 400; /* time does not go back */
    store_apply(k.store, &context, &c, &reply);
    ck_assert_uint_eq(store_applied_index(k.store), 9);
    ck_assert_uint_eq(store_cluster_ms(k.store), 500);
    store_skip(k.store, 11);
    ck_assert_uint_eq(store_applied_index(k.store), 11);
}
END_TEST

static Suite *apply_suite(void)
{
    Suite *suite = suite_create("apply");
    TCase *tcase = tcase_create("apply");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_fresh_tree_is_zookeepers);
    tcase_add_test(tcase, create_sets_the_node_and_moves_its_parent);
    tcase_add_test(tcase, set_moves_only_the_node);
    tcase_add_test(tcase, delete_moves_the_parents_children_revision_but_not_its_counter);
    tcase_add_test(tcase, a_failed_write_uses_no_revision_and_changes_nothing);
    tcase_add_test(tcase, sequence_numbers_count_all_creates_and_no_deletes);
    tcase_add_test(tcase, a_sequential_node_may_be_made_directly_below_the_root);
    tcase_add_test(tcase, missing_parents_are_made_without_data_in_one_revision);
    tcase_add_test(tcase, making_parents_is_bounded);
    tcase_add_test(tcase, versions_are_compared_and_skip_any);
    tcase_add_test(tcase, no_value_and_an_empty_value_are_told_apart);
    tcase_add_test(tcase, reserved_nodes_cannot_be_deleted_but_be_set);
    tcase_add_test(tcase, a_node_with_children_is_deleted_only_recursively);
    tcase_add_test(tcase, checks_come_in_zookeepers_order);
    tcase_add_test(tcase, kinds_of_later_feature_levels_are_refused_by_name);
    tcase_add_test(tcase, a_command_of_a_session_that_does_not_exist_is_refused);
    tcase_add_test(tcase, flat_keys_are_put_got_and_deleted);
    tcase_add_test(tcase, names_longer_than_a_node_holds_inline_work);
    tcase_add_test(tcase, limits_hold_in_apply_too);
    tcase_add_test(tcase, freed_memory_is_used_again);
    tcase_add_test(tcase, the_minority_of_a_digest_check_is_marked_once);
    tcase_add_test(tcase, without_a_majority_every_listed_member_is_marked);
    tcase_add_test(tcase, the_feature_level_only_rises);
    tcase_add_test(tcase, commands_of_later_levels_are_answered_alike_and_change_nothing);
    tcase_add_test(tcase, the_applied_index_moves_with_the_last_command_of_an_entry);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){apply_suite, NULL});
}
