/* Nodes as they were, and the changes of a node or subtree, out of the change log. */
#include "base/mem.h"
#include "store/digest.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;
static struct arena arena;
static struct query_result result;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    store_check(k.store);
    arena_close(&arena);
    kit_close(&k);
}

static enum outcome get_at(const char *path, uint64_t revision)
{
    struct query q = {.type = QUERY_GET,
                      .space = SPACE_NODES,
                      .path = slice_str(path),
                      .revision = revision};
    arena_clear(&arena);
    store_query(k.store, &q, &result, &arena);
    return (enum outcome)result.outcome;
}

static enum outcome history(const struct query *q)
{
    arena_clear(&arena);
    store_query(k.store, q, &result, &arena);
    return (enum outcome)result.outcome;
}

static struct query history_of(const char *path)
{
    return (struct query){
        .type = QUERY_HISTORY, .space = SPACE_NODES, .path = slice_str(path)};
}

/* "+/a" create, "=/a" set, "-/a" delete, separated by spaces. */
static void check_changes(const char *want)
{
    static const char signs[] = {'?', '+', '=', '-'};
    char text[512] = "";
    for (uint32_t i = 0; i < result.change_count; i++) {
        const struct change *c = result.changes[i];
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%c%.*s",
                 i == 0 ? "" : " ", signs[c->type], (int)c->path.size, (const char *)c->path.data);
    }
    ck_assert_str_eq(text, want);
}

/* Drops everything from the log that is older than now. */
static void let_the_log_go(void)
{
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    struct retention least = {RETENTION_BYTES_MIN, RETENTION_AGE_MS_MIN, 0};
    struct op op = {.type = OP_SET,
                    .space = SPACE_META,
                    .path = slice_str(POLICY_RETENTION_KEY),
                    .data = retention_value(&least, value),
                    .version = VERSION_ANY};
    k.cluster_ms += RETENTION_AGE_MS_MIN + 1;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    ck_assert_uint_eq(store_history_floor(k.store), store_revision(k.store));
}

/* ---- a node as it was --------------------------------------------------------------------- */

START_TEST(a_node_is_shown_as_it_was_at_each_revision)
{
    kit_create(&k, "/a", "one"); /* 2 */
    kit_create(&k, "/b", "");    /* 3 */
    kit_set(&k, "/a", "two");    /* 4 */
    kit_set(&k, "/a", NULL);     /* 5 */
    kit_delete(&k, "/a");        /* 6 */
    kit_create(&k, "/a", "new"); /* 7 */
    ck_assert_int_eq(get_at("/a", 1), OUTCOME_NO_NODE);
    ck_assert_int_eq(get_at("/a", 2), OUTCOME_OK);
    ck_assert(slice_is(result.data, "one"));
    ck_assert_uint_eq(result.stat.version, 0);
    ck_assert_uint_eq(result.stat.modify_revision, 2);
    ck_assert_uint_eq(result.stat.data_bytes, 3);
    ck_assert_uint_eq(result.revision, 7);
    ck_assert_int_eq(get_at("/a", 3), OUTCOME_OK);
    ck_assert(slice_is(result.data, "one"));
    ck_assert_int_eq(get_at("/a", 4), OUTCOME_OK);
    ck_assert(slice_is(result.data, "two"));
    ck_assert_uint_eq(result.stat.version, 1);
    ck_assert_uint_eq(result.stat.create_revision, 2);
    ck_assert_uint_eq(result.stat.modify_revision, 4);
    ck_assert_int_eq(get_at("/a", 5), OUTCOME_OK);
    ck_assert(result.null_data);
    ck_assert_uint_eq(result.stat.version, 2);
    ck_assert_int_eq(get_at("/a", 6), OUTCOME_NO_NODE);
    ck_assert_int_eq(get_at("/a", 7), OUTCOME_OK);
    ck_assert(slice_is(result.data, "new"));
    ck_assert_int_eq(get_at("/a", 8), OUTCOME_FUTURE_REVISION);
}
END_TEST

