/* Tables that go in and out beside SQL, against SQLite itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/rng.h"
#include "store/db_bulk.h"
#include "store/db_scan.h"
#include "tests/support/check_main.h"
#include "tests/support/mem_env.h"

#define PATH        "x.db"
#define APPLICATION 77
#define COLUMNS     4

static const char *const tables[] = {"a", "b"};
enum { TABLES = sizeof tables / sizeof tables[0] };

/* Row `number` of a table: its cells are the same whenever they are asked for. */
struct made {
    struct db_cell cells[COLUMNS];
    uint8_t *bytes;
};

static size_t random_size(struct rng *rng, size_t most)
{
    switch (rng_below(rng, 4)) {
    case 0: return (size_t)rng_below(rng, 4);
    case 1: return 8000 % (most + 1) + (size_t)rng_below(rng, 400); /* about a page */
    default: return (size_t)rng_below(rng, most + 1);
    }
}

static void make_row(struct made *m, uint64_t seed, size_t most)
{
    struct rng rng;
    rng_init(&rng, seed);
    size_t size = random_size(&rng, most);
    m->bytes = mem_alloc(size);
    for (size_t i = 0; i < size; i++) {
        m->bytes[i] = (uint8_t)('a' + rng_below(&rng, 26));
    }
    m->cells[0] = (struct db_cell){.type = DB_INTEGER,
                                   .integer = rng_next(&rng) >> rng_below(&rng, 64)};
    m->cells[1] = (struct db_cell){.type = rng_below(&rng, 2) == 0 ? DB_BLOB : DB_TEXT,
                                   .bytes = slice_make(m->bytes, size)};
    m->cells[2] = (struct db_cell){.type = DB_NULL};
    m->cells[3] = (struct db_cell){.type = DB_INTEGER,
                                   .integer = 0 - (rng_next(&rng) >> rng_below(&rng, 64))};
}

static void expect_row(const struct db_cell *have, uint64_t seed, size_t most)
{
    struct made m;
    make_row(&m, seed, most);
    for (int i = 0; i < COLUMNS; i++) {
        ck_assert_int_eq(have[i].type, m.cells[i].type);
        ck_assert_uint_eq(have[i].integer, m.cells[i].integer);
        ck_assert(slice_equal(have[i].bytes, m.cells[i].bytes));
    }
    mem_free(m.bytes);
}

/* ---- written beside SQL ------------------------------------------------------------------- */

static void create(struct env *env, uint32_t roots[TABLES])
{
    struct db *db = NULL;
    ck_assert_int_eq(db_create(env, PATH, APPLICATION, &db, NULL), RC_OK);
    for (int i = 0; i < TABLES; i++) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "CREATE TABLE %s(c, d, e, f)", tables[i]);
        ck_assert_int_eq(db_run(db, sql, NULL), RC_OK);
        ck_assert_int_eq(db_root_page(db, tables[i], &roots[i], NULL), RC_OK);
    }
    ck_assert_int_eq(db_run(db, "COMMIT", NULL), RC_OK);
    db_close(db);
}

/* `rows` in table a, half as many in b, by turns. */
static void write_bulk(struct env *env, uint64_t rows, size_t most)
{
    uint32_t roots[TABLES];
    struct db_bulk *bulk = NULL;
    create(env, roots);
    ck_assert_int_eq(db_bulk_open(env, PATH, roots, TABLES, &bulk, NULL), RC_OK);
    for (uint64_t i = 0; i < rows; i++) {
        for (int t = 0; t < (i % 2 == 0 ? 2 : 1); t++) {
            struct made m;
            make_row(&m, i, most);
            ck_assert_int_eq(db_bulk_append(bulk, t, m.cells, COLUMNS, NULL), RC_OK);
            mem_free(m.bytes);
        }
    }
    ck_assert_int_eq(db_bulk_commit(bulk, NULL), RC_OK);
    db_bulk_close(bulk);
}

static void expect_sound(struct db *db)
{
    struct db_query *query = NULL;
    struct db_cell cell;
    bool found = false;
    ck_assert_int_eq(db_prepare(db, "PRAGMA integrity_check", &query, NULL), RC_OK);
    ck_assert_int_eq(db_next(query, &cell, 1, &found, NULL), RC_OK);
    ck_assert_msg(found && slice_is(cell.bytes, "ok"), "%.*s", (int)cell.bytes.size,
                  (const char *)cell.bytes.data);
    db_query_close(query);
}

