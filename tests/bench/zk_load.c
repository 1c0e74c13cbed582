/* A load generator for ZooKeeper's protocol, for coordd and for ZooKeeper itself: sessions with
 * many requests in flight, one thread.
 *
 *   zk_load --endpoints 127.0.0.1:7400[,...] --op create|set|get|mixed [--connections C]
 *           [--in-flight N] [--seconds S] [--keys K] [--value-bytes V] [--write-percent P]
 *           [--label TEXT]
 *
 * N is the number in flight on each connection. Each request takes the next of K nodes below
 * /bench, made first; `create` makes sequential nodes below it; `mixed` sets P of 100 times and
 * gets otherwise. Every reply's error is looked at, and that replies come in the order of
 * requests. Prints one JSON line; latencies in microseconds, measured from submission. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/zookeeper/packet.h"
#include "load/latency.h"

#define ENDPOINTS_MAX 16
#define READ_BYTES    ((size_t)256 << 10)

enum load_op { LOAD_CREATE, LOAD_SET, LOAD_GET, LOAD_MIXED };

struct settings {
    struct sockaddr_in endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    enum load_op op;
    size_t connections;
    size_t in_flight;
    double seconds;
    uint64_t keys;
    size_t value_bytes;
    unsigned write_percent;
    const char *label;
};

struct connection {
    int fd;
    bool greeted;
    struct buf in;
    struct buf out;
    uint64_t *sent_us; /* ring of in_flight, by xid */
    int32_t next_xid;
    int32_t reply_xid;
};

struct load {
    struct settings settings;
    struct connection *connections;
    int epoll;
    uint64_t next_key;
    uint64_t until_us;
    uint64_t remaining; /* requests still to be begun, when the phase is not ended by time */
    bool by_time;
    size_t in_flight;
    uint64_t replies;
    uint64_t errors;
    int32_t first_error;
    struct latency latency;
    uint8_t *value;
};

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "zk_load: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

/* ---- requests ----------------------------------------------------------------------------- */

static size_t packet_begin(struct buf *out, int32_t xid, enum zk_type type)
{
    size_t begin = out->size;
    jute_put_int(out, 0);
    jute_put_int(out, xid);
    jute_put_int(out, type);
    return begin;
}

static void packet_end(struct buf *out, size_t begin)
{
    jute_put_int_at(out, begin, (int32_t)(out->size - begin - 4));
}

static struct slice key_path(char *text, size_t bytes, uint64_t key)
{
    int size = snprintf(text, bytes, "/bench/k%" PRIu64, key);
    return slice_make((const uint8_t *)text, (size_t)size);
}

static void put_create(struct buf *out, int32_t xid, struct slice path, struct slice data,
                       enum zk_create_flags flags)
{
    const struct zk_acl open = {ZK_PERM_ALL, slice_str("world"), slice_str("anyone")};
    size_t begin = packet_begin(out, xid, ZK_CREATE);
    jute_put_buffer(out, path);
    jute_put_buffer(out, data);
    zk_put_acl(out, &open, 1);
    jute_put_int(out, flags);
    packet_end(out, begin);
}

static void put_request(struct load *l, struct connection *c, enum load_op op)
{
    char text[64];
    struct slice value = slice_make(l->value, l->settings.value_bytes);
    struct slice path = key_path(text, sizeof text, l->next_key % l->settings.keys);
    int32_t xid = c->next_xid++;
    l->next_key++;
    if (op == LOAD_CREATE) {
        put_create(&c->out, xid, slice_str("/bench/s-"), value, ZK_FLAG_SEQUENTIAL);
        return;
    }
    size_t begin = packet_begin(&c->out, xid, op == LOAD_SET ? ZK_SET_DATA : ZK_GET_DATA);
    jute_put_buffer(&c->out, path);
    if (op == LOAD_SET) {
        jute_put_buffer(&c->out, value);
        jute_put_int(&c->out, -1);
    } else {
        jute_put_bool(&c->out, false);
    }
    packet_end(&c->out, begin);
}

static enum load_op next_op(const struct load *l)
{
    if (l->settings.op != LOAD_MIXED) {
        return l->settings.op;
    }
    return l->next_key * 7919 % 100 < l->settings.write_percent ? LOAD_SET : LOAD_GET;
}

/* ---- connections -------------------------------------------------------------------------- */

static void flush(struct connection *c)
{
    while (c->out.size > 0) {
        ssize_t n = send(c->fd, c->out.data, c->out.size, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n <= 0) {
            die("send");
        }
        buf_consume(&c->out, (size_t)n);
    }
}

