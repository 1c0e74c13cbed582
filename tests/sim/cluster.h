/* A cluster of production nodes over simulated machines.
 *
 * A node is started with the server of its clients as cmd/coordd/wire.c does it (node_open
 * on the host's disk, server_open with the real front ends), gets its turns like under the
 * daemon's loop (after every callback, and when a deadline says so), and dies by a kill, by
 * loss of power, by its own `fatal`, or is stopped in order. After every turn the checks
 * that need no history run: one leader per term, applied index and revision never back, and
 * equal digests at equal applied index over all nodes and all their lives. */
#ifndef TESTS_SIM_CLUSTER_H
#define TESTS_SIM_CLUSTER_H

#include "net/server.h"
#include "net/shards/warden.h"
#include "net/zookeeper/front.h"
#include "raft/node.h"
#include "tests/sim/sim_env.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/world.h"

#define CLUSTER_NODES_MAX   7
#define CLUSTER_CLIENT_PORT 7400 /* remote.c knows it too */

/* Of sessions: the shortest that there are, as the others have. */
#define ZOOKEEPER_TIMEOUT_MS_MIN 500
#define ZOOKEEPER_TIMEOUT_MS_MAX 1200

struct cluster;

struct cluster_options {
    uint64_t seed;
    uint32_t nodes; /* hosts for nodes */
    uint32_t first; /* of these are the first members; 0 = all */
    bool trace;
    uint32_t election_timeout_ms;
    uint32_t heartbeat_ms;
    size_t wal_segment_bytes;
    size_t snapshot_log_bytes;
    size_t trailing_log_bytes;
    size_t batch_bytes;
    size_t forwarded_bytes_max;
    bool linearizable_reads; /* of ZooKeeper clients */
};

enum death { DEATH_KILL, DEATH_POWER };

/* Moments that faults aim at. */
enum moment {
    MOMENT_SUBMIT,    /* a leader has just been given a write */
    MOMENT_CANDIDATE, /* a node asks for votes */
    MOMENT_LEADING,   /* a node has just won */
    MOMENT_INSTALL,   /* a node has begun to receive a snapshot */
    MOMENT_TAKE,      /* a node has begun to take a snapshot */
    MOMENT_EXPIRY,    /* a leader is about to let a session expire */
    MOMENT_RESUME,    /* a node is asked to resume a session */
    MOMENT_WATCH,     /* a node tells a watcher something */
};

struct cluster_node {
    struct cluster *cluster;
    struct sim_host host;
    struct sim_env *process;
    struct node *node; /* NULL: down */
    struct server *server;
    struct planner *planner;
    struct warden *warden;
    struct log log;
    char name[8];
    uint32_t boots;
    size_t snapshot_log_bytes; /* 0: as the cluster's */
    bool is_stopping;
    bool node_stopped; /* node_stop has come to its end */
    bool server_stopped;
    bool has_fatal;
    bool is_expected_fatal; /* a fault was injected that must end in it */
    enum status fatal_rc;
    char fatal_why[256];
    bool disk_died;
    bool is_refused; /* may not be restarted: scenarios only */
    bool is_out;     /* no member: it is not started */
    bool joins;      /* its disk was empty: it asks to be added */
    bool is_learner; /* as a learner */
    bool is_alone;   /* recovered: a single node that nobody is told of */
    char data_dir[16];
    bool may_be_removed; /* somebody asked for that */
    uint64_t applied_index;
    uint64_t revision;
    uint64_t term;
    bool has_changed;    /* its log said that its state did */
    char state;          /* first letter of node_status.state */
    struct world_event turn;
    struct world_event deadline;
    struct world_event restart;
    struct world_event event; /* faults.c: what ends a fault of this node */
};

/* A time of leadership, by the leader's own clock (sim_host_age_us). */
struct reign {
    uint32_t node;
    uint64_t won_us;
    uint64_t lost_us; /* UINT64_MAX: it goes on */
};

