/* The gRPC front end under test and a client of it, joined in memory: what one side takes the
 * other is fed. The client is net/http2.h in client mode; raw bytes can be sent instead.
 *
 * Time stands still unless the test moves it. Include tests/support/fake_node.h as well. */
#ifndef TESTS_SUPPORT_GRPC_PEER_H
#define TESTS_SUPPORT_GRPC_PEER_H

#include "base/env.h"
#include "base/metrics.h"
#include "base/rng.h"
#include "net/front.h"
#include "net/grpc/frame.h"
#include "net/http2.h"
#include "raft/node.h"

#include <protobuf-c/protobuf-c.h>

#define PEER_HEADERS_MAX 32

struct peer_env {
    struct env env; /* first */
    uint64_t now_ms;
    struct rng rng;
    uint64_t same_random; /* so many numbers more are the one that came last */
    uint64_t last_random;
    struct env_job *jobs; /* of workers, not run yet */
};

/* One call of the client. */
struct peer_call {
    struct http2_stream stream; /* first */
    struct peer *peer;
    char *headers[PEER_HEADERS_MAX]; /* "name: value", of the response and its trailers */
    size_t header_count;
    struct buf data; /* frames of the reply */
    bool has_ended;  /* END_STREAM came */
    bool is_closed;
    uint32_t error; /* with which it closed */
    struct buf request; /* texts that headers point to */
};

struct peer {
    struct peer_env env;
    struct metrics *metrics;
    struct node *node;
    struct front_limits limits;
    struct front_env front_env;
    void *state;
    struct http2 *client;
    struct buf to_client; /* written by the front, not yet read by the client */
    bool is_blocked;      /* the sink takes no more */
    bool client_sleeps;   /* the client reads nothing */
    bool client_hoards;   /* it reads, but gives no window back until peer_call_consume */
    bool is_awake;        /* the front asked for a turn */
    bool is_unread;       /* the front paused the sink: the client's bytes stay with it */
    bool is_closing;      /* the front closed the sink */
    bool is_closed;       /* and was closed */
    size_t goaways;       /* that the client saw */
    int32_t goaway_last_id;
    enum status feed_rc;  /* what the front's last feed said, if it failed */
};

struct peer *peer_new(struct node *node);
/* One whose clock and randomness are those of the node: the test moves them, and calls peer_tick
 * then. */
struct peer *peer_new_in(struct node *node, struct env *env);
/* One without an HTTP/2 client: only peer_send_raw. */
struct peer *peer_new_raw(struct node *node);
void peer_free(struct peer *p);

/* Moves bytes, turns the front and the node, until nothing happens any more. */
void peer_run(struct peer *p);
/* The same, without letting the node complete anything. */
void peer_run_front(struct peer *p);
/* Moves the clock, runs deadlines that have passed, then peer_run. */
void peer_advance(struct peer *p, uint64_t ms);
/* Runs deadlines that have passed, then peer_run. */
void peer_tick(struct peer *p);
void peer_send_raw(struct peer *p, const void *bytes, size_t size);

/* Opens a call with the usual headers, and `extra` ones, NULL-terminated name, value, ...,
 * which also replace usual ones. */
struct peer_call *peer_call_open(struct peer *p, const char *path, const char *const *extra);
void peer_call_send(struct peer_call *call, const ProtobufCMessage *message);
void peer_call_send_bytes(struct peer_call *call, const void *bytes, size_t size);
void peer_call_end(struct peer_call *call);
void peer_call_free(struct peer_call *call);

void peer_call_consume(struct peer_call *call);

/* Opens, sends, ends and runs. */
struct peer_call *peer_unary(struct peer *p, const char *path, const ProtobufCMessage *message);

const char *peer_call_header(const struct peer_call *call, const char *name); /* NULL if none */
int peer_call_code(const struct peer_call *call); /* grpc-status, or -1 */
/* The decoded grpc-message, "" if there is none; valid until the call is freed. */
const char *peer_call_text(struct peer_call *call);
/* Message number `index` of the reply, false if there are fewer. */
bool peer_call_message(const struct peer_call *call, size_t index, struct slice *message);
/* The same, unpacked; NULL if there is none. Freed by protobuf_c_message_free_unpacked. */
void *peer_call_unpack(const struct peer_call *call, size_t index,
                       const ProtobufCMessageDescriptor *type);

#endif
