/* Locks that a client holds (client/client.h has the API).
 *
 *   coord_lock_acquire --> SAFE <--> UNSAFE      as its session, if that is followed
 *                            +----------+--> LOST  its session ended, its entry went, released
 *
 * What becomes of it is told from a timer of its own, so that whoever is told may free it,
 * or any other lock. Of a lease, which the client does not watch over, only the entry's end
 * is known. */
#ifndef CLIENT_LOCK_H
#define CLIENT_LOCK_H

#include "base/list.h"
#include "client/client.h"
#include "client/loop.h"
#include "coord/v1/lock.pb-c.h"

/* What its entry is. */
enum lock_use {
    LOCK_HOLDS = 0,
    LOCK_LEADS,  /* a candidate */
    LOCK_INSIDE, /* a party of a barrier */
};

struct coord_lock {
    struct list link; /* the client's */
    struct coord_client *client;
    uint64_t session; /* whose it is; 0: of a lease */
    enum lock_use use;
    struct coord_grant *grants;
    size_t count;
    enum coord_lock_state state;
    struct coord_error why; /* of UNSAFE, LOST */
    /* it tells its owner */
    coord_lock_fn changed; /* NULL: it does not */
    void *context;
    enum coord_lock_state told;
    char *asked_by; /* to be told; NULL: nothing */
    char *asked_why;
    struct lock_watch *watches; /* of each grant's entry; NULL: none */
    struct loop_timer timer;
};

/* The session of this id has become so. */
void locks_session_changed(struct coord_client *client, uint64_t session,
                           enum coord_session_state state, const struct coord_error *why);

/* ---- lock.c */
/* One that is held by `session`; takes over `grants`, freed if there is no memory: NULL then. */
struct coord_lock *lock_new(struct coord_client *client, uint64_t session,
                            struct coord_grant *grants, size_t count);
void lock_free_grants(struct coord_grant *grants, size_t count);
/* LOST by its owner's will, who is not told. */
void lock_give_up(struct coord_lock *lock);

/* ---- lock_entries.c */
/* Points into `from`. */
struct coord_lock_entry lock_entry_of(const Coord__V1__LockEntry *from);

/* ---- locks.c */
/* Out of a LockDeadlock, which is taken over by setting `*m` to NULL. False: no memory. */
struct coord_deadlock;
bool deadlock_take(ProtobufCMessage **m, struct coord_deadlock *deadlock);

/* ---- lock_follow.c */
/* It has become so, and is told soon. Nothing comes after LOST. */
void lock_become(struct coord_lock *lock, enum coord_lock_state state,
                 const struct coord_error *why);
void lock_unfollow(struct coord_lock *lock);

#endif
