/* A 64-bit hash of bytes (own construction, stable over versions and machines: the state digest
 * stands on it), and the mixing step it is made of. Not for secrets. Pure. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(uint64_t seed, const void *data, size_t bytes);
uint64_t hash_mix(uint64_t a, uint64_t b);

#endif
