/* Sessions: who holds one, how long it may be trusted, how its writes are numbered.
 *
 * Trust. A keepalive is confirmed only by a leader that was one after the keepalive had
 * arrived, and then the session lives for its TTL at least. So counted from the sending of a
 * confirmed keepalive, 0.8 of the TTL is certain whatever clocks do within 10 % of each other.
 * Opening and resuming count from the beginning of the call, as one of its first tries may be
 * the one that was executed.
 *
 * Numbers. Whoever opened a session counts its writes from 1. Each resume moves the
 * session's generation, and its holder counts on from generation x 2^40, above anything that
 * holders before it can have used; their writes then fall below the window and are refused.
 * Whoever is attached only does not count: its writes have request ids.
 *
 * Following. A session that is followed asks by itself, from a timer, and tells its owner:
 *
 *   SAFE --(0.8 TTL without a confirmed keepalive)--> UNSAFE --(one is confirmed)--> SAFE
 *     +--------------(the cluster says that it has ended)------> LOST <----------------+ */
#include "client/session.h"

#include <string.h>

#include "client/async.h"
#include "client/call.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/lock.h"
#include "client/socket.h"
#include "coord/v1/session.pb-c.h"

#define SEQUENCE_GENERATION_SHIFT 40
#define ATTEMPT_MS_MIN            50
#define ATTEMPT_MS_MAX            2000
#define RETRY_MS                  20 /* doubled with each keepalive that fails */
#define RETRY_MS_MAX              500 /* while it is trusted, and that many in its TTL: */
#define RETRIES_MAX               16
#define FAILURES_MAX              6 /* counted */
#define RETRY_LATE_MS_MAX         1000 /* nothing is to be saved any more */

static uint64_t trusted_until_ms(const struct client_session *s)
{
    return s->confirmed_ms + s->ttl_ms / 10 * 8;
}

static bool is_held(const struct client_session *s)
{
    return s->id != 0 && !s->has_ended;
}

/* ---- what the owner is told -------------------------------------------------------------- */

static void tell(struct client_session *s, enum coord_session_state state,
                 const struct coord_error *error)
{
    if (s->told != state && s->told != COORD_SESSION_LOST) {
        s->told = state;
        locks_session_changed(s->keepalive.client, s->id, state, error);
        if (s->changed != NULL) {
            s->changed(s->context, state, error);
        }
    }
}

/* It keeps itself alive. */
static bool is_kept(const struct client_session *s)
{
    return is_held(s) && s->told != COORD_SESSION_LOST && (s->changed != NULL || s->needs > 0);
}

/* When there is something to do, or to tell. */
static void set_timer(struct coord_client *client, uint64_t not_before_ms)
{
    struct client_session *s = &client->session;
    uint64_t due_ms = LOOP_NEVER;
    if (!is_kept(s)) {
        loop_timer_stop(&client->loop, &s->timer);
        return;
    }
    if (!s->is_asking) {
        due_ms = s->confirmed_ms + s->ttl_ms / 3;
        due_ms = due_ms > not_before_ms ? due_ms : not_before_ms;
    }
    if (s->told == COORD_SESSION_SAFE && trusted_until_ms(s) < due_ms) {
        due_ms = trusted_until_ms(s);
    }
    if (due_ms == LOOP_NEVER) {
        loop_timer_stop(&client->loop, &s->timer);
    } else {
        loop_timer_set(&client->loop, &s->timer, due_ms);
    }
}

bool session_mark_ended(struct coord_client *client, uint64_t id)
{
    struct client_session *s = &client->session;
    bool is_news = s->id == id && !s->has_ended;
    if (is_news) {
        s->has_ended = true;
        loop_timer_stop(&client->loop, &s->timer);
    }
    return is_news;
}

void session_tell_ended(struct coord_client *client, uint64_t id,
                        const struct coord_error *error)
{
    struct client_session *s = &client->session;
    if (s->id == id && s->has_ended) {
        tell(s, COORD_SESSION_LOST, error);
    }
}

