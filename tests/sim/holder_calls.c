/* What a holder asks of the nodes about its session or lease, and what comes of it. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "coord/v1/lease.pb-c.h"
#include "coord/v1/session.pb-c.h"
#include "tests/sim/holder_internal.h"

#define CALL_LIMIT_US (700 * MS)

/* ---- the end ----------------------------------------------------------------------------- */

static void begin_anew(struct holder *h)
{
    h->state = HOLDER_NONE;
    h->open_count = 0;
    h->acked_floor = 0;
    h->wants_resume = false;
    remote_call_give_up(&h->stream);
}

void holder_is_gone(struct holder *h)
{
    holders_told_gone(h->all, holder_tenancy(h)->id);
    world_trace(holder_world(h), "holder %u: %" PRIx64 " is gone", h->number,
                holder_tenancy(h)->id);
    begin_anew(h);
}

static bool is_gone(const struct holder *h, enum outcome outcome)
{
    return outcome ==
           (h->all->tenancies[h->tenancy].is_lease ? OUTCOME_NO_LEASE : OUTCOME_NO_SESSION);
}

void holder_check_failure(struct holder *h, const struct remote_answer *a)
{
    if (a->end == REMOTE_ANSWERED && a->code != GRPC_OK && a->code != GRPC_UNKNOWN &&
        a->code != GRPC_DEADLINE_EXCEEDED && a->code != GRPC_UNAVAILABLE &&
        a->code != GRPC_RESOURCE_EXHAUSTED) {
        world_fail(holder_world(h), "holder %u: call ended with %s: %s", h->number,
                   grpc_code_name(a->code), a->text);
    }
}

/* ---- Open -------------------------------------------------------------------------------- */

static uint64_t ttl_pick(struct holder *h)
{
    struct world *w = holder_world(h);
    return world_random(w, 500, world_chance(w, 700) ? 900 : 2500);
}

static void request_id_fill(struct holder *h, Coord__V1__RequestHeader *header,
                            Coord__V1__RequestId *id)
{
    coord__v1__request_header__init(header);
    coord__v1__request_id__init(id);
    if (station_cluster_ms(h->stations[0]) > 0) {
        id->issued_ms = station_cluster_ms(h->stations[0]);
        id->high = rng_next(&holder_world(h)->rng);
        id->low = rng_next(&holder_world(h)->rng);
        header->request_id = id;
    }
}

static bool act_call(struct holder *h, enum holder_act act, const char *path,
                     const ProtobufCMessage *message)
{
    struct remote *r = &h->stations[0]->remotes[station_pick(h->stations[0])];
    h->act = (uint8_t)act;
    h->asked = holder_proof_now(h, 0);
    return remote_call(r, &h->main, path, message, false, CALL_LIMIT_US);
}

void holder_open_begin(struct holder *h)
{
    Coord__V1__RequestHeader header;
    Coord__V1__RequestId id;
    request_id_fill(h, &header, &id);
    bool is_sent;
    if (h->makes_leases && world_chance(holder_world(h), 400)) {
        Coord__V1__LeaseGrantRequest m;
        coord__v1__lease_grant_request__init(&m);
        m.header = &header;
        m.ttl_ms = ttl_pick(h);
        is_sent = act_call(h, ACT_OPEN, "/coord.v1.Lease/Grant", &m.base);
    } else {
        Coord__V1__SessionOpenRequest m;
        coord__v1__session_open_request__init(&m);
        m.header = &header;
        m.ttl_ms = ttl_pick(h);
        is_sent = act_call(h, ACT_OPEN, "/coord.v1.Session/Open", &m.base);
    }
    if (is_sent) {
        h->state = HOLDER_OPENING;
    }
}

