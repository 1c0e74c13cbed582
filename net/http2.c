#include "net/http2.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/block_meter.h"

/* nghttp2's flood limits. Its defaults end a connection, with all its watches, that cancels
 * 3,000 calls quickly or pings with every frame, and both are normal clients. A server slows down
 * who breaks off many long before that (net/resets.h). */
#define HTTP2_RESET_BURST 20000
#define HTTP2_RESETS_PER_S 5000
#define HTTP2_ACKS_QUEUED_MAX 10000
/* A call with more headers than HTTP2_HEADER_BYTES_MAX is refused, but its block must be decoded to
 * the end, since later ones build on it. A connection whose block is longer than this, on the wire
 * or unfolded, ends; and one with more fields that are not allowed than come by mistake. */
#define HTTP2_BLOCK_BYTES_MAX  (2 * HTTP2_HEADER_BYTES_MAX)
#define HTTP2_BLOCK_WRONG_MAX  64

/* How much nghttp2 is given at a time: a block that is too long is noticed in between. */
#define FEED_STEP_BYTES ((size_t)16 << 10)

/* A stream keeps its buffer for the next use only if it is small. */
#define HTTP2_OUT_KEPT_BYTES ((size_t)16 << 10)
/* One that goes on for long gives a buffer of more than this back once all of it is sent. */
#define HTTP2_OUT_IDLE_BYTES ((size_t)256 << 10)

struct http2 {
    nghttp2_session *session;
    const struct http2_events *events;
    void *owner;
    bool is_server;
    bool has_failed;
    bool is_calmed; /* told so: see calm */
    struct list streams;
    size_t stream_count;
    size_t reset_count;
    size_t queued_bytes;
    struct block_meter meter;
    size_t unfolded_bytes; /* of the block under way, decoded, counted as in RFC 9113 */
    size_t wrong_fields;   /* in it, that are not allowed */
    struct http2_stream *recent; /* last looked up: what comes is mostly for it again */
    struct buf *taking;          /* during http2_take: DATA frames go there without a detour */
    size_t take_limit;           /* how far it is to be filled */
};

/* ---- streams ---------------------------------------------------------------------------- */

static struct http2_stream *stream_find(struct http2 *h, int32_t id)
{
    if (h->recent == NULL || h->recent->id != id) {
        h->recent = nghttp2_session_get_stream_user_data(h->session, id);
    }
    return h->recent;
}

static void stream_begin(struct http2 *h, struct http2_stream *s, int32_t id)
{
    PRE(!s->is_open);
    struct buf out = s->out;
    buf_clear(&out);
    *s = (struct http2_stream){.id = id, .connection = h, .out = out, .is_open = true};
    list_push_back(&h->streams, &s->link);
    h->stream_count++;
}

/* The owner may free the stream in `closed`. */
static void stream_end(struct http2_stream *s, uint32_t error)
{
    struct http2 *h = s->connection;
    list_remove(&s->link);
    h->stream_count--;
    h->queued_bytes -= http2_stream_queued(s);
    if (h->recent == s) {
        h->recent = NULL;
    }
    s->is_open = false;
    s->out_sent = 0;
    buf_clear(&s->out);
    if (s->out.capacity > HTTP2_OUT_KEPT_BYTES) {
        buf_close(&s->out);
    }
    h->events->closed(h->owner, s, error);
}

size_t http2_stream_queued(const struct http2_stream *s)
{
    return s->out.size - s->out_sent;
}

void http2_stream_release(struct http2_stream *s)
{
    PRE(!s->is_open);
    buf_close(&s->out);
}

/* ---- what nghttp2 tells ------------------------------------------------------------------ */

static int begin_headers_cb(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *h = context;
    if (!h->is_server || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct http2_stream *s = h->events->open(h->owner);
    if (s == NULL) {
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM);
    }
    stream_begin(h, s, frame->hd.stream_id);
    h->recent = s;
    return nghttp2_session_set_stream_user_data(session, s->id, s);
}

/* Not called for CONTINUATION: a block is decoded until the next frame. */
static int begin_frame_cb(nghttp2_session *session, const nghttp2_frame_hd *head, void *context)
{
    struct http2 *h = context;
    (void)session;
    (void)head;
    h->unfolded_bytes = 0;
    h->wrong_fields = 0;
    return 0;
}

