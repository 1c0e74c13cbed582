/* Those that wait until something is known that one call asks for, on behalf of all. */
#ifndef CLIENT_GATE_H
#define CLIENT_GATE_H

#include "base/list.h"
#include "client/client.h"

struct coord_call;

struct gate_waiter {
    struct list link; /* self-linked: it does not wait */
    /* COORD_OK: it is known; else why not. */
    void (*resume)(struct gate_waiter *w, const struct coord_error *error);
};

struct gate {
    struct list waiters;
    struct coord_call *call; /* the one that asks; NULL: none */
};

void gate_init(struct gate *g);
void gate_wait(struct gate *g, struct gate_waiter *w);
void gate_waiter_init(struct gate_waiter *w,
                      void (*resume)(struct gate_waiter *w, const struct coord_error *error));
void gate_leave(struct gate_waiter *w); /* nothing if it does not wait */
/* Lets all go on that wait now. */
void gate_resume(struct gate *g, const struct coord_error *error);

#endif
