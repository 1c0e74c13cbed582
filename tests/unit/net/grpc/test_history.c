/* coord.v1.History, and Tree.Get of the past, through the bytes of a real HTTP/2 client. */
#include "coord/v1/history.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "tests/support/watch_client.h"

#define UNARY(path, request) peer_unary(peer, "/coord.v1.History/" path, &(request).base)

/* ---- changes ----------------------------------------------------------------------------- */

static Coord__V1__ChangesRequest about(const char *path)
{
    Coord__V1__ChangesRequest request;
    coord__v1__changes_request__init(&request);
    request.path = text(path);
    return request;
}

static Coord__V1__ChangesReply *changes(const Coord__V1__ChangesRequest *request)
{
    struct peer_call *call = UNARY("Changes", *request);
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    Coord__V1__ChangesReply *reply =
        peer_call_unpack(call, 0, &coord__v1__changes_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    peer_call_free(call);
    return reply;
}

static void changes_free(Coord__V1__ChangesReply *reply)
{
    coord__v1__changes_reply__free_unpacked(reply, NULL);
}

static void refused(struct peer_call *call, enum grpc_code code, const char *outcome,
                    const char *what)
{
    ck_assert_int_eq(peer_call_code(call), code);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), outcome);
    ck_assert_msg(strstr(peer_call_text(call), what) != NULL, "%s", peer_call_text(call));
    peer_call_free(call);
}

START_TEST(changes_say_what_was_before_and_after_and_why)
{
    uint64_t first = create("/a", "one");
    create("/b", "");
    set("/a", "two");
    del("/a");
    Coord__V1__ChangesRequest request = about("/a");
    Coord__V1__ChangesReply *reply = changes(&request);
    ck_assert_uint_eq(reply->n_changes, 3);
    ck_assert_uint_eq(reply->next_revision, 0);
    ck_assert_uint_eq(reply->header->revision, first + 3);
    ck_assert_uint_eq(reply->floor, store_history_floor(node->store));
    const char *data[] = {"one", "two", ""};
    const char *previous[] = {"", "one", "two"};
    const uint64_t revisions[] = {first, first + 2, first + 3};
    for (size_t i = 0; i < 3; i++) {
        const Coord__V1__Event *event = reply->changes[i];
        ck_assert_int_eq(event->type, (int)i + 1);
        ck_assert_str_eq(event->path, "/a");
        ck_assert_uint_eq(event->revision, revisions[i]);
        ck_assert(slice_is(slice_make(event->data.data, event->data.len), data[i]));
        ck_assert(slice_is(slice_make(event->previous.data, event->previous.len), previous[i]));
        ck_assert_str_eq(event->note, "because");
        ck_assert_uint_eq(event->time_ms, 12345);
    }
    changes_free(reply);
}
END_TEST

START_TEST(changes_of_a_subtree_come_without_values_if_so_wished)
{
    create("/a", "one");
    create("/a/b", "two");
    create("/ab", "three");
    Coord__V1__ChangesRequest request = about("/a");
    request.recursive = true;
    request.keys_only = true;
    Coord__V1__ChangesReply *reply = changes(&request);
    ck_assert_uint_eq(reply->n_changes, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(reply->changes[i]->data.len, 0);
        ck_assert_uint_eq(reply->changes[i]->stat->data_bytes, 3);
    }
    changes_free(reply);
}
END_TEST

START_TEST(changes_lie_between_the_revisions_asked_for)
{
    uint64_t first = create("/a", "");
    for (int i = 0; i < 10; i++) {
        set("/a", "x");
    }
    Coord__V1__ChangesRequest request = about("/a");
    request.from_revision = first + 2;
    request.to_revision = first + 5;
    Coord__V1__ChangesReply *reply = changes(&request);
    ck_assert_uint_eq(reply->n_changes, 4);
    ck_assert_uint_eq(reply->changes[0]->revision, first + 2);
    ck_assert_uint_eq(reply->changes[3]->revision, first + 5);
    changes_free(reply);
}
END_TEST

