/* One gRPC call on the server side: what the front's events drive and what a service works
 * with.
 *
 *                headers ok                one whole message, client's half ended
 *   HEADERS ----------------> RECEIVING ------------------------------------> HANDLED
 *      |                        |   ^ |                                          |  ^
 *      |  refused, no such      |   | | streams: each message                    |  | completed
 *      |  method, past its      |   +-+                                grpc_call_write, _read
 *      |  deadline              |  malformed, too large, deadline               |  |
 *      v                        v                                               v  |
 *   FINISHED <-------------------------- grpc_call_reply, _refuse, _fail ---- WAITING
 *      |
 *      +--> the stream closes (all sent, or reset by the client in any state): to the pool
 *
 * A call is memory of its own from a pool that all connections share: the node pins the request
 * in it until completion, and a stream that closes before cancels it there, so that no
 * completion ever meets a dead stream. Handlers are flat: no call is made back into them from
 * what they call, except that `ended` comes from what ends the call, and `closed` never before they
 * return.
 */
#ifndef NET_GRPC_CALL_H
#define NET_GRPC_CALL_H

#include "base/arena.h"
#include "base/heap.h"
#include "net/allowance.h"
#include "net/figures.h"
#include "net/front.h"
#include "net/grpc/frame.h"
#include "net/grpc/route.h"
#include "net/http2.h"
#include "net/login.h"
#include "net/resets.h"
#include "net/token.h"
#include "raft/node.h"

#define GRPC_CALLS_MAX 4096 /* in flight on one connection, unless the limits say less */
#define GRPC_TIMEOUT_DEFAULT_MS 10000
#define GRPC_TIMEOUT_MAX_MS 60000
/* A client that has been answered and does not read is given up after so long. */
#define GRPC_LINGER_MS 60000
/* A stream with more than this to send takes no further message until the client has read; the
 * streams of a connection none at all with more than GRPC_OUT_BYTES_MAX. */
#define GRPC_STREAM_OUT_BYTES_MAX ((size_t)256 << 10)
/* Streams of a connection that have looked at so many nodes in a turn begin no further listing in
 * it, so that a thousand of them do not hold up everybody else. */
#define GRPC_TURN_SCAN_MAX ((size_t)10000)

/* What all connections have in common. */
struct grpc_shared {
    struct grpc_routes *routes;
    struct figures *figures;
    struct metric *in_flight;
    struct metric *open; /* connections */
    struct budgets *resets;    /* that clients may cause */
    struct metric *reset_calls;
    struct metric *reset_waits;
    uint64_t reset_logged_ms;  /* the last line about them; 0 = none */
    struct list pool; /* of calls */
    size_t pool_count;
    struct pool session_memory; /* of nghttp2 */
    struct grpc_watch_shared *watches;
    char saver[FRONT_PEER_BYTES_MAX]; /* who is sent a snapshot; "" = nobody */
    struct metric *saves;
    struct metric *saved_bytes;
    size_t keepalives; /* that wait for a round */
    struct arena scratch; /* of one handler or completion; nothing in it outlives that */
    struct buf out;       /* of one turn of one connection */
};

enum grpc_connection_stage {
    GRPC_SERVING,
    GRPC_LEAVING, /* told the client to open no new streams */
    GRPC_LEFT,    /* takes no new streams; closes after the last */
};

/* The front's state of one connection. */
struct grpc_connection {
    const struct front_env *env;
    struct grpc_shared *shared;
    struct http2 *http2;
    struct heap timers;  /* of calls */
    struct list blocked; /* streaming calls that wait for their client to read */
    uint64_t now_ms;     /* at the last feed, turn or tick */
    uint64_t now_us;
    size_t scanned;      /* nodes that listings of streams looked at since the last turn began */
    struct allowance_hold hold; /* of the user who made the last call */
    struct buf identities;  /* of the peer, net/identity.h */
    struct buf token_text;  /* the last one that was good; empty: none */
    struct token token;     /* what it says */
    uint8_t token_key[AUTH_KEY_BYTES]; /* that it was signed with */
    size_t in_bytes;        /* of incomplete requests */
    uint64_t fed_ms;        /* something came in */
    uint64_t ping_ms;       /* a keepalive ping is out since then; 0 = none */
    uint64_t leave_ms;      /* GRPC_LEAVING: do not wait longer for the round trip */
    uint64_t unread_ms;     /* breaks off too much: not read until then; 0 = read */
    size_t resets_seen;
    struct budget_bucket resets;
    uint64_t auth_version;  /* of the users when calls were last checked */
    uint8_t stage;
};

