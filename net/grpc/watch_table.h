/* The watches of one stream by their ids: open addressing over pointers, at most three quarters
 * full, so that a watch costs 11 to 21 bytes here. A zeroed table is empty and valid. */
#ifndef NET_GRPC_WATCH_TABLE_H
#define NET_GRPC_WATCH_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct grpc_watch;

struct grpc_watch_table {
    struct grpc_watch *
        *slots;      /* NULL: free. Walked by its owner, in no order that means anything */
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    uint64_t salt;
};

void grpc_watch_table_close(struct grpc_watch_table *t); /* frees the table, not the watches */
struct grpc_watch *grpc_watch_table_find(const struct grpc_watch_table *t, uint64_t id);
void grpc_watch_table_add(struct grpc_watch_table *t, struct grpc_watch *w); /* its id is new */
void grpc_watch_table_remove(struct grpc_watch_table *t, const struct grpc_watch *w);

#endif
