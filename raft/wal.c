/* The write-ahead log: the calls of raft/wal.h, the open batch, and the job that writes it.
 *
 *   call -(record, unsealed)-> open -(wal_flush: placed)-> batch -(worker: sealed, written,
 *   synced)-> durable
 *
 * Records get their place in a segment only when their batch is handed over. So there is one owner
 * of every byte at any time: the loop of the open buffer, the worker of the batch in flight.
 */
#include "raft/wal.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/wal_internal.h"

/* ---- open and close ----------------------------------------------------------------------- */

static void register_metrics(struct wal *w)
{
    struct metrics *m = w->options.metrics;
    if (m == NULL) {
        return;
    }
    w->bytes_metric = metrics_counter(m, "coord_wal_written_bytes_total", NULL,
                                      "Bytes of records written to the log");
    w->batches_metric = metrics_counter(m, "coord_wal_batches_total", NULL,
                                        "Batches of records written and synced");
    w->pending_metric = metrics_gauge(m, "coord_wal_pending_bytes", NULL,
                                      "Bytes of records that wait for the write in flight");
    w->ready_metric =
        metrics_gauge(m, "coord_wal_ready_segments", NULL, "Segments made ahead of their use");
    w->fsync_metric = metrics_histogram(m, "coord_wal_fsync_seconds", NULL,
                                        "Time to make one batch of records durable");
}

enum status wal_open(struct env *env, const char *dir, const struct wal_options *options,
                     const struct wal_events *events, void *context, struct wal **out,
                     struct wal_recovery *recovery, struct errmsg *err)
{
    PRE(options->segment_bytes == 0 || (options->segment_bytes >= WAL_SEGMENT_BYTES_MIN &&
                                        options->segment_bytes <= WAL_SEGMENT_BYTES_MAX));
    struct wal *w = mem_zalloc(sizeof *w);
    *out = NULL;
    w->env = env;
    w->dir = mem_strdup(dir);
    w->options = *options;
    w->events = *events;
    w->context = context;
    w->needed_index = 1;
    w->batch.env = env;
    if (w->options.segment_bytes == 0) {
        w->options.segment_bytes = WAL_SEGMENT_BYTES;
    }
    register_metrics(w);

    *recovery = (struct wal_recovery){0};
    enum status rc = wal_recover(w, recovery, err);
    if (rc != RC_OK) {
        wal_recovery_close(recovery);
        wal_close(w);
        return rc;
    }
    w->appended = w->placed;
    w->idle_since_ms = env->now_ms(env);
    w->record_queue = env->queue_open(env, "wal");
    w->chore_queue = env->queue_open(env, "wal-segments");
    metric_set(w->ready_metric, (int64_t)w->ready.count);
    wal_provide(w);
    *out = w;
    return RC_OK;
}

void wal_close(struct wal *w)
{
    if (w == NULL) {
        return;
    }
    if (w->record_queue != NULL) {
        w->env->queue_close(w->record_queue);
        w->env->queue_close(w->chore_queue);
    }
    if (w->fetch_queue != NULL) {
        w->env->queue_close(w->fetch_queue);
    }
    wal_fetch_close(&w->fetch);
    if (w->is_on_chore && w->chore.file != NULL) {
        w->env->disk->close(w->chore.file);
    }
    wal_segments_close(&w->live, w->env);
    wal_segments_close(&w->ready, w->env);
    wal_segments_close(&w->retired, w->env);
    wal_segments_close(&w->spares, w->env);
    buf_close(&w->batch.bytes);
    buf_close(&w->open);
    mem_free(w->dir);
    mem_free(w);
}

/* ---- appending ---------------------------------------------------------------------------- */

/* Ends the record that began at `at` and carries it into the state of what was appended. */
static void record_appended(struct wal *w, size_t at, uint64_t ticket)
{
    wal_record_end(&w->open, at, ticket);
    struct wal_record r = wal_record_at(&w->open, at, NULL);
    bool is_contiguous = wal_state_apply(&w->appended, &r);
    INVARIANT(18, is_contiguous);
    metric_set(w->pending_metric, (int64_t)w->open.size);
}

uint64_t wal_set_term(struct wal *w, uint64_t term, uint64_t vote)
{
    INVARIANT(19, term >= w->appended.term);
    uint64_t ticket = ++w->ticket;
    size_t at;
    if (MUTANT_IS(MUTANT_VOTE_NOT_PERSISTED)) {
        at = wal_record_begin(&w->open, WAL_WATERMARK);
    } else {
        at = wal_record_begin(&w->open, WAL_TERM);
        pack_u64(&w->open, term);
        pack_u64(&w->open, vote);
    }
    record_appended(w, at, ticket);
    return ticket;
}

