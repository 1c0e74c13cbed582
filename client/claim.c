#include "client/claim.h"

#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"
#include "client/locks.h"

struct claim {
    struct coord_client *client;
    uint64_t session; /* 0: for a lease */
    enum lock_use use;
    struct coord_deadlock *deadlock; /* where it goes; NULL: to `done` alone */
    coord_done_fn done;
    void *context;
};

/* ---- what was granted -------------------------------------------------------------------- */

struct granted {
    Coord__V1__LockGrant *grant;
    uint64_t epoch;
    uint32_t count;
};

static size_t granted_locks(const ProtobufCMessage *m, struct granted *room)
{
    const Coord__V1__LockAcquireReply *reply = (const Coord__V1__LockAcquireReply *)m;
    size_t count = 0;
    while (count < reply->n_held && count < CLAIM_ENTRIES_MAX) {
        const Coord__V1__LockHeld *held = reply->held[count];
        room[count++] = (struct granted){held->grant, held->epoch, held->count};
    }
    return count;
}

static size_t granted_leadership(const ProtobufCMessage *m, struct granted *room)
{
    const Coord__V1__ElectionCampaignReply *reply = (const Coord__V1__ElectionCampaignReply *)m;
    room[0] = (struct granted){reply->grant, reply->epoch, 1};
    return 1;
}

static size_t granted_entry(const ProtobufCMessage *m, struct granted *room)
{
    const Coord__V1__BarrierEnterReply *reply = (const Coord__V1__BarrierEnterReply *)m;
    room[0] = (struct granted){reply->grant, reply->epoch, 1};
    return 1;
}

static const struct kind {
    enum client_method method;
    const char *what;
    /* At most CLAIM_ENTRIES_MAX; their grants may be NULL. */
    size_t (*granted)(const ProtobufCMessage *reply, struct granted *room);
} kinds[] = {
    [LOCK_HOLDS] = {CLIENT_LOCK_ACQUIRE, "a lock", granted_locks},
    [LOCK_LEADS] = {CLIENT_ELECTION_CAMPAIGN, "a candidate", granted_leadership},
    [LOCK_INSIDE] = {CLIENT_BARRIER_ENTER, "a party", granted_entry},
};

/* NULL: no memory. */
static struct coord_grant *grants_of(const struct granted *granted, size_t count)
{
    struct coord_grant *grants = calloc(count, sizeof *grants);
    bool is_whole = grants != NULL;
    for (size_t i = 0; is_whole && i < count; i++) {
        grants[i] = (struct coord_grant){.path = strdup(granted[i].grant->path),
                                         .revision = granted[i].grant->revision,
                                         .epoch = granted[i].epoch,
                                         .count = granted[i].count};
        is_whole = grants[i].path != NULL;
    }
    if (!is_whole) {
        lock_free_grants(grants, count);
        return NULL;
    }
    return grants;
}

/* ---- giving up --------------------------------------------------------------------------- */

void claim_return_fill(struct claim_return *r, enum lock_use use, Coord__V1__LockGrant **grants,
                       size_t count)
{
    switch (use) {
    case LOCK_HOLDS:
        coord__v1__lock_release_request__init(&r->as.release);
        r->as.release.n_grants = count;
        r->as.release.grants = grants;
        r->method = CLIENT_LOCK_RELEASE;
        r->request = &r->as.release.base;
        break;
    case LOCK_LEADS:
        coord__v1__election_resign_request__init(&r->as.resign);
        r->as.resign.entry = grants[0];
        r->method = CLIENT_ELECTION_RESIGN;
        r->request = &r->as.resign.base;
        break;
    case LOCK_INSIDE:
        coord__v1__barrier_leave_request__init(&r->as.withdraw);
        r->as.withdraw.entry = grants[0];
        r->method = CLIENT_BARRIER_WITHDRAW;
        r->request = &r->as.withdraw.base;
        break;
    }
}

/* Nobody holds what nobody has memory for. */
static void give_back(const struct claim *c, const struct granted *granted, size_t count)
{
    Coord__V1__LockGrant *grants[CLAIM_ENTRIES_MAX];
    struct claim_return back;
    struct coord_error error;
    for (size_t i = 0; i < count; i++) {
        grants[i] = granted[i].grant;
    }
    claim_return_fill(&back, c->use, grants, count);
    (void)client_start(c->client, back.method, back.request, call_forget, NULL, NULL, &error);
}

/* ---- the claim --------------------------------------------------------------------------- */

/* NULL with a reason in `error`. */
static struct coord_lock *hold(const struct claim *c, const ProtobufCMessage *reply,
                               struct coord_error *error)
{
    struct granted granted[CLAIM_ENTRIES_MAX];
    size_t count = kinds[c->use].granted(reply, granted);
    bool is_sound = count > 0;
    for (size_t i = 0; i < count; i++) {
        is_sound = is_sound && granted[i].grant != NULL;
    }
    if (!is_sound) {
        (void)client_fail(error, COORD_INTERNAL, "the reply names no grant");
        return NULL;
    }
    struct coord_grant *grants = grants_of(granted, count);
    struct coord_lock *lock =
        grants != NULL ? lock_new(c->client, c->session, grants, count) : NULL;
    if (lock == NULL) {
        give_back(c, granted, count);
        (void)client_fail(error, COORD_NO_MEMORY, "out of memory for what was granted");
        return NULL;
    }
    lock->use = c->use;
    return lock;
}

static void on_answered(void *context, enum coord_code code, ProtobufCMessage **reply,
                        const struct coord_error *error)
{
    struct claim *c = context;
    struct coord_error failure = *error;
    struct coord_result result = {.code = code, .error = &failure, .path = "", .data = ""};
    struct coord_deadlock deadlock = {.count = 0};
    if (code == COORD_OK) {
        result.lock = hold(c, *reply, &failure);
        result.code = failure.code;
    } else if (c->session != 0 && strcmp(error->outcome, "NO_LEASE") == 0) {
        result.code = failure.code = COORD_SESSION_ENDED; /* the lease is the session */
    } else if (code == COORD_DEADLOCK && *reply != NULL) {
        result.deadlock = deadlock_take(reply, &deadlock) ? &deadlock : NULL;
    }
    session_need_not(c->client, c->session);
    if (c->done != NULL) {
        c->done(c->context, &result);
    } else {
        coord_lock_free(result.lock);
    }
    if (c->deadlock != NULL) {
        *c->deadlock = deadlock;
    } else {
        coord_deadlock_clear(&deadlock);
    }
    free(c);
}

enum coord_code claim_start(struct coord_client *client, const struct claim_options *options,
                            ProtobufCMessage *request, struct coord_call **call,
                            struct coord_error *error)
{
    const struct kind *kind = &kinds[options->use];
    uint64_t session = options->lease == 0 ? client->session.id : 0;
    if (options->lease == 0 && session == 0) {
        return client_fail(error, COORD_INVALID,
                           "%s takes a session (coord_session_open) or a lease", kind->what);
    }
    struct claim *c = malloc(sizeof *c);
    if (c == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    *c = (struct claim){.client = client,
                        .session = session,
                        .use = options->use,
                        .deadlock = options->deadlock,
                        .done = options->done,
                        .context = options->context};
    client_enter(client);
    session_need(client, session);
    enum coord_code code = client_start_noted(client, kind->method, request, options->note,
                                              on_answered, c, call, error);
    if (code != COORD_OK) {
        session_need_not(client, session);
        free(c);
    }
    client_leave(client);
    return code == COORD_OK ? client_fail(error, COORD_OK, "%s", "") : code;
}
