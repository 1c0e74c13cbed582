/* Files by plain POSIX calls, on whichever thread calls. Interrupted calls are repeated, short
 * ones continued. A failed sync is never repeated: the kernel may have dropped the dirty pages
 * and would then report success for data that is gone, so the caller has to stop.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/env_uv_impl.h"
#include "base/mem.h"
#include "base/write_out.h"

/* The data may hold secrets of the clients: the daemon's own user only. */
#define DISK_FILE_MODE 0600
#define DISK_GROUP_FILE_MODE 0640 /* what is meant to be collected by others, as logs are */
#define DISK_DIR_MODE 0700

struct env_file {
    struct env_uv *env;
    int fd;
    struct write_out out;
    char path[]; /* for the log */
};

/* Turns errno into a status, and keeps its text in the log. */
static enum status disk_failed(struct env_uv *e, const char *op, const char *path)
{
    int error = errno;
    if (error == ENOENT) {
        return RC_NOT_FOUND;
    }
    char text[128];
    char quoted_text[160];
    char quoted_path[1024];
    uv_strerror_r(uv_translate_sys_error(error), text, sizeof text);
    log_error(e->log, "disk.error", "op=%s path=%s error=%s", op,
              log_quote(quoted_path, sizeof quoted_path, path),
              log_quote(quoted_text, sizeof quoted_text, text));
    if (error == EACCES || error == EPERM) {
        return RC_DENIED;
    }
    return error == ENOSPC || error == EDQUOT ? RC_NO_SPACE : RC_IO;
}

static enum status file_failed(struct env_file *file, const char *op)
{
    enum status rc = disk_failed(file->env, op, file->path);
    return rc == RC_NOT_FOUND ? RC_IO : rc; /* an open file is not missing */
}

static int disk_open_fd(const char *path, int flags, mode_t mode)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static enum status disk_open(struct env *env, const char *path, int flags, struct env_file **out)
{
    int how = (flags & ENV_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY;
    how |= (flags & ENV_OPEN_CREATE) != 0 ? O_CREAT : 0;
    how |= (flags & ENV_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0;
    int fd = disk_open_fd(
        path, how, (flags & ENV_OPEN_GROUP) != 0 ? DISK_GROUP_FILE_MODE : DISK_FILE_MODE);
    if (fd < 0) {
        return disk_failed(env_uv_of(env), "open", path);
    }
    size_t path_bytes = strlen(path) + 1;
    struct env_file *file = mem_alloc(sizeof *file + path_bytes);
    file->env = env_uv_of(env);
    file->fd = fd;
    file->out = (struct write_out){.end = 0};
    memcpy(file->path, path, path_bytes);
    *out = file;
    return RC_OK;
}

static enum status disk_read(struct env_file *file, uint64_t offset, void *to, size_t bytes,
                             size_t *got)
{
    *got = 0;
    while (*got < bytes) {
        ssize_t n = pread(file->fd, (char *)to + *got, bytes - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return file_failed(file, "read");
        }
        if (n == 0) {
            break;
        }
        *got += (size_t)n;
    }
    return RC_OK;
}

static enum status disk_write(struct env_file *file, uint64_t offset, const void *from,
                              size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pwrite(file->fd, (const char *)from + done, bytes - done,
                           (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? EIO : errno; /* no progress and no reason: do not try for ever */
            return file_failed(file, "write");
        }
        done += (size_t)n;
    }
    return write_out_wrote(&file->out, file->fd, offset, bytes) == 0
               ? RC_OK
               : file_failed(file, "write out");
}

static enum status disk_sync(struct env_file *file)
{
    int rc;
    do {
        rc = fdatasync(file->fd);
    } while (rc < 0 && errno == EINTR);
    write_out_synced(&file->out);
    return rc < 0 ? file_failed(file, "sync") : RC_OK;
}

static enum status disk_truncate(struct env_file *file, uint64_t bytes)
{
    int rc;
    do {
        rc = ftruncate(file->fd, (off_t)bytes);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? file_failed(file, "truncate") : RC_OK;
}

static enum status disk_size(struct env_file *file, uint64_t *bytes)
{
    struct stat st;
    if (fstat(file->fd, &st) < 0) {
        return file_failed(file, "size");
    }
    *bytes = (uint64_t)st.st_size;
    return RC_OK;
}

static void disk_close(struct env_file *file)
{
    /* Whatever had to be durable was synced before: an error here has nothing to say. */
    close(file->fd);
    mem_free(file);
}

static enum status disk_rename(struct env *env, const char *from, const char *to)
{
    return rename(from, to) < 0 ? disk_failed(env_uv_of(env), "rename", from) : RC_OK;
}

static enum status disk_unlink(struct env *env, const char *path)
{
    return unlink(path) < 0 ? disk_failed(env_uv_of(env), "unlink", path) : RC_OK;
}

static enum status disk_mkdir(struct env *env, const char *path)
{
    if (mkdir(path, DISK_DIR_MODE) == 0) {
        return RC_OK;
    }
    struct stat st;
    if (errno == EEXIST && stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) {
            return RC_OK;
        }
        errno = ENOTDIR;
    }
    return disk_failed(env_uv_of(env), "mkdir", path);
}

static enum status disk_list(struct env *env, const char *path, env_list_fn fn, void *context)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return disk_failed(env_uv_of(env), "list", path);
    }
    enum status rc = RC_OK;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            rc = errno != 0 ? disk_failed(env_uv_of(env), "list", path) : RC_OK;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0) {
            if (errno == ENOENT) { /* removed meanwhile, or a link to nowhere */
                continue;
            }
            rc = disk_failed(env_uv_of(env), "stat", path);
            break;
        }
        fn(context, entry->d_name, (uint64_t)st.st_size);
    }
    closedir(dir);
    return rc;
}

static enum status disk_sync_dir(struct env *env, const char *path)
{
    int fd = disk_open_fd(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        return disk_failed(env_uv_of(env), "sync_dir", path);
    }
    int rc;
    do {
        rc = fsync(fd);
    } while (rc < 0 && errno == EINTR);
    enum status status = rc < 0 ? disk_failed(env_uv_of(env), "sync_dir", path) : RC_OK;
    close(fd);
    return status;
}

/* flock and not fcntl: those locks would vanish as soon as any code of this process closed any
 * other descriptor of the file. The kernel drops the lock with the process, however it dies. */
static enum status disk_lock(struct env *env, const char *path)
{
    struct env_uv *e = env_uv_of(env);
    int fd = disk_open_fd(path, O_RDWR | O_CREAT, DISK_FILE_MODE);
    if (fd < 0) {
        return disk_failed(e, "lock", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        enum status rc = errno == EWOULDBLOCK ? RC_LOCKED : disk_failed(e, "lock", path);
        close(fd);
        return rc;
    }
    e->locks = mem_resize(e->locks, (e->lock_count + 1) * sizeof *e->locks);
    e->locks[e->lock_count++] = fd;
    return RC_OK;
}

void env_uv_release_locks(struct env_uv *e)
{
    for (size_t i = 0; i < e->lock_count; i++) {
        close(e->locks[i]);
    }
    mem_free(e->locks);
    e->locks = NULL;
    e->lock_count = 0;
}

const struct env_disk env_uv_disk = {
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .sync = disk_sync,
    .truncate = disk_truncate,
    .size = disk_size,
    .close = disk_close,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .mkdir = disk_mkdir,
    .list = disk_list,
    .sync_dir = disk_sync_dir,
    .lock = disk_lock,
};
