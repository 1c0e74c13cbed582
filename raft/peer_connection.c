/* One connection: its place in life, HELLO, the frames that come in and the queue that goes out.
 *
 *   accepted --HELLO is right--> up     incoming: among `strangers` until it has a peer
 *   dialling --HELLO is right--> up     outgoing: its peer's from the start
 *
 * Either may end in each place, through peer_connection_detach: it is closed, and freed as soon as
 * nothing reads from it any more.
 */
#include "raft/peer_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/tls.h"
#include "base/utf8.h"

/* A refused peer comes back twice a second: the same reason is told once in this time. */
#define REFUSAL_REPEAT_MS 10000
/* Spare memory that an empty queue keeps for good. */
#define QUEUE_KEPT_BYTES ((size_t)1 << 20)

static_assert(PEER_NAME_BYTES_MAX == MESSAGE_NAME_BYTES_MAX, "a name fits HELLO");

/* ---- the queue of a peer ----------------------------------------------------------------- */

size_t peer_queued(const struct peers *p, const struct peer *m)
{
    if (!peer_is_up(m)) {
        return 0;
    }
    return m->queue.size - m->queue_taken + p->env->net->queued(m->connection->stream);
}

static void queue_reset(struct peer *m)
{
    m->queue_taken = 0;
    m->is_blocked = false;
    buf_recycle(&m->queue, QUEUE_KEPT_BYTES, &m->queue_calm);
}

/* Hands the queue to the stream, in pieces of what a stream holds, so that the memory of a stalled
 * peer is not doubled. Normally that is one write. */
void peer_flush(struct peers *p, struct peer *m)
{
    if (!peer_is_up(m) || m->is_blocked || m->queue.size == m->queue_taken) {
        return;
    }
    m->sent_ms = peers_now(p);
    while (!m->is_blocked && m->queue_taken < m->queue.size) {
        size_t bytes = m->queue.size - m->queue_taken;
        if (bytes > ENV_STREAM_QUEUE_MAX) {
            bytes = ENV_STREAM_QUEUE_MAX;
        }
        struct slice piece = slice_make(m->queue.data + m->queue_taken, bytes);
        m->is_blocked = !p->env->net->write(m->connection->stream, piece);
        m->queue_taken += bytes;
        metric_add(m->bytes_out, (int64_t)bytes);
    }
    if (m->queue_taken == m->queue.size) {
        bool is_blocked = m->is_blocked;
        queue_reset(m);
        m->is_blocked = is_blocked;
    } else if (m->queue_taken > m->queue.size / 2) {
        buf_consume(&m->queue, m->queue_taken);
        m->queue_taken = 0;
    }
}

/* ---- the end of a connection ------------------------------------------------------------- */

static void connection_free(struct peer_connection *c)
{
    frame_reader_close(&c->reader);
    mem_free(c);
}

static void peer_lost(struct peers *p, struct peer *m)
{
    m->connection = NULL;
    queue_reset(m);
    buf_close(&m->queue);
    m->retry_at_ms = peers_now(p) + m->retry_ms;
    m->retry_ms =
        m->retry_ms > PEER_RECONNECT_MS_MAX / 2 ? PEER_RECONNECT_MS_MAX : m->retry_ms * 2;
    metric_set(m->up, 0);
}

bool peer_connection_detach(struct peer_connection *c)
{
    struct peers *p = c->peers;
    bool was_up = c->is_up;
    c->is_up = false;
    if (c->stream != NULL) {
        p->env->net->close(c->stream, false);
        c->stream = NULL;
    }
    if (c->member != NULL) {
        peer_lost(p, c->member);
        c->member = NULL;
    } else {
        list_remove(&c->link);
        p->stranger_count--;
    }
    if (!c->is_reading) {
        connection_free(c);
    }
    return was_up;
}

