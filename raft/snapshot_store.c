/* The directory of snapshot files: what is there, which names are given and taken away.
 *
 * A file has its name only once its content is durable and proven (written with checksums, or
 * received and loaded). So whatever is found under a name at start is whole, and what has none is a
 * leftover. To begin with, the directory itself is synced: a name that is seen need not be durable,
 * and the log is cut on the word of a snapshot.
 */
#include "raft/snapshot_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/dir_above.h"
#include "raft/snapshot_internal.h"

/* ---- names -------------------------------------------------------------------------------- */

static void name_print(char out[SNAPSHOT_NAME_BYTES], uint64_t index, uint64_t term)
{
    (void)snprintf(out, SNAPSHOT_NAME_BYTES, "snapshot-%020" PRIu64 "-%020" PRIu64 ".db", index,
                   term);
}

char *snapshot_path(const char *dir, uint64_t index, uint64_t term, enum snapshot_name kind)
{
    static const char *const suffixes[] = {"", ".part", ".received.part"};
    char name[SNAPSHOT_NAME_BYTES];
    struct buf path = {0};
    name_print(name, index, term);
    buf_printf(&path, "%s/%s%s", dir, name, suffixes[kind]);
    buf_append(&path, "", 1);
    return (char *)buf_take(&path, NULL);
}

bool snapshot_name_parse(const char *name, uint64_t *index, uint64_t *term)
{
    static const char prefix[] = "snapshot-";
    char exact[SNAPSHOT_NAME_BYTES];
    char *end;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    *index = strtoull(name + sizeof prefix - 1, &end, 10);
    *term = *end == '-' ? strtoull(end + 1, &end, 10) : 0;
    name_print(exact, *index, *term);
    return strcmp(name, exact) == 0;
}

static bool is_leftover(const char *name)
{
    static const char suffix[] = ".part";
    size_t bytes = strlen(name);
    return bytes >= sizeof suffix && strcmp(name + bytes - (sizeof suffix - 1), suffix) == 0;
}

/* ---- files -------------------------------------------------------------------------------- */

static struct snapshot_item *item_of(struct list *node)
{
    return LIST_OF(node, struct snapshot_item, node);
}

static struct snapshot_item *item_new(struct snapshot_store *ss, uint64_t index, uint64_t term)
{
    struct snapshot_item *item = mem_zalloc(sizeof *item);
    item->ss = ss;
    item->file.index = index;
    item->file.term = term;
    list_init(&item->node);
    return item;
}

static void item_free(struct snapshot_item *item)
{
    if (item->open_file != NULL) {
        item->ss->env->disk->close(item->open_file);
    }
    list_remove(&item->node);
    mem_free(item);
}

struct snapshot_item *snapshot_find(struct snapshot_store *ss, uint64_t index)
{
    struct list *it;
    struct list *tmp;
    struct snapshot_item *found = NULL;
    LIST_EACH(it, tmp, &ss->items)
    {
        if (item_of(it)->file.index == index) {
            found = item_of(it);
        }
    }
    return found;
}

static void prune_run(struct env_job *job)
{
    struct snapshot_item *item = LIST_OF(job, struct snapshot_item, prune);
    struct env *env = item->ss->env;
    char *path =
        snapshot_path(item->ss->dir, item->file.index, item->file.term, SNAPSHOT_NAME_FINAL);
    if (item->open_file != NULL) {
        env->disk->close(item->open_file);
        item->open_file = NULL;
    }
    if (!item->is_replaced) {
        /* Not synced: a file that comes back is only one more to prune. */
        (void)env->disk->unlink(env, path);
    }
    mem_free(path);
}

static void prune_done(struct env_job *job)
{
    item_free(LIST_OF(job, struct snapshot_item, prune));
}

static void item_prune(struct snapshot_store *ss, struct snapshot_item *item)
{
    if (item->holds > 0) {
        snapshot_hold_lose(ss, item);
    }
    list_remove(&item->node);
    list_push_back(&ss->pruned, &item->node);
    item->prune = (struct env_job){.run = prune_run, .done = prune_done};
    ss->env->queue_submit(ss->queue, &item->prune);
}

static void prune(struct snapshot_store *ss, uint64_t now_ms)
{
    struct list *it;
    struct list *tmp;
    size_t count = 0;
    LIST_EACH(it, tmp, &ss->items)
    {
        count++;
    }
    LIST_EACH(it, tmp, &ss->items)
    {
        struct snapshot_item *item = item_of(it);
        bool is_being_sent =
            item->holds > 0 ||
            (item->read_ms != 0 && now_ms < item->read_ms + SNAPSHOT_SEND_HOLD_MS);
        if (count <= SNAPSHOT_KEEP) {
            return;
        }
        if (!is_being_sent) {
            item_prune(ss, item);
        }
        count--;
    }
}

