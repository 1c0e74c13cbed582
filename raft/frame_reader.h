/* Cuts a byte stream into frames of raft/message.h.
 *
 * Frames that are whole in the bytes at hand are looked at where they lie. Only the frame that
 * spans two reads is put together here, so a reader holds one frame at most; what it keeps
 * between frames beyond FRAME_READER_KEPT_BYTES goes back when frames stay small for a while.
 * Zeroed, with `frame_bytes_max` set, it is ready. No I/O. */
#ifndef RAFT_FRAME_READER_H
#define RAFT_FRAME_READER_H

#include "raft/message.h"

#define FRAME_READER_KEPT_BYTES ((size_t)256 << 10)

struct frame_reader {
    struct buf part;        /* private */
    unsigned calm;          /* private */
    size_t frame_bytes_max; /* a longer announcement is refused before anything is reserved */
};

/* One whole frame with a right checksum, borrowed until return. False: no further frames, the
 * connection has ended. Must not close the reader. */
typedef bool (*frame_fn)(void *context, struct slice frame);

/* Takes all of `bytes`. RC_MALFORMED or RC_TOO_LARGE with the reason in `err`: close. */
enum status frame_reader_feed(struct frame_reader *r, struct slice bytes, frame_fn fn,
                              void *context, struct errmsg *err) MUST_USE;
void frame_reader_close(struct frame_reader *r);

#endif
