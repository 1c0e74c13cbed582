/* coord.v1.Election/Observe: who leads, and then every change of it.
 *
 *   ASKED --(as fresh as wanted)--> RUNNING --(the client has not read)--> full --(drained)--+
 *                                     ^                                                      |
 *                                     +------------------------------------------------------+
 *
 * One watch of the entries of the election. What a change has before and after says whether it is
 * about a leader, so that nothing needs to be known of the past: a stream that is resumed begins
 * anywhere. The changes of one revision are one message: who leads behind it. */
#include <inttypes.h>

#include "base/mem.h"
#include "net/grpc/answer.h"
#include "net/grpc/election.h"
#include "net/grpc/watch.h"
#include "store/store.h"
#include "watch/watch.h"

struct observe {
    struct grpc_call *call;
    struct watch watch;
    uint64_t after_revision;
    bool is_full;
    /* Of the revision that is being delivered. */
    bool is_changed;
    bool leads;
    struct buf path;
    struct buf value;
    struct node_stat stat;
};

static struct observe *of_watch(struct watch *w)
{
    return (struct observe *)(void *)((char *)w - offsetof(struct observe, watch));
}

/* ---- messages ----------------------------------------------------------------------------- */

static void send_leader(struct grpc_call *call, uint64_t revision,
                        const struct election_leader *leader)
{
    const struct store *store = node_store(grpc_call_node(call));
    Coord__V1__ReplyHeader header =
        answer_header(call, store_revision(store), store_applied_index(store));
    Coord__V1__ElectionObserveReply message;
    struct election_leader copy;
    coord__v1__election_observe_reply__init(&message);
    message.header = &header;
    message.revision = revision;
    if (leader != NULL) {
        copy = *leader;
        copy.leader.grant = &copy.grant;
        message.leader = &copy.leader;
    }
    grpc_call_send(call, &message.base);
}

/* ---- changes ------------------------------------------------------------------------------ */

static bool says_held(struct slice value, struct arena *scratch)
{
    struct recipe_record record;
    return recipe_record_decode(value, &record, scratch) && record.state == ENTRY_HELD &&
           record.mode == MODE_CANDIDATE;
}

/* At most one leads behind the revision: the last that was said counts, but that one goes does not
 * undo that another came. */
static void note_change(struct observe *o, const struct change *c)
{
    struct arena *scratch = &o->call->connection->shared->scratch;
    bool holds = c->type != CHANGE_DELETE && says_held(value_slice(c->data), scratch);
    bool held = c->type != CHANGE_CREATE && says_held(value_slice(c->old_data), scratch);
    if (holds) {
        if (held && slice_equal(value_slice(c->data), value_slice(c->old_data))) {
            return; /* nothing else was said */
        }
        o->is_changed = true;
        o->leads = true;
        buf_clear(&o->path);
        buf_append_slice(&o->path, c->path);
        buf_clear(&o->value);
        buf_append_slice(&o->value, value_slice(c->data));
        o->stat = c->stat;
    } else if (held) {
        bool is_other = o->leads && !slice_equal(buf_slice(&o->path), c->path);
        o->is_changed = true;
        o->leads = is_other;
    }
}

static void revision_end(struct observe *o, uint64_t revision)
{
    struct election_leader leader;
    if (o->is_changed) {
        bool leads = o->leads && election_leader_fill(o->call, buf_slice(&o->path), &o->stat,
                                                      buf_slice(&o->value), &leader);
        send_leader(o->call, revision, leads ? &leader : NULL);
    }
    o->is_changed = false;
    o->leads = false;
}

static size_t on_deliver(struct watch *watch, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    struct observe *o = of_watch(watch);
    if (!continued && grpc_call_is_full(o->call)) {
        o->is_full = true;
        grpc_call_await_room(o->call);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        note_change(o, changes[i]);
    }
    if (!more) {
        revision_end(o, changes[count - 1]->revision);
    }
    arena_clear(&o->call->connection->shared->scratch); /* no handler or completion returns here */
    return count;
}

static bool on_may_see(struct watch *watch, const struct change *change)
{
    const struct grpc_call *call = of_watch(watch)->call;
    return store_may_see(node_store(grpc_call_node(call)), change, grpc_call_identities(call));
}

