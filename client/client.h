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
 * returned, and from inside no other callback. They may begin calls, cancel them and close watches
 * or the client; they may not wait: a call that would is COORD_INVALID.
 *
 * In this order: client, event loop, results, nodes, transactions, history, sessions, leases,
 * watches, locks, elections, epochs, backup.
 *
 * Installed as <coord/client.h>; docs/libcoord.md has a guide and examples. Beside it: locks.h,
 * elections.h, barriers.h, counters.h, acls.h, discovery.h and shards.h; methods.h for what has no
 * call of its own; uv.h for libuv.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

struct coord_client;

/* What a call came to: outcomes of an operation, and failures on the way there. Only
 * COORD_UNKNOWN, COORD_NO_MEMORY, COORD_INTERNAL and COORD_CANCELED leave open whether a write was
 * executed; with all others it was not. Values are stable. */
enum coord_code {
    COORD_OK = 0,
    COORD_NOT_FOUND = 1,    /* node, parent or lease does not exist */
    COORD_EXISTS = 2,       /* node or lease exists already */
    COORD_BAD_VERSION = 3,  /* expected version does not match */
    COORD_NOT_EMPTY = 4,    /* node has children */
    COORD_REFUSED = 5,      /* precondition: a guard, a protected node, freshness */
    COORD_INVALID = 6,      /* path, pattern, TTL or other arguments are not valid */
    COORD_LIMITED = 7,      /* a limit (size, quota, overload) or a full disk */
    COORD_DENIED = 8,       /* not allowed */
    COORD_TIMEOUT = 9,      /* no answer in time */
    COORD_UNAVAILABLE = 10, /* no endpoint reachable, or no quorum */
    COORD_UNKNOWN = 11,     /* a write was sent, and what became of it could not be learned */
    COORD_UNSUPPORTED = 12, /* the server does not know this call */
    COORD_NO_MEMORY = 13,
    COORD_INTERNAL = 14,
    COORD_SESSION_ENDED = 15, /* expired or closed: it never comes back, nor do its nodes */
    COORD_BAD_SECRET = 16,    /* these are not the session's credentials */
    COORD_COMPACTED = 17,     /* history does not reach back so far */
    COORD_CANCELED = 18,      /* by coord_cancel, or the client was closed */
    COORD_GUARD_STALE = 19,   /* a grant that guards the write is not held any more */
    COORD_HELD = 20,          /* of a try: it would have had to wait */
    COORD_DEADLOCK = 21,      /* the wait could never end; the message names the cycle */
    COORD_WAIT_TIMEOUT = 22,  /* wait_ms have passed */
    COORD_WAIT_ENDED = 23,    /* canceled by somebody else, or removed by an administrator */
};

const char *coord_code_text(enum coord_code code); /* "version does not match"; static */

struct coord_error {
    enum coord_code code;
    int grpc_status;   /* as received, or -1 */
    char outcome[32];  /* what the store decided, such as "NO_NODE"; else "" */
    char message[512]; /* for people: what was wrong with what, and the limit */
};

enum coord_consistency {
    COORD_LINEARIZABLE = 0, /* confirmed with a majority */
    COORD_SESSION = 1,      /* at least as new as all this client has seen */
    COORD_BOUNDED = 2,      /* at most bound_ms old, else COORD_REFUSED */
    COORD_LOCAL = 3,        /* whatever the member at hand has */
};

/* TLS towards the members. Zero everywhere: verified by the CAs that this machine trusts. Files are
 * PEM, read in coord_open, and again for a new connection when they have changed. */
struct coord_tls {
    const char *ca_file;          /* who signs the members' certificates; NULL = see above */
    const char *certificate_file; /* of this client, if the cluster asks for one; may be NULL */
    const char *key_file;         /* its key, not encrypted */
    const char
        *server_name; /* that each member's certificate carries; NULL = the endpoint's host */
    bool skip_verify; /* takes any certificate: safe from listeners, not from forgers */
};

struct coord_loop;

/* Zero everywhere is the default. */
struct coord_options {
    /* "host:port,host:port,[::1]:7400", at most 64; the port may be left out.
     * NULL = 127.0.0.1:7400. "coords://host:port,host:port" = over TLS. */
    const char *endpoints;
    /* Of a call with all its repeats; 0 = 5000. Not counted: resolving a host name, which takes
     * as long as the system's resolver lets it. */
    uint32_t timeout_ms;
    enum coord_consistency consistency; /* of reads */
    uint64_t bound_ms;                  /* of COORD_BOUNDED */
    const char *note; /* why, kept in the history with each write; at most 1 KiB; may be NULL */
    /* Who asks, while the cluster wants to know: a name and a password, for which the client gets a
     * token and renews it by itself; or a token. NULL = nobody. */
    const char *user;
    const char *password;
    const char *token;
    /* How TLS is spoken. NULL = not at all, unless the endpoints say coords://. */
    const struct coord_tls *tls;
    /* A client also goes to endpoints that the members of the cluster name, so that it stays with
     * a cluster that moves. true: to those above alone. */
    bool fixed_endpoints;
    /* Go to the leader, as far as one knows who that is: writes take one hop less. */
    bool prefer_leader;
    /* How an event loop learns what the client waits for; NULL = there is none. Copied. */
    const struct coord_loop *loop;
    /* The client's tree: each path is below this one, "/team/a", which must be there, and "/" is
     * it. Paths outside of it, as of a lease's nodes, are told whole; so are those in messages of
     * errors. NULL or "" = the whole tree. */
    const char *chroot;
};

/* Checks the options (NULL = defaults) and keeps a copy; the first call connects. COORD_INVALID
 * names what is not valid. Free with coord_close. */
enum coord_code coord_open(const struct coord_options *options, struct coord_client **out,
                           struct coord_error *error);
/* Calls under way are told COORD_CANCELED. From inside a callback it takes effect when that has
 * returned. NULL is fine. */
void coord_close(struct coord_client *client);

