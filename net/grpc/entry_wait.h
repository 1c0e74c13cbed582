/* Calls that are answered once an entry of a recipe's queue is held: Acquire, Campaign and Enter;
 * or gone: Leave. */
#ifndef NET_GRPC_ENTRY_WAIT_H
#define NET_GRPC_ENTRY_WAIT_H

#include "coord/v1/types.pb-c.h"
#include "net/grpc/call.h"

struct entry_wait_place {
    struct slice path; /* of the entry */
    uint64_t revision; /* that created it */
    uint64_t epoch;
    uint32_t count; /* how often its owner has it */
};

/* All are held, or gone: replies to the call. */
typedef void (*entry_wait_fn)(struct grpc_call *call, Coord__V1__ReplyHeader *header,
                              const struct entry_wait_place *places, uint32_t count);

/* Proposes a COMMAND_RECIPE that acquires, or leaves. The call is answered by `held`, or refused;
 * its method has `is_long`, and entry_wait_ended for `ended`. Uses call->data. */
void entry_wait_start(struct grpc_call *call, const struct command *c, entry_wait_fn held);
void entry_wait_ended(struct grpc_call *call);

#endif
