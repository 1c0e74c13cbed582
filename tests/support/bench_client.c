#include "tests/support/bench_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/tls_net.h"

#define TAKE_BYTES ((size_t)256 << 10)
#define CONNECT_MS 5000
#define TURN_MS    50

/* ---- answers ----------------------------------------------------------------------------- */

static void on_header(void *owner, struct http2_stream *s, struct slice name,
                      struct slice value)
{
    struct bench_call *call = (struct bench_call *)s;
    (void)owner;
    if (slice_is(name, "grpc-status")) {
        call->has_status = true;
        call->code = grpc_code_parse(value);
    }
}

static void on_headers_end(void *owner, struct http2_stream *s, bool is_last)
{
    (void)owner;
    (void)s;
    (void)is_last;
}

static void on_data(void *owner, struct http2_stream *s, struct slice bytes)
{
    struct bench_client *c = ((struct bench_connection *)owner)->client;
    struct bench_call *call = (struct bench_call *)s;
    if (c->events->message != NULL) {
        struct slice message;
        size_t taken = 0;
        buf_append_slice(&call->in, bytes);
        while (grpc_frame_peek(slice_make(call->in.data + taken, call->in.size - taken),
                               SIZE_MAX, &message) == GRPC_FRAME_WHOLE) {
            c->events->message(c->owner, call, message);
            taken += GRPC_PREFIX_BYTES + message.size;
        }
        buf_consume(&call->in, taken);
    }
    http2_consume(s);
}

static void on_end(void *owner, struct http2_stream *s)
{
    (void)owner;
    (void)s;
}

static void on_closed(void *owner, struct http2_stream *s, uint32_t error)
{
    struct bench_client *c = ((struct bench_connection *)owner)->client;
    struct bench_call *call = (struct bench_call *)s;
    (void)error;
    c->events->ended(c->owner, call);
    call->next_free = c->free_calls;
    c->free_calls = call;
}

static const struct http2_events http2_events = {
    .header = on_header,
    .headers_end = on_headers_end,
    .data = on_data,
    .end = on_end,
    .closed = on_closed,
};

/* ---- calls ------------------------------------------------------------------------------- */

static struct bench_call *take_call(struct bench_client *c)
{
    struct bench_call *call = c->free_calls;
    if (call == NULL) {
        return mem_zalloc(sizeof *call);
    }
    c->free_calls = call->next_free;
    return call;
}

struct bench_call *bench_call_begin(struct bench_connection *connection, const char *path,
                                    int kind)
{
    struct bench_client *c = connection->client;
    if (!connection->is_open) {
        return NULL;
    }
    struct bench_call *call = take_call(c);
    struct http2_header headers[] = {
        {.name = HTTP2_TEXT(":method"), .value = HTTP2_TEXT("POST")},
        {.name = HTTP2_TEXT(":scheme"), .value = HTTP2_TEXT("http")},
        {.name = HTTP2_TEXT(":path"), .value = slice_str(path)},
        {.name = HTTP2_TEXT(":authority"), .value = HTTP2_TEXT("bench")},
        {.name = HTTP2_TEXT("te"), .value = HTTP2_TEXT("trailers")},
        {.name = HTTP2_TEXT("content-type"), .value = HTTP2_TEXT("application/grpc")},
    };
    call->connection = connection;
    call->has_status = false;
    call->code = GRPC_UNKNOWN;
    call->kind = kind;
    call->word = 0;
    buf_clear(&call->in);
    call->began_us = bench_now_us(c);
    if (http2_request(connection->http2, &call->stream, headers,
                      sizeof headers / sizeof headers[0], false) != RC_OK) {
        c->failed = true;
        return NULL;
    }
    return call;
}

struct buf *bench_call_write(struct bench_call *call, size_t *begin)
{
    struct buf *out = http2_stream_out(&call->stream);
    *begin = grpc_frame_begin(out);
    return out;
}

void bench_call_written(struct bench_call *call, size_t begin)
{
    http2_stream_wrote(&call->stream, grpc_frame_end(http2_stream_out(&call->stream), begin));
}

