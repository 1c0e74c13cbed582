/* Bytes of the log: segment headers and records, all integers little-endian, records padded with
 * zeros to 8 bytes. docs/formats.md has the tables.
 *
 * Header and body of a record have a checksum each. The header's covers the body's, and both name
 * the segment and offset they were written for, so that a record of the segment's former life never
 * passes. That a header can be proven alone lets recovery find the records behind a damaged one in
 * one pass, whatever the damaged one says about its length.
 *
 * A checksum without a key proves nothing about bytes that a client chose, and the values of
 * clients lie in former records. So the segment is named by its id and a random salt: who does not
 * know that cannot write a record that passes.
 */
#include "raft/wal_internal.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mutant.h"

static const uint8_t wal_magic[8] = {'C', 'O', 'O', 'R', 'D', 'W', 'A', 'L'};

#define HEADER_CRC_AT (WAL_HEADER_BYTES - 4)

/* Offsets within a record's header. */
#define AT_CRC               0
#define AT_BODY_CRC          4
#define AT_MARK              8 /* wal_mark: which segment this is a record of */
#define AT_OFFSET            16
#define AT_BODY_BYTES        20
#define AT_WATERMARK_SEGMENT 24 /* the ticket, until sealed */
#define AT_WATERMARK_OFFSET  32
#define AT_TYPE              36

static size_t padded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

/* ---- segment headers ---------------------------------------------------------------------- */

void wal_header_encode(uint8_t out[WAL_HEADER_BYTES], const struct wal_header *h)
{
    struct buf b = {0};
    pack_raw(&b, wal_magic, sizeof wal_magic);
    pack_u32(&b, WAL_FORMAT);
    pack_u32(&b, 0);
    pack_u64(&b, h->segment);
    pack_u64(&b, h->cluster_id);
    pack_u64(&b, h->node_id);
    pack_u64(&b, h->state.term);
    pack_u64(&b, h->state.vote);
    pack_u64(&b, h->state.next_index);
    pack_u64(&b, h->state.reset_index);
    pack_u64(&b, h->state.reset_term);
    pack_u64(&b, h->previous.segment);
    pack_u64(&b, h->previous.offset);
    pack_u64(&b, h->salt);
    pack_u64(&b, h->next_salt);
    memset(buf_extend(&b, HEADER_CRC_AT - b.size), 0, HEADER_CRC_AT - b.size);
    pack_u32(&b, crc32c(0, b.data, b.size));
    POST(b.size == WAL_HEADER_BYTES);
    memcpy(out, b.data, b.size);
    buf_close(&b);
}

enum status wal_header_decode(struct slice bytes, struct wal_header *out)
{
    struct unpack u = unpack_make(bytes);
    struct slice covered = unpack_raw(&u, HEADER_CRC_AT);
    uint32_t crc = unpack_u32(&u);
    if (u.failed || crc32c(0, covered.data, covered.size) != crc) {
        return RC_CORRUPT;
    }
    u = unpack_make(covered);
    if (memcmp(unpack_raw(&u, sizeof wal_magic).data, wal_magic, sizeof wal_magic) != 0) {
        return RC_CORRUPT;
    }
    /* Place and extent of the checksum are the same in all formats to come, so that a newer one is
     * told from a damaged one. */
    uint32_t format = unpack_u32(&u);
    if (format < WAL_FORMAT_MIN || format > WAL_FORMAT) {
        return RC_UNSUPPORTED;
    }
    (void)unpack_u32(&u);
    out->segment = unpack_u64(&u);
    out->cluster_id = unpack_u64(&u);
    out->node_id = unpack_u64(&u);
    out->state.term = unpack_u64(&u);
    out->state.vote = unpack_u64(&u);
    out->state.next_index = unpack_u64(&u);
    out->state.reset_index = unpack_u64(&u);
    out->state.reset_term = unpack_u64(&u);
    out->previous.segment = unpack_u64(&u);
    out->previous.offset = unpack_u64(&u);
    /* Format 1 has zeros here: no salt, and none for the next one. */
    out->salt = unpack_u64(&u);
    out->next_salt = unpack_u64(&u);
    return out->state.next_index > out->state.reset_index ? RC_OK : RC_CORRUPT;
}

/* ---- writing records ---------------------------------------------------------------------- */

size_t wal_record_begin(struct buf *b, enum wal_record_type type)
{
    size_t at = b->size;
    PRE(at % 8 == 0);
    memset(buf_extend(b, WAL_RECORD_HEADER_BYTES), 0, WAL_RECORD_HEADER_BYTES);
    b->data[at + AT_TYPE] = (uint8_t)type;
    return at;
}

void wal_record_end(struct buf *b, size_t at, uint64_t ticket)
{
    size_t body = b->size - at - WAL_RECORD_HEADER_BYTES;
    size_t padding = padded(body) - body;
    memset(buf_extend(b, padding), 0, padding);
    pack_u32_at(b, at + AT_BODY_BYTES, (uint32_t)body);
    pack_u64_at(b, at + AT_WATERMARK_SEGMENT, ticket);
}

