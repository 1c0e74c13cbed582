/* The peer decoder under arbitrary bytes: as they come, and again with length and checksum made
 * right, since a fuzzer does not guess those. Seeds: test_message --corpus. */
#include "raft/message.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_and_compare(struct slice frame)
{
    struct arena arena = {0};
    struct message m;
    struct errmsg err;
    if (message_decode(frame, &m, &arena, &err) == RC_OK) {
        struct buf again = {0};
        message_encode(&again, &m);
        /* All but the checksum, which message_frame judges. */
        PRE(again.size == frame.size && memcmp(again.data, frame.data, 4) == 0);
        PRE(memcmp(again.data + 8, frame.data + 8, frame.size - 8) == 0);
        buf_close(&again);
    }
    arena_close(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t frame_bytes = 0;
    struct errmsg err;
    if (message_frame(slice_make(data, size), &frame_bytes, &err) == RC_OK && frame_bytes > 0) {
        PRE(frame_bytes <= size);
        decode_and_compare(slice_make(data, frame_bytes));
    }
    if (size < MESSAGE_HEADER_BYTES || size - MESSAGE_HEADER_BYTES > MESSAGE_BODY_BYTES_MAX) {
        return 0;
    }
    struct buf frame = {0};
    buf_append(&frame, data, size);
    pack_u32_at(&frame, 0, (uint32_t)(size - MESSAGE_HEADER_BYTES));
    message_seal(frame.data, frame.size);
    PRE(message_frame(buf_slice(&frame), &frame_bytes, &err) == RC_OK && frame_bytes == size);
    decode_and_compare(buf_slice(&frame));
    buf_close(&frame);
    return 0;
}
