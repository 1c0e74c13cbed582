/* What a locker asks of the nodes, and what comes of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coord/v1/election.pb-c.h"
#include "coord/v1/lock.pb-c.h"
#include "coord/v1/session.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "tests/sim/locker.h"

#define CALL_LIMIT_US (600 * MS)
#define WAIT_LIMIT_US (1500 * MS)
#define WRITES_MAX    3

/* ---- requests ----------------------------------------------------------------------------- */

struct words {
    Coord__V1__RequestHeader header;
    Coord__V1__SessionRef session;
    Coord__V1__RequestId id;
};

/* In the name of the session; one call with a number is under way at a time. */
static void words_fill(const struct locker *l, struct words *w, uint64_t sequence)
{
    coord__v1__request_header__init(&w->header);
    coord__v1__session_ref__init(&w->session);
    w->session.id = l->session;
    w->session.sequence = sequence;
    w->session.answered_to = sequence == 0 ? 0 : sequence - 1;
    w->header.session = &w->session;
}

static struct remote *remote_pick(struct locker *l)
{
    return &l->station.remotes[station_pick(&l->station)];
}

static bool main_call(struct locker *l, const char *path, const ProtobufCMessage *message,
                      uint64_t limit_us)
{
    struct remote *r = remote_pick(l);
    l->asked_node = r->node;
    return remote_call(r, &l->main, path, message, false, limit_us);
}

void locker_open(struct locker *l)
{
    Coord__V1__SessionOpenRequest m;
    coord__v1__session_open_request__init(&m);
    m.ttl_ms = world_random(locker_world(l), 500, 700);
    if (main_call(l, "/coord.v1.Session/Open", &m.base, CALL_LIMIT_US)) {
        l->state = LOCKER_OPENING;
    }
}

void locker_close_session(struct locker *l)
{
    Coord__V1__SessionCloseRequest m;
    coord__v1__session_close_request__init(&m);
    m.id = l->session;
    m.secret = (ProtobufCBinaryData){.len = sizeof l->secret, .data = l->secret};
    (void)main_call(l, "/coord.v1.Session/Close", &m.base, CALL_LIMIT_US);
}

static void ask_lock(struct locker *l, struct words *words)
{
    struct locker_wish *wish = &l->wish;
    Coord__V1__LockTarget targets[LOCKER_TARGETS_MAX];
    Coord__V1__LockTarget *list[LOCKER_TARGETS_MAX];
    char paths[LOCKER_TARGETS_MAX][8];
    Coord__V1__LockAcquireRequest m;
    coord__v1__lock_acquire_request__init(&m);
    for (uint32_t i = 0; i < wish->count; i++) {
        coord__v1__lock_target__init(&targets[i]);
        (void)snprintf(paths[i], sizeof paths[i], "%s", lock_paths[wish->locks[i]]);
        targets[i].path = paths[i];
        targets[i].mode = wish->mode;
        if (wish->mode == COORD__V1__LOCK_MODE__PERMITS_LOCK) {
            targets[i].permits = 1;
            targets[i].limit = LOCK_S_PERMITS;
        }
        list[i] = &targets[i];
    }
    m.header = &words->header;
    m.targets = list;
    m.n_targets = wish->count;
    m.no_wait = wish->no_wait;
    m.wait_ms = wish->wait_ms;
    m.hold_ms = wish->hold_ms;
    (void)main_call(l, "/coord.v1.Lock/Acquire", &m.base, WAIT_LIMIT_US);
}

void locker_ask(struct locker *l)
{
    struct words words;
    words_fill(l, &words, l->wish.sequence);
    if (l->wish.locks[0] != LOCK_E) {
        ask_lock(l, &words);
        return;
    }
    Coord__V1__ElectionCampaignRequest m;
    char path[8];
    (void)snprintf(path, sizeof path, "%s", lock_paths[LOCK_E]);
    coord__v1__election_campaign_request__init(&m);
    m.header = &words.header;
    m.path = path;
    m.no_wait = l->wish.no_wait;
    m.wait_ms = l->wish.wait_ms;
    (void)main_call(l, "/coord.v1.Election/Campaign", &m.base, WAIT_LIMIT_US);
}

static void grant_fill(struct locker_grant *g, Coord__V1__LockGrant *to)
{
    coord__v1__lock_grant__init(to);
    to->path = g->path;
    to->revision = g->revision;
}

