#include "tests/sim/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "coord/v1/types.pb-c.h"

#define GIVE_UP_AFTER_US (100 * MS) /* behind the server's deadline */
#define CLIENT_PORT      7400       /* of every node */
#define STREAMS_MAX      100        /* that the server may open: it does not */
#define TAKE_BYTES       ((size_t)256 << 10)

static void remote_settle(struct remote *r);

static struct remote_call *call_of(struct http2_stream *s)
{
    return (struct remote_call *)(void *)s;
}

static struct world *world_of(const struct remote *r)
{
    return r->process->host->world;
}

/* ---- what HTTP/2 tells ------------------------------------------------------------------- */

static void text_copy(char *to, size_t bytes, struct slice from)
{
    size_t size = from.size < bytes - 1 ? from.size : bytes - 1;
    if (size > 0) {
        memcpy(to, from.data, size);
    }
    to[size] = '\0';
}

static enum outcome outcome_parse(struct slice name)
{
    char text[40];
    text_copy(text, sizeof text, name);
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value_by_name(&coord__v1__outcome__descriptor, text);
    return value != NULL ? (enum outcome)value->value : OUTCOME_COUNT;
}

static void header_cb(void *owner, struct http2_stream *s, struct slice name,
                      struct slice value)
{
    struct remote_answer *a = &call_of(s)->answer;
    char text[32];
    (void)owner;
    if (slice_is(name, "grpc-status")) {
        call_of(s)->has_code = true;
        a->code = grpc_code_parse(value);
    } else if (slice_is(name, "grpc-message")) {
        text_copy(a->text, sizeof a->text, value);
    } else if (slice_is(name, "coord-outcome")) {
        a->outcome = outcome_parse(value);
    } else if (slice_is(name, "coord-revision")) {
        text_copy(text, sizeof text, value);
        a->revision = strtoull(text, NULL, 10);
    }
}

/* Headers come one by one, as the bytes do: only a whole list of trailers is an answer. */
static void headers_end_cb(void *owner, struct http2_stream *s, bool is_last)
{
    (void)owner;
    call_of(s)->has_status = is_last && call_of(s)->has_code;
}

static void data_cb(void *owner, struct http2_stream *s, struct slice bytes)
{
    struct remote_call *call = call_of(s);
    struct slice message;
    (void)owner;
    buf_append_slice(&call->in, bytes);
    if (!call->hoards) {
        http2_consume(s);
    }
    while (call->message != NULL && !call->is_given_up) {
        enum grpc_frame frame = grpc_frame_peek(buf_slice(&call->in), SIZE_MAX, &message);
        if (frame != GRPC_FRAME_WHOLE) {
            PRE(frame == GRPC_FRAME_PARTIAL);
            return;
        }
        size_t taken = GRPC_PREFIX_BYTES + message.size;
        call->message(call, message);
        buf_consume(&call->in, taken);
    }
}

static void end_cb(void *owner, struct http2_stream *s)
{
    (void)owner;
    (void)s;
}

static void closed_cb(void *owner, struct http2_stream *s, uint32_t error)
{
    struct remote *r = owner;
    struct remote_call *call = call_of(s);
    struct remote_answer *a = &call->answer;
    if (call->has_status && !call->is_given_up) {
        a->end = REMOTE_ANSWERED;
    } else {
        /* What waits for a connection may still be sent after it was given up. */
        bool is_unsent = !r->is_up && r->out.size == 0;
        a->end = error == HTTP2_REFUSED_STREAM || is_unsent ? REMOTE_REFUSED : REMOTE_LOST;
    }
    list_push_back(&r->ended, &call->link);
}

static const struct http2_events http2_events = {
    .header = header_cb,
    .headers_end = headers_end_cb,
    .data = data_cb,
    .end = end_cb,
    .closed = closed_cb,
};

/* ---- the connection ---------------------------------------------------------------------- */

static void drop(struct remote *r)
{
    struct http2 *h = r->http2;
    if (r->stream != NULL) {
        r->process->env.net->close(r->stream, false);
        r->stream = NULL;
    }
    r->http2 = NULL;
    r->is_to_close = false;
    buf_clear(&r->out);
    http2_free(h);
}

static void open_cb(void *owner)
{
    struct remote *r = owner;
    r->is_up = true;
    r->connected++;
    remote_settle(r);
}

