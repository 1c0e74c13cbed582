#include "base/log_guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct log_guard_event *event_find(struct log_guard *g, const char *line)
{
    size_t size = strcspn(line, " ");
    size = size < LOG_GUARD_EVENT_BYTES ? size : LOG_GUARD_EVENT_BYTES - 1;
    for (size_t i = 0; i < g->event_count; i++) {
        struct log_guard_event *e = &g->events[i];
        if (strncmp(e->name, line, size) == 0 && e->name[size] == '\0') {
            return e;
        }
    }
    if (g->event_count >= LOG_GUARD_EVENTS) {
        memcpy(g->others.name, "others", sizeof "others");
        return &g->others;
    }
    struct log_guard_event *e = &g->events[g->event_count++];
    memcpy(e->name, line, size);
    return e;
}

/* Into `told`, to be told when the mutex is free again. */
static void take_left_out(struct log_guard *g, struct log_guard_event *e,
                          struct log_guard_event *told)
{
    if (e->left_out > 0) {
        *told = *e;
        e->left_out = 0;
        g->pending--;
    }
}

static void tell(struct log_guard *g, const struct log_guard_event *told)
{
    if (told->left_out > 0) {
        log_warn(&g->behind, "log.left_out", "event=%s lines=%" PRIu64 " within_ms=%d",
                 told->name, told->left_out, LOG_GUARD_MS);
    }
}

/* Whether the line passes. */
static bool count(struct log_guard *g, enum log_level level, const char *line,
                  struct log_guard_event *told)
{
    struct log_guard_event *e = event_find(g, line);
    uint64_t now_ms = g->now_ms(g->context);
    if (e->lines == 0 || now_ms - e->began_ms >= LOG_GUARD_MS) {
        take_left_out(g, e, told);
        e->began_ms = now_ms;
        e->lines = 0;
    }
    e->lines++;
    if (level == LOG_ERROR || e->lines <= LOG_GUARD_LINES) {
        return true;
    }
    g->pending += e->left_out++ == 0;
    g->uncounted++;
    return false;
}

void log_guard_sink(void *guard, enum log_level level, const char *line)
{
    struct log_guard *g = guard;
    struct log_guard_event told = {.left_out = 0};
    pthread_mutex_lock(&g->mutex);
    bool passes = count(g, level, line, &told);
    pthread_mutex_unlock(&g->mutex);
    tell(g, &told);
    if (passes) {
        g->behind.sink(g->behind.context, level, line);
    }
}

/* The next event from `*at` on whose count is to be told. False: there is none. */
static bool next_over(struct log_guard *g, size_t *at, int is_last, struct log_guard_event *told)
{
    told->left_out = 0;
    pthread_mutex_lock(&g->mutex);
    uint64_t now_ms = g->pending > 0 ? g->now_ms(g->context) : 0;
    for (; g->pending > 0 && *at <= g->event_count && told->left_out == 0; ++*at) {
        struct log_guard_event *e = *at < g->event_count ? &g->events[*at] : &g->others;
        if (is_last || now_ms - e->began_ms >= LOG_GUARD_MS) {
            take_left_out(g, e, told);
        }
    }
    metric_add(g->left_out, (int64_t)g->uncounted);
    g->uncounted = 0;
    pthread_mutex_unlock(&g->mutex);
    return told->left_out > 0;
}

void log_guard_turn(struct log_guard *g, int is_last)
{
    struct log_guard_event told;
    for (size_t at = 0; next_over(g, &at, is_last, &told);) {
        tell(g, &told);
    }
}
