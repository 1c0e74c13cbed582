/* Checks of instances: while this node leads, it connects to each instance that wants to be
 * checked, at its own address and port, or awaits the heartbeats that an instance promised
 * (net/checks/vitals.h), and logs what that changes of its health.
 *
 *   every turn      those that are due begin; those that took too long have missed
 *   once a second   the instances are looked at, if anything has changed: who came, went, or is
 *                   another one now begins as what its node says. A page in a turn, so that the
 *                   many take longer and hold nobody up
 *
 * Results are judged by net/checks/state.h. Only a change of health is proposed, one at a time for
 * each instance; a leader that is new starts with empty windows and the state that is known.
 *
 * Never empty because the checker is cut off: an instance whose service has no other one that is
 * better than SUSPECTED_DOWN is not called DOWN for CHECKER_PROTECTED_MS. Until then it stays
 * SUSPECTED_DOWN, for all to see. On the loop. */
#ifndef NET_CHECKS_CHECKER_H
#define NET_CHECKS_CHECKER_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"

#define CHECKER_PROTECTED_MS ((uint64_t)60000)

struct checker;
struct node;
struct vitals;

struct checker_options {
    struct env *env;
    struct node *node;
    struct log *log;         /* may be NULL */
    struct metrics *metrics; /* may be NULL */
    struct vitals *vitals;   /* listened to until checker_free */
};

struct checker *checker_new(const struct checker_options *options);
void checker_free(struct checker *c); /* NULL is fine, in all of these */
void checker_turn(struct checker *c, uint64_t now_ms);
uint64_t checker_next_deadline_ms(const struct checker *c);

#endif