static void stream_data_cb(void *owner, struct slice bytes)
{
    struct remote *r = owner;
    r->is_busy = true;
    enum status rc = http2_feed(r->http2, bytes);
    r->is_busy = false;
    if (rc != RC_OK) {
        world_fail(world_of(r), "a client cannot read what n%u sends", r->node + 1);
        r->is_to_close = true;
    }
    remote_settle(r);
}

static void drain_cb(void *owner)
{
    struct remote *r = owner;
    r->is_full = false;
    remote_settle(r);
}

static void stream_closed_cb(void *owner, enum status rc)
{
    struct remote *r = owner;
    (void)rc;
    r->stream = NULL;
    r->is_to_close = true;
    remote_settle(r);
}

static const struct env_stream_events stream_events = {
    .open = open_cb,
    .data = stream_data_cb,
    .drain = drain_cb,
    .closed = stream_closed_cb,
};

static void remote_connect(struct remote *r)
{
    char host[16];
    (void)snprintf(host, sizeof host, "n%u", r->node + 1);
    r->is_up = r->is_full = r->is_to_close = false;
    r->http2 = http2_new(false, STREAMS_MAX, &http2_events, r);
    PRE(r->http2 != NULL);
    r->stream =
        r->process->env.net->connect(&r->process->env, host, CLIENT_PORT, &stream_events, r);
}

static void write_out(struct remote *r)
{
    while (r->http2 != NULL && !r->is_full) {
        r->is_busy = true;
        (void)http2_take(r->http2, &r->out, TAKE_BYTES);
        r->is_busy = false;
        if (!r->is_up || r->stream == NULL || r->out.size == 0) {
            return;
        }
        r->is_full = !r->process->env.net->write(r->stream, buf_slice(&r->out));
        buf_clear(&r->out);
    }
}

/* Tells owners what has ended, and writes what there is to write. */
static void remote_settle(struct remote *r)
{
    struct list *node;
    if (r->is_busy) {
        return; /* whoever is, comes here afterwards */
    }
    if (r->http2 != NULL && (r->is_to_close || http2_is_done(r->http2))) {
        drop(r);
    }
    write_out(r);
    while ((node = list_pop_front(&r->ended)) != NULL) {
        struct remote_call *call = LIST_OF(node, struct remote_call, link);
        call->remote = NULL;
        world_cancel(world_of(r), &call->limit);
        call->ended(call, &call->answer);
    }
    write_out(r);
}

static void settle_cb(void *context)
{
    remote_settle(context);
}

/* What an owner has asked for goes out now; what came of it is told later. */
static void remote_asked(struct remote *r)
{
    if (r->is_busy) {
        return;
    }
    write_out(r);
    if (!list_empty(&r->ended)) {
        world_at(world_of(r), &r->settle, 1, settle_cb, r);
    }
}

void remote_init(struct remote *r, struct sim_env *process, uint32_t node)
{
    *r = (struct remote){.process = process, .node = node};
    list_init(&r->ended);
}

void remote_close(struct remote *r)
{
    r->is_to_close = true;
    remote_settle(r);
    if (!r->is_busy) {
        world_cancel(world_of(r), &r->settle);
        buf_close(&r->out);
    }
}

/* ---- calls ------------------------------------------------------------------------------- */

static void limit_cb(void *context)
{
    struct remote_call *call = context;
    struct world *w = world_of(call->remote);
    uint64_t pause = sim_host_pause_left(call->remote->process->host);
    if (pause > 0) {
        world_at(w, &call->limit, pause, limit_cb, call);
        return;
    }
    remote_call_give_up(call);
}

static size_t headers_fill(struct remote_call *call, struct http2_header *h, bool has_limit)
{
    static const struct http2_header fixed[] = {
        {HTTP2_TEXT(":method"), HTTP2_TEXT("POST"), false},
        {HTTP2_TEXT(":scheme"), HTTP2_TEXT("http"), false},
        {HTTP2_TEXT(":authority"), HTTP2_TEXT("coord"), false},
        {HTTP2_TEXT("content-type"), HTTP2_TEXT("application/grpc"), false},
        {HTTP2_TEXT("te"), HTTP2_TEXT("trailers"), false},
    };
    size_t count = 0;
    h[count++] = (struct http2_header){slice_str(":path"), slice_str(call->path), false};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        h[count++] = fixed[i];
    }
    if (has_limit) {
        h[count++] =
            (struct http2_header){slice_str("grpc-timeout"), slice_str(call->timeout), true};
    }
    /* The pseudo headers come first. */
    struct http2_header path = h[0];
    h[0] = h[1];
    h[1] = path;
    return count;
}

