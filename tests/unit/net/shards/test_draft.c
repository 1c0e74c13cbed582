/* Plans of maps that a store holds: what is drafted, the store accepts, and what was carried out
 * leaves nothing to repair. */
#include "net/shards/draft.h"

#include <stdio.h>
#include <time.h>

#include "base/rng.h"
#include "lease/lease.h"
#include "net/shards/upkeep.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define MAP   "/search/docs"
#define NODES 8

static struct kit k;
static struct arena arena;
static uint64_t lease_of[NODES]; /* 0: away */
static uint64_t last_lease;

static enum outcome run(struct command_shard what)
{
    struct command c = {.type = COMMAND_SHARD, .shard = what};
    c.shard.path = slice_str(MAP);
    return kit_run(&k, &c);
}

static struct slice name_of(int node)
{
    static const char *const names[NODES] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"};
    return slice_str(names[node]);
}

static void setup(void)
{
    kit_open(&k);
    memset(lease_of, 0, sizeof lease_of);
    last_lease = 0;
}

static void teardown(void)
{
    kit_close(&k);
    arena_close(&arena);
}

static void make_map(const char *policy, uint64_t shards)
{
    char spec[512];
    struct shard_step count = {.number = shards};
    snprintf(spec, sizeof spec, "strategy=hash\nslots=1024\n%s", policy);
    ck_assert_int_eq(
        run((struct command_shard){
            .action = SHARD_CREATE, .text = slice_str(spec), .steps = &count, .step_count = 1}),
        OUTCOME_OK);
}

#define POLICY                                                              \
    "replicas=2\npromote=fresh\nbalance=replicas\nimbalance_permille=200\n" \
    "target_permille=100\nconcurrent=4\n"

static void say(int node, const char *text)
{
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_JOIN,
                                                .node = name_of(node),
                                                .text = slice_str(text),
                                                .lease = lease_of[node]}),
                     OUTCOME_OK);
}

static void come_as(int node, const char *text)
{
    struct command grant = {
        .type = COMMAND_GRANT,
        .lease = {.id = ++last_lease,
                  .ttl_ms = 10000,
                  .kind = LEASE_PLAIN,
                  .secret = slice_str("0123456789abcdef")},
    };
    ck_assert_int_eq(kit_run(&k, &grant), OUTCOME_OK);
    lease_of[node] = last_lease;
    say(node, text);
}

static void come(int node)
{
    char text[64];
    snprintf(text, sizeof text, "zone=z%d\nweight=100\n", node % 3);
    come_as(node, text);
}

static void go(int node)
{
    lease_of[node] = 0;
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_LEAVE, .node = name_of(node)}),
                     OUTCOME_OK);
}

static struct map_copy copy_map(void)
{
    struct map_copy map;
    arena_clear(&arena);
    ck_assert(store_map_copy(k.store, slice_str(MAP), &arena, &map));
    return map;
}

static struct draft draft_of(const struct draft_options *options)
{
    struct map_copy map = copy_map();
    struct draft d;
    draft_make(&map, options, &arena, &d);
    ck_assert_ptr_null(d.problem);
    return d;
}

static struct draft draft_for(enum plan_goal goal)
{
    return draft_of(&(struct draft_options){.goal = goal});
}

static void apply(const struct draft *d)
{
    if (d->step_count == 0) {
        return;
    }
    enum outcome outcome = run((struct command_shard){.action = SHARD_PLAN,
                                                      .base = d->revision,
                                                      .steps = d->steps,
                                                      .step_count = d->step_count});
    if (outcome != OUTCOME_OK) {
        const struct shard_step *s = &d->steps[k.reply.failed_op];
        ck_abort_msg("%s: step %u, kind %u of shard %u from %.*s to %.*s",
                     outcome_text(outcome), k.reply.failed_op, s->kind, (unsigned)s->number,
                     (int)s->from.size, (const char *)s->from.data, (int)s->to.size,
                     (const char *)s->to.data);
    }
}

