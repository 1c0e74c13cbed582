/* Walking the tree for reads: depth first, in path order, as far as the caller may read. */
#ifndef STORE_QUERY_WALK_H
#define STORE_QUERY_WALK_H

#include "store/access.h"
#include "store/query.h"
#include "store/tree.h"

/* Depth first below `top`, or its children only: `parent` and `position` say where the next sibling
 * is, `last` whose children come before it. */
struct query_walk {
    const struct tree *tree;
    const struct access *access; /* who may read what: other nodes are not descended into */
    bool asks_roles;             /* they may say of a node what they do not say of the top */
    uint32_t top;
    bool recursive;
    uint32_t depth; /* how many levels down; 0: all */
    uint32_t level; /* how far `parent` is below the top */
    uint32_t parent;
    struct children_position position;
    uint32_t last; /* TREE_NONE: nothing to descend into */
};

const struct children *query_children(const struct tree *t, uint32_t slot);
bool query_may_read(const struct query_walk *w, uint32_t slot);
/* TREE_NONE: that was all. */
uint32_t query_walk_next(struct query_walk *w);
/* Moves behind a path below the top, whose path is `top`, whether or not there still is such a
 * node. False, and nothing is moved: it is not below. */
bool query_walk_seek(struct query_walk *w, struct slice top, struct slice after);
/* What a read tells of a node; its path is made in the arena. */
void query_walk_entry(const struct query_walk *w, uint32_t slot, bool with_data,
                      struct arena *arena, struct query_entry *e);

#endif