static uint64_t u64_at(const uint8_t *data)
{
    struct unpack u = unpack_make(slice_make(data, 8));
    return unpack_u64(&u);
}

static uint32_t u32_at(const uint8_t *data)
{
    struct unpack u = unpack_make(slice_make(data, 4));
    return unpack_u32(&u);
}

struct wal_record wal_record_at(const struct buf *b, size_t at, uint64_t *ticket)
{
    const uint8_t *record = b->data + at;
    size_t body = u32_at(record + AT_BODY_BYTES);
    if (ticket != NULL) {
        *ticket = u64_at(record + AT_WATERMARK_SEGMENT);
    }
    return (struct wal_record){
        .type = record[AT_TYPE],
        .bytes = WAL_RECORD_HEADER_BYTES + padded(body),
        .body = slice_make(record + WAL_RECORD_HEADER_BYTES, body),
    };
}

static uint64_t wal_mark(uint64_t segment, uint64_t salt)
{
    return segment ^ salt;
}

void wal_record_seal(struct buf *b, size_t at, struct wal_position position, uint64_t salt,
                     struct wal_position watermark)
{
    struct wal_record r = wal_record_at(b, at, NULL);
    const uint8_t *record = b->data + at;
    pack_u32_at(b, at + AT_BODY_CRC,
                crc32c(0, record + WAL_RECORD_HEADER_BYTES, r.bytes - WAL_RECORD_HEADER_BYTES));
    pack_u64_at(b, at + AT_MARK, wal_mark(position.segment, salt));
    pack_u32_at(b, at + AT_OFFSET, (uint32_t)position.offset);
    pack_u64_at(b, at + AT_WATERMARK_SEGMENT, watermark.segment);
    pack_u32_at(b, at + AT_WATERMARK_OFFSET, (uint32_t)watermark.offset);
    pack_u32_at(b, at + AT_CRC,
                crc32c(0, record + AT_BODY_CRC, WAL_RECORD_HEADER_BYTES - AT_BODY_CRC));
}

/* ---- reading records ---------------------------------------------------------------------- */

bool wal_record_header(struct slice bytes, struct wal_position position, uint64_t salt,
                       struct wal_record *out)
{
    if (bytes.size < WAL_RECORD_HEADER_BYTES ||
        u32_at(bytes.data + AT_OFFSET) != position.offset ||
        u64_at(bytes.data + AT_MARK) != wal_mark(position.segment, salt)) {
        return false;
    }
    uint32_t crc = crc32c(0, bytes.data + AT_BODY_CRC, WAL_RECORD_HEADER_BYTES - AT_BODY_CRC);
    if (crc != u32_at(bytes.data + AT_CRC) && !MUTANT_IS(MUTANT_TORN_TAIL_ACCEPTED)) {
        return false;
    }
    size_t body = u32_at(bytes.data + AT_BODY_BYTES);
    *out = (struct wal_record){
        .type = bytes.data[AT_TYPE],
        .bytes = WAL_RECORD_HEADER_BYTES + padded(body),
        .watermark = {u64_at(bytes.data + AT_WATERMARK_SEGMENT),
                      u32_at(bytes.data + AT_WATERMARK_OFFSET)},
        .body = {.size = body},
        .body_crc = u32_at(bytes.data + AT_BODY_CRC),
    };
    return true;
}

bool wal_record_body(struct slice bytes, struct wal_record *r)
{
    if (bytes.size < r->bytes) {
        return false;
    }
    const uint8_t *body = bytes.data + WAL_RECORD_HEADER_BYTES;
    r->body.data = body;
    return MUTANT_IS(MUTANT_TORN_TAIL_ACCEPTED) ||
           crc32c(0, body, r->bytes - WAL_RECORD_HEADER_BYTES) == r->body_crc;
}

bool wal_entries_begin(const struct wal_record *r, struct unpack *u, uint64_t *first,
                       uint32_t *count)
{
    *u = unpack_make(r->body);
    *first = unpack_u64(u);
    *count = unpack_u32(u);
    return !u->failed && *first > 0 && *count > 0;
}

bool wal_entry_next(struct unpack *u, struct wal_entry *out)
{
    out->term = unpack_u64(u);
    out->type = unpack_u8(u);
    out->payload = unpack_bytes(u);
    return !u->failed;
}

bool wal_state_apply(struct wal_state *s, const struct wal_record *r)
{
    struct unpack u = unpack_make(r->body);
    uint64_t first;
    uint32_t count;

    switch ((enum wal_record_type)r->type) {
    case WAL_ENTRIES:
        if (!wal_entries_begin(r, &u, &first, &count) || first > s->next_index ||
            first <= s->reset_index) {
            return false;
        }
        s->next_index = first + count;
        return true;
    case WAL_TERM:
        s->term = unpack_u64(&u);
        s->vote = unpack_u64(&u);
        return unpack_done(&u);
    case WAL_RESET:
        s->reset_index = unpack_u64(&u);
        s->reset_term = unpack_u64(&u);
        s->next_index = s->reset_index + 1;
        return unpack_done(&u);
    case WAL_WATERMARK: return r->body.size == 0;
    }
    return false;
}