/* ---- in an event loop ------------------------------------------------------------------- */

#define COORD_READABLE 1u
#define COORD_WRITABLE 2u
#define COORD_FOREVER  UINT64_MAX

/* What the client asks of a loop (<coord/uv.h> has it for libuv). Neither function may call the
 * library. */
struct coord_loop {
    /* From now on coord_ready is to be called whenever `fd` is ready for `events`,
     * COORD_READABLE and COORD_WRITABLE added up. 0: no longer; it is closed next. False: it
     * cannot be watched, and the connection is given up. */
    bool (*watch)(void *context, int fd, unsigned events);
    /* coord_due is to be called once, in `delay_ms`, instead of what was asked for before;
     * COORD_FOREVER: not at all. */
    void (*wake)(void *context, uint64_t delay_ms);
    void *context;
};

/* `fd` is ready, or has failed. A descriptor that the client no longer has is ignored. */
void coord_ready(struct coord_client *client, int fd);
/* The delay is over. Early, late and needless calls do no harm. */
void coord_due(struct coord_client *client);

/* For loops that ask, poll(2) say: what is waited for at present. Fills `wants` up to `room`, and
 * returns how many there are. */
struct coord_want {
    int fd;
    unsigned events;
};
size_t coord_wants(const struct coord_client *client, struct coord_want *wants, size_t room);
/* In how long coord_due is to be called; COORD_FOREVER: not at all. */
uint64_t coord_wait_ms(const struct coord_client *client);

/* For programs without a loop: waits until something has happened, at most `timeout_ms`, and deals
 * with it. */
enum coord_code coord_run(struct coord_client *client, uint32_t timeout_ms);

/* ---- what nodes are --------------------------------------------------------------------- */

enum coord_kind {
    COORD_PERSISTENT = 0,
    COORD_EPHEMERAL = 1, /* goes with its session or lease; has no children */
    COORD_CONTAINER = 2, /* goes when its last child has gone */
    COORD_TTL = 3,       /* goes when it was not changed for ttl_ms and has no children */
    COORD_RECIPE = 4,    /* of a lock: its children are its queue; only locks' calls change them */
};

struct coord_stat {
    uint64_t create_revision;
    uint64_t modify_revision;
    uint64_t children_revision;
    uint64_t create_time_ms; /* wall clock, since 1970 */
    uint64_t modify_time_ms;
    uint64_t children_version; /* creates plus deletes of children */
    uint64_t sequence_next;    /* of the next sequential child */
    uint64_t lease;
    uint64_t ttl_ms;
    uint32_t version; /* sets since the create */
    uint32_t acl_version;
    uint32_t data_bytes;
    uint32_t child_count;
    int kind; /* enum coord_kind */
};

struct coord_names {
    char **names; /* of children, without their parent's path, in order */
    size_t count;
};

/* ---- results ---------------------------------------------------------------------------- */

struct coord_call; /* one that does not wait, until its end has been told */
struct coord_lock;
struct coord_lock_info;
struct coord_deadlock; /* <coord/locks.h> */
struct coord_counter;  /* <coord/counters.h> */
struct coord_ids;      /* likewise */
struct coord_acl_list; /* <coord/acls.h> */

/* What has come of a call that does not wait. What it points to is valid until the callback
 * returns; what is not said below is of no meaning for that call. */
struct coord_result {
    enum coord_code code;
    const struct coord_error *error; /* never NULL */
    /* the rest for COORD_OK alone, but for `deadlock` */
    const char *path; /* create: the real one */
    const void *data; /* get, call method; a zero follows the value, or the reply */
    size_t bytes;
    struct coord_stat stat;          /* create, get, exists, set, acl get, acl set */
    bool exists;                     /* exists */
    uint64_t count; /* delete; session close, lease revoke: nodes that went; latch: what it says */
    uint64_t lease;                  /* lease grant, lease keepalive */
    uint64_t ttl_ms;                 /* likewise */
    const struct coord_names *names; /* list */
    const struct coord_txn_result *txn;         /* txn */
    const struct coord_change_list *changes;    /* changes */
    const struct coord_snapshot_file *snapshot; /* snapshot save */
    struct coord_lock *lock; /* lock acquire, campaign, barrier enter: yours, coord_lock_free */
    const struct coord_lock_info *lock_info;    /* lock get */
    const struct coord_deadlock *deadlock; /* lock acquire, COORD_DEADLOCK; NULL: nothing known */
    const struct coord_counter *counter;   /* counter add, get */
    const struct coord_ids *ids;           /* ids allocate */
    const struct coord_acl_list *acl;      /* acl get */
};

/* Called once for each call that was begun: that one returned COORD_OK. */
typedef void (*coord_done_fn)(void *context, const struct coord_result *result);

/* The calls that end in _async take what the others take, and return at once: COORD_OK, and `done`
 * is called later; or COORD_INVALID or COORD_NO_MEMORY, and it never is. `call` (may be NULL) gets
 * what coord_cancel needs, valid until `done` is called. Calls under way at the same time are
 * executed in any order: whoever needs one begins the next when `done` is called. */

/* Ends it: `done` is told COORD_CANCELED before this returns. A write may have been executed. */
void coord_cancel(struct coord_call *call);

/* ---- nodes ------------------------------------------------------------------------------ */

#define COORD_ANY_VERSION (-1)

enum coord_create_flags {
    COORD_SEQUENTIAL = 1,   /* appends the parent's counter to the path, ten digits at least */
    COORD_MAKE_PARENTS = 2, /* creates missing ancestors, empty */
};

/* `real_path` (may be NULL) gets the path with its sequence number; free(3) it. `stat` may be
 * NULL here and everywhere. */
enum coord_code coord_create(struct coord_client *client, const char *path, const void *data,
                             size_t bytes, int flags, char **real_path, struct coord_stat *stat,
                             struct coord_error *error);

