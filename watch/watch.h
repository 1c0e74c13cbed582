/* Watches: who wants to know of which changes, and how far each of them has come.
 *
 * One source: the store's change log. A watch is a filter and a cursor over it.
 *
 *   (watch_start) --> BEHIND --(caught up)--> LIVE --(deliver took less)--> WAITING
 *                        ^                                                     |
 *                        +-----------------(watch_resume)----------------------+
 *
 *   LIVE     found through an index by path when a change is applied (hub_dispatch)
 *   BEHIND   gets what the log has from its cursor on, a bounded piece per turn (hub_turn), and
 *            then is LIVE; all that are BEHIND share a scan and an index
 *   WAITING  its owner has no room; costs nothing until watch_resume
 *
 * So a slow watcher holds neither a writer nor another watcher, and misses nothing as long as the
 * log reaches back to its cursor; then it is told COMPACTED. All changes of one revision that pass
 * the filter are delivered together, in order, once; a revision too large for the owner's room, or
 * for the memory spent on it (watch/track.h), comes in pieces, marked so.
 *
 * Cursors are kept as revisions, so they outlive a store that is replaced by a snapshot and mean
 * the same on every member. Nothing here knows gRPC or ZooKeeper. Loop thread. */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"
#include "store/history.h"
#include "store/types.h"
#include "watch/glob.h"

struct store;
struct watch;
struct watch_hub;

enum watch_scope {
    WATCH_NODE = 1,     /* this path */
    WATCH_CHILDREN = 2, /* its direct children, not itself */
    WATCH_SUBTREE = 3,  /* itself and all below, down to `depth` levels */
    WATCH_PREFIX = 4,   /* every path that begins with these bytes; also in flat spaces */
};

/* What nodes are and hold. That a list changed hears only who asks for it. */
#define WATCH_TYPES_DEFAULT \
    ((uint8_t)(1 << CHANGE_CREATE | 1 << CHANGE_SET | 1 << CHANGE_DELETE))

struct watch_filter {
    uint8_t scope; /* enum watch_scope */
    uint8_t space; /* enum space */
    uint8_t types; /* a bit 1 << enum change_type for each wanted; 0 = WATCH_TYPES_DEFAULT */
    uint32_t depth; /* SUBTREE: 0 = all levels, 1 = itself and its children, ... */
    struct slice path;
    struct slice glob; /* of the last component (watch/glob.h); empty = all */
};

struct watch_ops {
    /* Changes of one revision that pass the filter, in order; `continued`: the revision's first
     * ones came before; `more`: the rest follows. Valid until return: what is needed longer is
     * copied, or referenced if it is a value. Returns how many were taken: with less than `count`
     * the watch is WAITING, and begins there after watch_resume. May stop this or any other watch,
     * and start new ones. */
    size_t (*deliver)(struct watch *w, const struct change *const *changes, size_t count,
                      bool continued, bool more);
    /* The log does not reach back to the cursor: `floor` is the first revision it still has. The
     * watch has been stopped; its owner may start it anew, and sees its filter until return. */
    void (*compacted)(struct watch *w, uint64_t floor);
    /* BEHIND has become LIVE: everything up to hub_revision was delivered. May be NULL. */
    void (*caught_up)(struct watch *w);
    /* Asked about each change that passes the filter: false, and it is passed over. The owner knows
     * who is behind the watch (store_may_see). Starts and stops nothing. NULL: all are seen. */
    bool (*may_see)(struct watch *w, const struct change *change);
};

enum watch_state { WATCH_STOPPED = 0, WATCH_BEHIND, WATCH_LIVE, WATCH_WAITING };

/* The owner's memory, usually inside something larger. Zero it before the first watch_start. */
struct watch {
    const struct watch_ops *ops;
    struct watch_filter filter; /* private copies, made by watch_start */
    uint64_t revision;          /* private: the cursor, next revision to look at */
    uint32_t sub;               /* and within it */
    uint32_t gathered;          /* private: its group in watch/track.h */
    uint8_t state;              /* enum watch_state */
    uint8_t pass;               /* private: over the log, while it is BEHIND */
    struct list link;           /* private: among those of its state */
    struct watch *next;         /* private: in the index */
    struct watch **pprev;
};

struct watch_hub *hub_new(const struct store *s);
void hub_free(struct watch_hub *h); /* no watch is left */

/* Another store, not older, took the place of the one before: a snapshot was installed. Hands the
 * changes that it brings to the LIVE watches. */
void hub_rebind(struct watch_hub *h, const struct store *s);

/* After every applied command, before anybody hears of its outcome: hands its changes to the LIVE
 * watches. Costs next to nothing when there is none that wants them. */
void hub_dispatch(struct watch_hub *h);
/* Once per turn: lets the BEHIND catch up by about `budget` changes looked at or handed over. True:
 * there is more to do. */
bool hub_turn(struct watch_hub *h, size_t budget);
/* Whether there is something BEHIND, for which hub_turn should be called soon. */
bool hub_has_work(const struct watch_hub *h);

/* OUTCOME_BAD_PATTERN, OUTCOME_BAD_ARGUMENTS, OUTCOME_BAD_PATH, OUTCOME_TOO_LARGE or OK; `err` (may
 * be NULL) says what is wrong. */
enum outcome watch_filter_check(const struct watch_filter *f, struct errmsg *err);

/* Begins with the changes of `from_revision`, which may lie ahead (then it waits for it); 0 = what
 * is applied from now on. The filter has been checked; path and glob are copied. OUTCOME_COMPACTED
 * if the log does not reach back so far: nothing has been started. Never delivers from inside. */
enum outcome watch_start(struct watch_hub *h, struct watch *w, const struct watch_filter *f,
                         const struct watch_ops *ops, uint64_t from_revision);
void watch_stop(struct watch_hub *h, struct watch *w); /* a stopped one is fine */
/* The owner has room again. */
void watch_resume(struct watch_hub *h, struct watch *w);

/* All changes up to this revision have been delivered to it, as far as it asked for them: one that
 * waits for a revision ahead is as far as the hub. It has not been stopped. */
uint64_t watch_delivered(const struct watch_hub *h, const struct watch *w);

/* Revision up to which changes have been dispatched. */
uint64_t hub_revision(const struct watch_hub *h);

struct hub_status {
    size_t watches;
    size_t behind;          /* BEHIND and WAITING */
    uint64_t lag_revisions; /* of the one furthest behind; 0 when all are live */
    size_t bytes;           /* of watches' copies and the index; the watches themselves apart */
};
void hub_status(const struct watch_hub *h, struct hub_status *out);

#endif