static void fill(struct load *l, struct connection *c)
{
    uint64_t now = now_us();
    while ((size_t)(c->next_xid - c->reply_xid) < l->settings.in_flight &&
           (l->by_time ? now < l->until_us : l->remaining > 0)) {
        c->sent_us[(size_t)c->next_xid % l->settings.in_flight] = now;
        l->remaining -= !l->by_time;
        l->in_flight++;
        put_request(l, c, next_op(l));
    }
    flush(c);
}

static void take_reply(struct load *l, struct connection *c, struct slice packet)
{
    struct jute_in in = jute_in_make(packet);
    if (!c->greeted) {
        (void)jute_int(&in);
        if (jute_int(&in) <= 0) {
            die("the session was refused");
        }
        c->greeted = true;
        return;
    }
    int32_t xid = jute_int(&in);
    (void)jute_long(&in);
    int32_t error = jute_int(&in);
    if (in.failed || xid != c->reply_xid) {
        errno = 0;
        die("a reply that is not the next");
    }
    latency_add(&l->latency, now_us() - c->sent_us[(size_t)xid % l->settings.in_flight]);
    c->reply_xid++;
    l->in_flight--;
    l->replies++;
    if (error != 0) {
        l->first_error = l->errors == 0 ? error : l->first_error;
        l->errors++;
    }
}

static void receive(struct load *l, struct connection *c)
{
    uint8_t *to = buf_extend(&c->in, READ_BYTES);
    ssize_t n = recv(c->fd, to, READ_BYTES, 0);
    c->in.size -= READ_BYTES - (n > 0 ? (size_t)n : 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return;
    }
    if (n <= 0) {
        die("the server closed a connection");
    }
    size_t taken = 0;
    while (c->in.size - taken >= 4) {
        struct jute_in in = jute_in_make(slice_make(c->in.data + taken, c->in.size - taken));
        size_t size = (size_t)jute_int(&in);
        if (in.rest.size < size) {
            break;
        }
        take_reply(l, c, slice_make(in.rest.data, size));
        taken += 4 + size;
    }
    buf_consume(&c->in, taken);
}

static void open_connection(struct load *l, struct connection *c, size_t number)
{
    const struct sockaddr_in *to = &l->settings.endpoints[number % l->settings.endpoint_count];
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)to, sizeof *to) != 0) {
        die("connect");
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->sent_us = mem_zalloc(l->settings.in_flight * sizeof c->sent_us[0]);
    static const uint8_t no_password[ZK_PASSWORD_BYTES];
    size_t begin = c->out.size;
    jute_put_int(&c->out, 0);
    jute_put_int(&c->out, 0);
    jute_put_long(&c->out, 0);
    jute_put_int(&c->out, 30000);
    jute_put_long(&c->out, 0);
    jute_put_buffer(&c->out, slice_make(no_password, sizeof no_password));
    jute_put_int_at(&c->out, begin, (int32_t)(c->out.size - begin - 4));
    flush(c);
    while (!c->greeted) {
        receive(l, c);
    }
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        die("epoll_ctl");
    }
}

/* Until the phase is over and everything is answered. */
static void run(struct load *l)
{
    struct epoll_event events[256];
    for (size_t i = 0; i < l->settings.connections; i++) {
        fill(l, &l->connections[i]);
    }
    while (l->in_flight > 0) {
        int count = epoll_wait(l->epoll, events, 256, 1000);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            receive(l, c);
            fill(l, c);
        }
        for (size_t i = 0; count == 0 && i < l->settings.connections; i++) {
            flush(&l->connections[i]);
        }
    }
}

/* ---- the run ------------------------------------------------------------------------------ */

/* One request at a time on the first connection; what is there already is fine. */
static void prepare(struct load *l)
{
    struct connection *c = &l->connections[0];
    struct slice value = slice_make(l->value, l->settings.value_bytes);
    for (uint64_t i = 0; i <= l->settings.keys; i++) {
        char text[64];
        bool is_root = i == 0;
        struct slice path = is_root ? slice_str("/bench") : key_path(text, sizeof text, i - 1);
        put_create(&c->out, c->next_xid, path, value, ZK_FLAG_PERSISTENT);
        c->sent_us[(size_t)c->next_xid % l->settings.in_flight] = now_us();
        c->next_xid++;
        l->in_flight++;
        bool full = (size_t)(c->next_xid - c->reply_xid) == l->settings.in_flight;
        while ((full || i == l->settings.keys || is_root) && c->reply_xid != c->next_xid) {
            flush(c);
            receive(l, c);
        }
    }
    l->replies = 0;
    l->errors = 0;
    memset(&l->latency, 0, sizeof l->latency);
}

