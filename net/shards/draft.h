/* A plan for a shard map: from what the map says (store/maps.h) to what plan/plan.h works on, and
 * from what that says back to steps with names, as COMMAND_SHARD takes them.
 *
 * What the planner cannot know is decided here:
 *   - a replica on a node that is away is lost, unless that node is waited for (`keep`): then its
 *     shard is left alone;
 *   - a shard that nobody leads though it has replicas is left alone: all who had it were lost, and
 *     who leads it then is not for a plan to say;
 *   - the replacement of a lost replica is a move from where it was, the first replicas of a shard
 *     are one assignment, lost ones that nobody misses are dropped.
 *
 * Pure; for a worker. Everything is in the arena of the map's copy. */
#ifndef NET_SHARDS_DRAFT_H
#define NET_SHARDS_DRAFT_H

#include "plan/plan.h"
#include "recipes/shard_record.h"
#include "store/command.h"
#include "store/maps.h"

struct draft_options {
    enum plan_goal goal;
    uint32_t target_permille; /* 0: the map's */
    uint32_t moves_max;       /* of FILL and BALANCE; 0: not limited */
    /* Balances only if the imbalance is beyond the map's, else fills. */
    bool is_automatic;
    const struct slice *keep; /* nodes that are away, and waited for */
    size_t keep_count;
};

struct draft_gap {
    struct plan_gap gap; /* its `node` and `shard` are places: */
    uint64_t shard;
    struct slice node; /* where it stays against a rule, or empty */
};

/* A shard that a plan leaves to others to decide about. */
struct draft_leaderless {
    uint64_t shard;
    struct slice awaits; /* who led it last; empty: not known */
};

struct draft {
    uint64_t revision;
    struct shard_step *steps;
    uint32_t step_count;
    struct draft_gap *gaps;
    uint32_t gap_count;
    struct draft_leaderless *leaderless;
    uint32_t leaderless_count;
    uint64_t bytes;
    uint64_t duration_ms;
    uint64_t rate; /* bytes a second of one move; 0: not limited */
    uint32_t imbalance_permille;
    uint32_t result_permille;
    bool is_balance;     /* that was its goal in the end */
    const char *problem; /* no plan, and why; static memory. NULL: there is one */
};

/* Beside its bytes, for the estimate of time. */
#define DRAFT_MOVE_MS ((uint64_t)1000)

void draft_make(const struct map_copy *map, const struct draft_options *options,
                struct arena *arena, struct draft *out);
/* Estimated, of one step. */
uint64_t draft_step_ms(const struct draft *d, const struct shard_step *step);

#endif
