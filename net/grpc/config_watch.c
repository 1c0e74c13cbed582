/* coord.v1.Config/Watch: one watch of the hub for each call.
 *
 *   BARRIER --(as fresh as asked for)--> RUNNING --(the log was trimmed beyond it)--> refused
 *
 * Events go out as long as there is room; then the watch waits, and goes on in `drained`. What the
 * client may not read is passed over, as in coord.v1.Watch. A configuration rarely changes: every
 * so often the client is told how far the watch is, so that it can be resumed when the log was
 * trimmed beyond the last change. */
#include <inttypes.h>

#include "base/mem.h"
#include "net/grpc/audit.h"
#include "net/grpc/config.h"
#include "net/grpc/watch.h"
#include "net/grpc/wire.h"
#include "store/access.h"
#include "watch/watch.h"

enum { WATCH_REPLY_CHANGES = 2 };

/* Of one message; one change may be larger. */
#define MESSAGE_BYTES_MAX ((size_t)1 << 20)

struct config_watch {
    struct grpc_call *call;
    struct watch watch;
    struct buf path;
    size_t root_bytes;
    uint64_t from_revision;
    uint64_t progress_ms;
    uint64_t sent_ms;
    bool is_recursive;
    uint64_t split; /* the rest of this revision is to come, nothing may come between; 0: no */
};

static const struct store *store_of(const struct grpc_call *call)
{
    return node_store(grpc_call_node(call));
}

static struct config_watch *of(struct watch *base)
{
    return (struct config_watch *)(void *)((char *)base - offsetof(struct config_watch, watch));
}

static size_t change_bytes(const struct change *c)
{
    return 256 + c->path.size + c->note.size + value_slice(c->data).size +
           value_slice(c->old_data).size;
}

/* Sends one message, with pieces that were encoded apart; all up to `revision` is told behind it,
 * unless more of that is to come. */
static void reply_send(struct config_watch *w, Coord__V1__ReplyHeader *header, uint64_t revision,
                       bool more, struct slice pieces)
{
    struct env *env = w->call->connection->env->env;
    Coord__V1__ConfigWatchReply reply;
    size_t begin;
    coord__v1__config_watch_reply__init(&reply);
    reply.header = header;
    reply.revision = revision;
    reply.more = more;
    struct buf *out = grpc_call_begin_with(w->call, &reply.base, &begin);
    buf_append_slice(out, pieces);
    grpc_call_end(w->call, begin);
    w->sent_ms = env->now_ms(env);
}

/* Sends one message with the first of the changes, at least one; returns how many it has looked
 * at. */
static size_t piece_send(struct config_watch *w, const struct change *const *changes,
                         size_t count, bool more)
{
    struct grpc_call *call = w->call;
    struct buf pieces = {0};
    size_t total = 0;
    size_t taken = 0;
    for (; taken < count; taken++) {
        Coord__V1__ConfigChange message;
        total += change_bytes(changes[taken]);
        if (taken > 0 && total > MESSAGE_BYTES_MAX) {
            break;
        }
        if (config_change_fill(call, changes[taken], w->root_bytes, &message)) {
            wire_append_message(&pieces, WATCH_REPLY_CHANGES, &message.base);
        }
    }
    bool is_last = !more && taken == count;
    if (pieces.size > 0 || (w->split != 0 && is_last)) {
        uint64_t revision = changes[0]->revision;
        Coord__V1__ReplyHeader header =
            answer_header(call, revision, store_applied_index(store_of(call)));
        reply_send(w, &header, revision, !is_last, buf_slice(&pieces));
        w->split = is_last ? 0 : revision;
    }
    buf_close(&pieces);
    arena_clear(&call->connection->shared->scratch);
    return taken;
}

static size_t on_deliver(struct watch *base, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    struct config_watch *w = of(base);
    size_t taken = 0;
    (void)continued;
    while (taken < count && !grpc_call_is_full(w->call)) {
        taken += piece_send(w, changes + taken, count - taken, more);
    }
    return taken;
}

static void refuse_compacted(struct config_watch *w, uint64_t revision, uint64_t floor)
{
    grpc_call_refuse(w->call, OUTCOME_COMPACTED, store_revision(store_of(w->call)),
                     "from_revision: %" PRIu64 " is no longer retained, the oldest is %" PRIu64,
                     revision, floor);
}

static void on_compacted(struct watch *base, uint64_t floor)
{
    refuse_compacted(of(base), base->revision, floor);
}

static bool on_may_see(struct watch *base, const struct change *change)
{
    const struct grpc_call *call = of(base)->call;
    return store_may_see(store_of(call), change, grpc_call_identities(call));
}

static const struct watch_ops ops = {
    .deliver = on_deliver, .compacted = on_compacted, .may_see = on_may_see};

/* ---- signs of life ------------------------------------------------------------------------- */

