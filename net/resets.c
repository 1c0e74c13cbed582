#include "net/resets.h"

static const struct budget_rate own_rate = {RESETS_OWN_PER_S, RESETS_OWN_BURST};
static const struct budget_rate source_rate = {RESETS_PER_S, RESETS_BURST};

uint64_t resets_take(struct budgets *sources, struct budget_bucket *own, const char *peer,
                     size_t count, uint64_t now_ms)
{
    const int64_t least = -(int64_t)RESETS_WAIT_MS_MAX * RESETS_PER_S / 1000;
    budget_refill(own, own_rate, now_ms);
    if ((int64_t)count <= own->left) {
        own->left -= (int64_t)count;
        return 0;
    }
    struct budget_bucket *b = budget_of(sources, peer);
    budget_refill(b, source_rate, now_ms);
    b->left -= (int64_t)count - own->left;
    b->left = b->left > least ? b->left : least;
    own->left = 0;
    return b->left < 0 ? (uint64_t)(-b->left * 1000 / RESETS_PER_S) : 0;
}
