/* Which endpoint, how often, and what may be said about the outcome.
 *
 *   decided by the cluster          -> that is it
 *   not sent, refused, UNAVAILABLE  -> not executed: again, at the next endpoint
 *   lost, no answer, UNKNOWN        -> perhaps executed: again too, as a write carries the same
 *                                      request id each time and gets its first outcome
 *   out of time                     -> the last reason, or COORD_UNKNOWN for a write that was
 *                                      perhaps executed
 *
 * Once a write was perhaps executed, only an answer that the state machine gave decides it
 * (OK, or one with an outcome): that a later try was refused, by an overloaded node say, tells
 * nothing about the earlier one.
 *
 * After each round over all endpoints there is a pause, and the time for one try doubles: an
 * endpoint that accepts and never answers costs little, while a call that takes long still
 * gets through.
 */
#include "client/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "client/auth.h"
#include "client/client_internal.h"
#include "client/socket.h"

#define CONNECT_MS    1000
#define ATTEMPT_MS    2000 /* for the first round */
#define LAST_TRY_MS   250  /* in less time an answer that says what it waited for is not bettered */
#define SHARED_MS_MIN 100
#define PAUSE_MS      10
#define PAUSE_MS_MAX  200
/* The server is told to give up so much earlier than we do, that its reason reaches us. */
#define MARGIN_MS_MAX ((uint64_t)250)
#define MARGIN_SHARE  8

/* One call, over all its tries. */
struct call {
    const struct method *method;
    struct slice request;
    uint64_t deadline_ms;
    uint64_t attempt_ms;
    uint64_t pause_ms;
    size_t tries;
    bool maybe_executed; /* a write, by an earlier try */
    bool was_answered;   /* some endpoint did: more telling than those that cannot be reached */
    ProtobufCMessage *reply;
    struct coord_error *error;
};

static bool is_write(const struct call *call)
{
    return call->method->kind != METHOD_READ;
}

/* ---- what replies tell ------------------------------------------------------------------ */

static const Coord__V1__ReplyHeader *reply_header(const ProtobufCMessage *reply)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(reply->descriptor, "header");
    const Coord__V1__ReplyHeader *header = NULL;
    if (field != NULL) {
        memcpy(&header, (const char *)reply + field->offset, sizeof header);
    }
    return header;
}

void client_learn(struct coord_client *client, const Coord__V1__ReplyHeader *header)
{
    if (header->applied_index > client->applied_index) {
        client->applied_index = header->applied_index;
    }
    if (header->revision > client->revision) {
        client->revision = header->revision;
    }
}

static void learn(struct coord_client *client, const ProtobufCMessage *reply)
{
    const Coord__V1__ReplyHeader *header = reply_header(reply); /* there: unpack saw to it */
    client_learn(client, header);
    client->cluster_ms = header->cluster_ms;
    client->cluster_ms_at = socket_now_ms();
    client->knows_time = true;
}

static enum coord_code unpack(struct call *call, struct slice message)
{
    bool has_no_memory;
    call->reply = method_unpack(call->method, message.size, message.data, &has_no_memory);
    if (call->reply != NULL && reply_header(call->reply) == NULL) { /* callers rely on it */
        client_reply_free(call->reply);
        call->reply = NULL;
    }
    if (call->reply != NULL) {
        return COORD_OK;
    }
    return client_fail(call->error, has_no_memory ? COORD_NO_MEMORY : COORD_INTERNAL,
                       has_no_memory ? "out of memory for the reply"
                                     : "the reply cannot be decoded");
}

void client_reply_free(ProtobufCMessage *reply)
{
    if (reply != NULL) {
        protobuf_c_message_free_unpacked(reply, NULL);
    }
}

/* ---- one try ---------------------------------------------------------------------------- */

static void drop_connection(struct coord_client *client)
{
    connection_close(client->connection);
    client->connection = NULL;
}

/* A single endpoint keeps its connection; should that be broken, the next try finds out. */
static void next_endpoint(struct coord_client *client)
{
    if (client->endpoint_count > 1) {
        drop_connection(client);
        client->current = (client->current + 1) % client->endpoint_count;
    }
}

/* Half of what is left at most, if there are other endpoints: one that is silent must not use
 * up the time of all. The last moments go to whoever has them. */
