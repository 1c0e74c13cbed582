#include "net/grpc/memory.h"

#include "net/grpc/call.h"
#include "net/http2.h"
#include "net/memory.h"

static void note_requests(struct grpc_connection *c, size_t bytes)
{
    c->in_bytes = bytes;
    memory_note(c->env->memory, MEMORY_REQUESTS, bytes);
}

bool grpc_memory_take(struct grpc_connection *c, size_t bytes)
{
    if (c->in_bytes + bytes > GRPC_IN_BYTES_MAX) {
        return false;
    }
    note_requests(c, c->in_bytes + bytes);
    if (memory_admits(c->env->memory)) {
        return true;
    }
    note_requests(c, c->in_bytes - bytes); /* what there was may be gone, these are not there */
    return false;
}

void grpc_memory_give_back(struct grpc_connection *c, size_t bytes)
{
    note_requests(c, c->in_bytes - bytes);
}

void grpc_memory_note_replies(struct grpc_connection *c)
{
    memory_note(c->env->memory, MEMORY_REPLIES, http2_queued(c->http2));
}

bool grpc_memory_admits_reply(struct grpc_connection *c)
{
    return memory_admits(c->env->memory) && http2_queued(c->http2) <= GRPC_OUT_BYTES_MAX;
}
