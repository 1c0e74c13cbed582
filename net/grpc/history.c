/* coord.v1.History: the change log as a client may page through it. */
#include <inttypes.h>

#include "coord/v1/history.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/watch.h"
#include "net/grpc/wire.h"

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
        answer_refuse(call, call->read.query.path, result->outcome, result->revision);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__ChangesReply message;
    coord__v1__changes_reply__init(&message);
    message.header = &header;
    message.floor = result->floor;

    size_t begin;
    struct buf *out = grpc_call_begin(call, &begin);
    size_t bytes = protobuf_c_message_get_packed_size(&message.base);
    (void)protobuf_c_message_pack(&message.base, buf_extend(out, bytes));
    uint32_t count = changes_append(call, out, result);
    if (count > 0 && (count < result->change_count || result->more)) {
        const struct change *last = result->changes[count - 1];
        wire_append_number(out, CHANGES_REPLY_NEXT_REVISION, last->revision);
        wire_append_number(out, CHANGES_REPLY_NEXT_SUB, last->sub);
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

/* ---- the service ------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Changes",
     .request = &coord__v1__changes_request__descriptor,
     .message = changes_call},
};

const struct grpc_service grpc_history_service = {
    .name = "coord.v1.History",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
