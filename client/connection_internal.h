/* What connection.c and exchange.c share. */
#ifndef CLIENT_CONNECTION_INTERNAL_H
#define CLIENT_CONNECTION_INTERNAL_H

#include "client/connection.h"
#include "net/http2.h"

struct connection {
    struct list link; /* the owner's */
    int use;
    struct loop *loop;
    struct loop_fd fd;
    struct loop_timer timer; /* opening: its deadline; or: look at it in the next round */
    struct endpoint endpoint;
    struct wire wire;
    struct http2 *http2; /* NULL once it has failed */
    struct buf out;
    struct list exchanges;
    struct list news; /* those that have something to tell */
    uint64_t heard_ms;
    uint64_t opened_ms; /* 0: it never was open, and so has sent nothing */
    uint64_t asked_ms; /* for a sign of life */
    void (*idle)(void *owner, struct connection *c);
    void *owner;
    char why[300]; /* it has failed */
    bool is_open;
    bool has_heard;    /* of the other side, inside of TLS */
    bool was_kept_out; /* the other side let nothing of ours in */
    bool has_no_memory;
    bool is_retired;
    bool is_running;
    bool was_touched; /* while it was running */
    bool has_input;   /* was not read to its end */
};

extern const struct http2_events exchange_events;

/* It is looked at in the next round of the loop. */
void connection_touch(struct connection *c);
/* Breaks it; the exchanges are told in the next round. Not from inside net/http2.h. */
void connection_fail(struct connection *c, const char *why);
/* Frames all that was submitted. False: it has failed. */
bool connection_frame(struct connection *c);

#endif
