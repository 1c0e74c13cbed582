/* What sessions cost, over real gRPC, one thread: opened, kept alive, each with an ephemeral
 * node, closed.
 *
 *   session_load --endpoints 127.0.0.1:7400[,...] [--connections C] [--sessions N]
 *                [--in-flight K] [--seconds S] [--ttl-ms T] [--pid P]
 *
 * N sessions are opened, K calls at a time; each creates one ephemeral node; for S seconds
 * all are kept alive in turn over one stream per connection, K requests in flight, each
 * confirmed by the leader; none may be lost. Then all are closed, and no ephemeral node may
 * be left. One JSON line a phase; with the server's pid, how much its memory grew for a
 * session with its node. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "coord/v1/session.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "cmd/coordctl/load/latency.h"
#include "tests/support/bench_client.h"
#include "tests/support/process_rss.h"

#define PARENT "/bench-sessions"

enum kind { KIND_PARENT = 1, KIND_OPEN, KIND_EPHEMERAL, KIND_STREAM, KIND_CLOSE, KIND_COUNT };

struct settings {
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    size_t connections;
    size_t sessions;
    size_t in_flight;
    double seconds;
    uint64_t ttl_ms;
    long pid;
};

struct session {
    uint64_t id;
    uint8_t secret[16];
    uint64_t sent_us; /* of the keepalive that is out */
};

/* One stream of keepalives: of the sessions whose number has this remainder. */
struct lane {
    struct bench_call *stream;
    size_t next;
};

struct bench {
    struct settings settings;
    struct bench_client client;
    struct session *sessions;
    struct lane *lanes;
    enum kind phase;
    size_t begun;
    size_t ended;
    size_t failures;
    uint64_t children; /* as the last KIND_COUNT said */
    uint64_t until_us;
    struct latency latency;
};

/* ---- what is sent ------------------------------------------------------------------------- */

static void unary(struct bench *b, size_t number, const char *path,
                  const ProtobufCMessage *request)
{
    struct bench_connection *connection =
        &b->client.connections[number % b->settings.connections];
    struct bench_call *call = bench_call_begin(connection, path, (int)b->phase);
    if (call == NULL) {
        b->client.failed = true;
        return;
    }
    call->word = number;
    bench_call_send(call, request);
    bench_call_half_close(call);
    b->begun++;
}

static void send_open(struct bench *b, size_t number)
{
    Coord__V1__SessionOpenRequest request = COORD__V1__SESSION_OPEN_REQUEST__INIT;
    request.ttl_ms = b->settings.ttl_ms;
    unary(b, number, "/coord.v1.Session/Open", &request.base);
}

static void send_ephemeral(struct bench *b, size_t number)
{
    char path[64];
    Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
    (void)snprintf(path, sizeof path, PARENT "/s%08zu", number);
    request.path = path;
    request.kind = COORD__V1__KIND__EPHEMERAL;
    request.lease = b->sessions[number].id;
    unary(b, number, "/coord.v1.Tree/Create", &request.base);
}

static void send_close(struct bench *b, size_t number)
{
    Coord__V1__SessionCloseRequest request = COORD__V1__SESSION_CLOSE_REQUEST__INIT;
    request.id = b->sessions[number].id;
    request.secret = (ProtobufCBinaryData){.len = 16, .data = b->sessions[number].secret};
    unary(b, number, "/coord.v1.Session/Close", &request.base);
}

static void send_keepalive(struct bench *b, size_t number)
{
    struct session *s = &b->sessions[number];
    Coord__V1__SessionKeepAliveRequest request = COORD__V1__SESSION_KEEP_ALIVE_REQUEST__INIT;
    request.id = s->id;
    request.secret = (ProtobufCBinaryData){.len = 16, .data = s->secret};
    s->sent_us = bench_now_us(&b->client);
    bench_call_send(b->lanes[number % b->settings.connections].stream, &request.base);
    b->begun++;
}

/* The next call of the phase; numbers go round while sessions are kept alive. */
static void send_next(struct bench *b)
{
    size_t number = b->begun % b->settings.sessions;
    switch (b->phase) {
    case KIND_OPEN: send_open(b, number); break;
    case KIND_EPHEMERAL: send_ephemeral(b, number); break;
    case KIND_STREAM: send_keepalive(b, number); break;
    case KIND_CLOSE: send_close(b, number); break;
    default: break;
    }
}

static bool phase_goes_on(const struct bench *b)
{
    if (b->client.failed || b->phase == KIND_PARENT || b->phase == KIND_COUNT) {
        return false;
    }
    return b->phase == KIND_STREAM ? bench_now_us(&b->client) < b->until_us
                                   : b->begun < b->settings.sessions;
}

