/* What recipes do with an entry and its node alike. Pure. */
#ifndef RECIPES_ENTRY_H
#define RECIPES_ENTRY_H

#include "recipes/answer.h"
#include "recipes/ops.h"

/* What its node says, and saying something else. */
void entry_read(const struct recipe_ops *ops, const struct recipe_entry *e,
                struct recipe_record *record);
void entry_write(const struct recipe_ops *ops, const struct recipe_entry *e,
                 const struct recipe_record *record);
/* Where a new entry goes. */
struct entry_site {
    struct slice path; /* of the queue */
    uint64_t lease;
    uint32_t queue; /* its node; RECIPE_NO_NODE: it is to be made, and comes out here */
    uint32_t node;  /* comes out: that of the entry */
};
/* Makes the node of an entry, and before it that of its queue: if there is none, or `head` says
 * something else than it (NULL: it does not). False: there is no room for one of them. */
bool entry_make(const struct recipe_ops *ops, struct entry_site *site,
                const struct recipe_head *head, const struct recipe_record *record);
/* Removes both; somebody else may come. */
void entry_go(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e);
/* So long from now on, in cluster_ms; 0 stays 0. */
uint64_t entry_deadline(const struct recipe_ops *ops, uint64_t duration_ms);
/* What a command answers of it. `position` is the caller's. */
void entry_place(const struct recipe_entry *e, struct recipe_place *place);

/* Whether the caller may be told whose entry it is, and of which queue: who may read both. */
bool entry_is_told(const struct recipe_ops *ops, const struct recipe_entry *e);
/* Takes the text out of `b`. */
void entry_say(const struct recipe_ops *ops, struct recipe_answer *answer, struct buf *b);
/* `lease 17 "id"` */
void entry_say_owner(struct buf *b, uint64_t lease, struct slice id);

#endif
