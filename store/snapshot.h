/* Snapshot files: one SQLite database that is the raft snapshot, the backup and what an operator
 * opens with the sqlite3 shell.
 *
 * Tables: meta(name, value) about the file, and the store's content as state(name, value),
 * nodes(space, path, ...), changes(revision, sub, ...), replies(...), leases(...), versions(...),
 * acls(...). docs/formats.md describes every column, store/snapshot_table.c is their one
 * definition. SQLite makes the file, through a small VFS over the env's disk (store/db.c); rows go
 * straight to the pages of its tables (store/db_bulk.h) and come straight from there
 * (store/db_scan.h). The file is written beside, and synced before anybody names it.
 *
 * Proof. meta holds how many rows each table has, and a sum over itself; each page of the file is
 * sealed (store/db_seal.h), and reading looks at all of them.
 *
 * Everything in this header is [worker] unless it says loop: it may block.
 */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include "base/buf.h"
#include "base/env.h"
#include "base/log.h"
#include "base/status.h"

struct row;
struct store;

#define SNAPSHOT_FORMAT 2

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
/* Adds encoded rows (store/row.h): whole ones, any number. After a failure, which every later call
 * repeats, only finish or abort are left. */
enum status snapshot_writer_rows(struct snapshot_writer *w, struct slice rows,
                                 struct errmsg *err) MUST_USE;
/* Adds `meta`, commits, syncs the file and frees the writer; on failure the file is removed. */
enum status snapshot_writer_finish(struct snapshot_writer *w, const struct snapshot_meta *meta,
                                   struct errmsg *err) MUST_USE;
/* Gives up: removes the file and frees the writer. */
void snapshot_writer_abort(struct snapshot_writer *w);

/* Reads only the meta table (fast), and proves it. RC_NOT_FOUND; RC_CORRUPT if this is not one of
 * our files; RC_UNSUPPORTED if its format is newer than ours. `meta` is written on success only,
 * and is then the caller's to close; also below. */
enum status snapshot_inspect(struct env *env, const char *path, struct snapshot_meta *meta,
                             struct errmsg *err) MUST_USE;

/* A row on its way out of a file; its slices are valid until return. A result other than RC_OK ends
 * the reading. */
typedef enum status (*snapshot_row_fn)(void *context, const struct row *row);

/* Gives all rows to `fn`, table by table; within a table the order means nothing and is not proved.
 * What was given counts only once this has returned RC_OK: damage may be found after the last row.
 */
enum status snapshot_read(struct env *env, const char *path, snapshot_row_fn fn, void *context,
                          struct snapshot_meta *meta, struct errmsg *err) MUST_USE;

/* Loads a file into a new store and proves it: the digest computed from the rows must equal the one
 * recorded, else RC_CORRUPT with the path named. */
enum status snapshot_load(struct env *env, const char *path, struct store **out,
                          struct snapshot_meta *meta, struct errmsg *err) MUST_USE;

#endif
