/* A client of libcoord in a loop of libuv: what struct coord_loop asks for, as uv_poll_t and one
 * uv_timer_t. All of it is here, so that libcoord itself does not need libuv.
 *
 *     struct coord_uv uv;
 *     coord_uv_init(&uv, uv_default_loop());
 *     struct coord_options options = {.loop = &uv.hooks};
 *     if (coord_open(&options, &uv.client, &error) != COORD_OK) { ... }
 *     ... calls that end in _async; uv_run ...
 *     coord_uv_close(&uv, NULL);        the client, and then the handles
 *
 * `struct coord_uv` is pinned from coord_uv_init until `closed` is called, or uv_run has returned
 * after coord_uv_close. Everything happens on the loop's thread.
 *
 * Installed as <coord/uv.h>; link with libuv. C11 and C++. */
#ifndef CLIENT_UV_H
#define CLIENT_UV_H

#include <stdlib.h>
#include <uv.h>

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif

struct coord_uv_poll {
    uv_poll_t handle;
    struct coord_uv *owner;
    struct coord_uv_poll *next;
    int fd;
};

struct coord_uv {
    struct coord_loop hooks;     /* for coord_options.loop */
    struct coord_client *client; /* from coord_open, before anything is called */
    void *data;                  /* the host's */
    /* private */
    uv_loop_t *loop;
    uv_timer_t timer;
    struct coord_uv_poll *polls;
    void (*closed)(struct coord_uv *uv);
};

static inline void coord_uv_on_poll(uv_poll_t *handle, int status, int events)
{
    struct coord_uv_poll *p = (struct coord_uv_poll *)handle->data;
    (void)status; /* the client finds out itself what is wrong */
    (void)events;
    coord_ready(p->owner->client, p->fd);
}

static inline void coord_uv_on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static inline bool coord_uv_watch(void *context, int fd, unsigned events)
{
    struct coord_uv *uv = (struct coord_uv *)context;
    struct coord_uv_poll **place = &uv->polls;
    while (*place != NULL && (*place)->fd != fd) {
        place = &(*place)->next;
    }
    struct coord_uv_poll *p = *place;
    if (events == 0) {
        if (p != NULL) {
            *place = p->next;
            (void)uv_poll_stop(&p->handle);
            uv_close((uv_handle_t *)&p->handle, coord_uv_on_poll_closed);
        }
        return true;
    }
    if (p == NULL) {
        p = (struct coord_uv_poll *)calloc(1, sizeof *p);
        if (p == NULL) {
            return false;
        }
        if (uv_poll_init(uv->loop, &p->handle, fd) != 0) {
            free(p);
            return false;
        }
        p->handle.data = p;
        p->owner = uv;
        p->fd = fd;
        p->next = uv->polls;
        uv->polls = p;
    }
    int wanted = ((events & COORD_READABLE) != 0 ? UV_READABLE : 0) |
                 ((events & COORD_WRITABLE) != 0 ? UV_WRITABLE : 0);
    return uv_poll_start(&p->handle, wanted, coord_uv_on_poll) == 0;
}

static inline void coord_uv_on_timer(uv_timer_t *timer)
{
    struct coord_uv *uv = (struct coord_uv *)timer->data;
    coord_due(uv->client);
}

static inline void coord_uv_wake(void *context, uint64_t delay_ms)
{
    struct coord_uv *uv = (struct coord_uv *)context;
    if (delay_ms == COORD_FOREVER) {
        (void)uv_timer_stop(&uv->timer);
    } else {
        (void)uv_timer_start(&uv->timer, coord_uv_on_timer, delay_ms, 0);
    }
}

/* Fills in `hooks`. */
static inline void coord_uv_init(struct coord_uv *uv, uv_loop_t *loop)
{
    uv->hooks.watch = coord_uv_watch;
    uv->hooks.wake = coord_uv_wake;
    uv->hooks.context = uv;
    uv->client = NULL;
    uv->data = NULL;
    uv->loop = loop;
    uv->polls = NULL;
    uv->closed = NULL;
    (void)uv_timer_init(loop, &uv->timer); /* which cannot fail */
    uv->timer.data = uv;
}

static inline void coord_uv_on_closed(uv_handle_t *handle)
{
    struct coord_uv *uv = (struct coord_uv *)handle->data;
    if (uv->closed != NULL) {
        uv->closed(uv);
    }
}

/* Closes the client, if there is one: its calls are told COORD_CANCELED; and the handles. `closed`
 * may be NULL. Not from inside a callback of the client. */
static inline void coord_uv_close(struct coord_uv *uv, void (*closed)(struct coord_uv *uv))
{
    coord_close(uv->client);
    uv->client = NULL;
    uv->closed = closed;
    uv_close((uv_handle_t *)&uv->timer, coord_uv_on_closed);
}

#ifdef __cplusplus
}
#endif

#endif
