#include "net/audit/audit.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/audit/file.h"
#include "net/audit/line.h"

#define ROUND_MS   100 /* what gathers meanwhile is written together */
#define RETRY_MS   5000
#define HURRY_BYTES ((size_t)256 << 10) /* with so much, nothing is waited for */
/* Memory of this size is kept for the next batch. */
#define KEPT_BYTES ((size_t)1 << 20)

struct audit {
    struct env *env;
    struct log *log;
    char *node;
    enum audit_level level;
    struct audit_clock clock;
    uint64_t wall_ms; /* of this turn of the loop, for all its lines; 0 = not asked for yet */
    struct env_queue *queue;
    struct buf gathered; /* lines to be written after those of the batch */
    uint64_t dropped;    /* since the last line that was taken */
    uint64_t due_ms;     /* when the next batch goes, if there are lines */
    bool is_failing;     /* as the log was told last */
    bool has_begun;      /* the file was opened once, or tried to */
    uint64_t rotations;  /* as the log was told */
    /* of the worker while `is_busy` */
    bool is_busy;
    struct env_job job;
    struct buf batch;
    struct audit_file file;
    size_t written;
    struct errmsg err;
    /* handles */
    struct metric *lines_total;
    struct metric *dropped_total;
    struct metric *failures_total;
    struct metric *failing;
    struct metric *pending;
};

/* ---- the worker --------------------------------------------------------------------------- */

static void batch_run(struct env_job *job)
{
    struct audit *a = LIST_OF(job, struct audit, job);
    a->err = (struct errmsg){.rc = RC_OK};
    a->err.rc = audit_file_write(&a->file, buf_slice(&a->batch), &a->written, &a->err);
}

/* ---- after it ----------------------------------------------------------------------------- */

static void note_failure(struct audit *a, const struct errmsg *err)
{
    metric_add(a->failures_total, 1);
    metric_set(a->failing, 1);
    if (!a->is_failing) {
        log_error(a->log, "audit.failed",
                  "reason=\"%s\" pending_bytes=%zu retry_ms=%d", err->text,
                  a->batch.size + a->gathered.size, RETRY_MS);
    }
    a->is_failing = true;
}

static void note_success(struct audit *a)
{
    if (a->is_failing || !a->has_begun) {
        log_info(a->log, "audit.open", "file=%s bytes=%" PRIu64, a->file.path, a->file.bytes);
    }
    metric_set(a->failing, 0);
    a->is_failing = false;
}

static void note_rotation(struct audit *a)
{
    if (a->file.rotations > a->rotations) {
        a->rotations = a->file.rotations;
        log_info(a->log, "audit.rotated", "file=%s rotations=%" PRIu64, a->file.path,
                 a->rotations);
    }
    if (a->file.rotation.rc != RC_OK) {
        metric_add(a->failures_total, 1);
        log_error(a->log, "audit.not_rotated", "reason=\"%s\" bytes=%" PRIu64,
                  a->file.rotation.text, a->file.bytes);
        a->file.rotation.rc = RC_OK;
    }
}

/* Takes over from the worker what has become of the batch. */
static void batch_settle(struct audit *a)
{
    a->is_busy = false;
    buf_consume(&a->batch, a->written);
    a->written = 0;
    if (a->batch.size == 0 && a->batch.capacity > KEPT_BYTES) {
        buf_close(&a->batch);
    }
    note_rotation(a);
    if (a->err.rc == RC_OK) {
        note_success(a);
    } else {
        note_failure(a, &a->err);
    }
    a->has_begun = true;
    metric_set(a->pending, (int64_t)(a->batch.size + a->gathered.size));
}

static void batch_done(struct env_job *job)
{
    struct audit *a = LIST_OF(job, struct audit, job);
    batch_settle(a);
    if (a->err.rc != RC_OK) {
        a->due_ms = a->env->now_ms(a->env) + RETRY_MS;
    }
}

/* ---- gathering ---------------------------------------------------------------------------- */

static bool has_room(const struct audit *a)
{
    return a->gathered.size + a->batch.size < AUDIT_PENDING_BYTES_MAX;
}

/* So much waits that the next batch goes at once, or it is the first line after a pause. */
static void set_due(struct audit *a, bool was_empty)
{
    if (was_empty && !a->is_busy && !a->is_failing) {
        a->due_ms = a->env->now_ms(a->env) + ROUND_MS;
    } else if (a->gathered.size >= HURRY_BYTES && !a->is_failing) {
        a->due_ms = 0;
    }
}

static uint64_t now(struct audit *a)
{
    if (a->wall_ms == 0) {
        a->wall_ms = a->env->wall_ms(a->env);
    }
    return a->wall_ms;
}

/* Says how many lines are missing, in front of the next one. */
static void tell_dropped(struct audit *a)
{
    if (a->dropped > 0) {
        audit_line_dropped(&a->gathered, &a->clock, now(a), a->node, a->dropped);
        log_warn(a->log, "audit.dropped", "lines=%" PRIu64, a->dropped);
        a->dropped = 0;
    }
}

bool audit_wants(const struct audit *a, enum audit_class class)
{
    return a != NULL && (class == AUDIT_WRITE  ? a->level >= AUDIT_WRITES
                         : class == AUDIT_READ ? a->level >= AUDIT_ALL
                                               : false);
}

