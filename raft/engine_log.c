#include "raft/engine_log.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

/* With its head and what malloc adds, a chunk is whole pages. */
#define CHUNK_BYTES ((size_t)256 << 10)
#define CHUNK_HEADS ((size_t)64)

struct engine_chunk {
    size_t used;
    size_t capacity;
    size_t live; /* payloads */
    bool is_restored;
    uint8_t bytes[];
};

/* Where its payloads are counted. */
static uint64_t *bytes_of(struct engine_log *l, const struct engine_chunk *chunk)
{
    return chunk->is_restored ? &l->restored_bytes : &l->bytes;
}

static void chunk_drop(struct engine_log *l, struct engine_chunk *chunk)
{
    PRE(chunk->live > 0);
    if (--chunk->live > 0) {
        return;
    }
    l->chunk = chunk == l->chunk ? NULL : l->chunk;
    l->restored = chunk == l->restored ? NULL : l->restored;
    mem_free(chunk);
}

/* Copies the payload into the chunk, or into a new one if it is full. */
static void take_payload(struct engine_log *l, struct engine_entry *entry, bool is_restored,
                         struct slice payload)
{
    struct engine_chunk **chunk = is_restored ? &l->restored : &l->chunk;
    struct engine_chunk *c = *chunk;
    if (payload.size == 0) {
        return;
    }
    if (c == NULL || payload.size > c->capacity - c->used) {
        size_t capacity = CHUNK_BYTES - CHUNK_HEADS;
        capacity = payload.size > capacity ? payload.size : capacity;
        c = *chunk = mem_alloc(sizeof *c + capacity);
        *c = (struct engine_chunk){.capacity = capacity, .is_restored = is_restored};
    }
    memcpy(c->bytes + c->used, payload.data, payload.size);
    entry->payload = slice_make(c->bytes + c->used, payload.size);
    entry->chunk = c;
    c->used += payload.size;
    c->live++;
    *bytes_of(l, c) += payload.size;
}

static struct engine_entry *at(const struct engine_log *l, uint64_t index)
{
    return &l->ring[index & (l->capacity - 1)];
}

static void drop_payload(struct engine_log *l, struct engine_entry *entry)
{
    if (entry->chunk != NULL) {
        *bytes_of(l, entry->chunk) -= entry->payload.size;
        chunk_drop(l, entry->chunk);
        entry->chunk = NULL;
        entry->payload.data = NULL;
    }
}

void engine_log_init(struct engine_log *l, uint64_t first)
{
    *l = (struct engine_log){.first = first, .held = first};
}

void engine_log_close(struct engine_log *l)
{
    engine_log_reset(l, 1);
    mem_free(l->ring);
    l->ring = NULL;
    l->capacity = 0;
}

void engine_log_reset(struct engine_log *l, uint64_t first)
{
    engine_log_truncate(l, l->first);
    l->first = first;
    l->held = first;
}

void engine_log_truncate(struct engine_log *l, uint64_t from)
{
    while (l->count > 0 && engine_log_last(l) >= from) {
        drop_payload(l, at(l, engine_log_last(l)));
        l->count--;
    }
    uint64_t end = engine_log_last(l) + 1;
    l->held = l->held < end ? l->held : end;
}

void engine_log_trim(struct engine_log *l, uint64_t before)
{
    while (l->count > 0 && l->first < before) {
        drop_payload(l, at(l, l->first));
        l->first++;
        l->count--;
    }
    l->held = l->held > l->first ? l->held : l->first;
}

void engine_log_forget(struct engine_log *l, uint64_t before, uint64_t keep_bytes)
{
    uint64_t end = engine_log_last(l) + 1;
    before = before < end ? before : end;
    while (l->held < before && l->bytes > keep_bytes) {
        drop_payload(l, at(l, l->held));
        l->held++;
    }
}

bool engine_log_restore(struct engine_log *l, uint64_t index, uint64_t term,
                        struct slice payload)
{
    struct engine_entry *entry = index < l->held ? engine_log_find(l, index) : NULL;
    if (entry == NULL || entry->chunk != NULL || entry->term != term ||
        entry->payload.size != payload.size) {
        return false;
    }
    take_payload(l, entry, true, payload);
    return true;
}

void engine_log_release(struct engine_log *l, uint64_t from, uint64_t until)
{
    from = from > l->first ? from : l->first;
    until = until < l->held ? until : l->held;
    for (uint64_t index = from; index < until; index++) {
        drop_payload(l, at(l, index));
    }
}

uint64_t engine_log_last(const struct engine_log *l)
{
    return l->first + l->count - 1;
}

struct engine_entry *engine_log_find(const struct engine_log *l, uint64_t index)
{
    if (index < l->first || index - l->first >= l->count) {
        return NULL;
    }
    return at(l, index);
}

/* Indexes keep their place modulo the capacity, so growing means placing each one anew. */
static void grow(struct engine_log *l)
{
    struct engine_log larger = *l;
    larger.capacity = l->capacity == 0 ? 64 : 2 * l->capacity;
    larger.ring = mem_alloc(larger.capacity * sizeof *larger.ring);
    for (size_t i = 0; i < l->count; i++) {
        *at(&larger, l->first + i) = *at(l, l->first + i);
    }
    mem_free(l->ring);
    *l = larger;
}

struct engine_entry *engine_log_append(struct engine_log *l, uint64_t term, uint8_t type,
                                       struct slice payload)
{
    if (l->count == l->capacity) {
        grow(l);
    }
    l->count++;
    struct engine_entry *entry = at(l, engine_log_last(l));
    *entry = (struct engine_entry){.term = term, .type = type};
    take_payload(l, entry, false, payload);
    return entry;
}
