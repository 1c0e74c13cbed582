#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/utf8.h"

/* A longer line is cut and ends in "...". */
#define LOG_LINE_MAX 2048

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};
#define LOG_LEVELS (sizeof level_names / sizeof level_names[0])

int log_level_parse(const char *name, enum log_level *out)
{
    for (size_t i = 0; i < LOG_LEVELS; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return 1;
        }
    }
    return 0;
}

const char *log_level_name(enum log_level level)
{
    PRE((size_t)level < LOG_LEVELS);
    return level_names[level];
}

/* Values may come from peers and clients: none may begin a line or drive a terminal. */
static bool log_is_control(const char *p, size_t length)
{
    unsigned char first = (unsigned char)p[0];
    unsigned char second = (unsigned char)p[length - 1];
    return first < 0x20 || first == 0x7f || (length == 2 && first == 0xc2 && second < 0xa0);
}

/* Bytes of the character at `p`, which is not the end; 0: no UTF-8, which makes journalctl show
 * nothing of the line. */
static size_t log_length(const char *p)
{
    return utf8_length((const uint8_t *)p, strnlen(p, 4));
}

static void log_blank_controls(char *line)
{
    for (char *p = line; *p != '\0';) {
        size_t length = log_length(p);
        if (length == 0) {
            *p++ = '?';
            continue;
        }
        if (log_is_control(p, length)) {
            memset(p, ' ', length);
        }
        p += length;
    }
}

/* Whole characters stay. */
static void log_cut(char *line, size_t bytes)
{
    size_t at = bytes - 4;
    while (((unsigned char)line[at] & 0xc0) == 0x80) {
        at--;
    }
    memcpy(line + at, "...", 4);
}

void log_write(struct log *log, enum log_level level, const char *event, const char *format, ...)
{
    if (log == NULL || level > log->level) {
        return;
    }
    char line[LOG_LINE_MAX];
    int used = snprintf(line, sizeof line, "%s ", event);
    PRE(used > 0 && (size_t)used < sizeof line);
    size_t offset = (size_t)used;

    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + offset, sizeof line - offset, format, args);
    va_end(args);
    PRE(more >= 0);
    if (more == 0) {
        line[offset - 1] = '\0';
    } else if ((size_t)more >= sizeof line - offset) {
        log_cut(line, sizeof line);
    }
    log_blank_controls(line);
    log->sink(log->context, level, line);
}

/* How the character at `p` of a quoted value is written, into `out` of LOG_ESCAPED_MAX bytes. Of
 * what is no UTF-8 one byte is taken, and `length` is 0. */
#define LOG_ESCAPED_MAX 8
static size_t log_escape(const char *p, size_t length, char *out)
{
    static const char hex[] = "0123456789abcdef";
    if (*p == '"' || *p == '\\') {
        memcpy(out, (char[]){'\\', *p}, 2);
        return 2;
    }
    if (*p == '\n') {
        memcpy(out, "\\n", 2);
        return 2;
    }
    if (length > 0 && !log_is_control(p, length)) {
        memcpy(out, p, length);
        return length;
    }
    size_t used = 0;
    for (size_t i = 0; i < length || i == 0; i++) {
        unsigned char byte = (unsigned char)p[i];
        memcpy(out + used, (char[]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, 4);
        used += 4;
    }
    return used;
}

static int log_needs_quotes(const char *value)
{
    if (*value == '\0') {
        return 1;
    }
    for (size_t length; *value != '\0'; value += length) {
        length = log_length(value);
        if (length == 0 || *value == ' ' || *value == '"' || *value == '\\' || *value == '=' ||
            log_is_control(value, length)) {
            return 1;
        }
    }
    return 0;
}

const char *log_quote(char *out, size_t bytes, const char *value)
{
    PRE(bytes >= LOG_QUOTE_BYTES_MIN);
    size_t length = strlen(value);
    if (length < bytes && !log_needs_quotes(value)) {
        memcpy(out, value, length + 1);
        return out;
    }
    size_t used = 0;
    out[used++] = '"';
    for (size_t taken; *value != '\0'; value += taken > 0 ? taken : 1) {
        char escaped[LOG_ESCAPED_MAX];
        taken = log_length(value);
        size_t n = log_escape(value, taken, escaped);
        /* Room must stay for the dots, the quote and the zero. */
        if (used + n + 5 > bytes) {
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        memcpy(out + used, escaped, n);
        used += n;
    }
    out[used++] = '"';
    out[used] = '\0';
    return out;
}

bool log_is_due(uint64_t *said_ms, uint64_t now_ms)
{
    bool is_due = *said_ms == 0 || now_ms - *said_ms >= LOG_REPEAT_MS;
    if (is_due) {
        *said_ms = now_ms;
    }
    return is_due;
}

void log_stderr_sink(void *context, enum log_level level, const char *line)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char text[LOG_LINE_MAX + 64];
    size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    int more = snprintf(text + used, sizeof text - used, ".%03dZ %s %s",
                        (int)(now.tv_nsec / 1000000), log_level_name(level), line);
    PRE(more >= 0);
    used += (size_t)more;
    if (used > sizeof text - 1) {
        used = sizeof text - 1;
    }
    text[used++] = '\n'; /* takes the place of the zero: write(2) needs none */
    /* Nobody is left to tell when even the log cannot be written. */
    ssize_t ignored = write(STDERR_FILENO, text, used);
    (void)ignored;
}
