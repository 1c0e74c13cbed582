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

void memory_hold_close(struct memory_hold *h)
{
    if (!h->is_evicted) {
        sum_change(h->memory, h->bytes, 0);
        list_remove(&h->link);
    }
}

void memory_note(struct memory_hold *h, enum memory_part part, size_t bytes)
{
    if (h == NULL || h->parts[part] == bytes) {
        return;
    }
    if (!h->is_evicted) {
        sum_change(h->memory, h->parts[part], bytes);
    }
    h->bytes = h->bytes - h->parts[part] + bytes;
    h->parts[part] = bytes;
}

static void evict(struct memory_hold *h)
{
    struct memory *m = h->memory;
    log_info(m->log, "client.evicted", "peer=%s request_bytes=%zu reply_bytes=%zu", h->peer,
             h->parts[MEMORY_READ] + h->parts[MEMORY_REQUESTS],
             h->parts[MEMORY_REPLIES] + h->parts[MEMORY_WRITTEN]);
    sum_change(m, h->bytes, 0);
    list_remove(&h->link);
    h->is_evicted = true;
    metric_add(m->evicted, 1);
    m->evict(h);
}

/* Those that hold at least half of what the worst one does: many go at a time, so that an attack of
 * thousands of connections does not cost a walk over all for each call. */
static void make_room(struct memory *m)
{
    size_t most = 0;
    struct list *it;
    struct list *next;
    LIST_EACH(it, next, &m->holds)
    {
        struct memory_hold *h = LIST_OF(it, struct memory_hold, link);
        m->renew(h);
        most = h->bytes > most ? h->bytes : most;
    }
    if (m->bytes <= MEMORY_BYTES_MAX) {
        return;
    }
    LIST_EACH(it, next, &m->holds)
    {
        struct memory_hold *h = LIST_OF(it, struct memory_hold, link);
        if (h->bytes >= most - most / 2) {
            evict(h);
        }
    }
}

bool memory_admits(struct memory_hold *h)
{
    if (h == NULL) {
        return true;
    }
    while (h->memory->bytes > MEMORY_BYTES_MAX) {
        make_room(h->memory);
    }
    return !h->is_evicted;
}
