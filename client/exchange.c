#include "client/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "client/connection_internal.h"
#include "client/memory.h"
#include "client/socket.h"

#define HTTP_STATUS_OK 200

static struct exchange *of(struct http2_stream *s)
{
    return LIST_OF(s, struct exchange, stream);
}

static void set_text(char *to, size_t bytes, struct slice from)
{
    size_t size = from.size < bytes - 1 ? from.size : bytes - 1;
    if (size > 0) {
        memcpy(to, from.data, size);
    }
    to[size] = '\0';
}

static void tell(struct exchange *x)
{
    list_remove(&x->news);
    list_push_back(&x->connection->news, &x->news);
}

/* gRPC lets senders leave out the padding of base64. What is none is as if it were not there. */
static void take_detail(struct exchange *x, struct slice value)
{
    size_t padding = (4 - value.size % 4) % 4;
    struct buf padded = {.size = 0};
    buf_clear(&x->detail);
    if (memory_reserve(&padded, value.size + padding) &&
        memory_reserve(&x->detail, value.size)) {
        buf_append_slice(&padded, value);
        buf_append_slice(&padded, slice_make("==", padding < 3 ? padding : 0));
        (void)base64_decode(&x->detail, buf_slice(&padded));
    }
    buf_close(&padded);
}

/* ---- events ------------------------------------------------------------------------------ */

static void on_header(void *owner, struct http2_stream *s, struct slice name,
                      struct slice value)
{
    struct exchange *x = of(s);
    (void)owner;
    if (slice_is(name, "grpc-status")) {
        x->has_code = true;
        x->answer.code = grpc_code_parse(value);
    } else if (slice_is(name, "grpc-message") && memory_reserve(&x->text, value.size)) {
        buf_clear(&x->text);
        grpc_message_decode(&x->text, value);
        set_text(x->answer.text, sizeof x->answer.text, buf_slice(&x->text));
    } else if (slice_is(name, "coord-outcome")) {
        set_text(x->answer.outcome, sizeof x->answer.outcome, value);
    } else if (slice_is(name, "coord-deadlock-bin")) {
        take_detail(x, value);
    } else if (slice_is(name, ":status")) {
        char text[8];
        set_text(text, sizeof text, value);
        x->http_status = strtol(text, NULL, 10);
    }
}

/* Headers come one by one, as their bytes do. A connection that breaks amid the trailers has
 * brought a code, but not what it was about: that is no answer. */
static void on_headers_end(void *owner, struct http2_stream *s, bool is_last)
{
    struct exchange *x = of(s);
    (void)owner;
    x->has_status = is_last && x->has_code;
    x->heard_ms = socket_now_ms();
}

static struct slice unread(const struct exchange *x)
{
    return slice_make(x->in.data + x->in_taken, x->in.size - x->in_taken);
}

/* Or what is none. */
static bool has_message(const struct exchange *x)
{
    struct slice message;
    return x->in.size > x->in_taken && grpc_frame_peek(unread(x), EXCHANGE_MESSAGE_BYTES_MAX,
                                                       &message) != GRPC_FRAME_PARTIAL;
}

/* A stream's window is given back only while a message is incomplete: a reader who does not
 * keep up stalls the server at a window and not our memory. */
static void on_data(void *owner, struct http2_stream *s, struct slice bytes)
{
    struct exchange *x = of(s);
    (void)owner;
    x->heard_ms = socket_now_ms();
    if (x->in_taken > x->in.size / 2) {
        buf_consume(&x->in, x->in_taken);
        x->in_taken = 0;
    }
    x->is_too_large = x->is_too_large ||
                      x->in.size + bytes.size > EXCHANGE_MESSAGE_BYTES_MAX + GRPC_PREFIX_BYTES;
    x->has_no_memory =
        x->has_no_memory || (!x->is_too_large && !memory_reserve(&x->in, bytes.size));
    if (!x->is_too_large && !x->has_no_memory) {
        buf_append_slice(&x->in, bytes);
        if (!has_message(x)) {
            http2_consume(s);
            return;
        }
    }
    tell(x);
}

static void on_end(void *owner, struct http2_stream *s)
{
    struct exchange *x = of(s);
    (void)owner;
    x->has_ended = true;
    tell(x);
}

/* Also called for a stream that a GOAWAY says was not processed: as if it had been refused. */
static void on_closed(void *owner, struct http2_stream *s, uint32_t error)
{
    struct exchange *x = of(s);
    (void)owner;
    x->was_refused = error == HTTP2_REFUSED_STREAM;
    tell(x);
}

