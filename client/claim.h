/* A claim: a request for an entry of one's own in a queue, a lock's, an election's or a barrier's,
 * until it is answered; and the struct coord_lock that is made of what was granted.
 *
 *   claim_start --> waits in the queue --> granted: a coord_lock, told
 *                                    +--> failed: told why
 *
 * The session it is of is kept alive meanwhile. What is granted and finds no memory is given back,
 * so that nobody holds what he does not know of. Another kind of queue: a value of enum lock_use,
 * and a line in each table of claim.c. */
#ifndef CLIENT_CLAIM_H
#define CLIENT_CLAIM_H

#include "client/call.h"
#include "client/lock.h"
#include "coord/v1/barrier.pb-c.h"
#include "coord/v1/election.pb-c.h"

#define CLAIM_ENTRIES_MAX 64 /* of one request: the parts of a multi-lock */

struct claim_options {
    enum lock_use use;
    uint64_t lease;                  /* whose it is; 0: the client's session */
    const char *note;                /* NULL: the client's; borrowed */
    struct coord_deadlock *deadlock; /* where one goes; NULL: to `done` alone */
    coord_done_fn done;              /* gets the lock; NULL: nobody does, and it is freed */
    void *context;
};

/* Begins it. COORD_INVALID: there is neither a session nor a lease. `call` may be NULL. */
enum coord_code claim_start(struct coord_client *client, const struct claim_options *options,
                            ProtobufCMessage *request, struct coord_call **call,
                            struct coord_error *error);

/* Room for the request that gives entries up, whatever their queue is. */
struct claim_return {
    union {
        Coord__V1__LockReleaseRequest release;
        Coord__V1__ElectionResignRequest resign;
        Coord__V1__BarrierLeaveRequest withdraw;
    } as;
    enum client_method method;
    ProtobufCMessage *request; /* points into `as` */
};
/* Borrows the `grants`: one, but for a lock. */
void claim_return_fill(struct claim_return *r, enum lock_use use, Coord__V1__LockGrant **grants,
                       size_t count);

#endif
