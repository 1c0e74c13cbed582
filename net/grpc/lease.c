/* coord.v1.Lease, and what it shares with coord.v1.Session. Keepalives: net/grpc/keepalive.c. */
#include "net/grpc/lease.h"

#include <inttypes.h>

#include "base/assert.h"
#include "coord/v1/lease.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/keepalive.h"
#include "net/grpc/wire.h"

#define LIST_LIMIT_DEFAULT 1000
/* How often an id is drawn for one grant. */
#define DRAWS_MAX 4

/* ---- what sessions do too ---------------------------------------------------------------- */

void lease_draw(struct grpc_call *call, struct command_lease *grant)
{
    struct env *env = call->connection->env->env;
    uint8_t *secret = grpc_call_scratch(call, LEASE_SECRET_BYTES);
    while (grant->id == 0) {
        grant->id = env_random_u64(env) & (uint64_t)LEASE_ID_MAX;
    }
    env->random(env, secret, LEASE_SECRET_BYTES);
    grant->secret = slice_make(secret, LEASE_SECRET_BYTES);
}

void lease_grant(struct grpc_call *call, const struct command *c,
                 const ProtobufCMessage *request,
                 void (*written)(struct grpc_call *call, const struct reply *reply))
{
    size_t bytes = protobuf_c_message_get_packed_size(request);
    buf_clear(&call->path);
    (void)protobuf_c_message_pack(request, buf_extend(&call->path, bytes));
    call->word++;
    answer_propose(call, c, written);
}

/* That a random id is taken is most unlikely. True: it was, and the method's handler has the
 * request again, to draw another. What was refused under a request id or a sequence number stays
 * refused under it. */
static bool grant_again(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_LEASE_EXISTS || reply->repeated || call->word >= DRAWS_MAX) {
        return false;
    }
    const struct grpc_method *method = call->route->method;
    ProtobufCMessage *request = protobuf_c_message_unpack(method->request, NULL,
                                                          call->path.size, call->path.data);
    PRE(request != NULL);
    method->message(call, request);
    protobuf_c_message_free_unpacked(request, NULL);
    return true;
}

bool lease_is_granted(struct grpc_call *call, enum lease_kind kind, const struct reply *reply)
{
    if (reply->outcome == OUTCOME_OK) {
        bool has_secret = reply->has_lease && reply->lease.secret.size > 0;
        return answer_fits(call, reply,
                           reply->has_lease && has_secret == (kind == LEASE_SESSION));
    }
    if (!grant_again(call, reply)) {
        answer_refuse_reply(call, slice_str(kind == LEASE_SESSION ? "session" : "lease"), reply);
    }
    return false;
}

bool lease_is_changed(struct grpc_call *call, enum lease_kind kind, const struct reply *reply)
{
    enum outcome outcome = (enum outcome)reply->outcome;
    if (outcome == OUTCOME_OK) {
        return answer_fits(call, reply, reply->has_lease && reply->lease.id == call->word);
    }
    bool is_session = kind == LEASE_SESSION; /* else it is the header's that does not exist */
    if (outcome == OUTCOME_NO_LEASE || outcome == OUTCOME_BAD_SECRET ||
        (outcome == OUTCOME_NO_SESSION && is_session)) {
        answer_refuse_lease(call, kind, call->word, outcome, reply->revision);
    } else {
        answer_refuse(call, slice_str(is_session ? "session" : "lease"), outcome,
                      reply->revision);
    }
    return false;
}

