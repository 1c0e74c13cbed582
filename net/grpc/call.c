#include "net/grpc/call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/grpc/wire.h"

#define CALLS_POOLED_MAX 4096
/* A pooled call keeps its buffers only if they are small. */
#define CALL_BUF_KEPT_BYTES ((size_t)4 << 10)
#define CALL_TEXT_BYTES 512

static const struct http2_header response_headers[] = {
    {HTTP2_TEXT(":status"), HTTP2_TEXT("200"), false},
    {HTTP2_TEXT("content-type"), HTTP2_TEXT("application/grpc"), false},
};
static const struct http2_header ok_trailers[] = {
    {HTTP2_TEXT("grpc-status"), HTTP2_TEXT("0"), false},
};
static const struct http2_header not_post_headers[] = {
    {HTTP2_TEXT(":status"), HTTP2_TEXT("405"), false},
    {HTTP2_TEXT("allow"), HTTP2_TEXT("POST"), false},
};
static const struct http2_header not_grpc_headers[] = {
    {HTTP2_TEXT(":status"), HTTP2_TEXT("415"), false},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- memory ------------------------------------------------------------------------------ */

static void buf_reuse(struct buf *b)
{
    buf_clear(b);
    if (b->capacity > CALL_BUF_KEPT_BYTES) {
        buf_close(b);
    }
}

static void timer_set(struct grpc_call *call)
{
    struct heap *timers = &call->connection->timers;
    uint64_t at = call->deadline_ms < call->wake_ms ? call->deadline_ms : call->wake_ms;
    if (at == UINT64_MAX) {
        heap_remove(timers, &call->timer);
    } else {
        heap_update(timers, &call->timer, at);
    }
}

struct grpc_call *grpc_call_new(struct grpc_connection *c)
{
    struct list *node = list_pop_front(&c->shared->pool);
    struct grpc_call *call;
    if (node != NULL) {
        call = LIST_OF(node, struct grpc_call, link);
        c->shared->pool_count--;
    } else {
        call = mem_zalloc(sizeof *call);
        list_init(&call->link);
    }
    call->connection = c;
    call->route = NULL;
    call->state = GRPC_CALL_HEADERS;
    call->code = GRPC_OK;
    call->has_responded = false;
    call->has_post = false;
    call->has_extra = false;
    call->has_timeout = false;
    call->bad_timeout = false;
    call->bad_encoding = false;
    call->content = GRPC_CONTENT_NONE;
    call->started_us = c->now_us;
    call->deadline_ms = c->now_ms + GRPC_TIMEOUT_DEFAULT_MS; /* of the headers */
    call->wake_ms = UINT64_MAX;
    call->problem.rc = RC_OK;
    call->word = 0;
    call->data = NULL;
    timer_set(call);
    metric_add(c->shared->in_flight, 1);
    return call;
}

static void call_free(struct grpc_call *call)
{
    http2_stream_release(&call->stream);
    buf_close(&call->in);
    buf_close(&call->text);
    buf_close(&call->path);
    mem_free(call);
}

void grpc_calls_free(struct list *pool)
{
    struct list *node;
    while ((node = list_pop_front(pool)) != NULL) {
        call_free(LIST_OF(node, struct grpc_call, link));
    }
}

void *grpc_call_scratch(struct grpc_call *call, size_t bytes)
{
    return arena_alloc(&call->connection->shared->scratch, bytes);
}

static void *scratch_alloc(void *context, size_t bytes)
{
    return arena_alloc(context, bytes);
}

/* The arena is cleared as a whole when the handler has returned. */
static void scratch_free(void *context, void *piece)
{
    (void)context;
    (void)piece;
}

void grpc_connection_account(struct grpc_connection *c)
{
    size_t queued = http2_queued(c->http2);
    c->shared->out_bytes += queued - c->out_bytes; /* may wrap on the way: the sum does not */
    c->out_bytes = queued;
}

/* ---- timers ------------------------------------------------------------------------------ */

void grpc_call_wake_at(struct grpc_call *call, uint64_t at_ms)
{
    call->wake_ms = at_ms;
    timer_set(call);
}

void grpc_call_timer(struct grpc_call *call)
{
    if (call->state == GRPC_CALL_FINISHED || call->state == GRPC_CALL_HEADERS) {
        http2_stream_reset(&call->stream, HTTP2_CANCEL);
        return;
    }
    if (call->connection->now_ms >= call->deadline_ms) {
        grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
        return;
    }
    grpc_call_wake_at(call, UINT64_MAX);
    if (call->route->method->woken != NULL) {
        call->route->method->woken(call);
    }
}

/* ---- the end of a call ------------------------------------------------------------------- */

static void in_drop(struct grpc_call *call)
{
    call->connection->in_bytes -= call->in.size;
    call->connection->shared->in_bytes -= call->in.size;
    buf_reuse(&call->in);
}

/* The status is on its way. What the client still sends is dropped; one that does not read loses
 * the stream after a while. */
static void call_finished(struct grpc_call *call, enum grpc_code code)
{
    struct grpc_connection *c = call->connection;
    PRE(call->state != GRPC_CALL_FINISHED);
    call->state = GRPC_CALL_FINISHED;
    call->code = (uint8_t)code;
    in_drop(call);
    list_remove(&call->link);
    call->wake_ms = UINT64_MAX;
    call->deadline_ms = c->now_ms + GRPC_LINGER_MS;
    timer_set(call);
    grpc_routes_count(c->shared->routes, call->route, code,
                      c->env->env->now_us(c->env->env) - call->started_us);
    grpc_connection_account(c);
    c->env->sink.wake(c->env->sink.conn);
}

static void trailer_add(struct grpc_call *call, size_t *count, const char *name,
                        struct slice value, bool is_unique)
{
    PRE(*count < GRPC_TRAILERS_MAX);
    call->trailers[(*count)++] = (struct http2_header){slice_str(name), value, is_unique};
}

/* The beginning of the header list that ends the call: trailers, or, when nothing was sent yet, the
 * only headers there are. */
static size_t trailers_begin(struct grpc_call *call, enum grpc_code code)
{
    size_t count = 0;
    if (!call->has_responded) {
        for (; count < COUNT_OF(response_headers); count++) {
            call->trailers[count] = response_headers[count];
        }
    }
    trailer_add(call, &count, "grpc-status", grpc_code_text(code), false);
    return count;
}

static void trailers_send(struct grpc_call *call, size_t count)
{
    if (call->has_responded) {
        http2_stream_finish(&call->stream, call->trailers, count);
    } else {
        http2_respond(&call->stream, call->trailers, count, true);
        call->has_responded = true;
    }
}

/* Puts the message into call->text, encoded; returns its size there. */
static size_t text_set(struct grpc_call *call, const char *format, va_list args)
{
    char plain[CALL_TEXT_BYTES];
    int bytes = vsnprintf(plain, sizeof plain, format, args);
    PRE(bytes >= 0);
    size_t size = (size_t)bytes < sizeof plain ? (size_t)bytes : sizeof plain - 1;
    /* Do not cut a character in two. */
    while (size == sizeof plain - 1 && size > 0 && ((uint8_t)plain[size] & 0xc0) == 0x80) {
        size--;
    }
    buf_clear(&call->text);
    grpc_message_encode(&call->text, slice_make(plain, size));
    return call->text.size;
}

void grpc_call_fail(struct grpc_call *call, enum grpc_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t bytes = text_set(call, format, args);
    va_end(args);
    size_t count = trailers_begin(call, code);
    trailer_add(call, &count, "grpc-message", slice_make(call->text.data, bytes), true);
    trailers_send(call, count);
    call_finished(call, code);
}

void grpc_call_refuse(struct grpc_call *call, enum outcome outcome, uint64_t revision,
                      const char *format, ...)
{
    static const struct slice names[] = {
#define OUTCOME_NAME(name, text) HTTP2_TEXT(#name),
        OUTCOME_LIST(OUTCOME_NAME)
#undef OUTCOME_NAME
    };
    const size_t prefix = sizeof "OUTCOME_" - 1;
    PRE((unsigned)outcome < COUNT_OF(names));
    struct slice name = slice_make(names[outcome].data + prefix, names[outcome].size - prefix);
    const struct node *node = grpc_call_node(call);
    enum grpc_code code = grpc_code_of_outcome(outcome);

    va_list args;
    va_start(args, format);
    size_t text_bytes = text_set(call, format, args);
    va_end(args);
    buf_printf(&call->text, "%" PRIu64, revision);
    size_t revision_end = call->text.size;
    buf_printf(&call->text, "%" PRIu64, node_term(node));
    const uint8_t *text = call->text.data; /* moves no more */

    size_t count = trailers_begin(call, code);
    trailer_add(call, &count, "grpc-message", slice_make(text, text_bytes), true);
    trailer_add(call, &count, "coord-outcome", name, false);
    trailer_add(call, &count, "coord-revision",
                slice_make(text + text_bytes, revision_end - text_bytes), true);
    trailer_add(call, &count, "coord-term",
                slice_make(text + revision_end, call->text.size - revision_end), true);
    trailer_add(call, &count, "coord-node", slice_str(node_name(node)), false);
    trailers_send(call, count);
    call_finished(call, code);
}

enum grpc_code grpc_code_of_outcome(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK: return GRPC_OK;
    case OUTCOME_NO_NODE:
    case OUTCOME_NO_PARENT:
    case OUTCOME_NO_LEASE: return GRPC_NOT_FOUND;
    case OUTCOME_NODE_EXISTS: return GRPC_ALREADY_EXISTS;
    case OUTCOME_BAD_VERSION:
    case OUTCOME_ROLLED_BACK: return GRPC_ABORTED;
    case OUTCOME_NOT_EMPTY:
    case OUTCOME_GUARD_REFUSED:
    case OUTCOME_PROTECTED:
    case OUTCOME_EPHEMERAL_PARENT:
    case OUTCOME_REQUEST_EXPIRED:
    case OUTCOME_REQUEST_FUTURE: return GRPC_FAILED_PRECONDITION;
    case OUTCOME_BAD_PATH:
    case OUTCOME_BAD_ARGUMENTS:
    case OUTCOME_BAD_CURSOR: return GRPC_INVALID_ARGUMENT;
    case OUTCOME_TOO_LARGE:
    case OUTCOME_LIMIT: return GRPC_RESOURCE_EXHAUSTED;
    case OUTCOME_COMPACTED:
    case OUTCOME_FUTURE_REVISION: return GRPC_OUT_OF_RANGE;
    case OUTCOME_UNSUPPORTED: return GRPC_UNIMPLEMENTED;
    case OUTCOME_COUNT: break;
    }
    return GRPC_UNKNOWN;
}

