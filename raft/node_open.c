/* Start: the data dir and whose it is, the first start of a cluster, recovery; and the end.
 *
 * A lost disk is a lost identity. A member with an empty data dir may have voted and
 * acknowledged before it lost it, so it may take part under its name only if nobody can
 * remember it: when every first member has said, in this start, that it is new as well.
 * Otherwise it is REFUSED and says how to be replaced.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/mutant.h"
#include "raft/node_internal.h"

#define BOOT_ASK_MS   100
#define READ_RETRY_MS 60
#define PATH_BYTES    4096

static const char *const lost_reason =
    "this data dir is empty, but the cluster has history with this member: its data was lost. "
    "It must not vote again under its id: give its place to a new one by 'coordctl member "
    "replace', and start it with --join";

/* ---- messages of members ----------------------------------------------------------------- */

static void on_message(void *context, uint64_t from, const struct message *m)
{
    struct node *n = context;
    if (m->type == MESSAGE_BOOT_QUERY) {
        node_on_boot_query(n, from);
        return;
    }
    if (m->type == MESSAGE_BOOT_RESULT) {
        node_on_boot_result(n, from, &m->boot);
        return;
    }
    if (m->type == MESSAGE_SNAPSHOT_CHUNK && n->join.is_active && n->snapshots != NULL) {
        node_on_chunk(n, from, &m->snapshot_chunk); /* the state that it fetches to join */
        return;
    }
    if (m->type == MESSAGE_REMOVED) {
        node_on_removed(n, &m->removed);
        return;
    }
    if (n->engine == NULL || n->phase == NODE_REFUSED || node_turns_away(n, from)) {
        return;
    }
    switch (m->type) {
    case MESSAGE_MEMBER_ASK: node_on_member_ask(n, from, &m->member_ask); return;
    case MESSAGE_MEMBER_TELL: node_on_member_tell(n, from, &m->member_tell); return;
    case MESSAGE_INSTALL_SNAPSHOT: node_on_offer(n, from, &m->install_snapshot); return;
    case MESSAGE_SNAPSHOT_PULL: node_on_pull(n, from, &m->snapshot_pull); return;
    case MESSAGE_SNAPSHOT_CHUNK: node_on_chunk(n, from, &m->snapshot_chunk); return;
    case MESSAGE_TERM_PROBE: {
        struct message answer = {.type = MESSAGE_TERM_PROBE_RESULT};
        answer.term_probe.round = m->term_probe.round;
        answer.term_probe.term = engine_term(n->engine);
        node_send(n, from, &answer);
        return;
    }
    case MESSAGE_TERM_PROBE_RESULT:
        read_index_on_probe_result(&n->reads, from, &m->term_probe);
        return;
    case MESSAGE_READ_INDEX: read_index_on_question(&n->reads, from, &m->read_index); return;
    case MESSAGE_READ_INDEX_RESULT:
        read_index_on_answer(&n->reads, from, &m->read_index);
        return;
    case MESSAGE_FORWARD: node_on_forward(n, from, &m->forward); return;
    case MESSAGE_FORWARD_RESULT: node_on_forward_result(n, from, &m->forward_result); return;
    case MESSAGE_LEASE_ASK: node_on_lease_ask(n, from, &m->lease_ask); return;
    case MESSAGE_LEASE_TELL: node_on_lease_tell(n, from, &m->lease_tell); return;
    case MESSAGE_NOTE: node_on_note(n, from, &m->note); return;
    case MESSAGE_DIGEST: node_on_digest(n, from, m->digest.index, m->digest.digest); return;
    default: engine_receive(n->engine, from, m); return;
    }
}

static void on_up(void *context, uint64_t peer, const struct message_hello *hello)
{
    node_on_peer_up(context, peer, hello);
}

static void on_down(void *context, uint64_t peer)
{
    struct node *n = context;
    if (n->engine == NULL || n->phase == NODE_REFUSED) {
        return;
    }
    engine_connection_lost(n->engine, peer);
    node_on_sent_to_lost(n, peer);
    node_ttl_peer_lost(n, peer);
    if (engine_leader(n->engine) == peer) {
        engine_suspect_leader(n->engine);
    }
}

static const struct peers_events peer_events = {.message = on_message,
                                                .up = on_up,
                                                .down = on_down,
                                                .admit = node_on_admit,
                                                .guest = node_on_guest};