static void opened(struct holder *h, uint64_t id, uint64_t ttl_ms, const uint8_t *secret)
{
    struct holders *all = h->all;
    if ((all->tenancy_count & (all->tenancy_count - 1)) == 0) {
        size_t count = all->tenancy_count == 0 ? 1 : 2 * all->tenancy_count;
        all->tenancies = mem_resize(all->tenancies, count * sizeof *all->tenancies);
    }
    h->tenancy = all->tenancy_count++;
    struct tenancy *t = holder_tenancy(h);
    *t = (struct tenancy){.id = id, .ttl_ms = ttl_ms, .is_lease = secret == NULL};
    if (secret != NULL) {
        memcpy(t->secret, secret, sizeof t->secret);
    }
    h->asked.trusted_until_us += holder_trust_us(ttl_ms);
    t->proof = h->asked;
    h->state = HOLDER_OPEN;
    h->next_sequence = 1;
    h->open_count = 0;
    h->acked_floor = 0;
    const struct oracle_lease *l = oracle_lease(all->oracle, id);
    if (l == NULL) {
        world_fail(holder_world(h), "lease %" PRIx64 " was granted, but nobody has it", id);
    }
    world_trace(holder_world(h), "holder %u: opened %" PRIx64 " for %" PRIu64 " ms", h->number,
                id, ttl_ms);
    holder_tick_in(h, 1);
}

static void open_ended(struct holder *h, struct remote_call *call,
                       const struct remote_answer *a)
{
    h->state = HOLDER_NONE;
    if (a->end != REMOTE_ANSWERED || a->code != GRPC_OK) {
        return; /* one that was granted all the same expires by itself */
    }
    if (strcmp(call->path, "/coord.v1.Lease/Grant") == 0) {
        Coord__V1__LeaseGrantReply *m =
            remote_call_reply(call, &coord__v1__lease_grant_reply__descriptor);
        opened(h, m->id, m->ttl_ms, NULL);
        coord__v1__lease_grant_reply__free_unpacked(m, NULL);
        return;
    }
    Coord__V1__SessionOpenReply *m =
        remote_call_reply(call, &coord__v1__session_open_reply__descriptor);
    if (m->secret.len == HOLDER_SECRET_BYTES) {
        opened(h, m->id, m->ttl_ms, m->secret.data);
    } else {
        world_fail(holder_world(h), "a session's secret has %zu bytes", m->secret.len);
    }
    coord__v1__session_open_reply__free_unpacked(m, NULL);
}

/* ---- Resume, Close, wrong credentials ---------------------------------------------------- */

static ProtobufCBinaryData secret_of(struct tenancy *t)
{
    return (ProtobufCBinaryData){.len = sizeof t->secret, .data = t->secret};
}

static void secret_spoil(struct holder *h, uint8_t secret[HOLDER_SECRET_BYTES])
{
    memcpy(secret, holder_tenancy(h)->secret, HOLDER_SECRET_BYTES);
    secret[world_random(holder_world(h), 0, HOLDER_SECRET_BYTES - 1)] ^= 1;
}

/* Somebody who guesses closes the session, if he can. */
static void wrong_close_begin(struct holder *h)
{
    uint8_t wrong[HOLDER_SECRET_BYTES];
    Coord__V1__SessionCloseRequest m;
    coord__v1__session_close_request__init(&m);
    secret_spoil(h, wrong);
    m.id = holder_tenancy(h)->id;
    m.secret = (ProtobufCBinaryData){.len = sizeof wrong, .data = wrong};
    (void)act_call(h, ACT_WRONG_SECRET, "/coord.v1.Session/Close", &m.base);
}

void holder_resume_begin(struct holder *h, enum holder_act act)
{
    struct tenancy *t = holder_tenancy(h);
    uint8_t wrong[HOLDER_SECRET_BYTES];
    if (act == ACT_WRONG_SECRET && world_chance(holder_world(h), 500)) {
        wrong_close_begin(h);
        return;
    }
    Coord__V1__SessionResumeRequest m;
    coord__v1__session_resume_request__init(&m);
    m.id = t->id;
    m.secret = secret_of(t);
    if (act == ACT_WRONG_SECRET) {
        secret_spoil(h, wrong);
        m.secret.data = wrong;
    }
    struct cluster *c = h->all->cluster;
    if (act_call(h, act, "/coord.v1.Session/Resume", &m.base) && c->moment != NULL) {
        c->moment(c->context, MOMENT_RESUME, h->main.remote->node);
    }
}

