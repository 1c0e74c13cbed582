/* Everything that this member can say in numbers, as Prometheus text: the registry, with gauges of
 * the node and of the process brought up to date. For /metrics and Cluster.Metrics. On the loop. */
#ifndef NET_FIGURES_H
#define NET_FIGURES_H

#include "base/metrics.h"
#include "raft/node.h"

struct figures; /* the handles of those gauges */

/* `metrics` NULL: figures_print prints nothing. Several may be made for one registry. */
struct figures *figures_new(struct metrics *metrics);
void figures_free(struct figures *f);

void figures_print(const struct figures *f, const struct node *node, struct buf *out);

#endif