void lease_answer_end(struct grpc_call *call, enum lease_kind kind, const struct reply *reply)
{
    if (!lease_is_changed(call, kind, reply)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__LeaseRevokeReply message;
    coord__v1__lease_revoke_reply__init(&message);
    message.header = &header;
    message.removed = reply->lease.removed;
    grpc_call_reply(call, &message.base);
}

/* ---- Grant ------------------------------------------------------------------------------- */

static void grant_written(struct grpc_call *call, const struct reply *reply)
{
    if (!lease_is_granted(call, LEASE_PLAIN, reply)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__LeaseGrantReply message;
    coord__v1__lease_grant_reply__init(&message);
    message.header = &header;
    message.id = reply->lease.id;
    message.ttl_ms = reply->lease.ttl_ms;
    grpc_call_reply(call, &message.base);
}

/* The client chose the id: there is no other to try. */
static void grant_named_written(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome == OUTCOME_LEASE_EXISTS) {
        answer_refuse_lease(call, LEASE_PLAIN, call->word, reply->outcome, reply->revision);
    } else {
        grant_written(call, reply);
    }
}

static void grant_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LeaseGrantRequest *request =
        (const Coord__V1__LeaseGrantRequest *)message;
    struct command c = {
        .type = COMMAND_GRANT,
        .lease = {.id = request->id,
                  .ttl_ms = request->ttl_ms,
                  .kind = LEASE_PLAIN,
                  .renewable = !request->not_renewable,
                  .owner = slice_str(request->owner)},
    };
    if (!answer_write_prepare(call, request->header, &c)) {
        return;
    }
    lease_draw(call, &c.lease);
    if (request->id == 0) {
        lease_grant(call, &c, message, grant_written);
    } else {
        call->word = request->id;
        answer_propose(call, &c, grant_named_written);
    }
}

/* ---- Revoke ------------------------------------------------------------------------------ */

static void revoke_written(struct grpc_call *call, const struct reply *reply)
{
    lease_answer_end(call, LEASE_PLAIN, reply);
}

static void revoke_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LeaseRevokeRequest *request =
        (const Coord__V1__LeaseRevokeRequest *)message;
    struct command c = {.type = COMMAND_REVOKE,
                        .lease = {.id = request->id, .kind = LEASE_PLAIN}};
    if (answer_write_prepare(call, request->header, &c)) {
        call->word = request->id;
        answer_propose(call, &c, revoke_written);
    }
}

/* ---- TimeToLive and List ----------------------------------------------------------------- */

static Coord__V1__LeaseInfo info_fill(struct grpc_call *call, const struct query_lease *lease)
{
    Coord__V1__LeaseInfo info;
    coord__v1__lease_info__init(&info);
    info.id = lease->id;
    info.kind = lease->kind == LEASE_SESSION ? COORD__V1__LEASE_KIND__SESSION_LEASE
                                             : COORD__V1__LEASE_KIND__PLAIN_LEASE;
    info.ttl_ms = lease->ttl_ms;
    info.renewable = lease->renewable;
    info.attached = lease->attached;
    info.granted_ms = lease->granted_ms;
    info.generation = lease->kind == LEASE_SESSION ? lease->generation : 0;
    info.owner = answer_copy(call, lease->owner);
    return info;
}

/* Field numbers of the two replies that are written piece by piece. */
enum { TTL_REPLY_PATHS = 4, TTL_REPLY_NEXT = 5, LIST_REPLY_LEASES = 2, LIST_REPLY_NEXT = 3 };

/* What a call of TimeToLive remembers, in call->word. */
#define TTL_WITH_PATHS ((uint64_t)1 << 63)

static void ttl_append_paths(struct buf *out, size_t begin, const struct query_result *result)
{
    uint32_t count = 0;
    while (count < result->entry_count) {
        size_t page_end = out->size;
        wire_append_bytes(out, TTL_REPLY_PATHS, result->entries[count].path);
        if (count > 0 && out->size - begin > QUERY_PAGE_BYTES_MAX) {
            out->size = page_end;
            break;
        }
        count++;
    }
    if (count > 0 && (count < result->entry_count || result->more)) {
        wire_append_bytes(out, TTL_REPLY_NEXT, result->entries[count - 1].path);
    }
}

