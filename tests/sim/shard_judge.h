/* The judge of shard maps: what the nodes of one map said, change by change, what its nodes wrote
 * to the shards' data, and what clients were told. It reads the texts itself and knows nothing of
 * recipes/.
 *
 *   - leader and replicas of a shard change only with its epoch, which is the revision of that
 *     change; nothing else moves it, so it only grows
 *   - after each revision who leads a shard is one of its replicas, and takes part
 *   - a replica comes or goes only by a move of that shard which names it, one at a time; a move
 *     is made to a node that takes part; its state goes on by one step, back to the queue, or to
 *     the cleaning up of one that was aborted
 *   - in a map that only repairs, what moves was on a node that does not take part
 *   - a guarded write is in the log only while its epoch is that of the shard and its writer leads:
 *     so no two nodes ever write for a shard under one epoch, and none under an older one than
 *     before
 *   - a guarded write that was acknowledged is in the log once; one that was refused never, and
 *     its epoch has passed
 */
#ifndef TESTS_SIM_SHARD_JUDGE_H
#define TESTS_SIM_SHARD_JUDGE_H

#include "tests/sim/field.h"
#include "tests/sim/oracle.h"

#define SHARD_MAP       "/m"
#define SHARD_COUNT     4 /* their data is at /h/0 to /h/3 */
#define SHARD_NODES_MAX 4 /* d0 to d3 */
#define SHARD_REPLICAS  2
#define SHARD_NOBODY    UINT32_MAX

/* Of sets of nodes: a bit for each. */
struct shard_seen {
    uint64_t epoch;
    uint32_t leader; /* SHARD_NOBODY: none */
    uint32_t replicas;
    uint64_t written; /* the epoch of the last guarded write */
    uint32_t writer;  /* under that */
};

/* A move, for as long as the run. */
struct shard_move_seen {
    uint64_t number;
    uint32_t shard;
    uint32_t from; /* SHARD_NOBODY: none */
    uint32_t to;
    uint32_t cleans;
    char kind;      /* the first letter of what it says: 'm', 'a', 'd', 'l' */
    uint32_t state; /* 0 queued ... 5 cleaning up */
    bool is_held;
    bool is_aborted;
    bool is_gone;
    uint64_t changed; /* the revision of its last change */
};

/* A guarded write that a node has begun. */
struct shard_write {
    uint32_t shard;
    uint32_t node;
    uint64_t epoch;
    uint64_t written_revision; /* 0: not in the log so far */
    bool is_refused;
};

struct shard_judge {
    struct world *world;
    bool repairs_only;
    struct shard_seen shards[SHARD_COUNT];
    uint32_t members;
    struct shard_move_seen *moves;
    size_t move_count;
    struct shard_write *writes; /* number - 1 */
    size_t write_count;
    uint64_t revision; /* whose changes are being looked at */
    bool is_touched;
    uint64_t epochs;   /* assignments */
    uint64_t switched; /* moves that came to that */
    uint64_t ended;
    uint64_t aborted;
    uint64_t requeued; /* since the target was lost */
};

void shard_judge_init(struct shard_judge *j, struct world *w);
void shard_judge_close(struct shard_judge *j);

/* Each change in order, as the oracle takes it. */
void shard_judge_change(struct shard_judge *j, const struct change *c);
/* All changes so far are whole revisions. */
void shard_judge_settle(struct shard_judge *j);

/* Its number, from 1. What it writes must be lock_write_text of it. */
uint64_t shard_judge_write(struct shard_judge *j, uint32_t shard, uint32_t node,
                           uint64_t epoch);
/* What a client was told. */
void shard_judge_told_written(struct shard_judge *j, uint64_t number, uint64_t revision);
void shard_judge_told_stale(struct shard_judge *j, uint64_t number);

/* Every shard is led, has its replicas on nodes that take part, and no move is left. */
bool shard_judge_is_calm(const struct shard_judge *j);

#endif
