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

#include "base/mem.h"
#include "coord/v1/tree.pb-c.h"
#include "load/latency.h"
#include "tests/support/bench_client.h"

enum op { OP_NONE, OP_LOAD_SET, OP_LOAD_GET, OP_LOAD_CREATE, OP_REVISION };

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
    uint64_t codes[GRPC_CODE_COUNT];
    uint64_t lost;
    struct latency latency;
};

struct load {
    struct settings settings;
    struct bench_client client;
    struct phase phase;
    uint64_t next_key;
    uint64_t revision; /* of the last OP_REVISION answer */
    uint8_t *value;
};

/* ---- calls ------------------------------------------------------------------------------- */

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
static void write_request(struct load *l, struct bench_call *call)
{
    char path[64];
    size_t begin;
    struct buf *out = bench_call_write(call, &begin);
    if (call->kind == OP_LOAD_GET && l->settings.local) {
        buf_append(out, "\x0a\x02\x08\x03", 4); /* header { consistency: LOCAL } */
    }
    if (call->kind != OP_REVISION) {
        int size =
            snprintf(path, sizeof path, "/bench/k%08" PRIu64, l->next_key++ % l->settings.keys);
        append_field(out, 0x12, path, (size_t)size);
    }
    if (call->kind == OP_LOAD_SET || call->kind == OP_LOAD_CREATE) {
        append_field(out, 0x1a, l->value, l->settings.value_bytes);
    }
    if (call->kind == OP_LOAD_CREATE) {
        buf_append(out, "\x30\x01", 2);
    }
    bench_call_written(call, begin);
    bench_call_half_close(call);
}

static void begin_call(struct load *l, struct bench_connection *connection)
{
    struct bench_call *call =
        bench_call_begin(connection, op_paths[l->phase.op], (int)l->phase.op);
    if (call != NULL) {
        write_request(l, call);
        l->phase.begun++;
    }
}

static bool phase_goes_on(const struct load *l)
{
    const struct phase *p = &l->phase;
    return p->begun < p->total && bench_now_us(&l->client) < p->until_us && !l->client.failed;
}

static void on_message(void *owner, struct bench_call *call, struct slice message)
{
    struct load *l = owner;
    if (call->kind != OP_REVISION) {
        return;
    }
    Coord__V1__SyncReply *reply =
        coord__v1__sync_reply__unpack(NULL, message.size, message.data);
    if (reply != NULL) {
        l->revision = reply->header->revision;
        coord__v1__sync_reply__free_unpacked(reply, NULL);
    }
}

static void on_ended(void *owner, struct bench_call *call)
{
    struct load *l = owner;
    l->phase.ended++;
    if (!call->has_status) {
        l->phase.lost++;
    } else {
        l->phase.codes[call->code]++;
        l->phase.acknowledged += call->code == GRPC_OK;
        latency_add(&l->phase.latency, bench_now_us(&l->client) - call->began_us);
    }
    if (phase_goes_on(l)) {
        begin_call(l, call->connection);
    }
}

static const struct bench_events events = {.message = on_message, .ended = on_ended};

/* ---- phases ------------------------------------------------------------------------------ */

static void run_phase(struct load *l, enum op op, uint64_t total, double seconds,
                      size_t in_flight)
{
    memset(&l->phase, 0, sizeof l->phase);
    l->phase.op = op;
    l->phase.total = total;
    l->phase.until_us = bench_now_us(&l->client) + (uint64_t)(seconds * 1e6);
    for (size_t i = 0; i < in_flight && phase_goes_on(l); i++) {
        begin_call(l, &l->client.connections[i % l->settings.connections]);
    }
    while (l->phase.ended < l->phase.begun && !l->client.failed) {
        bench_client_turn(&l->client);
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
    if (!bench_client_open(&l->client, s->endpoints, s->endpoint_count, s->connections, &events,
                           l)) {
        fprintf(stderr, "load: cannot connect to all endpoints\n");
        return 1;
    }
    if (s->op != OP_LOAD_CREATE && !prepare(l)) {
        fprintf(stderr, "load: cannot make the %" PRIu64 " nodes\n", s->keys);
        return 1;
    }
    l->next_key = 0;
    uint64_t before = ask_revision(l);
    uint64_t began = bench_now_us(&l->client);
    uint64_t total = s->op == OP_LOAD_CREATE ? s->keys : UINT64_MAX;
    run_phase(l, s->op, total, s->seconds, s->in_flight);
    double seconds = (double)(bench_now_us(&l->client) - began) / 1e6;
    struct phase measured = l->phase;
    uint64_t risen = ask_revision(l) - before;
    l->phase = measured;
    print_result(l, seconds, op, risen);
    bool is_write = s->op != OP_LOAD_GET;
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
    bool fits = s->connections > 0 && s->connections <= BENCH_CONNECTIONS_MAX && s->keys > 0 &&
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
    int exit_code = run(l, op);
    fflush(stdout);
    _Exit(exit_code); /* nothing to tidy up that the kernel does not */
}
