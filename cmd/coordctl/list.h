/* Listings of any length, page by page. */
#ifndef COORDCTL_LIST_H
#define COORDCTL_LIST_H

#include "cmd/coordctl/ctl.h"
#include "coord/v1/tree.pb-c.h"

typedef void (*list_entry_fn)(const struct ctl *ctl, const Coord__V1__ListEntry *entry,
                              void *context);

/* Calls `take` for every entry of all pages of what `request` asks for, whose header and cursor it
 * sets. Reports what goes wrong and returns its exit code; some entries may have been taken. */
int list_each(const struct ctl *ctl, Coord__V1__ListRequest *request, list_entry_fn take,
              void *context);

#endif
