/* How long the blocks of headers are that a peer sends, measured in the bytes themselves.
 *
 * nghttp2 does not announce CONTINUATION frames, nor any frame of a stream that is gone, so its
 * callbacks cannot tell where a block ends. The meter follows the nine bytes at the head of each
 * frame instead. It believes them: what is wrong with a frame is for nghttp2 to find. */
#ifndef NET_BLOCK_METER_H
#define NET_BLOCK_METER_H

#include <stdbool.h>

#include "base/slice.h"

#define BLOCK_METER_HEAD_BYTES 9

struct block_meter {
    size_t skip; /* what is left of the client's preface, or of a frame */
    uint8_t head[BLOCK_METER_HEAD_BYTES];
    size_t head_bytes; /* of the next frame, so far */
    bool is_in_block;  /* the frame has headers, or goes on with them */
    size_t block_bytes;
};

/* A server's peer begins with the preface of RFC 9113, 3.4. */
void block_meter_init(struct block_meter *m, bool is_server);
/* Follows what was received. The longest that a block was meanwhile, in bytes on the wire, heads of
 * frames included; 0 if there was none. */
size_t block_meter_feed(struct block_meter *m, struct slice bytes);

#endif
