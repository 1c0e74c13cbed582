/* Bounds-checked little-endian cursors: the only integer <-> bytes code of our own formats.
 *
 * Reading never fails halfway with a special path: the first short read sets `failed`, everything
 * after it yields zeros, and the caller checks once at the end with unpack_done().
 */
#ifndef BASE_PACK_H
#define BASE_PACK_H

#include "base/buf.h"

void pack_u8(struct buf *b, uint8_t v);
void pack_u16(struct buf *b, uint16_t v);
void pack_u32(struct buf *b, uint32_t v);
void pack_u64(struct buf *b, uint64_t v);
void pack_i64(struct buf *b, int64_t v);
void pack_bytes(struct buf *b, struct slice s); /* u32 length, then the bytes */
void pack_raw(struct buf *b, const void *data, size_t size);

/* Overwrites 4 or 8 bytes written earlier, for lengths and checksums known only afterwards. */
void pack_u32_at(struct buf *b, size_t offset, uint32_t v);
void pack_u64_at(struct buf *b, size_t offset, uint64_t v);

struct unpack {
    struct slice rest;
    bool failed;
};

struct unpack unpack_make(struct slice bytes);
uint8_t unpack_u8(struct unpack *u);
uint16_t unpack_u16(struct unpack *u);
uint32_t unpack_u32(struct unpack *u);
uint64_t unpack_u64(struct unpack *u);
int64_t unpack_i64(struct unpack *u);
struct slice unpack_bytes(struct unpack *u); /* borrowed from the input */
struct slice unpack_raw(struct unpack *u, size_t size);
bool unpack_done(const struct unpack *u); /* nothing failed and nothing is left */

#endif