START_TEST(a_revision_is_seen_behind_all_its_changes)
{
    struct op ops[] = {kit_op(OP_CREATE, "/a", "one"), kit_op(OP_SET, "/a", "two"),
                       kit_op(OP_DELETE, "/a", NULL), kit_op(OP_CREATE, "/a", "three")};
    ck_assert_int_eq(kit_ops(&k, ops, 4), OUTCOME_OK);
    kit_set(&k, "/a", "four");
    ck_assert_int_eq(get_at("/a", 1), OUTCOME_NO_NODE);
    ck_assert_int_eq(get_at("/a", 2), OUTCOME_OK);
    ck_assert(slice_is(result.data, "three"));
    ck_assert_uint_eq(result.stat.version, 0);
}
END_TEST

START_TEST(how_many_children_there_were_is_not_told)
{
    kit_create(&k, "/a", "");
    kit_create(&k, "/a/child", "");
    ck_assert_int_eq(get_at("/a", 3), OUTCOME_OK);
    ck_assert_uint_eq(result.stat.child_count, 0);
    ck_assert_uint_eq(result.stat.sequence_next, 0);
    ck_assert_uint_eq(result.stat.children_revision, 0);
}
END_TEST

START_TEST(a_version_that_wrapped_is_shown_as_it_was)
{
    kit_create(&k, "/a", "");
    tree_node(&k.store->tree, tree_find(&k.store->tree, 'Z', slice_str("/a")))->version =
        VERSION_ANY - 1;
    k.store->node_sum = digest_items(k.store);
    uint64_t before = store_revision(k.store);
    kit_set(&k, "/a", "x");
    ck_assert_int_eq(get_at("/a", before), OUTCOME_OK);
    ck_assert_uint_eq(result.stat.version, VERSION_ANY - 1);
    ck_assert_int_eq(get_at("/a", before + 1), OUTCOME_OK);
    ck_assert_uint_eq(result.stat.version, 0);
}
END_TEST

START_TEST(what_has_left_the_log_is_compacted)
{
    kit_create(&k, "/a", "one"); /* 2 */
    kit_set(&k, "/a", "two");    /* 3 */
    kit_create(&k, "/gone", ""); /* 4 */
    kit_delete(&k, "/gone");     /* 5 */
    let_the_log_go();            /* 6 */
    ck_assert_int_eq(get_at("/a", 2), OUTCOME_COMPACTED);
    ck_assert_int_eq(get_at("/gone", 4), OUTCOME_COMPACTED);
    ck_assert_int_eq(get_at("/gone", 3), OUTCOME_COMPACTED);
    ck_assert_int_eq(get_at("/gone", 5), OUTCOME_NO_NODE); /* the log is complete behind it */
    ck_assert_int_eq(get_at("/never", 4), OUTCOME_COMPACTED);
}
END_TEST

START_TEST(a_node_unchanged_since_is_known_however_long_ago)
{
    kit_create(&k, "/a", "one"); /* 2 */
    kit_set(&k, "/a", "two");    /* 3 */
    kit_create(&k, "/b", "");    /* 4 */
    let_the_log_go();            /* 5 */
    ck_assert_int_eq(get_at("/a", 3), OUTCOME_OK);
    ck_assert(slice_is(result.data, "two"));
    kit_set(&k, "/a", "three"); /* 6, and says what it replaced, and since when that was there */
    ck_assert_int_eq(get_at("/a", 3), OUTCOME_OK);
    ck_assert(slice_is(result.data, "two"));
    ck_assert_uint_eq(result.stat.modify_revision, 3);
    kit_delete(&k, "/a"); /* 7 */
    ck_assert_int_eq(get_at("/a", 3), OUTCOME_OK);
    ck_assert_int_eq(get_at("/a", 6), OUTCOME_OK);
    ck_assert(slice_is(result.data, "three"));
    ck_assert_int_eq(get_at("/a", 2), OUTCOME_COMPACTED);
}
END_TEST

