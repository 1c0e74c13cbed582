#include "plan/place.h"

#include "base/assert.h"
#include "base/mem.h"

#define LOAD_BITS 34

/* ---- loads -------------------------------------------------------------------------------- */

static uint64_t shard_load(const struct plan_shard *s)
{
    return s->load > 0 ? s->load : 1;
}

uint64_t place_units(const struct place *p, uint32_t shard)
{
    uint64_t units = shard_load(&p->shards[shard]) >> p->shift;
    return units > 0 ? units : 1;
}

/* So that the load of all replicas that there may be has at most LOAD_BITS bits. */
static unsigned shift_of(const struct plan_cluster *c)
{
    uint64_t top = 1;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        uint64_t load = shard_load(&c->shards[i]);
        top = load > top ? load : top;
    }
    uint64_t replicas = (uint64_t)c->shard_count * PLAN_REPLICAS_MAX + 1;
    unsigned shift = 0;
    while ((top >> shift) + 1 > (((uint64_t)1 << LOAD_BITS) - 1) / replicas) {
        shift++;
    }
    return shift;
}

bool place_is_emptier(const struct place *p, uint32_t a, uint64_t more_a, uint32_t b,
                      uint64_t more_b)
{
    const struct place_node *x = &p->nodes[a];
    const struct place_node *y = &p->nodes[b];
    return (x->load + more_a) * y->weight < (y->load + more_b) * x->weight;
}

bool place_is_below(const struct place *p, uint32_t node)
{
    return p->nodes[node].load * p->weight < p->load * p->nodes[node].weight;
}

bool place_is_above(const struct place *p, uint32_t node)
{
    return p->nodes[node].load * p->weight > p->load * p->nodes[node].weight;
}

uint64_t place_share(const struct place *p, uint32_t node)
{
    uint64_t part = p->load * p->nodes[node].weight;
    return p->weight == 0 ? 0 : (part + p->weight - 1) / p->weight;
}

uint32_t place_imbalance(const struct place *p)
{
    uint64_t most = 0;
    for (uint32_t n = 0; n < p->cluster->node_count && p->weight > 0; n++) {
        const struct place_node *node = &p->nodes[n];
        uint64_t low = p->load * node->weight / p->weight;
        uint64_t high = place_share(p, n);
        uint64_t off = node->load > high  ? node->load - high
                       : node->load < low ? low - node->load
                                          : 0;
        if (node->weight > 0 && off > 0) {
            uint64_t permille = off * 1000 / (low > 0 ? low : 1);
            most = permille > most ? permille : most;
        }
    }
    return most > UINT32_MAX ? UINT32_MAX : (uint32_t)most;
}

/* ---- the begin ---------------------------------------------------------------------------- */

static void count_in(struct place *p, uint32_t shard, uint32_t node)
{
    struct place_node *n = &p->nodes[node];
    n->load += place_units(p, shard);
    n->replicas++;
    n->used_replicas++;
    n->used_bytes += p->shards[shard].bytes;
    p->load += place_units(p, shard);
}

static void count_out(struct place *p, uint32_t shard, uint32_t node)
{
    p->nodes[node].load -= place_units(p, shard);
    p->nodes[node].replicas--;
    p->load -= place_units(p, shard);
}

