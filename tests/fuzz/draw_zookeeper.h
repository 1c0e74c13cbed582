/* Requests of ZooKeeper clients, drawn from the input: valid ones over a handful of paths. */
#ifndef TESTS_FUZZ_DRAW_ZOOKEEPER_H
#define TESTS_FUZZ_DRAW_ZOOKEEPER_H

#include "tests/fuzz/draw.h"
#include "tests/support/zk_put.h"

static inline const char *draw_path(struct input *in)
{
    static const char *const paths[] = {"/",     "/a",  "/a/b", "/a/b/c",
                                        "/c",    "/s-", "/a/",  "//x",
                                        "/./a",  "rel", "",     "/zookeeper/config",
                                        "/a/s-", "/b",  "/c/e", "/\xff"};
    return paths[draw(in) % (sizeof paths / sizeof paths[0])];
}

static inline void draw_create(struct buf *b, struct input *in, int32_t type)
{
    zk_put_text(b, draw_path(in));
    zk_put_text(b, "data");
    zk_put_open_acl(b);
    jute_put_int(b, draw(in) % 8);
    if (type == ZK_CREATE_TTL) {
        jute_put_long(b, draw(in));
    }
}

static inline void draw_body(struct buf *b, struct input *in, int32_t type);

static inline void draw_multi(struct buf *b, struct input *in, int32_t multi)
{
    static const int32_t writes[] = {
        ZK_CREATE,  ZK_DELETE,     ZK_SET_DATA,         ZK_CHECK,
        ZK_CREATE2, ZK_CREATE_TTL, ZK_CREATE_CONTAINER, ZK_GET_DATA};
    static const int32_t reads[] = {ZK_GET_DATA, ZK_GET_CHILDREN, ZK_GET_DATA, ZK_EXISTS};
    for (int count = draw(in) % 5; count > 0; count--) {
        int32_t type = multi == ZK_MULTI ? writes[draw(in) % 8] : reads[draw(in) % 4];
        zk_put_multi_head(b, type, (enum zk_error) - 1);
        draw_body(b, in, type);
    }
    zk_put_multi_end(b);
}

static inline void draw_set_watches(struct buf *b, struct input *in, int lists)
{
    jute_put_long(b, draw(in) % 16);
    for (int i = 0; i < lists; i++) {
        int count = draw(in) % 3;
        jute_put_int(b, count);
        for (; count > 0; count--) {
            zk_put_text(b, draw_path(in));
        }
    }
}

static inline void draw_body(struct buf *b, struct input *in, int32_t type)
{
    switch (type) {
    case ZK_CREATE:
    case ZK_CREATE2:
    case ZK_CREATE_CONTAINER:
    case ZK_CREATE_TTL: draw_create(b, in, type); break;
    case ZK_SET_DATA:
        zk_put_text(b, draw_path(in));
        zk_put_text(b, "new");
        jute_put_int(b, draw(in) % 4 - 1);
        break;
    case ZK_SET_ACL:
        zk_put_text(b, draw_path(in));
        zk_put_open_acl(b);
        jute_put_int(b, -1);
        break;
    case ZK_MULTI:
    case ZK_MULTI_READ: draw_multi(b, in, type); break;
    case ZK_SET_WATCHES: draw_set_watches(b, in, 3); break;
    case ZK_SET_WATCHES2: draw_set_watches(b, in, 5); break;
    case ZK_EXISTS:
    case ZK_GET_DATA:
    case ZK_GET_CHILDREN:
    case ZK_GET_CHILDREN2:
        zk_put_text(b, draw_path(in));
        jute_put_bool(b, draw(in) % 2 == 1);
        break;
    case ZK_AUTH:
        jute_put_int(b, 0);
        zk_put_text(b, draw(in) % 8 != 0 ? "digest" : "nobody");
        zk_put_text(b, "u:p");
        break;
    default:
        zk_put_text(b, draw_path(in));
        jute_put_int(b, draw(in) % 8 - 1);
        break;
    }
}

static inline int32_t draw_type(struct input *in)
{
    static const int32_t types[] = {
        ZK_CREATE,        ZK_CREATE,         ZK_DELETE,         ZK_EXISTS,
        ZK_GET_DATA,      ZK_SET_DATA,       ZK_GET_ACL,        ZK_SET_ACL,
        ZK_GET_CHILDREN,  ZK_SYNC,           ZK_PING,           ZK_MULTI,
        ZK_GET_CHILDREN2, ZK_CREATE2,        ZK_CHECK_WATCHES,  ZK_MULTI_READ,
        ZK_AUTH,          ZK_REMOVE_WATCHES, ZK_CREATE_TTL,     ZK_CREATE_CONTAINER,
        ZK_ADD_WATCH,     ZK_SASL,           ZK_GET_EPHEMERALS, ZK_SET_WATCHES,
        ZK_SET_WATCHES2,  ZK_WHO_AM_I,       ZK_CHECK,          ZK_CREATE_SESSION,
        ZK_CLOSE_SESSION, ZK_RECONFIG,       ZK_ADD_WATCH,      ZK_GET_ALL_CHILDREN_NUMBER};
    return types[draw(in) % (sizeof types / sizeof types[0])];
}

#endif
