/* The replicated node: THE interface of the front ends and of the daemon.
 *
 * Shaped as messages: a request goes in, a completion comes out, exactly once, on the loop,
 * never from inside the call that made it. Requests are the caller's memory, pinned until
 * completion. Knows nothing of sockets, HTTP or ZooKeeper; knows no clock but the env's.
 *
 * One loop turn: I/O callbacks and front ends call node_write / node_read; then the daemon
 * calls node_turn once, which batches, proposes, writes, sends and completes; it sleeps until
 * the next I/O or node_next_deadline_ms.
 */
#ifndef RAFT_NODE_H
#define RAFT_NODE_H

#include "base/env.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/command.h"
#include "store/query.h"
#include "store/reply.h"

#define NODE_MEMBERS_MAX       16
#define NODE_NAME_BYTES_MAX    64
#define NODE_ADDRESS_BYTES_MAX 280
#define NODE_WRITES_MAX        65536              /* in flight through one node */
#define NODE_TTLS_MAX          1024               /* questions for the time a lease has left */
#define NODE_WRITES_BYTES_MAX  ((size_t)64 << 20) /* their commands */

struct node;

/* ---- start and stop ---------------------------------------------------------------------- */

struct node_member {
    char name[NODE_NAME_BYTES_MAX];
    char host[256];
    uint16_t port; /* of peers */
};

struct node_options {
    struct env *env;
    struct env
        *peer_env; /* of the connections to other members, if those are encrypted; NULL: env */
    struct log *log;
    struct metrics *metrics; /* may be NULL */
    const char *data_dir;
    const char *name;
    const char *peer_host; /* to listen on; NULL with a single node: no peer port is opened */
    uint16_t peer_port;
    const char *client_address; /* where clients reach this node, told to the other members */
    /* The first members, this one included; 0 = a single node. Only looked at when the data
     * dir is empty; later the log knows. */
    const struct node_member *members;
    size_t member_count;
    /* Members of a running cluster, any of which this node asks to be added (names are of no
     * matter); only looked at when the data dir is empty. Not together with first members. */
    const struct node_member *join;
    size_t join_count;
    bool learner; /* joining: stays a standby */
    /* Where the other members reach this one's peer port; NULL, 0: as peer_host and peer_port. */
    const char *peer_address_host;
    uint16_t peer_address_port;
    uint32_t election_timeout_ms; /* 0 = default */
    uint32_t heartbeat_ms;        /* 0 = default */
    size_t wal_segment_bytes;     /* 0 = default */
    size_t snapshot_log_bytes;    /* take a snapshot after so much log; 0 = default */
    size_t trailing_log_bytes;    /* kept behind a snapshot for slow followers; 0 = default */
    size_t batch_bytes;           /* of one entry; 0 = default */
    size_t forwarded_bytes_max;   /* of other members' writes that wait here; 0 = default */
    uint32_t seed;                /* election jitter; 0 = from the env's randomness */
    /* The node had to stop: failed disk, divergence, removal. The daemon logs `why` and
     * exits. */
    void (*fatal)(void *context, enum status rc, const char *why);
    void *context;
};

/* Opens the data dir (lock, identity, log, snapshot), listens to peers, starts. Blocks while
 * it recovers. RC_LOCKED, RC_INVALID (another cluster's or node's dir), RC_CORRUPT,
 * RC_UNSUPPORTED, RC_IO, RC_NO_SPACE; `err` tells the story. */
enum status node_open(const struct node_options *options, struct node **out,
                      struct errmsg *err) MUST_USE;

/* Begins a graceful stop: hands leadership over, lets what is in flight finish (or time
 * out), then calls `stopped`; new requests get RC_STOPPED at once. */
void node_stop(struct node *n, void (*stopped)(void *context), void *context);

/* Frees everything; pending requests complete with RC_STOPPED first. */
void node_close(struct node *n);

void node_turn(struct node *n);

/* While `wait`, turns do not tell other members how far is committed, which wakes them: this
 * member's own clients get their replies first. A turn without it must follow. */
void node_put_off_notices(struct node *n, bool wait);
uint64_t node_next_deadline_ms(const struct node *n);

/* ---- writes ------------------------------------------------------------------------------ */

struct node_write;

/* RC_OK: `reply` is valid until return. Else `reply` is NULL:
 *   RC_UNKNOWN      leadership was lost or the node stopped; it may still commit. Retry only with
 *                   the same session and sequence, or the same request id.
 *   RC_TIMEOUT      the deadline passed; as unknown as RC_UNKNOWN.
 *   RC_NO_LEADER    not proposed: no leader within the deadline.
 *   RC_NO_SPACE     not proposed: the leader's disk is full.
 *   RC_OVERLOADED   not proposed: the leader has too much in flight.
 *   RC_STOPPED      not proposed: this node is shutting down, or must not serve. */