uint64_t wal_append(struct wal *w, const struct wal_entry *entries, size_t count)
{
    PRE(count > 0 && entries[0].index > w->appended.reset_index);
    PRE(entries[0].index <= w->appended.next_index);
    uint64_t ticket = w->ticket + 1;
    size_t done = 0;
    while (done < count) {
        size_t first = done;
        size_t at = wal_record_begin(&w->open, WAL_ENTRIES);
        pack_u64(&w->open, entries[first].index);
        size_t count_at = w->open.size;
        pack_u32(&w->open, 0);
        do {
            const struct wal_entry *e = &entries[done];
            PRE(e->index == entries[0].index + done && e->payload.size <= WAL_RECORD_BYTES_MAX);
            pack_u64(&w->open, e->term);
            pack_u8(&w->open, e->type);
            pack_bytes(&w->open, e->payload);
            done++;
        } while (done < count &&
                 w->open.size - at + entries[done].payload.size <= WAL_ENTRIES_BYTES);
        pack_u32_at(&w->open, count_at, (uint32_t)(done - first));
        /* Only with the last record is this call durable; the ones before say what was. */
        record_appended(w, at, done == count ? ticket : ticket - 1);
    }
    return w->ticket = ticket;
}

uint64_t wal_reset(struct wal *w, uint64_t index, uint64_t term)
{
    PRE(index > 0);
    uint64_t ticket = ++w->ticket;
    size_t at = wal_record_begin(&w->open, WAL_RESET);
    pack_u64(&w->open, index);
    pack_u64(&w->open, term);
    record_appended(w, at, ticket);
    return ticket;
}

void wal_compact(struct wal *w, uint64_t first_index)
{
    if (first_index > w->needed_index) {
        w->needed_index = first_index;
    }
    wal_retire(w);
}

/* ---- placing ------------------------------------------------------------------------------ */

static struct wal_segment *active_segment(struct wal *w)
{
    return &w->live.items[w->live.count - 1];
}

static bool record_fits(const struct wal *w, const struct wal_segment *s, size_t bytes)
{
    /* One that is larger than any segment grows a fresh one. */
    bool is_oversize = bytes > w->options.segment_bytes - WAL_HEADER_BYTES;
    return s->end + bytes <= s->capacity || (is_oversize && s->end == WAL_HEADER_BYTES);
}

/* Entries never take the last ready segment: it is kept for term, vote and reset, so that a node
 * can follow and vote while its disk is full. */
static bool may_start_segment(const struct wal *w, uint8_t type)
{
    return w->ready.count > (type == WAL_ENTRIES ? 1U : 0U) &&
           w->batch.run_count < WAL_RUNS_MAX;
}

static struct wal_run *run_begin(struct wal *w, size_t at)
{
    struct wal_run *run = &w->batch.runs[w->batch.run_count++];
    struct wal_segment *s = active_segment(w);
    run->file = s->file;
    run->position = (struct wal_position){s->id, s->end};
    run->salt = s->salt;
    run->begin = at;
    run->end = at;
    run->starts_segment = false;
    run->previous = NULL;
    return run;
}

/* Ends the active segment and goes on in the next one. */
static struct wal_run *segment_begin(struct wal *w, size_t at)
{
    struct wal_segment *ended = active_segment(w);
    struct wal_segment next = wal_segments_pop_first(&w->ready);
    next.salt = w->next_salt;
    w->next_salt = env_random_u64(w->env);
    struct wal_header header = {
        .segment = next.id,
        .cluster_id = w->options.cluster_id,
        .node_id = w->options.node_id,
        .state = w->placed,
        .previous = {ended->id, ended->end},
        .salt = next.salt,
        .next_salt = w->next_salt,
    };
    struct env_file *previous = ended->file;

    ended->file = NULL; /* the run closes it */
    next.end = WAL_HEADER_BYTES;
    wal_segments_push(&w->live, next);
    struct wal_run *run = run_begin(w, at);
    run->starts_segment = true;
    run->previous = previous;
    wal_header_encode(run->header, &header);
    metric_set(w->ready_metric, (int64_t)w->ready.count);
    return run;
}

static void record_placed(struct wal *w, struct wal_run *run, const struct wal_record *r)
{
    struct wal_segment *s = active_segment(w);
    bool is_contiguous = wal_state_apply(&w->placed, r);
    INVARIANT(18, is_contiguous);
    s->end += r->bytes;
    if (s->capacity < s->end) {
        s->capacity = s->end;
    }
    if (r->type == WAL_ENTRIES && s->max_index < w->placed.next_index - 1) {
        s->max_index = w->placed.next_index - 1;
    }
    if (r->type == WAL_RESET) {
        w->batch.reset_segment = s->id;
        s->max_index = 0;
    }
    run->end += r->bytes;
}

