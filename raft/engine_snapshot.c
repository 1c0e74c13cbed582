/* Snapshots as the core sees them: our own, when its file is durable, and the leader's,
 * which replaces the log. The files themselves are the node's business. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/engine_internal.h"

void engine_remember_snapshot(struct engine *e, const struct engine_snapshot *s)
{
    e->snapshot.index = s->index;
    e->snapshot.term = s->term;
    e->snapshot.configuration_index = s->configuration_index;
    e->snapshot.file_bytes = s->file_bytes;
    buf_clear(&e->snapshot.configuration);
    buf_append_slice(&e->snapshot.configuration, s->configuration);
}

/* The core asks to replace its log by a snapshot, whose file is here and durable already. */
void engine_take_install(struct engine *e, const struct raft_snapshot_metadata *metadata)
{
    INVARIANT(12, !e->install.running);
    e->install.running = true;
    e->install.metadata = *metadata;
    engine_log_reset(&e->entries, metadata->index + 1);
    e->install.ticket = wal_reset(e->wal, metadata->index, metadata->term);
}

void engine_step_installed(struct engine *e)
{
    if (!e->install.running || e->install.ticket > e->durable_ticket) {
        return;
    }
    struct raft_event event = {.type = RAFT_PERSISTED_SNAPSHOT};
    event.persisted_snapshot.metadata = e->install.metadata;
    event.persisted_snapshot.last = true;
    uint64_t index = e->install.metadata.index;
    struct engine_configuration c;
    engine_configuration_from_raft(&e->install.metadata.configuration,
                                   e->install.metadata.configuration_index, &c);
    struct buf encoded = {0};
    engine_configuration_encode(&encoded, &c);
    engine_remember_snapshot(e, &(struct engine_snapshot){
                                    .index = index,
                                    .term = e->install.metadata.term,
                                    .configuration_index = c.index,
                                    .configuration = buf_slice(&encoded),
                                    .file_bytes = e->install.file_bytes,
                                });
    buf_close(&e->applied_configuration.bytes);
    e->applied_configuration.bytes = encoded;
    e->applied_configuration.index = c.index;
    e->install.running = false;
    e->applied = index;
    if (engine_step(e, &event) != 0) {
        engine_fail(e, RC_CORRUPT, "the core refused an installed snapshot");
    }
    e->events->installed(e->context, index);
}

void engine_snapshot_taken(struct engine *e, const struct engine_snapshot *s)
{
    /* Rule GUARDS: an install may have overtaken it. And the core counts what is persisted from
     * entry to entry: one that is trimmed before would never be counted, nor anything behind it. */
    if (e->failed || e->install.running || s->index <= e->raft.trail.snapshot.index ||
        s->index > e->applied || s->index > e->raft.last_stored ||
        engine_log_find(&e->entries, s->index) == NULL) {
        return;
    }
    unsigned trailing = engine_trailing_entries(e, s->index);
    struct engine_configuration c;
    if (engine_configuration_decode(s->configuration, &c) != RC_OK) {
        UNREACHABLE(); /* it is our own */
    }
    struct raft_event event = {.type = RAFT_SNAPSHOT};
    event.snapshot.metadata.index = s->index;
    event.snapshot.metadata.term = s->term;
    event.snapshot.metadata.configuration_index = s->configuration_index;
    engine_configuration_to_raft(&c, &event.snapshot.metadata.configuration);
    event.snapshot.trailing = trailing;
    if (engine_step(e, &event) != 0) {
        engine_fail(e, RC_CORRUPT, "the core refused a snapshot of its own");
        return;
    }
    engine_remember_snapshot(e, s);
    engine_log_trim(&e->entries, e->raft.trail.offset + 1); /* exactly what the core dropped */
    e->lacks_payloads = e->lacks_payloads && e->entries.first < e->entries.held;
    wal_compact(e->wal, e->entries.first);
    engine_advance(e);
}

bool engine_offer_is_useful(const struct engine *e,
                            const struct message_install_snapshot *offer)
{
    struct engine_configuration c;
    bool makes_sense = offer->last_index > 0 && offer->last_index < ENGINE_NUMBER_MAX &&
                       offer->last_term > 0 && offer->last_term <= offer->term &&
                       offer->term < ENGINE_NUMBER_MAX && offer->configuration_index > 0 &&
                       offer->configuration_index <= offer->last_index;
    return makes_sense && !e->failed && !e->install.running &&
           offer->term >= e->raft.current_term &&
           !(offer->term == e->raft.current_term && e->raft.state == RAFT_LEADER) &&
           offer->last_index > e->raft.trail.snapshot.index && offer->last_index > e->applied &&
           engine_term_of(e, offer->last_index) != offer->last_term &&
           engine_configuration_decode(offer->configuration, &c) == RC_OK;
}

bool engine_install(struct engine *e, uint64_t from,
                    const struct message_install_snapshot *offer)
{
    struct engine_configuration c;
    if (!engine_offer_is_useful(e, offer) ||
        engine_configuration_decode(offer->configuration, &c) != RC_OK) {
        return false;
    }
    struct raft_message rm;
    memset(&rm, 0, sizeof rm);
    rm.type = RAFT_INSTALL_SNAPSHOT;
    rm.server_id = from;
    rm.server_address = "";
    rm.install_snapshot.term = offer->term;
    rm.install_snapshot.last_index = offer->last_index;
    rm.install_snapshot.last_term = offer->last_term;
    rm.install_snapshot.conf_index = offer->configuration_index;
    engine_configuration_to_raft(&c, &rm.install_snapshot.conf);
    struct raft_event event = {.type = RAFT_RECEIVE};
    event.receive.message = &rm;
    e->install.file_bytes = offer->file_bytes;
    if (engine_step(e, &event) != 0) {
        engine_fail(e, RC_CORRUPT, "the core refused a snapshot");
    }
    bool taken = e->install.running;
    engine_advance(e);
    return taken;
}