static void expect_by_sql(struct db *db, int table, uint64_t rows, size_t most)
{
    struct db_query *query = NULL;
    struct db_cell cells[COLUMNS + 1];
    char sql[64];
    bool found = true;
    (void)snprintf(sql, sizeof sql, "SELECT *, rowid FROM %s ORDER BY rowid", tables[table]);
    ck_assert_int_eq(db_prepare(db, sql, &query, NULL), RC_OK);
    uint64_t count = 0;
    for (;; count++) {
        ck_assert_int_eq(db_next(query, cells, COLUMNS + 1, &found, NULL), RC_OK);
        if (!found) {
            break;
        }
        ck_assert_uint_eq(cells[COLUMNS].integer, count + 1);
        expect_row(cells, count * (uint64_t)(table + 1), most);
    }
    ck_assert_uint_eq(count, table == 0 ? rows : (rows + 1) / 2);
    db_query_close(query);
}

static void expect_by_scan(struct env *env, uint32_t root, uint64_t rows, uint64_t step,
                           size_t most)
{
    struct db_scan *scan = NULL;
    struct db_cell cells[COLUMNS];
    bool found = true;
    uint64_t count = 0;
    ck_assert_int_eq(db_scan_open(env, PATH, root, &scan, NULL), RC_OK);
    for (;; count++) {
        ck_assert_int_eq(db_scan_next(scan, cells, COLUMNS, &found, NULL), RC_OK);
        if (!found) {
            break;
        }
        expect_row(cells, count * step, most);
    }
    ck_assert_uint_eq(count, rows);
    ck_assert_int_eq(db_scan_next(scan, cells, COLUMNS, &found, NULL), RC_OK);
    ck_assert(!found);
    db_scan_close(scan);
}

static void there_and_back(uint64_t rows, size_t most)
{
    struct mem_env m;
    struct db *db = NULL;
    mem_env_init(&m);
    write_bulk(&m.env, rows, most);
    ck_assert_int_eq(db_open(&m.env, PATH, APPLICATION, &db, NULL), RC_OK);
    expect_sound(db);
    for (int i = 0; i < TABLES; i++) {
        uint32_t root;
        expect_by_sql(db, i, rows, most);
        ck_assert_int_eq(db_root_page(db, tables[i], &root, NULL), RC_OK);
        expect_by_scan(&m.env, root, i == 0 ? rows : (rows + 1) / 2, (uint64_t)i + 1, most);
    }
    db_close(db);
    mem_env_close(&m);
}

START_TEST(sqlite_finds_sound_tables_with_the_rows_that_were_written)
{
    there_and_back(0, 0);
    there_and_back(1, 10);
    there_and_back(3, 100);
    there_and_back(500, 40);
    there_and_back(3000, 500);
    there_and_back(300, 60000);
}
END_TEST

/* More leaves than one interior page names, with one to three on the last. */
START_TEST(interior_pages_lead_to_interior_pages)
{
    there_and_back(1640, 4000);
    there_and_back(40000, 1);
    for (uint64_t rows = 545; rows <= 549; rows++) {
        struct mem_env m;
        struct db *db = NULL;
        uint32_t roots[TABLES];
        struct db_bulk *bulk = NULL;
        uint8_t bytes[7000] = {1}; /* one row a leaf */
        struct db_cell cells[] = {{.type = DB_BLOB, .bytes = slice_make(bytes, sizeof bytes)},
                                  {.type = DB_NULL},
                                  {.type = DB_NULL},
                                  {.type = DB_NULL}};
        mem_env_init(&m);
        create(&m.env, roots);
        ck_assert_int_eq(db_bulk_open(&m.env, PATH, roots, TABLES, &bulk, NULL), RC_OK);
        for (uint64_t i = 0; i < rows; i++) {
            ck_assert_int_eq(db_bulk_append(bulk, 1, cells, COLUMNS, NULL), RC_OK);
        }
        ck_assert_int_eq(db_bulk_commit(bulk, NULL), RC_OK);
        db_bulk_close(bulk);
        ck_assert_int_eq(db_open(&m.env, PATH, APPLICATION, &db, NULL), RC_OK);
        expect_sound(db);
        db_close(db);
        mem_env_close(&m);
    }
}
END_TEST

START_TEST(what_is_written_is_synced_piece_by_piece)
{
    struct mem_env m;
    mem_env_init(&m);
    write_bulk(&m.env, 800, 60000);
    size_t pieces = mem_env_find(&m, PATH)->size / (8 << 20);
    ck_assert_uint_ge(pieces, 2);
    ck_assert_uint_ge(m.syncs, pieces);
    ck_assert_uint_le(m.syncs, pieces + 2);
    mem_env_close(&m);
}
END_TEST

/* ---- written by SQLite -------------------------------------------------------------------- */

static void sqlite_run(sqlite3 *db, const char *sql)
{
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
}

static uint32_t sqlite_root(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name='t'",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    uint32_t root = (uint32_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return root;
}

