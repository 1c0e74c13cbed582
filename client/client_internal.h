/* The client itself, for the files of client/ alone. */
#ifndef CLIENT_CLIENT_INTERNAL_H
#define CLIENT_CLIENT_INTERNAL_H

#include "client/client.h"
#include "client/connection.h"
#include "client/endpoint.h"
#include "client/keepalive.h"
#include "client/wire.h"

struct client_session {
    uint64_t id; /* 0: none */
    uint8_t secret[COORD_SECRET_BYTES];
    uint64_t ttl_ms;
    bool has_sequence;     /* opened or resumed here: nobody else counts */
    bool has_ended;        /* as the cluster said */
    uint64_t sequence;     /* of the last write */
    uint64_t confirmed_ms; /* when that was sent which was confirmed last */
    struct keepalive keepalive;
};

struct coord_client {
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    size_t current;
    struct tls_context *tls_context; /* NULL: no TLS */
    char *server_name;               /* see struct coord_tls; may be NULL */
    bool checks_name;
    char *user; /* see client/auth.h; NULL: none */
    char *password;
    char *authorization;          /* what calls show; NULL: nothing */
    uint64_t authorized_until_ms; /* our clock */
    bool is_open_cluster;         /* said that it asks nobody who he is */
    struct connection
        *connection; /* to `current`; NULL before the first call and after failures */
    uint32_t timeout_ms;
    enum coord_consistency consistency;
    uint64_t bound_ms;
    char *note;
    /* of the replies so far */
    uint64_t revision;
    uint64_t applied_index;
    /* the cluster's clock, for request ids */
    bool knows_time;
    uint64_t cluster_ms;    /* of the newest reply */
    uint64_t cluster_ms_at; /* our clock then */
    struct client_session session;
    struct keepalive lease_keepalive;
};

#endif
