/* Leases and sessions over gRPC with a real single node: its log, its rounds, its keeper and its
 * clock, which the test moves. */
#include "lease/lease.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "tests/support/grpc_ask.h"

static struct fake_env fake;
static struct node_options options;
static struct node *node;
static struct peer *peer;

/* Until nothing happens any more. */
static void run(void)
{
    for (int i = 0; i < 8; i++) {
        peer_tick(peer);
        fake_env_run(&fake);
    }
    peer_run(peer);
}

/* In steps, as time goes. */
static void advance(uint64_t ms)
{
    while (ms > 0) {
        uint64_t step = ms < 20 ? ms : 20;
        fake_env_advance(&fake, step);
        run();
        ms -= step;
    }
}

static void open_all(void)
{
    struct errmsg err;
    enum status rc = node_open(&options, &node, &err);
    ck_assert_msg(rc == RC_OK, "%s", err.text);
    peer = peer_new_in(node, &fake.env);
    for (int i = 0; i < 1000 && !node_is_serving(node); i++) {
        advance(20);
    }
    ck_assert(node_is_serving(node));
}

static void close_all(void)
{
    peer_free(peer);
    node_close(node);
}

static void on_fatal(void *context, enum status rc, const char *why)
{
    (void)context;
    ck_abort_msg("%s: %s", status_text(rc), why);
}

static void setup(void)
{
    fake_env_init(&fake, 1);
    options = (struct node_options){.env = &fake.env,
                                    .data_dir = "data",
                                    .name = "n1",
                                    .wal_segment_bytes = 65536,
                                    .fatal = on_fatal};
    open_all();
}

static void teardown(void)
{
    close_all();
    fake_env_close(&fake);
}

/* Sends the request and lets the node work; the reply, or NULL and `code`. */
static void *call(const char *path, const ProtobufCMessage *request,
                  const ProtobufCMessageDescriptor *reply_type, int *code)
{
    struct peer_call *c = peer_call_open(peer, path, NULL);
    peer_call_send(c, request);
    peer_call_end(c);
    run();
    ck_assert(c->is_closed);
    *code = peer_call_code(c);
    void *reply = *code == GRPC_OK ? peer_call_unpack(c, 0, reply_type) : NULL;
    peer_call_free(c);
    return reply;
}

static struct ask_session open_session(uint64_t ttl_ms)
{
    int code;
    struct ask_session session;
    Coord__V1__SessionOpenRequest request;
    coord__v1__session_open_request__init(&request);
    request.ttl_ms = ttl_ms;
    Coord__V1__SessionOpenReply *reply =
        call("/coord.v1.Session/Open", &request.base, &coord__v1__session_open_reply__descriptor,
             &code);
    ck_assert_int_eq(code, GRPC_OK);
    session.id = reply->id;
    memcpy(session.secret, reply->secret.data, sizeof session.secret);
    coord__v1__session_open_reply__free_unpacked(reply, NULL);
    return session;
}

/* Creates an ephemeral node in the name of the session; returns the code. */
static int create_in(const char *path, const struct ask_session *session)
{
    int code;
    Coord__V1__SessionRef ref;
    Coord__V1__RequestHeader header;
    Coord__V1__CreateRequest request;
    coord__v1__session_ref__init(&ref);
    coord__v1__request_header__init(&header);
    coord__v1__create_request__init(&request);
    ref.id = session->id;
    header.session = &ref;
    request.header = &header;
    request.path = ask_text(path);
    request.kind = COORD__V1__KIND__EPHEMERAL;
    Coord__V1__CreateReply *reply = call("/coord.v1.Tree/Create", &request.base,
                                         &coord__v1__create_reply__descriptor, &code);
    coord__v1__create_reply__free_unpacked(reply, NULL);
    return code;
}

/* Whether a node is there, asked in the name of a session, 0 = none. */
static bool exists_in(const char *path, uint64_t session)
{
    int code;
    Coord__V1__SessionRef ref;
    Coord__V1__RequestHeader header;
    Coord__V1__ExistsRequest request;
    coord__v1__session_ref__init(&ref);
    coord__v1__request_header__init(&header);
    coord__v1__exists_request__init(&request);
    ref.id = session;
    header.session = session != 0 ? &ref : NULL;
    request.header = &header;
    request.path = ask_text(path);
    Coord__V1__ExistsReply *reply = call("/coord.v1.Tree/Exists", &request.base,
                                         &coord__v1__exists_reply__descriptor, &code);
    ck_assert_int_eq(code, GRPC_OK);
    bool exists = reply->exists;
    coord__v1__exists_reply__free_unpacked(reply, NULL);
    return exists;
}

