/* The planner of shard maps: which replica should go where, by as few moves as will do.
 *
 * It is given a copy of what is known (struct plan_cluster) and gives back steps, each with its
 * reason, and gaps: replicas that have no place, with what stands against each node. Integers
 * only, no clock, no chance: the same input makes the same plan everywhere. It changes nothing;
 * what is done with a plan is for store/apply_shard.c.
 *
 *   goal      what may move
 *   REPAIR    what is lost, missing, too many, on a node that drains, or where a rule forbids it
 *   FILL      that, and then: nodes that hold nothing get their share
 *   BALANCE   that, and then: from nodes above their share to nodes below it, until the imbalance
 *             is at the target; then leaders likewise, which copies nothing
 *
 * Promises, tested over random clusters (tests/unit/plan/test_plan_model.c):
 *   - nothing moves that the goal has no reason for: after the loss of a node a repair makes the
 *     replicas that it had and touches nothing else; a node that joins S shards of R replicas on N
 *     equal nodes is given at most ceil(S*R/(N+1)) replicas, and nothing else moves;
 *   - no step breaks a rule (tags, replicas per zone, capacity, one replica of a shard per node); a
 *     replica without a place is a gap, and at that time no node would have done;
 *   - what one plan has moved it does not move again; a repair that was carried out leaves nothing
 *     to repair, unless a replica lacked room (a move frees room only when it is over); on equal
 *     nodes without rules a second plan of any goal is empty;
 *   - a shard that is moving is left alone.
 *
 * Work: shards x replicas x nodes at most for each of the phases. Pure; not thread safe. */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define PLAN_NONE         UINT32_MAX
#define PLAN_REPLICAS_MAX 17 /* of one shard, and while one of 16 moves */
#define PLAN_NODES_MAX    ((uint32_t)1024)
#define PLAN_WEIGHT_MAX   (((uint32_t)1 << 20) - 1)

enum plan_goal { PLAN_REPAIR = 1, PLAN_FILL = 2, PLAN_BALANCE = 3 };

struct plan_node {
    uint32_t zone;              /* PLAN_NONE: not said; then it counts as a zone of its own */
    uint32_t weight;            /* its share of the load, relative to others'; 0: it drains */
    uint64_t tags;              /* a bit for each */
    uint64_t capacity_bytes;    /* 0: not limited */
    uint32_t capacity_replicas; /* 0: not limited */
    uint64_t leaving_bytes;     /* of copies that no shard counts any more, and still are there */
    uint32_t leaving_replicas;
};

struct plan_shard {
    uint32_t replicas[PLAN_REPLICAS_MAX]; /* nodes; PLAN_NONE: on a node that is gone */
    uint32_t replica_count;
    uint32_t wanted;
    uint32_t leader; /* a node, or PLAN_NONE: it has none yet */
    uint32_t pin;    /* a node that must have a replica, or PLAN_NONE */
    uint64_t tags;   /* that each of its nodes must have */
    uint64_t bytes;
    uint64_t load;  /* what balance counts; at least 1 is taken */
    bool is_moving; /* its replicas are those it will have */
};

struct plan_cluster {
    const struct plan_node *nodes;
    uint32_t node_count;
    const struct plan_shard *shards;
    uint32_t shard_count;
    uint32_t zone_max;          /* replicas of one shard in one zone; 0: not limited */
    uint32_t target_permille;   /* an imbalance that is good enough */
    uint32_t moves_max;         /* of FILL and BALANCE; 0: not limited */
    uint64_t bandwidth_bytes_s; /* of all moves together; 0: not known */
    uint32_t concurrent_max;    /* moves at a time; 0: not limited */
    uint64_t overhead_ms;       /* of one move beside its bytes */
};

enum plan_kind {
    PLAN_ADD = 1,  /* a replica more on `to`; `from` is PLAN_NONE */
    PLAN_MOVE = 2, /* a replica from `from` to `to` */
    PLAN_DROP = 3, /* a replica less: `from` */
    PLAN_LEAD = 4, /* `to`, which has a replica, leads instead of `from` (PLAN_NONE: nobody) */
};

enum plan_why {
    PLAN_WHY_NEW = 1, /* the shard has no replica yet */
    PLAN_WHY_LOST,    /* its node is gone */
    PLAN_WHY_MISSING, /* fewer than wanted */
    PLAN_WHY_SURPLUS, /* more than wanted */
    PLAN_WHY_DRAIN,   /* its node drains */
    PLAN_WHY_TAGS,    /* its node lacks a tag */
    PLAN_WHY_ZONE,    /* too many in one zone */
    PLAN_WHY_PIN,     /* the shard is pinned to another node */
    PLAN_WHY_FILL,    /* a node that holds nothing gets its share */
    PLAN_WHY_BALANCE, /* from above the share to below it */
};

/* "new", "lost" and so on. Static memory; NULL for what is none. */
const char *plan_why_name(uint8_t why);
const char *plan_kind_name(uint8_t kind);

struct plan_step {
    uint32_t shard;
    uint8_t kind; /* enum plan_kind */
    uint8_t why;  /* enum plan_why */
    uint32_t from;
    uint32_t to;
    uint64_t bytes; /* to be copied */
};

/* A replica without a place, and of how many nodes each rule was the first in the way. */
struct plan_gap {
    uint32_t shard;
    uint8_t why;   /* why one was looked for */
    uint32_t node; /* where it stays against a rule, or PLAN_NONE: there is one too few */
    uint32_t by_drain;
    uint32_t by_holding; /* the node has another replica of the shard */
    uint32_t by_tags;
    uint32_t by_zone;
    uint32_t by_capacity;
};

struct plan {
    struct plan_step *steps; /* in the order to be done */
    uint32_t step_count;
    uint32_t step_capacity;
    struct plan_gap *gaps;
    uint32_t gap_count;
    uint32_t gap_capacity;
    uint64_t bytes;              /* of all steps */
    uint64_t duration_ms;        /* estimated */
    uint32_t imbalance_permille; /* before */
    uint32_t result_permille;    /* after */
};

/* Makes a plan in `out`, whatever was there. Nodes named in shards are below node_count or
 * PLAN_NONE, and different within a shard. Free with plan_close. */
void plan_make(const struct plan_cluster *c, enum plan_goal goal, struct plan *out);
void plan_close(struct plan *p);

/* How long so many copies of so many bytes in all take: the bytes through the bandwidth that all
 * share, and what each costs beside them, so many at a time. */
uint64_t plan_duration_ms(const struct plan_cluster *c, uint64_t copies, uint64_t bytes);

/* How far the node that is furthest from its share is from it, in thousandths of the share; a
 * share is of the whole load and by weight. Less than one unit of load is no distance: what cannot
 * be divided is not out of balance. 0 if there is no node or no load. */
uint32_t plan_imbalance(const struct plan_cluster *c);

#endif
