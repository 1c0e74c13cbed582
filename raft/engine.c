#include "raft/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/engine_internal.h"

/* Of committed entries that one turn applies: some milliseconds. A member that has started again
 * may have a long log before it, and must answer its leader meanwhile, or vote. */
#define APPLY_TURN_BYTES  ((size_t)256 << 10)
#define APPLY_ENTRY_BYTES ((size_t)512) /* what an entry counts beside its payload */

/* ---- steps and their updates ------------------------------------------------------------- */

void engine_fail(struct engine *e, enum status rc, const char *why)
{
    if (e->failed) {
        return;
    }
    e->failed = true;
    e->events->fatal(e->context, rc, why);
}

/* Rule ABA: remembers which write carries the present version of each entry, so that the
 * completion of a superseded write is never taken for it. */
static uint64_t superseded_ticket(const struct engine *e, uint64_t index)
{
    const struct engine_entry *old = engine_log_find(&e->entries, index);
    return old == NULL ? UINT64_MAX : old->ticket;
}

static void take_entries(struct engine *e, uint64_t index, const struct raft_entry *batch,
                         unsigned count)
{
    PRE(count > 0 && batch[0].batch != NULL);
    struct wal_entry *records = mem_alloc(count * sizeof *records);
    for (unsigned i = 0; i < count; i++) {
        records[i] = (struct wal_entry){
            .index = index + i,
            .term = batch[i].term,
            .type = (uint8_t)batch[i].type,
            .payload = slice_make(batch[i].buf.base, batch[i].buf.len),
        };
    }
    uint64_t ticket = wal_append(e->wal, records, count);
    uint64_t mutant_ticket =
        MUTANT_IS(MUTANT_NO_ABA) ? superseded_ticket(e, index) : UINT64_MAX;
    engine_log_truncate(&e->entries, index);
    INVARIANT(11, engine_log_last(&e->entries) + 1 == index);
    for (unsigned i = 0; i < count; i++) {
        INVARIANT(11, batch[i].batch == batch[0].batch);
        struct engine_entry *entry = engine_log_append(&e->entries, records[i].term,
                                                       records[i].type, records[i].payload);
        entry->ticket = mutant_ticket < ticket ? mutant_ticket : ticket;
    }
    raft_free(batch[0].batch);
    mem_free(records);
}

static void refresh_configuration(struct engine *e)
{
    uint64_t committed = e->raft.configuration_committed_index;
    uint64_t uncommitted = e->raft.configuration_uncommitted_index;
    if (committed == e->seen_committed && uncommitted == e->seen_uncommitted) {
        return;
    }
    e->seen_committed = committed;
    e->seen_uncommitted = uncommitted;
    struct engine_configuration before = e->configuration;
    engine_configuration_from_raft(
        &e->raft.configuration, uncommitted != 0 ? uncommitted : committed, &e->configuration);
    if (memcmp(before.members, e->configuration.members, sizeof before.members) != 0) {
        memset(e->told_commit, 0, sizeof e->told_commit);
        memset(e->sent, 0, sizeof e->sent);
    }
    e->events->configuration(e->context, &e->configuration);
}

/* Rule DISK: the order here is the order that makes acknowledgements true. */
static void carry_out(struct engine *e, const struct raft_update *update)
{
    if (update->flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) {
        e->hold_ticket = wal_set_term(e->wal, e->raft.current_term, e->raft.voted_for);
    }
    if (update->flags & RAFT_UPDATE_ENTRIES) {
        take_entries(e, update->entries.index, update->entries.batch, update->entries.n);
    }
    if (update->flags & RAFT_UPDATE_SNAPSHOT) {
        engine_take_install(e, &update->snapshot.metadata);
    }
    refresh_configuration(e);
    if (update->flags & RAFT_UPDATE_MESSAGES) {
        engine_send_all(e, update->messages.batch, update->messages.n);
    }
}

struct raft_server *engine_self(struct engine *e)
{
    const struct raft_configuration *c = &e->raft.configuration;
    for (unsigned i = 0; i < c->n; i++) {
        if (c->servers[i].id == e->raft.id) {
            return &c->servers[i];
        }
    }
    return NULL;
}

int engine_step(struct engine *e, struct raft_event *event)
{
    if (e->failed) {
        return 0;
    }
    uint64_t now = e->env->now_ms(e->env);
    e->now_ms = now > e->now_ms ? now : e->now_ms;
    event->time = e->now_ms;
    struct raft_update update;
    memset(&update, 0, sizeof update);
    int rv = raft_step(&e->raft, event, &update);
    if (rv == 0) {
        engine_press_suspicion(e);
        carry_out(e, &update);
    }
    return rv;
}

/* ---- what follows from a step ------------------------------------------------------------ */