void snapshot_add(struct snapshot_store *ss, const struct snapshot_file *file)
{
    struct snapshot_item *item = snapshot_find(ss, file->index);
    if (item != NULL && item->file.term == file->term) {
        item->is_replaced = true; /* the new file took its name */
        item_prune(ss, item);
    }
    item = item_new(ss, file->index, file->term);
    item->file = *file;
    list_push_back(&ss->items, &item->node);
    metric_set(ss->bytes_metric, (int64_t)file->bytes);
    prune(ss, ss->env->now_ms(ss->env));
}

void snapshot_discard(struct snapshot_store *ss, const struct snapshot_file *file)
{
    struct snapshot_item *item = snapshot_find(ss, file->index);
    if (item != NULL && item->file.term == file->term) {
        snapshot_add(ss, file); /* as good as the one whose place it took */
    } else {
        item_prune(ss, item_new(ss, file->index, file->term));
    }
}

enum status snapshot_publish(struct env *env, const char *dir, const char *from, const char *to,
                             uint64_t *bytes, struct errmsg *err)
{
    struct env_file *file;
    const char *at = from;
    const char *what = "open";
    enum status rc = env->disk->open(env, from, ENV_OPEN_READ, &file);
    if (rc == RC_OK) {
        what = "size of";
        rc = env->disk->size(file, bytes);
        env->disk->close(file);
    }
    if (rc == RC_OK) {
        what = "rename";
        rc = env->disk->rename(env, from, to);
    }
    if (rc == RC_OK) {
        what = "sync name of";
        at = to;
        rc = env->disk->sync_dir(env, dir);
    }
    if (rc != RC_OK) {
        (void)env->disk->unlink(env, at);
        return errmsg_set(err, rc, "%s %s: %s", what, at, status_text(rc));
    }
    return RC_OK;
}

/* ---- open, close, time -------------------------------------------------------------------- */

enum status snapshot_make_dir(struct env *env, const char *dir)
{
    enum status rc = env->disk->mkdir(env, dir);
    rc = rc == RC_OK ? dir_sync_above(env, dir) : rc;
    return rc == RC_OK ? env->disk->sync_dir(env, dir) : rc;
}

struct listing {
    struct snapshot_store *ss;
    struct buf leftovers; /* names, each with its zero */
};

static void list_file(void *context, const char *name, uint64_t bytes)
{
    struct listing *l = context;
    uint64_t index;
    uint64_t term;
    if (snapshot_name_parse(name, &index, &term)) {
        struct snapshot_item *item = item_new(l->ss, index, term);
        struct list *at = l->ss->items.next;
        while (at != &l->ss->items && item_of(at)->file.index < index) {
            at = at->next;
        }
        item->file.bytes = bytes;
        list_push_back(at, &item->node); /* before the first that is newer */
    } else if (is_leftover(name)) {
        buf_append(&l->leftovers, name, strlen(name) + 1);
    }
}

static enum status remove_leftovers(struct snapshot_store *ss, const struct buf *names)
{
    enum status rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at < names->size;) {
        const char *name = (const char *)names->data + at;
        struct buf path = {0};
        buf_printf(&path, "%s/%s", ss->dir, name);
        buf_append(&path, "", 1);
        rc = ss->env->disk->unlink(ss->env, (const char *)path.data);
        log_info(ss->log, "snapshot.leftover_removed", "name=%s", name);
        buf_close(&path);
        at += strlen(name) + 1;
    }
    return rc;
}

static void register_metrics(struct snapshot_store *ss, struct metrics *m)
{
    if (m == NULL) {
        return;
    }
    ss->taken_metric =
        metrics_counter(m, "coord_snapshots_taken_total", NULL, "Snapshots taken of our state");
    ss->failed_metric = metrics_counter(m, "coord_snapshots_failed_total", NULL,
                                        "Snapshots that could not be written or verified");
    ss->received_metric = metrics_counter(m, "coord_snapshots_received_total", NULL,
                                          "Snapshots received from another member");
    ss->bytes_metric =
        metrics_gauge(m, "coord_snapshot_bytes", NULL, "Size of the newest snapshot file");
}

