#include "tests/sim/faults.h"

#include <stdio.h>

const char *const fault_names[FAULT_KINDS] = {
    "kill",         "power",        "power-all",    "power-in-write", "power-in-start",
    "stop",         "pause",        "cut-one-way",  "partition",      "isolate-leader",
    "reset",        "reset-late",   "slow-link",    "corrupt-bytes",  "disk-slow",
    "disk-full",    "disk-error",   "clock-jump",   "wall-jump",      "client-cut",
    "client-break", "client-pause", "client-death", "at-submit",      "at-candidate",
    "at-leading",   "at-install",   "at-take",      "at-expiry",      "at-resume",
    "at-watch",
};

#define FAULTS_ENOUGH 20
#define ARMED_MAX     2 /* more would only pile up for moments that are rare */

static void fault_tick(void *context);

/* ---- ends of faults ---------------------------------------------------------------------- */

static void fault_end_run(void *context)
{
    struct fault_end *e = context;
    struct cluster *c = e->faults->cluster;
    switch (e->kind) {
    case FAULT_CUT_ONE_WAY: cluster_cut(c, e->a, e->b, false); break;
    case FAULT_PARTITION: cluster_heal_net(c); break;
    case FAULT_CLIENT_CUT:
        cluster_cut(c, e->a, e->b, false);
        cluster_cut(c, e->b, e->a, false);
        break;
    case FAULT_ISOLATE_LEADER: cluster_isolate(c, e->a, false); break;
    case FAULT_SLOW_LINK: c->net.links[e->a][e->b].extra_us = 0; break;
    case FAULT_DISK_SLOW: c->nodes[e->a].host.disk.slow_us = 0; break;
    case FAULT_DISK_FULL: c->nodes[e->a].host.disk.is_full = false; break;
    default: break;
    }
    world_trace(&c->world, "end of %s", fault_names[e->kind]);
}

static void fault_end_in(struct faults *f, enum fault kind, uint32_t a, uint32_t b,
                         uint64_t low_us, uint64_t high_us)
{
    for (size_t i = 0; i < FAULT_ENDS_MAX; i++) {
        struct fault_end *e = &f->ends[i];
        if (!world_is_due(&e->event)) {
            *e = (struct fault_end){.faults = f, .kind = kind, .a = a, .b = b};
            struct world *w = &f->cluster->world;
            uint64_t high = world_chance(w, 750) ? low_us + (high_us - low_us) / 6 : high_us;
            world_at(w, &e->event, world_random(w, low_us, high), fault_end_run, e);
            return;
        }
    }
    struct fault_end now = {.faults = f, .kind = kind, .a = a, .b = b};
    fault_end_run(&now); /* too much is wrong already */
}

/* ---- one fault --------------------------------------------------------------------------- */

static void restart_soon(struct faults *f, uint32_t node)
{
    struct world *w = &f->cluster->world;
    uint64_t high = world_chance(w, 850) ? 150 * MS : 1500 * MS;
    cluster_restart_in(f->cluster, node, world_random(w, 5 * MS, high));
    if (f->is_on[FAULT_POWER_IN_START] && world_chance(w, 250)) {
        f->cluster->nodes[node].host.disk.die_after = (uint32_t)world_random(w, 1, 25);
    }
}

static void crash(struct faults *f, uint32_t node, enum death how)
{
    if (cluster_is_up(f->cluster, node)) {
        cluster_crash(f->cluster, node, how);
        restart_soon(f, node);
    }
}

