/* Four-letter words: the first four bytes of a connection are a question about the server, the
 * answer is a text, then the connection ends. Formats are ZooKeeper's, so that monitoring parses
 * them; averages are integers, which every parser takes. Words are answered without a leader too.
 *
 * To add a word: its number and name in words.h and word_names.c, its function and line here. */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/version.h"
#include "net/zookeeper/connection.h"
#include "net/zookeeper/words.h"
#include "net/zookeeper/words_internal.h"

/* What clients that parse it take for ZooKeeper's: kazoo wants numbers first, Go's client a date as
 * ZooKeeper wrote them until 3.6, and will not say of a server that it is well without. */
#define VERSION_FORMAT "3.8.0-coord-%s, built on 01/01/2026 00:00 GMT"

static const char not_serving[] = "This ZooKeeper instance is not currently serving requests\n";

/* ---- pieces ------------------------------------------------------------------------------- */

static void put_version(struct buf *out)
{
    buf_printf(out, VERSION_FORMAT, version_text());
}

const char *zk_words_mode(const struct node_status *status)
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

uint64_t zk_words_average(uint64_t sum, uint64_t count)
{
    return count == 0 ? 0 : sum / count;
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
               s->latency.min_ms, zk_words_average(s->latency.sum_ms, s->latency.count),
               s->latency.max_ms, s->received, s->sent, s->connection_count, s->outstanding,
               status.revision, zk_words_mode(&status), status.node_count);
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
    while ((other = zk_words_next(c, other)) != NULL) {
        zk_words_put_connection(other, out);
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

static void put_number(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "zk_%s\t%" PRIu64 "\n", name, value);
}

/* As ZooKeeper's summaries of many values. */
static void put_summary(struct buf *out, const char *name, const struct zk_latency *l)
{
    buf_printf(out,
               "zk_avg_%s\t%" PRIu64 "\nzk_min_%s\t%" PRIu64 "\nzk_max_%s\t%" PRIu64
               "\nzk_cnt_%s\t%" PRIu64 "\nzk_sum_%s\t%" PRIu64 "\n",
               name, zk_words_average(l->sum_ms, l->count), name, l->min_ms, name, l->max_ms, name,
               l->count, name, l->sum_ms);
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
    struct zk_lease_counts counts = zk_words_count_leases(zk_store(c));
    node_status(zk_node(c), &status);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    buf_append_str(out, "zk_version\t");
    put_version(out);
    buf_printf(out, "\nzk_server_state\t%s\n", zk_words_mode(&status));
    put_peer_state(out, &status);
    put_number(out, "avg_latency", zk_words_average(s->latency.sum_ms, s->latency.count));
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
    put_number(out, "bytes_received_count", s->bytes_received);
    put_number(out, "response_bytes", s->bytes_sent);
    put_number(out, "connection_request_count", (uint64_t)metric_value(s->opened));
    put_summary(out, "readlatency", &s->read_latency);
    put_summary(out, "updatelatency", &s->write_latency);
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
    c->shared->bytes_received = 0;
    c->shared->bytes_sent = 0;
    c->shared->latency = (struct zk_latency){0};
    c->shared->read_latency = (struct zk_latency){0};
    c->shared->write_latency = (struct zk_latency){0};
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
    [ZK_WORD_CONS] = {zk_word_cons, true},  [ZK_WORD_ENVI] = {word_envi, false},
    [ZK_WORD_WCHS] = {zk_word_wchs, true},  [ZK_WORD_DIRS] = {word_dirs, false},
    [ZK_WORD_DUMP] = {zk_word_dump, true},  [ZK_WORD_WCHC] = {zk_word_wchc, true},
    [ZK_WORD_WCHP] = {zk_word_wchp, true},  [ZK_WORD_CRST] = {word_crst, true},
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
    } else if ((answers[word].needs_leader && !node_is_serving(zk_node(c))) ||
               (!answers[word].is_for_anybody && !node_is_caught_up(zk_node(c)))) {
        buf_append_str(&c->out, not_serving);
    } else {
        answers[word].answer(c, &c->out);
    }
    zk_finish(c, "a status text was asked for");
    return bytes.size;
}
