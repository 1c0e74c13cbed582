/* Acquiring, and what is held: grants, guards, extending, releasing. */
#include "client/lock.h"

#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/guard_list.h"
#include "client/locks.h"
#include "coord/v1/barrier.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/lock.pb-c.h"

#define TARGETS_MAX 64 /* of one request */

/* ---- what is held ------------------------------------------------------------------------ */

void lock_free_grants(struct coord_grant *grants, size_t count)
{
    for (size_t i = 0; grants != NULL && i < count; i++) {
        free((char *)(uintptr_t)grants[i].path);
    }
    free(grants);
}

/* NULL: no memory. */
static struct coord_grant *grants_of(const Coord__V1__LockAcquireReply *reply)
{
    struct coord_grant *grants = calloc(reply->n_held, sizeof *grants);
    bool is_whole = grants != NULL;
    for (size_t i = 0; is_whole && i < reply->n_held; i++) {
        const Coord__V1__LockHeld *held = reply->held[i];
        grants[i] = (struct coord_grant){.path = strdup(held->grant->path),
                                         .revision = held->grant->revision,
                                         .epoch = held->epoch,
                                         .count = held->count};
        is_whole = grants[i].path != NULL;
    }
    if (!is_whole) {
        lock_free_grants(grants, reply->n_held);
        return NULL;
    }
    return grants;
}

void coord_lock_free(struct coord_lock *lock)
{
    if (lock != NULL) {
        struct coord_client *client = lock->client;
        client_enter(client);
        lock_unfollow(lock);
        list_remove(&lock->link);
        loop_timer_stop(&client->loop, &lock->timer);
        lock_free_grants(lock->grants, lock->count);
        free(lock);
        client_leave(client);
    }
}

const struct coord_grant *coord_lock_grants(const struct coord_lock *lock, size_t *count)
{
    if (count != NULL) {
        *count = lock->count;
    }
    return lock->grants;
}

uint64_t coord_lock_epoch(const struct coord_lock *lock)
{
    return lock->grants[0].epoch;
}

struct coord_guard coord_lock_guard(const struct coord_lock *lock, size_t target)
{
    const struct coord_grant *g = &lock->grants[target < lock->count ? target : 0];
    return coord_guard_held(g->path, g->revision);
}

enum coord_lock_state coord_lock_state(const struct coord_lock *lock)
{
    bool is_doubtful = lock->state == COORD_LOCK_SAFE && lock->session != 0 &&
                       coord_lock_trusted_ms(lock) == 0;
    return is_doubtful ? COORD_LOCK_UNSAFE : lock->state;
}

uint64_t coord_lock_trusted_ms(const struct coord_lock *lock)
{
    bool is_known = lock->state != COORD_LOCK_LOST && lock->session != 0 &&
                    lock->session == lock->client->session.id;
    return is_known ? coord_session_trusted_ms(lock->client) : 0;
}

/* ---- acquiring --------------------------------------------------------------------------- */

/* One request, until it is answered. */
struct acquisition {
    struct coord_client *client;
    uint64_t session; /* 0: for a lease */
    coord_done_fn done;
    void *context;
    struct coord_deadlock *deadlock; /* where it goes; NULL: to `done` alone */
};

static bool is_sound(const Coord__V1__LockAcquireReply *reply)
{
    for (size_t i = 0; i < reply->n_held; i++) {
        if (reply->held[i]->grant == NULL) {
            return false;
        }
    }
    return reply->n_held > 0;
}

struct coord_lock *lock_new(struct coord_client *client, uint64_t session,
                            struct coord_grant *grants, size_t count)
{
    struct coord_lock *lock = calloc(1, sizeof *lock);
    if (lock == NULL) {
        lock_free_grants(grants, count);
        return NULL;
    }
    lock->client = client;
    lock->session = session;
    lock->grants = grants;
    lock->count = count;
    lock->state = COORD_LOCK_SAFE;
    list_push_back(&client->locks, &lock->link);
    if (session != 0 && client->session.id != session) {
        struct coord_error why;
        (void)client_fail(&why, COORD_SESSION_ENDED, "its session has ended");
        lock_become(lock, COORD_LOCK_LOST, &why);
    }
    return lock;
}

