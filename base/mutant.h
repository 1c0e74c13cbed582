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
    MUTANT_TORN_TAIL_ACCEPTED,     /* raft/wal.c does not check record checksums at recovery */
    MUTANT_SNAPSHOT_NO_CHANGES,    /* store/scan.c leaves the change log out of snapshots */
    MUTANT_DIGEST_UNORDERED,       /* store/digest.c hashes the slot number of a node */
    MUTANT_BATCH_TWICE,            /* raft/node.c applies a batch again after a restart */
    MUTANT_NO_TRIM,                /* rules of docs/architecture.md, each switched off */
    MUTANT_NO_PVFIX,
    MUTANT_NO_ABA,
    MUTANT_NO_NOOP,
    MUTANT_SNAPSHOT_NO_REPLIES,    /* store/scan.c leaves the reply cache out of snapshots */
    MUTANT_COW_MISSED,             /* store/scan.c saves no old version while a cursor walks */
};

#ifdef MUTANT
#define MUTANT_IS(n) (MUTANT == (n))
#else
#define MUTANT_IS(n) 0
#endif

#endif
