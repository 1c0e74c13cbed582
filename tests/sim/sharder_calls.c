/* What a node of a shard map asks of the members, and what comes of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coord/v1/session.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "tests/sim/sharder.h"

#define CALL_LIMIT_US (600 * MS)

/* ---- requests ----------------------------------------------------------------------------- */

struct words {
    Coord__V1__RequestHeader header;
    Coord__V1__SessionRef session;
    char node[4];
};

static void words_fill(const struct sharder *s, struct words *w)
{
    coord__v1__request_header__init(&w->header);
    coord__v1__session_ref__init(&w->session);
    w->session.id = s->session;
    w->header.session = &w->session;
    (void)snprintf(w->node, sizeof w->node, "d%u", s->number);
}

static struct remote *remote_pick(struct sharder *s)
{
    return &s->station.remotes[station_pick(&s->station)];
}

static bool main_call(struct sharder *s, const char *path, const ProtobufCMessage *message)
{
    struct remote *r = remote_pick(s);
    s->asked_node = r->node;
    return remote_call(r, &s->main, path, message, false, CALL_LIMIT_US);
}

void sharder_open(struct sharder *s)
{
    Coord__V1__SessionOpenRequest m;
    coord__v1__session_open_request__init(&m);
    m.ttl_ms = world_random(sharder_world(s), 500, 700);
    if (main_call(s, "/coord.v1.Session/Open", &m.base)) {
        s->state = SHARDER_OPENING;
    }
}

void sharder_join(struct sharder *s)
{
    struct words words;
    Coord__V1__ShardMapJoinRequest m;
    coord__v1__shard_map_join_request__init(&m);
    words_fill(s, &words);
    m.header = &words.header;
    m.path = shard_text(SHARD_MAP);
    m.node = words.node;
    m.address = shard_text("10.0.0.7:1");
    (void)main_call(s, "/coord.v1.ShardMap/Join", &m.base);
}

void sharder_leave(struct sharder *s)
{
    struct words words;
    Coord__V1__ShardMapLeaveRequest m;
    coord__v1__shard_map_leave_request__init(&m);
    words_fill(s, &words);
    m.header = &words.header;
    m.path = shard_text(SHARD_MAP);
    m.node = words.node;
    (void)main_call(s, "/coord.v1.ShardMap/Leave", &m.base);
}

void sharder_tell(struct sharder *s)
{
    struct words words;
    Coord__V1__ShardMapStatsRequest m;
    Coord__V1__ShardStats stats[SHARD_COUNT];
    Coord__V1__ShardStats *list[SHARD_COUNT];
    coord__v1__shard_map_stats_request__init(&m);
    words_fill(s, &words);
    m.header = &words.header;
    m.path = shard_text(SHARD_MAP);
    m.node = words.node;
    m.shards = list;
    for (uint32_t i = 0; i < SHARD_COUNT; i++) {
        coord__v1__shard_stats__init(&stats[i]);
        stats[i].shard = i;
        stats[i].rows = world_random(sharder_world(s), 0, 1000);
        stats[i].position = world_random(sharder_world(s), 0, 100);
        list[m.n_shards++] = &stats[i];
    }
    (void)main_call(s, "/coord.v1.ShardMap/Stats", &m.base);
}

bool sharder_report(struct sharder *s)
{
    struct words words;
    Coord__V1__ShardMapReportRequest m;
    Coord__V1__ShardMoveReport report;
    Coord__V1__ShardMoveReport *list[] = {&report};
    struct world *w = sharder_world(s);
    if (s->move_count == 0) {
        return false;
    }
    const struct sharder_move *move = &s->moves[world_random(w, 0, s->move_count - 1)];
    coord__v1__shard_map_report_request__init(&m);
    coord__v1__shard_move_report__init(&report);
    words_fill(s, &words);
    report.move = move->number;
    report.state = (Coord__V1__ShardMoveState)(move->state + 1);
    if (move->state == COORD__V1__SHARD_MOVE_STATE__COPYING_MOVE && world_chance(w, 400)) {
        report.state = COORD__V1__SHARD_MOVE_STATE__COPYING_MOVE;
        report.progress_permille = (uint32_t)world_random(w, 0, 1000);
    }
    m.header = &words.header;
    m.path = shard_text(SHARD_MAP);
    m.node = words.node;
    m.moves = list;
    m.n_moves = 1;
    return main_call(s, "/coord.v1.ShardMap/Report", &m.base);
}

