/* One connection of the client: a socket, HTTP/2 on it, one call or one stream of messages at a
 * time. Blocks in poll(2).
 *
 * Out of memory is an answer here, not the end of the program: whatever base/buf.h or
 * net/http2.h would allocate by size is reserved first by an allocation that may fail. */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "net/grpc/frame.h"

#define CONNECTION_REPLY_BYTES_MAX ((size_t)64 << 20)

struct connection;
struct wire_tls;

/* How far a call got, which decides whether it may be repeated. */
enum connection_result {
    CONNECTION_ANSWERED,  /* there is a grpc-status */
    CONNECTION_NOT_SENT,  /* certainly not processed */
    CONNECTION_LOST,      /* sent, no answer: it may have been processed */
    CONNECTION_TIMEOUT,   /* the same, by the deadline */
    CONNECTION_NO_MEMORY, /* for the request: not sent; for the reply: it may have been
                             processed */
    CONNECTION_TOO_LARGE, /* the reply is above CONNECTION_REPLY_BYTES_MAX */
    CONNECTION_MESSAGE,   /* of a stream: it goes on */
};

struct connection_answer {
    enum grpc_code code; /* CONNECTION_ANSWERED */
    struct slice
        message;      /* the reply; borrowed until the connection's next call or its close */
    char outcome[32]; /* trailer coord-outcome */
    char text[512];   /* grpc-message, or why there was no answer */
    bool was_sent;    /* CONNECTION_NO_MEMORY */
};

/* A call's times, monotonic: the server is told `server_ms`, which is earlier than our own
 * `deadline_ms`, so that its account of what went wrong still arrives. */
struct connection_times {
    uint64_t server_ms;
    uint64_t deadline_ms;
};

/* Resolves and connects until `deadline_ms` (monotonic), with TLS if `tls` (client/wire.h) is
 * given; only the resolving of a name takes as long as the system's resolver takes. NULL with a
 * reason in `why`. */
struct connection *connection_open(const char *host, const char *port,
                                   const struct wire_tls *tls, uint64_t deadline_ms, char *why,
                                   size_t why_bytes);
void connection_close(struct connection *c); /* NULL is fine */

/* Another call may use it: nothing went wrong, and the server has neither closed it nor said
 * that it will. Looks at what arrived since the last call. */
bool connection_is_usable(struct connection *c);

/* What the calls from now on show in the header "authorization"; borrowed until the next one has
 * been sent. NULL: nothing. */
void connection_authorize(struct connection *c, const char *authorization);

enum connection_result connection_call(struct connection *c, const char *authority,
                                       const char *path, struct slice request,
                                       struct connection_times times,
                                       struct connection_answer *answer);

/* A stream of messages in both directions, until the server ends it or the connection is
 * closed: nothing else may be done with the connection from here on. CONNECTION_MESSAGE: it
 * is open; `answer` is pinned until the close. */
enum connection_result connection_begin(struct connection *c, const char *authority,
                                        const char *path, struct connection_answer *answer);
/* Hands a message over, without waiting until it went out. CONNECTION_MESSAGE or
 * CONNECTION_NO_MEMORY; what else may be wrong, connection_receive tells. */
enum connection_result connection_send(struct connection *c, struct slice message);
/* Nothing more will be sent: for a method that takes one message and answers with many. */
void connection_finish(struct connection *c);
/* CONNECTION_MESSAGE: the next message, borrowed until the next call. CONNECTION_TIMEOUT:
 * none came, and the stream lives; what has arrived is looked at however early the deadline
 * is. Everything else is the end of the stream: CONNECTION_ANSWERED, with what the server
 * said, or a failure. */
enum connection_result connection_receive(struct connection *c, uint64_t deadline_ms,
                                          struct slice *message);
/* When bytes arrived last, or the stream was begun. */
uint64_t connection_heard_ms(const struct connection *c);
/* For poll(2): readable when connection_receive may have something to do. */
int connection_fd(const struct connection *c);

#endif
