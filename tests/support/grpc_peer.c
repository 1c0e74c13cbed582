#include "tests/support/grpc_peer.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/grpc/front.h"
#include "net/allowance.h"
#include "net/login.h"

/* ---- the world of the front -------------------------------------------------------------- */

static uint64_t now_ms(struct env *env)
{
    return ((struct peer_env *)env)->now_ms;
}

static uint64_t now_us(struct env *env)
{
    return ((struct peer_env *)env)->now_ms * 1000;
}

/* Eight bytes at a time; the test may have them repeat. */
static void random_fill(struct env *env, void *to, size_t bytes)
{
    struct peer_env *e = (struct peer_env *)env;
    uint8_t *at = to;
    while (bytes > 0) {
        size_t part = bytes < sizeof e->last_random ? bytes : sizeof e->last_random;
        if (e->same_random > 0) {
            e->same_random--;
        } else {
            e->last_random = rng_next(&e->rng);
        }
        memcpy(at, &e->last_random, part);
        at += part;
        bytes -= part;
    }
}

/* A queue whose jobs run when the peer does. */
struct env_queue {
    struct peer_env *env;
};

static struct env_queue *queue_open(struct env *env, const char *name)
{
    (void)name;
    struct env_queue *q = mem_zalloc(sizeof *q);
    q->env = (struct peer_env *)env;
    return q;
}

static void queue_submit(struct env_queue *q, struct env_job *job)
{
    struct env_job **at = &q->env->jobs;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    job->next = NULL;
    *at = job;
}

static void queue_close(struct env_queue *q)
{
    for (; q->env->jobs != NULL; q->env->jobs = q->env->jobs->next) {
        q->env->jobs->run(q->env->jobs);
    }
    mem_free(q);
}

static bool jobs_run(struct peer_env *e)
{
    struct env_job *job = e->jobs;
    if (job == NULL) {
        return false;
    }
    e->jobs = job->next;
    job->run(job);
    job->done(job);
    return true;
}

static bool sink_write(void *conn, struct slice bytes)
{
    struct peer *p = conn;
    PRE(!p->is_closed && !p->is_closing);
    buf_append_slice(&p->to_client, bytes);
    return !p->is_blocked && p->to_client.size <= ENV_STREAM_QUEUE_MAX;
}

static size_t sink_queued(void *conn)
{
    struct peer *p = conn;
    return p->is_blocked ? SIZE_MAX : p->to_client.size;
}

static void sink_wake(void *conn)
{
    ((struct peer *)conn)->is_awake = true;
}

static void sink_pause(void *conn, bool paused)
{
    ((struct peer *)conn)->is_unread = paused;
}

static void sink_close(void *conn, bool flush)
{
    struct peer *p = conn;
    p->is_closing = true;
    if (!flush) {
        buf_clear(&p->to_client);
    }
}

static void front_close(struct peer *p)
{
    if (!p->is_closed) {
        p->is_closed = true;
        grpc_front.close(p->state);
    }
}

static void front_feed(struct peer *p, struct slice bytes)
{
    if (p->is_closed || p->is_closing || bytes.size == 0) {
        return;
    }
    ptrdiff_t taken = grpc_front.feed(p->state, bytes);
    if (taken < 0) {
        p->feed_rc = (enum status)-taken;
        p->is_closing = true;
        return;
    }
    PRE((size_t)taken == bytes.size);
}

/* ---- the client -------------------------------------------------------------------------- */

static struct peer_call *call_of(struct http2_stream *s)
{
    return (struct peer_call *)s;
}

static void client_header(void *owner, struct http2_stream *s, struct slice name,
                          struct slice value)
{
    (void)owner;
    struct peer_call *call = call_of(s);
    PRE(call->header_count < PEER_HEADERS_MAX);
    struct buf text = {0};
    buf_append_slice(&text, name);
    buf_append_str(&text, ": ");
    buf_append_slice(&text, value);
    buf_append(&text, "", 1);
    call->headers[call->header_count++] = (char *)buf_take(&text, NULL);
}

static void client_headers_end(void *owner, struct http2_stream *s, bool is_last)
{
    (void)owner;
    (void)s;
    (void)is_last;
}

static void client_data(void *owner, struct http2_stream *s, struct slice bytes)
{
    struct peer *p = owner;
    buf_append_slice(&call_of(s)->data, bytes);
    if (!p->client_hoards) {
        http2_consume(s);
    }
}

static void client_end(void *owner, struct http2_stream *s)
{
    (void)owner;
    call_of(s)->has_ended = true;
}

static void client_closed(void *owner, struct http2_stream *s, uint32_t error)
{
    (void)owner;
    call_of(s)->is_closed = true;
    call_of(s)->error = error;
}

static void client_goaway(void *owner, int32_t last_id, uint32_t error)
{
    (void)error;
    struct peer *p = owner;
    p->goaways++;
    p->goaway_last_id = last_id;
}