static void step_configuration(struct engine *e, uint64_t index, struct slice payload)
{
    struct raft_event event = {.type = RAFT_CONFIGURATION};
    struct raft_buffer bytes = {.base = mem_dup(payload.data, payload.size),
                                .len = payload.size};
    event.configuration.index = index;
    if (raft_configuration_decode(&bytes, &event.configuration.conf) != 0) {
        UNREACHABLE(); /* it was checked before it got into the log */
    }
    mem_free(bytes.base);
    if (engine_step(e, &event) != 0) {
        engine_fail(e, RC_CORRUPT, "the core refused a committed configuration");
    }
    buf_clear(&e->applied_configuration.bytes);
    buf_append_slice(&e->applied_configuration.bytes, payload);
    e->applied_configuration.index = index;
}

/* The planted bug of counting replicas for entries of an old term (Raft, figure 8). */
static uint64_t commit_index(const struct engine *e)
{
    uint64_t commit = e->raft.commit_index;
    if (MUTANT_IS(MUTANT_OLD_TERM_COMMIT) && e->raft.state == RAFT_LEADER) {
        uint64_t matches[ENGINE_MEMBERS_MAX];
        size_t voters = 0;
        for (size_t i = 0; i < e->configuration.count; i++) {
            matches[voters++] = engine_match(e, e->configuration.members[i].id);
        }
        for (size_t i = 0; i < voters; i++) {
            size_t at_least = 0;
            for (size_t j = 0; j < voters; j++) {
                at_least += matches[j] >= matches[i];
            }
            if (at_least > voters / 2 && matches[i] > commit) {
                commit = matches[i];
            }
        }
    }
    return commit;
}

static bool has_to_apply(const struct engine *e)
{
    return !e->install.running && !e->failed && e->applied < commit_index(e);
}

static bool apply_one(struct engine *e)
{
    if (e->apply_left == 0 || !has_to_apply(e)) {
        return false;
    }
    struct engine_entry *entry = engine_log_find(&e->entries, e->applied + 1);
    INVARIANT(11, entry != NULL);
    struct engine_entry copy = *entry; /* the ring may move while we are away */
    size_t bytes = copy.payload.size + APPLY_ENTRY_BYTES;
    e->apply_left -= bytes < e->apply_left ? bytes : e->apply_left;
    e->applied++;
    if (copy.type == ENTRY_CHANGE) {
        step_configuration(e, e->applied, copy.payload);
    }
    e->events->apply(e->context, e->applied, copy.term, copy.type, copy.payload);
    return true;
}

/* Rule NOOP: each term begins with an entry of its own, since only that lets the leader know
 * what is committed. The core appends one only if it sees uncommitted entries. */
static bool begin_term(struct engine *e)
{
    uint64_t last = engine_last_index(e);
    if (e->raft.state != RAFT_LEADER || e->raft.leader_state.transferee != 0 ||
        engine_term_of(e, last) == e->raft.current_term || MUTANT_IS(MUTANT_NO_NOOP)) {
        return false;
    }
    void *batch = raft_malloc(8);
    PRE(batch != NULL);
    memset(batch, 0, 8);
    struct raft_entry barrier = {.term = e->raft.current_term,
                                 .type = RAFT_BARRIER,
                                 .buf = {.base = batch, .len = 8},
                                 .batch = batch};
    struct raft_event event = {.type = RAFT_SUBMIT};
    event.submit.entries = &barrier;
    event.submit.n = 1;
    if (engine_step(e, &event) != 0) {
        raft_free(batch);
        return false;
    }
    return true;
}

static void report_state(struct engine *e)
{
    uint64_t leader = engine_leader(e);
    if (e->seen_state == (int)e->raft.state && e->seen_term == e->raft.current_term &&
        e->seen_leader == leader) {
        return;
    }
    if ((int)e->raft.state != e->seen_state && e->raft.state == RAFT_LEADER) {
        memset(e->told_commit, 0, sizeof e->told_commit);
        memset(e->heard, 0, sizeof e->heard);
        e->leading_since_ms = e->now_ms;
        e->lacks_payloads = false;
    }
    e->seen_state = (int)e->raft.state;
    e->seen_term = e->raft.current_term;
    e->seen_leader = leader;
    e->events->state(e->context);
}

void engine_advance(struct engine *e)
{
    bool moved = true;
    while (moved && !e->failed) {
        report_state(e);
        moved = begin_term(e);
        moved = apply_one(e) || moved;
    }
}

void engine_advance_fully(struct engine *e)
{
    do {
        e->apply_left = APPLY_TURN_BYTES;
        engine_advance(e);
    } while (has_to_apply(e));
}

/* ---- the log's completions --------------------------------------------------------------- */

/* Rule ABA: persisted is what the latest write of each index has reached, and nothing while a
 * snapshot is being installed. */
