/* coord.v1.Lock, but for Acquire (net/grpc/lock_acquire.c), List and Explain
 * (net/grpc/lock_list.c). Each call is one command of the state
 * machine (COMMAND_RECIPE), or reads what its nodes say (recipes/record.h). */
#include "net/grpc/lock.h"

#include "net/grpc/answer.h"
#include "net/grpc/entry_wait.h"
#include "net/grpc/wire.h"
#include "recipes/record.h"
#include "store/acl.h"
#include "store/store.h"

/* ---- entries by name ---------------------------------------------------------------------- */

static void changed(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse(call, slice_str("lock"), reply->outcome, reply->revision);
        return;
    }
    if (!answer_fits(call, reply, !reply->has_lease && reply->result_count == 0)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__LockReply message;
    coord__v1__lock_reply__init(&message);
    message.header = &header;
    grpc_call_reply(call, &message.base);
}

static void change_entries(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                           Coord__V1__LockGrant *const *grants, size_t count,
                           struct command_recipe recipe)
{
    struct command c = {.type = COMMAND_RECIPE, .recipe = recipe};
    if (!answer_write_prepare(call, header, &c)) {
        return;
    }
    /* One too many is enough to be refused. */
    size_t taken = count <= RECIPE_TARGETS_MAX ? count : RECIPE_TARGETS_MAX + 1;
    struct recipe_target *targets = grpc_call_scratch(call, taken * sizeof *targets);
    for (size_t i = 0; i < taken; i++) {
        targets[i] = (struct recipe_target){
            .path = slice_str(grants[i]->path),
            .revision = grants[i]->revision,
        };
    }
    c.recipe.recipe = RECIPE_LOCK;
    c.recipe.targets = targets;
    c.recipe.target_count = (uint32_t)taken;
    answer_propose(call, &c, changed);
}

static void release_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LockReleaseRequest *r = (const Coord__V1__LockReleaseRequest *)message;
    uint8_t flags = (uint8_t)((r->all ? RECIPE_ALL : 0) | (r->group ? RECIPE_GROUP : 0));
    change_entries(call, r->header, r->grants, r->n_grants,
                   (struct command_recipe){.action = RECIPE_RELEASE, .flags = flags});
}

static void cancel_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LockCancelRequest *r = (const Coord__V1__LockCancelRequest *)message;
    change_entries(call, r->header, r->entries, r->n_entries,
                   (struct command_recipe){.action = RECIPE_CANCEL});
}

static void remove_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LockCancelRequest *r = (const Coord__V1__LockCancelRequest *)message;
    change_entries(call, r->header, r->entries, r->n_entries,
                   (struct command_recipe){.action = RECIPE_REMOVE});
}

static void extend_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LockExtendRequest *r = (const Coord__V1__LockExtendRequest *)message;
    change_entries(call, r->header, r->grants, r->n_grants,
                   (struct command_recipe){.action = RECIPE_EXTEND, .hold_ms = r->hold_ms});
}

static void ask_release_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LockAskReleaseRequest *r =
        (const Coord__V1__LockAskReleaseRequest *)message;
    struct command c = {.type = COMMAND_RECIPE};
    if (!answer_write_prepare(call, r->header, &c)) {
        return;
    }
    struct recipe_target target = {.path = slice_str(r->path)};
    c.recipe = (struct command_recipe){
        .recipe = RECIPE_LOCK,
        .action = RECIPE_ASK_RELEASE,
        .value = slice_str(r->who),
        .targets = &target,
        .target_count = 1,
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
    };
    answer_propose(call, &c, changed);
}

/* ---- Get ---------------------------------------------------------------------------------- */

/* Field numbers of the reply that is written piece by piece. */
enum { GET_REPLY_ENTRIES = 3, GET_REPLY_NEXT = 4 };

Coord__V1__LockMode lock_mode_to(uint8_t mode)
{
    return mode == LOCK_READ      ? COORD__V1__LOCK_MODE__READ_LOCK
           : mode == LOCK_PERMITS ? COORD__V1__LOCK_MODE__PERMITS_LOCK
                                  : COORD__V1__LOCK_MODE__WRITE_LOCK;
}

