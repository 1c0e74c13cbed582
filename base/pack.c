#include "base/pack.h"

#include "base/assert.h"

void pack_bytes(struct buf *b, struct slice s)
{
    PRE(s.size <= UINT32_MAX);
    pack_u32(b, (uint32_t)s.size);
    buf_append_slice(b, s);
}

void pack_u32_at(struct buf *b, size_t offset, uint32_t v)
{
    PRE(b->size >= sizeof v && offset <= b->size - sizeof v);
    v = PACK_LE32(v);
    memcpy(b->data + offset, &v, sizeof v);
}

void pack_u64_at(struct buf *b, size_t offset, uint64_t v)
{
    PRE(b->size >= sizeof v && offset <= b->size - sizeof v);
    v = PACK_LE64(v);
    memcpy(b->data + offset, &v, sizeof v);
}
