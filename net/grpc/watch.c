/* coord.v1.Watch: requests, timers, the life of streams and of their watches. The states are in
 * net/grpc/watch.h. */
#include "net/grpc/watch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/grpc/answer.h"
#include "store/access.h"
#include "store/store.h"

#define BUCKETS_MIN 8

/* ---- all streams ------------------------------------------------------------------------- */

struct grpc_watch_shared *grpc_watch_shared_new(struct metrics *metrics)
{
    struct grpc_watch_shared *shared = mem_zalloc(sizeof *shared);
    if (metrics != NULL) {
        shared->streams = metrics_gauge(metrics, "coord_watch_streams", NULL,
                                        "gRPC watch streams that are open now.");
        shared->events = metrics_counter(metrics, "coord_watch_events_sent_total", NULL,
                                         "Events written to gRPC watch streams.");
        shared->event_bytes =
            metrics_counter(metrics, "coord_watch_sent_bytes_total", NULL,
                            "Bytes of events and listings written to gRPC watch streams.");
        shared->listed = metrics_counter(metrics, "coord_watch_listed_nodes_total", NULL,
                                         "Nodes written to gRPC watch streams in listings.");
    }
    return shared;
}

void grpc_watch_shared_free(struct grpc_watch_shared *shared)
{
    PRE(shared->watch_count == 0 && shared->listing_bytes == 0);
    buf_close(&shared->cache.bytes);
    mem_free(shared);
}

/* ---- the watches of a stream ------------------------------------------------------------- */

static struct grpc_watch *watch_new(struct grpc_watch_stream *stream, uint64_t id,
                                    const Coord__V1__WatchCreate *request)
{
    struct grpc_watch *w = mem_zalloc(sizeof *w);
    w->stream = stream;
    w->id = id;
    w->progress_ms = request->progress_ms;
    w->is_once = request->once;
    w->relists = request->relist;
    w->keys_only = request->keys_only;
    w->with_previous = request->with_previous;
    grpc_watch_table_add(&stream->watches, w);
    stream->shared->watch_count++;
    return w;
}

/* Everything but its place in the table. */
static void watch_free(struct grpc_watch *w)
{
    struct grpc_watch_stream *stream = w->stream;
    watch_stop(grpc_watch_hub(stream), &w->watch);
    grpc_watch_setup_free(w);
    heap_remove(&stream->timers, &w->timer);
    stream->shared->watch_count--;
    allowance_unwatch(&stream->hold);
    mem_free(w);
}

/* ---- replies ----------------------------------------------------------------------------- */

Coord__V1__WatchReply grpc_watch_reply(const struct grpc_watch_stream *stream,
                                       Coord__V1__ReplyHeader *header, uint64_t id,
                                       Coord__V1__WatchReply__Type type, uint64_t revision)
{
    const struct node *node = grpc_call_node(stream->call);
    const struct store *store = node_store(node);
    uint64_t age_ms = node_age_ms(node);
    Coord__V1__WatchReply reply;
    *header = answer_header(stream->call, store_revision(store), store_applied_index(store));
    header->age_known = age_ms != UINT64_MAX;
    header->age_ms = header->age_known ? age_ms : 0;
    coord__v1__watch_reply__init(&reply);
    reply.header = header;
    reply.watch_id = id;
    reply.type = type;
    reply.revision = revision;
    return reply;
}

void grpc_watch_tell(struct grpc_watch_stream *stream, uint64_t id,
                     Coord__V1__WatchReply__Type type, uint64_t revision)
{
    Coord__V1__ReplyHeader header;
    Coord__V1__WatchReply reply = grpc_watch_reply(stream, &header, id, type, revision);
    grpc_call_send(stream->call, &reply.base);
}

