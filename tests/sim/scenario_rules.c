/* Rules of docs/architecture.md that random seeds hit too rarely: TRIM, PVFIX, ABA, NOOP, and
 * the commit rule of the Raft paper's figure 8. The numbers in comments are log indexes and
 * terms. */
#include "tests/sim/scenario.h"

/* ---- TRIM -------------------------------------------------------------------------------- */

/* The follower's answers are lost: the leader believes it has few entries and sends them again,
 * while the follower has applied them, taken a snapshot and dropped its log. What it is sent
 * begins below that snapshot. If it refuses, the leader steps back, entry by entry, until it
 * sends all from the very first on, and that the core would append behind the rest. Only the
 * follower takes snapshots here, or the leader would have to offer one. */
void scenario_trim(struct story *s)
{
    struct cluster *c = &s->cluster;
    uint32_t follower = 2;
    c->nodes[follower].snapshot_log_bytes = 8192;
    int first = story_begin(s);
    if (first == (int)follower) {
        uint64_t term = c->nodes[follower].term;
        cluster_crash(c, follower, DEATH_KILL);
        first = story_wait_leader(s, follower, term, 5 * SECOND);
        (void)cluster_start(c, follower);
        cluster_run(c, SECOND);
    }
    if (first < 0) {
        return;
    }
    uint32_t leader = (uint32_t)first;
    uint64_t takes = c->takes;
    cluster_cut(c, follower, leader, true);
    cluster_run(c, 3 * STORY_ELECTION_MS *
                       MS); /* the leader waits for answers no more, and probes */
    c->net.links[leader][follower].extra_us = 200 * MS;
    s->workload.value_bytes = 3000;
    (void)story_write(s, leader, DO_COUNT, KEY_COUNT, 12);
    s->workload.value_bytes = 0;
    cluster_run(c, SECOND);
    (void)story_expect(s, c->takes > takes, "the follower has taken no snapshot");
    (void)sim_net_reset(&c->net, leader, follower, 0);
    cluster_run(c, 50 * MS);
    cluster_heal_net(c);
    cluster_run(c, 2 * SECOND);
    (void)story_expect(s, cluster_leader(c) == (int)leader, "the leader was lost on the way");
    story_end(s);
}

/* ---- PVFIX ------------------------------------------------------------------------------- */

struct pair {
    uint32_t b, d;
    uint64_t term;
};

static bool has_new_term(struct cluster *c, void *context)
{
    const struct pair *p = context;
    return c->nodes[p->b].term > p->term || c->nodes[p->d].term > p->term;
}

/* One node has the longest log, but an old term; the other alone has the new term. Neither can
 * be elected without the other, and the one with the log must hear of the term. */
void scenario_pvfix(struct story *s)
{
    struct cluster *c = &s->cluster;
    int first = story_begin(s);
    if (first < 0) {
        return;
    }
    uint32_t a = (uint32_t)first;
    uint64_t term = c->nodes[a].term;
    cluster_isolate(c, a, true);
    (void)workload_submit(&s->workload, 1, a, DO_SET, KEY_PAIR);
    cluster_run(c, 20 * MS);
    /* Whoever of the two others asks for votes in a new term is not heard, three times over. */
    uint32_t b = (a + 1) % 3;
    uint32_t d = story_third(a, b);
    uint64_t highest = term;
    for (int round = 0; round < 3; round++) {
        struct pair p = {.b = b, .d = d, .term = highest};
        if (!story_expect(s, cluster_run_until(c, 5 * SECOND, has_new_term, &p),
                          "no candidate")) {
            return;
        }
        highest++;
        story_cut(s, b, d, true);
        cluster_run(c, 5 * MS);
        (void)sim_net_reset(&c->net, b, d, 0);
        cluster_run(c, 5 * MS);
        story_cut(s, b, d, round == 2);
    }
    uint32_t candidate = c->nodes[b].term > c->nodes[d].term ? b : d;
    cluster_crash(c, story_third(a, candidate), DEATH_POWER);
    (void)sim_net_reset(&c->net, a, candidate, 0); /* what was asked in between is lost, too */
    cluster_run(c, 50 * MS);
    /* Started again it has to ask first, like everybody. */
    cluster_crash(c, candidate, DEATH_KILL);
    (void)cluster_start(c, candidate);
    cluster_run(c, 10 * MS);
    if (!story_expect(s,
                      c->nodes[candidate].term > term + 1 && c->nodes[a].term == term &&
                          story_last_index(s, a) > story_last_index(s, candidate),
                      "the story does not get to its point")) {
        return;
    }
    story_cut(s, a, candidate, false);
    (void)story_leader(s, 12 * STORY_ELECTION_MS * MS + SECOND);
    story_end(s);
}

