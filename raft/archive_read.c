/* The reader of an archive: from file to file, always to the one that goes furthest. */
#include <inttypes.h>

#include "base/mem.h"
#include "raft/archive_internal.h"

struct archive_reader {
    struct env *env;
    char *dir;
    struct archive_file *files;
    size_t count;
    uint64_t next_index;
    uint64_t last_term;
    /* The file at hand; empty = none. */
    struct buf bytes;
    size_t at;
    size_t end;
};

enum status archive_reader_open(struct env *env, const char *dir, uint64_t cluster_id,
                                uint64_t first_index, struct archive_reader **out,
                                struct errmsg *err)
{
    struct archive_reader *r = mem_zalloc(sizeof *r);
    r->env = env;
    r->dir = mem_strdup(dir);
    r->next_index = first_index;
    enum status rc = archive_list(env, dir, cluster_id, &r->files, &r->count, err);
    if (rc != RC_OK) {
        archive_reader_close(r);
        return rc;
    }
    *out = r;
    return RC_OK;
}

void archive_reader_close(struct archive_reader *r)
{
    buf_close(&r->bytes);
    mem_free(r->files);
    mem_free(r->dir);
    mem_free(r);
}

/* The file that has the next entry and goes furthest: a sealed one, else one that is being written
 * and may have it. */
static const struct archive_file *choose(const struct archive_reader *r)
{
    const struct archive_file *best = NULL;
    for (size_t i = 0; i < r->count && r->files[i].first_index <= r->next_index; i++) {
        const struct archive_file *f = &r->files[i];
        bool has_it = f->last_index == 0 || f->last_index >= r->next_index;
        if (has_it && (best == NULL || f->last_index >= best->last_index)) {
            best = f;
        }
    }
    return best;
}

static enum status end_or_gap(const struct archive_reader *r, struct errmsg *err)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->files[i].first_index > r->next_index) {
            return errmsg_set(err, RC_CORRUPT,
                              "archive %s: entries %" PRIu64 " to %" PRIu64 " are missing",
                              r->dir, r->next_index, r->files[i].first_index - 1);
        }
    }
    return errmsg_set(err, RC_NOT_FOUND, "archive %s ends before entry %" PRIu64, r->dir,
                      r->next_index);
}

/* Opens the file that has the next entry and goes to it. */
static enum status turn_over(struct archive_reader *r, struct errmsg *err)
{
    struct archive_extent extent = {.end = 0};
    const struct archive_file *f = choose(r);
    buf_clear(&r->bytes);
    r->at = r->end = 0;
    if (f == NULL) {
        return end_or_gap(r, err);
    }
    char *path = archive_path(r->dir, f);
    enum status rc = archive_read_file(r->env, path, &r->bytes, err);
    if (rc == RC_OK) {
        rc = archive_measure(f, buf_slice(&r->bytes), &extent, err);
    }
    if (rc == RC_CORRUPT && f->last_index == 0) {
        rc = end_or_gap(r, err); /* torn before its first record */
    } else if (rc == RC_OK && f->last_index != 0 &&
               (extent.next_index != f->last_index + 1 || extent.end != r->bytes.size)) {
        rc = errmsg_set(err, RC_CORRUPT, "%s is damaged at offset %zu, in entry %" PRIu64, path,
                        extent.end, extent.next_index);
    } else if (rc == RC_OK && extent.next_index <= r->next_index) {
        rc = end_or_gap(r, err);
    }
    if (rc == RC_OK) {
        r->at = ARCHIVE_HEADER_BYTES;
        r->end = extent.end;
    }
    mem_free(path);
    return rc;
}

enum status archive_reader_next(struct archive_reader *r, struct wal_entry *entry,
                                struct errmsg *err)
{
    for (;;) {
        size_t size;
        if (r->at == r->end) {
            enum status rc = turn_over(r, err);
            if (rc != RC_OK) {
                return rc;
            }
        }
        struct slice rest = slice_make(r->bytes.data + r->at, r->end - r->at);
        if (!archive_record_decode(rest, entry, &size)) {
            return errmsg_set(err, RC_CORRUPT, "archive %s: entry %" PRIu64 " is damaged",
                              r->dir, r->next_index);
        }
        r->at += size;
        if (entry->index == r->next_index) {
            break;
        }
    }
    if (entry->term < r->last_term) {
        return errmsg_set(err, RC_CORRUPT,
                          "archive %s: the term falls from %" PRIu64 " to %" PRIu64
                          " at entry %" PRIu64 ", so these files do not belong together",
                          r->dir, r->last_term, entry->term, entry->index);
    }
    r->last_term = entry->term;
    r->next_index++;
    return RC_OK;
}