static void sqlite_insert(sqlite3 *db, uint64_t rowid, size_t most)
{
    static sqlite3_stmt *statement;
    struct made m;
    make_row(&m, rowid - 1, most);
    ck_assert_int_eq(
        sqlite3_prepare_v2(db, "INSERT INTO t(rowid, c, d, e, f) VALUES(?, ?, ?, ?, ?)", -1,
                           &statement, NULL),
        SQLITE_OK);
    const char *bytes = (const char *)m.cells[1].bytes.data;
    int size = (int)m.cells[1].bytes.size;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)rowid);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)m.cells[0].integer);
    if (m.cells[1].type == DB_BLOB) {
        sqlite3_bind_blob(statement, 3, bytes, size, SQLITE_STATIC);
    } else {
        sqlite3_bind_text(statement, 3, bytes, size, SQLITE_STATIC);
    }
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)m.cells[3].integer);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_DONE);
    sqlite3_finalize(statement);
    mem_free(m.bytes);
}

/* Odd rows first, so that pages split and the tree is not in the order of the file. */
static void scan_of_sqlite(const char *page_bytes, uint64_t rows, size_t most)
{
    struct mem_env m;
    sqlite3 *db = NULL;
    char sql[64];
    mem_env_init(&m);
    ck_assert_int_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "PRAGMA page_size=%s", page_bytes);
    sqlite_run(db, sql);
    sqlite_run(db, "CREATE TABLE t(c, d, e, f); BEGIN");
    for (uint64_t parity = 0; parity < 2; parity++) {
        for (uint64_t i = 1 + parity; i <= rows; i += 2) {
            sqlite_insert(db, i, most);
        }
    }
    sqlite_run(db, "COMMIT");
    uint32_t root = sqlite_root(db);
    sqlite3_int64 size = 0;
    unsigned char *file = sqlite3_serialize(db, "main", &size, 0);
    buf_append(mem_env_get(&m, PATH), file, (size_t)size);
    sqlite3_free(file);
    sqlite3_close(db);
    expect_by_scan(&m.env, root, rows, 1, most);
    mem_env_close(&m);
}

START_TEST(tables_that_sqlite_wrote_are_read)
{
    static const char *const page_bytes[] = {"512", "1024", "4096", "8192", "65536"};
    for (size_t i = 0; i < sizeof page_bytes / sizeof page_bytes[0]; i++) {
        scan_of_sqlite(page_bytes[i], 0, 0);
        scan_of_sqlite(page_bytes[i], 2000, 30);
        scan_of_sqlite(page_bytes[i], 300, 9000);
    }
}
END_TEST

/* ---- damage ------------------------------------------------------------------------------- */

/* Whatever a page says: an answer, and an end. */
START_TEST(damaged_pages_neither_crash_nor_go_round)
{
    struct mem_env m;
    struct rng rng;
    struct db *db = NULL;
    uint32_t root = 0;
    size_t refused = 0;
    mem_env_init(&m);
    rng_init(&rng, 5);
    write_bulk(&m.env, 4000, 300);
    ck_assert_int_eq(db_open(&m.env, PATH, APPLICATION, &db, NULL), RC_OK);
    ck_assert_int_eq(db_root_page(db, tables[0], &root, NULL), RC_OK);
    db_close(db);
    struct buf *file = mem_env_find(&m, PATH);
    for (int round = 0; round < 3000; round++) {
        struct db_scan *scan = NULL;
        struct db_cell cells[COLUMNS];
        uint8_t *page = file->data + 8192 * (1 + rng_below(&rng, file->size / 8192 - 1));
        uint8_t *byte = page + rng_below(&rng, rng_below(&rng, 2) == 0 ? 40 : 8192);
        uint8_t was = *byte;
        *byte = (uint8_t)rng_next(&rng);
        bool found = true;
        uint64_t count = 0;
        enum status rc = db_scan_open(&m.env, PATH, root, &scan, NULL);
        while (rc == RC_OK && found) {
            rc = db_scan_next(scan, cells, COLUMNS, &found, NULL);
            count++;
        }
        ck_assert(rc == RC_OK || rc == RC_CORRUPT);
        ck_assert_uint_lt(count, 10000000);
        refused += rc == RC_CORRUPT;
        db_scan_close(scan);
        *byte = was;
    }
    ck_assert_uint_gt(refused, 100);
    ck_assert_uint_eq(m.open_files, 0);
    mem_env_close(&m);
}
END_TEST

static Suite *db_table_suite(void)
{
    Suite *suite = suite_create("tables beside SQL");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 180);
    tcase_add_test(tests, sqlite_finds_sound_tables_with_the_rows_that_were_written);
    tcase_add_test(tests, interior_pages_lead_to_interior_pages);
    tcase_add_test(tests, what_is_written_is_synced_piece_by_piece);
    tcase_add_test(tests, tables_that_sqlite_wrote_are_read);
    tcase_add_test(tests, damaged_pages_neither_crash_nor_go_round);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){db_table_suite, NULL});
}