static void tell_canceled(struct grpc_watch_stream *stream, uint64_t id, enum outcome outcome,
                          const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static void tell_canceled(struct grpc_watch_stream *stream, uint64_t id, enum outcome outcome,
                          const char *format, va_list args)
{
    char text[512];
    Coord__V1__ReplyHeader header;
    Coord__V1__WatchReply reply =
        grpc_watch_reply(stream, &header, id, COORD__V1__WATCH_REPLY__TYPE__CANCELED, 0);
    (void)vsnprintf(text, sizeof text, format, args);
    reply.outcome = (Coord__V1__Outcome)outcome;
    reply.text = text;
    grpc_call_send(stream->call, &reply.base);
}

/* Refuses what is no watch. */
static void refuse(struct grpc_watch_stream *stream, uint64_t id, enum outcome outcome,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void refuse(struct grpc_watch_stream *stream, uint64_t id, enum outcome outcome,
                   const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell_canceled(stream, id, outcome, format, args);
    va_end(args);
}

void grpc_watch_end(struct grpc_watch *w, enum outcome outcome, const char *format, ...)
{
    struct grpc_watch_stream *stream = w->stream;
    va_list args;
    va_start(args, format);
    tell_canceled(stream, w->id, outcome, format, args);
    va_end(args);
    grpc_watch_table_remove(&stream->watches, w);
    watch_free(w);
    if (stream->watches.count == 0 && stream->call->state == GRPC_CALL_HANDLED) {
        /* The call ends in `drained`, not under the feet of whoever called. */
        grpc_call_await_room(stream->call);
    }
    grpc_watch_progress_soon(stream);
}

/* ---- timers ------------------------------------------------------------------------------ */

static void timer_set(struct grpc_watch_stream *stream)
{
    const struct heap_node *first = heap_peek(&stream->timers);
    uint64_t at = stream->check_ms;
    grpc_call_wake_at(stream->call, first != NULL && first->key < at ? first->key : at);
}

void grpc_watch_postpone(struct grpc_watch *w)
{
    if (w->progress_ms > 0) {
        struct env *env = w->stream->call->connection->env->env;
        heap_update(&w->stream->timers, &w->timer, env->now_ms(env) + w->progress_ms);
    }
}

/* Nothing is said about a watch whose client lacks the rest of a listing or of a revision, nor
 * about one whose first revision lies ahead. */
static void progress_tell(struct grpc_watch *w)
{
    const struct watch_hub *hub = grpc_watch_hub(w->stream);
    bool is_ahead = grpc_watch_is_ahead(w);
    if ((w->setup != NULL && !is_ahead) || w->is_split) {
        return;
    }
    if (is_ahead && hub_revision(hub) + 1 < w->setup->from_revision) {
        return;
    }
    if (!grpc_call_is_full(w->stream->call)) {
        grpc_watch_tell(w->stream, w->id, COORD__V1__WATCH_REPLY__TYPE__PROGRESS,
                        watch_delivered(hub, &w->watch));
    }
}

bool grpc_node_takes_reads(struct node *node)
{
    struct node_read probe = {.consistency = READ_LOCAL, .is_barrier = true};
    if (node_read(node, &probe, UINT64_MAX) != RC_OK) {
        return false;
    }
    node_read_cancel(node, &probe);
    return true;
}

static void watch_woken(struct grpc_call *call)
{
    struct grpc_watch_stream *stream = call->data;
    uint64_t now = call->connection->now_ms;
    if (now >= stream->check_ms) {
        stream->check_ms = now + GRPC_SERVING_CHECK_MS;
        struct node *node = grpc_call_node(call);
        if (!node_is_serving(node) && !grpc_node_takes_reads(node)) {
            grpc_call_fail(call, GRPC_UNAVAILABLE, "this node does not serve: watch elsewhere");
            return;
        }
    }
    struct heap_node *first;
    while ((first = heap_peek(&stream->timers)) != NULL && first->key <= now) {
        struct grpc_watch *w = HEAP_OF(first, struct grpc_watch, timer);
        heap_update(&stream->timers, first, now + w->progress_ms);
        progress_tell(w);
    }
    timer_set(stream);
}

/* ---- create ------------------------------------------------------------------------------ */

/* False: the user has as many watches as he may, and the client is told. */
static bool is_within_limits(struct grpc_watch_stream *stream, uint64_t id)
{
    struct grpc_call *call = stream->call;
    struct allowances *allowances = call->connection->env->allowances;
    char text[ALLOWANCE_TEXT_BYTES_MAX];
    struct access access;
    access_begin(&access, node_store(grpc_call_node(call)), grpc_call_identities(call));
    if (allowance_watch(allowances, &stream->hold, access.user)) {
        return true;
    }
    allowance_text(allowances, access.user, ALLOWANCE_WATCHES, text);
    refuse(stream, id, OUTCOME_USER_LIMIT, "%s", text);
    return false;
}

/* OUTCOME_OK, or what is wrong with a field that has nothing to do with the filter. */
static enum outcome create_check(const struct grpc_watch_stream *stream,
                                 const Coord__V1__WatchCreate *request, struct errmsg *err)
{
    int consistency = request->header == NULL ? 0 : (int)request->header->consistency;
    if (stream->watches.count >= GRPC_STREAM_WATCHES_MAX) {
        (void)errmsg_set(err, RC_TOO_LARGE, "more than %zu watches on one stream",
                         GRPC_STREAM_WATCHES_MAX);
        return OUTCOME_LIMIT;
    }
    if (stream->shared->watch_count >= GRPC_WATCHES_MAX) {
        (void)errmsg_set(err, RC_TOO_LARGE, "more than %zu watches on this node",
                         GRPC_WATCHES_MAX);
        return OUTCOME_LIMIT;
    }
    if (request->list && request->from_revision != 0) {
        (void)errmsg_set(err, RC_INVALID,
                         "list, from_revision: a listing is of now, only one can be asked for");
    } else if (request->progress_ms > 0 && request->progress_ms < GRPC_PROGRESS_MS_MIN) {
        (void)errmsg_set(err, RC_INVALID, "progress_ms: %u is less than %u",
                         request->progress_ms, GRPC_PROGRESS_MS_MIN);
    } else if (consistency < 0 || consistency > COORD__V1__CONSISTENCY__LOCAL) {
        (void)errmsg_set(err, RC_INVALID, "header.consistency: %d is none", consistency);
    } else {
        return OUTCOME_OK;
    }
    return OUTCOME_BAD_ARGUMENTS;
}

static enum outcome filter_fill(const Coord__V1__WatchCreate *request,
                                struct watch_filter *filter, struct errmsg *err)
{
    int scope = (int)request->scope;
    *filter = (struct watch_filter){
        .space = SPACE_NODES,
        .depth = request->depth,
        .path = slice_str(request->path),
        .glob = slice_str(request->glob),
    };
    switch (scope) {
    case COORD__V1__WATCH_CREATE__SCOPE__NODE: filter->scope = WATCH_NODE; break;
    case COORD__V1__WATCH_CREATE__SCOPE__CHILDREN: filter->scope = WATCH_CHILDREN; break;
    case COORD__V1__WATCH_CREATE__SCOPE__SUBTREE: filter->scope = WATCH_SUBTREE; break;
    case COORD__V1__WATCH_CREATE__SCOPE__PREFIX: filter->scope = WATCH_PREFIX; break;
    default:
        (void)errmsg_set(err, RC_INVALID, "scope: %d is none", scope);
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (request->depth > 0 && filter->scope != WATCH_SUBTREE) {
        (void)errmsg_set(err, RC_INVALID, "depth: %u, but only a SUBTREE has levels",
                         request->depth);
        return OUTCOME_BAD_ARGUMENTS;
    }
    bool is_any = request->n_types == 0;
    for (size_t i = 0; i < request->n_types; i++) {
        int type = (int)request->types[i];
        if (type < COORD__V1__EVENT_TYPE__ANY_EVENT ||
            type > COORD__V1__EVENT_TYPE__ACL_EVENT) {
            (void)errmsg_set(err, RC_INVALID, "types[%zu]: %d is none", i, type);
            return OUTCOME_BAD_ARGUMENTS;
        }
        is_any = is_any || type == COORD__V1__EVENT_TYPE__ANY_EVENT;
        filter->types = (uint8_t)(filter->types | 1 << type);
    }
    filter->types = is_any ? 0 : filter->types;
    return watch_filter_check(filter, err);
}

static uint64_t id_choose(struct grpc_watch_stream *stream)
{
    while (grpc_watch_table_find(&stream->watches, stream->next_id) != NULL ||
           stream->next_id == 0) {
        stream->next_id++;
    }
    return stream->next_id++;
}

static void create(struct grpc_watch_stream *stream, const Coord__V1__WatchCreate *request)
{
    uint64_t id = request->watch_id;
    struct watch_filter filter;
    struct errmsg err;
    if (id != 0 && grpc_watch_table_find(&stream->watches, id) != NULL) {
        /* Not by that id: its watch goes on. */
        refuse(stream, 0, OUTCOME_BAD_ARGUMENTS,
               "watch_id: %" PRIu64 " is in use on this stream", id);
        return;
    }
    id = id != 0 ? id : id_choose(stream);
    enum outcome outcome = create_check(stream, request, &err);
    if (outcome == OUTCOME_OK) {
        outcome = filter_fill(request, &filter, &err);
    }
    if (outcome != OUTCOME_OK) {
        refuse(stream, id, outcome, "%s", err.text);
        return;
    }
    if (!is_within_limits(stream, id)) {
        return;
    }
    const Coord__V1__RequestHeader *header = request->header;
    if (header != NULL && header->session != NULL && header->session->id != 0) {
        answer_touch(stream->call, header->session->id);
    }
    struct grpc_watch *w = watch_new(stream, id, request);
    grpc_watch_setup_new(w, &filter);
    w->setup->lists = request->list;
    w->setup->from_revision = request->from_revision;
    grpc_watch_postpone(w);
    timer_set(stream);
    grpc_watch_start(w, header);
}

/* ---- cancel and progress ----------------------------------------------------------------- */

static void cancel(struct grpc_watch_stream *stream, uint64_t id)
{
    struct grpc_watch *w = grpc_watch_table_find(&stream->watches, id);
    if (w != NULL) {
        grpc_watch_end(w, OUTCOME_OK, "canceled by the client");
    } else {
        refuse(stream, id, OUTCOME_BAD_ARGUMENTS,
               "watch_id: there is no watch %" PRIu64 " on this stream", id);
    }
}

/* Up to where everything has been sent, of all watches. One whose first revision lies ahead has
 * nothing to say. */
static uint64_t stream_delivered(const struct grpc_watch_stream *stream)
{
    const struct watch_hub *hub = grpc_watch_hub(stream);
    uint64_t least = hub_revision(hub);
    for (size_t i = 0; i < stream->watches.capacity; i++) {
        const struct grpc_watch *w = stream->watches.slots[i];
        if (w != NULL && w->watch.state != WATCH_STOPPED) {
            uint64_t delivered = watch_delivered(hub, &w->watch);
            least = delivered < least ? delivered : least;
        }
    }
    return least;
}

void grpc_watch_progress_soon(struct grpc_watch_stream *stream)
{
    if (stream->progress_asked > 0) {
        grpc_call_await_room(stream->call);
    }
}

/* What a listing shows counts as sent only once all of it is. A watch that waits for its barrier
 * may begin far back: what it has to say of the past was not sent either. */
static void progress_answer(struct grpc_watch_stream *stream)
{
    bool is_early = !list_empty(&stream->listings) || stream->barriers > 0;
    if (stream->progress_asked == 0 || is_early) {
        return;
    }
    uint64_t revision = stream_delivered(stream);
    while (stream->progress_asked > 0 && !grpc_call_is_full(stream->call)) {
        stream->progress_asked--;
        grpc_watch_tell(stream, 0, COORD__V1__WATCH_REPLY__TYPE__PROGRESS, revision);
    }
}

/* ---- the stream -------------------------------------------------------------------------- */

static struct grpc_watch_stream *stream_get(struct grpc_call *call)
{
    if (call->data != NULL) {
        return call->data;
    }
    struct grpc_watch_stream *stream = mem_zalloc(sizeof *stream);
    stream->call = call;
    stream->shared = call->connection->shared->watches;
    stream->next_id = 1;
    stream->check_ms = call->connection->now_ms + GRPC_SERVING_CHECK_MS;
    list_init(&stream->listings);
    metric_add(stream->shared->streams, 1);
    call->data = stream;
    timer_set(stream);
    return stream;
}

static void watch_ended(struct grpc_call *call)
{
    struct grpc_watch_stream *stream = call->data;
    if (stream == NULL) {
        return;
    }
    call->data = NULL;
    for (size_t i = 0; i < stream->watches.capacity; i++) {
        if (stream->watches.slots[i] != NULL) {
            watch_free(stream->watches.slots[i]);
        }
    }
    grpc_watch_table_close(&stream->watches);
    heap_close(&stream->timers);
    allowance_release(&stream->hold);
    metric_add(stream->shared->streams, -1);
    buf_close(&stream->waiting);
    mem_free(stream);
}

static void watch_message(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__WatchRequest *request = (const Coord__V1__WatchRequest *)message;
    struct grpc_watch_stream *stream = stream_get(call);
    switch (request->request_case) {
    case COORD__V1__WATCH_REQUEST__REQUEST_CREATE: create(stream, request->create); break;
    case COORD__V1__WATCH_REQUEST__REQUEST_CANCEL:
        cancel(stream, request->cancel->watch_id);
        break;
    case COORD__V1__WATCH_REQUEST__REQUEST_PROGRESS:
        /* Answered together with others that have come in at once, as it looks at all watches. */
        stream->progress_asked++;
        grpc_call_await_room(call);
        break;
    default:
        refuse(stream, 0, OUTCOME_BAD_ARGUMENTS,
               "request: none of create, cancel and progress");
        break;
    }
}

/* Watches go on after the client has said all it had to say. */
static bool stream_is_over(const struct grpc_watch_stream *stream)
{
    return stream->call->state == GRPC_CALL_HANDLED && stream->watches.count == 0 &&
           stream->progress_asked == 0;
}

static void watch_half_closed(struct grpc_call *call)
{
    if (call->data == NULL || stream_is_over(call->data)) {
        grpc_call_finish(call);
    }
}

/* An id may be gone, or that of another watch by now. */
static void resume_waiting(struct grpc_watch_stream *stream)
{
    size_t count = stream->waiting.size / sizeof(uint64_t);
    for (size_t i = 0; i < count; i++) {
        uint64_t id;
        memcpy(&id, stream->waiting.data + i * sizeof id, sizeof id);
        struct grpc_watch *w = grpc_watch_table_find(&stream->watches, id);
        if (w != NULL && w->is_waiting) {
            w->is_waiting = false;
            watch_resume(grpc_watch_hub(stream), &w->watch);
        }
    }
    buf_clear(&stream->waiting);
}

static void watch_drained(struct grpc_call *call)
{
    struct grpc_watch_stream *stream = call->data;
    if (stream == NULL) {
        return;
    }
    resume_waiting(stream);
    grpc_listing_step(stream);
    progress_answer(stream);
    if (stream_is_over(stream)) {
        grpc_call_finish(call);
    }
}

static const struct grpc_method methods[] = {
    {.name = "Watch",
     .audit = AUDIT_NEVER,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__watch_request__descriptor,
     .takes_stream = true,
     .is_long = true,
     .message = watch_message,
     .half_closed = watch_half_closed,
     .drained = watch_drained,
     .woken = watch_woken,
     .ended = watch_ended},
};

const struct grpc_service grpc_watch_service = {
    .name = "coord.v1.Watch",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
