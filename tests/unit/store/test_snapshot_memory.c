/* Lack of memory inside SQLite, at each of its allocations in turn: told as such, nothing left
 * open, no file left behind by a writer, and a written file still reads afterwards. Our own
 * allocations do not come into it: mem_alloc aborts by design (base/mem.h). */
#include <inttypes.h>
#include <sqlite3.h>

#include "tests/support/check_main.h"
#include "tests/support/mem_env.h"
#include "tests/support/rows.h"

#define PATH "snapshot.db"

/* SQLite takes its allocator once per process, before its first use: hence a mutable global. */
static struct {
    sqlite3_mem_methods real;
    uint64_t calls;
    uint64_t fail_at; /* 0 = never */
} memory;

static bool strikes(void)
{
    memory.calls++;
    return memory.fail_at != 0 && memory.calls == memory.fail_at;
}

static void *failing_malloc(int bytes)
{
    return strikes() ? NULL : memory.real.xMalloc(bytes);
}

static void *failing_realloc(void *old, int bytes)
{
    return strikes() ? NULL : memory.real.xRealloc(old, bytes);
}

static void install(void)
{
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory.real), SQLITE_OK);
    sqlite3_mem_methods failing = memory.real;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
    ck_assert_int_eq(sqlite3_initialize(), SQLITE_OK);
}

static void arm(uint64_t fail_at)
{
    memory.calls = 0;
    memory.fail_at = fail_at;
}

static enum status write_file(struct mem_env *m, struct slice rows)
{
    struct snapshot_meta meta = {.index = 7, .term = 2, .cluster_id = 5, .revision = 3};
    struct errmsg err = {.rc = RC_OK};
    return rows_write(&m->env, PATH, rows, &meta, &err);
}

/* SQLite does without some allocations, so that a strike need not be a failure. */
START_TEST(a_write_without_memory_leaves_nothing_or_a_whole_file)
{
    struct mem_env m;
    struct buf rows = {0};
    uint64_t failures = 0;
    install();
    rows_make(&rows, 4, 60, 40);
    bool has_struck = true;
    for (uint64_t n = 1; has_struck; n++) {
        mem_env_init(&m);
        arm(n);
        enum status rc = write_file(&m, buf_slice(&rows));
        has_struck = memory.calls >= n;
        arm(0);
        ck_assert_msg(rc == RC_OK || rc == RC_NO_MEMORY, "allocation %" PRIu64 ": %s", n,
                      status_text(rc));
        ck_assert_uint_eq(m.open_files, 0);
        ck_assert_uint_eq(mem_env_file_count(&m), rc == RC_OK);
        failures += rc != RC_OK;
        mem_env_close(&m);
    }
    ck_assert_uint_gt(failures, 50);
    buf_close(&rows);
}
END_TEST

START_TEST(a_read_without_memory_is_not_taken_for_corruption)
{
    struct mem_env m;
    struct buf rows = {0};
    struct buf wanted = {0};
    uint64_t failures = 0;
    install();
    mem_env_init(&m);
    rows_make(&rows, 5, 60, 40);
    rows_hashes(buf_slice(&rows), &wanted);
    ck_assert_int_eq(write_file(&m, buf_slice(&rows)), RC_OK);
    bool has_struck = true;
    for (uint64_t n = 1; has_struck; n++) {
        struct snapshot_meta meta;
        struct errmsg err = {.rc = RC_OK};
        struct buf found = {0};
        arm(n);
        enum status rc = rows_read(&m.env, PATH, &found, &meta, &err);
        has_struck = memory.calls >= n;
        arm(0);
        ck_assert_msg(rc == RC_OK || rc == RC_NO_MEMORY, "allocation %" PRIu64 ": %s", n,
                      err.text);
        ck_assert_uint_eq(m.open_files, 0);
        if (rc == RC_OK) {
            ck_assert(slice_equal(buf_slice(&found), buf_slice(&wanted)));
            snapshot_meta_close(&meta);
        }
        failures += rc != RC_OK;
        buf_close(&found);
    }
    ck_assert_uint_gt(failures, 20);
    buf_close(&rows);
    buf_close(&wanted);
    mem_env_close(&m);
}
END_TEST

static Suite *memory_suite(void)
{
    Suite *suite = suite_create("snapshot memory");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_write_without_memory_leaves_nothing_or_a_whole_file);
    tcase_add_test(tests, a_read_without_memory_is_not_taken_for_corruption);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){memory_suite, NULL});
}