typedef void (*node_write_fn)(struct node_write *w, enum status rc, const struct reply *reply);

struct node_write {
    node_write_fn done;
    void *owner;
    /* private */
    struct list link;
    uint64_t counter;
    uint64_t deadline_ms;
    struct slice command; /* encoded, owned */
    uint8_t state;
    bool repeatable; /* deduplicated: what is not remembered, nor forgotten, was not executed */
    bool may_be_sent; /* queued again, but an earlier sending may have arrived */
};

/* Proposes a command, on any member. `c` (checked by command_check) is borrowed until return.
 * `deadline_ms` is env time. Errors now, without completion: RC_OVERLOADED, RC_STOPPED. */
enum status node_write(struct node *n, struct node_write *w, const struct command *c,
                       uint64_t deadline_ms) MUST_USE;

/* Forgets a write whose client has gone: no completion follows; it may still commit. */
void node_write_cancel(struct node *n, struct node_write *w);

/* ---- reads ------------------------------------------------------------------------------- */

enum consistency {
    READ_LINEARIZABLE = 0, /* confirmed with a majority after the read arrived */
    READ_SESSION = 1,      /* not before `min_index` */
    READ_BOUNDED = 2,      /* RC_STALE unless provably younger than `bound_ms` */
    READ_LOCAL = 3,        /* what this node has */
};

struct node_read;

/* RC_OK: `result` (NULL for a barrier) is valid until return. Else RC_TIMEOUT, RC_NO_LEADER,
 * RC_STALE (node_age_ms says how old what is here may be), RC_STOPPED. */
typedef void (*node_read_fn)(struct node_read *r, enum status rc,
                             const struct query_result *result);

struct node_read {
    node_read_fn done;
    void *owner;
    uint8_t consistency; /* enum consistency */
    bool is_barrier;     /* no query: completes when this node is as fresh as asked (sync) */
    uint64_t min_index;  /* READ_SESSION */
    uint64_t bound_ms;   /* READ_BOUNDED */
    struct query query;  /* its slices are the caller's, pinned until completion */
    /* LINEARIZABLE: a lease that is touched by this read, 0 = none. RC_OK then says that a leader
     * whose leadership was confirmed after this read arrived has renewed it, if it is there: that
     * is what a keepalive is (with is_barrier). Whether it is there is read from the store. */
    uint64_t touch;
    /* private */
    struct list link;
    uint64_t deadline_ms;
    uint64_t wait_index;
};

/* Errors now, without completion: RC_STOPPED; RC_OVERLOADED: too many different leases are
 * touched. */
enum status node_read(struct node *n, struct node_read *r, uint64_t deadline_ms) MUST_USE;
void node_read_cancel(struct node *n, struct node_read *r);

/* How old this node's state can be at most, by what was last proved; UINT64_MAX: not known. */
uint64_t node_age_ms(const struct node *n);

/* ---- leases and watches ------------------------------------------------------------------ */

/* The client of this lease or session is alive: passed to the leader within 100 ms, with others.
 * Confirms nothing to anybody. For every request of a session, reads too. Cheap. */
void node_touch(struct node *n, uint64_t lease);

struct node_ttl;

/* RC_OK: `found` and `remaining_ms` by the leader's keeper. Else RC_TIMEOUT, RC_NO_LEADER,
 * RC_STOPPED. */
typedef void (*node_ttl_fn)(struct node_ttl *t, enum status rc, bool found,
                            uint64_t remaining_ms);

/* Asks the leader how long a lease has to live. The caller's memory, pinned until completion. */
struct node_ttl {
    node_ttl_fn done;
    void *owner;
    uint64_t lease;
    /* private */
    struct list link;
    uint64_t token;
    uint64_t deadline_ms;
};

/* Errors now, without completion: RC_STOPPED; RC_OVERLOADED beyond NODE_TTLS_MAX. */
enum status node_ttl(struct node *n, struct node_ttl *t, uint64_t deadline_ms) MUST_USE;
void node_ttl_cancel(struct node *n, struct node_ttl *t);

/* The watches of this node (watch/watch.h): changes are dispatched as entries are applied. */
struct watch_hub *node_watches(struct node *n);

/* ---- notes ------------------------------------------------------------------------------- */

#define NODE_NOTE_BYTES_MAX ((size_t)256 << 10)

/* A note of another member; borrowed until return. May send notes. */
typedef void (*node_note_fn)(void *context, uint64_t from, struct slice note);

