#include "cmd/coordctl/txn_parse.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/values.h"

/* ---- fields ----------------------------------------------------------------------------- */

/* One object of the JSON while its fields are taken: what nobody has taken is unknown. */
struct fields {
    struct txn_parse *p;
    json_t *object;
    size_t taken;
    const char *names[16]; /* more than any object may have */
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct txn_parse *p, const char *format,
                                                        ...)
{
    va_list args;
    int size = snprintf(p->error, sizeof p->error, "%s: ", p->where);
    va_start(args, format);
    vsnprintf(p->error + size, sizeof p->error - (size_t)size, format, args);
    va_end(args);
    return false;
}

static void *zeroed(struct txn_parse *p, size_t bytes)
{
    void *memory = arena_alloc(&p->arena, bytes);
    memset(memory, 0, bytes);
    return memory;
}

/* The field's value, or NULL if it is not there. */
static json_t *field_take(struct fields *f, const char *name)
{
    json_t *value = json_object_get(f->object, name);
    if (value != NULL) {
        f->names[f->taken++] = name;
    }
    return value;
}

static bool take_flag(struct fields *f, const char *name, protobuf_c_boolean *out)
{
    const json_t *value = field_take(f, name);
    *out = json_is_true(value);
    return value == NULL || json_is_boolean(value) ||
           wrong(f->p, "\"%s\" must be true or false", name);
}

static bool take_number(struct fields *f, const char *name, uint64_t max, uint64_t *out,
                        bool *is_there)
{
    const json_t *value = field_take(f, name);
    *is_there = value != NULL;
    *out = 0;
    if (value == NULL) {
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        return wrong(f->p, "\"%s\" must be a whole number from 0 to %llu", name,
                     (unsigned long long)max);
    }
    *out = (uint64_t)json_integer_value(value);
    return true;
}

/* Bytes, as text or in base64; never both. */
static bool take_bytes(struct fields *f, const char *name, const char *base64_name,
                       ProtobufCBinaryData *out, bool *is_there)
{
    json_t *text = field_take(f, name);
    json_t *encoded = field_take(f, base64_name);
    *is_there = text != NULL || encoded != NULL;
    if (text != NULL && encoded != NULL) {
        return wrong(f->p, "\"%s\" and \"%s\" exclude each other", name, base64_name);
    }
    if (text != NULL && !json_is_string(text)) {
        return wrong(f->p, "\"%s\" must be a string", name);
    }
    if (text != NULL) {
        out->data = (uint8_t *)(uintptr_t)json_string_value(text);
        out->len = json_string_length(text);
        return true;
    }
    if (encoded == NULL) {
        return true;
    }
    struct buf bytes = {0};
    bool ok = json_is_string(encoded) &&
              base64_decode(
                  &bytes, slice_make(json_string_value(encoded), json_string_length(encoded)));
    if (ok) {
        out->len = bytes.size;
        out->data = zeroed(f->p, bytes.size + 1);
        if (bytes.size > 0) {
            memcpy(out->data, bytes.data, bytes.size);
        }
    }
    buf_close(&bytes);
    return ok || wrong(f->p, "\"%s\" must be a string in base64", base64_name);
}

static bool take_data(struct fields *f, ProtobufCBinaryData *out)
{
    bool is_there;
    return take_bytes(f, "data", "data_base64", out, &is_there);
}

static bool take_expect(struct fields *f, Coord__V1__Expect **out)
{
    uint64_t number;
    bool is_there;
    if (!take_number(f, "version", UINT32_MAX - 1, &number, &is_there)) {
        return false;
    }
    if (is_there) {
        *out = zeroed(f->p, sizeof **out);
        coord__v1__expect__init(*out);
        (*out)->version = (uint32_t)number;
    }
    return true;
}