struct coord_create_options {
    enum coord_kind kind;
    int flags;       /* enum coord_create_flags */
    uint64_t lease;  /* owner of an ephemeral; 0 = the client's session */
    uint64_t ttl_ms; /* of COORD_TTL */
};
/* The same for all kinds of nodes. `options` NULL: as coord_create without flags. */
enum coord_code coord_create_with(struct coord_client *client, const char *path,
                                  const void *data, size_t bytes,
                                  const struct coord_create_options *options, char **real_path,
                                  struct coord_stat *stat, struct coord_error *error);

/* `data` gets a zero-terminated copy of the value; free(3) it. `bytes` may be NULL. */
enum coord_code coord_get(struct coord_client *client, const char *path, void **data,
                          size_t *bytes, struct coord_stat *stat, struct coord_error *error);

/* A node that does not exist is COORD_OK with `exists` false. */
enum coord_code coord_exists(struct coord_client *client, const char *path, bool *exists,
                             struct coord_stat *stat, struct coord_error *error);

/* `version` is the one the node must have (coord_stat.version), or COORD_ANY_VERSION. */
enum coord_code coord_set(struct coord_client *client, const char *path, const void *data,
                          size_t bytes, int64_t version, struct coord_stat *stat,
                          struct coord_error *error);

/* `recursive` takes all descendants with it, atomically; else they are COORD_NOT_EMPTY. `count`
 * (may be NULL) gets the number of nodes deleted. */
enum coord_code coord_delete(struct coord_client *client, const char *path, int64_t version,
                             bool recursive, uint64_t *count, struct coord_error *error);

/* All children, however many pages that takes. Each page is as fresh as asked; children that
 * come or go between two pages may be in the list or not. Free with coord_names_clear. */
enum coord_code coord_list(struct coord_client *client, const char *path,
                           struct coord_names *list, struct coord_error *error);
void coord_names_clear(struct coord_names *list);

/* Returns when the member spoken to has all that was committed when the call began. */
enum coord_code coord_sync(struct coord_client *client, struct coord_error *error);

enum coord_code coord_create_async(struct coord_client *client, const char *path,
                                   const void *data, size_t bytes,
                                   const struct coord_create_options *options,
                                   coord_done_fn done, void *context, struct coord_call **call,
                                   struct coord_error *error);
enum coord_code coord_get_async(struct coord_client *client, const char *path,
                                coord_done_fn done, void *context, struct coord_call **call,
                                struct coord_error *error);
enum coord_code coord_exists_async(struct coord_client *client, const char *path,
                                   coord_done_fn done, void *context, struct coord_call **call,
                                   struct coord_error *error);
enum coord_code coord_set_async(struct coord_client *client, const char *path, const void *data,
                                size_t bytes, int64_t version, coord_done_fn done,
                                void *context, struct coord_call **call,
                                struct coord_error *error);
enum coord_code coord_delete_async(struct coord_client *client, const char *path,
                                   int64_t version, bool recursive, coord_done_fn done,
                                   void *context, struct coord_call **call,
                                   struct coord_error *error);
/* All children, as coord_list. It cannot be canceled. */
enum coord_code coord_list_async(struct coord_client *client, const char *path,
                                 coord_done_fn done, void *context, struct coord_error *error);
enum coord_code coord_sync_async(struct coord_client *client, coord_done_fn done, void *context,
                                 struct coord_call **call, struct coord_error *error);

/* The highest revision that any reply to this client carried; 0 before the first. */
uint64_t coord_revision(const struct coord_client *client);

/* ---- transactions ----------------------------------------------------------------------- */

/* What must be the case. Made by the functions below; strings and bytes are borrowed. */
struct coord_guard {
    const char *path;
    int kind;     /* private, as all below */
    int relation; /* enum coord_relation */
    uint64_t number;
    const void *data;
    size_t bytes;
};

enum coord_relation { COORD_EQUAL = 0, COORD_NOT_EQUAL = 1, COORD_LESS = 2, COORD_GREATER = 3 };

struct coord_guard coord_guard_exists(const char *path, bool exists);
struct coord_guard coord_guard_version(const char *path, enum coord_relation relation,
                                       uint32_t version);
/* Of its last change (coord_stat.modify_revision). */
struct coord_guard coord_guard_revision(const char *path, enum coord_relation relation,
                                        uint64_t modify_revision);
struct coord_guard coord_guard_value(const char *path, enum coord_relation relation,
                                     const void *data, size_t bytes);
/* The very node that was created at `revision` (coord_stat.create_revision) is still there: who
 * made it still holds what it stands for. Of a lock: coord_lock_guard. A write that it refuses is
 * COORD_GUARD_STALE. */
struct coord_guard coord_guard_held(const char *path, uint64_t revision);

/* What is to be done. Made by the functions below; strings and bytes are borrowed. */
struct coord_op {
    const char *path;
    int kind; /* private, as all below */
    const void *data;
    size_t bytes;
    int64_t version;
    bool recursive;
    struct coord_create_options create;
};

/* `options` may be NULL. */
struct coord_op coord_op_create(const char *path, const void *data, size_t bytes,
                                const struct coord_create_options *options);
struct coord_op coord_op_set(const char *path, const void *data, size_t bytes, int64_t version);
struct coord_op coord_op_delete(const char *path, int64_t version, bool recursive);
struct coord_op coord_op_check(const char *path, int64_t version); /* does nothing else */
struct coord_op coord_op_get(const char *path);
struct coord_op coord_op_list(const char *path);

/* If all guards hold, then_ops, else else_ops; all of them or, when one fails, none. */
struct coord_transaction {
    const struct coord_guard *guards;
    size_t guard_count;
    const struct coord_op *then_ops;
    size_t then_count;
    const struct coord_op *else_ops;
    size_t else_count;
};

struct coord_op_result {
    const char *path; /* create: the real one */
    const void *data; /* get */
    size_t bytes;
    struct coord_stat stat;
    uint64_t count;              /* delete */
    const char *const *children; /* list: names */
    size_t child_count;
};
struct coord_txn_result {
    bool took_then;
    const struct coord_op_result *results; /* one for each operation of the branch */
    size_t count;
    void *memory; /* private: what the results point to */
};

