#include "store/replies.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/digest.h"

#define REPLIES_SEED         UINT64_C(0x52)
#define REPLIES_CAPACITY_MIN ((size_t)64)

int request_id_compare(const struct request_id *a, const struct request_id *b)
{
    if (a->issued_ms != b->issued_ms) {
        return a->issued_ms < b->issued_ms ? -1 : 1;
    }
    if (a->random[0] != b->random[0]) {
        return a->random[0] < b->random[0] ? -1 : 1;
    }
    return a->random[1] < b->random[1] ? -1 : a->random[1] > b->random[1];
}

static uint64_t remembered_hash(const struct remembered *e)
{
    const uint64_t words[] = {
        e->id.issued_ms,
        e->id.random[0],
        e->id.random[1],
        e->index,
        hash_bytes(REPLIES_SEED, e->reply, e->size),
    };
    return digest_words(REPLIES_SEED, words, sizeof words / sizeof words[0]);
}

void replies_close(struct replies *r)
{
    for (size_t i = r->begin; i < r->end; i++) {
        mem_free(r->cells[i].entry);
    }
    mem_free(r->cells);
    *r = (struct replies){0};
}

/* The first cell whose id is not below `id`. */
static size_t replies_seek(const struct replies *r, const struct request_id *id)
{
    size_t low = r->begin;
    size_t high = r->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct replies_cell *cell = &r->cells[middle];
        bool below = cell->issued_ms != id->issued_ms
                         ? cell->issued_ms < id->issued_ms
                         : request_id_compare(&cell->entry->id, id) < 0;
        if (below) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct remembered *replies_find(const struct replies *r, const struct request_id *id)
{
    size_t at = replies_seek(r, id);
    if (at == r->end || request_id_compare(&r->cells[at].entry->id, id) != 0) {
        return NULL;
    }
    return r->cells[at].entry;
}

const struct remembered *replies_next(const struct replies *r, const struct request_id *after)
{
    size_t at = replies_seek(r, after);
    if (at < r->end && request_id_compare(&r->cells[at].entry->id, after) == 0) {
        at++;
    }
    return at == r->end ? NULL : r->cells[at].entry;
}

/* Room for one more at the end: the front that eviction left empty is reused before growing. */
static void replies_reserve(struct replies *r)
{
    if (r->end < r->capacity) {
        return;
    }
    size_t count = replies_count(r);
    if (r->begin > r->capacity / 2) {
        memmove(r->cells, r->cells + r->begin, count * sizeof r->cells[0]);
    } else {
        size_t capacity = r->capacity == 0 ? REPLIES_CAPACITY_MIN : r->capacity * 2;
        struct replies_cell *cells = mem_alloc(capacity * sizeof cells[0]);
        if (count > 0) {
            memcpy(cells, r->cells + r->begin, count * sizeof cells[0]);
        }
        mem_free(r->cells);
        r->cells = cells;
        r->capacity = capacity;
    }
    r->begin = 0;
    r->end = count;
}

void replies_add(struct replies *r, const struct request_id *id, uint64_t index,
                 struct slice reply)
{
    PRE(reply.size < UINT32_MAX);
    INVARIANT(20, request_id_compare(id, &r->floor) > 0);
    struct remembered *e = mem_alloc(sizeof *e + reply.size);
    e->id = *id;
    e->index = index;
    e->serial = r->serial_next++;
    e->size = (uint32_t)reply.size;
    if (reply.size > 0) {
        memcpy(e->reply, reply.data, reply.size);
    }
    e->hash = remembered_hash(e);
    replies_reserve(r);
    size_t at = replies_seek(r, id); /* nearly always close to the end */
    memmove(r->cells + at + 1, r->cells + at, (r->end - at) * sizeof r->cells[0]);
    r->cells[at] = (struct replies_cell){.issued_ms = id->issued_ms, .entry = e};
    r->end++;
    r->bytes += REPLY_COST_BYTES + reply.size;
    r->sum += e->hash;
}

static void replies_evict_first(struct replies *r)
{
    struct remembered *e = r->cells[r->begin++].entry;
    if (r->evict != NULL) {
        r->evict(r->evict_context, e);
    }
    r->floor = e->id;
    r->bytes -= REPLY_COST_BYTES + e->size;
    r->sum -= e->hash;
    mem_free(e);
}

void replies_trim(struct replies *r, uint64_t cluster_ms)
{
    while (replies_count(r) > REPLIES_COUNT_MAX || r->bytes > REPLIES_BYTES_MAX) {
        replies_evict_first(r);
    }
    if (cluster_ms <= REPLIES_AGE_MS_MAX) {
        return;
    }
    struct request_id aged = {
        .issued_ms = cluster_ms - REPLIES_AGE_MS_MAX - 1,
        .random = {UINT64_MAX, UINT64_MAX},
    };
    while (r->begin < r->end && r->cells[r->begin].issued_ms <= aged.issued_ms) {
        replies_evict_first(r);
    }
    if (request_id_compare(&r->floor, &aged) < 0) {
        r->floor = aged;
    }
}

void replies_forget(struct replies *r, const struct request_id *floor)
{
    while (r->begin < r->end) {
        replies_evict_first(r);
    }
    PRE(request_id_compare(&r->floor, floor) <= 0);
    r->floor = *floor;
}

void replies_check(const struct replies *r)
{
    uint64_t bytes = 0;
    uint64_t sum = 0;
    const struct request_id *before = &r->floor;
    for (size_t i = r->begin; i < r->end; i++) {
        const struct remembered *e = r->cells[i].entry;
        POST(r->cells[i].issued_ms == e->id.issued_ms);
        POST(request_id_compare(before, &e->id) < 0);
        POST(e->hash == remembered_hash(e));
        before = &e->id;
        bytes += REPLY_COST_BYTES + e->size;
        sum += e->hash;
    }
    POST(bytes == r->bytes);
    POST(sum == r->sum);
    POST(replies_count(r) <= REPLIES_COUNT_MAX && r->bytes <= REPLIES_BYTES_MAX);
}
