#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "store/store.h"
#include "tests/sim/watcher.h"

#define SCOPE(name) COORD__V1__WATCH_CREATE__SCOPE__##name

static struct world *world_of(struct watcher *w)
{
    return &w->all->cluster->world;
}

/* ---- what belongs to a watch ------------------------------------------------------------- */

static bool starts_with(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size && memcmp(s.data, prefix.data, prefix.size) == 0;
}

/* Levels below `top`: 0 is itself, -1 not below it at all. */
static int levels_below(struct slice path, struct slice top)
{
    bool is_root = top.size == 1;
    int levels = 0;
    if (!starts_with(path, top)) {
        return -1;
    }
    if (path.size == top.size) {
        return 0;
    }
    if (!is_root && path.data[top.size] != '/') {
        return -1;
    }
    for (size_t i = is_root ? 0 : top.size; i < path.size; i++) {
        levels += path.data[i] == '/';
    }
    return levels;
}

static bool scope_takes(const struct watch_spec *spec, struct slice path)
{
    int levels = levels_below(path, slice_str(spec->path));
    switch (spec->scope) {
    case SCOPE(NODE): return levels == 0;
    case SCOPE(CHILDREN): return levels == 1;
    case SCOPE(SUBTREE): return levels >= 0 && (spec->depth == 0 || levels <= (int)spec->depth);
    default: return starts_with(path, slice_str(spec->path));
    }
}

static bool glob_takes(const struct watch_spec *spec, struct slice path)
{
    char text[128] = {0};
    if (spec->glob[0] == '\0') {
        return true;
    }
    memcpy(text, path.data, path.size < sizeof text ? path.size : sizeof text - 1);
    const char *name = strrchr(text, '/');
    return fnmatch(spec->glob, name == NULL ? text : name + 1, 0) == 0;
}

static bool takes_path(const struct watch_spec *spec, struct slice path)
{
    return scope_takes(spec, path) && glob_takes(spec, path);
}

bool watch_spec_takes(const struct watch_spec *spec, const struct oracle_change *c)
{
    return c->space == SPACE_NODES && (spec->types == 0 || (spec->types >> c->type & 1) != 0) &&
           takes_path(spec, c->path);
}

/* The place of the first change from `at` on that the watch has to show; change_count: none. */
static size_t next_shown(const struct oracle *o, const struct watch_spec *spec, size_t at)
{
    while (at < o->change_count && !watch_spec_takes(spec, &o->changes[at])) {
        at++;
    }
    return at;
}

/* ---- messages ---------------------------------------------------------------------------- */

static void fail(struct watcher *w, const struct watched *d, const char *what, uint64_t a,
                 uint64_t b)
{
    const struct watch_spec *s = &d->spec;
    world_fail(world_of(w),
               "watch %" PRIu64
               " of %s (scope %u, glob '%s', types %u, depth %u) at next %" PRIu64
               ": %s (%" PRIu64 ", %" PRIu64 ")",
               d->id, s->path, s->scope, s->glob, s->types, s->depth, d->next, what, a, b);
}

void watched_forget(struct watched *d)
{
    mem_free(d->listing);
    d->listing = NULL;
    d->listing_count = d->listing_at = 0;
    d->listing_revision = 0;
}

void watched_created(struct watcher *w, struct watched *d, uint64_t revision)
{
    bool is_fresh = !d->spec.is_local;
    if (d->state != WATCHED_ASKED) {
        fail(w, d, "is created twice", revision, 0);
    } else if (d->from != 0 && revision != d->from) {
        fail(w, d, "begins elsewhere than asked for", revision, d->from);
    } else if (d->from == 0 && revision > w->all->oracle->revision + 1) {
        fail(w, d, "begins in the future", revision, w->all->oracle->revision);
    } else if (d->from == 0 && is_fresh && revision <= d->asked_revision) {
        fail(w, d, "begins in the past", revision, d->asked_revision);
    }
    bool lists = d->from == 0 && d->spec.list;
    d->state = lists ? WATCHED_LISTING : WATCHED_FOLLOWING;
    d->next = revision;
    d->partial = 0;
}

/* What the tree at the listing's revision shows of the watch's scope. */
static void listing_begin(struct watcher *w, struct watched *d, uint64_t revision)
{
    size_t count = 0;
    size_t kept = 0;
    watched_forget(d);
    d->listing = oracle_tree_at(w->all->oracle, revision, &count);
    for (size_t i = 0; i < count; i++) {
        if (takes_path(&d->spec, d->listing[i].path)) {
            d->listing[kept++] = d->listing[i];
        }
    }
    d->listing_count = kept;
    d->listing_revision = revision;
    w->all->listings++;
    if (revision > w->all->oracle->revision ||
        (!d->spec.is_local && revision < d->asked_revision)) {
        fail(w, d, "lists a revision that is not now", revision, d->asked_revision);
    }
}

