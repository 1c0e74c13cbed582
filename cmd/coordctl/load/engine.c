#include "cmd/coordctl/load/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "client/socket.h"

#define CONNECT_MS   5000
#define GREET_US     ((uint64_t)10000000)
#define BYE_US       ((uint64_t)3000000)
#define RETRY_US     ((uint64_t)5000)
#define SEARCH_US    ((uint64_t)20000)
#define TICK_US      ((uint64_t)1000000)
#define EVENTS_MAX   256
#define TURN_MS      50

uint64_t load_now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void engine_fail(struct load_engine *e, const char *name, const char *why)
{
    if (!e->failed) {
        e->failed = true;
        snprintf(e->why, sizeof e->why, "%s: %s", name, why);
    }
}

/* ---- connections -------------------------------------------------------------------------- */

static void give_up_slots(struct load_connection *c)
{
    struct load_engine *e = c->engine;
    for (size_t i = 0; i < e->slots_each; i++) {
        struct load_slot *s = &c->slots[i];
        if (s->is_busy) {
            s->is_busy = false;
            e->busy--;
            c->free[c->free_count++] = s;
            e->user.answered(e->user.owner, s, false, true);
        }
    }
}

static void connection_close(struct load_connection *c)
{
    struct load_engine *e = c->engine;
    if (c->state == LOAD_OPEN) {
        e->open_count--;
    }
    if (c->state != LOAD_CLOSED) {
        wire_close(&c->wire); /* epoll forgets a closed descriptor by itself */
        e->dialect->close(c->state_of_dialect);
    }
    c->state_of_dialect = NULL;
    c->state = LOAD_CLOSED;
    c->waits_to_write = false;
    buf_clear(&c->in);
    buf_clear(&c->out);
}

void load_failed(struct load_connection *c, const char *why)
{
    struct load_engine *e = c->engine;
    if (c->state == LOAD_CLOSED) {
        return;
    }
    connection_close(c);
    c->retry_us = load_now_us() + RETRY_US;
    if (!e->options->retry) {
        engine_fail(e, c->endpoint->name, why);
    }
    give_up_slots(c);
}

static void wait_for(struct load_connection *c, bool to_write)
{
    struct epoll_event event = {.events = to_write ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data = {.ptr = c}};
    c->waits_to_write = to_write;
    if (epoll_ctl(c->engine->epoll, EPOLL_CTL_MOD, c->wire.fd, &event) != 0) {
        load_failed(c, strerror(errno));
    }
}

static void flush(struct load_connection *c)
{
    size_t sent = 0;
    while (sent < c->out.size) {
        ssize_t n = wire_write(&c->wire, slice_make(c->out.data + sent, c->out.size - sent));
        if (n < 0) {
            load_failed(c, "the connection broke");
            return;
        }
        if (n == 0) {
            break;
        }
        sent += (size_t)n;
    }
    if (sent == c->out.size) {
        buf_clear(&c->out);
    } else {
        buf_consume(&c->out, sent);
    }
    bool waits = c->out.size > 0 || wire_has_output(&c->wire);
    if (waits != c->waits_to_write) {
        wait_for(c, waits);
    }
}

/* Its wire is open. */
static bool connection_greet(struct load_connection *c)
{
    struct load_engine *e = c->engine;
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};
    if (epoll_ctl(e->epoll, EPOLL_CTL_ADD, c->wire.fd, &event) != 0) {
        engine_fail(e, c->endpoint->name, strerror(errno));
        wire_close(&c->wire);
        c->state = LOAD_CLOSED;
        return false;
    }
    c->state = LOAD_GREETING;
    c->state_of_dialect = e->dialect->open(c);
    e->dialect->greet(c);
    flush(c);
    return c->state != LOAD_CLOSED;
}