/* ---- what comes --------------------------------------------------------------------------- */

static void took(struct bench *b, uint64_t began_us, bool fine)
{
    b->ended++;
    b->failures += !fine;
    latency_add(&b->latency, bench_now_us(&b->client) - began_us);
    if (phase_goes_on(b)) {
        send_next(b);
    }
}

static void take_open(struct bench *b, uint64_t number, struct slice message)
{
    Coord__V1__SessionOpenReply *reply =
        coord__v1__session_open_reply__unpack(NULL, message.size, message.data);
    if (reply == NULL || reply->secret.len != 16) {
        b->client.failed = true;
        return;
    }
    b->sessions[number].id = reply->id;
    memcpy(b->sessions[number].secret, reply->secret.data, 16);
    coord__v1__session_open_reply__free_unpacked(reply, NULL);
}

/* Whose reply is next on a stream: they come in order of the requests. */
static struct session *lane_next(struct bench *b, size_t number)
{
    struct lane *lane = &b->lanes[number];
    size_t number_of_session = number + lane->next * b->settings.connections;
    lane->next++;
    if (number + lane->next * b->settings.connections >= b->settings.sessions) {
        lane->next = 0;
    }
    return &b->sessions[number_of_session];
}

static void take_keepalive(struct bench *b, const struct bench_call *call, struct slice message)
{
    Coord__V1__SessionKeepAliveReply *reply =
        coord__v1__session_keep_alive_reply__unpack(NULL, message.size, message.data);
    if (reply == NULL) {
        b->client.failed = true;
        return;
    }
    struct session *s = lane_next(b, (size_t)call->word);
    bool fine = reply->ttl_ms > 0 && reply->id == s->id;
    coord__v1__session_keep_alive_reply__free_unpacked(reply, NULL);
    took(b, s->sent_us, fine);
}

static void take_count(struct bench *b, struct slice message)
{
    Coord__V1__ExistsReply *reply =
        coord__v1__exists_reply__unpack(NULL, message.size, message.data);
    if (reply != NULL) {
        b->children = reply->stat != NULL ? reply->stat->child_count : 0;
        coord__v1__exists_reply__free_unpacked(reply, NULL);
    }
}

static void on_message(void *owner, struct bench_call *call, struct slice message)
{
    struct bench *b = owner;
    switch (call->kind) {
    case KIND_OPEN: take_open(b, call->word, message); break;
    case KIND_STREAM: take_keepalive(b, call, message); break;
    case KIND_COUNT: take_count(b, message); break;
    default: break;
    }
}

static void on_ended(void *owner, struct bench_call *call)
{
    struct bench *b = owner;
    if (call->kind == KIND_STREAM) {
        b->client.failed = b->client.failed || b->phase == KIND_STREAM;
        return;
    }
    took(b, call->began_us, call->has_status && call->code == GRPC_OK);
}

static const struct bench_events bench_events = {.message = on_message, .ended = on_ended};

/* ---- phases ------------------------------------------------------------------------------- */

static void begin_phase(struct bench *b, enum kind phase)
{
    b->phase = phase;
    b->begun = 0;
    b->ended = 0;
    b->failures = 0;
    memset(&b->latency, 0, sizeof b->latency);
}

static bool finish_phase(struct bench *b)
{
    while (b->ended < b->begun && !b->client.failed) {
        bench_client_turn(&b->client);
    }
    return b->failures == 0 && !b->client.failed;
}

static bool run_phase(struct bench *b, enum kind phase, const char *name)
{
    begin_phase(b, phase);
    uint64_t began = bench_now_us(&b->client);
    b->until_us = began + (uint64_t)(b->settings.seconds * 1e6);
    for (size_t i = 0; i < b->settings.in_flight && phase_goes_on(b); i++) {
        send_next(b);
    }
    bool fine = finish_phase(b);
    double seconds = (double)(bench_now_us(&b->client) - began) / 1e6;
    printf("{\"bench\":\"%s\",\"sessions\":%zu,\"connections\":%zu,\"in_flight\":%zu,"
           "\"ttl_ms\":%" PRIu64 ",\"seconds\":%.2f,\"failed\":%zu,\"ops_per_s\":%.0f,"
           "\"p50_us\":%" PRIu64 ",\"p99_us\":%" PRIu64 ",\"max_us\":%" PRIu64 "}\n",
           name, b->settings.sessions, b->settings.connections, b->settings.in_flight,
           b->settings.ttl_ms, seconds, b->failures, (double)b->ended / seconds,
           latency_percentile(&b->latency, 50), latency_percentile(&b->latency, 99),
           b->latency.max);
    return fine;
}