static uint64_t share_of_time(const struct coord_client *client, const struct call *call,
                              uint64_t now, uint64_t wanted_ms)
{
    uint64_t left = call->deadline_ms > now ? call->deadline_ms - now : 0;
    uint64_t share = client->endpoint_count > 1 && left > SHARED_MS_MIN ? left / 2 : left;
    return wanted_ms < share ? wanted_ms : share;
}

static bool ensure_connection(struct coord_client *client, struct call *call)
{
    if (client->connection != NULL && connection_is_usable(client->connection)) {
        return true;
    }
    drop_connection(client);
    const struct endpoint *e = &client->endpoints[client->current];
    uint64_t now = socket_now_ms();
    char why[300];
    struct wire_tls tls;
    client->connection =
        connection_open(e->host, e->port, client_tls(client, &tls),
                        now + share_of_time(client, call, now, CONNECT_MS), why, sizeof why);
    if (client->connection == NULL && !call->was_answered) {
        (void)client_fail(call->error, COORD_UNAVAILABLE, "%s: %s", e->name, why);
    }
    return client->connection != NULL;
}

/* True: this is the call's outcome. */
static bool judge_answer(struct coord_client *client, struct call *call,
                         const struct connection_answer *answer)
{
    enum coord_code code = client_code(answer->code, answer->outcome);
    if (code == COORD_OK) {
        (void)unpack(call, answer->message);
        return true;
    }
    bool is_from_store = answer->outcome[0] != '\0';
    bool is_decided = is_from_store || (code != COORD_UNKNOWN && code != COORD_TIMEOUT &&
                                        code != COORD_UNAVAILABLE && !call->maybe_executed);
    if (is_write(call) && (code == COORD_UNKNOWN || code == COORD_TIMEOUT)) {
        call->maybe_executed = true;
    }
    call->was_answered = true;
    const char *text = answer->text[0] != '\0' ? answer->text : grpc_code_name(answer->code);
    (void)client_fail(call->error, code, "%s%s%s", is_decided ? "" : client_endpoint(client),
                      is_decided ? "" : ": ", text);
    call->error->grpc_status = (int)answer->code;
    memcpy(call->error->outcome, answer->outcome, sizeof answer->outcome);
    return is_decided;
}

/* True: this is the call's outcome. */
static bool judge_silence(struct coord_client *client, struct call *call,
                          enum connection_result result, const struct connection_answer *answer)
{
    bool is_unsent =
        result == CONNECTION_NOT_SENT || (result == CONNECTION_NO_MEMORY && !answer->was_sent);
    if (is_write(call) && !is_unsent) {
        call->maybe_executed = true;
    }
    if (result == CONNECTION_NO_MEMORY) {
        (void)client_fail(call->error, COORD_NO_MEMORY, "out of memory for the %s%s",
                          is_unsent ? "request" : "reply",
                          call->maybe_executed ? "; the write may have been executed" : "");
        return true;
    }
    if (result == CONNECTION_TOO_LARGE) {
        (void)client_fail(call->error, COORD_INTERNAL, "the reply is larger than %zu MiB%s",
                          CONNECTION_REPLY_BYTES_MAX >> 20,
                          call->maybe_executed ? "; the write may have been executed" : "");
        return true;
    }
    (void)client_fail(call->error,
                      result == CONNECTION_TIMEOUT ? COORD_TIMEOUT : COORD_UNAVAILABLE,
                      "%s: %s", client_endpoint(client), answer->text);
    return false;
}

static struct connection_times attempt_times(const struct coord_client *client,
                                             const struct call *call)
{
    uint64_t now = socket_now_ms();
    uint64_t ours = share_of_time(client, call, now, call->attempt_ms);
    uint64_t margin = ours / MARGIN_SHARE < MARGIN_MS_MAX ? ours / MARGIN_SHARE : MARGIN_MS_MAX;
    return (struct connection_times){.server_ms = now + ours - margin,
                                     .deadline_ms = now + ours};
}

/* One try at the present endpoint. True: the outcome is in the call. */
static bool try_once(struct coord_client *client, struct call *call)
{
    if (!ensure_connection(client, call)) {
        next_endpoint(client);
        return false;
    }
    struct connection_answer answer;
    bool shows = call->method != method_get(CLIENT_AUTHENTICATE);
    connection_authorize(client->connection, shows ? client->authorization : NULL);
    enum connection_result result =
        connection_call(client->connection, client_endpoint(client), call->method->path,
                        call->request, attempt_times(client, call), &answer);
    bool is_decided = result == CONNECTION_ANSWERED
                          ? judge_answer(client, call, &answer)
                          : judge_silence(client, call, result, &answer);
    if (!is_decided) {
        next_endpoint(client);
    }
    return is_decided;
}

