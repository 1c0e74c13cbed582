/* Listings of coord.v1.Watch: everything in a watch's scope at one revision, captured in one go so
 * that nothing is applied meanwhile, and sent page by page as the client reads.
 *
 * A stream captures one listing at a time, so that a thousand of them do not lie in memory at once.
 * Captured are paths, stats and references to values; each entry goes as it is sent. */
#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "net/grpc/answer.h"
#include "net/grpc/watch.h"
#include "net/grpc/wire.h"
#include "store/store.h"
#include "store/value.h"
#include "watch/glob.h"

/* Field numbers of WatchReply, which is written piece by piece. */
enum { WATCH_REPLY_ENTRIES = 6, WATCH_REPLY_MORE = 7 };

/* Of an entry besides its bytes: stat and tags. */
#define ENTRY_BYTES ((size_t)160)
/* Looked at by one query. */
#define CAPTURE_PAGE_ENTRIES 1000

/* ---- capture ----------------------------------------------------------------------------- */

struct capture {
    struct grpc_watch_setup *setup;
    struct slice identities; /* a node whose events the caller may not see is not listed */
    struct grpc_watch_shared *shared;
    const struct store *store;
    struct arena arena; /* of one page */
    size_t seen;
    size_t looked_at; /* with what the caller may not see */
    const char *limit_name; /* of the limit that was exceeded; NULL: none */
    size_t limit;
};

static struct slice last_component(struct slice path)
{
    size_t at = path.size;
    while (at > 0 && path.data[at - 1] != '/') {
        at--;
    }
    return slice_make(path.data + at, path.size - at);
}

/* False: a limit is exceeded. */
static bool capture_add(struct capture *c, struct slice path, struct value *value,
                        const struct node_stat *stat)
{
    struct grpc_watch_setup *setup = c->setup;
    if (++c->seen > GRPC_LISTING_NODES_MAX) {
        c->limit_name = "nodes in the scope of a listing";
        c->limit = GRPC_LISTING_NODES_MAX;
        return false;
    }
    if (setup->filter.glob.size > 0 && !glob_match(setup->filter.glob, last_component(path))) {
        return true;
    }
    struct grpc_listing_entry *e = mem_alloc(sizeof *e + path.size + 1);
    *e = (struct grpc_listing_entry){
        .value = value_ref(value), .stat = *stat, .bytes = sizeof *e + path.size + 1};
    memcpy(e->path, path.data, path.size);
    e->path[path.size] = '\0';
    *setup->last = e;
    setup->last = &e->next;
    c->shared->listing_bytes += e->bytes;
    if (c->shared->listing_bytes > GRPC_LISTING_BYTES_MAX) {
        c->limit_name = "bytes of listings that wait for their clients";
        c->limit = GRPC_LISTING_BYTES_MAX;
        return false;
    }
    return true;
}

static bool capture_node(struct capture *c, struct slice path)
{
    struct query_result result;
    struct query query = {.type = QUERY_GET,
                          .space = SPACE_NODES,
                          .path = path,
                          .identities = c->identities};
    arena_clear(&c->arena);
    store_query(c->store, &query, &result, &c->arena);
    c->looked_at++;
    bool with_values = !c->setup->owner->keys_only;
    return result.outcome != OUTCOME_OK ||
           capture_add(c, path, with_values ? result.value : NULL, &result.stat);
}

/* All that a list has, as far as it begins with `prefix`. */
static bool capture_list(struct capture *c, struct query *query, struct slice prefix)
{
    uint8_t after[STORE_PATH_BYTES_MAX];
    struct query_result result;
    query->type = QUERY_LIST;
    query->space = SPACE_NODES;
    query->identities = c->identities;
    query->limit = CAPTURE_PAGE_ENTRIES;
    query->with_data = !c->setup->owner->keys_only;
    do {
        arena_clear(&c->arena);
        store_query(c->store, query, &result, &c->arena);
        if (result.outcome != OUTCOME_OK) {
            return true; /* nothing there, or nothing that may be seen */
        }
        c->looked_at += result.entry_count;
        for (uint32_t i = 0; i < result.entry_count; i++) {
            const struct query_entry *e = &result.entries[i];
            if (!slice_begins(e->path, prefix)) {
                return true; /* in path order, what begins alike lies together */
            }
            if (!e->unreadable && !capture_add(c, e->path, e->value, &e->stat)) {
                return false;
            }
        }
        if (result.more) {
            struct slice last = result.entries[result.entry_count - 1].path;
            memcpy(after, last.data, last.size);
            query->after = slice_make(after, last.size);
        }
    } while (result.more);
    return true;
}

/* Everything that begins with `prefix`: below the directory it names so far, from it on. */
static bool capture_prefix(struct capture *c, struct slice prefix)
{
    struct slice name = last_component(prefix);
    size_t parent_bytes = prefix.size - name.size; /* with its slash */
    struct query query = {
        .path = slice_make(prefix.data, parent_bytes > 1 ? parent_bytes - 1 : parent_bytes),
        .recursive = true,
        .after = name.size > 0 ? prefix : slice_make(NULL, 0),
    };
    bool has_self = name.size > 0 || prefix.size == 1; /* "/a/" is no path, "/" is */
    return (!has_self || capture_node(c, prefix)) && capture_list(c, &query, prefix);
}

static bool capture_all(struct capture *c)
{
    const struct watch_filter *filter = &c->setup->filter;
    struct query query = {.path = filter->path, .depth = filter->depth};
    switch (filter->scope) {
    case WATCH_NODE: return capture_node(c, filter->path);
    case WATCH_CHILDREN: return capture_list(c, &query, slice_make(NULL, 0));
    case WATCH_SUBTREE:
        query.recursive = true;
        return capture_node(c, filter->path) && capture_list(c, &query, slice_make(NULL, 0));
    default: return capture_prefix(c, filter->path);
    }
}

