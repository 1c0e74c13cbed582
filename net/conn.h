/* One client connection, between a stream of the env and a front end. Private to net/server.c
 * and net/conn.c.
 *
 *   DETECTING --first bytes known--> OPEN --front, error or stop--> CLOSING --turn--> freed
 *       |                              |
 *       +----- timeout, unknown -------+---- the stream ended (any state) ----------> freed
 *
 * Front functions are called from stream callbacks (feed) and from conn_turn (the rest), and
 * never free the connection: sink.close only marks it CLOSING, and the next conn_turn does it.
 * So a front cannot lose its state under its feet.
 *
 * Shares (net/conn_share.c). What feeding a connection and its turns cost is counted. One that
 * costs more than CONN_SHARE_US between two of its turns is heavy for a while: it is fed in
 * small pieces, and once it has used its share, or all heavy ones together have used theirs,
 * what it says is held and it is read no further. Those who are held stand in line for
 * server_read_on. So a turn of the loop is short whatever clients say, the others are served
 * in it without standing in line, and whoever is alone has all the time there is.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "net/memory.h"
#include "net/server.h"

#define CONN_SHARE_US          1000 /* between two turns; more makes a connection heavy */
#define CONN_HEAVY_S           2 /* for about so long */
#define CONN_HEAVY_PIECE_BYTES ((size_t)4096)
#define SERVER_SHARE_US        300 /* of all heavy ones in a turn of the loop */

enum conn_state { CONN_DETECTING, CONN_OPEN, CONN_CLOSING };

struct conn {
    struct server *server;
    struct env_stream *stream;
    const struct front *front; /* NULL while DETECTING */
    void *state;
    struct front_env front_env;
    struct buf rest;           /* not taken by the front; while DETECTING, all that came */
    struct buf held;           /* came, and is not fed yet: its share is used up */
    struct list waiting;       /* server->waiting while something is held and may be fed */
    struct list link;          /* server->conns */
    struct list dirty;         /* server->dirty while something is to do */
    struct heap_node deadline; /* server->deadlines */
    struct memory_hold memory;
    struct metric *gauge;      /* of the front's connections */
    uint64_t written_bytes;    /* to the stream */
    uint64_t taken_bytes;      /* of these, by the other side, when this was last looked at */
    uint64_t stalled_ms;       /* it has taken none of those in the queue since; 0 = none wait */
    uint32_t spent_us;         /* since its last turn */
    uint32_t heavy_until_s;    /* of env->now_us */
    uint8_t stage;             /* enum conn_state */
    bool flush;                /* CLOSING: let the queue go out */
    bool is_full;              /* the stream's queue is, until drain */
    bool is_paused;            /* by the front */
    bool is_resumed;           /* by the front: offer the rest again */
    bool reads;                /* as the stream was told last */
};

struct server {
    struct server_options options; /* strings only valid in server_open */
    struct env *env;
    struct log *log;
    struct env_listener *listener;
    struct logins *logins;
    struct allowances *allowances;
    struct memory memory;
    void *shared[SERVER_PROTOCOLS];
    struct list conns;
    struct list dirty;
    struct list waiting; /* connections of which something is held */
    size_t conn_count;
    size_t dirty_count;
    size_t waiting_count;
    uint64_t spent_us; /* on all connections since server_read_on */
    struct heap deadlines;
    uint64_t refusal_logged_ms; /* the last "too many connections" */
    uint64_t plain_logged_ms;   /* the last "plain text" */
    uint64_t auth_version; /* up to which connections know who is a user (store/auth.h) */
    bool is_stopping;
    uint64_t stop_deadline_ms;
    void (*stopped)(void *context);
    void *stopped_context;
    struct metric *accepted;
    struct metric *refused_limit;
    struct metric *refused_protocol;
    struct metric *refused_timeout;
    struct metric *refused_plain;
    struct metric *unread;
    struct metric *held;
    struct metric *bytes_in;
    struct metric *bytes_out;
    struct metric *gauges[SERVER_PROTOCOLS];
    struct metric *gauge_detecting;
};

/* Takes an accepted stream. */
void conn_new(struct server *s, struct env_stream *stream);
/* Of struct memory. */
void conn_renew_memory(struct memory_hold *h);
void conn_evict(struct memory_hold *h);
/* Closes and frees. Not from inside a front function. */
void conn_free(struct conn *c, bool flush);
/* Something may be to do: conn_turn is wanted. */
void conn_mark(struct conn *c);
/* Does what there is to do. The connection may be gone afterwards. */
void conn_turn(struct conn *c);
/* Tells the stream whether bytes are welcome, if that has changed. */
void conn_read_or_not(struct conn *c);
/* Bytes for the front, all at once. */
void conn_feed(struct conn *c, struct slice bytes);
/* Bytes came for the front: feeds what the connection's share allows and holds the rest. */
void conn_receive(struct conn *c, struct slice bytes);
/* The connection was worked for since `began_us`. */
void conn_note_spent(struct conn *c, uint64_t began_us);
/* Puts it back in line, if something is held and may be fed. */
void conn_return_to_line(struct conn *c);
void conn_leave_line(struct conn *c);
/* The deadline has passed. */
void conn_tick(struct conn *c, uint64_t now_ms);
void conn_stop(struct conn *c);

/* Which protocol begins like this? SERVER_PROTOCOLS: none that is known, *why says what it may
 * be. False: too few bytes to tell. */
bool server_detect(struct slice bytes, enum server_protocol *out, const char **why);
/* Whether a client at this address may speak plainly. */
bool server_takes_plain(const struct server *s, const char *peer);
/* What a client is told that spoke plainly where it may not, so that it can say why. Empty: its
 * protocol has no words for that. Static. */
struct slice server_plain_refusal(enum server_protocol protocol, struct slice first_bytes);

#endif
