/* One ZooKeeper connection, for the files of net/zookeeper/ only.
 *
 *   front.c     bytes in, packets apart; turn, stop, close
 *   greeting.c  the connect request: a session is opened or resumed
 *   queue.c     requests in order: which may go on, which wait
 *   write.c     requests that become commands
 *   read.c      requests that are answered from this node's state
 *   watches.c   the watches of a connection, over watch/watch.h
 *   acl.c       access control lists, and who the client is
 *   words.c     four-letter words
 *   audit.c     what the audit log is told
 *
 *   NEW --connect request--> OPENING --granted or resumed--> SERVING
 *   NEW --four-letter word--> CLOSING
 *   any --closeSession, refused, bad packet, session gone, stop--> CLOSING: what was answered goes
 *   out
 *
 * Order. Replies leave in request order. Writes are proposed as they come. A read is answered when
 * all requests before it are: at once if there are none, else in the completion of the write before
 * it, when the state holds that write and nothing of those behind it. An event is in the output
 * before any reply that could reveal its change: changes are dispatched to watches before the
 * completion of their command, and events go out before anything else is answered.
 *
 * While no leader is known nothing is answered: on a node that was cut off, a client must not go on
 * believing in a session that has expired elsewhere. */
#ifndef NET_ZOOKEEPER_CONNECTION_H
#define NET_ZOOKEEPER_CONNECTION_H

#include "base/arena.h"
#include "base/id_map.h"
#include "base/list.h"
#include "lease/lease.h"
#include "net/allowance.h"
#include "net/front.h"
#include "net/login.h"
#include "net/zookeeper/front.h"
#include "net/zookeeper/packet.h"
#include "raft/node.h"
#include "store/store.h"

/* Requests of one connection that are not answered yet, and their bytes; more are not read. */
#define ZK_TASKS_MAX       1000
#define ZK_TASKS_BYTES_MAX ((size_t)8 << 20)
/* A write may be proposed over the heads of so many unanswered reads: their answers are made in one
 * go, whatever room there is. */
#define ZK_READS_OVERTAKEN_MAX 32
/* So long a connection is worked for in one go, if there is a choice (as net/conn.h has it): a few
 * bytes may ask for a walk over the whole tree, and one read from the network brings thousands. */
#define ZK_SHARE_US 1000
/* With so much waiting to be sent, reads wait too; with so much in events, the client does not read
 * and is closed: it comes back with setWatches. One large reply may be more. */
#define ZK_OUT_BYTES_MAX    ((size_t)1 << 20)
#define ZK_EVENTS_BYTES_MAX ((size_t)16 << 20)
/* Clients take no larger packet than 1 MiB unless they are told to. */
#define ZK_REPLY_BYTES_WARN ((size_t)1 << 20)
#define ZK_REPLY_BYTES_MAX  ((size_t)64 << 20)
#define ZK_WATCHES_MAX      ((size_t)250000)
#define ZK_NODE_WATCHES_MAX ((size_t)1000000) /* of all connections of this node */
/* What one read from the network may bring while the connection is paused. */
#define ZK_REST_BYTES ((size_t)256 << 10)
/* A write that the node had no room for, or a read that waits for a leader, is tried again. */
#define ZK_RETRY_MS     20
#define ZK_WRITE_MS     30000
#define ZK_CHECK_MS     500
/* A client that knows three servers waits a third of its timeout, which may be 4 s, for the answer
 * to its connect request. Without a leader for so long it does not come. */
#define ZK_OPENING_UNSERVED_MS 1000
#define ZK_HANDSHAKE_MS 10000

enum zk_stage { ZK_STAGE_NEW, ZK_STAGE_OPENING, ZK_STAGE_SERVING, ZK_STAGE_CLOSING };

enum zk_task_state {
    ZK_TASK_WAITING, /* to be begun: `packet` holds it */
    ZK_TASK_LOCAL,   /* to be answered here, in its turn: `packet` holds it */
    ZK_TASK_WRITING, /* the node has it; `packet` holds the types of a multi's results */
    ZK_TASK_SYNCING, /* a barrier is under way: `packet` holds it */
    ZK_TASK_SYNCED,
    ZK_TASK_PROVING, /* an auth packet whose password a worker looks at; no more is read */
    ZK_TASK_DONE, /* `reply` holds the whole packet */
};