static void ttl_got(struct grpc_call *call, const struct query_result *result)
{
    if (result->outcome != OUTCOME_OK) {
        answer_refuse_lease(call, LEASE_PLAIN, call->read.query.lease, result->outcome,
                            result->revision);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__LeaseInfo info = info_fill(call, &result->leases[0]);
    Coord__V1__LeaseTimeToLiveReply message;
    coord__v1__lease_time_to_live_reply__init(&message);
    message.header = &header;
    message.lease = &info;
    message.remaining_ms = call->word & ~TTL_WITH_PATHS;

    size_t begin;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    if ((call->word & TTL_WITH_PATHS) != 0) {
        ttl_append_paths(out, begin, result);
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

static void ttl_told(struct grpc_call *call, bool found, uint64_t remaining_ms)
{
    call->word |= found ? remaining_ms & ~TTL_WITH_PATHS : 0;
    grpc_call_read(call, ttl_got);
}

/* The leader is asked first, so that what it says is not older than what is read. */
static void ttl_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LeaseTimeToLiveRequest *request =
        (const Coord__V1__LeaseTimeToLiveRequest *)message;
    struct slice after = slice_str(request->after);
    struct errmsg err;
    if (!answer_read_prepare(call, request->header)) {
        return;
    }
    if (after.size > 0 && path_check(after, false, &err) != OUTCOME_OK) {
        (void)errmsg_wrap(&err, "after");
        answer_refuse_early(call, OUTCOME_BAD_CURSOR, &err);
        return;
    }
    buf_clear(&call->path);
    buf_append_slice(&call->path, after);
    call->word = request->with_paths ? TTL_WITH_PATHS : 0;
    call->read.query = (struct query){
        .type = QUERY_LEASE,
        .space = SPACE_NODES,
        .lease = request->id,
        .after = buf_slice(&call->path),
        .limit = request->with_paths ? 0 : 1,
    };
    grpc_call_ask_ttl(call, request->id, ttl_told);
}

static void list_got(struct grpc_call *call, const struct query_result *result)
{
    if (result->outcome != OUTCOME_OK) {
        answer_refuse(call, slice_str("leases"), result->outcome, result->revision);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__LeaseListReply message;
    coord__v1__lease_list_reply__init(&message);
    message.header = &header;

    size_t begin;
    uint32_t count = 0;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    while (count < result->lease_count) {
        size_t page_end = out->size;
        Coord__V1__LeaseInfo info = info_fill(call, &result->leases[count]);
        wire_append_message(out, LIST_REPLY_LEASES, &info.base);
        if (out->size - begin > QUERY_PAGE_BYTES_MAX) {
            out->size = page_end;
            break;
        }
        count++;
    }
    if (count > 0 && (count < result->lease_count || result->more)) {
        wire_append_number(out, LIST_REPLY_NEXT, result->leases[count - 1].id);
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

static void list_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LeaseListRequest *request = (const Coord__V1__LeaseListRequest *)message;
    uint8_t kind = 0;
    if (!answer_read_prepare(call, request->header)) {
        return;
    }
    switch ((int)request->kind) {
    case COORD__V1__LEASE_KIND__ANY_LEASE: break;
    case COORD__V1__LEASE_KIND__PLAIN_LEASE: kind = LEASE_PLAIN; break;
    case COORD__V1__LEASE_KIND__SESSION_LEASE: kind = LEASE_SESSION; break;
    default:
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "kind: %d is none", (int)request->kind);
        return;
    }
    call->read.query = (struct query){
        .type = QUERY_LEASES,
        .space = SPACE_NODES,
        .lease = request->after,
        .lease_kind = kind,
        .limit = request->limit == 0 ? LIST_LIMIT_DEFAULT : request->limit,
    };
    grpc_call_read(call, list_got);
}

/* ---- KeepAlive --------------------------------------------------------------------------- */

static void keepalive_message(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LeaseKeepAliveRequest *request =
        (const Coord__V1__LeaseKeepAliveRequest *)message;
    keepalive_add(call, LEASE_PLAIN, request->id, slice_make(NULL, 0));
}

/* ---- the service ------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Grant",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__lease_grant_request__descriptor,
     .message = grant_call},
    {.name = "KeepAlive",
     .audit = AUDIT_NEVER,
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__lease_keep_alive_request__descriptor,
     .takes_stream = true,
     .is_long = true,
     .message = keepalive_message,
     .half_closed = keepalive_half_closed,
     .closed = keepalive_closed},
    {.name = "Revoke",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__lease_revoke_request__descriptor,
     .message = revoke_call},
    {.name = "TimeToLive",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__lease_time_to_live_request__descriptor,
     .message = ttl_call},
    {.name = "List",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__lease_list_request__descriptor,
     .message = list_call},
};

const struct grpc_service grpc_lease_service = {
    .name = "coord.v1.Lease",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
