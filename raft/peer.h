/* Peer transport: framed, checksummed messages between members, one connection per pair.
 *
 * Which connection. The member with the lower id connects, the other accepts, and connects itself
 * only if that does not come for PEER_IMPATIENT_MS (the lower one may not know it yet, or not where
 * it is); HELLO on both sides checks format, cluster id, node ids. Members that this one has not
 * heard of yet are let in if the owner admits them. A process that belongs to no cluster yet (its
 * HELLO has none) is a guest: it may ask, is answered, and is nobody's connection. One connection
 * per pair at a time: a newer one from the same peer replaces the old, whose frames are then
 * discarded (rule FIFO: per peer and direction messages arrive in order, at most once, or not at
 * all). Reconnect: PEER_RECONNECT_MS after a loss, backing off to PEER_RECONNECT_MS_MAX.
 *
 * Bounds. At most PEER_QUEUE_BYTES_MAX wait for one peer. Beyond that new messages to it are
 * dropped whole (Raft repeats what matters): a stalled peer costs its bound and nothing more. A
 * connection without traffic is pinged; one that brought no byte for PEER_SILENCE_MS is ended, so
 * that the loss of a machine that could not say so is noticed. Of connections that have not said
 * HELLO there are at most PEER_STRANGERS_MAX, for PEER_HELLO_MS each; the oldest makes room for the
 * newest.
 *
 * TLS. Where the env encrypts (base/tls_net.h, both sides with a certificate that is verified), a
 * connection is taken only if the certificate carries the name that HELLO says, as its common name
 * or a DNS name: who has a certificate of the cluster is one member and cannot pose as another.
 *
 * All on the loop. Knows bytes and members, nothing of Raft.
 */
#ifndef RAFT_PEER_H
#define RAFT_PEER_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "raft/message.h"

#define PEER_QUEUE_BYTES_MAX ((size_t)32 << 20)
#define PEER_RECONNECT_MS 20
#define PEER_RECONNECT_MS_MAX 500
#define PEER_SILENCE_MS 10000
#define PEER_CONNECT_MS 2000 /* until the other side has answered HELLO */
#define PEER_HELLO_MS 5000   /* for an incoming connection to say it */
#define PEER_PING_MS 2500
#define PEER_STRANGERS_MAX 64
#define PEER_IMPATIENT_MS 1000
#define PEER_HELLO_BYTES_MAX ((size_t)4096) /* of a frame before HELLO is done */
#define PEER_NAME_BYTES_MAX 64

struct peers;

struct peers_options {
    struct env *env;
    struct log *log;
    struct metrics *metrics; /* may be NULL */
    uint64_t cluster_id;
    uint64_t node_id;
    uint64_t boot_id;
    const char *name;           /* of this node */
    const char *listen_host;    /* NULL: do not listen */
    uint16_t listen_port;       /* 0: any, see peers_port */
    const char *client_address; /* told to the others in HELLO */
    uint32_t feature_level;     /* highest that this build knows */
};

/* They may call peers_send, peers_add and peers_remove, not peers_close. */
struct peers_events {
    /* A message from a member; slices are borrowed until return. */
    void (*message)(void *context, uint64_t from, const struct message *m);
    /* HELLO exchanged, or the connection was lost: they come in turns. A connection replaced by a
     * newer one is down, then up. */
    void (*up)(void *context, uint64_t peer, const struct message_hello *hello);
    void (*down)(void *context, uint64_t peer);
    /* Somebody of this cluster that nobody has added says HELLO: true to let it in, which adds it;
     * else it gets `farewell` first, if that has a type. NULL: no. */
    bool (*admit)(void *context, const struct message_hello *hello, struct message *farewell);
    /* A guest asks; `answer` is filled in, its slices are borrowed. NULL: guests are refused. */
    void (*guest)(void *context, const struct message_member_ask *question,
                  struct message *answer);
};

/* Listens. The strings of `options` are copied. Errors of env_net.listen. */
enum status peers_open(const struct peers_options *options, const struct peers_events *events,
                       void *context, struct peers **out, struct errmsg *err) MUST_USE;
void peers_close(struct peers *p); /* without `down` events */

/* Adds a member to talk to, or updates its address. `host` "": not known. `name` is for logs and is
 * checked in HELLO only if not empty. Removing drops the connection, without a `down` event, and
 * refuses new ones. */
void peers_add(struct peers *p, uint64_t id, const char *name, const char *host, uint16_t port);
void peers_remove(struct peers *p, uint64_t id);

/* Queues a message; false if it was dropped (not connected, or the bound is reached). Bytes leave
 * in peers_flush, which coalesces all of one loop turn into one write. */
bool peers_send(struct peers *p, uint64_t to, const struct message *m);
void peers_flush(struct peers *p);

bool peers_is_up(const struct peers *p, uint64_t id);
size_t peers_queued(const struct peers *p, uint64_t id);      /* bytes waiting for this peer */
const char *peers_client_address(const struct peers *p, uint64_t id); /* "" if never heard */
uint32_t peers_feature_level(const struct peers *p, uint64_t id);     /* 0 if never heard */
uint16_t peers_port(const struct peers *p); /* really listened on */

/* Connects, reconnects, drops the silent. */
void peers_tick(struct peers *p, uint64_t now_ms);
uint64_t peers_next_deadline_ms(const struct peers *p); /* UINT64_MAX = none */

#endif
