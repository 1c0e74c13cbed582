/* Encrypted byte streams, as an env like any other: its `net` encrypts what the streams of another
 * env carry, so that whoever uses streams does not change when TLS is switched on. Its clock,
 * randomness and queues are the other env's; it has no disk.
 *
 *   accepted --first byte 0x16--> SHAKING --handshake--> OPEN       connect: SHAKING from the start
 *       \---- anything else ----> PLAIN, or refused
 *
 * A stream of `connect` is opened when its handshake is done. One that was accepted brings its
 * first bytes after it; until then its owner writes nothing, and sets a deadline. env_net.tls tells
 * PLAIN from OPEN, and who the other side is.
 *
 * Handshakes cost hundreds of microseconds of computing each. At most TLS_NET_TURN_US of a turn go
 * to them (plus the one that was begun); the others wait, unread, so that a crowd of connecting
 * clients does not keep the loop from heartbeats and requests.
 *
 * A failed handshake is told to the other side, closes the stream (RC_REFUSED) and writes one log
 * line, `tls.refused`, the same reason at most once in TLS_NET_REPEAT_MS.
 *
 * Memory of a stream: its struct, its session (base/tls.h), and what could not be read on yet: at
 * most what the other env reads at once. All on the loop. */
#ifndef BASE_TLS_NET_H
#define BASE_TLS_NET_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/tls.h"

#define TLS_NET_TURN_US   5000
#define TLS_NET_REPEAT_MS 10000

struct tls_net;

struct tls_net_options {
    struct env *env; /* that carries the bytes */
    struct log *log;
    struct metrics *metrics; /* may be NULL */
    const char *use;         /* "client", "peer": in log lines and metrics; static */
    struct tls_context *context;
    bool takes_plain; /* accepted streams that do not begin with a handshake are passed on */
};

/* Borrows everything in `options` until tls_net_free. Returns owned. */
struct tls_net *tls_net_new(const struct tls_net_options *options);
/* Every stream and listener must be closed. NULL is fine. */
void tls_net_free(struct tls_net *t);

struct env *tls_net_env(struct tls_net *t);

/* Once per loop turn: handshakes that waited, bytes that are read on. */
void tls_net_turn(struct tls_net *t);
/* When tls_net_turn is wanted next: 0 = at once, UINT64_MAX = only after I/O. */
uint64_t tls_net_next_deadline_ms(const struct tls_net *t);

#endif
