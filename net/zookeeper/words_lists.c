/* The four-letter words that list connections, watches and sessions. They take time and memory in
 * proportion to what they list, so that the settings leave most of them out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "lease/table.h"
#include "net/zookeeper/words_internal.h"

/* ---- pieces ------------------------------------------------------------------------------- */

const struct zk_connection *zk_words_next(const struct zk_connection *c,
                                          const struct zk_connection *after)
{
    const struct list *it = after == NULL ? c->shared->connections.next : after->link.next;
    return it == &c->shared->connections
               ? NULL
               : LIST_OF((struct list *)(uintptr_t)it, const struct zk_connection, link);
}

void zk_words_put_connection(const struct zk_connection *c, struct buf *out)
{
    buf_printf(out, " /%s[%d](queued=%zu,recved=%" PRIu64 ",sent=%" PRIu64, c->env->peer,
               c->stage == ZK_STAGE_SERVING, c->task_count, c->received, c->sent);
}

struct zk_lease_counts zk_words_count_leases(const struct store *s)
{
    struct zk_lease_counts counts = {0};
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        counts.sessions += l->kind == LEASE_SESSION;
        counts.ephemerals += l->attached_count;
    }
    return counts;
}

/* ---- words about connections and watches -------------------------------------------------- */

void zk_word_cons(struct zk_connection *c, struct buf *out)
{
    const struct zk_connection *other = NULL;
    while ((other = zk_words_next(c, other)) != NULL) {
        const struct zk_latency *l = &other->latency;
        zk_words_put_connection(other, out);
        if (other->session != 0) {
            buf_printf(out,
                       ",sid=0x%" PRIx64 ",lop=%s,est=%" PRIu64 ",to=%" PRIu32
                       ",lcxid=0x%" PRIx32 ",lzxid=0x%" PRIx64 ",lresp=%" PRIu64
                       ",llat=%" PRIu64 ",minlat=%" PRIu64 ",avglat=%" PRIu64
                       ",maxlat=%" PRIu64,
                       other->session, zk_type_short(other->last_type), other->opened_wall_ms,
                       other->timeout_ms, (uint32_t)other->last_xid, (uint64_t)other->zxid_sent,
                       other->heard_ms, other->last_latency_ms, l->min_ms,
                       zk_words_average(l->sum_ms, l->count), l->max_ms);
        }
        buf_append_str(out, ")\n");
    }
    buf_append_str(out, "\n");
}

/* A watched path and a session that watches it. */
struct watcher {
    struct slice path;
    uint64_t session;
};

struct watchers {
    struct buf list; /* struct watcher */
    uint64_t session;
};

static void add_watcher(void *context, struct slice path)
{
    struct watchers *w = context;
    const struct watcher watcher = {.path = path, .session = w->session};
    buf_append(&w->list, &watcher, sizeof watcher);
}

static int watcher_order(const void *a, const void *b)
{
    const struct watcher *x = a;
    const struct watcher *y = b;
    int order = slice_compare(x->path, y->path);
    return order != 0 ? order : (x->session > y->session) - (x->session < y->session);
}

static size_t collect_watchers(struct zk_connection *c, struct watchers *w, size_t *connections)
{
    const struct zk_connection *other = NULL;
    *connections = 0;
    while ((other = zk_words_next(c, other)) != NULL) {
        w->session = other->session;
        *connections += zk_watches_count(other) > 0;
        zk_watches_each(other, add_watcher, w);
    }
    return w->list.size / sizeof(struct watcher);
}

static struct watcher *sort_watchers(struct watchers *w, size_t count)
{
    struct watcher *all = (struct watcher *)(void *)w->list.data;
    if (count > 1) {
        qsort(all, count, sizeof all[0], watcher_order);
    }
    return all;
}

void zk_word_wchs(struct zk_connection *c, struct buf *out)
{
    struct watchers w = {0};
    size_t connections;
    size_t count = collect_watchers(c, &w, &connections);
    const struct watcher *all = sort_watchers(&w, count);
    size_t paths = 0;
    for (size_t i = 0; i < count; i++) {
        paths += i == 0 || !slice_equal(all[i].path, all[i - 1].path);
    }
    buf_printf(out, "%zu connections watching %zu paths\nTotal watches:%" PRIu64 "\n",
               connections, paths, c->shared->watch_count);
    buf_close(&w.list);
}

static void put_path(void *context, struct slice path)
{
    struct buf *out = context;
    buf_append_str(out, "\t");
    buf_append_slice(out, path);
    buf_append_str(out, "\n");
}