/* Everybody does what moves ask for, until there are none. */
static void carry_out(void)
{
    for (int round = 0; round < 10000; round++) {
        struct map_copy map = copy_map();
        bool has_done = false;
        for (uint32_t i = 0; i < map.moves.count && !has_done; i++) {
            struct shard_move m;
            ck_assert(shard_move_decode(map.moves.at[i].text, &m));
            if (m.state == MOVE_QUEUED) {
                continue;
            }
            struct shard_step step = {.number = map.moves.at[i].number,
                                      .state = (uint8_t)(m.state + 1)};
            enum outcome outcome = run(
                (struct command_shard){.action = SHARD_REPORT,
                                       .node = m.state == MOVE_CLEANING_UP ? m.cleans : m.to,
                                       .steps = &step,
                                       .step_count = 1});
            /* Refused: nobody is there who could have been copied from. */
            ck_assert(outcome == OUTCOME_OK ||
                      (outcome == OUTCOME_MISMATCH && m.state == MOVE_CATCHING_UP));
            has_done = outcome == OUTCOME_OK;
        }
        if (!has_done) {
            return; /* what is left waits for nodes that are away */
        }
    }
    ck_abort_msg("moves do not end");
}

static struct shard_record shard(uint64_t number)
{
    struct map_copy map = copy_map();
    struct shard_record r;
    ck_assert(shard_record_decode(map.shards.at[number].text, &r));
    return r;
}

START_TEST(what_members_say_of_themselves_is_a_reason_to_plan)
{
    make_map(POLICY, 2);
    come(0);
    uint64_t before = copy_map().structure;
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_STATS,
                                                .node = name_of(0),
                                                .text = slice_str("0 2 2 2 2\n")}),
                     OUTCOME_OK);
    ck_assert_uint_eq(copy_map().structure, before);
    say(0, "address=drains\n");
    ck_assert_uint_gt(copy_map().structure, before);
}
END_TEST

START_TEST(a_new_map_is_assigned_at_once)
{
    make_map(POLICY, 16);
    for (int i = 0; i < 4; i++) {
        come(i);
    }
    struct draft d = draft_for(PLAN_REPAIR);
    ck_assert_uint_eq(d.step_count, 16);
    for (uint32_t i = 0; i < d.step_count; i++) {
        ck_assert_int_eq(d.steps[i].kind, SHARD_STEP_ASSIGN);
        ck_assert_uint_eq(names_count(d.steps[i].to), 2);
    }
    apply(&d);
    uint32_t leads[4] = {0};
    for (uint64_t i = 0; i < 16; i++) {
        leads[shard(i).leader.data[1] - '0']++;
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(leads[i], 4);
    }
}
END_TEST

/* 100,000 shards on eight nodes each are more than one request may say. */
START_TEST(a_plan_that_is_too_long_for_one_request_is_made_in_pieces)
{
    static const char spec[] = "strategy=directory\nreplicas=8\npromote=fresh\n"
                               "balance=replicas\nconcurrent=4\n";
    struct shard_step count = {.number = SHARD_COUNT_MAX};
    ck_assert_int_eq(
        run((struct command_shard){
            .action = SHARD_CREATE, .text = slice_str(spec), .steps = &count, .step_count = 1}),
        OUTCOME_OK);
    for (int i = 0; i < NODES; i++) {
        come(i);
    }
    uint32_t pieces = 0;
    uint64_t steps = 0;
    for (struct draft d = draft_for(PLAN_REPAIR); d.step_count > 0; pieces++) {
        ck_assert_uint_lt(pieces, 3);
        steps += d.step_count;
        apply(&d);
        d = draft_for(PLAN_REPAIR);
    }
    ck_assert_uint_eq(pieces, 2);
    ck_assert_uint_eq(steps, SHARD_COUNT_MAX);
}
END_TEST

START_TEST(a_lost_node_is_replaced_replica_by_replica_and_nothing_else_moves)
{
    make_map(POLICY, 12);
    for (int i = 0; i < 4; i++) {
        come(i);
    }
    struct draft d = draft_for(PLAN_REPAIR);
    apply(&d);
    uint32_t had = 0;
    for (uint64_t i = 0; i < 12; i++) {
        had += names_have(shard(i).replicas, slice_str("n2"));
    }
    go(2);
    struct slice keep = slice_str("n2");
    d = draft_of(&(struct draft_options){.goal = PLAN_BALANCE, .keep = &keep, .keep_count = 1});
    ck_assert_uint_eq(d.step_count, 0); /* it may come back */
    d = draft_for(PLAN_REPAIR);
    ck_assert_uint_eq(d.step_count, had);
    for (uint32_t i = 0; i < d.step_count; i++) {
        ck_assert_int_eq(d.steps[i].kind, SHARD_MOVE);
        ck_assert(slice_is(d.steps[i].from, "n2"));
        ck_assert(slice_is(d.steps[i].why, "lost"));
    }
    apply(&d);
    carry_out();
    d = draft_for(PLAN_REPAIR);
    ck_assert_uint_eq(d.step_count, 0);
    ck_assert_uint_eq(copy_map().moves.count, 0);
}
END_TEST