/* The answer of one more keepalive on the stream. */
static Coord__V1__Outcome keep_alive(struct peer_call *stream, size_t index,
                                     struct ask_session *session)
{
    Coord__V1__SessionKeepAliveRequest request;
    coord__v1__session_keep_alive_request__init(&request);
    request.id = session->id;
    request.secret = (ProtobufCBinaryData){sizeof session->secret, session->secret};
    peer_call_send(stream, &request.base);
    run();
    Coord__V1__SessionKeepAliveReply *reply =
        peer_call_unpack(stream, index, &coord__v1__session_keep_alive_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    Coord__V1__Outcome outcome = reply->outcome;
    ck_assert_int_eq(reply->ttl_ms != 0, outcome == COORD__V1__OUTCOME__OK);
    coord__v1__session_keep_alive_reply__free_unpacked(reply, NULL);
    return outcome;
}

START_TEST(a_session_lives_for_its_ttl_and_not_much_longer)
{
    struct ask_session session = open_session(2000);
    ck_assert_int_eq(create_in("/e", &session), GRPC_OK);
    advance(1900);
    ck_assert(exists_in("/e", 0));
    advance(300); /* one tick of the keeper, one commit */
    ck_assert(!exists_in("/e", 0));
    ck_assert_int_eq(create_in("/e", &session), GRPC_NOT_FOUND);
}
END_TEST

START_TEST(keepalives_keep_a_session_and_its_nodes)
{
    struct ask_session session = open_session(1000);
    ck_assert_int_eq(create_in("/e", &session), GRPC_OK);
    struct peer_call *stream = peer_call_open(peer, "/coord.v1.Session/KeepAlive", NULL);
    size_t count = 0;
    while (count < 20) {
        advance(800);
        ck_assert_int_eq(keep_alive(stream, count++, &session), COORD__V1__OUTCOME__OK);
    }
    ck_assert(exists_in("/e", 0));
    advance(1200);
    ck_assert_int_eq(keep_alive(stream, count++, &session), COORD__V1__OUTCOME__NO_SESSION);
    ck_assert(!exists_in("/e", 0));
    peer_call_end(stream);
    run();
    ck_assert_int_eq(peer_call_code(stream), GRPC_OK);
    peer_call_free(stream);
}
END_TEST

START_TEST(reads_in_its_name_keep_a_session)
{
    struct ask_session session = open_session(1000);
    ck_assert_int_eq(create_in("/e", &session), GRPC_OK);
    for (int i = 0; i < 10; i++) {
        advance(700);
        ck_assert(exists_in("/e", session.id));
    }
    advance(1300);
    ck_assert(!exists_in("/e", session.id));
}
END_TEST

START_TEST(a_wrong_secret_keeps_no_session)
{
    struct ask_session session = open_session(1000);
    struct ask_session wrong = session;
    wrong.secret[3] ^= 4;
    struct peer_call *stream = peer_call_open(peer, "/coord.v1.Session/KeepAlive", NULL);
    advance(600);
    ck_assert_int_eq(keep_alive(stream, 0, &wrong), COORD__V1__OUTCOME__BAD_SECRET);
    advance(600);
    ck_assert_int_eq(keep_alive(stream, 1, &session), COORD__V1__OUTCOME__NO_SESSION);
    peer_call_free(stream);
}
END_TEST

START_TEST(time_to_live_counts_down_by_the_keepers_clock)
{
    int code;
    struct ask_session session = open_session(5000);
    advance(2000);
    Coord__V1__LeaseTimeToLiveRequest request;
    coord__v1__lease_time_to_live_request__init(&request);
    request.id = session.id;
    Coord__V1__LeaseTimeToLiveReply *reply =
        call("/coord.v1.Lease/TimeToLive", &request.base,
             &coord__v1__lease_time_to_live_reply__descriptor, &code);
    ck_assert_int_eq(code, GRPC_OK);
    ck_assert_uint_le(reply->remaining_ms, 3000);
    ck_assert_uint_ge(reply->remaining_ms, 2800);
    ck_assert_uint_eq(reply->lease->ttl_ms, 5000);
    coord__v1__lease_time_to_live_reply__free_unpacked(reply, NULL);
}
END_TEST

START_TEST(a_session_begins_anew_after_a_restart_and_its_credentials_hold)
{
    struct ask_session session = open_session(3000);
    ck_assert_int_eq(create_in("/e", &session), GRPC_OK);
    advance(2500);
    close_all();
    open_all();
    advance(2500);
    ck_assert(exists_in("/e", 0));
    struct peer_call *stream = peer_call_open(peer, "/coord.v1.Session/KeepAlive", NULL);
    ck_assert_int_eq(keep_alive(stream, 0, &session), COORD__V1__OUTCOME__OK);
    peer_call_free(stream);
}
END_TEST

static Suite *node_suite(void)
{
    Suite *suite = suite_create("grpc lease on a node");
    TCase *tcase = tcase_create("node");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_session_lives_for_its_ttl_and_not_much_longer);
    tcase_add_test(tcase, keepalives_keep_a_session_and_its_nodes);
    tcase_add_test(tcase, reads_in_its_name_keep_a_session);
    tcase_add_test(tcase, a_wrong_secret_keeps_no_session);
    tcase_add_test(tcase, time_to_live_counts_down_by_the_keepers_clock);
    tcase_add_test(tcase, a_session_begins_anew_after_a_restart_and_its_credentials_hold);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){node_suite, NULL});
}
