/* The planner over 10,000 random clusters: zones, tags, pins, weights, capacities, nodes that are
 * lost, join and drain. Whatever it plans is carried out on a naive copy and looked at from
 * outside: no rule may be broken by a step, each gap must be one (no node would have done), and
 * nothing may move without a reason. PLAN_CLUSTERS sets how many, PLAN_SEED the first seed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "plan/plan.h"
#include "tests/support/check_main.h"

#define NODES_MAX  24
#define SHARDS_MAX 120
#define ZONES      4

struct world {
    struct plan_node nodes[NODES_MAX];
    struct plan_shard shards[SHARDS_MAX];
    struct plan_cluster c;
    uint64_t used_bytes[NODES_MAX]; /* as the planner counts: it only grows during a plan */
    uint32_t used_replicas[NODES_MAX];
    bool is_plain; /* equal nodes and shards, no rules */
};

/* Check's own assertions write to a pipe each time; there are millions here. */
#define must(cond)                                                \
    do {                                                          \
        if (!(cond)) {                                            \
            ck_abort_msg("cluster %" PRIu64 ": %s", seed, #cond); \
        }                                                         \
    } while (0)

static struct world w;
static struct rng rng;
static uint64_t seed; /* of this cluster */

static uint32_t below(uint32_t bound)
{
    return (uint32_t)rng_below(&rng, bound);
}

/* ---- worlds ------------------------------------------------------------------------------- */

static void world_node(uint32_t n)
{
    w.nodes[n] = (struct plan_node){.zone = PLAN_NONE, .weight = 100};
    if (w.is_plain) {
        return;
    }
    w.nodes[n].zone = below(5) == 0 ? PLAN_NONE : below(ZONES);
    w.nodes[n].weight = below(8) == 0 ? 0 : 50 * (1 + below(4));
    w.nodes[n].tags = rng_next(&rng) & 3;
    w.nodes[n].capacity_replicas = below(4) == 0 ? 1 + below(40) : 0;
    w.nodes[n].capacity_bytes = below(4) == 0 ? 1000 + below(20000) : 0;
}

static void world_shard(uint32_t i, uint32_t replicas)
{
    w.shards[i] = (struct plan_shard){
        .wanted = replicas,
        .leader = PLAN_NONE,
        .pin = PLAN_NONE,
        .bytes = 100,
        .load = 1,
    };
    if (w.is_plain) {
        return;
    }
    w.shards[i].bytes = below(1000);
    w.shards[i].load = below(2) == 0 ? 1 : below(50);
    w.shards[i].tags = below(4) == 0 ? 1 : 0;
    w.shards[i].pin = below(10) == 0 ? below(w.c.node_count) : PLAN_NONE;
    w.shards[i].wanted = below(10) == 0 ? 1 + below(5) : replicas;
}

static void world_make(bool is_plain)
{
    w.is_plain = is_plain;
    w.c = (struct plan_cluster){
        .nodes = w.nodes,
        .node_count = 2 + below(NODES_MAX - 4),
        .shards = w.shards,
        .shard_count = below(10) == 0 ? below(3) : below(SHARDS_MAX),
        .zone_max = is_plain ? 0 : below(3),
        .target_permille = is_plain ? 0 : 100,
        .bandwidth_bytes_s = 1000,
        .concurrent_max = 2,
    };
    for (uint32_t n = 0; n < w.c.node_count; n++) {
        world_node(n);
    }
    uint32_t replicas = 1 + below(w.c.node_count < 4 ? w.c.node_count : 4);
    for (uint32_t i = 0; i < w.c.shard_count; i++) {
        world_shard(i, replicas);
    }
}

static uint32_t replica_at(const struct plan_shard *s, uint32_t node)
{
    uint32_t at = 0;
    while (at < s->replica_count && s->replicas[at] != node) {
        at++;
    }
    return at;
}

static void shard_drop(struct plan_shard *s, uint32_t at)
{
    must(at < s->replica_count);
    s->replica_count--;
    memmove(&s->replicas[at], &s->replicas[at + 1],
            (s->replica_count - at) * sizeof s->replicas[0]);
}

/* ---- the rules, said once more ------------------------------------------------------------ */

static uint32_t in_zone(const struct plan_shard *s, uint32_t zone, uint32_t but)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < s->replica_count; at++) {
        count += s->replicas[at] != but && s->replicas[at] != PLAN_NONE &&
                 w.nodes[s->replicas[at]].zone == zone;
    }
    return count;
}