void sharder_look(struct sharder *s)
{
    struct words words;
    Coord__V1__ListRequest m;
    coord__v1__list_request__init(&m);
    words_fill(s, &words);
    words.header.consistency = COORD__V1__CONSISTENCY__LOCAL;
    m.header = &words.header;
    m.path = shard_text(SHARD_MAP);
    m.recursive = true;
    m.with_data = true;
    s->looked_us = station_now_us(&s->station);
    (void)remote_call(remote_pick(s), &s->look, "/coord.v1.Tree/List", &m.base, false,
                      CALL_LIMIT_US);
}

/* ---- guarded writes ----------------------------------------------------------------------- */

static uint32_t shard_pick(struct sharder *s)
{
    uint32_t first = (uint32_t)world_random(sharder_world(s), 0, SHARD_COUNT - 1);
    for (uint32_t i = 0; i < SHARD_COUNT; i++) {
        uint32_t shard = (first + i) % SHARD_COUNT;
        if (s->epochs[shard] != 0) {
            return shard;
        }
    }
    return SHARD_COUNT;
}

/* Not in the name of the session: its guard alone says who may. */
bool sharder_write(struct sharder *s)
{
    struct shard_judge *j = &s->all->judge;
    Coord__V1__LockGrant grant;
    Coord__V1__LockGrant *guards[] = {&grant};
    Coord__V1__SetRequest m;
    char path[8];
    char guard[32];
    char text[64];
    uint32_t shard = shard_pick(s);
    if (shard == SHARD_COUNT) {
        return false;
    }
    uint64_t epoch = s->epochs[shard];
    s->write = (struct sharder_write){.is_after = j->shards[shard].epoch > epoch};
    s->write.number = shard_judge_write(j, shard, s->number, epoch);
    coord__v1__set_request__init(&m);
    coord__v1__lock_grant__init(&grant);
    (void)snprintf(path, sizeof path, "/h/%u", shard);
    (void)snprintf(guard, sizeof guard, SHARD_MAP "/shards/s-%010u", shard);
    (void)snprintf(text, sizeof text, "write=%" PRIu64 "\n", s->write.number);
    grant.path = guard;
    grant.revision = epoch;
    m.path = path;
    m.data = (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
    m.guards = guards;
    m.n_guards = 1;
    return remote_call(remote_pick(s), &s->work, "/coord.v1.Tree/Set", &m.base, false,
                       CALL_LIMIT_US);
}

/* ---- what came of it ---------------------------------------------------------------------- */

void sharder_check_failure(struct world *w, const struct remote_answer *a, const char *path)
{
    if (a->end == REMOTE_ANSWERED && a->code != GRPC_OK && a->code != GRPC_UNKNOWN &&
        a->code != GRPC_DEADLINE_EXCEEDED && a->code != GRPC_UNAVAILABLE &&
        a->code != GRPC_RESOURCE_EXHAUSTED) {
        world_fail(w, "%s ended with %s: %s", path, grpc_code_name(a->code), a->text);
    }
}

bool sharder_session_is_gone(const struct sharder *s)
{
    const struct oracle_lease *lease = oracle_lease(s->all->oracle, s->session);
    return lease != NULL && lease->gone_index != 0;
}

static bool is_told_gone(const struct remote_answer *a)
{
    return a->end == REMOTE_ANSWERED &&
           (a->outcome == OUTCOME_NO_SESSION || a->outcome == OUTCOME_NO_LEASE);
}

static bool is_ok(const struct remote_answer *a)
{
    return a->end == REMOTE_ANSWERED && a->code == GRPC_OK;
}

/* It goes on to write for what it led, as if it had not heard. */
static void session_is_gone(struct sharder *s)
{
    if (!sharder_session_is_gone(s)) {
        world_fail(sharder_world(s),
                   "d%u is told that session %" PRIx64 " does not exist, but it does",
                   s->number, s->session);
    }
    s->move_count = 0;
    s->state = SHARDER_NONE;
}

static void opened(struct sharder *s, const struct remote_call *call)
{
    Coord__V1__SessionOpenReply *m =
        remote_call_reply(call, &coord__v1__session_open_reply__descriptor);
    station_hear(&s->station, s->asked_node, m->header);
    s->session = m->id;
    s->ttl_ms = m->ttl_ms;
    memcpy(s->secret, m->secret.data,
           m->secret.len < sizeof s->secret ? m->secret.len : sizeof s->secret);
    s->looked_us = station_now_us(&s->station);
    coord__v1__session_open_reply__free_unpacked(m, NULL);
    s->state = sharder_session_is_gone(s) ? SHARDER_NONE : SHARDER_JOINING;
    s->is_unsure = false;
}

static void join_ended(struct sharder *s, const struct remote_answer *a)
{
    if (is_ok(a)) {
        s->all->joined++;
        s->state = SHARDER_SERVING;
    } else if (a->end != REMOTE_ANSWERED || a->outcome != OUTCOME_HELD) {
        sharder_check_failure(sharder_world(s), a, "Join"); /* held: by its own last session */
    }
}

static void leave_ended(struct sharder *s, const struct remote_answer *a)
{
    if (is_ok(a)) {
        s->all->left++;
        s->state = SHARDER_JOINING;
    } else if (a->end == REMOTE_ANSWERED && a->outcome == OUTCOME_NOT_HELD && s->is_unsure) {
        s->state = SHARDER_JOINING;
    } else {
        sharder_check_failure(sharder_world(s), a, "Leave");
    }
    s->is_unsure |= !is_ok(a);
}

/* What it reports may be of a move that is over, held, or back in its queue; its own Leave may
 * have come to pass later than it was given up. */
static void serving_ended(struct sharder *s, const struct remote_call *call,
                          const struct remote_answer *a)
{
    bool is_report = strcmp(call->path, "/coord.v1.ShardMap/Report") == 0;
    bool is_late =
        a->end == REMOTE_ANSWERED &&
        ((is_report && (a->outcome == OUTCOME_MISMATCH || a->outcome == OUTCOME_NO_NODE)) ||
         (s->is_unsure && a->outcome == OUTCOME_NOT_HELD));
    if (a->end == REMOTE_ANSWERED && a->outcome == OUTCOME_NOT_HELD) {
        s->state = SHARDER_JOINING;
    }
    if (!is_ok(a) && !is_late) {
        sharder_check_failure(sharder_world(s), a, call->path);
    }
}

void sharder_main_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct sharder *s = call->owner;
    world_trace(sharder_world(s), "d%u: %s ended with %s %s", s->number, call->path,
                a->end == REMOTE_ANSWERED ? grpc_code_name(a->code) : "loss", a->text);
    s->cycles += is_ok(a);
    if (s->state == SHARDER_OPENING) {
        s->state = SHARDER_NONE;
        if (is_ok(a)) {
            opened(s, call);
        }
    } else if (s->state == SHARDER_NONE) {
        return; /* given up, as it crashed or ends */
    } else if (is_told_gone(a)) {
        session_is_gone(s);
    } else if (s->state == SHARDER_JOINING) {
        join_ended(s, a);
    } else if (s->state == SHARDER_LEAVING) {
        leave_ended(s, a);
    } else {
        serving_ended(s, call, a);
    }
}

