/* ZooKeeper clients against the real front end over a node without raft
 * (tests/support/fake_node.h): bytes go in as net/conn.c would offer them, what comes out is taken
 * apart. Exactly one file of a program includes this. */
#ifndef TESTS_SUPPORT_ZK_PEER_H
#define TESTS_SUPPORT_ZK_PEER_H

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rng.h"
#include "net/allowance.h"
#include "net/login.h"
#include "net/zookeeper/front.h"
#include "net/zookeeper/packet.h"
#include "tests/support/fake_node.h"
#include "tests/support/zk_put.h"

struct zk_world {
    struct env env; /* first */
    struct rng rng;
    uint64_t now_ms;
    struct node *node;
    struct front_limits limits;
    struct zk_settings settings;
    struct metrics *metrics;
    void *shared;
    struct list peers;
    struct logins *logins;
    struct allowances *allowances;
    struct env_job *jobs; /* of workers, not run yet */
};

struct zk_peer {
    struct list link;
    struct zk_world *world;
    struct front_env env;
    void *state;
    struct buf rest;    /* not taken by the front yet */
    struct buf out;     /* what it sent, not taken by the test yet */
    bool does_not_read; /* what is written next fills the queue */
    bool is_full;
    bool is_paused;
    bool is_resumed;
    bool is_awake;
    bool is_closed;
    int32_t xid; /* of the last request */
    /* from the connect reply */
    int64_t session;
    int32_t timeout_ms;
    uint8_t password[ZK_PASSWORD_BYTES];
};

/* A reply or event; `body` points into the peer's output until the next is taken. */
struct zk_seen {
    int32_t xid;
    int64_t zxid;
    int32_t error;
    struct jute_in body;
};

/* ---- the world ---------------------------------------------------------------------------- */

static uint64_t zk_world_ms(struct env *env)
{
    return ((struct zk_world *)env)->now_ms;
}

static uint64_t zk_world_us(struct env *env)
{
    return ((struct zk_world *)env)->now_ms * 1000;
}

static void zk_world_random(struct env *env, void *to, size_t bytes)
{
    uint8_t *at = to;
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)rng_next(&((struct zk_world *)env)->rng);
    }
}

/* A queue whose jobs run when the test says so. */
struct env_queue {
    struct zk_world *world;
};

static struct env_queue *zk_world_queue(struct env *env, const char *name)
{
    (void)name;
    struct env_queue *q = mem_zalloc(sizeof *q);
    q->world = (struct zk_world *)env;
    return q;
}

static void zk_world_submit(struct env_queue *q, struct env_job *job)
{
    struct env_job **at = &q->world->jobs;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    job->next = NULL;
    *at = job;
}

static void zk_world_queue_close(struct env_queue *q)
{
    mem_free(q);
}

/* Workers do what was asked of them. */
static inline void zk_world_work(struct zk_world *w)
{
    while (w->jobs != NULL) {
        struct env_job *job = w->jobs;
        w->jobs = job->next;
        job->run(job);
        job->done(job);
    }
}

static inline void zk_world_open(struct zk_world *w, const struct zk_settings *settings)
{
    *w = (struct zk_world){.now_ms = 100000, .limits = {.requests_max = 1024}};
    w->env.now_ms = zk_world_ms;
    w->env.now_us = zk_world_us;
    w->env.wall_ms = zk_world_ms;
    w->env.random = zk_world_random;
    w->env.queue_open = zk_world_queue;
    w->env.queue_submit = zk_world_submit;
    w->env.queue_close = zk_world_queue_close;
    rng_init(&w->rng, 1);
    w->node = fake_node_new();
    w->node->now_ms = w->now_ms;
    w->settings = settings != NULL ? *settings : zk_settings_default;
    w->metrics = metrics_new();
    w->logins = logins_new(&w->env, w->node, NULL, NULL);
    w->allowances = allowances_new(&w->env, w->node, NULL);
    list_init(&w->peers);
    const struct front_env env = {.node = w->node,
                                  .env = &w->env,
                                  .metrics = w->metrics,
                                  .limits = &w->limits,
                                  .settings = &w->settings};
    w->shared = zookeeper_front.shared_new(&env);
}

/* ---- one connection ----------------------------------------------------------------------- */

static bool zk_peer_write(void *conn, struct slice bytes)
{
    struct zk_peer *p = conn;
    PRE(!p->is_closed);
    buf_append_slice(&p->out, bytes);
    p->is_full = p->does_not_read;
    return !p->is_full;
}

