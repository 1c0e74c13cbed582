/* What wal_open does: reads the segments in the order of their ids, finds where the log ends, and
 * leaves it so that writing can go on there.
 *
 * A segment in use has a valid header. All segments before the last one in use must be whole: each
 * header says where the segment before it ended. In the last one the scan stops at the first bad
 * record. If any record, there or behind, carries a watermark above that place, data that was
 * synced is damaged: RC_CORRUPT. Otherwise it is the torn tail of a write that nobody was told is
 * durable; the rest of the segment is zeroed, since of a write in several pieces later ones may
 * have arrived, valid at their place.
 *
 * What was read may so far be in the page cache only (the process died, or a sync failed and the
 * pages were dropped as clean): the part above the highest watermark is written again and synced
 * before anyone builds on it.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/wal_internal.h"

#define READ_STEP_BYTES ((size_t)256 << 10)
#define READ_HEADER_BYTES ((size_t)4096)

struct wal_scan {
    struct wal *wal;
    struct wal_recovery *found;
    struct errmsg *err;
    uint64_t *spares; /* ids of spare files */
    size_t spare_count;
    struct wal_segment *segments; /* of all wal- files, by id */
    size_t segment_count;
    size_t used_count; /* the first ones, that have been written to */
    struct wal_position watermark; /* highest seen */
    struct buf bytes;  /* of the segment being read, from its begin */
    size_t entry_capacity;
};

void wal_recovery_close(struct wal_recovery *r)
{
    for (size_t i = 0; i < r->storage_count; i++) {
        buf_close(&r->storage[i]);
    }
    mem_free(r->storage);
    mem_free(r->entries);
    *r = (struct wal_recovery){0};
}

__attribute__((format(printf, 4, 5))) static enum status
segment_error(struct wal_scan *s, uint64_t id, enum status rc, const char *format, ...)
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

static enum status segment_io(struct wal_scan *s, uint64_t id, enum status rc, const char *what)
{
    return rc == RC_OK ? RC_OK : segment_error(s, id, rc, "%s: %s", what, status_text(rc));
}

static enum status damaged(struct wal_scan *s, uint64_t id, uint64_t offset, const char *what)
{
    return segment_error(s, id, RC_CORRUPT, "%s at offset %" PRIu64, what, offset);
}

/* ---- the directory ------------------------------------------------------------------------ */

static void list_file(void *context, const char *name, uint64_t bytes)
{
    struct wal_scan *s = context;
    uint64_t id;
    switch (wal_name_parse(name, &id)) {
    case WAL_NAME_SEGMENT:
        s->segments = mem_resize(s->segments, (s->segment_count + 1) * sizeof *s->segments);
        s->segments[s->segment_count++] = (struct wal_segment){.id = id, .capacity = bytes};
        break;
    case WAL_NAME_SPARE:
        s->spares = mem_resize(s->spares, (s->spare_count + 1) * sizeof *s->spares);
        s->spares[s->spare_count++] = id;
        break;
    case WAL_NAME_OTHER: break;
    }
}

