#include "store/history.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/acl_table.h"
#include "store/digest.h"
#include "store/stat.h"
#include "store/tree.h"

#define HISTORY_SEED         UINT64_C(0x43)
#define HISTORY_CAPACITY_MIN ((uint64_t)64)

/* Changes are cut from chunks, which go when the last of theirs went: one allocation per hundreds
 * of changes, and the oldest leave together. */
#define CHUNK_BYTES ((size_t)64 << 10)

struct history_chunk {
    size_t used;
    size_t capacity;
    uint64_t live;
    _Alignas(16) uint8_t bytes[];
};

static void chunk_drop(struct history *h, struct history_chunk *chunk)
{
    if (--chunk->live > 0) {
        return;
    }
    if (chunk == h->chunk) {
        chunk->used = 0;
    } else {
        mem_free(chunk);
    }
}

static uint8_t *chunk_take(struct history *h, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (h->chunk == NULL || bytes > h->chunk->capacity - h->chunk->used) {
        if (h->chunk != NULL && h->chunk->live == 0) {
            mem_free(h->chunk);
        }
        size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        h->chunk = mem_alloc(sizeof *h->chunk + capacity);
        h->chunk->used = 0;
        h->chunk->capacity = capacity;
        h->chunk->live = 0;
    }
    uint8_t *piece = h->chunk->bytes + h->chunk->used;
    h->chunk->used += bytes;
    h->chunk->live++;
    return piece;
}

static struct history_cell *history_cell(const struct history *h, uint64_t position)
{
    return &h->ring[position & (h->capacity - 1)];
}

static struct change *history_change(const struct history *h, uint64_t position)
{
    return history_cell(h, position)->change;
}

static uint64_t change_cost(const struct change *c)
{
    return CHANGE_COST_BYTES + c->path.size + c->identities.size + c->note.size +
           value_slice(c->data).size + value_slice(c->old_data).size +
           acl_list_slice(c->acl).size;
}

struct change_hashes change_hashes_make(const struct change *c)
{
    return (struct change_hashes){
        .path = tree_hash(c->space, c->path),
        .data = value_hash(c->data),
        .old_data = value_hash(c->old_data),
        .stat = stat_hash(&c->stat),
    };
}

/* Most changes come without these. */
static uint64_t optional_hash(struct slice bytes)
{
    return bytes.size == 0 ? 0 : hash_bytes(HISTORY_SEED, bytes.data, bytes.size);
}

static uint64_t change_hash(const struct change *c, const struct change_hashes *hashes)
{
    const uint64_t words[] = {
        c->revision,
        (uint64_t)c->sub << 32 | (uint64_t)c->type << 16 | (uint64_t)c->space << 8 | c->reason,
        hashes->path,
        hashes->data,
        hashes->old_data,
        c->session,
        c->cluster_ms,
        c->wall_ms,
        optional_hash(c->identities),
        optional_hash(c->note),
        hashes->stat,
        c->old_modify_revision,
        c->old_modify_ms,
        c->acl == NULL ? 0 : c->acl->hash,
    };
    return digest_words(HISTORY_SEED, words, sizeof words / sizeof words[0]);
}

void change_seal(struct change *c, const struct change_hashes *hashes)
{
    c->path_hash = hashes->path;
    c->hash = change_hash(c, hashes);
    c->cost = change_cost(c);
}

void history_init(struct history *h, uint64_t floor)
{
    *h = (struct history){
        .floor = floor, .hold = UINT64_MAX, .retention = RETENTION_DEFAULT};
}

static void change_free(struct history *h, struct change *c)
{
    value_unref(c->data);
    value_unref(c->old_data);
    acl_list_unref(c->acl);
    chunk_drop(h, c->chunk);
}

void history_close(struct history *h)
{
    for (uint64_t p = h->kept; p < h->end; p++) {
        change_free(h, history_change(h, p));
    }
    mem_free(h->chunk);
    mem_free(h->ring);
    *h = (struct history){0};
}