START_TEST(listing_the_past_is_refused)
{
    struct query q = {
        .type = QUERY_LIST, .space = SPACE_NODES, .path = slice_str("/"), .revision = 1};
    ck_assert_int_eq(history(&q), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

/* ---- changes ------------------------------------------------------------------------------ */

static void make_changes(void)
{
    kit_create(&k, "/a", "1");    /* 2 */
    kit_create(&k, "/a/b", "1");  /* 3 */
    kit_create(&k, "/ab", "1");   /* 4 */
    kit_set(&k, "/a", "2");       /* 5 */
    kit_set(&k, "/a/b", "2");     /* 6 */
    kit_remove_tree(&k, "/a");    /* 7 */
    kit_create(&k, "/a", "again"); /* 8 */
}

START_TEST(a_history_has_the_changes_of_a_node_or_of_a_subtree)
{
    make_changes();
    struct query q = history_of("/a");
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("+/a =/a -/a +/a");
    ck_assert(slice_is(value_slice(result.changes[1]->old_data), "1"));
    ck_assert_uint_eq(result.floor, 2);
    q.recursive = true;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("+/a +/a/b =/a =/a/b -/a/b -/a +/a");
    q.newest_first = true;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("+/a -/a -/a/b =/a/b =/a +/a/b +/a");
    q = history_of("/");
    q.recursive = true;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    ck_assert_uint_eq(result.change_count, 8);
    q.recursive = false;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    ck_assert_uint_eq(result.change_count, 0);
}
END_TEST

START_TEST(a_range_of_revisions_has_both_ends)
{
    make_changes();
    struct query q = history_of("/a");
    q.from_revision = 5;
    q.to_revision = 7;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("=/a -/a");
    q.to_revision = 8;
    q.from_revision = 8;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("+/a");
    q.from_revision = 9;
    q.to_revision = 0;
    ck_assert_int_eq(history(&q), OUTCOME_FUTURE_REVISION);
    q.from_revision = 0;
    q.to_revision = 9;
    ck_assert_int_eq(history(&q), OUTCOME_FUTURE_REVISION);
    q.from_revision = 5;
    q.to_revision = 4;
    ck_assert_int_eq(history(&q), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

START_TEST(pages_go_on_in_the_midst_of_a_revision)
{
    make_changes();
    struct query q = history_of("/a");
    q.recursive = true;
    q.limit = 5;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("+/a +/a/b =/a =/a/b -/a/b");
    ck_assert(result.more);
    q.after_revision = result.next_revision;
    q.after_sub = result.next_sub;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("-/a +/a");
    ck_assert(!result.more);
    ck_assert_uint_eq(result.next_revision, 0);
    q.newest_first = true;
    q.limit = 2;
    q.after_revision = 0;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("+/a -/a");
    q.after_revision = result.next_revision;
    q.after_sub = result.next_sub;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("-/a/b =/a/b");
    q.after_revision = UINT64_MAX; /* a cursor that nobody was given */
    q.after_sub = UINT32_MAX;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("+/a -/a");
    q.newest_first = false;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("");
}
END_TEST

START_TEST(a_page_has_at_most_so_many_bytes_but_always_one_change)
{
    static char large[STORE_VALUE_BYTES_MAX];
    memset(large, 'x', sizeof large);
    kit_create(&k, "/a", "");
    for (int i = 0; i < 3; i++) {
        struct op op = kit_op(OP_SET, "/a", "");
        op.data = slice_make(large, sizeof large);
        ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    }
    struct query q = history_of("/a");
    uint32_t seen = 0;
    for (bool more = true; more; more = result.more) {
        ck_assert_int_eq(history(&q), OUTCOME_OK);
        ck_assert_uint_ge(result.change_count, 1);
        ck_assert_uint_le(result.change_count, 2);
        seen += result.change_count;
        q.after_revision = result.next_revision;
        q.after_sub = result.next_sub;
    }
    ck_assert_uint_eq(seen, 4);
}
END_TEST

START_TEST(what_a_page_looks_at_is_bounded)
{
    for (int i = 0; i < 140; i++) { /* changes of others, a thousand at a time */
        struct op *ops = mem_alloc(2000 * sizeof *ops);
        for (int j = 0; j < 2000; j += 2) {
            ops[j] = kit_op(OP_CREATE, "/other", NULL);
            ops[j + 1] = kit_op(OP_DELETE, "/other", NULL);
        }
        ck_assert_int_eq(kit_ops(&k, ops, 2000), OUTCOME_OK);
        mem_free(ops);
    }
    kit_create(&k, "/a", "");
    struct query q = history_of("/a");
    q.recursive = true;
    int pages = 0;
    uint32_t seen = 0;
    for (bool more = true; more; more = result.more) {
        ck_assert_int_eq(history(&q), OUTCOME_OK);
        q.after_revision = result.next_revision;
        q.after_sub = result.next_sub;
        seen += result.change_count;
        pages++;
    }
    ck_assert_uint_eq(seen, 1);
    ck_assert_int_gt(pages, 1); /* the first ones found nothing */
}
END_TEST

START_TEST(a_range_that_has_left_the_log_is_compacted)
{
    make_changes();
    let_the_log_go();
    struct query q = history_of("/a");
    q.to_revision = 8;
    ck_assert_int_eq(history(&q), OUTCOME_COMPACTED);
    q.to_revision = 0;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    ck_assert_uint_eq(result.change_count, 0);
    ck_assert_uint_eq(result.floor, 9);
}
END_TEST

START_TEST(changes_say_who_when_and_why)
{
    struct op op = kit_op(OP_CREATE, "/a", "x");
    struct buf me = {0};
    identity_encode(&me, slice_str("digest"), slice_str("me:x"));
    struct command c = {.type = COMMAND_TXN,
                        .note = slice_str("because"),
                        .identities = buf_slice(&me),
                        .txn = {.then_ops = &op, .then_count = 1}};
    uint64_t wall_ms = k.wall_ms;
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    struct query q = history_of("/a");
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    ck_assert(slice_is(result.changes[0]->note, "because"));
    ck_assert(slice_equal(result.changes[0]->identities, buf_slice(&me)));
    buf_close(&me);
    ck_assert_uint_eq(result.changes[0]->wall_ms, wall_ms);
}
END_TEST

START_TEST(keys_of_a_flat_space_have_a_past_too)
{
    struct op op = {.type = OP_SET,
                    .space = SPACE_META,
                    .path = slice_str("key1"),
                    .data = slice_str("x"),
                    .version = VERSION_ANY};
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    op.path = slice_str("key2");
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    struct query q = history_of("key");
    q.space = SPACE_META;
    q.recursive = true;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
    check_changes("+key1 +key2");
    q = (struct query){
        .type = QUERY_GET, .space = SPACE_META, .path = slice_str("key2"), .revision = 2};
    ck_assert_int_eq(history(&q), OUTCOME_NO_NODE);
    q.revision = 3;
    ck_assert_int_eq(history(&q), OUTCOME_OK);
}
END_TEST

static Suite *history_query_suite(void)
{
    Suite *suite = suite_create("history query");
    TCase *tcase = tcase_create("history query");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_node_is_shown_as_it_was_at_each_revision);
    tcase_add_test(tcase, a_revision_is_seen_behind_all_its_changes);
    tcase_add_test(tcase, how_many_children_there_were_is_not_told);
    tcase_add_test(tcase, a_version_that_wrapped_is_shown_as_it_was);
    tcase_add_test(tcase, what_has_left_the_log_is_compacted);
    tcase_add_test(tcase, a_node_unchanged_since_is_known_however_long_ago);
    tcase_add_test(tcase, listing_the_past_is_refused);
    tcase_add_test(tcase, a_history_has_the_changes_of_a_node_or_of_a_subtree);
    tcase_add_test(tcase, a_range_of_revisions_has_both_ends);
    tcase_add_test(tcase, pages_go_on_in_the_midst_of_a_revision);
    tcase_add_test(tcase, a_page_has_at_most_so_many_bytes_but_always_one_change);
    tcase_add_test(tcase, what_a_page_looks_at_is_bounded);
    tcase_add_test(tcase, a_range_that_has_left_the_log_is_compacted);
    tcase_add_test(tcase, changes_say_who_when_and_why);
    tcase_add_test(tcase, keys_of_a_flat_space_have_a_past_too);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){history_query_suite, NULL});
}