void locker_release(struct locker *l)
{
    struct words words;
    Coord__V1__LockGrant grants[LOCKER_TARGETS_MAX];
    Coord__V1__LockGrant *list[LOCKER_TARGETS_MAX];
    words_fill(l, &words, l->release_sequence);
    for (uint32_t i = 0; i < l->grant_count; i++) {
        grant_fill(&l->grants[i], &grants[i]);
        list[i] = &grants[i];
    }
    if (l->wish.locks[0] == LOCK_E) {
        Coord__V1__ElectionResignRequest m;
        coord__v1__election_resign_request__init(&m);
        m.header = &words.header;
        m.entry = list[0];
        (void)main_call(l, "/coord.v1.Election/Resign", &m.base, CALL_LIMIT_US);
        return;
    }
    Coord__V1__LockReleaseRequest m;
    coord__v1__lock_release_request__init(&m);
    m.header = &words.header;
    m.grants = list;
    m.n_grants = l->grant_count;
    m.all = true;
    (void)main_call(l, "/coord.v1.Lock/Release", &m.base, CALL_LIMIT_US);
}

void locker_touch(struct locker *l)
{
    struct words words;
    char path[] = "/g/0";
    Coord__V1__GetRequest m;
    coord__v1__get_request__init(&m);
    words_fill(l, &words, 0);
    words.header.consistency = COORD__V1__CONSISTENCY__LOCAL;
    m.header = &words.header;
    m.path = path;
    l->touched_us = station_now_us(&l->station);
    (void)remote_call(remote_pick(l), &l->touch, "/coord.v1.Tree/Get", &m.base, false,
                      CALL_LIMIT_US);
}

/* ---- guarded writes ----------------------------------------------------------------------- */

bool locker_session_is_gone(const struct locker *l)
{
    const struct oracle_lease *lease = oracle_lease(l->all->oracle, l->session);
    return lease != NULL && lease->gone_index != 0;
}

static void write_begin(struct locker *l, uint32_t i)
{
    struct locker_write *w = &l->write;
    *w = (struct locker_write){
        .grant = l->grants[i],
        .is_after_expiry = locker_session_is_gone(l),
        .is_after_release = l->was_released,
    };
    w->number = lock_judge_write(&l->all->judge, w->grant.path, w->grant.revision);
    l->writes_left -= l->writes_left > 0;
    if (station_cluster_ms(&l->station) > 0 && world_chance(locker_world(l), 800)) {
        w->id[0] = station_cluster_ms(&l->station);
        w->id[1] = rng_next(&locker_world(l)->rng);
        w->id[2] = rng_next(&locker_world(l)->rng);
    }
}

