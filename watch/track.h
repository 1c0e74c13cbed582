/* A track: a position in the change log that moves on, and the watches that go along with it.
 *
 * There are two, of the same make. The live track moves with the store. The behind track is shared
 * by all watches that catch up in the same pass, however many: they cost one scan, in which each
 * change finds those that want it through the index, as a live one does.
 *
 * What watches get is gathered a revision at a time, as pairs of watch and change in the order of
 * the changes, each watch's pairs chained, and then handed over watch by watch. When a revision has
 * more pairs than memory is meant to be spent on, all but each watch's last pair are handed over as
 * a piece; the last is held back, so that whether more follows is always known. Pairs name a change
 * by its place in the revision: when a turn ends amid a revision they wait for the next turn, while
 * the log may move, or be replaced by another member's.
 *
 * Handing over runs code of owners, which may stop, start and resume any watch, and free stopped
 * ones. So nothing is gathered meanwhile, and a watch that is stopped empties its group. */
#ifndef WATCH_TRACK_H
#define WATCH_TRACK_H

#include "watch/index.h"

/* 2 MiB: memory of a revision that many watch, and no limit of what they get. */
#define WATCH_PAIRS_MAX ((size_t)1 << 18)

struct pair {
    uint32_t sub;
    uint32_t next; /* of the same watch */
};

/* A watch and its pairs of the revision under way; w->gathered is its number plus one. */
struct group {
    struct watch *watch; /* NULL: it was stopped, or waits */
    uint32_t first;
    uint32_t last;
    uint32_t count;
    bool continued; /* a piece of this revision was handed over before */
};

struct track {
    enum lane lane;
    uint8_t pass;      /* of the watches that go along; others in the lane are passed over */
    uint64_t revision; /* the next to look at */
    uint32_t sub;      /* and within it; > 0 only between the pieces of a revision */
    uint64_t position; /* of it in the log, unless the log does not reach back to it */
    struct list watches;
    struct group *groups;
    size_t group_count;
    size_t group_capacity;
    struct pair *pairs;
    size_t pair_count;
    size_t pair_capacity;
    size_t held;          /* of the pairs: held back by the piece before */
};

struct watch_hub {
    const struct store *store;
    struct watch_index index;
    struct track live;
    struct track behind;
    /* BEHIND, but where the pass under way has been already: they go along with the next, which
     * begins at the lowest of their cursors. */
    struct list late;
    uint64_t late_revision;
    uint32_t late_sub;
    struct list waiting;
    bool is_busy; /* delivering: neither dispatched nor turned from inside */
    size_t watch_count;
    size_t behind_count; /* BEHIND and WAITING */
    size_t copied_bytes;
    size_t pairs_max;              /* WATCH_PAIRS_MAX; tests make it smaller */
    const struct change **changes; /* of one delivery */
    size_t change_capacity;
};

void track_init(struct track *t, enum lane lane, uint8_t pass);
void track_close(struct track *t);

/* Puts the track at a place of the log, with nothing gathered. Watches that had a piece of a
 * revision there must not go along any more. */
void track_place(struct watch_hub *h, struct track *t, uint64_t revision, uint32_t sub);
/* Nobody looks any more: the track goes to the end of the log, before `revision`. */
void track_skip(struct watch_hub *h, struct track *t, uint64_t revision);
/* The store has been replaced by one in which the same revisions are the same. */
void track_rebind(struct watch_hub *h, struct track *t);

/* Looks at changes up to the end of revision `until`, while there are watches. Stops when it has
 * looked at and gathered `budget` or a little more; returns how many. */
size_t track_advance(struct watch_hub *h, struct track *t, uint64_t until, size_t budget);

/* The watch leaves: nothing more is handed to it. */
void track_leave(struct track *t, struct watch *w);

/* The owner's room is used up: the watch leaves its track and waits with this cursor. */
void hub_park(struct watch_hub *h, struct watch *w, uint64_t revision, uint32_t sub);

#endif
