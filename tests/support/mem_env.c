#include "tests/support/mem_env.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

struct mem_file {
    struct list node;
    char *path;
    struct buf content;
    bool is_locked;
};

struct env_file {
    struct mem_env *env;
    struct mem_file *file;
    bool is_writable;
};

static struct mem_env *mem_env_of(struct env *env)
{
    return (struct mem_env *)(void *)env;
}

static struct mem_file *find_file(const struct mem_env *m, const char *path)
{
    for (struct list *it = m->files.next; it != &m->files; it = it->next) {
        struct mem_file *file = LIST_OF(it, struct mem_file, node);
        if (strcmp(file->path, path) == 0) {
            return file;
        }
    }
    return NULL;
}

static struct mem_file *get_file(struct mem_env *m, const char *path)
{
    struct mem_file *file = find_file(m, path);
    if (file == NULL) {
        file = mem_zalloc(sizeof *file);
        file->path = mem_strdup(path);
        list_push_back(&m->files, &file->node);
    }
    return file;
}

static void remove_file(struct mem_file *file)
{
    list_remove(&file->node);
    buf_close(&file->content);
    mem_free(file->path);
    mem_free(file);
}

static void resize(struct buf *content, size_t bytes)
{
    if (bytes > content->size) {
        size_t more = bytes - content->size;
        memset(buf_extend(content, more), 0, more);
    }
    content->size = bytes;
}

static enum status mem_open(struct env *env, const char *path, int flags, struct env_file **out)
{
    struct mem_env *m = mem_env_of(env);
    struct mem_file *file = find_file(m, path);
    if (file == NULL) {
        if ((flags & ENV_OPEN_CREATE) == 0) {
            return RC_NOT_FOUND;
        }
        file = get_file(m, path);
    }
    if ((flags & ENV_OPEN_TRUNCATE) != 0) {
        resize(&file->content, 0);
    }
    struct env_file *handle = mem_alloc(sizeof *handle);
    *handle = (struct env_file){m, file, (flags & ENV_OPEN_WRITE) != 0};
    m->open_files++;
    *out = handle;
    return RC_OK;
}

static enum status mem_read(struct env_file *handle, uint64_t offset, void *to, size_t bytes,
                            size_t *got)
{
    const struct buf *content = &handle->file->content;
    size_t left = offset < content->size ? content->size - (size_t)offset : 0;
    *got = bytes < left ? bytes : left;
    if (*got > 0) {
        memcpy(to, content->data + offset, *got);
    }
    return RC_OK;
}

static enum status mem_write(struct env_file *handle, uint64_t offset, const void *from,
                             size_t bytes)
{
    struct buf *content = &handle->file->content;
    if (!handle->is_writable) {
        return RC_IO;
    }
    if (offset + bytes > content->size) {
        resize(content, (size_t)offset + bytes);
    }
    if (bytes > 0) {
        memcpy(content->data + offset, from, bytes);
    }
    handle->env->written_bytes += bytes;
    return RC_OK;
}

static enum status mem_sync(struct env_file *handle)
{
    handle->env->syncs++;
    return RC_OK;
}

static enum status mem_truncate(struct env_file *handle, uint64_t bytes)
{
    if (!handle->is_writable) {
        return RC_IO;
    }
    resize(&handle->file->content, (size_t)bytes);
    return RC_OK;
}

static enum status mem_size(struct env_file *handle, uint64_t *bytes)
{
    *bytes = handle->file->content.size;
    return RC_OK;
}

static void mem_close(struct env_file *handle)
{
    handle->env->open_files--;
    mem_free(handle);
}

static enum status mem_unlink(struct env *env, const char *path)
{
    struct mem_file *file = find_file(mem_env_of(env), path);
    if (file == NULL) {
        return RC_NOT_FOUND;
    }
    remove_file(file);
    return RC_OK;
}

static enum status mem_rename(struct env *env, const char *from, const char *to)
{
    struct mem_file *file = find_file(mem_env_of(env), from);
    struct mem_file *old = find_file(mem_env_of(env), to);
    if (file == NULL) {
        return RC_NOT_FOUND;
    }
    if (old != NULL && old != file) {
        remove_file(old);
    }
    char *path = mem_strdup(to);
    mem_free(file->path);
    file->path = path;
    return RC_OK;
}

static enum status mem_mkdir(struct env *env, const char *path)
{
    (void)env;
    (void)path;
    return RC_OK;
}

static enum status mem_list(struct env *env, const char *path, env_list_fn fn, void *context)
{
    struct mem_env *m = mem_env_of(env);
    size_t length = strlen(path);
    for (struct list *it = m->files.next; it != &m->files; it = it->next) {
        const struct mem_file *file = LIST_OF(it, struct mem_file, node);
        bool is_below = strncmp(file->path, path, length) == 0 && file->path[length] == '/';
        if (is_below && strchr(file->path + length + 1, '/') == NULL) {
            fn(context, file->path + length + 1, file->content.size);
        }
    }
    return RC_OK;
}

static enum status mem_sync_dir(struct env *env, const char *path)
{
    (void)env;
    (void)path;
    return RC_OK;
}

static enum status mem_lock(struct env *env, const char *path)
{
    struct mem_file *file = get_file(mem_env_of(env), path);
    if (file->is_locked) {
        return RC_LOCKED;
    }
    file->is_locked = true;
    return RC_OK;
}

static const struct env_disk mem_disk = {
    .open = mem_open,
    .read = mem_read,
    .write = mem_write,
    .sync = mem_sync,
    .truncate = mem_truncate,
    .size = mem_size,
    .close = mem_close,
    .rename = mem_rename,
    .unlink = mem_unlink,
    .mkdir = mem_mkdir,
    .list = mem_list,
    .sync_dir = mem_sync_dir,
    .lock = mem_lock,
};

void mem_env_init(struct mem_env *m)
{
    *m = (struct mem_env){.env = {.disk = &mem_disk}};
    list_init(&m->files);
}

void mem_env_close(struct mem_env *m)
{
    PRE(m->open_files == 0);
    while (!list_empty(&m->files)) {
        remove_file(LIST_OF(m->files.next, struct mem_file, node));
    }
}

struct buf *mem_env_find(struct mem_env *m, const char *path)
{
    struct mem_file *file = find_file(m, path);
    return file == NULL ? NULL : &file->content;
}

struct buf *mem_env_get(struct mem_env *m, const char *path)
{
    return &get_file(m, path)->content;
}

size_t mem_env_file_count(const struct mem_env *m)
{
    size_t count = 0;
    for (const struct list *it = m->files.next; it != &m->files; it = it->next) {
        count++;
    }
    return count;
}