enum status node_open_peers(struct node *n, struct errmsg *err)
{
    if (n->peer_host == NULL) {
        return RC_OK;
    }
    struct peers_options options = {
        .env = node_peer_env(n),
        .log = n->log,
        .metrics = n->options.metrics,
        .cluster_id = n->identity.cluster_id,
        .node_id = n->identity.node_id,
        .boot_id = n->boot_id,
        .name = n->name,
        .listen_host = n->peer_host,
        .listen_port = n->options.peer_port,
        .client_address = n->client_address,
        .feature_level = FEATURE_LEVEL,
    };
    enum status rc = peers_open(&options, &peer_events, n, &n->peers, err);
    return rc == RC_OK ? RC_OK : errmsg_wrap(err, "listen to peers");
}

/* ---- the first start of a cluster -------------------------------------------------------- */

static struct boot_answer *answer_of(struct node *n, uint64_t id)
{
    for (size_t i = 0; i < n->boot_count; i++) {
        if (n->boot[i].id == id) {
            return &n->boot[i];
        }
    }
    return NULL;
}

void node_on_peer_up(struct node *n, uint64_t from, const struct message_hello *hello)
{
    struct boot_answer *answer = answer_of(n, from);
    if (answer != NULL) {
        answer->present_boot_id = hello->boot_id;
    }
    n->boot_ask_ms = 0;
}

/* "Are you past the bootstrap entry?" The process that told us itself that it is new, in the
 * round in which this cluster began, is still in that same beginning. */
void node_on_boot_query(struct node *n, uint64_t from)
{
    const struct boot_answer *answer = answer_of(n, from);
    bool began_with_us =
        answer != NULL && answer->boot_id != 0 && answer->boot_id == answer->present_boot_id;
    struct message m = {.type = MESSAGE_BOOT_RESULT};
    m.boot.last_index = n->engine != NULL ? engine_last_index(n->engine) : 0;
    m.boot.has_state = m.boot.last_index > 1 && !began_with_us;
    node_send(n, from, &m);
}

/* A single node is known to nobody else: its id is random, its peer address not used yet. */
static struct engine_configuration configuration_of_one(const struct node *n)
{
    struct engine_configuration c = {.index = 1, .count = 1};
    struct node_member self = {.port = 0};
    memcpy(self.name, n->name, sizeof self.name);
    snprintf(self.host, sizeof self.host, "localhost");
    c.members[0] = (struct engine_member){.id = n->identity.node_id, .role = ENGINE_VOTER};
    node_format_member(&self, NULL, c.members[0].address, sizeof c.members[0].address);
    return c;
}

static struct engine_configuration first_configuration(const struct node *n)
{
    if (n->identity.initial == 0) {
        return configuration_of_one(n);
    }
    struct engine_configuration c = {.index = 1};
    for (size_t i = 0; i < n->options.member_count; i++) {
        struct engine_member *m = &c.members[c.count++];
        m->id = identity_of_member(n->identity.cluster_id, n->members[i].name);
        m->role = ENGINE_VOTER;
        node_format_member(&n->members[i], NULL, m->address, sizeof m->address);
    }
    /* The entry must be the same bytes everywhere, however the flag was ordered. */
    for (size_t i = 1; i < c.count; i++) {
        for (size_t j = i; j > 0 && c.members[j].id < c.members[j - 1].id; j--) {
            struct engine_member swap = c.members[j];
            c.members[j] = c.members[j - 1];
            c.members[j - 1] = swap;
        }
    }
    return c;
}

/* Everybody is new: the identity is fixed first (PENDING), then the log gets its first
 * entry, and only then may this node vote (MEMBER). */
