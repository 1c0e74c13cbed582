/* Reply windows of sessions: what makes repeating a numbered write safe.
 *
 * A session numbers its writes. Its window has a floor: a sequence number at or below it is
 * never executed (again), because nobody can tell any more whether it was. Of the
 * WINDOW_SEQUENCES numbers above the floor, in any order, the replies of those that were
 * executed are remembered; a number there without one was never executed. The floor rises,
 * never falls:
 *
 *   - to what the client says it has all answers up to;
 *   - by a new number further above, to that number minus WINDOW_SEQUENCES;
 *   - when a session's replies have more than WINDOW_BYTES_MAX: from the lowest number on, but the
 *     highest one stays, however large;
 *   - when all sessions' have more than WINDOWS_BYTES_MAX: the oldest reply of all goes, and what
 *     its session has below it. Oldest is by serial, which counts replies over all sessions.
 *
 * Floors and serials are replicated, so members and loaded snapshots evict the same. Only
 * base/ is used here; a reply is bytes. Loop thread, or the one that fills a store nobody
 * else sees yet. */
#ifndef LEASE_WINDOW_H
#define LEASE_WINDOW_H

#include <stdbool.h>

#include "base/list.h"
#include "base/slice.h"

#define WINDOW_SEQUENCES  ((uint64_t)1024)
#define WINDOW_BYTES_MAX  ((uint64_t)1 << 20)
#define WINDOWS_BYTES_MAX ((uint64_t)64 << 20)

/* What a reply is said to cost besides its bytes. Replicated behaviour: not sizeof. */
#define WINDOW_REPLY_COST_BYTES ((uint64_t)96)

struct window;

struct window_reply {
    struct list link; /* private: all of them, by serial */
    struct window *window;
    uint64_t sequence;
    uint64_t serial;
    uint64_t index; /* log index it was applied at */
    uint64_t hash;  /* its part of the digest */
    uint32_t size;
    uint8_t bytes[];
};

/* The number beside the pointer: a search touches no reply before it is found. */
struct window_cell {
    uint64_t sequence;
    struct window_reply *reply;
};

struct window {
    uint64_t session;
    uint64_t floor;
    uint64_t bytes;
    struct window_cell *cells; /* sorted by sequence: [begin, end) */
    uint32_t begin;
    uint32_t end;
    uint32_t capacity;
};

/* A snapshot scan is told before a floor moves, and before a reply goes. */
struct window_observer {
    void (*floor_moves)(void *context, const struct window *w);
    void (*reply_goes)(void *context, const struct window_reply *r);
    void *context;
};

struct windows {
    struct list replies; /* by serial */
    uint64_t serial_next;
    uint64_t bytes;
    uint64_t sum;                           /* of the digest items: floors and replies */
    const struct window_observer *observer; /* may be NULL */
};

void windows_init(struct windows *all);

/* Of a new session; floor 0. Freed by window_close. */
struct window *window_open(struct windows *all, uint64_t session);
/* Of a session that has ended: its replies go too. */
void window_close(struct windows *all, struct window *w);

/* NULL: none is remembered. */
const struct window_reply *window_find(const struct window *w, uint64_t sequence);
/* The first reply whose number is greater than `after`; NULL at the end. */
const struct window_reply *window_next(const struct window *w, uint64_t after);

/* The floor rises to `floor`, if it is not there yet. */
void window_raise(struct windows *all, struct window *w, uint64_t floor);

/* Remembers a reply for a number above the floor that has none yet, and applies the bounds.
 * Keeps a copy of the bytes. */
void window_add(struct windows *all, struct window *w, uint64_t sequence, uint64_t index,
                struct slice reply);

/* Loading: as they were, so no bounds move. False: it has no place, as its number is not
 * within the window or is there already, or its serial is not above all that were loaded
 * before it. */
bool window_load(struct windows *all, struct window *w, const struct window_reply *from,
                 struct slice reply);
/* Loading: whether a window is within its own bounds. */
bool window_fits(const struct window *w);
/* Loading: whether all of them together are. */
bool windows_fit(const struct windows *all);

static inline uint32_t window_count(const struct window *w)
{
    return w->end - w->begin;
}

/* Order, bounds, bytes and hashes of one; adds up what windows_check wants. */
struct window_totals {
    uint64_t count;
    uint64_t bytes;
    uint64_t sum;
};
void window_check(const struct window *w, struct window_totals *totals);
void windows_check(const struct windows *all, const struct window_totals *totals);

#endif
