/* What a client waits for: sockets and times. Whoever drives the client, a loop of the host or
 * loop_wait, gets all of it from here, and all that a client does happens inside loop_fire,
 * loop_ready and loop_wait.
 *
 * Sockets and timers sit in their owner's memory. Only loop_add allocates. */
#ifndef CLIENT_LOOP_H
#define CLIENT_LOOP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client.h"

#define LOOP_NEVER UINT64_MAX

/* Zero is valid, with `fd` -1: in no loop. */
struct loop_fd {
    int fd;
    unsigned events; /* COORD_READABLE, COORD_WRITABLE */
    size_t position;
    void (*ready)(struct loop_fd *f);
};

/* Zero is valid: it does not run. */
struct loop_timer {
    uint64_t due_ms; /* monotonic */
    void (*fire)(struct loop_timer *t);
    /* private */
    bool runs;
    struct loop_timer *child;
    struct loop_timer *next;
    struct loop_timer *prev; /* the parent of a first child, else the sibling before */
};

struct loop {
    struct loop_fd **fds;
    struct pollfd *polls; /* of fds, in the same places */
    size_t count;
    size_t capacity;
    struct loop_timer *root; /* the next one */
    struct coord_loop host;  /* its functions may be NULL */
    uint64_t told_ms;        /* the host waits until then */
    uint64_t ran_ms;         /* when it was driven last */
};

#define LOOP_OF(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void loop_init(struct loop *l, const struct coord_loop *host); /* `host` may be NULL */
void loop_close(struct loop *l);

/* Begins to wait for events of f->fd. False: no memory, or the host cannot. */
bool loop_add(struct loop *l, struct loop_fd *f, unsigned events);
/* Waits for other events. False: the host cannot. */
bool loop_set(struct loop *l, struct loop_fd *f, unsigned events);
/* Before the socket is closed; nothing if it is in no loop. Sets f->fd to -1. */
void loop_remove(struct loop *l, struct loop_fd *f);

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_ms);
void loop_timer_stop(struct loop *l, struct loop_timer *t);

/* Fires what is due. */
void loop_fire(struct loop *l);
/* A socket has become ready; one that is not known, any more, is ignored. */
void loop_ready(struct loop *l, int fd);
/* When the next timer is due, or LOOP_NEVER. */
uint64_t loop_due_ms(const struct loop *l);
/* Waits in poll(2) until something is ready or due, at most until `deadline_ms`; one round. */
void loop_wait(struct loop *l, uint64_t deadline_ms);
/* Tells the host when it has to come back, if that has changed. */
void loop_tell(struct loop *l);

#endif
