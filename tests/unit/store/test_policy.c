/* Policies as keys of the metadata space: what they may be, and that their meaning follows. */
#include "store/policy.h"

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

static struct op put_op(const char *key, const char *value)
{
    return (struct op){.type = OP_SET,
                       .space = SPACE_META,
                       .path = slice_str(key),
                       .data = slice_str(value),
                       .version = VERSION_ANY};
}

static enum outcome put(const char *key, const char *value)
{
    struct op op = put_op(key, value);
    return kit_ops(&k, &op, 1);
}

static enum outcome drop(const char *key)
{
    struct op op = put_op(key, "");
    op.type = OP_DELETE;
    return kit_ops(&k, &op, 1);
}

static uint32_t versions_of(const char *path)
{
    return policies_versions(store_policies(k.store), SPACE_NODES, slice_str(path));
}

/* ---- values ------------------------------------------------------------------------------- */

static const struct malformed {
    const char *key;
    const char *value;
    const char *mention;
} malformed[] = {
    {"history/a", "0", "1 to 100000"},
    {"history/a", "100001", "1 to 100000"},
    {"history/a", "", "1 to 100000"},
    {"history/a", "05", "1 to 100000"},
    {"history/a", "5 ", "1 to 100000"},
    {"history/a", "-5", "1 to 100000"},
    {"history/a", "99999999999999999999999", "1 to 100000"},
    {"history/a/", "5", "path"},
    {"history/a//b", "5", "path"},
    {"history/../b", "5", "path"},
    {"retention", "", "three numbers"},
    {"retention", "1048576 1000", "three numbers"},
    {"retention", "1048576 1000 5 6", "three numbers"},
    {"retention", "1048576 1000 5 ", "three numbers"},
    {"retention", "1048576  1000 5", "three numbers"},
    {"retention", "1048575 1000 5", "from 1048576 to 536870912"},
    {"retention", "536870913 1000 5", "from 1048576 to 536870912"},
    {"retention", "1048576 999 5", "from 1000 to 2592000000"},
    {"retention", "1048576 2592000001 5", "from 1000 to 2592000000"},
    {"retention", "1048576 1000 10000001", "from 0 to 10000000"},
};

START_TEST(a_malformed_value_is_refused_by_name_before_it_is_proposed_and_in_apply)
{
    const struct malformed *m = &malformed[_i];
    struct op op = put_op(m->key, m->value);
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct errmsg err = {.text = ""};
    enum outcome outcome = command_check(&c, &err);
    ck_assert_int_ne(outcome, OUTCOME_OK);
    ck_assert_msg(strstr(err.text, m->mention) != NULL, "%s", err.text);
    ck_assert_int_eq(kit_ops(&k, &op, 1), outcome);
    op.type = OP_CREATE;
    ck_assert_int_eq(kit_ops(&k, &op, 1), outcome);
    ck_assert_uint_eq(store_revision(k.store), 1);
}
END_TEST

