/* Replies and events: structs to bytes. */
#include "base/assert.h"
#include "net/zookeeper/packet.h"

/* Length, xid, zxid, error. */
#define REPLY_HEAD_BYTES ((size_t)20)
#define ZXID_AT          ((size_t)8)

#define STAT_BYTES ((size_t)68)

size_t zk_reply_begin(struct buf *out, int32_t xid, int64_t zxid, enum zk_error error)
{
    size_t begin = out->size;
    uint8_t *head = buf_extend(out, REPLY_HEAD_BYTES);
    jute_store_int(head, 0);
    jute_store_int(head + 4, (uint32_t)xid);
    jute_store_long(head + ZXID_AT, (uint64_t)zxid);
    jute_store_int(head + 16, (uint32_t)error);
    return begin;
}

void zk_reply_end(struct buf *out, size_t begin)
{
    size_t size = out->size - begin - 4;
    PRE(size <= INT32_MAX);
    jute_put_int_at(out, begin, (int32_t)size);
}

int64_t zk_reply_raise_zxid(struct buf *out, size_t begin, int64_t zxid)
{
    PRE(begin + REPLY_HEAD_BYTES <= out->size);
    struct jute_in in =
        jute_in_make(slice_make(out->data + begin + ZXID_AT, REPLY_HEAD_BYTES - ZXID_AT));
    int64_t own = jute_long(&in);
    if (own != 0 && own < zxid) {
        jute_put_long_at(out, begin + ZXID_AT, zxid);
    }
    return own > zxid ? own : zxid;
}

void zk_put_connect_reply(struct buf *out, int32_t timeout_ms, int64_t session,
                          const uint8_t password[ZK_PASSWORD_BYTES], bool with_read_only)
{
    size_t begin = out->size;
    jute_put_int(out, 0);
    jute_put_int(out, 0); /* protocol version */
    jute_put_int(out, timeout_ms);
    jute_put_long(out, session);
    jute_put_buffer(out, slice_make(password, ZK_PASSWORD_BYTES));
    if (with_read_only) {
        jute_put_bool(out, false); /* there is no read-only mode */
    }
    zk_reply_end(out, begin);
}

void zk_put_event(struct buf *out, int64_t zxid, enum zk_event_type type, struct slice path)
{
    size_t begin = zk_reply_begin(out, ZK_XID_EVENT, zxid, ZK_OK);
    jute_put_int(out, (int32_t)type);
    jute_put_int(out, 3); /* SyncConnected */
    jute_put_buffer(out, path);
    zk_reply_end(out, begin);
}

/* Containers and TTL nodes have no owner on the wire; counters are 32 bits there and wrap. */
void zk_put_stat(struct buf *out, const struct node_stat *stat)
{
    bool owned = stat->kind == NODE_EPHEMERAL;
    uint8_t *to = buf_extend(out, STAT_BYTES);
    jute_store_long(to, stat->create_revision);
    jute_store_long(to + 8, stat->modify_revision);
    jute_store_long(to + 16, stat->create_ms);
    jute_store_long(to + 24, stat->modify_ms);
    jute_store_int(to + 32, stat->version);
    jute_store_int(to + 36, (uint32_t)stat_children_version(stat));
    jute_store_int(to + 40, stat->acl_version);
    jute_store_long(to + 44, owned ? stat->lease : 0);
    jute_store_int(to + 52, stat->data_bytes);
    jute_store_int(to + 56, stat->child_count);
    jute_store_long(to + 60, stat->children_revision);
}

void zk_put_acl(struct buf *out, const struct zk_acl *acl, size_t count)
{
    PRE(count <= INT32_MAX);
    jute_put_int(out, (int32_t)count);
    for (size_t i = 0; i < count; i++) {
        jute_put_int(out, acl[i].permissions);
        jute_put_buffer(out, acl[i].scheme);
        jute_put_buffer(out, acl[i].id);
    }
}

void zk_put_multi_head(struct buf *out, int32_t type, enum zk_error error)
{
    jute_put_int(out, type);
    jute_put_bool(out, false);
    jute_put_int(out, error);
}

void zk_put_multi_end(struct buf *out)
{
    jute_put_int(out, -1);
    jute_put_bool(out, true);
    jute_put_int(out, -1);
}