void sharder_work_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct sharder *s = call->owner;
    struct sharders *all = s->all;
    struct sharder_write w = s->write;
    s->write.number = 0;
    world_trace(sharder_world(s), "d%u: write %" PRIu64 " ended with %s %s", s->number,
                w.number, a->end == REMOTE_ANSWERED ? grpc_code_name(a->code) : "loss",
                a->text);
    if (w.number == 0) {
        return; /* it ends */
    }
    if (a->end == REMOTE_ANSWERED && a->outcome == OUTCOME_GUARD_STALE) {
        shard_judge_told_stale(&all->judge, w.number);
        all->stale++;
        all->fenced += w.is_after;
    } else if (is_ok(a)) {
        Coord__V1__SetReply *m = remote_call_reply(call, &coord__v1__set_reply__descriptor);
        shard_judge_told_written(&all->judge, w.number, m->stat->modify_revision);
        coord__v1__set_reply__free_unpacked(m, NULL);
        all->written++;
        if (w.is_after) {
            world_fail(sharder_world(s), "d%u: a write was taken though its epoch had passed",
                       s->number);
        }
    } else {
        sharder_check_failure(sharder_world(s), a, "a guarded write");
    }
}

/* ---- a look at the map -------------------------------------------------------------------- */

static bool begins(const char *path, const char *with, const char **rest)
{
    size_t size = strlen(with);
    *rest = path + size;
    return strncmp(path, with, size) == 0;
}

