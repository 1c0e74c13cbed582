/* Segment files: their names, and the work of making and retiring them.
 *
 * That work is a chain of chores on a queue of its own, one at a time, so that zeroing 16 MiB never
 * stands before a record. Each chore ends with a synced directory: after a crash at any point the
 * names are those of before or after it, and ids stay without gaps. Lack of space is met only
 * here and does no harm: the chore is tried again each second, and wal_is_short tells of it. Any
 * other error means that the disk fails, and ends the log like a failed record does.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "raft/wal_internal.h"

/* ---- lists -------------------------------------------------------------------------------- */

void wal_segments_push(struct wal_segments *s, struct wal_segment segment)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity == 0 ? 8 : s->capacity * 2;
        s->items = mem_resize(s->items, s->capacity * sizeof *s->items);
    }
    s->items[s->count++] = segment;
}

struct wal_segment wal_segments_pop_first(struct wal_segments *s)
{
    PRE(s->count > 0);
    struct wal_segment first = s->items[0];
    s->count--;
    memmove(s->items, s->items + 1, s->count * sizeof *s->items);
    return first;
}

void wal_segments_close(struct wal_segments *s, struct env *env)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].file != NULL) {
            env->disk->close(s->items[i].file);
        }
    }
    mem_free(s->items);
    *s = (struct wal_segments){0};
}

/* ---- names -------------------------------------------------------------------------------- */

void wal_name_print(char out[WAL_NAME_BYTES], enum wal_name kind, uint64_t id)
{
    const char *prefix = kind == WAL_NAME_SEGMENT ? "wal" : "spare";
    (void)snprintf(out, WAL_NAME_BYTES, "%s-%016" PRIx64 ".seg", prefix, id);
}

enum wal_name wal_name_parse(const char *name, uint64_t *id)
{
    static const enum wal_name kinds[] = {WAL_NAME_SEGMENT, WAL_NAME_SPARE};
    const char *dash = strchr(name, '-');
    *id = 0;
    for (size_t i = 1; dash != NULL && i <= 16; i++) {
        char c = dash[i];
        if (c >= '0' && c <= '9') {
            *id = *id << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            *id = *id << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return WAL_NAME_OTHER;
        }
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char exact[WAL_NAME_BYTES];
        wal_name_print(exact, kinds[i], *id);
        if (strcmp(exact, name) == 0) {
            return kinds[i];
        }
    }
    return WAL_NAME_OTHER;
}

char *wal_path(const char *dir, enum wal_name kind, uint64_t id)
{
    char name[WAL_NAME_BYTES];
    wal_name_print(name, kind, id);
    size_t bytes = strlen(dir) + 1 + strlen(name) + 1;
    char *path = mem_alloc(bytes);
    (void)snprintf(path, bytes, "%s/%s", dir, name);
    return path;
}

/* ---- chores [worker] ---------------------------------------------------------------------- */

enum status wal_zero(struct env *env, struct env_file *file, uint64_t from, uint64_t to)
{
    enum status rc = RC_OK;
    if (from >= to) {
        return RC_OK;
    }
    void *zeros = mem_zalloc(to - from < WAL_STEP_BYTES ? (size_t)(to - from) : WAL_STEP_BYTES);
    /* A sync after each step: a record's own sync then never waits for more than one step. */
    while (rc == RC_OK && from < to) {
        size_t step = to - from < WAL_STEP_BYTES ? (size_t)(to - from) : WAL_STEP_BYTES;
        rc = env->disk->write(file, from, zeros, step);
        if (rc == RC_OK) {
            rc = env->disk->sync(file);
        }
        from += step;
    }
    mem_free(zeros);
    return rc;
}

/* Brings the file to its size, all blocks allocated, with no header. */
static enum status segment_prepare(struct wal_chore *c)
{
    const struct env_disk *disk = c->env->disk;
    uint64_t bytes;
    enum status rc = disk->size(c->file, &bytes);
    if (rc == RC_OK && bytes > c->bytes) {
        rc = disk->truncate(c->file, c->bytes);
    }
    if (rc == RC_OK && bytes < c->bytes) {
        rc = wal_zero(c->env, c->file, bytes, c->bytes);
    }
    if (rc == RC_OK) {
        rc = wal_zero(c->env, c->file, 0, WAL_HEADER_BYTES);
    }
    return rc;
}

/* Once the name is given there is no way back: a directory that cannot be synced is no lack of
 * space, whatever the system calls it. */
static enum status name_durably(struct wal_chore *c, const char *from, const char *to)
{
    enum status rc = c->env->disk->rename(c->env, from, to);
    if (rc == RC_OK && c->env->disk->sync_dir(c->env, c->dir) != RC_OK) {
        rc = RC_IO;
    }
    return rc;
}

