/* One SQLite database as one file of the env's disk. The only code that knows SQLite.
 *
 * SQLite reaches the file through a VFS of ours that makes calls on env->disk and nothing else, so
 * that a virtual disk sees and can fail every access. Each open database registers a VFS under a
 * name of its own and takes it away when it closes: databases of several envs can be open at the
 * same time, on several threads. SQLite gets no clock and no randomness here, and SQL functions
 * are refused, so that the same rows give the same bytes.
 *
 * A database is written once, from empty, in one transaction without a journal, and is durable
 * after db_commit; one that failed is worthless and its owner removes the file. Later it is only
 * read. Values cross the border as arrays of cells, one per column. Whole tables go in and out
 * beside SQL (store/db_bulk.h, store/db_scan.h): SQLite makes the file and the tables, and says
 * what is in it.
 *
 * Threads. A database and its statements belong to one thread at a time, which may block.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <stdbool.h>

#include "base/env.h"
#include "base/slice.h"
#include "base/status.h"

struct db;
struct db_query; /* a prepared statement */

enum db_type { DB_NULL = 0, DB_INTEGER = 1, DB_TEXT = 2, DB_BLOB = 3 };

struct db_cell {
    enum db_type type;
    uint64_t integer;   /* DB_INTEGER: two's complement beyond INT64_MAX */
    struct slice bytes; /* DB_TEXT, DB_BLOB: borrowed */
};

/* Creates an empty database in place of whatever is there, and begins its transaction.
 * `application_id` goes into the file's header, where file(1) and db_open look for it. */
enum status db_create(struct env *env, const char *path, uint32_t application_id,
                      struct db **out, struct errmsg *err) MUST_USE;
/* Opens for reading. RC_NOT_FOUND; RC_CORRUPT when it is no database of this application. */
enum status db_open(struct env *env, const char *path, uint32_t application_id, struct db **out,
                    struct errmsg *err) MUST_USE;
/* Ends the transaction and makes the file durable by one sync; its name needs env_disk.sync_dir. */
enum status db_commit(struct db *db, struct errmsg *err) MUST_USE;
/* The page of the file with which a table begins, for store/db_bulk.h and store/db_scan.h. */
enum status db_root_page(struct db *db, const char *table, uint32_t *page,
                         struct errmsg *err) MUST_USE;
/* Frees; its queries must be closed before. Without db_commit the file holds a useless part. */
void db_close(struct db *db);

/* Runs statements that give no rows. */
enum status db_run(struct db *db, const char *sql, struct errmsg *err) MUST_USE;

enum status db_prepare(struct db *db, const char *sql, struct db_query **out,
                       struct errmsg *err) MUST_USE;
void db_query_close(struct db_query *query); /* NULL is fine */
/* Sets `count` parameters from number `first` on, counted from 0; number 0 begins the query anew.
 * Bytes are borrowed until the query begins anew or is closed. */
enum status db_bind(struct db_query *query, int first, const struct db_cell *cells, int count,
                    struct errmsg *err) MUST_USE;
/* The next row: fills as many cells as the query has columns, at most `count`; bytes are valid
 * until the next call. False in `found`: there is none, and the query is at rest again. */
enum status db_next(struct db_query *query, struct db_cell *cells, int count, bool *found,
                    struct errmsg *err) MUST_USE;
/* Runs a query that gives no rows. */
enum status db_execute(struct db_query *query, struct errmsg *err) MUST_USE;

#endif
