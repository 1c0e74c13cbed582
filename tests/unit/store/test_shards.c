/* Shard maps by the store's commands: what one command may bring and may cost. The random traffic
 * is in test_shard_model.c. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "recipes/shard_record.h"
#include "store/state.h"
#include "store/validate.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define MAP "/m"

static struct kit k;
static struct buf text;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
    buf_close(&text);
}

static enum outcome run(struct command_shard what)
{
    struct command c = {.type = COMMAND_SHARD, .shard = what};
    c.shard.path = slice_str(MAP);
    return kit_run(&k, &c);
}

/* Of the slots of a hash, with this many shards. */
static enum outcome create(uint64_t shards, const char *promote, uint32_t concurrent)
{
    struct shard_step count = {.number = shards};
    buf_clear(&text);
    buf_printf(&text,
               "strategy=hash\nslots=16384\nreplicas=3\npromote=%s\nbalance=replicas\n"
               "concurrent=%" PRIu32 "\n",
               promote, concurrent);
    return run((struct command_shard){.action = SHARD_CREATE,
                                      .text = buf_slice(&text),
                                      .steps = &count,
                                      .step_count = 1});
}

static void join_under(const char *node, uint64_t lease)
{
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_JOIN,
                                                .node = slice_str(node),
                                                .text = slice_str("weight=100\n"),
                                                .lease = lease}),
                     OUTCOME_OK);
}

static void join(const char *node, uint64_t lease)
{
    kit_grant(&k, lease);
    join_under(node, lease);
}

/* The same of all shards. */
static void assign_all(uint32_t shards, const char *nodes)
{
    struct shard_step *steps = calloc(shards, sizeof *steps);
    for (uint32_t i = 0; i < shards; i++) {
        steps[i] = (struct shard_step){
            .number = i, .kind = SHARD_STEP_ASSIGN, .to = slice_str(nodes)};
    }
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_PLAN,
                                                .base = store_revision(k.store),
                                                .steps = steps,
                                                .step_count = shards}),
                     OUTCOME_OK);
    free(steps);
}

static void tell(const char *node, uint32_t shards, uint64_t qps)
{
    buf_clear(&text);
    for (uint32_t i = 0; i < shards; i++) {
        /* Who is ahead is another one for each shard. */
        uint64_t position = 1000 + (i % 2 == 0 ? qps : 100 - qps);
        buf_printf(&text, "%" PRIu32 " 1 1 %" PRIu64 " %" PRIu64 "\n", i, qps, position);
    }
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_STATS,
                                                .node = slice_str(node),
                                                .text = buf_slice(&text)}),
                     OUTCOME_OK);
}

static uint64_t cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct shard_record record_of(uint32_t shard)
{
    char path[64];
    struct shard_record r;
    snprintf(path, sizeof path, MAP "/shards/s-%010" PRIu32, shard);
    uint32_t slot = tree_find(&k.store->tree, SPACE_NODES, slice_str(path));
    ck_assert_uint_ne(slot, TREE_NONE);
    ck_assert(shard_record_decode(value_slice(tree_node(&k.store->tree, slot)->value), &r));
    return r;
}

static bool leads(uint32_t shard, const char *node)
{
    return slice_is(record_of(shard).leader, node);
}

static enum outcome plan_one(struct shard_step step)
{
    return run((struct command_shard){.action = SHARD_PLAN,
                                      .base = store_revision(k.store),
                                      .steps = &step,
                                      .step_count = 1});
}

static enum outcome report(const char *node, uint64_t move, uint8_t state)
{
    struct shard_step step = {.number = move, .state = state};
    return run((struct command_shard){.action = SHARD_REPORT,
                                      .node = slice_str(node),
                                      .steps = &step,
                                      .step_count = 1});
}

static enum outcome stop(uint8_t action, uint64_t move)
{
    struct shard_step step = {.number = move};
    return run((struct command_shard){.action = action, .steps = &step, .step_count = 1});
}

/* ---- lists of names ----------------------------------------------------------------------- */

/* Before and behind so many different tags. */
static struct slice tags_between(const char *before, uint32_t count, const char *behind)
{
    buf_clear(&text);
    buf_append_str(&text, before);
    buf_append_str(&text, "tags=");
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(&text, "%st%" PRIu32, i > 0 ? "," : "", i);
    }
    buf_append_str(&text, "\n");
    buf_append_str(&text, behind);
    return buf_slice(&text);
}

