/* The other side of a single node that grows (raft/node_grow.c): a node that asks to join, and is
 * told to fetch the state first. It opens its peer port for that, and has no engine: it neither
 * votes nor acknowledges anything before it is told that it is a member.
 *
 * What it holds is the newest file in its directory of snapshots, loaded and so proven. It counts
 * only if the cluster says that this node is a voter; then it was fetched in the attempt that
 * succeeded, since the single node counted on it. A standby gets its state from its leader. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "raft/node_internal.h"

static void let_go(struct node *n)
{
    if (n->loaded != NULL) {
        store_free(n->loaded);
        n->loaded = NULL;
    }
    snapshot_meta_close(&n->join.held);
    n->join.held = (struct snapshot_meta){.index = 0};
}

void node_pending_close(struct node *n)
{
    snapshot_meta_close(&n->join.held);
}

static void hold(struct node *n, struct store *s, const struct snapshot_meta *meta)
{
    let_go(n);
    n->loaded = s;
    n->join.held = *meta;
    n->join.held.configuration = (struct buf){0};
    buf_append_slice(&n->join.held.configuration, buf_slice(&meta->configuration));
}

/* Of this cluster, and with this node as a voter. */
static bool is_for_us(const struct node *n, const struct snapshot_meta *meta)
{
    struct engine_configuration c;
    return meta->cluster_id == n->identity.cluster_id &&
           engine_configuration_decode(buf_slice(&meta->configuration), &c) == RC_OK &&
           engine_find_member(&c, n->identity.node_id) != NULL;
}

/* What was fetched before a restart. One that cannot be read is fetched again. */
static enum status open_held(struct node *n, struct errmsg *err)
{
    if (n->snapshots != NULL) {
        return RC_OK;
    }
    enum status rc = node_open_snapshots(n, err);
    if (rc != RC_OK || snapshot_store_latest(n->snapshots) == NULL) {
        return rc;
    }
    struct store *s = NULL;
    struct snapshot_meta meta = {0};
    struct errmsg why = {0};
    if (snapshot_store_load(n->snapshots, &s, &meta, &why) != RC_OK) {
        log_warn(n->log, "node.fetched_state_unusable", "reason=\"%s\"", why.text);
        return RC_OK;
    }
    if (is_for_us(n, &meta)) {
        hold(n, s, &meta);
    } else {
        store_free(s);
    }
    snapshot_meta_close(&meta);
    return RC_OK;
}

static void remove_one(void *context, const char *name, uint64_t bytes)
{
    struct node *n = context;
    char path[NODE_PATH_BYTES];
    (void)bytes;
    (void)snprintf(path, sizeof path, "%s/snapshots/%s", n->data_dir, name);
    (void)n->env->disk->unlink(n->env, path);
}

static enum status drop_files(struct node *n, struct errmsg *err)
{
    char dir[NODE_PATH_BYTES];
    n->install.active = false;
    snapshot_store_close(n->snapshots);
    n->snapshots = NULL;
    let_go(n);
    (void)snprintf(dir, sizeof dir, "%s/snapshots", n->data_dir);
    enum status rc = n->env->disk->list(n->env, dir, remove_one, n);
    rc = rc == RC_OK ? n->env->disk->sync_dir(n->env, dir) : rc;
    return rc == RC_OK ? RC_OK : errmsg_set(err, rc, "empty %s: %s", dir, status_text(rc));
}

static void count_one(void *context, const char *name, uint64_t bytes)
{
    (void)name;
    (void)bytes;
    ++*(size_t *)context;
}

/* An engine has run here, and the snapshots are its own: whoever fetches to grow has none. */
static bool has_log(const struct node *n)
{
    char dir[NODE_PATH_BYTES];
    size_t files = 0;
    (void)snprintf(dir, sizeof dir, "%s/wal", n->data_dir);
    return n->env->disk->list(n->env, dir, count_one, &files) == RC_OK && files > 0;
}

enum status node_pending_settle(struct node *n, bool is_voter, struct errmsg *err)
{
    if (!is_voter && has_log(n)) {
        return RC_OK;
    }
    enum status rc = open_held(n, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (!is_voter) {
        return snapshot_store_latest(n->snapshots) != NULL ? drop_files(n, err) : RC_OK;
    }
    return n->loaded != NULL
               ? RC_OK
               : errmsg_set(err, RC_CORRUPT,
                            "this node is a voter, but the state that it had fetched is gone; it "
                            "must not vote without it: replace this member");
}

/* ---- fetching ---------------------------------------------------------------------------- */

static void on_received(void *context, enum status rc, struct store *store,
                        const struct snapshot_meta *meta)
{
    struct node *n = context;
    const struct message_install_snapshot *offer = &n->install.offer;
    n->install.active = false;
    if (rc != RC_OK) {
        return; /* it is offered again */
    }
    if (meta->index != offer->last_index || meta->term != offer->last_term ||
        !is_for_us(n, meta)) {
        store_free(store);
        return;
    }
    hold(n, store, meta);
    n->boot_ask_ms = 0; /* to say so */
    log_info(n->log, "node.state_fetched", "index=%" PRIu64, meta->index);
}

static bool is_held(const struct node *n, const struct message_member_tell *m)
{
    return n->loaded != NULL && n->join.held.index == m->offer_index &&
           n->join.held.term == m->offer_term;
}

static enum status begin(struct node *n, uint64_t cluster_id, struct errmsg *err)
{
    enum status rc = RC_OK;
    if (n->identity.cluster_id == 0) {
        n->identity.cluster_id = cluster_id;
        rc = identity_save(n->env, n->data_dir, &n->identity, err);
    } else if (n->identity.cluster_id != cluster_id) {
        rc = errmsg_set(err, RC_INVALID,
                        "%s belongs to cluster %016" PRIx64 ", asked was one of %016" PRIx64,
                        n->data_dir, n->identity.cluster_id, cluster_id);
    }
    if (rc == RC_OK && n->peers == NULL) {
        rc = node_open_peers(n, err);
    }
    return rc == RC_OK ? open_held(n, err) : rc;
}

bool node_pending_take(struct node *n, const struct message_member_tell *m)
{
    struct engine_configuration c;
    struct errmsg err = {0};
    if (m->cluster_id == 0 || engine_configuration_decode(m->configuration, &c) != RC_OK ||
        c.count == 0 || engine_find_member(&c, n->identity.node_id) == NULL) {
        return false;
    }
    enum status rc = begin(n, m->cluster_id, &err);
    if (rc != RC_OK) {
        n->join.is_active = false;
        node_fatal(n, rc, err.text);
        return false;
    }
    for (size_t i = 0; i < c.count; i++) {
        struct node_member at;
        if (c.members[i].id != n->identity.node_id &&
            node_parse_member(c.members[i].address, &at)) {
            peers_add(n->peers, c.members[i].id, at.name, at.host, at.port);
        }
    }
    if (m->offer_index != 0 && !is_held(n, m) && !n->install.active) {
        const struct message_install_snapshot offer = {.last_index = m->offer_index,
                                                       .last_term = m->offer_term,
                                                       .configuration_index = m->offer_index,
                                                       .configuration = m->configuration,
                                                       .file_bytes = m->offer_bytes};
        node_begin_receive(n, c.members[0].id, &offer, on_received);
    }
    return true;
}

void node_pending_turn(struct node *n, uint64_t now_ms)
{
    if (n->snapshots != NULL) {
        node_receive_turn(n, now_ms);
    }
}