/* Waits for it. */
static bool connection_open(struct load_connection *c)
{
    struct load_engine *e = c->engine;
    char why[128];
    if (!wire_open(&c->wire, c->endpoint->host, c->endpoint->port, e->options->tls,
                   socket_now_ms() + CONNECT_MS, why, sizeof why)) {
        c->retry_us = load_now_us() + RETRY_US;
        if (!e->options->retry) {
            engine_fail(e, c->endpoint->name, why);
        }
        return false;
    }
    return connection_greet(c);
}

/* The same without waiting: a host that is silent would hold up all that goes on elsewhere. */
static void connection_begin(struct load_connection *c)
{
    static const struct wire_tls none = {.context = NULL};
    const struct load_options *o = c->engine->options;
    char why[128];
    struct addrinfo *addresses =
        socket_resolve(c->endpoint->host, c->endpoint->port, why, sizeof why);
    c->retry_us = load_now_us() + RETRY_US;
    if (addresses == NULL) {
        return;
    }
    wire_init(&c->wire, addresses, c->endpoint->host, o->tls != NULL ? o->tls : &none,
              socket_now_ms() + CONNECT_MS);
    c->state = LOAD_CONNECTING;
    if (!wire_next(&c->wire)) {
        load_failed(c, "cannot connect");
    }
}

static void connection_advance(struct load_connection *c)
{
    enum wire_progress progress = wire_advance(&c->wire);
    c->retry_us = load_now_us() + RETRY_US;
    if (progress == WIRE_READY) {
        (void)connection_greet(c);
    } else if (progress == WIRE_OVER ||
               (progress == WIRE_ELSEWHERE && !wire_next(&c->wire))) {
        load_failed(c, "cannot connect");
    }
}

void load_greeted(struct load_connection *c)
{
    c->state = LOAD_OPEN;
    c->engine->open_count++;
    struct load_slot *s = &c->slots[0];
    s->session = c->engine->owns_sessions ? 1 : 0;
    if (s->is_busy && s->op == LOAD_OP_OPEN) {
        load_answered(s, true);
    }
}

void load_ended(struct load_connection *c)
{
    connection_close(c);
    c->slots[0].session = 0;
}

/* ---- slots -------------------------------------------------------------------------------- */

void load_answered(struct load_slot *s, bool ok)
{
    struct load_connection *c = s->connection;
    struct load_engine *e = c->engine;
    s->is_busy = false;
    e->busy--;
    c->free[c->free_count++] = s;
    e->user.answered(e->user.owner, s, ok, false);
}

void load_event(struct load_connection *c, uint64_t watch, uint64_t revision)
{
    struct load_engine *e = c->engine;
    if (e->user.event != NULL) {
        e->user.event(e->user.owner, c, watch, revision);
    }
}

/* A session that is a connection: the slot is answered when the new one is greeted. */
static void reopen(struct load_connection *c)
{
    connection_close(c);
    if (!connection_open(c)) {
        give_up_slots(c);
    }
}

static void fill(struct load_connection *c)
{
    struct load_engine *e = c->engine;
    uint64_t now = load_now_us();
    /* One with nothing to do holds up none that has: it may be all that others wait for. */
    for (size_t left = c->free_count; left > 0 && !e->failed;) {
        struct load_slot *s = c->free[--left];
        if (!e->user.next(e->user.owner, s)) {
            continue;
        }
        bool opens = e->owns_sessions && s->op == LOAD_OP_OPEN;
        if (c->state != LOAD_OPEN && !opens) {
            break;
        }
        c->free[left] = c->free[--c->free_count];
        s->is_busy = true;
        s->began_us = now;
        e->busy++;
        if (opens) {
            reopen(c);
            return;
        }
        e->dialect->put(c, s);
    }
    if (c->out.size > 0 && c->state != LOAD_CLOSED) {
        flush(c);
    }
}

void load_engine_fill(struct load_engine *e)
{
    for (size_t i = 0; i < e->connection_count; i++) {
        if (e->connections[i].state == LOAD_OPEN || e->owns_sessions) {
            fill(&e->connections[i]);
        }
    }
}

