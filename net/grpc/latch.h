/* coord.v1.Barrier: its calls about latches. */
#ifndef NET_GRPC_LATCH_H
#define NET_GRPC_LATCH_H

#include "net/grpc/call.h"

void latch_set_call(struct grpc_call *call, const ProtobufCMessage *message);
void latch_count_down_call(struct grpc_call *call, const ProtobufCMessage *message);

/* Has `is_long`, and the other for `woken` and `ended`. */
void latch_await_call(struct grpc_call *call, const ProtobufCMessage *message);
void latch_await_woken(struct grpc_call *call);
void latch_await_ended(struct grpc_call *call);

#endif
