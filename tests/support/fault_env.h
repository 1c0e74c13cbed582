/* An env whose disk fails at the N-th call: it passes every other call on to another env's disk.
 *
 *     for (uint64_t n = 1;; n++) {
 *         fault_env_init(&f, &below.env);
 *         fault_env_arm(&f, n, RC_IO, false);
 *         rc = the operation on &f.env;
 *         if (!fault_env_has_struck(&f)) { it succeeded, without a fault: done }
 *         rc must be RC_IO, and nothing may be left behind
 *     }
 *
 * Counted are all calls that can fail, so neither close nor anything outside the disk. A failing
 * write has written the first half of its bytes: the worst that a caller must live with.
 */
#ifndef TESTS_SUPPORT_FAULT_ENV_H
#define TESTS_SUPPORT_FAULT_ENV_H

#include "base/env.h"

struct fault_env {
    struct env env; /* first */
    struct env *below;
    uint64_t calls; /* made so far */
    uint64_t strike_at;
    enum status strike_with;
    bool lasts;
    uint64_t strikes;
};

/* Borrows `below`. Only the disk is there; clock, network and queues are NULL. */
void fault_env_init(struct fault_env *f, struct env *below);
/* The `n`-th call from now (1 is the next) fails with `rc`; if `lasts`, all later ones too. */
void fault_env_arm(struct fault_env *f, uint64_t n, enum status rc, bool lasts);
bool fault_env_has_struck(const struct fault_env *f);

#endif
