/* One seed: a cluster, clients and faults, until enough has happened; then healing and
 * judgement. */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include "tests/sim/faults.h"

#define RUN_ACKED_MIN  400
#define RUN_FAULTS_MIN 20

/* What sessions and watchers went through. */
enum run_count {
    COUNT_KEPT_ALIVE,
    COUNT_RESUMED,
    COUNT_CLOSED,
    COUNT_EXPIRED,
    COUNT_REPEATED,
    COUNT_REFUSED,
    COUNT_REAPED,
    COUNT_RECALLED,
    COUNT_REGISTERED,
    COUNT_DISCOVERED,
    COUNT_EVENTS,
    COUNT_LISTINGS,
    COUNT_WATCH_RESUMES,
    COUNT_PROGRESSES,
    COUNT_COMPACTED,
    COUNT_ZK_REPLIES,
    COUNT_ZK_WRITES, /* acknowledged */
    COUNT_ZK_RESUMED,
    COUNT_ZK_EXPIRED,
    COUNT_ZK_EVENTS,
    COUNT_ZK_RESTORED, /* setWatches */
    COUNT_ZK_REFUSED,  /* wrong passwords */
    COUNT_ZK_CUTS,     /* connections lost at a certain byte */
    COUNT_HELD, /* locks and elections that clients were told of */
    COUNT_LED,
    COUNT_HANDED_OVER,
    COUNT_GUARDED, /* writes acknowledged */
    COUNT_FENCED,  /* refused, begun after the expiry of the holder's session */
    COUNT_STALE,   /* refused otherwise */
    COUNT_SHARD_EPOCHS, /* assignments of shards */
    COUNT_SHARD_JOINED, /* nodes of shard maps */
    COUNT_SHARD_SWITCHED,
    COUNT_SHARD_MOVED, /* moves that ended */
    COUNT_SHARD_ABORTED,
    COUNT_SHARD_REQUEUED, /* moves whose target was lost */
    COUNT_SHARD_APPLIED,  /* plans begun by hand */
    COUNT_SHARD_WRITTEN,  /* guarded writes acknowledged */
    COUNT_SHARD_FENCED,   /* refused, begun when their epoch had passed */
    COUNT_SHARD_STALE,    /* refused otherwise */
    COUNT_JOINED,  /* members */
    COUNT_REMOVED,
    COUNT_REPLACED,
    COUNT_PROMOTED,
    COUNT_TRANSFERRED,
    COUNT_GROWN,
    COUNT_CHANGES_REFUSED,
    COUNT_RECOVERED, /* clusters that lost their quorum */
    COUNT_RESTORED,
    COUNT_INTERRUPTED, /* recoveries and restores, by a loss of power */
    COUNT_LOST,        /* changes that were on no disk that was left */
    COUNT_KINDS,
};

extern const char *const count_names[COUNT_KINDS];

struct run_result {
    bool failed;
    char why[512];
    uint64_t hash;
    uint64_t events;
    uint64_t virtual_us;
    uint64_t acked;
    uint64_t acked_writes;
    uint64_t elections;
    uint64_t installs;
    uint64_t takes;
    uint64_t boots;
    uint64_t hits[FAULT_KINDS];
    uint64_t counts[COUNT_KINDS];
};

void run_seed(uint64_t seed, bool trace, struct run_result *result);

#endif
