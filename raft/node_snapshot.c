/* Snapshots of the node: when to take one, how the leader's file comes over, what happens when
 * it replaces our state.
 *
 *   leader                          follower that lacks compacted entries
 *   INSTALL_SNAPSHOT (an offer) --> node_on_offer: is it of use? begin receiving
 *                               <-- SNAPSHOT_PULL(offset)
 *   SNAPSHOT_CHUNK              --> ... one chunk outstanding, asked for again after a pause
 *                                   all there: verified, synced, loaded off the loop
 *                                   engine_install -> the log is reset -> node_on_installed: swap
 *
 * Pulling bounds what is in flight without any state on the sender, goes on after a reconnect,
 * and leaves room between chunks for heartbeats.
 */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/node_internal.h"

#define SNAPSHOT_LOG_BYTES   ((uint64_t)16 << 20)
#define SNAPSHOT_INTERVAL_MS 30000 /* unless the log has grown to so many times the threshold */
#define SNAPSHOT_LOG_FACTOR  8
#define SNAPSHOT_RETRY_MS    1000
#define PACED_BYTES          ((uint64_t)1 << 20) /* smaller thresholds are meant as they are */
#define PULL_RETRY_MS        500
#define PULL_GIVE_UP_MS      5000

/* ---- taking ------------------------------------------------------------------------------ */

/* Members take theirs at different times: up to half as much again, by id. */
static uint64_t threshold_bytes(const struct node *n)
{
    uint64_t bytes =
        n->options.snapshot_log_bytes != 0 ? n->options.snapshot_log_bytes : SNAPSHOT_LOG_BYTES;
    return bytes + bytes / 16 * (n->identity.node_id % 8);
}

static bool is_due(const struct node *n, uint64_t now_ms)
{
    uint64_t threshold = threshold_bytes(n);
    if (n->log_bytes < threshold) {
        return false;
    }
    return threshold < PACED_BYTES || n->snapshot_ms == 0 ||
           n->log_bytes >= SNAPSHOT_LOG_FACTOR * threshold ||
           now_ms >= n->snapshot_ms + SNAPSHOT_INTERVAL_MS;
}

static void on_taken(void *context, enum status rc, const struct snapshot_meta *meta)
{
    struct node *n = context;
    if (rc != RC_OK) {
        /* The snapshot store has said why. Tried again after as much log, or after a pause if
         * a follower needs it. */
        n->snapshot_retry_ms = n->env->now_ms(n->env) + SNAPSHOT_RETRY_MS;
        node_export_failed(n, meta->index, rc);
        return;
    }
    const struct snapshot_file *file = snapshot_store_latest(n->snapshots);
    log_info(n->log, "snapshot.taken", "index=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRIu64,
             meta->index, file->bytes, n->env->now_ms(n->env) - n->snapshot_ms);
    engine_snapshot_taken(n->engine, &(struct engine_snapshot){
                                         .index = meta->index,
                                         .term = meta->term,
                                         .configuration_index = meta->configuration_index,
                                         .configuration = buf_slice(&meta->configuration),
                                         .file_bytes = file->bytes,
                                     });
}

void node_snapshot_take(struct node *n, uint64_t now_ms)
{
    if (n->install.active || engine_is_installing(n->engine) || node_grow_is_under_way(n) ||
        snapshot_store_is_taking(n->snapshots)) {
        return;
    }
    uint64_t applied = engine_applied_index(n->engine);
    if (applied > engine_stored_index(n->engine)) {
        return; /* a majority has it, this disk not yet: what is not durable is not trimmed */
    }
    struct snapshot_meta meta = {
        .index = applied, .term = n->applied_term, .cluster_id = n->identity.cluster_id};
    struct slice configuration =
        engine_applied_configuration(n->engine, &meta.configuration_index);
    if (configuration.size == 0) {
        return;
    }
    buf_append_slice(&meta.configuration, configuration);
    if (snapshot_store_take(n->snapshots, n->store, &meta, on_taken, n) == RC_OK) {
        n->log_bytes = 0;
        n->snapshot_ms = now_ms;
    }
    snapshot_meta_close(&meta);
}

/* ---- sending ----------------------------------------------------------------------------- */

