#include "net/grpc/frame.h"

#include "tests/support/check_main.h"

START_TEST(a_frame_is_whole_only_with_its_last_byte)
{
    struct buf out = {0};
    buf_append_str(&out, "before");
    size_t begin = grpc_frame_begin(&out);
    buf_append_str(&out, "message");
    ck_assert_uint_eq(grpc_frame_end(&out, begin), 12);
    struct slice frame = slice_make(out.data + begin, out.size - begin);
    struct slice message;
    for (size_t size = 0; size < frame.size; size++) {
        ck_assert_int_eq(grpc_frame_peek(slice_make(frame.data, size), 100, &message),
                         GRPC_FRAME_PARTIAL);
    }
    ck_assert_int_eq(grpc_frame_peek(frame, 7, &message), GRPC_FRAME_WHOLE);
    ck_assert(slice_is(message, "message"));
    ck_assert_int_eq(grpc_frame_peek(frame, 6, &message), GRPC_FRAME_TOO_LARGE);
    ck_assert_uint_eq(message.size, 7);
    buf_close(&out);
}
END_TEST

START_TEST(a_flag_tells_compressed_from_malformed)
{
    struct slice message;
    ck_assert_int_eq(grpc_frame_peek(slice_make("\1", 1), 100, &message),
                     GRPC_FRAME_COMPRESSED);
    ck_assert_int_eq(grpc_frame_peek(slice_make("\2", 1), 100, &message),
                     GRPC_FRAME_MALFORMED);
    ck_assert_int_eq(grpc_frame_peek(slice_make("\0\xff\xff\xff\xff", 5), 100, &message),
                     GRPC_FRAME_TOO_LARGE);
    ck_assert_uint_eq(message.size, UINT32_MAX);
}
END_TEST

START_TEST(codes_have_names_and_numbers)
{
    ck_assert_str_eq(grpc_code_name(GRPC_NOT_FOUND), "NOT_FOUND");
    for (int code = 0; code < GRPC_CODE_COUNT; code++) {
        ck_assert_int_eq(grpc_code_parse(grpc_code_text((enum grpc_code)code)), code);
    }
    const char *none[] = {"", "17", "99", "1x", "-1", "100", "x"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        ck_assert_int_eq(grpc_code_parse(slice_str(none[i])), GRPC_UNKNOWN);
    }
}
END_TEST

START_TEST(timeouts_round_up_in_every_unit)
{
    const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {{"1H", 3600000}, {"2M", 120000}, {"3S", 3000},           {"4m", 4},
                 {"1u", 1},       {"1000u", 1},   {"1001u", 2},           {"1000001n", 2},
                 {"0n", 0},       {"00000007m", 7}, {"99999999H", 359999996400000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms;
        ck_assert(grpc_timeout_parse(slice_str(cases[i].text), &ms));
        ck_assert_uint_eq(ms, cases[i].ms);
    }
}
END_TEST

START_TEST(a_printed_timeout_is_not_shorter)
{
    const uint64_t values[] = {0, 1, 99999999, 100000000, 5999999940001, UINT64_MAX / 2};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[GRPC_TIMEOUT_TEXT_BYTES];
        uint64_t ms;
        grpc_timeout_print(values[i], text);
        ck_assert_msg(grpc_timeout_parse(slice_str(text), &ms), "%s", text);
        ck_assert(ms >= values[i] || ms == 359999996400000);
    }
}
END_TEST

START_TEST(messages_survive_their_encoding)
{
    struct buf coded = {0};
    struct buf plain = {0};
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    grpc_message_encode(&coded, slice_make(bytes, sizeof bytes));
    for (size_t i = 0; i < coded.size; i++) {
        ck_assert(coded.data[i] >= 0x20 && coded.data[i] <= 0x7e);
    }
    grpc_message_decode(&plain, buf_slice(&coded));
    ck_assert(slice_equal(buf_slice(&plain), slice_make(bytes, sizeof bytes)));

    buf_clear(&coded);
    grpc_message_encode(&coded, slice_str("a b%/\xc3\xa4"));
    ck_assert(slice_is(buf_slice(&coded), "a b%25/%C3%A4"));

    buf_clear(&plain); /* what is no encoding stays */
    grpc_message_decode(&plain, slice_str("100% %zz %4 %c3%A4 %"));
    ck_assert(slice_is(buf_slice(&plain), "100% %zz %4 \xc3\xa4 %"));
    buf_close(&coded);
    buf_close(&plain);
}
END_TEST

static Suite *frame_suite(void)
{
    Suite *suite = suite_create("grpc frame");
    TCase *tcase = tcase_create("frame");
    tcase_add_test(tcase, a_frame_is_whole_only_with_its_last_byte);
    tcase_add_test(tcase, a_flag_tells_compressed_from_malformed);
    tcase_add_test(tcase, codes_have_names_and_numbers);
    tcase_add_test(tcase, timeouts_round_up_in_every_unit);
    tcase_add_test(tcase, a_printed_timeout_is_not_shorter);
    tcase_add_test(tcase, messages_survive_their_encoding);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){frame_suite, NULL});
}
