#include "client/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/http2.h"

#define TAKE_BYTES     ((size_t)64 << 10)
#define OUT_KEPT_BYTES ((size_t)256 << 10)
#define CONTROL_BYTES  ((size_t)64 << 10) /* what may go out besides data, in one piece */
#define READ_BYTES     ((size_t)16 << 10)
#define IN_KEPT_BYTES  ((size_t)256 << 10)
#define HTTP_STATUS_OK 200

struct connection {
    int fd;
    bool failed;
    bool has_no_memory;
    struct http2 *http2;
    struct buf out;
    /* the call under way */
    struct http2_stream stream;
    struct buf in;
    struct buf text;
    struct connection_answer *answer;
    long http_status;
    bool has_status;
    bool is_closed;
    bool was_refused; /* the server did not process it */
    bool is_too_large;
};

uint64_t connection_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

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
        c->has_status = true;
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

static void on_headers_end(void *owner, struct http2_stream *s, bool is_last)
{
    (void)owner;
    (void)s;
    (void)is_last;
}

static void on_data(void *owner, struct http2_stream *s, struct slice bytes)
{
    struct connection *c = owner;
    c->is_too_large = c->in.size + bytes.size > CONNECTION_REPLY_BYTES_MAX + GRPC_PREFIX_BYTES;
    c->has_no_memory = !c->is_too_large && !reserve(&c->in, bytes.size);
    if (c->is_too_large || c->has_no_memory) {
        c->failed = true;
        return;
    }
    buf_append_slice(&c->in, bytes);
    http2_consume(s);
}

static void on_end(void *owner, struct http2_stream *s)
{
    (void)owner;
    (void)s;
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

/* ---- socket ----------------------------------------------------------------------------- */

/* The events that came, 0 at the deadline, negative on failure. */
static int wait_fd(int fd, short what, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = connection_now_ms();
        if (now >= deadline_ms) {
            return 0;
        }
        uint64_t left = deadline_ms - now;
        struct pollfd p = {.fd = fd, .events = what};
        int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0) {
            return p.revents;
        }
        if (n < 0 && errno != EINTR) {
            return -1;
        }
    }
}

static int connect_one(const struct addrinfo *a, uint64_t deadline_ms, int *reason)
{
    int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd < 0) {
        *reason = errno;
        return -1;
    }
    int one = 1;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
        return fd;
    }
    *reason = errno;
    if (errno == EINPROGRESS) {
        int ready = wait_fd(fd, POLLOUT, deadline_ms);
        socklen_t size = sizeof *reason;
        *reason = ETIMEDOUT;
        if (ready > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, reason, &size) == 0 &&
            *reason == 0) {
            return fd;
        }
    }
    close(fd);
    return -1;
}

/* Every address of the name gets its share of the time, so that one that is silent does not
 * keep us from the next. */
static int connect_any(const struct addrinfo *list, uint64_t deadline_ms, int *reason)
{
    uint64_t left = 0;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        left++;
    }
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next, left--) {
        uint64_t now = connection_now_ms();
        uint64_t share = now < deadline_ms ? (deadline_ms - now) / left : 0;
        int fd = connect_one(a, now + share, reason);
        if (fd >= 0) {
            return fd;
        }
    }
    return -1;
}

struct connection *connection_open(const char *host, const char *port, uint64_t deadline_ms,
                                   char *why, size_t why_bytes)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rv = getaddrinfo(host, port, &hints, &list);
    if (rv != 0) {
        snprintf(why, why_bytes, "%s", gai_strerror(rv));
        return NULL;
    }
    int reason = 0;
    int fd = connect_any(list, deadline_ms, &reason);
    freeaddrinfo(list);
    if (fd < 0) {
        snprintf(why, why_bytes, "%s", strerror(reason));
        return NULL;
    }
    struct connection *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->fd = fd;
        c->http2 = http2_new(false, 0, &events, c);
    }
    if (c == NULL || c->http2 == NULL) {
        snprintf(why, why_bytes, "out of memory");
        free(c);
        close(fd);
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
    close(c->fd);
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
        ssize_t n = send(c->fd, c->out.data, c->out.size, MSG_NOSIGNAL);
        if (n > 0) {
            buf_consume(&c->out, (size_t)n);
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        } else {
            c->failed = true;
        }
    }
}

