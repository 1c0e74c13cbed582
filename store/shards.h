/* Shard maps as nodes: reading and writing what they say (recipes/shard_record.h), and what becomes
 * of them when the session of a node ends.
 *
 * A map is a node of kind NODE_MAP with directories of that kind below it. Only the
 * roots are indexed (store/map_roots.h): all else is read off the nodes when it is needed, so
 * nothing has to be loaded, taken back or compared. What that costs when a node is lost is one pass
 * over the texts of its map.
 *
 * For store/ only. */
#ifndef STORE_SHARDS_H
#define STORE_SHARDS_H

#include "recipes/shard_move.h"
#include "store/store.h"

/* Whether the slot, which may be TREE_NONE, is of kind NODE_MAP. */
bool shards_is_map(const struct store *s, uint32_t slot);
/* A node of a map, or a member of one: only a COMMAND_SHARD changes it. */
bool shards_own(const struct store *s, uint32_t slot);
/* Whether the node is a shard, and under which epoch its assignment is: what a guard asks for. */
bool shards_epoch(const struct store *s, uint32_t slot, uint64_t *epoch);

/* How much a node has said to have to do in all. */
struct shard_work {
    uint32_t stats; /* its node in the directory of that name */
    uint64_t qps;
};

/* A map that is being worked on. */
struct shard_map {
    struct store *store;
    uint32_t root;
    uint32_t nodes; /* directories */
    uint32_t stats;
    uint32_t shards;
    uint32_t moves;
    uint32_t keys; /* TREE_NONE unless it is a directory */
    struct shard_spec spec;
    struct shard_work *work; /* of all, by node; made when the first is asked for */
    uint32_t work_count;
};

bool shard_map_open(struct store *s, uint32_t root, struct shard_map *map);
struct shard_world shard_map_world(struct shard_map *map, uint64_t shard);

/* Below a directory of the map; TREE_NONE if there is none. */
uint32_t shard_map_find(const struct shard_map *map, uint32_t dir, struct slice name);
uint32_t shard_map_shard(const struct shard_map *map, uint64_t number);
uint32_t shard_map_move(const struct shard_map *map, uint64_t number);
/* A node below `parent`, by name or, with a prefix that ends with '-', by the next number. */
uint32_t shard_map_make(struct store *s, uint32_t parent, struct slice name, uint8_t kind,
                        uint64_t lease, struct slice value);
/* The same with what a client asks to be kept, under a name; one that is there is set.
 * OUTCOME_QUOTA: there is no room. */
enum outcome shard_map_put(struct store *s, uint32_t parent, struct slice name, uint8_t kind,
                           uint64_t lease, struct slice value);
uint32_t shard_map_count(const struct store *s, uint32_t dir); /* its children */
/* All children of a directory, in the arena: they may be deleted meanwhile. */
uint32_t *shard_map_children(struct store *s, uint32_t dir, uint32_t *count);

/* False: what the node says is damaged. What is read stays as it is when the node changes. */
bool shard_read(struct store *s, uint32_t slot, struct shard_record *r);
bool shard_move_read(struct store *s, uint32_t slot, struct shard_move *m);
void shard_write(struct store *s, uint32_t slot, const struct shard_record *r);
/* One that is done goes. */
void shard_move_write(struct store *s, uint32_t slot, const struct shard_move *m);

/* Begins moves of the queue, as many as may be under way. */
void shard_map_settle(struct shard_map *map);
/* Nodes of the map have gone (`nodes` is put in order); one has come, or the policy is another
 * one. */
void shard_map_lose(struct shard_map *map, struct slice *nodes, uint32_t node_count);
void shard_map_welcome(struct shard_map *map);

/* A lease ends: an ephemeral is about to be deleted; and then all that went. */
struct shards_lost;
void shards_forget(struct store *s, uint32_t slot, struct shards_lost **lost);
void shards_lose(struct store *s, const struct shards_lost *lost);

#endif
