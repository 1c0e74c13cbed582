/* Several clients of one node, which is all there and real: engine, log, store, server and its
 * fronts over the simulator's disk, network and clock. What the clients do is read from the
 * input, a few bytes a step: connections of all protocols that come, break and stop reading;
 * any call of any gRPC service and any operation of ZooKeeper, their fields drawn from what
 * makes sense and from what does not; bytes changed under way, cut anywhere, late; calls given
 * up; time, in which sessions expire.
 *
 * After each step the store holds its invariants and the node has not stopped. In the end,
 * when all clients are gone, so is everything that the server held for them, and the log,
 * replayed into a new store, gives the digest that the node had. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lease/lease.h"
#include "lease/table.h"
#include "net/conn.h"
#include "net/grpc/call.h"
#include "net/http2.h"
#include "net/zookeeper/connection.h"
#include "raft/replay.h"
#include "tests/fuzz/draw_zookeeper.h"
#include "tests/sim/cluster.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DATA_DIR   "data" /* as in cluster.c */
#define CLIENTS    4
#define CALLS      6
#define STEPS_MAX  160
#define DEPTH_MAX  4
#define START_US   (5 * SECOND)
#define LEAVE_US   (2 * SECOND)
#define TAKE_BYTES ((size_t)256 << 10)

enum kind { KIND_GRPC, KIND_ZOOKEEPER, KIND_HTTP, KIND_BYTES };

struct call {
    struct http2_stream stream; /* first */
    bool is_open;               /* from http2_request to `closed` */
    bool takes_stream;
};

struct client {
    struct session *session;
    enum kind kind;
    struct env_stream *stream; /* NULL: not connected */
    bool is_up;
    bool has_ended; /* to be let go, outside callbacks */
    bool is_deaf;   /* reads nothing */
    struct http2 *http2;
    struct call calls[CALLS];
    struct buf out; /* not written yet */
    int32_t xid;
};

/* The world and who is in it. */
struct session {
    struct input in;
    struct cluster cluster;
    struct sim_host host; /* of the clients */
    struct sim_env *process;
    struct client clients[CLIENTS];
};

static const struct store *the_store(const struct session *s)
{
    const struct node *node = s->cluster.nodes[0].node;
    return node != NULL ? node_store(node) : NULL;
}

/* ---- connections -------------------------------------------------------------------------- */

static void http2_header_cb(void *owner, struct http2_stream *s, struct slice name,
                            struct slice value)
{
    (void)owner, (void)s, (void)name, (void)value;
}

static void http2_headers_end_cb(void *owner, struct http2_stream *s, bool is_last)
{
    (void)owner, (void)s, (void)is_last;
}

static void http2_data_cb(void *owner, struct http2_stream *s, struct slice bytes)
{
    (void)owner, (void)bytes;
    http2_consume(s);
}

static void http2_end_cb(void *owner, struct http2_stream *s)
{
    (void)owner, (void)s;
}

static void http2_closed_cb(void *owner, struct http2_stream *s, uint32_t error)
{
    struct call *call = (struct call *)(void *)s;
    (void)owner, (void)error;
    PRE(call->is_open);
    call->is_open = false;
}

static const struct http2_events http2_events = {
    .header = http2_header_cb,
    .headers_end = http2_headers_end_cb,
    .data = http2_data_cb,
    .end = http2_end_cb,
    .closed = http2_closed_cb,
};

static void stream_open_cb(void *owner)
{
    ((struct client *)owner)->is_up = true;
}

static void stream_data_cb(void *owner, struct slice bytes)
{
    struct client *c = owner;
    if (c->http2 != NULL && http2_feed(c->http2, bytes) != RC_OK) {
        c->has_ended = true;
    }
}

static void stream_closed_cb(void *owner, enum status rc)
{
    struct client *c = owner;
    (void)rc;
    c->stream = NULL;
    c->has_ended = true;
}

static const struct env_stream_events stream_events = {
    .open = stream_open_cb, .data = stream_data_cb, .closed = stream_closed_cb};

