/* How a watch of coord.v1.Watch begins: a barrier if it has to be fresh, then the first message. */
#include <inttypes.h>

#include "base/mem.h"
#include "base/mutant.h"
#include "net/grpc/audit.h"
#include "net/grpc/watch.h"
#include "store/access.h"
#include "store/store.h"

/* ---- setups ------------------------------------------------------------------------------ */

void grpc_watch_setup_new(struct grpc_watch *w, const struct watch_filter *filter)
{
    size_t path_bytes = filter->path.size;
    size_t glob_bytes = filter->glob.size;
    struct grpc_watch_setup *setup = mem_zalloc(sizeof *setup + path_bytes + glob_bytes);
    list_init(&setup->link);
    setup->owner = w;
    setup->last = &setup->first;
    setup->filter = *filter;
    setup->filter.path = slice_make(setup->text, path_bytes);
    setup->filter.glob = slice_make(setup->text + path_bytes, glob_bytes);
    if (path_bytes > 0) {
        memcpy(setup->text, filter->path.data, path_bytes);
    }
    if (glob_bytes > 0) {
        memcpy(setup->text + path_bytes, filter->glob.data, glob_bytes);
    }
    w->setup = setup;
}

static void barrier_end(struct grpc_watch *w)
{
    w->setup->stage = GRPC_WATCH_READY;
    w->stream->barriers--;
}

void grpc_watch_setup_free(struct grpc_watch *w)
{
    struct grpc_watch_setup *setup = w->setup;
    if (setup == NULL) {
        return;
    }
    if (setup->stage == GRPC_WATCH_BARRIER) {
        node_read_cancel(grpc_call_node(w->stream->call), &setup->read);
        barrier_end(w);
    }
    grpc_listing_drop(setup, w->stream->shared);
    list_remove(&setup->link);
    mem_free(setup);
    w->setup = NULL;
}

/* ---- the beginning ----------------------------------------------------------------------- */

/* The log has been trimmed beyond the revision that was asked for. */
static void begin_compacted(struct grpc_watch *w)
{
    uint64_t floor = store_history_floor(node_store(grpc_call_node(w->stream->call)));
    grpc_watch_tell(w->stream, w->id, COORD__V1__WATCH_REPLY__TYPE__COMPACTED, floor);
    if (w->relists) {
        w->setup->is_created = true;
        grpc_listing_queue(w);
    } else {
        grpc_watch_end(w, OUTCOME_COMPACTED,
                       "from_revision: %" PRIu64
                       " is no longer retained, the oldest is %" PRIu64,
                       w->setup->from_revision, floor);
    }
}

/* What roles do not allow to read, nobody waits for. Of what is below, each event is asked for. */
static bool may_watch(struct grpc_watch *w)
{
    const struct watch_filter *filter = &w->setup->filter;
    struct grpc_call *call = w->stream->call;
    struct access access;
    access_begin(&access, node_store(grpc_call_node(call)), grpc_call_identities(call));
    if (access_path(&access, ACL_READ, filter->space, filter->path)) {
        return true;
    }
    grpc_audit_watch(call, filter->path, OUTCOME_NO_AUTH);
    grpc_watch_end(w, OUTCOME_NO_AUTH, "%.*s: read is not allowed to user %.*s",
                   (int)filter->path.size, (const char *)filter->path.data,
                   (int)access.user.size, (const char *)access.user.data);
    return false;
}

/* This node is as fresh as the client wants it to be. */
static void begin(struct grpc_watch *w)
{
    struct grpc_watch_setup *setup = w->setup;
    if (!may_watch(w)) {
        return;
    }
    grpc_audit_watch(w->stream->call, setup->filter.path, OUTCOME_OK);
    uint64_t revision = store_revision(node_store(grpc_call_node(w->stream->call)));
    if (setup->lists) {
        grpc_listing_queue(w);
        return;
    }
    if (setup->may_not_wait && setup->from_revision > revision + 1) {
        grpc_watch_end(w, OUTCOME_FUTURE_REVISION,
                       "from_revision: %" PRIu64 " is in the future, the last is %" PRIu64,
                       setup->from_revision, revision);
        return;
    }
    uint64_t from = setup->from_revision > 0 ? setup->from_revision : revision + 1;
    grpc_watch_tell(w->stream, w->id, COORD__V1__WATCH_REPLY__TYPE__CREATED, from);
    if (MUTANT_IS(MUTANT_WATCH_GAP) && setup->from_revision > 0) {
        from++;
    } else if (MUTANT_IS(MUTANT_WATCH_TWICE) && setup->from_revision > 2) {
        from--;
    }
    enum outcome outcome = watch_start(grpc_watch_hub(w->stream), &w->watch, &setup->filter,
                                       &grpc_watch_ops, from);
    if (outcome == OUTCOME_COMPACTED) {
        begin_compacted(w);
    } else if (from > revision + 1) {
        setup->stage = GRPC_WATCH_AHEAD;
    } else {
        grpc_watch_setup_free(w);
    }
}

/* A client that wants what this node cannot give finds it at another one; there, its other watches
 * go on as well. */
static void stream_give_up(struct grpc_watch_stream *stream, enum status rc)
{
    grpc_call_fail(stream->call, GRPC_UNAVAILABLE, "%s: no watch was begun, try another node",
                   status_text(rc));
}

static void barrier_cb(struct node_read *read, enum status rc,
                       const struct query_result *result)
{
    (void)result; /* a barrier has none */
    struct grpc_watch *w = read->owner;
    struct grpc_watch_stream *stream = w->stream;
    barrier_end(w);
    if (rc == RC_OK) {
        begin(w);
        grpc_watch_progress_soon(stream);
    } else {
        stream_give_up(stream, rc);
    }
}

void grpc_watch_start(struct grpc_watch *w, const Coord__V1__RequestHeader *header)
{
    struct grpc_watch_setup *setup = w->setup;
    struct grpc_call *call = w->stream->call;
    struct node *node = grpc_call_node(call);
    struct node_read *read = &setup->read;
    *read = (struct node_read){.done = barrier_cb, .owner = w, .is_barrier = true};
    if (header != NULL) {
        read->consistency = (uint8_t)header->consistency; /* the same numbers */
        read->min_index = header->min_index;
        read->bound_ms = header->bound_ms;
    }
    setup->may_not_wait = read->consistency == READ_LINEARIZABLE;
    bool has_all = read->consistency == READ_SESSION &&
                   read->min_index <= store_applied_index(node_store(node));
    if (has_all || read->consistency == READ_LOCAL) {
        begin(w);
        return;
    }
    enum status rc = node_read(node, read, call->connection->now_ms + GRPC_TIMEOUT_DEFAULT_MS);
    if (rc == RC_OK) {
        setup->stage = GRPC_WATCH_BARRIER;
        w->stream->barriers++;
    } else {
        stream_give_up(w->stream, rc);
    }
}
