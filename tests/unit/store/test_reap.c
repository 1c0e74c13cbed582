/* Containers and TTL nodes: what makes them due, and that only what is due goes. */
#include "store/digest.h"
#include "store/state.h"
#include "store/validate.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define TTL_MS 1000

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

static enum outcome create_kind(const char *path, uint8_t kind, uint64_t ttl_ms, uint8_t flags)
{
    struct op op = kit_op(OP_CREATE, path, "x");
    op.kind = kind;
    op.ttl_ms = ttl_ms;
    op.flags = flags;
    return kit_ops(&k, &op, 1);
}

static void create_container(const char *path)
{
    ck_assert_int_eq(create_kind(path, NODE_CONTAINER, 0, 0), OUTCOME_OK);
}

static void create_ttl(const char *path)
{
    ck_assert_int_eq(create_kind(path, NODE_TTL, TTL_MS, 0), OUTCOME_OK);
}

static struct node_stat stat_of(const char *path)
{
    struct node_stat stat;
    ck_assert_int_eq(kit_stat(&k, path, &stat), OUTCOME_OK);
    return stat;
}

static enum outcome reap_at(const char *path, uint64_t revision)
{
    struct command c = {.type = COMMAND_REAP, .reap = {slice_str(path), revision}};
    return kit_run(&k, &c);
}

static enum outcome reap(const char *path)
{
    return reap_at(path, stat_of(path).create_revision);
}

static size_t due_count(void)
{
    struct store_due due[16];
    return store_reap_due(k.store, k.cluster_ms, due, 16);
}

static bool is_due(const char *path)
{
    struct store_due due[16];
    size_t count = store_reap_due(k.store, k.cluster_ms, due, 16);
    for (size_t i = 0; i < count; i++) {
        if (slice_is(due[i].path, path)) {
            ck_assert_uint_eq(due[i].revision, stat_of(path).create_revision);
            return true;
        }
    }
    return false;
}

static const struct change *last_change(void)
{
    return history_at(&k.store->history, k.store->history.end - 1);
}


/* ---- kinds and stats ---------------------------------------------------------------------- */

START_TEST(containers_and_ttl_nodes_have_no_owner_and_ordinary_stats)
{
    create_container("/c");
    create_ttl("/t");
    struct node_stat c = stat_of("/c");
    struct node_stat t = stat_of("/t");
    ck_assert_int_eq(c.kind, NODE_CONTAINER);
    ck_assert_int_eq(t.kind, NODE_TTL);
    ck_assert_uint_eq(c.ttl_ms, 0);
    ck_assert_uint_eq(t.ttl_ms, TTL_MS);
    ck_assert_uint_eq(c.lease + t.lease, 0);
    ck_assert_uint_eq(t.children_revision, t.create_revision);
    ck_assert_uint_eq(t.version + t.child_count + t.sequence_next, 0);
    ck_assert_uint_eq(k.reply.results[0].stat.ttl_ms, TTL_MS);
}
END_TEST

START_TEST(both_kinds_can_be_sequential)
{
    ck_assert_int_eq(create_kind("/c-", NODE_CONTAINER, 0, OP_SEQUENTIAL), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].path, "/c-0000000000"));
    ck_assert_int_eq(create_kind("/t-", NODE_TTL, 5, OP_SEQUENTIAL), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].path, "/t-0000000001"));
    ck_assert_int_eq(stat_of("/t-0000000001").kind, NODE_TTL);
}
END_TEST

START_TEST(missing_parents_are_persistent_whatever_is_made_below_them)
{
    ck_assert_int_eq(create_kind("/a/b/c", NODE_CONTAINER, 0, OP_MAKE_PARENTS), OUTCOME_OK);
    ck_assert_int_eq(stat_of("/a").kind, NODE_PERSISTENT);
    ck_assert_int_eq(stat_of("/a/b").kind, NODE_PERSISTENT);
    ck_assert_int_eq(stat_of("/a/b/c").kind, NODE_CONTAINER);
}
END_TEST

