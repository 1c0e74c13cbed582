/* Who looks after a shard map by hand: has plans made and begins them, hands the lead over, and
 * holds, resumes and aborts moves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sharder.h"

#define CALL_LIMIT_US (1500 * MS)
#define TICK_US       (150 * MS)
#define PLAN_MAX      16
#define PLAN_PATH     "/coord.v1.ShardMap/Plan"
#define APPLY_PATH    "/coord.v1.ShardMap/Apply"

static struct world *world_of(const struct shard_operator *o)
{
    return &o->all->cluster->world;
}

static void ask(struct shard_operator *o, const char *path, const ProtobufCMessage *message)
{
    struct remote *r = &o->station.remotes[station_pick(&o->station)];
    (void)remote_call(r, &o->call, path, message, false, CALL_LIMIT_US);
}

/* ---- moves -------------------------------------------------------------------------------- */

/* One that is there, as the judge knows; NULL: there is none. */
static const struct shard_move_seen *move_pick(const struct shard_operator *o, bool is_held)
{
    const struct shard_judge *j = &o->all->judge;
    for (size_t i = 0; i < j->move_count; i++) {
        if (!j->moves[i].is_gone && j->moves[i].is_held == is_held) {
            return &j->moves[i];
        }
    }
    return NULL;
}

static bool change_move(struct shard_operator *o, const char *path, bool is_held)
{
    const struct shard_move_seen *move = move_pick(o, is_held);
    Coord__V1__ShardMapMovesRequest m;
    uint64_t number = move != NULL ? move->number : 0;
    coord__v1__shard_map_moves_request__init(&m);
    m.path = shard_text(SHARD_MAP);
    m.moves = &number;
    m.n_moves = 1;
    if (move != NULL) {
        ask(o, path, &m.base);
    }
    return move != NULL;
}

/* ---- plans -------------------------------------------------------------------------------- */

static void ask_plan(struct shard_operator *o)
{
    Coord__V1__ShardMapPlanRequest m;
    coord__v1__shard_map_plan_request__init(&m);
    m.path = shard_text(SHARD_MAP);
    m.goal = o->all->goal;
    ask(o, PLAN_PATH, &m.base);
}

/* Another leader for a shard, by hand: of the map as it is now. */
static void ask_lead(struct shard_operator *o)
{
    const struct shard_judge *j = &o->all->judge;
    uint32_t shard = (uint32_t)world_random(world_of(o), 0, SHARD_COUNT - 1);
    uint32_t node = (uint32_t)world_random(world_of(o), 0, o->all->count - 1);
    Coord__V1__ShardMapApplyRequest m;
    Coord__V1__ShardStep step;
    Coord__V1__ShardStep *list[] = {&step};
    char name[4];
    coord__v1__shard_map_apply_request__init(&m);
    coord__v1__shard_step__init(&step);
    (void)snprintf(name, sizeof name, "d%u", node);
    step.shard = shard;
    step.kind = COORD__V1__SHARD_MOVE_KIND__LEAD_REPLICA;
    step.to = name;
    step.why = shard_text("by-hand");
    m.path = shard_text(SHARD_MAP);
    m.revision = j->revision;
    m.steps = list;
    m.n_steps = 1;
    if (j->revision > 0) {
        ask(o, APPLY_PATH, &m.base);
    }
}

/* The member that made it may have been behind; what it was made of can be long ago. */
static void apply_plan(struct shard_operator *o)
{
    Coord__V1__ShardMapPlanReply *plan =
        remote_call_reply(&o->call, &coord__v1__shard_map_plan_reply__descriptor);
    Coord__V1__ShardMapApplyRequest m;
    Coord__V1__ShardStep *list[PLAN_MAX];
    coord__v1__shard_map_apply_request__init(&m);
    m.path = shard_text(SHARD_MAP);
    m.revision = plan->revision;
    m.steps = list;
    for (size_t i = 0; i < plan->n_steps && i < PLAN_MAX; i++) {
        list[m.n_steps++] = plan->steps[i]->step;
    }
    o->all->planned += m.n_steps;
    if (m.n_steps > 0) {
        ask(o, APPLY_PATH, &m.base);
    }
    coord__v1__shard_map_plan_reply__free_unpacked(plan, NULL);
}

/* ---- what to do --------------------------------------------------------------------------- */

static void act(struct shard_operator *o)
{
    uint64_t dice = world_random(world_of(o), 0, 99);
    bool is_calm = o->all->is_calm;
    if (dice < 50 && (is_calm || dice < 20)) {
        (void)change_move(o, "/coord.v1.ShardMap/Resume", true);
    } else if (is_calm || dice < 60) {
        ask_plan(o);
    } else if (dice < 75) {
        ask_lead(o);
    } else if (dice < 80) {
        (void)change_move(o, "/coord.v1.ShardMap/Hold", false);
    } else if (dice < 95) {
        (void)change_move(o, "/coord.v1.ShardMap/Abort", world_chance(world_of(o), 200));
    }
}

void shard_operator_tick(void *context)
{
    struct shard_operator *o = context;
    uint64_t pause = sim_host_pause_left(&o->station.host);
    if (pause == 0 && o->all->is_ending) {
        return;
    }
    if (pause == 0 && !remote_call_is_open(&o->call)) {
        if (o->has_plan) {
            apply_plan(o);
        } else {
            act(o);
        }
        o->has_plan = false;
    }
    world_at(world_of(o), &o->tick,
             pause > 0 ? pause : world_random(world_of(o), TICK_US / 2, TICK_US * 2),
             shard_operator_tick, o);
}

/* The map has changed since it was looked at, or has not got that far. */
static bool refusal_is_expected(enum outcome outcome)
{
    return outcome == OUTCOME_BAD_VERSION || outcome == OUTCOME_MISMATCH ||
           outcome == OUTCOME_NO_NODE;
}

void shard_operator_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct shard_operator *o = call->owner;
    bool is_ok = a->end == REMOTE_ANSWERED && a->code == GRPC_OK;
    world_trace(world_of(o), "operator: %s ended with %s %s", call->path,
                a->end == REMOTE_ANSWERED ? grpc_code_name(a->code) : "loss", a->text);
    if (!is_ok && (a->end != REMOTE_ANSWERED || !refusal_is_expected(a->outcome))) {
        sharder_check_failure(world_of(o), a, call->path);
    } else if (is_ok) {
        o->has_plan = strcmp(call->path, PLAN_PATH) == 0;
        o->all->applied += strcmp(call->path, APPLY_PATH) == 0;
    }
}
