/* Names of scheduled backups, and which of them stay.
 *
 *   backup-<cluster>-<time>-r<revision>-i<index>-<member>.db    whole, never written again
 *   the same with .part behind                                  being written
 *
 * Cluster is 16 hexadecimal digits, time is UTC as 20260131T235959Z: names sort by time. A member
 * touches no file but its own, of its present cluster: so several may share a directory, and what
 * was before a restore stays. */
#ifndef RAFT_BACKUP_FILE_H
#define RAFT_BACKUP_FILE_H

#include "base/env.h"

#define BACKUP_NAME_BYTES 192

struct backup_file {
    uint64_t cluster_id;
    uint64_t wall_ms; /* whole seconds */
    uint64_t revision;
    uint64_t index;
    char member[64];
    char name[BACKUP_NAME_BYTES];
};

/* Fills in `name` from the rest. */
void backup_file_name(struct backup_file *f);
/* False: it is none. Otherwise all fields are filled in, and is_part says whether it is one that is
 * being written (its name is without the suffix). */
bool backup_file_parse(const char *name, struct backup_file *out, bool *is_part);

struct backup_rules {
    uint64_t keep;        /* so many; 0 = any number */
    uint64_t keep_for_ms; /* so long; 0 = for ever */
};

struct backup_kept {
    struct backup_file newest; /* index 0: there is none */
    uint64_t oldest_index;     /* of those that stay */
    uint64_t count;
    uint64_t removed;
};

/* Makes the directory if it is missing, removes of the member's files in it what was never
 * finished, and what the rules no longer want; the newest one always stays. [worker] */
enum status backup_dir_tidy(struct env *env, const char *dir, uint64_t cluster_id,
                            const char *member, const struct backup_rules *rules,
                            uint64_t now_wall_ms, struct backup_kept *out,
                            struct errmsg *err) MUST_USE;

/* "dir/name", with ".part" behind it; free with mem_free. */
char *backup_path(const char *dir, const struct backup_file *f, bool is_part);

#endif
