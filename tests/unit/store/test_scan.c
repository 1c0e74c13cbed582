/* Snapshots as rows: a frozen view while the store goes on, and loading that trusts nothing. */
#include "base/rng.h"
#include "lease/lease.h"
#include "store/digest.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;
static struct snapshot_meta meta;
static struct buf rows;

static enum outcome create_once(const char *path, uint64_t issued_ms)
{
    struct op op = kit_op(OP_CREATE, path, "x");
    struct command c = {.type = COMMAND_TXN,
                        .request = {.issued_ms = issued_ms, .random = {issued_ms, 1}},
                        .txn = {.then_ops = &op, .then_count = 1}};
    return kit_run(&k, &c);
}

#define SECRET "0123456789abcdef"

/* A session, or a plain lease when the thousands are odd. */
static enum outcome run_lease(enum command_type type, uint64_t id)
{
    struct command c = {.type = (uint8_t)type,
                        .lease = {.id = id, .secret = slice_str(SECRET)}};
    if (type == COMMAND_GRANT) {
        c.lease.ttl_ms = 1000 + id;
        c.lease.kind = id / 1000 % 2 == 0 ? LEASE_SESSION : LEASE_PLAIN;
        c.lease.owner = slice_str("owner");
    }
    return kit_run(&k, &c);
}

static enum outcome create_ephemeral(const char *path, uint64_t lease)
{
    struct op op = kit_op(OP_CREATE, path, "x");
    op.kind = NODE_EPHEMERAL;
    op.lease = lease;
    return kit_ops(&k, &op, 1);
}

/* Fails, which is remembered as well. */
static void run_numbered(uint64_t session, uint64_t sequence, uint64_t answered_to)
{
    struct op op = kit_op(OP_CREATE, "/no/parent", "x");
    struct command c = {.type = COMMAND_TXN,
                        .session = session,
                        .sequence = sequence,
                        .answered_to = answered_to,
                        .txn = {.then_ops = &op, .then_count = 1}};
    kit_run(&k, &c);
}

/* A hundred leases with a node each; every other one is a session with three replies. */
static void setup_leases(void)
{
    char path[40];
    for (uint64_t id = 1000; id <= 100000; id += 1000) {
        ck_assert_int_eq(run_lease(COMMAND_GRANT, id), OUTCOME_OK);
        snprintf(path, sizeof path, "/e%u", (unsigned)id);
        ck_assert_int_eq(create_ephemeral(path, id), OUTCOME_OK);
        if (id % 2000 == 0) {
            run_numbered(id, 20, 10);
            run_numbered(id, 12, 11);
            run_numbered(id, 15, 10);
        }
    }
}

static void setup(void)
{
    char path[40];
    kit_open(&k);
    setup_leases();
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "/n%03d", i);
        ck_assert_int_eq(create_once(path, 500 + (uint64_t)i), OUTCOME_OK);
        snprintf(path, sizeof path, "/n%03d/child", i);
        kit_create(&k, path, i % 2 == 0 ? NULL : "value");
    }
    struct op put = {.type = OP_SET,
                     .space = SPACE_META,
                     .path = slice_make("\0\xff", 2),
                     .data = slice_str("flat"),
                     .version = VERSION_ANY};
    ck_assert_int_eq(kit_ops(&k, &put, 1), OUTCOME_OK);
    struct command check = {.type = COMMAND_CHECK,
                            .check = {.index = 3, .count = 2, .members = {{8, 1}, {9, 2}}}};
    kit_run(&k, &check);
}

static void teardown(void)
{
    store_check(k.store);
    buf_close(&rows);
    kit_close(&k);
}

static void check_loads(void)
{
    enum status rc;
    struct store *loaded = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    store_check(loaded);
    ck_assert_uint_eq(store_digest(loaded), meta.digest);
    ck_assert_uint_eq(store_revision(loaded), meta.revision);
    ck_assert_uint_eq(store_applied_index(loaded), meta.index);
    ck_assert_uint_eq(store_diverged(loaded, 9), 3);
    store_free(loaded);
}

START_TEST(a_loaded_store_has_the_digest_of_the_scanned_one)
{
    kit_rows(k.store, &meta, &rows);
    ck_assert_uint_eq(meta.digest, store_digest(k.store));
    check_loads();
}
END_TEST

/* One kind of interference each, between steps of one row. */
enum interference {
    SETS,
    DELETES,
    CREATES,
    RECREATES,
    TIME,
    FAILURES,
    REQUESTS,
    GRANTS,
    RESUMES,
    REVOKES,
    ANSWERS,
    SLIDES,
    NEW_REPLIES,
    INTERFERENCES
};