/* Every change once, in order, over pages of `limit` or of as many bytes as fit. */
static void page_through(const char *path, bool newest_first, uint32_t limit,
                         size_t value_bytes)
{
    uint64_t first = create(path, "");
    for (int i = 0; i < 20; i++) {
        set_large(path, 'x', value_bytes);
    }
    Coord__V1__ChangesRequest request = about(path);
    request.newest_first = newest_first;
    request.limit = limit;
    size_t seen = 0;
    size_t pages = 0;
    do {
        struct peer_call *call = UNARY("Changes", request);
        struct slice message;
        ck_assert(peer_call_message(call, 0, &message));
        ck_assert_uint_le(message.size, ((size_t)2 << 20) + (64 << 10));
        Coord__V1__ChangesReply *reply =
            peer_call_unpack(call, 0, &coord__v1__changes_reply__descriptor);
        for (size_t i = 0; i < reply->n_changes; i++, seen++) {
            ck_assert_uint_eq(reply->changes[i]->revision,
                              newest_first ? first + 20 - seen : first + seen);
        }
        request.after_revision = reply->next_revision;
        request.after_sub = reply->next_sub;
        pages++;
        ck_assert_uint_lt(pages, 50);
        changes_free(reply);
        peer_call_free(call);
    } while (request.after_revision != 0);
    ck_assert_uint_eq(seen, 21);
    ck_assert_uint_gt(pages, 1);
}

START_TEST(changes_are_paged_in_both_directions)
{
    page_through("/small", _i == 1, 4, 10);
    page_through("/large", _i == 1, 0, 400 << 10);
}
END_TEST

START_TEST(requests_for_changes_that_cannot_be_are_refused_by_name)
{
    Coord__V1__ChangesRequest request = about("a");
    refused(UNARY("Changes", request), GRPC_INVALID_ARGUMENT, "BAD_PATH", "path");
    request = about("/a");
    request.from_revision = 5;
    request.to_revision = 4;
    refused(UNARY("Changes", request), GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS",
            "from_revision: 5 is beyond to_revision, 4");
    request = about("/a");
    request.after_sub = 1;
    refused(UNARY("Changes", request), GRPC_INVALID_ARGUMENT, "BAD_CURSOR", "after_sub");
    request = about("/a");
    request.from_revision = 1000;
    refused(UNARY("Changes", request), GRPC_OUT_OF_RANGE, "FUTURE_REVISION",
            "/a: revision 1000 is in the future, the last is 1");
    request = about("/a");
    request.to_revision = 7;
    refused(UNARY("Changes", request), GRPC_OUT_OF_RANGE, "FUTURE_REVISION",
            "/a: revision 7 is in the future, the last is 1");
}
END_TEST

/* ---- the past of a node ------------------------------------------------------------------ */

static struct peer_call *get_at(const char *path, uint64_t revision)
{
    Coord__V1__GetRequest request;
    coord__v1__get_request__init(&request);
    request.path = text(path);
    request.revision = revision;
    return peer_unary(peer, "/coord.v1.Tree/Get", &request.base);
}

START_TEST(get_shows_a_node_as_it_was)
{
    uint64_t first = create("/a", "one");
    set("/a", "two");
    del("/a");
    const char *values[] = {"one", "two"};
    for (uint64_t i = 0; i < 2; i++) {
        struct peer_call *call = get_at("/a", first + i);
        ck_assert_int_eq(peer_call_code(call), GRPC_OK);
        Coord__V1__GetReply *reply =
            peer_call_unpack(call, 0, &coord__v1__get_reply__descriptor);
        ck_assert_mem_eq(reply->data.data, values[i], 3);
        ck_assert_uint_eq(reply->stat->version, i);
        ck_assert_uint_eq(reply->stat->modify_revision, first + i);
        coord__v1__get_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
    }
    refused(get_at("/a", first - 1), GRPC_NOT_FOUND, "NO_NODE", "/a");
    refused(get_at("/a", first + 2), GRPC_NOT_FOUND, "NO_NODE", "/a");
    char why[128];
    snprintf(why, sizeof why, "/a: revision %d is in the future, the last is %d",
             (int)first + 3, (int)first + 2);
    refused(get_at("/a", first + 3), GRPC_OUT_OF_RANGE, "FUTURE_REVISION", why);
    compact();
    snprintf(why, sizeof why,
             "/a: revision %d is no longer retained, the change log begins with %d", (int)first,
             (int)store_history_floor(node->store));
    refused(get_at("/a", first), GRPC_OUT_OF_RANGE, "COMPACTED", why);
}
END_TEST

