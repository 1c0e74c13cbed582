/* A load generator over real gRPC: many calls in flight on many connections, one thread.
 *
 *   load --endpoints 127.0.0.1:7400[,...] --op set|get|create [--connections C] [--in-flight N]
 *        [--seconds S] [--keys K] [--value-bytes V] [--local] [--label TEXT]
 *
 * N is the number in flight over all connections. Keys vary: each call takes the next of K
 * nodes below /bench, made first. Every grpc-status is looked at; for writes the store's
 * revision must have risen by exactly the number of acknowledged ones (nobody else writes
 * meanwhile), or the program fails. Prints one JSON line; latencies in microseconds, measured
 * from submission.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/env_uv.h"
#include "base/mem.h"
#include "client/endpoint.h"
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "net/grpc/frame.h"
#include "net/http2.h"
#include "tests/bench/latency.h"

#define CONNECTIONS_MAX 1024
#define TAKE_BYTES      ((size_t)256 << 10)
#define CODES           17

enum op { OP_NONE, OP_LOAD_SET, OP_LOAD_GET, OP_LOAD_CREATE, OP_REVISION };

struct load;

struct call {
    struct http2_stream stream; /* first: the event's stream is the call */
    struct connection *connection;
    struct call *next_free;
    uint64_t began_us;
    enum op op;
    bool has_status;
    enum grpc_code code;
    struct buf in;
};

struct connection {
    struct load *load;
    struct env_stream *stream;
    struct http2 *http2;
    struct buf out;
    bool is_open;
    bool is_blocked;
};

struct settings {
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    enum op op;
    size_t connections;
    size_t in_flight;
    double seconds;
    uint64_t keys;
    size_t value_bytes;
    bool local;
    const char *label;
};

/* What one phase of the run does: up to `total` calls of `op`, or until `until_us`. */
struct phase {
    enum op op;
    uint64_t total;
    uint64_t until_us;
    uint64_t begun;
    uint64_t ended;
    uint64_t acknowledged;
    uint64_t codes[CODES];
    uint64_t lost;
    struct latency latency;
};

struct load {
    struct settings settings;
    uv_loop_t loop;
    struct env *env;
    struct log log;
    struct connection connections[CONNECTIONS_MAX];
    struct call *free_calls;
    struct phase phase;
    uint64_t next_key;
    uint64_t revision; /* of the last OP_REVISION answer */
    uint8_t *value;
    size_t next_connection;
    bool failed;
};

/* ---- requests ---------------------------------------------------------------------------- */

static const char *const op_paths[] = {
    [OP_LOAD_SET] = "/coord.v1.Tree/Set",
    [OP_LOAD_GET] = "/coord.v1.Tree/Get",
    [OP_LOAD_CREATE] = "/coord.v1.Tree/Create",
    [OP_REVISION] = "/coord.v1.Tree/Sync",
};

static void append_field(struct buf *out, uint8_t tag, const void *data, size_t size)
{
    uint8_t head[8];
    size_t n = 0;
    head[n++] = tag;
    for (size_t left = size;; left >>= 7) {
        head[n++] = (uint8_t)(left < 0x80 ? left : (left & 0x7f) | 0x80);
        if (left < 0x80) {
            break;
        }
    }
    buf_append(out, head, n);
    buf_append(out, data, size);
}

/* Field numbers of tree.proto, written by hand so that the generator costs little: 1 header,
 * 2 path, 3 data, 6 make_parents. */
static void write_request(struct load *l, struct call *c)
{
    char path[64];
    struct buf *out = http2_stream_out(&c->stream);
    size_t begin = grpc_frame_begin(out);
    if (c->op == OP_LOAD_GET && l->settings.local) {
        buf_append(out, "\x0a\x02\x08\x03", 4); /* header { consistency: LOCAL } */
    }
    if (c->op != OP_REVISION) {
        int size =
            snprintf(path, sizeof path, "/bench/k%08" PRIu64, l->next_key++ % l->settings.keys);
        append_field(out, 0x12, path, (size_t)size);
    }
    if (c->op == OP_LOAD_SET || c->op == OP_LOAD_CREATE) {
        append_field(out, 0x1a, l->value, l->settings.value_bytes);
    }
    if (c->op == OP_LOAD_CREATE) {
        buf_append(out, "\x30\x01", 2);
    }
    http2_stream_wrote(&c->stream, grpc_frame_end(out, begin));
    http2_stream_finish(&c->stream, NULL, 0);
}