static void session_has_ended(struct coord_client *client, uint64_t id,
                              const struct coord_error *error)
{
    if (session_mark_ended(client, id)) {
        session_tell_ended(client, id, error);
    }
}

/* ---- keepalives -------------------------------------------------------------------------- */

/* So short that, when some endpoints are silent, another one is reached before trust ends. */
static uint64_t first_attempt_ms(const struct client_session *s)
{
    uint64_t ms = s->ttl_ms / 8;
    if (s->ttl_ms == 0 || ms > ATTEMPT_MS_MAX) {
        return ATTEMPT_MS_MAX;
    }
    return ms > ATTEMPT_MS_MIN ? ms : ATTEMPT_MS_MIN;
}

/* Whoever holds the session must learn in time that it can no longer be trusted. */
static uint64_t ask_until_ms(const struct coord_client *client)
{
    uint64_t trusted_ms = coord_session_trusted_ms(client);
    bool is_less = trusted_ms > 0 && trusted_ms < client->timeout_ms;
    return socket_now_ms() + (is_less ? trusted_ms : client->timeout_ms);
}

static uint64_t retry_ms_max(const struct coord_client *client)
{
    uint64_t of_ttl_ms = client->session.ttl_ms / RETRIES_MAX;
    uint64_t most_ms = of_ttl_ms < RETRY_MS_MAX ? of_ttl_ms : RETRY_MS_MAX;
    most_ms = coord_session_trusted_ms(client) > 0 ? most_ms : RETRY_LATE_MS_MAX;
    return most_ms > RETRY_MS ? most_ms : RETRY_MS;
}

/* The cluster may be away for long, or may refuse this client for good: it must not be hammered by
 * all who have a session. */
static uint64_t retry_ms(const struct coord_client *client)
{
    uint64_t most_ms = retry_ms_max(client);
    uint64_t ms = (uint64_t)RETRY_MS << client->session.failures;
    return ms < most_ms ? ms : most_ms;
}

static void ask(struct coord_client *client, struct keepalive_question *q)
{
    struct client_session *s = &client->session;
    q->id = s->id;
    q->secret = s->secret;
    q->attempt_ms = first_attempt_ms(s);
    q->pause_ms = retry_ms(client);
    q->pause_ms_max = retry_ms_max(client);
    q->deadline_ms = ask_until_ms(client);
    keepalive_ask(&s->keepalive, q);
}

/* What an answer, or that there was none, says about the session; `error` may be NULL. */
static enum coord_code judge(struct coord_client *client, const ProtobufCMessage *m,
                             uint64_t sent_ms, const struct coord_error *failure,
                             struct coord_error *error)
{
    struct client_session *s = &client->session;
    const Coord__V1__SessionKeepAliveReply *reply = (const Coord__V1__SessionKeepAliveReply *)m;
    if (reply == NULL) {
        *error = *failure;
        return failure->code;
    }
    if (reply->outcome != COORD__V1__OUTCOME__OK) {
        enum coord_code code = client_fail_outcome(error, (int)reply->outcome, "");
        if (code == COORD_SESSION_ENDED) {
            session_has_ended(client, s->id, error);
        }
        return code;
    }
    if (reply->ttl_ms == 0 || reply->id != s->id) {
        return client_fail(error, COORD_INTERNAL, "the answer is about another session");
    }
    s->ttl_ms = reply->ttl_ms;
    s->confirmed_ms = sent_ms > s->confirmed_ms ? sent_ms : s->confirmed_ms;
    s->failures = 0;
    (void)client_fail(error, COORD_OK, "%s", "");
    if (coord_session_trusted_ms(client) > 0 && s->told != COORD_SESSION_LOST) {
        tell(s, COORD_SESSION_SAFE, error);
        /* Also those that became unsafe while the session's owner was not told so. */
        locks_session_changed(client, s->id, COORD_SESSION_SAFE, error);
    }
    return COORD_OK;
}

