/* coord.v1.Lease through the bytes of a real HTTP/2 client, over a real store: all of it but its
 * stream. */
#include "lease/table.h"
#include "net/grpc/call.h"
#include "net/grpc/front.h"
#include "tests/support/check_main.h"
#include "tests/support/grpc_lease_kit.h"

/* ---- Grant ------------------------------------------------------------------------------- */

START_TEST(a_grant_answers_a_random_id_and_its_ttl)
{
    Coord__V1__LeaseGrantRequest request;
    coord__v1__lease_grant_request__init(&request);
    request.ttl_ms = 7000;
    request.owner = ask_text("worker 5");
    node->now_ms = 123456;
    Coord__V1__LeaseGrantReply *reply = ask(peer, GRANT, &request.base,
                                            &coord__v1__lease_grant_reply__descriptor);
    ck_assert_uint_ge(reply->id, 1);
    ck_assert_uint_le(reply->id, INT64_MAX);
    ck_assert_uint_eq(reply->ttl_ms, 7000);
    ck_assert_uint_eq(reply->header->applied_index, node->index);
    const struct lease *lease = store_lease(node->store, reply->id);
    ck_assert_ptr_nonnull(lease);
    ck_assert_int_eq(lease->kind, LEASE_PLAIN);
    ck_assert(lease->renewable);
    ck_assert(slice_is(lease->owner, "worker 5"));
    ck_assert_uint_eq(lease->granted_ms, 123456);
    ck_assert_uint_ne(ask_grant(peer, 0, 500), reply->id);
    coord__v1__lease_grant_reply__free_unpacked(reply, NULL);
}
END_TEST

START_TEST(a_grant_takes_the_id_that_the_client_chose)
{
    ck_assert_uint_eq(ask_grant(peer, 4660, LEASE_TTL_MS_MIN), 4660);
    ck_assert_uint_eq(ask_grant(peer, INT64_MAX, LEASE_TTL_MS_MAX), INT64_MAX);
    Coord__V1__LeaseGrantRequest request;
    coord__v1__lease_grant_request__init(&request);
    request.id = 4660;
    request.ttl_ms = 1000;
    ask_refused(peer, GRANT, &request.base, GRPC_ALREADY_EXISTS, "LEASE_EXISTS",
                "lease 0000000000001234: lease already exists");
}
END_TEST

START_TEST(an_id_that_was_drawn_and_is_taken_is_drawn_again)
{
    uint64_t first = ask_grant(peer, 0, 1000);
    peer->env.last_random = first;
    peer->env.same_random = 1;
    uint64_t second = ask_grant(peer, 0, 1000);
    ck_assert_uint_ne(second, first);
    ck_assert_ptr_nonnull(store_lease(node->store, second));

    /* Randomness that is broken for good ends, too. */
    Coord__V1__LeaseGrantRequest request;
    coord__v1__lease_grant_request__init(&request);
    request.ttl_ms = 1000;
    peer->env.last_random = first;
    peer->env.same_random = 1000;
    ask_refused(peer, GRANT, &request.base, GRPC_ALREADY_EXISTS, "LEASE_EXISTS", "lease");
}
END_TEST

START_TEST(a_repeated_grant_answers_the_first_id)
{
    Coord__V1__RequestId id;
    Coord__V1__RequestHeader header;
    Coord__V1__LeaseGrantRequest request;
    coord__v1__request_id__init(&id);
    coord__v1__request_header__init(&header);
    coord__v1__lease_grant_request__init(&request);
    node->cluster_ms = 1000;
    id.issued_ms = 1000;
    id.low = 5;
    header.request_id = &id;
    request.header = &header;
    request.ttl_ms = 7000;
    uint64_t granted[2];
    for (int i = 0; i < 2; i++) {
        Coord__V1__LeaseGrantReply *reply = ask(peer, GRANT, &request.base,
                                                &coord__v1__lease_grant_reply__descriptor);
        granted[i] = reply->id;
        ck_assert_uint_eq(reply->ttl_ms, 7000);
        ck_assert_int_eq(reply->header->repeated, i == 1);
        coord__v1__lease_grant_reply__free_unpacked(reply, NULL);
    }
    ck_assert_uint_eq(granted[0], granted[1]);
    ck_assert_ptr_null(store_lease_next(node->store, granted[0]));
}
END_TEST

