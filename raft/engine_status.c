/* What there is to know about the engine. Nothing here changes anything. */
#include "base/mutant.h"
#include "raft/engine_internal.h"

enum engine_state engine_state(const struct engine *e)
{
    switch (e->raft.state) {
    case RAFT_LEADER: return ENGINE_LEADER;
    case RAFT_CANDIDATE: return ENGINE_CANDIDATE;
    default: return ENGINE_FOLLOWER;
    }
}

uint64_t engine_term(const struct engine *e)
{
    return e->raft.current_term;
}

uint64_t engine_leader(const struct engine *e)
{
    switch (e->raft.state) {
    case RAFT_LEADER: return e->raft.id;
    case RAFT_FOLLOWER: return e->raft.follower_state.current_leader.id;
    default: return 0;
    }
}

uint64_t engine_commit_index(const struct engine *e)
{
    return e->raft.commit_index;
}

uint64_t engine_last_index(const struct engine *e)
{
    return engine_log_last(&e->entries);
}

uint64_t engine_applied_index(const struct engine *e)
{
    return e->applied;
}

uint64_t engine_first_index(const struct engine *e)
{
    return e->entries.held;
}

enum status engine_entry(const struct engine *e, uint64_t index, struct wal_entry *out)
{
    const struct engine_entry *entry = engine_log_find(&e->entries, index);
    if (entry == NULL || index < e->entries.held) {
        return RC_NOT_FOUND;
    }
    *out = (struct wal_entry){
        .index = index, .term = entry->term, .type = entry->type, .payload = entry->payload};
    return RC_OK;
}

uint64_t engine_log_bytes(const struct engine *e)
{
    return wal_bytes(e->wal);
}

uint64_t engine_memory_bytes(const struct engine *e)
{
    return e->entries.bytes + e->entries.restored_bytes;
}

uint64_t engine_match(const struct engine *e, uint64_t member)
{
    raft_index index = 0;
    return raft_match_index(&e->raft, member, &index) == 0 ? index : 0;
}

uint64_t engine_stored_index(const struct engine *e)
{
    return e->raft.snapshot.installing ? 0 : e->raft.last_stored;
}

bool engine_is_changing(const struct engine *e)
{
    return e->raft.configuration_uncommitted_index != 0;
}

bool engine_is_settled(const struct engine *e)
{
    return e->hold_ticket <= e->durable_ticket;
}

bool engine_is_installing(const struct engine *e)
{
    return e->install.running;
}

bool engine_disk_is_short(const struct engine *e)
{
    return wal_is_short(e->wal);
}

bool engine_is_single_voter(const struct engine *e)
{
    return e->configuration.count == 1;
}

uint64_t engine_term_of(const struct engine *e, uint64_t index)
{
    const struct engine_entry *entry = engine_log_find(&e->entries, index);
    if (entry != NULL) {
        return entry->term;
    }
    return index != 0 && index == e->raft.trail.snapshot.index ? e->raft.trail.snapshot.term
                                                               : 0;
}

bool engine_leads_safely(const struct engine *e)
{
    return !e->failed && e->raft.state == RAFT_LEADER &&
           (engine_term_of(e, e->raft.commit_index) == e->raft.current_term ||
            MUTANT_IS(MUTANT_NO_NOOP));
}

const struct engine_configuration *engine_configuration(const struct engine *e)
{
    return &e->configuration;
}

struct slice engine_applied_configuration(const struct engine *e, uint64_t *index)
{
    *index = e->applied_configuration.index;
    return buf_slice(&e->applied_configuration.bytes);
}
