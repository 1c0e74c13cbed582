/* Shard maps for clients of coord: where a key is, and what a node of such a map has to do. Part
 * of libcoord; see client.h for what holds for all of it, and docs/shards.md.
 *
 * A map is held here whole: it is read once and then follows what changes, over failures of any
 * member, and again when it was refused for a while; whatever fails, what it knew stays known. It
 * may be behind what the cluster has decided. That does no harm where writes are guarded by the
 * shard's epoch; and whoever learns of a higher epoch than it knows waits for that one
 * (coord_shards_await). */
#ifndef CLIENT_SHARDS_H
#define CLIENT_SHARDS_H

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

enum coord_shard_strategy {
    COORD_SHARDS_HASH = 1,      /* slot = CRC-32C of the key, modulo the slots */
    COORD_SHARDS_RANGE = 2,     /* by the order of bytes */
    COORD_SHARDS_DIRECTORY = 3, /* each key for itself */
    COORD_SHARDS_RING = 4,      /* the next point on a ring */
};

/* Strings are "" if they are not known, never NULL. */
struct coord_shard {
    uint32_t number;
    const char *path;   /* of its node: with the epoch a guard (coord_shard_guard) */
    uint64_t epoch;     /* 0: it is nowhere yet */
    const char *leader; /* "": nobody leads it */
    const char *awaits; /* then: who led it last, if all who have it were lost */
    const char *const *replicas;
    size_t replica_count;
    uint64_t low; /* HASH: its slots, both inclusive */
    uint64_t high;
    const char *low_key;  /* RANGE: in hexadecimal; "": from the begin */
    const char *high_key; /* exclusive; "": to the end */
    uint64_t weight;      /* RING */
};

/* A node that takes part. */
struct coord_shard_node {
    const char *name;    /* letters, digits and any of . _ : -, at most 64 */
    const char *address; /* whatever its clients need */
    const char *zone;    /* joining: may be NULL */
    const char *const *tags;
    size_t tag_count;
    uint64_t weight;            /* its share, relative to others'. Joining: 0 = 100 */
    bool drains;                /* takes nothing new, and is to be left */
    uint64_t capacity_bytes;    /* 0: not limited */
    uint64_t capacity_replicas; /* 0: not limited */
    uint64_t priority;
};

enum coord_move_kind {
    COORD_MOVE_REPLICA = 1,
    COORD_ADD_REPLICA = 2,
    COORD_DROP_REPLICA = 3,
    COORD_LEAD_REPLICA = 4,
};

/* docs/shards.md has the diagram. */
enum coord_move_state {
    COORD_MOVE_QUEUED = 1,
    COORD_MOVE_PREPARING = 2,
    COORD_MOVE_COPYING = 3,
    COORD_MOVE_CATCHING_UP = 4,
    COORD_MOVE_SWITCHING = 5,
    COORD_MOVE_CLEANING_UP = 6,
    COORD_MOVE_DONE = 7, /* for reports alone: then it is gone */
};

struct coord_move {
    uint64_t number;
    uint32_t shard;
    enum coord_move_kind kind;
    enum coord_move_state state;
    const char *from;
    const char *to;
    const char *cleans; /* CLEANING_UP: who removes what it has */
    const char *why;
    uint64_t progress_permille;
    uint64_t bytes;
    uint64_t rate; /* bytes a second that it may take; 0: not limited */
    bool held;
    bool aborted;
};

struct coord_shards;

/* Zero everywhere is the default. */
struct coord_shards_options {
    bool moves; /* follow those too */
    /* There is something for coord_shards_update, after it had nothing. NULL = not told. */
    void (*ready)(void *context, struct coord_shards *shards);
    void *context;
};

/* Waits until the map is known whole, at most for the client's timeout. `options` may be NULL. The
 * client must outlive its maps. COORD_NOT_FOUND: there is none. Free with coord_shards_close. */
enum coord_code coord_shards_open(struct coord_client *client, const char *path,
                                  const struct coord_shards_options *options,
                                  struct coord_shards **shards, struct coord_error *error);
void coord_shards_close(struct coord_shards *shards); /* NULL is fine */

/* Takes in what has arrived, and waits at most so long for something; inside a callback it does not
 * wait. True: something has changed. What was looked at before is not valid any more. */
bool coord_shards_update(struct coord_shards *shards, uint32_t timeout_ms);
/* Waits until an epoch of the shard as high as this is known: for who was told of one, or
 * refused with COORD_GUARD_STALE under a lower one. COORD_OK, COORD_TIMEOUT, COORD_NOT_FOUND:
 * there is no such shard (any more). Inside a callback it is COORD_INVALID where it would have to
 * wait: look again (coord_shards_find) when `ready` tells of something. */
enum coord_code coord_shards_await(struct coord_shards *shards, uint32_t shard, uint64_t epoch,
                                   uint32_t timeout_ms, struct coord_error *error);

enum coord_shard_strategy coord_shards_strategy(const struct coord_shards *shards);
/* The shard of a key, by what is known; NULL: a directory has no such key. Valid until the
 * next call that waits or updates, as all that follows. */
const struct coord_shard *coord_shards_locate(struct coord_shards *shards, const void *key,
                                              size_t bytes);
/* What HASH makes of a key. */
uint64_t coord_shard_slot(const void *key, size_t bytes, uint64_t slots);
size_t coord_shards_count(const struct coord_shards *shards);
const struct coord_shard *coord_shards_at(const struct coord_shards *shards, size_t at);
const struct coord_shard *coord_shards_find(const struct coord_shards *shards, uint32_t number);
size_t coord_shards_node_count(const struct coord_shards *shards);
const struct coord_shard_node *coord_shards_node_at(const struct coord_shards *shards,
                                                    size_t at);
/* NULL: it is away. */
const struct coord_shard_node *coord_shards_node(const struct coord_shards *shards,
                                                 const char *name);
size_t coord_shards_move_count(const struct coord_shards *shards);
const struct coord_move *coord_shards_move_at(const struct coord_shards *shards, size_t at);
/* For writes on behalf of a shard: refused (COORD_REFUSED) as soon as its epoch is another one. */
struct coord_guard coord_shard_guard(const struct coord_shard *shard);

/* ---- for nodes ---------------------------------------------------------------------------- */

/* Under `lease` (0: the client's session), as long as that lives. Again: what it says of itself is
 * another thing. COORD_EXISTS: the name is taken by somebody else's session. */
enum coord_code coord_shard_join(struct coord_client *client, const char *path,
                                 const struct coord_shard_node *node, uint64_t lease,
                                 struct coord_error *error);
enum coord_code coord_shard_leave(struct coord_client *client, const char *path,
                                  const char *node, struct coord_error *error);
/* How far a move is: the state that it has, or the next. COORD_REFUSED: it has not come to
 * that. */
enum coord_code coord_shard_report(struct coord_client *client, const char *path,
                                   const char *node, uint64_t move, enum coord_move_state state,
                                   uint32_t progress_permille, struct coord_error *error);

struct coord_shard_stats {
    uint32_t shard;
    uint64_t rows;
    uint64_t bytes;
    uint64_t qps;
    uint64_t position; /* how far its copy is: comparable between replicas of one shard */
};
/* Of all its shards, in the order of their numbers. */
enum coord_code coord_shard_tell(struct coord_client *client, const char *path,
                                 const char *node, const struct coord_shard_stats *stats,
                                 size_t count, struct coord_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