START_TEST(a_ttl_out_of_range_is_refused)
{
    ck_assert_int_eq(create_kind("/t", NODE_TTL, 0, 0), OUTCOME_BAD_TTL);
    ck_assert_int_eq(create_kind("/t", NODE_TTL, NODE_TTL_MS_MAX + 1, 0), OUTCOME_BAD_TTL);
    ck_assert_int_eq(create_kind("/t", NODE_CONTAINER, 5, 0), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(create_kind("/t", NODE_TTL, NODE_TTL_MS_MAX, 0), OUTCOME_OK);
    ck_assert_int_eq(create_kind("/u", NODE_TTL, 1, 0), OUTCOME_OK);
}
END_TEST

/* ---- containers --------------------------------------------------------------------------- */

START_TEST(a_container_is_due_once_its_last_child_went)
{
    create_container("/c");
    ck_assert_uint_eq(store_reap_next_ms(k.store), UINT64_MAX);
    kit_create(&k, "/c/1", "");
    kit_create(&k, "/c/2", "");
    kit_delete(&k, "/c/1");
    ck_assert_uint_eq(due_count(), 0);
    kit_delete(&k, "/c/2");
    ck_assert_uint_eq(store_reap_next_ms(k.store), 0);
    ck_assert(is_due("/c"));
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(reap("/c"), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.revision, revision + 1);
    ck_assert(!kit_exists(&k, "/c"));
    ck_assert_int_eq(last_change()->type, CHANGE_DELETE);
    ck_assert_int_eq(last_change()->reason, REASON_EMPTIED);
    ck_assert_uint_eq(due_count(), 0);
}
END_TEST

START_TEST(a_container_that_never_had_a_child_stays)
{
    create_container("/c");
    k.cluster_ms += 1000000000;
    ck_assert_uint_eq(due_count(), 0);
    ck_assert_int_eq(reap("/c"), OUTCOME_NOT_DUE);
    struct op ops[] = {kit_op(OP_CREATE, "/c/1", ""), kit_op(OP_CREATE, "/no/parent", "")};
    ck_assert_int_eq(kit_ops(&k, ops, 2), OUTCOME_NO_PARENT);
    ck_assert_uint_eq(due_count(), 0); /* the child was never there */
    ck_assert(kit_exists(&k, "/c"));
}
END_TEST

START_TEST(a_container_that_got_a_child_meanwhile_stays)
{
    create_container("/c");
    kit_create(&k, "/c/1", "");
    kit_delete(&k, "/c/1");
    ck_assert(is_due("/c"));
    kit_create(&k, "/c/2", "");
    ck_assert_uint_eq(due_count(), 0);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(reap("/c"), OUTCOME_NOT_DUE);
    ck_assert_uint_eq(store_revision(k.store), revision);
}
END_TEST

START_TEST(a_node_made_anew_is_not_the_one_that_was_due)
{
    create_container("/c");
    uint64_t seen = stat_of("/c").create_revision;
    kit_create(&k, "/c/1", "");
    kit_delete(&k, "/c/1");
    kit_delete(&k, "/c");
    create_container("/c");
    kit_create(&k, "/c/1", "");
    kit_delete(&k, "/c/1");
    ck_assert_int_eq(reap_at("/c", seen), OUTCOME_NOT_DUE);
    ck_assert(is_due("/c"));
    ck_assert_int_eq(reap("/c"), OUTCOME_OK);
}
END_TEST

START_TEST(containers_within_containers_go_one_after_the_other)
{
    create_container("/a");
    create_container("/a/b");
    create_container("/a/b/c");
    kit_create(&k, "/a/b/c/x", "");
    kit_delete(&k, "/a/b/c/x");
    ck_assert_uint_eq(due_count(), 1);
    ck_assert_int_eq(reap("/a/b/c"), OUTCOME_OK);
    ck_assert(is_due("/a/b"));
    ck_assert_int_eq(reap("/a/b"), OUTCOME_OK);
    ck_assert(is_due("/a"));
    ck_assert_int_eq(reap("/a"), OUTCOME_OK);
    ck_assert_uint_eq(due_count(), 0);
}
END_TEST

START_TEST(a_delete_that_is_rolled_back_makes_no_container_due)
{
    create_container("/c");
    kit_create(&k, "/c/1", "");
    struct op ops[] = {kit_op(OP_DELETE, "/c/1", NULL), kit_op(OP_DELETE, "/c", NULL),
                       kit_op(OP_DELETE, "/nothing", NULL)};
    ck_assert_int_eq(kit_ops(&k, ops, 3), OUTCOME_NO_NODE);
    ck_assert_uint_eq(due_count(), 0);
    kit_delete(&k, "/c/1");
    ck_assert_int_eq(kit_ops(&k, ops + 1, 2), OUTCOME_NO_NODE);
    ck_assert(is_due("/c")); /* as before the attempt */
}
END_TEST

START_TEST(nodes_of_other_kinds_are_never_due)
{
    kit_create(&k, "/p", "");
    kit_create(&k, "/p/1", "");
    kit_delete(&k, "/p/1");
    k.cluster_ms += NODE_TTL_MS_MAX;
    ck_assert_int_eq(reap("/p"), OUTCOME_NOT_DUE);
    ck_assert_int_eq(reap("/"), OUTCOME_NOT_DUE);
    ck_assert_int_eq(reap_at("/nothing", 5), OUTCOME_NOT_DUE);
    ck_assert_int_eq(reap_at("not a path", 5), OUTCOME_NOT_DUE);
}
END_TEST

/* ---- TTL nodes ---------------------------------------------------------------------------- */

START_TEST(a_ttl_node_goes_when_cluster_time_has_passed_and_not_before)
{
    uint64_t created_ms = k.cluster_ms;
    create_ttl("/t");
    ck_assert_uint_eq(store_reap_next_ms(k.store), created_ms + TTL_MS);
    k.wall_ms += 3600 * 1000; /* a wall clock that jumps says nothing */
    k.cluster_ms = created_ms + TTL_MS - 1;
    ck_assert(!is_due("/t"));
    ck_assert_int_eq(reap("/t"), OUTCOME_NOT_DUE);
    k.cluster_ms = created_ms + TTL_MS;
    ck_assert(is_due("/t"));
    ck_assert_int_eq(reap("/t"), OUTCOME_OK);
    ck_assert_int_eq(last_change()->reason, REASON_AGED);
    ck_assert(!kit_exists(&k, "/t"));
}
END_TEST

START_TEST(a_set_begins_the_ttl_anew_and_a_failed_one_does_not)
{
    uint64_t created_ms = k.cluster_ms;
    create_ttl("/t");
    k.cluster_ms = created_ms + 600;
    struct op ops[] = {kit_op(OP_SET, "/t", "y"), kit_op(OP_SET, "/nothing", "y")};
    ck_assert_int_eq(kit_ops(&k, ops, 2), OUTCOME_NO_NODE);
    ck_assert_uint_eq(store_reap_next_ms(k.store), created_ms + TTL_MS);
    uint64_t set_ms = k.cluster_ms;
    ck_assert_int_eq(kit_set(&k, "/t", "y"), OUTCOME_OK);
    ck_assert_uint_eq(store_reap_next_ms(k.store), set_ms + TTL_MS);
    k.cluster_ms = created_ms + TTL_MS;
    ck_assert_int_eq(reap("/t"), OUTCOME_NOT_DUE);
}
END_TEST

START_TEST(children_keep_a_ttl_node_and_do_not_begin_its_ttl_anew)
{
    uint64_t created_ms = k.cluster_ms;
    create_ttl("/t");
    kit_create(&k, "/t/child", "");
    ck_assert_uint_eq(store_reap_next_ms(k.store), UINT64_MAX);
    k.cluster_ms = created_ms + 10 * TTL_MS;
    ck_assert_int_eq(reap("/t"), OUTCOME_NOT_DUE);
    kit_delete(&k, "/t/child");
    ck_assert_uint_eq(store_reap_next_ms(k.store), created_ms + TTL_MS);
    ck_assert_int_eq(reap("/t"), OUTCOME_OK);
}
END_TEST

START_TEST(what_is_due_is_told_however_much_there_is)
{
    char path[32];
    struct store_due due[8];
    for (int i = 0; i < 100; i++) { /* ttls 100 down to 1 */
        snprintf(path, sizeof path, "/t%02d", i);
        ck_assert_int_eq(create_kind(path, NODE_TTL, (uint64_t)(100000 - 1000 * i), 0),
                         OUTCOME_OK);
    }
    k.cluster_ms += 50000;
    int gone = 0;
    for (size_t count; (count = store_reap_due(k.store, k.cluster_ms, due, 8)) > 0;) {
        char paths[8][32];
        for (size_t i = 0; i < count; i++) {
            memcpy(paths[i], due[i].path.data, due[i].path.size);
            paths[i][due[i].path.size] = '\0';
        }
        for (size_t i = 0; i < count; i++, gone++) {
            ck_assert_int_eq(reap_at(paths[i], due[i].revision), OUTCOME_OK);
        }
    }
    ck_assert_int_ge(gone, 49);
    ck_assert_int_le(gone, 51);
    ck_assert_uint_gt(store_reap_next_ms(k.store), k.cluster_ms);
    ck_assert_uint_eq(store_reap_due(k.store, UINT64_MAX, due, 0), 0);
}
END_TEST

START_TEST(what_is_due_is_the_same_after_a_snapshot)
{
    create_container("/c");
    create_container("/unused");
    kit_create(&k, "/c/1", "");
    kit_delete(&k, "/c/1");
    create_ttl("/t");
    create_ttl("/kept");
    kit_create(&k, "/kept/child", "");
    kit_delete(&k, "/kept/child");
    kit_create(&k, "/kept/child", "");
    k.cluster_ms += 100;
    uint64_t touched_ms = k.cluster_ms;
    kit_set(&k, "/t", "y");
    kit_reload(&k);
    store_check(k.store);
    ck_assert_uint_eq(due_count(), 1);
    ck_assert(is_due("/c"));
    ck_assert_int_eq(reap("/c"), OUTCOME_OK);
    ck_assert_uint_eq(store_reap_next_ms(k.store), touched_ms + TTL_MS);
    ck_assert_uint_eq(stat_of("/t").ttl_ms, TTL_MS);
}
END_TEST

START_TEST(when_a_ttl_began_is_part_of_the_digest)
{
    create_ttl("/t");
    uint64_t digest = store_digest(k.store);
    const struct tree *t = &k.store->tree;
    struct dir *dir = tree_node(t, tree_find(t, SPACE_NODES, slice_str("/t")))->dir;
    uint64_t item = digest_items(k.store);
    dir->touched_ms++;
    ck_assert_uint_ne(digest_items(k.store), item);
    dir->touched_ms--;
    ck_assert_uint_eq(store_digest(k.store), digest);
}
END_TEST

/* ---- grants ------------------------------------------------------------------------------- */

static enum outcome guarded_set(uint64_t epoch)
{
    struct guard g = {.target = GUARD_GRANT,
                      .relation = GUARD_EQUAL,
                      .space = SPACE_NODES,
                      .path = slice_str("/lock/holder"),
                      .number = epoch};
    struct op op = kit_op(OP_SET, "/data", "x");
    struct command c = {
        .type = COMMAND_TXN,
        .txn = {.guards = &g, .guard_count = 1, .then_ops = &op, .then_count = 1}};
    return kit_run(&k, &c);
}

START_TEST(a_grant_holds_as_long_as_its_own_node_lives)
{
    kit_create(&k, "/data", "");
    kit_create(&k, "/lock", "");
    kit_create(&k, "/lock/holder", "");
    uint64_t epoch = stat_of("/lock/holder").create_revision;
    ck_assert_int_eq(guarded_set(epoch), OUTCOME_OK);
    kit_set(&k, "/lock/holder", "a set changes no grant");
    ck_assert_int_eq(guarded_set(epoch), OUTCOME_OK);
    ck_assert_int_eq(guarded_set(epoch + 1), OUTCOME_GUARD_STALE);
    kit_delete(&k, "/lock/holder");
    ck_assert_int_eq(guarded_set(epoch), OUTCOME_GUARD_STALE);
    kit_create(&k, "/lock/holder", "");
    ck_assert_int_eq(guarded_set(epoch), OUTCOME_GUARD_STALE);
    ck_assert_int_eq(guarded_set(0), OUTCOME_BAD_ARGUMENTS);
    k.store->level = 1; /* older members know no other word for it */
    ck_assert_int_eq(guarded_set(epoch), OUTCOME_GUARD_REFUSED);
}
END_TEST

static Suite *reap_suite(void)
{
    Suite *suite = suite_create("reap");
    TCase *tcase = tcase_create("reap");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, containers_and_ttl_nodes_have_no_owner_and_ordinary_stats);
    tcase_add_test(tcase, both_kinds_can_be_sequential);
    tcase_add_test(tcase, missing_parents_are_persistent_whatever_is_made_below_them);
    tcase_add_test(tcase, a_ttl_out_of_range_is_refused);
    tcase_add_test(tcase, a_container_is_due_once_its_last_child_went);
    tcase_add_test(tcase, a_container_that_never_had_a_child_stays);
    tcase_add_test(tcase, a_container_that_got_a_child_meanwhile_stays);
    tcase_add_test(tcase, a_node_made_anew_is_not_the_one_that_was_due);
    tcase_add_test(tcase, containers_within_containers_go_one_after_the_other);
    tcase_add_test(tcase, a_delete_that_is_rolled_back_makes_no_container_due);
    tcase_add_test(tcase, nodes_of_other_kinds_are_never_due);
    tcase_add_test(tcase, a_ttl_node_goes_when_cluster_time_has_passed_and_not_before);
    tcase_add_test(tcase, a_set_begins_the_ttl_anew_and_a_failed_one_does_not);
    tcase_add_test(tcase, children_keep_a_ttl_node_and_do_not_begin_its_ttl_anew);
    tcase_add_test(tcase, what_is_due_is_told_however_much_there_is);
    tcase_add_test(tcase, what_is_due_is_the_same_after_a_snapshot);
    tcase_add_test(tcase, when_a_ttl_began_is_part_of_the_digest);
    tcase_add_test(tcase, a_grant_holds_as_long_as_its_own_node_lives);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){reap_suite, NULL});
}
