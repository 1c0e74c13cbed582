/* What the core wants said, in our words: entries filled in from memory (the core keeps
 * none), messages held back until the term they speak for is durable (rule DISK), and the
 * commit notices that keep followers one network hop, not one heartbeat, behind. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/engine_internal.h"

/* One AppendEntries message carries about so much; the core does not look at bytes. */
#define APPEND_BYTES_MAX       ((size_t)1 << 20)
#define APPEND_ENTRIES_AT_ONCE 512
/* Less than this is repeated with each heartbeat, as the core has it. */
#define REPEAT_FREE_BYTES   ((size_t)64 << 10)
#define REPEAT_PAUSE_MS_MAX ((uint64_t)1600)

struct held_message {
    struct list link;
    uint64_t ticket;
    uint64_t to;
    struct buf frame;
};

static void send_or_hold(struct engine *e, uint64_t to, const struct message *m)
{
    if (e->failed) {
        return;
    }
    if (e->hold_ticket <= e->durable_ticket && list_empty(&e->held)) {
        e->events->send(e->context, to, m);
        return;
    }
    struct held_message *held = mem_zalloc(sizeof *held);
    held->ticket = e->hold_ticket;
    held->to = to;
    message_encode(&held->frame, m);
    list_push_back(&e->held, &held->link);
}

static void held_free(struct held_message *held)
{
    list_remove(&held->link);
    buf_close(&held->frame);
    mem_free(held);
}

void engine_release_held(struct engine *e)
{
    struct arena arena = {0};
    while (!list_empty(&e->held) && !e->failed) {
        struct held_message *held = LIST_OF(e->held.next, struct held_message, link);
        if (held->ticket > e->durable_ticket) {
            break;
        }
        struct message m;
        if (message_decode(buf_slice(&held->frame), &m, &arena, NULL) != RC_OK) {
            UNREACHABLE(); /* we encoded it ourselves */
        }
        e->events->send(e->context, held->to, &m);
        held_free(held);
        arena_clear(&arena);
    }
    arena_close(&arena);
}

void engine_drop_held(struct engine *e)
{
    while (!list_empty(&e->held)) {
        held_free(LIST_OF(e->held.next, struct held_message, link));
    }
}

static size_t member_position(const struct engine *e, uint64_t id)
{
    for (size_t i = 0; i < e->configuration.count; i++) {
        if (e->configuration.members[i].id == id) {
            return i;
        }
    }
    return ENGINE_MEMBERS_MAX;
}

static void note_told(struct engine *e, uint64_t to, uint64_t commit)
{
    size_t i = member_position(e, to);
    if (i < ENGINE_MEMBERS_MAX && commit > e->told_commit[i]) {
        e->told_commit[i] = commit;
    }
}

/* ---- entries ------------------------------------------------------------------------------ */

void engine_forget_sent(struct engine *e, uint64_t to)
{
    size_t i = member_position(e, to);
    if (i < ENGINE_MEMBERS_MAX) {
        e->sent[i] = (struct engine_sent){.term = 0};
    }
}

static size_t payload_bytes(const struct engine *e, const struct raft_append_entries *args)
{
    size_t bytes = 0;
    for (unsigned i = 1; i <= args->n_entries && bytes < REPEAT_FREE_BYTES; i++) {
        const struct engine_entry *entry = engine_log_find(&e->entries, args->prev_log_index + i);
        INVARIANT(11, entry != NULL);
        bytes += entry->payload.size;
    }
    return bytes;
}

/* Has the member been sent all of these a short while ago? The core repeats, with each heartbeat,
 * whatever a member has not answered within an election timeout: it may be gone. But what was sent
 * arrives as long as the connection stands (rule FIFO), and a member that is merely slow must not
 * get the same megabytes again and again, which makes it slower still. So they are repeated after a
 * pause that doubles, and at once when the connection was lost or the member refuses what it got;
 * meanwhile the heartbeat alone goes out. */
