/* What an evicted connection held is out of the sum at once: its front lets go of the most of it
 * in the same call, and what the connection itself has, at most about ENV_STREAM_QUEUE_MAX, is
 * freed in its next turn. */
#include "net/memory.h"

void memory_init(struct memory *m, struct metrics *metrics,
                 void (*renew)(struct memory_hold *h), void (*evict)(struct memory_hold *h))
{
    *m = (struct memory){.renew = renew, .evict = evict};
    list_init(&m->holds);
    if (metrics != NULL) {
        m->held = metrics_gauge(metrics, "coord_client_held_bytes", NULL,
                                "Requests that are not answered and replies that are not read.");
        m->evicted = metrics_counter(metrics, "coord_connections_evicted_total", NULL,
                                     "Client connections closed since clients held too much.");
    }
}

void memory_hold_open(struct memory *m, struct memory_hold *h, const char *peer)
{
    *h = (struct memory_hold){.memory = m, .peer = peer};
    list_push_back(&m->holds, &h->link);
}

static void sum_change(struct memory *m, size_t less, size_t more)
{
    m->bytes = m->bytes - less + more;
    metric_set(m->held, (int64_t)m->bytes);
}

static size_t front_bytes(const struct memory_hold *h)
{
    return h->parts[MEMORY_REQUESTS] + h->parts[MEMORY_REPLIES];
}

static size_t left_of(const struct memory_hold *h)
{
    return h->parts[MEMORY_READ] + h->parts[MEMORY_WRITTEN] + h->front_left;
}

static void sum_leave(struct memory_hold *h)
{
    sum_change(h->memory, h->bytes, 0);
    h->memory->left -= left_of(h);
    list_remove(&h->link);
}

void memory_hold_close(struct memory_hold *h)
{
    if (!h->is_evicted) {
        sum_leave(h);
    }
}

/* Of what was left by the front, what has become less since is gone. */
static void front_left_set(struct memory_hold *h, size_t bytes)
{
    size_t front = front_bytes(h);
    bytes = bytes < front ? bytes : front;
    h->front_left = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

static void left_change(struct memory_hold *h, size_t less)
{
    if (!h->is_evicted) {
        h->memory->left = h->memory->left - less + left_of(h);
    }
}

void memory_note(struct memory_hold *h, enum memory_part part, size_t bytes)
{
    if (h == NULL || h->parts[part] == bytes) {
        return;
    }
    size_t left = left_of(h);
    if (!h->is_evicted) {
        sum_change(h->memory, h->parts[part], bytes);
    }
    h->bytes = h->bytes - h->parts[part] + bytes;
    h->parts[part] = bytes;
    front_left_set(h, h->front_left);
    left_change(h, left);
}

void memory_turned(struct memory_hold *h)
{
    if (h != NULL) {
        size_t left = left_of(h);
        front_left_set(h, SIZE_MAX);
        left_change(h, left);
    }
}

bool memory_is_behind(const struct memory_hold *h)
{
    return h != NULL && h->memory->bytes - h->memory->left > MEMORY_BYTES_MAX / 2;
}

static void evict(struct memory_hold *h)
{
    struct memory *m = h->memory;
    log_info(m->log, "client.evicted", "peer=%s request_bytes=%zu reply_bytes=%zu", h->peer,
             h->parts[MEMORY_READ] + h->parts[MEMORY_REQUESTS],
             h->parts[MEMORY_REPLIES] + h->parts[MEMORY_WRITTEN]);
    sum_leave(h);
    h->is_evicted = true;
    metric_add(m->evicted, 1);
    m->evict(h);
}

static bool is_over(const struct memory *m)
{
    return m->left > MEMORY_BYTES_MAX || m->bytes > 2 * MEMORY_BYTES_MAX;
}

/* Those that hold at least half of what the worst one does: many go at a time, so that an attack of
 * thousands of connections does not cost a walk over all for each call. */
static void make_room(struct memory *m)
{
    size_t most = 0;
    size_t most_left = 0;
    struct list *it;
    struct list *next;
    LIST_EACH(it, next, &m->holds)
    {
        struct memory_hold *h = LIST_OF(it, struct memory_hold, link);
        m->renew(h);
        most = h->bytes > most ? h->bytes : most;
        most_left = left_of(h) > most_left ? left_of(h) : most_left;
    }
    if (!is_over(m)) {
        return;
    }
    bool by_left = m->left > MEMORY_BYTES_MAX;
    LIST_EACH(it, next, &m->holds)
    {
        struct memory_hold *h = LIST_OF(it, struct memory_hold, link);
        bool goes =
            by_left ? left_of(h) >= most_left - most_left / 2 : h->bytes >= most - most / 2;
        if (goes) {
            evict(h);
        }
    }
}

bool memory_admits(struct memory_hold *h)
{
    if (h == NULL) {
        return true;
    }
    while (is_over(h->memory)) {
        make_room(h->memory);
    }
    return !h->is_evicted;
}
