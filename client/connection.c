#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/connection_internal.h"
#include "client/exchange.h"
#include "client/memory.h"
#include "client/socket.h"

#define TAKE_BYTES     ((size_t)64 << 10)
#define OUT_KEPT_BYTES ((size_t)256 << 10)
#define CONTROL_BYTES  ((size_t)64 << 10) /* what may go out besides data, in one piece */
#define READS_MAX      64 /* in one round, so that nobody keeps others waiting */

/* ---- its end ----------------------------------------------------------------------------- */

void connection_touch(struct connection *c)
{
    if (c->is_running) {
        c->was_touched = true;
    } else {
        uint64_t now = socket_now_ms(); /* whoever is due before it comes first */
        if (!c->timer.runs || c->timer.due_ms > now) {
            loop_timer_set(c->loop, &c->timer, now);
        }
    }
}

void connection_fail(struct connection *c, const char *why)
{
    if (c->http2 == NULL) {
        return;
    }
    struct list *it;
    struct list *tmp;
    snprintf(c->why, sizeof c->why, "%s", why);
    http2_free(c->http2);
    c->http2 = NULL;
    c->is_open = false;
    loop_remove(c->loop, &c->fd);
    wire_close(&c->wire);
    buf_close(&c->out);
    LIST_EACH(it, tmp, &c->exchanges)
    {
        struct exchange *x = LIST_OF(it, struct exchange, link);
        list_remove(&x->news);
        list_push_back(&c->news, &x->news);
    }
    connection_touch(c);
}

/* A server of ours speaks first. One that ended TLS, or did not speak HTTP/2, before it said
 * anything has not let us in, and has processed nothing. */
static void fail_wire(struct connection *c)
{
    char why[sizeof c->why];
    const char *tls = wire_error(&c->wire);
    c->was_kept_out = c->was_kept_out || (tls[0] != '\0' && !c->has_heard);
    if (tls[0] != '\0') {
        snprintf(why, sizeof why, "TLS: %s", tls);
    } else {
        snprintf(why, sizeof why, "connection lost");
    }
    connection_fail(c, why);
}

static void fail_memory(struct connection *c)
{
    c->has_no_memory = true;
    connection_fail(c, "out of memory");
}

/* ---- output ------------------------------------------------------------------------------ */

/* Room for all that http2_take may append: every byte of data there is, if the server's windows
 * allow it, each 16 KiB of it with a frame's header. */
static bool reserve_take(struct connection *c)
{
    size_t queued = http2_queued(c->http2);
    if (queued == 0 && c->out.size == 0 && c->out.capacity > OUT_KEPT_BYTES) {
        buf_close(&c->out);
    }
    return memory_reserve(&c->out, CONTROL_BYTES + TAKE_BYTES + queued + queued / 1024);
}

bool connection_frame(struct connection *c)
{
    bool has_more = true;
    while (has_more) {
        if (!reserve_take(c)) {
            fail_memory(c);
            return false;
        }
        has_more = http2_take(c->http2, &c->out, c->out.size + TAKE_BYTES);
    }
    return true;
}

/* Writes what there is, as far as the socket takes it. */
static void pump_out(struct connection *c)
{
    if (!wire_flush(&c->wire)) {
        fail_wire(c);
        return;
    }
    for (;;) {
        if (c->out.size == 0 && !reserve_take(c)) {
            fail_memory(c);
            return;
        }
        if (c->out.size == 0) {
            (void)http2_take(c->http2, &c->out, TAKE_BYTES);
        }
        if (c->out.size == 0) {
            break;
        }
        ssize_t n = wire_write(&c->wire, buf_slice(&c->out));
        if (n < 0) {
            fail_wire(c);
            return;
        }
        if (n == 0) {
            break;
        }
        buf_consume(&c->out, (size_t)n);
    }
    if (http2_is_done(c->http2)) {
        fail_wire(c);
    }
}

/* ---- input ------------------------------------------------------------------------------- */

static void take_bytes(struct connection *c, struct slice bytes)
{
    bool is_http1 = !c->has_heard && bytes.size > 7 && memcmp(bytes.data, "HTTP/1.", 7) == 0;
    c->heard_ms = socket_now_ms();
    if (is_http1) {
        c->was_kept_out = true;
        connection_fail(c, "answers HTTP/1: perhaps it wants TLS");
        return;
    }
    c->has_heard = true;
    enum status rc = http2_feed(c->http2, bytes);
    if (rc == RC_NO_MEMORY) {
        fail_memory(c);
    } else if (rc != RC_OK) {
        fail_wire(c);
    }
}

static void pump_in(struct connection *c)
{
    uint8_t bytes[WIRE_READ_BYTES];
    c->has_input = false;
    for (int i = 0; i < READS_MAX; i++) {
        size_t got;
        enum wire_result result = wire_read(&c->wire, bytes, &got);
        if (result == WIRE_NOTHING) {
            return;
        }
        if (result != WIRE_DATA) {
            fail_wire(c);
            return;
        }
        take_bytes(c, slice_make(bytes, got));
        if (c->http2 == NULL) {
            return;
        }
    }
    c->has_input = true; /* more may wait where poll(2) does not see it */
}

