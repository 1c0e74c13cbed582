/* ZooKeeper clients: each has a session, and a connection to one node at a time over which it sends
 * the protocol's real bytes, many requests at once. The connection is lost at any byte, of the
 * connect request and of replies too; then it goes on with id, password and zxid at any node, or is
 * too late. Now and then it tries its luck with a wrong password at somebody else's session.
 *
 *   zk_client.c   connections, sessions, bytes
 *   zk_work.c     what is asked
 *   zk_judge.c    what may be answered
 *   zk_watch.c    which events must come, and when
 *   zk_tree.h     the tree by the changes in the log
 *
 * What must hold:
 *
 *   - replies come in the order of the requests; their zxid never goes back within a session
 *   - a write is answered with just the outcome that the tree of its revision gives, and is in the
 *     log so; nothing is executed twice, or without having been asked for, or before what the
 *     same connection asked for earlier
 *   - a read shows the tree at the zxid of its reply, which lies behind all earlier writes of the
 *     connection and before all later ones; behind a sync it has what anybody was told before
 *   - events are just those that ZooKeeper's rules give, in order, each before any reply with its
 *     zxid or a later one; what was missed is told after setWatches
 *   - a session is refused only once it is gone, and expires only when its time has passed since
 *     its client was heard; who does not know the password gets nothing */
#ifndef TESTS_SIM_ZK_CLIENT_H
#define TESTS_SIM_ZK_CLIENT_H

#include "tests/sim/holder.h"
#include "tests/sim/journal.h"
#include "tests/sim/zk_tree.h"

#define ZK_CLIENTS_MAX 4
#define ZK_PENDING_MAX 24
#define ZK_ARMED_MAX   24
#define ZK_NONE        SIZE_MAX

struct zk_clients;

/* A session, for as long as the run: what its client knows of it. */
struct zk_session {
    uint64_t id;
    uint8_t password[ZK_PASSWORD_BYTES];
    uint64_t timeout_ms;
    uint64_t zxid; /* the highest that its client was told */
    struct proof proof;
    bool is_close_sent;
    bool is_calm; /* its client pings in time, and nothing is wrong */
};

enum zk_fate { ZK_UNDER_WAY, ZK_DONE, ZK_FAILED, ZK_LOST };

/* A write, for as long as the run. */
struct zk_write_record {
    uint64_t session;
    uint64_t connection;
    bool is_greeted;   /* its connection was; else it may be late as a whole, and take over */
    uint8_t fate;      /* enum zk_fate */
    uint64_t revision; /* ZK_DONE, or found in the log; 0: no trace of it */
    struct zk_op ops[ZK_OPS_MAX];
    size_t op_count;
};

/* A request without an answer. */
struct zk_asked {
    int32_t xid;
    int32_t type;
    struct zk_op ops[ZK_OPS_MAX];
    size_t op_count;
    size_t write;       /* place in all->writes, or ZK_NONE */
    uint64_t told;      /* the highest revision that anybody was told when it was sent */
    uint64_t relative;  /* setWatches: zxid */
    uint64_t sent_us;   /* world */
    struct proof proof; /* sync, connect */
};

enum zk_kind { ZK_DATA = 1, ZK_CHILDREN = 2, ZK_PERSISTENT = 4, ZK_RECURSIVE = 8 };

struct zk_armed {
    char path[ZK_PATH_BYTES];
    uint8_t kinds;   /* enum zk_kind */
    uint8_t wanted;  /* setWatches: what is asked for */
    bool is_missing; /* of ZK_DATA: armed where there is no node */
};

struct zk_event {
    int64_t zxid;
    int32_t type;
    char path[ZK_PATH_BYTES + 12];
};

enum zk_stage_of_client { ZK_DOWN, ZK_GREETING, ZK_UP };

struct zk_client {
    struct zk_clients *all;
    uint32_t number;
    struct station *station;
    /* the connection */
    struct env_stream *stream;
    uint8_t stage; /* enum zk_stage_of_client */
    bool is_open;  /* bytes may be written */
    bool is_guess; /* with a wrong password */
    uint32_t node;
    uint64_t connection; /* its number among all */
    size_t cut_out;      /* ends after so many more bytes sent, or received */
    size_t cut_in;
    struct buf out;
    struct buf in;
    size_t sent_bytes;
    size_t heard_bytes;
    uint64_t heard_us; /* by the station's clock */
    uint64_t sent_us;
    int32_t xid;
    struct zk_asked greeting;
    struct zk_asked pending[ZK_PENDING_MAX];
    size_t pending_count;
    uint64_t zxid;       /* the highest in this connection */
    uint64_t reply_zxid; /* of its replies */
    /* the session */
    size_t session; /* place in all->sessions, or ZK_NONE */
    /* watches of this connection, and what is to be told */
    struct zk_armed armed[ZK_ARMED_MAX];
    size_t armed_count;
    uint64_t cursor; /* all changes up to it have been looked at */
    struct zk_event *due;
    size_t due_count;
    struct zk_event *missed; /* told by setWatches, whose reply is to come */
    size_t missed_count;
    uint64_t silent_until_us;
    uint64_t moved; /* writes acknowledged */
    struct world_event tick;
};