/* In an order of their own, so that they lie before and behind the cursor. */
static void interfere_leases(enum interference kind, int i)
{
    uint64_t id = 1000 * (1 + (uint64_t)i * 37 % 100);
    uint64_t session = 2000 * (1 + (uint64_t)i * 37 % 50);
    switch (kind) {
    case GRANTS: run_lease(COMMAND_GRANT, 1 + (uint64_t)i * 7919 % 100003); break;
    case RESUMES:
        run_lease(COMMAND_RESUME, session);
        run_lease(COMMAND_RESUME, session);
        break;
    case REVOKES:
        run_lease(COMMAND_REVOKE, id);
        run_lease(COMMAND_GRANT, id); /* the id comes again, and means another lease */
        run_numbered(session, 12, 3);
        break;
    case ANSWERS: run_numbered(session, 0, 11 + (uint64_t)i % 12); break;
    case SLIDES: run_numbered(session, 1036 + (uint64_t)i % 8, 10); break;
    default: run_numbered(session, 13 + (uint64_t)i % 9, 10); break;
    }
}

static void interfere(enum interference kind, int i)
{
    if (kind >= GRANTS) {
        interfere_leases(kind, i);
        return;
    }
    char path[40];
    char child[80];
    snprintf(path, sizeof path, "/n%03d", (i * 7) % 300);
    snprintf(child, sizeof child, "%s/child", path);
    switch (kind) {
    case SETS: kit_set(&k, child, "changed"); break;
    case DELETES: kit_remove_tree(&k, path); break;
    case CREATES:
        snprintf(child, sizeof child, "%s/new%d", path, i);
        kit_create(&k, child, "new");
        break;
    case RECREATES:
        kit_delete(&k, child);
        kit_create(&k, "/in-a-used-slot", "x");
        kit_create(&k, child, "again");
        kit_delete(&k, "/in-a-used-slot");
        break;
    case TIME:
        k.cluster_ms += 20000; /* replies leave */
        kit_set(&k, "/", "x");
        break;
    case FAILURES: {
        struct op ops[] = {kit_op(OP_DELETE, child, NULL), kit_op(OP_SET, path, "x"),
                           kit_op(OP_CREATE, "/no/parent", "")};
        ck_assert_int_eq(kit_ops(&k, ops, 3), OUTCOME_NO_PARENT);
        break;
    }
    default:
        snprintf(child, sizeof child, "/r%d", i);
        create_once(child, 400 + (uint64_t)i % 500); /* before and behind the cursor */
    }
}

/* Whether a row of a lease is among those from `begin` on. */
static bool has_lease_row(size_t begin)
{
    struct unpack u = unpack_make(slice_make(rows.data + begin, rows.size - begin));
    bool found = false;
    while (u.rest.size > 0) {
        struct slice row = unpack_bytes(&u);
        found = found || row.data[0] == ROW_LEASE;
    }
    return found;
}

/* Twice: from the beginning on, and from when the leases are walked, which come last. */
START_TEST(a_scan_shows_the_moment_it_began_whatever_happens_meanwhile)
{
    struct store_scan *scan = store_scan_begin(k.store, &meta);
    bool begun = _i < INTERFERENCES;
    size_t before = 0;
    for (int i = 0; store_scan_step(scan, 1, &rows);) {
        begun = begun || has_lease_row(before);
        before = rows.size;
        if (begun) {
            interfere((enum interference)(_i % INTERFERENCES), i++);
        }
    }
    ck_assert(begun);
    store_scan_end(scan);
    ck_assert_uint_ne(store_digest(k.store), meta.digest);
    check_loads();
}
END_TEST

START_TEST(the_change_log_is_held_for_a_scan_while_it_is_trimmed)
{
    struct store_scan *scan = store_scan_begin(k.store, &meta);
    uint64_t floor = store_history_floor(k.store);
    k.cluster_ms += 2 * HISTORY_AGE_MS_MAX;
    for (uint64_t i = 0; i < HISTORY_REVISIONS_MIN + 100; i++) {
        kit_set(&k, "/", "x");
    }
    ck_assert_uint_gt(store_history_floor(k.store), floor + 50);
    while (store_scan_step(scan, 1000, &rows)) {
    }
    store_scan_end(scan);
    ck_assert_uint_eq(k.store->history.kept, k.store->history.begin);
    check_loads();
}
END_TEST

START_TEST(a_scan_can_be_given_up_and_begun_again)
{
    struct store_scan *scan = store_scan_begin(k.store, &meta);
    ck_assert(store_scan_step(scan, 5000, &rows));
    kit_set(&k, "/n299", "x");
    store_scan_end(scan);
    buf_clear(&rows);
    kit_rows(k.store, &meta, &rows);
    check_loads();
}
END_TEST

