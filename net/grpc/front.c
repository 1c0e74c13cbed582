#include "net/grpc/front.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/grpc/call.h"
#include "net/grpc/memory.h"
#include "net/grpc/watch.h"
#include "net/identity.h"
#include "store/store.h"

/* Output is handed to the sink in pieces of about this size. */
#define OUT_PIECE_BYTES ((size_t)256 << 10)
/* One turn hands over about so much, or for about so long. */
#define TURN_BYTES ((size_t)1 << 20)
#define TURN_US    ((uint64_t)1000)
/* What nghttp2 has given back is kept for it up to here. */
#define SESSION_MEMORY_KEPT_BYTES ((size_t)8 << 20)
/* A client that has sent nothing for so long is asked whether it is there, so that what dead
 * ones hold is found; it has so long to answer. */
#define KEEPALIVE_MS ((uint64_t)2 * 3600 * 1000)
#define KEEPALIVE_ANSWER_MS 20000
/* A graceful stop waits no longer for the client's answer than this. */
#define LEAVE_ROUND_TRIP_MS 1000

static struct grpc_call *call_of(struct http2_stream *s)
{
    return LIST_OF(s, struct grpc_call, stream);
}

/* ---- HTTP/2 events ----------------------------------------------------------------------- */

static uint32_t calls_max(const struct grpc_connection *c)
{
    const struct front_limits *limits = c->env->limits;
    bool is_set = limits != NULL && limits->requests_max > 0;
    return is_set && limits->requests_max < GRPC_CALLS_MAX ? limits->requests_max
                                                           : GRPC_CALLS_MAX;
}

static struct http2_stream *open_cb(void *owner)
{
    struct grpc_connection *c = owner;
    if (c->stage == GRPC_LEFT || http2_stream_count(c->http2) >= calls_max(c)) {
        return NULL;
    }
    return &grpc_call_new(c)->stream;
}

static void header_cb(void *owner, struct http2_stream *s, struct slice name,
                      struct slice value)
{
    (void)owner;
    grpc_call_header(call_of(s), name, value);
}

static void headers_end_cb(void *owner, struct http2_stream *s, bool is_last)
{
    (void)owner;
    (void)is_last;
    grpc_call_headers_end(call_of(s));
}

static void data_cb(void *owner, struct http2_stream *s, struct slice bytes)
{
    (void)owner;
    grpc_call_data(call_of(s), bytes);
}

static void end_cb(void *owner, struct http2_stream *s)
{
    (void)owner;
    grpc_call_half_closed(call_of(s));
}

static void closed_cb(void *owner, struct http2_stream *s, uint32_t error)
{
    (void)owner;
    (void)error;
    grpc_call_closed(call_of(s));
}

static bool is_long(const struct grpc_call *call)
{
    bool is_running = call->state == GRPC_CALL_RECEIVING || call->state == GRPC_CALL_HANDLED;
    return is_running && call->route->method->is_long;
}

static void long_call_recheck(struct http2_stream *s)
{
    if (is_long(call_of(s))) {
        grpc_call_recheck(call_of(s));
    }
}

/* A stop waits for calls that come to an end by themselves, not for the others. */
static void long_call_end(struct http2_stream *s)
{
    struct grpc_call *call = call_of(s);
    if (is_long(call)) {
        grpc_call_fail(call, GRPC_UNAVAILABLE, "shutting down");
    }
}

static void leave_now(struct grpc_connection *c)
{
    if (c->stage == GRPC_LEAVING) {
        c->stage = GRPC_LEFT;
        http2_each(c->http2, long_call_end);
        http2_goaway(c->http2, HTTP2_NO_ERROR);
        c->env->sink.wake(c->env->sink.conn);
    }
}

/* The client has seen everything that we sent before the ping: also that we are leaving. */
static void pong_cb(void *owner)
{
    struct grpc_connection *c = owner;
    c->ping_ms = 0;
    leave_now(c);
}