static void history_reserve(struct history *h)
{
    if (h->end - h->kept < h->capacity) {
        return;
    }
    uint64_t capacity = h->capacity == 0 ? HISTORY_CAPACITY_MIN : h->capacity * 2;
    struct history_cell *ring = mem_alloc(capacity * sizeof *ring);
    for (uint64_t p = h->kept; p < h->end; p++) {
        ring[p & (capacity - 1)] = *history_cell(h, p);
    }
    mem_free(h->ring);
    h->ring = ring;
    h->capacity = capacity;
}

static struct slice put_bytes(uint8_t **at, struct slice bytes)
{
    struct slice copy = slice_make(*at, bytes.size);
    if (bytes.size > 0) {
        memcpy(*at, bytes.data, bytes.size);
        *at += bytes.size;
    }
    return copy;
}

void history_append(struct history *h, const struct change *change,
                    const struct change_hashes *hashes)
{
    history_reserve(h);
    size_t bytes =
        sizeof(struct change) + change->path.size + change->identities.size + change->note.size;
    uint8_t *at = chunk_take(h, bytes);
    struct change *c = (struct change *)(void *)at;
    at += sizeof *c;
    *c = *change;
    c->chunk = h->chunk;
    c->path = put_bytes(&at, change->path);
    c->identities = put_bytes(&at, change->identities);
    c->note = put_bytes(&at, change->note);
    (void)value_ref(c->data);
    (void)value_ref(c->old_data);
    (void)acl_list_ref(c->acl);
    change_seal(c, hashes);
    *history_cell(h, h->end++) = (struct history_cell){c->path_hash, c};
    h->bytes += c->cost;
    h->sum += c->hash;
}

void history_pop(struct history *h, uint64_t end)
{
    while (h->end > end) {
        struct change *c = history_change(h, --h->end);
        h->bytes -= c->cost;
        h->sum -= c->hash;
        change_free(h, c);
    }
}

/* Gives up the memory of what is trimmed and not held. */
static void history_release(struct history *h)
{
    uint64_t until = h->begin < h->hold ? h->begin : h->hold;
    while (h->kept < until) {
        change_free(h, history_change(h, h->kept++));
    }
}

void history_set_hold(struct history *h, uint64_t position)
{
    h->hold = position;
    history_release(h);
}

/* In a full log every command drops the oldest change, whose values nobody has touched for long:
 * they are called for one command ahead. */
static void history_prefetch(const struct history *h)
{
    if (h->begin + 1 < h->end) {
        const struct change *next = history_change(h, h->begin);
        __builtin_prefetch(next->data, 1);
        __builtin_prefetch(next->old_data, 1);
        __builtin_prefetch(history_change(h, h->begin + 1));
    }
}

/* Whether the policy lets the oldest revision, that of `c`, go. */
static bool history_is_over(const struct history *h, const struct change *c, uint64_t revision,
                            uint64_t cluster_ms)
{
    if (h->bytes > HISTORY_BYTES_HARD_MAX) {
        return true;
    }
    if (revision - c->revision < h->retention.revisions) {
        return false;
    }
    return h->bytes > h->retention.bytes || cluster_ms - c->cluster_ms > h->retention.age_ms;
}

/* The first change leaves. */
static void history_drop(struct history *h)
{
    const struct change *c = history_change(h, h->begin++);
    h->bytes -= c->cost;
    h->sum -= c->hash;
    if (h->leave != NULL) {
        h->leave(h->leave_context, c);
    }
}

void history_clear(struct history *h, uint64_t floor)
{
    while (h->begin < h->end) {
        history_drop(h);
    }
    h->floor = floor;
    h->trimmed = h->end;
    history_release(h);
}

void history_trim(struct history *h, uint64_t revision, uint64_t cluster_ms)
{
    uint64_t stop = h->begin + HISTORY_TRIM_MAX + 2 * (h->end - h->trimmed);
    h->trimmed = h->end;
    while (h->begin < h->end && h->begin < stop) {
        const struct change *first = history_change(h, h->begin);
        uint64_t gone = first->revision;
        if (!history_is_over(h, first, revision, cluster_ms)) {
            break;
        }
        while (h->begin < h->end && history_change(h, h->begin)->revision == gone) {
            history_drop(h);
        }
        h->floor = gone + 1;
    }
    history_release(h);
    history_prefetch(h);
}

