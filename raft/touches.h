/* Ids of leases whose clients are alive, each once, in the order in which they came. A zeroed set
 * is empty and valid; it may be moved by assignment. */
#ifndef RAFT_TOUCHES_H
#define RAFT_TOUCHES_H

#include <stdbool.h>

#include "base/id_map.h"

struct touches {
    uint64_t *ids;
    size_t count;
    size_t capacity;
    struct id_map index; /* what is in `ids` */
};

void touches_close(struct touches *t); /* leaves it empty */
void touches_add(struct touches *t, uint64_t id);
bool touches_has(const struct touches *t, uint64_t id);
/* Moves the first `max` from `from` to `to`, which is empty. */
void touches_take(struct touches *to, struct touches *from, size_t max);
/* Moves all of `earlier` in front of what is in `t`. */
void touches_put_back(struct touches *t, struct touches *earlier);

#endif
