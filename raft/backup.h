/* Scheduled backups of one member into a directory of its own or a shared one.
 *
 *   TIDYING -(the directory is in order)-> WAITING -(it is due)->
 *   EXPORTING -(a snapshot is there)-> COPYING -(all of it copied, synced, renamed)-> TIDYING ...
 *
 *   from each of them, when something fails -> WAITING, and it is due again after a while
 *
 * The node takes a snapshot for itself as ever; that file is copied, piece by piece, on a thread
 * of its own. So a slow or hanging backup disk delays backups and nothing else: no write, no
 * snapshot of the node. While the node's own disk is short of space nothing is copied.
 *
 * A file has its name when it is whole and on disk (raft/backup_file.h). Where nothing has been
 * applied since the last one no new one is written: the last one is then as good as new.
 *
 * All calls on the loop. */
#ifndef RAFT_BACKUP_H
#define RAFT_BACKUP_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"

struct backup;
struct node;

struct backup_options {
    struct env *env;
    struct log *log;
    struct metrics *metrics; /* may be NULL */
    struct node *node;       /* must outlive it */
    const char *dir;         /* made if it is missing; the one above must be there */
    const char *member;      /* a name as of members */
    uint64_t interval_ms;
    uint64_t keep;        /* so many; 0 = any number */
    uint64_t keep_for_ms; /* so long; 0 = for ever */
};

/* Begins: nothing is touched before the first turn, and what is wrong with the directory is told
 * as a failed backup. */
struct backup *backup_new(const struct backup_options *options);
/* Waits for the piece that is being copied. */
void backup_free(struct backup *b); /* NULL is fine */

void backup_turn(struct backup *b, uint64_t now_ms);
uint64_t backup_next_deadline_ms(const struct backup *b);

/* A backup is due now: the archive has a gap that only a full one closes. */
void backup_hurry(struct backup *b);
/* Log index of the oldest one that is kept, for the archive: 0 = not known, or there is none. */
uint64_t backup_oldest_index(const struct backup *b);

#endif
