/* Elections: to campaign, and what there is to know about who leads. */
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/lock.h"
#include "coord/v1/election.pb-c.h"

/* ---- campaigning ------------------------------------------------------------------------- */

/* One request, until it is answered. */
struct campaign {
    struct coord_client *client;
    uint64_t session; /* 0: for a lease */
    coord_done_fn done;
    void *context;
};

/* Nobody leads for whom there is no memory. */
static void give_back(struct coord_client *client, Coord__V1__LockGrant *grant)
{
    Coord__V1__ElectionResignRequest request = COORD__V1__ELECTION_RESIGN_REQUEST__INIT;
    struct coord_error error;
    request.entry = grant;
    (void)client_start(client, CLIENT_ELECTION_RESIGN, &request.base, call_forget, NULL, NULL,
                       &error);
}

/* NULL with a reason in `error`. */
static struct coord_lock *lead(const struct campaign *c,
                               const Coord__V1__ElectionCampaignReply *reply,
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
        lock = lock_new(c->client, c->session, grant, 1);
    } else {
        free(grant);
        free(path);
    }
    if (lock == NULL) {
        give_back(c->client, reply->grant);
        (void)client_fail(error, COORD_NO_MEMORY, "out of memory for what was granted");
        return NULL;
    }
    lock->use = LOCK_LEADS;
    return lock;
}

static void on_elected(void *context, enum coord_code code, ProtobufCMessage **reply,
                       const struct coord_error *error)
{
    struct campaign *c = context;
    struct coord_error failure = *error;
    struct coord_result result = {.code = code, .error = &failure, .path = "", .data = ""};
    if (code == COORD_OK) {
        result.lock = lead(c, (const Coord__V1__ElectionCampaignReply *)*reply, &failure);
        result.code = failure.code;
    } else if (c->session != 0 && strcmp(error->outcome, "NO_LEASE") == 0) {
        result.code = failure.code = COORD_SESSION_ENDED; /* the lease is the session */
    }
    session_need_not(c->client, c->session);
    if (c->done != NULL) {
        c->done(c->context, &result);
    } else {
        coord_lock_free(result.lock);
    }
    free(c);
}

static char *text_or_none(const char *text)
{
    return convert_text(text != NULL ? text : "");
}

enum coord_code coord_election_campaign_async(struct coord_client *client,
                                              const struct coord_candidate *candidate,
                                              coord_done_fn done, void *context,
                                              struct coord_call **call,
                                              struct coord_error *error)
{
    Coord__V1__ElectionCampaignRequest request = COORD__V1__ELECTION_CAMPAIGN_REQUEST__INIT;
    uint64_t session = candidate->lease == 0 ? client->session.id : 0;
    if (candidate->lease == 0 && session == 0) {
        return client_fail(error, COORD_INVALID,
                           "a candidate takes a session (coord_session_open) or a lease");
    }
    request.path = convert_text(candidate->path);
    request.name = text_or_none(candidate->name);
    request.value = text_or_none(candidate->value);
    request.label = text_or_none(candidate->label);
    request.lease = candidate->lease;
    request.policy = (Coord__V1__ElectionPolicy)candidate->policy; /* counted alike */
    request.priority = candidate->priority;
    request.number = candidate->number;
    request.no_wait = candidate->no_wait;
    request.wait_ms = candidate->wait_ms;
    struct campaign *c = malloc(sizeof *c);
    if (c == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    *c = (struct campaign){
        .client = client, .session = session, .done = done, .context = context};
    client_enter(client);
    session_need(client, session);
    enum coord_code code = client_start_noted(client, CLIENT_ELECTION_CAMPAIGN, &request.base,
                                              candidate->note, on_elected, c, call, error);
    if (code != COORD_OK) {
        session_need_not(client, session);
        free(c);
    }
    client_leave(client);
    return code == COORD_OK ? client_fail(error, COORD_OK, "%s", "") : code;
}

struct waited {
    struct async_wait wait;
    struct coord_lock *leadership;
};

static void on_waited(void *context, const struct coord_result *result)
{
    struct waited *w = context;
    async_waited(&w->wait, result);
    w->leadership = result->lock;
}

enum coord_code coord_election_campaign(struct coord_client *client,
                                        const struct coord_candidate *candidate,
                                        struct coord_lock **leadership,
                                        struct coord_error *error)
{
    struct waited w = {.wait.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_election_campaign_async(client, candidate, on_waited, &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w.wait);
    }
    if (code == COORD_OK) {
        *leadership = w.leadership;
    }
    return code;
}

/* ---- leading ----------------------------------------------------------------------------- */

enum coord_code coord_election_proclaim(struct coord_lock *leadership, const char *value,
                                        struct coord_error *error)
{
    Coord__V1__ElectionProclaimRequest request = COORD__V1__ELECTION_PROCLAIM_REQUEST__INIT;
    Coord__V1__LockGrant grant = COORD__V1__LOCK_GRANT__INIT;
    ProtobufCMessage *m;
    if (leadership->use != LOCK_LEADS) {
        return client_fail(error, COORD_INVALID, "it is a lock and no leadership");
    }
    grant.path = convert_text(leadership->grants[0].path);
    grant.revision = leadership->grants[0].revision;
    request.grant = &grant;
    request.value = convert_text(value);
    enum coord_code code = client_call(leadership->client, CLIENT_ELECTION_PROCLAIM,
                                       &request.base, NULL, &m, error);
    client_reply_free(m);
    return code;
}

enum coord_code coord_election_hand_over(struct coord_client *client, const char *path,
                                         const char *to, struct coord_error *error)
{
    Coord__V1__ElectionHandOverRequest request = COORD__V1__ELECTION_HAND_OVER_REQUEST__INIT;
    ProtobufCMessage *m;
    request.path = convert_text(path);
    request.to = convert_text(to);
    enum coord_code code =
        client_call(client, CLIENT_ELECTION_HAND_OVER, &request.base, NULL, &m, error);
    client_reply_free(m);
    return code;
}

enum coord_code coord_election_leader(struct coord_client *client, const char *path,
                                      struct coord_leader *leader, struct coord_error *error)
{
    Coord__V1__ElectionLeaderRequest request = COORD__V1__ELECTION_LEADER_REQUEST__INIT;
    ProtobufCMessage *m;
    request.path = convert_text(path);
    enum coord_code code =
        client_call(client, CLIENT_ELECTION_LEADER, &request.base, NULL, &m, error);
    if (code != COORD_OK) {
        return code;
    }
    const Coord__V1__ElectionLeader *from = ((const Coord__V1__ElectionLeaderReply *)m)->leader;
    if (from == NULL || from->grant == NULL) {
        client_reply_free(m);
        return client_fail(error, COORD_NOT_FOUND, "%s: nobody leads", path);
    }
    *leader = (struct coord_leader){.grant = {.path = from->grant->path,
                                              .revision = from->grant->revision,
                                              .epoch = from->epoch,
                                              .count = 1},
                                    .name = from->name,
                                    .value = from->value,
                                    .note = from->note,
                                    .label = from->label,
                                    .lease = from->lease,
                                    .number = from->number,
                                    .since_ms = from->since_ms,
                                    .priority = from->priority,
                                    .memory = m};
    return COORD_OK;
}

void coord_leader_clear(struct coord_leader *leader)
{
    client_reply_free(leader->memory);
    *leader = (struct coord_leader){.memory = NULL};
}
