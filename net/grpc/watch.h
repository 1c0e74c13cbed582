/* coord.v1.Watch: what its files share. One stream carries many watches:
 *
 *   create --> BARRIER --(as fresh as asked for)--> RUNNING --(canceled, `once`)--> gone
 *     |           |                                  |   ^
 *     |           +--(list)--> QUEUED --> LISTING ---|---+
 *     |                          ^                   |
 *     +--(LOCAL)--> as if fresh  +--(compacted, relist)
 *
 * A watch that begins with a revision in the future is AHEAD until then.
 *
 *   watch.c          requests, timers, the life of a stream and of its watches
 *   watch_start.c    BARRIER, and how a watch begins
 *   watch_listing.c  QUEUED, LISTING: the state of one revision, captured at once, sent in pages
 *   watch_events.c   RUNNING: what the hub delivers (watch/watch.h)
 *
 * Whatever a watch needs before it is RUNNING lies in a `struct grpc_watch_setup`, which then goes:
 * an idle watch is small. Room is what bounds a stream's memory: events, pages and answers to
 * progress requests go out only as long as grpc_call_is_full says no, and go on in `drained`.
 *
 * What the hub calls (deliver, compacted) and what the node completes (barriers) never ends the
 * call, except that a barrier that fails does: no other function here has lost its stream when it
 * returns, unless it says so. */
#ifndef NET_GRPC_WATCH_H
#define NET_GRPC_WATCH_H

#include "coord/v1/watch.pb-c.h"
#include "net/grpc/call.h"
#include "net/grpc/watch_table.h"
#include "watch/watch.h"

#define GRPC_WATCHES_MAX        ((size_t)1000000) /* on all streams of this node */
#define GRPC_STREAM_WATCHES_MAX ((size_t)10000)   /* on one */
/* Events of one revision beyond this come in several messages; one event may be larger. */
#define GRPC_EVENTS_BYTES_MAX ((size_t)1 << 20)
/* Small, so that between two pages of a listing the other watches of the stream have their turn. */
#define GRPC_LISTING_PAGE_BYTES ((size_t)128 << 10)
/* Nodes in the scope of a listing: they are all looked at in one go. */
#define GRPC_LISTING_NODES_MAX ((size_t)100000)
/* What listings that wait for their clients hold, values apart, on all streams of this node. */
#define GRPC_LISTING_BYTES_MAX ((size_t)256 << 20)
#define GRPC_PROGRESS_MS_MIN   100u
/* Of streams whose clients do not say. */
#define GRPC_PROGRESS_MS 5000u
/* A node that must not serve any more, or has lost its cluster, hears of nothing: so often each
 * stream asks whether it still serves. */
#define GRPC_SERVING_CHECK_MS 1000u

/* An event as it was encoded last: of a thousand watchers of one change all but the first get a
 * copy. Only of small ones, so that no value is copied twice. */
struct grpc_event_cache {
    struct buf bytes; /* empty: none */
    uint64_t revision;
    uint32_t sub;
    bool with_values;
    bool with_previous;
};

#define GRPC_EVENT_CACHE_BYTES ((size_t)2 << 10)

/* What all streams have in common. */
struct grpc_watch_shared {
    size_t watch_count;
    size_t listing_bytes;
    struct grpc_event_cache cache;
    struct metric *streams;
    struct metric *events;
    struct metric *event_bytes;
    struct metric *listed;
};

struct grpc_watch_setup;

struct grpc_watch {
    struct watch watch;
    struct grpc_watch_stream *stream;
    struct grpc_watch_setup *setup; /* NULL: RUNNING */
    uint64_t id;
    struct heap_node timer; /* of its next PROGRESS */
    uint32_t progress_ms;   /* 0: none */
    bool is_once : 1;
    bool relists : 1;
    bool keys_only : 1;
    bool with_previous : 1;
    bool is_waiting : 1; /* for room: among its stream's `waiting` */
    bool is_split : 1; /* the rest of a revision is to come: nothing may come between */
};

_Static_assert(sizeof(struct grpc_watch) <= sizeof(struct watch) + 48,
               "idle watches are small");

enum grpc_watch_stage {
    GRPC_WATCH_READY,   /* fresh enough, about to begin */
    GRPC_WATCH_BARRIER, /* the node has `read` */
    GRPC_WATCH_QUEUED,
    GRPC_WATCH_LISTING,
    GRPC_WATCH_AHEAD,
};

