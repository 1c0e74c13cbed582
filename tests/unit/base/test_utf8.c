#include "base/utf8.h"

#include "tests/support/check_main.h"

#define VALID(text) utf8_is_valid(slice_make(text, sizeof(text) - 1))

START_TEST(well_formed_sequences_are_accepted_up_to_their_edges)
{
    ck_assert(VALID(""));
    ck_assert(VALID("plain\0text"));
    ck_assert(VALID("\x7f\xc2\x80\xdf\xbf"));
    ck_assert(VALID("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"));
    ck_assert(VALID("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
}
END_TEST

START_TEST(malformed_sequences_are_refused)
{
    ck_assert(!VALID("\x80"));                 /* begins in the middle */
    ck_assert(!VALID("a\xc3"));                /* cut */
    ck_assert(!VALID("\xe2\x82"));             /* cut */
    ck_assert(!VALID("\xf0\x9f\x98"));         /* cut */
    ck_assert(!VALID("\xc3(\xa4"));            /* no continuation */
    ck_assert(!VALID("\xc0\x80\xc1\xbf"));     /* overlong */
    ck_assert(!VALID("\xe0\x9f\xbf"));         /* overlong */
    ck_assert(!VALID("\xf0\x8f\xbf\xbf"));     /* overlong */
    ck_assert(!VALID("\xed\xa0\x80"));         /* surrogate */
    ck_assert(!VALID("\xed\xbf\xbf"));         /* surrogate */
    ck_assert(!VALID("\xf4\x90\x80\x80"));     /* beyond U+10FFFF */
    ck_assert(!VALID("\xf5\x80\x80\x80\xff")); /* no first byte at all */
}
END_TEST

/* Every code point, encoded by the book, and nothing longer or shorter. */
START_TEST(every_code_point_has_the_length_of_its_range)
{
    for (uint32_t point = 0; point <= 0x110000; point++) {
        uint8_t p[4] = {
            (uint8_t)(0xf0 | point >> 18),
            (uint8_t)(0x80 | (point >> 12 & 0x3f)),
            (uint8_t)(0x80 | (point >> 6 & 0x3f)),
            (uint8_t)(0x80 | (point & 0x3f)),
        };
        size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        uint8_t *begin = p + 4 - length;
        begin[0] = (uint8_t)(length == 1   ? point
                             : length == 2 ? 0xc0 | point >> 6
                             : length == 3 ? 0xe0 | point >> 12
                                           : 0xf0 | point >> 18);
        bool is_none = (point >= 0xd800 && point < 0xe000) || point > 0x10ffff;
        ck_assert_uint_eq(utf8_length(begin, length), is_none ? 0 : length);
        ck_assert(length == 1 || utf8_length(begin, length - 1) == 0);
    }
}
END_TEST

static Suite *utf8_suite(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, well_formed_sequences_are_accepted_up_to_their_edges);
    tcase_add_test(tests, malformed_sequences_are_refused);
    tcase_add_test(tests, every_code_point_has_the_length_of_its_range);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){utf8_suite, NULL});
}
