/* The writer of an archive: one file at a time is written to, under its .part name, until it is
 * sealed. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/archive_internal.h"
#include "raft/dir_above.h"

struct archive_writer {
    struct env *env;
    struct log *log;
    char *dir;
    uint64_t cluster_id;
    uint64_t seal_bytes;
    uint64_t next_index; /* 0: nothing is archived */
    /* The file that is being written to; NULL = the next entry begins one. */
    struct env_file *file;
    struct archive_file part;
    uint64_t bytes; /* of it: what was written and is whole */
    uint64_t begun_ms;
    bool is_dirty; /* written to since the last sync */
    struct buf scratch;
    struct errmsg failure; /* the first one; it stays */
};

/* What the file holds is not known any more, not even after a sync that succeeds. */
static enum status fail(struct archive_writer *w, enum status rc, const char *what,
                        struct errmsg *err)
{
    char *path = archive_path(w->dir, &w->part);
    (void)errmsg_set(&w->failure, rc, "%s %s: %s", what, path, status_text(rc));
    mem_free(path);
    return errmsg_set(err, rc, "%s", w->failure.text);
}

static enum status failed(const struct archive_writer *w, struct errmsg *err)
{
    return errmsg_set(err, w->failure.rc, "%s", w->failure.text);
}

/* ---- the file being written --------------------------------------------------------------- */

static void part_close(struct archive_writer *w)
{
    if (w->file != NULL) {
        w->env->disk->close(w->file);
        w->file = NULL;
    }
}

static enum status part_begin(struct archive_writer *w, const struct wal_entry *first,
                              struct errmsg *err)
{
    const struct env_disk *disk = w->env->disk;
    uint8_t bytes[ARCHIVE_HEADER_BYTES];
    w->part = (struct archive_file){.cluster_id = w->cluster_id, .first_index = first->index};
    w->begun_ms = w->env->wall_ms(w->env);
    struct archive_header header = {
        .cluster_id = w->cluster_id,
        .first_index = first->index,
        .first_term = first->term,
        .begun_ms = w->begun_ms,
    };
    archive_header_encode(bytes, &header);
    char *path = archive_path(w->dir, &w->part);
    enum status rc = disk->open(w->env, path,
                                ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &w->file);
    mem_free(path);
    if (rc != RC_OK) {
        w->file = NULL;
        return fail(w, rc, "create", err);
    }
    rc = disk->write(w->file, 0, bytes, sizeof bytes);
    rc = rc == RC_OK ? disk->sync(w->file) : rc;
    rc = rc == RC_OK ? disk->sync_dir(w->env, w->dir) : rc;
    if (rc != RC_OK) {
        part_close(w);
        return fail(w, rc, "begin", err);
    }
    w->bytes = sizeof bytes;
    return RC_OK;
}

enum status archive_writer_sync(struct archive_writer *w, struct errmsg *err)
{
    if (w->failure.rc != RC_OK) {
        return failed(w, err);
    }
    if (w->file == NULL || !w->is_dirty) {
        return RC_OK;
    }
    enum status rc = w->env->disk->sync(w->file);
    if (rc != RC_OK) {
        return fail(w, rc, "sync", err);
    }
    w->is_dirty = false;
    return RC_OK;
}

enum status archive_writer_seal(struct archive_writer *w, struct errmsg *err)
{
    if (w->failure.rc == RC_OK && (w->file == NULL || w->next_index == w->part.first_index)) {
        return RC_OK;
    }
    struct archive_file sealed = w->part;
    sealed.last_index = w->next_index - 1;
    enum status rc = archive_writer_sync(w, err);
    if (rc != RC_OK) {
        return rc;
    }
    char *from = archive_path(w->dir, &w->part);
    char *to = archive_path(w->dir, &sealed);
    part_close(w);
    rc = w->env->disk->rename(w->env, from, to);
    if (rc == RC_OK) {
        rc = w->env->disk->sync_dir(w->env, w->dir);
    }
    if (rc != RC_OK) {
        rc = fail(w, rc, "seal", err);
    } else {
        log_info(w->log, "archive.sealed", "first=%" PRIu64 " last=%" PRIu64 " bytes=%" PRIu64,
                 sealed.first_index, sealed.last_index, w->bytes);
    }
    mem_free(from);
    mem_free(to);
    return rc;
}

/* ---- appending ---------------------------------------------------------------------------- */

/* Writes the records in `scratch`. */
static enum status write_records(struct archive_writer *w, uint64_t next_index,
                                 struct errmsg *err)
{
    if (w->scratch.size == 0) {
        return RC_OK;
    }
    enum status rc = w->env->disk->write(w->file, w->bytes, w->scratch.data, w->scratch.size);
    if (rc != RC_OK) {
        return fail(w, rc, "write", err);
    }
    w->is_dirty = true;
    w->bytes += w->scratch.size;
    w->next_index = next_index;
    buf_clear(&w->scratch);
    return RC_OK;
}

