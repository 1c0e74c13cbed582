#include "raft/backup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "raft/backup_file.h"
#include "raft/node.h"

#define PIECE_BYTES ((size_t)4 << 20) /* copied and synced by one job */
#define READ_BYTES  ((size_t)256 << 10)
#define RETRY_MS    UINT64_C(30000) /* after a failure, unless the interval is shorter */
#define CATCH_UP_MS UINT64_C(200)   /* between looks whether it has caught up */

enum backup_state { BACKUP_TIDYING, BACKUP_WAITING, BACKUP_EXPORTING, BACKUP_COPYING };

struct backup {
    struct backup_options options; /* strings are copies */
    char *dir;
    char *member;
    struct env_queue *queue;
    /* loop */
    enum backup_state state;
    uint64_t due_ms;
    uint64_t begun_ms;
    bool has_tidied; /* once at least: `kept` is true */
    bool hurries;
    struct node_export export;
    struct node_backup status;
    struct {
        struct metric *success;
        struct metric *failures;
        struct metric *bytes;
        struct metric *count;
    } metrics;
    /* set before the job, or by it */
    struct env_job job;
    bool is_busy;
    struct errmsg err;
    struct backup_file file;
    uint64_t bytes;
    uint64_t wall_ms;
    uint64_t cluster_id;
    struct backup_rules rules;
    struct backup_kept kept;
    /* worker */
    const char *from_path;
    struct env_file *from;
    struct env_file *to;
    uint64_t copied;
    bool is_given_up;
};

/* ---- copying: on the worker ---------------------------------------------------------------- */

static void close_files(struct backup *b)
{
    if (b->from != NULL) {
        b->options.env->disk->close(b->from);
        b->from = NULL;
    }
    if (b->to != NULL) {
        b->options.env->disk->close(b->to);
        b->to = NULL;
    }
}

static void remove_part(struct backup *b)
{
    struct env *env = b->options.env;
    char *part = backup_path(b->dir, &b->file, true);
    close_files(b);
    /* One that cannot be removed now is removed by the next tidying. */
    (void)env->disk->unlink(env, part);
    mem_free(part);
}

static enum status open_files(struct backup *b)
{
    struct env *env = b->options.env;
    enum status rc = env->disk->open(env, b->from_path, ENV_OPEN_READ, &b->from);
    if (rc != RC_OK) {
        b->from = NULL;
        return errmsg_set(&b->err, rc, "open %s: %s", b->from_path, status_text(rc));
    }
    char *part = backup_path(b->dir, &b->file, true);
    rc = env->disk->open(env, part, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE,
                         &b->to);
    if (rc != RC_OK) {
        b->to = NULL;
        (void)errmsg_set(&b->err, rc, "create %s: %s", part, status_text(rc));
    }
    mem_free(part);
    return rc;
}

/* In pieces that are synced each, so that no sync has to move hundreds of megabytes while the log
 * waits for the same disk. */
static enum status copy_piece(struct backup *b, uint8_t *buffer)
{
    const struct env_disk *disk = b->options.env->disk;
    const char *what = "sync";
    enum status rc = RC_OK;
    for (size_t done = 0; rc == RC_OK && done < PIECE_BYTES && b->copied < b->bytes;) {
        size_t got = 0;
        what = "read for";
        rc = disk->read(b->from, b->copied, buffer, READ_BYTES, &got);
        if (rc == RC_OK && (got == 0 || got > b->bytes - b->copied)) {
            rc = RC_CORRUPT;
        }
        if (rc == RC_OK) {
            what = "write";
            rc = disk->write(b->to, b->copied, buffer, got);
            b->copied += got;
            done += got;
        }
    }
    if (rc == RC_OK) {
        what = "sync";
        rc = disk->sync(b->to);
    }
    return rc == RC_OK ? RC_OK
                       : errmsg_set(&b->err, rc, "%s %s: %s", what, b->file.name,
                                    rc == RC_NO_SPACE ? "no space left" : status_text(rc));
}

static enum status give_name(struct backup *b)
{
    struct env *env = b->options.env;
    char *part = backup_path(b->dir, &b->file, true);
    char *final = backup_path(b->dir, &b->file, false);
    close_files(b);
    enum status rc = env->disk->rename(env, part, final);
    if (rc == RC_OK) {
        rc = env->disk->sync_dir(env, b->dir);
    }
    if (rc != RC_OK) {
        (void)errmsg_set(&b->err, rc, "name %s: %s", final, status_text(rc));
    }
    mem_free(part);
    mem_free(final);
    return rc;
}

static void copy_run(struct env_job *job)
{
    struct backup *b = LIST_OF(job, struct backup, job);
    enum status rc = b->is_given_up ? RC_STOPPED : RC_OK;
    if (rc == RC_OK && b->from == NULL) {
        rc = open_files(b);
    }
    if (rc == RC_OK) {
        uint8_t *buffer = mem_alloc(READ_BYTES);
        rc = copy_piece(b, buffer);
        mem_free(buffer);
    }
    if (rc == RC_OK && b->copied == b->bytes) {
        rc = give_name(b);
    }
    if (rc != RC_OK) {
        b->err.rc = rc;
        remove_part(b);
    }
}