static void on_answered(struct keepalive_question *q, const ProtobufCMessage *reply,
                        uint64_t sent_ms, const struct coord_error *failure)
{
    struct client_session *s = LOOP_OF(q, struct client_session, question);
    struct coord_client *client = s->keepalive.client;
    s->is_asking = false;
    if (q->id != s->id || failure->code == COORD_CANCELED) {
        return;
    }
    enum coord_code code = judge(client, reply, sent_ms, failure, &s->trouble);
    if (code == COORD_BAD_SECRET) { /* somebody else holds it */
        tell(s, COORD_SESSION_LOST, &s->trouble);
    }
    uint64_t pause_ms = code == COORD_OK ? 0 : client_jitter(client, retry_ms(client));
    s->failures += code != COORD_OK && s->failures < FAILURES_MAX;
    set_timer(client, code == COORD_OK ? 0 : socket_now_ms() + pause_ms);
}

static void on_timer(struct loop_timer *t)
{
    struct client_session *s = LOOP_OF(t, struct client_session, timer);
    struct coord_client *client = s->keepalive.client;
    uint64_t now = socket_now_ms();
    bool is_due = !s->is_asking && now >= s->confirmed_ms + s->ttl_ms / 3;
    if (s->told == COORD_SESSION_SAFE && now >= trusted_until_ms(s)) {
        struct coord_error why;
        (void)client_fail(&why, COORD_TIMEOUT, "no keepalive was confirmed for %llu ms%s%s",
                          (unsigned long long)(now - s->confirmed_ms),
                          s->trouble.message[0] != '\0' ? ": " : "", s->trouble.message);
        tell(s, COORD_SESSION_UNSAFE, &why);
    }
    if (is_due && is_kept(s)) {
        s->is_asking = true;
        s->question.answered = on_answered;
        ask(client, &s->question);
    }
    set_timer(client, now + 1);
}

enum coord_code coord_session_follow(struct coord_client *client, coord_session_fn changed,
                                     void *context, struct coord_error *error)
{
    struct client_session *s = &client->session;
    if (changed != NULL && !is_held(s)) {
        return client_fail(error, COORD_INVALID, "the client has no session");
    }
    client_enter(client);
    s->changed = changed;
    s->context = context;
    s->told = COORD_SESSION_SAFE;
    s->trouble = (struct coord_error){.code = COORD_OK};
    set_timer(client, 0);
    client_leave(client);
    return client_fail(error, COORD_OK, "%s", "");
}

static void set_needs(struct coord_client *client, uint64_t id, bool more)
{
    struct client_session *s = &client->session;
    if (s->id == id && (more || s->needs > 0)) {
        s->needs = more ? s->needs + 1 : s->needs - 1;
        set_timer(client, 0);
    }
}

void session_need(struct coord_client *client, uint64_t id)
{
    set_needs(client, id, true);
}

void session_need_not(struct coord_client *client, uint64_t id)
{
    set_needs(client, id, false);
}

struct asked {
    struct keepalive_question question;
    struct coord_client *client;
    bool is_done;
    enum coord_code code;
    struct coord_error *error;
};

static void on_asked(struct keepalive_question *q, const ProtobufCMessage *reply,
                     uint64_t sent_ms, const struct coord_error *failure)
{
    struct asked *a = LOOP_OF(q, struct asked, question);
    a->is_done = true;
    a->code = judge(a->client, reply, sent_ms, failure, a->error);
}

enum coord_code coord_session_keepalive(struct coord_client *client, struct coord_error *error)
{
    struct client_session *s = &client->session;
    struct coord_error scratch;
    struct asked a = {.question.answered = on_asked,
                      .client = client,
                      .error = error != NULL ? error : &scratch};
    if (s->id == 0) {
        return client_fail(error, COORD_INVALID, "the client has no session");
    }
    if (s->has_ended) {
        return client_fail(error, COORD_SESSION_ENDED, "the session has ended");
    }
    if (client->depth > 0) {
        return client_fail(error, COORD_INVALID, "no call inside a callback may wait");
    }
    ask(client, &a.question);
    (void)client_wait(client, &a.is_done, LOOP_NEVER, NULL); /* it ends by itself */
    return a.code;
}