static bool is_repetition(struct engine *e, uint64_t to, const struct raft_append_entries *args)
{
    size_t i = member_position(e, to);
    if (i == ENGINE_MEMBERS_MAX || payload_bytes(e, args) < REPEAT_FREE_BYTES) {
        return false;
    }
    struct engine_sent *sent = &e->sent[i];
    uint64_t last = args->prev_log_index + args->n_entries;
    bool again = sent->term == args->term && last <= sent->last_index;
    if (again && e->now_ms < sent->ms + sent->pause_ms) {
        return true;
    }
    uint64_t pause_ms = again ? 2 * sent->pause_ms : e->raft.election_timeout;
    *sent = (struct engine_sent){
        .term = args->term,
        .last_index = again ? sent->last_index : last,
        .ms = e->now_ms,
        .pause_ms = pause_ms < REPEAT_PAUSE_MS_MAX ? pause_ms : REPEAT_PAUSE_MS_MAX,
    };
    return false;
}

/* Sends the entries behind args->prev_log_index as one message or, beyond APPEND_BYTES_MAX, as
 * several, each of which is a complete and legal request of its own. */
static void send_append(struct engine *e, uint64_t to, const struct raft_append_entries *args)
{
    struct message_entry entries[APPEND_ENTRIES_AT_ONCE];
    struct message m = {.type = MESSAGE_APPEND_ENTRIES};
    uint64_t prev_index = args->prev_log_index;
    uint64_t prev_term = args->prev_log_term;
    unsigned left = engine_sendable(e, to, prev_index + 1, args->n_entries);
    left = left > 0 && is_repetition(e, to, args) ? 0 : left;
    do {
        uint32_t count = 0;
        size_t bytes = 0;
        uint64_t last_term = prev_term;
        while (count < left && count < APPEND_ENTRIES_AT_ONCE && bytes < APPEND_BYTES_MAX) {
            const struct engine_entry *entry =
                engine_log_find(&e->entries, prev_index + 1 + count);
            /* The cache mirrors the core's trail, and what is sent is in memory. */
            INVARIANT(11, entry != NULL &&
                              (entry->chunk != NULL || entry->payload.size == 0));
            entries[count++] = (struct message_entry){
                .term = entry->term, .type = entry->type, .payload = entry->payload};
            bytes += entry->payload.size;
            last_term = entry->term;
        }
        m.append_entries = (struct message_append_entries){
            .term = args->term,
            .prev_log_index = prev_index,
            .prev_log_term = prev_term,
            .leader_commit = args->leader_commit,
            .entries = entries,
            .entry_count = count,
        };
        send_or_hold(e, to, &m);
        prev_index += count;
        prev_term = last_term;
        left -= count;
    } while (left > 0);
    note_told(e, to, args->leader_commit < prev_index ? args->leader_commit : prev_index);
}

/* The core leaves configuration and data of its own message unset: both come from our record of
 * the newest snapshot, whose file the follower then pulls. */
static void send_install(struct engine *e, uint64_t to,
                         const struct raft_install_snapshot *args)
{
    if (args->last_index != e->snapshot.index) {
        return; /* a newer one was taken in between: the core will offer that */
    }
    struct message m = {.type = MESSAGE_INSTALL_SNAPSHOT};
    m.install_snapshot = (struct message_install_snapshot){
        .term = args->term,
        .last_index = e->snapshot.index,
        .last_term = e->snapshot.term,
        .configuration_index = e->snapshot.configuration_index,
        .configuration = buf_slice(&e->snapshot.configuration),
        .file_bytes = e->snapshot.file_bytes,
    };
    send_or_hold(e, to, &m);
}

static void send_vote_result(struct engine *e, uint64_t to,
                             const struct raft_request_vote_result *args)
{
    struct message m = {.type = MESSAGE_REQUEST_VOTE_RESULT};
    m.request_vote_result = (struct message_request_vote_result){
        .term = args->term, .vote_granted = args->vote_granted, .pre_vote = args->pre_vote};
    /* Rule PVFIX: the core answers a pre-vote with the candidate's own term, so that a
     * candidate with a long log and a low term would never learn of ours and never be
     * elected. */
    if (args->pre_vote && !args->vote_granted && e->raft.current_term > args->term &&
        !MUTANT_IS(MUTANT_NO_PVFIX)) {
        m.request_vote_result.term = e->raft.current_term;
    }
    send_or_hold(e, to, &m);
}

