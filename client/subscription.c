/* Subscriptions: one stream each, taken up again elsewhere when it is lost.
 *
 *   DOWN --(open_stream)--> OPENING --(a message)--> LIVE --(refusal)--> OVER
 *     ^                        |                      |
 *     +-------(lost)-----------+---------(lost)-------+
 *
 * What is known is a list of instances in the order of their ids. A message is taken in as its
 * updates are handed out, one at a time, and the position moves behind the last: so a stream that
 * is lost in between is taken up at the same revision, and updates that are known change nothing. A
 * full list marks what it names; what it did not name is removed at its end. One that is lost
 * before that removes nothing. */
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/discovery.h"
#include "client/instance.h"
#include "client/members.h"
#include "client/retry.h"
#include "client/socket.h"
#include "client/stream.h"
#include "client/subscription.h"

#define PROGRESS_MS         2000
#define SILENCE_MS          1000 /* beyond three signs of life that did not come */
#define OPENING_MS          2000 /* for the first message to come; doubled in each round */
#define OPENING_DOUBLED_MAX 3
#define PAUSE_MS_MAX        500

enum subscription_state {
    SUBSCRIPTION_DOWN = 0,
    SUBSCRIPTION_OPENING,
    SUBSCRIPTION_LIVE,
    SUBSCRIPTION_OVER,
};

struct entry {
    struct instance_copy copy;
    uint64_t heard_ms; /* its vitals */
    bool is_named; /* by the full list that is coming in */
};

struct coord_subscription {
    struct coord_client *client;
    char *service;
    struct filter_copy filter;
    uint32_t progress_ms;
    uint32_t report_ms;
    void (*ready)(void *context, struct coord_subscription *subscription);
    void *context;
    enum subscription_state state;
    struct stream stream;
    struct loop_timer timer; /* DOWN: until the next try; else: the end of patience */
    struct retry retry;
    uint64_t opened_ms;
    uint64_t waiting_ms; /* since then nothing is left to hand out */
    bool has_no_memory;
    bool is_settled; /* the opening is over */
    bool is_told;    /* the owner has been told to look, and has not looked at all */
    bool is_waited_for; /* a call of it waits, and looks at it after that */
    bool is_closed;     /* meanwhile: that call frees it */
    struct coord_error trouble;
    /* what is known */
    struct entry **entries;
    size_t count;
    size_t capacity;
    uint64_t changes; /* of entries */
    uint64_t reports; /* of their vitals */
    uint64_t next_revision; /* 0: nothing is known yet, or not whole */
    bool was_synced;
    bool is_listing;  /* a full list is coming in */
    bool is_sweeping; /* it has come: what it did not name is being removed */
    size_t swept;
    struct entry *gone; /* handed out as removed */
    /* the reply that is being handed out */
    Coord__V1__DiscoverySubscribeReply *reply;
    size_t at;
    bool has_changes; /* not just reports */
};

static void on_changed(struct stream *s);

/* ---- the stream ------------------------------------------------------------------------- */

static uint64_t patience_ms(const struct coord_subscription *s)
{
    if (s->state == SUBSCRIPTION_OPENING) {
        size_t rounds = s->retry.failures / s->client->endpoint_count;
        rounds = rounds < OPENING_DOUBLED_MAX ? rounds : OPENING_DOUBLED_MAX;
        return s->opened_ms + ((uint64_t)OPENING_MS << rounds);
    }
    uint64_t heard_ms = stream_heard_ms(&s->stream);
    return (heard_ms > s->waiting_ms ? heard_ms : s->waiting_ms) +
           3 * (uint64_t)s->progress_ms + SILENCE_MS;
}

static void set_timer(struct coord_subscription *s)
{
    if (s->state == SUBSCRIPTION_OPENING || s->state == SUBSCRIPTION_LIVE) {
        loop_timer_set(&s->client->loop, &s->timer,
                       s->reply == NULL ? patience_ms(s) : LOOP_NEVER);
    }
}

