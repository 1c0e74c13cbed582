/* The handler of ZooKeeper's protocol: two clients over one store, and what they do is read from
 * the input, a few bytes a step: valid requests over a handful of paths, the same with bytes
 * changed, raw bytes, lost connections and resumes, time, a node that holds its answers or has no
 * leader.
 *
 * Whatever comes: replies are in request order, each request has one, zxids do not go back, events
 * are well-formed, and in the end nothing is in flight and the store's invariants hold. Seeds:
 * tests/fuzz/corpus/zookeeper_front. */
#include "tests/fuzz/draw_zookeeper.h"
#include "tests/support/zk_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS   2
#define ASKED_MAX 4096
#define STEPS_MAX 400

struct client {
    struct zk_peer *peer;
    bool greeted;
    bool is_wild; /* it has sent bytes that are no request: replies are not counted any more */
    int32_t asked[ASKED_MAX];
    size_t asked_count;
    size_t answered;
    int64_t zxid;
    int64_t session;
    uint8_t password[ZK_PASSWORD_BYTES];
};

static void asked(struct client *c, int32_t xid)
{
    PRE(c->asked_count < ASKED_MAX);
    c->asked[c->asked_count++] = xid;
}

static void send_request(struct client *c, struct input *in)
{
    struct buf body = {0};
    int32_t type = draw_type(in);
    draw_body(&body, in, type);
    if (c->asked_count < ASKED_MAX && !c->peer->is_closed) {
        asked(c, zk_send(c->peer, type, &body));
    }
    buf_close(&body);
}

/* A request with one byte changed, in a frame that is right. */
static void send_damaged(struct client *c, struct input *in)
{
    struct buf b = {0};
    struct buf framed = {0};
    int32_t type = draw_type(in);
    jute_put_int(&b, ++c->peer->xid);
    jute_put_int(&b, type);
    draw_body(&b, in, type);
    b.data[draw(in) % b.size] ^= draw(in);
    b.size -= draw(in) % 4 == 0 ? draw(in) % b.size : 0;
    c->is_wild = true;
    zk_put_packet(&framed, buf_slice(&b));
    zk_peer_feed(c->peer, buf_slice(&framed));
    buf_close(&b);
    buf_close(&framed);
}

static void send_raw(struct client *c, struct input *in)
{
    uint8_t bytes[16];
    size_t size = draw(in) % sizeof bytes;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = draw(in);
    }
    c->is_wild = true;
    zk_peer_feed(c->peer, slice_make(bytes, size));
}

static void reconnect(struct zk_world *w, struct client *c, struct input *in)
{
    if (c->peer != NULL) {
        zk_peer_free(c->peer);
    }
    struct zk_peer *p = zk_peer_open(w, "192.0.2.1:1");
    bool resumes = draw(in) % 2 == 0 && c->session != 0;
    int64_t session = resumes ? c->session : 0;
    uint8_t password[ZK_PASSWORD_BYTES];
    memcpy(password, c->password, sizeof password);
    password[0] ^= resumes && draw(in) % 4 == 0;
    *c = (struct client){.peer = p, .session = c->session};
    memcpy(c->password, password, sizeof password);
    zk_hello_send(p, &(struct zk_hello){.timeout_ms = 4000,
                                        .session = session,
                                        .password = slice_make(password, sizeof password),
                                        .is_short = draw(in) % 2 == 0});
}

static void take_greeting(struct client *c)
{
    size_t bytes;
    if (!zk_take_hello(c->peer, &bytes)) {
        return;
    }
    PRE(bytes == 36 || bytes == 37);
    c->greeted = true;
    PRE((c->peer->session == 0) == (c->peer->timeout_ms == 0));
    if (c->peer->session != 0) {
        c->session = c->peer->session;
        memcpy(c->password, c->peer->password, sizeof c->password);
    }
}

static void take_event(struct jute_in *body)
{
    int32_t type = jute_int(body);
    PRE(type >= ZK_EVENT_CREATED && type <= ZK_EVENT_CHILDREN && jute_int(body) == 3);
    PRE(!jute_buffer(body).is_null && !body->failed && body->rest.size == 0);
}

/* An error has no body, but for SASL, which is refused with a null token. */
static bool has_right_body(const struct zk_seen *seen)
{
    struct slice body = seen->body.rest;
    return seen->error == 0 || body.size == 0 ||
           (seen->error == ZK_AUTH_FAILED && slice_is(body, "\xff\xff\xff\xff"));
}

static void take_replies(struct client *c)
{
    struct buf keep = {0};
    struct zk_seen seen;
    if (!c->greeted) {
        take_greeting(c);
    }
    while (c->greeted && c->peer->session != 0 && zk_take(c->peer, &seen, &keep)) {
        PRE(seen.zxid <= 0 || seen.zxid >= c->zxid);
        c->zxid = seen.zxid > 0 ? seen.zxid : c->zxid;
        if (seen.xid == ZK_XID_EVENT && !c->is_wild) {
            take_event(&seen.body);
        } else if (!c->is_wild) {
            PRE(c->answered < c->asked_count && seen.xid == c->asked[c->answered]);
            PRE(has_right_body(&seen));
            c->answered++;
        }
    }
    buf_close(&keep);
}

static void step(struct zk_world *w, struct client *clients, struct input *in)
{
    struct client *c = &clients[draw(in) % CLIENTS];
    uint8_t action = draw(in) % 32;
    if (c->peer == NULL || action == 0) {
        reconnect(w, c, in);
    } else if (action == 1) {
        send_raw(c, in);
    } else if (action < 4) {
        send_damaged(c, in);
    } else if (action == 4) {
        w->node->is_held = !w->node->is_held;
    } else if (action == 5) {
        w->node->is_serving = !w->node->is_serving;
    } else if (action == 6) {
        zk_world_advance(w, (uint64_t)draw(in) * 50);
    } else if (action < 12) {
        zk_world_run(w);
    } else {
        send_request(c, in);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients[i].peer != NULL) {
            take_replies(&clients[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zk_world w;
    struct client clients[CLIENTS] = {0};
    struct input in = {data, size};
    zk_world_open(&w, NULL);
    w.settings.linearizable_reads = draw(&in) % 8 == 0;
    for (int i = 0; i < STEPS_MAX && in.size > 0; i++) {
        step(&w, clients, &in);
    }
    w.node->is_held = false;
    w.node->is_serving = true;
    zk_world_advance(&w, 100);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        if (c->peer != NULL) {
            take_replies(c);
            PRE(c->is_wild || c->peer->is_closed || c->answered == c->asked_count);
        }
    }
    PRE(w.node->pending == 0);
    store_check(w.node->store);
    zk_world_close(&w);
    return 0;
}
