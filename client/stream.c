/* Opening: a token first, if the client shows one; then the exchange, which waits for its
 * connection by itself. */
#include "client/stream.h"

#include <stdlib.h>
#include <string.h>

#include "client/auth.h"
#include "client/chroot.h"
#include "client/client_internal.h"
#include "client/socket.h"

/* A member may be behind in what it knows of users and keys. */
#define VOID_MS 2000

/* Where trying again makes no difference: what is wrong lies in what was asked. */
static bool is_final(const struct exchange_answer *a)
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
    const struct exchange_answer *a = &s->exchange.answer;
    if (a->code == GRPC_OK) {
        (void)client_fail(error, COORD_UNAVAILABLE, "%s: ended the stream", s->endpoint.name);
        return STREAM_LOST;
    }
    bool is_refused = is_final(a);
    (void)client_fail(error, client_code(a->code, a->outcome), "%s%s%s",
                      is_refused ? "" : s->endpoint.name, is_refused ? "" : ": ",
                      a->text[0] != '\0' ? a->text : grpc_code_name(a->code));
    error->grpc_status = (int)a->code;
    memcpy(error->outcome, a->outcome, sizeof a->outcome);
    return is_refused ? STREAM_REFUSED : STREAM_LOST;
}

static void accepted(struct stream *s)
{
    s->void_ms = 0;
    s->was_renewed = false;
}

/* Not every stream begins with a message. One whose connection shows signs of life so long after
 * it was begun would have been refused. */
static void look_if_accepted(struct stream *s)
{
    const struct connection *c = s->exchange.connection;
    uint64_t opened_ms = c != NULL ? connection_opened_ms(c) : 0;
    uint64_t begun_ms = s->exchange.begun_ms > opened_ms ? s->exchange.begun_ms : opened_ms;
    if (opened_ms != 0 && connection_heard_ms(c) >= begun_ms + VOID_MS) {
        accepted(s);
    }
}

/* What it showed, the server took for void: true: it is to be opened again, with what another login
 * came to. One login is enough, but for those that a member answered who did not know yet that it
 * is to ask anybody. */
static bool may_show_another(struct stream *s)
{
    struct coord_client *client = s->client;
    uint64_t now = socket_now_ms();
    s->void_ms = s->void_ms != 0 ? s->void_ms : now;
    bool may_pass = client->user != NULL && now < s->void_ms + VOID_MS;
    if (!may_pass) {
        accepted(s); /* whoever opens it all the same begins anew */
        return false;
    }
    if (!s->was_renewed || client->is_open_cluster) {
        s->was_renewed = auth_renew(client, s->login);
    }
    return true;
}

static enum stream_result ended(const struct stream *s, enum exchange_result result,
                                struct coord_error *error)
{
    switch (result) {
    case EXCHANGE_ANSWERED: return answered(s, error);
    case EXCHANGE_NO_MEMORY:
        (void)client_fail(error, COORD_NO_MEMORY, "out of memory for a stream");
        return STREAM_NO_MEMORY;
    case EXCHANGE_TOO_LARGE:
        (void)client_fail(error, COORD_INTERNAL, "%s: sent a message larger than %zu MiB",
                          s->endpoint.name, EXCHANGE_MESSAGE_BYTES_MAX >> 20);
        return STREAM_LOST;
    default:
        (void)client_fail(error, COORD_UNAVAILABLE, "%s: %s", s->endpoint.name,
                          s->exchange.answer.text);
        return STREAM_LOST;
    }
}

/* ---- opening ----------------------------------------------------------------------------- */

/* Told in the next round of the loop: whoever opens a stream is not called back from there. */
static void fail(struct stream *s, enum stream_result result)
{
    s->failed = result;
    loop_timer_set(&s->client->loop, &s->timer, 0);
}

static void fail_memory(struct stream *s)
{
    fail(s, ended(s, EXCHANGE_NO_MEMORY, &s->error));
}

