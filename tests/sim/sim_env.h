/* One simulated machine and the env of the process that runs on it.
 *
 * A host has a disk, a clock with a rate of its own, and at most one process at a time. A
 * process is a sim_env: the virtual twin of base/env_uv.c. Jobs of a queue run at a later
 * virtual time, in order: first `run` as a whole, later `done`, so a crash may hit before,
 * between (synced but not reported), or, with sim_disk.die_after, inside.
 *
 * A process that was killed is dead: its env stays valid until the owner has freed what it
 * holds, but reaches nothing any more: disk calls fail, streams swallow, no callback comes.
 * What the node still holds after node_close is a leak, see sim_env_free. */
#ifndef TESTS_SIM_ENV_H
#define TESTS_SIM_ENV_H

#include "base/env.h"
#include "base/list.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/world.h"

struct sim_net;
struct sim_env;

struct sim_host {
    struct world *world;
    struct sim_net *net;
    uint32_t number; /* 0 .. hosts - 1 */
    struct sim_disk disk;
    /* clock: local = base + (now - anchor) * rate */
    uint64_t clock_base_us;
    uint64_t clock_anchor_us;
    uint64_t clock_rate_ppm;
    uint64_t jumped_us; /* by all jumps so far */
    int64_t wall_offset_ms;
    uint64_t paused_until_us; /* nothing of its process is scheduled before */
    struct sim_env *process;  /* NULL: down */
};

struct sim_env {
    struct env env; /* first */
    struct sim_host *host;
    bool is_dead;
    bool died_with_power; /* nobody was told */
    struct list queues;
    uint32_t open_files;
    uint32_t open_queues;
    /* Called after every callback into the process, so that a loop turn follows. */
    void (*wake)(void *context);
    /* The disk died inside a job (sim_disk.die_after). */
    void (*died)(void *context);
    void *context;
};

void sim_host_init(struct sim_host *h, struct world *w, struct sim_net *net, uint32_t number);
void sim_host_close(struct sim_host *h);
/* A reboot: the monotonic clock starts anew. */
void sim_host_boot_clock(struct sim_host *h);
void sim_host_jump_clock(struct sim_host *h, uint64_t forward_us);
/* What the host's clock has counted since the world began, reboots left out: for the checks,
 * which ask how much time has passed by it. */
uint64_t sim_host_age_us(const struct sim_host *h);
uint64_t sim_host_now_us(const struct sim_host *h);
/* World time from now until the host's clock shows `local_us`; 0 if it does already. */
uint64_t sim_host_delay_until(const struct sim_host *h, uint64_t local_us);
/* > 0: the host's process is not scheduled for so long. */
uint64_t sim_host_pause_left(const struct sim_host *h);

/* Starts a process on a host that has none. */
struct sim_env *sim_env_new(struct sim_host *h, void (*wake)(void *), void (*died)(void *),
                            void *context);
/* Kills the process; with `power`, as if the plug was pulled: the disk loses what was not
 * synced and the other ends of its connections are not told. */
void sim_env_kill(struct sim_env *e, bool power);
/* Frees the env of a process that has let go of everything (killed or not); the number of
 * handles that it still held is returned: it should be 0. */
uint32_t sim_env_free(struct sim_env *e);

#endif
