/* Named regressions: a rule that once mattered, told as a story of exact faults.
 *
 * Each is a function that fails the world if the story ends badly. To add one: a function in a
 * scenario_*.c, a line in the table of scenario.c. tests/sim/mutants.sh expects some of them to
 * fail when their rule is switched off.
 */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include "tests/sim/cluster.h"
#include "tests/sim/holder.h"
#include "tests/sim/journal.h"
#include "tests/sim/oracle.h"
#include "tests/sim/watcher.h"
#include "tests/sim/workload.h"
#include "tests/sim/zk_client.h"

struct story {
    struct cluster cluster;
    struct journal journal;
    struct workload workload;
    struct oracle oracle;
    struct holders holders;
    struct watchers watchers;
    struct zk_clients zookeeper;
};

struct scenario {
    const char *name;
    void (*run)(struct story *s);
    uint32_t nodes;            /* 0: the story needs no cluster */
    size_t snapshot_log_bytes; /* 0: no snapshots */
    uint32_t first;            /* of these begin as members; 0: all */
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* Runs one; false if it failed, with the reason in `why`. */
bool scenario_run(const struct scenario *scenario, bool trace, char *why, size_t bytes);

/* ---- words that stories are told with ---- */

#define STORY_ELECTION_MS 150

/* Fails the story unless `cond`; returns it. */
bool story_expect(struct story *s, bool cond, const char *what);
/* Waits for a leader that serves; its number, or -1 after failing the story. */
int story_leader(struct story *s, uint64_t limit_us);
/* Starts all, waits for a leader, creates the keys; the leader, or -1 after failing the
 * story. */
int story_begin(struct story *s);
/* Writes `count` values through `node` and expects each to be acknowledged. */
bool story_write(struct story *s, uint32_t node, enum op_kind kind, uint32_t key,
                 uint32_t count);
/* Waits until `node` is in `state` ('l', 'c', 'f'; 0 = any) in a term above `term`. */
bool story_wait_state(struct story *s, uint32_t node, char state, uint64_t term,
                      uint64_t limit_us);
/* Waits until one of the nodes but `except` leads in a term above `term`; it, or -1. */
int story_wait_leader(struct story *s, uint32_t except, uint64_t term, uint64_t limit_us);
/* Both directions between two nodes. */
void story_cut(struct story *s, uint32_t a, uint32_t b, bool cut);
bool story_equal(struct story *s, uint64_t limit_us);
/* Heals the network and the disks, starts what is down, waits until all are equal, and
 * judges. */
void story_end(struct story *s);
uint64_t story_last_index(struct story *s, uint32_t node);

/* The node of a cluster of three that is neither. */
uint32_t story_third(uint32_t a, uint32_t b);

/* ---- the stories ---- */

void scenario_disk_itself(struct story *s);
void scenario_net_itself(struct story *s);
void scenario_trim(struct story *s);
void scenario_pvfix(struct story *s);
void scenario_aba(struct story *s);
void scenario_noop(struct story *s);
void scenario_old_term(struct story *s);
void scenario_corrupt_log(struct story *s);
void scenario_torn_tail(struct story *s);
void scenario_lost_disk(struct story *s);
void scenario_disk_full(struct story *s);
void scenario_lagging(struct story *s);
void scenario_skipped_write(struct story *s);
void scenario_write_during_scan(struct story *s);
void scenario_resume_first(struct story *s);
void scenario_keepalive_late(struct story *s);
void scenario_stopped_leader(struct story *s);
void scenario_reads_alone(struct story *s);
void scenario_reap_looks_again(struct story *s);
void scenario_slow_watcher(struct story *s);
void scenario_bounded_read_waits(struct story *s);
void scenario_grow_finds_who_serves(struct story *s);
void scenario_zk_every_byte(struct story *s);
void scenario_zk_cut_off(struct story *s);
void scenario_zk_guess(struct story *s);
void scenario_zk_former_owner(struct story *s);
void scenario_zk_refused_write(struct story *s);

#endif
