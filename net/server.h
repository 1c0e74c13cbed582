/* The client port: listens, finds out by a connection's first bytes which protocol it speaks,
 * and lends it to that protocol's front end (net/front.h).
 *
 * TLS is the env's affair: an env of base/tls_net.h takes TLS and plain text on the same port,
 * and what is inside is told apart here, by its first bytes as ever (ALPN chooses h2 or
 * http/1.1, which begin differently anyway). Here it is decided who may speak plainly.
 *
 * Bounds. At most `connections_max` connections; one more is closed at once. A connection that
 * has not made its protocol known within `handshake_ms` is closed. Output that a client does
 * not take stops its own connection's input and turns, and nothing else; when it has taken
 * nothing of it for `write_ms`, the connection is closed. An idle connection costs its struct
 * and its front's state, no buffers, and no work: only connections that something happened on
 * are looked at in a turn.
 *
 * One loop turn: I/O callbacks, server_read_on, node_turn, server_turn. Requests complete in
 * node_turn and wake their connections, whose output then leaves in server_turn, in one write
 * for each.
 *
 * To add a protocol: a value of server_protocol, its first bytes in server.c's table, and its
 * front in the options. All on the loop.
 */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include "net/front.h"

#define SERVER_CONNECTIONS_MAX 10000
#define SERVER_HANDSHAKE_MS    10000
#define SERVER_STOP_MS         5000
#define SERVER_WRITE_MS        60000
#define SERVER_REQUESTS_MAX    1024 /* in flight on one connection */

/* Plain text, where the env of the server speaks TLS. Where it does not, all there is. */
enum server_plain {
    SERVER_PLAIN_NONE,     /* refused */
    SERVER_PLAIN_LOOPBACK, /* from this machine only */
    SERVER_PLAIN_ALL,
};

enum server_protocol {
    SERVER_HTTP1,
    SERVER_HTTP2,
    SERVER_ZOOKEEPER,
    SERVER_GUEST,
    SERVER_PROTOCOLS
};

struct server;

struct server_options {
    struct env *env;
    struct node *node;
    struct log *log;         /* may be NULL */
    struct metrics *metrics; /* may be NULL */
    const char *host;
    uint16_t port; /* 0: any, see server_port */
    /* By protocol. NULL: connections of that protocol are closed. */
    const struct front *fronts[SERVER_PROTOCOLS];
    const char *super_digest; /* who may do everything (net/identity.h); NULL or "": nobody */
    struct audit *audit;      /* NULL: nothing is audited; must outlive the server */
    struct vitals *vitals;    /* may be NULL; must outlive the server */
    struct planner *planner;  /* of shard maps; may be NULL; must outlive the server */
    const void
        *settings[SERVER_PROTOCOLS]; /* front_env.settings of each; borrowed until close */
    bool speaks_tls;                 /* the env is one of base/tls_net.h */
    enum server_plain plain;
    /* 0 everywhere = the defaults above; no idle timeout. */
    uint32_t connections_max;
    uint64_t handshake_ms;
    uint64_t write_ms;
    uint64_t stop_ms;
    struct front_limits limits;
};

/* Listens. Borrows env, node, log, metrics, super_digest until server_close. Errors of
 * env_net.listen. */
enum status server_open(const struct server_options *options, struct server **out,
                        struct errmsg *err) MUST_USE;

/* Once per loop turn, before the first server_turn: goes on with those clients who cost so
 * much that what they said had to wait (net/conn.h). */
void server_read_on(struct server *s);
/* At least once per loop turn, after node_turn: due timeouts, then the connections that
 * something happened on. Cheap if there is nothing. May submit requests to the node. */
void server_turn(struct server *s);
/* When server_turn is wanted next, in env time: 0 = at once, UINT64_MAX = only after I/O. */
uint64_t server_next_deadline_ms(const struct server *s);

/* Begins a graceful stop: accepts no more, lets fronts say good-bye and finish what is in
 * flight. When all connections are closed, or after stop_ms, `stopped` (may be NULL) is called
 * from a later server_turn. Once. */
void server_stop(struct server *s, void (*stopped)(void *context), void *context);
/* Of a stop that has begun: who is still there `limit_ms` from now is cut off, if not before. */
void server_stop_within(struct server *s, uint64_t limit_ms);

/* The node must not serve any more, and stays up to say so: asks all clients to go elsewhere,
 * as server_stop does, and goes on accepting. */
void server_send_away(struct server *s);

/* Closes what is still open, at once. Must come before the node is closed. */
void server_close(struct server *s);

uint16_t server_port(const struct server *s);
size_t server_connections(const struct server *s);

#endif
