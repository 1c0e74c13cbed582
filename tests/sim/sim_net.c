#include "tests/sim/sim_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define CONNECT_LIMIT_US (3 * SECOND)
#define PORT_FIRST_FREE  49152

enum note { NOTE_DELIVER = 0x20, NOTE_OPEN, NOTE_CLOSED };

struct env_listener {
    struct list link;
    struct sim_env *process;
    uint16_t port;
    env_accept_fn accept;
    void *owner;
};

struct chunk {
    struct chunk *next;
    uint64_t arrives_us;
    size_t size;
    size_t used;
    bool is_end; /* orderly end of the direction */
    uint8_t data[];
};

/* One end of a connection, and the direction that it sends. */
struct env_stream {
    struct connection *connection;
    struct sim_env *process; /* whose it is */
    uint32_t host;
    const struct env_stream_events *events;
    void *owner;
    bool is_held; /* the owner still has it: neither closed nor told */
    bool is_open; /* takes and gives bytes */
    bool is_paused;
    bool wants_drain;
    bool was_cut_off;          /* its process went with the power */
    struct world_event notice; /* reset or drain for the owner */
    bool is_reset;
    uint64_t reset_at_us;
    /* what it sends */
    struct chunk *first;
    struct chunk **last;
    size_t queued;
    uint64_t last_arrival_us;
    uint64_t stalled_since_us; /* 0: it moves */
    struct world_event pump;
};

struct connection {
    struct list link;
    struct sim_net *net;
    struct env_stream end[2]; /* [0] connects, [1] accepts */
    uint16_t port;
    uint64_t began_us;
    struct world_event opening;
};

static void pipe_pump(void *context);
static void connection_try(void *context);

static struct env_stream *other_end(struct env_stream *s)
{
    return &s->connection->end[s == &s->connection->end[0]];
}

static struct sim_net *net_of(struct env_stream *s)
{
    return s->connection->net;
}

static struct sim_link *link_of(struct env_stream *s)
{
    return &net_of(s)->links[s->host][other_end(s)->host];
}

static uint64_t link_delay_us(struct sim_net *n, uint32_t from, uint32_t to)
{
    const struct sim_link *l = &n->links[from][to];
    return l->latency_us + l->extra_us + world_random(n->world, 0, l->jitter_us);
}

/* ---- life -------------------------------------------------------------------------------- */

void sim_net_init(struct sim_net *n, struct world *w)
{
    *n = (struct sim_net){.world = w, .stall_limit_us = 2 * SECOND};
    list_init(&n->connections);
    list_init(&n->listeners);
}

void sim_net_add(struct sim_net *n, struct sim_host *h)
{
    PRE(n->host_count < SIM_HOSTS_MAX);
    n->hosts[n->host_count++] = h;
}

static void pipe_clear(struct env_stream *s)
{
    world_cancel(net_of(s)->world, &s->pump);
    for (struct chunk *c = s->first; c != NULL;) {
        struct chunk *next = c->next;
        mem_free(c);
        c = next;
    }
    s->first = NULL;
    s->last = &s->first;
    s->queued = 0;
    net_of(s)->has_released = true;
}

static void connection_free(struct connection *c)
{
    for (int i = 0; i < 2; i++) {
        pipe_clear(&c->end[i]);
        world_cancel(c->net->world, &c->end[i].notice);
    }
    world_cancel(c->net->world, &c->opening);
    list_remove(&c->link);
    mem_free(c);
}

void sim_net_reap(struct sim_net *n)
{
    struct list *it;
    struct list *tmp;
    if (!n->has_released) {
        return;
    }
    n->has_released = false;
    LIST_EACH(it, tmp, &n->connections)
    {
        struct connection *c = LIST_OF(it, struct connection, link);
        bool is_used = false;
        for (int i = 0; i < 2; i++) {
            /* What a closed end still has to say keeps the connection for the other. */
            is_used |= c->end[i].is_held;
            is_used |= c->end[i].first != NULL && c->end[1 - i].is_held;
        }
        if (!is_used && !world_is_due(&c->opening)) {
            connection_free(c);
        }
    }
}