enum status snapshot_store_open(const char *dir, const struct snapshot_store_options *options,
                                struct snapshot_store **out, struct errmsg *err)
{
    struct snapshot_store *ss = mem_zalloc(sizeof *ss);
    struct listing listing = {.ss = ss};
    *out = NULL;
    ss->env = options->env;
    ss->log = options->log;
    ss->dir = mem_strdup(dir);
    ss->scan_step_bytes =
        options->scan_step_bytes != 0 ? options->scan_step_bytes : SNAPSHOT_SCAN_STEP_BYTES;
    list_init(&ss->items);
    list_init(&ss->pruned);
    list_init(&ss->takes);
    list_init(&ss->receives);
    list_init(&ss->reads);
    list_init(&ss->holds);
    register_metrics(ss, options->metrics);

    enum status rc = snapshot_make_dir(ss->env, dir);
    if (rc == RC_OK) {
        rc = ss->env->disk->list(ss->env, dir, list_file, &listing);
    }
    if (rc == RC_OK) {
        rc = remove_leftovers(ss, &listing.leftovers);
    }
    buf_close(&listing.leftovers);
    if (rc != RC_OK) {
        snapshot_store_close(ss);
        return errmsg_set(err, rc, "open snapshot directory %s: %s", dir, status_text(rc));
    }
    const struct snapshot_file *latest = snapshot_store_latest(ss);
    metric_set(ss->bytes_metric, latest != NULL ? (int64_t)latest->bytes : 0);
    ss->queue = env_queue_open_background(ss->env, "snapshots");
    prune(ss, ss->env->now_ms(ss->env));
    *out = ss;
    return RC_OK;
}

void snapshot_store_close(struct snapshot_store *ss)
{
    struct list *it;
    struct list *tmp;
    if (ss == NULL) {
        return;
    }
    snapshot_store_cancel_take(ss);
    snapshot_store_receive_cancel(ss);
    if (ss->queue != NULL) {
        ss->env->queue_close(ss->queue);
    }
    LIST_EACH(it, tmp, &ss->takes)
    {
        snapshot_take_drop(snapshot_take_of(it));
    }
    LIST_EACH(it, tmp, &ss->receives)
    {
        snapshot_receive_drop(snapshot_receive_of(it));
    }
    snapshot_reads_drop(ss);
    snapshot_holds_drop(ss);
    LIST_EACH(it, tmp, &ss->items)
    {
        item_free(item_of(it));
    }
    LIST_EACH(it, tmp, &ss->pruned)
    {
        item_free(item_of(it));
    }
    mem_free(ss->dir);
    mem_free(ss);
}

const struct snapshot_file *snapshot_store_latest(const struct snapshot_store *ss)
{
    return list_empty(&ss->items) ? NULL : &item_of(ss->items.prev)->file;
}

enum status snapshot_store_adopt(struct snapshot_store *ss, const char *path,
                                 const struct snapshot_file *file, struct errmsg *err)
{
    uint64_t bytes = 0;
    char *to = snapshot_path(ss->dir, file->index, file->term, SNAPSHOT_NAME_FINAL);
    enum status rc = snapshot_publish(ss->env, ss->dir, path, to, &bytes, err);
    if (rc == RC_OK) {
        snapshot_add(ss, file);
    }
    mem_free(to);
    return rc;
}

enum status snapshot_store_load(struct snapshot_store *ss, struct store **store,
                                struct snapshot_meta *meta, struct errmsg *err)
{
    if (list_empty(&ss->items)) {
        return errmsg_set(err, RC_NOT_FOUND, "there is no snapshot in %s", ss->dir);
    }
    struct snapshot_file *file = &item_of(ss->items.prev)->file;
    char *path = snapshot_path(ss->dir, file->index, file->term, SNAPSHOT_NAME_FINAL);
    enum status rc = snapshot_load(ss->env, path, store, meta, err);
    if (rc == RC_OK && (meta->index != file->index || meta->term != file->term)) {
        rc = errmsg_set(err, RC_CORRUPT, "%s holds the state at %" PRIu64 ", term %" PRIu64,
                        path, meta->index, meta->term);
        store_free(*store);
        *store = NULL;
        snapshot_meta_close(meta);
    }
    if (rc == RC_OK) {
        file->revision = meta->revision;
        file->digest = meta->digest;
    }
    mem_free(path);
    return rc;
}

void snapshot_store_tick(struct snapshot_store *ss, uint64_t now_ms)
{
    prune(ss, now_ms);
}
