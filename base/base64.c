#include "base/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t count = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t group = 0;
        for (size_t j = 0; j < 3; j++) {
            group = group << 8 | (j < count ? bytes.data[i + j] : 0u);
        }
        char *to = (char *)buf_extend(out, 4);
        for (size_t j = 0; j < 4; j++) {
            to[j] = j <= count ? digits[group >> (18 - 6 * j) & 63] : '=';
        }
    }
}

/* The value of a digit, or -1. */
static int digit_value(uint8_t c)
{
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

bool base64_decode(struct buf *out, struct slice text)
{
    size_t begin = out->size;
    size_t padding = 0;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=') {
        padding++;
    }
    uint32_t group = 0;
    for (size_t i = 0; i < text.size; i++) {
        int value = i < text.size - padding ? digit_value(text.data[i]) : 0;
        if (value < 0 || text.size % 4 != 0) {
            out->size = begin;
            return false;
        }
        group = group << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            const uint8_t three[] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8),
                                     (uint8_t)group};
            buf_append(out, three, i + 1 == text.size ? 3 - padding : 3);
            group = 0;
        }
    }
    return true;
}