/* Ends the connection for a peer that asks for too much: what it sends is taken no more, and it is
 * told ENHANCE_YOUR_CALM. From inside an event, too. */
static void calm(struct http2 *h)
{
    if (!h->has_failed) {
        http2_goaway(h, HTTP2_ENHANCE_YOUR_CALM);
        h->is_calmed = true;
        h->has_failed = true;
    }
}

static bool unfolds(struct http2 *h, size_t bytes)
{
    h->unfolded_bytes += bytes + 32;
    if (h->unfolded_bytes > HTTP2_BLOCK_BYTES_MAX || h->wrong_fields > HTTP2_BLOCK_WRONG_MAX) {
        calm(h);
    }
    return !h->has_failed;
}

/* A field that is not allowed: it is passed over. */
static int invalid_header_cb(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_bytes, const uint8_t *value,
                             size_t value_bytes, uint8_t flags, void *context)
{
    (void)session;
    (void)frame;
    (void)name;
    (void)value;
    (void)flags;
    struct http2 *h = context;
    h->wrong_fields++;
    return unfolds(h, name_bytes + value_bytes) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int header_cb(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *context)
{
    (void)session;
    (void)flags;
    struct http2 *h = context;
    if (!unfolds(h, name_bytes + value_bytes)) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    struct http2_stream *s = stream_find(h, frame->hd.stream_id);
    if (s == NULL) {
        return 0;
    }
    if (h->unfolded_bytes > HTTP2_HEADER_BYTES_MAX) {
        s->headers_too_large = true;
        return 0;
    }
    h->events->header(h->owner, s, slice_make(name, name_bytes),
                      slice_make(value, value_bytes));
    return 0;
}

static int data_chunk_cb(nghttp2_session *session, uint8_t flags, int32_t id,
                         const uint8_t *data, size_t bytes, void *context)
{
    (void)flags;
    struct http2 *h = context;
    int rc = nghttp2_session_consume_connection(session, bytes);
    if (rc != 0) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    struct http2_stream *s = stream_find(h, id);
    if (s != NULL) {
        s->unconsumed += bytes;
        h->events->data(h->owner, s, slice_make(data, bytes));
    }
    return 0;
}

static void frame_ends_stream(struct http2 *h, struct http2_stream *s)
{
    s->peer_ended = true;
    h->events->end(h->owner, s);
}

static int frame_recv_cb(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    struct http2 *h = context;
    struct http2_stream *s = NULL;
    bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        s = stream_find(h, frame->hd.stream_id);
        if (s != NULL) {
            h->events->headers_end(h->owner, s, is_last);
        }
        if (s != NULL && is_last) {
            frame_ends_stream(h, s);
        }
        break;
    case NGHTTP2_DATA:
        s = stream_find(h, frame->hd.stream_id);
        if (s != NULL && is_last) {
            frame_ends_stream(h, s);
        }
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && h->events->pong != NULL) {
            h->events->pong(h->owner);
        }
        break;
    case NGHTTP2_GOAWAY:
        if (h->events->goaway != NULL) {
            h->events->goaway(h->owner, frame->goaway.last_stream_id,
                              frame->goaway.error_code);
        }
        break;
    default: break;
    }
    return 0;
}

/* A server that has ended a stream which the client still sends on tells it to stop: after the
 * trailers, as a reset together with them would drop them. */