void peer_connection_end(struct peer_connection *c, enum status rc, const char *why)
{
    struct peers *p = c->peers;
    struct peer *m = c->member;
    const char *reason = why != NULL ? why : status_text(rc);
    char quoted[300];
    uint64_t id = m != NULL ? m->id : 0;
    if (c->is_up) {
        log_info(p->log, "peer.down", "name=%s id=%016" PRIx64 " address=%s reason=%s", m->name,
                 id, c->address, log_quote(quoted, sizeof quoted, reason));
    } else if (m != NULL && m->failure != rc) {
        /* Repeated attempts that fail in the same way are one state. */
        m->failure = rc;
        log_info(p->log, "peer.unreachable", "name=%s id=%016" PRIx64 " address=%s reason=%s",
                 m->name, id, c->address, log_quote(quoted, sizeof quoted, reason));
    }
    if (peer_connection_detach(c)) {
        p->events.down(p->context, id);
    }
}

/* True unless the same was told a short while ago. */
static bool refusal_is_news(struct peers *p, const struct errmsg *err)
{
    uint64_t now = peers_now(p);
    if (strcmp(p->refusal.text, err->text) == 0 && now - p->refusal_ms < REFUSAL_REPEAT_MS) {
        return false;
    }
    p->refusal = *err;
    p->refusal_ms = now;
    return true;
}

void peer_connection_refuse(struct peer_connection *c, const struct errmsg *err)
{
    if (!c->is_up) { /* else the loss is told with this reason */
        if (refusal_is_news(c->peers, err)) {
            char quoted[300];
            log_warn(c->peers->log, "peer.refused", "address=%s reason=%s", c->address,
                     log_quote(quoted, sizeof quoted, err->text));
        }
        if (c->member != NULL) {
            c->member->failure = RC_REFUSED; /* this line has told it */
        }
    }
    peer_connection_end(c, RC_REFUSED, err->text);
}

/* ---- HELLO ------------------------------------------------------------------------------- */

static void hello_put(const struct peers *p, struct buf *out, uint64_t target_id)
{
    struct message m = {.type = MESSAGE_HELLO,
                        .hello = {.format = MESSAGE_FORMAT,
                                  .feature_level = p->feature_level,
                                  .cluster_id = p->cluster_id,
                                  .node_id = p->node_id,
                                  .target_id = target_id,
                                  .boot_id = p->boot_id,
                                  .name = slice_str(p->name),
                                  .client_address = slice_str(p->client_address)}};
    message_encode(out, &m);
}

/* It stands in lines of the log and in labels of metrics as it is. */
static bool name_is_fine(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return true;
}

/* In every format that there will ever be, a HELLO begins with the format: so that the reason can
 * be told even if the rest cannot be read. */
static enum status hello_decode(struct slice frame, struct message *m, struct arena *arena,
                                struct errmsg *err)
{
    struct unpack in = unpack_make(frame);
    (void)unpack_raw(&in, 8);
    uint8_t type = unpack_u8(&in);
    (void)unpack_raw(&in, 3);
    uint32_t format = unpack_u32(&in);
    if (in.failed || type != MESSAGE_HELLO) {
        return errmsg_set(err, RC_MALFORMED, "it does not begin with HELLO but with type %u",
                          (unsigned)type);
    }
    if (format != MESSAGE_FORMAT) {
        return errmsg_set(err, RC_UNSUPPORTED,
                          "it speaks format %" PRIu32 " of the peer protocol, this node %u",
                          format, (unsigned)MESSAGE_FORMAT);
    }
    enum status rc = message_decode(frame, m, arena, err);
    if (rc != RC_OK) {
        return rc;
    }
    /* Both are shown as text. */
    bool is_name_text = utf8_is_valid(m->hello.name);
    if (!is_name_text || !utf8_is_valid(m->hello.client_address)) {
        return errmsg_set(err, RC_MALFORMED, "its %s is not valid UTF-8",
                          is_name_text ? "client address" : "name");
    }
    if (!name_is_fine(m->hello.name)) {
        return errmsg_set(err, RC_MALFORMED,
                          "its name has others than letters, digits, '-', '_' and '.'");
    }
    return RC_OK;
}

/* Is it one of us, and the one that it should be? `member` is whom we dialled, or NULL. On success
 * *out is the member it belongs to. */
