/* Reads of the past; store/query.h says what they mean. */
#ifndef STORE_QUERY_HISTORY_H
#define STORE_QUERY_HISTORY_H

#include "store/access.h"
#include "store/query.h"

/* QUERY_GET, QUERY_EXISTS at q->revision. */
void query_get_at(const struct access *access, const struct query *q,
                  struct query_result *result);
/* QUERY_HISTORY. */
void query_history(const struct access *access, const struct query *q,
                   struct query_result *result, struct arena *arena);

#endif
