/* Owned, growable bytes. Zero-initialised is empty and valid. Not thread safe. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void buf_close(struct buf *b);                     /* frees and leaves an empty buf */
void buf_clear(struct buf *b);                     /* size 0, keeps the memory */
/* Empties a buffer that is filled again and again. Memory beyond `kept` goes back only when it was
 * not needed for a while, less than a quarter of it in BUF_CALM_USES fillings in a row, as taking
 * large memory anew each time costs more than filling it. `calm` counts these, from 0. */
#define BUF_CALM_USES 64
void buf_recycle(struct buf *b, size_t kept, unsigned *calm);
void buf_reserve(struct buf *b, size_t more);      /* room for `more` bytes behind size */
void buf_append_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t bytes);     /* drops bytes from the front */
struct slice buf_slice(const struct buf *b);
uint8_t *buf_take(struct buf *b, size_t *size);    /* caller owns (mem_free); leaves b empty */

/* What every field of every message goes through is inline. */

/* Grows size, returns the new region: never NULL, even for nothing. */
static inline uint8_t *buf_extend(struct buf *b, size_t bytes)
{
    if (b->capacity - b->size < bytes || b->data == NULL) {
        buf_reserve(b, bytes > 0 ? bytes : 1);
    }
    uint8_t *region = b->data + b->size;
    b->size += bytes;
    return region;
}

static inline void buf_append(struct buf *b, const void *data, size_t bytes)
{
    if (bytes > 0) {
        memcpy(buf_extend(b, bytes), data, bytes);
    }
}

static inline void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.data, s.size);
}

#endif
