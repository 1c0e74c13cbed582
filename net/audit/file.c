#include "net/audit/file.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

void audit_file_init(struct audit_file *f, struct env *env, const char *path,
                     uint64_t bytes_max, uint64_t kept)
{
    PRE(bytes_max > 0 && kept >= 1 && kept <= AUDIT_FILES_KEPT_MAX);
    *f = (struct audit_file){.env = env,
                             .path = mem_strdup(path),
                             .bytes_max = bytes_max,
                             .kept = kept,
                             .rotate_at = bytes_max};
}

/* ---- names -------------------------------------------------------------------------------- */

/* The folder of the path, owned; "." if it names none. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return mem_strdup(".");
    }
    size_t bytes = slash == path ? 1 : (size_t)(slash - path);
    char *folder = mem_zalloc(bytes + 1);
    memcpy(folder, path, bytes);
    return folder;
}

/* PATH.N, owned. */
static char *name_of(const struct audit_file *f, uint64_t number)
{
    size_t bytes = strlen(f->path) + 24;
    char *name = mem_alloc(bytes);
    (void)snprintf(name, bytes, "%s.%llu", f->path, (unsigned long long)number);
    return name;
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Ends what the last process did not end. */
static enum status complete_line(struct audit_file *f)
{
    const struct env_disk *disk = f->env->disk;
    char last = '\n';
    size_t got = 0;
    if (f->bytes == 0) {
        return RC_OK;
    }
    enum status rc = disk->read(f->file, f->bytes - 1, &last, 1, &got);
    if (rc == RC_OK && got == 1 && last != '\n') {
        rc = disk->write(f->file, f->bytes, "\n", 1);
        f->bytes += rc == RC_OK;
    }
    return rc;
}

/* Opens the file, or makes it, unless it is open. */
static enum status open_file(struct audit_file *f, struct errmsg *err)
{
    const struct env_disk *disk = f->env->disk;
    if (f->file != NULL) {
        return RC_OK;
    }
    char *folder = folder_of(f->path);
    enum status rc = strcmp(folder, ".") == 0 ? RC_OK : disk->mkdir(f->env, folder);
    mem_free(folder);
    if (rc == RC_OK) {
        rc = disk->open(f->env, f->path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_GROUP,
                        &f->file);
    }
    if (rc != RC_OK) {
        f->file = NULL;
        return errmsg_set(err, rc, "open %s: %s", f->path, status_text(rc));
    }
    rc = disk->size(f->file, &f->bytes);
    rc = rc == RC_OK ? complete_line(f) : rc;
    if (rc != RC_OK) {
        audit_file_close(f);
        return errmsg_set(err, rc, "take up %s: %s", f->path, status_text(rc));
    }
    f->rotate_at = f->bytes_max;
    return RC_OK;
}

void audit_file_close(struct audit_file *f)
{
    if (f->file != NULL) {
        f->env->disk->close(f->file);
        f->file = NULL;
    }
}

enum status audit_file_sync(struct audit_file *f, struct errmsg *err)
{
    enum status rc = f->file == NULL ? RC_OK : f->env->disk->sync(f->file);
    return rc == RC_OK ? RC_OK
                       : errmsg_set(err, rc, "sync %s: %s", f->path, status_text(rc));
}

/* ---- rotation ----------------------------------------------------------------------------- */

/* Which of PATH.1, PATH.2, ... are there. */
struct numbers {
    const char *name; /* of the file itself, without its folder */
    bool is_there[AUDIT_FILES_KEPT_MAX + 1];
    uint64_t beyond; /* some number above those that are kept; 0 = none */
    uint64_t kept;
};

static void note_number(void *context, const char *name, uint64_t bytes)
{
    struct numbers *n = context;
    size_t length = strlen(n->name);
    uint64_t number = 0;
    (void)bytes;
    if (strncmp(name, n->name, length) != 0 || name[length] != '.' ||
        !slice_number(slice_str(name + length + 1), &number) || number == 0 ||
        number > AUDIT_FILES_KEPT_MAX) {
        return;
    }
    n->is_there[number] = true;
    n->beyond = number > n->kept ? number : n->beyond;
}

/* PATH.from, or the file itself, to the next number. */
static enum status move(struct audit_file *f, uint64_t from)
{
    char *to_name = name_of(f, from + 1);
    char *from_name = from == 0 ? mem_strdup(f->path) : name_of(f, from);
    enum status rc = f->env->disk->rename(f->env, from_name, to_name);
    mem_free(from_name);
    mem_free(to_name);
    return rc;
}

static enum status drop(struct audit_file *f, uint64_t number)
{
    char *name = name_of(f, number);
    enum status rc = f->env->disk->unlink(f->env, name);
    mem_free(name);
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

/* Makes room at PATH.1: up to the first number that is free, or the last one, everybody moves. */
static enum status make_room(struct audit_file *f, struct numbers *n)
{
    uint64_t free = 1;
    enum status rc = RC_OK;
    while (free < f->kept && n->is_there[free]) {
        free++;
    }
    for (uint64_t number = free; rc == RC_OK && number > 1; number--) {
        rc = move(f, number - 1);
    }
    for (uint64_t number = f->kept + 1; rc == RC_OK && n->beyond != 0 &&
                                        number <= AUDIT_FILES_KEPT_MAX;
         number++) {
        rc = n->is_there[number] ? drop(f, number) : RC_OK; /* more were kept once */
    }
    return rc;
}

/* `is_away`: the path is free, whatever else went wrong. */
static enum status rename_all(struct audit_file *f, bool *is_away)
{
    const char *slash = strrchr(f->path, '/');
    struct numbers n = {.name = slash == NULL ? f->path : slash + 1, .kept = f->kept};
    char *folder = folder_of(f->path);
    enum status rc = f->env->disk->list(f->env, folder, note_number, &n);
    rc = rc == RC_OK ? make_room(f, &n) : rc;
    if (rc == RC_OK) {
        rc = move(f, 0);
        *is_away = rc == RC_OK || rc == RC_NOT_FOUND; /* somebody has removed or moved it */
        rc = *is_away ? f->env->disk->sync_dir(f->env, folder) : rc;
    }
    mem_free(folder);
    return rc;
}

/* Lines count for more than sizes: where a file cannot be renamed it goes on to grow. Not so one
 * that has another name already, or none any more: nobody would find what it gets. */
static enum status rotate(struct audit_file *f, struct errmsg *err)
{
    struct errmsg why = {0};
    bool is_away = false;
    enum status rc = audit_file_sync(f, &why);
    if (rc == RC_OK) {
        rc = rename_all(f, &is_away);
        if (rc != RC_OK) {
            (void)errmsg_set(&why, rc, "rotate %s: %s", f->path, status_text(rc));
        }
    }
    if (rc != RC_OK) {
        f->rotation = why;
    }
    if (!is_away) {
        f->rotate_at = f->bytes + f->bytes_max;
        return RC_OK;
    }
    f->rotations++;
    audit_file_close(f);
    return open_file(f, err);
}

/* ---- writing ------------------------------------------------------------------------------ */

/* The whole lines of which at most `room` bytes are taken, but at least one. */
static size_t lines_within(struct slice lines, uint64_t room)
{
    if (lines.size <= room) {
        return lines.size;
    }
    size_t end = (size_t)room;
    while (end > 0 && lines.data[end - 1] != '\n') {
        end--;
    }
    if (end > 0) {
        return end;
    }
    const uint8_t *at = memchr(lines.data, '\n', lines.size);
    return at == NULL ? lines.size : (size_t)(at - lines.data) + 1;
}

enum status audit_file_write(struct audit_file *f, struct slice lines, size_t *written,
                             struct errmsg *err)
{
    enum status rc = open_file(f, err);
    *written = 0;
    while (rc == RC_OK && *written < lines.size) {
        struct slice rest = slice_make(lines.data + *written, lines.size - *written);
        uint64_t room = f->bytes < f->rotate_at ? f->rotate_at - f->bytes : 0;
        size_t bytes = lines_within(rest, room);
        if (bytes > room && f->bytes > 0) {
            rc = rotate(f, err);
            continue;
        }
        rc = f->env->disk->write(f->file, f->bytes, rest.data, bytes);
        if (rc != RC_OK) {
            return errmsg_set(err, rc, "write %s: %s", f->path, status_text(rc));
        }
        f->bytes += bytes;
        *written += bytes;
    }
    return rc;
}
