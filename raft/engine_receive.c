/* Messages from other members, judged before they are stepped: the core is built without its
 * assertions, so that what it merely assumes about its input would corrupt memory. A message
 * that no correct member sends is dropped and logged; the connection stays, since the next one
 * may be fine.
 */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/engine_internal.h"

/* Versions of libraft's message structs, as its message.h numbers them. */
#define VERSION_REQUEST_VOTE          2
#define VERSION_REQUEST_VOTE_RESULT   2
#define VERSION_APPEND_ENTRIES        0
#define VERSION_APPEND_ENTRIES_RESULT 2
#define VERSION_TIMEOUT_NOW           0

/* One member's message that is refused for one reason is told once in this time. */
#define REFUSAL_REPEAT_MS 10000

static bool in_range(uint64_t number)
{
    return number < ENGINE_NUMBER_MAX;
}

static bool refuse(const char **why, const char *reason)
{
    *why = reason;
    return false;
}

static bool entries_are_sane(const struct message_append_entries *m, const char **why)
{
    uint64_t term = m->prev_log_term;
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct message_entry *entry = &m->entries[i];
        if (entry->term == 0 || entry->term < term || entry->term > m->term) {
            return refuse(why, "entry terms do not grow up to the message's");
        }
        term = entry->term;
        struct engine_configuration c;
        if (entry->type < ENTRY_COMMAND || entry->type > ENTRY_CHANGE) {
            return refuse(why, "an entry has no known type");
        }
        if (entry->type == ENTRY_CHANGE &&
            engine_configuration_decode(entry->payload, &c) != RC_OK) {
            return refuse(why, "configuration entry is malformed");
        }
    }
    return true;
}

static bool append_is_sane(const struct engine *e, const struct message_append_entries *m,
                           const char **why)
{
    if (!in_range(m->term) || !in_range(m->prev_log_index) || !in_range(m->leader_commit)) {
        return refuse(why, "term or index out of range");
    }
    if ((m->prev_log_index == 0) != (m->prev_log_term == 0)) {
        return refuse(why, "previous index and term contradict each other");
    }
    if (m->term == 0 || m->prev_log_term > m->term) {
        return refuse(why, "term is zero or below that of the previous entry");
    }
    if (m->term == e->raft.current_term && e->raft.state == RAFT_LEADER) {
        return refuse(why, "two leaders in one term");
    }
    return entries_are_sane(m, why);
}

/* Of a result of our own term, while we lead. A refusal of what was acknowledged already would put
 * the core's next index below its match index (rule FIFO names the assertion), after which it
 * sends that member nothing any more. */
static bool append_result_is_sane(const struct engine *e, uint64_t from,
                                  const struct message_append_entries_result *m,
                                  const char **why)
{
    if (!in_range(m->term) || !in_range(m->rejected) || !in_range(m->last_log_index)) {
        return refuse(why, "term or index out of range");
    }
    if (m->term != e->raft.current_term || e->raft.state != RAFT_LEADER) {
        return true;
    }
    if (m->rejected == 0 && m->last_log_index > engine_last_index(e)) {
        return refuse(why, "acknowledges entries that were never sent");
    }
    uint64_t match = engine_match(e, from);
    if (m->rejected != 0 && (m->rejected <= match || m->last_log_index < match)) {
        return refuse(why, "rejects entries that were acknowledged");
    }
    return true;
}

static bool vote_is_sane(const struct message_request_vote *m, const char **why)
{
    if (!in_range(m->term) || !in_range(m->last_log_index)) {
        return refuse(why, "term or index out of range");
    }
    if ((m->last_log_index == 0) != (m->last_log_term == 0)) {
        return refuse(why, "last index and term contradict each other");
    }
    if (m->term == 0 || m->last_log_term > m->term) {
        return refuse(why, "term is zero or below that of the last entry");
    }
    return true;
}

