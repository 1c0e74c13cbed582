/* Every RPC and every mapping of an outcome or an error to a status, through the bytes of a
 * real HTTP/2 client. */
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "net/grpc/call.h"
#include "raft/message.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_node.h"
#include "tests/support/grpc_peer.h"

static struct node *node;
static struct peer *peer;

static void setup(void)
{
    node = fake_node_new();
    peer = peer_new(node);
    node->now_ms = peer->env.now_ms;
    peer_run(peer);
}

static void teardown(void)
{
    peer_free(peer);
    fake_node_free(node);
}

static char *text(const char *borrowed)
{
    union {
        const char *from;
        char *to;
    } cast = {.from = borrowed};
    return cast.to;
}

static ProtobufCBinaryData data(const char *bytes)
{
    return (ProtobufCBinaryData){.len = strlen(bytes), .data = (uint8_t *)text(bytes)};
}

static void create(const char *path, const char *value)
{
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = text(path);
    request.data = data(value);
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
}

/* The code with which a Get of `path` ends. */
static int get_code(const char *path)
{
    Coord__V1__GetRequest request;
    coord__v1__get_request__init(&request);
    request.path = text(path);
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Get", &request.base);
    int code = peer_call_code(call);
    peer_call_free(call);
    return code;
}

/* ---- single operations ------------------------------------------------------------------- */

START_TEST(create_answers_the_path_and_stat_of_the_new_node)
{
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = text("/a");
    request.data = data("hello");
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
    request.path = text("/q/w/n-");
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
    request.path = text("/k");
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
    header.note = text("why");
    request.header = &header;
    request.path = text("/once");
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
    create("/a", "hello");
    Coord__V1__GetRequest request;
    coord__v1__get_request__init(&request);
    request.path = text("/a");
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
    request.path = text("/a/b");
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
    create("/a", "");
    const char *paths[] = {"/a", "/b"};
    for (int i = 0; i < 2; i++) {
        Coord__V1__ExistsRequest request;
        coord__v1__exists_request__init(&request);
        request.path = text(paths[i]);
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
    create("/a", "0");
    Coord__V1__Expect expect;
    Coord__V1__SetRequest request;
    coord__v1__expect__init(&expect);
    coord__v1__set_request__init(&request);
    request.path = text("/a");
    request.data = data("1");
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
    create("/a", "");
    create("/a/b", "");
    Coord__V1__DeleteRequest request;
    coord__v1__delete_request__init(&request);
    request.path = text("/a");
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
        ck_assert_int_eq(get_code("/a"), dry ? GRPC_OK : GRPC_NOT_FOUND);
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
    Coord__V1__ListReply *reply =
        peer_call_unpack(call, 0, &coord__v1__list_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    peer_call_free(call);
    return reply;
}

START_TEST(list_pages_in_order_with_what_was_asked_for)
{
    char path[32];
    create("/l", "");
    for (int i = 0; i < 25; i++) {
        (void)snprintf(path, sizeof path, "/l/%02d", i);
        create(path, "value");
    }
    Coord__V1__ListRequest request;
    coord__v1__list_request__init(&request);
    request.path = text("/l");
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
    create("/l", "");
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof path, "/l/%02d", i);
        create(path, value);
    }
    mem_free(value);
    Coord__V1__ListRequest request;
    coord__v1__list_request__init(&request);
    request.path = text("/l");
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
    request.path = text("/");
    request.after = text("nonsense");
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/List", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "BAD_CURSOR");
    peer_call_free(call);
}
END_TEST

