/* The client itself, for the files of client/ alone. */
#ifndef CLIENT_CLIENT_INTERNAL_H
#define CLIENT_CLIENT_INTERNAL_H

#include "base/list.h"
#include "client/client.h"
#include "client/endpoint.h"
#include "client/exchange.h"
#include "client/gate.h"
#include "client/keepalive.h"
#include "client/loop.h"
#include "client/session.h"
#include "client/wire.h"

struct coord_client {
    struct loop loop;
    struct list connections; /* see client/connections.h */
    struct list calls;       /* under way, see client/call.h */
    struct list queued_calls;
    struct list snapshots; /* being saved */
    struct list locks;     /* see client/lock.h */
    size_t calls_in_flight;
    unsigned depth;  /* of what the host has called and has not returned */
    unsigned holds;  /* of calls that look at it after they have waited */
    bool is_closing; /* coord_close came from inside a callback */
    uint64_t random; /* for the jitter of pauses */
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    size_t given_count; /* those in front that were given; the others were learned */
    size_t current;     /* where calls go */
    bool keeps_endpoints;
    bool prefers_leader;
    bool is_asking_members;          /* see client/members.h */
    struct loop_timer members_timer; /* runs from the first answer on */
    struct tls_context *tls_context; /* NULL: no TLS */
    char *server_name;               /* see struct coord_tls; may be NULL */
    bool checks_name;
    char *user; /* see client/auth.h; NULL: none */
    char *password;
    char *authorization;          /* what calls show; NULL: nothing */
    char *digests[EXCHANGE_DIGESTS_MAX]; /* "name:password", as many as digest_count says */
    size_t digest_count;
    uint64_t authorized_until_ms; /* our clock */
    bool is_open_cluster;         /* said that it asks nobody who he is */
    uint64_t login_number;        /* how often that was said, or a token given */
    struct gate auth_gate;        /* those that wait for a token */
    uint32_t timeout_ms;
    enum coord_consistency consistency;
    uint64_t bound_ms;
    char *note;
    char *chroot; /* NULL: there is none */
    /* of the replies so far */
    uint64_t revision;
    uint64_t applied_index;
    /* the cluster's clock, for request ids */
    bool knows_time;
    uint64_t cluster_ms;    /* of the newest reply */
    uint64_t cluster_ms_at; /* our clock then */
    struct gate time_gate;
    struct client_session session;
    struct keepalive lease_keepalive;
};

/* Around whatever the host calls that may begin something. client_leave may free the client. */
void client_enter(struct coord_client *client);
void client_leave(struct coord_client *client);
/* Around whatever waits and looks at the client, or at what needs it, after that: a callback may
 * have closed it meanwhile, and client_may_begin says so. client_let_go may free it. */
void client_hold(struct coord_client *client);
void client_let_go(struct coord_client *client);
/* COORD_CANCELED: the client is closing, and begins nothing more. */
enum coord_code client_may_begin(const struct coord_client *client, struct coord_error *error);
/* Drives the client until `*is_done`, or `deadline_ms` (monotonic) has passed, or a callback has
 * closed it: calls and keepalives under way are done then, and the client is freed unless it is
 * held. COORD_INVALID from inside a callback, where nothing can be waited for. */
enum coord_code client_wait(struct coord_client *client, const bool *is_done,
                            uint64_t deadline_ms, struct coord_error *error);
/* The client closes: those being saved are given up. */
void snapshot_close_all(struct coord_client *client);
/* Around `ms`, at random: so that clients that failed together do not come back together. */
uint64_t client_jitter(struct coord_client *client, uint64_t ms);

#endif
