#include "net/resets.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "net/source.h"

#define SETS 256
#define WAYS 4

/* Of one source. */
struct cell {
    uint64_t hash; /* 0: nobody's */
    struct resets_bucket bucket;
};

struct resets {
    uint64_t seed;
    struct cell cells[SETS][WAYS];
};

struct resets *resets_new(uint64_t seed)
{
    struct resets *r = mem_zalloc(sizeof *r);
    r->seed = seed;
    return r;
}

void resets_free(struct resets *r)
{
    mem_free(r);
}

/* The cell of a source, or one that it may have: that which was used least recently of a few. */
static struct cell *cell_of(struct resets *r, const char *peer)
{
    char source[SOURCE_BYTES];
    source_of(source, peer);
    uint64_t hash = hash_bytes(r->seed, (const uint8_t *)source, strlen(source)) | 1;
    struct cell *set = r->cells[(hash >> 1) % SETS];
    struct cell *oldest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash) {
            return &set[i];
        }
        oldest = set[i].bucket.at_ms < oldest->bucket.at_ms ? &set[i] : oldest;
    }
    *oldest = (struct cell){.hash = hash};
    return oldest;
}

static void refill(struct resets_bucket *b, int64_t per_s, int64_t burst, uint64_t now_ms)
{
    uint64_t full_ms = (uint64_t)(burst - b->left) * 1000 / (uint64_t)per_s;
    uint64_t passed_ms = now_ms - b->at_ms;
    if (b->at_ms == 0 || passed_ms >= full_ms) {
        b->left = burst;
        b->at_ms = now_ms;
    } else if ((int64_t)passed_ms * per_s >= 1000) {
        int64_t more = (int64_t)passed_ms * per_s / 1000;
        b->left += more;
        b->at_ms += (uint64_t)(more * 1000 / per_s);
    }
}

uint64_t resets_take(struct resets *r, struct resets_bucket *own, const char *peer, size_t count,
                     uint64_t now_ms)
{
    const int64_t least = -(int64_t)RESETS_WAIT_MS_MAX * RESETS_PER_S / 1000;
    refill(own, RESETS_OWN_PER_S, RESETS_OWN_BURST, now_ms);
    if ((int64_t)count <= own->left) {
        own->left -= (int64_t)count;
        return 0;
    }
    struct resets_bucket *b = &cell_of(r, peer)->bucket;
    refill(b, RESETS_PER_S, RESETS_BURST, now_ms);
    b->left -= (int64_t)count - own->left;
    b->left = b->left > least ? b->left : least;
    own->left = 0;
    return b->left < 0 ? (uint64_t)(-b->left * 1000 / RESETS_PER_S) : 0;
}
