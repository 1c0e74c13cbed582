/* coord.v1.Tree.Txn: guards and operations to and from the store's terms. */
#include "net/grpc/answer.h"
#include "net/grpc/tree.h"
#include "net/grpc/wire.h"

/* ---- request ----------------------------------------------------------------------------- */

static bool guard_fill(const Coord__V1__Guard *from, struct guard *to)
{
    *to = (struct guard){.space = SPACE_NODES, .path = slice_str(from->path)};
    switch ((int)from->relation) {
    case COORD__V1__GUARD__RELATION__EQUAL: to->relation = GUARD_EQUAL; break;
    case COORD__V1__GUARD__RELATION__NOT_EQUAL: to->relation = GUARD_NOT_EQUAL; break;
    case COORD__V1__GUARD__RELATION__LESS: to->relation = GUARD_LESS; break;
    case COORD__V1__GUARD__RELATION__GREATER: to->relation = GUARD_GREATER; break;
    default: return false;
    }
    switch (from->target_case) {
    case COORD__V1__GUARD__TARGET_EXISTS:
        to->target = GUARD_EXISTS;
        to->relation = GUARD_EQUAL;
        to->number = from->exists ? 1 : 0;
        return true;
    case COORD__V1__GUARD__TARGET_VERSION:
        to->target = GUARD_VERSION;
        to->number = from->version;
        return true;
    case COORD__V1__GUARD__TARGET_CHILDREN_VERSION:
        to->target = GUARD_CHILDREN_VERSION;
        to->number = from->children_version;
        return true;
    case COORD__V1__GUARD__TARGET_CREATE_REVISION:
        to->target = GUARD_CREATE_REVISION;
        to->number = from->create_revision;
        return true;
    case COORD__V1__GUARD__TARGET_MODIFY_REVISION:
        to->target = GUARD_MODIFY_REVISION;
        to->number = from->modify_revision;
        return true;
    case COORD__V1__GUARD__TARGET_VALUE:
        to->target = GUARD_VALUE;
        to->value = tree_bytes(from->value);
        return true;
    case COORD__V1__GUARD__TARGET_GRANT:
        to->target = GUARD_GRANT;
        to->relation = GUARD_EQUAL;
        to->number = from->grant;
        return true;
    default: return false;
    }
}

static void create_fill(struct grpc_call *call, const Coord__V1__CreateOp *from,
                        struct op *to)
{
    int flags = (from->sequential ? OP_SEQUENTIAL : 0) |
                (from->make_parents ? OP_MAKE_PARENTS : 0);
    to->type = OP_CREATE;
    to->flags = (uint8_t)flags;
    to->kind = tree_kind(from->kind);
    to->path = slice_str(from->path);
    to->data = tree_bytes(from->data);
    to->lease = from->lease;
    to->ttl_ms = from->ttl_ms;
    if (from->n_acl > 0) {
        to->acl = tree_acl(call, from->acl, from->n_acl);
    }
}

static const char *expect_fill(const Coord__V1__Expect *expect, struct op *to)
{
    return tree_expect(expect, &to->version) ? NULL : "expect.version is no node's version";
}

/* Returns what is wrong with it, or NULL. */
static const char *op_fill(struct grpc_call *call, const Coord__V1__Operation *from,
                           struct op *to)
{
    *to = (struct op){.space = SPACE_NODES, .version = VERSION_ANY};
    switch (from->op_case) {
    case COORD__V1__OPERATION__OP_CREATE:
        create_fill(call, from->create, to);
        return tree_own(call, to);
    case COORD__V1__OPERATION__OP_SET:
        to->type = OP_SET;
        to->path = slice_str(from->set->path);
        to->data = tree_bytes(from->set->data);
        return expect_fill(from->set->expect, to);
    case COORD__V1__OPERATION__OP_DELETE:
        to->type = OP_DELETE;
        to->flags = from->delete_->recursive ? OP_RECURSIVE : 0;
        to->path = slice_str(from->delete_->path);
        to->limit = from->delete_->limit;
        return expect_fill(from->delete_->expect, to);
    case COORD__V1__OPERATION__OP_CHECK:
        to->type = OP_CHECK;
        to->path = slice_str(from->check->path);
        return expect_fill(from->check->expect, to);
    case COORD__V1__OPERATION__OP_GET:
        to->type = OP_GET;
        to->path = slice_str(from->get->path);
        return NULL;
    case COORD__V1__OPERATION__OP_LIST:
        to->type = OP_LIST;
        to->path = slice_str(from->list->path);
        return NULL;
    case COORD__V1__OPERATION__OP_SET_ACL:
        to->type = OP_SET_ACL;
        to->path = slice_str(from->set_acl->path);
        to->acl = tree_acl(call, from->set_acl->acl, from->set_acl->n_acl);
        return expect_fill(from->set_acl->expect, to);
    default: return "no operation";
    }
}

