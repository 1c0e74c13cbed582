#include "cmd/coordd/dns.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <uv.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/budget.h"
#include "net/dns/answer.h"
#include "raft/node.h"

#define QUESTIONS_MAX   1024 /* that wait for the node; more are dropped */
#define CONNECTIONS_MAX 128
#define PIPELINED_MAX   16 /* on one connection */
#define SILENCE_MS      10000
#define WAIT_MS         2000 /* for a proof that the state is young enough */
#define UDP_PER_S       1000 /* of one source (net/source.h); what is above is sent to TCP */
#define UDP_BURST       2000
#define UDP_BYTES_MAX   4096 /* larger questions are cut, and so malformed */
#define ADDRESSES_MAX   8    /* of the host name; as many as by TCP (base/env_uv_listen.c) */

struct dns {
    struct dns_options o;
    uv_udp_t udp[ADDRESSES_MAX]; /* one for each address of the host */
    size_t udp_count;            /* that are open, or closing */
    struct env_listener *listener;
    struct list questions;
    struct list connections; /* who was heard last, is last */
    size_t question_count;
    size_t connection_count;
    uint32_t turn;
    struct budgets *sources; /* that ask by UDP */
    struct buf reply;
    struct metric *answered;
    struct metric *limited;
    struct metric *failed;
    struct metric *dropped;
    char room[UDP_BYTES_MAX];
};

struct connection {
    struct list link;
    struct dns *dns;
    struct env_stream *stream;
    struct buf in;
    size_t waiting; /* questions */
    uint64_t heard_ms;
};

struct question {
    struct list link;
    struct dns *dns;
    struct node_read read;
    struct buf packet;
    struct connection *connection; /* NULL: by UDP */
    uv_udp_t *udp;                 /* the answer comes from where it was asked */
    struct sockaddr_storage from;
};

/* ---- answering ---------------------------------------------------------------------------- */

static void question_free(struct question *q)
{
    q->dns->question_count--;
    if (q->connection != NULL) {
        q->connection->waiting--;
    }
    list_remove(&q->link);
    buf_close(&q->packet);
    mem_free(q);
}

/* What does not go out at once is lost, as any datagram may be. */
static void udp_send(uv_udp_t *udp, const struct sockaddr *to)
{
    const struct dns *d = udp->data;
    uv_buf_t bytes = uv_buf_init((char *)d->reply.data, (unsigned)d->reply.size);
    (void)uv_udp_try_send(udp, &bytes, 1, to);
}

static void send_reply(struct question *q)
{
    struct dns *d = q->dns;
    if (q->connection != NULL) {
        uint8_t size[] = {(uint8_t)(d->reply.size >> 8), (uint8_t)d->reply.size};
        (void)d->o.env->net->write(q->connection->stream, slice_make(size, sizeof size));
        (void)d->o.env->net->write(q->connection->stream, buf_slice(&d->reply));
        return;
    }
    udp_send(q->udp, (const struct sockaddr *)&q->from);
}

static void answer(struct question *q, enum status rc)
{
    struct dns *d = q->dns;
    const struct dns_asked asked = {
        .packet = buf_slice(&q->packet),
        .by_tcp = q->connection != NULL,
        .ttl_s = d->o.ttl_s,
        .turn = d->turn++,
    };
    buf_clear(&d->reply);
    bool is_one = rc == RC_OK ? dns_answer(node_store(d->o.node), &asked, &d->reply)
                              : dns_fail(asked.packet, DNS_FAILURE, &d->reply);
    metric_add(!is_one ? d->dropped : rc == RC_OK ? d->answered : d->failed, 1);
    if (is_one) {
        send_reply(q);
    }
    question_free(q);
}

static void on_fresh(struct node_read *read, enum status rc, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    answer(read->owner, rc);
}

/* On a connection, or by UDP. */
static void ask(struct dns *d, struct slice packet, struct connection *c, uv_udp_t *udp,
                const struct sockaddr *from)
{
    if (d->question_count == QUESTIONS_MAX) {
        metric_add(d->dropped, 1);
        return;
    }
    struct question *q = mem_zalloc(sizeof *q);
    q->dns = d;
    q->connection = c;
    q->udp = udp;
    buf_append_slice(&q->packet, packet);
    if (from != NULL) {
        memcpy(&q->from, from,
               from->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                           : sizeof(struct sockaddr_in));
    }
    q->read = (struct node_read){.done = on_fresh,
                                 .owner = q,
                                 .consistency = READ_BOUNDED,
                                 .bound_ms = d->o.bound_ms,
                                 .is_barrier = true};
    list_push_back(&d->questions, &q->link);
    d->question_count++;
    if (c != NULL) {
        c->waiting++;
    }
    enum status rc = node_read(d->o.node, &q->read, d->o.env->now_ms(d->o.env) + WAIT_MS);
    if (rc != RC_OK) {
        answer(q, rc);
    }
}

/* ---- UDP ---------------------------------------------------------------------------------- */

