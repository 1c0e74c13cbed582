/* The parts of coord.v1.ShardMap that are not one command each. */
#ifndef NET_GRPC_SHARD_MAP_H
#define NET_GRPC_SHARD_MAP_H

#include "net/grpc/call.h"

/* Plan: a plan is made off the loop; the call waits for it, or forgets it. */
void shard_plan_call(struct grpc_call *call, const ProtobufCMessage *message);
void shard_plan_ended(struct grpc_call *call);

#endif
