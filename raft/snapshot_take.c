/* Taking a snapshot: the scan steps on the loop, and hands rows to the writer on the queue.
 *
 *   SCANNING -(snapshot_store_advance: last rows)-> FINISHING -(finish_done)-> done
 *       |                                              |
 *       +-(rows_done: failed; cancelled)-> FINISHING --+ which then only cleans up
 *
 * Two buffers of rows are in flight at most, so a slow disk slows the scan and not the loop.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/snapshot_internal.h"

#define BUFFERS 2

struct rows_job {
    struct env_job job;
    struct snapshot_take *take;
    bool is_busy;
    struct buf rows;
    enum status rc; /* out */
};

struct snapshot_take {
    struct list node;
    struct snapshot_store *ss;
    /* loop */
    struct store_scan *scan; /* NULL when FINISHING */
    snapshot_taken_fn done;
    void *context;
    bool is_cancelled;
    /* set before the jobs that use them */
    struct snapshot_meta meta;
    char *part;
    char *final;
    struct rows_job buffers[BUFFERS];
    struct env_job finish;
    bool is_given_up;
    /* worker */
    struct snapshot_writer *writer;
    struct errmsg err;
    uint64_t bytes;
};

struct snapshot_take *snapshot_take_of(struct list *node)
{
    return LIST_OF(node, struct snapshot_take, node);
}

void snapshot_take_drop(struct snapshot_take *t)
{
    if (t->writer != NULL) {
        snapshot_writer_abort(t->writer);
    }
    for (size_t i = 0; i < BUFFERS; i++) {
        buf_close(&t->buffers[i].rows);
    }
    snapshot_meta_close(&t->meta);
    list_remove(&t->node);
    mem_free(t->part);
    mem_free(t->final);
    mem_free(t);
}

/* ---- finishing ---------------------------------------------------------------------------- */

static void finish_run(struct env_job *job)
{
    struct snapshot_take *t = LIST_OF(job, struct snapshot_take, finish);
    struct snapshot_store *ss = t->ss;
    if (t->writer == NULL) {
        if (t->err.rc == RC_OK) {
            (void)errmsg_set(&t->err, RC_STOPPED, "given up before the first row");
        }
        return;
    }
    struct snapshot_writer *writer = t->writer;
    t->writer = NULL;
    if (t->is_given_up || t->err.rc != RC_OK) {
        snapshot_writer_abort(writer);
        return;
    }
    t->err.rc = snapshot_writer_finish(writer, &t->meta, &t->err);
    if (t->err.rc == RC_OK) {
        t->err.rc = snapshot_publish(ss->env, ss->dir, t->part, t->final, &t->bytes, &t->err);
    }
}

static void finish_done(struct env_job *job)
{
    struct snapshot_take *t = LIST_OF(job, struct snapshot_take, finish);
    struct snapshot_store *ss = t->ss;
    const struct snapshot_file file = {.index = t->meta.index,
                                       .term = t->meta.term,
                                       .bytes = t->bytes,
                                       .revision = t->meta.revision,
                                       .digest = t->meta.digest};
    if (t->is_cancelled) {
        if (!t->is_given_up && t->err.rc == RC_OK) {
            snapshot_discard(ss, &file);
        }
        snapshot_take_drop(t);
        return;
    }
    ss->take = NULL;
    if (t->err.rc == RC_OK) {
        snapshot_add(ss, &file);
        metric_add(ss->taken_metric, 1);
    } else {
        metric_add(ss->failed_metric, 1);
        log_warn(ss->log, "snapshot.take_failed", "index=%" PRIu64 " reason=\"%s\"",
                 t->meta.index, t->err.text);
    }
    t->done(t->context, t->err.rc, &t->meta);
    snapshot_take_drop(t);
}

static void take_finish(struct snapshot_take *t, bool gives_up)
{
    store_scan_end(t->scan);
    t->scan = NULL;
    t->is_given_up = gives_up;
    t->finish = (struct env_job){.run = finish_run, .done = finish_done};
    t->ss->env->queue_submit(t->ss->queue, &t->finish);
}

/* ---- rows --------------------------------------------------------------------------------- */

static void rows_run(struct env_job *job)
{
    struct rows_job *b = (struct rows_job *)(void *)job;
    struct snapshot_take *t = b->take;
    if (t->err.rc == RC_OK && t->writer == NULL) {
        t->err.rc = snapshot_writer_open(t->ss->env, t->part, &t->writer, &t->err);
        if (t->err.rc != RC_OK) {
            t->writer = NULL;
        }
    }
    if (t->err.rc == RC_OK) {
        t->err.rc = snapshot_writer_rows(t->writer, buf_slice(&b->rows), &t->err);
    }
    b->rc = t->err.rc;
}

static void rows_done(struct env_job *job)
{
    struct rows_job *b = (struct rows_job *)(void *)job;
    b->is_busy = false;
    buf_clear(&b->rows);
    if (b->rc != RC_OK && b->take->scan != NULL) {
        take_finish(b->take, true);
    }
}

static struct rows_job *free_buffer(struct snapshot_take *t)
{
    for (size_t i = 0; i < BUFFERS; i++) {
        if (!t->buffers[i].is_busy) {
            return &t->buffers[i];
        }
    }
    return NULL;
}

bool snapshot_store_advance(struct snapshot_store *ss)
{
    struct snapshot_take *t = ss->take;
    if (t == NULL || t->scan == NULL) {
        return false;
    }
    struct rows_job *b = free_buffer(t);
    if (b == NULL) {
        return false;
    }
    bool has_more = store_scan_step(t->scan, ss->scan_step_bytes, &b->rows);
    if (b->rows.size > 0) {
        b->is_busy = true;
        b->job = (struct env_job){.run = rows_run, .done = rows_done};
        ss->env->queue_submit(ss->queue, &b->job);
    }
    if (!has_more) {
        take_finish(t, false);
        return false;
    }
    return free_buffer(t) != NULL;
}

/* ---- begin and cancel --------------------------------------------------------------------- */

enum status snapshot_store_take(struct snapshot_store *ss, struct store *s,
                                const struct snapshot_meta *meta, snapshot_taken_fn done,
                                void *context)
{
    if (ss->take != NULL) {
        return RC_OVERLOADED;
    }
    struct snapshot_take *t = mem_zalloc(sizeof *t);
    t->ss = ss;
    t->done = done;
    t->context = context;
    t->meta = *meta;
    t->meta.configuration = (struct buf){0};
    buf_append_slice(&t->meta.configuration, buf_slice(&meta->configuration));
    t->scan = store_scan_begin(s, &t->meta);
    t->part = snapshot_path(ss->dir, t->meta.index, t->meta.term, SNAPSHOT_NAME_TAKEN);
    t->final = snapshot_path(ss->dir, t->meta.index, t->meta.term, SNAPSHOT_NAME_FINAL);
    for (size_t i = 0; i < BUFFERS; i++) {
        t->buffers[i].take = t;
    }
    list_push_back(&ss->takes, &t->node);
    ss->take = t;
    return RC_OK;
}

bool snapshot_store_is_taking(const struct snapshot_store *ss)
{
    return ss->take != NULL;
}

void snapshot_store_cancel_take(struct snapshot_store *ss)
{
    struct snapshot_take *t = ss->take;
    if (t == NULL) {
        return;
    }
    ss->take = NULL;
    t->is_cancelled = true;
    if (t->scan != NULL) {
        take_finish(t, true);
    }
}