/* ---- all tries -------------------------------------------------------------------------- */

static void end_round(struct call *call)
{
    socket_pause(call->pause_ms, call->deadline_ms);
    call->pause_ms = call->pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : call->pause_ms * 2;
    call->attempt_ms *= 2;
}

/* Out of time, or refused in a way that says nothing about an earlier try. */
static enum coord_code give_up(const struct coord_client *client, struct call *call)
{
    struct coord_error *error = call->error;
    size_t size = strlen(error->message);
    if (call->tries == 0) {
        return client_fail(error, COORD_TIMEOUT, "no time left to try");
    }
    if (call->maybe_executed) {
        error->code = COORD_UNKNOWN;
        snprintf(error->message + size, sizeof error->message - size,
                 "; the write may have been executed");
    } else if (client->endpoint_count > 1) {
        snprintf(error->message + size, sizeof error->message - size,
                 "; none of %zu endpoints could do it", client->endpoint_count);
    }
    return error->code;
}

static enum coord_code run(struct coord_client *client, struct call *call)
{
    call->attempt_ms = ATTEMPT_MS;
    call->pause_ms = PAUSE_MS;
    while (socket_now_ms() < call->deadline_ms) {
        bool is_decided = try_once(client, call);
        call->tries++;
        if (is_decided) {
            if (call->reply != NULL) {
                learn(client, call->reply);
                return COORD_OK;
            }
            return call->error->code;
        }
        if (call->error->code == COORD_TIMEOUT &&
            socket_now_ms() + LAST_TRY_MS >= call->deadline_ms) {
            break;
        }
        if (call->tries % client->endpoint_count == 0) {
            end_round(call);
        }
    }
    return give_up(client, call);
}

static enum coord_code run_request(struct coord_client *client, struct call *call,
                                   const ProtobufCMessage *request)
{
    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    if (bytes == NULL) {
        return client_fail(call->error, COORD_NO_MEMORY, "out of memory for the request");
    }
    protobuf_c_message_pack(request, bytes);
    call->request = slice_make(bytes, size);
    enum coord_code code = run(client, call);
    free(bytes);
    return code;
}

/* ---- writes ----------------------------------------------------------------------------- */

/* The first write of a client, unless a read came before it, costs one more round trip: its
 * request id needs the cluster's time, which every reply carries. */
static enum coord_code learn_time(struct coord_client *client, uint64_t deadline_ms,
                                  struct coord_error *error)
{
    if (client->knows_time) {
        return COORD_OK;
    }
    struct call call = {.method = method_get(CLIENT_STATUS),
                        .request = slice_make("", 0),
                        .deadline_ms = deadline_ms,
                        .error = error};
    enum coord_code code = run(client, &call);
    client_reply_free(call.reply);
    return code;
}

static enum coord_code make_request_id(struct coord_client *client, Coord__V1__RequestId *id,
                                       struct call *call)
{
    uint64_t words[2];
    enum coord_code code = learn_time(client, call->deadline_ms, call->error);
    if (code != COORD_OK) {
        return code;
    }
    if (getrandom(words, sizeof words, 0) != (ssize_t)sizeof words) {
        return client_fail(call->error, COORD_INTERNAL, "the system gives no random numbers");
    }
    id->issued_ms = client->cluster_ms + (socket_now_ms() - client->cluster_ms_at);
    id->high = words[0];
    id->low = words[1];
    return COORD_OK;
}

/* Refused for its request id's time alone, so that this try did nothing. */
static bool id_was_refused(const struct coord_error *error)
{
    return strcmp(error->outcome, "REQUEST_EXPIRED") == 0 ||
           strcmp(error->outcome, "REQUEST_FUTURE") == 0;
}

