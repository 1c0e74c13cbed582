/* Questions that are answered one by one on a stream that stays open between them:
 * keepalives, of the session or of leases. Goes on to the next endpoint when one does not
 * answer in time. */
#ifndef CLIENT_KEEPALIVE_H
#define CLIENT_KEEPALIVE_H

#include "client/call.h"

struct stream;

/* Zero is valid: nothing is open. */
struct keepalive {
    struct stream *stream;
    size_t endpoint; /* of the stream, or to try next */
    bool is_begun;   /* `endpoint` means something */
};

/* Sends `request` until it is answered or `deadline_ms` (monotonic) has passed. A try takes
 * `attempt_ms` at first, and twice as long in every further round over the endpoints. On
 * COORD_OK `reply` is the caller's, client_reply_free, and `sent_ms` (monotonic) is when
 * that was sent which it answers. `error` is not NULL. */
enum coord_code keepalive_ask(struct coord_client *client, struct keepalive *k,
                              enum client_method method, const ProtobufCMessage *request,
                              uint64_t attempt_ms, uint64_t deadline_ms,
                              ProtobufCMessage **reply, uint64_t *sent_ms,
                              struct coord_error *error);
void keepalive_close(struct keepalive *k);

#endif
