/* How a call is answered: messages, trailers, statuses; and how it asks the node. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "net/grpc/audit.h"
#include "net/grpc/call_internal.h"
#include "net/grpc/memory.h"
#include "net/memory.h"
#include "raft/message.h"

#define CALL_TEXT_BYTES 512

static const struct http2_header response_headers[] = {
    {HTTP2_TEXT(":status"), HTTP2_TEXT("200"), false},
    {HTTP2_TEXT("content-type"), HTTP2_TEXT("application/grpc"), false},
};
static const struct http2_header ok_trailers[] = {
    {HTTP2_TEXT("grpc-status"), HTTP2_TEXT("0"), false},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the end of a call ------------------------------------------------------------------- */

void grpc_call_finished(struct grpc_call *call, enum grpc_code code)
{
    struct grpc_connection *c = call->connection;
    struct env *env = c->env->env;
    PRE(call->state != GRPC_CALL_FINISHED);
    call->state = GRPC_CALL_FINISHED;
    call->code = (uint8_t)code;
    grpc_call_drop_input(call);
    grpc_call_identify_cancel(call);
    list_remove(&call->link);
    call->wake_ms = UINT64_MAX;
    call->deadline_ms = env->now_ms(env) + GRPC_LINGER_MS;
    grpc_call_set_timer(call);
    grpc_routes_count(c->shared->routes, call->route, code,
                      env->now_us(env) - call->started_us);
    grpc_audit_answer(call, code, false);
    grpc_memory_note_replies(c);
    c->env->sink.wake(c->env->sink.conn);
    if (call->route != NULL && call->route->method->ended != NULL) {
        call->route->method->ended(call);
    }
}

static void trailer_add(struct grpc_call *call, size_t *count, const char *name,
                        struct slice value, bool is_unique)
{
    PRE(*count < GRPC_TRAILERS_MAX);
    call->trailers[(*count)++] = (struct http2_header){slice_str(name), value, is_unique};
}

/* The beginning of the header list that ends the call: trailers, or, when nothing was sent yet,
 * the only headers there are. */
static size_t trailers_begin(struct grpc_call *call, enum grpc_code code)
{
    size_t count = 0;
    if (!call->has_responded) {
        for (; count < COUNT_OF(response_headers); count++) {
            call->trailers[count] = response_headers[count];
        }
    }
    trailer_add(call, &count, "grpc-status", grpc_code_text(code), false);
    return count;
}

static void trailers_send(struct grpc_call *call, size_t count)
{
    if (call->has_responded) {
        http2_stream_finish(&call->stream, call->trailers, count);
    } else {
        http2_respond(&call->stream, call->trailers, count, true);
        call->has_responded = true;
    }
}

/* So many bytes of a text that was cut, of which the last character may lack some. */
static size_t whole_characters(const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t last = size > 0 ? size - 1 : 0;
    while (last > 0 && (bytes[last] & 0xc0) == 0x80) {
        last--;
    }
    return utf8_length(bytes + last, size - last) > 0 ? size : last;
}

/* Puts the message into call->text, encoded; returns its size there. */
__attribute__((format(printf, 2, 0)))
static size_t text_set(struct grpc_call *call, const char *format, va_list args)
{
    char plain[CALL_TEXT_BYTES];
    int bytes = vsnprintf(plain, sizeof plain, format, args);
    PRE(bytes >= 0);
    size_t size = (size_t)bytes;
    if (size >= sizeof plain) {
        size = whole_characters(plain, sizeof plain - 1);
    }
    buf_clear(&call->text);
    grpc_message_encode(&call->text, slice_make(plain, size));
    return call->text.size;
}

void grpc_call_fail(struct grpc_call *call, enum grpc_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t bytes = text_set(call, format, args);
    va_end(args);
    size_t count = trailers_begin(call, code);
    trailer_add(call, &count, "grpc-message", slice_make(call->text.data, bytes), true);
    trailers_send(call, count);
    grpc_call_finished(call, code);
}

void grpc_call_detail(struct grpc_call *call, const char *name, const ProtobufCMessage *message)
{
    struct buf packed = {0};
    (void)protobuf_c_message_pack(
        message, buf_extend(&packed, protobuf_c_message_get_packed_size(message)));
    buf_clear(&call->detail);
    base64_encode(&call->detail, buf_slice(&packed));
    while (call->detail.size > 0 && call->detail.data[call->detail.size - 1] == '=') {
        call->detail.size--; /* gRPC wants no padding */
    }
    call->detail_name = name;
    buf_close(&packed);
}

