#include "net/conn.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"

static uint64_t conn_now(const struct conn *c)
{
    return c->server->env->now_ms(c->server->env);
}

void conn_mark(struct conn *c)
{
    if (list_empty(&c->dirty)) {
        list_push_back(&c->server->dirty, &c->dirty);
        c->server->dirty_count++;
    }
}

static void conn_unmark(struct conn *c)
{
    if (!list_empty(&c->dirty)) {
        list_remove(&c->dirty);
        c->server->dirty_count--;
    }
}

static void conn_close_later(struct conn *c, bool flush)
{
    if (c->stage != CONN_CLOSING) {
        c->flush = flush;
        c->stage = CONN_CLOSING;
    }
    c->flush = c->flush && flush;
    conn_mark(c);
}

void conn_read_or_not(struct conn *c)
{
    bool reads =
        !c->is_full && !c->is_paused && c->held.size == 0 && c->stage != CONN_CLOSING;
    if (reads != c->reads) {
        c->reads = reads;
        c->server->env->net->read_pause(c->stream, !reads);
    }
}

/* What the connection itself holds. */
static void conn_note_memory(struct conn *c)
{
    memory_note(&c->memory, MEMORY_READ, c->rest.size + c->held.size);
    memory_note(&c->memory, MEMORY_WRITTEN,
                c->stream != NULL ? c->server->env->net->queued(c->stream) : 0);
}

void conn_renew_memory(struct memory_hold *h)
{
    conn_note_memory(LIST_OF(h, struct conn, memory));
}

void conn_evict(struct memory_hold *h)
{
    struct conn *c = LIST_OF(h, struct conn, memory);
    if (c->state != NULL && c->front->drop != NULL) {
        c->front->drop(c->state);
    }
    conn_close_later(c, false);
}

/* ---- the sink ---------------------------------------------------------------------------- */

static bool sink_write(void *conn, struct slice bytes)
{
    struct conn *c = conn;
    if (c->stage == CONN_CLOSING) {
        return true;
    }
    metric_add(c->server->bytes_out, (int64_t)bytes.size);
    c->written_bytes += bytes.size;
    if (!c->server->env->net->write(c->stream, bytes)) {
        c->is_full = true;
        conn_read_or_not(c);
    }
    return !c->is_full;
}

static size_t sink_queued(void *conn)
{
    struct conn *c = conn;
    return c->server->env->net->queued(c->stream);
}

static void sink_wake(void *conn)
{
    conn_mark(conn);
}

static void sink_pause(void *conn, bool paused)
{
    struct conn *c = conn;
    if (c->is_paused && !paused) {
        c->is_resumed = true;
        conn_mark(c);
    }
    c->is_paused = paused;
    conn_read_or_not(c);
}

static void sink_close(void *conn, bool flush)
{
    conn_close_later(conn, flush);
}

/* ---- feeding the front ------------------------------------------------------------------- */

/* The end of the connection's protocol, for a reason worth a line. */
static void conn_fail(struct conn *c, enum status rc, const char *what)
{
    log_debug(c->server->log, "client.closed", "peer=%s front=%s reason=\"%s: %s\"",
              c->front_env.peer, c->front->name, what, status_text(rc));
    conn_close_later(c, true);
}

/* Offers bytes to the front; returns what it left over. */
static struct slice conn_offer(struct conn *c, struct slice bytes)
{
    ptrdiff_t taken = c->front->feed(c->state, bytes);
    conn_mark(c);
    if (c->stage == CONN_CLOSING) {
        return slice_make(NULL, 0);
    }
    if (taken < 0) {
        conn_fail(c, (enum status) - taken, "input");
        return slice_make(NULL, 0);
    }
    PRE((size_t)taken <= bytes.size);
    return slice_make(bytes.data + taken, bytes.size - (size_t)taken);
}

void conn_feed(struct conn *c, struct slice bytes)
{
    if (c->rest.size > 0 || c->is_paused) {
        buf_append_slice(&c->rest, bytes);
        if (!c->is_paused) {
            struct slice left = conn_offer(c, buf_slice(&c->rest));
            buf_consume(&c->rest, c->rest.size - left.size);
        }
    } else {
        buf_append_slice(&c->rest, conn_offer(c, bytes));
    }
    if (c->rest.size == 0) {
        buf_close(&c->rest);
    } else if (c->rest.size > c->front->rest_bytes_max) {
        conn_fail(c, RC_TOO_LARGE, "request");
    }
    conn_note_memory(c);
    (void)memory_admits(&c->memory);
}

/* ---- finding the protocol ---------------------------------------------------------------- */

