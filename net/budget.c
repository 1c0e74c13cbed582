#include "net/budget.h"

#include <stddef.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "net/source.h"

#define SETS 256
#define WAYS 4

/* Of one source. */
struct cell {
    uint64_t hash; /* 0: nobody's */
    struct budget_bucket bucket;
};

struct budgets {
    uint64_t seed;
    struct cell cells[SETS][WAYS];
};

struct budgets *budgets_new(uint64_t seed)
{
    struct budgets *b = mem_zalloc(sizeof *b);
    b->seed = seed;
    return b;
}

void budgets_free(struct budgets *b)
{
    mem_free(b);
}

struct budget_bucket *budget_of(struct budgets *b, const char *peer)
{
    char source[SOURCE_BYTES];
    source_of(source, peer);
    uint64_t hash = hash_bytes(b->seed, (const uint8_t *)source, strlen(source)) | 1;
    struct cell *set = b->cells[(hash >> 1) % SETS];
    struct cell *oldest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash) {
            return &set[i].bucket;
        }
        oldest = set[i].bucket.at_ms < oldest->bucket.at_ms ? &set[i] : oldest;
    }
    *oldest = (struct cell){.hash = hash};
    return &oldest->bucket;
}

void budget_refill(struct budget_bucket *b, struct budget_rate rate, uint64_t now_ms)
{
    uint64_t full_ms = (uint64_t)(rate.burst - b->left) * 1000 / (uint64_t)rate.per_s;
    uint64_t passed_ms = now_ms - b->at_ms;
    if (b->at_ms == 0 || passed_ms >= full_ms) {
        b->left = rate.burst;
        b->at_ms = now_ms;
    } else if ((int64_t)passed_ms * rate.per_s >= 1000) {
        int64_t more = (int64_t)passed_ms * rate.per_s / 1000;
        b->left += more;
        b->at_ms += (uint64_t)(more * 1000 / rate.per_s);
    }
}
