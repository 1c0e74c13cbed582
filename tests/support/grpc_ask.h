/* Calls of a gRPC peer in one line: asked and answered, or refused as expected. For test programs
 * with `node` and `peer` of tests/support/{fake_node,grpc_peer}.h. */
#ifndef TESTS_SUPPORT_GRPC_ASK_H
#define TESTS_SUPPORT_GRPC_ASK_H

#include <check.h>
#include <string.h>

#include "coord/v1/lease.pb-c.h"
#include "coord/v1/session.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "tests/support/grpc_peer.h"

/* Generated structs hold strings without const, and only read them. */
static inline char *ask_text(const char *borrowed)
{
    union {
        const char *from;
        char *to;
    } cast = {.from = borrowed};
    return cast.to;
}

static inline ProtobufCBinaryData ask_data(const char *bytes)
{
    return (ProtobufCBinaryData){.len = strlen(bytes), .data = (uint8_t *)ask_text(bytes)};
}

/* A unary call and its end, also if it asks the node more than once. */
static inline struct peer_call *ask_call(struct peer *p, const char *path,
                                         const ProtobufCMessage *request)
{
    struct peer_call *call = peer_unary(p, path, request);
    for (int i = 0; i < 8 && !call->is_closed; i++) {
        peer_run(p);
    }
    return call;
}

/* The reply of a unary call that succeeds; the caller frees it. */
static inline void *ask(struct peer *p, const char *path, const ProtobufCMessage *request,
                        const ProtobufCMessageDescriptor *reply_type)
{
    struct peer_call *call = ask_call(p, path, request);
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s: %d %s", path, peer_call_code(call),
                  peer_call_text(call));
    void *reply = peer_call_unpack(call, 0, reply_type);
    ck_assert_ptr_nonnull(reply);
    peer_call_free(call);
    return reply;
}

/* The same for a reply that nobody looks at. */
static inline void ask_done(struct peer *p, const char *path, const ProtobufCMessage *request,
                            const ProtobufCMessageDescriptor *reply_type)
{
    protobuf_c_message_free_unpacked(ask(p, path, request, reply_type), NULL);
}

/* The call ends with `code`; `outcome` (NULL: none) in its trailer, `text` in its message. */
static inline void ask_refused(struct peer *p, const char *path,
                               const ProtobufCMessage *request, enum grpc_code code,
                               const char *outcome, const char *text)
{
    struct peer_call *call = ask_call(p, path, request);
    const char *got = peer_call_header(call, "coord-outcome");
    ck_assert_msg(peer_call_code(call) == (int)code, "%s: %d %s", path, peer_call_code(call),
                  peer_call_text(call));
    ck_assert_msg(strstr(peer_call_text(call), text) != NULL, "%s: %s", path,
                  peer_call_text(call));
    ck_assert_msg((got == NULL) == (outcome == NULL), "%s: %s", path,
                  got == NULL ? "none" : got);
    if (outcome != NULL && got != NULL) {
        ck_assert_str_eq(got, outcome);
    }
    peer_call_free(call);
}

/* A plain lease with this id, 0 = any; returns its id. */
static inline uint64_t ask_grant(struct peer *p, uint64_t id, uint64_t ttl_ms)
{
    Coord__V1__LeaseGrantRequest request;
    coord__v1__lease_grant_request__init(&request);
    request.id = id;
    request.ttl_ms = ttl_ms;
    Coord__V1__LeaseGrantReply *reply =
        ask(p, "/coord.v1.Lease/Grant", &request.base, &coord__v1__lease_grant_reply__descriptor);
    id = reply->id;
    coord__v1__lease_grant_reply__free_unpacked(reply, NULL);
    return id;
}

struct ask_session {
    uint64_t id;
    uint8_t secret[16];
};

static inline struct ask_session ask_open(struct peer *p, uint64_t ttl_ms)
{
    Coord__V1__SessionOpenRequest request;
    struct ask_session session;
    coord__v1__session_open_request__init(&request);
    request.ttl_ms = ttl_ms;
    Coord__V1__SessionOpenReply *reply = ask(p, "/coord.v1.Session/Open", &request.base,
                                             &coord__v1__session_open_reply__descriptor);
    ck_assert_uint_eq(reply->secret.len, sizeof session.secret);
    session.id = reply->id;
    memcpy(session.secret, reply->secret.data, sizeof session.secret);
    coord__v1__session_open_reply__free_unpacked(reply, NULL);
    return session;
}

static inline void ask_create_node(struct peer *p, const char *path, const char *value)
{
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = ask_text(path);
    request.data = ask_data(value);
    ask_done(p, "/coord.v1.Tree/Create", &request.base, &coord__v1__create_reply__descriptor);
}

/* An ephemeral node of this lease or session. */
static inline void ask_ephemeral(struct peer *p, const char *path, uint64_t lease)
{
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = ask_text(path);
    request.kind = COORD__V1__KIND__EPHEMERAL;
    request.lease = lease;
    ask_done(p, "/coord.v1.Tree/Create", &request.base, &coord__v1__create_reply__descriptor);
}

static inline bool ask_exists(struct peer *p, const char *path)
{
    Coord__V1__ExistsRequest request;
    coord__v1__exists_request__init(&request);
    request.path = ask_text(path);
    Coord__V1__ExistsReply *reply = ask(p, "/coord.v1.Tree/Exists", &request.base,
                                        &coord__v1__exists_reply__descriptor);
    bool exists = reply->exists;
    coord__v1__exists_reply__free_unpacked(reply, NULL);
    return exists;
}

/* The code with which a Get of `path` ends. */
static inline int ask_get_code(struct peer *p, const char *path)
{
    Coord__V1__GetRequest request;
    coord__v1__get_request__init(&request);
    request.path = ask_text(path);
    struct peer_call *call = peer_unary(p, "/coord.v1.Tree/Get", &request.base);
    int code = peer_call_code(call);
    peer_call_free(call);
    return code;
}

#endif