static void client_drop(struct client *c, bool flush)
{
    if (c->stream != NULL) {
        c->session->process->env.net->close(c->stream, flush);
    }
    if (c->http2 != NULL) {
        http2_free(c->http2);
    }
    for (size_t i = 0; i < CALLS; i++) {
        PRE(!c->calls[i].is_open);
        http2_stream_release(&c->calls[i].stream);
    }
    buf_close(&c->out);
    *c = (struct client){.session = c->session};
}

static void client_connect(struct client *c, enum kind kind)
{
    struct sim_env *process = c->session->process;
    client_drop(c, false);
    c->kind = kind;
    if (kind == KIND_GRPC) {
        c->http2 = http2_new(false, 100, &http2_events, c);
    }
    c->stream =
        process->env.net->connect(&process->env, "n1", CLUSTER_CLIENT_PORT, &stream_events, c);
}

/* Writes up to `limit` bytes of what waits. */
static void client_write(struct client *c, size_t limit)
{
    if (c->http2 != NULL) {
        (void)http2_take(c->http2, &c->out, TAKE_BYTES);
    }
    size_t bytes = c->out.size < limit ? c->out.size : limit;
    if (c->is_up && c->stream != NULL && bytes > 0) {
        (void)c->session->process->env.net->write(c->stream, slice_make(c->out.data, bytes));
        buf_consume(&c->out, bytes);
    }
}

/* ---- gRPC: messages from their descriptors ------------------------------------------------ */

static void put_varint(struct buf *b, uint64_t v)
{
    for (; v > 0x7f; v >>= 7) {
        pack_u8(b, (uint8_t)(v | 0x80));
    }
    pack_u8(b, (uint8_t)v);
}

/* Any lease of those there are, or NULL. */
static const struct lease *draw_lease(struct session *s)
{
    const struct store *store = the_store(s);
    const struct lease *l = NULL;
    uint64_t after = 0;
    for (int i = draw(&s->in) % 4; store != NULL && i >= 0; i--) {
        l = store_lease_next(store, after);
        after = l != NULL ? l->id : 0;
    }
    return l;
}

static uint64_t draw_number(struct session *s, const char *name)
{
    const struct lease *l;
    uint8_t die = draw(&s->in);
    if (strstr(name, "ttl") != NULL && die % 8 != 0) {
        return (die % 3 + 1) * UINT64_C(500);
    }
    switch (die % 8) {
    case 0: return draw(&s->in);
    case 1:
        l = draw_lease(s);
        return l != NULL ? l->id : 1;
    case 2: return the_store(s) != NULL ? store_revision(the_store(s)) : 0;
    case 3: return UINT64_MAX >> draw(&s->in) % 64;
    default: return die >> 5;
    }
}

static void put_text(struct session *s, struct buf *b, const char *name)
{
    static const char *const texts[] = {"/",        "/a",    "/a/b", "/a/b/c", "a",      "b",
                                        "root",     "role",  "n1",   "pass",   "",       "{}",
                                        "[1, 2]",   "1",     "/a/",  "//",     "a\nb",   "*",
                                        "services", "\xff",  "/s-",  "name-1", "10.0.0.1:80",
                                        "{\"type\": \"object\"}"};
    uint8_t die = draw(&s->in);
    const struct lease *l = strstr(name, "secret") != NULL ? draw_lease(s) : NULL;
    if (l != NULL && die % 8 != 0) {
        put_varint(b, sizeof l->secret);
        buf_append(b, l->secret, sizeof l->secret);
    } else if (strstr(name, "path") != NULL && die % 8 != 0) {
        put_varint(b, strlen(texts[die % 4]));
        buf_append_str(b, texts[die % 4]);
    } else if (die == 0xff) {
        size_t size = (size_t)draw(&s->in) * 512;
        put_varint(b, size);
        memset(buf_extend(b, size), 'x', size);
    } else {
        const char *text = texts[die % (sizeof texts / sizeof texts[0])];
        put_varint(b, strlen(text));
        buf_append_str(b, text);
    }
}

static void put_message(struct session *s, struct buf *b, const ProtobufCMessageDescriptor *d,
                        unsigned depth);

