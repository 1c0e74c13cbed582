/* What becomes of requests of both protocols in the audit log: each that is answered once, at the
 * level that asks for it, and nothing that is secret. */
#include <jansson.h>

#include "coord/v1/auth.pb-c.h"
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/lease.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "net/audit/audit.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "tests/support/grpc_ask.h"
#include "tests/support/zk_say.h"

#define PATH       "audit.jsonl"
#define PATH_BYTES ((size_t)300 << 10)

/* Both fronts over one node each; only one is used in a test. */
struct fixture {
    struct fake_env disk;
    struct audit *audit;
    struct node *node;
    struct peer *grpc;
    struct zk_world zk;
};

static void open_disk(struct fixture *x, enum audit_level level)
{
    fake_env_init(&x->disk, 1);
    x->audit = audit_new(&(struct audit_options){
        .env = &x->disk.env, .node = "n1", .path = PATH, .level = level});
}

static void open_grpc(struct fixture *x, enum audit_level level)
{
    open_disk(x, level);
    x->node = fake_node_new();
    x->grpc = peer_new(x->node);
    x->grpc->front_env.audit = x->audit;
    peer_run(x->grpc);
}

static void close_disk(struct fixture *x)
{
    audit_free(x->audit);
    fake_env_close(&x->disk);
}

static void close_grpc(struct fixture *x)
{
    peer_free(x->grpc);
    fake_node_free(x->node);
    close_disk(x);
}

static void open_zk(struct fixture *x, enum audit_level level)
{
    open_disk(x, level);
    zk_world_open(&x->zk, NULL);
    x->node = x->zk.node;
}

static struct zk_peer *connect_zk(struct fixture *x)
{
    size_t bytes;
    struct zk_peer *p = zk_peer_open(&x->zk, "192.0.2.7:51434");
    p->env.audit = x->audit;
    zk_hello_send(p, &(struct zk_hello){.timeout_ms = 10000});
    zk_world_run(&x->zk);
    ck_assert(zk_take_hello(p, &bytes));
    return p;
}

static void close_zk(struct fixture *x)
{
    zk_world_close(&x->zk);
    close_disk(x);
}

/* All lines so far as an array of JSON, in which the last one is at the end. */
static json_t *lines(struct fixture *x)
{
    json_t *all = json_array();
    for (int i = 0; i < 3; i++) {
        fake_env_advance(&x->disk, 200);
        audit_turn(x->audit, x->disk.env.now_ms(&x->disk.env));
        fake_env_run(&x->disk);
    }
    const struct buf *content = fake_env_find(&x->disk, PATH);
    size_t at = 0;
    while (content != NULL && at < content->size) {
        const char *line = (const char *)content->data + at;
        const char *end = memchr(line, '\n', content->size - at);
        json_error_t error;
        ck_assert_ptr_nonnull(end);
        json_t *json = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, &error);
        ck_assert_msg(json != NULL, "%s: %.*s", error.text, (int)(end - line), line);
        ck_assert_int_eq(json_array_append_new(all, json), 0);
        at += (size_t)(end - line) + 1;
    }
    return all;
}

static const char *text_at(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text != NULL ? text : "";
}

/* The one line there is more than there were `before`; the caller gives `all` back. */
static const json_t *only_line(struct fixture *x, size_t before, json_t **all)
{
    *all = lines(x);
    ck_assert_uint_eq(json_array_size(*all), before + 1);
    return json_array_get(*all, before);
}

static void expect_line(struct fixture *x, size_t before, const char *request,
                        const char *outcome)
{
    json_t *all;
    const json_t *line = only_line(x, before, &all);
    ck_assert_str_eq(text_at(line, "request"), request);
    ck_assert_str_eq(text_at(line, "outcome"), outcome);
    json_decref(all);
}