static enum status become_member(struct node *n, struct errmsg *err)
{
    n->identity.phase = IDENTITY_PENDING;
    enum status rc = identity_save(n->env, n->data_dir, &n->identity, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct engine_configuration first = first_configuration(n);
    return node_start_engine(n, &first, err);
}

static void finish_bootstrap(struct node *n)
{
    struct errmsg err = {0};
    enum status rc = become_member(n, &err);
    if (rc != RC_OK) {
        node_fatal(n, rc, err.text);
        return;
    }
    log_info(n->log, "node.bootstrapped", "cluster=%016" PRIx64 " members=%zu",
             n->identity.cluster_id, n->options.member_count);
}

void node_on_boot_result(struct node *n, uint64_t from, const struct message_boot *m)
{
    struct boot_answer *answer = answer_of(n, from);
    if (n->phase != NODE_WAITING || answer == NULL) {
        return;
    }
    if (m->has_state) {
        node_refuse(n, lost_reason);
        return;
    }
    answer->boot_id = answer->present_boot_id;
}

void node_bootstrap_turn(struct node *n, uint64_t now_ms)
{
    if (n->join.is_active) {
        node_pending_turn(n, now_ms);
        node_join_turn(n, now_ms);
        return;
    }
    size_t answers = 0;
    for (size_t i = 0; i < n->boot_count; i++) {
        answers += n->boot[i].boot_id != 0;
    }
    if (answers == n->boot_count) {
        finish_bootstrap(n);
        return;
    }
    if (now_ms < n->boot_ask_ms) {
        return;
    }
    n->boot_ask_ms = now_ms + BOOT_ASK_MS;
    for (size_t i = 0; i < n->boot_count; i++) {
        if (n->boot[i].boot_id == 0) {
            struct message m = {.type = MESSAGE_BOOT_QUERY};
            node_send(n, n->boot[i].id, &m);
        }
    }
}

static void begin_waiting(struct node *n)
{
    n->phase = NODE_WAITING;
    for (size_t i = 0; i < n->options.member_count; i++) {
        const struct node_member *m = &n->members[i];
        uint64_t id = identity_of_member(n->identity.cluster_id, m->name);
        if (id != n->identity.node_id) {
            n->boot[n->boot_count++] = (struct boot_answer){.id = id};
            peers_add(n->peers, id, m->name, m->host, m->port);
        }
    }
    log_info(n->log, "node.waiting",
             "reason=\"every first member must answer that it is new\"");
}

/* ---- identity ---------------------------------------------------------------------------- */

static enum status check_identity(const struct node *n, struct errmsg *err)
{
    uint64_t given = n->options.member_count > 1
                         ? identity_of_members(n->members, n->options.member_count)
                         : 0;
    if (strcmp(n->identity.name, n->name) != 0) {
        return errmsg_set(err, RC_INVALID, "%s belongs to node \"%s\", this is \"%s\"",
                          n->data_dir, n->identity.name, n->name);
    }
    if (given != 0 && n->identity.initial == 0) {
        return errmsg_set(err, RC_INVALID,
                          "%s holds a single node; it cannot be started as one of %zu members",
                          n->data_dir, n->options.member_count);
    }
    if (given != 0 && n->identity.initial != given) {
        return errmsg_set(err, RC_INVALID,
                          "%s belongs to another cluster (%016" PRIx64
                          ") than the given members",
                          n->data_dir, n->identity.cluster_id);
    }
    if (n->identity.phase == IDENTITY_JOINING && n->options.join_count == 0) {
        return errmsg_set(err, RC_INVALID,
                          "the first start of the member in %s was interrupted: it needs the "
                          "members to join again",
                          n->data_dir);
    }
    if (given == 0 && n->identity.initial != 0 && n->identity.phase == IDENTITY_PENDING) {
        return errmsg_set(err, RC_INVALID,
                          "the first start of the member in %s was interrupted: it needs the "
                          "first members again",
                          n->data_dir);
    }
    if (n->identity.initial != 0 && n->identity.phase != IDENTITY_REMOVED &&
        n->peer_host == NULL) {
        return errmsg_set(
            err, RC_INVALID,
            "%s belongs to a member of a cluster: the peer listen address is missing",
            n->data_dir);
    }
    return RC_OK;
}

static void new_identity(struct node *n)
{
    memcpy(n->identity.name, n->name, sizeof n->identity.name);
    if (n->options.member_count > 1) {
        n->identity.initial = identity_of_members(n->members, n->options.member_count);
        n->identity.cluster_id = n->identity.initial;
        n->identity.node_id = identity_of_member(n->identity.cluster_id, n->name);
        return;
    }
    if (n->options.join_count == 0) { /* else to which cluster it belongs it will be told */
        n->identity.cluster_id = (env_random_u64(n->env) & INT64_MAX) | 1;
    }
    n->identity.node_id = MUTANT_IS(MUTANT_ID_REUSED)
                              ? identity_of_member(1, n->name)
                              : (env_random_u64(n->env) & INT64_MAX) | 1;
}

/* ---- recovery ---------------------------------------------------------------------------- */

enum status node_open_snapshots(struct node *n, struct errmsg *err)
{
    char dir[PATH_BYTES];
    snprintf(dir, sizeof dir, "%s/snapshots", n->data_dir);
    struct snapshot_store_options so = {
        .env = n->env, .log = n->log, .metrics = n->options.metrics};
    return snapshot_store_open(dir, &so, &n->snapshots, err);
}

/* The newest snapshot; a node that joins may have it in memory already. */
static enum status load_newest(struct node *n, struct store **out, struct snapshot_meta *meta,
                               struct errmsg *err)
{
    if (n->loaded == NULL) {
        return snapshot_store_load(n->snapshots, out, meta, err);
    }
    *out = n->loaded;
    *meta = n->join.held;
    n->loaded = NULL;
    n->join.held = (struct snapshot_meta){.index = 0};
    return RC_OK;
}

static enum status recover_state(struct node *n, struct engine_options *o,
                                 struct snapshot_meta *meta, struct errmsg *err)
{
    enum status rc = n->snapshots != NULL ? RC_OK : node_open_snapshots(n, err);
    if (rc != RC_OK) {
        return rc;
    }
    const struct snapshot_file *newest = snapshot_store_latest(n->snapshots);
    if (newest == NULL) {
        return RC_OK;
    }
    struct store *loaded = NULL;
    rc = load_newest(n, &loaded, meta, err);
    if (rc != RC_OK) {
        return errmsg_wrap(err, "load the newest snapshot (to rejoin, replace this member)");
    }
    store_free(n->store);
    n->store = loaded;
    hub_rebind(n->watches, loaded);
    if (meta->cluster_id != n->identity.cluster_id) {
        return errmsg_set(err, RC_INVALID,
                          "the newest snapshot in %s belongs to cluster %016" PRIx64,
                          n->data_dir, meta->cluster_id);
    }
    o->snapshot = (struct engine_snapshot){.index = meta->index,
                                           .term = meta->term,
                                           .configuration_index = meta->configuration_index,
                                           .configuration = buf_slice(&meta->configuration),
                                           .file_bytes = newest->bytes};
    return RC_OK;
}

static struct engine_options engine_options_of(struct node *n, const char *wal_dir)
{
    return (struct engine_options){
        .env = n->env,
        .log = n->log,
        .metrics = n->options.metrics,
        .wal_dir = wal_dir,
        .cluster_id = n->identity.cluster_id,
        .node_id = n->identity.node_id,
        .election_timeout_ms = n->options.election_timeout_ms,
        .heartbeat_ms = n->options.heartbeat_ms,
        .seed = n->options.seed != 0 ? n->options.seed : (uint32_t)env_random_u64(n->env),
        .wal_segment_bytes = n->options.wal_segment_bytes,
        .trailing_bytes = n->options.trailing_log_bytes,
    };
}

/* A crash may have come between what made this node one of several and its identity. */
static enum status settle_growth(struct node *n, struct errmsg *err)
{
    if (n->identity.initial != 0 || n->membership.applied.count <= 1) {
        return RC_OK;
    }
    if (n->peers == NULL) {
        return errmsg_set(
            err, RC_INVALID,
            "%s belongs to a member of a cluster: the peer listen address is missing",
            n->data_dir);
    }
    n->identity.initial = n->identity.cluster_id;
    return identity_save(n->env, n->data_dir, &n->identity, err);
}

static enum status engine_is_open(struct node *n, struct errmsg *err)
{
    n->reads.engine = n->engine;
    uint64_t index;
    node_configuration_applied(n, engine_applied_configuration(n->engine, &index));
    uint64_t applied = engine_applied_index(n->engine);
    node_note_applied(n, applied, engine_term_of(n->engine, applied));
    return settle_growth(n, err);
}

enum status node_start_engine(struct node *n, const struct engine_configuration *first,
                              struct errmsg *err)
{
    char dir[PATH_BYTES];
    snprintf(dir, sizeof dir, "%s/wal", n->data_dir);
    struct snapshot_meta meta = {0};
    struct engine_options o = engine_options_of(n, dir);
    o.bootstrap = first;
    o.joins = n->identity.phase == IDENTITY_JOINING;
    enum status rc = n->env->disk->mkdir(n->env, dir);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "create %s: %s", dir, status_text(rc));
    }
    rc = recover_state(n, &o, &meta, err);
    if (rc == RC_OK) {
        node_anchor_time(n);
        n->phase = NODE_RUNNING;
        rc = engine_open(&o, &node_engine_events, n, &n->engine, err);
        if (rc == RC_CORRUPT) {
            rc = errmsg_wrap(err, "open the log (to rejoin, replace this member)");
        }
    }
    snapshot_meta_close(&meta);
    return rc == RC_OK ? engine_is_open(n, err) : rc;
}