static void segment_make(struct wal_chore *c)
{
    const struct env_disk *disk = c->env->disk;
    bool is_new = c->kind == WAL_MAKE_NEW;
    char *from = wal_path(c->dir, WAL_NAME_SPARE, is_new ? c->id : c->from);
    char *to = wal_path(c->dir, WAL_NAME_SEGMENT, c->id);
    int flags = ENV_OPEN_WRITE | (is_new ? ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE : 0);

    c->rc = disk->open(c->env, from, flags, &c->file);
    if (c->rc != RC_OK) {
        c->file = NULL;
        goto out;
    }
    c->rc = segment_prepare(c);
    if (c->rc == RC_OK) {
        c->rc = name_durably(c, from, to);
    }
    if (c->rc != RC_OK) {
        disk->close(c->file);
        c->file = NULL;
        if (is_new) {
            (void)disk->unlink(c->env, from); /* gives back what it took of a full disk */
        }
    }
out:
    mem_free(from);
    mem_free(to);
}

static void segment_retire(struct wal_chore *c)
{
    char *from = wal_path(c->dir, WAL_NAME_SEGMENT, c->from);
    if (c->kind == WAL_RETIRE) {
        char *to = wal_path(c->dir, WAL_NAME_SPARE, c->from);
        c->rc = name_durably(c, from, to);
        mem_free(to);
    } else {
        c->rc = c->env->disk->unlink(c->env, from);
        if (c->rc == RC_OK && c->env->disk->sync_dir(c->env, c->dir) != RC_OK) {
            c->rc = RC_IO;
        }
    }
    mem_free(from);
}

void wal_chore_run(struct wal_chore *c)
{
    c->file = NULL;
    if (c->kind == WAL_MAKE_NEW || c->kind == WAL_MAKE_SPARE) {
        segment_make(c);
    } else {
        segment_retire(c);
    }
}

/* ---- what to do next (loop) --------------------------------------------------------------- */

static void chore_run(struct env_job *job)
{
    wal_chore_run((struct wal_chore *)(void *)job);
}

/* The list entries stay where they are until the chore is done: only then has anything happened. */
static void chore_finished(struct wal *w)
{
    struct wal_chore *c = &w->chore;
    struct wal_segment segment;

    switch (c->kind) {
    case WAL_MAKE_SPARE:
        (void)wal_segments_pop_first(&w->spares);
        /* fall through */
    case WAL_MAKE_NEW:
        segment = (struct wal_segment){.id = c->id, .capacity = c->bytes, .file = c->file};
        wal_segments_push(&w->ready, segment);
        w->next_id = c->id + 1;
        if (w->is_starved) {
            w->is_starved = false;
            log_info(w->options.log, "wal.space", "ready_segments=%zu", w->ready.count);
        }
        metric_set(w->ready_metric, (int64_t)w->ready.count);
        break;
    case WAL_RETIRE: wal_segments_push(&w->spares, wal_segments_pop_first(&w->retired)); break;
    case WAL_DISCARD: (void)wal_segments_pop_first(&w->retired); break;
    }
}

static void chore_done(struct env_job *job)
{
    struct wal *w = LIST_OF(job, struct wal, chore);
    enum status rc = w->chore.rc;

    w->is_on_chore = false;
    if (rc == RC_OK) {
        chore_finished(w);
        wal_provide(w);
        wal_flush(w);
    } else if (rc == RC_NO_SPACE) {
        if (!w->is_starved) {
            log_warn(w->options.log, "wal.no_space", "ready_segments=%zu", w->ready.count);
        }
        w->is_starved = true;
        w->retry_at_ms = w->env->now_ms(w->env) + WAL_RETRY_MS;
        wal_flush(w); /* what waited for a segment may have to fail */
    } else {
        wal_fail(w, rc);
    }
}

void wal_provide(struct wal *w)
{
    struct wal_chore *c = &w->chore;
    bool is_wanted = w->ready.count < WAL_RESERVE_SEGMENTS;

    if (w->is_on_chore || w->has_failed) {
        return;
    }
    if (is_wanted && w->spares.count > 0) {
        c->kind = WAL_MAKE_SPARE;
        c->from = w->spares.items[0].id;
    } else if (w->retired.count > 0) {
        c->kind = w->spares.count < WAL_SPARES_MAX ? WAL_RETIRE : WAL_DISCARD;
        c->from = w->retired.items[0].id;
    } else if (is_wanted) {
        c->kind = WAL_MAKE_NEW;
    } else {
        return;
    }
    c->env = w->env;
    c->dir = w->dir;
    c->id = w->next_id;
    c->bytes = w->options.segment_bytes;
    c->file = NULL;
    c->job = (struct env_job){.run = chore_run, .done = chore_done};
    w->is_on_chore = true;
    w->env->queue_submit(w->chore_queue, &c->job);
}

void wal_retire(struct wal *w)
{
    size_t retired = 0;
    while (w->live.count > 1 && w->live.items[0].id < w->synced.segment &&
           w->live.items[0].max_index < w->needed_index) {
        wal_segments_push(&w->retired, wal_segments_pop_first(&w->live));
        retired++;
    }
    if (retired > 0) {
        wal_provide(w);
    }
}
