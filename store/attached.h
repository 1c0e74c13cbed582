/* The nodes of a lease in path order: in which they are listed, and go. */
#ifndef STORE_ATTACHED_H
#define STORE_ATTACHED_H

#include "base/arena.h"
#include "lease/table.h"
#include "store/tree.h"

struct attached {
    struct slice path; /* in the arena */
    uint32_t slot;
};

/* Those whose path is behind `after` (empty: all). O(n log n) of all that are attached. */
uint32_t attached_in_order(const struct tree *t, const struct lease *l, struct slice after,
                           struct arena *arena, struct attached **out);

#endif
