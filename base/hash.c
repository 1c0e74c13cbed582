/* A 64-bit hash that takes 16 bytes per multiplication.
 *
 * One step folds the 128-bit product of two words. Bytes are read as little-endian words
 * whatever the machine, and the words of the end overlap instead of being padded; the length goes
 * into the last step, so that no two lengths share an input. The constants are the fractional
 * parts of the square roots of 2, 3, 5 and 7. They are part of the state digest: never change
 * them.
 */
#include "base/hash.h"

#include <string.h>

#define HASH_K0 UINT64_C(0x6a09e667f3bcc909)
#define HASH_K1 UINT64_C(0xbb67ae8584caa73b)
#define HASH_K2 UINT64_C(0x3c6ef372fe94f82b)
#define HASH_K3 UINT64_C(0xa54ff53a5f1d36f1)

__extension__ typedef unsigned __int128 hash_wide;

static inline uint64_t hash_read64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint64_t hash_read32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

/* The operands are added again after the fold: a factor that happens to be zero would otherwise
 * swallow the other one whole. */
static inline uint64_t hash_step(uint64_t a, uint64_t b)
{
    hash_wide product = (hash_wide)(a ^ HASH_K0) * (b ^ HASH_K1);
    uint64_t rotated = (b << 29) | (b >> 35);
    return ((uint64_t)product ^ (uint64_t)(product >> 64)) + (a ^ rotated);
}

/* The lowest and highest bits of a product depend on few bits of its factors: two rounds, with the
 * halves exchanged between them, let every bit of the input reach every bit of the result. */
static inline uint64_t hash_finish(uint64_t h)
{
    h = hash_step(h, HASH_K3);
    h = (h ^ (h >> 32)) * HASH_K2;
    return h ^ (h >> 29);
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
    return hash_finish(hash_step(a, b));
}

uint64_t hash_bytes(uint64_t seed, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    size_t left = bytes;
    uint64_t h = seed;
    while (left > 16) {
        h = hash_step(h ^ hash_read64(p), hash_read64(p + 8));
        p += 16;
        left -= 16;
    }
    uint64_t low = 0;
    uint64_t high = 0;
    if (left >= 8) {
        low = hash_read64(p);
        high = hash_read64(p + left - 8);
    } else if (left >= 4) {
        low = hash_read32(p);
        high = hash_read32(p + left - 4);
    } else if (left > 0) {
        low = (uint64_t)p[0] << 16 | (uint64_t)p[left / 2] << 8 | p[left - 1];
    }
    h = hash_step(h ^ low, high);
    return hash_finish(h ^ bytes * HASH_K2);
}
