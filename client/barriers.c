/* Barriers: going in and leaving; and who is there. */
#include "client/barriers.h"

#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/guard_list.h"
#include "client/lock.h"
#include "client/pages.h"
#include "coord/v1/barrier.pb-c.h"

/* One request, until it is answered. */
struct passage {
    struct coord_client *client;
    uint64_t session; /* 0: for a lease */
    coord_done_fn done;
    void *context;
};

/* NULL: no memory. */
static struct passage *passage_new(struct coord_client *client, uint64_t session,
                                   coord_done_fn done, void *context)
{
    struct passage *p = malloc(sizeof *p);
    if (p != NULL) {
        *p = (struct passage){
            .client = client, .session = session, .done = done, .context = context};
    }
    return p;
}

/* The session is kept alive until the call has ended. Frees `p` if it does not begin. */
static enum coord_code start(struct passage *p, enum client_method method,
                             ProtobufCMessage *request, const char *note, call_done_fn done,
                             struct coord_call **call, struct coord_error *error)
{
    struct coord_client *client = p->client;
    uint64_t session = p->session;
    client_enter(client);
    session_need(client, session);
    enum coord_code code =
        client_start_noted(client, method, request, note, done, p, call, error);
    if (code != COORD_OK) {
        session_need_not(client, session);
        free(p);
    }
    client_leave(client);
    return code == COORD_OK ? client_fail(error, COORD_OK, "%s", "") : code;
}

static void end(struct passage *p, const struct coord_result *result)
{
    session_need_not(p->client, p->session);
    if (p->done != NULL) {
        p->done(p->context, result);
    } else {
        coord_lock_free(result->lock);
    }
    free(p);
}

/* ---- going in ---------------------------------------------------------------------------- */

/* Nobody is inside for whom there is no memory. */
static void give_back(struct coord_client *client, Coord__V1__LockGrant *grant)
{
    Coord__V1__BarrierLeaveRequest request = COORD__V1__BARRIER_LEAVE_REQUEST__INIT;
    struct coord_error error;
    request.entry = grant;
    (void)client_start(client, CLIENT_BARRIER_WITHDRAW, &request.base, call_forget, NULL, NULL,
                       &error);
}

/* NULL with a reason in `error`. */
static struct coord_lock *inside_of(const struct passage *p,
                                    const Coord__V1__BarrierEnterReply *reply,
                                    struct coord_error *error)
{
    struct coord_lock *lock = NULL;
    if (reply->grant == NULL) {
        (void)client_fail(error, COORD_INTERNAL, "the reply names no grant");
        return NULL;
    }
    struct coord_grant *grant = calloc(1, sizeof *grant);
    char *path = strdup(reply->grant->path);
    if (grant != NULL && path != NULL) {
        *grant = (struct coord_grant){.path = path,
                                      .revision = reply->grant->revision,
                                      .epoch = reply->epoch,
                                      .count = 1};
        lock = lock_new(p->client, p->session, grant, 1);
    } else {
        free(grant);
        free(path);
    }
    if (lock == NULL) {
        give_back(p->client, reply->grant);
        (void)client_fail(error, COORD_NO_MEMORY, "out of memory for what was granted");
        return NULL;
    }
    lock->use = LOCK_INSIDE;
    return lock;
}

static void on_entered(void *context, enum coord_code code, ProtobufCMessage **reply,
                       const struct coord_error *error)
{
    struct passage *p = context;
    struct coord_error failure = *error;
    struct coord_result result = {.code = code, .error = &failure, .path = "", .data = ""};
    if (code == COORD_OK) {
        result.lock = inside_of(p, (const Coord__V1__BarrierEnterReply *)*reply, &failure);
        result.code = failure.code;
    } else if (p->session != 0 && strcmp(error->outcome, "NO_LEASE") == 0) {
        result.code = failure.code = COORD_SESSION_ENDED; /* the lease is the session */
    }
    end(p, &result);
}