enum grpc_call_state {
    GRPC_CALL_HEADERS,
    GRPC_CALL_RECEIVING,
    GRPC_CALL_HANDLED,
    GRPC_CALL_WRITING, /* the node has it */
    GRPC_CALL_READING,
    GRPC_CALL_ASKING, /* the leader, about a lease */
    GRPC_CALL_CHANGING, /* the members */
    GRPC_CALL_FINISHED,
};

#define GRPC_TRAILERS_MAX 9

struct grpc_call {
    struct http2_stream stream;
    struct grpc_connection *connection;
    struct grpc_route *route; /* NULL until the path is known to be served */
    uint8_t state;            /* enum grpc_call_state */
    uint8_t code;             /* FINISHED: enum grpc_code */
    bool has_responded;       /* response headers are out */
    bool has_post;
    bool has_extra;           /* more than the one message */
    bool has_timeout;
    bool bad_timeout;
    bool bad_encoding;
    bool bad_identity;
    bool is_identifying;      /* who calls is not known yet: hands over no message */
    bool is_catching_up;      /* likewise: the node has `read`, a barrier */
    bool is_held;             /* hands over no further message: grpc_call_hold */
    bool is_denied;           /* for the audit log, where the status does not say so */
    bool is_unknown;          /* a write of which nobody knows whether it was executed */
    uint8_t outcome;          /* FINISHED: what it was refused with, else OUTCOME_OK */
    uint64_t outcome_revision;
    uint8_t content;          /* enum grpc_content */
    uint64_t timeout_ms;      /* as the client set it */
    uint64_t started_us;
    uint64_t deadline_ms;     /* UINT64_MAX: none */
    uint64_t wake_ms;         /* UINT64_MAX: none */
    struct heap_node timer;   /* the earlier of the two */
    struct list link;         /* in the pool, or among the blocked */
    struct errmsg problem;    /* what was wrong with the path */
    struct buf in;            /* of the request: not yet handed over */
    struct buf text;          /* what headers and trailers point to */
    struct buf path;          /* of a request with the node, for the reply's error text */
    struct buf identities;    /* with those of its metadata; empty: the connection's */
    struct buf authorization; /* of its metadata */
    struct buf detail;        /* a message that says more of a refusal, as a trailer has it */
    const char *detail_name;  /* of the trailer; static memory */
    struct buf facts;         /* for the audit log, net/grpc/audit.h */
    const struct reply *reply; /* while `written` runs */
    struct login login;       /* of `authorization`, then of the method */
    uint64_t user_generation; /* of the user who makes it; 0: no user does */
    uint64_t auth_version;    /* of the users by which that was found out */
    struct http2_header trailers[GRPC_TRAILERS_MAX];
    union {
        struct node_write write;
        struct {
            struct node_read read;
            struct node_ttl ttl; /* may come before a read that is filled already */
        };
        struct node_change *change; /* CHANGING: of its own memory */
    };
    void (*written)(struct grpc_call *call, const struct reply *reply);
    void (*got)(struct grpc_call *call, const struct query_result *result);
    void (*told)(struct grpc_call *call, bool found, uint64_t remaining_ms);
    void (*changed)(struct grpc_call *call, bool already, const char *detail);
    uint64_t session; /* named by the header of the request, 0 = none */
    /* The handler's own, zero at first. */
    uint64_t word;
    void *data;
};

/* ---- for handlers ---- */

static inline struct node *grpc_call_node(const struct grpc_call *call)
{
    return call->connection->env->node;
}

/* Who makes the call, for commands and queries; valid as long as the call. */
static inline struct slice grpc_call_identities(const struct grpc_call *call)
{
    return buf_slice(call->identities.size > 0 ? &call->identities
                                               : &call->connection->identities);
}

/* Zeroed or not, gone when the handler or completion returns. */
void *grpc_call_scratch(struct grpc_call *call, size_t bytes);

/* Proposes `c` and goes on in `written`; refuses the call if the node does, or if it fails
 * there. */
void grpc_call_write(struct grpc_call *call, const struct command *c,
                     void (*written)(struct grpc_call *call, const struct reply *reply));
/* The same for a read: call->read.query, or .is_barrier, is filled but for who asks; what it
 * points to stays with the call. */
void grpc_call_read(struct grpc_call *call, void (*got)(struct grpc_call *call,
                                                         const struct query_result *result));

/* A change of the members: kind, names and address of `change` are copied. `changed` when it is
 * done; else the call fails with the reason. */
