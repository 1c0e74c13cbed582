#include "tests/support/fake_env.h"

#include "base/assert.h"
#include "base/mem.h"

#define SECTOR_BYTES 512
#define SYNC_US      100

struct env_file {
    struct fake_env *fake;
    struct inode *inode;
    int flags;
};

/* A write, or with `data` NULL a truncation to `offset`, that no sync has made durable. */
struct change {
    struct list node;
    uint64_t offset;
    size_t bytes;
    uint8_t *data;
};

struct inode {
    struct list node;
    struct buf now;
    struct buf durable;
    struct list changes;
};

struct name {
    struct list node;
    struct inode *inode;
    char path[];
};

/* `to` now names `inode` (NULL: names nothing), and `from`, if any, names nothing. */
struct name_change {
    struct list node;
    struct inode *inode;
    char *from;
    char *to;
};

struct env_queue {
    struct list node;
    struct fake_env *fake;
    struct env_job *waiting;
    struct env_job **waiting_end;
    struct env_job *finished;
    struct env_job **finished_end;
};

static struct fake_env *fake_of(struct env *env)
{
    return (struct fake_env *)(void *)env;
}

/* ---- files -------------------------------------------------------------------------------- */

static void image_write(struct buf *image, uint64_t offset, const void *data, size_t bytes)
{
    size_t end = (size_t)offset + bytes;
    if (image->size < end) {
        size_t gap = end - image->size;
        memset(buf_extend(image, gap), 0, gap);
    }
    if (bytes > 0) {
        memcpy(image->data + offset, data, bytes);
    }
}

static void image_truncate(struct buf *image, uint64_t bytes)
{
    image_write(image, bytes, NULL, 0);
    image->size = (size_t)bytes;
}

static void change_free(struct change *c)
{
    list_remove(&c->node);
    mem_free(c->data);
    mem_free(c);
}

static void change_apply(struct change *c, struct buf *image)
{
    if (c->data == NULL) {
        image_truncate(image, c->offset);
    } else {
        image_write(image, c->offset, c->data, c->bytes);
    }
}

static void inode_sync(struct inode *inode)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &inode->changes)
    {
        struct change *c = LIST_OF(it, struct change, node);
        change_apply(c, &inode->durable);
        change_free(c);
    }
}

static void inode_forget_changes(struct inode *inode)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &inode->changes)
    {
        change_free(LIST_OF(it, struct change, node));
    }
}

static void inode_change(struct inode *inode, uint64_t offset, const void *data, size_t bytes)
{
    struct change *c = mem_zalloc(sizeof *c);
    c->offset = offset;
    c->bytes = bytes;
    c->data = data == NULL ? NULL : mem_dup(data, bytes);
    list_push_back(&inode->changes, &c->node);
    change_apply(c, &inode->now);
}

static struct name *name_find(struct list *names, const char *path)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, names)
    {
        struct name *n = LIST_OF(it, struct name, node);
        if (strcmp(n->path, path) == 0) {
            return n;
        }
    }
    return NULL;
}

static void name_remove(struct list *names, const char *path)
{
    struct name *n = name_find(names, path);
    if (n != NULL) {
        list_remove(&n->node);
        mem_free(n);
    }
}

static void name_put(struct list *names, const char *path, struct inode *inode)
{
    size_t bytes = strlen(path) + 1;
    struct name *n = mem_alloc(sizeof *n + bytes);
    name_remove(names, path);
    n->inode = inode;
    memcpy(n->path, path, bytes);
    list_push_back(names, &n->node);
}

static void name_change_apply(const struct name_change *c, struct list *names)
{
    if (c->from != NULL) {
        name_remove(names, c->from);
    }
    name_remove(names, c->to);
    if (c->inode != NULL) {
        name_put(names, c->to, c->inode);
    }
}

static void name_change(struct fake_env *f, const char *from, const char *to,
                        struct inode *inode)
{
    struct name_change *c = mem_zalloc(sizeof *c);
    c->inode = inode;
    c->from = from == NULL ? NULL : mem_strdup(from);
    c->to = mem_strdup(to);
    list_push_back(&f->name_changes, &c->node);
    name_change_apply(c, &f->names);
}

