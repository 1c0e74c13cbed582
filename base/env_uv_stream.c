/* Byte streams over TCP.
 *
 *              connect() ----> CONNECTING --env_uv_stream_opened--> OPEN <---- accepted
 *                                  |  ^                       |  |
 *                      next address+--+                       |  +--close(flush)--> FLUSHING
 *                                  |                          |                        |
 *   failed, or ended by the other: +-----> ENDED <------------+                        |
 *   close():                       +-----> SHUT <-------------+------------------------+
 *
 * ENDED and SHUT have asked libuv to close the handle; its close callback frees the stream, and
 * tells the owner before that if it was ENDED. So no callback ever comes from inside the call that
 * caused it. An owner that closes an ENDED stream, not knowing yet, makes it SHUT. What happens
 * inside CONNECTING is in env_uv_dial.c.
 *
 * Writing. What the kernel does not take at once waits in two buffers: `flight` is being sent by
 * one uv_write request, in chunks so that progress shows, `waiting` collects what comes meanwhile
 * and becomes the next flight: many small writes become one. Neither exists on an idle stream.
 *
 * Flushing. When everything went out, the sending side is shut down and what still arrives is read
 * and dropped until the other side closes, for ENV_UV_FLUSH_MS at most: closing a socket with
 * unread bytes would reset the connection and destroy the last reply on its way.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/env_uv_stream.h"
#include "base/mem.h"

#define STREAM_CHUNK_BYTES ((size_t)256 << 10)
#define STREAM_KEEPALIVE_SECONDS 30

static void stream_send_chunk(struct env_stream *s);
static void stream_write_cb(uv_write_t *req, int error);

enum status env_uv_stream_status(int uv_error)
{
    switch (uv_error) {
    case UV_EOF:
    case UV_ECONNRESET:
    case UV_ECONNABORTED:
    case UV_EPIPE:
        return RC_CLOSED;
    case UV_ECONNREFUSED:
        return RC_REFUSED;
    case UV_ETIMEDOUT:
        return RC_TIMEOUT;
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
        return RC_NOT_FOUND;
    default:
        return RC_IO;
    }
}

/* ---- life -------------------------------------------------------------------------------- */

static struct env_stream *stream_new(struct env_uv *e, enum stream_state state)
{
    struct env_stream *s = mem_zalloc(sizeof *s);
    s->env = e;
    s->state = state;
    int rc = uv_tcp_init(e->loop, &s->tcp); /* makes no socket yet, hence cannot fail */
    POST(rc == 0);
    s->tcp.data = s;
    s->write_req.data = s;
    list_init(&s->flushing);
    list_push_back(&e->streams, &s->all);
    e->pending++;
    return s;
}

/* By the time this runs every request of the handle has had its callback. */
void env_uv_stream_closed_cb(uv_handle_t *handle)
{
    struct env_stream *s = handle->data;
    if (s->state == STREAM_CONNECTING) {
        int rc = uv_tcp_init(s->env->loop, &s->tcp);
        POST(rc == 0);
        env_uv_dial_next(s);
        return;
    }
    if (s->state == STREAM_ENDED) {
        s->events->closed(s->owner, s->rc);
    }
    env_uv_dial_drop(s);
    list_remove(&s->all);
    buf_close(&s->flight);
    buf_close(&s->waiting);
    s->env->pending--;
    mem_free(s);
}

/* The handle may be closing already, between two addresses. */
static void stream_shut(struct env_stream *s)
{
    s->state = STREAM_SHUT;
    list_remove(&s->flushing);
    if (!uv_is_closing((uv_handle_t *)&s->tcp)) {
        uv_close((uv_handle_t *)&s->tcp, env_uv_stream_closed_cb);
    }
}

/* Ended from outside. The owner is told later; an accepted stream that has none yet waits for it,
 * since whoever was given the pointer will still attach or close. */
