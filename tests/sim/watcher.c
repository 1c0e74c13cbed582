#include "tests/sim/watcher.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define TICK_US    (40 * MS)
#define PAST_MAX   60 /* revisions that a watch may want from the past */
#define FUTURE_MAX 5

static void watcher_tick(void *context);

static struct world *world_of(const struct watcher *w)
{
    return &w->all->cluster->world;
}

/* ---- what to watch ----------------------------------------------------------------------- */

static void spec_pick(struct world *w, struct watch_spec *s)
{
    static const char *const paths[] = {"/k",   "/k/0", "/k/3", "/c", "/c/1", "/v",     "/p",
                                        "/p/0", "/q",   "/e",   "/b", "/t",   "/b/c0-0"};
    static const char *const prefixes[] = {"/k/", "/e/h0", "/q/i-00000000", "/b/c1", "/", "/p"};
    static const char *const globs[] = {"*", "?", "[0-2]", "[!0]", "h0*", "*-1", "c?-0"};
    *s = (struct watch_spec){.scope = (uint8_t)world_random(w, 0, 3)};
    const char *path = paths[world_random(w, 0, sizeof paths / sizeof paths[0] - 1)];
    if (s->scope == COORD__V1__WATCH_CREATE__SCOPE__PREFIX) {
        path = prefixes[world_random(w, 0, sizeof prefixes / sizeof prefixes[0] - 1)];
    } else if (s->scope == COORD__V1__WATCH_CREATE__SCOPE__SUBTREE && world_chance(w, 300)) {
        path = "/";
    }
    (void)snprintf(s->path, sizeof s->path, "%s", path);
    if (world_chance(w, 250)) {
        (void)snprintf(s->glob, sizeof s->glob, "%s",
                       globs[world_random(w, 0, sizeof globs / sizeof globs[0] - 1)]);
    }
    if (world_chance(w, 300)) {
        s->types = (uint8_t)(world_random(w, 1, 7) << 1);
    }
    if (s->scope == COORD__V1__WATCH_CREATE__SCOPE__SUBTREE) {
        s->depth = (uint32_t)world_random(w, 0, 3);
    }
    s->once = world_chance(w, 100);
    s->keys_only = world_chance(w, 300);
    s->with_previous = world_chance(w, 300);
    /* What the store itself is born with is in no change. */
    s->list = world_chance(w, 500) && strcmp(s->path, "/") != 0;
    s->relist = world_chance(w, 500) && strcmp(s->path, "/") != 0;
    s->is_local = world_chance(w, 200);
    s->progress_ms = world_chance(w, 500) ? (uint32_t)world_random(w, 100, 400) : 0;
}

void watcher_set(struct watcher *w, uint32_t place, const struct watch_spec *spec)
{
    struct watched *d = &w->watches[place];
    watched_forget(d);
    *d = (struct watched){.spec = *spec, .state = WATCHED_WANTED, .id = w->next_id++};
}

static void watch_new(struct watcher *w, uint32_t place)
{
    struct watch_spec spec;
    const struct oracle *o = w->all->oracle;
    spec_pick(world_of(w), &spec);
    watcher_set(w, place, &spec);
    struct watched *d = &w->watches[place];
    if (!spec.list && world_chance(world_of(w), 400)) {
        uint64_t past = world_random(world_of(w), 0, PAST_MAX);
        d->from = o->revision > past ? o->revision - past : 1;
        if (world_chance(world_of(w), 200)) {
            d->from = o->revision + world_random(world_of(w), 1, FUTURE_MAX);
        }
    }
}

/* ---- asking ------------------------------------------------------------------------------ */

static void send_request(struct watcher *w, Coord__V1__WatchCreate *create,
                         Coord__V1__WatchCancel *cancel, Coord__V1__WatchProgress *progress)
{
    Coord__V1__WatchRequest m;
    coord__v1__watch_request__init(&m);
    if (create != NULL) {
        m.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
        m.create = create;
    } else if (cancel != NULL) {
        m.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CANCEL;
        m.cancel = cancel;
    } else {
        m.request_case = COORD__V1__WATCH_REQUEST__REQUEST_PROGRESS;
        m.progress = progress;
    }
    remote_call_send(&w->stream, &m.base);
}

