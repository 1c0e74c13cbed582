#include "cmd/coordctl/text/value_diff.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "cmd/coordctl/text/diff_lines.h"
#include "cmd/coordctl/text/json_text.h"
#include "cmd/coordctl/text/paint.h"

#define VALUE_SHOWN_BYTES 200
#define DEPTH_MAX         32 /* of JSON that is compared field by field */
#define WHERE_BYTES       512

/* ---- values in short -------------------------------------------------------------------- */

bool value_is_text(struct slice value)
{
    return value.size == 0 ||
           (memchr(value.data, 0, value.size) == NULL && utf8_is_valid(value));
}

/* Of the control character of UTF-8 text that is here: U+0000-001F and U+007F-009F; 0: none is. */
static size_t control_bytes(const uint8_t *at, size_t left)
{
    bool is_wide = left > 1 && at[0] == 0xc2 && at[1] < 0xa0;
    return is_wide ? 2 : at[0] < 0x20 || at[0] == 0x7f ? 1 : 0;
}

/* Control characters but tabs as JSON escapes them, of a line or of JSON itself, which leaves those
 * from U+007F on as they are: to a terminal they are commands. */
static void append_escaped(struct buf *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        const uint8_t *at = (const uint8_t *)text + i;
        size_t control = at[0] == '\t' ? 0 : control_bytes(at, size - i);
        if (control > 0) {
            buf_printf(out, "\\u%04X", (unsigned)at[control - 1]);
        } else {
            buf_append(out, at, 1);
        }
        i += control > 0 ? control : 1;
    }
}