uint64_t coord_session_trusted_ms(const struct coord_client *client)
{
    const struct client_session *s = &client->session;
    uint64_t until_ms = trusted_until_ms(s);
    uint64_t now = socket_now_ms();
    return is_held(s) && until_ms > now ? until_ms - now : 0;
}

uint64_t coord_session_due_ms(const struct coord_client *client)
{
    const struct client_session *s = &client->session;
    uint64_t due_ms = s->confirmed_ms + s->ttl_ms / 3;
    uint64_t now = socket_now_ms();
    return due_ms > now ? due_ms - now : 0;
}

bool coord_session_info(const struct coord_client *client, struct coord_session *info)
{
    const struct client_session *s = &client->session;
    if (s->id == 0) {
        return false;
    }
    *info = (struct coord_session){.id = s->id, .ttl_ms = s->ttl_ms};
    memcpy(info->secret, s->secret, sizeof info->secret);
    return true;
}

/* ---- beginning --------------------------------------------------------------------------- */

void session_init(struct coord_client *client)
{
    struct client_session *s = &client->session;
    keepalive_init(&s->keepalive, client, CLIENT_KEEP_SESSION);
    s->timer.fire = on_timer;
}

void session_forget(struct coord_client *client)
{
    struct client_session *s = &client->session;
    struct coord_error why;
    (void)client_fail(&why, COORD_SESSION_ENDED, "the client has closed the session");
    locks_session_changed(client, s->id, COORD_SESSION_LOST, &why);
    s->id = 0; /* so that what is answered from here on is not about it */
    loop_timer_stop(&client->loop, &s->timer);
    keepalive_close(&s->keepalive);
    *s = (struct client_session){.id = 0};
    session_init(client);
}

static enum coord_code refuse_second(struct coord_client *client, struct coord_error *error)
{
    if (client->session.has_ended) {
        session_forget(client);
    }
    return client->session.id == 0
               ? COORD_OK
               : client_fail(error, COORD_INVALID, "the client has a session already");
}

static void hold(struct coord_client *client, uint64_t id, const void *secret, uint64_t ttl_ms,
                 uint64_t confirmed_ms)
{
    struct client_session *s = &client->session;
    s->id = id;
    memcpy(s->secret, secret, sizeof s->secret);
    s->ttl_ms = ttl_ms;
    s->confirmed_ms = confirmed_ms;
    s->told = COORD_SESSION_SAFE;
}

static void take_opened(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    const Coord__V1__SessionOpenReply *reply = (const Coord__V1__SessionOpenReply *)m;
    struct coord_client *client = a->client;
    if (client->session.id != 0) {
        result->code =
            client_fail(&a->error, COORD_INVALID, "the client has a session already");
    } else if (reply->id == 0 || reply->secret.len != COORD_SECRET_BYTES) {
        result->code = client_fail(&a->error, COORD_INTERNAL, "the reply names no session");
    } else {
        hold(client, reply->id, reply->secret.data, reply->ttl_ms, a->begun_ms);
        client->session.has_sequence = true;
    }
}

enum coord_code coord_session_open_async(struct coord_client *client, uint64_t ttl_ms,
                                         const char *owner, coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error)
{
    Coord__V1__SessionOpenRequest request = COORD__V1__SESSION_OPEN_REQUEST__INIT;
    enum coord_code code = refuse_second(client, error);
    if (code != COORD_OK) {
        return code;
    }
    request.ttl_ms = ttl_ms;
    request.owner = convert_text_or_none(owner);
    const struct async_options options = {
        .method = CLIENT_SESSION_OPEN, .take = take_opened, .done = done, .context = context};
    return async_start(client, &options, &request.base, call, error);
}

