/* Quotas: how much a subtree may hold. Replicated as keys of SPACE_META, which COMMAND_QUOTA alone
 * writes (store/apply_quota.c):
 *
 *   "quota" + path  ->  "1048576 1000 80"   bytes, nodes, percent from which on it is warned of
 *
 * Decimal, without sign or leading zeros, one space between; 0 = no bound, no warning.
 *
 * A subtree is the node at the path and all below it, of whatever kind. Its nodes are counted, and
 * its bytes: of each node those of the whole path and those of the value. The path need not exist.
 *
 * A create, or a set of a larger value, is refused if afterwards the usage were above the bound of
 * any quota at or above it; quotas may be nested. What does not grow is never refused: deletion,
 * expiry, a value of at most the same size, however far the usage is above a bound that was
 * lowered; nor what happens by itself, as steps of rollouts and moves of shards, and rolling back.
 *
 * Usage is derived from the tree and not stored, but it is in the state's digest: so a snapshot is
 * not taken for whole unless what is counted anew from its nodes is what was counted step by step.
 * While there is no quota nothing is counted. */
#ifndef STORE_QUOTA_H
#define STORE_QUOTA_H

#include "store/command.h"

struct tree;

#define QUOTAS_MAX       ((uint32_t)1000)
#define QUOTA_KEY_PREFIX "quota"

struct quota_amount {
    uint64_t bytes;
    uint64_t nodes;
};

struct quota {
    struct slice path;
    uint64_t hash;             /* tree_hash of it */
    struct quota_amount limit; /* 0: none */
    struct quota_amount used;
    uint32_t soft_percent;
};

struct quotas {
    struct quota *items; /* in order of path; the paths are behind them */
    uint32_t *by_hash;   /* numbers of items in order of hash */
    uint32_t count;
};

enum quota_state {
    QUOTA_FREE,
    QUOTA_SOFT, /* one amount has reached soft_percent of its bound */
    QUOTA_FULL, /* one amount has reached its bound, or is above it */
};
enum quota_state quota_state(const struct quota *q);

/* ---- keys and values ---- */

bool quota_is_key(struct slice key);
/* The fields of a QUOTA; `err` names what is wrong. */
enum outcome quota_check(const struct command_quota *c, struct errmsg *err);

#define QUOTA_KEY_BYTES_MAX   (sizeof QUOTA_KEY_PREFIX + STORE_PATH_BYTES_MAX)
#define QUOTA_VALUE_BYTES_MAX ((size_t)64)
struct slice quota_key(struct slice path, uint8_t bytes[QUOTA_KEY_BYTES_MAX]);
struct slice quota_value(const struct command_quota *c, uint8_t bytes[QUOTA_VALUE_BYTES_MAX]);

/* ---- what there is ---- */

void quotas_close(struct quotas *q);
/* Reads the keys anew. Those that were there keep their usage; that of others is counted, in
 * O(nodes below). False, and nothing changed: one of them is not valid, or there are more than
 * QUOTAS_MAX. */
bool quotas_read(struct quotas *q, const struct tree *t) MUST_USE;
/* The quota of exactly this path, NULL: there is none. */
const struct quota *quotas_find(const struct quotas *q, struct slice path);
/* A part of the digest; 0 without quotas. */
uint64_t quotas_sum(const struct quotas *q);
/* Counts all usage anew, node by node; O(nodes). */
void quotas_check(const struct quotas *q, const struct tree *t);

/* ---- what changes (store/edit.c); nothing in other spaces ---- */

/* A node that is in the tree by now, or still. */
void quotas_add(struct quotas *q, const struct tree *t, uint32_t slot);
void quotas_remove(struct quotas *q, const struct tree *t, uint32_t slot);
/* Its value has changed from this size to that. */
void quotas_resize(struct quotas *q, const struct tree *t, uint32_t slot, size_t from_bytes,
                   size_t to_bytes);

/* ---- what fits ---- */

/* Whether every quota at or above the node leaves room for so much more. If not, `why` names the
 * nearest that does not; its subject is the quota's path, valid until quotas change. */
bool quotas_fit(const struct quotas *q, const struct tree *t, uint32_t slot,
                struct quota_amount more, struct refusal *why);
/* The same for a new value of the node, of so many bytes; one that does not grow always fits. */
bool quotas_fit_value(const struct quotas *q, const struct tree *t, uint32_t slot, size_t bytes,
                      struct refusal *why);
/* The same for the quota of exactly this path, if there is one: of a node yet to be made. */
bool quotas_fit_at(const struct quotas *q, struct slice path, uint64_t hash,
                   struct quota_amount more, struct refusal *why);

#endif
