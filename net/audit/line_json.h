/* The pieces of JSON that a line of the audit log is made of. There are some thirty in each line,
 * so the line has its room before it begins (buf_reserve), and a piece is a copy and nothing else:
 * one that has no room is a bug. */
#ifndef NET_AUDIT_LINE_JSON_H
#define NET_AUDIT_LINE_JSON_H

#include "base/assert.h"
#include "base/buf.h"

static inline void line_put(struct buf *out, const void *bytes, size_t size)
{
    PRE(out->capacity - out->size >= size);
    memcpy(out->data + out->size, bytes, size);
    out->size += size;
}

/* Of a literal, whose size is known here. */
#define LINE_PUT(out, literal) line_put((out), (literal), sizeof(literal) - 1)

/* Text that is ours, or was checked when it came: nothing in it needs to be escaped. */
void line_put_name(struct buf *out, const char *text);
void line_put_u64(struct buf *out, uint64_t number);
/* The inside of a string, escaped where it must be and valid whatever the bytes are: at most `max`
 * bytes in the line, and dots behind if that cut it. */
void line_put_text(struct buf *out, struct slice text, size_t max);
void line_put_quoted(struct buf *out, struct slice text, size_t max);
/* In quotes, 16 digits. */
void line_put_id(struct buf *out, uint64_t number);

#endif
