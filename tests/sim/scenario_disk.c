/* Stories about disks: damaged, torn, lost, full; and about who comes too late for the log. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/scenario.h"

struct victim {
    char path[128];
    uint64_t offset;
};

/* The first log segment, and a byte in the middle of what is written there. */
static void find_victim(void *context, const char *path, const uint8_t *data, size_t size)
{
    struct victim *v = context;
    size_t end = size;
    if (strstr(path, "/wal-") == NULL || (v->path[0] != 0 && strcmp(path, v->path) > 0)) {
        return;
    }
    while (end > 0 && data[end - 1] == 0) {
        end--;
    }
    if (end < 1024) {
        return;
    }
    (void)snprintf(v->path, sizeof v->path, "%s", path);
    v->offset = end / 2;
}

void scenario_corrupt_log(struct story *s)
{
    struct cluster *c = &s->cluster;
    if (story_begin(s) < 0 || !story_write(s, 0, DO_COUNT, KEY_COUNT, 60)) {
        return;
    }
    cluster_run(c, SECOND); /* the watermark follows */
    cluster_crash(c, 0, DEATH_POWER);
    struct victim v = {.path = ""};
    struct errmsg err = {0};
    sim_disk_each(&c->nodes[0].host.disk, find_victim, &v);
    (void)story_expect(s, sim_disk_flip(&c->nodes[0].host.disk, v.path, v.offset, 3),
                       "there is no log to damage");
    enum status rc = cluster_try_start(c, 0, &err);
    world_trace(&c->world, "refused with: %s", err.text);
    (void)story_expect(s, rc == RC_CORRUPT, "a damaged log is not refused");
    (void)story_expect(s, strstr(err.text, "wal-") != NULL, "the segment is not named");
    /* Undone, all is there. */
    (void)sim_disk_flip(&c->nodes[0].host.disk, v.path, v.offset, 3);
    if (!c->world.failed) {
        story_end(s);
    }
}

void scenario_torn_tail(struct story *s)
{
    struct cluster *c = &s->cluster;
    if (story_begin(s) < 0) {
        return;
    }
    for (uint32_t i = 0; i < 40 && !c->world.failed; i++) {
        (void)story_leader(s, 5 * SECOND);
        (void)story_write(s, 0, DO_COUNT, KEY_COUNT, 3);
        (void)workload_submit(&s->workload, 1, 0, DO_SET, KEY_PAIR + 1);
        c->nodes[0].host.disk.die_after = 1 + i % 3;
        cluster_run(c, 2 * MS);
        c->nodes[0].host.disk.die_after = 0;
        if (cluster_is_up(c, 0)) {
            cluster_crash(c, 0, DEATH_POWER);
        }
        if (!cluster_is_up(c, 0)) {
            (void)cluster_start(c, 0);
        }
        workload_give_up(&s->workload, 1);
    }
    story_end(s);
}

/* A node under its old name without its disk could vote twice in one term. */
void scenario_lost_disk(struct story *s)
{
    struct cluster *c = &s->cluster;
    int leader = story_begin(s);
    if (leader < 0 || !story_write(s, (uint32_t)leader, DO_COUNT, KEY_COUNT, 5)) {
        return;
    }
    uint32_t victim = ((uint32_t)leader + 1) % 3;
    uint32_t other = story_third((uint32_t)leader, victim);
    cluster_crash(c, victim, DEATH_POWER);
    sim_disk_wipe(&c->nodes[victim].host.disk);
    (void)cluster_start(c, victim);
    cluster_run(c, 2 * SECOND);
    /* With it as a voter there would be a majority: there must be none. */
    cluster_crash(c, (uint32_t)leader, DEATH_POWER);
    uint64_t term = c->nodes[other].term;
    cluster_run(c, 5 * SECOND);
    (void)story_expect(s, cluster_leader(c) < 0 && c->nodes[other].term == term,
                       "a node without its disk has voted");
    (void)cluster_start(c, (uint32_t)leader);
    int next = story_leader(s, 5 * SECOND);
    if (next >= 0) {
        (void)story_expect(s, next != (int)victim, "a node without its disk leads");
        (void)story_write(s, (uint32_t)next, DO_COUNT, KEY_COUNT, 1);
    }
    struct node_status status = {.state = "down"};
    if (cluster_is_up(c, victim)) {
        node_status(c->nodes[victim].node, &status);
    }
    (void)story_expect(s, strcmp(status.state, "refused") == 0, "a lost disk is not refused");
}

