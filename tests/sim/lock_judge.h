/* The judge of locks and elections: what their nodes said, change by change, and what clients were
 * told. It reads the text of entries itself and knows nothing of recipes/.
 *
 *   - after each revision a lock has one writer or readers, a semaphore no more than its permits,
 *     an election one leader; and who is first of those who wait is not kept waiting
 *   - nobody is granted what somebody waits for who came before him
 *   - epochs of one lock only grow, and are the revision of the grant
 *   - a guarded write is in the log only while its grant is held; so, at one resource, writes
 *     of those who hold it alone have the order of the epochs of their grants
 *   - a grant that a client was told of was held under that epoch; a guarded write that was
 *     acknowledged is in the log once, one that was refused never, and its grant is gone
 */
#ifndef TESTS_SIM_LOCK_JUDGE_H
#define TESTS_SIM_LOCK_JUDGE_H

#include "tests/sim/oracle.h"

#define LOCK_PATH_BYTES 40

/* What lockers contend for: /l/0, /l/1, semaphore /l/s of two permits, election /l/e. */
enum lock_name { LOCK_0, LOCK_1, LOCK_S, LOCK_E, LOCK_NAMES };

#define LOCK_S_PERMITS 2

extern const char *const lock_paths[LOCK_NAMES];

/* An entry of a queue, for as long as the run. */
struct lock_entry {
    char path[LOCK_PATH_BYTES];
    enum lock_name lock;
    uint64_t revision; /* that created it */
    uint64_t lease;
    char mode; /* 'w', 'r', 'p', 'c': the first letter of what it says */
    uint32_t permits;
    bool is_held;
    bool has_limit; /* its time to wait, or to hold, is limited */
    bool has_group;
    uint64_t epoch;
    uint64_t granted_revision;
    uint64_t gone_revision; /* 0: it is there */
};

/* A guarded write that a client has begun. */
struct lock_write {
    char entry[LOCK_PATH_BYTES];
    uint64_t entry_revision;
    uint64_t written_revision; /* 0: not in the log so far */
    bool is_refused;
};

struct lock_judge {
    struct world *world;
    struct lock_entry *entries;
    size_t entry_count;
    struct lock_write *writes; /* number - 1 */
    size_t write_count;
    uint64_t revision; /* whose changes are being looked at */
    bool is_touched[LOCK_NAMES];
    uint64_t epochs[LOCK_NAMES];
    uint64_t written[LOCK_NAMES]; /* the epoch of the last guarded write */
    uint64_t granted;
    uint64_t handed_over; /* of these, to somebody who had waited */
};

void lock_judge_init(struct lock_judge *j, struct world *w);
void lock_judge_close(struct lock_judge *j);

/* Each change in order, as the oracle takes it. */
void lock_judge_change(struct lock_judge *j, const struct change *c);
/* All changes so far are whole revisions. */
void lock_judge_settle(struct lock_judge *j);
/* NULL: there never was one. */
const struct lock_entry *lock_judge_entry(const struct lock_judge *j, const char *path,
                                          uint64_t revision);

/* Its number, from 1. What it writes must be `lock_write_text`. */
uint64_t lock_judge_write(struct lock_judge *j, const char *entry, uint64_t entry_revision);
void lock_write_text(char *text, size_t bytes, uint64_t number, uint64_t epoch);

/* What a client was told. */
void lock_judge_told_held(struct lock_judge *j, const char *path, uint64_t revision,
                          uint64_t epoch, uint64_t lease);
void lock_judge_told_written(struct lock_judge *j, uint64_t number, uint64_t revision);
void lock_judge_told_stale(struct lock_judge *j, uint64_t number);
/* Whether an entry of that lease is there. */
bool lock_judge_has(const struct lock_judge *j, uint64_t lease);

#endif
