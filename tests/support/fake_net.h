/* Hosts on one network, in one process, without sockets and without time passing by itself.
 *
 * Each host is an env whose `net`, clock and randomness work (disk and queues do not exist).
 * Nothing happens but in fake_net_step, which lets exactly one thing happen: a connection comes
 * about, a piece of bytes arrives, a queue drains, an end is noticed. Which one depends on the
 * calls made so far and on the seed alone, so a failing test fails again.
 *
 * Links between hosts can be cut (nothing arrives, nobody is told) or broken (both sides are told
 * at once); a host can stall (it reads nothing). */
#ifndef TESTS_SUPPORT_FAKE_NET_H
#define TESTS_SUPPORT_FAKE_NET_H

#include "base/env.h"

struct fake_net;

struct fake_net *fake_net_new(uint64_t seed);
void fake_net_free(struct fake_net *net);

/* A new host under a name of its own, for listen and connect. Lives until fake_net_free. */
struct env *fake_net_host(struct fake_net *net, const char *name);

/* The largest piece that arrives at once; each is of random size up to it. 0 = all there is, which
 * is the default. */
void fake_net_set_piece(struct fake_net *net, size_t bytes_max);

/* One thing happens; false if nothing is left that could. */
bool fake_net_step(struct fake_net *net);
/* Steps until nothing is left. Aborts after a million steps. */
void fake_net_settle(struct fake_net *net);

/* The clock of all hosts. Starts at 1000. */
uint64_t fake_net_now(const struct fake_net *net);
void fake_net_advance(struct fake_net *net, uint64_t ms);

/* While cut, bytes and connection attempts between the two wait. */
void fake_net_cut(struct fake_net *net, struct env *a, struct env *b, bool is_cut);
/* Every connection between the two ends, both sides with RC_IO; what was under way is lost. */
void fake_net_break(struct fake_net *net, struct env *a, struct env *b);
void fake_net_stall(struct env *host, bool is_stalled);

/* Streams that neither side has closed yet. */
size_t fake_net_open_streams(const struct fake_net *net);
/* How often the host called write so far, and with how many bytes. */
size_t fake_net_writes(const struct env *host);
size_t fake_net_written(const struct env *host);

#endif
