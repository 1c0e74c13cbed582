#include "base/arena.h"

#include "base/rng.h"
#include "tests/support/check_main.h"

START_TEST(pieces_are_aligned_and_keep_their_bytes)
{
    enum { PIECES = 2000 };
    static uint8_t *pieces[PIECES];
    static size_t sizes[PIECES];
    struct arena a = {0};
    struct rng rng;
    rng_init(&rng, 1);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < PIECES; i++) {
            sizes[i] = rng_chance(&rng, 20) ? rng_below(&rng, 500000) : rng_below(&rng, 300);
            pieces[i] = arena_alloc(&a, sizes[i]);
            ck_assert_ptr_nonnull(pieces[i]);
            ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
            memset(pieces[i], (int)(i & 0xff), sizes[i]);
        }
        for (size_t i = 0; i < PIECES; i++) {
            for (size_t at = 0; at < sizes[i]; at += 97) {
                ck_assert_uint_eq(pieces[i][at], i & 0xff);
            }
        }
        arena_clear(&a);
    }
    arena_close(&a);
}
END_TEST

START_TEST(clearing_reuses_the_memory)
{
    struct arena a = {0};
    void *first = arena_alloc(&a, 100);
    arena_clear(&a);
    ck_assert_ptr_eq(arena_alloc(&a, 100), first);
    arena_close(&a);
}
END_TEST

START_TEST(clearing_gives_a_huge_piece_back)
{
    struct arena a = {0};
    (void)arena_alloc(&a, (size_t)8 << 20);
    arena_clear(&a);
    ck_assert_ptr_null(a.blocks);
    arena_close(&a);
}
END_TEST

START_TEST(a_copy_equals_its_source_and_nothing_copies_to_nothing)
{
    struct arena a = {0};
    char text[] = "abc";
    struct slice copy = arena_copy(&a, slice_str(text));
    text[0] = 'x';
    ck_assert(slice_is(copy, "abc"));
    ck_assert_uint_eq(arena_copy(&a, slice_make(NULL, 0)).size, 0);
    arena_close(&a);
}
END_TEST

static Suite *arena_suite(void)
{
    Suite *suite = suite_create("arena");
    TCase *tcase = tcase_create("arena");
    tcase_add_test(tcase, pieces_are_aligned_and_keep_their_bytes);
    tcase_add_test(tcase, clearing_reuses_the_memory);
    tcase_add_test(tcase, clearing_gives_a_huge_piece_back);
    tcase_add_test(tcase, a_copy_equals_its_source_and_nothing_copies_to_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){arena_suite, NULL});
}
