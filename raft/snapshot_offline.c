/* Snapshot files for tools that have no loop: what is there, and writing one in one go. */
#include <stdlib.h>

#include "base/mem.h"
#include "raft/snapshot_internal.h"

#define STEP_BYTES ((size_t)1 << 20)

/* ---- listing ------------------------------------------------------------------------------ */

struct listing {
    struct snapshot_file *files;
    size_t count;
};

static void list_file(void *context, const char *name, uint64_t bytes)
{
    struct listing *l = context;
    struct snapshot_file f = {.bytes = bytes};
    if (snapshot_name_parse(name, &f.index, &f.term)) {
        l->files = mem_resize(l->files, (l->count + 1) * sizeof *l->files);
        l->files[l->count++] = f;
    }
}

static int by_index(const void *a, const void *b)
{
    const struct snapshot_file *x = a;
    const struct snapshot_file *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

enum status snapshot_store_list(struct env *env, const char *dir, struct snapshot_file **files,
                                size_t *count, struct errmsg *err)
{
    struct listing l = {0};
    enum status rc = env->disk->list(env, dir, list_file, &l);
    if (rc != RC_OK && rc != RC_NOT_FOUND) {
        mem_free(l.files);
        return errmsg_set(err, rc, "list %s: %s", dir, status_text(rc));
    }
    if (l.count > 0) {
        qsort(l.files, l.count, sizeof *l.files, by_index);
    }
    *files = l.files;
    *count = l.count;
    return RC_OK;
}

char *snapshot_store_path(const char *dir, const struct snapshot_file *file)
{
    return snapshot_path(dir, file->index, file->term, SNAPSHOT_NAME_FINAL);
}

/* ---- writing ------------------------------------------------------------------------------ */

static enum status write_rows(struct snapshot_writer *writer, struct store_scan *scan,
                              struct errmsg *err)
{
    struct buf rows = {0};
    enum status rc = RC_OK;
    for (bool has_more = true; rc == RC_OK && has_more;) {
        buf_clear(&rows);
        has_more = store_scan_step(scan, STEP_BYTES, &rows);
        rc = snapshot_writer_rows(writer, buf_slice(&rows), err);
    }
    buf_close(&rows);
    return rc;
}

static enum status write_part(struct env *env, const char *part, struct store *s,
                              struct snapshot_meta *meta, struct errmsg *err)
{
    struct snapshot_writer *writer;
    enum status rc = snapshot_writer_open(env, part, &writer, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct store_scan *scan = store_scan_begin(s, meta);
    rc = write_rows(writer, scan, err);
    store_scan_end(scan);
    if (rc != RC_OK) {
        snapshot_writer_abort(writer);
        return rc;
    }
    return snapshot_writer_finish(writer, meta, err);
}

enum status snapshot_store_write(struct env *env, const char *dir, struct store *s,
                                 struct snapshot_meta *meta, struct errmsg *err)
{
    uint64_t bytes;
    enum status rc = snapshot_make_dir(env, dir);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "create %s: %s", dir, status_text(rc));
    }
    uint64_t index = store_applied_index(s);
    char *part = snapshot_path(dir, index, meta->term, SNAPSHOT_NAME_TAKEN);
    char *final = snapshot_path(dir, index, meta->term, SNAPSHOT_NAME_FINAL);
    rc = write_part(env, part, s, meta, err);
    if (rc == RC_OK) {
        rc = snapshot_publish(env, dir, part, final, &bytes, err);
    }
    mem_free(part);
    mem_free(final);
    return rc;
}

enum status snapshot_write_file(struct env *env, const char *path, struct store *s,
                                struct snapshot_meta *meta, struct errmsg *err)
{
    uint64_t bytes;
    struct buf dir = {0};
    struct buf part = {0};
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        buf_append_str(&dir, ".");
    } else {
        buf_append(&dir, path, slash == path ? 1 : (size_t)(slash - path));
    }
    buf_append(&dir, "", 1);
    buf_printf(&part, "%s.part", path);
    buf_append(&part, "", 1);
    enum status rc = write_part(env, (const char *)part.data, s, meta, err);
    if (rc == RC_OK) {
        rc = snapshot_publish(env, (const char *)dir.data, (const char *)part.data, path,
                              &bytes, err);
    }
    buf_close(&dir);
    buf_close(&part);
    return rc;
}
