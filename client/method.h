/* The RPCs of the contract, as the client calls them.
 *
 * To add one: a value here, its line in the table of method.c. */
#ifndef CLIENT_METHOD_H
#define CLIENT_METHOD_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

enum client_method {
    CLIENT_CREATE,
    CLIENT_GET,
    CLIENT_EXISTS,
    CLIENT_SET,
    CLIENT_DELETE,
    CLIENT_LIST,
    CLIENT_TXN,
    CLIENT_SYNC,
    CLIENT_STATUS,
    CLIENT_MEMBERS,
    CLIENT_MEMBER_ADD,
    CLIENT_MEMBER_REMOVE,
    CLIENT_MEMBER_REPLACE,
    CLIENT_MEMBER_PROMOTE,
    CLIENT_TRANSFER_LEADERSHIP,
    CLIENT_MEMBER_GROW,
    CLIENT_METRICS,
    CLIENT_FINISH_UPGRADE,
    CLIENT_SESSION_OPEN,
    CLIENT_SESSION_RESUME,
    CLIENT_SESSION_CLOSE,
    CLIENT_LEASE_GRANT,
    CLIENT_LEASE_REVOKE,
    CLIENT_LEASE_TTL,
    CLIENT_LEASE_LIST,
    CLIENT_CHANGES,
    CLIENT_GET_POLICIES,
    CLIENT_SET_POLICY,
    CLIENT_SET_RETENTION,
    CLIENT_GET_ACL,
    CLIENT_SET_ACL,
    CLIENT_AUTHENTICATE,
    CLIENT_WHO_AM_I,
    CLIENT_AUTH_STATUS,
    CLIENT_AUTH_ENABLE,
    CLIENT_AUTH_DISABLE,
    CLIENT_USER_ADD,
    CLIENT_USER_DELETE,
    CLIENT_USER_GET,
    CLIENT_USER_LIST,
    CLIENT_USER_PASSWORD,
    CLIENT_USER_DISABLE,
    CLIENT_USER_GRANT,
    CLIENT_USER_REVOKE,
    CLIENT_ROLE_ADD,
    CLIENT_ROLE_DELETE,
    CLIENT_ROLE_GET,
    CLIENT_ROLE_LIST,
    CLIENT_ROLE_GRANT,
    CLIENT_ROLE_REVOKE,
    CLIENT_USER_LIMIT,
    CLIENT_QUOTA_SET,
    CLIENT_QUOTA_GET,
    CLIENT_QUOTA_LIST,
    CLIENT_QUOTA_REMOVE,
    CLIENT_SVC_REGISTER,
    CLIENT_SVC_DEREGISTER,
    CLIENT_SVC_DRAIN,
    CLIENT_SVC_HEARTBEAT,
    CLIENT_SVC_DISCOVER,
    CLIENT_SVC_LIST,
    CLIENT_CONFIG_CREATE_ROOT,
    CLIENT_CONFIG_DELETE_ROOT,
    CLIENT_CONFIG_ROOTS,
    CLIENT_CONFIG_GET,
    CLIENT_CONFIG_SET,
    CLIENT_CONFIG_UPDATE,
    CLIENT_CONFIG_HISTORY,
    CLIENT_CONFIG_DIFF,
    CLIENT_CONFIG_ROLLBACK,
    CLIENT_CONFIG_SET_SCHEMA,
    CLIENT_CONFIG_GET_SCHEMA,
    CLIENT_CONFIG_LIST_SCHEMAS,
    CLIENT_CONFIG_CHECK,
    CLIENT_LOCK_ACQUIRE,
    CLIENT_LOCK_RELEASE,
    CLIENT_LOCK_CANCEL,
    CLIENT_LOCK_EXTEND,
    CLIENT_LOCK_ASK_RELEASE,
    CLIENT_LOCK_REMOVE,
    CLIENT_LOCK_GET,
    CLIENT_LOCK_LIST,
    CLIENT_LOCK_EXPLAIN,
    CLIENT_BARRIER_ENTER,
    CLIENT_BARRIER_LEAVE,
    CLIENT_BARRIER_WITHDRAW,
    CLIENT_BARRIER_GET,
    CLIENT_BARRIER_REMOVE,
    CLIENT_LATCH_SET,
    CLIENT_LATCH_COUNT_DOWN,
    CLIENT_LATCH_AWAIT,
    CLIENT_COUNTER_ADD,
    CLIENT_COUNTER_GET,
    CLIENT_COUNTER_IDS,
    CLIENT_ELECTION_CAMPAIGN,
    CLIENT_ELECTION_LEADER,
    CLIENT_ELECTION_PROCLAIM,
    CLIENT_ELECTION_RESIGN,
    CLIENT_ELECTION_REMOVE,
    CLIENT_ELECTION_HAND_OVER,
    CLIENT_ELECTION_LIST,
    CLIENT_ELECTION_CONFIGURE,
    CLIENT_CONFIG_START_ROLLOUT,
    CLIENT_CONFIG_CHANGE_ROLLOUT,
    CLIENT_CONFIG_GET_ROLLOUT,
    CLIENT_CONFIG_LIST_ROLLOUTS,
    CLIENT_CONFIG_EFFECTIVE,
    CLIENT_SHARD_CREATE,
    CLIENT_SHARD_CONFIGURE,
    CLIENT_SHARD_DROP,
    CLIENT_SHARD_JOIN,
    CLIENT_SHARD_LEAVE,
    CLIENT_SHARD_STATS,
    CLIENT_SHARD_REPORT,
    CLIENT_SHARD_PLAN,
    CLIENT_SHARD_APPLY,
    CLIENT_SHARD_ABORT,
    CLIENT_SHARD_HOLD,
    CLIENT_SHARD_RESUME,
    CLIENT_SHARD_SPLIT,
    CLIENT_SHARD_MERGE,
    CLIENT_SHARD_SET,
    CLIENT_SHARD_SET_KEY,
    CLIENT_SHARD_REMOVE_KEY,
    /* streams: client/stream.h */
    CLIENT_SVC_SUBSCRIBE,
    CLIENT_ELECTION_OBSERVE,
    CLIENT_KEEP_SESSION,
    CLIENT_KEEP_LEASE,
    CLIENT_WATCH,
    CLIENT_SNAPSHOT_SAVE,
    CLIENT_CONFIG_WATCH,
    CLIENT_CONFIG_WATCH_EFFECTIVE,
    CLIENT_HEALTH_CHECK,
    CLIENT_HEALTH_WATCH,
};

enum method_kind {
    METHOD_READ,
    METHOD_WRITE,   /* executed once: by the sequence of a session, else by a request id */
    METHOD_SESSION, /* a write about sessions themselves: by a request id */
    METHOD_STREAM,
};

struct method {
    const char *path;
    const ProtobufCMessageDescriptor *reply;
    enum method_kind kind;
    uint8_t no_wait; /* its answer takes as long as it takes, unless the bool of this number is set;
                        0: there is none */
    bool goes_on;    /* its answer takes as long as it takes, and what was asked for goes on if the
                        call ends before */
    bool has_no_header; /* neither its request nor its reply: it is none of coord.v1 */
};

/* Its answer takes as long as it takes; else it comes soon. */
static inline bool method_waits(const struct method *method)
{
    return method->no_wait != 0 || method->goes_on;
}

const struct method *method_get(enum client_method method);
/* By its path. NULL: there is none. */
const struct method *method_find(const char *path);

/* Unpacks a reply; free with client_reply_free. NULL: no memory, or it cannot be decoded. */
ProtobufCMessage *method_unpack(const struct method *method, size_t bytes, const uint8_t *data,
                                bool *has_no_memory);

#endif
