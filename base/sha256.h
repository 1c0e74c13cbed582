/* SHA-256 of bytes that come in pieces. Any thread, one at a time. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define SHA256_BYTES      32
#define SHA256_TEXT_BYTES 65 /* hexadecimal, with its zero */

struct sha256;

struct sha256 *sha256_new(void); /* NULL: no memory, or the library refuses */
void sha256_free(struct sha256 *s); /* NULL is fine */
/* False: the library failed, and the sum is worth nothing. */
bool sha256_add(struct sha256 *s, struct slice bytes);
/* Of all that was added; nothing can be added any more. */
bool sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES]);

/* Returns `text`. */
const char *sha256_text(const uint8_t sum[SHA256_BYTES], char text[SHA256_TEXT_BYTES]);

#endif
