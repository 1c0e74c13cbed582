/* A stream that is to go on for ever: where it is opened next, and after which pause.
 *
 * The first failure is followed at once by the next endpoint, a round of failures over all of them
 * by a pause, and each further round by a longer one. What counts as a success is a stream that was
 * of use: one that is accepted and ended at once, wherever it is opened, is not. */
#ifndef CLIENT_RETRY_H
#define CLIENT_RETRY_H

#include "client/client_internal.h"

struct retry {
    size_t endpoint;        /* of the client's: where it is, or is next */
    size_t failures;        /* since a stream was of use */
    uint64_t live_ms;       /* since when this one brings things; 0: it has brought none */
    uint64_t live_revision; /* the position then */
};

/* A stream is opened at `endpoint`. */
void retry_opened(struct retry *r);
/* For being connected: twice as long in each round, as far away or as busy as a member may be. */
uint64_t retry_connect_ms(const struct retry *r, const struct coord_client *client);
/* It brings things; nothing if that is known. Without a position `revision` is 0, always. */
void retry_live(struct retry *r, uint64_t revision);
/* It has failed, at this position. In how many ms the next one is to be opened; at random about
 * `pause_ms_max` at most. */
uint64_t retry_failed(struct retry *r, struct coord_client *client, uint64_t revision,
                      uint64_t pause_ms_max);

#endif
