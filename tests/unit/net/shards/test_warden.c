/* What the leader does for shard maps by itself: all of them, however many there are. */
#include "net/shards/warden.h"

#include <inttypes.h>
#include <time.h>

#include "base/metrics.h"
#include "lease/lease.h"
#include "recipes/shard_record.h"
#include "store/maps.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "tests/support/fake_node.h"

#define MAPS 20000

static struct fake_env env;
static struct node *node;
static struct warden *warden;

static void setup(void)
{
    fake_env_init(&env, 1);
    node = fake_node_new();
    node->is_leading = true;
    warden = warden_new(&(struct warden_options){.env = &env.env, .node = node});
}

static void teardown(void)
{
    warden_free(warden);
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

static Suite *warden_suite(void)
{
    Suite *suite = suite_create("warden");
    TCase *tcase = tcase_create("warden");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, each_of_many_maps_has_its_turn_and_none_of_them_is_long);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){warden_suite, NULL});
}