static void udp_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    struct dns *d = handle->data;
    (void)wanted;
    *room = uv_buf_init(d->room, sizeof d->room);
}

/* Whether its source may ask one more now. */
static bool udp_admits(struct dns *d, const struct sockaddr *from)
{
    static const struct budget_rate rate = {.per_s = UDP_PER_S, .burst = UDP_BURST};
    char peer[INET6_ADDRSTRLEN + 2] = "";
    char address[INET6_ADDRSTRLEN] = "";
    (void)uv_ip_name(from, address, sizeof address);
    bool is_v6 = from->sa_family == AF_INET6;
    (void)snprintf(peer, sizeof peer, is_v6 ? "[%s]" : "%s", address);
    struct budget_bucket *b = budget_of(d->sources, peer);
    budget_refill(b, rate, d->o.env->now_ms(d->o.env));
    bool may = b->left > 0;
    b->left -= may;
    return may;
}

/* Who asks too much, or who somebody pretends to be, is told to come by TCP: that costs little,
 * is no larger than the question, and is no end of service to whom it concerns. */
static void refuse_udp(uv_udp_t *udp, struct slice packet, const struct sockaddr *from)
{
    struct dns *d = udp->data;
    const struct dns_asked asked = {.packet = packet, .is_over = true};
    buf_clear(&d->reply);
    metric_add(d->limited, 1);
    if (dns_answer(node_store(d->o.node), &asked, &d->reply)) {
        udp_send(udp, from);
    }
}

static void udp_received(uv_udp_t *udp, ssize_t bytes, const uv_buf_t *buf,
                         const struct sockaddr *from, unsigned flags)
{
    struct dns *d = udp->data;
    (void)flags;
    if (bytes <= 0 || from == NULL) {
        return;
    }
    struct slice packet = slice_make(buf->base, (size_t)bytes);
    if (udp_admits(d, from)) {
        ask(d, packet, NULL, udp, from);
    } else {
        refuse_udp(udp, packet, from);
    }
}

/* ---- TCP ---------------------------------------------------------------------------------- */

static void connection_free(struct connection *c)
{
    struct dns *d = c->dns;
    struct list *next;
    for (struct list *it = d->questions.next; it != &d->questions; it = next) {
        struct question *q = LIST_OF(it, struct question, link);
        next = it->next;
        if (q->connection == c) {
            node_read_cancel(d->o.node, &q->read);
            question_free(q);
        }
    }
    d->connection_count--;
    list_remove(&c->link);
    buf_close(&c->in);
    mem_free(c);
}

static void connection_cut(struct connection *c)
{
    c->dns->o.env->net->close(c->stream, false);
    connection_free(c);
}

/* The questions that are whole. False: there are too many at a time. */
static bool take_questions(struct connection *c)
{
    size_t at = 0;
    while (c->in.size - at >= 2) {
        size_t size = (size_t)(c->in.data[at] << 8 | c->in.data[at + 1]);
        if (c->in.size - at - 2 < size) {
            break;
        }
        if (c->waiting == PIPELINED_MAX) {
            return false;
        }
        ask(c->dns, slice_make(c->in.data + at + 2, size), c, NULL, NULL);
        at += 2 + size;
    }
    memmove(c->in.data, c->in.data + at, c->in.size - at);
    c->in.size -= at;
    return true;
}

static void on_data(void *owner, struct slice bytes)
{
    struct connection *c = owner;
    struct dns *d = c->dns;
    c->heard_ms = d->o.env->now_ms(d->o.env);
    list_remove(&c->link);
    list_push_back(&d->connections, &c->link);
    buf_append_slice(&c->in, bytes);
    bool is_reading = d->o.env->net->queued(c->stream) < ENV_STREAM_QUEUE_MAX;
    if (!is_reading || !take_questions(c)) {
        connection_cut(c);
    }
}

static void on_closed(void *owner, enum status rc)
{
    (void)rc;
    connection_free(owner);
}

static const struct env_stream_events connection_events = {.data = on_data,
                                                           .closed = on_closed};

static void on_accept(void *owner, struct env_stream *stream)
{
    struct dns *d = owner;
    if (d->connection_count == CONNECTIONS_MAX) {
        d->o.env->net->close(stream, false);
        return;
    }
    struct connection *c = mem_zalloc(sizeof *c);
    c->dns = d;
    c->stream = stream;
    c->heard_ms = d->o.env->now_ms(d->o.env);
    list_push_back(&d->connections, &c->link);
    d->connection_count++;
    d->o.env->net->attach(stream, &connection_events, c);
}

static struct connection *first_connection(const struct dns *d)
{
    return list_empty(&d->connections)
               ? NULL
               : LIST_OF(d->connections.next, struct connection, link);
}

void dns_turn(struct dns *d, uint64_t now_ms)
{
    struct connection *c = d != NULL ? first_connection(d) : NULL;
    while (c != NULL && now_ms >= c->heard_ms + SILENCE_MS) {
        connection_cut(c);
        c = first_connection(d);
    }
}

