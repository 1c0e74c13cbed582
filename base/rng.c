#include "base/rng.h"

#include "base/assert.h"

static uint64_t rng_rotate(uint64_t v, int by)
{
    return (v << by) | (v >> (64 - by));
}

/* SplitMix64 (Steele, Lea, Flood 2014) spreads any seed, zero too, over the whole state. */
void rng_init(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        r->s[i] = z ^ (z >> 31);
    }
}

/* xoshiro256** (Blackman, Vigna 2018). */
uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rng_rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rng_rotate(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    PRE(bound > 0);
    /* The lowest 2^64 mod bound values are thrown away, or small results would come too often. */
    uint64_t biased = (0 - bound) % bound;
    uint64_t v;
    do {
        v = rng_next(r);
    } while (v < biased);
    return v % bound;
}

uint64_t rng_range(struct rng *r, uint64_t low, uint64_t high)
{
    PRE(low <= high);
    uint64_t span = high - low;
    return span == UINT64_MAX ? rng_next(r) : low + rng_below(r, span + 1);
}

bool rng_chance(struct rng *r, uint32_t per_mille)
{
    return rng_below(r, 1000) < per_mille;
}
