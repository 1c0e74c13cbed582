/* coord.v1.Session, and sessions in the headers of all other calls, over a real store. */
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/history.pb-c.h"
#include "lease/table.h"
#include "net/grpc/call.h"
#include "tests/support/check_main.h"
#include "tests/support/grpc_ask.h"
#include "tests/support/grpc_kit.h"

#define OPEN      "/coord.v1.Session/Open"
#define RESUME    "/coord.v1.Session/Resume"
#define CLOSE     "/coord.v1.Session/Close"
#define KEEPALIVE "/coord.v1.Session/KeepAlive"
#define CREATE    "/coord.v1.Tree/Create"
#define GET       "/coord.v1.Tree/Get"
#define SET       "/coord.v1.Tree/Set"
#define DELETE    "/coord.v1.Tree/Delete"
#define TXN       "/coord.v1.Tree/Txn"
#define GRANT     "/coord.v1.Lease/Grant"
#define REVOKE    "/coord.v1.Lease/Revoke"

#define SET_POLICY    "/coord.v1.History/SetPolicy"
#define SET_RETENTION "/coord.v1.History/SetRetention"

static ProtobufCBinaryData secret_of(struct ask_session *session)
{
    return (ProtobufCBinaryData){.len = sizeof session->secret, .data = session->secret};
}

/* "session 00000000000012ab: ": valid until the next call. */
static const char *named(uint64_t session, const char *what)
{
    static char text[128];
    (void)snprintf(text, sizeof text, "session %016llx: %s", (unsigned long long)session, what);
    return text;
}

static void close_session(struct ask_session *session)
{
    Coord__V1__SessionCloseRequest request;
    coord__v1__session_close_request__init(&request);
    request.id = session->id;
    request.secret = secret_of(session);
    ask_done(peer, CLOSE, &request.base, &coord__v1__session_close_reply__descriptor);
}

/* ---- Open -------------------------------------------------------------------------------- */

static const struct {
    uint64_t asked_ms;
    uint64_t given_ms;
} ttls[] = {
    {0, 10000},
    {1, 500},
    {499, 500},
    {500, 500},
    {12345, 12345},
    {86400000, 86400000},
    {86400001, 86400000},
    {UINT64_MAX, 86400000},
};

START_TEST(open_brings_the_ttl_into_bounds)
{
    Coord__V1__SessionOpenRequest request;
    coord__v1__session_open_request__init(&request);
    request.ttl_ms = ttls[_i].asked_ms;
    request.owner = ask_text("web 3");
    Coord__V1__SessionOpenReply *reply = ask(peer, OPEN, &request.base,
                                             &coord__v1__session_open_reply__descriptor);
    ck_assert_uint_eq(reply->ttl_ms, ttls[_i].given_ms);
    ck_assert_uint_ge(reply->id, 1);
    ck_assert_uint_le(reply->id, INT64_MAX);
    const struct lease *lease = store_lease(node->store, reply->id);
    ck_assert_int_eq(lease->kind, LEASE_SESSION);
    ck_assert_uint_eq(lease->ttl_ms, ttls[_i].given_ms);
    ck_assert(lease->renewable);
    ck_assert(slice_is(lease->owner, "web 3"));
    ck_assert_uint_eq(reply->secret.len, LEASE_SECRET_BYTES);
    ck_assert_mem_eq(reply->secret.data, lease->secret, LEASE_SECRET_BYTES);
    coord__v1__session_open_reply__free_unpacked(reply, NULL);
}
END_TEST

START_TEST(ids_and_secrets_differ)
{
    struct ask_session first = ask_open(peer, 0);
    struct ask_session second = ask_open(peer, 0);
    ck_assert_uint_ne(first.id, second.id);
    ck_assert_mem_ne(first.secret, second.secret, sizeof first.secret);
}
END_TEST

START_TEST(an_id_that_is_taken_is_drawn_again)
{
    struct ask_session first = ask_open(peer, 0);
    peer->env.last_random = first.id;
    peer->env.same_random = 1;
    struct ask_session second = ask_open(peer, 0);
    ck_assert_uint_ne(first.id, second.id);
    const struct lease *lease = store_lease(node->store, second.id);
    ck_assert_mem_eq(lease->secret, second.secret, sizeof second.secret);
}
END_TEST