static bool strike_node(struct faults *f, enum fault kind, uint32_t node)
{
    struct cluster *c = f->cluster;
    struct world *w = &c->world;
    struct sim_disk *d = &c->nodes[node].host.disk;
    if (!cluster_is_up(c, node)) {
        return false;
    }
    switch (kind) {
    case FAULT_KILL: crash(f, node, DEATH_KILL); return true;
    case FAULT_POWER: crash(f, node, DEATH_POWER); return true;
    case FAULT_POWER_IN_WRITE:
        d->die_after = (uint32_t)world_random(w, 1, 30);
        return false; /* counted when it happens */
    case FAULT_STOP:
        if (c->nodes[node].is_stopping) {
            return false;
        }
        cluster_stop(c, node);
        return true;
    case FAULT_PAUSE:
        cluster_pause(c, node,
                      world_random(w, 100 * MS, world_chance(w, 800) ? 500 * MS : 3000 * MS));
        return true;
    case FAULT_DISK_SLOW:
        d->slow_us = world_random(w, 2 * MS, 300 * MS);
        fault_end_in(f, kind, node, 0, 100 * MS, 1500 * MS);
        return true;
    case FAULT_DISK_FULL:
        d->is_full = true;
        fault_end_in(f, kind, node, 0, 200 * MS, 2500 * MS);
        return false; /* counted when something is refused */
    case FAULT_DISK_ERROR: d->fail_after = (uint32_t)world_random(w, 1, 12); return false;
    case FAULT_CLOCK_JUMP:
        c->jumped_us = w->now_us;
        sim_host_jump_clock(&c->nodes[node].host, world_random(w, 20 * MS, 4000 * MS));
        cluster_wake(c, node);
        return true;
    case FAULT_WALL_JUMP:
        c->nodes[node].host.wall_offset_ms = (int64_t)world_random(w, 0, 7200000) - 3600000;
        return true;
    default: return false;
    }
}

static bool strike_link(struct faults *f, enum fault kind, uint32_t a, uint32_t b)
{
    struct cluster *c = f->cluster;
    struct world *w = &c->world;
    if (a == b) {
        return false;
    }
    switch (kind) {
    case FAULT_CUT_ONE_WAY:
        cluster_cut(c, a, b, true);
        fault_end_in(f, kind, a, b, 50 * MS, 2500 * MS);
        return true;
    case FAULT_RESET: return sim_net_reset(&c->net, a, b, 0) > 0;
    case FAULT_RESET_LATE:
        return sim_net_reset(&c->net, a, b, world_random(w, 5 * MS, 1500 * MS)) > 0;
    case FAULT_SLOW_LINK:
        c->net.links[a][b].extra_us = world_random(w, 5 * MS, 400 * MS);
        fault_end_in(f, kind, a, b, 50 * MS, 1500 * MS);
        return true;
    case FAULT_CORRUPT_BYTES:
        c->net.links[a][b].corrupt = (uint32_t)world_random(w, 1, 3);
        return false; /* counted when bytes come along */
    default: return false;
    }
}

static bool strike_station(struct faults *f, enum fault kind)
{
    struct cluster *c = f->cluster;
    struct world *w = &c->world;
    struct station *s = f->stations[world_random(w, 0, f->station_count - 1)];
    uint32_t client = s->host.number;
    uint32_t node = (uint32_t)world_random(w, 0, c->options.nodes - 1);
    switch (kind) {
    case FAULT_CLIENT_CUT:
        cluster_cut(c, client, node, !world_chance(w, 250));
        cluster_cut(c, node, client, !world_chance(w, 250));
        fault_end_in(f, kind, client, node, 50 * MS, 2500 * MS);
        return true;
    case FAULT_CLIENT_BREAK: {
        struct sim_link *there = &c->net.links[client][node];
        struct sim_link *back = &c->net.links[node][client];
        (world_chance(w, 500) ? there : back)->break_after = world_random(w, 1, 3000);
        return false; /* counted when the byte has come */
    }
    case FAULT_CLIENT_PAUSE:
        s->host.paused_until_us =
            w->now_us + world_random(w, 50 * MS, world_chance(w, 800) ? 500 * MS : 3000 * MS);
        return true;
    default: station_crash(s, world_chance(w, 500) ? DEATH_POWER : DEATH_KILL); return true;
    }
}

static bool strike_partition(struct faults *f)
{
    struct cluster *c = f->cluster;
    uint64_t sides = world_random(&c->world, 1, (1U << c->options.nodes) - 2);
    sides |= rng_next(&c->world.rng) << c->options.nodes; /* of the clients: any */
    for (uint32_t i = 0; i < c->net.host_count; i++) {
        for (uint32_t j = 0; j < c->net.host_count; j++) {
            if ((sides >> i & 1) != (sides >> j & 1)) {
                cluster_cut(c, i, j, true);
            }
        }
    }
    fault_end_in(f, FAULT_PARTITION, 0, 0, 100 * MS, 2500 * MS);
    return true;
}