static void name_change_free(struct name_change *c)
{
    list_remove(&c->node);
    mem_free(c->from);
    mem_free(c->to);
    mem_free(c);
}

static void names_clear(struct list *names)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, names)
    {
        struct name *n = LIST_OF(it, struct name, node);
        list_remove(&n->node);
        mem_free(n);
    }
}

static struct inode *inode_new(struct fake_env *f)
{
    struct inode *inode = mem_zalloc(sizeof *inode);
    list_init(&inode->changes);
    list_push_back(&f->inodes, &inode->node);
    return inode;
}

static void inode_free(struct inode *inode)
{
    inode_forget_changes(inode);
    buf_close(&inode->now);
    buf_close(&inode->durable);
    list_remove(&inode->node);
    mem_free(inode);
}

/* ---- disk --------------------------------------------------------------------------------- */

/* Every call that can fail begins here. */
static enum status disk_call(struct fake_env *f)
{
    f->calls++;
    if (f->is_off) {
        return RC_IO;
    }
    if (f->fault == FAKE_FAULT_NONE || f->calls < f->fault_at ||
        (f->has_struck && f->fault == FAKE_FAULT_ONCE)) {
        return RC_OK;
    }
    f->has_struck = true;
    if (f->fault == FAKE_FAULT_POWER) {
        f->is_off = true;
        return RC_IO;
    }
    return f->fault_status;
}

static enum status disk_open(struct env *env, const char *path, int flags,
                             struct env_file **out)
{
    struct fake_env *f = fake_of(env);
    enum status rc = disk_call(f);
    if (rc != RC_OK) {
        return rc;
    }
    struct name *n = name_find(&f->names, path);
    if (n == NULL && (flags & ENV_OPEN_CREATE) == 0) {
        return RC_NOT_FOUND;
    }
    struct inode *inode = n != NULL ? n->inode : inode_new(f);
    if (n == NULL) {
        name_change(f, NULL, path, inode);
    }
    if ((flags & ENV_OPEN_TRUNCATE) != 0 && inode->now.size > 0) {
        f->space_left += f->space_left == UINT64_MAX ? 0 : inode->now.size;
        inode_change(inode, 0, NULL, 0);
    }
    struct env_file *file = mem_alloc(sizeof *file);
    *file = (struct env_file){.fake = f, .inode = inode, .flags = flags};
    f->open_files++;
    *out = file;
    return RC_OK;
}

static enum status disk_read(struct env_file *file, uint64_t offset, void *to, size_t bytes,
                             size_t *got)
{
    const struct buf *now = &file->inode->now;
    enum status rc = disk_call(file->fake);
    *got = 0;
    if (rc == RC_OK && offset < now->size) {
        *got = now->size - offset < bytes ? (size_t)(now->size - offset) : bytes;
        memcpy(to, now->data + offset, *got);
    }
    return rc;
}

static enum status disk_write(struct env_file *file, uint64_t offset, const void *from,
                              size_t bytes)
{
    struct fake_env *f = file->fake;
    struct inode *inode = file->inode;
    PRE((file->flags & ENV_OPEN_WRITE) != 0);
    bool was_off = f->is_off;
    enum status rc = disk_call(f);
    if (rc != RC_OK) {
        /* The worst that a caller must live with: a part was written. */
        size_t part = (size_t)rng_below(&f->rng, bytes + 1);
        if (!was_off && part > 0) {
            inode_change(inode, offset, from, part);
        }
        return rc;
    }
    uint64_t end = offset + bytes;
    uint64_t growth = end > inode->now.size ? end - inode->now.size : 0;
    if (growth > f->space_left) {
        return RC_NO_SPACE;
    }
    f->space_left -= f->space_left == UINT64_MAX ? 0 : growth;
    inode_change(inode, offset, from, bytes);
    return RC_OK;
}

