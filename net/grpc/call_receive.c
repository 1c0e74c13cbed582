/* What a client sends in a call: frames, messages, their limits, and when each is handed
 * over. */
#include "net/grpc/call_internal.h"
#include "net/grpc/memory.h"
#include "net/grpc/wire.h"

static void *scratch_alloc(void *context, size_t bytes)
{
    return arena_alloc(context, bytes);
}

/* The arena is cleared as a whole when the handler has returned. */
static void scratch_free(void *context, void *piece)
{
    (void)context;
    (void)piece;
}

static void call_message(struct grpc_call *call, struct slice message)
{
    const struct grpc_method *method = call->route->method;
    struct arena *scratch = &call->connection->shared->scratch;
    struct errmsg err;
    if (!grpc_call_is_still_allowed(call)) {
        return;
    }
    enum status rc = wire_check(method->request, message, &err);
    if (rc != RC_OK) {
        grpc_call_fail(call, rc == RC_MALFORMED ? GRPC_INTERNAL : GRPC_INVALID_ARGUMENT,
                       "%s: %s", method->request->short_name, err.text);
        return;
    }
    ProtobufCAllocator allocator = {scratch_alloc, scratch_free, scratch};
    ProtobufCMessage *request =
        protobuf_c_message_unpack(method->request, &allocator, message.size, message.data);
    if (request == NULL) {
        grpc_call_fail(call, GRPC_INTERNAL, "not a valid %s", method->request->name);
    } else {
        method->message(call, request);
    }
    arena_clear(scratch);
}

/* False, and the call is over: the bytes at the front of a request are no message we take. */
static bool frame_is_fine(struct grpc_call *call, enum grpc_frame frame, struct slice message)
{
    switch (frame) {
    case GRPC_FRAME_WHOLE:
    case GRPC_FRAME_PARTIAL: return true;
    case GRPC_FRAME_COMPRESSED: grpc_call_refuse_encoding(call); break;
    case GRPC_FRAME_TOO_LARGE:
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                       "received message larger than max (%zu vs. %zu)", message.size,
                       GRPC_MESSAGE_BYTES_MAX);
        break;
    case GRPC_FRAME_MALFORMED:
        grpc_call_fail(call, GRPC_INTERNAL, "malformed message frame");
        break;
    }
    return false;
}

static bool in_admit(struct grpc_call *call, size_t bytes)
{
    bool may = grpc_memory_take(call->connection, bytes);
    if (!may) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                       "incomplete requests hold too much memory");
    }
    return may;
}

static struct slice slice_from(struct slice bytes, size_t at)
{
    return at == 0 ? bytes : slice_make(bytes.data + at, bytes.size - at);
}

/* A stream: hands over what is whole, as long as the client reads the answers. */
static void call_deliver(struct grpc_call *call)
{
    size_t at = 0;
    bool is_stalled = false;
    for (;;) {
        struct slice message;
        struct slice rest = slice_from(buf_slice(&call->in), at);
        enum grpc_frame frame = grpc_frame_peek(rest, GRPC_MESSAGE_BYTES_MAX, &message);
        if (!frame_is_fine(call, frame, message)) {
            return;
        }
        if (frame == GRPC_FRAME_PARTIAL) {
            break;
        }
        if (call->is_held || call->is_identifying || grpc_call_is_full(call)) {
            is_stalled = true;
            break;
        }
        at += GRPC_PREFIX_BYTES + message.size;
        call_message(call, message);
        if (call->state != GRPC_CALL_RECEIVING) {
            return;
        }
    }
    buf_consume(&call->in, at);
    grpc_memory_give_back(call->connection, at);
    if (is_stalled) {
        return;
    }
    http2_consume(&call->stream);
    if (!call->stream.peer_ended) {
        return;
    }
    if (call->in.size > 0) {
        grpc_call_fail(call, GRPC_INTERNAL, "the last message is not complete");
        return;
    }
    call->state = GRPC_CALL_HANDLED;
    call->route->method->half_closed(call);
}

/* Not a stream: collects the one message, and looks early for reasons to refuse it. */
static void call_collect(struct grpc_call *call)
{
    struct slice message;
    enum grpc_frame frame =
        grpc_frame_peek(buf_slice(&call->in), GRPC_MESSAGE_BYTES_MAX, &message);
    http2_consume(&call->stream);
    if (!frame_is_fine(call, frame, message) || frame == GRPC_FRAME_PARTIAL) {
        return;
    }
    size_t extra = call->in.size - GRPC_PREFIX_BYTES - message.size;
    call->has_extra = extra > 0;
}

void grpc_call_data(struct grpc_call *call, struct slice bytes)
{
    if (call->state != GRPC_CALL_RECEIVING || call->has_extra) {
        http2_consume(&call->stream);
        return;
    }
    if (!in_admit(call, bytes.size)) {
        http2_consume(&call->stream);
        return;
    }
    buf_append_slice(&call->in, bytes);
    if (call->route->method->takes_stream) {
        call_deliver(call);
    } else {
        call_collect(call);
    }
}

void grpc_call_half_closed(struct grpc_call *call)
{
    if (call->state != GRPC_CALL_RECEIVING || call->is_identifying) {
        return;
    }
    if (call->route->method->takes_stream) {
        call_deliver(call);
        return;
    }
    struct slice message;
    enum grpc_frame frame =
        grpc_frame_peek(buf_slice(&call->in), GRPC_MESSAGE_BYTES_MAX, &message);
    if (call->has_extra) {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, "more than one request message");
    } else if (frame != GRPC_FRAME_WHOLE) {
        grpc_call_fail(call, GRPC_INTERNAL,
                       call->in.size == 0 ? "no request message"
                                          : "the request message is not complete");
    } else {
        call->state = GRPC_CALL_HANDLED;
        call_message(call, message);
        if (call->state != GRPC_CALL_FINISHED) {
            grpc_call_drop_input(call);
        }
    }
}

/* A stream goes on as one does whose client has read. */
void grpc_call_identified(struct grpc_call *call)
{
    if (call->state != GRPC_CALL_RECEIVING) {
        return;
    }
    if (call->route->method->takes_stream) {
        grpc_call_await_room(call);
    } else if (call->stream.peer_ended) {
        grpc_call_half_closed(call);
    }
}

void grpc_call_drained(struct grpc_call *call)
{
    if (call->state == GRPC_CALL_RECEIVING) {
        call_deliver(call);
    }
    if (call->state != GRPC_CALL_FINISHED && !call->is_identifying &&
        call->route->method->drained != NULL) {
        call->route->method->drained(call);
    }
}
