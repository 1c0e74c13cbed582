/* A front end: one protocol spoken by clients, as a table of functions.
 *
 * A front is given bytes and a sink and never sees a socket, so that the simulator drives the real
 * ones. net/server.c finds out the protocol by a connection's first bytes, opens a state of that
 * front for it and from then on calls (all on the loop, never one from inside another, of the same
 * connection):
 *
 *     open -> ( feed | turn | tick | stop )* -> close
 *
 *   feed   bytes came in                          record, submit to the node, no output needed
 *   turn   once per loop turn, if anything was    write what is ready to the sink, in one piece
 *          fed, drained or woken                  if possible: many answers, one write
 *   tick   the deadline it had announced passed
 *   stop   the daemon shuts down: refuse new requests, finish what is in flight, then
 *          sink.close(conn, true)
 *   close  the connection is gone, or closing
 *
 * What a front must keep to:
 *   - Requests to the node (raft/node.h) are pinned until completion. So a request is memory of its
 *     own, not part of the state, and `close` cancels those in flight (node_write_cancel,
 *     node_read_cancel), after which no completion follows.
 *   - A completion stores or encodes the answer and calls sink.wake; it does not have to write.
 *   - Order of replies is the front's own duty.
 *   - Output is bounded: `turn` stops when sink.write returned false and is called again after the
 *     queue has drained. While the queue is that full nothing is read, so nothing is fed.
 *
 * To add a protocol: a folder with a codec and a handler, one `const struct front`, one line in
 * the list given to server_open, one line in net/server.c's detection.
 */
#ifndef NET_FRONT_H
#define NET_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/tls.h"

struct allowances;
struct planner;
struct audit;
struct logins;
struct memory_hold;
struct node;
struct vitals;

#define FRONT_PEER_BYTES_MAX 64

/* The way out of a connection. `conn` is the first argument of each function. Valid until the
 * front's `close`; after sink.close nothing is written or delivered any more. */
struct front_sink {
    void *conn;
    /* Keeps a copy or writes through. False: more than ENV_STREAM_QUEUE_MAX bytes are queued (these
     * included, they are not lost): stop until the next `turn`. */
    bool (*write)(void *conn, struct slice bytes);
    /* Bytes written but not yet taken by the other side. */
    size_t (*queued)(void *conn);
    /* Asks for a `turn` in this loop turn, or in the next one if this is called from `turn`. Cheap,
     * may be called any number of times. */
    void (*wake)(void *conn);
    /* Stops or resumes reading on the front's own account (too much in flight). Bytes that `feed`
     * left over are offered again after the resume. */
    void (*pause)(void *conn, bool paused);
    /* Ends the connection: after what is queued went out when `flush`, else at once. The front's
     * `close` follows later, not from inside this call. */
    void (*close)(void *conn, bool flush);
};

struct front_limits {
    uint32_t requests_max;    /* in flight on one connection */
    uint64_t idle_timeout_ms; /* without bytes and without requests in flight; 0 = for ever */
};

/* What a front has of the world. Its memory is the connection's: valid from `open` to `close`. */
struct front_env {
    struct node *node;
    struct env *env;
    struct log *log;         /* may be NULL */
    struct metrics *metrics; /* may be NULL */
    const struct front_limits *limits;
    const struct metric *rejected; /* connections closed as there were too many; may be NULL */
    const char *super_digest; /* who is super (net/identity.h); NULL or "": nobody */
    struct logins *logins; /* names and passwords (net/login.h) */
    struct audit *audit;   /* is told of every answer (net/audit/audit.h); NULL: off */
    struct allowances *allowances; /* what users may take (net/allowance.h); may be NULL */
    struct vitals *vitals; /* of instances (net/checks/vitals.h); NULL: heartbeats are not taken */
    struct planner *planner; /* of shard maps (net/shards/planner.h); NULL: none is there */
    struct memory_hold *memory; /* what its client makes us hold; NULL: nobody counts */
    const void *settings; /* of this front, as its header says; NULL = its defaults */
    void *shared;         /* made by shared_new, or NULL */
    struct front_sink sink;
    /* How the connection is encrypted, and who its client is by certificate; NULL: plain text. */
    const struct tls_peer *tls;
    char peer[FRONT_PEER_BYTES_MAX]; /* "192.0.2.7:51434" */
};

struct front {
    const char *name;  /* "grpc", for logs and metrics */
    size_t state_size; /* of a connection's state: zeroed before open, freed after close */
    /* How many bytes `feed` may leave over (see there); 0 if it always takes all. */
    size_t rest_bytes_max;

    /* State of this front that all its connections share (caches, metric handles), made when the
     * server opens and freed after the last connection closed. In `env` sink and peer are empty;
     * it is borrowed until return. May be NULL. */
    void *(*shared_new)(const struct front_env *env);
    void (*shared_free)(void *shared);

    /* Begins a connection. On failure it is closed at once and `close` is not called. */
    enum status (*open)(void *state, const struct front_env *env) MUST_USE;
    /* Bytes came in; borrowed until return. The first call gets the bytes that told the protocol.
     * Returns how many were taken: the rest is kept by the connection and offered again in front of
     * what comes next, or after sink.pause(conn, false). A rest above rest_bytes_max closes the
     * connection. Negative is -(enum status): it is closed after what was written has gone out. */
    ptrdiff_t (*feed)(void *state, struct slice bytes);
    void (*turn)(void *state);
    /* `now_ms` is env->now_ms. Called when next_deadline_ms has passed. */
    void (*tick)(void *state, uint64_t now_ms);
    /* Asked again after every other call; UINT64_MAX = none. */
    uint64_t (*next_deadline_ms)(const void *state);
    void (*stop)(void *state);
    /* The connection is evicted (net/memory.h), and closed in its next turn, until when only
     * completions may still come: lets go of the memory of requests and replies. May come from
     * inside memory_admits. NULL: there is nothing to let go. */
    void (*drop)(void *state);
    void (*close)(void *state);
};

#endif
