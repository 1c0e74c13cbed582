#include "tests/support/test_loop.h"

#include <signal.h>
#include <stdlib.h>
#include <uv.h>

struct test_loop {
    uv_loop_t loop;
    uv_signal_t signals[2];
};

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

struct test_loop *test_loop_new(void)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    struct test_loop *l = calloc(1, sizeof *l);
    if (l == NULL || uv_loop_init(&l->loop) != 0) {
        free(l);
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        if (uv_signal_init(&l->loop, &l->signals[i]) != 0 ||
            uv_signal_start(&l->signals[i], on_signal, numbers[i]) != 0) {
            return NULL;
        }
    }
    return l;
}

struct uv_loop_s *test_loop_handle(struct test_loop *l)
{
    return &l->loop;
}

void test_loop_run(struct test_loop *l)
{
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
}

int test_loop_free(struct test_loop *l)
{
    for (int i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&l->signals[i], NULL);
    }
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
    int is_closed = uv_loop_close(&l->loop) == 0;
    free(l);
    return is_closed;
}