static const struct http2_events client_events = {
    .header = client_header,
    .headers_end = client_headers_end,
    .data = client_data,
    .end = client_end,
    .closed = client_closed,
    .goaway = client_goaway,
};

/* ---- both -------------------------------------------------------------------------------- */

/* `env` is NULL: the peer's own. */
static struct peer *new_raw(struct node *node, struct env *env)
{
    struct peer *p = mem_zalloc(sizeof *p);
    p->env.env.now_ms = now_ms;
    p->env.env.now_us = now_us;
    p->env.env.wall_ms = now_ms;
    p->env.env.random = random_fill;
    p->env.env.queue_open = queue_open;
    p->env.env.queue_submit = queue_submit;
    p->env.env.queue_close = queue_close;
    rng_init(&p->env.rng, 1);
    p->env.now_ms = 1000000;
    p->metrics = metrics_new();
    p->node = node;
    p->front_env = (struct front_env){
        .node = node,
        .env = env != NULL ? env : &p->env.env,
        .metrics = p->metrics,
        .limits = &p->limits,
        .sink = {.conn = p,
                 .write = sink_write,
                 .queued = sink_queued,
                 .wake = sink_wake,
                 .pause = sink_pause,
                 .close = sink_close},
        .peer = "test",
    };
    p->front_env.logins = logins_new(p->front_env.env, node, NULL, NULL);
    p->front_env.allowances = allowances_new(p->front_env.env, node, NULL);
    p->front_env.shared = grpc_front.shared_new(&p->front_env);
    p->state = mem_zalloc(grpc_front.state_size);
    enum status rc = grpc_front.open(p->state, &p->front_env);
    PRE(rc == RC_OK);
    return p;
}

struct peer *peer_new_raw(struct node *node)
{
    return new_raw(node, NULL);
}

struct peer *peer_new(struct node *node)
{
    return peer_new_in(node, NULL);
}

struct peer *peer_new_in(struct node *node, struct env *env)
{
    struct peer *p = new_raw(node, env);
    p->client = http2_new(false, 100, &client_events, p);
    PRE(p->client != NULL);
    return p;
}

void peer_free(struct peer *p)
{
    front_close(p);
    http2_free(p->client);
    grpc_front.shared_free(p->front_env.shared);
    logins_free(p->front_env.logins);
    allowances_free(p->front_env.allowances);
    mem_free(p->state);
    metrics_free(p->metrics);
    buf_close(&p->to_client);
    mem_free(p);
}

static bool bytes_move(struct peer *p)
{
    bool has_moved = false;
    struct buf out = {0};
    if (p->client != NULL && !p->is_unread) {
        while (http2_take(p->client, &out, SIZE_MAX)) {
        }
        has_moved = out.size > 0;
        front_feed(p, buf_slice(&out));
    }
    if (p->client != NULL && p->to_client.size > 0 && !p->client_sleeps) {
        struct buf in = p->to_client;
        p->to_client = (struct buf){0};
        enum status rc = http2_feed(p->client, buf_slice(&in));
        PRE(rc == RC_OK);
        buf_close(&in);
        p->is_awake = true; /* the queue has drained */
        has_moved = true;
    }
    buf_close(&out);
    return has_moved;
}

static bool front_turn(struct peer *p)
{
    if (!p->is_awake || p->is_closed || p->is_closing || p->is_blocked) {
        return false;
    }
    p->is_awake = false;
    grpc_front.turn(p->state);
    return true;
}

void peer_run_front(struct peer *p)
{
    bool is_busy = true;
    while (is_busy) {
        is_busy = bytes_move(p);
        is_busy = front_turn(p) || is_busy;
        if (p->is_closing && p->to_client.size == 0) {
            front_close(p);
        }
    }
}

void peer_run(struct peer *p)
{
    peer_run_front(p);
    while (jobs_run(&p->env)) {
        peer_run_front(p);
    }
    node_turn(p->node);
    peer_run_front(p);
}

void peer_tick(struct peer *p)
{
    uint64_t now = p->front_env.env->now_ms(p->front_env.env);
    if (!p->is_closed && !p->is_closing && grpc_front.next_deadline_ms(p->state) <= now) {
        grpc_front.tick(p->state, now);
    }
    peer_run(p);
}

void peer_advance(struct peer *p, uint64_t ms)
{
    p->env.now_ms += ms;
    peer_tick(p);
}

void peer_send_raw(struct peer *p, const void *bytes, size_t size)
{
    front_feed(p, slice_make(bytes, size));
}

/* ---- calls ------------------------------------------------------------------------------- */

static struct slice text_keep(struct peer_call *call, const char *text)
{
    size_t at = call->request.size;
    buf_append_str(&call->request, text);
    return slice_make(call->request.data + at, call->request.size - at);
}

