/* Counters, gauges and latency histograms in a registry that is passed explicitly.
 *
 * A metric is registered once, mostly at start, with its Prometheus name, help and fixed labels;
 * the returned handle is then a plain add on the loop thread. Text exposition format 0.0.4. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#include "base/buf.h"

struct metrics;
struct metric; /* counter or gauge */
struct histogram;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* `labels` is the text between the braces, such as `method="Get",code="0"`, or NULL. Strings are
 * copied. Registering the same name and labels again returns the same handle. */
struct metric *metrics_counter(struct metrics *m, const char *name, const char *labels,
                               const char *help);
struct metric *metrics_gauge(struct metrics *m, const char *name, const char *labels,
                             const char *help);
/* A counter of time: its value is microseconds here, and seconds where it is shown. */
struct metric *metrics_time(struct metrics *m, const char *name, const char *labels,
                            const char *help);
struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *labels,
                                    const char *help);

/* Forgets a series, whose handle is nobody's any more. Fine if there is none. */
void metrics_remove(struct metrics *m, const char *name, const char *labels);

void metric_add(struct metric *metric, int64_t delta); /* NULL handles are ignored */
void metric_set(struct metric *metric, int64_t value);
int64_t metric_value(const struct metric *metric);

/* Seconds are what Prometheus shows; microseconds are what we measure. Buckets 50 us .. 10 s. */
void histogram_observe_us(struct histogram *h, uint64_t microseconds);

/* Appends the whole registry, families sorted by name. */
void metrics_print(const struct metrics *m, struct buf *out);

#endif
