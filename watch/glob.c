#include "watch/glob.h"

#include <string.h>

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

/* ---- one character ----------------------------------------------------------------------- */

/* One member of a class of a checked pattern, a range or a character; moves behind it. */
static void take_range(struct slice pattern, size_t *at, uint32_t *low, uint32_t *high)
{
    (void)take_member(pattern, at, low);
    *high = *low;
    if (is_range(pattern, *at)) {
        (*at)++;
        (void)take_member(pattern, at, high);
    }
}

/* The class whose '[' is at `*at` of a checked pattern; moves behind its ']'. */
static bool class_has(struct slice pattern, size_t *at, uint32_t c)
{
    size_t i = *at + 1;
    bool negated = pattern.data[i] == '!';
    bool found = false;
    i += negated;
    while (pattern.data[i] != ']') {
        uint32_t low = 0;
        uint32_t high = 0;
        take_range(pattern, &i, &low, &high);
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

/* ---- a segment, at its first place ------------------------------------------------------- */

/* A segment, what is between two '*', is searched for by shift-and: bit i of the state is set if
 * its items 0..i take the characters up to here. So a character of the name costs the same however
 * much of the segment fits before it. */

#define NEEDLE_WORDS  (WATCH_GLOB_BYTES_MAX / 64)
#define NEEDLE_CACHED ((uint32_t)128) /* ASCII */

struct needle_range {
    uint32_t low;
    uint32_t high;
    size_t item; /* that takes these; a negated class takes all others */
};

struct needle {
    size_t items;
    size_t words;
    size_t range_count;
    struct needle_range ranges[WATCH_GLOB_BYTES_MAX];
    uint64_t negated[NEEDLE_WORDS];
    bool is_cached[NEEDLE_CACHED];
    uint64_t cache[NEEDLE_CACHED][NEEDLE_WORDS];
};

static void needle_add(struct needle *n, uint32_t low, uint32_t high)
{
    n->ranges[n->range_count++] = (struct needle_range){low, high, n->items};
}

static void needle_add_class(struct needle *n, struct slice segment, size_t *at)
{
    size_t i = *at + 1;
    if (segment.data[i] == '!') {
        n->negated[n->items / 64] |= (uint64_t)1 << n->items % 64;
        i++;
    }
    while (segment.data[i] != ']') {
        uint32_t low = 0;
        uint32_t high = 0;
        take_range(segment, &i, &low, &high);
        needle_add(n, low, high);
    }
    *at = i + 1;
}

/* The segment is not empty. The cache is left as it is: 4 KiB that a short name hardly uses. */
static void needle_init(struct needle *n, struct slice segment)
{
    n->items = 0;
    n->range_count = 0;
    memset(n->negated, 0, sizeof n->negated);
    memset(n->is_cached, 0, sizeof n->is_cached);
    for (size_t i = 0; i < segment.size; n->items++) {
        if (segment.data[i] == '[') {
            needle_add_class(n, segment, &i);
        } else if (segment.data[i] == '?') {
            needle_add(n, 0, UINT32_MAX);
            i++;
        } else {
            uint32_t c = 0;
            (void)take_member(segment, &i, &c);
            needle_add(n, c, c);
        }
    }
    n->words = (n->items + 63) / 64;
}

/* The items that take `c`; `own` is room for them. */
static const uint64_t *needle_takes(struct needle *n, uint32_t c, uint64_t own[NEEDLE_WORDS])
{
    uint64_t *out = c < NEEDLE_CACHED ? n->cache[c] : own;
    if (c < NEEDLE_CACHED && n->is_cached[c]) {
        return out;
    }
    memset(out, 0, n->words * sizeof *out);
    for (size_t i = 0; i < n->range_count; i++) {
        const struct needle_range *r = &n->ranges[i];
        if (c >= r->low && c <= r->high) {
            out[r->item / 64] |= (uint64_t)1 << r->item % 64;
        }
    }
    for (size_t i = 0; i < n->words; i++) {
        out[i] ^= n->negated[i];
    }
    if (c < NEEDLE_CACHED) {
        n->is_cached[c] = true;
    }
    return out;
}

/* Moves `*at` of the name behind the first place of the segment; false if there is none. */
static bool segment_find(struct slice segment, struct slice name, size_t *at)
{
    struct needle n;
    uint64_t state[NEEDLE_WORDS] = {0};
    uint64_t own[NEEDLE_WORDS];
    needle_init(&n, segment);
    size_t last = n.items - 1;
    while (*at < name.size) {
        const uint64_t *taken = needle_takes(&n, take_character(name, at), own);
        uint64_t carry = 1;
        for (size_t i = 0; i < n.words; i++) {
            uint64_t next = state[i] >> 63;
            state[i] = (state[i] << 1 | carry) & taken[i];
            carry = next;
        }
        if ((state[last / 64] >> last % 64 & 1) != 0) {
            return true;
        }
    }
    return false;
}

/* ---- matching ---------------------------------------------------------------------------- */

/* What is at `at` of the pattern, up to the next '*' or the end. */
static struct slice segment_at(struct slice pattern, size_t at)
{
    size_t end = at;
    while (end < pattern.size && pattern.data[end] != '*') {
        (void)takes(pattern, &end, 0);
    }
    return slice_make(pattern.data + at, end - at);
}

/* Whether the segment takes the characters at `*at` of the name; moves behind them. */
static bool segment_takes(struct slice segment, struct slice name, size_t *at)
{
    for (size_t i = 0; i < segment.size;) {
        if (*at >= name.size || !takes(segment, &i, take_character(name, at))) {
            return false;
        }
    }
    return true;
}

/* Where the character before `at` begins. A byte that leads a character of UTF-8 is never within
 * one, so that this is where it began from the front too. */
static size_t character_before(struct slice name, size_t at)
{
    for (size_t length = 2; length <= 4 && length <= at; length++) {
        if (utf8_length(name.data + at - length, length) == length) {
            return at - length;
        }
    }
    return at - 1;
}

/* Whether the segment takes the last characters of the name, none before `from`: cuts them off. */
static bool segment_cut(struct slice segment, struct slice *name, size_t from)
{
    size_t begin = name->size;
    for (size_t i = 0; i < segment.size; (void)takes(segment, &i, 0)) {
        if (begin <= from) {
            return false;
        }
        begin = character_before(*name, begin);
    }
    size_t at = begin;
    if (!segment_takes(segment, *name, &at)) {
        return false;
    }
    name->size = begin;
    return true;
}

/* Behind the last '*'; 0: there is none. */
static size_t last_star(struct slice pattern)
{
    size_t behind = 0;
    for (size_t at = 0; at < pattern.size;) {
        if (pattern.data[at] == '*') {
            behind = ++at;
        } else {
            (void)takes(pattern, &at, 0);
        }
    }
    return behind;
}

bool glob_match(struct slice pattern, struct slice name)
{
    struct slice head = segment_at(pattern, 0);
    size_t n = 0;
    if (!segment_takes(head, name, &n)) {
        return false;
    }
    if (head.size == pattern.size) {
        return n == name.size;
    }
    size_t tail = last_star(pattern);
    if (!segment_cut(slice_make(pattern.data + tail, pattern.size - tail), &name, n)) {
        return false;
    }
    for (size_t p = head.size + 1; p < tail; p++) { /* each ends at a '*' */
        struct slice segment = segment_at(pattern, p);
        if (segment.size > 0 && !segment_find(segment, name, &n)) {
            return false;
        }
        p += segment.size;
    }
    return true;
}
