/* The file of an audit log, and those that it was before: PATH, PATH.1 (the last one), PATH.2, ...
 *
 * Lines are appended, never torn in two by rotation: when the next line would make the file larger
 * than it may be, it is synced and renamed to PATH.1, after PATH.1 became PATH.2 and so on. A file
 * that ends without a line's end, as the last process died, is given one, so that what is torn
 * spoils no line but itself. A write that fails is repeated at the same place.
 *
 * [worker], one caller at a time. */
#ifndef NET_AUDIT_FILE_H
#define NET_AUDIT_FILE_H

#include "base/env.h"

#define AUDIT_FILES_KEPT_MAX ((uint64_t)1000)

/* Read-only outside of file.c. */
struct audit_file {
    struct env *env;
    char *path;
    uint64_t bytes_max;
    uint64_t kept;
    struct env_file *file; /* NULL: not open */
    uint64_t bytes;        /* whole lines in it */
    uint64_t rotate_at;    /* bytes */
    uint64_t rotations;
    struct errmsg rotation; /* why the last one failed; it goes on in the same file then */
};

/* Copies `path`. Nothing is opened yet. */
void audit_file_init(struct audit_file *f, struct env *env, const char *path,
                     uint64_t bytes_max, uint64_t kept);
/* Appends whole lines, opening the file if need be. `written` are the bytes of lines that are in a
 * file now, also on failure. */
enum status audit_file_write(struct audit_file *f, struct slice lines, size_t *written,
                             struct errmsg *err) MUST_USE;
enum status audit_file_sync(struct audit_file *f, struct errmsg *err) MUST_USE;
void audit_file_close(struct audit_file *f);

#endif
