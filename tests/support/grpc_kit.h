/* The gRPC front end over a fake node, and a client of it: the fixture of test programs that need
 * one of each. */
#ifndef TESTS_SUPPORT_GRPC_KIT_H
#define TESTS_SUPPORT_GRPC_KIT_H

#include "tests/support/fake_node.h"
#include "tests/support/grpc_peer.h"

static struct node *node;
static struct peer *peer;

static void setup(void)
{
    node = fake_node_new();
    peer = peer_new(node);
    node->now_ms = peer->env.now_ms;
    peer_run(peer);
}

static void teardown(void)
{
    peer_free(peer);
    fake_node_free(node);
}

#endif