static const struct http2_events events = {
    .open = open_cb,
    .header = header_cb,
    .headers_end = headers_end_cb,
    .data = data_cb,
    .end = end_cb,
    .closed = closed_cb,
    .pong = pong_cb,
};

/* ---- the front --------------------------------------------------------------------------- */

static void *grpc_shared_new(const struct front_env *env)
{
    struct grpc_shared *shared = mem_zalloc(sizeof *shared);
    list_init(&shared->pool);
    shared->session_memory.kept_bytes_max = SESSION_MEMORY_KEPT_BYTES;
    uint64_t seed;
    env->env->random(env->env, &seed, sizeof seed);
    shared->resets = budgets_new(seed);
    shared->routes = grpc_routes_new(env->metrics);
    shared->figures = figures_new(env->metrics);
    shared->watches = grpc_watch_shared_new(env->metrics);
    if (env->metrics != NULL) {
        shared->in_flight = metrics_gauge(env->metrics, "coord_grpc_in_flight", NULL,
                                          "Calls that are open now, streams included.");
        shared->open = metrics_gauge(env->metrics, "coord_grpc_connections", NULL,
                                            "gRPC connections that are open now.");
        shared->reset_calls =
            metrics_counter(env->metrics, "coord_grpc_resets_total", NULL,
                            "Calls that ended early: broken off, refused or against the rules.");
        shared->reset_waits =
            metrics_counter(env->metrics, "coord_grpc_reset_waits_total", NULL,
                            "How often a connection with too many such calls was read later.");
        shared->saves = metrics_counter(env->metrics, "coord_snapshot_saves_total", NULL,
                                        "Snapshots that clients asked to be sent.");
        shared->saved_bytes = metrics_counter(env->metrics, "coord_snapshot_saved_bytes_total",
                                              NULL, "Bytes of snapshots sent to clients.");
    }
    return shared;
}

static void grpc_shared_free(void *state)
{
    struct grpc_shared *shared = state;
    grpc_calls_free(&shared->pool);
    grpc_watch_shared_free(shared->watches);
    grpc_routes_free(shared->routes);
    budgets_free(shared->resets);
    figures_free(shared->figures);
    pool_close(&shared->session_memory);
    arena_close(&shared->scratch);
    buf_close(&shared->out);
    mem_free(shared);
}

static void clock_read(struct grpc_connection *c)
{
    struct env *env = c->env->env;
    c->now_ms = env->now_ms(env);
    c->now_us = env->now_us(env);
}

static uint64_t auth_version(const struct grpc_connection *c)
{
    return store_auth(node_store(c->env->node))->version;
}

static enum status grpc_open(void *state, const struct front_env *env)
{
    struct grpc_connection *c = state;
    c->env = env;
    c->shared = env->shared;
    list_init(&c->blocked);
    clock_read(c);
    c->fed_ms = c->now_ms;
    c->auth_version = auth_version(c);
    c->http2 = http2_new_pooled(true, calls_max(c), &c->shared->session_memory, &events, c);
    if (c->http2 == NULL) {
        return RC_NO_MEMORY;
    }
    (void)identity_add_ip(&c->identities, env->peer); /* the first ones always fit */
    (void)identity_add_tls(&c->identities, env->tls);
    metric_add(c->shared->open, 1);
    env->sink.wake(env->sink.conn); /* clients wait for our settings before they call */
    return RC_OK;
}

