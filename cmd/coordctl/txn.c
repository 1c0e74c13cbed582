/* txn: a transaction written in JSON.
 *
 *   {"if":   [{"path": "/a", "version": 3}, {"path": "/b", "exists": false}],
 *    "then": [{"set": "/a", "data": "x"}, {"create": "/b", "data": "y", "sequential": true}],
 *    "else": [{"get": "/a"}]}
 *
 * A guard names a path, one of exists, version, children_version, create_revision, modify_revision,
 * value, and optionally "is": "=", "!=", "<" or ">". An operation is one of create, set, delete,
 * check, get, list with its path, and its own fields: data, data_base64, version, sequential,
 * parents, recursive, limit. Unknown fields are refused by name. docs/coordctl.md has the whole
 * language.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cmd/coordctl/ctl.h"
#include "coord/v1/tree.pb-c.h"

static const struct client_method txn_method = {
    .path = "/coord.v1.Tree/Txn", .reply = &coord__v1__txn_reply__descriptor, .is_write = true};

/* Everything built from the JSON lives in the arena; the first error stops the rest. */
struct parser {
    struct arena arena;
    char error[256];
};

static bool wrong(struct parser *p, const char *where, size_t number, const char *what)
{
    if (p->error[0] == '\0') {
        snprintf(p->error, sizeof p->error, "%s %zu: %s", where, number + 1, what);
    }
    return false;
}

static void *zeroed(struct parser *p, size_t bytes)
{
    void *memory = arena_alloc(&p->arena, bytes);
    memset(memory, 0, bytes);
    return memory;
}

/* Decodes standard base64 with padding; false if it is not. */
static bool decode_base64(struct parser *p, const char *text, ProtobufCBinaryData *out)
{
    size_t size = strlen(text);
    if (size % 4 != 0) {
        return false;
    }
    out->data = arena_alloc(&p->arena, size / 4 * 3 + 1);
    out->len = 0;
    uint32_t group = 0;
    size_t padding = 0;
    for (size_t i = 0; i < size; i++) {
        static const char digits[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *digit = strchr(digits, text[i]);
        if (text[i] == '=' && i + 2 >= size) {
            padding++;
            digit = digits;
        } else if (digit == NULL || padding > 0) {
            return false;
        }
        group = group << 6 | (uint32_t)(digit - digits);
        if (i % 4 == 3) {
            for (size_t j = 0; j < 3 - padding; j++) {
                out->data[out->len++] = (uint8_t)(group >> (16 - 8 * j));
            }
            group = 0;
        }
    }
    return true;
}

static bool parse_data(struct parser *p, json_t *o, ProtobufCBinaryData *out)
{
    json_t *text = json_object_get(o, "data");
    json_t *encoded = json_object_get(o, "data_base64");
    if (text != NULL && encoded != NULL) {
        return false;
    }
    if (encoded != NULL) {
        return json_is_string(encoded) && decode_base64(p, json_string_value(encoded), out);
    }
    if (text == NULL) {
        return true;
    }
    out->data = (uint8_t *)(uintptr_t)json_string_value(text);
    out->len = json_string_length(text);
    return json_is_string(text);
}

static bool known_fields(json_t *o, const char *const *names)
{
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value)
    {
        size_t i = 0;
        while (names[i] != NULL && strcmp(names[i], key) != 0) {
            i++;
        }
        if (names[i] == NULL) {
            return false;
        }
    }
    return true;
}

/* ---- guards ----------------------------------------------------------------------------------- */

static bool parse_relation(json_t *o, Coord__V1__Guard__Relation *out)
{
    static const char *const names[] = {"=", "!=", "<", ">"};
    const char *text = json_string_value(json_object_get(o, "is"));
    *out = COORD__V1__GUARD__RELATION__EQUAL;
    if (json_object_get(o, "is") == NULL) {
        return true;
    }
    for (size_t i = 0; text != NULL && i < 4; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (Coord__V1__Guard__Relation)i;
            return true;
        }
    }
    return false;
}

