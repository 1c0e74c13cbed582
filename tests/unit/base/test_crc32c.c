#include "base/crc32c.h"

#include <string.h>

#include "base/rng.h"
#include "tests/support/check_main.h"

/* Bit by bit, from the definition. */
static uint32_t crc_by_definition(const uint8_t *data, size_t bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
        }
    }
    return ~crc;
}

START_TEST(published_vectors_hold)
{
    /* RFC 3720, appendix B.4. */
    uint8_t block[32];
    memset(block, 0, sizeof block);
    ck_assert_uint_eq(crc32c(0, block, sizeof block), 0x8a9136aa);
    memset(block, 0xff, sizeof block);
    ck_assert_uint_eq(crc32c(0, block, sizeof block), 0x62a8ab43);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (uint8_t)i;
    }
    ck_assert_uint_eq(crc32c(0, block, sizeof block), 0x46dd794e);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (uint8_t)(31 - i);
    }
    ck_assert_uint_eq(crc32c(0, block, sizeof block), 0x113fdb5c);
    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(crc32c(0, "", 0), 0);
}
END_TEST

START_TEST(instruction_and_table_agree_at_every_length_and_alignment)
{
    uint8_t data[600];
    struct rng rng;
    rng_init(&rng, 1);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)rng_next(&rng);
    }
    for (size_t offset = 0; offset < 9; offset++) {
        for (size_t bytes = 0; bytes + offset <= sizeof data; bytes++) {
            uint32_t expected = crc_by_definition(data + offset, bytes);
            ck_assert_uint_eq(crc32c(0, data + offset, bytes), expected);
            ck_assert_uint_eq(crc32c_portable(0, data + offset, bytes), expected);
        }
    }
}
END_TEST

START_TEST(checksum_continues_over_pieces)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    uint32_t whole = crc32c(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++) {
        ck_assert_uint_eq(crc32c(crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
        uint32_t mixed = crc32c_portable(crc32c(0, text, cut), text + cut, sizeof text - cut);
        ck_assert_uint_eq(mixed, whole);
    }
}
END_TEST

static Suite *crc_suite(void)
{
    Suite *suite = suite_create("crc32c");
    TCase *tc = tcase_create("crc32c");
    tcase_add_test(tc, published_vectors_hold);
    tcase_add_test(tc, instruction_and_table_agree_at_every_length_and_alignment);
    tcase_add_test(tc, checksum_continues_over_pieces);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){crc_suite, NULL});
}
