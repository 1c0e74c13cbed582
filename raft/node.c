#include "raft/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/node_internal.h"

/* Changes that watches which catch up look at in one turn: a millisecond or two. */
#define WATCH_TURN_CHANGES ((size_t)2048)
#define WATCH_METRICS_MS   100 /* the furthest behind is looked for among all that are */
/* Reads are answered for so long in one turn; the clock is looked at once for so many small ones,
 * of which each takes about a microsecond, as does so much of a large value. */
#define READ_TURN_US      ((uint64_t)2000)
#define READS_PER_LOOK    ((size_t)32)
#define READ_BYTES_A_UNIT ((size_t)1024)

/* ---- endings ----------------------------------------------------------------------------- */

void node_fatal(struct node *n, enum status rc, const char *why)
{
    if (n->phase == NODE_REFUSED) {
        return;
    }
    log_error(n->log, "node.fatal", "status=\"%s\" reason=\"%s\"", status_text(rc), why);
    n->phase = NODE_REFUSED;
    snprintf(n->refused_reason, sizeof n->refused_reason, "%s", why);
    if (n->options.fatal != NULL) {
        n->options.fatal(n->options.context, rc, why);
    }
}

void node_refuse(struct node *n, const char *reason)
{
    log_error(n->log, "node.refused", "reason=\"%s\"", reason);
    n->phase = NODE_REFUSED;
    snprintf(n->refused_reason, sizeof n->refused_reason, "%s", reason);
}

/* ---- apply ------------------------------------------------------------------------------- */

static void apply_batch(struct node *n, uint64_t index, struct slice payload)
{
    struct batch_header header;
    struct unpack commands;
    if (batch_open(payload, &header, &commands) != RC_OK || header.count == 0) {
        node_fatal(n, RC_CORRUPT, "a committed entry is not a batch of commands");
        return;
    }
    if (header.level > FEATURE_LEVEL) {
        node_fatal(n, RC_UNSUPPORTED,
                   "the cluster has finished an upgrade to a feature level that this version does "
                   "not know: run the newer version");
        return;
    }
    struct apply_context context = {
        .index = index, .cluster_ms = header.cluster_ms, .wall_ms = header.wall_ms};
    for (uint32_t i = 0; i < header.count; i++) {
        struct command command;
        struct reply reply;
        arena_clear(&n->apply_arena);
        if (command_decode(&commands, &command, &n->apply_arena) != RC_OK) {
            node_fatal(n, RC_CORRUPT, "a committed command cannot be decoded");
            return;
        }
        context.last_of_entry = i + 1 == header.count;
        store_apply(n->store, &context, &command, &reply);
        hub_dispatch(n->watches); /* a change is heard of before its reply, or any later one */
        node_lease_applied(n, &command, &reply);
        if (command.origin_boot == n->boot_id) {
            if (reply.outcome == OUTCOME_QUOTA) {
                metric_add(n->metrics.quota_refusals, 1);
            } else if (reply.outcome == OUTCOME_USER_LIMIT) {
                metric_add(n->metrics.user_lease_refusals, 1);
            }
            pending_complete(&n->pending, command.origin_counter, &reply);
        }
    }
    metric_add(n->metrics.applied_commands, header.count);
}

static void on_apply(void *context, uint64_t index, uint64_t term, uint8_t type,
                     struct slice payload)
{
    struct node *n = context;
    if (n->phase == NODE_REFUSED) {
        return;
    }
    if (type == ENTRY_COMMAND) {
        if (MUTANT_IS(MUTANT_BATCH_TWICE) && n->applied_term == 0 && index > 2) {
            apply_batch(n, index, payload);
        }
        apply_batch(n, index, payload);
        if (n->leading_term == 0) {
            node_anchor_time(n);
        }
    } else {
        store_skip(n->store, index);
        if (type == ENTRY_CHANGE) {
            node_configuration_applied(n, payload);
        }
    }
    n->log_bytes += payload.size;
    node_note_applied(n, index, term);
}

/* ---- messages ---------------------------------------------------------------------------- */

void node_send(struct node *n, uint64_t to, const struct message *m)
{
    if (n->peers != NULL) {
        peers_send(n->peers, to, m);
    }
}

static void engine_send(void *context, uint64_t to, const struct message *m)
{
    node_send(context, to, m);
}

static void on_state(void *context)
{
    node_on_state(context);
}

static void on_configuration(void *context, const struct engine_configuration *c)
{
    node_on_configuration(context, c);
}

static void on_installed(void *context, uint64_t index)
{
    node_on_installed(context, index);
}

static void on_fatal(void *context, enum status rc, const char *why)
{
    node_fatal(context, rc, why);
}

const struct engine_events node_engine_events = {
    .send = engine_send,
    .apply = on_apply,
    .state = on_state,
    .configuration = on_configuration,
    .installed = on_installed,
    .fatal = on_fatal,
};

