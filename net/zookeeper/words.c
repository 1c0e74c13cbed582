/* Four-letter words: the first four bytes of a connection are a question about the server, the
 * answer is a text, then the connection ends. Formats are ZooKeeper's, so that monitoring parses
 * them; averages are integers, which every parser takes. Words are answered without a leader too.
 *
 * To add a word: its number and name in words.h and word_names.c, its function and line here. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/version.h"
#include "lease/table.h"
#include "net/zookeeper/connection.h"
#include "net/zookeeper/words.h"

/* What clients that parse it take for ZooKeeper's: kazoo wants numbers first. */
#define VERSION_FORMAT "3.8.0-coord-%s, built on 2026-01-01 00:00 UTC"

static const char not_serving[] = "This ZooKeeper instance is not currently serving requests\n";

/* ---- pieces ------------------------------------------------------------------------------- */

static void put_version(struct buf *out)
{
    buf_printf(out, VERSION_FORMAT, version_text());
}

static const char *mode_of(const struct node_status *status)
{
    if (status->member_count <= 1) {
        return "standalone";
    }
    return strcmp(status->state, "leader") == 0 ? "leader" : "follower";
}

/* What a server alone leads nobody by: it is "standalone". */
static bool leads_others(const struct node_status *status)
{
    return status->member_count > 1 && strcmp(status->state, "leader") == 0;
}

/* -1 before the first, as ZooKeeper has it. */
struct proposal_sizes {
    int64_t last;
    int64_t min;
    int64_t max;
};

static struct proposal_sizes proposal_sizes(const struct node_status *status)
{
    if (status->proposal_bytes_max == 0) {
        return (struct proposal_sizes){-1, -1, -1};
    }
    return (struct proposal_sizes){(int64_t)status->proposal_bytes,
                                   (int64_t)status->proposal_bytes_min,
                                   (int64_t)status->proposal_bytes_max};
}

static uint64_t average(uint64_t sum, uint64_t count)
{
    return count == 0 ? 0 : sum / count;
}

static const struct zk_connection *next_connection(const struct zk_connection *c,
                                                   const struct zk_connection *after)
{
    const struct list *it = after == NULL ? c->shared->connections.next : after->link.next;
    return it == &c->shared->connections
               ? NULL
               : LIST_OF((struct list *)(uintptr_t)it, const struct zk_connection, link);
}

static void put_connection(const struct zk_connection *c, struct buf *out)
{
    buf_printf(out, " /%s[%d](queued=%zu,recved=%" PRIu64 ",sent=%" PRIu64, c->env->peer,
               c->stage == ZK_STAGE_SERVING, c->task_count, c->received, c->sent);
}

static void put_server(const struct zk_connection *c, struct buf *out)
{
    const struct zk_shared *s = c->shared;
    struct node_status status;
    node_status(zk_node(c), &status);
    buf_printf(out,
               "Latency min/avg/max: %" PRIu64 "/%" PRIu64 "/%" PRIu64 "\n"
               "Received: %" PRIu64 "\nSent: %" PRIu64 "\nConnections: %zu\n"
               "Outstanding: %" PRIu64 "\nZxid: 0x%" PRIx64 "\nMode: %s\nNode count: %" PRIu64
               "\n",
               s->latency.min_ms, average(s->latency.sum_ms, s->latency.count),
               s->latency.max_ms, s->received, s->sent, s->connection_count, s->outstanding,
               status.revision, mode_of(&status), status.node_count);
    if (leads_others(&status)) {
        const struct proposal_sizes p = proposal_sizes(&status);
        buf_printf(out,
                   "Proposal sizes last/min/max: %" PRId64 "/%" PRId64 "/%" PRId64 "\n", p.last,
                   p.min, p.max);
    }
}

/* ---- words about the server --------------------------------------------------------------- */

static void word_ruok(struct zk_connection *c, struct buf *out)
{
    (void)c;
    buf_append_str(out, "imok");
}

static void word_isro(struct zk_connection *c, struct buf *out)
{
    buf_append_str(out, node_is_serving(zk_node(c)) ? "rw" : "null");
}

static void word_srvr(struct zk_connection *c, struct buf *out)
{
    buf_append_str(out, "Zookeeper version: ");
    put_version(out);
    buf_append_str(out, "\n");
    put_server(c, out);
}

