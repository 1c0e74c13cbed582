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
#include <stdlib.h>

#include "base/mem.h"
#include "raft/wal_internal.h"

void wal_recovery_close(struct wal_recovery *r)
{
    for (size_t i = 0; i < r->storage_count; i++) {
        buf_close(&r->storage[i]);
    }
    mem_free(r->storage);
    mem_free(r->entries);
    *r = (struct wal_recovery){0};
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
    enum status rc = s->is_read_only ? RC_OK : w->env->disk->sync_dir(w->env, w->dir);
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
            return wal_scan_error(s, s->segments[i - 1].id + 1, RC_CORRUPT, "is missing");
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
    int flags = s->is_read_only ? ENV_OPEN_READ : ENV_OPEN_WRITE;
    enum status rc = env->disk->open(env, path, flags, &segment->file);
    mem_free(path);
    if (rc != RC_OK) {
        segment->file = NULL;
    }
    return wal_scan_io(s, segment->id, rc, "open");
}

static void segment_close(struct wal_scan *s, struct wal_segment *segment)
{
    if (segment->file != NULL) {
        s->wal->env->disk->close(segment->file);
        segment->file = NULL;
    }
}

/* ---- headers ------------------------------------------------------------------------------ */

/* RC_NOT_FOUND: there is no valid header. */
static enum status read_header(struct wal_scan *s, struct wal_segment *segment,
                               struct wal_header *h)
{
    const struct wal_options *o = &s->wal->options;
    buf_clear(&s->bytes);
    enum status rc = wal_scan_need(s, segment, WAL_HEADER_BYTES + WAL_RECORD_HEADER_BYTES);
    if (rc != RC_OK) {
        return rc;
    }
    rc = wal_header_decode(wal_scan_bytes(s, 0), h);
    if (rc == RC_UNSUPPORTED) {
        return wal_scan_error(s, segment->id, rc, "written by a newer version of this program");
    }
    if (rc != RC_OK) {
        return RC_NOT_FOUND;
    }
    if (h->cluster_id != o->cluster_id || h->node_id != o->node_id) {
        return wal_scan_error(s, segment->id, RC_INVALID,
                              "belongs to node %016" PRIx64 " of cluster %016" PRIx64
                              ", not to node %016" PRIx64 " of cluster %016" PRIx64,
                              h->node_id, h->cluster_id, o->node_id, o->cluster_id);
    }
    return h->segment == segment->id ? RC_OK
                                     : wal_scan_damaged(s, segment->id, 0, "another's header");
}

/* Finds the last segment with a valid header: up to there they are in use. */
static enum status find_used(struct wal_scan *s)
{
    for (size_t i = 0; i < s->segment_count; i++) {
        struct wal_segment *segment = &s->segments[i];
        struct wal_header h;
        enum status rc = segment_open(s, segment);
        if (rc != RC_OK) {
            return rc;
        }
        rc = read_header(s, segment, &h);
        if (rc == RC_OK && s->used_count < i) {
            return wal_scan_damaged(s, s->segments[s->used_count].id, 0, "damaged header");
        }
        if (rc == RC_OK) {
            s->used_count = i + 1;
            s->wal->next_salt = h.next_salt;
            segment_close(s, segment); /* there may be many */
            continue;
        }
        if (rc != RC_NOT_FOUND) {
            return rc;
        }
        rc = wal_scan_headless(s, segment, i > 0 && i == s->used_count);
        if (rc != RC_OK) {
            return rc;
        }
    }
    /* A new log has one segment until its header is durable. */
    if (s->used_count == 0 && s->segment_count > 0 &&
        (s->segments[0].id != 1 || s->segment_count > 1)) {
        return wal_scan_damaged(s, s->segments[0].id, 0, "damaged header");
    }
    return RC_OK;
}

