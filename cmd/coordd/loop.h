/* The process's event loop and the signals it is sent. */
#ifndef COORDD_LOOP_H
#define COORDD_LOOP_H

struct loop;
struct uv_loop_s; /* uv_loop_t */

/* Calls `on_signal` (on the loop) for each SIGTERM, SIGINT and SIGHUP. Returns owned. Until
 * loop_is_ready SIGTERM and SIGINT end the process at once, with 0: nothing waits for its loop. */
struct loop *loop_new(void (*on_signal)(void *context, int number), void *context);
void loop_is_ready(struct loop *l);
/* The loop itself, for base/env_uv.h. */
struct uv_loop_s *loop_uv(struct loop *l);
/* Runs until loop_end was called, from a callback. */
void loop_run(struct loop *l);
void loop_end(struct loop *l);
/* Everything else on the loop must be closed already. */
void loop_free(struct loop *l);

#endif