static enum status hello_check(const struct peers *p, const struct message_hello *h,
                               struct peer *member, struct peer **out, struct errmsg *err)
{
    if (h->boot_id == p->boot_id && h->node_id == p->node_id) {
        return errmsg_set(err, RC_REFUSED, "this node is connected to itself");
    }
    if (h->cluster_id != p->cluster_id) {
        return errmsg_set(err, RC_REFUSED,
                          "it belongs to cluster %016" PRIx64 ", this node to %016" PRIx64,
                          h->cluster_id, p->cluster_id);
    }
    if (h->node_id == p->node_id) {
        return errmsg_set(err, RC_REFUSED, "it has the node id of this node, %016" PRIx64,
                          h->node_id);
    }
    if (h->target_id != p->node_id) {
        return errmsg_set(err, RC_REFUSED,
                          "it wants to reach node %016" PRIx64 ", this is %016" PRIx64,
                          h->target_id, p->node_id);
    }
    if (member != NULL && h->node_id != member->id) {
        return errmsg_set(err, RC_REFUSED,
                          "node %016" PRIx64 " answers at the address of %016" PRIx64,
                          h->node_id, member->id);
    }
    struct peer *m = peers_find(p, h->node_id);
    if (m == NULL) {
        return errmsg_set(err, RC_REFUSED,
                          "node %016" PRIx64 " is not a member of this cluster", h->node_id);
    }
    if (member == NULL && p->node_id < m->id && m->connection != NULL && !peer_is_up(m)) {
        return errmsg_set(err, RC_REFUSED, "node %016" PRIx64 " has to wait to be connected to",
                          h->node_id);
    }
    if (m->name[0] != '\0' && !slice_is(h->name, m->name)) {
        return errmsg_set(err, RC_REFUSED, "node %016" PRIx64 " calls itself '%.*s', not '%s'",
                          h->node_id, (int)h->name.size, (const char *)h->name.data, m->name);
    }
    *out = m;
    return RC_OK;
}

/* HELLO was right: the connection is its member's from here on. */
static void connection_up(struct peer_connection *c, struct peer *m,
                          const struct message_hello *h)
{
    struct peers *p = c->peers;
    if (c->member == NULL) {
        PRE(m->connection == NULL);
        list_remove(&c->link);
        p->stranger_count--;
        c->member = m;
        m->connection = c;
        hello_put(p, &m->queue, m->id); /* the answer, before anything else */
    }
    c->is_up = true;
    c->reader.frame_bytes_max = MESSAGE_HEADER_BYTES + MESSAGE_BODY_BYTES_MAX;
    m->retry_ms = PEER_RECONNECT_MS;
    m->failure = RC_OK;
    m->sent_ms = peers_now(p);
    m->feature_level = h->feature_level;
    (void)snprintf(m->client_address, sizeof m->client_address, "%.*s",
                   (int)h->client_address.size, (const char *)h->client_address.data);
    metric_add(m->connects, 1);
    metric_set(m->up, 1);
    log_info(p->log, "peer.up", "name=%s id=%016" PRIx64 " address=%s level=%" PRIu32, m->name,
             m->id, c->address, m->feature_level);
    peer_flush(p, m);
    p->events.up(p->context, m->id, h);
}

/* False: more than a stream holds is waiting to be read. */
static bool write_message(struct peer_connection *c, const struct message *m)
{
    struct buf out = {0};
    message_encode(&out, m);
    bool has_room = c->peers->env->net->write(c->stream, buf_slice(&out));
    buf_close(&out);
    return has_room;
}

/* It belongs to no cluster, and has come to ask. */
static bool hello_is_of_guest(const struct peer_connection *c, const struct message_hello *h)
{
    return c->member == NULL && c->peers->events.guest != NULL && h->cluster_id == 0 &&
           h->target_id == 0 && h->node_id != 0 && h->node_id != c->peers->node_id;
}

static void guest_in(struct peer_connection *c, uint64_t id)
{
    struct buf out = {0};
    hello_put(c->peers, &out, id);
    (void)c->peers->env->net->write(c->stream, buf_slice(&out));
    buf_close(&out);
    c->is_guest = true;
}