static bool make_parent(struct bench *b)
{
    Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
    char path[] = PARENT;
    request.path = path;
    begin_phase(b, KIND_PARENT);
    unary(b, 0, "/coord.v1.Tree/Create", &request.base);
    (void)finish_phase(b); /* it may be there */
    return !b->client.failed;
}

static bool count_children(struct bench *b)
{
    Coord__V1__ExistsRequest request = COORD__V1__EXISTS_REQUEST__INIT;
    char path[] = PARENT;
    request.path = path;
    begin_phase(b, KIND_COUNT);
    unary(b, 0, "/coord.v1.Tree/Exists", &request.base);
    return finish_phase(b);
}

static bool open_streams(struct bench *b)
{
    for (size_t i = 0; i < b->settings.connections; i++) {
        b->lanes[i].stream = bench_call_begin(&b->client.connections[i],
                                              "/coord.v1.Session/KeepAlive", KIND_STREAM);
        if (b->lanes[i].stream == NULL) {
            return false;
        }
        b->lanes[i].stream->word = i;
    }
    return true;
}

static void report_memory(const struct bench *b, uint64_t before)
{
    uint64_t after = process_rss_bytes(b->settings.pid);
    if (before != 0) {
        printf("{\"bench\":\"memory of sessions\",\"sessions\":%zu,\"rss_before_bytes\":%" PRIu64
               ",\"rss_after_bytes\":%" PRIu64 ",\"bytes_per_session_and_node\":%.0f}\n",
               b->settings.sessions, before, after,
               ((double)after - (double)before) / (double)b->settings.sessions);
    }
}

static int run(struct bench *b)
{
    struct settings *s = &b->settings;
    if (!bench_client_open(&b->client, s->endpoints, s->endpoint_count, s->connections,
                           &bench_events, b)) {
        fprintf(stderr, "session_load: cannot connect to all endpoints\n");
        return 1;
    }
    uint64_t before = process_rss_bytes(s->pid);
    bool fine = make_parent(b) && run_phase(b, KIND_OPEN, "session open") &&
                run_phase(b, KIND_EPHEMERAL, "ephemeral create") && count_children(b);
    if (fine && b->children != s->sessions) {
        fprintf(stderr, "session_load: %" PRIu64 " ephemeral nodes\n", b->children);
        return 1;
    }
    report_memory(b, before);
    fine = fine && open_streams(b) && run_phase(b, KIND_STREAM, "session keepalive") &&
           run_phase(b, KIND_CLOSE, "session close") && count_children(b);
    if (!fine || b->children != 0) {
        fprintf(stderr, "session_load: %zu calls failed, %" PRIu64 " ephemeral nodes are left\n",
                b->failures, b->children);
        return 1;
    }
    return 0;
}

static bool parse(struct settings *s, int argc, char **argv)
{
    char why[128];
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--endpoints") == 0) {
            s->endpoint_count = endpoints_parse(value, s->endpoints, why, sizeof why);
        } else if (strcmp(argv[i], "--connections") == 0) {
            s->connections = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--sessions") == 0) {
            s->sessions = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--in-flight") == 0) {
            s->in_flight = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            s->seconds = strtod(value, NULL);
        } else if (strcmp(argv[i], "--ttl-ms") == 0) {
            s->ttl_ms = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--pid") == 0) {
            s->pid = strtol(value, NULL, 10);
        } else {
            fprintf(stderr, "session_load: unknown option %s\n", argv[i]);
            return false;
        }
    }
    bool fits = argc % 2 == 1 && s->connections > 0 && s->sessions >= s->connections &&
                s->in_flight > 0 && s->in_flight <= s->sessions && s->seconds > 0 &&
                s->connections <= BENCH_CONNECTIONS_MAX && s->endpoint_count > 0;
    if (!fits) {
        fprintf(stderr, "session_load: options do not fit, see the head of its source\n");
    }
    return fits;
}

int main(int argc, char **argv)
{
    struct bench *b = mem_zalloc(sizeof *b);
    char why[128];
    b->settings = (struct settings){
        .connections = 16, .sessions = 10000, .in_flight = 1024, .seconds = 3, .ttl_ms = 30000};
    b->settings.endpoint_count =
        endpoints_parse("127.0.0.1:7400", b->settings.endpoints, why, sizeof why);
    if (!parse(&b->settings, argc, argv)) {
        mem_free(b);
        return 2;
    }
    b->lanes = mem_zalloc(b->settings.connections * sizeof b->lanes[0]);
    b->sessions = mem_zalloc(b->settings.sessions * sizeof b->sessions[0]);
    int exit_code = run(b);
    fflush(stdout);
    _Exit(exit_code); /* nothing to tidy up that the kernel does not */
}
