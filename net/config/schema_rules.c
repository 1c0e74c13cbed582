/* What each rule of a schema says of a value, and the table of all rules. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "net/config/pattern.h"
#include "net/config/schema_internal.h"

/* ---- rules of anything --------------------------------------------------------------------- */

static bool is_whole(const json_t *value)
{
    if (!json_is_real(value)) {
        return json_is_integer(value);
    }
    double number = json_real_value(value);
    return number >= -9007199254740992.0 && number <= 9007199254740992.0 &&
           number == (double)(long long)number;
}

static bool is_of_type(const json_t *value, const char *name)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return strcmp(name, "object") == 0;
    case JSON_ARRAY: return strcmp(name, "array") == 0;
    case JSON_STRING: return strcmp(name, "string") == 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return strcmp(name, "number") == 0 || (strcmp(name, "integer") == 0 && is_whole(value));
    case JSON_TRUE:
    case JSON_FALSE: return strcmp(name, "boolean") == 0;
    default: return strcmp(name, "null") == 0;
    }
}

static bool holds_type(struct check *c, const char *word, const json_t *rule,
                       const json_t *schema, const json_t *value)
{
    (void)schema;
    if (json_is_string(rule)) {
        const char *name = json_string_value(rule);
        return is_of_type(value, name) || schema_fail(c, word, "must be %s", name);
    }
    char names[96] = "";
    if (!schema_spend(c, json_array_size(rule))) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(rule); i++) {
        const char *name = json_string_value(json_array_get(rule, i));
        size_t used = strlen(names);
        if (is_of_type(value, name)) {
            return true;
        }
        (void)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? " or " : "", name);
    }
    return schema_fail(c, word, "must be %s", names);
}

static bool are_equal(struct check *c, const json_t *a, const json_t *b);

static bool are_equal_objects(struct check *c, const json_t *a, const json_t *b)
{
    bool equal = json_object_size(a) == json_object_size(b);
    json_t *map = (json_t *)(uintptr_t)a;
    for (void *it = json_object_iter(map); equal && it != NULL;
         it = json_object_iter_next(map, it)) {
        const char *name = json_object_iter_key(it);
        equal = schema_spend(c, 1 + strlen(name) / 50) &&
                are_equal(c, json_object_iter_value(it), json_object_get(b, name));
    }
    return equal;
}

static bool are_equal_arrays(struct check *c, const json_t *a, const json_t *b)
{
    bool equal = json_array_size(a) == json_array_size(b);
    for (size_t i = 0; equal && i < json_array_size(a); i++) {
        equal = are_equal(c, json_array_get(a, i), json_array_get(b, i));
    }
    return equal;
}

/* False too if that takes too many steps. */
static bool are_equal(struct check *c, const json_t *a, const json_t *b)
{
    if (!schema_spend(c, 1)) {
        return false;
    }
    if (json_is_number(a) && json_is_number(b)) {
        bool exact = json_is_integer(a) && json_is_integer(b);
        return exact ? json_integer_value(a) == json_integer_value(b)
                     : json_number_value(a) == json_number_value(b);
    }
    if (a == NULL || b == NULL || json_typeof(a) != json_typeof(b)) {
        return false;
    }
    switch (json_typeof(a)) {
    case JSON_OBJECT: return are_equal_objects(c, a, b);
    case JSON_ARRAY: return are_equal_arrays(c, a, b);
    case JSON_STRING:
        return json_string_length(a) == json_string_length(b) &&
               schema_spend(c, json_string_length(a) / 500) &&
               memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0;
    default: return true;
    }
}

/* The beginning of a rule, as an error quotes it. */
struct quoted {
    char text[101];
    size_t bytes;
};

static int quote_more(const char *text, size_t bytes, void *context)
{
    struct quoted *q = context;
    size_t room = sizeof q->text - 1 - q->bytes;
    size_t taken = bytes < room ? bytes : room;
    memcpy(q->text + q->bytes, text, taken);
    q->bytes += taken;
    return q->bytes == sizeof q->text - 1 ? -1 : 0; /* no more of it is written */
}