START_TEST(a_repeated_open_answers_the_first_id_secret_and_ttl)
{
    Coord__V1__RequestId id;
    Coord__V1__RequestHeader header;
    Coord__V1__SessionOpenRequest request;
    coord__v1__request_id__init(&id);
    coord__v1__request_header__init(&header);
    coord__v1__session_open_request__init(&request);
    node->cluster_ms = 1000;
    id.issued_ms = 1000;
    id.low = 5;
    header.request_id = &id;
    request.header = &header;
    request.ttl_ms = 7000;
    Coord__V1__SessionOpenReply *first =
        ask(peer, OPEN, &request.base, &coord__v1__session_open_reply__descriptor);
    Coord__V1__SessionOpenReply *second =
        ask(peer, OPEN, &request.base, &coord__v1__session_open_reply__descriptor);
    ck_assert(!first->header->repeated);
    ck_assert(second->header->repeated);
    ck_assert_uint_eq(first->id, second->id);
    ck_assert_uint_eq(second->ttl_ms, 7000);
    ck_assert_uint_eq(second->secret.len, LEASE_SECRET_BYTES);
    ck_assert_mem_eq(first->secret.data, second->secret.data, LEASE_SECRET_BYTES);
    ck_assert_ptr_null(store_lease_next(node->store, first->id));
    coord__v1__session_open_reply__free_unpacked(first, NULL);
    coord__v1__session_open_reply__free_unpacked(second, NULL);
}
END_TEST

START_TEST(an_owner_that_is_too_long_is_refused)
{
    char owner[300] = "";
    memset(owner, 'x', 257);
    Coord__V1__SessionOpenRequest request;
    coord__v1__session_open_request__init(&request);
    request.owner = owner;
    ask_refused(peer, OPEN, &request.base, GRPC_RESOURCE_EXHAUSTED, "TOO_LARGE",
                "owner: 257 bytes");
}
END_TEST

/* ---- Resume ------------------------------------------------------------------------------ */

START_TEST(resume_moves_the_generation_and_takes_a_new_ttl)
{
    struct ask_session session = ask_open(peer, 7000);
    Coord__V1__SessionResumeRequest request;
    coord__v1__session_resume_request__init(&request);
    request.id = session.id;
    request.secret = secret_of(&session);
    const uint64_t asked_ms[] = {0, 9000, 1, UINT64_MAX};
    const uint64_t given_ms[] = {7000, 9000, 500, 86400000};
    uint64_t generation = store_lease(node->store, session.id)->generation;
    for (size_t i = 0; i < sizeof asked_ms / sizeof asked_ms[0]; i++) {
        request.ttl_ms = asked_ms[i];
        Coord__V1__SessionResumeReply *reply = ask(
            peer, RESUME, &request.base, &coord__v1__session_resume_reply__descriptor);
        ck_assert_uint_eq(reply->ttl_ms, given_ms[i]);
        ck_assert_uint_eq(reply->generation, ++generation);
        coord__v1__session_resume_reply__free_unpacked(reply, NULL);
    }
}
END_TEST

