/* What the leader does for shard maps by itself: all of them, however many there are. */
#include "net/shards/warden.h"

#include <inttypes.h>
#include <time.h>

#include "base/metrics.h"
#include "lease/lease.h"
#include "net/shards/planner.h"
#include "recipes/shard_record.h"
#include "store/maps.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "tests/support/fake_node.h"

#define MAPS 20000

static struct fake_env env;
static struct node *node;
static struct planner *planner;
static struct warden *warden;

static void setup(void)
{
    fake_env_init(&env, 1);
    node = fake_node_new();
    node->is_leading = true;
    planner = planner_new(&(struct planner_options){.env = &env.env, .node = node});
    warden = warden_new(
        &(struct warden_options){.env = &env.env, .node = node, .planner = planner});
}

static void teardown(void)
{
    warden_free(warden);
    planner_free(planner);
    fake_node_free(node);
    fake_env_close(&env);
}

static void apply(const struct command *c)
{
    struct reply reply;
    struct apply_context context = {.index = ++node->index,
                                    .cluster_ms = node->cluster_ms,
                                    .last_of_entry = true};
    store_apply(node->store, &context, c, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
}

static void on_map(uint32_t map, struct command_shard what)
{
    char path[32];
    snprintf(path, sizeof path, "/maps/m%05" PRIu32, map);
    struct command c = {.type = COMMAND_SHARD, .shard = what};
    c.shard.path = slice_str(path);
    apply(&c);
}

static void make_maps(void)
{
    static const char spec[] = "strategy=directory\nreplicas=1\npromote=fresh\n"
                               "balance=replicas\nconcurrent=1\ntimeout_ms=1000\n";
    struct shard_step one = {.number = 1};
    for (uint32_t i = 0; i < MAPS; i++) {
        on_map(i, (struct command_shard){.action = SHARD_CREATE,
                                         .text = slice_str(spec),
                                         .steps = &one,
                                         .step_count = 1});
    }
}

/* A move that nobody goes on with. */
static void begin_move(uint32_t map)
{
    struct shard_step assign = {.kind = SHARD_STEP_ASSIGN, .to = slice_str("a")};
    struct shard_step add = {.kind = SHARD_ADD, .to = slice_str("b")};
    apply(&(struct command){.type = COMMAND_GRANT,
                            .lease = {.id = 1 + map,
                                      .ttl_ms = 10000,
                                      .kind = LEASE_PLAIN,
                                      .secret = slice_str("0123456789abcdef")}});
    for (int i = 0; i < 2; i++) {
        on_map(map, (struct command_shard){.action = SHARD_JOIN,
                                           .node = slice_str(i == 0 ? "a" : "b"),
                                           .text = slice_str("weight=100\n"),
                                           .lease = 1 + map});
    }
    struct command_shard plan = {.action = SHARD_PLAN, .step_count = 1};
    plan.base = store_revision(node->store);
    plan.steps = &assign;
    on_map(map, plan);
    plan.base = store_revision(node->store);
    plan.steps = &add;
    on_map(map, plan);
}

static bool is_moving(uint32_t map)
{
    char path[32];
    struct arena arena = {0};
    struct map_copy copy;
    struct shard_move m = {.aborted = 1};
    snprintf(path, sizeof path, "/maps/m%05" PRIu32, map);
    ck_assert(store_map_copy(node->store, slice_str(path), &arena, &copy));
    if (copy.moves.count > 0) {
        ck_assert(shard_move_decode(copy.moves.at[0].text, &m));
    }
    bool goes_on = m.aborted == 0;
    arena_close(&arena);
    return goes_on;
}

static uint64_t cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

START_TEST(each_of_many_maps_has_its_turn_and_none_of_them_is_long)
{
    make_maps();
    begin_move(0);
    begin_move(MAPS / 2);
    begin_move(MAPS - 1);
    node->cluster_ms += 2000;
    uint64_t now_ms = 1;
    uint64_t longest = 0;
    uint32_t turns = 0;
    while (is_moving(0) || is_moving(MAPS / 2) || is_moving(MAPS - 1)) {
        ck_assert_uint_lt(turns++, 21);
        uint64_t begin = cpu_ms();
        warden_turn(warden, now_ms);
        uint64_t ms = cpu_ms() - begin;
        longest = ms > longest ? ms : longest;
        ck_assert_uint_le(warden_next_deadline_ms(warden), now_ms + 1000);
        now_ms += 1000;
        node_turn(node);
    }
    printf("%d maps, %" PRIu32 " turns, the longest took %" PRIu64 " ms\n", MAPS, turns, longest);
    ck_assert_uint_lt(longest, 300);
}
END_TEST

/* ---- hours -------------------------------------------------------------------------------- */

static void join(const char *name, uint64_t lease)
{
    apply(&(struct command){.type = COMMAND_GRANT,
                            .lease = {.id = lease,
                                      .ttl_ms = 10000,
                                      .kind = LEASE_PLAIN,
                                      .secret = slice_str("0123456789abcdef")}});
    on_map(0, (struct command_shard){.action = SHARD_JOIN,
                                     .node = slice_str(name),
                                     .text = slice_str("weight=100\n"),
                                     .lease = lease});
}

static void plan(struct shard_step step)
{
    on_map(0, (struct command_shard){.action = SHARD_PLAN,
                                     .base = store_revision(node->store),
                                     .steps = &step,
                                     .step_count = 1});
}

/* From 10:00 to 11:00; it is shortly after 0:00. */
static void make_map_with_hours(void)
{
    static const char spec[] =
        "strategy=directory\nreplicas=2\npromote=fresh\nbalance=replicas\nautomatic=repair\n"
        "concurrent=1\nlost_after_ms=1\nhours_begin=600\nhours_end=660\n";
    struct shard_step two = {.number = 2};
    on_map(0, (struct command_shard){.action = SHARD_CREATE,
                                     .text = slice_str(spec),
                                     .steps = &two,
                                     .step_count = 1});
}

static uint32_t count_moves(void)
{
    struct arena arena = {0};
    struct map_copy copy;
    ck_assert(store_map_copy(node->store, slice_str("/maps/m00000"), &arena, &copy));
    uint32_t count = copy.moves.count;
    arena_close(&arena);
    return count;
}

/* Nobody leads shard 0 any more, so its move does not begin though the hours have come. */
START_TEST(a_move_that_cannot_begin_holds_nothing_else_up)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    make_map_with_hours();
    for (uint64_t i = 0; i < 4; i++) {
        join(names[i], i + 1);
    }
    plan((struct shard_step){.number = 0, .kind = SHARD_STEP_ASSIGN, .to = slice_str("a,b")});
    plan((struct shard_step){.number = 1, .kind = SHARD_STEP_ASSIGN, .to = slice_str("a,c")});
    plan((struct shard_step){
        .number = 0, .kind = SHARD_MOVE, .from = slice_str("a"), .to = slice_str("d")});
    on_map(0, (struct command_shard){.action = SHARD_LEAVE, .node = slice_str("b")});
    on_map(0, (struct command_shard){.action = SHARD_LEAVE, .node = slice_str("a")});
    fake_env_advance(&env, 600 * 60000);
    uint64_t index = node->index;
    for (int turn = 0; turn < 20; turn++) {
        uint64_t now_ms = env.env.now_ms(&env.env);
        node->now_ms = now_ms;
        warden_turn(warden, now_ms);
        fake_env_run(&env);
        node_turn(node);
        fake_env_advance(&env, 1000);
    }
    ck_assert_uint_eq(count_moves(), 2); /* shard 1 gets a replica for that it lost */
    ck_assert_uint_le(node->index - index, 3);
}
END_TEST

static Suite *warden_suite(void)
{
    Suite *suite = suite_create("warden");
    TCase *tcase = tcase_create("warden");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, each_of_many_maps_has_its_turn_and_none_of_them_is_long);
    tcase_add_test(tcase, a_move_that_cannot_begin_holds_nothing_else_up);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){warden_suite, NULL});
}
