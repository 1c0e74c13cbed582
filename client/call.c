/* Which endpoint, how often, and what may be said about the outcome.
 *
 *   answered, decided          -> that is it
 *   answered UNAVAILABLE,      -> not executed: the next endpoint, after a pause
 *   not sent
 *   lost, UNKNOWN              -> a read or a write with a request id: again; else COORD_UNKNOWN
 *   deadline                   -> COORD_TIMEOUT if something was sent, else COORD_UNAVAILABLE
 */
#include "client/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "client/client_internal.h"
#include "coord/v1/cluster.pb-c.h"

#define CONNECT_MS 1000 /* one unreachable endpoint must not use up the time of all */
#define ATTEMPT_MS 2000 /* so must one that accepts and does not answer */
#define PAUSE_MS 10
#define PAUSE_MS_MAX 200

const char *coord_code_text(enum coord_code code)
{
    static const char *const texts[] = {
        [COORD_OK] = "ok",
        [COORD_NOT_FOUND] = "not found",
        [COORD_EXISTS] = "exists already",
        [COORD_BAD_VERSION] = "version does not match",
        [COORD_NOT_EMPTY] = "has children",
        [COORD_REFUSED] = "refused",
        [COORD_INVALID] = "not valid",
        [COORD_LIMITED] = "over a limit",
        [COORD_DENIED] = "not allowed",
        [COORD_TIMEOUT] = "no answer in time",
        [COORD_UNAVAILABLE] = "no endpoint can serve",
        [COORD_UNKNOWN] = "outcome unknown",
        [COORD_UNSUPPORTED] = "not supported by the server",
        [COORD_NO_MEMORY] = "out of memory",
        [COORD_INTERNAL] = "internal error",
    };
    return code <= COORD_INTERNAL ? texts[code] : "unknown code";
}

static enum coord_code fail(struct coord_error *error, enum coord_code code, const char *message)
{
    if (error != NULL) {
        error->code = code;
        error->grpc_status = -1;
        error->outcome[0] = '\0';
        snprintf(error->message, sizeof error->message, "%s", message);
    }
    return code;
}

/* ---- request ids ------------------------------------------------------------------------------ */

static uint64_t random_u64(void)
{
    uint64_t v = 0;
    if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        v = (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u ^ (uint64_t)now.tv_sec;
    }
    return v;
}

static const Coord__V1__ReplyHeader *reply_header(const ProtobufCMessage *reply)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(reply->descriptor, "header");
    if (field == NULL) {
        return NULL;
    }
    const Coord__V1__ReplyHeader *header;
    memcpy(&header, (const char *)reply + field->offset, sizeof header);
    return header;
}

static void note_header(struct coord_client *client, const ProtobufCMessage *reply)
{
    const Coord__V1__ReplyHeader *header = reply_header(reply);
    if (header == NULL) {
        return;
    }
    if (header->applied_index > client->applied_index) {
        client->applied_index = header->applied_index;
    }
    if (header->revision > client->revision) {
        client->revision = header->revision;
    }
    client->cluster_ms = header->cluster_ms;
    client->cluster_ms_at = connection_now_ms();
}

/* ---- attempts --------------------------------------------------------------------------------- */

static void drop_connection(struct coord_client *client)
{
    connection_close(client->connection);
    client->connection = NULL;
}

static void next_endpoint(struct coord_client *client)
{
    drop_connection(client);
    if (!client->pinned) {
        client->current = (client->current + 1) % client->endpoint_count;
    }
}

static bool ensure_connection(struct coord_client *client, uint64_t deadline_ms,
                              struct coord_error *error)
{
    if (client->connection != NULL && connection_is_usable(client->connection)) {
        return true;
    }
    drop_connection(client);
    const struct endpoint *e = &client->endpoints[client->current];
    uint64_t until = connection_now_ms() + CONNECT_MS;
    char why[128];
    client->connection = connection_open(e->host, e->port, until < deadline_ms ? until : deadline_ms,
                                         why, sizeof why);
    if (client->connection == NULL) {
        char text[512];
        snprintf(text, sizeof text, "%s: %s", e->name, why);
        (void)fail(error, COORD_UNAVAILABLE, text);
        return false;
    }
    return true;
}

