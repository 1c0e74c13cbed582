/* What holds for all services: limits, the status for every outcome and error, freshness, what is
 * counted; and coord.v1.Cluster. Through the bytes of a real HTTP/2 client. */
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/shard_map.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "base/utf8.h"
#include "net/grpc/call.h"
#include "raft/message.h"
#include "tests/support/check_main.h"
#include "tests/support/grpc_ask.h"
#include "tests/support/grpc_kit.h"

/* ---- limits and statuses ----------------------------------------------------------------- */

START_TEST(limits_are_refused_by_name_before_the_node_is_asked)
{
    size_t calls_before = node->index;
    char *large = mem_zalloc(((size_t)1 << 20) + 2);
    memset(large, 'x', ((size_t)1 << 20) + 1);
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = ask_text("/a");
    request.data = ask_data(large);
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "1048576"));
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "TOO_LARGE");
    peer_call_free(call);

    large[0] = '/';
    large[5000] = '\0';
    request.path = large;
    request.data = ask_data("");
    call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "4096"));
    peer_call_free(call);

    Coord__V1__RequestHeader header;
    coord__v1__request_header__init(&header);
    header.note = large;
    request.header = &header;
    request.path = ask_text("/a");
    call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "note"));
    peer_call_free(call);
    mem_free(large);
    ck_assert_uint_eq(node->index, calls_before);
}
END_TEST

START_TEST(a_bad_path_of_a_shard_map_is_refused_as_any_other)
{
    char large[5000];
    Coord__V1__ShardMapPlanRequest request;
    coord__v1__shard_map_plan_request__init(&request);
    memset(large, 'x', sizeof large);
    large[0] = '/';
    large[sizeof large - 1] = '\0';
    request.path = large;
    ask_refused(peer, "/coord.v1.ShardMap/Plan", &request.base, GRPC_RESOURCE_EXHAUSTED,
                "TOO_LARGE", "4096");
    request.path = ask_text("/a//b");
    ask_refused(peer, "/coord.v1.ShardMap/Plan", &request.base, GRPC_INVALID_ARGUMENT,
                "BAD_PATH", "empty component");
}
END_TEST

START_TEST(bad_paths_are_invalid_arguments)
{
    const char *paths[] = {"", "a", "/a/", "//", "/a//b", "/./a", "/a/..", "/\x01"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        ck_assert_int_eq(ask_get_code(peer, paths[i]), GRPC_INVALID_ARGUMENT);
    }
}
END_TEST

START_TEST(strings_that_are_no_text_are_refused_by_name)
{
    const struct {
        size_t size;
        const char *bytes;
    } paths[] = {
        {4, "/a\0b"},
        {2, "/\xff"},
        {3, "/\xc0\xaf"},
        {4, "/\xed\xa0\x80"},
        {5, "/\xf4\x90\x80\x80"},
        {2, "/\xc3"},
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        uint8_t frame[64] = {
            0, 0, 0, 0, (uint8_t)(2 + paths[i].size), 0x12, (uint8_t)paths[i].size};
        memcpy(frame + 7, paths[i].bytes, paths[i].size);
        struct peer_call *call = peer_call_open(peer, "/coord.v1.Tree/Get", NULL);
        peer_call_send_bytes(call, frame, 7 + paths[i].size);
        peer_call_end(call);
        peer_run(peer);
        ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(peer_call_text(call), "path"));
        peer_call_free(call);
    }
}
END_TEST