static int frame_send_cb(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *h = context;
    if (!h->is_server || frame->hd.type != NGHTTP2_HEADERS ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    struct http2_stream *s = stream_find(h, frame->hd.stream_id);
    if (s == NULL || s->peer_ended) {
        return 0;
    }
    int rc = nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    return rc == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int stream_close_cb(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    (void)session;
    struct http2 *h = context;
    struct http2_stream *s = stream_find(h, id);
    h->reset_count += error != NGHTTP2_NO_ERROR;
    if (s != NULL) {
        stream_end(s, error);
    }
    return !h->is_calmed ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- what nghttp2 asks for --------------------------------------------------------------- */

/* Headers are never copied: the owner pins them. */
static size_t headers_convert(const struct http2_header *headers, size_t count,
                              nghttp2_nv *out)
{
    PRE(count <= HTTP2_HEADERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct http2_header *from = &headers[i];
        /* nghttp2 only reads them, although its type does not say so. */
        union {
            const uint8_t *from;
            uint8_t *to;
        } name = {.from = from->name.data}, value = {.from = from->value.data};
        out[i] = (nghttp2_nv){
            .name = name.to,
            .value = value.to,
            .namelen = from->name.size,
            .valuelen = from->value.size,
            .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
        };
        if (from->is_unique) {
            out[i].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
        }
    }
    return count;
}

static ssize_t data_read_cb(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                            uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)to;
    (void)context;
    struct http2_stream *s = source->ptr;
    size_t queued = http2_stream_queued(s);
    if (queued == 0 && !s->is_finished) {
        s->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    s->announced = queued < room ? queued : room;
    if (queued > room) {
        return (ssize_t)room;
    }
    if (s->is_finished) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailer_count > 0) {
            nghttp2_nv nv[HTTP2_HEADERS_MAX];
            size_t count = headers_convert(s->trailers, s->trailer_count, nv);
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (nghttp2_submit_trailer(session, id, nv, count) != 0) {
                return NGHTTP2_ERR_CALLBACK_FAILURE;
            }
        }
    }
    return (ssize_t)queued;
}

/* Lets go of what has been sent. A stream that is written to as fast as it is read never runs
 * dry: what is left moves to the front once it is the smaller half, so that this costs a byte no
 * more than a copy. */
static void out_compact(struct http2_stream *s)
{
    if (s->out_sent == s->out.size) {
        s->out_sent = 0;
        buf_clear(&s->out);
        if (s->out.capacity > HTTP2_OUT_IDLE_BYTES) {
            buf_close(&s->out);
        }
    } else if (s->out_sent >= HTTP2_OUT_KEPT_BYTES && s->out_sent >= s->out.size / 2) {
        buf_consume(&s->out, s->out_sent);
        s->out_sent = 0;
    }
}

/* Moves the bytes that data_read_cb announced straight into the connection's output. */
static int data_send_cb(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
                        size_t bytes, nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)frame;
    struct http2 *h = context;
    struct http2_stream *s = source->ptr;
    if (h->taking->size >= h->take_limit) {
        return NGHTTP2_ERR_WOULDBLOCK; /* nghttp2 would send all it has: it comes back to this */
    }
    PRE(bytes <= http2_stream_queued(s)); /* and no padding: nobody asked for it */
    buf_append(h->taking, header, 9);
    if (bytes > 0) {
        buf_append(h->taking, s->out.data + s->out_sent, bytes);
    }
    s->out_sent += bytes;
    s->announced = 0;
    h->queued_bytes -= bytes;
    out_compact(s);
    return 0;
}

/* ---- the connection ---------------------------------------------------------------------- */

static void *pool_malloc_cb(size_t bytes, void *pool)
{
    return pool_alloc(pool, bytes);
}

static void pool_free_cb(void *memory, void *pool)
{
    pool_free(pool, memory);
}

static void *pool_calloc_cb(size_t count, size_t bytes, void *pool)
{
    return pool_zalloc(pool, count, bytes);
}

static void *pool_realloc_cb(void *old, size_t bytes, void *pool)
{
    return pool_resize(pool, old, bytes);
}

static int session_open(struct http2 *h, uint32_t streams_max, struct pool *pool,
                        nghttp2_session_callbacks *callbacks, nghttp2_option *option)
{
    nghttp2_mem pooled = {.mem_user_data = pool,
                          .malloc = pool_malloc_cb,
                          .free = pool_free_cb,
                          .calloc = pool_calloc_cb,
                          .realloc = pool_realloc_cb};
    nghttp2_mem *mem = pool != NULL ? &pooled : NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, begin_frame_cb);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers_cb);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, header_cb);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, invalid_header_cb);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data_chunk_cb);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_recv_cb);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frame_send_cb);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_close_cb);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, data_send_cb);

    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_stream_reset_rate_limit(option, HTTP2_RESET_BURST, HTTP2_RESETS_PER_S);
    nghttp2_option_set_max_outbound_ack(option, HTTP2_ACKS_QUEUED_MAX);

    int rc = h->is_server
                 ? nghttp2_session_server_new3(&h->session, callbacks, h, option, mem)
                 : nghttp2_session_client_new3(&h->session, callbacks, h, option, mem);
    if (rc != 0) {
        return rc;
    }
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)HTTP2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)HTTP2_HEADER_BYTES_MAX},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    /* A server has nothing to say about push. */
    size_t count = sizeof settings / sizeof settings[0] - (h->is_server ? 1 : 0);
    rc = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, count);
    if (rc == 0) {
        rc = nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                   HTTP2_SESSION_WINDOW_BYTES);
    }
    return rc;
}

