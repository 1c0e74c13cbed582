/* The connections of a client: one for calls, which stays with an endpoint as long as that serves;
 * and of each kind of streams one for each endpoint that has such streams open. So neither a call
 * that times out nor a long listing disturbs what keeps a session alive. */
#ifndef CLIENT_POOL_H
#define CLIENT_POOL_H

#include "client/connection.h"

struct coord_client;

enum connection_use {
    CONNECTION_FOR_CALLS,
    CONNECTION_FOR_KEEPALIVES,
    CONNECTION_FOR_WATCHES,
    CONNECTION_FOR_SNAPSHOTS
};

/* One that is usable, or a new one that is to be open by `deadline_ms` (monotonic). NULL: no
 * memory. */
struct connection *connections_get(struct coord_client *client, const struct endpoint *endpoint,
                                   enum connection_use use, uint64_t deadline_ms);
/* No exchange is left. */
void connections_close(struct coord_client *client);

#endif
