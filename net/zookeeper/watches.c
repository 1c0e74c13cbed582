/* The watches of one connection (ZooKeeper's WatchManager), over the node's hub.
 *
 * An entry stands for one path in one scope and holds a watch of the hub:
 *
 *   NODE      data and exists watches, persistent ones, and what a child watch must hear of its own
 *             node: that it was deleted
 *   CHILDREN  child watches and persistent ones: a child came or went
 *   SUBTREE   recursive ones
 *
 * What the hub delivers, entry by entry, is only noted. Before the connection is answered anything
 * else it is put in the order of the changes, a node's own event before its parent's, and looked at
 * as ZooKeeper would: whether the entry still listens then (a one-shot watch is used up by the
 * first change it hears of), and what two watches say alike is said once. */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/salt.h"
#include "net/zookeeper/connection.h"
#include "watch/watch.h"

#define BUCKETS_MIN 16

/* What an entry of scope NODE listens for besides enum zk_watch_kind: its node's end, for a child
 * watch of the same path. */
#define ZK_WATCH_NODE_END 16

struct zk_watch {
    struct watch watch; /* the hub's */
    struct zk_connection *connection;
    struct zk_watch *next; /* in the bucket */
    uint64_t hash;
    uint8_t kinds; /* enum zk_watch_kind, ZK_WATCH_NODE_END */
};

/* A change that an entry's watch was told of. */
struct hit {
    uint64_t revision;
    uint32_t sub;
    uint8_t scope; /* enum watch_scope, of the entry */
    uint8_t type;  /* enum zk_event_type */
    uint16_t path_bytes;
    size_t path_at; /* in `paths`: what the event names; of NODE and CHILDREN the entry's own */
};

struct zk_watches {
    struct zk_watch **buckets;
    size_t bucket_count;
    uint64_t salt;
    size_t entry_count;
    size_t armed; /* watches as clients count them */
    struct buf hits;
    struct buf paths;
};

static const struct watch_ops watch_ops;

/* ---- the table ---------------------------------------------------------------------------- */

static struct watch_hub *hub_of(struct zk_connection *c)
{
    return node_watches(zk_node(c));
}

static uint64_t entry_hash(const struct zk_watches *w, struct slice path, uint8_t scope)
{
    return hash_bytes(w->salt + scope, path.data, path.size);
}

static struct zk_watch **find(struct zk_watches *w, struct slice path, uint8_t scope)
{
    uint64_t hash = entry_hash(w, path, scope);
    struct zk_watch **at = &w->buckets[hash & (w->bucket_count - 1)];
    while (*at != NULL && ((*at)->hash != hash || (*at)->watch.filter.scope != scope ||
                           !slice_equal((*at)->watch.filter.path, path))) {
        at = &(*at)->next;
    }
    return at;
}

static void grow(struct zk_watches *w)
{
    size_t count = w->bucket_count * 2;
    struct zk_watch **buckets = mem_zalloc(count * sizeof buckets[0]);
    for (size_t i = 0; i < w->bucket_count; i++) {
        for (struct zk_watch *e = w->buckets[i], *next; e != NULL; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (count - 1)];
            buckets[e->hash & (count - 1)] = e;
        }
    }
    mem_free(w->buckets);
    w->buckets = buckets;
    w->bucket_count = count;
}

static struct zk_watches *table_of(struct zk_connection *c)
{
    if (c->watches == NULL) {
        c->watches = mem_zalloc(sizeof *c->watches);
        c->watches->bucket_count = BUCKETS_MIN;
        c->watches->salt = salt_next();
        c->watches->buckets = mem_zalloc(BUCKETS_MIN * sizeof c->watches->buckets[0]);
    }
    return c->watches;
}

/* A persistent watch is in two entries, and what a child watch hears of its node is no watch of its
 * own: one of them counts. */
static size_t counted(uint8_t scope, uint8_t kinds)
{
    uint8_t own = scope == WATCH_NODE       ? kinds & (ZK_WATCH_DATA | ZK_WATCH_PERSISTENT)
                  : scope == WATCH_CHILDREN ? kinds & ZK_WATCH_CHILDREN
                                            : kinds & ZK_WATCH_RECURSIVE;
    return (size_t)((own & ZK_WATCH_DATA) != 0) + ((own & ~ZK_WATCH_DATA) != 0);
}

static void kinds_set(struct zk_connection *c, struct zk_watch *e, uint8_t kinds)
{
    uint8_t scope = e->watch.filter.scope;
    size_t before = counted(scope, e->kinds);
    size_t after = counted(scope, kinds);
    e->kinds = kinds;
    c->watches->armed += after - before;
    c->shared->watch_count += after - before;
    for (size_t i = after; i < before; i++) {
        allowance_unwatch(&c->hold);
    }
}

