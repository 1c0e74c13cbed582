/* What a stream keeps of the bytes it has sent; what comes for one that was given up. */
#include "base/mem.h"
#include "net/http2.h"
#include "tests/support/check_main.h"

static struct http2 *server;
static struct http2 *client;
static struct http2_stream at_server;
static struct http2_stream at_client;
static size_t received;
static uint8_t to_write;
static uint8_t expected;

static struct http2_stream *server_open(void *owner)
{
    (void)owner;
    return &at_server;
}

static void on_header(void *owner, struct http2_stream *s, struct slice name,
                      struct slice value)
{
    (void)owner;
    (void)s;
    (void)name;
    (void)value;
}

static void on_headers_end(void *owner, struct http2_stream *s, bool is_last)
{
    (void)owner;
    (void)s;
    (void)is_last;
}

/* The bytes count up, so that none is lost, doubled or moved unnoticed. */
static void on_data(void *owner, struct http2_stream *s, struct slice bytes)
{
    (void)owner;
    size_t wrong = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        wrong += bytes.data[i] != expected++;
    }
    ck_assert_uint_eq(wrong, 0);
    received += bytes.size;
    http2_consume(s);
}

static void on_end(void *owner, struct http2_stream *s)
{
    (void)owner;
    (void)s;
}

static void on_closed(void *owner, struct http2_stream *s, uint32_t error)
{
    (void)owner;
    (void)s;
    (void)error;
}

static const struct http2_events server_events = {
    .open = server_open,
    .header = on_header,
    .headers_end = on_headers_end,
    .data = on_data,
    .end = on_end,
    .closed = on_closed,
};
static const struct http2_events client_events = {
    .header = on_header,
    .headers_end = on_headers_end,
    .data = on_data,
    .end = on_end,
    .closed = on_closed,
};

static void move(struct http2 *from, struct http2 *to, size_t limit)
{
    struct buf bytes = {0};
    (void)http2_take(from, &bytes, limit);
    ck_assert_int_eq(http2_feed(to, buf_slice(&bytes)), RC_OK);
    buf_close(&bytes);
}

static void request_and_respond(void)
{
    static const struct http2_header request[] = {
        {HTTP2_TEXT(":method"), HTTP2_TEXT("POST"), false},
        {HTTP2_TEXT(":scheme"), HTTP2_TEXT("http"), false},
        {HTTP2_TEXT(":path"), HTTP2_TEXT("/"), false},
        {HTTP2_TEXT(":authority"), HTTP2_TEXT("localhost"), false},
    };
    static const struct http2_header response[] = {
        {HTTP2_TEXT(":status"), HTTP2_TEXT("200"), false},
    };
    ck_assert_int_eq(http2_request(client, &at_client, request, 4, false), RC_OK);
    move(client, server, SIZE_MAX);
    http2_respond(&at_server, response, 1, false);
}

static void setup(void)
{
    server = http2_new(true, 10, &server_events, NULL);
    client = http2_new(false, 10, &client_events, NULL);
    move(server, client, SIZE_MAX);
    request_and_respond();
}

static void teardown(void)
{
    http2_free(server);
    http2_free(client);
    http2_stream_release(&at_server);
    http2_stream_release(&at_client);
}

static void write_bytes(size_t count)
{
    uint8_t *to = buf_extend(http2_stream_out(&at_server), count);
    for (size_t i = 0; i < count; i++) {
        to[i] = to_write++;
    }
    http2_stream_wrote(&at_server, count);
}

/* A frame may be announced while there is no room for it: what it holds goes out, and no more. */
START_TEST(a_stream_that_is_reset_behind_an_announced_frame_ends_in_order)
{
    write_bytes((size_t)40 << 10);
    move(server, client, (size_t)16 << 10);
    ck_assert_uint_gt(http2_stream_queued(&at_server), 0);
    http2_stream_reset(&at_server, HTTP2_CANCEL);
    move(server, client, SIZE_MAX);
    ck_assert_uint_eq(http2_queued(server), 0);
    ck_assert_uint_eq(http2_stream_count(server), 0);
    ck_assert_uint_eq(http2_stream_count(client), 0);
    ck_assert_uint_le(received, (size_t)32 << 10);
    ck_assert(!http2_is_done(server));
}
END_TEST

START_TEST(a_stream_that_never_runs_dry_does_not_grow)
{
    const size_t backlog = (size_t)200 << 10;
    const size_t piece = (size_t)20 << 10;
    write_bytes(backlog);
    for (int i = 0; i < 1000; i++) {
        write_bytes(piece);
        while (http2_stream_queued(&at_server) > backlog) {
            move(server, client, piece);
            move(client, server, SIZE_MAX);
        }
        ck_assert_uint_gt(http2_stream_queued(&at_server), 0);
        ck_assert_uint_le(at_server.out.capacity, (size_t)1 << 20);
    }
    ck_assert_uint_ge(received, 1000 * piece - backlog);
}
END_TEST

START_TEST(a_stream_gives_a_large_buffer_back_when_it_is_idle)
{
    write_bytes((size_t)3 << 20);
    while (http2_stream_queued(&at_server) > 0) {
        move(server, client, SIZE_MAX);
        move(client, server, SIZE_MAX);
    }
    ck_assert_uint_eq(received, (size_t)3 << 20);
    ck_assert_uint_le(at_server.out.capacity, (size_t)256 << 10);
    write_bytes(10);
    move(server, client, SIZE_MAX);
    ck_assert_uint_eq(received, ((size_t)3 << 20) + 10);
}
END_TEST

/* nghttp2 announces no frame of a stream that is gone: the last that it did are headers. */
START_TEST(what_comes_for_a_stream_that_was_given_up_does_not_end_the_connection)
{
    const size_t late = (size_t)1 << 20;
    move(server, client, SIZE_MAX);
    http2_stream_reset(&at_client, HTTP2_CANCEL);
    while (http2_stream_queued(&at_server) < late) {
        write_bytes(1000);
    }
    /* The reset is under way while the server still sends, as far as its window reaches. */
    move(server, client, late);
    move(client, server, SIZE_MAX);
    ck_assert(!at_server.is_open);
    ck_assert(!at_client.is_open);
    request_and_respond();
    expected = to_write;
    write_bytes(100);
    move(server, client, SIZE_MAX);
    ck_assert_uint_eq(received, 100);
}
END_TEST

static Suite *out_suite(void)
{
    Suite *suite = suite_create("http2 out");
    TCase *tcase = tcase_create("out");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_stream_that_is_reset_behind_an_announced_frame_ends_in_order);
    tcase_add_test(tcase, a_stream_that_never_runs_dry_does_not_grow);
    tcase_add_test(tcase, a_stream_gives_a_large_buffer_back_when_it_is_idle);
    tcase_add_test(tcase, what_comes_for_a_stream_that_was_given_up_does_not_end_the_connection);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){out_suite, NULL});
}
