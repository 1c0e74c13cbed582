/* Any RPC of the contract, with the client's choice of endpoint, repeats and request ids. The typed
 * calls of client.h stand on it, and coordctl uses it for what they do not cover. */
#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "client/client.h"
#include "coord/v1/types.pb-c.h"

struct client_method {
    const char *path; /* "/coord.v1.Tree/Get" */
    const ProtobufCMessageDescriptor *reply;
    bool is_write; /* gets a request id */
};

/* Sends `request`, whose header field must be `header` (filled in here: consistency, note, request
 * id), until it is decided or the client's timeout has passed. On COORD_OK `reply` is the caller's:
 * client_reply_free. */
enum coord_code client_call(struct coord_client *client, const struct client_method *method,
                            ProtobufCMessage *request, Coord__V1__RequestHeader *header,
                            ProtobufCMessage **reply, struct coord_error *error);
void client_reply_free(ProtobufCMessage *reply);

/* The endpoint that answered last, "host:port". */
const char *client_endpoint(const struct coord_client *client);

/* Only this endpoint from now on (status of each member in turn). */
void client_pin(struct coord_client *client, size_t endpoint);
size_t client_endpoint_count(const struct coord_client *client);
const char *client_endpoint_name(const struct coord_client *client, size_t endpoint);

#endif