/* Whether a node could take a replica of the shard, if the one on `but` were not there. */
static bool could_hold(const struct plan_shard *s, uint32_t node, uint32_t but)
{
    const struct plan_node *n = &w.nodes[node];
    bool zone_is_full =
        w.c.zone_max > 0 && n->zone != PLAN_NONE && in_zone(s, n->zone, but) >= w.c.zone_max;
    bool bytes_fit =
        n->capacity_bytes == 0 || w.used_bytes[node] + s->bytes <= n->capacity_bytes;
    bool count_fits = n->capacity_replicas == 0 || w.used_replicas[node] < n->capacity_replicas;
    return n->weight > 0 && replica_at(s, node) == s->replica_count &&
           (n->tags & s->tags) == s->tags && !zone_is_full && bytes_fit && count_fits;
}

static void step_carry_out(const struct plan_step *step)
{
    struct plan_shard *s = &w.shards[step->shard];
    must(!s->is_moving);
    if (step->kind == PLAN_LEAD) {
        must(replica_at(s, step->to) < s->replica_count);
        must(step->from == s->leader);
        s->leader = step->to;
        return;
    }
    if (step->to != PLAN_NONE) {
        must(could_hold(s, step->to, step->from));
        w.used_bytes[step->to] += s->bytes;
        w.used_replicas[step->to]++;
    }
    if (step->kind == PLAN_MOVE) {
        uint32_t at = replica_at(s, step->from);
        must(at < s->replica_count);
        s->replicas[at] = step->to;
        s->leader = s->leader == step->from ? step->to : s->leader;
    } else if (step->kind == PLAN_ADD) {
        s->replicas[s->replica_count++] = step->to;
    } else {
        shard_drop(s, replica_at(s, step->from));
        s->leader = s->leader == step->from ? PLAN_NONE : s->leader;
    }
}

static void usage_count(void)
{
    memset(w.used_bytes, 0, sizeof w.used_bytes);
    memset(w.used_replicas, 0, sizeof w.used_replicas);
    for (uint32_t i = 0; i < w.c.shard_count; i++) {
        struct plan_shard *s = &w.shards[i];
        for (uint32_t at = 0; at < s->replica_count; at++) {
            if (s->replicas[at] != PLAN_NONE) {
                w.used_bytes[s->replicas[at]] += s->bytes;
                w.used_replicas[s->replicas[at]]++;
            }
        }
    }
}

static void lost_forget(void)
{
    for (uint32_t i = 0; i < w.c.shard_count; i++) {
        struct plan_shard *s = &w.shards[i];
        for (uint32_t at = s->replica_count; !s->is_moving && at-- > 0;) {
            if (s->replicas[at] == PLAN_NONE) {
                shard_drop(s, at);
            }
        }
    }
}

/* A gap is one: no node would do for it now, at the end, with even more room taken. */
static void gap_check(const struct plan_gap *gap)
{
    const struct plan_shard *s = &w.shards[gap->shard];
    must(gap->shard < w.c.shard_count);
    must(plan_why_name(gap->why) != NULL);
    if (gap->why == PLAN_WHY_PIN) {
        bool is_there = replica_at(s, s->pin) < s->replica_count;
        must(!is_there);
        return;
    }
    for (uint32_t n = 0; n < w.c.node_count; n++) {
        must(!could_hold(s, n, gap->node));
    }
}

/* After a repair, what is wrong is a gap. */
static void repaired_check(const struct plan *p)
{
    uint32_t wrong = 0;
    uint32_t crowded = 0; /* may be wrong in another way too, then it is one gap */
    uint32_t pins = 0;
    for (uint32_t i = 0; i < w.c.shard_count; i++) {
        const struct plan_shard *s = &w.shards[i];
        if (s->is_moving) {
            continue;
        }
        for (uint32_t at = 0; at < s->replica_count; at++) {
            const struct plan_node *n = &w.nodes[s->replicas[at]];
            wrong += n->weight == 0 || (n->tags & s->tags) != s->tags;
        }
        for (uint32_t zone = 0; w.c.zone_max > 0 && zone < ZONES; zone++) {
            uint32_t count = in_zone(s, zone, PLAN_NONE);
            crowded += count > w.c.zone_max ? count - w.c.zone_max : 0;
        }
        must(s->replica_count <= s->wanted);
        wrong += s->wanted - s->replica_count;
        pins +=
            s->pin != PLAN_NONE && s->wanted > 0 && replica_at(s, s->pin) == s->replica_count;
        must((s->leader == PLAN_NONE) == (s->replica_count == 0));
    }
    uint32_t pin_gaps = 0;
    for (uint32_t i = 0; i < p->gap_count; i++) {
        pin_gaps += p->gaps[i].why == PLAN_WHY_PIN;
    }
    must(wrong <= p->gap_count - pin_gaps);
    must(crowded <= p->gap_count - pin_gaps);
    must(pins <= p->gap_count);
}

