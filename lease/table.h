/* The replicated table of leases and sessions: who may own ephemeral nodes, until when nobody
 * knows. Deadlines are the leader's volatile matter (lease/keeper.h); this table changes by log
 * commands only, is part of the digest and of snapshots, and knows no clock.
 *
 * Nodes are attached by slot, an opaque number of the store's that is not 0; a lease does not look
 * at them, and they count in no digest: the nodes say themselves whose they are. */
#ifndef LEASE_TABLE_H
#define LEASE_TABLE_H

#include <stdbool.h>

#include "base/slice.h"
#include "lease/lease.h"
#include "lease/window.h"

#define LEASE_COUNT_MAX ((uint64_t)1000000)

struct lease {
    uint64_t id;
    uint64_t ttl_ms;
    /* Of a session moved by every resume, of a plain lease the log index of its grant, or 0 at
     * level 1: an EXPIRE of another one is void. */
    uint64_t generation;
    uint64_t granted_ms; /* wall clock, for display */
    uint8_t kind;        /* enum lease_kind */
    bool renewable;
    uint8_t secret[LEASE_SECRET_BYTES];
    struct slice owner;         /* owned */
    struct slice user;          /* owned: whose it is, by authentication; empty: nobody's */
    struct window *window;      /* LEASE_SESSION, else NULL: remembered replies by sequence */
    uint32_t *attached;         /* slots, as a hash set: cells of 0 are empty */
    uint32_t attached_count;    /* of slots */
    uint32_t attached_capacity; /* of cells */
    uint64_t hash;              /* private: its part of the digest */
    uint64_t scan;              /* local: the snapshot scan that has it or need not have it */
};

struct lease_chunk;

/* How many are a user's; of nobody's it is not counted. */
struct lease_count {
    struct slice user; /* owned */
    uint64_t count;    /* not 0 */
};

/* Sorted by id, cut into chunks: found in O(log n), walked in order. */
struct lease_table {
    struct lease_chunk **chunks;
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    uint64_t count;
    uint64_t sum; /* of the hashes */
    struct windows windows;
    struct lease_count *by_user; /* in order of user */
    uint32_t user_count;
    uint32_t user_capacity;
};

void lease_table_init(struct lease_table *t);
void lease_table_free(struct lease_table *t);

/* NULL if there is none. Valid until it is removed. */
struct lease *lease_table_find(const struct lease_table *t, uint64_t id);
/* The lease with the next higher id, NULL at the end. */
struct lease *lease_table_next(const struct lease_table *t, uint64_t after);

/* Leases and sessions of this user. */
uint64_t lease_table_count_of(const struct lease_table *t, struct slice user);

/* A copy of `what`, whose id is free, with nothing attached; of a session with an empty window. */
struct lease *lease_table_add(struct lease_table *t, const struct lease *what);
/* A session changes hands. */
void lease_table_resume(struct lease_table *t, struct lease *l, uint64_t ttl_ms);
/* It is somebody else's from now on. */
void lease_table_give(struct lease_table *t, struct lease *l, struct slice user);
/* Frees it with its window. */
void lease_table_remove(struct lease_table *t, struct lease *l);

/* O(1). A slot is attached at most once, and detached only if it is. */
void lease_attach(struct lease *l, uint32_t slot);
void lease_detach(struct lease *l, uint32_t slot);
bool lease_has_attached(const struct lease *l, uint32_t slot);
/* Walks the slots, in no order that means anything, from `*cell` 0 on; 0 at the end. */
uint32_t lease_next_attached(const struct lease *l, uint32_t *cell);

/* In time that does not tell how much of it is right. */
bool lease_secret_matches(const struct lease *l, struct slice secret);

/* Order, counts, hashes and windows. O(everything). */
void lease_table_check(const struct lease_table *t);

#endif