static struct call *take_call(struct load *l)
{
    struct call *c = l->free_calls;
    if (c != NULL) {
        l->free_calls = c->next_free;
        return c;
    }
    return mem_zalloc(sizeof *c);
}

static void begin_call(struct load *l, struct connection *connection)
{
    struct call *c = take_call(l);
    struct http2_header headers[] = {
        {.name = HTTP2_TEXT(":method"), .value = HTTP2_TEXT("POST")},
        {.name = HTTP2_TEXT(":scheme"), .value = HTTP2_TEXT("http")},
        {.name = HTTP2_TEXT(":path"), .value = slice_str(op_paths[l->phase.op])},
        {.name = HTTP2_TEXT(":authority"), .value = HTTP2_TEXT("bench")},
        {.name = HTTP2_TEXT("te"), .value = HTTP2_TEXT("trailers")},
        {.name = HTTP2_TEXT("content-type"), .value = HTTP2_TEXT("application/grpc")},
    };
    c->connection = connection;
    c->op = l->phase.op;
    c->has_status = false;
    c->code = GRPC_UNKNOWN;
    buf_clear(&c->in);
    c->began_us = l->env->now_us(l->env);
    if (http2_request(connection->http2, &c->stream, headers,
                      sizeof headers / sizeof headers[0], false) != RC_OK) {
        l->failed = true;
        return;
    }
    write_request(l, c);
    l->phase.begun++;
}

static bool phase_goes_on(const struct load *l)
{
    const struct phase *p = &l->phase;
    return p->begun < p->total && l->env->now_us(l->env) < p->until_us && !l->failed;
}

/* ---- answers ----------------------------------------------------------------------------- */

static void on_header(void *owner, struct http2_stream *s, struct slice name,
                      struct slice value)
{
    struct call *c = (struct call *)s;
    (void)owner;
    if (slice_is(name, "grpc-status")) {
        c->has_status = true;
        c->code = grpc_code_parse(value);
    }
}

static void on_headers_end(void *owner, struct http2_stream *s, bool is_last)
{
    (void)owner;
    (void)s;
    (void)is_last;
}

static void on_data(void *owner, struct http2_stream *s, struct slice bytes)
{
    struct call *c = (struct call *)s;
    (void)owner;
    if (c->op == OP_REVISION) {
        buf_append_slice(&c->in, bytes);
    }
    http2_consume(s);
}

static void on_end(void *owner, struct http2_stream *s)
{
    (void)owner;
    (void)s;
}

static void take_revision(struct load *l, const struct call *c)
{
    struct slice message;
    if (grpc_frame_peek(buf_slice(&c->in), GRPC_MESSAGE_BYTES_MAX, &message) !=
        GRPC_FRAME_WHOLE) {
        return;
    }
    Coord__V1__SyncReply *reply =
        coord__v1__sync_reply__unpack(NULL, message.size, message.data);
    if (reply != NULL) {
        l->revision = reply->header->revision;
        coord__v1__sync_reply__free_unpacked(reply, NULL);
    }
}

static void on_closed(void *owner, struct http2_stream *s, uint32_t error)
{
    struct connection *connection = owner;
    struct load *l = connection->load;
    struct call *c = (struct call *)s;
    (void)error;
    l->phase.ended++;
    if (!c->has_status) {
        l->phase.lost++;
    } else {
        l->phase.codes[c->code]++;
        l->phase.acknowledged += c->code == GRPC_OK;
        latency_add(&l->phase.latency, l->env->now_us(l->env) - c->began_us);
    }
    if (c->op == OP_REVISION) {
        take_revision(l, c);
    }
    c->next_free = l->free_calls;
    l->free_calls = c;
    if (phase_goes_on(l) && connection->is_open) {
        begin_call(l, connection);
    }
}

static const struct http2_events http2_events = {
    .header = on_header,
    .headers_end = on_headers_end,
    .data = on_data,
    .end = on_end,
    .closed = on_closed,
};

/* ---- connections ------------------------------------------------------------------------- */

static void on_open(void *owner)
{
    ((struct connection *)owner)->is_open = true;
}

static void on_bytes(void *owner, struct slice bytes)
{
    struct connection *c = owner;
    if (http2_feed(c->http2, bytes) != RC_OK) {
        c->load->failed = true;
    }
}

