/* Requests and replies of ZooKeeper clients in one line, for test programs with
 * tests/support/zk_peer.h: what came back as a text, such as "3: ok /a" or "event 1 /a". */
#ifndef TESTS_SUPPORT_ZK_SAY_H
#define TESTS_SUPPORT_ZK_SAY_H

#include <check.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/support/zk_peer.h"

static inline void zk_text_bytes(struct buf *text, struct jute_bytes b)
{
    buf_append_str(text, " ");
    if (b.is_null) {
        buf_append_str(text, "null");
    } else {
        buf_append_slice(text, b.bytes);
    }
}

/* version, cversion, aversion, children; "e" behind it for an ephemeral. */
static inline void zk_text_stat(struct buf *text, struct jute_in *in)
{
    int64_t czxid = jute_long(in);
    int64_t mzxid = jute_long(in);
    (void)jute_long(in);
    (void)jute_long(in);
    int32_t version = jute_int(in);
    int32_t cversion = jute_int(in);
    int32_t aversion = jute_int(in);
    int64_t owner = jute_long(in);
    int32_t data_bytes = jute_int(in);
    int32_t children = jute_int(in);
    int64_t pzxid = jute_long(in);
    ck_assert(mzxid >= czxid && pzxid >= czxid);
    buf_printf(text, " (v%" PRId32 " c%" PRId32 " a%" PRId32 " n%" PRId32 " %" PRId32 "b%s)",
               version, cversion, aversion, children, data_bytes, owner != 0 ? " e" : "");
}

static inline void zk_text_list(struct buf *text, struct jute_in *in)
{
    int32_t count = jute_int(in);
    buf_append_str(text, " [");
    for (int32_t i = 0; i < count; i++) {
        zk_text_bytes(text, jute_buffer(in));
    }
    buf_append_str(text, " ]");
}

static inline void zk_text_pairs(struct buf *text, struct jute_in *in)
{
    int32_t count = jute_int(in);
    for (int32_t i = 0; i < count; i++) {
        zk_text_bytes(text, jute_buffer(in));
        zk_text_bytes(text, jute_buffer(in));
    }
}

static inline void zk_text_acl(struct buf *text, struct jute_in *in)
{
    int32_t count = jute_int(in);
    for (int32_t i = 0; i < count; i++) {
        buf_printf(text, " %" PRId32, jute_int(in));
        zk_text_bytes(text, jute_buffer(in));
        zk_text_bytes(text, jute_buffer(in));
    }
}

static inline void zk_text_body(struct buf *text, int32_t type, struct jute_in *in);

static inline void zk_text_multi(struct buf *text, struct jute_in *in)
{
    for (;;) {
        int32_t type = jute_int(in);
        bool done = jute_bool(in);
        int32_t error = jute_int(in);
        ck_assert(!in->failed);
        if (done) {
            ck_assert_int_eq(type, -1);
            ck_assert_int_eq(error, -1);
            return;
        }
        buf_printf(text, " | %" PRId32, type == ZK_ERROR ? error : type);
        if (type == ZK_ERROR) {
            ck_assert_int_eq(jute_int(in), error);
        } else {
            zk_text_body(text, type, in);
        }
    }
}

static inline void zk_text_body(struct buf *text, int32_t type, struct jute_in *in)
{
    switch (type) {
    case ZK_CREATE:
    case ZK_SYNC: zk_text_bytes(text, jute_buffer(in)); break;
    case ZK_CREATE2:
    case ZK_CREATE_CONTAINER:
    case ZK_CREATE_TTL:
    case ZK_GET_DATA:
        zk_text_bytes(text, jute_buffer(in));
        zk_text_stat(text, in);
        break;
    case ZK_EXISTS:
    case ZK_SET_DATA:
    case ZK_SET_ACL: zk_text_stat(text, in); break;
    case ZK_GET_CHILDREN:
    case ZK_GET_EPHEMERALS: zk_text_list(text, in); break;
    case ZK_GET_CHILDREN2:
        zk_text_list(text, in);
        zk_text_stat(text, in);
        break;
    case ZK_GET_ACL:
        zk_text_acl(text, in);
        zk_text_stat(text, in);
        break;
    case ZK_ADD_WATCH:
    case ZK_GET_ALL_CHILDREN_NUMBER: buf_printf(text, " %" PRId32, jute_int(in)); break;
    case ZK_WHO_AM_I: zk_text_pairs(text, in); break;
    case ZK_MULTI:
    case ZK_MULTI_READ: zk_text_multi(text, in); break;
    case ZK_SASL: zk_text_bytes(text, jute_buffer(in)); break;
    default: break;
    }
}