static void take_resumed(struct async *a, const ProtobufCMessage *m,
                         struct coord_result *result)
{
    const Coord__V1__SessionResumeReply *reply = (const Coord__V1__SessionResumeReply *)m;
    struct coord_client *client = a->client;
    if (client->session.id != 0) {
        result->code =
            client_fail(&a->error, COORD_INVALID, "the client has a session already");
        return;
    }
    hold(client, a->session.id, a->session.secret, reply->ttl_ms, a->begun_ms);
    client->session.has_sequence = true;
    client->session.sequence = reply->generation << SEQUENCE_GENERATION_SHIFT;
}

enum coord_code coord_session_resume_async(struct coord_client *client, uint64_t id,
                                           const void *secret, uint64_t ttl_ms,
                                           coord_done_fn done, void *context,
                                           struct coord_call **call, struct coord_error *error)
{
    Coord__V1__SessionResumeRequest request = COORD__V1__SESSION_RESUME_REQUEST__INIT;
    enum coord_code code = refuse_second(client, error);
    if (code != COORD_OK) {
        return code;
    }
    request.id = id;
    request.secret = convert_bytes(secret, COORD_SECRET_BYTES);
    request.ttl_ms = ttl_ms;
    struct async_options options = {.method = CLIENT_SESSION_RESUME,
                                    .take = take_resumed,
                                    .done = done,
                                    .context = context};
    options.session.id = id;
    memcpy(options.session.secret, secret, COORD_SECRET_BYTES);
    return async_start(client, &options, &request.base, call, error);
}

/* ---- its end ---------------------------------------------------------------------------- */

static void take_closed(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    (void)a;
    result->count = ((const Coord__V1__SessionCloseReply *)m)->removed;
}

enum coord_code coord_session_close_async(struct coord_client *client, coord_done_fn done,
                                          void *context, struct coord_call **call,
                                          struct coord_error *error)
{
    Coord__V1__SessionCloseRequest request = COORD__V1__SESSION_CLOSE_REQUEST__INIT;
    const struct client_session *s = &client->session;
    if (s->id == 0) {
        return client_fail(error, COORD_INVALID, "the client has no session");
    }
    request.id = s->id;
    request.secret = convert_bytes(s->secret, sizeof s->secret);
    const struct async_options options = {
        .method = CLIENT_SESSION_CLOSE, .take = take_closed, .done = done, .context = context};
    client_enter(client); /* what it leaves behind is done by the loop, which is to be told */
    enum coord_code code = async_start(client, &options, &request.base, call, error);
    session_forget(client);
    client_leave(client);
    return code;
}

void coord_session_detach(struct coord_client *client)
{
    client_enter(client);
    session_forget(client);
    client_leave(client);
}

/* ---- waiting for it ---------------------------------------------------------------------- */

enum coord_code coord_session_open(struct coord_client *client, uint64_t ttl_ms,
                                   const char *owner, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_session_open_async(client, ttl_ms, owner, async_waited, &w, NULL, error);
    }
    return code == COORD_OK ? async_wait(client, &w) : code;
}

enum coord_code coord_session_resume(struct coord_client *client, uint64_t id,
                                     const void *secret, uint64_t ttl_ms,
                                     struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_session_resume_async(client, id, secret, ttl_ms, async_waited, &w, NULL,
                                          error);
    }
    return code == COORD_OK ? async_wait(client, &w) : code;
}

enum coord_code coord_session_attach(struct coord_client *client, uint64_t id,
                                     const void *secret, struct coord_error *error)
{
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = refuse_second(client, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    hold(client, id, secret, 0, 0);
    client_hold(client);
    code = coord_session_keepalive(client, error);
    if (code != COORD_OK) {
        session_forget(client);
    }
    client_let_go(client);
    return code;
}

enum coord_code coord_session_close(struct coord_client *client, uint64_t *removed,
                                    struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_session_close_async(client, async_waited, &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w);
    }
    if (code == COORD_OK && removed != NULL) {
        *removed = w.count;
    }
    return code;
}
