/* Random commands for a store and its model: mostly about what there is, and such that do
 * something. */
#ifndef TESTS_SUPPORT_STORE_MODEL_DRAW_H
#define TESTS_SUPPORT_STORE_MODEL_DRAW_H

#include "base/rng.h"
#include "tests/support/store_kit.h"
#include "tests/support/store_model.h"

#define DRAFT_OPS_MAX 5

struct draft { /* the memory of a random command; lists and callers are filled once */
    char paths[3 * DRAFT_OPS_MAX][MODEL_PATH_BYTES];
    char data[3 * DRAFT_OPS_MAX][MODEL_DATA_BYTES];
    struct buf lists[MODEL_LISTS + 1];
    struct buf callers[MODEL_CALLERS];
    uint8_t caller;
    uint32_t used;
    struct op then_ops[DRAFT_OPS_MAX];
    struct op else_ops[DRAFT_OPS_MAX];
    struct guard guards[DRAFT_OPS_MAX];
};

/* Valid until the next one is drawn from `d`. */
struct command draft_command(struct rng *rng, struct draft *d, const struct kit *k,
                             const struct model *m);

#endif
