/* Grants that must be held, as requests of recipes carry them. */
#ifndef CLIENT_GUARD_LIST_H
#define CLIENT_GUARD_LIST_H

#include "client/client.h"
#include "coord/v1/types.pb-c.h"

#define GUARDS_MAX 64 /* of one request */

/* What a request points to. */
struct guard_list {
    Coord__V1__LockGrant grants[GUARDS_MAX];
    Coord__V1__LockGrant *places[GUARDS_MAX];
};

/* Borrows the paths. COORD_INVALID: too many, or one that is no grant. */
enum coord_code guard_list_fill(struct guard_list *list, const struct coord_guard *guards,
                                size_t count, struct coord_error *error);

#endif