/* ---- the loop ----------------------------------------------------------------------------- */

/* Takes a piece, without a copy if nothing of the last one is left. */
static void take(struct load_connection *c, struct slice bytes)
{
    const struct load_dialect *d = c->engine->dialect;
    if (c->in.size == 0) {
        size_t taken = d->feed(c, bytes);
        if (c->state != LOAD_CLOSED) {
            buf_append(&c->in, bytes.data + taken, bytes.size - taken);
        }
        return;
    }
    buf_append_slice(&c->in, bytes);
    size_t taken = d->feed(c, buf_slice(&c->in));
    if (c->state != LOAD_CLOSED) {
        buf_consume(&c->in, taken);
    }
}

static void receive(struct load_connection *c)
{
    struct load_engine *e = c->engine;
    uint8_t bytes[WIRE_READ_BYTES];
    size_t got;
    for (;;) {
        enum wire_result result = wire_read(&c->wire, bytes, &got);
        if (result == WIRE_NOTHING) {
            return;
        }
        if (result != WIRE_DATA) {
            load_failed(c, result == WIRE_ENDED ? "the server closed the connection"
                                                : "the connection broke");
            return;
        }
        e->now_us = load_now_us();
        take(c, slice_make(bytes, got));
        if (c->state == LOAD_CLOSED || (got < sizeof bytes && !wire_has_input(&c->wire))) {
            return;
        }
    }
}

/* Whether something was asked so long ago that nobody waits for the answer any more. */
static bool is_silent(const struct load_connection *c, uint64_t now_us)
{
    const struct load_engine *e = c->engine;
    for (size_t i = 0; i < e->slots_each; i++) {
        if (c->slots[i].is_busy &&
            now_us > c->slots[i].began_us + e->options->timeout_ms * 1000) {
            return true;
        }
    }
    return false;
}

static void give_up_silent(struct load_engine *e)
{
    if (!e->options->retry || e->options->timeout_ms == 0 ||
        e->now_us - e->searched_us < SEARCH_US) {
        return;
    }
    e->searched_us = e->now_us;
    for (size_t i = 0; i < e->connection_count; i++) {
        struct load_connection *c = &e->connections[i];
        if (c->state == LOAD_OPEN && is_silent(c, e->now_us)) {
            load_failed(c, "no answer in time");
        }
    }
}

static void look_after(struct load_engine *e)
{
    give_up_silent(e);
    bool ticks = e->now_us - e->ticked_us >= TICK_US;
    e->ticked_us = ticks ? e->now_us : e->ticked_us;
    if (e->owns_sessions || (!ticks && e->open_count == e->connection_count)) {
        return;
    }
    for (size_t i = 0; i < e->connection_count; i++) {
        struct load_connection *c = &e->connections[i];
        if (c->state == LOAD_CLOSED && e->options->retry && e->now_us >= c->retry_us) {
            connection_begin(c);
        } else if (c->state == LOAD_CONNECTING && e->now_us >= c->retry_us) {
            connection_advance(c);
        } else if (c->state == LOAD_OPEN && ticks && e->dialect->tick != NULL) {
            e->dialect->tick(c);
            flush(c);
        }
    }
}

void load_engine_turn(struct load_engine *e)
{
    struct epoll_event events[EVENTS_MAX];
    bool all_open = e->open_count == e->connection_count;
    int count = epoll_wait(e->epoll, events, EVENTS_MAX, all_open ? TURN_MS : 2);
    e->now_us = load_now_us();
    for (int i = 0; i < count; i++) {
        struct load_connection *c = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) != 0 && c->state != LOAD_CLOSED &&
            wire_flush(&c->wire)) {
            flush(c);
        }
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0 && c->state != LOAD_CLOSED) {
            receive(c);
        }
        if (c->state == LOAD_OPEN || e->owns_sessions) {
            fill(c);
        }
    }
    look_after(e);
    if (e->user.turn != NULL) {
        e->user.turn(e->user.owner);
    }
}

