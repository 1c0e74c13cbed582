#include "net/config/schema.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/config/pattern.h"

#define PLACE_BYTES 160

/* One check under way: of a document, or of the schema itself. */
struct check {
    const json_t *root; /* the schema, for references */
    struct errmsg *err;
    char place[PLACE_BYTES]; /* in the document, as a JSON pointer; clipped if it is long */
    size_t place_bytes;
    unsigned depth;
    unsigned steps;
    bool is_exhausted; /* a bound was met: the whole check has failed */
};

typedef bool (*rule_check_fn)(struct check *c, const char *word, const json_t *rule);
typedef bool (*rule_holds_fn)(struct check *c, const char *word, const json_t *rule,
                              const json_t *schema, const json_t *value);

struct rule {
    const char *word;
    rule_check_fn check; /* of the schema */
    rule_holds_fn holds; /* NULL: it says nothing of a value */
};

static const struct rule *rule_find(const char *word);
static bool holds(struct check *c, const json_t *schema, const json_t *value);
static bool is_schema(struct check *c, const json_t *schema);

/* ---- saying what is wrong ------------------------------------------------------------------ */

static bool fail(struct check *c, const char *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(struct check *c, const char *word, const char *format, ...)
{
    char text[sizeof c->err->text / 2];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)errmsg_set(c->err, RC_INVALID, "at %s: %s: %s", c->place_bytes == 0 ? "/" : c->place,
                     word, text);
    return false;
}

/* The place one name further down; what it was before, to go back. */
static size_t place_push(struct check *c, const char *name)
{
    size_t before = c->place_bytes;
    int added = snprintf(c->place + before, sizeof c->place - before, "/%s", name);
    size_t room = sizeof c->place - 1 - before;
    c->place_bytes += added < 0 ? 0 : (size_t)added < room ? (size_t)added : room;
    return before;
}

static size_t place_push_index(struct check *c, size_t index)
{
    char name[24];
    (void)snprintf(name, sizeof name, "%zu", index);
    return place_push(c, name);
}

static void place_pop(struct check *c, size_t before)
{
    c->place_bytes = before;
    c->place[before] = '\0';
}

/* Every schema that is looked at, in a document or in itself. */
static bool enter(struct check *c)
{
    if (c->is_exhausted) {
        return false;
    }
    c->is_exhausted = ++c->steps > SCHEMA_STEPS_MAX || ++c->depth > SCHEMA_DEPTH_MAX;
    return !c->is_exhausted ||
           fail(c, "schema", "more than %d steps, or nested deeper than %d, are not looked at",
                SCHEMA_STEPS_MAX, SCHEMA_DEPTH_MAX);
}

/* ---- what rules must be like --------------------------------------------------------------- */

static const char *const type_names[] = {"null",   "boolean", "object", "array",
                                         "number", "string",  "integer"};
#define TYPES (sizeof type_names / sizeof type_names[0])

