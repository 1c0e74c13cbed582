/* What a snapshot file holds, as far as people ask. */
#ifndef CMD_COORDCTL_SNAPSHOT_FILE_H
#define CMD_COORDCTL_SNAPSHOT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SNAPSHOT_MEMBERS_MAX 16

struct snapshot_member {
    uint64_t id;
    char name[64];
    char address[340]; /* for its peers */
    const char *role;
};

struct snapshot_facts {
    uint64_t bytes;
    uint64_t format;
    char version[64]; /* of the coord that wrote it */
    uint64_t cluster_id;
    uint64_t revision;
    uint64_t index;
    uint64_t term;
    uint64_t digest;
    uint64_t content_digest; /* of what a restore keeps (store/rebirth.h) */
    uint64_t wall_ms; /* of the last change; 0: there is none */
    uint64_t history_floor;
    uint64_t nodes;
    uint64_t sessions;
    uint64_t leases; /* that are no sessions */
    struct snapshot_member members[SNAPSHOT_MEMBERS_MAX];
    size_t member_count;
};

/* Loads the whole file and proves it. RC_NOT_FOUND; RC_CORRUPT, RC_UNSUPPORTED: `err` says what is
 * wrong with it. */
enum status snapshot_facts_read(const char *path, struct snapshot_facts *out,
                                struct errmsg *err) MUST_USE;

#endif
