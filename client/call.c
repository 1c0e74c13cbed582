/* Which endpoint, how often, and what may be said about the outcome.
 *
 *   QUEUED --> GATED --> TRYING --> (decided) --> done
 *                ^         | ^
 *                |         v |
 *   (another id) +------ PAUSING
 *
 *   decided by the cluster          -> that is it
 *   not sent, refused, UNAVAILABLE  -> not executed: again, at the next endpoint
 *   lost, no answer, UNKNOWN        -> perhaps executed: again too, as a write carries the same
 *                                      request id each time and gets its first outcome
 *   out of time                     -> the last reason, or COORD_UNKNOWN for a write that was
 *                                      perhaps executed
 *   perhaps executed, of a method   -> COORD_UNKNOWN: nobody can tell whether its server would
 *   that this library does not know    execute it once
 *
 * Once a write was perhaps executed, only an answer that the state machine gave decides it
 * (OK, or one with an outcome): that a later try was refused, by an overloaded node say, tells
 * nothing about the earlier one.
 *
 * After each round over all endpoints there is a pause, and the time for one try doubles: an
 * endpoint that accepts and never answers costs little, while a call that takes long still
 * gets through.
 *
 * A call that waits (of a lock) is not bounded by time while its server shows signs of life: the
 * client's timeout counts from when there is trouble. When it is canceled its caller is told at
 * once, and it goes on as one that does not wait, by the same number or id: so the cluster tells
 * whether it was granted, which is then released, and gives up its place in the queue otherwise.
 *
 * GATED: a token is being asked for, or the time that a request id needs. QUEUED: as many as a
 * server takes at a time are under way, or the oldest of them in the session is so old that its
 * number would fall out of the window in which the cluster remembers outcomes. */
#include "client/call_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/auth.h"
#include "client/chroot.h"
#include "client/connections.h"
#include "client/convert.h"
#include "client/members.h"
#include "client/socket.h"
#include "coord/v1/barrier.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/lock.pb-c.h"

#define SHARED_MS_MIN    100
#define LAST_ANSWERED_MS 100
#define PAUSE_MS_MAX     200
/* The server is told to give up so much earlier than we do, that its reason reaches us. */
#define MARGIN_MS_MAX ((uint64_t)250)
#define MARGIN_SHARE  8

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
    const Coord__V1__ReplyHeader *header = reply_header(reply);
    if (header != NULL) { /* of coord.v1: unpack saw to it */
        client_learn(client, header);
        client->cluster_ms = header->cluster_ms;
        client->cluster_ms_at = socket_now_ms();
        client->knows_time = true;
    }
    members_reached(client);
}

void client_reply_free(ProtobufCMessage *reply)
{
    if (reply != NULL) {
        protobuf_c_message_free_unpacked(reply, NULL);
    }
}

/* Whoever wants the bytes gets them as they came, and no chroot applies. False: no memory. */
static bool keep_bytes(struct coord_call *call, struct slice message)
{
    call->raw_reply.data = (uint8_t *)convert_copy(message.data, message.size);
    call->raw_reply.size = message.size;
    return call->raw_reply.data != NULL;
}

/* Of what came with OK. */
static void unpack(struct coord_call *call, struct slice message)
{
    bool has_no_memory;
    if (call->reply != NULL) {
        return; /* there is one to a call */
    }
    call->reply = method_unpack(call->method, message.size, message.data, &has_no_memory);
    bool is_bare = call->reply != NULL && reply_header(call->reply) == NULL &&
                   !call->method->has_no_header;
    if (is_bare) { /* callers rely on it */
        client_reply_free(call->reply);
        call->reply = NULL;
    }
    if (call->reply != NULL && call->raw != NULL) {
        has_no_memory = !keep_bytes(call, message);
        if (has_no_memory) {
            client_reply_free(call->reply);
            call->reply = NULL;
        }
    } else if (call->reply != NULL && call->client->chroot != NULL) {
        chroot_reply(call->client->chroot, call->reply);
    }
    if (call->reply == NULL) {
        call->reply_code = has_no_memory ? COORD_NO_MEMORY : COORD_INTERNAL;
    }
}

