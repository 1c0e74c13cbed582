/* Version chains: what a history policy keeps behind the change log, and for how long. */
#include "base/slab.h"
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
    if (k.store != NULL) {
        store_check(k.store);
    }
    arena_close(&arena);
    kit_close(&k);
}

static enum outcome put(struct slice key, struct slice value)
{
    struct op op = {.type = OP_SET,
                    .space = SPACE_META,
                    .path = key,
                    .data = value,
                    .version = VERSION_ANY};
    return kit_ops(&k, &op, 1);
}

static void set_policy(const char *path, uint32_t versions)
{
    uint8_t key[POLICY_KEY_BYTES_MAX];
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    struct slice name = policy_key(slice_str(path), key);
    if (versions > 0) {
        ck_assert_int_eq(put(name, policy_value(versions, value)), OUTCOME_OK);
        return;
    }
    struct op op = {
        .type = OP_DELETE, .space = SPACE_META, .path = name, .version = VERSION_ANY};
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
}

/* From now on the log keeps a second. */
static void keep_a_second(void)
{
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    struct retention least = {RETENTION_BYTES_MIN, RETENTION_AGE_MS_MIN, 0};
    ck_assert_int_eq(put(slice_str(POLICY_RETENTION_KEY), retention_value(&least, value)),
                     OUTCOME_OK);
}

/* All that was so far leaves the log. */
static void let_the_log_go(void)
{
    k.cluster_ms += RETENTION_AGE_MS_MIN + 1;
    do {
        ck_assert_int_eq(put(slice_str("tick"), slice_str("")), OUTCOME_OK);
    } while (store_history_floor(k.store) < store_revision(k.store));
}

static void set_numbers(const char *path, int from, int to)
{
    char text[16];
    for (int i = from; i <= to; i++) {
        snprintf(text, sizeof text, "%d", i);
        ck_assert_int_eq(kit_set(&k, path, text), OUTCOME_OK);
    }
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

static uint32_t history_count(const char *path, bool recursive)
{
    struct query q = {.type = QUERY_HISTORY,
                      .space = SPACE_NODES,
                      .path = slice_str(path),
                      .recursive = recursive};
    arena_clear(&arena);
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK);
    return result.change_count;
}

static struct store *reload(enum status want, bool (*damage)(struct row *row))
{
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    struct buf damaged = {0};
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    struct unpack u = unpack_make(buf_slice(&rows));
    while (u.rest.size > 0) {
        struct row row;
        ck_assert_int_eq(row_decode(&u, &row), RC_OK);
        if (damage == NULL || damage(&row)) {
            row_encode(&damaged, &row);
        }
    }
    struct store *loaded = kit_load(buf_slice(&damaged), &meta, &rc);
    ck_assert_int_eq(rc, want);
    buf_close(&rows);
    buf_close(&damaged);
    return loaded;
}

static void restore(void)
{
    struct store *loaded = reload(RC_OK, NULL);
    ck_assert_uint_eq(store_digest(loaded), store_digest(k.store));
    store_free(k.store);
    k.store = loaded;
    store_check(k.store);
}

/* ---- what is kept ------------------------------------------------------------------------- */

START_TEST(the_last_versions_stay_when_they_leave_the_log)
{
    keep_a_second();
    set_policy("/config", 3);
    kit_create(&k, "/config", "0");
    uint64_t created = store_revision(k.store);
    set_numbers("/config", 1, 5);
    let_the_log_go();
    ck_assert_uint_eq(history_count("/config", false), 3);
    ck_assert_int_eq(get_at("/config", created + 5), OUTCOME_OK);
    ck_assert(slice_is(result.data, "5"));
    ck_assert_int_eq(get_at("/config", created + 3), OUTCOME_OK);
    ck_assert(slice_is(result.data, "3"));
    ck_assert_uint_eq(result.stat.version, 3);
    /* The oldest one kept says what it replaced. */
    ck_assert_int_eq(get_at("/config", created + 2), OUTCOME_OK);
    ck_assert(slice_is(result.data, "2"));
    ck_assert_int_eq(get_at("/config", created + 1), OUTCOME_COMPACTED);
}
END_TEST