void place_init(struct place *p, const struct plan_cluster *c, struct plan *plan)
{
    PRE(c->node_count <= PLAN_NODES_MAX);
    *p = (struct place){
        .cluster = c,
        .plan = plan,
        .shards = mem_zalloc((c->shard_count + (size_t)1) * sizeof(struct plan_shard)),
        .is_repaired = mem_zalloc((c->shard_count + (size_t)1) * sizeof(bool)),
        .nodes = mem_zalloc((c->node_count + (size_t)1) * sizeof(struct place_node)),
        .shift = shift_of(c),
        .budget = c->moves_max > 0 ? c->moves_max : UINT32_MAX,
    };
    for (uint32_t n = 0; n < c->node_count; n++) {
        PRE(c->nodes[n].weight <= PLAN_WEIGHT_MAX);
        p->nodes[n].weight = c->nodes[n].weight;
        p->nodes[n].used_bytes = c->nodes[n].leaving_bytes;
        p->nodes[n].used_replicas = c->nodes[n].leaving_replicas;
        p->weight += p->nodes[n].weight;
    }
    for (uint32_t i = 0; i < c->shard_count; i++) {
        struct plan_shard *s = &p->shards[i];
        *s = c->shards[i];
        PRE(s->replica_count <= PLAN_REPLICAS_MAX && s->wanted <= PLAN_REPLICAS_MAX);
        for (uint32_t at = 0; at < s->replica_count; at++) {
            if (s->replicas[at] != PLAN_NONE) {
                PRE(s->replicas[at] < c->node_count);
                count_in(p, i, s->replicas[at]);
            }
        }
        if (s->leader != PLAN_NONE) {
            PRE(s->leader < c->node_count);
            p->nodes[s->leader].leads++;
            p->leads++;
        }
    }
    for (uint32_t n = 0; n < c->node_count; n++) {
        p->nodes[n].is_new = p->nodes[n].weight > 0 && p->nodes[n].replicas == 0;
    }
}

void place_close(struct place *p)
{
    mem_free(p->shards);
    mem_free(p->is_repaired);
    mem_free(p->nodes);
}

/* ---- rules -------------------------------------------------------------------------------- */

bool place_holds(const struct place *p, uint32_t shard, uint32_t node)
{
    const struct plan_shard *s = &p->shards[shard];
    for (uint32_t at = 0; at < s->replica_count; at++) {
        if (s->replicas[at] == node) {
            return true;
        }
    }
    return false;
}

/* Replicas of the shard in the zone of a node, without that number `without`; and only those that
 * go before it if `is_before`: the pinned one, and else in their order. */
static uint32_t zone_count(const struct place *p, const struct plan_shard *s, uint32_t node,
                           uint32_t without, bool is_before)
{
    const struct plan_node *nodes = p->cluster->nodes;
    uint32_t count = 0;
    for (uint32_t at = 0; at < s->replica_count; at++) {
        bool is_later = is_before && at > without && s->replicas[at] != s->pin;
        count += at != without && !is_later && s->replicas[at] != PLAN_NONE &&
                 nodes[s->replicas[at]].zone == nodes[node].zone;
    }
    return count;
}

static bool zone_is_full(const struct place *p, const struct plan_shard *s, uint32_t node,
                         uint32_t without, bool is_before)
{
    return p->cluster->zone_max > 0 && p->cluster->nodes[node].zone != PLAN_NONE &&
           zone_count(p, s, node, without, is_before) >= p->cluster->zone_max;
}

static bool has_room(const struct place *p, uint32_t shard, uint32_t node)
{
    const struct plan_node *n = &p->cluster->nodes[node];
    const struct place_node *at = &p->nodes[node];
    uint64_t bytes = p->shards[shard].bytes;
    return (n->capacity_replicas == 0 || at->used_replicas < n->capacity_replicas) &&
           (n->capacity_bytes == 0 ||
            (bytes <= n->capacity_bytes && at->used_bytes <= n->capacity_bytes - bytes));
}

enum plan_why place_objection(const struct place *p, uint32_t shard, uint32_t at)
{
    const struct plan_shard *s = &p->shards[shard];
    uint32_t node = s->replicas[at];
    if (node == PLAN_NONE) {
        return PLAN_WHY_LOST;
    }
    if (p->nodes[node].weight == 0) {
        return PLAN_WHY_DRAIN;
    }
    if ((p->cluster->nodes[node].tags & s->tags) != s->tags) {
        return PLAN_WHY_TAGS;
    }
    return node != s->pin && zone_is_full(p, s, node, at, true) ? PLAN_WHY_ZONE
                                                                : (enum plan_why)0;
}

bool place_may(const struct place *p, uint32_t shard, uint32_t node, uint32_t without,
               struct plan_gap *gap)
{
    struct plan_gap unused = {0};
    const struct plan_shard *s = &p->shards[shard];
    struct plan_gap *g = gap != NULL ? gap : &unused;
    uint32_t *counter = NULL;
    if (p->nodes[node].weight == 0) {
        counter = &g->by_drain;
    } else if (place_holds(p, shard, node)) {
        counter = &g->by_holding;
    } else if ((p->cluster->nodes[node].tags & s->tags) != s->tags) {
        counter = &g->by_tags;
    } else if (zone_is_full(p, s, node, without, false)) {
        counter = &g->by_zone;
    } else if (!has_room(p, shard, node)) {
        counter = &g->by_capacity;
    }
    if (counter != NULL) {
        ++*counter;
    }
    return counter == NULL;
}

