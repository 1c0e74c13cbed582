/* What watches cost and how fast a change reaches them, over real gRPC, one thread.
 *
 *   watch_load --endpoints 127.0.0.1:7400[,...] --mode fanout|idle [--connections C]
 *              [--watches N] [--rounds R] [--value-bytes V] [--pid P]
 *
 * fanout: N watches of one node over C connections (a stream each); R times the node is set,
 * over a connection of its own, and the time from sending the write to each event, and to
 * the last one, is taken. Every watcher must get every change exactly once, in order, or the
 * program fails. idle: N watches of different nodes; with the server's pid, how much its
 * memory grew for each. Prints one JSON line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "coord/v1/tree.pb-c.h"
#include "coord/v1/watch.pb-c.h"
#include "cmd/coordctl/load/latency.h"
#include "tests/support/bench_client.h"
#include "tests/support/process_rss.h"

#define WATCHED          "/bench-watched"
#define CREATES_AT_A_GO  1000
#define WATCH_WAIT_US    ((uint64_t)60 * 1000000)

enum kind { KIND_UNARY = 1, KIND_STREAM = 2 };

struct settings {
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    bool idle;
    size_t connections;
    size_t watches;
    size_t rounds;
    size_t value_bytes;
    long pid;
};

struct bench {
    struct settings settings;
    struct bench_client client;
    struct bench_call **streams;
    size_t created;
    size_t canceled;
    size_t events;        /* of this round */
    uint64_t *revisions;  /* by watch: of its last event */
    uint64_t round_us;    /* when its write was sent */
    uint64_t unary_open;
    uint64_t refused;
    uint64_t out_of_order;
    struct latency each;
    struct latency last;
};

/* ---- what comes --------------------------------------------------------------------------- */

static void take_events(struct bench *b, const Coord__V1__WatchReply *reply)
{
    size_t watch = (size_t)reply->watch_id - 1;
    for (size_t i = 0; i < reply->n_events; i++) {
        b->events++;
        if (watch >= b->settings.watches || reply->events[i]->revision <= b->revisions[watch]) {
            b->out_of_order++;
            continue;
        }
        b->revisions[watch] = reply->events[i]->revision;
        latency_add(&b->each, bench_now_us(&b->client) - b->round_us);
    }
}

static void on_message(void *owner, struct bench_call *call, struct slice message)
{
    struct bench *b = owner;
    if (call->kind != KIND_STREAM) {
        return;
    }
    Coord__V1__WatchReply *reply =
        coord__v1__watch_reply__unpack(NULL, message.size, message.data);
    if (reply == NULL) {
        b->client.failed = true;
        return;
    }
    b->created += reply->type == COORD__V1__WATCH_REPLY__TYPE__CREATED;
    b->canceled += reply->type == COORD__V1__WATCH_REPLY__TYPE__CANCELED;
    take_events(b, reply);
    coord__v1__watch_reply__free_unpacked(reply, NULL);
}

static void on_ended(void *owner, struct bench_call *call)
{
    struct bench *b = owner;
    if (call->kind == KIND_UNARY) {
        b->unary_open--;
        bool fine = call->has_status &&
                    (call->code == GRPC_OK || call->code == GRPC_ALREADY_EXISTS);
        b->refused += !fine;
    } else {
        b->client.failed = true;
    }
}

static const struct bench_events bench_events = {.message = on_message, .ended = on_ended};

/* ---- what is sent ------------------------------------------------------------------------- */

static struct bench_connection *writer(struct bench *b)
{
    return &b->client.connections[b->settings.connections];
}

static void write_node(struct bench *b, bool create, uint8_t *value)
{
    struct bench_call *call =
        bench_call_begin(writer(b), create ? "/coord.v1.Tree/Create" : "/coord.v1.Tree/Set",
                         KIND_UNARY);
    if (call == NULL) {
        b->client.failed = true;
        return;
    }
    char path[] = WATCHED;
    if (create) {
        Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
        request.path = path;
        bench_call_send(call, &request.base);
    } else {
        Coord__V1__SetRequest request = COORD__V1__SET_REQUEST__INIT;
        request.path = path;
        request.data = (ProtobufCBinaryData){.len = b->settings.value_bytes, .data = value};
        bench_call_send(call, &request.base);
    }
    bench_call_half_close(call);
    b->unary_open++;
}

/* Watch number `i`; over the connections in turn. */
static void create_watch(struct bench *b, size_t i)
{
    char path[64];
    Coord__V1__WatchRequest request = COORD__V1__WATCH_REQUEST__INIT;
    Coord__V1__WatchCreate create = COORD__V1__WATCH_CREATE__INIT;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    header.consistency = COORD__V1__CONSISTENCY__LOCAL; /* the point is not the barrier */
    if (b->settings.idle) {
        (void)snprintf(path, sizeof path, "/services/shard-%03zu/node-%08zu", i % 1000,
                       i);
    } else {
        (void)snprintf(path, sizeof path, "%s", WATCHED);
    }
    create.header = &header;
    create.watch_id = i + 1;
    create.path = path;
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
    request.create = &create;
    bench_call_send(b->streams[i % b->settings.connections], &request.base);
}

static bool go_on(struct bench *b, uint64_t until_us)
{
    bench_client_turn(&b->client);
    return !b->client.failed && bench_now_us(&b->client) < until_us;
}