/* COORD_REFUSED: the guards do not hold, and there are no else_ops; COORD_GUARD_STALE: because a
 * grant is not held any more. Else what was wrong with the operation that failed, which the message
 * numbers, from 1. `result` (may be NULL): free with coord_txn_clear. */
enum coord_code coord_txn(struct coord_client *client, const struct coord_transaction *txn,
                          struct coord_txn_result *result, struct coord_error *error);
void coord_txn_clear(struct coord_txn_result *result);
enum coord_code coord_txn_async(struct coord_client *client,
                                const struct coord_transaction *txn, coord_done_fn done,
                                void *context, struct coord_call **call,
                                struct coord_error *error);

/* Single writes that are made if all guards hold: COORD_GUARD_STALE, COORD_REFUSED as above,
 * else as the calls without guards. */
enum coord_code coord_create_guarded(struct coord_client *client, const char *path,
                                     const void *data, size_t bytes,
                                     const struct coord_create_options *options,
                                     const struct coord_guard *guards, size_t guard_count,
                                     char **real_path, struct coord_stat *stat,
                                     struct coord_error *error);
enum coord_code coord_set_guarded(struct coord_client *client, const char *path,
                                  const void *data, size_t bytes, int64_t version,
                                  const struct coord_guard *guards, size_t guard_count,
                                  struct coord_stat *stat, struct coord_error *error);
enum coord_code coord_delete_guarded(struct coord_client *client, const char *path,
                                     int64_t version, bool recursive,
                                     const struct coord_guard *guards, size_t guard_count,
                                     uint64_t *count, struct coord_error *error);

/* ---- history ---------------------------------------------------------------------------- */

enum coord_event_type {
    COORD_EVENT_CREATED = 1,
    COORD_EVENT_SET = 2,
    COORD_EVENT_DELETED = 3,
    /* Of watches with `list` or `relist` alone. LISTING: what was known before is void, all
     * that there is follows as ENTRY, in path order, then LISTED; `revision` is that of the
     * listing. */
    COORD_EVENT_LISTING = 4,
    COORD_EVENT_ENTRY = 5,
    COORD_EVENT_LISTED = 6,
    COORD_EVENT_END = 7, /* of a watch with `once`, after its events: nothing more will come */
    COORD_EVENT_ACL =
        8, /* of history alone: another access control list, the value is as before */
};

enum coord_reason {
    COORD_REASON_REQUESTED = 0,
    COORD_REASON_LEASE_EXPIRED = 1, /* or session */
    COORD_REASON_LEASE_REVOKED = 2,
    COORD_REASON_SESSION_CLOSED = 3,
    COORD_REASON_CONTAINER_EMPTIED = 4,
    COORD_REASON_TTL_PASSED = 5,
    COORD_REASON_GRANTED = 6,   /* of a lock's queue: what was in its way went */
    COORD_REASON_TIMED_OUT = 7, /* of a lock's queue: its time to wait, or to hold, ran out */
};

struct coord_event {
    enum coord_event_type type;
    enum coord_reason reason;
    const char *path;
    const void *data; /* after the change; zero bytes for a delete, and with keys_only */
    size_t bytes;
    const void *previous; /* before it, if asked for */
    size_t previous_bytes;
    struct coord_stat stat; /* after it; of a delete: as it was */
    uint64_t revision;
    uint32_t sub;     /* order within the revision */
    uint64_t session; /* that asked for it; 0 = none */
    uint64_t time_ms; /* wall clock, since 1970 */
    const char *note; /* the writer's "why" */
};

/* The node as it was at `revision`, as far as history reaches back, else COORD_COMPACTED. */
enum coord_code coord_get_at(struct coord_client *client, const char *path, uint64_t revision,
                             void **data, size_t *bytes, struct coord_stat *stat,
                             struct coord_error *error);

struct coord_change_options {
    bool recursive; /* with all descendants */
    bool newest_first;
    bool keys_only;          /* without values */
    uint64_t from_revision;  /* 0 = as far back as there is */
    uint64_t to_revision;    /* 0 = the present */
    uint32_t limit;          /* of one page; 0 = what fits 2 MiB */
    uint64_t after_revision; /* the next_ of the page before */
    uint32_t after_sub;
};
struct coord_change_list {
    struct coord_event *events; /* with the values before */
    size_t count;
    uint64_t next_revision; /* 0: this was the last page */
    uint32_t next_sub;
    uint64_t floor; /* from this revision on, all changes are known */
    void *memory;   /* private: what the events point to */
};
/* A page of what happened to a node. `options` may be NULL. Free with coord_changes_clear. */
enum coord_code coord_changes(struct coord_client *client, const char *path,
                              const struct coord_change_options *options,
                              struct coord_change_list *changes, struct coord_error *error);
void coord_changes_clear(struct coord_change_list *changes);

/* ---- sessions --------------------------------------------------------------------------- */

/* A session is how a process says that it is alive: as long as it is kept alive, its ephemeral
 * nodes exist; when it ends they go, all in one revision. A client has one session at most.
 * From then on its writes are made in the session's name, each once, by sequence numbers.
 *
 * Whoever acts on what the session protects must stop when coord_session_trusted_ms has come
 * down to 0: by then the cluster may have given the session up. */

#define COORD_SECRET_BYTES 16

struct coord_session {
    uint64_t id;
    unsigned char secret[COORD_SECRET_BYTES]; /* whoever has it can take the session over */
    uint64_t ttl_ms;
};

/* SAFE: nobody else can have taken the place of this process. UNSAFE: nothing was confirmed for 0.8
 * of the TTL, so that the cluster may give the session up from now on; it may become SAFE again.
 * LOST: the cluster says that it is over, or somebody else's; nothing follows. */