/* The node could not do it. Whoever reads the text must see whether a write may be repeated. */
static void call_fail_status(struct grpc_call *call, enum status rc, bool is_write)
{
    switch (rc) {
    case RC_UNKNOWN:
        grpc_call_fail(call, GRPC_UNKNOWN, "%s: the write may have been executed",
                       status_text(rc));
        break;
    case RC_TIMEOUT:
        grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, "%s%s", status_text(rc),
                       is_write ? ": the outcome of the write is unknown" : "");
        break;
    case RC_NO_LEADER:
    case RC_NOT_LEADER:
    case RC_STOPPED:
        grpc_call_fail(call, GRPC_UNAVAILABLE, "%s: not executed", status_text(rc));
        break;
    case RC_OVERLOADED:
    case RC_NO_SPACE:
    case RC_TOO_LARGE:
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "%s: not executed", status_text(rc));
        break;
    case RC_STALE:
        grpc_call_fail(call, GRPC_FAILED_PRECONDITION, "%s", status_text(rc));
        break;
    default: grpc_call_fail(call, GRPC_INTERNAL, "%s", status_text(rc)); break;
    }
}

void grpc_call_closed(struct grpc_call *call)
{
    struct grpc_connection *c = call->connection;
    struct grpc_shared *shared = c->shared;
    if (call->state == GRPC_CALL_WRITING) {
        node_write_cancel(c->env->node, &call->write);
    } else if (call->state == GRPC_CALL_READING) {
        node_read_cancel(c->env->node, &call->read);
    }
    if (call->state != GRPC_CALL_FINISHED) {
        grpc_routes_count(shared->routes, call->route, GRPC_CANCELLED,
                          c->now_us - call->started_us);
        in_drop(call);
    }
    if (call->route != NULL && call->route->method->closed != NULL) {
        call->route->method->closed(call);
    }
    heap_remove(&c->timers, &call->timer);
    list_remove(&call->link);
    metric_add(shared->in_flight, -1);
    buf_reuse(&call->text);
    buf_reuse(&call->path);
    if (shared->pool_count < CALLS_POOLED_MAX) {
        list_push_back(&shared->pool, &call->link);
        shared->pool_count++;
    } else {
        call_free(call);
    }
}