static const struct {
    uint64_t ttl_ms;
    uint64_t id;
    size_t owner_bytes;
    enum grpc_code code;
    const char *outcome;
    const char *text;
} grants[] = {
    {0, 0, 0, GRPC_OUT_OF_RANGE, "BAD_TTL", "ttl_ms: 0, a lease takes 500 to 86400000"},
    {499, 0, 0, GRPC_OUT_OF_RANGE, "BAD_TTL", "ttl_ms: 499, a lease takes 500 to 86400000"},
    {86400001, 0, 0, GRPC_OUT_OF_RANGE, "BAD_TTL", "ttl_ms: 86400001, a lease takes 500"},
    {UINT64_MAX, 0, 0, GRPC_OUT_OF_RANGE, "BAD_TTL", "ttl_ms: 18446744073709551615"},
    {1000, (uint64_t)1 << 63, 0, GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS",
     "id: 9223372036854775808, must be 1 to 9223372036854775807"},
    {1000, 0, 257, GRPC_RESOURCE_EXHAUSTED, "TOO_LARGE", "owner: 257 bytes"},
};

START_TEST(a_grant_that_is_out_of_bounds_is_refused_with_value_and_limit)
{
    char owner[512] = "";
    memset(owner, 'x', grants[_i].owner_bytes);
    Coord__V1__LeaseGrantRequest request;
    coord__v1__lease_grant_request__init(&request);
    request.ttl_ms = grants[_i].ttl_ms;
    request.id = grants[_i].id;
    request.owner = owner;
    ask_refused(peer, GRANT, &request.base, grants[_i].code, grants[_i].outcome,
                grants[_i].text);
    ck_assert_ptr_null(store_lease_next(node->store, 0));
}
END_TEST

/* ---- Revoke ------------------------------------------------------------------------------ */

START_TEST(a_revoke_takes_what_is_attached_in_one_revision)
{
    Coord__V1__LeaseRevokeRequest request;
    coord__v1__lease_revoke_request__init(&request);
    request.id = ask_grant(peer, 0, 1000);
    ask_ephemeral(peer, "/a", request.id);
    ask_ephemeral(peer, "/b", request.id);
    uint64_t revision = store_revision(node->store);
    Coord__V1__LeaseRevokeReply *reply = ask(peer, REVOKE, &request.base,
                                             &coord__v1__lease_revoke_reply__descriptor);
    ck_assert_uint_eq(reply->removed, 2);
    ck_assert_uint_eq(reply->header->revision, revision + 1);
    coord__v1__lease_revoke_reply__free_unpacked(reply, NULL);
    ck_assert(!ask_exists(peer, "/a"));
    ck_assert(!ask_exists(peer, "/b"));
    ask_refused(peer, REVOKE, &request.base, GRPC_NOT_FOUND, "NO_LEASE",
                ": lease does not exist");
}
END_TEST

START_TEST(a_revoke_is_not_for_sessions)
{
    char text[64];
    struct ask_session session = ask_open(peer, 0);
    Coord__V1__LeaseRevokeRequest request;
    coord__v1__lease_revoke_request__init(&request);
    request.id = session.id;
    (void)snprintf(text, sizeof text, "lease %016llx: lease does not exist",
                   (unsigned long long)session.id);
    ask_refused(peer, REVOKE, &request.base, GRPC_NOT_FOUND, "NO_LEASE", text);
    ck_assert_ptr_nonnull(store_lease(node->store, session.id));
    request.id = 0;
    ask_refused(peer, REVOKE, &request.base, GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS",
                "id: 0, must be 1 to");
}
END_TEST

/* ---- owners ------------------------------------------------------------------------------ */

