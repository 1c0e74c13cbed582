/* Counters, and ids that are given out in blocks. Both are one number in the recipe's own node:
 * there is no queue, and nobody waits.
 *
 *             add, refused if it would pass a bound
 *              +--+
 *              v  |
 *   add ---> VALUE ---> gone: deleted, as plain nodes are
 *
 * A counter goes up and down between the bounds that each request brings: what it adds never takes
 * the value beyond its upper bound, what it takes away never below its lower one. Ids only go up:
 * the value is the last one given out, and blocks begin behind it.
 *
 * Invariants:
 *   - a refused request changes nothing: there is no half of a block;
 *   - the value is that of all adds that were answered, each once;
 *   - blocks of ids never overlap, as long as the node is there: with the revision that created it,
 *     which goes with each answer, an id is unique for ever.
 *
 * Pure. */
#ifndef RECIPES_COUNTER_H
#define RECIPES_COUNTER_H

#include "recipes/answer.h"
#include "recipes/ops.h"

struct counter_add {
    struct slice path;
    uint32_t queue;          /* the recipe node, or RECIPE_NO_NODE if there is none yet */
    struct recipe_head head; /* what it says; if there is none yet, which recipe it is to be */
    int64_t delta;           /* of ids: how many, from 1 on */
    int64_t low;             /* bounds of the value */
    int64_t high;
};

/* RECIPE_LIMIT: a bound would be passed. The answer has the value, now and before, and the node. */
enum recipe_verdict counter_add(const struct recipe_ops *ops, const struct counter_add *asked,
                                struct recipe_answer *answer);

#endif