START_TEST(resume_asks_for_the_credentials)
{
    struct ask_session session = ask_open(peer, 7000);
    Coord__V1__SessionResumeRequest request;
    coord__v1__session_resume_request__init(&request);
    request.id = session.id;
    request.secret = secret_of(&session);
    session.secret[15] ^= 1;
    ask_refused(peer, RESUME, &request.base, GRPC_PERMISSION_DENIED, "BAD_SECRET",
                named(session.id, "credentials do not match"));
    request.secret.len = 15;
    ask_refused(peer, RESUME, &request.base, GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS",
                "secret: 15 bytes");
    request.secret.len = 16;
    request.id = ask_grant(peer, 0, 1000);
    ask_refused(peer, RESUME, &request.base, GRPC_NOT_FOUND, "NO_SESSION",
                named(request.id, "session does not exist or has ended"));
    request.id = 0;
    ask_refused(peer, RESUME, &request.base, GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS", "id: 0");
}
END_TEST

/* ---- Close ------------------------------------------------------------------------------- */

START_TEST(close_takes_the_ephemeral_nodes_in_one_revision)
{
    struct ask_session session = ask_open(peer, 7000);
    ask_ephemeral(peer, "/a", session.id);
    ask_ephemeral(peer, "/b", session.id);
    uint64_t revision = store_revision(node->store);
    Coord__V1__SessionCloseRequest request;
    coord__v1__session_close_request__init(&request);
    request.id = session.id;
    request.secret = secret_of(&session);
    Coord__V1__SessionCloseReply *reply = ask(peer, CLOSE, &request.base,
                                              &coord__v1__session_close_reply__descriptor);
    ck_assert_uint_eq(reply->removed, 2);
    ck_assert_uint_eq(reply->header->revision, revision + 1);
    coord__v1__session_close_reply__free_unpacked(reply, NULL);
    ck_assert(!ask_exists(peer, "/a"));
    ask_refused(peer, CLOSE, &request.base, GRPC_NOT_FOUND, "NO_SESSION",
                named(session.id, "session does not exist or has ended"));
}
END_TEST

START_TEST(close_asks_for_the_credentials)
{
    struct ask_session session = ask_open(peer, 7000);
    Coord__V1__SessionCloseRequest request;
    coord__v1__session_close_request__init(&request);
    request.id = session.id;
    ask_refused(peer, CLOSE, &request.base, GRPC_PERMISSION_DENIED, "BAD_SECRET",
                named(session.id, "credentials do not match"));
    session.secret[0] ^= 0x80;
    request.secret = secret_of(&session);
    ask_refused(peer, CLOSE, &request.base, GRPC_PERMISSION_DENIED, "BAD_SECRET",
                named(session.id, "credentials do not match"));
    request.secret.len = 3;
    ask_refused(peer, CLOSE, &request.base, GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS",
                "secret: 3 bytes");
    ck_assert_ptr_nonnull(store_lease(node->store, session.id));
    request.secret.len = 16;
    request.id = ask_grant(peer, 0, 1000);
    ask_refused(peer, CLOSE, &request.base, GRPC_NOT_FOUND, "NO_SESSION",
                named(request.id, "session does not exist or has ended"));
}
END_TEST

/* ---- KeepAlive --------------------------------------------------------------------------- */

static void alive_send(struct peer_call *call, uint64_t id, ProtobufCBinaryData secret)
{
    Coord__V1__SessionKeepAliveRequest request;
    coord__v1__session_keep_alive_request__init(&request);
    request.id = id;
    request.secret = secret;
    peer_call_send(call, &request.base);
}

static void alive_expect(const struct peer_call *call, size_t index, uint64_t id,
                         uint64_t ttl_ms, Coord__V1__Outcome outcome)
{
    Coord__V1__SessionKeepAliveReply *reply =
        peer_call_unpack(call, index, &coord__v1__session_keep_alive_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    ck_assert_uint_eq(reply->id, id);
    ck_assert_uint_eq(reply->ttl_ms, ttl_ms);
    ck_assert_int_eq(reply->outcome, outcome);
    ck_assert_uint_eq(reply->header->applied_index, node->index);
    ck_assert(reply->header->age_known);
    coord__v1__session_keep_alive_reply__free_unpacked(reply, NULL);
}

START_TEST(keepalives_answer_each_session_and_never_end_the_stream)
{
    struct ask_session session = ask_open(peer, 7000);
    struct ask_session wrong = session;
    uint64_t lease = ask_grant(peer, 0, 1000);
    ProtobufCBinaryData cut = secret_of(&session);
    cut.len = 15;
    wrong.secret[7] ^= 1;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    alive_send(call, session.id, secret_of(&wrong));
    alive_send(call, session.id, cut);
    alive_send(call, session.id, (ProtobufCBinaryData){0});
    alive_send(call, lease, secret_of(&session));
    alive_send(call, 5, secret_of(&session));
    alive_send(call, session.id, secret_of(&session));
    peer_run(peer);
    alive_expect(call, 0, session.id, 0, COORD__V1__OUTCOME__BAD_SECRET);
    alive_expect(call, 1, session.id, 0, COORD__V1__OUTCOME__BAD_SECRET);
    alive_expect(call, 2, session.id, 0, COORD__V1__OUTCOME__BAD_SECRET);
    alive_expect(call, 3, lease, 0, COORD__V1__OUTCOME__NO_SESSION);
    alive_expect(call, 4, 5, 0, COORD__V1__OUTCOME__NO_SESSION);
    alive_expect(call, 5, session.id, 7000, COORD__V1__OUTCOME__OK);
    ck_assert(!call->is_closed);
    /* The unknown one, of which this node could not know better, and the right one. */
    ck_assert_uint_eq(node->confirmed, 2);

    close_session(&session);
    alive_send(call, session.id, secret_of(&session));
    peer_call_end(call);
    peer_run(peer);
    alive_expect(call, 6, session.id, 0, COORD__V1__OUTCOME__NO_SESSION);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
}
END_TEST

START_TEST(a_failed_round_names_the_session)
{
    struct ask_session session = ask_open(peer, 7000);
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    node->finish_rc = RC_NO_LEADER;
    alive_send(call, session.id, secret_of(&session));
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAVAILABLE);
    ck_assert_str_eq(peer_call_text(call),
                     named(session.id, "keepalive not confirmed: no leader is known"));
    peer_call_free(call);
}
END_TEST

/* ---- sessions in headers ----------------------------------------------------------------- */

#define METHODS_MAX 512

/* Every unary method whose request has a header, by its description. */
static size_t methods_with_header(const struct grpc_method **methods, char (*paths)[96])
{
    size_t count = 0;
    for (size_t i = 0; grpc_services[i] != NULL; i++) {
        for (size_t k = 0; k < grpc_services[i]->method_count; k++) {
            const struct grpc_method *method = &grpc_services[i]->methods[k];
            const ProtobufCFieldDescriptor *field =
                protobuf_c_message_descriptor_get_field_by_name(method->request, "header");
            if (field != NULL && !method->takes_stream) {
                ck_assert_uint_lt(count, METHODS_MAX);
                (void)snprintf(paths[count], sizeof paths[count], "/%s/%s",
                               grpc_services[i]->name, method->name);
                methods[count++] = method;
            }
        }
    }
    return count;
}

START_TEST(every_call_that_names_a_session_touches_it_once)
{
    const struct grpc_method *methods[METHODS_MAX];
    char method_paths[METHODS_MAX][96];
    size_t count = methods_with_header(methods, method_paths);
    ck_assert_uint_ge(count, 17);
    struct ask_session session = ask_open(peer, 0);
    node->touches = 0;
    for (size_t i = 0; i < count; i++) {
        /* A request with a header, in which there is a session, and nothing else. */
        Coord__V1__SessionRef ref;
        Coord__V1__RequestHeader header;
        coord__v1__session_ref__init(&ref);
        coord__v1__request_header__init(&header);
        ref.id = session.id;
        header.session = &ref;
        uint8_t bytes[64] = {0, 0, 0, 0, 0, 0x0a};
        size_t size = coord__v1__request_header__pack(&header, bytes + 7);
        bytes[4] = (uint8_t)(size + 2);
        bytes[6] = (uint8_t)size;
        struct peer_call *call = peer_call_open(peer, method_paths[i], NULL);
        peer_call_send_bytes(call, bytes, size + 7);
        peer_call_end(call);
        for (int turn = 0; turn < 8 && !call->is_closed; turn++) { /* some ask the node twice */
            peer_run(peer);
        }
        if (node->change != NULL) { /* a change of members waits for the node */
            struct node_change *change = node->change;
            node->change = NULL;
            node->pending--;
            change->done(change, RC_NO_LEADER, 0, false, "");
            peer_run(peer);
        }
        ck_assert_msg(peer_call_code(call) >= GRPC_OK, "%s", method_paths[i]);
        peer_call_free(call);
        ck_assert_msg(node->touches == i + 1, "%s: %zu", method_paths[i], node->touches - i);
        ck_assert_uint_eq(node->touched, session.id);
    }
}
END_TEST

static const struct {
    uint64_t id;
    uint64_t sequence;
    uint64_t answered_to;
    const char *text;
} refs[] = {
    {0, 1, 0, "header.session.sequence: 1 without a session id"},
    {0, 0, 4, "header.session.sequence: 0 without a session id"},
    {5, 0, 4, "header.session.answered_to: 4, must be below the sequence, 0"},
    {5, 4, 4, "header.session.answered_to: 4, must be below the sequence, 4"},
    {5, 4, 9, "header.session.answered_to: 9, must be below the sequence, 4"},
    {(uint64_t)1 << 63, 1, 0, "header.session.id: 9223372036854775808, at most"},
};

START_TEST(a_session_that_is_none_is_refused_in_reads_and_writes)
{
    Coord__V1__SessionRef ref;
    Coord__V1__RequestHeader header;
    Coord__V1__CreateRequest create;
    Coord__V1__GetRequest get;
    Coord__V1__TxnRequest txn;
    coord__v1__session_ref__init(&ref);
    coord__v1__request_header__init(&header);
    coord__v1__create_request__init(&create);
    coord__v1__get_request__init(&get);
    coord__v1__txn_request__init(&txn);
    ref.id = refs[_i].id;
    ref.sequence = refs[_i].sequence;
    ref.answered_to = refs[_i].answered_to;
    header.session = &ref;
    create.header = &header;
    create.path = ask_text("/a");
    get.header = &header;
    get.path = ask_text("/");
    txn.header = &header;
    const struct {
        const char *path;
        const ProtobufCMessage *request;
    } calls[] = {{CREATE, &create.base}, {GET, &get.base}, {TXN, &txn.base}};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        ask_refused(peer, calls[i].path, calls[i].request, GRPC_INVALID_ARGUMENT,
                    "BAD_ARGUMENTS", refs[_i].text);
    }
    ck_assert_uint_eq(node->touches, 0);
}
END_TEST

