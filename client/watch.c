/* Watches: one stream each, taken up again elsewhere when it is lost.
 *
 *   DOWN --(open_stream)--> OPENING --(CREATED)--> LIVE --(END, refusal)--> OVER
 *     ^                        |                     |
 *     +-------(lost)-----------+---------(lost)------+
 *
 * Position. `next_revision` is the first revision of which not everything has been handed out;
 * `last` names the last event handed out, or the end of a listing. A stream that is lost in the
 * middle of a revision begins with that revision again, and what was handed out of it is skipped.
 * A listing that is lost in the middle begins again too, and says so (COORD_EVENT_LISTING).
 *
 * A position moves only when what it covers has been handed out, so that nothing is lost if
 * there is no memory either: the next call takes up from there. */
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/members.h"
#include "client/retry.h"
#include "client/socket.h"
#include "client/stream.h"
#include "coord/v1/watch.pb-c.h"

#define WATCH_ID            1 /* the only one on its stream */
#define PROGRESS_MS         2000
#define SILENCE_MS          1000 /* beyond three signs of life that did not come */
#define CREATED_MS          2000 /* for CREATED to come; doubled in each round */
#define CREATED_DOUBLED_MAX 3
#define PAUSE_MS_MAX        500

enum watch_state { WATCH_DOWN = 0, WATCH_OPENING, WATCH_LIVE, WATCH_OVER };

struct position {
    uint64_t revision;
    uint32_t sub;
};

struct coord_watch {
    struct coord_client *client;
    char *path;
    char *glob;
    struct coord_watch_options options; /* its strings are not used */
    enum watch_state state;
    struct stream stream;
    struct loop_timer timer; /* DOWN: until the next try; else: the end of patience */
    struct retry retry;
    uint64_t opened_ms;         /* OPENING */
    uint64_t waiting_ms;        /* since then nothing is left to hand out */
    bool has_no_memory;         /* to be told */
    bool was_live;              /* at some time */
    bool is_settled;            /* that, or OVER, or has_no_memory: the opening is over */
    bool is_told;               /* the owner has been told to look, and has not looked at all */
    bool is_waited_for;         /* a call of it waits, and looks at it after that */
    bool is_closed;             /* meanwhile: that call frees it */
    struct coord_error trouble; /* why it is DOWN, or OVER */
    /* position */
    uint64_t next_revision;
    struct position last;
    bool must_list;
    bool is_listing; /* LISTING was handed out, LISTED not yet */
    bool had_event;  /* of the revision under way */
    /* the reply that is being handed out */
    Coord__V1__WatchReply *reply;
    size_t at;
};

/* ---- requests --------------------------------------------------------------------------- */

static size_t event_types(unsigned types, Coord__V1__EventType out[3])
{
    size_t count = 0;
    for (unsigned i = 0; i < 3; i++) {
        if ((types & 1u << i) != 0) {
            out[count++] = (Coord__V1__EventType)(i + 1);
        }
    }
    return count;
}

static void on_changed(struct stream *s);

/* Until when the server must have given a sign of life. One that waits for us, because what it
 * has sent was not taken, need not. */
static uint64_t patience_ms(const struct coord_watch *w)
{
    if (w->state == WATCH_OPENING) {
        size_t rounds = w->retry.failures / w->client->endpoint_count;
        rounds = rounds < CREATED_DOUBLED_MAX ? rounds : CREATED_DOUBLED_MAX;
        return w->opened_ms + ((uint64_t)CREATED_MS << rounds);
    }
    uint64_t heard_ms = stream_heard_ms(&w->stream);
    return (heard_ms > w->waiting_ms ? heard_ms : w->waiting_ms) +
           3 * (uint64_t)w->options.progress_ms + SILENCE_MS;
}

static void set_timer(struct coord_watch *w)
{
    if (w->state == WATCH_OPENING || w->state == WATCH_LIVE) {
        loop_timer_set(&w->client->loop, &w->timer,
                       w->reply == NULL ? patience_ms(w) : LOOP_NEVER);
    }
}

