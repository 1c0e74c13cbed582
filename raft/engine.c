#include "raft/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/engine_internal.h"

#define REQUIRED_LIBRAFT     2201
#define INFLIGHT_ENTRIES_MAX 8192 /* per follower; the core's default of 32 is far too small */
/* Our InstallSnapshot is only an offer: the follower pulls the file, and ignores offers meanwhile.
 * So repeating it costs nothing, and the one that counts may get lost or come too early. After
 * the core's own 30 s, a member that lost its sender midway would wait that long. */
#define OFFER_AGAIN_MS       1000
#define SUSPECT_JITTER_MS    20

#if RAFT_VERSION_NUMBER != REQUIRED_LIBRAFT
#error \
    "coord needs libraft 0.22.1: 0.15 loses acknowledged writes, newer ones differ in ownership"
#endif

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
    struct engine_block *block = engine_block_new(batch[0].batch);
    for (unsigned i = 0; i < count; i++) {
        INVARIANT(11, batch[i].batch == batch[0].batch);
        struct engine_entry *entry = engine_log_append(
            &e->entries, records[i].term, records[i].type, records[i].payload, block);
        entry->ticket = mutant_ticket < ticket ? mutant_ticket : ticket;
    }
    engine_block_release(block);
    mem_free(records);
}

/* The core asks to replace its log by a snapshot, whose file is here and durable already. */
static void take_install(struct engine *e, const struct raft_snapshot_metadata *metadata)
{
    INVARIANT(12, !e->install.running);
    e->install.running = true;
    e->install.metadata = *metadata;
    engine_log_reset(&e->entries, metadata->index + 1);
    e->install.ticket = wal_reset(e->wal, metadata->index, metadata->term);
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
        take_install(e, &update->snapshot.metadata);
    }
    refresh_configuration(e);
    if (update->flags & RAFT_UPDATE_MESSAGES) {
        engine_send_all(e, update->messages.batch, update->messages.n);
    }
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