const struct http2_events exchange_events = {
    .header = on_header,
    .headers_end = on_headers_end,
    .data = on_data,
    .end = on_end,
    .closed = on_closed,
};

/* ---- requests ---------------------------------------------------------------------------- */

/* Opens the stream. Headers are framed before this returns, as HTTP/2 pins them until then. */
#define FIXED_HEADERS 7 /* that every request has; there may be two more, and digests */

static enum status submit(struct connection *c, struct exchange *x,
                          const struct exchange_request *r)
{
    char timeout[GRPC_TIMEOUT_TEXT_BYTES];
    struct http2_header headers[FIXED_HEADERS + 2 + EXCHANGE_DIGESTS_MAX] = {
        {.name = HTTP2_TEXT(":method"), .value = HTTP2_TEXT("POST")},
        {.name = HTTP2_TEXT(":scheme"),
         .value = slice_str(c->wire.tls.context != NULL ? "https" : "http")},
        {.name = HTTP2_TEXT(":path"), .value = slice_str(r->path)},
        {.name = HTTP2_TEXT(":authority"), .value = slice_str(c->endpoint.name)},
        {.name = HTTP2_TEXT("te"), .value = HTTP2_TEXT("trailers")},
        {.name = HTTP2_TEXT("content-type"), .value = HTTP2_TEXT("application/grpc+proto")},
        {.name = HTTP2_TEXT("user-agent"), .value = HTTP2_TEXT("libcoord")},
    };
    size_t count = FIXED_HEADERS;
    if (r->timeout_ms > 0) {
        grpc_timeout_print(r->timeout_ms, timeout);
        headers[count++] = (struct http2_header){
            .name = HTTP2_TEXT("grpc-timeout"), .value = slice_str(timeout), .is_unique = true};
    }
    if (r->authorization != NULL) {
        headers[count++] = (struct http2_header){.name = HTTP2_TEXT("authorization"),
                                                 .value = slice_str(r->authorization),
                                                 .is_unique = true};
    }
    for (size_t i = 0; i < r->digest_count && i < EXCHANGE_DIGESTS_MAX; i++) {
        headers[count++] = (struct http2_header){.name = HTTP2_TEXT("coord-digest"),
                                                 .value = slice_str(r->digests[i]),
                                                 .is_unique = true};
    }
    enum status rc = http2_request(c->http2, &x->stream, headers, count, false);
    if (rc == RC_OK) {
        (void)connection_frame(c);
    }
    return rc;
}

static void reset(struct connection *c, struct exchange *x, const struct exchange_request *r)
{
    buf_clear(&x->in);
    buf_clear(&x->text);
    buf_clear(&x->detail);
    *x = (struct exchange){.connection = c,
                           .answer = {.code = GRPC_UNKNOWN},
                           .heard_ms = socket_now_ms(),
                           .begun_ms = socket_now_ms(),
                           .changed = r->changed,
                           .stream = x->stream,
                           .in = x->in,
                           .text = x->text,
                           .detail = x->detail,
                           .http_status = HTTP_STATUS_OK};
    list_init(&x->link);
    list_init(&x->news);
}

enum exchange_result exchange_begin(struct connection *c, struct exchange *x,
                                    const struct exchange_request *r)
{
    reset(c, x, r);
    enum status rc = c->http2 != NULL ? submit(c, x, r) : RC_CLOSED;
    if (rc != RC_OK) {
        const char *why = c->http2 == NULL ? c->why : status_text(rc);
        snprintf(x->answer.text, sizeof x->answer.text, "%s", why);
        x->connection = NULL;
        connection_touch(c);
        return rc == RC_NO_MEMORY ? EXCHANGE_NO_MEMORY
               : c->http2 == NULL ? EXCHANGE_UNREACHABLE
                                  : EXCHANGE_NOT_SENT;
    }
    list_push_back(&c->exchanges, &x->link);
    if (c->http2 == NULL) { /* it broke while this was submitted */
        tell(x);
    }
    connection_touch(c);
    return EXCHANGE_QUIET;
}

bool exchange_send(struct exchange *x, struct slice message)
{
    if (!x->stream.is_open) {
        return true;
    }
    struct buf *out = http2_stream_out(&x->stream);
    if (!memory_reserve(out, GRPC_PREFIX_BYTES + message.size)) {
        return false;
    }
    size_t begin = grpc_frame_begin(out);
    buf_append_slice(out, message);
    http2_stream_wrote(&x->stream, grpc_frame_end(out, begin));
    connection_touch(x->connection);
    return true;
}

