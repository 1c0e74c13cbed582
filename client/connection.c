#include "client/connection.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "client/socket.h"
#include "client/wire.h"
#include "net/http2.h"

#define TAKE_BYTES     ((size_t)64 << 10)
#define OUT_KEPT_BYTES ((size_t)256 << 10)
#define CONTROL_BYTES  ((size_t)64 << 10) /* what may go out besides data, in one piece */
#define IN_KEPT_BYTES  ((size_t)256 << 10)
#define HTTP_STATUS_OK 200

struct connection {
    const char *authorization; /* NULL: none */
    struct wire wire;
    bool failed;
    bool has_heard; /* of the other side, inside of TLS */
    bool is_http1;  /* and it speaks another language */
    bool has_no_memory;
    struct http2 *http2;
    struct buf out;
    /* the call under way */
    struct http2_stream stream;
    struct buf in;
    struct buf text;
    struct connection_answer *answer;
    long http_status;
    bool has_code;   /* a grpc-status has come */
    bool has_status; /* and the whole list that it was in */
    bool is_closed;
    bool was_refused; /* the server did not process it */
    bool is_too_large;
    bool is_stream;  /* many messages each way, which connection_receive hands out */
    bool has_ended;  /* the server's half */
    size_t in_taken; /* of `in`: messages handed out before */
    uint64_t heard_ms;
};

/* buf_reserve, but with an answer instead of an abort: what is appended within the reserve then
 * allocates nothing. */
static bool reserve(struct buf *b, size_t more)
{
    if (b->capacity - b->size >= more) {
        return true;
    }
    size_t capacity = b->capacity * 2;
    capacity = capacity < b->size + more ? b->size + more : capacity;
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL) {
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

/* ---- events of the one stream ----------------------------------------------------------- */

static void set_text(char *to, size_t bytes, struct slice from)
{
    size_t size = from.size < bytes - 1 ? from.size : bytes - 1;
    if (size > 0) {
        memcpy(to, from.data, size);
    }
    to[size] = '\0';
}

static void on_header(void *owner, struct http2_stream *s, struct slice name,
                      struct slice value)
{
    struct connection *c = owner;
    (void)s;
    if (slice_is(name, "grpc-status")) {
        c->has_code = true;
        c->answer->code = grpc_code_parse(value);
    } else if (slice_is(name, "grpc-message") && reserve(&c->text, value.size)) {
        buf_clear(&c->text);
        grpc_message_decode(&c->text, value);
        set_text(c->answer->text, sizeof c->answer->text, buf_slice(&c->text));
    } else if (slice_is(name, "coord-outcome")) {
        set_text(c->answer->outcome, sizeof c->answer->outcome, value);
    } else if (slice_is(name, ":status")) {
        char text[8];
        set_text(text, sizeof text, value);
        c->http_status = strtol(text, NULL, 10);
    }
}

/* Headers come one by one, as their bytes do. A connection that breaks amid the trailers has
 * brought a code, but not what it was about: that is no answer. */
static void on_headers_end(void *owner, struct http2_stream *s, bool is_last)
{
    struct connection *c = owner;
    (void)s;
    c->has_status = is_last && c->has_code;
}

static struct slice unread(const struct connection *c)
{
    return slice_make(c->in.data + c->in_taken, c->in.size - c->in_taken);
}

static bool has_message(const struct connection *c)
{
    struct slice message;
    return c->in.size > c->in_taken &&
           grpc_frame_peek(unread(c), CONNECTION_REPLY_BYTES_MAX, &message) == GRPC_FRAME_WHOLE;
}

/* A stream's window is given back only while a message is incomplete: a reader who does not
 * keep up stalls the server at a window and not our memory. */
static void on_data(void *owner, struct http2_stream *s, struct slice bytes)
{
    struct connection *c = owner;
    if (c->in_taken > c->in.size / 2) {
        buf_consume(&c->in, c->in_taken);
        c->in_taken = 0;
    }
    c->is_too_large = c->in.size + bytes.size > CONNECTION_REPLY_BYTES_MAX + GRPC_PREFIX_BYTES;
    c->has_no_memory = !c->is_too_large && !reserve(&c->in, bytes.size);
    if (c->is_too_large || c->has_no_memory) {
        c->failed = true;
        return;
    }
    buf_append_slice(&c->in, bytes);
    if (!c->is_stream || !has_message(c)) {
        http2_consume(s);
    }
}

static void on_end(void *owner, struct http2_stream *s)
{
    struct connection *c = owner;
    (void)s;
    c->has_ended = true;
}

/* Also called for a stream that a GOAWAY says was not processed: as if it had been refused. */
static void on_closed(void *owner, struct http2_stream *s, uint32_t error)
{
    struct connection *c = owner;
    (void)s;
    c->is_closed = true;
    c->was_refused = error == HTTP2_REFUSED_STREAM;
}

static const struct http2_events events = {
    .header = on_header,
    .headers_end = on_headers_end,
    .data = on_data,
    .end = on_end,
    .closed = on_closed,
};

/* ---- the connection ---------------------------------------------------------------------- */

struct connection *connection_open(const char *host, const char *port,
                                   const struct wire_tls *tls, uint64_t deadline_ms, char *why,
                                   size_t why_bytes)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->wire.fd = -1;
        c->http2 = http2_new(false, 0, &events, c);
    }
    if (c == NULL || c->http2 == NULL) {
        snprintf(why, why_bytes, "out of memory");
        free(c);
        return NULL;
    }
    if (!wire_open(&c->wire, host, port, tls, deadline_ms, why, why_bytes)) {
        connection_close(c);
        return NULL;
    }
    return c;
}

