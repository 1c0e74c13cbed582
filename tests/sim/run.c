#include "tests/sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/store.h"
#include "tests/sim/disaster.h"
#include "tests/sim/journal.h"
#include "tests/sim/locker.h"
#include "tests/sim/members.h"
#include "tests/sim/oracle.h"
#include "tests/sim/sharder.h"
#include "tests/sim/watcher.h"
#include "tests/sim/workload.h"
#include "tests/sim/zk_client.h"

#define PHASE_LIMIT_US  (300 * SECOND)
#define PHASE_US        (1500 * MS) /* at least so long, however much is acknowledged */
#define FINISH_LIMIT_US (20 * SECOND)
/* So long does what was healed bear all the load; then it is waited for those who take their time,
 * as whoever sleeps with a lock, with less of it. */
#define LOAD_US (200 * MS)
/* Longer than any session lives that nobody hears of. */
#define CALM_US       ((uint64_t)ZOOKEEPER_TIMEOUT_MS_MAX * 5 / 4 * MS)
#define REAP_LIMIT_US (4 * SECOND) /* the longest ttl, a look each second, slow clocks */

const char *const count_names[COUNT_KINDS] = {
    "kept-alive",  "resumed",    "closed",     "expired",    "repeated",      "refused",
    "reaped",      "recalled",   "registered", "discovered",
    "events",      "listings",   "watch-resumes", "progress",
    "compacted",   "zk-replies", "zk-writes",  "zk-resumed", "zk-expired",    "zk-events",
    "zk-restored", "zk-refused", "zk-cut-off",
    "locks-held",  "elections-won", "handed-over", "guarded-writes", "fenced", "stale",
    "shard-epochs", "shard-joined", "shard-switched", "shard-moved", "shard-aborted",
    "shard-requeued", "shard-applied", "shard-written", "shard-fenced", "shard-stale",
    "joined", "removed", "replaced", "promoted", "transferred", "grown", "changes-refused",
    "recovered", "restored", "interrupted", "lost",
};

struct run {
    struct cluster cluster;
    struct journal journal;
    struct workload workload;
    struct faults faults;
    struct oracle oracle;
    struct holders holders;
    struct watchers watchers;
    struct members members;
    struct disaster disaster;
    struct zk_clients zookeeper;
    struct lockers lockers;
    struct sharders sharders;
    uint64_t phase_end_us;
    uint64_t acked_goal;
    uint64_t faults_goal;
    uint64_t acked_before[CLIENTS_MAX];
    uint64_t moved_before[ZK_CLIENTS_MAX];
    uint64_t cycled_before[LOCKERS_MAX];
    uint64_t served_before[SHARD_NODES_MAX];
};

/* The seed decides everything about a run, its shape too. */
static struct cluster_options run_shape(uint64_t seed, bool trace)
{
    struct rng rng;
    rng_init(&rng, seed ^ UINT64_C(0x73696d2d73686170));
    uint64_t shape = rng_below(&rng, 100);
    return (struct cluster_options){
        .seed = seed,
        .nodes = shape < 8    ? 1
                 : shape < 22 ? 5
                              : 3,
        .trace = trace,
        .election_timeout_ms = (uint32_t)rng_range(&rng, 120, 300),
        .heartbeat_ms = (uint32_t)rng_range(&rng, 20, 50),
        .wal_segment_bytes = (size_t)rng_range(&rng, 4, 16) * 4096,
        .snapshot_log_bytes =
            (size_t)rng_range(&rng, 12, rng_chance(&rng, 500) ? 40 : 128) * 1024,
        .trailing_log_bytes = rng_chance(&rng, 500) ? 1 : (size_t)rng_range(&rng, 1, 16) * 1024,
        .batch_bytes = rng_chance(&rng, 500) ? 0 : (size_t)rng_range(&rng, 1, 16) * 1024,
        /* So little that followers' writes are refused now and then. */
        .forwarded_bytes_max = rng_chance(&rng, 700) ? 0 : (size_t)rng_range(&rng, 1, 600),
        .linearizable_reads = rng_chance(&rng, 250),
    };
}