void zk_word_wchc(struct zk_connection *c, struct buf *out)
{
    const struct zk_connection *other = NULL;
    while ((other = zk_words_next(c, other)) != NULL) {
        if (zk_watches_count(other) > 0) {
            buf_printf(out, "0x%" PRIx64 "\n", other->session);
            zk_watches_each(other, put_path, out);
        }
    }
    buf_append_str(out, "\n");
}

void zk_word_wchp(struct zk_connection *c, struct buf *out)
{
    struct watchers w = {0};
    size_t connections;
    size_t count = collect_watchers(c, &w, &connections);
    const struct watcher *all = sort_watchers(&w, count);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !slice_equal(all[i].path, all[i - 1].path)) {
            buf_append_slice(out, all[i].path);
            buf_append_str(out, "\n");
        }
        buf_printf(out, "\t0x%" PRIx64 "\n", all[i].session);
    }
    buf_append_str(out, "\n");
    buf_close(&w.list);
}

/* ---- sessions ----------------------------------------------------------------------------- */

static void put_ephemerals(struct zk_connection *c, struct buf *out, uint64_t session)
{
    struct query q = {.type = QUERY_LEASE, .space = SPACE_NODES, .lease = session};
    struct query_result result;
    arena_clear(&c->shared->scratch);
    buf_printf(out, "0x%" PRIx64 ":\n", session);
    do {
        store_query(zk_store(c), &q, &result, &c->shared->scratch);
        for (uint32_t i = 0; i < result.entry_count; i++) {
            q.after = result.entries[i].path;
            put_path(out, q.after);
        }
    } while (result.outcome == OUTCOME_OK && result.more);
}

static void put_deadline(struct buf *out, uint64_t wall_ms)
{
    char date[64];
    time_t at = (time_t)(wall_ms / 1000);
    struct tm utc;
    (void)gmtime_r(&at, &utc);
    (void)strftime(date, sizeof date, "%a %b %d %H:%M:%S UTC %Y", &utc);
    buf_printf(out, "1 expire at %s:\n", date);
}

/* The sessions of the cluster. Deadlines are the leader's matter: the others list timeouts, as
 * ZooKeeper's followers do, and a leader what is known everywhere, the timeout from now on. */
static void put_sessions(struct zk_connection *c, struct buf *out, uint64_t count)
{
    const struct store *s = zk_store(c);
    struct node_status status;
    node_status(zk_node(c), &status);
    bool with_deadlines = strcmp(zk_words_mode(&status), "follower") != 0;
    uint64_t now = c->env->env->wall_ms(c->env->env);
    buf_append_str(out, "SessionTracker dump:\n");
    if (with_deadlines) {
        buf_printf(out, "Session Sets (%" PRIu64 ")/(%" PRIu64 "):\n", count, count);
    } else {
        buf_printf(out, "Global Sessions(%" PRIu64 "):\n", count);
    }
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        if (l->kind == LEASE_SESSION && with_deadlines) {
            put_deadline(out, now + l->ttl_ms);
            buf_printf(out, "\t0x%" PRIx64 "\n", l->id);
        } else if (l->kind == LEASE_SESSION) {
            buf_printf(out, "0x%" PRIx64 "\t%" PRIu64 "ms\n", l->id, (uint64_t)l->ttl_ms);
        }
    }
}

/* Those of this member: when each is closed if its client stays silent. */
static void put_connection_sets(struct zk_connection *c, struct buf *out)
{
    const struct zk_connection *other = NULL;
    uint64_t behind = c->env->env->wall_ms(c->env->env) - zk_now_ms(c);
    buf_printf(out, "Connections dump:\nConnections Sets (%zu)/(%zu):\n",
               c->shared->connection_count, c->shared->connection_count);
    while ((other = zk_words_next(c, other)) != NULL) {
        uint64_t end = other->session != 0 ? other->heard_ms + other->timeout_ms
                                           : other->opened_ms + ZK_HANDSHAKE_MS;
        put_deadline(out, end + behind);
        buf_printf(out, "\tip: /%s sessionId: 0x%" PRIx64 "\n", other->env->peer,
                   other->session);
    }
}

void zk_word_dump(struct zk_connection *c, struct buf *out)
{
    const struct store *s = zk_store(c);
    uint64_t owners = 0;
    put_sessions(c, out, zk_words_count_leases(s).sessions);
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        owners += l->kind == LEASE_SESSION && l->attached_count > 0;
    }
    buf_printf(out, "ephemeral nodes dump:\nSessions with Ephemerals (%" PRIu64 "):\n", owners);
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        if (l->kind == LEASE_SESSION && l->attached_count > 0) {
            put_ephemerals(c, out, l->id);
        }
    }
    put_connection_sets(c, out);
}
