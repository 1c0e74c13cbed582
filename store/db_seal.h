/* Seals: the last eight bytes of each page of a file, which SQLite leaves to whoever reserves them,
 * hold a hash of all that is before them and of the page's number.
 *
 * SQLite itself notices damage to its trees, but neither to values nor to the gaps of pages. With
 * the seals there is no bit of the file that can change unnoticed.
 */
#ifndef STORE_DB_SEAL_H
#define STORE_DB_SEAL_H

#include "base/env.h"
#include "base/status.h"

/* Ends a page of DB_PAGE_BYTES, counted from 1. */
void db_seal_page(uint8_t *page, uint32_t number);
/* Reads the whole file. RC_CORRUPT: a page is not as it was sealed, or pages are missing. */
enum status db_check_seals(struct env *env, const char *path, struct errmsg *err) MUST_USE;

#endif