/* Of the plan before: moves free room only once they are done, so then there may be more to do. */
static bool had_no_room;

/* Plans, carries it out, checks what holds for every plan. The caller frees it. */
static void plan_and_do(enum plan_goal goal, struct plan *p)
{
    usage_count();
    uint32_t before = plan_imbalance(&w.c);
    plan_make(&w.c, goal, p);
    must(p->imbalance_permille == before);
    lost_forget();
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < p->step_count; i++) {
        must(plan_why_name(p->steps[i].why) != NULL);
        must(plan_kind_name(p->steps[i].kind) != NULL);
        step_carry_out(&p->steps[i]);
        bytes += p->steps[i].bytes;
    }
    must(bytes == p->bytes);
    had_no_room = false;
    for (uint32_t i = 0; i < p->gap_count; i++) {
        gap_check(&p->gaps[i]);
        had_no_room = had_no_room || p->gaps[i].by_capacity > 0;
    }
    repaired_check(p);
    must(p->result_permille == plan_imbalance(&w.c));
}

static void nothing_left(enum plan_goal goal)
{
    struct plan p;
    if (had_no_room) {
        return;
    }
    plan_and_do(goal, &p);
    if (p.step_count > 0) {
        ck_abort_msg("cluster %" PRIu64 ": %s of shard %u from %d to %d: %s", seed,
                     plan_kind_name(p.steps[0].kind), p.steps[0].shard, (int)p.steps[0].from,
                     (int)p.steps[0].to, plan_why_name(p.steps[0].why));
    }
    plan_close(&p);
}

/* ---- what happens to clusters ------------------------------------------------------------- */

/* The node is not there any more; those behind it keep their numbers. */
static uint32_t lose(uint32_t node, bool *was_lost)
{
    uint32_t lost = 0;
    for (uint32_t i = 0; i < w.c.shard_count; i++) {
        struct plan_shard *s = &w.shards[i];
        uint32_t at = replica_at(s, node);
        was_lost[i] = at < s->replica_count;
        if (was_lost[i]) {
            s->replicas[at] = PLAN_NONE;
            lost++;
        }
        s->leader = s->leader == node ? PLAN_NONE : s->leader;
        s->pin = s->pin == node ? PLAN_NONE : s->pin;
    }
    w.nodes[node].weight = 0;
    return lost;
}

static void check_loss(void)
{
    struct plan p;
    bool was_lost[SHARDS_MAX];
    plan_and_do(PLAN_REPAIR, &p);
    bool was_whole = p.step_count == 0 && p.gap_count == 0;
    plan_close(&p);
    uint32_t lost = lose(below(w.c.node_count), was_lost);
    plan_and_do(PLAN_REPAIR, &p);
    uint32_t made = 0;
    for (uint32_t i = 0; i < p.step_count; i++) {
        const struct plan_step *step = &p.steps[i];
        must(!was_whole || was_lost[step->shard]);
        must(!was_whole || step->kind == PLAN_ADD || step->kind == PLAN_LEAD);
        must(!was_whole || step->kind != PLAN_ADD || step->why == PLAN_WHY_LOST);
        made += step->why == PLAN_WHY_LOST;
    }
    must(!was_whole || made <= lost);
    must(!w.is_plain || made == lost || p.gap_count > 0);
    plan_close(&p);
    nothing_left(PLAN_REPAIR);
}

