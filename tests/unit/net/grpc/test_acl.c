/* Access control lists over gRPC: who a call is made by, the calls about lists, and what calls and
 * watches show to whom. */
#include "net/identity.h"
#include "tests/support/watch_client.h"

#define ALICE_DIGEST  "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E="
#define SUPER_DIGEST  "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
#define UNARY(name)   "/coord.v1.Tree/" name
#define OUTCOME(name) COORD__V1__OUTCOME__##name

static const char *const as_nobody[] = {NULL};
static const char *const as_alice[] = {"coord-digest", "alice:secret", NULL};
static const char *const as_bob[] = {"coord-digest", "bob:secret", NULL};
static const char *const as_super[] = {"coord-digest", "super:test", NULL};

/* One list of one entry. */
struct one {
    Coord__V1__Acl acl;
    Coord__V1__Acl *all[1];
};

static Coord__V1__Acl **one(struct one *o, uint32_t permissions, const char *scheme,
                            const char *id)
{
    coord__v1__acl__init(&o->acl);
    o->acl.permissions = permissions;
    o->acl.scheme = text(scheme);
    o->acl.id = text(id);
    o->all[0] = &o->acl;
    return o->all;
}

static struct peer_call *unary(const char *path, const ProtobufCMessage *message,
                               const char *const *who)
{
    struct peer_call *call = peer_call_open(peer, path, who);
    peer_call_send(call, message);
    peer_call_end(call);
    run();
    return call;
}

/* The code of a call that is not looked at any further. */
static int code_of(struct peer_call *call)
{
    int code = peer_call_code(call);
    peer_call_free(call);
    return code;
}

static int create_as(const char *const *who, const char *path, uint32_t permissions,
                     const char *scheme, const char *id)
{
    struct one o;
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = text(path);
    request.acl = one(&o, permissions, scheme, id);
    request.n_acl = 1;
    request.data = (ProtobufCBinaryData){.len = 5, .data = (uint8_t *)text("value")};
    return code_of(unary(UNARY("Create"), &request.base, who));
}

static int get_as(const char *const *who, const char *path)
{
    Coord__V1__GetRequest request;
    coord__v1__get_request__init(&request);
    request.path = text(path);
    return code_of(unary(UNARY("Get"), &request.base, who));
}

static struct peer_call *set_acl_as(const char *const *who, const char *path,
                                    uint32_t permissions, const char *scheme, const char *id)
{
    struct one o;
    Coord__V1__SetAclRequest request;
    coord__v1__set_acl_request__init(&request);
    request.path = text(path);
    request.acl = one(&o, permissions, scheme, id);
    request.n_acl = 1;
    return unary(UNARY("SetAcl"), &request.base, who);
}

static Coord__V1__GetAclReply *get_acl_as(const char *const *who, const char *path)
{
    Coord__V1__GetAclRequest request;
    coord__v1__get_acl_request__init(&request);
    request.path = text(path);
    struct peer_call *call = unary(UNARY("GetAcl"), &request.base, who);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    Coord__V1__GetAclReply *reply =
        peer_call_unpack(call, 0, &coord__v1__get_acl_reply__descriptor);
    peer_call_free(call);
    return reply;
}

/* ---- who calls --------------------------------------------------------------------------- */

START_TEST(a_digest_in_the_metadata_opens_what_its_list_allows)
{
    ck_assert_int_eq(create_as(as_nobody, "/a", ACL_READ, "digest", ALICE_DIGEST), GRPC_OK);
    ck_assert_int_eq(get_as(as_alice, "/a"), GRPC_OK);
    ck_assert_int_eq(get_as(as_bob, "/a"), GRPC_PERMISSION_DENIED);
    ck_assert_int_eq(get_as(as_nobody, "/a"), GRPC_PERMISSION_DENIED);
    static const char *const both[] = {"coord-digest", "bob:secret", "coord-digest",
                                       "alice:secret", NULL};
    ck_assert_int_eq(get_as(both, "/a"), GRPC_OK);
    ck_assert_int_eq(get_as(as_nobody, "/a"), GRPC_PERMISSION_DENIED); /* not remembered */
}
END_TEST

START_TEST(a_refusal_names_the_outcome_and_the_path)
{
    ck_assert_int_eq(create_as(as_nobody, "/a", ACL_READ, "digest", ALICE_DIGEST), GRPC_OK);
    Coord__V1__SetRequest request;
    coord__v1__set_request__init(&request);
    request.path = text("/a");
    struct peer_call *call = unary(UNARY("Set"), &request.base, as_alice);
    ck_assert_int_eq(peer_call_code(call), GRPC_PERMISSION_DENIED);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "NO_AUTH");
    ck_assert_str_eq(peer_call_text(call),
                     "/a: write is not allowed");
    peer_call_free(call);
}
END_TEST