/* The number of a node's name in a line `name=dN`; SHARD_NOBODY: another, or none. */
static bool is_me(const struct sharder *s, const struct value *v, const char *name)
{
    char text[FIELD_BYTES];
    char me[4];
    (void)snprintf(me, sizeof me, "d%u", s->number);
    field_get(v, name, text);
    return strcmp(text, me) == 0;
}

static uint32_t state_word(const struct value *v)
{
    char text[FIELD_BYTES];
    field_get(v, "state", text);
    switch (text[0]) {
    case 'p': return COORD__V1__SHARD_MOVE_STATE__PREPARING_MOVE;
    case 's': return COORD__V1__SHARD_MOVE_STATE__SWITCHING_MOVE;
    case 'c': break;
    default: return COORD__V1__SHARD_MOVE_STATE__QUEUED_MOVE;
    }
    return text[1] == 'o'   ? COORD__V1__SHARD_MOVE_STATE__COPYING_MOVE
           : text[1] == 'a' ? COORD__V1__SHARD_MOVE_STATE__CATCHING_UP_MOVE
                            : COORD__V1__SHARD_MOVE_STATE__CLEANING_UP_MOVE;
}

static void see_move(struct sharder *s, uint64_t number, const struct value *v)
{
    uint32_t state = state_word(v);
    const char *whose =
        state == COORD__V1__SHARD_MOVE_STATE__CLEANING_UP_MOVE ? "cleans" : "to";
    if (state != COORD__V1__SHARD_MOVE_STATE__QUEUED_MOVE && field_number(v, "held") == 0 &&
        is_me(s, v, whose) && s->move_count < SHARDER_MOVES_MAX) {
        s->moves[s->move_count++] = (struct sharder_move){.number = number, .state = state};
    }
}

static void see(struct sharder *s, const Coord__V1__ListEntry *e)
{
    const char *name;
    struct value *v = value_new(s->all->values, slice_make(e->data.data, e->data.len));
    if (begins(e->path, SHARD_MAP "/shards/s-", &name)) {
        uint64_t shard = strtoull(name, NULL, 10);
        if (shard < SHARD_COUNT) {
            s->epochs[shard] = is_me(s, v, "leader") ? field_number(v, "epoch") : 0;
        }
    } else if (begins(e->path, SHARD_MAP "/moves/m-", &name)) {
        see_move(s, strtoull(name, NULL, 10), v);
    }
    value_unref(v);
}

void sharder_look_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct sharder *s = call->owner;
    bool is_mine = s->state == SHARDER_JOINING || s->state == SHARDER_SERVING ||
                   s->state == SHARDER_LEAVING;
    if (!is_mine) {
        return;
    }
    if (is_told_gone(a)) {
        if (sharder_session_is_gone(s)) {
            session_is_gone(s); /* else it is told so of the one before */
        }
        return;
    }
    if (!is_ok(a)) {
        /* Of a member that has not applied so far: there is no map yet. */
        if (a->end != REMOTE_ANSWERED || a->outcome != OUTCOME_NO_NODE) {
            sharder_check_failure(sharder_world(s), a, "a look at the map");
        }
        return;
    }
    Coord__V1__ListReply *m = remote_call_reply(call, &coord__v1__list_reply__descriptor);
    s->move_count = 0;
    for (size_t i = 0; i < m->n_entries; i++) {
        see(s, m->entries[i]);
    }
    coord__v1__list_reply__free_unpacked(m, NULL);
}
