/* coord.v1.Lock: what its files share. */
#ifndef NET_GRPC_LOCK_H
#define NET_GRPC_LOCK_H

#include "coord/v1/lock.pb-c.h"
#include "net/grpc/call.h"

/* Of enum lock_mode. */
Coord__V1__LockMode lock_mode_to(uint8_t mode);

/* lock_acquire.c */
void lock_acquire_call(struct grpc_call *call, const ProtobufCMessage *message);
/* What a program needs to know of a deadlock, so much of it as trailers should hold: goes with the
 * refusal that follows. */
void lock_tell_cycle(struct grpc_call *call, const struct recipe_result *result);

#endif