START_TEST(the_configured_digest_is_super)
{
    ck_assert_int_eq(create_as(as_nobody, "/a", 0, "world", "anyone"), GRPC_OK);
    ck_assert_int_eq(get_as(as_super, "/a"), GRPC_PERMISSION_DENIED);
    peer->front_env.super_digest = SUPER_DIGEST;
    ck_assert_int_eq(get_as(as_super, "/a"), GRPC_OK);
    ck_assert_int_eq(get_as(as_alice, "/a"), GRPC_PERMISSION_DENIED);
}
END_TEST

START_TEST(too_many_digests_are_refused_before_the_message)
{
    struct grpc_connection *connection = peer->state;
    for (size_t i = 1; i < IDENTITIES_MAX; i++) { /* and the address */
        char credentials[16];
        snprintf(credentials, sizeof credentials, "u%zu:x", i);
        ck_assert(identity_add_digest(&connection->identities, slice_str(credentials)));
    }
    struct peer_call *call = peer_call_open(peer, UNARY("Get"), as_alice);
    run();
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    ck_assert_str_eq(peer_call_text(call), "coord-digest: more than 64 identities, or more than "
                                           "65536 bytes of them");
    peer_call_free(call);
}
END_TEST

START_TEST(who_wrote_is_in_the_change_log)
{
    ck_assert_int_eq(create_as(as_alice, "/a", ACL_ALL, "world", "anyone"), GRPC_OK);
    struct buf who = {0};
    identity_add_ip(&who, "test");
    identity_add_digest(&who, slice_str("alice:secret"));
    const struct history *h = store_history(node->store);
    ck_assert(slice_equal(history_at(h, h->end - 1)->identities, buf_slice(&who)));
    buf_close(&who);
}
END_TEST

/* ---- lists ------------------------------------------------------------------------------- */

START_TEST(a_list_is_set_and_shown_with_digests_hidden_from_who_may_not_administer)
{
    ck_assert_int_eq(create_as(as_nobody, "/a", ACL_ALL, "world", "anyone"), GRPC_OK);
    Coord__V1__GetAclReply *reply = get_acl_as(as_nobody, "/a");
    ck_assert_uint_eq(reply->n_acl, 1);
    ck_assert_uint_eq(reply->acl[0]->permissions, ACL_ALL);
    ck_assert_str_eq(reply->acl[0]->scheme, "world");
    ck_assert_str_eq(reply->acl[0]->id, "anyone");
    coord__v1__get_acl_reply__free_unpacked(reply, NULL);

    struct peer_call *call = set_acl_as(as_alice, "/a", ACL_ALL, "auth", "");
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    Coord__V1__SetAclReply *set =
        peer_call_unpack(call, 0, &coord__v1__set_acl_reply__descriptor);
    ck_assert_uint_eq(set->stat->acl_version, 1);
    ck_assert_uint_eq(set->stat->version, 0);
    coord__v1__set_acl_reply__free_unpacked(set, NULL);
    peer_call_free(call);

    reply = get_acl_as(as_alice, "/a");
    ck_assert_str_eq(reply->acl[0]->scheme, "digest");
    ck_assert_str_eq(reply->acl[0]->id, ALICE_DIGEST);
    ck_assert_uint_eq(reply->stat->acl_version, 1);
    coord__v1__get_acl_reply__free_unpacked(reply, NULL);

    ck_assert_int_eq(code_of(set_acl_as(as_alice, "/a", ACL_READ, "auth", "")), GRPC_OK);
    reply = get_acl_as(as_alice, "/a");
    ck_assert_str_eq(reply->acl[0]->id, "alice:x");
    coord__v1__get_acl_reply__free_unpacked(reply, NULL);
    ck_assert_int_eq(code_of(set_acl_as(as_alice, "/a", ACL_ALL, "world", "anyone")),
                     GRPC_PERMISSION_DENIED);
}
END_TEST

START_TEST(an_invalid_list_is_refused_by_name)
{
    struct peer_call *call = set_acl_as(as_nobody, "/", ACL_ALL, "auth", "");
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "INVALID_ACL");
    peer_call_free(call);
    call = set_acl_as(as_nobody, "/", 32, "world", "anyone");
    ck_assert_str_eq(peer_call_text(call), "acl entry 0: permissions beyond 31");
    peer_call_free(call);
    Coord__V1__SetAclRequest request;
    coord__v1__set_acl_request__init(&request);
    request.path = text("/");
    call = unary(UNARY("SetAcl"), &request.base, as_nobody);
    ck_assert_str_eq(peer_call_text(call), "acl: an empty list");
    peer_call_free(call);
    ck_assert_int_eq(create_as(as_nobody, "/a", 1, "ip", "nowhere"), GRPC_INVALID_ARGUMENT);
}
END_TEST