/* ---- the ends of a backup ------------------------------------------------------------------ */

static void tell(struct backup *b)
{
    node_set_backup(b->options.node, &b->status);
    metric_set(b->metrics.success, (int64_t)(b->status.wall_ms / 1000));
}

static void wait_until(struct backup *b, uint64_t due_ms)
{
    b->state = BACKUP_WAITING;
    b->due_ms = due_ms;
}

static void fail(struct backup *b, const char *why)
{
    struct env *env = b->options.env;
    uint64_t interval_ms = b->options.interval_ms;
    node_export_end(&b->export);
    b->status.failures++;
    (void)snprintf(b->status.problem, sizeof b->status.problem, "%s", why);
    metric_add(b->metrics.failures, 1);
    log_warn(b->options.log, "backup.failed", "dir=%s reason=\"%s\"", b->dir, why);
    tell(b);
    wait_until(b, env->now_ms(env) + (interval_ms < RETRY_MS ? interval_ms : RETRY_MS));
}

static void succeed(struct backup *b, uint64_t revision, uint64_t wall_ms)
{
    b->status.wall_ms = wall_ms;
    b->status.revision = revision;
    b->status.problem[0] = '\0';
    tell(b);
}

/* The next one, counted from when this one was begun: a slow disk does not add up. */
static uint64_t next_due_ms(const struct backup *b)
{
    struct env *env = b->options.env;
    uint64_t now_ms = env->now_ms(env);
    uint64_t due_ms = b->begun_ms + b->options.interval_ms;
    return b->hurries || due_ms < now_ms ? now_ms : due_ms;
}

/* ---- tidying ------------------------------------------------------------------------------- */

static void tidy_run(struct env_job *job)
{
    struct backup *b = LIST_OF(job, struct backup, job);
    b->err.rc = backup_dir_tidy(b->options.env, b->dir, b->cluster_id, b->member, &b->rules,
                                b->wall_ms, &b->kept, &b->err);
}

/* What an earlier process did counts: a node that is restarted again and again does not take a
 * backup each time. */
static uint64_t first_due_ms(const struct backup *b, uint64_t now_ms)
{
    uint64_t due_wall_ms = b->kept.newest.wall_ms + b->options.interval_ms;
    if (b->kept.newest.index == 0 || b->wall_ms >= due_wall_ms) {
        return now_ms;
    }
    uint64_t wait_ms = due_wall_ms - b->wall_ms;
    return now_ms + (wait_ms < b->options.interval_ms ? wait_ms : b->options.interval_ms);
}

static void tidy_done(struct env_job *job)
{
    struct backup *b = LIST_OF(job, struct backup, job);
    b->is_busy = false;
    if (b->err.rc != RC_OK) {
        fail(b, b->err.text);
        return;
    }
    metric_set(b->metrics.count, (int64_t)b->kept.count);
    if (b->kept.removed > 0) {
        log_info(b->options.log, "backup.removed", "count=%" PRIu64 " kept=%" PRIu64,
                 b->kept.removed, b->kept.count);
    }
    if (!b->has_tidied) {
        b->has_tidied = true;
        if (b->kept.newest.index != 0) {
            succeed(b, b->kept.newest.revision, b->kept.newest.wall_ms);
        }
        wait_until(b, first_due_ms(b, b->options.env->now_ms(b->options.env)));
        return;
    }
    wait_until(b, next_due_ms(b));
}

static void submit(struct backup *b, void (*run)(struct env_job *job),
                   void (*done)(struct env_job *job))
{
    PRE(!b->is_busy);
    b->is_busy = true;
    b->err = (struct errmsg){.rc = RC_OK};
    b->job = (struct env_job){.run = run, .done = done};
    b->options.env->queue_submit(b->queue, &b->job);
}

static void tidy(struct backup *b)
{
    b->state = BACKUP_TIDYING;
    b->wall_ms = b->options.env->wall_ms(b->options.env);
    b->cluster_id = node_cluster_id(b->options.node);
    submit(b, tidy_run, tidy_done);
}

/* ---- copying: on the loop ------------------------------------------------------------------ */

static void copy_done(struct env_job *job)
{
    struct backup *b = LIST_OF(job, struct backup, job);
    struct env *env = b->options.env;
    b->is_busy = false;
    if (b->err.rc != RC_OK) {
        fail(b, b->is_given_up ? "the node's own disk is short of space" : b->err.text);
        return;
    }
    if (b->copied < b->bytes) {
        struct node_status *status = mem_alloc(sizeof *status);
        node_status(b->options.node, status);
        b->is_given_up = status->disk_is_short;
        mem_free(status);
        submit(b, copy_run, copy_done);
        return;
    }
    node_export_end(&b->export);
    metric_set(b->metrics.bytes, (int64_t)b->bytes);
    log_info(b->options.log, "backup.taken", "file=%s bytes=%" PRIu64 " ms=%" PRIu64,
             b->file.name, b->bytes, env->now_ms(env) - b->begun_ms);
    succeed(b, b->file.revision, b->file.wall_ms);
    tidy(b);
}

