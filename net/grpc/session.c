/* coord.v1.Session: leases with credentials. What requests of other services say about their
 * session is taken up in net/grpc/answer.c. */
#include "coord/v1/session.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/keepalive.h"
#include "net/grpc/lease.h"

#define TTL_MS_DEFAULT ((uint64_t)10000)

static uint64_t ttl_clamp(uint64_t ttl_ms)
{
    if (ttl_ms < LEASE_TTL_MS_MIN) {
        return LEASE_TTL_MS_MIN;
    }
    return ttl_ms > LEASE_TTL_MS_MAX ? LEASE_TTL_MS_MAX : ttl_ms;
}

static struct slice secret_of(ProtobufCBinaryData secret)
{
    return slice_make(secret.data, secret.len);
}

/* ---- Open -------------------------------------------------------------------------------- */

static void open_written(struct grpc_call *call, const struct reply *reply)
{
    if (!lease_is_granted(call, LEASE_SESSION, reply)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__SessionOpenReply message;
    coord__v1__session_open_reply__init(&message);
    message.header = &header;
    message.id = reply->lease.id;
    message.secret = answer_bytes(reply->lease.secret);
    message.ttl_ms = reply->lease.ttl_ms;
    grpc_call_reply(call, &message.base);
}

static void open_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SessionOpenRequest *request =
        (const Coord__V1__SessionOpenRequest *)message;
    struct command c = {
        .type = COMMAND_GRANT,
        .lease = {.ttl_ms = request->ttl_ms == 0 ? TTL_MS_DEFAULT : ttl_clamp(request->ttl_ms),
                  .kind = LEASE_SESSION,
                  .renewable = true,
                  .owner = slice_str(request->owner)},
    };
    if (answer_write_prepare(call, request->header, &c)) {
        lease_draw(call, &c.lease);
        lease_grant(call, &c, message, open_written);
    }
}

/* ---- Resume and Close -------------------------------------------------------------------- */

static void resume_written(struct grpc_call *call, const struct reply *reply)
{
    if (!lease_is_changed(call, LEASE_SESSION, reply)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__SessionResumeReply message;
    coord__v1__session_resume_reply__init(&message);
    message.header = &header;
    message.ttl_ms = reply->lease.ttl_ms;
    message.generation = reply->lease.generation;
    grpc_call_reply(call, &message.base);
}

static void resume_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SessionResumeRequest *request =
        (const Coord__V1__SessionResumeRequest *)message;
    struct command c = {
        .type = COMMAND_RESUME,
        .lease = {.id = request->id,
                  .ttl_ms = request->ttl_ms == 0 ? 0 : ttl_clamp(request->ttl_ms),
                  .secret = secret_of(request->secret)},
    };
    if (answer_write_prepare(call, request->header, &c)) {
        call->word = request->id;
        answer_propose(call, &c, resume_written);
    }
}

static void close_written(struct grpc_call *call, const struct reply *reply)
{
    lease_answer_end(call, LEASE_SESSION, reply);
}

static void close_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SessionCloseRequest *request =
        (const Coord__V1__SessionCloseRequest *)message;
    struct command c = {
        .type = COMMAND_REVOKE,
        .lease = {.id = request->id,
                  .kind = LEASE_SESSION,
                  .secret = secret_of(request->secret)},
    };
    if (answer_write_prepare(call, request->header, &c)) {
        call->word = request->id;
        answer_propose(call, &c, close_written);
    }
}

/* ---- KeepAlive --------------------------------------------------------------------------- */

static void keepalive_message(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SessionKeepAliveRequest *request =
        (const Coord__V1__SessionKeepAliveRequest *)message;
    keepalive_add(call, LEASE_SESSION, request->id, secret_of(request->secret));
}

/* ---- the service ------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Open",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__session_open_request__descriptor,
     .message = open_call},
    {.name = "Resume",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__session_resume_request__descriptor,
     .message = resume_call},
    {.name = "KeepAlive",
     .audit = AUDIT_NEVER,
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__session_keep_alive_request__descriptor,
     .takes_stream = true,
     .is_long = true,
     .message = keepalive_message,
     .half_closed = keepalive_half_closed,
     .closed = keepalive_closed},
    {.name = "Close",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__session_close_request__descriptor,
     .message = close_call},
};

const struct grpc_service grpc_session_service = {
    .name = "coord.v1.Session",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
