#include "base/buf.h"

#include <signal.h>

#include "base/arena.h"
#include "base/mem.h"
#include "tests/support/check_main.h"

START_TEST(zeroed_buf_is_empty_and_grows_over_any_appends)
{
    struct buf b = {0};
    ck_assert_uint_eq(buf_slice(&b).size, 0);
    buf_append(&b, NULL, 0);
    for (int i = 0; i < 1000; i++) {
        buf_append_str(&b, "abc");
        buf_append_slice(&b, slice_make("d", 1));
    }
    ck_assert_uint_eq(b.size, 4000);
    for (size_t i = 0; i < b.size; i++) {
        ck_assert_int_eq(b.data[i], "abcd"[i % 4]);
    }
    buf_close(&b);
    ck_assert_ptr_null(b.data);
    buf_close(&b); /* harmless */
}
END_TEST

START_TEST(printf_fits_at_every_capacity)
{
    for (size_t before = 0; before < 140; before++) {
        struct buf b = {0};
        for (size_t i = 0; i < before; i++) {
            buf_append(&b, "x", 1);
        }
        buf_printf(&b, "%s-%d", "value", 42);
        ck_assert_uint_eq(b.size, before + 8);
        ck_assert_mem_eq(b.data + before, "value-42", 8);
        buf_close(&b);
    }
}
END_TEST

START_TEST(consume_drops_from_the_front)
{
    struct buf b = {0};
    buf_append_str(&b, "hello world");
    buf_consume(&b, 6);
    ck_assert(slice_is(buf_slice(&b), "world"));
    buf_consume(&b, 0);
    buf_consume(&b, 5);
    ck_assert_uint_eq(b.size, 0);
    buf_close(&b);
}
END_TEST

START_TEST(consuming_more_than_there_is_is_a_programmer_error)
{
    struct buf b = {0};
    buf_append_str(&b, "abc");
    buf_consume(&b, 4);
}
END_TEST

START_TEST(take_hands_the_memory_over)
{
    struct buf b = {0};
    buf_append_str(&b, "mine");
    size_t size;
    uint8_t *data = buf_take(&b, &size);
    ck_assert_uint_eq(size, 4);
    ck_assert_mem_eq(data, "mine", 4);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_eq(b.capacity, 0);
    mem_free(data);
}
END_TEST

START_TEST(clear_keeps_the_memory_and_extend_never_gives_null)
{
    struct buf b = {0};
    ck_assert_ptr_nonnull(buf_extend(&b, 0));
    ck_assert_uint_eq(b.size, 0);
    buf_append_str(&b, "abc");
    size_t capacity = b.capacity;
    buf_clear(&b);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_eq(b.capacity, capacity);
    buf_close(&b);
}
END_TEST

START_TEST(a_recycled_buf_keeps_much_memory_while_much_of_it_is_used)
{
    struct buf b = {0};
    unsigned calm = 0;
    for (int i = 0; i < 3 * BUF_CALM_USES; i++) { /* small fillings between large ones */
        buf_clear(&b);
        (void)buf_extend(&b, i % 10 == 0 ? 1000 : 10);
        buf_recycle(&b, 100, &calm);
        ck_assert_uint_eq(b.size, 0);
        ck_assert_uint_ge(b.capacity, 1000);
    }
    for (int i = 0; i < BUF_CALM_USES; i++) {
        (void)buf_extend(&b, 10);
        buf_recycle(&b, 100, &calm);
    }
    ck_assert_uint_lt(b.capacity, 100);
    buf_close(&b);
    for (int i = 0; i < 2 * BUF_CALM_USES; i++) { /* what may be kept is kept */
        (void)buf_extend(&b, i == 0 ? 80 : 1);
        buf_recycle(&b, 100, &calm);
        ck_assert_uint_ge(b.capacity, 80);
    }
    buf_close(&b);
}
END_TEST

START_TEST(arena_pieces_are_aligned_apart_and_reusable)
{
    struct arena a = {0};
    for (int round = 0; round < 3; round++) {
        uint8_t *pieces[300];
        for (size_t i = 0; i < 300; i++) {
            size_t bytes = i * 7 % 50 + (i == 150 ? 100000 : 0);
            pieces[i] = arena_alloc(&a, bytes);
            ck_assert_ptr_nonnull(pieces[i]);
            ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
            memset(pieces[i], (int)i & 0xff, bytes);
        }
        for (size_t i = 0; i < 300; i++) {
            size_t bytes = i * 7 % 50 + (i == 150 ? 100000 : 0);
            for (size_t k = 0; k < bytes; k++) {
                ck_assert_int_eq(pieces[i][k], (int)(i & 0xff));
            }
        }
        arena_clear(&a);
        ck_assert_ptr_nonnull(a.blocks);
    }
    char text[] = "copied";
    struct slice copy = arena_copy(&a, slice_str(text));
    text[0] = 'X';
    ck_assert(slice_is(copy, "copied"));
    arena_close(&a);
    ck_assert_ptr_null(a.blocks);
}
END_TEST

static Suite *buf_suite(void)
{
    Suite *suite = suite_create("bytes");
    TCase *tc = tcase_create("buf");
    tcase_add_test(tc, zeroed_buf_is_empty_and_grows_over_any_appends);
    tcase_add_test(tc, printf_fits_at_every_capacity);
    tcase_add_test(tc, consume_drops_from_the_front);
    tcase_add_test_raise_signal(tc, consuming_more_than_there_is_is_a_programmer_error, SIGABRT);
    tcase_add_test(tc, take_hands_the_memory_over);
    tcase_add_test(tc, clear_keeps_the_memory_and_extend_never_gives_null);
    tcase_add_test(tc, a_recycled_buf_keeps_much_memory_while_much_of_it_is_used);
    tcase_add_test(tc, arena_pieces_are_aligned_apart_and_reusable);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){buf_suite, NULL});
}
