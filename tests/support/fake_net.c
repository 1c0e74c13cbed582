#include "tests/support/fake_net.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"

#define FAKE_HOSTS_MAX 8
#define FAKE_STEPS_MAX 1000000

struct fake_host {
    struct env env; /* first: the env is the host */
    struct fake_net *net;
    struct env_net table;
    char name[64];
    size_t number;
    bool is_stalled;
    size_t writes;
    size_t written;
};

struct env_listener {
    struct fake_host *host;
    uint16_t port;
    env_accept_fn accept;
    void *owner;
    struct env_listener *next;
    bool is_closed;
};

/* One end of a connection. Memory lives as long as the net, so that late calls can be caught. */
struct env_stream {
    struct fake_host *host;
    struct fake_host *remote; /* NULL: no such host */
    uint16_t remote_port;
    uint16_t local_port;
    struct env_stream *other;               /* NULL until connected */
    const struct env_stream_events *events; /* NULL: accepted and not attached */
    void *owner;
    struct buf out;
    size_t taken; /* of `out`, has arrived */
    bool is_connecting;
    bool is_paused;
    bool wants_drain;
    bool is_ended;      /* closed by its owner, or its owner was told: no callback any more */
    bool sends_end;     /* `out`, then the end, still go to the other side */
    enum status broken; /* tell the owner this */
    struct env_stream *next;
};

struct fake_net {
    uint64_t now_ms;
    struct rng rng;
    size_t piece_max;
    uint16_t next_port;
    struct fake_host *hosts[FAKE_HOSTS_MAX];
    size_t host_count;
    bool is_cut[FAKE_HOSTS_MAX][FAKE_HOSTS_MAX];
    struct env_listener *listeners;
    struct env_stream *streams;
};

static struct fake_host *host_of(const struct env *env)
{
    union {
        const struct env *from;
        struct fake_host *to;
    } cast = {.from = env};
    return cast.to;
}

static struct env_stream *stream_new(struct fake_host *host)
{
    struct env_stream *s = mem_zalloc(sizeof *s);
    struct env_stream **end = &host->net->streams;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = s;
    s->host = host;
    return s;
}

static size_t stream_waiting(const struct env_stream *s)
{
    return s->out.size - s->taken;
}

static void stream_clear(struct env_stream *s)
{
    buf_clear(&s->out);
    s->taken = 0;
}

/* ---- the table --------------------------------------------------------------------------- */

static enum status fake_listen(struct env *env, const char *name, uint16_t port,
                               env_accept_fn accept, void *owner, struct env_listener **out,
                               struct errmsg *err)
{
    struct fake_host *host = host_of(env);
    for (struct env_listener *l = host->net->listeners; l != NULL; l = l->next) {
        if (!l->is_closed && l->host == host && l->port == port) {
            return errmsg_set(err, RC_EXISTS, "listen on %s:%u: address in use", name, port);
        }
    }
    struct env_listener *l = mem_zalloc(sizeof *l);
    l->host = host;
    l->port = port != 0 ? port : host->net->next_port++;
    l->accept = accept;
    l->owner = owner;
    l->next = host->net->listeners;
    host->net->listeners = l;
    *out = l;
    return RC_OK;
}

static uint16_t fake_listener_port(struct env_listener *l)
{
    return l->port;
}

static void fake_listener_close(struct env_listener *l)
{
    PRE(!l->is_closed);
    l->is_closed = true;
}

static struct env_stream *fake_connect(struct env *env, const char *name, uint16_t port,
                                       const struct env_stream_events *events, void *owner)
{
    struct fake_host *host = host_of(env);
    struct env_stream *s = stream_new(host);
    for (size_t i = 0; i < host->net->host_count; i++) {
        if (strcmp(host->net->hosts[i]->name, name) == 0) {
            s->remote = host->net->hosts[i];
        }
    }
    s->remote_port = port;
    s->local_port = host->net->next_port++;
    s->events = events;
    s->owner = owner;
    s->is_connecting = true;
    return s;
}

static void fake_attach(struct env_stream *s, const struct env_stream_events *events,
                        void *owner)
{
    PRE(s->events == NULL && !s->is_ended);
    s->events = events;
    s->owner = owner;
}