/* A header must continue what the segments before it say. */
static enum status check_header(struct wal_scan *s, size_t i, const struct wal_header *h)
{
    const struct wal_state *a = &s->wal->placed;
    const struct wal_state *b = &h->state;
    uint64_t salt = s->wal->next_salt; /* as the header before this one has it */
    s->segments[i].salt = h->salt;
    s->wal->next_salt = h->next_salt;
    if (i == 0) {
        s->wal->placed = h->state;
        s->found->reset_index = b->reset_index;
        s->found->reset_term = b->reset_term;
        return RC_OK;
    }
    if (h->previous.segment != s->segments[i - 1].id ||
        h->previous.offset != s->segments[i - 1].end || h->salt != salt || a->term != b->term ||
        a->vote != b->vote || a->next_index != b->next_index ||
        a->reset_index != b->reset_index || a->reset_term != b->reset_term) {
        return wal_scan_damaged(s, h->segment, 0,
                                "header does not continue the segment before it");
    }
    return RC_OK;
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
        rc = wal_scan_find_end(s, segment, is_last ? segment->capacity : next.previous.offset);
    }
    if (rc == RC_OK && is_last) {
        rc = wal_scan_end(s, segment);
    } else if (rc == RC_OK && segment->end != next.previous.offset) {
        rc = wal_scan_damaged(s, segment->id, segment->end, "damaged record");
    }
    if (rc == RC_OK) {
        rc = wal_scan_take(s, segment);
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
    const struct wal_header header = {
        .segment = 1,
        .cluster_id = w->options.cluster_id,
        .node_id = w->options.node_id,
        .state = {.next_index = 1},
        .salt = env_random_u64(w->env),
        .next_salt = env_random_u64(w->env),
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
            .env = w->env,
            .dir = w->dir,
            .kind = WAL_MAKE_NEW,
            .id = 1,
            .bytes = w->options.segment_bytes < WAL_FIRST_SEGMENT_BYTES
                         ? w->options.segment_bytes
                         : WAL_FIRST_SEGMENT_BYTES,
        };
        wal_chore_run(&make);
        rc = wal_scan_io(s, 1, make.rc, "create");
        first.file = make.file;
        first.capacity = make.bytes;
        w->next_id = 2;
    }
    first.salt = header.salt;
    w->next_salt = header.next_salt;
    if (rc == RC_OK) {
        wal_segments_push(&w->live, first);
        wal_header_encode(bytes, &header);
        rc = w->env->disk->write(first.file, 0, bytes, sizeof bytes);
        if (rc == RC_OK) {
            rc = w->env->disk->sync(first.file);
        }
        rc = wal_scan_io(s, 1, rc, "write header");
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
    if (rc == RC_OK && !s->is_read_only) {
        rc = take_spares(s);
    }
    if (rc == RC_OK && s->used_count == 0 && s->is_read_only) {
        s->found->is_new = true;
        return RC_OK;
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
    s->found->is_new =
        w->live.items[0].id == 1 && w->placed.term == 0 && w->placed.next_index == 1;
    return RC_OK;
}

static enum status scan(struct wal_scan *s)
{
    enum status rc = recover(s);
    for (size_t i = 0; i < s->segment_count; i++) {
        segment_close(s, &s->segments[i]);
    }
    buf_close(&s->bytes);
    mem_free(s->segments);
    mem_free(s->spares);
    return rc;
}

enum status wal_recover(struct wal *w, struct wal_recovery *recovery, struct errmsg *err)
{
    struct wal_scan s = {.wal = w, .found = recovery, .err = err};
    enum status rc = scan(&s);
    if (rc == RC_OK && (recovery->cut_bytes > 0 || recovery->entry_count > 0)) {
        log_info(w->options.log, "wal.recovered",
                 "entries=%zu last_index=%" PRIu64 " term=%" PRIu64 " cut_bytes=%" PRIu64,
                 recovery->entry_count, w->placed.next_index - 1, recovery->term,
                 recovery->cut_bytes);
    }
    return rc;
}

/* ---- offline ------------------------------------------------------------------------------ */

enum status wal_read(struct env *env, const char *dir, const struct wal_options *options,
                     struct wal_recovery *recovery, struct errmsg *err)
{
    struct wal w = {.env = env, .dir = mem_strdup(dir), .options = *options};
    struct wal_scan s = {.wal = &w, .found = recovery, .err = err, .is_read_only = true};
    *recovery = (struct wal_recovery){0};
    enum status rc = scan(&s);
    wal_segments_close(&w.live, env);
    wal_segments_close(&w.ready, env);
    mem_free(w.dir);
    if (rc != RC_OK) {
        wal_recovery_close(recovery);
    }
    return rc;
}

enum status wal_create(struct env *env, const char *dir, const struct wal_options *options,
                       uint64_t index, uint64_t term, struct errmsg *err)
{
    uint8_t bytes[WAL_HEADER_BYTES];
    const struct wal_header header = {
        .segment = 1,
        .cluster_id = options->cluster_id,
        .node_id = options->node_id,
        .state = {.term = term,
                  .next_index = index + 1,
                  .reset_index = index,
                  .reset_term = term},
        .salt = env_random_u64(env),
        .next_salt = env_random_u64(env),
    };
    struct wal_chore make = {.env = env,
                             .dir = dir,
                             .kind = WAL_MAKE_NEW,
                             .id = 1,
                             .bytes = WAL_FIRST_SEGMENT_BYTES};
    enum status rc = env->disk->mkdir(env, dir);
    if (rc == RC_OK) {
        wal_chore_run(&make);
        rc = make.rc;
    }
    if (rc == RC_OK) {
        wal_header_encode(bytes, &header);
        rc = env->disk->write(make.file, 0, bytes, sizeof bytes);
        rc = rc == RC_OK ? env->disk->sync(make.file) : rc;
        env->disk->close(make.file);
    }
    return rc == RC_OK ? RC_OK
                       : errmsg_set(err, rc, "create log in %s: %s", dir, status_text(rc));
}
