/* A leader whose connection broke, as a process that died would break it: an election soon, in
 * place of one after the whole election timeout.
 *
 * A suspicion is this member's own, and ends when the leader is heard of again, another one leads,
 * or an election timeout has passed; from then on the core's own timers count. As long as it lasts
 *   - the member stands within SUSPECT_JITTER_MS. The core puts an election off by a whole timeout
 *     while it has entries that are not on disk yet, so its timer is set anew until it stands;
 *   - it does not refuse others its vote for having a leader (engine_is_suspected);
 *   - who has not won asks again after a heartbeat or two, not after a timeout: the other may not
 *     have noticed yet, or have a longer log. The length of a heartbeat is what an operator sets
 *     for long ways.
 * Only times change, and whether a leader is minded that this member holds to be gone; who may get
 * a vote does not. */
#include "raft/engine_internal.h"

#define SUSPECT_JITTER_MS 20

static bool is_voter(struct engine *e)
{
    const struct raft_server *self = engine_self(e);
    return self != NULL && self->role == RAFT_VOTER;
}

/* The follower's timer is the core's start of it and how long it waits: the start is moved. */
static void stand_at(struct engine *e, uint64_t due_ms)
{
    uint64_t wait = e->raft.follower_state.randomized_election_timeout;
    uint64_t start = due_ms > wait ? due_ms - wait : 0;
    if (start < e->raft.election_timer_start) {
        e->raft.election_timer_start = start;
    }
}

static void ask_again_soon(struct engine *e)
{
    unsigned heartbeat = e->raft.heartbeat_timeout;
    /* Votes take a sync of the disk, and one that is asked for again is a new term. */
    unsigned base = e->raft.candidate_state.in_pre_vote ? heartbeat : 2 * heartbeat;
    unsigned wait = base + e->raft.random % (base + 1);
    if (wait < e->raft.candidate_state.randomized_election_timeout) {
        e->raft.candidate_state.randomized_election_timeout = wait;
    }
}

void engine_suspect_leader(struct engine *e)
{
    if (e->failed || e->raft.state != RAFT_FOLLOWER || engine_leader(e) == 0) {
        return;
    }
    uint64_t now = e->env->now_ms(e->env);
    e->suspect.leader = engine_leader(e);
    e->suspect.since_ms = now;
    e->suspect.due_ms = now + e->raft.random % SUSPECT_JITTER_MS;
    engine_press_suspicion(e);
}

void engine_end_suspicion(struct engine *e, uint64_t heard_from)
{
    if (e->suspect.leader == heard_from) {
        e->suspect.leader = 0;
    }
}

bool engine_is_suspected(const struct engine *e, uint64_t leader)
{
    return leader != 0 && leader == e->suspect.leader;
}

void engine_press_suspicion(struct engine *e)
{
    if (e->suspect.leader == 0) {
        return;
    }
    uint64_t leader = engine_leader(e);
    if ((leader != 0 && leader != e->suspect.leader) || e->raft.state == RAFT_LEADER ||
        e->now_ms > e->suspect.since_ms + e->raft.election_timeout || !is_voter(e)) {
        e->suspect.leader = 0;
    } else if (e->raft.state == RAFT_CANDIDATE) {
        ask_again_soon(e);
    } else if (leader != 0) {
        stand_at(e, e->suspect.due_ms > e->now_ms ? e->suspect.due_ms : e->now_ms);
    }
}