static bool fake_write(struct env_stream *s, struct slice bytes)
{
    PRE(!s->is_ended && !s->is_connecting);
    s->host->writes++;
    s->host->written += bytes.size;
    buf_append_slice(&s->out, bytes);
    if (stream_waiting(s) > ENV_STREAM_QUEUE_MAX) {
        s->wants_drain = true;
        return false;
    }
    return true;
}

static size_t fake_queued(const struct env_stream *s)
{
    return stream_waiting(s);
}

static void fake_read_pause(struct env_stream *s, bool paused)
{
    PRE(!s->is_ended);
    s->is_paused = paused;
}

static void fake_close(struct env_stream *s, bool flush)
{
    PRE(!s->is_ended);
    s->is_ended = true;
    s->sends_end = s->other != NULL;
    if (!flush) {
        stream_clear(s);
    }
}

static void fake_peer_name(const struct env_stream *s, char *text, size_t bytes)
{
    (void)snprintf(text, bytes, "%s:%u", s->remote->name, (unsigned)s->remote_port);
}

static uint64_t fake_now_ms(struct env *env)
{
    return host_of(env)->net->now_ms;
}

static uint64_t fake_now_us(struct env *env)
{
    return host_of(env)->net->now_ms * 1000;
}

static void fake_random(struct env *env, void *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        ((uint8_t *)to)[i] = (uint8_t)rng_next(&host_of(env)->net->rng);
    }
}

/* ---- the net ----------------------------------------------------------------------------- */

struct fake_net *fake_net_new(uint64_t seed)
{
    struct fake_net *net = mem_zalloc(sizeof *net);
    net->now_ms = 1000;
    net->next_port = 40000;
    rng_init(&net->rng, seed);
    return net;
}

void fake_net_free(struct fake_net *net)
{
    while (net->streams != NULL) {
        struct env_stream *s = net->streams;
        net->streams = s->next;
        buf_close(&s->out);
        mem_free(s);
    }
    while (net->listeners != NULL) {
        struct env_listener *l = net->listeners;
        net->listeners = l->next;
        mem_free(l);
    }
    for (size_t i = 0; i < net->host_count; i++) {
        mem_free(net->hosts[i]);
    }
    mem_free(net);
}

struct env *fake_net_host(struct fake_net *net, const char *name)
{
    PRE(net->host_count < FAKE_HOSTS_MAX);
    struct fake_host *host = mem_zalloc(sizeof *host);
    host->net = net;
    host->number = net->host_count;
    net->hosts[net->host_count++] = host;
    (void)snprintf(host->name, sizeof host->name, "%s", name);
    host->table = (struct env_net){.listen = fake_listen,
                                   .listener_port = fake_listener_port,
                                   .listener_close = fake_listener_close,
                                   .connect = fake_connect,
                                   .attach = fake_attach,
                                   .write = fake_write,
                                   .queued = fake_queued,
                                   .read_pause = fake_read_pause,
                                   .close = fake_close,
                                   .peer_name = fake_peer_name};
    host->env = (struct env){.net = &host->table,
                             .now_ms = fake_now_ms,
                             .now_us = fake_now_us,
                             .wall_ms = fake_now_ms,
                             .random = fake_random};
    return &host->env;
}

void fake_net_set_piece(struct fake_net *net, size_t bytes_max)
{
    net->piece_max = bytes_max;
}

uint64_t fake_net_now(const struct fake_net *net)
{
    return net->now_ms;
}

void fake_net_advance(struct fake_net *net, uint64_t ms)
{
    net->now_ms += ms;
}

void fake_net_cut(struct fake_net *net, struct env *a, struct env *b, bool is_cut)
{
    net->is_cut[host_of(a)->number][host_of(b)->number] = is_cut;
    net->is_cut[host_of(b)->number][host_of(a)->number] = is_cut;
}

void fake_net_break(struct fake_net *net, struct env *a, struct env *b)
{
    for (struct env_stream *s = net->streams; s != NULL; s = s->next) {
        if ((s->host == host_of(a) && s->remote == host_of(b)) ||
            (s->host == host_of(b) && s->remote == host_of(a))) {
            s->broken = RC_IO;
            s->sends_end = false;
            stream_clear(s);
        }
    }
}

void fake_net_stall(struct env *host, bool is_stalled)
{
    host_of(host)->is_stalled = is_stalled;
}

