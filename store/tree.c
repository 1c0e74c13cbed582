#include "store/tree.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/salt.h"

#define TREE_BUCKETS_MIN ((uint32_t)64)

enum { ROOT_NODES, ROOT_META, ROOT_ETCD };

static int root_number(uint8_t space)
{
    return space == SPACE_NODES ? ROOT_NODES : space == SPACE_META ? ROOT_META : ROOT_ETCD;
}

bool space_is_valid(uint8_t space)
{
    return space == SPACE_NODES || space == SPACE_META || space == SPACE_ETCD;
}

bool space_is_flat(uint8_t space)
{
    return space != SPACE_NODES;
}

uint64_t tree_hash(uint8_t space, struct slice path)
{
    return hash_bytes(space, path.data, path.size);
}

/* ---- paths -------------------------------------------------------------------------------- */

static size_t path_last_begin(struct slice path)
{
    size_t begin = path.size;
    while (begin > 0 && path.data[begin - 1] != '/') {
        begin--;
    }
    return begin;
}

struct slice path_last(uint8_t space, struct slice path)
{
    if (space_is_flat(space)) {
        return path;
    }
    size_t begin = path_last_begin(path);
    return slice_make(path.data + begin, path.size - begin);
}

struct slice path_parent(uint8_t space, struct slice path)
{
    if (space_is_flat(space) || path.size <= 1) {
        return slice_make(path.data, 0);
    }
    size_t begin = path_last_begin(path);
    return slice_make(path.data, begin > 1 ? begin - 1 : begin);
}

