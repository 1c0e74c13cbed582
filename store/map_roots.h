/* Where the shard maps are: an index over nodes, for the leader, who looks after all of them.
 * It is kept as the changes of nodes go, forth and back. For store/ only; others ask
 * store/maps.h. */
#ifndef STORE_MAP_ROOTS_H
#define STORE_MAP_ROOTS_H

#include "store/store.h"

struct map_roots {
    uint32_t *slots;
    uint32_t count;
    uint32_t capacity;
};

void map_roots_close(struct map_roots *m);
/* A node has come (back), or goes; nothing if it is not the root of a map. */
void map_roots_note(struct store *s, uint32_t slot);
void map_roots_forget(struct store *s, uint32_t slot);
void map_roots_rebuild(struct store *s);
void map_roots_check(const struct store *s);

#endif