static void open_stream(struct coord_watch *w)
{
    const struct coord_watch_options *o = &w->options;
    const struct coord_client *client = w->client;
    Coord__V1__WatchRequest request = COORD__V1__WATCH_REQUEST__INIT;
    Coord__V1__WatchCreate create = COORD__V1__WATCH_CREATE__INIT;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SessionRef session = COORD__V1__SESSION_REF__INIT;
    Coord__V1__EventType types[3];
    header.consistency = (Coord__V1__Consistency)client->consistency;
    header.bound_ms = client->bound_ms;
    header.min_index = client->applied_index;
    session.id = client->session.id;
    header.session = session.id != 0 ? &session : NULL;
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
    request.create = &create;
    create.header = &header;
    create.watch_id = WATCH_ID;
    create.path = w->path;
    create.scope = (Coord__V1__WatchCreate__Scope)o->scope;
    create.once = o->once;
    create.n_types = event_types(o->types, types);
    create.types = types;
    create.glob = w->glob;
    create.depth = o->depth;
    create.keys_only = o->keys_only;
    create.with_previous = o->with_previous;
    create.list = w->must_list;
    create.from_revision = w->must_list ? 0 : w->next_revision;
    create.relist = o->relist;
    create.progress_ms = o->progress_ms;
    w->state = WATCH_OPENING;
    w->opened_ms = socket_now_ms();
    retry_opened(&w->retry);
    stream_open(w->client, &w->stream,
                &(struct stream_options){.endpoint = w->retry.endpoint,
                                         .method = CLIENT_WATCH,
                                         .request = &request.base,
                                         .deadline_ms = w->opened_ms +
                                                        retry_connect_ms(&w->retry, w->client),
                                         .changed = on_changed});
    set_timer(w);
}

/* ---- states ----------------------------------------------------------------------------- */

static void drop_reply(struct coord_watch *w)
{
    if (w->reply != NULL) {
        client_reply_free(&w->reply->base);
        w->reply = NULL;
        w->waiting_ms = socket_now_ms();
    }
    w->at = 0;
}

/* `trouble` is filled in. */
static void go_down(struct coord_watch *w)
{
    uint64_t pause_ms = retry_failed(&w->retry, w->client, w->next_revision, PAUSE_MS_MAX);
    stream_close(&w->stream);
    members_doubted(w->client);
    w->state = WATCH_DOWN;
    w->had_event = false;
    loop_timer_set(&w->client->loop, &w->timer, socket_now_ms() + pause_ms);
}

static void end(struct coord_watch *w)
{
    stream_close(&w->stream);
    loop_timer_stop(&w->client->loop, &w->timer);
    w->state = WATCH_OVER;
    w->is_settled = true;
}

/* After a stream has failed; `trouble` is filled in. */
static void fail_stream(struct coord_watch *w, enum stream_result result)
{
    if (result == STREAM_REFUSED) {
        end(w);
        return;
    }
    go_down(w);
    if (result == STREAM_NO_MEMORY) {
        w->has_no_memory = true;
        w->is_settled = true;
    }
}

/* ---- replies ---------------------------------------------------------------------------- */

static void on_created(struct coord_watch *w, uint64_t revision)
{
    w->state = WATCH_LIVE;
    w->was_live = true;
    w->is_settled = true;
    w->is_listing = false;
    if (w->next_revision == 0 && !w->must_list) {
        w->next_revision = revision;
    }
    retry_live(&w->retry, w->next_revision);
}

static void on_compacted(struct coord_watch *w, uint64_t floor)
{
    if (w->options.relist) {
        w->must_list = true;
        w->is_listing = false; /* of one that was under way no more comes */
        return;
    }
    (void)client_fail(&w->trouble, COORD_COMPACTED,
                      "revision %llu is no longer retained; the oldest is %llu",
                      (unsigned long long)w->next_revision, (unsigned long long)floor);
    memcpy(w->trouble.outcome, "COMPACTED", sizeof "COMPACTED");
    end(w);
}

static void on_canceled(struct coord_watch *w, const Coord__V1__WatchReply *reply)
{
    (void)client_fail_outcome(&w->trouble, (int)reply->outcome, reply->text);
    end(w);
}

/* Things to hand out: a listing's entries between its two marks, or events. */
static size_t item_count(const Coord__V1__WatchReply *reply)
{
    return reply->type == COORD__V1__WATCH_REPLY__TYPE__LISTING ? reply->n_entries + 2
                                                                : reply->n_events;
}

