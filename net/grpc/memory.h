/* What clients make us hold: requests that are not complete, and replies that wait to be read. Of
 * one connection and of all. */
#ifndef NET_GRPC_MEMORY_H
#define NET_GRPC_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct grpc_connection;

/* A connection that would hold more is refused further calls. */
#define GRPC_IN_BYTES_MAX ((size_t)64 << 20)
#define GRPC_OUT_BYTES_MAX ((size_t)32 << 20)
/* When all together would hold more, of either, those that hold the most are closed. */
#define GRPC_SHARED_BYTES_MAX ((size_t)256 << 20)

void grpc_memory_open(struct grpc_connection *c);
void grpc_memory_close(struct grpc_connection *c);

/* Takes `bytes` more of a request. False: that would be too much for one connection, and nothing is
 * taken. Any connections, this one too, may be closed (front_sink.close: a little later). */
bool grpc_memory_take(struct grpc_connection *c, size_t bytes);
void grpc_memory_give_back(struct grpc_connection *c, size_t bytes);

/* Notes what waits to be read now. After whatever may have changed that. */
void grpc_memory_note_replies(struct grpc_connection *c);
/* May another reply be made? May close connections, as grpc_memory_take. */
bool grpc_memory_admits_reply(struct grpc_connection *c);

#endif
