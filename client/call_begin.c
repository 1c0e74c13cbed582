/* What comes before the first try of a call: its place in the queue, a token, a request id or a
 * sequence number; and how its bytes are made.
 *
 * The header is made anew for each try. It is the first field of every request, and fields may
 * come in any order, so it is put in front of the rest, which is packed once. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "client/auth.h"
#include "client/chroot.h"
#include "client/call_internal.h"
#include "client/convert.h"
#include "client/socket.h"
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/tree.pb-c.h"

#define HEADER_FIELD    1
#define SEQUENCE_WINDOW 1000 /* the cluster remembers 1,024 outcomes of a session */

/* ---- bytes ------------------------------------------------------------------------------- */

static enum coord_code pack_body(struct coord_call *call, ProtobufCMessage *request)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "header");
    ProtobufCMessage *header = NULL;
    char *place = field != NULL ? (char *)request + field->offset : NULL;
    if (place != NULL) {
        memcpy(&header, place, sizeof header);
        memset(place, 0, sizeof header);
    }
    call->body_bytes = protobuf_c_message_get_packed_size(request);
    call->body = malloc(call->body_bytes + 1);
    if (call->body != NULL) {
        protobuf_c_message_pack(request, call->body);
    }
    if (place != NULL) {
        memcpy(place, &header, sizeof header);
    }
    return call->body != NULL ? COORD_OK : COORD_NO_MEMORY;
}

/* Up to which number the client has all answers. */
static uint64_t answered_to(const struct coord_call *call)
{
    uint64_t first = call->sequence;
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &call->client->calls)
    {
        const struct coord_call *other = LIST_OF(it, struct coord_call, link);
        bool is_earlier = other->session_id == call->session_id && other->sequence != 0 &&
                          other->sequence < first;
        first = is_earlier ? other->sequence : first;
    }
    return first - 1;
}

static void fill_header(const struct coord_call *call, Coord__V1__RequestHeader *header,
                        Coord__V1__SessionRef *session, Coord__V1__RequestId *id)
{
    const struct coord_client *client = call->client;
    header->consistency = (Coord__V1__Consistency)client->consistency;
    header->bound_ms = client->bound_ms;
    header->min_index = client->applied_index;
    if (call->session_id != 0) {
        session->id = call->session_id;
        session->sequence = call->sequence;
        session->answered_to = call->sequence != 0 ? answered_to(call) : 0;
        header->session = session;
    }
    if (call->has_id) {
        *id = call->id;
        header->request_id = id;
    }
    if (call_is_write(call)) {
        header->note = call->note != NULL ? call->note : client->note;
    }
}

static size_t put_varint(uint8_t *to, size_t value)
{
    size_t bytes = 0;
    for (; value >= 0x80; value >>= 7) {
        to[bytes++] = (uint8_t)(value | 0x80);
    }
    to[bytes++] = (uint8_t)value;
    return bytes;
}

uint8_t *call_pack(const struct coord_call *call, struct slice *message)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SessionRef session = COORD__V1__SESSION_REF__INIT;
    Coord__V1__RequestId id = COORD__V1__REQUEST_ID__INIT;
    if (call->method->has_no_header) {
        uint8_t *copy = (uint8_t *)convert_copy(call->body, call->body_bytes);
        *message = slice_make(copy, call->body_bytes);
        return copy;
    }
    fill_header(call, &header, &session, &id);
    size_t header_bytes = coord__v1__request_header__get_packed_size(&header);
    uint8_t *bytes = malloc(header_bytes + call->body_bytes + 16);
    if (bytes == NULL) {
        return NULL;
    }
    size_t size = 0;
    bytes[size++] = (uint8_t)(HEADER_FIELD << 3 | 2); /* a message, by its length */
    size += put_varint(bytes + size, header_bytes);
    size += coord__v1__request_header__pack(&header, bytes + size);
    memcpy(bytes + size, call->body, call->body_bytes);
    *message = slice_make(bytes, size + call->body_bytes);
    return bytes;
}