static void on_timer(struct loop_timer *t)
{
    struct stream *s = LOOP_OF(t, struct stream, timer);
    s->changed(s);
}

static void on_changed(struct exchange *x)
{
    struct stream *s = LOOP_OF(x, struct stream, exchange);
    s->changed(s);
}

static void begin(struct stream *s)
{
    struct connection *c = connections_get(s->client, &s->endpoint, s->use, s->deadline_ms);
    struct exchange_request request = {.path = s->method->path, .changed = on_changed};
    auth_show(s->client, false, &request);
    s->login = s->client->login_number;
    enum exchange_result result =
        c != NULL ? exchange_begin(c, &s->exchange, &request) : EXCHANGE_NO_MEMORY;
    if (result != EXCHANGE_QUIET) {
        fail(s, ended(s, result, &s->error));
        return;
    }
    if (!exchange_send(&s->exchange, slice_make(s->first, s->first_bytes))) {
        exchange_cancel(&s->exchange);
        fail_memory(s);
        return;
    }
    if (s->is_last) {
        exchange_finish(&s->exchange);
    }
    free(s->first);
    s->first = NULL;
}

/* Of a login. When a cluster begins to ask who its clients are, all of them log in at once, and a
 * member checks so many passwords at a time: COORD_LIMITED passes. */
static enum stream_result of_code(enum coord_code code)
{
    bool may_pass = code == COORD_TIMEOUT || code == COORD_UNAVAILABLE ||
                    code == COORD_UNKNOWN || code == COORD_LIMITED;
    return code == COORD_NO_MEMORY ? STREAM_NO_MEMORY : may_pass ? STREAM_LOST : STREAM_REFUSED;
}

static void on_resume(struct gate_waiter *w, const struct coord_error *error)
{
    struct stream *s = LOOP_OF(w, struct stream, waiter);
    if (error->code == COORD_OK) {
        begin(s);
    } else {
        s->error = *error;
        fail(s, of_code(error->code));
    }
}

/* free(3) it. NULL: no memory. */
static uint8_t *pack(const struct coord_client *client, const ProtobufCMessage *request,
                     size_t *bytes)
{
    ProtobufCMessage *inside =
        client->chroot != NULL ? chroot_request(client->chroot, request) : NULL;
    if (client->chroot != NULL && inside == NULL) {
        return NULL;
    }
    request = inside != NULL ? inside : request;
    *bytes = protobuf_c_message_get_packed_size(request);
    uint8_t *packed = malloc(*bytes + 1);
    if (packed != NULL) {
        protobuf_c_message_pack(request, packed);
    }
    client_reply_free(inside);
    return packed;
}

static enum connection_use use_of(enum client_method method)
{
    return method == CLIENT_WATCH           ? CONNECTION_FOR_WATCHES
           : method == CLIENT_SVC_SUBSCRIBE ? CONNECTION_FOR_WATCHES
           : method == CLIENT_ELECTION_OBSERVE ? CONNECTION_FOR_WATCHES
           : method == CLIENT_CONFIG_WATCH ? CONNECTION_FOR_WATCHES
           : method == CLIENT_CONFIG_WATCH_EFFECTIVE ? CONNECTION_FOR_WATCHES
           : method == CLIENT_HEALTH_WATCH ? CONNECTION_FOR_WATCHES
           : method == CLIENT_SNAPSHOT_SAVE ? CONNECTION_FOR_SNAPSHOTS
                                            : CONNECTION_FOR_KEEPALIVES;
}

