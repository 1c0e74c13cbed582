/* The machine of simulated clients: a process of its own with its own clock, and one connection
 * to each node, made when it is needed.
 *
 * Several clients may share one: then their calls are pipelined on the same connections, and
 * die together. Stations have no place in the cluster's own network: cluster_isolate leaves
 * them alone, faults cut them off as well. */
#ifndef TESTS_SIM_STATION_H
#define TESTS_SIM_STATION_H

#include "coord/v1/types.pb-c.h"
#include "tests/sim/cluster.h"
#include "tests/sim/remote.h"

struct station {
    struct cluster *cluster;
    struct sim_host host;
    struct sim_env *process;
    struct remote remotes[CLUSTER_NODES_MAX];
    /* cluster_ms of the newest reply, and when it came by the station's clock: request ids and
     * nothing else are made of it. */
    uint64_t cluster_id; /* that it knows the time of */
    uint64_t cluster_ms;
    uint64_t heard_us;
    uint64_t crashes;
    /* Another client of this process: its handles must be closed in here. May be NULL. */
    void (*died)(void *context);
    void *died_context;
};

/* Adds the machine to the network and starts its process. */
void station_init(struct station *s, struct cluster *c);
void station_close(struct station *s);

/* The process is killed, or its machine loses power: calls end, connections break. It is
 * started again at once; who owned the calls goes on as if it remembered all. */
void station_crash(struct station *s, enum death how);
/* The connection to one node goes away, and with it the calls. */
void station_drop(struct station *s, uint32_t node);

/* A node to ask: any, but rather one that is up, or the leader. */
uint32_t station_pick(struct station *s);
bool station_is_paused(const struct station *s);

/* Every reply's header passes here: it must be of this cluster and of the node that was
 * asked. */
void station_hear(struct station *s, uint32_t node, const Coord__V1__ReplyHeader *header);
/* cluster_ms by this client's reckoning; 0: not known yet. */
uint64_t station_cluster_ms(const struct station *s);
uint64_t station_now_us(const struct station *s); /* by its clock */

#endif
