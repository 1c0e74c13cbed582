/* Planted bugs. Built with -DMUTANT=n, the place marked MUTANT_IS(n) misbehaves in the way that its
 * comment names; tests/sim/mutants.sh proves that each is caught. In every other build the
 * condition is the constant 0 and nothing remains of it. */
#ifndef BASE_MUTANT_H
#define BASE_MUTANT_H

enum mutant {
    MUTANT_ACK_BEFORE_FSYNC = 1,   /* raft/wal.c reports a batch durable before it is synced */
    MUTANT_VOTE_NOT_PERSISTED,     /* raft/wal.c forgets term and vote */
    MUTANT_OLD_TERM_COMMIT,        /* raft/engine.c commits an old term's entry by counting */
    MUTANT_STALE_READ,             /* raft/read_index.c serves reads without a confirmation round */
    MUTANT_TORN_TAIL_ACCEPTED,     /* raft/wal_record.c does not check records' checksums */
    MUTANT_SNAPSHOT_NO_CHANGES,    /* store/scan.c leaves the change log out of snapshots */
    MUTANT_DIGEST_UNORDERED,       /* store/digest.c hashes the slot number of a node */
    MUTANT_BATCH_TWICE,            /* raft/node.c applies a batch again after a restart */
    MUTANT_NO_TRIM,                /* rules of docs/architecture.md, each switched off */
    MUTANT_NO_PVFIX,
    MUTANT_NO_ABA,
    MUTANT_NO_NOOP,
    MUTANT_SNAPSHOT_NO_REPLIES,    /* store/scan.c leaves the reply cache out of snapshots */
    MUTANT_COW_MISSED,             /* store/scan.c saves no old version while a cursor walks */
    MUTANT_EXPIRY_BY_WALL_CLOCK,   /* raft/node_lease.c keeps deadlines in time of the wall clock */
    MUTANT_SNAPSHOT_NO_LEASES,     /* store/scan.c leaves leases out of snapshots */
    MUTANT_SNAPSHOT_NO_WINDOW,     /* store/scan.c leaves sessions' replies out of snapshots */
    MUTANT_ANY_GENERATION,         /* store/apply_lease.c expires a session resumed meanwhile */
    MUTANT_LEASE_IN_PIECES,        /* store/apply_lease.c ends a lease in a revision per node */
    MUTANT_REASON_LOST,            /* store/apply_lease.c does not say why its nodes go */
    MUTANT_KEEPALIVE_UNCONFIRMED,  /* net/grpc/keepalive.c answers without asking the leader */
    MUTANT_KEEPER_STALE,           /* raft/node_lease.c keeps old deadlines over leaderships */
    MUTANT_TOUCHES_KEPT_BACK,      /* raft/read_index.c: a follower tells the leader of no touch */
    MUTANT_PROPOSED_RENEWED,       /* raft/node_lease.c confirms what it has given up already */
    MUTANT_SPENT_NUMBER_RUNS,      /* store/apply.c executes a number below the window again */
    MUTANT_REAP_UNSEEN,            /* store/reap.c does not look again at what it reaps */
    MUTANT_WATCH_GAP,              /* net/grpc/watch_start.c resumes one revision late */
    MUTANT_WATCH_TWICE,            /* net/grpc/watch_start.c resumes one revision early */
    MUTANT_LISTING_GAP,            /* net/grpc/watch_listing.c follows one revision late */
    MUTANT_REVISION_IN_PIECES,     /* net/grpc/watch_events.c tells each change by itself */
    MUTANT_COMPACTED_UNTOLD,       /* watch/hub.c begins at the floor, not where it was asked to */
    MUTANT_OVERTAKES_REFUSED,      /* raft/node_propose.c: a write runs without the one before it */
    MUTANT_NO_SPLIT,               /* raft/engine_receive.c: rule SPLIT switched off */
    MUTANT_NO_GATE,                /* raft/engine_change.c: rule GATE switched off */
    MUTANT_PROMOTED_BEHIND,        /* raft/node_member.c promotes who has not caught up */
    MUTANT_REMOVED_STAYS,          /* raft/node_registry.c: who was removed goes on */
    MUTANT_ID_REUSED,              /* raft/node_open.c draws an id that depends on the name alone */
    MUTANT_ZK_READ_EARLY,          /* net/zookeeper/queue.c answers reads before what is open */
    MUTANT_ZK_READ_LATE,           /* net/zookeeper/queue.c: reads see the writes behind them */
    MUTANT_ZK_EVENT_LATE,          /* net/zookeeper/queue.c tells events behind replies */
    MUTANT_ZK_SYNC_LOCAL,          /* net/zookeeper/queue.c: a sync asks nobody */
    MUTANT_ZK_PING_ALONE,          /* net/zookeeper/queue.c answers pings without a leader */
    MUTANT_ZK_NO_TOUCH,            /* net/zookeeper/queue.c: packets keep no session alive */
    MUTANT_ZK_MISSED_UNTOLD,       /* net/zookeeper/watches.c: setWatches tells nothing */
    MUTANT_ZK_ONE_SHOT_KEPT,       /* net/zookeeper/watches.c fires one-shot watches again */
    MUTANT_ZK_CHILD_END_UNTOLD,    /* net/zookeeper/watches.c: child watches miss the end */
    MUTANT_ZK_ANY_PASSWORD,        /* who knows its id is given a session */
    MUTANT_ZK_TAKEN_UNCHECKED,     /* net/zookeeper/greeting.c cuts the holder off first */
    MUTANT_ZK_UNKNOWN_PASSED,      /* net/zookeeper/write.c goes on behind an unknown fate */
    MUTANT_ZK_FORMER_OWNER,        /* net/zookeeper/write.c: a former connection's writes run */
    MUTANT_LOCK_WRITE_SHARES,      /* recipes/waits.c grants a write while others read */
    MUTANT_LOCK_READ_OVERTAKES,    /* recipes/waits.c: reads pass the writes that wait */
    MUTANT_LOCK_PERMITS_OVERTAKE,  /* recipes/waits.c: who needs few permits passes the first */
    MUTANT_LOCK_DEADLOCK_UNSEEN,   /* recipes/waits.c lets every wait in */
    MUTANT_LOCK_EPOCH_STAYS,       /* recipes/lock.c: grants to waiters have one epoch */
    MUTANT_LOCK_NOT_HANDED_OVER,   /* recipes/settle.c: what is released goes to nobody */
    MUTANT_LOCK_COUNT_LOST,        /* recipes/lock.c: the first release is the last */
    MUTANT_LOCK_LATE_GRANT,        /* recipes/lock.c grants whose time to wait has run out */
    MUTANT_LOCK_GUARD_WAITING,     /* store/apply_read.c: who waits passes as a holder */
    MUTANT_LOCK_GUARD_IGNORED,     /* store/apply_read.c: a guard holds whatever became of it */
    MUTANT_LOCK_GUARD_ANY_ENTRY,   /* store/apply_read.c: as does an entry of the same name */
    MUTANT_LOCK_GRANTED_EARLY,     /* store/apply_lease.c grants what is still there */
    MUTANT_LOCK_EXPIRY_UNSETTLED,  /* store/apply_lease.c: what an expiry frees goes to nobody */
    MUTANT_ELECTION_TWO_LEADERS,   /* recipes/election.c: whoever comes leads */
    MUTANT_ELECTION_VACANT,        /* recipes/election.c: nobody follows a leader */
    MUTANT_ELECTION_EPOCH_STAYS,   /* recipes/election.c: who follows leads in one epoch */
    MUTANT_ELECTION_HAND_OVER_LOST, /* recipes/election.c hands over to who is next */
    MUTANT_ELECTION_RANK_IGNORED,  /* recipes/index.c: first come, whatever the policy */
    MUTANT_ELECTION_LABEL_IGNORED, /* recipes/index.c: everybody may lead */
    MUTANT_BARRIER_EARLY,          /* recipes/barrier.c lets them in when one is missing */
    MUTANT_BARRIER_LEAVES_ALONE,   /* recipes/barrier.c: who leaves waits for nobody */
    MUTANT_BARRIER_JOINS_ROUND,    /* recipes/barrier.c: who comes late joins those inside */
    MUTANT_BARRIER_LATE_GRANT,     /* recipes/barrier.c counts whose time has run out */
    MUTANT_COUNTER_UNBOUNDED,      /* recipes/counter.c adds beyond the bounds */
    MUTANT_IDS_TWICE,              /* recipes/counter.c gives the last id of a block out again */
    MUTANT_LATCH_REOPENS,          /* recipes/latch.c counts on below zero, and round */
    MUTANT_SHARD_EPOCH_STAYS,      /* recipes/shard_move.c: who follows leads in one epoch */
    MUTANT_SHARD_GUARD_OLDER,      /* store/apply_read.c: epochs of shards that have passed hold */
    MUTANT_SHARD_LOST_LEADS,       /* store/shards.c: who is lost goes on to lead */
    MUTANT_SHARD_MOVE_UNLOST,      /* recipes/shard_move.c: moves go on without their target */
    MUTANT_RECOVER_BEHIND,         /* raft/survivor.c takes who is behind */
    MUTANT_RECOVER_LOG_CUT,        /* raft/survivor.c leaves the last entry out */
    MUTANT_REBIRTH_GOES_BACK,      /* store/rebirth.c: the revision goes on where it was */
    MUTANT_RESTORE_IDS_DIFFER,     /* raft/rebirth.c: each member is of another cluster */
    MUTANT_OLD_PASSWORD_COUNTS,    /* store/access.c: what proved the user once always does */
    MUTANT_REBIRTH_UNCOMPACTED,    /* store/rebirth.c: watchers go on as if nothing had been */
};

#ifdef MUTANT
#define MUTANT_IS(n) (MUTANT == (n))
#else
#define MUTANT_IS(n) 0
#endif

#endif