void env_uv_stream_end(struct env_stream *s, enum status rc)
{
    if (s->state == STREAM_FLUSHING) {
        stream_shut(s);
        return;
    }
    s->state = STREAM_ENDED;
    s->rc = rc;
    if (s->events != NULL) {
        uv_close((uv_handle_t *)&s->tcp, env_uv_stream_closed_cb);
    }
}

/* ---- reading ----------------------------------------------------------------------------- */

static void stream_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *to)
{
    (void)suggested;
    struct env_stream *s = handle->data;
    to->base = s->env->read_buffer;
    to->len = ENV_UV_READ_BYTES;
}

static void stream_read_cb(uv_stream_t *handle, ssize_t n, const uv_buf_t *from)
{
    struct env_stream *s = handle->data;
    if (s->state == STREAM_OPEN && n > 0) {
        s->events->data(s->owner, slice_make(from->base, (size_t)n));
    } else if (s->state == STREAM_OPEN && n < 0) {
        env_uv_stream_end(s, env_uv_stream_status((int)n));
    } else if (s->state == STREAM_FLUSHING && n < 0) {
        s->other_side_done = true;
        uv_read_stop(handle);
        if (!s->writing || n != UV_EOF) {
            stream_shut(s);
        }
    }
}

static void stream_read_start(struct env_stream *s)
{
    int rc = uv_read_start((uv_stream_t *)&s->tcp, stream_alloc_cb, stream_read_cb);
    if (rc < 0 && rc != UV_EALREADY) {
        env_uv_stream_end(s, env_uv_stream_status(rc));
    }
}

void env_uv_read_pause(struct env_stream *s, bool paused)
{
    s->paused = paused;
    if (s->state != STREAM_OPEN || s->events == NULL) {
        return;
    }
    if (paused) {
        uv_read_stop((uv_stream_t *)&s->tcp);
    } else {
        stream_read_start(s);
    }
}

/* ---- connecting -------------------------------------------------------------------------- */

static void stream_tune(struct env_stream *s)
{
    /* If the other side is gone already these fail, and reading will say so. */
    (void)uv_tcp_nodelay(&s->tcp, 1);
    (void)uv_tcp_keepalive(&s->tcp, 1, STREAM_KEEPALIVE_SECONDS);
}

void env_uv_stream_opened(struct env_stream *s)
{
    s->state = STREAM_OPEN;
    env_uv_dial_drop(s);
    stream_tune(s);
    if (!s->paused) {
        stream_read_start(s);
    }
    if (s->state == STREAM_OPEN && s->waiting.size > 0) {
        stream_send_chunk(s);
    }
    if (s->state == STREAM_OPEN) {
        s->events->open(s->owner);
    }
}

struct env_stream *env_uv_connect(struct env *env, const char *host, uint16_t port,
                                  const struct env_stream_events *events, void *owner)
{
    struct env_stream *s = stream_new(env_uv_of(env), STREAM_CONNECTING);
    s->events = events;
    s->owner = owner;
    env_uv_dial_start(s, host, port);
    return s;
}

struct env_stream *env_uv_stream_accepted(struct env_uv *e, int fd)
{
    struct env_stream *s = stream_new(e, STREAM_OPEN);
    if (uv_tcp_open(&s->tcp, fd) < 0) {
        close(fd);
        stream_shut(s);
        return NULL;
    }
    stream_tune(s);
    return s;
}

void env_uv_attach(struct env_stream *s, const struct env_stream_events *events, void *owner)
{
    PRE(s->events == NULL);
    s->events = events;
    s->owner = owner;
    if (s->state == STREAM_ENDED) { /* it broke under a write that came first */
        uv_close((uv_handle_t *)&s->tcp, env_uv_stream_closed_cb);
    } else if (!s->paused) {
        stream_read_start(s);
    }
}

/* ---- writing ----------------------------------------------------------------------------- */