static void on_export(struct node_export *e, enum status rc)
{
    struct backup *b = e->owner;
    if (rc != RC_OK) {
        char why[128];
        (void)snprintf(why, sizeof why, "the node could not take a snapshot: %s",
                       status_text(rc));
        fail(b, why);
        return;
    }
    bool is_there =
        b->kept.newest.index == e->file.index && b->kept.newest.cluster_id == b->cluster_id;
    if (is_there) {
        succeed(b, e->file.revision, b->wall_ms); /* nothing has happened since */
        node_export_end(e);
        tidy(b);
        return;
    }
    b->file = (struct backup_file){.cluster_id = b->cluster_id,
                                   .wall_ms = b->wall_ms / 1000 * 1000,
                                   .revision = e->file.revision,
                                   .index = e->file.index};
    (void)snprintf(b->file.member, sizeof b->file.member, "%s", b->member);
    backup_file_name(&b->file);
    b->bytes = e->file.bytes;
    b->from_path = e->path;
    b->copied = 0;
    b->is_given_up = false;
    b->state = BACKUP_COPYING;
    submit(b, copy_run, copy_done);
}

static void begin(struct backup *b, uint64_t now_ms)
{
    struct env *env = b->options.env;
    b->begun_ms = now_ms;
    b->wall_ms = env->wall_ms(env);
    b->cluster_id = node_cluster_id(b->options.node);
    b->hurries = false;
    b->state = BACKUP_EXPORTING;
    b->export = (struct node_export){.ready = on_export, .owner = b};
    enum status rc = node_export_begin(b->options.node, &b->export, UINT64_MAX);
    if (rc != RC_OK) { /* it waits for the other first members, or stops: not a failure yet */
        node_export_end(&b->export);
        wait_until(b, now_ms + 1000);
    }
}

/* ---- the outside --------------------------------------------------------------------------- */

static void register_metrics(struct backup *b)
{
    struct metrics *m = b->options.metrics;
    if (m == NULL) {
        return;
    }
    b->metrics.success =
        metrics_gauge(m, "coord_backup_last_success_seconds", NULL,
                      "When the last backup succeeded, in seconds since 1970; 0: never.");
    metric_set(metrics_gauge(m, "coord_backup_interval_seconds", NULL,
                             "From one scheduled backup to the next."),
               (int64_t)(b->options.interval_ms / 1000));
    b->metrics.failures = metrics_counter(m, "coord_backup_failures_total", NULL,
                                          "Scheduled backups that failed.");
    b->metrics.bytes =
        metrics_gauge(m, "coord_backup_bytes", NULL, "Size of the newest backup.");
    b->metrics.count =
        metrics_gauge(m, "coord_backups", NULL, "Backups of this member that are kept.");
}

struct backup *backup_new(const struct backup_options *options)
{
    struct backup *b = mem_zalloc(sizeof *b);
    b->options = *options;
    b->dir = mem_strdup(options->dir);
    b->member = mem_strdup(options->member);
    b->rules = (struct backup_rules){options->keep, options->keep_for_ms};
    b->queue = env_queue_open_background(options->env, "backup");
    b->status.is_on = true;
    register_metrics(b);
    tell(b);
    wait_until(b, 0);
    return b;
}

void backup_free(struct backup *b)
{
    if (b == NULL) {
        return;
    }
    b->options.env->queue_close(b->queue);
    if (b->from != NULL || b->to != NULL) {
        remove_part(b);
    }
    node_export_end(&b->export);
    mem_free(b->dir);
    mem_free(b->member);
    mem_free(b);
}

void backup_turn(struct backup *b, uint64_t now_ms)
{
    if (b->state != BACKUP_WAITING || now_ms < b->due_ms) {
        return;
    }
    if (!b->has_tidied && node_cluster_id(b->options.node) == 0) {
        b->due_ms = now_ms + 1000; /* it is about to join */
    } else if (!b->has_tidied) {
        tidy(b);
    } else if (!node_is_caught_up(b->options.node)) {
        /* What it started with lacks what its own log has, and may be the newest backup's state:
         * that would count as a fresh one. */
        b->due_ms = now_ms + CATCH_UP_MS;
    } else {
        begin(b, now_ms);
    }
}

uint64_t backup_next_deadline_ms(const struct backup *b)
{
    return b->state == BACKUP_WAITING ? b->due_ms : UINT64_MAX;
}

void backup_hurry(struct backup *b)
{
    b->hurries = true;
    if (b->state == BACKUP_WAITING && b->has_tidied && b->status.problem[0] == '\0') {
        b->due_ms = 0;
    }
}

uint64_t backup_oldest_index(const struct backup *b)
{
    return b->has_tidied ? b->kept.oldest_index : 0;
}
