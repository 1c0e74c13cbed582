#include "tests/support/store_model.h"

#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "store/acl.h"
#include "store/history.h"

static int record_order(const struct record *r, uint8_t space, const char *path)
{
    return r->space != space ? (r->space < space ? -1 : 1) : strcmp(r->path, path);
}

struct record *model_find(struct model *m, uint8_t space, const char *path)
{
    for (size_t i = 0; i < m->count; i++) {
        if (record_order(&m->records[i], space, path) == 0) {
            return &m->records[i];
        }
    }
    return NULL;
}

static struct record *model_insert(struct model *m, const struct record *r)
{
    size_t at = 0;
    while (at < m->count && record_order(&m->records[at], r->space, r->path) < 0) {
        at++;
    }
    if (m->count == m->capacity) {
        m->capacity = m->capacity * 2 + 16;
        m->records = mem_resize(m->records, m->capacity * sizeof *m->records);
    }
    memmove(m->records + at + 1, m->records + at, (m->count - at) * sizeof *m->records);
    m->records[at] = *r;
    m->count++;
    return &m->records[at];
}

static void model_remove(struct model *m, struct record *r)
{
    size_t at = (size_t)(r - m->records);
    m->count--;
    memmove(r, r + 1, (m->count - at) * sizeof *m->records);
}

struct model model_copy(const struct model *m)
{
    struct model copy = *m;
    copy.capacity = m->count;
    copy.records = mem_dup(m->records, m->count * sizeof *m->records);
    model_leases_copy(&copy, m);
    return copy;
}

void model_free(struct model *m)
{
    mem_free(m->records);
    model_leases_free(m);
    *m = (struct model){0};
}

void model_init(struct model *m)
{
    static const char *const paths[] = {"/", "/zookeeper", "/zookeeper/config",
                                        "/zookeeper/quota"};
    *m = (struct model){.revision = 1};
    for (size_t i = 0; i < 4; i++) {
        struct record r = {
            .space = 'Z',
            .stat = {.create_revision = 1, .modify_revision = 1, .children_revision = 1}};
        strcpy(r.path, paths[i]);
        r.stat.child_count = i == 0 ? 1 : i == 1 ? 2 : 0;
        r.list = i == 2 ? MODEL_READERS : 0;
        model_insert(m, &r);
    }
}

void model_parent_path(const char *path, char *out)
{
    strcpy(out, path);
    char *slash = strrchr(out, '/');
    slash[slash == out ? 1 : 0] = '\0';
}

static bool is_below(const char *path, const char *top)
{
    size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);
    return strncmp(path, top, n) == 0 && path[n] == '/' && path[n + 1] != '\0';
}

/* By components; the test's paths are ASCII. */
static bool path_is_valid(const char *path)
{
    if (path[0] != '/') {
        return false;
    }
    if (path[1] == '\0') {
        return true;
    }
    for (const char *p = path; *p == '/';) {
        size_t n = strcspn(++p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) {
            return false;
        }
        for (size_t i = 0; i < n; i++) {
            if (p[i] < 0x20 || p[i] == 0x7f) {
                return false;
            }
        }
        p += n;
    }
    return true;
}

void model_slice_text(struct slice s, char *out)
{
    memcpy(out, s.data == NULL ? (const void *)"" : s.data, s.size);
    out[s.size] = '\0';
}

static void expect(struct expected *e, uint8_t type, const struct record *after,
                   const struct record *before)
{
    ck_assert_uint_lt(e->count, MODEL_CHANGES_MAX);
    struct expected_change *c = &e->changes[e->count++];
    c->type = type;
    c->reason = e->reason;
    c->session = e->session;
    c->after = *after;
    c->before = before == NULL ? (struct record){.null = true} : *before;
}

static void record_set_data(struct record *r, const struct op *op)
{
    r->null = (op->flags & OP_NULL_DATA) != 0;
    r->size = op->data.size;
    memset(r->data, 0, sizeof r->data);
    if (op->data.size > 0) {
        memcpy(r->data, op->data.data, op->data.size);
    }
    r->stat.data_bytes = (uint32_t)op->data.size;
}

static struct record *model_add(struct model *m, struct expected *e, uint8_t space,
                                const char *path, const struct op *data)
{
    struct record r = {.space = space};
    uint64_t revision = m->revision + 1;
    strcpy(r.path, path);
    r.stat = (struct node_stat){.create_revision = revision,
                                .modify_revision = revision,
                                .children_revision = revision,
                                .create_ms = m->wall_ms,
                                .modify_ms = m->wall_ms};
    r.null = true;
    if (data != NULL) {
        record_set_data(&r, data);
        r.stat.kind = data->type == OP_CREATE ? data->kind : 0;
        r.stat.lease = r.stat.kind == NODE_EPHEMERAL ? data->lease : 0;
        r.list = model_list_of(data->acl);
    }
    if (space == 'Z') {
        char parent[MODEL_PATH_BYTES];
        model_parent_path(path, parent);
        struct record *p = model_find(m, 'Z', parent);
        p->stat.child_count++;
        p->stat.sequence_next++;
        p->stat.children_revision = revision;
    }
    expect(e, CHANGE_CREATE, &r, NULL);
    return model_insert(m, &r);
}

