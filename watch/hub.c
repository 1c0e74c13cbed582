#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "store/store.h"
#include "watch/track.h"

/* Passes of the behind track, in turn; the live track's watches have none. */
#define PASS_LIVE  ((uint8_t)0)
#define PASS_FIRST ((uint8_t)1)
#define PASS_SUM   ((uint8_t)3)

static const struct history *log_of(const struct watch_hub *h)
{
    return store_history(h->store);
}

struct watch_hub *hub_new(const struct store *s)
{
    struct watch_hub *h = mem_zalloc(sizeof *h);
    h->store = s;
    h->pairs_max = WATCH_PAIRS_MAX;
    watch_index_init(&h->index);
    track_init(&h->live, LANE_LIVE, PASS_LIVE);
    track_init(&h->behind, LANE_BEHIND, PASS_FIRST);
    list_init(&h->late);
    list_init(&h->waiting);
    track_place(h, &h->live, store_revision(s) + 1, 0);
    track_place(h, &h->behind, store_revision(s) + 1, 0);
    return h;
}

void hub_free(struct watch_hub *h)
{
    if (h == NULL) {
        return;
    }
    PRE(h->watch_count == 0 && !h->is_busy);
    watch_index_close(&h->index);
    track_close(&h->live);
    track_close(&h->behind);
    mem_free(h->changes);
    mem_free(h);
}

uint64_t hub_revision(const struct watch_hub *h)
{
    return h->live.revision - 1;
}

/* ---- moving between the states ----------------------------------------------------------- */

static bool is_before(const struct watch *w, uint64_t revision, uint32_t sub)
{
    return w->revision < revision || (w->revision == revision && w->sub < sub);
}

static void become_live(struct watch_hub *h, struct watch *w)
{
    w->state = WATCH_LIVE;
    w->pass = PASS_LIVE;
    watch_index_add(&h->index, w, LANE_LIVE);
    list_push_back(&h->live.watches, &w->link);
}

/* Goes along with the pass under way if that has not been at its cursor yet. */
static void become_behind(struct watch_hub *h, struct watch *w)
{
    struct track *t = &h->behind;
    w->state = WATCH_BEHIND;
    h->behind_count++;
    if (!list_empty(&t->watches) && !is_before(w, t->revision, t->sub)) {
        w->pass = t->pass;
        list_push_back(&t->watches, &w->link);
    } else {
        w->pass = (uint8_t)(PASS_SUM - t->pass);
        if (list_empty(&h->late) || is_before(w, h->late_revision, h->late_sub)) {
            h->late_revision = w->revision;
            h->late_sub = w->sub;
        }
        list_push_back(&h->late, &w->link);
    }
    watch_index_add(&h->index, w, LANE_BEHIND);
}

/* Out of whatever state it is in; it keeps its copies and its cursor. */
static void leave(struct watch_hub *h, struct watch *w)
{
    if (w->state == WATCH_LIVE) {
        track_leave(&h->live, w);
        watch_index_remove(&h->index, w, LANE_LIVE);
    } else {
        h->behind_count--;
    }
    if (w->state == WATCH_BEHIND) {
        track_leave(&h->behind, w);
        watch_index_remove(&h->index, w, LANE_BEHIND);
    }
    list_remove(&w->link);
}

void hub_park(struct watch_hub *h, struct watch *w, uint64_t revision, uint32_t sub)
{
    leave(h, w);
    w->state = WATCH_WAITING;
    w->revision = revision;
    w->sub = sub;
    h->behind_count++;
    list_push_back(&h->waiting, &w->link);
}

/* ---- start and stop ---------------------------------------------------------------------- */

static size_t copied_bytes(const struct watch_filter *f)
{
    return f->path.size + f->glob.size;
}

/* Path and glob share one piece of memory. */
static void keep_filter(struct watch_hub *h, struct watch *w, const struct watch_filter *f)
{
    w->filter = *f;
    size_t bytes = copied_bytes(f);
    uint8_t *copy = bytes == 0 ? NULL : mem_alloc(bytes);
    if (f->path.size > 0) {
        memcpy(copy, f->path.data, f->path.size);
    }
    if (f->glob.size > 0) {
        memcpy(copy + f->path.size, f->glob.data, f->glob.size);
    }
    w->filter.path.data = copy;
    w->filter.glob.data = f->glob.size == 0 ? NULL : copy + f->path.size;
    h->copied_bytes += bytes;
}

