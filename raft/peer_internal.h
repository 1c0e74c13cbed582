/* What raft/peer.c (members, time, interface) and raft/peer_connection.c (connections, HELLO,
 * queues) share. Nobody else includes this. */
#ifndef RAFT_PEER_INTERNAL_H
#define RAFT_PEER_INTERNAL_H

#include "base/list.h"
#include "raft/frame_reader.h"
#include "raft/peer.h"

#define PEER_ADDRESS_BYTES_MAX 280

struct peer;

struct peer_connection {
    struct peers *peers;
    struct peer *member;       /* NULL: accepted, and has not said who it is */
    struct list link;          /* in peers->strangers while member is NULL */
    struct env_stream *stream; /* NULL once ended */
    struct frame_reader reader;
    uint64_t deadline_ms; /* of the handshake */
    uint64_t heard_ms;
    bool is_up;
    bool is_guest;   /* it has said HELLO, and belongs to no cluster */
    bool is_reading; /* connection_data is on the stack and frees it */
    char address[PEER_ADDRESS_BYTES_MAX];
};

struct peer {
    uint64_t id;
    char name[PEER_NAME_BYTES_MAX + 1];
    char host[256];
    uint16_t port;
    struct peer_connection *connection; /* dialling or up, else NULL */
    struct buf queue; /* whole frames; bytes before queue_taken are the stream's */
    size_t queue_taken;
    unsigned queue_calm; /* buf_recycle */
    bool is_blocked; /* the stream asked to wait for drain */
    uint64_t sent_ms;
    uint64_t retry_at_ms;
    uint32_t retry_ms;
    enum status failure; /* the last one that was logged; RC_OK after success */
    uint32_t feature_level;
    char client_address[MESSAGE_ADDRESS_BYTES_MAX + 1];
    struct metric *bytes_out;
    struct metric *bytes_in;
    struct metric *connects;
    struct metric *dropped;
    struct metric *up;
};

struct peers {
    struct env *env;
    struct log *log;
    struct metrics *metrics;
    uint64_t cluster_id;
    uint64_t node_id;
    uint64_t boot_id;
    uint32_t feature_level;
    char *name;
    char *client_address;
    struct peers_events events;
    void *context;
    struct env_listener *listener;
    struct peer **members;
    size_t member_count;
    struct list strangers; /* oldest first */
    size_t stranger_count;
    struct arena arena;    /* of the message being delivered */
    struct errmsg refusal; /* the last that was logged, and when */
    uint64_t refusal_ms;
};

static inline uint64_t peers_now(const struct peers *p)
{
    return p->env->now_ms(p->env);
}

struct peer *peers_find(const struct peers *p, uint64_t id); /* may be NULL */

/* When it is for us to connect, if there is no connection: the lower id at once, the other one when
 * that does not come. */
static inline uint64_t peer_dial_ms(const struct peers *p, const struct peer *m)
{
    if (m->host[0] == '\0') {
        return UINT64_MAX;
    }
    return p->node_id < m->id ? m->retry_at_ms : m->retry_at_ms + PEER_IMPATIENT_MS;
}

static inline bool peer_is_up(const struct peer *m)
{
    return m->connection != NULL && m->connection->is_up;
}

/* Bytes that wait for the peer, here and in its stream; 0 unless it is up. */
size_t peer_queued(const struct peers *p, const struct peer *m);
void peer_flush(struct peers *p, struct peer *m);

/* Begins an outgoing connection of a peer that has none. */
void peer_dial(struct peers *p, struct peer *m);
/* The listener's callback. */
void peers_accept(void *owner, struct env_stream *stream);

/* Detaches the connection from everything and closes it, without log line or event. True if its
 * peer was up. Frees it, at the latest when its stream's callback returns. */
bool peer_connection_detach(struct peer_connection *c);
/* The same, told to the log and the owner. `rc` and `why` (may be NULL) say what happened. The
 * event comes last: the caller touches neither the connection nor its peer any more. */
void peer_connection_end(struct peer_connection *c, enum status rc, const char *why);
/* The same for a connection that does not keep to the protocol, or is not for us. */
void peer_connection_refuse(struct peer_connection *c, const struct errmsg *err);

#endif
