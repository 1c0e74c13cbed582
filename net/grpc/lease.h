/* What coord.v1.Lease and coord.v1.Session share: net/grpc/lease.c and net/grpc/session.c. */
#ifndef NET_GRPC_LEASE_H
#define NET_GRPC_LEASE_H

#include "lease/lease.h"
#include "net/grpc/call.h"

/* Completes a grant with credentials and, if there is none yet, an id: random ones. */
void lease_draw(struct grpc_call *call, struct command_lease *grant);

/* Proposes a grant whose id was drawn and goes on in `written`. `request` is kept, encoded, in
 * call->path, and call->word counts. */
void lease_grant(struct grpc_call *call, const struct command *c,
                 const ProtobufCMessage *request,
                 void (*written)(struct grpc_call *call, const struct reply *reply));

/* That a random id is taken is most unlikely. True: it was, and the method's handler has the
 * request again, to draw another. What was refused under a request id or a sequence number stays
 * refused under it. */
bool lease_grant_again(struct grpc_call *call, const struct reply *reply);

#endif
