/* The replicated table of leases and sessions: who may own ephemeral nodes, until when nobody
 * knows. Deadlines are the leader's volatile matter (lease/keeper.h); this table changes by log
 * commands only, is part of the digest and of snapshots, and knows no clock.
 *
 * Nodes are attached by slot, an opaque number of the store's; a lease does not look at them. */
#ifndef LEASE_TABLE_H
#define LEASE_TABLE_H

#include <stdbool.h>

#include "base/slice.h"
#include "lease/lease.h"

struct window;

struct lease {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t generation; /* moved by every resume: an EXPIRE of an older one is void */
    uint64_t granted_ms; /* wall clock, for display */
    uint8_t kind;        /* enum lease_kind */
    bool renewable;
    uint8_t secret[LEASE_SECRET_BYTES];
    struct slice owner;     /* owned */
    struct window *window;  /* LEASE_SESSION, else NULL: remembered replies by sequence */
    uint32_t *attached;     /* slots, in no order that means anything */
    uint32_t attached_count;
    uint32_t attached_capacity;
};

#endif
