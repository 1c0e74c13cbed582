/* Bounds-checked little-endian cursors: the only integer <-> bytes code of our own formats.
 *
 * Reading never fails halfway with a special path: the first short read sets `failed`, everything
 * after it yields zeros, and the caller checks once at the end with unpack_done().
 */
#ifndef BASE_PACK_H
#define BASE_PACK_H

#include "base/buf.h"

/* The conversion is its own inverse; on the little-endian machines we run on it is nothing. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define PACK_LE16(v) __builtin_bswap16(v)
#define PACK_LE32(v) __builtin_bswap32(v)
#define PACK_LE64(v) __builtin_bswap64(v)
#else
#define PACK_LE16(v) (v)
#define PACK_LE32(v) (v)
#define PACK_LE64(v) (v)
#endif

static inline void pack_u8(struct buf *b, uint8_t v)
{
    *buf_extend(b, 1) = v;
}

static inline void pack_u16(struct buf *b, uint16_t v)
{
    v = PACK_LE16(v);
    memcpy(buf_extend(b, sizeof v), &v, sizeof v);
}

static inline void pack_u32(struct buf *b, uint32_t v)
{
    v = PACK_LE32(v);
    memcpy(buf_extend(b, sizeof v), &v, sizeof v);
}

static inline void pack_u64(struct buf *b, uint64_t v)
{
    v = PACK_LE64(v);
    memcpy(buf_extend(b, sizeof v), &v, sizeof v);
}

static inline void pack_i64(struct buf *b, int64_t v)
{
    pack_u64(b, (uint64_t)v);
}

void pack_bytes(struct buf *b, struct slice s); /* u32 length, then the bytes */

static inline void pack_raw(struct buf *b, const void *data, size_t size)
{
    buf_append(b, data, size);
}

/* Overwrites 4 or 8 bytes written earlier, for lengths and checksums known only afterwards. */
void pack_u32_at(struct buf *b, size_t offset, uint32_t v);
void pack_u64_at(struct buf *b, size_t offset, uint64_t v);

struct unpack {
    struct slice rest;
    bool failed;
};

static inline struct unpack unpack_make(struct slice bytes)
{
    return (struct unpack){.rest = bytes};
}

/* Borrowed from the input. */
static inline struct slice unpack_raw(struct unpack *u, size_t size)
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

/* Copies the next `size` bytes to `to`, which the caller zeroed. After a failure nothing is
 * read any more, so that a field behind a damaged length is never taken for data. */
static inline void unpack_copy(struct unpack *u, void *to, size_t size)
{
    struct slice s = unpack_raw(u, size);
    if (s.size > 0) {
        memcpy(to, s.data, size);
    }
}

static inline uint8_t unpack_u8(struct unpack *u)
{
    uint8_t v = 0;
    unpack_copy(u, &v, sizeof v);
    return v;
}

static inline uint16_t unpack_u16(struct unpack *u)
{
    uint16_t v = 0;
    unpack_copy(u, &v, sizeof v);
    return PACK_LE16(v);
}

static inline uint32_t unpack_u32(struct unpack *u)
{
    uint32_t v = 0;
    unpack_copy(u, &v, sizeof v);
    return PACK_LE32(v);
}

static inline uint64_t unpack_u64(struct unpack *u)
{
    uint64_t v = 0;
    unpack_copy(u, &v, sizeof v);
    return PACK_LE64(v);
}

static inline int64_t unpack_i64(struct unpack *u)
{
    return (int64_t)unpack_u64(u);
}

static inline struct slice unpack_bytes(struct unpack *u)
{
    uint32_t size = unpack_u32(u);
    return unpack_raw(u, size);
}

/* Nothing failed and nothing is left. */
static inline bool unpack_done(const struct unpack *u)
{
    return !u->failed && u->rest.size == 0;
}

#endif