START_TEST(versions_in_the_log_do_not_count)
{
    keep_a_second();
    set_policy("/config", 2);
    kit_create(&k, "/config", "0");
    set_numbers("/config", 1, 3);
    let_the_log_go();
    set_numbers("/config", 4, 9);
    ck_assert_uint_eq(history_count("/config", false), 8);
}
END_TEST

START_TEST(only_nodes_under_a_policy_have_chains_and_the_nearest_counts)
{
    keep_a_second();
    set_policy("/config", 2);
    set_policy("/config/deep", 4);
    kit_create(&k, "/config", "");
    kit_create(&k, "/config/deep", "");
    kit_create(&k, "/config/deep/node", "");
    kit_create(&k, "/configured", "");
    set_numbers("/config", 1, 9);
    set_numbers("/config/deep/node", 1, 9);
    set_numbers("/configured", 1, 9);
    let_the_log_go();
    ck_assert_uint_eq(history_count("/config", false), 2);
    ck_assert_uint_eq(history_count("/config/deep", false), 1);
    ck_assert_uint_eq(history_count("/config/deep/node", false), 4);
    ck_assert_uint_eq(history_count("/configured", false), 0);
    ck_assert_uint_eq(history_count("/config", true), 7);
    ck_assert_uint_eq(history_count("/", true), 7);
}
END_TEST

START_TEST(a_deleted_node_keeps_its_chain_and_its_successor_goes_on_with_it)
{
    keep_a_second();
    set_policy("/", 5);
    kit_create(&k, "/a", "0");
    uint64_t created = store_revision(k.store);
    set_numbers("/a", 1, 1);
    kit_delete(&k, "/a");
    let_the_log_go();
    ck_assert_int_eq(get_at("/a", created), OUTCOME_OK);
    ck_assert_int_eq(get_at("/a", created + 1), OUTCOME_OK);
    ck_assert(slice_is(result.data, "1"));
    ck_assert_int_eq(get_at("/a", created + 2), OUTCOME_NO_NODE);
    /* What was before the create that is known, nobody knows. */
    ck_assert_int_eq(get_at("/a", created - 1), OUTCOME_COMPACTED);
    kit_create(&k, "/a", "new");
    let_the_log_go();
    set_numbers("/a", 2, 4);
    let_the_log_go();
    ck_assert_uint_eq(history_count("/a", false), 5);
    ck_assert_int_eq(result.changes[0]->type, CHANGE_DELETE);
    ck_assert_int_eq(get_at("/a", created + 2), OUTCOME_NO_NODE);
    ck_assert_int_eq(get_at("/a", created + 1), OUTCOME_OK); /* what the delete says */
    ck_assert_int_eq(get_at("/a", created), OUTCOME_COMPACTED);
}
END_TEST

START_TEST(a_history_runs_from_the_chains_into_the_log)
{
    keep_a_second();
    set_policy("/", 100);
    kit_create(&k, "/a", "0");
    kit_create(&k, "/b", "0");
    set_numbers("/a", 1, 3);
    set_numbers("/b", 1, 3);
    let_the_log_go();
    set_numbers("/a", 4, 6);
    struct query q = {.type = QUERY_HISTORY, .space = SPACE_NODES, .path = slice_str("/a")};
    for (int newest_first = 0; newest_first < 2; newest_first++) {
        int seen = 0;
        q.newest_first = newest_first != 0;
        q.limit = 2;
        q.after_revision = 0;
        for (bool more = true; more; more = result.more) {
            arena_clear(&arena);
            store_query(k.store, &q, &result, &arena);
            for (uint32_t i = 0; i < result.change_count; i++, seen++) {
                char want[4];
                snprintf(want, sizeof want, "%d", newest_first ? 6 - seen : seen);
                ck_assert(slice_is(value_slice(result.changes[i]->data), want));
            }
            q.after_revision = result.next_revision;
            q.after_sub = result.next_sub;
        }
        ck_assert_int_eq(seen, 7);
    }
    q = (struct query){.type = QUERY_HISTORY,
                       .space = SPACE_NODES,
                       .path = slice_str("/a"),
                       .to_revision = store_history_floor(k.store) - 1};
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK); /* below the floor, but a policy covers it */
    ck_assert_uint_eq(result.change_count, 4);
}
END_TEST

