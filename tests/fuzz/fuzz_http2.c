/* Bytes into the gRPC front end, as a connection would bring them: HTTP/2 frames, headers, gRPC
 * frames, protobuf. Input is fed in pieces whose lengths it chooses itself, with turns, ticks
 * and completions between them. */
#include <string.h>

#include "net/grpc/front.h"
#include "tests/support/fake_node.h"

struct fuzz_env {
    struct env env; /* first */
    uint64_t now_ms;
    bool is_closed;
};

static uint64_t now_ms(struct env *env)
{
    return ((struct fuzz_env *)env)->now_ms;
}

static uint64_t now_us(struct env *env)
{
    return ((struct fuzz_env *)env)->now_ms * 1000;
}

static void fill_random(struct env *env, void *bytes, size_t size)
{
    (void)env;
    memset(bytes, 7, size);
}

static bool sink_write(void *conn, struct slice bytes)
{
    (void)conn;
    (void)bytes;
    return true;
}

static size_t sink_queued(void *conn)
{
    (void)conn;
    return 0;
}

static void sink_wake(void *conn)
{
    (void)conn;
}

static void sink_pause(void *conn, bool paused)
{
    (void)conn;
    (void)paused;
}

static void sink_close(void *conn, bool flush)
{
    (void)flush;
    ((struct fuzz_env *)conn)->is_closed = true;
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

/* One piece of input: its first byte says how long it is and what happens after it. */
static size_t piece_run(struct fuzz_env *world, struct node *node, void *state,
                        const uint8_t *data, size_t size)
{
    size_t bytes = (size_t)(data[0] & 0x3f) * 4;
    bytes = bytes < size - 1 ? bytes : size - 1;
    ptrdiff_t taken = grpc_front.feed(state, slice_make(data + 1, bytes));
    if (taken < 0) {
        world->is_closed = true;
        return bytes + 1;
    }
    if ((data[0] & 0x40) != 0) {
        node_turn(node);
    }
    if (!world->is_closed) {
        grpc_front.turn(state);
    }
    if ((data[0] & 0x80) != 0 && !world->is_closed) {
        world->now_ms += 3000;
        node->now_ms = world->now_ms;
        if (grpc_front.next_deadline_ms(state) <= world->now_ms) {
            grpc_front.tick(state, world->now_ms);
        }
    }
    return bytes + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_env world = {
        .env = {.now_ms = now_ms, .now_us = now_us, .random = fill_random}, .now_ms = 1000};
    struct node *node = fake_node_new();
    struct front_limits limits = {0};
    struct front_env env = {
        .node = node,
        .env = &world.env,
        .limits = &limits,
        .sink = {.conn = &world,
                 .write = sink_write,
                 .queued = sink_queued,
                 .wake = sink_wake,
                 .pause = sink_pause,
                 .close = sink_close},
    };
    node->now_ms = world.now_ms;
    env.shared = grpc_front.shared_new(&env);
    void *state = mem_zalloc(grpc_front.state_size);
    enum status rc = grpc_front.open(state, &env);
    PRE(rc == RC_OK);
    ptrdiff_t taken = grpc_front.feed(state, slice_make(preface, sizeof preface - 1));
    PRE(taken > 0);
    while (size > 0 && !world.is_closed) {
        size_t used = piece_run(&world, node, state, data, size);
        data += used;
        size -= used;
    }
    grpc_front.close(state);
    grpc_front.shared_free(env.shared);
    mem_free(state);
    fake_node_free(node);
    return 0;
}