static bool call_begin(struct remote *r, struct remote_call *call, const char *path,
                       uint64_t limit_us)
{
    struct http2_header headers[HTTP2_HEADERS_MAX];
    PRE(call->remote == NULL && r->process != NULL);
    if (r->http2 != NULL && !http2_may_request(r->http2)) {
        if (!r->is_busy && http2_stream_count(r->http2) == 0) {
            drop(r); /* the server goes away and nothing is left to wait for */
        } else {
            return false;
        }
    }
    if (r->http2 == NULL) {
        remote_connect(r);
    }
    call->has_status = call->has_code = call->is_given_up = false;
    call->answer = (struct remote_answer){.outcome = OUTCOME_COUNT};
    buf_clear(&call->in);
    (void)snprintf(call->path, sizeof call->path, "%s", path);
    grpc_timeout_print(limit_us / MS, call->timeout);
    size_t count = headers_fill(call, headers, limit_us > 0);
    if (http2_request(r->http2, &call->stream, headers, count, false) != RC_OK) {
        return false;
    }
    call->remote = r;
    if (limit_us > 0) {
        const struct sim_host *h = r->process->host;
        uint64_t at = sim_host_now_us(h) + limit_us + GIVE_UP_AFTER_US;
        world_at(world_of(r), &call->limit, sim_host_delay_until(h, at), limit_cb, call);
    }
    return true;
}

static void frame_append(struct remote_call *call, const ProtobufCMessage *message)
{
    struct buf *out = http2_stream_out(&call->stream);
    size_t begin = grpc_frame_begin(out);
    size_t bytes = protobuf_c_message_get_packed_size(message);
    (void)protobuf_c_message_pack(message, buf_extend(out, bytes));
    http2_stream_wrote(&call->stream, grpc_frame_end(out, begin));
}

bool remote_call(struct remote *r, struct remote_call *call, const char *path,
                 const ProtobufCMessage *message, bool is_stream, uint64_t limit_us)
{
    if (!call_begin(r, call, path, limit_us)) {
        return false;
    }
    if (message != NULL) {
        frame_append(call, message);
    }
    if (!is_stream) {
        http2_stream_finish(&call->stream, NULL, 0);
    }
    remote_asked(r);
    return true;
}

bool remote_call_packed(struct remote *r, struct remote_call *call, const char *path,
                        struct slice message, uint64_t limit_us)
{
    if (!call_begin(r, call, path, limit_us)) {
        return false;
    }
    struct buf *out = http2_stream_out(&call->stream);
    size_t begin = grpc_frame_begin(out);
    buf_append_slice(out, message);
    http2_stream_wrote(&call->stream, grpc_frame_end(out, begin));
    http2_stream_finish(&call->stream, NULL, 0);
    remote_asked(r);
    return true;
}

/* The server may have ended the stream meanwhile: what is sent then is lost, as on any
 * network. */
static bool call_takes_more(const struct remote_call *call)
{
    return call->remote != NULL && call->stream.is_open && !call->stream.is_finished &&
           !call->is_given_up;
}

void remote_call_send(struct remote_call *call, const ProtobufCMessage *message)
{
    if (call_takes_more(call)) {
        frame_append(call, message);
        remote_asked(call->remote);
    }
}

void remote_call_half_close(struct remote_call *call)
{
    if (call_takes_more(call)) {
        http2_stream_finish(&call->stream, NULL, 0);
        remote_asked(call->remote);
    }
}

void remote_call_give_up(struct remote_call *call)
{
    if (call->remote != NULL && call->stream.is_open && !call->is_given_up) {
        call->is_given_up = true;
        http2_stream_reset(&call->stream, HTTP2_CANCEL);
        remote_asked(call->remote);
    }
}

void remote_call_read(struct remote_call *call)
{
    if (call->remote != NULL && call->stream.is_open) {
        http2_consume(&call->stream);
        remote_asked(call->remote);
    }
}

void *remote_call_reply(const struct remote_call *call, const ProtobufCMessageDescriptor *type)
{
    struct slice message;
    if (grpc_frame_peek(buf_slice(&call->in), SIZE_MAX, &message) != GRPC_FRAME_WHOLE) {
        return NULL;
    }
    return protobuf_c_message_unpack(type, NULL, message.size, message.data);
}

void remote_call_release(struct remote_call *call)
{
    PRE(call->remote == NULL);
    http2_stream_release(&call->stream);
    buf_close(&call->in);
}
