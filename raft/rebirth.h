/* The data dir of the first member of a new cluster, made out of a state: what a restore and a
 * recovery end with. store/rebirth.h says what becomes of the state.
 *
 * Ids. A new cluster needs an id that no cluster had before, and that its first members agree on
 * although each is restored for itself, on its own machine. So it is derived: from a token, random
 * unless the operator repeats the one of the first member, from the names and addresses of the
 * first members, and from the state. Members that were restored with another token, from another
 * file, or to another point do not get the same id, and so refuse each other: they can never mix.
 *
 * The dir gets its identity last. One without is not complete: no node starts from it.
 */
#ifndef RAFT_REBIRTH_H
#define RAFT_REBIRTH_H

#include "base/env.h"
#include "raft/node.h"
#include "store/rebirth.h"

#define REBIRTH_TOKEN_BYTES_MAX 64

struct rebirth_options {
    struct env *env;
    const char *data_dir; /* missing, or empty */
    const char *name;
    const struct node_member *members; /* the first members, this one included */
    size_t member_count;               /* 0 or 1: a single node */
    const char *token;
    uint64_t term; /* of the last entry in the state */
    uint64_t cluster_id; /* of the old cluster */
};

struct rebirth_report {
    struct rebirth state;
    uint64_t cluster_id;
    uint64_t node_id;
    uint64_t revision;
    uint64_t index;
    uint64_t term;
    uint64_t digest;
};

/* RC_EXISTS with the name of what is there unless `dir` is missing or empty; a lock that nobody
 * holds and a lost+found do not count. */
enum status rebirth_check_dir(struct env *env, const char *dir, struct errmsg *err) MUST_USE;

/* Makes the data dir, locked until the env is freed, and `s` the state of its cluster: it has
 * changed even when this fails. RC_EXISTS, RC_LOCKED, RC_IO, RC_NO_SPACE. Blocks. */
enum status rebirth_write(const struct rebirth_options *options, struct store *s,
                          struct rebirth_report *out, struct errmsg *err) MUST_USE;

#endif
