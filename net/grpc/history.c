/* coord.v1.History: the change log as a client may page through it, and how much of the past is
 * kept. The latter are keys of SPACE_META (store/policy.h), which only these calls write. */
#include <inttypes.h>

#include "coord/v1/history.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/watch.h"
#include "net/grpc/wire.h"
#include "store/policy.h"
#include "store/store.h"

/* ---- changes ----------------------------------------------------------------------------- */

/* Field numbers of ChangesReply, which is written piece by piece. */
enum { CHANGES_REPLY_CHANGES = 2, CHANGES_REPLY_NEXT_REVISION = 3, CHANGES_REPLY_NEXT_SUB = 4 };

/* Appends as many of the changes as a page takes, at least one; returns how many. */
static uint32_t changes_append(struct grpc_call *call, struct buf *out,
                               const struct query_result *result)
{
    bool with_values = call->word == 0;
    size_t total = 0;
    uint32_t count = 0;
    while (count < result->change_count) {
        const struct change *change = result->changes[count];
        total += grpc_event_bytes(change, with_values, true);
        if (count > 0 && total > QUERY_PAGE_BYTES_MAX) {
            break;
        }
        Coord__V1__Event event;
        Coord__V1__Stat stat;
        grpc_event_fill(call, change, with_values, true, &event, &stat);
        wire_append_message(out, CHANGES_REPLY_CHANGES, &event.base);
        count++;
    }
    return count;
}

static void changes_got(struct grpc_call *call, const struct query_result *result)
{
    if (result->outcome != OUTCOME_OK) {
        const struct query *q = &call->read.query;
        bool is_from = q->from_revision > result->revision; /* else it is the other bound */
        answer_refuse_revision(call, q->path, is_from ? q->from_revision : q->to_revision,
                               result);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__ChangesReply message;
    coord__v1__changes_reply__init(&message);
    message.header = &header;
    message.floor = result->floor;

    size_t begin;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    uint32_t count = changes_append(call, out, result);
    if (count < result->change_count) {
        const struct change *last = result->changes[count - 1];
        wire_append_number(out, CHANGES_REPLY_NEXT_REVISION, last->revision);
        wire_append_number(out, CHANGES_REPLY_NEXT_SUB, last->sub);
    } else if (result->more) {
        wire_append_number(out, CHANGES_REPLY_NEXT_REVISION, result->next_revision);
        wire_append_number(out, CHANGES_REPLY_NEXT_SUB, result->next_sub);
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

/* False, and the call is refused. */
static bool changes_check(struct grpc_call *call, const Coord__V1__ChangesRequest *request)
{
    struct errmsg err;
    enum outcome outcome = path_check(slice_str(request->path), false, &err);
    if (outcome == OUTCOME_OK && request->to_revision != 0 &&
        request->from_revision > request->to_revision) {
        outcome = OUTCOME_BAD_ARGUMENTS;
        (void)errmsg_set(&err, RC_INVALID,
                         "from_revision: %" PRIu64 " is beyond to_revision, %" PRIu64,
                         request->from_revision, request->to_revision);
    } else if (outcome == OUTCOME_OK && request->after_sub != 0 &&
               request->after_revision == 0) {
        outcome = OUTCOME_BAD_CURSOR;
        (void)errmsg_set(&err, RC_INVALID, "after_sub: %u without after_revision",
                         request->after_sub);
    }
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
    }
    return outcome == OUTCOME_OK;
}

static void changes_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ChangesRequest *request = (const Coord__V1__ChangesRequest *)message;
    if (!answer_read_prepare(call, request->header) || !changes_check(call, request)) {
        return;
    }
    buf_clear(&call->path);
    buf_append_str(&call->path, request->path);
    call->word = request->keys_only ? 1 : 0;
    call->read.query = (struct query){
        .type = QUERY_HISTORY,
        .space = SPACE_NODES,
        .path = buf_slice(&call->path),
        .recursive = request->recursive,
        .with_data = !request->keys_only,
        .limit = request->limit,
        .from_revision = request->from_revision,
        .to_revision = request->to_revision,
        .after_revision = request->after_revision,
        .after_sub = request->after_sub,
        .newest_first = request->newest_first,
    };
    grpc_call_read(call, changes_got);
}

/* ---- policies ---------------------------------------------------------------------------- */

/* Field numbers of GetPoliciesReply, which is written piece by piece. */
enum { GET_POLICIES_REPLY_POLICIES = 2, GET_POLICIES_REPLY_NEXT = 4 };

static void get_policies_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct policies *policies = store_policies(node_store(grpc_call_node(call)));
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__Retention retention;
    Coord__V1__GetPoliciesReply message;
    coord__v1__retention__init(&retention);
    coord__v1__get_policies_reply__init(&message);
    retention.bytes = policies->retention.bytes;
    retention.age_ms = policies->retention.age_ms;
    retention.revisions = policies->retention.revisions;
    message.header = &header;
    message.retention = &retention;
    struct answer_list list = answer_list_begin(call, &message.base);
    bool more = false;
    for (uint32_t i = 0; i < policies->count && !more; i++) {
        Coord__V1__HistoryPolicy policy;
        struct slice path = policies->items[i].path;
        if (answer_list_wants(&list, path)) {
            coord__v1__history_policy__init(&policy);
            policy.path = answer_copy(call, path);
            policy.versions = policies->items[i].versions;
            more = !answer_list_add(&list, GET_POLICIES_REPLY_POLICIES, path, &policy.base);
        }
    }
    answer_list_end(&list, GET_POLICIES_REPLY_NEXT, more);
}

