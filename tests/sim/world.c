#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/salt.h"

void world_init(struct world *w, uint64_t seed, bool trace)
{
    *w = (struct world){.seed = seed, .trace = trace};
    rng_init(&w->rng, seed);
    salt_seed(seed);
    /* Not zero: code that takes 0 for "never" must meet a real time. */
    w->now_us = SECOND;
}

void world_close(struct world *w)
{
    for (struct heap_node *node; (node = heap_pop(&w->events)) != NULL;) {
        struct world_event *event = HEAP_OF(node, struct world_event, node);
        if (event->owned) {
            mem_free(event);
        }
    }
    heap_close(&w->events);
}

void world_at(struct world *w, struct world_event *event, uint64_t delay_us, world_fn fn,
              void *context)
{
    event->fn = fn;
    event->context = context;
    heap_update(&w->events, &event->node, w->now_us + delay_us);
}

void world_cancel(struct world *w, struct world_event *event)
{
    heap_remove(&w->events, &event->node);
}

bool world_is_due(const struct world_event *event)
{
    return heap_contains(&event->node);
}

void world_once(struct world *w, uint64_t delay_us, world_fn fn, void *context)
{
    struct world_event *event = mem_zalloc(sizeof *event);
    event->owned = true;
    world_at(w, event, delay_us, fn, context);
}

bool world_step(struct world *w)
{
    struct heap_node *node = heap_pop(&w->events);
    if (node == NULL) {
        return false;
    }
    struct world_event *event = HEAP_OF(node, struct world_event, node);
    w->now_us = node->key;
    w->event_count++;
    world_fn fn = event->fn;
    void *context = event->context;
    if (event->owned) {
        mem_free(event);
    }
    fn(context);
    return true;
}

void world_note(struct world *w, uint64_t kind, uint64_t a, uint64_t b)
{
    w->hash = hash_mix(hash_mix(w->hash, w->now_us ^ (kind << 56)), hash_mix(a, b));
}

void world_trace(const struct world *w, const char *format, ...)
{
    if (!w->trace) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)printf("%10.3f ms  ", (double)w->now_us / 1000.0);
    (void)vprintf(format, args);
    (void)printf("\n");
    va_end(args);
}

void world_fail(struct world *w, const char *format, ...)
{
    char text[sizeof w->why];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    world_trace(w, "VIOLATION %s", text);
    if (!w->failed) {
        w->failed = true;
        (void)snprintf(w->why, sizeof w->why, "at %" PRIu64 " ms: %.460s", w->now_us / MS,
                       text);
    }
}

uint64_t world_random(struct world *w, uint64_t low, uint64_t high)
{
    return rng_range(&w->rng, low, high);
}

bool world_chance(struct world *w, uint32_t per_mille)
{
    return rng_chance(&w->rng, per_mille);
}
