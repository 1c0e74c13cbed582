#include "raft/archiver.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "raft/archive.h"
#include "raft/node.h"

#define PIECE_BYTES   ((size_t)1 << 20) /* copied in one turn of the loop */
#define PIECE_ENTRIES 1024
#define ROUND_MS      200 /* what gathers meanwhile is written together */
#define SYNC_MS       1000
#define SEAL_MS       60000
#define RETRY_MS      5000

/* What one job does, in this order. */
struct piece {
    struct wal_entry entries[PIECE_ENTRIES]; /* payloads are offsets until all are there */
    size_t count;
    struct buf payloads;
    bool opens;
    bool syncs;
    bool seals;
    uint64_t retain_index; /* 0 = nothing */
};

struct archiver {
    struct archiver_options options;
    char *dir;
    struct env_queue *queue;
    /* loop */
    bool is_open;
    uint64_t next_index; /* to be archived next; 0 = nothing is there yet */
    uint64_t synced_index;
    uint64_t round_ms; /* not before */
    uint64_t sync_ms;  /* when the last one was */
    uint64_t seal_ms;  /* when the file is ended; UINT64_MAX: it has no entry */
    bool has_unsynced;
    uint64_t retain_index; /* wanted */
    uint64_t retained_index;
    struct {
        struct metric *index;
        struct metric *lag;
        struct metric *gaps;
        struct metric *failures;
    } metrics;
    /* set before the job, or by it */
    struct env_job job;
    bool is_busy;
    struct piece piece;
    struct errmsg err;
    uint64_t cluster_id;
    uint64_t opened_index;
    uint64_t removed;
    /* worker */
    struct archive_writer *writer;
};

/* ---- the worker ---------------------------------------------------------------------------- */

static enum status open_writer(struct archiver *a)
{
    const struct archive_writer_options options = {.env = a->options.env,
                                                   .log = a->options.log,
                                                   .dir = a->dir,
                                                   .cluster_id = a->cluster_id};
    enum status rc = archive_writer_open(&options, &a->writer, &a->err);
    if (rc != RC_OK) {
        a->writer = NULL;
        return rc;
    }
    a->opened_index = archive_writer_next_index(a->writer);
    return RC_OK;
}

static enum status do_piece(struct archiver *a)
{
    const struct piece *p = &a->piece;
    enum status rc = p->opens ? open_writer(a) : RC_OK;
    if (rc == RC_OK && p->count > 0) {
        rc = archive_writer_append(a->writer, p->entries, p->count, &a->err);
    }
    if (rc == RC_OK && p->syncs) {
        rc = archive_writer_sync(a->writer, &a->err);
    }
    if (rc == RC_OK && p->seals) {
        rc = archive_writer_seal(a->writer, &a->err);
    }
    if (rc == RC_OK && p->retain_index > 0) {
        rc = archive_writer_retain(a->writer, p->retain_index + 1, &a->removed, &a->err);
    }
    return rc;
}

static void piece_run(struct env_job *job)
{
    struct archiver *a = LIST_OF(job, struct archiver, job);
    a->err.rc = do_piece(a);
    if (a->err.rc != RC_OK && a->writer != NULL) {
        archive_writer_close(a->writer);
        a->writer = NULL;
    }
}

/* ---- the ends of a piece ------------------------------------------------------------------- */

static void opened(struct archiver *a)
{
    a->is_open = true;
    a->next_index = a->opened_index;
    a->synced_index = a->opened_index > 0 ? a->opened_index - 1 : 0;
    a->seal_ms = UINT64_MAX;
    a->has_unsynced = false;
    log_info(a->options.log, "archive.open", "dir=%s next_index=%" PRIu64, a->dir,
             a->next_index);
}

static void failed(struct archiver *a, uint64_t now_ms)
{
    a->is_open = false;
    a->round_ms = now_ms + RETRY_MS;
    metric_add(a->metrics.failures, 1);
    log_warn(a->options.log, "archive.failed", "dir=%s reason=\"%s\"", a->dir, a->err.text);
}

static void piece_done(struct env_job *job)
{
    struct archiver *a = LIST_OF(job, struct archiver, job);
    const struct piece *p = &a->piece;
    uint64_t now_ms = a->options.env->now_ms(a->options.env);
    a->is_busy = false;
    if (a->err.rc != RC_OK) {
        failed(a, now_ms);
        return;
    }
    if (p->opens) {
        opened(a);
    }
    if (p->count > 0) {
        a->next_index = p->entries[p->count - 1].index + 1;
        a->has_unsynced = true;
        a->seal_ms = a->seal_ms == UINT64_MAX ? now_ms + a->options.seal_ms : a->seal_ms;
    }
    if (p->syncs || p->seals) {
        a->has_unsynced = false;
        a->sync_ms = now_ms;
        a->synced_index = a->next_index > 0 ? a->next_index - 1 : 0;
        metric_set(a->metrics.index, (int64_t)a->synced_index);
    }
    if (p->seals) {
        a->seal_ms = UINT64_MAX;
    }
    if (p->retain_index > 0) {
        a->retained_index = p->retain_index;
    }
}

/* ---- what to do next ----------------------------------------------------------------------- */

static void submit(struct archiver *a)
{
    PRE(!a->is_busy);
    a->is_busy = true;
    a->err = (struct errmsg){.rc = RC_OK};
    a->job = (struct env_job){.run = piece_run, .done = piece_done};
    a->options.env->queue_submit(a->queue, &a->job);
}

static void piece_clear(struct archiver *a)
{
    struct piece *p = &a->piece;
    buf_clear(&p->payloads);
    p->count = 0;
    p->opens = false;
    p->syncs = false;
    p->seals = false;
    p->retain_index = 0;
}