START_TEST(a_transaction_sets_lists_and_keeps_to_them)
{
    struct one o;
    Coord__V1__CreateOp create_op;
    Coord__V1__SetAclOp set_acl_op;
    Coord__V1__GetOp get_op;
    Coord__V1__Operation operations[3];
    Coord__V1__Operation *all[3] = {&operations[0], &operations[1], &operations[2]};
    coord__v1__create_op__init(&create_op);
    coord__v1__set_acl_op__init(&set_acl_op);
    coord__v1__get_op__init(&get_op);
    create_op.path = text("/a");
    create_op.acl = one(&o, ACL_ALL, "world", "anyone");
    create_op.n_acl = 1;
    set_acl_op.path = text("/a");
    struct one closed;
    set_acl_op.acl = one(&closed, 0, "world", "anyone");
    set_acl_op.n_acl = 1;
    get_op.path = text("/a");
    for (size_t i = 0; i < 3; i++) {
        coord__v1__operation__init(&operations[i]);
    }
    operations[0].op_case = COORD__V1__OPERATION__OP_CREATE;
    operations[0].create = &create_op;
    operations[1].op_case = COORD__V1__OPERATION__OP_SET_ACL;
    operations[1].set_acl = &set_acl_op;
    operations[2].op_case = COORD__V1__OPERATION__OP_GET;
    operations[2].get = &get_op;
    Coord__V1__TxnRequest request;
    coord__v1__txn_request__init(&request);
    request.then_ops = all;
    request.n_then_ops = 3;
    struct peer_call *call = unary(UNARY("Txn"), &request.base, as_nobody);
    Coord__V1__TxnReply *reply = peer_call_unpack(call, 0, &coord__v1__txn_reply__descriptor);
    ck_assert_int_eq(reply->outcome, OUTCOME(NO_AUTH));
    ck_assert_uint_eq(reply->failed_op, 2);
    coord__v1__txn_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
    ck_assert_int_eq(get_as(as_nobody, "/a"), GRPC_NOT_FOUND);

    request.n_then_ops = 2;
    call = unary(UNARY("Txn"), &request.base, as_nobody);
    reply = peer_call_unpack(call, 0, &coord__v1__txn_reply__descriptor);
    ck_assert_int_eq(reply->outcome, OUTCOME(OK));
    ck_assert_uint_eq(reply->results[1]->stat->acl_version, 1);
    coord__v1__txn_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
    ck_assert_int_eq(get_as(as_nobody, "/a"), GRPC_PERMISSION_DENIED);
}
END_TEST

START_TEST(a_listing_has_the_name_of_what_may_not_be_read_and_nothing_else)
{
    create("/d", "");
    ck_assert_int_eq(create_as(as_nobody, "/d/a", ACL_READ, "digest", ALICE_DIGEST), GRPC_OK);
    create("/d/b", "open");
    Coord__V1__ListRequest request;
    coord__v1__list_request__init(&request);
    request.path = text("/d");
    request.with_data = true;
    request.with_stat = true;
    for (int i = 0; i < 2; i++) {
        struct peer_call *call =
            unary(UNARY("List"), &request.base, i == 0 ? as_nobody : as_alice);
        Coord__V1__ListReply *reply =
            peer_call_unpack(call, 0, &coord__v1__list_reply__descriptor);
        ck_assert_uint_eq(reply->n_entries, 2);
        ck_assert_str_eq(reply->entries[0]->path, "/d/a");
        ck_assert_int_eq(reply->entries[0]->unreadable, i == 0);
        ck_assert_uint_eq(reply->entries[0]->data.len, i == 0 ? 0 : 5);
        ck_assert_int_eq(reply->entries[0]->stat == NULL, i == 0);
        ck_assert(!reply->entries[1]->unreadable);
        ck_assert_uint_eq(reply->entries[1]->data.len, 4);
        coord__v1__list_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
    }
}
END_TEST

/* ---- watches ----------------------------------------------------------------------------- */

static struct stream stream_as(const char *const *who)
{
    return (struct stream){.call = peer_call_open(peer, "/coord.v1.Watch/Watch", who)};
}

START_TEST(a_watch_hears_of_what_its_caller_may_read)
{
    struct stream alice = stream_as(as_alice);
    struct stream bob = stream_as(as_bob);
    watch_subtree(&alice, 1, "/");
    watch_subtree(&bob, 2, "/");
    run();
    expect(&alice, 1, TYPE(CREATED));
    expect(&bob, 2, TYPE(CREATED));
    ck_assert_int_eq(create_as(as_nobody, "/a", ACL_READ, "digest", ALICE_DIGEST), GRPC_OK);
    uint64_t created = store_revision(node->store);
    uint64_t deleted = del("/a"); /* with which its list goes */
    uint64_t open = create("/b", "");
    run();
    expect_event(&alice, 1, "/a", created);
    expect_event(&alice, 1, "/a", deleted);
    expect_event(&alice, 1, "/b", open);
    expect_event(&bob, 2, "/b", open);
    expect_nothing(&bob);
    stream_close(&alice);
    stream_close(&bob);
}
END_TEST

