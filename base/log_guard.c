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
    if (g->event_count == LOG_GUARD_EVENTS) {
        memcpy(g->others.name, "others", sizeof "others");
        return &g->others;
    }
    struct log_guard_event *e = &g->events[g->event_count++];
    memcpy(e->name, line, size);
    return e;
}

static void tell(struct log_guard *g, struct log_guard_event *e)
{
    if (e->left_out > 0) {
        log_warn(&g->behind, "log.left_out", "event=%s lines=%" PRIu64 " within_ms=%d", e->name,
                 e->left_out, LOG_GUARD_MS);
        e->left_out = 0;
        g->pending--;
    }
}

void log_guard_sink(void *guard, enum log_level level, const char *line)
{
    struct log_guard *g = guard;
    struct log_guard_event *e = event_find(g, line);
    uint64_t now_ms = g->now_ms(g->context);
    if (e->lines == 0 || now_ms - e->began_ms >= LOG_GUARD_MS) {
        tell(g, e);
        e->began_ms = now_ms;
        e->lines = 0;
    }
    e->lines++;
    if (level != LOG_ERROR && e->lines > LOG_GUARD_LINES) {
        g->pending += e->left_out++ == 0;
        metric_add(g->left_out, 1);
        return;
    }
    g->behind.sink(g->behind.context, level, line);
}

void log_guard_turn(struct log_guard *g, int is_last)
{
    if (g->pending == 0) {
        return;
    }
    uint64_t now_ms = g->now_ms(g->context);
    for (size_t i = 0; i <= g->event_count; i++) {
        struct log_guard_event *e = i < g->event_count ? &g->events[i] : &g->others;
        if (e->left_out > 0 && (is_last || now_ms - e->began_ms >= LOG_GUARD_MS)) {
            tell(g, e);
        }
    }
}