/* In place of one of the first `usual` with this name. */
static void header_set(struct peer_call *call, struct http2_header *headers, size_t *count,
                       size_t usual, const char *name, const char *value)
{
    size_t i = 0;
    while (i < usual && !slice_is(headers[i].name, name)) {
        i++;
    }
    i = i < usual ? i : *count;
    PRE(i < HTTP2_HEADERS_MAX);
    *count = i == *count ? i + 1 : *count;
    headers[i] = (struct http2_header){.name = text_keep(call, name),
                                       .value = text_keep(call, value)};
}

struct peer_call *peer_call_open(struct peer *p, const char *path, const char *const *extra)
{
    struct peer_call *call = mem_zalloc(sizeof *call);
    call->peer = p;
    struct http2_header headers[HTTP2_HEADERS_MAX];
    size_t count = 0;
    size_t bytes = 1024;
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i++) {
        bytes += strlen(extra[i]);
    }
    buf_reserve(&call->request, bytes); /* must not move */
    header_set(call, headers, &count, 0, ":method", "POST");
    header_set(call, headers, &count, 0, ":scheme", "http");
    header_set(call, headers, &count, 0, ":path", path);
    header_set(call, headers, &count, 0, ":authority", "localhost");
    header_set(call, headers, &count, 0, "content-type", "application/grpc");
    header_set(call, headers, &count, 0, "te", "trailers");
    size_t usual = count;
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i += 2) {
        header_set(call, headers, &count, usual, extra[i], extra[i + 1]);
    }
    enum status rc = http2_request(p->client, &call->stream, headers, count, false);
    PRE(rc == RC_OK);
    return call;
}

void peer_call_send(struct peer_call *call, const ProtobufCMessage *message)
{
    struct buf *out = http2_stream_out(&call->stream);
    size_t begin = grpc_frame_begin(out);
    size_t bytes = protobuf_c_message_get_packed_size(message);
    (void)protobuf_c_message_pack(message, buf_extend(out, bytes));
    http2_stream_wrote(&call->stream, grpc_frame_end(out, begin));
}

void peer_call_send_bytes(struct peer_call *call, const void *bytes, size_t size)
{
    buf_append(http2_stream_out(&call->stream), bytes, size);
    http2_stream_wrote(&call->stream, size);
}

void peer_call_end(struct peer_call *call)
{
    http2_stream_finish(&call->stream, NULL, 0);
}

void peer_call_consume(struct peer_call *call)
{
    if (!call->is_closed) {
        http2_consume(&call->stream);
    }
}

void peer_call_free(struct peer_call *call)
{
    if (!call->is_closed) {
        http2_stream_reset(&call->stream, HTTP2_CANCEL);
        peer_run(call->peer);
    }
    PRE(call->is_closed);
    http2_stream_release(&call->stream);
    for (size_t i = 0; i < call->header_count; i++) {
        mem_free(call->headers[i]);
    }
    buf_close(&call->data);
    buf_close(&call->request);
    mem_free(call);
}

struct peer_call *peer_unary(struct peer *p, const char *path, const ProtobufCMessage *message)
{
    struct peer_call *call = peer_call_open(p, path, NULL);
    peer_call_send(call, message);
    peer_call_end(call);
    peer_run(p);
    return call;
}

const char *peer_call_header(const struct peer_call *call, const char *name)
{
    size_t bytes = strlen(name);
    for (size_t i = 0; i < call->header_count; i++) {
        if (strncmp(call->headers[i], name, bytes) == 0 &&
            strncmp(call->headers[i] + bytes, ": ", 2) == 0) {
            return call->headers[i] + bytes + 2;
        }
    }
    return NULL;
}

int peer_call_code(const struct peer_call *call)
{
    const char *text = peer_call_header(call, "grpc-status");
    return text == NULL ? -1 : atoi(text);
}

const char *peer_call_text(struct peer_call *call)
{
    const char *value = peer_call_header(call, "grpc-message");
    if (value == NULL) {
        return "";
    }
    buf_clear(&call->request);
    grpc_message_decode(&call->request, slice_str(value));
    buf_append(&call->request, "", 1);
    return (const char *)call->request.data;
}

bool peer_call_message(const struct peer_call *call, size_t index, struct slice *message)
{
    struct slice rest = buf_slice(&call->data);
    for (size_t i = 0;; i++) {
        if (grpc_frame_peek(rest, SIZE_MAX, message) != GRPC_FRAME_WHOLE) {
            return false;
        }
        if (i == index) {
            return true;
        }
        size_t bytes = GRPC_PREFIX_BYTES + message->size;
        rest = slice_make(rest.data + bytes, rest.size - bytes);
    }
}

void *peer_call_unpack(const struct peer_call *call, size_t index,
                       const ProtobufCMessageDescriptor *type)
{
    struct slice message;
    if (!peer_call_message(call, index, &message)) {
        return NULL;
    }
    return protobuf_c_message_unpack(type, NULL, message.size, message.data);
}
