#include "net/server.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/allowance.h"
#include "net/conn.h"
#include "net/login.h"
#include "net/zookeeper/words.h"
#include "raft/node.h"
#include "store/store.h"

/* ---- the protocol ------------------------------------------------------------------------ */

/* How each begins. No one is the beginning of another. */
static const struct {
    const char *text;
    enum server_protocol protocol;
} beginnings[] = {
    {"PRI * HTTP/2.0\r\n", SERVER_HTTP2},
    {"GET ", SERVER_HTTP1},
    {"HEAD ", SERVER_HTTP1},
    {"POST ", SERVER_HTTP1},
    {"PUT ", SERVER_HTTP1},
    {"DELETE ", SERVER_HTTP1},
    {"OPTIONS ", SERVER_HTTP1},
    {"PATCH ", SERVER_HTTP1},
    {"TRACE ", SERVER_HTTP1},
    {"CONNECT ", SERVER_HTTP1},
};

/* ZooKeeper's clients begin with the length of their first packet, far below 2^24; who asks a
 * ZooKeeper server about itself, with four small letters. */
static bool detect_zookeeper(struct slice bytes, enum server_protocol *out)
{
    bool is_word = bytes.data[0] != 0;
    if (is_word && bytes.size < ZK_WORD_BYTES) {
        return false;
    }
    if (bytes.data[0] == 0 ||
        (is_word && zk_word_find(slice_make(bytes.data, ZK_WORD_BYTES)) != ZK_WORDS)) {
        *out = SERVER_ZOOKEEPER;
    }
    return true;
}

bool server_detect(struct slice bytes, enum server_protocol *out, const char **why)
{
    *out = SERVER_PROTOCOLS;
    if (bytes.size == 0) {
        return false;
    }
    if (bytes.data[0] == 0x16) {
        *why = "a TLS handshake, and TLS is not switched on here";
        return true;
    }
    /* A frame of the peer protocol: a short length, the low byte first. */
    if (bytes.data[0] != 0 && (bytes.size < 2 || bytes.data[1] == 0)) {
        bool is_known = bytes.size >= 4;
        bool is_short = is_known && bytes.data[2] == 0 && bytes.data[3] == 0;
        *out = is_short ? SERVER_GUEST : SERVER_PROTOCOLS;
        return is_known;
    }
    if (bytes.data[0] == 0 || (bytes.data[0] >= 'a' && bytes.data[0] <= 'z')) {
        return detect_zookeeper(bytes, out);
    }
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        size_t length = strlen(beginnings[i].text);
        size_t common = length < bytes.size ? length : bytes.size;
        if (memcmp(beginnings[i].text, bytes.data, common) == 0) {
            *out = common == length ? beginnings[i].protocol : SERVER_PROTOCOLS;
            return common == length;
        }
    }
    return true;
}

/* ---- plain text where TLS is asked for --------------------------------------------------- */

#define PLAIN_WHY "this port speaks TLS only\n"

static_assert(sizeof PLAIN_WHY - 1 == 26, "as Content-Length says");

bool server_takes_plain(const struct server *s, const char *peer)
{
    bool is_local = strncmp(peer, "127.", 4) == 0 || strncmp(peer, "[::1]:", 6) == 0;
    return !s->options.speaks_tls || s->options.plain == SERVER_PLAIN_ALL ||
           (s->options.plain == SERVER_PLAIN_LOOPBACK && is_local);
}

struct slice server_plain_refusal(enum server_protocol protocol, struct slice first_bytes)
{
    static const char http[] =
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
        "Content-Type: text/plain\r\nContent-Length: 26\r\n\r\n" PLAIN_WHY;
    static const char word[] = PLAIN_WHY;
    switch (protocol) {
    case SERVER_HTTP1:
    case SERVER_HTTP2: /* every client of HTTP/2 knows this for what it is, and gives up at once */
        return slice_make(http, sizeof http - 1);
    case SERVER_ZOOKEEPER:
        if (first_bytes.data[0] != 0) { /* a four-letter word; packets have no such answer */
            return slice_make(word, sizeof word - 1);
        }
        break;
    case SERVER_GUEST:
    case SERVER_PROTOCOLS: break;
    }
    return slice_make(NULL, 0);
}

/* ---- accepting --------------------------------------------------------------------------- */

static void server_accept(void *owner, struct env_stream *stream)
{
    struct server *s = owner;
    metric_add(s->accepted, 1);
    if (s->conn_count < s->options.connections_max) {
        conn_new(s, stream);
        return;
    }
    metric_add(s->refused_limit, 1);
    if (log_is_due(&s->refusal_logged_ms, s->env->now_ms(s->env))) {
        char peer[FRONT_PEER_BYTES_MAX];
        s->env->net->peer_name(stream, peer, sizeof peer);
        log_warn(s->log, "client.refused",
                 "peer=%s reason=\"all %" PRIu32 " connections are used\"", peer,
                 s->options.connections_max);
    }
    s->env->net->close(stream, false);
}