/* A create of sequential nodes in the name of a session. */
struct write {
    Coord__V1__SessionRef ref;
    Coord__V1__RequestHeader header;
    Coord__V1__CreateRequest request;
};

static void write_init(struct write *w, uint64_t session)
{
    coord__v1__session_ref__init(&w->ref);
    coord__v1__request_header__init(&w->header);
    coord__v1__create_request__init(&w->request);
    w->ref.id = session;
    w->header.session = &w->ref;
    w->request.header = &w->header;
    w->request.path = ask_text("/n-");
    w->request.sequential = true;
}

/* The number that the node was given, and whether that was remembered. */
static long write_send(struct write *w, bool *was_repeated)
{
    Coord__V1__CreateReply *reply = ask(peer, CREATE, &w->request.base,
                                        &coord__v1__create_reply__descriptor);
    long number = strtol(reply->path + 3, NULL, 10);
    *was_repeated = reply->header->repeated;
    coord__v1__create_reply__free_unpacked(reply, NULL);
    return number;
}

START_TEST(a_write_with_a_sequence_number_is_executed_once)
{
    bool was_repeated;
    struct write w;
    write_init(&w, ask_open(peer, 0).id);
    w.ref.sequence = 2;
    long first = write_send(&w, &was_repeated);
    ck_assert(!was_repeated);
    ck_assert_int_eq(write_send(&w, &was_repeated), first);
    ck_assert(was_repeated);
    w.ref.sequence = 1; /* out of order is fine */
    ck_assert_int_eq(write_send(&w, &was_repeated), first + 1);
    ck_assert(!was_repeated);
    w.ref.sequence = 3;
    w.ref.answered_to = 2;
    ck_assert_int_eq(write_send(&w, &was_repeated), first + 2);
    w.ref.sequence = 0; /* in the session's name, but each time anew */
    w.ref.answered_to = 0;
    ck_assert_int_eq(write_send(&w, &was_repeated), first + 3);
    ck_assert_int_eq(write_send(&w, &was_repeated), first + 4);
}
END_TEST