static void put_field(struct session *s, struct buf *b, const ProtobufCFieldDescriptor *f,
                      unsigned depth)
{
    enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
    const ProtobufCEnumDescriptor *e;
    struct buf inner = {0};
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        put_varint(b, (uint64_t)f->id << 3 | BYTES);
        put_text(s, b, f->name);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(s, &inner, f->descriptor, depth + 1);
        put_varint(b, (uint64_t)f->id << 3 | BYTES);
        put_varint(b, inner.size);
        buf_append_slice(b, buf_slice(&inner));
        buf_close(&inner);
        break;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        put_varint(b, (uint64_t)f->id << 3 | FIXED64);
        pack_u64(b, draw_number(s, f->name));
        break;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        put_varint(b, (uint64_t)f->id << 3 | FIXED32);
        pack_u32(b, (uint32_t)draw_number(s, f->name));
        break;
    case PROTOBUF_C_TYPE_ENUM:
        e = f->descriptor;
        put_varint(b, (uint64_t)f->id << 3 | VARINT);
        put_varint(b, draw(&s->in) % (e->n_values + 1));
        break;
    default:
        put_varint(b, (uint64_t)f->id << 3 | VARINT);
        put_varint(b, draw_number(s, f->name));
        break;
    }
}

/* Most fields are there, some twice, some not: of a oneof the last one counts. */
static void put_message(struct session *s, struct buf *b, const ProtobufCMessageDescriptor *d,
                        unsigned depth)
{
    for (unsigned i = 0; i < d->n_fields && depth < DEPTH_MAX; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        bool is_one_of_many = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        uint8_t die = draw(&s->in);
        int count = (die & 3) == 3 || (is_one_of_many && (die & 12) != 0) ? 0 : 1;
        count = f->label == PROTOBUF_C_LABEL_REPEATED && (die & 0x30) == 0x30 ? 2 : count;
        while (count-- > 0) {
            put_field(s, b, f, depth);
        }
    }
}

static const struct grpc_method *draw_method(struct session *s, char *path, size_t bytes)
{
    size_t services = 0;
    while (grpc_services[services] != NULL) {
        services++;
    }
    const struct grpc_service *service = grpc_services[draw(&s->in) % services];
    const struct grpc_method *m = &service->methods[draw(&s->in) % service->method_count];
    (void)snprintf(path, bytes, "/%s/%s", service->name, m->name);
    return m;
}

static void put_frame(struct session *s, struct call *call, const ProtobufCMessageDescriptor *d)
{
    struct buf *out = http2_stream_out(&call->stream);
    size_t begin = grpc_frame_begin(out);
    put_message(s, out, d, 0);
    http2_stream_wrote(&call->stream, grpc_frame_end(out, begin));
}

static void grpc_call(struct session *s, struct client *c)
{
    struct call *call = &c->calls[draw(&s->in) % CALLS];
    char path[96];
    const struct grpc_method *m = draw_method(s, path, sizeof path);
    uint8_t die = draw(&s->in);
    if (call->is_open && (die & 3) == 0) {
        http2_stream_reset(&call->stream, HTTP2_CANCEL);
    } else if (call->is_open && call->stream.is_open && !call->stream.is_finished) {
        put_frame(s, call, m->request); /* often that of another method */
        if ((die & 3) == 1) {
            http2_stream_finish(&call->stream, NULL, 0);
        }
    } else if (!call->is_open && http2_may_request(c->http2)) {
        const struct http2_header headers[] = {
            {HTTP2_TEXT(":method"), HTTP2_TEXT("POST"), false},
            {HTTP2_TEXT(":path"), slice_str(path), false},
            {HTTP2_TEXT(":scheme"), HTTP2_TEXT("http"), false},
            {HTTP2_TEXT(":authority"), HTTP2_TEXT("coord"), false},
            {HTTP2_TEXT("content-type"), HTTP2_TEXT("application/grpc"), false},
            {HTTP2_TEXT("te"), HTTP2_TEXT("trailers"), false},
            {HTTP2_TEXT("grpc-timeout"), HTTP2_TEXT("300m"), false},
        };
        size_t count = sizeof headers / sizeof headers[0] - (die >> 7);
        call->is_open = http2_request(c->http2, &call->stream, headers, count, false) == RC_OK;
        /* Headers are borrowed until they are taken. */
        (void)http2_take(c->http2, &c->out, TAKE_BYTES);
        if (call->is_open) {
            put_frame(s, call, m->request);
            if (!m->takes_stream || (die & 4) != 0) {
                http2_stream_finish(&call->stream, NULL, 0);
            }
        }
    }
}

