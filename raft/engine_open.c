/* Start: what the log and the newest snapshot hold, whether they fit together, and the core set
 * going with it. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/engine_internal.h"

#define REQUIRED_LIBRAFT     2201
#define INFLIGHT_ENTRIES_MAX 8192 /* per follower; the core's default of 32 is far too small */

/* Our InstallSnapshot is only an offer: the follower pulls the file, and ignores offers
 * meanwhile. So repeating it costs nothing, and the one that counts may get lost or come too
 * early. After the core's own 30 s, a member that lost its sender midway would wait that
 * long. */
#define OFFER_AGAIN_MS 1000

#if RAFT_VERSION_NUMBER != REQUIRED_LIBRAFT
#error \
    "coord needs libraft 0.22.1: 0.15 loses acknowledged writes, newer ones differ in ownership"
#endif

/* The snapshot's configuration was not made by an entry, as the entry that is still there in its
 * place shows: a single node became a cluster by it (raft/node_grow.c). The log before it speaks of
 * a single voter, and must not be heard. */
static bool brings_configuration(const struct engine *e, const struct wal_recovery *r)
{
    uint64_t at = e->snapshot.configuration_index;
    uint64_t first = r->entries[0].index;
    return at >= first && at - first < r->entry_count &&
           r->entries[at - first].type != ENTRY_CHANGE;
}

/* What recovery yields must fit the newest snapshot: contiguous with it, or wholly covered. */
static enum status fit_to_snapshot(const struct engine *e, const struct wal_recovery *r,
                                   bool *keep, struct errmsg *err)
{
    uint64_t snapshot = e->snapshot.index;
    *keep = false;
    if (r->reset_index > snapshot) {
        return errmsg_set(err, RC_CORRUPT,
                          "the log goes on behind snapshot %" PRIu64
                          ", which is missing; replace "
                          "this member",
                          r->reset_index);
    }
    if (r->entry_count == 0) {
        return RC_OK;
    }
    uint64_t first = r->entries[0].index;
    uint64_t last = r->entries[r->entry_count - 1].index;
    if (first > snapshot + 1) {
        return errmsg_set(err, RC_CORRUPT,
                          "log entries %" PRIu64 " to %" PRIu64
                          " are missing between snapshot and log; replace this member",
                          snapshot + 1, first - 1);
    }
    if (last < snapshot) {
        return RC_OK; /* a snapshot was installed just before the crash */
    }
    if (brings_configuration(e, r)) { /* this node grew just before the crash */
        return last == snapshot
                   ? RC_OK
                   : errmsg_set(err, RC_CORRUPT,
                                "the log goes on to entry %" PRIu64 " behind snapshot %" PRIu64
                                ", which made a cluster of a single node; replace this member",
                                last, snapshot);
    }
    *keep = first == snapshot + 1 || r->entries[snapshot - first].term == e->snapshot.term;
    if (snapshot == 0 && (first != 1 || r->entries[0].type != ENTRY_CHANGE)) {
        return errmsg_set(err, RC_CORRUPT, "the log does not begin with a configuration");
    }
    return RC_OK;
}

/* The recovered entries into memory, and in the form that the core wants to see them in when it
 * starts: it keeps nothing of that. */
static void load_entries(struct engine *e, const struct wal_entry *entries, size_t count,
                         struct raft_entry **out)
{
    *out = raft_calloc(count, sizeof **out);
    PRE(*out != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct engine_entry *entry = engine_log_append(
            &e->entries, entries[i].term, entries[i].type, entries[i].payload);
        void *bytes = (void *)(uintptr_t)entry->payload.data;
        (*out)[i] = (struct raft_entry){.term = entry->term,
                                        .type = (enum raft_entry_type)entry->type,
                                        .buf = {.base = bytes, .len = entry->payload.size},
                                        .batch = bytes};
    }
}

