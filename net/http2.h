/* One HTTP/2 connection: bytes in, bytes out, no sockets. The only user of nghttp2.
 *
 * Server and client alike. The owner feeds what arrived, learns through `struct http2_events`
 * what it meant, submits headers and data, and takes the bytes that are to be written. Streams
 * are the owner's memory: a `struct http2_stream` sits inside the owner's call and is pinned
 * from `open` (server) or http2_request (client) until `closed`.
 *
 * Flow control. The connection's window is given back as data arrives, a stream's only by
 * http2_consume: a stream whose owner does not keep up stalls by itself and stalls no other.
 * What is written waits in the stream until the peer's windows take it; http2_stream_queued and
 * http2_queued tell how much, and the owner decides when that is too much.
 *
 * Events may call everything here but http2_free, http2_feed and http2_take. They are called
 * from inside http2_feed and http2_take (`closed` and `goaway` from both) and, `closed` only,
 * http2_free. Thread: loop.
 */
#ifndef NET_HTTP2_H
#define NET_HTTP2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/slice.h"
#include "base/status.h"

#define HTTP2_HEADER_BYTES_MAX ((size_t)32 << 10)      /* of one list, counted as in RFC 9113 */
#define HTTP2_STREAM_WINDOW_BYTES ((int32_t)1 << 20)   /* unconsumed data of one stream */
#define HTTP2_SESSION_WINDOW_BYTES ((int32_t)16 << 20) /* of all streams together */

/* Error codes of RST_STREAM and GOAWAY that we use by name (RFC 9113, section 7). */
enum http2_error {
    HTTP2_NO_ERROR = 0x0,
    HTTP2_INTERNAL_ERROR = 0x2,
    HTTP2_REFUSED_STREAM = 0x7, /* not processed at all: safe to send again */
    HTTP2_CANCEL = 0x8,
    HTTP2_ENHANCE_YOUR_CALM = 0xb,
};

/* A string literal as the initializer of a slice. */
#define HTTP2_TEXT(text) {(const uint8_t *)(text), sizeof(text) - 1}

/* A header to send. Names are lower case. */
struct http2_header {
    struct slice name;
    struct slice value;
    bool is_unique; /* differs from message to message: kept out of the compression table */
};

#define HTTP2_HEADERS_MAX 24 /* in one list to send */

struct http2;

/* Zeroed before its first use; http2_stream_release after the last. Between two uses it keeps
 * its buffer, so pooling calls saves allocations. */
struct http2_stream {
    int32_t id;             /* read only */
    bool peer_ended;        /* read only: the peer will send nothing more */
    bool headers_too_large; /* read only: some headers were not delivered */
    /* private */
    bool is_open;
    bool has_provider;
    bool is_deferred;
    bool is_finished;
    struct http2 *connection;
    struct list link;
    struct buf out; /* submitted, from out_sent on not yet framed */
    size_t out_sent;
    size_t announced; /* of a DATA frame that is under way: these bytes have to follow */
    size_t unconsumed;
    const struct http2_header *trailers;
    size_t trailer_count;
};

struct http2_events {
    /* Server: the peer begins a stream. Returns the owner's stream for it, or NULL to refuse it
     * with REFUSED_STREAM. NULL on the client side. */
    struct http2_stream *(*open)(void *owner);
    /* One header of a request, a response or trailers. Name and value are borrowed. */
    void (*header)(void *owner, struct http2_stream *s, struct slice name, struct slice value);
    /* A header list is complete; `is_last` if nothing follows it on this stream. */
    void (*headers_end)(void *owner, struct http2_stream *s, bool is_last);
    /* Data arrived, borrowed; to be given back by http2_consume, now or later. */
    void (*data)(void *owner, struct http2_stream *s, struct slice bytes);
    /* The peer has ended its half, after all its headers and data. */
    void (*end)(void *owner, struct http2_stream *s);
    /* The stream is gone, `error` says how; its memory is the owner's again. */
    void (*closed)(void *owner, struct http2_stream *s, uint32_t error);
    /* May be NULL: */
    void (*pong)(void *owner); /* an http2_ping was answered */
    /* The peer goes away: streams of ours above `last_id` were not processed. */
    void (*goaway)(void *owner, int32_t last_id, uint32_t error);
};