enum coord_session_state {
    COORD_SESSION_SAFE = 1,
    COORD_SESSION_UNSAFE = 2,
    COORD_SESSION_LOST = 3,
};
typedef void (*coord_session_fn)(void *context, enum coord_session_state state,
                                 const struct coord_error *why);

/* Begins a session and makes it the client's. `ttl_ms` is brought into 500 to 86400000, 0 =
 * 10000; `owner` (may be NULL) says who it is for, to people. COORD_INVALID if the client has
 * one already that has not ended. */
enum coord_code coord_session_open(struct coord_client *client, uint64_t ttl_ms,
                                   const char *owner, struct coord_error *error);
/* Takes a session over, with its full TTL: after a restart, or from another process, whose
 * writes are then refused. `ttl_ms` 0 = as before. COORD_SESSION_ENDED, COORD_BAD_SECRET. */
enum coord_code coord_session_resume(struct coord_client *client, uint64_t id,
                                     const void *secret, uint64_t ttl_ms,
                                     struct coord_error *error);
/* Uses a session that somebody else holds and keeps alive, and goes on to hold: writes are made
 * in its name, but by request ids. Checks the credentials by a keepalive. */
enum coord_code coord_session_attach(struct coord_client *client, uint64_t id,
                                     const void *secret, struct coord_error *error);

/* From now on the session keeps itself alive, at any member, and `changed` is told what becomes of
 * it, beginning from SAFE: as long as the client is driven, by an event loop, coord_run, or the
 * calls that wait. NULL: no longer. COORD_INVALID: the client has no session. */
enum coord_code coord_session_follow(struct coord_client *client, coord_session_fn changed,
                                     void *context, struct coord_error *error);

/* Without coord_session_follow, keeps it alive: call it every third of the TTL
 * (coord_session_due_ms), from the thread that uses the client. COORD_OK: the cluster has
 * confirmed it. Goes on to other endpoints when one fails. COORD_TIMEOUT or COORD_UNAVAILABLE: not
 * confirmed within the client's timeout, or before trust ended if that was sooner; try again.
 * COORD_SESSION_ENDED: it is over. */
enum coord_code coord_session_keepalive(struct coord_client *client, struct coord_error *error);
/* How long from now the session certainly lives: 0.8 of the TTL, which covers clocks that run
 * 10 % apart, counted from the sending of what was last confirmed. 0: no session, or it may
 * have ended. */
uint64_t coord_session_trusted_ms(const struct coord_client *client);
/* How long from now until the next keepalive should be sent; 0 = now. */
uint64_t coord_session_due_ms(const struct coord_client *client);
/* False: the client has no session. */
bool coord_session_info(const struct coord_client *client, struct coord_session *info);

/* Ends it, and with it its ephemeral nodes; `removed` (may be NULL) gets their number. Whatever
 * this returns, the client has no session any more. */
enum coord_code coord_session_close(struct coord_client *client, uint64_t *removed,
                                    struct coord_error *error);
/* As above. The client has no session any more when coord_session_close_async has returned. */
enum coord_code coord_session_open_async(struct coord_client *client, uint64_t ttl_ms,
                                         const char *owner, coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error);
enum coord_code coord_session_resume_async(struct coord_client *client, uint64_t id,
                                           const void *secret, uint64_t ttl_ms,
                                           coord_done_fn done, void *context,
                                           struct coord_call **call, struct coord_error *error);
enum coord_code coord_session_close_async(struct coord_client *client, coord_done_fn done,
                                          void *context, struct coord_call **call,
                                          struct coord_error *error);
/* Forgets it; it lives on, until it expires or another process resumes it. */
void coord_session_detach(struct coord_client *client);

/* ---- leases ----------------------------------------------------------------------------- */

/* What ephemeral nodes can be attached to besides a session: no credentials, no sequence. */
struct coord_lease {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t attached;   /* nodes */
    uint64_t granted_ms; /* wall clock, since 1970 */
    uint64_t generation; /* times it was resumed */
    bool is_session;
    bool is_renewable;
    const char *owner;
};

/* `ttl_ms`: 500 to 86400000, else COORD_INVALID. */
enum coord_code coord_lease_grant(struct coord_client *client, uint64_t ttl_ms,
                                  const char *owner, uint64_t *id, struct coord_error *error);
/* `ttl_ms` (may be NULL) gets what it lives for from the sending of this call; trust 0.8 of it.
 * COORD_NOT_FOUND: it has ended. */
enum coord_code coord_lease_keepalive(struct coord_client *client, uint64_t id,
                                      uint64_t *ttl_ms, struct coord_error *error);
enum coord_code coord_lease_revoke(struct coord_client *client, uint64_t id, uint64_t *removed,
                                   struct coord_error *error);

enum coord_code coord_lease_grant_async(struct coord_client *client, uint64_t ttl_ms,
                                        const char *owner, coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error);
enum coord_code coord_lease_keepalive_async(struct coord_client *client, uint64_t id,
                                            coord_done_fn done, void *context,
                                            struct coord_error *error);
enum coord_code coord_lease_revoke_async(struct coord_client *client, uint64_t id,
                                         coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error);

struct coord_lease_info {
    struct coord_lease lease;
    uint64_t remaining_ms; /* by the leader's clock */
    char **paths;          /* of the attached nodes, in order; all of them */
    size_t path_count;
};
/* Of a lease or session. Free with coord_lease_info_clear. */
enum coord_code coord_lease_ttl(struct coord_client *client, uint64_t id, bool with_paths,
                                struct coord_lease_info *info, struct coord_error *error);
void coord_lease_info_clear(struct coord_lease_info *info);

struct coord_leases {
    struct coord_lease *leases; /* in order of id */
    size_t count;
};
/* All leases, and sessions. Free with coord_leases_clear. */
enum coord_code coord_lease_list(struct coord_client *client, struct coord_leases *list,
                                 struct coord_error *error);
void coord_leases_clear(struct coord_leases *list);

/* ---- watches ---------------------------------------------------------------------------- */

