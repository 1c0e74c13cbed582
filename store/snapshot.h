/* Snapshot files: one SQLite database that is the raft snapshot, the backup and what an operator
 * opens with the sqlite3 shell.
 *
 * Tables: meta(name PRIMARY KEY, value), nodes(space, path, ... , PRIMARY KEY(space, path)) WITHOUT
 * ROWID, changes(revision, sub, ...), replies(...). docs/formats.md describes every column. SQLite
 * writes through a small VFS over the env's disk (store/db.c), without journal and without syncs of
 * its own: the file is written beside, then synced once, then checked, before anybody names it.
 *
 * Everything in this header is [worker] unless it says loop: it may block.
 */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include "base/buf.h"
#include "base/env.h"
#include "base/log.h"
#include "base/status.h"

struct store;

#define SNAPSHOT_FORMAT 1

/* What raft and the operator must know about a snapshot; kept in its meta table too. */
struct snapshot_meta {
    uint64_t index; /* last applied log index contained in it */
    uint64_t term;  /* of that entry */
    uint64_t configuration_index;
    struct buf configuration; /* as raft/engine.c encodes it; opaque here */
    uint64_t cluster_id;
    uint64_t revision;
    uint64_t digest; /* of the state at `index` */
    uint64_t cluster_ms;
};

void snapshot_meta_close(struct snapshot_meta *meta);

struct snapshot_writer;

/* Creates `path`, replacing a leftover. */
enum status snapshot_writer_open(struct env *env, const char *path,
                                 struct snapshot_writer **out, struct errmsg *err) MUST_USE;
/* Adds encoded rows (store/row.h). */
enum status snapshot_writer_rows(struct snapshot_writer *w, struct slice rows,
                                 struct errmsg *err) MUST_USE;
/* Adds `meta`, commits, syncs the file and frees the writer; on failure the file is removed. */
enum status snapshot_writer_finish(struct snapshot_writer *w, const struct snapshot_meta *meta,
                                   struct errmsg *err) MUST_USE;
/* Gives up: removes the file and frees the writer. */
void snapshot_writer_abort(struct snapshot_writer *w);

/* Reads only the meta table (fast). RC_CORRUPT if this is not one of our files. */
enum status snapshot_inspect(struct env *env, const char *path, struct snapshot_meta *meta,
                             struct errmsg *err) MUST_USE;

/* Loads a file into a new store and proves it: the digest computed from the rows must equal the one
 * recorded, else RC_CORRUPT with the path named. */
enum status snapshot_load(struct env *env, const char *path, struct store **out,
                          struct snapshot_meta *meta, struct errmsg *err) MUST_USE;

#endif
