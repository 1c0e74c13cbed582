/* The HTTP/1.1 front end under arbitrary bytes, in one piece and in small ones: the answers must be
 * the same, and the end too. Seeds: tests/fuzz/corpus/http, one request each. */
#include "net/http/http.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "tests/support/fake_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct env env;
    struct front_limits limits;
    struct front_env front_env;
    struct buf rest;
    struct buf out;
    bool is_paused;
    bool is_closed;
};

static uint64_t clock_still(struct env *env)
{
    (void)env;
    return 1000;
}

static bool sink_write(void *conn, struct slice bytes)
{
    struct run *r = conn;
    PRE(!r->is_closed);
    buf_append_slice(&r->out, bytes);
    return true;
}

static size_t sink_queued(void *conn)
{
    (void)conn;
    return 0;
}

static void sink_wake(void *conn)
{
    (void)conn;
}

static void sink_pause(void *conn, bool paused)
{
    ((struct run *)conn)->is_paused = paused;
}

static void sink_close(void *conn, bool flush)
{
    (void)flush;
    ((struct run *)conn)->is_closed = true;
}

static void run_open(struct run *r)
{
    *r = (struct run){0};
    r->env = (struct env){.now_ms = clock_still, .now_us = clock_still, .wall_ms = clock_still};
    r->front_env = (struct front_env){.env = &r->env,
                                      .limits = &r->limits,
                                      .sink = {.conn = r,
                                               .write = sink_write,
                                               .queued = sink_queued,
                                               .wake = sink_wake,
                                               .pause = sink_pause,
                                               .close = sink_close}};
    r->front_env.shared = http_front.shared_new(&r->front_env);
}

/* Offers `bytes` in pieces of at most `piece`, as net/conn.c does. */
static void run_feed(struct run *r, const uint8_t *data, size_t size, size_t piece)
{
    void *state = mem_zalloc(http_front.state_size);
    PRE(http_front.open(state, &r->front_env) == RC_OK);
    for (size_t at = 0; at < size && !r->is_closed;) {
        size_t bytes = size - at < piece ? size - at : piece;
        buf_append(&r->rest, data + at, bytes);
        at += bytes;
        ptrdiff_t taken;
        do {
            taken = http_front.feed(state, buf_slice(&r->rest));
            PRE(taken >= 0 && (size_t)taken <= r->rest.size);
            buf_consume(&r->rest, (size_t)taken);
            http_front.turn(state);
        } while (taken > 0 && r->rest.size > 0 && !r->is_closed);
    }
    http_front.close(state);
    mem_free(state);
}

static void run_close(struct run *r)
{
    http_front.shared_free(r->front_env.shared);
    buf_close(&r->rest);
    buf_close(&r->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fake_status = (struct node_status){.name = "n1", .state = "follower", .state_reason = ""};
    struct run whole;
    struct run pieces;
    run_open(&whole);
    run_open(&pieces);
    run_feed(&whole, data, size, size > 0 ? size : 1);
    run_feed(&pieces, data, size, size > 0 ? 1 + data[0] % 7u : 1);
    PRE(slice_equal(buf_slice(&whole.out), buf_slice(&pieces.out)));
    PRE(whole.is_closed == pieces.is_closed);
    run_close(&whole);
    run_close(&pieces);
    return 0;
}
