/* What the two halves of coord.v1.Tree share: net/grpc/tree.c and net/grpc/txn.c. */
#ifndef NET_GRPC_TREE_H
#define NET_GRPC_TREE_H

#include "coord/v1/tree.pb-c.h"
#include "net/grpc/call.h"

uint8_t tree_kind(Coord__V1__Kind kind); /* one that command_check refuses if it is none */
/* False if the version is one that means "any" inside. */
bool tree_expect(const Coord__V1__Expect *expect, uint32_t *version);
struct slice tree_bytes(ProtobufCBinaryData bytes);
/* The list as the store wants it, gone when the handler returns. What is wrong with it,
 * command_check says. */
struct slice tree_acl(struct grpc_call *call, Coord__V1__Acl *const *acl, size_t count);
/* An ephemeral node that names no lease is the header's session's. Returns what is wrong: NULL,
 * or that there is neither. */
const char *tree_own(const struct grpc_call *call, struct op *create);

/* The handler of Txn. */
void tree_txn_call(struct grpc_call *call, const ProtobufCMessage *message);

#endif
