#include "base/hash.h"

#include <inttypes.h>
#include <string.h>

#include "base/rng.h"
#include "tests/support/check_main.h"

/* The digest of every state ever written stands on these values. */
START_TEST(values_never_change)
{
    static const char text[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const struct {
        size_t bytes;
        uint64_t hash;
    } known[] = {
        {0, UINT64_C(0xb52a8ae9fcdbdb2e)},
        {1, UINT64_C(0x24091a300101b472)},
        {2, UINT64_C(0xb679cee7257edb98)},
        {3, UINT64_C(0x04207d2b09582fd1)},
        {4, UINT64_C(0x593cd8c8bb6bdb82)},
        {7, UINT64_C(0x0d5a8a7ddb8e5c19)},
        {8, UINT64_C(0xadf3d7c73f9e5728)},
        {15, UINT64_C(0x775fd0713d60684e)},
        {16, UINT64_C(0x2f9a9d5e53007f0f)},
        {17, UINT64_C(0xccdf92eb2bd52f87)},
        {33, UINT64_C(0xc4852bc14b583199)},
        {36, UINT64_C(0x809eedf85dfc24b5)},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint64_t got = hash_bytes(42, text, known[i].bytes);
        ck_assert_msg(got == known[i].hash, "%zu bytes: %016" PRIx64, known[i].bytes, got);
    }
    ck_assert_uint_eq(hash_mix(1, 2), UINT64_C(0xc678831484fcb965));
}
END_TEST

START_TEST(alignment_does_not_matter)
{
    uint8_t data[80];
    for (size_t bytes = 0; bytes <= 64; bytes++) {
        uint64_t expected = 0;
        for (size_t offset = 0; offset < 16; offset++) {
            memset(data, 0xee, sizeof data);
            for (size_t i = 0; i < bytes; i++) {
                data[offset + i] = (uint8_t)(i * 37 + 1);
            }
            uint64_t got = hash_bytes(7, data + offset, bytes);
            expected = offset == 0 ? got : expected;
            ck_assert_uint_eq(got, expected);
        }
    }
}
END_TEST

START_TEST(length_seed_and_order_count)
{
    uint8_t zeros[64] = {0};
    for (size_t a = 0; a <= sizeof zeros; a++) {
        for (size_t b = 0; b < a; b++) {
            ck_assert_uint_ne(hash_bytes(0, zeros, a), hash_bytes(0, zeros, b));
        }
        ck_assert_uint_ne(hash_bytes(0, zeros, a), hash_bytes(1, zeros, a));
    }
    ck_assert_uint_ne(hash_mix(1, 2), hash_mix(2, 1));
}
END_TEST

/* Flipping any input bit flips each output bit half of the time. */
START_TEST(every_input_bit_reaches_every_output_bit)
{
    enum { ROUNDS = 1000 };
    struct rng rng;
    rng_init(&rng, 5);
    for (size_t bytes = 4; bytes <= 40; bytes += 9) {
        for (size_t bit = 0; bit < bytes * 8; bit++) {
            int flips[64] = {0};
            for (int round = 0; round < ROUNDS; round++) {
                uint8_t data[40];
                for (size_t i = 0; i < bytes; i++) {
                    data[i] = (uint8_t)rng_next(&rng);
                }
                uint64_t before = hash_bytes(0, data, bytes);
                data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
                uint64_t changed = before ^ hash_bytes(0, data, bytes);
                for (int i = 0; i < 64; i++) {
                    flips[i] += (int)((changed >> i) & 1);
                }
            }
            for (int i = 0; i < 64; i++) {
                ck_assert_int_gt(flips[i], ROUNDS * 4 / 10);
                ck_assert_int_lt(flips[i], ROUNDS * 6 / 10);
            }
        }
    }
}
END_TEST

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

START_TEST(similar_paths_do_not_collide)
{
    enum { PATHS = 200000 };
    uint64_t *hashes = malloc(PATHS * sizeof *hashes);
    for (int i = 0; i < PATHS; i++) {
        char path[64];
        int n = snprintf(path, sizeof path, "/services/search/shard-%d/replica", i);
        hashes[i] = hash_bytes(0, path, (size_t)n);
    }
    qsort(hashes, PATHS, sizeof *hashes, compare_u64);
    for (int i = 1; i < PATHS; i++) {
        ck_assert_uint_ne(hashes[i - 1], hashes[i]);
    }
    free(hashes);
}
END_TEST

static Suite *hash_suite(void)
{
    Suite *suite = suite_create("hash");
    TCase *tc = tcase_create("hash");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, values_never_change);
    tcase_add_test(tc, alignment_does_not_matter);
    tcase_add_test(tc, length_seed_and_order_count);
    tcase_add_test(tc, every_input_bit_reaches_every_output_bit);
    tcase_add_test(tc, similar_paths_do_not_collide);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){hash_suite, NULL});
}
