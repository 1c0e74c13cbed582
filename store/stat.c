#include "store/stat.h"

#include "store/digest.h"

#define STAT_SEED UINT64_C(0x53) /* part of the state digest: never change it */

void stat_pack(struct buf *b, const struct node_stat *s)
{
    buf_reserve(b, STAT_PACKED_BYTES);
    pack_u64(b, s->create_revision);
    pack_u64(b, s->modify_revision);
    pack_u64(b, s->children_revision);
    pack_u64(b, s->create_ms);
    pack_u64(b, s->modify_ms);
    pack_u64(b, s->lease);
    pack_u64(b, s->ttl_ms);
    pack_u64(b, s->sequence_next);
    pack_u32(b, s->version);
    pack_u32(b, s->acl_version);
    pack_u32(b, s->data_bytes);
    pack_u32(b, s->child_count);
    pack_u32(b, s->acl);
    pack_u8(b, s->kind);
}

void stat_unpack(struct unpack *u, struct node_stat *s)
{
    s->create_revision = unpack_u64(u);
    s->modify_revision = unpack_u64(u);
    s->children_revision = unpack_u64(u);
    s->create_ms = unpack_u64(u);
    s->modify_ms = unpack_u64(u);
    s->lease = unpack_u64(u);
    s->ttl_ms = unpack_u64(u);
    s->sequence_next = unpack_u64(u);
    s->version = unpack_u32(u);
    s->acl_version = unpack_u32(u);
    s->data_bytes = unpack_u32(u);
    s->child_count = unpack_u32(u);
    s->acl = unpack_u32(u);
    s->kind = unpack_u8(u);
    if (s->kind > NODE_MAP) {
        u->failed = true;
    }
}

uint64_t stat_hash(const struct node_stat *s)
{
    const uint64_t words[] = {
        s->create_revision,
        s->modify_revision,
        s->children_revision,
        s->create_ms,
        s->modify_ms,
        s->lease,
        s->ttl_ms,
        s->sequence_next,
        (uint64_t)s->version << 32 | s->acl_version,
        (uint64_t)s->data_bytes << 32 | s->child_count,
        (uint64_t)s->acl << 32 | s->kind,
    };
    return digest_words(STAT_SEED, words, sizeof words / sizeof words[0]);
}
