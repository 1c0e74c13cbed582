#include "cmd/coordd/loop.h"

#include <signal.h>
#include <unistd.h>

#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"

#define SIGNAL_COUNT 3

static const int numbers[SIGNAL_COUNT] = {SIGHUP, SIGTERM, SIGINT};

struct loop {
    uv_loop_t uv;
    uv_signal_t signals[SIGNAL_COUNT];
    void (*on_signal)(void *context, int number);
    void *context;
};

static void signal_cb(uv_signal_t *handle, int number)
{
    struct loop *l = handle->data;
    l->on_signal(l->context, number);
}

/* A disposition of its own, as the first process of a container has none by default. */
static void end_at_once(int number)
{
    (void)number;
    _exit(0);
}

static void take_signal(struct loop *l, int i)
{
    int rc = uv_signal_start(&l->signals[i], signal_cb, numbers[i]);
    POST(rc == 0);
}

struct loop *loop_new(void (*on_signal)(void *context, int number), void *context)
{
    struct loop *l = mem_zalloc(sizeof *l);
    l->on_signal = on_signal;
    l->context = context;
    int rc = uv_loop_init(&l->uv);
    for (int i = 0; rc == 0 && i < SIGNAL_COUNT; i++) {
        l->signals[i].data = l;
        rc = uv_signal_init(&l->uv, &l->signals[i]);
    }
    POST(rc == 0); /* no file left for the loop of a fresh process: nothing can run here */
    take_signal(l, 0); /* SIGHUP: heard once the loop runs */
    const struct sigaction end = {.sa_handler = end_at_once};
    (void)sigaction(SIGTERM, &end, NULL);
    (void)sigaction(SIGINT, &end, NULL);
    return l;
}

void loop_is_ready(struct loop *l)
{
    for (int i = 1; i < SIGNAL_COUNT; i++) {
        take_signal(l, i);
    }
}

struct uv_loop_s *loop_uv(struct loop *l)
{
    return &l->uv;
}

void loop_run(struct loop *l)
{
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_end(struct loop *l)
{
    uv_stop(&l->uv);
}

void loop_free(struct loop *l)
{
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        uv_close((uv_handle_t *)&l->signals[i], NULL);
    }
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&l->uv);
    POST(rc == 0);
    mem_free(l);
}