/* ---- the other protocols ------------------------------------------------------------------ */

static void zookeeper_send(struct session *s, struct client *c)
{
    struct buf b = {0};
    if (c->xid == 0) {
        uint8_t die = draw(&s->in);
        const struct lease *l = die % 4 == 0 ? draw_lease(s) : NULL;
        struct zk_hello hello = {.timeout_ms = die * 8,
                                 .session = l != NULL ? (int64_t)l->id : 0,
                                 .is_short = die % 2 == 0};
        if (l != NULL) {
            hello.password = slice_make(l->secret, sizeof l->secret);
        }
        zk_put_hello(&c->out, &hello);
        c->xid++;
        return;
    }
    int32_t type = draw_type(&s->in);
    jute_put_int(&b, type == ZK_PING ? ZK_XID_PING : type == ZK_AUTH ? ZK_XID_AUTH : c->xid++);
    jute_put_int(&b, type);
    draw_body(&b, &s->in, type);
    zk_put_packet(&c->out, buf_slice(&b));
    buf_close(&b);
}

static void text_send(struct session *s, struct client *c)
{
    static const char *const texts[] = {
        "GET /metrics HTTP/1.1\r\nHost: n1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: n1\r\n\r\n",
        "GET /v1/nodes/a HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n\r\n",
        "POST /coord.v1.Tree/Get HTTP/1.1\r\nHost: n1\r\nContent-Length: 4\r\n\r\n{}..",
        "ruok",
        "mntr",
        "dump",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    const char *text = texts[draw(&s->in) % (sizeof texts / sizeof texts[0])];
    buf_append_str(&c->out, text);
}

static void bytes_send(struct session *s, struct client *c)
{
    for (int i = draw(&s->in) % 24; i > 0; i--) {
        pack_u8(&c->out, draw(&s->in));
    }
}

/* ---- steps -------------------------------------------------------------------------------- */

enum { TIMES = 4 };
static const uint64_t times_us[TIMES] = {50, 5 * MS, 100 * MS, 700 * MS};

static void client_send(struct session *s, struct client *c)
{
    switch (c->kind) {
    case KIND_GRPC: grpc_call(s, c); break;
    case KIND_ZOOKEEPER: zookeeper_send(s, c); break;
    case KIND_HTTP: text_send(s, c); break;
    default: bytes_send(s, c); break;
    }
}

static void must_hold(struct session *s)
{
    if (s->cluster.world.failed) {
        (void)fprintf(stderr, "%s\n", s->cluster.world.why);
    }
    PRE(!s->cluster.world.failed);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (s->clients[i].has_ended) {
            client_drop(&s->clients[i], false);
        }
    }
    if (the_store(s) != NULL) {
        store_check(the_store(s));
    }
}

static void step(struct session *s)
{
    uint8_t die = draw(&s->in);
    struct client *c = &s->clients[die % CLIENTS];
    uint8_t action = draw(&s->in);
    bool goes_out = (action & 0x80) == 0; /* at once, and is answered */
    action &= 0x1f;
    if (c->stream == NULL) {
        client_connect(c, die >> 2 & 3);
    } else if (action == 0) {
        client_drop(c, die >= 0x80);
    } else if (action == 1) {
        bytes_send(s, c);
    } else if (action == 2 && c->out.size > 0) {
        c->out.data[draw(&s->in) % c->out.size] ^= draw(&s->in);
    } else if (action == 3) {
        c->is_deaf = !c->is_deaf;
        s->process->env.net->read_pause(c->stream, c->is_deaf);
    } else if (action < 6) {
        client_write(c, draw(&s->in));
    } else if (action < 8) {
        cluster_run(&s->cluster, times_us[die >> 2 & 3]);
    } else {
        client_send(s, c);
    }
    if (goes_out) {
        for (size_t i = 0; i < CLIENTS; i++) {
            client_write(&s->clients[i], SIZE_MAX);
        }
        cluster_run(&s->cluster, 3 * MS);
    }
    must_hold(s);
}