static enum coord_code code_of(const struct connection_answer *a)
{
    if (strcmp(a->outcome, "NOT_EMPTY") == 0) {
        return COORD_NOT_EMPTY;
    }
    switch (a->code) {
    case GRPC_OK: return COORD_OK;
    case GRPC_NOT_FOUND: return COORD_NOT_FOUND;
    case GRPC_ALREADY_EXISTS: return COORD_EXISTS;
    case GRPC_ABORTED: return COORD_BAD_VERSION;
    case GRPC_FAILED_PRECONDITION: return COORD_REFUSED;
    case GRPC_INVALID_ARGUMENT:
    case GRPC_OUT_OF_RANGE: return COORD_INVALID;
    case GRPC_RESOURCE_EXHAUSTED: return COORD_LIMITED;
    case GRPC_PERMISSION_DENIED:
    case GRPC_UNAUTHENTICATED: return COORD_DENIED;
    case GRPC_DEADLINE_EXCEEDED: return COORD_TIMEOUT;
    case GRPC_UNAVAILABLE: return COORD_UNAVAILABLE;
    case GRPC_UNKNOWN: return COORD_UNKNOWN;
    case GRPC_UNIMPLEMENTED: return COORD_UNSUPPORTED;
    default: return COORD_INTERNAL;
    }
}

static enum coord_code explain(const struct connection_answer *a, struct coord_error *error)
{
    enum coord_code code = code_of(a);
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)a->status.size, (const char *)a->status.data);
    (void)fail(error, code, a->status.size > 0 ? text : grpc_code_name(a->code));
    if (error != NULL) {
        error->grpc_status = (int)a->code;
        snprintf(error->outcome, sizeof error->outcome, "%s", a->outcome);
    }
    return code;
}

struct attempt {
    const struct client_method *method;
    struct slice request;
    bool repeatable;
    uint64_t deadline_ms;
    bool maybe_executed; /* an earlier try may have been */
    uint64_t pause_ms;
};

/* One try at the present endpoint. True: it is decided, with the reply or the error. */
static bool try_once(struct coord_client *client, struct attempt *a, ProtobufCMessage **reply,
                     struct coord_error *error)
{
    if (!ensure_connection(client, a->deadline_ms, error)) {
        next_endpoint(client);
        return false;
    }
    struct connection_answer answer = {.code = GRPC_UNKNOWN};
    uint64_t until = connection_now_ms() + ATTEMPT_MS;
    bool bounded = a->repeatable && client->endpoint_count > 1 && until < a->deadline_ms;
    enum connection_result result =
        connection_call(client->connection, client->endpoints[client->current].name,
                        a->method->path, a->request, bounded ? until : a->deadline_ms, &answer);
    bool decided = false;
    if (result == CONNECTION_ANSWERED) {
        enum coord_code code = explain(&answer, error);
        if (code == COORD_OK) {
            *reply = protobuf_c_message_unpack(a->method->reply, NULL, answer.message.size,
                                               answer.message.data);
            if (*reply == NULL) {
                (void)fail(error, COORD_INTERNAL, "the reply cannot be decoded");
            }
            decided = true;
        } else if (code == COORD_UNKNOWN || code == COORD_TIMEOUT) {
            a->maybe_executed = true;
            decided = !a->repeatable;
            next_endpoint(client);
        } else if (code == COORD_UNAVAILABLE) {
            next_endpoint(client);
        } else {
            decided = true;
        }
    } else {
        bool unsent = result == CONNECTION_NOT_SENT;
        a->maybe_executed = a->maybe_executed || !unsent;
        decided = !unsent && !a->repeatable;
        (void)fail(error, a->method->is_write && !unsent ? COORD_UNKNOWN : COORD_UNAVAILABLE,
                   result == CONNECTION_TIMEOUT ? "no answer in time" : "connection lost");
        next_endpoint(client);
    }
    connection_answer_close(&answer);
    return decided;
}