static void ask(struct watcher *w, struct watched *d)
{
    struct watch_spec *s = &d->spec;
    Coord__V1__RequestHeader header;
    Coord__V1__WatchCreate m;
    Coord__V1__EventType types[3];
    coord__v1__request_header__init(&header);
    coord__v1__watch_create__init(&m);
    header.consistency =
        s->is_local ? COORD__V1__CONSISTENCY__LOCAL : COORD__V1__CONSISTENCY__LINEARIZABLE;
    m.header = &header;
    m.watch_id = d->id;
    m.path = s->path;
    m.scope = (Coord__V1__WatchCreate__Scope)s->scope;
    m.once = s->once;
    m.types = types;
    for (int type = 1; type <= 3; type++) {
        if ((s->types >> type & 1) != 0) {
            types[m.n_types++] = (Coord__V1__EventType)type;
        }
    }
    m.glob = s->glob;
    m.depth = s->depth;
    m.keys_only = s->keys_only;
    m.with_previous = s->with_previous;
    m.from_revision = d->from;
    m.list = s->list && d->from == 0;
    m.relist = s->relist;
    m.progress_ms = s->progress_ms;
    d->asked_revision = w->all->journal->high_revision;
    d->state = WATCHED_ASKED;
    send_request(w, &m, NULL, NULL);
}

static void cancel(struct watcher *w, struct watched *d)
{
    Coord__V1__WatchCancel m;
    coord__v1__watch_cancel__init(&m);
    m.watch_id = d->id;
    send_request(w, NULL, &m, NULL);
    watched_forget(d);
    d->state = WATCHED_NONE; /* what still comes under its id is of no interest */
}

/* ---- hearing ----------------------------------------------------------------------------- */

static void heard(struct watcher *w, struct watched *d, const Coord__V1__WatchReply *m)
{
    switch (m->type) {
    case COORD__V1__WATCH_REPLY__TYPE__CREATED: watched_created(w, d, m->revision); break;
    case COORD__V1__WATCH_REPLY__TYPE__LISTING: watched_listing(w, d, m); break;
    case COORD__V1__WATCH_REPLY__TYPE__EVENTS: watched_events(w, d, m); break;
    case COORD__V1__WATCH_REPLY__TYPE__PROGRESS: watched_progress(w, d, m->revision); break;
    case COORD__V1__WATCH_REPLY__TYPE__COMPACTED: watched_compacted(w, d, m->revision); break;
    case COORD__V1__WATCH_REPLY__TYPE__CANCELED: watched_canceled(w, d, m); break;
    default: world_fail(world_of(w), "a watch reply of type %d", (int)m->type); break;
    }
}

static void stream_message(struct remote_call *call, struct slice message)
{
    struct watcher *w = call->owner;
    Coord__V1__WatchReply *m = coord__v1__watch_reply__unpack(NULL, message.size, message.data);
    station_hear(w->station, call->remote->node, m->header);
    world_trace(world_of(w),
                "watcher %u: n%u: watch %" PRIu64 " type %d revision %" PRIu64
                " %zu events %zu entries%s",
                w->number, call->remote->node + 1, m->watch_id, (int)m->type, m->revision,
                m->n_events, m->n_entries, m->more ? ", more" : "");
    struct cluster *c = w->all->cluster;
    if (c->moment != NULL && world_chance(world_of(w), 100)) {
        c->moment(c->context, MOMENT_WATCH, call->remote->node);
    }
    bool is_for_all = m->watch_id == 0 && m->type == COORD__V1__WATCH_REPLY__TYPE__PROGRESS;
    for (uint32_t i = 0; i < WATCHER_WATCHES_MAX; i++) {
        struct watched *d = &w->watches[i];
        if (d->state != WATCHED_NONE && d->state != WATCHED_WANTED &&
            (is_for_all || d->id == m->watch_id)) {
            heard(w, d, m);
        }
    }
    coord__v1__watch_reply__free_unpacked(m, NULL);
}