void sim_net_close(struct sim_net *n)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &n->connections)
    {
        connection_free(LIST_OF(it, struct connection, link));
    }
    PRE(list_empty(&n->listeners));
}

/* ---- ends -------------------------------------------------------------------------------- */

static void end_wake(struct env_stream *s, struct sim_env *e)
{
    (void)s;
    if (!e->is_dead) {
        e->wake(e->context);
    }
}

/* Tells the owner that the stream is gone. */
static void end_finish(struct env_stream *s, enum status rc)
{
    struct sim_env *e = s->process;
    struct sim_net *n = net_of(s);
    world_cancel(n->world, &s->notice);
    s->is_open = false; /* what it sent may still arrive */
    if (!s->is_held || e == NULL || e->is_dead) {
        return;
    }
    if (s->events == NULL) {
        return; /* accepted, not attached yet: told when it is */
    }
    s->is_held = false;
    net_of(s)->has_released = true;
    world_note(n->world, NOTE_CLOSED, s->host, (uint64_t)rc);
    s->events->closed(s->owner, rc);
    end_wake(s, e);
}

static void end_notice(void *context)
{
    struct env_stream *s = context;
    struct world *w = net_of(s)->world;
    uint64_t pause = sim_host_pause_left(net_of(s)->hosts[s->host]);
    if (pause > 0) {
        world_at(w, &s->notice, pause, end_notice, s);
        return;
    }
    if (s->is_reset && w->now_us >= s->reset_at_us) {
        end_finish(s, RC_CLOSED);
        return;
    }
    if (s->wants_drain && s->is_open && s->queued < ENV_STREAM_QUEUE_MAX / 2) {
        s->wants_drain = false;
        if (s->events != NULL && s->events->drain != NULL) {
            struct sim_env *e = s->process;
            s->events->drain(s->owner);
            end_wake(s, e);
        }
    }
    if (s->is_reset && s->is_held && !s->process->is_dead) {
        world_at(w, &s->notice, s->reset_at_us - w->now_us, end_notice, s);
    }
}

static void end_reset(struct env_stream *s, uint64_t delay_us)
{
    uint64_t at = net_of(s)->world->now_us + delay_us;
    if (!s->is_held || s->process == NULL || s->process->is_dead) {
        s->is_open = false;
        return;
    }
    if (s->is_reset && s->reset_at_us <= at) {
        return;
    }
    s->is_reset = true;
    s->reset_at_us = at;
    world_at(net_of(s)->world, &s->notice, delay_us, end_notice, s);
}

static void connection_reset(struct connection *c, uint64_t delay_0, uint64_t delay_1)
{
    end_reset(&c->end[0], delay_0);
    end_reset(&c->end[1], delay_1);
}

uint32_t sim_net_reset(struct sim_net *n, uint32_t a, uint32_t b, uint64_t late_us)
{
    struct list *it;
    struct list *tmp;
    uint32_t count = 0;
    LIST_EACH(it, tmp, &n->connections)
    {
        struct connection *c = LIST_OF(it, struct connection, link);
        int at_a = c->end[0].host == a ? 0 : 1;
        if (c->end[at_a].host == a && c->end[1 - at_a].host == b &&
            (c->end[0].is_open || c->end[1].is_open)) {
            end_reset(&c->end[at_a], 0);
            end_reset(&c->end[1 - at_a], late_us);
            count++;
        }
    }
    return count;
}

/* ---- bytes under way --------------------------------------------------------------------- */

