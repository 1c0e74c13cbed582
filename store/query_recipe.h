/* What there is to ask about locks; store_query hands it on. */
#ifndef STORE_QUERY_RECIPE_H
#define STORE_QUERY_RECIPE_H

#include "store/access.h"
#include "store/query.h"

/* QUERY_LOCKS, below a node that the caller may read. There is no list of locks besides the tree:
 * it is walked, so many nodes for each page. `result` has been begun. */
void query_locks(const struct access *access, uint32_t top, const struct query *q,
                 struct query_result *result, struct arena *arena);
/* QUERY_WAITS, of a node that the caller may read. */
void query_waits(const struct access *access, uint32_t slot, const struct query *q,
                 struct query_result *result, struct arena *arena);

#endif