/* All watches are asked for again, from where each of them is. */
static void stream_ended(struct remote_call *call, const struct remote_answer *a)
{
    struct watcher *w = call->owner;
    world_trace(world_of(w), "watcher %u: stream ended with %s %s", w->number,
                a->end == REMOTE_ANSWERED ? grpc_code_name(a->code) : "loss", a->text);
    if (a->end == REMOTE_ANSWERED && a->code != GRPC_UNAVAILABLE) {
        world_fail(world_of(w), "a watch stream ended with %s: %s", grpc_code_name(a->code),
                   a->text);
    }
    for (uint32_t i = 0; i < WATCHER_WATCHES_MAX; i++) {
        struct watched *d = &w->watches[i];
        if (d->state == WATCHED_NONE) {
            continue;
        }
        if (d->state == WATCHED_ENDING) {
            d->state = WATCHED_NONE;
        } else {
            bool has_begun = d->state == WATCHED_FOLLOWING;
            d->from = has_begun ? d->next : d->state == WATCHED_LISTING ? 0 : d->from;
            /* A relisting that was cut off is begun anew where the log went on. */
            d->spec.list |= d->state == WATCHED_LISTING;
            d->state = WATCHED_WANTED;
            d->partial = 0;
            w->all->resumes += has_begun;
        }
        watched_forget(d);
    }
}

/* ---- what to do next --------------------------------------------------------------------- */

static void ask_progress(struct watcher *w)
{
    Coord__V1__WatchProgress m;
    coord__v1__watch_progress__init(&m);
    send_request(w, NULL, NULL, &m);
}

static void act_at_random(struct watcher *w)
{
    uint32_t place = (uint32_t)world_random(world_of(w), 0, WATCHER_WATCHES_MAX - 1);
    struct watched *d = &w->watches[place];
    uint64_t dice = world_random(world_of(w), 0, 99);
    if (d->state == WATCHED_NONE) {
        watch_new(w, place);
    } else if (dice < 6 && d->state == WATCHED_FOLLOWING) {
        cancel(w, d);
    } else if (dice < 9) {
        remote_call_give_up(&w->stream); /* to go on elsewhere */
    }
}

static void watcher_tick(void *context)
{
    struct watcher *w = context;
    uint64_t pause = sim_host_pause_left(&w->station->host);
    world_at(world_of(w), &w->tick,
             pause > 0 ? pause : world_random(world_of(w), TICK_US / 4, TICK_US), watcher_tick,
             w);
    if (pause > 0) {
        return;
    }
    if (!remote_call_is_open(&w->stream)) {
        struct remote *r = &w->station->remotes[station_pick(w->station)];
        if (!remote_call(r, &w->stream, "/coord.v1.Watch/Watch", NULL, true, 0)) {
            return;
        }
    }
    if (!w->all->is_ending) {
        act_at_random(w);
    }
    if (world_chance(world_of(w), 100)) {
        ask_progress(w); /* so also a node that went without a word is missed */
    }
    for (uint32_t i = 0; i < WATCHER_WATCHES_MAX; i++) {
        if (w->watches[i].state == WATCHED_WANTED) {
            ask(w, &w->watches[i]);
        }
    }
}

/* ---- all of them ------------------------------------------------------------------------- */

void watchers_init(struct watchers *all, struct cluster *c, struct oracle *o,
                   const struct journal *h)
{
    *all = (struct watchers){.cluster = c, .oracle = o, .journal = h};
}

struct watcher *watchers_add(struct watchers *all, struct station *s)
{
    struct watcher *w = &all->items[all->count];
    *w = (struct watcher){.all = all, .number = all->count++, .station = s, .next_id = 1};
    w->stream =
        (struct remote_call){.owner = w, .ended = stream_ended, .message = stream_message};
    return w;
}

void watchers_start(struct watchers *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        world_at(&all->cluster->world, &all->items[i].tick,
                 world_random(&all->cluster->world, 1, TICK_US), watcher_tick, &all->items[i]);
    }
}

void watchers_end(struct watchers *all)
{
    all->is_ending = true;
}

static bool is_current(const struct oracle *o, const struct watched *d)
{
    if (d->state == WATCHED_NONE) {
        return true;
    }
    if (d->state != WATCHED_FOLLOWING) {
        return false;
    }
    for (size_t i = oracle_seek(o, d->next); i < o->change_count; i++) {
        if (watch_spec_takes(&d->spec, &o->changes[i])) {
            return false;
        }
    }
    return true;
}

bool watchers_are_current(const struct watchers *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        for (uint32_t j = 0; j < WATCHER_WATCHES_MAX; j++) {
            if (!is_current(all->oracle, &all->items[i].watches[j])) {
                return false;
            }
        }
    }
    return true;
}

void watchers_close(struct watchers *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct watcher *w = &all->items[i];
        world_cancel(&all->cluster->world, &w->tick);
        remote_call_release(&w->stream);
        for (uint32_t j = 0; j < WATCHER_WATCHES_MAX; j++) {
            watched_forget(&w->watches[j]);
        }
    }
}