START_TEST(a_shard_that_all_have_lost_is_left_to_who_led_it)
{
    make_map(POLICY, 1);
    come(0);
    come(1);
    struct draft d = draft_for(PLAN_REPAIR);
    apply(&d);
    int leader = shard(0).leader.data[1] - '0';
    go(1 - leader);
    go(leader);
    come(1 - leader); /* it lacks what was written since it went */
    ck_assert_uint_eq(shard(0).leader.size, 0);
    come(2);
    d = draft_for(PLAN_BALANCE);
    ck_assert_uint_eq(d.step_count, 0);
    ck_assert_uint_eq(d.leaderless_count, 1);
    ck_assert(slice_equal(d.leaderless[0].awaits, name_of(leader)));
    come(leader);
    ck_assert(slice_equal(shard(0).leader, name_of(leader)));
}
END_TEST

START_TEST(somebody_may_say_that_who_is_back_leads)
{
    make_map(POLICY, 1);
    come(0);
    come(1);
    struct draft d = draft_for(PLAN_REPAIR);
    apply(&d);
    int leader = shard(0).leader.data[1] - '0';
    go(1 - leader);
    go(leader);
    come(1 - leader);
    static const char spec[] = "strategy=hash\nslots=1024\n" POLICY "unclean=1\n";
    ck_assert_int_eq(
        run((struct command_shard){.action = SHARD_CONFIGURE, .text = slice_str(spec)}),
        OUTCOME_OK);
    ck_assert(slice_equal(shard(0).leader, name_of(1 - leader)));
}
END_TEST

static void plan(const struct shard_step *steps, uint32_t count)
{
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_PLAN,
                                                .base = k.store->revision,
                                                .steps = steps,
                                                .step_count = count}),
                     OUTCOME_OK);
}

/* Shards 0 to 3 are on n0, which has room for no more; three of them are about to leave it for n1.
 * Those on n2 have to go. */
static void make_full_node(void)
{
    struct shard_step steps[8];
    make_map("replicas=1\npromote=fresh\nbalance=replicas\nconcurrent=1\n", 8);
    come_as(0, "weight=100\ncapacity_replicas=4\n");
    come_as(1, "weight=100\ncapacity_replicas=3\n");
    come_as(2, "weight=100\n");
    for (uint32_t i = 0; i < 8; i++) {
        steps[i] = (struct shard_step){
            .number = i, .kind = SHARD_STEP_ASSIGN, .to = name_of(i < 4 ? 0 : 2)};
    }
    plan(steps, 8);
    for (uint32_t i = 0; i < 3; i++) {
        steps[i] = (struct shard_step){
            .number = i, .kind = SHARD_MOVE, .from = name_of(0), .to = name_of(1)};
    }
    plan(steps, 3);
    say(2, "address=drains\n");
}

static void assert_no_room(const struct draft *d)
{
    ck_assert_uint_eq(d->step_count, 0);
    ck_assert_uint_eq(d->gap_count, 4);
    for (uint32_t i = 0; i < d->gap_count; i++) {
        ck_assert_uint_ge(d->gaps[i].gap.by_capacity, 1);
    }
}

START_TEST(a_copy_that_is_to_leave_has_its_room_until_it_has_gone)
{
    make_full_node();
    struct draft d = draft_for(PLAN_REPAIR);
    assert_no_room(&d);
    carry_out();
    d = draft_for(PLAN_REPAIR);
    ck_assert_uint_eq(d.step_count, 3);
}
END_TEST

START_TEST(a_move_that_waits_for_a_node_that_is_away_frees_no_room)
{
    make_full_node();
    go(1);
    struct draft d = draft_for(PLAN_REPAIR);
    assert_no_room(&d);
    struct slice keep = slice_str("n1");
    d = draft_of(&(struct draft_options){.goal = PLAN_REPAIR, .keep = &keep, .keep_count = 1});
    assert_no_room(&d);
}
END_TEST

START_TEST(a_pin_to_a_node_that_is_not_there_is_told)
{
    struct shard_step step = {.number = 1};
    make_map(POLICY, 2);
    come(0);
    come(1);
    struct draft d = draft_for(PLAN_REPAIR);
    apply(&d);
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_SET_SHARD,
                                                .text = slice_str("pin=n9x\n"),
                                                .steps = &step,
                                                .step_count = 1}),
                     OUTCOME_OK);
    d = draft_for(PLAN_REPAIR);
    ck_assert_uint_eq(d.step_count, 0);
    ck_assert_uint_eq(d.gap_count, 1);
    ck_assert_uint_eq(d.gaps[0].shard, 1);
    ck_assert_uint_eq(d.gaps[0].gap.why, PLAN_WHY_PIN);
}
END_TEST