static const struct {
    enum status rc;
    int write_code;
    int read_code;
    bool at_submit;
} errors[] = {
    {RC_OVERLOADED, GRPC_RESOURCE_EXHAUSTED, GRPC_RESOURCE_EXHAUSTED, true},
    {RC_STOPPED, GRPC_UNAVAILABLE, GRPC_UNAVAILABLE, true},
    {RC_UNKNOWN, GRPC_UNKNOWN, GRPC_UNKNOWN, false},
    {RC_TIMEOUT, GRPC_DEADLINE_EXCEEDED, GRPC_DEADLINE_EXCEEDED, false},
    {RC_NO_LEADER, GRPC_UNAVAILABLE, GRPC_UNAVAILABLE, false},
    {RC_NO_SPACE, GRPC_RESOURCE_EXHAUSTED, GRPC_RESOURCE_EXHAUSTED, false},
    {RC_OVERLOADED, GRPC_RESOURCE_EXHAUSTED, GRPC_RESOURCE_EXHAUSTED, false},
    {RC_STOPPED, GRPC_UNAVAILABLE, GRPC_UNAVAILABLE, false},
    {RC_STALE, GRPC_FAILED_PRECONDITION, GRPC_FAILED_PRECONDITION, false},
};

START_TEST(errors_of_the_node_become_statuses)
{
    const int i = _i;
    Coord__V1__SetRequest set;
    coord__v1__set_request__init(&set);
    set.path = ask_text("/a");
    node->submit_rc = errors[i].at_submit ? errors[i].rc : RC_OK;
    node->finish_rc = errors[i].at_submit ? RC_OK : errors[i].rc;
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Set", &set.base);
    ck_assert_int_eq(peer_call_code(call), errors[i].write_code);
    if (errors[i].rc == RC_UNKNOWN) {
        ck_assert_ptr_nonnull(strstr(peer_call_text(call), "outcome unknown"));
    }
    if (errors[i].rc == RC_TIMEOUT) {
        ck_assert_ptr_nonnull(strstr(peer_call_text(call), "unknown"));
    }
    peer_call_free(call);
    ck_assert_int_eq(ask_get_code(peer, "/a"), errors[i].read_code);
}
END_TEST

START_TEST(every_outcome_has_a_status)
{
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        enum grpc_code code = grpc_code_of_outcome((enum outcome)i);
        ck_assert_int_ne(code, GRPC_UNKNOWN);
        ck_assert_int_eq(code == GRPC_OK, i == OUTCOME_OK);
    }
}
END_TEST

START_TEST(consistency_reaches_the_node)
{
    ask_create_node(peer, "/a", "");
    node->is_held = true;
    Coord__V1__RequestHeader header;
    Coord__V1__GetRequest request;
    coord__v1__request_header__init(&header);
    coord__v1__get_request__init(&request);
    request.path = ask_text("/a");
    request.header = &header;
    header.min_index = 4;
    header.bound_ms = 5;
    for (int i = 0; i < 4; i++) {
        header.consistency = (Coord__V1__Consistency)i;
        struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Get", &request.base);
        struct node_read *read = LIST_OF(node->reads.next, struct node_read, link);
        ck_assert_int_eq(read->consistency, i);
        ck_assert_uint_eq(read->min_index, i == READ_SESSION ? 4 : 0);
        ck_assert_uint_eq(read->bound_ms, i == READ_BOUNDED ? 5 : 0);
        peer_call_free(call);
    }
    header.consistency = (Coord__V1__Consistency)7;
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Get", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    peer_call_free(call);
}
END_TEST

/* ---- cluster ----------------------------------------------------------------------------- */

START_TEST(the_end_of_an_upgrade_keeps_to_the_limits_too)
{
    size_t calls_before = node->index;
    char *large = mem_zalloc(5001);
    memset(large, 'x', 5000);
    Coord__V1__RequestHeader header;
    Coord__V1__FinishUpgradeRequest request;
    coord__v1__request_header__init(&header);
    coord__v1__finish_upgrade_request__init(&request);
    header.note = large;
    request.header = &header;
    struct peer_call *call = peer_unary(peer, "/coord.v1.Cluster/FinishUpgrade", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "note"));
    ck_assert_uint_eq(node->index, calls_before);
    peer_call_free(call);
    mem_free(large);
}
END_TEST

