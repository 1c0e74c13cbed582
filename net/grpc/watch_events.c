/* What coord.v1.Watch sends of a running watch: the changes of one revision after another, as the
 * hub delivers them, as far as there is room. */
#include <inttypes.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "net/grpc/answer.h"
#include "net/grpc/watch.h"
#include "net/grpc/wire.h"
#include "store/store.h"

/* Field numbers of WatchReply, which is written piece by piece. */
enum { WATCH_REPLY_EVENTS = 5, WATCH_REPLY_MORE = 7 };

/* Of an event besides its bytes: stat and numbers with their tags. */
#define EVENT_BYTES ((size_t)256)

/* ---- one event --------------------------------------------------------------------------- */

static ProtobufCBinaryData value_borrow(struct value *v)
{
    ProtobufCBinaryData none = {0};
    return v == NULL ? none : (ProtobufCBinaryData){.len = v->size, .data = v->bytes};
}

void grpc_event_fill(struct grpc_call *call, const struct change *change, bool with_values,
                     bool with_previous, Coord__V1__Event *event, Coord__V1__Stat *stat)
{
    *stat = answer_stat(&change->stat);
    coord__v1__event__init(event);
    event->type = (Coord__V1__EventType)change->type; /* the same numbers */
    event->path = answer_copy(call, change->path);
    event->stat = stat;
    event->reason = (Coord__V1__Reason)change->reason; /* the same numbers */
    event->revision = change->revision;
    event->sub = change->sub;
    event->session = change->session;
    event->note = answer_copy(call, change->note);
    event->time_ms = change->wall_ms;
    if (with_values && change->type != CHANGE_DELETE) {
        event->data = value_borrow(change->data);
    }
    if (with_values && with_previous) {
        event->previous = value_borrow(change->old_data);
    }
}

size_t grpc_event_bytes(const struct change *change, bool with_values, bool with_previous)
{
    size_t bytes = EVENT_BYTES + change->path.size + change->note.size;
    if (with_values && change->type != CHANGE_DELETE) {
        bytes += value_slice(change->data).size;
    }
    if (with_values && with_previous) {
        bytes += value_slice(change->old_data).size;
    }
    return bytes;
}

static void event_encode(struct grpc_watch *w, const struct change *change, struct buf *out)
{
    Coord__V1__Event event;
    Coord__V1__Stat stat;
    grpc_event_fill(w->stream->call, change, !w->keys_only, w->with_previous, &event, &stat);
    wire_append_message(out, WATCH_REPLY_EVENTS, &event.base);
}

/* A change is known by its place: what is applied at a revision is the same for ever. */
static void event_append(struct grpc_watch *w, const struct change *change, size_t bytes,
                         struct buf *out)
{
    struct grpc_event_cache *cache = &w->stream->shared->cache;
    if (bytes > GRPC_EVENT_CACHE_BYTES) {
        event_encode(w, change, out);
        return;
    }
    bool is_cached = cache->bytes.size > 0 && cache->revision == change->revision &&
                     cache->sub == change->sub && cache->with_values == !w->keys_only &&
                     cache->with_previous == w->with_previous;
    if (!is_cached) {
        buf_clear(&cache->bytes);
        event_encode(w, change, &cache->bytes);
        cache->revision = change->revision;
        cache->sub = change->sub;
        cache->with_values = !w->keys_only;
        cache->with_previous = w->with_previous;
    }
    buf_append_slice(out, buf_slice(&cache->bytes));
}

/* ---- messages ---------------------------------------------------------------------------- */

/* Sends a message of the first of `count` changes, at least one of them; returns how many. */
static size_t piece_send(struct grpc_watch *w, const struct change *const *changes,
                         size_t count, bool more)
{
    struct grpc_call *call = w->stream->call;
    Coord__V1__ReplyHeader header;
    Coord__V1__WatchReply reply = grpc_watch_reply(
        w->stream, &header, w->id, COORD__V1__WATCH_REPLY__TYPE__EVENTS, changes[0]->revision);
    bool with_values = !w->keys_only;
    size_t begin;
    struct buf *out = grpc_call_begin(call, &begin);
    size_t bytes = protobuf_c_message_get_packed_size(&reply.base);
    (void)protobuf_c_message_pack(&reply.base, buf_extend(out, bytes));

    size_t sent = 0;
    size_t total = bytes;
    while (sent < count) {
        const struct change *change = changes[sent];
        bytes = grpc_event_bytes(change, with_values, w->with_previous);
        total += bytes;
        if (sent > 0 &&
            (total > GRPC_EVENTS_BYTES_MAX || MUTANT_IS(MUTANT_REVISION_IN_PIECES))) {
            break;
        }
        event_append(w, change, bytes, out);
        sent++;
    }
    w->is_split = (more || sent < count) && !MUTANT_IS(MUTANT_REVISION_IN_PIECES);
    if (w->is_split) {
        wire_append_number(out, WATCH_REPLY_MORE, 1);
    }
    metric_add(w->stream->shared->events, (int64_t)sent);
    metric_add(w->stream->shared->event_bytes, (int64_t)(out->size - begin));
    grpc_call_end(call, begin);
    arena_clear(&call->connection->shared->scratch);
    return sent;
}

/* ---- what the hub calls ------------------------------------------------------------------ */

static size_t events_deliver(struct watch *base, const struct change *const *changes,
                             size_t count, bool continued, bool more)
{
    (void)continued;
    struct grpc_watch *w = LIST_OF(base, struct grpc_watch, watch);
    if (grpc_watch_is_ahead(w)) {
        grpc_watch_setup_free(w);
    }
    if (w->setup != NULL) {
        return 0; /* its listing comes first, and resumes it */
    }
    size_t taken = 0;
    while (taken < count && !grpc_call_is_full(w->stream->call)) {
        taken += piece_send(w, changes + taken, count - taken, more);
    }
    if (taken > 0) {
        grpc_watch_postpone(w);
    }
    if (taken < count) {
        if (!w->is_waiting) {
            w->is_waiting = true;
            buf_append(&w->stream->waiting, &w->id, sizeof w->id);
        }
    } else if (w->is_once && !more) {
        grpc_watch_end(w, OUTCOME_OK, "once");
    }
    return taken;
}

static void events_compacted(struct watch *base, uint64_t floor)
{
    struct grpc_watch *w = LIST_OF(base, struct grpc_watch, watch);
    w->is_waiting = false;
    w->is_split = false;
    grpc_watch_tell(w->stream, w->id, COORD__V1__WATCH_REPLY__TYPE__COMPACTED, floor);
    if (!w->relists) {
        grpc_watch_end(w, OUTCOME_COMPACTED,
                       "the client was too slow: the oldest revision retained is %" PRIu64,
                       floor);
        return;
    }
    if (w->setup == NULL) {
        grpc_watch_setup_new(w, &base->filter);
    }
    w->setup->is_created = true;
    grpc_listing_queue(w);
}

static bool events_may_see(struct watch *base, const struct change *change)
{
    const struct grpc_watch *w = LIST_OF(base, struct grpc_watch, watch);
    const struct grpc_call *call = w->stream->call;
    return store_may_see(node_store(grpc_call_node(call)), change, grpc_call_identities(call));
}

const struct watch_ops grpc_watch_ops = {
    .deliver = events_deliver,
    .may_see = events_may_see,
    .compacted = events_compacted,
};