START_TEST(a_watch_that_resumes_is_shown_what_its_caller_may_still_read)
{
    uint64_t open = create("/a", "open");
    ck_assert_int_eq(code_of(set_acl_as(as_nobody, "/a", ACL_READ, "digest", ALICE_DIGEST)),
                     GRPC_OK);
    struct stream bob = stream_as(as_bob);
    struct stream alice = stream_as(as_alice);
    Coord__V1__WatchCreate request = subtree(1, "/");
    request.from_revision = open;
    ask_create(&bob, &request);
    ask_create(&alice, &request);
    run();
    expect(&bob, 1, TYPE(CREATED));
    expect_nothing(&bob);
    expect(&alice, 1, TYPE(CREATED));
    expect_event(&alice, 1, "/a", open);
    expect_nothing(&alice);
    stream_close(&alice);
    stream_close(&bob);
}
END_TEST

START_TEST(a_new_list_is_told_to_who_asks_for_that)
{
    create("/a", "value");
    struct stream s = stream_as(as_nobody);
    Coord__V1__WatchCreate request = subtree(1, "/");
    Coord__V1__EventType types[] = {COORD__V1__EVENT_TYPE__ACL_EVENT};
    ask_create(&s, &request);
    request.watch_id = 2;
    request.types = types;
    request.n_types = 1;
    ask_create(&s, &request);
    run();
    expect(&s, 1, TYPE(CREATED));
    expect(&s, 2, TYPE(CREATED));
    ck_assert_int_eq(code_of(set_acl_as(as_nobody, "/a", ACL_READ, "world", "anyone")), GRPC_OK);
    run();
    const Coord__V1__Event *event =
        expect_event(&s, 2, "/a", store_revision(node->store));
    ck_assert_int_eq(event->type, COORD__V1__EVENT_TYPE__ACL_EVENT);
    ck_assert_uint_eq(event->stat->acl_version, 1);
    ck_assert_uint_eq(event->data.len, 5);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_watch_lists_what_its_caller_may_read)
{
    create("/d", "");
    ck_assert_int_eq(create_as(as_nobody, "/d/a", 12, "world", "anyone"), GRPC_OK);
    create("/d/a/x", ""); /* open, but not to be found */
    create("/d/b", "");
    struct stream s = stream_as(as_alice);
    Coord__V1__WatchCreate request = subtree(1, "/d");
    request.list = true;
    ask_create(&s, &request);
    run();
    expect(&s, 1, TYPE(CREATED));
    const Coord__V1__WatchReply *reply = expect(&s, 1, TYPE(LISTING));
    ck_assert_uint_eq(reply->n_entries, 2);
    ck_assert_str_eq(reply->entries[0]->path, "/d");
    ck_assert_str_eq(reply->entries[1]->path, "/d/b");
    stream_close(&s);
}
END_TEST

static Suite *acl_suite(void)
{
    Suite *suite = suite_create("grpc acl");
    TCase *tcase = tcase_create("acl");
    tcase_add_checked_fixture(tcase, world_open, world_close);
    tcase_add_test(tcase, a_digest_in_the_metadata_opens_what_its_list_allows);
    tcase_add_test(tcase, a_refusal_names_the_outcome_and_the_path);
    tcase_add_test(tcase, the_configured_digest_is_super);
    tcase_add_test(tcase, too_many_digests_are_refused_before_the_message);
    tcase_add_test(tcase, who_wrote_is_in_the_change_log);
    tcase_add_test(tcase, a_list_is_set_and_shown_with_digests_hidden_from_who_may_not_administer);
    tcase_add_test(tcase, an_invalid_list_is_refused_by_name);
    tcase_add_test(tcase, a_transaction_sets_lists_and_keeps_to_them);
    tcase_add_test(tcase, a_listing_has_the_name_of_what_may_not_be_read_and_nothing_else);
    tcase_add_test(tcase, a_watch_hears_of_what_its_caller_may_read);
    tcase_add_test(tcase, a_watch_that_resumes_is_shown_what_its_caller_may_still_read);
    tcase_add_test(tcase, a_new_list_is_told_to_who_asks_for_that);
    tcase_add_test(tcase, a_watch_lists_what_its_caller_may_read);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){acl_suite, NULL});
}
