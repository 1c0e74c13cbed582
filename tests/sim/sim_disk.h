/* The disk of one simulated machine: what programs see, and what survives the loss of power.
 *
 * Every file has two images. A write changes the volatile one; sync copies it to the durable
 * one. When power goes, each unsynced sector of 512 bytes is kept or lost on its own, so writes
 * are lost or torn, and so is a grown size. Names are data of their directory: create, rename
 * and unlink are durable after sync_dir; before that each of them, as an atomic step, may or
 * may not have happened: all up to some point, or an arbitrary subset (rename never loses the
 * file itself). A killed process loses nothing that it had written. Directories are durable at
 * once.
 *
 * Faults are fields to set: `is_full`, `fail_after`, `die_after`, `slow_us`; sim_disk_flip
 * damages a durable byte. Every operation counts into `operations`, whatever its outcome. */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include "base/env.h"
#include "tests/sim/world.h"

struct disk_inode;
struct disk_name;
struct disk_change;

struct sim_disk {
    struct world *world;
    uint32_t host;
    struct disk_name *names;
    size_t name_count;
    struct disk_change *changes; /* of names, not durable yet */
    size_t change_count;
    const void *lock_holder;
    uint64_t operations;
    /* faults */
    bool is_full;        /* what takes new space fails with RC_NO_SPACE */
    bool is_dead;        /* the process has died: nothing has any effect */
    uint32_t fail_after; /* > 0: counts down writes and syncs, the last one fails with RC_IO */
    uint32_t die_after;  /* > 0: counts down changes, then the machine is dead */
    uint64_t slow_us;    /* added to each job of a queue */
    uint64_t failed_at_us; /* when fail_after struck, 0 = it did not */
    bool failed_in_log;    /* it struck a file of the log */
    uint64_t refused_full; /* operations refused for want of space */
    uint64_t lost_sectors; /* by power losses so far */
    /* Called when a file is created for writing; for faults aimed at snapshots. */
    void (*created)(void *context, const char *path);
    void *context;
};

struct sim_file {
    struct sim_disk *disk;
    struct disk_inode *inode;
    bool in_log;
    bool is_writable;
};

void sim_disk_init(struct sim_disk *d, struct world *w, uint32_t host);
void sim_disk_close(struct sim_disk *d);
void sim_disk_wipe(struct sim_disk *d); /* a new, empty disk */

/* Power is lost: see above. Files that are open stay valid but reach nothing any more. */
void sim_disk_lose_power(struct sim_disk *d);
/* Inverts one bit of the file, in both images. False if there is no such byte. */
bool sim_disk_flip(struct sim_disk *d, const char *path, uint64_t offset, uint8_t bit);
/* Names with sizes, for scenarios and traces. */
typedef void (*sim_disk_each_fn)(void *context, const char *path, const uint8_t *data,
                                 size_t size);
void sim_disk_each(const struct sim_disk *d, sim_disk_each_fn fn, void *context);

/* The vtable's operations, without the vtable. */
enum status sim_disk_open(struct sim_disk *d, const char *path, int flags,
                          struct sim_file *out);
enum status sim_disk_read(struct sim_file *f, uint64_t offset, void *to, size_t bytes,
                          size_t *got);
enum status sim_disk_write(struct sim_file *f, uint64_t offset, const void *from, size_t bytes);
enum status sim_disk_sync(struct sim_file *f);
enum status sim_disk_truncate(struct sim_file *f, uint64_t bytes);
uint64_t sim_disk_size(const struct sim_file *f);
void sim_disk_close_file(struct sim_file *f);
enum status sim_disk_rename(struct sim_disk *d, const char *from, const char *to);
enum status sim_disk_unlink(struct sim_disk *d, const char *path);
enum status sim_disk_list(struct sim_disk *d, const char *dir, env_list_fn fn, void *context);
enum status sim_disk_sync_dir(struct sim_disk *d, const char *dir);
enum status sim_disk_lock(struct sim_disk *d, const void *holder);

#endif