static void on_drain(void *owner)
{
    ((struct connection *)owner)->is_blocked = false;
}

static void on_lost(void *owner, enum status rc)
{
    struct connection *c = owner;
    (void)rc;
    c->is_open = false;
    c->stream = NULL;
    http2_free(c->http2);
    c->http2 = NULL;
}

static const struct env_stream_events stream_events = {
    .open = on_open, .data = on_bytes, .drain = on_drain, .closed = on_lost};

static void flush(struct connection *c)
{
    bool more = true;
    while (more && c->is_open && !c->is_blocked) {
        buf_clear(&c->out);
        more = http2_take(c->http2, &c->out, TAKE_BYTES);
        if (c->out.size > 0) {
            c->is_blocked = !c->load->env->net->write(c->stream, buf_slice(&c->out));
        }
    }
}

static void turn(void *context)
{
    struct load *l = context;
    for (size_t i = 0; i < l->settings.connections; i++) {
        flush(&l->connections[i]);
    }
}

static uint64_t next_deadline(void *context)
{
    struct load *l = context;
    return l->env->now_ms(l->env) + 50;
}

static bool connect_all(struct load *l)
{
    size_t open = 0;
    for (size_t i = 0; i < l->settings.connections; i++) {
        struct connection *c = &l->connections[i];
        const struct endpoint *e = &l->settings.endpoints[i % l->settings.endpoint_count];
        c->load = l;
        c->http2 = http2_new(false, 0, &http2_events, c);
        c->stream = l->env->net->connect(l->env, e->host, (uint16_t)strtoul(e->port, NULL, 10),
                                         &stream_events, c);
    }
    uint64_t until = l->env->now_ms(l->env) + 5000;
    while (open < l->settings.connections && l->env->now_ms(l->env) < until) {
        uv_run(&l->loop, UV_RUN_ONCE);
        open = 0;
        for (size_t i = 0; i < l->settings.connections; i++) {
            open += l->connections[i].is_open;
        }
    }
    return open == l->settings.connections;
}

/* ---- phases ------------------------------------------------------------------------------ */

static void run_phase(struct load *l, enum op op, uint64_t total, double seconds,
                      size_t in_flight)
{
    uint64_t now = l->env->now_us(l->env);
    memset(&l->phase, 0, sizeof l->phase);
    l->phase.op = op;
    l->phase.total = total;
    l->phase.until_us = now + (uint64_t)(seconds * 1e6);
    for (size_t i = 0; i < in_flight && phase_goes_on(l); i++) {
        struct connection *c = &l->connections[i % l->settings.connections];
        if (c->is_open) {
            begin_call(l, c);
        }
    }
    while (l->phase.ended < l->phase.begun && !l->failed) {
        turn(l);
        uv_run(&l->loop, UV_RUN_ONCE);
    }
}

static uint64_t ask_revision(struct load *l)
{
    l->revision = 0;
    run_phase(l, OP_REVISION, 1, 10, 1);
    return l->revision;
}

static bool prepare(struct load *l)
{
    l->next_key = 0;
    run_phase(l, OP_LOAD_CREATE, l->settings.keys, 600, 1024);
    uint64_t good = l->phase.codes[GRPC_OK] + l->phase.codes[GRPC_ALREADY_EXISTS];
    return good == l->settings.keys;
}

static void print_result(const struct load *l, double seconds, const char *op, uint64_t risen)
{
    const struct phase *p = &l->phase;
    printf("{\"bench\":\"%s\",\"op\":\"%s\",\"connections\":%zu,\"in_flight\":%zu,"
           "\"value_bytes\":%zu,\"keys\":%" PRIu64 ",\"seconds\":%.2f,\"acknowledged\":%" PRIu64
           ",\"failed\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"revision_rise\":%" PRIu64
           ",\"ops_per_s\":%.0f,\"p50_us\":%" PRIu64 ",\"p90_us\":%" PRIu64
           ",\"p99_us\":%" PRIu64 ",\"p999_us\":%" PRIu64 ",\"max_us\":%" PRIu64 "}\n",
           l->settings.label, op, l->settings.connections, l->settings.in_flight,
           l->settings.value_bytes, l->settings.keys, seconds, p->acknowledged,
           p->ended - p->acknowledged - p->lost, p->lost, risen,
           (double)p->acknowledged / seconds, latency_percentile(&p->latency, 50),
           latency_percentile(&p->latency, 90), latency_percentile(&p->latency, 99),
           latency_percentile(&p->latency, 99.9), p->latency.max);
}

