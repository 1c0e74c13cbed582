/* The children of one node, ordered bytewise by name.
 *
 * A sorted list of slots cut into chunks of at most CHILDREN_CHUNK_MAX: four bytes a child when
 * they are created in order, about six in random order. Names live in the nodes. Positions are
 * valid until the next insert or remove.
 */
#ifndef STORE_CHILDREN_H
#define STORE_CHILDREN_H

#include "base/slice.h"

struct tree;
struct children_chunk;

struct children {
    struct children_chunk **chunks;
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    uint32_t count;
};

struct children_position {
    uint32_t chunk;
    uint32_t offset;
};

void children_close(struct children *c);
/* The caller has made sure that the name is not there yet. */
void children_insert(struct children *c, const struct tree *t, uint32_t slot);
void children_remove(struct children *c, const struct tree *t, uint32_t slot);

/* The first child whose name is >= `name`, or > `name` when `behind`. O(log n). */
struct children_position children_seek(const struct children *c, const struct tree *t,
                                       struct slice name, bool behind);
/* The child of that name, or TREE_NONE. O(log n). */
uint32_t children_find(const struct children *c, const struct tree *t, struct slice name);
/* The slot there, TREE_NONE at the end; steps to the next one. */
uint32_t children_next(const struct children *c, struct children_position *position);

#endif