enum coord_code coord_barrier_enter_async(struct coord_client *client,
                                          const struct coord_party *party, coord_done_fn done,
                                          void *context, struct coord_call **call,
                                          struct coord_error *error)
{
    Coord__V1__BarrierEnterRequest request = COORD__V1__BARRIER_ENTER_REQUEST__INIT;
    struct guard_list guards;
    uint64_t session = party->lease == 0 ? client->session.id : 0;
    enum coord_code code = guard_list_fill(&guards, party->guards, party->guard_count, error);
    if (code != COORD_OK) {
        return code;
    }
    if (party->lease == 0 && session == 0) {
        return client_fail(error, COORD_INVALID,
                           "a party takes a session (coord_session_open) or a lease");
    }
    request.path = convert_text(party->path);
    request.parties = party->parties;
    request.name = convert_text(party->name != NULL ? party->name : "");
    request.lease = party->lease;
    request.no_wait = party->no_wait;
    request.wait_ms = party->wait_ms;
    request.n_guards = party->guard_count;
    request.guards = guards.places;
    struct passage *p = passage_new(client, session, done, context);
    if (p == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    return start(p, CLIENT_BARRIER_ENTER, &request.base, party->note, on_entered, call, error);
}

struct waited {
    struct async_wait wait;
    struct coord_lock *inside;
};

static void on_waited(void *context, const struct coord_result *result)
{
    struct waited *w = context;
    async_waited(&w->wait, result);
    w->inside = result->lock;
}

enum coord_code coord_barrier_enter(struct coord_client *client,
                                    const struct coord_party *party, struct coord_lock **inside,
                                    struct coord_error *error)
{
    struct waited w = {.wait.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_barrier_enter_async(client, party, on_waited, &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w.wait);
    }
    if (code == COORD_OK) {
        *inside = w.inside;
    }
    return code;
}

/* ---- leaving ----------------------------------------------------------------------------- */

static void on_left(void *context, enum coord_code code, ProtobufCMessage **reply,
                    const struct coord_error *error)
{
    const struct coord_result result = {.code = code, .error = error, .path = "", .data = ""};
    (void)reply;
    end(context, &result);
}

enum coord_code coord_barrier_leave_async(struct coord_lock *inside, coord_done_fn done,
                                          void *context, struct coord_call **call,
                                          struct coord_error *error)
{
    Coord__V1__BarrierLeaveRequest request = COORD__V1__BARRIER_LEAVE_REQUEST__INIT;
    Coord__V1__LockGrant entry = COORD__V1__LOCK_GRANT__INIT;
    if (inside->use != LOCK_INSIDE) {
        return client_fail(error, COORD_INVALID, "%s is no party of a barrier",
                           inside->grants[0].path);
    }
    entry.path = convert_text(inside->grants[0].path);
    entry.revision = inside->grants[0].revision;
    request.entry = &entry;
    struct passage *p = passage_new(inside->client, inside->session, done, context);
    if (p == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    enum coord_code code =
        start(p, CLIENT_BARRIER_LEAVE, &request.base, NULL, on_left, call, error);
    if (code == COORD_OK) {
        lock_give_up(inside);
    }
    return code;
}

enum coord_code coord_barrier_leave(struct coord_lock *inside, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(inside->client, error);
    if (code == COORD_OK) {
        code = coord_barrier_leave_async(inside, async_waited, &w, NULL, error);
    }
    return code == COORD_OK ? async_wait(inside->client, &w) : code;
}

/* ---- who is there ------------------------------------------------------------------------ */

static struct coord_barrier_party party_of(const Coord__V1__BarrierParty *from)
{
    struct coord_barrier_party party = {
        .grant = {.path = "", .epoch = from->epoch, .count = from->inside ? 1 : 0},
        .inside = from->inside,
        .leaving = from->leaving,
        .lease = from->lease,
        .name = from->name,
        .note = from->note,
        .since_ms = from->since_ms,
        .deadline_ms = from->deadline_ms,
    };
    if (from->entry != NULL) {
        party.grant.path = from->entry->path;
        party.grant.revision = from->entry->revision;
    }
    return party;
}

enum coord_code coord_barrier_get(struct coord_client *client, const char *path,
                                  struct coord_barrier_info *info, struct coord_error *error)
{
    Coord__V1__BarrierGetRequest request = COORD__V1__BARRIER_GET_REQUEST__INIT;
    struct pages *pages;
    size_t count = 0;
    request.path = convert_text(path);
    enum coord_code code = pages_ask(client, CLIENT_BARRIER_GET, &request.base, &request.after,
                                     &pages, error);
    if (code != COORD_OK) {
        return code;
    }
    for (size_t i = 0; i < pages->count; i++) {
        count += ((const Coord__V1__BarrierGetReply *)pages->replies[i])->n_entries;
    }
    struct coord_barrier_info found = {.entries = calloc(count + 1, sizeof *found.entries),
                                       .memory = pages};
    if (found.entries == NULL) {
        pages_free(pages);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for %zu parties", count);
    }
    for (size_t i = 0; i < pages->count; i++) {
        const Coord__V1__BarrierGetReply *page =
            (const Coord__V1__BarrierGetReply *)pages->replies[i];
        found.parties = page->parties;
        for (size_t j = 0; j < page->n_entries; j++) {
            found.entries[found.count++] = party_of(page->entries[j]);
        }
    }
    *info = found;
    return COORD_OK;
}

void coord_barrier_info_clear(struct coord_barrier_info *info)
{
    pages_free(info->memory);
    free(info->entries);
    *info = (struct coord_barrier_info){.count = 0};
}

enum coord_code coord_barrier_remove(struct coord_client *client,
                                     const struct coord_grant *entry,
                                     struct coord_error *error)
{
    Coord__V1__BarrierLeaveRequest request = COORD__V1__BARRIER_LEAVE_REQUEST__INIT;
    Coord__V1__LockGrant grant = COORD__V1__LOCK_GRANT__INIT;
    ProtobufCMessage *m;
    grant.path = convert_text(entry->path);
    grant.revision = entry->revision;
    request.entry = &grant;
    enum coord_code code =
        client_call(client, CLIENT_BARRIER_REMOVE, &request.base, NULL, &m, error);
    client_reply_free(m);
    return code;
}