/* Reads once. False: there is nothing more for now. */
static bool pump_in(struct connection *c)
{
    uint8_t bytes[READ_BYTES];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n > 0) {
        enum status rc = http2_feed(c->http2, slice_make(bytes, (size_t)n));
        c->failed = c->failed || rc != RC_OK;
        c->has_no_memory = c->has_no_memory || rc == RC_NO_MEMORY;
        return !c->failed;
    }
    if (n < 0 && errno == EINTR) {
        return true;
    }
    c->failed = c->failed || n == 0 || errno != EAGAIN;
    return false;
}

bool connection_is_usable(struct connection *c)
{
    while (!c->failed && pump_in(c)) {
    }
    return !c->failed && http2_may_request(c->http2);
}

/* ---- calls ------------------------------------------------------------------------------ */

static void reset_call(struct connection *c, struct connection_answer *answer)
{
    if (c->in.capacity > IN_KEPT_BYTES) {
        buf_close(&c->in);
    }
    buf_clear(&c->in);
    *answer = (struct connection_answer){.code = GRPC_UNKNOWN};
    c->answer = answer;
    c->http_status = HTTP_STATUS_OK;
    c->has_status = false;
    c->is_closed = false;
    c->was_refused = false;
    c->is_too_large = false;
    c->has_no_memory = false;
}

static enum status submit(struct connection *c, const struct http2_header *headers,
                          size_t count, struct slice request)
{
    enum status rc = http2_request(c->http2, &c->stream, headers, count, false);
    if (rc != RC_OK) {
        return rc;
    }
    struct buf *out = http2_stream_out(&c->stream);
    if (!reserve(out, GRPC_PREFIX_BYTES + request.size)) {
        return RC_NO_MEMORY;
    }
    size_t begin = grpc_frame_begin(out);
    buf_append_slice(out, request);
    http2_stream_wrote(&c->stream, grpc_frame_end(out, begin));
    http2_stream_finish(&c->stream, NULL, 0);
    return RC_OK;
}

/* There is a grpc-status: a reply must go with OK. */
static enum connection_result finish_answered(struct connection *c)
{
    struct connection_answer *answer = c->answer;
    if (answer->code == GRPC_OK &&
        grpc_frame_peek(buf_slice(&c->in), CONNECTION_REPLY_BYTES_MAX, &answer->message) !=
            GRPC_FRAME_WHOLE) {
        answer->code = GRPC_INTERNAL;
        snprintf(answer->text, sizeof answer->text, "the reply has no message");
    }
    return CONNECTION_ANSWERED;
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
    snprintf(answer->text, sizeof answer->text, "%s",
             c->was_refused ? "refused the call" : "connection lost");
    return c->was_refused ? CONNECTION_NOT_SENT : CONNECTION_LOST;
}

/* Writes and reads until the stream is closed. */
static enum connection_result exchange(struct connection *c, uint64_t deadline_ms)
{
    for (;;) {
        pump_out(c);
        if (c->failed || c->is_closed) {
            return finish(c);
        }
        int ready = wait_fd(c->fd, c->out.size > 0 ? POLLIN | POLLOUT : POLLIN, deadline_ms);
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
    uint64_t now = connection_now_ms();
    grpc_timeout_print(times.server_ms > now ? times.server_ms - now : 1, timeout);
    /* Pinned by HTTP/2 until they are framed. */
    struct http2_header headers[] = {
        {.name = HTTP2_TEXT(":method"), .value = HTTP2_TEXT("POST")},
        {.name = HTTP2_TEXT(":scheme"), .value = HTTP2_TEXT("http")},
        {.name = HTTP2_TEXT(":path"), .value = slice_str(path)},
        {.name = HTTP2_TEXT(":authority"), .value = slice_str(authority)},
        {.name = HTTP2_TEXT("te"), .value = HTTP2_TEXT("trailers")},
        {.name = HTTP2_TEXT("content-type"), .value = HTTP2_TEXT("application/grpc+proto")},
        {.name = HTTP2_TEXT("user-agent"), .value = HTTP2_TEXT("libcoord")},
        {.name = HTTP2_TEXT("grpc-timeout"), .value = slice_str(timeout), .is_unique = true},
    };
    reset_call(c, answer);
    enum status rc = submit(c, headers, sizeof headers / sizeof headers[0], request);
    if (rc != RC_OK) {
        c->failed = true;
        snprintf(answer->text, sizeof answer->text, "%s", status_text(rc));
        return rc == RC_NO_MEMORY ? CONNECTION_NO_MEMORY : CONNECTION_NOT_SENT;
    }
    return exchange(c, times.deadline_ms);
}
