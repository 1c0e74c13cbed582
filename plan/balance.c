/* From where there is too much to where there is too little.
 *
 * A move takes from a node above its share, gives to a node below it, and leaves the receiver less
 * full than the giver was: so the fullest only falls, and with loads of one unit no more moves are
 * made than there are replicas above shares. What a repair has changed is left alone. Replicas that
 * do not lead go before those that do. */
#include "base/mem.h"
#include "plan/place.h"

/* Which shards have a replica where, as it was when the list was made. */
struct held {
    uint32_t *shards;
    uint32_t *begin; /* per node, and the end of the last */
};

/* What came by this plan stays, and where one has left by it none comes: its steps are not over
 * when it is begun. */
static bool was_there(const struct place *p, uint32_t shard, uint32_t node)
{
    const struct plan_shard *s = &p->cluster->shards[shard];
    for (uint32_t at = 0; at < s->replica_count; at++) {
        if (s->replicas[at] == node) {
            return true;
        }
    }
    return false;
}

static void held_add(struct held *h, const struct place *p, uint32_t *next, bool leads)
{
    for (uint32_t i = 0; i < p->cluster->shard_count; i++) {
        const struct plan_shard *s = &p->shards[i];
        for (uint32_t at = 0; at < s->replica_count && !s->is_moving; at++) {
            uint32_t node = s->replicas[at];
            if (node != PLAN_NONE && !p->is_repaired[i] && s->pin != node &&
                (s->leader == node) == leads && was_there(p, i, node)) {
                h->shards[next[node]++] = i;
            }
        }
    }
}

static void held_init(struct held *h, const struct place *p)
{
    uint32_t count = p->cluster->node_count;
    uint32_t *next = mem_zalloc((count + (size_t)1) * sizeof *next);
    h->begin = mem_zalloc((count + (size_t)1) * sizeof *h->begin);
    for (uint32_t n = 0; n < count; n++) {
        next[n] = h->begin[n];
        h->begin[n + 1] = h->begin[n] + p->nodes[n].replicas;
    }
    h->shards = mem_alloc((h->begin[count] + (size_t)1) * sizeof *h->shards);
    for (uint32_t at = 0; at < h->begin[count]; at++) {
        h->shards[at] = PLAN_NONE;
    }
    held_add(h, p, next, false);
    held_add(h, p, next, true);
    mem_free(next);
}

static void held_close(struct held *h)
{
    mem_free(h->shards);
    mem_free(h->begin);
}

static uint32_t replica_at(const struct plan_shard *s, uint32_t node)
{
    uint32_t at = 0;
    while (at < s->replica_count && s->replicas[at] != node) {
        at++;
    }
    return at < s->replica_count ? at : PLAN_NONE;
}

/* The number of the replica that may move so, or PLAN_NONE. */
static uint32_t movable(const struct place *p, uint32_t shard, uint32_t from, uint32_t to)
{
    uint32_t at = shard == PLAN_NONE ? PLAN_NONE : replica_at(&p->shards[shard], from);
    if (at == PLAN_NONE || was_there(p, shard, to) || !place_may(p, shard, to, at, NULL)) {
        return PLAN_NONE;
    }
    uint64_t units = place_units(p, shard);
    return place_is_emptier(p, to, units, from, 0) ? at : PLAN_NONE;
}

/* ---- nodes that hold nothing -------------------------------------------------------------- */

/* The fullest node that is not new and has not been through. */
static uint32_t fullest_giver(const struct place *p, const struct held *h, const uint32_t *next)
{
    uint32_t pick = PLAN_NONE;
    for (uint32_t n = 0; n < p->cluster->node_count; n++) {
        if (p->nodes[n].weight > 0 && !p->nodes[n].is_new && next[n] < h->begin[n + 1] &&
            place_is_above(p, n) && (pick == PLAN_NONE || place_is_emptier(p, pick, 0, n, 0))) {
            pick = n;
        }
    }
    return pick;
}

static void fill(struct place *p, const struct held *h, uint32_t to)
{
    uint32_t *next = mem_dup(h->begin, (p->cluster->node_count + (size_t)1) * sizeof *next);
    uint64_t share = place_share(p, to);
    while (p->budget > 0) {
        uint32_t from = fullest_giver(p, h, next);
        if (from == PLAN_NONE) {
            break;
        }
        uint32_t shard = h->shards[next[from]++];
        uint32_t at = movable(p, shard, from, to);
        if (at != PLAN_NONE && p->nodes[to].load + place_units(p, shard) <= share) {
            place_move(p, shard, at, to, PLAN_WHY_FILL);
            p->budget--;
        }
    }
    mem_free(next);
}

