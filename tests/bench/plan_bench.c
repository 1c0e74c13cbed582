/* How long the planner takes: 10,000 shards of 3 replicas on 100 nodes in 5 zones. One JSON line
 * per plan: what it was for, the steps, milliseconds (the best and the worst of some runs). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "plan/plan.h"

#define NODES  100
#define SHARDS 10000
#define RUNS   10

static struct plan_node nodes[NODES + 1];
static struct plan_shard shards[SHARDS];
static struct plan_cluster cluster = {
    .nodes = nodes,
    .node_count = NODES,
    .shards = shards,
    .shard_count = SHARDS,
    .zone_max = 1,
    .target_permille = 0,
};

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void measure(const char *what, enum plan_goal goal, struct plan *last)
{
    double best = 1e9;
    double worst = 0;
    for (int run = 0; run < RUNS; run++) {
        double begin = now_ms();
        plan_close(last);
        plan_make(&cluster, goal, last);
        double took = now_ms() - begin;
        best = took < best ? took : best;
        worst = took > worst ? took : worst;
    }
    (void)printf("{\"bench\":\"plan\",\"what\":\"%s\",\"steps\":%u,\"best_ms\":%.2f,"
                 "\"worst_ms\":%.2f}\n",
                 what, last->step_count, best, worst);
}

static void carry_out(const struct plan *p)
{
    for (uint32_t i = 0; i < p->step_count; i++) {
        struct plan_shard *s = &shards[p->steps[i].shard];
        if (p->steps[i].kind == PLAN_ADD) {
            s->replicas[s->replica_count++] = p->steps[i].to;
        } else if (p->steps[i].kind == PLAN_LEAD) {
            s->leader = p->steps[i].to;
        }
    }
}

static void lose(uint32_t node)
{
    nodes[node].weight = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct plan_shard *s = &shards[i];
        for (uint32_t at = 0; at < s->replica_count; at++) {
            s->replicas[at] = s->replicas[at] == node ? PLAN_NONE : s->replicas[at];
        }
        s->leader = s->leader == node ? PLAN_NONE : s->leader;
    }
}

int main(void)
{
    struct plan p = {0};
    for (uint32_t n = 0; n <= NODES; n++) {
        nodes[n] = (struct plan_node){.zone = n % 5, .weight = 100};
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        shards[i] = (struct plan_shard){
            .wanted = 3, .leader = PLAN_NONE, .pin = PLAN_NONE, .bytes = 1 << 30, .load = 1};
    }
    measure("new map", PLAN_REPAIR, &p);
    carry_out(&p);
    cluster.node_count = NODES + 1;
    measure("node joins", PLAN_FILL, &p);
    measure("balance after join", PLAN_BALANCE, &p);
    cluster.node_count = NODES;
    lose(7);
    measure("node lost", PLAN_REPAIR, &p);
    plan_close(&p);
    return EXIT_SUCCESS;
}