/* ---- writes ------------------------------------------------------------------------------ */

enum status node_write(struct node *n, struct node_write *w, const struct command *c,
                       uint64_t deadline_ms)
{
    if (n->phase != NODE_RUNNING && n->phase != NODE_WAITING) {
        return RC_STOPPED;
    }
    return pending_add(&n->pending, w, c, n->boot_id, deadline_ms);
}

void node_write_cancel(struct node *n, struct node_write *w)
{
    pending_cancel(&n->pending, w);
}

/* ---- reads ------------------------------------------------------------------------------- */

enum status node_read(struct node *n, struct node_read *r, uint64_t deadline_ms)
{
    if (n->phase != NODE_RUNNING && n->phase != NODE_WAITING) {
        return RC_STOPPED;
    }
    r->deadline_ms = deadline_ms;
    bool needs_round = r->consistency == READ_LINEARIZABLE ||
                       (r->consistency == READ_BOUNDED && node_age_ms(n) > r->bound_ms);
    if (needs_round) {
        return read_index_add(&n->reads, r);
    }
    node_touch(n, r->touch);
    read_index_add_ready(&n->reads, r, r->consistency == READ_SESSION ? r->min_index : 0);
    return RC_OK;
}

/* Of a single voter that leads nobody can know more than is applied here. */
uint64_t node_age_ms(const struct node *n)
{
    if (n->engine != NULL && n->leading_term != 0 && engine_is_single_voter(n->engine) &&
        store_applied_index(n->store) >= engine_commit_index(n->engine)) {
        return 0;
    }
    return read_index_age_ms(&n->reads, n->env->now_ms(n->env));
}

void node_read_cancel(struct node *n, struct node_read *r)
{
    (void)n;
    read_index_cancel(r);
}

/* A page of a list or of history may take milliseconds, although it finds little or nothing. */
static bool is_page(const struct node_read *r)
{
    bool is_point = r->query.type == QUERY_GET || r->query.type == QUERY_EXISTS;
    return !r->is_barrier && (!is_point || r->query.revision != 0);
}

/* How much work it was, in small reads. */
static size_t serve_read(struct node *n, struct node_read *r)
{
    /* It was young enough when the read came, or a round was asked for; meanwhile the process may
     * not have been scheduled, or the round took its time. */
    if (r->consistency == READ_BOUNDED && node_age_ms(n) > r->bound_ms) {
        r->done(r, RC_STALE, NULL);
        return 1;
    }
    if (r->is_barrier) {
        r->done(r, RC_OK, NULL);
        return 1;
    }
    struct query_result result;
    store_query(n->store, &r->query, &result, &n->query_arena);
    size_t units = is_page(r) ? READS_PER_LOOK : 1 + result.data.size / READ_BYTES_A_UNIT;
    r->done(r, RC_OK, &result); /* it may be gone after this */
    arena_clear(&n->query_arena);
    return units;
}

/* What is left is answered in the next turn, in the same order, from a state as new or newer: a
 * thousand pages at once must not keep the node from its peers. */
static void serve_turn(struct node *n, uint64_t applied)
{
    uint64_t end_us = n->env->now_us(n->env) + READ_TURN_US;
    size_t unlooked = 0;
    struct node_read *r;
    n->reads_are_left = false;
    while (!n->reads_are_left && (r = read_index_next(&n->reads, applied)) != NULL) {
        unlooked += serve_read(n, r);
        if (unlooked >= READS_PER_LOOK) {
            unlooked = 0;
            n->reads_are_left = n->env->now_us(n->env) >= end_us;
        }
    }
}

static void read_turn(struct node *n, uint64_t now_ms)
{
    struct node_read *r;
    if (n->engine == NULL) {
        while ((r = read_index_expired(&n->reads, now_ms)) != NULL) {
            r->done(r, RC_NO_LEADER, NULL);
        }
        return;
    }
    read_index_turn(&n->reads, now_ms);
    uint64_t applied = store_applied_index(n->store);
    read_index_note_applied(&n->reads, applied);
    serve_turn(n, applied);
    while ((r = read_index_expired(&n->reads, now_ms)) != NULL) {
        bool leaderless = engine_leader(n->engine) == 0;
        r->done(r,
                r->consistency == READ_BOUNDED ? RC_STALE
                : leaderless                   ? RC_NO_LEADER
                                               : RC_TIMEOUT,
                NULL);
    }
}

/* ---- leases ------------------------------------------------------------------------------ */

void node_touch(struct node *n, uint64_t lease)
{
    if (lease != 0 && (n->phase == NODE_RUNNING || n->phase == NODE_WAITING)) {
        (void)read_index_touch(&n->reads, lease); /* beyond its bound a touch is lost */
    }
}

/* ---- watches ----------------------------------------------------------------------------- */

