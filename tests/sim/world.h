/* The simulated world: virtual time, one heap of events, one seeded generator, one trace hash.
 *
 * Everything that happens in a run happens inside an event, in an order that depends on the
 * seed alone: ties are broken by the heap, whose order depends on calls only; no address, real
 * clock or hash seed has a say. Every delivery, disk operation and apply is noted in the trace
 * hash, so that two runs of one seed can be compared by one number.
 *
 * A violation ends the run: the first one is kept, with its story. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/rng.h"

#define MS     ((uint64_t)1000)
#define SECOND ((uint64_t)1000000)

typedef void (*world_fn)(void *context);

/* Embedded in what it moves; zeroed is valid. At most once in the future at a time. */
struct world_event {
    struct heap_node node;
    world_fn fn;
    void *context;
    bool owned; /* private: freed after it ran */
};

struct world {
    uint64_t seed;
    uint64_t now_us;
    struct rng rng;
    struct heap events;
    uint64_t hash;
    uint64_t event_count;
    bool trace;
    bool failed;
    char why[512];
};

void world_init(struct world *w, uint64_t seed, bool trace);
void world_close(struct world *w);

/* (Re)schedules `event` at now + delay_us. */
void world_at(struct world *w, struct world_event *event, uint64_t delay_us, world_fn fn,
              void *context);
void world_cancel(struct world *w, struct world_event *event);
bool world_is_due(const struct world_event *event); /* scheduled and not yet run */
/* One shot without a struct of the caller's. It cannot be cancelled. */
void world_once(struct world *w, uint64_t delay_us, world_fn fn, void *context);

/* Runs the next event. False if there is none. */
bool world_step(struct world *w);

/* Adds one fact to the trace hash. */
void world_note(struct world *w, uint64_t kind, uint64_t a, uint64_t b);
/* A line of --trace output; free text for humans, not part of the hash. */
void world_trace(const struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The run has failed; the first reason is kept. */
void world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint64_t world_random(struct world *w, uint64_t low, uint64_t high); /* both inclusive */
bool world_chance(struct world *w, uint32_t per_mille);

#endif
