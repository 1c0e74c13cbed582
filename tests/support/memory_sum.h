/* The sum of what clients hold (net/memory.h), with one connection whose front is tested and one
 * that is not there but in the sum. One test program, one inclusion. */
#ifndef TESTS_SUPPORT_MEMORY_SUM_H
#define TESTS_SUPPORT_MEMORY_SUM_H

#include "net/front.h"
#include "net/memory.h"

static struct {
    struct memory memory;
    struct memory_hold hold;
    struct memory_hold other;
    const struct front *front;
    void *state; /* of the connection */
    bool is_evicted;
} sum;

static void sum_renew(struct memory_hold *h)
{
    (void)h;
}

static void sum_evict(struct memory_hold *h)
{
    if (h == &sum.hold) {
        sum.is_evicted = true;
        sum.front->drop(sum.state);
    }
}

/* From here on the connection is in the sum. */
static void sum_begin(struct front_env *env, const struct front *front, void *state)
{
    memory_init(&sum.memory, NULL, sum_renew, sum_evict);
    memory_hold_open(&sum.memory, &sum.hold, "192.0.2.7:1");
    memory_hold_open(&sum.memory, &sum.other, "192.0.2.8:1");
    sum.front = front;
    sum.state = state;
    sum.is_evicted = false;
    env->memory = &sum.hold;
}

/* The sum comes to its bound, and it is this connection that holds the most. */
static void sum_overflow(void)
{
    memory_note(&sum.hold, MEMORY_WRITTEN, MEMORY_BYTES_MAX);
    memory_note(&sum.other, MEMORY_WRITTEN, 1);
}

#endif