/* ---- the end ----------------------------------------------------------------------------- */

static void forget_reply(struct coord_call *call)
{
    client_reply_free(call->reply);
    call->reply = NULL;
    call->reply_code = COORD_OK;
    free(call->raw_reply.data);
    call->raw_reply = (struct call_bytes){.data = NULL};
}

/* `call->error` says how it ended; calls `done` and frees the call. */
void call_finish(struct coord_call *call)
{
    struct coord_client *client = call->client;
    enum coord_code code = call->error.code;
    bool was_in_flight = call->state != CALL_QUEUED && !method_waits(call->method);
    if (code == COORD_OK) { /* without the story of tries that did not do it */
        call->error = (struct coord_error){.code = COORD_OK, .grpc_status = (int)GRPC_OK};
    } else if (code != COORD_DEADLOCK) {
        forget_reply(call);
    }
    loop_timer_stop(&client->loop, &call->timer);
    gate_leave(&call->waiter);
    exchange_release(&call->exchange);
    list_remove(&call->link);
    client->calls_in_flight -= was_in_flight;
    if (client->calls_in_flight < CALLS_IN_FLIGHT_MAX) {
        call_start_queued(client);
    }
    if (call->raw != NULL) {
        *call->raw = call->raw_reply;
        call->raw_reply = (struct call_bytes){.data = NULL};
    }
    call->done(call->context, code, &call->reply, &call->error);
    forget_reply(call);
    call_free(call);
}

void call_forget(void *context, enum coord_code code, ProtobufCMessage **reply,
                 const struct coord_error *error)
{
    (void)context;
    (void)code;
    (void)reply;
    (void)error;
}

/* What was granted to nobody any more. It can fail, with the end of the lease to follow. */
static void release(struct coord_client *client, const Coord__V1__LockAcquireReply *reply)
{
    Coord__V1__LockReleaseRequest request = COORD__V1__LOCK_RELEASE_REQUEST__INIT;
    struct coord_error error;
    Coord__V1__LockGrant **grants = calloc(reply->n_held + 1, sizeof *grants);
    if (grants == NULL) {
        return;
    }
    for (size_t i = 0; i < reply->n_held; i++) {
        if (reply->held[i]->grant != NULL) {
            grants[request.n_grants++] = reply->held[i]->grant;
        }
    }
    request.grants = grants;
    (void)client_start(client, CLIENT_LOCK_RELEASE, &request.base, call_forget, NULL, NULL,
                       &error);
    free(grants);
}

/* The same of a leadership. */
static void resign(struct coord_client *client, const Coord__V1__ElectionCampaignReply *reply)
{
    Coord__V1__ElectionResignRequest request = COORD__V1__ELECTION_RESIGN_REQUEST__INIT;
    struct coord_error error;
    request.entry = reply->grant;
    (void)client_start(client, CLIENT_ELECTION_RESIGN, &request.base, call_forget, NULL, NULL,
                       &error);
}

/* The same of a party that is inside. */
static void withdraw(struct coord_client *client, const Coord__V1__BarrierEnterReply *reply)
{
    Coord__V1__BarrierLeaveRequest request = COORD__V1__BARRIER_LEAVE_REQUEST__INIT;
    struct coord_error error;
    request.entry = reply->grant;
    (void)client_start(client, CLIENT_BARRIER_WITHDRAW, &request.base, call_forget, NULL, NULL,
                       &error);
}

static void on_left(void *context, enum coord_code code, ProtobufCMessage **reply,
                    const struct coord_error *error)
{
    (void)error;
    if (code == COORD_OK &&
        (*reply)->descriptor == &coord__v1__election_campaign_reply__descriptor) {
        resign(context, (const Coord__V1__ElectionCampaignReply *)*reply);
    } else if (code == COORD_OK &&
               (*reply)->descriptor == &coord__v1__barrier_enter_reply__descriptor) {
        withdraw(context, (const Coord__V1__BarrierEnterReply *)*reply);
    } else if (code == COORD_OK) {
        release(context, (const Coord__V1__LockAcquireReply *)*reply);
    }
}

