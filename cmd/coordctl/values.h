/* How values are written on the command line and shown: durations, sizes, ids, sessions. */
#ifndef CMD_COORDCTL_VALUES_H
#define CMD_COORDCTL_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client.h"

#define DAY_MS ((uint64_t)24 * 3600 * 1000)

/* "500ms", "10s", "1.5m", "1h"; a plain number is seconds. From 1 ms to `max_ms`. */
bool value_parse_duration(const char *text, uint64_t max_ms, uint64_t *out_ms);
/* The same the other way round: "500ms", "10s", "1.5s", "90s", "2m", "1h". */
void value_format_duration(uint64_t ms, char *text, size_t bytes);

/* Decimal, with a sign or without. */
bool value_parse_signed(const char *text, int64_t *out);
bool value_parse_number(const char *text, uint64_t max, uint64_t *out);
/* "1048576", "64K", "64M", "1G": powers of 1024; at most 2^62 bytes. */
bool value_parse_size(const char *text, uint64_t *out);
/* "812 B", "93 KiB", "1.4 GiB". Returns `text`. */
const char *value_format_size(uint64_t bytes, char text[16]);
/* 1 to 16 hexadecimal digits, not 0. */
bool value_parse_id(const char *text, uint64_t *out);

/* "ID:SECRET" in hexadecimal; whoever has it can use the session. */
#define VALUE_SESSION_TEXT_BYTES (16 + 1 + 2 * COORD_SECRET_BYTES + 1)
bool value_parse_session(const char *text, struct coord_session *out);
void value_format_session(const struct coord_session *s, char text[VALUE_SESSION_TEXT_BYTES]);

#endif
