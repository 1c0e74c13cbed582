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

#include "net/http2.h"

#define TAKE_BYTES ((size_t)256 << 10)
#define REPLY_BYTES_MAX ((size_t)16 << 20)

struct connection {
    int fd;
    bool failed;
    struct http2 *http2;
    struct buf out;
    /* the call under way */
    struct http2_stream stream;
    struct buf in;
    struct connection_answer *answer;
    bool has_status;
    bool is_closed;
    bool was_refused; /* the server did not process it */
};

uint64_t connection_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void connection_answer_close(struct connection_answer *a)
{
    buf_close(&a->message);
    buf_close(&a->status);
}

/* ---- events of the one stream ----------------------------------------------------------------- */

static void on_header(void *owner, struct http2_stream *s, struct slice name, struct slice value)
{
    struct connection *c = owner;
    (void)s;
    if (slice_is(name, "grpc-status")) {
        c->has_status = true;
        c->answer->code = grpc_code_parse(value);
    } else if (slice_is(name, "grpc-message")) {
        buf_clear(&c->answer->status);
        grpc_message_decode(&c->answer->status, value);
    } else if (slice_is(name, "coord-outcome")) {
        snprintf(c->answer->outcome, sizeof c->answer->outcome, "%.*s", (int)value.size,
                 (const char *)value.data);
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
    if (c->in.size + bytes.size > REPLY_BYTES_MAX) {
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

static void on_closed(void *owner, struct http2_stream *s, uint32_t error)
{
    struct connection *c = owner;
    (void)s;
    c->is_closed = true;
    c->was_refused = error == HTTP2_REFUSED_STREAM;
}

static void on_goaway(void *owner, int32_t last_id, uint32_t error)
{
    struct connection *c = owner;
    (void)error;
    if (c->stream.id > last_id) {
        c->was_refused = true;
        c->is_closed = true;
    }
}

static const struct http2_events events = {
    .header = on_header,
    .headers_end = on_headers_end,
    .data = on_data,
    .end = on_end,
    .closed = on_closed,
    .goaway = on_goaway,
};

/* ---- socket ----------------------------------------------------------------------------------- */

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
    int fd = -1;
    int reason = 0;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = connect_one(a, deadline_ms, &reason);
    }
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
    close(c->fd);
    free(c);
}

bool connection_is_usable(const struct connection *c)
{
    return !c->failed && http2_may_request(c->http2);
}

/* Writes what there is, as far as the socket takes it. */
static void pump_out(struct connection *c)
{
    while (!c->failed) {
        if (c->out.size == 0) {
            (void)http2_take(c->http2, &c->out, TAKE_BYTES);
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

static void pump_in(struct connection *c)
{
    uint8_t bytes[65536];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n > 0) {
        c->failed = http2_feed(c->http2, slice_make(bytes, (size_t)n)) != RC_OK || c->failed;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        c->failed = true;
    }
}

/* ---- calls ------------------------------------------------------------------------------------ */

static enum connection_result finish(struct connection *c, struct connection_answer *answer)
{
    if (c->has_status) {
        struct slice message;
        if (answer->code == GRPC_OK &&
            grpc_frame_peek(buf_slice(&c->in), REPLY_BYTES_MAX, &message) == GRPC_FRAME_WHOLE) {
            buf_append_slice(&answer->message, message);
        } else if (answer->code == GRPC_OK) {
            answer->code = GRPC_INTERNAL;
            buf_append_str(&answer->status, "the reply has no message");
        }
        return CONNECTION_ANSWERED;
    }
    return c->was_refused ? CONNECTION_NOT_SENT : CONNECTION_LOST;
}

static void reset_call(struct connection *c, struct connection_answer *answer)
{
    http2_stream_release(&c->stream);
    memset(&c->stream, 0, sizeof c->stream);
    buf_clear(&c->in);
    c->answer = answer;
    c->has_status = false;
    c->is_closed = false;
    c->was_refused = false;
}

enum connection_result connection_call(struct connection *c, const char *authority,
                                       const char *path, struct slice request,
                                       uint64_t deadline_ms, struct connection_answer *answer)
{
    char timeout[GRPC_TIMEOUT_TEXT_BYTES];
    uint64_t now = connection_now_ms();
    grpc_timeout_print(deadline_ms > now ? deadline_ms - now : 1, timeout);
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
    if (http2_request(c->http2, &c->stream, headers, sizeof headers / sizeof headers[0], false) !=
        RC_OK) {
        c->failed = true;
        return CONNECTION_NOT_SENT;
    }
    struct buf *out = http2_stream_out(&c->stream);
    size_t begin = grpc_frame_begin(out);
    buf_append_slice(out, request);
    http2_stream_wrote(&c->stream, grpc_frame_end(out, begin));
    http2_stream_finish(&c->stream, NULL, 0);
    while (!c->failed && !c->is_closed) {
        pump_out(c);
        if (c->failed) {
            break;
        }
        int ready = wait_fd(c->fd, c->out.size > 0 ? POLLIN | POLLOUT : POLLIN, deadline_ms);
        if (ready == 0) {
            c->failed = true; /* its late answer must not meet the next call */
            return CONNECTION_TIMEOUT;
        }
        if (ready < 0 || (ready & (POLLIN | POLLERR | POLLHUP)) != 0) {
            pump_in(c);
        }
    }
    return finish(c, answer);
}