/* The last of several values of a field counts. */
static bool set_no_wait(struct coord_call *call)
{
    uint8_t *body = realloc(call->body, call->body_bytes + 3);
    if (body == NULL) {
        return false;
    }
    body[call->body_bytes++] = (uint8_t)(call->method->no_wait << 3);
    body[call->body_bytes++] = 1;
    call->body = body;
    return true;
}

void call_leave(struct coord_call *call)
{
    struct coord_client *client = call->client;
    bool may_be_known = call->state == CALL_TRYING || call->maybe_executed;
    bool may_repeat = call->sequence != 0 || call->has_id;
    if (!call_waits(call) || call->method->goes_on || !may_be_known || !may_repeat ||
        client->is_closing || !set_no_wait(call)) {
        call_finish(call);
        return;
    }
    call_done_fn done = call->done;
    void *context = call->context;
    ProtobufCMessage *none = NULL;
    struct coord_error error = call->error;
    call->is_left = true;
    call->done = on_left;
    call->context = client;
    call->maybe_executed = true;
    call->tries = 0;
    call->attempt_ms = CALL_ATTEMPT_MS;
    call->pause_ms = CALL_PAUSE_MS;
    call->deadline_ms = socket_now_ms() + client->timeout_ms;
    gate_leave(&call->waiter);
    exchange_cancel(&call->exchange);
    forget_reply(call);
    call->state = CALL_PAUSING;
    loop_timer_set(&client->loop, &call->timer, 0);
    done(context, error.code, &none, &error);
}

/* Out of time, or refused in a way that says nothing about an earlier try. */
void call_give_up(struct coord_call *call)
{
    struct coord_error *error = &call->error;
    size_t size = strlen(error->message);
    if (error->code == COORD_OK) {
        (void)client_fail(error, COORD_TIMEOUT, "no time left to try");
    } else if (call->maybe_executed) {
        error->code = COORD_UNKNOWN;
        snprintf(error->message + size, sizeof error->message - size,
                 "; an earlier try may have been executed");
    } else if (call->client->endpoint_count > 1) {
        snprintf(error->message + size, sizeof error->message - size,
                 "; none of %zu endpoints could do it", call->client->endpoint_count);
    }
    call_leave(call);
}

/* Refused for its request id's time alone, so that this try did nothing. */
static bool id_was_refused(const struct coord_error *error)
{
    return strcmp(error->outcome, "REQUEST_EXPIRED") == 0 ||
           strcmp(error->outcome, "REQUEST_FUTURE") == 0;
}

/* A session that has ended, or that another process has taken over and used, remembers no
 * outcomes: such a refusal says nothing about an earlier try that was lost. */
static bool is_forgotten(const struct coord_error *error)
{
    return strcmp(error->outcome, "NO_SESSION") == 0 ||
           strcmp(error->outcome, "SEQUENCE_EXPIRED") == 0;
}

/* The outcome is in the call; some outcomes ask for another beginning. */
static void decided(struct coord_call *call)
{
    struct coord_client *client = call->client;
    const struct coord_error *error = &call->error;
    if (error->code == COORD_OK) {
        learn(client, call->reply);
        call_finish(call);
        return;
    }
    bool is_void = error->code == COORD_DENIED &&
                   error->grpc_status == (int)GRPC_UNAUTHENTICATED && !call->is_login;
    if (is_void && !call->was_renewed && auth_renew(client, call->login)) {
        call->was_renewed = true;
        call_prepare(call);
        return;
    }
    /* What a client knows of the cluster's time grows wrong while the cluster has no leader, as
     * its clock stands still then. So time is asked for anew once. */
    if (call->has_id && id_was_refused(error) && !call->maybe_executed && !call->had_other_id) {
        call->had_other_id = true;
        call->has_id = false;
        client->knows_time = false;
        call_prepare(call);
        return;
    }
    /* The call ends before its session's end is told: whoever is told may cancel calls. */
    const struct coord_error why = *error;
    uint64_t session = call->session_id;
    bool is_session_over = call_is_write(call) && session != 0 &&
                           strcmp(why.outcome, "NO_SESSION") == 0 &&
                           session_mark_ended(client, session);
    /* Refused for its id's time, or forgotten: the earlier try is still on its way, or has been
     * forgotten too. */
    bool says_nothing = (call->has_id && id_was_refused(error)) ||
                        (call->session_id != 0 && is_forgotten(error));
    if (call->maybe_executed && says_nothing) {
        call_give_up(call);
    } else {
        call_finish(call);
    }
    if (is_session_over) {
        session_tell_ended(client, session, &why);
    }
}

