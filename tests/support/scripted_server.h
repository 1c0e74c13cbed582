/* A gRPC server that misbehaves to order, for tests of the client: real sockets, a thread of
 * its own, no store. It knows what a cluster must know here: which request ids were executed,
 * so that a repeated one is not executed twice. Several servers may share one cluster.
 *
 * Each call, of whatever kind but Status, takes the next step of the script; behind the end of
 * the script all is well. */
#ifndef TESTS_SUPPORT_SCRIPTED_SERVER_H
#define TESTS_SUPPORT_SCRIPTED_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/grpc/frame.h"

#define SCRIPTED_CALLS_MAX 64

enum scripted_action {
    SCRIPT_END = 0,        /* as SCRIPT_SERVE, and so are all that follow */
    SCRIPT_SERVE,          /* execute, answer */
    SCRIPT_SERVE_AND_DROP, /* execute, answer, close the connection */
    SCRIPT_STATUS,         /* execute nothing, answer `code` and `outcome` */
    SCRIPT_LOSE,           /* execute, close the connection without an answer */
    SCRIPT_DROP,           /* the same without executing */
    SCRIPT_UNKNOWN,        /* execute, answer UNKNOWN */
    SCRIPT_SILENCE,        /* execute, never answer */
    SCRIPT_REFUSE,         /* reset the stream with REFUSED_STREAM */
    SCRIPT_GOAWAY,         /* go away, with this call among those not processed */
    SCRIPT_HTTP,           /* answer HTTP status 404, no gRPC */
    SCRIPT_NOISE,          /* answer what is not HTTP/2 */
};

struct scripted_step {
    enum scripted_action action;
    enum grpc_code code;
    const char *outcome;
};

struct scripted_id {
    uint64_t issued_ms, high, low;
};

/* Zeroed, but for cluster_ms; guarded by `lock`. */
struct scripted_cluster {
    pthread_mutex_t lock;
    uint64_t cluster_ms;
    struct scripted_id executed[SCRIPTED_CALLS_MAX];
    size_t executed_count;
    /* every call but Status, in order of arrival; {0} for reads */
    struct scripted_id ids[SCRIPTED_CALLS_MAX];
    size_t call_count;
    size_t status_count;
    size_t connection_count;
};

struct scripted_server;

/* Listens on a free port of 127.0.0.1. `script` (may be NULL: all is well) is pinned until
 * close. */
struct scripted_server *scripted_server_new(struct scripted_cluster *cluster,
                                            const struct scripted_step *script);
void scripted_server_free(struct scripted_server *s);
const char *scripted_server_endpoint(const struct scripted_server *s); /* "127.0.0.1:41234" */

#endif
