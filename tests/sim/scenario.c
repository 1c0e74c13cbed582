#include "tests/sim/scenario.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/store.h"

const struct scenario scenarios[] = {
    {"the_disk_keeps_what_was_synced_and_tears_the_rest", scenario_disk_itself, 0},
    {"the_network_delivers_in_order_or_breaks", scenario_net_itself, 2},
};
const size_t scenario_count = sizeof scenarios / sizeof scenarios[0];

bool scenario_run(const struct scenario *scenario, bool trace, char *why, size_t bytes)
{
    struct story *s = mem_zalloc(sizeof *s);
    struct cluster_options options = {
        .seed = 1,
        .nodes = scenario->nodes,
        .trace = trace,
        .election_timeout_ms = STORY_ELECTION_MS,
        .heartbeat_ms = 30,
        .wal_segment_bytes = 16384,
        .snapshot_log_bytes = 1 << 20, /* none unless a story is about them */
        .trailing_log_bytes = 1 << 20,
    };
    cluster_init(&s->cluster, &options);
    journal_init(&s->journal, &s->cluster);
    workload_init(&s->workload, &s->cluster, &s->journal, 4);
    scenario->run(s);
    workload_end(&s->workload);
    cluster_close(&s->cluster);
    workload_close(&s->workload);
    bool ok = !s->cluster.world.failed;
    (void)snprintf(why, bytes, "%s", s->cluster.world.why);
    journal_close(&s->journal);
    mem_free(s);
    return ok;
}

bool story_expect(struct story *s, bool cond, const char *what)
{
    if (!cond && !s->cluster.world.failed) {
        world_fail(&s->cluster.world, "%s", what);
    }
    return cond && !s->cluster.world.failed;
}

static bool leader_serves(struct cluster *c, void *context)
{
    int leader = cluster_leader(c);
    (void)context;
    return leader >= 0 && node_is_serving(c->nodes[leader].node);
}

int story_leader(struct story *s, uint64_t limit_us)
{
    bool ok = cluster_run_until(&s->cluster, limit_us, leader_serves, NULL);
    return story_expect(s, ok, "no leader") ? cluster_leader(&s->cluster) : -1;
}

static bool node_leads(struct cluster *c, void *context)
{
    uint32_t node = *(uint32_t *)context;
    return cluster_leader(c) == (int)node && node_is_serving(c->nodes[node].node);
}

bool story_elect(struct story *s, uint32_t node)
{
    struct cluster *c = &s->cluster;
    for (int i = 0; i < 20 && !c->world.failed; i++) {
        int leader = story_leader(s, 10 * SECOND);
        if (leader == (int)node || leader < 0) {
            break;
        }
        cluster_isolate(c, (uint32_t)leader, true);
        (void)cluster_run_until(c, 3 * SECOND, node_leads, &node);
        cluster_isolate(c, (uint32_t)leader, false);
        cluster_run(c, 500 * MS);
    }
    return story_expect(s, cluster_leader(c) == (int)node, "the wanted node is not elected");
}

bool story_write(struct story *s, uint32_t node, enum op_kind kind, uint32_t key, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        enum status rc = workload_write(&s->workload, node, kind, key, 2 * SECOND);
        if (!story_expect(s, rc == RC_OK, "a write is not acknowledged")) {
            return false;
        }
    }
    return true;
}

uint64_t story_last_index(struct story *s, uint32_t node)
{
    struct node_status status;
    node_status(s->cluster.nodes[node].node, &status);
    return status.last_index;
}

uint64_t story_snapshot_index(struct story *s, uint32_t node)
{
    struct node_status status;
    node_status(s->cluster.nodes[node].node, &status);
    return status.snapshot_index;
}

static bool nodes_equal(struct cluster *c, void *context)
{
    (void)context;
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        if (c->nodes[i].node == NULL || c->nodes[i].applied_index == 0 ||
            c->nodes[i].applied_index != c->nodes[0].applied_index) {
            return false;
        }
    }
    return true;
}

bool story_equal(struct story *s, uint64_t limit_us)
{
    bool ok = cluster_run_until(&s->cluster, limit_us, nodes_equal, NULL);
    return story_expect(s, ok, "the members do not become equal");
}

void story_end(struct story *s)
{
    struct cluster *c = &s->cluster;
    if (c->world.failed) {
        return;
    }
    cluster_heal_net(c);
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        c->nodes[i].host.disk.slow_us = 0;
        c->nodes[i].host.disk.is_full = false;
        c->nodes[i].host.paused_until_us = 0;
    }
    cluster_start_all(c);
    int leader = story_leader(s, 10 * SECOND);
    if (leader < 0 || !story_write(s, (uint32_t)leader, DO_COUNT, KEY_COUNT, 1) ||
        !story_equal(s, 10 * SECOND)) {
        return;
    }
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        store_check(node_store(c->nodes[i].node));
        journal_see_store(&s->journal, i);
    }
    journal_check(&s->journal);
}