/* ---- opening ------------------------------------------------------------------------------ */

static void connection_init(struct load_engine *e, struct load_connection *c, size_t number)
{
    c->engine = e;
    c->endpoint = &e->options->endpoints[number % e->options->endpoint_count];
    c->wire.fd = -1;
    c->slots = mem_zalloc(e->slots_each * sizeof c->slots[0]);
    c->free = mem_zalloc(e->slots_each * sizeof(struct load_slot *));
    for (size_t i = e->slots_each; i-- > 0;) {
        c->slots[i].connection = c;
        c->slots[i].number = i;
        c->free[c->free_count++] = &c->slots[i];
    }
}

static bool nothing_to_do(void *owner, struct load_slot *s)
{
    (void)owner;
    (void)s;
    return false;
}

bool load_engine_open(struct load_engine *e, const struct load_options *options, size_t extra)
{
    static const struct load_dialect *const dialects[LOAD_PROTOCOLS] = {
        [LOAD_GRPC] = &load_grpc, [LOAD_ZOOKEEPER] = &load_zookeeper, [LOAD_ETCD] = &load_etcd};
    *e = (struct load_engine){.options = options,
                              .dialect = dialects[options->protocol],
                              .user = {.next = nothing_to_do},
                              .connection_count = options->connections + extra,
                              .slots_each = options->in_flight};
    e->owns_sessions = e->dialect->sessions_are_connections && options->work == LOAD_SESSION;
    uint8_t *value = mem_alloc(options->value_bytes + 1);
    for (size_t i = 0; i < options->value_bytes; i++) {
        value[i] = (uint8_t)('a' + i * 7 % 26);
    }
    e->value = slice_make(value, options->value_bytes);
    e->connections = mem_zalloc(e->connection_count * sizeof e->connections[0]);
    for (size_t i = 0; i < e->connection_count; i++) {
        connection_init(e, &e->connections[i], i);
    }
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (e->epoll < 0) {
        engine_fail(e, "epoll", strerror(errno));
        return false;
    }
    for (size_t i = 0; i < e->connection_count; i++) {
        if (!connection_open(&e->connections[i])) {
            engine_fail(e, e->connections[i].endpoint->name, "cannot connect");
            return false;
        }
    }
    uint64_t until = load_now_us() + GREET_US;
    while (e->open_count < e->connection_count && !e->failed) {
        load_engine_turn(e);
        if (e->now_us > until) {
            engine_fail(e, e->connections[0].endpoint->name, "no greeting in time");
        }
    }
    return !e->failed;
}

void load_engine_say_bye(struct load_engine *e)
{
    uint64_t until = load_now_us() + BYE_US;
    if (e->dialect->bye == NULL || e->failed || e->options->retry) {
        return;
    }
    e->user = (struct load_user){.next = nothing_to_do};
    for (size_t i = 0; i < e->connection_count; i++) {
        if (e->connections[i].state == LOAD_OPEN) {
            e->dialect->bye(&e->connections[i]);
            flush(&e->connections[i]);
        }
    }
    while (e->open_count > 0 && !e->failed && load_now_us() < until) {
        load_engine_turn(e);
    }
}

void load_engine_close(struct load_engine *e)
{
    for (size_t i = 0; i < e->connection_count; i++) {
        struct load_connection *c = &e->connections[i];
        connection_close(c);
        for (size_t k = 0; k < e->slots_each; k++) {
            buf_close(&c->slots[k].body);
            buf_close(&c->slots[k].reply);
        }
        buf_close(&c->in);
        buf_close(&c->out);
        mem_free(c->slots);
        mem_free(c->free);
    }
    mem_free(e->connections);
    union {
        const uint8_t *borrowed;
        uint8_t *owned;
    } value = {.borrowed = e->value.data};
    mem_free(value.owned);
    if (e->epoll >= 0) {
        (void)close(e->epoll);
    }
}
