/* UTF-8, strict as RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/* Bytes of the sequence at `p`, 1 to 4; 0 if there is none within the `left` > 0 bytes. */
size_t utf8_length(const uint8_t *p, size_t left);

bool utf8_is_valid(struct slice text);

#endif