static struct chunk *pipe_add(struct env_stream *s, const void *data, size_t bytes)
{
    struct world *w = net_of(s)->world;
    struct chunk *c = mem_alloc(sizeof *c + bytes);
    uint64_t at = w->now_us + link_delay_us(net_of(s), s->host, other_end(s)->host);
    *c = (struct chunk){.size = bytes};
    if (bytes > 0) {
        memcpy(c->data, data, bytes);
    }
    /* In order, whatever the jitter. */
    c->arrives_us = at > s->last_arrival_us ? at : s->last_arrival_us;
    s->last_arrival_us = c->arrives_us;
    bool was_empty = s->first == NULL;
    *s->last = c;
    s->last = &c->next;
    s->queued += bytes;
    if (was_empty) {
        world_at(w, &s->pump, c->arrives_us - w->now_us, pipe_pump, s);
    }
    if (bytes > 0 && link_of(s)->corrupt > 0) {
        link_of(s)->corrupt--;
        net_of(s)->corrupted++;
        c->data[world_random(w, 0, bytes - 1)] ^= (uint8_t)(1U << world_random(w, 0, 7));
    }
    return c;
}

static void pipe_pop(struct env_stream *s)
{
    struct chunk *c = s->first;
    s->first = c->next;
    if (s->first == NULL) {
        s->last = &s->first;
        net_of(s)->has_released = true;
    }
    s->queued -= c->size - c->used;
    mem_free(c);
}

/* True: the head cannot move now; it is tried again, and given up after a while. */
static bool pipe_is_stalled(struct env_stream *s)
{
    struct env_stream *to = other_end(s);
    struct sim_net *n = net_of(s);
    struct world *w = n->world;
    bool down = to->was_cut_off && n->hosts[to->host]->process == NULL;
    if (!link_of(s)->is_cut && !down) {
        s->stalled_since_us = 0;
        return false;
    }
    if (s->stalled_since_us == 0) {
        s->stalled_since_us = w->now_us;
    }
    if (w->now_us - s->stalled_since_us > n->stall_limit_us) {
        connection_reset(s->connection, 0, 0);
    } else {
        world_at(w, &s->pump, 10 * MS, pipe_pump, s);
    }
    return true;
}

static void pipe_deliver(struct env_stream *s)
{
    struct env_stream *to = other_end(s);
    struct world *w = net_of(s)->world;
    struct sim_env *e = to->process;
    struct chunk *c = s->first;
    if (c->is_end) {
        pipe_pop(s);
        end_finish(to, RC_CLOSED);
        return;
    }
    size_t left = c->size - c->used;
    /* TCP keeps no borders: now and then a piece comes in two. */
    size_t bytes =
        left > 1 && world_chance(w, 100) ? (size_t)world_random(w, 1, left - 1) : left;
    struct sim_link *l = link_of(s);
    if (l->break_after > 0) {
        bytes = bytes < l->break_after ? bytes : l->break_after;
        l->break_after -= bytes;
        if (l->break_after == 0) {
            net_of(s)->broken++;
            connection_reset(s->connection, 0, 0);
        }
    }
    const uint8_t *data = c->data + c->used;
    world_note(w, NOTE_DELIVER, (uint64_t)s->host << 8 | to->host, hash_bytes(0, data, bytes));
    c->used += bytes;
    s->queued -= bytes;
    /* The owner may close either end, or everything, in here: the piece is taken out first. */
    struct chunk *taken = NULL;
    if (c->used == c->size) {
        taken = c;
        s->first = c->next;
        if (s->first == NULL) {
            s->last = &s->first;
        }
        to->events->data(to->owner, slice_make(data, bytes));
    } else {
        uint8_t *copy = mem_dup(data, bytes);
        to->events->data(to->owner, slice_make(copy, bytes));
        mem_free(copy);
    }
    mem_free(taken);
    end_wake(to, e);
    if (s->wants_drain && s->is_open && s->queued < ENV_STREAM_QUEUE_MAX / 2 && !s->is_reset) {
        world_at(w, &s->notice, 1, end_notice, s);
    }
}

