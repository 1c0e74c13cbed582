#include "store/quota.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/tree.h"

#define HEAD_BYTES       (sizeof QUOTA_KEY_PREFIX - 1)
#define SOFT_PERCENT_MAX ((uint32_t)100)
#define QUOTA_SEED       UINT64_C(0x51) /* part of the state digest: never change it */

/* ---- keys and values ---------------------------------------------------------------------- */

bool quota_is_key(struct slice key)
{
    return key.size > HEAD_BYTES && key.data[HEAD_BYTES] == '/' &&
           memcmp(key.data, QUOTA_KEY_PREFIX, HEAD_BYTES) == 0;
}

static struct slice key_path(struct slice key)
{
    return slice_make(key.data + HEAD_BYTES, key.size - HEAD_BYTES);
}

struct slice quota_key(struct slice path, uint8_t bytes[QUOTA_KEY_BYTES_MAX])
{
    PRE(HEAD_BYTES + path.size <= QUOTA_KEY_BYTES_MAX);
    memcpy(bytes, QUOTA_KEY_PREFIX, HEAD_BYTES);
    memcpy(bytes + HEAD_BYTES, path.data, path.size);
    return slice_make(bytes, HEAD_BYTES + path.size);
}

struct slice quota_value(const struct command_quota *c, uint8_t bytes[QUOTA_VALUE_BYTES_MAX])
{
    int size =
        snprintf((char *)bytes, QUOTA_VALUE_BYTES_MAX, "%" PRIu64 " %" PRIu64 " %" PRIu32,
                 c->bytes, c->nodes, c->soft_percent);
    return slice_make(bytes, (size_t)size);
}

