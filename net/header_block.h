/* The headers of HTTP/2 messages without the streams around them: for who reads frames itself. */
#ifndef NET_HEADER_BLOCK_H
#define NET_HEADER_BLOCK_H

#include <stdbool.h>

#include "base/slice.h"

struct header_block; /* the decoder of one connection, with its compression table */

struct header_block *header_block_new(void); /* NULL if there is no memory */
void header_block_free(struct header_block *b);

/* Decodes one whole block (of HEADERS and its CONTINUATIONs); blocks come in the order of the
 * connection. Calls `field` for each, name and value borrowed. False: it is malformed. */
bool header_block_decode(struct header_block *b, struct slice bytes,
                         void (*field)(void *owner, struct slice name, struct slice value),
                         void *owner);

#endif