static bool take_no_more(struct fields *f)
{
    const char *key;
    json_t *value;
    json_object_foreach(f->object, key, value)
    {
        size_t i = 0;
        while (i < f->taken && strcmp(f->names[i], key) != 0) {
            i++;
        }
        if (i == f->taken) {
            return wrong(f->p, "unknown field \"%s\"", key);
        }
    }
    return true;
}

/* ---- guards ----------------------------------------------------------------------------- */

static bool take_relation(struct fields *f, Coord__V1__Guard__Relation *out)
{
    static const char *const names[] = {"=", "!=", "<", ">"};
    const json_t *value = field_take(f, "is");
    const char *text = json_string_value(value);
    *out = COORD__V1__GUARD__RELATION__EQUAL;
    for (size_t i = 0; text != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (Coord__V1__Guard__Relation)i;
            return true;
        }
    }
    return value == NULL || wrong(f->p, "\"is\" must be \"=\", \"!=\", \"<\" or \">\"");
}

/* Takes "version", "children_version", "create_revision", "modify_revision", "grant": all at
 * once, as which of them are there is for the caller to count. */
static bool take_numbers(struct fields *f, Coord__V1__Guard *g, size_t *targets)
{
    static const struct {
        const char *name;
        Coord__V1__Guard__TargetCase target;
        uint64_t max;
    } rows[] = {
        {"version", COORD__V1__GUARD__TARGET_VERSION, UINT32_MAX - 1},
        {"children_version", COORD__V1__GUARD__TARGET_CHILDREN_VERSION, INT64_MAX},
        {"create_revision", COORD__V1__GUARD__TARGET_CREATE_REVISION, INT64_MAX},
        {"modify_revision", COORD__V1__GUARD__TARGET_MODIFY_REVISION, INT64_MAX},
        {"grant", COORD__V1__GUARD__TARGET_GRANT, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t number;
        bool is_there;
        if (!take_number(f, rows[i].name, rows[i].max, &number, &is_there)) {
            return false;
        }
        if (!is_there) {
            continue;
        }
        ++*targets;
        g->target_case = rows[i].target;
        switch (rows[i].target) {
        case COORD__V1__GUARD__TARGET_VERSION: g->version = (uint32_t)number; break;
        case COORD__V1__GUARD__TARGET_CHILDREN_VERSION: g->children_version = number; break;
        case COORD__V1__GUARD__TARGET_CREATE_REVISION: g->create_revision = number; break;
        case COORD__V1__GUARD__TARGET_GRANT: g->grant = number; break;
        default: g->modify_revision = number; break;
        }
    }
    return true;
}

static bool take_value(struct fields *f, Coord__V1__Guard *g, size_t *targets)
{
    ProtobufCBinaryData value = {0};
    bool is_there;
    if (!take_bytes(f, "value", "value_base64", &value, &is_there)) {
        return false;
    }
    if (is_there) {
        ++*targets;
        g->target_case = COORD__V1__GUARD__TARGET_VALUE;
        g->value = value;
    }
    return true;
}

static bool take_exists(struct fields *f, Coord__V1__Guard *g, size_t *targets)
{
    bool is_there = json_object_get(f->object, "exists") != NULL;
    protobuf_c_boolean exists;
    if (!take_flag(f, "exists", &exists)) {
        return false;
    }
    if (is_there) {
        ++*targets;
        g->target_case = COORD__V1__GUARD__TARGET_EXISTS;
        g->exists = exists;
    }
    return true;
}

static bool parse_guard(struct txn_parse *p, json_t *object, Coord__V1__Guard *g)
{
    struct fields f = {.p = p, .object = object};
    const char *path = json_string_value(field_take(&f, "path"));
    size_t targets = 0;
    coord__v1__guard__init(g);
    if (path == NULL) {
        return wrong(p, "needs a \"path\"");
    }
    g->path = ctl_text(path);
    if (!take_relation(&f, &g->relation) || !take_numbers(&f, g, &targets) ||
        !take_value(&f, g, &targets) || !take_exists(&f, g, &targets) || !take_no_more(&f)) {
        return false;
    }
    bool is_yes_or_no = g->target_case == COORD__V1__GUARD__TARGET_EXISTS ||
                        g->target_case == COORD__V1__GUARD__TARGET_GRANT;
    if (is_yes_or_no && json_object_get(object, "is") != NULL) {
        return wrong(p, "\"is\" says nothing about \"%s\"",
                     g->target_case == COORD__V1__GUARD__TARGET_GRANT ? "grant" : "exists");
    }
    return targets == 1 ||
           wrong(p, "needs exactly one of exists, version, children_version, create_revision, "
                    "modify_revision, grant, value, value_base64");
}

/* ---- operations ------------------------------------------------------------------------- */

/* "kind", and to each kind what belongs to it. */
static bool take_kind(struct fields *f, Coord__V1__CreateOp *c)
{
    const json_t *kind = field_take(f, "kind");
    const json_t *lease = field_take(f, "lease");
    const json_t *ttl = field_take(f, "ttl");
    const char *name = kind != NULL ? json_string_value(kind) : ctl_kind_name(0);
    int number = 0;
    while (name != NULL && number < 4 && strcmp(ctl_kind_name(number), name) != 0) {
        number++;
    }
    if (name == NULL || number == 4) {
        return wrong(f->p, "\"kind\" must be persistent, ephemeral, container or ttl");
    }
    c->kind = (Coord__V1__Kind)number;
    if (lease != NULL &&
        (!json_is_string(lease) || !value_parse_id(json_string_value(lease), &c->lease))) {
        return wrong(f->p, "\"lease\" must be a lease's id: a string of hexadecimal digits");
    }
    if (ttl != NULL && (!json_is_string(ttl) ||
                        !value_parse_duration(json_string_value(ttl), DAY_MS, &c->ttl_ms))) {
        return wrong(f->p, "\"ttl\" must be a time such as \"30s\"");
    }
    if (lease != NULL && c->kind != COORD__V1__KIND__EPHEMERAL) {
        return wrong(f->p, "\"lease\" goes with \"kind\": \"ephemeral\"");
    }
    if ((ttl != NULL) != (c->kind == COORD__V1__KIND__TTL)) {
        return wrong(f->p, "\"ttl\" goes with \"kind\": \"ttl\", each needs the other");
    }
    return true;
}

static bool take_create(struct fields *f, const char *path, Coord__V1__Operation *op)
{
    Coord__V1__CreateOp *c = zeroed(f->p, sizeof *c);
    coord__v1__create_op__init(c);
    c->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_CREATE;
    op->create = c;
    return take_data(f, &c->data) && take_flag(f, "sequential", &c->sequential) &&
           take_flag(f, "parents", &c->make_parents) && take_kind(f, c);
}

static bool take_set(struct fields *f, const char *path, Coord__V1__Operation *op)
{
    Coord__V1__SetOp *s = zeroed(f->p, sizeof *s);
    coord__v1__set_op__init(s);
    s->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_SET;
    op->set = s;
    return take_data(f, &s->data) && take_expect(f, &s->expect);
}

static bool take_delete(struct fields *f, const char *path, Coord__V1__Operation *op)
{
    Coord__V1__DeleteOp *d = zeroed(f->p, sizeof *d);
    coord__v1__delete_op__init(d);
    d->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_DELETE;
    op->delete_ = d;
    uint64_t limit;
    bool is_there;
    if (!take_expect(f, &d->expect) || !take_flag(f, "recursive", &d->recursive) ||
        !take_number(f, "limit", UINT32_MAX, &limit, &is_there)) {
        return false;
    }
    d->limit = (uint32_t)limit;
    return true;
}

static bool take_check(struct fields *f, const char *path, Coord__V1__Operation *op)
{
    Coord__V1__CheckOp *c = zeroed(f->p, sizeof *c);
    coord__v1__check_op__init(c);
    c->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_CHECK;
    op->check = c;
    return take_expect(f, &c->expect);
}

static bool take_get(struct fields *f, const char *path, Coord__V1__Operation *op)
{
    Coord__V1__GetOp *g = zeroed(f->p, sizeof *g);
    coord__v1__get_op__init(g);
    g->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_GET;
    op->get = g;
    return true;
}

static bool take_list(struct fields *f, const char *path, Coord__V1__Operation *op)
{
    Coord__V1__ListOp *l = zeroed(f->p, sizeof *l);
    coord__v1__list_op__init(l);
    l->path = ctl_text(path);
    op->op_case = COORD__V1__OPERATION__OP_LIST;
    op->list = l;
    return true;
}

static bool parse_operation(struct txn_parse *p, json_t *object, Coord__V1__Operation *op)
{
    static const struct {
        const char *name;
        bool (*take)(struct fields *f, const char *path, Coord__V1__Operation *op);
    } kinds[] = {{"create", take_create}, {"set", take_set}, {"delete", take_delete},
                 {"check", take_check},   {"get", take_get}, {"list", take_list}};
    struct fields f = {.p = p, .object = object};
    coord__v1__operation__init(op);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const json_t *path = field_take(&f, kinds[i].name);
        if (json_is_string(path)) {
            return kinds[i].take(&f, json_string_value(path), op) && take_no_more(&f);
        }
        if (path != NULL) {
            return wrong(p, "\"%s\" must be a path", kinds[i].name);
        }
    }
    return wrong(p, "needs one of create, set, delete, check, get, list, with a path");
}