enum status node_restart_engine(struct node *n, const struct engine_snapshot *snapshot,
                                struct errmsg *err)
{
    char dir[PATH_BYTES];
    snprintf(dir, sizeof dir, "%s/wal", n->data_dir);
    struct engine_options o = engine_options_of(n, dir);
    o.snapshot = *snapshot;
    engine_close(n->engine);
    n->engine = NULL;
    n->reads.engine = NULL;
    enum status rc = engine_open(&o, &node_engine_events, n, &n->engine, err);
    return rc == RC_OK ? engine_is_open(n, err) : rc;
}

/* The first entry is durable: from now on a missing log is a lost one. Before the first vote or
 * acknowledgement leaves, since those go out at the end of a turn. */
void node_settle_identity(struct node *n)
{
    bool has_begun =
        n->identity.phase != IDENTITY_JOINING || engine_stored_index(n->engine) > 0;
    if (n->identity.phase == IDENTITY_MEMBER || !engine_is_settled(n->engine) || !has_begun) {
        return;
    }
    struct errmsg err = {0};
    n->identity.phase = IDENTITY_MEMBER;
    enum status rc = identity_save(n->env, n->data_dir, &n->identity, &err);
    if (rc != RC_OK) {
        node_fatal(n, rc, err.text);
    }
}

