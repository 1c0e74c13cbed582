/* Acquiring, and what is held: grants, guards, extending, releasing. */
#include "client/lock.h"

#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/claim.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/guard_list.h"
#include "client/locks.h"
#include "coord/v1/lock.pb-c.h"

/* ---- what is held ------------------------------------------------------------------------ */

void lock_free_grants(struct coord_grant *grants, size_t count)
{
    for (size_t i = 0; grants != NULL && i < count; i++) {
        free((char *)(uintptr_t)grants[i].path);
    }
    free(grants);
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

/* What was told of it before the lock was there is not told again. */
static void look_at_session(struct coord_lock *lock)
{
    const struct client_session *s = &lock->client->session;
    struct coord_error why;
    if (s->id != lock->session || s->has_ended || s->told == COORD_SESSION_LOST) {
        (void)client_fail(&why, COORD_SESSION_ENDED, "its session has ended");
        lock_become(lock, COORD_LOCK_LOST, &why);
    } else if (coord_session_trusted_ms(lock->client) == 0) {
        (void)client_fail(&why, COORD_TIMEOUT, "no keepalive of its session was confirmed in time");
        lock_become(lock, COORD_LOCK_UNSAFE, &why);
    }
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
    if (session != 0) {
        look_at_session(lock);
    }
    return lock;
}

/* ---- acquiring --------------------------------------------------------------------------- */

/* What a request's message points to. */
struct parts {
    Coord__V1__LockTarget targets[CLAIM_ENTRIES_MAX];
    Coord__V1__LockTarget *target_places[CLAIM_ENTRIES_MAX];
    struct guard_list guards;
};

static enum coord_code put_targets(struct parts *p, const struct coord_lock_target *targets,
                                   size_t count, struct coord_error *error)
{
    if (count == 0 || count > CLAIM_ENTRIES_MAX) {
        return client_fail(error, COORD_INVALID, "%zu locks at once: 1 to %d are possible",
                           count, CLAIM_ENTRIES_MAX);
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
    request->owner = convert_text_or_none(o->owner);
    request->no_wait = o->no_wait;
    request->wait_ms = o->wait_ms;
    request->hold_ms = o->hold_ms;
    request->n_guards = o->guard_count;
    request->guards = p->guards.places;
    return code;
}

/* `claim` says who is told. */
static enum coord_code start_acquire(struct coord_client *client,
                                     const struct coord_lock_target *targets, size_t count,
                                     const struct coord_lock_options *options,
                                     struct claim_options *claim, struct coord_call **call,
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
    claim->use = LOCK_HOLDS;
    claim->lease = o->lease;
    claim->note = o->note;
    return claim_start(client, claim, &request.base, call, error);
}

enum coord_code coord_lock_acquire_async(struct coord_client *client,
                                         const struct coord_lock_target *targets, size_t count,
                                         const struct coord_lock_options *options,
                                         coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error)
{
    struct claim_options claim = {.done = done, .context = context};
    return start_acquire(client, targets, count, options, &claim, call, error);
}

enum coord_code coord_lock_acquire(struct coord_client *client,
                                   const struct coord_lock_target *targets, size_t count,
                                   const struct coord_lock_options *options,
                                   struct coord_lock **lock, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    struct claim_options claim = {.done = async_waited, .context = &w};
    enum coord_code code = async_may_wait(client, error);
    if (options != NULL && options->deadlock != NULL) {
        *options->deadlock = (struct coord_deadlock){.count = 0};
        claim.deadlock = options->deadlock;
    }
    if (code == COORD_OK) {
        code = start_acquire(client, targets, count, options, &claim, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w);
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
    Coord__V1__LockGrant grants[CLAIM_ENTRIES_MAX];
    Coord__V1__LockGrant *places[CLAIM_ENTRIES_MAX];
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
    Coord__V1__LockGrant grants[CLAIM_ENTRIES_MAX];
    Coord__V1__LockGrant *places[CLAIM_ENTRIES_MAX];
    struct claim_return back;
    put_grants(lock, grants, places);
    claim_return_fill(&back, lock->use, places, lock->count);
    const struct async_options options = {
        .method = back.method, .done = done, .context = context};
    return async_start(lock->client, &options, back.request, call, error);
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
