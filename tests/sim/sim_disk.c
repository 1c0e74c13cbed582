#include "tests/sim/sim_disk.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define SECTOR         ((size_t)512)
#define FILE_BYTES_MAX ((size_t)256 << 20)

enum note { NOTE_WRITE = 0x10, NOTE_SYNC, NOTE_NAME, NOTE_POWER };

struct disk_image {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

struct disk_inode {
    uint32_t refs; /* names (live, durable, in changes) and open files */
    struct disk_image live;
    struct disk_image durable;
    uint8_t *dirty; /* one byte per sector of the live image */
    size_t dirty_count;
    size_t allocated; /* bytes that have space on the disk: writes up to here cannot run out */
};

/* One path: what it means now, and what it would mean after a loss of power. */
struct disk_name {
    char *path;
    struct disk_inode *live;
    struct disk_inode *durable;
};

enum change_kind { CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME };

struct disk_change {
    enum change_kind kind;
    char *path; /* link, unlink; rename: the new name */
    char *from; /* rename */
    struct disk_inode *inode;
};

/* ---- images and inodes ------------------------------------------------------------------- */

static void image_resize(struct disk_image *image, size_t size)
{
    if (size > image->capacity) {
        size_t capacity = image->capacity < SECTOR ? SECTOR : image->capacity;
        while (capacity < size) {
            capacity *= 2;
        }
        image->data = mem_resize(image->data, capacity);
        image->capacity = capacity;
    }
    if (size > image->size) {
        memset(image->data + image->size, 0, size - image->size);
    }
    image->size = size;
}

static void inode_ref(struct disk_inode *inode)
{
    if (inode != NULL) {
        inode->refs++;
    }
}

static void inode_unref(struct disk_inode *inode)
{
    if (inode != NULL && --inode->refs == 0) {
        mem_free(inode->live.data);
        mem_free(inode->durable.data);
        mem_free(inode->dirty);
        mem_free(inode);
    }
}

static void inode_set(struct disk_inode **place, struct disk_inode *inode)
{
    inode_ref(inode);
    inode_unref(*place);
    *place = inode;
}

static size_t sectors(size_t bytes)
{
    return (bytes + SECTOR - 1) / SECTOR;
}

static void inode_resize(struct disk_inode *inode, size_t size)
{
    size_t old_capacity = inode->live.capacity;
    image_resize(&inode->live, size);
    if (inode->live.capacity != old_capacity) {
        inode->dirty = mem_resize(inode->dirty, sectors(inode->live.capacity));
        memset(inode->dirty + sectors(old_capacity), 0,
               sectors(inode->live.capacity) - sectors(old_capacity));
    }
}

static void inode_mark(struct disk_inode *inode, size_t offset, size_t bytes)
{
    for (size_t s = offset / SECTOR; bytes > 0 && s <= (offset + bytes - 1) / SECTOR; s++) {
        inode->dirty_count += inode->dirty[s] == 0;
        inode->dirty[s] = 1;
    }
}

static void sector_copy(struct disk_image *to, const struct disk_image *from, size_t s)
{
    size_t begin = s * SECTOR;
    size_t end = begin + SECTOR;
    if (end > from->size) {
        end = from->size;
    }
    if (end > to->size) {
        end = to->size;
    }
    if (begin < end) {
        memcpy(to->data + begin, from->data + begin, end - begin);
    }
}

static void inode_sync(struct disk_inode *inode)
{
    image_resize(&inode->durable, inode->live.size);
    for (size_t s = 0; inode->dirty_count > 0 && s < sectors(inode->live.capacity); s++) {
        if (inode->dirty[s] != 0) {
            sector_copy(&inode->durable, &inode->live, s);
            inode->dirty[s] = 0;
            inode->dirty_count--;
        }
    }
}

/* Keeps a random part of what was not synced. */
static void inode_lose_power(struct sim_disk *d, struct disk_inode *inode)
{
    struct world *w = d->world;
    if (inode->dirty_count == 0 && inode->live.size == inode->durable.size) {
        return;
    }
    /* All, nothing or a mixture: a fair coin per sector alone would hardly ever do the first
     * two. */
    uint64_t mood = world_random(w, 0, 2);
    uint32_t keep_per_mille = mood == 0 ? 0 : mood == 1 ? 1000 : 500;
    if (world_chance(w, keep_per_mille)) {
        image_resize(&inode->durable, inode->live.size);
    }
    for (size_t s = 0; s < sectors(inode->live.capacity); s++) {
        if (inode->dirty[s] != 0) {
            if (world_chance(w, keep_per_mille)) {
                sector_copy(&inode->durable, &inode->live, s);
            } else {
                d->lost_sectors++;
            }
            inode->dirty[s] = 0;
        }
    }
    inode->dirty_count = 0;
    inode_resize(inode, inode->durable.size);
    if (inode->durable.size > 0) {
        memcpy(inode->live.data, inode->durable.data, inode->durable.size);
    }
}

/* ---- names ------------------------------------------------------------------------------- */

static struct disk_name *name_find(struct sim_disk *d, const char *path)
{
    for (size_t i = 0; i < d->name_count; i++) {
        if (strcmp(d->names[i].path, path) == 0) {
            return &d->names[i];
        }
    }
    return NULL;
}

static struct disk_name *name_get(struct sim_disk *d, const char *path)
{
    struct disk_name *name = name_find(d, path);
    if (name == NULL) {
        d->names = mem_resize(d->names, (d->name_count + 1) * sizeof *d->names);
        name = &d->names[d->name_count++];
        *name = (struct disk_name){.path = mem_strdup(path)};
    }
    return name;
}

static void names_drop_unused(struct sim_disk *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->name_count; i++) {
        if (d->names[i].live == NULL && d->names[i].durable == NULL) {
            mem_free(d->names[i].path);
        } else {
            d->names[kept++] = d->names[i];
        }
    }
    d->name_count = kept;
}