void stream_open(struct coord_client *client, struct stream *s, const struct stream_options *o)
{
    struct exchange kept = s->exchange;
    uint64_t void_ms = s->void_ms;
    bool was_renewed = s->was_renewed;
    *s = (struct stream){.client = client,
                         .method = method_get(o->method),
                         .endpoint = client->endpoints[o->endpoint % client->endpoint_count],
                         .changed = o->changed,
                         .exchange = kept,
                         .use = use_of(o->method),
                         .deadline_ms = o->deadline_ms,
                         .is_last = o->is_last,
                         .failed = STREAM_MESSAGE,
                         .void_ms = void_ms,
                         .was_renewed = was_renewed};
    s->timer.fire = on_timer;
    s->exchange.heard_ms = socket_now_ms();
    gate_waiter_init(&s->waiter, on_resume);
    s->first = pack(client, o->request, &s->first_bytes);
    if (s->first == NULL) {
        fail_memory(s);
        return;
    }
    if (auth_is_ready(client)) {
        begin(s);
    } else if (auth_wait(client, &s->waiter, &s->error) != COORD_OK) {
        fail(s, of_code(s->error.code));
    }
}

static void close_rest(struct stream *s)
{
    loop_timer_stop(&s->client->loop, &s->timer);
    gate_leave(&s->waiter);
    free(s->first);
    s->first = NULL;
    exchange_release(&s->exchange);
    s->client = NULL;
}

void stream_close(struct stream *s)
{
    if (s->client != NULL) {
        close_rest(s);
    }
}

void stream_give_up(struct stream *s)
{
    if (s->client != NULL) {
        look_if_accepted(s);
        exchange_give_up(&s->exchange);
        close_rest(s);
    }
}

/* ---- messages ---------------------------------------------------------------------------- */

enum stream_result stream_send(struct stream *s, const ProtobufCMessage *request,
                               struct coord_error *error)
{
    if (s->exchange.connection == NULL) {
        return STREAM_MESSAGE;
    }
    size_t size;
    uint8_t *bytes = pack(s->client, request, &size);
    bool was_sent = false;
    if (bytes != NULL) {
        was_sent = exchange_send(&s->exchange, slice_make(bytes, size));
        free(bytes);
    }
    return was_sent ? STREAM_MESSAGE : ended(s, EXCHANGE_NO_MEMORY, error);
}

enum stream_result stream_next(struct stream *s, ProtobufCMessage **reply,
                               struct coord_error *error)
{
    struct slice message;
    if (s->failed != STREAM_MESSAGE) {
        *error = s->error;
        return s->failed;
    }
    if (s->exchange.connection == NULL) {
        return STREAM_QUIET; /* it waits for a token */
    }
    look_if_accepted(s);
    enum exchange_result result = exchange_take(&s->exchange, &message);
    if (result == EXCHANGE_QUIET) {
        return STREAM_QUIET;
    }
    if (result != EXCHANGE_MESSAGE) {
        s->failed = ended(s, result, &s->error);
        bool is_void = s->failed == STREAM_REFUSED &&
                       s->error.grpc_status == (int)GRPC_UNAUTHENTICATED;
        if (is_void && may_show_another(s)) {
            s->failed = STREAM_LOST;
        }
        *error = s->error;
        return s->failed;
    }
    bool has_no_memory;
    accepted(s);
    *reply = method_unpack(s->method, message.size, message.data, &has_no_memory);
    if (*reply != NULL) {
        if (s->client->chroot != NULL) {
            chroot_reply(s->client->chroot, *reply);
        }
        return STREAM_MESSAGE;
    }
    exchange_cancel(&s->exchange);
    if (has_no_memory) {
        s->failed = ended(s, EXCHANGE_NO_MEMORY, &s->error);
    } else {
        s->failed = STREAM_LOST;
        (void)client_fail(&s->error, COORD_UNAVAILABLE, "%s: sent what cannot be decoded",
                          s->endpoint.name);
    }
    *error = s->error;
    return s->failed;
}

uint64_t stream_heard_ms(const struct stream *s)
{
    return s->exchange.heard_ms;
}

int stream_fd(const struct stream *s)
{
    return s->exchange.connection != NULL ? connection_fd(s->exchange.connection) : -1;
}