static int segment_compare(const void *a, const void *b)
{
    const struct wal_segment *x = a;
    const struct wal_segment *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static enum status list_dir(struct wal_scan *s)
{
    struct wal *w = s->wal;
    /* As with the content of files: a name that is seen need not be durable yet. */
    enum status rc = w->env->disk->sync_dir(w->env, w->dir);
    if (rc == RC_OK) {
        rc = w->env->disk->list(w->env, w->dir, list_file, s);
    }
    if (rc != RC_OK) {
        return errmsg_set(s->err, rc, "list log directory %s: %s", w->dir, status_text(rc));
    }
    if (s->segment_count > 0) {
        qsort(s->segments, s->segment_count, sizeof *s->segments, segment_compare);
    }
    for (size_t i = 1; i < s->segment_count; i++) {
        if (s->segments[i].id != s->segments[i - 1].id + 1) {
            return segment_error(s, s->segments[i - 1].id + 1, RC_CORRUPT, "is missing");
        }
    }
    w->next_id = s->segment_count > 0 ? s->segments[s->segment_count - 1].id + 1 : 1;
    return RC_OK;
}

/* Old segments under way to be used again are kept; one that was being made is not whole. */
static enum status take_spares(struct wal_scan *s)
{
    struct wal *w = s->wal;
    for (size_t i = 0; i < s->spare_count; i++) {
        uint64_t id = s->spares[i];
        if (id < w->next_id && w->spares.count < WAL_SPARES_MAX) {
            wal_segments_push(&w->spares, (struct wal_segment){.id = id});
            continue;
        }
        char *path = wal_path(w->dir, WAL_NAME_SPARE, id);
        enum status rc = w->env->disk->unlink(w->env, path);
        if (rc != RC_OK) {
            (void)errmsg_set(s->err, rc, "remove %s: %s", path, status_text(rc));
        }
        mem_free(path);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

static enum status segment_open(struct wal_scan *s, struct wal_segment *segment)
{
    struct env *env = s->wal->env;
    char *path = wal_path(s->wal->dir, WAL_NAME_SEGMENT, segment->id);
    enum status rc = env->disk->open(env, path, ENV_OPEN_WRITE, &segment->file);
    mem_free(path);
    if (rc != RC_OK) {
        segment->file = NULL;
    }
    return segment_io(s, segment->id, rc, "open");
}

static void segment_close(struct wal_scan *s, struct wal_segment *segment)
{
    if (segment->file != NULL) {
        s->wal->env->disk->close(segment->file);
        segment->file = NULL;
    }
}

/* Makes at least `bytes` from the begin of the segment present, or all there are. */
static enum status need(struct wal_scan *s, struct wal_segment *segment, uint64_t bytes)
{
    while (s->bytes.size < bytes && s->bytes.size < segment->capacity) {
        size_t at = s->bytes.size;
        size_t step = bytes <= READ_HEADER_BYTES ? READ_HEADER_BYTES : READ_STEP_BYTES;
        size_t got;
        enum status rc = s->wal->env->disk->read(segment->file, at, buf_extend(&s->bytes, step),
                                                 step, &got);
        s->bytes.size = at;
        if (rc != RC_OK) {
            return segment_io(s, segment->id, rc, "read");
        }
        if (got == 0) {
            segment->capacity = at; /* shorter than its directory entry said */
        }
        s->bytes.size = at + got;
    }
    return RC_OK;
}

/* ---- headers ------------------------------------------------------------------------------ */

static struct slice bytes_from(const struct wal_scan *s, uint64_t offset)
{
    if (offset >= s->bytes.size) {
        return slice_make(NULL, 0);
    }
    return slice_make(s->bytes.data + offset, s->bytes.size - offset);
}

/* RC_NOT_FOUND: there is no valid header. */
static enum status read_header(struct wal_scan *s, struct wal_segment *segment,
                               struct wal_header *h)
{
    const struct wal_options *o = &s->wal->options;
    buf_clear(&s->bytes);
    enum status rc = need(s, segment, WAL_HEADER_BYTES + WAL_RECORD_HEADER_BYTES);
    if (rc != RC_OK) {
        return rc;
    }
    rc = wal_header_decode(bytes_from(s, 0), h);
    if (rc == RC_UNSUPPORTED) {
        return segment_error(s, segment->id, rc, "written by a newer version of this program");
    }
    if (rc != RC_OK) {
        return RC_NOT_FOUND;
    }
    if (h->cluster_id != o->cluster_id || h->node_id != o->node_id) {
        return segment_error(s, segment->id, RC_INVALID,
                             "belongs to node %016" PRIx64 " of cluster %016" PRIx64
                             ", not to node %016" PRIx64 " of cluster %016" PRIx64,
                             h->node_id, h->cluster_id, o->node_id, o->cluster_id);
    }
    return h->segment == segment->id ? RC_OK : damaged(s, segment->id, 0, "another's header");
}

/* Finds the last segment with a valid header: up to there they are in use. */
static enum status find_used(struct wal_scan *s)
{
    for (size_t i = 0; i < s->segment_count; i++) {
        struct wal_segment *segment = &s->segments[i];
        struct wal_header h;
        struct wal_record r;
        enum status rc = segment_open(s, segment);
        if (rc != RC_OK) {
            return rc;
        }
        rc = read_header(s, segment, &h);
        if (rc == RC_OK && s->used_count < i) {
            return damaged(s, s->segments[s->used_count].id, 0, "damaged header");
        }
        if (rc == RC_OK) {
            s->used_count = i + 1;
            segment_close(s, segment); /* there may be many */
            continue;
        }
        if (rc != RC_NOT_FOUND) {
            return rc;
        }
        /* Headers are durable before the first record. */
        if (wal_record_header(bytes_from(s, WAL_HEADER_BYTES),
                              (struct wal_position){segment->id, WAL_HEADER_BYTES}, &r)) {
            return damaged(s, segment->id, 0, "damaged header");
        }
    }
    /* A new log has one segment until its header is durable. */
    if (s->used_count == 0 && s->segment_count > 0 &&
        (s->segments[0].id != 1 || s->segment_count > 1)) {
        return damaged(s, s->segments[0].id, 0, "damaged header");
    }
    return RC_OK;
}

/* A header must continue what the segments before it say. */
static enum status check_header(struct wal_scan *s, size_t i, const struct wal_header *h)
{
    const struct wal_state *a = &s->wal->placed;
    const struct wal_state *b = &h->state;
    if (i == 0) {
        s->wal->placed = h->state;
        s->found->reset_index = b->reset_index;
        s->found->reset_term = b->reset_term;
        return RC_OK;
    }
    if (h->previous.segment != s->segments[i - 1].id ||
        h->previous.offset != s->segments[i - 1].end || a->term != b->term ||
        a->vote != b->vote || a->next_index != b->next_index ||
        a->reset_index != b->reset_index || a->reset_term != b->reset_term) {
        return damaged(s, h->segment, 0, "header does not continue the segment before it");
    }
    return RC_OK;
}

/* ---- records ------------------------------------------------------------------------------ */

static void saw_watermark(struct wal_scan *s, struct wal_position watermark)
{
    if (wal_position_before(s->watermark, watermark)) {
        s->watermark = watermark;
    }
}

/* Moves segment->end over all good records, at most up to `limit`. */
static enum status find_end(struct wal_scan *s, struct wal_segment *segment, uint64_t limit)
{
    segment->end = WAL_HEADER_BYTES;
    for (;;) {
        struct wal_position at = {segment->id, segment->end};
        struct wal_record r;
        enum status rc = need(s, segment, at.offset + WAL_RECORD_HEADER_BYTES);
        if (rc != RC_OK) {
            return rc;
        }
        if (!wal_record_header(bytes_from(s, at.offset), at, &r) ||
            r.bytes > segment->capacity - at.offset || r.bytes > limit - at.offset) {
            return RC_OK;
        }
        rc = need(s, segment, at.offset + r.bytes);
        if (rc != RC_OK) {
            return rc;
        }
        if (!wal_record_body(bytes_from(s, at.offset), &r)) {
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
        found->entries =
            mem_resize(found->entries, s->entry_capacity * sizeof *found->entries);
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
static enum status take_records(struct wal_scan *s, struct wal_segment *segment)
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
        is_good = wal_record_header(bytes_from(s, offset), at, &r) &&
                  wal_record_body(bytes_from(s, offset), &r) &&
                  wal_state_apply(&s->wal->placed, &r);
        if (is_good && r.type == WAL_ENTRIES) {
            is_good = take_entries(s, segment, &r);
        } else if (is_good && r.type == WAL_RESET) {
            take_reset(s, segment);
        }
        if (!is_good) {
            return damaged(s, segment->id, offset, "record does not continue the log");
        }
        offset += r.bytes;
    }
    found->storage = mem_resize(found->storage,
                                (found->storage_count + 1) * sizeof *found->storage);
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
            if (wal_record_header(slice_make(window + i, rest), at, &r)) {
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
    return segment_io(s, segment->id, rc, "read");
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
    return segment_io(s, segment->id, rc, "write");
}

static enum status end_log(struct wal_scan *s, struct wal_segment *segment)
{
    uint64_t cut_to;
    uint64_t zero_to;
    enum status rc = scan_tail(s, segment, &cut_to, &zero_to);
    if (rc != RC_OK) {
        return rc;
    }
    struct wal_position end = {segment->id, segment->end};
    if (wal_position_before(end, s->watermark)) {
        return segment_error(s, segment->id, RC_CORRUPT,
                             "damaged record at offset %" PRIu64 ", below %" PRIu64
                             " which was synced",
                             segment->end, s->watermark.offset);
    }
    s->found->cut_bytes = cut_to - segment->end;
    return settle_tail(s, segment, zero_to);
}

/* ---- all of it ---------------------------------------------------------------------------- */

static enum status scan_segment(struct wal_scan *s, size_t i)
{
    struct wal_segment *segment = &s->segments[i];
    bool is_last = i + 1 == s->used_count;
    struct wal_header h;
    struct wal_header next;
    enum status rc;

    if (!is_last) {
        /* The next header knows where this segment ended. */
        rc = segment_open(s, &s->segments[i + 1]);
        if (rc == RC_OK) {
            rc = read_header(s, &s->segments[i + 1], &next);
        }
        segment_close(s, &s->segments[i + 1]);
        if (rc != RC_OK) {
            return rc;
        }
    }
    rc = segment_open(s, segment);
    if (rc != RC_OK) {
        return rc;
    }
    rc = read_header(s, segment, &h);
    if (rc == RC_OK) {
        rc = check_header(s, i, &h);
    }
    if (rc == RC_OK) {
        rc = find_end(s, segment, is_last ? segment->capacity : next.previous.offset);
    }
    if (rc == RC_OK && is_last) {
        rc = end_log(s, segment);
    } else if (rc == RC_OK && segment->end != next.previous.offset) {
        rc = damaged(s, segment->id, segment->end, "damaged record");
    }
    if (rc == RC_OK) {
        rc = take_records(s, segment);
    }
    if (!is_last) {
        segment_close(s, segment);
    }
    return rc;
}

/* The first segment of a new log is small, so that a new node starts at once. */
static enum status begin_log(struct wal_scan *s)
{
    struct wal *w = s->wal;
    struct wal_segment first = {.id = 1, .end = WAL_HEADER_BYTES};
    struct wal_header header = {
        .segment = 1,
        .cluster_id = w->options.cluster_id,
        .node_id = w->options.node_id,
        .state = {.next_index = 1},
    };
    uint8_t bytes[WAL_HEADER_BYTES];
    enum status rc = RC_OK;

    if (s->segment_count > 0) {
        first = s->segments[0];
        first.end = WAL_HEADER_BYTES;
        s->segments[0].file = NULL;
        s->used_count = 1;
    } else {
        struct wal_chore make = {
            .env = w->env, .dir = w->dir, .kind = WAL_MAKE_NEW, .id = 1,
            .bytes = w->options.segment_bytes < WAL_FIRST_SEGMENT_BYTES
                         ? w->options.segment_bytes
                         : WAL_FIRST_SEGMENT_BYTES,
        };
        wal_chore_run(&make);
        rc = segment_io(s, 1, make.rc, "create");
        first.file = make.file;
        first.capacity = make.bytes;
        w->next_id = 2;
    }
    if (rc == RC_OK) {
        wal_segments_push(&w->live, first);
        wal_header_encode(bytes, &header);
        rc = w->env->disk->write(first.file, 0, bytes, sizeof bytes);
        if (rc == RC_OK) {
            rc = w->env->disk->sync(first.file);
        }
        rc = segment_io(s, 1, rc, "write header");
    }
    w->placed = header.state;
    return rc;
}

static enum status recover(struct wal_scan *s)
{
    struct wal *w = s->wal;
    enum status rc = list_dir(s);
    if (rc == RC_OK) {
        rc = find_used(s);
    }
    if (rc == RC_OK) {
        rc = take_spares(s);
    }
    if (rc == RC_OK && s->used_count == 0) {
        rc = begin_log(s);
    } else {
        for (size_t i = 0; rc == RC_OK && i < s->used_count; i++) {
            rc = scan_segment(s, i);
        }
    }
    if (rc != RC_OK) {
        return rc;
    }
    for (size_t i = 0; i < s->segment_count; i++) {
        bool is_live = i < s->used_count;
        if (w->live.count == 0 || s->segments[i].id != w->live.items[0].id) {
            wal_segments_push(is_live ? &w->live : &w->ready, s->segments[i]);
        }
        s->segments[i].file = NULL;
    }
    const struct wal_segment *last = &w->live.items[w->live.count - 1];
    w->synced = (struct wal_position){last->id, last->end};
    s->found->term = w->placed.term;
    s->found->vote = w->placed.vote;
    /* One that was made, but crashed before its first record, is as new as none. */
    s->found->is_new = w->live.items[0].id == 1 && w->placed.term == 0 &&
                       w->placed.next_index == 1;
    return RC_OK;
}

enum status wal_recover(struct wal *w, struct wal_recovery *recovery, struct errmsg *err)
{
    struct wal_scan s = {.wal = w, .found = recovery, .err = err};
    enum status rc = recover(&s);
    for (size_t i = 0; i < s.segment_count; i++) {
        segment_close(&s, &s.segments[i]);
    }
    buf_close(&s.bytes);
    mem_free(s.segments);
    mem_free(s.spares);
    if (rc == RC_OK && (recovery->cut_bytes > 0 || recovery->entry_count > 0)) {
        log_info(w->options.log, "wal.recovered",
                 "entries=%zu last_index=%" PRIu64 " term=%" PRIu64 " cut_bytes=%" PRIu64,
                 recovery->entry_count, w->placed.next_index - 1, recovery->term,
                 recovery->cut_bytes);
    }
    return rc;
}
