/* COMMAND_RECIPE: what the files that carry it out share. */
#ifndef STORE_APPLY_RECIPE_H
#define STORE_APPLY_RECIPE_H

#include "recipes/answer.h"
#include "store/command.h"
#include "store/queues.h"

enum outcome recipe_outcome(enum recipe_verdict verdict, const struct queues_lent *lent);
/* The recipe's node at a path, which takes `right` (enum acl_permission). One that is not there yet
 * is checked when it is made: RECIPE_NO_NODE. */
enum outcome recipe_head_find(struct store *s, uint8_t recipe, struct slice path, uint8_t right,
                              uint32_t *queue, struct recipe_head *head);

/* apply_counter.c: counters, ids and latches. */
enum outcome apply_counter(struct store *s, const struct command_recipe *asked,
                           const struct recipe_ops *ops, struct queues_lent *lent,
                           struct recipe_answer *answer);

#endif