/* In every third cluster of some members these change; two more hosts are there for that. Every
 * second single node becomes three. */
static struct cluster_options run_options(uint64_t seed, bool trace)
{
    struct cluster_options o = run_shape(seed, trace);
    if (o.nodes > 1 && seed % 3 == 0) {
        o.first = o.nodes;
        o.nodes += 2;
    } else if (o.nodes == 1 && seed % 2 == 0) {
        o.first = 1;
        o.nodes = 3;
    }
    return o;
}

/* A quarter of the clusters whose members do not change come to their end, and others are made of
 * what is left. Their clients are those that can tell the one from the other. */
static bool run_has_disaster(const struct run *r)
{
    const struct cluster_options *o = &r->cluster.options;
    return o->first == o->nodes && o->seed % 4 == 1;
}

/* On each station clients; and on each but the first a holder, whose session the clients
 * use, and a watcher. Those with locks have stations of their own. */
static void run_clients(struct run *r)
{
    struct cluster *c = &r->cluster;
    struct workload *l = &r->workload;
    oracle_init(&r->oracle, c);
    workload_init(l, c, &r->journal, (uint32_t)world_random(&c->world, 4, CLIENTS_MAX));
    holders_init(&r->holders, c, &r->oracle);
    watchers_init(&r->watchers, c, &r->oracle, &r->journal);
    zk_clients_init(&r->zookeeper, c, &r->oracle, &r->journal);
    bool has_disaster = run_has_disaster(r);
    for (uint32_t i = 0; i < l->station_count; i++) {
        struct station *other = &l->stations[(i + 1) % l->station_count];
        struct holder *h = holders_add(&r->holders, &l->stations[i], other);
        for (uint32_t k = 0; k < l->client_count; k++) {
            if (l->clients[k].station == &l->stations[i]) {
                l->clients[k].holder = h;
            }
        }
        (void)watchers_add(&r->watchers, &l->stations[i]);
        if (!has_disaster) {
            (void)zk_clients_add(&r->zookeeper, &l->stations[i]);
        }
    }
    lockers_init(&r->lockers, c, &r->oracle);
    uint64_t lockers = has_disaster ? 0 : world_random(&c->world, 2, LOCKERS_MAX);
    for (uint64_t i = 0; i < lockers; i++) {
        (void)lockers_add(&r->lockers);
    }
    sharders_init(&r->sharders, c, &r->oracle);
    bool has_shards = !has_disaster && world_chance(&c->world, 600);
    uint64_t sharders = has_shards ? world_random(&c->world, 3, 4) : 0;
    for (uint64_t i = 0; i < sharders; i++) {
        (void)sharders_add(&r->sharders);
    }
}

static bool run_set_up(struct run *r)
{
    struct world *w = &r->cluster.world;
    struct shard_words map;
    sharders_map(&r->sharders, &map);
    if (!workload_set_up(&r->workload) ||
        (r->sharders.count > 0 && !workload_make_map(&r->workload, &map.request.base))) {
        return false;
    }
    return world_chance(w, 400) || workload_keep_little(&r->workload, world_random(w, 5, 60),
                                                        (uint32_t)world_random(w, 1, 5));
}

/* Of nodes and clients alike. */
static void run_clocks(struct cluster *c)
{
    for (size_t i = 0; i < c->net.host_count; i++) {
        c->net.hosts[i]->clock_rate_ppm = world_random(&c->world, 900000, 1100000);
        c->net.hosts[i]->wall_offset_ms = (int64_t)world_random(&c->world, 0, 20000) - 10000;
    }
}

static bool enough_has_happened(struct cluster *c, void *context)
{
    struct run *r = context;
    return c->world.now_us >= r->phase_end_us &&
           r->journal.acked + r->zookeeper.acked >= r->acked_goal &&
           faults_count(&r->faults) >= r->faults_goal;
}