/* Two shards lose a replica; the third is a new one, whose replicas are there at once. */
START_TEST(the_estimate_is_of_the_steps_that_copy)
{
    struct shard_step steps[2];
    make_map("replicas=2\npromote=fresh\nbalance=replicas\nconcurrent=1\n", 3);
    come(0);
    come(1);
    for (uint32_t i = 0; i < 2; i++) {
        steps[i] = (struct shard_step){
            .number = i, .kind = SHARD_STEP_ASSIGN, .to = slice_str("n0,n1")};
    }
    plan(steps, 2);
    come(2);
    go(1);
    struct draft d = draft_for(PLAN_REPAIR);
    ck_assert_uint_eq(d.step_count, 3);
    ck_assert_uint_eq(d.duration_ms, 2 * DRAFT_MOVE_MS);
}
END_TEST

/* Whatever has come and gone: the store takes each plan, and in the end nothing is left to do. */
START_TEST(every_plan_is_accepted_and_leads_to_where_nothing_is_left)
{
    struct rng rng;
    rng_init(&rng, (uint64_t)_i + 1);
    make_map(_i % 2 == 0 ? POLICY : POLICY "unclean=1\n", 1 + rng_below(&rng, 40));
    come(0);
    come(1);
    come(2);
    for (int step = 0; step < 60; step++) {
        int node = (int)rng_below(&rng, NODES);
        if (rng_below(&rng, 2) == 0 && lease_of[node] == 0) {
            come(node);
        } else if (rng_below(&rng, 3) == 0 && lease_of[node] != 0) {
            go(node);
        }
        enum plan_goal goal = (enum plan_goal)(1 + rng_below(&rng, 3));
        struct draft d = draft_for(goal);
        apply(&d);
        if (rng_below(&rng, 3) == 0) {
            carry_out();
        }
        store_check(k.store);
    }
    for (int i = 0; i < NODES; i++) {
        if (lease_of[i] == 0) {
            come(i);
        }
    }
    carry_out();
    for (int round = 0; round < 20; round++) {
        struct draft d = draft_for(PLAN_BALANCE);
        if (d.step_count == 0) {
            ck_assert_uint_eq(d.gap_count, 0);
            ck_assert_uint_eq(d.leaderless_count, 0);
            return;
        }
        apply(&d);
        carry_out();
    }
    ck_abort_msg("it does not come to rest");
}
END_TEST

START_TEST(a_move_that_waits_for_a_node_that_stays_away_is_given_up)
{
    struct absences absences = {0};
    struct upkeep u;
    make_map(POLICY "timeout_ms=5000\nlost_after_ms=30000\n", 4);
    come(0);
    come(1);
    struct draft d = draft_for(PLAN_REPAIR);
    apply(&d);
    come(2);
    struct shard_step step = {
        .number = 0, .kind = SHARD_MOVE, .from = slice_str("n0"), .to = slice_str("n2")};
    ck_assert_int_eq(
        run((struct command_shard){
            .action = SHARD_PLAN, .base = k.store->revision, .steps = &step, .step_count = 1}),
        OUTCOME_OK);
    struct upkeep_time time = {.now_ms = 1000, .cluster_ms = store_cluster_ms(k.store)};
    struct map_copy map = copy_map();
    ck_assert(upkeep_look(&map, &absences, &time, &arena, &u));
    ck_assert_uint_eq(u.abort_count, 0);
    time.cluster_ms += 5000; /* and one that is under way after the timeout of the map */
    ck_assert(upkeep_look(&map, &absences, &time, &arena, &u));
    ck_assert_uint_eq(u.abort_count, 1);
    go(2); /* it is queued again */
    map = copy_map();
    ck_assert(upkeep_look(&map, &absences, &time, &arena, &u));
    ck_assert_uint_eq(u.abort_count, 0);
    ck_assert_uint_eq(u.keep_count, 1);
    ck_assert_uint_eq(u.lost_ms, 31000);
    time.now_ms = 30999;
    ck_assert(upkeep_look(&map, &absences, &time, &arena, &u));
    ck_assert_uint_eq(u.abort_count, 0);
    time.now_ms = 31000;
    ck_assert(upkeep_look(&map, &absences, &time, &arena, &u));
    ck_assert_uint_eq(u.abort_count, 1);
    ck_assert_uint_eq(u.keep_count, 0);
    absences_close(&absences);
}
END_TEST