void watched_listing(struct watcher *w, struct watched *d, const Coord__V1__WatchReply *m)
{
    if (d->state != WATCHED_LISTING) {
        fail(w, d, "lists unasked", m->revision, d->state);
        return;
    }
    if (d->listing_revision == 0) {
        listing_begin(w, d, m->revision);
    }
    if (m->revision != d->listing_revision) {
        fail(w, d, "lists two revisions", m->revision, d->listing_revision);
    }
    for (size_t i = 0; i < m->n_entries; i++) {
        const Coord__V1__ListEntry *e = m->entries[i];
        const struct oracle_node *n =
            d->listing_at < d->listing_count ? &d->listing[d->listing_at++] : NULL;
        struct slice data = slice_make(e->data.data, e->data.len);
        if (n == NULL || !slice_is(n->path, e->path) || e->stat == NULL ||
            e->stat->modify_revision != n->modify_revision || e->stat->lease != n->lease ||
            (!d->spec.keys_only && !oracle_value_is(&n->data, data))) {
            world_trace(world_of(w), "listed %s", e->path);
            fail(w, d, "lists what is not there", m->revision, d->listing_at);
        }
    }
    if (!m->more) {
        if (d->listing_at != d->listing_count) {
            fail(w, d, "does not list all", d->listing_at, d->listing_count);
        }
        d->next = m->revision + 1;
        d->state = WATCHED_FOLLOWING;
        watched_forget(d);
    }
}

static bool event_is(const struct watch_spec *spec, const Coord__V1__Event *e,
                     const struct oracle_change *c)
{
    struct slice data = slice_make(e->data.data, e->data.len);
    struct slice old = slice_make(e->previous.data, e->previous.len);
    bool with_data = !spec->keys_only && c->type != CHANGE_DELETE;
    bool with_old = !spec->keys_only && spec->with_previous;
    return e->revision == c->revision && e->sub == c->sub && (int)e->type == (int)c->type &&
           slice_is(c->path, e->path) && (int)e->reason == (int)c->reason &&
           e->session == c->session && e->stat != NULL && e->stat->lease == c->lease &&
           (with_data ? oracle_value_is(&c->data, data) : data.size == 0) &&
           (with_old ? oracle_value_is(&c->old, old) : old.size == 0);
}

void watched_events(struct watcher *w, struct watched *d, const Coord__V1__WatchReply *m)
{
    const struct oracle *o = w->all->oracle;
    if (d->state != WATCHED_FOLLOWING) {
        fail(w, d, "tells events before it has begun", m->revision, d->state);
        return;
    }
    if (d->partial != 0 && m->revision != d->partial) {
        fail(w, d, "leaves a revision unfinished", d->partial, m->revision);
    }
    if (d->partial == 0) {
        d->at = next_shown(o, &d->spec, oracle_seek(o, d->next));
    }
    for (size_t i = 0; i < m->n_events; i++) {
        const struct oracle_change *c = d->at < o->change_count ? &o->changes[d->at] : NULL;
        const Coord__V1__Event *e = m->events[i];
        if (c == NULL || m->revision != c->revision || !event_is(&d->spec, e, c)) {
            world_trace(world_of(w), "event %" PRIu64 ".%u %s", e->revision, e->sub, e->path);
            fail(w, d, "an event is missing, doubled or wrong: expected, told",
                 c == NULL ? 0 : c->revision, e->revision);
            return;
        }
        d->at = next_shown(o, &d->spec, d->at + 1);
    }
    w->all->events += m->n_events;
    d->partial = m->more ? m->revision : 0;
    if (m->more) {
        return;
    }
    if (m->n_events == 0 ||
        (d->at < o->change_count && o->changes[d->at].revision == m->revision)) {
        fail(w, d, "a revision is not told as a whole", m->revision, m->n_events);
    }
    d->next = m->revision + 1;
    if (d->spec.once) {
        d->state = WATCHED_ENDING;
        d->ending = OUTCOME_OK;
    }
}

void watched_progress(struct watcher *w, struct watched *d, uint64_t revision)
{
    const struct oracle *o = w->all->oracle;
    if (d->state != WATCHED_FOLLOWING || revision < d->next) {
        return;
    }
    size_t at = next_shown(o, &d->spec, oracle_seek(o, d->next));
    if (revision > o->revision) {
        fail(w, d, "a progress mark is of the future", revision, o->revision);
    } else if (d->partial != 0 ||
               (at < o->change_count && o->changes[at].revision <= revision)) {
        fail(w, d, "a progress mark passes by an event", revision,
             at < o->change_count ? o->changes[at].revision : 0);
    }
    d->next = revision + 1;
    w->all->progresses++;
}

void watched_compacted(struct watcher *w, struct watched *d, uint64_t floor)
{
    if (d->state != WATCHED_FOLLOWING || floor <= d->next || floor > w->all->oracle->floor) {
        fail(w, d, "is told COMPACTED without need", floor, w->all->oracle->floor);
    }
    w->all->compactions++;
    d->partial = 0;
    d->ending = OUTCOME_COMPACTED;
    d->state = d->spec.relist ? WATCHED_LISTING : WATCHED_ENDING;
}

void watched_canceled(struct watcher *w, struct watched *d, const Coord__V1__WatchReply *m)
{
    enum outcome outcome = (enum outcome)m->outcome;
    bool is_future = outcome == OUTCOME_FUTURE_REVISION && d->state == WATCHED_ASKED &&
                     d->from > d->asked_revision;
    if (!is_future && (d->state != WATCHED_ENDING || outcome != d->ending)) {
        world_trace(world_of(w), "canceled: %s", m->text);
        fail(w, d, "is canceled: outcome, state", outcome, d->state);
    }
    watched_forget(d);
    d->state = WATCHED_NONE;
}