/* ---- policies that change ----------------------------------------------------------------- */

START_TEST(a_policy_that_ends_drops_the_chains_and_a_smaller_one_cuts_them)
{
    keep_a_second();
    set_policy("/a", 10);
    set_policy("/b", 10);
    kit_create(&k, "/a", "");
    kit_create(&k, "/b", "");
    set_numbers("/a", 1, 8);
    set_numbers("/b", 1, 8);
    let_the_log_go();
    ck_assert_uint_eq(history_count("/", true), 18);
    set_policy("/a", 4);
    ck_assert_uint_eq(history_count("/a", false), 4);
    ck_assert(slice_is(value_slice(result.changes[0]->data), "5"));
    ck_assert_uint_eq(history_count("/b", false), 9);
    set_policy("/b", 0);
    ck_assert_uint_eq(history_count("/b", false), 0);
    set_policy("/a", 0);
    ck_assert_uint_eq(store_versions_bytes(k.store), 0);
    ck_assert_uint_eq(k.store->versions.chain_count, 0);
}
END_TEST

START_TEST(a_sweep_takes_a_piece_per_command_and_its_place_is_in_snapshots)
{
    keep_a_second();
    set_policy("/a", POLICY_VERSIONS_MAX);
    kit_create(&k, "/a", "");
    set_numbers("/a", 1, 3 * (int)VERSIONS_SWEEP_MAX);
    let_the_log_go();
    uint32_t kept = 3 * VERSIONS_SWEEP_MAX + 1;
    struct versions *v = &k.store->versions;
    ck_assert_uint_eq(v->end - v->begin, kept);
    set_policy("/a", 0);
    ck_assert_uint_eq(v->end - v->begin, kept - VERSIONS_SWEEP_MAX);
    ck_assert_uint_ne(v->sweep.revision, VERSIONS_SWEPT);

    struct kit twin = {.store = reload(RC_OK, NULL),
                       .index = k.index,
                       .cluster_ms = k.cluster_ms,
                       .wall_ms = k.wall_ms};
    for (int i = 0; i < 4; i++) {
        (void)kit_create(&k, "/x", "");
        (void)kit_create(&twin, "/x", "");
        ck_assert_uint_eq(store_digest(twin.store), store_digest(k.store));
    }
    ck_assert_uint_eq(v->sweep.revision, VERSIONS_SWEPT);
    ck_assert_uint_eq(store_versions_bytes(k.store), 0);
    kit_close(&twin);
}
END_TEST

START_TEST(a_policy_that_is_rolled_back_changes_nothing)
{
    keep_a_second();
    set_policy("/a", 10);
    kit_create(&k, "/a", "");
    let_the_log_go();
    uint8_t key[POLICY_KEY_BYTES_MAX];
    struct op ops[] = {{.type = OP_DELETE,
                        .space = SPACE_META,
                        .path = policy_key(slice_str("/a"), key),
                        .version = VERSION_ANY},
                       kit_op(OP_DELETE, "/nothing", NULL)};
    ck_assert_int_eq(kit_ops(&k, ops, 2), OUTCOME_NO_NODE);
    ck_assert_uint_eq(history_count("/a", false), 1);
    ck_assert_uint_eq(policies_versions(store_policies(k.store), SPACE_NODES, slice_str("/a")),
                      10);
}
END_TEST