/* The cluster has taken this node in. */
enum status node_open_joined(struct node *n, struct errmsg *err)
{
    enum status rc = n->peers != NULL ? RC_OK : node_open_peers(n, err);
    return rc == RC_OK ? node_start_engine(n, NULL, err) : rc;
}

/* ---- open and close ---------------------------------------------------------------------- */

static void copy_options(struct node *n, const struct node_options *o)
{
    n->options = *o;
    snprintf(n->name, sizeof n->name, "%s", o->name);
    snprintf(n->client_address, sizeof n->client_address, "%s",
             o->client_address != NULL ? o->client_address : "");
    n->data_dir = mem_strdup(o->data_dir);
    n->peer_host = o->peer_host != NULL ? mem_strdup(o->peer_host) : NULL;
    for (size_t i = 0; i < o->member_count; i++) {
        n->members[i] = o->members[i];
    }
    n->options.members = n->members;
    for (size_t i = 0; i < o->join_count; i++) {
        n->joins[i] = o->join[i];
    }
    n->options.join = n->joins;
    const char *host = o->peer_address_host != NULL ? o->peer_address_host : o->peer_host;
    snprintf(n->peer_address.name, sizeof n->peer_address.name, "%s", o->name);
    snprintf(n->peer_address.host, sizeof n->peer_address.host, "%s", host != NULL ? host : "");
    n->peer_address.port = o->peer_address_port != 0 ? o->peer_address_port : o->peer_port;
    n->env = o->env;
    n->log = o->log;
}