/* All of a reply has been handed out: the position moves. */
static void finish_reply(struct coord_watch *w)
{
    const Coord__V1__WatchReply *reply = w->reply;
    bool is_listing = reply->type == COORD__V1__WATCH_REPLY__TYPE__LISTING;
    if (!reply->more) {
        w->next_revision = reply->revision + 1;
    }
    if (!reply->more && is_listing && w->must_list) {
        /* It may be older than what was handed out before: what comes after it is new again. */
        w->last = (struct position){reply->revision, UINT32_MAX};
        w->must_list = false;
    }
    if (!reply->more && !is_listing && w->options.once && w->had_event) {
        w->trouble = (struct coord_error){.code = COORD_OK};
        end(w);
    }
    drop_reply(w);
}

static void take_reply(struct coord_watch *w, Coord__V1__WatchReply *reply)
{
    if (reply->header != NULL) {
        client_learn(w->client, reply->header);
        members_reached(w->client);
    }
    switch (reply->type) {
    case COORD__V1__WATCH_REPLY__TYPE__LISTING:
    case COORD__V1__WATCH_REPLY__TYPE__EVENTS: w->reply = reply; return;
    case COORD__V1__WATCH_REPLY__TYPE__CREATED: on_created(w, reply->revision); break;
    case COORD__V1__WATCH_REPLY__TYPE__PROGRESS:
        if (!w->must_list && reply->revision >= w->next_revision) {
            w->next_revision = reply->revision + 1;
        }
        break;
    case COORD__V1__WATCH_REPLY__TYPE__COMPACTED: on_compacted(w, reply->revision); break;
    case COORD__V1__WATCH_REPLY__TYPE__CANCELED: on_canceled(w, reply); break;
    default: break; /* of a later version: says nothing that must be known */
    }
    client_reply_free(&reply->base);
}

/* ---- events ----------------------------------------------------------------------------- */

static struct coord_event listing_event(const struct coord_watch *w, enum coord_event_type type)
{
    return (struct coord_event){
        .type = type, .path = w->path, .note = "", .revision = w->reply->revision};
}

/* True: `event` is the listing's item number `at`. */
static bool hand_out_listing(struct coord_watch *w, size_t at, struct coord_event *event)
{
    const Coord__V1__WatchReply *reply = w->reply;
    if (at == 0) {
        bool is_first = !w->is_listing;
        w->is_listing = true;
        *event = listing_event(w, COORD_EVENT_LISTING);
        return is_first;
    }
    if (at <= reply->n_entries) {
        const Coord__V1__ListEntry *entry = reply->entries[at - 1];
        *event = listing_event(w, COORD_EVENT_ENTRY);
        event->path = entry->path;
        event->data = entry->data.data;
        event->bytes = entry->data.len;
        convert_stat(entry->stat, &event->stat);
        return true;
    }
    w->is_listing = reply->more;
    *event = listing_event(w, COORD_EVENT_LISTED);
    return !reply->more;
}

static bool hand_out_event(struct coord_watch *w, size_t at, struct coord_event *event)
{
    const Coord__V1__Event *from = w->reply->events[at];
    bool is_old = from->revision < w->last.revision ||
                  (from->revision == w->last.revision && from->sub <= w->last.sub);
    w->had_event = true;
    if (is_old && w->last.revision != 0) {
        return false;
    }
    w->last = (struct position){.revision = from->revision, .sub = from->sub};
    *event = convert_event(from);
    return true;
}

/* True: `event` is the next thing of the reply at hand. */
static bool hand_out(struct coord_watch *w, struct coord_event *event)
{
    while (w->reply != NULL) {
        if (w->at == item_count(w->reply)) {
            finish_reply(w);
            continue;
        }
        size_t at = w->at++;
        bool is_listing = w->reply->type == COORD__V1__WATCH_REPLY__TYPE__LISTING;
        if (is_listing ? hand_out_listing(w, at, event) : hand_out_event(w, at, event)) {
            return true;
        }
    }
    return false;
}

/* ---- the next event --------------------------------------------------------------------- */

/* Takes what the stream has, up to a reply that is to be handed out. */
static void advance(struct coord_watch *w)
{
    while (w->reply == NULL && stream_is_open(&w->stream)) {
        ProtobufCMessage *reply;
        enum stream_result result = stream_next(&w->stream, &reply, &w->trouble);
        if (result == STREAM_QUIET) {
            break;
        }
        if (result == STREAM_MESSAGE) {
            take_reply(w, (Coord__V1__WatchReply *)reply);
        } else {
            fail_stream(w, result);
        }
    }
    set_timer(w);
}