/* Of a watch that is no more, or has another filter by now. */
static void drop_filter(struct watch_hub *h, const struct watch_filter *f)
{
    size_t bytes = copied_bytes(f);
    union {
        const uint8_t *kept;
        void *memory;
    } copy = {.kept = bytes == 0 ? NULL : f->path.data};
    h->copied_bytes -= bytes;
    mem_free(copy.memory);
}

/* Whether changes from `revision` on are no longer all there. Revision 1 is the empty tree, which
 * no change has made. */
static bool is_compacted(const struct watch_hub *h, uint64_t revision)
{
    uint64_t floor = log_of(h)->floor;
    return revision < floor && floor > 2 && !MUTANT_IS(MUTANT_COMPACTED_UNTOLD);
}

enum outcome watch_start(struct watch_hub *h, struct watch *w, const struct watch_filter *f,
                         const struct watch_ops *ops, uint64_t from_revision)
{
    PRE(w->state == WATCH_STOPPED && ops->deliver != NULL && ops->compacted != NULL);
    if (from_revision != 0 && is_compacted(h, from_revision)) {
        return OUTCOME_COMPACTED;
    }
    uint64_t floor = log_of(h)->floor;
    uint64_t revision = from_revision == 0 ? store_revision(h->store) + 1 : from_revision;
    keep_filter(h, w, f);
    w->ops = ops;
    w->gathered = 0;
    w->revision = revision < floor ? floor : revision;
    w->sub = 0;
    h->watch_count++;
    if (is_before(w, h->live.revision, h->live.sub)) { /* or amid what is being dispatched */
        become_behind(h, w);
    } else {
        become_live(h, w);
    }
    return OUTCOME_OK;
}

void watch_stop(struct watch_hub *h, struct watch *w)
{
    if (w->state == WATCH_STOPPED) {
        return;
    }
    leave(h, w);
    w->state = WATCH_STOPPED;
    drop_filter(h, &w->filter);
    w->filter = (struct watch_filter){0};
    h->watch_count--;
}

void watch_resume(struct watch_hub *h, struct watch *w)
{
    if (w->state == WATCH_WAITING) {
        leave(h, w);
        become_behind(h, w);
    }
}

/* ---- compaction -------------------------------------------------------------------------- */

/* The owner still sees the filter, and may begin anew with it or free the watch. */
static void stop_compacted(struct watch_hub *h, struct watch *w, uint64_t floor)
{
    const struct watch_filter filter = w->filter;
    leave(h, w);
    w->state = WATCH_STOPPED;
    h->watch_count--;
    w->ops->compacted(w, floor);
    drop_filter(h, &filter);
}

/* The log does not reach back to the track: whoever needs what is gone is told, the others go on
 * from the floor. */
static void compact(struct watch_hub *h, struct track *t)
{
    uint64_t floor = log_of(h)->floor;
    struct list kept;
    struct list *node;
    track_place(h, t, floor, 0);
    list_init(&kept);
    while ((node = list_pop_front(&t->watches)) != NULL) {
        struct watch *w = LIST_OF(node, struct watch, link);
        if (w->revision >= floor) {
            list_push_back(&kept, node);
            continue;
        }
        stop_compacted(h, w, floor);
    }
    while ((node = list_pop_front(&kept)) != NULL) {
        list_push_back(&t->watches, node);
    }
}

/* ---- live -------------------------------------------------------------------------------- */

void hub_dispatch(struct watch_hub *h)
{
    uint64_t revision = store_revision(h->store);
    struct track *t = &h->live;
    if (revision < t->revision) {
        return;
    }
    PRE(!h->is_busy);
    h->is_busy = true;
    if (t->revision < log_of(h)->floor) {
        compact(h, t);
    }
    (void)track_advance(h, t, revision, SIZE_MAX);
    if (t->revision <= revision) {
        track_skip(h, t, revision + 1);
    }
    h->is_busy = false;
}

