/* A bump allocator: many small pieces, freed all at once. Zero-initialised is empty and valid. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used; /* in the first block */
};

void *arena_alloc(struct arena *a, size_t bytes); /* 16-byte aligned, never NULL, not zeroed */
struct slice arena_copy(struct arena *a, struct slice bytes);
void arena_clear(struct arena *a); /* forgets everything, keeps one block */
void arena_close(struct arena *a);

#endif