static size_t zk_peer_queued(void *conn)
{
    const struct zk_peer *p = conn;
    return p->is_full ? p->out.size : 0;
}

static void zk_peer_wake(void *conn)
{
    ((struct zk_peer *)conn)->is_awake = true;
}

static void zk_peer_pause(void *conn, bool paused)
{
    struct zk_peer *p = conn;
    p->is_resumed = p->is_resumed || (p->is_paused && !paused);
    p->is_awake = p->is_awake || p->is_resumed;
    p->is_paused = paused;
}

static void zk_peer_sink_close(void *conn, bool flush)
{
    (void)flush;
    ((struct zk_peer *)conn)->is_closed = true;
}

static inline struct zk_peer *zk_peer_open(struct zk_world *w, const char *address)
{
    struct zk_peer *p = mem_zalloc(sizeof *p);
    p->world = w;
    p->env = (struct front_env){.node = w->node,
                                .env = &w->env,
                                .metrics = w->metrics,
                                .logins = w->logins,
                                .allowances = w->allowances,
                                .limits = &w->limits,
                                .settings = &w->settings,
                                .shared = w->shared,
                                .sink = {.conn = p,
                                         .write = zk_peer_write,
                                         .queued = zk_peer_queued,
                                         .wake = zk_peer_wake,
                                         .pause = zk_peer_pause,
                                         .close = zk_peer_sink_close}};
    (void)snprintf(p->env.peer, sizeof p->env.peer, "%s", address);
    p->state = mem_zalloc(zookeeper_front.state_size);
    enum status rc = zookeeper_front.open(p->state, &p->env);
    POST(rc == RC_OK);
    list_push_back(&w->peers, &p->link);
    return p;
}

static inline void zk_peer_offer(struct zk_peer *p)
{
    p->is_resumed = false;
    while (p->rest.size > 0 && !p->is_paused && !p->is_closed && !p->is_full) {
        ptrdiff_t taken = zookeeper_front.feed(p->state, buf_slice(&p->rest));
        PRE(taken >= 0 && (size_t)taken <= p->rest.size);
        p->is_awake = true;
        buf_consume(&p->rest, (size_t)taken);
        if (taken == 0) {
            break;
        }
    }
    PRE(p->is_paused || p->is_closed || p->is_full ||
        p->rest.size <= zookeeper_front.rest_bytes_max);
}

/* One turn of server and node. False: nothing was to be done. */
static inline bool zk_world_turn(struct zk_world *w)
{
    bool any = false;
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &w->peers)
    {
        struct zk_peer *p = LIST_OF(it, struct zk_peer, link);
        if (!p->is_closed && zookeeper_front.next_deadline_ms(p->state) <= w->now_ms) {
            zookeeper_front.tick(p->state, w->now_ms);
            p->is_awake = true;
        }
        if (!p->is_awake || p->is_closed || p->is_full) {
            continue;
        }
        p->is_awake = false;
        any = true;
        if (p->is_resumed) {
            zk_peer_offer(p);
        }
        zookeeper_front.turn(p->state);
    }
    any = any || w->jobs != NULL;
    zk_world_work(w);
    size_t pending = w->node->pending;
    node_turn(w->node);
    return any || w->node->pending != pending;
}

/* Until nothing happens any more. */
static inline void zk_world_run(struct zk_world *w)
{
    for (int i = 0; i < 1000 && zk_world_turn(w); i++) {
    }
}

static inline void zk_world_advance(struct zk_world *w, uint64_t ms)
{
    while (ms > 0) {
        uint64_t step = ms < 100 ? ms : 100;
        w->now_ms += step;
        w->node->now_ms = w->now_ms;
        w->node->cluster_ms += step;
        zk_world_run(w);
        ms -= step;
    }
}

/* The client closes the connection, or has seen it closed. */
static inline void zk_peer_free(struct zk_peer *p)
{
    zookeeper_front.close(p->state);
    mem_free(p->state);
    list_remove(&p->link);
    buf_close(&p->rest);
    buf_close(&p->out);
    mem_free(p);
}

static inline void zk_world_close(struct zk_world *w)
{
    while (!list_empty(&w->peers)) {
        zk_peer_free(LIST_OF(w->peers.next, struct zk_peer, link));
    }
    zookeeper_front.shared_free(w->shared);
    logins_free(w->logins);
    allowances_free(w->allowances);
    fake_node_free(w->node);
    metrics_free(w->metrics);
}

