/* What a gRPC connection makes us hold: requests that are not complete, and replies that wait to be
 * read. Its own limits, and its part in the sum over all clients (net/memory.h). */
#ifndef NET_GRPC_MEMORY_H
#define NET_GRPC_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct grpc_connection;

/* A connection that would hold more is refused further calls. */
#define GRPC_IN_BYTES_MAX ((size_t)64 << 20)
#define GRPC_OUT_BYTES_MAX ((size_t)32 << 20)

/* Takes `bytes` more of a request. False: that would be too much for one connection, or this one
 * was evicted, and nothing is taken. */
bool grpc_memory_take(struct grpc_connection *c, size_t bytes);
void grpc_memory_give_back(struct grpc_connection *c, size_t bytes);

/* Notes what waits to be read now. After whatever may have changed that. */
void grpc_memory_note_replies(struct grpc_connection *c);
/* May another reply be made? May evict connections, as grpc_memory_take. */
bool grpc_memory_admits_reply(struct grpc_connection *c);

#endif
