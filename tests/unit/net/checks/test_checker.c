/* What the checker proposes of instances that promised heartbeats. Those that are connected to are
 * tried with real servers (tests/cluster/discovery.py). */
#include "net/checks/checker.h"

#include "base/metrics.h"
#include "net/checks/vitals.h"
#include "recipes/instance.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "tests/support/fake_node.h"

static struct fake_env env;
static struct node *node;
static struct vitals *vitals;
static struct checker *checker;
static struct metrics *metrics;

static void world_open(void)
{
    fake_env_init(&env, 1);
    fake_env_advance(&env, 100000);
    node = fake_node_new();
    node->is_leading = true;
    vitals = vitals_new(&(struct vitals_options){.env = &env.env, .node = node});
    metrics = metrics_new();
    checker = checker_new(&(struct checker_options){
        .env = &env.env, .node = node, .metrics = metrics, .vitals = vitals});
}

static void world_close(void)
{
    checker_free(checker);
    vitals_free(vitals);
    fake_node_free(node);
    metrics_free(metrics);
    fake_env_close(&env);
}

/* /services/web/ID, with heartbeats each second that may be half a second late; its revision. */
static uint64_t put(const char *id)
{
    char path[64];
    struct reply reply;
    (void)snprintf(path, sizeof path, "/services/web/%s", id);
    const struct op op = {.type = OP_CREATE,
                          .flags = OP_MAKE_PARENTS,
                          .space = SPACE_NODES,
                          .path = slice_str(path),
                          .data = slice_str("address=10.0.0.7\nport=80\nweight=100\n"
                                            "check=heartbeat\ncheck_interval_ms=1000\n"
                                            "check_timeout_ms=500\ncheck_slow_ms=200\n"),
                          .version = VERSION_ANY};
    const struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    const struct apply_context context = {.index = ++node->index, .last_of_entry = true};
    store_apply(node->store, &context, &c, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
    return reply.revision;
}

static void set_draining(const char *id, bool drains)
{
    char path[64];
    struct reply reply;
    (void)snprintf(path, sizeof path, "/services/web/%s", id);
    const struct command c = {
        .type = COMMAND_DISCOVERY,
        .discovery = {.action = DISCOVERY_DRAIN, .flag = drains, .path = slice_str(path)}};
    const struct apply_context context = {.index = ++node->index, .last_of_entry = true};
    store_apply(node->store, &context, &c, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
}

/* Time passes, in which everybody looks at what is due. */
static void pass(uint64_t ms)
{
    for (; ms > 0; ms -= 100) {
        fake_env_advance(&env, 100);
        node->now_ms = env.env.now_ms(&env.env);
        vitals_turn(vitals, node->now_ms);
        checker_turn(checker, node->now_ms);
        node_turn(node);
    }
}

static void beat(const char *id, uint64_t revision, double latency_ms)
{
    char path[64];
    const struct service_load load = {.avg_latency_ms = latency_ms};
    (void)snprintf(path, sizeof path, "/services/web/%s", id);
    ck_assert_int_eq(vitals_beat(vitals, slice_str(path), revision, &load), RC_OK);
}

static void beats(const char *id, uint64_t revision, double latency_ms, int seconds)
{
    for (; seconds > 0; seconds--) {
        beat(id, revision, latency_ms);
        pass(1000);
    }
}

/* As its node says. */
static const char *health(const char *id)
{
    char path[64];
    struct arena arena = {0};
    struct query_result result;
    struct service_instance in;
    (void)snprintf(path, sizeof path, "/services/web/%s", id);
    const struct query query = {
        .type = QUERY_GET, .space = SPACE_NODES, .path = slice_str(path)};
    store_query(node->store, &query, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK);
    ck_assert(instance_decode(result.data, &in, &arena));
    const char *name = instance_health_name(in.health);
    arena_close(&arena);
    return name;
}

START_TEST(who_falls_silent_is_suspected_then_down_and_comes_back)
{
    uint64_t a = put("a");
    uint64_t b = put("b");
    pass(1100);
    for (int i = 0; i < 6; i++) {
        beat("b", b, 1);
        beats("a", a, 1, 1);
    }
    uint64_t index = node->index;
    pass(500);
    beat("b", b, 1); /* late, and not too late */
    ck_assert_str_eq(health("a"), "passing");
    for (int i = 0; i < 3; i++) {
        beats("b", b, 1, 1);
    }
    ck_assert_str_eq(health("a"), "suspected_down");
    for (int i = 0; i < 3; i++) {
        beats("b", b, 1, 1);
    }
    ck_assert_str_eq(health("a"), "down");
    ck_assert_str_eq(health("b"), "passing");
    ck_assert_uint_eq(node->index, index + 2); /* changes are logged, and nothing else */
    index = node->index;
    beat("a", a, 1);
    beats("b", b, 1, 1);
    ck_assert_str_eq(health("a"), "down");
    beat("a", a, 1);
    pass(1000);
    ck_assert_str_eq(health("a"), "unstable"); /* six of the last ten were missing */
    ck_assert_uint_eq(node->index, index + 1);
    beats("a", a, 1, 6);
    ck_assert_str_eq(health("a"), "passing");
}
END_TEST

START_TEST(who_says_that_it_is_slow_is_slow)
{
    uint64_t a = put("a");
    pass(1100);
    beats("a", a, 150, 4);
    ck_assert_str_eq(health("a"), "passing");
    beats("a", a, 1000, 4);
    ck_assert_str_eq(health("a"), "slow");
    beats("a", a, 1, 11);
    ck_assert_str_eq(health("a"), "passing");
}
END_TEST

START_TEST(nobody_is_called_down_when_nobody_else_is_left_until_a_minute_has_passed)
{
    uint64_t a = put("a");
    pass(1100);
    beats("a", a, 1, 3);
    pass(10000);
    ck_assert_str_eq(health("a"), "suspected_down");
    pass(CHECKER_PROTECTED_MS);
    ck_assert_str_eq(health("a"), "down");
}
END_TEST

START_TEST(a_new_leader_gives_everybody_the_whole_time)
{
    uint64_t a = put("a");
    (void)put("b");
    pass(1100);
    beats("a", a, 1, 3);
    node->is_leading = false;
    pass(30000); /* another one leads, and hears the heartbeats */
    node->is_leading = true;
    pass(1200);
    ck_assert_str_eq(health("a"), "passing");
    pass(2000);
    ck_assert_str_eq(health("a"), "passing");
    pass(2000);
    ck_assert_str_eq(health("a"), "suspected_down");
}
END_TEST

START_TEST(who_drains_or_is_gone_is_no_other_one_that_is_left)
{
    uint64_t a = put("a");
    uint64_t b = put("b");
    pass(1100);
    beat("b", b, 1);
    beats("a", a, 1, 1);
    set_draining("b", true);
    for (int i = 0; i < 8; i++) {
        beats("b", b, 1, 1);
    }
    ck_assert_str_eq(health("a"), "suspected_down");
    set_draining("b", false);
    for (int i = 0; i < 3; i++) {
        beats("b", b, 1, 1);
    }
    ck_assert_str_eq(health("a"), "down");
    beats("a", a, 1, 8);
    ck_assert_str_eq(health("b"), "down"); /* a is well again */
}
END_TEST

#define MANY 2000

static uint64_t revisions[MANY];

static void put_many(void)
{
    for (int i = 0; i < MANY; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "i%d", i);
        revisions[i] = put(id);
    }
}

static void beat_many(void)
{
    for (int i = 0; i < MANY; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "i%d", i);
        beat(id, revisions[i], 1);
    }
}

