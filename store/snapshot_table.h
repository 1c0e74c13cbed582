/* The tables of a snapshot database, and a row of each as cells.
 *
 * To add a table or a column: raise SNAPSHOT_FORMAT unless no released version has written the
 * present one, extend the table's list here and its two halves in snapshot_table.c, and describe it
 * in docs/formats.md. A file's schema must equal these texts to the letter.
 */
#ifndef STORE_SNAPSHOT_TABLE_H
#define STORE_SNAPSHOT_TABLE_H

#include "store/db.h"
#include "store/row.h"

/* "cord", in the header of the file. */
#define SNAPSHOT_APPLICATION_ID UINT32_C(0x636f7264)

#define SNAPSHOT_CELLS_MAX 32

/* The numbers of enum row_table; 0 is the file's own table. They go into row checksums. */
enum { SNAPSHOT_TABLE_FILE = 0, SNAPSHOT_TABLE_COUNT = ROW_ACL + 1 };

struct snapshot_table {
    const char *name;
    const char *create; /* as SQLite keeps it in its schema */
    int columns;
};

extern const struct snapshot_table snapshot_tables[SNAPSHOT_TABLE_COUNT];

/* One row, filled or read from the first cell to the last. */
struct snapshot_cells {
    struct db_cell cells[SNAPSHOT_CELLS_MAX];
    int count;
    int next;
    bool failed; /* a cell did not fit what was taken from it */
};

/* Borrows the bytes of `row`, which must outlive the cells. */
void snapshot_cells_from_row(struct snapshot_cells *c, const struct row *row);
/* The reverse; `c` holds the columns of `table`. RC_CORRUPT for cells that no row gave. */
enum status snapshot_cells_to_row(struct snapshot_cells *c, uint8_t table,
                                  struct row *row) MUST_USE;

/* DB_TEXT when the bytes are UTF-8 without NUL, so that the sqlite3 shell can show and compare
 * them, else DB_BLOB. */
struct db_cell snapshot_cell_text(struct slice bytes);

/* Hash of one row: over type and content of each cell. The checksum of meta is the sum of these. */
uint64_t snapshot_cells_hash(const struct snapshot_cells *c, uint8_t table);

#endif