static enum status disk_sync(struct env_file *file)
{
    bool was_off = file->fake->is_off;
    enum status rc = disk_call(file->fake);
    file->fake->now_us += SYNC_US;
    file->fake->syncs++;
    if (rc == RC_OK) {
        inode_sync(file->inode);
    } else if (!was_off && !file->fake->is_off) {
        inode_forget_changes(
            file->inode); /* what is cached stays readable, and is lost later */
    }
    return rc;
}

static enum status disk_truncate(struct env_file *file, uint64_t bytes)
{
    struct fake_env *f = file->fake;
    uint64_t now = file->inode->now.size;
    enum status rc = disk_call(f);
    if (rc != RC_OK) {
        return rc;
    }
    if (bytes > now && bytes - now > f->space_left) {
        return RC_NO_SPACE;
    }
    if (f->space_left != UINT64_MAX) {
        f->space_left = f->space_left + now - bytes;
    }
    inode_change(file->inode, bytes, NULL, 0);
    return RC_OK;
}

static enum status disk_size(struct env_file *file, uint64_t *bytes)
{
    enum status rc = disk_call(file->fake);
    *bytes = file->inode->now.size;
    return rc;
}

static void disk_close(struct env_file *file)
{
    PRE(file->fake->open_files > 0);
    file->fake->open_files--;
    mem_free(file);
}

static enum status disk_rename(struct env *env, const char *from, const char *to)
{
    struct fake_env *f = fake_of(env);
    enum status rc = disk_call(f);
    if (rc != RC_OK) {
        return rc;
    }
    struct name *n = name_find(&f->names, from);
    if (n == NULL) {
        return RC_NOT_FOUND;
    }
    name_change(f, from, to, n->inode);
    return RC_OK;
}

static enum status disk_unlink(struct env *env, const char *path)
{
    struct fake_env *f = fake_of(env);
    enum status rc = disk_call(f);
    if (rc != RC_OK) {
        return rc;
    }
    struct name *n = name_find(&f->names, path);
    if (n == NULL) {
        return RC_NOT_FOUND;
    }
    f->space_left += f->space_left == UINT64_MAX ? 0 : n->inode->now.size;
    name_change(f, NULL, path, NULL);
    return RC_OK;
}

static enum status disk_mkdir(struct env *env, const char *path)
{
    (void)path;
    return disk_call(fake_of(env));
}

static const char *name_in(const char *dir, const char *path)
{
    size_t bytes = strlen(dir);
    if (strncmp(path, dir, bytes) != 0 || path[bytes] != '/' ||
        strchr(path + bytes + 1, '/') != NULL) {
        return NULL;
    }
    return path + bytes + 1;
}

static enum status disk_list(struct env *env, const char *path, env_list_fn fn, void *context)
{
    struct fake_env *f = fake_of(env);
    enum status rc = disk_call(f);
    struct list *it;
    struct list *tmp;
    if (rc != RC_OK) {
        return rc;
    }
    LIST_EACH(it, tmp, &f->names)
    {
        struct name *n = LIST_OF(it, struct name, node);
        const char *name = name_in(path, n->path);
        if (name != NULL) {
            fn(context, name, n->inode->now.size);
        }
    }
    return RC_OK;
}

static enum status disk_sync_dir(struct env *env, const char *path)
{
    struct fake_env *f = fake_of(env);
    enum status rc = disk_call(f);
    struct list *it;
    struct list *tmp;
    if (rc != RC_OK) {
        return rc;
    }
    f->syncs++;
    LIST_EACH(it, tmp, &f->name_changes)
    {
        struct name_change *c = LIST_OF(it, struct name_change, node);
        if (name_in(path, c->to) != NULL) {
            name_change_apply(c, &f->durable_names);
            name_change_free(c);
        }
    }
    return RC_OK;
}

static enum status disk_lock(struct env *env, const char *path)
{
    (void)path;
    return disk_call(fake_of(env));
}