void grpc_call_refuse(struct grpc_call *call, enum outcome outcome, uint64_t revision,
                      const char *format, ...)
{
    static const struct slice names[] = {
#define OUTCOME_NAME(name, text) HTTP2_TEXT(#name),
        OUTCOME_LIST(OUTCOME_NAME)
#undef OUTCOME_NAME
    };
    const size_t prefix = sizeof "OUTCOME_" - 1;
    PRE((unsigned)outcome < COUNT_OF(names));
    struct slice name = slice_make(names[outcome].data + prefix, names[outcome].size - prefix);
    const struct node *node = grpc_call_node(call);
    enum grpc_code code = grpc_code_of_outcome(outcome);
    call->outcome = (uint8_t)outcome;
    call->outcome_revision = revision;

    va_list args;
    va_start(args, format);
    size_t text_bytes = text_set(call, format, args);
    va_end(args);
    buf_printf(&call->text, "%" PRIu64, revision);
    size_t revision_end = call->text.size;
    buf_printf(&call->text, "%" PRIu64, node_term(node));
    const uint8_t *text = call->text.data; /* moves no more */

    size_t count = trailers_begin(call, code);
    trailer_add(call, &count, "grpc-message", slice_make(text, text_bytes), true);
    trailer_add(call, &count, "coord-outcome", name, false);
    trailer_add(call, &count, "coord-revision",
                slice_make(text + text_bytes, revision_end - text_bytes), true);
    trailer_add(call, &count, "coord-term",
                slice_make(text + revision_end, call->text.size - revision_end), true);
    trailer_add(call, &count, "coord-node", slice_str(node_name(node)), false);
    if (call->detail.size > 0) {
        trailer_add(call, &count, call->detail_name, buf_slice(&call->detail), true);
    }
    trailers_send(call, count);
    grpc_call_finished(call, code);
}

enum grpc_code grpc_code_of_outcome(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK: return GRPC_OK;
    case OUTCOME_NO_NODE:
    case OUTCOME_NO_PARENT:
    case OUTCOME_NO_LEASE:
    case OUTCOME_NO_USER:
    case OUTCOME_NO_ROLE:
    case OUTCOME_NO_QUOTA:
    case OUTCOME_NOT_GRANTED:
    case OUTCOME_NOT_HELD:
    case OUTCOME_NO_SESSION: return GRPC_NOT_FOUND;
    case OUTCOME_NODE_EXISTS:
    case OUTCOME_USER_EXISTS:
    case OUTCOME_ROLE_EXISTS:
    case OUTCOME_HELD:
    case OUTCOME_LEASE_EXISTS: return GRPC_ALREADY_EXISTS;
    case OUTCOME_NO_AUTH:
    case OUTCOME_BAD_SECRET: return GRPC_PERMISSION_DENIED;
    case OUTCOME_BAD_VERSION:
    case OUTCOME_DEADLOCK:
    case OUTCOME_WAIT_ENDED:
    case OUTCOME_ROLLED_BACK: return GRPC_ABORTED;
    case OUTCOME_NOT_EMPTY:
    case OUTCOME_GUARD_REFUSED:
    case OUTCOME_GUARD_STALE:
    case OUTCOME_WAITS:
    case OUTCOME_MISMATCH:
    case OUTCOME_NO_RECIPE:
    case OUTCOME_PROTECTED:
    case OUTCOME_EPHEMERAL_PARENT:
    case OUTCOME_REQUEST_EXPIRED:
    case OUTCOME_SEQUENCE_EXPIRED:
    case OUTCOME_NOT_RENEWABLE:
    case OUTCOME_GENERATION_MOVED:
    case OUTCOME_NOT_DUE:
    case OUTCOME_NO_ROOT:
    case OUTCOME_REQUEST_FUTURE: return GRPC_FAILED_PRECONDITION;
    case OUTCOME_BAD_PATH:
    case OUTCOME_BAD_ARGUMENTS:
    case OUTCOME_BAD_PATTERN:
    case OUTCOME_INVALID_ACL:
    case OUTCOME_BAD_CURSOR: return GRPC_INVALID_ARGUMENT;
    case OUTCOME_TOO_LARGE:
    case OUTCOME_QUOTA:
    case OUTCOME_USER_LIMIT:
    case OUTCOME_GRAPH_TOO_LARGE:
    case OUTCOME_LIMIT: return GRPC_RESOURCE_EXHAUSTED;
    case OUTCOME_WAIT_TIMEOUT: return GRPC_DEADLINE_EXCEEDED;
    case OUTCOME_BAD_TTL:
    case OUTCOME_COMPACTED:
    case OUTCOME_FUTURE_REVISION: return GRPC_OUT_OF_RANGE;
    case OUTCOME_UNSUPPORTED: return GRPC_UNIMPLEMENTED;
    case OUTCOME_COUNT: break;
    }
    return GRPC_UNKNOWN;
}