static void open_stream(struct coord_subscription *s)
{
    const struct coord_client *client = s->client;
    Coord__V1__DiscoverySubscribeRequest request = COORD__V1__DISCOVERY_SUBSCRIBE_REQUEST__INIT;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ServiceFilter filter = COORD__V1__SERVICE_FILTER__INIT;
    Coord__V1__SessionRef session = COORD__V1__SESSION_REF__INIT;
    header.consistency = (Coord__V1__Consistency)client->consistency;
    header.bound_ms = client->bound_ms;
    header.min_index = client->applied_index;
    session.id = client->session.id;
    header.session = session.id != 0 ? &session : NULL;
    filter_fill(&s->filter, &filter);
    request.header = &header;
    request.service = s->service;
    request.filter = &filter;
    request.from_revision = s->next_revision;
    request.progress_ms = s->progress_ms;
    request.report_ms = s->report_ms;
    s->state = SUBSCRIPTION_OPENING;
    s->opened_ms = socket_now_ms();
    retry_opened(&s->retry);
    stream_open(s->client, &s->stream,
                &(struct stream_options){.endpoint = s->retry.endpoint,
                                         .method = CLIENT_SVC_SUBSCRIBE,
                                         .request = &request.base,
                                         .is_last = true,
                                         .deadline_ms = s->opened_ms +
                                                        retry_connect_ms(&s->retry, s->client),
                                         .changed = on_changed});
    set_timer(s);
}

static void drop_reply(struct coord_subscription *s)
{
    if (s->reply != NULL) {
        client_reply_free(&s->reply->base);
        s->reply = NULL;
        s->waiting_ms = socket_now_ms();
    }
    s->at = 0;
}

/* `trouble` is filled in. */
static void go_down(struct coord_subscription *s)
{
    uint64_t pause_ms = retry_failed(&s->retry, s->client, s->next_revision, PAUSE_MS_MAX);
    stream_close(&s->stream);
    members_doubted(s->client);
    s->state = SUBSCRIPTION_DOWN;
    s->is_listing = false; /* what its rest would have named may well be there */
    s->is_sweeping = false;
    loop_timer_set(&s->client->loop, &s->timer, socket_now_ms() + pause_ms);
}

/* What it knows half it will ask for anew. */
static void fail_memory(struct coord_subscription *s)
{
    (void)client_fail(&s->trouble, COORD_NO_MEMORY, "out of memory for instances");
    drop_reply(s);
    s->next_revision = 0;
    s->has_no_memory = true;
    s->is_settled = true;
    go_down(s);
}

static void fail_stream(struct coord_subscription *s, enum stream_result result)
{
    if (result == STREAM_REFUSED) {
        stream_close(&s->stream);
        loop_timer_stop(&s->client->loop, &s->timer);
        s->state = SUBSCRIPTION_OVER;
        s->is_settled = true;
        return;
    }
    go_down(s);
    if (result == STREAM_NO_MEMORY) {
        s->has_no_memory = true;
        s->is_settled = true;
    }
}

static bool has_changes(const Coord__V1__DiscoverySubscribeReply *reply)
{
    for (size_t i = 0; i < reply->n_updates; i++) {
        if (reply->updates[i]->update_case != COORD__V1__SERVICE_UPDATE__UPDATE_REPORT) {
            return true;
        }
    }
    return false;
}

static void take_reply(struct coord_subscription *s, Coord__V1__DiscoverySubscribeReply *reply)
{
    if (reply->header != NULL) {
        client_learn(s->client, reply->header);
        members_reached(s->client);
    }
    s->state = SUBSCRIPTION_LIVE;
    retry_live(&s->retry, s->next_revision);
    s->reply = reply;
    s->at = 0;
    s->has_changes = has_changes(reply);
    if (reply->full) {
        s->is_listing = true;
        s->is_sweeping = false;
        for (size_t i = 0; i < s->count; i++) {
            s->entries[i]->is_named = false;
        }
    }
}

/* ---- what is known ---------------------------------------------------------------------- */

/* Where the id is, or belongs. */
static size_t seek(const struct coord_subscription *s, const char *id, bool *found)
{
    size_t low = 0;
    size_t high = s->count;
    *found = false;
    while (low < high && !*found) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(s->entries[middle]->copy.instance.id, id);
        *found = order == 0;
        low = order < 0 ? middle + 1 : low;
        high = order > 0 ? middle : high;
        if (*found) {
            return middle;
        }
    }
    return low;
}