static void entry_pop(struct grpc_watch_setup *setup, struct grpc_watch_shared *shared)
{
    struct grpc_listing_entry *e = setup->first;
    setup->first = e->next;
    if (setup->first == NULL) {
        setup->last = &setup->first;
    }
    shared->listing_bytes -= e->bytes;
    value_unref(e->value);
    mem_free(e);
}

void grpc_listing_drop(struct grpc_watch_setup *setup, struct grpc_watch_shared *shared)
{
    while (setup->first != NULL) {
        entry_pop(setup, shared);
    }
}

/* Captures, and has the hub go on from there. False: too much, and the watch is gone. */
static bool capture(struct grpc_watch *w)
{
    struct grpc_watch_setup *setup = w->setup;
    struct capture c = {
        .setup = setup,
        .identities = grpc_call_identities(w->stream->call),
        .shared = w->stream->shared,
        .store = node_store(grpc_call_node(w->stream->call)),
    };
    bool is_whole = capture_all(&c);
    arena_close(&c.arena);
    grpc_call_scanned(w->stream->call, c.looked_at);
    if (!is_whole) {
        grpc_watch_end(w, OUTCOME_LIMIT, "list: more than %zu %s", c.limit, c.limit_name);
        return false;
    }
    setup->revision = store_revision(c.store);
    setup->stage = GRPC_WATCH_LISTING;
    if (!setup->is_created) {
        setup->is_created = true;
        grpc_watch_tell(w->stream, w->id, COORD__V1__WATCH_REPLY__TYPE__CREATED,
                        setup->revision + 1);
    }
    uint64_t follow = setup->revision + (MUTANT_IS(MUTANT_LISTING_GAP) ? 2 : 1);
    enum outcome outcome = watch_start(grpc_watch_hub(w->stream), &w->watch, &setup->filter,
                                       &grpc_watch_ops, follow);
    POST(outcome == OUTCOME_OK); /* nothing can have been trimmed that has not happened yet */
    return true;
}

/* ---- pages ------------------------------------------------------------------------------- */

static void entry_append(struct buf *out, const struct grpc_listing_entry *e)
{
    /* The generated structs hold strings without const, and only read them. */
    Coord__V1__Stat stat = answer_stat(&e->stat);
    Coord__V1__ListEntry message;
    coord__v1__list_entry__init(&message);
    message.path = answer_text(e->path);
    message.stat = &stat;
    if (e->value != NULL) {
        message.data = (ProtobufCBinaryData){.len = e->value->size, .data = e->value->bytes};
    }
    wire_append_message(out, WATCH_REPLY_ENTRIES, &message.base);
}

/* Sends the next page, which may be empty if nothing is there at all. */
static void page_send(struct grpc_watch *w)
{
    struct grpc_watch_setup *setup = w->setup;
    struct grpc_watch_shared *shared = w->stream->shared;
    struct grpc_call *call = w->stream->call;
    Coord__V1__ReplyHeader header;
    Coord__V1__WatchReply reply = grpc_watch_reply(
        w->stream, &header, w->id, COORD__V1__WATCH_REPLY__TYPE__LISTING, setup->revision);
    size_t begin;
    struct buf *out = grpc_call_begin_with(call, &reply.base, &begin);

    size_t sent = 0;
    while (setup->first != NULL) {
        const struct grpc_listing_entry *e = setup->first;
        size_t more = ENTRY_BYTES + e->bytes + value_slice(e->value).size;
        if (sent > 0 && out->size - begin + more > GRPC_LISTING_PAGE_BYTES) {
            break;
        }
        entry_append(out, e);
        entry_pop(setup, shared);
        sent++;
    }
    if (setup->first != NULL) {
        wire_append_number(out, WATCH_REPLY_MORE, 1);
    }
    metric_add(shared->listed, (int64_t)sent);
    metric_add(shared->event_bytes, (int64_t)(out->size - begin));
    grpc_call_end(call, begin);
}

/* ---- the line ---------------------------------------------------------------------------- */

void grpc_listing_queue(struct grpc_watch *w)
{
    struct grpc_watch_setup *setup = w->setup;
    grpc_listing_drop(setup, w->stream->shared);
    setup->stage = GRPC_WATCH_QUEUED;
    list_remove(&setup->link);
    list_push_back(&w->stream->listings, &setup->link);
    grpc_call_await_room(w->stream->call);
}

static void listing_done(struct grpc_watch *w)
{
    grpc_watch_setup_free(w);
    grpc_watch_postpone(w);
    if (w->watch.state == WATCH_WAITING) {
        watch_resume(grpc_watch_hub(w->stream), &w->watch);
    }
}

void grpc_listing_step(struct grpc_watch_stream *stream)
{
    if (list_empty(&stream->listings)) {
        return;
    }
    struct grpc_watch_setup *setup =
        LIST_OF(stream->listings.next, struct grpc_watch_setup, link);
    struct grpc_watch *w = setup->owner;
    if (setup->stage != GRPC_WATCH_LISTING && !grpc_call_may_scan(stream->call)) {
        return;
    }
    if (setup->stage == GRPC_WATCH_LISTING || capture(w)) {
        page_send(w);
        if (setup->first == NULL) {
            listing_done(w);
        }
    }
    if (!list_empty(&stream->listings)) {
        grpc_call_await_room(stream->call);
    }
}