static enum status check_entries(const struct wal_recovery *r, struct errmsg *err)
{
    for (size_t i = 0; i < r->entry_count; i++) {
        const struct wal_entry *entry = &r->entries[i];
        struct engine_configuration c;
        bool type_is_known = entry->type >= ENTRY_COMMAND && entry->type <= ENTRY_CHANGE;
        bool term_falls = i > 0 && entry->term < r->entries[i - 1].term;
        if (entry->term == 0 || term_falls || !type_is_known ||
            (entry->type == ENTRY_CHANGE &&
             engine_configuration_decode(entry->payload, &c) != RC_OK)) {
            return errmsg_set(err, RC_CORRUPT, "log entry %" PRIu64 " makes no sense",
                              entry->index);
        }
    }
    return RC_OK;
}

/* Term 1 and the configuration as entry 1: the same bytes on every first member. */
static void bootstrap(struct engine *e, const struct engine_configuration *c,
                      struct wal_entry *entry, struct buf *payload, uint64_t *term)
{
    engine_configuration_encode(payload, c);
    *entry = (struct wal_entry){
        .index = 1, .term = 1, .type = ENTRY_CHANGE, .payload = buf_slice(payload)};
    *term = 1;
    wal_set_term(e->wal, 1, 0);
    e->hold_ticket = wal_append(e->wal, entry, 1);
    wal_flush(e->wal);
}

/* Nothing was ever promised from here: at most the first batch was begun, and torn. */
static bool is_empty(const struct engine *e, const struct wal_recovery *r)
{
    return e->snapshot.index == 0 && r->reset_index == 0 && r->entry_count == 0 && r->term <= 1;
}

/* What this member promised was in a log that is no more. A snapshot does not make up for it: its
 * vote, its term and what it acknowledged since are forgotten. Whoever installs a snapshot, grows
 * or begins anew from one leaves a log that says where it begins, and so is not new. */
static bool is_lost(const struct engine *e, const struct wal_recovery *r,
                    const struct engine_options *o)
{
    return o->bootstrap == NULL && !o->joins && (r->is_new || is_empty(e, r));
}