/* ---- request ids ------------------------------------------------------------------------- */

static void on_time(void *context, enum coord_code code, ProtobufCMessage **reply,
                    const struct coord_error *error)
{
    struct coord_client *client = context;
    (void)code;
    (void)reply;
    client->time_gate.call = NULL;
    gate_resume(&client->time_gate, error);
}

/* The first write of a client, unless a read came before it, costs one more round trip: its
 * request id needs the cluster's time, which every reply carries. */
static enum coord_code ask_time(struct coord_client *client, struct coord_error *error)
{
    Coord__V1__StatusRequest request = COORD__V1__STATUS_REQUEST__INIT;
    if (client->time_gate.call != NULL) {
        return COORD_OK;
    }
    return client_start(client, CLIENT_STATUS, &request.base, on_time, client,
                        &client->time_gate.call, error);
}

static enum coord_code make_id(struct coord_call *call)
{
    const struct coord_client *client = call->client;
    uint64_t words[2];
    if (getrandom(words, sizeof words, 0) != (ssize_t)sizeof words) {
        return client_fail(&call->error, COORD_INTERNAL, "the system gives no random numbers");
    }
    coord__v1__request_id__init(&call->id);
    call->id.issued_ms = client->cluster_ms + (socket_now_ms() - client->cluster_ms_at);
    call->id.high = words[0];
    call->id.low = words[1];
    call->has_id = true;
    return COORD_OK;
}

/* ---- before a try ------------------------------------------------------------------------ */

/* What could not be told yet is told in the next round of the loop. */
static void fail_soon(struct coord_call *call)
{
    call->state = CALL_FAILED;
    loop_timer_set(&call->client->loop, &call->timer, 0);
}

void call_prepare(struct coord_call *call)
{
    struct coord_client *client = call->client;
    enum coord_code code = COORD_OK;
    call->state = CALL_GATED;
    call->tries = 0;
    call->attempt_ms = CALL_ATTEMPT_MS;
    call->pause_ms = CALL_PAUSE_MS;
    loop_timer_stop(&client->loop, &call->timer);
    if (!call->is_login && !auth_is_ready(client)) {
        code = auth_wait(client, &call->waiter, &call->error);
    } else if (call_is_write(call) && call->sequence == 0 && !call->has_id) {
        if (!client->knows_time) {
            code = ask_time(client, &call->error);
            if (code == COORD_OK) {
                gate_wait(&client->time_gate, &call->waiter);
            }
        } else {
            code = make_id(call);
        }
    }
    if (code != COORD_OK) {
        fail_soon(call);
    } else if (list_empty(&call->waiter.link)) {
        call_try(call);
    }
}

/* Those who asked have had their own time for it, which may be more than is left for this call. */
static void on_resume(struct gate_waiter *w, const struct coord_error *error)
{
    struct coord_call *call = LOOP_OF(w, struct coord_call, waiter);
    bool may_pass = error->code == COORD_TIMEOUT || error->code == COORD_UNAVAILABLE ||
                    error->code == COORD_UNKNOWN;
    uint64_t now = socket_now_ms();
    bool has_time = now + CALL_LAST_TRY_MS < call->deadline_ms;
    if (error->code == COORD_OK ? now < call->deadline_ms : may_pass && has_time) {
        call_prepare(call);
        return;
    }
    if (error->code == COORD_OK) {
        call_give_up(call);
        return;
    }
    call->error = *error;
    call_finish(call);
}

/* ---- the queue --------------------------------------------------------------------------- */

static bool is_numbered(const struct coord_call *call)
{
    const struct client_session *s = &call->client->session;
    return call_is_write(call) && call->session_id != 0 && call->session_id == s->id &&
           s->has_sequence;
}

/* One of the calls under way, which wait or do not, has a number so old that with another one it
 * would fall out of the window. */
