/* Rollouts in the tree: a record is a node below CONFIG_ROLLOUTS_NAME of its root, named after the
 * key, with slashes as "%2F". */
#ifndef STORE_ROLLOUTS_H
#define STORE_ROLLOUTS_H

#include "recipes/rollout.h"
#include "store/types.h"

struct store;

#define ROLLOUT_PATH_BYTES_MAX (4 * STORE_PATH_BYTES_MAX)
/* Of one root. At the start of one more, what is kept of the one that ended first goes; no more can
 * be started if none has. */
#define ROLLOUTS_MAX ((uint32_t)1000)

/* The path of the record of a key; empty: it would be too long, or the key is below no root. */
struct slice rollout_path(const struct store *s, struct slice key,
                          uint8_t bytes[ROLLOUT_PATH_BYTES_MAX]);
/* The other way round, by the path alone, so that it says the same of what was there before: the
 * key whose record a node there is; false: of none. The key may have no node. */
bool rollout_key(struct slice path, uint8_t bytes[STORE_PATH_BYTES_MAX], struct slice *key);
/* The record of a key; false: there is none. `revision` (may be NULL) is its modify revision. */
bool store_rollout_find(const struct store *s, struct slice key, struct rollout *out,
                        uint64_t *revision, struct arena *arena);

/* The record has values of the key: whoever the key's list keeps from them it keeps from it. Within
 * an edit that gives the key a list, or makes the record. */
void rollout_give_list(struct store *s, struct slice key, uint32_t acl);

/* Rollouts that a tick would move now; only their keys are made in `arena`. */
struct rollout_due {
    struct slice key;
    uint64_t revision; /* of the record */
};
size_t store_rollouts_due(const struct store *s, uint64_t cluster_ms, struct rollout_due *due,
                          size_t max, struct arena *arena);

#endif
