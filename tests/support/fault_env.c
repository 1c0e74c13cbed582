#include "tests/support/fault_env.h"

#include "base/mem.h"

/* The handles of the two disks differ, although both are called env_file: this one is only ever
 * seen through the pointer type. */
struct fault_file {
    struct fault_env *env;
    struct env_file *below;
};

static struct fault_env *fault_env_of(struct env *env)
{
    return (struct fault_env *)(void *)env;
}

static struct fault_file *fault_file_of(struct env_file *file)
{
    return (struct fault_file *)(void *)file;
}

/* Counts one call; what it must fail with, or RC_OK. */
static enum status strike(struct fault_env *f)
{
    f->calls++;
    bool hit = f->strike_at != 0 &&
               (f->calls == f->strike_at || (f->lasts && f->calls > f->strike_at));
    if (!hit) {
        return RC_OK;
    }
    f->strikes++;
    return f->strike_with;
}

static enum status fault_open(struct env *env, const char *path, int flags,
                              struct env_file **out)
{
    struct fault_env *f = fault_env_of(env);
    struct env_file *below = NULL;
    enum status rc = strike(f);
    if (rc == RC_OK) {
        rc = f->below->disk->open(f->below, path, flags, &below);
    }
    if (rc != RC_OK) {
        return rc;
    }
    struct fault_file *file = mem_alloc(sizeof *file);
    file->env = f;
    file->below = below;
    *out = (struct env_file *)(void *)file;
    return RC_OK;
}

static enum status fault_read(struct env_file *handle, uint64_t offset, void *to, size_t bytes,
                              size_t *got)
{
    struct fault_file *file = fault_file_of(handle);
    enum status rc = strike(file->env);
    return rc != RC_OK ? rc : file->env->below->disk->read(file->below, offset, to, bytes, got);
}

static enum status fault_write(struct env_file *handle, uint64_t offset, const void *from,
                               size_t bytes)
{
    struct fault_file *file = fault_file_of(handle);
    const struct env_disk *below = file->env->below->disk;
    enum status rc = strike(file->env);
    if (rc == RC_OK) {
        return below->write(file->below, offset, from, bytes);
    }
    enum status half = below->write(file->below, offset, from, bytes / 2);
    (void)half; /* the call has failed already */
    return rc;
}

static enum status fault_sync(struct env_file *handle)
{
    struct fault_file *file = fault_file_of(handle);
    enum status rc = strike(file->env);
    return rc != RC_OK ? rc : file->env->below->disk->sync(file->below);
}

static enum status fault_truncate(struct env_file *handle, uint64_t bytes)
{
    struct fault_file *file = fault_file_of(handle);
    enum status rc = strike(file->env);
    return rc != RC_OK ? rc : file->env->below->disk->truncate(file->below, bytes);
}

static enum status fault_size(struct env_file *handle, uint64_t *bytes)
{
    struct fault_file *file = fault_file_of(handle);
    enum status rc = strike(file->env);
    return rc != RC_OK ? rc : file->env->below->disk->size(file->below, bytes);
}

static void fault_close(struct env_file *handle)
{
    struct fault_file *file = fault_file_of(handle);
    file->env->below->disk->close(file->below);
    mem_free(file);
}

static enum status fault_rename(struct env *env, const char *from, const char *to)
{
    struct fault_env *f = fault_env_of(env);
    enum status rc = strike(f);
    return rc != RC_OK ? rc : f->below->disk->rename(f->below, from, to);
}

static enum status fault_unlink(struct env *env, const char *path)
{
    struct fault_env *f = fault_env_of(env);
    enum status rc = strike(f);
    return rc != RC_OK ? rc : f->below->disk->unlink(f->below, path);
}

static enum status fault_mkdir(struct env *env, const char *path)
{
    struct fault_env *f = fault_env_of(env);
    enum status rc = strike(f);
    return rc != RC_OK ? rc : f->below->disk->mkdir(f->below, path);
}

static enum status fault_list(struct env *env, const char *path, env_list_fn fn, void *context)
{
    struct fault_env *f = fault_env_of(env);
    enum status rc = strike(f);
    return rc != RC_OK ? rc : f->below->disk->list(f->below, path, fn, context);
}

static enum status fault_sync_dir(struct env *env, const char *path)
{
    struct fault_env *f = fault_env_of(env);
    enum status rc = strike(f);
    return rc != RC_OK ? rc : f->below->disk->sync_dir(f->below, path);
}

static enum status fault_lock(struct env *env, const char *path)
{
    struct fault_env *f = fault_env_of(env);
    enum status rc = strike(f);
    return rc != RC_OK ? rc : f->below->disk->lock(f->below, path);
}

static const struct env_disk fault_disk = {
    .open = fault_open,
    .read = fault_read,
    .write = fault_write,
    .sync = fault_sync,
    .truncate = fault_truncate,
    .size = fault_size,
    .close = fault_close,
    .rename = fault_rename,
    .unlink = fault_unlink,
    .mkdir = fault_mkdir,
    .list = fault_list,
    .sync_dir = fault_sync_dir,
    .lock = fault_lock,
};

void fault_env_init(struct fault_env *f, struct env *below)
{
    *f = (struct fault_env){.env = {.disk = &fault_disk}, .below = below};
}

void fault_env_arm(struct fault_env *f, uint64_t n, enum status rc, bool lasts)
{
    f->strike_at = f->calls + n;
    f->strike_with = rc;
    f->lasts = lasts;
    f->strikes = 0;
}

bool fault_env_has_struck(const struct fault_env *f)
{
    return f->strikes > 0;
}