static enum outcome configure_with(uint32_t tags)
{
    struct slice spec = tags_between("strategy=hash\nslots=16384\nreplicas=3\n", tags,
                                     "promote=fresh\nbalance=replicas\nconcurrent=2\n");
    return run((struct command_shard){.action = SHARD_CONFIGURE, .text = spec});
}

static enum outcome set_with(uint32_t tags)
{
    struct shard_step step = {.number = 0};
    return run((struct command_shard){.action = SHARD_SET_SHARD,
                                      .text = tags_between("", tags, ""),
                                      .steps = &step,
                                      .step_count = 1});
}

static enum outcome join_with(uint32_t tags)
{
    return run((struct command_shard){.action = SHARD_JOIN,
                                      .node = slice_str("n1"),
                                      .text = tags_between("", tags, "weight=100\n"),
                                      .lease = 1});
}

START_TEST(lists_of_names_have_a_bound)
{
    struct errmsg err;
    ck_assert_int_eq(create(1, "fresh", 2), OUTCOME_OK);
    kit_grant(&k, 1);
    ck_assert_int_eq(configure_with(SHARD_NAMES_MAX), OUTCOME_OK);
    ck_assert_int_eq(set_with(SHARD_NAMES_MAX), OUTCOME_OK);
    ck_assert_int_eq(join_with(SHARD_NAMES_MAX), OUTCOME_OK);
    ck_assert_int_eq(configure_with(SHARD_NAMES_MAX + 1), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(set_with(SHARD_NAMES_MAX + 1), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(join_with(SHARD_NAMES_MAX + 1), OUTCOME_BAD_ARGUMENTS);
    uint64_t begin = cpu_ms();
    ck_assert_int_eq(set_with(400000), OUTCOME_BAD_ARGUMENTS); /* 2.7 MB */
    ck_assert_uint_lt(cpu_ms() - begin, 1000);
    struct command_shard asked = {.action = SHARD_SET_SHARD,
                                  .path = slice_str(MAP),
                                  .text = tags_between("", SHARD_NAMES_MAX + 1, ""),
                                  .steps = &(struct shard_step){.number = 0},
                                  .step_count = 1};
    ck_assert_int_eq(shard_check(&asked, &err), OUTCOME_BAD_ARGUMENTS);
    ck_assert_ptr_nonnull(strstr(err.text, "at most 64 names in a list"));
    kit_reload(&k);
}
END_TEST

/* ---- the most replicas -------------------------------------------------------------------- */

#define ALL_16 "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"

/* On as many nodes as may be, and one more is there. */
static void fill_one_shard(void)
{
    struct slice rest = slice_str(ALL_16 ",q");
    struct slice name;
    ck_assert_int_eq(create(1, "fresh", 2), OUTCOME_OK);
    for (uint64_t lease = 1; names_next(&rest, &name); lease++) {
        char node[2] = {(char)name.data[0], '\0'};
        join(node, lease);
    }
    assign_all(1, ALL_16);
}

static void move_until(const char *to, uint64_t move, uint8_t state)
{
    for (uint8_t s = MOVE_COPYING; s <= state; s++) {
        ck_assert_int_eq(report(to, move, s), OUTCOME_OK);
    }
}

static struct shard_step move_of(const char *from, const char *to)
{
    return (struct shard_step){
        .number = 0, .kind = SHARD_MOVE, .from = slice_str(from), .to = slice_str(to)};
}

START_TEST(one_of_as_many_replicas_as_may_be_moves)
{
    fill_one_shard();
    ck_assert_int_eq(plan_one(move_of("a", "q")), OUTCOME_OK);
    move_until("q", 0, MOVE_SWITCHING);
    ck_assert_uint_eq(names_count(record_of(0).replicas), 17); /* the source stays so long */
    kit_reload(&k);
    ck_assert_int_eq(report("q", 0, MOVE_CLEANING_UP), OUTCOME_OK);
    ck_assert_int_eq(report("a", 0, MOVE_DONE), OUTCOME_OK);
    ck_assert_uint_eq(names_count(record_of(0).replicas), 16);
    ck_assert(leads(0, "q"));
}
END_TEST

START_TEST(one_more_than_may_be_is_taken_back)
{
    fill_one_shard();
    ck_assert_int_eq(plan_one(move_of("b", "q")), OUTCOME_OK);
    move_until("q", 0, MOVE_SWITCHING);
    ck_assert_int_eq(stop(SHARD_ABORT, 0), OUTCOME_OK);
    ck_assert_uint_eq(names_count(record_of(0).replicas), 16);
    ck_assert(names_have(record_of(0).replicas, slice_str("b")));
    /* Nor is one added where there are as many as may be: it is done as it begins. */
    ck_assert_int_eq(report("q", 0, MOVE_DONE), OUTCOME_OK);
    ck_assert_int_eq(
        plan_one((struct shard_step){.number = 0, .kind = SHARD_ADD, .to = slice_str("q")}),
        OUTCOME_OK);
    ck_assert_uint_eq(names_count(record_of(0).replicas), 16);
    ck_assert_int_eq(report("q", 1, MOVE_COPYING), OUTCOME_NO_NODE);
}
END_TEST

/* ---- what a plan was made of -------------------------------------------------------------- */

static enum outcome plan_as_of(uint64_t base, struct shard_step step)
{
    return run((struct command_shard){
        .action = SHARD_PLAN, .base = base, .steps = &step, .step_count = 1});
}

static void say(const char *node, uint64_t lease, const char *what)
{
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_JOIN,
                                                .node = slice_str(node),
                                                .text = slice_str(what),
                                                .lease = lease}),
                     OUTCOME_OK);
}