void holder_close_begin(struct holder *h)
{
    struct tenancy *t = holder_tenancy(h);
    bool is_sent;
    if (t->is_lease) {
        Coord__V1__LeaseRevokeRequest m;
        coord__v1__lease_revoke_request__init(&m);
        m.id = t->id;
        is_sent = act_call(h, ACT_CLOSE, "/coord.v1.Lease/Revoke", &m.base);
    } else {
        Coord__V1__SessionCloseRequest m;
        coord__v1__session_close_request__init(&m);
        m.id = t->id;
        m.secret = secret_of(t);
        is_sent = act_call(h, ACT_CLOSE, "/coord.v1.Session/Close", &m.base);
    }
    t->is_close_sent |= is_sent;
    h->state = HOLDER_CLOSING;
}

static void resume_ended(struct holder *h, struct remote_call *call,
                         const struct remote_answer *a)
{
    struct tenancy *t = holder_tenancy(h);
    if (a->end == REMOTE_ANSWERED && a->code == GRPC_OK) {
        Coord__V1__SessionResumeReply *m =
            remote_call_reply(call, &coord__v1__session_resume_reply__descriptor);
        h->asked.trusted_until_us += holder_trust_us(m->ttl_ms);
        holder_confirmed(h, t, &h->asked, m->ttl_ms);
        if (m->generation <= t->generation) {
            world_fail(holder_world(h), "a resume has left generation %" PRIu64 " as it was",
                       t->generation);
        }
        t->generation = m->generation;
        h->state = HOLDER_OPEN;
        h->wants_resume = false;
        h->all->resumed++;
        coord__v1__session_resume_reply__free_unpacked(m, NULL);
    } else if (a->end == REMOTE_ANSWERED && is_gone(h, a->outcome)) {
        holder_is_gone(h);
    } else {
        holder_check_failure(h, a);
    }
}

static void wrong_secret_ended(struct holder *h, const struct remote_answer *a)
{
    if (a->end != REMOTE_ANSWERED) {
        return;
    }
    if (a->code == GRPC_OK) {
        world_fail(holder_world(h), "wrong credentials resume or close a session");
    } else if (is_gone(h, a->outcome)) {
        holder_is_gone(h);
    } else if (a->outcome == OUTCOME_BAD_SECRET) {
        h->all->refused++;
    } else {
        holder_check_failure(h, a);
    }
}

static void close_ended(struct holder *h, const struct remote_answer *a)
{
    struct tenancy *t = holder_tenancy(h);
    if (a->end == REMOTE_ANSWERED && (a->code == GRPC_OK || is_gone(h, a->outcome))) {
        t->is_close_told |= a->code == GRPC_OK;
        h->all->closed += a->code == GRPC_OK;
        holder_is_gone(h);
    } else {
        holder_check_failure(h, a);
    }
}

void holder_main_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct holder *h = call->owner;
    enum holder_act act = (enum holder_act)h->act;
    h->act = ACT_NONE;
    world_trace(holder_world(h), "holder %u: act %u ended with %s %s", h->number, act,
                a->end == REMOTE_ANSWERED ? grpc_code_name(a->code) : "loss", a->text);
    switch (act) {
    case ACT_OPEN: open_ended(h, call, a); break;
    case ACT_RESUME: resume_ended(h, call, a); break;
    case ACT_WRONG_SECRET: wrong_secret_ended(h, a); break;
    case ACT_CLOSE: close_ended(h, a); break;
    default: break;
    }
}

/* ---- keepalives -------------------------------------------------------------------------- */

