/* Which events must come: ZooKeeper's rules, applied to the changes in the log. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/sim/zk_client.h"

/* ---- what is armed ----------------------------------------------------------------------- */

static struct zk_armed *armed_find(struct zk_client *k, struct slice path)
{
    for (size_t i = 0; i < k->armed_count; i++) {
        if (slice_is(path, k->armed[i].path)) {
            return &k->armed[i];
        }
    }
    return NULL;
}

static void armed_sweep(struct zk_client *k)
{
    size_t kept = 0;
    for (size_t i = 0; i < k->armed_count; i++) {
        if (k->armed[i].kinds != 0 || k->armed[i].wanted != 0) {
            k->armed[kept++] = k->armed[i];
        }
    }
    k->armed_count = kept;
}

void zk_watch_arm(struct zk_client *k, const char *path, uint8_t kinds, bool is_missing)
{
    struct zk_armed *w = armed_find(k, slice_str(path));
    if (w == NULL) {
        if (k->armed_count == ZK_ARMED_MAX) {
            zk_fail(k, "has more watches than it can remember");
            return;
        }
        w = &k->armed[k->armed_count++];
        *w = (struct zk_armed){.kinds = 0};
        (void)snprintf(w->path, sizeof w->path, "%s", path);
    }
    w->kinds |= kinds;
    w->is_missing = (kinds & ZK_DATA) != 0 ? is_missing : w->is_missing;
}

bool zk_watch_has(const struct zk_client *k, const char *path, uint8_t kinds, bool remove)
{
    struct zk_client *mine = &k->all->items[k->number];
    struct zk_armed *w = armed_find(mine, slice_str(path));
    bool has = w != NULL && (w->kinds & kinds) != 0;
    if (has && remove) {
        w->kinds &= (uint8_t)~kinds;
        armed_sweep(mine);
    }
    return has;
}

/* The connection has ended: with setWatches they may come back. */
void zk_watch_forget(struct zk_client *k)
{
    for (size_t i = 0; i < k->armed_count; i++) {
        k->armed[i].wanted |= k->armed[i].kinds;
        k->armed[i].kinds = 0;
    }
    k->due_count = k->missed_count = 0;
}

/* ---- what a change tells ----------------------------------------------------------------- */

static void event_add(struct zk_event **events, size_t *count, const struct zk_event *e)
{
    if ((*count & (*count - 1)) == 0) {
        *events = mem_resize(*events, (*count == 0 ? 1 : 2 * *count) * sizeof **events);
    }
    (*events)[(*count)++] = *e;
}

static void due(struct zk_client *k, uint64_t revision, enum zk_event_type type,
                struct slice path)
{
    struct zk_event e = {.zxid = (int64_t)revision, .type = type};
    memcpy(e.path, path.data, path.size < sizeof e.path - 1 ? path.size : sizeof e.path - 1);
    event_add(&k->due, &k->due_count, &e);
}

static bool is_below(struct slice path, const char *top)
{
    size_t size = strlen(top);
    return size == 1 || (path.size >= size && memcmp(path.data, top, size) == 0 &&
                         (path.size == size || path.data[size] == '/'));
}

static bool recursive_sees(const struct zk_client *k, struct slice path)
{
    for (size_t i = 0; i < k->armed_count; i++) {
        if ((k->armed[i].kinds & ZK_RECURSIVE) != 0 && is_below(path, k->armed[i].path)) {
            return true;
        }
    }
    return false;
}

static struct slice parent_of(struct slice path)
{
    while (path.size > 1 && path.data[path.size - 1] != '/') {
        path.size--;
    }
    path.size -= path.size > 1;
    return path;
}

static void look_at(struct zk_client *k, const struct oracle_change *c)
{
    struct zk_armed *w = armed_find(k, c->path);
    bool is_delete = c->type == CHANGE_DELETE;
    uint8_t own = ZK_DATA | ZK_PERSISTENT | (is_delete ? ZK_CHILDREN : 0);
    bool told = w != NULL && (w->kinds & own) != 0;
    if (told || recursive_sees(k, c->path)) {
        due(k, c->revision,
            c->type == CHANGE_CREATE ? ZK_EVENT_CREATED
            : is_delete              ? ZK_EVENT_DELETED
                                     : ZK_EVENT_CHANGED,
            c->path);
    }
    if (told) {
        w->kinds &= (uint8_t) ~(own & ~ZK_PERSISTENT);
    }
    if (c->type == CHANGE_SET) {
        return;
    }
    w = armed_find(k, parent_of(c->path));
    if (w != NULL && (w->kinds & (ZK_CHILDREN | ZK_PERSISTENT)) != 0) {
        due(k, c->revision, ZK_EVENT_CHILDREN, parent_of(c->path));
        w->kinds &= (uint8_t)~ZK_CHILDREN;
    }
}

