#include "net/config/schema.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "net/config/schema_internal.h"

/* ---- saying what is wrong ------------------------------------------------------------------ */

bool schema_fail(struct check *c, const char *word, const char *format, ...)
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

size_t schema_place_push(struct check *c, const char *name)
{
    size_t before = c->place_bytes;
    int added = snprintf(c->place + before, sizeof c->place - before, "/%s", name);
    size_t room = sizeof c->place - 1 - before;
    c->place_bytes += added < 0 ? 0 : (size_t)added < room ? (size_t)added : room;
    return before;
}

size_t schema_place_push_index(struct check *c, size_t index)
{
    char name[24];
    (void)snprintf(name, sizeof name, "%zu", index);
    return schema_place_push(c, name);
}

void schema_place_pop(struct check *c, size_t before)
{
    c->place_bytes = before;
    c->place[before] = '\0';
}

static bool exhaust(struct check *c)
{
    c->is_exhausted = true;
    return schema_fail(c, "schema",
                       "more than %d steps, or nested deeper than %d, are not looked at",
                       SCHEMA_STEPS_MAX, SCHEMA_DEPTH_MAX);
}

bool schema_spend(struct check *c, size_t steps)
{
    if (c->is_exhausted) {
        return false;
    }
    size_t left = SCHEMA_STEPS_MAX - c->steps;
    c->steps += (unsigned)(steps < left ? steps : left);
    return steps <= left || exhaust(c);
}

/* Every schema that is looked at, in a document or in itself. */
static bool enter(struct check *c)
{
    return schema_spend(c, 1) && (++c->depth <= SCHEMA_DEPTH_MAX || exhaust(c));
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

const json_t *schema_reference(const struct check *c, const json_t *rule)
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

/* ---- the walk ------------------------------------------------------------------------------ */

static const struct rule *rule_find(const char *word)
{
    for (size_t i = 0; i < schema_rule_count; i++) {
        if (strcmp(schema_rules[i].word, word) == 0) {
            return &schema_rules[i];
        }
    }
    return NULL;
}

bool schema_is_sound(struct check *c, const json_t *schema)
{
    if (!enter(c)) {
        return false;
    }
    if (!json_is_object(schema) && !json_is_boolean(schema)) {
        return schema_fail(c, "schema", "an object, true or false");
    }
    bool ok = true;
    json_t *map = (json_t *)(uintptr_t)schema;
    for (void *it = json_is_object(schema) ? json_object_iter(map) : NULL; ok && it != NULL;
         it = json_object_iter_next(map, it)) {
        const char *word = json_object_iter_key(it);
        const struct rule *rule = rule_find(word);
        ok = rule != NULL ? schema_form_check(c, rule->form, word, json_object_iter_value(it))
                          : schema_fail(c, word, "this word is not supported");
    }
    c->depth--;
    return ok;
}

bool schema_holds(struct check *c, const json_t *schema, const json_t *value)
{
    if (!enter(c)) {
        return false;
    }
    bool ok = !json_is_false(schema) || schema_fail(c, "false", "nothing is allowed here");
    for (size_t i = 0; ok && json_is_object(schema) && i < schema_rule_count; i++) {
        const json_t *rule = schema_rules[i].holds == NULL
                                 ? NULL
                                 : json_object_get(schema, schema_rules[i].word);
        ok =
            rule == NULL || schema_rules[i].holds(c, schema_rules[i].word, rule, schema, value);
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
    bool ok = schema_is_sound(&c, root);
    json_decref(root);
    return ok ? RC_OK : RC_INVALID;
}

enum status schema_validate(struct slice schema, struct slice document, struct errmsg *err)
{
    json_t *root = parse(schema, "the schema", err);
    json_t *value = root == NULL ? NULL : parse(document, "the value", err);
    struct check c = {.root = root, .err = err};
    bool ok = value != NULL && schema_holds(&c, root, value);
    json_decref(value);
    json_decref(root);
    return ok ? RC_OK : RC_INVALID;
}
