/* The members, what is due when, and the interface. Connections are in raft/peer_connection.c. */
#include "raft/peer_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

static_assert(PEER_QUEUE_BYTES_MAX > 2 * MESSAGE_BODY_BYTES_MAX, "any message fits the queue");
static_assert(PEER_PING_MS * 2 < PEER_SILENCE_MS, "a lost ping alone is not silence");

struct peer *peers_find(const struct peers *p, uint64_t id)
{
    for (size_t i = 0; i < p->member_count; i++) {
        if (p->members[i]->id == id) {
            return p->members[i];
        }
    }
    return NULL;
}

/* ---- time -------------------------------------------------------------------------------- */

static void peer_ping(struct peers *p, struct peer *m)
{
    if (peer_queued(p, m) == 0) { /* else a sign of life is on its way already */
        message_encode(&m->queue, &(struct message){.type = MESSAGE_PING});
        peer_flush(p, m);
    }
    m->sent_ms = peers_now(p);
}

static void peer_tick(struct peers *p, struct peer *m, uint64_t now_ms)
{
    struct peer_connection *c = m->connection;
    if (c == NULL) {
        if (now_ms >= peer_dial_ms(p, m)) {
            peer_dial(p, m);
        }
    } else if (!c->is_up) {
        if (now_ms >= c->deadline_ms) {
            peer_connection_end(c, RC_TIMEOUT, NULL);
        }
    } else if (now_ms >= c->heard_ms + PEER_SILENCE_MS) {
        peer_connection_end(c, RC_TIMEOUT, "nothing was heard for too long");
    } else if (now_ms >= m->sent_ms + PEER_PING_MS) {
        peer_ping(p, m);
    }
}

void peers_tick(struct peers *p, uint64_t now_ms)
{
    while (!list_empty(&p->strangers)) {
        struct peer_connection *c = LIST_OF(p->strangers.next, struct peer_connection, link);
        if (now_ms < c->deadline_ms) {
            break;
        }
        struct errmsg err = {0};
        if (c->is_guest) {
            (void)peer_connection_detach(c); /* it has asked for long enough, or was told to go */
            continue;
        }
        (void)errmsg_set(&err, RC_TIMEOUT, "no HELLO within %d ms", PEER_HELLO_MS);
        peer_connection_refuse(c, &err);
    }
    /* By position: a `down` event may remove members, of which at worst one waits for the next
     * tick then. */
    for (size_t i = 0; i < p->member_count; i++) {
        peer_tick(p, p->members[i], now_ms);
    }
}

uint64_t peers_next_deadline_ms(const struct peers *p)
{
    uint64_t next = UINT64_MAX;
    if (!list_empty(&p->strangers)) {
        next = LIST_OF(p->strangers.next, struct peer_connection, link)->deadline_ms;
    }
    for (size_t i = 0; i < p->member_count; i++) {
        const struct peer *m = p->members[i];
        const struct peer_connection *c = m->connection;
        uint64_t due = UINT64_MAX;
        if (c == NULL) {
            due = peer_dial_ms(p, m);
        } else if (!c->is_up) {
            due = c->deadline_ms;
        } else {
            uint64_t silence = c->heard_ms + PEER_SILENCE_MS;
            uint64_t ping = m->sent_ms + PEER_PING_MS;
            due = silence < ping ? silence : ping;
        }
        next = due < next ? due : next;
    }
    return next;
}

/* ---- members ----------------------------------------------------------------------------- */

#define PEER_LABELS_BYTES (PEER_NAME_BYTES_MAX + 16)

static void peer_labels(const struct peer *m, char labels[PEER_LABELS_BYTES])
{
    if (m->name[0] != '\0') {
        (void)snprintf(labels, PEER_LABELS_BYTES, "peer=\"%s\"", m->name);
    } else {
        (void)snprintf(labels, PEER_LABELS_BYTES, "peer=\"%016" PRIx64 "\"", m->id);
    }
}

static void peer_register_metrics(struct peers *p, struct peer *m)
{
    if (p->metrics == NULL) {
        return;
    }
    char labels[PEER_LABELS_BYTES];
    peer_labels(m, labels);
    m->bytes_out = metrics_counter(p->metrics, "coord_peer_sent_bytes_total", labels,
                                   "Bytes handed to the connection to a member.");
    m->bytes_in = metrics_counter(p->metrics, "coord_peer_received_bytes_total", labels,
                                  "Bytes received from a member.");
    m->connects = metrics_counter(p->metrics, "coord_peer_connects_total", labels,
                                  "Connections established with a member, the first included.");
    m->dropped =
        metrics_counter(p->metrics, "coord_peer_dropped_messages_total", labels,
                        "Messages dropped because the member was not connected or took "
                        "nothing.");
    m->up = metrics_gauge(p->metrics, "coord_peer_up", labels,
                          "1 while connected with the member.");
}

/* It has left, or has another name from now on. Who has the same name has the same series. */
static void peer_forget_metrics(struct peers *p, struct peer *m)
{
    static const char *const names[] = {
        "coord_peer_sent_bytes_total",       "coord_peer_received_bytes_total",
        "coord_peer_connects_total",         "coord_peer_dropped_messages_total",
        "coord_peer_up",
    };
    bool is_shared = false;
    for (size_t i = 0; i < p->member_count; i++) {
        is_shared |= p->members[i] != m && p->members[i]->up == m->up;
    }
    char labels[PEER_LABELS_BYTES];
    peer_labels(m, labels);
    for (size_t i = 0; m->up != NULL && !is_shared && i < sizeof names / sizeof names[0]; i++) {
        metrics_remove(p->metrics, names[i], labels);
    }
    m->bytes_out = m->bytes_in = m->connects = m->dropped = m->up = NULL;
}

