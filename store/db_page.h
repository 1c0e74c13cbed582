/* The pages of a SQLite table, as far as reading and writing whole tables needs them: for
 * store/db_scan.c and store/db_bulk.c. The format is public and fixed for good
 * (sqlite.org/fileformat2.html, sections 1.3, 1.5, 1.6 and 2.1); numbers are big-endian.
 *
 *   leaf       u8 0x0d | u16 free block | u16 cells | u16 content | u8 fragments | u16 cell places
 *   interior   u8 0x05 | the same fields | u32 rightmost page | u16 cell places
 *   leaf cell  varint payload bytes | varint rowid | payload, its begin | u32 overflow page if cut
 *   inner cell u32 page | varint greatest rowid in it
 *   overflow   u32 next page | payload, the next piece
 *   record     varint header bytes | varint type of each column | values
 */
#ifndef STORE_DB_PAGE_H
#define STORE_DB_PAGE_H

#include <stddef.h>
#include <stdint.h>

/* Of the files we write. Large pages suit rows of a few hundred bytes written and read in order. */
#define DB_PAGE_BYTES ((size_t)8192)
/* Its end, reserved: store/db_seal.h. */
#define DB_SEAL_BYTES   ((size_t)8)
#define DB_USABLE_BYTES (DB_PAGE_BYTES - DB_SEAL_BYTES)
/* Of one record. A damaged length is refused before memory is asked for. */
#define DB_RECORD_BYTES_MAX ((size_t)256 << 20)

enum { PAGE_INTERIOR = 0x05, PAGE_LEAF = 0x0d };
enum { PAGE_LEAF_HEAD = 8, PAGE_INTERIOR_HEAD = 12, PAGE_CELLS_AT = 3, PAGE_RIGHT_AT = 8 };

/* In the first page: the file's header. */
enum { FILE_PAGE_BYTES_AT = 16, FILE_RESERVED_AT = 20, FILE_PAGES_AT = 28, FILE_ENCODING_AT = 56 };
#define FILE_HEAD_BYTES    ((size_t)100)
#define FILE_ENCODING_UTF8 1
/* The page with this byte stays empty. */
#define FILE_LOCK_BYTE ((uint64_t)1 << 30)

/* Types of values: 0 NULL, 1 to 6 integers of these sizes, 8 and 9 the integers 0 and 1, from 12 on
 * blobs (even) and texts (odd). */
enum { RECORD_NULL = 0, RECORD_I8 = 1, RECORD_I16, RECORD_I24, RECORD_I32, RECORD_I48, RECORD_I64,
       RECORD_ZERO = 8, RECORD_ONE = 9, RECORD_BLOB = 12, RECORD_TEXT = 13 };

#define VARINT_BYTES_MAX 9

static inline uint32_t page_get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t page_get32(const uint8_t *p)
{
    return page_get16(p) << 16 | page_get16(p + 2);
}

static inline void page_put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void page_put32(uint8_t *p, uint32_t v)
{
    page_put16(p, v >> 16);
    page_put16(p + 2, v);
}

/* Seven bits a byte, the highest first; the ninth byte has eight. */
static inline size_t varint_bytes(uint64_t v)
{
    size_t bytes = 1;
    while (v > 0x7f && bytes < VARINT_BYTES_MAX) {
        v >>= 7;
        bytes++;
    }
    return bytes;
}

static inline uint8_t *varint_put(uint8_t *to, uint64_t v)
{
    size_t bytes = varint_bytes(v);
    uint8_t *at = to + bytes;
    if (bytes == VARINT_BYTES_MAX) {
        *--at = (uint8_t)v;
        v >>= 8;
    } else {
        *--at = (uint8_t)(v & 0x7f);
        v >>= 7;
    }
    while (at > to) {
        *--at = (uint8_t)(0x80 | (v & 0x7f));
        v >>= 7;
    }
    return to + bytes;
}

/* The place behind it, NULL if it does not end before `end`. */
static inline const uint8_t *varint_get(const uint8_t *from, const uint8_t *end, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < VARINT_BYTES_MAX && from < end; i++) {
        uint8_t byte = *from++;
        if (i == VARINT_BYTES_MAX - 1) {
            *out = v << 8 | byte;
            return from;
        }
        v = v << 7 | (byte & 0x7f);
        if (byte < 0x80) {
            *out = v;
            return from;
        }
    }
    return NULL;
}

/* How much of a payload is in the leaf; the rest is on overflow pages. `usable`: bytes of a page
 * without its reserved end. */
static inline size_t leaf_local_bytes(size_t usable, size_t payload)
{
    size_t most = usable - 35;
    size_t least = (usable - 12) * 32 / 255 - 23;
    size_t left = least + (payload - least) % (usable - 4);
    return payload <= most ? payload : left <= most ? left : least;
}

#endif