/* ---- headers ----------------------------------------------------------------------------- */

/* In order of the lengths of the names, so that most headers cost one comparison of numbers. */
void grpc_call_header(struct grpc_call *call, struct slice name, struct slice value)
{
    if (call->state != GRPC_CALL_HEADERS) {
        return; /* trailers of the client mean nothing to us */
    }
    switch (name.size) {
    case 5:
        if (slice_is(name, ":path")) {
            call->route = grpc_routes_find(call->connection->shared->routes, value);
            if (call->route == NULL) {
                grpc_routes_explain(value, &call->problem);
            }
        }
        break;
    case 7:
        if (slice_is(name, ":method")) {
            call->has_post = slice_is(value, "POST");
        }
        break;
    case 12:
        if (slice_is(name, "content-type")) {
            call->content = (uint8_t)grpc_content_parse(value);
        } else if (slice_is(name, "grpc-timeout")) {
            call->has_timeout = true;
            call->bad_timeout = !grpc_timeout_parse(value, &call->timeout_ms);
        }
        break;
    case 13:
        if (slice_is(name, "grpc-encoding")) {
            call->bad_encoding = !slice_is(value, "identity");
        }
        break;
    default: break;
    }
}

static void call_refuse_encoding(struct grpc_call *call)
{
    static const char text[] = "compressed messages are not supported";
    size_t count = trailers_begin(call, GRPC_UNIMPLEMENTED);
    trailer_add(call, &count, "grpc-message", slice_str(text), false);
    trailer_add(call, &count, "grpc-accept-encoding", slice_str("identity"), false);
    trailers_send(call, count);
    call_finished(call, GRPC_UNIMPLEMENTED);
}