/* A request that could not be answered at once. From a pool that all connections share. */
struct zk_task {
    struct list link;
    struct zk_connection *connection;
    uint8_t state;   /* enum zk_task_state */
    bool closes;     /* the connection ends behind this reply */
    bool is_counted; /* in zk_connection.locals */
    int32_t xid;
    int32_t type;
    uint32_t bytes;    /* of the request */
    uint32_t bad_op;   /* of a write: this operation is wrong in itself, UINT32_MAX = none */
    uint32_t bad_check; /* and this is the check in its place that cannot hold */
    int32_t bad_error; /* enum zk_error: what it fails with, in its turn */
    uint64_t began_ms;
    struct buf packet;
    struct buf reply;
    struct buf facts; /* for the audit log: of a write, of an auth packet */
    union {
        struct node_write write;
        struct node_read read;
    };
};

/* Times from request to reply, in milliseconds as ZooKeeper has them. */
struct zk_latency {
    uint64_t count;
    uint64_t sum_ms;
    uint64_t min_ms;
    uint64_t max_ms;
};

/* What all connections share. */
struct zk_shared {
    const struct zk_settings *settings;
    struct list pool; /* of tasks */
    size_t pool_count;
    struct list connections;
    size_t connection_count;
    struct id_map by_session; /* the connections that serve */
    struct arena scratch;     /* of one request or completion */
    struct arena pages;       /* of one page of a listing */
    struct buf spare;         /* memory of an output that was sent, for the next */
    uint64_t received;        /* packets, as srvr tells them */
    uint64_t sent;
    uint64_t bytes_received; /* of packets, with their lengths */
    uint64_t bytes_sent;
    uint64_t outstanding; /* tasks of all connections */
    uint64_t watch_count;
    uint64_t auth_failed;
    uint64_t large_requests;
    uint64_t opened_ms;
    uint64_t large_reply_ms; /* the last warning */
    struct zk_latency latency;
    struct zk_latency read_latency; /* of what went into `latency`: what changes nothing */
    struct zk_latency write_latency; /* and what goes through the log, sessions as well */
    const struct metric *rejected; /* connections beyond the limit; may be NULL */
    struct metric *packets_in;
    struct metric *packets_out;
    struct metric *events;
    struct metric *opened;
    struct metric *refused;
    struct metric *large_replies;
    struct histogram *write_seconds;
};

struct zk_watches;

struct zk_connection {
    const struct front_env *env;
    struct zk_shared *shared;
    struct list link; /* among all connections */
    uint8_t stage;    /* enum zk_stage */
    bool is_full;     /* no turn comes before the client has read */
    bool is_paused;
    bool is_stopping;
    bool is_refused;   /* it will end with the answer to an auth packet: nothing behind is taken */
    bool is_throttled; /* the next packet waits for its user's requests to become fewer */
    bool is_spent;     /* what it says next waits for its turn: its share of time is used up */
    bool is_cut;       /* some that could be answered were not, for want of room or time */
    bool watches_lost; /* some could not be told what happened */
    struct buf out;    /* replies and events in the order in which they may be seen */
    int64_t zxid_sent; /* the highest in a header */
    /* requests */
    struct list tasks;       /* in request order */
    struct zk_task *waiting; /* the first that is WAITING */
    size_t task_count;
    size_t task_bytes;
    size_t locals;              /* LOCAL tasks before `waiting` */
    size_t syncing;             /* SYNCING and SYNCED ones */
    size_t writing;             /* WRITING ones */
    uint64_t retry_ms;          /* 0 = nothing to try again */
    uint64_t share_us;          /* its share of time lasts until then */
    struct zk_watches *watches; /* NULL until the first */
    size_t events_bytes; /* at most so much of what waits to be sent are events */
    /* greeting */
    struct zk_connect connect; /* its password is gone after the decoding */
    uint8_t secret[LEASE_SECRET_BYTES];
    struct node_write opening;
    bool opening_open; /* `opening` is with the node */
    /* the session */
    uint64_t session; /* 0 until it is open */
    uint64_t generation;
    uint32_t timeout_ms;
    uint64_t opened_ms;
    uint64_t heard_ms;     /* a packet came */
    uint64_t checked_ms;   /* the session was looked at: it may be taken over on another node */
    int32_t answered;      /* enum zk_error of the last answer that was made here */
    uint32_t answered_op;  /* of a multiRead: the first that is not allowed */
    uint64_t unserved_ms;  /* no leader is known since then; 0 = there is one */
    struct buf identities; /* store/acl.h */
    struct allowance_hold hold; /* of the user */
    uint64_t throttled_ms; /* no packet is taken before; 0 = his requests are not too many */
    struct login login;    /* of an auth packet */
    struct zk_task *proving; /* NULL: none is under way */
    uint8_t user[AUTH_NAME_BYTES_MAX]; /* that the client has proved to be; none: 0 bytes */
    size_t user_bytes;
    uint64_t user_generation;
    uint64_t auth_version; /* of the users when this one was last looked for */
    /* for the status texts */
    uint64_t opened_wall_ms;
    uint64_t received;
    uint64_t sent;
    int32_t last_xid;
    int32_t last_type;
    uint64_t last_latency_ms;
    struct zk_latency latency;
};