static void server_register_metrics(struct server *s)
{
    struct metrics *m = s->options.metrics;
    if (m == NULL) {
        return;
    }
    static const char *const refused = "Client connections closed at once, by reason.";
    static const char *const open = "Client connections open now, by protocol.";
    s->accepted = metrics_counter(m, "coord_connections_accepted_total", NULL,
                                  "Client connections accepted.");
    metric_set(metrics_gauge(m, "coord_connections_max", NULL,
                             "Client connections that may be open at a time."),
               s->options.connections_max);
    s->refused_limit =
        metrics_counter(m, "coord_connections_refused_total", "reason=\"limit\"", refused);
    s->refused_protocol =
        metrics_counter(m, "coord_connections_refused_total", "reason=\"protocol\"", refused);
    s->refused_timeout =
        metrics_counter(m, "coord_connections_refused_total", "reason=\"timeout\"", refused);
    s->refused_plain =
        metrics_counter(m, "coord_connections_refused_total", "reason=\"plaintext\"", refused);
    s->unread = metrics_counter(m, "coord_connections_unread_total", NULL,
                                "Client connections closed since nothing was read for a minute.");
    s->held = metrics_counter(m, "coord_connections_held_total", NULL,
                              "How often a connection that cost much was read later.");
    s->bytes_in =
        metrics_counter(m, "coord_client_received_bytes_total", NULL, "Bytes from clients.");
    s->bytes_out =
        metrics_counter(m, "coord_client_sent_bytes_total", NULL, "Bytes to clients.");
    s->gauge_detecting = metrics_gauge(m, "coord_connections", "protocol=\"unknown\"", open);
    for (int i = 0; i < SERVER_PROTOCOLS; i++) {
        if (s->options.fronts[i] != NULL) {
            char labels[64];
            (void)snprintf(labels, sizeof labels, "protocol=\"%s\"",
                           s->options.fronts[i]->name);
            s->gauges[i] = metrics_gauge(m, "coord_connections", labels, open);
        }
    }
}

static void server_set_defaults(struct server_options *o)
{
    o->connections_max = o->connections_max != 0 ? o->connections_max : SERVER_CONNECTIONS_MAX;
    o->handshake_ms = o->handshake_ms != 0 ? o->handshake_ms : SERVER_HANDSHAKE_MS;
    o->write_ms = o->write_ms != 0 ? o->write_ms : SERVER_WRITE_MS;
    o->stop_ms = o->stop_ms != 0 ? o->stop_ms : SERVER_STOP_MS;
    o->limits.requests_max =
        o->limits.requests_max != 0 ? o->limits.requests_max : SERVER_REQUESTS_MAX;
}

static void server_open_fronts(struct server *s)
{
    struct front_env env = {.node = s->options.node,
                            .env = s->env,
                            .log = s->log,
                            .metrics = s->options.metrics,
                            .super_digest = s->options.super_digest,
                            .limits = &s->options.limits,
                            .logins = s->logins,
                            .audit = s->options.audit,
                            .allowances = s->allowances,
                            .vitals = s->options.vitals,
                            .planner = s->options.planner,
                            .rejected = s->refused_limit};
    for (int i = 0; i < SERVER_PROTOCOLS; i++) {
        const struct front *front = s->options.fronts[i];
        env.settings = s->options.settings[i];
        if (front != NULL && front->shared_new != NULL) {
            s->shared[i] = front->shared_new(&env);
        }
    }
}

enum status server_open(const struct server_options *options, struct server **out,
                        struct errmsg *err)
{
    struct server *s = mem_zalloc(sizeof *s);
    s->options = *options;
    server_set_defaults(&s->options);
    s->env = options->env;
    s->log = options->log;
    s->stop_deadline_ms = UINT64_MAX;
    list_init(&s->conns);
    list_init(&s->dirty);
    list_init(&s->waiting);
    server_register_metrics(s);
    memory_init(&s->memory, s->options.metrics, conn_renew_memory, conn_evict);
    s->memory.log = s->log;
    s->logins = logins_new(s->env, s->options.node, s->log, s->options.metrics);
    s->allowances = allowances_new(s->env, s->options.node, s->options.metrics);
    server_open_fronts(s);
    enum status rc = s->env->net->listen(s->env, options->host, options->port, server_accept, s,
                                         &s->listener, err);
    s->options.host = NULL;
    if (rc != RC_OK) {
        s->listener = NULL;
        server_close(s);
        return rc;
    }
    *out = s;
    return RC_OK;
}

