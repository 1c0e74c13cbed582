#include "raft/frame_reader.h"

static enum status announcement_check(const struct frame_reader *r, struct slice bytes,
                                      struct errmsg *err)
{
    size_t announced = message_announced(bytes);
    if (announced > r->frame_bytes_max) {
        return errmsg_set(err, RC_TOO_LARGE,
                          "a frame of %zu bytes is announced, the limit is %zu", announced,
                          r->frame_bytes_max);
    }
    return RC_OK;
}

/* Moves what the partial frame still lacks from `bytes` to it: first the length, then the rest. */
static enum status part_extend(struct frame_reader *r, struct slice *bytes, struct errmsg *err)
{
    for (;;) {
        size_t announced = message_announced(buf_slice(&r->part));
        size_t target = announced > 0 ? announced : sizeof(uint32_t);
        if (r->part.size >= target || bytes->size == 0) {
            return RC_OK;
        }
        size_t missing = target - r->part.size;
        size_t take = missing < bytes->size ? missing : bytes->size;
        buf_reserve(&r->part, missing);
        buf_append(&r->part, bytes->data, take);
        *bytes = slice_make(bytes->data + take, bytes->size - take);
        enum status rc = announcement_check(r, buf_slice(&r->part), err);
        if (rc != RC_OK) {
            return rc;
        }
    }
}

enum status frame_reader_feed(struct frame_reader *r, struct slice bytes, frame_fn fn,
                              void *context, struct errmsg *err)
{
    for (;;) {
        bool is_part = r->part.size > 0;
        if (is_part) {
            enum status rc = part_extend(r, &bytes, err);
            if (rc != RC_OK) {
                return rc;
            }
        }
        struct slice source = is_part ? buf_slice(&r->part) : bytes;
        enum status rc = announcement_check(r, source, err);
        if (rc != RC_OK) {
            return rc;
        }
        size_t frame_bytes;
        rc = message_frame(source, &frame_bytes, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (frame_bytes == 0) {
            if (!is_part) {
                buf_append_slice(&r->part, bytes);
            }
            return RC_OK;
        }
        if (!is_part) {
            bytes = slice_make(bytes.data + frame_bytes, bytes.size - frame_bytes);
        }
        bool goes_on = fn(context, slice_make(source.data, frame_bytes));
        /* A rare large frame must not hold its memory for the life of the connection. */
        buf_recycle(&r->part, FRAME_READER_KEPT_BYTES, &r->calm);
        if (!goes_on) {
            return RC_OK;
        }
    }
}

void frame_reader_close(struct frame_reader *r)
{
    buf_close(&r->part);
}