/* What the node no longer has can never be archived. An index that the node has not reached means
 * an archive that knows more of this cluster than the node does, as it catches up. */
static bool find_next(struct archiver *a, const struct node_entries *have)
{
    bool has_any = have->last >= have->first;
    if (a->next_index < have->first && (has_any || a->next_index > 0)) {
        if (a->next_index > 0) {
            metric_add(a->metrics.gaps, 1);
            log_warn(a->options.log, "archive.gap",
                     "from_index=%" PRIu64 " to_index=%" PRIu64
                     " reason=\"the log no longer has these entries\"",
                     a->next_index, have->first - 1);
        }
        a->next_index = have->first;
        if (a->options.gap != NULL) {
            a->options.gap(a->options.context);
        }
    }
    return has_any && a->next_index <= have->last;
}

/* Copies as much as a piece may have; false if there is nothing. */
static bool collect(struct archiver *a)
{
    struct piece *p = &a->piece;
    struct node_entries have = node_entries(a->options.node);
    if (!find_next(a, &have)) {
        return false;
    }
    for (uint64_t index = a->next_index;
         index <= have.last && p->count < PIECE_ENTRIES && p->payloads.size < PIECE_BYTES;
         index++) {
        struct wal_entry entry;
        if (node_entry(a->options.node, index, &entry) != RC_OK) {
            break;
        }
        p->entries[p->count] = entry;
        p->entries[p->count++].payload.data = NULL;
        buf_append_slice(&p->payloads, entry.payload);
    }
    const uint8_t *at = p->payloads.data;
    for (size_t i = 0; i < p->count; i++) {
        p->entries[i].payload.data = at;
        at += p->entries[i].payload.size;
    }
    return p->count > 0;
}

static bool is_behind(const struct archiver *a)
{
    struct node_entries have = node_entries(a->options.node);
    uint64_t next = a->next_index > have.first ? a->next_index : have.first;
    return have.last >= next;
}

static void show_lag(const struct archiver *a)
{
    struct node_entries have = node_entries(a->options.node);
    uint64_t next = a->next_index > 0 ? a->next_index : have.first;
    metric_set(a->metrics.lag, have.last >= next ? (int64_t)(have.last - next + 1) : 0);
}

void archiver_turn(struct archiver *a, uint64_t now_ms)
{
    node_retain_entries(a->options.node, a->is_open ? a->next_index : 0);
    if (a->is_busy || now_ms < a->round_ms) {
        return;
    }
    piece_clear(a);
    if (!a->is_open) {
        a->cluster_id = node_cluster_id(a->options.node);
        a->round_ms = now_ms + ROUND_MS;
        if (a->cluster_id != 0) {
            a->piece.opens = true;
            submit(a);
        }
        return;
    }
    bool has_entries = collect(a);
    bool has_more = has_entries && a->piece.entries[a->piece.count - 1].index <
                                       node_entries(a->options.node).last;
    a->piece.syncs =
        !has_more && (has_entries || a->has_unsynced) && now_ms >= a->sync_ms + SYNC_MS;
    a->piece.seals = now_ms >= a->seal_ms;
    a->piece.retain_index = a->retain_index != a->retained_index ? a->retain_index : 0;
    a->round_ms = has_more ? now_ms : now_ms + ROUND_MS;
    show_lag(a);
    if (has_entries || a->piece.syncs || a->piece.seals || a->piece.retain_index != 0) {
        submit(a);
    }
}

uint64_t archiver_next_deadline_ms(const struct archiver *a)
{
    if (a->is_busy) {
        return UINT64_MAX;
    }
    bool has_work =
        !a->is_open || a->has_unsynced || a->retain_index != a->retained_index || is_behind(a);
    uint64_t due_ms = has_work ? a->round_ms : a->seal_ms;
    return due_ms > a->round_ms ? due_ms : a->round_ms;
}

/* ---- the outside --------------------------------------------------------------------------- */

static void register_metrics(struct archiver *a)
{
    struct metrics *m = a->options.metrics;
    if (m == NULL) {
        return;
    }
    a->metrics.index = metrics_gauge(m, "coord_archive_index", NULL,
                                     "Highest log index that is in the archive, on disk.");
    a->metrics.lag = metrics_gauge(m, "coord_archive_lag_entries", NULL,
                                   "Applied log entries that are not archived yet.");
    a->metrics.gaps =
        metrics_counter(m, "coord_archive_gaps_total", NULL,
                        "Times that the archive fell behind the log and lacks entries.");
    a->metrics.failures = metrics_counter(m, "coord_archive_failures_total", NULL,
                                          "Failures to write the archive.");
}

struct archiver *archiver_new(const struct archiver_options *options)
{
    struct archiver *a = mem_zalloc(sizeof *a);
    a->options = *options;
    a->options.seal_ms = options->seal_ms > 0 ? options->seal_ms : SEAL_MS;
    a->dir = mem_strdup(options->dir);
    a->queue = options->env->queue_open(options->env, "archive");
    a->seal_ms = UINT64_MAX;
    register_metrics(a);
    node_retain_entries(a->options.node, 0); /* until it is known where the archive ends */
    return a;
}

void archiver_free(struct archiver *a)
{
    if (a == NULL) {
        return;
    }
    a->options.env->queue_close(a->queue);
    node_retain_entries(a->options.node, UINT64_MAX);
    if (a->writer != NULL) {
        archive_writer_close(a->writer);
    }
    buf_close(&a->piece.payloads);
    mem_free(a->dir);
    mem_free(a);
}

void archiver_retain(struct archiver *a, uint64_t backup_index)
{
    a->retain_index = backup_index;
}

uint64_t archiver_index(const struct archiver *a)
{
    return a->synced_index;
}