static void refuse_compacted(struct grpc_call *call, uint64_t revision)
{
    const struct store *store = node_store(grpc_call_node(call));
    grpc_call_refuse(call, OUTCOME_COMPACTED, store_revision(store),
                     "after_revision: %" PRIu64
                     " is no longer retained, the change log begins with %" PRIu64,
                     revision, store_history_floor(store));
}

static void on_compacted(struct watch *watch, uint64_t floor)
{
    refuse_compacted(of_watch(watch)->call, floor);
}

static const struct watch_ops observe_ops = {
    .deliver = on_deliver,
    .may_see = on_may_see,
    .compacted = on_compacted,
};

/* ---- the call ----------------------------------------------------------------------------- */

/* The leader now. False: the call has been refused. */
static bool send_first(struct grpc_call *call, const struct query_result *result)
{
    struct recipe_head head;
    struct election_leader leader;
    struct arena *scratch = &call->connection->shared->scratch;
    enum outcome outcome = election_is_vacant(result) ? OUTCOME_OK : result->outcome;
    const struct query_entry *first = result->entry_count > 0 ? &result->entries[0] : NULL;
    if (result->outcome == OUTCOME_OK && (!recipe_head_decode(result->data, &head, scratch) ||
                                          head.recipe != RECIPE_ELECTION)) {
        outcome = OUTCOME_NO_RECIPE;
    } else if (first != NULL && first->unreadable) {
        outcome = OUTCOME_NO_AUTH;
    }
    if (outcome != OUTCOME_OK) {
        answer_refuse(call, buf_slice(&call->path), outcome, result->revision);
        return false;
    }
    bool leads = first != NULL &&
                 election_leader_fill(call, first->path, &first->stat, first->data, &leader);
    const struct observe *o = call->data;
    if (o->after_revision == 0) {
        send_leader(call, result->revision, leads ? &leader : NULL);
    }
    return true;
}

static void observe_got(struct grpc_call *call, const struct query_result *result)
{
    struct observe *o = call->data;
    if (o->after_revision > result->revision) {
        grpc_call_refuse(call, OUTCOME_FUTURE_REVISION, result->revision,
                         "after_revision: %" PRIu64 " is in the future, the last is %" PRIu64,
                         o->after_revision, result->revision);
        return;
    }
    if (!send_first(call, result)) {
        return;
    }
    struct watch_filter filter = {
        .scope = WATCH_CHILDREN,
        .space = SPACE_NODES,
        .path = buf_slice(&call->path),
    };
    uint64_t from = (o->after_revision == 0 ? result->revision : o->after_revision) + 1;
    if (watch_start(node_watches(grpc_call_node(call)), &o->watch, &filter, &observe_ops, from) !=
        OUTCOME_OK) {
        refuse_compacted(call, o->after_revision);
        return;
    }
    grpc_call_wake_at(call, call->connection->now_ms + GRPC_SERVING_CHECK_MS);
}

void election_observe_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ElectionObserveRequest *r =
        (const Coord__V1__ElectionObserveRequest *)message;
    struct observe *o = mem_zalloc(sizeof *o);
    o->call = call;
    o->after_revision = r->after_revision;
    call->data = o; /* election_observe_ended frees it */
    (void)election_ask(call, r->header, slice_str(r->path), slice_make(NULL, 0), 1, observe_got);
}

void election_observe_drained(struct grpc_call *call)
{
    struct observe *o = call->data;
    if (o != NULL && o->is_full) {
        o->is_full = false;
        watch_resume(node_watches(grpc_call_node(call)), &o->watch);
    }
}

void election_observe_woken(struct grpc_call *call)
{
    struct node *node = grpc_call_node(call);
    if (!node_is_serving(node) && !grpc_node_takes_reads(node)) {
        grpc_call_fail(call, GRPC_UNAVAILABLE, "this node does not serve: observe elsewhere");
        return;
    }
    grpc_call_wake_at(call, call->connection->now_ms + GRPC_SERVING_CHECK_MS);
}

void election_observe_ended(struct grpc_call *call)
{
    struct observe *o = call->data;
    if (o == NULL) {
        return;
    }
    call->data = NULL;
    watch_stop(node_watches(grpc_call_node(call)), &o->watch);
    buf_close(&o->path);
    buf_close(&o->value);
    mem_free(o);
}
