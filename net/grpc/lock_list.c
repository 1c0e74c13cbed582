/* coord.v1.Lock/List and Explain: locks below a path, and who waits because of whom. */
#include "net/grpc/answer.h"
#include "net/grpc/lock.h"
#include "net/grpc/wire.h"
#include "recipes/answer.h"
#include "store/store.h"

/* Field numbers of the replies, which are written piece by piece. */
enum { LIST_REPLY_LOCKS = 2, LIST_REPLY_NEXT = 3, EXPLAIN_REPLY_WAITS = 2 };

static struct slice path_or_root(const char *path)
{
    return slice_str(path[0] == '\0' ? "/" : path);
}

static void append_lock(struct grpc_call *call, struct buf *out, const struct query_lock *lock)
{
    struct lock_entry first;
    Coord__V1__LockSummary summary;
    coord__v1__lock_summary__init(&summary);
    summary.path = answer_copy(call, lock->path);
    summary.permits = lock->permits;
    summary.held = lock->held;
    summary.waiting = lock->waiting;
    if (lock->first != NULL && lock_entry_fill(call, lock->first, &first)) {
        summary.first = &first.entry;
    }
    wire_append_message(out, LIST_REPLY_LOCKS, &summary.base);
}

static void list_got(struct grpc_call *call, const struct query_result *result)
{
    if (result->outcome != OUTCOME_OK) {
        answer_refuse(call, buf_slice(&call->path), result->outcome, result->revision);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__LockListReply message;
    coord__v1__lock_list_reply__init(&message);
    message.header = &header;
    size_t begin;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    for (uint32_t i = 0; i < result->lock_count; i++) {
        append_lock(call, out, &result->locks[i]);
    }
    if (result->more) {
        wire_append_bytes(out, LIST_REPLY_NEXT, result->next);
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

void lock_list_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LockListRequest *r = (const Coord__V1__LockListRequest *)message;
    struct query query = {
        .type = QUERY_LOCKS,
        .path = path_or_root(r->path),
        .after = slice_str(r->after),
        .limit = r->limit,
    };
    (void)answer_ask(call, r->header, &query, list_got);
}

static void explain_got(struct grpc_call *call, const struct query_result *result)
{
    if (result->outcome != OUTCOME_OK) {
        answer_refuse(call, buf_slice(&call->path), result->outcome, result->revision);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__LockExplainReply message;
    coord__v1__lock_explain_reply__init(&message);
    message.header = &header;
    message.more = result->more;
    size_t begin;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    for (uint32_t i = 0; i < result->wait_count; i++) {
        Coord__V1__LockWait wait;
        lock_wait_fill(call, &result->waits[i], &wait);
        wire_append_message(out, EXPLAIN_REPLY_WAITS, &wait.base);
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

void lock_explain_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LockExplainRequest *r = (const Coord__V1__LockExplainRequest *)message;
    struct query query = {
        .type = QUERY_WAITS,
        .path = slice_str(r->path),
        .limit = r->limit,
    };
    (void)answer_ask(call, r->header, &query, explain_got);
}