static void print(const struct load *l, double seconds)
{
    static const char *const names[] = {"create", "set", "get", "mixed"};
    const struct settings *s = &l->settings;
    printf("{\"label\": \"%s\", \"op\": \"%s\", \"connections\": %zu, \"in_flight\": %zu, "
           "\"seconds\": %.2f, \"replies\": %" PRIu64
           ", \"per_second\": %.0f, \"errors\": %" PRIu64 ", \"first_error\": %" PRId32
           ", \"p50_us\": %" PRIu64 ", \"p99_us\": %" PRIu64 ", \"max_us\": %" PRIu64 "}\n",
           s->label, names[s->op], s->connections, s->in_flight, seconds, l->replies,
           (double)l->replies / seconds, l->errors, l->first_error,
           latency_percentile(&l->latency, 50), latency_percentile(&l->latency, 99),
           l->latency.max);
}

static void parse_endpoints(struct settings *s, char *text)
{
    for (char *at = strtok(text, ","); at != NULL; at = strtok(NULL, ",")) {
        char *colon = strrchr(at, ':');
        struct sockaddr_in *to = &s->endpoints[s->endpoint_count];
        if (colon == NULL || s->endpoint_count == ENDPOINTS_MAX) {
            die("--endpoints takes up to 16 of ADDRESS:PORT");
        }
        *colon = '\0';
        to->sin_family = AF_INET;
        to->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
        if (inet_pton(AF_INET, at, &to->sin_addr) != 1) {
            die("--endpoints takes IPv4 addresses");
        }
        s->endpoint_count++;
    }
}

static enum load_op parse_op(const char *text)
{
    static const char *const names[] = {"create", "set", "get", "mixed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum load_op)i;
        }
    }
    die("--op is create, set, get or mixed");
    return LOAD_GET;
}

static void parse(struct settings *s, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i];
        char *value = argv[i + 1];
        if (strcmp(name, "--endpoints") == 0) {
            parse_endpoints(s, value);
        } else if (strcmp(name, "--op") == 0) {
            s->op = parse_op(value);
        } else if (strcmp(name, "--connections") == 0) {
            s->connections = strtoul(value, NULL, 10);
        } else if (strcmp(name, "--in-flight") == 0) {
            s->in_flight = strtoul(value, NULL, 10);
        } else if (strcmp(name, "--seconds") == 0) {
            s->seconds = strtod(value, NULL);
        } else if (strcmp(name, "--keys") == 0) {
            s->keys = strtoull(value, NULL, 10);
        } else if (strcmp(name, "--value-bytes") == 0) {
            s->value_bytes = strtoul(value, NULL, 10);
        } else if (strcmp(name, "--write-percent") == 0) {
            s->write_percent = (unsigned)strtoul(value, NULL, 10);
        } else if (strcmp(name, "--label") == 0) {
            s->label = value;
        } else {
            die("unknown flag");
        }
    }
    if (s->endpoint_count == 0 || s->connections == 0 || s->in_flight == 0 || s->keys == 0) {
        die("--endpoints is needed; connections, in-flight and keys are above 0");
    }
}

int main(int argc, char **argv)
{
    struct load *l = mem_zalloc(sizeof *l);
    l->settings = (struct settings){.op = LOAD_GET,
                                    .connections = 1,
                                    .in_flight = 100,
                                    .seconds = 3,
                                    .keys = 1000,
                                    .value_bytes = 100,
                                    .write_percent = 10,
                                    .label = "zookeeper"};
    parse(&l->settings, argc, argv);
    l->value = mem_zalloc(l->settings.value_bytes + 1);
    memset(l->value, 'v', l->settings.value_bytes);
    l->connections = mem_zalloc(l->settings.connections * sizeof l->connections[0]);
    l->epoll = epoll_create1(0);
    for (size_t i = 0; i < l->settings.connections; i++) {
        open_connection(l, &l->connections[i], i);
    }
    prepare(l);
    uint64_t begin_us = now_us();
    l->by_time = true;
    l->until_us = begin_us + (uint64_t)(l->settings.seconds * 1e6);
    run(l);
    print(l, (double)(now_us() - begin_us) / 1e6);
    return l->errors == 0 ? 0 : 1;
}