void connection_close(struct connection *c)
{
    if (c == NULL) {
        return;
    }
    http2_free(c->http2);
    http2_stream_release(&c->stream);
    buf_close(&c->out);
    buf_close(&c->in);
    buf_close(&c->text);
    wire_close(&c->wire);
    free(c);
}

/* Room for all that http2_take may append: every byte of data there is, if the server's windows
 * allow it, each 16 KiB of it with a frame's header. */
static bool reserve_take(struct connection *c)
{
    size_t queued = http2_queued(c->http2);
    if (queued == 0 && c->out.capacity > OUT_KEPT_BYTES) {
        buf_close(&c->out);
    }
    return reserve(&c->out, CONTROL_BYTES + queued + queued / 1024);
}

/* Writes what there is, as far as the socket takes it. */
static void pump_out(struct connection *c)
{
    c->failed = c->failed || !wire_flush(&c->wire);
    while (!c->failed) {
        if (c->out.size == 0) {
            c->has_no_memory = !reserve_take(c);
            c->failed = c->has_no_memory;
        }
        if (c->out.size == 0 && !c->failed) {
            (void)http2_take(c->http2, &c->out, TAKE_BYTES);
            c->failed = http2_is_done(c->http2);
        }
        if (c->out.size == 0) {
            return;
        }
        ssize_t n = wire_write(&c->wire, buf_slice(&c->out));
        if (n <= 0) {
            c->failed = n < 0;
            return;
        }
        buf_consume(&c->out, (size_t)n);
    }
}

/* Reads once. False: there is nothing more for now. */
static bool pump_in(struct connection *c)
{
    uint8_t bytes[WIRE_READ_BYTES];
    size_t got;
    enum wire_result result = wire_read(&c->wire, bytes, &got);
    if (result != WIRE_DATA) {
        c->failed = c->failed || result != WIRE_NOTHING;
        return false;
    }
    c->heard_ms = socket_now_ms();
    c->is_http1 = !c->has_heard && got > 7 && memcmp(bytes, "HTTP/1.", 7) == 0;
    c->has_heard = true;
    enum status rc = http2_feed(c->http2, slice_make(bytes, got));
    c->failed = c->failed || rc != RC_OK;
    c->has_no_memory = c->has_no_memory || rc == RC_NO_MEMORY;
    return !c->failed;
}

bool connection_is_usable(struct connection *c)
{
    while (!c->failed && pump_in(c)) {
    }
    return !c->failed && http2_may_request(c->http2);
}

/* ---- calls ------------------------------------------------------------------------------ */

static void reset_call(struct connection *c, struct connection_answer *answer, bool is_stream)
{
    if (c->in.capacity > IN_KEPT_BYTES) {
        buf_close(&c->in);
    }
    buf_clear(&c->in);
    *answer = (struct connection_answer){.code = GRPC_UNKNOWN};
    c->answer = answer;
    c->http_status = HTTP_STATUS_OK;
    c->has_code = false;
    c->has_status = false;
    c->is_closed = false;
    c->was_refused = false;
    c->is_too_large = false;
    c->has_no_memory = false;
    c->is_stream = is_stream;
    c->has_ended = false;
    c->in_taken = 0;
    c->heard_ms = socket_now_ms();
}

/* Opens the stream. `timeout` (may be NULL) is that of the call. Headers are framed before this
 * returns, as HTTP/2 pins them until then. */
