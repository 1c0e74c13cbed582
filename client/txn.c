/* Transactions: guards and operations into messages, their results into what the caller keeps. */
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/convert.h"

/* ---- guards ------------------------------------------------------------------------------ */

struct coord_guard coord_guard_exists(const char *path, bool exists)
{
    return (struct coord_guard){
        .path = path, .kind = COORD__V1__GUARD__TARGET_EXISTS, .number = exists};
}

struct coord_guard coord_guard_version(const char *path, enum coord_relation relation,
                                       uint32_t version)
{
    return (struct coord_guard){.path = path,
                                .kind = COORD__V1__GUARD__TARGET_VERSION,
                                .relation = (int)relation,
                                .number = version};
}

struct coord_guard coord_guard_revision(const char *path, enum coord_relation relation,
                                        uint64_t modify_revision)
{
    return (struct coord_guard){.path = path,
                                .kind = COORD__V1__GUARD__TARGET_MODIFY_REVISION,
                                .relation = (int)relation,
                                .number = modify_revision};
}

struct coord_guard coord_guard_value(const char *path, enum coord_relation relation,
                                     const void *data, size_t bytes)
{
    return (struct coord_guard){.path = path,
                                .kind = COORD__V1__GUARD__TARGET_VALUE,
                                .relation = (int)relation,
                                .data = data,
                                .bytes = bytes};
}

struct coord_guard coord_guard_held(const char *path, uint64_t revision)
{
    return (struct coord_guard){
        .path = path, .kind = COORD__V1__GUARD__TARGET_GRANT, .number = revision};
}

static void put_guard(const struct coord_guard *from, Coord__V1__Guard *to)
{
    coord__v1__guard__init(to);
    to->path = convert_text(from->path);
    to->relation = (Coord__V1__Guard__Relation)from->relation;
    to->target_case = (Coord__V1__Guard__TargetCase)from->kind;
    switch (from->kind) {
    case COORD__V1__GUARD__TARGET_EXISTS: to->exists = from->number != 0; break;
    case COORD__V1__GUARD__TARGET_VERSION: to->version = (uint32_t)from->number; break;
    case COORD__V1__GUARD__TARGET_MODIFY_REVISION: to->modify_revision = from->number; break;
    case COORD__V1__GUARD__TARGET_GRANT: to->grant = from->number; break;
    default: to->value = convert_bytes(from->data, from->bytes); break;
    }
}

/* ---- operations -------------------------------------------------------------------------- */

struct coord_op coord_op_create(const char *path, const void *data, size_t bytes,
                                const struct coord_create_options *options)
{
    struct coord_op op = {
        .path = path, .kind = COORD__V1__OPERATION__OP_CREATE, .data = data, .bytes = bytes};
    if (options != NULL) {
        op.create = *options;
    }
    return op;
}

struct coord_op coord_op_set(const char *path, const void *data, size_t bytes, int64_t version)
{
    return (struct coord_op){.path = path,
                             .kind = COORD__V1__OPERATION__OP_SET,
                             .data = data,
                             .bytes = bytes,
                             .version = version};
}

struct coord_op coord_op_delete(const char *path, int64_t version, bool recursive)
{
    return (struct coord_op){.path = path,
                             .kind = COORD__V1__OPERATION__OP_DELETE,
                             .version = version,
                             .recursive = recursive};
}

struct coord_op coord_op_check(const char *path, int64_t version)
{
    return (struct coord_op){
        .path = path, .kind = COORD__V1__OPERATION__OP_CHECK, .version = version};
}

struct coord_op coord_op_get(const char *path)
{
    return (struct coord_op){
        .path = path, .kind = COORD__V1__OPERATION__OP_GET, .version = COORD_ANY_VERSION};
}

struct coord_op coord_op_list(const char *path)
{
    return (struct coord_op){
        .path = path, .kind = COORD__V1__OPERATION__OP_LIST, .version = COORD_ANY_VERSION};
}

/* One operation, and all that its message points to. */
struct slot {
    Coord__V1__Operation operation;
    Coord__V1__Expect expect;
    union {
        Coord__V1__CreateOp create;
        Coord__V1__SetOp set;
        Coord__V1__DeleteOp del;
        Coord__V1__CheckOp check;
        Coord__V1__GetOp get;
        Coord__V1__ListOp list;
    } of;
};