static bool parse_target(json_t *o, Coord__V1__Guard *g)
{
    size_t targets = 0;
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value)
    {
        json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
        if (strcmp(key, "exists") == 0 && json_is_boolean(value)) {
            g->target_case = COORD__V1__GUARD__TARGET_EXISTS;
            g->exists = json_is_true(value);
        } else if (strcmp(key, "version") == 0 && number >= 0) {
            g->target_case = COORD__V1__GUARD__TARGET_VERSION;
            g->version = (uint32_t)number;
        } else if (strcmp(key, "children_version") == 0 && number >= 0) {
            g->target_case = COORD__V1__GUARD__TARGET_CHILDREN_VERSION;
            g->children_version = (uint64_t)number;
        } else if (strcmp(key, "create_revision") == 0 && number >= 0) {
            g->target_case = COORD__V1__GUARD__TARGET_CREATE_REVISION;
            g->create_revision = (uint64_t)number;
        } else if (strcmp(key, "modify_revision") == 0 && number >= 0) {
            g->target_case = COORD__V1__GUARD__TARGET_MODIFY_REVISION;
            g->modify_revision = (uint64_t)number;
        } else if (strcmp(key, "value") == 0 && json_is_string(value)) {
            g->target_case = COORD__V1__GUARD__TARGET_VALUE;
            g->value.data = (uint8_t *)(uintptr_t)json_string_value(value);
            g->value.len = json_string_length(value);
        } else if (strcmp(key, "path") != 0 && strcmp(key, "is") != 0) {
            return false;
        } else {
            continue;
        }
        targets++;
    }
    return targets == 1;
}

static bool parse_guard(struct parser *p, json_t *o, size_t number, Coord__V1__Guard *g)
{
    coord__v1__guard__init(g);
    const char *path = json_string_value(json_object_get(o, "path"));
    if (path == NULL) {
        return wrong(p, "if", number, "\"path\" is missing");
    }
    g->path = ctl_text(path);
    if (!parse_relation(o, &g->relation)) {
        return wrong(p, "if", number, "\"is\" must be \"=\", \"!=\", \"<\" or \">\"");
    }
    if (!parse_target(o, g)) {
        return wrong(p, "if", number,
                     "needs exactly one of exists, version, children_version, create_revision, "
                     "modify_revision, value, and of the right type");
    }
    return true;
}

/* ---- operations ------------------------------------------------------------------------------- */

static bool parse_expect(struct parser *p, json_t *o, Coord__V1__Expect **out)
{
    json_t *version = json_object_get(o, "version");
    if (version == NULL) {
        return true;
    }
    *out = zeroed(p, sizeof **out);
    coord__v1__expect__init(*out);
    (*out)->version = (uint32_t)json_integer_value(version);
    return json_is_integer(version) && json_integer_value(version) >= 0 &&
           json_integer_value(version) < UINT32_MAX;
}

static bool flag(json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name));
}

static bool parse_create(struct parser *p, json_t *o, const char *path, Coord__V1__Operation *op)
{
    static const char *const fields[] = {"create",     "data",    "data_base64",
                                         "sequential", "parents", NULL};
    Coord__V1__CreateOp *c = zeroed(p, sizeof *c);
    coord__v1__create_op__init(c);
    c->path = ctl_text(path);
    c->sequential = flag(o, "sequential");
    c->make_parents = flag(o, "parents");
    op->op_case = COORD__V1__OPERATION__OP_CREATE;
    op->create = c;
    return known_fields(o, fields) && parse_data(p, o, &c->data);
}

static bool parse_set(struct parser *p, json_t *o, const char *path, Coord__V1__Operation *op)
{
    static const char *const fields[] = {"set", "data", "data_base64", "version", NULL};
    Coord__V1__SetOp *s = zeroed(p, sizeof *s);
    coord__v1__set_op__init(s);
    s->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_SET;
    op->set = s;
    return known_fields(o, fields) && parse_data(p, o, &s->data) && parse_expect(p, o, &s->expect);
}

static bool parse_delete(struct parser *p, json_t *o, const char *path, Coord__V1__Operation *op)
{
    static const char *const fields[] = {"delete", "version", "recursive", "limit", NULL};
    Coord__V1__DeleteOp *d = zeroed(p, sizeof *d);
    coord__v1__delete_op__init(d);
    d->path = ctl_text(path);
    d->recursive = flag(o, "recursive");
    d->limit = (uint32_t)json_integer_value(json_object_get(o, "limit"));
    op->op_case = COORD__V1__OPERATION__OP_DELETE;
    op->delete_ = d;
    return known_fields(o, fields) && parse_expect(p, o, &d->expect);
}

