#include "net/grpc/frame.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"

/* ---- status codes ------------------------------------------------------------------------ */

const char *grpc_code_name(enum grpc_code code)
{
    static const char *const names[] = {
#define GRPC_CODE_NAME(name) #name,
        GRPC_CODE_LIST(GRPC_CODE_NAME)
#undef GRPC_CODE_NAME
    };
    PRE((unsigned)code < GRPC_CODE_COUNT);
    return names[code];
}

struct slice grpc_code_text(enum grpc_code code)
{
    static const char texts[GRPC_CODE_COUNT][3] = {
        "0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
        "9", "10", "11", "12", "13", "14", "15", "16",
    };
    PRE((unsigned)code < GRPC_CODE_COUNT);
    return slice_str(texts[code]);
}

enum grpc_code grpc_code_parse(struct slice text)
{
    unsigned code = 0;
    if (text.size == 0 || text.size > 2) {
        return GRPC_UNKNOWN;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return GRPC_UNKNOWN;
        }
        code = code * 10 + (unsigned)(text.data[i] - '0');
    }
    return code < GRPC_CODE_COUNT ? (enum grpc_code)code : GRPC_UNKNOWN;
}

/* ---- messages ---------------------------------------------------------------------------- */

size_t grpc_frame_begin(struct buf *out)
{
    size_t begin = out->size;
    buf_extend(out, GRPC_PREFIX_BYTES);
    return begin;
}

size_t grpc_frame_end(struct buf *out, size_t begin)
{
    size_t bytes = out->size - begin - GRPC_PREFIX_BYTES;
    PRE(bytes <= UINT32_MAX);
    uint8_t *prefix = out->data + begin;
    prefix[0] = 0;
    prefix[1] = (uint8_t)(bytes >> 24);
    prefix[2] = (uint8_t)(bytes >> 16);
    prefix[3] = (uint8_t)(bytes >> 8);
    prefix[4] = (uint8_t)bytes;
    return GRPC_PREFIX_BYTES + bytes;
}

enum grpc_frame grpc_frame_peek(struct slice bytes, size_t limit, struct slice *message)
{
    *message = slice_make(NULL, 0);
    if (bytes.size > 0 && bytes.data[0] > 1) {
        return GRPC_FRAME_MALFORMED;
    }
    if (bytes.size > 0 && bytes.data[0] == 1) {
        return GRPC_FRAME_COMPRESSED;
    }
    if (bytes.size < GRPC_PREFIX_BYTES) {
        return GRPC_FRAME_PARTIAL;
    }
    const uint8_t *p = bytes.data;
    size_t size = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    *message = slice_make(p + GRPC_PREFIX_BYTES, size);
    if (size > limit) {
        return GRPC_FRAME_TOO_LARGE;
    }
    return bytes.size - GRPC_PREFIX_BYTES < size ? GRPC_FRAME_PARTIAL : GRPC_FRAME_WHOLE;
}

/* ---- headers ----------------------------------------------------------------------------- */

enum grpc_content grpc_content_parse(struct slice content_type)
{
    static const char base[] = "application/grpc";
    size_t base_bytes = sizeof base - 1;
    if (content_type.size < base_bytes || memcmp(content_type.data, base, base_bytes) != 0) {
        return GRPC_CONTENT_NONE;
    }
    struct slice rest =
        slice_make(content_type.data + base_bytes, content_type.size - base_bytes);
    if (rest.size == 0 || rest.data[0] == ';') {
        return GRPC_CONTENT_PROTO;
    }
    if (rest.data[0] != '+') {
        return GRPC_CONTENT_NONE;
    }
    static const char proto[] = "+proto";
    size_t proto_bytes = sizeof proto - 1;
    bool is_proto = rest.size >= proto_bytes && memcmp(rest.data, proto, proto_bytes) == 0 &&
                    (rest.size == proto_bytes || rest.data[proto_bytes] == ';');
    return is_proto ? GRPC_CONTENT_PROTO : GRPC_CONTENT_OTHER;
}

bool grpc_timeout_parse(struct slice text, uint64_t *timeout_ms)
{
    if (text.size < 2 || text.size > 9) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    switch (text.data[text.size - 1]) {
    case 'H': *timeout_ms = value * 3600000; return true;
    case 'M': *timeout_ms = value * 60000; return true;
    case 'S': *timeout_ms = value * 1000; return true;
    case 'm': *timeout_ms = value; return true;
    case 'u': *timeout_ms = (value + 999) / 1000; return true;
    case 'n': *timeout_ms = (value + 999999) / 1000000; return true;
    default: return false;
    }
}

void grpc_timeout_print(uint64_t timeout_ms, char text[GRPC_TIMEOUT_TEXT_BYTES])
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{1, 'm'}, {1000, 'S'}, {60000, 'M'}, {3600000, 'H'}};
    const uint64_t most = 99999999;
    uint64_t value = most;
    char unit = 'H';
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t count = timeout_ms / units[i].ms + (timeout_ms % units[i].ms != 0);
        if (count <= most) {
            value = count;
            unit = units[i].unit;
            break;
        }
    }
    (void)snprintf(text, GRPC_TIMEOUT_TEXT_BYTES, "%" PRIu32 "%c", (uint32_t)value, unit);
}

static const char hex_digits[] = "0123456789ABCDEF";

void grpc_message_encode(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            buf_append(out, &c, 1);
        } else {
            const char coded[3] = {'%', hex_digits[c >> 4], hex_digits[c & 15]};
            buf_append(out, coded, sizeof coded);
        }
    }
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void grpc_message_decode(struct buf *out, struct slice value)
{
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];
        if (c == '%' && value.size - i > 2) {
            int high = hex_value(value.data[i + 1]);
            int low = hex_value(value.data[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (uint8_t)(high << 4 | low);
                i += 2;
            }
        }
        buf_append(out, &c, 1);
    }
}
