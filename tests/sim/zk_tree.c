#include "tests/sim/zk_tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "store/types.h"

#define TOUCHED_MAX ((size_t)2 * ZK_OPS_MAX)

static void *grow(void *array, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? mem_resize(array, (count == 0 ? 1 : 2 * count) * size)
                                      : array;
}

/* ---- paths ------------------------------------------------------------------------------- */

static struct zk_path *path_find(const struct zk_tree *t, struct slice path)
{
    uintptr_t at = (uintptr_t)id_map_get(&t->by_hash, hash_bytes(0, path.data, path.size) | 1);
    return at == 0 ? NULL : &t->paths[at - 1];
}

static struct slice parent_of(struct slice path)
{
    size_t at = path.size;
    while (at > 0 && path.data[at - 1] != '/') {
        at--;
    }
    return slice_make(path.data, at > 1 ? at - 1 : at);
}

static size_t path_get(struct zk_tree *t, struct slice path)
{
    struct zk_path *p = path_find(t, path);
    if (p != NULL) {
        return (size_t)(p - t->paths);
    }
    size_t parent = path.size > 1 ? path_get(t, parent_of(path)) : t->count;
    t->paths = grow(t->paths, t->count, sizeof *t->paths);
    t->paths[t->count] = (struct zk_path){.path = path, .parent = parent};
    id_map_set(&t->by_hash, hash_bytes(0, path.data, path.size) | 1,
               (void *)(uintptr_t)(t->count + 1));
    return t->count++;
}