START_TEST(sync_answers_the_revision_and_index_of_now)
{
    create("/a", "");
    Coord__V1__SyncRequest request;
    coord__v1__sync_request__init(&request);
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Sync", &request.base);
    Coord__V1__SyncReply *reply =
        peer_call_unpack(call, 0, &coord__v1__sync_reply__descriptor);
    ck_assert_uint_eq(reply->header->revision, store_revision(node->store));
    ck_assert_uint_eq(reply->header->applied_index, node->index);
    coord__v1__sync_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

/* ---- transactions ------------------------------------------------------------------------ */

struct txn_parts {
    Coord__V1__TxnRequest request;
    Coord__V1__Guard guard;
    Coord__V1__Guard *guards[1];
    Coord__V1__Operation ops[4];
    Coord__V1__Operation *then_ops[4];
    Coord__V1__CreateOp create;
    Coord__V1__GetOp get;
    Coord__V1__ListOp list;
    Coord__V1__SetOp set;
    Coord__V1__Operation els;
    Coord__V1__Operation *else_ops[1];
    Coord__V1__GetOp else_get;
};

/* If /t does not exist: create /t/c, get /, list /, set /t/c; else get /t. */
static void txn_fill(struct txn_parts *t)
{
    coord__v1__txn_request__init(&t->request);
    coord__v1__guard__init(&t->guard);
    t->guard.path = text("/t");
    t->guard.target_case = COORD__V1__GUARD__TARGET_EXISTS;
    t->guard.exists = false;
    t->guards[0] = &t->guard;
    t->request.guards = t->guards;
    t->request.n_guards = 1;
    for (int i = 0; i < 4; i++) {
        coord__v1__operation__init(&t->ops[i]);
        t->then_ops[i] = &t->ops[i];
    }
    coord__v1__create_op__init(&t->create);
    t->create.path = text("/t/c");
    t->create.data = data("x");
    t->create.make_parents = true;
    t->ops[0].op_case = COORD__V1__OPERATION__OP_CREATE;
    t->ops[0].create = &t->create;
    coord__v1__get_op__init(&t->get);
    t->get.path = text("/t/c");
    t->ops[1].op_case = COORD__V1__OPERATION__OP_GET;
    t->ops[1].get = &t->get;
    coord__v1__list_op__init(&t->list);
    t->list.path = text("/t");
    t->ops[2].op_case = COORD__V1__OPERATION__OP_LIST;
    t->ops[2].list = &t->list;
    coord__v1__set_op__init(&t->set);
    t->set.path = text("/t/c");
    t->set.data = data("y");
    t->ops[3].op_case = COORD__V1__OPERATION__OP_SET;
    t->ops[3].set = &t->set;
    t->request.then_ops = t->then_ops;
    t->request.n_then_ops = 4;
    coord__v1__operation__init(&t->els);
    coord__v1__get_op__init(&t->else_get);
    t->else_get.path = text("/t");
    t->els.op_case = COORD__V1__OPERATION__OP_GET;
    t->els.get = &t->else_get;
    t->else_ops[0] = &t->els;
    t->request.else_ops = t->else_ops;
    t->request.n_else_ops = 1;
}

static Coord__V1__TxnReply *txn(struct txn_parts *t)
{
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Txn", &t->request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    Coord__V1__TxnReply *reply = peer_call_unpack(call, 0, &coord__v1__txn_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    peer_call_free(call);
    return reply;
}

START_TEST(txn_runs_the_branch_its_guards_choose)
{
    struct txn_parts t;
    txn_fill(&t);
    Coord__V1__TxnReply *reply = txn(&t);
    ck_assert(reply->took_then);
    ck_assert_int_eq(reply->outcome, COORD__V1__OUTCOME__OK);
    ck_assert_uint_eq(reply->n_results, 4);
    ck_assert_str_eq(reply->results[0]->path, "/t/c");
    ck_assert_uint_eq(reply->results[1]->data.len, 1);
    ck_assert_uint_eq(reply->results[2]->n_children, 1);
    ck_assert_str_eq(reply->results[2]->children[0], "c");
    ck_assert_uint_eq(reply->results[3]->stat->version, 1);
    coord__v1__txn_reply__free_unpacked(reply, NULL);

    reply = txn(&t);
    ck_assert(!reply->took_then);
    ck_assert_uint_eq(reply->n_results, 1);
    ck_assert_ptr_nonnull(reply->results[0]->stat);
    coord__v1__txn_reply__free_unpacked(reply, NULL);
}
END_TEST

START_TEST(a_txn_that_was_decided_but_failed_is_a_reply)
{
    struct txn_parts t;
    txn_fill(&t);
    t.set.path = text("/missing");
    Coord__V1__TxnReply *reply = txn(&t);
    ck_assert_int_eq(reply->outcome, COORD__V1__OUTCOME__NO_NODE);
    ck_assert_uint_eq(reply->failed_op, 3);
    ck_assert_uint_eq(reply->n_results, 4);
    ck_assert_int_eq(reply->results[0]->outcome, COORD__V1__OUTCOME__ROLLED_BACK);
    coord__v1__txn_reply__free_unpacked(reply, NULL);
    ck_assert_int_eq(get_code("/t/c"), GRPC_NOT_FOUND);
}
END_TEST

static void txn_refused(struct txn_parts *t, const char *what)
{
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Txn", &t->request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    ck_assert_msg(strstr(peer_call_text(call), what) != NULL, "%s", peer_call_text(call));
    peer_call_free(call);
}

START_TEST(guards_that_do_not_hold_are_a_reply_where_there_is_no_else)
{
    create("/t", "");
    struct txn_parts t;
    txn_fill(&t);
    t.request.n_else_ops = 0;
    Coord__V1__TxnReply *reply = txn(&t);
    ck_assert(!reply->took_then);
    ck_assert_int_eq(reply->outcome, COORD__V1__OUTCOME__GUARD_REFUSED);
    ck_assert_uint_eq(reply->n_results, 0);
    coord__v1__txn_reply__free_unpacked(reply, NULL);
}
END_TEST

START_TEST(txn_refuses_what_is_no_guard_and_no_operation)
{
    struct txn_parts t;
    txn_fill(&t);
    t.guard.target_case = COORD__V1__GUARD__TARGET__NOT_SET;
    txn_refused(&t, "guards[0]");
    txn_fill(&t);
    t.guard.relation = (Coord__V1__Guard__Relation)9;
    txn_refused(&t, "guards[0]");
    txn_fill(&t);
    t.ops[2].op_case = COORD__V1__OPERATION__OP__NOT_SET;
    txn_refused(&t, "then_ops[2]");
    txn_fill(&t);
    t.els.op_case = COORD__V1__OPERATION__OP__NOT_SET;
    txn_refused(&t, "else_ops[0]");
    txn_fill(&t);
    t.create.kind = (Coord__V1__Kind)256; /* cut to a byte it would be persistent */
    txn_refused(&t, "kind");
}
END_TEST

START_TEST(every_guard_target_arrives)
{
    create("/t", "v");
    struct txn_parts t;
    txn_fill(&t);
    t.request.n_then_ops = 0;
    t.guard.target_case = COORD__V1__GUARD__TARGET_VALUE;
    t.guard.value = data("v");
    Coord__V1__TxnReply *reply = txn(&t);
    ck_assert(reply->took_then);
    coord__v1__txn_reply__free_unpacked(reply, NULL);

    t.guard.target_case = COORD__V1__GUARD__TARGET_CREATE_REVISION;
    t.guard.create_revision = store_revision(node->store) + 1;
    t.guard.relation = COORD__V1__GUARD__RELATION__LESS;
    reply = txn(&t);
    ck_assert(reply->took_then);
    coord__v1__txn_reply__free_unpacked(reply, NULL);

    t.guard.target_case = COORD__V1__GUARD__TARGET_MODIFY_REVISION;
    t.guard.modify_revision = 0;
    t.guard.relation = COORD__V1__GUARD__RELATION__GREATER;
    reply = txn(&t);
    ck_assert(reply->took_then);
    coord__v1__txn_reply__free_unpacked(reply, NULL);

    t.guard.target_case = COORD__V1__GUARD__TARGET_VERSION;
    t.guard.version = 0;
    t.guard.relation = COORD__V1__GUARD__RELATION__NOT_EQUAL;
    reply = txn(&t);
    ck_assert(!reply->took_then);
    coord__v1__txn_reply__free_unpacked(reply, NULL);

    t.guard.target_case = COORD__V1__GUARD__TARGET_CHILDREN_VERSION;
    t.guard.children_version = 0;
    t.guard.relation = COORD__V1__GUARD__RELATION__EQUAL;
    reply = txn(&t);
    ck_assert(reply->took_then);
    coord__v1__txn_reply__free_unpacked(reply, NULL);

    /* A grant is held as long as the node with that epoch is there; the relation is ignored. */
    t.guard.target_case = COORD__V1__GUARD__TARGET_GRANT;
    t.guard.relation = COORD__V1__GUARD__RELATION__LESS;
    for (uint64_t later = 0; later <= 1; later++) {
        t.guard.grant = store_revision(node->store) + later;
        reply = txn(&t);
        ck_assert_int_eq(reply->took_then, later == 0);
        coord__v1__txn_reply__free_unpacked(reply, NULL);
    }
}
END_TEST

/* ---- limits and statuses ----------------------------------------------------------------- */

START_TEST(limits_are_refused_by_name_before_the_node_is_asked)
{
    size_t calls_before = node->index;
    char *large = mem_zalloc(((size_t)1 << 20) + 2);
    memset(large, 'x', ((size_t)1 << 20) + 1);
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = text("/a");
    request.data = data(large);
    struct peer_call *call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "1048576"));
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "TOO_LARGE");
    peer_call_free(call);

    large[0] = '/';
    large[5000] = '\0';
    request.path = large;
    request.data = data("");
    call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "4096"));
    peer_call_free(call);

    Coord__V1__RequestHeader header;
    coord__v1__request_header__init(&header);
    header.note = large;
    request.header = &header;
    request.path = text("/a");
    call = peer_unary(peer, "/coord.v1.Tree/Create", &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "note"));
    peer_call_free(call);
    mem_free(large);
    ck_assert_uint_eq(node->index, calls_before);
}
END_TEST

