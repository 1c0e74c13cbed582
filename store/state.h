/* The state machine's insides, for the files of store/ only. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "lease/table.h"
#include "recipes/index.h"
#include "store/access.h"
#include "store/acl.h"
#include "store/acl_table.h"
#include "store/auth.h"
#include "store/edit.h"
#include "store/history.h"
#include "store/map_roots.h"
#include "store/policy.h"
#include "store/quota.h"
#include "store/replies.h"
#include "store/store.h"
#include "store/tree.h"
#include "store/versions.h"

/* More members than this cannot disagree before somebody replaced them all. */
#define DIVERGED_MAX ((uint32_t)1024)

struct store_load;

struct diverged {
    uint64_t member;
    uint64_t index; /* of the first disagreement that concerns it */
};

struct store {
    /* Replicated: all of it is in the digest and in snapshots. */
    struct tree tree;
    struct history history;
    struct versions versions;
    struct replies replies;
    struct lease_table leases; /* with the reply windows of sessions */
    struct acl_table acls;
    uint64_t revision;
    uint64_t cluster_ms;
    uint32_t level;
    struct diverged *diverged; /* by member */
    uint32_t diverged_count;
    /* The log position that all this stands for: in snapshots, not in the digest. */
    uint64_t applied_index;
    /* Local. */
    struct slab_heap *values; /* the memory of all struct value */
    uint64_t node_sum; /* of the digest items of all nodes */
    struct recipes recipes; /* who holds and who waits, by what nodes of recipes say */
    struct heap reap; /* nodes to be removed, by the cluster_ms at which they are due */
    struct map_roots map_roots; /* where shard maps are */
    struct policies policies; /* what keys of SPACE_META mean */
    struct auth auth;         /* the same of users and roles */
    struct quotas quotas;     /* and of quotas, with what is used of them */
    struct refusal refusal;   /* of the operation that is being applied; its subject may go with
                               * the next change */
    struct access access;     /* the caller of the command that is being applied */
    struct edit edit;
    struct store_scan *scan; /* NULL: none is under way */
    uint64_t scan_count;     /* scans that were begun */
    struct arena arena;      /* of the current reply */
    struct buf scratch;
    struct store_load *load; /* NULL: the store is sealed, or never was loaded */
};

/* An empty store, not even with a root. */
struct store *store_alloc(void);

/* Keys that are policies have changed: what they mean is read anew. False: they are not valid,
 * which only damaged rows can make them. */
bool policies_changed(struct store *s) MUST_USE;

/* Whether a list, NULL being the open one, lets these identities do one of these things. */
static inline bool acl_list_may(const struct acl_list *l, uint32_t permissions,
                                struct slice identities)
{
    return l == NULL || acl_allows(acl_list_slice(l), permissions, identities);
}
/* Whether the list of a node lets the caller; TREE_NONE is open, as are roots of flat spaces. */
static inline bool access_node(const struct access *a, uint32_t slot, uint32_t rights)
{
    return access_list(a, rights, tree_node(&a->store->tree, slot)->acl);
}

/* The member's cell, or where it belongs. */
uint32_t diverged_seek(const struct store *s, uint64_t member);
/* Marks a member; the first mark stays. */
void diverged_mark(struct store *s, uint64_t member, uint64_t index);

#endif
