/* coord.v1.Tree: single operations and reads. Transactions are in net/grpc/txn.c.
 *
 * A write becomes a transaction of one operation, so that there is one way through the state
 * machine. Every handler is the same three steps: fill, check, ask the node; its completion
 * encodes the reply or refuses with the outcome. */
#include "net/grpc/tree.h"

#include "base/assert.h"
#include "coord/v1/tree.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/wire.h"
#include "net/identity.h"

/* ---- writes ------------------------------------------------------------------------------ */

uint8_t tree_kind(Coord__V1__Kind kind)
{
    /* Enums of proto3 are open: what we do not know must not turn into something we do. */
    int number = (int)kind;
    return number >= NODE_PERSISTENT && number <= NODE_TTL ? (uint8_t)number : UINT8_MAX;
}

bool tree_expect(const Coord__V1__Expect *expect, uint32_t *version)
{
    *version = expect == NULL ? VERSION_ANY : expect->version;
    return expect == NULL || expect->version != VERSION_ANY;
}

struct slice tree_bytes(ProtobufCBinaryData bytes)
{
    return slice_make(bytes.data, bytes.len);
}

struct slice tree_acl(struct grpc_call *call, Coord__V1__Acl *const *acl, size_t count)
{
    struct acl_entry entries[ACL_ENTRIES_MAX];
    for (size_t i = 0; i < count && count <= ACL_ENTRIES_MAX; i++) {
        entries[i] = (struct acl_entry){
            .permissions = acl[i]->permissions,
            .scheme = slice_str(acl[i]->scheme),
            .id = slice_str(acl[i]->id),
        };
    }
    struct buf encoded = {0};
    identity_acl_encode(&encoded, entries, count, grpc_call_identities(call));
    uint8_t *copy = grpc_call_scratch(call, encoded.size);
    memcpy(copy, encoded.data, encoded.size);
    size_t bytes = encoded.size;
    buf_close(&encoded);
    return slice_make(copy, bytes);
}

const char *tree_own(const struct grpc_call *call, struct op *create)
{
    if (create->kind == NODE_EPHEMERAL && create->lease == 0) {
        create->lease = call->session;
        return call->session != 0 ? NULL
                                  : "an EPHEMERAL node needs a lease, or a session in the header";
    }
    return NULL;
}

/* Proposes one operation; its path, and its lease in call->word, are kept for the error text. */
static void op_propose(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                       struct op *op, Coord__V1__LockGrant *const *guards, size_t guard_count,
                       void (*written)(struct grpc_call *call, const struct reply *reply))
{
    struct errmsg err;
    struct command c = {
        .type = COMMAND_TXN,
        .txn = {.guards = answer_guards(call, guards, guard_count),
                .guard_count = (uint32_t)guard_count,
                .then_ops = op,
                .then_count = 1},
    };
    if (!answer_write_prepare(call, header, &c)) {
        return;
    }
    const char *problem = op->type == OP_CREATE ? tree_own(call, op) : NULL;
    if (problem != NULL) {
        (void)errmsg_set(&err, RC_INVALID, "lease: %s", problem);
        answer_refuse_early(call, OUTCOME_BAD_ARGUMENTS, &err);
        return;
    }
    buf_clear(&call->path);
    buf_append_slice(&call->path, op->path);
    call->word = op->lease;
    answer_propose(call, &c, written);
}

static void version_refuse(struct grpc_call *call)
{
    grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "expect.version: %u is no node's version",
                   VERSION_ANY);
}

/* The result of the one operation, or NULL: it was refused, and the call is. */
static const struct op_result *op_result_of(struct grpc_call *call, const struct reply *reply,
                                            enum op_type type)
{
    if (reply->outcome == OUTCOME_NO_LEASE) {
        answer_refuse_lease(call, LEASE_PLAIN, call->word, OUTCOME_NO_LEASE, reply->revision);
        return NULL;
    }
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_reply(call, buf_slice(&call->path), reply);
        return NULL;
    }
    bool fits = reply->result_count == 1 && reply->results[0].type == type;
    return answer_fits(call, reply, fits) ? &reply->results[0] : NULL;
}

static void create_written(struct grpc_call *call, const struct reply *reply)
{
    const struct op_result *result = op_result_of(call, reply, OP_CREATE);
    if (result == NULL) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__Stat stat = answer_stat(&result->stat);
    Coord__V1__CreateReply message;
    coord__v1__create_reply__init(&message);
    message.header = &header;
    message.path = answer_copy(call, result->path);
    message.stat = &stat;
    grpc_call_reply(call, &message.base);
}