/* Reads a connection that breaks off too many calls only when it may break off more. */
static void resets_note(struct grpc_connection *c)
{
    struct grpc_shared *shared = c->shared;
    size_t count = http2_reset_count(c->http2) - c->resets_seen;
    if (count == 0) {
        return;
    }
    c->resets_seen += count;
    metric_add(shared->reset_calls, (int64_t)count);
    uint64_t wait_ms = resets_take(shared->resets, &c->resets, c->env->peer, count, c->now_ms);
    if (wait_ms == 0) {
        return;
    }
    metric_add(shared->reset_waits, 1);
    c->unread_ms = c->now_ms + wait_ms;
    c->env->sink.pause(c->env->sink.conn, true);
    if (log_is_due(&shared->reset_logged_ms, c->now_ms)) {
        log_warn(c->env->log, "client.resets", "peer=%s calls=%zu wait_ms=%" PRIu64,
                 c->env->peer, c->resets_seen, wait_ms);
    }
}

static void resets_forgive(struct grpc_connection *c, uint64_t now_ms)
{
    if (c->unread_ms != 0 && c->unread_ms <= now_ms) {
        c->unread_ms = 0;
        c->env->sink.pause(c->env->sink.conn, false);
    }
}

static ptrdiff_t grpc_feed(void *state, struct slice bytes)
{
    struct grpc_connection *c = state;
    clock_read(c);
    c->fed_ms = c->now_ms;
    enum status rc = http2_feed(c->http2, bytes);
    if (rc == RC_NO_MEMORY) {
        return -(ptrdiff_t)rc;
    }
    resets_note(c);
    /* After a protocol error the turn sends what there is to say about it and closes. */
    c->env->sink.wake(c->env->sink.conn);
    return (ptrdiff_t)bytes.size;
}

/* Lets streams go on whose client has read. Each may take much of the room that they share: those
 * for whom none is left are the first ones next time. */
static void blocked_resume(struct grpc_connection *c)
{
    struct list ready;
    struct list *it;
    struct list *tmp;
    list_init(&ready);
    LIST_EACH(it, tmp, &c->blocked) {
        struct grpc_call *call = LIST_OF(it, struct grpc_call, link);
        if (grpc_call_has_room(call)) {
            list_remove(it);
            list_push_back(&ready, it);
        }
    }
    while (!list_empty(&ready)) {
        struct grpc_call *call = LIST_OF(ready.next, struct grpc_call, link);
        if (!grpc_call_has_room(call)) {
            break;
        }
        list_remove(&call->link);
        grpc_call_drained(call);
    }
    list_prepend(&c->blocked, &ready);
}

/* False: there is more than the sink takes now, or than one turn has time for: a client that reads
 * as fast as its streams are written to must not keep the loop to itself. */
static bool output_write(struct grpc_connection *c)
{
    const struct front_sink *sink = &c->env->sink;
    struct env *env = c->env->env;
    struct buf *out = &c->shared->out;
    uint64_t end_us = env->now_us(env) + TURN_US;
    size_t written = 0;
    for (;;) {
        buf_clear(out);
        (void)http2_take(c->http2, out, OUT_PIECE_BYTES);
        if (!list_empty(&c->blocked)) {
            blocked_resume(c);
        }
        if (out->size == 0) {
            return true;
        }
        if (!sink->write(sink->conn, buf_slice(out))) {
            return false;
        }
        written += out->size;
        if (written >= TURN_BYTES || env->now_us(env) >= end_us) {
            sink->wake(sink->conn);
            return false;
        }
    }
}

static void grpc_turn(void *state)
{
    struct grpc_connection *c = state;
    const struct front_sink *sink = &c->env->sink;
    bool is_open = sink->queued(sink->conn) <= ENV_STREAM_QUEUE_MAX;

    c->scanned = 0;
    if (c->auth_version != auth_version(c)) {
        c->auth_version = auth_version(c);
        http2_each(c->http2, long_call_recheck);
    }
    if (is_open) {
        is_open = output_write(c);
    }
    grpc_memory_note_replies(c);
    bool has_left = c->stage == GRPC_LEFT && http2_stream_count(c->http2) == 0;
    if (http2_is_done(c->http2) || (has_left && is_open)) {
        sink->close(sink->conn, true);
    }
}

