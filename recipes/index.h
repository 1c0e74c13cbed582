/* Who holds what and who waits where: an index over the entries of recipes, in memory.
 *
 * Derived: it is made of what the nodes say (recipes/record.h) when a state is loaded, and follows
 * each change of theirs. It is in no digest and in no snapshot; store_check compares the two. So
 * nothing in it may decide anything by an order that a reload does not give back. Such an order
 * have: entries of one queue (that of their numbers; of candidates first that of their ranks),
 * waits of one owner (that of their parts).
 *
 *   queue   one recipe node that has entries: those who hold, those who wait, each in order
 *   owner   (lease, owner id): a line of execution, with what it holds and what it waits for; of
 *           each recipe one of its own: who waits to lead may take locks meanwhile. Counters, ids
 *           and latches have no queue: their node says it all
 *   entry   one node of a queue; names the queue and the owner
 *
 * Invariants: an owner of locks has at most one wait, which is one entry or all of one multi-lock;
 * in one queue an owner waits at most once, and has at most one candidate or party; queues and
 * owners live as long as they have entries.
 *
 * Nodes are named by an opaque number, not 0, of whoever keeps them. Pure; not thread safe. */
#ifndef RECIPES_INDEX_H
#define RECIPES_INDEX_H

#include "base/heap.h"
#include "base/id_map.h"
#include "base/list.h"
#include "recipes/record.h"

#define RECIPE_NO_NODE ((uint32_t)0)

struct recipe_queue {
    uint32_t node; /* RECIPE_NO_NODE: yet to be made */
    uint8_t recipe;
    uint32_t permits;           /* of a semaphore, else 0 */
    uint8_t policy;             /* of an election: these two */
    struct slice eligible;      /* owned */
    uint32_t parties;           /* of a barrier, else 0 */
    uint32_t leaving_count;     /* of those held: parties that wait for the others to leave */
    struct list held;           /* entries, by order */
    struct list waiting;        /* entries, by who comes next */
    struct list waiting_writes; /* of those, the ones in mode LOCK_WRITE */
    uint32_t held_count;
    uint32_t held_writes;
    uint64_t held_permits;
    uint32_t waiting_count;
    struct list dirty; /* in recipes.dirty, or alone: something went, somebody may come */
    /* For recipes/waits.c. */
    uint64_t mark;
    uint64_t stuck_permits;
    struct recipe_entry *cursor;
};

struct recipe_owner {
    uint8_t recipe;
    uint64_t lease;
    struct slice id; /* owned */
    uint64_t hash;
    struct recipe_owner *next; /* of the same hash */
    struct list holds;         /* entries */
    struct list waits;         /* entries, by part */
    uint32_t hold_count;
    uint32_t wait_count;
    /* For recipes/waits.c. */
    uint64_t mark;
    uint64_t seen;
    bool is_stuck;
    uint32_t open;
    uint32_t edges;
    struct recipe_owner *from;
    struct recipe_entry *wants;
    struct recipe_entry *blocker;
};

struct recipe_entry {
    uint32_t node;
    uint8_t state; /* these as in struct recipe_record */
    uint8_t mode;
    uint32_t permits;
    uint32_t count;
    uint32_t part;
    uint64_t group;
    uint64_t epoch;
    uint64_t hold_ms;
    uint64_t order; /* grows along a queue; compared within it only */
    uint64_t rank;  /* of a candidate: the highest comes next */
    bool is_eligible; /* those who are not come last */
    bool is_leaving;  /* of a party */
    struct recipe_queue *queue;
    struct recipe_owner *owner;
    struct list in_queue;
    struct list in_writes;
    struct list in_owner;
    struct heap_node due; /* at its deadline */
    /* For recipes/waits.c. */
    uint64_t mark;
    struct recipe_entry *write_before;
    uint32_t open;
};

struct waits_edge;

struct recipes {
    struct id_map queues;  /* by node */
    struct id_map entries; /* by node */
    struct id_map owners;  /* by salted hash */
    uint64_t salt;
    struct heap due;       /* entries by the cluster_ms at which they end */
    struct list dirty;     /* queues, in the order in which something went */
    uint64_t order;
    uint64_t entry_count;
    uint64_t queue_count; /* with a node */
    /* For recipes/waits.c. */
    uint64_t mark;
    struct waits_edge *edges;
    uint32_t edge_count;
    uint32_t edge_capacity;
    struct buf work;
};

#define ENTRY_IN_QUEUE(link) LIST_OF(link, struct recipe_entry, in_queue)
#define ENTRY_IN_OWNER(link) LIST_OF(link, struct recipe_entry, in_owner)

void recipes_init(struct recipes *r);
void recipes_close(struct recipes *r);

/* NULL if there is none. */
struct recipe_queue *recipe_queue_find(const struct recipes *r, uint32_t node);
struct recipe_entry *recipe_entry_find(const struct recipes *r, uint32_t node);
struct recipe_owner *recipe_owner_find(const struct recipes *r, uint8_t recipe, uint64_t lease,
                                       struct slice id);
/* The owner's entry in the queue: of those it holds the last, or the one that waits. It is looked
 * for in the shorter list, that of the owner or that of the queue. */
struct recipe_entry *recipe_owner_holds(const struct recipe_owner *o,
                                        const struct recipe_queue *q);
struct recipe_entry *recipe_owner_waits(const struct recipe_owner *o,
                                        const struct recipe_queue *q);

/* A queue without entries, which the first entry must follow. `node` may be RECIPE_NO_NODE. */
struct recipe_queue *recipe_queue_add(struct recipes *r, uint32_t node,
                                      const struct recipe_head *head);
/* An entry at the end of the queue, without a node. Its owner is made if there is none. */
struct recipe_entry *recipe_entry_add(struct recipes *r, struct recipe_queue *q, uint64_t lease,
                                      const struct recipe_record *record);
/* The nodes of an entry and its queue are there now. */
void recipe_entry_bind(struct recipes *r, struct recipe_entry *e, uint32_t queue, uint32_t node);
/* Frees it, and its queue and owner if it was their last. */
void recipe_entry_remove(struct recipes *r, struct recipe_entry *e);
/* It waited, and holds now. */
void recipe_entry_hold(struct recipes *r, struct recipe_entry *e, uint64_t epoch);
/* A party that is held waits for the others to leave. */
void recipe_entry_leave(struct recipe_entry *e);
/* A candidate says something else of itself; one that waits must be moved to its place then. */
void recipe_entry_rank(struct recipe_entry *e, const struct recipe_record *record);
void recipe_entry_move(struct recipe_entry *e);
/* For store_check: of entries of one queue that wait; whether the rank is that of the record. */
bool recipe_entry_comes_before(const struct recipe_entry *a, const struct recipe_entry *b);
bool recipe_entry_is_ranked(const struct recipe_entry *e, const struct recipe_record *record);
/* The election decides in another way; all its entries must be ranked again, then sorted. */
void recipe_queue_set(struct recipe_queue *q, const struct recipe_head *head);
void recipe_queue_sort(struct recipe_queue *q);
/* cluster_ms; 0 = none. */
void recipe_entry_due(struct recipes *r, struct recipe_entry *e, uint64_t deadline_ms);
/* Somebody may be granted what was not to be had. */
void recipe_queue_touch(struct recipes *r, struct recipe_queue *q);

static inline bool recipe_entry_is_due(const struct recipe_entry *e, uint64_t cluster_ms)
{
    return heap_contains(&e->due) && e->due.key <= cluster_ms;
}

static inline bool recipe_owner_is_waiting(const struct recipe_owner *o)
{
    return !list_empty(&o->waits);
}

#endif
