/* Plans of shard maps, made off the loop of copies, one after the other in the order they were
 * asked for. Whoever asks gets a plan of what this member has; it is refused where it is
 * applied if the map has changed since. On the loop. */
#ifndef NET_SHARDS_PLANNER_H
#define NET_SHARDS_PLANNER_H

#include "base/env.h"
#include "base/metrics.h"
#include "net/shards/draft.h"

#define PLANNER_ASKS_MAX ((size_t)16)

struct planner;

struct planner_options {
    struct env *env;
    const struct node *node;
    struct metrics *metrics; /* may be NULL */
};

struct planner *planner_new(const struct planner_options *options);
/* Nobody waits for a plan any more. NULL is fine. */
void planner_free(struct planner *p);

struct plan_ask;

/* Valid until return. */
typedef void (*plan_done_fn)(void *owner, const struct draft *draft);

/* Begins a plan of the map as it is here now; what `options` points to is copied. RC_OK:
 * `done` runs once, not before this has returned, unless planner_forget comes first.
 * RC_NOT_FOUND: there is no map. RC_OVERLOADED: PLANNER_ASKS_MAX are under way. RC_STOPPED:
 * `p` is NULL. */
enum status planner_ask(struct planner *p, struct slice path,
                        const struct draft_options *options, plan_done_fn done, void *owner,
                        struct plan_ask **out) MUST_USE;
void planner_forget(struct plan_ask *ask); /* NULL is fine */

#endif
