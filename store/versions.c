#include "store/versions.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/salt.h"
#include "store/acl_table.h"
#include "store/command.h"
#include "store/policy.h"
#include "store/tree.h"

#define VERSIONS_SEED ((uint64_t)0x56) /* part of the state digest: never change it */
#define BUCKETS_MIN   ((uint32_t)16)

/* Holes in the order of all entries below which closing them is not worth it. */
#define HOLES_MIN ((size_t)1024)

/* What one new entry may push out of its chain: a policy that became much smaller is the sweep's
 * matter. */
#define CHAIN_DROPS_MAX 2

int version_key_compare(struct version_key a, struct version_key b)
{
    if (a.revision != b.revision) {
        return a.revision < b.revision ? -1 : 1;
    }
    return a.sub < b.sub ? -1 : a.sub > b.sub;
}

static struct version_key key_of(const struct change *c)
{
    return (struct version_key){c->revision, c->sub};
}

void versions_init(struct versions *v)
{
    *v = (struct versions){
        .bucket_count = BUCKETS_MIN,
        .bucket_capacity = BUCKETS_MIN,
        .buckets = mem_zalloc(BUCKETS_MIN * sizeof(struct version_chain *)),
        .salt = salt_next(),
        .sweep = {VERSIONS_SWEPT, 0},
    };
}

/* ---- chains by path ----------------------------------------------------------------------- */

static uint32_t place_of(const struct versions *v, uint8_t space, struct slice path)
{
    return (uint32_t)hash_bytes(v->salt ^ space, path.data, path.size);
}

static struct version_chain **bucket_of(const struct versions *v, uint32_t place)
{
    uint32_t mask = UINT32_MAX >> __builtin_clz(v->bucket_count);
    uint32_t bucket = place & mask;
    return &v->buckets[bucket < v->bucket_count ? bucket : bucket & (mask >> 1)];
}

static void bucket_push(struct versions *v, struct version_chain *c)
{
    struct version_chain **bucket = bucket_of(v, c->place);
    c->next = *bucket;
    *bucket = c;
}

/* One bucket more, so that there are as many as chains. */
static void buckets_grow(struct versions *v)
{
    if (v->bucket_count == v->bucket_capacity) {
        v->bucket_capacity *= 2;
        v->buckets = mem_resize(v->buckets, v->bucket_capacity * sizeof v->buckets[0]);
    }
    uint32_t fresh = v->bucket_count++;
    uint32_t top = (uint32_t)1 << (31 - __builtin_clz(fresh));
    struct version_chain *c = v->buckets[fresh & (top - 1)];
    v->buckets[fresh & (top - 1)] = NULL;
    v->buckets[fresh] = NULL;
    while (c != NULL) {
        struct version_chain *next = c->next;
        bucket_push(v, c);
        c = next;
    }
}

static struct version_chain *chain_find(const struct versions *v, uint8_t space,
                                        struct slice path)
{
    uint32_t place = place_of(v, space, path);
    struct version_chain *c = *bucket_of(v, place);
    while (c != NULL && (c->place != place || c->space != space ||
                         !slice_equal(slice_make(c->path, c->path_bytes), path))) {
        c = c->next;
    }
    return c;
}

static struct version_chain *chain_make(struct versions *v, const struct change *of)
{
    if (v->chain_count >= v->bucket_count) {
        buckets_grow(v);
    }
    struct version_chain *c = mem_zalloc(sizeof *c + of->path.size);
    c->place = place_of(v, of->space, of->path);
    c->space = of->space;
    c->path_bytes = (uint32_t)of->path.size;
    memcpy(c->path, of->path.data, of->path.size);
    bucket_push(v, c);
    v->chain_count++;
    return c;
}

static void chain_remove(struct versions *v, struct version_chain *c)
{
    struct version_chain **link = bucket_of(v, c->place);
    while (*link != c) {
        link = &(*link)->next;
    }
    *link = c->next;
    v->chain_count--;
    mem_free(c->entries);
    mem_free(c);
}

