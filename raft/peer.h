/* Peer transport: framed, checksummed messages between members, one connection per pair.
 *
 * Which connection. The member with the lower id connects, the other accepts; HELLO on both sides
 * checks format, cluster id, node ids. One connection per pair at a time: a newer one from the same
 * peer replaces the old, whose frames are then discarded (rule FIFO: per peer and direction messages
 * arrive in order, at most once, or not at all). Reconnect: PEER_RECONNECT_MS after a loss, backing
 * off to PEER_RECONNECT_MS_MAX.
 *
 * Bounds. At most PEER_QUEUE_BYTES_MAX wait for one peer. Beyond that messages to it are dropped
 * (Raft repeats what matters): a stalled peer costs its bound and nothing more. A peer that sends
 * nothing and takes nothing for PEER_SILENCE_MS is disconnected.
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
    const char *listen_host;
    uint16_t listen_port;
    const char *client_address; /* told to the others in HELLO */
};

struct peers_events {
    /* A message from a member; slices are borrowed until return. */
    void (*message)(void *context, uint64_t from, const struct message *m);
    /* HELLO exchanged, or the connection was lost. */
    void (*up)(void *context, uint64_t peer, const struct message_hello *hello);
    void (*down)(void *context, uint64_t peer);
};

enum status peers_open(const struct peers_options *options, const struct peers_events *events,
                       void *context, struct peers **out, struct errmsg *err) MUST_USE;
void peers_close(struct peers *p);

/* Adds a member to talk to, or updates its address. `name` is for logs and is checked in HELLO only
 * if not empty. Removing drops the connection and refuses new ones from it. */
void peers_add(struct peers *p, uint64_t id, const char *name, const char *host, uint16_t port);
void peers_remove(struct peers *p, uint64_t id);

/* Queues a message; false if it was dropped (not connected, or the bound is reached). Bytes leave in
 * peers_flush, which coalesces all of one loop turn into one write. */
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
