/* Locks, told a second time and without any cleverness: a list of entries that every question walks
 * from end to end, and a search through all orders in which owners can give back what they have.
 * What the store does is compared with it (tests/unit/store/test_lock_model.c). */
#ifndef TESTS_SUPPORT_LOCK_MODEL_H
#define TESTS_SUPPORT_LOCK_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define LM_LOCKS   5
#define LM_OWNERS  6
#define LM_ENTRIES 96

enum lm_outcome { LM_HELD_NOW, LM_QUEUED, LM_REFUSED, LM_DEADLOCK, LM_WAITS, LM_MISMATCH };

struct lm_entry {
    int lock;
    int owner;
    bool held;
    uint8_t mode; /* enum lock_mode */
    uint32_t permits;
    uint32_t count;
    uint64_t epoch;
    uint64_t group;
    uint64_t deadline_ms; /* 0: none */
    uint64_t hold_ms;
    uint64_t number; /* grows: who came first */
    char path[64];
    uint64_t revision;
};

struct lm {
    struct lm_entry entries[LM_ENTRIES];
    int count;
    uint32_t limits[LM_LOCKS]; /* of a semaphore that has entries, else 0 */
    uint64_t next_number;
    uint64_t now_ms;
};

struct lm_target {
    int lock;
    uint8_t mode;
    uint32_t permits;
    uint32_t limit;
};

struct lm_ask {
    int owner;
    int target_count;
    struct lm_target targets[3];
    bool is_try;
    uint64_t wait_ms;
    uint64_t hold_ms;
};

/* Decides, and changes `m` accordingly at `revision`. The entries that it made, or the one it has
 * once more, are in `places`, by index. */
enum lm_outcome lm_acquire(struct lm *m, const struct lm_ask *ask, uint64_t revision,
                           int places[3]);
void lm_drop(struct lm *m, int index);       /* without what follows */
void lm_drop_group(struct lm *m, int index); /* the entry and the other parts in its state */
void lm_settle(struct lm *m, uint64_t revision);
bool lm_is_waiting(const struct lm *m, int owner);
/* Whether some order of releases lets the owner have what it waits for. */
bool lm_can_be_granted(const struct lm *m, int owner);
int lm_waiting_before(const struct lm *m, int index);

#endif