/* Moves the head of what `s` sends to the other end, if that can be. */
static void pipe_pump(void *context)
{
    struct env_stream *s = context;
    struct env_stream *to = other_end(s);
    struct sim_net *n = net_of(s);
    struct world *w = n->world;
    if (s->first == NULL || pipe_is_stalled(s)) {
        return;
    }
    if (world_is_due(&s->connection->opening)) {
        return; /* connection_opened comes back here */
    }
    if (!to->is_open || to->process == NULL || to->process->is_dead) {
        /* Nobody is there: the kernel over there answers with a reset. (Not to an end that is
         * to notice a reset late: its answers are lost on the way.) */
        pipe_clear(s);
        if (!s->is_reset) {
            end_reset(s, link_delay_us(n, to->host, s->host));
        }
        return;
    }
    uint64_t pause = sim_host_pause_left(n->hosts[to->host]);
    if (pause > 0) {
        world_at(w, &s->pump, pause, pipe_pump, s);
        return;
    }
    if (to->events == NULL || to->is_paused) {
        return; /* attach or read_pause comes back here */
    }
    pipe_deliver(s);
    if (s->first != NULL && !world_is_due(&s->pump)) {
        uint64_t at = s->first->arrives_us;
        world_at(w, &s->pump, at > w->now_us ? at - w->now_us : 1, pipe_pump, s);
    }
}

static void pipe_resume(struct env_stream *to)
{
    struct env_stream *s = other_end(to);
    if (s->first != NULL && !world_is_due(&s->pump)) {
        world_at(net_of(s)->world, &s->pump, 1, pipe_pump, s);
    }
}

/* ---- connecting -------------------------------------------------------------------------- */

static struct env_listener *listener_find(struct sim_net *n, uint32_t host, uint16_t port)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &n->listeners)
    {
        struct env_listener *l = LIST_OF(it, struct env_listener, link);
        if (l->process->host->number == host && l->port == port && !l->process->is_dead) {
            return l;
        }
    }
    return NULL;
}

static void connection_opened(void *context)
{
    struct connection *c = context;
    struct env_stream *s = &c->end[0];
    c->net->has_released = true;
    if (!s->is_held || s->process->is_dead || s->is_reset) {
        pipe_resume(s); /* where it finds nobody */
        return;
    }
    uint64_t pause = sim_host_pause_left(c->net->hosts[s->host]);
    if (pause > 0) {
        world_at(c->net->world, &c->opening, pause, connection_opened, c);
        return;
    }
    s->is_open = true;
    world_note(c->net->world, NOTE_OPEN, s->host, c->end[1].host);
    struct sim_env *e = s->process;
    s->events->open(s->owner);
    end_wake(s, e);
    pipe_resume(s);
    pipe_resume(other_end(s));
}

static void connection_refused(void *context)
{
    struct connection *c = context;
    uint64_t pause = sim_host_pause_left(c->net->hosts[c->end[0].host]);
    c->net->has_released = true;
    if (pause > 0) {
        world_at(c->net->world, &c->opening, pause, connection_refused, c);
        return;
    }
    end_finish(&c->end[0], RC_REFUSED);
}

/* The connecting end's SYN has arrived, or would have. */
static void connection_try(void *context)
{
    struct connection *c = context;
    struct sim_net *n = c->net;
    struct world *w = n->world;
    struct env_stream *s = &c->end[0];
    struct env_stream *to = &c->end[1];
    n->has_released = true;
    if (!s->is_held || s->process->is_dead) {
        return;
    }
    bool is_lost = n->links[s->host][to->host].is_cut || n->links[to->host][s->host].is_cut;
    uint64_t pause = sim_host_pause_left(n->hosts[to->host]);
    if (is_lost || pause > 0) {
        if (w->now_us - c->began_us > CONNECT_LIMIT_US) {
            connection_refused(c);
        } else {
            world_at(w, &c->opening, pause > 0 ? pause : 100 * MS, connection_try, c);
        }
        return;
    }
    struct env_listener *l = listener_find(n, to->host, c->port);
    if (l == NULL) {
        world_at(w, &c->opening, link_delay_us(n, to->host, s->host), connection_refused, c);
        return;
    }
    struct sim_env *e = l->process;
    to->process = e;
    to->is_held = true;
    to->is_open = true;
    world_at(w, &c->opening, link_delay_us(n, to->host, s->host), connection_opened, c);
    l->accept(l->owner, to);
    end_wake(to, e);
}

