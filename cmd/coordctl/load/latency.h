/* Latencies in microseconds, in buckets of at most 1.6 % width: percentiles without keeping
 * samples. */
#ifndef CMD_COORDCTL_LOAD_LATENCY_H
#define CMD_COORDCTL_LOAD_LATENCY_H

#include <stddef.h>
#include <stdint.h>

#define LATENCY_SUB_BITS 6
#define LATENCY_BUCKETS  ((size_t)(64 - LATENCY_SUB_BITS) << LATENCY_SUB_BITS)

struct latency {
    uint64_t counts[LATENCY_BUCKETS];
    uint64_t total;
    uint64_t max;
};

static inline size_t latency_bucket(uint64_t us)
{
    unsigned shift = 0;
    while (us >> shift >= (2u << LATENCY_SUB_BITS)) {
        shift++;
    }
    return ((size_t)shift << LATENCY_SUB_BITS) + (size_t)(us >> shift);
}

static inline void latency_add(struct latency *l, uint64_t us)
{
    l->counts[latency_bucket(us)]++;
    l->total++;
    l->max = us > l->max ? us : l->max;
}

static inline uint64_t latency_percentile(const struct latency *l, double percent)
{
    uint64_t wanted = (uint64_t)((double)l->total * percent / 100.0);
    uint64_t seen = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += l->counts[i];
        if (seen > wanted || (seen == l->total && seen > 0)) {
            size_t shift = i < (2u << LATENCY_SUB_BITS) ? 0 : (i >> LATENCY_SUB_BITS) - 1;
            return (uint64_t)(i - (shift << LATENCY_SUB_BITS)) << shift;
        }
    }
    return 0;
}

#endif
