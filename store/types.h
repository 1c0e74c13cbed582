/* The words that commands, replies, queries and snapshots share. Plain data.
 *
 * The limits are the product's; a request beyond one is refused by name before it is proposed
 * (store/command.h, command_check) and once more, for safety, in apply. */
#ifndef STORE_TYPES_H
#define STORE_TYPES_H

#include "base/slice.h"

#define STORE_PATH_BYTES_MAX ((size_t)4096)
#define STORE_VALUE_BYTES_MAX ((size_t)1 << 20)
#define STORE_REQUEST_BYTES_MAX ((size_t)4 << 20)

/* First byte of every key. */
enum space {
    SPACE_NODES = 'Z', /* znodes: the key is a path */
    SPACE_META = 'M',  /* members, users, policies: flat byte keys */
    SPACE_ETCD = 'E',  /* reserved for flat keys of a later front end */
};

enum node_kind {
    NODE_PERSISTENT = 0,
    NODE_EPHEMERAL = 1, /* deleted with its lease; no children */
    NODE_CONTAINER = 2, /* removed by a logged command after its last child went */
    NODE_TTL = 3,       /* removed by a logged command when childless and unmodified for ttl_ms */
    NODE_RECIPE = 4,    /* of a lock and its like, with its queue as children (recipes/record.h);
                         * goes like a container. Made by a COMMAND_RECIPE only */
    NODE_MAP = 5,       /* of a shard map, and below it (recipes/shard_record.h). Made and changed
                         * by a COMMAND_SHARD only */
};

/* What there is to know about a node besides its value. All revisions are store revisions (a
 * znode's zxid); times are wall-clock milliseconds of the command, for display. */
struct node_stat {
    uint64_t create_revision;   /* czxid */
    uint64_t modify_revision;   /* mzxid: create or last set */
    uint64_t children_revision; /* pzxid: last create or delete of a child, at first the create */
    uint64_t create_ms;
    uint64_t modify_ms;
    uint64_t lease;         /* owner of an ephemeral, else 0 */
    uint64_t ttl_ms;        /* of a NODE_TTL, else 0 */
    uint64_t sequence_next; /* children ever created: the next sequential number */
    uint32_t version;       /* sets since create; wraps, skipping UINT32_MAX ("any") */
    uint32_t acl_version;
    uint32_t data_bytes;
    uint32_t child_count;
    uint32_t acl; /* id in the ACL table, 0 = open to the world */
    uint8_t kind; /* enum node_kind */
};

/* cversion as ZooKeeper reports it: creates plus deletes of children. */
static inline uint64_t stat_children_version(const struct node_stat *s)
{
    return 2 * s->sequence_next - s->child_count;
}

/* Names a deduplicated request that has no session: random bits plus the cluster_ms at which the
 * client made it, the same over all its retries. All zero = none. */
struct request_id {
    uint64_t issued_ms;
    uint64_t random[2];
};

static inline bool request_id_is_set(const struct request_id *id)
{
    return (id->issued_ms | id->random[0] | id->random[1]) != 0;
}

/* Outcomes: data in a reply, decided in apply or by a query, the same on every member. The order
 * is on the wire and in snapshots: append only. */