static uint64_t idle_deadline_ms(const struct grpc_connection *c)
{
    const struct front_limits *limits = c->env->limits;
    bool is_idle = http2_stream_count(c->http2) == 0;
    if (!is_idle || limits == NULL || limits->idle_timeout_ms == 0) {
        return UINT64_MAX;
    }
    return c->fed_ms + limits->idle_timeout_ms;
}

static uint64_t keepalive_deadline_ms(const struct grpc_connection *c)
{
    return c->ping_ms != 0 ? c->ping_ms + KEEPALIVE_ANSWER_MS : c->fed_ms + KEEPALIVE_MS;
}

static uint64_t grpc_next_deadline_ms(const void *state)
{
    const struct grpc_connection *c = state;
    const struct heap_node *first = heap_peek(&c->timers);
    uint64_t at = first != NULL ? first->key : UINT64_MAX;
    uint64_t others[] = {
        keepalive_deadline_ms(c),
        c->stage == GRPC_SERVING ? idle_deadline_ms(c) : UINT64_MAX,
        c->stage == GRPC_LEAVING ? c->leave_ms : UINT64_MAX,
        c->unread_ms != 0 ? c->unread_ms : UINT64_MAX,
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        at = others[i] < at ? others[i] : at;
    }
    return at;
}

/* Tells the client to go elsewhere, once as a notice and, a round trip later, for good: so that
 * no call it sends meanwhile is lost. */
static void leave_begin(struct grpc_connection *c)
{
    if (c->stage != GRPC_SERVING) {
        return;
    }
    c->stage = GRPC_LEAVING;
    c->leave_ms = c->now_ms + LEAVE_ROUND_TRIP_MS;
    http2_goaway_notice(c->http2);
    http2_ping(c->http2);
    c->env->sink.wake(c->env->sink.conn);
}

static void grpc_tick(void *state, uint64_t now_ms)
{
    struct grpc_connection *c = state;
    clock_read(c);
    c->now_ms = now_ms;
    struct heap_node *first;
    while ((first = heap_peek(&c->timers)) != NULL && first->key <= now_ms) {
        (void)heap_pop(&c->timers);
        grpc_call_timer(HEAP_OF(first, struct grpc_call, timer));
    }
    resets_forgive(c, now_ms);
    if (c->stage == GRPC_LEAVING && now_ms >= c->leave_ms) {
        leave_now(c);
    }
    if (idle_deadline_ms(c) <= now_ms) {
        leave_begin(c);
    }
    if (keepalive_deadline_ms(c) <= now_ms) {
        if (c->ping_ms != 0) {
            c->env->sink.close(c->env->sink.conn, false);
            return;
        }
        c->ping_ms = now_ms;
        http2_ping(c->http2);
    }
    c->env->sink.wake(c->env->sink.conn);
}

static void grpc_stop(void *state)
{
    struct grpc_connection *c = state;
    clock_read(c);
    leave_begin(c);
}

static void call_drop(struct http2_stream *s)
{
    grpc_call_drop(call_of(s));
}

static void grpc_drop(void *state)
{
    struct grpc_connection *c = state;
    http2_each(c->http2, call_drop);
}

static void grpc_close(void *state)
{
    struct grpc_connection *c = state;
    http2_free(c->http2); /* closes every call */
    heap_close(&c->timers);
    allowance_release(&c->hold);
    buf_close(&c->identities);
    password_wipe(c->token_text.data, c->token_text.size);
    buf_close(&c->token_text);
    metric_add(c->shared->open, -1);
}

const struct front grpc_front = {
    .name = "grpc",
    .state_size = sizeof(struct grpc_connection),
    .shared_new = grpc_shared_new,
    .shared_free = grpc_shared_free,
    .open = grpc_open,
    .feed = grpc_feed,
    .turn = grpc_turn,
    .tick = grpc_tick,
    .next_deadline_ms = grpc_next_deadline_ms,
    .stop = grpc_stop,
    .drop = grpc_drop,
    .close = grpc_close,
};