void exchange_finish(struct exchange *x)
{
    if (x->stream.is_open) {
        http2_stream_finish(&x->stream, NULL, 0);
        connection_touch(x->connection);
    }
}

/* ---- the end ----------------------------------------------------------------------------- */

/* Frees the stream at once: what is left to say about it is framed here. */
void exchange_cancel(struct exchange *x)
{
    struct connection *c = x->connection;
    if (c == NULL) {
        return;
    }
    if (x->stream.is_open) {
        http2_stream_reset(&x->stream, HTTP2_CANCEL);
        (void)connection_frame(c);
    }
    if (x->stream.is_open) {
        connection_fail(c, "HTTP/2 failed");
    }
    list_remove(&x->link);
    list_remove(&x->news);
    x->connection = NULL;
    connection_touch(c);
}

void exchange_give_up(struct exchange *x)
{
    struct connection *c = x->connection;
    bool is_dead = c != NULL && c->heard_ms <= x->heard_ms;
    exchange_cancel(x);
    if (is_dead) {
        connection_retire(c);
    }
}

void exchange_release(struct exchange *x)
{
    exchange_cancel(x);
    http2_stream_release(&x->stream);
    buf_close(&x->in);
    buf_close(&x->text);
    buf_close(&x->detail);
}

static enum exchange_result ended(struct exchange *x)
{
    const struct connection *c = x->connection;
    struct exchange_answer *answer = &x->answer;
    if (x->has_no_memory || (c->has_no_memory && !x->has_status)) {
        answer->was_sent = c->opened_ms != 0;
        return EXCHANGE_NO_MEMORY;
    }
    if (x->is_too_large) {
        return EXCHANGE_TOO_LARGE;
    }
    if (x->has_status) {
        return EXCHANGE_ANSWERED;
    }
    if (x->http_status != HTTP_STATUS_OK) { /* something else than coordd is there */
        snprintf(answer->text, sizeof answer->text, "answers HTTP status %ld", x->http_status);
        return EXCHANGE_LOST;
    }
    snprintf(answer->text, sizeof answer->text, "%s",
             x->was_refused     ? "refused the call"
             : c->http2 == NULL ? c->why
                                : "connection lost");
    if (c->http2 == NULL && c->opened_ms == 0) {
        return EXCHANGE_UNREACHABLE;
    }
    return x->was_refused || c->was_kept_out ? EXCHANGE_NOT_SENT : EXCHANGE_LOST;
}

/* True: `result` says what came of looking at what has arrived. */
static bool take_message(struct exchange *x, struct slice *message,
                         enum exchange_result *result)
{
    if (x->in.size == x->in_taken) {
        return false;
    }
    enum grpc_frame frame = grpc_frame_peek(unread(x), EXCHANGE_MESSAGE_BYTES_MAX, message);
    if (frame == GRPC_FRAME_PARTIAL) {
        return false;
    }
    *result = EXCHANGE_MESSAGE;
    if (frame == GRPC_FRAME_WHOLE) {
        x->in_taken += GRPC_PREFIX_BYTES + message->size;
        return true;
    }
    *result = frame == GRPC_FRAME_TOO_LARGE ? EXCHANGE_TOO_LARGE : EXCHANGE_LOST;
    snprintf(x->answer.text, sizeof x->answer.text, "sent what is no gRPC message");
    return true;
}

enum exchange_result exchange_take(struct exchange *x, struct slice *message)
{
    enum exchange_result result = EXCHANGE_QUIET;
    if (x->connection == NULL) {
        snprintf(x->answer.text, sizeof x->answer.text, "it has ended");
        return EXCHANGE_LOST;
    }
    if (!x->has_no_memory && !x->is_too_large && take_message(x, message, &result) &&
        result == EXCHANGE_MESSAGE) {
        return result;
    }
    bool is_over = x->has_no_memory || x->is_too_large || x->has_ended || !x->stream.is_open;
    if (result == EXCHANGE_QUIET && !is_over) {
        if (x->stream.unconsumed > 0) {
            http2_consume(&x->stream);
            connection_touch(x->connection);
        }
        return result;
    }
    if (result == EXCHANGE_QUIET) {
        result = ended(x);
    }
    exchange_cancel(x);
    return result;
}