/* ---- policies ---------------------------------------------------------------------------- */

static Coord__V1__GetPoliciesReply *policies_of(const char *after, uint32_t limit)
{
    Coord__V1__GetPoliciesRequest request;
    coord__v1__get_policies_request__init(&request);
    request.after = text(after);
    request.limit = limit;
    struct peer_call *call = UNARY("GetPolicies", request);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    Coord__V1__GetPoliciesReply *reply =
        peer_call_unpack(call, 0, &coord__v1__get_policies_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    peer_call_free(call);
    return reply;
}

static Coord__V1__GetPoliciesReply *policies(void)
{
    return policies_of("", 0);
}

static struct peer_call *set_policy(const char *path, uint32_t versions)
{
    Coord__V1__SetPolicyRequest request;
    Coord__V1__HistoryPolicy policy;
    coord__v1__set_policy_request__init(&request);
    coord__v1__history_policy__init(&policy);
    policy.path = text(path);
    policy.versions = versions;
    request.policy = &policy;
    return UNARY("SetPolicy", request);
}

static void ok(struct peer_call *call)
{
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    peer_call_free(call);
}

START_TEST(a_policy_is_set_changed_and_dropped)
{
    ok(set_policy("/config", 3));
    ok(set_policy("/a", 1));
    ok(set_policy("/config", 5));
    Coord__V1__GetPoliciesReply *reply = policies();
    ck_assert_uint_eq(reply->n_policies, 2);
    ck_assert_str_eq(reply->policies[0]->path, "/a");
    ck_assert_uint_eq(reply->policies[0]->versions, 1);
    ck_assert_str_eq(reply->policies[1]->path, "/config");
    ck_assert_uint_eq(reply->policies[1]->versions, 5);
    ck_assert_str_eq(reply->next, "");
    coord__v1__get_policies_reply__free_unpacked(reply, NULL);
    reply = policies_of("", 1);
    ck_assert_uint_eq(reply->n_policies, 1);
    ck_assert_str_eq(reply->next, "/a");
    coord__v1__get_policies_reply__free_unpacked(reply, NULL);
    reply = policies_of("/a", 1);
    ck_assert_uint_eq(reply->n_policies, 1);
    ck_assert_str_eq(reply->policies[0]->path, "/config");
    ck_assert_str_eq(reply->next, "");
    coord__v1__get_policies_reply__free_unpacked(reply, NULL);
    ok(set_policy("/a", 0));
    ok(set_policy("/a", 0)); /* nothing to drop is fine */
    reply = policies();
    ck_assert_uint_eq(reply->n_policies, 1);
    coord__v1__get_policies_reply__free_unpacked(reply, NULL);
}
END_TEST

START_TEST(versions_under_a_policy_outlive_the_change_log)
{
    ok(set_policy("/config", 3));
    create("/config", "");
    uint64_t first = create("/config/a", "0");
    uint64_t last = first;
    const char *values[] = {"1", "2", "3", "4"};
    for (size_t i = 0; i < 4; i++) {
        last = set("/config/a", values[i]);
    }
    compact();
    ck_assert_uint_gt(store_history_floor(node->store), last);
    for (uint64_t i = 0; i < 3; i++) {
        struct peer_call *call = get_at("/config/a", last - i);
        Coord__V1__GetReply *reply =
            peer_call_unpack(call, 0, &coord__v1__get_reply__descriptor);
        ck_assert_mem_eq(reply->data.data, values[3 - i], 1);
        coord__v1__get_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
    }
    refused(get_at("/config/a", first), GRPC_OUT_OF_RANGE, "COMPACTED", "/config/a");
    Coord__V1__ChangesRequest request = about("/config/a");
    Coord__V1__ChangesReply *reply = changes(&request);
    ck_assert_uint_eq(reply->n_changes, 3);
    ck_assert_uint_gt(reply->floor, last);
    changes_free(reply);
}
END_TEST

START_TEST(policies_that_cannot_be_are_refused_by_name)
{
    refused(set_policy("config", 3), GRPC_INVALID_ARGUMENT, "BAD_PATH", "path");
    refused(set_policy("/config", 100001), GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS", "100001");
    Coord__V1__SetPolicyRequest request;
    coord__v1__set_policy_request__init(&request);
    refused(UNARY("SetPolicy", request), GRPC_INVALID_ARGUMENT, "BAD_PATH", "path");
}
END_TEST

static struct peer_call *set_retention(uint64_t bytes, uint64_t age_ms, uint64_t revisions)
{
    Coord__V1__SetRetentionRequest request;
    Coord__V1__Retention retention;
    coord__v1__set_retention_request__init(&request);
    coord__v1__retention__init(&retention);
    retention.bytes = bytes;
    retention.age_ms = age_ms;
    retention.revisions = revisions;
    request.retention = &retention;
    return UNARY("SetRetention", request);
}

static void expect_retention(uint64_t bytes, uint64_t age_ms, uint64_t revisions)
{
    Coord__V1__GetPoliciesReply *reply = policies();
    ck_assert_uint_eq(reply->retention->bytes, bytes);
    ck_assert_uint_eq(reply->retention->age_ms, age_ms);
    ck_assert_uint_eq(reply->retention->revisions, revisions);
    coord__v1__get_policies_reply__free_unpacked(reply, NULL);
}

START_TEST(retention_is_set_and_what_is_left_out_is_the_default)
{
    expect_retention((uint64_t)64 << 20, 3600000, 10000);
    ok(set_retention((uint64_t)1 << 20, 5000, 100));
    expect_retention((uint64_t)1 << 20, 5000, 100);
    ok(set_retention(0, 7000, 0));
    expect_retention((uint64_t)64 << 20, 7000, 10000);
    ok(set_retention(0, 0, 0));
    expect_retention((uint64_t)64 << 20, 3600000, 10000);
}
END_TEST

START_TEST(retention_out_of_bounds_is_refused_by_name)
{
    refused(set_retention(1000, 0, 0), GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS", "bytes 1000");
    refused(set_retention((uint64_t)1 << 40, 0, 0), GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS",
            "bytes");
    refused(set_retention(0, 999, 0), GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS", "age_ms 999");
    refused(set_retention(0, 0, 10000001), GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS",
            "revisions 10000001");
    expect_retention((uint64_t)64 << 20, 3600000, 10000);
}
END_TEST

START_TEST(a_small_retention_sends_a_watch_a_new_listing)
{
    ok(set_retention((uint64_t)1 << 20, 1000, 10));
    create("/a", "");
    for (int i = 0; i < 100; i++) {
        node->cluster_ms += 1000;
        set("/a", "x");
    }
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/a");
    request.from_revision = store_history_floor(node->store) - 1;
    ck_assert_uint_gt(request.from_revision, 10);
    request.relist = true;
    ask_create(&s, &request);
    run();
    expect(&s, 1, TYPE(CREATED));
    expect(&s, 1, TYPE(COMPACTED));
    ck_assert_uint_eq(expect(&s, 1, TYPE(LISTING))->n_entries, 1);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

static Suite *history_suite(void)
{
    Suite *suite = suite_create("grpc history");
    TCase *tcase = tcase_create("history");
    tcase_add_checked_fixture(tcase, world_open, world_close);
    tcase_add_test(tcase, changes_say_what_was_before_and_after_and_why);
    tcase_add_test(tcase, changes_of_a_subtree_come_without_values_if_so_wished);
    tcase_add_test(tcase, changes_lie_between_the_revisions_asked_for);
    tcase_add_loop_test(tcase, changes_are_paged_in_both_directions, 0, 2);
    tcase_add_test(tcase, requests_for_changes_that_cannot_be_are_refused_by_name);
    tcase_add_test(tcase, get_shows_a_node_as_it_was);
    tcase_add_test(tcase, a_policy_is_set_changed_and_dropped);
    tcase_add_test(tcase, versions_under_a_policy_outlive_the_change_log);
    tcase_add_test(tcase, policies_that_cannot_be_are_refused_by_name);
    tcase_add_test(tcase, retention_is_set_and_what_is_left_out_is_the_default);
    tcase_add_test(tcase, retention_out_of_bounds_is_refused_by_name);
    tcase_add_test(tcase, a_small_retention_sends_a_watch_a_new_listing);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){history_suite, NULL});
}
