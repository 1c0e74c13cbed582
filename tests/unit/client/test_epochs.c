/* The highest epoch of each lock, in memory and in a file. */
#include "client/client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check_main.h"

static char directory[64];
static char file[96];
static struct coord_epochs *epochs;
static struct coord_error error;

static void setup(void)
{
    snprintf(directory, sizeof directory, "/tmp/coord-epochs-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/epochs", directory);
    epochs = NULL;
}

static void teardown(void)
{
    static const char *const names[] = {"epochs", "epochs.lock", "epochs.new"};
    coord_epochs_close(epochs);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    ck_assert_int_eq(rmdir(directory), 0);
}

static enum coord_code check(const char *lock, uint64_t epoch)
{
    return coord_epoch_check(epochs, lock, epoch, &error);
}

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

START_TEST(epochs_of_a_lock_only_grow)
{
    ck_assert_int_eq(coord_epochs_open(_i == 0 ? NULL : file, &epochs, &error), COORD_OK);
    ck_assert_int_eq(check("/locks/a", 5), COORD_OK);
    ck_assert_int_eq(check("/locks/a", 5), COORD_OK); /* the same holder again */
    ck_assert_int_eq(check("/locks/a", 4), COORD_GUARD_STALE);
    ck_assert_ptr_nonnull(strstr(error.message, "/locks/a"));
    ck_assert_int_eq(check("/locks/b", 3), COORD_OK);
    ck_assert_int_eq(check("/locks/a", 9), COORD_OK);
    ck_assert_int_eq(check("/locks/b", 3), COORD_OK);
    ck_assert_int_eq(check("/locks/a", 8), COORD_GUARD_STALE);
    ck_assert_int_eq(check("/locks/", 1), COORD_OK); /* names are whole */
    ck_assert_int_eq(check("a\nb %", UINT64_MAX), COORD_OK);
    ck_assert_int_eq(check("a\nb %", 7), COORD_GUARD_STALE);
    ck_assert_int_eq(check("a", 0), COORD_INVALID);
    ck_assert_int_eq(check("", 1), COORD_INVALID);
}
END_TEST

START_TEST(a_file_keeps_them)
{
    struct coord_epochs *other;
    ck_assert_int_eq(coord_epochs_open(file, &epochs, &error), COORD_OK);
    ck_assert_int_eq(coord_epochs_open(file, &other, &error), COORD_OK);
    ck_assert_int_eq(check("/a", 7), COORD_OK);
    ck_assert_int_eq(coord_epoch_check(other, "/a", 6, &error), COORD_GUARD_STALE);
    ck_assert_int_eq(coord_epoch_check(other, "/a", 8, &error), COORD_OK);
    coord_epochs_close(other);
    ck_assert_int_eq(check("/a", 7), COORD_GUARD_STALE);
    coord_epochs_close(epochs);
    ck_assert_int_eq(coord_epochs_open(file, &epochs, &error), COORD_OK);
    ck_assert_int_eq(check("/a", 7), COORD_GUARD_STALE);
    ck_assert_int_eq(check("/a", 8), COORD_OK);
}
END_TEST

START_TEST(processes_share_a_file)
{
    enum { PROCESSES = 4, ROUNDS = 25 };
    ck_assert_int_eq(coord_epochs_open(file, &epochs, &error), COORD_OK);
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            char name[16];
            snprintf(name, sizeof name, "/%d", i);
            for (uint64_t round = 1; round <= ROUNDS; round++) {
                if (check(name, round) != COORD_OK) {
                    _exit(1);
                }
            }
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    for (int i = 0; i < PROCESSES; i++) { /* none has overwritten what another one wrote */
        char name[16];
        snprintf(name, sizeof name, "/%d", i);
        ck_assert_int_eq(check(name, ROUNDS - 1), COORD_GUARD_STALE);
        ck_assert_int_eq(check(name, ROUNDS), COORD_OK);
    }
}
END_TEST

static const char *const others[] = {"something else\n", "coord epochs 1\nx /a\n",
                                     "coord epochs 1\n7 /a", "coord epochs 1\n7\n",
                                     "coord epochs 1\n99999999999999999999 /a\n"};

START_TEST(a_file_of_something_else_is_refused_and_stays)
{
    struct stat before;
    struct stat after;
    write_file(others[_i]);
    ck_assert_int_eq(stat(file, &before), 0);
    ck_assert_int_eq(coord_epochs_open(file, &epochs, &error), COORD_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, file));
    ck_assert_int_eq(stat(file, &after), 0);
    ck_assert_int_eq(before.st_size, after.st_size);
    write_file("");
    ck_assert_int_eq(coord_epochs_open(file, &epochs, &error), COORD_OK);
    write_file(others[_i]);
    ck_assert_int_eq(check("/a", 1), COORD_INVALID);
}
END_TEST

START_TEST(what_cannot_be_kept_is_no_permission_to_write)
{
    char inside[128];
    snprintf(inside, sizeof inside, "%s/nowhere/epochs", directory);
    ck_assert_int_eq(coord_epochs_open(inside, &epochs, &error), COORD_OK);
    ck_assert_int_eq(check("/a", 1), COORD_INTERNAL);
}
END_TEST

static Suite *epochs_suite(void)
{
    Suite *s = suite_create("epochs");
    TCase *t = tcase_create("epochs");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, epochs_of_a_lock_only_grow, 0, 2);
    tcase_add_test(t, a_file_keeps_them);
    tcase_add_test(t, processes_share_a_file);
    tcase_add_loop_test(t, a_file_of_something_else_is_refused_and_stays, 0,
                        (int)(sizeof others / sizeof others[0]));
    tcase_add_test(t, what_cannot_be_kept_is_no_permission_to_write);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){epochs_suite, NULL});
}
