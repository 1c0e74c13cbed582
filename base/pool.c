#include "base/pool.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define POOL_BYTES_MIN ((size_t)64) /* of the smallest class; each next one is twice as large */

/* A piece: this header, then the user's bytes; while it is free, the first of these are
 * `next`. */
struct pool_piece {
    size_t class;    /* POOL_CLASSES: too large for any */
    size_t capacity; /* of the user's bytes */
    struct pool_piece *next[];
};

static_assert(sizeof(struct pool_piece) == 16, "the user's bytes are aligned for any type");

#if defined(__SANITIZE_ADDRESS__)
#define POOL_KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_KEEPS 0
#endif
#endif
#ifndef POOL_KEEPS
#define POOL_KEEPS 1
#endif

static struct pool_piece *piece_of(void *memory)
{
    return (struct pool_piece *)memory - 1;
}

static size_t class_of(size_t bytes)
{
    size_t class = 0;
    while (class < POOL_CLASSES && POOL_BYTES_MIN << class < bytes) {
        class++;
    }
    return class;
}

void *pool_alloc(struct pool *p, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_t whole = sizeof(struct pool_piece) + bytes;
    size_t class = class_of(whole);
    struct pool_piece *piece = class < POOL_CLASSES ? p->free[class] : NULL;
    if (piece != NULL) {
        p->free[class] = piece->next[0];
        p->kept_bytes -= POOL_BYTES_MIN << class;
        return piece + 1;
    }
    whole = class < POOL_CLASSES ? POOL_BYTES_MIN << class : whole;
    piece = malloc(whole);
    if (piece == NULL) {
        return NULL;
    }
    piece->class = class;
    piece->capacity = whole - sizeof *piece;
    return piece + 1;
}

void *pool_zalloc(struct pool *p, size_t count, size_t bytes)
{
    if (bytes != 0 && count > SIZE_MAX / 2 / bytes) {
        return NULL;
    }
    void *memory = pool_alloc(p, count * bytes);
    if (memory != NULL) {
        memset(memory, 0, count * bytes);
    }
    return memory;
}

void *pool_resize(struct pool *p, void *old, size_t bytes)
{
    if (old == NULL) {
        return pool_alloc(p, bytes);
    }
    size_t capacity = piece_of(old)->capacity;
    if (bytes <= capacity) {
        return old;
    }
    void *memory = pool_alloc(p, bytes);
    if (memory != NULL) {
        memcpy(memory, old, capacity);
        pool_free(p, old);
    }
    return memory;
}

void pool_free(struct pool *p, void *memory)
{
    if (memory == NULL) {
        return;
    }
    struct pool_piece *piece = piece_of(memory);
    size_t bytes = POOL_BYTES_MIN << piece->class;
    if (!POOL_KEEPS || piece->class == POOL_CLASSES ||
        p->kept_bytes + bytes > p->kept_bytes_max) {
        free(piece);
        return;
    }
    piece->next[0] = p->free[piece->class];
    p->free[piece->class] = piece;
    p->kept_bytes += bytes;
}

void pool_close(struct pool *p)
{
    for (size_t class = 0; class < POOL_CLASSES; class++) {
        while (p->free[class] != NULL) {
            struct pool_piece *piece = p->free[class];
            p->free[class] = piece->next[0];
            free(piece);
        }
    }
    p->kept_bytes = 0;
}