/* Gives as many records of the open batch a place as there is room for. Returns their bytes. */
static size_t place_records(struct wal *w)
{
    struct wal_batch *b = &w->batch;
    struct wal_run *run = NULL;
    size_t at = 0;

    b->run_count = 0;
    b->reset_segment = 0;
    while (at < w->open.size) {
        uint64_t ticket;
        struct wal_record r = wal_record_at(&w->open, at, &ticket);
        if (!record_fits(w, active_segment(w), r.bytes)) {
            if (!may_start_segment(w, r.type)) {
                break;
            }
            run = segment_begin(w, at);
        } else if (run == NULL) {
            run = run_begin(w, at);
        }
        record_placed(w, run, &r);
        b->ticket = ticket;
        at += r.bytes;
    }
    return at;
}

/* ---- writing [worker] --------------------------------------------------------------------- */

static enum status run_start_segment(struct wal_batch *b, struct wal_run *run)
{
    const struct env_disk *disk = b->env->disk;
    /* The header says that the segment before is whole, and an idle watermark may be its last
     * record, written without a sync. */
    enum status rc = disk->sync(run->previous);
    if (rc == RC_OK) {
        rc = disk->write(run->file, 0, run->header, WAL_HEADER_BYTES);
    }
    if (rc == RC_OK) {
        rc = disk->sync(run->file);
    }
    b->synced = run->position;
    return rc;
}

static enum status run_sync(struct wal_batch *b, struct wal_run *run)
{
    uint64_t started_us = b->env->now_us(b->env);
    enum status rc = b->env->disk->sync(run->file);
    b->fsync_us = b->env->now_us(b->env) - started_us;
    b->synced = (struct wal_position){run->position.segment,
                                      run->position.offset + (run->end - run->begin)};
    return rc;
}

static enum status run_write(struct wal_batch *b, struct wal_run *run)
{
    enum status rc = run->starts_segment ? run_start_segment(b, run) : RC_OK;
    if (rc != RC_OK) {
        return rc;
    }
    struct wal_position position = run->position;
    for (size_t at = run->begin; at < run->end;) {
        size_t bytes = wal_record_at(&b->bytes, at, NULL).bytes;
        wal_record_seal(&b->bytes, at, position, run->salt, b->synced);
        position.offset += bytes;
        at += bytes;
    }
    b->announced = b->synced;
    if (MUTANT_IS(MUTANT_ACK_BEFORE_FSYNC) && !b->is_idle_watermark) {
        rc = run_sync(b, run);
    }
    if (rc == RC_OK) {
        rc = b->env->disk->write(run->file, run->position.offset, b->bytes.data + run->begin,
                                 run->end - run->begin);
    }
    if (rc == RC_OK && !b->is_idle_watermark && !MUTANT_IS(MUTANT_ACK_BEFORE_FSYNC)) {
        rc = run_sync(b, run);
    }
    return rc;
}

static void batch_run(struct env_job *job)
{
    struct wal_batch *b = (struct wal_batch *)(void *)job;
    b->rc = RC_OK;
    for (size_t i = 0; i < b->run_count; i++) {
        if (b->rc == RC_OK) {
            b->rc = run_write(b, &b->runs[i]);
        }
        if (b->runs[i].previous != NULL) {
            b->env->disk->close(b->runs[i].previous);
        }
    }
}

/* ---- completing --------------------------------------------------------------------------- */

void wal_fail(struct wal *w, enum status rc)
{
    if (w->has_failed) {
        return;
    }
    w->has_failed = true;
    log_error(w->options.log, "wal.failed", "status=\"%s\" durable=%" PRIu64, status_text(rc),
              w->durable);
    w->events.failed(w->context, rc);
}

/* Memory of a burst goes back at once, what steady work needs when the log is idle. */
static void buffers_shrink(struct wal *w)
{
    struct wal_batch *b = &w->batch;
    if (b->bytes.capacity > WAL_BUFFER_KEEP_BYTES || b->is_idle_watermark) {
        buf_close(&b->bytes);
    }
    buf_clear(&b->bytes);
    if (b->is_idle_watermark && w->open.size == 0) {
        buf_close(&w->open);
    }
}

