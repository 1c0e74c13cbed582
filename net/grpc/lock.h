/* coord.v1.Lock: what its files share. */
#ifndef NET_GRPC_LOCK_H
#define NET_GRPC_LOCK_H

#include "net/grpc/call.h"

/* lock_wait.c: Acquire, which may take long. */
void lock_acquire_call(struct grpc_call *call, const ProtobufCMessage *message);
void lock_acquire_ended(struct grpc_call *call);

#endif