START_TEST(a_number_below_the_window_is_refused_by_the_sessions_name)
{
    bool was_repeated;
    struct write w;
    write_init(&w, ask_open(peer, 0).id);
    w.ref.sequence = 5;
    w.ref.answered_to = 4;
    (void)write_send(&w, &was_repeated);
    w.ref.sequence = 3;
    w.ref.answered_to = 0;
    ask_refused(peer, CREATE, &w.request.base, GRPC_FAILED_PRECONDITION, "SEQUENCE_EXPIRED",
                named(w.ref.id, "sequence number is below the session's window"));
}
END_TEST

/* What is remembered under the number is no answer to it, and of another shape. */
START_TEST(a_number_that_was_used_for_another_kind_of_write_is_refused)
{
    static const char text[] = "header: this number or request id was that of another write";
    bool was_repeated;
    struct write w;
    struct ask_session session = ask_open(peer, 0);
    write_init(&w, session.id);

    Coord__V1__TxnRequest txn;
    coord__v1__txn_request__init(&txn);
    txn.header = &w.header;
    w.ref.sequence = 1;
    ask_done(peer, TXN, &txn.base, &coord__v1__txn_reply__descriptor);
    w.ref.sequence = 2;
    (void)write_send(&w, &was_repeated);
    w.ref.sequence = 3;
    Coord__V1__LeaseGrantRequest grant;
    coord__v1__lease_grant_request__init(&grant);
    grant.header = &w.header;
    grant.ttl_ms = 1000;
    ask_done(peer, GRANT, &grant.base, &coord__v1__lease_grant_reply__descriptor);

    Coord__V1__SetRequest set;
    Coord__V1__DeleteRequest delete_;
    Coord__V1__LeaseRevokeRequest revoke;
    Coord__V1__SessionOpenRequest open;
    Coord__V1__SessionResumeRequest resume;
    Coord__V1__SessionCloseRequest close;
    Coord__V1__SetPolicyRequest policy;
    Coord__V1__SetRetentionRequest retention;
    Coord__V1__HistoryPolicy kept;
    coord__v1__set_request__init(&set);
    coord__v1__delete_request__init(&delete_);
    coord__v1__lease_revoke_request__init(&revoke);
    coord__v1__session_open_request__init(&open);
    coord__v1__session_resume_request__init(&resume);
    coord__v1__session_close_request__init(&close);
    coord__v1__set_policy_request__init(&policy);
    coord__v1__set_retention_request__init(&retention);
    coord__v1__history_policy__init(&kept);
    set.path = delete_.path = kept.path = ask_text("/n-");
    kept.versions = 1;
    policy.policy = &kept;
    revoke.id = 1;
    resume.id = close.id = session.id;
    resume.secret = close.secret = secret_of(&session);
    set.header = delete_.header = revoke.header = open.header = &w.header;
    resume.header = close.header = policy.header = retention.header = &w.header;
    const struct {
        uint64_t sequence; /* 1: that of a transaction, 2: of a create, 3: of a lease */
        const char *path;
        const ProtobufCMessage *request;
    } calls[] = {
        {1, CREATE, &w.request.base}, {3, CREATE, &w.request.base},
        {1, SET, &set.base},          {2, SET, &set.base},
        {1, DELETE, &delete_.base},   {2, DELETE, &delete_.base},
        {3, TXN, &txn.base},          {1, GRANT, &grant.base},
        {2, GRANT, &grant.base},      {1, REVOKE, &revoke.base},
        {2, OPEN, &open.base},        {3, OPEN, &open.base},
        {1, RESUME, &resume.base},    {2, CLOSE, &close.base},
        {3, SET_POLICY, &policy.base}, {3, SET_RETENTION, &retention.base},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        w.ref.sequence = calls[i].sequence;
        ask_refused(peer, calls[i].path, calls[i].request, GRPC_INVALID_ARGUMENT,
                    "BAD_ARGUMENTS", text);
    }
    w.ref.sequence = 2;
    (void)write_send(&w, &was_repeated);
    ck_assert(was_repeated);
}
END_TEST

