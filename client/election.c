/* Elections: to campaign, and what there is to know about who leads. */
#include "client/async.h"
#include "client/claim.h"
#include "client/convert.h"
#include "coord/v1/election.pb-c.h"

/* ---- campaigning ------------------------------------------------------------------------- */

enum coord_code coord_election_campaign_async(struct coord_client *client,
                                              const struct coord_candidate *candidate,
                                              coord_done_fn done, void *context,
                                              struct coord_call **call,
                                              struct coord_error *error)
{
    Coord__V1__ElectionCampaignRequest request = COORD__V1__ELECTION_CAMPAIGN_REQUEST__INIT;
    request.path = convert_text(candidate->path);
    request.name = convert_text_or_none(candidate->name);
    request.value = convert_text_or_none(candidate->value);
    request.label = convert_text_or_none(candidate->label);
    request.lease = candidate->lease;
    request.policy = (Coord__V1__ElectionPolicy)candidate->policy; /* counted alike */
    request.priority = candidate->priority;
    request.number = candidate->number;
    request.no_wait = candidate->no_wait;
    request.wait_ms = candidate->wait_ms;
    const struct claim_options claim = {.use = LOCK_LEADS,
                                        .lease = candidate->lease,
                                        .note = candidate->note,
                                        .done = done,
                                        .context = context};
    return claim_start(client, &claim, &request.base, call, error);
}

enum coord_code coord_election_campaign(struct coord_client *client,
                                        const struct coord_candidate *candidate,
                                        struct coord_lock **leadership,
                                        struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_election_campaign_async(client, candidate, async_waited, &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w);
    }
    if (code == COORD_OK) {
        *leadership = w.lock;
    }
    return code;
}

/* ---- leading ----------------------------------------------------------------------------- */

enum coord_code coord_election_proclaim(struct coord_lock *leadership, const char *value,
                                        struct coord_error *error)
{
    Coord__V1__ElectionProclaimRequest request = COORD__V1__ELECTION_PROCLAIM_REQUEST__INIT;
    Coord__V1__LockGrant grant = COORD__V1__LOCK_GRANT__INIT;
    if (leadership->use != LOCK_LEADS) {
        return client_fail(error, COORD_INVALID, "it is a lock and no leadership");
    }
    grant.path = convert_text(leadership->grants[0].path);
    grant.revision = leadership->grants[0].revision;
    request.grant = &grant;
    request.value = convert_text(value);
    return client_do(leadership->client, CLIENT_ELECTION_PROCLAIM, &request.base, error);
}

enum coord_code coord_election_hand_over(struct coord_client *client, const char *path,
                                         const char *to, struct coord_error *error)
{
    Coord__V1__ElectionHandOverRequest request = COORD__V1__ELECTION_HAND_OVER_REQUEST__INIT;
    request.path = convert_text(path);
    request.to = convert_text(to);
    return client_do(client, CLIENT_ELECTION_HAND_OVER, &request.base, error);
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
    convert_leader(from, leader);
    leader->memory = m;
    return COORD_OK;
}

void coord_leader_clear(struct coord_leader *leader)
{
    client_reply_free(leader->memory);
    *leader = (struct coord_leader){.memory = NULL};
}