static bool has_working_leader(struct cluster *c, void *context)
{
    int leader = cluster_leader(c);
    (void)context;
    return leader >= 0 && node_is_serving(c->nodes[leader].node);
}

static bool clients_are_done(struct cluster *c, void *context)
{
    (void)c;
    return workload_is_idle(&((struct run *)context)->workload);
}

static bool clients_have_moved(struct cluster *c, void *context)
{
    struct run *r = context;
    (void)c;
    for (uint32_t i = 0; i < r->workload.client_count; i++) {
        if (r->workload.clients[i].operation == r->acked_before[i]) {
            return false;
        }
    }
    for (uint32_t i = 0; i < r->zookeeper.count; i++) {
        if (r->zookeeper.items[i].moved == r->moved_before[i]) {
            return false;
        }
    }
    for (uint32_t i = 0; i < r->lockers.count; i++) {
        if (r->lockers.items[i].cycles == r->cycled_before[i]) {
            return false;
        }
    }
    for (uint32_t i = 0; i < r->sharders.count; i++) {
        if (r->sharders.items[i].cycles == r->served_before[i]) {
            return false;
        }
    }
    return true;
}

static bool shards_are_calm(struct cluster *c, void *context)
{
    (void)c;
    return sharders_are_calm(&((struct run *)context)->sharders);
}

static bool sharders_are_done(struct cluster *c, void *context)
{
    (void)c;
    return sharders_are_idle(&((struct run *)context)->sharders);
}

static bool zookeeper_is_settled(struct cluster *c, void *context)
{
    (void)c;
    return zk_clients_are_settled(&((struct run *)context)->zookeeper);
}

static bool zookeeper_is_done(struct cluster *c, void *context)
{
    (void)c;
    return zk_clients_are_idle(&((struct run *)context)->zookeeper);
}

static bool changes_have_ended(struct cluster *c, void *context)
{
    struct run *r = context;
    (void)c;
    return !r->members.is_running || members_are_settled(&r->members);
}

static bool nodes_are_equal(struct cluster *c, void *context)
{
    (void)context;
    return cluster_is_equal(c);
}

static bool holders_are_done(struct cluster *c, void *context)
{
    (void)c;
    return holders_are_idle(&((struct run *)context)->holders);
}

static bool lockers_are_done(struct cluster *c, void *context)
{
    (void)c;
    return lockers_are_idle(&((struct run *)context)->lockers);
}

static bool nothing_is_left(struct cluster *c, void *context)
{
    (void)c;
    return oracle_lease_count(&((struct run *)context)->oracle) == 0;
}

static bool nothing_is_due(struct cluster *c, void *context)
{
    (void)c;
    return oracle_due_count(&((struct run *)context)->oracle) == 0;
}

static bool watchers_have_seen_all(struct cluster *c, void *context)
{
    (void)c;
    return watchers_are_current(&((struct run *)context)->watchers);
}

/* Once its owner is silent a session lives for its TTL, by a clock that may be 10 % slow; a
 * touch takes up to 100 ms to the leader, the keeper looks every 100 ms, and the end has to
 * be committed. */
static uint64_t expiry_limit_us(const struct run *r)
{
    uint64_t commit_us = 4 * (uint64_t)r->cluster.options.heartbeat_ms * MS + 100 * MS;
    return (oracle_ttl_max_ms(&r->oracle) + 200) * MS * 10 / 9 + commit_us;
}

static void describe_nodes(const struct cluster *c, char *text, size_t bytes)
{
    size_t used = 0;
    for (uint32_t i = 0; i < c->options.nodes && used < bytes; i++) {
        struct node_status s = {.state = "down"};
        if (c->nodes[i].node != NULL) {
            node_status(c->nodes[i].node, &s);
        }
        int n = snprintf(text + used, bytes - used,
                         "; n%u %s term %" PRIu64 " last %" PRIu64 " commit %" PRIu64
                         " applied %" PRIu64,
                         i + 1, s.state, s.term, s.last_index, s.commit_index, s.applied_index);
        used += n < 0 ? 0 : (size_t)n;
    }
}

