#include "net/checks/state.h"

static void note(struct check_state *s, bool passed, uint32_t took_ms)
{
    s->results[s->next].passed = passed;
    s->results[s->next].took_ms = took_ms;
    s->next = (s->next + 1) % CHECK_WINDOW;
    s->count += s->count < CHECK_WINDOW;
    s->misses = passed ? 0 : s->misses + 1;
    s->passes = passed ? s->passes + 1 : 0;
}

/* As the window says, without regard to what came in a row. */
static uint8_t rate(const struct check_state *s, uint32_t slow_ms)
{
    uint32_t passes = 0;
    uint64_t took_ms = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        passes += s->results[i].passed;
        took_ms += s->results[i].passed ? s->results[i].took_ms : 0;
    }
    if (s->count >= CHECK_RATED && 2 * (s->count - passes) > s->count) {
        return HEALTH_UNSTABLE;
    }
    return passes > 0 && took_ms > (uint64_t)passes * slow_ms ? HEALTH_SLOW : HEALTH_PASSING;
}

uint8_t check_judge(struct check_state *s, bool passed, uint32_t took_ms, uint32_t slow_ms)
{
    bool was_out = s->health >= HEALTH_SUSPECTED_DOWN;
    note(s, passed, took_ms);
    if (s->misses >= CHECK_MISSES_DOWN) {
        s->health = HEALTH_DOWN;
    } else if (s->misses >= CHECK_MISSES_SUSPECTED) {
        s->health = s->health == HEALTH_DOWN ? HEALTH_DOWN : HEALTH_SUSPECTED_DOWN;
    } else if (!was_out || s->passes >= CHECK_PASSES_UP) {
        s->health = rate(s, slow_ms);
    }
    return s->health;
}

/* ---- heartbeats --------------------------------------------------------------------------- */

static void await(struct beat_state *s, const struct check_rules *rules, uint64_t now_ms)
{
    s->until_ms = now_ms + rules->every_ms + rules->timeout_ms;
}

void beat_begin(struct beat_state *s, const struct check_rules *rules, uint8_t health,
                uint64_t now_ms)
{
    *s = (struct beat_state){.checks = {.health = health}};
    await(s, rules, now_ms);
}

uint32_t beat_pass_time(struct beat_state *s, const struct check_rules *rules, uint64_t now_ms)
{
    uint32_t misses = 0;
    while (s->until_ms < now_ms) {
        (void)check_judge(&s->checks, false, 0, rules->slow_ms);
        s->until_ms += rules->every_ms;
        misses++;
    }
    return misses;
}

void beat_come(struct beat_state *s, const struct check_rules *rules, uint32_t latency_ms,
               uint64_t now_ms)
{
    (void)beat_pass_time(s, rules, now_ms);
    (void)check_judge(&s->checks, true, latency_ms, rules->slow_ms);
    await(s, rules, now_ms);
}
