/* Small plans that can be told by hand, and the size that has to be planned quickly. */
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"
#include "tests/support/check_main.h"

static struct plan_node nodes[PLAN_NODES_MAX];
static struct plan_shard *shards;
static struct plan_cluster c;

static void cluster(uint32_t node_count, uint32_t shard_count, uint32_t replicas)
{
    shards = calloc(shard_count, sizeof *shards);
    ck_assert_ptr_nonnull(shards);
    for (uint32_t n = 0; n < node_count; n++) {
        nodes[n] = (struct plan_node){.zone = PLAN_NONE, .weight = 100};
    }
    for (uint32_t i = 0; i < shard_count; i++) {
        shards[i].wanted = replicas;
        shards[i].leader = PLAN_NONE;
        shards[i].pin = PLAN_NONE;
        shards[i].bytes = 1000;
    }
    c = (struct plan_cluster){
        .nodes = nodes,
        .node_count = node_count,
        .shards = shards,
        .shard_count = shard_count,
    };
}

/* Carries out what is there to be done, without the rules the model test looks at. */
static void carry_out(enum plan_goal goal)
{
    struct plan p;
    plan_make(&c, goal, &p);
    for (uint32_t i = 0; i < p.step_count; i++) {
        struct plan_shard *s = &shards[p.steps[i].shard];
        if (p.steps[i].kind == PLAN_ADD) {
            s->replicas[s->replica_count++] = p.steps[i].to;
        } else if (p.steps[i].kind == PLAN_LEAD) {
            s->leader = p.steps[i].to;
        }
    }
    plan_close(&p);
}

static uint32_t count_kind(const struct plan *p, enum plan_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->step_count; i++) {
        count += p->steps[i].kind == kind;
    }
    return count;
}

START_TEST(a_new_map_spreads_replicas_and_leaders_evenly)
{
    struct plan p;
    uint32_t replicas[3] = {0};
    uint32_t leads[3] = {0};
    cluster(3, 9, 2);
    plan_make(&c, PLAN_REPAIR, &p);
    for (uint32_t i = 0; i < p.step_count; i++) {
        ck_assert_uint_eq(p.steps[i].why, PLAN_WHY_NEW);
        ck_assert_uint_eq(p.steps[i].bytes, 0);
        replicas[p.steps[i].to] += p.steps[i].kind == PLAN_ADD;
        leads[p.steps[i].to] += p.steps[i].kind == PLAN_LEAD;
    }
    for (uint32_t n = 0; n < 3; n++) {
        ck_assert_uint_eq(replicas[n], 6);
        ck_assert_uint_eq(leads[n], 3);
    }
    ck_assert_uint_eq(p.result_permille, 0);
    plan_close(&p);
    free(shards);
}
END_TEST

START_TEST(a_gap_names_what_stands_against_each_node)
{
    struct plan p;
    cluster(5, 1, 2);
    c.zone_max = 1;
    for (uint32_t n = 0; n < 5; n++) {
        nodes[n].zone = n == 3 ? 1 : 0;
        nodes[n].tags = 1;
    }
    shards[0].tags = 1;
    shards[0].replicas[0] = 0;
    shards[0].replica_count = 1;
    shards[0].leader = 0;
    nodes[1].weight = 0;
    nodes[2].tags = 2;
    nodes[3].capacity_bytes = 999;
    plan_make(&c, PLAN_BALANCE, &p);
    ck_assert_uint_eq(p.step_count, 0);
    ck_assert_uint_eq(p.gap_count, 1);
    ck_assert_uint_eq(p.gaps[0].shard, 0);
    ck_assert_uint_eq(p.gaps[0].why, PLAN_WHY_MISSING);
    ck_assert_uint_eq(p.gaps[0].by_holding, 1);
    ck_assert_uint_eq(p.gaps[0].by_drain, 1);
    ck_assert_uint_eq(p.gaps[0].by_tags, 1);
    ck_assert_uint_eq(p.gaps[0].by_capacity, 1);
    ck_assert_uint_eq(p.gaps[0].by_zone, 1);
    plan_close(&p);
    free(shards);
}
END_TEST

START_TEST(a_node_that_drains_is_left_by_moves_and_its_leaders_go_along)
{
    struct plan p;
    cluster(3, 6, 1);
    carry_out(PLAN_REPAIR);
    nodes[1].weight = 0;
    plan_make(&c, PLAN_REPAIR, &p);
    ck_assert_uint_eq(p.step_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(p.steps[i].kind, PLAN_MOVE);
        ck_assert_uint_eq(p.steps[i].why, PLAN_WHY_DRAIN);
        ck_assert_uint_eq(p.steps[i].from, 1);
        ck_assert_uint_eq(p.steps[i].bytes, 1000);
    }
    plan_close(&p);
    free(shards);
}
END_TEST