static void entry_free(struct entry *e)
{
    if (e != NULL) {
        instance_copy_free(&e->copy);
        free(e);
    }
}

static struct entry *take_out(struct coord_subscription *s, size_t at)
{
    struct entry *e = s->entries[at];
    s->changes++;
    memmove(s->entries + at, s->entries + at + 1, (s->count - at - 1) * sizeof(void *));
    s->count--;
    return e;
}

static bool make_room(struct coord_subscription *s)
{
    if (s->count < s->capacity) {
        return true;
    }
    size_t capacity = s->capacity == 0 ? 16 : 2 * s->capacity;
    struct entry **entries = realloc(s->entries, capacity * sizeof(void *));
    if (entries != NULL) {
        s->entries = entries;
        s->capacity = capacity;
    }
    return entries != NULL;
}

enum taken { TAKEN_NOTHING, TAKEN_EVENT, TAKEN_NO_MEMORY };

static enum taken take_put(struct coord_subscription *s, Coord__V1__ServiceInstance **put,
                           struct coord_service_event *event)
{
    bool found;
    size_t at = seek(s, (*put)->id, &found);
    if (found && s->entries[at]->copy.instance.revision == (*put)->revision &&
        s->entries[at]->copy.instance.modify_revision == (*put)->modify_revision) {
        s->entries[at]->is_named = true;
        return TAKEN_NOTHING;
    }
    struct entry *e = calloc(1, sizeof *e);
    if (e == NULL || !make_room(s) || !instance_copy_take(&e->copy, put)) {
        free(e);
        return TAKEN_NO_MEMORY;
    }
    e->is_named = true;
    e->heard_ms = socket_now_ms();
    s->changes++;
    if (found) {
        entry_free(s->entries[at]);
        s->entries[at] = e;
    } else {
        memmove(s->entries + at + 1, s->entries + at, (s->count - at) * sizeof(void *));
        s->entries[at] = e;
        s->count++;
    }
    *event = (struct coord_service_event){.type = COORD_SERVICE_PUT,
                                          .instance = &e->copy.instance};
    return TAKEN_EVENT;
}

static void hand_out_gone(struct coord_subscription *s, size_t at,
                          struct coord_service_event *event)
{
    s->gone = take_out(s, at);
    *event = (struct coord_service_event){.type = COORD_SERVICE_REMOVED,
                                          .instance = &s->gone->copy.instance};
}

/* Of the registration that is known: what is said of another one says nothing of this one. */
static enum taken take_report(struct coord_subscription *s,
                              const Coord__V1__ServiceReport *report,
                              struct coord_service_event *event)
{
    bool found;
    size_t at = seek(s, report->id, &found);
    if (!found || s->entries[at]->copy.instance.revision != report->revision) {
        return TAKEN_NOTHING;
    }
    struct entry *e = s->entries[at];
    e->copy.instance.vitals = vitals_of(report->vitals);
    e->heard_ms = socket_now_ms();
    s->reports++;
    *event = (struct coord_service_event){.type = COORD_SERVICE_REPORT,
                                          .instance = &e->copy.instance};
    return TAKEN_EVENT;
}

static enum taken take_update(struct coord_subscription *s, Coord__V1__ServiceUpdate *u,
                              struct coord_service_event *event)
{
    bool found = false;
    if (u->update_case == COORD__V1__SERVICE_UPDATE__UPDATE_PUT && u->put != NULL) {
        return take_put(s, &u->put, event);
    }
    if (u->update_case == COORD__V1__SERVICE_UPDATE__UPDATE_REPORT && u->report != NULL) {
        return take_report(s, u->report, event);
    }
    if (u->update_case == COORD__V1__SERVICE_UPDATE__UPDATE_REMOVED) {
        size_t at = seek(s, u->removed, &found);
        if (found) {
            hand_out_gone(s, at, event);
        }
    }
    return found ? TAKEN_EVENT : TAKEN_NOTHING;
}

