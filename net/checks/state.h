/* What the results of checks say about an instance. Pure.
 *
 *                      3 misses in a row          6 misses in a row
 *   PASSING  --------------------> SUSPECTED_DOWN ------------------> DOWN
 *   SLOW     <--------------------        |                            |
 *   UNSTABLE    2 passes in a row         <----- 2 passes in a row ----+
 *
 * The three to the left, of the last CHECK_WINDOW results: UNSTABLE if there are at least
 * CHECK_RATED of them and more than half are misses; else SLOW if the passes took longer than the
 * limit on average; else PASSING. An instance begins as PASSING.
 *
 * Of one that promised heartbeats, each is a pass that took as long as its work does on average, by
 * its own word. One that is more than timeout_ms late is a miss, and then each further interval. */
#ifndef NET_CHECKS_STATE_H
#define NET_CHECKS_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "recipes/instance.h"

#define CHECK_WINDOW           10
#define CHECK_RATED            4
#define CHECK_MISSES_SUSPECTED 3
#define CHECK_MISSES_DOWN      6
#define CHECK_PASSES_UP        2

struct check_state {
    uint8_t health; /* enum instance_health */
    uint32_t misses; /* in a row */
    uint32_t passes;
    uint32_t count; /* of results in the window */
    uint32_t next;
    struct {
        bool passed;
        uint32_t took_ms;
    } results[CHECK_WINDOW];
};

struct check_rules {
    uint32_t every_ms;
    uint32_t timeout_ms;
    uint32_t slow_ms;
};

/* Heartbeats that are awaited. */
struct beat_state {
    struct check_state checks;
    uint64_t until_ms; /* later than this is a miss */
};

/* From now on they are awaited; `health` is what is known. */
void beat_begin(struct beat_state *s, const struct check_rules *rules, uint8_t health,
                uint64_t now_ms);
/* One has come, and what its instance says of its latency; behind the misses before it. */
void beat_come(struct beat_state *s, const struct check_rules *rules, uint32_t latency_ms,
               uint64_t now_ms);
/* The misses up to now; how many they are. */
uint32_t beat_pass_time(struct beat_state *s, const struct check_rules *rules, uint64_t now_ms);

/* A result has come; returns the new state. Begins zeroed. */
uint8_t check_judge(struct check_state *s, bool passed, uint32_t took_ms, uint32_t slow_ms);

#endif
