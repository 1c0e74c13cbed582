#include "base/pack.h"

#include "base/assert.h"

/* The conversion is its own inverse; on the little-endian machines we run on it is nothing. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LE16(v) __builtin_bswap16(v)
#define LE32(v) __builtin_bswap32(v)
#define LE64(v) __builtin_bswap64(v)
#else
#define LE16(v) (v)
#define LE32(v) (v)
#define LE64(v) (v)
#endif

void pack_u8(struct buf *b, uint8_t v)
{
    *buf_extend(b, 1) = v;
}

void pack_u16(struct buf *b, uint16_t v)
{
    v = LE16(v);
    memcpy(buf_extend(b, sizeof v), &v, sizeof v);
}

void pack_u32(struct buf *b, uint32_t v)
{
    v = LE32(v);
    memcpy(buf_extend(b, sizeof v), &v, sizeof v);
}

void pack_u64(struct buf *b, uint64_t v)
{
    v = LE64(v);
    memcpy(buf_extend(b, sizeof v), &v, sizeof v);
}

void pack_i64(struct buf *b, int64_t v)
{
    pack_u64(b, (uint64_t)v);
}

void pack_bytes(struct buf *b, struct slice s)
{
    PRE(s.size <= UINT32_MAX);
    pack_u32(b, (uint32_t)s.size);
    buf_append_slice(b, s);
}

void pack_raw(struct buf *b, const void *data, size_t size)
{
    buf_append(b, data, size);
}

void pack_u32_at(struct buf *b, size_t offset, uint32_t v)
{
    PRE(b->size >= sizeof v && offset <= b->size - sizeof v);
    v = LE32(v);
    memcpy(b->data + offset, &v, sizeof v);
}

void pack_u64_at(struct buf *b, size_t offset, uint64_t v)
{
    PRE(b->size >= sizeof v && offset <= b->size - sizeof v);
    v = LE64(v);
    memcpy(b->data + offset, &v, sizeof v);
}

struct unpack unpack_make(struct slice bytes)
{
    return (struct unpack){.rest = bytes};
}

/* Copies the next `size` bytes to `to`, which the caller zeroed. After a failure nothing is
 * read any more, so that a field behind a damaged length is never taken for data. */
static void unpack_copy(struct unpack *u, void *to, size_t size)
{
    struct slice s = unpack_raw(u, size);
    if (s.size > 0) {
        memcpy(to, s.data, s.size);
    }
}

uint8_t unpack_u8(struct unpack *u)
{
    uint8_t v = 0;
    unpack_copy(u, &v, sizeof v);
    return v;
}

uint16_t unpack_u16(struct unpack *u)
{
    uint16_t v = 0;
    unpack_copy(u, &v, sizeof v);
    return LE16(v);
}

uint32_t unpack_u32(struct unpack *u)
{
    uint32_t v = 0;
    unpack_copy(u, &v, sizeof v);
    return LE32(v);
}

uint64_t unpack_u64(struct unpack *u)
{
    uint64_t v = 0;
    unpack_copy(u, &v, sizeof v);
    return LE64(v);
}

int64_t unpack_i64(struct unpack *u)
{
    return (int64_t)unpack_u64(u);
}

struct slice unpack_bytes(struct unpack *u)
{
    uint32_t size = unpack_u32(u);
    return unpack_raw(u, size);
}

struct slice unpack_raw(struct unpack *u, size_t size)
{
    if (u->failed || size > u->rest.size) {
        u->failed = true;
        return slice_make(NULL, 0);
    }
    struct slice s = slice_make(u->rest.data, size);
    if (size > 0) { /* the input may be NULL when it is empty */
        u->rest = slice_make(u->rest.data + size, u->rest.size - size);
    }
    return s;
}

bool unpack_done(const struct unpack *u)
{
    return !u->failed && u->rest.size == 0;
}
