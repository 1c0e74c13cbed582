/* A file that is kept and read through: for a backup over the network.
 *
 * The file is opened with the first read, on the worker, and stays open: whatever becomes of its
 * name, what is read is one file. A hold that is released while a read is under way is an orphan
 * until that read is done. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "raft/snapshot_internal.h"

struct snapshot_hold {
    struct list node;
    struct snapshot_store *ss;
    /* loop */
    struct snapshot_item *item; /* NULL: it is gone */
    snapshot_read_fn done;
    void *context;
    bool is_busy;
    bool is_released;
    /* set before the job, and by it */
    struct env_job job;
    struct snapshot_file file;
    char *path;
    size_t wanted;
    /* worker */
    struct env_file *open_file;
    struct sha256 *sum;
    uint64_t offset;
    struct buf data;
    bool at_end;
    enum status rc;
    uint8_t sha256[SHA256_BYTES];
};

static struct snapshot_hold *hold_of(struct list *node)
{
    return LIST_OF(node, struct snapshot_hold, node);
}

static void hold_free(struct snapshot_hold *h)
{
    if (h->open_file != NULL) {
        h->ss->env->disk->close(h->open_file);
    }
    sha256_free(h->sum);
    buf_close(&h->data);
    list_remove(&h->node);
    mem_free(h->path);
    mem_free(h);
}

struct snapshot_hold *snapshot_store_hold(struct snapshot_store *ss)
{
    if (list_empty(&ss->items)) {
        return NULL;
    }
    struct snapshot_item *item = LIST_OF(ss->items.prev, struct snapshot_item, node);
    struct snapshot_hold *h = mem_zalloc(sizeof *h);
    h->ss = ss;
    h->item = item;
    h->file = item->file;
    h->path = snapshot_path(ss->dir, item->file.index, item->file.term, SNAPSHOT_NAME_FINAL);
    item->holds++;
    list_push_back(&ss->holds, &h->node);
    return h;
}

void snapshot_store_release(struct snapshot_hold *h)
{
    PRE(!h->is_released);
    h->is_released = true;
    if (h->item != NULL) {
        h->item->holds--;
    }
    h->item = NULL;
    if (!h->is_busy) {
        hold_free(h);
    }
}

void snapshot_hold_lose(struct snapshot_store *ss, const struct snapshot_item *item)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &ss->holds)
    {
        if (hold_of(it)->item == item) {
            hold_of(it)->item = NULL;
        }
    }
}

void snapshot_holds_drop(struct snapshot_store *ss)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &ss->holds)
    {
        PRE(hold_of(it)->is_released);
        hold_free(hold_of(it));
    }
}

const struct snapshot_file *snapshot_hold_file(const struct snapshot_hold *h)
{
    return &h->file;
}

const char *snapshot_hold_path(const struct snapshot_hold *h)
{
    return h->path;
}

/* ---- reading ------------------------------------------------------------------------------ */

static enum status read_next(struct snapshot_hold *h)
{
    struct env *env = h->ss->env;
    size_t got;
    if (h->open_file == NULL) {
        enum status rc = env->disk->open(env, h->path, ENV_OPEN_READ, &h->open_file);
        if (rc != RC_OK) {
            h->open_file = NULL;
            return rc;
        }
        h->sum = sha256_new();
    }
    enum status rc = env->disk->read(h->open_file, h->offset, buf_extend(&h->data, h->wanted),
                                     h->wanted, &got);
    h->data.size = rc == RC_OK ? got : 0;
    if (rc != RC_OK) {
        return rc;
    }
    h->offset += got;
    if (h->sum == NULL || !sha256_add(h->sum, buf_slice(&h->data))) {
        return RC_NO_MEMORY;
    }
    h->at_end = got == 0;
    if (h->offset > h->file.bytes || (h->at_end && h->offset != h->file.bytes)) {
        return RC_CORRUPT;
    }
    return !h->at_end || sha256_end(h->sum, h->sha256) ? RC_OK : RC_NO_MEMORY;
}

static void read_run(struct env_job *job)
{
    struct snapshot_hold *h = LIST_OF(job, struct snapshot_hold, job);
    if (h->rc == RC_OK) {
        h->rc = read_next(h);
    }
}

static void read_done(struct env_job *job)
{
    struct snapshot_hold *h = LIST_OF(job, struct snapshot_hold, job);
    h->is_busy = false;
    if (h->is_released) {
        hold_free(h);
        return;
    }
    bool is_good = h->rc == RC_OK;
    struct buf data = h->data; /* the callback may release the hold, or read on */
    h->data = (struct buf){0};
    uint8_t sha256[SHA256_BYTES];
    memcpy(sha256, h->sha256, sizeof sha256);
    h->done(h->context, h->rc, is_good ? buf_slice(&data) : slice_make(NULL, 0),
            is_good && h->at_end ? sha256 : NULL);
    buf_close(&data);
}

void snapshot_hold_read(struct snapshot_hold *h, size_t bytes, snapshot_read_fn done,
                        void *context)
{
    PRE(bytes > 0 && bytes <= SNAPSHOT_CHUNK_BYTES_MAX && !h->is_busy && !h->at_end);
    h->is_busy = true;
    h->wanted = bytes;
    h->done = done;
    h->context = context;
    if (h->item == NULL && h->offset == 0) {
        h->rc = RC_NOT_FOUND; /* another file has its name now, or none */
    }
    h->job = (struct env_job){.run = read_run, .done = read_done};
    h->ss->env->queue_submit(h->ss->queue, &h->job);
}