static bool is_type_name(const json_t *name)
{
    for (size_t i = 0; json_is_string(name) && i < TYPES; i++) {
        if (strcmp(json_string_value(name), type_names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_any(struct check *c, const char *word, const json_t *rule)
{
    (void)c;
    (void)word;
    (void)rule;
    return true;
}

static bool check_type(struct check *c, const char *word, const json_t *rule)
{
    bool ok = is_type_name(rule) || (json_is_array(rule) && json_array_size(rule) > 0);
    for (size_t i = 0; ok && i < json_array_size(rule); i++) {
        ok = is_type_name(json_array_get(rule, i));
    }
    return ok || fail(c, word,
                      "null, boolean, object, array, number, string or integer, or a list of "
                      "them");
}

static bool check_number(struct check *c, const char *word, const json_t *rule)
{
    return json_is_number(rule) || fail(c, word, "takes a number");
}

static bool check_count(struct check *c, const char *word, const json_t *rule)
{
    return (json_is_integer(rule) && json_integer_value(rule) >= 0) ||
           fail(c, word, "takes a whole number from 0 on");
}

static bool check_bool(struct check *c, const char *word, const json_t *rule)
{
    return json_is_boolean(rule) || fail(c, word, "takes true or false");
}

static bool check_list(struct check *c, const char *word, const json_t *rule)
{
    return (json_is_array(rule) && json_array_size(rule) > 0) ||
           fail(c, word, "takes a list that is not empty");
}

static bool check_names(struct check *c, const char *word, const json_t *rule)
{
    bool ok = json_is_array(rule);
    for (size_t i = 0; ok && i < json_array_size(rule); i++) {
        ok = json_is_string(json_array_get(rule, i));
    }
    return ok || fail(c, word, "takes a list of names");
}

static bool check_pattern(struct check *c, const char *word, const json_t *rule)
{
    const char *wrong = json_is_string(rule) ? pattern_check(json_string_value(rule))
                                             : "takes a string";
    return wrong == NULL || fail(c, word, "%s", wrong);
}

static bool check_schema(struct check *c, const char *word, const json_t *rule)
{
    size_t before = place_push(c, word);
    bool ok = is_schema(c, rule);
    place_pop(c, before);
    return ok;
}

static bool check_schemas(struct check *c, const char *word, const json_t *rule)
{
    bool ok = check_list(c, word, rule);
    size_t before = place_push(c, word);
    for (size_t i = 0; ok && i < json_array_size(rule); i++) {
        size_t list = place_push_index(c, i);
        ok = is_schema(c, json_array_get(rule, i));
        place_pop(c, list);
    }
    place_pop(c, before);
    return ok;
}

static bool check_schema_map(struct check *c, const char *word, const json_t *rule)
{
    if (!json_is_object(rule)) {
        return fail(c, word, "takes an object of schemas");
    }
    bool ok = true;
    size_t before = place_push(c, word);
    json_t *map = (json_t *)(uintptr_t)rule; /* jansson walks objects without const */
    for (void *it = json_object_iter(map); ok && it != NULL;
         it = json_object_iter_next(map, it)) {
        ok = check_schema(c, json_object_iter_key(it), json_object_iter_value(it));
    }
    place_pop(c, before);
    return ok;
}

/* ---- references ---------------------------------------------------------------------------- */

/* One name of a JSON pointer, of which ~1 is a slash and ~0 a tilde. False: too long. */
static bool pointer_name(const char **at, char *name, size_t bytes)
{
    size_t size = 0;
    for (; **at != '\0' && **at != '/'; (*at)++) {
        char letter = **at;
        if (letter == '~' && ((*at)[1] == '0' || (*at)[1] == '1')) {
            letter = *++*at == '1' ? '/' : '~';
        }
        if (size + 1 == bytes) {
            return false;
        }
        name[size++] = letter;
    }
    name[size] = '\0';
    return true;
}

/* NULL: it leads nowhere in the document. */
static const json_t *reference_find(const struct check *c, const json_t *rule)
{
    const char *at = json_is_string(rule) ? json_string_value(rule) : "";
    const json_t *found = c->root;
    if (*at++ != '#') {
        return NULL;
    }
    while (found != NULL && *at == '/') {
        char name[256];
        at++;
        found = pointer_name(&at, name, sizeof name) ? json_object_get(found, name) : NULL;
    }
    return *at == '\0' ? found : NULL;
}

static bool check_reference(struct check *c, const char *word, const json_t *rule)
{
    const json_t *found = reference_find(c, rule);
    return json_is_object(found) || json_is_boolean(found) ||
           fail(c, word, "leads to no schema in this document");
}

static bool holds_reference(struct check *c, const char *word, const json_t *rule,
                            const json_t *schema, const json_t *value)
{
    (void)word;
    (void)schema;
    const json_t *found = reference_find(c, rule);
    return found != NULL && holds(c, found, value);
}

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
        return is_of_type(value, name) || fail(c, word, "must be %s", name);
    }
    char names[96] = "";
    for (size_t i = 0; i < json_array_size(rule); i++) {
        const char *name = json_string_value(json_array_get(rule, i));
        size_t used = strlen(names);
        if (is_of_type(value, name)) {
            return true;
        }
        (void)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? " or " : "", name);
    }
    return fail(c, word, "must be %s", names);
}

static bool are_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) {
        bool exact = json_is_integer(a) && json_is_integer(b);
        return exact ? json_integer_value(a) == json_integer_value(b)
                     : json_number_value(a) == json_number_value(b);
    }
    return json_equal(a, b) == 1;
}

static bool holds_enum(struct check *c, const char *word, const json_t *rule,
                       const json_t *schema, const json_t *value)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(rule); i++) {
        if (are_equal(json_array_get(rule, i), value)) {
            return true;
        }
    }
    char *all = json_dumps(rule, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)fail(c, word, "must be one of %.100s", all == NULL ? "the list" : all);
    free(all);
    return false;
}

