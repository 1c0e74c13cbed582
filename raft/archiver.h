/* One member's archive of the log: what is applied goes to the files of raft/archive.h.
 *
 *   CLOSED -(opened, says where it goes on)-> IDLE <--(each time there is something)--> BUSY
 *      ^                                                                                 |
 *      +---------------------------- failed: opened anew after a while -------------------+
 *
 * It reads the log in the node's memory, a bounded piece at a time, and has the piece written on a
 * thread of its own. What it has not read yet stays there until a snapshot lets go of it. So there
 * is no queue that a slow disk could fill, and nothing ever waits for it. If it falls behind by
 * more than the node keeps, entries are missing: it says so, goes on behind the gap, and asks for a
 * full backup, from which on a restore to any point in time works again.
 *
 * All calls on the loop. */
#ifndef RAFT_ARCHIVER_H
#define RAFT_ARCHIVER_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"

struct archiver;
struct node;

struct archiver_options {
    struct env *env;
    struct log *log;
    struct metrics *metrics; /* may be NULL */
    struct node *node;       /* must outlive it */
    const char *dir;         /* made if it is missing; the one above must be there */
    uint64_t seal_ms;        /* a file is ended after so long; 0 = 60 s */
    /* There is a gap, or nothing was archived before: a full backup is wanted. May be NULL. */
    void (*gap)(void *context);
    void *context;
};

struct archiver *archiver_new(const struct archiver_options *options);
/* Waits for the piece that is being written. */
void archiver_free(struct archiver *a); /* NULL is fine */

void archiver_turn(struct archiver *a, uint64_t now_ms);
uint64_t archiver_next_deadline_ms(const struct archiver *a);

/* The oldest full backup that is kept holds the log up to this index: what is wholly older goes. 0
 * = not known: nothing goes. */
void archiver_retain(struct archiver *a, uint64_t backup_index);

/* The highest index that is in the archive, on disk; 0 = none. */
uint64_t archiver_index(const struct archiver *a);

#endif
