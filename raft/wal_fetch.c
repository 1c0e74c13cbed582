/* Entries read back from the segments while the log is in use.
 *
 * A worker walks over the records from the begin of the first segment that can have the wanted
 * entries, or from where the last fetch ended, and takes them by index and term. Nothing protects
 * a segment from being retired meanwhile: then its file is gone, or what is read there is no record
 * of it any more, since each record names its segment. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "raft/wal_internal.h"

#define READ_STEP_BYTES ((size_t)1 << 20)

/* The file as far as it is in `f->bytes`, which begin at `base`. */
struct reader {
    struct wal_fetch *f;
    struct env_file *file;
    struct wal_position at;
    uint64_t end; /* of the segment */
    uint64_t salt;
    uint64_t base;
};

/* What is there from the position on: at least so many bytes, or the rest of the segment. */
static enum status reader_need(struct reader *r, size_t bytes, struct slice *out)
{
    struct buf *b = &r->f->bytes;
    uint64_t left = r->end - r->at.offset;
    bytes = bytes < left ? bytes : (size_t)left;
    if (r->at.offset < r->base || r->at.offset + bytes > r->base + b->size) {
        size_t wanted = bytes > READ_STEP_BYTES ? bytes : READ_STEP_BYTES;
        wanted = wanted < left ? wanted : (size_t)left;
        buf_clear(b);
        r->base = r->at.offset;
        while (b->size < wanted) {
            size_t at = b->size;
            size_t got = 0;
            void *to = buf_extend(b, wanted - at);
            enum status rc =
                r->f->env->disk->read(r->file, r->base + at, to, wanted - at, &got);
            b->size = at + got;
            if (rc != RC_OK || got == 0) {
                return rc != RC_OK ? rc : RC_NOT_FOUND;
            }
        }
    }
    size_t skip = (size_t)(r->at.offset - r->base);
    *out = slice_make(b->data + skip, b->size - skip);
    return RC_OK;
}

static void take_record(struct wal_fetch *f, const struct wal_record *record)
{
    struct unpack u;
    uint64_t first;
    uint32_t count;
    if (!wal_entries_begin(record, &u, &first, &count)) {
        return;
    }
    for (uint64_t index = first; index < first + count && f->found < f->count; index++) {
        struct wal_entry entry;
        if (!wal_entry_next(&u, &entry)) {
            return;
        }
        if (index == f->first + f->found && entry.term == f->terms[f->found]) {
            entry.index = index;
            entry.payload = arena_copy(&f->payloads, entry.payload);
            f->entries[f->found++] = entry;
        }
    }
}

static enum status take_records(struct wal_fetch *f, struct reader *r)
{
    while (f->found < f->count && r->at.offset + WAL_RECORD_HEADER_BYTES <= r->end) {
        struct wal_record record;
        struct slice bytes;
        enum status rc = reader_need(r, WAL_RECORD_HEADER_BYTES, &bytes);
        if (rc != RC_OK) {
            return rc;
        }
        if (!wal_record_header(bytes, r->at, r->salt, &record) ||
            record.bytes > r->end - r->at.offset) {
            return RC_NOT_FOUND;
        }
        rc = reader_need(r, record.bytes, &bytes);
        if (rc != RC_OK) {
            return rc;
        }
        if (!wal_record_body(bytes, &record)) {
            return RC_NOT_FOUND;
        }
        if (record.type == WAL_ENTRIES) {
            take_record(f, &record);
            f->ended = r->at; /* the next ones may be in the same record */
        }
        r->at.offset += record.bytes;
    }
    return RC_OK;
}

static enum status take_segment(struct wal_fetch *f, const struct wal_span *span)
{
    struct reader r = {.f = f,
                       .at = span->begin,
                       .end = span->end,
                       .salt = span->salt,
                       .base = span->begin.offset};
    char *path = wal_path(f->dir, WAL_NAME_SEGMENT, span->begin.segment);
    enum status rc = f->env->disk->open(f->env, path, 0, &r.file);
    mem_free(path);
    if (rc == RC_OK) {
        buf_clear(&f->bytes);
        rc = take_records(f, &r);
        f->env->disk->close(r.file);
    }
    return rc;
}

static void fetch_run(struct env_job *job)
{
    struct wal_fetch *f = (struct wal_fetch *)(void *)job;
    f->rc = RC_OK;
    for (size_t i = 0; i < f->span_count && f->found < f->count && f->rc == RC_OK; i++) {
        f->rc = take_segment(f, &f->spans[i]);
    }
    if (f->found > 0) {
        f->rc = RC_OK; /* the rest can be asked for again */
    } else if (f->rc == RC_OK) {
        f->rc = RC_NOT_FOUND;
    }
    buf_close(&f->bytes);
}

void wal_fetch_close(struct wal_fetch *f)
{
    buf_close(&f->bytes);
    arena_close(&f->payloads);
    mem_free(f->terms);
    mem_free(f->entries);
    mem_free(f->spans);
    *f = (struct wal_fetch){.ended = f->ended, .next_index = f->next_index};
}

static void fetch_done(struct env_job *job)
{
    struct wal *w = LIST_OF(job, struct wal, fetch);
    struct wal_fetch *f = &w->fetch;
    w->is_fetching = false;
    f->next_index = f->found > 0 ? f->first + f->found : 0;
    f->done(w->context, f->rc, f->entries, f->found);
    wal_fetch_close(f);
}

/* Which parts of which segments may have them. */
static void find_spans(const struct wal *w, struct wal_fetch *f)
{
    f->spans = mem_alloc(w->live.count * sizeof *f->spans);
    for (size_t i = 0; i < w->live.count; i++) {
        const struct wal_segment *s = &w->live.items[i];
        bool is_known = f->first == f->next_index;
        bool is_behind = s->id < f->ended.segment;
        if (s->max_index < f->first || (is_known && is_behind)) {
            continue;
        }
        uint64_t begin =
            is_known && s->id == f->ended.segment ? f->ended.offset : WAL_HEADER_BYTES;
        f->spans[f->span_count++] = (struct wal_span){{s->id, begin}, s->end, s->salt};
    }
}

void wal_fetch(struct wal *w, uint64_t first, const uint64_t *terms, size_t count,
               wal_fetched_fn done)
{
    struct wal_fetch *f = &w->fetch;
    PRE(count > 0 && !w->is_fetching);
    if (w->fetch_queue == NULL) {
        w->fetch_queue = w->env->queue_open(w->env, "wal-fetch");
    }
    f->env = w->env;
    f->dir = w->dir;
    f->first = first;
    f->count = count;
    f->terms = mem_dup(terms, count * sizeof *terms);
    f->entries = mem_alloc(count * sizeof *f->entries);
    f->done = done;
    find_spans(w, f);
    f->job = (struct env_job){.run = fetch_run, .done = fetch_done};
    w->is_fetching = true;
    w->env->queue_submit(w->fetch_queue, &f->job);
}

bool wal_is_fetching(const struct wal *w)
{
    return w->is_fetching;
}