static void create_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__CreateRequest *request = (const Coord__V1__CreateRequest *)message;
    int flags = (request->sequential ? OP_SEQUENTIAL : 0) |
                (request->make_parents ? OP_MAKE_PARENTS : 0);
    struct op op = {
        .type = OP_CREATE,
        .flags = (uint8_t)flags,
        .space = SPACE_NODES,
        .kind = tree_kind(request->kind),
        .path = slice_str(request->path),
        .data = tree_bytes(request->data),
        .version = VERSION_ANY,
        .lease = request->lease,
        .ttl_ms = request->ttl_ms,
    };
    if (request->n_acl > 0) {
        op.acl = tree_acl(call, request->acl, request->n_acl);
    }
    op_propose(call, request->header, &op, request->guards, request->n_guards,
               create_written);
}

static void set_written(struct grpc_call *call, const struct reply *reply)
{
    const struct op_result *result = op_result_of(call, reply, OP_SET);
    if (result == NULL) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__Stat stat = answer_stat(&result->stat);
    Coord__V1__SetReply message;
    coord__v1__set_reply__init(&message);
    message.header = &header;
    message.stat = &stat;
    grpc_call_reply(call, &message.base);
}

static void set_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SetRequest *request = (const Coord__V1__SetRequest *)message;
    struct op op = {
        .type = OP_SET,
        .space = SPACE_NODES,
        .path = slice_str(request->path),
        .data = tree_bytes(request->data),
    };
    if (!tree_expect(request->expect, &op.version)) {
        version_refuse(call);
        return;
    }
    op_propose(call, request->header, &op, request->guards, request->n_guards,
               set_written);
}

static void set_acl_written(struct grpc_call *call, const struct reply *reply)
{
    const struct op_result *result = op_result_of(call, reply, OP_SET_ACL);
    if (result == NULL) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__Stat stat = answer_stat(&result->stat);
    Coord__V1__SetAclReply message;
    coord__v1__set_acl_reply__init(&message);
    message.header = &header;
    message.stat = &stat;
    grpc_call_reply(call, &message.base);
}

static void set_acl_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SetAclRequest *request = (const Coord__V1__SetAclRequest *)message;
    struct op op = {
        .type = OP_SET_ACL,
        .space = SPACE_NODES,
        .path = slice_str(request->path),
        .acl = tree_acl(call, request->acl, request->n_acl),
    };
    if (!tree_expect(request->expect, &op.version)) {
        version_refuse(call);
        return;
    }
    op_propose(call, request->header, &op, request->guards, request->n_guards,
               set_acl_written);
}

static void delete_written(struct grpc_call *call, const struct reply *reply)
{
    const struct op_result *result = op_result_of(call, reply, OP_DELETE);
    if (result == NULL) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__DeleteReply message;
    coord__v1__delete_reply__init(&message);
    message.header = &header;
    message.count = result->count;
    grpc_call_reply(call, &message.base);
}

static void delete_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__DeleteRequest *request = (const Coord__V1__DeleteRequest *)message;
    int flags = (request->recursive ? OP_RECURSIVE : 0) | (request->dry_run ? OP_DRY_RUN : 0);
    struct op op = {
        .type = OP_DELETE,
        .flags = (uint8_t)flags,
        .space = SPACE_NODES,
        .path = slice_str(request->path),
        .limit = request->limit,
    };
    if (!tree_expect(request->expect, &op.version)) {
        version_refuse(call);
        return;
    }
    op_propose(call, request->header, &op, request->guards, request->n_guards,
               delete_written);
}

/* ---- reads ------------------------------------------------------------------------------- */

static bool query_has_node(struct grpc_call *call, const struct query_result *result)
{
    if (result->outcome != OUTCOME_OK) {
        answer_refuse_revision(call, call->read.query.path, call->read.query.revision, result);
        return false;
    }
    return true;
}

static void get_got(struct grpc_call *call, const struct query_result *result)
{
    if (!query_has_node(call, result)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__Stat stat = answer_stat(&result->stat);
    Coord__V1__GetReply message;
    coord__v1__get_reply__init(&message);
    message.header = &header;
    message.data = answer_bytes(result->data);
    message.stat = &stat;
    grpc_call_reply(call, &message.base);
}

static void get_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__GetRequest *request = (const Coord__V1__GetRequest *)message;
    struct query query = {
        .type = QUERY_GET,
        .path = slice_str(request->path),
        .revision = request->revision,
    };
    (void)answer_ask(call, request->header, &query, get_got);
}

static void exists_got(struct grpc_call *call, const struct query_result *result)
{
    bool exists = result->outcome == OUTCOME_OK;
    if (!exists && result->outcome != OUTCOME_NO_NODE) {
        (void)query_has_node(call, result);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__Stat stat = answer_stat(&result->stat);
    Coord__V1__ExistsReply message;
    coord__v1__exists_reply__init(&message);
    message.header = &header;
    message.exists = exists;
    message.stat = exists ? &stat : NULL;
    grpc_call_reply(call, &message.base);
}

static void exists_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ExistsRequest *request = (const Coord__V1__ExistsRequest *)message;
    struct query query = {.type = QUERY_EXISTS, .path = slice_str(request->path)};
    (void)answer_ask(call, request->header, &query, exists_got);
}

