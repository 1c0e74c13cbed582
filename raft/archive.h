/* Archived log: files of committed entries beside the full backups, for restores to a point in
 * time.
 *
 * A directory holds, for each cluster (by its id, in the names) that was ever archived into it:
 *
 *   archive-<cluster>-<first index>-<last index>.log   sealed: whole, never written again
 *   archive-<cluster>-<first index>.part               being written; readable up to its last whole
 *                                                      record
 *
 * A file has contiguous entries. Between files there may be a gap, since a member that fell behind
 * installs a snapshot and never sees the entries before it, and files may overlap, as the archives
 * of several members may be put together: what is committed is the same on all of them. Reading
 * from an index on answers by name which entries are missing. docs/formats.md has the bytes.
 *
 * Everything here blocks: [worker], or a tool without a loop. One call at a time per object. A
 * directory has one writer per cluster at a time: its owner locks it, or it is below a locked data
 * dir.
 */
#ifndef RAFT_ARCHIVE_H
#define RAFT_ARCHIVE_H

#include "base/env.h"
#include "base/log.h"
#include "raft/wal.h"

#define ARCHIVE_SEAL_BYTES ((uint64_t)16 << 20)

/* ---- files -------------------------------------------------------------------------------- */

struct archive_file {
    uint64_t cluster_id;
    uint64_t first_index;
    uint64_t last_index; /* 0: not sealed */
    uint64_t bytes;
};

/* The path of a file below `dir`; free with mem_free. */
char *archive_path(const char *dir, const struct archive_file *file);

/* All files of the cluster (0: of all clusters), in the order of their first index; free with
 * mem_free. RC_NOT_FOUND if there is no such directory. */
enum status archive_list(struct env *env, const char *dir, uint64_t cluster_id,
                         struct archive_file **files, size_t *count,
                         struct errmsg *err) MUST_USE;

/* ---- writing ------------------------------------------------------------------------------ */

struct archive_writer;

struct archive_writer_options {
    struct env *env;
    struct log *log;
    const char *dir; /* created if missing; the one above it must exist */
    uint64_t cluster_id;
    uint64_t seal_bytes; /* a file is sealed when it has so many; 0 = ARCHIVE_SEAL_BYTES */
};

/* Goes on where an earlier writer ended: what a crash has torn is cut, a file that is not the
 * newest is sealed. RC_UNSUPPORTED: a file of a newer format. */
enum status archive_writer_open(const struct archive_writer_options *options,
                                struct archive_writer **out, struct errmsg *err) MUST_USE;
/* What was appended and not synced may get lost; a file that is not sealed stays so. */
void archive_writer_close(struct archive_writer *w);

/* The index after the last one archived: what to append next, so that there is no gap. 0: nothing
 * is archived yet. */
uint64_t archive_writer_next_index(const struct archive_writer *w);

/* Committed entries, contiguous and in order. Those that are archived already are skipped; if the
 * first one leaves a gap, a new file begins with it. Not durable before the sync. After a failed
 * append, sync or seal the writer only repeats that failure: close it, and open it anew later. */
enum status archive_writer_append(struct archive_writer *w, const struct wal_entry *entries,
                                  size_t count, struct errmsg *err) MUST_USE;
enum status archive_writer_sync(struct archive_writer *w, struct errmsg *err) MUST_USE;

/* Ends the file that is being written and gives it its final name, durably. Nothing to do if it has
 * no entry. */
enum status archive_writer_seal(struct archive_writer *w, struct errmsg *err) MUST_USE;
/* When the file being written got its first entry (env->wall_ms); 0: there is none to be sealed. */
uint64_t archive_writer_begun_ms(const struct archive_writer *w);

/* Removes sealed files of this cluster that have no entry of `first_index` or above: those that no
 * restore from a kept full backup (of index first_index - 1 or above) needs. */
enum status archive_writer_retain(struct archive_writer *w, uint64_t first_index,
                                  uint64_t *removed, struct errmsg *err) MUST_USE;

/* ---- reading ------------------------------------------------------------------------------ */

struct archive_reader;

/* To read the cluster's entries from `first_index` on. RC_NOT_FOUND: no such directory. */
enum status archive_reader_open(struct env *env, const char *dir, uint64_t cluster_id,
                                uint64_t first_index, struct archive_reader **out,
                                struct errmsg *err) MUST_USE;
void archive_reader_close(struct archive_reader *r);

/* The next entry; its payload is valid until the next call. RC_NOT_FOUND: this is the end, the
 * archive has no later entry. RC_CORRUPT: entries are missing below later ones, or a file is
 * damaged; says which. RC_UNSUPPORTED: a file of a newer format. */
enum status archive_reader_next(struct archive_reader *r, struct wal_entry *entry,
                                struct errmsg *err) MUST_USE;

#endif