/* ---- one try ---------------------------------------------------------------------------- */

static const char *endpoint_of(const struct coord_call *call)
{
    return call->client->endpoints[call->endpoint].name;
}

/* The first call that fails there moves all of them on. */
static void next_endpoint(struct coord_call *call)
{
    struct coord_client *client = call->client;
    if (client->current == call->endpoint) {
        client->current = (client->current + 1) % client->endpoint_count;
    }
    members_doubted(client);
}

/* Half of what is left at most, if there are other endpoints: one that is silent must not use
 * up the time of all. The last moments go to whoever has them. */
static uint64_t share_of_time(const struct coord_call *call, uint64_t now, uint64_t wanted_ms)
{
    uint64_t left = call->deadline_ms > now ? call->deadline_ms - now : 0;
    uint64_t share = call->client->endpoint_count > 1 && left > SHARED_MS_MIN ? left / 2 : left;
    return wanted_ms < share ? wanted_ms : share;
}

/* Which waits close the cycle, in place of a reply. */
static void take_deadlock(struct coord_call *call)
{
    struct slice detail = exchange_detail(&call->exchange);
    forget_reply(call);
    if (detail.size > 0) {
        call->reply = protobuf_c_message_unpack(&coord__v1__lock_deadlock__descriptor, NULL,
                                                detail.size, detail.data);
    }
    if (call->reply != NULL && call->client->chroot != NULL) {
        chroot_reply(call->client->chroot, call->reply);
    }
}

/* True: this is the call's outcome. */
static bool judge_answer(struct coord_call *call)
{
    const struct exchange_answer *answer = &call->exchange.answer;
    enum coord_code code = client_code(answer->code, answer->outcome);
    if (code == COORD_OK) {
        if (call->reply != NULL) {
            call->error.code = COORD_OK;
        } else if (call->reply_code == COORD_NO_MEMORY) {
            (void)client_fail(&call->error, COORD_NO_MEMORY, "out of memory for the reply");
        } else {
            (void)client_fail(&call->error, COORD_INTERNAL,
                              call->reply_code != COORD_OK ? "the reply cannot be decoded"
                                                           : "the reply has no message");
            call->error.grpc_status = (int)GRPC_INTERNAL;
        }
        return true;
    }
    bool is_from_store = answer->outcome[0] != '\0';
    bool is_decided = is_from_store || (code != COORD_UNKNOWN && code != COORD_TIMEOUT &&
                                        code != COORD_UNAVAILABLE && !call->maybe_executed);
    if (call_is_write(call) && (code == COORD_UNKNOWN || code == COORD_TIMEOUT)) {
        call->maybe_executed = true;
    }
    call->was_answered = true;
    const char *text = answer->text[0] != '\0' ? answer->text : grpc_code_name(answer->code);
    (void)client_fail(&call->error, code, "%s%s%s", is_decided ? "" : endpoint_of(call),
                      is_decided ? "" : ": ", text);
    call->error.grpc_status = (int)answer->code;
    memcpy(call->error.outcome, answer->outcome, sizeof answer->outcome);
    if (code == COORD_DEADLOCK) {
        take_deadlock(call);
    }
    return is_decided;
}

static const char *executed_text(const struct coord_call *call)
{
    return call->maybe_executed ? "; the write may have been executed" : "";
}