#define OUTCOME_LIST(X)                                                                            \
    X(OUTCOME_OK, "ok")                                                                            \
    X(OUTCOME_NO_NODE, "node does not exist")                                                      \
    X(OUTCOME_NODE_EXISTS, "node already exists")                                                  \
    X(OUTCOME_BAD_VERSION, "version does not match")                                               \
    X(OUTCOME_NOT_EMPTY, "node has children")                                                      \
    X(OUTCOME_NO_PARENT, "parent node does not exist")                                             \
    X(OUTCOME_BAD_PATH, "path is not valid")                                                       \
    X(OUTCOME_TOO_LARGE, "larger than the limit")                                                  \
    X(OUTCOME_BAD_ARGUMENTS, "arguments are not valid")                                            \
    X(OUTCOME_GUARD_REFUSED, "a guard does not hold")                                              \
    X(OUTCOME_ROLLED_BACK, "another operation of the transaction failed")                          \
    X(OUTCOME_PROTECTED, "node is protected")                                                      \
    X(OUTCOME_EPHEMERAL_PARENT, "ephemeral nodes have no children")                                \
    X(OUTCOME_NO_LEASE, "lease does not exist")                                                    \
    X(OUTCOME_REQUEST_EXPIRED, "request id is older than the deduplication window")                \
    X(OUTCOME_REQUEST_FUTURE, "request id was issued in the future")                               \
    X(OUTCOME_LIMIT, "more than the limit allows")                                                 \
    X(OUTCOME_UNSUPPORTED, "not supported at this feature level")                                  \
    X(OUTCOME_COMPACTED, "revision is no longer retained")                                         \
    X(OUTCOME_FUTURE_REVISION, "revision is in the future")                                        \
    X(OUTCOME_BAD_CURSOR, "page token is not valid")                                               \
    X(OUTCOME_NO_SESSION, "session does not exist or has ended")                                   \
    X(OUTCOME_BAD_SECRET, "credentials do not match")                                              \
    X(OUTCOME_LEASE_EXISTS, "lease already exists")                                                \
    X(OUTCOME_NOT_RENEWABLE, "lease is not renewable")                                             \
    X(OUTCOME_BAD_TTL, "ttl is out of range")                                                      \
    X(OUTCOME_SEQUENCE_EXPIRED, "sequence number is below the session's window")                   \
    X(OUTCOME_GENERATION_MOVED, "lease was taken over meanwhile")                                  \
    X(OUTCOME_NOT_DUE, "node is not due for removal")                                              \
    X(OUTCOME_BAD_PATTERN, "pattern is not valid")                                                 \
    X(OUTCOME_NO_AUTH, "not allowed")                         \
    X(OUTCOME_INVALID_ACL, "access control list is not valid")                                     \
    X(OUTCOME_NO_USER, "user does not exist")                                                      \
    X(OUTCOME_USER_EXISTS, "user already exists")                                                  \
    X(OUTCOME_NO_ROLE, "role does not exist")                                                      \
    X(OUTCOME_ROLE_EXISTS, "role already exists")                                                  \
    X(OUTCOME_NOT_GRANTED, "it is not granted")                                                    \
    X(OUTCOME_NO_ROOT, "there must be a user, not disabled, with the role root")                   \
    X(OUTCOME_QUOTA, "a quota leaves no room for it")                                              \
    X(OUTCOME_NO_QUOTA, "there is no quota at this path")                                          \
    X(OUTCOME_USER_LIMIT, "the limit of its user is reached")                                      \
    X(OUTCOME_GUARD_STALE, "a grant that guards it is not held any more")                          \
    X(OUTCOME_HELD, "held by somebody else")                                                       \
    X(OUTCOME_DEADLOCK, "would wait for ever: deadlock")                                           \
    X(OUTCOME_GRAPH_TOO_LARGE, "too much to search for a deadlock")                                \
    X(OUTCOME_WAITS, "the owner waits already")                                                    \
    X(OUTCOME_MISMATCH, "used in another way")                                                     \
    X(OUTCOME_NOT_HELD, "not held")                                                                \
    X(OUTCOME_NO_RECIPE, "the node there is of another kind")                                      \
    X(OUTCOME_WAIT_TIMEOUT, "waited for as long as it was to")                                     \
    X(OUTCOME_WAIT_ENDED, "the wait was ended by somebody else")

enum outcome {
#define OUTCOME_ENUM(name, text) name,
    OUTCOME_LIST(OUTCOME_ENUM)
#undef OUTCOME_ENUM
        OUTCOME_COUNT
};

const char *outcome_text(enum outcome outcome); /* in store/reply.c */

/* What a refusal was about: which bound, of OUTCOME_QUOTA and OUTCOME_USER_LIMIT; or a version, of
 * OUTCOME_BAD_VERSION to those who may read the node; and of no other. */
enum bound {
    BOUND_NONE = 0,
    BOUND_QUOTA_BYTES = 1, /* `subject` is the quota's path */
    BOUND_QUOTA_NODES = 2,
    BOUND_USER_LEASES = 3, /* `subject` is the user */
    BOUND_VERSION = 4,     /* no bound: `used` is the version, `wanted` the one that was expected */
};

/* `used` of `limit` are taken, and what was refused wants `wanted` more. */
struct refusal {
    uint8_t bound; /* enum bound; BOUND_NONE: nothing was refused for that reason */
    struct slice subject;
    uint64_t used;
    uint64_t wanted;
    uint64_t limit;
};

#define REFUSAL_TEXT_BYTES_MAX ((size_t)448)
/* For people: "the quota of /a leaves no room: 10 of 10 nodes are used, 1 more is wanted", "version
 * does not match: it is 7, 5 was expected". A long path is cut. `text` has REFUSAL_TEXT_BYTES_MAX
 * bytes. */
void refusal_text(const struct refusal *r, char *text);

#endif
