/* coord.v1.Lock/Acquire: the request, the reply, and what is said of a deadlock. The wait between
 * them is in net/grpc/entry_wait.c. */
#include "net/grpc/answer.h"
#include "net/grpc/entry_wait.h"
#include "net/grpc/lock.h"
#include "recipes/answer.h"
#include "recipes/record.h"

/* Of a cycle, in a trailer: clients refuse lists of headers that are too long. */
#define DEADLOCK_BYTES_MAX 3072

/* ---- answering ---------------------------------------------------------------------------- */

void lock_wait_fill(struct grpc_call *call, const struct recipe_wait *from,
                    Coord__V1__LockWait *out)
{
    coord__v1__lock_wait__init(out);
    out->lease = from->lease;
    out->owner = answer_copy(call, from->owner);
    out->path = answer_copy(call, from->path);
    out->mode = lock_mode_to(from->mode);
    out->blocker_lease = from->blocker_lease;
    out->blocker_owner = answer_copy(call, from->blocker_owner);
    out->blocker_holds = from->blocker_holds;
    out->blocker_mode = lock_mode_to(from->blocker_mode);
}

void lock_tell_cycle(struct grpc_call *call, const struct recipe_result *result)
{
    Coord__V1__LockDeadlock message;
    coord__v1__lock_deadlock__init(&message);
    Coord__V1__LockWait *waits = grpc_call_scratch(call, result->cycle_count * sizeof *waits);
    Coord__V1__LockWait **list = grpc_call_scratch(call, result->cycle_count * sizeof(void *));
    size_t bytes = 0;
    message.cycle = list;
    message.length = result->cycle_length;
    for (uint32_t i = 0; i < result->cycle_count; i++) {
        lock_wait_fill(call, &result->cycle[i], &waits[i]);
        bytes += protobuf_c_message_get_packed_size(&waits[i].base);
        if (bytes > DEADLOCK_BYTES_MAX) {
            break;
        }
        list[message.n_cycle++] = &waits[i];
    }
    grpc_call_detail(call, "coord-deadlock-bin", &message.base);
}

static void acquired(struct grpc_call *call, Coord__V1__ReplyHeader *header,
                     const struct entry_wait_place *places, uint32_t count)
{
    Coord__V1__LockHeld *held = grpc_call_scratch(call, count * sizeof *held);
    Coord__V1__LockGrant *grants = grpc_call_scratch(call, count * sizeof *grants);
    Coord__V1__LockHeld **list = grpc_call_scratch(call, count * sizeof(void *));
    for (uint32_t i = 0; i < count; i++) {
        coord__v1__lock_held__init(&held[i]);
        coord__v1__lock_grant__init(&grants[i]);
        grants[i].path = answer_copy(call, places[i].path);
        grants[i].revision = places[i].revision;
        held[i].grant = &grants[i];
        held[i].epoch = places[i].epoch;
        held[i].count = places[i].count;
        list[i] = &held[i];
    }
    Coord__V1__LockAcquireReply message;
    coord__v1__lock_acquire_reply__init(&message);
    message.header = header;
    message.held = list;
    message.n_held = count;
    grpc_call_reply(call, &message.base);
}

/* ---- the request -------------------------------------------------------------------------- */

static uint8_t mode_from(Coord__V1__LockMode mode)
{
    switch ((int)mode) {
    case COORD__V1__LOCK_MODE__WRITE_LOCK: return LOCK_WRITE;
    case COORD__V1__LOCK_MODE__READ_LOCK: return LOCK_READ;
    case COORD__V1__LOCK_MODE__PERMITS_LOCK: return LOCK_PERMITS;
    default: return 0; /* is refused by name */
    }
}

static void targets_fill(struct grpc_call *call, const Coord__V1__LockAcquireRequest *request,
                         struct command_recipe *r)
{
    size_t count = request->n_targets <= RECIPE_TARGETS_MAX ? request->n_targets
                                                            : RECIPE_TARGETS_MAX + 1;
    struct recipe_target *targets = grpc_call_scratch(call, count * sizeof *targets);
    for (size_t i = 0; i < count; i++) {
        const Coord__V1__LockTarget *t = request->targets[i];
        targets[i] = (struct recipe_target){
            .path = slice_str(t->path),
            .mode = mode_from(t->mode),
            .permits = t->permits,
            .limit = t->limit,
        };
    }
    r->targets = targets;
    r->target_count = (uint32_t)count;
    r->guards = answer_guards(call, request->guards, request->n_guards);
    r->guard_count = (uint32_t)request->n_guards;
}

void lock_acquire_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LockAcquireRequest *request =
        (const Coord__V1__LockAcquireRequest *)message;
    struct command c = {.type = COMMAND_RECIPE};
    if (!answer_write_prepare(call, request->header, &c)) {
        return;
    }
    c.recipe = (struct command_recipe){
        .recipe = RECIPE_LOCK,
        .action = RECIPE_ACQUIRE,
        .flags = request->no_wait ? RECIPE_TRY : 0,
        .lease = request->lease != 0 ? request->lease : call->session,
        .owner = slice_str(request->owner),
        .wait_ms = request->wait_ms,
        .hold_ms = request->hold_ms,
    };
    targets_fill(call, request, &c.recipe);
    entry_wait_start(call, &c, acquired);
}