/* What is no gRPC at all gets an answer of plain HTTP. */
static bool headers_are_grpc(struct grpc_call *call)
{
    if (call->has_post && call->content != GRPC_CONTENT_NONE) {
        return true;
    }
    if (!call->has_post) {
        http2_respond(&call->stream, not_post_headers, COUNT_OF(not_post_headers), true);
    } else {
        http2_respond(&call->stream, not_grpc_headers, COUNT_OF(not_grpc_headers), true);
    }
    call->has_responded = true;
    call_finished(call, GRPC_UNIMPLEMENTED);
    return false;
}

static void deadline_set(struct grpc_call *call)
{
    uint64_t timeout_ms = call->has_timeout ? call->timeout_ms : GRPC_TIMEOUT_DEFAULT_MS;
    if (call->route->method->is_long) {
        timeout_ms = call->has_timeout ? timeout_ms : UINT64_MAX;
    } else if (timeout_ms > GRPC_TIMEOUT_MAX_MS) {
        timeout_ms = GRPC_TIMEOUT_MAX_MS;
    }
    uint64_t now_ms = call->connection->now_ms;
    call->deadline_ms = timeout_ms < UINT64_MAX - now_ms ? now_ms + timeout_ms : UINT64_MAX;
    timer_set(call);
}

void grpc_call_headers_end(struct grpc_call *call)
{
    if (call->state != GRPC_CALL_HEADERS) {
        return;
    }
    if (call->stream.headers_too_large) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "headers are larger than %zu bytes",
                       HTTP2_HEADER_BYTES_MAX);
    } else if (!headers_are_grpc(call)) {
        return;
    } else if (call->content == GRPC_CONTENT_OTHER) {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, "only the proto coding is supported");
    } else if (call->route == NULL) {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, "%s", call->problem.text);
    } else if (call->bad_encoding) {
        call_refuse_encoding(call);
    } else if (call->bad_timeout) {
        grpc_call_fail(call, GRPC_INTERNAL, "malformed grpc-timeout");
    } else if (call->has_timeout && call->timeout_ms == 0) {
        grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
    } else {
        call->state = GRPC_CALL_RECEIVING;
        deadline_set(call);
    }
}

