#include "tests/sim/locker.h"

#include <string.h>

#define TICK_US    (30 * MS)
#define WRITES_MAX 3

/* ---- what to ask for ---------------------------------------------------------------------- */

static void wish_new(struct locker *l)
{
    struct world *w = locker_world(l);
    struct locker_wish *wish = &l->wish;
    uint64_t dice = world_random(w, 0, 99);
    *wish = (struct locker_wish){.count = 1, .mode = COORD__V1__LOCK_MODE__WRITE_LOCK};
    if (dice < 40) {
        wish->locks[0] = LOCK_0;
    } else if (dice < 60) {
        wish->locks[0] = LOCK_1;
        wish->mode = world_chance(w, 500) ? COORD__V1__LOCK_MODE__READ_LOCK : wish->mode;
    } else if (dice < 72) {
        wish->locks[0] = world_chance(w, 500) ? LOCK_0 : LOCK_1;
        wish->locks[1] = wish->locks[0] == LOCK_0 ? LOCK_1 : LOCK_0;
        wish->count = 2;
    } else if (dice < 85) {
        wish->locks[0] = LOCK_S;
        wish->mode = COORD__V1__LOCK_MODE__PERMITS_LOCK;
    } else {
        wish->locks[0] = LOCK_E;
    }
    wish->no_wait = world_chance(w, 100);
    wish->wait_ms = !wish->no_wait && world_chance(w, 150) ? world_random(w, 50, 600) : 0;
    wish->hold_ms = world_chance(w, 150) ? world_random(w, 100, 500) : 0;
    wish->sequence = world_chance(w, 700) ? l->next_sequence++ : 0;
}

/* ---- what to do with what it holds -------------------------------------------------------- */

/* For longer than its session lives, mostly. Paused it does nothing at all, and what it sends was
 * decided before; or it only keeps its session alive no more. */
static void fall_asleep(struct locker *l)
{
    struct world *w = locker_world(l);
    uint64_t us = l->ttl_ms * MS * world_random(w, 8, 22) / 10;
    l->state = LOCKER_ASLEEP;
    l->asleep_until_us = station_now_us(&l->station) + us;
    if (world_chance(w, 600) && l->station.host.paused_until_us < w->now_us + us) {
        l->station.host.paused_until_us = w->now_us + us;
    }
}

static void holding_tick(struct locker *l)
{
    struct world *w = locker_world(l);
    if (remote_call_is_open(&l->work)) {
        return;
    }
    if (l->write.number != 0 || l->writes_left > 0) {
        locker_write(l, (uint32_t)world_random(w, 0, l->grant_count - 1));
        return;
    }
    uint64_t dice = world_random(w, 0, 99);
    if (dice < 50) {
        fall_asleep(l);
    } else if (dice < 58) {
        l->state = LOCKER_CLOSING;
        locker_write(l, 0); /* on its way together with the end */
        locker_close_session(l);
    } else {
        l->state = LOCKER_RELEASING;
        l->release_sequence = world_chance(w, 700) ? l->next_sequence++ : 0;
        locker_release(l);
    }
}

static void waking_tick(struct locker *l)
{
    if (!remote_call_is_open(&l->work)) {
        locker_write(l, 0);
    }
}

static void asleep_tick(struct locker *l)
{
    if (station_now_us(&l->station) >= l->asleep_until_us) {
        l->state = LOCKER_WAKING;
        waking_tick(l);
    }
}

/* ---- what to do next ---------------------------------------------------------------------- */

static void end_tick(struct locker *l)
{
    remote_call_give_up(&l->main);
    remote_call_give_up(&l->work);
    remote_call_give_up(&l->touch);
    l->state = LOCKER_NONE;
    l->write.number = 0;
}

static void act(struct locker *l)
{
    bool is_busy = remote_call_is_open(&l->main);
    switch ((enum locker_state)l->state) {
    case LOCKER_NONE:
        if (!is_busy && !remote_call_is_open(&l->work)) {
            locker_open(l);
        }
        break;
    case LOCKER_OPENING: break;
    case LOCKER_READY:
        if (!is_busy && !remote_call_is_open(&l->work)) {
            wish_new(l);
            l->state = LOCKER_ASKING;
            locker_ask(l);
        }
        break;
    case LOCKER_ASKING:
        if (!is_busy) {
            locker_ask(l);
        }
        break;
    case LOCKER_HOLDING: holding_tick(l); break;
    case LOCKER_ASLEEP: asleep_tick(l); break;
    case LOCKER_WAKING: waking_tick(l); break;
    case LOCKER_RELEASING:
        if (!is_busy) {
            locker_release(l);
        }
        break;
    case LOCKER_CLOSING:
        if (!is_busy) {
            locker_close_session(l);
        }
        break;
    }
}

static void locker_tick(void *context)
{
    struct locker *l = context;
    struct world *w = locker_world(l);
    uint64_t pause = sim_host_pause_left(&l->station.host);
    if (pause > 0) {
        locker_tick_in(l, pause);
        return;
    }
    lock_judge_settle(&l->all->judge);
    if (l->all->is_ending) {
        end_tick(l);
        return;
    }
    bool is_awake = l->state == LOCKER_READY || l->state == LOCKER_ASKING ||
                    l->state == LOCKER_HOLDING || l->state == LOCKER_RELEASING;
    uint64_t since_us = station_now_us(&l->station) - l->touched_us;
    if (is_awake && since_us > l->ttl_ms * MS / 5 && !remote_call_is_open(&l->touch)) {
        locker_touch(l);
    }
    act(l);
    locker_tick_in(l, world_random(w, TICK_US / 3, TICK_US));
}

void locker_tick_in(struct locker *l, uint64_t us)
{
    world_at(locker_world(l), &l->tick, us, locker_tick, l);
}

/* ---- all of them -------------------------------------------------------------------------- */

static void changed_cb(void *context, const struct change *c)
{
    lock_judge_change(&((struct lockers *)context)->judge, c);
}

void lockers_init(struct lockers *all, struct cluster *c, struct oracle *o)
{
    memset(all, 0, sizeof *all);
    all->cluster = c;
    all->oracle = o;
    lock_judge_init(&all->judge, &c->world);
    oracle_follow(o, changed_cb, all);
}

struct locker *lockers_add(struct lockers *all)
{
    struct locker *l = &all->items[all->count];
    l->all = all;
    l->number = all->count++;
    station_init(&l->station, all->cluster);
    l->main = (struct remote_call){.owner = l, .ended = locker_main_ended};
    l->work = (struct remote_call){.owner = l, .ended = locker_work_ended};
    l->touch = (struct remote_call){.owner = l, .ended = locker_touch_ended};
    return l;
}

void lockers_start(struct lockers *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        locker_tick_in(&all->items[i], world_random(&all->cluster->world, 1, TICK_US));
    }
}

void lockers_end(struct lockers *all)
{
    all->is_ending = true;
    for (uint32_t i = 0; i < all->count; i++) {
        locker_tick_in(&all->items[i], 1);
    }
}

bool lockers_are_idle(const struct lockers *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct locker *l = &all->items[i];
        if (l->state != LOCKER_NONE || remote_call_is_open(&l->main) ||
            remote_call_is_open(&l->work) || remote_call_is_open(&l->touch)) {
            return false;
        }
    }
    return true;
}

void lockers_close(struct lockers *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct locker *l = &all->items[i];
        station_close(&l->station);
        world_cancel(&all->cluster->world, &l->tick);
        remote_call_release(&l->main);
        remote_call_release(&l->work);
        remote_call_release(&l->touch);
    }
    lock_judge_close(&all->judge);
}