static bool holds_const(struct check *c, const char *word, const json_t *rule,
                        const json_t *schema, const json_t *value)
{
    (void)schema;
    if (are_equal(rule, value)) {
        return true;
    }
    char *only = json_dumps(rule, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)fail(c, word, "must be %.100s", only == NULL ? "the constant" : only);
    free(only);
    return false;
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
    return fail(c, word, "%.17g, must be %s %.17g", json_number_value(value),
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
    return ok || fail(c, word, "%zu %s, must be at %s %" JSON_INTEGER_FORMAT, count, what,
                      is_least ? "least" : "most", bound);
}

static bool holds_length(struct check *c, const char *word, const json_t *rule,
                         const json_t *schema, const json_t *value)
{
    (void)schema;
    return !json_is_string(value) ||
           count_holds(c, word, rule, text_length(value), "characters");
}

static bool holds_pattern(struct check *c, const char *word, const json_t *rule,
                          const json_t *schema, const json_t *value)
{
    (void)schema;
    if (!json_is_string(value)) {
        return true;
    }
    if (json_string_length(value) > SCHEMA_MATCHED_BYTES_MAX) {
        return fail(c, word, "%zu bytes, at most %zu are matched", json_string_length(value),
                    SCHEMA_MATCHED_BYTES_MAX);
    }
    c->steps += 100; /* a regular expression costs about so much more than another rule */
    return pattern_matches(json_string_value(rule), json_string_value(value)) ||
           fail(c, word, "does not match %s", json_string_value(rule));
}

/* ---- rules of objects and arrays ----------------------------------------------------------- */

static bool holds_at(struct check *c, const char *name, const json_t *schema,
                     const json_t *value)
{
    size_t before = place_push(c, name);
    bool ok = holds(c, schema, value);
    place_pop(c, before);
    return ok;
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
        const json_t *member = json_object_get(value, json_object_iter_key(it));
        ok = member == NULL ||
             holds_at(c, json_object_iter_key(it), json_object_iter_value(it), member);
    }
    return ok;
}

static bool holds_required(struct check *c, const char *word, const json_t *rule,
                           const json_t *schema, const json_t *value)
{
    (void)schema;
    for (size_t i = 0; json_is_object(value) && i < json_array_size(rule); i++) {
        const char *name = json_string_value(json_array_get(rule, i));
        if (json_object_get(value, name) == NULL) {
            return fail(c, word, "\"%s\" is missing", name);
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
        if (json_object_get(known, name) != NULL) {
            continue;
        }
        ok = json_is_false(rule) ? fail(c, word, "\"%s\" is not allowed", name)
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
        size_t before = place_push_index(c, i);
        ok = holds(c, rule, json_array_get(value, i));
        place_pop(c, before);
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
            if (++c->steps > SCHEMA_STEPS_MAX) {
                c->is_exhausted = true;
                return fail(c, word, "too many items to compare");
            }
            if (are_equal(json_array_get(value, i), json_array_get(value, k))) {
                return fail(c, word, "items %zu and %zu are the same", k, i);
            }
        }
    }
    return true;
}

/* ---- rules of schemas ---------------------------------------------------------------------- */

static bool holds_all(struct check *c, const char *word, const json_t *rule,
                      const json_t *schema, const json_t *value)
{
    bool ok = true;
    (void)word;
    (void)schema;
    for (size_t i = 0; ok && i < json_array_size(rule); i++) {
        ok = holds(c, json_array_get(rule, i), value);
    }
    return ok;
}

static bool holds_any(struct check *c, const char *word, const json_t *rule,
                      const json_t *schema, const json_t *value)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(rule) && !c->is_exhausted; i++) {
        if (holds(c, json_array_get(rule, i), value)) {
            return true;
        }
    }
    return !c->is_exhausted && fail(c, word, "none of the %zu schemas holds",
                                    json_array_size(rule));
}

static bool holds_one(struct check *c, const char *word, const json_t *rule,
                      const json_t *schema, const json_t *value)
{
    size_t count = 0;
    (void)schema;
    for (size_t i = 0; i < json_array_size(rule) && !c->is_exhausted; i++) {
        count += holds(c, json_array_get(rule, i), value);
    }
    return !c->is_exhausted &&
           (count == 1 || fail(c, word, "%zu of the %zu schemas hold, must be one", count,
                               json_array_size(rule)));
}

static bool holds_not(struct check *c, const char *word, const json_t *rule,
                      const json_t *schema, const json_t *value)
{
    (void)schema;
    bool holds_there = holds(c, rule, value);
    return !c->is_exhausted && (!holds_there || fail(c, word, "the schema holds, must not"));
}

/* ---- the table ----------------------------------------------------------------------------- */