START_TEST(an_ephemeral_node_needs_an_owner_that_exists)
{
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = ask_text("/e");
    request.kind = COORD__V1__KIND__EPHEMERAL;
    ask_refused(peer, "/coord.v1.Tree/Create", &request.base, GRPC_INVALID_ARGUMENT,
                "BAD_ARGUMENTS",
                "an EPHEMERAL node needs a lease, or a session in the header");
    request.lease = 4660;
    ask_refused(peer, "/coord.v1.Tree/Create", &request.base, GRPC_NOT_FOUND, "NO_LEASE",
                "lease 0000000000001234: lease does not exist");
    (void)ask_grant(peer, 4660, 1000);
    Coord__V1__CreateReply *reply = ask(peer, "/coord.v1.Tree/Create", &request.base,
                                        &coord__v1__create_reply__descriptor);
    ck_assert_uint_eq(reply->stat->lease, 4660);
    ck_assert_int_eq(reply->stat->kind, COORD__V1__KIND__EPHEMERAL);
    coord__v1__create_reply__free_unpacked(reply, NULL);

    request.path = ask_text("/p");
    request.kind = COORD__V1__KIND__PERSISTENT;
    ask_refused(peer, "/coord.v1.Tree/Create", &request.base, GRPC_INVALID_ARGUMENT,
                "BAD_ARGUMENTS", "lease: belongs to an ephemeral node, and to no other");
}
END_TEST

START_TEST(an_ephemeral_node_has_no_children)
{
    ask_ephemeral(peer, "/e", ask_grant(peer, 0, 1000));
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = ask_text("/e/child");
    ask_refused(peer, "/coord.v1.Tree/Create", &request.base, GRPC_FAILED_PRECONDITION,
                "EPHEMERAL_PARENT", "/e/child: ephemeral nodes have no children");
}
END_TEST

/* ---- TimeToLive -------------------------------------------------------------------------- */

static Coord__V1__LeaseTimeToLiveReply *time_to_live(Coord__V1__LeaseTimeToLiveRequest *request)
{
    return ask(peer, TTL, &request->base, &coord__v1__lease_time_to_live_reply__descriptor);
}

START_TEST(time_to_live_joins_the_leaders_clock_with_the_store)
{
    Coord__V1__LeaseGrantRequest grant;
    coord__v1__lease_grant_request__init(&grant);
    grant.id = 9;
    grant.ttl_ms = 7000;
    grant.not_renewable = true;
    grant.owner = ask_text("me");
    ask_done(peer, GRANT, &grant.base, &coord__v1__lease_grant_reply__descriptor);
    ask_ephemeral(peer, "/a", 9);
    node->has_ttl = true;
    node->ttl_ms = 4321;

    Coord__V1__LeaseTimeToLiveRequest request;
    coord__v1__lease_time_to_live_request__init(&request);
    request.id = 9;
    Coord__V1__LeaseTimeToLiveReply *reply = time_to_live(&request);
    ck_assert_uint_eq(reply->remaining_ms, 4321);
    ck_assert_uint_eq(reply->lease->id, 9);
    ck_assert_int_eq(reply->lease->kind, COORD__V1__LEASE_KIND__PLAIN_LEASE);
    ck_assert_uint_eq(reply->lease->ttl_ms, 7000);
    ck_assert(!reply->lease->renewable);
    ck_assert_uint_eq(reply->lease->attached, 1);
    ck_assert_str_eq(reply->lease->owner, "me");
    ck_assert_uint_eq(reply->n_paths, 0);
    ck_assert_str_eq(reply->next, "");
    ck_assert(reply->header->age_known);
    coord__v1__lease_time_to_live_reply__free_unpacked(reply, NULL);

    request.id = ask_open(peer, 0).id;
    reply = time_to_live(&request);
    ck_assert_int_eq(reply->lease->kind, COORD__V1__LEASE_KIND__SESSION_LEASE);
    coord__v1__lease_time_to_live_reply__free_unpacked(reply, NULL);
}
END_TEST

