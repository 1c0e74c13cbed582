/* What the leader decides by its clock: which leases end, which nodes are reaped. Both are
 * proposals; apply looks again.
 *
 * The keeper runs while this node leads, from when an entry of its own term is applied, with all
 * leases of the state at their full TTL; it is cleared when leadership ends. It is filled in order
 * of ids, some in each turn, and decides nothing before it has all: heartbeats go out meanwhile.
 *
 *   deadline passed --> suspects --> a read round that begins now is confirmed --> EXPIRE
 *
 * The round says that we still lead, and that whatever had arrived meanwhile was read: its answers
 * came through the same loop. A single voter asks nobody, so it waits for a job's end to come
 * through the loop instead. A leader that was stopped therefore reads the keepalives that wait in
 * its sockets before it gives anybody up.
 *
 * Touches come from raft/read_index.c. A lease whose EXPIRE is proposed is not renewed any more,
 * and nobody is told that it was.
 */
#include <inttypes.h>

#include "lease/table.h"
#include "base/mutant.h"
#include "raft/node_internal.h"
#include "store/policy.h"
#include "store/rollouts.h"

#define EXPIRIES_IN_FLIGHT_MAX ((size_t)1000)
#define LEASES_AT_A_TIME       ((size_t)5000) /* looked at in one turn */
#define EXPIRE_RETRY_MS        100 /* while nothing can be proposed */
#define REAP_EVERY_MS          1000
#define ROLLOUTS_EVERY_MS      1000
#define ROLLOUTS_DUE_MAX       ((size_t)100)
#define REAPS_MAX              ((size_t)1000) /* in one lot; the next when these are applied */

/* The keeper's clock. */
static uint64_t lease_now_ms(const struct node *n)
{
    struct env *env = n->env;
    return MUTANT_IS(MUTANT_EXPIRY_BY_WALL_CLOCK) ? env->wall_ms(env) : env->now_ms(env);
}

void node_lease_open(struct node *n)
{
    n->leases = (struct node_leases){.keeper = keeper_new()};
}

void node_lease_close(struct node *n)
{
    if (n->leases.queue != NULL) {
        n->env->queue_close(n->leases.queue);
    }
    keeper_free(n->leases.keeper);
    n->leases.keeper = NULL;
}

/* ---- leadership -------------------------------------------------------------------------- */

/* The next ones. Those that come or begin anew meanwhile are kept by node_lease_applied. */
static void fill(struct node *n)
{
    struct node_leases *l = &n->leases;
    uint64_t now = lease_now_ms(n);
    const struct lease *lease = store_lease_next(n->store, l->filled_to);
    for (size_t i = 0; i < LEASES_AT_A_TIME && lease != NULL;
         i++, lease = store_lease_next(n->store, l->filled_to)) {
        uint64_t left;
        l->filled_to = lease->id;
        if (MUTANT_IS(MUTANT_KEEPER_STALE) &&
            keeper_remaining(l->keeper, lease->id, now, &left)) {
            continue;
        }
        keeper_add(l->keeper, lease->id, lease->generation, lease->ttl_ms, lease->renewable,
                   now);
    }
    if (lease != NULL) {
        return;
    }
    l->is_filling = false;
    l->is_running = true;
    l->retry_ms = now;
    l->reap_ms = now;
    l->reaps = 0;
    l->rollout_ms = now;
    l->rollouts = 0;
    log_info(n->log, "lease.keeping", "term=%" PRIu64 " leases=%zu", n->leading_term,
             keeper_count(l->keeper));
}

void node_lease_lead(struct node *n)
{
    struct node_leases *l = &n->leases;
    if (!MUTANT_IS(MUTANT_KEEPER_STALE)) {
        keeper_clear(l->keeper);
    }
    l->is_running = false;
    l->is_filling = true;
    l->filled_to = 0;
    fill(n);
}

void node_lease_unlead(struct node *n)
{
    struct node_leases *l = &n->leases;
    if (!l->is_running && !l->is_filling) {
        return;
    }
    if (!MUTANT_IS(MUTANT_KEEPER_STALE)) {
        keeper_clear(l->keeper);
    }
    read_index_unwant_round(&n->reads);
    l->is_running = false;
    l->is_filling = false;
    l->has_suspects = false;
    l->round = 0;
}

/* ---- what is applied --------------------------------------------------------------------- */

static void keep(struct node *n, uint64_t id)
{
    const struct lease *lease = store_lease(n->store, id);
    if (lease == NULL) {
        keeper_remove(n->leases.keeper, id);
        return;
    }
    keeper_add(n->leases.keeper, id, lease->generation, lease->ttl_ms, lease->renewable,
               lease_now_ms(n));
}

