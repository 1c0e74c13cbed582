/* Who waits because of whom: the wait-for graph from one lock on, for people to look at.
 *
 * It is the graph of recipes/waits.h, seen from a read: nothing is marked in the index, which the
 * state machine works with; what was passed is kept beside it. An edge goes from an entry that
 * waits to one that is in its way. Where one entry stands for others, those ahead of it are not
 * told again: behind a write that waits there is only that, and of permits the one directly ahead.
 * Pure. */
#ifndef RECIPES_EXPLAIN_H
#define RECIPES_EXPLAIN_H

#include "base/arena.h"
#include "recipes/waits.h"

struct explain_asked {
    uint32_t limit; /* edges */
    /* Entries that are not to be seen: their edges are left out, and not followed. */
    bool (*may_see)(void *context, const struct recipe_entry *e);
    void *context;
};

/* The edges of those who wait in the queue, in order, then of all whom these wait for, and so on;
 * of a multi-lock all parts. The work is bounded as in recipes/waits.h: `more` says that there are
 * more than these. */
uint32_t lock_explain(const struct recipe_queue *q, const struct explain_asked *asked,
                      struct arena *arena, struct waits_link **links, bool *more);

#endif