uint64_t dns_next_deadline_ms(const struct dns *d)
{
    const struct connection *c = d != NULL ? first_connection(d) : NULL;
    return c != NULL ? c->heard_ms + SILENCE_MS : UINT64_MAX;
}

/* ---- opening, closing --------------------------------------------------------------------- */

static void free_if_closed(struct dns *d)
{
    if (d->udp_count > 0) {
        return;
    }
    buf_close(&d->reply);
    budgets_free(d->sources);
    mem_free(d);
}

static void on_udp_closed(uv_handle_t *handle)
{
    struct dns *d = handle->data;
    d->udp_count--;
    free_if_closed(d);
}

void dns_free(struct dns *d)
{
    if (d == NULL) {
        return;
    }
    while (first_connection(d) != NULL) {
        connection_cut(first_connection(d));
    }
    while (!list_empty(&d->questions)) {
        struct question *q = LIST_OF(d->questions.next, struct question, link);
        node_read_cancel(d->o.node, &q->read);
        question_free(q);
    }
    if (d->listener != NULL) {
        d->o.env->net->listener_close(d->listener);
    }
    for (size_t i = 0; i < d->udp_count; i++) {
        uv_close((uv_handle_t *)&d->udp[i], on_udp_closed);
    }
    free_if_closed(d);
}

/* A resolver may list an address twice, which cannot be bound twice. */
static bool address_repeats(const struct addrinfo *all, const struct addrinfo *a)
{
    for (; all != a; all = all->ai_next) {
        if (all->ai_addrlen == a->ai_addrlen &&
            memcmp(all->ai_addr, a->ai_addr, a->ai_addrlen) == 0) {
            return true;
        }
    }
    return false;
}

static int bind_one(struct dns *d, const struct addrinfo *a)
{
    uv_udp_t *udp = &d->udp[d->udp_count++];
    udp->data = d;
    int rc = uv_udp_init(d->o.loop, udp);
    POST(rc == 0);
    rc = uv_udp_bind(udp, a->ai_addr, 0);
    return rc == 0 ? uv_udp_recv_start(udp, udp_room, udp_received) : rc;
}

/* As by TCP: what this machine does not have of the host's addresses is passed over. */
static int bind_all(struct dns *d, const struct addrinfo *found)
{
    int passed_over = UV_EADDRNOTAVAIL;
    bool is_bound = false;
    for (const struct addrinfo *a = found; a != NULL && d->udp_count < ADDRESSES_MAX;
         a = a->ai_next) {
        if (address_repeats(found, a)) {
            continue;
        }
        int rc = bind_one(d, a);
        if (rc == UV_EADDRNOTAVAIL || rc == UV_EAFNOSUPPORT) {
            passed_over = rc;
        } else if (rc != 0) {
            return rc;
        } else {
            is_bound = true;
        }
    }
    return is_bound ? 0 : passed_over;
}

static int bind_udp(struct dns *d)
{
    char port[8];
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_DGRAM};
    (void)snprintf(port, sizeof port, "%" PRIu16, d->o.port);
    if (getaddrinfo(d->o.host, port, &hints, &found) != 0) {
        return UV_EAI_NONAME;
    }
    int rc = bind_all(d, found);
    freeaddrinfo(found);
    return rc;
}

enum status dns_open(const struct dns_options *options, struct dns **out, struct errmsg *err)
{
    struct dns *d = mem_zalloc(sizeof *d);
    d->o = *options;
    list_init(&d->questions);
    list_init(&d->connections);
    d->answered = metrics_counter(options->metrics, "coord_dns_answers_total", NULL,
                                  "Questions of the DNS that were answered.");
    d->failed = metrics_counter(options->metrics, "coord_dns_failures_total", NULL,
                                "Questions of the DNS for which the state was too old.");
    d->dropped = metrics_counter(options->metrics, "coord_dns_dropped_total", NULL,
                                 "Packets to the DNS port that were no questions, or too many.");
    d->limited = metrics_counter(options->metrics, "coord_dns_limited_total", NULL,
                                 "Questions of the DNS by UDP whose source was sent to TCP.");
    d->sources = budgets_new(env_random_u64(options->env));
    int rc = bind_udp(d);
    if (rc != 0) {
        (void)errmsg_set(err, RC_IO, "listen to the DNS at %s:%" PRIu16 " (UDP): %s",
                         options->host, options->port, uv_strerror(rc));
        dns_free(d);
        return RC_IO;
    }
    enum status opened = options->env->net->listen(options->env, options->host, options->port,
                                                   on_accept, d, &d->listener, err);
    if (opened != RC_OK) {
        d->listener = NULL;
        dns_free(d);
        return errmsg_wrap(err, "listen to the DNS (TCP)");
    }
    log_info(options->log, "dns.listen", "host=%s port=%" PRIu16, options->host, options->port);
    *out = d;
    return RC_OK;
}
