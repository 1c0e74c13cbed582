#include "cmd/coordctl/values.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_BYTES_MAX ((uint64_t)1 << 62)

static const struct {
    const char *name;
    uint64_t ms;
} units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"", 1000}, {"ms", 1}};

bool value_parse_duration(const char *text, uint64_t max_ms, uint64_t *out_ms)
{
    char *end;
    double unit_ms = 0;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].name) == 0) {
            unit_ms = (double)units[i].ms;
        }
    }
    double ms = value * unit_ms;
    if (!(ms >= 1 && ms <= (double)max_ms)) {
        return false;
    }
    *out_ms = (uint64_t)ms;
    return true;
}

void value_format_duration(uint64_t ms, char *text, size_t bytes)
{
    for (size_t i = 0; i < 3; i++) {
        if (ms > 0 && ms % units[i].ms == 0) {
            snprintf(text, bytes, "%" PRIu64 "%s", ms / units[i].ms, units[i].name);
            return;
        }
    }
    if (ms < 1000) {
        snprintf(text, bytes, "%" PRIu64 "ms", ms);
    } else {
        snprintf(text, bytes, "%" PRIu64 ".%" PRIu64 "s", ms / 1000, ms % 1000 / 100);
    }
}

bool value_parse_signed(const char *text, int64_t *out)
{
    bool is_negative = text[0] == '-';
    uint64_t number;
    if (!value_parse_number(text + is_negative, (uint64_t)INT64_MAX + is_negative, &number)) {
        return false;
    }
    *out = is_negative ? -(int64_t)(number - (number > 0)) - (number > 0) : (int64_t)number;
    return true;
}

bool value_parse_number(const char *text, uint64_t max, uint64_t *out)
{
    size_t size = strlen(text);
    if (size == 0 || size > 19 || strspn(text, "0123456789") != size) {
        return false;
    }
    *out = strtoull(text, NULL, 10);
    return *out <= max;
}

bool value_parse_size(const char *text, uint64_t *out)
{
    static const char letters[] = "KMG";
    char digits[24];
    size_t size = strcspn(text, letters);
    unsigned shift = 0;
    if (text[size] != '\0') {
        shift = 10 * (unsigned)(strchr(letters, text[size]) - letters + 1);
        if (text[size + 1] != '\0') {
            return false;
        }
    }
    if (size >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, size);
    digits[size] = '\0';
    uint64_t number;
    if (!value_parse_number(digits, SIZE_BYTES_MAX >> shift, &number)) {
        return false;
    }
    *out = number << shift;
    return true;
}

static bool parse_hex(const char *text, size_t size, uint64_t *out)
{
    if (size == 0 || size > 16 || strspn(text, "0123456789abcdefABCDEF") < size) {
        return false;
    }
    char digits[17];
    memcpy(digits, text, size);
    digits[size] = '\0';
    *out = strtoull(digits, NULL, 16);
    return true;
}

bool value_parse_id(const char *text, uint64_t *out)
{
    return parse_hex(text, strlen(text), out) && *out != 0;
}

bool value_parse_session(const char *text, struct coord_session *out)
{
    size_t size = strcspn(text, ":");
    *out = (struct coord_session){.id = 0};
    if (text[size] != ':' || strlen(text + size + 1) != sizeof out->secret * 2 ||
        !parse_hex(text, size, &out->id) || out->id == 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof out->secret; i++) {
        uint64_t byte;
        if (!parse_hex(text + size + 1 + 2 * i, 2, &byte)) {
            return false;
        }
        out->secret[i] = (unsigned char)byte;
    }
    return true;
}

void value_format_session(const struct coord_session *s, char text[VALUE_SESSION_TEXT_BYTES])
{
    snprintf(text, VALUE_SESSION_TEXT_BYTES, "%016" PRIx64 ":", s->id);
    for (size_t i = 0; i < sizeof s->secret; i++) {
        snprintf(text + 17 + 2 * i, 3, "%02x", s->secret[i]);
    }
}

const char *value_format_size(uint64_t bytes, char text[16])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof names / sizeof names[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(text, 16, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value, names[unit]);
    return text;
}