/* ---- rounds ------------------------------------------------------------------------------ */

static bool register_socket(struct connection *c)
{
    c->fd.fd = c->wire.fd;
    if (loop_add(c->loop, &c->fd, wire_events(&c->wire, false))) {
        return true;
    }
    c->fd.fd = -1;
    connection_fail(c, "out of memory");
    return false;
}

/* The next address; the socket of the last one is closed after the loop has let go of it. */
static void try_next(struct connection *c)
{
    loop_remove(c->loop, &c->fd);
    if (!wire_next(&c->wire)) {
        connection_fail(c, c->wire.why);
        return;
    }
    (void)register_socket(c);
}

static void go_on_opening(struct connection *c)
{
    switch (wire_advance(&c->wire)) {
    case WIRE_GOES_ON: break;
    case WIRE_ELSEWHERE: try_next(c); break;
    case WIRE_OVER: connection_fail(c, c->wire.why); break;
    case WIRE_READY:
        c->is_open = true;
        c->opened_ms = socket_now_ms();
        loop_timer_stop(c->loop, &c->timer);
        return;
    }
    if (c->http2 != NULL) {
        loop_timer_set(c->loop, &c->timer, wire_due_ms(&c->wire));
    }
}

/* What an exchange does when it is told may tell the others, end this one, or begin another. */
static void deliver(struct connection *c)
{
    struct list *node;
    while ((node = list_pop_front(&c->news)) != NULL) {
        struct exchange *x = LIST_OF(node, struct exchange, news);
        x->changed(x);
    }
}

/* `reads`: there may be something to read. */
static void run(struct connection *c, bool reads)
{
    c->is_running = true;
    if (c->http2 != NULL && !c->is_open) {
        go_on_opening(c);
    }
    if (c->is_open && reads) {
        pump_in(c);
    }
    deliver(c);
    if (c->is_open) {
        pump_out(c);
    }
    c->was_touched = c->has_input;
    deliver(c);
    if (c->http2 != NULL && c->fd.fd >= 0 &&
        !loop_set(c->loop, &c->fd, wire_events(&c->wire, c->out.size > 0))) {
        fail_memory(c);
    }
    c->is_running = false;
    if (c->was_touched) {
        connection_touch(c);
    }
    if (list_empty(&c->exchanges)) {
        c->idle(c->owner, c);
    }
}

static void on_ready(struct loop_fd *f)
{
    run(LOOP_OF(f, struct connection, fd), true);
}

static void on_timer(struct loop_timer *t)
{
    struct connection *c = LOOP_OF(t, struct connection, timer);
    run(c, c->has_input);
}

/* ---- what others see --------------------------------------------------------------------- */

struct connection *connection_open(const struct connection_options *o)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    list_init(&c->exchanges);
    list_init(&c->news);
    list_push_back(o->list, &c->link);
    c->loop = o->loop;
    c->use = o->use;
    c->endpoint = *o->endpoint;
    c->idle = o->idle;
    c->owner = o->owner;
    c->fd = (struct loop_fd){.fd = -1, .ready = on_ready};
    c->timer = (struct loop_timer){.fire = on_timer};
    c->wire.fd = -1;
    c->http2 = http2_new(false, 0, &exchange_events, c);
    if (c->http2 == NULL) {
        connection_close(c);
        return NULL;
    }
    char why[sizeof c->why] = "";
    struct addrinfo *addresses =
        socket_resolve(c->endpoint.host, c->endpoint.port, why, sizeof why);
    wire_init(&c->wire, addresses, c->endpoint.host, &o->tls, o->deadline_ms);
    if (addresses == NULL) {
        connection_fail(c, why);
        return c;
    }
    if (!wire_next(&c->wire)) {
        connection_fail(c, c->wire.why);
    } else if (register_socket(c)) {
        loop_timer_set(c->loop, &c->timer, wire_due_ms(&c->wire));
    }
    return c;
}

void connection_close(struct connection *c)
{
    if (c == NULL) {
        return;
    }
    list_remove(&c->link);
    loop_timer_stop(c->loop, &c->timer);
    loop_remove(c->loop, &c->fd);
    http2_free(c->http2);
    buf_close(&c->out);
    wire_close(&c->wire);
    free(c);
}

bool connection_is_usable(struct connection *c)
{
    if (c->is_open && !c->is_running) {
        pump_in(c);
        connection_touch(c); /* what was read is told by the loop */
    }
    return c->http2 != NULL && !c->is_retired && http2_may_request(c->http2) &&
           http2_stream_count(c->http2) < http2_peer_streams_max(c->http2);
}

void connection_ping(struct connection *c, uint64_t interval_ms)
{
    uint64_t now = socket_now_ms();
    if (c->is_open && now >= c->asked_ms + interval_ms) {
        c->asked_ms = now;
        http2_ping(c->http2);
        connection_touch(c);
    }
}

void connection_retire(struct connection *c)
{
    c->is_retired = true;
    connection_touch(c);
}

uint64_t connection_opened_ms(const struct connection *c)
{
    return c->opened_ms;
}

uint64_t connection_heard_ms(const struct connection *c)
{
    return c->heard_ms;
}

int connection_fd(const struct connection *c)
{
    return c->fd.fd;
}