static void get_policies_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__GetPoliciesRequest *request =
        (const Coord__V1__GetPoliciesRequest *)message;
    answer_list_ask(call, request->header, request->after, request->limit, get_policies_got);
}

/* Writes a key of SPACE_META, whether it is there or not; without a value, deletes it. */
static void meta_propose(struct grpc_call *call, struct command *c, struct slice key,
                         struct slice value,
                         void (*written)(struct grpc_call *call, const struct reply *reply))
{
    const struct guard guard = {.target = GUARD_EXISTS,
                                .relation = GUARD_EQUAL,
                                .space = SPACE_META,
                                .path = key,
                                .number = 1};
    struct op present = {.type = value.size > 0 ? OP_SET : OP_DELETE,
                         .space = SPACE_META,
                         .path = key,
                         .data = value,
                         .version = VERSION_ANY};
    struct op absent = present;
    absent.type = OP_CREATE;
    c->type = COMMAND_TXN;
    c->txn = (struct txn){
        .guards = &guard,
        .guard_count = 1,
        .then_ops = &present,
        .then_count = 1,
        .else_ops = &absent,
        .else_count = value.size > 0 ? 1 : 0,
    };
    answer_propose(call, c, written);
}

/* That there was nothing to delete is no refusal. The replies of both calls are the same on the
 * wire. */
static void meta_answer(struct grpc_call *call, const char *what, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK && reply->outcome != OUTCOME_GUARD_REFUSED) {
        answer_refuse(call, slice_str(what), reply->outcome, reply->revision);
        return;
    }
    if (!answer_fits(call, reply, !reply->has_lease)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__SetPolicyReply message;
    coord__v1__set_policy_reply__init(&message);
    message.header = &header;
    grpc_call_reply(call, &message.base);
}

static void set_policy_written(struct grpc_call *call, const struct reply *reply)
{
    meta_answer(call, "history policy", reply);
}

static void set_policy_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SetPolicyRequest *request = (const Coord__V1__SetPolicyRequest *)message;
    struct command c = {.type = COMMAND_TXN};
    uint8_t key[POLICY_KEY_BYTES_MAX];
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    struct errmsg err;
    if (!answer_write_prepare(call, request->header, &c)) {
        return;
    }
    const Coord__V1__HistoryPolicy *policy = request->policy;
    struct slice path = slice_str(policy == NULL ? "" : policy->path);
    enum outcome outcome = path_check(path, false, &err);
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
        return;
    }
    meta_propose(call, &c, policy_key(path, key),
                 policy->versions > 0 ? policy_value(policy->versions, value)
                                      : slice_make(NULL, 0),
                 set_policy_written);
}

static void set_retention_written(struct grpc_call *call, const struct reply *reply)
{
    meta_answer(call, POLICY_RETENTION_KEY, reply);
}

static void set_retention_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SetRetentionRequest *request =
        (const Coord__V1__SetRetentionRequest *)message;
    struct command c = {.type = COMMAND_TXN};
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    struct retention retention = RETENTION_DEFAULT;
    if (!answer_write_prepare(call, request->header, &c)) {
        return;
    }
    const Coord__V1__Retention *from = request->retention;
    if (from != NULL) {
        retention.bytes = from->bytes > 0 ? from->bytes : retention.bytes;
        retention.age_ms = from->age_ms > 0 ? from->age_ms : retention.age_ms;
        retention.revisions = from->revisions > 0 ? from->revisions : retention.revisions;
    }
    meta_propose(call, &c, slice_str(POLICY_RETENTION_KEY), retention_value(&retention, value),
                 set_retention_written);
}

/* ---- the service ------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Changes",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__changes_request__descriptor,
     .message = changes_call},
    {.name = "GetPolicies",
     .audit = AUDIT_READ,
     .request = &coord__v1__get_policies_request__descriptor,
     .message = get_policies_call},
    {.name = "SetPolicy",
     .request = &coord__v1__set_policy_request__descriptor,
     .message = set_policy_call},
    {.name = "SetRetention",
     .request = &coord__v1__set_retention_request__descriptor,
     .message = set_retention_call},
};

const struct grpc_service grpc_history_service = {
    .name = "coord.v1.History",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