/* ---- ABA --------------------------------------------------------------------------------- */

static bool first_is_decided(struct cluster *c, void *context)
{
    const struct story *s = context;
    (void)c;
    return workload_fate(&s->workload, 0) != FATE_PENDING;
}

/* A follower holds durable entries that were never committed. A new leader overwrites them
 * while the follower writes something else (the new term): when that is done, it may not
 * confirm the new entries on the strength of the old write. If it does, a write is acknowledged
 * that is on one disk only. */
void scenario_aba(struct story *s)
{
    struct cluster *c = &s->cluster;
    int first = story_begin(s);
    if (first < 0) {
        return;
    }
    uint32_t old = (uint32_t)first;
    uint32_t follower = (old + 1) % 3;
    uint32_t next = story_third(old, follower);
    uint64_t term = c->nodes[old].term;
    /* Entries that only the follower has on disk. */
    cluster_isolate(c, next, true);
    c->nodes[old].host.disk.slow_us = 3 * SECOND;
    for (uint32_t client = 1; client < 4; client++) {
        (void)workload_submit(&s->workload, client, old, DO_SET, KEY_PAIR);
        cluster_run(c, 5 * MS);
    }
    cluster_run(c, 30 * MS);
    cluster_crash(c, old, DEATH_POWER);
    c->nodes[old].host.disk.slow_us = 0;
    cluster_run(c, 200 * MS); /* until the follower's disk is idle */
    /* The two others elect a leader, of whose term the follower hears, but no more. It cannot
     * be the old one: its clock hardly moves. */
    c->nodes[old].host.clock_rate_ppm = 200000;
    cluster_cut(c, follower, old, true);
    cluster_cut(c, follower, next, true);
    cluster_cut(c, next, follower, false);
    story_cut(s, next, old, false);
    c->nodes[follower].host.disk.slow_us = SECOND;
    (void)cluster_start(c, old);
    if (!story_wait_state(s, follower, 0, term, 5 * SECOND)) {
        return;
    }
    cluster_cut(c, next, follower, true);
    (void)sim_net_reset(&c->net, next, follower, 0);
    if (!story_wait_state(s, next, 'l', term, 5 * SECOND)) {
        return;
    }
    cluster_run(c, 20 * MS);
    /* A write that reaches only the leader's disk, then the follower. */
    c->nodes[old].host.disk.slow_us = 5 * SECOND;
    c->nodes[follower].host.disk.slow_us = 5 * SECOND;
    (void)workload_submit(&s->workload, 0, next, DO_PAIR, KEY_PAIR);
    cluster_run(c, 5 * MS);
    story_cut(s, next, follower, false);
    (void)cluster_run_until(c, 2500 * MS, first_is_decided, s);
    for (uint32_t i = 0; i < 3; i++) {
        cluster_crash(c, i, DEATH_POWER);
        c->nodes[i].host.disk.slow_us = 0;
    }
    workload_give_up(&s->workload, 0);
    /* The others go on without it; then it comes back. */
    cluster_heal_net(c);
    (void)cluster_start(c, follower);
    (void)cluster_start(c, old);
    int last = story_leader(s, 10 * SECOND);
    if (last >= 0) {
        (void)story_write(s, (uint32_t)last, DO_COUNT, KEY_COUNT, 3);
    }
    story_end(s);
}

/* ---- NOOP -------------------------------------------------------------------------------- */

