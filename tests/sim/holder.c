#include "tests/sim/holder.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "coord/v1/lease.pb-c.h"
#include "coord/v1/session.pb-c.h"
#include "tests/sim/holder_work.h"

#define TICK_US         (40 * MS) /* between looks at what to do */
#define CALL_LIMIT_US   (700 * MS)
#define TRUST_PER_MILLE 800
#define SILENCE_FACTOR  2 /* times the TTL */

static void holder_tick(void *context);

static struct world *world_of(const struct holder *h)
{
    return &h->all->cluster->world;
}

static struct tenancy *tenancy_of(struct holder *h)
{
    return &h->all->tenancies[h->tenancy];
}

/* ---- judging ----------------------------------------------------------------------------- */

static struct proof proof_now(const struct holder *h, uint64_t ttl_ms)
{
    const struct cluster *c = h->all->cluster;
    struct proof p = {.at_us = c->world.now_us, .station = h->stations[0]};
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        p.ages_us[i] = sim_host_age_us(&c->nodes[i].host);
    }
    p.trusted_until_us = station_now_us(h->stations[0]) + ttl_ms * TRUST_PER_MILLE * MS / 1000;
    return p;
}

static struct tenancy *tenancy_find(struct holders *h, uint64_t id)
{
    for (size_t i = h->tenancy_count; i > 0; i--) {
        if (h->tenancies[i - 1].id == id) {
            return &h->tenancies[i - 1];
        }
    }
    return NULL;
}

/* Whether by the clock of some node that has led the TTL has passed since the client's last
 * sign of life and since that node won. */
static bool ttl_has_passed(const struct cluster *c, const struct tenancy *t)
{
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        const struct cluster_node *n = &c->nodes[i];
        uint64_t since = t->proof.ages_us[i];
        since = n->has_won && n->won_age_us > since ? n->won_age_us : since;
        if (n->has_won && sim_host_age_us(&n->host) - since + MS >= t->ttl_ms * MS) {
            return true;
        }
    }
    return false;
}

static void gone_cb(void *context, const struct oracle_lease *lease)
{
    struct holders *h = context;
    const struct cluster *c = h->cluster;
    struct world *w = &h->cluster->world;
    const struct tenancy *t = tenancy_find(h, lease->id);
    if (t == NULL) {
        return; /* whose opening nobody was told of */
    }
    bool is_expiry =
        lease->end_revision != 0 ? lease->end_reason == REASON_EXPIRED : !t->is_close_sent;
    uint8_t closed = t->is_lease ? REASON_REVOKED : REASON_CLOSED;
    if (lease->end_revision != 0 && !is_expiry &&
        (lease->end_reason != closed || !t->is_close_sent)) {
        world_fail(w, "lease %" PRIx64 " ended for reason %u, which nobody gave", t->id,
                   lease->end_reason);
    }
    if (!is_expiry) {
        return;
    }
    if (!ttl_has_passed(c, t)) {
        world_fail(w,
                   "lease %" PRIx64 " expired early: its TTL is %" PRIu64
                   " ms, its last confirmed keepalive was sent %" PRIu64 " us ago",
                   t->id, t->ttl_ms, w->now_us - t->proof.at_us);
    }
    if (c->jumped_us < t->proof.at_us &&
        station_now_us(t->proof.station) < t->proof.trusted_until_us) {
        world_fail(w,
                   "lease %" PRIx64 " of %" PRIu64
                   " ms expired while its client trusted it: %" PRIu64
                   " us after sending a confirmed keepalive",
                   t->id, t->ttl_ms, w->now_us - t->proof.at_us);
    }
}

void holders_told_gone(struct holders *h, uint64_t session)
{
    struct tenancy *t = tenancy_find(h, session);
    const struct oracle_lease *l = oracle_lease(h->oracle, session);
    if (t != NULL && t->gone_us == 0) {
        t->gone_us = h->cluster->world.now_us;
    }
    if (l != NULL && l->gone_index == 0) {
        world_fail(&h->cluster->world,
                   "a client is told that lease %" PRIx64 " does not exist, but it does",
                   session);
    }
}

/* A reply to what was asked at `asked_us` shows the lease alive. */
static void told_alive(struct holder *h, const struct tenancy *t, uint64_t asked_us)
{
    if (t->gone_us != 0 && asked_us > t->gone_us) {
        world_fail(world_of(h), "lease %" PRIx64 " is alive for a client that knew it gone",
                   t->id);
    }
}

static void confirmed(struct holder *h, struct tenancy *t, const struct proof *sent,
                      uint64_t ttl_ms)
{
    told_alive(h, t, sent->at_us);
    t->ttl_ms = ttl_ms;
    if (sent->at_us > t->proof.at_us) {
        t->proof = *sent;
    }
}