struct grpc_listing_entry {
    struct grpc_listing_entry *next;
    struct value *value;
    struct node_stat stat;
    size_t bytes; /* of this struct and the path */
    char path[];
};

struct grpc_watch_setup {
    struct list link; /* among the stream's listings */
    struct grpc_watch *owner;
    uint8_t stage; /* enum grpc_watch_stage */
    bool lists;
    bool is_created;   /* the client has been told */
    bool may_not_wait; /* for a revision in the future */
    uint64_t from_revision;
    struct node_read read;
    struct watch_filter filter; /* into `text` */
    /* LISTING */
    uint64_t revision;
    struct grpc_listing_entry *first;
    struct grpc_listing_entry **last;
    uint8_t text[]; /* path and glob */
};

struct grpc_watch_stream {
    struct grpc_call *call;
    struct grpc_watch_shared *shared;
    struct grpc_watch_table watches;
    struct allowance_hold hold; /* of the watches */
    uint64_t next_id;      /* to choose */
    uint64_t check_ms;     /* when to ask again whether the node still serves */
    struct heap timers;    /* of watches */
    struct buf waiting;    /* ids (uint64_t) of watches that found the stream full, in that order */
    struct list listings;  /* setups, QUEUED; the first may be LISTING */
    size_t barriers;       /* setups, BARRIER */
    size_t progress_asked; /* requests not answered yet */
};

struct grpc_watch_shared *grpc_watch_shared_new(struct metrics *metrics); /* may be NULL */
void grpc_watch_shared_free(struct grpc_watch_shared *shared);

/* ---- watch.c ---- */

static inline struct watch_hub *grpc_watch_hub(const struct grpc_watch_stream *stream)
{
    return node_watches(grpc_call_node(stream->call));
}

/* A reply about `id` with nothing in it but its type and the header; `header` must outlive it. */
Coord__V1__WatchReply grpc_watch_reply(const struct grpc_watch_stream *stream,
                                       Coord__V1__ReplyHeader *header, uint64_t id,
                                       Coord__V1__WatchReply__Type type, uint64_t revision);
/* The same, sent. */
void grpc_watch_tell(struct grpc_watch_stream *stream, uint64_t id,
                     Coord__V1__WatchReply__Type type, uint64_t revision);
/* Tells the client that the watch is over, and why, and frees it. */
void grpc_watch_end(struct grpc_watch *w, enum outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What progress requests waited for may be over. */
void grpc_watch_progress_soon(struct grpc_watch_stream *stream);
/* Whether the node takes requests at all: it does not while it stops, or when it must not serve. */
bool grpc_node_takes_reads(struct node *node);
/* Something was sent to it: its next PROGRESS is due later. */
void grpc_watch_postpone(struct grpc_watch *w);

/* ---- watch_start.c ---- */

/* RUNNING in all but that its first revision had not come when it began. */
static inline bool grpc_watch_is_ahead(const struct grpc_watch *w)
{
    return w->setup != NULL && w->setup->stage == GRPC_WATCH_AHEAD;
}

/* Takes what the setup needs from the request, whose filter has been checked. */
void grpc_watch_setup_new(struct grpc_watch *w, const struct watch_filter *filter);
void grpc_watch_setup_free(struct grpc_watch *w); /* whatever its stage */
/* Makes sure that this node is as fresh as `header` asks for, and begins. The stream may be gone
 * when this returns. */
void grpc_watch_start(struct grpc_watch *w, const Coord__V1__RequestHeader *header);

/* ---- watch_listing.c ---- */

/* Puts the watch, which has a setup, in line for a listing. */
void grpc_listing_queue(struct grpc_watch *w);
/* Captures the first in line, unless its connection has listed enough in this turn, or sends a page
 * of it. */
void grpc_listing_step(struct grpc_watch_stream *stream);
void grpc_listing_drop(struct grpc_watch_setup *setup, struct grpc_watch_shared *shared);

/* ---- watch_events.c ---- */

extern const struct watch_ops grpc_watch_ops;

/* The change as a message that borrows from it; strings are gone when the handler or completion
 * returns. */
void grpc_event_fill(struct grpc_call *call, const struct change *change, bool with_values,
                     bool with_previous, Coord__V1__Event *event, Coord__V1__Stat *stat);
/* What it takes of a message, or a little more. */
size_t grpc_event_bytes(const struct change *change, bool with_values, bool with_previous);

#endif
