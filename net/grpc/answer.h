/* What the replies of coord.v1 have in common. */
#ifndef NET_GRPC_ANSWER_H
#define NET_GRPC_ANSWER_H

#include "coord/v1/types.pb-c.h"
#include "net/grpc/call.h"

/* Generated structs hold strings as char *, although they only read them. */
char *answer_text(const char *text);

/* The header of a reply; its strings are the node's. */
Coord__V1__ReplyHeader answer_header(const struct grpc_call *call, uint64_t revision,
                                     uint64_t applied_index);
Coord__V1__ReplyHeader answer_header_of_write(const struct grpc_call *call,
                                              const struct reply *reply);
Coord__V1__ReplyHeader answer_header_of_read(const struct grpc_call *call,
                                             const struct query_result *result);
/* As of now: for barriers, and for what is not read from the store. */
Coord__V1__ReplyHeader answer_header_of_now(const struct grpc_call *call);

Coord__V1__Stat answer_stat(const struct node_stat *stat);

/* Takes the request's wish for freshness into call->read, which is zeroed first. False: it was
 * no valid one and the call is refused. */
bool answer_read_prepare(struct grpc_call *call, const Coord__V1__RequestHeader *header);

/* Takes request id and note into the command. */
void answer_write_prepare(const Coord__V1__RequestHeader *header, struct command *c);

/* Refuses the call with `path` and the outcome's text: "/a/b: node does not exist". */
void answer_refuse(struct grpc_call *call, struct slice path, enum outcome outcome,
                   uint64_t revision);
/* The same for what was refused here, before the node was asked. */
void answer_refuse_early(struct grpc_call *call, enum outcome outcome,
                         const struct errmsg *err);

#endif
