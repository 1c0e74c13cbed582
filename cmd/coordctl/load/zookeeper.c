/* ZooKeeper's protocol as a client: requests in a row, replies in the same order. Packets are as in
 * net/zookeeper/packet.h. */
#include "cmd/coordctl/load/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/zookeeper/packet.h"

#define SESSION_TIMEOUT_MS 30000
#define TICKS_A_PING       5

struct zk {
    bool is_greeted;
    bool waits_for_auth;
    int32_t next_xid;
    int32_t reply_xid;        /* that comes next */
    struct load_slot **order; /* of the requests under way, by xid */
    unsigned ticks;
    bool is_leaving;
};

static struct zk *zk_of(const struct load_connection *c)
{
    return c->state_of_dialect;
}

/* They go round where the ring of slots does. */
static int32_t xid_after(const struct load_connection *c, int32_t xid)
{
    int32_t slots = (int32_t)c->engine->slots_each;
    return xid + 1 == INT32_MAX - INT32_MAX % slots ? 0 : xid + 1;
}

static size_t packet_begin(struct buf *out, int32_t xid, enum zk_type type)
{
    size_t begin = out->size;
    jute_put_int(out, 0);
    jute_put_int(out, xid);
    jute_put_int(out, type);
    return begin;
}

static void packet_end(struct buf *out, size_t begin)
{
    jute_put_int_at(out, begin, (int32_t)(out->size - begin - 4));
}

/* ---- requests ----------------------------------------------------------------------------- */

static void put_fields(const struct load_slot *s, struct buf *out)
{
    static const struct zk_acl open = {
        ZK_PERM_ALL, {(const uint8_t *)"world", 5}, {(const uint8_t *)"anyone", 6}};
    struct slice value = s->connection->engine->value;
    switch (s->op) {
    case LOAD_OP_SET:
        jute_put_buffer(out, s->path);
        jute_put_buffer(out, value);
        jute_put_int(out, -1);
        break;
    case LOAD_OP_GET:
        jute_put_buffer(out, s->path);
        jute_put_bool(out, false);
        break;
    case LOAD_OP_REVISION: jute_put_buffer(out, s->path); break;
    case LOAD_OP_CREATE:
        jute_put_buffer(out, s->path);
        jute_put_buffer(out, value);
        zk_put_acl(out, &open, 1);
        jute_put_int(out, ZK_FLAG_PERSISTENT);
        break;
    case LOAD_OP_ACQUIRE: /* load_check() refuses these */
    case LOAD_OP_RELEASE:
    case LOAD_OP_CAMPAIGN:
    case LOAD_OP_RESIGN: break;
    case LOAD_OP_DELETE:
        jute_put_buffer(out, s->path);
        jute_put_int(out, -1);
        break;
    case LOAD_OP_WATCH:
        jute_put_buffer(out, s->path);
        jute_put_int(out, 0); /* persistent, not recursive */
        break;
    case LOAD_OP_OPEN:
    case LOAD_OP_CLOSE:
    case LOAD_OPS: break;
    }
}

static void put(struct load_connection *c, struct load_slot *s)
{
    static const enum zk_type types[LOAD_OPS] = {
        [LOAD_OP_SET] = ZK_SET_DATA,       [LOAD_OP_GET] = ZK_GET_DATA,
        [LOAD_OP_CREATE] = ZK_CREATE,      [LOAD_OP_DELETE] = ZK_DELETE,
        [LOAD_OP_CLOSE] = ZK_CLOSE_SESSION, [LOAD_OP_REVISION] = ZK_SYNC,
        [LOAD_OP_WATCH] = ZK_ADD_WATCH,
    };
    struct zk *z = zk_of(c);
    s->text[0] = '\0';
    size_t begin = packet_begin(&c->out, z->next_xid, types[s->op]);
    z->order[(size_t)z->next_xid % c->engine->slots_each] = s;
    z->next_xid = xid_after(c, z->next_xid);
    put_fields(s, &c->out);
    packet_end(&c->out, begin);
}

static void greet(struct load_connection *c)
{
    static const uint8_t no_password[ZK_PASSWORD_BYTES];
    struct buf *out = &c->out;
    struct zk *z = zk_of(c);
    const char *digest = c->engine->options->digest;
    size_t begin = out->size;
    jute_put_int(out, 0);
    jute_put_int(out, 0);
    jute_put_long(out, 0);
    jute_put_int(out, SESSION_TIMEOUT_MS);
    jute_put_long(out, 0);
    jute_put_buffer(out, slice_make(no_password, sizeof no_password));
    packet_end(out, begin);
    if (digest != NULL) {
        z->waits_for_auth = true;
        begin = packet_begin(out, ZK_XID_AUTH, ZK_AUTH);
        jute_put_int(out, 0);
        jute_put_buffer(out, slice_str("digest"));
        jute_put_buffer(out, slice_str(digest));
        packet_end(out, begin);
    }
}