/* A request id each time it is tried for the first time. */
static enum coord_code run_with_id(struct coord_client *client, struct call *call,
                                   const ProtobufCMessage *request,
                                   Coord__V1__RequestHeader *header)
{
    Coord__V1__RequestId id = COORD__V1__REQUEST_ID__INIT;
    enum coord_code code = COORD_INTERNAL;
    header->request_id = &id;
    /* What a client knows of the cluster's time grows wrong while the cluster has no leader, as
     * its clock stands still then. So time is asked for anew once. */
    for (int ids = 0; ids < 2; ids++) {
        code = make_request_id(client, &id, call);
        if (code != COORD_OK) {
            break;
        }
        code = run_request(client, call, request);
        if (code == COORD_OK || !id_was_refused(call->error)) {
            break;
        }
        if (call->maybe_executed) { /* the earlier try has been forgotten, or is still on its
                                       way */
            code = give_up(client, call);
            break;
        }
        client->knows_time = false;
    }
    header->request_id = NULL;
    return code;
}

/* In the name of the session: its sequence numbers take the place of request ids. All earlier
 * calls have returned, and none of them will be repeated. */
static enum coord_code run_in_sequence(struct coord_client *client, struct call *call,
                                       const ProtobufCMessage *request,
                                       Coord__V1__RequestHeader *header)
{
    header->session->sequence = ++client->session.sequence;
    header->session->answered_to = client->session.sequence - 1;
    return run_request(client, call, request);
}

/* A session that has ended, or that another process has taken over and used, remembers no
 * outcomes: such a refusal says nothing about an earlier try that was lost. */
static bool is_forgotten(const struct call *call)
{
    return strcmp(call->error->outcome, "NO_SESSION") == 0 ||
           strcmp(call->error->outcome, "SEQUENCE_EXPIRED") == 0;
}

static enum coord_code run_write(struct coord_client *client, struct call *call,
                                 const ProtobufCMessage *request,
                                 Coord__V1__RequestHeader *header)
{
    bool is_in_session = header->session != NULL;
    header->note = client->note;
    enum coord_code code = is_in_session && client->session.has_sequence
                               ? run_in_sequence(client, call, request, header)
                               : run_with_id(client, call, request, header);
    if (!is_in_session || code == COORD_OK || !is_forgotten(call)) {
        return code;
    }
    client->session.has_ended =
        client->session.has_ended || strcmp(call->error->outcome, "NO_SESSION") == 0;
    return call->maybe_executed ? give_up(client, call) : code;
}

static enum coord_code call_once(struct coord_client *client, enum client_method method,
                                 ProtobufCMessage *request, Coord__V1__RequestHeader *header,
                                 ProtobufCMessage **reply, struct coord_error *error)
{
    struct coord_error scratch;
    Coord__V1__SessionRef session = COORD__V1__SESSION_REF__INIT;
    struct call call = {
        .method = method_get(method),
        .deadline_ms = socket_now_ms() + client->timeout_ms,
        .error = error != NULL ? error : &scratch,
    };
    *call.error = (struct coord_error){.code = COORD_OK, .grpc_status = -1};
    header->consistency = (Coord__V1__Consistency)client->consistency;
    header->bound_ms = client->bound_ms;
    header->min_index = client->applied_index;
    session.id = client->session.id;
    header->session = session.id != 0 && call.method->kind != METHOD_SESSION ? &session : NULL;
    enum coord_code code = is_write(&call) ? run_write(client, &call, request, header)
                                           : run_request(client, &call, request);
    header->session = NULL;
    *reply = call.reply;
    if (code == COORD_OK) { /* the story of tries that did not do it */
        *call.error = (struct coord_error){.code = COORD_OK, .grpc_status = (int)GRPC_OK};
    }
    return code;
}

enum coord_code client_call(struct coord_client *client, enum client_method method,
                            ProtobufCMessage *request, Coord__V1__RequestHeader *header,
                            ProtobufCMessage **reply, struct coord_error *error)
{
    struct coord_error scratch;
    struct coord_error *e = error != NULL ? error : &scratch;
    if (method == CLIENT_AUTHENTICATE) {
        return call_once(client, method, request, header, reply, e);
    }
    enum coord_code code = COORD_OK;
    for (int tries = 0; tries < 2; tries++) {
        *reply = NULL;
        code = auth_prepare(client, e);
        if (code != COORD_OK) {
            return code;
        }
        code = call_once(client, method, request, header, reply, e);
        bool is_void = code == COORD_DENIED && e->grpc_status == (int)GRPC_UNAUTHENTICATED;
        if (!is_void || !auth_renew(client)) {
            return code;
        }
    }
    return code;
}

const char *client_authorization(const struct coord_client *client)
{
    return client->authorization;
}

const char *client_endpoint(const struct coord_client *client)
{
    return client->endpoints[client->current].name;
}