static void word_stat(struct zk_connection *c, struct buf *out)
{
    buf_append_str(out, "Zookeeper version: ");
    put_version(out);
    buf_append_str(out, "\nClients:\n");
    const struct zk_connection *other = NULL;
    while ((other = next_connection(c, other)) != NULL) {
        put_connection(other, out);
        buf_append_str(out, ")\n");
    }
    buf_append_str(out, "\n");
    put_server(c, out);
}

static void word_envi(struct zk_connection *c, struct buf *out)
{
    struct utsname name;
    const char *user = getenv("LOGNAME"); /* the system's own tables may be far away */
    (void)c;
    (void)uname(&name);
    buf_append_str(out, "Environment:\nzookeeper.version=");
    put_version(out);
    buf_printf(out, "\nhost.name=%s\nos.name=%s\nos.arch=%s\nos.version=%s\nuser.name=%s\n",
               name.nodename, name.sysname, name.machine, name.release,
               user != NULL ? user : "?");
}

static void word_dirs(struct zk_connection *c, struct buf *out)
{
    struct node_status status;
    node_status(zk_node(c), &status);
    buf_printf(out, "datadir_size: %" PRIu64 "\nlogdir_size: %" PRIu64 "\n",
               status.snapshot_bytes, status.log_bytes);
}

/* The place of this node among the members, from 1: what ZooKeeper calls its id. */
static size_t server_id(const struct node_status *status)
{
    for (size_t i = 0; i < status->member_count; i++) {
        if (status->members[i].is_self) {
            return i + 1;
        }
    }
    return 0;
}

static void put_members(struct buf *out, const struct node_status *status)
{
    buf_append_str(out, "membership: \n");
    for (size_t i = 0; i < status->member_count; i++) {
        const struct node_member_status *m = &status->members[i];
        const char *colon = strrchr(m->peer_address, ':');
        buf_printf(out, "server.%zu=%s%s:%s;%s\n", i + 1, m->peer_address,
                   colon != NULL ? colon : "",
                   m->role == MEMBER_VOTER ? "participant" : "observer", m->client_address);
    }
    buf_append_str(out, "version=0\n");
}

static void word_conf(struct zk_connection *c, struct buf *out)
{
    const struct zk_settings *s = c->shared->settings;
    struct node_status status;
    node_status(zk_node(c), &status);
    buf_printf(out,
               "clientPort=%u\nsecureClientPort=-1\ndataDir=%s\ndataDirSize=%" PRIu64
               "\ndataLogDir=%s\ndataLogSize=%" PRIu64
               "\ntickTime=2000\nmaxClientCnxns=0\nminSessionTimeout=%" PRIu32
               "\nmaxSessionTimeout=%" PRIu32 "\nclientPortListenBacklog=-1\nserverId=%zu\n",
               (unsigned)s->client_port, s->data_dir, status.snapshot_bytes, s->data_dir,
               status.log_bytes, s->timeout_ms_min, s->timeout_ms_max,
               status.member_count > 1 ? server_id(&status) : 0);
    if (status.member_count > 1) {
        buf_printf(out,
                   "initLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort=0\nquorumPort=0\n"
                   "peerType=0\n");
        put_members(out, &status);
    }
}

static size_t open_files(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir != NULL) {
        while (readdir(dir) != NULL) {
            count++;
        }
        (void)closedir(dir);
    }
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder itself */
}

struct lease_counts {
    uint64_t sessions;
    uint64_t ephemerals;
};

static struct lease_counts count_leases(const struct store *s)
{
    struct lease_counts counts = {0};
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        counts.sessions += l->kind == LEASE_SESSION;
        counts.ephemerals += l->attached_count;
    }
    return counts;
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "zk_%s\t%" PRIu64 "\n", name, value);
}

static void put_leader(struct buf *out, const struct node_status *status)
{
    uint64_t up = 0;
    uint64_t voters = 0;
    for (size_t i = 0; i < status->member_count; i++) {
        up += status->members[i].is_up && !status->members[i].is_self;
        voters += status->members[i].role == MEMBER_VOTER;
    }
    put_number(out, "learners", up);
    put_number(out, "synced_followers", up);
    put_number(out, "synced_non_voting_followers", 0);
    put_number(out, "synced_observers", 0);
    put_number(out, "pending_syncs", 0);
    put_number(out, "quorum_size", voters);
    put_number(out, "leader_uptime", status->leading_ms);
    const struct proposal_sizes p = proposal_sizes(status);
    buf_printf(out,
               "zk_last_proposal_size\t%" PRId64 "\nzk_min_proposal_size\t%" PRId64
               "\nzk_max_proposal_size\t%" PRId64 "\n",
               p.last, p.min, p.max);
}