/* Nobody holds what nobody has memory for. */
static void give_back(struct coord_client *client, const Coord__V1__LockAcquireReply *reply)
{
    Coord__V1__LockReleaseRequest request = COORD__V1__LOCK_RELEASE_REQUEST__INIT;
    Coord__V1__LockGrant *grants[TARGETS_MAX];
    struct coord_error error;
    request.grants = grants;
    while (request.n_grants < reply->n_held && request.n_grants < TARGETS_MAX) {
        grants[request.n_grants] = reply->held[request.n_grants]->grant;
        request.n_grants++;
    }
    (void)client_start(client, CLIENT_LOCK_RELEASE, &request.base, call_forget, NULL, NULL,
                       &error);
}

/* NULL with a reason in `error`. */
static struct coord_lock *hold(const struct acquisition *a,
                               const Coord__V1__LockAcquireReply *reply,
                               struct coord_error *error)
{
    if (!is_sound(reply)) {
        (void)client_fail(error, COORD_INTERNAL, "the reply names no grant");
        return NULL;
    }
    struct coord_grant *grants = grants_of(reply);
    struct coord_lock *lock =
        grants != NULL ? lock_new(a->client, a->session, grants, reply->n_held) : NULL;
    if (lock == NULL) {
        give_back(a->client, reply);
        (void)client_fail(error, COORD_NO_MEMORY, "out of memory for what was granted");
    }
    return lock;
}

static void on_acquired(void *context, enum coord_code code, ProtobufCMessage **reply,
                        const struct coord_error *error)
{
    struct acquisition *a = context;
    struct coord_error failure = *error;
    struct coord_result result = {.code = code, .error = &failure, .path = "", .data = ""};
    struct coord_deadlock deadlock = {.count = 0};
    if (code == COORD_OK) {
        result.lock = hold(a, (const Coord__V1__LockAcquireReply *)*reply, &failure);
        result.code = failure.code;
    } else if (a->session != 0 && strcmp(error->outcome, "NO_LEASE") == 0) {
        result.code = failure.code = COORD_SESSION_ENDED; /* the lease is the session */
    } else if (code == COORD_DEADLOCK && *reply != NULL) {
        result.deadlock = deadlock_take(reply, &deadlock) ? &deadlock : NULL;
    }
    session_need_not(a->client, a->session);
    if (a->done != NULL) {
        a->done(a->context, &result);
    } else {
        coord_lock_free(result.lock);
    }
    if (a->deadlock != NULL) {
        *a->deadlock = deadlock;
    } else {
        coord_deadlock_clear(&deadlock);
    }
    free(a);
}

/* What a request's message points to. */
struct parts {
    Coord__V1__LockTarget targets[TARGETS_MAX];
    Coord__V1__LockTarget *target_places[TARGETS_MAX];
    struct guard_list guards;
};