/* In its own words, before the door is closed. */
static void conn_refuse_plain(struct conn *c, enum server_protocol protocol, struct slice first)
{
    struct slice words = server_plain_refusal(protocol, first);
    struct server *s = c->server;
    metric_add(s->refused_plain, 1);
    if (log_is_due(&s->plain_logged_ms, conn_now(c))) {
        log_warn(s->log, "client.refused",
                 "peer=%s reason=\"plain text, and this port speaks TLS only\"",
                 c->front_env.peer);
    }
    if (words.size > 0) {
        (void)sink_write(c, words);
    }
    conn_close_later(c, true);
}

static void conn_open_front(struct conn *c, enum server_protocol protocol)
{
    struct server *s = c->server;
    c->front = s->options.fronts[protocol];
    c->state = mem_zalloc(c->front->state_size);
    c->front_env.tls = env_stream_tls(s->env, c->stream);
    c->front_env.settings = s->options.settings[protocol];
    c->front_env.shared = s->shared[protocol];
    enum status rc = c->front->open(c->state, &c->front_env);
    if (rc != RC_OK) {
        conn_fail(c, rc, "open");
        mem_free(c->state);
        c->state = NULL; /* conn_free does not call the front's close */
        return;
    }
    heap_remove(&s->deadlines, &c->deadline); /* the front names its own in the next turn */
    metric_add(c->gauge, -1);
    c->gauge = s->gauges[protocol];
    metric_add(c->gauge, 1);
    if (c->stage == CONN_DETECTING) {
        c->stage = CONN_OPEN;
    }
}

static void conn_detect(struct conn *c, struct slice bytes)
{
    struct server *s = c->server;
    enum server_protocol protocol;
    const char *why = "a protocol that is not served here";
    if (c->rest.size > 0) {
        buf_append_slice(&c->rest, bytes);
        bytes = buf_slice(&c->rest);
    }
    if (!server_detect(bytes, &protocol, &why)) {
        if (c->rest.size == 0) {
            buf_append_slice(&c->rest, bytes);
        }
        return;
    }
    if (protocol == SERVER_PROTOCOLS || s->options.fronts[protocol] == NULL) {
        metric_add(s->refused_protocol, 1);
        log_info(s->log, "client.refused", "peer=%s reason=\"%s\"", c->front_env.peer, why);
        conn_close_later(c, false);
        return;
    }
    if (env_stream_tls(s->env, c->stream) == NULL &&
        !server_takes_plain(s, c->front_env.peer)) {
        conn_refuse_plain(c, protocol, bytes);
        return;
    }
    conn_open_front(c, protocol);
    if (c->stage == CONN_OPEN) {
        struct buf first = c->rest; /* conn_feed begins with an empty rest */
        c->rest = (struct buf){0};
        conn_receive(c, bytes);
        buf_close(&first);
    }
}

/* ---- what the stream reports ------------------------------------------------------------- */

static void conn_data(void *owner, struct slice bytes)
{
    struct conn *c = owner;
    metric_add(c->server->bytes_in, (int64_t)bytes.size);
    if (c->stage == CONN_OPEN) {
        conn_receive(c, bytes);
    } else if (c->stage == CONN_DETECTING) {
        conn_detect(c, bytes);
    }
}

static void conn_drain(void *owner)
{
    struct conn *c = owner;
    c->is_full = false;
    conn_mark(c);
}

static void conn_closed(void *owner, enum status rc)
{
    struct conn *c = owner;
    (void)rc;
    c->stream = NULL;
    conn_free(c, false);
}

static const struct env_stream_events conn_events = {
    .data = conn_data,
    .drain = conn_drain,
    .closed = conn_closed,
};

/* ---- life -------------------------------------------------------------------------------- */

void conn_new(struct server *s, struct env_stream *stream)
{
    struct conn *c = mem_zalloc(sizeof *c);
    c->server = s;
    c->stream = stream;
    c->stage = CONN_DETECTING;
    c->reads = true;
    c->front_env = (struct front_env){.node = s->options.node,
                                      .env = s->env,
                                      .log = s->log,
                                      .metrics = s->options.metrics,
                                      .super_digest = s->options.super_digest,
                                      .logins = s->logins,
                                      .audit = s->options.audit,
                                      .allowances = s->allowances,
                                      .vitals = s->options.vitals,
                                      .planner = s->options.planner,
                                      .limits = &s->options.limits,
                                      .sink = {.conn = c,
                                               .write = sink_write,
                                               .queued = sink_queued,
                                               .wake = sink_wake,
                                               .pause = sink_pause,
                                               .close = sink_close}};
    s->env->net->peer_name(stream, c->front_env.peer, sizeof c->front_env.peer);
    list_init(&c->dirty);
    list_init(&c->waiting);
    list_push_back(&s->conns, &c->link);
    memory_hold_open(&s->memory, &c->memory, c->front_env.peer);
    c->front_env.memory = &c->memory;
    s->conn_count++;
    c->gauge = s->gauge_detecting;
    metric_add(c->gauge, 1);
    heap_push(&s->deadlines, &c->deadline, conn_now(c) + s->options.handshake_ms);
    s->env->net->attach(stream, &conn_events, c);
}