const struct change *history_at(const struct history *h, uint64_t position)
{
    PRE(position >= h->kept && position < h->end);
    return history_change(h, position);
}

uint64_t history_seek(const struct history *h, uint64_t revision)
{
    uint64_t low = h->begin;
    uint64_t high = h->end;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (history_change(h, middle)->revision < revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint64_t history_find(const struct history *h, uint64_t from, uint64_t to, uint64_t path_hash)
{
    while (from < to && history_cell(h, from)->path_hash != path_hash) {
        from++;
    }
    return from;
}

uint64_t history_find_back(const struct history *h, uint64_t from, uint64_t to,
                           uint64_t path_hash)
{
    while (from < to && history_cell(h, to - 1)->path_hash != path_hash) {
        to--;
    }
    return to;
}

/* ---- loading ------------------------------------------------------------------------------ */

static int cell_order(const void *left, const void *right)
{
    const struct change *a = ((const struct history_cell *)left)->change;
    const struct change *b = ((const struct history_cell *)right)->change;
    if (a->revision != b->revision) {
        return a->revision < b->revision ? -1 : 1;
    }
    return a->sub < b->sub ? -1 : a->sub > b->sub;
}

bool history_sort(struct history *h)
{
    PRE(h->begin == 0 && h->kept == 0);
    h->trimmed = h->end;
    bool sorted = true;
    bool distinct = true;
    for (uint64_t p = 1; p < h->end; p++) {
        sorted = sorted && cell_order(&h->ring[p - 1], &h->ring[p]) < 0;
    }
    if (!sorted) {
        qsort(h->ring, h->end, sizeof h->ring[0], cell_order);
        for (uint64_t p = 1; p < h->end; p++) {
            distinct = distinct && cell_order(&h->ring[p - 1], &h->ring[p]) < 0;
        }
    }
    return distinct;
}

bool history_is_contiguous(const struct history *h, uint64_t revision)
{
    uint64_t expected = h->floor;
    uint32_t sub = 0;
    for (uint64_t p = h->begin; p < h->end; p++) {
        const struct change *c = history_change(h, p);
        if (sub > 0 && c->revision == expected + 1) {
            expected++;
            sub = 0;
        }
        if (c->revision != expected || c->sub != sub) {
            return false;
        }
        sub++;
    }
    return sub == 0 ? revision + 1 == expected : revision == expected;
}

void history_share(struct history *h)
{
    uint64_t size = 1;
    while (size < 2 * (h->end - h->begin) + 1) {
        size *= 2;
    }
    /* By key, the last change so far: open addressing, only ever filled. */
    struct change **last = mem_zalloc(size * sizeof(struct change *));
    for (uint64_t p = h->begin; p < h->end; p++) {
        struct change *c = history_change(h, p);
        uint64_t at = c->path_hash & (size - 1);
        while (last[at] != NULL &&
               (last[at]->path_hash != c->path_hash || last[at]->space != c->space ||
                !slice_equal(last[at]->path, c->path))) {
            at = (at + 1) & (size - 1);
        }
        struct value *before = last[at] == NULL ? NULL : last[at]->data;
        if (before != NULL && c->old_data != NULL &&
            slice_equal(value_slice(before), value_slice(c->old_data))) {
            value_unref(c->old_data);
            c->old_data = value_ref(before);
        }
        if (c->type == CHANGE_ACL) {
            value_unref(c->data);
            c->data = value_ref(c->old_data);
        }
        last[at] = c;
    }
    mem_free(last);
}

/* ---- invariants --------------------------------------------------------------------------- */

uint64_t history_sum(const struct history *h)
{
    uint64_t sum = 0;
    for (uint64_t p = h->begin; p < h->end; p++) {
        const struct change *c = history_change(h, p);
        struct change_hashes hashes = change_hashes_make(c);
        sum += change_hash(c, &hashes);
    }
    return sum;
}

uint64_t history_cost(const struct history *h)
{
    uint64_t bytes = 0;
    for (uint64_t p = h->begin; p < h->end; p++) {
        bytes += change_cost(history_change(h, p));
    }
    return bytes;
}