static void tick(struct load_connection *c)
{
    struct zk *z = zk_of(c);
    if (++z->ticks % TICKS_A_PING == 0) {
        packet_end(&c->out, packet_begin(&c->out, ZK_XID_PING, ZK_PING));
    }
}

/* Its reply has the xid that would come next, as all have. */
static void bye(struct load_connection *c)
{
    struct zk *z = zk_of(c);
    z->is_leaving = true;
    packet_end(&c->out, packet_begin(&c->out, z->next_xid, ZK_CLOSE_SESSION));
}

/* ---- answers ------------------------------------------------------------------------------ */

static void take_greeting(struct load_connection *c, struct jute_in *in)
{
    struct zk *z = zk_of(c);
    (void)jute_int(in);
    int32_t timeout_ms = jute_int(in);
    if (in->failed || timeout_ms <= 0) {
        load_failed(c, "no session was given");
        return;
    }
    z->is_greeted = true;
    if (!z->waits_for_auth) {
        load_greeted(c);
    }
}

/* What is no answer to a slot's request. False: it is one. */
static bool take_other(struct load_connection *c, int32_t xid, int32_t error)
{
    struct zk *z = zk_of(c);
    if (xid == ZK_XID_PING) {
        return true;
    }
    if (xid == ZK_XID_EVENT) {
        load_event(c, 1, 1);
        return true;
    }
    if (xid == ZK_XID_AUTH) {
        z->waits_for_auth = false;
        if (error != ZK_OK) {
            load_failed(c, "name and password are not accepted");
        } else if (c->state != LOAD_OPEN) {
            load_greeted(c);
        }
        return true;
    }
    return false;
}

static void take_answer(struct load_connection *c, struct slice packet)
{
    struct zk *z = zk_of(c);
    struct jute_in in = jute_in_make(packet);
    if (!z->is_greeted) {
        take_greeting(c, &in);
        return;
    }
    int32_t xid = jute_int(&in);
    int64_t zxid = jute_long(&in);
    int32_t error = jute_int(&in);
    if (!in.failed && take_other(c, xid, error)) {
        return;
    }
    if (in.failed || xid != z->reply_xid) {
        load_failed(c, "a reply that is not the next");
        return;
    }
    if (z->is_leaving) {
        load_ended(c);
        return;
    }
    struct load_slot *s = z->order[(size_t)xid % c->engine->slots_each];
    z->reply_xid = xid_after(c, xid);
    s->revision = (uint64_t)zxid;
    bool ok = error == ZK_OK;
    if (!ok) {
        snprintf(s->text, sizeof s->text, "error %d%s", error,
                 error == ZK_NODE_EXISTS ? ", the node exists"
                 : error == ZK_NO_NODE   ? ", no such node"
                                         : "");
    } else if (s->op == LOAD_OP_GET && packet.size < c->engine->value.size) {
        snprintf(s->text, sizeof s->text, "a value that is too short was read");
        ok = false;
    }
    bool ends = s->op == LOAD_OP_CLOSE && ok;
    if (ends) {
        load_ended(c);
    }
    if (s->op == LOAD_OP_WATCH && ok) {
        load_event(c, 1, 0);
        load_answered(s, true);
        return;
    }
    load_answered(s, ok);
}

static size_t feed(struct load_connection *c, struct slice bytes)
{
    size_t taken = 0;
    while (bytes.size - taken >= 4) {
        struct jute_in in = jute_in_make(slice_make(bytes.data + taken, bytes.size - taken));
        int32_t size = jute_int(&in);
        if (size < 0 || (size_t)size > (LOAD_VALUE_BYTES_MAX << 1)) {
            load_failed(c, "a malformed packet");
            break;
        }
        if (in.rest.size < (size_t)size) {
            break;
        }
        taken += 4 + (size_t)size;
        take_answer(c, slice_make(in.rest.data, (size_t)size));
        if (c->state == LOAD_CLOSED) {
            break;
        }
    }
    return taken;
}

static void *open_state(struct load_connection *c)
{
    struct zk *z = mem_zalloc(sizeof *z);
    z->next_xid = 1;
    z->reply_xid = 1;
    z->order = mem_zalloc(c->engine->slots_each * sizeof(struct load_slot *));
    return z;
}

static void close_state(void *state)
{
    struct zk *z = state;
    if (z != NULL) {
        mem_free(z->order);
        mem_free(z);
    }
}

const struct load_dialect load_zookeeper = {
    .name = "zookeeper",
    .sessions_are_connections = true,
    .open = open_state,
    .close = close_state,
    .greet = greet,
    .feed = feed,
    .put = put,
    .tick = tick,
    .bye = bye,
};
