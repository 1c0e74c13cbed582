/* The keeper: deadlines of all leases, on the leader only, lost with its leadership.
 *
 * Pure: time is an argument (a monotonic clock's milliseconds). What it decides is a proposal, an
 * EXPIRE command that names the generation it saw; the log decides (store/apply_lease.c).
 *
 *   KEPT --(deadline passed)--> SUSPECT --(leadership confirmed by a round begun since, and no
 *     ^                            |        touch came in)--> PROPOSED --(applied)--> gone
 *     +---------(touched)----------+
 *
 * SUSPECT is for a leader that was paused: what had arrived for it meanwhile is read before anybody
 * is given up, and a leader that was deposed finds out instead. PROPOSED is final: a touch changes
 * nothing any more; only a RESUME that is applied before the EXPIRE does (keeper_add again).
 *
 * All leases start at their full TTL when leadership begins. A deadline is never early by the clock
 * given, whatever the order of touches: the clock's milliseconds are cut off, so a lease ends only
 * when one more has begun than its TTL has. */
#ifndef LEASE_KEEPER_H
#define LEASE_KEEPER_H

#include <stdbool.h>
#include <stddef.h>

#include "lease/lease.h"

/* Touches may gather for so long before they are passed on to the leader. */
#define KEEPER_TOUCH_MS 100

struct keeper;

struct keeper_due {
    uint64_t id;
    uint64_t generation;
};

struct keeper *keeper_new(void);
void keeper_free(struct keeper *k); /* NULL is fine */

/* Forgets everything: this node does not lead (any more). */
void keeper_clear(struct keeper *k);

/* A lease was granted, or resumed (also one that is known: it begins anew), or leadership began. */
void keeper_add(struct keeper *k, uint64_t id, uint64_t generation, uint64_t ttl_ms,
                bool renewable, uint64_t now_ms);
/* It ended. Unknown ids are fine. */
void keeper_remove(struct keeper *k, uint64_t id);

/* Its client is alive. False: unknown, not renewable, or PROPOSED. O(1). */
bool keeper_touch(struct keeper *k, uint64_t id, uint64_t now_ms);
/* Nobody may be told that this lease was renewed: it is about to end, and the log knows. */
bool keeper_is_proposed(const struct keeper *k, uint64_t id);

/* Milliseconds left; 0 when the deadline has passed. False: unknown. */
bool keeper_remaining(const struct keeper *k, uint64_t id, uint64_t now_ms, uint64_t *ms);

/* Moves what is past its deadline to SUSPECT, and looks at `max` leases at most: the others are due
 * still (keeper_next_ms). True: there are suspects, a round must begin. */
bool keeper_suspect(struct keeper *k, uint64_t now_ms, size_t max);
/* A round that began after the last keeper_suspect has confirmed leadership: fills `due` with
 * suspects that nobody touched since, up to `max`, and marks them PROPOSED. */
size_t keeper_propose(struct keeper *k, struct keeper_due *due, size_t max);

/* When keeper_suspect has something to do again; UINT64_MAX = never. Never later than the first
 * deadline of what is KEPT; now and then earlier, as a touch moves a deadline without saying so. */
uint64_t keeper_next_ms(const struct keeper *k);
size_t keeper_count(const struct keeper *k);
size_t keeper_proposed_count(const struct keeper *k); /* how many are PROPOSED */

#endif
