/* The words about leases that commands, snapshots and front ends share. Plain data.
 *
 * A session is a lease with credentials and a reply window (exactly-once). One table, one way to
 * expire. TTLs are milliseconds of the leader's clock. */
#ifndef LEASE_LEASE_H
#define LEASE_LEASE_H

#include <stddef.h>
#include <stdint.h>

#define LEASE_TTL_MS_MIN     ((uint64_t)500)
#define LEASE_TTL_MS_MAX     ((uint64_t)24 * 3600 * 1000)
#define LEASE_SECRET_BYTES   ((size_t)16)
#define LEASE_OWNER_BYTES_MAX ((size_t)256)
#define LEASE_USER_BYTES_MAX  ((size_t)64)
/* Ids are random in [1, LEASE_ID_MAX]: positive as int64 in every language, and never with the
 * high byte that marks ZooKeeper's TTL nodes. */
#define LEASE_ID_MAX INT64_MAX

enum lease_kind {
    LEASE_PLAIN = 1,
    LEASE_SESSION = 2,
};

#endif
