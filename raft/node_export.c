/* Copies of the state for others: a backup that is asked for, or that is due.
 *
 *   WAITING -(a snapshot as fresh as asked is there)-> READY -(node_export_end)-> gone
 *      |
 *      +--(no time left; the snapshot failed; the node stops)-> failed
 *
 * There is no second kind of file: what is handed out is a snapshot that the node has taken for
 * itself, so a copy costs nothing that the node would not spend anyway, and several may share
 * one. Where nothing was applied since the newest one, not even that. */
#include "base/assert.h"
#include "raft/node_internal.h"

static struct node_export *export_of(struct list *link)
{
    return LIST_OF(link, struct node_export, link);
}

enum status node_export_begin(struct node *n, struct node_export *e, uint64_t deadline_ms)
{
    list_init(&e->link);
    e->node = n;
    e->hold = NULL;
    if (n->phase != NODE_RUNNING || n->engine == NULL) {
        return RC_STOPPED;
    }
    e->min_index = store_applied_index(n->store);
    e->deadline_ms = deadline_ms;
    list_push_back(&n->exports, &e->link);
    return RC_OK;
}

void node_export_end(struct node_export *e)
{
    if (e->node == NULL) {
        return;
    }
    list_remove(&e->link);
    if (e->hold != NULL) {
        snapshot_store_release(e->hold);
        e->hold = NULL;
    }
    e->node = NULL;
}

static void fail(struct node_export *e, enum status rc)
{
    list_remove(&e->link);
    e->ready(e, rc);
}

static void hand_out(struct node *n, struct node_export *e)
{
    e->hold = snapshot_store_hold(n->snapshots);
    const struct snapshot_file *file = snapshot_hold_file(e->hold);
    e->file = (struct node_export_file){.index = file->index,
                                        .term = file->term,
                                        .revision = file->revision,
                                        .digest = file->digest,
                                        .bytes = file->bytes};
    e->path = snapshot_hold_path(e->hold);
    list_remove(&e->link);
    e->ready(e, RC_OK);
}

/* `ready` may end any other export, or begin one. */
static struct node_export *find_due(struct node *n, uint64_t have_index, uint64_t now_ms)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &n->exports)
    {
        struct node_export *e = export_of(it);
        if (e->min_index <= have_index || now_ms >= e->deadline_ms) {
            return e;
        }
    }
    return NULL;
}

/* A snapshot that was found at start and has been loaded says its revision; what is older than
 * that is never handed out. */
void node_export_turn(struct node *n, uint64_t now_ms)
{
    const struct snapshot_file *newest = snapshot_store_latest(n->snapshots);
    uint64_t have_index = newest != NULL ? newest->index : 0;
    struct node_export *e;
    while ((e = find_due(n, have_index, now_ms)) != NULL) {
        if (e->min_index <= have_index) {
            hand_out(n, e);
        } else {
            fail(e, RC_TIMEOUT);
        }
    }
    if (!list_empty(&n->exports)) {
        node_snapshot_take(n, now_ms);
    }
}

void node_export_failed(struct node *n, uint64_t index, enum status rc)
{
    struct node_export *e;
    while ((e = find_due(n, index, 0)) != NULL) {
        fail(e, rc);
    }
}

void node_export_fail_all(struct node *n, enum status rc)
{
    node_export_failed(n, UINT64_MAX, rc);
}

uint64_t node_export_deadline_ms(const struct node *n)
{
    /* While a snapshot is taken there is a deadline for that. */
    bool waits = !list_empty(&n->exports) && !snapshot_store_is_taking(n->snapshots);
    return waits ? n->env->now_ms(n->env) + 1 : UINT64_MAX;
}

static void on_data(void *context, enum status rc, struct slice data, const uint8_t *sha256)
{
    struct node_export *e = context;
    e->got(e, rc, data, sha256);
}

void node_export_read(struct node_export *e, size_t bytes, node_export_data_fn got)
{
    PRE(e->hold != NULL);
    e->got = got;
    snapshot_hold_read(e->hold, bytes, on_data, e);
}
