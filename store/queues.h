/* The queues of recipes within the store: the index that recipes work with (recipes/index.h), made
 * of the nodes and kept with them.
 *
 * A node of kind NODE_RECIPE is a lock or its like; its children, ephemerals with names from the
 * parent's counter, are its queue. What both say is in recipes/record.h. Only COMMAND_RECIPE makes
 * and changes them (store/apply_recipe.c); leases and times that end take entries away. */
#ifndef STORE_QUEUES_H
#define STORE_QUEUES_H

#include "base/status.h"
#include "recipes/ops.h"
#include "store/store.h"

/* Name of an entry, before its number. */
#define QUEUE_ENTRY_PREFIX "q-"

/* Whether a plain delete of a node is refused: it is an entry, or a recipe's node with entries. */
bool queues_protect(const struct store *s, uint32_t slot);
/* Whether plain changes of its value or list are. */
bool queues_protect_value(const struct store *s, uint32_t slot);
/* Whether a create of this kind is refused below a node: below a recipe are its entries. */
bool queues_protect_below(const struct store *s, uint32_t slot, uint8_t kind);

/* An ephemeral is about to be deleted, because its lease ends: if it is an entry, what it held or
 * waited for can be somebody else's at queues_settle. */
void queues_forget(struct store *s, uint32_t slot);
/* Grants what went to those who wait for it. Before the edit is committed. */
void queues_settle(struct store *s);

/* The time of an entry has come. */
void queues_reap(struct store *s, const struct apply_context *context, const struct command *c,
                 uint32_t slot);
/* Whether the node is an entry whose time has come. */
bool queues_is_due(const struct store *s, uint32_t slot);

/* What apply lends to recipes; `outcome` says why an operation refused. */
struct queues_lent {
    struct store *store;
    enum outcome outcome;
};
void queues_lend(struct store *s, struct queues_lent *lent, struct recipe_ops *ops);

/* Loading: all nodes. RC_CORRUPT if they say what cannot be. */
enum status queues_load(struct store *s, struct errmsg *err) MUST_USE;
/* The index has just what the nodes say, and nobody waits for what could be granted. O(nodes). */
void queues_check(const struct store *s);

#endif
