/* From commands to log entries.
 *
 * On the leader, all that gathered since the last entry becomes one entry: own writes and what
 * the other members forwarded. Elsewhere own writes go to the leader in one message per turn;
 * the answer is the entry itself, applied here.
 *
 * Nothing is sent in a term before an entry of that term is applied here (pending.h says why;
 * on the leader it also means that its cluster time continues that of its predecessors).
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "raft/node_internal.h"
#include "raft/wal.h"

#define BATCH_BYTES           ((size_t)1 << 20)
#define BATCH_BYTES_MAX       ((size_t)2 << 20)
#define ENTRIES_IN_FLIGHT_MAX 2 /* one being written and replicated, one behind it */
#define FORWARDED_BYTES_MAX   ((size_t)16 << 20)
#define FORWARD_QUEUED_MAX    ((size_t)8 << 20) /* bytes that may wait for the leader */

/* An entry is one batch, and one command that did not fit it any more. */
_Static_assert(BATCH_BYTES_MAX + COMMAND_BYTES_MAX + 1024 <= WAL_RECORD_BYTES_MAX,
               "every entry fits a log record");
_Static_assert(BATCH_BYTES_MAX + COMMAND_BYTES_MAX + 1024 <= MESSAGE_BODY_BYTES_MAX,
               "every entry and every forwarded batch fits a message");
_Static_assert(FORWARD_QUEUED_MAX + MESSAGE_BODY_BYTES_MAX < PEER_QUEUE_BYTES_MAX,
               "what is forwarded is never dropped for lack of room");

bool node_may_propose(const struct node *n)
{
    return n->engine != NULL && n->applied_term == engine_term(n->engine) &&
           engine_leads_safely(n->engine) && n->leading_term == n->applied_term;
}

static size_t batch_bytes(const struct node *n)
{
    size_t bytes = n->options.batch_bytes != 0 ? n->options.batch_bytes : BATCH_BYTES;
    return bytes < BATCH_BYTES_MAX ? bytes : BATCH_BYTES_MAX;
}

/* ---- proposing --------------------------------------------------------------------------- */

/* Moves what other members forwarded to the open batch, up to `bytes_max` but at least one
 * command. Each begins with its length. Returns how many. */
static uint32_t take_forwarded(struct node *n, size_t bytes_max)
{
    uint32_t count = 0;
    struct slice rest = slice_make(n->forwarded.data + n->forwarded_taken,
                                   n->forwarded.size - n->forwarded_taken);
    struct unpack u = unpack_make(rest);
    size_t taken = 0;
    while (u.rest.size > 0) {
        (void)unpack_bytes(&u);
        size_t end = rest.size - u.rest.size;
        if (count > 0 && end > bytes_max) {
            break;
        }
        taken = end;
        count++;
    }
    buf_append(&n->batch, rest.data, taken);
    n->forwarded_taken += taken;
    if (n->forwarded_taken == n->forwarded.size) {
        node_drop_forwarded(n);
    } else if (n->forwarded_taken > n->forwarded.size / 2) {
        buf_consume(&n->forwarded, n->forwarded_taken);
        n->forwarded_taken = 0;
    }
    return count;
}

static void note_proposal(struct node *n, uint64_t bytes)
{
    n->proposal_bytes.last = bytes;
    if (n->proposal_bytes.max == 0 || bytes < n->proposal_bytes.min) {
        n->proposal_bytes.min = bytes;
    }
    if (bytes > n->proposal_bytes.max) {
        n->proposal_bytes.max = bytes;
    }
}

static uint32_t take_own(struct node *n, size_t bytes_max)
{
    n->sent_to = n->identity.node_id;
    return pending_take(&n->pending, engine_term(n->engine), bytes_max, &n->batch);
}

/* Others first, but when both wait each gets half. One large command of theirs may leave nothing
 * of it to ours: then these come first in the next entry, so that neither starves. */
static uint32_t take_commands(struct node *n, size_t bytes_max)
{
    bool is_shared = node_has_forwarded(n) && !list_empty(&n->pending.queued);
    size_t share = is_shared ? bytes_max / 2 : bytes_max;
    uint32_t own = n->own_were_left ? take_own(n, share) : 0;
    uint32_t count = 0;
    if (node_has_forwarded(n) && n->batch.size < bytes_max) {
        count = take_forwarded(n, n->own_were_left ? bytes_max - n->batch.size : share);
    }
    if (n->batch.size < bytes_max) {
        own += take_own(n, bytes_max - n->batch.size);
    }
    n->own_were_left = own == 0 && !list_empty(&n->pending.queued);
    return own + count;
}

