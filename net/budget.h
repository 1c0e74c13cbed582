/* What each source (net/source.h) may cost: a bucket of tokens for each, refilled as time passes.
 * Of some 1,000 sources at a time; another one takes the place of that which asked least recently,
 * of a few. On the loop. */
#ifndef NET_BUDGET_H
#define NET_BUDGET_H

#include <stdint.h>

struct budget_rate {
    int64_t per_s;
    int64_t burst;
};

/* What is left. Zeroed before its first use, which fills it. */
struct budget_bucket {
    int64_t left;
    uint64_t at_ms;
};

struct budgets;

struct budgets *budgets_new(uint64_t seed);
void budgets_free(struct budgets *b); /* NULL is fine */

/* The bucket of the source of `peer`, which front_env names so. Until the next call. */
struct budget_bucket *budget_of(struct budgets *b, const char *peer);
/* With what has come since it was looked at last. */
void budget_refill(struct budget_bucket *b, struct budget_rate rate, uint64_t now_ms);

#endif
