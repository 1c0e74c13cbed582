#include "store/snapshot.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lease/lease.h"
#include "store/db.h"
#include "store/db_page.h"
#include "store/db_seal.h"
#include "store/snapshot_table.h"
#include "tests/support/check_main.h"
#include "tests/support/fault_env.h"
#include "tests/support/mem_env.h"
#include "tests/support/rows.h"

#define PATH "dir/snapshot.db"

static struct snapshot_meta make_meta(uint64_t index)
{
    struct snapshot_meta meta = {
        .index = index,
        .term = 3,
        .configuration_index = 2,
        .cluster_id = UINT64_MAX,
        .revision = UINT64_C(1) << 40,
        .digest = (uint64_t)INT64_MAX + 1,
        .cluster_ms = 0,
    };
    buf_append(&meta.configuration, "\0three\xff members", 14);
    return meta;
}

static bool meta_equal(const struct snapshot_meta *a, const struct snapshot_meta *b)
{
    return a->index == b->index && a->term == b->term &&
           a->configuration_index == b->configuration_index &&
           slice_equal(buf_slice(&a->configuration), buf_slice(&b->configuration)) &&
           a->cluster_id == b->cluster_id && a->revision == b->revision &&
           a->digest == b->digest && a->cluster_ms == b->cluster_ms;
}

static void write_ok(struct env *env, struct slice rows, uint64_t index)
{
    struct snapshot_meta meta = make_meta(index);
    struct errmsg err = {.rc = RC_OK};
    enum status rc = rows_write(env, PATH, rows, &meta, &err);
    ck_assert_msg(rc == RC_OK, "%s", err.text);
    snapshot_meta_close(&meta);
}

static void read_ok(struct env *env, struct slice rows, uint64_t index)
{
    struct snapshot_meta expected = make_meta(index);
    struct snapshot_meta meta;
    struct buf want = {.size = 0};
    struct buf have = {.size = 0};
    struct errmsg err = {.rc = RC_OK};
    enum status rc = rows_read(env, PATH, &have, &meta, &err);
    ck_assert_msg(rc == RC_OK, "%s", err.text);
    rows_hashes(rows, &want);
    ck_assert(slice_equal(buf_slice(&want), buf_slice(&have)));
    ck_assert(meta_equal(&meta, &expected));
    snapshot_meta_close(&meta);
    snapshot_meta_close(&expected);
    buf_close(&want);
    buf_close(&have);
}

/* ---- what was written is read ------------------------------------------------------------ */

START_TEST(rows_and_meta_come_back_unchanged)
{
    struct mem_env m;
    struct buf rows = {.size = 0};
    mem_env_init(&m);
    rows_make(&rows, 1, 5000, 700);
    rows_make(&rows, 2, 8, STORE_VALUE_BYTES_MAX);
    write_ok(&m.env, buf_slice(&rows), UINT64_MAX);
    read_ok(&m.env, buf_slice(&rows), UINT64_MAX);
    buf_close(&rows);
    mem_env_close(&m);
}
END_TEST

START_TEST(an_empty_snapshot_comes_back)
{
    struct mem_env m;
    mem_env_init(&m);
    write_ok(&m.env, slice_make(NULL, 0), 0);
    read_ok(&m.env, slice_make(NULL, 0), 0);
    mem_env_close(&m);
}
END_TEST

START_TEST(inspect_tells_meta_without_reading_rows)
{
    struct mem_env m;
    struct fault_env f;
    struct buf rows = {.size = 0};
    struct snapshot_meta expected = make_meta(17);
    struct snapshot_meta meta;
    mem_env_init(&m);
    fault_env_init(&f, &m.env);
    rows_make(&rows, 3, 2000, 1000);
    write_ok(&m.env, buf_slice(&rows), 17);
    ck_assert_int_eq(snapshot_inspect(&f.env, PATH, &meta, NULL), RC_OK);
    ck_assert(meta_equal(&meta, &expected));
    ck_assert_uint_lt(f.calls, 20);
    snapshot_meta_close(&meta);
    snapshot_meta_close(&expected);
    buf_close(&rows);
    mem_env_close(&m);
}
END_TEST

START_TEST(the_same_rows_give_the_same_bytes)
{
    struct mem_env m[2];
    struct buf rows = {.size = 0};
    rows_make(&rows, 4, 1000, 300);
    for (int i = 0; i < 2; i++) {
        mem_env_init(&m[i]);
        write_ok(&m[i].env, buf_slice(&rows), 5);
    }
    ck_assert(slice_equal(buf_slice(mem_env_find(&m[0], PATH)),
                          buf_slice(mem_env_find(&m[1], PATH))));
    mem_env_close(&m[0]);
    mem_env_close(&m[1]);
    buf_close(&rows);
}
END_TEST

