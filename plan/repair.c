/* What has to be done whatever it costs: replicas that are lost, missing, too many, or where a rule
 * forbids them. One shard after the other, each replica once; what has no place is a gap. */
#include "base/mem.h"
#include "plan/place.h"

static void gap_add(struct place *p, const struct plan_gap *gap)
{
    struct plan *plan = p->plan;
    if (plan->gap_count == plan->gap_capacity) {
        plan->gap_capacity = plan->gap_capacity > 0 ? plan->gap_capacity * 2 : 16;
        plan->gaps = mem_resize(plan->gaps, plan->gap_capacity * sizeof *plan->gaps);
    }
    plan->gaps[plan->gap_count++] = *gap;
}

/* Those that are gone; returns how many were. */
static uint32_t forget_lost(struct place *p, uint32_t shard)
{
    uint32_t lost = 0;
    for (uint32_t at = p->shards[shard].replica_count; at-- > 0;) {
        if (p->shards[shard].replicas[at] == PLAN_NONE) {
            place_forget(p, shard, at);
            lost++;
        }
    }
    return lost;
}

/* Which one to do without: first one where a rule forbids it, then not the leader nor the pinned,
 * then the one on the fullest node. */
static uint32_t surplus_pick(const struct place *p, uint32_t shard)
{
    const struct plan_shard *s = &p->shards[shard];
    uint32_t pick = 0;
    uint32_t pick_rank = 0;
    for (uint32_t at = 0; at < s->replica_count; at++) {
        uint32_t node = s->replicas[at];
        bool is_kept = node == s->leader || node == s->pin;
        uint32_t rank = place_objection(p, shard, at) != 0 ? 3 : is_kept ? 1 : 2;
        bool is_fuller =
            p->nodes[node].weight == 0 || place_is_emptier(p, s->replicas[pick], 0, node, 0);
        if (rank > pick_rank || (rank == pick_rank && is_fuller)) {
            pick = at;
            pick_rank = rank;
        }
    }
    return pick;
}

/* Brings a replica to the node that the shard is pinned to: the one that may not stay where it is,
 * else one of the same zone, else any but the leader. */
static void repair_pin(struct place *p, uint32_t shard, uint32_t lost)
{
    const struct plan_shard *s = &p->shards[shard];
    if (s->pin == PLAN_NONE || s->wanted == 0 || place_holds(p, shard, s->pin)) {
        return;
    }
    if (s->replica_count < s->wanted && place_may(p, shard, s->pin, PLAN_NONE, NULL)) {
        bool is_new = lost == 0 && s->replica_count == 0;
        place_add(p, shard, s->pin,
                  lost > 0 ? PLAN_WHY_LOST
                  : is_new ? PLAN_WHY_NEW
                           : PLAN_WHY_PIN);
        return;
    }
    uint32_t pick = PLAN_NONE;
    uint32_t pick_rank = 0;
    for (uint32_t at = 0; at < s->replica_count; at++) {
        uint32_t node = s->replicas[at];
        uint32_t rank = place_objection(p, shard, at) != 0 ? 3 : node != s->leader ? 2 : 1;
        if (rank > pick_rank && place_may(p, shard, s->pin, at, NULL)) {
            pick = at;
            pick_rank = rank;
        }
    }
    if (pick != PLAN_NONE) {
        place_move(p, shard, pick, s->pin, PLAN_WHY_PIN);
    }
}

static void report_pin(struct place *p, uint32_t shard)
{
    const struct plan_shard *s = &p->shards[shard];
    if (s->pin != PLAN_NONE && s->wanted > 0 && !place_holds(p, shard, s->pin)) {
        struct plan_gap gap = {.shard = shard, .why = PLAN_WHY_PIN, .node = PLAN_NONE};
        (void)place_may(p, shard, s->pin, PLAN_NONE, &gap);
        gap_add(p, &gap);
    }
}

/* Whether one was moved: that may have made room in its zone for the others. */
static bool move_misplaced(struct place *p, uint32_t shard)
{
    bool has_moved = false;
    for (uint32_t at = 0; at < p->shards[shard].replica_count; at++) {
        enum plan_why why = place_objection(p, shard, at);
        uint32_t to = why != 0 ? place_best(p, shard, at, NULL) : PLAN_NONE;
        if (to != PLAN_NONE) {
            place_move(p, shard, at, to, why);
            has_moved = true;
        }
    }
    return has_moved;
}

static void repair_misplaced(struct place *p, uint32_t shard)
{
    while (move_misplaced(p, shard)) {
    }
    for (uint32_t at = 0; at < p->shards[shard].replica_count; at++) {
        enum plan_why why = place_objection(p, shard, at);
        if (why != 0) {
            uint32_t node = p->shards[shard].replicas[at];
            struct plan_gap gap = {.shard = shard, .why = (uint8_t)why, .node = node};
            (void)place_best(p, shard, at, &gap);
            gap_add(p, &gap);
        }
    }
}

static void repair_missing(struct place *p, uint32_t shard, uint32_t lost, bool is_new)
{
    const struct plan_shard *s = &p->shards[shard];
    uint32_t missing = s->wanted > s->replica_count ? s->wanted - s->replica_count : 0;
    for (; missing > 0; missing--) {
        enum plan_why why = lost > 0 ? PLAN_WHY_LOST : is_new ? PLAN_WHY_NEW : PLAN_WHY_MISSING;
        struct plan_gap gap = {.shard = shard, .why = (uint8_t)why, .node = PLAN_NONE};
        uint32_t to = place_best(p, shard, PLAN_NONE, &gap);
        lost -= lost > 0;
        if (to != PLAN_NONE) {
            place_add(p, shard, to, why);
        } else {
            gap_add(p, &gap);
        }
    }
}

void repair_shards(struct place *p)
{
    for (uint32_t i = 0; i < p->cluster->shard_count; i++) {
        struct plan_shard *s = &p->shards[i];
        if (s->is_moving) {
            continue;
        }
        bool is_new = s->replica_count == 0;
        uint32_t steps = p->plan->step_count;
        uint32_t lost = forget_lost(p, i);
        while (s->replica_count > s->wanted) {
            place_drop(p, i, surplus_pick(p, i), PLAN_WHY_SURPLUS);
        }
        repair_pin(p, i, lost);
        repair_misplaced(p, i);
        repair_missing(p, i, lost, is_new);
        repair_pin(p, i, 0); /* others may have made room */
        report_pin(p, i);
        p->is_repaired[i] = p->plan->step_count > steps;
    }
}

/* A shard without a leader gets the replica whose node leads the least for its weight. */
void repair_leaders(struct place *p)
{
    for (uint32_t i = 0; i < p->cluster->shard_count; i++) {
        const struct plan_shard *s = &p->shards[i];
        if (s->leader != PLAN_NONE || s->is_moving) {
            continue;
        }
        uint32_t best = PLAN_NONE;
        for (uint32_t at = 0; at < s->replica_count; at++) {
            uint32_t node = s->replicas[at];
            const struct place_node *n = &p->nodes[node];
            const struct place_node *b = best != PLAN_NONE ? &p->nodes[best] : NULL;
            if (node != PLAN_NONE && (b == NULL || ((uint64_t)n->leads + 1) * b->weight <
                                                       ((uint64_t)b->leads + 1) * n->weight)) {
                best = node;
            }
        }
        if (best != PLAN_NONE) {
            place_lead(p, i, best, PLAN_WHY_NEW);
        }
    }
}