START_TEST(bad_paths_are_invalid_arguments)
{
    const char *paths[] = {"", "a", "/a/", "//", "/a//b", "/./a", "/a/..", "/\x01"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        ck_assert_int_eq(get_code(paths[i]), GRPC_INVALID_ARGUMENT);
    }
}
END_TEST

START_TEST(strings_that_are_no_text_are_refused_by_name)
{
    const struct {
        size_t size;
        const char *bytes;
    } paths[] = {
        {4, "/a\0b"},         {2, "/\xff"},         {3, "/\xc0\xaf"},
        {4, "/\xed\xa0\x80"}, {5, "/\xf4\x90\x80\x80"}, {2, "/\xc3"},
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        uint8_t frame[64] = {0, 0, 0, 0, (uint8_t)(2 + paths[i].size), 0x12,
                             (uint8_t)paths[i].size};
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
    set.path = text("/a");
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
    ck_assert_int_eq(get_code("/a"), errors[i].read_code);
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
    create("/a", "");
    node->is_held = true;
    Coord__V1__RequestHeader header;
    Coord__V1__GetRequest request;
    coord__v1__request_header__init(&header);
    coord__v1__get_request__init(&request);
    request.path = text("/a");
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
    request.name = text(name);
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

/* ---- health ------------------------------------------------------------------------------ */

static int health_check(const char *service, int *status)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    request.service = text(service);
    struct peer_call *call = peer_unary(peer, "/grpc.health.v1.Health/Check", &request.base);
    int code = peer_call_code(call);
    if (code == GRPC_OK) {
        Grpc__Health__V1__HealthCheckResponse *reply =
            peer_call_unpack(call, 0, &grpc__health__v1__health_check_response__descriptor);
        *status = (int)reply->status;
        grpc__health__v1__health_check_response__free_unpacked(reply, NULL);
    }
    peer_call_free(call);
    return code;
}

START_TEST(health_follows_the_node)
{
    int status;
    ck_assert_int_eq(health_check("", &status), GRPC_OK);
    ck_assert_int_eq(status, 1);
    for (size_t i = 0; grpc_services[i] != NULL; i++) {
        ck_assert_int_eq(health_check(grpc_services[i]->name, &status), GRPC_OK);
        ck_assert_int_eq(status, 1);
    }
    node->is_serving = false;
    ck_assert_int_eq(health_check("coord.v1.Tree", &status), GRPC_OK);
    ck_assert_int_eq(status, 2);
    ck_assert_int_eq(health_check("no.such.Service", &status), GRPC_NOT_FOUND);
}
END_TEST

static int watched_status(const struct peer_call *call, size_t index)
{
    Grpc__Health__V1__HealthCheckResponse *reply =
        peer_call_unpack(call, index, &grpc__health__v1__health_check_response__descriptor);
    if (reply == NULL) {
        return -1;
    }
    int status = (int)reply->status;
    grpc__health__v1__health_check_response__free_unpacked(reply, NULL);
    return status;
}

START_TEST(health_watch_pushes_changes)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    struct peer_call *call = peer_unary(peer, "/grpc.health.v1.Health/Watch", &request.base);
    ck_assert_int_eq(watched_status(call, 0), 1);
    ck_assert(!call->is_closed);
    peer_advance(peer, 200);
    ck_assert_int_eq(watched_status(call, 1), -1);
    node->is_serving = false;
    peer_advance(peer, 200);
    ck_assert_int_eq(watched_status(call, 1), 2);
    node->is_serving = true;
    peer_advance(peer, 200);
    ck_assert_int_eq(watched_status(call, 2), 1);
    ck_assert(!call->is_closed);
    peer_call_free(call);
}
END_TEST

