/* Jute, ZooKeeper's record encoding: big-endian integers, strings and buffers with a length where
 * -1 means null, vectors with a count (zookeeper-jute, BinaryInputArchive).
 *
 * Reading never fails halfway with a special path: the first short or wrong read sets `failed`,
 * everything after it yields zeros, and the caller looks once at the end. Bytes behind the last
 * field are not an error: that is how clients and servers of different ages get along. */
#ifndef NET_ZOOKEEPER_JUTE_H
#define NET_ZOOKEEPER_JUTE_H

#include "base/buf.h"

struct jute_in {
    struct slice rest;
    bool failed;
};

/* A string or buffer: null and empty differ. */
struct jute_bytes {
    struct slice bytes;
    bool is_null;
};

struct jute_in jute_in_make(struct slice bytes);
bool jute_bool(struct jute_in *in);
int32_t jute_int(struct jute_in *in);
int64_t jute_long(struct jute_in *in);
struct jute_bytes jute_buffer(struct jute_in *in); /* borrowed from the input */
/* A count of items that take at least `item_bytes` each; null is 0. More than the rest of the input
 * could hold is refused before anybody allocates for it. */
size_t jute_count(struct jute_in *in, size_t item_bytes);

/* Into memory that is there. */
static inline void jute_store_int(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

static inline void jute_store_long(uint8_t *to, uint64_t v)
{
    jute_store_int(to, (uint32_t)(v >> 32));
    jute_store_int(to + 4, (uint32_t)v);
}

void jute_put_bool(struct buf *out, bool v);
void jute_put_int(struct buf *out, int32_t v);
void jute_put_long(struct buf *out, int64_t v);
void jute_put_buffer(struct buf *out, struct slice bytes);
void jute_put_null(struct buf *out);
/* Overwrites an int written before, for lengths known only afterwards. */
void jute_put_int_at(struct buf *out, size_t offset, int32_t v);
void jute_put_long_at(struct buf *out, size_t offset, int64_t v);

#endif