/* A watch is told of every change, in order, once. When its connection, or the member behind it,
 * fails, it goes on at another endpoint behind the last event it handed out. */
struct coord_watch;

enum coord_scope {
    COORD_WATCH_NODE = 0,     /* the path */
    COORD_WATCH_CHILDREN = 1, /* its children, not itself */
    COORD_WATCH_SUBTREE = 2,  /* itself and all below */
    COORD_WATCH_PREFIX = 3,   /* every path that begins so */
};

#define COORD_WATCH_CREATED 1u
#define COORD_WATCH_SET     2u
#define COORD_WATCH_DELETED 4u

/* Zero everywhere is the default. */
struct coord_watch_options {
    enum coord_scope scope;
    unsigned types;         /* COORD_WATCH_CREATED, ... added up; 0 = all */
    const char *glob;       /* of the last component: * ? [a-z] [!a-z] \x; NULL = all */
    uint32_t depth;         /* SUBTREE: levels below the path; 0 = all */
    bool once;              /* ends after the first revision with an event */
    bool keys_only;         /* without values */
    bool with_previous;     /* the value before, too */
    uint64_t from_revision; /* the first wanted; 0 = from now on */
    bool list;              /* first what there is, at one revision, then what changes */
    bool relist;            /* when history no longer reaches back: list, and go on */
    /* The server gives a sign of life when nothing was sent for so long, and one that is silent
     * for three times that and a second is given up; 0 = 2000, at least 100. */
    uint32_t progress_ms;
    /* There is something for coord_watch_next, after it had nothing: call it, here or later, with
     * timeout 0 until it says COORD_TIMEOUT or COORD_UNAVAILABLE. May close the watch. NULL = not
     * told. */
    void (*ready)(void *context, struct coord_watch *watch);
    void *context;
};

/* From when this has returned COORD_OK, nothing is missed. `options` may be NULL. The client
 * must outlive its watches. COORD_INVALID: path or pattern; free with coord_watch_close. */
enum coord_code coord_watch_open(struct coord_client *client, const char *path,
                                 const struct coord_watch_options *options,
                                 struct coord_watch **watch, struct coord_error *error);
/* The same without waiting: whatever is wrong, coord_watch_next tells. From when the first
 * COORD_TIMEOUT is told, nothing is missed. */
enum coord_code coord_watch_start(struct coord_client *client, const char *path,
                                  const struct coord_watch_options *options,
                                  struct coord_watch **watch, struct coord_error *error);
/* The next event; what it points to is valid until the next call for this watch.
 * COORD_TIMEOUT: none came in time, all is well. COORD_UNAVAILABLE: none of the endpoints
 * could be reached in time; call again to go on trying. With `timeout_ms` 0 it only looks at
 * what has arrived, as it does inside a callback.
 * COORD_COMPACTED (without relist) and everything else but COORD_NO_MEMORY are the end of
 * the watch. */
enum coord_code coord_watch_next(struct coord_watch *watch, uint32_t timeout_ms,
                                 struct coord_event *event, struct coord_error *error);
/* Every event up to this revision has been handed out: a later watch may go on at this + 1. */
uint64_t coord_watch_revision(const struct coord_watch *watch);
/* For poll(2), without an event loop: when it is readable, call coord_watch_next, with timeout 0
 * until it says COORD_TIMEOUT; call it every progress_ms besides. -1 while there is no
 * connection. */
int coord_watch_fd(const struct coord_watch *watch);
void coord_watch_close(struct coord_watch *watch); /* NULL is fine */

/* ---- locks ------------------------------------------------------------------------------ */

/* Decided inside the cluster: docs/recipes.md says what is guaranteed. A lock is a node, made by
 * who comes first; its owner is the client's session, or a lease, and within that an owner id. It
 * is held until it is released, its session ends, or its time is over.
 *
 * A holder that was stopped and goes on believes that it holds what somebody else has by now. So
 * its writes carry coord_lock_guard, resources outside check coord_lock_epoch (coord_epoch_check),
 * and it stops when coord_lock_trusted_ms has come down to 0. */

enum coord_lock_mode {
    COORD_LOCK_WRITE = 0,   /* alone */
    COORD_LOCK_READ = 1,    /* with others that read */
    COORD_LOCK_PERMITS = 2, /* some of the permits of a semaphore */
};

struct coord_lock_target {
    const char *path;
    enum coord_lock_mode mode;
    uint32_t permits; /* COORD_LOCK_PERMITS: how many */
    uint32_t limit;   /* of how many in all: said by the first to use it, else 0 or the same */
};

/* Zero everywhere is the default. */
struct coord_lock_options {
    uint64_t lease;    /* whose it is; 0 = the client's session */
    const char *owner; /* a line of execution within that; NULL = "" */
    const char *note;  /* why, for others to see; NULL = the client's note */
    bool no_wait;      /* COORD_HELD rather than wait */
    uint64_t wait_ms;  /* COORD_WAIT_TIMEOUT after so long; 0 = as long as it takes */
    uint64_t hold_ms;  /* it ends by itself after so long; 0 = with its lease */
    const struct coord_guard *guards; /* of coord_guard_held: grants that must be held */
    size_t guard_count;
    /* Filled on COORD_DEADLOCK by the call that waits: who waits for whom. To be freed by
     * coord_deadlock_clear of <coord/locks.h>. NULL: not wanted. */
    struct coord_deadlock *deadlock;
};

/* What is held: an entry of the lock's queue, that guards writes, and an epoch. */
struct coord_grant {
    const char *path;  /* of the entry, "/locks/a/q-0000000007" */
    uint64_t revision; /* at which that was created */
    uint64_t epoch;    /* grows with every grant of this lock */
    uint32_t count;    /* how often its owner has it */
};