static void put_peer_state(struct buf *out, const struct node_status *status)
{
    if (status->member_count > 1) {
        buf_printf(out, "zk_peer_state\t%s\n",
                   leads_others(status) ? "leading - broadcast" : "following - broadcast");
    }
    if (leads_others(status)) {
        put_leader(out, status);
    }
}

static void word_mntr(struct zk_connection *c, struct buf *out)
{
    const struct zk_shared *s = c->shared;
    struct node_status status;
    struct rlimit files = {0};
    struct lease_counts counts = count_leases(zk_store(c));
    node_status(zk_node(c), &status);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    buf_append_str(out, "zk_version\t");
    put_version(out);
    buf_printf(out, "\nzk_server_state\t%s\n", mode_of(&status));
    put_peer_state(out, &status);
    put_number(out, "avg_latency", average(s->latency.sum_ms, s->latency.count));
    put_number(out, "min_latency", s->latency.min_ms);
    put_number(out, "max_latency", s->latency.max_ms);
    put_number(out, "packets_received", s->received);
    put_number(out, "packets_sent", s->sent);
    put_number(out, "num_alive_connections", s->connection_count);
    put_number(out, "outstanding_requests", s->outstanding);
    put_number(out, "znode_count", status.node_count);
    put_number(out, "watch_count", s->watch_count);
    put_number(out, "ephemerals_count", counts.ephemerals);
    put_number(out, "approximate_data_size", status.state_bytes);
    put_number(out, "global_sessions", counts.sessions);
    put_number(out, "local_sessions", 0);
    put_number(out, "uptime", zk_now_ms(c) - s->opened_ms);
    put_number(out, "open_file_descriptor_count", open_files());
    put_number(out, "max_file_descriptor_count", (uint64_t)files.rlim_cur);
    put_number(out, "connection_rejected", (uint64_t)metric_value(s->rejected));
    put_number(out, "auth_failed_count", s->auth_failed);
    put_number(out, "large_requests_rejected", s->large_requests);
    put_number(out, "commit_count", status.commit_index);
}

/* ---- words about connections and watches -------------------------------------------------- */