/* Strings are looked at whole before any of one is written. */
static size_t quote_steps(const struct check *c, const json_t *rule)
{
    size_t steps = 10;
    if (json_is_string(rule)) {
        return steps + json_string_length(rule) / 50;
    }
    for (size_t i = 0; i < json_array_size(rule) && i < 50; i++) {
        const json_t *item = json_array_get(rule, i);
        steps += json_is_object(item) || json_is_array(item) ? c->schema_bytes / 50
                                                             : json_string_length(item) / 50;
    }
    return steps + (json_is_object(rule) ? c->schema_bytes / 50 : 0);
}

static bool fail_quoting(struct check *c, const char *word, const char *what,
                         const json_t *rule)
{
    struct quoted q = {.bytes = 0};
    if (!schema_spend(c, quote_steps(c, rule))) {
        return false;
    }
    (void)json_dump_callback(rule, quote_more, &q, JSON_COMPACT | JSON_ENCODE_ANY);
    return schema_fail(c, word, "%s%s", what, q.text);
}

static bool holds_enum(struct check *c, const char *word, const json_t *rule,
                       const json_t *schema, const json_t *value)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(rule) && !c->is_exhausted; i++) {
        if (are_equal(c, json_array_get(rule, i), value)) {
            return true;
        }
    }
    return fail_quoting(c, word, "must be one of ", rule);
}

static bool holds_const(struct check *c, const char *word, const json_t *rule,
                        const json_t *schema, const json_t *value)
{
    (void)schema;
    return are_equal(c, rule, value) || fail_quoting(c, word, "must be ", rule);
}

/* ---- rules of numbers ---------------------------------------------------------------------- */

static int compare_numbers(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a);
        json_int_t y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    double x = json_number_value(a);
    double y = json_number_value(b);
    return (x > y) - (x < y);
}

static bool holds_bound(struct check *c, const char *word, const json_t *rule,
                        const json_t *schema, const json_t *value)
{
    (void)schema;
    if (!json_is_number(value)) {
        return true;
    }
    int order = compare_numbers(value, rule);
    bool is_exclusive = strncmp(word, "exclusive", 9) == 0;
    bool is_minimum = strstr(word, "inimum") != NULL;
    if ((is_minimum ? order > 0 : order < 0) || (order == 0 && !is_exclusive)) {
        return true;
    }
    return schema_fail(c, word, "%.17g, must be %s %.17g", json_number_value(value),
                       is_minimum ? (is_exclusive ? "above" : "at least")
                                  : (is_exclusive ? "below" : "at most"),
                       json_number_value(rule));
}

/* ---- rules of strings ---------------------------------------------------------------------- */