static bool content_has(struct fixture *x, const char *text)
{
    const struct buf *content = fake_env_find(&x->disk, PATH);
    size_t length = strlen(text);
    for (size_t at = 0; content != NULL && at + length <= content->size; at++) {
        if (memcmp(content->data + at, text, length) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- gRPC --------------------------------------------------------------------------------- */

static Coord__V1__CreateRequest create_of(const char *path)
{
    Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
    request.path = ask_text(path);
    return request;
}

static void create(struct fixture *x, const char *path)
{
    Coord__V1__CreateRequest request = create_of(path);
    ask_done(x->grpc, "/coord.v1.Tree/Create", &request.base,
             &coord__v1__create_reply__descriptor);
}

START_TEST(a_write_is_told_when_it_is_answered_and_a_read_is_not)
{
    struct fixture x;
    open_grpc(&x, AUDIT_WRITES);
    create(&x, "/a");
    ck_assert(ask_exists(x.grpc, "/a"));
    json_t *all;
    const json_t *line = only_line(&x, 0, &all);
    ck_assert_str_eq(text_at(line, "protocol"), "grpc");
    ck_assert_str_eq(text_at(line, "peer"), "test");
    ck_assert_str_eq(text_at(line, "request"), "coord.v1.Tree/Create");
    ck_assert_str_eq(text_at(line, "outcome"), "ok");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "revision")),
                     (int)store_revision(x.node->store));
    json_decref(all);
    Coord__V1__CreateRequest again = create_of("/a");
    ask_refused(x.grpc, "/coord.v1.Tree/Create", &again.base, GRPC_ALREADY_EXISTS,
                "NODE_EXISTS", "/a");
    expect_line(&x, 1, "coord.v1.Tree/Create", "NODE_EXISTS");
    Coord__V1__CreateRequest wrong = create_of("no-slash");
    ask_refused(x.grpc, "/coord.v1.Tree/Create", &wrong.base, GRPC_INVALID_ARGUMENT, "BAD_PATH",
                "");
    expect_line(&x, 2, "coord.v1.Tree/Create", "BAD_PATH");
    close_grpc(&x);
}
END_TEST

/* Acquire, Campaign, Enter and Leave make their commands themselves. */
START_TEST(what_waits_for_its_turn_tells_what_it_asked_for)
{
    struct fixture x;
    open_grpc(&x, AUDIT_WRITES);
    Coord__V1__ElectionCampaignRequest request = COORD__V1__ELECTION_CAMPAIGN_REQUEST__INIT;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    header.note = ask_text("who leads");
    request.header = &header;
    request.path = ask_text("/leader");
    request.lease = 7;
    ask_refused(x.grpc, "/coord.v1.Election/Campaign", &request.base, GRPC_NOT_FOUND, "NO_LEASE",
                "");
    json_t *all;
    const json_t *line = only_line(&x, 0, &all);
    const json_t *op = json_array_get(json_object_get(line, "ops"), 0);
    ck_assert_str_eq(text_at(line, "request"), "coord.v1.Election/Campaign");
    ck_assert_str_eq(text_at(line, "outcome"), "NO_LEASE");
    ck_assert_str_eq(text_at(line, "note"), "who leads");
    ck_assert_str_eq(text_at(line, "lease"), "0000000000000007");
    ck_assert_str_eq(text_at(op, "op"), "acquire");
    ck_assert_str_eq(text_at(op, "path"), "/leader");
    json_decref(all);
    close_grpc(&x);
}
END_TEST

START_TEST(reads_are_told_with_their_paths_when_all_is)
{
    struct fixture x;
    open_grpc(&x, AUDIT_ALL);
    ck_assert(!ask_exists(x.grpc, "/nowhere"));
    json_t *all;
    const json_t *line = only_line(&x, 0, &all);
    ck_assert_str_eq(text_at(line, "request"), "coord.v1.Tree/Exists");
    ck_assert_str_eq(text_at(line, "path"), "/nowhere");
    json_decref(all);
    close_grpc(&x);
}
END_TEST

START_TEST(a_transaction_that_is_answered_with_ok_tells_its_own_outcome)
{
    struct fixture x;
    open_grpc(&x, AUDIT_WRITES);
    Coord__V1__SetOp set = COORD__V1__SET_OP__INIT;
    Coord__V1__Operation op = COORD__V1__OPERATION__INIT;
    Coord__V1__Operation *ops[] = {&op};
    Coord__V1__TxnRequest request = COORD__V1__TXN_REQUEST__INIT;
    set.path = ask_text("/missing");
    op.op_case = COORD__V1__OPERATION__OP_SET;
    op.set = &set;
    request.then_ops = ops;
    request.n_then_ops = 1;
    ask_done(x.grpc, "/coord.v1.Tree/Txn", &request.base, &coord__v1__txn_reply__descriptor);
    expect_line(&x, 0, "coord.v1.Tree/Txn", "NO_NODE");
    close_grpc(&x);
}
END_TEST