static void on_read(void *context, uint64_t tag, uint64_t index, uint64_t offset,
                    uint64_t file_bytes, struct slice data)
{
    struct message m = {.type = MESSAGE_SNAPSHOT_CHUNK};
    m.snapshot_chunk = (struct message_snapshot_chunk){
        .index = index, .offset = offset, .file_bytes = file_bytes, .data = data};
    node_send(context, tag, &m);
}

void node_on_pull(struct node *n, uint64_t from, const struct message_snapshot_pull *m)
{
    uint32_t bytes =
        m->bytes < MESSAGE_CHUNK_BYTES_MAX ? m->bytes : (uint32_t)MESSAGE_CHUNK_BYTES_MAX;
    bool is_grown = n->grow.file.index != 0 && n->grow.file.index == m->index;
    struct snapshot_store *ss = is_grown ? n->grow.snapshots : n->snapshots;
    if (ss != NULL && bytes > 0) {
        snapshot_store_read(ss, m->index, m->offset, bytes, from, on_read, n);
    }
}

/* ---- installing -------------------------------------------------------------------------- */

static void forget_offer(struct node *n)
{
    n->install.active = false;
    n->install.pull_open = false;
    snapshot_store_receive_cancel(n->snapshots);
}

static void on_received(void *context, enum status rc, struct store *store,
                        const struct snapshot_meta *meta)
{
    struct node *n = context;
    const struct message_install_snapshot *offer = &n->install.offer;
    n->install.active = false;
    if (rc != RC_OK) {
        return; /* likewise; the leader offers again */
    }
    uint64_t leader = engine_leader(n->engine);
    if (meta->index != offer->last_index || meta->term != offer->last_term ||
        meta->cluster_id != n->identity.cluster_id || leader == 0 ||
        leader == n->identity.node_id) {
        store_free(store);
        return;
    }
    /* Whoever leads now has these committed entries too: the offer holds in its term as
     * well. */
    n->install.offer.term = engine_term(n->engine);
    PRE(n->loaded == NULL);
    n->loaded = store;
    if (!engine_install(n->engine, leader, &n->install.offer) && n->loaded != NULL) {
        store_free(n->loaded);
        n->loaded = NULL;
    }
}

void node_begin_receive(struct node *n, uint64_t from,
                        const struct message_install_snapshot *m, snapshot_received_fn done)
{
    buf_clear(&n->install.configuration);
    buf_append_slice(&n->install.configuration, m->configuration);
    n->install.offer = *m;
    n->install.offer.configuration = buf_slice(&n->install.configuration);
    n->install.from = from;
    n->install.pull_open = false;
    n->install.progress_ms = n->env->now_ms(n->env);
    enum status rc = snapshot_store_receive(n->snapshots, m->last_index, m->last_term,
                                            m->file_bytes, done, n);
    n->install.active = rc == RC_OK;
    log_info(n->log, "snapshot.offered", "from=%016" PRIx64 " index=%" PRIu64 " bytes=%" PRIu64,
             from, m->last_index, m->file_bytes);
}

/* While one file is on its way other offers are ignored, also of the same index by another member:
 * its file holds the same state in other bytes. */
void node_on_offer(struct node *n, uint64_t from, const struct message_install_snapshot *m)
{
    if (n->engine == NULL || n->install.active || n->loaded != NULL ||
        !engine_offer_is_useful(n->engine, m)) {
        return;
    }
    node_begin_receive(n, from, m, on_received);
}

void node_on_chunk(struct node *n, uint64_t from, const struct message_snapshot_chunk *m)
{
    if (!n->install.active || from != n->install.from ||
        m->index != n->install.offer.last_index) {
        return;
    }
    if (m->file_bytes != n->install.offer.file_bytes || m->data.size == 0) {
        forget_offer(n); /* it is gone there; the leader offers a newer one */
        return;
    }
    if (n->install.pull_open && m->offset == n->install.pulled_offset) {
        n->install.pull_open = false;
        n->install.progress_ms = n->env->now_ms(n->env);
    }
    snapshot_store_receive_chunk(n->snapshots, m->index, m->offset, m->data);
}

