/* The end of a cluster amid its faults, and the one that is made of what is left: by recovering
 * the most advanced of the data dirs that were not lost, or by restoring a backup on every first
 * member. What `coordd recover` and `coordd restore` do with a data dir is done here by the same
 * functions (raft/survivor.h, store/snapshot.h, raft/rebirth.h), and the machine may lose its power
 * in the midst of it, or right behind.
 *
 * The clients live through it. They notice that nobody answers, and then that their sessions are
 * gone, their watches COMPACTED, and the revisions far ahead. So what was lost is forgotten in the
 * journal and by the oracle, and all their judgements go on.
 *
 * Checked here besides:
 *
 *   - which entries are on a disk is known by their terms. All that any client was told of one of
 *     those, or of an older one, is in the new cluster, and all that the disk has behind it
 *   - no other data dir that was shown has a committed entry that the chosen one lacks; of a
 *     majority of voters nothing at all is missing that anybody was told of
 *   - the new id is another; revision, log index and the floor of the change log are above all that
 *     anybody can have seen of the old cluster, lost or not; no session or lease is left; the
 *     content is the same, byte by byte, in what is written, and in what a member starts from
 *   - a tool that was interrupted leaves the old data dir as it was: it is run again
 */
#ifndef TESTS_SIM_DISASTER_H
#define TESTS_SIM_DISASTER_H

#include "raft/rebirth.h"
#include "raft/survivor.h"
#include "tests/sim/faults.h"
#include "tests/sim/journal.h"
#include "tests/sim/members.h"
#include "tests/sim/oracle.h"

enum disaster_count {
    DISASTER_COUNT_RECOVERED,
    DISASTER_COUNT_RESTORED,
    DISASTER_COUNT_INTERRUPTED, /* tools that lost their machine's power */
    DISASTER_COUNT_LOST,        /* changes that were in no disk or backup */
    DISASTER_COUNTS
};

struct disaster {
    struct cluster *cluster;
    struct oracle *oracle;
    struct journal *journal;
    struct faults *faults;
    bool is_planned;
    bool restores; /* else it recovers */
    uint64_t set_up_index; /* all members had what is up to here */
    /* the backup of a restore */
    struct world_event tick;
    struct node_export export;
    bool is_exporting;
    uint32_t export_node;
    struct buf partial;
    struct buf backup;
    struct node_export_file file; /* what `backup` is */
    /* what was before */
    uint64_t old_cluster_id;
    uint64_t seen_revision;
    uint64_t seen_index;
    uint64_t index; /* up to here nothing is lost */
    uint64_t content;
    struct rebirth_report report;
    char why[256]; /* a tool was given up */
    uint64_t counts[DISASTER_COUNTS];
};

void disaster_init(struct disaster *d, struct cluster *c, struct oracle *o, struct journal *h,
                   struct faults *f);
/* It will come; from now on backups are made if it needs one. */
void disaster_plan(struct disaster *d);
/* It comes, and the new cluster starts. Of a recovery it has one member then: members.h makes
 * three of it. */
void disaster_strike(struct disaster *d);
void disaster_close(struct disaster *d);

#endif
