/* Rows for tests of snapshot files: made from a seed, with the values that go wrong first (empty
 * and absent, the largest numbers, paths that are no text), and compared by their encoding. They
 * fit the format, not a store: parents may be missing. */
#ifndef TESTS_SUPPORT_ROWS_H
#define TESTS_SUPPORT_ROWS_H

#include "store/row.h"
#include "store/snapshot.h"

/* Appends `count` rows of all tables, mixed, changes out of order. The same seed gives the same. */
void rows_make(struct buf *rows, uint64_t seed, int count, size_t value_bytes);

/* Writes them to a new snapshot at `path` in pieces of a few rows. */
enum status rows_write(struct env *env, const char *path, struct slice rows,
                       const struct snapshot_meta *meta, struct errmsg *err) MUST_USE;

/* Reads a snapshot; the sorted hashes of its rows are appended to `hashes` (u64 each), so that two
 * contents are equal when these bytes are. */
enum status rows_read(struct env *env, const char *path, struct buf *hashes,
                      struct snapshot_meta *meta, struct errmsg *err) MUST_USE;

/* The same of encoded rows. */
void rows_hashes(struct slice rows, struct buf *hashes);

#endif