static bool parse_check(struct parser *p, json_t *o, const char *path, Coord__V1__Operation *op)
{
    static const char *const fields[] = {"check", "version", NULL};
    Coord__V1__CheckOp *c = zeroed(p, sizeof *c);
    coord__v1__check_op__init(c);
    c->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_CHECK;
    op->check = c;
    return known_fields(o, fields) && parse_expect(p, o, &c->expect);
}

static bool parse_get(struct parser *p, json_t *o, const char *path, Coord__V1__Operation *op)
{
    static const char *const fields[] = {"get", NULL};
    Coord__V1__GetOp *g = zeroed(p, sizeof *g);
    coord__v1__get_op__init(g);
    g->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_GET;
    op->get = g;
    return known_fields(o, fields);
}

static bool parse_list(struct parser *p, json_t *o, const char *path, Coord__V1__Operation *op)
{
    static const char *const fields[] = {"list", NULL};
    Coord__V1__ListOp *l = zeroed(p, sizeof *l);
    coord__v1__list_op__init(l);
    l->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_LIST;
    op->list = l;
    return known_fields(o, fields);
}

static bool parse_operation(struct parser *p, const char *where, json_t *o, size_t number,
                            Coord__V1__Operation *op)
{
    static const struct {
        const char *name;
        bool (*parse)(struct parser *p, json_t *o, const char *path, Coord__V1__Operation *op);
    } kinds[] = {{"create", parse_create}, {"set", parse_set}, {"delete", parse_delete},
                 {"check", parse_check},   {"get", parse_get}, {"list", parse_list}};
    coord__v1__operation__init(op);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *path = json_string_value(json_object_get(o, kinds[i].name));
        if (path != NULL) {
            return kinds[i].parse(p, o, path, op) ||
                   wrong(p, where, number, "has an unknown field or one of the wrong type");
        }
    }
    return wrong(p, where, number, "is none of create, set, delete, check, get, list with a path");
}

static bool parse_operations(struct parser *p, const char *where, json_t *array,
                             Coord__V1__Operation ***out, size_t *count)
{
    *count = json_array_size(array);
    if (array != NULL && !json_is_array(array)) {
        return wrong(p, where, 0, "must be an array");
    }
    *out = zeroed(p, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) {
        (*out)[i] = zeroed(p, sizeof ***out);
        if (!parse_operation(p, where, json_array_get(array, i), i, (*out)[i])) {
            return false;
        }
    }
    return true;
}

static bool parse_txn(struct parser *p, json_t *root, Coord__V1__TxnRequest *request)
{
    static const char *const fields[] = {"if", "then", "else", NULL};
    json_t *guards = json_object_get(root, "if");
    if (!json_is_object(root) || !known_fields(root, fields) ||
        (guards != NULL && !json_is_array(guards))) {
        snprintf(p->error, sizeof p->error, "must be an object of \"if\", \"then\", \"else\"");
        return false;
    }
    request->n_guards = json_array_size(guards);
    request->guards = zeroed(p, (request->n_guards + 1) * sizeof *request->guards);
    for (size_t i = 0; i < request->n_guards; i++) {
        request->guards[i] = zeroed(p, sizeof *request->guards[i]);
        if (!parse_guard(p, json_array_get(guards, i), i, request->guards[i])) {
            return false;
        }
    }
    return parse_operations(p, "then", json_object_get(root, "then"), &request->then_ops,
                            &request->n_then_ops) &&
           parse_operations(p, "else", json_object_get(root, "else"), &request->else_ops,
                            &request->n_else_ops);
}

/* ---- the answer ------------------------------------------------------------------------------- */

static const char *outcome_name(Coord__V1__Outcome outcome)
{
    const ProtobufCEnumValue *v =
        protobuf_c_enum_descriptor_get_value(&coord__v1__outcome__descriptor, (int)outcome);
    return v != NULL ? v->name : "UNKNOWN";
}

