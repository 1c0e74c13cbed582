#include "raft/engine_log.h"

#include <raft.h>

#include "base/assert.h"
#include "base/mem.h"

struct engine_block {
    void *memory;
    uint32_t references;
};

struct engine_block *engine_block_new(void *memory)
{
    struct engine_block *block = mem_alloc(sizeof *block);
    block->memory = memory;
    block->references = 1;
    return block;
}

void engine_block_release(struct engine_block *block)
{
    if (block == NULL) {
        return;
    }
    PRE(block->references > 0);
    block->references--;
    if (block->references == 0) {
        raft_free(block->memory);
        mem_free(block);
    }
}

static struct engine_entry *at(const struct engine_log *l, uint64_t index)
{
    return &l->ring[index & (l->capacity - 1)];
}

static void drop(struct engine_log *l, struct engine_entry *entry)
{
    l->bytes -= entry->payload.size;
    engine_block_release(entry->block);
}

void engine_log_init(struct engine_log *l, uint64_t first)
{
    *l = (struct engine_log){.first = first};
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
}

void engine_log_truncate(struct engine_log *l, uint64_t from)
{
    while (l->count > 0 && engine_log_last(l) >= from) {
        drop(l, at(l, engine_log_last(l)));
        l->count--;
    }
}

void engine_log_trim(struct engine_log *l, uint64_t before)
{
    while (l->count > 0 && l->first < before) {
        drop(l, at(l, l->first));
        l->first++;
        l->count--;
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
                                       struct slice payload, struct engine_block *block)
{
    if (l->count == l->capacity) {
        grow(l);
    }
    l->count++;
    l->bytes += payload.size;
    if (block != NULL) {
        block->references++;
    }
    struct engine_entry *entry = at(l, engine_log_last(l));
    *entry =
        (struct engine_entry){.term = term, .type = type, .payload = payload, .block = block};
    return entry;
}
