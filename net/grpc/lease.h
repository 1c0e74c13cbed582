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

/* How that ended. False: the call is refused, or another id was drawn and this is asked again. */
bool lease_is_granted(struct grpc_call *call, enum lease_kind kind, const struct reply *reply);

/* Whether a command about the lease call->word was executed. False: the call is refused. */
bool lease_is_changed(struct grpc_call *call, enum lease_kind kind, const struct reply *reply);
/* Answers Revoke and Close, whose replies are the same on the wire. */
void lease_answer_end(struct grpc_call *call, enum lease_kind kind, const struct reply *reply);

#endif