static void watch_turn(struct node *n, uint64_t now_ms)
{
    (void)hub_turn(n->watches, WATCH_TURN_CHANGES);
    struct hub_status status;
    if (n->metrics.watches == NULL || now_ms < n->watch_metrics_ms) {
        return;
    }
    n->watch_metrics_ms = now_ms + WATCH_METRICS_MS;
    hub_status(n->watches, &status);
    metric_set(n->metrics.watches, (int64_t)status.watches);
    metric_set(n->metrics.watches_behind, (int64_t)status.behind);
    metric_set(n->metrics.watch_lag, (int64_t)status.lag_revisions);
}

struct watch_hub *node_watches(struct node *n)
{
    return n->watches;
}

/* ---- the turn ---------------------------------------------------------------------------- */

/* A node that must not serve answers what is still open, once. */
static void refused_turn(struct node *n)
{
    pending_fail_all(&n->pending, RC_STOPPED);
    struct node_read *r;
    n->reads.deadline_ms = 0;
    while ((r = read_index_expired(&n->reads, UINT64_MAX)) != NULL) {
        r->done(r, RC_STOPPED, NULL);
    }
    node_ttl_fail_all(n, RC_STOPPED);
    node_export_fail_all(n, RC_STOPPED);
    node_change_fail_all(n, RC_STOPPED);
    if (n->identity.phase == IDENTITY_REMOVED && n->peers != NULL) {
        peers_close(n->peers); /* there is nobody to talk to any more */
        n->peers = NULL;
    }
}

void node_put_off_notices(struct node *n, bool wait)
{
    n->notices_wait = wait;
}

void node_turn(struct node *n)
{
    uint64_t now = n->env->now_ms(n->env);
    INVARIANT(21, !n->in_turn);
    n->in_turn = true;
    if (n->peers != NULL) {
        peers_tick(n->peers, now);
    }
    if (n->phase == NODE_WAITING) {
        node_bootstrap_turn(n, now);
    }
    if (n->engine != NULL && n->phase != NODE_REFUSED) {
        node_grow_turn(n, now); /* may replace the engine */
    }
    if (n->engine != NULL && n->phase != NODE_REFUSED) {
        node_settle_identity(n);
    }
    if (n->phase == NODE_REFUSED) {
        refused_turn(n);
    } else if (n->engine != NULL) {
        engine_tick(n->engine, now);
        node_hand_over_turn(n, now);
        node_member_turn(n, now);
        node_lease_turn(n, now);
        node_level_turn(n);
        node_propose_turn(n);
        read_turn(n, now);
        node_ttl_turn(n, now);
        node_change_turn(n, now);
        node_registry_turn(n, now);
        node_snapshot_turn(n, now);
        pending_expire(&n->pending, now);
        if (n->phase == NODE_STOPPING) {
            node_stop_turn(n, now);
        }
        if (!n->notices_wait) {
            engine_tell_commit(n->engine);
        }
        watch_turn(n, now);
    } else {
        pending_expire(&n->pending, now);
        read_turn(n, now);
        node_ttl_turn(n, now);
        node_change_turn(n, now);
    }
    if (n->peers != NULL && n->phase != NODE_REFUSED) {
        peers_flush(n->peers); /* what failed in this turn might have been promised in it */
    }
    if (n->engine != NULL && n->phase != NODE_REFUSED) {
        engine_turn(n->engine);
    }
    metric_set(n->metrics.writes_in_flight, (int64_t)n->pending.count);
    n->in_turn = false;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t node_next_deadline_ms(const struct node *n)
{
    uint64_t next = n->peers != NULL ? peers_next_deadline_ms(n->peers) : UINT64_MAX;
    if (n->phase == NODE_REFUSED) {
        return next;
    }
    next = earlier(next, n->pending.deadline_ms);
    if (n->phase == NODE_WAITING) {
        next = earlier(next, n->snapshots != NULL ? node_snapshot_deadline_ms(n) : UINT64_MAX);
        next = earlier(next, n->boot_ask_ms);
        next = earlier(next, node_ttl_deadline_ms(n));
        next = earlier(next, node_change_deadline_ms(n));
        return earlier(next, n->reads.deadline_ms);
    }
    if (n->engine != NULL) {
        next = earlier(next, engine_next_deadline_ms(n->engine));
        next = earlier(next, read_index_next_deadline_ms(&n->reads));
        next = earlier(next, node_lease_deadline_ms(n));
        next = earlier(next, node_ttl_deadline_ms(n));
        next = earlier(next, node_change_deadline_ms(n));
        next = earlier(next, node_leader_deadline_ms(n));
        next = earlier(next, node_member_deadline_ms(n));
        next = earlier(next, node_registry_deadline_ms(n));
        next = earlier(next, node_grow_deadline_ms(n));
        next = earlier(next, node_snapshot_deadline_ms(n));
        next = earlier(next, node_export_deadline_ms(n));
        if (n->reads_are_left || hub_has_work(n->watches)) {
            next = earlier(next, n->env->now_ms(n->env));
        }
    }
    return next;
}