static void register_metrics(struct node *n)
{
    struct metrics *m = n->options.metrics;
    if (m == NULL) {
        return;
    }
    n->metrics.leader_changes = metrics_counter(m, "coord_raft_leader_changes_total", NULL,
                                                "Leaders this node has come to know.");
    n->metrics.applied_commands = metrics_counter(m, "coord_applied_commands_total", NULL,
                                                  "Commands applied to the state.");
    n->metrics.quota_refusals =
        metrics_counter(m, "coord_quota_refusals_total", NULL,
                        "Writes of this node's clients for which a quota left no room.");
    n->metrics.user_lease_refusals =
        metrics_counter(m, "coord_user_limit_refusals_total", "limit=\"leases\"",
                        "What limits of users did not let pass.");
    n->metrics.batches = metrics_counter(m, "coord_raft_proposed_entries_total", NULL,
                                         "Log entries proposed, each a batch of commands.");
    n->metrics.writes_in_flight = metrics_gauge(m, "coord_writes_in_flight", NULL,
                                                "Writes accepted here and not answered yet.");
    n->metrics.leases_kept =
        metrics_gauge(m, "coord_leases_kept", NULL,
                      "Leases and sessions whose deadlines this node keeps, as the leader.");
    n->metrics.lease_expiries =
        metrics_counter(m, "coord_lease_expiries_total", NULL,
                        "Leases and sessions that ended by expiry while this node led.");
    n->metrics.lease_touches = metrics_counter(m, "coord_lease_touches_total", NULL,
                                               "Renewals of leases by this node's keeper.");
    n->membership.metrics.voters =
        metrics_gauge(m, "coord_member_voters", NULL, "Voters, by the configuration in use.");
    n->membership.metrics.standbys = metrics_gauge(
        m, "coord_member_standbys", NULL, "Standbys, by the configuration in use.");
    n->membership.metrics.changes =
        metrics_counter(m, "coord_member_changes_total", NULL,
                        "Changes of the members that were committed while this node ran.");
    n->metrics.watches = metrics_gauge(m, "coord_watches", NULL, "Watches of this node.");
    n->metrics.watches_behind =
        metrics_gauge(m, "coord_watches_behind", NULL,
                      "Watches that catch up, or wait for their client to read.");
    n->metrics.watch_lag =
        metrics_gauge(m, "coord_watch_lag_revisions", NULL,
                      "Revisions by which the watch furthest behind is behind.");
}

/* The name of a new data dir lives in the directory above: without it a power cut would take all
 * that is in it. A directory that this user may not open is the operator's to have made. */
static void sync_parent(struct node *n)
{
    char parent[PATH_BYTES];
    snprintf(parent, sizeof parent, "%s", n->data_dir);
    size_t length = strlen(parent);
    while (length > 1 && parent[length - 1] == '/') {
        parent[--length] = '\0';
    }
    char *slash = strrchr(parent, '/');
    if (slash == NULL) {
        snprintf(parent, sizeof parent, ".");
    } else {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    enum status rc = n->env->disk->sync_dir(n->env, parent);
    if (rc != RC_OK) {
        log_warn(n->log, "node.parent_not_synced", "dir=%s reason=\"%s\"", parent,
                 status_text(rc));
    }
}

static enum status open_data_dir(struct node *n, struct errmsg *err)
{
    char lock[PATH_BYTES];
    enum status rc = n->env->disk->mkdir(n->env, n->data_dir);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "create data dir %s: %s", n->data_dir, status_text(rc));
    }
    snprintf(lock, sizeof lock, "%s/lock", n->data_dir);
    rc = n->env->disk->lock(n->env, lock);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "lock data dir %s: %s", n->data_dir, status_text(rc));
    }
    return identity_load(n->env, n->data_dir, &n->identity, err);
}

