/* Receiving a snapshot file, and making a store of it.
 *
 *   RECEIVING -(last chunk)-> ENDING -(end_done)-> done
 *       |                       |
 *       +-(chunk_done: failed; cancelled)-> ENDING, which then only cleans up
 *
 * The order at the end: load, which proves content and digest; sync; rename; sync the directory.
 * So a file under its name is both whole and durable, and the log may be reset on its word.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/snapshot_internal.h"

struct chunk_job {
    struct env_job job;
    struct list node; /* among its receive's chunks */
    struct snapshot_receive *receive;
    uint64_t offset;
    struct buf data;
    enum status rc; /* out */
};

struct snapshot_receive {
    struct list node;
    struct snapshot_store *ss;
    /* loop */
    snapshot_received_fn done;
    void *context;
    uint64_t next; /* offset of the chunk that comes next */
    struct list chunks;
    size_t chunk_count; /* not yet written */
    bool is_ending;
    bool is_cancelled;
    /* set before the jobs that use them */
    uint64_t index;
    uint64_t term;
    uint64_t bytes;
    char *part;
    char *final;
    struct env_job end;
    bool is_given_up;
    /* worker */
    struct env_file *file;
    struct errmsg err;
    struct store *store;
    struct snapshot_meta meta;
};

struct snapshot_receive *snapshot_receive_of(struct list *node)
{
    return LIST_OF(node, struct snapshot_receive, node);
}

static void chunk_free(struct chunk_job *c)
{
    list_remove(&c->node);
    buf_close(&c->data);
    mem_free(c);
}

/* Closes and removes what has been written. [worker, or none is left] */
static void give_up_file(struct snapshot_receive *r)
{
    if (r->file != NULL) {
        r->ss->env->disk->close(r->file);
        r->file = NULL;
        (void)r->ss->env->disk->unlink(r->ss->env, r->part);
    }
}

void snapshot_receive_drop(struct snapshot_receive *r)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &r->chunks)
    {
        chunk_free(LIST_OF(it, struct chunk_job, node));
    }
    give_up_file(r);
    if (r->store != NULL) {
        store_free(r->store);
    }
    snapshot_meta_close(&r->meta);
    list_remove(&r->node);
    mem_free(r->part);
    mem_free(r->final);
    mem_free(r);
}

/* ---- the end ------------------------------------------------------------------------------ */

static enum status load_and_publish(struct snapshot_receive *r)
{
    struct env *env = r->ss->env;
    uint64_t bytes;
    enum status rc = snapshot_load(env, r->part, &r->store, &r->meta, &r->err);
    if (rc != RC_OK) {
        r->store = NULL;
        return rc;
    }
    if (r->meta.index != r->index || r->meta.term != r->term) {
        return errmsg_set(&r->err, RC_CORRUPT,
                          "%s holds the state at %" PRIu64 ", term %" PRIu64, r->part,
                          r->meta.index, r->meta.term);
    }
    rc = env->disk->sync(r->file);
    if (rc != RC_OK) {
        return errmsg_set(&r->err, rc, "sync %s: %s", r->part, status_text(rc));
    }
    env->disk->close(r->file);
    r->file = NULL; /* publishing removes the file if it fails */
    return snapshot_publish(env, r->ss->dir, r->part, r->final, &bytes, &r->err);
}

static void end_run(struct env_job *job)
{
    struct snapshot_receive *r = LIST_OF(job, struct snapshot_receive, end);
    if (r->err.rc == RC_OK && r->is_given_up) {
        r->err.rc = RC_STOPPED;
    }
    if (r->err.rc == RC_OK) {
        r->err.rc = load_and_publish(r);
    }
    if (r->err.rc != RC_OK) {
        give_up_file(r);
    }
}

static void end_done(struct env_job *job)
{
    struct snapshot_receive *r = LIST_OF(job, struct snapshot_receive, end);
    struct snapshot_store *ss = r->ss;
    const struct snapshot_file file = {.index = r->index,
                                       .term = r->term,
                                       .bytes = r->bytes,
                                       .revision = r->meta.revision,
                                       .digest = r->meta.digest};
    if (r->is_cancelled) {
        if (r->err.rc == RC_OK) {
            snapshot_discard(ss, &file);
        }
        snapshot_receive_drop(r);
        return;
    }
    ss->receive = NULL;
    if (r->err.rc != RC_OK) {
        metric_add(ss->failed_metric, 1);
        log_warn(ss->log, "snapshot.receive_failed", "index=%" PRIu64 " reason=\"%s\"",
                 r->index, r->err.text);
        r->done(r->context, r->err.rc, NULL, NULL);
    } else {
        struct store *store = r->store;
        r->store = NULL;
        snapshot_add(ss, &file);
        metric_add(ss->received_metric, 1);
        r->done(r->context, RC_OK, store, &r->meta);
    }
    snapshot_receive_drop(r);
}

