/* The tree as ZooKeeper clients must see it: each path with its Stat after every revision, made of
 * the changes that the oracle has taken from the log; and what a write has to answer there.
 *
 * A naive idea of the rules, in ZooKeeper's words: it shares no code with the store or with
 * net/zookeeper. */
#ifndef TESTS_SIM_ZK_TREE_H
#define TESTS_SIM_ZK_TREE_H

#include "base/id_map.h"
#include "net/zookeeper/packet.h"
#include "tests/sim/oracle.h"

#define ZK_PATH_BYTES 48
#define ZK_OPS_MAX    4

/* A path from a revision on. */
struct zk_state {
    uint64_t revision;
    bool exists;
    uint8_t kind; /* enum node_kind */
    uint64_t czxid;
    uint64_t mzxid;
    uint64_t pzxid;
    uint64_t owner;   /* of an ephemeral */
    uint64_t creates; /* of children, ever */
    uint32_t children;
    uint32_t version;
    struct oracle_value data;
};

struct zk_path {
    struct slice path;
    size_t parent; /* its place, or its own: the root */
    struct zk_state *states;
    size_t count;
};

struct zk_tree {
    const struct oracle *oracle;
    size_t taken; /* of the oracle's changes */
    struct zk_path *paths;
    size_t count;
    struct id_map by_hash; /* place + 1 */
};

/* One operation of a request. */
struct zk_op {
    int32_t type; /* enum zk_type */
    char path[ZK_PATH_BYTES];
    int32_t version;
    int32_t flags;  /* creates: enum zk_create_flags */
    uint64_t value; /* its data names it */
    bool watch;
};

/* What it answers. */
struct zk_result {
    char path[ZK_PATH_BYTES + 12];
    struct zk_state state;
};

void zk_tree_init(struct zk_tree *t, const struct oracle *o);
void zk_tree_close(struct zk_tree *t);
/* Takes what the oracle has learnt since. */
void zk_tree_follow(struct zk_tree *t);

/* `path` after `revision`; one that does not exist if it never did. */
struct zk_state zk_tree_at(const struct zk_tree *t, const char *path, uint64_t revision);
/* Names of the children then, in order: places in t->paths, for the caller to free. */
size_t *zk_tree_children(const struct zk_tree *t, const char *path, uint64_t revision,
                         size_t *count);
uint32_t zk_tree_descendants(const struct zk_tree *t, const char *path, uint64_t revision);

bool zk_op_is_create(const struct zk_op *op);
bool zk_op_is_sequential(const struct zk_op *op);
bool zk_op_changes(const struct zk_op *op);
/* The data of an operation. Returns its size. */
size_t zk_op_data(const struct zk_op *op, char text[32]);

/* What these operations of `session` do to the tree after `revision`, all or nothing. On failure
 * `*failed` is the one that fails. */
enum zk_error zk_tree_try(const struct zk_tree *t, uint64_t revision, uint64_t session,
                          const struct zk_op *ops, size_t count, struct zk_result *results,
                          size_t *failed);
/* Whether `changes`, those of one revision, are what the operations do, if they succeed. */
bool zk_ops_made(const struct zk_op *ops, size_t count, const struct oracle_change *changes,
                 size_t change_count);

#endif