static bool vote_result_is_sane(const struct engine *e,
                                const struct message_request_vote_result *m, const char **why)
{
    if (!in_range(m->term)) {
        return refuse(why, "term out of range");
    }
    if (m->pre_vote && m->vote_granted && m->term > e->raft.current_term + 1) {
        return refuse(why, "granted pre-vote for a term that was not asked for");
    }
    return true;
}

static bool engine_message_is_sane(const struct engine *e, uint64_t from,
                                   const struct message *m, const char **why)
{
    /* Who is no member by our configuration may be one by a later one that we lack: the leader
     * whose entries would tell us, or a candidate. The transport has seen to it that it belongs to
     * this cluster, and the core counts only voters. */
    if (from == 0 || from == e->raft.id) {
        return refuse(why, "sender is nobody else");
    }
    switch (m->type) {
    case MESSAGE_APPEND_ENTRIES: return append_is_sane(e, &m->append_entries, why);
    case MESSAGE_APPEND_ENTRIES_RESULT:
        return append_result_is_sane(e, from, &m->append_entries_result, why);
    case MESSAGE_REQUEST_VOTE: return vote_is_sane(&m->request_vote, why);
    case MESSAGE_REQUEST_VOTE_RESULT:
        return vote_result_is_sane(e, &m->request_vote_result, why);
    case MESSAGE_TIMEOUT_NOW:
        return in_range(m->timeout_now.term) || refuse(why, "term out of range");
    default: return refuse(why, "not a consensus message");
    }
}

/* Steps one AppendEntries request with entries [from, from + count) of `m`. */
static void step_append(struct engine *e, struct raft_message *rm,
                        const struct message_append_entries *m, uint32_t from, uint32_t count,
                        uint64_t prev_index, uint64_t prev_term)
{
    size_t bytes = 1; /* a batch is never empty, the core tells it by its address */
    for (uint32_t i = 0; i < count; i++) {
        bytes += m->entries[from + i].payload.size;
    }
    struct raft_entry *entries = NULL;
    uint8_t *batch = NULL;
    if (count > 0) {
        entries = mem_alloc(count * sizeof *entries);
        batch = raft_malloc(bytes);
        PRE(batch != NULL);
        uint8_t *at = batch;
        for (uint32_t i = 0; i < count; i++) {
            struct slice payload = m->entries[from + i].payload;
            entries[i] = (struct raft_entry){
                .term = m->entries[from + i].term,
                .type = (enum raft_entry_type)m->entries[from + i].type,
                .buf = {.base = at, .len = payload.size},
                .batch = batch,
            };
            if (payload.size > 0) {
                memcpy(at, payload.data, payload.size);
            }
            at += payload.size;
        }
    }
    rm->append_entries = (struct raft_append_entries){
        .version = VERSION_APPEND_ENTRIES,
        .term = m->term,
        .prev_log_index = prev_index,
        .prev_log_term = prev_term,
        .leader_commit = m->leader_commit,
        .entries = entries,
        .n_entries = count,
    };
    struct raft_event event = {.type = RAFT_RECEIVE};
    event.receive.message = rm;
    if (engine_step(e, &event) != 0) {
        engine_fail(e, RC_CORRUPT, "the core refused an AppendEntries: the logs contradict");
    }
    mem_free(entries);
}

/* Rule TRIM: of a request that reaches below our snapshot, drop what the snapshot covers and
 * anchor the rest at it: the core would take old entries for new ones. */
static uint32_t trim(const struct engine *e, const struct message_append_entries *m,
                     uint64_t *prev_index, uint64_t *prev_term)
{
    uint64_t covered = e->raft.trail.snapshot.index;
    if (m->term < e->raft.current_term || m->prev_log_index >= covered ||
        MUTANT_IS(MUTANT_NO_TRIM)) {
        return 0;
    }
    *prev_index = covered;
    *prev_term = e->raft.trail.snapshot.term;
    uint64_t skip = covered - m->prev_log_index;
    return skip < m->entry_count ? (uint32_t)skip : m->entry_count;
}

