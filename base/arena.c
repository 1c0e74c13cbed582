/* Blocks form a list; only the head is bumped. Blocks double up to a bound, so that a small arena
 * stays small and a busy one allocates rarely. A piece that would waste most of a block gets one of
 * its own behind the head, whose room stays in use.
 */
#include "base/arena.h"

#include "base/assert.h"
#include "base/mem.h"

#define ARENA_ALIGN     ((size_t)16)
#define ARENA_BLOCK_MIN ((size_t)4096)
#define ARENA_BLOCK_MAX ((size_t)256 << 10)

struct arena_block {
    struct arena_block *next;
    size_t capacity;
    _Alignas(16) uint8_t bytes[];
};

static struct arena_block *arena_block_new(size_t capacity)
{
    struct arena_block *block = mem_alloc(sizeof *block + capacity);
    block->next = NULL;
    block->capacity = capacity;
    return block;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    PRE(bytes <= SIZE_MAX / 2);
    size_t needed = (bytes + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    struct arena_block *head = a->blocks;
    if (head != NULL && needed <= head->capacity - a->used) {
        void *piece = head->bytes + a->used;
        a->used += needed;
        return piece;
    }
    if (head != NULL && needed > ARENA_BLOCK_MAX / 4) {
        struct arena_block *own = arena_block_new(needed);
        own->next = head->next;
        head->next = own;
        return own->bytes;
    }
    size_t capacity = head == NULL ? ARENA_BLOCK_MIN : head->capacity * 2;
    if (capacity > ARENA_BLOCK_MAX) {
        capacity = ARENA_BLOCK_MAX;
    }
    if (capacity < needed) {
        capacity = needed;
    }
    struct arena_block *block = arena_block_new(capacity);
    block->next = head;
    a->blocks = block;
    a->used = needed;
    return block->bytes;
}

struct slice arena_copy(struct arena *a, struct slice bytes)
{
    uint8_t *copy = arena_alloc(a, bytes.size);
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return slice_make(copy, bytes.size);
}

void arena_clear(struct arena *a)
{
    struct arena_block *head = a->blocks;
    if (head == NULL) {
        return;
    }
    if (head->capacity > ARENA_BLOCK_MAX) { /* one huge piece must not be kept forever */
        arena_close(a);
        return;
    }
    for (struct arena_block *b = head->next; b != NULL;) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    head->next = NULL;
    a->used = 0;
}

void arena_close(struct arena *a)
{
    for (struct arena_block *b = a->blocks; b != NULL;) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    *a = (struct arena){0};
}
