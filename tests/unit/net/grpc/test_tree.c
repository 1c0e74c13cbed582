/* Single operations and lists of coord.v1.Tree, through the bytes of a real HTTP/2 client. */
#include "coord/v1/tree.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/support/grpc_ask.h"
#include "tests/support/grpc_kit.h"

/* ---- single operations ------------------------------------------------------------------- */

START_TEST(create_answers_the_path_and_stat_of_the_new_node)
{
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = ask_text("/a");
    request.data = ask_data("hello");
    node->cluster_ms = 55;
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    ck_assert_str_eq(peer_call_header(call, ":status"), "200");
    ck_assert_str_eq(peer_call_header(call, "content-type"), "application/grpc");
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    ck_assert_ptr_null(peer_call_header(call, "grpc-message"));
    ck_assert(call->has_ended);
    ck_assert(call->is_closed);
    ck_assert_uint_eq(call->error, HTTP2_NO_ERROR);

    Coord__V1__CreateReply *reply =
        peer_call_unpack(call, 0, &coord__v1__create_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    ck_assert_str_eq(reply->path, "/a");
    ck_assert_uint_eq(reply->stat->data_bytes, 5);
    ck_assert_uint_eq(reply->stat->create_revision, store_revision(node->store));
    ck_assert_uint_eq(reply->header->revision, store_revision(node->store));
    ck_assert_uint_eq(reply->header->applied_index, node->index);
    ck_assert_uint_eq(reply->header->cluster_id, 77);
    ck_assert_uint_eq(reply->header->node_id, 11);
    ck_assert_uint_eq(reply->header->term, 3);
    ck_assert_uint_eq(reply->header->cluster_ms, 55);
    ck_assert_str_eq(reply->header->node, "n1");
    ck_assert(!reply->header->repeated);
    coord__v1__create_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

START_TEST(create_sequential_with_parents_answers_the_numbered_path)
{
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = ask_text("/q/w/n-");
    request.sequential = true;
    request.make_parents = true;
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    Coord__V1__CreateReply *reply =
        peer_call_unpack(call, 0, &coord__v1__create_reply__descriptor);
    ck_assert_str_eq(reply->path, "/q/w/n-0000000000");
    coord__v1__create_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

static const struct {
    int kind;
    uint64_t ttl_ms;
    int code;
    const char *text;
} kinds[] = {
    {COORD__V1__KIND__PERSISTENT, 0, GRPC_OK, ""},
    {COORD__V1__KIND__CONTAINER, 0, GRPC_OK, ""},
    {COORD__V1__KIND__TTL, 7000, GRPC_OK, ""},
    {COORD__V1__KIND__TTL, 0, GRPC_OUT_OF_RANGE, "ttl_ms: 0"},
    {COORD__V1__KIND__CONTAINER, 7000, GRPC_INVALID_ARGUMENT, "ttl_ms"},
    {4, 0, GRPC_INVALID_ARGUMENT, "kind"},
    {-1, 0, GRPC_INVALID_ARGUMENT, "kind"},
};

START_TEST(nodes_are_of_the_kind_that_was_asked_for)
{
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = ask_text("/k");
    request.kind = (Coord__V1__Kind)kinds[_i].kind;
    request.ttl_ms = kinds[_i].ttl_ms;
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    ck_assert_int_eq(peer_call_code(call), kinds[_i].code);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), kinds[_i].text));
    if (kinds[_i].code == GRPC_OK) {
        Coord__V1__CreateReply *reply =
            peer_call_unpack(call, 0, &coord__v1__create_reply__descriptor);
        ck_assert_int_eq((int)reply->stat->kind, kinds[_i].kind);
        ck_assert_uint_eq(reply->stat->ttl_ms, kinds[_i].ttl_ms);
        coord__v1__create_reply__free_unpacked(reply, NULL);
    }
    peer_call_free(call);
}
END_TEST

START_TEST(a_repeated_request_id_is_executed_once)
{
    Coord__V1__RequestId id;
    Coord__V1__RequestHeader header;
    Coord__V1__CreateRequest request;
    coord__v1__request_id__init(&id);
    coord__v1__request_header__init(&header);
    coord__v1__create_request__init(&request);
    node->cluster_ms = 1000;
    id.issued_ms = 1000;
    id.high = 1;
    id.low = 2;
    header.request_id = &id;
    header.note = ask_text("why");
    request.header = &header;
    request.path = ask_text("/once");
    for (int i = 0; i < 2; i++) {
        struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
        ck_assert_int_eq(peer_call_code(call), GRPC_OK);
        Coord__V1__CreateReply *reply =
            peer_call_unpack(call, 0, &coord__v1__create_reply__descriptor);
        ck_assert_int_eq(reply->header->repeated, i == 1);
        ck_assert_str_eq(reply->path, "/once");
        coord__v1__create_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
    }
}
END_TEST

