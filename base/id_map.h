/* A hash map from 64-bit ids to pointers: lookup only, never walked, so that no order of it can
 * leak into what is replicated. Open addressing, at most three quarters full. Ids may be chosen by
 * anybody (base/salt.h).
 *
 * A zeroed map is empty and valid. Not thread safe. */
#ifndef BASE_ID_MAP_H
#define BASE_ID_MAP_H

#include <stddef.h>
#include <stdint.h>

struct id_map_slot {
    uint64_t id;
    void *value; /* NULL: the slot is free */
};

struct id_map {
    struct id_map_slot *slots;
    size_t count;
    size_t capacity; /* a power of two, or 0 */
    uint64_t salt;
};

void id_map_close(struct id_map *m); /* frees the map, not what it points to */

void *id_map_get(const struct id_map *m, uint64_t id); /* NULL if it is not there */
/* Adds or replaces. `value` is not NULL. */
void id_map_set(struct id_map *m, uint64_t id, void *value);
void *id_map_remove(struct id_map *m, uint64_t id); /* what was there, or NULL */

#endif