START_TEST(a_leftover_is_replaced_and_one_sync_makes_it_durable)
{
    struct mem_env m;
    struct buf rows = {.size = 0};
    mem_env_init(&m);
    buf_append_str(mem_env_get(&m, PATH), "not a database, from a crash in the middle");
    rows_make(&rows, 5, 300, 300);
    write_ok(&m.env, buf_slice(&rows), 1);
    ck_assert_uint_eq(m.syncs, 1);
    ck_assert_uint_eq(m.open_files, 0);
    ck_assert_uint_eq(mem_env_file_count(&m), 1);
    read_ok(&m.env, buf_slice(&rows), 1);
    buf_close(&rows);
    mem_env_close(&m);
}
END_TEST

/* ---- what SQLite makes of it -------------------------------------------------------------- */

/* The one number that `sql` gives. */
static uint64_t ask_number(struct db *db, const char *sql)
{
    struct db_query *query = NULL;
    struct db_cell cell = {.type = DB_NULL};
    bool found = false;
    ck_assert_int_eq(db_prepare(db, sql, &query, NULL), RC_OK);
    ck_assert_int_eq(db_next(query, &cell, 1, &found, NULL), RC_OK);
    ck_assert(found && cell.type == DB_INTEGER);
    db_query_close(query);
    return cell.integer;
}

/* SQLite finds no fault with the file, and by its own way through the pages meets as many rows as
 * were written, whose bytes are all there. */
static void expect_sound(struct env *env, struct slice rows)
{
    struct db *db = NULL;
    struct db_query *query = NULL;
    struct db_cell cell;
    bool found = false;
    uint64_t counts[SNAPSHOT_TABLE_COUNT] = {0};
    struct unpack input = unpack_make(rows);
    while (input.rest.size > 0) {
        struct row row;
        ck_assert_int_eq(row_decode(&input, &row), RC_OK);
        counts[row.table]++;
    }
    ck_assert_int_eq(db_open(env, PATH, SNAPSHOT_APPLICATION_ID, &db, NULL), RC_OK);
    ck_assert_int_eq(db_prepare(db, "PRAGMA integrity_check", &query, NULL), RC_OK);
    ck_assert_int_eq(db_next(query, &cell, 1, &found, NULL), RC_OK);
    ck_assert_msg(found && slice_is(cell.bytes, "ok"), "%.*s", (int)cell.bytes.size,
                  (const char *)cell.bytes.data);
    db_query_close(query);
    for (size_t i = SNAPSHOT_TABLE_FILE + 1; i < SNAPSHOT_TABLE_COUNT; i++) {
        char sql[96];
        uint64_t seen = 0;
        (void)snprintf(sql, sizeof sql, "SELECT * FROM %s", snapshot_tables[i].name);
        ck_assert_int_eq(db_prepare(db, sql, &query, NULL), RC_OK);
        for (found = true; found; seen += found) {
            struct db_cell cells[SNAPSHOT_CELLS_MAX];
            ck_assert_int_eq(db_next(query, cells, SNAPSHOT_CELLS_MAX, &found, NULL), RC_OK);
        }
        db_query_close(query);
        ck_assert_uint_eq(seen, counts[i]);
        (void)snprintf(sql, sizeof sql, "SELECT rowid FROM %s ORDER BY rowid DESC",
                       snapshot_tables[i].name);
        ck_assert(seen == 0 || ask_number(db, sql) == seen);
    }
    db_close(db);
}

static void sound_and_back(struct slice rows)
{
    struct mem_env m;
    mem_env_init(&m);
    write_ok(&m.env, rows, 3);
    expect_sound(&m.env, rows);
    read_ok(&m.env, rows, 3);
    mem_env_close(&m);
}

START_TEST(sqlite_finds_snapshots_of_random_states_sound)
{
    static const size_t values[] = {0, 1, 30, 700, 4100, 8200, 70000};
    struct rng rng;
    rng_init(&rng, 50);
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct buf rows = {.size = 0};
        /* Few rows leave most tables without any; many give them interior pages. */
        for (uint64_t part = rng_range(&rng, 1, 4); part > 0; part--) {
            size_t value = values[rng_below(&rng, sizeof values / sizeof values[0])];
            uint64_t most = value > 10000 ? 20 : value > 1000 ? 200 : 3000;
            uint64_t count = rng_below(&rng, 2) == 0 ? rng_below(&rng, 4) : rng_below(&rng, most);
            rows_make(&rows, seed * 10 + part, (int)count, value);
        }
        sound_and_back(buf_slice(&rows));
        buf_close(&rows);
    }
}
END_TEST

