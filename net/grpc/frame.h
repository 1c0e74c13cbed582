/* What gRPC adds to HTTP/2: message framing, status codes, timeouts, percent-encoded texts.
 * Pure functions over bytes, for servers and clients (github.com/grpc/grpc,
 * doc/PROTOCOL-HTTP2.md).
 *
 *   message   u8 compressed flag | u32 length, big endian | bytes
 */
#ifndef NET_GRPC_FRAME_H
#define NET_GRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#define GRPC_PREFIX_BYTES ((size_t)5)
#define GRPC_MESSAGE_BYTES_MAX ((size_t)4 << 20) /* of a message in, as in most clients */

/* Number and name of a status are on the wire: grpc-status and error texts of tools. */
#define GRPC_CODE_LIST(X)                                                                     \
    X(OK)                                                                                     \
    X(CANCELLED)                                                                              \
    X(UNKNOWN)                                                                                \
    X(INVALID_ARGUMENT)                                                                       \
    X(DEADLINE_EXCEEDED)                                                                      \
    X(NOT_FOUND)                                                                              \
    X(ALREADY_EXISTS)                                                                         \
    X(PERMISSION_DENIED)                                                                      \
    X(RESOURCE_EXHAUSTED)                                                                     \
    X(FAILED_PRECONDITION)                                                                    \
    X(ABORTED)                                                                                \
    X(OUT_OF_RANGE)                                                                           \
    X(UNIMPLEMENTED)                                                                          \
    X(INTERNAL)                                                                               \
    X(UNAVAILABLE)                                                                            \
    X(DATA_LOSS)                                                                              \
    X(UNAUTHENTICATED)

enum grpc_code {
#define GRPC_CODE_ENUM(name) GRPC_##name,
    GRPC_CODE_LIST(GRPC_CODE_ENUM)
#undef GRPC_CODE_ENUM
        GRPC_CODE_COUNT
};

const char *grpc_code_name(enum grpc_code code); /* "NOT_FOUND" */
struct slice grpc_code_text(enum grpc_code code); /* "5", static: the value of grpc-status */
/* The value of a grpc-status header; GRPC_UNKNOWN for what is no known code. */
enum grpc_code grpc_code_parse(struct slice text);

/* ---- messages ---- */

/* Appends the frame of a message in two steps, so that it is encoded in place: grpc_frame_begin
 * returns an offset for grpc_frame_end, which returns the size of the whole frame. */
size_t grpc_frame_begin(struct buf *out);
size_t grpc_frame_end(struct buf *out, size_t begin);

enum grpc_frame {
    GRPC_FRAME_WHOLE,      /* `message` is the first message of the bytes, borrowed */
    GRPC_FRAME_PARTIAL,    /* more bytes are needed */
    GRPC_FRAME_COMPRESSED, /* its flag is 1: nobody negotiated that */
    GRPC_FRAME_MALFORMED,  /* its flag is neither 0 nor 1 */
    GRPC_FRAME_TOO_LARGE,  /* `message->size` is the announced length, above the limit */
};
/* Looks at the first frame of `bytes`. The frame takes GRPC_PREFIX_BYTES + message->size
 * bytes. */
enum grpc_frame grpc_frame_peek(struct slice bytes, size_t limit, struct slice *message);

/* ---- headers ---- */

enum grpc_content {
    GRPC_CONTENT_PROTO, /* application/grpc, application/grpc+proto, either with parameters */
    GRPC_CONTENT_OTHER, /* gRPC, with another coding: application/grpc+json */
    GRPC_CONTENT_NONE,  /* not gRPC at all */
};
enum grpc_content grpc_content_parse(struct slice content_type);

/* The value of a grpc-timeout header, 1 to 8 digits and one of H M S m u n, in milliseconds
 * rounded up. False if it is none. */
bool grpc_timeout_parse(struct slice text, uint64_t *timeout_ms);
#define GRPC_TIMEOUT_TEXT_BYTES 10
/* Writes the header's value, zero terminated; beyond 8 digits coarser units are used, rounded
 * up. */
void grpc_timeout_print(uint64_t timeout_ms, char text[GRPC_TIMEOUT_TEXT_BYTES]);

/* Appends `text` as a grpc-message value: bytes outside 0x20..0x7E and '%' percent-encoded. */
void grpc_message_encode(struct buf *out, struct slice text);
/* The reverse; what is not a percent-encoding stays as it is, as the specification asks. */
void grpc_message_decode(struct buf *out, struct slice value);

#endif
