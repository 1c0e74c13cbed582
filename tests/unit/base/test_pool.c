#include "base/pool.h"

#include <stdint.h>
#include <string.h>

#include "tests/support/check_main.h"

START_TEST(pieces_of_any_size_hold_their_bytes)
{
    struct pool pool = {.kept_bytes_max = 1 << 20};
    uint8_t *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        size_t bytes = i * i / 8;
        pieces[i] = pool_alloc(&pool, bytes);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, bytes);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < i * i / 8; k++) {
            ck_assert_uint_eq(pieces[i][k], i);
        }
        pool_free(&pool, pieces[i]);
    }
    pool_close(&pool);
    ck_assert_uint_eq(pool.kept_bytes, 0);
}
END_TEST

START_TEST(resizing_keeps_the_content)
{
    struct pool pool = {.kept_bytes_max = 1 << 20};
    uint8_t *piece = pool_resize(&pool, NULL, 1);
    piece[0] = 7;
    for (size_t bytes = 2; bytes < 5000; bytes++) {
        piece = pool_resize(&pool, piece, bytes);
        ck_assert_ptr_nonnull(piece);
        piece[bytes - 1] = (uint8_t)bytes;
    }
    ck_assert_uint_eq(piece[0], 7);
    for (size_t bytes = 2; bytes < 5000; bytes++) {
        ck_assert_uint_eq(piece[bytes - 1], (uint8_t)bytes);
    }
    pool_free(&pool, piece);
    pool_close(&pool);
}
END_TEST

START_TEST(no_more_is_kept_than_allowed)
{
    struct pool pool = {.kept_bytes_max = 1000};
    void *pieces[100];
    for (size_t i = 0; i < 100; i++) {
        pieces[i] = pool_alloc(&pool, 100);
    }
    for (size_t i = 0; i < 100; i++) {
        pool_free(&pool, pieces[i]);
        ck_assert_uint_le(pool.kept_bytes, 1000);
    }
    pool_free(&pool, NULL);
    pool_close(&pool);
}
END_TEST

START_TEST(zeroed_memory_is_zero_when_used_again)
{
    struct pool pool = {.kept_bytes_max = 1000};
    for (int round = 0; round < 2; round++) {
        uint8_t *piece = pool_zalloc(&pool, 10, 10);
        for (size_t i = 0; i < 100; i++) {
            ck_assert_uint_eq(piece[i], 0);
        }
        memset(piece, 0xff, 100);
        pool_free(&pool, piece);
    }
    pool_close(&pool);
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
    struct pool pool = {0};
    ck_assert_ptr_null(pool_alloc(&pool, SIZE_MAX));
    ck_assert_ptr_null(pool_alloc(&pool, SIZE_MAX - 8));
    ck_assert_ptr_null(pool_zalloc(&pool, SIZE_MAX / 2, 4));
    pool_close(&pool);
}
END_TEST

static Suite *pool_suite(void)
{
    Suite *suite = suite_create("pool");
    TCase *tcase = tcase_create("pool");
    tcase_add_test(tcase, pieces_of_any_size_hold_their_bytes);
    tcase_add_test(tcase, resizing_keeps_the_content);
    tcase_add_test(tcase, no_more_is_kept_than_allowed);
    tcase_add_test(tcase, zeroed_memory_is_zero_when_used_again);
    tcase_add_test(tcase, sizes_that_overflow_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){pool_suite, NULL});
}