static void chain_push(struct version_chain *c, struct version *e)
{
    if (c->end == c->capacity) {
        uint32_t count = c->end - c->begin;
        if (c->begin > c->capacity / 2) {
            memmove(c->entries, c->entries + c->begin, count * sizeof(struct version *));
            c->begin = 0;
            c->end = count;
        } else {
            c->capacity = c->capacity == 0 ? 2 : c->capacity * 2;
            c->entries = mem_resize(c->entries, c->capacity * sizeof(struct version *));
        }
    }
    c->entries[c->end++] = e;
    e->chain = c;
    e->change.path = slice_make(c->path, c->path_bytes);
}

/* ---- all entries in order ----------------------------------------------------------------- */

size_t versions_seek(const struct versions *v, struct version_key key)
{
    size_t low = v->begin;
    size_t high = v->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (version_key_compare(v->cells[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void cells_push(struct versions *v, struct version *e)
{
    if (v->end == v->capacity) {
        size_t count = v->end - v->begin;
        if (v->begin > v->capacity / 2) {
            memmove(v->cells, v->cells + v->begin, count * sizeof v->cells[0]);
            v->begin = 0;
            v->end = count;
        } else {
            v->capacity = v->capacity == 0 ? 16 : v->capacity * 2;
            v->cells = mem_resize(v->cells, v->capacity * sizeof v->cells[0]);
        }
    }
    v->cells[v->end++] = (struct version_cell){key_of(&e->change), e};
}

static void cells_close_holes(struct versions *v)
{
    size_t kept = v->begin;
    for (size_t i = v->begin; i < v->end; i++) {
        if (v->cells[i].version != NULL) {
            v->cells[kept++] = v->cells[i];
        }
    }
    v->end = kept;
    v->holes = 0;
}

static void cells_remove(struct versions *v, size_t at)
{
    v->cells[at].version = NULL;
    v->holes++;
    while (v->begin < v->end && v->cells[v->begin].version == NULL) {
        v->begin++;
        v->holes--;
    }
    if (v->holes > HOLES_MIN && v->holes > (v->end - v->begin) / 2) {
        cells_close_holes(v);
    }
}

/* ---- entries ------------------------------------------------------------------------------ */

static uint64_t entry_hash(const struct change *c)
{
    return hash_mix(VERSIONS_SEED, c->hash);
}

static struct slice copy_bytes(uint8_t **at, struct slice bytes)
{
    struct slice copy = slice_make(*at, bytes.size);
    if (bytes.size > 0) {
        memcpy(*at, bytes.data, bytes.size);
        *at += bytes.size;
    }
    return copy;
}

/* A copy in no chain yet, with the path of the original. */
static struct version *entry_new(struct versions *v, const struct change *c)
{
    struct version *e = mem_alloc(sizeof *e + c->identities.size + c->note.size);
    uint8_t *at = (uint8_t *)(e + 1);
    e->chain = NULL;
    e->change = *c;
    e->change.chunk = NULL;
    e->change.identities = copy_bytes(&at, c->identities);
    e->change.note = copy_bytes(&at, c->note);
    (void)value_ref(e->change.data);
    (void)value_ref(e->change.old_data);
    (void)acl_list_ref(e->change.acl);
    v->bytes += c->cost + VERSION_COST_BYTES;
    v->sum += entry_hash(c);
    return e;
}

static void entry_free(struct version *e)
{
    value_unref(e->change.data);
    value_unref(e->change.old_data);
    acl_list_unref(e->change.acl);
    mem_free(e);
}

/* The oldest entry of a chain, at a known place. */
static void entry_drop(struct versions *v, struct version *e, size_t at)
{
    struct version_chain *c = e->chain;
    PRE(c->entries[c->begin] == e && v->cells[at].version == e);
    if (v->evict != NULL) {
        v->evict(v->evict_context, &e->change);
    }
    v->bytes -= e->change.cost + VERSION_COST_BYTES;
    v->sum -= entry_hash(&e->change);
    cells_remove(v, at);
    c->begin++;
    entry_free(e);
    if (c->begin == c->end) {
        chain_remove(v, c);
    }
}

void versions_close(struct versions *v)
{
    for (size_t i = v->begin; i < v->end; i++) {
        if (v->cells[i].version != NULL) {
            entry_free(v->cells[i].version);
        }
    }
    for (uint32_t i = 0; i < v->bucket_count; i++) {
        while (v->buckets[i] != NULL) {
            chain_remove(v, v->buckets[i]);
        }
    }
    mem_free(v->cells);
    mem_free(v->buckets);
    *v = (struct versions){0};
}

void versions_add(struct versions *v, const struct change *c, uint32_t keep)
{
    PRE(keep > 0);
    struct version_chain *chain = chain_find(v, c->space, c->path);
    if (chain == NULL) {
        chain = chain_make(v, c);
    }
    struct version *e = entry_new(v, c);
    cells_push(v, e);
    chain_push(chain, e);
    for (int i = 0; i < CHAIN_DROPS_MAX && version_chain_count(chain) > keep; i++) {
        struct version *oldest = chain->entries[chain->begin];
        entry_drop(v, oldest, versions_seek(v, key_of(&oldest->change)));
    }
    /* The oldest of all is the oldest of its chain. The first cell is never a hole. */
    while (v->bytes > VERSIONS_BYTES_MAX) {
        entry_drop(v, v->cells[v->begin].version, v->begin);
    }
}

/* ---- the sweep ---------------------------------------------------------------------------- */

void versions_sweep_begin(struct versions *v)
{
    if (v->begin < v->end) {
        v->sweep = (struct version_key){0, 0};
    }
}

/* Holes are local: a store that was loaded has none. So they are not looked at, or the sweep would
 * be elsewhere on each member. They never are many more than the entries. */
static size_t seek_entry(const struct versions *v, struct version_key key)
{
    size_t at = versions_seek(v, key);
    while (at < v->end && v->cells[at].version == NULL) {
        at++;
    }
    return at;
}

/* From the oldest entry to the youngest: whatever is its chain's oldest, while there are too many,
 * goes; when the youngest has been looked at, no chain has too many. */
void versions_sweep(struct versions *v, const struct policies *p)
{
    if (v->sweep.revision == VERSIONS_SWEPT) {
        return;
    }
    for (uint32_t looked = 0; looked < VERSIONS_SWEEP_MAX; looked++) {
        size_t at = seek_entry(v, v->sweep);
        if (at == v->end) {
            v->sweep = (struct version_key){VERSIONS_SWEPT, 0};
            return;
        }
        struct version *e = v->cells[at].version;
        struct version_key key = v->cells[at].key;
        if (e->chain->entries[e->chain->begin] == e &&
            version_chain_count(e->chain) >
                policies_versions(p, e->change.space, e->change.path)) {
            entry_drop(v, e, at);
        }
        v->sweep = (struct version_key){key.revision, key.sub + 1};
    }
}

/* ---- asking ------------------------------------------------------------------------------- */

const struct version_chain *versions_chain(const struct versions *v, uint8_t space,
                                           struct slice path)
{
    return v->chain_count == 0 ? NULL : chain_find(v, space, path);
}

uint32_t version_chain_seek(const struct version_chain *c, struct version_key key)
{
    uint32_t low = 0;
    uint32_t high = version_chain_count(c);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (version_key_compare(key_of(version_chain_at(c, middle)), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- loading ------------------------------------------------------------------------------ */

void versions_load(struct versions *v, const struct change *c)
{
    struct version_chain *chain = chain_find(v, c->space, c->path);
    struct version *e = entry_new(v, c);
    cells_push(v, e);
    chain_push(chain == NULL ? chain_make(v, c) : chain, e);
}

static int cell_order(const void *left, const void *right)
{
    return version_key_compare(((const struct version_cell *)left)->key,
                       ((const struct version_cell *)right)->key);
}

static int entry_order(const void *left, const void *right)
{
    return version_key_compare(key_of(&(*(struct version *const *)left)->change),
                       key_of(&(*(struct version *const *)right)->change));
}

/* Whether a change can follow another one of the same node with none in between. */
static bool change_follows(const struct change *before, const struct change *c)
{
    if (c->type == CHANGE_CREATE) {
        return before->type == CHANGE_DELETE;
    }
    uint32_t acl_version = before->stat.acl_version;
    if (c->type == CHANGE_ACL) {
        acl_version = acl_version >= VERSION_ANY - 1 ? 0 : acl_version + 1;
    }
    return before->type != CHANGE_DELETE && c->stat.acl_version == acl_version &&
           c->old_modify_revision == before->stat.modify_revision;
}

static bool chain_is_sound(const struct version_chain *c)
{
    for (uint32_t i = c->begin + 1; i < c->end; i++) {
        if (!change_follows(&c->entries[i - 1]->change, &c->entries[i]->change)) {
            return false;
        }
    }
    return true;
}

bool versions_seal(struct versions *v, uint64_t history_floor)
{
    if (v->bytes > VERSIONS_BYTES_MAX) {
        return false;
    }
    if (v->begin < v->end) {
        qsort(v->cells, v->end, sizeof v->cells[0], cell_order);
    }
    for (size_t i = v->begin; i < v->end; i++) {
        const struct version_cell *cell = &v->cells[i];
        if (cell->key.revision >= history_floor || cell->key.sub == UINT32_MAX ||
            (i > v->begin && version_key_compare(cell[-1].key, cell->key) == 0)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < v->bucket_count; i++) {
        for (struct version_chain *c = v->buckets[i]; c != NULL; c = c->next) {
            qsort(c->entries + c->begin, version_chain_count(c), sizeof c->entries[0],
                  entry_order);
            if (!chain_is_sound(c)) {
                return false;
            }
        }
    }
    return true;
}

/* `before` is what `c` replaced. */
static void share_value(const struct change *before, struct change *c)
{
    if (before->data != NULL && c->old_data != NULL && before->data != c->old_data &&
        slice_equal(value_slice(before->data), value_slice(c->old_data))) {
        value_unref(c->old_data);
        c->old_data = value_ref(before->data);
    }
    if (c->type == CHANGE_ACL) {
        value_unref(c->data);
        c->data = value_ref(c->old_data);
    }
}

void versions_share(struct versions *v, struct history *h)
{
    for (uint32_t i = 0; i < v->bucket_count; i++) {
        for (struct version_chain *c = v->buckets[i]; c != NULL; c = c->next) {
            for (uint32_t k = c->begin + 1; k < c->end; k++) {
                share_value(&c->entries[k - 1]->change, &c->entries[k]->change);
            }
        }
    }
    for (uint64_t p = h->begin; p < h->end && v->chain_count > 0; p++) {
        struct change *c = h->ring[p & (h->capacity - 1)].change;
        const struct version_chain *chain = chain_find(v, c->space, c->path);
        if (chain != NULL &&
            c->old_modify_revision ==
                chain->entries[chain->end - 1]->change.stat.modify_revision) {
            share_value(&chain->entries[chain->end - 1]->change, c);
        }
    }
}

/* ---- invariants --------------------------------------------------------------------------- */

void versions_check(const struct versions *v)
{
    uint64_t bytes = 0;
    uint64_t sum = 0;
    size_t entries = 0;
    size_t holes = 0;
    for (size_t i = v->begin; i < v->end; i++) {
        const struct version_cell *cell = &v->cells[i];
        POST(i == v->begin || version_key_compare(cell[-1].key, cell->key) < 0);
        if (cell->version == NULL) {
            holes++;
            continue;
        }
        const struct change *c = &cell->version->change;
        POST(version_key_compare(cell->key, key_of(c)) == 0);
        POST(chain_find(v, c->space, c->path) == cell->version->chain);
        bytes += c->cost + VERSION_COST_BYTES;
        sum += entry_hash(c);
        entries++;
    }
    POST(v->begin == v->end || v->cells[v->begin].version != NULL);
    POST(holes == v->holes);
    POST(bytes == v->bytes && bytes <= VERSIONS_BYTES_MAX);
    POST(sum == v->sum);
    uint32_t chains = 0;
    for (uint32_t i = 0; i < v->bucket_count; i++) {
        for (const struct version_chain *c = v->buckets[i]; c != NULL; c = c->next) {
            POST(version_chain_count(c) > 0);
            POST(chain_is_sound(c));
            entries -= version_chain_count(c);
            chains++;
        }
    }
    POST(entries == 0);
    POST(chains == v->chain_count);
}
