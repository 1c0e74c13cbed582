/* What goes wrong, how often, and where it is aimed.
 *
 * Every seed switches a random half of the kinds off (swarm testing: a rare fault is found more
 * easily when the common ones do not mask it). Half of the faults are aimed: armed for the next
 * MOMENT_ of a kind, they strike within milliseconds after it. To add a kind: the enum, its
 * name, its case in fault_strike, a line in docs/testing.md; a kind that never hits in a long
 * run fails that run. */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

#include "tests/sim/cluster.h"
#include "tests/sim/station.h"

enum fault {
    FAULT_KILL,
    FAULT_POWER,
    FAULT_POWER_ALL,
    FAULT_POWER_IN_WRITE, /* in the middle of a job's operations */
    FAULT_POWER_IN_START, /* while it recovers */
    FAULT_STOP,           /* in order */
    FAULT_PAUSE,
    FAULT_CUT_ONE_WAY,
    FAULT_PARTITION,
    FAULT_ISOLATE_LEADER,
    FAULT_RESET,
    FAULT_RESET_LATE, /* old bytes arrive after the new connection's */
    FAULT_SLOW_LINK,
    FAULT_CORRUPT_BYTES,
    FAULT_DISK_SLOW,
    FAULT_DISK_FULL,
    FAULT_DISK_ERROR,
    FAULT_CLOCK_JUMP,
    FAULT_WALL_JUMP,
    FAULT_CLIENT_CUT,   /* a station and a node, one way or both */
    FAULT_CLIENT_BREAK, /* a connection, at a certain byte */
    FAULT_CLIENT_PAUSE,
    FAULT_CLIENT_DEATH,
    FAULT_AT_SUBMIT, /* aimed, see enum moment */
    FAULT_AT_CANDIDATE,
    FAULT_AT_LEADING,
    FAULT_AT_INSTALL,
    FAULT_AT_TAKE,
    FAULT_AT_EXPIRY,
    FAULT_AT_RESUME,
    FAULT_AT_WATCH,
    FAULT_KINDS,
};

extern const char *const fault_names[FAULT_KINDS];

#define FAULT_ENDS_MAX     64
#define FAULT_STATIONS_MAX 16

struct faults;

struct fault_end {
    struct faults *faults;
    enum fault kind;
    uint32_t a, b;
    struct world_event event;
};

struct faults {
    struct cluster *cluster;
    struct station *stations[FAULT_STATIONS_MAX];
    uint32_t station_count;
    bool is_on[FAULT_KINDS];
    uint32_t armed[FAULT_KINDS]; /* aimed kinds that wait for their moment */
    uint64_t hits[FAULT_KINDS];
    struct fault_end ends[FAULT_ENDS_MAX];
    struct world_event tick;
    uint64_t interval_us;
    uint32_t burst_left; /* faults until the next pause */
    uint64_t pause_us;
    bool is_running;
};

void faults_init(struct faults *f, struct cluster *c);
/* Its clients take part in partitions and have faults of their own. */
void faults_add_station(struct faults *f, struct station *s);
void faults_start(struct faults *f);
/* Nothing more goes wrong, links and disks work; who is down stays down. */
void faults_stop(struct faults *f);
/* Ends everything that is wrong: nodes run, links and disks work, clocks stay. */
void faults_heal(struct faults *f);
/* Hits so far, what struck by itself included. */
uint64_t faults_count(struct faults *f);

#endif
