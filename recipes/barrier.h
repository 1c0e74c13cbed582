/* Barriers: so many go in together, and those who went in together leave together.
 *
 *              +--> refused: held (a try), used in another way; nothing is left behind
 *              |
 *   enter -----+--> WAITING ---------------------------------> gone: withdrawn, its time ran out,
 *                      |  nobody is inside, and                      its lease ended, removed
 *                      |  as many wait as it takes
 *                      v
 *                   INSIDE ----------------------------------> gone: withdrawn,
 *                      |  leaves                                     its lease ended, removed
 *                      v
 *                   LEAVING ---------------------------------> gone: all who were inside leave,
 *                                                                    or have gone
 *
 * Who comes while others are inside, or leave, waits for the next round. Of more than it takes the
 * first to come go in. A party is a lease and a name; its entry is held while it is inside, and so
 * guards writes (as grants of locks do) until it has gone.
 *
 * Invariants:
 *   - who is inside went in with all others that went in then, in one revision: the epoch;
 *   - nobody goes in while somebody of the round before is there;
 *   - whoever leaves has gone in the same revision in which the last one inside does so or ends;
 *   - if nobody is inside, fewer wait than it takes.
 *
 * One party that is lost (its lease ends) does not hold up those who leave; those who wait to go in
 * then wait for another one. A party is nobody's obstacle in the search for deadlocks. Pure. */
#ifndef RECIPES_BARRIER_H
#define RECIPES_BARRIER_H

#include "recipes/answer.h"
#include "recipes/ops.h"

struct barrier_enter {
    struct slice path;
    uint32_t queue;          /* the recipe node, or RECIPE_NO_NODE if there is none yet */
    struct recipe_head head; /* what it says, if there is one */
    uint32_t parties;        /* 0: as it is */
    uint64_t lease;
    struct slice name;
    struct slice note;
    bool is_try;
    uint64_t wait_ms; /* 0: as long as it takes */
};

/* Unless the verdict is RECIPE_OK the index is as before. Who waits, or is inside, already stays
 * where it is; RECIPE_WAITS: it is leaving. */
enum recipe_verdict barrier_enter(struct recipes *r, const struct recipe_ops *ops,
                                  const struct barrier_enter *asked,
                                  struct recipe_answer *answer);
/* Of one that is inside. The barrier is to be settled afterwards. */
void barrier_leave(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e);

/* Lets in who may, and go who may: for recipes_settle. */
void barrier_settle(struct recipes *r, const struct recipe_ops *ops, struct recipe_queue *q);
/* Whether that would change something: never, behind it. */
bool barrier_is_unsettled(const struct recipe_queue *q);

#endif