/* Characters, not bytes; jansson has none but valid UTF-8. */
static size_t text_length(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t count = 0;
    for (size_t i = 0; i < json_string_length(value); i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return count;
}

/* Of minLength, maxItems and their like: a count against a bound. */
static bool count_holds(struct check *c, const char *word, const json_t *rule, size_t count,
                        const char *what)
{
    json_int_t bound = json_integer_value(rule);
    bool is_least = word[1] == 'i';
    bool ok = is_least ? (json_int_t)count >= bound : (json_int_t)count <= bound;
    return ok || schema_fail(c, word, "%zu %s, must be at %s %" JSON_INTEGER_FORMAT, count,
                             what, is_least ? "least" : "most", bound);
}

static bool holds_length(struct check *c, const char *word, const json_t *rule,
                         const json_t *schema, const json_t *value)
{
    (void)schema;
    return !json_is_string(value) ||
           (schema_spend(c, json_string_length(value) / 100) &&
            count_holds(c, word, rule, text_length(value), "characters"));
}

static bool holds_pattern(struct check *c, const char *word, const json_t *rule,
                          const json_t *schema, const json_t *value)
{
    (void)schema;
    if (!json_is_string(value)) {
        return true;
    }
    if (json_string_length(value) > SCHEMA_MATCHED_BYTES_MAX) {
        return schema_fail(c, word, "%zu bytes, at most %zu are matched",
                           json_string_length(value), SCHEMA_MATCHED_BYTES_MAX);
    }
    unsigned cost;
    const char *pattern = json_string_value(rule);
    const char *wrong = pattern_cost(pattern, json_string_length(value), &cost);
    if (!schema_spend(c, cost)) {
        return false;
    }
    return wrong != NULL ? schema_fail(c, word, "%s", wrong)
                         : pattern_matches(pattern, json_string_value(value)) ||
                               schema_fail(c, word, "does not match %s", pattern);
}

/* ---- rules of objects and arrays ----------------------------------------------------------- */

static bool holds_at(struct check *c, const char *name, const json_t *schema,
                     const json_t *value)
{
    size_t before = schema_place_push(c, name);
    bool ok = schema_holds(c, schema, value);
    schema_place_pop(c, before);
    return ok;
}

/* A name that is looked up, and becomes part of a place. */
static bool spend_name(struct check *c, const char *name)
{
    return schema_spend(c, 1 + strlen(name) / 50);
}

static bool holds_properties(struct check *c, const char *word, const json_t *rule,
                             const json_t *schema, const json_t *value)
{
    bool ok = true;
    (void)word;
    (void)schema;
    json_t *map = (json_t *)(uintptr_t)rule;
    for (void *it = json_object_iter(map); ok && it != NULL;
         it = json_object_iter_next(map, it)) {
        const char *name = json_object_iter_key(it);
        const json_t *member = json_object_get(value, name);
        ok = spend_name(c, name) &&
             (member == NULL || holds_at(c, name, json_object_iter_value(it), member));
    }
    return ok;
}

static bool holds_required(struct check *c, const char *word, const json_t *rule,
                           const json_t *schema, const json_t *value)
{
    (void)schema;
    for (size_t i = 0; json_is_object(value) && i < json_array_size(rule); i++) {
        const char *name = json_string_value(json_array_get(rule, i));
        if (!spend_name(c, name)) {
            return false;
        }
        if (json_object_get(value, name) == NULL) {
            return schema_fail(c, word, "\"%s\" is missing", name);
        }
    }
    return true;
}

static bool holds_additional(struct check *c, const char *word, const json_t *rule,
                             const json_t *schema, const json_t *value)
{
    bool ok = true;
    const json_t *known = json_object_get(schema, "properties");
    json_t *map = (json_t *)(uintptr_t)value;
    for (void *it = json_is_object(value) ? json_object_iter(map) : NULL; ok && it != NULL;
         it = json_object_iter_next(map, it)) {
        const char *name = json_object_iter_key(it);
        if (!spend_name(c, name)) {
            return false;
        }
        if (json_object_get(known, name) != NULL) {
            continue;
        }
        ok = json_is_false(rule) ? schema_fail(c, word, "\"%s\" is not allowed", name)
                                 : holds_at(c, name, rule, json_object_iter_value(it));
    }
    return ok;
}

static bool holds_object_size(struct check *c, const char *word, const json_t *rule,
                              const json_t *schema, const json_t *value)
{
    (void)schema;
    return !json_is_object(value) ||
           count_holds(c, word, rule, json_object_size(value), "properties");
}

static bool holds_items(struct check *c, const char *word, const json_t *rule,
                        const json_t *schema, const json_t *value)
{
    bool ok = true;
    (void)word;
    (void)schema;
    for (size_t i = 0; ok && i < json_array_size(value); i++) {
        size_t before = schema_place_push_index(c, i);
        ok = schema_holds(c, rule, json_array_get(value, i));
        schema_place_pop(c, before);
    }
    return ok;
}

static bool holds_array_size(struct check *c, const char *word, const json_t *rule,
                             const json_t *schema, const json_t *value)
{
    (void)schema;
    return !json_is_array(value) || count_holds(c, word, rule, json_array_size(value), "items");
}

static bool holds_unique(struct check *c, const char *word, const json_t *rule,
                         const json_t *schema, const json_t *value)
{
    (void)schema;
    for (size_t i = 0; json_is_true(rule) && i < json_array_size(value); i++) {
        for (size_t k = 0; k < i; k++) {
            if (are_equal(c, json_array_get(value, i), json_array_get(value, k))) {
                return schema_fail(c, word, "items %zu and %zu are the same", k, i);
            }
            if (c->is_exhausted) {
                return false;
            }
        }
    }
    return true;
}

/* ---- rules of schemas ---------------------------------------------------------------------- */

static bool holds_reference(struct check *c, const char *word, const json_t *rule,
                            const json_t *schema, const json_t *value)
{
    (void)word;
    (void)schema;
    const json_t *found = schema_reference(c, rule);
    return found != NULL && schema_spend(c, json_string_length(rule) / 20) &&
           schema_holds(c, found, value);
}

static bool holds_all(struct check *c, const char *word, const json_t *rule,
                      const json_t *schema, const json_t *value)
{
    bool ok = true;
    (void)word;
    (void)schema;
    for (size_t i = 0; ok && i < json_array_size(rule); i++) {
        ok = schema_holds(c, json_array_get(rule, i), value);
    }
    return ok;
}

static bool holds_any(struct check *c, const char *word, const json_t *rule,
                      const json_t *schema, const json_t *value)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(rule) && !c->is_exhausted; i++) {
        if (schema_holds(c, json_array_get(rule, i), value)) {
            return true;
        }
    }
    return !c->is_exhausted &&
           schema_fail(c, word, "none of the %zu schemas holds", json_array_size(rule));
}

