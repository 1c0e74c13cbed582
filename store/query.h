/* Reads. They change nothing and run on the loop against const state; results live in the given
 * arena and point into the store: use them before the next apply. */
#ifndef STORE_QUERY_H
#define STORE_QUERY_H

#include "base/arena.h"
#include "store/types.h"

struct store;
struct value;

enum query_type {
    QUERY_GET = 1,
    QUERY_EXISTS = 2,
    QUERY_LIST = 3,
    QUERY_LEASE = 4,   /* one lease, with the nodes attached to it, a page of them */
    QUERY_LEASES = 5,  /* leases in order of id, a page of them */
    QUERY_HISTORY = 6, /* changes of a node or subtree, a page of them */
    QUERY_ACL = 7,     /* a node's access control list */
    QUERY_QUEUE = 8,   /* of a recipe: who holds, then who waits, in the order in which they come;
                        * and the node's own value. A cursor that has gone is BAD_CURSOR */
    QUERY_LOCKS = 9,   /* locks at or below a path, in path order, a page of them; of a path that
                        * is not there: none */
    QUERY_WAITS = 10,  /* who waits because of whom, from a lock on (recipes/explain.h) */
};

#define QUERY_PAGE_BYTES_MAX ((size_t)2 << 20)
#define QUERY_PAGE_ENTRIES_MAX ((uint32_t)100000)
/* locks: how many nodes are looked at for one page. */
#define QUERY_PAGE_NODES_MAX ((uint32_t)100000)

struct query {
    uint8_t type;  /* enum query_type */
    uint8_t space; /* enum space */
    struct slice path;
    /* Who asks (store/acl.h, store/access.h). get, exists, list, queue, locks, waits and history
     * take ACL_READ on the node, or the outcome is NO_AUTH; acl takes ACL_READ or ACL_ADMIN. The
     * past is for those who may read the node now, if it is still there, and by the list that
     * the change had; history leaves out what they may not see. A lease is shown to its user
     * and to administrators. */
    struct slice identities;
    /* list: nodes below that the caller may not read are there by name, and not descended into */
    bool recursive; /* all descendants, depth first, in path order; else children in name order */
    bool with_data;
    bool with_stat;
    bool count_only; /* list: only how many there are behind `after`, whatever the limit */
    struct slice after; /* exclusive: continue behind this full path, empty = from the start */
    uint32_t limit;     /* entries, locks or waits, 0 = as many as fit QUERY_PAGE_BYTES_MAX */
    uint32_t depth;     /* recursive: levels below the path, 0 = all */
    /* get, exists: the node as of this revision, behind all its changes; 0 = now. COMPACTED when
     * it cannot be known any more: neither the change log nor a version chain reaches back so far,
     * nor is the node unchanged since. FUTURE_REVISION above the present. In the stat of then
     * children_revision, sequence_next, child_count, acl_version and acl are 0: history keeps the
     * versions of a node, not how many children or which lists it had meanwhile. */
    uint64_t revision;
    /* lease: its id. leases: those with an id above it, 0 = from the start. */
    uint64_t lease;
    uint8_t lease_kind; /* leases: enum lease_kind, 0 = all */
    bool lease_only;    /* lease: without its nodes, which cost time to bring in order */
    /* history: of the changes with revisions in [from_revision, to_revision] (0 = open), the
     * newest first when `newest_first`. A page begins behind (after_revision, after_sub) when
     * after_revision is not 0. `recursive` takes all descendants too (of a flat key: all that begin
     * with it). COMPACTED when to_revision is below the floor and no history policy covers the
     * path; FUTURE_REVISION when either lies above the present. */
    uint64_t from_revision;
    uint64_t to_revision;
    uint64_t after_revision;
    uint32_t after_sub;
    bool newest_first;
};

struct query_entry {
    struct slice path; /* full path; in the arena */
    struct slice data; /* with_data */
    bool null_data;
    struct value *value;   /* with_data: what `data` points into; value_ref keeps it */
    struct node_stat stat; /* always filled, unless unreadable */
    bool unreadable;       /* list: the caller may know the name, and nothing more */
};

struct query_lease {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t generation;
    uint64_t attached;   /* nodes */
    uint64_t granted_ms; /* wall clock, for display */
    uint8_t kind;        /* enum lease_kind */
    bool renewable;
    struct slice secret; /* only for those who check credentials: never sent to a client */
    struct slice owner;
    struct slice user; /* whose it is by authentication; empty: nobody's */
};

struct query_lock {
    struct slice path;
    uint32_t permits; /* of a semaphore, else 0 */
    uint32_t held;    /* entries */
    uint32_t waiting;
    const struct query_entry *first; /* of those who hold, with data; NULL: nobody, or unreadable */
};

struct recipe_wait; /* recipes/answer.h */

struct query_result {
    uint8_t outcome; /* enum outcome */
    uint64_t revision;
    uint64_t applied_index;
    uint64_t cluster_ms;
    struct node_stat stat; /* of the node at `path` */
    struct slice data;
    bool null_data;
    struct value *value; /* get: what `data` points into; value_ref keeps it */
    const struct query_entry *entries;
    uint32_t entry_count;
    bool more; /* the page ended before the list did */
    uint64_t counted; /* list: with count_only */
    /* lease: one, and its nodes as `entries` without data, in path order, after `after` */
    const struct query_lease *leases;
    uint32_t lease_count;
    /* history: as the change log, or a version chain, holds them */
    const struct change *const *changes;
    uint32_t change_count;
    uint64_t floor; /* history: below this revision only version chains are complete */
    /* history, if there is `more`: where the next page goes on, for after_revision and after_sub.
     * What a page looks at is bounded, so it may have few changes or none and yet not be the
     * last. */
    uint64_t next_revision;
    uint32_t next_sub;
    /* locks: those that the caller may read. What a page looks at is bounded, so it may have few
     * locks or none and yet not be the last: if there is `more`, `next` is for `after`. */
    const struct query_lock *locks;
    uint32_t lock_count;
    struct slice next;
    /* waits: between entries that the caller may read */
    const struct recipe_wait *waits;
    uint32_t wait_count;
    /* acl: the list (store/acl.h), in the arena. Who may not administer it is not shown the hashes
     * of digests in it. */
    struct slice acl;
    bool may_admin;
};

void store_query(const struct store *s, const struct query *q, struct query_result *result,
                 struct arena *arena);

#endif