struct http2 *http2_new_pooled(bool is_server, uint32_t streams_max, struct pool *pool,
                               const struct http2_events *events, void *owner)
{
    struct http2 *h = calloc(1, sizeof *h); /* not mem.h: clients must live without memory */
    if (h == NULL) {
        return NULL;
    }
    h->is_server = is_server;
    h->events = events;
    h->owner = owner;
    list_init(&h->streams);
    block_meter_init(&h->meter, is_server);

    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int rc = nghttp2_session_callbacks_new(&callbacks);
    if (rc == 0) {
        rc = nghttp2_option_new(&option);
    }
    if (rc == 0) {
        rc = session_open(h, streams_max, pool, callbacks, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (rc != 0) {
        nghttp2_session_del(h->session);
        mem_free(h);
        return NULL;
    }
    return h;
}

struct http2 *http2_new(bool is_server, uint32_t streams_max, const struct http2_events *events,
                        void *owner)
{
    return http2_new_pooled(is_server, streams_max, NULL, events, owner);
}

void http2_free(struct http2 *h)
{
    if (h == NULL) {
        return;
    }
    /* The session goes first: what is queued in it points to the owner's headers. */
    nghttp2_session_del(h->session);
    while (!list_empty(&h->streams)) {
        stream_end(LIST_OF(h->streams.next, struct http2_stream, link), HTTP2_CANCEL);
    }
    mem_free(h);
}

enum status http2_feed(struct http2 *h, struct slice bytes)
{
    ssize_t rc = 0;
    for (size_t at = 0; at < bytes.size && rc >= 0 && !h->has_failed; at += FEED_STEP_BYTES) {
        size_t rest = bytes.size - at;
        size_t step = rest < FEED_STEP_BYTES ? rest : FEED_STEP_BYTES;
        rc = nghttp2_session_mem_recv(h->session, bytes.data + at, step);
        size_t block_bytes = block_meter_feed(&h->meter, slice_make(bytes.data + at, step));
        if (rc >= 0 && block_bytes > HTTP2_BLOCK_BYTES_MAX) {
            calm(h);
        }
        h->has_failed = h->has_failed || rc < 0;
    }
    return !h->has_failed ? RC_OK : rc == NGHTTP2_ERR_NOMEM ? RC_NO_MEMORY : RC_MALFORMED;
}

bool http2_take(struct http2 *h, struct buf *out, size_t limit)
{
    h->taking = out;
    h->take_limit = limit;
    bool is_more = true;
    while (out->size < limit) {
        const uint8_t *piece = NULL;
        size_t before = out->size;
        ssize_t bytes = nghttp2_session_mem_send(h->session, &piece);
        if (bytes < 0) {
            h->has_failed = true;
        }
        if (bytes > 0) {
            buf_append(out, piece, (size_t)bytes);
        }
        if (bytes <= 0 && out->size == before) {
            is_more = false;
            break;
        }
    }
    h->taking = NULL;
    return is_more;
}

bool http2_is_done(const struct http2 *h)
{
    return h->has_failed || (nghttp2_session_want_read(h->session) == 0 &&
                             nghttp2_session_want_write(h->session) == 0);
}

size_t http2_queued(const struct http2 *h)
{
    return h->queued_bytes;
}

size_t http2_stream_count(const struct http2 *h)
{
    return h->stream_count;
}

size_t http2_reset_count(const struct http2 *h)
{
    return h->reset_count;
}

void http2_each(struct http2 *h, void (*fn)(struct http2_stream *s))
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &h->streams) {
        fn(LIST_OF(it, struct http2_stream, link));
    }
}