size_t fake_net_open_streams(const struct fake_net *net)
{
    size_t count = 0;
    for (const struct env_stream *s = net->streams; s != NULL; s = s->next) {
        count += !s->is_ended;
    }
    return count;
}

size_t fake_net_writes(const struct env *host)
{
    return host_of(host)->writes;
}

size_t fake_net_written(const struct env *host)
{
    return host_of(host)->written;
}

/* ---- what can happen --------------------------------------------------------------------- */

static void stream_end(struct env_stream *s, enum status rc)
{
    s->is_ended = true;
    stream_clear(s);
    s->events->closed(s->owner, rc);
}

static bool step_connect(struct env_stream *s)
{
    struct fake_net *net = s->host->net;
    s->is_connecting = false;
    if (s->remote == NULL) {
        stream_end(s, RC_NOT_FOUND);
        return true;
    }
    for (struct env_listener *l = net->listeners; l != NULL; l = l->next) {
        if (!l->is_closed && l->host == s->remote && l->port == s->remote_port) {
            struct env_stream *accepted = stream_new(s->remote);
            accepted->remote = s->host;
            accepted->remote_port = s->local_port;
            accepted->other = s;
            s->other = accepted;
            l->accept(l->owner, accepted);
            if (!s->is_ended) {
                s->events->open(s->owner);
            }
            return true;
        }
    }
    stream_end(s, RC_REFUSED);
    return true;
}

/* Bytes of `s` arrive at the other side. */
static bool step_deliver(struct env_stream *s)
{
    struct fake_net *net = s->host->net;
    struct env_stream *to = s->other;
    if (to->is_ended) {
        stream_clear(s);
        return true;
    }
    size_t bytes = stream_waiting(s);
    if (net->piece_max > 0) {
        size_t piece = 1 + (size_t)rng_below(&net->rng, net->piece_max);
        bytes = piece < bytes ? piece : bytes;
    }
    /* A copy, since the owner may cause writes to `out`. */
    uint8_t *copy = mem_dup(s->out.data + s->taken, bytes);
    s->taken += bytes;
    if (stream_waiting(s) == 0) {
        stream_clear(s);
    }
    to->events->data(to->owner, slice_make(copy, bytes));
    mem_free(copy);
    return true;
}

static bool step_stream(struct env_stream *s)
{
    struct fake_net *net = s->host->net;
    if (s->broken != RC_OK) {
        enum status rc = s->broken;
        s->broken = RC_OK;
        if (!s->is_ended && s->events != NULL) {
            stream_end(s, rc);
            return true;
        }
        return false;
    }
    if (s->remote != NULL && net->is_cut[s->host->number][s->remote->number]) {
        return false;
    }
    if (s->is_connecting) {
        return !s->is_ended && step_connect(s);
    }
    if (s->other == NULL) {
        return false;
    }
    if (!s->is_ended && s->wants_drain && stream_waiting(s) < ENV_STREAM_QUEUE_MAX / 2) {
        s->wants_drain = false;
        if (s->events->drain != NULL) {
            s->events->drain(s->owner);
            return true;
        }
    }
    bool can_read = s->other->is_ended || (s->other->events != NULL && !s->other->is_paused &&
                                           !s->other->host->is_stalled);
    if (!can_read) {
        return false;
    }
    if (stream_waiting(s) > 0) {
        return step_deliver(s);
    }
    if (s->sends_end) {
        s->sends_end = false;
        if (!s->other->is_ended) {
            stream_end(s->other, RC_CLOSED);
        }
        return true;
    }
    return false;
}

bool fake_net_step(struct fake_net *net)
{
    size_t count = 0;
    for (struct env_stream *s = net->streams; s != NULL; s = s->next) {
        count++;
    }
    if (count == 0) {
        return false;
    }
    /* Begins at a random stream, so that orders vary with the seed. */
    size_t begin = (size_t)rng_below(&net->rng, count);
    for (size_t i = 0; i < count; i++) {
        struct env_stream *s = net->streams;
        for (size_t skip = (begin + i) % count; skip > 0; skip--) {
            s = s->next;
        }
        if (step_stream(s)) {
            return true;
        }
    }
    return false;
}

void fake_net_settle(struct fake_net *net)
{
    for (size_t steps = 0; fake_net_step(net); steps++) {
        PRE(steps < FAKE_STEPS_MAX);
    }
}
