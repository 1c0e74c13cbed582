/* Questions that are answered one by one on a stream that stays open between them:
 * keepalives, of the session or of leases. Goes on to the next endpoint when one does not
 * answer in time.
 *
 *   IDLE --(question)--> ASKING --(answer)--> IDLE, or the next question
 *                          | ^
 *   (lost, silent) --------+ +---- PAUSING, after each round over the endpoints */
#ifndef CLIENT_KEEPALIVE_H
#define CLIENT_KEEPALIVE_H

#include "client/stream.h"

/* Sits in its owner's memory, pinned until it is answered. */
struct keepalive_question {
    uint64_t id;
    const uint8_t *secret; /* COORD_SECRET_BYTES, of sessions alone; pinned as well */
    /* A try takes so long at first, and twice as long in every further round. */
    uint64_t attempt_ms;
    /* Pauses, after each round, are about so long at first, and grow likewise. */
    uint64_t pause_ms;
    uint64_t pause_ms_max;
    uint64_t deadline_ms; /* monotonic */
    /* Called once, from the loop. COORD_OK: `reply`, borrowed, and when that was sent which it
     * answers; else `error` says why there is none. */
    void (*answered)(struct keepalive_question *q, const ProtobufCMessage *reply,
                     uint64_t sent_ms, const struct coord_error *error);
    struct list link; /* private */
};

struct keepalive {
    struct coord_client *client;
    enum client_method method;
    struct stream stream;
    size_t endpoint; /* of the stream, or to try next */
    bool is_begun;   /* `endpoint` means something */
    bool is_asking;
    struct list questions; /* the first one is being asked */
    struct loop_timer timer;
    uint64_t attempt_ms;
    uint64_t pause_ms;
    uint64_t sent_ms;
    size_t tries;
    struct coord_error error;
};

void keepalive_init(struct keepalive *k, struct coord_client *client,
                    enum client_method method);
void keepalive_ask(struct keepalive *k, struct keepalive_question *q);
/* Questions that are left are answered with COORD_CANCELED. */
void keepalive_close(struct keepalive *k);

#endif
