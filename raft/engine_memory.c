/* How much of the log stays in memory.
 *
 * A payload is needed until it is applied and durable here, and on the leader until every member
 * has it that is there, or was there a short while ago. What is older stays only for members that
 * come back, or for whom this node becomes the leader, and only so many bytes of it: the rest is
 * forgotten, long before a snapshot lets go of its entries. Should a member want one of those after
 * all, the leader takes a snapshot at once, which ends behind all that it has forgotten, and offers
 * that. */
#include "raft/engine_internal.h"

/* A member that was away for less gets what it lacks from the log, if it is still there. */
#define ABSENCE_MS ((uint64_t)5 * 60 * 1000)

/* Behind what was applied, twice what stays behind a snapshot. */
static uint64_t keep_bytes(const struct engine *e)
{
    return 2 * e->trailing_bytes;
}

/* The first index that somebody who is there may still want from this node. */
static uint64_t wanted_from(const struct engine *e)
{
    uint64_t stored = engine_stored_index(e);
    uint64_t from = (e->applied < stored ? e->applied : stored) + 1;
    if (e->raft.state != RAFT_LEADER) {
        return from;
    }
    for (size_t i = 0; i < e->configuration.count; i++) {
        uint64_t id = e->configuration.members[i].id;
        uint64_t silence = engine_silence_ms(e, id);
        uint64_t led = e->now_ms - e->leading_since_ms;
        uint64_t next = engine_match(e, id) + 1;
        if (id != e->raft.id && (silence < ABSENCE_MS || led < ABSENCE_MS) && next < from) {
            from = next;
        }
    }
    return from;
}

void engine_forget(struct engine *e)
{
    if (!e->lacks_payloads && e->entries.bytes > keep_bytes(e)) {
        engine_log_forget(&e->entries, wanted_from(e), keep_bytes(e));
    }
}

bool engine_has_payloads(struct engine *e, uint64_t from)
{
    e->lacks_payloads = e->lacks_payloads || from < e->entries.held;
    return from >= e->entries.held;
}

bool engine_needs_snapshot(const struct engine *e)
{
    return e->lacks_payloads && e->raft.state == RAFT_LEADER && !e->failed;
}

unsigned engine_trailing_entries(const struct engine *e, uint64_t index)
{
    uint64_t bytes = 0;
    unsigned count = 0;
    const struct engine_entry *entry = engine_log_find(&e->entries, index);
    while (entry != NULL && index - count >= e->entries.held &&
           bytes + entry->payload.size <= e->trailing_bytes) {
        bytes += entry->payload.size;
        count++;
        entry = engine_log_find(&e->entries, index - count);
    }
    return count;
}
