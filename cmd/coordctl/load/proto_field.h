/* Protobuf fields by hand: what a load generator writes and reads of a message are a few fields at
 * its front, and to build and tear down structs for them would cost more than the request. */
#ifndef CMD_COORDCTL_LOAD_PROTO_FIELD_H
#define CMD_COORDCTL_LOAD_PROTO_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

static inline void proto_put_varint(struct buf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) {
        bytes[n++] = (uint8_t)(value | 0x80);
    }
    bytes[n++] = (uint8_t)value;
    buf_append(out, bytes, n);
}

static inline void proto_put_number(struct buf *out, unsigned field, uint64_t value)
{
    proto_put_varint(out, (uint64_t)field << 3);
    proto_put_varint(out, value);
}

static inline void proto_put_bytes(struct buf *out, unsigned field, struct slice bytes)
{
    proto_put_varint(out, (uint64_t)field << 3 | 2);
    proto_put_varint(out, bytes.size);
    buf_append_slice(out, bytes);
}

struct proto_field {
    unsigned field;
    uint64_t number;    /* of a varint */
    struct slice bytes; /* of what has a length */
};

static inline bool proto_take_varint(struct slice *in, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < in->size && i < 10; i++) {
        *out |= (uint64_t)(in->data[i] & 0x7f) << (7 * i);
        if (in->data[i] < 0x80) {
            *in = slice_make(in->data + i + 1, in->size - i - 1);
            return true;
        }
    }
    return false;
}

/* Takes the next field of a message. False: the end, or nothing sensible. */
static inline bool proto_next(struct slice *in, struct proto_field *out)
{
    uint64_t tag;
    uint64_t size = 0;
    *out = (struct proto_field){0};
    if (in->size == 0 || !proto_take_varint(in, &tag)) {
        return false;
    }
    out->field = (unsigned)(tag >> 3);
    switch (tag & 7) {
    case 0: return proto_take_varint(in, &out->number);
    case 1: size = 8; break;
    case 5: size = 4; break;
    case 2:
        if (!proto_take_varint(in, &size)) {
            return false;
        }
        break;
    default: return false;
    }
    if (size > in->size) {
        return false;
    }
    out->bytes = slice_make(in->data, (size_t)size);
    *in = slice_make(in->data + size, in->size - (size_t)size);
    return true;
}

#endif