/* There is something to be told by coord_watch_next. */
static bool has_news(const struct coord_watch *w)
{
    return w->reply != NULL || w->state == WATCH_OVER || w->has_no_memory;
}

static void tell(struct coord_watch *w)
{
    if (has_news(w) && !w->is_told && w->options.ready != NULL) {
        w->is_told = true;
        w->options.ready(w->options.context, w);
    }
}

static void on_changed(struct stream *s)
{
    struct coord_watch *w = LOOP_OF(s, struct coord_watch, stream);
    advance(w);
    tell(w);
}

static void on_timer(struct loop_timer *t)
{
    struct coord_watch *w = LOOP_OF(t, struct coord_watch, timer);
    if (w->state == WATCH_DOWN) {
        open_stream(w);
    } else if (w->reply != NULL || w->state == WATCH_OVER) {
        set_timer(w); /* nothing is waited for */
    } else if (socket_now_ms() >= patience_ms(w)) {
        (void)client_fail(&w->trouble, COORD_UNAVAILABLE, "%s: gives no sign of life",
                          w->stream.endpoint.name);
        stream_give_up(&w->stream);
        go_down(w);
    } else {
        set_timer(w);
    }
    tell(w);
}

/* Nothing came in time: is all well? */
static enum coord_code out_of_time(const struct coord_watch *w, struct coord_error *error)
{
    if (w->state == WATCH_LIVE) {
        return client_fail(error, COORD_TIMEOUT, "no event in time");
    }
    if (w->trouble.code == COORD_OK || w->retry.failures == 0) {
        size_t at = w->retry.endpoint % w->client->endpoint_count;
        return client_fail(error, COORD_UNAVAILABLE, "%s: no answer yet",
                           w->client->endpoints[at].name);
    }
    return client_fail(error, COORD_UNAVAILABLE, "%s", w->trouble.message);
}

static enum coord_code over(const struct coord_watch *w, struct coord_event *event,
                            struct coord_error *error)
{
    if (w->trouble.code == COORD_OK) {
        *event = (struct coord_event){.type = COORD_EVENT_END, .path = w->path, .note = ""};
    }
    if (error != NULL) {
        *error = w->trouble;
    }
    return w->trouble.code;
}

/* A callback has closed it, or the client, while a call of it waited. */
static enum coord_code closed(const struct coord_watch *w, struct coord_error *error)
{
    return w->is_closed ? client_fail(error, COORD_CANCELED, "the watch was closed")
                        : client_may_begin(w->client, error);
}

/* True: `code` is what coord_watch_next has to say. */
static bool look(struct coord_watch *w, struct coord_event *event, enum coord_code *code,
                 struct coord_error *error)
{
    *code = closed(w, error);
    if (*code != COORD_OK) {
        return true;
    }
    for (;;) {
        if (hand_out(w, event)) {
            *code = client_fail(error, COORD_OK, "%s", "");
            return true;
        }
        advance(w);
        if (w->reply == NULL) {
            break;
        }
    }
    if (w->state == WATCH_OVER) {
        *code = over(w, event, error);
        return true;
    }
    if (w->has_no_memory) {
        w->has_no_memory = false;
        *code = client_fail(error, COORD_NO_MEMORY, "%s", w->trouble.message);
        return true;
    }
    return false;
}

static void stop(struct coord_watch *w)
{
    stream_close(&w->stream);
    loop_timer_stop(&w->client->loop, &w->timer);
}

static void watch_free(struct coord_watch *w)
{
    stop(w);
    drop_reply(w);
    free(w->path);
    free(w->glob);
    free(w);
}

enum coord_code coord_watch_next(struct coord_watch *w, uint32_t timeout_ms,
                                 struct coord_event *event, struct coord_error *error)
{
    struct coord_client *client = w->client;
    uint64_t deadline_ms = socket_now_ms() + timeout_ms;
    bool is_outermost = client->depth == 0;
    bool may_wait = is_outermost;
    enum coord_code code = COORD_OK;
    client_enter(client);
    w->is_waited_for = w->is_waited_for || is_outermost;
    bool is_known = look(w, event, &code, error);
    while (!is_known && may_wait) {
        loop_wait(&client->loop, deadline_ms);
        is_known = look(w, event, &code, error);
        may_wait = socket_now_ms() < deadline_ms;
    }
    if (!is_known) {
        w->is_told = false;
        code = out_of_time(w, error);
    }
    if (is_outermost) {
        w->is_waited_for = false;
        if (w->is_closed) {
            watch_free(w);
        }
    }
    client_leave(client);
    return code;
}

