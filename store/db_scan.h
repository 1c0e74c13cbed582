/* All rows of one table of a SQLite file, in the order of their rowids, straight from its pages:
 * what SQL would take for each column of each row is the greater part of loading a snapshot.
 *
 * The file is one that db_open has found to be ours. Whatever is damaged in it gives RC_CORRUPT or
 * other rows, never a crash: that the rows are right is proved by whoever reads them. May block;
 * one thread at a time.
 */
#ifndef STORE_DB_SCAN_H
#define STORE_DB_SCAN_H

#include "base/env.h"
#include "store/db.h"

struct db_scan;

/* `root` is the table's first page (db_root_page). */
enum status db_scan_open(struct env *env, const char *path, uint32_t root, struct db_scan **out,
                         struct errmsg *err) MUST_USE;
/* The next row, which must have exactly `count` columns; bytes are valid until the next call. False
 * in `found`: there is none. */
enum status db_scan_next(struct db_scan *s, struct db_cell *cells, int count, bool *found,
                         struct errmsg *err) MUST_USE;
void db_scan_close(struct db_scan *s); /* NULL is fine */

#endif