void grpc_call_change(struct grpc_call *call, const struct node_change *change,
                      void (*changed)(struct grpc_call *call, bool already,
                                      const char *detail));
/* The same for the time that a lease has to live, which only the leader knows. */
void grpc_call_ask_ttl(struct grpc_call *call, uint64_t lease,
                       void (*told)(struct grpc_call *call, bool found,
                                    uint64_t remaining_ms));

/* Sends one message on a stream that stays open. */
void grpc_call_send(struct grpc_call *call, const ProtobufCMessage *message);
/* The same in two steps, for a message that is encoded piece by piece. */
struct buf *grpc_call_begin(struct grpc_call *call, size_t *begin);
/* With the fields that `message` has already. */
struct buf *grpc_call_begin_with(struct grpc_call *call, const ProtobufCMessage *message,
                                 size_t *begin);
void grpc_call_end(struct grpc_call *call, size_t begin);
/* Ends the call with OK, after what was sent. */
void grpc_call_finish(struct grpc_call *call);
/* Sends the one message of a unary call and ends it with OK. */
void grpc_call_reply(struct grpc_call *call, const ProtobufCMessage *message);
/* Ends the call with an error. The text is shown to people. */
void grpc_call_fail(struct grpc_call *call, enum grpc_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Ends the call with the status for what the node said of a write, or of a read. */
void grpc_call_fail_status(struct grpc_call *call, enum status rc, bool is_write);
/* Ends the call with the status for a name and password that were not LOGIN_OK. */
void grpc_call_refuse_login(struct grpc_call *call, enum login_result result);
/* Ends the call with what the state machine, or command_check, said: the status that stands for
 * the outcome, its name in the trailer coord-outcome, and the revision, term and node that a
 * reply would have carried in its header. */
void grpc_call_refuse(struct grpc_call *call, enum outcome outcome, uint64_t revision,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A message that says more of the refusal that follows, as programs need it: the trailer `name`,
 * static memory, which ends in "-bin". It should be small. */
void grpc_call_detail(struct grpc_call *call, const char *name, const ProtobufCMessage *message);
/* So much is waiting to be sent that a handler must not add to it: it goes on in `drained`. */
bool grpc_call_is_full(struct grpc_call *call);
/* The handler of a stream works on so many messages that it takes no further one. The others
 * wait, and in the end the client does: until grpc_call_resume, which hands them over soon, not
 * before it returns. */
void grpc_call_hold(struct grpc_call *call);
void grpc_call_resume(struct grpc_call *call);
/* Goes on in `drained` as soon as there is room, which may be in the next turn. */
void grpc_call_await_room(struct grpc_call *call);
/* May a stream begin a listing in this turn? Else it does so in `drained`, as one that waits for
 * room. */
bool grpc_call_may_scan(struct grpc_call *call);
/* It looked at so many nodes for one. */
void grpc_call_scanned(struct grpc_call *call, size_t nodes);
/* Calls the method's `woken` at that time; UINT64_MAX = not at all. */
void grpc_call_wake_at(struct grpc_call *call, uint64_t at_ms);

/* The same, as the caller may not administer the cluster. */
void grpc_call_refuse_admin(struct grpc_call *call);

enum grpc_code grpc_code_of_outcome(enum outcome outcome);

/* ---- for front.c: what happens to a call ---- */

struct grpc_call *grpc_call_new(struct grpc_connection *c);
void grpc_call_header(struct grpc_call *call, struct slice name, struct slice value);
void grpc_call_headers_end(struct grpc_call *call);
void grpc_call_data(struct grpc_call *call, struct slice bytes);
void grpc_call_half_closed(struct grpc_call *call);
/* Little enough waits to be sent that those who waited for room go on. */
bool grpc_call_has_room(const struct grpc_call *call);
/* The client has read: hands over the messages that had to wait for that. */
void grpc_call_drained(struct grpc_call *call);
void grpc_call_timer(struct grpc_call *call);
/* Lets go of what it holds of its request and its replies; the connection is about to be closed. */
void grpc_call_drop(struct grpc_call *call);
/* Users have changed: ends the call if who made it is not that user any more, as that one was then.
 * For calls that go on; others end by themselves before it matters. */
void grpc_call_recheck(struct grpc_call *call);
/* The stream is gone. */
void grpc_call_closed(struct grpc_call *call);
void grpc_calls_free(struct list *pool);
/* Brings the sum over all connections up to date with what this one has queued. */

#endif
