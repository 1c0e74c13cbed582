/* Shard maps for those who look after them: which there are, and copies of what they say, so
 * that a plan can be made off the loop. */
#ifndef STORE_MAPS_H
#define STORE_MAPS_H

#include "base/arena.h"
#include "store/store.h"

/* The path of the map number `at`, in the arena; their order changes as maps come and go.
 * Empty: it was the last. */
struct slice store_map_path(const struct store *s, uint32_t at, struct arena *arena);

/* What one node of a map says (recipes/shard_record.h). */
struct map_text {
    struct slice name;
    struct slice text;
    uint64_t number; /* of a shard or a move */
};

struct map_texts {
    struct map_text *at; /* by name */
    uint32_t count;
};

struct map_copy {
    uint64_t revision;  /* as of which: the base of a plan */
    /* The last at which the policy changed, a member said something of itself, or members, shards
     * or moves came or went. */
    uint64_t structure;
    struct slice path;
    struct slice spec;
    struct map_texts members;
    struct map_texts stats;
    struct map_texts shards;
    struct map_texts moves;
};

/* Copies all of it into the arena. False: there is no map at the path. */
bool store_map_copy(const struct store *s, struct slice path, struct arena *arena,
                    struct map_copy *out);

#endif
