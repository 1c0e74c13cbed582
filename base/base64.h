/* Base64 (RFC 4648, section 4, with padding): bytes inside texts. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>

#include "base/buf.h"

void base64_encode(struct buf *out, struct slice bytes);
/* False if `text` is not base64; `out` is then as it was. */
bool base64_decode(struct buf *out, struct slice text);

#endif
