/* Fills the empty tables of a new SQLite file with rows, straight into its pages: through SQL the
 * columns of a million nodes take a processor for four seconds, this way for a fraction of one.
 *
 * Rows go into leaves in the order in which they come, with rowids from 1; leaves go to the file as
 * they fill, one behind the other, whatever their table. What leads to them, the interior pages and
 * the tables' first pages, is written at the end. Until then the file is worthless. Each page is
 * sealed (store/db_seal.h).
 *
 * So that the file's pages do not gather in the system's memory, and another file's sync then waits
 * for all of them, it is synced piece by piece. May block; one thread at a time.
 */
#ifndef STORE_DB_BULK_H
#define STORE_DB_BULK_H

#include "base/env.h"
#include "store/db.h"

struct db_bulk;

/* Takes over a file that db_create has made and that nobody has open, with tables without
 * rows. `roots`: their first pages (db_root_page), borrowed until return. */
enum status db_bulk_open(struct env *env, const char *path, const uint32_t *roots, int tables,
                         struct db_bulk **out, struct errmsg *err) MUST_USE;
/* Adds a row to table number `table` of those. RC_TOO_LARGE: it is longer than a row may be. */
enum status db_bulk_append(struct db_bulk *b, int table, const struct db_cell *cells, int count,
                           struct errmsg *err) MUST_USE;
/* Writes what is left and makes the file durable; its name needs env_disk.sync_dir. */
enum status db_bulk_commit(struct db_bulk *b, struct errmsg *err) MUST_USE;
void db_bulk_close(struct db_bulk *b); /* NULL is fine */

#endif
