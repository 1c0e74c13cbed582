/* One connection of the client: a socket, HTTP/2 on it, one call at a time. Blocks in poll(2). */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include <stdint.h>

#include "base/buf.h"
#include "net/grpc/frame.h"

struct connection;

/* How far a call got, which decides whether it may be repeated. */
enum connection_result {
    CONNECTION_ANSWERED, /* there is a grpc-status */
    CONNECTION_NOT_SENT, /* certainly not processed */
    CONNECTION_LOST,     /* sent, no answer: it may have been processed */
    CONNECTION_TIMEOUT,  /* the same, by the deadline */
};

struct connection_answer {
    enum grpc_code code;
    struct buf message; /* the reply, without its frame */
    struct buf status;  /* grpc-message, decoded */
    char outcome[32];   /* trailer coord-outcome */
};

void connection_answer_close(struct connection_answer *a);

/* Resolves and connects until `deadline_ms` (monotonic). NULL with a reason in `why`. */
struct connection *connection_open(const char *host, const char *port, uint64_t deadline_ms,
                                   char *why, size_t why_bytes);
void connection_close(struct connection *c);
/* Nothing went wrong so far: another call may use it. */
bool connection_is_usable(const struct connection *c);

enum connection_result connection_call(struct connection *c, const char *authority,
                                       const char *path, struct slice request,
                                       uint64_t deadline_ms, struct connection_answer *answer);

uint64_t connection_now_ms(void);

#endif