bool lock_entry_fill(struct grpc_call *call, const struct query_entry *e,
                     struct lock_entry *out)
{
    struct recipe_record record;
    struct arena *scratch = &call->connection->shared->scratch;
    if (e->unreadable || !recipe_record_decode(e->data, &record, scratch)) {
        return false; /* the caller may know that it is there, and nothing more */
    }
    coord__v1__lock_grant__init(&out->grant);
    coord__v1__lock_entry__init(&out->entry);
    out->grant.path = answer_copy(call, e->path);
    out->grant.revision = e->stat.create_revision;
    out->entry.grant = &out->grant;
    out->entry.held = record.state == ENTRY_HELD;
    out->entry.mode = lock_mode_to(record.mode);
    out->entry.permits = record.permits;
    out->entry.count = record.count;
    out->entry.epoch = record.epoch;
    out->entry.lease = e->stat.lease;
    out->entry.owner = answer_copy(call, record.owner);
    out->entry.note = answer_copy(call, record.note);
    out->entry.since_ms = record.since_ms;
    out->entry.deadline_ms = record.deadline_ms;
    out->entry.group = record.group;
    out->entry.asked_by = answer_copy(call, record.asked_by);
    out->entry.asked_why = answer_copy(call, record.asked_why);
    return true;
}

static void append_entry(struct grpc_call *call, struct buf *out, const struct query_entry *e,
                         const void *context)
{
    (void)context;
    struct lock_entry entry;
    if (lock_entry_fill(call, e, &entry)) {
        wire_append_message(out, GET_REPLY_ENTRIES, &entry.entry.base);
    }
}

/* The lock's own node has just been found readable. */
static uint32_t permits_of(struct grpc_call *call)
{
    struct recipe_head head;
    struct query_result result;
    answer_look(call, &result);
    bool is_known = result.outcome == OUTCOME_OK && recipe_head_decode(result.data, &head,
                                       &call->connection->shared->scratch);
    return is_known ? head.permits : 0;
}

static void get_got(struct grpc_call *call, const struct query_result *result)
{
    if (result->outcome != OUTCOME_OK) {
        answer_refuse(call, buf_slice(&call->path), result->outcome, result->revision);
        return;
    }
    if (result->stat.kind != NODE_RECIPE) {
        answer_refuse(call, buf_slice(&call->path), OUTCOME_NO_RECIPE, result->revision);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__LockGetReply message;
    coord__v1__lock_get_reply__init(&message);
    message.header = &header;
    message.permits = permits_of(call);
    answer_page(call, result, &message.base, GET_REPLY_NEXT, append_entry, NULL);
}

static void get_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LockGetRequest *r = (const Coord__V1__LockGetRequest *)message;
    struct query query = {
        .type = QUERY_LIST,
        .path = slice_str(r->path),
        .after = slice_str(r->after),
        .with_data = true,
        .with_stat = true,
        .limit = r->limit,
    };
    (void)answer_ask(call, r->header, &query, get_got);
}

/* ---- the service -------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Acquire",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_CREATE,
     .request = &coord__v1__lock_acquire_request__descriptor,
     .is_long = true,
     .message = lock_acquire_call,
     .ended = entry_wait_ended},
    {.name = "Release",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__lock_release_request__descriptor,
     .message = release_call},
    {.name = "Cancel",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__lock_cancel_request__descriptor,
     .message = cancel_call},
    {.name = "Extend",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__lock_extend_request__descriptor,
     .message = extend_call},
    {.name = "AskRelease",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__lock_ask_release_request__descriptor,
     .message = ask_release_call},
    {.name = "Remove",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__lock_cancel_request__descriptor,
     .message = remove_call},
    {.name = "Get",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__lock_get_request__descriptor,
     .message = get_call},
    {.name = "List",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__lock_list_request__descriptor,
     .message = lock_list_call},
    {.name = "Explain",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__lock_explain_request__descriptor,
     .message = lock_explain_call},
};

const struct grpc_service grpc_lock_service = {
    .name = "coord.v1.Lock",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
