/* coord.v1.Lock: what its files share. */
#ifndef NET_GRPC_LOCK_H
#define NET_GRPC_LOCK_H

#include "coord/v1/lock.pb-c.h"
#include "net/grpc/call.h"

/* Of enum lock_mode. */
Coord__V1__LockMode lock_mode_to(uint8_t mode);

/* lock_wait.c: Acquire, which may take long. */
void lock_acquire_call(struct grpc_call *call, const ProtobufCMessage *message);
void lock_acquire_ended(struct grpc_call *call);

#endif