static bool start(struct zk_connection *c, struct zk_watch *e, struct slice path, uint8_t scope)
{
    struct watch_filter filter = {.scope = scope, .space = SPACE_NODES, .path = path};
    filter.types = 1 << CHANGE_CREATE | 1 << CHANGE_DELETE;
    filter.types |= scope == WATCH_CHILDREN ? 0 : 1 << CHANGE_SET;
    return watch_filter_check(&filter, NULL) == OUTCOME_OK &&
           watch_start(hub_of(c), &e->watch, &filter, &watch_ops, 0) == OUTCOME_OK;
}

static void arm(struct zk_connection *c, struct slice path, uint8_t scope, uint8_t kinds)
{
    struct zk_watches *w = table_of(c);
    struct zk_watch **at = find(w, path, scope);
    if (*at != NULL) {
        kinds_set(c, *at, (*at)->kinds | kinds);
        return;
    }
    struct zk_watch *e = mem_zalloc(sizeof *e);
    if (!start(c, e, path,
               scope)) { /* no node can have such a path: nothing will happen there */
        mem_free(e);
        return;
    }
    e->connection = c;
    e->hash = entry_hash(w, path, scope);
    *at = e;
    kinds_set(c, e, kinds);
    if (++w->entry_count > 2 * w->bucket_count) {
        grow(w);
    }
}

/* Takes kinds away; an entry without any goes. */
static void disarm(struct zk_connection *c, struct slice path, uint8_t scope, uint8_t kinds)
{
    struct zk_watch **at = find(c->watches, path, scope);
    struct zk_watch *e = *at;
    if (e == NULL) {
        return;
    }
    kinds_set(c, e, e->kinds & (uint8_t)~kinds);
    if (e->kinds == 0) {
        *at = e->next;
        watch_stop(hub_of(c), &e->watch);
        mem_free(e);
        c->watches->entry_count--;
    }
}

static uint8_t armed(const struct zk_connection *c, struct slice path, uint8_t scope)
{
    struct zk_watch *e = c->watches == NULL ? NULL : *find(c->watches, path, scope);
    return e == NULL ? 0 : e->kinds;
}

/* ---- for requests ------------------------------------------------------------------------- */

/* The code that the client is told does not say which limit it is, as none does that all know. */
static bool takes_watch(struct zk_connection *c)
{
    char text[ALLOWANCE_TEXT_BYTES_MAX];
    if (zk_watches_count(c) >= ZK_WATCHES_MAX) {
        (void)snprintf(text, sizeof text, "%zu watches of a connection are the limit",
                       ZK_WATCHES_MAX);
    } else if (c->shared->watch_count >= ZK_NODE_WATCHES_MAX) {
        (void)snprintf(text, sizeof text, "%zu watches at each member are the limit",
                       ZK_NODE_WATCHES_MAX);
    } else if (zk_user_watch(c, text)) {
        return true;
    }
    log_warn(c->env->log, "zookeeper.limited", "peer=%s reason=\"%s\"", c->env->peer, text);
    return false;
}

bool zk_watch_add(struct zk_connection *c, struct slice path, enum zk_watch_kind kind)
{
    size_t before = zk_watches_count(c);
    if (!takes_watch(c)) {
        return false;
    }
    switch (kind) {
    case ZK_WATCH_DATA: arm(c, path, WATCH_NODE, ZK_WATCH_DATA); break;
    case ZK_WATCH_CHILDREN:
        if (!MUTANT_IS(MUTANT_ZK_CHILD_END_UNTOLD)) {
            arm(c, path, WATCH_NODE, ZK_WATCH_NODE_END);
        }
        arm(c, path, WATCH_CHILDREN, ZK_WATCH_CHILDREN);
        break;
    case ZK_WATCH_PERSISTENT:
        arm(c, path, WATCH_NODE, ZK_WATCH_PERSISTENT);
        arm(c, path, WATCH_CHILDREN, ZK_WATCH_PERSISTENT);
        break;
    case ZK_WATCH_RECURSIVE: arm(c, path, WATCH_SUBTREE, ZK_WATCH_RECURSIVE); break;
    }
    if (zk_watches_count(c) == before) { /* it was there */
        allowance_unwatch(&c->hold);
    }
    return true;
}

