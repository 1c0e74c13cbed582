/* coord.v1.Quota, and how other calls tell of quotas, through the bytes of a real HTTP/2 client. */
#include "coord/v1/quota.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "tests/support/watch_client.h"

#define UNARY(path, request) peer_unary(peer, "/coord.v1." path, &(request).base)

static struct peer_call *set_bounds(const char *path, uint64_t bytes, uint64_t nodes,
                                    uint32_t soft_percent)
{
    Coord__V1__QuotaSetRequest request;
    Coord__V1__QuotaBounds bounds;
    coord__v1__quota_set_request__init(&request);
    coord__v1__quota_bounds__init(&bounds);
    bounds.path = text(path);
    bounds.bytes = bytes;
    bounds.nodes = nodes;
    bounds.soft_percent = soft_percent;
    request.bounds = &bounds;
    return UNARY("Quota/Set", request);
}

static void done(struct peer_call *call)
{
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    peer_call_free(call);
}

static void refused(struct peer_call *call, enum grpc_code code, const char *outcome,
                    const char *what)
{
    ck_assert_int_eq(peer_call_code(call), code);
    if (outcome != NULL) {
        ck_assert_str_eq(peer_call_header(call, "coord-outcome"), outcome);
    }
    ck_assert_str_eq(peer_call_text(call), what);
    peer_call_free(call);
}