static void fault_strike(struct faults *f, enum fault kind)
{
    struct cluster *c = f->cluster;
    uint32_t last = c->options.nodes - 1;
    uint32_t a = (uint32_t)world_random(&c->world, 0, last);
    uint32_t b = (uint32_t)world_random(&c->world, 0, last);
    bool has_hit = false;
    switch (kind) {
    case FAULT_POWER_ALL:
        for (uint32_t i = 0; i <= last; i++) {
            crash(f, i, DEATH_POWER);
        }
        has_hit = true;
        break;
    case FAULT_PARTITION: has_hit = c->options.nodes > 1 && strike_partition(f); break;
    case FAULT_ISOLATE_LEADER:
        if (cluster_leader(c) >= 0 && c->options.nodes > 1) {
            a = (uint32_t)cluster_leader(c);
            cluster_isolate(c, a, true);
            fault_end_in(f, kind, a, 0, 100 * MS, 2500 * MS);
            has_hit = true;
        }
        break;
    case FAULT_CUT_ONE_WAY:
    case FAULT_RESET:
    case FAULT_RESET_LATE:
    case FAULT_SLOW_LINK:
    case FAULT_CORRUPT_BYTES: has_hit = strike_link(f, kind, a, b); break;
    case FAULT_CLIENT_CUT:
    case FAULT_CLIENT_BREAK:
    case FAULT_CLIENT_PAUSE:
    case FAULT_CLIENT_DEATH: has_hit = f->station_count > 0 && strike_station(f, kind); break;
    default: has_hit = strike_node(f, kind, a); break;
    }
    f->hits[kind] += has_hit;
    world_trace(&c->world, "fault: %s%s", fault_names[kind],
                has_hit ? "" : " (armed, or nothing there)");
}

/* ---- aimed faults ------------------------------------------------------------------------ */

static enum fault moment_fault(enum moment moment)
{
    switch (moment) {
    case MOMENT_SUBMIT: return FAULT_AT_SUBMIT;
    case MOMENT_CANDIDATE: return FAULT_AT_CANDIDATE;
    case MOMENT_LEADING: return FAULT_AT_LEADING;
    case MOMENT_INSTALL: return FAULT_AT_INSTALL;
    case MOMENT_EXPIRY: return FAULT_AT_EXPIRY;
    case MOMENT_RESUME: return FAULT_AT_RESUME;
    case MOMENT_WATCH: return FAULT_AT_WATCH;
    default: return FAULT_AT_TAKE;
    }
}

/* The blow falls on the node at which something important was going on. */
static void aimed_run(void *context)
{
    static const enum fault blows[] = {FAULT_KILL,           FAULT_POWER,     FAULT_POWER,
                                       FAULT_POWER_IN_WRITE, FAULT_PAUSE,     FAULT_DISK_SLOW,
                                       FAULT_ISOLATE_LEADER, FAULT_POWER_ALL, FAULT_DISK_ERROR};
    struct fault_end *e = context;
    struct faults *f = e->faults;
    struct cluster *c = f->cluster;
    enum fault blow = blows[world_random(&c->world, 0, sizeof blows / sizeof blows[0] - 1)];
    if (!cluster_is_up(c, e->a) || !f->is_running) {
        return;
    }
    world_trace(&c->world, "fault: %s: %s of n%u", fault_names[e->kind], fault_names[blow],
                e->a + 1);
    f->hits[e->kind]++;
    if (blow == FAULT_ISOLATE_LEADER) {
        cluster_isolate(c, e->a, true);
        fault_end_in(f, blow, e->a, 0, 100 * MS, 2000 * MS);
    } else if (blow == FAULT_POWER_ALL) {
        fault_strike(f, blow);
    } else {
        (void)strike_node(f, blow, e->a);
    }
}

static void moment_cb(void *context, enum moment moment, uint32_t node)
{
    struct faults *f = context;
    enum fault kind = moment_fault(moment);
    if (!f->is_running || f->armed[kind] == 0) {
        return;
    }
    f->armed[kind]--;
    for (size_t i = 0; i < FAULT_ENDS_MAX; i++) {
        struct fault_end *e = &f->ends[i];
        if (!world_is_due(&e->event)) {
            *e = (struct fault_end){.faults = f, .kind = kind, .a = node};
            world_at(&f->cluster->world, &e->event,
                     world_random(&f->cluster->world, 1,
                                  world_chance(&f->cluster->world, 500) ? 600 : 6 * MS),
                     aimed_run, e);
            return;
        }
    }
}

