#include "cmd/coordctl/transfer/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "cmd/coordctl/rights.h"

__attribute__((format(printf, 2, 3))) static bool refuse(struct record *r, const char *format,
                                                         ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->error, sizeof r->error, format, args);
    va_end(args);
    return false;
}

static bool take_path(struct record *r, const json_t *value)
{
    r->path = json_string_value(value);
    if (r->path == NULL || r->path[0] == '\0') {
        return refuse(r, "path: must be a text that is not empty");
    }
    if (strlen(r->path) != json_string_length(value)) {
        return refuse(r, "path: has a zero byte");
    }
    return r->path[0] != '/' ||
           refuse(r, "path: \"%.100s\" must be relative to the subtree", r->path);
}

static bool take_data(struct record *r, const json_t *value)
{
    const json_t *encoded = json_object_get(value, "base64");
    if (json_is_string(value)) {
        buf_append(&r->data, json_string_value(value), json_string_length(value));
        return true;
    }
    if (json_object_size(value) != 1 || !json_is_string(encoded)) {
        return refuse(r, "data: must be a text, or {\"base64\": \"...\"}");
    }
    struct slice text =
        slice_make(json_string_value(encoded), json_string_length(encoded));
    return base64_decode(&r->data, text) || refuse(r, "data: base64 that is none");
}

static bool take_kind(struct record *r, const json_t *value)
{
    static const struct {
        const char *name;
        Coord__V1__Kind kind;
    } kinds[] = {{"persistent", COORD__V1__KIND__PERSISTENT},
                 {"container", COORD__V1__KIND__CONTAINER},
                 {"ttl", COORD__V1__KIND__TTL}};
    const char *name = json_string_value(value);
    for (size_t i = 0; name != NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            r->kind = kinds[i].kind;
            return true;
        }
    }
    return refuse(r, "kind: must be persistent, container or ttl");
}

static bool take_ttl(struct record *r, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) <= 0) {
        return refuse(r, "ttl_ms: must be a number above 0");
    }
    r->ttl_ms = (uint64_t)json_integer_value(value);
    return true;
}

static bool take_entry(struct record *r, const json_t *value)
{
    Coord__V1__Acl *e = &r->entries[r->acl_count];
    const char *rights = json_string_value(json_object_get(value, "rights"));
    const char *scheme = json_string_value(json_object_get(value, "scheme"));
    const char *id = json_string_value(json_object_get(value, "id"));
    coord__v1__acl__init(e);
    if (json_object_size(value) != 3 || rights == NULL || scheme == NULL || id == NULL ||
        !rights_parse(rights, &e->permissions)) {
        return refuse(r, "acl: an entry must have rights, scheme and id");
    }
    e->scheme = (char *)(uintptr_t)scheme;
    e->id = (char *)(uintptr_t)id;
    r->acl[r->acl_count++] = e;
    return true;
}

static bool take_acl(struct record *r, const json_t *value)
{
    size_t i;
    const json_t *entry;
    if (json_array_size(value) == 0 || json_array_size(value) > RECORD_ACL_MAX) {
        return refuse(r, "acl: must be an array of 1 to %d entries", RECORD_ACL_MAX);
    }
    json_array_foreach(value, i, entry)
    {
        if (!take_entry(r, entry)) {
            return false;
        }
    }
    return true;
}

static const struct {
    const char *name;
    bool (*take)(struct record *r, const json_t *value);
} fields[] = {{"path", take_path},
              {"data", take_data},
              {"kind", take_kind},
              {"ttl_ms", take_ttl},
              {"acl", take_acl}};

static bool take_field(struct record *r, const char *name, const json_t *value)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return fields[i].take(r, value);
        }
    }
    return refuse(r, "unknown field \"%.100s\"", name);
}

/* Of other versions of this format nobody knows what they mean. */
static bool check_header(struct record *r)
{
    const json_t *format = json_object_get(r->json, "coord_export");
    r->is_header = true;
    return (json_is_integer(format) && json_integer_value(format) == RECORD_FORMAT) ||
           refuse(r, "an export of another format; this coordctl knows format %d",
                  RECORD_FORMAT);
}

bool record_parse(struct record *r, const char *line, size_t bytes)
{
    json_error_t error;
    const char *name;
    json_t *value;
    record_close(r);
    r->kind = COORD__V1__KIND__PERSISTENT;
    r->json = json_loadb(line, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (r->json == NULL) {
        return refuse(r, "column %d: %s", error.column, error.text);
    }
    if (!json_is_object(r->json)) {
        return refuse(r, "must be a JSON object");
    }
    if (json_object_get(r->json, "coord_export") != NULL) {
        return check_header(r);
    }
    json_object_foreach(r->json, name, value)
    {
        if (!take_field(r, name, value)) {
            return false;
        }
    }
    if (r->path == NULL) {
        return refuse(r, "path: is missing");
    }
    return (r->kind == COORD__V1__KIND__TTL) == (r->ttl_ms > 0) ||
           refuse(r, "ttl_ms: belongs to nodes of the kind ttl, and to all of these");
}

void record_close(struct record *r)
{
    json_decref(r->json);
    buf_close(&r->data);
    r->json = NULL;
    r->is_header = false;
    r->path = NULL;
    r->ttl_ms = 0;
    r->acl_count = 0;
}