/* ---- the whole -------------------------------------------------------------------------- */

/* The elements of the array `name`; none if it is not there. */
static bool array_size(struct txn_parse *p, json_t *root, const char *name, size_t *count)
{
    const json_t *array = json_object_get(root, name);
    snprintf(p->where, sizeof p->where, "%s", name);
    *count = json_array_size(array);
    return array == NULL || json_is_array(array) || wrong(p, "must be an array");
}

static json_t *element(struct txn_parse *p, json_t *root, const char *name, size_t i)
{
    snprintf(p->where, sizeof p->where, "%s %zu", name, i + 1);
    return json_array_get(json_object_get(root, name), i);
}

static bool parse_operations(struct txn_parse *p, json_t *root, const char *name,
                             Coord__V1__Operation ***out, size_t *count)
{
    if (!array_size(p, root, name, count)) {
        return false;
    }
    *out = zeroed(p, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) {
        (*out)[i] = zeroed(p, sizeof ***out);
        if (!parse_operation(p, element(p, root, name, i), (*out)[i])) {
            return false;
        }
    }
    return true;
}

static bool parse_guards(struct txn_parse *p, json_t *root, Coord__V1__TxnRequest *request)
{
    if (!array_size(p, root, "if", &request->n_guards)) {
        return false;
    }
    request->guards = zeroed(p, (request->n_guards + 1) * sizeof *request->guards);
    for (size_t i = 0; i < request->n_guards; i++) {
        request->guards[i] = zeroed(p, sizeof *request->guards[i]);
        if (!parse_guard(p, element(p, root, "if", i), request->guards[i])) {
            return false;
        }
    }
    return true;
}

bool txn_parse(struct txn_parse *p, json_t *root, Coord__V1__TxnRequest *request)
{
    struct fields f = {.p = p, .object = root};
    snprintf(p->where, sizeof p->where, "transaction");
    (void)field_take(&f, "if");
    (void)field_take(&f, "then");
    (void)field_take(&f, "else");
    if (!json_is_object(root) || f.taken == 0) {
        return wrong(p, "must be an object of \"if\", \"then\", \"else\"");
    }
    return take_no_more(&f) && parse_guards(p, root, request) &&
           parse_operations(p, root, "then", &request->then_ops, &request->n_then_ops) &&
           parse_operations(p, root, "else", &request->else_ops, &request->n_else_ops);
}

void txn_parse_close(struct txn_parse *p)
{
    arena_close(&p->arena);
}
