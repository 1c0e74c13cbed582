/* Log lines: `event key=value ...`, one per state change, to an injected sink.
 *
 *   log_info(log, "raft.state", "state=%s term=%" PRIu64, name, term);
 *
 * prints `2026-01-01T00:00:00.000Z info raft.state state=leader term=3`. The time stamp is added by
 * the sink, since the pure parts have no clock. Values that may hold spaces go through log_quote();
 * control bytes become spaces, so that a line stays one. A NULL log swallows everything. Any thread
 * as far as the sink allows it (the stderr sink does). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
    enum log_level level; /* lines above this level are dropped */
    void (*sink)(void *context, enum log_level level, const char *line);
    void *context;
};

/* False if `name` is none of error, warn, info, debug. */
int log_level_parse(const char *name, enum log_level *out);
const char *log_level_name(enum log_level level);

void log_write(struct log *log, enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define log_error(log, ...) log_write((log), LOG_ERROR, __VA_ARGS__)
#define log_warn(log, ...) log_write((log), LOG_WARN, __VA_ARGS__)
#define log_info(log, ...) log_write((log), LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_write((log), LOG_DEBUG, __VA_ARGS__)

/* What happens again and again is said once in this time. */
#define LOG_REPEAT_MS 10000
/* Whether a line about it may be written now; `*said_ms` remembers when the last one was, 0: never.
 * For what a client can bring about: log_guard.h bounds all lines, but by far more. */
bool log_is_due(uint64_t *said_ms, uint64_t now_ms);

/* Writes `value` into `out`, in double quotes and escaped if it is empty or holds spaces, quotes,
 * `=`, backslashes, control characters or what is no UTF-8, cut with `...` if it does not fit.
 * Returns `out`, so that the call can stand among the arguments of a log line. */
#define LOG_QUOTE_BYTES_MIN 8
const char *log_quote(char *out, size_t bytes, const char *value);

/* The production sink: UTC time stamp, level, line, to stderr in one write(2). */
void log_stderr_sink(void *context, enum log_level level, const char *line);

#endif
