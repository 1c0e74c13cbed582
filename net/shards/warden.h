/* What shard maps need as time passes, while this node leads:
 *
 *   every second   moves that take too long, or wait for a node that stays away, are given up; a
 *                  queue begins again when the hours of its map have come (net/shards/upkeep.h)
 *   `automatic`    a plan is made when the map has changed, or a node was away for too long, or
 *                  from time to time as loads change; its steps are proposed as Apply would be
 *
 * Of more than a thousand maps so many have their turn each second. One proposal or plan of a map
 * at a time. Balances come in small lots, so that what is lost
 * meanwhile does not wait behind them. A new leader counts absences from its beginning. On the
 * loop. */
#ifndef NET_SHARDS_WARDEN_H
#define NET_SHARDS_WARDEN_H

#include "base/log.h"
#include "net/shards/planner.h"

struct warden;

struct warden_options {
    struct env *env;
    struct node *node;
    struct planner *planner; /* must outlive it */
    struct log *log;         /* may be NULL */
    struct metrics *metrics; /* may be NULL */
};

struct warden *warden_new(const struct warden_options *options);
void warden_free(struct warden *w); /* NULL is fine, in all of these */
void warden_turn(struct warden *w, uint64_t now_ms);
uint64_t warden_next_deadline_ms(const struct warden *w);

#endif