void grpc_call_refuse_encoding(struct grpc_call *call)
{
    static const char text[] = "compressed messages are not supported";
    size_t count = trailers_begin(call, GRPC_UNIMPLEMENTED);
    trailer_add(call, &count, "grpc-message", slice_str(text), false);
    trailer_add(call, &count, "grpc-accept-encoding", slice_str("identity"), false);
    trailers_send(call, count);
    grpc_call_finished(call, GRPC_UNIMPLEMENTED);
}

/* ---- answering --------------------------------------------------------------------------- */

static void call_block(struct grpc_call *call)
{
    list_remove(&call->link);
    list_push_back(&call->connection->blocked, &call->link);
}

bool grpc_call_is_full(struct grpc_call *call)
{
    if (memory_is_behind(call->connection->env->memory)) {
        grpc_call_await_room(call);
        return true;
    }
    if (http2_stream_queued(&call->stream) <= GRPC_STREAM_OUT_BYTES_MAX &&
        http2_queued(call->connection->http2) <= GRPC_OUT_BYTES_MAX) {
        return false;
    }
    call_block(call);
    return true;
}

void grpc_call_await_room(struct grpc_call *call)
{
    struct grpc_connection *c = call->connection;
    call_block(call);
    c->env->sink.wake(c->env->sink.conn);
}

bool grpc_call_has_room(const struct grpc_call *call)
{
    return http2_stream_queued(&call->stream) <= GRPC_STREAM_OUT_BYTES_MAX / 2 &&
           http2_queued(call->connection->http2) <= GRPC_OUT_BYTES_MAX;
}

bool grpc_call_may_scan(struct grpc_call *call)
{
    if (call->connection->scanned < GRPC_TURN_SCAN_MAX) {
        return true;
    }
    grpc_call_await_room(call);
    return false;
}

void grpc_call_scanned(struct grpc_call *call, size_t nodes)
{
    call->connection->scanned += nodes;
}

void grpc_call_hold(struct grpc_call *call)
{
    call->is_held = true;
}

/* It goes on as one does whose client has read. */
void grpc_call_resume(struct grpc_call *call)
{
    PRE(call->state != GRPC_CALL_FINISHED);
    call->is_held = false;
    grpc_call_await_room(call);
}

struct buf *grpc_call_begin(struct grpc_call *call, size_t *begin)
{
    if (!call->has_responded) {
        http2_respond(&call->stream, response_headers, COUNT_OF(response_headers), false);
        call->has_responded = true;
    }
    struct buf *out = http2_stream_out(&call->stream);
    *begin = grpc_frame_begin(out);
    return out;
}

void grpc_call_end(struct grpc_call *call, size_t begin)
{
    struct grpc_connection *c = call->connection;
    size_t bytes = grpc_frame_end(http2_stream_out(&call->stream), begin);
    http2_stream_wrote(&call->stream, bytes);
    grpc_memory_note_replies(c);
    c->env->sink.wake(c->env->sink.conn);
}

struct buf *grpc_call_begin_with(struct grpc_call *call, const ProtobufCMessage *message,
                                 size_t *begin)
{
    struct buf *out = grpc_call_begin(call, begin);
    size_t bytes = protobuf_c_message_get_packed_size(message);
    size_t packed = protobuf_c_message_pack(message, buf_extend(out, bytes));
    POST(packed == bytes);
    return out;
}

void grpc_call_send(struct grpc_call *call, const ProtobufCMessage *message)
{
    size_t begin;
    (void)grpc_call_begin_with(call, message, &begin);
    grpc_call_end(call, begin);
}

