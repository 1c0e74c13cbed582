#include "base/arena.h"

#include "base/assert.h"
#include "base/mem.h"

#define ARENA_ALIGN ((size_t)16)
#define ARENA_BLOCK_BYTES ((size_t)4096)

/* Filled from the front; only the first block of the chain still has room. */
struct arena_block {
    struct arena_block *next;
    size_t capacity;
    _Alignas(16) uint8_t bytes[];
};

/* `capacity` is a minimum: a piece larger than a block gets a block of its own. */
static void arena_grow(struct arena *a, size_t capacity)
{
    if (capacity < ARENA_BLOCK_BYTES) {
        capacity = ARENA_BLOCK_BYTES;
    }
    struct arena_block *block = mem_alloc(sizeof *block + capacity);
    block->next = a->blocks;
    block->capacity = capacity;
    a->blocks = block;
    a->used = 0;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    PRE(bytes <= SIZE_MAX / 2);
    size_t rounded = (bytes + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    if (a->blocks == NULL || rounded > a->blocks->capacity - a->used) {
        arena_grow(a, rounded);
    }
    void *piece = a->blocks->bytes + a->used;
    a->used += rounded;
    return piece;
}

struct slice arena_copy(struct arena *a, struct slice bytes)
{
    void *copy = arena_alloc(a, bytes.size);
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return slice_make(copy, bytes.size);
}

void arena_clear(struct arena *a)
{
    if (a->blocks == NULL) {
        return;
    }
    while (a->blocks->next != NULL) {
        struct arena_block *block = a->blocks;
        a->blocks = block->next;
        mem_free(block);
    }
    a->used = 0;
}

void arena_close(struct arena *a)
{
    arena_clear(a);
    mem_free(a->blocks);
    *a = (struct arena){0};
}