/* ---- turns ------------------------------------------------------------------------------- */

static void server_tick(struct server *s)
{
    struct heap_node *first = heap_peek(&s->deadlines);
    if (first == NULL) {
        return;
    }
    uint64_t now = s->env->now_ms(s->env);
    while ((first = heap_peek(&s->deadlines)) != NULL && first->key <= now) {
        conn_tick(HEAP_OF(first, struct conn, deadline), now);
    }
}

static void server_free_all(struct server *s)
{
    while (!list_empty(&s->conns)) {
        conn_free(LIST_OF(s->conns.next, struct conn, link), false);
    }
}

static void server_finish_stop(struct server *s)
{
    if (s->conn_count > 0 && s->env->now_ms(s->env) >= s->stop_deadline_ms) {
        log_info(s->log, "server.stop", "cut_off=%zu", s->conn_count);
        server_free_all(s);
    }
    if (s->conn_count > 0) {
        return;
    }
    s->stop_deadline_ms = UINT64_MAX;
    if (s->stopped != NULL) {
        void (*stopped)(void *) = s->stopped;
        s->stopped = NULL;
        stopped(s->stopped_context);
    }
}

static uint64_t auth_version(const struct server *s)
{
    return s->options.node != NULL ? store_auth(node_store(s->options.node))->version : 0;
}

/* Fronts look in their turn whether those whom they serve still are who they were. */
static void server_tell_of_users(struct server *s)
{
    struct list *it;
    struct list *next;
    s->auth_version = auth_version(s);
    LIST_EACH(it, next, &s->conns)
    {
        conn_mark(LIST_OF(it, struct conn, link));
    }
}

void server_turn(struct server *s)
{
    if (s->auth_version != auth_version(s)) {
        server_tell_of_users(s);
    }
    server_tick(s);
    /* Those marked meanwhile have their turn in the next loop turn: clients get theirs in turns. */
    for (size_t n = s->dirty_count; n > 0 && s->dirty_count > 0; n--) {
        conn_turn(LIST_OF(s->dirty.next, struct conn, dirty));
    }
    if (s->is_stopping) {
        server_finish_stop(s);
    }
}

uint64_t server_next_deadline_ms(const struct server *s)
{
    if (s->dirty_count > 0 || s->waiting_count > 0 || s->auth_version != auth_version(s) ||
        (s->stopped != NULL && s->conn_count == 0)) {
        return 0;
    }
    const struct heap_node *first = heap_peek(&s->deadlines);
    uint64_t next = first != NULL ? first->key : UINT64_MAX;
    return next < s->stop_deadline_ms ? next : s->stop_deadline_ms;
}

/* ---- the end ----------------------------------------------------------------------------- */

static void server_stop_all(struct server *s)
{
    struct list *it;
    struct list *next;
    LIST_EACH(it, next, &s->conns)
    {
        conn_stop(LIST_OF(it, struct conn, link));
    }
}

void server_send_away(struct server *s)
{
    if (!s->is_stopping) {
        server_stop_all(s);
    }
}

void server_stop(struct server *s, void (*stopped)(void *context), void *context)
{
    if (s->is_stopping) {
        return;
    }
    s->is_stopping = true;
    s->stopped = stopped;
    s->stopped_context = context;
    s->stop_deadline_ms = s->env->now_ms(s->env) + s->options.stop_ms;
    s->env->net->listener_close(s->listener);
    s->listener = NULL;
    server_stop_all(s);
}

void server_stop_within(struct server *s, uint64_t limit_ms)
{
    uint64_t deadline_ms = s->env->now_ms(s->env) + limit_ms;
    if (s->is_stopping && deadline_ms < s->stop_deadline_ms && s->stopped != NULL) {
        s->stop_deadline_ms = deadline_ms;
    }
}

void server_close(struct server *s)
{
    if (s->listener != NULL) {
        s->env->net->listener_close(s->listener);
    }
    server_free_all(s);
    for (int i = 0; i < SERVER_PROTOCOLS; i++) {
        const struct front *front = s->options.fronts[i];
        if (front != NULL && front->shared_free != NULL) {
            front->shared_free(s->shared[i]);
        }
    }
    logins_free(s->logins);
    allowances_free(s->allowances);
    heap_close(&s->deadlines);
    mem_free(s);
}

uint16_t server_port(const struct server *s)
{
    return s->listener != NULL ? s->env->net->listener_port(s->listener) : 0;
}

size_t server_connections(const struct server *s)
{
    return s->conn_count;
}