static void check_join(bool is_balanced)
{
    struct plan p;
    uint64_t replicas = 0;
    uint32_t nodes = 0; /* that take part */
    bool was_empty[NODES_MAX];
    uint32_t joined = w.c.node_count++;
    for (uint32_t n = 0; n < joined; n++) {
        nodes += w.nodes[n].weight > 0;
    }
    world_node(joined);
    for (uint32_t i = 0; i < w.c.shard_count; i++) {
        replicas += w.shards[i].replica_count;
    }
    usage_count();
    for (uint32_t n = 0; n < w.c.node_count; n++) {
        was_empty[n] = w.used_replicas[n] == 0;
    }
    plan_and_do(PLAN_FILL, &p);
    uint32_t filled = 0;
    for (uint32_t i = 0; i < p.step_count; i++) {
        const struct plan_step *step = &p.steps[i];
        filled += step->why == PLAN_WHY_FILL && step->to == joined;
        if (w.is_plain) {
            must(step->why == PLAN_WHY_FILL);
            must(step->kind == PLAN_MOVE);
            must(was_empty[step->to] && (step->to == joined || !is_balanced));
        }
    }
    if (w.is_plain) {
        must(filled <= (replicas + nodes) / (nodes + 1));
        must(!is_balanced || filled >= replicas / (nodes + 1) || filled == w.c.shard_count);
    }
    plan_close(&p);
    if (w.is_plain) {
        nothing_left(PLAN_FILL);
    }
}

static void check_balance(void)
{
    struct plan p;
    uint64_t load[NODES_MAX] = {0};
    uint64_t total = 0;
    uint64_t above = 0;
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < w.c.shard_count; i++) {
        for (uint32_t at = 0; at < w.shards[i].replica_count; at++) {
            load[w.shards[i].replicas[at]]++;
            total++;
        }
    }
    for (uint32_t n = 0; n < w.c.node_count; n++) {
        nodes += w.nodes[n].weight > 0;
    }
    for (uint32_t n = 0; n < w.c.node_count && nodes > 0; n++) {
        above += load[n] > total / nodes ? load[n] - total / nodes : 0;
    }
    plan_and_do(PLAN_BALANCE, &p);
    uint32_t moves = 0;
    for (uint32_t i = 0; i < p.step_count; i++) {
        moves += p.steps[i].kind == PLAN_MOVE;
    }
    must(!w.is_plain || moves <= above);
    must(!w.is_plain || p.result_permille <= p.imbalance_permille);
    plan_close(&p);
    if (w.is_plain) {
        nothing_left(PLAN_BALANCE);
    }
}

/* Somebody puts replicas where they like, within the rules of one per node. */
static void shuffle(void)
{
    for (uint32_t i = 0; i < w.c.shard_count; i++) {
        struct plan_shard *s = &w.shards[i];
        uint32_t to = below(w.c.node_count);
        bool may =
            replica_at(s, to) == s->replica_count && (w.nodes[to].weight > 0 || !w.is_plain);
        if (s->replica_count > 0 && below(2) == 0 && may) {
            uint32_t at = below(s->replica_count);
            s->leader = s->leader == s->replicas[at] ? to : s->leader;
            s->replicas[at] = to;
        }
        s->is_moving = below(20) == 0 && s->leader != PLAN_NONE && !w.is_plain;
    }
}

static void change_rules(void)
{
    for (uint32_t i = 0; i < w.c.shard_count && !w.is_plain; i++) {
        w.shards[i].tags = below(6) == 0 ? 2 : w.shards[i].tags;
        w.shards[i].wanted = below(6) == 0 ? below(5) : w.shards[i].wanted;
    }
    for (uint32_t n = 0; n < w.c.node_count && !w.is_plain; n++) {
        w.nodes[n].weight = below(10) == 0 ? 0 : w.nodes[n].weight;
    }
}

static void run_cluster(bool is_plain)
{
    struct plan p;
    world_make(is_plain);
    plan_and_do(PLAN_REPAIR, &p); /* all is new */
    plan_close(&p);
    nothing_left(PLAN_REPAIR);
    check_join(true);
    check_loss();
    shuffle();
    check_balance();
    shuffle();
    check_join(false);
    change_rules();
    check_balance();
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

START_TEST(plans_of_random_clusters_keep_the_rules_and_move_only_what_they_must)
{
    uint64_t clusters = number_of("PLAN_CLUSTERS", 10000);
    seed = number_of("PLAN_SEED", 1);
    for (uint64_t i = 0; i < clusters; i++, seed++) {
        rng_init(&rng, seed);
        run_cluster(seed % 2 == 0);
    }
}
END_TEST

static Suite *plan_model_suite(void)
{
    Suite *s = suite_create("plan_model");
    TCase *t = tcase_create("random");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, plans_of_random_clusters_keep_the_rules_and_move_only_what_they_must);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){plan_model_suite, NULL});
}
