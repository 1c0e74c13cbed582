/* Hand-over: what has come to be had goes to those who wait for it, in the same revision. Pure. */
#ifndef RECIPES_SETTLE_H
#define RECIPES_SETTLE_H

#include "recipes/ops.h"

/* At the end of each command that took something away. */
void recipes_settle(struct recipes *r, const struct recipe_ops *ops);
/* Whether an entry waits for what nobody is in the way of: never, behind that. */
bool recipe_entry_is_unsettled(const struct recipe_entry *e);

#endif