static struct zk_state state_at(const struct zk_path *p, uint64_t revision)
{
    size_t low = 0;
    size_t high = p == NULL ? 0 : p->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (p->states[middle].revision <= revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? (struct zk_state){0} : p->states[low - 1];
}

/* The state of a path to be changed by a change of this revision. */
static struct zk_state *state_new(struct zk_tree *t, size_t place, uint64_t revision)
{
    struct zk_path *p = &t->paths[place];
    if (p->count > 0 && p->states[p->count - 1].revision == revision) {
        return &p->states[p->count - 1];
    }
    struct zk_state now = state_at(p, revision);
    p->states = grow(p->states, p->count, sizeof *p->states);
    p->states[p->count] = now;
    p->states[p->count].revision = revision;
    return &p->states[p->count++];
}

static void take(struct zk_tree *t, const struct oracle_change *c)
{
    size_t place = path_get(t, c->path);
    size_t parent = t->paths[place].parent;
    struct zk_state *s = state_new(t, place, c->revision);
    if (c->type == CHANGE_SET) {
        s->version++;
        s->mzxid = c->revision;
        s->data = c->data;
        return;
    }
    *s = (struct zk_state){.revision = c->revision, .exists = c->type == CHANGE_CREATE};
    if (s->exists) {
        s->kind = c->kind;
        s->czxid = s->mzxid = s->pzxid = c->revision;
        s->owner = c->kind == NODE_EPHEMERAL ? c->lease : 0;
        s->data = c->data;
    }
    bool created = s->exists;
    if (parent != place) {
        struct zk_state *up = state_new(t, parent, c->revision);
        up->pzxid = c->revision;
        up->creates += created;
        up->children = created ? up->children + 1 : up->children - 1;
    }
}

void zk_tree_init(struct zk_tree *t, const struct oracle *o)
{
    *t = (struct zk_tree){.oracle = o};
}

void zk_tree_close(struct zk_tree *t)
{
    for (size_t i = 0; i < t->count; i++) {
        mem_free(t->paths[i].states);
    }
    mem_free(t->paths);
    id_map_close(&t->by_hash);
}

void zk_tree_follow(struct zk_tree *t)
{
    for (; t->taken < t->oracle->change_count; t->taken++) {
        const struct oracle_change *c = &t->oracle->changes[t->taken];
        if (c->space == SPACE_NODES && c->type <= CHANGE_DELETE) {
            take(t, c);
        }
    }
}

/* ---- looking ----------------------------------------------------------------------------- */

struct zk_state zk_tree_at(const struct zk_tree *t, const char *path, uint64_t revision)
{
    return state_at(path_find(t, slice_str(path)), revision);
}

/* The array is given to whoever asks, so the tree of the comparison is that of the elements. */
struct named {
    struct slice path;
    size_t place;
};

static int name_order(const void *a, const void *b)
{
    return slice_compare(((const struct named *)a)->path, ((const struct named *)b)->path);
}

size_t *zk_tree_children(const struct zk_tree *t, const char *path, uint64_t revision,
                         size_t *count)
{
    const struct zk_path *parent = path_find(t, slice_str(path));
    struct named *found = NULL;
    *count = 0;
    for (size_t i = 0; parent != NULL && i < t->count; i++) {
        if (&t->paths[t->paths[i].parent] == parent && &t->paths[i] != parent &&
            state_at(&t->paths[i], revision).exists) {
            found = grow(found, *count, sizeof *found);
            found[(*count)++] = (struct named){.path = t->paths[i].path, .place = i};
        }
    }
    size_t *places = *count == 0 ? NULL : mem_alloc(*count * sizeof *places);
    if (*count > 0) {
        qsort(found, *count, sizeof *found, name_order);
    }
    for (size_t i = 0; i < *count; i++) {
        places[i] = found[i].place;
    }
    mem_free(found);
    return places;
}

uint32_t zk_tree_descendants(const struct zk_tree *t, const char *path, uint64_t revision)
{
    size_t size = strlen(path);
    uint32_t count = 0;
    for (size_t i = 0; i < t->count; i++) {
        struct slice p = t->paths[i].path;
        count += p.size > size && p.data[size] == '/' && memcmp(p.data, path, size) == 0 &&
                 state_at(&t->paths[i], revision).exists;
    }
    return count;
}

/* ---- operations -------------------------------------------------------------------------- */

bool zk_op_is_create(const struct zk_op *op)
{
    return op->type == ZK_CREATE || op->type == ZK_CREATE2 || op->type == ZK_CREATE_CONTAINER ||
           op->type == ZK_CREATE_TTL;
}

bool zk_op_is_sequential(const struct zk_op *op)
{
    return zk_op_is_create(op) &&
           (op->flags == ZK_FLAG_SEQUENTIAL || op->flags == ZK_FLAG_EPHEMERAL_SEQUENTIAL ||
            op->flags == ZK_FLAG_TTL_SEQUENTIAL);
}

bool zk_op_changes(const struct zk_op *op)
{
    return zk_op_is_create(op) || op->type == ZK_SET_DATA || op->type == ZK_DELETE;
}

size_t zk_op_data(const struct zk_op *op, char text[32])
{
    return (size_t)snprintf(text, 32, "z%" PRIu64, op->value);
}

static uint8_t kind_of(const struct zk_op *op)
{
    switch (op->flags) {
    case ZK_FLAG_EPHEMERAL:
    case ZK_FLAG_EPHEMERAL_SEQUENTIAL: return NODE_EPHEMERAL;
    case ZK_FLAG_CONTAINER: return NODE_CONTAINER;
    case ZK_FLAG_TTL:
    case ZK_FLAG_TTL_SEQUENTIAL: return NODE_TTL;
    default: return NODE_PERSISTENT;
    }
}

/* What the operations of one request have changed so far. */
struct
try {
    const struct zk_tree *tree;
    uint64_t revision;
    uint64_t session;
    size_t count;
    struct {
        char path[ZK_PATH_BYTES + 12];
        struct zk_state state;
    } touched[TOUCHED_MAX];
};

static struct zk_state *try_get(struct try *x, const char *path)
{
    size_t at = 0;
    while (at < x->count && strcmp(x->touched[at].path, path) != 0) {
        at++;
    }
    if (at == x->count) {
        x->count++;
        (void)snprintf(x->touched[at].path, sizeof x->touched[at].path, "%s", path);
        x->touched[at].state = zk_tree_at(x->tree, path, x->revision);
    }
    return &x->touched[at].state;
}

static struct zk_state *try_parent(struct try *x, const char *path)
{
    char parent[ZK_PATH_BYTES];
    struct slice up = parent_of(slice_str(path));
    (void)snprintf(parent, sizeof parent, "%.*s", (int)up.size, (const char *)up.data);
    return try_get(x, parent);
}

static enum zk_error try_create(struct try *x, const struct zk_op *op, struct zk_result *result)
{
    struct zk_state *parent = try_parent(x, op->path);
    char text[32];
    if (!parent->exists) {
        return ZK_NO_NODE;
    }
    (void)snprintf(result->path, sizeof result->path, "%s", op->path);
    if (zk_op_is_sequential(op)) {
        (void)snprintf(result->path, sizeof result->path, "%s%010" PRIu64, op->path,
                       parent->creates);
    }
    struct zk_state *s = try_get(x, result->path);
    if (s->exists) {
        return ZK_NODE_EXISTS;
    }
    if (parent->kind == NODE_EPHEMERAL) {
        return ZK_NO_CHILDREN_FOR_EPHEMERALS;
    }
    uint64_t now = x->revision + 1;
    *s = (struct zk_state){
        .exists = true, .kind = kind_of(op), .czxid = now, .mzxid = now, .pzxid = now};
    s->owner = s->kind == NODE_EPHEMERAL ? x->session : 0;
    s->data = oracle_value_of(slice_make(text, zk_op_data(op, text)));
    parent->children++;
    parent->creates++;
    parent->pzxid = now;
    result->state = *s;
    return ZK_OK;
}

static enum zk_error try_other(struct try *x, const struct zk_op *op, struct zk_result *result)
{
    struct zk_state *s = try_get(x, op->path);
    char text[32];
    if (!s->exists) {
        return ZK_NO_NODE;
    }
    if (op->version != -1 && (uint32_t)op->version != s->version) {
        return ZK_BAD_VERSION;
    }
    if (op->type == ZK_DELETE) {
        if (s->children > 0) {
            return ZK_NOT_EMPTY;
        }
        struct zk_state *parent = try_parent(x, op->path);
        *s = (struct zk_state){0};
        parent->children--;
        parent->pzxid = x->revision + 1;
    } else if (op->type == ZK_SET_DATA) {
        s->version++;
        s->mzxid = x->revision + 1;
        s->data = oracle_value_of(slice_make(text, zk_op_data(op, text)));
    }
    result->state = *s;
    return ZK_OK;
}

enum zk_error zk_tree_try(const struct zk_tree *t, uint64_t revision, uint64_t session,
                          const struct zk_op *ops, size_t count, struct zk_result *results,
                          size_t *failed)
{
    struct try x = {.tree = t, .revision = revision, .session = session};
    for (size_t i = 0; i < count; i++) {
        enum zk_error error = zk_op_is_create(&ops[i]) ? try_create(&x, &ops[i], &results[i])
                                                       : try_other(&x, &ops[i], &results[i]);
        if (error != ZK_OK) {
            *failed = i;
            return error;
        }
    }
    return ZK_OK;
}

static bool op_made(const struct zk_op *op, const struct oracle_change *c)
{
    size_t size = strlen(op->path);
    char text[32];
    int type = zk_op_is_create(op)       ? CHANGE_CREATE
               : op->type == ZK_SET_DATA ? CHANGE_SET
                                         : CHANGE_DELETE;
    if (c->type != type || c->path.size != size + (zk_op_is_sequential(op) ? 10 : 0) ||
        memcmp(c->path.data, op->path, size) != 0) {
        return false;
    }
    return type == CHANGE_DELETE ||
           oracle_value_is(&c->data, slice_make(text, zk_op_data(op, text)));
}

bool zk_ops_made(const struct zk_op *ops, size_t count, const struct oracle_change *changes,
                 size_t change_count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (!zk_op_changes(&ops[i])) {
            continue;
        }
        if (at == change_count || !op_made(&ops[i], &changes[at])) {
            return false;
        }
        at++;
    }
    return at > 0 && at == change_count;
}
