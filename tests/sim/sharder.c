#include "tests/sim/sharder.h"

#include <string.h>

#include "base/slab.h"
#define TICK_US      (30 * MS)
#define CALM_WRITES  200 /* per mille */
#define LOST_MS      800 /* a node that is away for so long is lost */
#define TIMEOUT_MS   4000
#define WRITES_AWAKE 3

/* ---- what to do --------------------------------------------------------------------------- */

/* For longer than its session lives, mostly. Paused it does nothing at all, and what it sends was
 * decided before; or it only keeps its session alive no more. */
static void fall_asleep(struct sharder *s)
{
    struct world *w = sharder_world(s);
    uint64_t us = s->ttl_ms * MS * world_random(w, 6, 22) / 10;
    s->state = SHARDER_ASLEEP;
    s->asleep_until_us = station_now_us(&s->station) + us;
    s->writes_left = (uint32_t)world_random(w, 1, WRITES_AWAKE);
    if (world_chance(w, 600) && s->station.host.paused_until_us < w->now_us + us) {
        s->station.host.paused_until_us = w->now_us + us;
    }
}

/* Its process is another one, that knows nothing; its session lives on without it. */
static void crash(struct sharder *s)
{
    remote_call_give_up(&s->main);
    s->state = SHARDER_NONE;
    memset(s->epochs, 0, sizeof s->epochs);
    s->move_count = 0;
}

static void serving_tick(struct sharder *s)
{
    struct world *w = sharder_world(s);
    uint64_t dice = world_random(w, 0, 999);
    if (!remote_call_is_open(&s->work) && (!s->all->is_calm || dice < CALM_WRITES)) {
        (void)sharder_write(s);
    }
    if (remote_call_is_open(&s->main)) {
        return;
    }
    if (!s->all->is_calm && dice < 25) {
        fall_asleep(s);
    } else if (!s->all->is_calm && dice < 30) {
        crash(s);
    } else if (!s->all->is_calm && dice < 36) {
        s->state = SHARDER_LEAVING;
        sharder_leave(s);
    } else if (dice < 100) {
        sharder_tell(s);
    } else if (dice < 700) {
        (void)sharder_report(s);
    }
}

static void waking_tick(struct sharder *s)
{
    if (remote_call_is_open(&s->work)) {
        return;
    }
    if (s->writes_left > 0 && sharder_write(s)) {
        s->writes_left--;
        return;
    }
    s->state = SHARDER_SERVING; /* a look tells whether it is still so */
}

static void act(struct sharder *s)
{
    bool is_busy = remote_call_is_open(&s->main);
    switch ((enum sharder_state)s->state) {
    case SHARDER_NONE:
        if (!is_busy) {
            sharder_open(s);
        }
        break;
    case SHARDER_OPENING: break;
    case SHARDER_JOINING:
        if (!is_busy) {
            sharder_join(s);
        }
        break;
    case SHARDER_SERVING: serving_tick(s); break;
    case SHARDER_ASLEEP:
        if (station_now_us(&s->station) >= s->asleep_until_us) {
            s->state = SHARDER_WAKING;
        }
        break;
    case SHARDER_WAKING: waking_tick(s); break;
    case SHARDER_LEAVING:
        if (!is_busy) {
            sharder_leave(s);
        }
        break;
    }
}

static void end_tick(struct sharder *s)
{
    remote_call_give_up(&s->main);
    remote_call_give_up(&s->work);
    remote_call_give_up(&s->look);
    s->state = SHARDER_NONE;
    s->write.number = 0;
}

static void sharder_tick(void *context)
{
    struct sharder *s = context;
    struct world *w = sharder_world(s);
    uint64_t pause = sim_host_pause_left(&s->station.host);
    if (pause > 0) {
        sharder_tick_in(s, pause);
        return;
    }
    shard_judge_settle(&s->all->judge);
    if (s->all->is_ending) {
        end_tick(s);
        return;
    }
    bool is_awake = s->state == SHARDER_JOINING || s->state == SHARDER_SERVING ||
                    s->state == SHARDER_LEAVING;
    uint64_t since_us = station_now_us(&s->station) - s->looked_us;
    if (is_awake && since_us > s->ttl_ms * MS / 5 && !remote_call_is_open(&s->look)) {
        sharder_look(s);
    }
    act(s);
    sharder_tick_in(s, world_random(w, TICK_US / 3, TICK_US));
}

