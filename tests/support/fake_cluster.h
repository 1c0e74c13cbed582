/* Nodes of one cluster in one process: each with a disk in memory (fake_env) and a host on a
 * network without sockets (fake_net). Time passes only in fake_cluster_run, a millisecond at a
 * time, in which messages and disks have no latency.
 *
 * A member can be paused, as by SIGSTOP: time goes on, it takes no turn, and what arrives for it
 * waits. It can be killed and started again, and cut off from all others. */
#ifndef TESTS_SUPPORT_FAKE_CLUSTER_H
#define TESTS_SUPPORT_FAKE_CLUSTER_H

#include "raft/node_internal.h"
#include "tests/support/fake_env.h"
#include "tests/support/fake_net.h"

#define FAKE_CLUSTER_MEMBERS_MAX 8

struct fake_cluster;

struct fake_member {
    struct env env; /* first: the disk's and the host's in one */
    struct fake_cluster *cluster;
    struct fake_env disk;
    struct env *host;
    struct env_disk disk_table;
    struct env_net net_table;
    struct node *node; /* NULL: down */
    bool is_paused;
    bool joins;
    bool is_learner; /* if it joins */
    int64_t wall_offset_ms;
    int fatals;
};

struct fake_cluster {
    struct fake_net *net;
    struct fake_member members[FAKE_CLUSTER_MEMBERS_MAX];
    struct node_member names[FAKE_CLUSTER_MEMBERS_MAX];
    size_t count;
    size_t first_count; /* members that the cluster began with */
    uint32_t election_timeout_ms;
};

/* Starts `count` members; they need some time to find each other. */
void fake_cluster_open(struct fake_cluster *c, size_t count, uint32_t election_timeout_ms,
                       uint64_t seed);
void fake_cluster_close(struct fake_cluster *c);

uint64_t fake_cluster_now(const struct fake_cluster *c);
void fake_cluster_run(struct fake_cluster *c, uint64_t ms);
/* What happens within the present millisecond. */
void fake_cluster_settle(struct fake_cluster *c);
/* Runs until a member leads and its keeper runs; which one. Fails the test after 30 s. */
size_t fake_cluster_leader(struct fake_cluster *c);
/* Any member that runs and does not lead. */
size_t fake_cluster_follower(struct fake_cluster *c);

void fake_cluster_pause(struct fake_cluster *c, size_t i);
/* It runs again; its sockets are read with the next settle or run. */
void fake_cluster_resume(struct fake_cluster *c, size_t i);
void fake_cluster_kill(struct fake_cluster *c, size_t i);
void fake_cluster_start(struct fake_cluster *c, size_t i);
/* Starts one more, which asks to be added; which one it is. */
size_t fake_cluster_join(struct fake_cluster *c, bool is_learner);
/* It is down: its disk is empty when it starts again, and then it asks to be added. */
void fake_cluster_lose_disk(struct fake_cluster *c, size_t i);
/* Cuts it off from all others, or connects it again. */
void fake_cluster_cut(struct fake_cluster *c, size_t i, bool is_cut);

#endif
