/* ZooKeeper's packets as structs: bytes in, structs out, and back. No I/O, no state; fuzzed.
 *
 * Sources: zookeeper.jute (records), ZooDefs.OpCode, KeeperException.Code. What is well-formed here
 * may still be refused by the handler (net/zookeeper/connection.h): versions, flags, ACLs, paths.
 *
 * To add an operation: its number, its fields in `struct zk_request`, its case in request.c, its
 * line in docs/protocols/zookeeper.md. */
#ifndef NET_ZOOKEEPER_PACKET_H
#define NET_ZOOKEEPER_PACKET_H

#include "base/arena.h"
#include "base/status.h"
#include "net/zookeeper/jute.h"
#include "store/types.h"

/* jute.maxbuffer: of a packet from a client, its length word not counted. */
#define ZK_PACKET_BYTES_MAX ((size_t)0xfffff)
#define ZK_PASSWORD_BYTES   ((size_t)16)

enum zk_type {
    ZK_CREATE = 1,
    ZK_DELETE = 2,
    ZK_EXISTS = 3,
    ZK_GET_DATA = 4,
    ZK_SET_DATA = 5,
    ZK_GET_ACL = 6,
    ZK_SET_ACL = 7,
    ZK_GET_CHILDREN = 8,
    ZK_SYNC = 9,
    ZK_PING = 11,
    ZK_GET_CHILDREN2 = 12,
    ZK_CHECK = 13,
    ZK_MULTI = 14,
    ZK_CREATE2 = 15,
    ZK_RECONFIG = 16,
    ZK_CHECK_WATCHES = 17,
    ZK_REMOVE_WATCHES = 18,
    ZK_CREATE_CONTAINER = 19,
    ZK_DELETE_CONTAINER = 20,
    ZK_CREATE_TTL = 21,
    ZK_MULTI_READ = 22,
    ZK_AUTH = 100,
    ZK_SET_WATCHES = 101,
    ZK_SASL = 102,
    ZK_GET_EPHEMERALS = 103,
    ZK_GET_ALL_CHILDREN_NUMBER = 104,
    ZK_SET_WATCHES2 = 105,
    ZK_ADD_WATCH = 106,
    ZK_WHO_AM_I = 107,
    ZK_CREATE_SESSION = -10,
    ZK_CLOSE_SESSION = -11,
    ZK_ERROR = -1, /* in a multi's results */
};

/* Codes that all clients know, since 3.4 (KeeperException.Code): what is sent a code that it does
 * not know may never answer its caller. Two are newer: NO_WATCHER, for requests that came with it,
 * and QUOTA_EXCEEDED. */
enum zk_error {
    ZK_OK = 0,
    ZK_SYSTEM_ERROR = -1,
    ZK_RUNTIME_INCONSISTENCY = -2,
    ZK_MARSHALLING_ERROR = -5,
    ZK_UNIMPLEMENTED = -6,
    ZK_OPERATION_TIMEOUT = -7,
    ZK_BAD_ARGUMENTS = -8,
    ZK_NO_NODE = -101,
    ZK_NO_AUTH = -102,
    ZK_BAD_VERSION = -103,
    ZK_NO_CHILDREN_FOR_EPHEMERALS = -108,
    ZK_NODE_EXISTS = -110,
    ZK_NOT_EMPTY = -111,
    ZK_SESSION_EXPIRED = -112,
    ZK_INVALID_ACL = -114,
    ZK_AUTH_FAILED = -115,
    ZK_NO_WATCHER = -121,
    ZK_QUOTA_EXCEEDED = -125,
};

/* Reserved xids. */
enum zk_xid { ZK_XID_EVENT = -1, ZK_XID_PING = -2, ZK_XID_AUTH = -4, ZK_XID_SET_WATCHES = -8 };

enum zk_event_type {
    ZK_EVENT_CREATED = 1,
    ZK_EVENT_DELETED = 2,
    ZK_EVENT_CHANGED = 3,
    ZK_EVENT_CHILDREN = 4,
};

/* Which watches checkWatches and removeWatches mean; the last two since 3.9. */
enum zk_watcher_type {
    ZK_WATCHER_CHILDREN = 1,
    ZK_WATCHER_DATA = 2,
    ZK_WATCHER_ANY = 3,
    ZK_WATCHER_PERSISTENT = 4,
    ZK_WATCHER_RECURSIVE = 5,
};

