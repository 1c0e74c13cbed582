/* What results of checks say about an instance, against a model that looks at all of them. */
#include "net/checks/state.h"

#include "base/rng.h"
#include "tests/support/check_main.h"

#define RESULTS_MAX 60
#define SLOW_MS     100

struct history {
    bool passed[RESULTS_MAX];
    uint32_t took_ms[RESULTS_MAX];
    int count;
};

/* Whether `wanted` results of one kind end at `end`. */
static bool row_ends_at(const struct history *h, int end, int wanted, bool passed)
{
    for (int i = end; i > end - wanted; i--) {
        if (i < 0 || h->passed[i] != passed) {
            return false;
        }
    }
    return true;
}

/* By the words of the page: the last row of misses that no row of passes followed. */
static uint8_t model(const struct history *h)
{
    int up = -1;
    bool suspected = false;
    bool down = false;
    for (int i = 0; i < h->count; i++) {
        up = row_ends_at(h, i, CHECK_PASSES_UP, true) ? i : up;
    }
    for (int i = up + 1; i < h->count; i++) {
        suspected = suspected || row_ends_at(h, i, CHECK_MISSES_SUSPECTED, false);
        down = down || row_ends_at(h, i, CHECK_MISSES_DOWN, false);
    }
    if (down || suspected) {
        return down ? HEALTH_DOWN : HEALTH_SUSPECTED_DOWN;
    }
    int begin = h->count > CHECK_WINDOW ? h->count - CHECK_WINDOW : 0;
    int misses = 0;
    double took_ms = 0;
    for (int i = begin; i < h->count; i++) {
        misses += !h->passed[i];
        took_ms += h->passed[i] ? h->took_ms[i] : 0;
    }
    int seen = h->count - begin;
    if (seen >= CHECK_RATED && (double)misses / seen > 0.5) {
        return HEALTH_UNSTABLE;
    }
    bool is_slow = seen > misses && took_ms / (seen - misses) > SLOW_MS;
    return is_slow ? HEALTH_SLOW : HEALTH_PASSING;
}

START_TEST(states_are_those_of_the_rules)
{
    struct rng rng;
    size_t seen[HEALTH_DOWN + 1] = {0};
    rng_init(&rng, 3);
    for (int round = 0; round < 4000; round++) {
        struct history h = {.count = 0};
        struct check_state s = {.health = HEALTH_PASSING};
        uint32_t passes = (uint32_t)rng_below(&rng, 1001);
        while (h.count < RESULTS_MAX) {
            if (rng_chance(&rng, 100)) {
                passes = (uint32_t)rng_below(&rng, 1001);
            }
            bool passed = rng_chance(&rng, passes);
            uint32_t took_ms = (uint32_t)rng_below(&rng, 3 * SLOW_MS);
            h.passed[h.count] = passed;
            h.took_ms[h.count++] = took_ms;
            uint8_t health = check_judge(&s, passed, took_ms, SLOW_MS);
            ck_assert_msg(health == model(&h), "round %d, result %d: %d instead of %d", round,
                          h.count, health, model(&h));
            seen[health]++;
        }
    }
    for (size_t i = 0; i <= HEALTH_DOWN; i++) {
        ck_assert_uint_gt(seen[i], 200);
    }
}
END_TEST

static uint8_t run(struct check_state *s, const char *results)
{
    for (; *results != '\0'; results++) {
        (void)check_judge(s, *results != '-', *results == 's' ? 2 * SLOW_MS : 1, SLOW_MS);
    }
    return s->health;
}

START_TEST(the_way_down_and_up_again)
{
    struct check_state s = {.health = HEALTH_PASSING};
    ck_assert_uint_eq(run(&s, "++++--"), HEALTH_PASSING);
    ck_assert_uint_eq(run(&s, "-"), HEALTH_SUSPECTED_DOWN);
    ck_assert_uint_eq(run(&s, "--"), HEALTH_SUSPECTED_DOWN);
    ck_assert_uint_eq(run(&s, "-"), HEALTH_DOWN);
    ck_assert_uint_eq(run(&s, "+"), HEALTH_DOWN);
    ck_assert_uint_eq(run(&s, "---+"), HEALTH_DOWN);
    ck_assert_uint_eq(run(&s, "+"), HEALTH_UNSTABLE);
    ck_assert_uint_eq(run(&s, "+++++"), HEALTH_PASSING);
    ck_assert_uint_eq(run(&s, "ssssssss"), HEALTH_SLOW);
}
END_TEST

static Suite *state_suite(void)
{
    Suite *suite = suite_create("check_state");
    TCase *tcase = tcase_create("check_state");
    tcase_add_test(tcase, states_are_those_of_the_rules);
    tcase_add_test(tcase, the_way_down_and_up_again);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){state_suite, NULL});
}