static bool host_parse(const struct sim_net *n, const char *host, uint32_t *number)
{
    unsigned long v = host[0] == 'n' ? strtoul(host + 1, NULL, 10) : 0;
    *number = (uint32_t)(v - 1);
    return v >= 1 && v <= n->host_count;
}

/* ---- the vtable -------------------------------------------------------------------------- */

static struct sim_env *process_of(struct env *env)
{
    return (struct sim_env *)(void *)env;
}

static enum status net_listen(struct env *env, const char *host, uint16_t port,
                              env_accept_fn accept, void *owner, struct env_listener **out,
                              struct errmsg *err)
{
    struct sim_env *e = process_of(env);
    struct sim_net *n = e->host->net;
    if (port != 0 && listener_find(n, e->host->number, port) != NULL) {
        return errmsg_set(err, RC_IO, "listen on %s:%u: address in use", host, port);
    }
    struct env_listener *l = mem_zalloc(sizeof *l);
    l->process = e;
    l->port = port != 0 ? port : PORT_FIRST_FREE;
    l->accept = accept;
    l->owner = owner;
    list_push_back(&n->listeners, &l->link);
    *out = l;
    return RC_OK;
}

static uint16_t net_listener_port(struct env_listener *l)
{
    return l->port;
}

static void net_listener_close(struct env_listener *l)
{
    list_remove(&l->link);
    mem_free(l);
}

static struct env_stream *net_connect(struct env *env, const char *host, uint16_t port,
                                      const struct env_stream_events *events, void *owner)
{
    struct sim_env *e = process_of(env);
    struct sim_net *n = e->host->net;
    struct connection *c = mem_zalloc(sizeof *c);
    uint32_t target = 0;
    bool is_known = host_parse(n, host, &target);
    c->net = n;
    c->port = port;
    c->began_us = n->world->now_us;
    for (int i = 0; i < 2; i++) {
        c->end[i].connection = c;
        c->end[i].last = &c->end[i].first;
    }
    c->end[0].process = e;
    c->end[0].host = e->host->number;
    c->end[0].events = events;
    c->end[0].owner = owner;
    c->end[0].is_held = true;
    c->end[1].host = is_known ? target : e->host->number;
    list_push_back(&n->connections, &c->link);
    if (!e->is_dead) {
        uint64_t delay = link_delay_us(n, c->end[0].host, c->end[1].host);
        world_at(n->world, &c->opening, delay, is_known ? connection_try : connection_refused,
                 c);
    }
    return &c->end[0];
}

static void net_attach(struct env_stream *s, const struct env_stream_events *events,
                       void *owner)
{
    s->events = events;
    s->owner = owner;
    if (s->is_open) {
        pipe_resume(s);
    } else if (s->is_held && !s->process->is_dead) {
        s->is_reset = true; /* it ended before anybody could be told */
        s->reset_at_us = net_of(s)->world->now_us;
        world_at(net_of(s)->world, &s->notice, 1, end_notice, s);
    }
}

