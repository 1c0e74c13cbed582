/* A client that asks and does not read, or that begins requests and does not end them, must neither
 * fill our memory nor have others refused. So its connection has a limit, which is its own matter;
 * and when many such connections together come to the limit of all, the ones that hold the most
 * are closed until there is room: a client that reads what it asked for holds next to nothing.
 *
 * What a closed connection held is out of the sums at once, though it is freed a little later. */
#include "net/grpc/memory.h"

#include "base/list.h"
#include "base/log.h"
#include "net/grpc/call.h"
#include "net/http2.h"

void grpc_memory_open(struct grpc_connection *c)
{
    list_push_back(&c->shared->connections, &c->link);
}

static void leave_sums(struct grpc_connection *c)
{
    c->shared->in_bytes -= c->in_bytes;
    c->shared->out_bytes -= c->out_bytes;
    list_remove(&c->link);
}

void grpc_memory_close(struct grpc_connection *c)
{
    if (!c->is_evicted) {
        leave_sums(c);
    }
}

static size_t held(const struct grpc_connection *c)
{
    return c->in_bytes + c->out_bytes;
}

static void evict(struct grpc_connection *c)
{
    log_info(c->env->log, "client.evicted", "peer=%s request_bytes=%zu reply_bytes=%zu",
             c->env->peer, c->in_bytes, c->out_bytes);
    leave_sums(c);
    c->is_evicted = true;
    metric_add(c->shared->evicted, 1);
    c->env->sink.close(c->env->sink.conn, false);
}

/* Those that hold at least half of what the worst one does: many go at a time, so that an attack of
 * thousands of connections does not cost a walk over all for each call. */
static void make_room(struct grpc_shared *shared)
{
    size_t most = 0;
    struct list *it;
    struct list *next;
    LIST_EACH(it, next, &shared->connections)
    {
        size_t bytes = held(LIST_OF(it, struct grpc_connection, link));
        most = bytes > most ? bytes : most;
    }
    LIST_EACH(it, next, &shared->connections)
    {
        struct grpc_connection *c = LIST_OF(it, struct grpc_connection, link);
        if (held(c) >= most - most / 2) {
            evict(c);
        }
    }
}

bool grpc_memory_take(struct grpc_connection *c, size_t bytes)
{
    if (c->in_bytes + bytes > GRPC_IN_BYTES_MAX || c->is_evicted) {
        return false;
    }
    c->in_bytes += bytes;
    c->shared->in_bytes += bytes;
    while (c->shared->in_bytes > GRPC_SHARED_BYTES_MAX) {
        make_room(c->shared);
    }
    return true;
}

void grpc_memory_give_back(struct grpc_connection *c, size_t bytes)
{
    c->in_bytes -= bytes;
    c->shared->in_bytes -= c->is_evicted ? 0 : bytes;
}

void grpc_memory_note_replies(struct grpc_connection *c)
{
    size_t queued = http2_queued(c->http2);
    if (!c->is_evicted) {
        c->shared->out_bytes += queued - c->out_bytes; /* may wrap on the way, the sum does not */
        c->out_bytes = queued;
    }
}

bool grpc_memory_admits_reply(struct grpc_connection *c)
{
    while (c->shared->out_bytes > GRPC_SHARED_BYTES_MAX) {
        make_room(c->shared);
    }
    return !c->is_evicted && http2_queued(c->http2) <= GRPC_OUT_BYTES_MAX;
}