static bool create_all(struct bench *b)
{
    for (size_t i = 0; i < b->settings.connections; i++) {
        b->streams[i] = bench_call_begin(&b->client.connections[i], "/coord.v1.Watch/Watch",
                                         KIND_STREAM);
        if (b->streams[i] == NULL) {
            return false;
        }
    }
    uint64_t until = bench_now_us(&b->client) + WATCH_WAIT_US;
    for (size_t i = 0; i < b->settings.watches; i++) {
        create_watch(b, i);
        while (i + 1 - b->created - b->canceled >= CREATES_AT_A_GO) {
            if (!go_on(b, until)) {
                return false;
            }
        }
    }
    while (b->created + b->canceled < b->settings.watches && go_on(b, until)) {
    }
    return b->created == b->settings.watches && b->canceled == 0;
}

/* ---- the measurements --------------------------------------------------------------------- */

static bool run_round(struct bench *b, uint8_t *value)
{
    uint64_t now = bench_now_us(&b->client);
    b->events = 0;
    b->round_us = now;
    write_node(b, false, value);
    while (b->events < b->settings.watches || b->unary_open > 0) {
        if (!go_on(b, now + WATCH_WAIT_US)) {
            return false;
        }
    }
    return true;
}

static int fanout(struct bench *b)
{
    uint8_t *value = mem_zalloc(b->settings.value_bytes + 1);
    size_t rounds = 0;
    for (; rounds < b->settings.rounds; rounds++) {
        uint64_t events_before = b->each.total;
        b->each.max = 0;
        if (!run_round(b, value) || b->each.total != events_before + b->settings.watches) {
            break;
        }
        latency_add(&b->last, b->each.max);
    }
    mem_free(value);
    printf("{\"bench\":\"watch fanout\",\"watches\":%zu,\"connections\":%zu,\"rounds\":%zu,"
           "\"value_bytes\":%zu,\"out_of_order\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"each_p50_us\":%" PRIu64 ",\"each_p99_us\":%" PRIu64 ",\"last_p50_us\":%" PRIu64
           ",\"last_p99_us\":%" PRIu64 ",\"last_max_us\":%" PRIu64 "}\n",
           b->settings.watches, b->settings.connections, rounds, b->settings.value_bytes,
           b->out_of_order, b->refused, latency_percentile(&b->each, 50),
           latency_percentile(&b->each, 99), latency_percentile(&b->last, 50),
           latency_percentile(&b->last, 99), b->last.max);
    return rounds == b->settings.rounds && b->out_of_order == 0 && b->refused == 0 ? 0 : 1;
}

static void report_idle(const struct bench *b, uint64_t before, double seconds)
{
    uint64_t after = process_rss_bytes(b->settings.pid);
    printf("{\"bench\":\"idle watches\",\"watches\":%zu,\"connections\":%zu,"
           "\"created_per_s\":%.0f,\"rss_before_bytes\":%" PRIu64 ",\"rss_after_bytes\":%" PRIu64
           ",\"path_bytes\":%zu,\"bytes_per_watch\":%.0f}\n",
           b->settings.watches, b->settings.connections, (double)b->settings.watches / seconds,
           before, after, sizeof "/services/shard-000/node-00000000" - 1,
           ((double)after - (double)before) / (double)b->settings.watches);
}

static int run(struct bench *b)
{
    struct settings *s = &b->settings;
    if (!bench_client_open(&b->client, s->endpoints, s->endpoint_count, s->connections + 1,
                           &bench_events, b)) {
        fprintf(stderr, "watch_load: cannot connect to all endpoints\n");
        return 1;
    }
    write_node(b, true, NULL);
    while (b->unary_open > 0 && !b->client.failed) {
        bench_client_turn(&b->client);
    }
    uint64_t before = process_rss_bytes(s->pid);
    uint64_t began = bench_now_us(&b->client);
    if (b->refused > 0 || !create_all(b)) {
        fprintf(stderr, "watch_load: %zu of %zu watches were created, %zu refused\n",
                b->created, s->watches, b->canceled);
        return 1;
    }
    if (s->idle) {
        report_idle(b, before, (double)(bench_now_us(&b->client) - began) / 1e6);
        return 0;
    }
    return fanout(b);
}

static bool parse(struct settings *s, int argc, char **argv)
{
    char why[128];
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--endpoints") == 0) {
            s->endpoint_count = endpoints_parse(value, s->endpoints, why, sizeof why);
        } else if (strcmp(argv[i], "--mode") == 0) {
            s->idle = strcmp(value, "idle") == 0;
        } else if (strcmp(argv[i], "--connections") == 0) {
            s->connections = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--watches") == 0) {
            s->watches = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--rounds") == 0) {
            s->rounds = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--value-bytes") == 0) {
            s->value_bytes = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--pid") == 0) {
            s->pid = strtol(value, NULL, 10);
        } else {
            fprintf(stderr, "watch_load: unknown option %s\n", argv[i]);
            return false;
        }
    }
    bool fits = argc % 2 == 1 && s->connections > 0 &&
                s->connections < BENCH_CONNECTIONS_MAX && s->watches > 0 && s->rounds > 0 &&
                s->value_bytes <= (1 << 20) && s->endpoint_count > 0;
    if (!fits) {
        fprintf(stderr, "watch_load: options do not fit, see the head of its source\n");
    }
    return fits;
}

int main(int argc, char **argv)
{
    struct bench *b = mem_zalloc(sizeof *b);
    char why[128];
    b->settings = (struct settings){
        .connections = 100, .watches = 1000, .rounds = 200, .value_bytes = 100};
    b->settings.endpoint_count =
        endpoints_parse("127.0.0.1:7400", b->settings.endpoints, why, sizeof why);
    if (!parse(&b->settings, argc, argv)) {
        mem_free(b);
        return 2;
    }
    b->streams = mem_zalloc(b->settings.connections * sizeof b->streams[0]);
    b->revisions = mem_zalloc(b->settings.watches * sizeof b->revisions[0]);
    int exit_code = run(b);
    fflush(stdout);
    _Exit(exit_code); /* nothing to tidy up that the kernel does not */
}
