#include "net/guest.h"

#include <stdio.h>

#include "base/buf.h"
#include "raft/frame_reader.h"
#include "raft/node.h"

#define GUEST_MS              10000
#define GUEST_FRAME_BYTES_MAX ((size_t)4096)
#define GUEST_OUT_BYTES_MAX   ((size_t)256 << 10)

struct guest_connection {
    const struct front_env *env;
    struct frame_reader reader;
    struct arena arena;
    struct buf out;
    uint64_t until_ms;
    bool is_greeted;
    bool is_closing;
};

static enum status guest_open(void *state, const struct front_env *env)
{
    struct guest_connection *c = state;
    c->env = env;
    c->reader.frame_bytes_max = GUEST_FRAME_BYTES_MAX;
    c->until_ms = env->env->now_ms(env->env) + GUEST_MS;
    return RC_OK;
}

static void greet(struct guest_connection *c, const struct message_hello *hello)
{
    const struct node *n = c->env->node;
    const struct message m = {.type = MESSAGE_HELLO,
                              .hello = {.format = MESSAGE_FORMAT,
                                        .feature_level = FEATURE_LEVEL,
                                        .cluster_id = node_cluster_id(n),
                                        .node_id = node_id(n),
                                        .target_id = hello->node_id,
                                        .name = slice_str(node_name(n))}};
    c->is_greeted = true;
    message_encode(&c->out, &m);
}

static bool is_who_it_says(const struct guest_connection *c, const struct message_hello *hello)
{
    char name[MESSAGE_NAME_BYTES_MAX + 1];
    (void)snprintf(name, sizeof name, "%.*s", (int)hello->name.size,
                   (const char *)hello->name.data);
    return c->env->tls == NULL || tls_peer_is_named(c->env->tls, name);
}

static bool guest_frame(void *state, struct slice frame)
{
    struct guest_connection *c = state;
    struct message m;
    arena_clear(&c->arena);
    bool is_fine = message_decode(frame, &m, &c->arena, NULL) == RC_OK &&
                   c->out.size < GUEST_OUT_BYTES_MAX;
    if (is_fine && m.type == MESSAGE_HELLO && !c->is_greeted &&
        m.hello.format == MESSAGE_FORMAT && m.hello.cluster_id == 0 &&
        is_who_it_says(c, &m.hello)) {
        greet(c, &m.hello);
    } else if (is_fine && m.type == MESSAGE_MEMBER_ASK && c->is_greeted) {
        struct message answer = {0};
        node_guest(c->env->node, &m.member_ask, &answer);
        message_encode(&c->out, &answer);
    } else {
        c->is_closing = true;
    }
    c->env->sink.wake(c->env->sink.conn);
    return !c->is_closing;
}

static ptrdiff_t guest_feed(void *state, struct slice bytes)
{
    struct guest_connection *c = state;
    struct errmsg err = {0};
    enum status rc = frame_reader_feed(&c->reader, bytes, guest_frame, c, &err);
    return rc == RC_OK ? (ptrdiff_t)bytes.size : -(ptrdiff_t)rc;
}

static void guest_turn(void *state)
{
    struct guest_connection *c = state;
    const struct front_sink *sink = &c->env->sink;
    if (c->out.size > 0) {
        (void)sink->write(sink->conn, buf_slice(&c->out));
        buf_close(&c->out);
    }
    if (c->is_closing) {
        sink->close(sink->conn, true);
    }
}

static uint64_t guest_next_deadline_ms(const void *state)
{
    const struct guest_connection *c = state;
    return c->is_closing ? UINT64_MAX : c->until_ms;
}

static void guest_tick(void *state, uint64_t now_ms)
{
    struct guest_connection *c = state;
    if (now_ms >= c->until_ms) {
        c->is_closing = true;
        c->env->sink.wake(c->env->sink.conn);
    }
}

static void guest_stop(void *state)
{
    struct guest_connection *c = state;
    c->is_closing = true;
    c->env->sink.wake(c->env->sink.conn);
}

static void guest_close(void *state)
{
    struct guest_connection *c = state;
    frame_reader_close(&c->reader);
    arena_close(&c->arena);
    buf_close(&c->out);
}

const struct front guest_front = {.name = "guest",
                                  .state_size = sizeof(struct guest_connection),
                                  .open = guest_open,
                                  .feed = guest_feed,
                                  .turn = guest_turn,
                                  .tick = guest_tick,
                                  .next_deadline_ms = guest_next_deadline_ms,
                                  .stop = guest_stop,
                                  .close = guest_close};