/* True: this is the call's outcome. */
static bool judge_silence(struct coord_call *call, enum exchange_result result, bool timed_out)
{
    const struct exchange_answer *answer = &call->exchange.answer;
    struct coord_error *error = &call->error;
    bool is_unsent = result == EXCHANGE_NOT_SENT || result == EXCHANGE_UNREACHABLE ||
                     (result == EXCHANGE_NO_MEMORY && !answer->was_sent);
    call->maybe_executed = call->maybe_executed || (call_is_write(call) && !is_unsent);
    switch (result) {
    case EXCHANGE_NO_MEMORY:
        (void)client_fail(error, COORD_NO_MEMORY, "out of memory for the %s%s",
                          is_unsent ? "request" : "reply", executed_text(call));
        return true;
    case EXCHANGE_TOO_LARGE:
        (void)client_fail(error, COORD_INTERNAL, "the reply is larger than %zu MiB%s",
                          EXCHANGE_MESSAGE_BYTES_MAX >> 20, executed_text(call));
        return true;
    default: break;
    }
    /* An endpoint that said what it waits for is more telling than one that cannot be reached, or
     * than that a late and short try got no answer. */
    bool tells_less = result == EXCHANGE_UNREACHABLE || timed_out;
    if (call->was_answered && tells_less) {
        return false;
    }
    (void)client_fail(error, timed_out ? COORD_TIMEOUT : COORD_UNAVAILABLE, "%s: %s",
                      endpoint_of(call), answer->text);
    return false;
}

/* ---- all tries -------------------------------------------------------------------------- */

static void end_round(struct coord_call *call)
{
    uint64_t until = socket_now_ms() + client_jitter(call->client, call->pause_ms);
    call->pause_ms = call->pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : call->pause_ms * 2;
    call->attempt_ms *= 2;
    call->state = CALL_PAUSING;
    loop_timer_set(&call->client->loop, &call->timer,
                   until < call->deadline_ms ? until : call->deadline_ms);
}

/* A call that waited well: its time counts from here on, until it has waited well again. */
static void begin_trouble(struct coord_call *call)
{
    uint64_t now = socket_now_ms();
    call->is_troubled = call->is_troubled && now < call->tried_ms + CALL_QUEUED_MS;
    if (call_waits(call) && call->was_alive && !call->is_troubled) {
        call->is_troubled = true;
        call->deadline_ms = now + call->client->timeout_ms;
    }
}

/* A try is over. */
static void judged(struct coord_call *call, bool is_decided)
{
    if (is_decided) {
        decided(call);
        return;
    }
    uint64_t now = socket_now_ms();
    forget_reply(call);
    next_endpoint(call);
    call->tries++;
    /* A try in the last moments betters no answer, but may leave a write in doubt. */
    uint64_t last_ms = call->error.code == COORD_TIMEOUT ? CALL_LAST_TRY_MS
                       : call->was_answered              ? LAST_ANSWERED_MS
                                                         : 0;
    bool is_late = now + last_ms >= call->deadline_ms;
    if (is_late || (call->is_once && call->maybe_executed)) {
        call_give_up(call);
    } else if (call->tries % call->client->endpoint_count == 0) {
        end_round(call);
    } else {
        call_try(call);
    }
}