static uint64_t cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* 4,000 nodes have come and gone, and each has left replicas of 15 shards. */
START_TEST(many_that_are_away_are_known_again_at_once)
{
    static struct map_text texts[20000];
    struct map_copy map = {.spec = slice_str("strategy=directory\n" POLICY),
                           .shards = {.at = texts, .count = 20000}};
    struct absences away = {0};
    const struct upkeep_time time = {.now_ms = 1000};
    struct upkeep u;
    for (uint32_t i = 0; i < 20000; i++) {
        char text[128];
        snprintf(text, sizeof text, "epoch=7\nreplicas=p%u,q%u,r%u\n", i * 7 % 4000 / 3,
                 i % 1333, i % 1334);
        texts[i].text = arena_copy(&arena, slice_str(text));
    }
    uint64_t begin = cpu_ms();
    for (int i = 0; i < 2; i++) {
        ck_assert(upkeep_look(&map, &away, &time, &arena, &u));
        ck_assert_uint_eq(u.keep_count, 1334 + 1333 + 1334);
        ck_assert_uint_eq(u.lost_ms, 31000);
    }
    uint64_t ms = cpu_ms() - begin;
    printf("%zu nodes that are away were known in %u ms\n", away.count, (unsigned)ms);
    ck_assert_uint_lt(ms, 300);
    absences_close(&away);
}
END_TEST

START_TEST(a_queue_begins_when_the_hours_have_come)
{
    struct absences absences = {0};
    struct upkeep u;
    make_map(POLICY "hours_begin=600\nhours_end=660\n", 2);
    come(0);
    come(1);
    struct draft d = draft_for(PLAN_REPAIR);
    apply(&d);
    come(2);
    struct shard_step step = {
        .number = 0, .kind = SHARD_MOVE, .from = slice_str("n0"), .to = slice_str("n2")};
    ck_assert_int_eq(
        run((struct command_shard){
            .action = SHARD_PLAN, .base = k.store->revision, .steps = &step, .step_count = 1}),
        OUTCOME_OK);
    struct map_copy map = copy_map();
    struct shard_move m;
    ck_assert(shard_move_decode(map.moves.at[0].text, &m));
    if (m.state == MOVE_QUEUED) { /* the kit's clock is outside of them */
        struct upkeep_time time = {.wall_ms = (uint64_t)599 * 60000};
        ck_assert(upkeep_look(&map, &absences, &time, &arena, &u));
        ck_assert(!u.is_due);
        time.wall_ms = (uint64_t)600 * 60000;
        ck_assert(upkeep_look(&map, &absences, &time, &arena, &u));
        ck_assert(u.is_due);
    }
    ck_assert(m.state == MOVE_QUEUED);
    absences_close(&absences);
}
END_TEST

static Suite *draft_suite(void)
{
    Suite *s = suite_create("draft");
    TCase *t = tcase_create("plans");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_members_say_of_themselves_is_a_reason_to_plan);
    tcase_add_test(t, a_new_map_is_assigned_at_once);
    tcase_add_test(t, a_plan_that_is_too_long_for_one_request_is_made_in_pieces);
    tcase_add_test(t, a_lost_node_is_replaced_replica_by_replica_and_nothing_else_moves);
    tcase_add_test(t, a_shard_that_all_have_lost_is_left_to_who_led_it);
    tcase_add_test(t, somebody_may_say_that_who_is_back_leads);
    tcase_add_test(t, a_copy_that_is_to_leave_has_its_room_until_it_has_gone);
    tcase_add_test(t, a_move_that_waits_for_a_node_that_is_away_frees_no_room);
    tcase_add_test(t, a_pin_to_a_node_that_is_not_there_is_told);
    tcase_add_test(t, the_estimate_is_of_the_steps_that_copy);
    tcase_add_loop_test(t, every_plan_is_accepted_and_leads_to_where_nothing_is_left, 0, 100);
    tcase_add_test(t, a_move_that_waits_for_a_node_that_stays_away_is_given_up);
    tcase_add_test(t, many_that_are_away_are_known_again_at_once);
    tcase_add_test(t, a_queue_begins_when_the_hours_have_come);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){draft_suite, NULL});
}
