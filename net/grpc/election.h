/* coord.v1.Election: what its files share. */
#ifndef NET_GRPC_ELECTION_H
#define NET_GRPC_ELECTION_H

#include "coord/v1/election.pb-c.h"
#include "net/grpc/call.h"
#include "recipes/record.h"

/* What a candidate's entry says when it leads: `record` is that of the value. The messages are the
 * caller's; strings go when the handler returns. */
struct election_leader {
    Coord__V1__ElectionLeader leader;
    Coord__V1__LockGrant grant;
};
/* False: it does not lead. */
bool election_leader_fill(struct grpc_call *call, struct slice path, const struct node_stat *stat,
                          struct slice value, struct election_leader *out);

/* The election's node, the path kept with the call, and its first `limit` entries. False: the call
 * has been refused. */
bool election_ask(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                  struct slice path, struct slice after, uint32_t limit,
                  void (*got)(struct grpc_call *call, const struct query_result *result));
/* Nobody leads where there is no election. */
bool election_is_vacant(const struct query_result *result);

/* election_observe.c */
void election_observe_call(struct grpc_call *call, const ProtobufCMessage *message);
void election_observe_drained(struct grpc_call *call);
void election_observe_woken(struct grpc_call *call);
void election_observe_ended(struct grpc_call *call);

#endif
