/* The production env: files by POSIX calls, byte streams, timers and wake-ups by libuv, the
 * kernel's monotonic clock and randomness. See base/env.h for the contract.
 *
 * All handles live on the one loop given at the start. Several envs may share a loop. */
#ifndef BASE_ENV_UV_H
#define BASE_ENV_UV_H

#include "base/env.h"
#include "base/log.h"

struct uv_loop_s; /* uv_loop_t */

/* Ignores SIGPIPE for the whole process: a broken connection is an error code here.
 *
 * Ownership  borrows `loop` and `log` until env_uv_free; returns owned.
 * Logging    `disk.error op= path= error=` for every disk call that failed (not for RC_NOT_FOUND
 *            and RC_LOCKED, which callers ask for), so that the system's reason is not lost. */
struct env *env_uv_new(struct uv_loop_s *loop, struct log *log);

/* Closes what is still open, without callbacks to the owners, and releases the locks. Runs the
 * loop until its own handles are gone: call it outside of the loop's callbacks, after every queue
 * was closed. Returns how many lookups of names go on, each as long as name servers are waited for:
 * who does not wait for them, in env_uv_free, must leave the process by _exit. */
size_t env_uv_close(struct env *env);
/* The same if it was not closed, and the rest. NULL is fine. */
void env_uv_free(struct env *env);

/* Runs `turn` after the I/O callbacks of each loop iteration and again before the loop blocks, so
 * that it sees what timers, wake-ups and closed handles left behind; an idle `turn` must be cheap.
 * Then the loop blocks no longer than until `next_deadline_ms` (env->now_ms clock, UINT64_MAX for
 * none), which is asked after each `turn` that comes before blocking.
 *
 * At most once per env; `context` is borrowed until env_uv_free. Loop thread. */
void env_uv_on_turn(struct env *env, void (*turn)(void *context),
                    uint64_t (*next_deadline_ms)(void *context), void *context);

/* Tells how long turns of the loop take, without what the loop waits for: while one lasts nobody
 * else is served. Once, after env_uv_on_turn and before the loop runs; `metrics` is borrowed until
 * env_uv_free. */
struct metrics;
void env_uv_measure_turns(struct env *env, struct metrics *metrics);

#endif