START_TEST(a_step_appends_about_its_budget)
{
    struct store_scan *scan = store_scan_begin(k.store, &meta);
    size_t before = 0;
    for (bool more = true; more; before = rows.size) {
        kit_set(&k, "/n299", "saved ahead");
        more = store_scan_step(scan, 2000, &rows);
        ck_assert_uint_lt(rows.size - before, 2000 + 400); /* one row more */
        ck_assert(!more || rows.size - before > 500);
    }
    store_scan_end(scan);
    check_loads();
}
END_TEST

/* ---- loading ------------------------------------------------------------------------------ */

/* Calls `change` for each row; false drops it. The changed rows replace `rows`. */
static void edit_rows(bool (*change)(struct row *row))
{
    struct buf edited = {0};
    struct unpack u = unpack_make(buf_slice(&rows));
    while (u.rest.size > 0) {
        struct row row;
        ck_assert_int_eq(row_decode(&u, &row), RC_OK);
        if (change(&row)) {
            row_encode(&edited, &row);
        }
    }
    buf_close(&rows);
    rows = edited;
}

static bool row_is_node(const struct row *row, const char *path)
{
    return row->table == ROW_NODE && slice_is(row->node.path, path);
}

/* The two leases that are damaged. */
#define PLAIN   7000
#define SESSION 8000

static bool row_is_lease(const struct row *row, uint64_t id)
{
    return row->table == ROW_LEASE && row->lease.id == id;
}

static bool row_is_reply(const struct row *row, uint64_t sequence)
{
    return row->table == ROW_REPLY && row->reply.session == SESSION &&
           row->reply.sequence == sequence;
}

static bool drop_parent(struct row *row)
{
    return !row_is_node(row, "/n007");
}

static bool drop_child(struct row *row)
{
    return !row_is_node(row, "/n007/child");
}

static bool drop_change(struct row *row)
{
    return row->table != ROW_CHANGE || row->change.revision != 20;
}

static bool drop_reply(struct row *row)
{
    return row->table != ROW_REPLY || row->reply.request.issued_ms != 600;
}

static bool drop_floor(struct row *row)
{
    return row->table != ROW_META || !slice_is(row->meta.name, "history_floor");
}

static bool drop_mark(struct row *row)
{
    return row->table != ROW_META || !slice_is(row->meta.name, "diverged_9");
}

static bool rename_meta(struct row *row)
{
    if (row->table == ROW_META && slice_is(row->meta.name, "diverged_9")) {
        row->meta.name = slice_str("converged_9");
    }
    return true;
}

static bool signed_number(struct row *row)
{
    if (row->table == ROW_META && slice_is(row->meta.name, "feature_level")) {
        row->meta.value = slice_str("+1");
    }
    return true;
}

static bool large_number(struct row *row)
{
    if (row->table == ROW_META && slice_is(row->meta.name, "history_floor")) {
        row->meta.value = slice_str("18446744073709551618"); /* 2 modulo 2^64 */
    }
    return true;
}

static bool change_data(struct row *row)
{
    if (row_is_node(row, "/n007/child")) {
        row->node.data = slice_str("valuE");
    }
    return true;
}

static bool change_version(struct row *row)
{
    if (row_is_node(row, "/n007/child")) {
        row->node.stat.version++;
    }
    return true;
}

static bool change_bytes(struct row *row)
{
    if (row_is_node(row, "/n007/child")) {
        row->node.stat.data_bytes++;
    }
    return true;
}

static bool bad_path(struct row *row)
{
    if (row_is_node(row, "/n007/child")) {
        row->node.path = slice_str("/n007//child");
    }
    return true;
}

static bool twice(struct row *row)
{
    if (row_is_node(row, "/n007/child")) {
        row->node.path = slice_str("/n008/child");
    }
    return true;
}

static bool barren_parent(struct row *row)
{
    if (row_is_node(row, "/n007")) {
        row->node.stat.kind = NODE_EPHEMERAL;
        row->node.stat.lease = PLAIN;
    }
    return true;
}

static bool session_reply(struct row *row)
{
    if (row->table == ROW_REPLY) {
        row->reply.session = 1;
    }
    return true;
}

static bool drop_lease(struct row *row)
{
    return !row_is_lease(row, PLAIN);
}

static bool drop_session(struct row *row)
{
    return !row_is_node(row, "/e8000") && !row_is_lease(row, SESSION);
}

static bool lease_twice(struct row *row)
{
    if (row_is_lease(row, PLAIN)) {
        row->lease.id += 2000;
    }
    return true;
}