static Coord__V1__QuotaListReply *list_of(const char *after, uint32_t limit)
{
    Coord__V1__QuotaListRequest request;
    coord__v1__quota_list_request__init(&request);
    request.after = text(after);
    request.limit = limit;
    struct peer_call *call = UNARY("Quota/List", request);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    Coord__V1__QuotaListReply *reply =
        peer_call_unpack(call, 0, &coord__v1__quota_list_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    peer_call_free(call);
    return reply;
}

static Coord__V1__QuotaListReply *list(void)
{
    return list_of("", 0);
}

static struct peer_call *get(const char *path)
{
    Coord__V1__QuotaGetRequest request;
    coord__v1__quota_get_request__init(&request);
    request.path = text(path);
    return UNARY("Quota/Get", request);
}

static struct peer_call *take_away(const char *path)
{
    Coord__V1__QuotaRemoveRequest request;
    coord__v1__quota_remove_request__init(&request);
    request.path = text(path);
    return UNARY("Quota/Remove", request);
}

static struct peer_call *make(const char *path)
{
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = text(path);
    return UNARY("Tree/Create", request);
}

START_TEST(a_quota_is_set_shown_and_removed)
{
    create("/a", "12");
    done(set_bounds("/b", 0, 7, 0));
    done(set_bounds("/a", 1000, 1, 50));
    Coord__V1__QuotaListReply *all = list();
    ck_assert_uint_eq(all->n_quotas, 2);
    ck_assert_str_eq(all->quotas[1]->bounds->path, "/b");
    coord__v1__quota_list_reply__free_unpacked(all, NULL);
    struct peer_call *call = get("/a");
    Coord__V1__QuotaGetReply *one =
        peer_call_unpack(call, 0, &coord__v1__quota_get_reply__descriptor);
    ck_assert_ptr_nonnull(one);
    ck_assert_uint_eq(one->quota->bounds->bytes, 1000);
    ck_assert_uint_eq(one->quota->bounds->nodes, 1);
    ck_assert_uint_eq(one->quota->bounds->soft_percent, 50);
    ck_assert_uint_eq(one->quota->used_bytes, 4);
    ck_assert_uint_eq(one->quota->used_nodes, 1);
    ck_assert_int_eq(one->quota->state, COORD__V1__QUOTA_STATE__QUOTA_FULL);
    coord__v1__quota_get_reply__free_unpacked(one, NULL);
    peer_call_free(call);
    done(take_away("/b"));
    refused(take_away("/b"), GRPC_NOT_FOUND, "NO_QUOTA", "/b: there is no quota at this path");
    refused(get("/b"), GRPC_NOT_FOUND, "NO_QUOTA", "/b: there is no quota at this path");
}
END_TEST

static void expect_page(const char *after, const char *path, const char *next)
{
    Coord__V1__QuotaListReply *page = list_of(after, 1);
    ck_assert_uint_eq(page->n_quotas, path != NULL);
    ck_assert(path == NULL || strcmp(page->quotas[0]->bounds->path, path) == 0);
    ck_assert_str_eq(page->next, next);
    coord__v1__quota_list_reply__free_unpacked(page, NULL);
}

START_TEST(quotas_are_listed_page_by_page)
{
    done(set_bounds("/a/b", 0, 2, 0));
    done(set_bounds("/a-b", 0, 2, 0));
    done(set_bounds("/a", 0, 2, 0));
    expect_page("", "/a", "/a");
    expect_page("/a", "/a-b", "/a-b");
    expect_page("/a-b", "/a/b", "");
    expect_page("/a/b", NULL, "");
    Coord__V1__QuotaListReply *all = list();
    ck_assert_uint_eq(all->n_quotas, 3);
    ck_assert_str_eq(all->next, "");
    coord__v1__quota_list_reply__free_unpacked(all, NULL);
}
END_TEST

START_TEST(a_write_that_a_quota_refuses_is_told_which_one_and_why)
{
    done(set_bounds("/a", 0, 2, 0));
    create("/a", "");
    done(make("/a/b"));
    refused(make("/a/c"), GRPC_RESOURCE_EXHAUSTED, "QUOTA",
            "/a/c: the quota of /a leaves no room: 2 of 2 nodes are used, 1 more is wanted");
}
END_TEST

START_TEST(a_transaction_tells_which_operation_and_which_quota)
{
    Coord__V1__TxnRequest request;
    Coord__V1__Operation ops[2];
    Coord__V1__Operation *pointers[] = {&ops[0], &ops[1]};
    Coord__V1__CreateOp creates[2];
    coord__v1__txn_request__init(&request);
    for (size_t i = 0; i < 2; i++) {
        coord__v1__operation__init(&ops[i]);
        coord__v1__create_op__init(&creates[i]);
        creates[i].path = text(i == 0 ? "/a" : "/a/b");
        ops[i].op_case = COORD__V1__OPERATION__OP_CREATE;
        ops[i].create = &creates[i];
    }
    request.then_ops = pointers;
    request.n_then_ops = 2;
    done(set_bounds("/a", 5, 0, 0));
    struct peer_call *call = UNARY("Tree/Txn", request);
    Coord__V1__TxnReply *reply = peer_call_unpack(call, 0, &coord__v1__txn_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->outcome, COORD__V1__OUTCOME__QUOTA);
    ck_assert_uint_eq(reply->failed_op, 1);
    ck_assert_str_eq(reply->detail, "the quota of /a leaves no room: 2 of 5 bytes are used, 4 "
                                    "more are wanted");
    coord__v1__txn_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

START_TEST(what_is_no_quota_is_refused_before_it_is_proposed)
{
    refused(set_bounds("/a", 0, 0, 0), GRPC_INVALID_ARGUMENT, NULL,
            "bounds: a quota bounds bytes, nodes or both");
    refused(set_bounds("/a", 1, 0, 101), GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS",
            "soft_percent: 101, from 1 to 100 is possible, or 0 for no warning");
    struct peer_call *call = set_bounds("a", 1, 0, 0);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "BAD_PATH");
    peer_call_free(call);
    call = get("a");
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "BAD_PATH");
    peer_call_free(call);
    ck_assert_uint_eq(store_revision(node->store), 1);
}
END_TEST

static Suite *quota_suite(void)
{
    Suite *suite = suite_create("grpc_quota");
    TCase *tcase = tcase_create("grpc_quota");
    tcase_add_checked_fixture(tcase, world_open, world_close);
    tcase_add_test(tcase, a_quota_is_set_shown_and_removed);
    tcase_add_test(tcase, quotas_are_listed_page_by_page);
    tcase_add_test(tcase, a_write_that_a_quota_refuses_is_told_which_one_and_why);
    tcase_add_test(tcase, a_transaction_tells_which_operation_and_which_quota);
    tcase_add_test(tcase, what_is_no_quota_is_refused_before_it_is_proposed);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){quota_suite, NULL});
}
