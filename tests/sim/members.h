/* Members that come and go while everything else goes wrong: hosts beyond the first members join,
 * members are removed, lose their disks and are replaced, learners are promoted, leadership is
 * handed over. One that begins as a single node becomes three. One thing at a time, as operators
 * would, each asked of some member that is up.
 *
 * Checked besides what the cluster checks: nobody is told that it was removed unless its removal
 * was asked for; when all is healed every change has come to its end, who is out knows it, and who
 * is in has caught up. */
#ifndef TESTS_SIM_MEMBERS_H
#define TESTS_SIM_MEMBERS_H

#include "raft/message.h"
#include "tests/sim/cluster.h"

enum member_count {
    MEMBER_COUNT_JOINED,
    MEMBER_COUNT_REMOVED,
    MEMBER_COUNT_REPLACED,
    MEMBER_COUNT_PROMOTED, /* learners */
    MEMBER_COUNT_TRANSFERRED,
    MEMBER_COUNT_GROWN, /* single nodes that became three */
    MEMBER_COUNT_REFUSED,
    MEMBER_COUNTS
};

struct members {
    struct cluster *cluster;
    struct world_event tick;
    struct node_change change;
    bool is_open; /* `change` is with a node */
    bool is_ending;
    bool is_running;
    bool is_single; /* it has not grown yet */
    uint32_t goal;  /* then there are so many */
    uint32_t target;
    int lost; /* the host whose disk was lost, until its successor is a voter; -1 = none */
    uint64_t lost_id;
    uint64_t counts[MEMBER_COUNTS];
};

void members_init(struct members *m, struct cluster *c);
void members_start(struct members *m);
/* Begins nothing new. */
void members_end(struct members *m);
void members_close(struct members *m);
/* All changes have come to their end. */
bool members_are_settled(struct members *m);

#endif
