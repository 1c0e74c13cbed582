/* Locks: exclusive, read/write, semaphores, several at once.
 *
 *               +--> refused: held (try), deadlock, graph too large; nothing is left behind
 *               |
 *    acquire ---+--> WAITING ---------------------------------> gone: cancelled, its time ran out,
 *               |       |  all parts to be had at their places         its lease ended
 *               |       v
 *               +--> HELD <--+ acquired once more (count), extended, asked to be released
 *                       |----+
 *                       +-------------------------------------> gone: released, its time ran out,
 *                                                                     its lease ended, removed
 *
 * Strictly first come, first served: an entry is granted when no entry of another owner that
 * conflicts with it is held, or waits ahead of it. Reads do not conflict with each other; all else
 * does. Of a semaphore the first that waits is served as soon as enough permits are free, and
 * nobody overtakes it. Entries of one owner do not conflict, but each takes permits of its own.
 *
 * Invariants:
 *   - a waiting request is granted in the same revision in which its last obstacle goes;
 *   - all parts of a multi-lock are granted in one revision, or none is;
 *   - epochs of one lock grow with every grant (granted together: the same epoch);
 *   - no wait is added that can never be granted (recipes/waits.h).
 *
 * Re-entrance: an owner that asks for a mode it holds (a write covers a read) has it once more, and
 * releases as often. Asking for more than it holds waits like anybody's. A multi-lock takes locks
 * that its owner does not hold in a mode that covers them: else what a wait that is given up took
 * with it would depend on what came before. While an owner waits it acquires nothing else.
 *
 * A lock without a checked epoch is advisory: a holder that was paused may go on after its lease
 * has ended. Writes that carry the grant as a guard are refused then. Pure. */
#ifndef RECIPES_LOCK_H
#define RECIPES_LOCK_H

#include "recipes/answer.h"
#include "recipes/ops.h"

#define LOCK_TARGETS_MAX RECIPE_PLACES_MAX

struct lock_target {
    struct slice path;
    uint32_t queue;          /* the recipe node, or RECIPE_NO_NODE if there is none yet */
    struct recipe_head head; /* what it says, if there is one */
    uint8_t mode;            /* enum lock_mode */
    uint32_t permits;        /* LOCK_PERMITS: how many */
    uint32_t limit;          /* LOCK_PERMITS: of how many in all; 0: as it is */
};

struct lock_acquire {
    const struct lock_target *targets; /* different paths */
    uint32_t target_count;
    uint64_t lease;
    struct slice owner;
    struct slice note;
    bool is_try;
    uint64_t wait_ms; /* 0: as long as it takes */
    uint64_t hold_ms; /* 0: as long as the lease */
};

/* Unless the verdict is RECIPE_OK the index is as before. */
enum recipe_verdict lock_acquire(struct recipes *r, const struct recipe_ops *ops,
                                 const struct lock_acquire *asked, struct recipe_answer *answer);

/* Once less; the last time, and with `all`, it goes. With `group` all entries of its multi-lock. Of
 * one that waits: RECIPE_NOT_HELD. */
struct lock_release {
    bool all;
    bool group;
};
enum recipe_verdict lock_release(struct recipes *r, const struct recipe_ops *ops,
                                 struct recipe_entry *e, const struct lock_release *how);
/* Gives up what a request made, with all parts, whether it waits or holds. */
void lock_cancel(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e);
/* From now on so long; 0: as long as the lease. */
enum recipe_verdict lock_extend(struct recipes *r, const struct recipe_ops *ops,
                                struct recipe_entry *e, uint64_t hold_ms);
/* Tells all who hold, by a change of their entries. RECIPE_NOT_HELD if nobody does. */
enum recipe_verdict lock_ask_release(const struct recipe_ops *ops, struct recipe_queue *q,
                                     struct slice who, struct slice why);

/* Grants what has come to be had in this queue: for recipes_settle (recipes/settle.h). */
void lock_settle(struct recipes *r, const struct recipe_ops *ops, struct recipe_queue *q);

#endif
