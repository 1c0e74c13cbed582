/* What the replies of coord.v1 have in common. */
#ifndef NET_GRPC_ANSWER_H
#define NET_GRPC_ANSWER_H

#include "coord/v1/types.pb-c.h"
#include "lease/lease.h"
#include "net/grpc/call.h"

struct recipe_head;

/* Generated structs hold strings and bytes without const, although they only read them. */
char *answer_text(const char *text);
ProtobufCBinaryData answer_bytes(struct slice bytes);
/* A copy that ends with a zero, gone when the handler or completion returns: the strings of
 * replies are slices, and protobuf-c wants them so. */
char *answer_copy(struct grpc_call *call, struct slice text);

/* The header of a reply; its strings are the node's. */
Coord__V1__ReplyHeader answer_header(const struct grpc_call *call, uint64_t revision,
                                     uint64_t applied_index);
Coord__V1__ReplyHeader answer_header_of_write(const struct grpc_call *call,
                                              const struct reply *reply);
Coord__V1__ReplyHeader answer_header_of_read(const struct grpc_call *call,
                                             const struct query_result *result);
/* As of now, behind a barrier: call->read, as fresh as that asked for. */
Coord__V1__ReplyHeader answer_header_of_barrier(const struct grpc_call *call);
/* As of now, confirmed by a leader. */
Coord__V1__ReplyHeader answer_header_of_now(const struct grpc_call *call);

Coord__V1__Stat answer_stat(const struct node_stat *stat);

/* Every unary call goes through one of the next three, once. Each keeps the session alive that
 * the header names, and notes it in call->session. False: the header is not in order, and the
 * call is refused. */

/* Takes the request's wish for freshness into call->read, which is zeroed first. */
bool answer_read_prepare(struct grpc_call *call, const Coord__V1__RequestHeader *header);
/* Asks a query about nodes: its path and cursor are looked at, and kept with the call, the path in
 * call->path. False: the call was refused. */
bool answer_ask(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                const struct query *query,
                void (*got)(struct grpc_call *call, const struct query_result *result));
/* Takes session, request id and note into the command, and who the caller is. */
bool answer_write_prepare(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                          struct command *c);
/* The client of a session is there. Others do not keep it alive by naming it; what else they may
 * not, apply says. One that is not known here may have been opened elsewhere a moment ago. */
void answer_touch(const struct grpc_call *call, uint64_t session);
/* For what is neither. */
bool answer_session(struct grpc_call *call, const Coord__V1__RequestHeader *header);

/* Grants that must be held for a write, as the store wants them; gone when the handler returns. */
const struct guard *answer_guards(struct grpc_call *call, Coord__V1__LockGrant *const *grants,
                                  size_t count);

/* Proposes the command if its fields and limits are in order, else refuses the call. */
void answer_propose(struct grpc_call *call, const struct command *c,
                    void (*written)(struct grpc_call *call, const struct reply *reply));

/* Refuses the call with `path` and the outcome's text, "/a/b: node does not exist", unless it is
 * the session of the header that was refused. */
void answer_refuse(struct grpc_call *call, struct slice path, enum outcome outcome,
                   uint64_t revision);
/* The same of a write; if a quota or a limit was in the way, it is named. */
void answer_refuse_reply(struct grpc_call *call, struct slice path, const struct reply *reply);
/* The same of a COMMAND_RECIPE: what the recipe says, else with call->path. */
void answer_refuse_recipe(struct grpc_call *call, const struct reply *reply);
/* The same with a lease or session for a path: "session 00000000000012ab: credentials do not
 * match". */
void answer_refuse_lease(struct grpc_call *call, enum lease_kind kind, uint64_t id,
                         enum outcome outcome, uint64_t revision);
/* The same for a read of the past: what was asked for, and what there is. */
void answer_refuse_revision(struct grpc_call *call, struct slice path, uint64_t revision,
                            const struct query_result *result);
/* The same for what was refused here, before the node was asked. */
void answer_refuse_early(struct grpc_call *call, enum outcome outcome,
                         const struct errmsg *err);
/* A page of what was found, as the reply: `head`, which has no entries yet, then each entry as
 * `append` puts it, and behind them, if there are more, the last one's path in the field
 * `next_field`. A page ends before the entry that would make it larger than QUERY_PAGE_BYTES_MAX,
 * unless that is its only one. Finishes the call. */
void answer_page(struct grpc_call *call, const struct query_result *result,
                 const ProtobufCMessage *head, uint32_t next_field,
                 void (*append)(struct grpc_call *call, struct buf *out,
                                const struct query_entry *e, const void *context),
                 const void *context);

/* A page of what is held in order of name, users or quotas, that is written item by item. */
struct answer_list {
    struct grpc_call *call;
    struct buf *out;
    size_t begin;
    uint32_t count;
    struct slice last;
};
/* Takes the header, behind which name the page begins, and how many it may have (0 = as many as
 * fit), and goes on in `got` once the node is as fresh as asked for. */
void answer_list_ask(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                     const char *after, uint32_t limit,
                     void (*got)(struct grpc_call *call, const struct query_result *result));
/* `head` has no items yet. */
struct answer_list answer_list_begin(struct grpc_call *call, const ProtobufCMessage *head);
/* Whether the item belongs to this page, or to later ones. */
bool answer_list_wants(const struct answer_list *l, struct slice name);
/* Puts it into the field `field`. False: the page is full, and ends before it. */
bool answer_list_add(struct answer_list *l, uint32_t field, struct slice name,
                     const ProtobufCMessage *item);
/* With `more`, the last name goes into `next_field`. Finishes the call. */
void answer_list_end(struct answer_list *l, uint32_t next_field, bool more);

/* What the node of a recipe says, as it was found: one of `kinds`, a set of RECIPE_KIND. False:
 * there is none there, and the call is refused. */
#define RECIPE_KIND(recipe) ((uint32_t)1 << (recipe)) /* enum recipe_type */
bool answer_recipe(struct grpc_call *call, const struct query_result *result, uint32_t kinds,
                   struct recipe_head *head);
/* The node at call->path once more, as this member has it now. */
void answer_look(struct grpc_call *call, struct query_result *result);

/* Whether a reply that says OK has the parts that this kind of write is answered with. If not, it
 * is what another kind of write has left under this number or request id: the call is refused. */
bool answer_fits(struct grpc_call *call, const struct reply *reply, bool fits);

#endif