static const struct rule rules[] = {
    {"type", check_type, holds_type},
    {"enum", check_list, holds_enum},
    {"const", check_any, holds_const},
    {"minimum", check_number, holds_bound},
    {"maximum", check_number, holds_bound},
    {"exclusiveMinimum", check_number, holds_bound},
    {"exclusiveMaximum", check_number, holds_bound},
    {"minLength", check_count, holds_length},
    {"maxLength", check_count, holds_length},
    {"pattern", check_pattern, holds_pattern},
    {"properties", check_schema_map, holds_properties},
    {"required", check_names, holds_required},
    {"additionalProperties", check_schema, holds_additional},
    {"minProperties", check_count, holds_object_size},
    {"maxProperties", check_count, holds_object_size},
    {"items", check_schema, holds_items},
    {"minItems", check_count, holds_array_size},
    {"maxItems", check_count, holds_array_size},
    {"uniqueItems", check_bool, holds_unique},
    {"allOf", check_schemas, holds_all},
    {"anyOf", check_schemas, holds_any},
    {"oneOf", check_schemas, holds_one},
    {"not", check_schema, holds_not},
    {"$ref", check_reference, holds_reference},
    {"$defs", check_schema_map, NULL},
    {"definitions", check_schema_map, NULL},
    {"$schema", check_any, NULL},
    {"$id", check_any, NULL},
    {"$comment", check_any, NULL},
    {"title", check_any, NULL},
    {"description", check_any, NULL},
    {"default", check_any, NULL},
    {"examples", check_any, NULL},
};

static const struct rule *rule_find(const char *word)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(rules[i].word, word) == 0) {
            return &rules[i];
        }
    }
    return NULL;
}

static bool is_schema(struct check *c, const json_t *schema)
{
    if (!enter(c)) {
        return false;
    }
    if (!json_is_object(schema) && !json_is_boolean(schema)) {
        return fail(c, "schema", "an object, true or false");
    }
    bool ok = true;
    json_t *map = (json_t *)(uintptr_t)schema;
    for (void *it = json_is_object(schema) ? json_object_iter(map) : NULL; ok && it != NULL;
         it = json_object_iter_next(map, it)) {
        const char *word = json_object_iter_key(it);
        const struct rule *rule = rule_find(word);
        ok = rule != NULL ? rule->check(c, word, json_object_iter_value(it))
                          : fail(c, word, "this word is not supported");
    }
    c->depth--;
    return ok;
}

static bool holds(struct check *c, const json_t *schema, const json_t *value)
{
    if (!enter(c)) {
        return false;
    }
    bool ok = !json_is_false(schema) || fail(c, "false", "nothing is allowed here");
    for (size_t i = 0; ok && json_is_object(schema) && i < sizeof rules / sizeof rules[0]; i++) {
        const json_t *rule =
            rules[i].holds == NULL ? NULL : json_object_get(schema, rules[i].word);
        ok = rule == NULL || rules[i].holds(c, rules[i].word, rule, schema, value);
    }
    c->depth--;
    return ok;
}

/* ---- whole documents ----------------------------------------------------------------------- */

static json_t *parse(struct slice text, const char *what, struct errmsg *err)
{
    json_error_t error;
    if (text.size > 0 && memchr(text.data, 0, text.size) != NULL) { /* jansson ends there */
        (void)errmsg_set(err, RC_INVALID, "%s is no JSON: a zero byte", what);
        return NULL;
    }
    json_t *parsed = json_loadb((const char *)text.data, text.size,
                                JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (parsed == NULL) {
        (void)errmsg_set(err, RC_INVALID, "%s is no JSON: line %d: %.120s", what, error.line,
                         error.text);
    }
    return parsed;
}

enum status schema_check(struct slice schema, struct errmsg *err)
{
    if (schema.size > SCHEMA_BYTES_MAX) {
        return errmsg_set(err, RC_TOO_LARGE, "the schema has %zu bytes, the limit is %zu",
                          schema.size, SCHEMA_BYTES_MAX);
    }
    json_t *root = parse(schema, "the schema", err);
    if (root == NULL) {
        return RC_INVALID;
    }
    struct check c = {.root = root, .err = err};
    bool ok = is_schema(&c, root);
    json_decref(root);
    return ok ? RC_OK : RC_INVALID;
}

enum status schema_validate(struct slice schema, struct slice document, struct errmsg *err)
{
    json_t *root = parse(schema, "the schema", err);
    json_t *value = root == NULL ? NULL : parse(document, "the value", err);
    struct check c = {.root = root, .err = err};
    bool ok = value != NULL && holds(&c, root, value);
    json_decref(value);
    json_decref(root);
    return ok ? RC_OK : RC_INVALID;
}