void bench_call_send(struct bench_call *call, const ProtobufCMessage *message)
{
    size_t begin;
    struct buf *out = bench_call_write(call, &begin);
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = mem_alloc(size + 1);
    (void)protobuf_c_message_pack(message, packed);
    buf_append(out, packed, size);
    mem_free(packed);
    bench_call_written(call, begin);
}

void bench_call_half_close(struct bench_call *call)
{
    http2_stream_finish(&call->stream, NULL, 0);
}

/* ---- connections ------------------------------------------------------------------------- */

static void on_open(void *owner)
{
    ((struct bench_connection *)owner)->is_open = true;
}

static void on_bytes(void *owner, struct slice bytes)
{
    struct bench_connection *connection = owner;
    if (http2_feed(connection->http2, bytes) != RC_OK) {
        connection->client->failed = true;
    }
}

static void on_drain(void *owner)
{
    ((struct bench_connection *)owner)->is_blocked = false;
}

static void on_lost(void *owner, enum status rc)
{
    struct bench_connection *connection = owner;
    (void)rc;
    connection->is_open = false;
    connection->stream = NULL;
    http2_free(connection->http2);
    connection->http2 = NULL;
}

static const struct env_stream_events stream_events = {
    .open = on_open, .data = on_bytes, .drain = on_drain, .closed = on_lost};

static void flush(struct bench_connection *connection)
{
    struct env *env = connection->client->env;
    bool more = true;
    while (more && connection->is_open && !connection->is_blocked) {
        buf_clear(&connection->out);
        more = http2_take(connection->http2, &connection->out, TAKE_BYTES);
        if (connection->out.size > 0) {
            connection->is_blocked =
                !env->net->write(connection->stream, buf_slice(&connection->out));
        }
    }
}

static void on_turn(void *context)
{
    struct bench_client *c = context;
    if (c->tls != NULL) {
        tls_net_turn(c->tls);
    }
    for (size_t i = 0; i < c->connection_count; i++) {
        flush(&c->connections[i]);
    }
}

static uint64_t next_deadline(void *context)
{
    struct bench_client *c = context;
    return c->env->now_ms(c->env) + TURN_MS;
}

void bench_client_turn(struct bench_client *c)
{
    on_turn(c);
    uv_run(&c->loop, UV_RUN_ONCE);
}

/* False: the file cannot be used. */
static bool speak_tls(struct bench_client *c, const char *ca_file)
{
    const struct tls_options options = {
        .ca_file = ca_file, .verify = TLS_VERIFY_REQUIRED, .protocols = "h2"};
    struct tls_net_options net = {.env = c->env, .log = &c->log, .use = "bench"};
    struct errmsg err = {0};
    if (tls_context_open(&options, &net.context, &err) != RC_OK) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    c->tls = tls_net_new(&net);
    c->env = tls_net_env(c->tls);
    return true;
}

bool bench_client_open(struct bench_client *c, const struct endpoint *endpoints,
                       size_t endpoint_count, size_t connections,
                       const struct bench_events *events, void *owner)
{
    c->events = events;
    c->owner = owner;
    c->log = (struct log){.level = LOG_WARN, .sink = log_stderr_sink};
    uv_loop_init(&c->loop);
    c->env = env_uv_new(&c->loop, &c->log);
    env_uv_on_turn(c->env, on_turn, next_deadline, c);
    const char *ca_file = getenv("COORD_CACERT");
    if (ca_file != NULL && ca_file[0] != '\0' && !speak_tls(c, ca_file)) {
        return false;
    }
    c->connection_count = connections;
    for (size_t i = 0; i < connections; i++) {
        struct bench_connection *connection = &c->connections[i];
        const struct endpoint *e = &endpoints[i % endpoint_count];
        connection->client = c;
        connection->http2 = http2_new(false, 0, &http2_events, connection);
        connection->stream = c->env->net->connect(
            c->env, e->host, (uint16_t)strtoul(e->port, NULL, 10), &stream_events, connection);
    }
    size_t open = 0;
    uint64_t until = c->env->now_ms(c->env) + CONNECT_MS;
    while (open < connections && c->env->now_ms(c->env) < until) {
        uv_run(&c->loop, UV_RUN_ONCE);
        open = 0;
        for (size_t i = 0; i < connections; i++) {
            open += c->connections[i].is_open;
        }
    }
    return open == connections;
}