enum outcome model_create(struct model *m, struct expected *e, const struct op *op,
                          const char *given, struct record **made)
{
    char path[MODEL_PATH_BYTES];
    char parent[MODEL_PATH_BYTES];
    strcpy(path, given);
    if (op->space == 'M') {
        if (model_find(m, 'M', path) != NULL) {
            return OUTCOME_NODE_EXISTS;
        }
        *made = model_add(m, e, 'M', path, op);
        return OUTCOME_OK;
    }
    if (op->kind == NODE_EPHEMERAL && model_lease_find(m, op->lease) == NULL) {
        return OUTCOME_NO_LEASE;
    }
    if (path[0] != '/') {
        return OUTCOME_BAD_PATH;
    }
    if (model_list_of(op->acl) == MODEL_LISTS) {
        return OUTCOME_INVALID_ACL;
    }
    model_parent_path(path, parent);
    struct record *p = model_find(m, 'Z', parent);
    if (p == NULL && (op->flags & OP_MAKE_PARENTS) == 0) {
        return OUTCOME_NO_PARENT;
    }
    if (op->flags & OP_SEQUENTIAL) {
        sprintf(path + strlen(path), "%010u", p == NULL ? 0 : (unsigned)p->stat.sequence_next);
    }
    if (p == NULL && !path_is_valid(path)) {
        return OUTCOME_BAD_PATH;
    }
    struct record *above = p;
    for (; above == NULL; above = model_find(m, 'Z', parent)) {
        char deeper[MODEL_PATH_BYTES];
        strcpy(deeper, parent);
        model_parent_path(deeper, parent);
    }
    if (!model_may(m, above, ACL_CREATE)) {
        return OUTCOME_NO_AUTH;
    }
    if (!path_is_valid(path)) {
        return OUTCOME_BAD_PATH;
    }
    if (model_find(m, 'Z', path) != NULL) {
        return OUTCOME_NODE_EXISTS;
    }
    if (above->stat.kind == NODE_EPHEMERAL) {
        return OUTCOME_EPHEMERAL_PARENT;
    }
    for (size_t i = 1; path[i] != '\0'; i++) { /* ancestors, from the top */
        char ancestor[MODEL_PATH_BYTES];
        strcpy(ancestor, path);
        ancestor[i] = '\0';
        if (path[i] == '/' && model_find(m, 'Z', ancestor) == NULL) {
            model_add(m, e, 'Z', ancestor, NULL);
        }
    }
    *made = model_add(m, e, 'Z', path, op);
    return OUTCOME_OK;
}

enum outcome model_set(struct model *m, struct expected *e, const struct op *op,
                       const char *path, struct record **made)
{
    struct record *r = model_find(m, op->space, path);
    if (r == NULL && op->space == 'M' && op->version == VERSION_ANY) {
        return model_create(m, e, op, path, made);
    }
    if (r == NULL) {
        return op->space == 'Z' && !path_is_valid(path) ? OUTCOME_BAD_PATH : OUTCOME_NO_NODE;
    }
    if (!model_may(m, r, ACL_WRITE)) {
        return OUTCOME_NO_AUTH;
    }
    if (op->version != VERSION_ANY && op->version != r->stat.version) {
        return OUTCOME_BAD_VERSION;
    }
    struct record before = *r;
    record_set_data(r, op);
    r->stat.version++;
    r->stat.modify_revision = m->revision + 1;
    r->stat.modify_ms = m->wall_ms;
    expect(e, CHANGE_SET, r, &before);
    *made = r;
    return OUTCOME_OK;
}

