/* Transactions of coord.v1.Tree: guards, branches, replies. */
#include "coord/v1/tree.pb-c.h"
#include "net/grpc/call.h"
#include "tests/support/check_main.h"
#include "tests/support/grpc_ask.h"
#include "tests/support/grpc_kit.h"

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
    t->guard.path = ask_text("/t");
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
    t->create.path = ask_text("/t/c");
    t->create.data = ask_data("x");
    t->create.make_parents = true;
    t->ops[0].op_case = COORD__V1__OPERATION__OP_CREATE;
    t->ops[0].create = &t->create;
    coord__v1__get_op__init(&t->get);
    t->get.path = ask_text("/t/c");
    t->ops[1].op_case = COORD__V1__OPERATION__OP_GET;
    t->ops[1].get = &t->get;
    coord__v1__list_op__init(&t->list);
    t->list.path = ask_text("/t");
    t->ops[2].op_case = COORD__V1__OPERATION__OP_LIST;
    t->ops[2].list = &t->list;
    coord__v1__set_op__init(&t->set);
    t->set.path = ask_text("/t/c");
    t->set.data = ask_data("y");
    t->ops[3].op_case = COORD__V1__OPERATION__OP_SET;
    t->ops[3].set = &t->set;
    t->request.then_ops = t->then_ops;
    t->request.n_then_ops = 4;
    coord__v1__operation__init(&t->els);
    coord__v1__get_op__init(&t->else_get);
    t->else_get.path = ask_text("/t");
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
    t.set.path = ask_text("/missing");
    Coord__V1__TxnReply *reply = txn(&t);
    ck_assert_int_eq(reply->outcome, COORD__V1__OUTCOME__NO_NODE);
    ck_assert_uint_eq(reply->failed_op, 3);
    ck_assert_uint_eq(reply->n_results, 4);
    ck_assert_int_eq(reply->results[0]->outcome, COORD__V1__OUTCOME__ROLLED_BACK);
    coord__v1__txn_reply__free_unpacked(reply, NULL);
    ck_assert_int_eq(ask_get_code(peer, "/t/c"), GRPC_NOT_FOUND);
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
    ask_create_node(peer, "/t", "");
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
    ask_create_node(peer, "/t", "v");
    struct txn_parts t;
    txn_fill(&t);
    t.request.n_then_ops = 0;
    t.guard.target_case = COORD__V1__GUARD__TARGET_VALUE;
    t.guard.value = ask_data("v");
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

static Suite *txn_suite(void)
{
    Suite *suite = suite_create("grpc txn");
    TCase *tcase = tcase_create("txn");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, txn_runs_the_branch_its_guards_choose);
    tcase_add_test(tcase, a_txn_that_was_decided_but_failed_is_a_reply);
    tcase_add_test(tcase, guards_that_do_not_hold_are_a_reply_where_there_is_no_else);
    tcase_add_test(tcase, txn_refuses_what_is_no_guard_and_no_operation);
    tcase_add_test(tcase, every_guard_target_arrives);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){txn_suite, NULL});
}
