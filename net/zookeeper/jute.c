#include "net/zookeeper/jute.h"

#include "base/assert.h"

struct jute_in jute_in_make(struct slice bytes)
{
    return (struct jute_in){.rest = bytes};
}

/* The next bytes, or NULL when there are not so many. */
static const uint8_t *take(struct jute_in *in, size_t bytes)
{
    if (in->failed || in->rest.size < bytes) {
        in->failed = true;
        return NULL;
    }
    const uint8_t *at = in->rest.data;
    in->rest = slice_make(at + bytes, in->rest.size - bytes);
    return at;
}

static uint64_t take_integer(struct jute_in *in, size_t bytes)
{
    const uint8_t *at = take(in, bytes);
    uint64_t v = 0;
    for (size_t i = 0; at != NULL && i < bytes; i++) {
        v = v << 8 | at[i];
    }
    return v;
}

bool jute_bool(struct jute_in *in)
{
    return take_integer(in, 1) != 0;
}

int32_t jute_int(struct jute_in *in)
{
    return (int32_t)(uint32_t)take_integer(in, 4);
}

int64_t jute_long(struct jute_in *in)
{
    return (int64_t)take_integer(in, 8);
}

struct jute_bytes jute_buffer(struct jute_in *in)
{
    struct jute_bytes b = {.is_null = true};
    int32_t size = jute_int(in);
    if (size == -1 || in->failed) {
        return b;
    }
    const uint8_t *at = size < 0 ? NULL : take(in, (size_t)size);
    if (at == NULL) {
        in->failed = true;
        return b;
    }
    return (struct jute_bytes){.bytes = slice_make(at, (size_t)size)};
}

size_t jute_count(struct jute_in *in, size_t item_bytes)
{
    PRE(item_bytes > 0);
    int32_t count = jute_int(in);
    if (count < 0 || in->failed) { /* -1 is null, and what is less is taken for no items, too */
        return 0;
    }
    if ((size_t)count > in->rest.size / item_bytes) {
        in->failed = true;
        return 0;
    }
    return (size_t)count;
}

void jute_put_bool(struct buf *out, bool v)
{
    *buf_extend(out, 1) = v;
}

void jute_put_int(struct buf *out, int32_t v)
{
    jute_store_int(buf_extend(out, 4), (uint32_t)v);
}

void jute_put_long(struct buf *out, int64_t v)
{
    jute_store_long(buf_extend(out, 8), (uint64_t)v);
}

void jute_put_buffer(struct buf *out, struct slice bytes)
{
    PRE(bytes.size <= INT32_MAX);
    jute_put_int(out, (int32_t)bytes.size);
    buf_append_slice(out, bytes);
}

void jute_put_null(struct buf *out)
{
    jute_put_int(out, -1);
}

void jute_put_int_at(struct buf *out, size_t offset, int32_t v)
{
    PRE(offset + 4 <= out->size);
    jute_store_int(out->data + offset, (uint32_t)v);
}

void jute_put_long_at(struct buf *out, size_t offset, int64_t v)
{
    PRE(offset + 8 <= out->size);
    jute_store_long(out->data + offset, (uint64_t)v);
}
