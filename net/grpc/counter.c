/* coord.v1.Counter: counters, and ids in blocks. Each change is one command of the state machine
 * (COMMAND_RECIPE); what there is the node says (recipes/record.h). */
#include "coord/v1/counter.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/call.h"
#include "net/grpc/route.h"
#include "recipes/record.h"
#include "store/acl.h"
#include "store/store.h"

/* ---- writes ------------------------------------------------------------------------------- */

/* The path is kept for the error text. */
static void add(struct grpc_call *call, const Coord__V1__RequestHeader *header, const char *path,
                struct command_recipe recipe,
                void (*added)(struct grpc_call *call, const struct reply *reply))
{
    struct recipe_target target = {.path = slice_str(path)};
    struct command c = {.type = COMMAND_RECIPE, .recipe = recipe};
    if (!answer_write_prepare(call, header, &c)) {
        return;
    }
    buf_clear(&call->path);
    buf_append_slice(&call->path, target.path);
    c.recipe.action = RECIPE_ADD;
    c.recipe.targets = &target;
    c.recipe.target_count = 1;
    answer_propose(call, &c, added);
}

/* False: it was refused, and the call has been answered. */
static bool has_added(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_recipe(call, reply);
        return false;
    }
    return answer_fits(call, reply, reply->has_recipe && reply->recipe.place_count == 1);
}

static void counter_added(struct grpc_call *call, const struct reply *reply)
{
    if (!has_added(call, reply)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__CounterAddReply message;
    coord__v1__counter_add_reply__init(&message);
    message.header = &header;
    message.value = (int64_t)reply->recipe.number;
    message.before = (int64_t)reply->recipe.before;
    grpc_call_reply(call, &message.base);
}

static void add_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__CounterAddRequest *r = (const Coord__V1__CounterAddRequest *)message;
    struct command_recipe recipe = {
        .recipe = RECIPE_COUNTER,
        .number = (uint64_t)r->delta,
        .low = (uint64_t)(r->low != NULL ? r->low->value : INT64_MIN),
        .high = (uint64_t)(r->high != NULL ? r->high->value : INT64_MAX),
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
    };
    add(call, r->header, r->path, recipe, counter_added);
}

static void ids_added(struct grpc_call *call, const struct reply *reply)
{
    if (!has_added(call, reply)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__CounterAllocateIdsReply message;
    coord__v1__counter_allocate_ids_reply__init(&message);
    message.header = &header;
    message.first = reply->recipe.before + 1;
    message.count = reply->recipe.number - reply->recipe.before;
    message.created = reply->recipe.places[0].revision;
    grpc_call_reply(call, &message.base);
}

static void allocate_ids_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__CounterAllocateIdsRequest *r =
        (const Coord__V1__CounterAllocateIdsRequest *)message;
    struct command_recipe recipe = {
        .recipe = RECIPE_IDS,
        .number = r->count,
        .high = r->last != 0 ? r->last : INT64_MAX,
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
    };
    add(call, r->header, r->path, recipe, ids_added);
}

/* ---- Get ---------------------------------------------------------------------------------- */

static void got(struct grpc_call *call, const struct query_result *result)
{
    struct recipe_head head;
    if (!answer_recipe(call, result, RECIPE_KIND(RECIPE_COUNTER) | RECIPE_KIND(RECIPE_IDS),
                       &head)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__CounterGetReply message;
    coord__v1__counter_get_reply__init(&message);
    message.header = &header;
    message.value = head.value;
    message.is_ids = head.recipe == RECIPE_IDS;
    message.created = result->stat.create_revision;
    grpc_call_reply(call, &message.base);
}

static void get_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__CounterGetRequest *r = (const Coord__V1__CounterGetRequest *)message;
    struct query query = {.type = QUERY_GET, .path = slice_str(r->path)};
    (void)answer_ask(call, r->header, &query, got);
}

/* ---- the service -------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Add",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__counter_add_request__descriptor,
     .message = add_call},
    {.name = "Get",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__counter_get_request__descriptor,
     .message = get_call},
    {.name = "AllocateIds",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__counter_allocate_ids_request__descriptor,
     .message = allocate_ids_call},
};

const struct grpc_service grpc_counter_service = {
    .name = "coord.v1.Counter",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