START_TEST(the_estimate_counts_bytes_at_the_bandwidth_and_each_round_of_moves)
{
    struct plan p;
    cluster(3, 6, 1);
    carry_out(PLAN_REPAIR);
    nodes[1].weight = 0;
    c.bandwidth_bytes_s = 800;
    c.concurrent_max = 1;
    c.overhead_ms = 30;
    plan_make(&c, PLAN_REPAIR, &p);
    ck_assert_uint_eq(p.bytes, 2000);
    ck_assert_uint_eq(p.duration_ms, 2000 + 400 + 2 * 30);
    plan_close(&p);
    free(shards);
}
END_TEST

START_TEST(a_budget_limits_balance_but_not_repair)
{
    struct plan p;
    cluster(4, 12, 1);
    c.node_count = 2;
    carry_out(PLAN_REPAIR);
    c.node_count = 4;
    c.moves_max = 2;
    plan_make(&c, PLAN_BALANCE, &p);
    ck_assert_uint_eq(count_kind(&p, PLAN_MOVE), 2);
    plan_close(&p);
    nodes[0].weight = 0;
    plan_make(&c, PLAN_REPAIR, &p);
    ck_assert_uint_eq(count_kind(&p, PLAN_MOVE), 6);
    plan_close(&p);
    free(shards);
}
END_TEST

START_TEST(leaders_that_have_gathered_are_spread_without_copying)
{
    struct plan p;
    uint32_t leads[3] = {0};
    cluster(3, 9, 3);
    carry_out(PLAN_REPAIR);
    for (uint32_t i = 0; i < 9; i++) {
        shards[i].leader = 0;
    }
    plan_make(&c, PLAN_BALANCE, &p);
    ck_assert_uint_eq(p.step_count, 6);
    leads[0] = 9;
    for (uint32_t i = 0; i < p.step_count; i++) {
        ck_assert_uint_eq(p.steps[i].kind, PLAN_LEAD);
        leads[p.steps[i].from]--;
        leads[p.steps[i].to]++;
    }
    ck_assert_uint_eq(p.bytes, 0);
    ck_assert(leads[0] == 3 && leads[1] == 3 && leads[2] == 3);
    plan_close(&p);
    free(shards);
}
END_TEST

START_TEST(a_node_twice_the_weight_gets_twice_the_load)
{
    struct plan p;
    uint32_t replicas[3] = {0};
    cluster(3, 40, 1);
    nodes[2].weight = 200;
    plan_make(&c, PLAN_REPAIR, &p);
    for (uint32_t i = 0; i < p.step_count; i++) {
        replicas[p.steps[i].to] += p.steps[i].kind == PLAN_ADD;
    }
    ck_assert(replicas[0] == 10 && replicas[1] == 10 && replicas[2] == 20);
    plan_close(&p);
    free(shards);
}
END_TEST

START_TEST(ten_thousand_shards_on_a_hundred_nodes_lose_one_and_gain_one)
{
    struct plan p;
    uint32_t lost = 0;
    cluster(101, 10000, 3);
    for (uint32_t n = 0; n < 101; n++) {
        nodes[n].zone = n % 5;
    }
    c.zone_max = 1;
    c.node_count = 100;
    carry_out(PLAN_REPAIR);
    c.node_count = 101;
    plan_make(&c, PLAN_FILL, &p);
    ck_assert_uint_le(p.step_count, (30000 + 100) / 101);
    ck_assert_uint_ge(p.step_count, 30000 / 101);
    plan_close(&p);
    c.node_count = 100;
    nodes[7].weight = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        for (uint32_t at = 0; at < 3; at++) {
            if (shards[i].replicas[at] == 7) {
                shards[i].replicas[at] = PLAN_NONE;
                lost++;
            }
        }
        shards[i].leader = shards[i].leader == 7 ? PLAN_NONE : shards[i].leader;
    }
    plan_make(&c, PLAN_REPAIR, &p);
    ck_assert_uint_eq(count_kind(&p, PLAN_ADD), lost);
    ck_assert_uint_eq(count_kind(&p, PLAN_MOVE), 0);
    ck_assert_uint_eq(p.gap_count, 0);
    plan_close(&p);
    free(shards);
}
END_TEST

static Suite *plan_suite(void)
{
    Suite *s = suite_create("plan");
    TCase *t = tcase_create("plan");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_new_map_spreads_replicas_and_leaders_evenly);
    tcase_add_test(t, a_gap_names_what_stands_against_each_node);
    tcase_add_test(t, a_node_that_drains_is_left_by_moves_and_its_leaders_go_along);
    tcase_add_test(t, the_estimate_counts_bytes_at_the_bandwidth_and_each_round_of_moves);
    tcase_add_test(t, a_budget_limits_balance_but_not_repair);
    tcase_add_test(t, leaders_that_have_gathered_are_spread_without_copying);
    tcase_add_test(t, a_node_twice_the_weight_gets_twice_the_load);
    tcase_add_test(t, ten_thousand_shards_on_a_hundred_nodes_lose_one_and_gain_one);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){plan_suite, NULL});
}
