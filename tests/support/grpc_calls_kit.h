/* Calls whose headers and bytes are chosen one by one. */
#ifndef TESTS_SUPPORT_GRPC_CALLS_KIT_H
#define TESTS_SUPPORT_GRPC_CALLS_KIT_H

#include "coord/v1/tree.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "net/grpc/call.h"
#include "net/grpc/front.h"
#include "net/grpc/memory.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_node.h"
#include "tests/support/grpc_peer.h"

#define GET "/coord.v1.Tree/Get"
#define CREATE "/coord.v1.Tree/Create"
#define LIST "/coord.v1.Tree/List"
#define REFLECT "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

#define REQUEST(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name

static struct node *node;
static struct peer *peer;

static inline void setup(void)
{
    node = fake_node_new();
    peer = peer_new(node);
    node->now_ms = peer->env.now_ms;
    peer_run(peer);
}

static inline void setup_raw(void)
{
    node = fake_node_new();
    peer = peer_new_raw(node);
}

static inline void teardown(void)
{
    peer_free(peer);
    fake_node_free(node);
}

static inline void advance(uint64_t ms)
{
    node->now_ms += ms;
    peer_advance(peer, ms);
}

/* A framed GetRequest of "/". */
static const uint8_t get_root[] = {0, 0, 0, 0, 3, 0x12, 1, '/'};

static inline struct peer_call *call_with(const char *path, const char *const *headers,
                                          const void *body, size_t bytes)
{
    struct peer_call *call = peer_call_open(peer, path, headers);
    peer_call_send_bytes(call, body, bytes);
    peer_call_end(call);
    peer_run(peer);
    return call;
}

static inline int code_with(const char *path, const char *const *headers, const void *body,
                            size_t bytes)
{
    struct peer_call *call = call_with(path, headers, body, bytes);
    int code = peer_call_code(call);
    ck_assert(call->is_closed);
    peer_call_free(call);
    return code;
}

static inline int get_root_code(void)
{
    return code_with(GET, NULL, get_root, sizeof get_root);
}

#endif