static void on_changed(struct exchange *x)
{
    struct coord_call *call = LOOP_OF(x, struct coord_call, exchange);
    struct slice message;
    enum exchange_result result;
    while ((result = exchange_take(x, &message)) == EXCHANGE_MESSAGE) {
        unpack(call, message);
    }
    if (result != EXCHANGE_QUIET) {
        begin_trouble(call);
        judged(call, result == EXCHANGE_ANSWERED ? judge_answer(call)
                                                 : judge_silence(call, result, false));
    }
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When a call that waits looks at its server again. */
static uint64_t look_ms(const struct coord_call *call)
{
    return less(CALL_LOOK_MS, call->client->timeout_ms / 8 + 1);
}

/* True: its server shows signs of life, and is asked for the next one. */
static bool goes_on_waiting(struct coord_call *call)
{
    struct coord_client *client = call->client;
    struct connection *c = call->exchange.connection;
    uint64_t now = socket_now_ms();
    if (!call_waits(call) || c == NULL) {
        return false;
    }
    uint64_t heard_ms = connection_heard_ms(c);
    uint64_t since_ms = heard_ms > call->tried_ms ? heard_ms : call->tried_ms;
    if (now >= since_ms + less(CALL_SILENCE_MS, client->timeout_ms / 2 + 1)) {
        return false;
    }
    call->was_alive = call->was_alive || heard_ms > call->tried_ms;
    connection_ping(c, look_ms(call));
    loop_timer_set(&client->loop, &call->timer, now + look_ms(call));
    return true;
}

/* Nothing came in time. The connection may be one that another call, which has more time, began to
 * open: then nothing has been sent yet. */
static void fall_silent(struct coord_call *call)
{
    const struct connection *c = call->exchange.connection;
    bool was_open = c != NULL && connection_opened_ms(c) != 0;
    exchange_give_up(&call->exchange);
    snprintf(call->exchange.answer.text, sizeof call->exchange.answer.text, "%s",
             !was_open          ? "no connection in time"
             : call_waits(call) ? "gives no sign of life"
                                : "no answer in time");
    begin_trouble(call);
    judged(call,
           judge_silence(call, was_open ? EXCHANGE_LOST : EXCHANGE_UNREACHABLE, was_open));
}

void call_on_timer(struct loop_timer *t)
{
    struct coord_call *call = LOOP_OF(t, struct coord_call, timer);
    if (call->state == CALL_TRYING && goes_on_waiting(call)) {
        return;
    }
    if (call->state == CALL_UNSENT) {
        judged(call, judge_silence(call, call->unsent, false));
    } else if (call->state == CALL_FAILED) {
        call_finish(call);
    } else if (call->state == CALL_TRYING) {
        fall_silent(call);
    } else if (call->state == CALL_PAUSING &&
               socket_now_ms() + (call->was_answered ? LAST_ANSWERED_MS : 0) <
                   call->deadline_ms) {
        call_try(call);
    } else {
        call_give_up(call);
    }
}

/* Sends the request. Not EXCHANGE_QUIET: it did not go out. */
static enum exchange_result send_request(struct coord_call *call, struct connection *c,
                                         uint64_t server_ms)
{
    struct slice message;
    uint8_t *memory = call_pack(call, &message);
    struct exchange_request request = {
        .path = call->method->path,
        .timeout_ms = call_waits(call) ? 0 : server_ms > 0 ? server_ms : 1,
        .changed = on_changed};
    auth_show(call->client, call->is_login, &request);
    call->login = call->client->login_number;
    enum exchange_result result =
        memory != NULL ? exchange_begin(c, &call->exchange, &request) : EXCHANGE_NO_MEMORY;
    if (result == EXCHANGE_QUIET && !exchange_send(&call->exchange, message)) {
        exchange_cancel(&call->exchange);
        result = EXCHANGE_NO_MEMORY;
    }
    free(memory);
    exchange_finish(&call->exchange);
    call->exchange.answer.was_sent = false;
    return result;
}

/* Less than a try has, in which an endpoint would else be taken for one that was asked, and perhaps
 * has done it. If there is no other one it may have more. */
static uint64_t connect_ms(const struct coord_call *call)
{
    return call->client->endpoint_count > 1 ? call->attempt_ms / 2 : call->attempt_ms / 4 * 3;
}

/* One try at the present endpoint. */
void call_try(struct coord_call *call)
{
    struct coord_client *client = call->client;
    uint64_t now = socket_now_ms();
    uint64_t ours = share_of_time(call, now, call->attempt_ms);
    uint64_t margin = ours / MARGIN_SHARE < MARGIN_MS_MAX ? ours / MARGIN_SHARE : MARGIN_MS_MAX;
    call->state = CALL_TRYING;
    call->tried_ms = now;
    call->was_alive = false;
    call->endpoint = client->current;
    struct connection *c =
        connections_get(client, &client->endpoints[call->endpoint], CONNECTION_FOR_CALLS,
                        now + less(connect_ms(call), ours - margin));
    enum exchange_result result = EXCHANGE_UNREACHABLE;
    if (c == NULL) {
        snprintf(call->exchange.answer.text, sizeof call->exchange.answer.text,
                 "out of memory");
    } else {
        result = send_request(call, c, ours - margin);
    }
    if (result == EXCHANGE_QUIET) {
        loop_timer_set(&client->loop, &call->timer,
                       now + (call_waits(call) ? look_ms(call) : ours));
    } else {
        call->unsent = result; /* not told before client_start has returned */
        call->state = CALL_UNSENT;
        loop_timer_set(&client->loop, &call->timer, 0);
    }
}
