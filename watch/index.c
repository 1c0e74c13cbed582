#include "watch/index.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/salt.h"
#include "store/tree.h"

#define BUCKETS_MIN ((size_t)64)

struct index_entry {
    struct index_entry *chain; /* in the bucket */
    struct watch *first[LANE_COUNT];
    uint64_t hash;
};

void watch_index_init(struct watch_index *x)
{
    *x = (struct watch_index){
        .buckets = mem_zalloc(BUCKETS_MIN * sizeof(struct index_entry *)),
        .bucket_count = BUCKETS_MIN,
        .bucket_capacity = BUCKETS_MIN,
        .salt = salt_next(),
        .bytes = BUCKETS_MIN * sizeof(struct index_entry *),
    };
}

void watch_index_close(struct watch_index *x)
{
    PRE(x->entry_count == 0);
    mem_free(x->buckets);
    mem_free(x->prefixes);
    *x = (struct watch_index){0};
}

/* ---- keys -------------------------------------------------------------------------------- */

/* FNV-1a: a byte at a time, so that one walk along a path hashes all that it begins with. */
#define WALK_BEGIN UINT64_C(0xcbf29ce484222325)

static uint64_t walk(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * UINT64_C(0x100000001b3);
}

struct index_key {
    uint8_t scope;
    uint8_t space;
    struct slice path;
    uint64_t hash;
};

static struct index_key key_make(const struct watch_index *x, uint8_t scope, uint8_t space,
                                 struct slice path, uint64_t walked)
{
    return (struct index_key){
        .scope = scope,
        .space = space,
        .path = path,
        .hash = hash_mix(walked, x->salt ^ ((uint64_t)scope << 8 | space)),
    };
}

static struct index_key key_of(const struct watch_index *x, const struct watch *w)
{
    uint64_t walked = WALK_BEGIN;
    for (size_t i = 0; i < w->filter.path.size; i++) {
        walked = walk(walked, w->filter.path.data[i]);
    }
    return key_make(x, w->filter.scope, w->filter.space, w->filter.path, walked);
}

/* An entry has a watch in one lane at least, and that one knows the key. */
static bool entry_is(const struct index_entry *e, const struct index_key *key)
{
    if (e->hash != key->hash) {
        return false;
    }
    const struct watch *w = e->first[LANE_LIVE] != NULL ? e->first[LANE_LIVE]
                                                        : e->first[LANE_BEHIND];
    return w->filter.scope == key->scope && w->filter.space == key->space &&
           slice_equal(w->filter.path, key->path);
}

/* ---- the table: linear hashing ----------------------------------------------------------- */

static size_t bucket_of(const struct watch_index *x, uint64_t hash)
{
    size_t at = hash & (x->bucket_capacity - 1);
    return at < x->bucket_count ? at : at & (x->bucket_capacity / 2 - 1);
}

static struct index_entry **find(const struct watch_index *x, const struct index_key *key)
{
    struct index_entry **cell = &x->buckets[bucket_of(x, key->hash)];
    while (*cell != NULL && !entry_is(*cell, key)) {
        cell = &(*cell)->chain;
    }
    return cell;
}

/* One bucket more: it takes over what now belongs to it from the one that had it. */
static void split(struct watch_index *x)
{
    if (x->bucket_count == x->bucket_capacity) {
        x->bytes += x->bucket_capacity * sizeof(struct index_entry *);
        x->bucket_capacity *= 2;
        x->buckets = mem_resize(x->buckets, x->bucket_capacity * sizeof(struct index_entry *));
    }
    size_t added = x->bucket_count++;
    size_t from = added & (x->bucket_capacity / 2 - 1);
    struct index_entry *e = x->buckets[from];
    x->buckets[from] = NULL;
    x->buckets[added] = NULL;
    while (e != NULL) {
        struct index_entry *next = e->chain;
        struct index_entry **head = &x->buckets[bucket_of(x, e->hash)];
        e->chain = *head;
        *head = e;
        e = next;
    }
}

/* ---- watches in and out ------------------------------------------------------------------ */

static void count_prefix(struct watch_index *x, size_t length)
{
    if (x->prefixes == NULL) {
        size_t bytes = (STORE_PATH_BYTES_MAX + 1) * sizeof(uint32_t);
        x->prefixes = mem_zalloc(bytes);
        x->bytes += bytes;
    }
    x->prefixes[length]++;
    if (length > x->prefix_longest) {
        x->prefix_longest = length;
    }
}

static void uncount_prefix(struct watch_index *x, size_t length)
{
    x->prefixes[length]--;
    while (x->prefix_longest > 0 && x->prefixes[x->prefix_longest] == 0) {
        x->prefix_longest--;
    }
}

