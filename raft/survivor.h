/* A data dir whose member does not run, looked at without changing anything in it: what a lost
 * quorum is recovered from.
 *
 * How advanced it is, is Raft's own measure: the term of its last log entry, then the index. Of
 * members that voted in one cluster, the most advanced one has every committed entry that any
 * majority with it has. How much of its log was committed cannot be told offline: all of it is
 * taken, since what was acknowledged must not be dropped and what was not may still come to pass.
 */
#ifndef RAFT_SURVIVOR_H
#define RAFT_SURVIVOR_H

#include "raft/engine.h"
#include "raft/identity.h"
#include "raft/replay.h"
#include "raft/wal.h"

struct survivor {
    struct env *env;
    char *dir;
    struct identity identity;
    uint64_t snapshot_index; /* 0 = it has none */
    uint64_t snapshot_term;
    uint64_t snapshots_damaged; /* newer ones that could not be read */
    uint64_t last_index;
    uint64_t last_term;
    struct engine_configuration configuration; /* the last one in snapshot and log */
    struct engine_configuration previous;      /* the one before, which may be in force; or none */
    struct wal_recovery log;
};

/* Locks the dir until the env is freed and reads it. RC_LOCKED: its member runs. RC_NOT_FOUND: it
 * is no data dir, or nothing was ever written there. RC_CORRUPT: snapshot or log are damaged, says
 * where. Blocks. */
enum status survivor_open(struct env *env, const char *dir, struct survivor *out,
                          struct errmsg *err) MUST_USE;
void survivor_close(struct survivor *s);

/* Whether `a` is more advanced than `b`. */
bool survivor_is_ahead(const struct survivor *a, const struct survivor *b);

/* The most advanced one, which nothing is lost with that is on any of them; the first of equals.
 * `count` > 0. */
const struct survivor *survivors_best(const struct survivor *survivors, size_t count);

/* Voters of a configuration that are among `survivors`; `voters` is how many it has. */
size_t survivors_voting(const struct engine_configuration *c, const struct survivor *survivors,
                        size_t count, size_t *voters);
/* Whether every committed entry is among those that the most advanced survivor, `best`, has: they
 * are a majority of the last configuration, and of the one before, since nobody knows if the last
 * one was committed. */
bool survivors_are_quorum(const struct survivor *best, const struct survivor *survivors,
                          size_t count);

/* Loads the snapshot and applies the log above it. `*store` and `r` are the caller's when this is
 * RC_OK. Blocks. */
enum status survivor_load(const struct survivor *s, struct store **store, struct replay *r,
                          struct errmsg *err) MUST_USE;

#endif