/* The core leaves last_log_index unset when it refuses a request of an older term: what it
 * would have said is put there, so that no stray memory goes out. */
static uint64_t answered_index(const struct engine *e,
                               const struct raft_append_entries_result *args)
{
    uint64_t last = engine_last_index(e);
    if (args->rejected == 0) {
        return args->last_log_index;
    }
    return last < args->rejected ? last : args->rejected - 1;
}

static void send_one(struct engine *e, const struct raft_message *rm)
{
    struct message m;
    memset(&m, 0, sizeof m);
    switch (rm->type) {
    case RAFT_APPEND_ENTRIES: send_append(e, rm->server_id, &rm->append_entries); return;
    case RAFT_APPEND_ENTRIES_RESULT:
        m.type = MESSAGE_APPEND_ENTRIES_RESULT;
        m.append_entries_result = (struct message_append_entries_result){
            .term = rm->append_entries_result.term,
            .rejected = rm->append_entries_result.rejected,
            .last_log_index = answered_index(e, &rm->append_entries_result),
            .features = rm->append_entries_result.features,
            .capacity = rm->append_entries_result.capacity,
        };
        break;
    case RAFT_REQUEST_VOTE:
        m.type = MESSAGE_REQUEST_VOTE;
        m.request_vote = (struct message_request_vote){
            .term = rm->request_vote.term,
            .last_log_index = rm->request_vote.last_log_index,
            .last_log_term = rm->request_vote.last_log_term,
            .disrupt_leader = rm->request_vote.disrupt_leader,
            .pre_vote = rm->request_vote.pre_vote,
        };
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        send_vote_result(e, rm->server_id, &rm->request_vote_result);
        return;
    case RAFT_INSTALL_SNAPSHOT: send_install(e, rm->server_id, &rm->install_snapshot); return;
    case RAFT_TIMEOUT_NOW:
        m.type = MESSAGE_TIMEOUT_NOW;
        m.timeout_now = (struct message_timeout_now){
            .term = rm->timeout_now.term,
            .last_log_index = rm->timeout_now.last_log_index,
            .last_log_term = rm->timeout_now.last_log_term,
        };
        break;
    default: UNREACHABLE();
    }
    send_or_hold(e, rm->server_id, &m);
}

void engine_send_all(struct engine *e, const struct raft_message *messages, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        send_one(e, &messages[i]);
    }
}

/* The core tells a follower of a new commit index only with the next entries or heartbeat.
 * An AppendEntries without entries, anchored at what the follower has acknowledged, is a
 * legal message that tells it now; at most one per follower and turn, and none when entries
 * carried it already. */
void engine_tell_commit(struct engine *e)
{
    if (e->raft.state != RAFT_LEADER || e->failed) {
        return;
    }
    for (size_t i = 0; i < e->configuration.count; i++) {
        const struct engine_member *member = &e->configuration.members[i];
        uint64_t match = engine_match(e, member->id);
        uint64_t commit = e->raft.commit_index < match ? e->raft.commit_index : match;
        if (member->id == e->raft.id || commit <= e->told_commit[i]) {
            continue;
        }
        uint64_t term = engine_term_of(e, match);
        if (term == 0) {
            continue; /* far behind: it gets entries or a snapshot */
        }
        struct message m = {.type = MESSAGE_APPEND_ENTRIES};
        m.append_entries = (struct message_append_entries){
            .term = e->raft.current_term,
            .prev_log_index = match,
            .prev_log_term = term,
            .leader_commit = e->raft.commit_index,
        };
        send_or_hold(e, member->id, &m);
        e->told_commit[i] = commit;
    }
}