START_TEST(no_value_at_all_is_no_policy)
{
    struct op op = put_op("history/a", "");
    op.flags = OP_NULL_DATA;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
    op.path = slice_str("retention");
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

START_TEST(other_keys_may_have_any_value)
{
    ck_assert_int_eq(put("history", "x"), OUTCOME_OK);
    ck_assert_int_eq(put("historyx", "x"), OUTCOME_OK);
    ck_assert_int_eq(put("retention2", "x"), OUTCOME_OK);
    ck_assert_int_eq(put("users/a", ""), OUTCOME_OK);
    ck_assert_uint_eq(store_policies(k.store)->count, 0);
}
END_TEST

START_TEST(what_is_written_by_this_module_is_what_it_reads)
{
    uint8_t key[POLICY_KEY_BYTES_MAX];
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    struct retention r = {RETENTION_BYTES_MAX, RETENTION_AGE_MS_MAX, RETENTION_REVISIONS_MAX};
    struct slice text = retention_value(&r, value);
    ck_assert(slice_is(text, "536870912 2592000000 10000000"));
    ck_assert_int_eq(policy_check(slice_str(POLICY_RETENTION_KEY), text, NULL), OUTCOME_OK);
    text = policy_value(POLICY_VERSIONS_MAX, value);
    ck_assert(slice_is(policy_key(slice_str("/a/b"), key), "history/a/b"));
    ck_assert_int_eq(policy_check(policy_key(slice_str("/"), key), text, NULL), OUTCOME_OK);
}
END_TEST

/* ---- what they mean ----------------------------------------------------------------------- */

START_TEST(the_nearest_policy_above_a_node_counts)
{
    ck_assert_int_eq(put("history/", "1"), OUTCOME_OK);
    ck_assert_int_eq(put("history/a/b", "3"), OUTCOME_OK);
    ck_assert_int_eq(put("history/a", "2"), OUTCOME_OK);
    ck_assert_uint_eq(versions_of("/"), 1);
    ck_assert_uint_eq(versions_of("/ab"), 1);
    ck_assert_uint_eq(versions_of("/a"), 2);
    ck_assert_uint_eq(versions_of("/a/bc"), 2);
    ck_assert_uint_eq(versions_of("/a/b"), 3);
    ck_assert_uint_eq(versions_of("/a/b/c/d"), 3);
    ck_assert_uint_eq(
        policies_versions(store_policies(k.store), SPACE_META, slice_str("/a")), 0);
    ck_assert_int_eq(drop("history/a"), OUTCOME_OK);
    ck_assert_uint_eq(versions_of("/a"), 1);
    ck_assert_int_eq(drop("history/"), OUTCOME_OK);
    ck_assert_uint_eq(versions_of("/a"), 0);
    ck_assert_int_eq(drop("history/"), OUTCOME_NO_NODE);
}
END_TEST

START_TEST(a_path_is_covered_from_above_and_a_subtree_from_below_too)
{
    ck_assert_int_eq(put("history/a/b", "3"), OUTCOME_OK);
    const struct policies *p = store_policies(k.store);
    ck_assert(policies_cover(p, slice_str("/a/b/c"), false));
    ck_assert(!policies_cover(p, slice_str("/a"), false));
    ck_assert(policies_cover(p, slice_str("/a"), true));
    ck_assert(policies_cover(p, slice_str("/"), true));
    ck_assert(!policies_cover(p, slice_str("/a/bc"), true));
    ck_assert(!policies_cover(p, slice_str("/ab"), true));
}
END_TEST

START_TEST(policies_are_listed_in_order_of_path)
{
    ck_assert_int_eq(put("history/b", "2"), OUTCOME_OK);
    ck_assert_int_eq(put("history/a", "1"), OUTCOME_OK);
    ck_assert_int_eq(put("retention", "2097152 5000 0"), OUTCOME_OK);
    const struct policies *p = store_policies(k.store);
    ck_assert_uint_eq(p->count, 2);
    ck_assert(slice_is(p->items[0].path, "/a"));
    ck_assert(slice_is(p->items[1].path, "/b"));
    ck_assert_uint_eq(p->items[1].versions, 2);
    ck_assert_uint_eq(p->retention.bytes, 2097152);
    ck_assert_uint_eq(p->retention.age_ms, 5000);
    ck_assert_uint_eq(p->retention.revisions, 0);
    ck_assert_int_eq(drop("retention"), OUTCOME_OK);
    p = store_policies(k.store);
    ck_assert_uint_eq(p->retention.bytes, HISTORY_BYTES_MAX);
    ck_assert_uint_eq(p->retention.age_ms, HISTORY_AGE_MS_MAX);
    ck_assert_uint_eq(p->retention.revisions, HISTORY_REVISIONS_MIN);
}
END_TEST

START_TEST(a_transaction_that_fails_changes_no_policy)
{
    struct op ops[] = {put_op("history/a", "5"), put_op("retention", "1048576 1000 0"),
                       kit_op(OP_DELETE, "/nothing", NULL)};
    ck_assert_int_eq(kit_ops(&k, ops, 3), OUTCOME_NO_NODE);
    ck_assert_uint_eq(versions_of("/a"), 0);
    ck_assert_uint_eq(k.store->history.retention.bytes, HISTORY_BYTES_MAX);
    ck_assert_int_eq(kit_ops(&k, ops, 2), OUTCOME_OK);
    ck_assert_uint_eq(versions_of("/a"), 5);
    ck_assert_uint_eq(k.store->history.retention.bytes, RETENTION_BYTES_MIN);
}
END_TEST

START_TEST(there_are_at_most_a_thousand)
{
    char key[32];
    for (uint32_t i = 0; i < POLICY_COUNT_MAX; i++) {
        snprintf(key, sizeof key, "history/%u", i);
        ck_assert_int_eq(put(key, "1"), OUTCOME_OK);
    }
    ck_assert_int_eq(put("history/one-more", "1"), OUTCOME_LIMIT);
    ck_assert_int_eq(put("history/7", "2"), OUTCOME_OK); /* one that is there may change */
    ck_assert_int_eq(drop("history/9"), OUTCOME_OK);
    ck_assert_int_eq(put("history/one-more", "1"), OUTCOME_OK);
    ck_assert_uint_eq(store_policies(k.store)->count, POLICY_COUNT_MAX);
    ck_assert_uint_eq(versions_of("/7/x"), 2);
}
END_TEST

/* ---- the change log ----------------------------------------------------------------------- */

START_TEST(the_log_keeps_what_the_retention_says)
{
    for (int i = 0; i < 100; i++) {
        kit_set(&k, "/", "x");
    }
    ck_assert_int_eq(put("retention", "1048576 1000 10"), OUTCOME_OK);
    ck_assert_uint_eq(store_history_floor(k.store), 2);
    k.cluster_ms += 2000;
    kit_set(&k, "/", "x");
    ck_assert_uint_eq(store_history_floor(k.store), store_revision(k.store) - 9);
    k.cluster_ms += 2000;
    ck_assert_int_eq(put("retention", "1048576 1000 0"), OUTCOME_OK);
    ck_assert_uint_eq(store_history_floor(k.store), store_revision(k.store));
}
END_TEST

START_TEST(bytes_bound_the_log_as_the_retention_says)
{
    static char large[200000];
    memset(large, 'x', sizeof large - 1);
    ck_assert_int_eq(put("retention", "1048576 3600000 0"), OUTCOME_OK);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(kit_set(&k, "/", large), OUTCOME_OK);
        ck_assert_uint_le(store_history_bytes(k.store), RETENTION_BYTES_MIN);
    }
    ck_assert_uint_gt(store_history_bytes(k.store), RETENTION_BYTES_MIN / 2);
}
END_TEST