START_TEST(get_answers_the_bytes_and_the_stat)
{
    ask_create_node(peer, "/a", "hello");
    Coord__V1__GetRequest request;
    coord__v1__get_request__init(&request);
    request.path = ask_text("/a");
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Get", &request.base);
    Coord__V1__GetReply *reply = peer_call_unpack(call, 0, &coord__v1__get_reply__descriptor);
    ck_assert_uint_eq(reply->data.len, 5);
    ck_assert_mem_eq(reply->data.data, "hello", 5);
    ck_assert_uint_eq(reply->stat->data_bytes, 5);
    ck_assert_uint_eq(reply->header->revision, store_revision(node->store));
    coord__v1__get_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

START_TEST(a_refusal_names_path_and_outcome)
{
    Coord__V1__GetRequest request;
    coord__v1__get_request__init(&request);
    request.path = ask_text("/a/b");
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Get", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_NOT_FOUND);
    ck_assert_str_eq(peer_call_text(call), "/a/b: node does not exist");
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "NO_NODE");
    ck_assert_str_eq(peer_call_header(call, "coord-node"), "n1");
    ck_assert_str_eq(peer_call_header(call, "coord-term"), "3");
    ck_assert_uint_eq(strtoul(peer_call_header(call, "coord-revision"), NULL, 10),
                      store_revision(node->store));
    ck_assert_str_eq(peer_call_header(call, "content-type"), "application/grpc");
    ck_assert_uint_eq(call->data.size, 0);
    peer_call_free(call);
}
END_TEST

START_TEST(a_refusal_cuts_a_long_path_between_characters)
{
    char path[2049] = "/";
    for (size_t i = 1; i + 2 < sizeof path; i += 2) {
        path[i] = (char)0xc3;
        path[i + 1] = (char)0xa4;
        path[i + 2] = '\0';
    }
    Coord__V1__GetRequest request;
    coord__v1__get_request__init(&request);
    request.path = path;
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Get", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_NOT_FOUND);
    const char *shown = peer_call_text(call);
    const char *dots = strstr(shown, "...: node does not exist");
    ck_assert_ptr_nonnull(dots);
    ck_assert_int_eq((dots - shown) % 2, 1);
    peer_call_free(call);
}
END_TEST

START_TEST(exists_of_a_missing_node_is_ok_and_false)
{
    ask_create_node(peer, "/a", "");
    const char *paths[] = {"/a", "/b"};
    for (int i = 0; i < 2; i++) {
        Coord__V1__ExistsRequest request;
        coord__v1__exists_request__init(&request);
        request.path = ask_text(paths[i]);
        struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Exists", &request.base);
        ck_assert_int_eq(peer_call_code(call), GRPC_OK);
        Coord__V1__ExistsReply *reply =
            peer_call_unpack(call, 0, &coord__v1__exists_reply__descriptor);
        ck_assert_int_eq(reply->exists, i == 0);
        ck_assert_int_eq(reply->stat != NULL, i == 0);
        coord__v1__exists_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
    }
}
END_TEST

