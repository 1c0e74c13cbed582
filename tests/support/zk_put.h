/* Packets of ZooKeeper clients and their parts, for tests that send them. */
#ifndef TESTS_SUPPORT_ZK_PUT_H
#define TESTS_SUPPORT_ZK_PUT_H

#include "net/zookeeper/packet.h"

static inline void zk_put_packet(struct buf *out, struct slice packet)
{
    jute_put_buffer(out, packet);
}

static inline void zk_put_text(struct buf *out, const char *text)
{
    jute_put_buffer(out, slice_str(text));
}

static inline void zk_put_open_acl(struct buf *out)
{
    const struct zk_acl open = {ZK_PERM_ALL, slice_str("world"), slice_str("anyone")};
    zk_put_acl(out, &open, 1);
}

struct zk_hello {
    int64_t last_zxid_seen;
    int32_t timeout_ms;
    int64_t session;
    struct slice password; /* NULL data: 16 zeros */
    bool is_short;         /* without the byte for read-only */
};

/* A connect request, in its frame. */
static inline void zk_put_hello(struct buf *out, const struct zk_hello *h)
{
    static const uint8_t zeros[ZK_PASSWORD_BYTES];
    struct buf b = {0};
    jute_put_int(&b, 0);
    jute_put_long(&b, h->last_zxid_seen);
    jute_put_int(&b, h->timeout_ms);
    jute_put_long(&b, h->session);
    jute_put_buffer(&b,
                    h->password.data != NULL ? h->password : slice_make(zeros, sizeof zeros));
    if (!h->is_short) {
        jute_put_bool(&b, false);
    }
    zk_put_packet(out, buf_slice(&b));
    buf_close(&b);
}

#endif