/* Not in the name of the session: its guard alone says who may. */
void locker_write(struct locker *l, uint32_t i)
{
    struct words words;
    char path[8];
    char text[64];
    Coord__V1__LockGrant grant;
    Coord__V1__LockGrant *guards[] = {&grant};
    Coord__V1__SetRequest m;
    if (l->write.number == 0) {
        write_begin(l, i);
    }
    struct locker_write *w = &l->write;
    coord__v1__set_request__init(&m);
    coord__v1__request_header__init(&words.header);
    coord__v1__request_id__init(&words.id);
    if (w->id[0] != 0) {
        words.id.issued_ms = w->id[0];
        words.id.high = w->id[1];
        words.id.low = w->id[2];
        words.header.request_id = &words.id;
    }
    (void)snprintf(path, sizeof path, "/g/%c", lock_paths[w->grant.lock][3]);
    lock_write_text(text, sizeof text, w->number, w->grant.epoch);
    grant_fill(&w->grant, &grant);
    m.header = &words.header;
    m.path = path;
    m.data = (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
    m.guards = guards;
    m.n_guards = 1;
    (void)remote_call(remote_pick(l), &l->work, "/coord.v1.Tree/Set", &m.base, false,
                      CALL_LIMIT_US);
}

/* ---- what came of it ---------------------------------------------------------------------- */

/* Answers that say nothing about what was asked, and only such: with all others the world fails. */
static void check_failure(struct locker *l, const struct remote_answer *a, const char *what)
{
    if (a->end == REMOTE_ANSWERED && a->code != GRPC_OK && a->code != GRPC_UNKNOWN &&
        a->code != GRPC_DEADLINE_EXCEEDED && a->code != GRPC_UNAVAILABLE &&
        a->code != GRPC_RESOURCE_EXHAUSTED) {
        world_fail(locker_world(l), "locker %u: %s ended with %s: %s", l->number, what,
                   grpc_code_name(a->code), a->text);
    }
}

static bool is_told_gone(const struct remote_answer *a)
{
    return a->end == REMOTE_ANSWERED &&
           (a->outcome == OUTCOME_NO_SESSION || a->outcome == OUTCOME_NO_LEASE);
}

/* Whoever holds something writes once more. */
static void session_is_gone(struct locker *l)
{
    if (!locker_session_is_gone(l)) {
        world_fail(locker_world(l),
                   "locker %u is told that session %" PRIx64 " does not exist, but it does",
                   l->number, l->session);
    }
    l->state = l->grant_count > 0 ? LOCKER_WAKING : LOCKER_NONE;
}

static void ready(struct locker *l)
{
    l->state = locker_session_is_gone(l) ? LOCKER_NONE : LOCKER_READY;
    l->grant_count = 0;
    l->was_released = false;
}

static void opened(struct locker *l, const struct remote_call *call)
{
    Coord__V1__SessionOpenReply *m =
        remote_call_reply(call, &coord__v1__session_open_reply__descriptor);
    station_hear(&l->station, l->asked_node, m->header);
    l->session = m->id;
    l->ttl_ms = m->ttl_ms;
    memcpy(l->secret, m->secret.data,
           m->secret.len < sizeof l->secret ? m->secret.len : sizeof l->secret);
    l->next_sequence = 1;
    l->is_haunted = false;
    l->touched_us = station_now_us(&l->station);
    coord__v1__session_open_reply__free_unpacked(m, NULL);
    ready(l);
}

static void held(struct locker *l, enum lock_name lock, const Coord__V1__LockGrant *grant,
                 uint64_t epoch)
{
    struct locker_grant *g = &l->grants[l->grant_count++];
    *g = (struct locker_grant){.lock = lock, .revision = grant->revision, .epoch = epoch};
    (void)snprintf(g->path, sizeof g->path, "%s", grant->path);
    lock_judge_told_held(&l->all->judge, g->path, g->revision, epoch, l->session);
    l->all->held++;
    l->all->led += lock == LOCK_E;
}

static void all_held(struct locker *l, const struct remote_call *call)
{
    if (l->wish.locks[0] == LOCK_E) {
        Coord__V1__ElectionCampaignReply *m =
            remote_call_reply(call, &coord__v1__election_campaign_reply__descriptor);
        held(l, LOCK_E, m->grant, m->epoch);
        coord__v1__election_campaign_reply__free_unpacked(m, NULL);
    } else {
        Coord__V1__LockAcquireReply *m =
            remote_call_reply(call, &coord__v1__lock_acquire_reply__descriptor);
        if (m->n_held != l->wish.count) {
            world_fail(locker_world(l), "%u locks were asked for, %zu are held", l->wish.count,
                       m->n_held);
        }
        for (size_t i = 0; i < m->n_held && i < l->wish.count; i++) {
            held(l, l->wish.locks[i], m->held[i]->grant, m->held[i]->epoch);
        }
        coord__v1__lock_acquire_reply__free_unpacked(m, NULL);
    }
    l->state = LOCKER_HOLDING;
    l->writes_left = (uint32_t)world_random(locker_world(l), 0, WRITES_MAX);
}

/* Without a number an earlier request, whose answer was lost, may be in the way of this one. */
static bool refusal_is_expected(const struct locker *l, enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_HELD: return l->wish.no_wait;
    case OUTCOME_WAIT_TIMEOUT: return l->wish.wait_ms > 0;
    case OUTCOME_WAIT_ENDED: /* it was had, or given up, by an attempt whose answer was lost */
        return l->is_haunted || l->wish.wait_ms > 0 || l->wish.hold_ms > 0 || l->wish.no_wait;
    case OUTCOME_WAITS:
    case OUTCOME_MISMATCH:
    case OUTCOME_DEADLOCK: return l->is_haunted;
    default: return false;
    }
}

static void ask_ended(struct locker *l, const struct remote_call *call,
                      const struct remote_answer *a)
{
    if (is_told_gone(a)) {
        session_is_gone(l);
    } else if (a->end == REMOTE_ANSWERED && a->code == GRPC_OK) {
        all_held(l, call);
    } else if (a->end == REMOTE_ANSWERED && a->outcome != OUTCOME_COUNT) {
        if (!refusal_is_expected(l, a->outcome)) {
            world_fail(locker_world(l), "locker %u: asking for %s ended with \"%s\"", l->number,
                       lock_paths[l->wish.locks[0]], outcome_text(a->outcome));
        }
        ready(l);
        if (l->is_haunted && l->state == LOCKER_READY) {
            l->state = LOCKER_CLOSING;
        }
    } else {
        check_failure(l, a, "asking for a lock");
        if (l->wish.sequence == 0) {
            ready(l);
            l->is_haunted = true;
        } else if (world_chance(locker_world(l), 150)) {
            l->wish.no_wait = true; /* it waits no longer */
            l->wish.wait_ms = 0;
        }
    }
}

