/* coord.v1.Lock: what its files share. */
#ifndef NET_GRPC_LOCK_H
#define NET_GRPC_LOCK_H

#include "coord/v1/lock.pb-c.h"
#include "net/grpc/call.h"

/* Of enum lock_mode. */
Coord__V1__LockMode lock_mode_to(uint8_t mode);

/* An entry as it is told; points into the call's scratch. False: the caller may not read it. */
struct lock_entry {
    Coord__V1__LockGrant grant;
    Coord__V1__LockEntry entry;
};
bool lock_entry_fill(struct grpc_call *call, const struct query_entry *e,
                     struct lock_entry *out);
/* A step of a cycle or an edge of the graph. */
void lock_wait_fill(struct grpc_call *call, const struct recipe_wait *from,
                    Coord__V1__LockWait *out);

/* lock_list.c */
void lock_list_call(struct grpc_call *call, const ProtobufCMessage *message);
void lock_explain_call(struct grpc_call *call, const ProtobufCMessage *message);

/* lock_acquire.c */
void lock_acquire_call(struct grpc_call *call, const ProtobufCMessage *message);
/* What a program needs to know of a deadlock, so much of it as trailers should hold: goes with the
 * refusal that follows. */
void lock_tell_cycle(struct grpc_call *call, const struct recipe_result *result);

#endif