static void guest_asks(struct peer_connection *c, const struct message *m)
{
    struct errmsg err = {0};
    struct message answer = {0};
    if (m->type != MESSAGE_MEMBER_ASK) {
        (void)errmsg_set(&err, RC_MALFORMED, "a guest says something of type %u",
                         (unsigned)m->type);
        peer_connection_refuse(c, &err);
        return;
    }
    c->peers->events.guest(c->peers->context, &m->member_ask, &answer);
    if (!write_message(c, &answer)) {
        (void)errmsg_set(&err, RC_OVERLOADED,
                         "a guest asks and does not read the answers, of which more than %zu "
                         "bytes wait",
                         ENV_STREAM_QUEUE_MAX);
        peer_connection_refuse(c, &err);
    }
}

/* Somebody of this cluster whom nobody has added, with whom a connection may begin. True if it has
 * been added now. */
static bool hello_is_admitted(struct peer_connection *c, const struct message_hello *h)
{
    struct peers *p = c->peers;
    struct message farewell = {0};
    if (c->member != NULL || p->events.admit == NULL || h->cluster_id != p->cluster_id ||
        h->target_id != p->node_id || h->node_id == p->node_id || h->node_id == 0 ||
        h->name.size > PEER_NAME_BYTES_MAX || peers_find(p, h->node_id) != NULL) {
        return false;
    }
    if (p->events.admit(p->context, h, &farewell)) {
        char name[PEER_NAME_BYTES_MAX + 1];
        (void)snprintf(name, sizeof name, "%.*s", (int)h->name.size,
                       (const char *)h->name.data);
        peers_add(p, h->node_id, name, "", 0);
        return true;
    }
    if (farewell.type != 0) {
        /* Behind our HELLO, without which it would not be listened to. */
        guest_in(c, h->node_id);
        (void)write_message(c, &farewell);
    }
    return false;
}

/* Over TLS the name has to be proved. */
static enum status certificate_check(const struct peer_connection *c,
                                     const struct message_hello *h, struct errmsg *err)
{
    const struct tls_peer *tls = env_stream_tls(c->peers->env, c->stream);
    char name[PEER_NAME_BYTES_MAX + 1];
    (void)snprintf(name, sizeof name, "%.*s", (int)h->name.size, (const char *)h->name.data);
    if (tls == NULL || tls_peer_is_named(tls, name)) {
        return RC_OK;
    }
    return errmsg_set(err, RC_REFUSED, "it calls itself '%s', its certificate says '%.120s'",
                      name, tls->subject);
}

static void connection_hello(struct peer_connection *c, struct slice frame)
{
    struct peers *p = c->peers;
    struct arena arena = {0};
    struct message m;
    struct peer *member = NULL;
    struct errmsg err = {0};
    enum status rc = hello_decode(frame, &m, &arena, &err);
    if (rc == RC_OK) {
        rc = certificate_check(c, &m.hello, &err);
    }
    if (rc == RC_OK && hello_is_of_guest(c, &m.hello)) {
        guest_in(c, m.hello.node_id);
        arena_close(&arena);
        return;
    }
    if (rc == RC_OK && !hello_is_admitted(c, &m.hello) && c->is_guest) {
        arena_close(&arena); /* it was told why; it ends the connection, or its time does */
        return;
    }
    if (rc == RC_OK) {
        rc = hello_check(p, &m.hello, c->member, &member, &err);
    }
    if (rc != RC_OK) {
        peer_connection_refuse(c, &err);
    } else {
        if (c->member == NULL && member->connection != NULL) {
            /* It has restarted, or has noticed a loss that we have not: the newer one counts. */
            uint64_t id = member->id;
            peer_connection_end(member->connection, RC_CLOSED,
                                "replaced by a newer connection");
            member = peers_find(p, id);
        }
        /* The `down` event may have removed it. */
        if (member != NULL) {
            connection_up(c, member, &m.hello);
        } else {
            peer_connection_end(c, RC_CLOSED, NULL);
        }
    }
    arena_close(&arena);
}

