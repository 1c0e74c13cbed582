/* Blocks of headers are measured as the wire has them, however they are cut into pieces. */
#include <string.h>

#include "base/buf.h"
#include "net/block_meter.h"
#include "tests/support/check_main.h"

enum { DATA, HEADERS, RST_STREAM = 3, PING = 6, CONTINUATION = 9 };

static struct block_meter meter;
static struct buf wire;

static void setup(void)
{
    block_meter_init(&meter, false);
    wire = (struct buf){0};
}

static void teardown(void)
{
    buf_close(&wire);
}

static void frame(uint8_t type, size_t payload)
{
    uint8_t *to = buf_extend(&wire, BLOCK_METER_HEAD_BYTES + payload);
    /* Payloads that look like heads of HEADERS. */
    memset(to, HEADERS, BLOCK_METER_HEAD_BYTES + payload);
    to[0] = (uint8_t)(payload >> 16);
    to[1] = (uint8_t)(payload >> 8);
    to[2] = (uint8_t)payload;
    to[3] = type;
}

static size_t feed(size_t piece)
{
    size_t longest = 0;
    for (size_t at = 0; at < wire.size; at += piece) {
        size_t rest = wire.size - at;
        size_t bytes =
            block_meter_feed(&meter, slice_make(wire.data + at, rest < piece ? rest : piece));
        longest = bytes > longest ? bytes : longest;
    }
    buf_clear(&wire);
    return longest;
}

START_TEST(a_block_is_its_headers_and_all_continuations)
{
    frame(PING, 8);
    frame(HEADERS, 100);
    frame(DATA, 70000);
    frame(HEADERS, 300);
    frame(CONTINUATION, 200);
    frame(CONTINUATION, 0);
    frame(HEADERS, 50);
    ck_assert_uint_eq(feed((size_t)_i), 500 + 3 * BLOCK_METER_HEAD_BYTES);
}
END_TEST

START_TEST(what_is_behind_a_block_is_not_part_of_it)
{
    frame(HEADERS, 20);
    ck_assert_uint_eq(feed(SIZE_MAX / 2), 20 + BLOCK_METER_HEAD_BYTES);
    frame(RST_STREAM, 4);
    frame(DATA, 1000000);
    frame(CONTINUATION, 1000); /* of nothing: nghttp2 ends the connection */
    ck_assert_uint_eq(feed(1000), 0);
}
END_TEST

START_TEST(a_block_that_goes_on_is_counted_as_it_comes)
{
    frame(HEADERS, 10000);
    (void)feed(SIZE_MAX / 2);
    for (size_t i = 1; i < 10; i++) {
        frame(CONTINUATION, 10000);
        ck_assert_uint_eq(feed(SIZE_MAX / 2), (i + 1) * (10000 + BLOCK_METER_HEAD_BYTES));
    }
}
END_TEST

START_TEST(a_clients_preface_is_no_frame)
{
    block_meter_init(&meter, true);
    buf_append(&wire, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    frame(HEADERS, 5);
    ck_assert_uint_eq(feed((size_t)_i), 5 + BLOCK_METER_HEAD_BYTES);
}
END_TEST

static Suite *meter_suite(void)
{
    Suite *suite = suite_create("block meter");
    TCase *tcase = tcase_create("meter");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_block_is_its_headers_and_all_continuations, 1, 30);
    tcase_add_test(tcase, what_is_behind_a_block_is_not_part_of_it);
    tcase_add_test(tcase, a_block_that_goes_on_is_counted_as_it_comes);
    tcase_add_loop_test(tcase, a_clients_preface_is_no_frame, 1, 30);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){meter_suite, NULL});
}