static void must_come(struct run *r, uint64_t limit_us,
                      bool (*is_true)(struct cluster *c, void *context), const char *what)
{
    if (!r->cluster.world.failed && !cluster_run_until(&r->cluster, limit_us, is_true, r) &&
        !r->cluster.world.failed) {
        char text[360] = "";
        describe_nodes(&r->cluster, text, sizeof text);
        world_fail(&r->cluster.world, "no progress: %s%s", what, text);
    }
}

/* Clients and faults, until enough more has happened. */
static void run_phase(struct run *r)
{
    r->phase_end_us = r->cluster.world.now_us + PHASE_US;
    r->acked_goal = r->journal.acked + r->zookeeper.acked + RUN_ACKED_MIN;
    r->faults_goal = faults_count(&r->faults) + RUN_FAULTS_MIN;
    must_come(r, PHASE_LIMIT_US, enough_has_happened, "too little is acknowledged");
}

static void run_second_life(struct run *r)
{
    disaster_strike(&r->disaster);
    if (r->cluster.world.failed) {
        return;
    }
    must_come(r, 20 * SECOND, has_working_leader, "no leader of the new cluster");
    members_start(&r->members);
    faults_start(&r->faults);
    run_phase(r);
}

static void run_heal(struct run *r)
{
    struct cluster *c = &r->cluster;
    faults_heal(&r->faults);
    /* Ten election timeouts by the slowest clock, and time to start and to reconnect. */
    must_come(r, (uint64_t)c->options.election_timeout_ms * 12 * MS + SECOND,
              has_working_leader, "no leader after all was healed");
    for (uint32_t i = 0; i < r->workload.client_count; i++) {
        r->acked_before[i] = r->workload.clients[i].operation;
    }
    for (uint32_t i = 0; i < r->zookeeper.count; i++) {
        r->moved_before[i] = r->zookeeper.items[i].moved;
    }
    for (uint32_t i = 0; i < r->lockers.count; i++) {
        r->cycled_before[i] = r->lockers.items[i].cycles;
    }
    for (uint32_t i = 0; i < r->sharders.count; i++) {
        r->served_before[i] = r->sharders.items[i].cycles;
    }
    cluster_run(c, LOAD_US);
    workload_slow_down(&r->workload);
    must_come(r, FINISH_LIMIT_US, clients_have_moved, "a client is stuck after healing");
    sharders_calm(&r->sharders);
    must_come(r, FINISH_LIMIT_US, shards_are_calm,
              "a move does not end, or a shard lacks a leader or a replica");
    zk_clients_calm(&r->zookeeper);
    members_end(&r->members);
    must_come(r, FINISH_LIMIT_US, changes_have_ended, "a change of the members does not end");
    workload_end(&r->workload);
    holders_end(&r->holders);
    lockers_end(&r->lockers);
    sharders_end(&r->sharders);
    watchers_end(&r->watchers);
    must_come(r, FINISH_LIMIT_US, clients_are_done, "an operation does not end after healing");
    must_come(r, FINISH_LIMIT_US, holders_are_done, "a session's owner is stuck after healing");
    must_come(r, FINISH_LIMIT_US, lockers_are_done, "a client with locks is stuck");
    must_come(r, FINISH_LIMIT_US, sharders_are_done, "a node of a shard map is stuck");
    must_come(r, FINISH_LIMIT_US, zookeeper_is_settled,
              "a zookeeper client has no session after healing");
    cluster_run(c, CALM_US);
    zk_clients_end(&r->zookeeper);
    must_come(r, FINISH_LIMIT_US, zookeeper_is_done, "a zookeeper client does not end");
    must_come(r, expiry_limit_us(r), nothing_is_left, "a session outlives its owner");
    must_come(r, REAP_LIMIT_US, nothing_is_due, "a node whose time has passed stays");
    must_come(r, FINISH_LIMIT_US, watchers_have_seen_all,
              "a watcher lacks events after healing");
    must_come(r, FINISH_LIMIT_US, nodes_are_equal,
              "the members do not become equal after healing");
}