/* Rows of one table, each with a value of `size`. */
static void even_rows(struct buf *rows, uint64_t count, size_t size)
{
    uint8_t *value = mem_alloc(size + 1);
    memset(value, 'v', size);
    for (uint64_t i = 0; i < count; i++) {
        struct row row = {.table = ROW_META,
                          .meta = {slice_str("n"), slice_make(value, size)}};
        row_encode(rows, &row);
    }
    mem_free(value);
}

/* A row that just fits into its page, one that just does not, rows that fill a leaf to its last
 * byte, and what is left for an overflow page at 0 and 1 bytes. */
START_TEST(sqlite_finds_rows_of_the_sizes_of_pages_sound)
{
    static const size_t pages[] = {8192, 2 * 8192, 3 * 8192};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        for (size_t size = pages[i] - 100; size <= pages[i] + 20; size++) {
            struct buf rows = {.size = 0};
            even_rows(&rows, 1 + size % 3, size);
            sound_and_back(buf_slice(&rows));
            buf_close(&rows);
        }
    }
    for (size_t size = 990; size <= 1030; size++) { /* about eight to a leaf */
        struct buf rows = {.size = 0};
        even_rows(&rows, 17, size);
        sound_and_back(buf_slice(&rows));
        buf_close(&rows);
    }
    for (size_t size = 2000; size <= 2060; size++) { /* about four */
        struct buf rows = {.size = 0};
        even_rows(&rows, 9, size);
        sound_and_back(buf_slice(&rows));
        buf_close(&rows);
    }
}
END_TEST

/* ---- giving up --------------------------------------------------------------------------- */

START_TEST(abort_leaves_nothing)
{
    struct mem_env m;
    struct snapshot_writer *w = NULL;
    struct buf rows = {.size = 0};
    mem_env_init(&m);
    rows_make(&rows, 6, 3000, 1000);
    ck_assert_int_eq(snapshot_writer_open(&m.env, PATH, &w, NULL), RC_OK);
    ck_assert_int_eq(snapshot_writer_rows(w, buf_slice(&rows), NULL), RC_OK);
    snapshot_writer_abort(w);
    ck_assert_uint_eq(mem_env_file_count(&m), 0);
    buf_close(&rows);
    mem_env_close(&m);
}
END_TEST

START_TEST(malformed_rows_are_refused_for_good)
{
    struct mem_env m;
    struct snapshot_writer *w = NULL;
    struct snapshot_meta meta = make_meta(1);
    struct buf rows = {.size = 0};
    mem_env_init(&m);
    rows_make(&rows, 7, 10, 100);
    ck_assert_int_eq(snapshot_writer_open(&m.env, PATH, &w, NULL), RC_OK);
    struct slice cut = slice_make(rows.data, rows.size - 1);
    ck_assert_int_eq(snapshot_writer_rows(w, cut, NULL), RC_MALFORMED);
    ck_assert_int_eq(snapshot_writer_rows(w, buf_slice(&rows), NULL), RC_MALFORMED);
    ck_assert_int_eq(snapshot_writer_finish(w, &meta, NULL), RC_MALFORMED);
    ck_assert_uint_eq(mem_env_file_count(&m), 0);
    snapshot_meta_close(&meta);
    buf_close(&rows);
    mem_env_close(&m);
}
END_TEST

/* Writes with a fault at call after call, until one write meets none. */
static uint64_t fail_every_write(enum status with, bool lasts)
{
    struct buf rows = {.size = 0};
    struct snapshot_meta meta = make_meta(1);
    /* Of several megabytes, so that pages are written before the end. */
    rows_make(&rows, 8, 150, 24000);
    for (uint64_t n = 1;; n++) {
        struct mem_env m;
        struct fault_env f;
        struct errmsg err = {.rc = RC_OK};
        mem_env_init(&m);
        fault_env_init(&f, &m.env);
        fault_env_arm(&f, n, with, lasts);
        enum status rc = rows_write(&f.env, PATH, buf_slice(&rows), &meta, &err);
        bool has_struck = fault_env_has_struck(&f);
        ck_assert_uint_eq(m.open_files, 0);
        if (has_struck) {
            ck_assert_msg(rc == with, "call %" PRIu64 ": %d, %s", n, (int)rc, err.text);
            ck_assert_ptr_nonnull(strstr(err.text, PATH));
            /* A disk that fails for good fails to remove the file, too. */
            ck_assert(lasts || mem_env_file_count(&m) == 0);
        } else {
            ck_assert_msg(rc == RC_OK, "%s", err.text);
            read_ok(&m.env, buf_slice(&rows), 1);
        }
        mem_env_close(&m);
        if (!has_struck) {
            snapshot_meta_close(&meta);
            buf_close(&rows);
            return n;
        }
    }
}

