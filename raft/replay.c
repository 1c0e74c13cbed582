#include "raft/replay.h"

#include <inttypes.h>

#include "raft/engine.h"

void replay_open(struct replay *r, struct store *s, const struct snapshot_meta *meta,
                 const struct replay_target *target)
{
    *r = (struct replay){.store = s, .target = *target};
    if (meta != NULL) {
        r->index = meta->index;
        r->term = meta->term;
        r->configuration_index = meta->configuration_index;
        buf_append_slice(&r->configuration, buf_slice(&meta->configuration));
    }
    r->is_reached = (target->revision != 0 && store_revision(s) == target->revision) ||
                    (target->index != 0 && r->index == target->index);
}

void replay_close(struct replay *r)
{
    buf_close(&r->configuration);
    arena_close(&r->arena);
}

static enum status damaged(const struct wal_entry *e, const char *what, struct errmsg *err)
{
    return errmsg_set(err, RC_CORRUPT, "entry %" PRIu64 " of term %" PRIu64 " %s", e->index,
                      e->term, what);
}

static enum status apply_batch(struct replay *r, const struct wal_entry *e, struct errmsg *err)
{
    struct batch_header header;
    struct unpack commands;
    if (batch_open(e->payload, &header, &commands) != RC_OK || header.count == 0) {
        return damaged(e, "is not a batch of commands", err);
    }
    if (r->target.wall_ms != 0 && header.wall_ms > r->target.wall_ms) {
        r->is_reached = true;
        return RC_OK;
    }
    if (header.level > FEATURE_LEVEL) {
        return damaged(e, "is of a feature level that this version does not know", err);
    }
    struct apply_context context = {
        .index = e->index, .cluster_ms = header.cluster_ms, .wall_ms = header.wall_ms};
    for (uint32_t i = 0; i < header.count && !r->is_reached; i++) {
        struct command command;
        struct reply reply;
        arena_clear(&r->arena);
        if (command_decode(&commands, &command, &r->arena) != RC_OK) {
            return damaged(e, "has a command that cannot be decoded", err);
        }
        context.last_of_entry = i + 1 == header.count;
        store_apply(r->store, &context, &command, &reply);
        r->commands++;
        r->is_reached =
            r->target.revision != 0 && store_revision(r->store) == r->target.revision;
    }
    r->wall_ms = header.wall_ms;
    return RC_OK;
}

static enum status take_configuration(struct replay *r, const struct wal_entry *e,
                                      struct errmsg *err)
{
    struct engine_configuration c;
    if (engine_configuration_decode(e->payload, &c) != RC_OK) {
        return damaged(e, "is not a configuration of members", err);
    }
    buf_clear(&r->configuration);
    buf_append_slice(&r->configuration, e->payload);
    r->configuration_index = e->index;
    store_skip(r->store, e->index);
    return RC_OK;
}

enum status replay_entry(struct replay *r, const struct wal_entry *e, struct errmsg *err)
{
    enum status rc = RC_OK;
    if (r->is_reached) {
        return RC_OK;
    }
    if (e->index != r->index + 1 || e->term < r->term) {
        return errmsg_set(err, RC_CORRUPT,
                          "entry %" PRIu64 " of term %" PRIu64 " does not follow entry %" PRIu64
                          " of term %" PRIu64,
                          e->index, e->term, r->index, r->term);
    }
    switch (e->type) {
    case ENTRY_COMMAND: rc = apply_batch(r, e, err); break;
    case ENTRY_CHANGE: rc = take_configuration(r, e, err); break;
    case ENTRY_BARRIER: store_skip(r->store, e->index); break;
    default: rc = damaged(e, "is of an unknown type", err); break;
    }
    bool is_whole = rc == RC_OK && store_applied_index(r->store) == e->index;
    if (is_whole) {
        r->index = e->index;
        r->term = e->term;
        r->entries++;
        r->is_reached = r->is_reached || e->index == r->target.index;
    }
    return rc;
}
