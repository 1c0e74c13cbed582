/* What pages of the HTTP front end see of a node, without a node: a program that includes this is
 * linked without raft/node.c. One test program, one inclusion. */
#ifndef TESTS_SUPPORT_FAKE_STATUS_H
#define TESTS_SUPPORT_FAKE_STATUS_H

#include "raft/node.h"

static struct node_status fake_status;

bool node_is_serving(const struct node *n)
{
    (void)n;
    return fake_status.serving;
}

void node_status(const struct node *n, struct node_status *out)
{
    (void)n;
    *out = fake_status;
}

/* Nobody logs in here. */
const struct store *node_store(const struct node *n)
{
    (void)n;
    return NULL;
}

#endif