void grpc_call_finish(struct grpc_call *call)
{
    if (!call->has_responded) {
        /* A stream without messages: its status is all there is. */
        trailers_send(call, trailers_begin(call, GRPC_OK));
    } else {
        http2_stream_finish(&call->stream, ok_trailers, COUNT_OF(ok_trailers));
    }
    grpc_call_finished(call, GRPC_OK);
}

void grpc_call_reply(struct grpc_call *call, const ProtobufCMessage *message)
{
    grpc_call_send(call, message);
    grpc_call_finish(call);
}

/* ---- asking the node --------------------------------------------------------------------- */

/* Only a bounded read can be: says how far it is from its bound. */
static void call_fail_stale(struct grpc_call *call)
{
    uint64_t age_ms = node_age_ms(grpc_call_node(call));
    uint64_t bound_ms = call->read.bound_ms;
    if (age_ms == UINT64_MAX) {
        grpc_call_fail(call, GRPC_FAILED_PRECONDITION,
                       "nobody knows how old the state here is, asked for at most %" PRIu64
                       " ms",
                       bound_ms);
    } else {
        grpc_call_fail(call, GRPC_FAILED_PRECONDITION,
                       "the state here may be %" PRIu64 " ms old, asked for at most %" PRIu64,
                       age_ms, bound_ms);
    }
}

/* Waiting for the node was given up before the client's own deadline: another member may do. */
static bool is_given_up_early(const struct grpc_call *call)
{
    struct env *env = call->connection->env->env;
    return call->route->method->is_long && env->now_ms(env) < call->deadline_ms;
}

/* The node could not do it. Whoever reads the text must see whether a write may be repeated. */
void grpc_call_fail_status(struct grpc_call *call, enum status rc, bool is_write)
{
    call->is_unknown = is_write && (rc == RC_UNKNOWN || rc == RC_TIMEOUT);
    switch (rc) {
    case RC_UNKNOWN:
        grpc_call_fail(call, GRPC_UNKNOWN, "%s: the write may have been executed",
                       status_text(rc));
        break;
    case RC_TIMEOUT:
        if (!is_write && is_given_up_early(call)) {
            grpc_call_fail(call, GRPC_UNAVAILABLE,
                           "not as fresh as asked for within %d ms, try another node",
                           GRPC_TIMEOUT_DEFAULT_MS);
            break;
        }
        grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, "%s%s", status_text(rc),
                       is_write ? ": the outcome of the write is unknown" : "");
        break;
    case RC_NO_LEADER:
    case RC_NOT_LEADER:
    case RC_STOPPED:
        grpc_call_fail(call, GRPC_UNAVAILABLE, "%s: not executed", status_text(rc));
        break;
    case RC_OVERLOADED:
    case RC_NO_SPACE:
    case RC_TOO_LARGE:
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "%s: not executed", status_text(rc));
        break;
    case RC_STALE: call_fail_stale(call); break;
    default: grpc_call_fail(call, GRPC_INTERNAL, "%s", status_text(rc)); break;
    }
}

/* From here on the node keeps the deadline. */
static void call_awaits_node(struct grpc_call *call, enum grpc_call_state state)
{
    call->state = (uint8_t)state;
    heap_remove(&call->connection->timers, &call->timer);
}

static void call_written_cb(struct node_write *w, enum status rc, const struct reply *reply)
{
    struct grpc_call *call = w->owner;
    call->state = GRPC_CALL_HANDLED;
    if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, true);
    } else {
        call->reply = reply;
        call->written(call, reply);
        call->reply = NULL;
        arena_clear(&call->connection->shared->scratch);
    }
}

void grpc_call_write(struct grpc_call *call, const struct command *c,
                     void (*written)(struct grpc_call *call, const struct reply *reply))
{
    call->written = written;
    call->write = (struct node_write){.done = call_written_cb, .owner = call};
    enum status rc = node_write(grpc_call_node(call), &call->write, c, call->deadline_ms);
    if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, true);
    } else {
        call_awaits_node(call, GRPC_CALL_WRITING);
    }
}

