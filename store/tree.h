/* The records: (space, key) -> node, found by hash, children in order under their parent.
 *
 * Nodes live in slabs and are named by slot, which stays the same over a node's life and is reused
 * after it. Slots are local: they never reach a reply, a row or the digest. A directory's fields
 * (`struct dir`) exist only for TTL nodes and nodes that ever had a child. A flat space hangs below
 * a hidden root: its keys are children whose name is the whole key.
 *
 * This file keeps the structure; which revision or counter a change moves is store/edit.c's matter.
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "base/buf.h"
#include "base/heap.h"
#include "store/children.h"
#include "store/types.h"
#include "store/value.h"

#define TREE_NONE ((uint32_t)0) /* no slot */
#define NODE_INLINE_NAME_MAX ((size_t)16)

/* Deterministic by design, a little above what malloc really takes. */
#define NODE_COST_BYTES ((uint64_t)128)

struct dir {
    struct children children;
    uint32_t expected; /* while loading: child_count of the row, checked when sealed */
    uint64_t sequence_next;
    uint64_t children_revision;
    uint64_t ttl_ms;     /* of a NODE_TTL, which always has a dir */
    uint64_t touched_ms; /* of a NODE_TTL: cluster_ms of its create or last set */
    /* Local: its place among the nodes that are due (store/reap.h). */
    struct heap_node due;
    uint32_t slot; /* in the heap: the node's own */
};

enum node_bits {
    NODE_KIND_MASK = 7,
    NODE_FREE = 8,        /* the slot holds no node */
    NODE_HIDDEN = 16,     /* root of a flat space */
    NODE_PLACEHOLDER = 32 /* while loading: an ancestor whose row has not come yet */
};

struct node {
    uint64_t path_hash; /* tree_hash of the full path */
    struct value *value;
    uint64_t create_revision;
    uint64_t modify_revision;
    uint64_t create_ms;
    uint64_t modify_ms;
    union {
        struct dir *dir; /* NULL: never had a child, and no NODE_TTL */
        uint64_t lease;  /* of a NODE_EPHEMERAL, which never has one */
    };
    uint32_t parent;
    uint32_t chain; /* next in the hash bucket, or in the free list */
    uint32_t place; /* its salted hash, which the bucket goes by */
    uint32_t version;
    uint32_t acl_version;
    uint32_t acl;
    uint16_t name_bytes;
    uint8_t space;
    uint8_t bits;
    union {
        uint8_t inline_name[NODE_INLINE_NAME_MAX];
        uint8_t *long_name;
    };
};

struct tree {
    struct node **slabs;
    uint32_t slab_count;
    uint32_t slab_capacity;
    uint32_t slot_end; /* slots 1 .. slot_end - 1 have been used */
    uint32_t free_slots;
    uint32_t *buckets; /* linear hashing: grows by one bucket at a time, never all at once */
    uint32_t bucket_count;
    uint32_t bucket_capacity;
    uint64_t salt; /* of the places alone: the hash of a path is part of the digest */
    uint32_t roots[3]; /* by tree_root */
    uint64_t node_count;
    uint64_t bytes; /* NODE_COST_BYTES each, plus names that are not inline, plus values */
};

#define TREE_SLAB_SHIFT 12
#define TREE_SLAB_NODES ((uint32_t)1 << TREE_SLAB_SHIFT)

void tree_init(struct tree *t); /* with hidden roots, without "/" */
void tree_close(struct tree *t);
/* While it is empty: so many nodes will come, up to TREE_RESERVE_MAX, and the hash need not grow
 * for them. */
#define TREE_RESERVE_MAX ((uint64_t)1 << 26)
void tree_reserve(struct tree *t, uint64_t nodes);

static inline struct node *tree_node(const struct tree *t, uint32_t slot)
{
    return &t->slabs[slot >> TREE_SLAB_SHIFT][slot & (TREE_SLAB_NODES - 1)];
}

static inline struct slice node_name(const struct node *n)
{
    return slice_make(n->name_bytes <= NODE_INLINE_NAME_MAX ? n->inline_name : n->long_name,
                      n->name_bytes);
}

static inline uint8_t node_kind_of(const struct node *n)
{
    return n->bits & NODE_KIND_MASK;
}

static inline struct dir *node_dir(const struct node *n)
{
    return node_kind_of(n) == NODE_EPHEMERAL ? NULL : n->dir;
}

bool space_is_valid(uint8_t space);
bool space_is_flat(uint8_t space);

uint64_t tree_hash(uint8_t space, struct slice path);

/* TREE_NONE if there is none. Any bytes may be asked for. */
uint32_t tree_find(const struct tree *t, uint8_t space, struct slice path);

/* The root of a space: "/" (TREE_NONE while there is none) or the hidden one. */
uint32_t tree_root(const struct tree *t, uint8_t space);

/* Makes a node in a slot and links it under `parent` (TREE_NONE: "/" itself). All fields but the
 * identity are zero; `kind` decides which half of the union counts. */
struct tree_key {
    uint8_t space;
    uint8_t kind;
    uint32_t parent;
    struct slice path; /* the whole */
    uint64_t hash;     /* tree_hash of it */
    uint64_t lease;    /* of a NODE_EPHEMERAL, else 0 */
    uint64_t ttl_ms;   /* of a NODE_TTL, for store/edit.c */
    uint32_t acl;      /* the id of its list, for store/edit.c */
};
uint32_t tree_add(struct tree *t, const struct tree_key *key);

/* Out of hash and parent, but the slot and everything in it stay. */
void tree_unlink(struct tree *t, uint32_t slot);
void tree_relink(struct tree *t, uint32_t slot);
void tree_release(struct tree *t, uint32_t slot); /* of an unlinked node: frees it all */

struct dir *tree_dir(struct tree *t, uint32_t slot); /* made if missing */
void tree_set_value(struct tree *t, uint32_t slot, struct value *v); /* takes v, drops the old */

/* Last component of a path; for a flat key the whole. */
struct slice path_last(uint8_t space, struct slice path);
/* "/a/b" -> "/a", "/a" -> "/"; of "/" itself and of flat keys: empty. */
struct slice path_parent(uint8_t space, struct slice path);
/* The order of a walk depth first: by components, so '/' comes before every other byte. */
int path_order(struct slice a, struct slice b);

size_t tree_path_bytes(const struct tree *t, uint32_t slot);
void tree_path_write(const struct tree *t, uint32_t slot, uint8_t *to); /* that many bytes */
void tree_stat(const struct tree *t, uint32_t slot, struct node_stat *out);

/* The whole structure, with order and counters; O(nodes). */
void tree_check(const struct tree *t);

#endif