size_t env_uv_queued(const struct env_stream *s)
{
    return s->flight.size - s->flight_sent + s->waiting.size;
}

/* Sends the next chunk of the flight, or makes what is waiting the new flight. */
static void stream_send_chunk(struct env_stream *s)
{
    if (s->flight_sent == s->flight.size) {
        struct buf empty = s->flight;
        buf_clear(&empty);
        s->flight = s->waiting;
        s->waiting = empty;
        s->flight_sent = 0;
    }
    size_t left = s->flight.size - s->flight_sent;
    s->chunk = left < STREAM_CHUNK_BYTES ? left : STREAM_CHUNK_BYTES;
    uv_buf_t part = {.base = (char *)s->flight.data + s->flight_sent, .len = s->chunk};
    s->writing = true;
    int rc = uv_write(&s->write_req, (uv_stream_t *)&s->tcp, &part, 1, stream_write_cb);
    if (rc < 0) {
        s->writing = false;
        env_uv_stream_end(s, env_uv_stream_status(rc));
    }
}

static void stream_shutdown_cb(uv_shutdown_t *req, int error)
{
    (void)req;
    (void)error; /* reading tells when the other side is done; the deadline covers the rest */
}

/* Everything of a flushing stream is with the kernel. */
static void stream_flushed(struct env_stream *s)
{
    if (s->other_side_done ||
        uv_shutdown(&s->shutdown_req, (uv_stream_t *)&s->tcp, stream_shutdown_cb) < 0) {
        stream_shut(s);
    }
}

static void stream_write_cb(uv_write_t *req, int error)
{
    struct env_stream *s = req->data;
    s->writing = false;
    if (s->state != STREAM_OPEN && s->state != STREAM_FLUSHING) {
        return; /* closing, and so cancelled */
    }
    if (error < 0) {
        env_uv_stream_end(s, env_uv_stream_status(error));
        return;
    }
    s->flight_sent += s->chunk;
    if (env_uv_queued(s) > 0) {
        stream_send_chunk(s);
    } else {
        s->flight_sent = 0;
        buf_close(&s->flight);
        buf_close(&s->waiting);
        if (s->state == STREAM_FLUSHING) {
            stream_flushed(s);
            return;
        }
    }
    if (s->state == STREAM_OPEN && s->blocked && env_uv_queued(s) < ENV_STREAM_QUEUE_MAX / 2) {
        s->blocked = false;
        if (s->events != NULL && s->events->drain != NULL) {
            s->events->drain(s->owner);
        }
    }
}

/* Offers bytes to the kernel directly; returns how many it took. */
static size_t stream_try_write(struct env_stream *s, struct slice bytes)
{
    /* libuv only reads through the pointer, its type just does not say so. */
    uv_buf_t part = {.base = (char *)(uintptr_t)bytes.data, .len = bytes.size};
    int n = uv_try_write((uv_stream_t *)&s->tcp, &part, 1);
    if (n < 0 && n != UV_EAGAIN) {
        env_uv_stream_end(s, env_uv_stream_status(n));
    }
    return n > 0 ? (size_t)n : 0;
}

bool env_uv_write(struct env_stream *s, struct slice bytes)
{
    PRE(s->state != STREAM_FLUSHING && s->state != STREAM_SHUT);
    if (bytes.size > 0 && s->state == STREAM_OPEN && !s->writing) {
        size_t taken = stream_try_write(s, bytes);
        bytes = slice_make(bytes.data + taken, bytes.size - taken);
    }
    if (s->state != STREAM_OPEN && s->state != STREAM_CONNECTING) {
        return true; /* ended; the owner will hear of it */
    }
    if (bytes.size > 0) {
        buf_append_slice(&s->waiting, bytes);
        if (s->state == STREAM_OPEN && !s->writing) {
            stream_send_chunk(s);
        }
    }
    if (env_uv_queued(s) <= ENV_STREAM_QUEUE_MAX) {
        return true;
    }
    s->blocked = true;
    return false;
}