static bool path_is_in(const char *path, const char *dir)
{
    const char *slash = strrchr(path, '/');
    size_t bytes = strlen(dir);
    while (bytes > 0 && dir[bytes - 1] == '/') {
        bytes--;
    }
    return slash != NULL && (size_t)(slash - path) == bytes && memcmp(path, dir, bytes) == 0;
}

static void change_add(struct sim_disk *d, enum change_kind kind, const char *path,
                       const char *from, struct disk_inode *inode)
{
    d->changes = mem_resize(d->changes, (d->change_count + 1) * sizeof *d->changes);
    d->changes[d->change_count++] = (struct disk_change){
        .kind = kind,
        .path = mem_strdup(path),
        .from = from == NULL ? NULL : mem_strdup(from),
        .inode = inode,
    };
    inode_ref(inode);
    world_note(d->world, NOTE_NAME, d->host, hash_bytes(kind, path, strlen(path)));
}

static void change_free(struct disk_change *c)
{
    mem_free(c->path);
    mem_free(c->from);
    inode_unref(c->inode);
}

static void change_make_durable(struct sim_disk *d, const struct disk_change *c)
{
    if (c->kind == CHANGE_UNLINK) {
        struct disk_name *name = name_find(d, c->path);
        if (name != NULL && name->durable == c->inode) {
            inode_set(&name->durable, NULL);
        }
        return;
    }
    inode_set(&name_get(d, c->path)->durable, c->inode);
    if (c->kind == CHANGE_RENAME) {
        struct disk_name *from = name_find(d, c->from);
        if (from != NULL && from->durable == c->inode) {
            inode_set(&from->durable, NULL);
        }
    }
}

/* ---- life -------------------------------------------------------------------------------- */

void sim_disk_init(struct sim_disk *d, struct world *w, uint32_t host)
{
    *d = (struct sim_disk){.world = w, .host = host};
}

void sim_disk_close(struct sim_disk *d)
{
    for (size_t i = 0; i < d->change_count; i++) {
        change_free(&d->changes[i]);
    }
    for (size_t i = 0; i < d->name_count; i++) {
        inode_unref(d->names[i].live);
        inode_unref(d->names[i].durable);
        mem_free(d->names[i].path);
    }
    mem_free(d->changes);
    mem_free(d->names);
    d->changes = NULL;
    d->names = NULL;
    d->change_count = 0;
    d->name_count = 0;
}

void sim_disk_wipe(struct sim_disk *d)
{
    sim_disk_close(d);
    d->lock_holder = NULL;
}

void sim_disk_lose_power(struct sim_disk *d)
{
    bool ordered = world_chance(d->world, 500);
    size_t prefix = (size_t)world_random(d->world, 0, d->change_count);
    for (size_t i = 0; i < d->change_count; i++) {
        bool kept = ordered ? i < prefix : world_chance(d->world, 500);
        if (kept) {
            change_make_durable(d, &d->changes[i]);
        }
        change_free(&d->changes[i]);
    }
    d->change_count = 0;
    for (size_t i = 0; i < d->name_count; i++) {
        inode_set(&d->names[i].live, d->names[i].durable);
    }
    names_drop_unused(d);
    for (size_t i = 0; i < d->name_count; i++) {
        inode_lose_power(d, d->names[i].live);
    }
    world_note(d->world, NOTE_POWER, d->host, d->lost_sectors);
}