static enum status submit(struct connection *c, const char *authority, const char *path,
                          const char *timeout)
{
    struct http2_header headers[] = {
        {.name = HTTP2_TEXT(":method"), .value = HTTP2_TEXT("POST")},
        {.name = HTTP2_TEXT(":scheme"),
         .value = slice_str(c->wire.session != NULL ? "https" : "http")},
        {.name = HTTP2_TEXT(":path"), .value = slice_str(path)},
        {.name = HTTP2_TEXT(":authority"), .value = slice_str(authority)},
        {.name = HTTP2_TEXT("te"), .value = HTTP2_TEXT("trailers")},
        {.name = HTTP2_TEXT("content-type"), .value = HTTP2_TEXT("application/grpc+proto")},
        {.name = HTTP2_TEXT("user-agent"), .value = HTTP2_TEXT("libcoord")},
        {.name = HTTP2_TEXT("")}, /* room for two more */
        {.name = HTTP2_TEXT("")},
    };
    size_t count = sizeof headers / sizeof headers[0] - 2;
    if (timeout != NULL) {
        headers[count++] = (struct http2_header){
            .name = HTTP2_TEXT("grpc-timeout"), .value = slice_str(timeout), .is_unique = true};
    }
    if (c->authorization != NULL) {
        headers[count++] = (struct http2_header){.name = HTTP2_TEXT("authorization"),
                                                 .value = slice_str(c->authorization),
                                                 .is_unique = true};
    }
    enum status rc = http2_request(c->http2, &c->stream, headers, count, false);
    bool has_more = rc == RC_OK;
    while (has_more) {
        if (!reserve_take(c)) {
            return RC_NO_MEMORY;
        }
        has_more = http2_take(c->http2, &c->out, c->out.size + TAKE_BYTES);
    }
    return rc;
}

void connection_authorize(struct connection *c, const char *authorization)
{
    c->authorization = authorization;
}

static enum connection_result submit_failed(struct connection *c, enum status rc)
{
    c->failed = true;
    snprintf(c->answer->text, sizeof c->answer->text, "%s", status_text(rc));
    return rc == RC_NO_MEMORY ? CONNECTION_NO_MEMORY : CONNECTION_NOT_SENT;
}

/* False: no memory. */
static bool write_message(struct connection *c, struct slice message)
{
    struct buf *out = http2_stream_out(&c->stream);
    if (!reserve(out, GRPC_PREFIX_BYTES + message.size)) {
        return false;
    }
    size_t begin = grpc_frame_begin(out);
    buf_append_slice(out, message);
    http2_stream_wrote(&c->stream, grpc_frame_end(out, begin));
    return true;
}

/* There is a grpc-status: a reply must go with OK. */
static enum connection_result finish_answered(struct connection *c)
{
    struct connection_answer *answer = c->answer;
    if (answer->code == GRPC_OK && !c->is_stream &&
        grpc_frame_peek(buf_slice(&c->in), CONNECTION_REPLY_BYTES_MAX, &answer->message) !=
            GRPC_FRAME_WHOLE) {
        answer->code = GRPC_INTERNAL;
        snprintf(answer->text, sizeof answer->text, "the reply has no message");
    }
    return CONNECTION_ANSWERED;
}

/* A server of ours speaks first. One that ended TLS, or did not speak HTTP/2, before it said
 * anything has not let us in, and has processed nothing. */
static enum connection_result finish_lost(struct connection *c)
{
    struct connection_answer *answer = c->answer;
    const char *tls = wire_error(&c->wire);
    bool was_kept_out = (tls[0] != '\0' && !c->has_heard) || c->is_http1;
    if (c->is_http1) {
        snprintf(answer->text, sizeof answer->text, "answers HTTP/1: perhaps it wants TLS");
    } else if (tls[0] != '\0') {
        snprintf(answer->text, sizeof answer->text, "TLS: %s", tls);
    } else {
        snprintf(answer->text, sizeof answer->text, "%s",
                 c->was_refused ? "refused the call" : "connection lost");
    }
    return c->was_refused || was_kept_out ? CONNECTION_NOT_SENT : CONNECTION_LOST;
}

static enum connection_result finish(struct connection *c)
{
    struct connection_answer *answer = c->answer;
    if (c->has_no_memory) {
        answer->was_sent = true;
        return CONNECTION_NO_MEMORY;
    }
    if (c->is_too_large) {
        return CONNECTION_TOO_LARGE;
    }
    if (c->has_status) {
        return finish_answered(c);
    }
    if (c->http_status != HTTP_STATUS_OK) { /* something else than coordd is there */
        snprintf(answer->text, sizeof answer->text, "answers HTTP status %ld", c->http_status);
        return CONNECTION_LOST;
    }
    return finish_lost(c);
}