/* Begins a connection; its SETTINGS are the first bytes to take. The peer may have
 * `streams_max` streams open. `events` is static, `owner` is passed to each. NULL if there is
 * no memory. */
struct http2 *http2_new(bool is_server, uint32_t streams_max, const struct http2_events *events,
                        void *owner);
/* The same, with memory from a pool that connections share; it must outlive them. */
struct http2 *http2_new_pooled(bool is_server, uint32_t streams_max, struct pool *pool,
                               const struct http2_events *events, void *owner);
/* Calls `closed` for every stream that is left. */
void http2_free(struct http2 *h);

/* What the peer sent; takes all of it. RC_MALFORMED: take what there is to say about it
 * (GOAWAY), then close. RC_NO_MEMORY: close. */
enum status http2_feed(struct http2 *h, struct slice bytes) MUST_USE;
/* Appends bytes to write to `out` until it holds `limit` bytes, at most a frame more. True if
 * there is more to take. */
bool http2_take(struct http2 *h, struct buf *out, size_t limit);
/* Nothing more will be read or written: close the connection. */
bool http2_is_done(const struct http2 *h);
/* Bytes written to streams and not yet taken. */
size_t http2_queued(const struct http2 *h);
size_t http2_stream_count(const struct http2 *h);
/* Streams that ended with an error so far, whoever caused it; refused ones too. */
size_t http2_reset_count(const struct http2 *h);
/* Calls `fn` for every open stream; it may finish or reset them. */
void http2_each(struct http2 *h, void (*fn)(struct http2_stream *s));

/* ---- connection ---- */

void http2_ping(struct http2 *h);
/* First half of a graceful stop: tells the peer to open no more streams, while those under way
 * are still served. The second, http2_goaway, follows a round trip later (RFC 9113, 6.8). */
void http2_goaway_notice(struct http2 *h);
void http2_goaway(struct http2 *h, uint32_t error);
/* Client: new requests are allowed, and how many the server takes at a time. */
bool http2_may_request(const struct http2 *h);
uint32_t http2_peer_streams_max(const struct http2 *h);

/* ---- streams ---- */

/* Client: opens a stream with these headers; with `is_last` nothing follows. Names and values
 * are pinned until the next http2_take that returned false. RC_CLOSED: no new streams any
 * more. */
enum status http2_request(struct http2 *h, struct http2_stream *s,
                          const struct http2_header *headers, size_t count,
                          bool is_last) MUST_USE;
/* Server: the response headers; data and trailers follow, or nothing if `is_last`. Names and
 * values are pinned until `closed`. */
void http2_respond(struct http2_stream *s, const struct http2_header *headers, size_t count,
                   bool is_last);
/* The place to append data to be sent; then call http2_stream_wrote. */
struct buf *http2_stream_out(struct http2_stream *s);
void http2_stream_wrote(struct http2_stream *s, size_t bytes);
/* No more data follows: the stream ends after what is queued, with these trailers if there are
 * any. Trailers, the array too, are pinned until `closed`. A server then resets a stream that
 * the client has not ended with NO_ERROR (RFC 9113, 8.1), so that no client goes on sending for
 * nothing. */
void http2_stream_finish(struct http2_stream *s, const struct http2_header *trailers,
                         size_t count);
/* Drops what is queued, but for a frame that has begun, and ends the stream with an error. `closed`
 * follows from http2_take. */
void http2_stream_reset(struct http2_stream *s, uint32_t error);
/* Forgets what is queued, and frees its memory. The connection may only be freed afterwards. */
void http2_stream_drop(struct http2_stream *s);
/* All that `data` has delivered is dealt with: the peer may send as much again. */
void http2_consume(struct http2_stream *s);
size_t http2_stream_queued(const struct http2_stream *s);
/* Frees the memory of a closed or never opened stream. */
void http2_stream_release(struct http2_stream *s);

#endif
