#include "recipes/settle.h"

#include "base/mutant.h"
#include "recipes/barrier.h"
#include "recipes/election.h"
#include "recipes/lock.h"
#include "recipes/waits.h"

void recipes_settle(struct recipes *r, const struct recipe_ops *ops)
{
    struct list *at;
    while ((at = list_pop_front(&r->dirty)) != NULL) {
        struct recipe_queue *q = LIST_OF(at, struct recipe_queue, dirty);
        if (q->recipe == RECIPE_ELECTION) {
            election_settle(r, ops, q);
        } else if (q->recipe == RECIPE_BARRIER) {
            barrier_settle(r, ops, q);
        } else if (!MUTANT_IS(MUTANT_LOCK_NOT_HANDED_OVER)) {
            lock_settle(r, ops, q);
        }
    }
}

bool recipe_entry_is_unsettled(const struct recipe_entry *e)
{
    if (e->queue->recipe == RECIPE_BARRIER) {
        return barrier_is_unsettled(e->queue);
    }
    if (e->state != ENTRY_WAITING) {
        return false;
    }
    return e->queue->recipe == RECIPE_ELECTION
               ? e->queue->held_count == 0 && e->is_eligible
               : waits_request_is_grantable(e->owner);
}
