#include "base/pack.h"

#include <signal.h>

#include "tests/support/check_main.h"

START_TEST(every_integer_comes_back_from_its_little_endian_bytes)
{
    struct buf b = {0};
    pack_u8(&b, 0xfe);
    pack_u16(&b, 0x1234);
    pack_u32(&b, 0x89abcdef);
    pack_u64(&b, UINT64_C(0x0123456789abcdef));
    pack_i64(&b, INT64_MIN);
    pack_bytes(&b, slice_str("text"));
    pack_bytes(&b, slice_make(NULL, 0));
    pack_raw(&b, "raw", 3);
    static const uint8_t head[] = {0xfe, 0x34, 0x12, 0xef, 0xcd, 0xab, 0x89, 0xef, 0xcd, 0xab};
    ck_assert_mem_eq(b.data, head, sizeof head);

    struct unpack u = unpack_make(buf_slice(&b));
    ck_assert_uint_eq(unpack_u8(&u), 0xfe);
    ck_assert_uint_eq(unpack_u16(&u), 0x1234);
    ck_assert_uint_eq(unpack_u32(&u), 0x89abcdef);
    ck_assert_uint_eq(unpack_u64(&u), UINT64_C(0x0123456789abcdef));
    ck_assert_int_eq(unpack_i64(&u), INT64_MIN);
    ck_assert(slice_is(unpack_bytes(&u), "text"));
    ck_assert_uint_eq(unpack_bytes(&u).size, 0);
    ck_assert(!unpack_done(&u));
    ck_assert(slice_is(unpack_raw(&u, 3), "raw"));
    ck_assert(unpack_done(&u));
    buf_close(&b);
}
END_TEST

START_TEST(input_cut_anywhere_fails_once_and_yields_zeros_from_there_on)
{
    struct buf b = {0};
    pack_u64(&b, UINT64_MAX);
    pack_bytes(&b, slice_str("abc"));
    pack_u16(&b, UINT16_MAX);
    for (size_t size = 0; size < b.size; size++) {
        struct unpack u = unpack_make(slice_make(b.data, size));
        uint64_t first = unpack_u64(&u);
        ck_assert_uint_eq(first, size >= 8 ? UINT64_MAX : 0);
        struct slice s = unpack_bytes(&u);
        ck_assert_uint_eq(s.size, size >= 15 ? 3 : 0);
        ck_assert_uint_eq(unpack_u16(&u), 0);
        ck_assert(u.failed);
        ck_assert_uint_eq(unpack_u8(&u), 0); /* even if a byte is left */
        ck_assert(!unpack_done(&u));
    }
    buf_close(&b);
}
END_TEST

START_TEST(length_beyond_the_input_is_refused)
{
    static const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 'a', 'b'};
    struct unpack u = unpack_make(slice_make(bytes, sizeof bytes));
    struct slice s = unpack_bytes(&u);
    ck_assert(u.failed);
    ck_assert_uint_eq(s.size, 0);
    u = unpack_make(slice_make(NULL, 0));
    ck_assert(unpack_done(&u));
    ck_assert_uint_eq(unpack_raw(&u, 0).size, 0);
    ck_assert(unpack_done(&u));
}
END_TEST

START_TEST(fields_known_only_afterwards_are_patched_in_place)
{
    struct buf b = {0};
    pack_u32(&b, 0);
    pack_u64(&b, 0);
    pack_u8(&b, 7);
    pack_u32_at(&b, 0, 0x01020304);
    pack_u64_at(&b, 4, 99);
    struct unpack u = unpack_make(buf_slice(&b));
    ck_assert_uint_eq(unpack_u32(&u), 0x01020304);
    ck_assert_uint_eq(unpack_u64(&u), 99);
    ck_assert_uint_eq(unpack_u8(&u), 7);
    buf_close(&b);
}
END_TEST

START_TEST(patching_beyond_the_end_is_a_programmer_error)
{
    struct buf b = {0};
    pack_u32(&b, 0);
    pack_u32_at(&b, 1, 0);
}
END_TEST

static Suite *pack_suite(void)
{
    Suite *suite = suite_create("pack");
    TCase *tc = tcase_create("pack");
    tcase_add_test(tc, every_integer_comes_back_from_its_little_endian_bytes);
    tcase_add_test(tc, input_cut_anywhere_fails_once_and_yields_zeros_from_there_on);
    tcase_add_test(tc, length_beyond_the_input_is_refused);
    tcase_add_test(tc, fields_known_only_afterwards_are_patched_in_place);
    tcase_add_test_raise_signal(tc, patching_beyond_the_end_is_a_programmer_error, SIGABRT);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){pack_suite, NULL});
}
