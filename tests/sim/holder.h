/* Holders of sessions and leases: they open one, keep it alive by a stream, attach ephemeral
 * nodes, resume it elsewhere, hand it to another machine, close it, or fall silent; and then
 * begin anew. Clients of the same station write in the name of the session
 * (holder_sequence_take).
 *
 * What a holder was told is judged here, together with what the oracle saw:
 *
 *   - within 0.8 of the TTL after sending the last keepalive that was confirmed, by the client's
 *     own clock, nobody sees the session expired (unless a node's clock jumped)
 *   - no session expires before its TTL has passed since that keepalive was sent, by the clock
 *     and within the time of one leader: jumps or not
 *   - it ends with a reason that fits: closed only if its owner asked for that, else expired
 *   - "it does not exist" is said only once it is gone, and then for ever; wrong credentials
 *     are told as such and change nothing
 *   - a numbered write repeated after its answer is answered the same, and not executed again;
 *     one at or below what the client has the answers of is refused by name
 */
#ifndef TESTS_SIM_HOLDER_H
#define TESTS_SIM_HOLDER_H

#include "tests/sim/oracle.h"
#include "tests/sim/station.h"

#define HOLDERS_MAX         4
#define HOLDER_PENDING_MAX  16
#define HOLDER_SECRET_BYTES 16

struct holders;

/* When something was sent that proved the client alive, by all the clocks that matter. */
struct proof {
    uint64_t at_us; /* world */
    uint64_t ages_us[CLUSTER_NODES_MAX];
    uint64_t trusted_until_us; /* by the clock of `station` */
    const struct station *station;
    bool is_wrong; /* sent with credentials that are not right */
};

/* One session or lease, for as long as the run: what its owner knows of it. */
struct tenancy {
    uint64_t id;
    uint8_t secret[HOLDER_SECRET_BYTES];
    uint64_t ttl_ms;
    uint64_t generation;
    bool is_lease;
    bool is_close_sent;
    bool is_close_told; /* acknowledged */
    uint64_t gone_us;   /* told to the owner; 0: not yet */
    struct proof proof; /* of the last confirmation */
};

enum holder_state { HOLDER_NONE, HOLDER_OPENING, HOLDER_OPEN, HOLDER_SILENT, HOLDER_CLOSING };

enum holder_act { ACT_NONE, ACT_OPEN, ACT_RESUME, ACT_CLOSE, ACT_WRONG_SECRET };

enum holder_job {
    JOB_NONE,
    JOB_EPHEMERAL,
    JOB_AGAIN,  /* the same request once more after its answer */
    JOB_PROBE,  /* a sequence number that must be refused */
    JOB_DELETE, /* an ephemeral of its own */
    JOB_PAST,   /* not a write: a node as it was */
    JOB_ORPHAN, /* a container, a TTL node, or a child of one */
    JOB_REGISTER, /* an instance of a service, in the place of one of its own */
    JOB_DRAIN,
    JOB_DISCOVER, /* not a write: the instances of all */
};

struct holder {
    struct holders *all;
    uint32_t number;
    struct station *stations[2]; /* where it is, and who may take over */
    uint8_t state;               /* enum holder_state */
    size_t tenancy;              /* place in all->tenancies, while not NONE */
    bool makes_leases;
    uint64_t silent_until_us; /* by its clock */
    /* keepalives: a stream, and what waits for its reply, in order */
    struct remote_call stream;
    struct proof pending[HOLDER_PENDING_MAX];
    uint32_t pending_count;
    bool wants_resume; /* before the next stream */
    /* Open, Resume, Close and their like */
    struct remote_call main;
    uint8_t act; /* enum holder_act */
    struct proof asked;
    /* a write of its own */
    struct remote_call work;
    uint8_t job; /* enum holder_job */
    uint64_t sequence;
    uint64_t job_answered_to;
    const char *work_path;
    struct buf request;
    char path[40];
    char made[64]; /* what the store made of it */
    uint64_t job_tenancy;
    uint32_t made_count;
    uint64_t past_revision;
    /* numbered writes */
    uint64_t next_sequence;
    uint64_t open_sequences[HOLDER_PENDING_MAX];
    uint32_t open_count;
    uint64_t acked_floor; /* carried by a write that was answered */
    struct world_event tick;
    struct world_event expiry; /* when the leader is about to act */
};

struct holders {
    struct cluster *cluster;
    struct oracle *oracle;
    struct holder items[HOLDERS_MAX];
    uint32_t count;
    struct tenancy *tenancies;
    size_t tenancy_count;
    bool is_ending;
    bool is_told;        /* what to do, by a story */
    uint64_t kept_alive; /* confirmations */
    uint64_t resumed;
    uint64_t closed;
    uint64_t repeated;
    uint64_t recalled; /* nodes as they were */
    uint64_t registered;
    uint64_t discovered; /* instances, in lists */
    uint64_t refused;  /* wrong credentials, spent numbers */
};

void holders_init(struct holders *h, struct cluster *c, struct oracle *o);
struct holder *holders_add(struct holders *h, struct station *here, struct station *other);
void holders_start(struct holders *h);
/* Everybody falls silent: what is open is left to expire. */
void holders_end(struct holders *h);
bool holders_are_idle(const struct holders *h);
void holders_close(struct holders *h);

/* How many sessions were ever opened, for progress. */
static inline size_t holder_openings(const struct holders *h)
{
    return h->tenancy_count;
}

/* For writes of others in the name of the holder's session: its id and a fresh number, or
 * false. */
bool holder_sequence_take(struct holder *h, uint64_t *session, uint64_t *sequence,
                          uint64_t *answered_to);
/* The session that is open now, 0: none. */
uint64_t holder_session(const struct holder *h);
/* The write has its answer, or nobody waits for it any more. */
void holder_sequence_done(struct holder *h, uint64_t session, uint64_t sequence);
/* Somebody was told that a session does not exist. Fails unless it is gone. */
void holders_told_gone(struct holders *h, uint64_t session);

#endif