static void batch_take_effect(struct wal *w)
{
    struct wal_batch *b = &w->batch;
    w->synced = b->synced;
    w->announced = b->announced;
    w->idle_since_ms = w->env->now_ms(w->env);
    metric_add(w->bytes_metric, (int64_t)b->bytes.size);
    if (!b->is_idle_watermark) {
        w->durable = b->ticket;
        metric_add(w->batches_metric, 1);
        histogram_observe_us(w->fsync_metric, b->fsync_us);
    }
    for (size_t i = 0; i < w->live.count && w->live.items[i].id < b->reset_segment; i++) {
        w->live.items[i].max_index = 0;
    }
    buffers_shrink(w);
    wal_retire(w);
}

static void batch_done(struct env_job *job)
{
    struct wal *w = LIST_OF(job, struct wal, batch);
    w->is_writing = false;
    if (w->has_failed) {
        return;
    }
    if (w->batch.rc != RC_OK) {
        wal_fail(w, w->batch.rc);
        return;
    }
    uint64_t before = w->durable;
    batch_take_effect(w);
    wal_flush(w); /* before the owner is told: the disk works while he does */
    if (w->durable > before) {
        w->events.durable(w->context, w->durable);
    }
}

static void out_of_space_run(struct env_job *job)
{
    ((struct wal_batch *)(void *)job)->rc = RC_NO_SPACE;
}

/* The first bytes of the open batch become the batch to write. */
static void batch_take(struct wal *w, size_t placed)
{
    struct buf rest = w->batch.bytes;
    buf_append(&rest, w->open.data + placed, w->open.size - placed);
    w->batch.bytes = w->open;
    w->batch.bytes.size = placed;
    w->open = rest;
}

static void batch_submit(struct wal *w, void (*run)(struct env_job *job),
                         bool is_idle_watermark)
{
    struct wal_batch *b = &w->batch;
    b->job = (struct env_job){.run = run, .done = batch_done};
    b->is_idle_watermark = is_idle_watermark;
    b->synced = w->synced;
    w->is_writing = true;
    w->env->queue_submit(w->record_queue, &b->job);
}

void wal_flush(struct wal *w)
{
    if (w->is_writing || w->has_failed || w->open.size == 0) {
        return;
    }
    size_t ready = w->ready.count;
    size_t placed = place_records(w);
    if (placed > 0) {
        batch_take(w, placed);
        batch_submit(w, batch_run, false);
    } else if (ready == 0 && w->is_starved && !w->is_on_chore &&
               wal_record_at(&w->open, 0, NULL).type != WAL_ENTRIES) {
        /* Not even the segment kept for such records is left. */
        batch_submit(w, out_of_space_run, false);
    }
    metric_set(w->pending_metric, (int64_t)w->open.size);
    if (w->ready.count < ready) {
        wal_provide(w);
    }
}

/* ---- time --------------------------------------------------------------------------------- */

static bool watermark_is_wanted(const struct wal *w)
{
    return !w->is_writing && !w->has_failed && w->open.size == 0 &&
           wal_position_before(w->announced, w->synced);
}

/* Not synced: while it is not on disk it only says less than it could, and a write that is not
 * hurried costs nothing. It does not move `synced`: none follows until there is more to say. */
static void watermark_write(struct wal *w)
{
    if (!record_fits(w, active_segment(w), WAL_RECORD_HEADER_BYTES)) {
        w->announced = w->synced; /* the next header says it */
        return;
    }
    wal_record_end(&w->open, wal_record_begin(&w->open, WAL_WATERMARK), w->ticket);
    size_t placed = place_records(w);
    POST(placed == w->open.size);
    batch_take(w, placed);
    batch_submit(w, batch_run, true);
}

void wal_tick(struct wal *w, uint64_t now_ms)
{
    if (w->is_starved && now_ms >= w->retry_at_ms) {
        wal_provide(w);
    }
    if (watermark_is_wanted(w) && now_ms >= w->idle_since_ms + WAL_WATERMARK_MS) {
        watermark_write(w);
    }
}

uint64_t wal_next_deadline_ms(const struct wal *w)
{
    uint64_t due = UINT64_MAX;
    if (watermark_is_wanted(w)) {
        due = w->idle_since_ms + WAL_WATERMARK_MS;
    }
    if (w->is_starved && !w->is_on_chore && w->retry_at_ms < due) {
        due = w->retry_at_ms;
    }
    return due;
}

/* ---- questions ---------------------------------------------------------------------------- */

bool wal_is_short(const struct wal *w)
{
    return w->is_starved && w->ready.count < WAL_RESERVE_SEGMENTS;
}

uint64_t wal_bytes(const struct wal *w)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->live.count; i++) {
        bytes += w->live.items[i].end;
    }
    return bytes;
}

uint64_t wal_durable(const struct wal *w)
{
    return w->durable;
}
