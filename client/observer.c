/* Observing elections: a stream, taken up again at another endpoint when its own fails.
 *
 *   OPEN --(lost, silent)--> DOWN --(at once, or after a pause)--> OPEN, after what was told last
 *     |
 *     +--(refused)--> OVER    COMPACTED alone is no end: it begins anew with who leads now
 *
 * The stream says nothing while nothing changes. So its connection is asked for signs of life, and
 * given up when none comes. */
#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"
#include "client/convert.h"
#include "client/elections.h"
#include "client/members.h"
#include "client/socket.h"
#include "client/stream.h"
#include "coord/v1/election.pb-c.h"

#define CONNECT_MS   1000
#define LOOK_MS      1000 /* so often it is looked at */
#define SILENCE_MS   4000
#define PAUSE_MS     20 /* after a round over all endpoints; then more */
#define PAUSE_MS_MAX 1000

struct coord_observer {
    struct coord_client *client;
    char *path;
    coord_election_fn changed;
    void *context;
    struct stream stream;
    struct loop_timer timer; /* open: when to look at it; down: when to try again */
    size_t endpoint;
    size_t failures; /* since it brought something last */
    uint64_t opened_ms;
    uint64_t after_revision; /* of what was told last */
    bool has_missed;
    bool is_telling;
    bool is_closed; /* from inside the callback */
};

static void on_changed(struct stream *stream);

static void open_stream(struct coord_observer *o)
{
    const struct coord_client *client = o->client;
    Coord__V1__ElectionObserveRequest request = COORD__V1__ELECTION_OBSERVE_REQUEST__INIT;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    header.consistency = (Coord__V1__Consistency)client->consistency;
    header.bound_ms = client->bound_ms;
    header.min_index = client->applied_index;
    request.header = &header;
    request.path = o->path;
    request.after_revision = o->after_revision;
    o->opened_ms = socket_now_ms();
    stream_open(o->client, &o->stream,
                &(struct stream_options){.endpoint = o->endpoint,
                                         .method = CLIENT_ELECTION_OBSERVE,
                                         .request = &request.base,
                                         .is_last = true,
                                         .deadline_ms = o->opened_ms + CONNECT_MS,
                                         .changed = on_changed});
    loop_timer_set(&o->client->loop, &o->timer, o->opened_ms + LOOK_MS);
}

/* The first failure is followed at once by the next endpoint; a round of them by a pause. */
static void go_down(struct coord_observer *o)
{
    size_t count = o->client->endpoint_count;
    uint64_t pause = 0;
    stream_close(&o->stream);
    members_doubted(o->client);
    o->endpoint = (o->endpoint + 1) % count;
    o->failures++;
    if (o->failures % count == 0) {
        pause = PAUSE_MS * (o->failures / count);
        pause = client_jitter(o->client, pause < PAUSE_MS_MAX ? pause : PAUSE_MS_MAX);
    }
    loop_timer_set(&o->client->loop, &o->timer, socket_now_ms() + pause);
}

static void destroy(struct coord_observer *o)
{
    stream_close(&o->stream);
    loop_timer_stop(&o->client->loop, &o->timer);
    free(o->path);
    free(o);
}

/* False: the observer has gone. */
static bool tell(struct coord_observer *o, const struct coord_election_event *event)
{
    o->is_telling = true;
    o->changed(o->context, o, event);
    o->is_telling = false;
    if (o->is_closed) {
        destroy(o);
        return false;
    }
    return true;
}

static bool tell_leader(struct coord_observer *o, const Coord__V1__ElectionObserveReply *reply)
{
    const Coord__V1__ElectionLeader *from = reply->leader;
    struct coord_leader leader = {.memory = NULL};
    struct coord_election_event event = {.revision = reply->revision, .missed = o->has_missed};
    if (from != NULL && from->grant != NULL) {
        convert_leader(from, &leader);
        event.leader = &leader;
    }
    o->has_missed = false;
    o->failures = 0;
    o->after_revision = reply->revision;
    return tell(o, &event);
}

/* The stream has ended. */
static void fail(struct coord_observer *o, enum stream_result result,
                 const struct coord_error *error)
{
    bool is_behind = result == STREAM_REFUSED && error->code == COORD_COMPACTED;
    if (is_behind && o->after_revision > 0) {
        o->after_revision = 0;
        o->has_missed = true;
        go_down(o);
    } else if (result == STREAM_REFUSED && error->code != COORD_COMPACTED) {
        const struct coord_election_event event = {.over = error};
        stream_close(&o->stream);
        loop_timer_stop(&o->client->loop, &o->timer);
        (void)tell(o, &event);
    } else {
        go_down(o);
    }
}

static void on_changed(struct stream *stream)
{
    struct coord_observer *o = LOOP_OF(stream, struct coord_observer, stream);
    while (stream_is_open(&o->stream)) {
        ProtobufCMessage *m;
        struct coord_error error;
        enum stream_result result = stream_next(&o->stream, &m, &error);
        if (result == STREAM_QUIET) {
            return;
        }
        if (result != STREAM_MESSAGE) {
            fail(o, result, &error);
            return;
        }
        const Coord__V1__ElectionObserveReply *reply =
            (const Coord__V1__ElectionObserveReply *)m;
        if (reply->header != NULL) {
            client_learn(o->client, reply->header);
        }
        bool is_there = tell_leader(o, reply);
        client_reply_free(m);
        if (!is_there) {
            return;
        }
    }
}

static void on_timer(struct loop_timer *t)
{
    struct coord_observer *o = LOOP_OF(t, struct coord_observer, timer);
    uint64_t now = socket_now_ms();
    if (!stream_is_open(&o->stream)) {
        open_stream(o);
        return;
    }
    struct connection *c = o->stream.exchange.connection;
    uint64_t heard_ms = c != NULL ? connection_heard_ms(c) : 0;
    uint64_t since_ms = heard_ms > o->opened_ms ? heard_ms : o->opened_ms;
    if (now >= since_ms + SILENCE_MS) {
        stream_give_up(&o->stream);
        go_down(o);
        return;
    }
    if (c != NULL) {
        connection_ping(c, LOOK_MS);
    }
    loop_timer_set(&o->client->loop, &o->timer, now + LOOK_MS);
}

enum coord_code coord_election_observe(struct coord_client *client, const char *path,
                                       coord_election_fn changed, void *context,
                                       struct coord_observer **observer,
                                       struct coord_error *error)
{
    struct coord_observer *o = calloc(1, sizeof *o);
    char *copy = strdup(path);
    if (o == NULL || copy == NULL) {
        free(o);
        free(copy);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for an observer");
    }
    *o = (struct coord_observer){.client = client,
                                 .path = copy,
                                 .changed = changed,
                                 .context = context,
                                 .endpoint = client->current,
                                 .timer.fire = on_timer};
    client_enter(client);
    open_stream(o);
    client_leave(client);
    *observer = o;
    return client_fail(error, COORD_OK, "%s", "");
}

void coord_observer_close(struct coord_observer *observer)
{
    if (observer == NULL) {
        return;
    }
    if (observer->is_telling) {
        observer->is_closed = true;
        return;
    }
    struct coord_client *client = observer->client;
    client_enter(client);
    destroy(observer);
    client_leave(client);
}
