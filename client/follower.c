#include "client/follower.h"

#include "client/client_internal.h"
#include "client/members.h"
#include "client/socket.h"

#define LOOK_MS      1000 /* so often it is looked at */
#define SILENCE_MS   4000
#define BEGIN_MS     2000 /* for the first message to come; doubled in each round */
#define DOUBLED_MAX  3
#define PAUSE_MS_MAX 1000

static void on_changed(struct stream *stream);

void follower_header(const struct follower *f, Coord__V1__RequestHeader *header)
{
    coord__v1__request_header__init(header);
    header->consistency = (Coord__V1__Consistency)f->client->consistency;
    header->bound_ms = f->client->bound_ms;
    header->min_index = f->client->applied_index;
}

void follower_ask(struct follower *f, const ProtobufCMessage *request)
{
    f->opened_ms = socket_now_ms();
    retry_opened(&f->retry);
    stream_open(f->client, &f->stream,
                &(struct stream_options){.endpoint = f->retry.endpoint,
                                         .method = f->ops->method,
                                         .request = request,
                                         .is_last = true,
                                         .deadline_ms = f->opened_ms +
                                                        retry_connect_ms(&f->retry, f->client),
                                         .changed = on_changed});
    loop_timer_set(&f->client->loop, &f->timer, f->opened_ms + LOOK_MS);
}

static void go_down(struct follower *f, const struct coord_error *error)
{
    f->trouble = *error;
    uint64_t pause_ms = retry_failed(&f->retry, f->client, 0, PAUSE_MS_MAX);
    stream_close(&f->stream);
    members_doubted(f->client);
    loop_timer_set(&f->client->loop, &f->timer, socket_now_ms() + pause_ms);
}

void follower_stop(struct follower *f)
{
    stream_close(&f->stream);
    loop_timer_stop(&f->client->loop, &f->timer);
}

/* The stream has ended. */
static void fail(struct follower *f, enum stream_result result, const struct coord_error *error)
{
    if (result != STREAM_REFUSED) {
        go_down(f, error);
        return;
    }
    follower_stop(f);
    if (f->ops->refused(f, error)) {
        go_down(f, error);
    }
}

static void on_changed(struct stream *stream)
{
    struct follower *f = LOOP_OF(stream, struct follower, stream);
    while (stream_is_open(&f->stream)) {
        ProtobufCMessage *m;
        struct coord_error error;
        enum stream_result result = stream_next(&f->stream, &m, &error);
        if (result == STREAM_QUIET) {
            return;
        }
        if (result != STREAM_MESSAGE) {
            fail(f, result, &error);
            return;
        }
        retry_live(&f->retry, 0);
        f->trouble.code = COORD_OK;
        bool is_there = f->ops->take(f, m);
        client_reply_free(m);
        if (!is_there) {
            return;
        }
    }
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The last sign of life, or since when one is due. */
static uint64_t since_ms(const struct follower *f, const struct connection *c)
{
    uint64_t open_ms =
        c != NULL ? later(connection_opened_ms(c), connection_heard_ms(c)) : 0;
    return later(open_ms, f->opened_ms);
}

/* Until when there must be a sign of life; and a message, where one comes at once. */
static uint64_t patience_ms(const struct follower *f)
{
    const struct connection *c = f->stream.exchange.connection;
    uint64_t alive_ms = since_ms(f, c) + SILENCE_MS;
    if (c != NULL && connection_opened_ms(c) == 0) { /* it tells by itself when it is late */
        uint64_t late_ms = f->opened_ms + retry_connect_ms(&f->retry, f->client) + LOOK_MS;
        alive_ms = later(alive_ms, late_ms);
    }
    size_t rounds = f->retry.failures / f->client->endpoint_count;
    rounds = rounds < DOUBLED_MAX ? rounds : DOUBLED_MAX;
    uint64_t begun_ms = f->opened_ms + ((uint64_t)BEGIN_MS << rounds);
    bool must_begin = f->ops->begins_at_once && f->retry.live_ms == 0;
    return must_begin && begun_ms < alive_ms ? begun_ms : alive_ms;
}

static void go_silent(struct follower *f)
{
    struct coord_error error;
    (void)client_fail(&error, COORD_UNAVAILABLE, "%s: no sign of life for %d ms",
                      f->stream.endpoint.name, SILENCE_MS);
    stream_give_up(&f->stream);
    go_down(f, &error);
}

static void on_timer(struct loop_timer *t)
{
    struct follower *f = LOOP_OF(t, struct follower, timer);
    uint64_t now = socket_now_ms();
    if (!stream_is_open(&f->stream)) {
        f->ops->ask(f);
        return;
    }
    struct connection *c = f->stream.exchange.connection;
    if (now >= patience_ms(f)) {
        go_silent(f);
        return;
    }
    if (c != NULL && connection_heard_ms(c) > f->opened_ms) {
        f->trouble.code = COORD_OK;
    }
    if (c != NULL) {
        connection_ping(c, LOOK_MS);
    }
    loop_timer_set(&f->client->loop, &f->timer, now + LOOK_MS);
}

void follower_start(struct follower *f, struct coord_client *client,
                    const struct follower_ops *ops)
{
    *f = (struct follower){.client = client,
                           .ops = ops,
                           .retry.endpoint = client->current,
                           .timer.fire = on_timer};
    f->ops->ask(f);
}
