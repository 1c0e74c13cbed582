/* What a plan works on: replicas where the steps so far have put them, and the rules that say
 * where one may go. For plan/ only.
 *
 * Loads are counted in units, scaled so that all together fit 34 bits; the sum of weights, which
 * are below 2^20, fits 30 with at most 1,024 nodes: so products fit 64. Loads follow the steps;
 * what is used of a capacity only grows: a copy that leaves frees its room when it has gone, and
 * that is after the plan.
 *
 * To add a rule: a check in may_hold, a counter in struct plan_gap. Pure. */
#ifndef PLAN_PLACE_H
#define PLAN_PLACE_H

#include "plan/plan.h"

struct place_node {
    uint64_t load;
    uint64_t used_bytes;
    uint32_t used_replicas;
    uint32_t replicas; /* now */
    uint32_t leads;
    uint32_t weight;
    bool is_new; /* it held nothing when the plan began, and may */
};

struct place {
    const struct plan_cluster *cluster;
    struct plan *plan;
    struct plan_shard *shards; /* a copy, with the steps done */
    bool *is_repaired;         /* per shard: a repair has changed it, so nothing else does */
    struct place_node *nodes;
    uint64_t load;
    uint64_t weight;
    uint64_t leads;
    unsigned shift;  /* of loads */
    uint32_t budget; /* moves that FILL and BALANCE may still make */
};

void place_init(struct place *p, const struct plan_cluster *c, struct plan *plan);
void place_close(struct place *p);

/* In units, at least 1. */
uint64_t place_units(const struct place *p, uint32_t shard);
/* Whether a is less full than b, each with so many units more: by load per weight. */
bool place_is_emptier(const struct place *p, uint32_t a, uint64_t more_a, uint32_t b,
                      uint64_t more_b);
/* Whether it has less, or more, than its share: exactly, not rounded. */
bool place_is_below(const struct place *p, uint32_t node);
bool place_is_above(const struct place *p, uint32_t node);
/* What a node should carry, rounded up. */
uint64_t place_share(const struct place *p, uint32_t node);
uint32_t place_imbalance(const struct place *p);

/* Whether the node where the shard has its replica number `at` may have one. */
enum plan_why place_objection(const struct place *p, uint32_t shard, uint32_t at);
/* Whether a node may take a replica of the shard, were its replica `without` (or none: PLAN_NONE)
 * not there. If not, counts why in `gap` unless that is NULL. */
bool place_may(const struct place *p, uint32_t shard, uint32_t node, uint32_t without,
               struct plan_gap *gap);
/* The emptiest node that may, or PLAN_NONE, and `gap` says why. */
uint32_t place_best(const struct place *p, uint32_t shard, uint32_t without,
                    struct plan_gap *gap);
bool place_holds(const struct place *p, uint32_t shard, uint32_t node);

/* Steps, done here and written down in the plan. */
void place_add(struct place *p, uint32_t shard, uint32_t to, enum plan_why why);
void place_move(struct place *p, uint32_t shard, uint32_t at, uint32_t to, enum plan_why why);
void place_drop(struct place *p, uint32_t shard, uint32_t at, enum plan_why why);
void place_lead(struct place *p, uint32_t shard, uint32_t to, enum plan_why why);
/* A replica on a node that is gone: no step, it just is not there. */
void place_forget(struct place *p, uint32_t shard, uint32_t at);

/* The phases. */
void repair_shards(struct place *p);
void repair_leaders(struct place *p);
void balance_fill(struct place *p);
void balance_replicas(struct place *p);
void balance_leaders(struct place *p);

#endif
