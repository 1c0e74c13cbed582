/* Any unary RPC, by its name and in its bytes.
 *
 * In all messages of coord.v1 field 1 is the header, which is put in front of the request for each
 * try; so what the caller has there is left out first. */
#include "client/methods.h"

#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/method.h"

#define NAME_BYTES_MAX 255
#define HEADER_FIELD   1

/* ---- names ------------------------------------------------------------------------------- */

static bool is_name(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_."
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *service = s + 1;
    if (s[0] != '/') {
        return false;
    }
    size_t service_bytes = strspn(service, letters);
    if (service_bytes == 0 || service[service_bytes] != '/') {
        return false;
    }
    const char *name = service + service_bytes + 1;
    size_t name_bytes = strspn(name, letters);
    return name_bytes > 0 && name[name_bytes] == '\0' && strlen(s) <= NAME_BYTES_MAX;
}

/* Fills `known`, NULL for one that only a newer server knows. */
static enum coord_code find(const char *name, const struct method **known,
                            struct coord_error *error)
{
    static const char ours[] = "/coord.v1.";
    if (!is_name(name)) {
        return client_fail(error, COORD_INVALID,
                           "\"%.64s\" is no method: \"/coord.v1.Service/Method\" is one, of at "
                           "most %d bytes",
                           name, NAME_BYTES_MAX);
    }
    *known = method_find(name);
    if (*known == NULL && strncmp(name, ours, sizeof ours - 1) != 0) {
        return client_fail(error, COORD_INVALID, "%s is no method of the contract", name);
    }
    if (*known != NULL && (*known)->kind == METHOD_STREAM) {
        return client_fail(error, COORD_INVALID,
                           "%s is a stream: only unary methods are called", name);
    }
    if (*known != NULL && method_waits(*known)) {
        return client_fail(error, COORD_INVALID, "%s waits: it has a call of its own", name);
    }
    return COORD_OK;
}

/* ---- the request ------------------------------------------------------------------------- */

/* How many bytes a number takes; 0: it is none. */
static size_t take_varint(struct slice from, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < from.size && i < 10; i++) {
        *value |= (uint64_t)(from.data[i] & 0x7f) << (7 * i);
        if ((from.data[i] & 0x80) == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* How many bytes the field in front takes, and its number; 0: it is none.
 * protobuf.dev/programming-guides/encoding */
static size_t take_field(struct slice from, uint64_t *number)
{
    uint64_t tag;
    uint64_t size = 0;
    size_t used = take_varint(from, &tag);
    *number = tag >> 3;
    if (used == 0 || *number == 0) {
        return 0;
    }
    struct slice rest = slice_make(from.data + used, from.size - used);
    switch (tag & 7) {
    case 0: size = take_varint(rest, &tag); break;
    case 1: size = 8; break;
    case 2: {
        size_t prefix = take_varint(rest, &size);
        if (prefix == 0 || size > rest.size - prefix) {
            return 0;
        }
        size += prefix;
        break;
    }
    case 5: size = 4; break;
    default: return 0; /* groups are none of proto3's */
    }
    return size > 0 && size <= rest.size ? used + (size_t)size : 0;
}

/* A copy without its header, if it has one; free(3). */
static enum coord_code copy_body(struct slice request, bool has_header, struct call_bytes *body,
                                 struct coord_error *error)
{
    uint8_t *to = malloc(request.size + 1);
    size_t kept = 0;
    if (to == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    for (size_t at = 0; at < request.size;) {
        uint64_t number;
        size_t used = take_field(slice_make(request.data + at, request.size - at), &number);
        if (used == 0) {
            free(to);
            return client_fail(error, COORD_INVALID,
                               "the request is no protobuf message from byte %zu on", at);
        }
        if (!has_header || number != HEADER_FIELD) {
            memcpy(to + kept, request.data + at, used);
            kept += used;
        }
        at += used;
    }
    *body = (struct call_bytes){.data = to, .size = kept};
    return COORD_OK;
}

/* ---- the call ---------------------------------------------------------------------------- */

struct asked {
    struct coord_result result;
    struct coord_error error;
    struct call_bytes reply;
    coord_done_fn done;
    void *context;
};

static void on_done(void *context, enum coord_code code, ProtobufCMessage **reply,
                    const struct coord_error *error)
{
    struct asked *a = context;
    (void)reply; /* its bytes are wanted */
    a->error = *error;
    a->result = (struct coord_result){
        .code = code, .error = &a->error, .path = "", .data = "", .bytes = a->reply.size};
    if (a->reply.data != NULL) {
        a->result.data = a->reply.data;
    }
    if (a->done != NULL) {
        a->done(a->context, &a->result);
    }
    free(a->reply.data);
    free(a);
}

enum coord_code coord_call_method_async(struct coord_client *client, const char *method,
                                        const void *request, size_t bytes,
                                        const struct coord_method_options *options,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error)
{
    static const struct coord_method_options defaults = {.timeout_ms = 0};
    const struct coord_method_options *o = options != NULL ? options : &defaults;
    const struct method *known = NULL;
    struct call_bytes body;
    enum coord_code code = find(method, &known, error);
    if (code == COORD_OK) {
        code = copy_body(slice_make(request, bytes), known == NULL || !known->has_no_header,
                         &body, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    struct asked *a = malloc(sizeof *a);
    if (a == NULL) {
        free(body.data);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    *a = (struct asked){.done = done, .context = context};
    const struct call_packed packed = {.path = method,
                                       .known = known,
                                       .body = body,
                                       .note = o->note,
                                       .timeout_ms = o->timeout_ms,
                                       .is_idempotent = o->is_idempotent,
                                       .reply = &a->reply};
    client_enter(client);
    code = client_start_packed(client, &packed, on_done, a, call, error);
    if (code != COORD_OK) {
        free(a);
    }
    client_leave(client);
    return code;
}

/* ---- waiting for it ---------------------------------------------------------------------- */

struct waited {
    struct async_wait wait;
    struct call_bytes reply;
};

static void on_waited(void *context, const struct coord_result *result)
{
    struct waited *w = context;
    struct asked *a = (struct asked *)(uintptr_t)result; /* it is the first member */
    async_waited(&w->wait, result);
    w->reply = a->reply; /* taken over */
    a->reply = (struct call_bytes){.data = NULL};
}

enum coord_code coord_call_method(struct coord_client *client, const char *method,
                                  const void *request, size_t bytes,
                                  const struct coord_method_options *options, void **reply,
                                  size_t *reply_bytes, struct coord_error *error)
{
    struct waited w = {.wait.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_call_method_async(client, method, request, bytes, options, on_waited, &w,
                                       NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w.wait);
    }
    if (code == COORD_OK && reply_bytes != NULL) {
        *reply_bytes = w.reply.size;
    }
    if (code == COORD_OK && reply != NULL) {
        *reply = w.reply.data;
    } else {
        free(w.reply.data);
    }
    return code;
}