/* ---- what a stream reports --------------------------------------------------------------- */

/* One frame. False once the connection has ended. */
static bool connection_frame(void *context, struct slice frame)
{
    struct peer_connection *c = context;
    struct peers *p = c->peers;
    if (!c->is_up && !c->is_guest) {
        connection_hello(c, frame);
        return c->stream != NULL;
    }
    struct message m;
    struct errmsg err = {0};
    arena_clear(&p->arena);
    if (message_decode(frame, &m, &p->arena, &err) != RC_OK) {
        peer_connection_refuse(c, &err);
    } else if (c->is_guest) {
        guest_asks(c, &m);
    } else if (m.type == MESSAGE_HELLO) {
        (void)errmsg_set(&err, RC_MALFORMED, "it says HELLO twice");
        peer_connection_refuse(c, &err);
    } else if (m.type != MESSAGE_PING) {
        p->events.message(p->context, c->member->id, &m);
    }
    return c->stream != NULL;
}

static void connection_data(void *owner, struct slice bytes)
{
    struct peer_connection *c = owner;
    struct errmsg err = {0};
    c->heard_ms = peers_now(c->peers);
    if (c->member != NULL) {
        metric_add(c->member->bytes_in, (int64_t)bytes.size);
    }
    c->is_reading = true;
    enum status rc = frame_reader_feed(&c->reader, bytes, connection_frame, c, &err);
    if (rc != RC_OK && c->stream != NULL) {
        peer_connection_refuse(c, &err);
    }
    c->is_reading = false;
    if (c->stream == NULL) {
        connection_free(c);
    }
}

static void connection_open(void *owner)
{
    struct peer_connection *c = owner;
    struct buf out = {0};
    hello_put(c->peers, &out, c->member->id);
    c->heard_ms = peers_now(c->peers);
    (void)c->peers->env->net->write(c->stream, buf_slice(&out));
    buf_close(&out);
}

static void connection_drain(void *owner)
{
    struct peer_connection *c = owner;
    if (c->is_up) {
        c->member->is_blocked = false;
        peer_flush(c->peers, c->member);
    }
}

static void connection_closed(void *owner, enum status rc)
{
    struct peer_connection *c = owner;
    c->stream = NULL; /* gone already */
    peer_connection_end(c, rc, NULL);
}

static const struct env_stream_events connection_events = {
    .open = connection_open,
    .data = connection_data,
    .drain = connection_drain,
    .closed = connection_closed,
};

/* ---- connecting and accepting ------------------------------------------------------------ */

static struct peer_connection *connection_new(struct peers *p, uint64_t timeout_ms)
{
    struct peer_connection *c = mem_zalloc(sizeof *c);
    c->peers = p;
    c->heard_ms = peers_now(p);
    c->deadline_ms = c->heard_ms + timeout_ms;
    c->reader.frame_bytes_max = PEER_HELLO_BYTES_MAX;
    list_init(&c->link);
    return c;
}

void peer_dial(struct peers *p, struct peer *m)
{
    struct peer_connection *c = connection_new(p, PEER_CONNECT_MS);
    c->member = m;
    m->connection = c;
    (void)snprintf(c->address, sizeof c->address, "%s:%u", m->host, (unsigned)m->port);
    c->stream = p->env->net->connect(p->env, m->host, m->port, &connection_events, c);
}

void peers_accept(void *owner, struct env_stream *stream)
{
    struct peers *p = owner;
    if (p->stranger_count == PEER_STRANGERS_MAX) {
        struct errmsg err = {0};
        (void)errmsg_set(&err, RC_OVERLOADED, "more than %d connections have not said HELLO",
                         PEER_STRANGERS_MAX);
        peer_connection_refuse(LIST_OF(p->strangers.next, struct peer_connection, link), &err);
    }
    struct peer_connection *c = connection_new(p, PEER_HELLO_MS);
    c->stream = stream;
    list_push_back(&p->strangers, &c->link);
    p->stranger_count++;
    p->env->net->peer_name(stream, c->address, sizeof c->address);
    p->env->net->attach(stream, &connection_events, c);
}
