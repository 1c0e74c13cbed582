#include "raft/archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "raft/archive_internal.h"

#define NAME_BYTES 96

/* ---- names -------------------------------------------------------------------------------- */

static void name_print(char out[NAME_BYTES], const struct archive_file *f)
{
    if (f->last_index == 0) {
        (void)snprintf(out, NAME_BYTES, "archive-%016" PRIx64 "-%020" PRIu64 ".part",
                       f->cluster_id, f->first_index);
    } else {
        (void)snprintf(out, NAME_BYTES,
                       "archive-%016" PRIx64 "-%020" PRIu64 "-%020" PRIu64 ".log",
                       f->cluster_id, f->first_index, f->last_index);
    }
}

static bool name_parse(const char *name, struct archive_file *f)
{
    static const char prefix[] = "archive-";
    char exact[NAME_BYTES];
    char *end;
    *f = (struct archive_file){0};
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    f->cluster_id = strtoull(name + sizeof prefix - 1, &end, 16);
    f->first_index = *end == '-' ? strtoull(end + 1, &end, 10) : 0;
    f->last_index = *end == '-' ? strtoull(end + 1, &end, 10) : 0;
    name_print(exact, f);
    return f->first_index != 0 && strcmp(name, exact) == 0;
}

char *archive_path(const char *dir, const struct archive_file *file)
{
    char name[NAME_BYTES];
    struct buf path = {0};
    name_print(name, file);
    buf_printf(&path, "%s/%s", dir, name);
    buf_append(&path, "", 1);
    return (char *)buf_take(&path, NULL);
}

struct listing {
    uint64_t cluster_id;
    struct archive_file *files;
    size_t count;
};

static void list_file(void *context, const char *name, uint64_t bytes)
{
    struct listing *l = context;
    struct archive_file f;
    if (name_parse(name, &f) && (l->cluster_id == 0 || f.cluster_id == l->cluster_id)) {
        f.bytes = bytes;
        l->files = mem_resize(l->files, (l->count + 1) * sizeof *l->files);
        l->files[l->count++] = f;
    }
}

static int file_compare(const void *a, const void *b)
{
    const struct archive_file *x = a;
    const struct archive_file *y = b;
    if (x->first_index != y->first_index) {
        return x->first_index < y->first_index ? -1 : 1;
    }
    return x->last_index < y->last_index ? -1 : x->last_index > y->last_index;
}

enum status archive_list(struct env *env, const char *dir, uint64_t cluster_id,
                         struct archive_file **files, size_t *count, struct errmsg *err)
{
    struct listing l = {.cluster_id = cluster_id};
    enum status rc = env->disk->list(env, dir, list_file, &l);
    *files = NULL;
    *count = 0;
    if (rc != RC_OK) {
        mem_free(l.files);
        return errmsg_set(err, rc, "list archive directory %s: %s", dir, status_text(rc));
    }
    if (l.count > 0) {
        qsort(l.files, l.count, sizeof *l.files, file_compare);
    }
    *files = l.files;
    *count = l.count;
    return RC_OK;
}

/* ---- bytes -------------------------------------------------------------------------------- */

static const char magic[8] = {'C', 'O', 'O', 'R', 'D', 'A', 'R', 'C'};

void archive_header_encode(uint8_t out[ARCHIVE_HEADER_BYTES], const struct archive_header *h)
{
    struct buf b = {0};
    pack_raw(&b, magic, sizeof magic);
    pack_u32(&b, ARCHIVE_FORMAT);
    pack_u32(&b, 0);
    pack_u64(&b, h->cluster_id);
    pack_u64(&b, h->first_index);
    pack_u64(&b, h->first_term);
    pack_u64(&b, h->begun_ms);
    memset(buf_extend(&b, ARCHIVE_HEADER_BYTES - 4 - b.size), 0,
           ARCHIVE_HEADER_BYTES - 4 - b.size);
    pack_u32(&b, crc32c(0, b.data, b.size));
    memcpy(out, b.data, ARCHIVE_HEADER_BYTES);
    buf_close(&b);
}

