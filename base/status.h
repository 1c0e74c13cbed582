/* Operating errors: what can go wrong outside the state machine.
 *
 * The outcome of a command (no node, bad version) is not here: it is data in the reply, see
 * store/reply.h. Adding a code: one line in STATUS_LIST; text and gRPC mapping follow from it.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#define STATUS_LIST(X)                                                                             \
    X(RC_OK, "ok")                                                                                 \
    X(RC_IO, "I/O error")                                                                          \
    X(RC_NO_SPACE, "no space left on the data disk")                                               \
    X(RC_NOT_FOUND, "not found")                                                                   \
    X(RC_EXISTS, "already exists")                                                                 \
    X(RC_CORRUPT, "data is corrupt")                                                               \
    X(RC_MALFORMED, "malformed input")                                                             \
    X(RC_TOO_LARGE, "larger than the limit")                                                       \
    X(RC_INVALID, "invalid argument")                                                              \
    X(RC_LOCKED, "locked by another process")                                                      \
    X(RC_NO_MEMORY, "out of memory")                                                               \
    X(RC_NO_LEADER, "no leader is known")                                                          \
    X(RC_NOT_LEADER, "this node is not the leader")                                                \
    X(RC_OVERLOADED, "too many requests in flight")                                                \
    X(RC_TIMEOUT, "deadline exceeded")                                                             \
    X(RC_UNKNOWN, "outcome unknown, retry with the same request id")                               \
    X(RC_STOPPED, "shutting down")                                                                 \
    X(RC_CLOSED, "connection closed")                                                              \
    X(RC_REFUSED, "refused")                                                                       \
    X(RC_STALE, "freshness cannot be proved")                                                      \
    X(RC_UNSUPPORTED, "not supported at this feature level")                                       \
    X(RC_DENIED, "permission denied")

enum status {
#define STATUS_ENUM(name, text) name,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
};

#define MUST_USE __attribute__((warn_unused_result))

/* One English phrase per code, for logs and error replies. Static memory. Any thread. */
const char *status_text(enum status rc);

/* An error with its story, outermost context first: "open data dir ./data: permission denied". */
struct errmsg {
    enum status rc;
    char text[256];
};

/* Sets `err` (may be NULL) and returns `rc`, so that `return errmsg_set(err, RC_IO, ...)` works. */
enum status errmsg_set(struct errmsg *err, enum status rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts context in front of what is already there and returns err's code (RC_IO if err is NULL). */
enum status errmsg_wrap(struct errmsg *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