static bool lease_id(struct row *row)
{
    if (row_is_lease(row, PLAIN)) {
        row->lease.id = (uint64_t)1 << 63;
    }
    return true;
}

static bool lease_ttl(struct row *row)
{
    if (row_is_lease(row, PLAIN)) {
        row->lease.ttl_ms = LEASE_TTL_MS_MIN - 1;
    }
    return true;
}

static bool lease_owner(struct row *row)
{
    if (row_is_lease(row, PLAIN)) {
        row->lease.owner = slice_str("\xff");
    }
    return true;
}

static bool lease_secret(struct row *row)
{
    if (row_is_lease(row, SESSION)) {
        row->lease.secret = slice_str("0123456789abcdeF");
    }
    return true;
}

static bool lease_generation(struct row *row)
{
    if (row_is_lease(row, SESSION)) {
        row->lease.generation++;
    }
    return true;
}

static bool lease_with_floor(struct row *row)
{
    if (row_is_lease(row, PLAIN)) {
        row->lease.window_floor = 1;
    }
    return true;
}

static bool higher_floor(struct row *row)
{
    if (row_is_lease(row, SESSION)) {
        row->lease.window_floor = 12;
    }
    return true;
}

static bool lower_floor(struct row *row)
{
    if (row_is_lease(row, SESSION)) {
        row->lease.window_floor--;
    }
    return true;
}

static bool session_is_plain(struct row *row)
{
    if (row_is_lease(row, SESSION)) {
        row->lease.kind = LEASE_PLAIN;
        row->lease.window_floor = 0;
    }
    return true;
}

static bool other_owner(struct row *row)
{
    if (row_is_node(row, "/e7000")) {
        row->node.stat.lease = SESSION;
    }
    return true;
}

static bool drop_window_reply(struct row *row)
{
    return !row_is_reply(row, 15);
}

static bool window_reply_twice(struct row *row)
{
    if (row_is_reply(row, 12)) {
        row->reply.sequence = 15;
    }
    return true;
}

static bool serial_twice(struct row *row)
{
    if (row_is_reply(row, 12)) {
        row->reply.serial = 1;
    }
    return true;
}

static bool serial_too_large(struct row *row)
{
    if (row_is_reply(row, 15)) {
        row->reply.serial = 1000000;
    }
    return true;
}

static bool request_of_session(struct row *row)
{
    if (row_is_reply(row, 15)) {
        row->reply.request.issued_ms = 1;
    }
    return true;
}

static bool drop_serial(struct row *row)
{
    return row->table != ROW_META || !slice_is(row->meta.name, "window_serial");
}

static bool broken_reply(struct row *row)
{
    if (row->table == ROW_REPLY) {
        row->reply.reply.size--;
    }
    return true;
}

static bool change_note(struct row *row)
{
    if (row->table == ROW_CHANGE && row->change.revision == 20) {
        row->change.note = slice_str("forged");
    }
    return true;
}

static bool (*const damages[])(struct row *) = {
    drop_parent,        drop_child,        drop_change,        drop_reply,   drop_floor,
    drop_mark,          rename_meta,       signed_number,      large_number, change_data,
    change_version,     change_bytes,      bad_path,           twice,        barren_parent,
    session_reply,      broken_reply,      change_note,        drop_lease,   drop_session,
    lease_twice,        lease_id,          lease_ttl,          lease_owner,  lease_secret,
    lease_generation,   lease_with_floor,  higher_floor,       lower_floor,  session_is_plain,
    other_owner,        drop_window_reply, window_reply_twice, serial_twice, serial_too_large,
    request_of_session, drop_serial,
};

START_TEST(a_row_too_few_or_wrong_is_corrupt)
{
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    edit_rows(damages[_i]);
    ck_assert_ptr_null(kit_load(buf_slice(&rows), &meta, &rc));
    ck_assert_int_eq(rc, RC_CORRUPT);
}
END_TEST

START_TEST(another_revision_or_time_is_corrupt)
{
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    struct snapshot_meta other = meta;
    other.revision++;
    ck_assert_ptr_null(kit_load(buf_slice(&rows), &other, &rc));
    other = meta;
    other.cluster_ms++;
    ck_assert_ptr_null(kit_load(buf_slice(&rows), &other, &rc));
    ck_assert_int_eq(rc, RC_CORRUPT);
}
END_TEST

