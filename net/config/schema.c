#include "net/config/schema.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "net/config/schema_internal.h"

/* ---- saying what is wrong ------------------------------------------------------------------ */

#define FAIL_STEPS 4

bool schema_fail(struct check *c, const char *word, const char *format, ...)
{
    c->steps_left -= c->steps_left < FAIL_STEPS ? c->steps_left : FAIL_STEPS;
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
    bool ok = steps <= c->steps_left;
    c->steps_left -= ok ? steps : c->steps_left;
    return ok || exhaust(c);
}

#define ENTER_STEPS 1

/* Every schema that is looked at, in a document or in itself. */
static bool enter(struct check *c)
{
    return schema_spend(c, ENTER_STEPS) && (++c->depth <= SCHEMA_DEPTH_MAX || exhaust(c));
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

/* Its place in the table; the end of it: there is none. */
static size_t rule_find(const char *word)
{
    size_t i = 0;
    while (i < schema_rule_count && strcmp(schema_rules[i].word, word) != 0) {
        i++;
    }
    return i;
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
        size_t rule = rule_find(word);
        ok = !schema_spend(c, 1)         ? false
             : rule == schema_rule_count ? schema_fail(c, word, "this word is not supported")
                                         : schema_form_check(c, schema_rules[rule].form, word,
                                                             json_object_iter_value(it));
    }
    c->depth--;
    return ok;
}

/* The rules of a schema as bits, so that they are looked at in the order of the table. */
static uint64_t rules_of(struct check *c, const json_t *schema)
{
    uint64_t rules = 0;
    json_t *map = (json_t *)(uintptr_t)schema;
    for (void *it = json_object_iter(map); it != NULL; it = json_object_iter_next(map, it)) {
        size_t rule = rule_find(json_object_iter_key(it));
        bool says_something = rule < schema_rule_count && schema_rules[rule].holds != NULL;
        rules |= says_something ? (uint64_t)1 << rule : 0;
    }
    return schema_spend(c, json_object_size(schema)) ? rules : 0;
}

bool schema_holds(struct check *c, const json_t *schema, const json_t *value)
{
    if (!enter(c)) {
        return false;
    }
    bool ok = !json_is_false(schema) || schema_fail(c, "false", "nothing is allowed here");
    uint64_t rules = json_is_object(schema) ? rules_of(c, schema) : 0;
    for (size_t i = 0; ok && rules >> i != 0; i++) {
        const struct rule *rule = &schema_rules[i];
        if ((rules >> i & 1) != 0) {
            ok = rule->holds(c, rule->word, json_object_get(schema, rule->word), schema, value);
        }
    }
    c->depth--;
    return ok && !c->is_exhausted;
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
    struct check c = {.root = root, .err = err, .steps_left = SCHEMA_STEPS_MAX};
    bool ok = schema_is_sound(&c, root);
    json_decref(root);
    return ok ? RC_OK : RC_INVALID;
}

/* What it costs to read so many bytes. */
static size_t parse_steps(size_t bytes)
{
    return 5 + bytes / 10;
}

static const json_t *root_of(struct schema_checks *checks, struct slice schema,
                             struct errmsg *err)
{
    bool is_same = checks->text.data == schema.data && checks->text.size == schema.size;
    if (checks->root == NULL || !is_same) {
        schema_checks_close(checks);
        checks->root = parse(schema, "the schema", err);
        checks->text = schema;
        checks->steps += parse_steps(schema.size);
    }
    return checks->root;
}

enum status schema_checks_validate(struct schema_checks *checks, struct slice schema,
                                   struct slice document, struct errmsg *err)
{
    if (checks->steps >= SCHEMA_CALL_STEPS_MAX) {
        return errmsg_set(err, RC_TOO_LARGE,
                          "the values of one call take more than %d steps to check: "
                          "ask for fewer of them at a time",
                          SCHEMA_CALL_STEPS_MAX);
    }
    const json_t *root = root_of(checks, schema, err);
    json_t *value = root == NULL ? NULL : parse(document, "the value", err);
    struct check c = {
        .root = root,
        .err = err,
        .steps_left = SCHEMA_STEPS_MAX,
        .schema_bytes = schema.size,
    };
    bool ok = value != NULL && schema_holds(&c, root, value);
    json_decref(value);
    checks->steps += parse_steps(document.size) + SCHEMA_STEPS_MAX - c.steps_left;
    return ok ? RC_OK : RC_INVALID;
}

void schema_checks_close(struct schema_checks *checks)
{
    json_decref(checks->root);
    checks->root = NULL;
}

enum status schema_validate(struct slice schema, struct slice document, struct errmsg *err)
{
    struct schema_checks checks = {0};
    enum status rc = schema_checks_validate(&checks, schema, document, err);
    schema_checks_close(&checks);
    return rc;
}
