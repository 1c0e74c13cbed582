/* Elections: one of many candidates leads.
 *
 *               +--> refused: held (a try), used in another way; nothing is left behind
 *               |
 *   campaign ---+--> WAITING <-+ says something else of itself
 *               |     |  |  +--+
 *               |     |  +---------------------------------> gone: withdrawn, its time ran out,
 *               |     |  nobody leads, and it is the next            its lease ended, removed
 *               |     |  of those who may; or it is handed over to
 *               |     v
 *               +--> LEADS <---+ proclaims another value: the epoch stays
 *                     |  +-----+
 *                     +------------------------------------> gone: resigned, handed over,
 *                                                                   its lease ended, removed
 *
 * The next is, of the candidates that may lead, the first to come, the one with the highest
 * priority, or the one with the highest number it gave; of those alike the first to come. Nobody is
 * deposed: a candidate that would have been preferred waits like the others. Where the election
 * says which label may lead, others wait until that is changed, or it is theirs.
 *
 * Invariants:
 *   - at most one leads; if nobody does, nobody who waits may;
 *   - whoever is next leads in the same revision in which the leader goes;
 *   - epochs grow with every leader, over all leaders: they are revisions;
 *   - a leader that goes does so for good: its entry goes. It comes back as another entry, so that
 *     what it guarded with the first one stays refused.
 *
 * Who waits to lead is no obstacle in the search for deadlocks: a candidate goes on with other
 * things meanwhile. A candidate is an owner of its own kind (recipes/index.h). Pure. */
#ifndef RECIPES_ELECTION_H
#define RECIPES_ELECTION_H

#include "recipes/answer.h"
#include "recipes/ops.h"

struct election_campaign {
    struct slice path;
    uint32_t queue;          /* the recipe node, or RECIPE_NO_NODE if there is none yet */
    struct recipe_head head; /* what it says, if there is one */
    uint8_t policy;          /* enum election_policy; 0: as it is */
    uint64_t lease;
    struct slice name;
    struct slice value;
    struct slice label;
    struct slice note;
    uint32_t priority;
    uint64_t number;
    bool is_try;
    uint64_t wait_ms; /* 0: as long as it takes */
};

/* Unless the verdict is RECIPE_OK the index is as before. A candidate that is one already, by lease
 * and name, says something else of itself and stays where it is. */
enum recipe_verdict election_campaign(struct recipes *r, const struct recipe_ops *ops,
                                      const struct election_campaign *asked,
                                      struct recipe_answer *answer);
/* RECIPE_NOT_HELD unless it leads. */
enum recipe_verdict election_proclaim(const struct recipe_ops *ops, struct recipe_entry *e,
                                      struct slice value);
/* The candidate of that name that would be next, or the leader if that is its name; or NULL. */
struct recipe_entry *election_find(const struct recipe_queue *q, struct slice name);
/* Whoever leads goes, `to` leads. RECIPE_NOT_HELD: its time to wait has run out; RECIPE_MISMATCH:
 * it may not lead. */
enum recipe_verdict election_hand_over(struct recipes *r, const struct recipe_ops *ops,
                                       struct recipe_entry *to, struct recipe_answer *answer);
/* From now on it decides so; `queue` may be RECIPE_NO_NODE. */
enum recipe_verdict election_configure(struct recipes *r, const struct recipe_ops *ops,
                                       struct slice path, uint32_t queue,
                                       const struct recipe_head *head);

/* Lets the next one lead: for recipes_settle. */
void election_settle(struct recipes *r, const struct recipe_ops *ops, struct recipe_queue *q);

#endif
