#include "client/gate.h"

void gate_init(struct gate *g)
{
    list_init(&g->waiters);
    g->call = NULL;
}

void gate_waiter_init(struct gate_waiter *w,
                      void (*resume)(struct gate_waiter *w, const struct coord_error *error))
{
    list_init(&w->link);
    w->resume = resume;
}

void gate_wait(struct gate *g, struct gate_waiter *w)
{
    list_remove(&w->link);
    list_push_back(&g->waiters, &w->link);
}

void gate_leave(struct gate_waiter *w)
{
    list_remove(&w->link);
}

/* Whoever waits anew while these go on waits for the next time. */
void gate_resume(struct gate *g, const struct coord_error *error)
{
    struct list now;
    struct list *node;
    list_init(&now);
    while ((node = list_pop_front(&g->waiters)) != NULL) {
        list_push_back(&now, node);
    }
    while ((node = list_pop_front(&now)) != NULL) {
        struct gate_waiter *w = LIST_OF(node, struct gate_waiter, link);
        w->resume(w, error);
    }
}
