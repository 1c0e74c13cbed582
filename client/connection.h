/* One connection to one endpoint: a socket, perhaps TLS, HTTP/2 on it, any number of exchanges
 * (client/exchange.h) at a time. Never blocks: what happens on it happens when its loop says so.
 *
 *   OPENING --(wire is open)--> OPEN --(it breaks)--> FAILED --(no exchange left)--> idle()
 *      +--------------(nobody there, out of time)------^
 *
 * Exchanges may begin while it is still opening: their bytes wait for it.
 *
 * Out of memory is an answer here, not the end of the program: whatever base/buf.h or
 * net/http2.h would allocate by size is reserved first by an allocation that may fail. */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "client/endpoint.h"
#include "client/loop.h"
#include "client/wire.h"

struct connection;

struct connection_options {
    struct loop *loop;
    struct list *list;               /* where it stays until its close */
    int use;                         /* the owner's mark */
    const struct endpoint *endpoint; /* copied */
    struct wire_tls tls;             /* what it points to is pinned */
    uint64_t deadline_ms;            /* monotonic: for being open */
    /* No exchange is under way, or any more: called from the loop, may close it. */
    void (*idle)(void *owner, struct connection *c);
    void *owner;
};

/* Begins to connect. Only the resolving of a name blocks, for as long as the system's resolver
 * takes. Failing to connect is told to the exchanges. NULL: no memory. */
struct connection *connection_open(const struct connection_options *options);
/* No exchange is under way. NULL is fine. */
void connection_close(struct connection *c);

/* Another exchange may begin: nothing has gone wrong, the server takes more of them. Looks at
 * what has arrived since the loop did. */
bool connection_is_usable(struct connection *c);
/* Asks for a sign of life, which connection_heard_ms tells, unless it asked within the last
 * `interval_ms`. Nothing while it is opening. */
void connection_ping(struct connection *c, uint64_t interval_ms);
/* It takes no more exchanges. */
void connection_retire(struct connection *c);
int connection_fd(const struct connection *c); /* -1: none */
/* Since when it is, or was, open; 0: it never was, and so has sent nothing. */
uint64_t connection_opened_ms(const struct connection *c);
/* When bytes arrived last; 0: never. */
uint64_t connection_heard_ms(const struct connection *c);

#endif
