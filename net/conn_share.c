/* What one connection may take of the loop's time: see conn.h. */
#include "base/assert.h"
#include "net/conn.h"

#define US_PER_S 1000000

static uint64_t share_now_us(const struct conn *c)
{
    return c->server->env->now_us(c->server->env);
}

static bool is_heavy(const struct conn *c)
{
    return c->heavy_until_s > 0 && c->heavy_until_s > share_now_us(c) / US_PER_S;
}

void conn_note_spent(struct conn *c, uint64_t began_us)
{
    uint64_t now_us = share_now_us(c);
    uint64_t spent_us = now_us - began_us;
    c->spent_us += (uint32_t)spent_us;
    c->server->spent_us += spent_us;
    if (c->spent_us >= CONN_SHARE_US) {
        c->heavy_until_s = (uint32_t)(now_us / US_PER_S) + CONN_HEAVY_S;
    }
}

/* Whether the rest of what it says has to wait for its next turn. */
static bool has_used_share(const struct conn *c)
{
    return is_heavy(c) &&
           (c->spent_us >= CONN_SHARE_US || c->server->spent_us >= SERVER_SHARE_US);
}

void conn_leave_line(struct conn *c)
{
    if (!list_empty(&c->waiting)) {
        list_remove(&c->waiting);
        c->server->waiting_count--;
    }
}

static bool may_be_fed(const struct conn *c)
{
    return c->stage == CONN_OPEN && !c->is_paused && !c->is_full;
}

void conn_return_to_line(struct conn *c)
{
    if (c->held.size > 0 && may_be_fed(c) && list_empty(&c->waiting)) {
        list_push_back(&c->server->waiting, &c->waiting);
        c->server->waiting_count++;
    }
}

/* Feeds as much as its share allows; returns what is left. */
static struct slice feed_share(struct conn *c, struct slice bytes)
{
    do {
        size_t most = is_heavy(c) ? CONN_HEAVY_PIECE_BYTES : bytes.size;
        size_t piece = bytes.size < most ? bytes.size : most;
        uint64_t began_us = share_now_us(c);
        conn_feed(c, slice_make(bytes.data, piece));
        bytes = slice_make(bytes.data + piece, bytes.size - piece);
        conn_note_spent(c, began_us);
    } while (bytes.size > 0 && may_be_fed(c) && !has_used_share(c));
    return c->stage == CONN_OPEN ? bytes : slice_make(NULL, 0);
}

void conn_receive(struct conn *c, struct slice bytes)
{
    bool waits = c->held.size > 0 || has_used_share(c);
    struct slice left = waits ? bytes : feed_share(c, bytes);
    if (left.size > 0) {
        if (c->held.size == 0) {
            metric_add(c->server->held, 1);
        }
        buf_append_slice(&c->held, left);
        conn_return_to_line(c);
        conn_read_or_not(c);
    }
}

static void go_on(struct conn *c)
{
    struct buf held = c->held;
    c->held = (struct buf){0};
    struct slice left = feed_share(c, buf_slice(&held));
    if (left.size > 0) {
        buf_consume(&held, held.size - left.size);
        c->held = held;
        conn_return_to_line(c);
    } else {
        buf_close(&held);
    }
    conn_mark(c); /* its turn says whether more is read */
}

void server_read_on(struct server *s)
{
    s->spent_us = 0;
    for (size_t n = s->waiting_count; n > 0 && s->waiting_count > 0; n--) {
        if (s->spent_us >= SERVER_SHARE_US) {
            return;
        }
        struct conn *c = LIST_OF(s->waiting.next, struct conn, waiting);
        conn_leave_line(c);
        c->spent_us = 0;
        if (may_be_fed(c)) { /* else its turn brings it back, once it may */
            go_on(c);
        }
    }
}