static enum status start(struct node *n, struct errmsg *err)
{
    enum status rc = open_data_dir(n, err);
    if (rc != RC_OK) {
        return rc;
    }
    enum identity_phase found = n->identity.phase;
    if (found == IDENTITY_NONE) {
        sync_parent(n);
        new_identity(n);
    } else {
        rc = check_identity(n, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (found == IDENTITY_REMOVED) {
        node_refuse(n, node_removed_reason);
        return RC_OK;
    }
    if (found == IDENTITY_JOINING ||
        (found == IDENTITY_NONE && n->options.join_count > 0)) {
        node_join_begin(n);
        return RC_OK;
    }
    node_grow_clean(n);
    rc = node_open_peers(n, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (found == IDENTITY_MEMBER) {
        return node_start_engine(n, NULL, err);
    }
    if (found == IDENTITY_NONE && n->options.member_count > 1) {
        begin_waiting(n);
        return RC_OK;
    }
    return become_member(n, err);
}

static void read_send(void *context, uint64_t to, const struct message *m)
{
    node_send(context, to, m);
}

static uint64_t read_now_ms(void *context)
{
    const struct node *n = context;
    return n->env->now_ms(n->env);
}

static bool read_renew(void *context, uint64_t lease)
{
    return node_lease_renew(context, lease);
}

static const struct read_index_ops read_ops = {
    .send = read_send, .now_ms = read_now_ms, .renew = read_renew};

/* Ids come from names, so each must be there once, and this node among them. */
static enum status check_members(const struct node_options *o, struct errmsg *err)
{
    bool is_there = false;
    if (o->member_count > NODE_MEMBERS_MAX) {
        return errmsg_set(err, RC_INVALID, "%zu members given, at most %d", o->member_count,
                          NODE_MEMBERS_MAX);
    }
    for (size_t i = 0; i < o->member_count; i++) {
        is_there = is_there || strcmp(o->members[i].name, o->name) == 0;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(o->members[i].name, o->members[j].name) == 0) {
                return errmsg_set(err, RC_INVALID, "member \"%s\" is given twice",
                                  o->members[i].name);
            }
        }
    }
    if (o->join_count > NODE_MEMBERS_MAX) {
        return errmsg_set(err, RC_INVALID, "%zu members to join given, at most %d",
                          o->join_count, NODE_MEMBERS_MAX);
    }
    if (o->join_count > 0 && o->member_count > 0) {
        return errmsg_set(err, RC_INVALID, "a node joins a cluster, or is one of its first "
                                           "members, not both");
    }
    if (o->join_count > 0 && o->peer_host == NULL) {
        return errmsg_set(err, RC_INVALID,
                          "a node that joins a cluster needs a peer listen address");
    }
    if (o->member_count > 0 && !is_there) {
        return errmsg_set(err, RC_INVALID, "\"%s\" is not among the first members", o->name);
    }
    if (o->member_count > 1 && o->peer_host == NULL) {
        return errmsg_set(err, RC_INVALID,
                          "the first of several members needs a peer listen address");
    }
    return RC_OK;
}

enum status node_open(const struct node_options *options, struct node **out, struct errmsg *err)
{
    enum status rc = check_members(options, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct node *n = mem_zalloc(sizeof *n);
    copy_options(n, options);
    register_metrics(n);
    n->phase = NODE_RUNNING;
    n->boot_id = env_random_u64(n->env) | 1;
    n->store = store_new(); /* questions are allowed before there is a state to ask */
    n->watches = hub_new(n->store);
    node_anchor_time(n);
    pending_init(&n->pending);
    list_init(&n->exports);
    node_lease_open(n);
    node_ttl_open(n);
    node_change_open(n);
    read_index_init(&n->reads, &read_ops, n, 0, READ_RETRY_MS, n->boot_id);
    rc = start(n, err);
    n->reads.self = n->identity.node_id;
    if (rc != RC_OK) {
        node_close(n);
        return rc;
    }
    log_info(n->log, "node.open",
             "name=%s cluster=%016" PRIx64 " node=%016" PRIx64 " applied_index=%" PRIu64,
             n->name, n->identity.cluster_id, n->identity.node_id,
             store_applied_index(n->store));
    *out = n;
    return RC_OK;
}

void node_close(struct node *n)
{
    n->phase = NODE_REFUSED; /* completions that ask for more are told at once */
    pending_close(&n->pending, RC_STOPPED);
    read_index_close(&n->reads, RC_STOPPED);
    node_ttl_fail_all(n, RC_STOPPED);
    node_export_fail_all(n, RC_STOPPED);
    node_change_fail_all(n, RC_STOPPED);
    node_join_close(n);
    if (n->peers != NULL) {
        peers_close(n->peers);
    }
    node_grow_close(n);
    if (n->snapshots != NULL) {
        snapshot_store_close(n->snapshots);
    }
    node_pending_close(n);
    if (n->engine != NULL) {
        engine_close(n->engine);
    }
    node_lease_close(n);
    hub_free(n->watches);
    store_free(n->store);
    if (n->loaded != NULL) {
        store_free(n->loaded);
    }
    if (n->discard.queue != NULL) {
        n->env->queue_close(n->discard.queue);
        node_discard_close(n);
    }
    arena_close(&n->apply_arena);
    arena_close(&n->query_arena);
    buf_close(&n->batch);
    buf_close(&n->forwarded);
    buf_close(&n->install.configuration);
    buf_close(&n->membership.encoded);
    mem_free(n->data_dir);
    mem_free(n->peer_host);
    mem_free(n);
}
