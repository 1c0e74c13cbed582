#include "client/stream.h"

#include <stdlib.h>
#include <string.h>

#include "client/auth.h"
#include "client/client_internal.h"

struct stream {
    const struct method *method;
    const struct endpoint *endpoint; /* the client's */
    struct connection *connection;
    struct connection_answer answer;
};

/* Where trying again makes no difference: what is wrong lies in what was asked. */
static bool is_final(const struct connection_answer *a)
{
    switch (a->code) {
    case GRPC_INVALID_ARGUMENT:
    case GRPC_NOT_FOUND:
    case GRPC_ALREADY_EXISTS:
    case GRPC_PERMISSION_DENIED:
    case GRPC_UNAUTHENTICATED:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNIMPLEMENTED: return true;
    default: return a->outcome[0] != '\0';
    }
}

static enum stream_result answered(const struct stream *s, struct coord_error *error)
{
    const struct connection_answer *a = &s->answer;
    if (a->code == GRPC_OK) {
        (void)client_fail(error, COORD_UNAVAILABLE, "%s: ended the stream", s->endpoint->name);
        return STREAM_LOST;
    }
    bool is_refused = is_final(a);
    (void)client_fail(error, client_code(a->code, a->outcome), "%s%s%s",
                      is_refused ? "" : s->endpoint->name, is_refused ? "" : ": ",
                      a->text[0] != '\0' ? a->text : grpc_code_name(a->code));
    error->grpc_status = (int)a->code;
    memcpy(error->outcome, a->outcome, sizeof a->outcome);
    return is_refused ? STREAM_REFUSED : STREAM_LOST;
}

static enum stream_result ended(const struct stream *s, enum connection_result result,
                                struct coord_error *error)
{
    switch (result) {
    case CONNECTION_ANSWERED: return answered(s, error);
    case CONNECTION_NO_MEMORY:
        (void)client_fail(error, COORD_NO_MEMORY, "out of memory for a stream");
        return STREAM_NO_MEMORY;
    case CONNECTION_TOO_LARGE:
        (void)client_fail(error, COORD_INTERNAL, "%s: sent a message larger than %zu MiB",
                          s->endpoint->name, CONNECTION_REPLY_BYTES_MAX >> 20);
        return STREAM_LOST;
    default:
        (void)client_fail(error, COORD_UNAVAILABLE, "%s: %s", s->endpoint->name,
                          s->answer.text);
        return STREAM_LOST;
    }
}

enum stream_result stream_open(struct coord_client *client, size_t endpoint,
                               enum client_method method, uint64_t deadline_ms,
                               struct stream **out, struct coord_error *error)
{
    if (auth_prepare(client, error) != COORD_OK) {
        bool may_pass = error->code == COORD_TIMEOUT || error->code == COORD_UNAVAILABLE;
        return error->code == COORD_NO_MEMORY ? STREAM_NO_MEMORY
               : may_pass                     ? STREAM_LOST
                                              : STREAM_REFUSED;
    }
    struct stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)client_fail(error, COORD_NO_MEMORY, "out of memory for a stream");
        return STREAM_NO_MEMORY;
    }
    s->method = method_get(method);
    s->endpoint = &client->endpoints[endpoint];
    struct wire_tls tls;
    s->connection =
        connection_open(s->endpoint->host, s->endpoint->port, client_tls(client, &tls),
                        deadline_ms, s->answer.text, sizeof s->answer.text);
    if (s->connection != NULL) {
        connection_authorize(s->connection, client->authorization);
    }
    enum connection_result result =
        s->connection == NULL
            ? CONNECTION_NOT_SENT
            : connection_begin(s->connection, s->endpoint->name, s->method->path, &s->answer);
    if (result != CONNECTION_MESSAGE) {
        enum stream_result failed = ended(s, result, error);
        stream_close(s);
        return failed;
    }
    *out = s;
    return STREAM_MESSAGE;
}

void stream_close(struct stream *s)
{
    if (s != NULL) {
        connection_close(s->connection);
        free(s);
    }
}

enum stream_result stream_send(struct stream *s, const ProtobufCMessage *request,
                               struct coord_error *error)
{
    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    if (bytes == NULL) {
        return ended(s, CONNECTION_NO_MEMORY, error);
    }
    protobuf_c_message_pack(request, bytes);
    enum connection_result result = connection_send(s->connection, slice_make(bytes, size));
    free(bytes);
    return result == CONNECTION_MESSAGE ? STREAM_MESSAGE : ended(s, result, error);
}

void stream_finish(struct stream *s)
{
    connection_finish(s->connection);
}

enum stream_result stream_next(struct stream *s, uint64_t deadline_ms, ProtobufCMessage **reply,
                               struct coord_error *error)
{
    struct slice message;
    enum connection_result result = connection_receive(s->connection, deadline_ms, &message);
    if (result == CONNECTION_TIMEOUT) {
        return STREAM_QUIET;
    }
    if (result != CONNECTION_MESSAGE) {
        return ended(s, result, error);
    }
    bool has_no_memory;
    *reply = method_unpack(s->method, message.size, message.data, &has_no_memory);
    if (*reply != NULL) {
        return STREAM_MESSAGE;
    }
    if (has_no_memory) {
        return ended(s, CONNECTION_NO_MEMORY, error);
    }
    (void)client_fail(error, COORD_UNAVAILABLE, "%s: sent what cannot be decoded",
                      s->endpoint->name);
    return STREAM_LOST;
}

uint64_t stream_heard_ms(const struct stream *s)
{
    return connection_heard_ms(s->connection);
}

int stream_fd(const struct stream *s)
{
    return connection_fd(s->connection);
}

const char *stream_endpoint(const struct stream *s)
{
    return s->endpoint->name;
}
