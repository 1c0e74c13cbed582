#include "client/keepalive.h"

#include "client/client_internal.h"
#include "client/convert.h"
#include "client/socket.h"
#include "coord/v1/lease.pb-c.h"
#include "coord/v1/session.pb-c.h"

static void begin(struct keepalive *k);
static void on_changed(struct stream *s);

static struct keepalive_question *first(const struct keepalive *k)
{
    return list_empty(&k->questions)
               ? NULL
               : LIST_OF(k->questions.next, struct keepalive_question, link);
}

/* Those whose time has passed while others were asked: to be sent without any would only end the
 * stream for those behind. */
static void answer_late(struct keepalive *k)
{
    struct keepalive_question *q;
    struct coord_error error;
    (void)client_fail(&error, COORD_TIMEOUT, "no time was left when its turn came, behind others");
    while ((q = first(k)) != NULL && socket_now_ms() >= q->deadline_ms) {
        list_remove(&q->link);
        q->answered(q, NULL, 0, &error);
    }
}

/* Of what waited behind others. Trust in a session ends when it ends. */
static void begin_next(struct keepalive *k)
{
    struct keepalive_question *q = first(k);
    uint64_t least_ms = socket_now_ms() + q->attempt_ms;
    if (k->method == CLIENT_KEEP_LEASE && q->deadline_ms < least_ms) {
        q->deadline_ms = least_ms; /* for one try */
    }
    begin(k);
}

/* The question is over; the next one's turn comes. */
static void answer(struct keepalive *k, const ProtobufCMessage *reply)
{
    struct keepalive_question *q = first(k);
    struct coord_error error = k->error;
    list_remove(&q->link);
    loop_timer_stop(&k->client->loop, &k->timer);
    if (reply != NULL) {
        (void)client_fail(&error, COORD_OK, "%s", "");
    }
    q->answered(q, reply, k->sent_ms, &error); /* what it asks anew waits for its turn */
    answer_late(k);
    k->is_asking = false;
    if (first(k) != NULL) {
        begin_next(k);
    }
}

static enum stream_result send_question(struct keepalive *k, const ProtobufCMessage *request,
                                        uint64_t until_ms)
{
    if (stream_is_open(&k->stream)) {
        return stream_send(&k->stream, request, &k->error);
    }
    stream_open(k->client, &k->stream,
                &(struct stream_options){.endpoint = k->endpoint,
                                         .method = k->method,
                                         .request = request,
                                         .deadline_ms = until_ms,
                                         .changed = on_changed});
    return STREAM_MESSAGE;
}

/* One try at one endpoint. */
static void try_once(struct keepalive *k)
{
    const struct keepalive_question *q = first(k);
    Coord__V1__SessionKeepAliveRequest session = COORD__V1__SESSION_KEEP_ALIVE_REQUEST__INIT;
    Coord__V1__LeaseKeepAliveRequest lease = COORD__V1__LEASE_KEEP_ALIVE_REQUEST__INIT;
    uint64_t now = socket_now_ms();
    uint64_t until = now + k->attempt_ms;
    until = until < q->deadline_ms ? until : q->deadline_ms;
    lease.id = q->id;
    session.id = q->id;
    session.secret = convert_bytes(q->secret, q->secret != NULL ? COORD_SECRET_BYTES : 0);
    k->sent_ms = now;
    loop_timer_set(&k->client->loop, &k->timer, until);
    enum stream_result result =
        send_question(k, k->method == CLIENT_KEEP_SESSION ? &session.base : &lease.base, until);
    if (result != STREAM_MESSAGE) { /* no memory: anew, in the next round of the loop */
        stream_close(&k->stream);
        loop_timer_set(&k->client->loop, &k->timer, 0);
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* No endpoint has answered in this round. */
static void pause_round(struct keepalive *k)
{
    const struct keepalive_question *q = first(k);
    uint64_t until = socket_now_ms() + client_jitter(k->client, k->pause_ms);
    k->attempt_ms *= 2;
    k->pause_ms = least(k->pause_ms * 2, q->pause_ms_max);
    loop_timer_set(&k->client->loop, &k->timer, least(until, q->deadline_ms));
}

/* `k->error` says why this try came to nothing. */
static void failed(struct keepalive *k, enum stream_result result)
{
    stream_close(&k->stream);
    if (!k->is_asking) {
        return;
    }
    size_t count = k->client->endpoint_count;
    k->endpoint = (k->endpoint + 1) % count;
    k->tries++;
    bool is_final = result == STREAM_REFUSED || result == STREAM_NO_MEMORY;
    if (is_final || socket_now_ms() >= first(k)->deadline_ms) {
        answer(k, NULL);
    } else if (k->tries % count == 0) {
        pause_round(k);
    } else {
        try_once(k);
    }
}

static void on_changed(struct stream *s)
{
    struct keepalive *k = LOOP_OF(s, struct keepalive, stream);
    ProtobufCMessage *reply;
    enum stream_result result = STREAM_MESSAGE;
    while (stream_is_open(s) && result == STREAM_MESSAGE) {
        result = stream_next(s, &reply, &k->error);
        if (result == STREAM_MESSAGE) {
            if (k->is_asking) {
                answer(k, reply);
            }
            client_reply_free(reply);
        } else if (result != STREAM_QUIET) {
            failed(k, result);
        }
    }
}

static void on_timer(struct loop_timer *t)
{
    struct keepalive *k = LOOP_OF(t, struct keepalive, timer);
    if (!stream_is_open(&k->stream)) { /* the pause is over */
        bool is_late = k->tries > 0 && socket_now_ms() >= first(k)->deadline_ms;
        if (is_late) { /* what the last try met says more than one without any time would */
            answer(k, NULL);
        } else {
            try_once(k);
        }
        return;
    }
    (void)client_fail(&k->error, COORD_TIMEOUT, "%s: no answer in time",
                      k->stream.endpoint.name);
    stream_give_up(&k->stream); /* its late answer must not meet the next question */
    failed(k, STREAM_LOST);
}

static void begin(struct keepalive *k)
{
    if (!k->is_begun) {
        k->endpoint = k->client->current;
        k->is_begun = true;
    }
    k->is_asking = true;
    k->tries = 0;
    k->attempt_ms = first(k)->attempt_ms;
    k->pause_ms = first(k)->pause_ms;
    try_once(k);
}

void keepalive_init(struct keepalive *k, struct coord_client *client, enum client_method method)
{
    *k = (struct keepalive){.client = client, .method = method};
    list_init(&k->questions);
    k->timer.fire = on_timer;
}

void keepalive_ask(struct keepalive *k, struct keepalive_question *q)
{
    list_push_back(&k->questions, &q->link);
    if (!k->is_asking) {
        begin(k);
    }
}

void keepalive_close(struct keepalive *k)
{
    stream_close(&k->stream);
    loop_timer_stop(&k->client->loop, &k->timer);
    k->is_asking = true; /* nothing begins from inside here */
    while (first(k) != NULL) {
        struct keepalive_question *q = first(k);
        struct coord_error error;
        (void)client_fail(&error, COORD_CANCELED, "nothing is kept alive any more");
        list_remove(&q->link);
        q->answered(q, NULL, 0, &error);
    }
    k->is_asking = false;
    k->is_begun = false;
}
