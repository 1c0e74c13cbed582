/* Reading chunks of snapshot files for members that lack them. A file stays open between reads. */
#include "base/assert.h"
#include "base/mem.h"
#include "raft/snapshot_internal.h"

struct read_job {
    struct env_job job;
    struct list node;
    struct snapshot_store *ss;
    struct snapshot_item *item; /* NULL: there is none; pruned only after this job */
    snapshot_chunk_fn done;
    void *context;
    uint64_t tag;
    uint64_t index;
    uint64_t offset;
    size_t bytes;
    uint64_t file_bytes;
    struct buf data; /* out */
    enum status rc;  /* out */
};

static void read_free(struct read_job *r)
{
    list_remove(&r->node);
    buf_close(&r->data);
    mem_free(r);
}

void snapshot_reads_drop(struct snapshot_store *ss)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &ss->reads)
    {
        read_free(LIST_OF(it, struct read_job, node));
    }
}

static void read_run(struct env_job *job)
{
    struct read_job *r = (struct read_job *)(void *)job;
    struct snapshot_item *item = r->item;
    struct env *env = r->ss->env;
    size_t got;
    if (item == NULL) {
        r->rc = RC_NOT_FOUND;
        return;
    }
    if (item->open_file == NULL) {
        char *path =
            snapshot_path(r->ss->dir, item->file.index, item->file.term, SNAPSHOT_NAME_FINAL);
        r->rc = env->disk->open(env, path, ENV_OPEN_READ, &item->open_file);
        mem_free(path);
        if (r->rc != RC_OK) {
            item->open_file = NULL;
            return;
        }
    }
    r->rc = env->disk->read(item->open_file, r->offset, buf_extend(&r->data, r->bytes),
                            r->bytes, &got);
    r->data.size = r->rc == RC_OK ? got : 0;
}

static void read_done(struct env_job *job)
{
    struct read_job *r = (struct read_job *)(void *)job;
    r->ss->read_count--;
    r->done(r->context, r->tag, r->index, r->offset, r->rc == RC_OK ? r->file_bytes : 0,
            buf_slice(&r->data));
    read_free(r);
}

void snapshot_store_read(struct snapshot_store *ss, uint64_t index, uint64_t offset,
                         uint32_t bytes, uint64_t tag, snapshot_chunk_fn done, void *context)
{
    PRE(bytes > 0 && bytes <= SNAPSHOT_CHUNK_BYTES_MAX);
    if (ss->read_count >= SNAPSHOT_READS_MAX) {
        return;
    }
    struct read_job *r = mem_zalloc(sizeof *r);
    r->ss = ss;
    r->item = snapshot_find(ss, index);
    r->done = done;
    r->context = context;
    r->tag = tag;
    r->index = index;
    r->offset = offset;
    r->bytes = bytes;
    if (r->item != NULL) {
        r->item->read_ms = ss->env->now_ms(ss->env);
        r->file_bytes = r->item->file.bytes;
    }
    r->job = (struct env_job){.run = read_run, .done = read_done};
    list_push_back(&ss->reads, &r->node);
    ss->read_count++;
    ss->env->queue_submit(ss->queue, &r->job);
}
