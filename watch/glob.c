#include "watch/glob.h"

#include "base/utf8.h"

/* What stands for a byte that is not UTF-8: beyond all code points. */
#define GLOB_STRAY_BASE ((uint32_t)0x110000)

/* Takes the character at `*at`, which is within the bytes. */
static uint32_t take_character(struct slice text, size_t *at)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const uint8_t *p = text.data + *at;
    size_t length = utf8_length(p, text.size - *at);
    if (length == 0) {
        (*at)++;
        return GLOB_STRAY_BASE + p[0];
    }
    uint32_t c = p[0] & masks[length];
    for (size_t i = 1; i < length; i++) {
        c = c << 6 | (p[i] & 0x3f);
    }
    *at += length;
    return c;
}

/* ---- checking ---------------------------------------------------------------------------- */

static bool refuse(struct errmsg *err, const char *why, size_t at)
{
    (void)errmsg_set(err, RC_INVALID, "glob: %s at byte %zu", why, at);
    return false;
}

/* One member of a class, escaped or not; false at the end of the pattern. */
static bool take_member(struct slice pattern, size_t *at, uint32_t *member)
{
    if (*at < pattern.size && pattern.data[*at] == '\\') {
        (*at)++;
    }
    if (*at >= pattern.size) {
        return false;
    }
    *member = take_character(pattern, at);
    return true;
}

/* A '-' makes a range unless it is the first or the last of its class. */
static bool is_range(struct slice pattern, size_t at)
{
    return at + 1 < pattern.size && pattern.data[at] == '-' && pattern.data[at + 1] != ']';
}

/* The class whose '[' is at `*at`; moves behind its ']'. */
static bool class_check(struct slice pattern, size_t *at, struct errmsg *err)
{
    size_t begin = *at;
    size_t i = begin + 1;
    if (i < pattern.size && pattern.data[i] == '!') {
        i++;
    }
    if (i < pattern.size && pattern.data[i] == ']') {
        return refuse(err, "empty class", begin);
    }
    while (i < pattern.size && pattern.data[i] != ']') {
        size_t here = i;
        uint32_t low;
        uint32_t high;
        if (!take_member(pattern, &i, &low)) {
            break;
        }
        if (is_range(pattern, i)) {
            i++;
            if (!take_member(pattern, &i, &high)) {
                break;
            }
            if (high < low) {
                return refuse(err, "range runs backwards", here);
            }
        }
    }
    if (i >= pattern.size) {
        return refuse(err, "class is not closed", begin);
    }
    *at = i + 1;
    return true;
}

bool glob_check(struct slice pattern, struct errmsg *err)
{
    if (pattern.size > WATCH_GLOB_BYTES_MAX) {
        (void)errmsg_set(err, RC_TOO_LARGE, "glob: %zu bytes, the limit is %zu", pattern.size,
                         WATCH_GLOB_BYTES_MAX);
        return false;
    }
    for (size_t i = 0; i < pattern.size;) {
        size_t length = utf8_length(pattern.data + i, pattern.size - i);
        if (length == 0) {
            return refuse(err, "not valid UTF-8", i);
        }
        i += length;
    }
    for (size_t i = 0; i < pattern.size;) {
        if (pattern.data[i] == '[') {
            if (!class_check(pattern, &i, err)) {
                return false;
            }
            continue;
        }
        if (pattern.data[i] == '\\' && ++i == pattern.size) {
            return refuse(err, "nothing is escaped", i - 1);
        }
        (void)take_character(pattern, &i);
    }
    return true;
}

/* ---- matching ---------------------------------------------------------------------------- */

/* The class whose '[' is at `*at` of a checked pattern; moves behind its ']'. */
static bool class_has(struct slice pattern, size_t *at, uint32_t c)
{
    size_t i = *at + 1;
    bool negated = pattern.data[i] == '!';
    bool found = false;
    i += negated;
    while (pattern.data[i] != ']') {
        uint32_t low = 0;
        (void)take_member(pattern, &i, &low);
        uint32_t high = low;
        if (is_range(pattern, i)) {
            i++;
            (void)take_member(pattern, &i, &high);
        }
        found = found || (c >= low && c <= high);
    }
    *at = i + 1;
    return found != negated;
}

/* Whether what is at `*at` of the pattern, no '*', takes `c`; moves behind it. */
static bool takes(struct slice pattern, size_t *at, uint32_t c)
{
    switch (pattern.data[*at]) {
    case '?': (*at)++; return true;
    case '[': return class_has(pattern, at, c);
    case '\\': (*at)++; break;
    default: break;
    }
    return take_character(pattern, at) == c;
}

bool glob_match(struct slice pattern, struct slice name)
{
    size_t p = 0;
    size_t n = 0;
    /* Behind the last '*', and what of the name it has not swallowed yet. */
    size_t star = SIZE_MAX;
    size_t rest = 0;
    while (n < name.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = ++p;
            rest = n;
            continue;
        }
        if (p < pattern.size) {
            size_t next = n;
            uint32_t c = take_character(name, &next);
            if (takes(pattern, &p, c)) {
                n = next;
                continue;
            }
        }
        if (star == SIZE_MAX) {
            return false;
        }
        (void)take_character(name, &rest); /* the '*' swallows one more */
        n = rest;
        p = star;
    }
    while (p < pattern.size && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.size;
}
