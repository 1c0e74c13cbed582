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
 * Whoever is attached only does not count: its writes have request ids. */
#include "client/session.h"

#include <string.h>

#include "client/call.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/socket.h"
#include "coord/v1/session.pb-c.h"

#define SEQUENCE_GENERATION_SHIFT 40
#define ATTEMPT_MS_MIN            50
#define ATTEMPT_MS_MAX            2000

void session_forget(struct client_session *s)
{
    keepalive_close(&s->keepalive);
    *s = (struct client_session){.id = 0};
}

static enum coord_code refuse_second(struct coord_client *client, struct coord_error *error)
{
    if (client->session.has_ended) {
        session_forget(&client->session);
    }
    return client->session.id == 0
               ? COORD_OK
               : client_fail(error, COORD_INVALID, "the client has a session already");
}

/* A call that brings a session, unless there is one already. */
static enum coord_code bring(struct coord_client *client, enum client_method method,
                             ProtobufCMessage *request, Coord__V1__RequestHeader *header,
                             ProtobufCMessage **reply, struct coord_error *error)
{
    enum coord_code code = refuse_second(client, error);
    return code == COORD_OK ? client_call(client, method, request, header, reply, error) : code;
}

static void hold(struct coord_client *client, uint64_t id, const void *secret, uint64_t ttl_ms,
                 uint64_t confirmed_ms)
{
    struct client_session *s = &client->session;
    s->id = id;
    memcpy(s->secret, secret, sizeof s->secret);
    s->ttl_ms = ttl_ms;
    s->confirmed_ms = confirmed_ms;
}

enum coord_code coord_session_open(struct coord_client *client, uint64_t ttl_ms,
                                   const char *owner, struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SessionOpenRequest request = COORD__V1__SESSION_OPEN_REQUEST__INIT;
    ProtobufCMessage *m;
    uint64_t begun_ms = socket_now_ms();
    request.header = &header;
    request.ttl_ms = ttl_ms;
    request.owner = convert_text(owner != NULL ? owner : "");
    enum coord_code code =
        bring(client, CLIENT_SESSION_OPEN, &request.base, &header, &m, error);
    if (code != COORD_OK) {
        return code;
    }
    const Coord__V1__SessionOpenReply *reply = (const Coord__V1__SessionOpenReply *)m;
    if (reply->id == 0 || reply->secret.len != COORD_SECRET_BYTES) {
        code = client_fail(error, COORD_INTERNAL, "the reply names no session");
    } else {
        hold(client, reply->id, reply->secret.data, reply->ttl_ms, begun_ms);
        client->session.has_sequence = true;
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_session_resume(struct coord_client *client, uint64_t id,
                                     const void *secret, uint64_t ttl_ms,
                                     struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SessionResumeRequest request = COORD__V1__SESSION_RESUME_REQUEST__INIT;
    ProtobufCMessage *m;
    uint64_t begun_ms = socket_now_ms();
    request.header = &header;
    request.id = id;
    request.secret = convert_bytes(secret, COORD_SECRET_BYTES);
    request.ttl_ms = ttl_ms;
    enum coord_code code =
        bring(client, CLIENT_SESSION_RESUME, &request.base, &header, &m, error);
    if (code != COORD_OK) {
        return code;
    }
    const Coord__V1__SessionResumeReply *reply = (const Coord__V1__SessionResumeReply *)m;
    hold(client, id, secret, reply->ttl_ms, begun_ms);
    client->session.has_sequence = true;
    client->session.sequence = reply->generation << SEQUENCE_GENERATION_SHIFT;
    client_reply_free(m);
    return COORD_OK;
}

enum coord_code coord_session_attach(struct coord_client *client, uint64_t id,
                                     const void *secret, struct coord_error *error)
{
    enum coord_code code = refuse_second(client, error);
    if (code != COORD_OK) {
        return code;
    }
    hold(client, id, secret, 0, 0);
    code = coord_session_keepalive(client, error);
    if (code != COORD_OK) {
        session_forget(&client->session);
    }
    return code;
}

/* ---- keeping it alive ------------------------------------------------------------------- */

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
static uint64_t deadline_ms(const struct coord_client *client)
{
    uint64_t trusted_ms = coord_session_trusted_ms(client);
    bool is_less = trusted_ms > 0 && trusted_ms < client->timeout_ms;
    return socket_now_ms() + (is_less ? trusted_ms : client->timeout_ms);
}

static enum coord_code judge(struct client_session *s,
                             const Coord__V1__SessionKeepAliveReply *reply, uint64_t sent_ms,
                             struct coord_error *error)
{
    if (reply->outcome != COORD__V1__OUTCOME__OK) {
        enum coord_code code = client_fail_outcome(error, (int)reply->outcome, "");
        s->has_ended = s->has_ended || code == COORD_SESSION_ENDED;
        return code;
    }
    if (reply->ttl_ms == 0 || reply->id != s->id) {
        return client_fail(error, COORD_INTERNAL, "the answer is about another session");
    }
    s->ttl_ms = reply->ttl_ms;
    s->confirmed_ms = sent_ms;
    return client_fail(error, COORD_OK, "%s", "");
}

enum coord_code coord_session_keepalive(struct coord_client *client, struct coord_error *error)
{
    struct client_session *s = &client->session;
    Coord__V1__SessionKeepAliveRequest request = COORD__V1__SESSION_KEEP_ALIVE_REQUEST__INIT;
    struct coord_error scratch;
    ProtobufCMessage *m;
    uint64_t sent_ms;
    error = error != NULL ? error : &scratch;
    if (s->id == 0) {
        return client_fail(error, COORD_INVALID, "the client has no session");
    }
    if (s->has_ended) {
        return client_fail(error, COORD_SESSION_ENDED, "the session has ended");
    }
    request.id = s->id;
    request.secret = convert_bytes(s->secret, sizeof s->secret);
    enum coord_code code =
        keepalive_ask(client, &s->keepalive, CLIENT_KEEP_SESSION, &request.base,
                      first_attempt_ms(s), deadline_ms(client), &m, &sent_ms, error);
    if (code == COORD_OK) {
        code = judge(s, (const Coord__V1__SessionKeepAliveReply *)m, sent_ms, error);
        client_reply_free(m);
    }
    return code;
}

uint64_t coord_session_trusted_ms(const struct coord_client *client)
{
    const struct client_session *s = &client->session;
    uint64_t until_ms = s->confirmed_ms + s->ttl_ms / 10 * 8;
    uint64_t now = socket_now_ms();
    return s->id != 0 && !s->has_ended && until_ms > now ? until_ms - now : 0;
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

/* ---- its end ---------------------------------------------------------------------------- */

enum coord_code coord_session_close(struct coord_client *client, uint64_t *removed,
                                    struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SessionCloseRequest request = COORD__V1__SESSION_CLOSE_REQUEST__INIT;
    struct client_session *s = &client->session;
    ProtobufCMessage *m;
    if (s->id == 0) {
        return client_fail(error, COORD_INVALID, "the client has no session");
    }
    request.header = &header;
    request.id = s->id;
    request.secret = convert_bytes(s->secret, sizeof s->secret);
    enum coord_code code =
        client_call(client, CLIENT_SESSION_CLOSE, &request.base, &header, &m, error);
    if (code == COORD_OK && removed != NULL) {
        *removed = ((const Coord__V1__SessionCloseReply *)m)->removed;
    }
    client_reply_free(m);
    session_forget(s);
    return code;
}

void coord_session_detach(struct coord_client *client)
{
    session_forget(&client->session);
}