START_TEST(a_write_of_which_nobody_knows_is_told_as_unknown)
{
    struct fixture x;
    open_grpc(&x, AUDIT_WRITES);
    Coord__V1__CreateRequest request = create_of("/a");
    x.node->finish_rc = RC_UNKNOWN;
    ask_refused(x.grpc, "/coord.v1.Tree/Create", &request.base, GRPC_UNKNOWN, NULL, "");
    expect_line(&x, 0, "coord.v1.Tree/Create", "unknown");
    x.node->finish_rc = RC_NO_LEADER;
    ask_refused(x.grpc, "/coord.v1.Tree/Create", &request.base, GRPC_UNAVAILABLE, NULL, "");
    expect_line(&x, 1, "coord.v1.Tree/Create", "UNAVAILABLE");
    x.node->is_held = true; /* the client goes away meanwhile */
    struct peer_call *call = peer_unary(x.grpc, "/coord.v1.Tree/Create", &request.base);
    peer_free(x.grpc);
    expect_line(&x, 2, "coord.v1.Tree/Create", "unknown");
    peer_call_free(call);
    fake_node_free(x.node);
    close_disk(&x);
}
END_TEST

START_TEST(keepalives_are_not_told)
{
    struct fixture x;
    open_grpc(&x, AUDIT_ALL);
    uint64_t lease = ask_grant(x.grpc, 7, 10000);
    json_decref(lines(&x));
    Coord__V1__LeaseKeepAliveRequest request = COORD__V1__LEASE_KEEP_ALIVE_REQUEST__INIT;
    request.id = lease;
    struct peer_call *call = peer_call_open(x.grpc, "/coord.v1.Lease/KeepAlive", NULL);
    peer_call_send(call, &request.base);
    peer_run(x.grpc);
    peer_call_end(call);
    peer_run(x.grpc);
    expect_line(&x, 0, "coord.v1.Lease/Grant", "ok");
    peer_call_free(call);
    close_grpc(&x);
}
END_TEST

