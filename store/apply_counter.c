/* COMMAND_RECIPE of recipes without a queue: counters, ids, latches. To change one takes write on
 * it, or create where there is none. */
#include "recipes/counter.h"
#include "recipes/latch.h"
#include "store/apply_recipe.h"
#include "store/state.h"

static enum recipe_verdict change(const struct command_recipe *asked,
                                  const struct recipe_ops *ops, uint32_t queue,
                                  const struct recipe_head *head, struct recipe_answer *answer)
{
    struct slice path = asked->targets[0].path;
    struct latch_count latch = {.path = path, .queue = queue, .count = head->count};
    struct counter_add add = {
        .path = path,
        .queue = queue,
        .head = *head,
        .delta = (int64_t)asked->number,
        .low = (int64_t)asked->low,
        .high = (int64_t)asked->high,
    };
    switch (asked->action) {
    case RECIPE_CONFIGURE: return latch_set(ops, &latch, (uint32_t)asked->number, answer);
    case RECIPE_COUNT_DOWN: return latch_count_down(ops, &latch, asked->number, answer);
    default: return counter_add(ops, &add, answer);
    }
}

enum outcome apply_counter(struct store *s, const struct command_recipe *asked,
                           const struct recipe_ops *ops, struct queues_lent *lent,
                           struct recipe_answer *answer)
{
    struct recipe_head head = {.recipe = asked->recipe};
    uint32_t queue;
    enum outcome outcome = recipe_head_find(s, asked->recipe, asked->targets[0].path, ACL_WRITE,
                                            &queue, &head);
    if (outcome == OUTCOME_OK && queue == RECIPE_NO_NODE) {
        outcome = asked->action == RECIPE_COUNT_DOWN ? OUTCOME_NO_NODE : OUTCOME_OK;
    }
    return outcome != OUTCOME_OK
               ? outcome
               : recipe_outcome(change(asked, ops, queue, &head, answer), lent);
}
