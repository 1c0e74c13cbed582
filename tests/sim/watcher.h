/* Watchers: streams of coord.v1.Watch, each with a few watches of all kinds, resumed on any
 * node when the stream breaks.
 *
 * Every message is compared with what the oracle says that it must be: events are just the
 * changes that pass the filter, of each revision all together and in order, none missing,
 * none twice, across resumes; a listing is the tree at its revision; a progress mark leaves
 * nothing behind; COMPACTED comes only when the log does not reach back. */
#ifndef TESTS_SIM_WATCHER_H
#define TESTS_SIM_WATCHER_H

#include "coord/v1/watch.pb-c.h"
#include "tests/sim/journal.h"
#include "tests/sim/oracle.h"
#include "tests/sim/station.h"

#define WATCHERS_MAX        4
#define WATCHER_WATCHES_MAX 3

struct watchers;

struct watch_spec {
    char path[24];
    char glob[8];
    uint8_t scope; /* Coord__V1__WatchCreate__Scope */
    uint8_t types; /* bits 1 << enum change_type, 0 = all */
    uint32_t depth;
    uint32_t progress_ms;
    bool once;
    bool keys_only;
    bool with_previous;
    bool list;
    bool relist;
    bool is_local; /* asks no majority before it begins */
};

enum watched_state {
    WATCHED_NONE,      /* there is no such watch */
    WATCHED_WANTED,    /* to be asked for */
    WATCHED_ASKED,     /* CREATED has not come */
    WATCHED_LISTING,   /* a listing is to come, or to go on */
    WATCHED_FOLLOWING, /* events */
    WATCHED_ENDING,    /* CANCELED is to come */
};

struct watched {
    struct watch_spec spec;
    uint8_t state; /* enum watched_state */
    uint64_t id;
    uint64_t asked_revision;     /* what had been confirmed to anybody when it was asked for */
    uint64_t from;               /* as asked for; 0: now */
    uint64_t next;               /* all before it has been seen; 0: nothing yet */
    uint64_t partial;            /* a revision of which more is to come */
    size_t at;                   /* of the oracle's changes, within it */
    struct oracle_node *listing; /* what is to come */
    size_t listing_count;
    size_t listing_at;
    uint64_t listing_revision;
    enum outcome ending; /* WATCHED_ENDING: how */
};

struct watcher {
    struct watchers *all;
    uint32_t number;
    struct station *station;
    struct remote_call stream;
    struct watched watches[WATCHER_WATCHES_MAX];
    uint64_t next_id;
    struct world_event tick;
};

struct watchers {
    struct cluster *cluster;
    struct oracle *oracle;
    const struct journal *journal;
    struct watcher items[WATCHERS_MAX];
    uint32_t count;
    bool is_ending; /* no new watches: those there are catch up */
    uint64_t events;
    uint64_t listings;
    uint64_t resumes;
    uint64_t progresses;
    uint64_t compactions;
};

void watchers_init(struct watchers *all, struct cluster *c, struct oracle *o,
                   const struct journal *h);
struct watcher *watchers_add(struct watchers *all, struct station *s);
void watchers_start(struct watchers *all);
void watchers_end(struct watchers *all);
/* Every watch follows and has seen all that happened. */
bool watchers_are_current(const struct watchers *all);
void watchers_close(struct watchers *all);

/* One watch on a watcher that has none like it in this place: for stories. */
void watcher_set(struct watcher *w, uint32_t place, const struct watch_spec *spec);

/* ---- in watch_check.c: what a watch may be told ------------------------------------------ */

bool watch_spec_takes(const struct watch_spec *spec, const struct oracle_change *c);
void watched_created(struct watcher *w, struct watched *d, uint64_t revision);
void watched_listing(struct watcher *w, struct watched *d, const Coord__V1__WatchReply *m);
void watched_events(struct watcher *w, struct watched *d, const Coord__V1__WatchReply *m);
void watched_progress(struct watcher *w, struct watched *d, uint64_t revision);
void watched_compacted(struct watcher *w, struct watched *d, uint64_t floor);
void watched_canceled(struct watcher *w, struct watched *d, const Coord__V1__WatchReply *m);
void watched_forget(struct watched *d); /* frees what it has kept of a listing */

#endif
