/* What really happened: every change and every lease, taken from whichever node is the first to
 * have applied it, after each of its turns.
 *
 * The judge of sessions and watchers. It has its own, naive idea of the rules: of the tree that
 * the changes make, of what a watch has to show, of when nodes go by themselves. That all nodes
 * have the same state at the same index is checked in cluster.c; so one look at each is enough.
 *
 *   - a lease that is gone never comes back
 *   - at every index looked at, a lease has just the ephemeral nodes that the changes gave it,
 *     and ephemeral nodes whose lease is gone do not exist
 *   - what is attached to a lease goes in one revision, with one reason, and only with it
 *   - a container or a recipe's node goes only once it is emptied, a TTL node only childless and
 *     past its time
 */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "base/arena.h"
#include "store/history.h"
#include "tests/sim/cluster.h"

#define ORACLE_LISTENERS_MAX 3

struct oracle_value {
    uint64_t hash;
    size_t bytes;
};

struct oracle_change {
    uint64_t revision;
    uint32_t sub;
    uint8_t type;   /* enum change_type */
    uint8_t reason; /* enum change_reason */
    uint8_t space;
    uint8_t kind;
    uint64_t session;
    uint64_t lease;
    uint64_t ttl_ms;
    uint64_t cluster_ms;
    uint64_t modify_revision;
    struct slice path;
    struct oracle_value data;
    struct oracle_value old;
};

struct oracle_lease {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t generation;
    uint8_t kind;
    uint32_t attached;     /* by the changes */
    uint64_t gone_index;   /* 0: it is there */
    uint64_t gone_us;      /* when that was seen first */
    uint64_t end_revision; /* in which its nodes went, 0 = it had none, or they are there */
    uint8_t end_reason;
};

/* A node of the tree as the changes make it. */
struct oracle_node {
    struct slice path;
    uint64_t path_hash;
    uint64_t lease;
    uint64_t ttl_ms;
    uint64_t modified_ms; /* cluster time */
    uint64_t modify_revision;
    struct oracle_value data;
    uint32_t children;
    uint8_t kind;
    bool had_child;
};

struct oracle {
    struct cluster *cluster;
    struct arena arena;
    struct oracle_change *changes;
    size_t change_count;
    struct oracle_lease *leases;
    size_t lease_count;
    struct oracle_node *nodes;
    size_t node_count;
    uint64_t revision; /* all changes up to it are here */
    uint64_t index;
    uint64_t compacted; /* times that the floor was seen to have risen */
    uint64_t floor;
    uint64_t expired;
    uint64_t reaped;
    struct {
        void (*gone)(void *context, const struct oracle_lease *lease);
        void *context;
    } listeners[ORACLE_LISTENERS_MAX];
    size_t listener_count;
    struct {
        void (*changed)(void *context, const struct change *change);
        void *context;
    } followers[ORACLE_LISTENERS_MAX];
    size_t follower_count;
    bool is_past; /* what it takes is no life of a cluster: nobody is told */
};

/* Listens to the cluster from now on. */
void oracle_init(struct oracle *o, struct cluster *c);
void oracle_close(struct oracle *o);
/* `gone` is told of every lease that is gone, with its reason if it had nodes. */
void oracle_listen(struct oracle *o,
                   void (*gone)(void *context, const struct oracle_lease *lease),
                   void *context);

/* `changed` is told of each change in order, with its values. */
void oracle_follow(struct oracle *o,
                   void (*changed)(void *context, const struct change *change), void *context);

/* Forgets what came after that index, which had this revision. */
void oracle_rewind(struct oracle *o, uint64_t index, uint64_t revision);
/* Takes over what a state shows that no node has: nobody is told of it. */
void oracle_take(struct oracle *o, const struct store *s);
/* The same with one that has begun a new life: its change log begins where that does. */
void oracle_reborn(struct oracle *o, const struct store *s, uint64_t revision);

/* NULL: never seen. */
const struct oracle_lease *oracle_lease(const struct oracle *o, uint64_t id);
/* The first change of this revision or a later one: a place in `changes`. */
size_t oracle_seek(const struct oracle *o, uint64_t revision);
/* Whether `path` was ever created as a node of this lease. */
bool oracle_was_created(const struct oracle *o, const char *path, uint64_t lease);

struct oracle_value oracle_value_of(struct slice bytes);
static inline bool oracle_value_is(const struct oracle_value *v, struct slice bytes)
{
    struct oracle_value other = oracle_value_of(bytes);
    return v->hash == other.hash && v->bytes == other.bytes;
}

/* The tree after `revision`, in path order; a new array of `*count` nodes for the caller. */
struct oracle_node *oracle_tree_at(const struct oracle *o, uint64_t revision, size_t *count);

/* Containers that have been emptied, and TTL nodes that are childless, are there. */
size_t oracle_due_count(const struct oracle *o);
/* Leases that are there, and the longest time that one of them has. */
size_t oracle_lease_count(const struct oracle *o);
uint64_t oracle_ttl_max_ms(const struct oracle *o);

/* At a healthy end: the whole of what a node has is what the changes say. */
void oracle_check_node(struct oracle *o, uint32_t node);

#endif