bool sim_disk_flip(struct sim_disk *d, const char *path, uint64_t offset, uint8_t bit)
{
    struct disk_name *name = name_find(d, path);
    if (name == NULL || name->live == NULL || offset >= name->live->live.size) {
        return false;
    }
    name->live->live.data[offset] ^= (uint8_t)(1U << bit);
    if (offset < name->live->durable.size) {
        name->live->durable.data[offset] ^= (uint8_t)(1U << bit);
    }
    return true;
}

void sim_disk_each(const struct sim_disk *d, sim_disk_each_fn fn, void *context)
{
    for (size_t i = 0; i < d->name_count; i++) {
        const struct disk_inode *inode = d->names[i].live;
        if (inode != NULL) {
            fn(context, d->names[i].path, inode->live.data, inode->live.size);
        }
    }
}

/* ---- operations -------------------------------------------------------------------------- */

/* Every operation that changes something passes here: death and injected failures. */
static enum status disk_gate(struct sim_disk *d, bool in_log, bool can_fail)
{
    d->operations++;
    if (!d->is_dead && d->die_after > 0 && --d->die_after == 0) {
        d->is_dead = true;
    }
    if (d->is_dead) {
        return RC_IO;
    }
    if (can_fail && d->fail_after > 0 && --d->fail_after == 0) {
        d->failed_at_us = d->world->now_us;
        d->failed_in_log = in_log;
        world_trace(d->world, "n%u disk: injected I/O error%s", d->host + 1,
                    in_log ? " in the log" : "");
        return RC_IO;
    }
    return RC_OK;
}

enum status sim_disk_open(struct sim_disk *d, const char *path, int flags, struct sim_file *out)
{
    struct disk_name *name = name_find(d, path);
    struct disk_inode *inode = name == NULL ? NULL : name->live;
    if (d->is_dead) {
        return RC_IO;
    }
    if (inode == NULL) {
        if ((flags & ENV_OPEN_CREATE) == 0) {
            return RC_NOT_FOUND;
        }
        enum status rc = disk_gate(d, false, false);
        if (rc != RC_OK) {
            return rc;
        }
        if (d->is_full && world_chance(d->world, 300)) {
            d->refused_full++;
            return RC_NO_SPACE; /* no room for an inode either */
        }
        inode = mem_zalloc(sizeof *inode);
        inode_set(&name_get(d, path)->live, inode);
        change_add(d, CHANGE_LINK, path, NULL, inode);
        if (d->created != NULL) {
            d->created(d->context, path);
        }
    }
    *out = (struct sim_file){
        .disk = d,
        .inode = inode,
        .in_log = strstr(path, "wal") != NULL || strstr(path, "log") != NULL,
        .is_writable = (flags & ENV_OPEN_WRITE) != 0,
    };
    inode_ref(inode);
    if ((flags & ENV_OPEN_TRUNCATE) != 0 && inode->live.size > 0) {
        enum status rc = sim_disk_truncate(out, 0);
        if (rc != RC_OK) {
            sim_disk_close_file(out);
            return rc;
        }
    }
    return RC_OK;
}

enum status sim_disk_read(struct sim_file *f, uint64_t offset, void *to, size_t bytes,
                          size_t *got)
{
    const struct disk_image *image = &f->inode->live;
    *got = 0;
    if (f->disk->is_dead) {
        return RC_IO;
    }
    if (offset < image->size) {
        size_t rest = image->size - (size_t)offset;
        *got = bytes < rest ? bytes : rest;
        memcpy(to, image->data + offset, *got);
    }
    return RC_OK;
}