static void step_persisted(struct engine *e)
{
    if (e->install.running || e->raft.snapshot.installing) {
        return;
    }
    uint64_t stored = e->raft.last_stored;
    const struct engine_entry *entry = engine_log_find(&e->entries, stored + 1);
    while (entry != NULL && entry->ticket <= e->durable_ticket) {
        stored++;
        entry = engine_log_find(&e->entries, stored + 1);
    }
    if (stored == e->raft.last_stored) {
        return;
    }
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES};
    event.persisted_entries.index = stored;
    if (engine_step(e, &event) != 0) {
        engine_fail(e, RC_CORRUPT, "the core refused persisted entries");
    }
}

static void on_durable(void *context, uint64_t ticket)
{
    struct engine *e = context;
    if (e->failed) {
        return;
    }
    e->durable_ticket = ticket;
    engine_release_held(e);
    engine_step_installed(e);
    step_persisted(e);
    engine_advance(e);
}

static void on_wal_failed(void *context, enum status rc)
{
    engine_fail(context, rc, "a write to the log failed: nothing more can be acknowledged");
}

const struct wal_events engine_wal_events = {.durable = on_durable, .failed = on_wal_failed};

/* ---- requests ---------------------------------------------------------------------------- */

enum status engine_may_submit(const struct engine *e)
{
    if (e->failed || e->raft.state != RAFT_LEADER || e->raft.leader_state.transferee != 0) {
        return RC_NOT_LEADER;
    }
    return engine_disk_is_short(e) ? RC_NO_SPACE : RC_OK;
}

enum status engine_submit(struct engine *e, struct slice payload, uint64_t *index,
                          uint64_t *term)
{
    enum status rc = engine_may_submit(e);
    if (rc != RC_OK) {
        return rc;
    }
    void *batch = raft_malloc(payload.size);
    PRE(batch != NULL);
    memcpy(batch, payload.data, payload.size);
    struct raft_entry entry = {.term = e->raft.current_term,
                               .type = RAFT_COMMAND,
                               .buf = {.base = batch, .len = payload.size},
                               .batch = batch};
    struct raft_event event = {.type = RAFT_SUBMIT};
    event.submit.entries = &entry;
    event.submit.n = 1;
    if (engine_step(e, &event) != 0) {
        raft_free(batch);
        return RC_NOT_LEADER;
    }
    *index = engine_last_index(e);
    *term = e->raft.current_term;
    return RC_OK;
}

/* Rule GUARDS: the core sends TimeoutNow once, at the call; a target that lacks an entry
 * ignores it. */
enum status engine_transfer(struct engine *e, uint64_t target)
{
    if (e->failed || e->raft.state != RAFT_LEADER || e->raft.leader_state.transferee != 0 ||
        engine_match(e, target) != engine_last_index(e)) {
        return RC_NOT_LEADER;
    }
    struct raft_event event = {.type = RAFT_TRANSFER};
    event.transfer.server_id = target;
    if (engine_step(e, &event) != 0) {
        return RC_REFUSED;
    }
    engine_advance(e);
    return RC_OK;
}

void engine_connection_lost(struct engine *e, uint64_t member)
{
    engine_forget_sent(e, member);
}

void engine_campaign(struct engine *e)
{
    if (e->failed || e->raft.state != RAFT_FOLLOWER || engine_leader(e) != 0) {
        return;
    }
    uint64_t wait = e->raft.follower_state.randomized_election_timeout;
    uint64_t start = e->now_ms > wait ? e->now_ms - wait : 0;
    if (start < e->raft.election_timer_start) {
        e->raft.election_timer_start = start;
    }
}

/* ---- turns and time ---------------------------------------------------------------------- */

void engine_turn(struct engine *e)
{
    wal_flush(e->wal);
    engine_forget(e);
}

uint64_t engine_next_deadline_ms(const struct engine *e)
{
    if (e->failed) {
        return UINT64_MAX;
    }
    uint64_t core = raft_timeout(&e->raft);
    core = core > e->now_ms ? core : e->now_ms + 1; /* a spare's timeout may lie in the past */
    if (has_to_apply(e)) {
        core = e->now_ms;
    }
    uint64_t wal = wal_next_deadline_ms(e->wal);
    return core < wal ? core : wal;
}

void engine_tick(struct engine *e, uint64_t now_ms)
{
    if (e->failed) {
        return;
    }
    wal_tick(e->wal, now_ms);
    e->apply_left = APPLY_TURN_BYTES;
    if (has_to_apply(e)) {
        engine_advance(e);
    }
    if (now_ms >= raft_timeout(&e->raft) && now_ms > e->now_ms) {
        struct raft_event event = {.type = RAFT_TIMEOUT};
        if (engine_step(e, &event) != 0) {
            engine_fail(e, RC_CORRUPT, "the core failed at a timeout");
        }
        engine_advance(e);
    }
}