enum status archive_writer_append(struct archive_writer *w, const struct wal_entry *entries,
                                  size_t count, struct errmsg *err)
{
    enum status rc = w->failure.rc == RC_OK ? RC_OK : failed(w, err);
    buf_clear(&w->scratch);
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        const struct wal_entry *e = &entries[i];
        PRE(e->index != 0 && (i == 0 || e->index == entries[i - 1].index + 1));
        if (e->index < w->next_index) {
            continue;
        }
        uint64_t expected = w->scratch.size > 0 ? e->index : w->next_index;
        if (w->file != NULL && (e->index != expected || w->bytes >= w->seal_bytes)) {
            rc = archive_writer_seal(w, err);
            part_close(w);
        }
        if (rc == RC_OK && w->file == NULL) {
            rc = part_begin(w, e, err);
            w->next_index = rc == RC_OK ? e->index : w->next_index;
        }
        if (rc != RC_OK) {
            break;
        }
        archive_record_encode(&w->scratch, e);
        if (i + 1 == count || w->bytes + w->scratch.size >= w->seal_bytes) {
            rc = write_records(w, e->index + 1, err);
        }
    }
    return rc;
}

uint64_t archive_writer_next_index(const struct archive_writer *w)
{
    return w->next_index;
}

uint64_t archive_writer_begun_ms(const struct archive_writer *w)
{
    return w->file == NULL || w->next_index == w->part.first_index ? 0 : w->begun_ms;
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Takes up a file that was not sealed: cuts what is torn. One without a whole record goes. */
static enum status part_resume(struct archive_writer *w, const struct archive_file *found,
                               struct errmsg *err)
{
    const struct env_disk *disk = w->env->disk;
    struct archive_extent extent = {.end = 0};
    struct buf bytes = {0};
    char *path = archive_path(w->dir, found);
    enum status rc = archive_read_file(w->env, path, &bytes, err);
    if (rc == RC_OK) {
        rc = archive_measure(found, buf_slice(&bytes), &extent, err);
    }
    bool is_void = rc == RC_CORRUPT || (rc == RC_OK && extent.next_index == found->first_index);
    if (is_void || (rc == RC_OK && extent.next_index <= w->next_index)) {
        rc = disk->unlink(w->env, path);
        if (rc != RC_OK) {
            (void)errmsg_set(err, rc, "remove %s: %s", path, status_text(rc));
        }
    } else if (rc == RC_OK) {
        w->part = *found;
        w->bytes = extent.end;
        w->begun_ms = extent.header.begun_ms;
        w->next_index = extent.next_index;
        rc = disk->open(w->env, path, ENV_OPEN_WRITE, &w->file);
        w->file = rc == RC_OK ? w->file : NULL;
        rc = rc == RC_OK ? disk->truncate(w->file, extent.end) : rc;
        /* Written again: a sync that failed has marked as clean what is in memory only. */
        rc = rc == RC_OK ? disk->write(w->file, 0, bytes.data, extent.end) : rc;
        rc = rc == RC_OK ? disk->sync(w->file) : rc;
        rc = rc == RC_OK ? RC_OK : fail(w, rc, "take up", err);
    }
    buf_close(&bytes);
    mem_free(path);
    return rc;
}

static enum status take_up(struct archive_writer *w, struct errmsg *err)
{
    struct archive_file *files;
    size_t count;
    enum status rc = archive_list(w->env, w->dir, w->cluster_id, &files, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (files[i].last_index >= w->next_index) {
            w->next_index = files[i].last_index + 1;
        }
    }
    w->next_index = w->next_index == 1 ? 0 : w->next_index; /* only files that are not sealed */
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        if (files[i].last_index == 0) {
            rc = archive_writer_seal(w, err); /* an older one */
            part_close(w);
            rc = rc == RC_OK ? part_resume(w, &files[i], err) : rc;
        }
    }
    mem_free(files);
    return rc;
}

enum status archive_writer_open(const struct archive_writer_options *options,
                                struct archive_writer **out, struct errmsg *err)
{
    struct archive_writer *w = mem_zalloc(sizeof *w);
    w->env = options->env;
    w->log = options->log;
    w->dir = mem_strdup(options->dir);
    w->cluster_id = options->cluster_id;
    w->seal_bytes = options->seal_bytes != 0 ? options->seal_bytes : ARCHIVE_SEAL_BYTES;
    enum status rc = w->env->disk->mkdir(w->env, w->dir);
    if (rc != RC_OK) {
        (void)errmsg_set(err, rc, "create archive directory %s: %s", w->dir, status_text(rc));
    } else {
        /* If this user may not open that one, the operator has made ours, and it was durable. */
        (void)dir_sync_above(w->env, w->dir);
        rc = take_up(w, err);
    }
    if (rc != RC_OK) {
        archive_writer_close(w);
        return rc;
    }
    *out = w;
    return RC_OK;
}

void archive_writer_close(struct archive_writer *w)
{
    part_close(w);
    buf_close(&w->scratch);
    mem_free(w->dir);
    mem_free(w);
}

/* ---- retention ---------------------------------------------------------------------------- */

enum status archive_writer_retain(struct archive_writer *w, uint64_t first_index,
                                  uint64_t *removed, struct errmsg *err)
{
    struct archive_file *files;
    size_t count;
    enum status rc = archive_list(w->env, w->dir, w->cluster_id, &files, &count, err);
    *removed = 0;
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        if (files[i].last_index == 0 || files[i].last_index >= first_index) {
            continue;
        }
        char *path = archive_path(w->dir, &files[i]);
        rc = w->env->disk->unlink(w->env, path);
        rc = rc == RC_NOT_FOUND ? RC_OK : rc;
        if (rc != RC_OK) {
            (void)errmsg_set(err, rc, "remove %s: %s", path, status_text(rc));
        } else {
            ++*removed;
        }
        mem_free(path);
    }
    mem_free(files);
    return rc;
}