START_TEST(a_failing_disk_call_is_told_and_leaves_nothing)
{
    ck_assert_uint_gt(fail_every_write(RC_IO, false), 25);
    ck_assert_uint_gt(fail_every_write(RC_NO_SPACE, false), 25);
}
END_TEST

START_TEST(a_disk_that_stays_full_or_broken_is_told)
{
    ck_assert_uint_gt(fail_every_write(RC_IO, true), 25);
    ck_assert_uint_gt(fail_every_write(RC_NO_SPACE, true), 25);
}
END_TEST

START_TEST(a_failing_read_is_an_io_error_not_corruption)
{
    struct mem_env m;
    struct buf rows = {.size = 0};
    struct buf hashes = {.size = 0};
    uint64_t n = 0;
    mem_env_init(&m);
    rows_make(&rows, 9, 1500, 300);
    write_ok(&m.env, buf_slice(&rows), 1);
    for (bool has_struck = true; has_struck;) {
        struct fault_env f;
        struct snapshot_meta meta;
        struct errmsg err = {.rc = RC_OK};
        fault_env_init(&f, &m.env);
        fault_env_arm(&f, ++n, RC_IO, false);
        buf_clear(&hashes);
        enum status rc = rows_read(&f.env, PATH, &hashes, &meta, &err);
        has_struck = fault_env_has_struck(&f);
        ck_assert_msg(rc == (has_struck ? RC_IO : RC_OK), "call %" PRIu64 ": %s", n, err.text);
        ck_assert_uint_eq(m.open_files, 0);
        if (rc == RC_OK) {
            snapshot_meta_close(&meta);
        }
    }
    ck_assert_uint_gt(n, 20);
    buf_close(&rows);
    buf_close(&hashes);
    mem_env_close(&m);
}
END_TEST

/* ---- damage ------------------------------------------------------------------------------ */

/* Reads a damaged file: refused as corrupt, or nothing that counts was damaged. */
static bool damage_is_found(struct mem_env *m, const struct buf *want, const char *what)
{
    struct snapshot_meta expected = make_meta(1);
    struct snapshot_meta meta;
    struct buf have = {.size = 0};
    struct errmsg err = {.rc = RC_OK};
    enum status rc = rows_read(&m->env, PATH, &have, &meta, &err);
    if (rc == RC_OK) {
        ck_assert_msg(slice_equal(buf_slice(want), buf_slice(&have)) &&
                          meta_equal(&meta, &expected),
                      "%s: other content was accepted", what);
        snapshot_meta_close(&meta);
    } else {
        ck_assert_msg(rc == RC_CORRUPT, "%s: %d, %s", what, (int)rc, err.text);
        ck_assert_ptr_nonnull(strstr(err.text, PATH));
    }
    ck_assert_uint_eq(m->open_files, 0);
    snapshot_meta_close(&expected);
    buf_close(&have);
    return rc != RC_OK;
}

START_TEST(no_bit_flips_unnoticed)
{
    struct mem_env m;
    struct buf rows = {.size = 0};
    struct buf want = {.size = 0};
    mem_env_init(&m);
    rows_make(&rows, 10, 200, 60);
    rows_make(&rows, 11, 3, 30000);
    rows_hashes(buf_slice(&rows), &want);
    write_ok(&m.env, buf_slice(&rows), 1);
    struct buf *file = mem_env_find(&m, PATH);
    for (size_t at = 0; at < file->size; at += at < 200 ? 1 : 29) {
        static const uint8_t masks[] = {0x01, 0x80, 0xff};
        for (size_t i = 0; i < sizeof masks; i++) {
            char what[64];
            (void)snprintf(what, sizeof what, "byte %zu ^ %02x", at, masks[i]);
            file->data[at] ^= masks[i];
            ck_assert_msg(damage_is_found(&m, &want, what), "%s", what);
            file->data[at] ^= masks[i];
        }
    }
    read_ok(&m.env, buf_slice(&rows), 1);
    buf_close(&rows);
    buf_close(&want);
    mem_env_close(&m);
}
END_TEST