START_TEST(a_session_that_has_ended_writes_nothing_and_may_be_read_in)
{
    struct ask_session session = ask_open(peer, 0);
    struct write w;
    write_init(&w, session.id);
    close_session(&session);
    ask_refused(peer, CREATE, &w.request.base, GRPC_NOT_FOUND, "NO_SESSION",
                named(session.id, "session does not exist or has ended"));
    Coord__V1__TxnRequest txn;
    coord__v1__txn_request__init(&txn);
    txn.header = &w.header;
    ask_refused(peer, TXN, &txn.base, GRPC_NOT_FOUND, "NO_SESSION",
                named(session.id, "session does not exist or has ended"));
    /* A plain lease is no session. */
    w.ref.id = ask_grant(peer, 0, 1000);
    ask_refused(peer, CREATE, &w.request.base, GRPC_NOT_FOUND, "NO_SESSION",
                named(w.ref.id, "session does not exist or has ended"));

    Coord__V1__GetRequest get;
    coord__v1__get_request__init(&get);
    get.header = &w.header;
    get.path = ask_text("/");
    ask_done(peer, GET, &get.base, &coord__v1__get_reply__descriptor);
}
END_TEST

START_TEST(an_ephemeral_node_is_the_headers_sessions_unless_a_lease_is_named)
{
    struct write w;
    struct ask_session session = ask_open(peer, 0);
    uint64_t lease = ask_grant(peer, 0, 1000);
    write_init(&w, session.id);
    w.request.kind = COORD__V1__KIND__EPHEMERAL;
    for (int i = 0; i < 2; i++) {
        w.request.lease = i == 0 ? 0 : lease;
        Coord__V1__CreateReply *reply = ask(peer, CREATE, &w.request.base,
                                            &coord__v1__create_reply__descriptor);
        ck_assert_uint_eq(reply->stat->lease, i == 0 ? session.id : lease);
        coord__v1__create_reply__free_unpacked(reply, NULL);
    }
    /* No persistent node is anybody's. */
    w.request.lease = 0;
    w.request.kind = COORD__V1__KIND__PERSISTENT;
    Coord__V1__CreateReply *reply = ask(peer, CREATE, &w.request.base,
                                        &coord__v1__create_reply__descriptor);
    ck_assert_uint_eq(reply->stat->lease, 0);
    coord__v1__create_reply__free_unpacked(reply, NULL);
}
END_TEST