/* Who is told of notes that arrive; one, or NULL. */
void node_on_notes(struct node *n, node_note_fn got, void *context);
/* Sends a note to a member, besides the log: not kept, not repeated, in no order with anything.
 * False: it cannot be sent, as the member is not connected or its build knows no notes. True: it
 * may be lost even so. */
bool node_send_note(struct node *n, uint64_t to, struct slice note);
/* 0: not known. */
uint64_t node_leader_id(const struct node *n);

/* ---- copies of the state ----------------------------------------------------------------- */

struct node_export;

/* RC_OK: `e->file` and `e->path` are there, until node_export_end, which the caller owes in any
 * case. Else RC_TIMEOUT, RC_STOPPED, RC_NO_SPACE, RC_IO: the snapshot could not be written. */
typedef void (*node_export_fn)(struct node_export *e, enum status rc);
/* RC_OK: the next bytes, borrowed until return; none at the end, with the SHA-256 of the whole
 * file (32 bytes; NULL before). */
typedef void (*node_export_data_fn)(struct node_export *e, enum status rc, struct slice data,
                                    const uint8_t *sha256);

struct node_export_file {
    uint64_t index;
    uint64_t term;
    uint64_t revision;
    uint64_t digest;
    uint64_t bytes;
};

/* The state of this member as a file: one of its snapshots (docs/formats.md), taken anew unless
 * there is one that is as fresh as asked. It is not deleted as long as somebody has it, so a slow
 * reader costs disk and nothing else. The caller's memory, pinned until node_export_end. */
struct node_export {
    node_export_fn ready;
    void *owner;
    struct node_export_file file;
    const char *path;
    /* private */
    struct list link;
    struct node *node;
    struct snapshot_hold *hold;
    uint64_t min_index;
    uint64_t deadline_ms;
    node_export_data_fn got;
};

/* Asks for the state as of now, or later. RC_STOPPED: this node does not serve; nothing begun. */
enum status node_export_begin(struct node *n, struct node_export *e,
                              uint64_t deadline_ms) MUST_USE;
/* Reads at most `bytes` (<= 256 KiB) of it, from its beginning on, off the loop; one at a time. */
void node_export_read(struct node_export *e, size_t bytes, node_export_data_fn got);
/* Lets go of it, however far it is. No callback follows. Also twice, and if it was not begun. */
void node_export_end(struct node_export *e);

/* ---- members ----------------------------------------------------------------------------- */

#define NODE_CHANGES_MAX     64 /* in flight through one node */
#define NODE_TEXT_BYTES_MAX  512

struct node_change;

/* RC_OK: `verdict` is MEMBER_DONE, MEMBER_REFUSED or MEMBER_UNKNOWN (raft/message.h), `text` says
 * more; `already`: nothing was left to do. RC_TIMEOUT: it goes on (or has not begun), and `text`
 * says what it waits for. RC_NO_LEADER, RC_STOPPED. `text` is never NULL, and valid until
 * return. */
typedef void (*node_change_fn)(struct node_change *c, enum status rc, uint8_t verdict,
                               bool already, const char *text);

/* A change of the members, by name (or by id in 16 hexadecimal digits), through any of them. The
 * caller's memory, pinned until completion. Asking again for what is done already does no harm. */
struct node_change {
    node_change_fn done;
    void *owner;
    uint8_t kind; /* enum member_request (raft/message.h), not MEMBER_JOIN */
    bool learner; /* MEMBER_ADD, MEMBER_REPLACE: it stays a standby */
    char name[NODE_NAME_BYTES_MAX]; /* MEMBER_TRANSFER: "" = whoever is best */
    char address[NODE_ADDRESS_BYTES_MAX]; /* ADD, REPLACE: "host:port" of its peers, or "" */
    /* private */
    struct list link;
    uint64_t token;
    uint64_t deadline_ms;
    uint64_t first_asked; /* who led when it was asked first */
    bool has_begun;       /* it was under way when last asked */
    char text[NODE_TEXT_BYTES_MAX];
};

/* A process that belongs to no cluster asks to join this one; `answer` is filled in, its slices are
 * borrowed until the next call. */
struct message_member_ask;
struct message;
void node_guest(struct node *n, const struct message_member_ask *question,
                struct message *answer);

/* Errors now, without completion: RC_STOPPED; RC_OVERLOADED beyond NODE_CHANGES_MAX. */
enum status node_change(struct node *n, struct node_change *c, uint64_t deadline_ms) MUST_USE;
void node_change_cancel(struct node *n, struct node_change *c);

/* ---- for the copies that the daemon makes ------------------------------------------------ */

/* Committed and applied entries, for an archive of the log. An index below the first is not in
 * memory any more, one above the last not yet applied. */