static bool is_window_full(const struct coord_call *call, bool waits)
{
    const struct client_session *s = &call->client->session;
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &call->client->calls)
    {
        const struct coord_call *other = LIST_OF(it, struct coord_call, link);
        if (other->session_id == call->session_id && other->sequence != 0 &&
            method_waits(other->method) == waits &&
            other->sequence + SEQUENCE_WINDOW <= s->sequence) {
            return true;
        }
    }
    return false;
}

/* Whether it may begin now. One that waits for a lock holds up none: they get request ids then. */
static bool fits(const struct coord_call *call)
{
    return (method_waits(call->method) ||
            call->client->calls_in_flight < CALLS_IN_FLIGHT_MAX) &&
           (!is_numbered(call) || !is_window_full(call, false));
}

static void begin(struct coord_call *call)
{
    struct coord_client *client = call->client;
    struct client_session *s = &client->session;
    list_remove(&call->link);
    list_push_back(&client->calls, &call->link);
    client->calls_in_flight += !method_waits(call->method);
    if (is_numbered(call) && !is_window_full(call, true)) {
        call->sequence = ++s->sequence;
    }
    call_prepare(call);
}

void call_start_queued(struct coord_client *client)
{
    while (!list_empty(&client->queued_calls) && !client->is_closing) {
        struct coord_call *call = LIST_OF(client->queued_calls.next, struct coord_call, link);
        if (!fits(call)) {
            return;
        }
        begin(call);
    }
}

/* ---- the calls --------------------------------------------------------------------------- */

enum coord_code client_start(struct coord_client *client, enum client_method method,
                             ProtobufCMessage *request, call_done_fn done, void *context,
                             struct coord_call **out, struct coord_error *error)
{
    return client_start_noted(client, method, request, NULL, done, context, out, error);
}

void call_free(struct coord_call *call)
{
    free(call->own_path);
    free(call->note);
    free(call->body);
    free(call);
}

/* `timeout_ms` 0: the client's. NULL: no memory. */
static struct coord_call *new_call(struct coord_client *client, const struct method *method,
                                   const char *note, uint32_t timeout_ms)
{
    struct coord_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    call->client = client;
    call->method = method;
    call->note = note != NULL ? strdup(note) : NULL;
    if (note != NULL && call->note == NULL) {
        call_free(call);
        return NULL;
    }
    call->timer.fire = call_on_timer;
    call->deadline_ms = socket_now_ms() + (timeout_ms != 0 ? timeout_ms : client->timeout_ms);
    call->is_login = method == method_get(CLIENT_AUTHENTICATE);
    call->session_id = method->kind != METHOD_SESSION ? client->session.id : 0;
    call->error = (struct coord_error){.code = COORD_OK, .grpc_status = -1};
    gate_waiter_init(&call->waiter, on_resume);
    list_init(&call->link);
    return call;
}

/* Its body is packed. */
static void start(struct coord_call *call, call_done_fn done, void *context,
                  struct coord_call **out)
{
    struct coord_client *client = call->client;
    call->done = done;
    call->context = context;
    if (out != NULL) {
        *out = call;
    }
    bool is_urgent = call->is_login || out == &client->time_gate.call;
    if (is_urgent) { /* others wait for it, so it does not wait for them */
        begin(call);
    } else {
        list_push_back(&client->queued_calls, &call->link);
        loop_timer_set(&client->loop, &call->timer, call->deadline_ms);
        call_start_queued(client);
    }
}