static inline struct node *zk_node(const struct zk_connection *c)
{
    return c->env->node;
}

static inline const struct store *zk_store(const struct zk_connection *c)
{
    return node_store(c->env->node);
}

/* The zxid of a reply made now: the revision of this node's state. */
static inline int64_t zk_zxid(const struct zk_connection *c)
{
    return (int64_t)store_revision(zk_store(c));
}

static inline uint64_t zk_now_ms(const struct zk_connection *c)
{
    return c->env->env->now_ms(c->env->env);
}

/* What became of an auth packet. LATER: nobody has looked whether it is right. */
enum zk_proof { ZK_PROVED, ZK_PROVING, ZK_LATER, ZK_REFUSED };

/* ---- front.c ---- */

/* A share of time begins; whether it is used up. */
void zk_share_begin(struct zk_connection *c);
bool zk_share_is_used(const struct zk_connection *c);
/* No more requests; what is in `out` goes out, then the connection ends. `why` is for the log. */
void zk_finish(struct zk_connection *c, const char *why);
/* A reply into c->out, in two steps; with ZK_OK the body between them. */
size_t zk_answer_begin(struct zk_connection *c, int32_t xid, enum zk_error error);
void zk_answer_end(struct zk_connection *c, size_t begin);
/* One without a body. */
void zk_answer(struct zk_connection *c, int32_t xid, enum zk_error error);
/* A packet of another shape is about to be put into c->out, and is there. */
void zk_out_begin(struct zk_connection *c);
void zk_out_end(struct zk_connection *c);
/* What waits to be sent has changed, events that were only noted included. */
void zk_note_replies(struct zk_connection *c);
void zk_latency_note(struct zk_connection *c, bool is_write, uint64_t ms);

/* ---- greeting.c ---- */

void zk_greeting(struct zk_connection *c, struct slice packet);
void zk_greeting_cancel(struct zk_connection *c);

/* ---- queue.c ---- */

/* One packet of a session. */
void zk_request(struct zk_connection *c, struct slice packet);
/* Answers what can be answered, and begins what can begin. */
void zk_queue_turn(struct zk_connection *c);
/* A write was applied, and the task is DONE. It may be gone afterwards. */
void zk_task_done(struct zk_task *task);
void zk_queue_cancel(struct zk_connection *c);
void zk_pool_free(struct list *pool);

/* ---- write.c ---- */

bool zk_is_write(int32_t type);
/* Proposes the request of `task`, or answers it at once (task->reply, ZK_TASK_DONE). RC_OVERLOADED:
 * nothing happened, try again later. */
enum status zk_write(struct zk_connection *c, struct zk_task *task,
                     const struct zk_request *request) MUST_USE;
enum zk_error zk_error_of(enum outcome outcome);

/* ---- read.c ---- */

/* Whether it is answered from the tree, and so may be asked to be linearizable. */
bool zk_reads_tree(int32_t type);
/* Answers a request from this node's state, into `out`. */
void zk_read(struct zk_connection *c, const struct zk_request *request);

/* ---- audit.c ---- */

/* A write begins to be drafted, operation by operation; then one of the next three, once. */
void zk_audit_begin(struct zk_connection *c, struct zk_task *task, const struct zk_request *r);
void zk_audit_op(struct zk_connection *c, struct zk_task *task, const struct zk_request *r,
                 struct slice acl);