enum outcome model_set_acl(struct model *m, struct expected *e, const struct op *op,
                           const char *path, struct record **made)
{
    uint8_t list = model_list_of(op->acl);
    if (op->space == 'M') {
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (path[0] != '/') {
        return OUTCOME_BAD_PATH;
    }
    if (op->acl.size == 0 || list == MODEL_LISTS) {
        return OUTCOME_INVALID_ACL;
    }
    struct record *r = model_find(m, 'Z', path);
    if (r == NULL) {
        return !path_is_valid(path) ? OUTCOME_BAD_PATH : OUTCOME_NO_NODE;
    }
    if (!model_may(m, r, ACL_ADMIN)) {
        return OUTCOME_NO_AUTH;
    }
    if (op->version != VERSION_ANY && op->version != r->stat.acl_version) {
        return OUTCOME_BAD_VERSION;
    }
    r->list = list;
    r->stat.acl_version++;
    expect(e, CHANGE_ACL, r, r);
    *made = r;
    return OUTCOME_OK;
}

void model_delete_record(struct model *m, struct expected *e, struct record *r)
{
    if (r->space == 'Z') {
        char parent[MODEL_PATH_BYTES];
        model_parent_path(r->path, parent);
        struct record *p = model_find(m, 'Z', parent);
        p->stat.child_count--;
        p->stat.children_revision = m->revision + 1;
    }
    expect(e, CHANGE_DELETE, r, r);
    model_remove(m, r);
}

/* Component-wise order: '/' sorts before everything else. */
int model_path_order(const char *a, const char *b)
{
    for (; *a != '\0' && *a == *b; a++, b++) {
    }
    int x = *a == '/' ? 1 : (unsigned char)*a * 2;
    int y = *b == '/' ? 1 : (unsigned char)*b * 2;
    return x - y;
}

enum outcome model_delete(struct model *m, struct expected *e, const struct op *op,
                          const char *path, uint64_t *count)
{
    if (op->space == 'Z' &&
        (strcmp(path, "/") == 0 || strcmp(path, "/zookeeper") == 0 ||
         strcmp(path, "/zookeeper/quota") == 0 || strcmp(path, "/zookeeper/config") == 0)) {
        return OUTCOME_PROTECTED;
    }
    struct record *r = model_find(m, op->space, path);
    if (op->space == 'Z' && strchr(path, '/') != NULL) {
        char parent[MODEL_PATH_BYTES];
        model_parent_path(path, parent);
        if (!model_may(m, model_find(m, 'Z', parent), ACL_DELETE)) {
            return OUTCOME_NO_AUTH;
        }
    }
    if (r == NULL) {
        return op->space == 'Z' && !path_is_valid(path) ? OUTCOME_BAD_PATH : OUTCOME_NO_NODE;
    }
    if (op->version != VERSION_ANY && op->version != r->stat.version) {
        return OUTCOME_BAD_VERSION;
    }
    bool may = true;
    *count = 1;
    for (size_t i = 0; i < m->count; i++) {
        struct record *x = &m->records[i];
        bool below = x->space == 'Z' && op->space == 'Z' && is_below(x->path, path);
        *count += below;
        if ((below || x == r) && x->stat.child_count > 0) {
            may = may && model_may(m, x, ACL_DELETE);
        }
    }
    if (*count > 1 && (op->flags & OP_RECURSIVE) == 0) {
        return OUTCOME_NOT_EMPTY;
    }
    if (*count > 1 && op->limit != 0 && *count > op->limit) {
        return OUTCOME_LIMIT;
    }
    if (!may) {
        return OUTCOME_NO_AUTH;
    }
    if (op->flags & OP_DRY_RUN) {
        return OUTCOME_OK;
    }
    for (uint64_t left = *count; left > 0; left--) { /* the first leaf in path order */
        struct record *leaf = NULL;
        for (size_t i = 0; i < m->count; i++) {
            struct record *x = &m->records[i];
            if (x->space == op->space && x->stat.child_count == 0 &&
                (strcmp(x->path, path) == 0 || (x->space == 'Z' && is_below(x->path, path))) &&
                (leaf == NULL || model_path_order(x->path, leaf->path) < 0)) {
                leaf = x;
            }
        }
        model_delete_record(m, e, leaf);
    }
    return OUTCOME_OK;
}

enum outcome model_check(struct model *m, const struct op *op, const char *path)
{
    struct record *r = model_find(m, op->space, path);
    if (r == NULL) {
        return op->space == 'Z' && !path_is_valid(path) ? OUTCOME_BAD_PATH : OUTCOME_NO_NODE;
    }
    if (!model_may(m, r, ACL_READ)) {
        return OUTCOME_NO_AUTH;
    }
    return op->version == VERSION_ANY || op->version == r->stat.version ? OUTCOME_OK
                                                                        : OUTCOME_BAD_VERSION;
}

static bool guard_holds(const struct record *r, const struct guard *g)
{
    if (g->target == GUARD_EXISTS) {
        return ((r != NULL) == (g->number == 1)) == (g->relation == GUARD_EQUAL);
    }
    if (r == NULL) {
        return g->relation == GUARD_NOT_EQUAL;
    }
    int order;
    if (g->target == GUARD_VALUE) {
        order = slice_compare(slice_make(r->data, r->size), g->value);
    } else {
        uint64_t have = g->target == GUARD_VERSION ? r->stat.version
                        : g->target == GUARD_CHILDREN_VERSION
                            ? 2 * r->stat.sequence_next - r->stat.child_count
                        : g->target == GUARD_CREATE_REVISION ? r->stat.create_revision
                                                             : r->stat.modify_revision;
        order = have < g->number ? -1 : have > g->number;
    }
    return g->relation == GUARD_EQUAL       ? order == 0
           : g->relation == GUARD_NOT_EQUAL ? order != 0
           : g->relation == GUARD_LESS      ? order < 0
                                            : order > 0;
}

enum outcome model_guard(struct model *m, const struct guard *g, bool *holds)
{
    char path[MODEL_PATH_BYTES];
    model_slice_text(g->path, path);
    const struct record *r = model_find(m, g->space, path);
    *holds = false;
    if (!model_may(m, r, ACL_READ)) {
        return OUTCOME_NO_AUTH;
    }
    *holds = guard_holds(r, g);
    return OUTCOME_OK;
}
