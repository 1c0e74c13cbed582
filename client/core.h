/* The client itself: how it is opened, in which loop it lives, what its calls come to. Part of
 * libcoord; see client.h, which includes it, for what holds for all of it. */
#ifndef CLIENT_CORE_H
#define CLIENT_CORE_H

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
/* From now on the client shows this name and password with all it asks, beside what the options say
 * of who it is: for nodes whose access control list names a digest of ZooKeeper's, as addAuth with
 * the scheme "digest" does there. At most 8, "name:password" of at most 1024 bytes each, without
 * control characters, and no colon in the name; the same once more changes nothing. They go over
 * the network as they are: use TLS. A watch or another stream that is open shows it once it is
 * taken up again. COORD_INVALID, COORD_LIMITED. */
enum coord_code coord_add_digest(struct coord_client *client, const char *name,
                                 const char *password, struct coord_error *error);
/* Calls under way are told COORD_CANCELED. From inside a callback it takes effect when that has
 * returned. A call that waited meanwhile then ends at once, with COORD_CANCELED unless it has come
 * to something already, and the client is gone when it returns. NULL is fine. */
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
 * with it. COORD_CANCELED: a callback has closed the client. */
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

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