/* Submitting fails for lack of memory only: the connection is given up then. */
static void submitted(struct http2 *h, int rc)
{
    if (rc != 0) {
        h->has_failed = true;
    }
}

void http2_ping(struct http2 *h)
{
    submitted(h, nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL));
}

void http2_goaway_notice(struct http2 *h)
{
    submitted(h, nghttp2_submit_shutdown_notice(h->session));
}

void http2_goaway(struct http2 *h, uint32_t error)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(h->session);
    submitted(h, nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, last, error, NULL, 0));
}

bool http2_may_request(const struct http2 *h)
{
    return !h->has_failed && nghttp2_session_check_request_allowed(h->session) != 0;
}

uint32_t http2_peer_streams_max(const struct http2 *h)
{
    return nghttp2_session_get_remote_settings(h->session,
                                               NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

/* ---- sending on a stream ----------------------------------------------------------------- */

enum status http2_request(struct http2 *h, struct http2_stream *s,
                          const struct http2_header *headers, size_t count, bool is_last)
{
    PRE(!h->is_server);
    if (!http2_may_request(h)) {
        return RC_CLOSED;
    }
    nghttp2_nv nv[HTTP2_HEADERS_MAX];
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = data_read_cb};
    int32_t id =
        nghttp2_submit_request(h->session, NULL, nv, headers_convert(headers, count, nv),
                               is_last ? NULL : &provider, s);
    if (id < 0) {
        return id == NGHTTP2_ERR_NOMEM ? RC_NO_MEMORY : RC_CLOSED;
    }
    stream_begin(h, s, id);
    s->has_provider = !is_last;
    s->is_finished = is_last;
    return RC_OK;
}

void http2_respond(struct http2_stream *s, const struct http2_header *headers, size_t count,
                   bool is_last)
{
    struct http2 *h = s->connection;
    PRE(h->is_server && s->is_open && !s->has_provider && !s->is_finished);
    nghttp2_nv nv[HTTP2_HEADERS_MAX];
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = data_read_cb};
    s->has_provider = !is_last;
    s->is_finished = is_last;
    submitted(h, nghttp2_submit_response(h->session, s->id, nv,
                                         headers_convert(headers, count, nv),
                                         is_last ? NULL : &provider));
}

static void stream_resume(struct http2_stream *s)
{
    if (s->is_deferred) {
        s->is_deferred = false;
        submitted(s->connection, nghttp2_session_resume_data(s->connection->session, s->id));
    }
}

struct buf *http2_stream_out(struct http2_stream *s)
{
    PRE(s->is_open && !s->is_finished);
    return &s->out;
}

void http2_stream_wrote(struct http2_stream *s, size_t bytes)
{
    PRE(s->is_open && !s->is_finished);
    s->connection->queued_bytes += bytes;
    stream_resume(s);
}

void http2_stream_finish(struct http2_stream *s, const struct http2_header *trailers,
                         size_t count)
{
    PRE(s->is_open && s->has_provider && !s->is_finished);
    s->trailers = trailers;
    s->trailer_count = count;
    s->is_finished = true;
    stream_resume(s);
}

void http2_stream_reset(struct http2_stream *s, uint32_t error)
{
    struct http2 *h = s->connection;
    PRE(s->is_open);
    /* nghttp2 comes back for what it has announced and had no room for. */
    size_t dropped = http2_stream_queued(s) - s->announced;
    h->queued_bytes -= dropped;
    s->out.size -= dropped;
    submitted(h, nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, error));
}

void http2_stream_drop(struct http2_stream *s)
{
    s->connection->queued_bytes -= http2_stream_queued(s);
    s->out_sent = 0;
    s->announced = 0; /* nothing is sent any more */
    buf_close(&s->out);
}

void http2_consume(struct http2_stream *s)
{
    size_t bytes = s->unconsumed;
    s->unconsumed = 0;
    /* Nobody needs a window on a half that has ended. */
    if (bytes > 0 && s->is_open && !s->peer_ended) {
        submitted(s->connection, nghttp2_session_consume_stream(s->connection->session, s->id,
                                                                bytes));
    }
}
