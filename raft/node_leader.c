/* Gaining and losing leadership: the cluster's clock, the comparison of digests, the hand-
 * over. */
#include <inttypes.h>
#include <string.h>

#include "raft/node_internal.h"

#define CHECK_EVERY_ENTRIES 1024
#define STOP_TIMEOUT_MS     3000
#define HAND_OVER_MS        500
/* Writes wait for whoever is to lead next only when it is about to have everything: one entry that
 * it writes, one behind it. Where it never comes so near, because they do not stop, they wait for
 * the second half of the time. */
#define HAND_OVER_NEAR    4
#define HAND_OVER_HOLD_MS 250

/* Followers set their clock by every command of the leader; who comes to lead goes on from there,
 * so that time passes at its pace also while there is no leader and nothing to log. */
void node_anchor_time(struct node *n)
{
    n->time_base = store_cluster_ms(n->store);
    n->time_base_ms = n->env->now_ms(n->env);
}

uint64_t node_cluster_ms_at(const struct node *n, uint64_t now_ms)
{
    return n->time_base + (now_ms > n->time_base_ms ? now_ms - n->time_base_ms : 0);
}

static const char *member_name(const struct node *n, uint64_t id, struct node_member *scratch)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].id == id && node_parse_member(c->members[i].address, scratch)) {
            return scratch->name;
        }
    }
    return "";
}

void node_on_state(struct node *n)
{
    static const char *const names[] = {[ENGINE_FOLLOWER] = "follower",
                                        [ENGINE_CANDIDATE] = "candidate",
                                        [ENGINE_LEADER] = "leader"};
    struct node_member scratch;
    uint64_t leader = engine_leader(n->engine);
    log_info(n->log, "raft.state", "state=%s term=%" PRIu64 " leader=%s last_index=%" PRIu64,
             names[engine_state(n->engine)], engine_term(n->engine),
             leader == 0 ? "none" : member_name(n, leader, &scratch),
             engine_last_index(n->engine));
    if (leader != 0) {
        metric_add(n->metrics.leader_changes, 1);
    }
    if (leader != n->identity.node_id || engine_term(n->engine) != n->leading_term) {
        n->leading_term = 0;
        node_lease_unlead(n);
        n->membership.hand_over.target = 0;
        memset(n->membership.rounds, 0, sizeof n->membership.rounds);
        node_drop_forwarded(n); /* their senders send them again in the next term */
        n->mark_count = 0;
        n->check.index = 0;
    }
    read_index_leader_changed(&n->reads);
}

/* Digest at an index that all members pass. The leader gathers them and logs a CHECK, so
 * that every member draws the same conclusion at the same place. */
static void note_digest(struct node *n, uint64_t index)
{
    if (index % CHECK_EVERY_ENTRIES != 0 || engine_is_single_voter(n->engine)) {
        return;
    }
    uint64_t digest = store_digest(n->store);
    if (n->leading_term != 0) {
        n->check.index = index;
        n->check.digest = digest;
        n->check.members[0] = n->identity.node_id;
        n->check.digests[0] = digest;
        n->check.count = 1;
        return;
    }
    struct message m = {.type = MESSAGE_DIGEST};
    m.digest = (struct message_digest){.index = index, .digest = digest};
    node_send(n, engine_leader(n->engine), &m);
}

static void propose_check(struct node *n)
{
    struct command c = {.type = COMMAND_CHECK};
    c.check.index = n->check.index;
    for (size_t i = 0; i < n->check.count; i++) {
        c.check.members[i].member = n->check.members[i];
        c.check.members[i].digest = n->check.digests[i];
    }
    c.check.count = (uint32_t)n->check.count;
    n->check.index = 0;
    command_encode(&n->forwarded, &c);
}

