#include "watch/track.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/store.h"
#include "store/tree.h"

#define PAIRS_KEPT ((size_t)4096) /* in reserve for the next revision */

void track_init(struct track *t, enum lane lane, uint8_t pass)
{
    *t = (struct track){.lane = lane, .pass = pass};
    list_init(&t->watches);
}

void track_close(struct track *t)
{
    mem_free(t->groups);
    mem_free(t->pairs);
    *t = (struct track){0};
}

static void forget_groups(struct track *t)
{
    for (size_t i = 0; i < t->group_count; i++) {
        if (t->groups[i].watch != NULL) {
            t->groups[i].watch->gathered = 0;
        }
    }
    t->group_count = 0;
    t->pair_count = 0;
    t->held = 0;
}

void track_place(struct watch_hub *h, struct track *t, uint64_t revision, uint32_t sub)
{
    forget_groups(t);
    t->revision = revision;
    t->sub = sub;
    track_rebind(h, t);
}

void track_skip(struct watch_hub *h, struct track *t, uint64_t revision)
{
    forget_groups(t);
    t->revision = revision;
    t->sub = 0;
    t->position = store_history(h->store)->end;
}

void track_rebind(struct watch_hub *h, struct track *t)
{
    const struct history *log = store_history(h->store);
    t->position = t->revision < log->floor ? log->begin : history_seek(log, t->revision) + t->sub;
}

void track_leave(struct track *t, struct watch *w)
{
    if (w->gathered != 0) {
        t->groups[w->gathered - 1].watch = NULL;
        w->gathered = 0;
    }
}

/* ---- gathering --------------------------------------------------------------------------- */

static uint32_t add_pair(struct track *t, uint32_t sub)
{
    if (t->pair_count == t->pair_capacity) {
        t->pair_capacity = t->pair_capacity == 0 ? 64 : t->pair_capacity * 2;
        t->pairs = mem_resize(t->pairs, t->pair_capacity * sizeof *t->pairs);
    }
    t->pairs[t->pair_count] = (struct pair){.sub = sub};
    return (uint32_t)t->pair_count++;
}

static void add_group(struct track *t, struct watch *w, bool continued, uint32_t sub)
{
    if (t->group_count == t->group_capacity) {
        t->group_capacity = t->group_capacity == 0 ? 16 : t->group_capacity * 2;
        t->groups = mem_resize(t->groups, t->group_capacity * sizeof *t->groups);
    }
    uint32_t pair = add_pair(t, sub);
    t->groups[t->group_count++] = (struct group){
        .watch = w, .first = pair, .last = pair, .count = 1, .continued = continued};
    w->gathered = (uint32_t)t->group_count;
}

struct offer {
    struct track *track;
    const struct change *change;
};

/* The path is right. What is before the watch's own cursor was handed over already, or was not
 * asked for. */
static void offer(void *context, struct watch *w, uint32_t level)
{
    const struct offer *o = context;
    const struct change *c = o->change;
    const struct watch_filter *f = &w->filter;
    if (w->pass != o->track->pass || c->revision < w->revision ||
        (c->revision == w->revision && c->sub < w->sub)) {
        return;
    }
    uint8_t types = f->types != 0 ? f->types : WATCH_TYPES_DEFAULT;
    if ((types >> c->type & 1) == 0 || (f->depth != 0 && level > f->depth) ||
        (f->glob.size != 0 && !glob_match(f->glob, path_last(c->space, c->path))) ||
        (w->ops->may_see != NULL && !w->ops->may_see(w, c))) {
        return;
    }
    struct track *t = o->track;
    if (w->gathered == 0) {
        add_group(t, w, w->revision == c->revision && w->sub > 0, c->sub);
        return;
    }
    uint32_t pair = add_pair(t, c->sub);
    struct group *g = &t->groups[w->gathered - 1];
    t->pairs[g->last].next = pair;
    g->last = pair;
    g->count++;
}

/* ---- handing over ------------------------------------------------------------------------ */

/* The revision that is handed over, and where it begins in the log. */
struct span {
    uint64_t revision;
    uint64_t position;
    bool is_whole; /* to its end */
};

