#include "store/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "store/snapshot.h"
#include "tests/support/check_main.h"
#include "tests/support/mem_env.h"
#include "tests/support/rows.h"

#define PATH        "file:x.db?mode=memory" /* a path, never a URI */
#define APPLICATION 77

START_TEST(cells_of_all_types_come_back)
{
    static const struct db_cell cells[] = {
        {.type = DB_NULL},
        {.type = DB_INTEGER, .integer = UINT64_MAX},
        {.type = DB_INTEGER, .integer = (uint64_t)INT64_MAX + 1},
        {.type = DB_TEXT, .bytes = {(const uint8_t *)"text", 4}},
        {.type = DB_TEXT, .bytes = {NULL, 0}},
        {.type = DB_BLOB, .bytes = {(const uint8_t *)"b\0lob", 5}},
        {.type = DB_BLOB, .bytes = {NULL, 0}},
    };
    enum { COUNT = sizeof cells / sizeof cells[0] };
    struct mem_env m;
    struct db *db = NULL;
    struct db_query *query = NULL;
    struct db_cell read[COUNT + 1];
    bool found = false;
    mem_env_init(&m);
    ck_assert_int_eq(db_create(&m.env, PATH, APPLICATION, &db, NULL), RC_OK);
    ck_assert_int_eq(db_run(db, "CREATE TABLE t(a,b,c,d,e,f,g)", NULL), RC_OK);
    ck_assert_int_eq(db_prepare(db, "INSERT INTO t VALUES(?,?,?,?,?,?,?)", &query, NULL),
                     RC_OK);
    for (int i = 0; i < 2; i++) { /* the second time the numbers are bound already */
        ck_assert_int_eq(db_bind(query, 0, cells, 3, NULL), RC_OK);
        ck_assert_int_eq(db_bind(query, 3, cells + 3, COUNT - 3, NULL), RC_OK);
        ck_assert_int_eq(db_execute(query, NULL), RC_OK);
    }
    db_query_close(query);
    ck_assert_int_eq(db_commit(db, NULL), RC_OK);
    db_close(db);
    ck_assert_ptr_nonnull(mem_env_find(&m, PATH));

    ck_assert_int_eq(db_open(&m.env, PATH, APPLICATION, &db, NULL), RC_OK);
    ck_assert_int_eq(db_prepare(db, "SELECT * FROM t ORDER BY rowid", &query, NULL), RC_OK);
    for (int row = 0; row < 2; row++) {
        ck_assert_int_eq(db_next(query, read, COUNT + 1, &found, NULL), RC_OK);
        ck_assert(found);
        for (int i = 0; i < COUNT; i++) {
            ck_assert_int_eq(read[i].type, cells[i].type);
            ck_assert_uint_eq(read[i].integer, cells[i].integer);
            ck_assert(slice_equal(read[i].bytes, cells[i].bytes));
        }
    }
    ck_assert_int_eq(db_next(query, read, COUNT, &found, NULL), RC_OK);
    ck_assert(!found);
    db_query_close(query);
    ck_assert_int_ne(db_run(db, "INSERT INTO t VALUES(1,2,3,4,5,6,7)", NULL), RC_OK);
    db_close(db);
    mem_env_close(&m);
}
END_TEST

/* Whatever could make two members differ is refused before it runs. */
START_TEST(clock_chance_and_other_functions_are_refused)
{
    static const char *const refused[] = {
        "SELECT random()",
        "SELECT randomblob(8)",
        "SELECT datetime('now')",
        "SELECT date()",
        "SELECT julianday('now')",
        "SELECT strftime('%s','now')",
        "SELECT CURRENT_TIMESTAMP",
        "SELECT CURRENT_TIME",
        "INSERT INTO t VALUES(random())",
        "SELECT load_extension('x')",
        "ATTACH 'other.db' AS other",
    };
    struct mem_env m;
    struct db *db = NULL;
    mem_env_init(&m);
    ck_assert_int_eq(db_create(&m.env, PATH, APPLICATION, &db, NULL), RC_OK);
    ck_assert_int_eq(db_run(db, "CREATE TABLE t(a); INSERT INTO t VALUES(1)", NULL), RC_OK);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct errmsg err = {.rc = RC_OK};
        enum status rc = db_run(db, refused[i], &err);
        ck_assert_msg(rc != RC_OK && strstr(err.text, "not authorized") != NULL, "%s: %d %s",
                      refused[i], (int)rc, err.text);
    }
    db_close(db);
    mem_env_close(&m);
}
END_TEST

