/* The scan of one segment: where its records end, what they say, and the tail of the last one.
 * wal_recover.c says what is done with it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "raft/wal_internal.h"

#define READ_STEP_BYTES   ((size_t)256 << 10)
#define READ_HEADER_BYTES ((size_t)4096)

/* ---- errors ------------------------------------------------------------------------------- */

enum status wal_scan_error(struct wal_scan *s, uint64_t id, enum status rc, const char *format,
                           ...)
{
    char name[WAL_NAME_BYTES];
    char text[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wal_name_print(name, WAL_NAME_SEGMENT, id);
    return errmsg_set(s->err, rc, "log segment %s: %s", name, text);
}

enum status wal_scan_io(struct wal_scan *s, uint64_t id, enum status rc, const char *what)
{
    return rc == RC_OK ? RC_OK : wal_scan_error(s, id, rc, "%s: %s", what, status_text(rc));
}

enum status wal_scan_damaged(struct wal_scan *s, uint64_t id, uint64_t offset, const char *what)
{
    return wal_scan_error(s, id, RC_CORRUPT, "%s at offset %" PRIu64, what, offset);
}

/* ---- bytes -------------------------------------------------------------------------------- */

/* Makes at least `bytes` from the begin of the segment present, or all there are. */
enum status wal_scan_need(struct wal_scan *s, struct wal_segment *segment, uint64_t bytes)
{
    while (s->bytes.size < bytes && s->bytes.size < segment->capacity) {
        size_t at = s->bytes.size;
        size_t step = bytes <= READ_HEADER_BYTES ? READ_HEADER_BYTES : READ_STEP_BYTES;
        size_t got;
        enum status rc =
            s->wal->env->disk->read(segment->file, at, buf_extend(&s->bytes, step), step, &got);
        s->bytes.size = at;
        if (rc != RC_OK) {
            return wal_scan_io(s, segment->id, rc, "read");
        }
        if (got == 0) {
            segment->capacity = at; /* shorter than its directory entry said */
        }
        s->bytes.size = at + got;
    }
    return RC_OK;
}

struct slice wal_scan_bytes(const struct wal_scan *s, uint64_t offset)
{
    if (offset >= s->bytes.size) {
        return slice_make(NULL, 0);
    }
    return slice_make(s->bytes.data + offset, s->bytes.size - offset);
}

/* ---- records ------------------------------------------------------------------------------ */

static void saw_watermark(struct wal_scan *s, struct wal_position watermark)
{
    if (wal_position_before(s->watermark, watermark)) {
        s->watermark = watermark;
    }
}

/* Moves segment->end over all good records, at most up to `limit`. */
enum status wal_scan_find_end(struct wal_scan *s, struct wal_segment *segment, uint64_t limit)
{
    segment->end = WAL_HEADER_BYTES;
    for (;;) {
        struct wal_position at = {segment->id, segment->end};
        struct wal_record r;
        enum status rc = wal_scan_need(s, segment, at.offset + WAL_RECORD_HEADER_BYTES);
        if (rc != RC_OK) {
            return rc;
        }
        if (!wal_record_header(wal_scan_bytes(s, at.offset), at, segment->salt, &r) ||
            r.bytes > segment->capacity - at.offset || r.bytes > limit - at.offset) {
            return RC_OK;
        }
        rc = wal_scan_need(s, segment, at.offset + r.bytes);
        if (rc != RC_OK) {
            return rc;
        }
        if (!wal_record_body(wal_scan_bytes(s, at.offset), &r)) {
            return RC_OK;
        }
        saw_watermark(s, r.watermark);
        segment->end += r.bytes;
    }
}

static void drop_entries_from(struct wal_recovery *found, uint64_t index)
{
    if (found->entry_count > 0) {
        uint64_t first = found->entries[0].index;
        uint64_t kept = index > first ? index - first : 0;
        if (kept < found->entry_count) {
            found->entry_count = (size_t)kept;
        }
    }
}

static bool take_entries(struct wal_scan *s, struct wal_segment *segment,
                         const struct wal_record *r)
{
    struct wal_recovery *found = s->found;
    struct unpack u;
    uint64_t first;
    uint32_t count;

    if (!wal_entries_begin(r, &u, &first, &count) || count > r->body.size) {
        return false;
    }
    drop_entries_from(found, first);
    if (found->entry_count + count > s->entry_capacity) {
        s->entry_capacity = (found->entry_count + count) * 2;
        found->entries = mem_resize(found->entries, s->entry_capacity * sizeof *found->entries);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct wal_entry *e = &found->entries[found->entry_count++];
        e->index = first + i;
        if (!wal_entry_next(&u, e)) {
            return false;
        }
    }
    if (segment->max_index < first + count - 1) {
        segment->max_index = first + count - 1;
    }
    return unpack_done(&u);
}

/* A reset makes all before it void, in this segment and in those before. */
static void take_reset(struct wal_scan *s, struct wal_segment *segment)
{
    s->found->entry_count = 0;
    s->found->reset_index = s->wal->placed.reset_index;
    s->found->reset_term = s->wal->placed.reset_term;
    for (struct wal_segment *each = s->segments; each <= segment; each++) {
        each->max_index = 0;
    }
}

/* Carries out the records up to segment->end. Entries point into `bytes`, which becomes storage. */
enum status wal_scan_take(struct wal_scan *s, struct wal_segment *segment)
{
    struct wal_recovery *found = s->found;
    uint64_t offset = WAL_HEADER_BYTES;
    bool is_good = true;

    s->bytes.size = (size_t)segment->end;
    s->bytes.capacity = s->bytes.size;
    s->bytes.data = mem_resize(s->bytes.data, s->bytes.size);
    while (offset < segment->end) {
        struct wal_position at = {segment->id, offset};
        struct wal_record r;
        is_good = wal_record_header(wal_scan_bytes(s, offset), at, segment->salt, &r) &&
                  wal_record_body(wal_scan_bytes(s, offset), &r) &&
                  wal_state_apply(&s->wal->placed, &r);
        if (is_good && r.type == WAL_ENTRIES) {
            is_good = take_entries(s, segment, &r);
        } else if (is_good && r.type == WAL_RESET) {
            take_reset(s, segment);
        }
        if (!is_good) {
            return wal_scan_damaged(s, segment->id, offset, "record does not continue the log");
        }
        offset += r.bytes;
    }
    found->storage =
        mem_resize(found->storage, (found->storage_count + 1) * sizeof *found->storage);
    found->storage[found->storage_count++] = s->bytes;
    s->bytes = (struct buf){0};
    return RC_OK;
}

/* ---- the tail ----------------------------------------------------------------------------- */

/* Looks at everything behind the last good record. Finds watermarks of records there, how far such
 * records reach, and the last byte that is not zero. */
static enum status scan_tail(struct wal_scan *s, struct wal_segment *segment, uint64_t *cut_to,
                             uint64_t *zero_to)
{
    const struct env_disk *disk = s->wal->env->disk;
    uint8_t *window = mem_alloc(READ_STEP_BYTES);
    uint64_t offset = segment->end;
    enum status rc = RC_OK;

    *cut_to = segment->end;
    *zero_to = segment->end;
    while (rc == RC_OK && offset < segment->capacity) {
        size_t got;
        rc = disk->read(segment->file, offset, window, READ_STEP_BYTES, &got);
        if (rc != RC_OK || got == 0) {
            break;
        }
        for (size_t i = 0; i < got; i += 8) {
            struct wal_position at = {segment->id, offset + i};
            struct wal_record r;
            static const uint8_t zeros[8] = {0};
            size_t rest = got - i;
            if (memcmp(window + i, zeros, rest < 8 ? rest : 8) == 0) {
                continue;
            }
            *zero_to = offset + i + (rest < 8 ? rest : 8);
            if (wal_record_header(slice_make(window + i, rest), at, segment->salt, &r)) {
                saw_watermark(s, r.watermark);
                *cut_to = at.offset + r.bytes;
            }
        }
        /* A header across two windows is seen in the second one. */
        size_t overlap = got == READ_STEP_BYTES ? WAL_RECORD_HEADER_BYTES : 0;
        offset += got - overlap;
        if (overlap == 0) {
            break;
        }
    }
    mem_free(window);
    return wal_scan_io(s, segment->id, rc, "read");
}

/* Of several ready segments only the first can have a torn header: the next one's is written when
 * that one is whole. The others must be as they were made. */
static enum status scan_untouched(struct wal_scan *s, struct wal_segment *segment)
{
    for (size_t i = 0; i < s->bytes.size && i < WAL_HEADER_BYTES; i++) {
        if (s->bytes.data[i] != 0) {
            return wal_scan_damaged(s, segment->id, 0, "damaged header");
        }
    }
    return RC_OK;
}

enum status wal_scan_headless(struct wal_scan *s, struct wal_segment *segment, bool is_next)
{
    uint64_t records_to;
    uint64_t bytes_to;
    if (!is_next && segment->id != 1) {
        return scan_untouched(s, segment);
    }
    segment->end = WAL_HEADER_BYTES;
    segment->salt = s->wal->next_salt;
    enum status rc = scan_tail(s, segment, &records_to, &bytes_to);
    /* The first one has no former life: nothing at all may be there. */
    uint64_t to = segment->id == 1 ? bytes_to : records_to;
    if (rc == RC_OK && to > segment->end) {
        rc = wal_scan_damaged(s, segment->id, 0, "damaged header");
    }
    return rc;
}

/* Makes what was read durable, and nothing of what lies behind it valid. */
static enum status settle_tail(struct wal_scan *s, struct wal_segment *segment,
                               uint64_t zero_to)
{
    const struct env_disk *disk = s->wal->env->disk;
    uint64_t from = s->watermark.segment == segment->id ? s->watermark.offset : 0;
    enum status rc = RC_OK;

    if (from < segment->end) {
        rc = disk->write(segment->file, from, s->bytes.data + from,
                         (size_t)(segment->end - from));
    }
    if (rc == RC_OK) {
        rc = wal_zero(s->wal->env, segment->file, segment->end, zero_to);
    }
    if (rc == RC_OK) {
        rc = disk->sync(segment->file);
    }
    return wal_scan_io(s, segment->id, rc, "write");
}

enum status wal_scan_end(struct wal_scan *s, struct wal_segment *segment)
{
    uint64_t cut_to;
    uint64_t zero_to;
    enum status rc = scan_tail(s, segment, &cut_to, &zero_to);
    if (rc != RC_OK) {
        return rc;
    }
    struct wal_position end = {segment->id, segment->end};
    if (wal_position_before(end, s->watermark)) {
        return wal_scan_error(s, segment->id, RC_CORRUPT,
                              "damaged record at offset %" PRIu64 ", below %" PRIu64
                              " which was synced",
                              segment->end, s->watermark.offset);
    }
    s->found->cut_bytes = cut_to - segment->end;
    return s->is_read_only ? RC_OK : settle_tail(s, segment, zero_to);
}