START_TEST(transactions_attach_to_the_headers_session_too)
{
    struct write w;
    Coord__V1__CreateOp create;
    Coord__V1__Operation op;
    Coord__V1__Operation *ops[] = {&op};
    Coord__V1__TxnRequest txn;
    write_init(&w, ask_open(peer, 0).id);
    coord__v1__create_op__init(&create);
    coord__v1__operation__init(&op);
    coord__v1__txn_request__init(&txn);
    create.path = ask_text("/e");
    create.kind = COORD__V1__KIND__EPHEMERAL;
    op.op_case = COORD__V1__OPERATION__OP_CREATE;
    op.create = &create;
    txn.n_then_ops = 1;
    txn.then_ops = ops;
    ask_refused(peer, TXN, &txn.base, GRPC_INVALID_ARGUMENT, NULL,
                "then_ops[0]: an EPHEMERAL node needs a lease, or a session in the header");
    txn.header = &w.header;
    w.ref.sequence = 1;
    for (int i = 0; i < 2; i++) {
        Coord__V1__TxnReply *reply =
            ask(peer, TXN, &txn.base, &coord__v1__txn_reply__descriptor);
        ck_assert_int_eq(reply->outcome, COORD__V1__OUTCOME__OK);
        ck_assert_uint_eq(reply->results[0]->stat->lease, w.ref.id);
        ck_assert_int_eq(reply->header->repeated, i == 1);
        coord__v1__txn_reply__free_unpacked(reply, NULL);
    }
}
END_TEST

/* ---- ages -------------------------------------------------------------------------------- */

START_TEST(replies_of_reads_say_how_old_the_state_may_be)
{
    Coord__V1__RequestHeader header;
    Coord__V1__GetRequest get;
    Coord__V1__SyncRequest sync;
    Coord__V1__MembersRequest members;
    coord__v1__request_header__init(&header);
    coord__v1__get_request__init(&get);
    coord__v1__sync_request__init(&sync);
    coord__v1__members_request__init(&members);
    get.header = &header;
    get.path = ask_text("/");
    sync.header = &header;
    members.header = &header;
    for (int consistency = 0; consistency <= READ_LOCAL; consistency++) {
        header.consistency = (Coord__V1__Consistency)consistency;
        for (int is_known = 0; is_known <= 1; is_known++) {
            node->age_ms = is_known ? 5300 : UINT64_MAX;
            bool has_age = consistency == READ_LINEARIZABLE || is_known;
            uint64_t age_ms = has_age && consistency != READ_LINEARIZABLE ? 5300 : 0;
            Coord__V1__GetReply *got =
                ask(peer, GET, &get.base, &coord__v1__get_reply__descriptor);
            ck_assert_int_eq(got->header->age_known, has_age);
            ck_assert_uint_eq(got->header->age_ms, age_ms);
            coord__v1__get_reply__free_unpacked(got, NULL);
            Coord__V1__SyncReply *synced = ask(peer, "/coord.v1.Tree/Sync", &sync.base,
                                               &coord__v1__sync_reply__descriptor);
            ck_assert_int_eq(synced->header->age_known, has_age);
            ck_assert_uint_eq(synced->header->age_ms, age_ms);
            coord__v1__sync_reply__free_unpacked(synced, NULL);
            Coord__V1__MembersReply *known =
                ask(peer, "/coord.v1.Cluster/Members", &members.base,
                    &coord__v1__members_reply__descriptor);
            ck_assert_uint_eq(known->header->age_ms, age_ms);
            coord__v1__members_reply__free_unpacked(known, NULL);
        }
    }
}
END_TEST

