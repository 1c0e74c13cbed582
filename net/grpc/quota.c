/* coord.v1.Quota: how much subtrees may hold, and do (store/quota.h). */
#include "coord/v1/quota.pb-c.h"
#include "net/grpc/answer.h"
#include "store/access.h"
#include "store/quota.h"
#include "store/store.h"

/* ---- changes ----------------------------------------------------------------------------- */

/* The replies of both calls are the same on the wire. */
static void changed(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_reply(call, buf_slice(&call->path), reply);
        return;
    }
    if (!answer_fits(call, reply, !reply->has_lease && reply->result_count == 0)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__QuotaSetReply message;
    coord__v1__quota_set_reply__init(&message);
    message.header = &header;
    grpc_call_reply(call, &message.base);
}

static void path_keep(struct grpc_call *call, const char *path)
{
    buf_clear(&call->path);
    buf_append_str(&call->path, path);
}

static void set_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__QuotaSetRequest *request = (const Coord__V1__QuotaSetRequest *)message;
    const Coord__V1__QuotaBounds *bounds = request->bounds;
    struct command c = {.type = COMMAND_QUOTA};
    path_keep(call, bounds == NULL ? "" : bounds->path);
    if (!answer_write_prepare(call, request->header, &c)) {
        return;
    }
    if (bounds == NULL || (bounds->bytes | bounds->nodes) == 0) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT,
                       "bounds: a quota bounds bytes, nodes or both");
        return;
    }
    c.quota = (struct command_quota){
        .path = buf_slice(&call->path),
        .bytes = bounds->bytes,
        .nodes = bounds->nodes,
        .soft_percent = bounds->soft_percent,
    };
    answer_propose(call, &c, changed);
}

static void remove_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__QuotaRemoveRequest *request =
        (const Coord__V1__QuotaRemoveRequest *)message;
    struct command c = {.type = COMMAND_QUOTA};
    path_keep(call, request->path);
    if (answer_write_prepare(call, request->header, &c)) {
        c.quota = (struct command_quota){.path = buf_slice(&call->path)};
        answer_propose(call, &c, changed);
    }
}

/* ---- reads ------------------------------------------------------------------------------- */

static bool may_see(const struct grpc_call *call, struct slice path)
{
    struct access access;
    access_begin(&access, node_store(grpc_call_node(call)), grpc_call_identities(call));
    return access_nearest(&access, ACL_READ | ACL_ADMIN, path);
}

static void usage_fill(struct grpc_call *call, const struct quota *quota,
                       Coord__V1__QuotaUsage *usage, Coord__V1__QuotaBounds *bounds)
{
    coord__v1__quota_usage__init(usage);
    coord__v1__quota_bounds__init(bounds);
    bounds->path = answer_copy(call, quota->path);
    bounds->bytes = quota->limit.bytes;
    bounds->nodes = quota->limit.nodes;
    bounds->soft_percent = quota->soft_percent;
    usage->bounds = bounds;
    usage->used_bytes = quota->used.bytes;
    usage->used_nodes = quota->used.nodes;
    usage->state = (Coord__V1__QuotaState)quota_state(quota);
}

/* Field numbers of QuotaListReply, which is written piece by piece. */
enum { QUOTA_LIST_REPLY_QUOTAS = 2, QUOTA_LIST_REPLY_NEXT = 3 };

static void list_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct quotas *quotas = store_quotas(node_store(grpc_call_node(call)));
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__QuotaListReply message;
    coord__v1__quota_list_reply__init(&message);
    message.header = &header;
    struct answer_list list = answer_list_begin(call, &message.base);
    bool more = false;
    for (uint32_t i = 0; i < quotas->count && !more; i++) {
        Coord__V1__QuotaUsage usage;
        Coord__V1__QuotaBounds bounds;
        struct slice path = quotas->items[i].path;
        if (answer_list_wants(&list, path) && may_see(call, path)) {
            usage_fill(call, &quotas->items[i], &usage, &bounds);
            more = !answer_list_add(&list, QUOTA_LIST_REPLY_QUOTAS, path, &usage.base);
        }
    }
    answer_list_end(&list, QUOTA_LIST_REPLY_NEXT, more);
}

static void list_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__QuotaListRequest *request = (const Coord__V1__QuotaListRequest *)message;
    answer_list_ask(call, request->header, request->after, request->limit, list_got);
}

static void get_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct store *store = node_store(grpc_call_node(call));
    struct slice path = buf_slice(&call->path);
    const struct quota *quota = quotas_find(store_quotas(store), path);
    bool may = may_see(call, path);
    if (!may || quota == NULL) {
        answer_refuse(call, path, may ? OUTCOME_NO_QUOTA : OUTCOME_NO_AUTH,
                      store_revision(store));
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__QuotaUsage usage;
    Coord__V1__QuotaBounds bounds;
    Coord__V1__QuotaGetReply message;
    coord__v1__quota_get_reply__init(&message);
    usage_fill(call, quota, &usage, &bounds);
    message.header = &header;
    message.quota = &usage;
    grpc_call_reply(call, &message.base);
}

static void get_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__QuotaGetRequest *request = (const Coord__V1__QuotaGetRequest *)message;
    struct errmsg err;
    if (!answer_read_prepare(call, request->header)) {
        return;
    }
    path_keep(call, request->path);
    enum outcome outcome = path_check(buf_slice(&call->path), false, &err);
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
        return;
    }
    call->read.is_barrier = true;
    grpc_call_read(call, get_got);
}

/* ---- the service ------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Set",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__quota_set_request__descriptor,
     .message = set_call},
    {.name = "Get",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__quota_get_request__descriptor,
     .message = get_call},
    {.name = "List",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__quota_list_request__descriptor,
     .message = list_call},
    {.name = "Remove",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__quota_remove_request__descriptor,
     .message = remove_call},
};

const struct grpc_service grpc_quota_service = {
    .name = "coord.v1.Quota",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