START_TEST(a_plan_is_refused_when_a_node_that_it_gives_something_says_something_else)
{
    struct shard_step assign = {.kind = SHARD_STEP_ASSIGN, .to = slice_str("a,b")};
    struct shard_step add = {.kind = SHARD_ADD, .to = slice_str("c")};
    struct shard_step drop = {.kind = SHARD_DROP, .from = slice_str("b")};
    ck_assert_int_eq(create(1, "fresh", 2), OUTCOME_OK);
    join("a", 1);
    join("b", 2);
    join("c", 3);
    uint64_t base = store_revision(k.store);
    say("b", 2, "zone=z1\nweight=100\n");
    ck_assert_int_eq(plan_as_of(base, assign), OUTCOME_BAD_VERSION);
    base = store_revision(k.store);
    say("b", 2, "zone=z1\nweight=100\n"); /* the same again */
    ck_assert_int_eq(plan_as_of(base, assign), OUTCOME_OK);
    base = store_revision(k.store);
    say("c", 3, "address=drains\n");
    ck_assert_int_eq(plan_as_of(base, add), OUTCOME_BAD_VERSION);
    ck_assert_int_eq(plan_as_of(base, drop), OUTCOME_OK); /* which gives nobody anything */
}
END_TEST

START_TEST(first_replicas_are_refused_when_the_shard_wants_others_meanwhile)
{
    struct shard_step assign = {.kind = SHARD_STEP_ASSIGN, .to = slice_str("a")};
    ck_assert_int_eq(create(1, "fresh", 2), OUTCOME_OK);
    join("a", 1);
    join("b", 2);
    uint64_t base = store_revision(k.store);
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_SET_SHARD,
                                                .text = slice_str("pin=b\n"),
                                                .steps = &(struct shard_step){.number = 0},
                                                .step_count = 1}),
                     OUTCOME_OK);
    ck_assert_int_eq(plan_as_of(base, assign), OUTCOME_BAD_VERSION);
    ck_assert_int_eq(plan_one(assign), OUTCOME_OK);
}
END_TEST

/* ---- what it costs ------------------------------------------------------------------------ */

/* Each of the lost node's shards asks what the others say of it. */
static void lose_leader_of(uint32_t shards, const char *promote)
{
    ck_assert_int_eq(create(shards, promote, 2), OUTCOME_OK);
    join("a", 1);
    join("b", 2);
    join("c", 3);
    assign_all(shards, "a,b,c");
    tell("b", shards, 10);
    tell("c", shards, 90);
    struct command c = {.type = COMMAND_REVOKE, .lease = {.id = 1, .kind = LEASE_PLAIN}};
    uint64_t begin = cpu_ms();
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    uint64_t ms = cpu_ms() - begin;
    printf("%" PRIu32 " shards by %s lost their leader in %" PRIu64 " ms\n", shards, promote, ms);
    ck_assert_uint_lt(ms, 3000);
}

START_TEST(a_node_that_led_all_is_lost_in_linear_time)
{
    lose_leader_of(10000, "fresh");
    for (uint32_t i = 0; i < 10000; i++) {
        ck_assert(leads(i, i % 2 == 0 ? "c" : "b"));
    }
}
END_TEST

