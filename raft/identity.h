/* Who a data dir belongs to: one small text file, written beside and renamed.
 *
 *   absent   -> the dir is empty: nothing was ever promised from it
 *   PENDING  -> every first member said it is new; the log may not exist yet
 *   MEMBER   -> the log exists; if it does not, it was lost, and the identity with it
 *   JOINING  -> it asks a cluster to be added, under an id of its own; the log may not exist yet
 *   REMOVED  -> it was a member, and is not any more
 */
#ifndef RAFT_IDENTITY_H
#define RAFT_IDENTITY_H

#include "base/env.h"
#include "raft/node.h"

enum identity_phase {
    IDENTITY_NONE = 0,
    IDENTITY_PENDING = 1,
    IDENTITY_MEMBER = 2,
    IDENTITY_JOINING = 3,
    IDENTITY_REMOVED = 4
};

struct identity {
    enum identity_phase phase;
    uint64_t cluster_id;
    uint64_t node_id;
    /* identity_of_members of the first members; of who joined, the cluster's id; 0 = a single
     * node */
    uint64_t initial;
    char name[NODE_NAME_BYTES_MAX];
};

/* Reads `dir`/identity; phase NONE if there is none. Blocks. RC_CORRUPT, RC_UNSUPPORTED,
 * RC_IO. */
enum status identity_load(struct env *env, const char *dir, struct identity *out,
                          struct errmsg *err) MUST_USE;
enum status identity_save(struct env *env, const char *dir, const struct identity *identity,
                          struct errmsg *err) MUST_USE;

/* First members agree on their ids without talking: derived from names and addresses, in any
 * order. Never 0, below 2^63. */
uint64_t identity_of_members(const struct node_member *members, size_t count);
uint64_t identity_of_member(uint64_t cluster_id, const char *name);

#endif
