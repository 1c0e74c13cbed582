/* Bringing a long file to the disk bit by bit changes nothing in it, and fails only when the disk
 * does. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/write_out.h"
#include "tests/support/check_main.h"

#define PIECE_BYTES 100000

static int new_file(void)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    int fd = dup(fileno(file));
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fclose(file), 0);
    return fd;
}

START_TEST(bits_are_brought_as_soon_as_they_are_long_enough)
{
    static char piece[PIECE_BYTES];
    struct write_out out = {.begin = 0};
    int fd = new_file();
    for (uint64_t i = 1; i <= 10; i++) {
        uint64_t offset = (i - 1) * PIECE_BYTES;
        ck_assert_int_eq(pwrite(fd, piece, PIECE_BYTES, (off_t)offset), PIECE_BYTES);
        ck_assert_int_eq(write_out_wrote(&out, fd, offset, PIECE_BYTES), 0);
        ck_assert_uint_eq(out.end, i * PIECE_BYTES);
        ck_assert_uint_eq(out.begin, i / 3 * 3 * PIECE_BYTES);
    }
    write_out_synced(&out);
    ck_assert_uint_eq(out.begin, out.end);
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), 10 * PIECE_BYTES);
    close(fd);
}
END_TEST

START_TEST(a_gap_begins_anew)
{
    struct write_out out = {.begin = 0};
    int fd = new_file();
    ck_assert_int_eq(write_out_wrote(&out, fd, 0, WRITE_OUT_BYTES - 1), 0);
    ck_assert_int_eq(write_out_wrote(&out, fd, WRITE_OUT_BYTES, 1), 0);
    ck_assert_uint_eq(out.begin, WRITE_OUT_BYTES);
    ck_assert_uint_eq(out.end, WRITE_OUT_BYTES + 1);
    close(fd);
}
END_TEST

START_TEST(what_is_no_file_is_left_alone_and_a_failure_is_told)
{
    struct write_out out = {.begin = 0};
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write_out_wrote(&out, fds[1], 0, WRITE_OUT_BYTES), 0);
    close(fds[0]);
    close(fds[1]);
#ifdef __linux__
    ck_assert_int_eq(write_out_wrote(&out, fds[1], WRITE_OUT_BYTES, WRITE_OUT_BYTES), -1);
    ck_assert_int_eq(errno, EBADF);
#endif
}
END_TEST

static Suite *write_out_suite(void)
{
    Suite *suite = suite_create("write_out");
    TCase *tc = tcase_create("write_out");
    tcase_add_test(tc, bits_are_brought_as_soon_as_they_are_long_enough);
    tcase_add_test(tc, a_gap_begins_anew);
    tcase_add_test(tc, what_is_no_file_is_left_alone_and_a_failure_is_told);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){write_out_suite, NULL});
}
