/* A sink that keeps others from filling the disk with lines: of one event at most
 * LOG_GUARD_LINES in LOG_GUARD_MS reach the sink behind it. Then one line says how many were
 * left out:
 *
 *   log.left_out event=client.refused lines=7312 within_ms=10000
 *
 * Errors always pass. An event is the first word of a line; those of the first
 * LOG_GUARD_EVENTS that appear have a count each, the others share one. */
#ifndef BASE_LOG_GUARD_H
#define BASE_LOG_GUARD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/metrics.h"

#define LOG_GUARD_LINES  100
#define LOG_GUARD_MS     10000
#define LOG_GUARD_EVENTS 128
#define LOG_GUARD_EVENT_BYTES 48

struct log_guard_event {
    char name[LOG_GUARD_EVENT_BYTES]; /* cut to fit */
    uint64_t began_ms;
    uint64_t lines;    /* since then */
    uint64_t left_out; /* of these */
};

struct log_guard {
    struct log behind;
    uint64_t (*now_ms)(void *context);
    void *context;
    struct metric *left_out; /* may be NULL */
    pthread_mutex_t mutex;   /* PTHREAD_MUTEX_INITIALIZER; of what follows */
    struct log_guard_event others;
    struct log_guard_event events[LOG_GUARD_EVENTS];
    size_t event_count;
    size_t pending;     /* events of which something was left out that is not told yet */
    uint64_t uncounted; /* left out, and not yet in the metric */
};

/* Of struct log; its context is a struct log_guard. Zeroed but for the first five, it is
 * ready. Any thread. */
void log_guard_sink(void *guard, enum log_level level, const char *line);
/* Tells what was left out in times that are over. `is_last`: and in those that are not. Once a
 * turn is enough; cheap. Thread: the loop, as the metric. */
void log_guard_turn(struct log_guard *g, int is_last);

#endif