/* ---- begin and end ------------------------------------------------------------------------ */

static void nothing(void *context)
{
    (void)context;
}

static bool is_serving(struct cluster *c, void *context)
{
    (void)context;
    return cluster_leader(c) == 0 && node_is_serving(c->nodes[0].node);
}

static void session_open(struct session *s, struct slice input)
{
    const struct cluster_options options = {
        .seed = 1,
        .nodes = 1,
        .election_timeout_ms = 100,
        .heartbeat_ms = 20,
        .wal_segment_bytes = (size_t)64 << 10,
        .snapshot_log_bytes = (size_t)1 << 30, /* so that the log has everything */
    };
    s->in = (struct input){input.data, input.size};
    cluster_init(&s->cluster, &options);
    sim_host_init(&s->host, &s->cluster.world, &s->cluster.net, 1);
    sim_net_add(&s->cluster.net, &s->host);
    s->process = sim_env_new(&s->host, nothing, nothing, s);
    for (size_t i = 0; i < CLIENTS; i++) {
        s->clients[i].session = s;
    }
    cluster_start_all(&s->cluster);
    PRE(cluster_run_until(&s->cluster, START_US, is_serving, NULL));
}

/* All clients are gone: so is what they were to the server. */
static void must_be_forgotten(const struct session *s)
{
    const struct server *server = s->cluster.nodes[0].server;
    const struct grpc_shared *grpc = server->shared[SERVER_HTTP2];
    const struct zk_shared *zk = server->shared[SERVER_ZOOKEEPER];
    PRE(server_connections(server) == 0);
    PRE(server->memory.bytes == 0 && list_empty(&server->memory.holds));
    PRE(grpc->keepalives == 0);
    PRE(zk->connection_count == 0 && zk->outstanding == 0 && zk->watch_count == 0);
}

/* The log of a node that is down, from its begin to what it had applied. */
static void must_replay(struct session *s, const struct node_status *was)
{
    struct sim_env *process = sim_env_new(&s->cluster.nodes[0].host, nothing, nothing, s);
    struct wal_options options = {.cluster_id = was->cluster_id, .node_id = was->node_id};
    struct wal_recovery found;
    struct errmsg err = {0};
    struct replay_target target = {.index = was->applied_index};
    struct replay replay;
    struct store *store = store_new();
    PRE(wal_read(&process->env, DATA_DIR "/wal", &options, &found, &err) == RC_OK);
    replay_open(&replay, store, NULL, &target);
    for (size_t i = 0; i < found.entry_count; i++) {
        PRE(replay_entry(&replay, &found.entries[i], &err) == RC_OK);
    }
    store_check(store);
    PRE(replay.index == was->applied_index);
    PRE(store_digest(store) == was->digest && store_revision(store) == was->revision);
    replay_close(&replay);
    store_free(store);
    wal_recovery_close(&found);
    PRE(sim_env_free(process) == 0);
}

static void session_close(struct session *s)
{
    struct node_status was;
    for (size_t i = 0; i < CLIENTS; i++) {
        client_drop(&s->clients[i], false);
    }
    cluster_run(&s->cluster, LEAVE_US);
    must_hold(s);
    must_be_forgotten(s);
    node_status(s->cluster.nodes[0].node, &was);
    cluster_crash(&s->cluster, 0, DEATH_KILL);
    must_hold(s);
    must_replay(s, &was);
    sim_env_kill(s->process, false);
    PRE(sim_env_free(s->process) == 0);
    sim_host_close(&s->host);
    cluster_close(&s->cluster);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session *s = mem_zalloc(sizeof *s);
    session_open(s, slice_make(data, size));
    for (int i = 0; i < STEPS_MAX && s->in.size > 0; i++) {
        step(s);
    }
    session_close(s);
    mem_free(s);
    return 0;
}
