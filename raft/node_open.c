/* Open and close: the data dir and whose it is, the parts put together. What follows is the first
 * start of a cluster (node_bootstrap.c), the way into a running one (node_join.c), or recovery
 * (node_recover.c). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/mutant.h"
#include "raft/dir_above.h"
#include "raft/node_internal.h"

#define READ_RETRY_MS 60

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
    n->membership.metrics.standbys = metrics_gauge(m, "coord_member_standbys", NULL,
                                                   "Standbys, by the configuration in use.");
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
    enum status rc = dir_sync_above(n->env, n->data_dir);
    if (rc != RC_OK) {
        char *parent = dir_above(n->data_dir);
        log_warn(n->log, "node.parent_not_synced", "dir=%s reason=\"%s\"", parent,
                 status_text(rc));
        mem_free(parent);
    }
}

static enum status open_data_dir(struct node *n, struct errmsg *err)
{
    char lock[NODE_PATH_BYTES];
    enum status rc = n->env->disk->mkdir(n->env, n->data_dir);
    if (rc == RC_NOT_FOUND) {
        return errmsg_set(err, rc, "create data dir %s: the directory above it does not exist",
                          n->data_dir);
    }
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
    if (found == IDENTITY_JOINING || (found == IDENTITY_NONE && n->options.join_count > 0)) {
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
        node_bootstrap_begin(n);
        return RC_OK;
    }
    return node_become_member(n, err);
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
        return errmsg_set(err, RC_INVALID,
                          "a node joins a cluster, or is one of its first "
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