static void get_acl_got(struct grpc_call *call, const struct query_result *result)
{
    if (!query_has_node(call, result)) {
        return;
    }
    struct arena *scratch = &call->connection->shared->scratch;
    struct acl_entry *entries;
    size_t count;
    enum status rc = acl_decode(result->acl, &entries, &count, scratch);
    PRE(rc == RC_OK); /* the store has no other */
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__Stat stat = answer_stat(&result->stat);
    Coord__V1__Acl *acl = grpc_call_scratch(call, count * sizeof *acl);
    Coord__V1__Acl **all = grpc_call_scratch(call, count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        struct slice id =
            result->may_admin ? entries[i].id : identity_shown(&entries[i], scratch);
        coord__v1__acl__init(&acl[i]);
        acl[i].permissions = entries[i].permissions;
        acl[i].scheme = answer_copy(call, entries[i].scheme);
        acl[i].id = answer_copy(call, id);
        all[i] = &acl[i];
    }
    Coord__V1__GetAclReply message;
    coord__v1__get_acl_reply__init(&message);
    message.header = &header;
    message.acl = all;
    message.n_acl = count;
    message.stat = &stat;
    grpc_call_reply(call, &message.base);
}

static void get_acl_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__GetAclRequest *request = (const Coord__V1__GetAclRequest *)message;
    struct query query = {.type = QUERY_ACL, .path = slice_str(request->path)};
    (void)answer_ask(call, request->header, &query, get_acl_got);
}

/* Field numbers of ListReply, which is written piece by piece: a page may have 100,000
 * entries. */
enum { LIST_REPLY_ENTRIES = 2, LIST_REPLY_NEXT = 3 };

/* Appends the entry; its strings live until the handler returns. */
static void list_append(struct grpc_call *call, struct buf *out,
                        const struct query_entry *entry, const void *context)
{
    (void)context;
    const struct query *query = &call->read.query;
    Coord__V1__Stat stat = answer_stat(&entry->stat);
    Coord__V1__ListEntry message;
    coord__v1__list_entry__init(&message);
    message.path = answer_copy(call, entry->path);
    if (query->with_data) {
        message.data = answer_bytes(entry->data);
    }
    if (query->with_stat && !entry->unreadable) {
        message.stat = &stat;
    }
    message.unreadable = entry->unreadable;
    wire_append_message(out, LIST_REPLY_ENTRIES, &message.base);
}

static void list_got(struct grpc_call *call, const struct query_result *result)
{
    if (!query_has_node(call, result)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__Stat stat = answer_stat(&result->stat);
    Coord__V1__ListReply message;
    coord__v1__list_reply__init(&message);
    message.header = &header;
    message.stat = &stat;
    answer_page(call, result, &message.base, LIST_REPLY_NEXT, list_append, NULL);
}

static void list_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ListRequest *request = (const Coord__V1__ListRequest *)message;
    struct query query = {
        .type = QUERY_LIST,
        .path = slice_str(request->path),
        .recursive = request->recursive,
        .with_data = request->with_data,
        .with_stat = request->with_stat,
        .after = slice_str(request->after),
        .limit = request->limit,
    };
    (void)answer_ask(call, request->header, &query, list_got);
}

static void sync_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__SyncReply message;
    coord__v1__sync_reply__init(&message);
    message.header = &header;
    grpc_call_reply(call, &message.base);
}

static void sync_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SyncRequest *request = (const Coord__V1__SyncRequest *)message;
    if (answer_read_prepare(call, request->header)) {
        call->read.is_barrier = true;
        grpc_call_read(call, sync_got);
    }
}

/* ---- the service ------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Create",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_CREATE,
     .request = &coord__v1__create_request__descriptor,
     .message = create_call},
    {.name = "Get",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__get_request__descriptor, .message = get_call},
    {.name = "Exists",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__exists_request__descriptor,
     .message = exists_call},
    {.name = "Set",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__set_request__descriptor, .message = set_call},
    {.name = "Delete",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_DELETE,
     .request = &coord__v1__delete_request__descriptor,
     .message = delete_call},
    {.name = "List",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__list_request__descriptor, .message = list_call},
    {.name = "Txn",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__txn_request__descriptor, .message = tree_txn_call},
    {.name = "Sync",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__sync_request__descriptor, .message = sync_call},
    {.name = "GetAcl",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__get_acl_request__descriptor,
     .message = get_acl_call},
    {.name = "SetAcl",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__set_acl_request__descriptor,
     .message = set_acl_call},
};

const struct grpc_service grpc_tree_service = {
    .name = "coord.v1.Tree",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