START_TEST(time_to_live_pages_the_paths_in_order)
{
    static const size_t count = 700; /* of 4,000 bytes: more than one page */
    char path[4096];
    (void)ask_grant(peer, 9, 7000);
    memset(path, 'x', sizeof path);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(path, 16, "/%06zu", count - 1 - i);
        path[7] = '-';
        path[4000] = '\0';
        ask_ephemeral(peer, path, 9);
        path[4000] = 'x';
    }
    Coord__V1__LeaseTimeToLiveRequest request;
    coord__v1__lease_time_to_live_request__init(&request);
    request.id = 9;
    request.with_paths = true;
    char after[4096] = "";
    size_t seen = 0;
    size_t pages = 0;
    do {
        request.after = after;
        struct peer_call *call = peer_unary(peer, TTL, &request.base);
        struct slice message;
        ck_assert(peer_call_message(call, 0, &message));
        ck_assert_uint_le(message.size, ((size_t)2 << 20) + ((size_t)8 << 10));
        Coord__V1__LeaseTimeToLiveReply *reply =
            peer_call_unpack(call, 0, &coord__v1__lease_time_to_live_reply__descriptor);
        peer_call_free(call);
        ck_assert_uint_eq(reply->lease->attached, count);
        for (size_t i = 0; i < reply->n_paths; i++) {
            ck_assert_uint_eq(strtoul(reply->paths[i] + 1, NULL, 10), seen++);
        }
        (void)snprintf(after, sizeof after, "%s", reply->next);
        pages++;
        coord__v1__lease_time_to_live_reply__free_unpacked(reply, NULL);
    } while (after[0] != '\0');
    ck_assert_uint_eq(seen, count);
    ck_assert_uint_gt(pages, 1);
}
END_TEST

START_TEST(time_to_live_says_what_it_cannot_answer)
{
    Coord__V1__LeaseTimeToLiveRequest request;
    coord__v1__lease_time_to_live_request__init(&request);
    request.id = 4660;
    ask_refused(peer, TTL, &request.base, GRPC_NOT_FOUND, "NO_LEASE",
                "lease 0000000000001234: lease does not exist");
    request.with_paths = true;
    request.after = ask_text("no path");
    ask_refused(peer, TTL, &request.base, GRPC_INVALID_ARGUMENT, "BAD_CURSOR", "after: ");
    request.after = ask_text("");
    node->finish_rc = RC_NO_LEADER;
    ask_refused(peer, TTL, &request.base, GRPC_UNAVAILABLE, NULL, "no leader");
    node->finish_rc = RC_OK;
    node->submit_rc = RC_STOPPED;
    ask_refused(peer, TTL, &request.base, GRPC_UNAVAILABLE, NULL, "shutting down");
}
END_TEST

START_TEST(a_client_that_goes_takes_its_question_to_the_leader_along)
{
    (void)ask_grant(peer, 9, 1000);
    node->is_held = true;
    Coord__V1__LeaseTimeToLiveRequest request;
    coord__v1__lease_time_to_live_request__init(&request);
    request.id = 9;
    struct peer_call *call = peer_unary(peer, TTL, &request.base);
    ck_assert(!list_empty(&node->ttls));
    peer_call_free(call);
    ck_assert_uint_eq(node->pending, 0);

    call = peer_unary(peer, TTL, &request.base);
    advance(GRPC_TIMEOUT_DEFAULT_MS);
    ck_assert_int_eq(peer_call_code(call), GRPC_DEADLINE_EXCEEDED);
    peer_call_free(call);
}
END_TEST

/* ---- List -------------------------------------------------------------------------------- */

static Coord__V1__LeaseListReply *list(Coord__V1__LeaseListRequest *request)
{
    return ask(peer, LIST, &request->base, &coord__v1__lease_list_reply__descriptor);
}

START_TEST(a_list_pages_in_order_of_id)
{
    for (uint64_t id = 25; id > 0; id--) {
        (void)ask_grant(peer, id, 1000);
    }
    Coord__V1__LeaseListRequest request;
    coord__v1__lease_list_request__init(&request);
    request.limit = 10;
    uint64_t seen = 0;
    do {
        Coord__V1__LeaseListReply *reply = list(&request);
        ck_assert_uint_le(reply->n_leases, 10);
        for (size_t i = 0; i < reply->n_leases; i++) {
            ck_assert_uint_eq(reply->leases[i]->id, ++seen);
        }
        request.after = reply->next;
        coord__v1__lease_list_reply__free_unpacked(reply, NULL);
    } while (request.after != 0);
    ck_assert_uint_eq(seen, 25);
}
END_TEST