static void kept_alive(struct holder *h, uint64_t id, uint64_t ttl_ms, enum outcome outcome)
{
    if (h->pending_count == 0) {
        world_fail(holder_world(h), "a keepalive is answered that was not sent");
        return;
    }
    struct proof sent = h->pending[0];
    h->pending_count--;
    memmove(h->pending, h->pending + 1, h->pending_count * sizeof sent);
    struct tenancy *t = holders_find(h->all, id);
    if (t == NULL || h->state == HOLDER_NONE || t != holder_tenancy(h)) {
        return; /* of the one before */
    }
    if (sent.is_wrong && outcome == OUTCOME_BAD_SECRET && ttl_ms == 0) {
        h->all->refused++;
    } else if (sent.is_wrong && outcome == OUTCOME_OK) {
        world_fail(holder_world(h), "wrong credentials keep a session alive");
    } else if (ttl_ms > 0 && outcome == OUTCOME_OK) {
        sent.trusted_until_us += holder_trust_us(ttl_ms);
        holder_confirmed(h, t, &sent, ttl_ms);
        h->all->kept_alive++;
    } else if (is_gone(h, outcome)) {
        holder_is_gone(h);
    } else {
        world_fail(holder_world(h), "a keepalive is answered by \"%s\"", outcome_text(outcome));
    }
}

void holder_stream_message(struct remote_call *call, struct slice message)
{
    struct holder *h = call->owner;
    if (strcmp(call->path, "/coord.v1.Lease/KeepAlive") == 0) {
        Coord__V1__LeaseKeepAliveReply *m =
            coord__v1__lease_keep_alive_reply__unpack(NULL, message.size, message.data);
        station_hear(h->stations[0], call->remote->node, m->header);
        kept_alive(h, m->id, m->ttl_ms, (enum outcome)m->outcome);
        coord__v1__lease_keep_alive_reply__free_unpacked(m, NULL);
        return;
    }
    Coord__V1__SessionKeepAliveReply *m =
        coord__v1__session_keep_alive_reply__unpack(NULL, message.size, message.data);
    station_hear(h->stations[0], call->remote->node, m->header);
    kept_alive(h, m->id, m->ttl_ms, (enum outcome)m->outcome);
    coord__v1__session_keep_alive_reply__free_unpacked(m, NULL);
}

void holder_stream_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct holder *h = call->owner;
    h->pending_count = 0;
    holder_check_failure(h, a);
    /* On another machine or node: with a resume, or just going on. */
    h->wants_resume |= world_chance(holder_world(h), 500);
    if (world_chance(holder_world(h), 250)) {
        struct station *here = h->stations[0];
        h->stations[0] = h->stations[1];
        h->stations[1] = here;
        h->wants_resume = true;
    }
}

static void keepalive_send(struct holder *h, bool is_wrong)
{
    struct tenancy *t = holder_tenancy(h);
    uint8_t wrong[HOLDER_SECRET_BYTES];
    if (t->is_lease) {
        Coord__V1__LeaseKeepAliveRequest m;
        coord__v1__lease_keep_alive_request__init(&m);
        m.id = t->id;
        remote_call_send(&h->stream, &m.base);
        return;
    }
    Coord__V1__SessionKeepAliveRequest m;
    coord__v1__session_keep_alive_request__init(&m);
    m.id = t->id;
    m.secret = secret_of(t);
    if (is_wrong) {
        secret_spoil(h, wrong);
        m.secret.data = wrong;
    }
    remote_call_send(&h->stream, &m.base);
}

void holder_keep_alive(struct holder *h)
{
    struct tenancy *t = holder_tenancy(h);
    if (!remote_call_is_open(&h->stream)) {
        struct remote *r = &h->stations[0]->remotes[station_pick(h->stations[0])];
        const char *path =
            t->is_lease ? "/coord.v1.Lease/KeepAlive" : "/coord.v1.Session/KeepAlive";
        h->pending_count = 0;
        if (!remote_call(r, &h->stream, path, NULL, true, 0)) {
            return;
        }
    }
    if (h->pending_count == HOLDER_PENDING_MAX) {
        remote_call_give_up(&h->stream); /* nobody answers: elsewhere */
        return;
    }
    struct proof *sent = &h->pending[h->pending_count++];
    *sent = holder_proof_now(h, 0);
    sent->is_wrong = !t->is_lease && !h->all->is_told && world_chance(holder_world(h), 20);
    keepalive_send(h, sent->is_wrong);
    /* A stream that answers nothing for half the TTL is given up. */
    const struct proof *oldest = &h->pending[0];
    if (holder_world(h)->now_us - oldest->at_us > t->ttl_ms * MS / 2) {
        remote_call_give_up(&h->stream);
    }
}