/* Returns when all targets (1 to 64 different paths) are held, together: `lock` is to be freed by
 * coord_lock_free. The client's timeout counts while no member can be reached, not while it waits
 * for its turn; and while it waits, the session keeps itself alive. Repeated as any write: what was
 * granted once is not asked for twice, whichever members die meanwhile.
 *
 * COORD_HELD, COORD_DEADLOCK, COORD_WAIT_TIMEOUT, COORD_WAIT_ENDED. COORD_REFUSED: the owner waits
 * for something already, or the lock is used in another way. COORD_INVALID: there is neither a
 * session nor a lease. */
enum coord_code coord_lock_acquire(struct coord_client *client,
                                   const struct coord_lock_target *targets, size_t count,
                                   const struct coord_lock_options *options,
                                   struct coord_lock **lock, struct coord_error *error);
/* coord_cancel gives up what was asked for, and what was granted meanwhile. */
enum coord_code coord_lock_acquire_async(struct coord_client *client,
                                         const struct coord_lock_target *targets, size_t count,
                                         const struct coord_lock_options *options,
                                         coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error);

/* In the order of the targets; borrowed. */
const struct coord_grant *coord_lock_grants(const struct coord_lock *lock, size_t *count);
uint64_t coord_lock_epoch(const struct coord_lock *lock); /* of the first target */
/* For writes: refused once the grant of that target is gone. Borrows the lock. */
struct coord_guard coord_lock_guard(const struct coord_lock *lock, size_t target);

/* SAFE: it is held. UNSAFE: its session may have ended; it may become SAFE again. LOST: it is over,
 * or was released. */
enum coord_lock_state {
    COORD_LOCK_SAFE = 1,
    COORD_LOCK_UNSAFE = 2,
    COORD_LOCK_LOST = 3,
};
enum coord_lock_state coord_lock_state(const struct coord_lock *lock);
/* How long from now it is certainly held, as far as its session goes (coord_session_trusted_ms):
 * 0 of one that is lost, or is a lease's. A hold_ms that runs out is not in it. */
uint64_t coord_lock_trusted_ms(const struct coord_lock *lock);

struct coord_lock_event {
    enum coord_lock_state state;
    bool is_asked;                /* somebody wants it to be released; it stays as it is */
    const char *asked_by;         /* who; "" otherwise */
    const char *asked_why;        /* likewise */
    const struct coord_error *why; /* UNSAFE, LOST: never NULL */
};
typedef void (*coord_lock_fn)(void *context, struct coord_lock *lock,
                              const struct coord_lock_event *event);
/* From now on `changed` is told what becomes of it, beginning from SAFE, and who asks for it;
 * and its session keeps itself alive: as long as the client is driven. It may free the lock.
 * NULL: no longer. Takes the right to read the lock's entries. */
enum coord_code coord_lock_follow(struct coord_lock *lock, coord_lock_fn changed, void *context,
                                  struct coord_error *error);

/* From now on so long; 0 = as long as the lease. COORD_NOT_FOUND: it is not held any more. */
enum coord_code coord_lock_extend(struct coord_lock *lock, uint64_t hold_ms,
                                  struct coord_error *error);
/* Once: who has acquired it several times still has it. COORD_NOT_FOUND: it was not held any more.
 * It is LOST from the call on, and still to be freed. */
enum coord_code coord_lock_release(struct coord_lock *lock, struct coord_error *error);
enum coord_code coord_lock_extend_async(struct coord_lock *lock, uint64_t hold_ms,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error);
enum coord_code coord_lock_release_async(struct coord_lock *lock, coord_done_fn done,
                                         void *context, struct coord_call **call,
                                         struct coord_error *error);
/* Releases nothing. Before the client is closed. NULL is fine. */
void coord_lock_free(struct coord_lock *lock);

/* Gives up waits, of other calls of one's leases too: with all parts of a multi-lock, also if they
 * were granted meanwhile. By the entry's path and revision, as coord_lock_get tells them. */
enum coord_code coord_lock_cancel(struct coord_client *client, const struct coord_grant *entries,
                                  size_t count, struct coord_error *error);
/* The same for entries of others, held or waiting: takes the right admin. */
enum coord_code coord_lock_remove(struct coord_client *client, const struct coord_grant *entries,
                                  size_t count, struct coord_error *error);
/* Tells all holders that it is wanted, and why (`note`; NULL = the client's): they decide. `who` is
 * shown unless the cluster knows the caller's name. */
enum coord_code coord_lock_ask_release(struct coord_client *client, const char *path,
                                       const char *who, const char *note,
                                       struct coord_error *error);
enum coord_code coord_lock_cancel_async(struct coord_client *client,
                                        const struct coord_grant *entries, size_t count,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error);
enum coord_code coord_lock_remove_async(struct coord_client *client,
                                        const struct coord_grant *entries, size_t count,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error);
enum coord_code coord_lock_ask_release_async(struct coord_client *client, const char *path,
                                             const char *who, const char *note,
                                             coord_done_fn done, void *context,
                                             struct coord_call **call,
                                             struct coord_error *error);

struct coord_lock_entry {
    struct coord_grant grant;
    bool held; /* else it waits */
    enum coord_lock_mode mode;
    uint32_t permits;
    uint64_t lease;
    const char *owner;
    const char *note;
    uint64_t since_ms;    /* wall clock: holds, or waits, since then */
    uint64_t deadline_ms; /* cluster time at which that ends; 0 = none */
    uint64_t group;       /* the same for all parts of a multi-lock, else 0 */
    const char *asked_by; /* "": nobody */
    const char *asked_why;
};
struct coord_lock_info {
    uint32_t permits;                 /* of a semaphore: in all */
    struct coord_lock_entry *entries; /* in the order of the queue, all of them */
    size_t count;
    void *memory; /* private: what the entries point to */
};
/* Who holds it and who waits. COORD_NOT_FOUND: nobody. Free with coord_lock_info_clear. */
enum coord_code coord_lock_get(struct coord_client *client, const char *path,
                               struct coord_lock_info *info, struct coord_error *error);