enum zk_create_flags {
    ZK_FLAG_PERSISTENT = 0,
    ZK_FLAG_EPHEMERAL = 1,
    ZK_FLAG_SEQUENTIAL = 2,
    ZK_FLAG_EPHEMERAL_SEQUENTIAL = 3,
    ZK_FLAG_CONTAINER = 4,
    ZK_FLAG_TTL = 5,
    ZK_FLAG_TTL_SEQUENTIAL = 6,
};

enum zk_permission {
    ZK_PERM_READ = 1,
    ZK_PERM_WRITE = 2,
    ZK_PERM_CREATE = 4,
    ZK_PERM_DELETE = 8,
    ZK_PERM_ADMIN = 16,
    ZK_PERM_ALL = 31,
};

struct zk_acl {
    int32_t permissions;
    struct slice scheme;
    struct slice id; /* .data is NULL: null, which is not a missing field */
};

/* The first packet of a connection. */
struct zk_connect {
    int32_t protocol_version;
    int64_t last_zxid_seen;
    int32_t timeout_ms;
    int64_t session; /* 0 = a new one */
    struct slice password;
    bool has_read_only; /* the reply has the byte exactly if the request had it */
    bool read_only;
};

struct zk_paths {
    const struct slice *paths;
    size_t count;
};

struct zk_request {
    int32_t xid;  /* of a multi's operation: 0 */
    int32_t type; /* enum zk_type, or what nobody knows */
    struct slice path;
    struct slice data; /* create, set; token of auth */
    bool data_is_null;
    bool watch;
    int32_t version;
    int32_t flags; /* create: enum zk_create_flags; add_watch, check and remove_watches: mode */
    int64_t ttl_ms;
    const struct zk_acl *acl;
    size_t acl_count;
    struct slice scheme; /* auth */
    int64_t relative_zxid;
    struct zk_paths data_watches;
    struct zk_paths exist_watches;
    struct zk_paths child_watches;
    struct zk_paths persistent_watches;
    struct zk_paths recursive_watches;
    const struct zk_request *ops; /* multi, multi_read */
    size_t op_count;
};

/* ---- from a client ----------------------------------------------------------------------- */

/* Looks at the front of `bytes`: RC_OK and the whole packet's body in `packet`, of size 0 with
 * `*taken` 0 when more bytes are needed; RC_MALFORMED or RC_TOO_LARGE: close. */
enum status zk_frame(struct slice bytes, struct slice *packet, size_t *taken) MUST_USE;

/* RC_MALFORMED: close. */
enum status zk_connect_decode(struct slice packet, struct zk_connect *out) MUST_USE;

/* RC_MALFORMED: not even a header, close. Else `error` is ZK_OK, or what to answer: a field is
 * missing (MARSHALLING_ERROR), or the type is no request of clients (UNIMPLEMENTED; xid and type
 * are filled).
 * Slices point into the packet, arrays into `arena`. */
enum status zk_request_decode(struct slice packet, struct zk_request *out, enum zk_error *error,
                              struct arena *arena) MUST_USE;

bool zk_type_is_known(int32_t type);
const char *zk_type_name(int32_t type);  /* "create" */
const char *zk_type_short(int32_t type); /* "CREA", as ZooKeeper's `cons` has them */

/* ---- to a client ------------------------------------------------------------------------- */

void zk_put_connect_reply(struct buf *out, int32_t timeout_ms, int64_t session,
                          const uint8_t password[ZK_PASSWORD_BYTES], bool with_read_only);

/* One packet in steps: begin, the body if `error` is ZK_OK, end. */
size_t zk_reply_begin(struct buf *out, int32_t xid, int64_t zxid, enum zk_error error);
void zk_reply_end(struct buf *out, size_t begin);
/* Of a whole reply at `begin`: its zxid becomes this one, unless it is higher or none. Returns the
 * higher one. */
int64_t zk_reply_raise_zxid(struct buf *out, size_t begin, int64_t zxid);

void zk_put_event(struct buf *out, int64_t zxid, enum zk_event_type type, struct slice path);
void zk_put_stat(struct buf *out, const struct node_stat *stat);
void zk_put_acl(struct buf *out, const struct zk_acl *acl, size_t count);
/* The head of each result of a multi, and the one behind the last. */
void zk_put_multi_head(struct buf *out, int32_t type, enum zk_error error);
void zk_put_multi_end(struct buf *out);

#endif