/* The core knows one configuration that may have to be rolled back, the last committed one as of
 * what is applied, and one that is not. So the one before has to be applied when the next comes:
 * its leader had seen it committed, and this says so first. */
static void settle_change(struct engine *e, struct raft_message *rm,
                          const struct message_append_entries *m, uint32_t from,
                          uint64_t prev_index, uint64_t prev_term)
{
    uint64_t pending = e->raft.configuration_uncommitted_index;
    if (pending != 0 && pending <= prev_index && m->leader_commit >= pending) {
        step_append(e, rm, m, from, 0, prev_index, prev_term);
        engine_advance_fully(e);
    }
}

/* Rule SPLIT: the core files a configuration change under the first index of its message, so
 * each one is stepped as the first entry of a message of its own. */
static void receive_append(struct engine *e, struct raft_message *rm,
                           const struct message_append_entries *m)
{
    uint64_t prev_index = m->prev_log_index;
    uint64_t prev_term = m->prev_log_term;
    uint32_t from = trim(e, m, &prev_index, &prev_term);
    /* Below the disk reserve no command is taken in, hence none acknowledged; the heartbeat that
     * is left keeps the leader known. What a term begins with comes out of the reserve: a leader
     * that cannot commit it serves no reads either. */
    uint32_t end = m->entry_count;
    if (engine_disk_is_short(e)) {
        end = from;
        while (end < m->entry_count && m->entries[end].type != ENTRY_COMMAND) {
            end++;
        }
    }
    do {
        uint32_t count = 0;
        while (from + count < end &&
               (count == 0 || m->entries[from + count].type != ENTRY_CHANGE ||
                MUTANT_IS(MUTANT_NO_SPLIT))) {
            count++;
        }
        if (count > 0 && m->entries[from].type == ENTRY_CHANGE) {
            settle_change(e, rm, m, from, prev_index, prev_term);
        }
        step_append(e, rm, m, from, count, prev_index, prev_term);
        from += count;
        prev_index += count;
        if (count > 0) {
            prev_term = m->entries[from - 1].term;
        }
    } while (from < end && !e->failed);
}

/* A vote is asked of whom the candidate's configuration calls a voter, and given whatever our own
 * says (dissertation, 4.2.2): a member that was just promoted may not have the entry that says so,
 * and its vote may be the one that is missing when another voter is lost. The core looks at its own
 * configuration and would refuse, so it is shown this member as a voter for the length of the
 * request; and since a standby has no election timeout by which the core would forget a leader that
 * fell silent, it is told not to mind that one. What a standby writes to disk is no less than
 * what a voter does, and one without any entry is in no configuration. */
static int step_vote(struct engine *e, struct raft_event *event)
{
    struct raft_server *self = engine_self(e);
    if (self == NULL || self->role == RAFT_VOTER) {
        if (engine_is_suspected(e, engine_leader(e))) {
            event->receive.message->request_vote.disrupt_leader = true;
        }
        return engine_step(e, event);
    }
    uint64_t silent_since = e->raft.election_timer_start;
    if (e->env->now_ms(e->env) >= silent_since + e->raft.election_timeout) {
        event->receive.message->request_vote.disrupt_leader = true;
    }
    int role = self->role;
    self->role = RAFT_VOTER;
    int rv = engine_step(e, event);
    self->role = role;
    return rv;
}

/* A member whose disk lost what it had acknowledged says the same at every heartbeat. */
static void tell_refusal(struct engine *e, uint64_t from, const struct message *m,
                         const char *why)
{
    struct engine_refusal *last = &e->refusal;
    if (last->why == why && last->from == from && e->now_ms - last->ms < REFUSAL_REPEAT_MS) {
        return;
    }
    *last = (struct engine_refusal){.why = why, .from = from, .ms = e->now_ms};
    log_warn(e->log, "raft.message_refused", "from=%016" PRIx64 " type=%d reason=\"%s\"", from,
             m->type, why);
}

