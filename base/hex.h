/* Hexadecimal digits, in the one case that a format asks for: each byte has one text. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/slice.h"

/* 0 to 15; -1: it is none. */
static inline int hex_lower(uint8_t digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                          : -1;
}

/* The same of capitals. */
static inline int hex_upper(uint8_t digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

/* False: the text is not of so many bytes, in small letters. */
static inline bool hex_take(struct slice text, uint8_t *out, size_t bytes)
{
    if (text.size != 2 * bytes) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_lower(text.data[2 * i]);
        int low = hex_lower(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

#endif
