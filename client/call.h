/* Any RPC of the contract, with the client's choice of endpoint, repeats and request ids. The
 * typed calls of client.h stand on it, and coordctl uses it for what they do not show.
 *
 * To add an RPC: a value here, its line in the table of call.c. */
#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "client/client.h"
#include "coord/v1/types.pb-c.h"

enum client_method {
    CLIENT_CREATE,
    CLIENT_GET,
    CLIENT_EXISTS,
    CLIENT_SET,
    CLIENT_DELETE,
    CLIENT_LIST,
    CLIENT_TXN,
    CLIENT_SYNC,
    CLIENT_STATUS,
};

/* Sends `request`, whose header field must be `header` (filled in here: consistency, note,
 * request id), until it is decided or the client's timeout has passed. On COORD_OK `reply` is
 * the caller's: client_reply_free. Else it is NULL and `error` (may be NULL) says why. */
enum coord_code client_call(struct coord_client *client, enum client_method method,
                            ProtobufCMessage *request, Coord__V1__RequestHeader *header,
                            ProtobufCMessage **reply, struct coord_error *error);
void client_reply_free(ProtobufCMessage *reply); /* NULL is fine */

/* Fills `error` (may be NULL) with a code and a text of our own; returns the code. */
enum coord_code client_fail(struct coord_error *error, enum coord_code code, const char *format,
                            ...) __attribute__((format(printf, 3, 4)));

/* The endpoint that the next call begins with, after a successful one the one that answered:
 * "host:port". */
const char *client_endpoint(const struct coord_client *client);

#endif