static void put_create(const struct coord_op *from, Coord__V1__CreateOp *to)
{
    coord__v1__create_op__init(to);
    to->path = convert_text(from->path);
    to->data = convert_bytes(from->data, from->bytes);
    to->kind = (Coord__V1__Kind)from->create.kind;
    to->sequential = (from->create.flags & COORD_SEQUENTIAL) != 0;
    to->make_parents = (from->create.flags & COORD_MAKE_PARENTS) != 0;
    to->lease = from->create.lease;
    to->ttl_ms = from->create.ttl_ms;
}

static enum coord_code put_op(const struct coord_op *from, struct slot *to,
                              struct coord_error *error)
{
    Coord__V1__Expect *expect = NULL;
    enum coord_code code = COORD_OK;
    if (from->kind != COORD__V1__OPERATION__OP_CREATE) {
        code = convert_version(from->version, &to->expect, &expect, error);
    }
    coord__v1__operation__init(&to->operation);
    to->operation.op_case = (Coord__V1__Operation__OpCase)from->kind;
    to->operation.create = &to->of.create; /* whichever it is: the pointers are a union */
    switch (from->kind) {
    case COORD__V1__OPERATION__OP_CREATE: put_create(from, &to->of.create); break;
    case COORD__V1__OPERATION__OP_SET:
        coord__v1__set_op__init(&to->of.set);
        to->of.set.path = convert_text(from->path);
        to->of.set.data = convert_bytes(from->data, from->bytes);
        to->of.set.expect = expect;
        break;
    case COORD__V1__OPERATION__OP_DELETE:
        coord__v1__delete_op__init(&to->of.del);
        to->of.del.path = convert_text(from->path);
        to->of.del.expect = expect;
        to->of.del.recursive = from->recursive;
        break;
    case COORD__V1__OPERATION__OP_CHECK:
        coord__v1__check_op__init(&to->of.check);
        to->of.check.path = convert_text(from->path);
        to->of.check.expect = expect;
        break;
    case COORD__V1__OPERATION__OP_GET:
        coord__v1__get_op__init(&to->of.get);
        to->of.get.path = convert_text(from->path);
        break;
    default:
        coord__v1__list_op__init(&to->of.list);
        to->of.list.path = convert_text(from->path);
        break;
    }
    return code;
}

/* ---- results ----------------------------------------------------------------------------- */

static enum coord_code take_results(const Coord__V1__TxnReply *reply,
                                    struct coord_txn_result *out, struct coord_error *error)
{
    if (reply->outcome == COORD__V1__OUTCOME__GUARD_REFUSED) {
        return client_fail_outcome(error, (int)reply->outcome, "the guards do not hold");
    }
    if (reply->outcome == COORD__V1__OUTCOME__GUARD_STALE) {
        return client_fail_outcome(error, (int)reply->outcome,
                                   "a grant that guards it is not held any more");
    }
    if (reply->outcome != COORD__V1__OUTCOME__OK) {
        enum coord_code code = client_fail_outcome(error, (int)reply->outcome, "");
        char outcome[sizeof error->outcome];
        memcpy(outcome, error->outcome, sizeof outcome);
        (void)client_fail(error, code, "operation %lu of the %s branch: %s",
                          (unsigned long)reply->failed_op + 1,
                          reply->took_then ? "then" : "else", coord_code_text(code));
        memcpy(error->outcome, outcome, sizeof outcome);
        return code;
    }
    struct coord_op_result *results = calloc(reply->n_results + 1, sizeof *results);
    if (results == NULL) {
        return client_fail(error, COORD_NO_MEMORY,
                           "out of memory for the results; the transaction was executed");
    }
    for (size_t i = 0; i < reply->n_results; i++) {
        const Coord__V1__OperationResult *from = reply->results[i];
        results[i] = (struct coord_op_result){
            .path = from->path,
            .data = from->data.data,
            .bytes = from->data.len,
            .count = from->count,
            .children = (const char *const *)from->children,
            .child_count = from->n_children,
        };
        convert_stat(from->stat, &results[i].stat);
    }
    *out = (struct coord_txn_result){
        .took_then = reply->took_then, .results = results, .count = reply->n_results};
    return COORD_OK;
}