enum status sim_disk_write(struct sim_file *f, uint64_t offset, const void *from, size_t bytes)
{
    struct sim_disk *d = f->disk;
    struct disk_inode *inode = f->inode;
    enum status rc = disk_gate(d, f->in_log, true);
    if (rc != RC_OK) {
        return rc;
    }
    PRE(f->is_writable && offset + bytes <= FILE_BYTES_MAX);
    size_t end = (size_t)offset + bytes;
    if (end > inode->allocated) {
        if (d->is_full) {
            d->refused_full++;
            if (inode->allocated > 0 && f->in_log) {
                /* A record larger than these tiny segments: in production none is, and here it
                 * ends the node like any failed write. */
                d->failed_at_us = d->world->now_us;
                d->failed_in_log = true;
            }
            return RC_NO_SPACE;
        }
        inode->allocated = end;
    }
    if (end > inode->live.size) {
        inode_resize(inode, end);
    }
    if (bytes > 0) {
        memcpy(inode->live.data + offset, from, bytes);
        inode_mark(inode, (size_t)offset, bytes);
    }
    world_note(d->world, NOTE_WRITE, d->host, hash_bytes(offset, from, bytes));
    return RC_OK;
}

enum status sim_disk_sync(struct sim_file *f)
{
    enum status rc = disk_gate(f->disk, f->in_log, true);
    if (rc != RC_OK) {
        return rc;
    }
    inode_sync(f->inode);
    world_note(f->disk->world, NOTE_SYNC, f->disk->host, f->inode->live.size);
    return RC_OK;
}

enum status sim_disk_truncate(struct sim_file *f, uint64_t bytes)
{
    enum status rc = disk_gate(f->disk, f->in_log, false);
    if (rc != RC_OK) {
        return rc;
    }
    PRE(bytes <= FILE_BYTES_MAX);
    struct disk_inode *inode = f->inode;
    size_t old = inode->live.size;
    if (bytes < old) {
        /* What comes back after growing again must be zeros, not the old bytes. */
        inode_mark(inode, (size_t)bytes, old - (size_t)bytes);
        if (inode->allocated > bytes) {
            inode->allocated = (size_t)bytes;
        }
    }
    inode_resize(inode, (size_t)bytes);
    world_note(f->disk->world, NOTE_WRITE, f->disk->host, bytes);
    return RC_OK;
}

uint64_t sim_disk_size(const struct sim_file *f)
{
    return f->inode->live.size;
}

void sim_disk_close_file(struct sim_file *f)
{
    inode_unref(f->inode);
    f->inode = NULL;
}

enum status sim_disk_rename(struct sim_disk *d, const char *from, const char *to)
{
    enum status rc = disk_gate(d, false, false);
    if (rc != RC_OK) {
        return rc;
    }
    struct disk_name *old = name_find(d, from);
    if (old == NULL || old->live == NULL) {
        return RC_NOT_FOUND;
    }
    struct disk_inode *inode = old->live;
    change_add(d, CHANGE_RENAME, to, from, inode);
    inode_set(&name_get(d, to)->live, inode);
    inode_set(&name_find(d, from)->live, NULL);
    return RC_OK;
}

enum status sim_disk_unlink(struct sim_disk *d, const char *path)
{
    enum status rc = disk_gate(d, false, false);
    if (rc != RC_OK) {
        return rc;
    }
    struct disk_name *name = name_find(d, path);
    if (name == NULL || name->live == NULL) {
        return RC_NOT_FOUND;
    }
    change_add(d, CHANGE_UNLINK, path, NULL, name->live);
    inode_set(&name->live, NULL);
    return RC_OK;
}

enum status sim_disk_list(struct sim_disk *d, const char *dir, env_list_fn fn, void *context)
{
    if (d->is_dead) {
        return RC_IO;
    }
    for (size_t i = 0; i < d->name_count; i++) {
        if (d->names[i].live != NULL && path_is_in(d->names[i].path, dir)) {
            fn(context, strrchr(d->names[i].path, '/') + 1, d->names[i].live->live.size);
        }
    }
    return RC_OK;
}

enum status sim_disk_sync_dir(struct sim_disk *d, const char *dir)
{
    enum status rc = disk_gate(d, false, true);
    if (rc != RC_OK) {
        return rc;
    }
    size_t kept = 0;
    for (size_t i = 0; i < d->change_count; i++) {
        if (path_is_in(d->changes[i].path, dir)) {
            change_make_durable(d, &d->changes[i]);
            change_free(&d->changes[i]);
        } else {
            d->changes[kept++] = d->changes[i];
        }
    }
    d->change_count = kept;
    names_drop_unused(d);
    return RC_OK;
}

enum status sim_disk_lock(struct sim_disk *d, const void *holder)
{
    if (d->is_dead) {
        return RC_IO;
    }
    if (d->lock_holder != NULL && d->lock_holder != holder) {
        return RC_LOCKED;
    }
    d->lock_holder = holder;
    return RC_OK;
}