START_TEST(status_answers_without_a_quorum)
{
    node->is_serving = false;
    node->is_held = true;
    Coord__V1__StatusRequest request;
    coord__v1__status_request__init(&request);
    struct peer_call *call = peer_unary(peer, "/coord.v1.Cluster/Status", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    Coord__V1__StatusReply *reply =
        peer_call_unpack(call, 0, &coord__v1__status_reply__descriptor);
    ck_assert_str_eq(reply->name, "n1");
    ck_assert_str_eq(reply->role, "candidate");
    ck_assert_str_eq(reply->reason, "no leader");
    ck_assert_str_eq(reply->leader, "");
    ck_assert(!reply->serving);
    ck_assert_uint_eq(reply->digest, store_digest(node->store));
    ck_assert_uint_eq(reply->n_members, 2);
    ck_assert_str_eq(reply->members[0]->role, "follower");
    ck_assert_str_eq(reply->members[1]->role, "down");
    coord__v1__status_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

START_TEST(members_are_read_behind_a_barrier)
{
    node->is_held = true;
    Coord__V1__MembersRequest request;
    coord__v1__members_request__init(&request);
    struct peer_call *call = peer_unary(peer, "/coord.v1.Cluster/Members", &request.base);
    ck_assert(!call->is_closed);
    struct node_read *read = LIST_OF(node->reads.next, struct node_read, link);
    ck_assert(read->is_barrier);
    ck_assert_int_eq(read->consistency, READ_LINEARIZABLE);
    node->is_held = false;
    peer_run(peer);
    Coord__V1__MembersReply *reply =
        peer_call_unpack(call, 0, &coord__v1__members_reply__descriptor);
    ck_assert_uint_eq(reply->n_members, 2);
    ck_assert_str_eq(reply->members[0]->role, "leader");
    ck_assert_str_eq(reply->members[1]->client_address, "127.0.0.1:7400");
    coord__v1__members_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

static struct peer_call *ask_removal(const char *name)
{
    Coord__V1__MemberRemoveRequest request;
    coord__v1__member_remove_request__init(&request);
    request.name = ask_text(name);
    return peer_unary(peer, "/coord.v1.Cluster/MemberRemove", &request.base);
}

static void complete_change(enum status rc, uint8_t verdict, const char *why)
{
    struct node_change *c = node->change;
    node->change = NULL;
    node->pending--;
    c->done(c, rc, verdict, verdict == MEMBER_DONE, why);
    peer_run(peer);
}

START_TEST(a_text_that_is_too_long_ends_with_a_whole_character)
{
    char why[NODE_TEXT_BYTES_MAX] = "";
    for (size_t at = 0; at + 2 < sizeof why; at += 2) {
        memcpy(why + at, "\xc3\xa9", 2);
    }
    for (size_t i = 0; i < 2; i++) { /* one of the two would be cut within a character */
        struct peer_call *call = ask_removal("n3");
        complete_change(RC_TIMEOUT, 0, why);
        const char *text = peer_call_text(call);
        ck_assert_uint_gt(strlen(text), NODE_TEXT_BYTES_MAX - 8);
        ck_assert(utf8_is_valid(slice_str(text)));
        peer_call_free(call);
        why[0] = 'e';
        memmove(why + 1, why + 2, sizeof why - 2);
    }
}
END_TEST

START_TEST(a_change_of_the_members_is_answered_by_its_verdict)
{
    static const struct {
        enum status rc;
        uint8_t verdict;
        enum grpc_code code;
        const char *text;
    } cases[] = {
        {RC_OK, MEMBER_DONE, GRPC_OK, ""},
        {RC_OK, MEMBER_REFUSED, GRPC_FAILED_PRECONDITION, "n2 is down"},
        {RC_OK, MEMBER_UNKNOWN, GRPC_NOT_FOUND, "no member is called n3"},
        {RC_TIMEOUT, 0, GRPC_DEADLINE_EXCEEDED, "not begun: it waits"},
        {RC_NO_LEADER, 0, GRPC_UNAVAILABLE, "not executed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer_call *call = ask_removal("n3");
        ck_assert(!call->is_closed);
        ck_assert_int_eq(node->change->kind, MEMBER_REMOVE);
        ck_assert_str_eq(node->change->name, "n3");
        complete_change(cases[i].rc, cases[i].verdict,
                        cases[i].rc == RC_TIMEOUT ? "it waits" : cases[i].text);
        ck_assert_int_eq(peer_call_code(call), cases[i].code);
        if (cases[i].code == GRPC_OK) {
            Coord__V1__MemberChangeReply *reply =
                peer_call_unpack(call, 0, &coord__v1__member_change_reply__descriptor);
            ck_assert(reply->already);
            coord__v1__member_change_reply__free_unpacked(reply, NULL);
        }
        peer_call_free(call);
    }
    ck_assert_uint_eq(node->pending, 0);
}
END_TEST

START_TEST(a_name_that_is_too_long_is_nobodys)
{
    char name[NODE_NAME_BYTES_MAX + 1];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    struct peer_call *call = ask_removal(name);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    ck_assert_ptr_null(node->change);
    peer_call_free(call);
}
END_TEST

/* ---- metrics ----------------------------------------------------------------------------- */

START_TEST(calls_are_counted_by_method_and_code)
{
    ask_create_node(peer, "/a", "");
    (void)ask_get_code(peer, "/a");
    (void)ask_get_code(peer, "/b");
    (void)ask_get_code(peer, "/b");
    struct buf out = {0};
    metrics_print(peer->metrics, &out);
    buf_append(&out, "", 1);
    const char *page = (const char *)out.data;
    ck_assert_ptr_nonnull(strstr(
        page, "coord_grpc_requests_total{method=\"coord.v1.Tree/Create\",code=\"OK\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(
        page, "coord_grpc_requests_total{method=\"coord.v1.Tree/Get\",code=\"OK\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(
        page,
        "coord_grpc_requests_total{method=\"coord.v1.Tree/Get\",code=\"NOT_FOUND\"} 2\n"));
    ck_assert_ptr_nonnull(
        strstr(page, "coord_grpc_request_seconds_count{method=\"coord.v1.Tree/Get\"} 3\n"));
    ck_assert_ptr_nonnull(strstr(page, "coord_grpc_connections 1\n"));
    ck_assert_ptr_nonnull(strstr(page, "coord_grpc_in_flight 0\n"));
    /* Of what nobody asked for there is no line. */
    ck_assert_ptr_null(strstr(page, "coord.v1.Tree/Delete"));
    ck_assert_ptr_null(strstr(page, "code=\"ABORTED\""));
    buf_close(&out);
}
END_TEST

static Suite *services_suite(void)
{
    Suite *suite = suite_create("grpc services");
    TCase *tcase = tcase_create("services");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, limits_are_refused_by_name_before_the_node_is_asked);
    tcase_add_test(tcase, a_bad_path_of_a_shard_map_is_refused_as_any_other);
    tcase_add_test(tcase, bad_paths_are_invalid_arguments);
    tcase_add_test(tcase, strings_that_are_no_text_are_refused_by_name);
    tcase_add_loop_test(tcase, errors_of_the_node_become_statuses, 0,
                        (int)(sizeof errors / sizeof errors[0]));
    tcase_add_test(tcase, every_outcome_has_a_status);
    tcase_add_test(tcase, consistency_reaches_the_node);
    tcase_add_test(tcase, the_end_of_an_upgrade_keeps_to_the_limits_too);
    tcase_add_test(tcase, status_answers_without_a_quorum);
    tcase_add_test(tcase, members_are_read_behind_a_barrier);
    tcase_add_test(tcase, a_change_of_the_members_is_answered_by_its_verdict);
    tcase_add_test(tcase, a_text_that_is_too_long_ends_with_a_whole_character);
    tcase_add_test(tcase, a_name_that_is_too_long_is_nobodys);
    tcase_add_test(tcase, calls_are_counted_by_method_and_code);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){services_suite, NULL});
}