START_TEST(health_watch_of_an_unknown_service_stays_open)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    request.service = text("no.such.Service");
    struct peer_call *call = peer_unary(peer, "/grpc.health.v1.Health/Watch", &request.base);
    ck_assert_int_eq(watched_status(call, 0), 3);
    peer_advance(peer, 3600 * 1000);
    ck_assert(!call->is_closed);
    ck_assert_int_eq(watched_status(call, 1), -1);
    peer_call_free(call);
}
END_TEST

/* ---- reflection -------------------------------------------------------------------------- */

#define REQUEST(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE(name) \
    GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

static const char *const reflections[] = {
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
};

static Grpc__Reflection__V1__ServerReflectionResponse *reflect(
    struct peer_call *call, size_t index,
    Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    peer_call_send(call, &request->base);
    peer_run(peer);
    Grpc__Reflection__V1__ServerReflectionResponse *reply = peer_call_unpack(
        call, index, &grpc__reflection__v1__server_reflection_response__descriptor);
    ck_assert_ptr_nonnull(reply);
    return reply;
}

START_TEST(reflection_lists_services_and_serves_files_on_one_stream)
{
    struct peer_call *call = peer_call_open(peer, reflections[_i], NULL);
    Grpc__Reflection__V1__ServerReflectionRequest request;
    grpc__reflection__v1__server_reflection_request__init(&request);
    request.message_request_case = REQUEST(LIST_SERVICES);
    request.list_services = text("");
    Grpc__Reflection__V1__ServerReflectionResponse *reply = reflect(call, 0, &request);
    size_t count = 0;
    while (grpc_services[count] != NULL) {
        count++;
    }
    ck_assert_uint_eq(reply->list_services_response->n_service, count);
    ck_assert_str_eq(reply->list_services_response->service[0]->name, "coord.v1.Tree");
    ck_assert_ptr_nonnull(reply->original_request);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.message_request_case = REQUEST(FILE_BY_FILENAME);
    request.file_by_filename = text("coord/v1/tree.proto");
    reply = reflect(call, 1, &request);
    ck_assert_uint_eq(reply->file_descriptor_response->n_file_descriptor_proto, 2);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.file_by_filename = text("coord/v1/none.proto");
    reply = reflect(call, 2, &request);
    ck_assert_int_eq(reply->error_response->error_code, GRPC_NOT_FOUND);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    peer_call_end(call);
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    ck_assert(call->is_closed);
    peer_call_free(call);
}
END_TEST

