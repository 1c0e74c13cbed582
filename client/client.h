/* libcoord: the C client of coord.
 *
 * One client talks to one cluster through a list of endpoints: it stays with one that works,
 * goes on to the next when it does not, and repeats calls as far as that is safe, until they
 * are decided or their time is over. Writes carry a request id, or the sequence number of the
 * client's session, so that repeating them, on any member, returns the first outcome and never
 * executes them twice.
 *
 * Two ways of use over one core. Each call waits until it has come to something; or, with _async in
 * its name, it returns at once and tells a function later. Whoever only waits needs no more than
 * the calls that wait. Whoever has an event loop gives it the client's sockets and times ("in an
 * event loop", below) and never waits.
 *
 * A client is for one thread at a time and not to be used on both sides of a fork; several clients
 * are independent. The library keeps no global state, starts no thread, raises no signal and
 * installs no handler, prints nothing. When there is no memory a call returns COORD_NO_MEMORY; the
 * program is not ended.
 *
 * Ownership: strings and bytes passed in are borrowed until return, and paths are never NULL.
 * What a call fills in is the caller's and is freed as said there; results are only written on
 * COORD_OK. `error` may be NULL everywhere. Times are milliseconds.
 *
 * Callbacks run on the thread that drives the client, never before the call that named them has
 * returned, and from inside no other callback, but for that of a call which a callback cancels.
 * They may begin calls, cancel them and close watches or the client; they may not wait: a call
 * that would is COORD_INVALID. The same thread may be inside a call that waits: it is
 * COORD_CANCELED when its watch, its subscription or the client was closed. A picker or a shard map
 * that a call waits with is not to be closed.
 *
 * In this order: core.h (client, event loop, results), nodes.h (nodes, transactions, history),
 * sessions.h (sessions, leases), watches.h, grants.h (locks, elections, epochs), backup.h. This
 * header includes them all.
 *
 * Installed as <coord/client.h>; docs/libcoord.md has a guide and examples. Beside it: locks.h,
 * elections.h, barriers.h, counters.h, acls.h, discovery.h, shards.h and streams.h; methods.h for
 * what has no call of its own; uv.h for libuv.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

/* All beside this one, in the sources as where it is installed; in the order to read them. */
#include "core.h"
#include "nodes.h"
#include "sessions.h"
#include "watches.h"
#include "grants.h"
#include "backup.h"

#endif
