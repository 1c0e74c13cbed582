/* What the files of a call share: call.c, call_receive.c, call_answer.c, call_identity.c. */
#ifndef NET_GRPC_CALL_INTERNAL_H
#define NET_GRPC_CALL_INTERNAL_H

#include "net/grpc/call.h"

enum grpc_identified { GRPC_IDENTIFIED, GRPC_IDENTIFYING, GRPC_REFUSED };

/* Finds out who makes the call, by its headers, and whether he may. GRPC_IDENTIFYING:
 * grpc_call_identified follows, unless the call ends before. GRPC_REFUSED: it is over. */
enum grpc_identified grpc_call_identify(struct grpc_call *call);
/* The call ends while it is being found out; nothing follows. */
void grpc_call_identify_cancel(struct grpc_call *call);
/* Whether what was found out still holds, now that a message is handed over. False: the call is
 * over. */
bool grpc_call_is_still_allowed(struct grpc_call *call);
/* Hands over what had to wait. */
void grpc_call_identified(struct grpc_call *call);

/* Forgets what has been received and not handed over. */
void grpc_call_drop_input(struct grpc_call *call);
/* Until when the node may take for a read. What goes on for long has no deadline of its own as a
 * rule; it must not wait for a leader for ever, as its client could go to another member. */
uint64_t grpc_call_read_deadline(const struct grpc_call *call);
/* Brings the timer in line with deadline_ms and wake_ms. */
void grpc_call_set_timer(struct grpc_call *call);
/* The status is on its way. What the client still sends is dropped; one that does not read
 * loses the stream after a while. */
void grpc_call_finished(struct grpc_call *call, enum grpc_code code);
/* Ends the call: the client compresses, and is told what we accept. */
void grpc_call_refuse_encoding(struct grpc_call *call);

#endif
