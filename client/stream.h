/* A stream of messages with one endpoint, on a connection of its own, so that neither a call
 * that times out nor another stream disturbs it. No repeats here: whoever owns a stream
 * knows what must be said to the next endpoint. */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include "client/call.h"

struct stream;

enum stream_result {
    STREAM_MESSAGE,   /* or: done */
    STREAM_QUIET,     /* nothing came until the deadline; the stream lives */
    STREAM_LOST,      /* over; another endpoint, or another try, may do better */
    STREAM_REFUSED,   /* over; the answer would be the same everywhere */
    STREAM_NO_MEMORY, /* over */
};

/* Connects to endpoint number `endpoint` of the client until `deadline_ms` (monotonic) and
 * opens `method` there. STREAM_MESSAGE: `out` is the caller's, stream_close. Else `error`
 * says why. The client must outlive the stream.
 *
 * A stream that the server ends with OK is STREAM_LOST: one that is meant to end says so in its
 * last message, and is closed then. */
enum stream_result stream_open(struct coord_client *client, size_t endpoint,
                               enum client_method method, uint64_t deadline_ms,
                               struct stream **out, struct coord_error *error);
void stream_close(struct stream *s); /* NULL is fine */

/* STREAM_MESSAGE: handed over. What may be wrong with the connection, stream_next tells. */
enum stream_result stream_send(struct stream *s, const ProtobufCMessage *request,
                               struct coord_error *error);

/* Nothing more will be sent. */
void stream_finish(struct stream *s);

/* STREAM_MESSAGE: `reply` is the caller's, client_reply_free. STREAM_LOST, _REFUSED and
 * _NO_MEMORY say why in `error`; the stream is then only to be closed. */
enum stream_result stream_next(struct stream *s, uint64_t deadline_ms, ProtobufCMessage **reply,
                               struct coord_error *error);

uint64_t stream_heard_ms(
    const struct stream *s); /* when anything came last, or it was opened */
int stream_fd(const struct stream *s);
const char *stream_endpoint(const struct stream *s);

#endif