void coord_lock_info_clear(struct coord_lock_info *info);
/* It cannot be canceled. */
enum coord_code coord_lock_get_async(struct coord_client *client, const char *path,
                                     coord_done_fn done, void *context,
                                     struct coord_error *error);

/* ---- elections -------------------------------------------------------------------------- */

/* Decided inside the cluster, as locks are. Who leads has a struct coord_lock, with a guard, an
 * epoch, trust and coord_lock_follow; coord_lock_release resigns. */

enum coord_election_policy {
    COORD_AS_IT_IS = 0, /* of a new election: first come */
    COORD_FIRST_COME = 1,
    COORD_HIGHEST_PRIORITY = 2,
    COORD_MOST_UP_TO_DATE = 3, /* the highest `number` */
};

/* Zero everywhere, but for the path, is the default. */
struct coord_candidate {
    const char *path;  /* of the election */
    const char *name;  /* NULL = "" */
    const char *value; /* what others shall know of it when it leads: an address; NULL = "" */
    enum coord_election_policy policy;
    uint32_t priority;
    uint64_t number;
    const char *label; /* what it is, where not everybody may lead; NULL = "" */
    uint64_t lease;    /* whose it is; 0 = the client's session */
    const char *note;  /* NULL = the client's */
    bool no_wait;      /* COORD_HELD if somebody else leads */
    uint64_t wait_ms;  /* COORD_WAIT_TIMEOUT after so long; 0 = as long as it takes */
};

/* Returns when the candidate leads; waits and is repeated as coord_lock_acquire is, and comes to
 * the same. COORD_REFUSED: the election has another policy, or the label may not lead. */
enum coord_code coord_election_campaign(struct coord_client *client,
                                        const struct coord_candidate *candidate,
                                        struct coord_lock **leadership,
                                        struct coord_error *error);
enum coord_code coord_election_campaign_async(struct coord_client *client,
                                              const struct coord_candidate *candidate,
                                              coord_done_fn done, void *context,
                                              struct coord_call **call,
                                              struct coord_error *error);
/* The leader says something else of itself; the epoch stays. COORD_NOT_FOUND: it does not lead. */
enum coord_code coord_election_proclaim(struct coord_lock *leadership, const char *value,
                                        struct coord_error *error);
/* The leader goes, and the candidate of this name leads, whatever the order. By the leader's
 * session, or with the right admin. COORD_NOT_FOUND: there is no such candidate. */
enum coord_code coord_election_hand_over(struct coord_client *client, const char *path,
                                         const char *to, struct coord_error *error);

struct coord_leader {
    struct coord_grant grant;
    const char *name;
    const char *value;
    const char *note;
    const char *label;
    uint64_t lease;
    uint64_t number;
    uint64_t since_ms; /* wall clock: leads since then */
    uint32_t priority;
    void *memory; /* private: what it points to */
};
/* COORD_NOT_FOUND: nobody leads. Free with coord_leader_clear. */
enum coord_code coord_election_leader(struct coord_client *client, const char *path,
                                      struct coord_leader *leader, struct coord_error *error);
void coord_leader_clear(struct coord_leader *leader);

/* ---- epochs ----------------------------------------------------------------------------- */

/* For resources outside the cluster, which take writes from holders of locks: remembers the
 * highest epoch seen of each lock, and refuses what comes with a lower one. It needs no client
 * and no cluster. Check where the resource is changed, inside of what makes changes one at a
 * time. */
struct coord_epochs;

/* `file`: where they are kept, made if it is not there, replaced as a whole and synced with each
 * higher epoch, shared by processes (a lock on FILE.lock, held within coord_epoch_check only).
 * NULL: in memory. COORD_INVALID: it cannot be read, or is something else. */
enum coord_code coord_epochs_open(const char *file, struct coord_epochs **epochs,
                                  struct coord_error *error);
/* COORD_OK: none higher was seen of this lock (a name of at most 4096 bytes), and this one is kept.
 * COORD_GUARD_STALE: somebody has held it since. COORD_INTERNAL: it cannot be kept, so do not
 * write.
 */
enum coord_code coord_epoch_check(struct coord_epochs *epochs, const char *lock, uint64_t epoch,
                                  struct coord_error *error);
void coord_epochs_close(struct coord_epochs *epochs); /* NULL is fine */

/* ---- backup ----------------------------------------------------------------------------- */

struct coord_snapshot_file {
    uint64_t cluster_id;
    uint64_t bytes;
    uint64_t index;    /* log position that the file holds */
    uint64_t revision; /* of the store then */
    uint64_t digest;   /* of the whole state then */
    char sha256[65];   /* of the file, hexadecimal; "" until it is complete */
    char member[64];   /* whose file it is */
};

/* Where the file goes. False from any of them gives it up: COORD_INVALID. */
struct coord_snapshot_sink {
    /* It begins. Called again, what came until then is void: the member that was sending it has
     * failed, and another one sends its own. */
    bool (*begin)(void *context, const struct coord_snapshot_file *file);
    bool (*data)(void *context, const void *data, size_t bytes);
    /* Nothing has come for a quarter of a second, as while the member writes the file. May be
     * NULL. */
    bool (*idle)(void *context);
    void *context;
};

/* The whole state of the member spoken to as a SQLite file: as of this call or later, and with
 * COORD_LOCAL whatever that member has. Tries each endpoint once. On COORD_OK all of it has come,
 * and its SHA-256 is right; `file` (may be NULL) says what it is. Takes as long as it takes; a
 * member is given up when nothing has come for a minute. */
enum coord_code coord_snapshot_save(struct coord_client *client,
                                    const struct coord_snapshot_sink *sink,
                                    struct coord_snapshot_file *file,
                                    struct coord_error *error);
/* `sink` is copied; it is called from the loop. It is given up by its sink, or with the client. */
enum coord_code coord_snapshot_save_async(struct coord_client *client,
                                          const struct coord_snapshot_sink *sink,
                                          coord_done_fn done, void *context,
                                          struct coord_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