static bool guards_fill(struct grpc_call *call, const Coord__V1__TxnRequest *request,
                        struct txn *txn)
{
    struct guard *guards = grpc_call_scratch(call, request->n_guards * sizeof *guards);
    for (size_t i = 0; i < request->n_guards; i++) {
        if (!guard_fill(request->guards[i], &guards[i])) {
            grpc_call_fail(call, GRPC_INVALID_ARGUMENT,
                           "guards[%zu]: no target, or an unknown relation", i);
            return false;
        }
    }
    txn->guards = guards;
    txn->guard_count = (uint32_t)request->n_guards;
    return true;
}

/* NULL, and the call is refused, if one of them is no operation. */
static const struct op *branch_fill(struct grpc_call *call, const char *name,
                                    Coord__V1__Operation *const *from, size_t count)
{
    struct op *ops = grpc_call_scratch(call, count * sizeof *ops);
    for (size_t i = 0; i < count; i++) {
        const char *problem = op_fill(call, from[i], &ops[i]);
        if (problem != NULL) {
            grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "%s[%zu]: %s", name, i, problem);
            return NULL;
        }
    }
    return ops;
}

/* ---- reply ------------------------------------------------------------------------------- */

/* Field number of TxnReply, which is written piece by piece: it may be large. */
enum { TXN_REPLY_RESULTS = 5 };

static void children_fill(struct grpc_call *call, const struct op_result *result,
                          Coord__V1__OperationResult *message)
{
    char **names = grpc_call_scratch(call, result->entry_count * sizeof *names);
    for (uint32_t i = 0; i < result->entry_count; i++) {
        names[i] = answer_copy(call, result->entries[i].name);
    }
    message->children = names;
    message->n_children = result->entry_count;
}

static void result_append(struct grpc_call *call, struct buf *out,
                          const struct op_result *result, enum outcome outcome)
{
    Coord__V1__Stat stat = answer_stat(&result->stat);
    Coord__V1__OperationResult message;
    coord__v1__operation_result__init(&message);
    message.outcome = (Coord__V1__Outcome)outcome;
    message.path = answer_copy(call, result->path);
    message.data = answer_bytes(result->data);
    message.count = result->count;
    bool has_stat = result->type == OP_CREATE || result->type == OP_SET ||
                    result->type == OP_SET_ACL || result->type == OP_GET;
    if (has_stat && outcome == OUTCOME_OK) {
        message.stat = &stat;
    }
    if (result->type == OP_LIST) {
        children_fill(call, result, &message);
    }
    wire_append_message(out, TXN_REPLY_RESULTS, &message.base);
}

/* What stopped the command before any operation of it was looked at, so that nothing was
 * decided. Guards that do not hold, where there is nothing else to do, are a decision. */
static bool is_undecided(const struct reply *reply)
{
    return reply->outcome != OUTCOME_OK && reply->outcome != OUTCOME_GUARD_REFUSED &&
           reply->outcome != OUTCOME_GUARD_STALE && reply->result_count == 0;
}

static void txn_written(struct grpc_call *call, const struct reply *reply)
{
    if (is_undecided(reply)) {
        answer_refuse(call, slice_str("transaction"), reply->outcome, reply->revision);
        return;
    }
    if (!answer_fits(call, reply, !reply->has_lease)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__TxnReply message;
    coord__v1__txn_reply__init(&message);
    message.header = &header;
    message.took_then = reply->took_then;
    message.outcome = (Coord__V1__Outcome)reply->outcome;
    message.failed_op = reply->outcome == OUTCOME_OK ? 0 : reply->failed_op;
    char why[REFUSAL_TEXT_BYTES_MAX];
    if (reply->refusal.bound != BOUND_NONE) {
        refusal_text(&reply->refusal, why);
        message.detail = why;
    }

    size_t begin;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    for (uint32_t i = 0; i < reply->result_count; i++) {
        /* The store says OK for what ran before the operation that failed, as ZooKeeper
         * does. */
        bool was_undone = reply->outcome != OUTCOME_OK && i < reply->failed_op;
        result_append(call, out, &reply->results[i],
                      was_undone ? OUTCOME_ROLLED_BACK : reply->results[i].outcome);
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

void tree_txn_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__TxnRequest *request = (const Coord__V1__TxnRequest *)message;
    struct command c = {.type = COMMAND_TXN};
    if (!answer_write_prepare(call, request->header, &c)) {
        return;
    }
    if (!guards_fill(call, request, &c.txn)) {
        return;
    }
    c.txn.then_count = (uint32_t)request->n_then_ops;
    c.txn.else_count = (uint32_t)request->n_else_ops;
    c.txn.then_ops = branch_fill(call, "then_ops", request->then_ops, request->n_then_ops);
    if (c.txn.then_ops == NULL) {
        return;
    }
    c.txn.else_ops = branch_fill(call, "else_ops", request->else_ops, request->n_else_ops);
    if (c.txn.else_ops == NULL) {
        return;
    }
    answer_propose(call, &c, txn_written);
}
