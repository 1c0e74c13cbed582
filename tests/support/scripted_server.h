/* A gRPC server that misbehaves to order, for tests of the client: real sockets, a thread of
 * its own, no store. It knows what a cluster must know here: which request ids were executed,
 * so that a repeated one is not executed twice. Several servers may share one cluster.
 *
 * Each unary call, of whatever kind but Status and Members, and each message on a stream takes the
 * next step of the script; behind the end of the script all is well. */
#ifndef TESTS_SUPPORT_SCRIPTED_SERVER_H
#define TESTS_SUPPORT_SCRIPTED_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/grpc/frame.h"

#define SCRIPTED_CALLS_MAX   64
#define SCRIPTED_MEMBERS_MAX 4
#define SCRIPTED_REQUEST_MAX ((size_t)512)

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
    /* of streams alone */
    SCRIPT_SERVE_AND_END, /* answer, and end the stream with `code` */
    SCRIPT_GARBAGE,       /* answer what is a gRPC message and no protobuf */
    SCRIPT_BAD_FRAME,     /* answer what is no gRPC message */
    SCRIPT_ANOTHER,       /* answer a message of another type */
};

/* An answer on a stream. */
struct scripted_message {
    int type; /* of a watch: Coord__V1__WatchReply__Type; of a snapshot likewise; of health: it */
    uint64_t revision;  /* of a snapshot's BEGIN: how large the file will be */
    uint32_t first_sub; /* of its events; of a configuration's change: its version */
    uint32_t count;     /* of events, or entries, or changes; 0: nobody leads, or no such key */
    bool more;
    int outcome; /* Coord__V1__Outcome; of a snapshot's END: not 0, and its sum is wrong; of a
                  * subscription: not 0, and it begins a full list; of changes of a configuration:
                  * not 0, and it says how far it is, as older servers do not */
    size_t data_bytes; /* of each event's or entry's value; of a snapshot: so many zeros */
};

struct scripted_step {
    enum scripted_action action;
    enum grpc_code code;
    const char *outcome;
    const char *deadlock; /* of SCRIPT_STATUS: the trailer coord-deadlock-bin; NULL: none */
    /* of a stream; none: CREATED for a watch, a confirmed keepalive */
    const struct scripted_message *messages;
    size_t message_count;
};

/* A request id; of a write in a session: its sequence number in `high`, its id in `low`. */
struct scripted_id {
    uint64_t issued_ms, high, low;
};

struct scripted_watch {
    uint64_t from_revision;
    bool list;
};

/* Zeroed, but for cluster_ms; guarded by `lock`. */
struct scripted_cluster {
    pthread_mutex_t lock;
    uint64_t cluster_ms;
    struct scripted_id executed[SCRIPTED_CALLS_MAX];
    size_t executed_count;
    /* every call but Status and Members, in order of arrival; {0} for reads */
    struct scripted_id ids[SCRIPTED_CALLS_MAX];
    size_t call_count;
    uint64_t answered_to[SCRIPTED_CALLS_MAX];
    uint8_t request[SCRIPTED_REQUEST_MAX]; /* of the newest of them: what it began with */
    size_t request_bytes;
    char digests[SCRIPTED_REQUEST_MAX]; /* shown by the newest but Cluster's: "a:b;c:d;" */
    size_t login_count;
    size_t status_count;
    size_t members_count;
    /* what it names as its members' addresses for clients */
    const char *members[SCRIPTED_MEMBERS_MAX];
    /* as they were asked for; observers of elections too, with what they saw last; and those of
     * Config, Discovery and Health */
    struct scripted_watch watches[SCRIPTED_CALLS_MAX];
    size_t watch_count;
    size_t keepalive_count;
    /* what every watch is sent that no step of a script is for; none: CREATED */
    const struct scripted_message *watch_messages;
    size_t watch_message_count;
    uint64_t ttl_ms; /* of sessions and leases; 0 = 1000 */
    uint64_t token_ms; /* of logins */
    const char *data;  /* of nodes that are read; NULL: "v" */
    size_t connection_count;
    size_t lock_pages;      /* of queues that were asked for: each queue has two */
    bool grants_are_hollow; /* those of locks name no entry */
    bool keeps_no_ids;      /* there are more calls than `ids` has room for */
};

struct scripted_server;

/* Listens on a free port of 127.0.0.1. `script` (may be NULL: all is well) is pinned until
 * close. */
struct scripted_server *scripted_server_new(struct scripted_cluster *cluster,
                                            const struct scripted_step *script);
void scripted_server_free(struct scripted_server *s);
const char *scripted_server_endpoint(const struct scripted_server *s); /* "127.0.0.1:41234" */

#endif
