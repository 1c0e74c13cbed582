/* The struct of a stream, shared by its life (env_uv_stream.c) and its beginning (env_uv_dial.c).
 * Private to base/env_uv*.c. */
#ifndef BASE_ENV_UV_STREAM_H
#define BASE_ENV_UV_STREAM_H

#include "base/buf.h"
#include "base/env_uv_impl.h"

enum stream_state { STREAM_CONNECTING, STREAM_OPEN, STREAM_FLUSHING, STREAM_ENDED, STREAM_SHUT };

struct env_uv_dial;

struct env_stream {
    struct list all;      /* env->streams */
    struct list flushing; /* env->flushing, self-linked when not in it */
    struct env_uv *env;
    enum stream_state state;
    enum status rc; /* why it ENDED */
    const struct env_stream_events *events;
    void *owner;
    struct env_uv_dial *dial;
    bool paused;
    bool blocked; /* the owner was told to wait for drain */
    bool writing; /* write_req is under way */
    bool other_side_done;
    uint64_t flush_deadline_ms;
    struct buf flight;
    size_t flight_sent;
    size_t chunk;
    struct buf waiting;
    uv_write_t write_req;
    uv_shutdown_t shutdown_req;
    uv_tcp_t tcp;
};

/* env_uv_stream.c. The first three are for a dial to report to its stream. */
void env_uv_stream_opened(struct env_stream *s);
void env_uv_stream_end(struct env_stream *s, enum status rc);
void env_uv_stream_closed_cb(uv_handle_t *handle);
enum status env_uv_stream_status(int uv_error);

/* env_uv_dial.c. Resolves and connects a stream in state CONNECTING. Dropped only when the stream
 * is open or its handle is closed, since until then the connect request may be under way; a
 * lookup that still runs outlives both. */
void env_uv_dial_start(struct env_stream *s, const char *host, uint16_t port);
void env_uv_dial_next(struct env_stream *s); /* the handle is fresh: try the next address */
void env_uv_dial_drop(struct env_stream *s);

#endif