static enum status start_core(struct engine *e, const struct wal_recovery *r,
                              const struct engine_options *o, struct errmsg *err)
{
    const struct engine_configuration *first = o->bootstrap;
    bool keep = false;
    enum status rc = check_entries(r, err);
    if (rc == RC_OK) {
        rc = fit_to_snapshot(e, r, &keep, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    const struct wal_entry *entries = keep ? r->entries : NULL;
    size_t count = keep ? r->entry_count : 0;
    uint64_t term = r->term;
    struct wal_entry first_entry;
    struct buf payload = {0};
    if (is_lost(e, r, o)) {
        return errmsg_set(err, RC_CORRUPT,
                          "the log of this member is gone; it must not vote again: replace "
                          "this member");
    }
    if (is_empty(e, r) && !o->joins) {
        bootstrap(e, first, &first_entry, &payload, &term);
        entries = &first_entry;
        count = 1;
    } else if (!keep && e->snapshot.index > 0 && r->reset_index < e->snapshot.index) {
        e->hold_ticket = wal_reset(e->wal, e->snapshot.index, e->snapshot.term);
    }

    struct raft_event event = {.type = RAFT_START};
    struct raft_snapshot_metadata metadata = {0};
    if (e->snapshot.index > 0) {
        struct engine_configuration c;
        if (engine_configuration_decode(buf_slice(&e->snapshot.configuration), &c) != RC_OK) {
            buf_close(&payload);
            return errmsg_set(err, RC_CORRUPT, "the snapshot's configuration makes no sense");
        }
        metadata.index = e->snapshot.index;
        metadata.term = e->snapshot.term;
        metadata.configuration_index = e->snapshot.configuration_index;
        engine_configuration_to_raft(&c, &metadata.configuration);
        event.start.metadata = &metadata;
        term = term > e->snapshot.term ? term : e->snapshot.term;
    }
    event.start.term = term;
    event.start.voted_for = term == r->term ? r->vote : 0;
    event.start.start_index = count > 0 ? entries[0].index : e->snapshot.index + 1;
    engine_log_init(&e->entries, event.start.start_index);
    struct raft_entry *start_entries = NULL;
    if (count > 0) {
        load_entries(e, entries, count, &start_entries);
    }
    event.start.entries = start_entries;
    event.start.n_entries = (unsigned)count;
    e->applied = e->snapshot.index;
    buf_append_slice(&e->applied_configuration.bytes, buf_slice(&e->snapshot.configuration));
    e->applied_configuration.index = e->snapshot.configuration_index;
    if (engine_step(e, &event) != 0) {
        UNREACHABLE(); /* only for lack of memory: all that it decodes was checked above */
    }
    raft_free(start_entries);
    buf_close(&payload);
    return rc;
}

static void configure_core(struct engine *e, const struct engine_options *o)
{
    if (raft_init(&e->raft, NULL, NULL, o->node_id, "self") != 0) {
        UNREACHABLE(); /* only for lack of memory */
    }
    raft_seed(&e->raft, o->seed);
    raft_set_pre_vote(&e->raft, true);
    raft_set_election_timeout(&e->raft, o->election_timeout_ms != 0
                                            ? o->election_timeout_ms
                                            : ENGINE_ELECTION_TIMEOUT_MS);
    raft_set_heartbeat_timeout(&e->raft,
                               o->heartbeat_ms != 0 ? o->heartbeat_ms : ENGINE_HEARTBEAT_MS);
    raft_set_max_inflight_entries(&e->raft, INFLIGHT_ENTRIES_MAX);
    raft_set_install_snapshot_timeout(&e->raft, OFFER_AGAIN_MS);
}

enum status engine_open(const struct engine_options *options,
                        const struct engine_events *events, void *context, struct engine **out,
                        struct errmsg *err)
{
    if (raft_version_number() != REQUIRED_LIBRAFT) {
        return errmsg_set(err, RC_UNSUPPORTED, "coord needs libraft 0.22.1, this is version %d",
                          raft_version_number());
    }
    struct engine *e = mem_zalloc(sizeof *e);
    e->env = options->env;
    e->log = options->log;
    e->events = events;
    e->context = context;
    e->trailing_bytes =
        options->trailing_bytes != 0 ? options->trailing_bytes : ENGINE_TRAILING_BYTES;
    e->retained_from = UINT64_MAX;
    list_init(&e->held);
    e->now_ms = e->env->now_ms(e->env);
    configure_core(e, options);
    engine_remember_snapshot(e, &options->snapshot);

    struct wal_options wo = {
        .segment_bytes = options->wal_segment_bytes,
        .cluster_id = options->cluster_id,
        .node_id = options->node_id,
        .log = options->log,
        .metrics = options->metrics,
    };
    struct wal_recovery recovery = {0};
    enum status rc =
        wal_open(e->env, options->wal_dir, &wo, &engine_wal_events, e, &e->wal, &recovery, err);
    if (rc != RC_OK) {
        goto free_engine;
    }
    rc = start_core(e, &recovery, options, err);
    wal_recovery_close(&recovery);
    if (rc != RC_OK) {
        goto free_engine;
    }
    *out = e;
    engine_advance_fully(e); /* a single voter's log; nobody waits for an answer yet */
    return RC_OK;

free_engine:
    engine_close(e);
    return rc;
}

void engine_close(struct engine *e)
{
    e->failed = true;
    if (e->wal != NULL) {
        wal_close(e->wal);
    }
    if (e->install.running) {
        raft_configuration_close(&e->install.metadata.configuration);
    }
    raft_close(&e->raft, NULL);
    engine_drop_held(e);
    engine_log_close(&e->entries);
    buf_close(&e->snapshot.configuration);
    buf_close(&e->applied_configuration.bytes);
    mem_free(e);
}