START_TEST(a_file_cut_short_is_corrupt)
{
    struct mem_env m;
    struct buf rows = {.size = 0};
    struct buf want = {.size = 0};
    mem_env_init(&m);
    rows_make(&rows, 12, 300, 200);
    rows_hashes(buf_slice(&rows), &want);
    write_ok(&m.env, buf_slice(&rows), 1);
    struct buf *file = mem_env_find(&m, PATH);
    size_t whole = file->size;
    for (size_t size = 0; size < whole; size += size < 600 ? 50 : 2000) {
        file->size = size;
        ck_assert_msg(damage_is_found(&m, &want, "cut"), "at %zu of %zu", size, whole);
    }
    file->size = whole - 1;
    ck_assert(damage_is_found(&m, &want, "cut by one byte"));
    file->size = whole;
    buf_close(&rows);
    buf_close(&want);
    mem_env_close(&m);
}
END_TEST

START_TEST(other_files_are_not_taken_for_snapshots)
{
    struct mem_env m;
    struct snapshot_meta meta;
    struct errmsg err = {.rc = RC_OK};
    struct db *db = NULL;
    mem_env_init(&m);
    ck_assert_int_eq(snapshot_inspect(&m.env, PATH, &meta, &err), RC_NOT_FOUND);
    ck_assert_uint_eq(mem_env_file_count(&m), 0);

    struct buf *file = mem_env_get(&m, PATH);
    ck_assert_int_eq(snapshot_inspect(&m.env, PATH, &meta, &err), RC_CORRUPT);
    for (int i = 0; i < 1000; i++) {
        buf_append_str(file, "This is a text of some length. ");
    }
    ck_assert_int_eq(snapshot_inspect(&m.env, PATH, &meta, &err), RC_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.text, PATH));

    ck_assert_int_eq(db_create(&m.env, PATH, 1234, &db, &err), RC_OK);
    ck_assert_int_eq(db_run(db, snapshot_tables[0].create, &err), RC_OK);
    ck_assert_int_eq(db_commit(db, &err), RC_OK);
    db_close(db);
    ck_assert_int_eq(snapshot_inspect(&m.env, PATH, &meta, &err), RC_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.text, "none of ours"));
    mem_env_close(&m);
}
END_TEST

/* A database of ours with these names in meta and a right or wrong checksum over them. */
static void write_meta(struct mem_env *m, const char *const (*names)[2], bool is_right)
{
    struct db *db = NULL;
    struct db_query *insert = NULL;
    uint64_t checksum = is_right ? 0 : 1;
    char text[24];
    ck_assert_int_eq(db_create(&m->env, PATH, SNAPSHOT_APPLICATION_ID, &db, NULL), RC_OK);
    ck_assert_int_eq(db_run(db, snapshot_tables[0].create, NULL), RC_OK);
    ck_assert_int_eq(db_prepare(db, "INSERT INTO meta VALUES(?, ?)", &insert, NULL), RC_OK);
    for (bool last = false; !last; names++) {
        last = (*names)[0] == NULL;
        (void)snprintf(text, sizeof text, "%" PRIu64, checksum);
        struct snapshot_cells row = {
            .cells = {snapshot_cell_text(slice_str(last ? "meta_checksum" : (*names)[0])),
                      snapshot_cell_text(slice_str(last ? text : (*names)[1]))},
            .count = 2,
        };
        checksum += snapshot_cells_hash(&row, SNAPSHOT_TABLE_FILE);
        ck_assert_int_eq(db_bind(insert, 0, row.cells, 2, NULL), RC_OK);
        ck_assert_int_eq(db_execute(insert, NULL), RC_OK);
    }
    db_query_close(insert);
    ck_assert_int_eq(db_commit(db, NULL), RC_OK);
    db_close(db);
}

START_TEST(a_newer_format_is_refused_by_name)
{
    static const char *const newer[][2] = {
        {"format", "7"}, {"version", "v9.1"}, {"unheard", "of"}, {NULL, NULL}};
    static const char *const older[][2] = {{"format", "0"}, {"version", "v0"}, {NULL, NULL}};
    struct mem_env m;
    struct snapshot_meta meta;
    struct errmsg err = {.rc = RC_OK};
    mem_env_init(&m);
    write_meta(&m, newer, true);
    ck_assert_int_eq(snapshot_inspect(&m.env, PATH, &meta, &err), RC_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "format 7"));
    ck_assert_ptr_nonnull(strstr(err.text, "v9.1"));
    ck_assert_ptr_nonnull(strstr(err.text, "up to 2"));
    /* Damage does not look like a newer file. */
    write_meta(&m, newer, false);
    ck_assert_int_eq(snapshot_inspect(&m.env, PATH, &meta, &err), RC_CORRUPT);
    write_meta(&m, older, true);
    ck_assert_int_eq(snapshot_inspect(&m.env, PATH, &meta, &err), RC_CORRUPT);
    mem_env_close(&m);
}
END_TEST

