/* A stream that goes on: taken up again at another endpoint when its own fails.
 *
 *   OPEN --(lost, silent)--> DOWN --(at once, or after a pause)--> OPEN, as its owner asks then
 *     |
 *     +--(refused, and its owner says so)--> OVER
 *
 * The stream says nothing while nothing changes. So its connection is asked for signs of life, and
 * given up when none comes. What is asked for anew, and so what may be told twice or missed, is
 * the owner's: see client/observer.c and client/streams.c. */
#ifndef CLIENT_FOLLOWER_H
#define CLIENT_FOLLOWER_H

#include "client/loop.h"
#include "client/retry.h"
#include "client/stream.h"

struct follower;

struct follower_ops {
    enum client_method method;
    bool begins_at_once; /* the first message does not wait for something to happen */
    /* Opens the stream by follower_ask, with what is wanted from now on. */
    void (*ask)(struct follower *f);
    /* A message; freed afterwards. False: the owner has gone, and with it the follower. */
    bool (*take)(struct follower *f, const ProtobufCMessage *m);
    /* It was refused, which every member would do. True: what is asked for next is another thing,
     * and worth a try. False: it is over, or has gone. */
    bool (*refused)(struct follower *f, const struct coord_error *error);
};

/* In its owner's memory; follower_stop before that is freed. */
struct follower {
    struct coord_client *client;
    const struct follower_ops *ops;
    /* private */
    struct stream stream;
    struct loop_timer timer; /* open: when to look at it; down: when to try again */
    struct retry retry;
    uint64_t opened_ms;
    struct coord_error trouble; /* why it is down; COORD_OK: nothing is known to be wrong */
};

/* Begins, inside client_enter. Whatever is wrong, `refused` tells, or it is tried again. */
void follower_start(struct follower *f, struct coord_client *client,
                    const struct follower_ops *ops);
/* From `ask` alone, once. */
void follower_ask(struct follower *f, const ProtobufCMessage *request);
/* The freshness that the client asks for. */
void follower_header(const struct follower *f, Coord__V1__RequestHeader *header);
void follower_stop(struct follower *f);

#endif
