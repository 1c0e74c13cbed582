/* What the audit log is told of calls (net/audit/audit.h): what they are about while that is at
 * hand, and once, at their end, what became of them. All do nothing while it is off. */
#ifndef NET_GRPC_AUDIT_H
#define NET_GRPC_AUDIT_H

#include "net/grpc/call.h"

/* The call asks for this command; a former one of the same call is forgotten. */
void grpc_audit_command(struct grpc_call *call, const struct command *c);
/* It is about a node, and only looks. */
void grpc_audit_path(struct grpc_call *call, struct slice path);
void grpc_audit_change(struct grpc_call *call, const struct node_change *change);
/* Somebody claims to have this name. */
void grpc_audit_login(struct grpc_call *call, struct slice user);
/* The right (enum acl_permission, 0 = none in particular) that was missing, before the state
 * machine was asked. */
void grpc_audit_denied(struct grpc_call *call, uint8_t right, struct slice path);
/* A watch of a stream that goes on: it began, or was not allowed to. */
void grpc_audit_watch(struct grpc_call *call, struct slice path, enum outcome outcome);
/* The call is answered with this status; `is_lost`: with nothing, its client has gone. */
void grpc_audit_answer(struct grpc_call *call, enum grpc_code code, bool is_lost);

#endif
