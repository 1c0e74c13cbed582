/* The life of a call: from the pool, through its headers and timers, back to the pool. Its
 * messages are in call_receive.c, its answers in call_answer.c. */
#include "base/assert.h"
#include "base/mem.h"
#include "net/grpc/audit.h"
#include "net/grpc/call_internal.h"
#include "net/grpc/memory.h"
#include "net/identity.h"

#define CALLS_POOLED_MAX 4096
/* A pooled call keeps its buffers only if they are small. */
#define CALL_BUF_KEPT_BYTES ((size_t)4 << 10)

static const struct http2_header not_post_headers[] = {
    {HTTP2_TEXT(":status"), HTTP2_TEXT("405"), false},
    {HTTP2_TEXT("allow"), HTTP2_TEXT("POST"), false},
};
static const struct http2_header not_grpc_headers[] = {
    {HTTP2_TEXT(":status"), HTTP2_TEXT("415"), false},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- memory ------------------------------------------------------------------------------ */

static void buf_reuse(struct buf *b)
{
    buf_clear(b);
    if (b->capacity > CALL_BUF_KEPT_BYTES) {
        buf_close(b);
    }
}

struct grpc_call *grpc_call_new(struct grpc_connection *c)
{
    struct list *node = list_pop_front(&c->shared->pool);
    struct grpc_call *call;
    if (node != NULL) {
        call = LIST_OF(node, struct grpc_call, link);
        c->shared->pool_count--;
    } else {
        call = mem_zalloc(sizeof *call);
        list_init(&call->link);
    }
    call->connection = c;
    call->route = NULL;
    call->state = GRPC_CALL_HEADERS;
    call->code = GRPC_OK;
    call->has_responded = false;
    call->has_post = false;
    call->has_extra = false;
    call->has_timeout = false;
    call->bad_timeout = false;
    call->bad_encoding = false;
    call->bad_identity = false;
    call->is_identifying = false;
    call->is_catching_up = false;
    call->is_held = false;
    call->is_denied = false;
    call->is_unknown = false;
    call->outcome = OUTCOME_OK;
    call->outcome_revision = 0;
    call->reply = NULL;
    call->content = GRPC_CONTENT_NONE;
    call->started_us = c->now_us;
    call->deadline_ms = c->now_ms + GRPC_TIMEOUT_DEFAULT_MS; /* of the headers */
    call->wake_ms = UINT64_MAX;
    call->problem.rc = RC_OK;
    call->user_generation = 0;
    call->session = 0;
    call->word = 0;
    call->data = NULL;
    grpc_call_set_timer(call);
    metric_add(c->shared->in_flight, 1);
    return call;
}

static void call_free(struct grpc_call *call)
{
    http2_stream_release(&call->stream);
    buf_close(&call->in);
    buf_close(&call->text);
    buf_close(&call->path);
    buf_close(&call->identities);
    buf_close(&call->authorization);
    buf_close(&call->detail);
    buf_close(&call->facts);
    mem_free(call);
}

void grpc_calls_free(struct list *pool)
{
    struct list *node;
    while ((node = list_pop_front(pool)) != NULL) {
        call_free(LIST_OF(node, struct grpc_call, link));
    }
}

void *grpc_call_scratch(struct grpc_call *call, size_t bytes)
{
    return arena_alloc(&call->connection->shared->scratch, bytes);
}

/* ---- timers ------------------------------------------------------------------------------ */

void grpc_call_set_timer(struct grpc_call *call)
{
    struct heap *timers = &call->connection->timers;
    uint64_t at = call->deadline_ms < call->wake_ms ? call->deadline_ms : call->wake_ms;
    if (at == UINT64_MAX) {
        heap_remove(timers, &call->timer);
    } else {
        heap_update(timers, &call->timer, at);
    }
}

void grpc_call_wake_at(struct grpc_call *call, uint64_t at_ms)
{
    call->wake_ms = at_ms;
    grpc_call_set_timer(call);
}

void grpc_call_timer(struct grpc_call *call)
{
    if (call->state == GRPC_CALL_FINISHED || call->state == GRPC_CALL_HEADERS) {
        http2_stream_reset(&call->stream, HTTP2_CANCEL);
        return;
    }
    if (call->connection->now_ms >= call->deadline_ms) {
        grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
        return;
    }
    grpc_call_wake_at(call, UINT64_MAX);
    if (call->route->method->woken != NULL) {
        call->route->method->woken(call);
    }
}

/* ---- headers ----------------------------------------------------------------------------- */

/* name:password, as often as there are. */
static void digest_take(struct grpc_call *call, struct slice value)
{
    struct buf *identities = &call->identities;
    if (identities->size == 0) {
        buf_append_slice(identities, buf_slice(&call->connection->identities));
    }
    call->bad_identity = call->bad_identity || !identity_add_digest(identities, value) ||
                         !identity_add_super(identities, call->connection->env->super_digest);
}

/* In order of the lengths of the names, so that most headers cost one comparison of numbers. */
void grpc_call_header(struct grpc_call *call, struct slice name, struct slice value)
{
    if (call->state != GRPC_CALL_HEADERS) {
        return; /* trailers of the client mean nothing to us */
    }
    switch (name.size) {
    case 5:
        if (slice_is(name, ":path")) {
            call->route = grpc_routes_find(call->connection->shared->routes, value);
            if (call->route == NULL) {
                grpc_routes_explain(value, &call->problem);
            }
        }
        break;
    case 7:
        if (slice_is(name, ":method")) {
            call->has_post = slice_is(value, "POST");
        }
        break;
    case 12:
        if (slice_is(name, "content-type")) {
            call->content = (uint8_t)grpc_content_parse(value);
        } else if (slice_is(name, "grpc-timeout")) {
            call->has_timeout = true;
            call->bad_timeout = !grpc_timeout_parse(value, &call->timeout_ms);
        } else if (slice_is(name, "coord-digest")) {
            digest_take(call, value);
        }
        break;
    case 13:
        if (slice_is(name, "grpc-encoding")) {
            call->bad_encoding = !slice_is(value, "identity");
        } else if (slice_is(name, "authorization")) {
            buf_clear(&call->authorization);
            buf_append_slice(&call->authorization, value);
        }
        break;
    default: break;
    }
}

/* What is no gRPC at all gets an answer of plain HTTP. */
static bool headers_are_grpc(struct grpc_call *call)
{
    if (call->has_post && call->content != GRPC_CONTENT_NONE) {
        return true;
    }
    if (!call->has_post) {
        http2_respond(&call->stream, not_post_headers, COUNT_OF(not_post_headers), true);
    } else {
        http2_respond(&call->stream, not_grpc_headers, COUNT_OF(not_grpc_headers), true);
    }
    call->has_responded = true;
    grpc_call_finished(call, GRPC_UNIMPLEMENTED);
    return false;
}

static void deadline_set(struct grpc_call *call)
{
    uint64_t timeout_ms = call->has_timeout ? call->timeout_ms : GRPC_TIMEOUT_DEFAULT_MS;
    if (call->route->method->is_long) {
        timeout_ms = call->has_timeout ? timeout_ms : UINT64_MAX;
    } else if (timeout_ms > GRPC_TIMEOUT_MAX_MS) {
        timeout_ms = GRPC_TIMEOUT_MAX_MS;
    }
    uint64_t now_ms = call->connection->now_ms;
    call->deadline_ms = timeout_ms < UINT64_MAX - now_ms ? now_ms + timeout_ms : UINT64_MAX;
    grpc_call_set_timer(call);
}

void grpc_call_headers_end(struct grpc_call *call)
{
    if (call->state != GRPC_CALL_HEADERS) {
        return;
    }
    if (call->stream.headers_too_large) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "headers are larger than %zu bytes",
                       HTTP2_HEADER_BYTES_MAX);
    } else if (!headers_are_grpc(call)) {
        return;
    } else if (call->content == GRPC_CONTENT_OTHER) {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, "only the proto coding is supported");
    } else if (call->route == NULL) {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, "%s", call->problem.text);
    } else if (call->bad_encoding) {
        grpc_call_refuse_encoding(call);
    } else if (call->bad_timeout) {
        grpc_call_fail(call, GRPC_INTERNAL, "malformed grpc-timeout");
    } else if (call->bad_identity) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT,
                       "coord-digest: more than %zu identities, or more than %zu bytes of them",
                       IDENTITIES_MAX, COMMAND_IDENTITIES_BYTES_MAX);
    } else if (call->has_timeout && call->timeout_ms == 0) {
        grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
    } else {
        deadline_set(call);
        if (grpc_call_identify(call) != GRPC_REFUSED) {
            call->state = GRPC_CALL_RECEIVING;
        }
    }
}