/* True: something that the full list did not name. */
static bool sweep(struct coord_subscription *s, struct coord_service_event *event)
{
    while (s->swept < s->count && s->entries[s->swept]->is_named) {
        s->swept++;
    }
    if (s->swept == s->count) {
        return false;
    }
    hand_out_gone(s, s->swept, event);
    return true;
}

/* All of a reply has been handed out: the position moves. True: that is to be told. */
static bool finish_reply(struct coord_subscription *s, struct coord_service_event *event)
{
    bool is_news = s->has_changes || s->is_listing || !s->was_synced;
    bool is_whole = !s->reply->more;
    if (is_whole) {
        s->next_revision = s->reply->revision + 1;
        s->is_listing = false;
        s->is_sweeping = false;
        s->was_synced = true;
        s->is_settled = true;
        *event = (struct coord_service_event){.type = COORD_SERVICE_SYNCED,
                                              .revision = s->reply->revision};
    }
    drop_reply(s);
    return is_whole && is_news;
}

/* True: `event` is the next thing of the reply at hand. */
static bool hand_out(struct coord_subscription *s, struct coord_service_event *event)
{
    entry_free(s->gone);
    s->gone = NULL;
    while (s->reply != NULL) {
        if (s->at < s->reply->n_updates) {
            enum taken taken = take_update(s, s->reply->updates[s->at++], event);
            if (taken == TAKEN_NO_MEMORY) {
                fail_memory(s);
                return false;
            }
            if (taken == TAKEN_EVENT) {
                return true;
            }
            continue;
        }
        if (s->is_listing && !s->reply->more) {
            s->swept = s->is_sweeping ? s->swept : 0;
            s->is_sweeping = true;
            if (sweep(s, event)) {
                return true;
            }
        }
        if (finish_reply(s, event)) {
            return true;
        }
    }
    return false;
}

/* ---- the next event --------------------------------------------------------------------- */

static void advance(struct coord_subscription *s)
{
    while (s->reply == NULL && stream_is_open(&s->stream)) {
        ProtobufCMessage *reply;
        enum stream_result result = stream_next(&s->stream, &reply, &s->trouble);
        if (result == STREAM_QUIET) {
            break;
        }
        if (result == STREAM_MESSAGE) {
            take_reply(s, (Coord__V1__DiscoverySubscribeReply *)reply);
        } else {
            fail_stream(s, result);
        }
    }
    set_timer(s);
}

/* There is something to be told by coord_subscription_next. */
static bool has_news(const struct coord_subscription *s)
{
    return s->reply != NULL || s->state == SUBSCRIPTION_OVER || s->has_no_memory;
}

static void tell(struct coord_subscription *s)
{
    s->is_settled = s->is_settled || has_news(s);
    if (has_news(s) && !s->is_told && s->ready != NULL) {
        s->is_told = true;
        s->ready(s->context, s);
    }
}

static void on_changed(struct stream *stream)
{
    struct coord_subscription *s = LOOP_OF(stream, struct coord_subscription, stream);
    advance(s);
    tell(s);
}

static void on_timer(struct loop_timer *t)
{
    struct coord_subscription *s = LOOP_OF(t, struct coord_subscription, timer);
    if (s->state == SUBSCRIPTION_DOWN) {
        open_stream(s);
    } else if (s->reply != NULL || s->state == SUBSCRIPTION_OVER) {
        set_timer(s); /* nothing is waited for */
    } else if (socket_now_ms() >= patience_ms(s)) {
        (void)client_fail(&s->trouble, COORD_UNAVAILABLE, "%s: gives no sign of life",
                          s->stream.endpoint.name);
        stream_give_up(&s->stream);
        go_down(s);
    } else {
        set_timer(s);
    }
    tell(s);
}

/* Nothing came in time: is all well? */
static enum coord_code out_of_time(const struct coord_subscription *s,
                                   struct coord_error *error)
{
    if (s->state == SUBSCRIPTION_LIVE) {
        return client_fail(error, COORD_TIMEOUT, "no change in time");
    }
    if (s->trouble.code == COORD_OK || s->retry.failures == 0) {
        size_t at = s->retry.endpoint % s->client->endpoint_count;
        return client_fail(error, COORD_UNAVAILABLE, "%s: no answer yet",
                           s->client->endpoints[at].name);
    }
    return client_fail(error, COORD_UNAVAILABLE, "%s", s->trouble.message);
}