/* Returns whether anything was moved: what one new node took may let another take more. */
static bool fill_all(struct place *p)
{
    struct held h;
    uint32_t budget = p->budget;
    held_init(&h, p);
    for (uint32_t n = 0; n < p->cluster->node_count; n++) {
        if (p->nodes[n].is_new) {
            fill(p, &h, n);
        }
    }
    held_close(&h);
    return p->budget < budget;
}

void balance_fill(struct place *p)
{
    while (fill_all(p)) {
    }
}

/* ---- replicas ----------------------------------------------------------------------------- */

static uint32_t fullest(const struct place *p, const bool *is_done)
{
    uint32_t pick = PLAN_NONE;
    for (uint32_t n = 0; n < p->cluster->node_count; n++) {
        if (!is_done[n] && p->nodes[n].weight > 0 && place_is_above(p, n) &&
            (pick == PLAN_NONE || place_is_emptier(p, pick, 0, n, 0))) {
            pick = n;
        }
    }
    return pick;
}

/* The emptiest below its share that was not tried. */
static uint32_t emptiest(const struct place *p, const bool *is_tried)
{
    uint32_t pick = PLAN_NONE;
    for (uint32_t n = 0; n < p->cluster->node_count; n++) {
        if (!is_tried[n] && p->nodes[n].weight > 0 && place_is_below(p, n) &&
            (pick == PLAN_NONE || place_is_emptier(p, n, 0, pick, 0))) {
            pick = n;
        }
    }
    return pick;
}

/* Moves one replica away from the node to the emptiest that takes one. */
static bool relieve(struct place *p, const struct held *h, uint32_t from, bool *is_tried)
{
    uint32_t to;
    for (uint32_t n = 0; n < p->cluster->node_count; n++) {
        is_tried[n] = false;
    }
    while ((to = emptiest(p, is_tried)) != PLAN_NONE) {
        for (uint32_t i = h->begin[from]; i < h->begin[from + 1]; i++) {
            uint32_t at = movable(p, h->shards[i], from, to);
            if (at != PLAN_NONE) {
                place_move(p, h->shards[i], at, to, PLAN_WHY_BALANCE);
                h->shards[i] = PLAN_NONE;
                return true;
            }
        }
        is_tried[to] = true;
    }
    return false;
}

void balance_replicas(struct place *p)
{
    struct held h;
    uint32_t from;
    bool *is_done = mem_zalloc(p->cluster->node_count + (size_t)1);
    bool *is_tried = mem_zalloc(p->cluster->node_count + (size_t)1);
    held_init(&h, p);
    while (p->budget > 0 && place_imbalance(p) > p->cluster->target_permille &&
           (from = fullest(p, is_done)) != PLAN_NONE) {
        if (relieve(p, &h, from, is_tried)) {
            p->budget--;
        } else {
            is_done[from] = true;
        }
    }
    held_close(&h);
    mem_free(is_done);
    mem_free(is_tried);
}

/* ---- leaders ------------------------------------------------------------------------------ */

static uint64_t lead_share(const struct place *p, uint32_t node, bool up)
{
    uint64_t part = p->leads * p->nodes[node].weight;
    return p->weight == 0 ? 0 : (part + (up ? p->weight - 1 : 0)) / p->weight;
}

static bool leaders_are_balanced(const struct place *p)
{
    for (uint32_t n = 0; n < p->cluster->node_count; n++) {
        uint64_t share = lead_share(p, n, true);
        if (p->nodes[n].weight > 0 && p->nodes[n].leads > share &&
            (p->nodes[n].leads - share) * 1000 > share * p->cluster->target_permille) {
            return false;
        }
    }
    return true;
}

/* The replica whose node leads the least for its weight, and less than it should. */
static uint32_t better_leader(const struct place *p, const struct plan_shard *s)
{
    uint32_t pick = PLAN_NONE;
    for (uint32_t at = 0; at < s->replica_count; at++) {
        uint32_t n = s->replicas[at];
        if (n == PLAN_NONE || n == s->leader || p->nodes[n].weight == 0 ||
            p->nodes[n].leads >= lead_share(p, n, false)) {
            continue;
        }
        if (pick == PLAN_NONE || (uint64_t)p->nodes[n].leads * p->nodes[pick].weight <
                                     (uint64_t)p->nodes[pick].leads * p->nodes[n].weight) {
            pick = n;
        }
    }
    return pick;
}

void balance_leaders(struct place *p)
{
    for (uint32_t i = 0; i < p->cluster->shard_count && !leaders_are_balanced(p); i++) {
        const struct plan_shard *s = &p->shards[i];
        if (s->is_moving || p->is_repaired[i] || s->leader == PLAN_NONE ||
            p->nodes[s->leader].leads <= lead_share(p, s->leader, true)) {
            continue;
        }
        uint32_t to = better_leader(p, s);
        if (to != PLAN_NONE) {
            place_lead(p, i, to, PLAN_WHY_BALANCE);
        }
    }
}