static bool net_write(struct env_stream *s, struct slice bytes)
{
    if (s->process->is_dead || !s->is_held || (s->is_reset && !s->is_open)) {
        return true;
    }
    const struct sim_link *l = link_of(s);
    while (l->piece_bytes > 0 && bytes.size > l->piece_bytes) {
        (void)pipe_add(s, bytes.data, l->piece_bytes);
        s->last_arrival_us++;
        bytes = slice_make(bytes.data + l->piece_bytes, bytes.size - l->piece_bytes);
    }
    size_t split = bytes.size > 1 && world_chance(net_of(s)->world, 100)
                       ? (size_t)world_random(net_of(s)->world, 1, bytes.size - 1)
                       : bytes.size;
    if (split > 0) {
        (void)pipe_add(s, bytes.data, split);
    }
    if (split < bytes.size) {
        (void)pipe_add(s, bytes.data + split, bytes.size - split);
    }
    s->wants_drain = s->queued > ENV_STREAM_QUEUE_MAX;
    return !s->wants_drain;
}

static size_t net_queued(const struct env_stream *s)
{
    return s->queued;
}

static void net_read_pause(struct env_stream *s, bool paused)
{
    s->is_paused = paused;
    if (!paused) {
        pipe_resume(s);
    }
}

static void net_stream_close(struct env_stream *s, bool flush)
{
    struct world *w = net_of(s)->world;
    bool was_open = s->is_open;
    s->is_held = false;
    net_of(s)->has_released = true;
    s->is_open = false;
    world_cancel(w, &s->notice);
    if (s->process->is_dead) {
        return; /* its fate was decided when the process died */
    }
    if (!was_open) {
        pipe_clear(s);
        return;
    }
    if (!flush) {
        pipe_clear(s);
    }
    pipe_add(s, NULL, 0)->is_end = true;
}

static void net_peer_name(const struct env_stream *s, char *text, size_t bytes)
{
    const struct connection *c = s->connection;
    (void)snprintf(text, bytes, "n%u:%u", c->end[s == &c->end[0]].host + 1, c->port);
}

const struct env_net sim_net_table = {
    .listen = net_listen,
    .listener_port = net_listener_port,
    .listener_close = net_listener_close,
    .connect = net_connect,
    .attach = net_attach,
    .write = net_write,
    .queued = net_queued,
    .read_pause = net_read_pause,
    .close = net_stream_close,
    .peer_name = net_peer_name,
};

/* ---- death of a process ------------------------------------------------------------------ */

/* The kernel of a killed process sends out what it had and ends its connections; without power
 * only a part of it got onto the wire and nothing tells the other end. */
static void end_died(struct env_stream *s, bool power)
{
    struct world *w = net_of(s)->world;
    bool was_open = s->is_open;
    s->is_open = false;
    s->was_cut_off = power;
    world_cancel(w, &s->notice);
    if (!was_open || other_end(s)->process == NULL) {
        return;
    }
    if (!power) {
        pipe_add(s, NULL, 0)->is_end = true;
    } else if (world_chance(w, 500)) {
        pipe_clear(s);
    }
}

void sim_net_process_died(struct sim_net *n, struct sim_env *e, bool power)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &n->connections)
    {
        struct connection *c = LIST_OF(it, struct connection, link);
        for (int i = 0; i < 2; i++) {
            if (c->end[i].process == e && c->end[i].is_held) {
                end_died(&c->end[i], power);
            }
        }
    }
}

uint32_t sim_net_forget(struct sim_net *n, struct sim_env *e)
{
    struct list *it;
    struct list *tmp;
    uint32_t held = 0;
    LIST_EACH(it, tmp, &n->connections)
    {
        struct connection *c = LIST_OF(it, struct connection, link);
        for (int i = 0; i < 2; i++) {
            if (c->end[i].process == e) {
                held += c->end[i].is_held;
                c->end[i].is_held = false;
                n->has_released = true;
                c->end[i].is_open = false;
                c->end[i].process = NULL;
            }
        }
    }
    LIST_EACH(it, tmp, &n->listeners)
    {
        struct env_listener *l = LIST_OF(it, struct env_listener, link);
        if (l->process == e) {
            held++;
            list_remove(&l->link);
            mem_free(l);
        }
    }
    return held;
}