START_TEST(rows_of_another_schema_are_refused)
{
    struct mem_env m;
    struct buf rows = {.size = 0};
    struct buf want = {.size = 0};
    mem_env_init(&m);
    rows_make(&rows, 13, 20, 20);
    rows_hashes(buf_slice(&rows), &want);
    write_ok(&m.env, buf_slice(&rows), 1);
    /* In the text that SQLite keeps of CREATE TABLE nodes: a column of another type. */
    struct buf *file = mem_env_find(&m, PATH);
    size_t at = 0;
    while (memcmp(file->data + at, "path BLOB", 9) != 0) {
        at++;
        ck_assert_uint_lt(at, file->size - 9);
    }
    memcpy(file->data + at, "path TEXT", 9);
    ck_assert_uint_lt(at, DB_USABLE_BYTES);
    db_seal_page(file->data, 1);
    ck_assert(damage_is_found(&m, &want, "schema"));
    buf_close(&rows);
    buf_close(&want);
    mem_env_close(&m);
}
END_TEST

/* ---- files of before --------------------------------------------------------------------- */

static void old_meta(struct db *db, const char *name, struct db_cell value, uint64_t *checksum)
{
    struct db_query *insert = NULL;
    struct snapshot_cells row = {.cells = {snapshot_cell_text(slice_str(name)), value},
                                 .count = 2};
    ck_assert_int_eq(db_prepare(db, "INSERT INTO meta VALUES(?, ?)", &insert, NULL), RC_OK);
    ck_assert_int_eq(db_bind(insert, 0, row.cells, 2, NULL), RC_OK);
    ck_assert_int_eq(db_execute(insert, NULL), RC_OK);
    db_query_close(insert);
    *checksum += snapshot_cells_hash(&row, SNAPSHOT_TABLE_FILE);
}

static void old_number(struct db *db, const char *name, uint64_t number, uint64_t *checksum)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    old_meta(db, name, snapshot_cell_text(slice_str(text)), checksum);
}

static void old_row(struct db *db, const struct row *row, uint64_t *checksum)
{
    struct snapshot_cells cells;
    struct db_query *insert = NULL;
    struct buf sql = {.size = 0};
    snapshot_cells_from_row(&cells, row);
    buf_append_str(&sql, "INSERT INTO ");
    buf_append_str(&sql, snapshot_tables[row->table].name);
    for (int i = 0; i < cells.count; i++) {
        buf_append_str(&sql, i == 0 ? " VALUES(?" : ",?");
    }
    buf_append(&sql, ")", sizeof ")");
    ck_assert_int_eq(db_prepare(db, (const char *)sql.data, &insert, NULL), RC_OK);
    ck_assert_int_eq(db_bind(insert, 0, cells.cells, cells.count, NULL), RC_OK);
    ck_assert_int_eq(db_execute(insert, NULL), RC_OK);
    db_query_close(insert);
    buf_close(&sql);
    *checksum += snapshot_cells_hash(&cells, row->table);
}

/* As format 1 had it: rows through SQL, a checksum over rows, nothing of pages. */
static void write_format_1(struct mem_env *m, struct slice rows, uint64_t error)
{
    static const char *const counts[] = {NULL,         "state_rows", "node_rows",
                                         "change_rows", "reply_rows", "lease_rows",
                                         "version_rows", "acl_rows"};
    struct snapshot_meta meta = make_meta(1);
    struct db *db = NULL;
    struct unpack input = unpack_make(rows);
    uint64_t seen[SNAPSHOT_TABLE_COUNT] = {0};
    uint64_t content = error;
    uint64_t checksum = 0;
    ck_assert_int_eq(db_create(&m->env, PATH, SNAPSHOT_APPLICATION_ID, &db, NULL), RC_OK);
    for (size_t i = 0; i < SNAPSHOT_TABLE_COUNT; i++) {
        ck_assert_int_eq(db_run(db, snapshot_tables[i].create, NULL), RC_OK);
    }
    while (input.rest.size > 0) {
        struct row row;
        ck_assert_int_eq(row_decode(&input, &row), RC_OK);
        old_row(db, &row, &content);
        seen[row.table]++;
    }
    old_number(db, "format", 1, &checksum);
    old_number(db, "feature_level", 1, &checksum);
    old_number(db, "index", meta.index, &checksum);
    old_number(db, "term", meta.term, &checksum);
    old_number(db, "configuration_index", meta.configuration_index, &checksum);
    old_number(db, "cluster_id", meta.cluster_id, &checksum);
    old_number(db, "revision", meta.revision, &checksum);
    old_number(db, "digest", meta.digest, &checksum);
    old_number(db, "cluster_ms", meta.cluster_ms, &checksum);
    for (size_t i = ROW_META; i < SNAPSHOT_TABLE_COUNT; i++) {
        old_number(db, counts[i], seen[i], &checksum);
    }
    old_number(db, "content_checksum", content, &checksum);
    old_meta(db, "version", snapshot_cell_text(slice_str("v0.1")), &checksum);
    old_meta(db, "configuration",
             (struct db_cell){.type = DB_BLOB, .bytes = buf_slice(&meta.configuration)},
             &checksum);
    uint64_t all = checksum;
    old_number(db, "meta_checksum", all, &checksum);
    ck_assert_int_eq(db_commit(db, NULL), RC_OK);
    db_close(db);
    snapshot_meta_close(&meta);
}