START_TEST(a_list_without_a_limit_has_a_thousand)
{
    for (uint64_t id = 1; id <= 1001; id++) {
        (void)ask_grant(peer, id, 1000);
    }
    Coord__V1__LeaseListRequest request;
    coord__v1__lease_list_request__init(&request);
    Coord__V1__LeaseListReply *reply = list(&request);
    ck_assert_uint_eq(reply->n_leases, 1000);
    ck_assert_uint_eq(reply->next, 1000);
    coord__v1__lease_list_reply__free_unpacked(reply, NULL);
    request.limit = UINT32_MAX;
    reply = list(&request);
    ck_assert_uint_eq(reply->n_leases, 1001);
    ck_assert_uint_eq(reply->next, 0);
    coord__v1__lease_list_reply__free_unpacked(reply, NULL);
}
END_TEST

START_TEST(a_list_shows_the_kinds_that_are_asked_for_and_no_secrets)
{
    uint64_t lease = ask_grant(peer, 0, 1000);
    struct ask_session session = ask_open(peer, 0);
    Coord__V1__LeaseListRequest request;
    coord__v1__lease_list_request__init(&request);
    for (int kind = 0; kind <= 2; kind++) {
        request.kind = (Coord__V1__LeaseKind)kind;
        struct peer_call *call = peer_unary(peer, LIST, &request.base);
        for (size_t at = 0; at + sizeof session.secret <= call->data.size; at++) {
            ck_assert_mem_ne(call->data.data + at, session.secret, sizeof session.secret);
        }
        Coord__V1__LeaseListReply *reply =
            peer_call_unpack(call, 0, &coord__v1__lease_list_reply__descriptor);
        ck_assert_uint_eq(reply->n_leases, kind == 0 ? 2 : 1);
        if (kind != 0) {
            ck_assert_uint_eq(reply->leases[0]->id, kind == 1 ? lease : session.id);
            ck_assert_int_eq(reply->leases[0]->kind, kind);
        }
        coord__v1__lease_list_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
    }
    request.kind = (Coord__V1__LeaseKind)3;
    ask_refused(peer, LIST, &request.base, GRPC_INVALID_ARGUMENT, NULL, "kind: 3 is none");
}
END_TEST

static Suite *grpc_lease_suite(void)
{
    Suite *suite = suite_create("grpc_lease");
    TCase *tcase = tcase_create("lease");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_grant_answers_a_random_id_and_its_ttl);
    tcase_add_test(tcase, a_grant_takes_the_id_that_the_client_chose);
    tcase_add_test(tcase, an_id_that_was_drawn_and_is_taken_is_drawn_again);
    tcase_add_test(tcase, a_repeated_grant_answers_the_first_id);
    tcase_add_loop_test(tcase, a_grant_that_is_out_of_bounds_is_refused_with_value_and_limit, 0,
                        (int)(sizeof grants / sizeof grants[0]));
    tcase_add_test(tcase, a_revoke_takes_what_is_attached_in_one_revision);
    tcase_add_test(tcase, a_revoke_is_not_for_sessions);
    tcase_add_test(tcase, an_ephemeral_node_needs_an_owner_that_exists);
    tcase_add_test(tcase, an_ephemeral_node_has_no_children);
    tcase_add_test(tcase, time_to_live_joins_the_leaders_clock_with_the_store);
    tcase_add_test(tcase, time_to_live_pages_the_paths_in_order);
    tcase_add_test(tcase, time_to_live_says_what_it_cannot_answer);
    tcase_add_test(tcase, a_client_that_goes_takes_its_question_to_the_leader_along);
    tcase_add_test(tcase, a_list_pages_in_order_of_id);
    tcase_add_test(tcase, a_list_without_a_limit_has_a_thousand);
    tcase_add_test(tcase, a_list_shows_the_kinds_that_are_asked_for_and_no_secrets);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){grpc_lease_suite, NULL});
}
