/* The simulated network: byte streams between hosts named n1, n2, ...
 *
 * Streams are like TCP: bytes arrive in order, once, in pieces of any size, or the connection
 * breaks. So the classic faults of a message network take the shapes that they have above TCP:
 *
 *   loss         a connection is reset: what was under way is gone for good; or it breaks at a
 *                certain byte
 *   delay        latency and jitter per piece; a host's or link's delay may rise to whole
 *                seconds
 *   duplication  both ends connect and reconnect at once, and a sender that cannot know what
 *                arrived repeats it on the new connection
 *   reorder      one end is reset and reconnects while its old connection still delivers late,
 *                old bytes at the other end (sim_net_reset with a late end): old after new
 *   one-way cut  bytes of one direction stall; if it lasts, both ends are reset
 *   half-open    a host loses power: the other end is not told, and learns of it when it writes
 *                after the host is back
 *   corruption   a bit of a piece is inverted: above TCP's checksum, the frames' own must see
 *                it
 */
#ifndef TESTS_SIM_NET_H
#define TESTS_SIM_NET_H

#include "base/env.h"
#include "base/list.h"
#include "tests/sim/sim_env.h"
#include "tests/sim/world.h"

#define SIM_HOSTS_MAX 24

struct sim_link { /* one direction */
    bool is_cut;
    uint64_t latency_us;
    uint64_t jitter_us;
    uint64_t extra_us;  /* of a slow period */
    uint32_t corrupt;   /* so many of the next pieces are damaged */
    size_t piece_bytes; /* > 0: bytes travel in pieces of this size, one each microsecond */
    size_t break_after; /* > 0: the connection breaks when so many more bytes have arrived */
};

struct sim_net {
    struct world *world;
    struct sim_host *hosts[SIM_HOSTS_MAX];
    size_t host_count;
    struct sim_link links[SIM_HOSTS_MAX][SIM_HOSTS_MAX]; /* [from][to] */
    struct list connections;
    struct list listeners;
    bool has_released;       /* a connection may have become one that nobody holds */
    uint64_t stall_limit_us; /* a connection that cannot move for so long is reset */
    uint64_t corrupted;      /* pieces damaged so far */
    uint64_t broken;         /* connections broken by break_after */
};

extern const struct env_net sim_net_table;

void sim_net_init(struct sim_net *n, struct world *w);
void sim_net_close(struct sim_net *n);
void sim_net_add(struct sim_net *n, struct sim_host *h);

/* Breaks every connection between two hosts. With `late_us` > 0 the end at `b` notices only
 * then, and gets what is under way until then. Returns how many there were. */
uint32_t sim_net_reset(struct sim_net *n, uint32_t a, uint32_t b, uint64_t late_us);

/* For sim_env.c. */
void sim_net_process_died(struct sim_net *n, struct sim_env *e, bool power);
uint32_t sim_net_forget(struct sim_net *n, struct sim_env *e);
/* Frees connections that nobody holds. Between events, never inside a callback. */
void sim_net_reap(struct sim_net *n);

#endif