/* ---- closing ----------------------------------------------------------------------------- */

static void env_uv_arm_flush(struct env_uv *e);

static void env_uv_flush_cb(uv_timer_t *timer)
{
    struct env_uv *e = timer->data;
    uint64_t now_ms = e->env.now_ms(&e->env);
    while (!list_empty(&e->flushing)) {
        struct env_stream *s = LIST_OF(e->flushing.next, struct env_stream, flushing);
        if (s->flush_deadline_ms > now_ms) {
            break;
        }
        stream_shut(s);
    }
    env_uv_arm_flush(e);
}

static void env_uv_arm_flush(struct env_uv *e)
{
    if (list_empty(&e->flushing)) {
        return;
    }
    struct env_stream *first = LIST_OF(e->flushing.next, struct env_stream, flushing);
    uint64_t now_ms = e->env.now_ms(&e->env);
    uint64_t at_ms = first->flush_deadline_ms;
    uv_timer_start(&e->flush_timer, env_uv_flush_cb, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void stream_flush(struct env_stream *s)
{
    struct env_uv *e = s->env;
    s->state = STREAM_FLUSHING;
    s->flush_deadline_ms = e->env.now_ms(&e->env) + ENV_UV_FLUSH_MS;
    list_push_back(&e->flushing, &s->flushing);
    if (!uv_is_active((uv_handle_t *)&e->flush_timer)) {
        env_uv_arm_flush(e);
    }
    stream_read_start(s);
    if (s->state == STREAM_FLUSHING && !s->writing) {
        stream_flushed(s);
    }
}

void env_uv_stream_close(struct env_stream *s, bool flush)
{
    PRE(s->state != STREAM_FLUSHING && s->state != STREAM_SHUT);
    s->events = NULL;
    s->owner = NULL;
    if (flush && s->state == STREAM_OPEN) {
        stream_flush(s);
    } else {
        stream_shut(s);
    }
}

void env_uv_streams_init(struct env_uv *e)
{
    list_init(&e->streams);
    list_init(&e->lookups);
    list_init(&e->flushing);
    e->read_buffer = mem_alloc(ENV_UV_READ_BYTES);
    uv_timer_init(e->loop, &e->flush_timer);
    e->flush_timer.data = e;
    e->pending++;
}

void env_uv_streams_close(struct env_uv *e)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH (it, tmp, &e->streams) {
        struct env_stream *s = LIST_OF(it, struct env_stream, all);
        s->events = NULL;
        stream_shut(s);
    }
}

/* ---- names ------------------------------------------------------------------------------- */

void env_uv_peer_name(const struct env_stream *s, char *text, size_t bytes)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    char host[INET6_ADDRSTRLEN];
    if (uv_tcp_getpeername(&s->tcp, (struct sockaddr *)&address, &size) < 0) {
        snprintf(text, bytes, "unknown");
    } else if (address.ss_family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
        unsigned port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) { /* an IPv4 client of a "::" listener */
            uv_inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], host, sizeof host);
            snprintf(text, bytes, "%s:%u", host, port);
        } else {
            uv_ip6_name(in6, host, sizeof host);
            snprintf(text, bytes, "[%s]:%u", host, port);
        }
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        uv_ip4_name(in, host, sizeof host);
        snprintf(text, bytes, "%s:%u", host, (unsigned)ntohs(in->sin_port));
    }
}

const struct env_net env_uv_net = {
    .listen = env_uv_listen,
    .listener_port = env_uv_listener_port,
    .listener_close = env_uv_listener_close,
    .connect = env_uv_connect,
    .attach = env_uv_attach,
    .write = env_uv_write,
    .queued = env_uv_queued,
    .read_pause = env_uv_read_pause,
    .close = env_uv_stream_close,
    .peer_name = env_uv_peer_name,
};
