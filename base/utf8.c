#include "base/utf8.h"

size_t utf8_length(const uint8_t *p, size_t left)
{
    uint8_t first = p[0];
    size_t length = first < 0x80   ? 1
                    : first < 0xc2 ? 0
                    : first < 0xe0 ? 2
                    : first < 0xf0 ? 3
                                   : 4;
    if (length == 0 || first > 0xf4 || length > left) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if (length > 2) {
        bool overlong = (first == 0xe0 && p[1] < 0xa0) || (first == 0xf0 && p[1] < 0x90);
        bool surrogate = first == 0xed && p[1] >= 0xa0;
        bool beyond = first == 0xf4 && p[1] >= 0x90;
        if (overlong || surrogate || beyond) {
            return 0;
        }
    }
    return length;
}

bool utf8_is_valid(struct slice text)
{
    for (size_t i = 0; i < text.size;) {
        size_t length = utf8_length(text.data + i, text.size - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}
