/* What a command answered. Slices and arrays live in the store's reply arena: valid until the next
 * store_apply. The encoded form is what the reply cache keeps and what snapshots hold. */
#ifndef STORE_REPLY_H
#define STORE_REPLY_H

#include "base/arena.h"
#include "base/pack.h"
#include "base/status.h"
#include "store/types.h"

struct op_list_entry {
    struct slice name; /* one component */
    struct node_stat stat;
};

struct op_result {
    uint8_t type;    /* enum op_type */
    uint8_t outcome; /* enum outcome */
    bool null_data;
    struct slice path; /* create: the real path, with the sequence number */
    struct slice data; /* get */
    struct node_stat stat;  /* create, set, get: after the operation */
    uint64_t count;    /* recursive delete: nodes removed, or that would be */
    const struct op_list_entry *entries; /* list */
    uint32_t entry_count;
};

/* What GRANT, RESUME, REVOKE and EXPIRE answer. */
struct lease_result {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t generation;
    uint64_t removed;    /* REVOKE, EXPIRE: nodes that went with it */
    struct slice secret; /* GRANT, RESUME of a session */
};

/* What became of one target of an ACQUIRE. */
struct recipe_place_result {
    struct slice path; /* of its entry */
    uint64_t revision; /* at which that was created: with the path it guards what is held */
    bool held;         /* else it waits */
    uint32_t count;    /* how often its owner has it */
    uint64_t epoch;    /* held: the revision of the grant */
    uint64_t position; /* waiting: so many wait ahead of it */
};

struct recipe_wait; /* recipes/lock.h */

/* What an ACQUIRE answers. */
struct recipe_result {
    const struct recipe_place_result *places;
    uint32_t place_count;
    struct slice text; /* refused: why, with names */
    const struct recipe_wait *cycle; /* OUTCOME_DEADLOCK */
    uint32_t cycle_count;
    uint32_t cycle_length; /* of which the first are told */
    uint64_t number;       /* of a counter: its value, now and before */
    uint64_t before;
};

struct reply {
    uint8_t outcome;     /* OUTCOME_OK, or that of the failing operation */
    bool took_then;      /* the guards held */
    bool repeated;       /* served from the reply cache: nothing was executed now */
    uint64_t revision;   /* of the store after the command */
    uint64_t index;      /* log index it was applied at */
    uint32_t failed_op;  /* number of the failing operation, when outcome is not OK */
    const struct op_result *results; /* one per operation of the branch taken */
    uint32_t result_count;
    bool has_lease;
    struct lease_result lease; /* has_lease */
    struct refusal refusal;    /* enum bound says of which outcomes */
    bool has_recipe;
    struct recipe_result recipe; /* has_recipe */
};

void reply_encode(struct buf *b, const struct reply *r);
/* Slices point into the input, arrays into `arena`. */
enum status reply_decode(struct slice bytes, struct reply *r, struct arena *arena) MUST_USE;
/* Of what reply_encode made, without the rest. */
enum outcome reply_outcome(struct slice bytes);

#endif
