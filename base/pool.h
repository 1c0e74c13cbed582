/* Memory by size class, kept on free lists instead of being given back: for a library's many
 * small, short-lived pieces. A zeroed pool is empty and valid. Not thread safe.
 *
 * Running out is reported, not fatal, since such libraries can cope and clients use them too.
 * Under AddressSanitizer nothing is kept, so that it sees every use after a free. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

/* 64, 128, 256, 512 and 1024 bytes, headers included; larger pieces pass through. */
#define POOL_CLASSES 5

struct pool_piece;

struct pool {
    struct pool_piece *free[POOL_CLASSES];
    size_t kept_bytes;
    size_t kept_bytes_max; /* beyond, pieces go back to the system */
};

/* As malloc, calloc, realloc and free. */
void *pool_alloc(struct pool *p, size_t bytes);
void *pool_zalloc(struct pool *p, size_t count, size_t bytes);
void *pool_resize(struct pool *p, void *old, size_t bytes);
void pool_free(struct pool *p, void *memory);
/* Pieces still in use stay valid, and may only be freed by a pool. */
void pool_close(struct pool *p);

#endif