struct cluster_digest {
    uint64_t digest;
    uint64_t revision;
    uint64_t term; /* of the entry; 0: not known */
    bool is_known;
};

struct cluster {
    struct world world;
    struct sim_net net;
    struct cluster_options options;
    struct zk_settings zookeeper;
    struct node_member members[CLUSTER_NODES_MAX];
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    /* what the checks know */
    uint64_t cluster_id; /* 0: nobody has said it yet */
    uint32_t *leaders;   /* by term: 1 + node */
    size_t leader_count;
    uint64_t digest_base; /* where the cluster's log began */
    struct cluster_digest *digests; /* by applied index, from there on */
    size_t digest_count;
    struct reign *reigns;
    size_t reign_count;
    uint64_t jumped_us; /* when a node's monotonic clock last jumped */
    uint64_t elections;
    uint64_t installs;
    uint64_t takes;
    uint64_t boots;
    uint64_t deaths_in_job;
    uint64_t deaths_in_open;
    uint64_t disk_failures;
    /* A node's applied index has risen. May be NULL. */
    void (*applied)(void *context, uint32_t node);
    void *applied_context;
    /* A node is about to be closed. May be NULL. */
    void (*closing)(void *context, uint32_t node);
    void *closing_context;
    /* Called at a MOMENT_; may do nothing to the node but schedule. May be NULL. */
    void (*moment)(void *context, enum moment moment, uint32_t node);
    void *context;
};

void cluster_init(struct cluster *c, const struct cluster_options *options);
void cluster_close(struct cluster *c);

/* Starts a node that is down. False if it could not: then the world has failed, unless the disk
 * died under it (sim_disk.die_after) and it will be started again. */
bool cluster_start(struct cluster *c, uint32_t node);
/* The same, for scenarios that expect a refusal. */
enum status cluster_try_start(struct cluster *c, uint32_t node, struct errmsg *err);
void cluster_start_all(struct cluster *c);
/* Gives a link the latency that it has for good. */
void cluster_link_init(struct cluster *c, uint32_t from, uint32_t to);
/* Ends a node that is up. Never from inside a callback of the node. */
void cluster_crash(struct cluster *c, uint32_t node, enum death how);
/* It is down: with an empty disk it will ask to be added. */
void cluster_lose_disk(struct cluster *c, uint32_t node);
/* All are down, and those that start from now on are of another cluster, the state of which is that
 * at `index` when it begins. */
void cluster_reborn(struct cluster *c, uint64_t cluster_id, uint64_t index,
                    const struct cluster_digest *state);
void cluster_restart_in(struct cluster *c, uint32_t node, uint64_t delay_us);
/* server_stop and node_stop, then both are closed. */
void cluster_stop(struct cluster *c, uint32_t node);
void cluster_wake(struct cluster *c, uint32_t node);

/* Asks for a turn soon: something has changed behind the node's back. */
void cluster_wake(struct cluster *c, uint32_t node);

bool cluster_is_up(const struct cluster *c, uint32_t node);
/* The leader of the highest term among the nodes that are up, or -1. */
int cluster_leader(const struct cluster *c);
/* All are up, and have applied all that anyone of them has in its log. */
bool cluster_is_equal(const struct cluster *c);
void cluster_cut(struct cluster *c, uint32_t from, uint32_t to, bool cut);
void cluster_isolate(struct cluster *c, uint32_t node, bool cut);
void cluster_heal_net(struct cluster *c);
void cluster_pause(struct cluster *c, uint32_t node, uint64_t us);

/* One event of the world, then what must not happen inside one. False: nothing left to do. */
bool cluster_step(struct cluster *c);
/* Runs for so long, or until the world has failed. */
void cluster_run(struct cluster *c, uint64_t us);
/* Runs until `is_true` or the limit; false if the limit came first or the world failed. */
bool cluster_run_until(struct cluster *c, uint64_t limit_us,
                       bool (*is_true)(struct cluster *c, void *context), void *context);

#endif