START_TEST(changes_of_members_and_users_are_told_without_passwords)
{
    struct fixture x;
    open_grpc(&x, AUDIT_WRITES);
    Coord__V1__UserAddRequest add = COORD__V1__USER_ADD_REQUEST__INIT;
    add.user = ask_text("ann");
    add.password = ask_text("correct horse");
    struct peer_call *call = ask_call(x.grpc, "/coord.v1.Auth/UserAdd", &add.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
    json_t *all;
    const json_t *line = only_line(&x, 0, &all);
    ck_assert_str_eq(text_at(line, "action"), "user_add");
    ck_assert_str_eq(text_at(line, "target_user"), "ann");
    json_decref(all);
    ck_assert(!content_has(&x, "correct") && !content_has(&x, "scrypt"));

    Coord__V1__MemberRemoveRequest remove = COORD__V1__MEMBER_REMOVE_REQUEST__INIT;
    remove.name = ask_text("n3");
    call = peer_unary(x.grpc, "/coord.v1.Cluster/MemberRemove", &remove.base);
    ck_assert_ptr_nonnull(x.node->change);
    struct node_change *change = x.node->change;
    x.node->pending--;
    change->done(change, RC_OK, 0, false, "");
    peer_run(x.grpc);
    peer_call_free(call);
    line = only_line(&x, 1, &all);
    ck_assert_str_eq(text_at(line, "request"), "coord.v1.Cluster/MemberRemove");
    ck_assert_str_eq(text_at(line, "member"), "n3");
    json_decref(all);
    close_grpc(&x);
}
END_TEST

/* ---- ZooKeeper ---------------------------------------------------------------------------- */

START_TEST(zookeeper_sessions_and_writes_are_told_and_pings_are_not)
{
    struct fixture x;
    open_zk(&x, AUDIT_WRITES);
    struct zk_peer *p = connect_zk(&x);
    expect_line(&x, 0, "connect", "ok");
    ck_assert_str_eq(zk_ask_create(p, "/a"), "ok /a");
    json_t *all;
    const json_t *line = only_line(&x, 1, &all);
    char session[17];
    (void)snprintf(session, sizeof session, "%016" PRIx64, (uint64_t)p->session);
    ck_assert_str_eq(text_at(line, "protocol"), "zookeeper");
    ck_assert_str_eq(text_at(line, "peer"), "192.0.2.7:51434");
    ck_assert_str_eq(text_at(line, "request"), "create");
    ck_assert_str_eq(text_at(line, "session"), session);
    json_decref(all);
    (void)zk_ask_path(p, ZK_GET_DATA, "/a", false);
    (void)zk_send(p, ZK_PING, NULL);
    zk_world_run(&x.zk);
    (void)zk_say_next(p, ZK_PING);
    (void)zk_ask_delete(p, "/missing");
    expect_line(&x, 2, "delete", "NO_NODE");
    (void)zk_ask(p, ZK_SET_DATA, zk_set_body("not a path", "x", -1));
    expect_line(&x, 3, "setData", "BAD_ARGUMENTS");
    (void)zk_send(p, ZK_CLOSE_SESSION, NULL);
    zk_world_run(&x.zk);
    expect_line(&x, 4, "closeSession", "ok");
    close_zk(&x);
}
END_TEST

/* Its packet is as large as memory that is given back to the system at once. */
START_TEST(a_check_alone_behind_a_write_ends_the_connection_and_is_no_line)
{
    struct fixture x;
    open_zk(&x, AUDIT_ALL);
    struct zk_peer *p = connect_zk(&x);
    struct buf check = {0};
    struct buf path = {0};
    memset(buf_extend(&path, PATH_BYTES), '/', PATH_BYTES);
    jute_put_buffer(&check, buf_slice(&path));
    jute_put_int(&check, -1);
    struct buf create = zk_create_body("/a", "x", 0);
    (void)zk_send(p, ZK_CREATE, &create);
    (void)zk_send(p, ZK_CHECK, &check);
    zk_world_run(&x.zk);
    ck_assert_str_eq(zk_say_next(p, ZK_CREATE), "ok /a");
    ck_assert_str_eq(zk_say_next(p, ZK_CHECK), "-6");
    ck_assert_str_eq(zk_say_next(p, ZK_CHECK), "closed");
    expect_line(&x, 1, "create", "ok");
    buf_close(&path);
    close_zk(&x);
}
END_TEST

START_TEST(a_zookeeper_multi_is_one_line_with_its_operations)
{
    struct fixture x;
    open_zk(&x, AUDIT_WRITES);
    struct zk_peer *p = connect_zk(&x);
    struct buf b = {0};
    zk_put_multi_head(&b, ZK_CREATE, ZK_OK);
    zk_put_text(&b, "/m");
    zk_put_text(&b, "12345");
    zk_put_open_acl(&b);
    jute_put_int(&b, 0);
    zk_put_multi_head(&b, ZK_DELETE, ZK_OK);
    zk_put_text(&b, "/missing");
    jute_put_int(&b, -1);
    zk_put_multi_end(&b);
    (void)zk_ask(p, ZK_MULTI, b);
    json_t *all;
    const json_t *line = only_line(&x, 1, &all);
    const json_t *ops = json_object_get(line, "ops");
    ck_assert_str_eq(text_at(line, "request"), "multi");
    ck_assert_str_eq(text_at(line, "outcome"), "NO_NODE");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "failed_op")), 1);
    ck_assert_uint_eq(json_array_size(ops), 2);
    ck_assert_str_eq(text_at(json_array_get(ops, 0), "path"), "/m");
    ck_assert_int_eq(
        json_integer_value(json_object_get(json_array_get(ops, 0), "bytes")), 5);
    json_decref(all);
    close_zk(&x);
}
END_TEST

