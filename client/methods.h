/* Any unary RPC of the contract, proto/, by its name and in its bytes: for what has no call of its
 * own. Part of libcoord; see client.h for what holds for all of it, and docs/libcoord.md for an
 * example.
 *
 * The caller packs the request and unpacks the reply, with stubs that any protobuf compiler makes
 * out of proto/. All the rest is as with every other call: endpoints, timeout, TLS, user or token,
 * session, freshness of reads, codes. */
#ifndef CLIENT_METHODS_H
#define CLIENT_METHODS_H

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* Zero everywhere is the default. */
struct coord_method_options {
    uint32_t timeout_ms; /* with all repeats; 0 = the client's */
    const char *note;    /* of a write: why, kept in the history; NULL = the client's */
    /* To execute the request twice does no harm. Looked at for methods that this library does not
     * know alone. */
    bool is_idempotent;
};

/* Calls `method`, "/coord.v1.Config/Get", with `request`, `bytes` of a packed message. `reply`
 * (may be NULL) gets the packed reply, with a zero behind it: free(3). `reply_bytes` and `options`
 * may be NULL too.
 *
 * The request's field `header` is made by the client, and what the caller has put there is not
 * sent. The reply is handed out as it came, with its header.
 *
 * The client's chroot does not apply: paths are whole ones, both ways.
 *
 * Repeats: reads are repeated; writes too, as they carry a request id or a number of the session,
 * and are executed once. Of a method that only a newer server knows this library cannot tell which
 * it is: it is repeated while it was certainly not executed, and comes to COORD_UNKNOWN if it
 * perhaps was, unless it is idempotent.
 *
 * COORD_INVALID: the name is none of a method; the request is no protobuf message; the method is a
 * stream, or one whose answer waits (of locks, elections, barriers and latches). COORD_UNSUPPORTED:
 * the server has no such method. COORD_INTERNAL: the reply cannot be decoded, or is above 64 MiB.
 * A session that is opened or closed in this way is not the client's own. */
enum coord_code coord_call_method(struct coord_client *client, const char *method,
                                  const void *request, size_t bytes,
                                  const struct coord_method_options *options, void **reply,
                                  size_t *reply_bytes, struct coord_error *error);
/* The reply is `data` and `bytes` of the result. */
enum coord_code coord_call_method_async(struct coord_client *client, const char *method,
                                        const void *request, size_t bytes,
                                        const struct coord_method_options *options,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
