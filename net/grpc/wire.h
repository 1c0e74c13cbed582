/* Protobuf at the level of its wire format: a reader for messages that have no generated type,
 * and the check that comes before anything is unpacked.
 *
 * protobuf-c unpacks recursively without a limit, takes any bytes for a string and cuts strings
 * at their first NUL, and copies what it has each time that a message comes again where one is
 * to be. So bytes from a client are walked once, along the message's description,
 * before protobuf-c sees them.
 */
#ifndef NET_GRPC_WIRE_H
#define NET_GRPC_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#define WIRE_DEPTH_MAX    64      /* of messages in messages */
#define WIRE_MESSAGES_MAX 400000  /* in one request; no transaction of 4 MiB needs more */
#define WIRE_FIELDS_MAX   1000000 /* in one request and all in it */
#define WIRE_UNKNOWN_MAX  100000  /* of those, fields that this build does not know */

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    uint8_t type;       /* enum wire_type */
    uint64_t value;     /* of the numeric types */
    struct slice bytes; /* WIRE_BYTES: string, bytes, message, packed numbers */
};

/* Takes the next field off `rest`. RC_NOT_FOUND at the end; RC_MALFORMED for what is no field,
 * groups included. */
enum status wire_next(struct slice *rest, struct wire_field *field) MUST_USE;

/* Walks a message of type `type` and everything in it. RC_MALFORMED: no valid encoding.
 * RC_INVALID: a string, named in `err`, is no UTF-8 or holds a NUL, or a message is there twice
 * where there may be one. RC_TOO_LARGE: nested too deeply, or of so many messages or fields that
 * unpacking them would hold up everybody else. */
enum status wire_check(const ProtobufCMessageDescriptor *type, struct slice message,
                       struct errmsg *err) MUST_USE;

/* Appends `message` as field `number` of a message that is written piece by piece. */
void wire_append_message(struct buf *out, uint32_t number, const ProtobufCMessage *message);
void wire_append_bytes(struct buf *out, uint32_t number, struct slice bytes);
void wire_append_number(struct buf *out, uint32_t number, uint64_t value); /* also a bool */

#endif