static const struct env_disk fake_disk = {
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

/* ---- power cut ---------------------------------------------------------------------------- */

static void change_survive(struct fake_env *f, struct change *c, struct buf *image)
{
    uint64_t fate = rng_below(&f->rng, 3);
    if (fate == 0) {
        return;
    }
    if (fate == 1 || c->data == NULL) {
        change_apply(c, image);
        return;
    }
    for (size_t done = 0; done < c->bytes;) {
        uint64_t offset = c->offset + done;
        size_t piece = SECTOR_BYTES - (size_t)(offset % SECTOR_BYTES);
        if (piece > c->bytes - done) {
            piece = c->bytes - done;
        }
        if (rng_chance(&f->rng, 500)) {
            image_write(image, offset, c->data + done, piece);
        }
        done += piece;
    }
}

static void names_copy(struct list *to, struct list *from)
{
    struct list *it;
    struct list *tmp;
    names_clear(to);
    LIST_EACH(it, tmp, from)
    {
        struct name *n = LIST_OF(it, struct name, node);
        name_put(to, n->path, n->inode);
    }
}

static void free_unnamed(struct fake_env *f)
{
    struct list *it;
    struct list *tmp;
    struct list *name;
    struct list *next;
    LIST_EACH(it, tmp, &f->inodes)
    {
        struct inode *inode = LIST_OF(it, struct inode, node);
        bool is_named = false;
        LIST_EACH(name, next, &f->names)
        {
            is_named = is_named || LIST_OF(name, struct name, node)->inode == inode;
        }
        if (!is_named) {
            inode_free(inode);
        }
    }
}

void fake_env_power_cut(struct fake_env *f)
{
    struct list *it;
    struct list *tmp;
    struct list *each;
    struct list *next;

    PRE(f->open_files == 0 && f->open_queues == 0);
    LIST_EACH(it, tmp, &f->inodes)
    {
        struct inode *inode = LIST_OF(it, struct inode, node);
        LIST_EACH(each, next, &inode->changes)
        {
            struct change *c = LIST_OF(each, struct change, node);
            change_survive(f, c, &inode->durable);
            change_free(c);
        }
        buf_clear(&inode->now);
        buf_append_slice(&inode->now, buf_slice(&inode->durable));
    }
    LIST_EACH(it, tmp, &f->name_changes)
    {
        struct name_change *c = LIST_OF(it, struct name_change, node);
        if (rng_chance(&f->rng, 500) &&
            (c->from == NULL || name_find(&f->durable_names, c->from) != NULL)) {
            name_change_apply(c, &f->durable_names);
        }
        name_change_free(c);
    }
    names_copy(&f->names, &f->durable_names);
    free_unnamed(f);
    fake_env_disarm(f);
}

void fake_env_settle(struct fake_env *f)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &f->inodes)
    {
        struct inode *inode = LIST_OF(it, struct inode, node);
        inode_forget_changes(inode);
        buf_clear(&inode->durable);
        buf_append_slice(&inode->durable, buf_slice(&inode->now));
    }
    LIST_EACH(it, tmp, &f->name_changes)
    {
        name_change_free(LIST_OF(it, struct name_change, node));
    }
    names_copy(&f->durable_names, &f->names);
}

/* ---- queues, clock, randomness ------------------------------------------------------------ */

static struct env_queue *queue_open(struct env *env, const char *name)
{
    struct env_queue *q = mem_zalloc(sizeof *q);
    (void)name;
    q->fake = fake_of(env);
    q->waiting_end = &q->waiting;
    q->finished_end = &q->finished;
    list_push_back(&q->fake->queues, &q->node);
    q->fake->open_queues++;
    return q;
}

static void queue_submit(struct env_queue *q, struct env_job *job)
{
    job->next = NULL;
    *q->waiting_end = job;
    q->waiting_end = &job->next;
}

static void queue_run_one(struct env_queue *q)
{
    struct env_job *job = q->waiting;
    q->waiting = job->next;
    if (q->waiting == NULL) {
        q->waiting_end = &q->waiting;
    }
    job->run(job);
    job->next = NULL;
    *q->finished_end = job;
    q->finished_end = &job->next;
}

static void queue_finish_one(struct env_queue *q)
{
    struct env_job *job = q->finished;
    q->finished = job->next;
    if (q->finished == NULL) {
        q->finished_end = &q->finished;
    }
    job->done(job);
}