/* A callback has closed it, or the client, while a call of it waited. */
static enum coord_code closed(const struct coord_subscription *s, struct coord_error *error)
{
    return s->is_closed ? client_fail(error, COORD_CANCELED, "the subscription was closed")
                        : client_may_begin(s->client, error);
}

/* True: `code` is what coord_subscription_next has to say. */
static bool look(struct coord_subscription *s, struct coord_service_event *event,
                 enum coord_code *code, struct coord_error *error)
{
    *code = closed(s, error);
    if (*code != COORD_OK) {
        return true;
    }
    do {
        if (hand_out(s, event)) {
            *code = client_fail(error, COORD_OK, "%s", "");
            return true;
        }
        advance(s);
    } while (s->reply != NULL);
    if (s->state == SUBSCRIPTION_OVER) {
        *code = s->trouble.code;
        if (error != NULL) {
            *error = s->trouble;
        }
        return true;
    }
    if (s->has_no_memory) {
        s->has_no_memory = false;
        *code = client_fail(error, COORD_NO_MEMORY, "%s", s->trouble.message);
        return true;
    }
    return false;
}

static void stop(struct coord_subscription *s)
{
    stream_close(&s->stream);
    loop_timer_stop(&s->client->loop, &s->timer);
}

static void subscription_free(struct coord_subscription *s)
{
    stop(s);
    drop_reply(s);
    for (size_t i = 0; i < s->count; i++) {
        entry_free(s->entries[i]);
    }
    entry_free(s->gone);
    free(s->entries);
    filter_copy_free(&s->filter);
    free(s->service);
    free(s);
}

/* Around what waits, and looks at it after that. True: `release` is to follow. */
static bool claim(struct coord_subscription *s)
{
    bool is_outermost = s->client->depth == 0 && !s->is_waited_for;
    s->is_waited_for = s->is_waited_for || is_outermost;
    return is_outermost;
}

static void release(struct coord_subscription *s)
{
    s->is_waited_for = false;
    if (s->is_closed) {
        subscription_free(s);
    }
}

enum coord_code coord_subscription_next(struct coord_subscription *s, uint32_t timeout_ms,
                                        struct coord_service_event *event,
                                        struct coord_error *error)
{
    struct coord_client *client = s->client;
    uint64_t deadline_ms = socket_now_ms() + timeout_ms;
    bool may_wait = client->depth == 0;
    bool is_claimed = claim(s);
    enum coord_code code = COORD_OK;
    client_enter(client);
    bool is_known = look(s, event, &code, error);
    while (!is_known && may_wait) {
        loop_wait(&client->loop, deadline_ms);
        is_known = look(s, event, &code, error);
        may_wait = socket_now_ms() < deadline_ms;
    }
    if (!is_known) {
        s->is_told = false;
        code = out_of_time(s, error);
    }
    if (is_claimed) {
        release(s);
    }
    client_leave(client);
    return code;
}

bool coord_subscription_update(struct coord_subscription *s)
{
    struct coord_client *client = s->client;
    struct coord_service_event event;
    bool is_claimed = claim(s);
    client_hold(client);
    while (coord_subscription_next(s, 0, &event, NULL) == COORD_OK) {
        /* taken in */
    }
    bool was_synced = s->was_synced;
    if (is_claimed) {
        release(s);
    }
    client_let_go(client);
    return was_synced;
}

size_t coord_subscription_count(const struct coord_subscription *s)
{
    return s->count;
}

const struct coord_instance *coord_subscription_instance(const struct coord_subscription *s,
                                                         size_t at)
{
    return at < s->count ? &s->entries[at]->copy.instance : NULL;
}

uint64_t subscription_changes(const struct coord_subscription *s)
{
    return s->changes;
}

uint64_t subscription_reports(const struct coord_subscription *s)
{
    return s->reports;
}

uint64_t subscription_heard_ms(const struct coord_subscription *s, size_t at)
{
    return s->entries[at]->heard_ms;
}

