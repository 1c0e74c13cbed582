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
    CLIENT_METRICS,
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
    /* streams: client/stream.h */
    CLIENT_KEEP_SESSION,
    CLIENT_KEEP_LEASE,
    CLIENT_WATCH,
    CLIENT_SNAPSHOT_SAVE,
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
};

const struct method *method_get(enum client_method method);

/* Unpacks a reply; free with client_reply_free. NULL: no memory, or it cannot be decoded. */
ProtobufCMessage *method_unpack(const struct method *method, size_t bytes, const uint8_t *data,
                                bool *has_no_memory);

#endif