static void advance(struct zk_client *k, uint64_t to)
{
    const struct oracle *o = k->all->oracle;
    if (to <= k->cursor) {
        return;
    }
    for (size_t i = k->armed_count == 0 ? o->change_count : oracle_seek(o, k->cursor + 1);
         i < o->change_count && o->changes[i].revision <= to; i++) {
        const struct oracle_change *c = &o->changes[i];
        if (c->space == SPACE_NODES && c->type <= CHANGE_DELETE) {
            look_at(k, c);
        }
    }
    k->cursor = to;
    armed_sweep(k);
}

/* ---- what was told ----------------------------------------------------------------------- */

static bool event_equal(const struct zk_event *a, const struct zk_event *b)
{
    return a->zxid == b->zxid && a->type == b->type && strcmp(a->path, b->path) == 0;
}

void zk_watch_event(struct zk_client *k, const struct zk_event *e)
{
    if (e->zxid < 0) {
        int32_t type = k->pending_count > 0 ? k->pending[0].type : 0;
        if (type != ZK_SET_WATCHES && type != ZK_SET_WATCHES2) {
            zk_fail(k, "is told event %d of %s without a zxid", e->type, e->path);
        }
        event_add(&k->missed, &k->missed_count, e);
        return;
    }
    if (k->due_count == 0) {
        advance(k, (uint64_t)e->zxid);
    }
    if (k->due_count == 0 || !event_equal(&k->due[0], e)) {
        const struct zk_event none = {.path = "nothing"};
        const struct zk_event *want = k->due_count == 0 ? &none : &k->due[0];
        zk_fail(k,
                "is told event %d of %s at %" PRId64 " instead of event %d of %s at %" PRId64,
                e->type, e->path, e->zxid, want->type, want->path, want->zxid);
        return;
    }
    k->due_count--;
    memmove(k->due, k->due + 1, k->due_count * sizeof *k->due);
}

void zk_watch_reply(struct zk_client *k, uint64_t zxid)
{
    advance(k, zxid);
    if (k->due_count > 0) {
        zk_fail(k, "hears a reply of zxid %" PRIu64 " before event %d of %s at %" PRId64, zxid,
                k->due[0].type, k->due[0].path, k->due[0].zxid);
    }
}

/* ---- setWatches -------------------------------------------------------------------------- */

/* What is to be told of a watch that comes back; 0: nothing, it is armed. */
static int32_t missed(const struct zk_client *k, const struct zk_armed *w, uint8_t kind,
                      uint64_t since, uint64_t zxid)
{
    struct zk_state s = zk_tree_at(&k->all->tree, w->path, zxid);
    if (kind == ZK_DATA && w->is_missing) {
        return s.exists ? ZK_EVENT_CREATED : 0;
    }
    if (!s.exists) {
        return ZK_EVENT_DELETED;
    }
    if (kind == ZK_DATA) {
        return s.mzxid > since ? ZK_EVENT_CHANGED : 0;
    }
    return s.pzxid > since ? ZK_EVENT_CHILDREN : 0;
}

static void restore(struct zk_client *k, struct zk_armed *w, uint8_t kind, uint64_t since,
                    uint64_t zxid, size_t *at)
{
    bool catches_up = kind == ZK_DATA || kind == ZK_CHILDREN;
    struct zk_event e = {.zxid = -1, .type = catches_up ? missed(k, w, kind, since, zxid) : 0};
    w->wanted &= (uint8_t)~kind;
    if (e.type == 0) {
        w->kinds |= kind;
        return;
    }
    (void)snprintf(e.path, sizeof e.path, "%s", w->path);
    if (*at >= k->missed_count || !event_equal(&k->missed[*at], &e)) {
        zk_fail(k, "is not told by setWatches since %" PRIu64 " that event %d of %s was missed",
                since, e.type, e.path);
    }
    (*at)++;
}

void zk_watch_restored(struct zk_client *k, const struct zk_asked *a, uint64_t zxid)
{
    static const struct {
        uint8_t kind;
        bool is_missing;
    } lists[] = {{ZK_DATA, false},
                 {ZK_DATA, true},
                 {ZK_CHILDREN, false},
                 {ZK_PERSISTENT, false},
                 {ZK_RECURSIVE, false}};
    size_t told = 0;
    size_t count = a->type == ZK_SET_WATCHES2 ? 5 : 3;
    for (size_t l = 0; l < count; l++) {
        for (size_t i = 0; i < k->armed_count; i++) {
            struct zk_armed *w = &k->armed[i];
            bool is_in = (w->wanted & lists[l].kind) != 0 &&
                         (lists[l].kind != ZK_DATA || w->is_missing == lists[l].is_missing);
            if (is_in) {
                restore(k, w, lists[l].kind, a->relative, zxid, &told);
            }
        }
    }
    if (told != k->missed_count) {
        zk_fail(k, "is told %zu events by setWatches instead of %zu", k->missed_count, told);
    }
    k->missed_count = 0;
    k->all->restored++;
    armed_sweep(k);
}