/* ---- the run ----------------------------------------------------------------------------- */

static void fault_tick(void *context)
{
    struct faults *f = context;
    struct world *w = &f->cluster->world;
    bool is_aimed = world_chance(w, 500);
    enum fault low = is_aimed ? FAULT_AT_SUBMIT : FAULT_KILL;
    enum fault high = is_aimed ? FAULT_KINDS - 1 : FAULT_AT_SUBMIT - 1;
    enum fault kind;
    do {
        kind = (enum fault)world_random(w, low, high);
    } while (!f->is_on[kind]); /* one of each half always is */
    if (!is_aimed) {
        fault_strike(f, kind);
    } else if (f->armed[kind] < ARMED_MAX) {
        f->armed[kind]++;
    }
    uint64_t delay = world_random(w, 1, 2 * f->interval_us);
    if (--f->burst_left == 0) {
        /* A pause, longer each time once there was enough: even the worst mixture must leave
         * room for some work. */
        f->burst_left = (uint32_t)world_random(w, 2, 8);
        f->pause_us += faults_count(f) < FAULTS_ENOUGH ? 5 * MS : 150 * MS;
        delay += world_random(w, 50 * MS, 250 * MS + f->pause_us);
    }
    world_at(w, &f->tick, delay, fault_tick, f);
}

void faults_init(struct faults *f, struct cluster *c)
{
    *f = (struct faults){.cluster = c};
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        f->is_on[i] = world_chance(&c->world, 500);
    }
    /* Something must be able to go wrong even on a single node. */
    f->is_on[world_random(&c->world, FAULT_KILL, FAULT_POWER)] = true;
    f->is_on[FAULT_AT_SUBMIT] = true;
    f->interval_us = world_random(&c->world, 10 * MS, 80 * MS);
    f->burst_left = 8;
    c->moment = moment_cb;
    c->context = f;
}

void faults_add_station(struct faults *f, struct station *s)
{
    f->stations[f->station_count++] = s;
}

void faults_start(struct faults *f)
{
    f->is_running = true;
    world_at(&f->cluster->world, &f->tick, f->interval_us, fault_tick, f);
}

void faults_stop(struct faults *f)
{
    struct cluster *c = f->cluster;
    f->is_running = false;
    world_cancel(&c->world, &f->tick);
    for (size_t i = 0; i < FAULT_ENDS_MAX; i++) {
        world_cancel(&c->world, &f->ends[i].event);
    }
    cluster_heal_net(c);
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        struct cluster_node *n = &c->nodes[i];
        n->host.disk.is_full = false;
        n->host.disk.fail_after = 0;
        n->host.disk.die_after = 0;
        n->host.disk.slow_us = 0;
    }
}

void faults_heal(struct faults *f)
{
    struct cluster *c = f->cluster;
    faults_stop(f);
    cluster_start_all(c);
    /* Who is not scheduled has everything put off until then: it comes back when it was to. */
    uint64_t pause = 0;
    for (size_t i = 0; i < c->net.host_count; i++) {
        uint64_t left = sim_host_pause_left(c->net.hosts[i]);
        pause = left > pause ? left : pause;
    }
    cluster_run(c, pause);
    world_trace(&c->world, "all is healed");
}

uint64_t faults_count(struct faults *f)
{
    struct cluster *c = f->cluster;
    uint64_t total = 0;
    f->hits[FAULT_POWER_IN_WRITE] = c->deaths_in_job;
    f->hits[FAULT_POWER_IN_START] = c->deaths_in_open;
    f->hits[FAULT_DISK_ERROR] = c->disk_failures;
    f->hits[FAULT_CORRUPT_BYTES] = c->net.corrupted;
    f->hits[FAULT_CLIENT_BREAK] = c->net.broken;
    f->hits[FAULT_DISK_FULL] = 0;
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        f->hits[FAULT_DISK_FULL] += c->nodes[i].host.disk.refused_full;
    }
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        total += f->hits[i];
    }
    return total;
}