static void run_judge(struct run *r)
{
    struct cluster *c = &r->cluster;
    for (uint32_t i = 0; i < c->options.nodes && !c->world.failed; i++) {
        if (c->nodes[i].is_out) {
            continue;
        }
        store_check(node_store(c->nodes[i].node));
        oracle_check_node(&r->oracle, i);
        journal_see_store(&r->journal, i);
    }
    if (!c->world.failed) {
        lock_judge_settle(&r->lockers.judge);
        shard_judge_settle(&r->sharders.judge);
        journal_check(&r->journal);
        zk_judge_log(&r->zookeeper);
    }
}

static void run_report(struct run *r, struct run_result *out)
{
    const struct cluster *c = &r->cluster;
    (void)faults_count(&r->faults);
    *out = (struct run_result){
        .failed = c->world.failed,
        .hash = c->world.hash,
        .events = c->world.event_count,
        .virtual_us = c->world.now_us,
        .acked = r->journal.acked,
        .acked_writes = r->journal.acked_writes,
        .elections = c->elections,
        .installs = c->installs,
        .takes = c->takes,
        .boots = c->boots,
    };
    (void)snprintf(out->why, sizeof out->why, "%s", c->world.why);
    memcpy(out->hits, r->faults.hits, sizeof out->hits);
    const uint64_t counts[COUNT_KINDS] = {
        [COUNT_KEPT_ALIVE] = r->holders.kept_alive,
        [COUNT_RESUMED] = r->holders.resumed,
        [COUNT_CLOSED] = r->holders.closed,
        [COUNT_EXPIRED] = r->oracle.expired,
        [COUNT_REPEATED] = r->holders.repeated,
        [COUNT_REFUSED] = r->holders.refused,
        [COUNT_REAPED] = r->oracle.reaped,
        [COUNT_RECALLED] = r->holders.recalled,
        [COUNT_REGISTERED] = r->holders.registered,
        [COUNT_DISCOVERED] = r->holders.discovered,
        [COUNT_EVENTS] = r->watchers.events,
        [COUNT_LISTINGS] = r->watchers.listings,
        [COUNT_WATCH_RESUMES] = r->watchers.resumes,
        [COUNT_PROGRESSES] = r->watchers.progresses,
        [COUNT_COMPACTED] = r->watchers.compactions,
        [COUNT_JOINED] = r->members.counts[MEMBER_COUNT_JOINED],
        [COUNT_REMOVED] = r->members.counts[MEMBER_COUNT_REMOVED],
        [COUNT_REPLACED] = r->members.counts[MEMBER_COUNT_REPLACED],
        [COUNT_PROMOTED] = r->members.counts[MEMBER_COUNT_PROMOTED],
        [COUNT_TRANSFERRED] = r->members.counts[MEMBER_COUNT_TRANSFERRED],
        [COUNT_GROWN] = r->members.counts[MEMBER_COUNT_GROWN],
        [COUNT_CHANGES_REFUSED] = r->members.counts[MEMBER_COUNT_REFUSED],
        [COUNT_RECOVERED] = r->disaster.counts[DISASTER_COUNT_RECOVERED],
        [COUNT_RESTORED] = r->disaster.counts[DISASTER_COUNT_RESTORED],
        [COUNT_INTERRUPTED] = r->disaster.counts[DISASTER_COUNT_INTERRUPTED],
        [COUNT_LOST] = r->disaster.counts[DISASTER_COUNT_LOST],
        [COUNT_HELD] = r->lockers.held,
        [COUNT_LED] = r->lockers.led,
        [COUNT_HANDED_OVER] = r->lockers.judge.handed_over,
        [COUNT_GUARDED] = r->lockers.written,
        [COUNT_FENCED] = r->lockers.fenced,
        [COUNT_STALE] = r->lockers.stale - r->lockers.fenced,
        [COUNT_SHARD_EPOCHS] = r->sharders.judge.epochs,
        [COUNT_SHARD_JOINED] = r->sharders.joined,
        [COUNT_SHARD_SWITCHED] = r->sharders.judge.switched,
        [COUNT_SHARD_MOVED] = r->sharders.judge.ended,
        [COUNT_SHARD_ABORTED] = r->sharders.judge.aborted,
        [COUNT_SHARD_REQUEUED] = r->sharders.judge.requeued,
        [COUNT_SHARD_APPLIED] = r->sharders.applied,
        [COUNT_SHARD_WRITTEN] = r->sharders.written,
        [COUNT_SHARD_FENCED] = r->sharders.fenced,
        [COUNT_SHARD_STALE] = r->sharders.stale - r->sharders.fenced,
        [COUNT_ZK_REPLIES] = r->zookeeper.replies,
        [COUNT_ZK_WRITES] = r->zookeeper.acked,
        [COUNT_ZK_RESUMED] = r->zookeeper.resumed,
        [COUNT_ZK_EXPIRED] = r->zookeeper.expired,
        [COUNT_ZK_EVENTS] = r->zookeeper.events,
        [COUNT_ZK_RESTORED] = r->zookeeper.restored,
        [COUNT_ZK_REFUSED] = r->zookeeper.refused,
        [COUNT_ZK_CUTS] = r->zookeeper.cuts,
    };
    memcpy(out->counts, counts, sizeof out->counts);
}

