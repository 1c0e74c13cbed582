/* Streams of keepalives, of leases and of sessions alike: many may be under way, each is
 * confirmed by a read round of its own that touches the lease, and they are answered in order.
 *
 *   message --> keepalive_add --> waits for its round --> answered, once those before it are
 *
 * When a round fails, those before it are still answered; then the stream ends with UNAVAILABLE.
 * Memory: attached to the call as call->data from the first message to keepalive_closed. */
#ifndef NET_GRPC_KEEPALIVE_H
#define NET_GRPC_KEEPALIVE_H

#include "lease/lease.h"
#include "net/grpc/call.h"

#define KEEPALIVE_STREAM_MAX 256   /* under way on one stream: then it takes no more messages */
#define KEEPALIVE_SHARED_MAX 65536 /* on all streams of this node: then streams end */
#define KEEPALIVE_TIMEOUT_MS 5000  /* of a round */

/* A lease of `kind` and its credentials, which only a session has. All on one stream are of one
 * kind. */
void keepalive_add(struct grpc_call *call, enum lease_kind kind, uint64_t id,
                   struct slice secret);

/* Two events of a method's table. */
void keepalive_half_closed(struct grpc_call *call);
void keepalive_closed(struct grpc_call *call);

#endif