/* ---- numbered writes --------------------------------------------------------------------- */

static uint64_t answered_to(const struct holder *h)
{
    uint64_t least = h->next_sequence;
    for (uint32_t i = 0; i < h->open_count; i++) {
        least = h->open_sequences[i] < least ? h->open_sequences[i] : least;
    }
    return least - 1;
}

bool holder_sequence_take(struct holder *h, uint64_t *session, uint64_t *sequence,
                          uint64_t *answered)
{
    if (h->state != HOLDER_OPEN || tenancy_of(h)->is_lease ||
        h->open_count == HOLDER_PENDING_MAX) {
        return false;
    }
    *session = tenancy_of(h)->id;
    *answered = answered_to(h);
    *sequence = h->next_sequence;
    h->next_sequence += world_chance(world_of(h), 50) ? 2 : 1; /* gaps are fine */
    h->open_sequences[h->open_count++] = *sequence;
    return true;
}

void holder_sequence_done(struct holder *h, uint64_t session, uint64_t sequence)
{
    for (uint32_t i = 0; i < h->open_count; i++) {
        if (h->state != HOLDER_NONE && h->open_sequences[i] == sequence &&
            tenancy_of(h)->id == session) {
            h->open_sequences[i] = h->open_sequences[--h->open_count];
            return;
        }
    }
}

/* ---- life -------------------------------------------------------------------------------- */

static void tick_in(struct holder *h, uint64_t us)
{
    world_at(world_of(h), &h->tick, us, holder_tick, h);
}

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
    holders_told_gone(h->all, tenancy_of(h)->id);
    world_trace(world_of(h), "holder %u: %" PRIx64 " is gone", h->number, tenancy_of(h)->id);
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
        world_fail(world_of(h), "holder %u: call ended with %s: %s", h->number,
                   grpc_code_name(a->code), a->text);
    }
}

/* ---- Open -------------------------------------------------------------------------------- */

static uint64_t ttl_pick(struct holder *h)
{
    struct world *w = world_of(h);
    return world_random(w, 500, world_chance(w, 700) ? 900 : 2500);
}

static void request_id_fill(struct holder *h, Coord__V1__RequestHeader *header,
                            Coord__V1__RequestId *id)
{
    coord__v1__request_header__init(header);
    coord__v1__request_id__init(id);
    if (station_cluster_ms(h->stations[0]) > 0) {
        id->issued_ms = station_cluster_ms(h->stations[0]);
        id->high = rng_next(&world_of(h)->rng);
        id->low = rng_next(&world_of(h)->rng);
        header->request_id = id;
    }
}

static bool act_call(struct holder *h, enum holder_act act, const char *path,
                     const ProtobufCMessage *message)
{
    struct remote *r = &h->stations[0]->remotes[station_pick(h->stations[0])];
    h->act = (uint8_t)act;
    h->asked = proof_now(h, 0);
    return remote_call(r, &h->main, path, message, false, CALL_LIMIT_US);
}

static void open_begin(struct holder *h)
{
    Coord__V1__RequestHeader header;
    Coord__V1__RequestId id;
    request_id_fill(h, &header, &id);
    bool is_sent;
    if (h->makes_leases && world_chance(world_of(h), 400)) {
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
    struct tenancy *t = tenancy_of(h);
    *t = (struct tenancy){.id = id, .ttl_ms = ttl_ms, .is_lease = secret == NULL};
    if (secret != NULL) {
        memcpy(t->secret, secret, sizeof t->secret);
    }
    h->asked.trusted_until_us += ttl_ms * TRUST_PER_MILLE * MS / 1000;
    t->proof = h->asked;
    h->state = HOLDER_OPEN;
    h->next_sequence = 1;
    h->open_count = 0;
    h->acked_floor = 0;
    const struct oracle_lease *l = oracle_lease(all->oracle, id);
    if (l == NULL) {
        world_fail(world_of(h), "lease %" PRIx64 " was granted, but nobody has it", id);
    }
    world_trace(world_of(h), "holder %u: opened %" PRIx64 " for %" PRIu64 " ms", h->number, id,
                ttl_ms);
    tick_in(h, 1);
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
        world_fail(world_of(h), "a session's secret has %zu bytes", m->secret.len);
    }
    coord__v1__session_open_reply__free_unpacked(m, NULL);
}

/* ---- Resume, Close, wrong credentials ---------------------------------------------------- */

static ProtobufCBinaryData secret_of(struct tenancy *t)
{
    return (ProtobufCBinaryData){.len = sizeof t->secret, .data = t->secret};
}