static void word_cons(struct zk_connection *c, struct buf *out)
{
    const struct zk_connection *other = NULL;
    while ((other = next_connection(c, other)) != NULL) {
        const struct zk_latency *l = &other->latency;
        put_connection(other, out);
        if (other->session != 0) {
            buf_printf(out,
                       ",sid=0x%" PRIx64 ",lop=%s,est=%" PRIu64 ",to=%" PRIu32
                       ",lcxid=0x%" PRIx32 ",lzxid=0x%" PRIx64 ",lresp=%" PRIu64
                       ",llat=%" PRIu64 ",minlat=%" PRIu64 ",avglat=%" PRIu64
                       ",maxlat=%" PRIu64,
                       other->session, zk_type_short(other->last_type), other->opened_wall_ms,
                       other->timeout_ms, (uint32_t)other->last_xid, (uint64_t)other->zxid_sent,
                       other->heard_ms, other->last_latency_ms, l->min_ms,
                       average(l->sum_ms, l->count), l->max_ms);
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
    while ((other = next_connection(c, other)) != NULL) {
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

static void word_wchs(struct zk_connection *c, struct buf *out)
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

static void word_wchc(struct zk_connection *c, struct buf *out)
{
    const struct zk_connection *other = NULL;
    while ((other = next_connection(c, other)) != NULL) {
        if (zk_watches_count(other) > 0) {
            buf_printf(out, "0x%" PRIx64 "\n", other->session);
            zk_watches_each(other, put_path, out);
        }
    }
    buf_append_str(out, "\n");
}

static void word_wchp(struct zk_connection *c, struct buf *out)
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

/* Deadlines are the leader's matter: what is known everywhere is the timeout, from now on. */
static void word_dump(struct zk_connection *c, struct buf *out)
{
    const struct store *s = zk_store(c);
    struct lease_counts counts = count_leases(s);
    uint64_t owners = 0;
    buf_printf(out, "SessionTracker dump:\nSession Sets (%" PRIu64 ")/(%" PRIu64 "):\n",
               counts.sessions, counts.sessions);
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        if (l->kind == LEASE_SESSION) {
            char date[64];
            time_t at = (time_t)((c->env->env->wall_ms(c->env->env) + l->ttl_ms) / 1000);
            struct tm utc;
            (void)gmtime_r(&at, &utc);
            (void)strftime(date, sizeof date, "%a %b %d %H:%M:%S UTC %Y", &utc);
            buf_printf(out, "1 expire at %s:\n\t0x%" PRIx64 "\n", date, l->id);
            owners += l->attached_count > 0;
        }
    }
    buf_printf(out, "ephemeral nodes dump:\nSessions with Ephemerals (%" PRIu64 "):\n", owners);
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        if (l->kind == LEASE_SESSION && l->attached_count > 0) {
            put_ephemerals(c, out, l->id);
        }
    }
}

/* ---- resets ------------------------------------------------------------------------------- */

static void word_crst(struct zk_connection *c, struct buf *out)
{
    for (struct list *it = c->shared->connections.next; it != &c->shared->connections;
         it = it->next) {
        struct zk_connection *other = LIST_OF(it, struct zk_connection, link);
        other->received = 0;
        other->sent = 0;
        other->latency = (struct zk_latency){0};
        other->last_latency_ms = 0;
    }
    buf_append_str(out, "Connection stats reset.\n");
}

static void word_srst(struct zk_connection *c, struct buf *out)
{
    c->shared->received = 0;
    c->shared->sent = 0;
    c->shared->latency = (struct zk_latency){0};
    buf_append_str(out, "Server stats reset.\n");
}

/* ---- the connection ----------------------------------------------------------------------- */

static const struct {
    void (*answer)(struct zk_connection *c, struct buf *out);
    bool needs_leader; /* without one it says that this node does not serve */
    bool is_for_anybody; /* also while authentication is enabled: how the server is, no more */
} answers[ZK_WORDS] = {
    [ZK_WORD_RUOK] = {word_ruok, false, true}, [ZK_WORD_ISRO] = {word_isro, false, true},
    [ZK_WORD_SRVR] = {word_srvr, true, true},  [ZK_WORD_STAT] = {word_stat, true},
    [ZK_WORD_MNTR] = {word_mntr, true, true},  [ZK_WORD_CONF] = {word_conf, false},
    [ZK_WORD_CONS] = {word_cons, true},  [ZK_WORD_ENVI] = {word_envi, false},
    [ZK_WORD_WCHS] = {word_wchs, true},  [ZK_WORD_DIRS] = {word_dirs, false},
    [ZK_WORD_DUMP] = {word_dump, true},  [ZK_WORD_WCHC] = {word_wchc, true},
    [ZK_WORD_WCHP] = {word_wchp, true},  [ZK_WORD_CRST] = {word_crst, true},
    [ZK_WORD_SRST] = {word_srst, true},
};

size_t zk_word(struct zk_connection *c, struct slice bytes)
{
    if (bytes.size < ZK_WORD_BYTES) {
        return 0;
    }
    struct slice name = slice_make(bytes.data, ZK_WORD_BYTES);
    enum zk_word word = zk_word_find(name);
    if (word == ZK_WORDS) {
        zk_finish(c, "neither a client nor a question");
        return bytes.size;
    }
    zk_out_begin(c);
    if ((c->shared->settings->words >> word & 1) == 0) {
        buf_append_slice(&c->out, name);
        buf_append_str(&c->out, " is not executed because it is not in the whitelist.\n");
    } else if (store_auth(zk_store(c))->is_enabled && !answers[word].is_for_anybody) {
        buf_append_slice(&c->out, name);
        buf_append_str(&c->out, " is not executed while authentication is enabled.\n");
    } else if (answers[word].needs_leader && !node_is_serving(zk_node(c))) {
        buf_append_str(&c->out, not_serving);
    } else {
        answers[word].answer(c, &c->out);
    }
    zk_finish(c, "a status text was asked for");
    return bytes.size;
}