START_TEST(a_bounded_read_that_is_refused_says_the_age)
{
    Coord__V1__RequestHeader header;
    Coord__V1__GetRequest get;
    coord__v1__request_header__init(&header);
    coord__v1__get_request__init(&get);
    header.consistency = COORD__V1__CONSISTENCY__BOUNDED;
    header.bound_ms = 1000;
    get.header = &header;
    get.path = ask_text("/");
    node->age_ms = 5300;
    for (int i = 0; i < 2; i++) { /* refused at once, or in the end */
        node->submit_rc = i == 0 ? RC_STALE : RC_OK;
        node->finish_rc = RC_STALE;
        ask_refused(peer, GET, &get.base, GRPC_FAILED_PRECONDITION, NULL,
                    "the state here may be 5300 ms old, asked for at most 1000");
    }
    node->age_ms = UINT64_MAX;
    ask_refused(peer, GET, &get.base, GRPC_FAILED_PRECONDITION, NULL,
                "nobody knows how old the state here is, asked for at most 1000 ms");
}
END_TEST

static Suite *session_suite(void)
{
    Suite *suite = suite_create("grpc session");
    TCase *tcase = tcase_create("session");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, open_brings_the_ttl_into_bounds, 0,
                        (int)(sizeof ttls / sizeof ttls[0]));
    tcase_add_test(tcase, ids_and_secrets_differ);
    tcase_add_test(tcase, an_id_that_is_taken_is_drawn_again);
    tcase_add_test(tcase, a_repeated_open_answers_the_first_id_secret_and_ttl);
    tcase_add_test(tcase, an_owner_that_is_too_long_is_refused);
    tcase_add_test(tcase, resume_moves_the_generation_and_takes_a_new_ttl);
    tcase_add_test(tcase, resume_asks_for_the_credentials);
    tcase_add_test(tcase, close_takes_the_ephemeral_nodes_in_one_revision);
    tcase_add_test(tcase, close_asks_for_the_credentials);
    tcase_add_test(tcase, keepalives_answer_each_session_and_never_end_the_stream);
    tcase_add_test(tcase, a_failed_round_names_the_session);
    suite_add_tcase(suite, tcase);
    return suite;
}

static Suite *header_suite(void)
{
    Suite *suite = suite_create("grpc headers");
    TCase *tcase = tcase_create("headers");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, every_call_that_names_a_session_touches_it_once);
    tcase_add_loop_test(tcase, a_session_that_is_none_is_refused_in_reads_and_writes, 0,
                        (int)(sizeof refs / sizeof refs[0]));
    tcase_add_test(tcase, a_write_with_a_sequence_number_is_executed_once);
    tcase_add_test(tcase, a_number_below_the_window_is_refused_by_the_sessions_name);
    tcase_add_test(tcase, a_number_that_was_used_for_another_kind_of_write_is_refused);
    tcase_add_test(tcase, a_session_that_has_ended_writes_nothing_and_may_be_read_in);
    tcase_add_test(tcase, an_ephemeral_node_is_the_headers_sessions_unless_a_lease_is_named);
    tcase_add_test(tcase, transactions_attach_to_the_headers_session_too);
    tcase_add_test(tcase, replies_of_reads_say_how_old_the_state_may_be);
    tcase_add_test(tcase, a_bounded_read_that_is_refused_says_the_age);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){session_suite, header_suite, NULL});
}