START_TEST(damaged_rows_never_load_and_never_crash)
{
    struct rng rng;
    rng_init(&rng, 9);
    kit_close(&k);
    kit_open(&k);
    for (int i = 0; i < 5; i++) {
        char path[20];
        snprintf(path, sizeof path, "/p%d", i);
        create_once(path, 700 + (uint64_t)i);
    }
    run_lease(COMMAND_GRANT, PLAIN);
    run_lease(COMMAND_GRANT, SESSION);
    create_ephemeral("/e", SESSION);
    run_numbered(SESSION, 3, 1);
    run_numbered(SESSION, 2, 1);
    kit_rows(k.store, &meta, &rows);
    for (int i = 0; i < 3000; i++) {
        struct buf damaged = {0};
        enum status rc;
        buf_append_slice(&damaged, buf_slice(&rows));
        for (uint64_t n = rng_range(&rng, 1, 3); n > 0; n--) {
            damaged.data[rng_below(&rng, damaged.size)] ^= (uint8_t)(1 << rng_below(&rng, 8));
        }
        struct store *loaded = kit_load(buf_slice(&damaged), &meta, &rc);
        ck_assert(loaded == NULL || slice_equal(buf_slice(&damaged), buf_slice(&rows)));
        store_free(loaded);
        buf_close(&damaged);
    }
}
END_TEST

START_TEST(leases_and_time_limits_of_nodes_survive)
{
    struct tree *t = &k.store->tree;
    struct command grant = {.type = COMMAND_GRANT,
                            .lease = {.id = 77,
                                      .ttl_ms = 1000,
                                      .kind = LEASE_PLAIN,
                                      .secret = slice_str("0123456789abcdef")}};
    ck_assert_int_eq(kit_run(&k, &grant), OUTCOME_OK);
    struct op op = kit_op(OP_CREATE, "/n001/e", "");
    op.kind = NODE_EPHEMERAL;
    op.lease = 77;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    struct tree_key key = {.space = SPACE_NODES,
                           .kind = NODE_TTL,
                           .parent = tree_find(t, SPACE_NODES, slice_str("/n001")),
                           .path = slice_str("/n001/t"),
                           .hash = tree_hash(SPACE_NODES, slice_str("/n001/t"))};
    uint32_t limited = tree_add(t, &key);
    tree_node(t, limited)->create_revision = 5;
    tree_dir(t, limited)->ttl_ms = 9000;
    k.store->node_sum = digest_items(k.store);

    enum status rc;
    kit_rows(k.store, &meta, &rows);
    struct store *loaded = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    struct store *old = k.store;
    struct node_stat stat;
    k.store = loaded;
    ck_assert_int_eq(kit_stat(&k, "/n001/e", &stat), OUTCOME_OK);
    ck_assert_uint_eq(stat.lease, 77);
    ck_assert_int_eq(kit_stat(&k, "/n001/t", &stat), OUTCOME_OK);
    ck_assert_uint_eq(stat.ttl_ms, 9000);
    ck_assert_uint_eq(store_lease(loaded, 77)->attached_count, 1);
    ck_assert_int_eq(kit_create(&k, "/n001/e/x", ""), OUTCOME_EPHEMERAL_PARENT);
    ck_assert_int_eq(kit_create(&k, "/n001/t/x", ""), OUTCOME_OK);
    store_free(old);
}
END_TEST

START_TEST(a_loaded_store_shares_values_with_its_change_log)
{
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    struct store *loaded = kit_load(buf_slice(&rows), &meta, &rc);
    uint32_t slot = tree_find(&loaded->tree, SPACE_NODES, slice_str("/n001/child"));
    ck_assert_uint_eq(tree_node(&loaded->tree, slot)->value->refs, 2);
    store_free(loaded);
}
END_TEST

static Suite *scan_suite(void)
{
    Suite *suite = suite_create("scan");
    TCase *tcase = tcase_create("scan");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_loaded_store_has_the_digest_of_the_scanned_one);
    tcase_add_loop_test(tcase, a_scan_shows_the_moment_it_began_whatever_happens_meanwhile, 0,
                        2 * INTERFERENCES);
    tcase_add_test(tcase, the_change_log_is_held_for_a_scan_while_it_is_trimmed);
    tcase_add_test(tcase, a_scan_can_be_given_up_and_begun_again);
    tcase_add_test(tcase, a_step_appends_about_its_budget);
    tcase_add_loop_test(tcase, a_row_too_few_or_wrong_is_corrupt, 0,
                        sizeof damages / sizeof damages[0]);
    tcase_add_test(tcase, another_revision_or_time_is_corrupt);
    tcase_add_test(tcase, damaged_rows_never_load_and_never_crash);
    tcase_add_test(tcase, leases_and_time_limits_of_nodes_survive);
    tcase_add_test(tcase, a_loaded_store_shares_values_with_its_change_log);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){scan_suite, NULL});
}