START_TEST(set_checks_the_expected_version)
{
    ask_create_node(peer, "/a", "0");
    Coord__V1__Expect expect;
    Coord__V1__SetRequest request;
    coord__v1__expect__init(&expect);
    coord__v1__set_request__init(&request);
    request.path = ask_text("/a");
    request.data = ask_data("1");
    request.expect = &expect; /* version 0, which is an empty message on the wire */
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Set", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    Coord__V1__SetReply *reply = peer_call_unpack(call, 0, &coord__v1__set_reply__descriptor);
    ck_assert_uint_eq(reply->stat->version, 1);
    coord__v1__set_reply__free_unpacked(reply, NULL);
    peer_call_free(call);

    call = peer_unary(peer, "/coord.v1.Tree/Set", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_ABORTED);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "BAD_VERSION");
    ck_assert_str_eq(peer_call_text(call),
                     "/a: version does not match: it is 1, 0 was expected");
    peer_call_free(call);

    expect.version = UINT32_MAX; /* must not mean "any" */
    call = peer_unary(peer, "/coord.v1.Tree/Set", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    peer_call_free(call);

    request.expect = NULL;
    call = peer_unary(peer, "/coord.v1.Tree/Set", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
}
END_TEST

START_TEST(delete_counts_and_takes_descendants_if_asked)
{
    ask_create_node(peer, "/a", "");
    ask_create_node(peer, "/a/b", "");
    Coord__V1__DeleteRequest request;
    coord__v1__delete_request__init(&request);
    request.path = ask_text("/a");
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Delete", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_FAILED_PRECONDITION);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "NOT_EMPTY");
    peer_call_free(call);

    request.recursive = true;
    for (int dry = 1; dry >= 0; dry--) {
        request.dry_run = dry;
        call = peer_unary(peer, "/coord.v1.Tree/Delete", &request.base);
        ck_assert_int_eq(peer_call_code(call), GRPC_OK);
        Coord__V1__DeleteReply *reply =
            peer_call_unpack(call, 0, &coord__v1__delete_reply__descriptor);
        ck_assert_uint_eq(reply->count, 2);
        coord__v1__delete_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
        ck_assert_int_eq(ask_get_code(peer, "/a"), dry ? GRPC_OK : GRPC_NOT_FOUND);
    }
}
END_TEST

/* ---- lists ------------------------------------------------------------------------------- */

static Coord__V1__ListReply *list(Coord__V1__ListRequest *request)
{
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/List", &request->base);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    struct slice message;
    ck_assert(peer_call_message(call, 0, &message));
    ck_assert_uint_le(message.size, ((size_t)2 << 20) + ((size_t)8 << 10));
    Coord__V1__ListReply *reply = peer_call_unpack(call, 0, &coord__v1__list_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    peer_call_free(call);
    return reply;
}

START_TEST(list_pages_in_order_with_what_was_asked_for)
{
    char path[32];
    ask_create_node(peer, "/l", "");
    for (int i = 0; i < 25; i++) {
        (void)snprintf(path, sizeof path, "/l/%02d", i);
        ask_create_node(peer, path, "value");
    }
    Coord__V1__ListRequest request;
    coord__v1__list_request__init(&request);
    request.path = ask_text("/l");
    request.limit = 10;
    request.with_data = true;
    char after[32] = "";
    int seen = 0;
    do {
        request.after = after;
        Coord__V1__ListReply *reply = list(&request);
        ck_assert_uint_eq(reply->stat->child_count, 25);
        for (size_t i = 0; i < reply->n_entries; i++) {
            (void)snprintf(path, sizeof path, "/l/%02d", seen++);
            ck_assert_str_eq(reply->entries[i]->path, path);
            ck_assert_uint_eq(reply->entries[i]->data.len, 5);
            ck_assert_ptr_null(reply->entries[i]->stat);
        }
        (void)snprintf(after, sizeof after, "%s", reply->next);
        coord__v1__list_reply__free_unpacked(reply, NULL);
    } while (after[0] != '\0');
    ck_assert_int_eq(seen, 25);
}
END_TEST

START_TEST(list_pages_stay_below_two_mebibytes)
{
    char path[32];
    char *value = mem_zalloc(700001);
    memset(value, 'v', 700000);
    ask_create_node(peer, "/l", "");
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof path, "/l/%02d", i);
        ask_create_node(peer, path, value);
    }
    mem_free(value);
    Coord__V1__ListRequest request;
    coord__v1__list_request__init(&request);
    request.path = ask_text("/l");
    request.with_data = true;
    request.with_stat = true;
    char after[32] = "";
    int seen = 0;
    int pages = 0;
    do {
        request.after = after;
        Coord__V1__ListReply *reply = list(&request);
        seen += (int)reply->n_entries;
        pages++;
        ck_assert_uint_gt(reply->n_entries, 0);
        (void)snprintf(after, sizeof after, "%s", reply->next);
        coord__v1__list_reply__free_unpacked(reply, NULL);
    } while (after[0] != '\0');
    ck_assert_int_eq(seen, 5);
    ck_assert_int_ge(pages, 2);
}
END_TEST

START_TEST(list_refuses_a_cursor_that_is_no_path)
{
    Coord__V1__ListRequest request;
    coord__v1__list_request__init(&request);
    request.path = ask_text("/");
    request.after = ask_text("nonsense");
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/List", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "BAD_CURSOR");
    peer_call_free(call);
}
END_TEST

START_TEST(sync_answers_the_revision_and_index_of_now)
{
    ask_create_node(peer, "/a", "");
    Coord__V1__SyncRequest request;
    coord__v1__sync_request__init(&request);
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Sync", &request.base);
    Coord__V1__SyncReply *reply = peer_call_unpack(call, 0, &coord__v1__sync_reply__descriptor);
    ck_assert_uint_eq(reply->header->revision, store_revision(node->store));
    ck_assert_uint_eq(reply->header->applied_index, node->index);
    coord__v1__sync_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

static Suite *tree_suite(void)
{
    Suite *suite = suite_create("grpc tree");
    TCase *tcase = tcase_create("tree");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, create_answers_the_path_and_stat_of_the_new_node);
    tcase_add_test(tcase, create_sequential_with_parents_answers_the_numbered_path);
    tcase_add_loop_test(tcase, nodes_are_of_the_kind_that_was_asked_for, 0,
                        (int)(sizeof kinds / sizeof kinds[0]));
    tcase_add_test(tcase, a_repeated_request_id_is_executed_once);
    tcase_add_test(tcase, get_answers_the_bytes_and_the_stat);
    tcase_add_test(tcase, a_refusal_names_path_and_outcome);
    tcase_add_test(tcase, a_refusal_cuts_a_long_path_between_characters);
    tcase_add_test(tcase, exists_of_a_missing_node_is_ok_and_false);
    tcase_add_test(tcase, set_checks_the_expected_version);
    tcase_add_test(tcase, delete_counts_and_takes_descendants_if_asked);
    tcase_add_test(tcase, list_pages_in_order_with_what_was_asked_for);
    tcase_add_test(tcase, list_pages_stay_below_two_mebibytes);
    tcase_add_test(tcase, list_refuses_a_cursor_that_is_no_path);
    tcase_add_test(tcase, sync_answers_the_revision_and_index_of_now);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){tree_suite, NULL});
}