/* Quoted, with its control characters as JSON has them, and cut where a character ends. */
static void append_quoted(struct buf *out, struct slice text)
{
    size_t size = text.size;
    if (size > VALUE_SHOWN_BYTES) {
        size = VALUE_SHOWN_BYTES;
        while (size > 0 && (text.data[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    json_t *value = json_stringn(size > 0 ? (const char *)text.data : "", size);
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    append_escaped(out, quoted, quoted != NULL ? strlen(quoted) : 0);
    if (size < text.size) {
        buf_printf(out, "... (%zu bytes)", text.size);
    }
    free(quoted);
    json_decref(value);
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (control_bytes(text.data + i, text.size - i) > 0) {
            return true;
        }
    }
    return false;
}

void value_show(struct buf *out, struct slice value)
{
    if (!value_is_text(value)) {
        buf_printf(out, "(%zu bytes)", value.size);
    } else if (value.size > VALUE_SHOWN_BYTES || has_control(value)) {
        append_quoted(out, value);
    } else {
        buf_append_slice(out, value);
    }
}

/* ---- JSON ------------------------------------------------------------------------------- */

struct comparison {
    struct buf *out;
    const char *indent;
    bool colours;
};

static void append_json(struct buf *out, const json_t *value)
{
    char *text = json_text(value, JSON_COMPACT);
    size_t size = text != NULL ? strlen(text) : 0;
    size_t shown = size > VALUE_SHOWN_BYTES ? VALUE_SHOWN_BYTES : size;
    while (shown > 0 && shown < size && ((unsigned char)text[shown] & 0xc0) == 0x80) {
        shown--;
    }
    append_escaped(out, text, shown);
    buf_append_str(out, shown < size ? "..." : "");
    free(text);
}

/* One of them may be NULL: it was not there. */
static void append_change(const struct comparison *c, const char *where, const json_t *before,
                          const json_t *after)
{
    buf_printf(c->out, "%s%s: ", c->indent, where[0] != '\0' ? where : ".");
    if (before != NULL) {
        buf_append_str(c->out, paint_begin(PAINT_RED, c->colours));
        append_json(c->out, before);
        buf_append_str(c->out, paint_end(c->colours));
    }
    buf_append_str(c->out, before != NULL && after != NULL ? " -> " : "");
    if (after != NULL) {
        buf_append_str(c->out, paint_begin(PAINT_GREEN, c->colours));
        append_json(c->out, after);
        buf_append_str(c->out, paint_end(c->colours));
    }
    buf_append_str(c->out, after == NULL ? " (gone)\n" : before == NULL ? " (new)\n" : "\n");
}

static void compare(const struct comparison *c, const char *where, const json_t *before,
                    const json_t *after, unsigned depth);

static void compare_objects(const struct comparison *c, const char *where, json_t *before,
                            json_t *after, unsigned depth)
{
    char below[WHERE_BYTES];
    const char *name;
    json_t *value;
    json_object_foreach(before, name, value)
    {
        snprintf(below, sizeof below, "%s.%s", where, name);
        compare(c, below, value, json_object_get(after, name), depth + 1);
    }
    json_object_foreach(after, name, value)
    {
        snprintf(below, sizeof below, "%s.%s", where, name);
        if (json_object_get(before, name) == NULL) {
            compare(c, below, NULL, value, depth + 1);
        }
    }
}

static void compare_arrays(const struct comparison *c, const char *where, const json_t *before,
                           const json_t *after, unsigned depth)
{
    size_t sizes[] = {json_array_size(before), json_array_size(after)};
    for (size_t i = 0; i < sizes[0] || i < sizes[1]; i++) {
        char below[WHERE_BYTES];
        snprintf(below, sizeof below, "%s[%zu]", where, i);
        compare(c, below, json_array_get(before, i), json_array_get(after, i), depth + 1);
    }
}

/* Calls itself for what is below, DEPTH_MAX deep. */
static void compare(const struct comparison *c, const char *where, const json_t *before,
                    const json_t *after, unsigned depth)
{
    bool goes_on = before != NULL && after != NULL && depth < DEPTH_MAX;
    if (before != NULL && after != NULL && json_equal(before, after)) {
        return;
    }
    if (goes_on && json_is_object(before) && json_is_object(after)) {
        compare_objects(c, where, (json_t *)(uintptr_t)before, (json_t *)(uintptr_t)after,
                        depth);
    } else if (goes_on && json_is_array(before) && json_is_array(after)) {
        compare_arrays(c, where, before, after, depth);
    } else {
        append_change(c, where, before, after);
    }
}

/* Objects and arrays only: any number would be JSON as well. */
static json_t *structure_of(struct slice value)
{
    json_t *json = json_loadb(value.size > 0 ? (const char *)value.data : "", value.size,
                              JSON_REJECT_DUPLICATES, NULL);
    return json;
}

static bool diff_json(const struct comparison *c, struct slice before, struct slice after)
{
    json_t *old = structure_of(before);
    json_t *new = old != NULL ? structure_of(after) : NULL;
    bool are_alike = new != NULL && json_is_object(old) == json_is_object(new);
    if (are_alike) {
        size_t size = c->out->size;
        compare(c, "", old, new, 0);
        if (c->out->size == size) {
            buf_printf(c->out, "%sthe same values, written differently\n", c->indent);
        }
    }
    json_decref(old);
    json_decref(new);
    return are_alike;
}

/* ---- texts ------------------------------------------------------------------------------ */

static bool is_short(struct slice text)
{
    return text.size <= VALUE_SHOWN_BYTES / 2 && !has_control(text);
}

static void append_lines(const struct comparison *c, struct slice before, struct slice after)
{
    struct buf hunks = {0};
    diff_lines(&hunks, before, after);
    if (hunks.size == 0) { /* which belongs to no line */
        buf_printf(c->out, "%sonly the newline at the end differs\n", c->indent);
    }
    const char *at = (const char *)hunks.data;
    const char *end = at + hunks.size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = stop != NULL ? (size_t)(stop - at) : (size_t)(end - at);
        enum paint colour = at[0] == '-'   ? PAINT_RED
                            : at[0] == '+' ? PAINT_GREEN
                                           : PAINT_DIM;
        buf_printf(c->out, "%s%s", c->indent, paint_begin(colour, c->colours));
        append_escaped(c->out, at, size);
        buf_printf(c->out, "%s\n", paint_end(c->colours));
        at += size + (stop != NULL);
    }
    buf_close(&hunks);
}

static void append_pair(const struct comparison *c, struct slice before, struct slice after)
{
    buf_printf(c->out, " %s", paint_begin(PAINT_RED, c->colours));
    value_show(c->out, before);
    buf_printf(c->out, "%s -> %s", paint_end(c->colours),
               paint_begin(PAINT_GREEN, c->colours));
    value_show(c->out, after);
    buf_append_str(c->out, paint_end(c->colours));
}

void value_diff(struct buf *out, struct slice before, struct slice after, const char *indent,
                bool colours)
{
    struct comparison c = {.out = out, .indent = indent, .colours = colours};
    if (slice_equal(before, after)) {
        return;
    }
    if (!value_is_text(before) || !value_is_text(after)) {
        append_pair(&c, before, after);
    } else if (!diff_json(&c, before, after)) {
        if (is_short(before) && is_short(after)) {
            append_pair(&c, before, after);
        } else {
            append_lines(&c, before, after);
        }
    }
}
