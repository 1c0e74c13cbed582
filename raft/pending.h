/* Writes that were accepted here and are not answered yet.
 *
 *   QUEUED --(pending_take: handed to the leader of a term)--> SENT
 *   SENT   --(its entry is applied here)--> answered
 *   SENT   --(an entry of a later term is applied here, it was not before that)--> QUEUED
 *
 * The last arrow is what makes repeating safe without any memory of replies: terms in the log
 * never go back, so once an entry of term T' is applied, nothing proposed in an earlier term
 * can commit any more. A write is therefore proposed again only when its former proposal is
 * known to be void.
 *
 * Order: in each term writes are sent in the order of their counters, so that a leader can drop
 * what it has had already (node_propose.c). That is why nothing is sent in a new term before an
 * entry of that term is applied here: the former term's open writes go first.
 */
#ifndef RAFT_PENDING_H
#define RAFT_PENDING_H

#include "raft/node.h"

enum pending_state { PENDING_QUEUED = 1, PENDING_SENT = 2 };

struct pending {
    struct list queued;       /* by counter */
    struct list sent;         /* by counter */
    struct node_write **ring; /* by counter modulo NODE_WRITES_MAX */
    uint64_t oldest_counter;  /* no open write is below */
    uint64_t next_counter;
    size_t count;
    size_t bytes;
    uint64_t sent_term;   /* of all that are SENT */
    uint64_t deadline_ms; /* not later than the earliest of any open write */
    struct buf scratch;
};

void pending_init(struct pending *p);
/* As pending_fail_all, then frees. Completions must not add writes any more. */
void pending_close(struct pending *p, enum status rc);

/* Encodes and queues. RC_OVERLOADED beyond the limits of node.h. */
enum status pending_add(struct pending *p, struct node_write *w, const struct command *c,
                        uint64_t boot_id, uint64_t deadline_ms) MUST_USE;
void pending_cancel(struct pending *p, struct node_write *w);

/* Moves queued writes to SENT in `term` and appends their commands to `out`, up to
 * `bytes_max` in all (but at least one). Returns how many. */
uint32_t pending_take(struct pending *p, uint64_t term, size_t bytes_max, struct buf *out);

/* An entry of `term` was applied: what was sent in an earlier one is queued again. */
void pending_term_applied(struct pending *p, uint64_t term);
/* The connection to the leader was lost: what was sent may not have arrived. Sending it
 * again in the same term is harmless, the leader knows the counters it has had. */
void pending_resend(struct pending *p);

/* The command with this counter was applied. Ignores counters that are not open. */
void pending_complete(struct pending *p, uint64_t counter, const struct reply *reply);
/* These were not proposed. */
void pending_refuse(struct pending *p, uint64_t first_counter, uint32_t count, enum status rc);
/* All that is SENT from this counter on will not be proposed. */
void pending_refuse_from(struct pending *p, uint64_t first_counter, enum status rc);
/* Nothing that is queued will be proposed for now; what may have been sent keeps waiting. */
void pending_refuse_queued(struct pending *p, enum status rc);

/* A snapshot of `term` replaced the state: entries may have been skipped. */
void pending_state_replaced(struct pending *p, struct store *s, uint64_t term);

/* Every open write completes: with `rc`, or RC_UNKNOWN if it may have been sent. */
void pending_fail_all(struct pending *p, enum status rc);

/* Completes what is past its deadline. */
void pending_expire(struct pending *p, uint64_t now_ms);

#endif
