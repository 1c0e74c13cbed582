/* What the rules of a schema must be like, whatever the document. */
#include <stdint.h>
#include <string.h>

#include "net/config/pattern.h"
#include "net/config/schema_internal.h"

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

static bool check_type(struct check *c, const char *word, const json_t *rule)
{
    bool ok = is_type_name(rule) || (json_is_array(rule) && json_array_size(rule) > 0);
    if (json_array_size(rule) > TYPES) {
        return schema_fail(c, word, "%zu types, there are %zu", json_array_size(rule), TYPES);
    }
    for (size_t i = 0; ok && i < json_array_size(rule); i++) {
        ok = is_type_name(json_array_get(rule, i));
    }
    return ok ||
           schema_fail(c, word,
                       "null, boolean, object, array, number, string or integer, or a list of "
                       "them");
}

static bool check_number(struct check *c, const char *word, const json_t *rule)
{
    return json_is_number(rule) || schema_fail(c, word, "takes a number");
}

static bool check_count(struct check *c, const char *word, const json_t *rule)
{
    return (json_is_integer(rule) && json_integer_value(rule) >= 0) ||
           schema_fail(c, word, "takes a whole number from 0 on");
}

static bool check_bool(struct check *c, const char *word, const json_t *rule)
{
    return json_is_boolean(rule) || schema_fail(c, word, "takes true or false");
}

static bool check_list(struct check *c, const char *word, const json_t *rule)
{
    return (json_is_array(rule) && json_array_size(rule) > 0) ||
           schema_fail(c, word, "takes a list that is not empty");
}

static bool check_names(struct check *c, const char *word, const json_t *rule)
{
    bool ok = json_is_array(rule);
    for (size_t i = 0; ok && i < json_array_size(rule); i++) {
        ok = json_is_string(json_array_get(rule, i));
    }
    return ok || schema_fail(c, word, "takes a list of names");
}

static bool check_pattern(struct check *c, const char *word, const json_t *rule)
{
    unsigned cost = 0;
    const char *wrong =
        json_is_string(rule) ? pattern_check(json_string_value(rule), &cost) : "takes a string";
    return wrong == NULL ? schema_spend(c, cost) : schema_fail(c, word, "%s", wrong);
}

static bool check_schema(struct check *c, const char *word, const json_t *rule)
{
    size_t before = schema_place_push(c, word);
    bool ok = schema_is_sound(c, rule);
    schema_place_pop(c, before);
    return ok;
}

static bool check_schemas(struct check *c, const char *word, const json_t *rule)
{
    bool ok = check_list(c, word, rule);
    size_t before = schema_place_push(c, word);
    for (size_t i = 0; ok && i < json_array_size(rule); i++) {
        size_t list = schema_place_push_index(c, i);
        ok = schema_is_sound(c, json_array_get(rule, i));
        schema_place_pop(c, list);
    }
    schema_place_pop(c, before);
    return ok;
}

static bool check_schema_map(struct check *c, const char *word, const json_t *rule)
{
    if (!json_is_object(rule)) {
        return schema_fail(c, word, "takes an object of schemas");
    }
    bool ok = true;
    size_t before = schema_place_push(c, word);
    json_t *map = (json_t *)(uintptr_t)rule; /* jansson walks objects without const */
    for (void *it = json_object_iter(map); ok && it != NULL;
         it = json_object_iter_next(map, it)) {
        ok = check_schema(c, json_object_iter_key(it), json_object_iter_value(it));
    }
    schema_place_pop(c, before);
    return ok;
}

static bool check_reference(struct check *c, const char *word, const json_t *rule)
{
    const json_t *found = schema_reference(c, rule);
    if (!schema_spend(c, json_string_length(rule) / 20)) {
        return false;
    }
    return json_is_object(found) || json_is_boolean(found) ||
           schema_fail(c, word, "leads to no schema in this document");
}

bool schema_form_check(struct check *c, enum schema_form form, const char *word,
                       const json_t *rule)
{
    switch (form) {
    case FORM_ANY: return true;
    case FORM_TYPE: return check_type(c, word, rule);
    case FORM_NUMBER: return check_number(c, word, rule);
    case FORM_COUNT: return check_count(c, word, rule);
    case FORM_BOOL: return check_bool(c, word, rule);
    case FORM_LIST: return check_list(c, word, rule);
    case FORM_NAMES: return check_names(c, word, rule);
    case FORM_PATTERN: return check_pattern(c, word, rule);
    case FORM_SCHEMA: return check_schema(c, word, rule);
    case FORM_SCHEMAS: return check_schemas(c, word, rule);
    case FORM_SCHEMA_MAP: return check_schema_map(c, word, rule);
    case FORM_REFERENCE: return check_reference(c, word, rule);
    }
    return false;
}