/* ---- messages ---------------------------------------------------------------------------- */

static void call_message(struct grpc_call *call, struct slice message)
{
    const struct grpc_method *method = call->route->method;
    struct arena *scratch = &call->connection->shared->scratch;
    struct errmsg err;
    enum status rc = wire_check(method->request, message, &err);
    if (rc != RC_OK) {
        grpc_call_fail(call, rc == RC_MALFORMED ? GRPC_INTERNAL : GRPC_INVALID_ARGUMENT,
                       "%s: %s", method->request->short_name, err.text);
        return;
    }
    ProtobufCAllocator allocator = {scratch_alloc, scratch_free, scratch};
    ProtobufCMessage *request =
        protobuf_c_message_unpack(method->request, &allocator, message.size, message.data);
    if (request == NULL) {
        grpc_call_fail(call, GRPC_INTERNAL, "not a valid %s", method->request->name);
    } else {
        method->message(call, request);
    }
    arena_clear(scratch);
}

/* False, and the call is over: the bytes at the front of a request are no message we take. */
static bool frame_is_fine(struct grpc_call *call, enum grpc_frame frame, struct slice message)
{
    switch (frame) {
    case GRPC_FRAME_WHOLE:
    case GRPC_FRAME_PARTIAL: return true;
    case GRPC_FRAME_COMPRESSED: call_refuse_encoding(call); break;
    case GRPC_FRAME_TOO_LARGE:
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                       "received message larger than max (%zu vs. %zu)", message.size,
                       GRPC_MESSAGE_BYTES_MAX);
        break;
    case GRPC_FRAME_MALFORMED:
        grpc_call_fail(call, GRPC_INTERNAL, "malformed message frame");
        break;
    }
    return false;
}

/* What incomplete requests may hold is limited for each connection and for all. */
static bool in_admit(struct grpc_call *call, size_t bytes)
{
    struct grpc_connection *c = call->connection;
    if (c->in_bytes + bytes > GRPC_IN_BYTES_MAX ||
        c->shared->in_bytes + bytes > GRPC_SHARED_BYTES_MAX) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                       "incomplete requests hold too much memory");
        return false;
    }
    c->in_bytes += bytes;
    c->shared->in_bytes += bytes;
    return true;
}

static struct slice slice_from(struct slice bytes, size_t at)
{
    return at == 0 ? bytes : slice_make(bytes.data + at, bytes.size - at);
}

