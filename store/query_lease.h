/* What there is to ask about leases; store_query hands it on. */
#ifndef STORE_QUERY_LEASE_H
#define STORE_QUERY_LEASE_H

#include "store/access.h"
#include "store/query.h"

/* QUERY_LEASE and QUERY_LEASES. `result` has been begun. */
void query_leases(const struct access *access, const struct query *q,
                  struct query_result *result, struct arena *arena);

#endif
