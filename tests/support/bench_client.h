/* gRPC from one thread at full speed, for load generators: connections to the endpoints in turn,
 * calls from a pool, unary or streams, and one look at every grpc-status. Not a client to build
 * on: what goes wrong on a connection ends the measurement. */
#ifndef TESTS_SUPPORT_BENCH_CLIENT_H
#define TESTS_SUPPORT_BENCH_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <uv.h>

#include "base/env_uv.h"
#include "client/endpoint.h"
#include "net/grpc/frame.h"
#include "net/http2.h"

#define BENCH_CONNECTIONS_MAX 1024

struct bench_client;

struct bench_connection {
    struct bench_client *client;
    struct env_stream *stream;
    struct http2 *http2;
    struct buf out;
    bool is_open;
    bool is_blocked;
};

struct bench_call {
    struct http2_stream stream; /* first: the event's stream is the call */
    struct bench_connection *connection;
    struct bench_call *next_free;
    uint64_t began_us;
    bool has_status; /* once it has ended: else it was lost */
    enum grpc_code code;
    struct buf in;
    /* the user's own */
    int kind;
    uint64_t word;
};

struct bench_events {
    /* One message came; borrowed. NULL: nobody looks at them. */
    void (*message)(void *owner, struct bench_call *call, struct slice message);
    /* The call is over and goes back to the pool; new ones may be begun. */
    void (*ended)(void *owner, struct bench_call *call);
};

struct bench_client {
    uv_loop_t loop;
    struct env *env;
    struct tls_net *tls; /* which `env` is then; NULL: plain text */
    struct log log;
    const struct bench_events *events;
    void *owner;
    struct bench_connection connections[BENCH_CONNECTIONS_MAX];
    size_t connection_count;
    struct bench_call *free_calls;
    bool failed; /* a connection or its protocol is broken */
};

/* Connects all; connection i to endpoint i modulo their number. Over TLS if the variable
 * COORD_CACERT names a file of CAs, which have signed the servers' certificates. False after 5
 * seconds. Lives until the process ends. */
bool bench_client_open(struct bench_client *c, const struct endpoint *endpoints,
                       size_t endpoint_count, size_t connections,
                       const struct bench_events *events, void *owner);

/* Begins a call; NULL if the connection takes none. Messages follow, then the half close. */
struct bench_call *bench_call_begin(struct bench_connection *connection, const char *path,
                                    int kind);
void bench_call_send(struct bench_call *call, const ProtobufCMessage *message);
/* The place for one message that is written by hand, and its end. */
struct buf *bench_call_write(struct bench_call *call, size_t *begin);
void bench_call_written(struct bench_call *call, size_t begin);
void bench_call_half_close(struct bench_call *call);

/* Sends what is queued, then waits for something to happen, at most 50 ms. */
void bench_client_turn(struct bench_client *c);

static inline uint64_t bench_now_us(const struct bench_client *c)
{
    return c->env->now_us(c->env);
}

#endif