/* The next packet as a text; `type` is that of the request it answers, for its body. "" = none. The
 * text is valid until the next call. */
static inline const char *zk_say_next(struct zk_peer *p, int32_t type)
{
    static struct buf text;
    static struct buf body;
    struct zk_seen seen;
    buf_clear(&text);
    if (!zk_take(p, &seen, &body)) {
        return p->is_closed ? "closed" : "";
    }
    if (seen.xid == ZK_XID_EVENT) {
        buf_printf(&text, "event %" PRId32, jute_int(&seen.body));
        ck_assert_int_eq(jute_int(&seen.body), 3);
        zk_text_bytes(&text, jute_buffer(&seen.body));
    } else if (seen.error != 0) {
        buf_printf(&text, "%" PRId32, seen.error);
        if (type == ZK_SASL) { /* which clients read whatever the error is */
            zk_text_body(&text, type, &seen.body);
        }
    } else {
        buf_append_str(&text, "ok");
        zk_text_body(&text, type, &seen.body);
    }
    ck_assert(!seen.body.failed);
    ck_assert_uint_eq(seen.body.rest.size, 0);
    ck_assert(seen.error == 0 || seen.body.rest.size == 0);
    *buf_extend(&text, 1) = '\0';
    return (const char *)text.data;
}

/* A request and its reply. */
static inline const char *zk_ask(struct zk_peer *p, int32_t type, struct buf body)
{
    (void)zk_send(p, type, &body);
    zk_world_run(p->world);
    return zk_say_next(p, type);
}

static inline const char *zk_ask_create(struct zk_peer *p, const char *path)
{
    return zk_ask(p, ZK_CREATE, zk_create_body(path, "x", 0));
}

static inline const char *zk_ask_set(struct zk_peer *p, const char *path, const char *data)
{
    return zk_ask(p, ZK_SET_DATA, zk_set_body(path, data, -1));
}

static inline const char *zk_ask_delete(struct zk_peer *p, const char *path)
{
    return zk_ask(p, ZK_DELETE, zk_version_body(path, -1));
}

static inline const char *zk_ask_path(struct zk_peer *p, int32_t type, const char *path,
                                      bool watch)
{
    return zk_ask(p, type, zk_path_body(path, watch));
}

/* A connection with a session. */
static inline struct zk_peer *zk_peer_connect(struct zk_world *w, const char *address)
{
    size_t bytes = 0;
    struct zk_peer *p = zk_peer_open(w, address);
    zk_hello_send(p, &(struct zk_hello){.timeout_ms = 10000});
    zk_world_run(w);
    ck_assert(zk_take_hello(p, &bytes));
    ck_assert_uint_eq(bytes, 37);
    ck_assert_int_ne(p->session, 0);
    return p;
}

/* A new connection that asks for the session of another. */
static inline struct zk_peer *zk_peer_resume(struct zk_world *w, const struct zk_peer *of)
{
    struct zk_peer *p = zk_peer_open(w, "192.0.2.9:5");
    zk_hello_send(p, &(struct zk_hello){.timeout_ms = 10000,
                                        .session = of->session,
                                        .password = slice_make(of->password, 16)});
    zk_world_run(w);
    return p;
}

#endif