/* A repeated GRANT or RESUME was not executed: it renews nothing. */
static void lease_applied(struct node *n, const struct command *c, const struct reply *reply)
{
    uint64_t id = c->lease.id;
    uint64_t left;
    switch (c->type) {
    case COMMAND_GRANT:
    case COMMAND_RESUME:
        if (reply->outcome == OUTCOME_OK && !reply->repeated) {
            keep(n, id);
        }
        return;
    case COMMAND_EXPIRE:
        if (reply->outcome == OUTCOME_OK) {
            metric_add(n->metrics.lease_expiries, 1);
        }
        break;
    default: break;
    }
    /* Refused, it is still there, and a RESUME has made it begin anew. */
    if (store_lease(n->store, id) == NULL ||
        !keeper_remaining(n->leases.keeper, id, 0, &left)) {
        keep(n, id);
    }
}

void node_lease_applied(struct node *n, const struct command *c, const struct reply *reply)
{
    struct node_leases *l = &n->leases;
    if (!l->is_running && !l->is_filling) {
        return;
    }
    switch (c->type) {
    case COMMAND_GRANT:
    case COMMAND_RESUME:
    case COMMAND_REVOKE:
    case COMMAND_EXPIRE: lease_applied(n, c, reply); return;
    case COMMAND_REAP: l->reaps -= l->reaps > 0; return;
    case COMMAND_ROLLOUT:
        l->rollouts -= c->rollout.event == ROLLOUT_TICK && l->rollouts > 0;
        return;
    default: return;
    }
}

bool node_lease_renew(struct node *n, uint64_t lease)
{
    if (!n->leases.is_running) {
        if (n->leases.is_filling) {
            (void)keeper_touch(n->leases.keeper, lease, lease_now_ms(n));
        }
        return true; /* all others begin anew when they are kept, which is later */
    }
    if (keeper_touch(n->leases.keeper, lease, lease_now_ms(n))) {
        metric_add(n->metrics.lease_touches, 1);
        return true;
    }
    return MUTANT_IS(MUTANT_PROPOSED_RENEWED) ||
           !keeper_is_proposed(n->leases.keeper, lease);
}

/* ---- the end of leases ------------------------------------------------------------------- */

static bool can_propose(const struct node *n)
{
    return n->phase == NODE_RUNNING && node_may_propose(n) &&
           engine_may_submit(n->engine) == RC_OK;
}

static void nothing_run(struct env_job *job)
{
    (void)job;
}

static void nothing_done(struct env_job *job)
{
    struct node_leases *l =
        (struct node_leases *)(void *)((char *)job - offsetof(struct node_leases, job));
    l->job_is_open = false;
    l->awaits_loop = false;
}

/* Also the end of an older job comes through the loop from here on. */
static void await_loop(struct node *n)
{
    struct node_leases *l = &n->leases;
    l->awaits_loop = true;
    if (l->job_is_open) {
        return;
    }
    if (l->queue == NULL) {
        l->queue = n->env->queue_open(n->env, "leases");
    }
    l->job = (struct env_job){.run = nothing_run, .done = nothing_done};
    l->job_is_open = true;
    n->env->queue_submit(l->queue, &l->job);
}

static void suspect(struct node *n, uint64_t now_ms)
{
    struct node_leases *l = &n->leases;
    if (now_ms < l->retry_ms || n->phase != NODE_RUNNING ||
        keeper_proposed_count(l->keeper) >= EXPIRIES_IN_FLIGHT_MAX) {
        return;
    }
    l->has_suspects = keeper_suspect(l->keeper, now_ms, LEASES_AT_A_TIME);
    if (!l->has_suspects) {
        return;
    }
    l->round = read_index_want_round(&n->reads);
    l->awaits_loop = false;
    if (engine_is_single_voter(n->engine)) {
        await_loop(n);
    }
}

static void propose_expiries(struct node *n, uint64_t now_ms)
{
    struct node_leases *l = &n->leases;
    struct keeper_due due[EXPIRIES_IN_FLIGHT_MAX];
    size_t room = EXPIRIES_IN_FLIGHT_MAX - keeper_proposed_count(l->keeper);
    l->round = 0; /* those who stay suspects need a new one: this one grows old */
    if (!can_propose(n)) {
        l->retry_ms = now_ms + EXPIRE_RETRY_MS;
        return;
    }
    read_index_renew_waiting(&n->reads); /* came since, and was not yet taken by a round */
    size_t count = keeper_propose(l->keeper, due, room);
    for (size_t i = 0; i < count; i++) {
        struct command c = {.type = COMMAND_EXPIRE};
        c.lease.id = due[i].id;
        c.lease.generation = due[i].generation;
        command_encode(&n->forwarded, &c);
    }
    l->has_suspects = count == room;
}