enum outcome quota_check(const struct command_quota *c, struct errmsg *err)
{
    if (c->soft_percent > SOFT_PERCENT_MAX) {
        (void)errmsg_set(err, RC_INVALID,
                         "soft_percent: %" PRIu32 ", from 1 to %" PRIu32
                         " is possible, or 0 for no warning",
                         c->soft_percent, SOFT_PERCENT_MAX);
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (c->soft_percent > 0 && c->bytes == 0 && c->nodes == 0) {
        (void)errmsg_set(err, RC_INVALID,
                         "soft_percent: %" PRIu32 " of what? Neither bytes nor nodes have a "
                         "bound",
                         c->soft_percent);
        return OUTCOME_BAD_ARGUMENTS;
    }
    /* With its prefix the path is a key. */
    if (c->path.size > STORE_PATH_BYTES_MAX - HEAD_BYTES) {
        (void)errmsg_set(err, RC_TOO_LARGE, "path: %zu bytes, that of a quota has at most %zu",
                         c->path.size, STORE_PATH_BYTES_MAX - HEAD_BYTES);
        return OUTCOME_TOO_LARGE;
    }
    return path_check(c->path, false, err);
}

/* Up to the next space, or the end when it is the last. */
static bool take_number(struct slice *text, bool is_last, uint64_t *out)
{
    const uint8_t *space = text->size == 0 ? NULL : memchr(text->data, ' ', text->size);
    size_t size = space == NULL ? text->size : (size_t)(space - text->data);
    struct slice number = slice_make(text->data, size);
    if ((space == NULL) != is_last) {
        return false;
    }
    size += space != NULL;
    *text = slice_make(text->data + size, text->size - size);
    return slice_number(number, out);
}

static bool value_parse(struct slice value, struct quota *q)
{
    uint64_t percent;
    if (!take_number(&value, false, &q->limit.bytes) ||
        !take_number(&value, false, &q->limit.nodes) || !take_number(&value, true, &percent) ||
        percent > SOFT_PERCENT_MAX || (q->limit.bytes | q->limit.nodes) == 0) {
        return false;
    }
    q->soft_percent = (uint32_t)percent;
    return true;
}

/* ---- which quotas a path has -------------------------------------------------------------- */

/* The first place in by_hash whose hash is not below this one. */
static uint32_t hash_seek(const struct quotas *q, uint64_t hash)
{
    uint32_t low = 0;
    uint32_t high = q->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (q->items[q->by_hash[middle]].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The quota at exactly this node. That a hash is equal does not yet mean that the path is. */
static struct quota *at_node(const struct quotas *q, const struct tree *t, uint32_t slot)
{
    uint64_t hash = tree_node(t, slot)->path_hash;
    for (uint32_t i = hash_seek(q, hash); i < q->count; i++) {
        struct quota *item = &q->items[q->by_hash[i]];
        if (item->hash != hash) {
            break;
        }
        if (tree_find(t, SPACE_NODES, item->path) == slot) {
            return item;
        }
    }
    return NULL;
}

static const struct quota *at_path(const struct quotas *q, struct slice path, uint64_t hash)
{
    for (uint32_t i = hash_seek(q, hash); i < q->count; i++) {
        const struct quota *item = &q->items[q->by_hash[i]];
        if (item->hash != hash) {
            break;
        }
        if (slice_equal(item->path, path)) {
            return item;
        }
    }
    return NULL;
}

const struct quota *quotas_find(const struct quotas *q, struct slice path)
{
    return at_path(q, path, tree_hash(SPACE_NODES, path));
}

/* ---- usage -------------------------------------------------------------------------------- */

static struct quota_amount amount_of(const struct tree *t, uint32_t slot)
{
    return (struct quota_amount){
        .bytes = tree_path_bytes(t, slot) + value_slice(tree_node(t, slot)->value).size,
        .nodes = 1,
    };
}

/* Modulo 2^64, so that the complement of an amount takes it away. */
static void charge(struct quotas *q, const struct tree *t, uint32_t slot,
                   struct quota_amount more)
{
    if (tree_node(t, slot)->space != SPACE_NODES) {
        return;
    }
    for (; slot != TREE_NONE; slot = tree_node(t, slot)->parent) {
        struct quota *item = at_node(q, t, slot);
        if (item != NULL) {
            item->used.bytes += more.bytes;
            item->used.nodes += more.nodes;
        }
    }
}

void quotas_add(struct quotas *q, const struct tree *t, uint32_t slot)
{
    charge(q, t, slot, amount_of(t, slot));
}

void quotas_remove(struct quotas *q, const struct tree *t, uint32_t slot)
{
    struct quota_amount gone = amount_of(t, slot);
    charge(q, t, slot, (struct quota_amount){.bytes = 0 - gone.bytes, .nodes = 0 - gone.nodes});
}

void quotas_resize(struct quotas *q, const struct tree *t, uint32_t slot, size_t from_bytes,
                   size_t to_bytes)
{
    uint64_t more = (uint64_t)to_bytes - (uint64_t)from_bytes;
    charge(q, t, slot, (struct quota_amount){.bytes = more});
}

/* What a subtree holds. */
static struct quota_amount subtree_amount(const struct tree *t, uint32_t top)
{
    struct quota_amount sum = {0};
    struct buf stack = {0};
    buf_append(&stack, &top, sizeof top);
    while (stack.size > 0) {
        uint32_t slot;
        stack.size -= sizeof slot;
        memcpy(&slot, stack.data + stack.size, sizeof slot);
        struct quota_amount own = amount_of(t, slot);
        sum.bytes += own.bytes;
        sum.nodes += own.nodes;
        const struct dir *dir = node_dir(tree_node(t, slot));
        struct children_position p = {0, 0};
        uint32_t child = dir == NULL ? TREE_NONE : children_next(&dir->children, &p);
        for (; child != TREE_NONE; child = children_next(&dir->children, &p)) {
            buf_append(&stack, &child, sizeof child);
        }
    }
    buf_close(&stack);
    return sum;
}

/* ---- what the keys mean ------------------------------------------------------------------- */

void quotas_close(struct quotas *q)
{
    mem_free(q->items);
    mem_free(q->by_hash);
    *q = (struct quotas){0};
}

/* A walk over the keys, in order of path. */
struct keys {
    const struct tree *tree;
    const struct dir *dir;
    struct children_position at;
};

static struct keys keys_begin(const struct tree *t)
{
    struct keys keys = {.tree = t, .dir = node_dir(tree_node(t, tree_root(t, SPACE_META)))};
    if (keys.dir != NULL) {
        keys.at =
            children_seek(&keys.dir->children, t, slice_str(QUOTA_KEY_PREFIX "/"), false);
    }
    return keys;
}

static const struct node *keys_next(struct keys *keys)
{
    uint32_t slot =
        keys->dir == NULL ? TREE_NONE : children_next(&keys->dir->children, &keys->at);
    const struct node *n = slot == TREE_NONE ? NULL : tree_node(keys->tree, slot);
    return n != NULL && quota_is_key(node_name(n)) ? n : NULL;
}

/* How many there are, and how many bytes their paths have. */
static uint32_t keys_count(const struct tree *t, size_t *path_bytes)
{
    struct keys keys = keys_begin(t);
    const struct node *n;
    uint32_t count = 0;
    *path_bytes = 0;
    while (count <= QUOTAS_MAX && (n = keys_next(&keys)) != NULL) {
        *path_bytes += key_path(node_name(n)).size;
        count++;
    }
    return count;
}

static bool item_read(struct quota *item, const struct node *n, uint8_t **copy)
{
    struct slice path = key_path(node_name(n));
    *item = (struct quota){.hash = tree_hash(SPACE_NODES, path)};
    memcpy(*copy, path.data, path.size);
    item->path = slice_make(*copy, path.size);
    *copy += path.size;
    return value_parse(value_slice(n->value), item) && path_check(path, false, NULL) == OUTCOME_OK;
}

struct hashed {
    uint64_t hash;
    uint32_t number;
};

static int hashed_order(const void *a, const void *b)
{
    const struct hashed *left = a;
    const struct hashed *right = b;
    if (left->hash != right->hash) {
        return left->hash < right->hash ? -1 : 1;
    }
    return left->number < right->number ? -1 : left->number > right->number;
}

static void index_build(struct quotas *q)
{
    struct hashed *all = mem_alloc((size_t)q->count * sizeof *all);
    q->by_hash = mem_alloc((size_t)q->count * sizeof *q->by_hash);
    for (uint32_t i = 0; i < q->count; i++) {
        all[i] = (struct hashed){.hash = q->items[i].hash, .number = i};
    }
    qsort(all, q->count, sizeof *all, hashed_order);
    for (uint32_t i = 0; i < q->count; i++) {
        q->by_hash[i] = all[i].number;
    }
    mem_free(all);
}

static struct quota_amount usage_of(const struct quotas *before, const struct tree *t,
                                    const struct quota *item)
{
    const struct quota *known = at_path(before, item->path, item->hash);
    if (known != NULL) {
        return known->used;
    }
    uint32_t slot = tree_find(t, SPACE_NODES, item->path);
    struct quota_amount none = {0};
    return slot == TREE_NONE ? none : subtree_amount(t, slot);
}

bool quotas_read(struct quotas *q, const struct tree *t)
{
    size_t path_bytes;
    uint32_t count = keys_count(t, &path_bytes);
    if (count > QUOTAS_MAX) {
        return false;
    }
    if (count == 0) {
        quotas_close(q);
        return true;
    }
    struct quotas fresh = {.items = mem_alloc(count * sizeof *fresh.items + path_bytes)};
    uint8_t *copy = (uint8_t *)(fresh.items + count);
    struct keys keys = keys_begin(t);
    const struct node *n;
    while ((n = keys_next(&keys)) != NULL) {
        struct quota *item = &fresh.items[fresh.count++];
        if (!item_read(item, n, &copy)) {
            quotas_close(&fresh);
            return false;
        }
        item->used = usage_of(q, t, item);
    }
    index_build(&fresh);
    quotas_close(q);
    *q = fresh;
    return true;
}

uint64_t quotas_sum(const struct quotas *q)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct quota *item = &q->items[i];
        sum += hash_mix(hash_mix(item->hash + QUOTA_SEED, item->used.bytes), item->used.nodes);
    }
    return sum;
}

/* ---- what fits ---------------------------------------------------------------------------- */

/* Whether a bound is kept. What does not grow is not asked. */
static bool amount_fits(uint64_t used, uint64_t more, uint64_t limit)
{
    return limit == 0 || more == 0 || (used <= limit && more <= limit - used);
}

static bool item_fits(const struct quota *item, struct quota_amount more, struct refusal *why)
{
    bool bytes_fit = amount_fits(item->used.bytes, more.bytes, item->limit.bytes);
    if (bytes_fit && amount_fits(item->used.nodes, more.nodes, item->limit.nodes)) {
        return true;
    }
    *why = (struct refusal){
        .bound = bytes_fit ? BOUND_QUOTA_NODES : BOUND_QUOTA_BYTES,
        .subject = item->path,
        .used = bytes_fit ? item->used.nodes : item->used.bytes,
        .wanted = bytes_fit ? more.nodes : more.bytes,
        .limit = bytes_fit ? item->limit.nodes : item->limit.bytes,
    };
    return false;
}

bool quotas_fit_at(const struct quotas *q, struct slice path, uint64_t hash,
                   struct quota_amount more, struct refusal *why)
{
    const struct quota *item = at_path(q, path, hash);
    return item == NULL || item_fits(item, more, why);
}

bool quotas_fit(const struct quotas *q, const struct tree *t, uint32_t slot,
                struct quota_amount more, struct refusal *why)
{
    for (; slot != TREE_NONE; slot = tree_node(t, slot)->parent) {
        const struct quota *item = at_node(q, t, slot);
        if (item != NULL && !item_fits(item, more, why)) {
            return false;
        }
    }
    return true;
}

bool quotas_fit_value(const struct quotas *q, const struct tree *t, uint32_t slot, size_t bytes,
                      struct refusal *why)
{
    size_t before = value_slice(tree_node(t, slot)->value).size;
    struct quota_amount more = {.bytes = bytes > before ? bytes - before : 0};
    return q->count == 0 || more.bytes == 0 || quotas_fit(q, t, slot, more, why);
}

/* ---- states ------------------------------------------------------------------------------- */

static enum quota_state amount_state(uint64_t used, uint64_t limit, uint32_t percent)
{
    if (limit == 0) {
        return QUOTA_FREE;
    }
    if (used >= limit) {
        return QUOTA_FULL;
    }
    /* percent of limit, without an overflow */
    uint64_t soft = limit / 100 * percent + limit % 100 * percent / 100;
    return percent > 0 && used >= soft ? QUOTA_SOFT : QUOTA_FREE;
}

enum quota_state quota_state(const struct quota *q)
{
    enum quota_state bytes = amount_state(q->used.bytes, q->limit.bytes, q->soft_percent);
    enum quota_state nodes = amount_state(q->used.nodes, q->limit.nodes, q->soft_percent);
    return bytes > nodes ? bytes : nodes;
}

/* ---- invariants --------------------------------------------------------------------------- */

static bool path_is_below(struct slice path, struct slice top)
{
    return top.size == 1 || (path.size >= top.size &&
                             slice_equal(slice_make(path.data, top.size), top) &&
                             (path.size == top.size || path.data[top.size] == '/'));
}

void quotas_check(const struct quotas *q, const struct tree *t)
{
    uint8_t *bytes = q->count == 0 ? NULL : mem_alloc(STORE_PATH_BYTES_MAX);
    for (uint32_t i = 0; i < q->count; i++) {
        struct quota_amount sum = {0};
        for (uint32_t slot = 1; slot < t->slot_end; slot++) {
            const struct node *n = tree_node(t, slot);
            if ((n->bits & (NODE_FREE | NODE_HIDDEN)) != 0 || n->space != SPACE_NODES) {
                continue;
            }
            struct slice path = slice_make(bytes, tree_path_bytes(t, slot));
            tree_path_write(t, slot, bytes);
            if (path_is_below(path, q->items[i].path)) {
                sum.bytes += path.size + value_slice(n->value).size;
                sum.nodes++;
            }
        }
        INVARIANT(26, sum.bytes == q->items[i].used.bytes && sum.nodes == q->items[i].used.nodes);
    }
    mem_free(bytes);
}