START_TEST(files_of_format_1_are_read_and_prove_their_rows)
{
    struct mem_env m;
    struct buf rows = {.size = 0};
    struct buf want = {.size = 0};
    mem_env_init(&m);
    rows_make(&rows, 60, 700, 500);
    rows_make(&rows, 61, 5, 50000);
    write_format_1(&m, buf_slice(&rows), 0);
    read_ok(&m.env, buf_slice(&rows), 1);
    rows_hashes(buf_slice(&rows), &want);
    write_format_1(&m, buf_slice(&rows), 1);
    ck_assert(damage_is_found(&m, &want, "the checksum of rows"));
    buf_close(&rows);
    buf_close(&want);
    mem_env_close(&m);
}
END_TEST

/* ---- several at once --------------------------------------------------------------------- */

START_TEST(two_writers_in_two_envs_do_not_meet)
{
    struct mem_env m[2];
    struct snapshot_writer *w[2];
    struct buf rows[2] = {{.size = 0}, {.size = 0}};
    for (int i = 0; i < 2; i++) {
        mem_env_init(&m[i]);
        rows_make(&rows[i], (uint64_t)(20 + i), 500, 200);
        ck_assert_int_eq(snapshot_writer_open(&m[i].env, PATH, &w[i], NULL), RC_OK);
    }
    for (int step = 0; step < 20; step++) {
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(snapshot_writer_rows(w[i], buf_slice(&rows[i]), NULL), RC_OK);
        }
    }
    snapshot_writer_abort(w[0]);
    struct snapshot_meta meta = make_meta(6);
    ck_assert_int_eq(snapshot_writer_finish(w[1], &meta, NULL), RC_OK);
    snapshot_meta_close(&meta);
    ck_assert_uint_eq(mem_env_file_count(&m[0]), 0);
    ck_assert_int_eq(snapshot_inspect(&m[1].env, PATH, &meta, NULL), RC_OK);
    ck_assert_uint_eq(meta.index, 6);
    snapshot_meta_close(&meta);
    for (int i = 0; i < 2; i++) {
        buf_close(&rows[i]);
        mem_env_close(&m[i]);
    }
}
END_TEST

static void *write_and_read(void *context)
{
    uint64_t seed = *(uint64_t *)context;
    struct mem_env m;
    struct buf rows = {.size = 0};
    mem_env_init(&m);
    rows_make(&rows, seed, 1000, 300);
    for (int i = 0; i < 5; i++) {
        write_ok(&m.env, buf_slice(&rows), seed);
        read_ok(&m.env, buf_slice(&rows), seed);
    }
    buf_close(&rows);
    mem_env_close(&m);
    return NULL;
}