void watch_index_add(struct watch_index *x, struct watch *w, enum lane lane)
{
    PRE(w->filter.path.size <= STORE_PATH_BYTES_MAX);
    struct index_key key = key_of(x, w);
    struct index_entry *e = *find(x, &key);
    if (e == NULL) {
        if (x->entry_count == x->bucket_count) {
            split(x);
        }
        struct index_entry **head = &x->buckets[bucket_of(x, key.hash)];
        e = mem_zalloc(sizeof *e);
        e->hash = key.hash;
        e->chain = *head;
        *head = e;
        x->entry_count++;
        x->bytes += sizeof *e;
    }
    w->next = e->first[lane];
    w->pprev = &e->first[lane];
    if (w->next != NULL) {
        w->next->pprev = &w->next;
    }
    e->first[lane] = w;
    x->scopes[lane][w->filter.scope]++;
    if (w->filter.scope == WATCH_PREFIX) {
        count_prefix(x, w->filter.path.size);
    }
}

void watch_index_remove(struct watch_index *x, struct watch *w, enum lane lane)
{
    PRE(w->pprev != NULL);
    /* Alone in its chain: perhaps the last one of the entry, which must be found while the watch
     * still tells its key. */
    struct index_entry **cell = NULL;
    if (w->next == NULL) {
        struct index_key key = key_of(x, w);
        cell = find(x, &key);
        PRE(*cell != NULL);
    } else {
        w->next->pprev = w->pprev;
    }
    *w->pprev = w->next;
    w->next = NULL;
    w->pprev = NULL;
    x->scopes[lane][w->filter.scope]--;
    if (w->filter.scope == WATCH_PREFIX) {
        uncount_prefix(x, w->filter.path.size);
    }
    if (cell != NULL && (*cell)->first[LANE_LIVE] == NULL &&
        (*cell)->first[LANE_BEHIND] == NULL) {
        struct index_entry *gone = *cell;
        *cell = gone->chain;
        mem_free(gone);
        x->entry_count--;
        x->bytes -= sizeof *gone;
    }
}

/* ---- finding ----------------------------------------------------------------------------- */

struct finding {
    const struct watch_index *index;
    enum lane lane;
    uint8_t space;
    watch_index_fn fn;
    void *context;
};

static void visit(const struct finding *f, uint8_t scope, struct slice path, uint64_t walked,
                  uint32_t level)
{
    if (f->index->scopes[f->lane][scope] == 0) {
        return;
    }
    struct index_key key = key_make(f->index, scope, f->space, path, walked);
    const struct index_entry *e = *find(f->index, &key);
    if (e != NULL) {
        for (struct watch *w = e->first[f->lane]; w != NULL; w = w->next) {
            f->fn(f->context, w, level);
        }
    }
}

static void visit_prefix(const struct finding *f, struct slice path, size_t length,
                         uint64_t walked)
{
    if (length <= f->index->prefix_longest && f->index->prefixes[length] > 0) {
        visit(f, WATCH_PREFIX, slice_make(path.data, length), walked, 0);
    }
}

/* The watches of what the path begins with. */
static void visit_upper(const struct finding *f, struct slice path, uint32_t levels)
{
    bool subtrees = f->index->scopes[f->lane][WATCH_SUBTREE] > 0 && !space_is_flat(f->space);
    bool prefixes = f->index->scopes[f->lane][WATCH_PREFIX] > 0;
    uint64_t walked = WALK_BEGIN;
    for (size_t i = 0; i < path.size; i++) {
        if (prefixes) {
            visit_prefix(f, path, i, walked);
        }
        if (subtrees && i > 1 && path.data[i] == '/') {
            visit(f, WATCH_SUBTREE, slice_make(path.data, i), walked, --levels);
        }
        walked = walk(walked, path.data[i]);
        if (subtrees && i == 0) { /* "/", as all paths begin */
            visit(f, WATCH_SUBTREE, slice_make(path.data, 1), walked, levels);
        }
    }
    if (prefixes) {
        visit_prefix(f, path, path.size, walked);
    }
    if (subtrees && path.size > 1) {
        visit(f, WATCH_SUBTREE, path, walked, 0);
    }
}

void watch_index_find(const struct watch_index *x, enum lane lane, uint8_t space,
                      struct slice path, watch_index_fn fn, void *context)
{
    const struct finding f = {
        .index = x, .lane = lane, .space = space, .fn = fn, .context = context};
    const size_t *scopes = x->scopes[lane];
    struct slice parent = path_parent(space, path);
    uint32_t levels = 0;
    if (scopes[WATCH_NODE] > 0 || scopes[WATCH_CHILDREN] > 0 || scopes[WATCH_SUBTREE] > 0) {
        uint64_t walked = WALK_BEGIN;
        uint64_t parent_walked = 0;
        for (size_t i = 0; i < path.size; i++) {
            levels += path.data[i] == '/';
            walked = walk(walked, path.data[i]);
            if (i + 1 == parent.size) {
                parent_walked = walked;
            }
        }
        visit(&f, WATCH_NODE, path, walked, 0);
        if (parent.size > 0) {
            visit(&f, WATCH_CHILDREN, parent, parent_walked, 0);
        }
    }
    if (scopes[WATCH_SUBTREE] > 0 || scopes[WATCH_PREFIX] > 0) {
        visit_upper(&f, path, path.size == 1 ? 0 : levels);
    }
}