void zk_audit_written(struct zk_task *task, const struct reply *reply, enum zk_error error);
void zk_audit_refused(struct zk_task *task, enum zk_error error); /* not proposed */
/* The client is told nothing; RC_CLOSED: it has gone. */
void zk_audit_lost(struct zk_task *task, enum status rc);
/* What only looks was answered with c->answered. */
void zk_audit_read(struct zk_connection *c, const struct zk_request *r);
/* A connect request. `reply` is NULL if there is none; `outcome`: NULL = that of the reply. */
void zk_audit_connect(struct zk_connection *c, const struct reply *reply, const char *outcome,
                      bool is_denied);
/* An auth packet came; and was found to be right, or not. */
void zk_audit_claim(struct zk_connection *c, struct zk_task *task, const struct zk_request *r);
void zk_audit_proved(struct zk_task *task, enum zk_proof proof);

/* ---- words.c ---- */

/* Answers a four-letter word and ends the connection, once it is whole. Returns the bytes taken. */
size_t zk_word(struct zk_connection *c, struct slice bytes);

/* ---- watches.c ---- */

enum zk_watch_kind {
    ZK_WATCH_DATA = 1,       /* one-shot: data, exists */
    ZK_WATCH_CHILDREN = 2,   /* one-shot */
    ZK_WATCH_PERSISTENT = 4, /* data and children */
    ZK_WATCH_RECURSIVE = 8,  /* data of all below */
};

/* False: the connection, this node or the user has too many, and the log says which. */
bool zk_watch_add(struct zk_connection *c, struct slice path, enum zk_watch_kind kind);
/* `remove` also drops them. False: there is none of this type. */
bool zk_watch_find(struct zk_connection *c, struct slice path, enum zk_watcher_type type,
                   bool remove);
/* setWatches and setWatches2: arms, and tells what was missed. False: too many, and the connection
 * ends. */
bool zk_watch_restore(struct zk_connection *c, const struct zk_request *request);
/* Events that came up go to `out`, in order. To be called before anything is answered. Ends the
 * connection of a client that does not read, or whose events were lost. */
void zk_watches_flush(struct zk_connection *c);
/* What is kept for events that did not go to `out` yet; and lets go of it, for good. */
size_t zk_watches_bytes(const struct zk_connection *c);
void zk_watches_drop(struct zk_connection *c);
void zk_watches_close(struct zk_connection *c);
size_t zk_watches_count(const struct zk_connection *c);
/* Every watched path, once; none of a connection that ends as its events were lost. */
void zk_watches_each(const struct zk_connection *c,
                     void (*fn)(void *context, struct slice path), void *context);

/* ---- acl.c ---- */

/* The identity that every connection has: its address. */
void zk_identities_begin(struct zk_connection *c);
/* An auth packet. Of a user of the cluster (store/auth.h), the password is checked: ZK_PROVING, and
 * zk_proved follows. */
enum zk_proof zk_identities_add(struct zk_connection *c, struct slice scheme,
                                struct slice data);
/* What a worker found out about c->proving. */
void zk_proved(struct zk_connection *c, enum zk_proof proof);
/* Takes a place among the connections of the user that the client has proved to be. False: he has
 * as many as he may, and this one ends. */
bool zk_user_connect(struct zk_connection *c);
/* A token for a request of this user: 0, or so many ms until there is one. */
uint64_t zk_user_wait_ms(const struct zk_connection *c);
/* False: the user has as many watches as he may, as `text` says. */
bool zk_user_watch(struct zk_connection *c, char text[ALLOWANCE_TEXT_BYTES_MAX]);
/* Whether the user that the client has proved to be is still the same. */
bool zk_user_is_same(const struct zk_connection *c);
/* Whether it is nobody although it has said, or its certificate says, that it is who is a user by
 * now: then, nobody was asked. */
bool zk_user_is_unproved(const struct zk_connection *c);
/* The entries of whoAmI: a count, and scheme and user of each. */
void zk_identities_put(struct buf *out, const struct zk_connection *c);
/* A list as the store has it, in the scratch arena, with `auth` replaced by what it stands for. Not
 * ZK_OK: no node may have it. */
enum zk_error zk_acl_encode(struct zk_connection *c, const struct zk_request *r, struct slice *out);
/* The list of a node, for a reply. */
void zk_acl_put(struct zk_connection *c, struct buf *out, const struct query_result *result);

#endif