void run_seed(uint64_t seed, bool trace, struct run_result *result)
{
    struct run *r = mem_zalloc(sizeof *r);
    struct cluster *c = &r->cluster;
    struct cluster_options options = run_options(seed, trace);
    cluster_init(c, &options);
    journal_init(&r->journal, c);
    run_clients(r);
    run_clocks(c);
    members_init(&r->members, c);
    faults_init(&r->faults, c);
    disaster_init(&r->disaster, c, &r->oracle, &r->journal, &r->faults);
    for (uint32_t i = 0; i < r->workload.station_count; i++) {
        faults_add_station(&r->faults, &r->workload.stations[i]);
    }
    for (uint32_t i = 0; i < r->lockers.count; i++) {
        faults_add_station(&r->faults, &r->lockers.items[i].station);
    }
    for (uint32_t i = 0; i < r->sharders.count; i++) {
        faults_add_station(&r->faults, &r->sharders.items[i].station);
    }
    if (r->sharders.count > 0) {
        faults_add_station(&r->faults, &r->sharders.operator.station);
    }
    cluster_start_all(c);
    if (!c->world.failed && run_set_up(r)) {
        must_come(r, 5 * SECOND, nodes_are_equal,
                  "a healthy new cluster does not become equal");
        workload_start(&r->workload);
        holders_start(&r->holders);
        watchers_start(&r->watchers);
        zk_clients_start(&r->zookeeper);
        lockers_start(&r->lockers);
        sharders_start(&r->sharders);
        members_start(&r->members);
        faults_start(&r->faults);
        if (run_has_disaster(r)) {
            disaster_plan(&r->disaster);
        }
        run_phase(r);
        if (r->disaster.is_planned && !c->world.failed) {
            run_second_life(r);
        }
    }
    if (!c->world.failed) {
        run_heal(r);
    }
    if (!c->world.failed) {
        run_judge(r);
    }
    run_report(r, result);
    members_close(&r->members);
    disaster_close(&r->disaster);
    zk_clients_close(&r->zookeeper);
    lockers_close(&r->lockers);
    sharders_close(&r->sharders);
    workload_close(&r->workload);
    holders_close(&r->holders);
    watchers_close(&r->watchers);
    oracle_close(&r->oracle);
    cluster_close(c);
    /* Closing may find a leak: that counts too. */
    if (c->world.failed && !result->failed) {
        result->failed = true;
        (void)snprintf(result->why, sizeof result->why, "%s", c->world.why);
    }
    journal_close(&r->journal);
    mem_free(r);
}
