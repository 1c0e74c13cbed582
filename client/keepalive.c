#include "client/keepalive.h"

#include "client/client_internal.h"
#include "client/socket.h"
#include "client/stream.h"

#define PAUSE_MS 20 /* after a round in which no endpoint answered */

struct asking {
    enum client_method method;
    const ProtobufCMessage *request;
    uint64_t deadline_ms;
    uint64_t attempt_ms;
    uint64_t sent_ms;
    ProtobufCMessage *reply;
    struct coord_error *error;
};

void keepalive_close(struct keepalive *k)
{
    stream_close(k->stream);
    k->stream = NULL;
}

/* One try at one endpoint. */
static enum stream_result try_once(struct coord_client *client, struct keepalive *k,
                                   struct asking *a)
{
    uint64_t now = socket_now_ms();
    uint64_t until = now + a->attempt_ms;
    until = until < a->deadline_ms ? until : a->deadline_ms;
    enum stream_result result = STREAM_MESSAGE;
    if (k->stream == NULL) {
        result = stream_open(client, k->endpoint, a->method, until, &k->stream, a->error);
    }
    if (result == STREAM_MESSAGE) {
        a->sent_ms = socket_now_ms();
        result = stream_send(k->stream, a->request, a->error);
    }
    if (result == STREAM_MESSAGE) {
        result = stream_next(k->stream, until, &a->reply, a->error);
    }
    if (result == STREAM_QUIET) { /* its late answer must not meet the next question */
        (void)client_fail(a->error, COORD_TIMEOUT, "%s: no answer in time",
                          stream_endpoint(k->stream));
    }
    if (result != STREAM_MESSAGE) {
        keepalive_close(k);
    }
    return result;
}

enum coord_code keepalive_ask(struct coord_client *client, struct keepalive *k,
                              enum client_method method, const ProtobufCMessage *request,
                              uint64_t attempt_ms, uint64_t deadline_ms,
                              ProtobufCMessage **reply, uint64_t *sent_ms,
                              struct coord_error *error)
{
    struct asking a = {.method = method,
                       .request = request,
                       .deadline_ms = deadline_ms,
                       .attempt_ms = attempt_ms,
                       .error = error};
    if (!k->is_begun) {
        k->endpoint = client->current;
        k->is_begun = true;
    }
    for (size_t tries = 1;; tries++) {
        enum stream_result result = try_once(client, k, &a);
        if (result == STREAM_MESSAGE) {
            *reply = a.reply;
            *sent_ms = a.sent_ms;
            return COORD_OK;
        }
        if (result == STREAM_REFUSED || result == STREAM_NO_MEMORY) {
            return error->code;
        }
        k->endpoint = (k->endpoint + 1) % client->endpoint_count;
        if (tries % client->endpoint_count == 0) {
            a.attempt_ms *= 2;
            socket_pause(PAUSE_MS, a.deadline_ms);
        }
        if (socket_now_ms() >= a.deadline_ms) {
            return error->code;
        }
    }
}
