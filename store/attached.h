/* The nodes of a lease in path order: in which they are listed, and go. */
#ifndef STORE_ATTACHED_H
#define STORE_ATTACHED_H

#include "base/arena.h"

struct lease;
struct store;
struct tree;

struct attached {
    struct slice path; /* in the arena */
    uint32_t slot;
};

/* Those whose path is behind `after` (empty: all). O(n log n) of all that are attached. */
uint32_t attached_in_order(const struct tree *t, const struct lease *l, struct slice after,
                           struct arena *arena, struct attached **out);
/* All of the lease with this id, none if there is no such lease; whatever the caller may see of
 * them (store/access.h). Valid until the next store_apply. */
uint32_t store_attached(const struct store *s, uint64_t lease, struct arena *arena,
                        struct attached **out);

#endif