/* ---- bounds ------------------------------------------------------------------------------- */

/* The change of `path` at `revision`, after one at the revision before. */
static struct change change_of(const char *path, uint64_t revision, struct value *v)
{
    struct change c = {.revision = revision,
                       .type = CHANGE_SET,
                       .space = SPACE_NODES,
                       .path = slice_str(path),
                       .data = v,
                       .old_data = v,
                       .stat = {.modify_revision = revision},
                       .old_modify_revision = revision - 1};
    struct change_hashes hashes = change_hashes_make(&c);
    change_seal(&c, &hashes);
    return c;
}

START_TEST(above_the_bytes_the_oldest_of_all_goes)
{
    static uint8_t large[STORE_VALUE_BYTES_MAX];
    struct slab_heap *values = slab_heap_new();
    struct value *value = value_new(values, slice_make(large, sizeof large)); /* one for all */
    struct versions v;
    versions_init(&v);
    struct change first = change_of("/small", 2, NULL);
    versions_add(&v, &first, 10);
    uint64_t r = 3;
    for (; r < 130; r++) {
        struct change c = change_of("/large", r, value);
        versions_add(&v, &c, 1000);
        ck_assert_uint_le(v.bytes, VERSIONS_BYTES_MAX);
    }
    ck_assert_ptr_nonnull(versions_chain(&v, SPACE_NODES, slice_str("/small")));
    for (; r < 140; r++) {
        struct change c = change_of("/large", r, value);
        versions_add(&v, &c, 1000);
        ck_assert_uint_le(v.bytes, VERSIONS_BYTES_MAX);
    }
    ck_assert_ptr_null(versions_chain(&v, SPACE_NODES, slice_str("/small")));
    ck_assert_uint_eq(v.end - v.begin, 127);
    versions_check(&v);
    versions_close(&v);
    ck_assert_uint_eq(value->refs, 1);
    value_unref(value);
    slab_heap_free(values);
}
END_TEST

START_TEST(entries_that_go_from_the_middle_leave_order_and_places_right)
{
    struct versions v;
    versions_init(&v);
    char path[16];
    for (uint64_t r = 2; r < 20000; r++) { /* one chain of all, many that are cut */
        snprintf(path, sizeof path, "/%d", r % 3 == 0 ? 0 : (int)(r % 7) + 1);
        struct change c = change_of(path, r, NULL);
        c.type = CHANGE_CREATE; /* follows nothing */
        versions_add(&v, &c, r % 3 == 0 ? 100000 : 2);
    }
    ck_assert_uint_eq(v.chain_count, 8);
    ck_assert_uint_le(v.holes, 1024 + (v.end - v.begin) / 2);
    uint64_t seen = 0;
    for (size_t i = versions_seek(&v, (struct version_key){9999, 0}); i < v.end; i++) {
        const struct change *c = versions_at(&v, i);
        ck_assert(c == NULL || c->revision >= 9999);
        seen += c != NULL;
    }
    ck_assert_uint_eq(seen, (20000 - 9999) / 3 + 1 + 14);
    versions_close(&v);
}
END_TEST

/* ---- snapshots ---------------------------------------------------------------------------- */

static void make_chain(void)
{
    keep_a_second();
    set_policy("/a", 10);
    kit_create(&k, "/a", "0");
    set_numbers("/a", 1, 4);
    let_the_log_go();
    ck_assert_uint_eq(history_count("/a", false), 5);
}

START_TEST(chains_are_in_snapshots_and_share_their_values_again)
{
    make_chain();
    restore();
    ck_assert_uint_eq(history_count("/a", false), 5);
    for (uint32_t i = 1; i < 5; i++) {
        ck_assert_ptr_eq(result.changes[i]->old_data, result.changes[i - 1]->data);
    }
    const struct tree *t = &k.store->tree;
    const struct node *n = tree_node(t, tree_find(t, SPACE_NODES, slice_str("/a")));
    ck_assert_ptr_eq(n->value, result.changes[4]->data);
    set_numbers("/a", 5, 5);
    restore();
    ck_assert_uint_eq(history_count("/a", false), 6);
    ck_assert_ptr_eq(result.changes[5]->old_data, result.changes[4]->data);
}
END_TEST

