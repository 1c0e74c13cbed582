#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#define BUF_CAPACITY_MIN 64

void buf_close(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->size = 0;
}

void buf_recycle(struct buf *b, size_t kept, unsigned *calm)
{
    bool is_calm = b->capacity > kept && b->size < b->capacity / 4;
    *calm = is_calm ? *calm + 1 : 0;
    if (*calm < BUF_CALM_USES) {
        buf_clear(b);
    } else {
        *calm = 0;
        buf_close(b);
    }
}

void buf_reserve(struct buf *b, size_t more)
{
    PRE(more <= SIZE_MAX / 2 - b->size);
    size_t needed = b->size + more;
    if (needed <= b->capacity) {
        return;
    }
    /* Doubling keeps a run of appends linear. */
    size_t capacity = b->capacity < BUF_CAPACITY_MIN ? BUF_CAPACITY_MIN : b->capacity * 2;
    if (capacity < needed) {
        capacity = needed;
    }
    b->data = mem_resize(b->data, capacity);
    b->capacity = capacity;
}

void buf_append_str(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    size_t room = b->capacity - b->size;
    int length = vsnprintf(room > 0 ? (char *)b->data + b->size : NULL, room, format, args);
    va_end(args);
    PRE(length >= 0);
    size_t bytes = (size_t)length;
    if (bytes >= room) { /* the terminating zero needs room too, though it is not counted */
        buf_reserve(b, bytes + 1);
        vsnprintf((char *)b->data + b->size, bytes + 1, format, again);
    }
    va_end(again);
    b->size += bytes;
}

void buf_consume(struct buf *b, size_t bytes)
{
    PRE(bytes <= b->size);
    b->size -= bytes;
    if (bytes > 0 && b->size > 0) {
        memmove(b->data, b->data + bytes, b->size);
    }
}

struct slice buf_slice(const struct buf *b)
{
    return slice_make(b->data, b->size);
}

uint8_t *buf_take(struct buf *b, size_t *size)
{
    uint8_t *data = b->data;
    if (size != NULL) {
        *size = b->size;
    }
    *b = (struct buf){0};
    return data;
}