START_TEST(zookeeper_writes_that_lose_their_client_are_told_as_unknown)
{
    struct fixture x;
    open_zk(&x, AUDIT_WRITES);
    struct zk_peer *p = connect_zk(&x);
    struct buf body = zk_create_body("/a", "x", 0);
    x.node->is_held = true;
    (void)zk_send(p, ZK_CREATE, &body);
    zk_peer_free(p);
    expect_line(&x, 1, "create", "unknown");
    close_zk(&x);
}
END_TEST

START_TEST(what_a_zookeeper_list_denies_is_told_for_reads_and_writes)
{
    struct fixture x;
    open_zk(&x, AUDIT_DENIALS);
    struct zk_peer *p = connect_zk(&x);
    const struct zk_acl other = {ZK_PERM_ALL, slice_str("digest"), slice_str("ann:aGFzaA==")};
    struct buf b = {0};
    zk_put_text(&b, "/secret");
    zk_put_text(&b, "x");
    zk_put_acl(&b, &other, 1);
    jute_put_int(&b, 0);
    ck_assert_str_eq(zk_ask(p, ZK_CREATE, b), "ok /secret");
    (void)zk_ask_path(p, ZK_GET_DATA, "/secret", false);
    json_t *all;
    const json_t *line = only_line(&x, 0, &all);
    ck_assert_str_eq(text_at(line, "request"), "getData");
    ck_assert_str_eq(text_at(line, "outcome"), "NO_AUTH");
    ck_assert_str_eq(text_at(json_object_get(line, "denied"), "right"), "read");
    ck_assert_str_eq(text_at(json_object_get(line, "denied"), "path"), "/secret");
    json_decref(all);
    (void)zk_ask(p, ZK_SET_DATA, zk_set_body("/secret", "y", -1));
    line = only_line(&x, 1, &all);
    ck_assert_str_eq(text_at(json_object_get(line, "denied"), "right"), "write");
    json_decref(all);
    close_zk(&x);
}
END_TEST

START_TEST(a_session_that_somebody_guesses_at_is_a_denial)
{
    struct fixture x;
    open_zk(&x, AUDIT_DENIALS);
    struct zk_peer *p = connect_zk(&x);
    struct zk_peer *thief = zk_peer_open(&x.zk, "192.0.2.66:1");
    thief->env.audit = x.audit;
    zk_hello_send(thief, &(struct zk_hello){.timeout_ms = 10000, .session = p->session});
    zk_world_run(&x.zk);
    json_t *all;
    const json_t *line = only_line(&x, 0, &all);
    ck_assert_str_eq(text_at(line, "request"), "connect");
    ck_assert_str_eq(text_at(line, "peer"), "192.0.2.66:1");
    ck_assert_str_eq(text_at(line, "outcome"), "BAD_SECRET");
    json_decref(all);
    close_zk(&x);
}
END_TEST

static Suite *requests_suite(void)
{
    Suite *suite = suite_create("audited requests");
    TCase *tc = tcase_create("grpc");
    tcase_add_test(tc, a_write_is_told_when_it_is_answered_and_a_read_is_not);
    tcase_add_test(tc, what_waits_for_its_turn_tells_what_it_asked_for);
    tcase_add_test(tc, reads_are_told_with_their_paths_when_all_is);
    tcase_add_test(tc, a_transaction_that_is_answered_with_ok_tells_its_own_outcome);
    tcase_add_test(tc, a_write_of_which_nobody_knows_is_told_as_unknown);
    tcase_add_test(tc, keepalives_are_not_told);
    tcase_add_test(tc, changes_of_members_and_users_are_told_without_passwords);
    suite_add_tcase(suite, tc);
    tc = tcase_create("zookeeper");
    tcase_add_test(tc, zookeeper_sessions_and_writes_are_told_and_pings_are_not);
    tcase_add_test(tc, a_check_alone_behind_a_write_ends_the_connection_and_is_no_line);
    tcase_add_test(tc, a_zookeeper_multi_is_one_line_with_its_operations);
    tcase_add_test(tc, zookeeper_writes_that_lose_their_client_are_told_as_unknown);
    tcase_add_test(tc, what_a_zookeeper_list_denies_is_told_for_reads_and_writes);
    tcase_add_test(tc, a_session_that_somebody_guesses_at_is_a_denial);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){requests_suite, NULL});
}
