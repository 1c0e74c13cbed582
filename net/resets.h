/* How many calls clients may break off. One that is broken off costs us nearly what one costs
 * that is answered, and its client nothing: so who breaks off many is read later (the attack
 * is known as rapid reset, CVE-2023-44487).
 *
 * Each connection may break off RESETS_OWN_BURST calls, and RESETS_OWN_PER_S more each second.
 * Those above count for its source (net/source.h), all its connections together, so that a new
 * connection brings nothing new: RESETS_BURST, and RESETS_PER_S. What is above that as well
 * makes the connection wait until as many would have been allowed. On the loop. */
#ifndef NET_RESETS_H
#define NET_RESETS_H

#include <stddef.h>

#include "net/budget.h"

#define RESETS_OWN_BURST   100
#define RESETS_OWN_PER_S   10
#define RESETS_BURST       5000
#define RESETS_PER_S       1000
#define RESETS_WAIT_MS_MAX 10000

/* `count` calls were broken off on a connection from `peer`, which has the bucket `own`.
 * Returns for how many ms it is not to be read; 0: it may go on. */
uint64_t resets_take(struct budgets *sources, struct budget_bucket *own, const char *peer,
                     size_t count, uint64_t now_ms);

#endif
