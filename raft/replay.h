/* Applying log entries without a node: what a tool does with an archive, or with the log of a
 * member that does not run. It is what raft/node.c does with committed entries, minus everybody who
 * waits for it. */
#ifndef RAFT_REPLAY_H
#define RAFT_REPLAY_H

#include "base/arena.h"
#include "raft/wal.h"
#include "store/store.h"

/* Where to stop; 0 = no such bound. */
struct replay_target {
    uint64_t revision; /* right behind the command that made it */
    uint64_t index;    /* right behind this entry */
    uint64_t wall_ms;  /* before the first entry that was proposed later */
};

struct replay {
    struct store *store; /* borrowed */
    struct replay_target target;
    uint64_t index; /* of the last entry applied, or that the state came with */
    uint64_t term;
    uint64_t wall_ms; /* of the last batch of commands; 0 = none yet */
    uint64_t entries; /* applied */
    uint64_t commands;
    bool is_reached; /* the target: nothing more is applied */
    /* The members as of `index`. */
    struct buf configuration;
    uint64_t configuration_index;
    struct arena arena;
};

/* Goes on behind `meta`, which the store was loaded with; NULL: from the begin of a log, with a new
 * store. */
void replay_open(struct replay *r, struct store *s, const struct snapshot_meta *meta,
                 const struct replay_target *target);
void replay_close(struct replay *r);

/* Applies the next entry, unless the target is reached. RC_CORRUPT: it does not follow, or cannot
 * be decoded. After a stop amid an entry the store's applied index is still before it. */
enum status replay_entry(struct replay *r, const struct wal_entry *entry,
                         struct errmsg *err) MUST_USE;

#endif