START_TEST(who_has_least_to_do_is_found_in_linear_time)
{
    lose_leader_of(10000, "idle");
    for (uint32_t i = 0; i < 10000; i++) {
        ck_assert(leads(i, "b"));
    }
}
END_TEST

/* One lease may have all nodes of a map but one. */
START_TEST(many_nodes_of_one_lease_are_lost_by_one_pass)
{
    const uint32_t shards = 5000;
    char node[16];
    ck_assert_int_eq(create(shards, "idle", 2), OUTCOME_OK);
    kit_grant(&k, 1);
    for (uint32_t i = 0; i < SHARD_MEMBERS_MAX - 1; i++) {
        snprintf(node, sizeof node, "n%" PRIu32, i);
        join_under(node, 1);
    }
    join("z", 2);
    assign_all(shards, "n7,n10,z");
    uint64_t begin = cpu_ms();
    ck_assert_int_eq(kit_expire(&k, 1), OUTCOME_OK);
    uint64_t ms = cpu_ms() - begin;
    printf("%u nodes of one lease were lost in %" PRIu64 " ms\n", SHARD_MEMBERS_MAX - 1, ms);
    ck_assert_uint_lt(ms, 400);
    for (uint32_t i = 0; i < shards; i++) {
        ck_assert(leads(i, "z"));
    }
    kit_reload(&k);
}
END_TEST

/* A replica more of all shards. */
static enum outcome add_all(uint32_t shards, const char *node)
{
    struct shard_step *steps = calloc(shards, sizeof *steps);
    for (uint32_t i = 0; i < shards; i++) {
        steps[i] =
            (struct shard_step){.number = i, .kind = SHARD_ADD, .to = slice_str(node)};
    }
    enum outcome outcome = run((struct command_shard){.action = SHARD_PLAN,
                                                      .base = store_revision(k.store),
                                                      .steps = steps,
                                                      .step_count = shards});
    free(steps);
    return outcome;
}

/* Of each shard one is under way, and another one waits for it. */
START_TEST(moves_that_wait_for_others_of_their_shard_cost_no_more)
{
    const uint32_t shards = SHARD_MOVES_MAX / 2;
    ck_assert_int_eq(create(shards, "fresh", shards), OUTCOME_BAD_ARGUMENTS); /* 16384 slots */
    buf_clear(&text);
    buf_append_str(&text, "strategy=directory\nreplicas=3\npromote=fresh\n"
                          "balance=replicas\nconcurrent=100000\n");
    struct shard_step count = {.number = shards};
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_CREATE,
                                                .text = buf_slice(&text),
                                                .steps = &count,
                                                .step_count = 1}),
                     OUTCOME_OK);
    join("a", 1);
    join("b", 2);
    join("c", 3);
    assign_all(shards, "a");
    uint64_t begin = cpu_ms();
    ck_assert_int_eq(add_all(shards, "b"), OUTCOME_OK);
    ck_assert_int_eq(add_all(shards, "c"), OUTCOME_OK);
    uint64_t ms = cpu_ms() - begin;
    printf("%" PRIu32 " moves were planned in %" PRIu64 " ms\n", 2 * shards, ms);
    ck_assert_uint_lt(ms, 3000);
    ck_assert_int_eq(add_all(1, "c"), OUTCOME_LIMIT);
}
END_TEST

static Suite *shards_suite(void)
{
    Suite *suite = suite_create("store_shards");
    TCase *tcase = tcase_create("store_shards");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, lists_of_names_have_a_bound);
    tcase_add_test(tcase, one_of_as_many_replicas_as_may_be_moves);
    tcase_add_test(tcase, one_more_than_may_be_is_taken_back);
    tcase_add_test(tcase,
                   a_plan_is_refused_when_a_node_that_it_gives_something_says_something_else);
    tcase_add_test(tcase, first_replicas_are_refused_when_the_shard_wants_others_meanwhile);
    tcase_add_test(tcase, a_node_that_led_all_is_lost_in_linear_time);
    tcase_add_test(tcase, who_has_least_to_do_is_found_in_linear_time);
    tcase_add_test(tcase, many_nodes_of_one_lease_are_lost_by_one_pass);
    tcase_add_test(tcase, moves_that_wait_for_others_of_their_shard_cost_no_more);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){shards_suite, NULL});
}