uint32_t place_best(const struct place *p, uint32_t shard, uint32_t without,
                    struct plan_gap *gap)
{
    uint32_t best = PLAN_NONE;
    uint64_t units = place_units(p, shard);
    for (uint32_t n = 0; n < p->cluster->node_count; n++) {
        if ((best == PLAN_NONE || place_is_emptier(p, n, units, best, units)) &&
            place_may(p, shard, n, without, NULL)) {
            best = n;
        }
    }
    for (uint32_t n = 0; best == PLAN_NONE && gap != NULL && n < p->cluster->node_count; n++) {
        (void)place_may(p, shard, n, without, gap);
    }
    return best;
}

/* ---- steps -------------------------------------------------------------------------------- */

static void step(struct place *p, uint32_t shard, enum plan_kind kind, enum plan_why why,
                 uint32_t from, uint32_t to)
{
    struct plan *plan = p->plan;
    if (plan->step_count == plan->step_capacity) {
        plan->step_capacity = plan->step_capacity > 0 ? plan->step_capacity * 2 : 64;
        plan->steps = mem_resize(plan->steps, plan->step_capacity * sizeof *plan->steps);
    }
    bool copies = kind == PLAN_MOVE || (kind == PLAN_ADD && why != PLAN_WHY_NEW);
    plan->steps[plan->step_count++] = (struct plan_step){
        .shard = shard,
        .kind = (uint8_t)kind,
        .why = (uint8_t)why,
        .from = from,
        .to = to,
        .bytes = copies ? p->shards[shard].bytes : 0,
    };
}

/* The copy leads where the original did: no leader is without a replica. */
static void lead_follows(struct place *p, struct plan_shard *s, uint32_t from, uint32_t to)
{
    if (s->leader == from && from != PLAN_NONE) {
        p->nodes[from].leads--;
        s->leader = to;
        if (to == PLAN_NONE) {
            p->leads--;
        } else {
            p->nodes[to].leads++;
        }
    }
}

void place_add(struct place *p, uint32_t shard, uint32_t to, enum plan_why why)
{
    struct plan_shard *s = &p->shards[shard];
    PRE(s->replica_count < PLAN_REPLICAS_MAX);
    s->replicas[s->replica_count++] = to;
    count_in(p, shard, to);
    step(p, shard, PLAN_ADD, why, PLAN_NONE, to);
}

void place_move(struct place *p, uint32_t shard, uint32_t at, uint32_t to, enum plan_why why)
{
    struct plan_shard *s = &p->shards[shard];
    uint32_t from = s->replicas[at];
    s->replicas[at] = to;
    count_out(p, shard, from);
    count_in(p, shard, to);
    lead_follows(p, s, from, to);
    step(p, shard, PLAN_MOVE, why, from, to);
}

void place_forget(struct place *p, uint32_t shard, uint32_t at)
{
    struct plan_shard *s = &p->shards[shard];
    for (s->replica_count--; at < s->replica_count; at++) {
        s->replicas[at] = s->replicas[at + 1];
    }
}

void place_drop(struct place *p, uint32_t shard, uint32_t at, enum plan_why why)
{
    struct plan_shard *s = &p->shards[shard];
    uint32_t from = s->replicas[at];
    count_out(p, shard, from);
    place_forget(p, shard, at);
    lead_follows(p, s, from, PLAN_NONE);
    step(p, shard, PLAN_DROP, why, from, PLAN_NONE);
}

void place_lead(struct place *p, uint32_t shard, uint32_t to, enum plan_why why)
{
    struct plan_shard *s = &p->shards[shard];
    uint32_t from = s->leader;
    if (from != PLAN_NONE) {
        p->nodes[from].leads--;
    } else {
        p->leads++;
    }
    s->leader = to;
    p->nodes[to].leads++;
    step(p, shard, PLAN_LEAD, why, from, to);
}