void conn_free(struct conn *c, bool flush)
{
    struct server *s = c->server;
    c->stage = CONN_CLOSING;
    if (c->state != NULL) {
        c->front->close(c->state);
        mem_free(c->state);
    }
    if (c->stream != NULL) {
        s->env->net->close(c->stream, flush);
    }
    memory_hold_close(&c->memory);
    conn_unmark(c); /* after the front, which may have woken it */
    conn_leave_line(c);
    list_remove(&c->link);
    s->conn_count--;
    metric_add(c->gauge, -1);
    heap_remove(&s->deadlines, &c->deadline);
    buf_close(&c->rest);
    buf_close(&c->held);
    mem_free(c);
}

/* Notes whether the client takes what is queued. Returns when it will have taken nothing of it for
 * too long. */
static uint64_t conn_note_progress(struct conn *c)
{
    size_t queued = c->server->env->net->queued(c->stream);
    uint64_t taken = c->written_bytes - queued;
    if (queued == 0) {
        c->stalled_ms = 0;
        return UINT64_MAX;
    }
    if (c->stalled_ms == 0 || taken != c->taken_bytes) {
        c->taken_bytes = taken;
        c->stalled_ms = conn_now(c);
    }
    return c->stalled_ms + c->server->options.write_ms;
}

/* Asks the front for its next deadline. */
static void conn_update_deadline(struct conn *c, uint64_t not_before_ms)
{
    uint64_t due = c->front->next_deadline_ms(c->state);
    uint64_t unread = conn_note_progress(c);
    due = unread < due ? unread : due;
    if (due == UINT64_MAX) {
        heap_remove(&c->server->deadlines, &c->deadline);
    } else {
        heap_update(&c->server->deadlines, &c->deadline,
                    due > not_before_ms ? due : not_before_ms);
    }
}

void conn_turn(struct conn *c)
{
    uint64_t began_us = c->server->env->now_us(c->server->env);
    conn_unmark(c);
    if (c->stage == CONN_OPEN && !c->is_full) {
        if (c->is_resumed && !c->is_paused) {
            c->is_resumed = false;
            if (c->rest.size > 0) {
                conn_feed(c, slice_make(NULL, 0));
                /* The turn below answers for this feeding too. */
            }
        }
        if (c->stage == CONN_OPEN) {
            c->front->turn(c->state);
        }
        conn_note_memory(c);
    }
    memory_turned(&c->memory);
    (void)memory_admits(&c->memory);
    if (c->stage == CONN_CLOSING) {
        conn_free(c, c->flush);
        return;
    }
    conn_note_spent(c, began_us);
    c->spent_us = 0;
    conn_return_to_line(c);
    conn_read_or_not(c);
    if (c->stage == CONN_OPEN) {
        conn_update_deadline(c, 0);
    }
}

void conn_tick(struct conn *c, uint64_t now_ms)
{
    if (c->stage == CONN_DETECTING) {
        metric_add(c->server->refused_timeout, 1);
        log_debug(c->server->log, "client.refused",
                  "peer=%s reason=\"nothing said for %" PRIu64 " ms\"", c->front_env.peer,
                  c->server->options.handshake_ms);
        conn_free(c, false);
        return;
    }
    if (c->stage == CONN_OPEN && conn_note_progress(c) <= now_ms) {
        metric_add(c->server->unread, 1);
        log_info(c->server->log, "client.unread", "peer=%s front=%s bytes=%zu",
                 c->front_env.peer, c->front->name, sink_queued(c));
        conn_free(c, false);
        return;
    }
    if (c->stage == CONN_OPEN) {
        if (c->front->next_deadline_ms(c->state) <= now_ms) {
            c->front->tick(c->state, now_ms);
        }
        conn_mark(c);
        /* A front that has nothing new to say must not be ticked for ever in one turn. */
        conn_update_deadline(c, now_ms + 1);
    } else {
        heap_remove(&c->server->deadlines, &c->deadline); /* closing: marked already */
    }
}

void conn_stop(struct conn *c)
{
    if (c->stage == CONN_OPEN) {
        c->front->stop(c->state);
        conn_mark(c);
    } else {
        conn_close_later(c, c->stage == CONN_CLOSING && c->flush);
    }
}
