#include "lease/window.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

/* Part of the state digest: never change these. */
#define WINDOW_FLOOR_SEED UINT64_C(0x57)
#define WINDOW_REPLY_SEED UINT64_C(0x51)

#define WINDOW_CELLS_MIN  ((uint32_t)4)
#define WINDOW_CELLS_KEPT ((uint32_t)16) /* an empty window gives back more than this */

static struct window_reply *reply_of(struct list *link)
{
    return LIST_OF(link, struct window_reply, link);
}

static uint64_t floor_item(const struct window *w)
{
    return hash_mix(w->session + WINDOW_FLOOR_SEED, w->floor);
}

static uint64_t reply_item(const struct window_reply *r)
{
    uint64_t hash = hash_mix(r->window->session + WINDOW_REPLY_SEED, r->sequence);
    hash = hash_mix(hash, r->serial);
    hash = hash_mix(hash, r->index);
    return hash_mix(hash, hash_bytes(WINDOW_REPLY_SEED, r->bytes, r->size));
}

static uint64_t reply_cost(const struct window_reply *r)
{
    return WINDOW_REPLY_COST_BYTES + r->size;
}

void windows_init(struct windows *all)
{
    *all = (struct windows){.serial_next = 1};
    list_init(&all->replies);
}

struct window *window_open(struct windows *all, uint64_t session)
{
    struct window *w = mem_zalloc(sizeof *w);
    w->session = session;
    all->sum += floor_item(w);
    return w;
}

/* ---- looking ------------------------------------------------------------------------------ */

