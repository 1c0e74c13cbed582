#include "base/slab.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/rng.h"
#include "tests/support/check_main.h"

#define PIECES 20000
#define MIB    ((size_t)1 << 20)

static uint8_t *pieces[PIECES];
static size_t sizes[PIECES];

/* Under AddressSanitizer there are no slabs, and nothing is counted. */
static bool has_slabs(struct slab_heap *h)
{
    void *piece = slab_alloc(h, 8);
    bool has = slab_heap_bytes(h) > 0;
    slab_free(piece, 8);
    return has;
}

static void take(struct slab_heap *h, size_t at, size_t bytes)
{
    sizes[at] = bytes;
    pieces[at] = slab_alloc(h, bytes);
    ck_assert_uint_eq((uintptr_t)pieces[at] % 8, 0);
    memset(pieces[at], (int)(at % 251), bytes);
}

static void give(size_t at)
{
    for (size_t i = 0; i < sizes[at]; i += sizes[at] < 64 ? 1 : 63) {
        ck_assert_uint_eq(pieces[at][i], at % 251);
    }
    if (sizes[at] > 0) {
        ck_assert_uint_eq(pieces[at][sizes[at] - 1], at % 251);
    }
    slab_free(pieces[at], sizes[at]);
    pieces[at] = NULL;
}

START_TEST(pieces_of_every_size_hold_their_bytes)
{
    struct slab_heap *h = slab_heap_new();
    size_t at_next = 0;
    for (size_t bytes = 0; bytes < SLAB_PIECE_BYTES_MAX + 1000; bytes += 1 + bytes / 1000) {
        take(h, at_next, bytes); /* with the one before still there */
        at_next = 1 - at_next;
        if (pieces[at_next] != NULL) {
            give(at_next);
        }
    }
    for (size_t at = 0; at < 2; at++) {
        if (pieces[at] != NULL) {
            give(at);
        }
    }
    slab_heap_free(h);
}
END_TEST

START_TEST(pieces_in_random_order_keep_apart)
{
    struct slab_heap *h = slab_heap_new();
    struct rng rng;
    rng_init(&rng, 7);
    for (size_t i = 0; i < 10 * PIECES; i++) {
        size_t at = rng_below(&rng, PIECES);
        if (pieces[at] != NULL) {
            give(at);
        } else {
            take(h, at, rng_below(&rng, rng_below(&rng, 8) == 0 ? 9000 : 400));
        }
    }
    for (size_t at = 0; at < PIECES; at++) {
        if (pieces[at] != NULL) {
            give(at);
        }
    }
    if (has_slabs(h)) {
        ck_assert_uint_le(slab_heap_bytes(h), MIB / 4); /* one, for the next piece */
    }
    slab_heap_free(h);
}
END_TEST

START_TEST(many_small_pieces_cost_little_more_than_their_bytes)
{
    struct slab_heap *h = slab_heap_new();
    if (has_slabs(h)) {
        for (size_t at = 0; at < PIECES; at++) {
            take(h, at, 264);
        }
        size_t bytes = PIECES * (size_t)264;
        ck_assert_uint_ge(slab_heap_bytes(h), bytes);
        ck_assert_uint_le(slab_heap_bytes(h), bytes + MIB / 2);
        for (size_t at = 0; at < PIECES; at++) {
            give(at);
        }
    }
    slab_heap_free(h);
}
END_TEST

/* Bursts of large pieces with small ones between them that stay: what happens to a store whose
 * change log lets large values go. */
START_TEST(large_pieces_that_went_leave_no_holes_among_small_ones)
{
    struct slab_heap *h = slab_heap_new();
    bool counts = has_slabs(h);
    for (size_t burst = 0; burst < 5; burst++) {
        for (size_t at = 0; at < 1000; at++) {
            take(h, at, 20000 + 1000 * burst);
            take(h, 1000 + 1000 * burst + at, 100);
        }
        for (size_t at = 0; at < 1000; at++) {
            give(at);
        }
        if (counts) {
            ck_assert_uint_le(slab_heap_bytes(h), (burst + 1) * MIB / 2 + MIB / 2);
        }
    }
    for (size_t at = 1000; at < 6000; at++) {
        give(at);
    }
    slab_heap_free(h);
}
END_TEST

START_TEST(pieces_may_outlive_the_heap_that_was_freed)
{
    struct slab_heap *h = slab_heap_new();
    for (size_t at = 0; at < 1000; at++) {
        take(h, at, 3000);
    }
    slab_heap_free(h);
    for (size_t at = 0; at < 1000; at++) {
        give(at);
    }
}
END_TEST

static void *give_every_other(void *context)
{
    for (size_t at = *(size_t *)context; at < PIECES; at += 2) {
        give(at);
    }
    return NULL;
}

START_TEST(threads_may_free_at_the_same_time)
{
    struct slab_heap *h = slab_heap_new();
    for (size_t at = 0; at < PIECES; at++) {
        take(h, at, 8 + at % 2000);
    }
    slab_heap_free(h); /* the last piece takes it along, whoever frees that */
    pthread_t other;
    size_t from[2] = {0, 1};
    ck_assert_int_eq(pthread_create(&other, NULL, give_every_other, &from[0]), 0);
    (void)give_every_other(&from[1]);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
}
END_TEST

static Suite *slab_suite(void)
{
    Suite *s = suite_create("slab");
    TCase *t = tcase_create("slab");
    tcase_add_test(t, pieces_of_every_size_hold_their_bytes);
    tcase_add_test(t, pieces_in_random_order_keep_apart);
    tcase_add_test(t, many_small_pieces_cost_little_more_than_their_bytes);
    tcase_add_test(t, large_pieces_that_went_leave_no_holes_among_small_ones);
    tcase_add_test(t, pieces_may_outlive_the_heap_that_was_freed);
    tcase_add_test(t, threads_may_free_at_the_same_time);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){slab_suite, NULL});
}