bool zk_watch_find(struct zk_connection *c, struct slice path, enum zk_watcher_type type,
                   bool remove)
{
    static const uint8_t kinds_by_type[] = {
        [ZK_WATCHER_CHILDREN] = ZK_WATCH_CHILDREN,
        [ZK_WATCHER_DATA] = ZK_WATCH_DATA,
        [ZK_WATCHER_ANY] =
            ZK_WATCH_CHILDREN | ZK_WATCH_DATA | ZK_WATCH_PERSISTENT | ZK_WATCH_RECURSIVE,
        [ZK_WATCHER_PERSISTENT] = ZK_WATCH_PERSISTENT,
        [ZK_WATCHER_RECURSIVE] = ZK_WATCH_RECURSIVE,
    };
    uint8_t there = armed(c, path, WATCH_NODE) | armed(c, path, WATCH_CHILDREN) |
                    armed(c, path, WATCH_SUBTREE);
    uint8_t found = there & kinds_by_type[type];
    if (found != 0 && remove) {
        uint8_t end = found & ZK_WATCH_CHILDREN ? ZK_WATCH_NODE_END : 0;
        disarm(c, path, WATCH_NODE, found | end);
        disarm(c, path, WATCH_CHILDREN, found);
        disarm(c, path, WATCH_SUBTREE, found);
    }
    return found != 0;
}

/* ---- what the hub delivers ---------------------------------------------------------------- */

size_t zk_watches_bytes(const struct zk_connection *c)
{
    return c->watches == NULL ? 0 : c->watches->hits.size + c->watches->paths.size;
}

void zk_watches_drop(struct zk_connection *c)
{
    c->watches_lost = true;
    if (c->watches != NULL) {
        buf_close(&c->watches->hits);
        buf_close(&c->watches->paths);
    }
}

static size_t deliver(struct watch *watch, const struct change *const *changes, size_t count,
                      bool continued, bool more)
{
    struct zk_watch *e = (struct zk_watch *)watch;
    struct zk_connection *c = e->connection;
    struct zk_watches *w = c->watches;
    (void)continued;
    (void)more;
    for (size_t i = 0; i < count && !c->watches_lost; i++) {
        const struct change *change = changes[i];
        bool of_child = watch->filter.scope == WATCH_CHILDREN;
        struct slice path = of_child ? watch->filter.path : change->path;
        struct hit hit = {.revision = change->revision,
                          .sub = change->sub,
                          .scope = watch->filter.scope,
                          .type = of_child                        ? ZK_EVENT_CHILDREN
                                  : change->type == CHANGE_CREATE ? ZK_EVENT_CREATED
                                  : change->type == CHANGE_DELETE ? ZK_EVENT_DELETED
                                                                  : ZK_EVENT_CHANGED,
                          .path_bytes = (uint16_t)path.size,
                          .path_at = w->paths.size};
        buf_append_slice(&w->paths, path);
        buf_append(&w->hits, &hit, sizeof hit);
        if (zk_watches_bytes(c) > ZK_EVENTS_BYTES_MAX) {
            zk_watches_drop(c);
        }
    }
    zk_note_replies(c);
    c->env->sink.wake(c->env->sink.conn);
    return count;
}

/* Nothing more is answered, and the connection ends in its next turn. */
static void watches_give_up(struct zk_connection *c)
{
    c->watches_lost = true;
    c->env->sink.wake(c->env->sink.conn);
}

/* The log was trimmed before this node could look at it, or a snapshot has replaced it: what was
 * missed is not known here. The client finds out by setWatches, after it has come back. */
static void compacted(struct watch *watch, uint64_t floor)
{
    struct zk_watch *e = (struct zk_watch *)watch;
    (void)floor;
    watches_give_up(e->connection);
}

/* Of a node, whoever may read it; of its children as a whole, whoever may read their parent. */
static bool may_see(struct watch *watch, const struct change *change)
{
    const struct zk_watch *e = (const struct zk_watch *)watch;
    const struct zk_connection *c = e->connection;
    if (watch->filter.scope != WATCH_CHILDREN) {
        return store_may_see(zk_store(c), change, buf_slice(&c->identities));
    }
    struct query q = {.type = QUERY_EXISTS,
                      .space = SPACE_NODES,
                      .path = watch->filter.path,
                      .identities = buf_slice(&c->identities)};
    struct query_result result;
    store_query(zk_store(c), &q, &result, &c->shared->pages);
    return result.outcome != OUTCOME_NO_AUTH;
}

static const struct watch_ops watch_ops = {
    .deliver = deliver, .compacted = compacted, .may_see = may_see};

/* ---- events ------------------------------------------------------------------------------- */