static void pause_until(uint64_t *pause_ms, uint64_t deadline_ms)
{
    uint64_t now = connection_now_ms();
    uint64_t ms = *pause_ms;
    ms = now + ms > deadline_ms ? (deadline_ms > now ? deadline_ms - now : 0) : ms;
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
    *pause_ms = *pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : *pause_ms * 2;
}

static enum coord_code run(struct coord_client *client, struct attempt *a, ProtobufCMessage **reply,
                           struct coord_error *error)
{
    size_t tries = 0;
    *reply = NULL;
    a->pause_ms = PAUSE_MS;
    while (connection_now_ms() < a->deadline_ms) {
        if (try_once(client, a, reply, error)) {
            if (*reply != NULL) {
                note_header(client, *reply);
                return COORD_OK;
            }
            return error->code;
        }
        tries++;
        if (tries % client->endpoint_count == 0) {
            pause_until(&a->pause_ms, a->deadline_ms);
        }
    }
    if (a->maybe_executed) {
        error->code = COORD_TIMEOUT;
    }
    return error->code == COORD_OK ? fail(error, COORD_TIMEOUT, "no answer in time") : error->code;
}

/* The first write of a client needs the cluster's time for its request id. */
static enum coord_code learn_time(struct coord_client *client, uint64_t deadline_ms,
                                  struct coord_error *error)
{
    static const struct client_method status = {
        .path = "/coord.v1.Cluster/Status", .reply = &coord__v1__status_reply__descriptor};
    if (client->cluster_ms_at != 0) {
        return COORD_OK;
    }
    struct attempt a = {.method = &status,
                        .request = slice_make("", 0),
                        .repeatable = true,
                        .deadline_ms = deadline_ms};
    ProtobufCMessage *reply;
    enum coord_code code = run(client, &a, &reply, error);
    client_reply_free(reply);
    return code;
}

enum coord_code client_call(struct coord_client *client, const struct client_method *method,
                            ProtobufCMessage *request, Coord__V1__RequestHeader *header,
                            ProtobufCMessage **reply, struct coord_error *error)
{
    struct coord_error scratch;
    error = error != NULL ? error : &scratch;
    memset(error, 0, sizeof *error);
    struct attempt a = {
        .method = method,
        .repeatable = true,
        .deadline_ms = connection_now_ms() + client->timeout_ms,
    };
    Coord__V1__RequestId id = COORD__V1__REQUEST_ID__INIT;
    header->consistency = (Coord__V1__Consistency)client->consistency;
    header->bound_ms = client->bound_ms;
    header->min_index = client->applied_index;
    *reply = NULL;
    if (method->is_write) {
        enum coord_code code = learn_time(client, a.deadline_ms, error);
        if (code != COORD_OK) {
            return code;
        }
        id.issued_ms = client->cluster_ms + (connection_now_ms() - client->cluster_ms_at);
        id.high = random_u64();
        id.low = random_u64();
        header->request_id = &id;
        header->note = client->note;
    }
    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    if (bytes == NULL) {
        header->request_id = NULL;
        return fail(error, COORD_NO_MEMORY, "out of memory");
    }
    protobuf_c_message_pack(request, bytes);
    a.request = slice_make(bytes, size);
    enum coord_code code = run(client, &a, reply, error);
    free(bytes);
    header->request_id = NULL;
    return code;
}

void client_reply_free(ProtobufCMessage *reply)
{
    if (reply != NULL) {
        protobuf_c_message_free_unpacked(reply, NULL);
    }
}

const char *client_endpoint(const struct coord_client *client)
{
    return client->endpoints[client->current].name;
}

void client_pin(struct coord_client *client, size_t endpoint)
{
    drop_connection(client);
    client->pinned = true;
    client->current = endpoint;
}

size_t client_endpoint_count(const struct coord_client *client)
{
    return client->endpoint_count;
}

const char *client_endpoint_name(const struct coord_client *client, size_t endpoint)
{
    return client->endpoints[endpoint].name;
}