START_TEST(what_is_beyond_a_smaller_retention_leaves_a_piece_per_command)
{
    uint64_t many = 3 * HISTORY_TRIM_MAX;
    for (uint64_t i = 0; i < many; i++) {
        kit_set(&k, "/", "x");
    }
    k.cluster_ms += 2000;
    ck_assert_int_eq(put("retention", "1048576 1000 0"), OUTCOME_OK);
    uint64_t floor = store_history_floor(k.store);
    ck_assert_uint_ge(floor, HISTORY_TRIM_MAX);
    ck_assert_uint_le(floor, HISTORY_TRIM_MAX + 10);
    for (int i = 0; i < 3; i++) {
        kit_set(&k, "/", "x");
    }
    ck_assert_uint_ge(store_history_floor(k.store), many);
}
END_TEST

/* ---- snapshots ---------------------------------------------------------------------------- */

static struct store *reload(const char *retention, enum status want)
{
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    struct buf changed = {0};
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    struct unpack u = unpack_make(buf_slice(&rows));
    while (u.rest.size > 0) {
        struct row row;
        ck_assert_int_eq(row_decode(&u, &row), RC_OK);
        if (row.table == ROW_NODE && slice_is(row.node.path, "retention")) {
            row.node.data = slice_str(retention);
            row.node.stat.data_bytes = (uint32_t)row.node.data.size;
        }
        row_encode(&changed, &row);
    }
    struct store *loaded = kit_load(buf_slice(&changed), &meta, &rc);
    ck_assert_int_eq(rc, want);
    buf_close(&rows);
    buf_close(&changed);
    return loaded;
}

START_TEST(policies_are_in_snapshots_and_malformed_ones_are_not_loaded)
{
    ck_assert_int_eq(put("history/a", "7"), OUTCOME_OK);
    ck_assert_int_eq(put("retention", "1048576 1000 5"), OUTCOME_OK);
    ck_assert_ptr_null(reload("1048576 1000", RC_CORRUPT));
    struct store *loaded = reload("1048576 1000 5", RC_OK);
    store_free(k.store);
    k.store = loaded;
    ck_assert_uint_eq(versions_of("/a"), 7);
    ck_assert_uint_eq(k.store->history.retention.revisions, 5);
}
END_TEST

static Suite *policy_suite(void)
{
    Suite *suite = suite_create("policy");
    TCase *tcase = tcase_create("policy");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(
        tcase, a_malformed_value_is_refused_by_name_before_it_is_proposed_and_in_apply, 0,
        sizeof malformed / sizeof malformed[0]);
    tcase_add_test(tcase, no_value_at_all_is_no_policy);
    tcase_add_test(tcase, other_keys_may_have_any_value);
    tcase_add_test(tcase, what_is_written_by_this_module_is_what_it_reads);
    tcase_add_test(tcase, the_nearest_policy_above_a_node_counts);
    tcase_add_test(tcase, a_path_is_covered_from_above_and_a_subtree_from_below_too);
    tcase_add_test(tcase, policies_are_listed_in_order_of_path);
    tcase_add_test(tcase, a_transaction_that_fails_changes_no_policy);
    tcase_add_test(tcase, there_are_at_most_a_thousand);
    tcase_add_test(tcase, the_log_keeps_what_the_retention_says);
    tcase_add_test(tcase, bytes_bound_the_log_as_the_retention_says);
    tcase_add_test(tcase, what_is_beyond_a_smaller_retention_leaves_a_piece_per_command);
    tcase_add_test(tcase, policies_are_in_snapshots_and_malformed_ones_are_not_loaded);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){policy_suite, NULL});
}
