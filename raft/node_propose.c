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
#include "raft/node_internal.h"

#define BATCH_BYTES           ((size_t)1 << 20)
#define ENTRIES_IN_FLIGHT_MAX 2 /* one being written and replicated, one behind it */
#define FORWARDED_BYTES_MAX   ((size_t)16 << 20)

bool node_may_propose(const struct node *n)
{
    return n->engine != NULL && n->applied_term == engine_term(n->engine) &&
           engine_leads_safely(n->engine) && n->leading_term == n->applied_term;
}

static size_t batch_bytes(const struct node *n)
{
    return n->options.batch_bytes != 0 ? n->options.batch_bytes : BATCH_BYTES;
}

static void propose(struct node *n)
{
    uint64_t now = n->env->now_ms(n->env);
    uint64_t term = engine_term(n->engine);
    buf_clear(&n->batch);
    size_t header_at = batch_begin(&n->batch);
    struct batch_header header = {
        .level = FEATURE_LEVEL,
        .cluster_ms = node_cluster_ms_at(n, now),
        .wall_ms = n->env->wall_ms(n->env),
    };
    buf_append_slice(&n->batch, buf_slice(&n->forwarded));
    header.count = n->forwarded_count;
    if (n->batch.size < batch_bytes(n) || header.count == 0) {
        header.count += pending_take(&n->pending, term, batch_bytes(n), &n->batch);
    }
    batch_seal(&n->batch, header_at, &header);
    uint64_t index;
    uint64_t entry_term;
    enum status rc = engine_submit(n->engine, buf_slice(&n->batch), &index, &entry_term);
    buf_clear(&n->forwarded);
    n->forwarded_count = 0;
    if (rc == RC_OK) {
        INVARIANT(13, entry_term == term);
        n->submitted = index;
        metric_add(n->metrics.batches, 1);
    }
    /* Else leadership is being handed over: what was taken stays SENT in this term and is
     * proposed again, here or elsewhere, once an entry of the next term is applied. */
    if (n->batch.capacity > 4 * batch_bytes(n)) {
        buf_close(&n->batch);
    }
}

static void refuse_queued(struct node *n, enum status rc)
{
    while (!list_empty(&n->pending.queued)) {
        struct node_write *w = LIST_OF(n->pending.queued.next, struct node_write, link);
        if (w->may_be_sent) {
            break;
        }
        node_write_fn done = w->done;
        pending_cancel(&n->pending, w);
        done(w, rc, NULL);
    }
}

static void forward(struct node *n, uint64_t leader)
{
    if (list_empty(&n->pending.queued) || !peers_is_up(n->peers, leader)) {
        return;
    }
    uint64_t term = engine_term(n->engine);
    buf_clear(&n->batch);
    uint32_t count = pending_take(&n->pending, term, batch_bytes(n), &n->batch);
    struct message m = {.type = MESSAGE_FORWARD};
    m.forward = (struct message_forward){
        .term = term, .command_count = count, .commands = buf_slice(&n->batch)};
    if (!peers_send(n->peers, leader, &m)) {
        pending_resend(&n->pending);
    }
}

void node_propose_turn(struct node *n)
{
    uint64_t leader = engine_leader(n->engine);
    if (leader == 0 || n->applied_term != engine_term(n->engine)) {
        return;
    }
    if (leader != n->identity.node_id) {
        for (size_t i = 0; i < 16 && !list_empty(&n->pending.queued); i++) {
            forward(n, leader);
        }
        return;
    }
    if (!node_may_propose(n)) {
        return;
    }
    if (engine_disk_is_short(n->engine)) {
        refuse_queued(n, RC_NO_SPACE);
        return;
    }
    while ((n->forwarded_count > 0 || !list_empty(&n->pending.queued)) && node_may_propose(n) &&
           n->submitted < engine_applied_index(n->engine) + ENTRIES_IN_FLIGHT_MAX) {
        propose(n);
    }
}

/* ---- the leader's side of forwarding ----------------------------------------------------- */

static struct forward_mark *mark_of(struct node *n, uint64_t boot_id)
{
    for (size_t i = 0; i < n->mark_count; i++) {
        if (n->marks[i].boot_id == boot_id) {
            return &n->marks[i];
        }
    }
    if (n->mark_count == NODE_MEMBERS_MAX) {
        return NULL;
    }
    n->marks[n->mark_count] = (struct forward_mark){.boot_id = boot_id};
    return &n->marks[n->mark_count++];
}

static void answer_refused(struct node *n, uint64_t to, const struct command *c, enum status rc)
{
    struct message m = {.type = MESSAGE_FORWARD_RESULT};
    m.forward_result = (struct message_forward_result){.boot_id = c->origin_boot,
                                                       .first_counter = c->origin_counter,
                                                       .count = 1,
                                                       .status = (uint8_t)rc};
    node_send(n, to, &m);
}

static enum status admit(const struct node *n)
{
    if (n->phase != NODE_RUNNING) {
        return RC_NOT_LEADER;
    }
    if (engine_disk_is_short(n->engine)) {
        return RC_NO_SPACE;
    }
    return n->forwarded.size > FORWARDED_BYTES_MAX ? RC_OVERLOADED : RC_OK;
}

/* Every command is decoded and checked before it may enter the log: a member with a bug must
 * not be able to stop the others. Counters that were had already are dropped: the sender
 * repeats them after a broken connection. */
void node_on_forward(struct node *n, uint64_t from, const struct message_forward *m)
{
    if (n->engine == NULL || m->term != engine_term(n->engine) || !node_may_propose(n)) {
        return; /* the sender learns of the new term by itself */
    }
    struct unpack u = unpack_make(m->commands);
    for (uint32_t i = 0; i < m->command_count; i++) {
        const uint8_t *begin = u.rest.data;
        struct command c;
        struct errmsg err;
        arena_clear(&n->apply_arena);
        if (command_decode(&u, &c, &n->apply_arena) != RC_OK ||
            command_check(&c, &err) != OUTCOME_OK) {
            log_warn(n->log, "raft.forward_refused", "from=%016" PRIx64 " reason=malformed",
                     from);
            return;
        }
        struct forward_mark *mark = mark_of(n, c.origin_boot);
        if (mark == NULL || c.origin_counter <= mark->counter) {
            continue;
        }
        enum status rc = admit(n);
        if (rc != RC_OK) {
            answer_refused(n, from, &c, rc);
            continue;
        }
        mark->counter = c.origin_counter;
        buf_append(&n->forwarded, begin, (size_t)(u.rest.data - begin));
        n->forwarded_count++;
    }
}

void node_on_forward_result(struct node *n, const struct message_forward_result *m)
{
    if (m->boot_id != n->boot_id) {
        return;
    }
    if (m->status == RC_NOT_LEADER) {
        return; /* a new term is coming: it is sent again then */
    }
    enum status rc = m->status == RC_NO_SPACE ? RC_NO_SPACE : RC_OVERLOADED;
    pending_refuse(&n->pending, m->first_counter, m->count, rc);
}