/* ---- the end ---------------------------------------------------------------------------- */

void grpc_call_drop_input(struct grpc_call *call)
{
    grpc_memory_give_back(call->connection, call->in.size);
    buf_reuse(&call->in);
}

void grpc_call_drop(struct grpc_call *call)
{
    grpc_memory_give_back(call->connection, call->in.size);
    buf_close(&call->in);
    http2_stream_drop(&call->stream);
}

void grpc_call_closed(struct grpc_call *call)
{
    struct grpc_connection *c = call->connection;
    struct grpc_shared *shared = c->shared;
    if (call->state != GRPC_CALL_FINISHED) {
        grpc_audit_answer(call, GRPC_CANCELLED, true);
    }
    if (call->state == GRPC_CALL_WRITING) {
        node_write_cancel(c->env->node, &call->write);
    } else if (call->state == GRPC_CALL_READING) {
        node_read_cancel(c->env->node, &call->read);
    } else if (call->state == GRPC_CALL_ASKING) {
        node_ttl_cancel(c->env->node, &call->ttl);
    } else if (call->state == GRPC_CALL_CHANGING) {
        node_change_cancel(c->env->node, call->change);
        mem_free(call->change);
        call->change = NULL;
    }
    grpc_call_identify_cancel(call);
    if (call->state != GRPC_CALL_FINISHED) {
        grpc_routes_count(shared->routes, call->route, GRPC_CANCELLED,
                          c->now_us - call->started_us);
        grpc_call_drop_input(call);
    }
    if (call->route != NULL && call->route->method->ended != NULL &&
        call->state != GRPC_CALL_FINISHED) {
        call->route->method->ended(call);
    }
    if (call->route != NULL && call->route->method->closed != NULL) {
        call->route->method->closed(call);
    }
    heap_remove(&c->timers, &call->timer);
    list_remove(&call->link);
    metric_add(shared->in_flight, -1);
    buf_reuse(&call->text);
    buf_reuse(&call->path);
    buf_reuse(&call->identities);
    password_wipe(call->authorization.data, call->authorization.size);
    buf_reuse(&call->authorization);
    buf_reuse(&call->detail);
    buf_reuse(&call->facts);
    if (shared->pool_count < CALLS_POOLED_MAX) {
        list_push_back(&shared->pool, &call->link);
        shared->pool_count++;
    } else {
        call_free(call);
    }
}