static int run(struct load *l, const char *op)
{
    struct settings *s = &l->settings;
    if (!connect_all(l)) {
        fprintf(stderr, "load: cannot connect to all endpoints\n");
        return 1;
    }
    if (s->op != OP_LOAD_CREATE && !prepare(l)) {
        fprintf(stderr, "load: cannot make the %" PRIu64 " nodes\n", s->keys);
        return 1;
    }
    l->next_key = 0;
    uint64_t before = ask_revision(l);
    uint64_t began = l->env->now_us(l->env);
    uint64_t total = s->op == OP_LOAD_CREATE ? s->keys : UINT64_MAX;
    run_phase(l, s->op, total, s->seconds, s->in_flight);
    double seconds = (double)(l->env->now_us(l->env) - began) / 1e6;
    struct phase measured = l->phase;
    uint64_t risen = ask_revision(l) - before;
    l->phase = measured;
    print_result(l, seconds, op, risen);
    bool is_write = s->op != OP_LOAD_GET;
    bool parent = s->op == OP_LOAD_CREATE; /* the first may make /bench too, in one revision */
    (void)parent;
    if (measured.acknowledged != measured.begun ||
        (is_write && risen != measured.acknowledged) || (!is_write && risen != 0)) {
        fprintf(stderr,
                "load: acknowledged %" PRIu64 " of %" PRIu64 ", the revision rose by %" PRIu64
                "\n",
                measured.acknowledged, measured.begun, risen);
        return 1;
    }
    return 0;
}

static bool parse(struct settings *s, int argc, char **argv, const char **op)
{
    char why[128];
    *op = "set";
    s->endpoint_count = endpoints_parse("127.0.0.1:7400", s->endpoints, why, sizeof why);
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--local") == 0) {
            s->local = true;
            continue;
        }
        if (strcmp(argv[i], "--endpoints") == 0) {
            s->endpoint_count = endpoints_parse(value, s->endpoints, why, sizeof why);
        } else if (strcmp(argv[i], "--op") == 0) {
            *op = value;
        } else if (strcmp(argv[i], "--connections") == 0) {
            s->connections = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--in-flight") == 0) {
            s->in_flight = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            s->seconds = strtod(value, NULL);
        } else if (strcmp(argv[i], "--keys") == 0) {
            s->keys = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--value-bytes") == 0) {
            s->value_bytes = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--label") == 0) {
            s->label = value;
        } else {
            fprintf(stderr, "load: unknown option %s\n", argv[i]);
            return false;
        }
        i++;
    }
    s->op = strcmp(*op, "set") == 0      ? OP_LOAD_SET
            : strcmp(*op, "get") == 0    ? OP_LOAD_GET
            : strcmp(*op, "create") == 0 ? OP_LOAD_CREATE
                                         : OP_NONE;
    bool fits = s->connections > 0 && s->connections <= CONNECTIONS_MAX && s->keys > 0 &&
                s->value_bytes <= (1 << 20) && s->seconds > 0 && s->endpoint_count > 0;
    if (s->op == OP_NONE || !fits) {
        fprintf(stderr, "load: options do not fit, see the head of tests/bench/load.c\n");
    }
    return s->op != OP_NONE && fits;
}

int main(int argc, char **argv)
{
    struct load *l = mem_zalloc(sizeof *l);
    const char *op;
    l->settings = (struct settings){.connections = 1,
                                    .in_flight = 1,
                                    .seconds = 3,
                                    .keys = 10000,
                                    .value_bytes = 100,
                                    .label = "grpc"};
    if (!parse(&l->settings, argc, argv, &op)) {
        mem_free(l);
        return 2;
    }
    l->value = mem_alloc(l->settings.value_bytes + 1);
    memset(l->value, 'v', l->settings.value_bytes);
    l->log = (struct log){.level = LOG_WARN, .sink = log_stderr_sink};
    uv_loop_init(&l->loop);
    l->env = env_uv_new(&l->loop, &l->log);
    env_uv_on_turn(l->env, turn, next_deadline, l);
    int exit_code = run(l, op);
    fflush(stdout);
    _Exit(exit_code); /* nothing to tidy up that the kernel does not */
}
