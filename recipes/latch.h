/* Latches: whoever awaits one goes on once it has been counted down to zero.
 *
 *                 count down            count down
 *                  +--+               +--+
 *                  v  |               v  |
 *   set ---> CLOSED: count > 0 ---> OPEN: 0
 *                  ^                  |
 *                  +------- set ------+           gone: deleted, as plain nodes are
 *
 * A latch of one is a gate: set to 1 it is shut, counted down it is open. Awaiting takes no place
 * in the state machine: it is a read and a watch (net/grpc/latch.c), so that it costs nothing here,
 * and no session.
 *
 * Invariants:
 *   - the count never goes below zero;
 *   - only setting it anew closes it again. Who awaits it sees each change, and so goes on even if
 *     it was open for one revision only.
 *
 * Pure. */
#ifndef RECIPES_LATCH_H
#define RECIPES_LATCH_H

#include "recipes/answer.h"
#include "recipes/ops.h"

struct latch_count {
    struct slice path;
    uint32_t queue; /* the recipe node; RECIPE_NO_NODE if it is yet to be set */
    uint32_t count; /* what it says */
};

/* The answers have the count, now and before. */
enum recipe_verdict latch_set(const struct recipe_ops *ops, const struct latch_count *latch,
                              uint32_t count, struct recipe_answer *answer);
/* By so much, down to zero. */
enum recipe_verdict latch_count_down(const struct recipe_ops *ops,
                                     const struct latch_count *latch, uint64_t by,
                                     struct recipe_answer *answer);

#endif