static void take_txn(struct async *a, ProtobufCMessage **m, struct coord_result *result)
{
    result->code = take_results((const Coord__V1__TxnReply *)*m, &a->txn, &a->error);
    if (result->code == COORD_OK) {
        a->txn.memory = *m;
        *m = NULL;
        result->txn = &a->txn;
    }
}

void coord_txn_clear(struct coord_txn_result *result)
{
    free((void *)(uintptr_t)result->results);
    client_reply_free(result->memory);
    *result = (struct coord_txn_result){.count = 0};
}

/* ---- calls ------------------------------------------------------------------------------- */

static enum coord_code put_ops(const struct coord_op *ops, size_t count, struct slot *slots,
                               Coord__V1__Operation **out, struct coord_error *error)
{
    enum coord_code code = COORD_OK;
    for (size_t i = 0; i < count && code == COORD_OK; i++) {
        code = put_op(&ops[i], &slots[i], error);
        out[i] = &slots[i].operation;
    }
    return code;
}

/* What a transaction's message points to, in one piece of memory. */
struct parts {
    struct slot *slots;
    Coord__V1__Operation **ops;
    Coord__V1__Guard *guards;
    Coord__V1__Guard **guard_places;
};

static bool parts_open(struct parts *p, const struct coord_transaction *txn)
{
    size_t ops = txn->then_count + txn->else_count;
    p->slots = calloc(ops + 1, sizeof *p->slots);
    p->ops = calloc(ops + 1, sizeof *p->ops);
    p->guards = calloc(txn->guard_count + 1, sizeof *p->guards);
    p->guard_places = calloc(txn->guard_count + 1, sizeof *p->guard_places);
    return p->slots != NULL && p->ops != NULL && p->guards != NULL && p->guard_places != NULL;
}

static void parts_close(struct parts *p)
{
    free(p->slots);
    free(p->ops);
    free(p->guards);
    free(p->guard_places);
}

enum coord_code coord_txn_async(struct coord_client *client,
                                const struct coord_transaction *txn, coord_done_fn done,
                                void *context, struct coord_call **call,
                                struct coord_error *error)
{
    Coord__V1__TxnRequest request = COORD__V1__TXN_REQUEST__INIT;
    struct parts p;
    enum coord_code code =
        parts_open(&p, txn)
            ? COORD_OK
            : client_fail(error, COORD_NO_MEMORY, "out of memory for the transaction");
    if (code == COORD_OK) {
        code = put_ops(txn->then_ops, txn->then_count, p.slots, p.ops, error);
    }
    if (code == COORD_OK) {
        code = put_ops(txn->else_ops, txn->else_count, p.slots + txn->then_count,
                       p.ops + txn->then_count, error);
    }
    if (code == COORD_OK) {
        for (size_t i = 0; i < txn->guard_count; i++) {
            put_guard(&txn->guards[i], &p.guards[i]);
            p.guard_places[i] = &p.guards[i];
        }
        request.n_guards = txn->guard_count;
        request.guards = p.guard_places;
        request.n_then_ops = txn->then_count;
        request.then_ops = p.ops;
        request.n_else_ops = txn->else_count;
        request.else_ops = p.ops + txn->then_count;
        const struct async_options options = {
            .method = CLIENT_TXN, .keep = take_txn, .done = done, .context = context};
        code = async_start(client, &options, &request.base, call, error);
    }
    parts_close(&p);
    return code;
}

struct waited {
    struct async_wait wait;
    struct coord_txn_result *result;
};

/* What the result points to moves to the caller. */
static void on_done(void *context, const struct coord_result *result)
{
    struct waited *w = context;
    async_waited(&w->wait, result);
    if (result->code == COORD_OK && w->result != NULL) {
        struct async *a = async_of(result);
        *w->result = a->txn;
        a->txn = (struct coord_txn_result){.count = 0};
    }
}

enum coord_code coord_txn(struct coord_client *client, const struct coord_transaction *txn,
                          struct coord_txn_result *result, struct coord_error *error)
{
    struct waited w = {.wait.error = error, .result = result};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_txn_async(client, txn, on_done, &w, NULL, error);
    }
    return code == COORD_OK ? async_wait(client, &w.wait) : code;
}