enum coord_code client_start_noted(struct coord_client *client, enum client_method method,
                                   ProtobufCMessage *request, const char *note,
                                   call_done_fn done, void *context, struct coord_call **out,
                                   struct coord_error *error)
{
    enum coord_code code = client_may_begin(client, error);
    if (code != COORD_OK) {
        return code;
    }
    struct coord_call *call = new_call(client, method_get(method), note, 0);
    if (call == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    ProtobufCMessage *inside =
        client->chroot != NULL ? chroot_request(client->chroot, request) : request;
    bool is_packed = inside != NULL && pack_body(call, inside) == COORD_OK;
    if (inside != request) {
        client_reply_free(inside);
    }
    if (!is_packed) {
        call_free(call);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    start(call, done, context, out);
    return COORD_OK;
}

/* What is known of a method that only the server knows: every reply has a header as its first
 * field, which is all that a SyncReply has. It may be a write. */
static bool take_unknown(struct coord_call *call, const struct call_packed *packed)
{
    call->own_path = strdup(packed->path);
    call->own = (struct method){.path = call->own_path,
                                .reply = &coord__v1__sync_reply__descriptor,
                                .kind = METHOD_WRITE};
    call->method = &call->own;
    call->is_once = !packed->is_idempotent;
    return call->own_path != NULL;
}

enum coord_code client_start_packed(struct coord_client *client,
                                    const struct call_packed *packed, call_done_fn done,
                                    void *context, struct coord_call **out,
                                    struct coord_error *error)
{
    static const struct method unknown = {.kind = METHOD_WRITE};
    enum coord_code code = client_may_begin(client, error);
    if (code != COORD_OK) {
        free(packed->body.data);
        return code;
    }
    struct coord_call *call =
        new_call(client, packed->known != NULL ? packed->known : &unknown, packed->note,
                 packed->timeout_ms);
    if (call == NULL) {
        free(packed->body.data);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    call->body = packed->body.data;
    call->body_bytes = packed->body.size;
    call->raw = packed->reply;
    if (packed->known == NULL && !take_unknown(call, packed)) {
        call_free(call);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    start(call, done, context, out);
    return COORD_OK;
}

static void cancel(struct coord_call *call, const char *why)
{
    (void)client_fail(&call->error, COORD_CANCELED, "%s", why);
    call_leave(call);
}

void coord_cancel(struct coord_call *call)
{
    struct coord_client *client = call->client;
    client_enter(client);
    cancel(call, "the call was canceled");
    client_leave(client);
}

void call_close_all(struct coord_client *client)
{
    struct list *rows[] = {&client->queued_calls, &client->calls};
    for (size_t i = 0; i < 2; i++) {
        while (!list_empty(rows[i])) { /* the client is closing: none is left behind */
            cancel(LIST_OF(rows[i]->next, struct coord_call, link), "the client was closed");
        }
    }
}

/* ---- waiting for one --------------------------------------------------------------------- */

struct waited {
    bool is_done;
    enum coord_code code;
    ProtobufCMessage *reply;
    struct coord_error *error; /* may be NULL */
};

static void on_done(void *context, enum coord_code code, ProtobufCMessage **reply,
                    const struct coord_error *error)
{
    struct waited *w = context;
    w->is_done = true;
    w->code = code;
    if (code == COORD_OK) {
        w->reply = *reply;
        *reply = NULL;
    }
    if (w->error != NULL) {
        *w->error = *error;
    }
}

enum coord_code client_call(struct coord_client *client, enum client_method method,
                            ProtobufCMessage *request, Coord__V1__RequestHeader *header,
                            ProtobufCMessage **reply, struct coord_error *error)
{
    struct waited w = {.error = error};
    struct coord_call *call = NULL;
    (void)header;
    *reply = NULL;
    if (client->depth > 0) {
        return client_fail(error, COORD_INVALID, "no call inside a callback may wait");
    }
    enum coord_code code = client_start(client, method, request, on_done, &w, &call, error);
    if (code != COORD_OK) {
        return code;
    }
    (void)client_wait(client, &w.is_done, LOOP_NEVER, error); /* it ends by itself */
    *reply = w.reply;
    return w.code;
}

enum coord_code client_do(struct coord_client *client, enum client_method method,
                          ProtobufCMessage *request, struct coord_error *error)
{
    ProtobufCMessage *reply;
    enum coord_code code = client_call(client, method, request, NULL, &reply, error);
    client_reply_free(reply);
    return code;
}

const char *client_endpoint(const struct coord_client *client)
{
    return client->endpoints[client->current].name;
}

bool client_is_busy(const struct coord_client *client)
{
    return !list_empty(&client->calls) || !list_empty(&client->queued_calls);
}

const char *client_authorization(const struct coord_client *client)
{
    return client->authorization;
}