static json_t *result_json(const Coord__V1__OperationResult *r)
{
    json_t *o = json_pack("{s:s}", "outcome", outcome_name(r->outcome));
    if (r->path[0] != '\0') {
        json_object_set_new(o, "path", json_string(r->path));
    }
    if (r->data.len > 0) {
        json_object_set_new(o, "data", ctl_json_bytes(r->data.data, r->data.len));
    }
    if (r->stat != NULL) {
        json_object_set_new(o, "stat", ctl_json_stat(r->stat));
    }
    if (r->count > 0) {
        json_object_set_new(o, "count", json_integer((json_int_t)r->count));
    }
    if (r->n_children > 0) {
        json_t *names = json_array();
        for (size_t i = 0; i < r->n_children; i++) {
            json_array_append_new(names, json_string(r->children[i]));
        }
        json_object_set_new(o, "children", names);
    }
    return o;
}

static int exit_code_of(const Coord__V1__TxnReply *reply)
{
    switch (reply->outcome) {
    case COORD__V1__OUTCOME__OK: return EXIT_DONE;
    case COORD__V1__OUTCOME__NO_NODE:
    case COORD__V1__OUTCOME__NO_PARENT: return EXIT_NOT_FOUND;
    case COORD__V1__OUTCOME__BAD_VERSION: return EXIT_VERSION;
    case COORD__V1__OUTCOME__NODE_EXISTS: return EXIT_EXISTS;
    default: return EXIT_GENERAL;
    }
}

static void print_reply(const struct ctl *ctl, const Coord__V1__TxnReply *reply)
{
    const char *branch = reply->took_then ? "then" : "else";
    if (ctl->output == OUTPUT_JSON) {
        json_t *results = json_array();
        for (size_t i = 0; i < reply->n_results; i++) {
            json_array_append_new(results, result_json(reply->results[i]));
        }
        json_t *o = json_pack("{s:s, s:s, s:I, s:o}", "outcome", outcome_name(reply->outcome),
                              "branch", branch, "revision",
                              (json_int_t)reply->header->revision, "results", results);
        if (reply->outcome != COORD__V1__OUTCOME__OK) {
            json_object_set_new(o, "failed_op", json_integer(reply->failed_op));
        }
        ctl_print_json(o);
        return;
    }
    printf("%s: %s\n", branch, outcome_name(reply->outcome));
    for (size_t i = 0; i < reply->n_results; i++) {
        const Coord__V1__OperationResult *r = reply->results[i];
        printf("  %zu %s%s%s", i + 1, outcome_name(r->outcome), r->path[0] != '\0' ? " " : "",
               r->path);
        if (r->data.len > 0) {
            printf(" %.*s", (int)r->data.len, (const char *)r->data.data);
        }
        for (size_t j = 0; j < r->n_children; j++) {
            printf(" %s", r->children[j]);
        }
        putchar('\n');
    }
}

static int run(struct ctl *ctl, Coord__V1__TxnRequest *request)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    request->header = &header;
    struct coord_error error;
    ProtobufCMessage *m;
    if (client_call(ctl->client, &txn_method, &request->base, &header, &m, &error) != COORD_OK) {
        return ctl_failed(ctl, "txn", &error);
    }
    const Coord__V1__TxnReply *reply = (const Coord__V1__TxnReply *)m;
    print_reply(ctl, reply);
    int exit_code = exit_code_of(reply);
    client_reply_free(m);
    return exit_code;
}

int ctl_txn(struct ctl *ctl)
{
    if (ctl->file == NULL) {
        return ctl_usage(ctl, "txn needs -f FILE (- = standard input)");
    }
    json_error_t where;
    json_t *root = strcmp(ctl->file, "-") == 0
                       ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &where)
                       : json_load_file(ctl->file, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL) {
        return ctl_usage(ctl, "%s: line %d column %d: %s", ctl->file, where.line, where.column,
                         where.text);
    }
    struct parser p = {.error = ""};
    Coord__V1__TxnRequest request = COORD__V1__TXN_REQUEST__INIT;
    int exit_code = parse_txn(&p, root, &request)
                        ? run(ctl, &request)
                        : ctl_usage(ctl, "%s: %s", ctl->file, p.error);
    arena_close(&p.arena);
    json_decref(root);
    return exit_code;
}