/* ---- open, close ------------------------------------------------------------------------ */

static struct coord_watch *watch_new(struct coord_client *client, const char *path,
                                     const struct coord_watch_options *options)
{
    struct coord_watch *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->client = client;
    w->options = *options;
    w->path = strdup(path);
    w->glob = strdup(options->glob != NULL ? options->glob : "");
    w->retry.endpoint = client->current;
    w->timer.fire = on_timer;
    w->next_revision = options->from_revision;
    w->must_list = options->list;
    if (w->options.progress_ms == 0) {
        w->options.progress_ms = PROGRESS_MS;
    }
    if (w->path == NULL || w->glob == NULL) {
        coord_watch_close(w);
        return NULL;
    }
    return w;
}

enum coord_code coord_watch_start(struct coord_client *client, const char *path,
                                  const struct coord_watch_options *options,
                                  struct coord_watch **watch, struct coord_error *error)
{
    static const struct coord_watch_options defaults = {.scope = COORD_WATCH_NODE};
    options = options != NULL ? options : &defaults;
    if ((unsigned)options->scope > COORD_WATCH_PREFIX) {
        return client_fail(error, COORD_INVALID, "scope %d is none", (int)options->scope);
    }
    if (options->progress_ms > 0 && options->progress_ms < 100) {
        return client_fail(error, COORD_INVALID, "progress_ms %u: at least 100",
                           options->progress_ms);
    }
    enum coord_code code = client_may_begin(client, error);
    if (code != COORD_OK) {
        return code;
    }
    struct coord_watch *w = watch_new(client, path, options);
    if (w == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a watch");
    }
    client_enter(client);
    open_stream(w);
    client_leave(client);
    *watch = w;
    return client_fail(error, COORD_OK, "%s", "");
}

/* Its owner has it now: what came before that is told by the loop. */
static void begin_telling(struct coord_watch *w)
{
    w->is_told = false;
    if (has_news(w) && w->options.ready != NULL) {
        client_enter(w->client);
        loop_timer_set(&w->client->loop, &w->timer, 0);
        client_leave(w->client);
    }
}

static enum coord_code outcome_of_opening(const struct coord_watch *w,
                                          struct coord_error *error)
{
    struct coord_event event;
    enum coord_code code = closed(w, error);
    if (code != COORD_OK) {
        return code;
    }
    if (w->was_live) { /* what has come of it since then, coord_watch_next tells */
        return client_fail(error, COORD_OK, "%s", "");
    }
    if (w->state == WATCH_OVER) {
        return over(w, &event, error);
    }
    return w->has_no_memory ? client_fail(error, COORD_NO_MEMORY, "%s", w->trouble.message)
                            : out_of_time(w, error);
}

enum coord_code coord_watch_open(struct coord_client *client, const char *path,
                                 const struct coord_watch_options *options,
                                 struct coord_watch **watch, struct coord_error *error)
{
    struct coord_watch *w;
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_watch_start(client, path, options, &w, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    client_hold(client);
    w->is_told = true; /* its owner does not know it yet */
    (void)client_wait(client, &w->is_settled, socket_now_ms() + client->timeout_ms, NULL);
    code = outcome_of_opening(w, error);
    if (code == COORD_OK) {
        begin_telling(w);
        *watch = w;
    } else {
        coord_watch_close(w);
    }
    client_let_go(client);
    return code;
}

uint64_t coord_watch_revision(const struct coord_watch *w)
{
    return w->next_revision > 0 ? w->next_revision - 1 : 0;
}

int coord_watch_fd(const struct coord_watch *w)
{
    return w->state == WATCH_LIVE ? stream_fd(&w->stream) : -1;
}

void coord_watch_close(struct coord_watch *w)
{
    if (w != NULL) {
        struct coord_client *client = w->client;
        client_enter(client);
        if (w->is_waited_for) {
            w->is_closed = true;
            stop(w);
        } else {
            watch_free(w);
        }
        client_leave(client);
    }
}
