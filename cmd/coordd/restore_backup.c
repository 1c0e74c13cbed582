/* Which backup a restore begins with: the file that was named, or of a directory the latest one
 * that is whole and not behind the point that is asked for. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cmd/coordd/offline.h"
#include "store/history.h"

struct candidate {
    char *path;
    uint64_t revision;
};

struct candidates {
    struct env *env;
    const char *dir;
    struct replay_target target;
    struct candidate *items;
    size_t count;
};

/* What is no backup, or a damaged one, is passed over and named. */
static void consider(void *context, const char *name, uint64_t bytes)
{
    struct candidates *c = context;
    struct snapshot_meta meta;
    struct errmsg err = {0};
    struct buf path = {0};
    size_t length = strlen(name);
    (void)bytes;
    if (length < 4 || strcmp(name + length - 3, ".db") != 0) {
        return;
    }
    buf_printf(&path, "%s/%s", c->dir, name);
    buf_append(&path, "", 1);
    if (snapshot_inspect(c->env, (const char *)path.data, &meta, &err) != RC_OK) {
        offline_say("passed-over", "%s", err.text);
        buf_close(&path);
        return;
    }
    bool is_late = (c->target.revision != 0 && meta.revision > c->target.revision) ||
                   (c->target.index != 0 && meta.index > c->target.index);
    if (!is_late) {
        c->items = mem_resize(c->items, (c->count + 1) * sizeof *c->items);
        c->items[c->count++] = (struct candidate){(char *)buf_take(&path, NULL), meta.revision};
    }
    buf_close(&path);
    snapshot_meta_close(&meta);
}

/* Revisions never go back, not even from one cluster to the one restored from it. */
static int later_first(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;
    return x->revision > y->revision ? -1 : x->revision < y->revision;
}

static uint64_t last_change_ms(const struct store *s)
{
    const struct history *h = store_history(s);
    return h->begin < h->end ? history_at(h, h->end - 1)->wall_ms : 0;
}

static void drop(struct restore_backup *b)
{
    store_free(b->store);
    snapshot_meta_close(&b->meta);
    b->store = NULL;
}

/* RC_NOT_FOUND: none of them will do. */
static enum status load_first(struct offline *o, const struct candidates *c,
                              struct restore_backup *out, struct errmsg *err)
{
    for (size_t i = 0; i < c->count; i++) {
        enum status rc = offline_load(o, c->items[i].path, &out->store, &out->meta, err);
        if (rc != RC_OK) {
            offline_say("passed-over", "%s", err->text);
            continue;
        }
        out->wall_ms = last_change_ms(out->store);
        if (c->target.wall_ms == 0 || out->wall_ms <= c->target.wall_ms) {
            out->path = mem_strdup(c->items[i].path);
            return RC_OK;
        }
        drop(out);
    }
    return errmsg_set(err, RC_NOT_FOUND, "%s has no whole backup from before that point",
                      c->dir);
}

static enum status load_of_dir(struct offline *o, const char *dir,
                               const struct replay_target *target, struct restore_backup *out,
                               struct errmsg *err)
{
    struct env *env = offline_env(o);
    struct candidates c = {.env = env, .dir = dir, .target = *target};
    enum status rc = env->disk->list(env, dir, consider, &c);
    if (rc != RC_OK) {
        (void)errmsg_set(err, rc, "list %s: %s", dir, status_text(rc));
    } else {
        if (c.count > 1) {
            qsort(c.items, c.count, sizeof *c.items, later_first);
        }
        rc = load_first(o, &c, out, err);
    }
    for (size_t i = 0; i < c.count; i++) {
        mem_free(c.items[i].path);
    }
    mem_free(c.items);
    return rc;
}

enum status restore_backup_load(struct offline *o, const char *from,
                                const struct replay_target *target, struct restore_backup *out,
                                struct errmsg *err)
{
    struct stat st;
    *out = (struct restore_backup){.path = NULL};
    if (stat(from, &st) == 0 && S_ISDIR(st.st_mode)) {
        return load_of_dir(o, from, target, out, err);
    }
    enum status rc = offline_load(o, from, &out->store, &out->meta, err);
    if (rc == RC_OK) {
        out->path = mem_strdup(from);
        out->wall_ms = last_change_ms(out->store);
    }
    return rc;
}

void restore_backup_close(struct restore_backup *b)
{
    drop(b);
    mem_free(b->path);
}
