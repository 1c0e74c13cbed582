/* The methods of coord.v1.Lease, and a clock that the node shares. */
#ifndef TESTS_SUPPORT_GRPC_LEASE_KIT_H
#define TESTS_SUPPORT_GRPC_LEASE_KIT_H

#include "tests/support/grpc_ask.h"
#include "tests/support/grpc_kit.h"

#define GRANT     "/coord.v1.Lease/Grant"
#define REVOKE    "/coord.v1.Lease/Revoke"
#define TTL       "/coord.v1.Lease/TimeToLive"
#define LIST      "/coord.v1.Lease/List"
#define KEEPALIVE "/coord.v1.Lease/KeepAlive"

/* The node's clock too: what waits for it times out. */
static inline void advance(uint64_t ms)
{
    node->now_ms += ms;
    peer_advance(peer, ms);
}

#endif
