/* Heartbeats that come, are late, or never come, against a model that looks at all of them anew. */
#include "base/rng.h"
#include "net/checks/state.h"
#include "tests/support/check_main.h"

#define BEATS_MAX 80

struct story {
    struct check_rules rules;
    uint8_t health; /* known at the beginning */
    uint64_t begin_ms;
    uint64_t at_ms[BEATS_MAX];
    uint32_t latency_ms[BEATS_MAX];
    size_t count;
};

struct result {
    bool passed;
    uint32_t took_ms;
};

/* Every result up to `now_ms`, by the words of the page: a heartbeat is awaited for an interval and
 * what it may be late; what is later is a miss, and each further interval another. */
static size_t results_of(const struct story *s, uint64_t now_ms, struct result *out, size_t max)
{
    size_t count = 0;
    uint64_t from_ms = s->begin_ms;
    for (size_t i = 0; i <= s->count; i++) {
        uint64_t to_ms = i < s->count ? s->at_ms[i] : now_ms;
        uint64_t silence_ms = to_ms - from_ms;
        uint64_t patience_ms = (uint64_t)s->rules.every_ms + s->rules.timeout_ms;
        uint64_t misses =
            silence_ms > patience_ms ? (silence_ms - patience_ms - 1) / s->rules.every_ms + 1 : 0;
        for (uint64_t k = 0; k < misses && count < max; k++) {
            out[count++] = (struct result){.passed = false};
        }
        if (i < s->count && count < max) {
            out[count++] = (struct result){.passed = true, .took_ms = s->latency_ms[i]};
        }
        from_ms = to_ms;
    }
    return count;
}

static bool is_row(const struct result *r, size_t end, size_t wanted, bool passed)
{
    if (end + 1 < wanted) {
        return false;
    }
    for (size_t i = end + 1 - wanted; i <= end; i++) {
        if (r[i].passed != passed) {
            return false;
        }
    }
    return true;
}

static uint8_t rated(const struct result *r, size_t count, uint32_t slow_ms)
{
    size_t first = count > CHECK_WINDOW ? count - CHECK_WINDOW : 0;
    size_t seen = count - first;
    size_t passes = 0;
    double took_ms = 0;
    for (size_t i = first; i < count; i++) {
        passes += r[i].passed;
        took_ms += r[i].passed ? r[i].took_ms : 0;
    }
    if (seen >= CHECK_RATED && (double)(seen - passes) / (double)seen > 0.5) {
        return HEALTH_UNSTABLE;
    }
    return passes > 0 && took_ms / (double)passes > slow_ms ? HEALTH_SLOW : HEALTH_PASSING;
}

/* Looks for the last time it was up, and for what came behind that. */
static uint8_t model(const struct story *s, uint64_t now_ms)
{
    static struct result r[4096];
    size_t count = results_of(s, now_ms, r, sizeof r / sizeof r[0]);
    bool is_out = s->health >= HEALTH_SUSPECTED_DOWN;
    bool is_down = s->health == HEALTH_DOWN;
    size_t up = 0; /* results before this do not count for who is down */
    for (size_t i = 0; i < count; i++) {
        if (is_row(r, i, CHECK_PASSES_UP, true)) {
            is_out = false;
            is_down = false;
            up = i + 1;
        }
    }
    for (size_t i = up; i < count; i++) {
        is_out = is_out || is_row(r, i, CHECK_MISSES_SUSPECTED, false);
        is_down = is_down || is_row(r, i, CHECK_MISSES_DOWN, false);
    }
    if (count == 0) {
        return s->health;
    }
    return is_down  ? HEALTH_DOWN
           : is_out ? HEALTH_SUSPECTED_DOWN
                    : rated(r, count, s->rules.slow_ms);
}

static uint64_t next_pause(struct rng *rng, const struct check_rules *rules, uint32_t regular)
{
    if (rng_chance(rng, regular)) {
        return 1 + rng_below(rng, rules->every_ms);
    }
    return 1 + rng_below(rng, (uint64_t)rules->every_ms * (rng_chance(rng, 300) ? 12 : 3));
}