static void receive_end(struct snapshot_receive *r, bool gives_up)
{
    r->is_ending = true;
    r->is_given_up = gives_up;
    r->end = (struct env_job){.run = end_run, .done = end_done};
    r->ss->env->queue_submit(r->ss->queue, &r->end);
}

/* ---- chunks ------------------------------------------------------------------------------- */

static void chunk_run(struct env_job *job)
{
    struct chunk_job *c = (struct chunk_job *)(void *)job;
    struct snapshot_receive *r = c->receive;
    const struct env_disk *disk = r->ss->env->disk;
    enum status rc = r->err.rc;
    if (rc == RC_OK && r->file == NULL) {
        rc = disk->open(r->ss->env, r->part,
                        ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &r->file);
        if (rc != RC_OK) {
            r->file = NULL;
        }
    }
    if (rc == RC_OK) {
        rc = disk->write(r->file, c->offset, c->data.data, c->data.size);
    }
    if (rc != RC_OK && r->err.rc == RC_OK) {
        (void)errmsg_set(&r->err, rc, "write %s: %s", r->part, status_text(rc));
    }
    c->rc = rc;
}

static void chunk_done(struct env_job *job)
{
    struct chunk_job *c = (struct chunk_job *)(void *)job;
    struct snapshot_receive *r = c->receive;
    enum status rc = c->rc;
    r->chunk_count--;
    chunk_free(c);
    if (rc != RC_OK && !r->is_ending) {
        receive_end(r, true);
    }
}

void snapshot_store_receive_chunk(struct snapshot_store *ss, uint64_t index, uint64_t offset,
                                  struct slice data)
{
    struct snapshot_receive *r = ss->receive;
    if (r == NULL || r->is_ending || r->index != index || r->next != offset || data.size == 0 ||
        data.size > r->bytes - r->next || r->chunk_count >= SNAPSHOT_CHUNKS_MAX) {
        return;
    }
    struct chunk_job *c = mem_zalloc(sizeof *c);
    c->receive = r;
    c->offset = offset;
    buf_append_slice(&c->data, data);
    c->job = (struct env_job){.run = chunk_run, .done = chunk_done};
    list_push_back(&r->chunks, &c->node);
    r->chunk_count++;
    r->next += data.size;
    ss->env->queue_submit(ss->queue, &c->job);
    if (r->next == r->bytes) {
        receive_end(r, false);
    }
}

bool snapshot_store_receive_wants(const struct snapshot_store *ss, uint64_t *index,
                                  uint64_t *offset)
{
    const struct snapshot_receive *r = ss->receive;
    if (r == NULL || r->is_ending || r->chunk_count >= SNAPSHOT_CHUNKS_MAX) {
        return false;
    }
    *index = r->index;
    *offset = r->next;
    return true;
}

/* ---- begin and cancel --------------------------------------------------------------------- */

enum status snapshot_store_receive(struct snapshot_store *ss, uint64_t index, uint64_t term,
                                   uint64_t bytes, snapshot_received_fn done, void *context)
{
    if (index == 0 || bytes == 0) {
        return RC_INVALID;
    }
    snapshot_store_receive_cancel(ss);
    struct snapshot_receive *r = mem_zalloc(sizeof *r);
    r->ss = ss;
    r->done = done;
    r->context = context;
    r->index = index;
    r->term = term;
    r->bytes = bytes;
    r->part = snapshot_path(ss->dir, index, term, SNAPSHOT_NAME_RECEIVED);
    r->final = snapshot_path(ss->dir, index, term, SNAPSHOT_NAME_FINAL);
    list_init(&r->chunks);
    list_push_back(&ss->receives, &r->node);
    ss->receive = r;
    return RC_OK;
}

void snapshot_store_receive_cancel(struct snapshot_store *ss)
{
    struct snapshot_receive *r = ss->receive;
    if (r == NULL) {
        return;
    }
    ss->receive = NULL;
    r->is_cancelled = true;
    if (!r->is_ending) {
        receive_end(r, true);
    }
}
