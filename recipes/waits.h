/* Deadlock: whether a wait can ever be granted.
 *
 * The graph. An owner waits for all parts of its request (AND). A part in mode write waits for all
 * who hold the lock or wait ahead in the queue; a read for those among them who write; both except
 * for the owner itself. A part of k permits waits until nobody waits ahead and k permits are free,
 * whoever gives them back (OR). An owner that does not wait is free: it can give back all it holds.
 *
 * The reduction. All waiting owners that the new wait reaches are taken for stuck. One whose parts
 * are all to be had, counting only what stuck owners hold and where they wait, is free: once the
 * free ones have given back what they hold it gets its grant, and then can give back all it holds.
 * So it is set free, and so on until nothing changes. Freeing one never hurts another, so the order
 * does not matter, and who is stuck in the end is so under any order of releases: each needs
 * something that only stuck owners can give. That is a deadlock, and nothing else is.
 *
 * Who is asked. Every wait was checked when it was added, so that no stuck wait exists: releases,
 * grants and ends only take obstacles away, and an owner that waits acquires nothing. Then only the
 * new wait can be stuck, and only if its owner holds something that another one waits for. Else
 * there is nothing to do, which is the common, contended case.
 *
 * Only some obstacles need looking at. Behind a waiting write everything that is ahead of it was
 * ahead for it too (and its owner's holds are given back once it is free), so that the search stops
 * there; of permits the one directly ahead stands for all. So the work grows with the entries
 * reached, not with their square. What is counted as a step depends on the queues alone: all
 * members come to the same. */
#ifndef RECIPES_WAITS_H
#define RECIPES_WAITS_H

#include "base/arena.h"
#include "recipes/index.h"

#define WAITS_STEPS_MAX ((uint32_t)100000)

enum waits_verdict { WAITS_FREE, WAITS_STUCK, WAITS_TOO_LARGE };

/* The wait of `from` has just been added to the index, at the ends of its queues. */
enum waits_verdict waits_check(struct recipes *r, struct recipe_owner *from);

/* One step of a cycle: an owner waits with one entry because of another's. */
struct waits_link {
    const struct recipe_entry *wants;
    const struct recipe_entry *blocker; /* held, or waiting ahead */
};

/* After WAITS_STUCK and before any change: a shortest cycle, beginning and ending with `from`. Each
 * link's blocker is of the owner of the next link. */
uint32_t waits_cycle(struct recipes *r, struct recipe_owner *from, struct arena *arena,
                     struct waits_link **out);

/* Whether the entry could be granted now, as far as its own queue goes. O(1), except for a write
 * where its owner alone reads. */
bool waits_is_grantable(const struct recipe_entry *e);
/* Whether all parts that the owner waits for could be. */
bool waits_request_is_grantable(const struct recipe_owner *o);

/* Calls `visit` for each obstacle of a waiting entry in its queue: the next ones, not those that
 * these stand for. Stops when it returns false. `write` is the nearest write that waits ahead of a
 * read, or NULL; others do not look at it. Changes nothing. */
typedef bool (*waits_visit_fn)(void *context, struct recipe_entry *e,
                               struct recipe_entry *blocker);
void waits_obstacles_behind(struct recipe_entry *e, struct recipe_entry *write,
                            waits_visit_fn visit, void *context);

#endif