static void propose(struct node *n)
{
    uint64_t now = n->env->now_ms(n->env);
    uint64_t term = engine_term(n->engine);
    size_t bytes_max = batch_bytes(n);
    buf_clear(&n->batch);
    size_t header_at = batch_begin(&n->batch);
    struct batch_header header = {
        .level = (uint8_t)store_level(n->store),
        .cluster_ms = node_cluster_ms_at(n, now),
        .wall_ms = n->env->wall_ms(n->env),
    };
    header.count = take_commands(n, bytes_max);
    batch_seal(&n->batch, header_at, &header);
    uint64_t entry_term;
    enum status rc = engine_submit(n->engine, buf_slice(&n->batch), &n->submitted, &entry_term);
    INVARIANT(13, rc == RC_OK && entry_term == term); /* engine_may_submit said so */
    note_proposal(n, n->batch.size);
    metric_add(n->metrics.batches, 1);
    if (n->batch.capacity > 4 * bytes_max) {
        buf_close(&n->batch);
    }
}

/* Nothing is taken before it is certain that the engine accepts it: a write that is SENT and in no
 * log would wait for the next term, however far that is. While leadership is being handed over
 * everything waits: for the next leader, or for this one if the hand-over fails. */
static void propose_all(struct node *n)
{
    if (node_is_handing_over(n)) {
        return;
    }
    while (node_has_forwarded(n) || !list_empty(&n->pending.queued)) {
        enum status rc = engine_may_submit(n->engine);
        if (rc == RC_NO_SPACE) {
            pending_refuse_queued(&n->pending, RC_NO_SPACE);
        }
        if (rc != RC_OK || !node_may_propose(n) ||
            n->submitted >= engine_applied_index(n->engine) + ENTRIES_IN_FLIGHT_MAX) {
            return;
        }
        propose(n);
    }
}

/* ---- forwarding -------------------------------------------------------------------------- */

/* One message to the leader. False when there is nothing to send, or nobody to take it now. */
static bool forward(struct node *n, uint64_t leader)
{
    if (list_empty(&n->pending.queued) || !peers_is_up(n->peers, leader) ||
        peers_queued(n->peers, leader) > FORWARD_QUEUED_MAX) {
        return false;
    }
    uint64_t term = engine_term(n->engine);
    buf_clear(&n->batch);
    uint32_t count = pending_take(&n->pending, term, batch_bytes(n), &n->batch);
    if (n->refusals_term != term) {
        n->refusals_term = term;
        n->refusals = 0;
    }
    struct message m = {.type = MESSAGE_FORWARD};
    m.forward = (struct message_forward){.term = term,
                                         .refusals = n->refusals,
                                         .command_count = count,
                                         .commands = buf_slice(&n->batch)};
    n->sent_to = leader;
    if (!peers_send(n->peers, leader, &m)) {
        pending_resend(&n->pending);
        return false;
    }
    return true;
}

void node_propose_turn(struct node *n)
{
    uint64_t leader = engine_leader(n->engine);
    if (leader == 0 || n->applied_term != engine_term(n->engine)) {
        return;
    }
    if (leader != n->identity.node_id) {
        while (forward(n, leader)) {
        }
    } else if (node_may_propose(n) && !node_grow_is_paused(n)) {
        propose_all(n);
    }
}

/* The answers of the member to whom our writes were SENT: only that one knows their fate. */
void node_on_forward_result(struct node *n, uint64_t from,
                            const struct message_forward_result *m)
{
    if (m->boot_id != n->boot_id || from != n->sent_to || from == n->identity.node_id) {
        return;
    }
    if (m->status == RC_NOT_LEADER) {
        return; /* a new term is coming: it is sent again then */
    }
    enum status rc = m->status == RC_NO_SPACE ? RC_NO_SPACE : RC_OVERLOADED;
    if (n->refusals != m->refusals) {
        /* All that was sent behind it is refused as well (admit_in_order), and each has to be told
         * so before anything else is sent: those answers may be lost with the connection. */
        n->refusals = m->refusals;
        pending_refuse_from(&n->pending, m->first_counter, rc);
    } else {
        pending_refuse(&n->pending, m->first_counter, m->count, rc);
    }
}

/* Whatever we had sent on that connection may be lost with it, whoever we believe to lead now:
 * the member may come back as the leader of the same term. */
void node_on_sent_to_lost(struct node *n, uint64_t peer)
{
    if (peer == n->sent_to) {
        pending_resend(&n->pending);
    }
}

/* ---- the leader's side of forwarding ----------------------------------------------------- */

bool node_has_forwarded(const struct node *n)
{
    return n->forwarded_taken < n->forwarded.size;
}

void node_drop_forwarded(struct node *n)
{
    n->forwarded_taken = 0;
    if (n->forwarded.capacity > BATCH_BYTES_MAX) {
        buf_close(&n->forwarded);
    } else {
        buf_clear(&n->forwarded);
    }
}

/* Of a member that has left: nothing of it arrives any more. */
static struct forward_mark *mark_to_reuse(struct node *n)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    for (size_t i = 0; i < n->mark_count; i++) {
        if (engine_find_member(c, n->marks[i].member) == NULL) {
            return &n->marks[i];
        }
    }
    return NULL;
}