START_TEST(threads_write_and_read_at_once)
{
    pthread_t threads[4];
    uint64_t seeds[4];
    for (size_t i = 0; i < 4; i++) {
        seeds[i] = 30 + i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_and_read, &seeds[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
}
END_TEST

/* ---- the operator's view ----------------------------------------------------------------- */

/* What the sqlite3 shell answers to `sql` about `file`. */
static void ask_shell(const char *file, const char *sql, char *answer, size_t bytes)
{
    char command[512];
    (void)snprintf(command, sizeof command, "sqlite3 -readonly '%s' \"%s\" 2>&1", file, sql);
    FILE *shell = popen(command, "r");
    ck_assert_ptr_nonnull(shell);
    size_t got = fread(answer, 1, bytes - 1, shell);
    answer[got] = '\0';
    ck_assert_int_eq(pclose(shell), 0);
}

START_TEST(the_sqlite3_shell_opens_a_snapshot)
{
    if (system("command -v sqlite3 >/dev/null") != 0) {
        (void)printf("skipped: no sqlite3 shell (package sqlite3)\n");
        return;
    }
    struct mem_env m;
    struct buf rows = {.size = 0};
    struct row row = {.table = ROW_NODE};
    char name[] = "/tmp/coord-test-XXXXXX";
    char answer[256];
    mem_env_init(&m);
    rows_make(&rows, 40, 200, 300);
    row.node.space = SPACE_NODES;
    row.node.path = slice_str("/config/\xc3\xbc");
    row.node.data = slice_str("hello");
    row.node.stat.version = 4;
    row.node.stat.data_bytes = 5;
    row_encode(&rows, &row);
    row = (struct row){.table = ROW_LEASE,
                       .lease = {.id = 4711,
                                 .kind = LEASE_SESSION,
                                 .ttl_ms = 10000,
                                 .secret = slice_str("\xff 23456789abcdef"),
                                 .owner = slice_str("somebody")}};
    row_encode(&rows, &row);
    write_ok(&m.env, buf_slice(&rows), 77);

    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    FILE *copy = fdopen(fd, "wb");
    const struct buf *file = mem_env_find(&m, PATH);
    ck_assert_uint_eq(fwrite(file->data, 1, file->size, copy), file->size);
    ck_assert_int_eq(fclose(copy), 0);
    ask_shell(name, "PRAGMA integrity_check", answer, sizeof answer);
    ck_assert_str_eq(answer, "ok\n");
    ask_shell(name, "SELECT data, version FROM nodes WHERE path = '/config/\xc3\xbc'", answer,
              sizeof answer);
    ck_assert_str_eq(answer, "hello|4\n");
    ask_shell(name, "SELECT value FROM meta WHERE name = 'index'", answer, sizeof answer);
    ck_assert_str_eq(answer, "77\n");
    ask_shell(name,
              "SELECT kind, ttl_ms, owner, typeof(secret), hex(secret) FROM leases "
              "WHERE id = 4711",
              answer, sizeof answer);
    ck_assert_str_eq(answer, "2|10000|somebody|blob|FF203233343536373839616263646566\n");
    ck_assert_int_eq(unlink(name), 0);
    buf_close(&rows);
    mem_env_close(&m);
}
END_TEST

static Suite *file_suite(void)
{
    Suite *suite = suite_create("snapshot file");
    TCase *content = tcase_create("content");
    TCase *faults = tcase_create("faults");
    TCase *damage = tcase_create("damage");
    tcase_set_timeout(content, 60);
    tcase_set_timeout(faults, 300);
    tcase_set_timeout(damage, 300);
    tcase_add_test(content, rows_and_meta_come_back_unchanged);
    tcase_add_test(content, an_empty_snapshot_comes_back);
    tcase_add_test(content, inspect_tells_meta_without_reading_rows);
    tcase_add_test(content, the_same_rows_give_the_same_bytes);
    tcase_add_test(content, a_leftover_is_replaced_and_one_sync_makes_it_durable);
    tcase_add_test(content, sqlite_finds_snapshots_of_random_states_sound);
    tcase_add_test(content, sqlite_finds_rows_of_the_sizes_of_pages_sound);
    tcase_add_test(content, files_of_format_1_are_read_and_prove_their_rows);
    tcase_add_test(content, two_writers_in_two_envs_do_not_meet);
    tcase_add_test(content, threads_write_and_read_at_once);
    tcase_add_test(content, the_sqlite3_shell_opens_a_snapshot);
    tcase_add_test(faults, abort_leaves_nothing);
    tcase_add_test(faults, malformed_rows_are_refused_for_good);
    tcase_add_test(faults, a_failing_disk_call_is_told_and_leaves_nothing);
    tcase_add_test(faults, a_disk_that_stays_full_or_broken_is_told);
    tcase_add_test(faults, a_failing_read_is_an_io_error_not_corruption);
    tcase_add_test(damage, no_bit_flips_unnoticed);
    tcase_add_test(damage, a_file_cut_short_is_corrupt);
    tcase_add_test(damage, other_files_are_not_taken_for_snapshots);
    tcase_add_test(damage, a_newer_format_is_refused_by_name);
    tcase_add_test(damage, rows_of_another_schema_are_refused);
    suite_add_tcase(suite, content);
    suite_add_tcase(suite, faults);
    suite_add_tcase(suite, damage);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){file_suite, NULL});
}