static void wake_later(struct config_watch *w)
{
    struct env *env = w->call->connection->env->env;
    uint64_t now_ms = env->now_ms(env);
    uint64_t next_ms = w->sent_ms + w->progress_ms;
    next_ms = next_ms > now_ms ? next_ms : now_ms + GRPC_PROGRESS_MS_MIN;
    uint64_t check_ms = now_ms + GRPC_SERVING_CHECK_MS;
    grpc_call_wake_at(w->call, next_ms < check_ms ? next_ms : check_ms);
}

/* How far it is; and how old that may be, on a node that is cut off from the others. */
static void progress_send(struct config_watch *w)
{
    struct node *node = grpc_call_node(w->call);
    uint64_t revision = watch_delivered(node_watches(node), &w->watch);
    uint64_t age_ms = node_age_ms(node);
    Coord__V1__ReplyHeader header =
        answer_header(w->call, revision, store_applied_index(store_of(w->call)));
    header.age_known = age_ms != UINT64_MAX;
    header.age_ms = header.age_known ? age_ms : 0;
    reply_send(w, &header, revision, false, slice_make(NULL, 0));
}

void config_watch_woken(struct grpc_call *call)
{
    struct config_watch *w = call->data;
    struct node *node = grpc_call_node(call);
    struct env *env = call->connection->env->env;
    if (!node_is_serving(node) && !grpc_node_takes_reads(node)) {
        grpc_call_fail(call, GRPC_UNAVAILABLE, "this node does not serve: watch elsewhere");
        return;
    }
    bool is_current = w->watch.state != WATCH_WAITING;
    if (is_current && watch_delivered(node_watches(node), &w->watch) >= w->split) {
        w->split = 0; /* also if its rest is not for the client's eyes any more */
    }
    if (is_current && w->split == 0 && env->now_ms(env) >= w->sent_ms + w->progress_ms &&
        !grpc_call_is_full(call)) {
        progress_send(w);
    }
    wake_later(w);
}

/* ---- the beginning ------------------------------------------------------------------------- */

static bool may_watch(struct grpc_call *call, struct slice path)
{
    struct access access;
    access_begin(&access, store_of(call), grpc_call_identities(call));
    bool may = access_path(&access, ACL_READ, SPACE_NODES, path);
    grpc_audit_watch(call, path, may ? OUTCOME_OK : OUTCOME_NO_AUTH);
    if (!may) {
        answer_refuse(call, path, OUTCOME_NO_AUTH, store_revision(store_of(call)));
    }
    return may;
}

static void watch_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    struct config_watch *w = call->data;
    const struct policy *root;
    struct slice path = buf_slice(&w->path);
    uint64_t revision = store_revision(store_of(call));
    if (!may_watch(call, path) || !config_key_check(call, path, &root)) {
        return;
    }
    w->root_bytes = root->path.size;
    struct watch_filter filter = {
        .scope = w->is_recursive ? WATCH_SUBTREE : WATCH_NODE,
        .space = SPACE_NODES,
        .path = path,
    };
    if (call->read.consistency == READ_LINEARIZABLE && w->from_revision > revision + 1) {
        grpc_call_refuse(call, OUTCOME_FUTURE_REVISION, revision,
                         "from_revision: %" PRIu64 " is in the future, the last is %" PRIu64,
                         w->from_revision, revision);
        return;
    }
    uint64_t from = w->from_revision > 0 ? w->from_revision : revision + 1;
    if (watch_start(node_watches(grpc_call_node(call)), &w->watch, &filter, &ops, from) !=
        OUTCOME_OK) {
        refuse_compacted(w, from, store_history_floor(store_of(call)));
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    reply_send(w, &header, from - 1, false, slice_make(NULL, 0));
    wake_later(w);
}

void config_watch_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigWatchRequest *request = (const Coord__V1__ConfigWatchRequest *)message;
    struct errmsg err;
    if (!answer_read_prepare(call, request->header)) {
        return;
    }
    enum outcome outcome = path_check(slice_str(request->path), false, &err);
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
        return;
    }
    if (request->progress_ms != 0 && request->progress_ms < GRPC_PROGRESS_MS_MIN) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "progress_ms: %u, at least %u",
                       request->progress_ms, GRPC_PROGRESS_MS_MIN);
        return;
    }
    struct config_watch *w = mem_zalloc(sizeof *w);
    w->call = call;
    w->progress_ms = request->progress_ms != 0 ? request->progress_ms : GRPC_PROGRESS_MS;
    w->is_recursive = request->recursive;
    w->from_revision = request->from_revision;
    buf_append_str(&w->path, request->path);
    call->data = w;
    call->read.is_barrier = true;
    grpc_call_read(call, watch_got);
}

void config_watch_drained(struct grpc_call *call)
{
    struct config_watch *w = call->data;
    if (w != NULL && w->watch.state == WATCH_WAITING) {
        watch_resume(node_watches(grpc_call_node(call)), &w->watch);
    }
}

void config_watch_ended(struct grpc_call *call)
{
    struct config_watch *w = call->data;
    if (w != NULL) {
        watch_stop(node_watches(grpc_call_node(call)), &w->watch);
        buf_close(&w->path);
        mem_free(w);
        call->data = NULL;
    }
}
