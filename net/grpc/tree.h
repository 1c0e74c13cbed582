/* What the two halves of coord.v1.Tree share: net/grpc/tree.c and net/grpc/txn.c. */
#ifndef NET_GRPC_TREE_H
#define NET_GRPC_TREE_H

#include "coord/v1/tree.pb-c.h"
#include "net/grpc/call.h"

uint8_t tree_kind(Coord__V1__Kind kind); /* one that command_check refuses if it is none */
/* False if the version is one that means "any" inside. */
bool tree_expect(const Coord__V1__Expect *expect, uint32_t *version);
struct slice tree_bytes(ProtobufCBinaryData bytes);
/* A copy that ends with a zero, gone when the handler returns. */
char *tree_text(struct grpc_call *call, struct slice text);

/* Proposes the command if its fields and limits are in order, else refuses the call. */
void tree_propose(struct grpc_call *call, const struct command *c,
                  void (*written)(struct grpc_call *call, const struct reply *reply));

/* The handler of Txn. */
void tree_txn_call(struct grpc_call *call, const ProtobufCMessage *message);

#endif