struct zk_clients {
    struct cluster *cluster;
    struct oracle *oracle;
    struct journal *journal;
    struct zk_tree tree;
    struct zk_client items[ZK_CLIENTS_MAX];
    uint32_t count;
    struct zk_session *sessions;
    size_t session_count;
    struct zk_write_record *writes;
    size_t write_count;
    uint64_t connections;
    uint64_t values; /* numbers of values so far */
    bool is_told;    /* what to do, by a story */
    bool is_calm;    /* only pings, nothing is lost any more */
    bool is_ending;
    /* what happened */
    uint64_t replies;
    uint64_t acked;
    uint64_t resumed;
    uint64_t events;
    uint64_t restored; /* setWatches */
    uint64_t expired;
    uint64_t refused; /* wrong passwords */
    uint64_t cuts;
};

void zk_clients_init(struct zk_clients *all, struct cluster *c, struct oracle *o,
                     struct journal *h);
struct zk_client *zk_clients_add(struct zk_clients *all, struct station *s);
void zk_clients_start(struct zk_clients *all);
/* Nothing is wrong any more: from the next connection on only pings. */
void zk_clients_calm(struct zk_clients *all);
/* Every client has a session, and a connection without an unanswered request. */
bool zk_clients_are_settled(const struct zk_clients *all);
/* Everybody closes, or falls silent. */
void zk_clients_end(struct zk_clients *all);
bool zk_clients_are_idle(const struct zk_clients *all);
void zk_clients_close(struct zk_clients *all);

/* ---- zk_client.c: for stories, and the files of this folder ------------------------------- */

static inline struct world *zk_world(const struct zk_client *k)
{
    return &k->all->cluster->world;
}

static inline struct zk_session *zk_session(const struct zk_client *k)
{
    return k->session == ZK_NONE ? NULL : &k->all->sessions[k->session];
}

/* Connects and greets: with its session, or for a new one. */
void zk_connect(struct zk_client *k, uint32_t node);
/* The same, with a wrong password for the session of `other`. */
void zk_guess(struct zk_client *k, uint32_t node, const struct zk_client *other);
/* The connection ends: what is unanswered is lost. */
void zk_drop(struct zk_client *k);
/* Sends one request. Its place among those without an answer is the last. False: too many. */
bool zk_ask(struct zk_client *k, const struct zk_asked *request);
void zk_fail(const struct zk_client *k, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- zk_work.c ---------------------------------------------------------------------------- */

/* Some requests at random. */
void zk_work(struct zk_client *k);
/* The requests that a new connection begins with: watches, if they are wanted again. */
void zk_work_begin(struct zk_client *k);
/* Only the watches. */
void zk_work_restore(struct zk_client *k);
bool zk_ask_simple(struct zk_client *k, int32_t type, const char *path, bool watch);
bool zk_ask_op(struct zk_client *k, const struct zk_op *op);

/* ---- zk_judge.c --------------------------------------------------------------------------- */

/* A reply to k->pending[0], which is taken away afterwards. */
void zk_judge_reply(struct zk_client *k, int64_t zxid, int32_t error, struct jute_in body);
/* For the oracle. */
void zk_session_gone(void *context, const struct oracle_lease *lease);
/* Everything in the log was asked for, once, in order. At the end. */
void zk_judge_log(struct zk_clients *all);

/* ---- zk_watch.c --------------------------------------------------------------------------- */

void zk_watch_arm(struct zk_client *k, const char *path, uint8_t kinds, bool is_missing);
/* False: it had none. */
bool zk_watch_has(const struct zk_client *k, const char *path, uint8_t kinds, bool remove);
void zk_watch_event(struct zk_client *k, const struct zk_event *e);
/* A reply of this zxid has come: what was to be told before it has been. */
void zk_watch_reply(struct zk_client *k, uint64_t zxid);
/* The reply of setWatches has come. */
void zk_watch_restored(struct zk_client *k, const struct zk_asked *a, uint64_t zxid);
void zk_watch_forget(struct zk_client *k);

#endif