/* Defaults are the one place where SQLite calls a function without asking. */
START_TEST(the_clock_stands_still)
{
    struct mem_env m;
    struct db *db = NULL;
    struct db_query *query = NULL;
    struct db_cell cell;
    bool found = false;
    mem_env_init(&m);
    ck_assert_int_eq(db_create(&m.env, PATH, APPLICATION, &db, NULL), RC_OK);
    ck_assert_int_eq(db_run(db, "CREATE TABLE u(a DEFAULT CURRENT_TIMESTAMP)", NULL), RC_OK);
    ck_assert_int_eq(db_run(db, "INSERT INTO u DEFAULT VALUES", NULL), RC_OK);
    ck_assert_int_eq(db_prepare(db, "SELECT a FROM u", &query, NULL), RC_OK);
    ck_assert_int_eq(db_next(query, &cell, 1, &found, NULL), RC_OK);
    ck_assert(found && slice_is(cell.bytes, "1970-01-01 00:00:00"));
    db_query_close(query);
    db_close(db);
    mem_env_close(&m);
}
END_TEST

START_TEST(memory_does_not_grow_with_the_file)
{
    struct mem_env m;
    struct snapshot_writer *w = NULL;
    struct snapshot_meta meta = {.index = 1};
    struct buf rows = {.size = 0};
    uint8_t value[1000] = {1};
    mem_env_init(&m);
    for (int i = 0; i < 100; i++) {
        struct row row = {.table = ROW_NODE};
        row.node.space = SPACE_NODES;
        row.node.path = slice_str("/a/path/of/some/length");
        row.node.data = slice_make(value, sizeof value);
        row_encode(&rows, &row);
    }
    ck_assert_int_eq(snapshot_writer_open(&m.env, PATH, &w, NULL), RC_OK);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(snapshot_writer_rows(w, buf_slice(&rows), NULL), RC_OK);
    }
    ck_assert_int_eq(snapshot_writer_finish(w, &meta, NULL), RC_OK);
    ck_assert_uint_gt(mem_env_find(&m, PATH)->size, 20000000);
    ck_assert_int_lt(sqlite3_memory_highwater(0), 4 << 20);
    buf_close(&rows);
    mem_env_close(&m);
}
END_TEST

/* ---- allocations that fail --------------------------------------------------------------- */

/* SQLite's allocator with a countdown. SQLite knows only one for the whole process, and takes it
 * before its first use: each test is a process of its own. */
static sqlite3_mem_methods real_methods;
static uint64_t allocations;
static uint64_t fail_at;

static bool allocation_fails(void)
{
    return ++allocations == fail_at;
}

static void *failing_malloc(int bytes)
{
    return allocation_fails() ? NULL : real_methods.xMalloc(bytes);
}

static void *failing_realloc(void *old, int bytes)
{
    return allocation_fails() ? NULL : real_methods.xRealloc(old, bytes);
}

static void set_failing_methods(void)
{
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_methods), SQLITE_OK);
    sqlite3_mem_methods methods = real_methods;
    methods.xMalloc = failing_malloc;
    methods.xRealloc = failing_realloc;
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
}

/* Writes and reads with the `n`-th allocation failing. True when there was no such one any more. */
static bool write_and_read(struct mem_env *m, struct slice rows, const struct buf *want,
                           uint64_t n)
{
    struct snapshot_meta meta = {.index = 4};
    struct snapshot_meta read;
    struct buf have = {.size = 0};
    struct errmsg err = {.rc = RC_OK};
    allocations = 0;
    fail_at = n;
    enum status rc = rows_write(&m->env, PATH, rows, &meta, &err);
    ck_assert_uint_eq(mem_env_file_count(m), rc == RC_OK ? 1 : 0);
    if (rc == RC_OK) {
        rc = rows_read(&m->env, PATH, &have, &read, &err);
    }
    ck_assert_uint_eq(m->open_files, 0);
    ck_assert_msg(rc == RC_OK || rc == RC_NO_MEMORY, "allocation %" PRIu64 ": %d %s", n,
                  (int)rc, err.text);
    if (rc == RC_OK) { /* SQLite can do without some of them */
        ck_assert(slice_equal(buf_slice(&have), buf_slice(want)));
        snapshot_meta_close(&read);
    }
    buf_close(&have);
    ck_assert(rc == RC_OK || allocations >= n);
    return allocations < n;
}

START_TEST(any_allocation_of_sqlite_may_fail)
{
    struct mem_env m;
    struct buf rows = {.size = 0};
    struct buf want = {.size = 0};
    uint64_t n = 1;
    set_failing_methods();
    mem_env_init(&m);
    rows_make(&rows, 50, 30, 2000);
    rows_hashes(buf_slice(&rows), &want);
    while (!write_and_read(&m, buf_slice(&rows), &want, n)) {
        enum status gone = m.env.disk->unlink(&m.env, PATH);
        ck_assert(gone == RC_OK || gone == RC_NOT_FOUND);
        n++;
    }
    ck_assert_uint_gt(n, 500);
    buf_close(&rows);
    buf_close(&want);
    mem_env_close(&m);
}
END_TEST

static Suite *db_suite(void)
{
    Suite *suite = suite_create("db");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, cells_of_all_types_come_back);
    tcase_add_test(tests, clock_chance_and_other_functions_are_refused);
    tcase_add_test(tests, the_clock_stands_still);
    tcase_add_test(tests, memory_does_not_grow_with_the_file);
    tcase_add_test(tests, any_allocation_of_sqlite_may_fail);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){db_suite, NULL});
}