static void collect(struct watch_hub *h, const struct track *t, const struct group *g,
                    const struct span *span, size_t count)
{
    const struct history *log = store_history(h->store);
    if (count > h->change_capacity) {
        h->change_capacity = count * 2;
        mem_free(h->changes);
        h->changes = mem_alloc(h->change_capacity * sizeof *h->changes);
    }
    uint32_t pair = g->first;
    for (size_t i = 0; i < count; i++) {
        h->changes[i] = history_at(log, span->position + t->pairs[pair].sub);
        pair = t->pairs[pair].next;
    }
}

/* After deliver the watch may be stopped, started anew or gone: its group knows. */
static void hand_over(struct watch_hub *h, struct track *t, struct group *g,
                      const struct span *span)
{
    struct watch *w = g->watch;
    size_t count = g->count - (span->is_whole ? 0 : 1);
    if (w == NULL || count == 0) {
        return;
    }
    collect(h, t, g, span, count);
    size_t taken = w->ops->deliver(w, h->changes, count, g->continued, !span->is_whole);
    if (g->watch == NULL) {
        return;
    }
    PRE(taken <= count);
    if (taken < count) {
        bool nothing_yet = taken == 0 && !g->continued;
        hub_park(h, w, span->revision, nothing_yet ? 0 : h->changes[taken]->sub);
    } else {
        g->continued = true;
    }
}

/* What a piece leaves: of each watch the pair that was held back. The next one brings more than
 * there are of these, so that walking them all costs each pair but once. */
static void keep_last_pairs(struct track *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->group_count; i++) {
        struct group g = t->groups[i];
        if (g.watch == NULL) {
            continue;
        }
        /* Group i has its last pair at i or later, and kept <= i. */
        t->pairs[kept] = (struct pair){.sub = t->pairs[g.last].sub};
        g.first = (uint32_t)kept;
        g.last = (uint32_t)kept;
        g.count = 1;
        t->groups[kept++] = g;
        g.watch->gathered = (uint32_t)kept;
    }
    t->group_count = kept;
    t->pair_count = kept;
    t->held = kept;
}

/* A revision that many watch must not hold its memory for good. */
static void shrink(struct watch_hub *h, struct track *t)
{
    if (t->pair_capacity > PAIRS_KEPT) {
        mem_free(t->pairs);
        t->pairs = NULL;
        t->pair_capacity = 0;
    }
    if (t->group_capacity > PAIRS_KEPT) {
        mem_free(t->groups);
        t->groups = NULL;
        t->group_capacity = 0;
    }
    if (h->change_capacity > PAIRS_KEPT) {
        mem_free(h->changes);
        h->changes = NULL;
        h->change_capacity = 0;
    }
}

static void hand_over_all(struct watch_hub *h, struct track *t, const struct span *span)
{
    for (size_t i = 0; i < t->group_count; i++) {
        hand_over(h, t, &t->groups[i], span);
    }
    if (span->is_whole) {
        forget_groups(t);
        shrink(h, t);
    } else {
        keep_last_pairs(t);
    }
}

/* ---- moving ------------------------------------------------------------------------------ */

static bool is_last_of_revision(const struct history *log, uint64_t position)
{
    return position + 1 == log->end ||
           history_at(log, position + 1)->revision != history_at(log, position)->revision;
}

size_t track_advance(struct watch_hub *h, struct track *t, uint64_t until, size_t budget)
{
    const struct history *log = store_history(h->store);
    size_t work = 0;
    while (work < budget && t->revision <= until && !list_empty(&t->watches)) {
        const struct change *c = history_at(log, t->position);
        INVARIANT(23, c->revision == t->revision && c->sub == t->sub);
        struct offer o = {.track = t, .change = c};
        size_t pairs = t->pair_count;
        watch_index_find(&h->index, t->lane, c->space, c->path, offer, &o);
        work += 1 + t->pair_count - pairs;
        struct span span = {.revision = c->revision,
                            .position = t->position - c->sub,
                            .is_whole = is_last_of_revision(log, t->position)};
        t->position++;
        t->sub++;
        if (span.is_whole) {
            t->revision++;
            t->sub = 0;
        }
        if (span.is_whole || t->pair_count >= 2 * t->held + h->pairs_max) {
            hand_over_all(h, t, &span);
        }
    }
    return work;
}
