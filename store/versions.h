/* Version chains: the changes of nodes under a history policy, kept after they left the change log.
 *
 * A chain has the changes of one path, without a gap from its oldest one to where the log begins:
 * a change joins its chain when the log drops it, and leaves when
 *
 *   - the chain has more than the policy's number of versions: its oldest goes;
 *   - all chains together are above VERSIONS_BYTES_MAX: the oldest of all goes;
 *   - a policy has changed: a sweep, a bounded piece per command, drops what is too much.
 *
 * So a deleted node keeps its chain, its delete included, under the same rules. All of this depends
 * on the commands applied and on nothing else; chains and the place of the sweep are replicated.
 * Values are shared with the change log and the records. */
#ifndef STORE_VERSIONS_H
#define STORE_VERSIONS_H

#include "store/history.h"

struct policies;

#define VERSIONS_BYTES_MAX ((uint64_t)256 << 20)
/* What an entry is said to cost besides what the change did in the log: its place in the chain, in
 * the order of all, and its share of both. Replicated behaviour: not sizeof. */
#define VERSION_COST_BYTES ((uint64_t)128)
/* Entries that the sweep looks at per command: about a millisecond. */
#define VERSIONS_SWEEP_MAX ((uint32_t)1024)
#define VERSIONS_SWEPT     UINT64_MAX /* no sweep is under way */

/* Order of all changes: by revision, then sub. */
struct version_key {
    uint64_t revision;
    uint32_t sub;
};

int version_key_compare(struct version_key a, struct version_key b);

struct version;

struct version_chain {
    struct version_chain *next; /* in the hash bucket */
    struct version **entries;   /* oldest first: [begin, end) */
    uint32_t begin;
    uint32_t end;
    uint32_t capacity;
    uint32_t place; /* its salted hash, which the bucket goes by */
    uint8_t space;
    uint32_t path_bytes;
    uint8_t path[];
};

struct version {
    struct version_chain *chain;
    struct change change; /* identities and note behind it, the path is the chain's */
};

/* The key beside the pointer, which is NULL where an entry has gone from the middle. */
struct version_cell {
    struct version_key key;
    struct version *version;
};

/* Told about an entry that is about to leave. */
typedef void (*versions_evict_fn)(void *context, const struct change *c);

struct versions {
    struct version_cell *cells; /* all entries in order: [begin, end) */
    size_t begin;
    size_t end;
    size_t capacity;
    size_t holes;
    struct version_chain **buckets; /* linear hashing, as in store/tree.c */
    uint32_t bucket_count;
    uint32_t bucket_capacity;
    uint64_t salt; /* of the buckets */
    uint32_t chain_count;
    uint64_t bytes;
    uint64_t sum; /* of the hashes */
    struct version_key sweep; /* next entry to look at; revision VERSIONS_SWEPT: none */
    versions_evict_fn evict; /* may be NULL */
    void *evict_context;
};

void versions_init(struct versions *v);
void versions_close(struct versions *v);

/* A change leaves the log: keeps a copy that shares its values; `keep` versions of its path stay.
 * Later than all that are here. */
void versions_add(struct versions *v, const struct change *c, uint32_t keep);

/* The policies have changed. */
void versions_sweep_begin(struct versions *v);
/* Once per command. */
void versions_sweep(struct versions *v, const struct policies *p);

/* The chain of a path, or NULL. Its entries, oldest first, and the first one not before a key. */
const struct version_chain *versions_chain(const struct versions *v, uint8_t space,
                                           struct slice path);
static inline uint32_t version_chain_count(const struct version_chain *c)
{
    return c->end - c->begin;
}
static inline const struct change *version_chain_at(const struct version_chain *c, uint32_t i)
{
    return &c->entries[c->begin + i]->change;
}
uint32_t version_chain_seek(const struct version_chain *c, struct version_key key);

/* Entries of all chains by position in [begin, end); the change there, or NULL. Positions are valid
 * until the next change of the store. */
size_t versions_seek(const struct versions *v, struct version_key key);
static inline const struct change *versions_at(const struct versions *v, size_t position)
{
    const struct version *e = v->cells[position].version;
    return e == NULL ? NULL : &e->change;
}

/* Loading: changes in any order, then into theirs. False if chains cannot have been like this. */
void versions_load(struct versions *v, const struct change *c);
bool versions_seal(struct versions *v, uint64_t history_floor);
/* Makes entries share equal values with each other and with what followed in the log. */
void versions_share(struct versions *v, struct history *h);

/* Order, chains, sums. */
void versions_check(const struct versions *v);

#endif