/* The first cell whose number is not below `sequence`. */
static uint32_t window_seek(const struct window *w, uint64_t sequence)
{
    uint32_t low = w->begin;
    uint32_t high = w->end;
    if (low < high && w->cells[high - 1].sequence < sequence) { /* numbers mostly grow */
        return high;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (w->cells[middle].sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct window_reply *window_find(const struct window *w, uint64_t sequence)
{
    uint32_t at = window_seek(w, sequence);
    bool found = at < w->end && w->cells[at].sequence == sequence;
    return found ? w->cells[at].reply : NULL;
}

const struct window_reply *window_next(const struct window *w, uint64_t after)
{
    if (after == UINT64_MAX) {
        return NULL;
    }
    uint32_t at = window_seek(w, after + 1);
    return at < w->end ? w->cells[at].reply : NULL;
}

/* ---- going -------------------------------------------------------------------------------- */

static void reply_drop_first(struct windows *all, struct window *w)
{
    struct window_reply *r = w->cells[w->begin++].reply;
    if (all->observer != NULL) {
        all->observer->reply_goes(all->observer->context, r);
    }
    w->bytes -= reply_cost(r);
    all->bytes -= reply_cost(r);
    all->sum -= r->hash;
    list_remove(&r->link);
    mem_free(r);
}

static void cells_give_back(struct window *w)
{
    if (w->begin < w->end) {
        return;
    }
    w->begin = 0;
    w->end = 0;
    if (w->capacity > WINDOW_CELLS_KEPT) {
        mem_free(w->cells);
        w->cells = NULL;
        w->capacity = 0;
    }
}

void window_raise(struct windows *all, struct window *w, uint64_t floor)
{
    if (floor <= w->floor) {
        return;
    }
    if (all->observer != NULL) {
        all->observer->floor_moves(all->observer->context, w);
    }
    while (w->begin < w->end && w->cells[w->begin].sequence <= floor) {
        reply_drop_first(all, w);
    }
    cells_give_back(w);
    all->sum -= floor_item(w);
    w->floor = floor;
    all->sum += floor_item(w);
}

void window_close(struct windows *all, struct window *w)
{
    while (w->begin < w->end) {
        reply_drop_first(all, w);
    }
    all->sum -= floor_item(w);
    mem_free(w->cells);
    mem_free(w);
}

/* ---- coming ------------------------------------------------------------------------------- */

/* Room for one more at the end: the front that was left empty is reused before growing. */
static void cells_reserve(struct window *w)
{
    if (w->end < w->capacity) {
        return;
    }
    uint32_t count = window_count(w);
    if (w->begin > w->capacity / 2) {
        memmove(w->cells, w->cells + w->begin, count * sizeof w->cells[0]);
    } else {
        uint32_t capacity = w->capacity == 0 ? WINDOW_CELLS_MIN : w->capacity * 2;
        struct window_cell *cells = mem_alloc(capacity * sizeof cells[0]);
        if (count > 0) {
            memcpy(cells, w->cells + w->begin, count * sizeof cells[0]);
        }
        mem_free(w->cells);
        w->cells = cells;
        w->capacity = capacity;
    }
    w->begin = 0;
    w->end = count;
}

static void reply_put(struct windows *all, struct window *w, const struct window_reply *from,
                      struct slice reply)
{
    PRE(reply.size < UINT32_MAX);
    struct window_reply *r = mem_alloc(sizeof *r + reply.size);
    r->window = w;
    r->sequence = from->sequence;
    r->serial = from->serial;
    r->index = from->index;
    r->size = (uint32_t)reply.size;
    if (reply.size > 0) {
        memcpy(r->bytes, reply.data, reply.size);
    }
    r->hash = reply_item(r);
    list_push_back(&all->replies, &r->link);
    cells_reserve(w);
    uint32_t at = window_seek(w, r->sequence);
    memmove(w->cells + at + 1, w->cells + at, (w->end - at) * sizeof w->cells[0]);
    w->cells[at] = (struct window_cell){.sequence = r->sequence, .reply = r};
    w->end++;
    w->bytes += reply_cost(r);
    all->bytes += reply_cost(r);
    all->sum += r->hash;
}

void window_add(struct windows *all, struct window *w, uint64_t sequence, uint64_t index,
                struct slice reply)
{
    INVARIANT(20, sequence > w->floor && window_find(w, sequence) == NULL);
    if (sequence - w->floor > WINDOW_SEQUENCES) {
        window_raise(all, w, sequence - WINDOW_SEQUENCES);
    }
    struct window_reply from = {
        .sequence = sequence, .serial = all->serial_next++, .index = index};
    reply_put(all, w, &from, reply);
    while (w->bytes > WINDOW_BYTES_MAX && window_count(w) > 1) {
        window_raise(all, w, w->cells[w->begin].sequence);
    }
    while (all->bytes > WINDOWS_BYTES_MAX && all->replies.next != all->replies.prev) {
        const struct window_reply *oldest = reply_of(all->replies.next);
        window_raise(all, oldest->window, oldest->sequence);
    }
}

/* ---- loading ------------------------------------------------------------------------------ */

bool window_load(struct windows *all, struct window *w, const struct window_reply *from,
                 struct slice reply)
{
    uint64_t before = list_empty(&all->replies) ? 0 : reply_of(all->replies.prev)->serial;
    if (from->sequence <= w->floor || from->sequence - w->floor > WINDOW_SEQUENCES ||
        from->serial <= before || window_find(w, from->sequence) != NULL) {
        return false;
    }
    reply_put(all, w, from, reply);
    return true;
}

bool window_fits(const struct window *w)
{
    return w->bytes <= WINDOW_BYTES_MAX || window_count(w) == 1;
}

bool windows_fit(const struct windows *all)
{
    const struct list *replies = &all->replies;
    bool above = !list_empty(replies) && reply_of(replies->prev)->serial >= all->serial_next;
    bool single = replies->next == replies->prev;
    return !above && all->serial_next > 0 && (all->bytes <= WINDOWS_BYTES_MAX || single);
}

/* ---- invariants --------------------------------------------------------------------------- */

void window_check(const struct window *w, struct window_totals *totals)
{
    uint64_t bytes = 0;
    uint64_t before = w->floor;
    totals->sum += floor_item(w);
    for (uint32_t i = w->begin; i < w->end; i++) {
        const struct window_reply *r = w->cells[i].reply;
        POST(r->window == w && r->sequence == w->cells[i].sequence);
        POST(r->sequence > before && r->sequence - w->floor <= WINDOW_SEQUENCES);
        POST(r->hash == reply_item(r));
        before = r->sequence;
        bytes += reply_cost(r);
        totals->sum += r->hash;
        totals->count++;
    }
    POST(bytes == w->bytes);
    POST(window_fits(w));
    totals->bytes += bytes;
}

void windows_check(const struct windows *all, const struct window_totals *totals)
{
    uint64_t count = 0;
    uint64_t serial = 0;
    for (const struct list *it = all->replies.next; it != &all->replies; it = it->next) {
        const struct window_reply *r =
            LIST_OF((struct list *)(uintptr_t)it, struct window_reply, link);
        POST(r->serial > serial && r->serial < all->serial_next);
        serial = r->serial;
        count++;
    }
    POST(count == totals->count && all->bytes == totals->bytes && all->sum == totals->sum);
    POST(windows_fit(all));
}