/* A stream: hands over what is whole, as long as the client reads the answers. */
static void call_deliver(struct grpc_call *call)
{
    struct grpc_connection *c = call->connection;
    size_t at = 0;
    bool is_stalled = false;
    for (;;) {
        struct slice message;
        struct slice rest = slice_from(buf_slice(&call->in), at);
        enum grpc_frame frame = grpc_frame_peek(rest, GRPC_MESSAGE_BYTES_MAX, &message);
        if (!frame_is_fine(call, frame, message)) {
            return;
        }
        if (frame == GRPC_FRAME_PARTIAL) {
            break;
        }
        if (grpc_call_is_full(call)) {
            is_stalled = true;
            break;
        }
        at += GRPC_PREFIX_BYTES + message.size;
        call_message(call, message);
        if (call->state != GRPC_CALL_RECEIVING) {
            return;
        }
    }
    buf_consume(&call->in, at);
    c->in_bytes -= at;
    c->shared->in_bytes -= at;
    if (is_stalled) {
        return;
    }
    http2_consume(&call->stream);
    if (!call->stream.peer_ended) {
        return;
    }
    if (call->in.size > 0) {
        grpc_call_fail(call, GRPC_INTERNAL, "the last message is not complete");
        return;
    }
    call->state = GRPC_CALL_HANDLED;
    call->route->method->half_closed(call);
}

/* Not a stream: collects the one message, and looks early for reasons to refuse it. */
static void call_collect(struct grpc_call *call)
{
    struct slice message;
    enum grpc_frame frame =
        grpc_frame_peek(buf_slice(&call->in), GRPC_MESSAGE_BYTES_MAX, &message);
    http2_consume(&call->stream);
    if (!frame_is_fine(call, frame, message) || frame == GRPC_FRAME_PARTIAL) {
        return;
    }
    size_t extra = call->in.size - GRPC_PREFIX_BYTES - message.size;
    call->has_extra = extra > 0;
}

void grpc_call_data(struct grpc_call *call, struct slice bytes)
{
    if (call->state != GRPC_CALL_RECEIVING || call->has_extra) {
        http2_consume(&call->stream);
        return;
    }
    if (!in_admit(call, bytes.size)) {
        http2_consume(&call->stream);
        return;
    }
    buf_append_slice(&call->in, bytes);
    if (call->route->method->takes_stream) {
        call_deliver(call);
    } else {
        call_collect(call);
    }
}

void grpc_call_half_closed(struct grpc_call *call)
{
    if (call->state != GRPC_CALL_RECEIVING) {
        return;
    }
    if (call->route->method->takes_stream) {
        call_deliver(call);
        return;
    }
    struct slice message;
    enum grpc_frame frame =
        grpc_frame_peek(buf_slice(&call->in), GRPC_MESSAGE_BYTES_MAX, &message);
    if (call->has_extra) {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, "more than one request message");
    } else if (frame != GRPC_FRAME_WHOLE) {
        grpc_call_fail(call, GRPC_INTERNAL,
                       call->in.size == 0 ? "no request message"
                                          : "the request message is not complete");
    } else {
        call->state = GRPC_CALL_HANDLED;
        call_message(call, message);
        if (call->state != GRPC_CALL_FINISHED) {
            in_drop(call);
        }
    }
}

void grpc_call_drained(struct grpc_call *call)
{
    if (call->state == GRPC_CALL_RECEIVING) {
        call_deliver(call);
    }
    if (call->state != GRPC_CALL_FINISHED && call->route->method->drained != NULL) {
        call->route->method->drained(call);
    }
}

/* ---- answering --------------------------------------------------------------------------- */

bool grpc_call_is_full(struct grpc_call *call)
{
    if (http2_stream_queued(&call->stream) <= GRPC_STREAM_OUT_BYTES_MAX) {
        return false;
    }
    list_remove(&call->link);
    list_push_back(&call->connection->blocked, &call->link);
    return true;
}