static int hit_order(const void *a, const void *b)
{
    const struct hit *x = a;
    const struct hit *y = b;
    if (x->revision != y->revision) {
        return x->revision < y->revision ? -1 : 1;
    }
    if (x->sub != y->sub) {
        return x->sub < y->sub ? -1 : 1;
    }
    int of_child = (x->scope == WATCH_CHILDREN) - (y->scope == WATCH_CHILDREN);
    return of_child != 0 ? of_child : (x->path_at > y->path_at) - (x->path_at < y->path_at);
}

/* Whether a watch of the entry still listens; uses up those that do so once. */
static bool fire(struct zk_connection *c, const struct hit *hit, struct slice path)
{
    uint8_t kinds =
        hit->scope == WATCH_SUBTREE ? ZK_WATCH_RECURSIVE : armed(c, path, hit->scope);
    if (hit->scope == WATCH_CHILDREN && (kinds & ZK_WATCH_CHILDREN) != 0) {
        disarm(c, path, WATCH_NODE, ZK_WATCH_NODE_END);
        disarm(c, path, WATCH_CHILDREN, ZK_WATCH_CHILDREN);
    } else if (hit->scope == WATCH_NODE && hit->type == ZK_EVENT_DELETED) {
        disarm(c, path, WATCH_NODE, ZK_WATCH_DATA | ZK_WATCH_NODE_END);
        disarm(c, path, WATCH_CHILDREN, ZK_WATCH_CHILDREN);
    } else if (hit->scope == WATCH_NODE) {
        kinds &= (uint8_t)~ZK_WATCH_NODE_END;
        if (!MUTANT_IS(MUTANT_ZK_ONE_SHOT_KEPT)) {
            disarm(c, path, WATCH_NODE, ZK_WATCH_DATA);
        }
    }
    return kinds != 0;
}

static void say(struct zk_connection *c, const struct hit *hit, struct slice path)
{
    int64_t zxid = (int64_t)hit->revision;
    c->zxid_sent = zxid > c->zxid_sent ? zxid : c->zxid_sent;
    zk_out_begin(c);
    size_t before = c->out.size;
    zk_put_event(&c->out, zxid, (enum zk_event_type)hit->type, path);
    c->events_bytes += c->out.size - before;
    zk_out_end(c);
    metric_add(c->shared->events, 1);
}

static bool is_same_event(const struct hit *a, const struct hit *b)
{
    return a->revision == b->revision && a->sub == b->sub && a->type == b->type;
}

/* What waits may be a large reply as well. */
static bool has_too_many(const struct zk_connection *c)
{
    return c->events_bytes > ZK_EVENTS_BYTES_MAX;
}

void zk_watches_flush(struct zk_connection *c)
{
    struct zk_watches *w = c->watches;
    if (c->watches_lost) {
        zk_finish(c, "events were lost, or are not read");
        return;
    }
    if (w == NULL || w->hits.size == 0) {
        return;
    }
    struct hit *hits = (struct hit *)(void *)w->hits.data;
    size_t count = w->hits.size / sizeof hits[0];
    const struct hit *said = NULL;
    size_t waiting = c->out.size + c->env->sink.queued(c->env->sink.conn);
    c->events_bytes = waiting < c->events_bytes ? waiting : c->events_bytes;
    if (count > 1) {
        qsort(hits, count, sizeof hits[0], hit_order);
    }
    for (size_t i = 0; i < count && !has_too_many(c); i++) {
        struct slice path = slice_make(w->paths.data + hits[i].path_at, hits[i].path_bytes);
        bool fires = fire(c, &hits[i], path);
        if (fires && (said == NULL || !is_same_event(said, &hits[i]))) {
            say(c, &hits[i], path);
            said = &hits[i];
        }
    }
    buf_close(&w->hits);
    buf_close(&w->paths);
    if (has_too_many(c)) {
        zk_finish(c, "events are not read");
    }
}

/* ---- setWatches --------------------------------------------------------------------------- */

/* What this client has missed is told by an event of its own, not of a change: zxid -1. */
static void tell(struct zk_connection *c, enum zk_event_type type, struct slice path)
{
    zk_out_begin(c);
    zk_put_event(&c->out, -1, type, path);
    zk_out_end(c);
    metric_add(c->shared->events, 1);
}

/* OUTCOME_OK and the node's stat, OUTCOME_NO_NODE, or why that is not for this client to know. */
static enum outcome look(struct zk_connection *c, struct slice path, struct node_stat *stat)
{
    struct query q = {.type = QUERY_EXISTS, .space = SPACE_NODES, .path = path};
    struct query_result result;
    q.identities = buf_slice(&c->identities);
    store_query(zk_store(c), &q, &result, &c->shared->pages);
    *stat = result.stat;
    return (enum outcome)result.outcome;
}

