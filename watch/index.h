/* Which watches look at a path: found without a look at any other watch.
 *
 * A hash table of entries, one for each (scope, space, path) that is watched. A change asks for
 *
 *   NODE       its own path
 *   CHILDREN   the path of its parent
 *   SUBTREE    its own path and that of each ancestor
 *   PREFIX     as many of its first bytes as some prefix has: lengths in use are counted
 *
 * and asks only for scopes that somebody uses. An entry has one chain of watches for each lane, so
 * that LIVE and BEHIND watches are found apart, and changing lanes is cheap. The table grows by a
 * bucket at a time, never all at once. */
#ifndef WATCH_INDEX_H
#define WATCH_INDEX_H

#include "watch/watch.h"

enum lane { LANE_LIVE = 0, LANE_BEHIND = 1, LANE_COUNT = 2 };

struct index_entry;

struct watch_index {
    struct index_entry **buckets;
    size_t bucket_count;
    size_t bucket_capacity;
    uint64_t salt;
    size_t entry_count;
    size_t scopes[LANE_COUNT][WATCH_PREFIX + 1]; /* watches */
    uint32_t *prefixes; /* by length, of all spaces and lanes; NULL: never was one */
    size_t prefix_longest;
    size_t bytes; /* of memory taken */
};

void watch_index_init(struct watch_index *x);
void watch_index_close(struct watch_index *x); /* it is empty */

/* By w->filter, which stays as it is while the watch is in. */
void watch_index_add(struct watch_index *x, struct watch *w, enum lane lane);
void watch_index_remove(struct watch_index *x, struct watch *w, enum lane lane);

/* `level`: how many levels the path is below that of a SUBTREE watch; else 0. */
typedef void (*watch_index_fn)(void *context, struct watch *w, uint32_t level);

/* Calls `fn` once for each watch in the lane whose scope has the path: NODE, CHILDREN, then from
 * the root down. `fn` leaves the index alone. */
void watch_index_find(const struct watch_index *x, enum lane lane, uint8_t space,
                      struct slice path, watch_index_fn fn, void *context);

#endif
