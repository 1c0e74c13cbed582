/* What is granted to one who asks for it, and held: locks and leadership; and the epochs by which
 * resources outside the cluster know who holds a lock. Part of libcoord; see client.h, which
 * includes it, for what holds for all of it, and docs/recipes.md for what is guaranteed.
 *
 * Beside it: locks.h and elections.h for those who look on, barriers.h for parties. */
#ifndef CLIENT_GRANTS_H
#define CLIENT_GRANTS_H

#include "nodes.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

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

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