static void queue_close(struct env_queue *q)
{
    while (q->waiting != NULL) {
        queue_run_one(q);
    }
    q->fake->open_queues--;
    list_remove(&q->node);
    mem_free(q);
}

bool fake_env_step(struct fake_env *f)
{
    struct list *it;
    struct list *tmp;
    uint64_t count = 0;
    LIST_EACH(it, tmp, &f->queues)
    {
        struct env_queue *q = LIST_OF(it, struct env_queue, node);
        count += q->waiting != NULL ? 1 : 0;
        count += q->finished != NULL ? 1 : 0;
    }
    if (count == 0) {
        return false;
    }
    uint64_t pick = rng_below(&f->rng, count);
    LIST_EACH(it, tmp, &f->queues)
    {
        struct env_queue *q = LIST_OF(it, struct env_queue, node);
        if (q->waiting != NULL && pick-- == 0) {
            queue_run_one(q);
            return true;
        }
        if (q->finished != NULL && pick-- == 0) {
            queue_finish_one(q);
            return true;
        }
    }
    UNREACHABLE();
}

void fake_env_run(struct fake_env *f)
{
    while (fake_env_step(f)) {
    }
}

void fake_env_advance(struct fake_env *f, uint64_t ms)
{
    f->now_us += ms * 1000;
}

static uint64_t now_us(struct env *env)
{
    return fake_of(env)->now_us;
}

static uint64_t now_ms(struct env *env)
{
    return fake_of(env)->now_us / 1000;
}

static void random_bytes(struct env *env, void *to, size_t bytes)
{
    uint8_t *at = to;
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)rng_next(&fake_of(env)->rng);
    }
}

/* ---- the env ------------------------------------------------------------------------------ */

void fake_env_init(struct fake_env *f, uint64_t seed)
{
    *f = (struct fake_env){
        .env =
            {
                .disk = &fake_disk,
                .now_ms = now_ms,
                .now_us = now_us,
                .wall_ms = now_ms,
                .random = random_bytes,
                .queue_open = queue_open,
                .queue_submit = queue_submit,
                .queue_close = queue_close,
            },
        .now_us = 1000000,
        .space_left = UINT64_MAX,
    };
    rng_init(&f->rng, seed);
    list_init(&f->inodes);
    list_init(&f->names);
    list_init(&f->durable_names);
    list_init(&f->name_changes);
    list_init(&f->queues);
}

void fake_env_close(struct fake_env *f)
{
    struct list *it;
    struct list *tmp;
    PRE(f->open_files == 0 && f->open_queues == 0);
    fake_env_settle(f);
    names_clear(&f->names);
    names_clear(&f->durable_names);
    LIST_EACH(it, tmp, &f->inodes)
    {
        inode_free(LIST_OF(it, struct inode, node));
    }
}

void fake_env_arm(struct fake_env *f, uint64_t n, enum fake_fault fault, enum status rc)
{
    PRE(n > 0);
    f->fault = fault;
    f->fault_status = rc;
    f->fault_at = f->calls + n;
    f->has_struck = false;
}

void fake_env_disarm(struct fake_env *f)
{
    f->fault = FAKE_FAULT_NONE;
    f->has_struck = false;
    f->is_off = false;
}

bool fake_env_has_struck(const struct fake_env *f)
{
    return f->has_struck;
}

struct buf *fake_env_find(struct fake_env *f, const char *path)
{
    struct name *n = name_find(&f->names, path);
    return n == NULL ? NULL : &n->inode->now;
}

void fake_env_put(struct fake_env *f, const char *path, struct slice content)
{
    struct inode *inode = inode_new(f);
    buf_append_slice(&inode->now, content);
    name_put(&f->names, path, inode);
    fake_env_settle(f);
}

size_t fake_env_file_count(const struct fake_env *f)
{
    size_t count = 0;
    for (const struct list *it = f->names.next; it != &f->names; it = it->next) {
        count++;
    }
    return count;
}