int path_order(struct slice a, struct slice b)
{
    size_t most = a.size < b.size ? a.size : b.size;
    for (size_t i = 0; i < most; i++) {
        if (a.data[i] != b.data[i]) {
            int left = a.data[i] == '/' ? -1 : a.data[i];
            int right = b.data[i] == '/' ? -1 : b.data[i];
            return left - right;
        }
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

/* Whether `path` is the path of the node: compares component by component, upwards. */
static bool node_has_path(const struct tree *t, const struct node *n, struct slice path)
{
    if (n->bits & NODE_HIDDEN) {
        return false;
    }
    if (space_is_flat(n->space)) {
        return slice_equal(node_name(n), path);
    }
    if (n->parent == TREE_NONE) {
        return slice_is(path, "/");
    }
    size_t left = path.size;
    while (n->parent != TREE_NONE) {
        struct slice name = node_name(n);
        if (left <= name.size || path.data[left - name.size - 1] != '/' ||
            memcmp(path.data + left - name.size, name.data, name.size) != 0) {
            return false;
        }
        left -= name.size + 1;
        n = tree_node(t, n->parent);
    }
    return left == 0;
}

size_t tree_path_bytes(const struct tree *t, uint32_t slot)
{
    const struct node *n = tree_node(t, slot);
    if (space_is_flat(n->space)) {
        return n->name_bytes;
    }
    if (n->parent == TREE_NONE) {
        return 1;
    }
    size_t bytes = 0;
    while (n->parent != TREE_NONE) {
        bytes += 1 + (size_t)n->name_bytes;
        n = tree_node(t, n->parent);
    }
    return bytes;
}

void tree_path_write(const struct tree *t, uint32_t slot, uint8_t *to)
{
    const struct node *n = tree_node(t, slot);
    uint8_t *end = to + tree_path_bytes(t, slot);
    if (space_is_flat(n->space)) {
        struct slice name = node_name(n);
        memcpy(to, name.data, name.size);
        return;
    }
    if (n->parent == TREE_NONE) {
        *to = '/';
        return;
    }
    while (n->parent != TREE_NONE) {
        struct slice name = node_name(n);
        end -= name.size;
        memcpy(end, name.data, name.size);
        *--end = '/';
        n = tree_node(t, n->parent);
    }
}

/* ---- slots -------------------------------------------------------------------------------- */

static uint32_t slot_take(struct tree *t)
{
    uint32_t slot = t->free_slots;
    if (slot != TREE_NONE) {
        t->free_slots = tree_node(t, slot)->chain;
        return slot;
    }
    slot = t->slot_end++;
    PRE(t->slot_end != 0);
    uint32_t slab = slot >> TREE_SLAB_SHIFT;
    if (slab == t->slab_count) {
        if (t->slab_count == t->slab_capacity) {
            t->slab_capacity = t->slab_capacity == 0 ? 16 : t->slab_capacity * 2;
            t->slabs = mem_resize(t->slabs, t->slab_capacity * sizeof(struct node *));
        }
        t->slabs[t->slab_count++] = mem_alloc(TREE_SLAB_NODES * sizeof(struct node));
    }
    return slot;
}

static void slot_give(struct tree *t, uint32_t slot)
{
    struct node *n = tree_node(t, slot);
    n->bits = NODE_FREE;
    n->chain = t->free_slots;
    t->free_slots = slot;
}

/* ---- hash: linear hashing (Litwin 1980) --------------------------------------------------- */

/* Clients choose names, and could choose many of one hash: the salt goes in before the path. */
static uint32_t place_of(const struct tree *t, uint8_t space, struct slice path)
{
    return (uint32_t)hash_bytes(t->salt ^ space, path.data, path.size);
}

/* With 2^k <= bucket_count < 2^(k+1): by k+1 bits of the place, or by k where that bucket is not
 * split off yet. */
static uint32_t bucket_of(const struct tree *t, uint32_t place)
{
    uint32_t mask = UINT32_MAX >> __builtin_clz(t->bucket_count);
    uint32_t bucket = place & mask;
    return bucket < t->bucket_count ? bucket : bucket & (mask >> 1);
}

static void bucket_push(struct tree *t, uint32_t slot)
{
    struct node *n = tree_node(t, slot);
    uint32_t bucket = bucket_of(t, n->place);
    n->chain = t->buckets[bucket];
    t->buckets[bucket] = slot;
}

/* Splits the next bucket, so that there are as many as nodes. */
static void buckets_grow(struct tree *t)
{
    if (t->bucket_count == t->bucket_capacity) {
        t->bucket_capacity *= 2;
        t->buckets = mem_resize(t->buckets, t->bucket_capacity * sizeof t->buckets[0]);
    }
    uint32_t fresh = t->bucket_count++;
    t->buckets[fresh] = TREE_NONE;
    uint32_t top = (uint32_t)1 << (31 - __builtin_clz(fresh));
    uint32_t source = fresh & (top - 1);
    uint32_t slot = t->buckets[source];
    t->buckets[source] = TREE_NONE;
    while (slot != TREE_NONE) {
        uint32_t next = tree_node(t, slot)->chain;
        bucket_push(t, slot);
        slot = next;
    }
}

static void hash_insert(struct tree *t, uint32_t slot)
{
    if (t->node_count >= t->bucket_count) {
        buckets_grow(t);
    }
    bucket_push(t, slot);
}

static void hash_remove(struct tree *t, uint32_t slot)
{
    struct node *n = tree_node(t, slot);
    uint32_t *link = &t->buckets[bucket_of(t, n->place)];
    while (*link != slot) {
        PRE(*link != TREE_NONE);
        link = &tree_node(t, *link)->chain;
    }
    *link = n->chain;
}

uint32_t tree_find(const struct tree *t, uint8_t space, struct slice path)
{
    uint32_t place = place_of(t, space, path);
    uint32_t slot = t->buckets[bucket_of(t, place)];
    while (slot != TREE_NONE) {
        const struct node *n = tree_node(t, slot);
        if (n->place == place && n->space == space && node_has_path(t, n, path)) {
            return slot;
        }
        slot = n->chain;
    }
    return TREE_NONE;
}

uint32_t tree_root(const struct tree *t, uint8_t space)
{
    return t->roots[root_number(space)];
}

/* ---- nodes -------------------------------------------------------------------------------- */

static void node_set_name(struct tree *t, struct node *n, struct slice name)
{
    PRE(name.size <= STORE_PATH_BYTES_MAX);
    n->name_bytes = (uint16_t)name.size;
    if (name.size <= NODE_INLINE_NAME_MAX) {
        if (name.size > 0) {
            memcpy(n->inline_name, name.data, name.size);
        }
    } else {
        n->long_name = mem_dup(name.data, name.size);
        t->bytes += name.size;
    }
}

static uint32_t hidden_root(struct tree *t, uint8_t space)
{
    uint32_t slot = slot_take(t);
    struct node *n = tree_node(t, slot);
    *n = (struct node){.space = space, .bits = NODE_HIDDEN};
    return slot;
}

void tree_init(struct tree *t)
{
    *t = (struct tree){
        .slot_end = 1,
        .bucket_count = TREE_BUCKETS_MIN,
        .bucket_capacity = TREE_BUCKETS_MIN,
        .buckets = mem_zalloc(TREE_BUCKETS_MIN * sizeof(uint32_t)),
        .salt = salt_next(),
    };
    t->roots[ROOT_META] = hidden_root(t, SPACE_META);
    t->roots[ROOT_ETCD] = hidden_root(t, SPACE_ETCD);
    *tree_node(t, TREE_NONE) = (struct node){.bits = NODE_FREE};
}

void tree_reserve(struct tree *t, uint64_t nodes)
{
    PRE(t->node_count == 0);
    nodes = nodes < TREE_RESERVE_MAX ? nodes : TREE_RESERVE_MAX;
    if (nodes > t->bucket_count) {
        mem_free(t->buckets);
        t->bucket_count = t->bucket_capacity = (uint32_t)nodes;
        t->buckets = mem_zalloc(nodes * sizeof t->buckets[0]);
    }
}

static void node_free_parts(struct tree *t, struct node *n)
{
    struct dir *dir = node_dir(n);
    if (dir != NULL) {
        children_close(&dir->children);
        mem_free(dir);
    }
    if (n->name_bytes > NODE_INLINE_NAME_MAX) {
        t->bytes -= n->name_bytes;
        mem_free(n->long_name);
    }
    t->bytes -= value_slice(n->value).size;
    value_unref(n->value);
}

void tree_close(struct tree *t)
{
    for (uint32_t slot = 1; slot < t->slot_end; slot++) {
        struct node *n = tree_node(t, slot);
        if ((n->bits & NODE_FREE) == 0) {
            node_free_parts(t, n);
        }
    }
    for (uint32_t i = 0; i < t->slab_count; i++) {
        mem_free(t->slabs[i]);
    }
    mem_free(t->slabs);
    mem_free(t->buckets);
    *t = (struct tree){0};
}

uint32_t tree_add(struct tree *t, const struct tree_key *key)
{
    uint32_t slot = slot_take(t);
    struct node *n = tree_node(t, slot);
    *n = (struct node){
        .path_hash = key->hash,
        .place = place_of(t, key->space, key->path),
        .parent = key->parent,
        .space = key->space,
        .bits = key->kind,
    };
    if (key->kind == NODE_EPHEMERAL) {
        n->lease = key->lease;
    }
    node_set_name(t, n, path_last(key->space, key->path));
    tree_relink(t, slot);
    t->bytes += NODE_COST_BYTES;
    return slot;
}

void tree_unlink(struct tree *t, uint32_t slot)
{
    struct node *n = tree_node(t, slot);
    hash_remove(t, slot);
    if (n->parent != TREE_NONE) {
        children_remove(&tree_node(t, n->parent)->dir->children, t, slot);
    } else {
        t->roots[ROOT_NODES] = TREE_NONE;
    }
    t->node_count--;
}

void tree_relink(struct tree *t, uint32_t slot)
{
    struct node *n = tree_node(t, slot);
    hash_insert(t, slot);
    if (n->parent != TREE_NONE) {
        children_insert(&tree_dir(t, n->parent)->children, t, slot);
    } else {
        PRE(t->roots[ROOT_NODES] == TREE_NONE);
        t->roots[ROOT_NODES] = slot;
    }
    t->node_count++;
}

void tree_release(struct tree *t, uint32_t slot)
{
    node_free_parts(t, tree_node(t, slot));
    t->bytes -= NODE_COST_BYTES;
    slot_give(t, slot);
}

struct dir *tree_dir(struct tree *t, uint32_t slot)
{
    struct node *n = tree_node(t, slot);
    PRE(node_kind_of(n) != NODE_EPHEMERAL);
    if (n->dir == NULL) {
        n->dir = mem_zalloc(sizeof *n->dir);
        n->dir->children_revision = n->create_revision;
    }
    return n->dir;
}

void tree_set_value(struct tree *t, uint32_t slot, struct value *v)
{
    struct node *n = tree_node(t, slot);
    t->bytes += value_slice(v).size;
    t->bytes -= value_slice(n->value).size;
    value_unref(n->value);
    n->value = v;
}

void tree_stat(const struct tree *t, uint32_t slot, struct node_stat *out)
{
    const struct node *n = tree_node(t, slot);
    const struct dir *dir = node_dir(n);
    *out = (struct node_stat){
        .create_revision = n->create_revision,
        .modify_revision = n->modify_revision,
        .children_revision = dir == NULL ? n->create_revision : dir->children_revision,
        .create_ms = n->create_ms,
        .modify_ms = n->modify_ms,
        .lease = node_kind_of(n) == NODE_EPHEMERAL ? n->lease : 0,
        .ttl_ms = dir == NULL ? 0 : dir->ttl_ms,
        .sequence_next = dir == NULL ? 0 : dir->sequence_next,
        .version = n->version,
        .acl_version = n->acl_version,
        .data_bytes = (uint32_t)value_slice(n->value).size,
        .child_count = dir == NULL ? 0 : dir->children.count,
        .acl = n->acl,
        .kind = node_kind_of(n),
    };
}

/* ---- invariants --------------------------------------------------------------------------- */

static void tree_check_children(const struct tree *t, uint32_t slot, const struct dir *dir)
{
    struct children_position p = {0, 0};
    uint32_t count = 0;
    uint32_t before = TREE_NONE;
    for (uint32_t child; (child = children_next(&dir->children, &p)) != TREE_NONE; count++) {
        POST(tree_node(t, child)->parent == slot);
        POST((tree_node(t, child)->bits & NODE_FREE) == 0);
        POST(before == TREE_NONE || slice_compare(node_name(tree_node(t, before)),
                                                  node_name(tree_node(t, child))) < 0);
        before = child;
    }
    POST(count == dir->children.count);
}

void tree_check(const struct tree *t)
{
    uint64_t nodes = 0;
    uint64_t children = 0;
    uint64_t roots = 0;
    uint64_t bytes = 0;
    uint8_t *path = mem_alloc(STORE_PATH_BYTES_MAX);
    for (uint32_t slot = 1; slot < t->slot_end; slot++) {
        const struct node *n = tree_node(t, slot);
        if (n->bits & NODE_FREE) {
            continue;
        }
        const struct dir *dir = node_dir(n);
        if (dir != NULL) {
            tree_check_children(t, slot, dir);
            children += dir->children.count;
        }
        if (n->bits & NODE_HIDDEN) {
            continue;
        }
        size_t size = tree_path_bytes(t, slot);
        POST(size <= STORE_PATH_BYTES_MAX);
        tree_path_write(t, slot, path);
        INVARIANT(17, tree_find(t, n->space, slice_make(path, size)) == slot);
        nodes++;
        roots += n->parent == TREE_NONE;
        bytes += NODE_COST_BYTES + value_slice(n->value).size +
                 (n->name_bytes > NODE_INLINE_NAME_MAX ? n->name_bytes : 0);
    }
    mem_free(path);
    POST(nodes == t->node_count);
    POST(children + roots == nodes);
    POST(bytes == t->bytes);
}