void audit_add(struct audit *a, const struct audit_event *e)
{
    if (a == NULL || !(e->is_denied || audit_wants(a, e->class))) {
        return;
    }
    if (!has_room(a)) {
        a->dropped++;
        metric_add(a->dropped_total, 1);
        return;
    }
    bool was_empty = a->gathered.size == 0;
    tell_dropped(a);
    audit_line_append(&a->gathered, &a->clock, now(a), a->node, e);
    metric_add(a->lines_total, 1);
    set_due(a, was_empty);
}

/* ---- turns -------------------------------------------------------------------------------- */

static bool has_lines(const struct audit *a)
{
    return a->batch.size + a->gathered.size > 0 || a->dropped > 0;
}

/* A batch that failed goes again as it is; else what was gathered is the next. */
static void batch_fill(struct audit *a)
{
    if (a->batch.size == 0) {
        struct buf empty = a->batch;
        a->batch = a->gathered;
        a->gathered = empty;
    }
}

void audit_turn(struct audit *a, uint64_t now_ms)
{
    if (a != NULL) {
        a->wall_ms = 0;
    }
    if (a == NULL || a->is_busy || now_ms < a->due_ms || (a->has_begun && !has_lines(a))) {
        return;
    }
    batch_fill(a);
    if (has_room(a)) {
        tell_dropped(a);
    }
    a->is_busy = true;
    a->due_ms = now_ms + ROUND_MS;
    a->job = (struct env_job){.run = batch_run, .done = batch_done};
    metric_set(a->pending, (int64_t)(a->batch.size + a->gathered.size));
    a->env->queue_submit(a->queue, &a->job);
}

uint64_t audit_next_deadline_ms(const struct audit *a)
{
    bool has_work = a != NULL && !a->is_busy && (!a->has_begun || has_lines(a));
    return has_work ? a->due_ms : UINT64_MAX;
}

/* ---- begin and end ------------------------------------------------------------------------ */

static void register_metrics(struct audit *a, struct metrics *m)
{
    a->lines_total = metrics_counter(m, "coord_audit_lines_total", NULL,
                                     "Lines of the audit log, those apart that were dropped.");
    a->dropped_total =
        metrics_counter(m, "coord_audit_dropped_total", NULL,
                        "Lines that the audit log lacks, since its disk did not take them.");
    a->failures_total = metrics_counter(m, "coord_audit_failures_total", NULL,
                                        "Failures to write or rotate the audit log.");
    a->failing = metrics_gauge(m, "coord_audit_failing", NULL,
                               "1 while the audit log cannot be written.");
    a->pending = metrics_gauge(m, "coord_audit_pending_bytes", NULL,
                               "Lines of the audit log that wait to be written.");
}

struct audit *audit_new(const struct audit_options *options)
{
    if (options->level == AUDIT_OFF) {
        return NULL;
    }
    struct audit *a = mem_zalloc(sizeof *a);
    a->env = options->env;
    a->log = options->log;
    a->node = mem_strdup(options->node);
    a->level = options->level;
    audit_file_init(&a->file, a->env, options->path,
                    options->file_bytes_max != 0 ? options->file_bytes_max : AUDIT_FILE_BYTES_MAX,
                    options->files_kept != 0 ? options->files_kept : AUDIT_FILES_KEPT);
    a->queue = a->env->queue_open(a->env, "audit");
    if (options->metrics != NULL) {
        register_metrics(a, options->metrics);
    }
    return a;
}

/* What the disk does not take now is missing; the log of the node says so. */
static void write_rest(struct audit *a)
{
    enum status rc = RC_OK;
    struct errmsg err = {0};
    while (rc == RC_OK && has_lines(a)) {
        size_t written;
        batch_fill(a);
        if (a->gathered.size == 0) {
            tell_dropped(a);
        }
        rc = audit_file_write(&a->file, buf_slice(&a->batch), &written, &err);
        buf_consume(&a->batch, written);
        note_rotation(a);
    }
    rc = rc == RC_OK ? audit_file_sync(&a->file, &err) : rc;
    if (rc != RC_OK) {
        log_error(a->log, "audit.failed", "reason=\"%s\" lost_bytes=%zu", err.text,
                  a->batch.size + a->gathered.size);
    }
}

void audit_free(struct audit *a)
{
    if (a == NULL) {
        return;
    }
    a->env->queue_close(a->queue);
    if (a->is_busy) { /* nobody told, but the worker has done it */
        batch_settle(a);
    }
    write_rest(a);
    audit_file_close(&a->file);
    mem_free(a->file.path);
    buf_close(&a->batch);
    buf_close(&a->gathered);
    mem_free(a->node);
    mem_free(a);
}

const char *audit_outcome_name(enum outcome outcome)
{
    static const char *const names[] = {
#define OUTCOME_NAME(name, text) #name,
        OUTCOME_LIST(OUTCOME_NAME)
#undef OUTCOME_NAME
    };
    PRE((unsigned)outcome < OUTCOME_COUNT);
    return outcome == OUTCOME_OK ? "ok" : names[outcome] + sizeof "OUTCOME_" - 1;
}
