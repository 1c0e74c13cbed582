/* What a process may use, from files as Linux writes them, in a folder of the test. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory_limit.h"
#include "tests/support/check_main.h"

#define GIB ((uint64_t)1 << 30)

static char root[64];

static void setup(void)
{
    (void)snprintf(root, sizeof root, "/tmp/coord-test-memory-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s;
    (void)kind;
    (void)where;
    return remove(path);
}

static void teardown(void)
{
    ck_assert_int_eq(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Makes the folders above it, too. */
static void put(const char *path, const char *text)
{
    char full[1024];
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(full, 0700);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void put_machine(void)
{
    put("/proc/meminfo", "MemTotal:       8388608 kB\nMemFree:          1024 kB\n"
                         "MemAvailable:   4194304 kB\nBuffers:         1024 kB\n");
}

START_TEST(without_a_cgroup_it_may_have_what_the_machine_has)
{
    put_machine();
    struct memory_limit m = memory_limit_read(root);
    ck_assert_uint_eq(m.machine_bytes, 8 * GIB);
    ck_assert_uint_eq(m.available_bytes, 4 * GIB);
    ck_assert_uint_eq(m.process_bytes, 8 * GIB);
}
END_TEST

START_TEST(the_least_limit_on_the_way_up_counts)
{
    put_machine();
    put("/proc/self/cgroup", "0::/system.slice/coordd.service\n");
    put("/sys/fs/cgroup/system.slice/coordd.service/memory.max", "max\n");
    ck_assert_uint_eq(memory_limit_read(root).process_bytes, 8 * GIB);
    put("/sys/fs/cgroup/system.slice/memory.max", "2147483648\n");
    ck_assert_uint_eq(memory_limit_read(root).process_bytes, 2 * GIB);
    put("/sys/fs/cgroup/system.slice/coordd.service/memory.max", "1073741824\n");
    ck_assert_uint_eq(memory_limit_read(root).process_bytes, GIB);
}
END_TEST

START_TEST(a_container_finds_its_limit_at_the_root_that_it_sees)
{
    put_machine();
    put("/proc/self/cgroup", "5:cpu,cpuacct:/docker/4f\n4:memory:/docker/4f\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
    put("/sys/fs/cgroup/cpu/memory.limit_in_bytes", "1\n");
    ck_assert_uint_eq(memory_limit_read(root).process_bytes, GIB / 2);
}
END_TEST

START_TEST(a_limit_beyond_the_machine_is_none)
{
    put_machine();
    put("/proc/self/cgroup", "4:memory:/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_uint_eq(memory_limit_read(root).process_bytes, 8 * GIB);
}
END_TEST

START_TEST(what_cannot_be_read_is_no_limit)
{
    struct memory_limit m = memory_limit_read(root);
    ck_assert_uint_eq(m.machine_bytes + m.available_bytes + m.process_bytes, 0);
    put("/proc/meminfo", "MemTotal: many\n");
    put("/proc/self/cgroup", "nonsense\n0:\n:\n4:memory\n0::/a");
    put("/sys/fs/cgroup/a/memory.max", "");
    m = memory_limit_read(root);
    ck_assert_uint_eq(m.machine_bytes + m.available_bytes + m.process_bytes, 0);
}
END_TEST

static Suite *memory_suite(void)
{
    Suite *suite = suite_create("memory limit");
    TCase *tcase = tcase_create("limit");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, without_a_cgroup_it_may_have_what_the_machine_has);
    tcase_add_test(tcase, the_least_limit_on_the_way_up_counts);
    tcase_add_test(tcase, a_container_finds_its_limit_at_the_root_that_it_sees);
    tcase_add_test(tcase, a_limit_beyond_the_machine_is_none);
    tcase_add_test(tcase, what_cannot_be_read_is_no_limit);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){memory_suite, NULL});
}