static void call_got_cb(struct node_read *r, enum status rc, const struct query_result *result)
{
    struct grpc_call *call = r->owner;
    call->state = GRPC_CALL_HANDLED;
    if (rc == RC_OK && call->route->method->is_long) {
        grpc_call_recheck(call); /* nobody could end it while the node had it */
    }
    if (call->state == GRPC_CALL_FINISHED) {
        return;
    }
    if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, false);
    } else if (!grpc_memory_admits_reply(call->connection)) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "too many replies wait to be read");
    } else {
        call->got(call, result);
        arena_clear(&call->connection->shared->scratch);
        if (call->state == GRPC_CALL_HANDLED) { /* it goes on, with the deadline it had */
            grpc_call_set_timer(call);
        }
    }
}

uint64_t grpc_call_read_deadline(const struct grpc_call *call)
{
    struct env *env = call->connection->env->env;
    if (!call->route->method->is_long) {
        return call->deadline_ms;
    }
    uint64_t latest_ms = env->now_ms(env) + GRPC_TIMEOUT_DEFAULT_MS;
    return latest_ms < call->deadline_ms ? latest_ms : call->deadline_ms;
}

void grpc_call_read(struct grpc_call *call,
                    void (*got)(struct grpc_call *call, const struct query_result *result))
{
    call->got = got;
    call->read.done = call_got_cb;
    call->read.owner = call;
    call->read.query.identities = grpc_call_identities(call);
    grpc_audit_path(call, call->read.query.path);
    uint64_t deadline_ms = grpc_call_read_deadline(call);
    enum status rc = node_read(grpc_call_node(call), &call->read, deadline_ms);
    if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, false);
    } else {
        call_awaits_node(call, GRPC_CALL_READING);
    }
}

static void call_told_cb(struct node_ttl *t, enum status rc, bool found, uint64_t remaining_ms)
{
    struct grpc_call *call = t->owner;
    call->state = GRPC_CALL_HANDLED;
    if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, false);
    } else {
        call->told(call, found, remaining_ms);
        arena_clear(&call->connection->shared->scratch);
    }
}

void grpc_call_ask_ttl(struct grpc_call *call, uint64_t lease,
                       void (*told)(struct grpc_call *call, bool found,
                                    uint64_t remaining_ms))
{
    call->told = told;
    call->ttl = (struct node_ttl){.done = call_told_cb, .owner = call, .lease = lease};
    enum status rc = node_ttl(grpc_call_node(call), &call->ttl, call->deadline_ms);
    if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, false);
    } else {
        call_awaits_node(call, GRPC_CALL_ASKING);
    }
}

/* ---- changes of the members -------------------------------------------------------------- */

/* So long before the client gives up it is told how far the change is. */
#define CHANGE_MARGIN_MS 100

static void call_changed_cb(struct node_change *change, enum status rc, uint8_t verdict,
                            bool already, const char *text)
{
    struct grpc_call *call = change->owner;
    call->state = GRPC_CALL_HANDLED;
    call->change = NULL;
    if (rc == RC_TIMEOUT) {
        grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, "%s: %s",
                       change->has_begun ? "still under way" : "not begun",
                       text[0] != '\0' ? text : "the leader did not answer");
    } else if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, false);
    } else if (verdict == MEMBER_UNKNOWN) {
        grpc_call_fail(call, GRPC_NOT_FOUND, "%s", text);
    } else if (verdict == MEMBER_REFUSED) {
        grpc_call_fail(call, GRPC_FAILED_PRECONDITION, "%s", text);
    } else {
        call->changed(call, already, text);
        arena_clear(&call->connection->shared->scratch);
    }
    mem_free(change);
}

void grpc_call_change(struct grpc_call *call, const struct node_change *change,
                      void (*changed)(struct grpc_call *call, bool already, const char *detail))
{
    struct env *env = call->connection->env->env;
    uint64_t now = env->now_ms(env);
    uint64_t deadline = call->deadline_ms;
    grpc_audit_change(call, change);
    struct node_change *copy = mem_alloc(sizeof *copy);
    *copy = *change;
    copy->done = call_changed_cb;
    copy->owner = call;
    call->changed = changed;
    deadline = deadline > now + 2 * CHANGE_MARGIN_MS ? deadline - CHANGE_MARGIN_MS : deadline;
    enum status rc = node_change(grpc_call_node(call), copy, deadline);
    if (rc != RC_OK) {
        mem_free(copy);
        grpc_call_fail_status(call, rc, false);
        return;
    }
    call->change = copy;
    call_awaits_node(call, GRPC_CALL_CHANGING);
}