/* The sender is gone, or there and silent: another offer is better than to wait for it. */
static bool sender_is_lost(const struct node *n, uint64_t now_ms)
{
    bool leads = n->engine != NULL && engine_leader(n->engine) == n->install.from;
    bool is_down = !peers_is_up(n->peers, n->install.from) && !leads;
    return is_down || now_ms >= n->install.progress_ms + PULL_GIVE_UP_MS;
}

static void pull(struct node *n, uint64_t now_ms)
{
    uint64_t index;
    uint64_t offset;
    if (!n->install.active || !snapshot_store_receive_wants(n->snapshots, &index, &offset)) {
        return;
    }
    bool late = now_ms >= n->install.pulled_ms + PULL_RETRY_MS;
    if (n->install.pull_open && n->install.pulled_offset == offset && !late) {
        return;
    }
    if (n->install.pull_open && late && sender_is_lost(n, now_ms)) {
        forget_offer(n);
        return;
    }
    struct message m = {.type = MESSAGE_SNAPSHOT_PULL};
    m.snapshot_pull = (struct message_snapshot_pull){
        .index = index, .offset = offset, .bytes = (uint32_t)MESSAGE_CHUNK_BYTES_MAX};
    n->install.pull_open = true;
    n->install.pulled_offset = offset;
    n->install.pulled_ms = now_ms;
    node_send(n, n->install.from, &m);
}

static void discard_run(struct env_job *job)
{
    struct node *n = (struct node *)(void *)((char *)job - offsetof(struct node, discard.job));
    store_free(n->discard.store);
    n->discard.store = NULL;
}

static void discard_done(struct env_job *job)
{
    (void)job;
}

static void discard_store(struct node *n, struct store *s)
{
    if (n->discard.queue != NULL) {
        n->env->queue_close(n->discard.queue); /* waits for the one before, if it still runs */
        node_discard_close(n);
    }
    n->discard.store = s;
    n->discard.queue = env_queue_open_background(n->env, "discard");
    n->discard.job = (struct env_job){.run = discard_run, .done = discard_done};
    n->env->queue_submit(n->discard.queue, &n->discard.job);
}

void node_discard_close(struct node *n)
{
    if (n->discard.store != NULL) {
        store_free(n->discard.store);
        n->discard.store = NULL;
    }
}

void node_on_installed(struct node *n, uint64_t index)
{
    INVARIANT(12, n->loaded != NULL && store_applied_index(n->loaded) == index);
    snapshot_store_cancel_take(n->snapshots);
    struct store *old = n->store;
    n->store = n->loaded;
    n->loaded = NULL;
    n->log_bytes = 0;
    n->applied_term = engine_term_of(n->engine, index);
    node_anchor_time(n);
    uint64_t configuration_index;
    node_configuration_applied(n, engine_applied_configuration(n->engine, &configuration_index));
    log_info(n->log, "snapshot.installed", "index=%" PRIu64 " revision=%" PRIu64, index,
             store_revision(n->store));
    hub_rebind(n->watches, n->store);
    pending_state_replaced(&n->pending, n->store, n->applied_term);
    discard_store(n, old);
}

/* ---- turn -------------------------------------------------------------------------------- */

void node_snapshot_turn(struct node *n, uint64_t now_ms)
{
    snapshot_store_tick(n->snapshots, now_ms);
    bool is_needed = engine_needs_snapshot(n->engine) && now_ms >= n->snapshot_retry_ms;
    if (is_due(n, now_ms) || is_needed) {
        node_snapshot_take(n, now_ms);
    }
    node_export_turn(n, now_ms);
    node_receive_turn(n, now_ms);
}

void node_receive_turn(struct node *n, uint64_t now_ms)
{
    snapshot_store_advance(n->snapshots);
    pull(n, now_ms);
}

uint64_t node_snapshot_deadline_ms(const struct node *n)
{
    if (snapshot_store_is_taking(n->snapshots)) {
        return n->env->now_ms(n->env) + 1;
    }
    uint64_t index;
    uint64_t offset;
    bool pulls =
        n->install.active && snapshot_store_receive_wants(n->snapshots, &index, &offset);
    return pulls ? n->install.pulled_ms + PULL_RETRY_MS
                 : UINT64_MAX; /* else a job ends first */
}