void scenario_disk_full(struct story *s)
{
    struct cluster *c = &s->cluster;
    if (story_begin(s) < 0 || !story_write(s, 0, DO_COUNT, KEY_COUNT, 5)) {
        return;
    }
    enum status rc = RC_OK;
    c->nodes[0].host.disk.is_full = true;
    s->workload.value_bytes = 3000;
    for (uint32_t i = 0; i < 100 && rc == RC_OK && !c->world.failed; i++) {
        rc = workload_write(&s->workload, 0, DO_COUNT, KEY_COUNT, 2 * SECOND);
    }
    (void)story_expect(s, rc == RC_NO_SPACE, "a full disk is not told as such");
    (void)story_expect(s, workload_read(&s->workload, 0, KEY_COUNT, SECOND) == RC_OK,
                       "a full disk stops reads");
    cluster_run(c, 5 * SECOND);
    c->nodes[0].host.disk.is_full = false;
    cluster_run(c, 3 * SECOND);
    (void)story_write(s, 0, DO_COUNT, KEY_COUNT, 20);
    s->workload.value_bytes = 0;
    story_end(s);
}

void scenario_lagging(struct story *s)
{
    struct cluster *c = &s->cluster;
    int first = story_begin(s);
    if (first < 0) {
        return;
    }
    uint32_t leader = (uint32_t)first;
    uint32_t victim = (leader + 1) % 3;
    uint64_t installs = c->installs;
    cluster_crash(c, victim, DEATH_POWER);
    s->workload.value_bytes = 2000;
    (void)story_write(s, leader, DO_COUNT, KEY_COUNT, 60);
    (void)cluster_start(c, victim);
    (void)story_write(s, leader, DO_COUNT, KEY_COUNT, 30);
    s->workload.value_bytes = 0;
    (void)story_equal(s, 10 * SECOND);
    (void)story_expect(s, c->installs > installs, "it caught up without a snapshot");
    story_end(s);
}

/* A member forwards a write that nothing can tell from another one, loses the connection before
 * the entry comes back, and then gets a snapshot instead of it, from the leader of another
 * term. It must not send the write again. */
void scenario_skipped_write(struct story *s)
{
    struct cluster *c = &s->cluster;
    int first = story_begin(s);
    if (first < 0) {
        return;
    }
    uint32_t leader = (uint32_t)first;
    uint32_t member = (leader + 1) % 3;
    uint64_t term = c->nodes[leader].term;
    uint64_t installs = c->installs;
    cluster_cut(c, leader, member, true);
    (void)workload_submit(&s->workload, 1, member, DO_COUNT, KEY_COUNT);
    cluster_run(c, 10 * MS);
    (void)sim_net_reset(&c->net, leader, member, 0);
    cluster_isolate(c, member, true);
    s->workload.value_bytes = 2000;
    (void)story_write(s, leader, DO_COUNT, KEY_COUNT + 1, 40);
    s->workload.value_bytes = 0;
    cluster_crash(c, leader, DEATH_KILL);
    (void)cluster_start(c, leader);
    if (story_wait_leader(s, member, term, 5 * SECOND) < 0) {
        return;
    }
    cluster_heal_net(c);
    cluster_run(c, 3 * SECOND);
    (void)story_expect(s, c->installs > installs, "it caught up without a snapshot");
    story_end(s);
}

/* A state so large that its snapshot takes many turns, in between which all of it changes. What
 * is loaded after a restart proves itself by the digest of the moment the snapshot was
 * begun. */
void scenario_write_during_scan(struct story *s)
{
    struct cluster *c = &s->cluster;
    if (story_begin(s) < 0) {
        return;
    }
    /* The scan comes by the many before it comes by the few that change. */
    s->workload.value_bytes = 100000;
    (void)story_write(s, 0, DO_SEQUENTIAL, KEY_END, 30);
    for (uint32_t key = 0; key < KEYS_PLAIN; key++) {
        (void)story_write(s, 0, DO_CREATE, key, 1);
    }
    for (uint32_t round = 0; round < 3 && !c->world.failed; round++) {
        uint64_t takes = c->takes;
        for (uint32_t i = 0; i < 150 && c->takes == takes; i++) {
            (void)story_write(s, 0, DO_SET, i % KEYS_PLAIN, 1);
        }
        (void)story_expect(s, c->takes > takes, "no snapshot is taken");
        (void)story_write(s, 0, DO_SET, 1, 1);
        (void)story_write(s, 0, DO_SET, 2, 1);
        (void)story_write(s, 0, DO_SET, 3, 1);
        cluster_run(c, 500 * MS);
        cluster_crash(c, 0, DEATH_POWER);
        (void)cluster_start(c, 0);
        (void)story_leader(s, 5 * SECOND);
    }
    s->workload.value_bytes = 0;
    story_end(s);
}
