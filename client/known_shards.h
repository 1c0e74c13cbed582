/* A shard map as it is known: what its nodes say, and which shard a key belongs to. Pure: it is
 * told what the nodes below the map's path are (client/shards.c). Without memory a call returns
 * false and all is as it was. */
#ifndef CLIENT_KNOWN_SHARDS_H
#define CLIENT_KNOWN_SHARDS_H

#include "client/pick.h"
#include "client/shards.h"

/* Where a node of the map is. */
enum shard_kind { SHARD_OF_MAP = 0, SHARD_NODE, SHARD_MOVE_NODE, SHARD_KEY, SHARD_KINDS };

struct shard_entry {
    char *name; /* of the node; what follows it in one piece of memory is its text */
    char *path;
    const char **names; /* replicas or tags */
    union {
        struct coord_shard shard;
        struct coord_shard_node node;
        struct coord_move move;
        uint32_t key_shard;
    };
};

struct shard_table {
    struct shard_entry **at; /* by name */
    size_t count;
    size_t capacity;
};

struct known_shards {
    enum coord_shard_strategy strategy;
    uint64_t slots;
    struct shard_table tables[SHARD_KINDS];
    struct shard_entry **order; /* HASH, RANGE: by where they begin */
    struct pick ring;
    bool is_settled; /* `order` or `ring` is as the shards are */
};

void known_shards_close(struct known_shards *m);
/* What the map's own node says. False: it is none. */
bool known_shards_spec(struct known_shards *m, const char *text, size_t bytes);
/* A node is there, or says another thing. */
bool known_shards_put(struct known_shards *m, enum shard_kind kind, const char *path,
                      const char *text, size_t bytes);
void known_shards_remove(struct known_shards *m, enum shard_kind kind, const char *path);
void known_shards_clear(struct known_shards *m, enum shard_kind kind);
/* NULL: nowhere, or no memory. */
const struct coord_shard *known_shards_locate(struct known_shards *m, const void *key,
                                              size_t bytes);
const struct shard_entry *known_shards_find(const struct known_shards *m, enum shard_kind kind,
                                            const char *name);
const struct coord_shard *known_shards_shard(const struct known_shards *m, uint32_t number);

#endif