static void tell(struct rng *rng, size_t seen[HEALTH_DOWN + 1])
{
    struct story s = {
        .rules = {.every_ms = 100 + (uint32_t)rng_below(rng, 2000),
                  .timeout_ms = 100 + (uint32_t)rng_below(rng, 2000),
                  .slow_ms = 100},
        .health = (uint8_t)rng_below(rng, HEALTH_DOWN + 1),
        .begin_ms = rng_below(rng, 1000000),
    };
    struct beat_state state;
    uint64_t now_ms = s.begin_ms;
    uint32_t regular = (uint32_t)rng_below(rng, 1001);
    uint32_t slow = (uint32_t)rng_below(rng, 220);
    beat_begin(&state, &s.rules, s.health, now_ms);
    while (s.count < BEATS_MAX) {
        now_ms += next_pause(rng, &s.rules, regular);
        if (rng_chance(rng, 500)) { /* somebody looks: that must change nothing */
            uint64_t look_ms = now_ms - rng_below(rng, 50);
            look_ms = s.count > 0 && look_ms < s.at_ms[s.count - 1] ? now_ms : look_ms;
            look_ms = look_ms < s.begin_ms ? s.begin_ms : look_ms;
            (void)beat_pass_time(&state, &s.rules, look_ms);
            ck_assert_uint_eq(state.checks.health, model(&s, look_ms));
            seen[state.checks.health]++;
        }
        uint32_t latency_ms = (uint32_t)rng_below(rng, slow + 1);
        beat_come(&state, &s.rules, latency_ms, now_ms);
        s.at_ms[s.count] = now_ms;
        s.latency_ms[s.count++] = latency_ms;
        ck_assert_uint_eq(state.checks.health, model(&s, now_ms));
        seen[state.checks.health]++;
    }
}

START_TEST(states_are_those_of_the_rules_whenever_somebody_looks)
{
    struct rng rng;
    size_t seen[HEALTH_DOWN + 1] = {0};
    rng_init(&rng, 5);
    for (int round = 0; round < 500; round++) {
        tell(&rng, seen);
    }
    for (size_t i = 0; i <= HEALTH_DOWN; i++) {
        ck_assert_uint_gt(seen[i], 250);
    }
}
END_TEST

START_TEST(three_that_do_not_come_are_a_suspicion_and_six_the_end)
{
    static const struct check_rules rules = {.every_ms = 1000, .timeout_ms = 500, .slow_ms = 100};
    struct beat_state s;
    beat_begin(&s, &rules, HEALTH_PASSING, 10000);
    for (uint64_t now_ms = 11000; now_ms <= 20000; now_ms += 1000) {
        beat_come(&s, &rules, 1, now_ms);
    }
    ck_assert_uint_eq(beat_pass_time(&s, &rules, 21500), 0);
    ck_assert_uint_eq(beat_pass_time(&s, &rules, 21501), 1);
    ck_assert_uint_eq(beat_pass_time(&s, &rules, 23500), 1);
    ck_assert_uint_eq(s.checks.health, HEALTH_PASSING);
    ck_assert_uint_eq(beat_pass_time(&s, &rules, 23501), 1);
    ck_assert_uint_eq(s.checks.health, HEALTH_SUSPECTED_DOWN);
    ck_assert_uint_eq(beat_pass_time(&s, &rules, 26500), 2);
    ck_assert_uint_eq(s.checks.health, HEALTH_SUSPECTED_DOWN);
    ck_assert_uint_eq(beat_pass_time(&s, &rules, 26501), 1);
    ck_assert_uint_eq(s.checks.health, HEALTH_DOWN);
    beat_come(&s, &rules, 1, 26600);
    ck_assert_uint_eq(s.checks.health, HEALTH_DOWN);
    beat_come(&s, &rules, 1, 27600);
    ck_assert_uint_eq(s.checks.health, HEALTH_UNSTABLE);
}
END_TEST

static Suite *beats_suite(void)
{
    Suite *suite = suite_create("beats");
    TCase *tcase = tcase_create("beats");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, states_are_those_of_the_rules_whenever_somebody_looks);
    tcase_add_test(tcase, three_that_do_not_come_are_a_suspicion_and_six_the_end);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){beats_suite, NULL});
}