static int64_t counted(const char *result)
{
    return metric_value(metrics_counter(metrics, "coord_checks_total", result, ""));
}

static bool is_due(uint64_t now_ms)
{
    return checker_next_deadline_ms(checker) <= now_ms;
}

START_TEST(many_instances_are_looked_at_in_many_turns)
{
    put_many();
    checker_turn(checker, env.env.now_ms(&env.env));
    beat_many();
    int64_t known = counted("result=\"passed\""); /* a heartbeat of another one is not awaited */
    ck_assert_int_gt(known, 0);
    ck_assert_int_lt(known, MANY / 2);
    pass(1000);
    known = counted("result=\"passed\"");
    beat_many();
    ck_assert_int_eq(counted("result=\"passed\"") - known, MANY);
    pass(1000);
    ck_assert(!is_due(env.env.now_ms(&env.env))); /* nothing has changed */
}
END_TEST

START_TEST(many_that_fall_silent_at_once_are_judged_in_many_turns)
{
    put_many();
    pass(1000);
    beat_many();
    fake_env_advance(&env, 1600);
    uint64_t now_ms = env.env.now_ms(&env.env);
    checker_turn(checker, now_ms);
    ck_assert_int_gt(counted("result=\"missed\""), 0);
    ck_assert_int_lt(counted("result=\"missed\""), MANY / 2);
    while (is_due(now_ms)) {
        checker_turn(checker, now_ms);
    }
    ck_assert_int_eq(counted("result=\"missed\""), MANY);
}
END_TEST

static Suite *checker_suite(void)
{
    Suite *suite = suite_create("checker");
    TCase *tcase = tcase_create("checker");
    tcase_add_checked_fixture(tcase, world_open, world_close);
    tcase_add_test(tcase, who_falls_silent_is_suspected_then_down_and_comes_back);
    tcase_add_test(tcase, who_says_that_it_is_slow_is_slow);
    tcase_add_test(tcase,
                   nobody_is_called_down_when_nobody_else_is_left_until_a_minute_has_passed);
    tcase_add_test(tcase, a_new_leader_gives_everybody_the_whole_time);
    tcase_add_test(tcase, who_drains_or_is_gone_is_no_other_one_that_is_left);
    tcase_add_test(tcase, many_instances_are_looked_at_in_many_turns);
    tcase_add_test(tcase, many_that_fall_silent_at_once_are_judged_in_many_turns);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){checker_suite, NULL});
}