struct buf *grpc_call_begin(struct grpc_call *call, size_t *begin)
{
    if (!call->has_responded) {
        http2_respond(&call->stream, response_headers, COUNT_OF(response_headers), false);
        call->has_responded = true;
    }
    struct buf *out = http2_stream_out(&call->stream);
    *begin = grpc_frame_begin(out);
    return out;
}

void grpc_call_end(struct grpc_call *call, size_t begin)
{
    struct grpc_connection *c = call->connection;
    size_t bytes = grpc_frame_end(http2_stream_out(&call->stream), begin);
    http2_stream_wrote(&call->stream, bytes);
    grpc_connection_account(c);
    c->env->sink.wake(c->env->sink.conn);
}

void grpc_call_send(struct grpc_call *call, const ProtobufCMessage *message)
{
    size_t begin;
    struct buf *out = grpc_call_begin(call, &begin);
    size_t bytes = protobuf_c_message_get_packed_size(message);
    size_t packed = protobuf_c_message_pack(message, buf_extend(out, bytes));
    POST(packed == bytes);
    grpc_call_end(call, begin);
}

void grpc_call_finish(struct grpc_call *call)
{
    if (!call->has_responded) {
        /* A stream without messages: its status is all there is. */
        trailers_send(call, trailers_begin(call, GRPC_OK));
    } else {
        http2_stream_finish(&call->stream, ok_trailers, COUNT_OF(ok_trailers));
    }
    call_finished(call, GRPC_OK);
}

void grpc_call_reply(struct grpc_call *call, const ProtobufCMessage *message)
{
    grpc_call_send(call, message);
    grpc_call_finish(call);
}

/* ---- asking the node --------------------------------------------------------------------- */

/* From here on the node keeps the deadline. */
static void call_awaits_node(struct grpc_call *call, enum grpc_call_state state)
{
    call->state = (uint8_t)state;
    heap_remove(&call->connection->timers, &call->timer);
}

static void call_written_cb(struct node_write *w, enum status rc, const struct reply *reply)
{
    struct grpc_call *call = w->owner;
    call->state = GRPC_CALL_HANDLED;
    if (rc != RC_OK) {
        call_fail_status(call, rc, true);
    } else {
        call->written(call, reply);
        arena_clear(&call->connection->shared->scratch);
    }
}

void grpc_call_write(struct grpc_call *call, const struct command *c,
                     void (*written)(struct grpc_call *call, const struct reply *reply))
{
    call->written = written;
    call->write = (struct node_write){.done = call_written_cb, .owner = call};
    enum status rc = node_write(grpc_call_node(call), &call->write, c, call->deadline_ms);
    if (rc != RC_OK) {
        call_fail_status(call, rc, true);
    } else {
        call_awaits_node(call, GRPC_CALL_WRITING);
    }
}

/* A client that asks for pages and does not read them must not fill our memory with them. */
static bool out_admits(const struct grpc_connection *c)
{
    return http2_queued(c->http2) <= GRPC_OUT_BYTES_MAX &&
           c->shared->out_bytes <= GRPC_SHARED_BYTES_MAX;
}

static void call_got_cb(struct node_read *r, enum status rc, const struct query_result *result)
{
    struct grpc_call *call = r->owner;
    call->state = GRPC_CALL_HANDLED;
    if (rc != RC_OK) {
        call_fail_status(call, rc, false);
    } else if (!out_admits(call->connection)) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "too many replies wait to be read");
    } else {
        call->got(call, result);
        arena_clear(&call->connection->shared->scratch);
    }
}

void grpc_call_read(struct grpc_call *call,
                    void (*got)(struct grpc_call *call, const struct query_result *result))
{
    call->got = got;
    call->read.done = call_got_cb;
    call->read.owner = call;
    enum status rc = node_read(grpc_call_node(call), &call->read, call->deadline_ms);
    if (rc != RC_OK) {
        call_fail_status(call, rc, false);
    } else {
        call_awaits_node(call, GRPC_CALL_READING);
    }
}