static const struct {
    const char *symbol;
    bool is_found;
} symbols[] = {
    {"coord.v1.Tree", true},
    {"coord.v1.Tree.Create", true},
    {"coord.v1.GetRequest", true},
    {"coord.v1.GetRequest.path", true},
    {"coord.v1.Guard.Relation", true},
    {"coord.v1.Guard.target", true},
    {"coord.v1.Kind", true},
    {"grpc.health.v1.Health", true},
    {"grpc.health.v1.HealthCheckResponse.ServingStatus", true},
    {"grpc.reflection.v1alpha.ServerReflection", true},
    {"coord.v1.Nothing", false},
    {"coord.v1.Tree.Nothing", false},
    {"coord.v1.Tre", false},
    {"coord.v1", false},
    {"coord.v1.", false},
    {"", false},
};

START_TEST(reflection_finds_symbols)
{
    struct peer_call *call = peer_call_open(peer, reflections[0], NULL);
    Grpc__Reflection__V1__ServerReflectionRequest request;
    grpc__reflection__v1__server_reflection_request__init(&request);
    request.message_request_case = REQUEST(FILE_CONTAINING_SYMBOL);
    request.file_containing_symbol = text(symbols[_i].symbol);
    Grpc__Reflection__V1__ServerReflectionResponse *reply = reflect(call, 0, &request);
    bool is_found =
        reply->message_response_case == RESPONSE(FILE_DESCRIPTOR_RESPONSE);
    ck_assert_msg(is_found == symbols[_i].is_found, "%s", symbols[_i].symbol);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

START_TEST(reflection_answers_extension_questions)
{
    struct peer_call *call = peer_call_open(peer, reflections[0], NULL);
    Grpc__Reflection__V1__ServerReflectionRequest request;
    Grpc__Reflection__V1__ExtensionRequest extension;
    grpc__reflection__v1__server_reflection_request__init(&request);
    grpc__reflection__v1__extension_request__init(&extension);
    request.message_request_case = REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE);
    request.all_extension_numbers_of_type = text("coord.v1.GetRequest");
    Grpc__Reflection__V1__ServerReflectionResponse *reply = reflect(call, 0, &request);
    ck_assert_str_eq(reply->all_extension_numbers_response->base_type_name,
                     "coord.v1.GetRequest");
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.all_extension_numbers_of_type = text("coord.v1.Tree");
    reply = reflect(call, 1, &request);
    ck_assert_int_eq(reply->error_response->error_code, GRPC_NOT_FOUND);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.message_request_case = REQUEST(FILE_CONTAINING_EXTENSION);
    request.file_containing_extension = &extension;
    reply = reflect(call, 2, &request);
    ck_assert_int_eq(reply->error_response->error_code, GRPC_NOT_FOUND);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.message_request_case = REQUEST(_NOT_SET);
    reply = reflect(call, 3, &request);
    ck_assert_int_eq(reply->error_response->error_code, GRPC_INVALID_ARGUMENT);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

/* ---- metrics ----------------------------------------------------------------------------- */

START_TEST(calls_are_counted_by_method_and_code)
{
    create("/a", "");
    (void)get_code("/a");
    (void)get_code("/b");
    (void)get_code("/b");
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
    tcase_add_test(tcase, txn_runs_the_branch_its_guards_choose);
    tcase_add_test(tcase, a_txn_that_was_decided_but_failed_is_a_reply);
    tcase_add_test(tcase, guards_that_do_not_hold_are_a_reply_where_there_is_no_else);
    tcase_add_test(tcase, txn_refuses_what_is_no_guard_and_no_operation);
    tcase_add_test(tcase, every_guard_target_arrives);
    tcase_add_test(tcase, limits_are_refused_by_name_before_the_node_is_asked);
    tcase_add_test(tcase, bad_paths_are_invalid_arguments);
    tcase_add_test(tcase, strings_that_are_no_text_are_refused_by_name);
    tcase_add_loop_test(tcase, errors_of_the_node_become_statuses, 0,
                        (int)(sizeof errors / sizeof errors[0]));
    tcase_add_test(tcase, every_outcome_has_a_status);
    tcase_add_test(tcase, consistency_reaches_the_node);
    tcase_add_test(tcase, status_answers_without_a_quorum);
    tcase_add_test(tcase, members_are_read_behind_a_barrier);
    tcase_add_test(tcase, a_change_of_the_members_is_answered_by_its_verdict);
    tcase_add_test(tcase, a_name_that_is_too_long_is_nobodys);
    tcase_add_test(tcase, health_follows_the_node);
    tcase_add_test(tcase, health_watch_pushes_changes);
    tcase_add_test(tcase, health_watch_of_an_unknown_service_stays_open);
    tcase_add_loop_test(tcase, reflection_lists_services_and_serves_files_on_one_stream, 0, 2);
    tcase_add_loop_test(tcase, reflection_finds_symbols, 0,
                        (int)(sizeof symbols / sizeof symbols[0]));
    tcase_add_test(tcase, reflection_answers_extension_questions);
    tcase_add_test(tcase, calls_are_counted_by_method_and_code);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){services_suite, NULL});
}