static struct peer *peer_new(struct peers *p, uint64_t id)
{
    struct peer *m = mem_zalloc(sizeof *m);
    m->id = id;
    m->retry_ms = PEER_RECONNECT_MS;
    m->retry_at_ms = peers_now(p);
    p->members = mem_resize(p->members, (p->member_count + 1) * sizeof *p->members);
    p->members[p->member_count++] = m;
    return m;
}

void peers_add(struct peers *p, uint64_t id, const char *name, const char *host, uint16_t port)
{
    PRE(id != 0 && id != p->node_id);
    PRE(strlen(name) <= PEER_NAME_BYTES_MAX);
    struct peer *m = peers_find(p, id);
    bool is_new = m == NULL;
    if (is_new) {
        m = peer_new(p, id);
    } else if (m->port == port && strcmp(m->host, host) == 0 && strcmp(m->name, name) == 0) {
        return;
    }
    PRE(strlen(host) < sizeof m->host);
    bool is_renamed = is_new || strcmp(m->name, name) != 0;
    if (is_renamed) {
        peer_forget_metrics(p, m);
    }
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    (void)snprintf(m->host, sizeof m->host, "%s", host);
    m->port = port;
    if (is_renamed) {
        peer_register_metrics(p, m);
        if (peer_is_up(m)) {
            metric_set(m->up, 1);
        }
    }
    /* One that works is left alone; an attempt at the old address is pointless. */
    if (m->connection != NULL && !m->connection->is_up) {
        (void)peer_connection_detach(m->connection);
    }
    m->retry_ms = PEER_RECONNECT_MS;
    m->retry_at_ms = peers_now(p);
    m->failure = RC_OK;
}

static void peer_free(struct peer *m)
{
    if (m->connection != NULL) {
        (void)peer_connection_detach(m->connection);
    }
    metric_set(m->up, 0);
    buf_close(&m->queue);
    mem_free(m);
}

void peers_remove(struct peers *p, uint64_t id)
{
    for (size_t i = 0; i < p->member_count; i++) {
        if (p->members[i]->id == id) {
            struct peer *m = p->members[i];
            p->member_count--;
            memmove(p->members + i, p->members + i + 1,
                    (p->member_count - i) * sizeof *p->members);
            peer_forget_metrics(p, m);
            peer_free(m);
            return;
        }
    }
}

/* ---- sending and asking ------------------------------------------------------------------ */

bool peers_send(struct peers *p, uint64_t to, const struct message *m)
{
    struct peer *member = peers_find(p, to);
    if (member == NULL) {
        return false;
    }
    size_t before = member->queue.size;
    size_t waiting = peer_queued(p, member);
    if (peer_is_up(member) && waiting < PEER_QUEUE_BYTES_MAX) {
        message_encode(&member->queue, m);
        if (waiting + member->queue.size - before <= PEER_QUEUE_BYTES_MAX) {
            return true;
        }
        member->queue.size = before; /* taken back whole */
    }
    metric_add(member->dropped, 1);
    return false;
}

void peers_flush(struct peers *p)
{
    for (size_t i = 0; i < p->member_count; i++) {
        peer_flush(p, p->members[i]);
    }
}

bool peers_is_up(const struct peers *p, uint64_t id)
{
    const struct peer *m = peers_find(p, id);
    return m != NULL && peer_is_up(m);
}

size_t peers_queued(const struct peers *p, uint64_t id)
{
    const struct peer *m = peers_find(p, id);
    return m != NULL ? peer_queued(p, m) : 0;
}

const char *peers_client_address(const struct peers *p, uint64_t id)
{
    const struct peer *m = peers_find(p, id);
    return m != NULL ? m->client_address : "";
}

uint32_t peers_feature_level(const struct peers *p, uint64_t id)
{
    const struct peer *m = peers_find(p, id);
    return m != NULL ? m->feature_level : 0;
}

uint16_t peers_port(const struct peers *p)
{
    return p->listener != NULL ? p->env->net->listener_port(p->listener) : 0;
}

/* ---- open and close ---------------------------------------------------------------------- */

enum status peers_open(const struct peers_options *options, const struct peers_events *events,
                       void *context, struct peers **out, struct errmsg *err)
{
    PRE(options->node_id != 0);
    PRE(strlen(options->name) <= PEER_NAME_BYTES_MAX);
    PRE(strlen(options->client_address) <= MESSAGE_ADDRESS_BYTES_MAX);
    struct peers *p = mem_zalloc(sizeof *p);
    p->env = options->env;
    p->log = options->log;
    p->metrics = options->metrics;
    p->cluster_id = options->cluster_id;
    p->node_id = options->node_id;
    p->boot_id = options->boot_id;
    p->feature_level = options->feature_level;
    p->name = mem_strdup(options->name);
    p->client_address = mem_strdup(options->client_address);
    p->events = *events;
    p->context = context;
    list_init(&p->strangers);
    if (options->listen_host != NULL) {
        enum status rc = p->env->net->listen(p->env, options->listen_host, options->listen_port,
                                             peers_accept, p, &p->listener, err);
        if (rc != RC_OK) {
            p->listener = NULL;
            peers_close(p);
            return rc;
        }
    }
    *out = p;
    return RC_OK;
}

void peers_close(struct peers *p)
{
    if (p->listener != NULL) {
        p->env->net->listener_close(p->listener);
    }
    while (!list_empty(&p->strangers)) {
        (void)peer_connection_detach(LIST_OF(p->strangers.next, struct peer_connection, link));
    }
    while (p->member_count > 0) {
        peer_free(p->members[--p->member_count]);
    }
    mem_free(p->members);
    arena_close(&p->arena);
    mem_free(p->name);
    mem_free(p->client_address);
    mem_free(p);
}
