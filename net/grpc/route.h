/* Which method a path names, and what is counted about it.
 *
 * To add a service: a file with its handlers, a `struct grpc_service`, one line in route.c. To
 * add a method: one line in its service's table.
 */
#ifndef NET_GRPC_ROUTE_H
#define NET_GRPC_ROUTE_H

#include <protobuf-c/protobuf-c.h>

#include "base/metrics.h"
#include "base/slice.h"
#include "net/audit/audit.h"
#include "net/grpc/frame.h"

struct grpc_call;

/* What a caller must be, while authentication is enabled, for a method to be called at all. What it
 * may do with it, is asked where commands are applied and queries answered. */
enum grpc_needs {
    GRPC_NEEDS_ADMIN = 0, /* admin at "/": what a method needs that does not say */
    GRPC_NEEDS_USER,      /* somebody: a user, or anybody if there is a role for those */
    GRPC_NEEDS_NOBODY,    /* health, and what comes before one can be somebody */
};

/* What must be known of this member's state when a caller is judged by it. */
enum grpc_state {
    /* That it has caught up once since the member started: what most methods need. Later it lags by
     * what is under way, and commands are judged again where they are applied. */
    GRPC_STATE_CAUGHT_UP = 0,
    /* Nothing: it tells of this member alone, and nothing of what is stored. */
    GRPC_STATE_ANY,
    /* That it is confirmed with a leader now: others act on what this member says of the caller. */
    GRPC_STATE_CONFIRMED,
};

struct grpc_method {
    const char *name; /* "Create" */
    uint8_t needs;    /* enum grpc_needs */
    uint8_t state;    /* enum grpc_state */
    uint8_t right;    /* enum acl_permission that it takes on its path, for the text of a refusal */
    uint8_t audit;    /* enum audit_class (net/audit/audit.h) */
    const ProtobufCMessageDescriptor *request;
    /* False: exactly one message comes in, handed over once the client has ended its half.
     * True: each is handed over as it arrives, unless too much waits to be sent on the same
     * stream. */
    bool takes_stream;
    /* Goes on until one side ends it: without a deadline unless the client sets one. */
    bool is_long;
    /* `request` is borrowed until return. The handler answers now, or asks the node and answers
     * from the completion (net/grpc/call.h). */
    void (*message)(struct grpc_call *call, const ProtobufCMessage *request);
    /* The client sends nothing more (takes_stream only). */
    void (*half_closed)(struct grpc_call *call);
    /* After grpc_call_is_full: the client has read, there is room again. May be NULL. */
    void (*drained)(struct grpc_call *call);
    /* The time set by grpc_call_wake_at has come. May be NULL. */
    void (*woken)(struct grpc_call *call);
    /* Nothing can be sent any more, for whatever reason, also before a message came: lets go of
     * what the handler has attached to the call. Exactly once; from inside grpc_call_finish, _fail
     * or _refuse if these ended it. May be NULL. */
    void (*ended)(struct grpc_call *call);
    /* The call is over, for whatever reason, also before a message came; not from inside another
     * function of the handler. The client may be reading what was sent until then. May be NULL. */
    void (*closed)(struct grpc_call *call);
};

struct grpc_service {
    const char *name; /* "coord.v1.Tree" */
    const struct grpc_method *methods;
    size_t method_count;
};

extern const struct grpc_service grpc_tree_service;
extern const struct grpc_service grpc_lease_service;
extern const struct grpc_service grpc_lock_service;
extern const struct grpc_service grpc_discovery_service;
extern const struct grpc_service grpc_election_service;
extern const struct grpc_service grpc_barrier_service;
extern const struct grpc_service grpc_counter_service;
extern const struct grpc_service grpc_shard_map_service;
extern const struct grpc_service grpc_session_service;
extern const struct grpc_service grpc_watch_service;
extern const struct grpc_service grpc_history_service;
extern const struct grpc_service grpc_cluster_service;
extern const struct grpc_service grpc_auth_service;
extern const struct grpc_service grpc_maintenance_service;
extern const struct grpc_service grpc_quota_service;
extern const struct grpc_service grpc_config_service;
extern const struct grpc_service grpc_health_service;
extern const struct grpc_service grpc_reflection_service;
extern const struct grpc_service grpc_reflection_v1alpha_service;

/* All services, NULL-terminated. */
extern const struct grpc_service *const grpc_services[];

/* A method with its path and its metrics. */
struct grpc_route {
    const struct grpc_method *method;
    const struct grpc_service *service;
    char path[96]; /* "/coord.v1.Tree/Create" */
    size_t path_bytes;
    bool is_registered;        /* a call has ended: */
    struct histogram *latency; /* NULL: of methods that go on for long there is none */
    struct metric *by_code[GRPC_CODE_COUNT]; /* registered when a code first occurs */
};

struct grpc_routes;

struct grpc_routes *grpc_routes_new(struct metrics *metrics); /* `metrics` may be NULL */
void grpc_routes_free(struct grpc_routes *routes);
/* NULL if there is no such method. */
struct grpc_route *grpc_routes_find(struct grpc_routes *routes, struct slice path);
/* A text for the client that asked for a path nobody serves: which part of it is wrong. */
void grpc_routes_explain(struct slice path, struct errmsg *err);
/* Counts a finished call. `route` is NULL for a path that nobody serves. */
void grpc_routes_count(struct grpc_routes *routes, struct grpc_route *route,
                       enum grpc_code code, uint64_t took_us);

#endif