static void release_ended(struct locker *l, const struct remote_answer *a)
{
    struct lock_judge *j = &l->all->judge;
    bool is_done = a->end == REMOTE_ANSWERED &&
                   (a->code == GRPC_OK || a->outcome == OUTCOME_NOT_HELD);
    if (is_told_gone(a)) {
        session_is_gone(l);
    } else if (!is_done) {
        check_failure(l, a, "a release");
    } else {
        uint32_t there = 0;
        for (uint32_t i = 0; i < l->grant_count; i++) {
            const struct locker_grant *g = &l->grants[i];
            const struct lock_entry *e = lock_judge_entry(j, g->path, g->revision);
            there += e != NULL && e->gone_revision == 0;
        }
        /* One part may be gone before the others, when its time to hold has passed. */
        if (a->code == GRPC_OK ? there > 0 : there == l->grant_count) {
            world_fail(locker_world(l), "locker %u: a release ended with %s, but %u are there",
                       l->number, grpc_code_name(a->code), there);
        }
        l->was_released = a->code == GRPC_OK;
        if (l->was_released && world_chance(locker_world(l), 300)) {
            l->state = LOCKER_WAKING;
        } else {
            ready(l);
        }
    }
}

void locker_main_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct locker *l = call->owner;
    world_trace(locker_world(l), "locker %u: %s ended with %s %s", l->number, call->path,
                a->end == REMOTE_ANSWERED ? grpc_code_name(a->code) : "loss", a->text);
    l->cycles += a->end == REMOTE_ANSWERED && a->code == GRPC_OK;
    switch ((enum locker_state)l->state) {
    case LOCKER_OPENING:
        l->state = LOCKER_NONE;
        if (a->end == REMOTE_ANSWERED && a->code == GRPC_OK) {
            opened(l, call);
        }
        break;
    case LOCKER_ASKING: ask_ended(l, call, a); break;
    case LOCKER_RELEASING: release_ended(l, a); break;
    case LOCKER_CLOSING:
        if (is_told_gone(a) || (a->end == REMOTE_ANSWERED && a->code == GRPC_OK)) {
            session_is_gone(l);
        } else {
            check_failure(l, a, "a close");
        }
        break;
    default: break;
    }
    if (a->end == REMOTE_ANSWERED && !remote_call_is_open(&l->work)) {
        locker_tick_in(l, 1);
    }
}

static void write_refused(struct locker *l, const struct locker_write *w)
{
    struct lockers *all = l->all;
    lock_judge_told_stale(&all->judge, w->number);
    all->stale++;
    all->fenced += w->is_after_expiry;
    all->released += w->is_after_release;
}

static void written(struct locker *l, struct remote_call *call, const struct locker_write *w)
{
    Coord__V1__SetReply *m = remote_call_reply(call, &coord__v1__set_reply__descriptor);
    lock_judge_told_written(&l->all->judge, w->number, m->stat->modify_revision);
    coord__v1__set_reply__free_unpacked(m, NULL);
    l->all->written++;
    if (w->is_after_expiry || w->is_after_release) {
        world_fail(locker_world(l), "locker %u: a guarded write was taken after its %s",
                   l->number, w->is_after_expiry ? "session had expired" : "release");
    }
}

/* It may have woken up in time, or not know whether it did: then it goes on as if. */
static void went_on(struct locker *l, bool is_stale)
{
    if (is_stale || l->was_released || locker_session_is_gone(l)) {
        l->is_haunted |= l->grant_count > 1; /* the other part has a time of its own */
        ready(l);
    } else {
        l->state = LOCKER_HOLDING;
        l->writes_left = 0;
    }
}

void locker_work_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct locker *l = call->owner;
    struct locker_write w = l->write;
    bool is_stale = a->end == REMOTE_ANSWERED && a->outcome == OUTCOME_GUARD_STALE;
    bool is_done = a->end == REMOTE_ANSWERED && a->code == GRPC_OK;
    bool is_late = a->end == REMOTE_ANSWERED && (a->outcome == OUTCOME_REQUEST_EXPIRED ||
                                                 a->outcome == OUTCOME_REQUEST_FUTURE);
    world_trace(locker_world(l), "locker %u: write %" PRIu64 " ended with %s %s", l->number,
                w.number, a->end == REMOTE_ANSWERED ? grpc_code_name(a->code) : "loss", a->text);
    if (w.number == 0) {
        return; /* it ends */
    }
    if (is_stale) {
        write_refused(l, &w);
    } else if (is_done) {
        written(l, call, &w);
    } else if (!is_late) {
        check_failure(l, a, "a guarded write");
        if (w.id[0] != 0) {
            return; /* it is repeated */
        }
    }
    l->write.number = 0;
    if (l->state == LOCKER_WAKING || (l->state == LOCKER_HOLDING && is_stale)) {
        went_on(l, is_stale);
    }
    if (a->end == REMOTE_ANSWERED) {
        locker_tick_in(l, 1);
    }
}

void locker_touch_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct locker *l = call->owner;
    bool is_mine = l->state == LOCKER_READY || l->state == LOCKER_HOLDING;
    if (is_mine && is_told_gone(a) && locker_session_is_gone(l)) {
        session_is_gone(l);
        locker_tick_in(l, 1);
    }
}