void hub_rebind(struct watch_hub *h, const struct store *s)
{
    PRE(!h->is_busy && store_revision(s) >= hub_revision(h));
    h->store = s;
    track_rebind(h, &h->live);
    track_rebind(h, &h->behind);
    hub_dispatch(h);
}

/* ---- behind ------------------------------------------------------------------------------ */

/* Begins the next pass when the last one has nobody left. False if there is nothing to catch up. */
static bool has_pass(struct watch_hub *h)
{
    struct track *t = &h->behind;
    struct list *node;
    if (!list_empty(&t->watches)) {
        return true;
    }
    if (list_empty(&h->late)) {
        return false;
    }
    while ((node = list_pop_front(&h->late)) != NULL) {
        list_push_back(&t->watches, node);
    }
    t->pass = (uint8_t)(PASS_SUM - t->pass);
    track_place(h, t, h->late_revision, h->late_sub);
    return true;
}

static void catch_up(struct watch_hub *h)
{
    struct watch *w = LIST_OF(h->behind.watches.next, struct watch, link);
    leave(h, w);
    w->revision = h->live.revision;
    w->sub = 0;
    become_live(h, w);
    if (w->ops->caught_up != NULL) {
        w->ops->caught_up(w);
    }
}

bool hub_turn(struct watch_hub *h, size_t budget)
{
    struct track *t = &h->behind;
    PRE(!h->is_busy);
    h->is_busy = true;
    while (budget > 0 && has_pass(h)) {
        size_t used = 1;
        if (t->revision < log_of(h)->floor) {
            compact(h, t);
        } else if (t->revision <= hub_revision(h)) {
            used = track_advance(h, t, hub_revision(h), budget);
        } else {
            catch_up(h);
        }
        budget -= used < budget ? used : budget;
    }
    h->is_busy = false;
    return hub_has_work(h);
}

bool hub_has_work(const struct watch_hub *h)
{
    return !list_empty(&h->behind.watches) || !list_empty(&h->late);
}

/* ---- what there is to know --------------------------------------------------------------- */

uint64_t watch_delivered(const struct watch_hub *h, const struct watch *w)
{
    PRE(w->state != WATCH_STOPPED);
    const struct track *t = w->state == WATCH_LIVE ? &h->live : &h->behind;
    if (w->gathered != 0) { /* the revision just gathered, not all of it handed over */
        return t->sub > 0 ? t->revision - 1 : t->revision - 2;
    }
    if (w->state == WATCH_LIVE) {
        return hub_revision(h);
    }
    bool goes_along = w->state == WATCH_BEHIND && w->pass == t->pass;
    return (goes_along && t->revision > w->revision ? t->revision : w->revision) - 1;
}

static uint64_t lowest(const struct watch_hub *h, const struct list *watches, uint64_t so_far)
{
    for (const struct list *at = watches->next; at != watches; at = at->next) {
        const struct watch *w =
            (const struct watch *)(const void *)((const char *)at - offsetof(struct watch, link));
        uint64_t delivered = watch_delivered(h, w);
        so_far = delivered < so_far ? delivered : so_far;
    }
    return so_far;
}

void hub_status(const struct watch_hub *h, struct hub_status *out)
{
    uint64_t furthest = hub_revision(h);
    furthest = lowest(h, &h->behind.watches, furthest);
    furthest = lowest(h, &h->late, furthest);
    furthest = lowest(h, &h->waiting, furthest);
    size_t tracks = (h->live.group_capacity + h->behind.group_capacity) * sizeof(struct group) +
                    (h->live.pair_capacity + h->behind.pair_capacity) * sizeof(struct pair);
    *out = (struct hub_status){
        .watches = h->watch_count,
        .behind = h->behind_count,
        .lag_revisions = hub_revision(h) - furthest,
        .bytes = h->copied_bytes + h->index.bytes + tracks +
                 h->change_capacity * sizeof(struct change *),
    };
}
