#include "tests/sim/scenario.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/store.h"

const struct scenario scenarios[] = {
    {"the_disk_keeps_what_was_synced_and_tears_the_rest", scenario_disk_itself, 0, 0, 0},
    {"the_network_delivers_in_order_or_breaks", scenario_net_itself, 2, 0, 0},
    {"trim_an_append_below_the_snapshot_adds_nothing", scenario_trim, 3, 0, 0},
    {"pvfix_a_long_log_of_a_low_term_gets_a_leader", scenario_pvfix, 3, 0, 0},
    {"aba_an_overwritten_entry_is_durable_when_its_last_write_is", scenario_aba, 3, 0, 0},
    {"noop_a_new_leader_reads_nothing_before_an_entry_of_its_own", scenario_noop, 3, 0, 0},
    {"an_old_terms_entry_is_not_committed_by_counting", scenario_old_term, 3, 0, 0},
    {"a_flipped_bit_in_the_log_is_refused", scenario_corrupt_log, 1, 0, 0},
    {"a_torn_tail_is_cut_and_what_was_acknowledged_stays", scenario_torn_tail, 1, 0, 0},
    {"an_emptied_data_dir_never_votes", scenario_lost_disk, 3, 0, 0},
    {"a_full_disk_refuses_writes_serves_reads_and_recovers", scenario_disk_full, 1, 0, 0},
    {"a_member_left_behind_catches_up_by_snapshot_under_load", scenario_lagging, 3, 8192, 0},
    {"a_write_whose_entry_a_snapshot_skipped_runs_once", scenario_skipped_write, 3, 8192, 0},
    {"a_snapshot_is_of_one_moment_though_writes_go_on", scenario_write_during_scan, 1, 900000, 0},
    {"a_resume_in_the_log_beats_the_expiry_behind_it", scenario_resume_first, 3, 0, 0},
    {"a_keepalive_is_not_confirmed_once_the_end_is_proposed", scenario_keepalive_late, 3, 0, 0},
    {"a_leader_that_was_stopped_expires_nobody", scenario_stopped_leader, 3, 0, 0},
    {"reads_through_a_follower_keep_a_session_alive", scenario_reads_alone, 3, 0, 0},
    {"a_removal_looks_again_at_what_was_due", scenario_reap_looks_again, 3, 0, 0},
    {"a_bounded_read_that_had_to_wait_is_not_too_old", scenario_bounded_read_waits, 3, 0, 0},
    {"a_slow_watcher_holds_nobody_and_misses_nothing", scenario_slow_watcher, 3, 0, 0},
    {"two_who_wait_for_a_single_node_find_it", scenario_grow_finds_who_serves, 3, 0, 1},
    {"zookeeper_a_connection_is_lost_at_every_byte", scenario_zk_every_byte, 3, 0, 0},
    {"zookeeper_a_member_that_is_cut_off_answers_no_ping", scenario_zk_cut_off, 3, 0, 0},
    {"zookeeper_a_wrong_password_disturbs_nobody", scenario_zk_guess, 3, 0, 0},
    {"zookeeper_a_former_connections_write_does_not_run", scenario_zk_former_owner, 3, 0, 0},
    {"zookeeper_nothing_overtakes_a_refused_write", scenario_zk_refused_write, 3, 0, 0},
};
const size_t scenario_count = sizeof scenarios / sizeof scenarios[0];

bool scenario_run(const struct scenario *scenario, bool trace, char *why, size_t bytes)
{
    struct story *s = mem_zalloc(sizeof *s);
    struct cluster_options options = {
        .seed = 1,
        .nodes = scenario->nodes,
        .first = scenario->first,
        .trace = trace,
        .election_timeout_ms = STORY_ELECTION_MS,
        .heartbeat_ms = 30,
        .wal_segment_bytes = 16384,
        .snapshot_log_bytes =
            scenario->snapshot_log_bytes > 0 ? scenario->snapshot_log_bytes : 64 << 20,
        .trailing_log_bytes = 1,
    };
    cluster_init(&s->cluster, &options);
    journal_init(&s->journal, &s->cluster);
    oracle_init(&s->oracle, &s->cluster);
    holders_init(&s->holders, &s->cluster, &s->oracle);
    watchers_init(&s->watchers, &s->cluster, &s->oracle, &s->journal);
    zk_clients_init(&s->zookeeper, &s->cluster, &s->oracle, &s->journal);
    workload_init(&s->workload, &s->cluster, &s->journal, 4);
    workload_stay_near(&s->workload);
    scenario->run(s);
    zk_clients_close(&s->zookeeper);
    workload_end(&s->workload);
    workload_close(&s->workload);
    holders_close(&s->holders);
    watchers_close(&s->watchers);
    oracle_close(&s->oracle);
    cluster_close(&s->cluster);
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

int story_begin(struct story *s)
{
    s->cluster.net.stall_limit_us = 60 * SECOND; /* a cut only delays, unless a story resets */
    cluster_start_all(&s->cluster);
    int leader = story_leader(s, 10 * SECOND);
    return leader >= 0 && workload_set_up(&s->workload) && story_equal(s, 5 * SECOND)
               ? cluster_leader(&s->cluster)
               : -1;
}

struct wanted {
    uint32_t node; /* or, for a leader, all but this */
    char state;
    uint64_t term;
};

static bool has_state(struct cluster *c, void *context)
{
    const struct wanted *w = context;
    const struct cluster_node *n = &c->nodes[w->node];
    return n->node != NULL && (w->state == 0 || n->state == w->state) && n->term > w->term;
}

bool story_wait_state(struct story *s, uint32_t node, char state, uint64_t term,
                      uint64_t limit_us)
{
    struct wanted w = {.node = node, .state = state, .term = term};
    return story_expect(s, cluster_run_until(&s->cluster, limit_us, has_state, &w),
                        "a node does not get into the wanted state");
}

static int other_leader(const struct cluster *c, const struct wanted *w)
{
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        const struct cluster_node *n = &c->nodes[i];
        if (i != w->node && n->node != NULL && n->state == 'l' && n->term > w->term) {
            return (int)i;
        }
    }
    return -1;
}

static bool has_other_leader(struct cluster *c, void *context)
{
    return other_leader(c, context) >= 0;
}

int story_wait_leader(struct story *s, uint32_t except, uint64_t term, uint64_t limit_us)
{
    struct wanted w = {.node = except, .term = term};
    bool ok = cluster_run_until(&s->cluster, limit_us, has_other_leader, &w);
    return story_expect(s, ok, "no new leader") ? other_leader(&s->cluster, &w) : -1;
}

void story_cut(struct story *s, uint32_t a, uint32_t b, bool cut)
{
    cluster_cut(&s->cluster, a, b, cut);
    cluster_cut(&s->cluster, b, a, cut);
}

uint32_t story_third(uint32_t a, uint32_t b)
{
    return 3 - a - b;
}

bool story_write(struct story *s, uint32_t node, enum op_kind kind, uint32_t key,
                 uint32_t count)
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

static bool nodes_equal(struct cluster *c, void *context)
{
    (void)context;
    return cluster_is_equal(c);
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
    zk_judge_log(&s->zookeeper);
}