void node_on_digest(struct node *n, uint64_t from, uint64_t index, uint64_t digest)
{
    if (n->engine == NULL || n->check.index == 0 || index != n->check.index ||
        n->check.count == NODE_MEMBERS_MAX || !node_may_propose(n)) {
        return;
    }
    for (size_t i = 0; i < n->check.count; i++) {
        if (n->check.members[i] == from) {
            return;
        }
    }
    n->check.members[n->check.count] = from;
    n->check.digests[n->check.count++] = digest;
    if (n->check.count == engine_configuration(n->engine)->count) {
        propose_check(n);
    }
}

void node_note_applied(struct node *n, uint64_t index, uint64_t term)
{
    if (term != n->applied_term) {
        n->applied_term = term;
        pending_term_applied(&n->pending, term);
    }
    /* With the last of what was committed when we came to lead: a single voter goes on in its old
     * term, of which there may be many entries to apply again, each with its own time. */
    if (n->leading_term != term && engine_leader(n->engine) == n->identity.node_id &&
        engine_term(n->engine) == term && engine_leads_safely(n->engine) &&
        index >= engine_commit_index(n->engine)) {
        n->leading_term = term;
        n->leading_since_ms = n->env->now_ms(n->env);
        n->submitted = 0;
        node_lease_lead(n);
    }
    note_digest(n, index);
    if (store_diverged(n->store, n->identity.node_id) != 0) {
        node_fatal(n, RC_CORRUPT,
                   "this member's state differs from the majority's; replace this member");
    }
}

/* ---- handing over ------------------------------------------------------------------------ */

struct candidate {
    uint64_t id;
    uint64_t match;
    uint64_t silence_ms;
    bool answers;
};

static bool is_better(const struct candidate *a, const struct candidate *b)
{
    if (a->answers != b->answers) {
        return a->answers;
    }
    return a->match != b->match ? a->match > b->match : a->silence_ms < b->silence_ms;
}

/* The voter that is furthest, to whom leadership goes; of those that answer, if one does: who hangs
 * would be waited for. Of two that are equally far the one that was heard of last, likewise. */
uint64_t node_successor(const struct node *n)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    struct candidate best = {0};
    for (size_t i = 0; i < c->count; i++) {
        struct candidate m = {.id = c->members[i].id};
        if (m.id == n->identity.node_id || c->members[i].role != ENGINE_VOTER ||
            !peers_is_up(n->peers, m.id)) {
            continue;
        }
        m.match = engine_match(n->engine, m.id);
        m.silence_ms = engine_silence_ms(n->engine, m.id);
        m.answers = m.silence_ms < node_election_timeout_ms(n);
        if (best.id == 0 || is_better(&m, &best)) {
            best = m;
        }
    }
    return best.id;
}

bool node_is_handing_over(const struct node *n)
{
    return n->membership.hand_over.target != 0 && n->membership.hand_over.holds;
}

static void begin(struct node *n, uint64_t target, bool is_to_any)
{
    uint64_t now_ms = n->env->now_ms(n->env);
    n->membership.hand_over.target = target;
    n->membership.hand_over.is_to_any = is_to_any;
    n->membership.hand_over.holds = false;
    n->membership.hand_over.hold_ms = now_ms + HAND_OVER_HOLD_MS;
    n->membership.hand_over.until_ms = now_ms + HAND_OVER_MS;
}

void node_hand_over_begin(struct node *n, uint64_t target, bool is_to_any)
{
    if (n->membership.hand_over.target == 0 && engine_may_submit(n->engine) == RC_OK) {
        begin(n, target, is_to_any);
    }
}

/* A leader that stops hands over first and finishes its work then, as a follower: what waits here
 * goes to the next leader like that of any other member, so nobody waits for the work to end. If an
 * attempt fails the next turn begins another one. */
static void begin_as_last_duty(struct node *n, uint64_t now_ms)
{
    if (n->phase == NODE_STOPPING && n->membership.hand_over.target == 0 && n->peers != NULL &&
        engine_state(n->engine) == ENGINE_LEADER && now_ms < n->stop_deadline_ms) {
        uint64_t target = node_successor(n);
        if (target != 0) {
            begin(n, target, true);
        }
    }
}

