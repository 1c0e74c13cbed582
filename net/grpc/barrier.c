/* coord.v1.Barrier, but for latches: net/grpc/latch.c. Each call is one command of the state
 * machine (COMMAND_RECIPE), or reads what its nodes say (recipes/record.h). */
#include "coord/v1/barrier.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/entry_wait.h"
#include "net/grpc/latch.h"
#include "net/grpc/route.h"
#include "net/grpc/wire.h"
#include "recipes/record.h"
#include "store/acl.h"
#include "store/store.h"

/* ---- Enter and Leave ---------------------------------------------------------------------- */

static void entered(struct grpc_call *call, Coord__V1__ReplyHeader *header,
                    const struct entry_wait_place *places, uint32_t count)
{
    (void)count; /* one party */
    Coord__V1__LockGrant grant;
    Coord__V1__BarrierEnterReply message;
    coord__v1__lock_grant__init(&grant);
    coord__v1__barrier_enter_reply__init(&message);
    grant.path = answer_copy(call, places[0].path);
    grant.revision = places[0].revision;
    message.header = header;
    message.grant = &grant;
    message.epoch = places[0].epoch;
    grpc_call_reply(call, &message.base);
}

static void enter_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__BarrierEnterRequest *r = (const Coord__V1__BarrierEnterRequest *)message;
    struct command c = {.type = COMMAND_RECIPE};
    struct recipe_target target = {.path = slice_str(r->path)};
    if (!answer_write_prepare(call, r->header, &c)) {
        return;
    }
    c.recipe = (struct command_recipe){
        .recipe = RECIPE_BARRIER,
        .action = RECIPE_ACQUIRE,
        .flags = r->no_wait ? RECIPE_TRY : 0,
        .lease = r->lease != 0 ? r->lease : call->session,
        .owner = slice_str(r->name),
        .number = r->parties,
        .wait_ms = r->wait_ms,
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
        .targets = &target,
        .target_count = 1,
    };
    entry_wait_start(call, &c, entered);
}

/* False: the call has been refused. */
static bool party_prepare(struct grpc_call *call, const ProtobufCMessage *message,
                          enum recipe_action action, struct recipe_target *target,
                          struct command *c)
{
    const Coord__V1__BarrierLeaveRequest *r = (const Coord__V1__BarrierLeaveRequest *)message;
    if (!answer_write_prepare(call, r->header, c)) {
        return false;
    }
    *target = (struct recipe_target){
        .path = r->entry == NULL ? slice_make(NULL, 0) : slice_str(r->entry->path),
        .revision = r->entry == NULL ? 0 : r->entry->revision,
    };
    buf_clear(&call->path);
    buf_append_slice(&call->path, target->path);
    c->recipe = (struct command_recipe){
        .recipe = RECIPE_BARRIER,
        .action = (uint8_t)action,
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
        .targets = target,
        .target_count = 1,
    };
    return true;
}

static void left(struct grpc_call *call, Coord__V1__ReplyHeader *header,
                 const struct entry_wait_place *places, uint32_t count)
{
    Coord__V1__BarrierReply message;
    (void)places;
    (void)count;
    coord__v1__barrier_reply__init(&message);
    message.header = header;
    grpc_call_reply(call, &message.base);
}

static void leave_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    struct command c = {.type = COMMAND_RECIPE};
    struct recipe_target target;
    if (party_prepare(call, message, RECIPE_LEAVE, &target, &c)) {
        entry_wait_start(call, &c, left);
    }
}

static void withdrawn(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_recipe(call, reply);
        return;
    }
    if (answer_fits(call, reply, !reply->has_lease && reply->result_count == 0)) {
        Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
        left(call, &header, NULL, 0);
    }
}

static void withdraw_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    struct command c = {.type = COMMAND_RECIPE};
    struct recipe_target target;
    if (party_prepare(call, message, RECIPE_CANCEL, &target, &c)) {
        answer_propose(call, &c, withdrawn);
    }
}

static void remove_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    struct command c = {.type = COMMAND_RECIPE};
    struct recipe_target target;
    if (party_prepare(call, message, RECIPE_REMOVE, &target, &c)) {
        answer_propose(call, &c, withdrawn);
    }
}

/* ---- Get ---------------------------------------------------------------------------------- */

/* Field numbers of the reply that is written piece by piece. */
enum { GET_REPLY_ENTRIES = 3, GET_REPLY_NEXT = 4 };

static void append_party(struct grpc_call *call, struct buf *out, const struct query_entry *e,
                         const void *context)
{
    (void)context;
    struct recipe_record record;
    struct arena *scratch = &call->connection->shared->scratch;
    if (e->unreadable || !recipe_record_decode(e->data, &record, scratch)) {
        return; /* the caller may know that it is there, and nothing more */
    }
    Coord__V1__LockGrant entry;
    Coord__V1__BarrierParty party;
    coord__v1__lock_grant__init(&entry);
    coord__v1__barrier_party__init(&party);
    entry.path = answer_copy(call, e->path);
    entry.revision = e->stat.create_revision;
    party.entry = &entry;
    party.inside = record.state == ENTRY_HELD;
    party.leaving = record.leaving != 0;
    party.epoch = record.epoch;
    party.name = answer_copy(call, record.owner);
    party.lease = e->stat.lease;
    party.note = answer_copy(call, record.note);
    party.since_ms = record.since_ms;
    party.deadline_ms = record.deadline_ms;
    wire_append_message(out, GET_REPLY_ENTRIES, &party.base);
}

static void get_got(struct grpc_call *call, const struct query_result *result)
{
    struct recipe_head head;
    if (!answer_recipe(call, result, RECIPE_KIND(RECIPE_BARRIER), &head)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__BarrierGetReply message;
    coord__v1__barrier_get_reply__init(&message);
    message.header = &header;
    message.parties = head.parties;
    answer_page(call, result, &message.base, GET_REPLY_NEXT, append_party, NULL);
}

static void get_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__BarrierGetRequest *r = (const Coord__V1__BarrierGetRequest *)message;
    struct query query = {
        .type = QUERY_QUEUE,
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
    {.name = "Enter",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_CREATE,
     .request = &coord__v1__barrier_enter_request__descriptor,
     .is_long = true,
     .message = enter_call,
     .ended = entry_wait_ended},
    {.name = "Leave",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__barrier_leave_request__descriptor,
     .is_long = true,
     .message = leave_call,
     .ended = entry_wait_ended},
    {.name = "Withdraw",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__barrier_leave_request__descriptor,
     .message = withdraw_call},
    {.name = "Remove",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__barrier_leave_request__descriptor,
     .message = remove_call},
    {.name = "Get",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__barrier_get_request__descriptor,
     .message = get_call},
    {.name = "SetLatch",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__latch_set_request__descriptor,
     .message = latch_set_call},
    {.name = "CountDown",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__latch_count_down_request__descriptor,
     .message = latch_count_down_call},
    {.name = "AwaitLatch",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__latch_await_request__descriptor,
     .is_long = true,
     .message = latch_await_call,
     .woken = latch_await_woken,
     .ended = latch_await_ended},
};

const struct grpc_service grpc_barrier_service = {
    .name = "coord.v1.Barrier",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
