/* From what the data dir holds to a node that runs: the newest snapshot, the engine with its log,
 * and when the identity is settled. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "raft/node_internal.h"

enum status node_open_snapshots(struct node *n, struct errmsg *err)
{
    char dir[NODE_PATH_BYTES];
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
    char dir[NODE_PATH_BYTES];
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
    char dir[NODE_PATH_BYTES];
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

enum status node_open_joined(struct node *n, struct errmsg *err)
{
    enum status rc = n->peers != NULL ? RC_OK : node_open_peers(n, err);
    return rc == RC_OK ? node_start_engine(n, NULL, err) : rc;
}