const struct coord_instance *subscription_find(const struct coord_subscription *s,
                                               const char *id)
{
    bool found;
    size_t at = seek(s, id, &found);
    return found ? &s->entries[at]->copy.instance : NULL;
}

uint64_t coord_subscription_revision(const struct coord_subscription *s)
{
    return s->next_revision > 0 ? s->next_revision - 1 : 0;
}

int coord_subscription_fd(const struct coord_subscription *s)
{
    return s->state == SUBSCRIPTION_LIVE ? stream_fd(&s->stream) : -1;
}

/* ---- open, close ------------------------------------------------------------------------ */

void coord_subscription_close(struct coord_subscription *s)
{
    if (s == NULL) {
        return;
    }
    struct coord_client *client = s->client;
    client_enter(client);
    if (s->is_waited_for) {
        s->is_closed = true;
        stop(s);
    } else {
        subscription_free(s);
    }
    client_leave(client);
}

enum coord_code coord_subscribe_start(struct coord_client *client, const char *service,
                                      const struct coord_subscription_options *options,
                                      struct coord_subscription **subscription,
                                      struct coord_error *error)
{
    static const struct coord_subscription_options defaults = {.zone = NULL};
    const struct coord_subscription_options *o = options != NULL ? options : &defaults;
    if (o->progress_ms > 0 && o->progress_ms < 100) {
        return client_fail(error, COORD_INVALID, "progress_ms %u: at least 100",
                           o->progress_ms);
    }
    if ((o->report_ms > 0 && o->report_ms < 100) || o->health_count > COORD_HEALTH_DOWN + 1) {
        return o->health_count > COORD_HEALTH_DOWN + 1
                   ? client_fail(error, COORD_INVALID, "health_count %zu: at most 5",
                                 o->health_count)
                   : client_fail(error, COORD_INVALID, "report_ms %u: at least 100", o->report_ms);
    }
    enum coord_code code = client_may_begin(client, error);
    if (code != COORD_OK) {
        return code;
    }
    struct coord_subscription *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a subscription");
    }
    s->client = client;
    s->service = strdup(service);
    s->progress_ms = o->progress_ms != 0 ? o->progress_ms : PROGRESS_MS;
    s->report_ms = o->report_ms;
    s->ready = o->ready;
    s->context = o->context;
    s->retry.endpoint = client->current;
    s->timer.fire = on_timer;
    if (s->service == NULL || !filter_copy_make(&s->filter, o)) {
        coord_subscription_close(s);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a subscription");
    }
    client_enter(client);
    open_stream(s);
    client_leave(client);
    *subscription = s;
    return client_fail(error, COORD_OK, "%s", "");
}

/* Its owner has it now: what came before that is told by the loop. */
static void begin_telling(struct coord_subscription *s)
{
    s->is_told = false;
    if (has_news(s) && s->ready != NULL) {
        client_enter(s->client);
        loop_timer_set(&s->client->loop, &s->timer, 0);
        client_leave(s->client);
    }
}

static enum coord_code outcome_of_opening(const struct coord_subscription *s,
                                          struct coord_error *error)
{
    enum coord_code code = closed(s, error);
    if (code != COORD_OK) {
        return code;
    }
    if (s->state == SUBSCRIPTION_LIVE) {
        return client_fail(error, COORD_OK, "%s", "");
    }
    if (s->state != SUBSCRIPTION_OVER && !s->has_no_memory) {
        return out_of_time(s, error);
    }
    if (error != NULL) {
        *error = s->trouble;
    }
    return s->trouble.code;
}

enum coord_code coord_subscribe(struct coord_client *client, const char *service,
                                const struct coord_subscription_options *options,
                                struct coord_subscription **subscription,
                                struct coord_error *error)
{
    struct coord_subscription *s;
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_subscribe_start(client, service, options, &s, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    client_hold(client);
    s->is_told = true; /* its owner does not know it yet */
    (void)client_wait(client, &s->is_settled, socket_now_ms() + client->timeout_ms, NULL);
    code = outcome_of_opening(s, error);
    if (code == COORD_OK) {
        begin_telling(s);
        *subscription = s;
    } else {
        coord_subscription_close(s);
    }
    client_let_go(client);
    return code;
}
