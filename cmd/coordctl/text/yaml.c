#include "cmd/coordctl/text/yaml.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/text/json_text.h"

#define DEPTH_MAX 32

/* Letters first, and nothing in it that means anything; and no word that does. */
static bool is_plain(const char *text, size_t size)
{
    static const char *const taken[] = {"true", "false", "null", "yes", "no", "on", "off",
                                        "y",    "n",     "True", "False", "Null", "Yes", "No",
                                        "On",   "Off",   "Y",    "N",    "TRUE", "FALSE", "NULL",
                                        "YES",  "NO",    "ON",   "OFF"};
    if (size == 0 || !(isalpha((unsigned char)text[0]) || text[0] == '/')) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)text[i]) && strchr("_-./", text[i]) == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        if (strlen(taken[i]) == size && memcmp(taken[i], text, size) == 0) {
            return false;
        }
    }
    return true;
}

static void append_json(struct buf *out, const json_t *value)
{
    char *text = json_text(value, 0);
    buf_append_str(out, text != NULL ? text : "null");
    free(text);
}

static void append_scalar(struct buf *out, const json_t *value)
{
    if (json_is_string(value) &&
        is_plain(json_string_value(value), json_string_length(value))) {
        buf_append(out, json_string_value(value), json_string_length(value));
    } else {
        append_json(out, value);
    }
}

static bool is_block(const json_t *value, unsigned depth)
{
    return depth < DEPTH_MAX && (json_object_size(value) > 0 || json_array_size(value) > 0);
}

static void indent(struct buf *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++) {
        buf_append_str(out, "  ");
    }
}

static void append_key(struct buf *out, const char *name)
{
    json_t *key = json_string(name);
    append_scalar(out, key);
    buf_append_str(out, ":");
    json_decref(key);
}

/* `is_begun`: the first line is indented already. Calls itself for what is below, DEPTH_MAX
 * deep. */
static void append_block(struct buf *out, const json_t *value, unsigned depth, bool is_begun)
{
    const char *name;
    json_t *below;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)value, name, below)
    {
        indent(out, is_begun ? 0 : depth);
        is_begun = false;
        append_key(out, name);
        if (is_block(below, depth + 1)) {
            buf_append_str(out, "\n");
            append_block(out, below, depth + 1, false);
        } else {
            buf_append_str(out, " ");
            append_scalar(out, below);
            buf_append_str(out, "\n");
        }
    }
    json_array_foreach(value, i, below)
    {
        indent(out, is_begun ? 0 : depth);
        is_begun = false;
        buf_append_str(out, "- ");
        if (is_block(below, depth + 1)) {
            append_block(out, below, depth + 1, true);
        } else {
            append_scalar(out, below);
            buf_append_str(out, "\n");
        }
    }
}

void yaml_append(struct buf *out, const json_t *value)
{
    if (is_block(value, 0)) {
        append_block(out, value, 0, false);
    } else {
        append_scalar(out, value);
        buf_append_str(out, "\n");
    }
}
