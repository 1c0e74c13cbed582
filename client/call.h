/* Any unary RPC of the contract, with the client's choice of endpoint, repeats and request ids.
 * The typed calls of client.h stand on it, and coordctl uses it for what they do not show. */
#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include "client/client.h"
#include "client/error.h"
#include "client/method.h"
#include "coord/v1/types.pb-c.h"

/* What has come of a call. `*reply` is NULL but for COORD_OK, and COORD_DEADLOCK, where it may be a
 * LockDeadlock; freed afterwards unless it is taken, by setting it to NULL. `error` is never
 * NULL. */
typedef void (*call_done_fn)(void *context, enum coord_code code, ProtobufCMessage **reply,
                             const struct coord_error *error);

/* Begins to send `request`, borrowed, whose header is made here whatever it has: consistency,
 * note, session, request id. `done` is called once, when it is decided or the client's timeout has
 * passed, and never before this returns. COORD_NO_MEMORY: it never is. `out` (may be NULL) is
 * valid until `done`. */
enum coord_code client_start(struct coord_client *client, enum client_method method,
                             ProtobufCMessage *request, call_done_fn done, void *context,
                             struct coord_call **out, struct coord_error *error);

/* The same with a note of its own in the history; NULL: the client's. */
enum coord_code client_start_noted(struct coord_client *client, enum client_method method,
                                   ProtobufCMessage *request, const char *note,
                                   call_done_fn done, void *context, struct coord_call **out,
                                   struct coord_error *error);

/* Of a message, packed; free(3). */
struct call_bytes {
    uint8_t *data;
    size_t size;
};

/* A call in its bytes; see client/methods.h. */
struct call_packed {
    const char *path;           /* borrowed */
    const struct method *known; /* NULL: a method of coord.v1 that this library does not know */
    struct call_bytes body;     /* the request without its header; taken over in any case */
    const char *note;           /* NULL: the client's; borrowed */
    uint32_t timeout_ms;        /* 0: the client's */
    bool is_idempotent;         /* may be repeated although it is not known */
    struct call_bytes *reply;   /* on COORD_OK filled right before `done`, with a zero behind it */
};

/* As client_start, but for the chroot, which does not apply. Nothing that waits. */
enum coord_code client_start_packed(struct coord_client *client,
                                    const struct call_packed *packed, call_done_fn done,
                                    void *context, struct coord_call **out,
                                    struct coord_error *error);

/* For calls of which nobody needs to know what has come. */
void call_forget(void *context, enum coord_code code, ProtobufCMessage **reply,
                 const struct coord_error *error);

/* The same, waiting for it. On COORD_OK `reply` is the caller's: client_reply_free. Else it is
 * NULL and `error` (may be NULL) says why. `header` is the request's, and is not looked at. */
enum coord_code client_call(struct coord_client *client, enum client_method method,
                            ProtobufCMessage *request, Coord__V1__RequestHeader *header,
                            ProtobufCMessage **reply, struct coord_error *error);
/* The same for calls whose replies say nothing more. */
enum coord_code client_do(struct coord_client *client, enum client_method method,
                          ProtobufCMessage *request, struct coord_error *error);
void client_reply_free(ProtobufCMessage *reply); /* NULL is fine */

/* Position of the store as a reply tells it: what COORD_SESSION reads must not fall behind. */
void client_learn(struct coord_client *client, const Coord__V1__ReplyHeader *header);

/* For those who speak to members by themselves: what a connection of theirs is to know of TLS, with
 * files as they are now (NULL: there is none), and what their calls are to show (NULL: nothing, or
 * no call was made yet). Valid until the client's next call. */
struct wire_tls;
const struct wire_tls *client_tls(struct coord_client *client, struct wire_tls *room);
const char *client_authorization(const struct coord_client *client);

/* The endpoint that the next call begins with, after a successful one the one that answered:
 * "host:port". */
const char *client_endpoint(const struct coord_client *client);

/* Something is under way, also what nobody waits for any more. */
bool client_is_busy(const struct coord_client *client);

/* The client closes: all calls are canceled. */
void call_close_all(struct coord_client *client);

#endif
