#include "base/salt.h"

#include "base/hash.h"

static uint64_t salt_of_process;
static uint64_t salts_given;

void salt_seed(uint64_t seed)
{
    salt_of_process = seed;
    salts_given = 0;
}

uint64_t salt_next(void)
{
    uint64_t number = __atomic_add_fetch(&salts_given, 1, __ATOMIC_RELAXED);
    return hash_mix(salt_of_process, number);
}
