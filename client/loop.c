/* Timers are a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): intrusive, so that setting
 * one needs no memory. */
#include "client/loop.h"

#include <stdlib.h>

#include "client/socket.h"

#define POLL_MS_MAX 60000
#define AWAY_MS     100

void loop_init(struct loop *l, const struct coord_loop *host)
{
    *l = (struct loop){.told_ms = LOOP_NEVER};
    if (host != NULL) {
        l->host = *host;
    }
}

void loop_close(struct loop *l)
{
    free(l->fds);
    free(l->polls);
    *l = (struct loop){.count = 0};
}

/* ---- sockets ---------------------------------------------------------------------------- */

static short poll_events(unsigned events)
{
    return (short)(((events & COORD_READABLE) != 0 ? POLLIN : 0) |
                   ((events & COORD_WRITABLE) != 0 ? POLLOUT : 0));
}

static bool tell_host(struct loop *l, int fd, unsigned events)
{
    return l->host.watch == NULL || l->host.watch(l->host.context, fd, events);
}

static bool grow(struct loop *l)
{
    size_t capacity = l->capacity * 2 + 8;
    struct loop_fd **fds = realloc(l->fds, capacity * sizeof(struct loop_fd *));
    if (fds == NULL) {
        return false;
    }
    l->fds = fds;
    struct pollfd *polls = realloc(l->polls, capacity * sizeof *polls);
    if (polls == NULL) {
        return false;
    }
    l->polls = polls;
    l->capacity = capacity;
    return true;
}

bool loop_add(struct loop *l, struct loop_fd *f, unsigned events)
{
    if ((l->count == l->capacity && !grow(l)) || !tell_host(l, f->fd, events)) {
        return false;
    }
    f->position = l->count++;
    f->events = events;
    l->fds[f->position] = f;
    l->polls[f->position] = (struct pollfd){.fd = f->fd, .events = poll_events(events)};
    return true;
}

bool loop_set(struct loop *l, struct loop_fd *f, unsigned events)
{
    if (f->events == events) {
        return true;
    }
    f->events = events;
    l->polls[f->position].events = poll_events(events);
    return tell_host(l, f->fd, events);
}

void loop_remove(struct loop *l, struct loop_fd *f)
{
    if (f->fd < 0) {
        return;
    }
    (void)tell_host(l, f->fd, 0);
    size_t last = --l->count;
    if (f->position != last) {
        l->fds[f->position] = l->fds[last];
        l->polls[f->position] = l->polls[last];
        l->fds[f->position]->position = f->position;
    }
    f->fd = -1;
}

void loop_ready(struct loop *l, int fd)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->polls[i].fd == fd) {
            l->fds[i]->ready(l->fds[i]);
            return;
        }
    }
}

/* ---- timers ----------------------------------------------------------------------------- */

static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    if (b->due_ms < a->due_ms) {
        struct loop_timer *other = a;
        a = b;
        b = other;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL) {
        b->next->prev = b;
    }
    a->child = b;
    a->prev = NULL;
    a->next = NULL;
    return a;
}

/* One heap of a row of siblings: in pairs from the left, then all of them from the right. */
static struct loop_timer *meld_row(struct loop_timer *row)
{
    struct loop_timer *pairs = NULL; /* chained by `next`, the last one first */
    while (row != NULL) {
        struct loop_timer *a = row;
        struct loop_timer *b = a->next;
        row = b != NULL ? b->next : NULL;
        struct loop_timer *both = meld(a, b);
        both->prev = NULL;
        both->next = pairs;
        pairs = both;
    }
    struct loop_timer *root = NULL;
    while (pairs != NULL) {
        struct loop_timer *next = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
    if (!t->runs) {
        return;
    }
    if (t == l->root) {
        l->root = meld_row(t->child);
    } else {
        if (t->prev->child == t) {
            t->prev->child = t->next;
        } else {
            t->prev->next = t->next;
        }
        if (t->next != NULL) {
            t->next->prev = t->prev;
        }
        l->root = meld(l->root, meld_row(t->child));
    }
    t->runs = false;
    t->child = NULL;
    t->next = NULL;
    t->prev = NULL;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_ms)
{
    if (t->runs && t->due_ms == due_ms) {
        return;
    }
    loop_timer_stop(l, t);
    t->due_ms = due_ms;
    t->runs = true;
    l->root = meld(l->root, t);
}

uint64_t loop_due_ms(const struct loop *l)
{
    return l->root != NULL ? l->root->due_ms : LOOP_NEVER;
}

/* ---- waiting ---------------------------------------------------------------------------- */

/* From the end, and what was looked at is cleared: a place that is filled anew on the way, by a
 * removal, is either one still to come or one that has been looked at. */
static void dispatch(struct loop *l)
{
    for (size_t i = l->count; i-- > 0;) {
        if (i < l->count && l->polls[i].revents != 0) {
            l->polls[i].revents = 0;
            l->fds[i]->ready(l->fds[i]);
        }
    }
}

static void look(struct loop *l, uint64_t timeout_ms)
{
    if (poll(l->polls, l->count, timeout_ms > POLL_MS_MAX ? POLL_MS_MAX : (int)timeout_ms) >
        0) {
        dispatch(l);
    }
}

/* Whoever was away for long, in a computation or stopped, sees first what has arrived meanwhile:
 * that it comes late is his own doing. Timers that are set again while these fire are due later
 * than now, or soon will be. */
void loop_fire(struct loop *l)
{
    uint64_t now = socket_now_ms();
    if (now - l->ran_ms >= AWAY_MS) {
        look(l, 0);
    }
    while (l->root != NULL && l->root->due_ms <= now) {
        struct loop_timer *t = l->root;
        loop_timer_stop(l, t);
        t->fire(t);
    }
    l->ran_ms = socket_now_ms();
}

void loop_wait(struct loop *l, uint64_t deadline_ms)
{
    bool is_due = loop_due_ms(l) <= socket_now_ms();
    if (is_due) {
        loop_fire(l);
    }
    uint64_t now = socket_now_ms();
    uint64_t until = loop_due_ms(l) < deadline_ms ? loop_due_ms(l) : deadline_ms;
    look(l, is_due || until <= now ? 0 : until - now);
    l->ran_ms = socket_now_ms();
}

void loop_tell(struct loop *l)
{
    uint64_t due_ms = loop_due_ms(l);
    if (l->host.wake == NULL || due_ms == l->told_ms) {
        return;
    }
    uint64_t now = socket_now_ms();
    l->told_ms = due_ms;
    l->host.wake(l->host.context, due_ms == LOOP_NEVER ? LOOP_NEVER
                                  : due_ms > now       ? due_ms - now
                                                       : 0);
}
