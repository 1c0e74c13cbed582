/* A small seeded generator (xoshiro256**) for simulation, jitter and tests: the seed is always an
 * argument. Never for credentials or ids: those come from the env's randomness. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound);              /* 0 .. bound-1; bound > 0 */
uint64_t rng_range(struct rng *r, uint64_t low, uint64_t high); /* both inclusive */
bool rng_chance(struct rng *r, uint32_t per_mille);

#endif