/* A write is acknowledged by a leader that dies before anybody else hears that it is committed.
 * The next leader has it, but may not read before it knows. */
void scenario_noop(struct story *s)
{
    struct cluster *c = &s->cluster;
    int first = story_begin(s);
    if (first < 0) {
        return;
    }
    uint32_t old = (uint32_t)first;
    uint64_t term = c->nodes[old].term;
    for (uint32_t i = 0; i < 3; i++) {
        c->net.links[old][i].extra_us =
            20 * MS; /* the notice of the commit will be under way */
    }
    if (!story_write(s, old, DO_PAIR, KEY_PAIR, 1)) {
        return;
    }
    cluster_isolate(c, old, true);
    cluster_crash(c, old, DEATH_POWER);
    int next = story_wait_leader(s, old, term, 5 * SECOND);
    if (next < 0) {
        return;
    }
    /* Nothing of the new term gets durable at the only other voter, but it answers. */
    uint32_t leader = (uint32_t)next;
    uint32_t other = story_third(old, leader);
    c->nodes[other].host.disk.slow_us = 800 * MS;
    (void)workload_read(&s->workload, leader, KEY_PAIR,
                        300 * MS); /* late is fine, stale is not */
    c->nodes[other].host.disk.slow_us = 0;
    cluster_run(c, SECOND);
    leader = (uint32_t)story_leader(s, 5 * SECOND);
    if (!c->world.failed) {
        (void)story_expect(s, workload_read(&s->workload, leader, KEY_PAIR, SECOND) == RC_OK,
                           "a read is not served");
    }
    story_end(s);
}

/* ---- figure 8 ---------------------------------------------------------------------------- */

/* S1 leads and has an entry X nobody else has. N leads next and has Y in X's place, on its disk
 * alone. S1 leads again and gets X, of an old term, to a majority, but nothing of its own term.
 * X is not committed: N can still be elected, and then Y takes its place. X is so large that it
 * fills a message of its own. */
void scenario_old_term(struct story *s)
{
    struct cluster *c = &s->cluster;
    int first = story_begin(s);
    if (first < 0) {
        return;
    }
    uint32_t s1 = (uint32_t)first;
    uint64_t term = c->nodes[s1].term;
    uint64_t before = story_last_index(s, s1);
    cluster_isolate(c, s1, true);
    s->workload.value_bytes = STORE_VALUE_BYTES_MAX;
    (void)workload_submit(&s->workload, 1, s1, DO_SET, KEY_PAIR);
    s->workload.value_bytes = 0;
    cluster_run(c, 20 * MS);
    int second = story_wait_leader(s, s1, term, 5 * SECOND);
    if (second < 0) {
        return;
    }
    uint32_t n = (uint32_t)second;
    uint32_t m = story_third(s1, n);
    uint64_t term_n = c->nodes[n].term;
    story_cut(s, n, m, true);
    cluster_run(c, 20 * MS);
    (void)story_expect(s,
                       story_last_index(s, n) == before + 1 &&
                           story_last_index(s, m) == before &&
                           story_last_index(s, s1) == before + 1,
                       "the logs are not as the story wants them");
    cluster_crash(c, n, DEATH_POWER);
    c->net.links[s1][m].piece_bytes = 64;
    story_cut(s, s1, m, false);
    if (!story_wait_state(s, s1, 'l', term_n, 10 * SECOND)) {
        return;
    }
    for (int step = 0; step < 1000000 && story_last_index(s, m) <= before && cluster_step(c);
         step++) {
    }
    cluster_cut(c, s1, m, true);
    (void)story_expect(s, story_last_index(s, m) == before + 1, "more than X came through");
    cluster_run(c, 50 * MS);
    cluster_crash(c, s1, DEATH_POWER);
    c->net.links[s1][m].piece_bytes = 0;
    story_cut(s, n, m, false); /* what S1 had sent besides X stays on its way until the end */
    (void)cluster_start(c, n);
    (void)story_leader(s, 10 * SECOND);
    story_end(s);
}
