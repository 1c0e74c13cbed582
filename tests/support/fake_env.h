/* A deterministic env in memory: a disk that forgets what was not synced, queues that run when the
 * test says so, a clock that the test moves, seeded randomness. No network.
 *
 * Disk. Each file has the image that everybody reads and the one that survives a power cut: writes
 * move from the first to the second by sync, names by sync_dir. fake_env_power_cut() keeps of what
 * was not synced a random part: of each write nothing, all, or some of its 512-byte sectors; of the
 * names any. A sync that fails drops the pages as clean, as kernels do: it will not write them at
 * the next sync.
 *
 * Faults. fake_env_arm() makes the N-th disk call from now fail: with a status, once or for ever,
 * or by a power cut, after which all calls fail and nothing changes any more until the test closes
 * what it had open and calls fake_env_power_cut(). Space: see space_left.
 */
#ifndef TESTS_SUPPORT_FAKE_ENV_H
#define TESTS_SUPPORT_FAKE_ENV_H

#include "base/buf.h"
#include "base/env.h"
#include "base/list.h"
#include "base/rng.h"

enum fake_fault {
    FAKE_FAULT_NONE,
    FAKE_FAULT_ONCE,
    FAKE_FAULT_LASTING,
    FAKE_FAULT_POWER,
};

struct fake_env {
    struct env env; /* first */
    struct rng rng;
    uint64_t now_us;
    uint64_t calls; /* disk calls that can fail, so far */
    uint64_t syncs;
    uint64_t space_left; /* bytes by which files may still grow, all together */
    size_t open_files;
    size_t open_queues;

    /* private */
    enum fake_fault fault;
    enum status fault_status;
    uint64_t fault_at;
    bool has_struck;
    bool is_off;
    struct list inodes;
    struct list names;
    struct list durable_names;
    struct list name_changes;
    struct list queues;
};

void fake_env_init(struct fake_env *f, uint64_t seed);
void fake_env_close(struct fake_env *f); /* no file or queue may be open */

/* Runs one job, or one `done`, of a queue picked at random. False if there is nothing to do. */
bool fake_env_step(struct fake_env *f);
void fake_env_run(struct fake_env *f); /* until there is nothing to do */
void fake_env_advance(struct fake_env *f, uint64_t ms);

/* The `n`-th disk call from now (1 is the next) fails; with `rc`, unless it is a power cut. */
void fake_env_arm(struct fake_env *f, uint64_t n, enum fake_fault fault, enum status rc);
void fake_env_disarm(struct fake_env *f);
bool fake_env_has_struck(const struct fake_env *f);

/* What is on the disk after a power cut. No file or queue may be open. */
void fake_env_power_cut(struct fake_env *f);

/* The content of a file as seen now; NULL if there is none. Writing to it damages the disk: follow
 * with fake_env_settle, which makes all of the disk durable as it is. */
struct buf *fake_env_find(struct fake_env *f, const char *path);
void fake_env_settle(struct fake_env *f);
/* Makes a file, durable. */
void fake_env_put(struct fake_env *f, const char *path, struct slice content);
size_t fake_env_file_count(const struct fake_env *f);

#endif