static bool restore_data(struct zk_connection *c, struct slice path, uint64_t since)
{
    struct node_stat stat;
    enum outcome outcome = look(c, path, &stat);
    if (outcome == OUTCOME_NO_NODE) {
        tell(c, ZK_EVENT_DELETED, path);
    } else if (outcome == OUTCOME_OK && stat.modify_revision > since &&
               !MUTANT_IS(MUTANT_ZK_MISSED_UNTOLD)) {
        tell(c, ZK_EVENT_CHANGED, path);
    } else {
        return zk_watch_add(c, path, ZK_WATCH_DATA);
    }
    return true;
}

static bool restore_exists(struct zk_connection *c, struct slice path)
{
    struct node_stat stat;
    if (look(c, path, &stat) != OUTCOME_OK) {
        return zk_watch_add(c, path, ZK_WATCH_DATA);
    }
    tell(c, ZK_EVENT_CREATED, path);
    return true;
}

static bool restore_children(struct zk_connection *c, struct slice path, uint64_t since)
{
    struct node_stat stat;
    enum outcome outcome = look(c, path, &stat);
    if (outcome == OUTCOME_NO_NODE) {
        tell(c, ZK_EVENT_DELETED, path);
    } else if (outcome == OUTCOME_OK && stat.children_revision > since) {
        tell(c, ZK_EVENT_CHILDREN, path);
    } else {
        return zk_watch_add(c, path, ZK_WATCH_CHILDREN);
    }
    return true;
}

/* No client looks at the error of this reply: it would go on with watches that nobody holds. At
 * another member there may be room for them. */
bool zk_watch_restore(struct zk_connection *c, const struct zk_request *r)
{
    uint64_t since = r->relative_zxid < 0 ? 0 : (uint64_t)r->relative_zxid;
    bool fits = true;
    for (size_t i = 0; i < r->data_watches.count && fits; i++) {
        fits = restore_data(c, r->data_watches.paths[i], since);
    }
    for (size_t i = 0; i < r->exist_watches.count && fits; i++) {
        fits = restore_exists(c, r->exist_watches.paths[i]);
    }
    for (size_t i = 0; i < r->child_watches.count && fits; i++) {
        fits = restore_children(c, r->child_watches.paths[i], since);
    }
    for (size_t i = 0; i < r->persistent_watches.count && fits; i++) {
        fits = zk_watch_add(c, r->persistent_watches.paths[i], ZK_WATCH_PERSISTENT);
    }
    for (size_t i = 0; i < r->recursive_watches.count && fits; i++) {
        fits = zk_watch_add(c, r->recursive_watches.paths[i], ZK_WATCH_RECURSIVE);
    }
    if (!fits) {
        watches_give_up(c);
    }
    return fits;
}

/* ---- the whole table ---------------------------------------------------------------------- */

size_t zk_watches_count(const struct zk_connection *c)
{
    return c->watches == NULL ? 0 : c->watches->armed;
}

/* A path that is watched in the entry of a later scope is left to that. */
static bool is_last_of_path(const struct zk_connection *c, const struct zk_watch *e)
{
    struct slice path = e->watch.filter.path;
    uint8_t scope = e->watch.filter.scope;
    return counted(scope, e->kinds) > 0 &&
           (scope == WATCH_SUBTREE ||
            counted(WATCH_SUBTREE, armed(c, path, WATCH_SUBTREE)) == 0) &&
           (scope != WATCH_NODE ||
            counted(WATCH_CHILDREN, armed(c, path, WATCH_CHILDREN)) == 0);
}

void zk_watches_each(const struct zk_connection *c,
                     void (*fn)(void *context, struct slice path), void *context)
{
    const struct zk_watches *w = c->watches;
    if (c->watches_lost) { /* the hub has let go of their paths, and the connection ends */
        return;
    }
    for (size_t i = 0; w != NULL && i < w->bucket_count; i++) {
        for (const struct zk_watch *e = w->buckets[i]; e != NULL; e = e->next) {
            if (is_last_of_path(c, e)) {
                fn(context, e->watch.filter.path);
            }
        }
    }
}

void zk_watches_close(struct zk_connection *c)
{
    struct zk_watches *w = c->watches;
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < w->bucket_count; i++) {
        for (struct zk_watch *e = w->buckets[i], *next; e != NULL; e = next) {
            next = e->next;
            watch_stop(hub_of(c), &e->watch);
            mem_free(e);
        }
    }
    c->shared->watch_count -= w->armed;
    mem_free(w->buckets);
    buf_close(&w->hits);
    buf_close(&w->paths);
    mem_free(w);
    c->watches = NULL;
}