static void resume_begin(struct holder *h, enum holder_act act)
{
    struct tenancy *t = tenancy_of(h);
    uint8_t wrong[HOLDER_SECRET_BYTES];
    Coord__V1__SessionResumeRequest m;
    coord__v1__session_resume_request__init(&m);
    m.id = t->id;
    m.secret = secret_of(t);
    if (act == ACT_WRONG_SECRET) {
        memcpy(wrong, t->secret, sizeof wrong);
        wrong[world_random(world_of(h), 0, sizeof wrong - 1)] ^= 1;
        m.secret.data = wrong;
    }
    struct cluster *c = h->all->cluster;
    if (act_call(h, act, "/coord.v1.Session/Resume", &m.base) && c->moment != NULL) {
        c->moment(c->context, MOMENT_RESUME, h->main.remote->node);
    }
}

static void close_begin(struct holder *h)
{
    struct tenancy *t = tenancy_of(h);
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
    struct tenancy *t = tenancy_of(h);
    if (a->end == REMOTE_ANSWERED && a->code == GRPC_OK) {
        Coord__V1__SessionResumeReply *m =
            remote_call_reply(call, &coord__v1__session_resume_reply__descriptor);
        h->asked.trusted_until_us += m->ttl_ms * TRUST_PER_MILLE * MS / 1000;
        confirmed(h, t, &h->asked, m->ttl_ms);
        if (m->generation <= t->generation) {
            world_fail(world_of(h), "a resume has left generation %" PRIu64 " as it was",
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
        world_fail(world_of(h), "wrong credentials resume a session");
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
    struct tenancy *t = tenancy_of(h);
    if (a->end == REMOTE_ANSWERED && (a->code == GRPC_OK || is_gone(h, a->outcome))) {
        t->is_close_told |= a->code == GRPC_OK;
        h->all->closed += a->code == GRPC_OK;
        holder_is_gone(h);
    } else {
        holder_check_failure(h, a);
    }
}

static void main_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct holder *h = call->owner;
    enum holder_act act = (enum holder_act)h->act;
    h->act = ACT_NONE;
    world_trace(world_of(h), "holder %u: act %u ended with %s %s", h->number, act,
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
        world_fail(world_of(h), "a keepalive is answered that was not sent");
        return;
    }
    struct proof sent = h->pending[0];
    h->pending_count--;
    memmove(h->pending, h->pending + 1, h->pending_count * sizeof sent);
    struct tenancy *t = tenancy_find(h->all, id);
    if (t == NULL || h->state == HOLDER_NONE || t != tenancy_of(h)) {
        return; /* of the one before */
    }
    if (ttl_ms > 0 && outcome == OUTCOME_OK) {
        sent.trusted_until_us += ttl_ms * TRUST_PER_MILLE * MS / 1000;
        confirmed(h, t, &sent, ttl_ms);
        h->all->kept_alive++;
    } else if (is_gone(h, outcome)) {
        holder_is_gone(h);
    } else {
        world_fail(world_of(h), "a keepalive is answered by \"%s\"", outcome_text(outcome));
    }
}

static void stream_message(struct remote_call *call, struct slice message)
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

static void stream_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct holder *h = call->owner;
    h->pending_count = 0;
    holder_check_failure(h, a);
    /* On another machine or node: with a resume, or just going on. */
    h->wants_resume |= world_chance(world_of(h), 500);
    if (world_chance(world_of(h), 250)) {
        struct station *here = h->stations[0];
        h->stations[0] = h->stations[1];
        h->stations[1] = here;
        h->wants_resume = true;
    }
}

static void stream_send(struct holder *h)
{
    struct tenancy *t = tenancy_of(h);
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
    h->pending[h->pending_count++] = proof_now(h, 0);
    if (t->is_lease) {
        Coord__V1__LeaseKeepAliveRequest m;
        coord__v1__lease_keep_alive_request__init(&m);
        m.id = t->id;
        remote_call_send(&h->stream, &m.base);
    } else {
        Coord__V1__SessionKeepAliveRequest m;
        coord__v1__session_keep_alive_request__init(&m);
        m.id = t->id;
        m.secret = secret_of(t);
        remote_call_send(&h->stream, &m.base);
    }
    /* A stream that answers nothing for half the TTL is given up. */
    const struct proof *oldest = &h->pending[0];
    if (world_of(h)->now_us - oldest->at_us > t->ttl_ms * MS / 2) {
        remote_call_give_up(&h->stream);
    }
}

/* ---- what to do next --------------------------------------------------------------------- */

static void expiry_cb(void *context)
{
    struct holder *h = context;
    struct cluster *c = h->all->cluster;
    int leader = cluster_leader(c);
    if (h->state == HOLDER_SILENT && leader >= 0 && c->moment != NULL) {
        c->moment(c->context, MOMENT_EXPIRY, (uint32_t)leader);
    }
}

static void fall_silent(struct holder *h, uint64_t us)
{
    uint64_t ttl_us = tenancy_of(h)->ttl_ms * MS;
    /* By the leader's clock, and with what still touches it. */
    world_at(world_of(h), &h->expiry,
             world_random(world_of(h), ttl_us * 9 / 10, ttl_us * 13 / 10), expiry_cb, h);
    h->state = HOLDER_SILENT;
    h->silent_until_us = station_now_us(h->stations[0]) + us;
    remote_call_give_up(&h->stream);
}

/* Now and then something else than keepalives. */
static void act_at_random(struct holder *h)
{
    struct tenancy *t = tenancy_of(h);
    uint64_t dice = world_random(world_of(h), 0, 999);
    if (remote_call_is_open(&h->main)) {
        return;
    }
    if (h->wants_resume && !t->is_lease) {
        resume_begin(h, ACT_RESUME);
    } else if (dice < 15) {
        close_begin(h);
    } else if (dice < 35) {
        fall_silent(h, t->ttl_ms * MS * world_random(world_of(h), 1, SILENCE_FACTOR * 2) / 2);
    } else if (dice < 60 && !t->is_lease) {
        resume_begin(h, ACT_WRONG_SECRET);
    } else if (dice < 80 && !t->is_lease) {
        resume_begin(h, ACT_RESUME);
    }
}

static void open_tick(struct holder *h)
{
    if (h->all->is_ending) {
        fall_silent(h, 3600 * SECOND);
        return;
    }
    stream_send(h);
    act_at_random(h);
    if (h->state == HOLDER_OPEN && world_chance(world_of(h), 400)) {
        holder_work(h);
    }
}

static void silent_tick(struct holder *h)
{
    if (h->all->is_ending || station_now_us(h->stations[0]) < h->silent_until_us ||
        remote_call_is_open(&h->main)) {
        return;
    }
    if (tenancy_of(h)->is_lease) {
        h->state = HOLDER_OPEN; /* the next keepalive tells */
    } else {
        resume_begin(h, ACT_RESUME);
    }
}

static void holder_tick(void *context)
{
    struct holder *h = context;
    struct world *w = world_of(h);
    uint64_t pause = sim_host_pause_left(&h->stations[0]->host);
    if (pause > 0) {
        tick_in(h, pause);
        return;
    }
    switch (h->state) {
    case HOLDER_NONE:
        if (!h->all->is_ending && !remote_call_is_open(&h->main)) {
            open_begin(h);
        }
        break;
    case HOLDER_OPEN: open_tick(h); break;
    case HOLDER_SILENT: silent_tick(h); break;
    case HOLDER_CLOSING:
        if (!remote_call_is_open(&h->main)) {
            close_begin(h);
        }
        break;
    default: break;
    }
    uint64_t us = h->state == HOLDER_OPEN ? tenancy_of(h)->ttl_ms * MS / 6 : TICK_US;
    tick_in(h, world_random(w, us / 2, us));
}

/* ---- all of them ------------------------------------------------------------------------- */

void holders_init(struct holders *h, struct cluster *c, struct oracle *o)
{
    *h = (struct holders){.cluster = c, .oracle = o};
    o->gone = gone_cb;
    o->context = h;
}

struct holder *holders_add(struct holders *all, struct station *here, struct station *other)
{
    struct holder *h = &all->items[all->count];
    *h = (struct holder){.all = all, .number = all->count++, .stations = {here, other}};
    h->makes_leases = true;
    h->main = (struct remote_call){.owner = h, .ended = main_ended};
    h->work = (struct remote_call){.owner = h, .ended = holder_worked};
    h->stream =
        (struct remote_call){.owner = h, .ended = stream_ended, .message = stream_message};
    return h;
}

void holders_start(struct holders *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        tick_in(&all->items[i], world_random(&all->cluster->world, 1, TICK_US));
    }
}

void holders_end(struct holders *all)
{
    all->is_ending = true;
}

bool holders_are_idle(const struct holders *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct holder *h = &all->items[i];
        if ((h->state != HOLDER_NONE && h->state != HOLDER_SILENT) ||
            remote_call_is_open(&h->main) || remote_call_is_open(&h->stream) ||
            remote_call_is_open(&h->work)) {
            return false;
        }
    }
    return true;
}

void holders_close(struct holders *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct holder *h = &all->items[i];
        world_cancel(&all->cluster->world, &h->tick);
        world_cancel(&all->cluster->world, &h->expiry);
        remote_call_release(&h->main);
        remote_call_release(&h->work);
        remote_call_release(&h->stream);
        buf_close(&h->request);
    }
    mem_free(all->tenancies);
}