START_TEST(chains_are_part_of_the_digest)
{
    make_chain();
    uint64_t digest = store_digest(k.store);
    k.store->versions.sum++;
    ck_assert_uint_ne(store_digest(k.store), digest);
    k.store->versions.sum--;
    k.store->versions.sweep.sub++;
    ck_assert_uint_ne(store_digest(k.store), digest);
    k.store->versions.sweep.sub--;
}
END_TEST

static bool is_version_of(const struct row *row, const char *data)
{
    return row->table == ROW_VERSION && slice_is(row->change.data, data);
}

static bool without_one(struct row *row)
{
    return !is_version_of(row, "2");
}

static bool without_the_oldest(struct row *row)
{
    return !is_version_of(row, "0");
}

static bool with_one_twice(struct row *row)
{
    if (is_version_of(row, "2")) {
        row->change.revision--;
    }
    return true;
}

static bool with_one_of_the_log(struct row *row)
{
    if (is_version_of(row, "4")) {
        row->change.revision += 1000;
    }
    return true;
}

static bool with_one_of_another_space(struct row *row)
{
    if (is_version_of(row, "4")) {
        row->change.space = SPACE_META;
    }
    return true;
}

static bool with_another_value(struct row *row)
{
    if (is_version_of(row, "4")) {
        row->change.data = slice_str("5");
    }
    return true;
}

static bool with_a_sweep_nowhere(struct row *row)
{
    if (row->table == ROW_META && slice_is(row->meta.name, "versions_sweep_sub")) {
        row->meta.value = slice_str("4294967296");
    }
    return true;
}

static bool without_a_sweep(struct row *row)
{
    return row->table != ROW_META || !slice_is(row->meta.name, "versions_sweep_revision");
}

static bool (*const damages[])(struct row *row) = {
    without_one,          without_the_oldest,        with_one_twice,
    with_one_of_the_log,  with_one_of_another_space, with_another_value,
    with_a_sweep_nowhere, without_a_sweep,
};

START_TEST(damaged_chains_are_not_loaded)
{
    make_chain();
    ck_assert_ptr_null(reload(RC_CORRUPT, damages[_i]));
}
END_TEST

static Suite *versions_suite(void)
{
    Suite *suite = suite_create("versions");
    TCase *tcase = tcase_create("versions");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_last_versions_stay_when_they_leave_the_log);
    tcase_add_test(tcase, versions_in_the_log_do_not_count);
    tcase_add_test(tcase, only_nodes_under_a_policy_have_chains_and_the_nearest_counts);
    tcase_add_test(tcase, a_deleted_node_keeps_its_chain_and_its_successor_goes_on_with_it);
    tcase_add_test(tcase, a_history_runs_from_the_chains_into_the_log);
    tcase_add_test(tcase, a_policy_that_ends_drops_the_chains_and_a_smaller_one_cuts_them);
    tcase_add_test(tcase, a_sweep_takes_a_piece_per_command_and_its_place_is_in_snapshots);
    tcase_add_test(tcase, a_policy_that_is_rolled_back_changes_nothing);
    tcase_add_test(tcase, above_the_bytes_the_oldest_of_all_goes);
    tcase_add_test(tcase, entries_that_go_from_the_middle_leave_order_and_places_right);
    tcase_add_test(tcase, chains_are_in_snapshots_and_share_their_values_again);
    tcase_add_test(tcase, chains_are_part_of_the_digest);
    tcase_add_loop_test(tcase, damaged_chains_are_not_loaded, 0,
                        sizeof damages / sizeof damages[0]);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){versions_suite, NULL});
}