/* RC_CORRUPT: not a valid header. RC_UNSUPPORTED: one of a newer format. */
static enum status header_decode(struct slice bytes, struct archive_header *out)
{
    if (bytes.size < ARCHIVE_HEADER_BYTES || memcmp(bytes.data, magic, sizeof magic) != 0) {
        return RC_CORRUPT;
    }
    struct unpack u = unpack_make(slice_make(bytes.data, ARCHIVE_HEADER_BYTES));
    (void)unpack_raw(&u, sizeof magic);
    uint32_t format = unpack_u32(&u);
    (void)unpack_u32(&u);
    out->cluster_id = unpack_u64(&u);
    out->first_index = unpack_u64(&u);
    out->first_term = unpack_u64(&u);
    out->begun_ms = unpack_u64(&u);
    (void)unpack_raw(&u, u.rest.size - 4);
    if (unpack_u32(&u) != crc32c(0, bytes.data, ARCHIVE_HEADER_BYTES - 4) || format == 0) {
        return RC_CORRUPT;
    }
    return format > ARCHIVE_FORMAT ? RC_UNSUPPORTED : RC_OK;
}

void archive_record_encode(struct buf *out, const struct wal_entry *entry)
{
    size_t at = out->size;
    pack_u32(out, 0);
    pack_u32(out, (uint32_t)entry->payload.size);
    pack_u64(out, entry->index);
    pack_u64(out, entry->term);
    pack_u8(out, entry->type);
    pack_raw(out, "\0\0\0\0\0\0", 7);
    buf_append_slice(out, entry->payload);
    pack_u32_at(out, at, crc32c(0, out->data + at + 4, out->size - at - 4));
}

bool archive_record_decode(struct slice bytes, struct wal_entry *out, size_t *record_bytes)
{
    struct unpack u = unpack_make(bytes);
    uint32_t crc = unpack_u32(&u);
    uint32_t size = unpack_u32(&u);
    out->index = unpack_u64(&u);
    out->term = unpack_u64(&u);
    out->type = unpack_u8(&u);
    (void)unpack_raw(&u, 7);
    out->payload = unpack_raw(&u, size);
    *record_bytes = ARCHIVE_RECORD_HEADER_BYTES + (size_t)size;
    return !u.failed && size <= ARCHIVE_PAYLOAD_BYTES_MAX &&
           crc == crc32c(0, bytes.data + 4, *record_bytes - 4);
}

enum status archive_read_file(struct env *env, const char *path, struct buf *out,
                              struct errmsg *err)
{
    struct env_file *file;
    uint64_t bytes = 0;
    size_t got = 0;
    buf_clear(out);
    enum status rc = env->disk->open(env, path, ENV_OPEN_READ, &file);
    if (rc == RC_OK) {
        rc = env->disk->size(file, &bytes);
        if (rc == RC_OK && bytes > 0) {
            rc = env->disk->read(file, 0, buf_extend(out, (size_t)bytes), (size_t)bytes, &got);
            out->size = rc == RC_OK ? got : 0;
        }
        env->disk->close(file);
    }
    return rc == RC_OK ? RC_OK : errmsg_set(err, rc, "read %s: %s", path, status_text(rc));
}

enum status archive_measure(const struct archive_file *file, struct slice bytes,
                            struct archive_extent *out, struct errmsg *err)
{
    char name[NAME_BYTES];
    name_print(name, file);
    *out = (struct archive_extent){.next_index = file->first_index};
    enum status rc = header_decode(bytes, &out->header);
    if (rc == RC_UNSUPPORTED) {
        return errmsg_set(err, rc, "%s was written by a newer version of this program", name);
    }
    if (rc != RC_OK || out->header.cluster_id != file->cluster_id ||
        out->header.first_index != file->first_index) {
        return errmsg_set(err, RC_CORRUPT, "%s: the header is damaged", name);
    }
    out->end = ARCHIVE_HEADER_BYTES;
    out->last_term = out->header.first_term;
    for (;;) {
        struct wal_entry entry;
        size_t size;
        struct slice rest = slice_make(bytes.data + out->end, bytes.size - out->end);
        if (!archive_record_decode(rest, &entry, &size) || entry.index != out->next_index ||
            entry.term < out->last_term) {
            return RC_OK;
        }
        out->end += size;
        out->next_index++;
        out->last_term = entry.term;
    }
}
