/* What apply lends to recipes: the nodes behind the index, for the length of one command.
 *
 * A recipe decides by the index (recipes/index.h), then changes nodes through these, then the
 * index. Only the two that make nodes can refuse (the caller may not, a limit): the recipe then
 * leaves the index as it was, and apply takes the whole command back. Everything a recipe tells is
 * made in `arena`. Pure. */
#ifndef RECIPES_OPS_H
#define RECIPES_OPS_H

#include "recipes/index.h"

struct recipe_ops {
    void *context;
    struct arena *arena;
    uint64_t revision; /* of the changes: the epoch of what is granted now */
    uint64_t cluster_ms;
    uint64_t wall_ms;

    struct slice (*path)(void *context, uint32_t node); /* in the arena */
    struct slice (*read)(void *context, uint32_t node); /* until the node changes */
    bool (*may_read)(void *context, uint32_t node);     /* the caller, as things are */
    void (*set)(void *context, uint32_t node, struct slice value);
    void (*remove)(void *context, uint32_t node);
    /* A recipe node with this value, with parents as far as they are missing; or, if there is one
     * without a queue, this value for it. RECIPE_NO_NODE: refused. */
    uint32_t (*make_queue)(void *context, struct slice path, struct slice value);
    uint32_t (*make_entry)(void *context, struct slice path, uint64_t lease,
                           struct slice value);
    /* Says in the change log that what follows happens because something else went. */
    void (*begin_grants)(void *context);
};

#endif