/* Bytes arrive. */
static inline void zk_peer_feed(struct zk_peer *p, struct slice bytes)
{
    if (!p->is_closed) {
        buf_append_slice(&p->rest, bytes);
        zk_peer_offer(p);
    }
}

/* ---- requests ----------------------------------------------------------------------------- */

static inline void zk_hello_send(struct zk_peer *p, const struct zk_hello *h)
{
    struct buf framed = {0};
    zk_put_hello(&framed, h);
    zk_peer_feed(p, buf_slice(&framed));
    buf_close(&framed);
}

/* Sends a request; `body` is consumed. Returns its xid. */
static inline int32_t zk_send(struct zk_peer *p, int32_t type, struct buf *body)
{
    struct buf framed = {0};
    int32_t xid = type == ZK_PING ? ZK_XID_PING : type == ZK_AUTH ? ZK_XID_AUTH : ++p->xid;
    jute_put_int(&framed, (int32_t)(8 + (body != NULL ? body->size : 0)));
    jute_put_int(&framed, xid);
    jute_put_int(&framed, type);
    if (body != NULL) {
        buf_append_slice(&framed, buf_slice(body));
        buf_close(body);
    }
    zk_peer_feed(p, buf_slice(&framed));
    buf_close(&framed);
    return xid;
}

static inline struct buf zk_create_body(const char *path, const char *data, int32_t flags)
{
    struct buf b = {0};
    zk_put_text(&b, path);
    zk_put_text(&b, data);
    zk_put_open_acl(&b);
    jute_put_int(&b, flags);
    return b;
}

static inline struct buf zk_version_body(const char *path, int32_t version)
{
    struct buf b = {0};
    zk_put_text(&b, path);
    jute_put_int(&b, version);
    return b;
}

static inline struct buf zk_set_body(const char *path, const char *data, int32_t version)
{
    struct buf b = {0};
    zk_put_text(&b, path);
    zk_put_text(&b, data);
    jute_put_int(&b, version);
    return b;
}

static inline struct buf zk_path_body(const char *path, bool watch)
{
    struct buf b = {0};
    zk_put_text(&b, path);
    jute_put_bool(&b, watch);
    return b;
}

/* ---- what comes back ---------------------------------------------------------------------- */

/* The next packet, without its length; of size 0 when there is none. */
static inline struct slice zk_next_packet(struct zk_peer *p, size_t *taken)
{
    struct slice packet = slice_make(NULL, 0);
    *taken = 0;
    if (p->out.size >= 4) {
        struct jute_in in = jute_in_make(buf_slice(&p->out));
        int32_t size = jute_int(&in);
        PRE(size > 0 && in.rest.size >= (size_t)size);
        packet = slice_make(in.rest.data, (size_t)size);
        *taken = 4 + (size_t)size;
    }
    return packet;
}

/* Takes the next reply or event; its body is copied into `keep`. False: there is none. */
static inline bool zk_take(struct zk_peer *p, struct zk_seen *seen, struct buf *keep)
{
    size_t taken;
    struct slice packet = zk_next_packet(p, &taken);
    if (taken == 0) {
        return false;
    }
    struct jute_in in = jute_in_make(packet);
    *seen = (struct zk_seen){.xid = jute_int(&in)};
    seen->zxid = jute_long(&in);
    seen->error = jute_int(&in);
    PRE(!in.failed);
    buf_clear(keep);
    buf_append_slice(keep, in.rest);
    seen->body = jute_in_make(buf_slice(keep));
    buf_consume(&p->out, taken);
    return true;
}

/* Takes a connect reply. False: there is none. */
static inline bool zk_take_hello(struct zk_peer *p, size_t *bytes)
{
    size_t taken;
    struct slice packet = zk_next_packet(p, &taken);
    if (taken == 0) {
        return false;
    }
    struct jute_in in = jute_in_make(packet);
    (void)jute_int(&in);
    p->timeout_ms = jute_int(&in);
    p->session = jute_long(&in);
    struct jute_bytes password = jute_buffer(&in);
    PRE(!in.failed && password.bytes.size == ZK_PASSWORD_BYTES);
    memcpy(p->password, password.bytes.data, ZK_PASSWORD_BYTES);
    *bytes = packet.size;
    buf_consume(&p->out, taken);
    return true;
}

#endif
