#include "net/grpc/wire.h"

#include "base/assert.h"
#include "base/utf8.h"

/* ---- reading ----------------------------------------------------------------------------- */

static bool varint_take(struct slice *rest, uint64_t *value)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 10 && i < rest->size; i++) {
        uint8_t byte = rest->data[i];
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = slice_make(rest->data + i + 1, rest->size - i - 1);
            *value = v;
            return true;
        }
    }
    return false;
}

static bool fixed_take(struct slice *rest, unsigned bytes, uint64_t *value)
{
    uint64_t v = 0;
    if (rest->size < bytes) {
        return false;
    }
    for (unsigned i = 0; i < bytes; i++) {
        v |= (uint64_t)rest->data[i] << (8 * i);
    }
    *rest = slice_make(rest->data + bytes, rest->size - bytes);
    *value = v;
    return true;
}

static bool bytes_take(struct slice *rest, struct slice *bytes)
{
    uint64_t size;
    if (!varint_take(rest, &size) || size > rest->size) {
        return false;
    }
    *bytes = slice_make(rest->data, (size_t)size);
    *rest = slice_make(rest->data + size, rest->size - (size_t)size);
    return true;
}

enum status wire_next(struct slice *rest, struct wire_field *field)
{
    uint64_t tag;
    if (rest->size == 0) {
        return RC_NOT_FOUND;
    }
    if (!varint_take(rest, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) {
        return RC_MALFORMED;
    }
    *field = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = (uint8_t)(tag & 7)};
    bool is_ok = false;
    switch (field->type) {
    case WIRE_VARINT: is_ok = varint_take(rest, &field->value); break;
    case WIRE_FIXED64: is_ok = fixed_take(rest, 8, &field->value); break;
    case WIRE_BYTES: is_ok = bytes_take(rest, &field->bytes); break;
    case WIRE_FIXED32: is_ok = fixed_take(rest, 4, &field->value); break;
    default: break;
    }
    return is_ok ? RC_OK : RC_MALFORMED;
}

/* ---- checking ---------------------------------------------------------------------------- */

/* protobuf-c would cut a string at its first NUL. */
static bool string_is_valid(struct slice s)
{
    return s.size == 0 || (memchr(s.data, 0, s.size) == NULL && utf8_is_valid(s));
}

/* A message that is being walked: its type, the bytes of it that are left, and which of its
 * fields that take one message have had theirs, a bit for each. */
struct level {
    const ProtobufCMessageDescriptor *type;
    struct slice rest;
    uint64_t taken;
};

/* protobuf-c would merge the second message into a copy of the first: as much work and memory for
 * each further one as all before it are large. */
static bool takes_another(struct level *level, const ProtobufCFieldDescriptor *field)
{
    size_t at = (size_t)(field - level->type->fields);
    PRE(at < 64); /* no type of ours has more fields */
    uint64_t bit = UINT64_C(1) << at;
    bool is_first = (level->taken & bit) == 0;
    level->taken |= bit;
    return is_first || field->label == PROTOBUF_C_LABEL_REPEATED;
}

enum status wire_check(const ProtobufCMessageDescriptor *type, struct slice message,
                       struct errmsg *err)
{
    struct level levels[WIRE_DEPTH_MAX];
    size_t depth = 1;
    size_t messages = 0;
    size_t fields = 0;
    size_t unknown = 0;
    levels[0] = (struct level){.type = type, .rest = message};

    while (depth > 0) {
        struct level *level = &levels[depth - 1];
        struct wire_field found;
        enum status rc = wire_next(&level->rest, &found);
        if (rc == RC_NOT_FOUND) {
            depth--;
            continue;
        }
        if (rc != RC_OK) {
            return errmsg_set(err, rc, "not a valid %s", type->name);
        }
        if (++fields > WIRE_FIELDS_MAX) {
            return errmsg_set(err, RC_TOO_LARGE, "more than %d fields in one", WIRE_FIELDS_MAX);
        }
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(level->type, found.number);
        if (field == NULL && ++unknown > WIRE_UNKNOWN_MAX) {
            return errmsg_set(err, RC_TOO_LARGE, "more than %d unknown fields in one",
                              WIRE_UNKNOWN_MAX);
        }
        if (field == NULL || found.type != WIRE_BYTES) {
            continue;
        }
        if (field->type == PROTOBUF_C_TYPE_STRING && !string_is_valid(found.bytes)) {
            return errmsg_set(err, RC_INVALID, "%s: not valid UTF-8, or a NUL byte",
                              field->name);
        }
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            if (!takes_another(level, field)) {
                return errmsg_set(err, RC_INVALID, "%s: is there twice, at most once is possible",
                                  field->name);
            }
            if (depth == WIRE_DEPTH_MAX) {
                return errmsg_set(err, RC_TOO_LARGE, "messages are nested deeper than %d",
                                  WIRE_DEPTH_MAX);
            }
            if (++messages > WIRE_MESSAGES_MAX) {
                return errmsg_set(err, RC_TOO_LARGE, "more than %d messages in one",
                                  WIRE_MESSAGES_MAX);
            }
            levels[depth++] =
                (struct level){.type = field->descriptor, .rest = found.bytes};
        }
    }
    return RC_OK;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void varint_append(struct buf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t count = 0;
    do {
        bytes[count] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        count++;
    } while (value > 0);
    buf_append(out, bytes, count);
}

void wire_append_message(struct buf *out, uint32_t number, const ProtobufCMessage *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    varint_append(out, (uint64_t)number << 3 | WIRE_BYTES);
    varint_append(out, bytes);
    size_t packed = protobuf_c_message_pack(message, buf_extend(out, bytes));
    POST(packed == bytes);
}

void wire_append_bytes(struct buf *out, uint32_t number, struct slice bytes)
{
    varint_append(out, (uint64_t)number << 3 | WIRE_BYTES);
    varint_append(out, bytes.size);
    buf_append_slice(out, bytes);
}

void wire_append_number(struct buf *out, uint32_t number, uint64_t value)
{
    varint_append(out, (uint64_t)number << 3 | WIRE_VARINT);
    varint_append(out, value);
}
