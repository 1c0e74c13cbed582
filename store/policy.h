/* What of the past is kept: how much of it the change log holds, and which subtrees have version
 * chains besides. Replicated as keys of SPACE_META, which ordinary commands write:
 *
 *   "history" + path  ->  "100"                      versions of every node at or below the path
 *   "config" + path   ->  "100", "100 open"          the path is a configuration root, which keeps
 *                                                    so many versions too (store/config.h)
 *   "retention"       ->  "67108864 3600000 10000"   bytes, age in ms, revisions of the change log
 *
 * Decimal, without sign or leading zeros, one space between. Without the key: no chains, and the
 * default. A malformed value is refused where it is written; this file has what the present keys
 * mean, read anew when one of them changes.
 *
 * Clients do not write SPACE_META: a front end builds these commands out of calls of its own. */
#ifndef STORE_POLICY_H
#define STORE_POLICY_H

#include "base/status.h"
#include "store/history.h"

struct tree;

#define POLICY_COUNT_MAX    ((uint32_t)1000)
#define POLICY_VERSIONS_MAX ((uint32_t)100000)

#define RETENTION_BYTES_MIN     ((uint64_t)1 << 20)
#define RETENTION_BYTES_MAX     ((uint64_t)512 << 20)
#define RETENTION_AGE_MS_MIN    ((uint64_t)1000)
#define RETENTION_AGE_MS_MAX    ((uint64_t)30 * 24 * 3600 * 1000)
#define RETENTION_REVISIONS_MAX ((uint64_t)10000000)

#define POLICY_HISTORY_PREFIX "history"
#define POLICY_CONFIG_PREFIX  "config"
#define POLICY_RETENTION_KEY  "retention"

/* A history policy, a configuration root, or both. */
struct policy {
    struct slice path;
    uint32_t versions;
    uint64_t root_revision; /* of a root: its key's modify revision; 0 = it is none */
    uint64_t root_created;  /* and its create revision */
    uint32_t root_versions; /* as its key says; a history policy of the same path goes before */
    bool is_open;           /* a root below which plain writes are let in */
};

struct policies {
    struct retention retention;
    struct policy *items; /* in order of path */
    uint32_t count;
    uint32_t root_count; /* of them so many are configuration roots */
};

/* Whether a key of SPACE_META is one of these. */
bool policy_is_key(struct slice key);
bool policy_is_history(struct slice key);
bool policy_is_root(struct slice key);
/* The path in such a key. */
struct slice policy_path(struct slice key);
/* Whether such a key may have this value; OK for all other keys. `err` names what is wrong. */
enum outcome policy_check(struct slice key, struct slice value, struct errmsg *err);

/* Writes a key and a value, for whoever builds the command. */
#define POLICY_KEY_BYTES_MAX   (sizeof POLICY_HISTORY_PREFIX + STORE_PATH_BYTES_MAX)
#define POLICY_VALUE_BYTES_MAX ((size_t)64)
struct slice policy_key(struct slice path, uint8_t bytes[POLICY_KEY_BYTES_MAX]);
struct slice policy_value(uint32_t versions, uint8_t bytes[POLICY_VALUE_BYTES_MAX]);
struct slice policy_root_key(struct slice path, uint8_t bytes[POLICY_KEY_BYTES_MAX]);
struct slice policy_root_value(uint32_t versions, bool is_open,
                               uint8_t bytes[POLICY_VALUE_BYTES_MAX]);
struct slice retention_value(const struct retention *r, uint8_t bytes[POLICY_VALUE_BYTES_MAX]);

void policies_init(struct policies *p); /* the default */
void policies_close(struct policies *p);
/* Reads the keys anew. False, and nothing changed: one of them is not valid, or there are more than
 * POLICY_COUNT_MAX. */
bool policies_read(struct policies *p, const struct tree *t) MUST_USE;
/* Whether there is no room for one more history policy or configuration root in the tree. */
bool policies_are_full(const struct tree *t);

/* Versions to keep of a node: those of the policy at it, or the nearest above it; 0 = none. */
uint32_t policies_versions(const struct policies *p, uint8_t space, struct slice path);
/* Whether some policy covers the path, or with `recursive` anything below it. */
bool policies_cover(const struct policies *p, struct slice path, bool recursive);

/* The configuration root at the path, or above it; NULL if there is none. */
const struct policy *policies_root(const struct policies *p, struct slice path);
/* Whether there is one at the path, or below it. */
bool policies_has_root_below(const struct policies *p, struct slice path);

#endif