struct wal_entry;
struct node_entries {
    uint64_t first;
    uint64_t last; /* first - 1: there is none */
};
struct node_entries node_entries(const struct node *n);
/* Entries from this index on are still to be read: they stay in memory, at most until a snapshot
 * lets go of them. UINT64_MAX: none. */
void node_retain_entries(struct node *n, uint64_t from);
/* `out` is valid until the next turn. RC_NOT_FOUND: not among those. */
enum status node_entry(const struct node *n, uint64_t index, struct wal_entry *out) MUST_USE;

/* What the daemon's backups come to, for node_status. */
struct node_backup {
    bool is_on;
    uint64_t wall_ms; /* of the last that succeeded; 0 = none yet */
    uint64_t revision;
    uint64_t failures;
    char problem[200]; /* why the last one failed; "" if it did not */
};
void node_set_backup(struct node *n, const struct node_backup *backup);

/* ---- what there is to know --------------------------------------------------------------- */

enum member_role { MEMBER_VOTER = 1, MEMBER_STANDBY = 2, MEMBER_SPARE = 3 };

struct node_member_status {
    uint64_t id;
    char name[NODE_NAME_BYTES_MAX];
    char peer_address[NODE_ADDRESS_BYTES_MAX];
    char client_address[NODE_ADDRESS_BYTES_MAX]; /* "" if never heard */
    uint8_t role;                                /* enum member_role */
    bool is_leader;
    bool is_self;
    bool is_up;           /* connected to this node (itself: true) */
    bool is_learner;      /* a standby that stays one */
    bool is_leaving;      /* to be removed as soon as that is safe */
    char waits_for[128];  /* what its change waits for, as the leader sees it; "" elsewhere */
    uint64_t match_index; /* leader only, else 0 */
};

struct node_status {
    uint64_t cluster_id;
    uint64_t node_id;
    const char *name;
    const char *state;        /* "leader", "follower", "candidate", "standby", "joining",
                               * "waiting", "removed", "refused" */
    const char *state_reason; /* why it does not serve, "" if it does */
    uint64_t term;
    uint64_t leader_id; /* 0 = unknown */
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t last_index;
    uint64_t revision;
    uint64_t digest;
    uint64_t node_count;
    uint64_t cluster_ms;
    uint64_t log_bytes;
    uint64_t cached_bytes; /* of the log in memory */
    uint64_t history_bytes;
    uint64_t snapshot_index;
    uint64_t snapshot_bytes;
    uint64_t state_bytes;
    uint32_t quotas;      /* of subtrees (store/quota.h) */
    uint32_t quotas_soft; /* of these: the soft percentage is reached, and no bound */
    uint32_t quotas_full; /* a bound is reached */
    uint64_t leading_ms; /* since this node began to propose; 0 = it does not lead */
    /* Bytes of the log entries that this node proposed: the last, the least, the most. */
    uint64_t proposal_bytes;
    uint64_t proposal_bytes_min;
    uint64_t proposal_bytes_max; /* 0 = none yet */
    uint32_t feature_level;       /* replicated */
    uint32_t feature_level_known; /* by this build */
    bool serving; /* as node_is_serving */
    bool disk_is_short;
    struct node_backup backup;
    size_t member_count;
    struct node_member_status members[NODE_MEMBERS_MAX];
};

void node_status(const struct node *n, struct node_status *out);

/* The feature level that all members know, as far as this one has heard since its start: to what
 * an upgrade may be finished (COMMAND_LEVEL); 0: one was not heard yet. `who` gets the name of a
 * member that knows no more. */
uint32_t node_level_of_all(const struct node *n, char who[NODE_NAME_BYTES_MAX]);

/* Cheap parts of it, for every reply's header. */
uint64_t node_id(const struct node *n);
uint64_t node_cluster_id(const struct node *n);
uint64_t node_term(const struct node *n);
const char *node_name(const struct node *n);
/* In this start it has applied what a leader, confirmed meanwhile, knew as committed. Before that
 * its state says nothing of who may do what: authentication may have been enabled since. It asks by
 * itself as soon as there is a leader, and what was once so stays so. */
bool node_is_caught_up(const struct node *n);
/* Knows a leader, is caught up, and may answer linearizable reads. */
bool node_is_serving(const struct node *n);
bool node_is_leading(const struct node *n); /* and may propose */
/* It will not serve any more in this process: it was removed, or its data was lost. */
bool node_has_refused(const struct node *n);
/* cluster_ms by this node's reckoning: last applied value plus monotonic time since. */
uint64_t node_cluster_ms(const struct node *n);

/* Read-only sight of the state, for metrics and tests. Never NULL. */
const struct store *node_store(const struct node *n);

#endif