/* Who is furthest changes while one waits: a disk may stall just now. */
static uint64_t next_leader(struct node *n)
{
    uint64_t best = n->membership.hand_over.is_to_any ? node_successor(n) : 0;
    if (best != 0) {
        n->membership.hand_over.target = best;
    }
    return n->membership.hand_over.target;
}

/* Entries and their answers make the turns in which this looks again. The core says no as long as
 * an attempt is under way, of which it gives up after an election timeout. */
void node_hand_over_turn(struct node *n, uint64_t now_ms)
{
    begin_as_last_duty(n, now_ms);
    if (n->membership.hand_over.target == 0) {
        return;
    }
    uint64_t target = next_leader(n);
    uint64_t lag = engine_last_index(n->engine) - engine_match(n->engine, target);
    if (now_ms >= n->membership.hand_over.until_ms) {
        log_warn(n->log, "raft.hand_over_failed", "to=%016" PRIx64 " reason=\"it lags\"", target);
        n->membership.hand_over.target = 0;
    } else if (lag == 0) {
        n->membership.hand_over.target = 0;
        if (engine_transfer(n->engine, target) == RC_OK) {
            log_info(n->log, "raft.hand_over", "to=%016" PRIx64, target);
            n->has_handed_over = true;
        }
    } else if (lag <= HAND_OVER_NEAR || now_ms >= n->membership.hand_over.hold_ms) {
        n->membership.hand_over.holds = true;
    }
}

static uint64_t hand_over_deadline_ms(const struct node *n)
{
    if (n->membership.hand_over.target == 0) {
        return UINT64_MAX;
    }
    return n->membership.hand_over.holds ? n->membership.hand_over.until_ms
                                         : n->membership.hand_over.hold_ms;
}

uint64_t node_leader_deadline_ms(const struct node *n)
{
    uint64_t hand_over = hand_over_deadline_ms(n);
    bool stops = n->phase == NODE_STOPPING && n->stopped != NULL;
    uint64_t stop = stops ? n->stop_deadline_ms : UINT64_MAX;
    return hand_over < stop ? hand_over : stop;
}

/* ---- stopping ---------------------------------------------------------------------------- */

void node_stop(struct node *n, void (*stopped)(void *context), void *context)
{
    n->stopped = stopped;
    n->stopped_context = context;
    n->has_handed_over = false;
    n->stop_deadline_ms = n->env->now_ms(n->env) + STOP_TIMEOUT_MS;
    if (n->phase == NODE_RUNNING && n->engine != NULL) {
        n->phase = NODE_STOPPING;
        log_info(n->log, "node.stopping", "writes_in_flight=%zu", n->pending.count);
        return;
    }
    n->phase = NODE_REFUSED;
    stopped(context);
}

/* Whatever was accepted here is answered, and in the log what others were promised. */
static bool has_work(const struct node *n)
{
    return n->pending.count > 0 || n->ttls.count > 0 || !read_index_is_idle(&n->reads) ||
           (engine_state(n->engine) == ENGINE_LEADER && node_has_forwarded(n));
}

/* It leads, and there is somebody who can. Or it does not any more, and nobody does yet: then its
 * vote may be the one that counts. */
static bool is_needed(const struct node *n)
{
    if (engine_state(n->engine) == ENGINE_LEADER) {
        return n->peers != NULL && node_successor(n) != 0;
    }
    return n->has_handed_over && engine_leader(n->engine) == 0;
}

void node_stop_turn(struct node *n, uint64_t now_ms)
{
    if (now_ms < n->stop_deadline_ms && (is_needed(n) || has_work(n))) {
        return;
    }
    if (n->stopped != NULL) {
        void (*stopped)(void *) = n->stopped;
        n->stopped = NULL;
        log_info(n->log, "node.stopped", "applied_index=%" PRIu64,
                 store_applied_index(n->store));
        stopped(n->stopped_context);
    }
}
