/* Clients with locks: each opens a session, asks for a lock, a semaphore, two locks at once or to
 * lead an election, and writes to what that protects, guarded by its grant. Then it releases,
 * closes its session, or sleeps: its machine is paused, or it falls silent, often for longer than
 * its session lives, and when it wakes it writes as if nothing had happened.
 *
 * Each has a machine of its own. What it is told is judged by tests/sim/lock_judge.h, and here:
 *
 *   - a guarded write that was begun once the session was gone, or the grant released, is refused
 *   - "it does not exist" is said of a session only once it is gone
 *   - no call is refused for a reason that it did not give
 *
 *   NONE -> OPENING -> READY -> ASKING -> HOLDING -> RELEASING -> READY
 *                                            |  ^        |
 *                                            v  |        v
 *                                         ASLEEP/WAKING (its last write) -> READY or NONE
 */
#ifndef TESTS_SIM_LOCKER_H
#define TESTS_SIM_LOCKER_H

#include "coord/v1/lock.pb-c.h"
#include "tests/sim/lock_judge.h"
#include "tests/sim/station.h"

#define LOCKERS_MAX         4
#define LOCKER_TARGETS_MAX  2
#define LOCKER_SECRET_BYTES 16

struct lockers;

enum locker_state {
    LOCKER_NONE,
    LOCKER_OPENING,
    LOCKER_READY,
    LOCKER_ASKING,
    LOCKER_HOLDING,
    LOCKER_ASLEEP,
    LOCKER_WAKING, /* what it held may be gone: one write more */
    LOCKER_RELEASING,
    LOCKER_CLOSING,
};

/* What it asks for. */
struct locker_wish {
    enum lock_name locks[LOCKER_TARGETS_MAX];
    uint32_t count;
    Coord__V1__LockMode mode;
    bool no_wait;
    uint64_t wait_ms;
    uint64_t hold_ms;
    uint64_t sequence; /* 0: it cannot be repeated */
};

struct locker_grant {
    char path[LOCK_PATH_BYTES];
    enum lock_name lock;
    uint64_t revision;
    uint64_t epoch;
};

/* A guarded write that has no certain answer yet. */
struct locker_write {
    uint64_t number; /* of the judge; 0: there is none */
    struct locker_grant grant;
    uint64_t id[3]; /* of the request: may be repeated; 0: not */
    bool is_after_expiry; /* the session was gone when it began */
    bool is_after_release;
};

struct locker {
    struct lockers *all;
    uint32_t number;
    struct station station;
    uint8_t state; /* enum locker_state */
    uint64_t session;
    uint8_t secret[LOCKER_SECRET_BYTES];
    uint64_t ttl_ms;
    uint64_t next_sequence;
    uint64_t touched_us; /* by its clock */
    uint64_t asleep_until_us;
    uint32_t asked_node; /* by `main` */
    struct locker_wish wish;
    struct locker_grant grants[LOCKER_TARGETS_MAX];
    uint32_t grant_count;
    uint32_t writes_left;
    bool was_released;
    bool is_haunted; /* something that it asked for may be there, that it knows nothing of */
    struct locker_write write;
    uint64_t release_sequence;
    uint64_t cycles; /* how often it was answered */
    struct remote_call main;
    struct remote_call work;
    struct remote_call touch;
    struct world_event tick;
};

struct lockers {
    struct cluster *cluster;
    struct oracle *oracle;
    struct lock_judge judge;
    struct locker items[LOCKERS_MAX];
    uint32_t count;
    bool is_ending;
    uint64_t held;     /* grants that clients were told of */
    uint64_t led;      /* of these elections won */
    uint64_t written;  /* guarded writes acknowledged */
    uint64_t stale;    /* refused, since the grant was gone */
    uint64_t fenced;   /* of these begun after the expiry of the session */
    uint64_t released; /* of these begun after a release */
};

void lockers_init(struct lockers *all, struct cluster *c, struct oracle *o);
/* Adds one, with its machine. */
struct locker *lockers_add(struct lockers *all);
void lockers_start(struct lockers *all);
/* Everybody falls silent: sessions are left to expire. */
void lockers_end(struct lockers *all);
bool lockers_are_idle(const struct lockers *all);
void lockers_close(struct lockers *all);

/* ---- locker_calls.c, for locker.c --------------------------------------------------------- */

void locker_tick_in(struct locker *l, uint64_t us);
void locker_open(struct locker *l);
void locker_ask(struct locker *l);
void locker_release(struct locker *l);
void locker_close_session(struct locker *l);
/* A read in the name of the session, which keeps it alive. */
void locker_touch(struct locker *l);
/* Begins a write guarded by its grant `i`, or repeats the one without an answer. */
void locker_write(struct locker *l, uint32_t i);
void locker_main_ended(struct remote_call *call, const struct remote_answer *a);
void locker_work_ended(struct remote_call *call, const struct remote_answer *a);
void locker_touch_ended(struct remote_call *call, const struct remote_answer *a);
bool locker_session_is_gone(const struct locker *l);

static inline struct world *locker_world(const struct locker *l)
{
    return &l->all->cluster->world;
}

#endif