/* `rm` is zeroed. Of APPEND_ENTRIES receive_append does the rest. */
static void to_raft(const struct message *m, uint64_t from, struct raft_message *rm)
{
    rm->server_id = from;
    switch (m->type) {
    case MESSAGE_APPEND_ENTRIES: rm->type = RAFT_APPEND_ENTRIES; break;
    case MESSAGE_APPEND_ENTRIES_RESULT:
        rm->type = RAFT_APPEND_ENTRIES_RESULT;
        rm->append_entries_result = (struct raft_append_entries_result){
            .version = VERSION_APPEND_ENTRIES_RESULT,
            .term = m->append_entries_result.term,
            .rejected = m->append_entries_result.rejected,
            .last_log_index = m->append_entries_result.last_log_index,
            .features = m->append_entries_result.features,
            .capacity = m->append_entries_result.capacity,
        };
        break;
    case MESSAGE_REQUEST_VOTE:
        rm->type = RAFT_REQUEST_VOTE;
        rm->request_vote = (struct raft_request_vote){
            .version = VERSION_REQUEST_VOTE,
            .term = m->request_vote.term,
            .candidate_id = from,
            .last_log_index = m->request_vote.last_log_index,
            .last_log_term = m->request_vote.last_log_term,
            .disrupt_leader = m->request_vote.disrupt_leader,
            .pre_vote = m->request_vote.pre_vote,
        };
        break;
    case MESSAGE_REQUEST_VOTE_RESULT:
        rm->type = RAFT_REQUEST_VOTE_RESULT;
        rm->request_vote_result = (struct raft_request_vote_result){
            .version = VERSION_REQUEST_VOTE_RESULT,
            .term = m->request_vote_result.term,
            .vote_granted = m->request_vote_result.vote_granted,
            .pre_vote = m->request_vote_result.pre_vote,
        };
        break;
    case MESSAGE_TIMEOUT_NOW:
        rm->type = RAFT_TIMEOUT_NOW;
        rm->timeout_now = (struct raft_timeout_now){
            .version = VERSION_TIMEOUT_NOW,
            .term = m->timeout_now.term,
            .last_log_index = m->timeout_now.last_log_index,
            .last_log_term = m->timeout_now.last_log_term,
        };
        break;
    default: UNREACHABLE();
    }
}

void engine_receive(struct engine *e, uint64_t from, const struct message *m)
{
    const char *why = NULL;
    if (e->failed) {
        return;
    }
    if (!engine_message_is_sane(e, from, m, &why)) {
        tell_refusal(e, from, m, why);
        return;
    }
    if (m->type == MESSAGE_REQUEST_VOTE_RESULT && e->raft.state != RAFT_CANDIDATE) {
        /* Too late to count. The core would look at a field of the candidate's state all the
         * same, which is other memory in every other state: what it does with the term would
         * depend on the bits of a pointer. */
        return;
    }
    /* The core copies the address of a new leader; it must outlive the step only. */
    char address[ENGINE_ADDRESS_BYTES_MAX] = "unknown";
    const struct engine_member *sender = engine_find_member(&e->configuration, from);
    if (sender != NULL) {
        memcpy(address, sender->address, sizeof address);
    }
    struct raft_message rm;
    memset(&rm, 0, sizeof rm);
    to_raft(m, from, &rm);
    rm.server_address = address;
    if (m->type == MESSAGE_APPEND_ENTRIES) {
        engine_end_suspicion(e, from);
        receive_append(e, &rm, &m->append_entries);
        engine_advance(e);
        return;
    }
    if (m->type == MESSAGE_APPEND_ENTRIES_RESULT) {
        engine_note_heard(e, from);
        if (m->append_entries_result.rejected != 0) {
            engine_forget_sent(e, from);
        }
    }
    struct raft_event event = {.type = RAFT_RECEIVE};
    event.receive.message = &rm;
    int rv = m->type == MESSAGE_REQUEST_VOTE ? step_vote(e, &event) : engine_step(e, &event);
    if (rv != 0) {
        engine_fail(e, RC_CORRUPT, "the core refused a message");
    }
    engine_advance(e);
}
