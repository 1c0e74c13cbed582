/* A stream of messages with one endpoint. No repeats here: whoever owns a stream knows what must
 * be said to the next endpoint. */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include "client/call.h"
#include "client/exchange.h"
#include "client/gate.h"
#include "client/connections.h"

enum stream_result {
    STREAM_MESSAGE,   /* or: done */
    STREAM_QUIET,     /* nothing has come; the stream lives */
    STREAM_LOST,      /* over; another endpoint, or another try, may do better */
    STREAM_REFUSED,   /* over; the answer would be the same everywhere */
    STREAM_NO_MEMORY, /* over */
};

/* Sits in its owner's memory, zeroed before its first use, stream_close after the last. */
struct stream {
    struct coord_client *client; /* NULL: closed */
    const struct method *method;
    struct endpoint endpoint;
    void (*changed)(struct stream *s);
    struct exchange exchange;
    /* private */
    struct gate_waiter waiter;
    struct loop_timer timer; /* to tell in the next round what has failed at once */
    enum connection_use use;
    uint64_t deadline_ms;
    uint8_t *first; /* the first message, until it is sent */
    size_t first_bytes;
    bool is_last;
    enum stream_result failed; /* STREAM_MESSAGE: not yet */
    struct coord_error error;
    uint64_t login; /* number of the one that it shows */
    /* kept when it is opened again */
    uint64_t void_ms; /* since when what it showed was refused as void; 0: it was not */
    bool was_renewed; /* since then */
};

struct stream_options {
    size_t endpoint; /* number of the client's */
    enum client_method method;
    const ProtobufCMessage *request; /* the first message; borrowed */
    bool is_last;                    /* nothing more will be sent */
    uint64_t deadline_ms;            /* monotonic: for being connected */
    /* Called from the loop when stream_next may have something. */
    void (*changed)(struct stream *s);
};

/* Opens it: whatever is wrong, also for lack of memory, stream_next tells. The client must outlive
 * the stream.
 *
 * A stream that the server ends with OK is STREAM_LOST: one that is meant to end says so in its
 * last message, and is closed then. One whose token is void is STREAM_LOST too, as long as another
 * one may help: opened again, in the same memory, it shows that. */
void stream_open(struct coord_client *client, struct stream *s,
                 const struct stream_options *options);
void stream_close(struct stream *s); /* nothing if it is closed */
/* The same, for nothing came in time. */
void stream_give_up(struct stream *s);
static inline bool stream_is_open(const struct stream *s)
{
    return s->client != NULL;
}

/* STREAM_MESSAGE: handed over. What may be wrong with the connection, stream_next tells. */
enum stream_result stream_send(struct stream *s, const ProtobufCMessage *request,
                               struct coord_error *error);

/* STREAM_MESSAGE: `reply` is the caller's, client_reply_free. STREAM_LOST, _REFUSED and
 * _NO_MEMORY say why in `error`; the stream is then only to be closed. */
enum stream_result stream_next(struct stream *s, ProtobufCMessage **reply,
                               struct coord_error *error);

/* When anything came last, or it was opened. */
uint64_t stream_heard_ms(const struct stream *s);
int stream_fd(const struct stream *s); /* -1: none */

#endif