void sharder_tick_in(struct sharder *s, uint64_t us)
{
    world_at(sharder_world(s), &s->tick, us, sharder_tick, s);
}

/* ---- all of them -------------------------------------------------------------------------- */

static void changed_cb(void *context, const struct change *c)
{
    shard_judge_change(&((struct sharders *)context)->judge, c);
}

void sharders_init(struct sharders *all, struct cluster *c, struct oracle *o)
{
    memset(all, 0, sizeof *all);
    all->cluster = c;
    all->oracle = o;
    all->values = slab_heap_new();
    shard_judge_init(&all->judge, &c->world);
    oracle_follow(o, changed_cb, all);
    all->goal = world_chance(&c->world, 500) ? COORD__V1__SHARD_GOAL__GOAL_REPAIR
                                             : COORD__V1__SHARD_GOAL__GOAL_BALANCE;
    all->judge.repairs_only = all->goal == COORD__V1__SHARD_GOAL__GOAL_REPAIR;
}

struct sharder *sharders_add(struct sharders *all)
{
    struct sharder *s = &all->items[all->count];
    if (all->count == 0) {
        struct shard_operator *o = &all->operator;
        o->all = all;
        station_init(&o->station, all->cluster);
        o->call = (struct remote_call){.owner = o, .ended = shard_operator_ended};
    }
    s->all = all;
    s->number = all->count++;
    station_init(&s->station, all->cluster);
    s->main = (struct remote_call){.owner = s, .ended = sharder_main_ended};
    s->work = (struct remote_call){.owner = s, .ended = sharder_work_ended};
    s->look = (struct remote_call){.owner = s, .ended = sharder_look_ended};
    return s;
}

void sharders_map(const struct sharders *all, struct shard_words *words)
{
    coord__v1__shard_map_create_request__init(&words->request);
    coord__v1__shard_policy__init(&words->policy);
    words->request.path = shard_text(SHARD_MAP);
    words->request.strategy = COORD__V1__SHARD_STRATEGY__HASH_SHARDS;
    words->request.shards = SHARD_COUNT;
    words->request.policy = &words->policy;
    words->policy.replicas = SHARD_REPLICAS;
    words->policy.automatic = all->goal;
    words->policy.lost_after_ms = LOST_MS;
    words->policy.timeout_ms = TIMEOUT_MS;
}

void sharders_start(struct sharders *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        sharder_tick_in(&all->items[i], world_random(&all->cluster->world, 1, TICK_US));
    }
    if (all->count > 0) {
        world_at(&all->cluster->world, &all->operator.tick, TICK_US, shard_operator_tick,
                 &all->operator);
    }
}

void sharders_calm(struct sharders *all)
{
    all->is_calm = true;
}

bool sharders_are_calm(const struct sharders *all)
{
    return all->count == 0 || shard_judge_is_calm(&all->judge);
}

void sharders_end(struct sharders *all)
{
    all->is_ending = true;
    for (uint32_t i = 0; i < all->count; i++) {
        sharder_tick_in(&all->items[i], 1);
    }
    remote_call_give_up(&all->operator.call);
}

bool sharders_are_idle(const struct sharders *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct sharder *s = &all->items[i];
        if (s->state != SHARDER_NONE || remote_call_is_open(&s->main) ||
            remote_call_is_open(&s->work) || remote_call_is_open(&s->look)) {
            return false;
        }
    }
    return !remote_call_is_open(&all->operator.call);
}

void sharders_close(struct sharders *all)
{
    struct world *w = &all->cluster->world;
    slab_heap_free(all->values);
    for (uint32_t i = 0; i < all->count; i++) {
        struct sharder *s = &all->items[i];
        station_close(&s->station);
        world_cancel(w, &s->tick);
        remote_call_release(&s->main);
        remote_call_release(&s->work);
        remote_call_release(&s->look);
    }
    if (all->count > 0) {
        station_close(&all->operator.station);
        world_cancel(w, &all->operator.tick);
        remote_call_release(&all->operator.call);
    }
    shard_judge_close(&all->judge);
}
