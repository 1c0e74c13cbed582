/* What clients make a node hold: requests that are not complete or not answered, and replies that
 * wait to be read. The one sum over all connections and protocols, and its bound.
 *
 * A client that asks and does not read, or that begins requests and does not end them, must neither
 * fill our memory nor have others refused. How much one connection may hold is its front's matter;
 * when what is left after the turns of all together comes to MEMORY_BYTES_MAX, those that left the
 * most are closed until there is room: a client that reads what it asked for leaves very little.
 * What came since is nobody's fault: a change that thousands watch, a value that hundreds read at
 * once. Who makes such replies waits while memory_is_behind; come to as much again, those that hold
 * the most are closed all the same.
 *
 * A connection has one hold with four parts. net/conn.c notes the two of its own, the front the
 * others, each when it changes; noting is cheap and closes nobody. Who is about to make somebody
 * hold more asks memory_admits first. On the loop. */
#ifndef NET_MEMORY_H
#define NET_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"

#define MEMORY_BYTES_MAX ((size_t)256 << 20)

enum memory_part {
    MEMORY_READ,     /* bytes that came and were not taken by the front yet */
    MEMORY_REQUESTS, /* the front's: not complete, or not answered */
    MEMORY_REPLIES,  /* the front's: not written to the connection yet */
    MEMORY_WRITTEN,  /* not taken by the client yet */
    MEMORY_PARTS
};

struct memory_hold;

/* Of all connections of a server. */
struct memory {
    struct list holds;
    size_t bytes;
    size_t left; /* of these, after the turns of their connections */
    struct log *log;
    struct metric *held;
    struct metric *evicted;
    /* Notes anew what may have become less without being noted. */
    void (*renew)(struct memory_hold *h);
    /* Lets go at once of what it can, and is closed a little later. Either may be called while
     * somebody asks memory_admits, the same connection included. */
    void (*evict)(struct memory_hold *h);
};

/* Of one. */
struct memory_hold {
    struct memory *memory;
    struct list link; /* among all, until it is evicted */
    size_t parts[MEMORY_PARTS];
    size_t bytes; /* their sum */
    uint32_t front_left; /* of the front's parts, after the last turn */
    bool is_evicted;
    const char *peer; /* for the log */
};

/* Begins with no log; `metrics` may be NULL. */
void memory_init(struct memory *m, struct metrics *metrics,
                 void (*renew)(struct memory_hold *h), void (*evict)(struct memory_hold *h));

/* `peer` is borrowed until memory_hold_close. */
void memory_hold_open(struct memory *m, struct memory_hold *h, const char *peer);
void memory_hold_close(struct memory_hold *h);

/* So much is held now. `h` NULL: nobody counts. */
void memory_note(struct memory_hold *h, enum memory_part part, size_t bytes);

/* The connection has had its turn: what the front holds now it could not get rid of. `h` NULL:
 * nobody counts. */
void memory_turned(struct memory_hold *h);

/* So much came that connections which have not had their turn since should have it first. `h` NULL:
 * false. */
bool memory_is_behind(const struct memory_hold *h);

/* Makes room, by evicting, until the sums are within their bounds. False: this hold is evicted and
 * must not grow. `h` NULL: true. */
bool memory_admits(struct memory_hold *h);

#endif