static bool holds_one(struct check *c, const char *word, const json_t *rule,
                      const json_t *schema, const json_t *value)
{
    size_t count = 0;
    (void)schema;
    for (size_t i = 0; i < json_array_size(rule) && !c->is_exhausted; i++) {
        count += schema_holds(c, json_array_get(rule, i), value);
    }
    return !c->is_exhausted &&
           (count == 1 || schema_fail(c, word, "%zu of the %zu schemas hold, must be one",
                                      count, json_array_size(rule)));
}

static bool holds_not(struct check *c, const char *word, const json_t *rule,
                      const json_t *schema, const json_t *value)
{
    (void)schema;
    bool holds_there = schema_holds(c, rule, value);
    return !c->is_exhausted &&
           (!holds_there || schema_fail(c, word, "the schema holds, must not"));
}

/* ---- the table ----------------------------------------------------------------------------- */

const struct rule schema_rules[] = {
    {"type", FORM_TYPE, holds_type},
    {"enum", FORM_LIST, holds_enum},
    {"const", FORM_ANY, holds_const},
    {"minimum", FORM_NUMBER, holds_bound},
    {"maximum", FORM_NUMBER, holds_bound},
    {"exclusiveMinimum", FORM_NUMBER, holds_bound},
    {"exclusiveMaximum", FORM_NUMBER, holds_bound},
    {"minLength", FORM_COUNT, holds_length},
    {"maxLength", FORM_COUNT, holds_length},
    {"pattern", FORM_PATTERN, holds_pattern},
    {"properties", FORM_SCHEMA_MAP, holds_properties},
    {"required", FORM_NAMES, holds_required},
    {"additionalProperties", FORM_SCHEMA, holds_additional},
    {"minProperties", FORM_COUNT, holds_object_size},
    {"maxProperties", FORM_COUNT, holds_object_size},
    {"items", FORM_SCHEMA, holds_items},
    {"minItems", FORM_COUNT, holds_array_size},
    {"maxItems", FORM_COUNT, holds_array_size},
    {"uniqueItems", FORM_BOOL, holds_unique},
    {"allOf", FORM_SCHEMAS, holds_all},
    {"anyOf", FORM_SCHEMAS, holds_any},
    {"oneOf", FORM_SCHEMAS, holds_one},
    {"not", FORM_SCHEMA, holds_not},
    {"$ref", FORM_REFERENCE, holds_reference},
    {"$defs", FORM_SCHEMA_MAP, NULL},
    {"definitions", FORM_SCHEMA_MAP, NULL},
    {"$schema", FORM_ANY, NULL},
    {"$id", FORM_ANY, NULL},
    {"$comment", FORM_ANY, NULL},
    {"title", FORM_ANY, NULL},
    {"description", FORM_ANY, NULL},
    {"default", FORM_ANY, NULL},
    {"examples", FORM_ANY, NULL},
};

const size_t schema_rule_count = sizeof schema_rules / sizeof schema_rules[0];
