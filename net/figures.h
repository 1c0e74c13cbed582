/* Everything that this member can say in numbers, as Prometheus text: the registry, with gauges of
 * the node and of the process brought up to date. For /metrics and Cluster.Metrics. On the loop.
 *
 * Making the text takes a few hundred microseconds, in which nobody else is served. So it is made
 * FIGURES_MADE_MAX times in FIGURES_MADE_MS at most, and who asks more often gets the last one. */
#ifndef NET_FIGURES_H
#define NET_FIGURES_H

#include "base/metrics.h"
#include "raft/node.h"

struct figures; /* the handles of those gauges */

#define FIGURES_MADE_MAX 4
#define FIGURES_MADE_MS  100

/* `metrics` NULL: the text is empty. Several may be made for one registry. */
struct figures *figures_new(struct metrics *metrics);
void figures_free(struct figures *f);

/* The text, borrowed until the next call. `now_ms` is the env's. */
struct slice figures_text(struct figures *f, const struct node *node, uint64_t now_ms);

#endif