/* One per member and not per process: after a restart nothing of the former process arrives any
 * more (rule FIFO), and a term may outlast any number of them. */
static struct forward_mark *mark_of(struct node *n, uint64_t member, uint64_t boot_id)
{
    struct forward_mark *mark = NULL;
    for (size_t i = 0; i < n->mark_count; i++) {
        if (n->marks[i].member == member) {
            mark = &n->marks[i];
        }
    }
    if (mark == NULL) {
        bool has_room = n->mark_count < NODE_MEMBERS_MAX;
        mark = has_room ? &n->marks[n->mark_count++] : mark_to_reuse(n);
        if (mark == NULL) {
            return NULL;
        }
        *mark = (struct forward_mark){.member = member};
    }
    if (mark->boot_id != boot_id) {
        mark->boot_id = boot_id;
        mark->counter = 0;
        mark->refusals = 0;
    }
    return mark;
}

static void answer_refused(struct node *n, uint64_t to, const struct command *c, enum status rc,
                           uint64_t refusals)
{
    struct message m = {.type = MESSAGE_FORWARD_RESULT};
    m.forward_result = (struct message_forward_result){.boot_id = c->origin_boot,
                                                       .first_counter = c->origin_counter,
                                                       .refusals = refusals,
                                                       .count = 1,
                                                       .status = (uint8_t)rc};
    node_send(n, to, &m);
}

static enum status admit(const struct node *n, const struct command *c)
{
    struct errmsg err;
    if (n->phase != NODE_RUNNING) {
        return RC_NOT_LEADER;
    }
    if (command_check(c, &err) != OUTCOME_OK) {
        return RC_INVALID;
    }
    if (engine_disk_is_short(n->engine)) {
        return RC_NO_SPACE;
    }
    size_t waiting = n->forwarded.size - n->forwarded_taken;
    size_t most = n->options.forwarded_bytes_max != 0 ? n->options.forwarded_bytes_max
                                                      : FORWARDED_BYTES_MAX;
    return waiting > most ? RC_OVERLOADED : RC_OK;
}

/* Behind a write that was refused others of the same client may be under way, sent before the
 * refusal is known. They must not run without it: so until the sender has heard of the refusal, and
 * has told its clients, all that it sends is refused. A leader that stops refuses nothing: it takes
 * no more, and the sender sends all of it, in order, in the next term. */
static enum status admit_in_order(const struct node *n, struct forward_mark *mark,
                                  const struct message_forward *m, const struct command *c)
{
    bool is_behind = m->refusals != mark->refusals && !MUTANT_IS(MUTANT_OVERTAKES_REFUSED);
    enum status rc = is_behind ? RC_OVERLOADED : admit(n, c);
    if (rc != RC_OK && rc != RC_NOT_LEADER && !is_behind) {
        mark->refusals++;
    }
    return rc;
}

/* Every command is decoded and checked before it may enter the log: a member with a bug must
 * not be able to stop the others. Counters that were had already are dropped: the sender
 * repeats them after a broken connection.
 *
 * What comes when this node does not lead (or not in that term) is dropped without an answer: the
 * sender had applied an entry of the term before it sent, so if this node does not lead any more,
 * nobody ever will in that term. The sender repeats it in the next. A leader that has not applied
 * that entry yet, as it has more to apply than the sender had, takes it and proposes it then: no
 * next term would come, and what is sent later would overtake it. */
void node_on_forward(struct node *n, uint64_t from, const struct message_forward *m)
{
    if (n->engine == NULL || m->term != engine_term(n->engine) ||
        engine_state(n->engine) != ENGINE_LEADER) {
        return;
    }
    struct unpack u = unpack_make(m->commands);
    for (uint32_t i = 0; i < m->command_count; i++) {
        const uint8_t *begin = u.rest.data;
        struct command c;
        arena_clear(&n->apply_arena);
        if (command_decode(&u, &c, &n->apply_arena) != RC_OK || c.origin_boot == 0 ||
            c.origin_boot == n->boot_id) {
            log_warn(n->log, "raft.forward_refused", "from=%016" PRIx64 " reason=malformed",
                     from);
            return;
        }
        struct forward_mark *mark = mark_of(n, from, c.origin_boot);
        if (mark != NULL && c.origin_counter <= mark->counter) {
            continue;
        }
        enum status rc = mark == NULL ? RC_OVERLOADED : admit_in_order(n, mark, m, &c);
        if (rc != RC_OK) {
            answer_refused(n, from, &c, rc, mark == NULL ? 0 : mark->refusals);
            continue;
        }
        mark->counter = c.origin_counter;
        buf_append(&n->forwarded, begin, (size_t)(u.rest.data - begin));
    }
}