static void expire_turn(struct node *n, uint64_t now_ms)
{
    const struct node_leases *l = &n->leases;
    if (l->round == 0) {
        suspect(n, now_ms);
    } else if (n->reads.confirmed_round >= l->round && !l->awaits_loop) {
        propose_expiries(n, now_ms);
    }
}

/* ---- reaping ----------------------------------------------------------------------------- */

static void reap_turn(struct node *n, uint64_t now_ms)
{
    struct node_leases *l = &n->leases;
    uint64_t cluster_ms = node_cluster_ms_at(n, now_ms);
    if (l->reaps > 0 || now_ms < l->reap_ms || store_reap_next_ms(n->store) > cluster_ms) {
        return;
    }
    l->reap_ms = now_ms + REAP_EVERY_MS;
    if (!can_propose(n)) {
        return;
    }
    struct store_due due[REAPS_MAX];
    l->reaps = store_reap_due(n->store, cluster_ms, due, REAPS_MAX);
    for (size_t i = 0; i < l->reaps; i++) {
        struct command c = {.type = COMMAND_REAP};
        c.reap = (struct command_reap){.path = due[i].path, .revision = due[i].revision};
        command_encode(&n->forwarded, &c);
    }
}

/* ---- rollouts ---------------------------------------------------------------------------- */

static void rollouts_turn(struct node *n, uint64_t now_ms)
{
    struct node_leases *l = &n->leases;
    if (store_policies(n->store)->root_count == 0 || l->rollouts > 0 ||
        now_ms < l->rollout_ms) {
        return;
    }
    l->rollout_ms = now_ms + ROLLOUTS_EVERY_MS;
    if (!can_propose(n)) {
        return;
    }
    struct arena arena = {0};
    struct rollout_due due[ROLLOUTS_DUE_MAX];
    l->rollouts = store_rollouts_due(n->store, node_cluster_ms_at(n, now_ms), due,
                                     ROLLOUTS_DUE_MAX, &arena);
    for (size_t i = 0; i < l->rollouts; i++) {
        struct command c = {.type = COMMAND_ROLLOUT};
        c.rollout = (struct command_rollout){
            .event = ROLLOUT_TICK, .key = due[i].key, .revision = due[i].revision};
        command_encode(&n->forwarded, &c);
    }
    arena_close(&arena);
}

static uint64_t rollouts_deadline_ms(const struct node *n)
{
    const struct node_leases *l = &n->leases;
    bool has_any = store_policies(n->store)->root_count > 0;
    return has_any && l->rollouts == 0 && n->phase == NODE_RUNNING ? l->rollout_ms : UINT64_MAX;
}

/* Cluster time runs on at the pace of our clock. */
static uint64_t reap_deadline_ms(const struct node *n)
{
    const struct node_leases *l = &n->leases;
    uint64_t due_ms = store_reap_next_ms(n->store);
    if (l->reaps > 0 || due_ms == UINT64_MAX || n->phase != NODE_RUNNING) {
        return UINT64_MAX;
    }
    uint64_t now = n->env->now_ms(n->env);
    uint64_t cluster_ms = node_cluster_ms_at(n, now);
    uint64_t at = due_ms > cluster_ms ? now + (due_ms - cluster_ms) : now;
    return at > l->reap_ms ? at : l->reap_ms;
}

/* ---- turn -------------------------------------------------------------------------------- */

/* Before proposals are made of what is encoded here, and before the round that is wanted. */
void node_lease_turn(struct node *n, uint64_t now_ms)
{
    if (n->leases.is_filling) {
        fill(n);
    }
    if (n->leases.is_running) {
        expire_turn(n, MUTANT_IS(MUTANT_EXPIRY_BY_WALL_CLOCK) ? lease_now_ms(n) : now_ms);
        reap_turn(n, now_ms);
        rollouts_turn(n, now_ms);
    }
    metric_set(n->metrics.leases_kept, (int64_t)keeper_count(n->leases.keeper));
}

static uint64_t expire_deadline_ms(const struct node *n)
{
    const struct node_leases *l = &n->leases;
    if (l->round != 0 || n->phase != NODE_RUNNING ||
        keeper_proposed_count(l->keeper) >= EXPIRIES_IN_FLIGHT_MAX) {
        return UINT64_MAX; /* a round, a job or an entry ends first */
    }
    uint64_t next = l->has_suspects ? 0 : keeper_next_ms(l->keeper);
    return next > l->retry_ms ? next : l->retry_ms;
}

uint64_t node_lease_deadline_ms(const struct node *n)
{
    if (!n->leases.is_running) {
        return n->leases.is_filling ? 0 : UINT64_MAX;
    }
    uint64_t expire = expire_deadline_ms(n);
    uint64_t reap = reap_deadline_ms(n);
    uint64_t rollouts = rollouts_deadline_ms(n);
    uint64_t first = expire < reap ? expire : reap;
    return first < rollouts ? first : rollouts;
}