/* As socket_wait. */
static int wait_for_wire(const struct connection *c, uint64_t deadline_ms)
{
    bool writes = c->out.size > 0 || wire_has_output(&c->wire);
    return wire_has_input(&c->wire)
               ? POLLIN
               : socket_wait(c->wire.fd, writes ? POLLIN | POLLOUT : POLLIN, deadline_ms);
}

/* Writes and reads until the stream is closed. */
static enum connection_result exchange(struct connection *c, uint64_t deadline_ms)
{
    for (;;) {
        pump_out(c);
        if (c->failed || c->is_closed) {
            return finish(c);
        }
        int ready = wait_for_wire(c, deadline_ms);
        if (ready == 0) {
            c->failed = true; /* its late answer must not meet the next call */
            snprintf(c->answer->text, sizeof c->answer->text, "no answer in time");
            return CONNECTION_TIMEOUT;
        }
        if (ready < 0 || (ready & (POLLIN | POLLERR | POLLHUP)) != 0) {
            (void)pump_in(c);
        }
    }
}

enum connection_result connection_call(struct connection *c, const char *authority,
                                       const char *path, struct slice request,
                                       struct connection_times times,
                                       struct connection_answer *answer)
{
    char timeout[GRPC_TIMEOUT_TEXT_BYTES];
    uint64_t now = socket_now_ms();
    grpc_timeout_print(times.server_ms > now ? times.server_ms - now : 1, timeout);
    reset_call(c, answer, false);
    enum status rc = submit(c, authority, path, timeout);
    if (rc == RC_OK && !c->is_closed && !write_message(c, request)) {
        rc = RC_NO_MEMORY;
    }
    if (rc != RC_OK) {
        return submit_failed(c, rc);
    }
    if (!c->is_closed) {
        http2_stream_finish(&c->stream, NULL, 0);
    }
    return exchange(c, times.deadline_ms);
}

/* ---- streams ---------------------------------------------------------------------------- */

enum connection_result connection_begin(struct connection *c, const char *authority,
                                        const char *path, struct connection_answer *answer)
{
    reset_call(c, answer, true);
    enum status rc = submit(c, authority, path, NULL);
    return rc == RC_OK ? CONNECTION_MESSAGE : submit_failed(c, rc);
}

enum connection_result connection_send(struct connection *c, struct slice message)
{
    if (!c->failed && !c->is_closed && !write_message(c, message)) {
        return submit_failed(c, RC_NO_MEMORY);
    }
    pump_out(c);
    return CONNECTION_MESSAGE;
}

void connection_finish(struct connection *c)
{
    if (!c->failed && !c->is_closed) {
        http2_stream_finish(&c->stream, NULL, 0);
    }
    pump_out(c);
}

/* True: `result` says what came of looking at what has arrived. */
static bool take_message(struct connection *c, struct slice *message,
                         enum connection_result *result)
{
    if (c->in.size == c->in_taken) {
        return false;
    }
    enum grpc_frame frame = grpc_frame_peek(unread(c), CONNECTION_REPLY_BYTES_MAX, message);
    if (frame == GRPC_FRAME_PARTIAL) {
        return false;
    }
    *result = CONNECTION_MESSAGE;
    if (frame == GRPC_FRAME_WHOLE) {
        c->in_taken += GRPC_PREFIX_BYTES + message->size;
        return true;
    }
    c->failed = true;
    *result = frame == GRPC_FRAME_TOO_LARGE ? CONNECTION_TOO_LARGE : CONNECTION_LOST;
    snprintf(c->answer->text, sizeof c->answer->text, "sent what is no gRPC message");
    return true;
}

enum connection_result connection_receive(struct connection *c, uint64_t deadline_ms,
                                          struct slice *message)
{
    enum connection_result result;
    if (!has_message(c) && !c->is_closed) {
        http2_consume(&c->stream);
    }
    for (;;) {
        if (take_message(c, message, &result)) {
            return result;
        }
        pump_out(c);
        if (c->failed || c->is_closed || c->has_ended) {
            return finish(c);
        }
        if (pump_in(c) || c->failed) {
            continue;
        }
        if (wait_for_wire(c, deadline_ms) == 0) {
            return CONNECTION_TIMEOUT;
        }
    }
}

uint64_t connection_heard_ms(const struct connection *c)
{
    return c->heard_ms;
}

int connection_fd(const struct connection *c)
{
    return c->wire.fd;
}