static bool apply_one(struct engine *e)
{
    if (e->install.running || e->failed || e->applied >= commit_index(e)) {
        return false;
    }
    struct engine_entry *entry = engine_log_find(&e->entries, e->applied + 1);
    INVARIANT(11, entry != NULL);
    struct engine_entry copy = *entry; /* the ring may move while we are away */
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

static void remember_snapshot(struct engine *e, const struct engine_snapshot *s)
{
    e->snapshot.index = s->index;
    e->snapshot.term = s->term;
    e->snapshot.configuration_index = s->configuration_index;
    e->snapshot.file_bytes = s->file_bytes;
    buf_clear(&e->snapshot.configuration);
    buf_append_slice(&e->snapshot.configuration, s->configuration);
}

static void step_installed(struct engine *e)
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
    remember_snapshot(e, &(struct engine_snapshot){
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

static void on_durable(void *context, uint64_t ticket)
{
    struct engine *e = context;
    if (e->failed) {
        return;
    }
    e->durable_ticket = ticket;
    engine_release_held(e);
    step_installed(e);
    step_persisted(e);
    engine_advance(e);
}

static void on_wal_failed(void *context, enum status rc)
{
    engine_fail(context, rc, "a write to the log failed: nothing more can be acknowledged");
}

static const struct wal_events wal_events = {.durable = on_durable, .failed = on_wal_failed};

/* ---- opening ----------------------------------------------------------------------------- */

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
    *keep = first == snapshot + 1 || r->entries[snapshot - first].term == e->snapshot.term;
    if (snapshot == 0 && (first != 1 || r->entries[0].type != ENTRY_CHANGE)) {
        return errmsg_set(err, RC_CORRUPT, "the log does not begin with a configuration");
    }
    return RC_OK;
}

/* One block for all recovered payloads, in the form that the core wants its start entries. */
static void load_entries(struct engine *e, const struct wal_entry *entries, size_t count,
                         struct raft_entry **out)
{
    size_t bytes = 1;
    for (size_t i = 0; i < count; i++) {
        bytes += entries[i].payload.size;
    }
    uint8_t *batch = raft_malloc(bytes);
    *out = raft_calloc(count, sizeof **out);
    PRE(batch != NULL && *out != NULL);
    struct engine_block *block = engine_block_new(batch);
    uint8_t *at = batch;
    for (size_t i = 0; i < count; i++) {
        struct slice payload = entries[i].payload;
        if (payload.size > 0) {
            memcpy(at, payload.data, payload.size);
        }
        (*out)[i] = (struct raft_entry){.term = entries[i].term,
                                        .type = (enum raft_entry_type)entries[i].type,
                                        .buf = {.base = at, .len = payload.size},
                                        .batch = batch};
        engine_log_append(&e->entries, entries[i].term, entries[i].type,
                          slice_make(at, payload.size), block);
        at += payload.size;
    }
    engine_block_release(block);
}

static enum status check_entries(const struct wal_recovery *r, struct errmsg *err)
{
    for (size_t i = 0; i < r->entry_count; i++) {
        const struct wal_entry *entry = &r->entries[i];
        struct engine_configuration c;
        bool type_is_known = entry->type >= ENTRY_COMMAND && entry->type <= ENTRY_CHANGE;
        if (entry->term == 0 || !type_is_known ||
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

static enum status start_core(struct engine *e, const struct wal_recovery *r,
                              const struct engine_configuration *first, struct errmsg *err)
{
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
    if (r->is_new && e->snapshot.index == 0) {
        if (first == NULL) {
            return errmsg_set(err, RC_INVALID,
                              "the data dir is empty and no members are given");
        }
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
    rc = engine_step(e, &event) == 0
             ? RC_OK
             : errmsg_set(err, RC_CORRUPT, "the core refused the recovered log");
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
    list_init(&e->held);
    e->now_ms = e->env->now_ms(e->env);
    configure_core(e, options);
    remember_snapshot(e, &options->snapshot);

    struct wal_options wo = {
        .segment_bytes = options->wal_segment_bytes,
        .cluster_id = options->cluster_id,
        .node_id = options->node_id,
        .log = options->log,
        .metrics = options->metrics,
    };
    struct wal_recovery recovery = {0};
    enum status rc =
        wal_open(e->env, options->wal_dir, &wo, &wal_events, e, &e->wal, &recovery, err);
    if (rc != RC_OK) {
        goto free_engine;
    }
    rc = start_core(e, &recovery, options->bootstrap, err);
    wal_recovery_close(&recovery);
    if (rc != RC_OK) {
        goto free_engine;
    }
    *out = e;
    engine_advance(e);
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

/* ---- requests ---------------------------------------------------------------------------- */

enum status engine_submit(struct engine *e, struct slice payload, uint64_t *index,
                          uint64_t *term)
{
    if (e->failed || e->raft.state != RAFT_LEADER || e->raft.leader_state.transferee != 0) {
        return RC_NOT_LEADER;
    }
    if (engine_disk_is_short(e)) {
        return RC_NO_SPACE;
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

/* How many entries behind the snapshot stay in memory for slow followers, by bytes. */
static unsigned trailing_entries(const struct engine *e, uint64_t index)
{
    uint64_t bytes = 0;
    unsigned count = 0;
    const struct engine_entry *entry = engine_log_find(&e->entries, index);
    while (entry != NULL && bytes + entry->payload.size <= e->trailing_bytes) {
        bytes += entry->payload.size;
        count++;
        entry = engine_log_find(&e->entries, index - count);
    }
    return count;
}

void engine_snapshot_taken(struct engine *e, const struct engine_snapshot *s)
{
    /* Rule GUARDS: an install may have overtaken it. */
    if (e->failed || e->install.running || s->index <= e->raft.trail.snapshot.index ||
        s->index > e->applied || engine_log_find(&e->entries, s->index) == NULL) {
        return;
    }
    unsigned trailing = trailing_entries(e, s->index);
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
    remember_snapshot(e, s);
    engine_log_trim(&e->entries, e->raft.trail.offset + 1); /* exactly what the core dropped */
    wal_compact(e->wal, e->entries.first);
    engine_advance(e);
}

bool engine_offer_is_useful(const struct engine *e,
                            const struct message_install_snapshot *offer)
{
    struct engine_configuration c;
    return !e->failed && !e->install.running && offer->last_index > 0 && offer->last_term > 0 &&
           offer->term >= e->raft.current_term && offer->last_term <= offer->term &&
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

void engine_suspect_leader(struct engine *e)
{
    if (e->failed || e->raft.state != RAFT_FOLLOWER || engine_leader(e) == 0) {
        return;
    }
    uint64_t wait = e->raft.follower_state.randomized_election_timeout;
    uint64_t jitter = (uint64_t)e->raft.random % SUSPECT_JITTER_MS;
    uint64_t start = e->now_ms + jitter;
    start = start > wait ? start - wait : 0;
    if (start < e->raft.election_timer_start) {
        e->raft.election_timer_start = start;
    }
}

/* ---- turns and time ---------------------------------------------------------------------- */

void engine_turn(struct engine *e)
{
    engine_send_commit_notices(e);
    wal_flush(e->wal);
}

uint64_t engine_next_deadline_ms(const struct engine *e)
{
    if (e->failed) {
        return UINT64_MAX;
    }
    uint64_t core = raft_timeout(&e->raft);
    core = core > e->now_ms ? core : e->now_ms + 1; /* a spare's timeout may lie in the past */
    uint64_t wal = wal_next_deadline_ms(e->wal);
    return core < wal ? core : wal;
}

void engine_tick(struct engine *e, uint64_t now_ms)
{
    if (e->failed) {
        return;
    }
    wal_tick(e->wal, now_ms);
    if (now_ms >= raft_timeout(&e->raft) && now_ms > e->now_ms) {
        struct raft_event event = {.type = RAFT_TIMEOUT};
        if (engine_step(e, &event) != 0) {
            engine_fail(e, RC_CORRUPT, "the core failed at a timeout");
        }
        engine_advance(e);
    }
}

/* ---- questions --------------------------------------------------------------------------- */

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

uint64_t engine_log_bytes(const struct engine *e)
{
    return wal_bytes(e->wal);
}

uint64_t engine_memory_bytes(const struct engine *e)
{
    return e->entries.bytes;
}

uint64_t engine_match(const struct engine *e, uint64_t member)
{
    raft_index index = 0;
    return raft_match_index(&e->raft, member, &index) == 0 ? index : 0;
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