static enum coord_code put_targets(struct parts *p, const struct coord_lock_target *targets,
                                   size_t count, struct coord_error *error)
{
    if (count == 0 || count > TARGETS_MAX) {
        return client_fail(error, COORD_INVALID, "%zu locks at once: 1 to %d are possible",
                           count, TARGETS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if ((unsigned)targets[i].mode > COORD_LOCK_PERMITS) {
            return client_fail(error, COORD_INVALID, "%s: mode %d is none", targets[i].path,
                               (int)targets[i].mode);
        }
        coord__v1__lock_target__init(&p->targets[i]);
        p->targets[i].path = convert_text(targets[i].path);
        p->targets[i].mode = (Coord__V1__LockMode)targets[i].mode; /* counted alike */
        p->targets[i].permits = targets[i].permits;
        p->targets[i].limit = targets[i].limit;
        p->target_places[i] = &p->targets[i];
    }
    return COORD_OK;
}

static enum coord_code fill(Coord__V1__LockAcquireRequest *request, struct parts *p,
                            const struct coord_lock_target *targets, size_t count,
                            const struct coord_lock_options *o, struct coord_error *error)
{
    enum coord_code code = put_targets(p, targets, count, error);
    if (code == COORD_OK) {
        code = guard_list_fill(&p->guards, o->guards, o->guard_count, error);
    }
    request->n_targets = count;
    request->targets = p->target_places;
    request->lease = o->lease;
    request->owner = convert_text(o->owner != NULL ? o->owner : "");
    request->no_wait = o->no_wait;
    request->wait_ms = o->wait_ms;
    request->hold_ms = o->hold_ms;
    request->n_guards = o->guard_count;
    request->guards = p->guards.places;
    return code;
}

/* `asked` says who is told. */
static enum coord_code start_acquire(struct coord_client *client,
                                     const struct coord_lock_target *targets, size_t count,
                                     const struct coord_lock_options *options,
                                     const struct acquisition *asked, struct coord_call **call,
                                     struct coord_error *error)
{
    static const struct coord_lock_options defaults = {.lease = 0};
    const struct coord_lock_options *o = options != NULL ? options : &defaults;
    Coord__V1__LockAcquireRequest request = COORD__V1__LOCK_ACQUIRE_REQUEST__INIT;
    struct parts parts;
    enum coord_code code = fill(&request, &parts, targets, count, o, error);
    if (code != COORD_OK) {
        return code;
    }
    uint64_t session = o->lease == 0 ? client->session.id : 0;
    if (o->lease == 0 && session == 0) {
        return client_fail(error, COORD_INVALID,
                           "a lock takes a session (coord_session_open) or a lease");
    }
    struct acquisition *a = malloc(sizeof *a);
    if (a == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    *a = *asked;
    a->client = client;
    a->session = session;
    client_enter(client);
    session_need(client, session);
    code = client_start_noted(client, CLIENT_LOCK_ACQUIRE, &request.base, o->note, on_acquired,
                              a, call, error);
    if (code != COORD_OK) {
        session_need_not(client, session);
        free(a);
    }
    client_leave(client);
    return code == COORD_OK ? client_fail(error, COORD_OK, "%s", "") : code;
}

enum coord_code coord_lock_acquire_async(struct coord_client *client,
                                         const struct coord_lock_target *targets, size_t count,
                                         const struct coord_lock_options *options,
                                         coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error)
{
    const struct acquisition asked = {.done = done, .context = context};
    return start_acquire(client, targets, count, options, &asked, call, error);
}

struct waited {
    struct async_wait wait;
    struct coord_lock *lock;
};

static void on_waited(void *context, const struct coord_result *result)
{
    struct waited *w = context;
    async_waited(&w->wait, result);
    w->lock = result->lock;
}

enum coord_code coord_lock_acquire(struct coord_client *client,
                                   const struct coord_lock_target *targets, size_t count,
                                   const struct coord_lock_options *options,
                                   struct coord_lock **lock, struct coord_error *error)
{
    struct waited w = {.wait.error = error};
    struct acquisition asked = {.done = on_waited, .context = &w};
    enum coord_code code = async_may_wait(client, error);
    if (options != NULL && options->deadlock != NULL) {
        *options->deadlock = (struct coord_deadlock){.count = 0};
        asked.deadlock = options->deadlock;
    }
    if (code == COORD_OK) {
        code = start_acquire(client, targets, count, options, &asked, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w.wait);
    }
    if (code == COORD_OK) {
        *lock = w.lock;
    }
    return code;
}

/* ---- extending, releasing ---------------------------------------------------------------- */

static void put_grants(const struct coord_lock *lock, Coord__V1__LockGrant *grants,
                       Coord__V1__LockGrant **places)
{
    for (size_t i = 0; i < lock->count; i++) {
        coord__v1__lock_grant__init(&grants[i]);
        grants[i].path = convert_text(lock->grants[i].path);
        grants[i].revision = lock->grants[i].revision;
        places[i] = &grants[i];
    }
}

enum coord_code coord_lock_extend_async(struct coord_lock *lock, uint64_t hold_ms,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error)
{
    Coord__V1__LockExtendRequest request = COORD__V1__LOCK_EXTEND_REQUEST__INIT;
    Coord__V1__LockGrant grants[TARGETS_MAX];
    Coord__V1__LockGrant *places[TARGETS_MAX];
    if (lock->use != LOCK_HOLDS) {
        return client_fail(error, COORD_INVALID, "a %s has no time limit",
                           lock->use == LOCK_LEADS ? "leadership" : "party of a barrier");
    }
    put_grants(lock, grants, places);
    request.n_grants = lock->count;
    request.grants = places;
    request.hold_ms = hold_ms;
    const struct async_options options = {
        .method = CLIENT_LOCK_EXTEND, .done = done, .context = context};
    return async_start(lock->client, &options, &request.base, call, error);
}

static enum coord_code start_release(struct coord_lock *lock, coord_done_fn done, void *context,
                                     struct coord_call **call, struct coord_error *error)
{
    Coord__V1__LockReleaseRequest release = COORD__V1__LOCK_RELEASE_REQUEST__INIT;
    Coord__V1__ElectionResignRequest resign = COORD__V1__ELECTION_RESIGN_REQUEST__INIT;
    Coord__V1__BarrierLeaveRequest withdraw = COORD__V1__BARRIER_LEAVE_REQUEST__INIT;
    Coord__V1__LockGrant grants[TARGETS_MAX];
    Coord__V1__LockGrant *places[TARGETS_MAX];
    put_grants(lock, grants, places);
    release.n_grants = lock->count;
    release.grants = places;
    resign.entry = withdraw.entry = places[0];
    const struct {
        enum client_method method;
        ProtobufCMessage *request;
    } ways[] = {
        [LOCK_HOLDS] = {CLIENT_LOCK_RELEASE, &release.base},
        [LOCK_LEADS] = {CLIENT_ELECTION_RESIGN, &resign.base},
        [LOCK_INSIDE] = {CLIENT_BARRIER_WITHDRAW, &withdraw.base},
    };
    const struct async_options options = {
        .method = ways[lock->use].method, .done = done, .context = context};
    return async_start(lock->client, &options, ways[lock->use].request, call, error);
}

/* Its owner knows, and is not told. */
void lock_give_up(struct coord_lock *lock)
{
    client_enter(lock->client);
    lock_unfollow(lock);
    lock->state = COORD_LOCK_LOST;
    client_leave(lock->client);
}

enum coord_code coord_lock_release_async(struct coord_lock *lock, coord_done_fn done,
                                         void *context, struct coord_call **call,
                                         struct coord_error *error)
{
    enum coord_code code = start_release(lock, done, context, call, error);
    if (code == COORD_OK) {
        lock_give_up(lock);
    }
    return code;
}

enum coord_code coord_lock_extend(struct coord_lock *lock, uint64_t hold_ms,
                                  struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(lock->client, error);
    if (code == COORD_OK) {
        code = coord_lock_extend_async(lock, hold_ms, async_waited, &w, NULL, error);
    }
    return code == COORD_OK ? async_wait(lock->client, &w) : code;
}

enum coord_code coord_lock_release(struct coord_lock *lock, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(lock->client, error);
    if (code == COORD_OK) {
        code = coord_lock_release_async(lock, async_waited, &w, NULL, error);
    }
    return code == COORD_OK ? async_wait(lock->client, &w) : code;
}
